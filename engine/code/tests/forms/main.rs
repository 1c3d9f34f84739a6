//! Programs in forms that the analysis once misread: each edit changes what `f` computes.

#![allow(clippy::needless_raw_string_hashes, reason = "all packages are written alike")]

#[path = "../common/mod.rs"]
mod common;
mod packages;

use common::Key::Moves;
use common::check;

/// Checks that each edit, one text for another, moves the key of `f`.
fn moves(about: &str, package: &str, edits: &[(&str, &str)]) {
    let edits: Vec<_> = edits.iter().map(|(from, to)| (*from, *from, *to, Moves)).collect();
    check(about, package, &edits);
}

#[test]
fn names_in_unusual_forms() {
    moves(
        "raw identifiers",
        r#"
//- src/lib.rs
fn r#type(x: u32) -> u32 { x + 1 }
mod r#match { pub fn go() -> u32 { 2 } }
mod r#mod;
struct r#Struct; struct r#in(u32); impl r#in { fn r#fn(&self) -> u32 { 3 } const r#const: u32 = 4; }
const r#let: u32 = 5;
macro_rules! r#loop { () => { 6 } }
trait r#trait { fn r#use(&self) -> u32 { 7 } } impl r#trait for u32 {}
#[fleche] fn f(x: u32) -> u32 { r#type(x) + r#match::go() + r#in(1).r#fn() + r#in::r#const + r#let + r#loop!() + x.r#use() + r#mod::go() }
//- src/mod.rs
pub fn go() -> u32 { 8 }
"#,
        &[
            ("x + 1", "x + 11"),
            ("{ 2 }", "{ 22 }"),
            ("{ 3 }", "{ 33 }"),
            ("= 4", "= 44"),
            ("= 5", "= 55"),
            ("{ 6 }", "{ 66 }"),
            ("{ 7 }", "{ 77 }"),
            ("{ 8 }", "{ 88 }"),
        ],
    );
    moves(
        "raw pointers",
        r#"
//- src/lib.rs
struct Foo(u32); impl Foo { fn go(&self) -> u32 { self.0 + 1 } }
static mut S: u32 = 2;
#[fleche] fn f(x: u32) -> u32 { unsafe { (*(&raw const x as *const Foo)).go() + *&raw const S } }
"#,
        &[("+ 1", "+ 11"), ("= 2", "= 22")],
    );
    moves(
        "absolute path behind >",
        r#"
//- src/lib.rs
#[fleche] fn f(x: u32) -> bool { x > ::near::limit() || x >> ::near::shift() > 0 }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
near = { path = "near" }
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
//- near/src/lib.rs
pub fn limit() -> u32 { 3 }
pub fn shift() -> u32 { 4 }
"#,
        &[("{ 3 }", "{ 33 }"), ("{ 4 }", "{ 44 }")],
    );
    moves(
        "const generic braces",
        r#"
//- src/lib.rs
struct M<const A: usize, const B: usize>; const N: usize = 1;
impl M<2, { N }> { fn go(&self) -> usize { 5 } }
fn make() -> M<2, { N }> { helper(); M }
fn helper() -> u32 { 6 }
#[fleche] fn f() -> usize { make().go() }
"#,
        &[("{ 5 }", "{ 55 }"), ("{ 6 }", "{ 66 }"), ("usize = 1", "usize = 2")],
    );
}

#[test]
fn modules() {
    moves(
        "cfg on modules swapped",
        r#"
//- src/lib.rs
#[cfg(unix)] mod os { pub fn go() -> u32 { 1 } }
#[cfg(not(unix))] mod os { pub fn go() -> u32 { 2 } }
#[fleche] fn f() -> u32 { os::go() }
"#,
        &[(
            "#[cfg(unix)] mod os { pub fn go() -> u32 { 1 } }\n#[cfg(not(unix))]",
            "#[cfg(not(unix))] mod os { pub fn go() -> u32 { 1 } }\n#[cfg(unix)]",
        )],
    );
    moves(
        "cfg on module path files swapped",
        r#"
//- src/lib.rs
#[cfg(unix)] #[path = "a.rs"] mod os;
#[cfg(windows)] #[path = "b.rs"] mod os;
#[fleche] fn f() -> u32 { os::go() }
//- src/a.rs
pub fn go() -> u32 { 1 }
//- src/b.rs
pub fn go() -> u32 { 2 }
"#,
        &[
            (
                "#[cfg(unix)] #[path = \"a.rs\"] mod os;\n#[cfg(windows)]",
                "#[cfg(windows)] #[path = \"a.rs\"] mod os;\n#[cfg(unix)]",
            ),
            (
                "\"a.rs\"] mod os;\n#[cfg(windows)] #[path = \"b.rs\"]",
                "\"b.rs\"] mod os;\n#[cfg(windows)] #[path = \"a.rs\"]",
            ),
        ],
    );
    moves(
        "inline module with path in file",
        r#"
//- src/lib.rs
mod a;
#[fleche] fn f() -> u32 { a::go() }
//- src/a.rs
#[path = "odd"] mod inner { pub mod x; }
pub fn go() -> u32 { inner::x::go() }
//- src/odd/x.rs
pub fn go() -> u32 { 1 }
"#,
        &[("{ 1 }", "{ 11 }")],
    );
    moves(
        "modules in bodies",
        r#"
//- src/lib.rs
fn helper() -> u32 { 100 }
mod a { fn helper() -> u32 { 1 } fn second() -> u32 { 2 }
#[fleche] fn f() -> u32 { mod inner { pub fn go() -> u32 { super::helper() + { use super::second as s; s() } } } inner::go() } }
fn second() -> u32 { 200 }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }")],
    );
    moves(
        "modules by macro",
        r#"
//- src/lib.rs
macro_rules! mods { ($($n:ident),*) => { $(mod $n;)* } }
mods!(a, b);
macro_rules! one { () => { mod c; } }
one!();
mod in_dir;
#[fleche] fn f() -> u32 { a::go() + c::go() + in_dir::go() }
//- src/a.rs
pub fn go() -> u32 { 1 }
//- src/b.rs
pub fn go() -> u32 { 2 }
//- src/c.rs
pub fn go() -> u32 { 3 }
//- src/in_dir/mod.rs
macro_rules! mods { ($($n:ident),*) => { $(mod $n;)* } }
mods!(d); pub fn go() -> u32 { d::go() }
//- src/in_dir/d.rs
pub fn go() -> u32 { 4 }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 3 }", "{ 33 }"), ("{ 4 }", "{ 44 }")],
    );
}

#[test]
fn imports() {
    moves(
        "explicit and glob exchanged",
        r#"
//- src/lib.rs
mod a { pub fn go() -> u32 { 1 } } mod b { pub fn go() -> u32 { 2 } }
use a::*; use b::go;
#[fleche] fn f() -> u32 { go() }
"#,
        &[("use a::*; use b::go;", "use b::*; use a::go;")],
    );
    moves(
        "explicit and glob exchanged behind a module",
        r#"
//- src/lib.rs
mod a { pub fn go() -> u32 { 1 } } mod b { pub fn go() -> u32 { 2 } }
mod p { pub use crate::a::*; pub use crate::b::go; }
#[fleche] fn f() -> u32 { p::go() }
"#,
        &[("crate::a::*; pub use crate::b::go;", "crate::b::*; pub use crate::a::go;")],
    );
    moves(
        "of a name in two branches",
        r#"
//- src/lib.rs
mod a { pub fn go() -> u32 { 1 } } mod b { pub fn go() -> u32 { 2 } }
cfg_if::cfg_if! { if #[cfg(unix)] { use a::go; } else { use b::go; } }
#[fleche] fn f() -> u32 { go() }
"#,
        &[("use a::go; } else { use b::go;", "use b::go; } else { use a::go;")],
    );
    moves(
        "foreign glob through reexports",
        r#"
//- src/lib.rs
mod re { pub use rand::*; } mod re2 { pub use serde::*; } use re2::*;
#[fleche] fn f() -> u32 { re::value() + other() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
serde = "1"
rand = "0.8"
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["serde", "rand"]
[[package]]
name = "serde"
version = "1.0.1"
[[package]]
name = "rand"
version = "0.8.4"
"#,
        &[("0.8.4", "0.8.5"), ("1.0.1", "1.0.2")],
    );
    moves(
        "extern crate self and aliases",
        r#"
//- src/lib.rs
extern crate self as me; extern crate near as nahe;
pub fn helper() -> u32 { 1 }
mod inner { pub fn go() -> u32 { ::me::second() + nahe::third() } }
pub fn second() -> u32 { 2 }
#[fleche] fn f() -> u32 { me::helper() + inner::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
near = { path = "near" }
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
//- near/src/lib.rs
pub fn third() -> u32 { 3 }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }"), ("{ 3 }", "{ 33 }")],
    );
    moves(
        "local glob brings traits and chains",
        r#"
//- src/lib.rs
mod prelude { pub trait Ext { fn ext(&self) -> u32; } impl Ext for u32 { fn ext(&self) -> u32 { 1 } } }
mod a { pub mod b { pub fn c() -> u32 { 2 } } }
mod late { pub trait Assoc { fn make() -> u32; } impl Assoc for u32 { fn make() -> u32 { 3 } } }
#[fleche] fn f(x: u32) -> u32 { use prelude::*; use a::b; use b::c; { use late::*; } x.ext() + c() + { use late::*; u32::make() } }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }"), ("{ 3 }", "{ 33 }")],
    );
}

#[test]
fn macros() {
    moves(
        "macro of two definitions",
        r#"
//- src/lib.rs
macro_rules! m { () => { 1 } }
fn g() -> u32 { m!() }
macro_rules! m { () => { 2 } }
#[fleche] fn f() -> u32 { g() }
"#,
        &[(
            "fn g() -> u32 { m!() }\nmacro_rules! m { () => { 2 } }",
            "macro_rules! m { () => { 2 } }\nfn g() -> u32 { m!() }",
        )],
    );
    moves(
        "macro of a name of the standard library",
        r#"
//- src/lib.rs
fn g() -> String { format!("a") }
macro_rules! format { ($x:literal) => { String::new() } }
#[fleche] fn f() -> String { g() }
"#,
        &[(
            "fn g() -> String { format!(\"a\") }\nmacro_rules! format { ($x:literal) => { String::new() } }",
            "macro_rules! format { ($x:literal) => { String::new() } }\nfn g() -> String { format!(\"a\") }",
        )],
    );
    moves(
        "strings in macro crates",
        r#"
//- src/lib.rs
#[derive(maker::Make)] struct S;
fn helper() -> u32 { 1 } fn second() -> u32 { 2 }
mod deep { pub struct T(pub u32); impl T { pub fn go(&self) -> u32 { self.0 + 3 } } }
#[fleche] fn f() -> u32 { S::made() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
maker = { path = "maker" }
//- maker/Cargo.toml
[package]
name = "maker"
version = "0.1.0"
edition = "2024"
[lib]
proc-macro = true
[dependencies]
writer = { path = "../writer" }
//- maker/src/lib.rs
#[proc_macro_derive(Make)] pub fn make(_: TokenStream) -> TokenStream { let _ = Ident::new("second", Span::call_site()); let _ = std::fs::read_to_string("list.txt"); writer::text().parse().unwrap() }
//- writer/Cargo.toml
[package]
name = "writer"
version = "0.1.0"
edition = "2024"
//- writer/src/lib.rs
pub fn text() -> String { "impl S { fn made() -> u32 { crate::helper() + crate::deep::T(1).go() } }".to_owned() }
//- list.txt
seven
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }"), ("+ 3 }", "+ 33 }"), ("seven", "eight")],
    );
    moves(
        "enum made by a macro with a glob",
        r#"
//- src/lib.rs
macro_rules! make { () => { #[derive(Clone, Copy)] enum E { Red = 1, Blue = 2 } } }
make!();
use E::*;
#[fleche] fn f() -> u32 { Red as u32 }
"#,
        &[("Red = 1", "Red = 11")],
    );
    moves(
        "macro that leaves names to its caller",
        r#"
//- src/lib.rs
#[macro_use] mod m { macro_rules! call { () => { helper() + go::Deep::make() } } }
mod a { pub fn one() -> u32 { 1 } pub mod inner { pub struct Deep; impl Deep { pub fn make() -> u32 { 2 } } } }
mod c { use crate::a::one as helper; use crate::a::inner as go; pub fn run() -> u32 { call!() } }
#[fleche] fn f() -> u32 { c::run() }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }")],
    );
    moves(
        "macro that leaves variants to its caller",
        r#"
//- src/lib.rs
#[macro_use] mod m { macro_rules! pick { () => { Here as u32 } } macro_rules! choose { () => { There as u32 } } macro_rules! take { () => { Deep as u32 } } }
mod e { pub enum E { Here = 1 } pub enum F { There = 2 } pub enum G { Deep = 3 } }
mod c { use crate::e::E::*; pub fn run() -> u32 { pick!() } }
mod d { use crate::e::F::There; pub fn run() -> u32 { choose!() } }
fn inside() -> u32 { use crate::e::G::*; take!() }
#[fleche] fn f() -> u32 { c::run() + d::run() + inside() }
"#,
        &[("Here = 1", "Here = 11"), ("There = 2", "There = 22"), ("Deep = 3", "Deep = 33")],
    );
    moves(
        "static that a macro makes",
        r#"
//- src/lib.rs
macro_rules! counter { ($n:ident) => { static $n: AtomicU32 = AtomicU32::new(0); } }
counter!(COUNT);
fn set() { COUNT.store(1, Ordering::Relaxed) }
#[fleche] fn f() -> u32 { COUNT.load(Ordering::Relaxed) }
"#,
        &[("store(1", "store(11")],
    );
    moves(
        "impl by a macro in a constant",
        r#"
//- src/lib.rs
struct A;
macro_rules! shown { ($t:ty) => { impl std::fmt::Display for $t { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("one") } } } }
const _: () = { shown!(A); };
struct B;
fn never() { shown2!(B); }
macro_rules! shown2 { ($t:ty) => { impl std::fmt::Display for $t { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("two") } } } }
#[fleche] fn f() -> String { format!("{A}{B}", A = A, B = B) }
"#,
        &[("\"one\"", "\"uno\""), ("\"two\"", "\"due\"")],
    );
}

#[test]
fn calls() {
    moves(
        "self.m through Deref",
        r#"
//- src/lib.rs
struct A(B); struct B;
impl A { #[cfg(windows)] fn m(&self) -> u32 { 100 } fn n() -> u32 { 200 } fn f(&self) -> u32 { self.m() + self.n() + self.o() } }
impl A { fn o(self: std::rc::Rc<Self>) -> u32 { 300 } }
impl std::ops::Deref for A { type Target = B; fn deref(&self) -> &B { &self.0 } }
impl B { fn m(&self) -> u32 { 1 } fn n(&self) -> u32 { 2 } fn o(&self) -> u32 { 3 } }
#[fleche] fn f() -> u32 { A(B).f() }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }"), ("{ 3 }", "{ 33 }")],
    );
    moves(
        "renamed static",
        r#"
//- src/lib.rs
use std::sync::atomic::{AtomicU32, Ordering};
static COUNT: AtomicU32 = AtomicU32::new(0);
mod b { use crate::COUNT as N; pub fn set() { N.store(1, std::sync::atomic::Ordering::Relaxed) } }
#[fleche] fn f() -> u32 { COUNT.load(Ordering::Relaxed) }
"#,
        &[("store(1", "store(11")],
    );
    moves(
        "uncached by other spellings",
        r#"
//- src/lib.rs
#[fleche] fn g() -> u32 { 1 } #[fleche] fn h() -> u32 { 2 }
type G = g;
#[fleche] fn f() -> u32 { G::uncached() + <h>::uncached() }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }")],
    );
}

#[test]
fn names_of_all_scripts() {
    // Vowel signs and a middle dot are no letters.
    let (shown, dotted, called) =
        ("\u{928}\u{92e}\u{938}\u{94d}\u{924}\u{947}", "l\u{b7}l", "\u{938}\u{94d}\u{924}");
    let package = format!(
        "//- src/lib.rs\nstruct A; impl A {{ fn {shown}(&self) -> u32 {{ 1 }} fn {dotted}(&self) -> u32 {{ 2 }} }}\n\
         macro_rules! {called} {{ () => {{ 3 }} }}\n#[fleche] fn f() -> u32 {{ A.{shown}() + A.{dotted}() + {called}!() }}\n"
    );
    moves("scripts", &package, &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }"), ("{ 3 }", "{ 33 }")]);
}
