//! What a digest covers, and what is different between two such lists.
//!
//! How a list is written down is `listing.rs`'s to say. Programs with cached functions carry this, so it needs nothing but
//! the standard library.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

/// Items beyond this many are told of by their files only, so that a program with many large closures stays small.
pub(crate) const MOST: usize = 512;

/// One item that a digest covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Its path.
    pub name: String,
    /// Its file, relative to the package.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// The start of the digest of its tokens.
    pub digest: u32,
    /// The number of its tokens; not kept in the text.
    pub tokens: usize,
    /// The place of the item that it was reached from; `None` for the function itself.
    pub from: Option<usize>,
}

/// Something that is no item and counts: a file, a dependency's version, an option.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// What it is, in words.
    pub name: String,
    /// Its version, its value, or the start of its digest.
    pub value: String,
}

/// What a digest covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The level, as `hash_code` has it.
    pub level: String,
    /// The number of items covered; the text lists no more than the first 512.
    pub count: usize,
    /// The items, the function itself first.
    pub items: Vec<Covered>,
    /// Source files that count as wholes, and those with items that are not listed.
    pub files: Vec<Part>,
    /// What else counts.
    pub others: Vec<Part>,
    /// Their share of the crate's tokens, in thousandths.
    pub share: u32,
    /// For a function that reaches most of its crate: the item that pulls most others in, and how many.
    pub pulls: Option<(String, usize)>,
}

/// Something that is different in a newer list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In what way.
    pub how: How,
    /// The item's path, or what else it is, in words.
    pub name: String,
    /// For an item, its file and line, in the newer list if it is there.
    pub place: Option<(String, u32)>,
}

/// In what way something is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It is there in both and reads otherwise.
    Changed,
    /// It was one thing and is another, such as a version.
    Became(String, String),
    /// It counts since.
    Added,
    /// It counts no more.
    Removed,
}

impl fmt::Display for Change {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some((file, line)) => write!(to, "`{}` in {file}:{line} ", self.name)?,
            None => write!(to, "{} ", self.name)?,
        }
        match &self.how {
            How::Changed => to.write_str("changed"),
            How::Became(was, is) => write!(to, "changed from {was} to {is}"),
            How::Added => to.write_str("counts now"),
            How::Removed => to.write_str("counts no more"),
        }
    }
}

impl Report {
    /// The names from the function to an item.
    pub fn path(&self, item: usize) -> Vec<&str> {
        let mut path = Vec::new();
        let mut current = Some(item);
        while let Some(at) = current
            && path.len() <= self.items.len()
            && let Some(item) = self.items.get(at)
        {
            path.push(item.name.as_str());
            current = item.from;
        }
        path.reverse();
        path
    }

    /// What is different in a newer list of the same function: what reads otherwise first, then what came and went.
    ///
    /// Items are known by their names, so one that only moved to another place is the same.
    pub fn moved(&self, newer: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.level != newer.level {
            let how = How::Became(self.level.clone(), newer.level.clone());
            changes.push(Change { how, name: "`hash_code`".into(), place: None });
        }
        let (old, new) = (self.by_name(), newer.by_name());
        let mut came = Vec::new();
        let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        for name in names {
            let (how, item) = match (old.get(name), new.get(name)) {
                (Some((_, old)), Some((_, new))) if old == new => continue,
                (Some(_), Some((item, _))) => (How::Changed, item),
                (None, Some((item, _))) => (How::Added, item),
                (Some((item, _)), None) => (How::Removed, item),
                (None, None) => continue,
            };
            let change = Change {
                name: name.to_owned(),
                place: Some((item.file.clone(), item.line)),
                how: how.clone(),
            };
            if how == How::Changed { changes.push(change) } else { came.push(change) }
        }
        for (old, new, digests) in [(&self.files, &newer.files, true), (&self.others, &newer.others, false)] {
            let values = |parts: &'_ [Part]| -> BTreeMap<String, Vec<String>> {
                let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
                for part in parts {
                    all.entry(part.name.clone()).or_default().push(part.value.clone());
                }
                all
            };
            let (old, new) = (values(old), values(new));
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                let (how, to) = match (old.get(name), new.get(name)) {
                    (Some(old), Some(new)) if old == new => continue,
                    (Some(old), Some(new)) if !digests && !old.concat().starts_with('#') => {
                        (How::Became(old.join(", "), new.join(", ")), &mut changes)
                    }
                    (Some(_), Some(_)) => (How::Changed, &mut changes),
                    (None, _) => (How::Added, &mut came),
                    (_, None) => (How::Removed, &mut came),
                };
                to.push(Change { how, name: name.clone(), place: None });
            }
        }
        changes.append(&mut came);
        changes
    }

    /// The first item of each name, with the digests of all of that name.
    fn by_name(&self) -> BTreeMap<&str, (&Covered, Vec<u32>)> {
        let mut all: BTreeMap<&str, (&Covered, Vec<u32>)> = BTreeMap::new();
        for item in &self.items {
            all.entry(&item.name).or_insert_with(|| (item, Vec::new())).1.push(item.digest);
        }
        for (_, digests) in all.values_mut() {
            digests.sort_unstable();
        }
        all
    }

    /// How much is covered, in a line.
    pub fn summary(&self) -> String {
        match self.level.as_str() {
            "reachable" => {
                let files: BTreeSet<&str> = self.items.iter().map(|item| item.file.as_str()).collect();
                let named = self.files.iter().filter(|part| !files.contains(part.name.as_str())).count();
                let (items, files) = (self.count, files.len() + named);
                let of =
                    |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
                format!(
                    "{} in {}, {}.{} % of the crate",
                    of(items, "item"),
                    of(files, "file"),
                    self.share / 10,
                    self.share % 10
                )
            }
            "crate" => "all of the package, its path dependencies and its lock file".to_owned(),
            "module" => "the function's source file".to_owned(),
            "body" => "the function's own tokens".to_owned(),
            "binary" => "the running executable".to_owned(),
            _ => "nothing".to_owned(),
        }
    }

    /// For a function that reaches most of its crate, the item that is to blame.
    pub fn note(&self) -> Option<String> {
        let (name, count) = self.pulls.as_ref()?;
        Some(format!("most of them because of `{name}`, which alone pulls in {count}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{}", self.summary())?;
        if let Some(note) = self.note() {
            writeln!(to, "{note}")?;
        }
        for (place, item) in self.items.iter().enumerate() {
            writeln!(to, "  {}:{} {}", item.file, item.line, item.name)?;
            if place > 0 {
                writeln!(to, "      {}", self.path(place).join(" → "))?;
            }
        }
        if self.count > self.items.len() {
            writeln!(to, "  and {} more", self.count - self.items.len())?;
        }
        let mut text = String::new();
        for part in &self.others {
            let _ = writeln!(text, "  {}{}", part.name, part.shown());
        }
        to.write_str(&text)
    }
}

impl Part {
    /// Its value as people read it, with the space before it; nothing for a digest.
    pub fn shown(&self) -> String {
        if self.value.is_empty() || self.value.starts_with('#') {
            String::new()
        } else {
            format!(" {}", self.value)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn report() -> Report {
        let item = |name: &str, file: &str, line, digest, from| Covered {
            name: name.into(),
            file: file.into(),
            line,
            digest,
            tokens: 0,
            from,
        };
        let part = |name: &str, value: &str| Part { name: name.into(), value: value.into() };
        Report {
            level: "reachable".into(),
            count: 3,
            items: vec![
                item("k::f", "src/lib.rs", 3, 7, None),
                item("k::<A for B>::g", "src/lib.rs", 9, 0xdead_beef, Some(0)),
                item("k::h", "src/h.rs", 1, 1, Some(1)),
            ],
            files: Vec::new(),
            others: vec![part("crate serde", "1.0.1"), part("file a.sql", "#12")],
            share: 125,
            pulls: Some(("k::h".into(), 2)),
        }
    }

    fn moved(old: &Report, new: &Report) -> Vec<String> {
        old.moved(new).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn tells_the_way_to_an_item() {
        let report = report();
        assert_eq!(report.path(2), ["k::f", "k::<A for B>::g", "k::h"]);
        assert!(report.to_string().starts_with("3 items in 2 files, 12.5 % of the crate\n"));
        assert!(report.to_string().ends_with("  crate serde 1.0.1\n  file a.sql\n"));
    }

    #[test]
    fn says_what_moved_and_what_only_changed_its_place_did_not() {
        let (old, mut new) = (report(), report());
        new.items[1].file = "src/other.rs".into();
        new.items[1].line = 1;
        assert!(moved(&old, &new).is_empty());
        new.items[2].digest = 2;
        assert_eq!(moved(&old, &new), ["`k::h` in src/h.rs:1 changed"]);
        new.items[0].name = "k::e".into();
        new.others[0].value = "1.0.2".into();
        new.others[1].value = "#13".into();
        assert_eq!(
            moved(&old, &new),
            [
                "`k::h` in src/h.rs:1 changed",
                "crate serde changed from 1.0.1 to 1.0.2",
                "file a.sql changed",
                "`k::e` in src/lib.rs:3 counts now",
                "`k::f` in src/lib.rs:3 counts no more",
            ]
        );
    }

    #[test]
    fn of_several_items_of_one_name_each_counts() {
        let mut old = report();
        old.items.push(Covered { digest: 5, ..old.items[1].clone() });
        let mut new = old.clone();
        new.items.swap(1, 3);
        assert!(moved(&old, &new).is_empty());
        new.items[3].digest = 6;
        assert_eq!(moved(&old, &new), ["`k::<A for B>::g` in src/lib.rs:9 changed"]);
    }
}
