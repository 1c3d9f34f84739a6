//! Edits of what names lead to: modules, imports, macros, texts, where the name alone does not say it.

use crate::common::Key::{Moves, Stays};
use crate::common::{check, check_moves};

#[test]
fn names_from_where_nothing_is_known() {
    check_moves(&[
        (
            "a glob of what a macro makes",
            "make_module!(inner); use inner::*; mod far { pub fn go() -> u32 { 1 } } #[fleche] fn f() -> u32 { go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a module in which a macro makes names",
            "mod m { make!(); } mod far { pub fn go() -> u32 { 1 } } #[fleche] fn f() -> u32 { m::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a function of a type that a macro brings",
            "mod m { make!(); } mod far { pub struct Kind; impl Kind { pub fn go() -> u32 { 1 } } } #[fleche] fn f() -> u32 { m::Kind::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a name that a macro of ours makes there",
            "macro_rules! define { ($n:ident) => { pub fn $n() -> u32 { 1 } }; } mod m { define!(go); } #[fleche] fn f() -> u32 { m::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a name there that another macro makes of one of ours",
            "mod m { make!(); } #[derive(Clone, Builder)] struct Options; impl Options { fn total(&self) -> u32 { 1 } } #[fleche] fn f() -> u32 { m::OptionsBuilder::new().total() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "an import of what is not declared",
            "use made::one as g; fn h() -> u32 { g() } #[fleche] fn f() -> u32 { h() }",
            "made::one",
            "made::two",
        ),
        (
            "a glob of another crate",
            "use one::*; fn g(x: u32) -> u32 { x.go() } #[fleche] fn f() -> u32 { g(1) }",
            "one::*",
            "two::*",
        ),
        (
            "a glob of a module that a macro makes",
            "make_modules!(one_, two_); use one_::*; fn g() -> u32 { go() } #[fleche] fn f() -> u32 { g() }",
            "one_::*",
            "two_::*",
        ),
        (
            "a trait of another crate",
            "use one::Ext; fn g(x: u32) -> u32 { x.go() } #[fleche] fn f() -> u32 { g(1) }",
            "one::Ext",
            "two::Ext",
        ),
        (
            "imports of the standard library that change places",
            "use std::cmp::min as a; use std::cmp::max as b; fn g(x: u32) -> u32 { a(x, 1) - b(x, 2) } #[fleche] fn f() -> u32 { g(1) }",
            "min as a; use std::cmp::max as b",
            "max as a; use std::cmp::min as b",
        ),
        (
            "a call with a name in front of its group, which only a macro may be given",
            "wrap! { made! name { fn g() -> u32 { 1 } } } #[fleche] fn f() -> u32 { g() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "modules that lead to one another under conditions",
            "#[cfg(unix)] mod n { pub fn start() -> u32 { 5 } pub mod p { pub fn go() -> u32 { 1 } } } #[cfg(unix)] use n::p;
             #[cfg(windows)] mod p { pub mod n { pub fn start() -> u32 { 6 } } pub fn go() -> u32 { 2 } } #[cfg(windows)] use p::n;
             #[fleche] fn f() -> u32 { n::start() + p::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "traits under conditions that change places",
            "mod a { pub trait Ext { fn go(&self) -> u32 { 1 } } impl Ext for u32 {} } mod b { pub trait Ext { fn go(&self) -> u32 { 2 } } impl Ext for u32 {} }
             #[cfg(unix)] use a::Ext as _; #[cfg(windows)] use b::Ext as _; fn g(x: u32) -> u32 { x.go() } #[fleche] fn f() -> u32 { g(1) }",
            "unix)] use a::Ext as _; #[cfg(windows",
            "windows)] use a::Ext as _; #[cfg(unix",
        ),
    ]);
}

#[test]
fn imports_in_blocks_and_modules() {
    check_moves(&[
        (
            "a module that a block imports",
            "mod a { pub mod inner { pub fn go() -> u32 { 1 } } } #[fleche] fn f() -> u32 { use a::inner as i; i::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a glob in a block",
            "mod a { pub fn go() -> u32 { 1 } } #[fleche] fn f() -> u32 { use a::*; go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a trait by a glob",
            "mod p { pub trait Ext { fn ext(&self) -> u32; } impl Ext for u32 { fn ext(&self) -> u32 { 1 } } } use p::*; #[fleche] fn f() -> u32 { 3_u32.ext() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a variant by a glob",
            "use Kind::*; enum Kind { Big = 1, Small = 5 } #[fleche] fn f() -> u32 { Big as u32 }",
            "Big = 1",
            "Big = 11",
        ),
        (
            "generic arguments inside a path",
            "mod m { pub struct Holder<T>(T); impl<T> Holder<T> { pub fn go() -> u32 { 0 } } } type Alias = [u8; 1]; #[fleche] fn f() -> u32 { m::Holder::<Alias>::go() }",
            "[u8; 1]",
            "[u8; 2]",
        ),
    ]);
    check_moves(&[(
        "functions of two modules that change places",
        "mod a { pub fn go() -> u32 { 1 } } mod b { pub fn go() -> u32 { 2 } } #[fleche] fn f() -> u32 { a::go() - b::go() }",
        "{ 1 } } mod b { pub fn go() -> u32 { 2 }",
        "{ 2 } } mod b { pub fn go() -> u32 { 1 }",
    )]);
    let old = r#"
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
[dependencies]
near = { path = "near" }
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
//- near/src/lib.rs
pub fn go() -> u32 { 4 }
//- src/lib.rs
mod a { pub fn go() -> u32 { 1 } }
mod b { use a::go; pub fn g() -> u32 { go() + ::c::go() } }
mod c { pub fn go() -> u32 { 2 } }
extern crate near as by;
trait Plugin { fn run(&self) -> u32; }
impl<T: far::Step> Plugin for T { fn run(&self) -> u32 { self.step() } }
struct P; impl far::Step for P { fn step(&self) -> u32 { 3 } }
fn all() -> Vec<Box<Plugin>> { Vec::new() }
#[fleche] fn f() -> u32 { b::g() + by::go() + all()[0].run() }
"#;
    check(
        "edition 2015",
        old,
        &[
            ("an import from the root", "{ 1 }", "{ 11 }", Moves),
            ("a path from the root", "{ 2 }", "{ 22 }", Moves),
            ("an object without `dyn`", "{ 3 }", "{ 33 }", Moves),
            ("a crate by another name", "{ 4 }", "{ 44 }", Moves),
        ],
    );
    let text = r#"
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2021"
[dependencies]
near = { path = "near" }
logging = "1"
direct = "1"
idle = "1"
//- Cargo.lock
[[package]]
name = "demo"
version = "0.1.0"
dependencies = ["logging", "idle", "direct"]
[[package]]
name = "direct"
version = "1.0.6"
[[package]]
name = "logging"
version = "1.0.3"
[[package]]
name = "idle"
version = "1.0.4"
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
//- near/src/lib.rs
pub fn go() -> u32 { 1 }
mod inner { #[macro_export] macro_rules! shout { ($x:expr) => { $x + 5 } } }
//- src/lib.rs
#[macro_use] extern crate logging;
mod near { pub fn go() -> u32 { 2 } }
use ::near::shout as cry;
#[fleche] fn f() -> u32 { info!("x"); direct::now!(); ::near::go() + cry!(1) }
"#;
    check(
        "paths of other crates",
        text,
        &[
            ("a crate whose name a module has", "{ 1 }", "{ 11 }", Moves),
            ("that module", "{ 2 }", "{ 22 }", Stays),
            ("a crate whose macros are used", "1.0.3", "1.0.33", Moves),
            ("one whose macro is named with it", "1.0.6", "1.0.66", Moves),
            ("one of which nothing is", "1.0.4", "1.0.44", Stays),
            ("a macro by another name", "$x + 5", "$x + 55", Moves),
        ],
    );
}

#[test]
fn macros_where_they_are_used() {
    check_moves(&[
        (
            "a macro of a module above",
            "#[macro_use] mod m { macro_rules! inner { () => { 1 } } } #[fleche] fn f() -> u32 { inner!() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a macro by another name",
            "mod m { macro_rules! a { () => { 1 } } pub(crate) use a as b; } #[fleche] fn f() -> u32 { m::b!() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "what only the caller's scope has",
            "mod m { macro_rules! call { () => { go(1) } } pub(crate) use call; } fn go(x: u32) -> u32 { x + 1 } #[fleche] fn f() -> u32 { m::call!() }",
            "x + 1 }",
            "x + 11 }",
        ),
        (
            "what it is called in the caller's scope",
            "mod m { macro_rules! call { () => { go(1) - gone(2) } } pub(crate) use call; } mod a { pub fn one(x: u32) -> u32 { x + 1 } pub fn two(x: u32) -> u32 { x + 2 } }
             use a::one as go; use a::two as gone; fn g() -> u32 { m::call!() } #[fleche] fn f() -> u32 { g() }",
            "one as go; use a::two as gone",
            "two as go; use a::one as gone",
        ),
        (
            "a method of a trait in the caller's scope",
            "mod m { macro_rules! call { ($x:expr) => { $x.ext() } } pub(crate) use call; } mod t { pub trait Ext { fn ext(&self) -> u32 { 1 } } impl Ext for u32 {} }
             mod user { use crate::t::Ext; pub fn g() -> u32 { crate::m::call!(3) } } #[fleche] fn f() -> u32 { user::g() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a module as an argument",
            "mod inner { pub fn x() -> u32 { 1 } } #[fleche] fn f() -> u32 { far::run_all!(inner) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a cached function that it opens",
            "#[fleche] fn callee(x: u32) -> u32 { x + 1 } macro_rules! bare { ($f:ident) => { $f::uncached(1) } } #[fleche] fn f() -> u32 { bare!(callee) }",
            "x + 1 }",
            "x + 11 }",
        ),
        (
            "a method without its parentheses",
            "struct A; impl A { fn go(&self) -> u32 { 1 } } macro_rules! call { ($($t:tt)*) => { $($t)* () } } #[fleche] fn f() -> u32 { call!(A.go) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "the same inside of a macro of the standard library",
            "struct A; impl A { fn go(&self) -> u32 { 1 } } macro_rules! call { ($m:ident ! [$($t:tt)*]) => { $($t)* () } } #[fleche] fn f() -> u32 { call!(vec![A.go]) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a macro called like one of the standard library",
            "struct A; impl A { fn go(&self) -> u32 { 1 } } macro_rules! dbg { ($n:ident) => { A.$n() } } #[fleche] fn f() -> u32 { dbg!(go) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "`macro`",
            "pub macro m($x:expr) { $x + helper() } fn helper() -> u32 { 1 } #[fleche] fn f() -> u32 { m!(1) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a name in the text of a macro of another crate",
            "const LIMIT: u32 = 1; #[fleche] fn f() { info!(\"at most {LIMIT} of them\") }",
            "u32 = 1",
            "u32 = 11",
        ),
        (
            "a call in the text of an attribute",
            "#[derive(Builder)] struct A { #[builder(default = \"make(1, 2)\")] a: u32 } fn make(a: u32, b: u32) -> u32 { 1 } #[fleche] fn f() -> u32 { A::default().a }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a method in the text of an attribute",
            "#[derive(Get)] struct A { #[get(via = \"go\")] a: u32 } impl A { fn go(&self) -> u32 { 1 } } #[fleche] fn f() -> u32 { A { a: 1 }.a }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "an attribute of a module that names something in it",
            "#[wrapped(helper)] mod m { pub fn go() -> u32 { 0 } fn helper() -> u32 { 1 } } #[fleche] fn f() -> u32 { m::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "where a name in an attribute of a module leads",
            "mod a { pub fn one() -> u32 { 1 } pub fn two() -> u32 { 2 } } use a::one as x; use a::two as y; #[wrapped(x)] #[other(y)] mod m { pub fn go() -> u32 { 0 } } #[fleche] fn f() -> u32 { m::go() }",
            "one as x; use a::two as y",
            "two as x; use a::one as y",
        ),
        (
            "an attribute of a module that names something",
            "#[wrapped(helper)] mod m { pub mod n { pub fn go() -> u32 { 0 } } } fn helper() -> u32 { 1 } #[fleche] fn f() -> u32 { m::n::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
    ]);
}
