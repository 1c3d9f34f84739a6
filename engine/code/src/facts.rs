//! What counts beside items: versions, options, files, imports. Each is a line that is hashed, and words for people.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::closure::Closure;
use crate::names::Names;
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

/// Digests that are added up: which there are counts, and how often, but no order. That two collections of digests have
/// the same sum is as unlikely as that two texts have the same digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    parts: [u64; 4],
    count: u64,
}

impl Sum {
    /// One digest.
    pub(crate) fn of(digest: &blake3::Hash) -> Self {
        let bytes = digest.as_bytes();
        let part = |at: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[at * 8..at * 8 + 8]);
            u64::from_le_bytes(part)
        };
        Self { parts: [part(0), part(1), part(2), part(3)], count: 1 }
    }

    /// Adds all of another sum.
    pub(crate) fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (mine, theirs) in self.parts.iter_mut().zip(other.parts) {
            let (more, first) = mine.overflowing_add(theirs);
            let (more, second) = more.overflowing_add(u64::from(carry));
            (*mine, carry) = (more, first || second);
        }
        self.count += other.count;
    }

    /// Takes out what was added.
    pub(crate) fn remove(&mut self, other: &Self) {
        let mut borrow = false;
        for (mine, theirs) in self.parts.iter_mut().zip(other.parts) {
            let (less, first) = mine.overflowing_sub(theirs);
            let (less, second) = less.overflowing_sub(u64::from(borrow));
            (*mine, borrow) = (less, first || second);
        }
        self.count -= other.count;
    }

    /// The digest of it all.
    pub(crate) fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for part in self.parts.iter().chain([&self.count]) {
            hasher.update(&part.to_le_bytes());
        }
        hasher.finalize()
    }
}

/// Where names lead: each text is hashed once, whatever the number of functions that share it.
#[derive(Debug, Default)]
pub(crate) struct Led {
    /// For each text the crate it is about, and its digest.
    known: Vec<Option<(usize, Sum)>>,
    crates: Vec<String>,
    /// The sums of what walks that are copied came to, for each crate, by their addresses.
    copied: HashMap<usize, Vec<Option<Sum>>>,
}

impl Led {
    /// A digest of the texts about each crate.
    pub(crate) fn digests(&mut self, texts: &Names, closure: &Closure) -> BTreeMap<String, blake3::Hash> {
        self.known.resize(texts.len(), None);
        let sums = self.sums(texts, closure);
        let found = self.crates.iter().zip(sums).filter_map(|(krate, sum)| Some((krate, sum?)));
        found.map(|(krate, sum)| (krate.clone(), sum.digest())).collect()
    }

    fn sums(&mut self, texts: &Names, closure: &Closure) -> Vec<Option<Sum>> {
        let mut sums = Vec::new();
        if let Some(start) = &closure.start {
            let address = Arc::as_ptr(start).addr();
            if !self.copied.contains_key(&address) {
                let found = self.sums(texts, &start.closure);
                self.copied.insert(address, found);
            }
            sums.clone_from(&self.copied[&address]);
        }
        for name in &closure.own_names {
            let at = name.0 as usize;
            let (krate, sum) = match self.known[at] {
                Some(known) => known,
                None => *self.known[at].insert(look(&mut self.crates, texts.text(*name))),
            };
            if krate >= sums.len() {
                sums.resize(krate + 1, None);
            }
            sums[krate].get_or_insert_default().add(&sum);
        }
        sums
    }
}

/// The crate that a line is about, and the line's digest.
fn look(crates: &mut Vec<String>, line: &str) -> (usize, Sum) {
    let krate = line.split_once(" = ").map_or("", |(_, path)| path.split("::").next().unwrap_or(path));
    let at = crates.iter().position(|known| known == krate).unwrap_or_else(|| {
        crates.push(krate.to_owned());
        crates.len() - 1
    });
    (at, Sum::of(&blake3::hash(line.as_bytes())))
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
    fn a_sum_is_of_what_is_in_it_whatever_the_order() {
        let all: Vec<Sum> = (0..40_u8).map(|n| Sum::of(&blake3::hash(&[n]))).collect();
        let of = |order: &mut dyn Iterator<Item = usize>| {
            order.fold(Sum::default(), |mut sum, at| {
                sum.add(&all[at]);
                sum
            })
        };
        let whole = of(&mut (0..40));
        assert_eq!(whole, of(&mut (0..40).rev()));
        let mut less = whole;
        less.remove(&all[7]);
        assert_eq!(less, of(&mut (0..40).filter(|at| *at != 7)));
        assert_ne!(less.digest(), whole.digest());
        // Each as often as it is there.
        assert_ne!(of(&mut [1, 2, 2].into_iter()).digest(), of(&mut [1, 2].into_iter()).digest());
        assert_ne!(of(&mut [1, 1].into_iter()).digest(), of(&mut [2, 2].into_iter()).digest());
    }

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
        // Where a line ends counts.
        let lines = |lines: &[&str]| {
            let mut facts = Facts::default();
            for line in lines {
                facts.silent((*line).to_owned());
            }
            digest(&facts)
        };
        assert_ne!(lines(&["ab", "c"]), lines(&["a", "bc"]));
    }
}
