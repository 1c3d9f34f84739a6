//! What arguments and results may be.

mod common;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use common::Project;
use fleche::{fleche, value};

#[value]
#[derive(Debug, PartialEq, Clone)]
enum Expression {
    Number(i64),
    Sum(Box<Self>, Box<Self>),
    Call { name: String, arguments: Vec<Expression> },
}

#[fleche]
fn parse(depth: i64) -> Expression {
    if depth == 0 {
        return Expression::Number(7);
    }
    let inner = parse(depth - 1);
    let call =
        Expression::Call { name: "f".into(), arguments: vec![inner.clone(), Expression::Number(depth)] };
    Expression::Sum(Box::new(inner), Box::new(call))
}

#[test]
fn a_value_may_contain_itself() {
    let mut project = Project::new();
    let first = parse(3);
    project.restart();
    assert_eq!(parse(3), first);
    assert_eq!(project.cache.stats().ran, 0);
}

#[value]
#[derive(Debug, PartialEq, Clone)]
struct Found {
    first: PathBuf,
    next: Option<PathBuf>,
    all: Vec<PathBuf>,
}

#[fleche]
fn find(names: &[u8]) -> Found {
    #[cfg(unix)]
    let first: PathBuf =
        <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(names.to_vec()).into();
    #[cfg(not(unix))]
    let first = PathBuf::from(String::from_utf8_lossy(names).into_owned());
    Found { next: Some(first.join("b")), all: vec![first.clone(), PathBuf::new()], first }
}

#[test]
fn a_value_may_hold_paths() {
    let mut project = Project::new();
    let found = find(b"a\xc3\xa9");
    assert_eq!(found.next.as_deref(), Some(std::path::Path::new("a\u{e9}/b")));
    project.restart();
    assert_eq!(find(b"a\xc3\xa9"), found);
    assert_eq!(&*find::view(b"a\xc3\xa9").first, "a\u{e9}");
    assert_eq!(project.cache.stats().ran, 0);
}

#[test]
#[cfg(unix)]
fn a_path_that_is_no_text_is_right_and_not_kept() {
    let mut project = Project::new();
    for _ in 0..2 {
        let found = find(b"a\xff");
        assert_eq!(std::os::unix::ffi::OsStrExt::as_bytes(found.first.as_os_str()), b"a\xff");
        assert!(!find::contains(b"a\xff"));
        project.restart();
    }
}

#[test]
fn an_argument_may_hold_references() {
    #[fleche]
    fn joined(words: &[&str], more: Option<&str>) -> String {
        format!("{}{}", words.join("+"), more.unwrap_or("."))
    }
    #[fleche]
    fn caller(n: u32) -> usize {
        joined(&["a", "b"], None).len() + n as usize
    }
    let mut project = Project::new();
    assert_eq!(joined(&["a", "b"], Some("!")), "a+b!");
    assert_eq!(caller(1), 5);
    project.restart();
    assert_eq!(caller(1), 5);
    assert_eq!(project.cache.stats().ran, 0);
}

#[test]
fn shared_and_unordered_results_come_back() {
    #[fleche]
    fn shared(n: u32) -> Arc<Vec<u32>> {
        Arc::new(vec![n; 3])
    }
    #[fleche]
    fn counted(text: &str) -> HashMap<String, u64> {
        let mut counts = HashMap::new();
        for word in text.split(' ') {
            *counts.entry(word.to_string()).or_default() += 1;
        }
        counts
    }
    let mut project = Project::new();
    shared(2);
    let counts = counted("a b a c d e f g");
    // Built again it iterates in another order, and says the same all the same.
    counted::rerun("a b a c d e f g");
    assert!(project.log().contains(&r#"counted("a b a c d e f g"): ran, unchanged"#.to_string()));
    project.restart();
    assert_eq!(*shared(2), [2, 2, 2]);
    assert_eq!(counted("a b a c d e f g"), counts);
}

#[allow(mismatched_lifetime_syntaxes, reason = "people write it")]
mod unsigned {
    use std::borrow::Cow;

    #[fleche::fleche]
    pub(super) fn length_or_itself(text: &str) -> Result<usize, Cow<str>> {
        if text.len() > 3 { Err(Cow::Borrowed(text)) } else { Ok(text.len()) }
    }
}

#[test]
fn a_failure_may_borrow_without_a_sign_of_it() {
    let _project = Project::new();
    assert_eq!(unsigned::length_or_itself("one"), Ok(3));
    assert_eq!(unsigned::length_or_itself("three"), Err(Cow::Borrowed("three")));
}
