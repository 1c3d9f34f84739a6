//! A list of what is covered as text that is small enough to lie in the program, and back.
//!
//! ```text
//! level reachable
//! share 123
//! items 40
//! pulls 40 krate::big_enum
//! in src/lib.rs
//! 0krate::parse<TAB>12<TAB>9f3a0c11<TAB>
//! 7part<TAB>20<TAB>00c1d2e3<TAB>0
//! whole src/large.rs<TAB>#5d6e7f80
//! other crate serde<TAB>1.0.228
//! ```
//!
//! One line an item below the file that it is in: how many bytes its name shares with the one before, the rest of its name,
//! line, the start of its digest, the place of the item that it was reached from. The first item is the function itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::report::{Covered, MOST, Part, Report};

/// Of the rest that counts, so many are named one by one.
const MOST_PARTS: usize = 256;

impl Report {
    /// As text.
    pub fn encode(&self) -> String {
        let mut text = format!("level {}\nshare {}\nitems {}\n", self.level, self.share, self.count);
        if let Some((name, count)) = &self.pulls {
            let _ = writeln!(text, "pulls {count} {}", plain(name));
        }
        let (mut file, mut last) = ("", String::new());
        for item in self.items.iter().take(2 * MOST) {
            if item.file != file {
                file = &item.file;
                let _ = writeln!(text, "in {}", plain(file));
            }
            let from = item.from.map(|from| from.to_string()).unwrap_or_default();
            let name = plain(&item.name);
            let (before, now) = (last.as_bytes(), name.as_bytes());
            let mut shared = 0;
            while shared < before.len() && shared < now.len() && before[shared] == now[shared] {
                shared += 1;
            }
            // A digit would be read as part of the number.
            while shared > 0
                && (!name.is_char_boundary(shared)
                    || name[shared..].starts_with(|c: char| c.is_ascii_digit()))
            {
                shared -= 1;
            }
            let _ = writeln!(text, "{shared}{}\t{}\t{:08x}\t{from}", &name[shared..], item.line, item.digest);
            last = name;
        }
        // Items that are not listed can still be told to differ, by their files.
        let mut rest: BTreeMap<&str, u32> = BTreeMap::new();
        for item in self.items.iter().skip(2 * MOST) {
            let sum = rest.entry(&item.file).or_default();
            *sum = sum.rotate_left(5).wrapping_add(item.digest).wrapping_mul(0x9e37_79b1);
        }
        for (file, sum) in rest {
            let _ = writeln!(text, "whole {}\t#{sum:08x}", plain(file));
        }
        for (kind, parts) in [("whole", &self.files), ("other", &self.others)] {
            for part in parts.iter().take(MOST_PARTS) {
                let _ = writeln!(text, "{kind} {}\t{}", plain(&part.name), plain(&part.value));
            }
            if let Some(rest) = parts.get(MOST_PARTS..).filter(|rest| !rest.is_empty()) {
                let sum = rest.iter().flat_map(|part| part.name.bytes().chain(part.value.bytes()));
                let sum = sum.fold(0_u32, |sum, byte| sum.wrapping_mul(0x0100_0193) ^ u32::from(byte));
                let _ = writeln!(text, "{kind} {} more\t#{sum:08x}", rest.len());
            }
        }
        text
    }

    /// From text; lines that are none of its are passed over.
    pub fn decode(text: &str) -> Self {
        let mut report = Self::default();
        let (mut file, mut last) = (String::new(), String::new());
        for line in text.lines() {
            if line.starts_with(|c: char| c.is_ascii_digit()) {
                let mut fields = line.split('\t');
                let head = fields.next().unwrap_or("");
                let [number, digest, from] = fields.collect::<Vec<_>>()[..] else { continue };
                let end = head.find(|c: char| !c.is_ascii_digit()).unwrap_or(head.len());
                let shared: usize = head[..end].parse().unwrap_or(0);
                last = format!("{}{}", last.get(..shared).unwrap_or(""), &head[end..]);
                report.items.push(Covered {
                    name: last.clone(),
                    file: file.clone(),
                    line: number.parse().unwrap_or(0),
                    digest: u32::from_str_radix(digest, 16).unwrap_or(0),
                    tokens: 0,
                    from: from.parse().ok(),
                });
                continue;
            }
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let part = || {
                let (name, value) = rest.split_once('\t').unwrap_or((rest, ""));
                Part { name: name.to_owned(), value: value.to_owned() }
            };
            match word {
                "in" => rest.clone_into(&mut file),
                "level" => rest.clone_into(&mut report.level),
                "share" => report.share = rest.parse().unwrap_or(0),
                "items" => report.count = rest.parse().unwrap_or(0),
                "pulls" => {
                    let (count, name) = rest.split_once(' ').unwrap_or(("0", rest));
                    report.pulls = Some((name.to_owned(), count.parse().unwrap_or(0)));
                }
                "whole" => report.files.push(part()),
                "other" => report.others.push(part()),
                _ => {}
            }
        }
        report
    }
}

/// Text that fits into a field.
fn plain(text: &str) -> String {
    // Hardly any text has one, and a look at bytes is quick without optimisation.
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] < 0x20 || bytes[at] == 0x7f || bytes[at] == 0xc2 {
            return text.replace(|c: char| c.is_control(), " ");
        }
        at += 1;
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn comes_back_from_text() {
        let mut report = report();
        // Names that share a part that a digit or half a letter follows.
        for (at, name) in ["k::a1", "k::a2", "k::é", "k::è", "k::a2::b"].iter().enumerate() {
            report.items.push(Covered {
                name: (*name).to_owned(),
                digest: 9,
                from: Some(at),
                ..report.items[2].clone()
            });
        }
        report.files.push(Part { name: "src/whole.rs".into(), value: "#01".into() });
        assert_eq!(Report::decode(&report.encode()), report);
        assert_eq!(Report::decode(""), Report::default());
    }

    #[test]
    fn what_is_not_listed_is_told_by_file() {
        let mut old = report();
        let one = old.items[2].clone();
        old.items.extend((0..1200).map(|n| Covered {
            name: format!("k::n{n}"),
            file: format!("src/{}.rs", n % 7),
            ..one.clone()
        }));
        old.count = old.items.len();
        let mut new = old.clone();
        new.items[1202].digest ^= 1;
        let read = |report: &Report| Report::decode(&report.encode());
        assert_eq!(read(&old).items.len(), 2 * MOST);
        let moved: Vec<String> = read(&old).moved(&read(&new)).iter().map(ToString::to_string).collect();
        assert_eq!(moved, ["src/2.rs changed"]);
    }

    #[test]
    fn many_parts_are_summed_up() {
        let mut report = report();
        report.others = (0..400).map(|n| Part { name: format!("crate c{n}"), value: "1".into() }).collect();
        let read = Report::decode(&report.encode());
        assert_eq!(read.others.len(), MOST_PARTS + 1);
        assert_eq!(read.others[MOST_PARTS].name, "144 more");
        report.others[399].value = "2".into();
        assert_eq!(read.moved(&Report::decode(&report.encode())).len(), 1);
    }
}
