//! Lists of what is covered, without the parts that several functions' lists have: the compiler reads each of those once.
//!
//! What a part is called is a digest of it, so that a list never gets one that is not its own.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::listing::{write_items, write_parts};
use crate::report::{Covered, Part, Report};

/// Parts of a list that are shorter than this stand in it.
const SHORT: usize = 256;

/// A part of lists that several functions have in common.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The start of its digest, by which the lists refer to it.
    pub id: String,
    /// Its lines.
    pub text: Arc<str>,
}

impl Shared {
    fn new(text: Arc<str>) -> Self {
        Self { id: blake3::hash(text.as_bytes()).to_hex()[..16].to_owned(), text }
    }
}

/// What functions of one crate have in common, listed once for all of them.
#[derive(Debug)]
pub(crate) struct CommonList {
    /// The items, with places among themselves; from nothing: from the function; from itself: from one that is not listed.
    pub(crate) items: Vec<Covered>,
    /// The list, of further files too.
    text: Arc<str>,
}

impl CommonList {
    pub(crate) fn new(items: Vec<Covered>, files: &[Part]) -> Self {
        let mut text = String::new();
        write_items(&mut text, &items);
        write_parts(&mut text, "whole", files);
        Self { items, text: text.into() }
    }
}

/// What comes behind a function's own items.
#[derive(Clone, Debug)]
pub(crate) struct Together {
    pub(crate) list: Arc<CommonList>,
    /// Those of it that the function reached otherwise: their places, and whence.
    pub(crate) otherwise: Vec<(usize, usize)>,
}

impl Report {
    /// As text without what other functions' lists have too, and that.
    pub(crate) fn encode_apart(&self, together: Option<&Together>) -> (String, Vec<Shared>) {
        let (mut text, parts) = self.head();
        let mut shared = Vec::new();
        let mut add = |text: &mut String, part: Arc<str>| {
            if part.len() < SHORT {
                text.push_str(&part);
            } else {
                let part = Shared::new(part);
                let _ = writeln!(text, "shared {}", part.id);
                shared.push(part);
            }
        };
        if let Some(Together { list, otherwise }) = together {
            text.push_str("together\n");
            add(&mut text, list.text.clone());
            for (at, from) in otherwise {
                let _ = writeln!(text, "from {at} {from}");
            }
        }
        add(&mut text, parts.into());
        (text, shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    fn item(name: &str, line: u32, from: Option<usize>) -> Covered {
        Covered { name: name.into(), file: "src/x.rs".into(), line, digest: 9, tokens: 0, from }
    }

    #[test]
    fn a_list_with_parts_apart_comes_back_whole() {
        let mut report = report();
        report.others = (0..40).map(|n| Part { name: format!("crate c{n}"), value: "1".into() }).collect();
        // The function itself, and what stands for it, are among what others reach.
        let root = Covered { digest: 1, ..report.items[0].clone() };
        let mut items = vec![
            item("k::a", 1, None),
            root,
            item("k::b", 2, Some(1)),
            item("k::c", 3, Some(2)),
            item("k::d", 4, Some(4)),
        ];
        items.extend((0..40).map(|n| item("k::more", 10 + n, Some(3))));
        report.items[2].from = Some(3 + 2);
        let files = [Part { name: "src/whole.rs".into(), value: "#01".into() }];
        let list = Arc::new(CommonList::new(items.clone(), &files));
        let together = Together { list, otherwise: vec![(3, 1)] };

        let (text, shared) = report.encode_apart(Some(&together));
        assert_eq!(shared.len(), 2, "{text}");
        assert!(text.len() < 300, "{text}");
        let known = |id: &str| shared.iter().find(|shared| shared.id == id).map(|shared| &*shared.text);
        let read = Report::decode(&Report::expand(&text, known));
        let mut expected = report.clone();
        expected.items[2].from = Some(4);
        expected.items.extend([
            item("k::a", 1, Some(1)),
            item("k::b", 2, Some(0)),
            item("k::c", 3, Some(4)),
            item("k::d", 4, None),
        ]);
        expected.items.extend((0..40).map(|n| item("k::more", 10 + n, Some(5))));
        expected.files = files.to_vec();
        assert_eq!(read, expected);
        assert_eq!(Report::decode(&read.encode()), read);
        // Without the parts the rest is there.
        assert_eq!(Report::decode(&text).items.len(), 3);
    }

    #[test]
    fn a_short_part_stands_in_the_list() {
        let report = report();
        let (text, shared) = report.encode_apart(None);
        assert_eq!((text, shared.len()), (report.encode(), 0));
    }
}
