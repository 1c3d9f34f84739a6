//! Edits of manifests, of the lock file and of what lies beside a dependency's code; and where its package stands.

use crate::common::Key::{Moves, Stays};
use crate::common::{self, Build, check, check_build};

const LINKED: &str = r#"
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
serde = "1"
idle = "1"
twice = "1"
near-by = { path = "near" }
[build-dependencies]
serde = { path = "elsewhere" }
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["serde", "idle", "near", "twice 1.0.0 (one)"]
[[package]]
name = "serde"
version = "1.0.1"
source = "git+place#0123"
checksum = "aa"
[[package]]
name = "idle"
version = "1.0.2"
checksum = "bb"
[[package]]
name = "near"
version = "0.1.0"
dependencies = ["twice 1.0.0 (two)"]
[[package]]
name = "twice"
version = "1.0.0"
source = "one"
checksum = "cc"
[[package]]
name = "twice"
version = "1.0.0"
source = "two"
checksum = "dd"
//- src/lib.rs
#[fleche] fn f() -> u32 { serde::to_number(1) + near::go() + twice::all() }
#[wrapped(3)] mod inner { #![allow(unused)] pub fn unused() {} }
mod native { unsafe extern "C" { pub fn flip(x: u32) -> u32; } }
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2021"
description = "words"
[lib]
name = "near"
//- near/build.rs
fn main() { let _ = 4; }
//- near/src/lib.rs
pub fn go() -> u32 { 5 }
pub fn version() -> &'static str { env!("CARGO_PKG_VERSION") }
pub fn made() -> &'static str { env!("MADE_BY_THE_SCRIPT") }
//- near/data.bin
data 6
//- elsewhere/Cargo.toml
[package]
name = "serde"
version = "1.0.0"
//- elsewhere/src/lib.rs
pub fn to_number(x: u32) -> u32 { x + 7 }
//- build.rs
fn main() { let _ = 8; }
//- src/flip.c
unsigned flip(unsigned x) { return 9; }
//- notes.txt
notes 10
"#;

#[test]
fn what_the_lock_and_the_manifests_say_counts_where_it_is_used() {
    check(
        "linked",
        LINKED,
        &[
            ("a checksum", "\"aa\"", "\"ab\"", Moves),
            ("where a crate is from", "#0123", "#0124", Moves),
            ("of two of one name and version the right one", "\"cc\"", "\"cd\"", Moves),
            ("and not the other", "\"dd\"", "\"de\"", Stays),
            ("what is not used", "\"bb\"", "\"bc\"", Stays),
            ("the edition", "edition = \"2024\"", "edition = \"2021\"", Moves),
            ("that of a dependency", "edition = \"2021\"", "edition = \"2018\"", Moves),
            ("a dependency by its own name, where the manifest has another", "{ 5 }", "{ 55 }", Moves),
            ("what only the build script uses", "x + 7", "x + 77", Stays),
            ("the manifest of who asks for no variable", "\"words\"", "\"other\"", Stays),
            ("its build script", "let _ = 4", "let _ = 44", Stays),
            ("its files", "data 6", "data 66", Stays),
            ("the own build script", "let _ = 8", "let _ = 88", Stays),
        ],
    );
    let asks = LINKED.replace("near::go()", "near::version().len() as u32");
    check(
        "a variable of cargo's",
        &asks,
        &[
            ("a dependency's manifest", "\"words\"", "\"other\"", Moves),
            ("its build script", "let _ = 4", "let _ = 44", Stays),
        ],
    );
    let made = LINKED.replace("near::go()", "near::made().len() as u32");
    check(
        "a variable of a dependency's build script",
        &made,
        &[("the script", "let _ = 4", "let _ = 44", Moves), ("what it may read", "data 6", "data 66", Moves)],
    );
    let calls = LINKED.replace("near::go()", "unsafe { native::flip(1) }");
    check(
        "a function of another language",
        &calls,
        &[
            ("its source", "return 9", "return 99", Moves),
            ("the build script", "let _ = 8", "let _ = 88", Moves),
            ("other files", "notes 10", "notes 1010", Stays),
        ],
    );
}

#[test]
fn how_a_dependency_was_built_counts_where_it_is_used() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = |text: &str, linked: &[&str]| {
        common::write(dir.path(), &common::files(text));
        let arguments: Vec<&str> = linked.iter().flat_map(|linked| ["--extern", linked]).collect();
        common::reach(dir.path(), &Build::with(&arguments)).digest
    };
    let base = ["serde=/t/libserde-1.rlib", "idle=/t/libidle-1.rlib", "near=/t/libnear-1.rlib"];
    let with = |at: usize, other: &'static str| {
        let mut all = base;
        all[at] = other;
        all
    };
    let before = key(LINKED, &base);
    assert_ne!(before, key(LINKED, &with(0, "serde=/t/libserde-2.rlib")));
    assert_eq!(before, key(LINKED, &with(1, "idle=/t/libidle-2.rlib")));
    assert_ne!(before, key(LINKED, &with(2, "near=/t/libnear-2.rlib")));
    let alone = LINKED.replace("serde::to_number(1) + near::go() + twice::all()", "0");
    let before = key(&alone, &base);
    for at in 0..3 {
        let others = ["serde=/t/libserde-2.rlib", "idle=/t/libidle-2.rlib", "near=/t/libnear-2.rlib"];
        assert_eq!(before, key(&alone, &with(at, others[at])));
    }
}

#[test]
fn attributes_of_modules_count_with_what_is_in_them() {
    let text = r#"
//- src/lib.rs
#![other(1)]
#[fleche] fn f() -> u32 { inner::go() + os::go() }
#[wrapped(2)] mod inner { #![allow(unused)] #![wrapped(3)] pub fn go() -> u32 { 0 } }
#[cfg(unix)] mod os { pub fn go() -> u32 { 4 } }
#[cfg(windows)] mod os { pub fn go() -> u32 { 5 } }
#[wrapped(6)] mod idle { pub fn go() {} }
"#;
    check(
        "modules",
        text,
        &[
            ("of the crate", "other(1)", "other(11)", Moves),
            ("before a module", "wrapped(2)", "wrapped(22)", Moves),
            ("in it", "wrapped(3)", "wrapped(33)", Moves),
            ("lints", "allow(unused)", "deny(unused)", Stays),
            ("of another module", "wrapped(6)", "wrapped(66)", Stays),
            (
                "conditions that change places",
                "#[cfg(unix)] mod os { pub fn go() -> u32 { 4 } }\n#[cfg(windows)]",
                "#[cfg(windows)] mod os { pub fn go() -> u32 { 4 } }\n#[cfg(unix)]",
                Moves,
            ),
        ],
    );
    // Where the conditions stand in a macro, the order of what they are for says which is meant.
    let text = r#"
//- src/lib.rs
cfg_if! { if #[cfg(unix)] { mod os { pub fn go() -> u32 { deep::go() } pub mod deep { pub fn go() -> u32 { 1 } } } fn plain() -> u32 { 3 } }
else if #[cfg(windows)] { mod os { pub fn go() -> u32 { deep::go() } pub mod deep { pub fn go() -> u32 { 2 } } } fn plain() -> u32 { 4 } }
else { mod os { pub fn go() -> u32 { deep::go() } pub mod deep { pub fn go() -> u32 { 5 } } } fn plain() -> u32 { 6 } } }
#[fleche] fn f() -> u32 { os::go() + plain() }
"#;
    let swapped = |a: &str, b: &str| text.replace(a, "{ 9 }").replace(b, a).replace("{ 9 }", b);
    let digest = |text: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        common::write(dir.path(), &common::files(text));
        common::reach(dir.path(), &Build::default()).digest
    };
    assert_ne!(digest(text), digest(&swapped("{ 1 }", "{ 2 }")), "modules");
    assert_ne!(digest(text), digest(&swapped("{ 2 }", "{ 5 }")), "neither the first module");
    assert_ne!(digest(text), digest(&swapped("{ 3 }", "{ 4 }")), "functions");
    assert_ne!(digest(text), digest(&swapped("{ 4 }", "{ 6 }")), "neither the first function");
}

/// What was read is told, so that the compiler looks at it, and cargo builds again when only that changes.
#[test]
fn all_files_that_were_read_are_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = LINKED
        .replace("near::go()", "near::made().len() as u32 + include_str!(\"../notes.txt\").len() as u32");
    common::write(dir.path(), &common::files(&text));
    let file = dir.path().join("src/lib.rs");
    let function =
        fleche_code::session::Function { file: Some(&file), line: 1, name: "f", tokens: "", generic: false };
    let told = |files: Vec<std::path::PathBuf>| -> Vec<String> {
        files
            .iter()
            .map(|file| file.strip_prefix(dir.path()).expect("below it").display().to_string())
            .collect()
    };
    let mut session = Build::default().session(dir.path());
    assert_eq!(session.reachable(function).report.level, "reachable");
    assert_eq!(
        told(session.fresh_files()),
        [
            "Cargo.lock",
            "Cargo.toml",
            "near/Cargo.toml",
            "near/build.rs",
            "near/data.bin",
            "near/src/lib.rs",
            "notes.txt",
            "src/lib.rs",
        ]
    );
    assert!(session.fresh_files().is_empty());
}

#[test]
fn packages_by_other_names() {
    let text = r#"
//- Cargo.toml
[workspace]
[workspace.package]
edition = "2021"
[patch.crates-io]
far = { path = "patched", package = "far-away" }
//- app/Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition.workspace = true
workspace = ".."
[dependencies]
near-by = { path = "../near" }
far-away = "1"
[dev-dependencies]
checks = { path = "../checks" }
//- app/src/lib.rs
#[fleche] fn f() -> u32 { other::go() + far_away::go() + checked() }
#[cfg(test)] fn checked() -> u32 { checks::go() }
#[cfg(not(test))] fn checked() -> u32 { 0 }
//- near/Cargo.toml
[package]
name = "near-by"
version = "0.1.0"
[lib]
name = "other"
//- near/src/lib.rs
pub fn go() -> u32 { 1 }
//- patched/Cargo.toml
[package]
name = "far-away"
version = "1.0.0"
//- patched/src/lib.rs
pub fn go() -> u32 { 2 }
//- checks/Cargo.toml
[package]
name = "checks"
version = "0.1.0"
//- checks/src/lib.rs
pub fn go() -> u32 { 3 }
"#;
    let build = |arguments: &[&str]| Build { package: Some("app".into()), ..Build::with(arguments) };
    check_build(
        "names",
        text,
        &build(&[]),
        &[
            ("a library of another name", "{ 1 }", "{ 11 }", Moves),
            ("a patch by another name", "{ 2 }", "{ 22 }", Moves),
            ("the workspace's edition", "edition = \"2021\"", "edition = \"2024\"", Moves),
            ("what only tests use", "{ 3 }", "{ 33 }", Stays),
        ],
    );
    check_build(
        "names in a test",
        text,
        &build(&["--test"]),
        &[("what only tests use", "{ 3 }", "{ 33 }", Moves)],
    );
}

#[test]
fn what_a_macro_of_the_workspace_quotes() {
    let text = r#"
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
[dependencies]
maker = { path = "maker" }
//- src/lib.rs
struct A;
impl A { fn go(&self) -> u32 { 1 } fn idle(&self) -> u32 { 300 } }
fn helper() -> u32 { 2 }
fn idle() -> u32 { 400 }
#[maker::make] fn made(a: A) -> u32 { 0 }
#[fleche] fn f() -> u32 { made(A) }
//- maker/Cargo.toml
[package]
name = "maker"
version = "0.1.0"
[lib]
proc-macro = true
//- maker/src/lib.rs
#[proc_macro_attribute] pub fn make(_: TokenStream, item: TokenStream) -> TokenStream { idle(3); quote! { helper() + a.go() }.into() }
fn idle(_: u32) {}
"#;
    check(
        "quoted",
        text,
        &[
            ("a method", "{ 1 }", "{ 11 }", Moves),
            ("a function", "{ 2 }", "{ 22 }", Moves),
            ("the macro", "idle(3)", "idle(33)", Moves),
            ("another method", "300", "301", Stays),
        ],
    );
}
