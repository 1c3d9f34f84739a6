//! A program that is really compiled again, over one cache: what its edits run.

use std::path::{Path, PathBuf};
use std::process::Command;

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

struct Program {
    root: tempfile::TempDir,
    target: PathBuf,
}

impl Program {
    fn new() -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let test = std::env::current_exe().expect("this test");
        let target = test.ancestors().nth(3).expect("target/debug/deps/test").to_path_buf();
        let program = Self { root: tempfile::tempdir().expect("a directory"), target };
        let manifest = format!(
            "[package]\nname = \"recompiled\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
             fleche = {{ path = '{}' }}\n\n[profile.dev]\ndebug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\nopt-level = 1\n",
            workspace.join("engine").display()
        );
        program.write("Cargo.toml", &manifest);
        program.write("src/main.rs", PROGRAM);
        std::fs::copy(workspace.join("Cargo.lock"), program.root.path().join("Cargo.lock"))
            .expect("the lock file");
        program
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }

    /// Compiles the program with one text replaced, and runs it.
    fn run_with(&self, from: &str, to: &str) -> Vec<String> {
        assert_eq!(PROGRAM.matches(from).count(), 1, "the program has `{from}` once");
        self.write("src/main.rs", &PROGRAM.replacen(from, to, 1));
        let output = Command::new(env!("CARGO"))
            .args(["run", "--offline", "--quiet", "--"])
            .arg(self.root.path().join("cache"))
            .current_dir(self.root.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("RUSTFLAGS")
            .output()
            .expect("cargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").lines().map(String::from).collect()
    }
}

#[test]
fn an_edit_runs_what_it_can_have_altered() {
    let program = Program::new();
    let (same, result) = ("1 * 5", ["21"]);
    let changed = "`recompiled::five` in src/main.rs:11 changed";
    assert_eq!(program.run_with(same, same), ["caller runs", "callee runs", "21"]);
    assert_eq!(program.run_with(same, same), result);
    assert_eq!(program.run_with("// a comment", "// another"), result);
    // The callee is new and says what it said: its caller, which is named by no code of it, need not run.
    assert_eq!(program.run_with(same, "5 * 1"), [changed, "callee runs", "21"]);
    assert_eq!(program.run_with(same, "1 * 6"), [changed, "callee runs", "caller runs", "25"]);
    // The first program again: its records are still there.
    assert_eq!(program.run_with(same, same), [changed, "21"]);
    assert_eq!(program.run_with("n * five()", "n * 5")[0], "`recompiled::callee` in src/main.rs:5 changed");
}
