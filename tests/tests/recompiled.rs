//! A program that is really compiled again, over one cache: what its edits run.

mod scratch;

use scratch::Scratch;

const PROGRAM: &str = r#"
use fleche::fleche;

#[fleche]
fn callee(n: u64) -> u64 {
    println!("callee runs");
    // a comment
    n * five()
}

fn five() -> u64 {
    1 * 5
}

#[fleche]
fn caller(n: u64) -> u64 {
    println!("caller runs");
    callee(n) + 1
}

fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let cache = fleche::Cache::open(dir).expect("a cache");
    let _scope = fleche::cache(&cache).expect("in scope");
    let store = cache.store().expect("a store");
    if let Some(record) = store.newest(&callee::digest(4)).expect("readable") {
        for change in fleche::code_changes(store, &record).expect("known") {
            println!("{change}");
        }
    }
    println!("{}", caller(4));
}
"#;

/// Compiles the program with one text replaced, and runs it.
fn run_with(package: &Scratch, from: &str, to: &str) -> Vec<String> {
    assert_eq!(PROGRAM.matches(from).count(), 1, "the program has `{from}` once");
    package.write("src/main.rs", &PROGRAM.replacen(from, to, 1));
    let cache = package.path("cache");
    let said = package.cargo(&["run", "--quiet", "--", cache.to_str().expect("text")], &[]);
    said.lines().map(String::from).collect()
}

#[test]
fn an_edit_runs_what_it_can_have_altered() {
    let program = Scratch::package("recompiled", None);
    let run_with = |from, to| run_with(&program, from, to);
    let (same, result) = ("1 * 5", ["21"]);
    let changed = "`recompiled::five` in src/main.rs:11 changed";
    assert_eq!(run_with(same, same), ["caller runs", "callee runs", "21"]);
    assert_eq!(run_with(same, same), result);
    assert_eq!(run_with("// a comment", "// another"), result);
    // The callee is new and says what it said: its caller, which is named by no code of it, need not run.
    assert_eq!(run_with(same, "5 * 1"), [changed, "callee runs", "21"]);
    assert_eq!(run_with(same, "1 * 6"), [changed, "callee runs", "caller runs", "25"]);
    // The first program again: its records are still there.
    assert_eq!(run_with(same, same), [changed, "21"]);
    assert_eq!(run_with("n * five()", "n * 5")[0], "`recompiled::callee` in src/main.rs:5 changed");
}
