//! What a digest covers, as text that is small enough to lie in the program, and back.
//!
//! ```text
//! level reachable
//! share 123
//! items 40
//! pulls 40 krate::big_enum
//! src/lib.rs
//! krate::parse<TAB>12<TAB>9f3a0c11<TAB>0
//! ```
//!
//! One line an item below the file that it is in: name, line, the start of its digest, the place of the item that it was
//! reached from. The first item is the function itself.

use std::fmt::{self, Write as _};

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

/// What a digest covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The level, as `hash_code` has it.
    pub level: String,
    /// The number of items covered; the text lists no more than the first 512.
    pub count: usize,
    /// The items, the function itself first.
    pub items: Vec<Covered>,
    /// Their share of the crate's tokens, in thousandths.
    pub share: u32,
    /// For a function that reaches most of its crate: the item that pulls most others in, and how many.
    pub pulls: Option<(String, usize)>,
}

/// Items beyond this many are left out of the text, so that a program with many large closures stays small.
const MOST: usize = 512;

impl Report {
    /// As text.
    pub fn encode(&self) -> String {
        let mut text = format!("level {}\nshare {}\nitems {}\n", self.level, self.share, self.count);
        if let Some((name, count)) = &self.pulls {
            let _ = writeln!(text, "pulls {count} {name}");
        }
        let mut file = "";
        for item in self.items.iter().take(MOST) {
            if item.file != file {
                file = &item.file;
                text.push_str(file);
                text.push('\n');
            }
            let from = item.from.map(|from| from.to_string()).unwrap_or_default();
            let _ = writeln!(text, "{}\t{}\t{:08x}\t{from}", item.name, item.line, item.digest);
        }
        text
    }

    /// From text; lines that are none of its are passed over.
    pub fn decode(text: &str) -> Self {
        let mut report = Self::default();
        let mut file = String::new();
        for line in text.lines() {
            let mut fields = line.split('\t');
            let (name, rest) = (fields.next().unwrap_or(""), fields.collect::<Vec<_>>());
            if let [number, digest, from] = rest[..] {
                report.items.push(Covered {
                    name: name.to_owned(),
                    file: file.clone(),
                    line: number.parse().unwrap_or(0),
                    digest: u32::from_str_radix(digest, 16).unwrap_or(0),
                    tokens: 0,
                    from: from.parse().ok(),
                });
            } else if let Some(share) = line.strip_prefix("share ") {
                report.share = share.parse().unwrap_or(0);
            } else if let Some(pulls) = line.strip_prefix("pulls ") {
                let (count, name) = pulls.split_once(' ').unwrap_or(("0", pulls));
                report.pulls = Some((name.to_owned(), count.parse().unwrap_or(0)));
            } else if let Some(level) = line.strip_prefix("level ") {
                level.clone_into(&mut report.level);
            } else if let Some(count) = line.strip_prefix("items ") {
                report.count = count.parse().unwrap_or(0);
            } else {
                line.clone_into(&mut file);
            }
        }
        report
    }

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

    /// Items that are new, gone or different in another report of the same function, by name.
    pub fn moved(&self, other: &Self) -> Vec<String> {
        let all = |report: &Self| -> std::collections::BTreeSet<(String, u32)> {
            report.items.iter().map(|item| (format!("{} in {}", item.name, item.file), item.digest)).collect()
        };
        let (left, right) = (all(self), all(other));
        let mut names: Vec<String> =
            left.symmetric_difference(&right).map(|(name, _)| name.clone()).collect();
        names.dedup();
        names
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level.as_str() {
            "reachable" => {}
            "crate" => return writeln!(to, "all of the package, its path dependencies and its lock file"),
            "module" => return writeln!(to, "the function's source file"),
            "body" => return writeln!(to, "the function's own tokens"),
            "binary" => return writeln!(to, "the running executable"),
            _ => return writeln!(to, "nothing"),
        }
        let files: std::collections::BTreeSet<&str> =
            self.items.iter().map(|item| item.file.as_str()).collect();
        let (whole, part) = (self.share / 10, self.share % 10);
        writeln!(to, "{} items in {} files, {whole}.{part} % of the crate", self.count, files.len())?;
        if let Some((name, count)) = &self.pulls {
            writeln!(to, "most of them because of {name}, which alone pulls in {count}")?;
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
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let item = |name: &str, file: &str, line, digest, from| Covered {
            name: name.into(),
            file: file.into(),
            line,
            digest,
            tokens: 0,
            from,
        };
        Report {
            level: "reachable".into(),
            count: 3,
            items: vec![
                item("k::f", "src/lib.rs", 3, 7, None),
                item("k::<A for B>::g", "src/lib.rs", 9, 0xdead_beef, Some(0)),
                item("k::h", "src/h.rs", 1, 1, Some(1)),
            ],
            share: 125,
            pulls: Some(("k::h".into(), 2)),
        }
    }

    #[test]
    fn comes_back_from_text() {
        let report = report();
        assert_eq!(Report::decode(&report.encode()), report);
        assert_eq!(report.path(2), ["k::f", "k::<A for B>::g", "k::h"]);
        assert!(report.to_string().starts_with("3 items in 2 files, 12.5 % of the crate\n"));
    }

    #[test]
    fn says_what_moved() {
        let (old, mut new) = (report(), report());
        assert!(old.moved(&new).is_empty());
        new.items[2].digest = 2;
        assert_eq!(old.moved(&new), ["k::h in src/h.rs"]);
    }
}
