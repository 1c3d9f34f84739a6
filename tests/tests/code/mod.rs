//! The generated workspace: a library with a binary, two path dependencies, and a module for each case.

use std::fmt::Write as _;
use std::path::Path;

/// One edit that must move the key of the module's function `f`.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) code: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

macro_rules! cases {
    ($($name:ident: $from:literal => $to:literal, $code:literal;)*) => {
        pub(crate) const CASES: &[Case] = &[$(Case { name: stringify!($name), code: $code, from: $from, to: $to }),*];
    };
}

cases! {
    case_calls: "= 10" => "= 11", "
#[fleche] fn f(x: u32) -> u32 { helper(x) } fn helper(x: u32) -> u32 { x + LIMIT } const LIMIT: u32 = 10;";
    case_own_body: "x + 1" => "x + 2", "#[fleche] fn f(x: u32) -> u32 { x + 1 }";
    case_body_level: "x + 1" => "x + 2", "#[fleche(hash_code = \"body\")] fn f(x: u32) -> u32 { x + 1 }";
    case_method: "* 2" => "* 3", "
struct A(u32); impl A { fn go(&self) -> u32 { self.0 * 2 } } #[fleche] fn f(x: u32) -> u32 { A(x).go() }";
    case_operator: "+ 1 }" => "+ 2 }", "
struct A(u32); impl std::ops::Add for A { type Output = u32; fn add(self, o: A) -> u32 { self.0 + o.0 + 1 } }
#[fleche] fn f(x: u32) -> u32 { A(x) + A(x) }";
    case_question_mark: "E(1)" => "E(2)", "
use std::num::ParseIntError; struct E(u8); impl From<ParseIntError> for E { fn from(_: ParseIntError) -> E { E(1) } }
fn inner(x: &str) -> Result<u32, E> { Ok(x.parse::<u32>()?) }
#[fleche] fn f(x: &str) -> u32 { inner(x).unwrap_or_else(|e| e.0.into()) }";
    case_drop: "seen(1)" => "seen(2)", "
fn seen(_: u32) {} struct G; impl Drop for G { fn drop(&mut self) { seen(1) } } #[fleche] fn f(x: u32) -> u32 { let _g = G; x }";
    case_display: "<{}>" => "[{}]", "
use std::fmt; struct A(u32);
impl fmt::Display for A { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, \"<{}>\", self.0) } }
#[fleche] fn f(x: u32) -> String { format!(\"{}\", A(x)) }";
    case_deref: "&self.0" => "&self.1", "
struct A(u32, u32); impl std::ops::Deref for A { type Target = u32; fn deref(&self) -> &u32 { &self.0 } }
#[fleche] fn f(x: u32) -> u32 { *A(x, 1) }";
    case_iterator: "> 3" => "> 4", "
struct It(u32); impl Iterator for It { type Item = u32; fn next(&mut self) -> Option<u32> { self.0 += 1; if self.0 > 3 { None } else { Some(self.0) } } }
#[fleche] fn f(x: u32) -> u32 { let mut n = 0; for i in It(x) { n += i; } n }";
    case_default: "A(5)" => "A(6)", "
struct A(u32); impl Default for A { fn default() -> A { A(5) } } #[fleche] fn f(x: u32) -> u32 { x + A::default().0 }";
    case_from_str: "A(7)" => "A(8)", "
struct A(u32); impl std::str::FromStr for A { type Err = (); fn from_str(_: &str) -> Result<A, ()> { Ok(A(7)) } }
#[fleche] fn f(x: &str) -> u32 { x.parse::<A>().map_or(0, |a| a.0) }";
    case_ord: "other.0.cmp(&self.0)" => "self.0.cmp(&other.0)", "
use std::cmp::Ordering; #[derive(PartialEq, Eq)] struct A(u32);
impl Ord for A { fn cmp(&self, other: &A) -> Ordering { other.0.cmp(&self.0) } }
impl PartialOrd for A { fn partial_cmp(&self, other: &A) -> Option<Ordering> { Some(self.cmp(other)) } }
#[fleche] fn f(x: u32) -> u32 { let mut v = vec![A(x), A(2)]; v.sort(); v[0].0 }";
    case_derived_order: "low: u32, high: u32" => "high: u32, low: u32", "
#[derive(PartialEq, Eq, PartialOrd, Ord)] struct A { low: u32, high: u32 }
#[fleche] fn f(x: u32) -> bool { A { low: x, high: 1 } < A { low: 1, high: x } }";
    case_trait_default: "* 5" => "* 6", "
trait T { fn base(&self) -> u32; fn go(&self) -> u32 { self.base() * 5 } } struct A(u32); impl T for A { fn base(&self) -> u32 { self.0 } }
#[fleche] fn f(x: u32) -> u32 { A(x).go() }";
    case_trait_object: "{ 9 }" => "{ 10 }", "
trait T { fn go(&self) -> u32; } struct A; impl T for A { fn go(&self) -> u32 { 9 } }
fn all() -> Vec<Box<dyn T>> { vec![Box::new(A)] } #[fleche] fn f(x: u32) -> u32 { x + all()[0].go() }";
    case_trait_on_foreign_type: "* 4" => "* 5", "
trait T { fn quad(&self) -> u32; } impl T for u32 { fn quad(&self) -> u32 { *self * 4 } } #[fleche] fn f(x: u32) -> u32 { x.quad() }";
    case_generic: "= 2;" => "= 3;", "
trait N { const N: u32; } struct A; impl N for A { const N: u32 = 2; } fn g<T: N>() -> u32 { T::N } #[fleche] fn f(x: u32) -> u32 { x + g::<A>() }";
    case_const_generic: "= 2;" => "= 3;", "
struct A<const N: usize>; impl<const N: usize> A<N> { fn n(&self) -> usize { N } } const SIZE: usize = 2;
#[fleche] fn f(x: u32) -> usize { x as usize + A::<SIZE>.n() }";
    case_static: "= 2;" => "= 3;", "static S: u32 = 2; #[fleche] fn f(x: u32) -> u32 { x + S }";
    case_atomic: "store(1," => "store(2,", "
use std::sync::atomic::{AtomicU32, Ordering}; static S: AtomicU32 = AtomicU32::new(0); pub fn set() { S.store(1, Ordering::Relaxed) }
#[fleche] fn f(x: u32) -> u32 { x + S.load(Ordering::Relaxed) }";
    case_function_table: "x + 2" => "x + 3", "
fn one(x: u32) -> u32 { x + 1 } fn two(x: u32) -> u32 { x + 2 } const TABLE: [fn(u32) -> u32; 2] = [one, two];
#[fleche] fn f(x: u32) -> u32 { TABLE.iter().map(|g| g(x)).sum() }";
    case_function_value: "x * 2" => "x * 3", "
fn twice(x: u32) -> u32 { x * 2 } #[fleche] fn f(x: u32) -> Option<u32> { Some(x).map(twice) }";
    case_alias: "type A = u8" => "type A = u16", "type A = u8; #[fleche] fn f(x: u32) -> u32 { (x as A).into() }";
    case_renamed_import: "min as pick" => "max as pick", "use std::cmp::min as pick; #[fleche] fn f(x: u32) -> u32 { pick(x, 3) }";
    case_glob: "x + 1" => "x + 2", "mod a { pub fn g(x: u32) -> u32 { x + 1 } } mod b { pub use super::a::*; } use b::*; #[fleche] fn f(x: u32) -> u32 { g(x) }";
    case_reexport: "one as g" => "two as g", "
mod a { pub fn one(x: u32) -> u32 { x + 1 } #[allow(dead_code)] pub fn two(x: u32) -> u32 { x + 2 } } mod b { pub use super::a::one as g; } #[fleche] fn f(x: u32) -> u32 { b::g(x) }";
    case_macro_rules: "$x * 2" => "$x * 3", "macro_rules! m { ($x:expr) => { $x * 2 }; } #[fleche] fn f(x: u32) -> u32 { m!(x) }";
    case_macro_calls_helper: "x + 6" => "x + 7", "
fn help(x: u32) -> u32 { x + 6 } macro_rules! m { ($x:expr) => { help($x) }; } #[fleche] fn f(x: u32) -> u32 { m!(x) }";
    case_macro_names_method: "+ 8" => "+ 9", "
struct A(u32); impl A { fn go(&self) -> u32 { self.0 + 8 } } macro_rules! m { ($x:expr, $m:ident) => { $x.$m() }; }
#[fleche] fn f(x: u32) -> u32 { m!(A(x), go) }";
    case_format_capture: "= 3;" => "= 4;", "const LIMIT: u32 = 3; #[fleche] fn f(x: u32) -> String { format!(\"{x} {LIMIT}\") }";
    case_inner_function: "+ 2" => "+ 3", "#[fleche] fn f(x: u32) -> u32 { fn g(x: u32) -> u32 { x + 2 } g(x) }";
    case_inner_impl: "w.0 + 1" => "w.0 + 2", "
struct W(u32); fn setup() { impl From<W> for u32 { fn from(w: W) -> u32 { w.0 + 1 } } }
#[fleche] fn f(x: u32) -> u32 { setup(); W(x).into() }";
    case_nested_module: "+ 3" => "+ 4", "mod a { pub mod b { pub fn g(x: u32) -> u32 { super::h(x) } } fn h(x: u32) -> u32 { x + 3 } } #[fleche] fn f(x: u32) -> u32 { a::b::g(x) }";
    case_enum_variant: "B = 2" => "B = 3", "#[derive(Clone, Copy)] #[allow(dead_code)] enum E { A = 1, B = 2 } use E::*; #[fleche] fn f(x: u32) -> u32 { x + B as u32 + A as u32 }";
    case_cfg: "= 1;" => "= 9;", "#[cfg(unix)] const C: u32 = 1; #[cfg(not(unix))] const C: u32 = 2; #[fleche] fn f(x: u32) -> u32 { x + C }";
    case_closure_constant: "|y| y + 1" => "|y| y + 2", "const G: fn(u32) -> u32 = |y| y + 1; #[fleche] fn f(x: u32) -> u32 { G(x) }";
    case_serde_default: "{ 5 }" => "{ 6 }", "
use serde::{Deserialize, Serialize}; fn five() -> u32 { 5 }
#[derive(Serialize, Deserialize)] struct A { #[serde(default = \"five\")] a: u32 }
#[fleche] fn f(x: &str) -> u32 { serde_json::from_str::<A>(x).map_or(0, |a| a.a) }";
    case_uncached_callee: "x + 1" => "x + 2", "
#[fleche] fn g(x: u32) -> u32 { x + 1 } #[fleche] fn f(x: u32) -> u32 { g::uncached(x) }";
    whole_module: "+ 2" => "+ 3", "#[fleche(hash_code = \"module\")] fn f(x: u32) -> u32 { x } pub fn other(x: u32) -> u32 { x + 2 }";
    whole_crate: "+ 2" => "+ 3", "#[fleche(hash_code = \"crate\")] fn f(x: u32) -> u32 { x } pub fn other(x: u32) -> u32 { x + 2 }";
}

/// Every file of the workspace but the lock file.
pub(crate) fn files(engine: &Path) -> Vec<(String, String)> {
    let mut library = String::from(
        "//! Generated.\n#![allow(dead_code, unused_macros)]\npub mod control;\npub mod deps;\npub mod files;\n",
    );
    let mut files = Vec::new();
    for case in CASES {
        let _ = writeln!(library, "pub mod {};", case.name);
        files.push((format!("app/src/{}.rs", case.name), format!("use fleche::fleche;\n{}\n", case.code)));
    }
    let engine = engine.display();
    let manifest = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}")
    };
    let app = format!(
        "[features]\nfast = []\n[dependencies]\nfleche = {{ path = \"{engine}\" }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
         serde_json = \"1\"\nnear-by.workspace = true\n"
    );
    let fixed = [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"app\", \"near\", \"far\"]\n[workspace.dependencies]\n\
             near-by = { path = \"near\", package = \"near\" }\n[profile.dev]\ndebug = \"line-tables-only\"\n\
             [profile.dev.package.\"*\"]\nopt-level = 1\n"
                .to_owned(),
        ),
        ("app/Cargo.toml", manifest("app", &app)),
        ("app/src/lib.rs", library),
        (
            "app/src/main.rs",
            r#"//! Prints the code digest of each cached function, or what it covers.
fn main() {
    app::case_atomic::set();
    for function in fleche::functions() {
        if std::env::args().nth(1).is_some() {
            println!("{}", function.covered());
        } else {
            let digest: String = function.code.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{} {digest}", (function.full_name)());
        }
    }
}
"#
            .to_owned(),
        ),
        (
            "app/src/control.rs",
            "use fleche::fleche;\n#[fleche] pub fn f(x: u32) -> u32 { helper(x) }\nfn helper(x: u32) -> u32 { x }\n".to_owned(),
        ),
        (
            "app/src/files.rs",
            r#"use fleche::fleche;
#[fleche] pub fn query() -> String { include_str!("../query.sql").to_owned() }
macro_rules! template { ($path:literal) => { include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $path)) }; }
#[fleche] pub fn page() -> String { template!("page.html").to_owned() }
"#
            .to_owned(),
        ),
        (
            "app/src/deps.rs",
            r#"use fleche::fleche;
include!(concat!(env!("OUT_DIR"), "/made.rs"));
#[fleche] pub fn near(x: u32) -> u32 { near_by::plus(x) }
#[fleche] pub fn far(x: u32) -> u32 { near_by::through(x) }
#[fleche] pub fn from_build(x: u32) -> u32 { x + made() }
#[fleche] pub fn variable() -> String { option_env!("FLECHE_TEST_VARIABLE").unwrap_or("").to_owned() }
#[fleche] pub fn feature() -> bool { cfg!(feature = "fast") }
"#
            .to_owned(),
        ),
        ("app/query.sql", "select 1".to_owned()),
        ("app/templates/page.html", "<p>".to_owned()),
        (
            "app/build.rs",
            r#"fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/made.rs"), "fn made() -> u32 { 3 }").unwrap();
}
"#
            .to_owned(),
        ),
        ("near/Cargo.toml", manifest("near", "[features]\ndeep = []\n[dependencies]\nfar = { path = \"../far\" }\n")),
        (
            "near/src/lib.rs",
            "pub use far::through;\npub fn plus(x: u32) -> u32 { helper(x) }\nfn helper(x: u32) -> u32 { x + 1 }\n\
             pub fn idle(x: u32) -> u32 { x + 500 }\n"
                .to_owned(),
        ),
        ("far/Cargo.toml", manifest("far", "")),
        ("far/src/lib.rs", "pub fn through(x: u32) -> u32 { x + 2 }\n".to_owned()),
    ];
    files.extend(fixed.map(|(path, text)| (path.to_owned(), text)));
    files
}
