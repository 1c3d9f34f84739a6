//! What counts beside items: versions, options, files, imports. Each is a line that is hashed, and words for people.

use std::collections::{BTreeMap, BTreeSet};

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
