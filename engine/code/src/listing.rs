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
//!
//! What the functions of a crate have in common lies in the program once, since the compiler has to read it too:
//! `together` says that the function has no more items of its own, `shared 0123456789abcdef` that the lines of that name stand
//! here, whose places count from that on, and `from 40 1` that this function reached one of them from another item. An item from its
//! own place was reached from one that is not listed.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use crate::report::{Covered, MOST, Part, Report};

/// Of the rest that counts, so many are named one by one.
const MOST_PARTS: usize = 256;

impl Report {
    /// As text, all of it.
    pub fn encode(&self) -> String {
        let (mut text, parts) = self.head();
        text.push_str(&parts);
        text
    }

    /// What is about the function, and what else counts.
    pub(crate) fn head(&self) -> (String, String) {
        let mut text = format!("level {}\nshare {}\nitems {}\n", self.level, self.share, self.count);
        if let Some((name, count)) = &self.pulls {
            let _ = writeln!(text, "pulls {count} {}", plain(name));
        }
        write_items(&mut text, &self.items[..self.items.len().min(2 * MOST)]);
        let mut parts = String::new();
        // Items that are not listed can still be told to differ, by their files.
        let mut rest: BTreeMap<&str, u32> = BTreeMap::new();
        for item in self.items.iter().skip(2 * MOST) {
            let sum = rest.entry(&item.file).or_default();
            *sum = sum.rotate_left(5).wrapping_add(item.digest).wrapping_mul(0x9e37_79b1);
        }
        for (file, sum) in rest {
            let _ = writeln!(parts, "whole {}\t#{sum:08x}", plain(file));
        }
        write_parts(&mut parts, "whole", &self.files);
        write_parts(&mut parts, "other", &self.others);
        (text, parts)
    }

    /// From text; lines that are none of its are passed over.
    pub fn decode(text: &str) -> Self {
        let mut reader = Reader::default();
        for line in text.lines() {
            reader.line(line);
        }
        let mut report = reader.report;
        report.drop_doubles(reader.together);
        report
    }

    /// A list as text with the parts that it only names, which `shared` gives, in their places.
    pub fn expand<'a>(text: &str, shared: impl Fn(&str) -> Option<&'a str>) -> String {
        let lines = text.split_inclusive('\n');
        lines
            .map(|line| match line.trim_end().strip_prefix("shared ") {
                Some(id) => shared(id).unwrap_or(line),
                None => line,
            })
            .collect()
    }

    /// Takes what stands for the function itself out of what it has in common with others, from that place on.
    fn drop_doubles(&mut self, start: usize) {
        let Some(root) = self.items.first().map(|item| (item.name.clone(), item.line, item.file.clone()))
        else {
            return;
        };
        let is_double = |at: usize, item: &Covered| {
            at >= start.max(1) && (&item.name, item.line, &item.file) == (&root.0, root.1, &root.2)
        };
        let gone: HashSet<usize> =
            (0..).zip(&self.items).filter(|(at, item)| is_double(*at, item)).map(|(at, _)| at).collect();
        if gone.is_empty() {
            return;
        }
        let place = |at: usize| {
            if gone.contains(&at) { 0 } else { at - gone.iter().filter(|gone| **gone < at).count() }
        };
        for item in &mut self.items {
            item.from = item.from.map(place);
        }
        let mut at = 0..;
        self.items.retain(|_| at.next().is_some_and(|at| !gone.contains(&at)));
    }
}

/// Reads a list line by line.
#[derive(Default)]
struct Reader {
    report: Report,
    file: String,
    last: String,
    /// Where what the function has in common with others begins; 0 before that.
    together: usize,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            self.item(line);
            return;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let part = || {
            let (name, value) = rest.split_once('\t').unwrap_or((rest, ""));
            Part { name: name.to_owned(), value: value.to_owned() }
        };
        let report = &mut self.report;
        match word {
            "in" => rest.clone_into(&mut self.file),
            "level" => rest.clone_into(&mut report.level),
            "share" => report.share = rest.parse().unwrap_or(0),
            "items" => report.count = rest.parse().unwrap_or(0),
            "pulls" => {
                let (count, name) = rest.split_once(' ').unwrap_or(("0", rest));
                report.pulls = Some((name.to_owned(), count.parse().unwrap_or(0)));
            }
            "together" => {
                self.together = report.items.len();
                self.last.clear();
            }
            "from" => {
                let (at, from) = rest.split_once(' ').unwrap_or((rest, ""));
                let item = at.parse().ok().and_then(|at: usize| report.items.get_mut(at));
                if let Some(item) = item {
                    item.from = from.parse().ok().filter(|from| Some(*from) != at.parse().ok());
                }
            }
            "whole" => report.files.push(part()),
            "other" => report.others.push(part()),
            _ => {}
        }
    }

    fn item(&mut self, line: &str) {
        let mut fields = line.split('\t');
        let head = fields.next().unwrap_or("");
        let [number, digest, from] = fields.collect::<Vec<_>>()[..] else { return };
        let end = head.find(|c: char| !c.is_ascii_digit()).unwrap_or(head.len());
        let same: usize = head[..end].parse().unwrap_or(0);
        self.last = format!("{}{}", self.last.get(..same).unwrap_or(""), &head[end..]);
        // Together with others, what was reached from nothing else was reached from the function.
        let from = match (from.parse::<usize>().ok(), self.together) {
            (from, 0) => from,
            (from, together) => Some(from.map_or(0, |from| from + together)),
        };
        let from = from.filter(|from| *from != self.report.items.len());
        self.report.items.push(Covered {
            name: self.last.clone(),
            file: self.file.clone(),
            line: number.parse().unwrap_or(0),
            digest: u32::from_str_radix(digest, 16).unwrap_or(0),
            tokens: 0,
            from,
        });
    }
}

pub(crate) fn write_items(text: &mut String, items: &[Covered]) {
    let (mut file, mut last) = ("", String::new());
    for item in items {
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
            && (!name.is_char_boundary(shared) || name[shared..].starts_with(|c: char| c.is_ascii_digit()))
        {
            shared -= 1;
        }
        let _ = writeln!(text, "{shared}{}\t{}\t{:08x}\t{from}", &name[shared..], item.line, item.digest);
        last = name;
    }
}

pub(crate) fn write_parts(text: &mut String, kind: &str, parts: &[Part]) {
    for part in parts.iter().take(MOST_PARTS) {
        let _ = writeln!(text, "{kind} {}\t{}", plain(&part.name), plain(&part.value));
    }
    if let Some(rest) = parts.get(MOST_PARTS..).filter(|rest| !rest.is_empty()) {
        let sum = rest.iter().flat_map(|part| part.name.bytes().chain(part.value.bytes()));
        let sum = sum.fold(0_u32, |sum, byte| sum.wrapping_mul(0x0100_0193) ^ u32::from(byte));
        let _ = writeln!(text, "{kind} {} more\t#{sum:08x}", rest.len());
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
