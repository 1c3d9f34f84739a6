//! Programs in forms that the analysis once misread: each edit changes what `f` computes.

#![allow(clippy::needless_raw_string_hashes, reason = "all packages are written alike")]

mod common;

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
fn files() {
    moves(
        "include concat",
        r#"
//- src/lib.rs
macro_rules! sql { ($n:literal) => { include_str!(concat!("../sql/", $n, ".sql")) } }
macro_rules! named { ($n:ident) => { include_str!(concat!("../sql/", stringify!($n), ".sql")) } }
#[fleche] fn f() -> usize { sql!("users").len() + named!(groups).len() + include_str!(concat!("../sql/", "three", ".sql")).len() + include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", "four.sql")).len() }
//- sql/users.sql
one
//- sql/groups.sql
two
//- sql/three.sql
drei
//- sql/four.sql
vier
"#,
        &[("one", "uno"), ("two", "due"), ("drei", "tre"), ("vier", "quattro")],
    );
    moves(
        "manifest dir in literal",
        r#"
//- src/lib.rs
static D: Dir = include_dir!("$CARGO_MANIFEST_DIR/assets");
#[derive(Embed)] #[folder = "$CARGO_MANIFEST_DIR/web"] struct W;
#[fleche] fn f() -> usize { D.len() + W::get() }
//- assets/a.txt
one
//- web/a.txt
two
"#,
        &[("one", "uno"), ("two", "due")],
    );
    moves(
        "template inheritance",
        r#"
//- src/lib.rs
#[derive(Template)] #[template(path = "page.html")] struct Page;
#[fleche] fn f() -> String { Page.render() }
//- templates/page.html
{% extends "base.html" %} x
//- templates/base.html
base {% include 'sub/foot.html' %}
//- templates/sub/foot.html
foot
"#,
        &[("base {", "basis {"), ("foot\n", "fuss\n")],
    );
}

#[test]
fn packages() {
    moves(
        "dependencies of targets",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { platform::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[target.'cfg(unix)'.dependencies]
platform = { path = "one", package = "one" }
[target.'cfg(windows)'.dependencies]
platform = { path = "two", package = "two" }
//- one/Cargo.toml
[package]
name = "one"
version = "0.1.0"
edition = "2024"
//- one/src/lib.rs
pub fn go() -> u32 { 1 }
//- two/Cargo.toml
[package]
name = "two"
version = "0.1.0"
edition = "2024"
//- two/src/lib.rs
pub fn go() -> u32 { 2 }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }")],
    );
    moves(
        "lock of the program, not of the dependency",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { near::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
near = { path = "near" }
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["near"]
[[package]]
name = "near"
version = "0.1.0"
dependencies = ["rand"]
[[package]]
name = "rand"
version = "0.8.4"
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
rand = "0.8"
//- near/src/lib.rs
pub fn go() -> u32 { rand::random() }
//- near/Cargo.lock
version = 4
[[package]]
name = "near"
version = "0.1.0"
dependencies = ["rand"]
[[package]]
name = "rand"
version = "0.8.1"
"#,
        &[("0.8.4", "0.8.5")],
    );
    moves(
        "patch of what a dependency outside depends on",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { near::go() + itself::go() + deep::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
near = { path = "near" }
itself = "1"
deep = "1"
[patch.crates-io]
patched = { path = "patched" }
//- .cargo/config.toml
[patch.crates-io]
itself = { path = "itself" }
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["near", "itself", "deep"]
[[package]]
name = "near"
version = "0.1.0"
dependencies = ["patched"]
[[package]]
name = "patched"
version = "1.0.0"
[[package]]
name = "itself"
version = "1.0.0"
[[package]]
name = "deep"
version = "1.0.0"
source = "registry+https://x"
dependencies = ["patched", "second"]
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
patched = "1"
//- near/src/lib.rs
pub fn go() -> u32 { patched::go() }
//- patched/Cargo.toml
[package]
name = "patched"
version = "1.0.0"
edition = "2024"
//- patched/src/lib.rs
pub fn go() -> u32 { 1 }
//- itself/Cargo.toml
[package]
name = "itself"
version = "1.0.0"
edition = "2024"
//- itself/src/lib.rs
pub fn go() -> u32 { 2 }
"#,
        &[("{ 1 }", "{ 11 }"), ("{ 2 }", "{ 22 }")],
    );
    moves(
        "patch below a crate from elsewhere",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { deep::go() }
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[workspace]
[dependencies]
deep = "1"
[patch.crates-io]
patched = { path = "patched" }
//- Cargo.lock
version = 4
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["deep"]
[[package]]
name = "patched"
version = "1.0.0"
[[package]]
name = "deep"
version = "1.0.0"
source = "registry+https://x"
dependencies = ["patched"]
//- patched/Cargo.toml
[package]
name = "patched"
version = "1.0.0"
edition = "2024"
//- patched/src/lib.rs
pub fn go() -> u32 { 1 }
"#,
        &[("{ 1 }", "{ 11 }")],
    );
    moves(
        "output of a dependency's build script",
        r#"
//- src/lib.rs
#[fleche] fn f() -> u32 { near::made() }
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
include!(concat!(env!("OUT_DIR"), "/made.rs"));
fn helper() -> u32 { 4 }
//- near/build.rs
fn main() { write("pub fn made() -> u32 { 3 }") }
//- near/list.txt
seven
"#,
        &[("{ 3 }", "{ 33 }"), ("{ 4 }", "{ 44 }"), ("seven", "eight")],
    );
}
