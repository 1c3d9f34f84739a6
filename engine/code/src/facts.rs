//! What counts beside items: versions, options, files, imports. Each is a line that is hashed, and words for people.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{Name, Names};
use crate::report::Part;

/// Lines for a digest, and what they mean.
#[derive(Debug, Default)]
pub struct Facts {
    lines: BTreeSet<String>,
    parts: BTreeMap<String, BTreeSet<String>>,
}

impl Facts {
    /// Adds a line that needs no words of its own.
    pub fn silent(&mut self, line: String) {
        self.lines.insert(line);
    }

    /// Adds a line; `value` is what it may change to.
    pub fn add(&mut self, line: String, name: impl Into<String>, value: impl Into<String>) {
        self.parts.entry(name.into()).or_default().insert(value.into());
        self.lines.insert(line);
    }

    /// Adds a line whose value means nothing to people.
    pub fn digested(&mut self, line: String, name: impl Into<String>) {
        let value = short(&blake3::hash(line.as_bytes()));
        self.add(line, name, value);
    }

    /// What the lines mean, one part for each name.
    pub fn parts(&self) -> Vec<Part> {
        let part = |(name, values): (&String, &BTreeSet<String>)| {
            let mut all: Vec<&str> = values.iter().map(String::as_str).collect();
            let summed;
            if all.len() > 1 && all[0].starts_with('#') {
                summed = short(&blake3::hash(all.concat().as_bytes()));
                all = vec![&summed];
            }
            Part { name: name.clone(), value: all.join(", ") }
        };
        self.parts.iter().map(part).collect()
    }

    /// Hashes all lines, whatever the order in which they came.
    pub fn feed(&self, hasher: &mut blake3::Hasher) {
        for line in &self.lines {
            hasher.update(&(line.len() as u64).to_le_bytes());
            hasher.update(line.as_bytes());
        }
    }
}

/// Where names lead: each text is hashed once, whatever the number of functions that share it.
#[derive(Debug, Default)]
pub(crate) struct Led {
    /// For each text the crate it is about, and its hash.
    known: Vec<Option<(usize, [u64; 4])>>,
    crates: Vec<String>,
}

impl Led {
    /// A digest of the texts about each crate.
    pub(crate) fn digests(&mut self, texts: &Names, names: &[Name]) -> BTreeMap<String, blake3::Hash> {
        self.known.resize(texts.len(), None);
        let mut sums: Vec<Option<[u64; 4]>> = vec![None; self.crates.len()];
        for name in names {
            let at = name.0 as usize;
            let (krate, hash) = match self.known[at] {
                Some(known) => known,
                None => *self.known[at].insert(look(&mut self.crates, texts.text(*name))),
            };
            if krate >= sums.len() {
                sums.resize(krate + 1, None);
            }
            // A sum does not depend on the order; that two sets of texts have the same one is as unlikely as for one text.
            let sum = sums[krate].get_or_insert([0; 4]);
            sum[0] = sum[0].wrapping_add(hash[0]);
            sum[1] = sum[1].wrapping_add(hash[1]);
            sum[2] = sum[2].wrapping_add(hash[2]);
            sum[3] = sum[3].wrapping_add(hash[3]);
        }
        let found = self.crates.iter().zip(sums).filter_map(|(krate, sum)| Some((krate, sum?)));
        let digest = |sum: [u64; 4]| blake3::hash(sum.map(u64::to_le_bytes).as_flattened());
        found.map(|(krate, sum)| (krate.clone(), digest(sum))).collect()
    }
}

/// The crate that a line is about, and the line's hash.
fn look(crates: &mut Vec<String>, line: &str) -> (usize, [u64; 4]) {
    let krate = line.split_once(" = ").map_or("", |(_, path)| path.split("::").next().unwrap_or(path));
    let at = crates.iter().position(|known| known == krate).unwrap_or_else(|| {
        crates.push(krate.to_owned());
        crates.len() - 1
    });
    let digest = blake3::hash(line.as_bytes());
    let mut parts = digest
        .as_bytes()
        .chunks_exact(8)
        .map(|part| part.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
    (at, std::array::from_fn(|_| parts.next().unwrap_or_default()))
}

/// The start of a digest, marked as one.
pub fn short(digest: &blake3::Hash) -> String {
    let [a, b, c, d, ..] = *digest.as_bytes();
    format!("#{:08x}", u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_name_are_one_and_order_is_nothing() {
        let (mut a, mut b) = (Facts::default(), Facts::default());
        a.add("lock x 1".into(), "crate x", "1");
        a.add("lock x 2".into(), "crate x", "2");
        a.digested("use min = std::min".into(), "imports from std");
        a.digested("use max = std::max".into(), "imports from std");
        b.digested("use max = std::max".into(), "imports from std");
        b.digested("use min = std::min".into(), "imports from std");
        b.add("lock x 2".into(), "crate x", "2");
        b.add("lock x 1".into(), "crate x", "1");
        let digest = |facts: &Facts| {
            let mut hasher = blake3::Hasher::new();
            facts.feed(&mut hasher);
            hasher.finalize()
        };
        assert_eq!((a.parts(), digest(&a)), (b.parts(), digest(&b)));
        assert_eq!(a.parts()[0], Part { name: "crate x".into(), value: "1, 2".into() });
        assert_eq!(a.parts().len(), 2);
        b.silent("item".into());
        assert_ne!(digest(&a), digest(&b));
    }
}
