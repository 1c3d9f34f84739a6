//! Edits under the level `"crate"`, to which all else falls back: no file that the compiler reads may be left out.

use fleche_code::session::Function;

use crate::common::Key::{Moves, Stays};
use crate::common::{self, Build, Key, at_level, check_key};

const PACKAGE: &str = r#"
//- Cargo.toml
[workspace]
members = ["app", "near"]
[workspace.package]
version = "0.1.0"
[workspace.dependencies]
near = { path = "near" }
[patch.crates-io]
patched = { path = "patched" }
[profile.dev]
opt-level = 1
[replace]
"old:1.0.0" = { path = "old" }
//- Cargo.lock
version = 4
[[package]]
name = "app"
version = "0.1.0"
dependencies = ["used"]
[[package]]
name = "used"
version = "1.0.1"
source = "registry"
checksum = "aa"
[[package]]
name = "idle"
version = "1.0.2"
//- app/Cargo.toml
[package]
name = "app"
version.workspace = true
edition = "2024"
[lib]
path = "code/root.rs"
[dependencies]
near.workspace = true
[dev-dependencies]
checks = { path = "../checks" }
//- app/code/root.rs
#[fleche] fn f() {} // documentation tests stand in comments
#[path = "../odd/place.rs"] mod placed; mod below;
const TEXT: &str = include_str!("text.sql"); const CODE: u32 = include!("code.rs");
#[folder = "web"] struct Web;
//- app/code/below.rs
fn below() -> u32 { 1 }
//- app/code/text.sql
select 2
//- app/code/code.rs
3 + 0
//- app/odd/place.rs
fn placed() -> u32 { 4 }
//- app/web/a.css
a { b: 5 }
//- app/src/main.rs
fn main() { let _ = 6; }
//- app/src/alone.rs
fn alone() -> u32 { 7 }
//- app/build.rs
fn main() { let _ = 8; }
//- app/tools/tool.rs
fn main() { let _ = 9; }
//- app/tests/one.rs
fn one() -> u32 { 10 }
//- app/tests/two.rs
fn two() -> u32 { 11 }
//- app/examples/shown.rs
fn shown() -> u32 { 12 }
//- app/benches/quick.rs
fn quick() -> u32 { 13 }
//- app/src/words.md
words 14
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
//- near/src/lib.rs
pub fn near() -> u32 { 15 }
//- checks/Cargo.toml
[package]
name = "checks"
version = "0.1.0"
//- checks/src/lib.rs
pub fn checks() -> u32 { 16 }
"#;

fn build(root: &str, arguments: &[&str]) -> Build {
    Build { root: Some(root.into()), package: Some("app".into()), ..Build::with(arguments) }
}

fn whole(about: &str, build: &Build, edits: &[(&str, &str, &str, Key)]) {
    check_key(about, PACKAGE, edits, |directory| at_level(directory, build, "crate", "fn f"));
}

#[test]
fn every_file_of_the_package_counts() {
    whole(
        "a library",
        &build("code/root.rs", &[]),
        &[
            ("a module", "{ 1 }", "{ 11 }", Moves),
            ("an included text", "select 2", "select 22", Moves),
            ("included code", "3 + 0", "33 + 0", Moves),
            ("a module by #[path]", "{ 4 }", "{ 44 }", Moves),
            ("a file of a folder", "b: 5", "b: 55", Moves),
            ("another root", "let _ = 6", "let _ = 66", Moves),
            ("a file that nothing names", "{ 7 }", "{ 77 }", Moves),
            ("the build script", "let _ = 8", "let _ = 88", Moves),
            ("a path dependency", "{ 15 }", "{ 1515 }", Moves),
            ("the version of a dependency", "1.0.1", "1.0.11", Moves),
            ("its contents", "checksum = \"aa\"", "checksum = \"bb\"", Moves),
            ("the manifest", "edition = \"2024\"", "edition = \"2021\"", Moves),
            (
                "what the workspace gives",
                "version = \"0.1.0\"\n[workspace.dep",
                "version = \"0.1.1\"\n[workspace.dep",
                Moves,
            ),
            (
                "the workspace's dependencies",
                "near = { path = \"near\" }",
                "near = { path = \"./near\" }",
                Moves,
            ),
            ("a patch", "patched = {", "other = {", Moves),
            ("a replacement", "\"old:1.0.0\"", "\"old:1.0.1\"", Moves),
            ("the profile", "opt-level = 1", "opt-level = 2", Moves),
            ("members", "members = [\"app\", \"near\"]", "members = [\"near\", \"app\"]", Stays),
            ("the version of what it does not use", "1.0.2", "1.0.22", Stays),
            ("a comment", "stand in comments", "stand there", Stays),
            ("another tool", "let _ = 9", "let _ = 99", Stays),
            ("a test", "{ 10 }", "{ 1010 }", Stays),
            ("what only tests use", "{ 16 }", "{ 1616 }", Stays),
        ],
    );
    // The library lies outside of `src`, and so does the root that is compiled.
    whole(
        "a tool",
        &build("tools/tool.rs", &[]),
        &[("its root", "let _ = 9", "let _ = 99", Moves), ("the library", "{ 1 }", "{ 11 }", Moves)],
    );
    let beside = [
        ("another test", "{ 11 }", "{ 1111 }", Moves),
        ("an example", "{ 12 }", "{ 1212 }", Moves),
        ("a bench", "{ 13 }", "{ 1313 }", Moves),
        ("what only tests use", "{ 16 }", "{ 1616 }", Moves),
    ];
    whole("a test", &build("tests/one.rs", &["--test"]), &beside);
    whole("an example", &build("examples/shown.rs", &[]), &beside);
    whole("unit tests", &build("code/root.rs", &["--test"]), &beside);
    whole(
        "a documentation test",
        &build("-", &[]),
        &[
            ("a comment", "in comments", "there", Moves),
            ("a text of words", "words 14", "words 1414", Moves),
            ("a file", "{ 7 }", "{ 7 } // it stands in comments", Moves),
        ],
    );
    let unread = PACKAGE.replace("[lib]", "[lib");
    check_key(
        "a manifest that cannot be read",
        &unread,
        &[("a file", "{ 7 }", "{ 77 }", Moves)],
        |directory| at_level(directory, &build("code/root.rs", &[]), "crate", "fn f"),
    );
    let unlocked = PACKAGE
        .replace("name = \"app\"\nversion = \"0.1.0\"\ndep", "name = \"apple\"\nversion = \"0.1.0\"\ndep");
    check_key(
        "a lock that does not know it",
        &unlocked,
        &[("any version", "1.0.2", "1.0.22", Moves)],
        |directory| at_level(directory, &build("code/root.rs", &[]), "crate", "fn f"),
    );
}

#[test]
fn names_of_files_and_what_is_linked_count() {
    let digest = |text: &str, arguments: &[&str]| {
        let dir = tempfile::tempdir().expect("a directory");
        common::write(dir.path(), &common::files(text));
        at_level(dir.path(), &build("code/root.rs", arguments), "crate", "fn f").digest
    };
    let before = digest(PACKAGE, &[]);
    for (from, to) in [("app/web/a.css", "app/web/b.css"), ("app/src/alone.rs", "app/src/alone_2.rs")] {
        assert_ne!(before, digest(&PACKAGE.replacen(from, to, 1), &[]), "{from}");
    }
    let linked = |file: &str| digest(PACKAGE, &["--extern", file]);
    assert_ne!(linked("near=/t/libnear-1.rlib"), linked("near=/t/libnear-2.rlib"));
    assert_ne!(linked("near=/t/libnear-1.rlib"), linked("other=/t/libnear-1.rlib"));
}

/// As with `"reachable"`, so that cargo builds again.
#[test]
fn all_files_that_were_read_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(PACKAGE));
    let file = dir.path().join("app/code/root.rs");
    let function = Function { file: Some(&file), line: 1, name: "f", tokens: "", generic: false };
    let mut session = build("code/root.rs", &[]).session(dir.path());
    session.whole(function);
    let told = session.fresh_files();
    let told: Vec<_> = told
        .iter()
        .map(|file| file.strip_prefix(dir.path()).expect("below it").display().to_string())
        .collect();
    assert_eq!(
        told,
        [
            "Cargo.lock",
            "Cargo.toml",
            "app/Cargo.toml",
            "app/build.rs",
            "app/code/below.rs",
            "app/code/code.rs",
            "app/code/root.rs",
            "app/code/text.sql",
            "app/odd/place.rs",
            "app/src/alone.rs",
            "app/src/main.rs",
            "app/web/a.css",
            "near/Cargo.toml",
            "near/src/lib.rs",
        ]
    );
}
