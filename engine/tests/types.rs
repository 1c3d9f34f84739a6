//! What arguments and results may be.

mod common;

use std::collections::HashMap;
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
