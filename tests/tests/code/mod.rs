//! The generated workspace: a library with a binary, path dependencies of which one is macros, a crate from a registry
//! in a directory, and a module of the binary for each case.

pub(crate) mod cases;

use std::fmt::Write as _;
use std::path::Path;

use crate::scratch::PROFILE;

pub(crate) use cases::CASES;

/// An edit of another file than the function's: function, call, file, text, other text.
pub(crate) type Edit = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// One edit each that must move the key of a function of the module `special`, and change what it returns.
pub(crate) const EDITS: &[Edit] = &[
    ("path_attribute", "(3)", "app/src/odd/place.rs", "x + 1", "x + 2"),
    ("module_in_directory", "(3)", "app/src/special/tree/mod.rs", "x + 1", "x + 2"),
    ("included_code", "(3)", "app/src/taken.in", "x + 1", "x + 2"),
    ("included_expression", "()", "app/src/number.in", "10", "11"),
    ("included_text", "()", "app/query.sql", "select 1", "select 2"),
    ("included_by_macro", "()", "app/templates/page.html", "<p>", "<b>"),
    ("included_bytes", "()", "app/bytes.bin", "12", "21"),
    ("put_together", "()", "app/sql/users.txt", "users 1", "users 2"),
    ("of_variable", "()", "app/named.txt", "named 1", "named 2"),
    ("made_modules", "(3)", "app/src/special/made.rs", "x + 1", "x + 2"),
    ("version_of_package", "()", "app/Cargo.toml", "version = \"0.1.0\" # own", "version = \"0.1.1\" # own"),
    ("own_library", "(3)", "app/src/lib.rs", "x + 40", "x + 41"),
    ("renamed_dependency", "(3)", "near/src/lib.rs", "x + 1 }", "x + 11 }"),
    ("macro_of_dependency", "(3)", "near/src/lib.rs", "$x + 20", "$x + 21"),
    ("trait_of_dependency", "(3)", "near/src/lib.rs", "self.base() + 30", "self.base() + 31"),
    ("reexport_of_dependency", "(3)", "far/src/lib.rs", "x + 2", "x + 22"),
    ("build_script", "(3)", "app/build.rs", "{ 3 }", "{ 33 }"),
    ("derive_of_workspace", "()", "maker/src/lib.rs", "{ 50 }", "{ 51 }"),
    ("attribute_of_workspace", "(3)", "maker/src/lib.rs", "u32 = 60", "u32 = 61"),
    (
        "locked_version",
        "()",
        "Cargo.lock",
        "name = \"locked\"\nversion = \"1.0.1\"",
        "name = \"locked\"\nversion = \"1.0.0\"",
    ),
    ("made_by_macro", "(3)", "app/src/special.rs", "$x + 70", "$x + 71"),
    ("made_by_dependency", "(3)", "near/src/lib.rs", "x + $n + 80", "x + $n + 81"),
    ("small", "(3)", "small/src/lib.rs", "{ 90 }", "{ 91 }"),
];

/// Functions that none of those edits reaches, of the package that has nearly all of them.
pub(crate) const KEPT: [&str; 4] = [
    "app::special::control",
    "app::special::feature",
    "app::special::variable",
    "app::case_twins::second::inner",
];

/// The functions of [`EDITS`], and what they need.
const SPECIAL: &str = r#"//! Functions with code in many places.
use fleche::fleche;
#[path = "odd/place.rs"] mod placed;
mod tree;
mod taken { include!("taken.in"); }
mod built { include!(concat!(env!("OUT_DIR"), "/made.rs")); }
#[fleche] pub fn control(x: u32) -> u32 { idle(x) }
fn idle(x: u32) -> u32 { x }
#[fleche] pub fn path_attribute(x: u32) -> u32 { placed::go(x) }
#[fleche] pub fn module_in_directory(x: u32) -> u32 { tree::go(x) }
#[fleche] pub fn included_code(x: u32) -> u32 { taken::go(x) }
#[fleche] pub fn included_expression() -> u32 { include!("number.in") }
#[fleche] pub fn included_text() -> String { include_str!("../query.sql").to_owned() }
macro_rules! template { ($path:literal) => { include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path)) }; }
#[fleche] pub fn included_by_macro() -> String { template!("page.html").to_owned() }
#[fleche] pub fn included_bytes() -> Vec<u8> { include_bytes!("../bytes.bin").to_vec() }
macro_rules! sql { ($name:ident) => { include_str!(concat!("../sql/", stringify!($name), ".txt")) }; }
#[fleche] pub fn put_together() -> String { sql!(users).to_owned() }
#[fleche] pub fn of_variable() -> String { include_str!(env!("FLECHE_TEST_NAMED")).to_owned() }
macro_rules! modules { ($($name:ident),*) => { $(mod $name;)* }; }
modules!(made);
#[fleche] pub fn made_modules(x: u32) -> u32 { made::go(x) }
#[fleche] pub fn version_of_package() -> String { env!("CARGO_PKG_VERSION").to_owned() }
#[fleche] pub fn own_library(x: u32) -> u32 { app::forty(x) }
#[fleche] pub fn renamed_dependency(x: u32) -> u32 { near_by::plus(x) }
#[fleche] pub fn macro_of_dependency(x: u32) -> u32 { near_by::nearly!(x) }
#[fleche] pub fn trait_of_dependency(x: u32) -> u32 { use near_by::Upper as _; x.upper() }
#[fleche] pub fn reexport_of_dependency(x: u32) -> u32 { near_by::through(x) }
#[fleche] pub fn build_script(x: u32) -> u32 { x + built::made() }
pub use wide::{attribute_of_workspace, derive_of_workspace};
#[fleche] pub fn locked_version() -> u32 { locked::value() }
macro_rules! cached { ($name:ident, $x:ident) => { #[fleche] pub fn $name($x: u32) -> u32 { $x + 70 } }; }
cached!(made_by_macro, given);
near_by::cached!(made_by_dependency, 1);
pub use small::f as small;
#[fleche] pub fn variable() -> String { option_env!("FLECHE_TEST_VARIABLE").unwrap_or("").to_owned() }
#[fleche] pub fn feature() -> bool { cfg!(feature = "fast") }
// Functions that have one full name and the same tokens.
macro_rules! twin {
    ($n:literal, $x:ident) => {{
        #[fleche] fn twin(x: u32) -> u32 { helper(x) }
        fn helper(x: u32) -> u32 { x + $n }
        twin($x)
    }};
}
pub fn twins(x: u32) -> [u32; 2] { [twin!(1, x), twin!(2, x)] }
pub fn in_a_line(x: u32) -> [u32; 2] {
    [{ #[fleche] fn same(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 1 } same(x) }, { #[fleche] fn same(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 2 } same(x) }]
}
pub fn of_own_tokens(x: u32) -> [u32; 2] {
    [{ #[fleche(hash_code = "body")] fn own(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 1 } own(x) },
     { #[fleche(hash_code = "body")] fn own(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 2 } own(x) }]
}
pub fn of_no_code(x: u32) -> [u32; 2] {
    [{ #[fleche(hash_code = false)] fn none(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 1 } none(x) },
     { #[fleche(hash_code = false)] fn none(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 2 } none(x) }]
}
struct Of<T>(T);
impl Of<u8> { fn go(self) -> u32 { #[fleche] fn part(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 1 } part(self.0.into()) } }
impl Of<u16> { fn go(self) -> u32 { #[fleche] fn part(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 2 } part(self.0.into()) } }
pub fn of_impls(x: u32) -> [u32; 2] { [Of(x as u8).go(), Of(x as u16).go()] }
macro_rules! other {
    ($n:literal, $x:ident) => {{
        #[fleche] fn other(x: u32) -> u32 { x + $n }
        other($x)
    }};
}
pub fn of_other_tokens(x: u32) -> [u32; 2] { [other!(1, x), other!(2, x)] }
type Called = fn(u32) -> u32;
const _: () = { #[fleche(hash_code = "body")] pub fn part(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 1 } impl Get for [u8; 1] { fn get() -> Called { part } } };
const _: () = { #[fleche(hash_code = "body")] pub fn part(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 2 } impl Get for [u8; 2] { fn get() -> Called { part } } };
trait Get { fn get() -> Called; }
pub fn of_constants(x: u32) -> [u32; 2] { [<[u8; 1]>::get()(x), <[u8; 2]>::get()(x)] }
pub fn of_two_crates(x: u32) -> [u32; 2] { [both::in_both(x), app::special::both::in_both(x)] }
mod both { #[fleche::fleche(hash_code = "body")] pub fn in_both(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 1 } }
pub fn of_two_without_code(x: u32) -> [u32; 2] { [bare::in_both(x), app::special::bare::in_both(x)] }
mod bare { #[fleche::fleche(hash_code = false)] pub fn in_both(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 1 } }
"#;

/// Functions of `special` that call two of one full name and the same tokens, and what those add.
pub(crate) const TWINS: [&str; 9] = [
    "twins",
    "in_a_line",
    "of_own_tokens",
    "of_no_code",
    "of_impls",
    "of_other_tokens",
    "of_constants",
    "of_two_crates",
    "of_two_without_code",
];

const MAIN: &str = r#"
/// What the call returns without the cache, and with it.
fn show(name: &str, truth: impl std::fmt::Debug, cached: impl std::fmt::Debug) {
    println!("result\t{name}\t{truth:?}\t{cached:?}");
}
fn main() {
    case_atomic::set();
    case_registered_object::setup();
    if std::env::args().nth(1).as_deref() == Some("code") {
        for function in fleche::functions() { println!("{}", function.covered()); }
        return;
    }
    for function in fleche::functions() {
        let digest: String = function.code.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
        println!("key\t{}\t{digest}", (function.full_name)());
    }
    let directory = std::env::args().nth(1).expect("a directory");
    let cache = fleche::Cache::open(std::path::PathBuf::from(directory)).expect("a cache");
    let _scope = fleche::cache(&cache).expect("in scope");
"#;

fn main_file() -> String {
    let mut text = String::from(
        "//! Prints the code digest of each cached function and what it returns, or what it covers.\n#![allow(dead_code, unused_macros)]\nmod special;\n",
    );
    for case in CASES {
        let _ = writeln!(text, "mod {};", case.name);
    }
    text.push_str(MAIN);
    for case in CASES {
        let (name, call) = (case.name, case.call);
        let truth = match call.strip_prefix("f(") {
            Some(arguments) => format!("f::uncached({arguments}"),
            None => call.to_owned(),
        };
        let _ = writeln!(text, "    show(\"{name}\", {name}::{truth}, {name}::{call});");
    }
    for (name, call, ..) in EDITS {
        let _ =
            writeln!(text, "    show(\"{name}\", special::{name}::uncached{call}, special::{name}{call});");
    }
    for name in TWINS {
        let _ = writeln!(text, "    show(\"{name}\", [4, 5], special::{name}(3));");
    }
    text.push_str("}\n");
    text
}

fn manifest(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\" # own\nedition = \"2024\"\n{rest}")
}

/// Every file of the workspace but the lock file.
pub(crate) fn files(engine: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for case in CASES {
        let code = case.code.replacen("] fn f(", "] pub fn f(", 1);
        files.push((format!("app/src/{}.rs", case.name), format!("use fleche::fleche;\n{code}\n")));
    }
    let engine = format!("fleche = {{ path = '{}' }}\n", engine.display());
    let app = format!(
        "[features]\nfast = []\n[dependencies]\n{engine}serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n\
         thiserror = \"2\"\nnear-by.workspace = true\nsmall = {{ path = \"../small\" }}\nwide = {{ path = \"../wide\" }}\n\
         locked = {{ version = \"1\", registry = \"here\" }}\n"
    );
    let vendored = |version: &str| {
        format!("[package]\nname = \"locked\"\nversion = \"{version}\"\nedition = \"2024\"\n")
    };
    let fixed: Vec<(&str, String)> = vec![
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"near\", \"far\", \"maker\", \"small\", \"wide\"]\n[workspace.dependencies]\n\
             near-by = { path = \"near\", package = \"near\" }\n[profile.dev]\n"
                .to_owned()
                + PROFILE
                + "\n[profile.dev.package.app]\ndebug = false\n",
        ),
        (
            ".cargo/config.toml",
            "[registries.here]\nindex = \"sparse+https://registry.invalid/index/\"\n[source.here]\n\
             registry = \"sparse+https://registry.invalid/index/\"\nreplace-with = \"vendored\"\n[source.vendored]\n\
             directory = \"vendor\"\n"
                .to_owned(),
        ),
        ("vendor/locked-1/Cargo.toml", vendored("1.0.0")),
        ("vendor/locked-1/src/lib.rs", "pub fn value() -> u32 { 100 }\n".to_owned()),
        ("vendor/locked-1/.cargo-checksum.json", "{\"files\":{}}".to_owned()),
        ("vendor/locked-2/Cargo.toml", vendored("1.0.1")),
        ("vendor/locked-2/src/lib.rs", "pub fn value() -> u32 { 101 }\n".to_owned()),
        ("vendor/locked-2/.cargo-checksum.json", "{\"files\":{}}".to_owned()),
        ("app/Cargo.toml", manifest("app", &app)),
        (
            "app/src/lib.rs",
            r#"pub fn forty(x: u32) -> u32 { x + 40 }
pub mod special {
    pub mod both { #[fleche::fleche(hash_code = "body")] pub fn in_both(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 2 } }
    pub mod bare { #[fleche::fleche(hash_code = false)] pub fn in_both(x: u32) -> u32 { one(x) } fn one(x: u32) -> u32 { x + 2 } }
}
"#
            .to_owned(),
        ),
        ("app/src/main.rs", main_file()),
        ("app/src/special.rs", SPECIAL.to_owned()),
        ("app/src/odd/place.rs", "pub fn go(x: u32) -> u32 { x + 1 }\n".to_owned()),
        ("app/src/special/tree/mod.rs", "pub fn go(x: u32) -> u32 { x + 1 }\n".to_owned()),
        ("app/src/taken.in", "pub fn go(x: u32) -> u32 { x + 1 }\n".to_owned()),
        ("app/src/number.in", "10".to_owned()),
        ("app/src/special/made.rs", "pub fn go(x: u32) -> u32 { x + 1 }\n".to_owned()),
        ("app/query.sql", "select 1".to_owned()),
        ("app/sql/users.txt", "users 1".to_owned()),
        ("app/named.txt", "named 1".to_owned()),
        ("app/bytes.bin", "12".to_owned()),
        ("app/templates/page.html", "<p>".to_owned()),
        (
            "app/build.rs",
            r#"fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/made.rs"), "pub fn made() -> u32 { 3 }").unwrap();
    println!("cargo::rustc-env=FLECHE_TEST_NAMED={}/named.txt", std::env::var("CARGO_MANIFEST_DIR").unwrap());
}
"#
            .to_owned(),
        ),
        ("near/Cargo.toml", manifest("near", "[features]\ndeep = []\n[dependencies]\nfar = { path = \"../far\" }\n")),
        (
            "near/src/lib.rs",
            r"pub use far::through;
pub fn plus(x: u32) -> u32 { helper(x) }
fn helper(x: u32) -> u32 { x + 1 }
pub fn idle(x: u32) -> u32 { x + 500 }
#[macro_export] macro_rules! nearly { ($x:expr) => { $x + 20 }; }
#[macro_export] macro_rules! cached { ($name:ident, $n:literal) => { #[fleche::fleche] pub fn $name(x: u32) -> u32 { x + $n + 80 } }; }
pub trait Upper { fn base(&self) -> u32; fn upper(&self) -> u32 { self.base() + 30 } }
impl Upper for u32 { fn base(&self) -> u32 { *self } }
"
            .to_owned(),
        ),
        ("far/Cargo.toml", manifest("far", "")),
        ("far/src/lib.rs", "pub fn through(x: u32) -> u32 { x + 2 }\n".to_owned()),
        ("wide/Cargo.toml", manifest("wide", &format!("[dependencies]\n{engine}maker = {{ path = \"../maker\" }}\n"))),
        (
            "wide/src/lib.rs",
            r"use fleche::fleche;
#[derive(maker::Numbered)] struct Derived;
#[fleche] pub fn derive_of_workspace() -> u32 { Derived::number() }
#[maker::sixty] fn plain(x: u32) -> u32 { x }
#[fleche] pub fn attribute_of_workspace(x: u32) -> u32 { plain(x) }
"
            .to_owned(),
        ),
        ("maker/Cargo.toml", manifest("maker", "[lib]\nproc-macro = true\n")),
        (
            "maker/src/lib.rs",
            r#"use proc_macro::TokenStream;
#[proc_macro_derive(Numbered)] pub fn numbered(item: TokenStream) -> TokenStream {
    let name = item.to_string().split_whitespace().last().unwrap().trim_end_matches(';').to_owned();
    "impl NAME { fn number() -> u32 { 50 } }".replace("NAME", &name).parse().unwrap()
}
#[proc_macro_attribute] pub fn sixty(_: TokenStream, item: TokenStream) -> TokenStream {
    const ADDED: u32 = 60;
    item.to_string().replace("{ x }", &format!("{{ x + {ADDED} }}")).parse().unwrap()
}
"#
            .to_owned(),
        ),
        ("small/Cargo.toml", manifest("small", &format!("[dependencies]\n{engine}"))),
        (
            "small/src/lib.rs",
            r#"use fleche::fleche;
#[fleche] pub fn f(x: u32) -> u32 { x + now() }
#[cfg(not(test))] fn now() -> u32 { 90 }
#[cfg(test)] fn now() -> u32 { 95 }
#[test] fn tells() {
    let digest: String = fleche::functions().next().unwrap().code.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("\nkey\tsmall::f\t{digest}\nresult\tsmall\t{}\t{0}", f::uncached(3));
}
"#
            .to_owned(),
        ),
    ];
    files.extend(fixed.into_iter().map(|(path, text)| (path.to_owned(), text)));
    files
}
