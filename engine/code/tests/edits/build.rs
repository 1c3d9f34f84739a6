//! Edits of what lies beside the code: other packages, the lock file, files that code includes, and what the compiler is told.

use std::process::Command;

use fleche_code::CodeDigest;
use fleche_code::session::Function;

use crate::common::Key::{Moves, Stays};
use crate::common::{self, Build, at_level, check, check_build};

#[test]
fn attributes_and_derives() {
    let text = r#"
//- src/lib.rs
use serde::{Deserialize, Serialize};
#[derive(Serialize, Deserialize)]
struct Config { #[serde(default = "fallback")] a: u32, #[serde(with = "as_text")] b: u32, #[serde(skip_serializing_if = "Config::hide")] c: u32 }
impl Config { fn hide(x: &u32) -> bool { *x == 3 } fn never(&self) -> u32 { 600 } }
fn fallback() -> u32 { 1 }
mod as_text { pub fn serialize() -> u32 { 2 } pub fn deserialize() -> u32 { 4 } }
mod as_bytes { pub fn serialize() -> u32 { 500 } }
fn unrelated() -> u32 { 700 }
#[fleche] fn f(x: &str) -> u32 { let c: Config = serde_json::from_str(x).unwrap(); c.a }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
serde = "1"
serde_json = "1"
rand = "0.8"
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["serde", "serde_json", "rand"]
[[package]]
name = "serde"
version = "1.0.1"
[[package]]
name = "serde_json"
version = "1.0.2"
dependencies = ["itoa"]
[[package]]
name = "itoa"
version = "1.0.3"
[[package]]
name = "rand"
version = "0.8.4"
"#;
    check(
        "attributes",
        text,
        &[
            ("a function named in an attribute", "-> u32 { 1 }", "-> u32 { 11 }", Moves),
            ("a module named in an attribute", "{ 2 }", "{ 22 }", Moves),
            ("its other function", "{ 4 }", "{ 44 }", Moves),
            ("an associated function named in an attribute", "*x == 3", "*x == 33", Moves),
            ("the attribute", "with = \"as_text\"", "with = \"as_bytes\"", Moves),
            ("a derive", "Serialize, Deserialize)]", "Deserialize)]", Moves),
            ("a module that no attribute names", "500", "501", Stays),
            ("a method that no attribute names", "600", "601", Stays),
            ("an unrelated function", "700", "701", Stays),
            ("a dependency's version", "1.0.2", "1.0.22", Moves),
            ("the version of what it depends on", "1.0.3", "1.0.33", Moves),
            ("the version of a dependency that is not used", "0.8.4", "0.8.44", Stays),
        ],
    );
}

const WORKSPACE: &str = r#"
//- Cargo.toml
[workspace]
members = ["app", "near", "far"]
[workspace.dependencies]
near-by = { path = "near", package = "near" }
//- app/Cargo.toml
[package]
name = "app"
version = "0.1.0"
edition = "2024"
[dependencies]
near-by.workspace = true
//- app/src/lib.rs
pub fn lib_used(x: u32) -> u32 { x + 1 }
pub fn lib_idle(x: u32) -> u32 { x + 200 }
//- app/src/main.rs
use near_by::Thing;
mod part;
#[fleche] fn f(x: u32) -> u32 { app::lib_used(x) + Thing::new(x).go() + near_by::reexported(x) + near_by::shout!(x) + part::p() }
fn main() {}
//- app/src/part.rs
pub fn p() -> u32 { 3 }
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
[dependencies]
far = { path = "../far" }
//- near/src/lib.rs
pub use far::reexported;
pub struct Thing(u32);
impl Thing { pub fn new(x: u32) -> Thing { Thing(x + 4) } pub fn go(&self) -> u32 { helper(self.0) } pub fn idle(&self) -> u32 { 500 } }
impl Drop for Thing { fn drop(&mut self) { let _ = 6; } }
fn helper(x: u32) -> u32 { x * 7 }
pub fn unrelated() -> u32 { 800 }
#[macro_export] macro_rules! shout { ($x:expr) => { $crate::loud($x) } }
pub fn loud(x: u32) -> u32 { x + 9 }
//- far/Cargo.toml
[package]
name = "far"
version = "0.1.0"
//- far/src/lib.rs
pub fn reexported(x: u32) -> u32 { x + 10 }
pub fn hidden() -> u32 { 1100 }
"#;

#[test]
fn path_dependencies_and_the_own_library() {
    let build = Build { root: Some("src/main.rs".into()), package: Some("app".into()), ..Build::default() };
    check_build(
        "workspace",
        WORKSPACE,
        &build,
        &[
            ("the library of the same package", "x + 1 }", "x + 11 }", Moves),
            ("its other function", "x + 200", "x + 201", Stays),
            ("a module of the binary", "{ 3 }", "{ 33 }", Moves),
            ("a renamed dependency's function", "x + 4)", "x + 44)", Moves),
            ("its private helper", "x * 7", "x * 77", Moves),
            ("its Drop", "let _ = 6", "let _ = 66", Moves),
            ("through a re-export of its dependency", "x + 10", "x + 11", Moves),
            ("through its macro", "x + 9", "x + 99", Moves),
            ("its other method", "500", "501", Stays),
            ("its other function", "800", "801", Stays),
            ("its dependency's other function", "1100", "1101", Stays),
            ("a comment in it", "pub use far::reexported;", "pub use far::reexported; // x", Stays),
        ],
    );
}

#[test]
fn cfg_features_environment_and_tests() {
    let text = r#"
//- src/lib.rs
#[cfg(test)] fn now() -> u32 { 100 }
#[cfg(not(test))] fn now() -> u32 { 2 }
#[cfg(feature = "fast")] fn speed() -> u32 { 3 }
#[cfg(not(feature = "fast"))] fn speed() -> u32 { 4 }
#[fleche] fn f() -> u32 { now() + speed() + attributed() + if cfg!(special) { 1 } else { 0 } + env!("FLECHE_CODE_TEST").len() as u32 }
#[cfg(feature = "module")] mod m { pub fn go() -> u32 { 5 } } #[cfg(not(feature = "module"))] mod m { pub fn go() -> u32 { 6 } }
#[cfg(feature = "import")] use a::go; #[cfg(not(feature = "import"))] use b::go;
mod a { pub fn go() -> u32 { 7 } } mod b { pub fn go() -> u32 { 8 } }
#[cfg_attr(feature = "attribute", inline)] fn attributed() -> u32 { m::go() + go() }
#[cfg(test)] mod tests { fn helper() -> u32 { 500 } #[test] fn t() { super::f(); } }
"#;
    check(
        "cfg",
        text,
        &[
            ("what only tests have", "100", "101", Stays),
            ("what tests do not have", "{ 2 }", "{ 22 }", Moves),
            ("with the feature", "{ 3 }", "{ 33 }", Moves),
            ("a test", "500", "501", Stays),
        ],
    );
    let arguments = |list: &[&str]| Build {
        arguments: list.iter().map(|s| (*s).to_owned()).collect(),
        ..Build::default()
    };
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(text));
    let plain = common::reach(dir.path(), &Build::default());
    for option in ["debug_assertions", "test"] {
        assert!(plain.options.iter().any(|asked| asked == option), "the compiler is asked for {option}");
    }
    let plain = plain.digest;
    for list in [
        &["--cfg", "feature=\"fast\""][..],
        &["--cfg", "feature=\"module\""],
        &["--cfg", "feature=\"import\""],
        &["--cfg", "feature=\"attribute\""],
        &["--cfg", "special"],
        &["--test"],
        &["-C", "overflow-checks=off"],
    ] {
        assert_ne!(plain, common::reach(dir.path(), &arguments(list)).digest, "{list:?}");
    }
    assert_eq!(plain, common::reach(dir.path(), &arguments(&["--cfg", "feature=\"unrelated\""])).digest);
}

#[test]
fn a_variable_of_the_compilers_environment_counts_by_its_value() {
    let key = |value: &str| {
        let printed = Command::new(std::env::current_exe().expect("this test"))
            .args(["build::prints_a_key", "--exact", "--ignored", "--nocapture"])
            .env("FLECHE_CODE_TEST", value)
            .output()
            .expect("this test");
        let printed = String::from_utf8(printed.stdout).expect("text");
        let keys = printed.lines().filter_map(|line| line.strip_prefix("key ").map(str::to_owned));
        keys.collect::<Vec<_>>()
    };
    let (a, b) = (key("a"), key("b"));
    assert_eq!(a, key("a"));
    assert_eq!(a.len(), 7);
    for (at, (a, b)) in a.iter().zip(&b).enumerate() {
        assert_ne!(a, b, "of program {at}");
    }
}

#[test]
#[ignore = "only a process of its own has another environment"]
fn prints_a_key() {
    let text = "//- src/lib.rs\n#[fleche] fn f() -> &'static str { env!(\"FLECHE_CODE_TEST\"); option_env!(\"FLECHE_CODE_OTHER\"); include!(concat!(env!(\"OUT_DIR\"), \"/none.rs\")) }\n";
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(text));
    let reached = common::reach(dir.path(), &Build::default());
    // Where the build script writes to is another place in each checkout.
    assert_eq!(reached.environment, ["FLECHE_CODE_OTHER", "FLECHE_CODE_TEST"]);
    println!("\nkey {:?}", reached.digest);
    // Names that are put together, or that a macro's caller gives.
    for text in [
        "//- src/lib.rs\n#[fleche] fn f() -> &'static str { env!(concat!(\"FLECHE_\", \"CODE_TEST\"), \"none\") }\n",
        "//- src/lib.rs\nmacro_rules! var { ($n:literal) => { option_env!($n) } } #[fleche] fn f() { var!(\"FLECHE_CODE_TEST\"); }\n",
        "//- src/lib.rs\nmacro_rules! var { ($n:ident) => { option_env!(concat!(\"FLECHE_\", stringify!($n))) } } #[fleche] fn f() { var!(CODE_TEST); }\n",
    ] {
        common::write(dir.path(), &common::files(text));
        println!("\nkey {:?}", common::reach(dir.path(), &Build::default()).digest);
    }
    for level in ["crate", "module", "body"] {
        let tokens = "fn f() { env!(\"FLECHE_CODE_TEST\") }";
        common::write(dir.path(), &common::files(&format!("//- src/lib.rs\n#[fleche] {tokens}\n")));
        println!("\nkey {:?}", at_level(dir.path(), &Build::default(), level, tokens).digest);
    }
}

#[test]
fn options_that_only_a_macros_caller_knows() {
    for text in [
        "macro_rules! on { ($f:literal) => { cfg!(feature = $f) } } #[fleche] fn f() -> bool { on!(\"fast\") }",
        "macro_rules! gated { ($p:meta, $($i:tt)*) => { #[cfg($p)] $($i)* } } gated!(feature = \"fast\", fn g() {}); #[fleche] fn f() { g() }",
        "cfg_select! { feature = \"fast\" => { fn g() {} } _ => { fn g() {} } } #[fleche] fn f() { g() }",
        "#[fleche] fn f() -> u32 { cfg_select! { feature = \"fast\" => 1, _ => 2 } }",
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        common::write(dir.path(), &common::files(&format!("//- src/lib.rs\n{text}\n")));
        let plain = common::reach(dir.path(), &Build::default()).digest;
        let fast = Build::with(&["--cfg", "feature=\"fast\""]);
        assert_ne!(plain, common::reach(dir.path(), &fast).digest, "{text}");
    }
}

#[test]
fn files_that_code_includes() {
    let text = r#"
//- src/lib.rs
#[path = "odd/place.rs"] mod placed;
include!("part.in");
mod generated { include!(concat!(env!("OUT_DIR"), "/generated.rs")); }
#[derive(Template)] #[template(path = "page.html")] struct Page;
#[fleche] fn f() -> usize { far::load!("code.rs"); placed::p() + from_part() + include_str!("query.sql").len() + generated::made() + render(Page) + { include!("expr.in") } }
fn render<T>(_: T) -> usize { 0 }
fn only_in_expr() -> usize { 6 }
fn only_in_code() -> usize { 8 }
fn unrelated() -> &'static str { include_str!("other.sql") }
//- src/odd/place.rs
pub fn p() -> usize { 1 }
//- src/part.in
fn from_part() -> usize { 2 }
fn idle_part() -> usize { 200 }
//- src/code.rs
only_in_code()
//- src/query.sql
select 3
//- src/other.sql
select 300
//- src/expr.in
only_in_expr() + 7
//- out/generated.rs
pub fn made() -> usize { 4 }
//- templates/page.html
<p>5</p>
"#;
    check(
        "files",
        text,
        &[
            ("a module by #[path]", "{ 1 }", "{ 11 }", Moves),
            ("an included item", "{ 2 }", "{ 22 }", Moves),
            ("its neighbour", "200", "201", Stays),
            ("an included text", "select 3\n", "select 33\n", Moves),
            ("a text that another function includes", "select 300", "select 301", Stays),
            ("the build script's output", "{ 4 }", "{ 44 }", Moves),
            ("a template", "<p>5", "<p>55", Moves),
            ("an included expression", "+ 7", "+ 77", Moves),
            ("what it calls", "{ 6 }", "{ 66 }", Moves),
            ("what code calls that a macro of another crate reads", "{ 8 }", "{ 88 }", Moves),
        ],
    );
}

/// The digests of an empty function at each level that counts more than its tokens.
fn at_levels(text: &str, build: &Build, tokens: &str) -> Vec<(&'static str, CodeDigest)> {
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(text));
    let levels = ["reachable", "module", "crate"];
    levels.map(|level| (level, at_level(dir.path(), build, level, tokens).digest)).into()
}

#[test]
fn what_the_compiler_is_told_counts() {
    let text = "//- src/lib.rs\n#[fleche] fn f() {}\n//- arguments\n-C\npanic=abort\n--cfg\nx\n";
    let plain = at_levels(text, &Build::default(), "fn f");
    for arguments in [
        &["--target", "wasm32-wasip1"][..],
        &["-C", "panic=abort"],
        &["-Cpanic=abort"],
        &["--codegen=panic=abort"],
        &["-C", "overflow-checks=off"],
        &["-C", "target-feature=+avx2"],
        &["-C", "target-cpu=native"],
        &["@arguments"],
    ] {
        for ((level, before), (_, after)) in
            plain.iter().zip(at_levels(text, &Build::with(arguments), "fn f"))
        {
            assert_ne!(*before, after, "{level} {arguments:?}");
        }
    }
    let feature = at_levels(text, &Build::with(&["--cfg", "feature=\"any\""]), "fn f");
    // Where tokens are not looked at, or not all of them, any option may matter.
    let moved = plain.iter().zip(&feature).map(|(before, after)| before != after);
    assert_eq!(moved.collect::<Vec<_>>(), [false, true, true]);
    // The order in which cargo names features is none.
    let both = |one: &str, two: &str| at_levels(text, &Build::with(&["--cfg", one, "--cfg", two]), "fn f");
    assert_eq!(both("a", "b"), both("b", "a"));
}

#[test]
fn what_only_the_compiler_knows_is_asked_for() {
    let text = "//- src/lib.rs\n#[fleche] fn f() { if cfg!(target_feature = \"avx2\") { g() } }\n#[cfg(windows)] fn g() {}\n#[cfg(not(windows))] fn g() {}\n";
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(text));
    let tokens = "fn f() { if cfg!(target_feature = \"avx2\") { g() } }";
    let asked = |level: &str| at_level(dir.path(), &Build::default(), level, tokens).options;
    for level in ["body", "module", "crate"] {
        let always = ["debug_assertions", "test"].into_iter();
        let named = (level == "body").then_some("target_feature = \"avx2\"");
        assert_eq!(asked(level), always.chain(named).collect::<Vec<_>>(), "{level}");
    }
    assert_eq!(asked("reachable"), ["debug_assertions", "test", "target_feature = \"avx2\"", "windows"]);
}

/// Of a function by itself nothing is read, and what it asks of the build counts nevertheless.
#[test]
fn the_body_counts_with_the_options_that_it_names() {
    let text = "//- src/lib.rs\nfn g() {}\n";
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(text));
    let key = |tokens: &str, arguments: &[&str]| {
        at_level(dir.path(), &Build::with(arguments), "body", tokens).digest
    };
    for tokens in [
        "fn f() -> bool { cfg!(feature = \"fast\") }",
        "fn f() { #[cfg(feature = \"fast\")] g() }",
        "#[cfg_attr(feature = \"fast\", inline)] fn f() {}",
    ] {
        assert_ne!(key(tokens, &[]), key(tokens, &["--cfg", "feature=\"fast\""]), "{tokens}");
        assert_eq!(key(tokens, &[]), key(tokens, &["--cfg", "feature=\"other\""]), "{tokens}");
    }
}

/// Two that a macro wrote may have all else in common.
#[test]
fn a_functions_own_tokens_count_at_each_level() {
    let text = "//- src/lib.rs\n#[fleche] fn f() {}\n";
    let (one, two) = (
        at_levels(text, &Build::default(), "fn f() { 1 }"),
        at_levels(text, &Build::default(), "fn f() { 2 }"),
    );
    for ((level, one), (_, two)) in one.iter().zip(&two) {
        assert_ne!(one, two, "{level}");
    }
}

/// A package's library and its binary have one name, so their functions may have.
#[test]
fn the_crate_that_a_function_is_in_counts() {
    let text =
        "//- src/lib.rs\n#[fleche] fn f() {} mod helper;\n//- src/main.rs\n#[fleche] fn f() {} mod helper;\n";
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(text));
    let key = |root: &str, name: &str, level: &str| {
        let build = Build { root: Some(root.into()), ..Build::with(&["--crate-name", name]) };
        at_level(dir.path(), &build, level, "fn f() { helper() }").digest
    };
    for level in ["nothing", "body", "module", "crate"] {
        assert_ne!(key("src/lib.rs", "demo", level), key("src/main.rs", "demo", level), "{level}");
    }
    for (root, name) in [("src/lib.rs", "demo"), ("src/main.rs", "other")] {
        assert_eq!(key(root, name, "nothing").0, [0; 32], "no code counts in {root}");
    }
}

#[test]
fn what_cannot_be_seen_is_the_whole_crate() {
    let text = "//- src/lib.rs\n#[fleche] fn f() {}\nmod a { include!(\"two.in\"); } mod b { include!(\"two.in\"); }\n\
                fn r#type() { #[fleche] fn r#f() {} }\ntype A = [u8; { #[fleche] fn f() {} 1 }];\n//- src/two.in\n#[fleche] fn f() {}\n";
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(text));
    let (lib, two) = (dir.path().join("src/lib.rs"), dir.path().join("src/two.in"));
    let known = Function { file: Some(&lib), line: 1, name: "f", tokens: "", generic: false };
    let mut session = Build::default().session(dir.path());
    for (function, level) in [
        (known, "reachable"),
        (Function { generic: true, ..known }, "crate"),
        (Function { line: 2, ..known }, "crate"),
        (Function { line: 3, name: "r#f", ..known }, "reachable"),
        (Function { line: 4, ..known }, "crate"),
        (Function { name: "g", ..known }, "crate"),
        (Function { file: None, ..known }, "crate"),
        (Function { file: Some(&two), ..known }, "crate"),
    ] {
        assert_eq!(session.reachable(function).report.level, level, "{function:?}");
    }
    assert_eq!(session.module(Function { file: None, ..known }).report.level, "crate");
}

#[cfg(unix)]
#[test]
fn a_file_is_known_by_another_way_to_it() {
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files("//- src/lib.rs\n#[fleche] fn f() {}\n"));
    std::os::unix::fs::symlink(dir.path().join("src"), dir.path().join("other")).expect("a link");
    let file = dir.path().join("other/lib.rs");
    let function = Function { file: Some(&file), line: 1, name: "f", tokens: "", generic: false };
    assert_eq!(Build::default().session(dir.path()).reachable(function).report.level, "reachable");
}

#[test]
fn the_name_of_a_file_that_a_macro_reads_counts() {
    let text = "//- src/lib.rs\n#[derive(Embed)] #[folder = \"web\"] struct Web;\n#[fleche] fn f() -> Web { Web }\n//- web/a.css\nb\n";
    let key = |text: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        common::write(dir.path(), &common::files(text));
        common::reach(dir.path(), &Build::default()).digest
    };
    assert_ne!(key(text), key(&text.replace("web/a.css", "web/b.css")));
}
