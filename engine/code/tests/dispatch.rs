//! Programs in which code runs that nobody names where it is called: each edit changes what `f` computes.
//!
//! They are where a narrower rule for impls, methods and attributes once gave a key that was stale.

#![allow(clippy::needless_raw_string_hashes, reason = "all packages are written alike")]

mod common;

use common::Key::{Moves, Stays};
use common::check;

#[test]
fn a_type_that_only_inference_finds() {
    check(
        "an argument of a trait",
        r#"
//- src/lib.rs
trait Convert<T> { fn convert(self) -> T; }
struct B(u32);
impl B { fn go(&self) -> u32 { self.0 + 1 } }
impl Convert<B> for u32 { fn convert(self) -> B { B(self + 2) } }
#[fleche] fn f(x: u32) -> u32 { let y = x.convert(); y.go() }
"#,
        &[
            ("a method of the type", "self.0 + 1", "self.0 + 11", Moves),
            ("the impl", "self + 2", "self + 22", Moves),
        ],
    );
    check(
        "an argument of a foreign type",
        r#"
//- src/lib.rs
trait Total { fn add(&mut self); fn total(&self) -> u32; }
struct B(u32);
impl Total for Vec<B> { fn add(&mut self) { self.push(B(1)) } fn total(&self) -> u32 { self[0].0 + 2 } }
trait Idle { fn idle(&self) -> u32; }
impl Idle for Vec<B> { fn idle(&self) -> u32 { 300 } }
#[fleche] fn f() -> u32 { let mut v = Vec::new(); v.add(); v.total() }
"#,
        &[
            ("a method", "B(1)", "B(11)", Moves),
            ("another", ".0 + 2", ".0 + 22", Moves),
            ("an idle trait", "300", "301", Stays),
        ],
    );
    check(
        "an argument of a foreign trait",
        r#"
//- src/lib.rs
use far::Convert;
struct B(u32);
impl B { fn go(&self) -> u32 { self.0 + 1 } }
impl Convert<B> for u32 { fn convert(self) -> B { B(self + 2) } }
struct C(u32);
impl From<C> for u64 { fn from(c: C) -> u64 { u64::from(c.0) + 300 } }
#[fleche] fn f(x: u32) -> u32 { let y = x.convert(); y.go() }
"#,
        &[
            ("a method of the type", "self.0 + 1", "self.0 + 11", Moves),
            ("the impl", "self + 2", "self + 22", Moves),
            ("an impl that nothing calls", "300", "301", Stays),
        ],
    );
    check(
        "behind an associated type",
        r#"
//- src/lib.rs
trait Outer { type Inner: Make; }
trait Make { fn make() -> u32; }
struct A; struct B;
impl Outer for A { type Inner = B; }
impl Make for B { fn make() -> u32 { 1 } }
#[fleche] fn f() -> u32 { <A as Outer>::Inner::make() }
"#,
        &[("a function of it", "{ 1 }", "{ 11 }", Moves)],
    );
    check(
        "an impl for an associated type",
        r#"
//- src/lib.rs
trait Outer { type Inner; }
trait Make { fn make(&self) -> u32; }
struct A; struct B;
impl Outer for A { type Inner = B; }
impl Make for <A as Outer>::Inner { fn make(&self) -> u32 { 1 } }
#[fleche] fn f() -> u32 { B.make() }
"#,
        &[("its method", "{ 1 }", "{ 11 }", Moves)],
    );
}

#[test]
fn associated_functions_of_foreign_types() {
    check(
        "foreign",
        r#"
//- src/lib.rs
use std::collections::HashMap;
mod make;
use make::Make;
type Map = HashMap<u8, u8>;
trait Unused { fn new() -> u32; }
impl Unused for String { fn new() -> u32 { 500 } }
#[fleche] fn f() -> u32 { u32::make() + Vec::<u8>::make() + HashMap::<u8, u8>::make() + Map::other() + <[u8]>::make() + String::new().len() as u32 }
//- src/make.rs
pub trait Make { fn make() -> u32; fn other() -> u32 { 5 } }
impl Make for u32 { fn make() -> u32 { 1 } }
impl Make for Vec<u8> { fn make() -> u32 { 2 } }
impl Make for std::collections::HashMap<u8, u8> { fn make() -> u32 { 3 } }
impl Make for [u8] { fn make() -> u32 { 4 } }
"#,
        &[
            ("of a primitive", "{ 1 }", "{ 11 }", Moves),
            ("of a type of the prelude", "{ 2 }", "{ 22 }", Moves),
            ("of an imported type", "{ 3 }", "{ 33 }", Moves),
            ("of a slice", "{ 4 }", "{ 44 }", Moves),
            ("a default of the trait", "{ 5 }", "{ 55 }", Moves),
        ],
    );
    check(
        "an import inside",
        r#"
//- src/lib.rs
mod make { pub trait Make { fn make() -> u32; } impl Make for u32 { fn make() -> u32 { 1 } } }
#[fleche] fn f() -> u32 { use make::Make; u32::make() }
"#,
        &[("a trait in scope in a block", "{ 1 }", "{ 11 }", Moves)],
    );
}

#[test]
fn a_trait_of_ours_among_the_arguments_of_a_foreign_one() {
    check(
        "conversion",
        r#"
//- src/lib.rs
trait Shape { fn area(&self) -> u32; }
struct A(u32); struct Square;
impl Shape for Square { fn area(&self) -> u32 { 4 } }
impl From<Box<dyn Shape>> for A { fn from(s: Box<dyn Shape>) -> A { A(s.area() + 1) } }
#[fleche] fn f() -> u32 { let s: Box<dyn Shape> = Box::new(Square); let a: A = s.into(); a.0 }
"#,
        &[("From behind into", "s.area() + 1", "s.area() + 11", Moves)],
    );
}

#[test]
fn inherent_functions_of_one_name() {
    check(
        "instances",
        r#"
//- src/lib.rs
struct Other; struct Wrapper<T>(T);
trait Made { fn third() -> u32; }
impl Wrapper<Other> { fn make() -> u32 { 1 } }
impl Wrapper<u8> { fn make() -> u32 { 200 } fn third() -> u32 { 300 } }
impl Made for Wrapper<u16> { fn third() -> u32 { 3 } }
#[fleche] fn f() -> u32 { Wrapper::<Other>::make() + Wrapper::<u16>::third() }
"#,
        &[
            ("of one instance", "{ 1 }", "{ 11 }", Moves),
            ("of a trait for another instance", "{ 3 }", "{ 33 }", Moves),
        ],
    );
    check(
        "by value before by reference",
        r#"
//- src/lib.rs
#[derive(Clone, Copy)] struct A;
trait Taken { fn go(self) -> u32; }
impl Taken for A { fn go(self) -> u32 { 1 } }
impl A { fn go(&self) -> u32 { 2 } fn both(self) -> u32 { self.go() } }
trait Many { fn all(&self) -> u32; fn size(&self) -> u32; }
impl A { fn size(&self) -> u32 { 400 } }
impl Many for [A] { fn all(&self) -> u32 { self.size() + Self::size(self) } fn size(&self) -> u32 { 3 } }
#[fleche] fn f() -> u32 { A.both() + [A].as_slice().all() }
"#,
        &[
            ("the trait's", "{ 1 }", "{ 11 }", Moves),
            ("a slice's, not its element's", "{ 3 }", "{ 33 }", Moves),
        ],
    );
}

#[test]
fn objects_that_came_from_anywhere() {
    check(
        "through impls for all of a bound",
        r#"
//- src/lib.rs
use std::sync::Mutex;
pub trait Plugin: Send { fn run(&self) -> u32; }
pub trait Named: Send { fn name(&self) -> u32; }
pub struct Wrapped<T>(T);
impl<T: Named> Plugin for T { fn run(&self) -> u32 { self.name() } }
impl<T> Plugin for Wrapped<T> where T: Shown { fn run(&self) -> u32 { self.0.shown() } }
pub trait Shown: Send { fn shown(&self) -> u32; }
static ALL: Mutex<Vec<Box<dyn Plugin>>> = Mutex::new(Vec::new());
pub fn register(plugin: Box<dyn Plugin>) { ALL.lock().unwrap().push(plugin) }
struct First; impl Named for First { fn name(&self) -> u32 { 1 } }
struct Second; impl Shown for Second { fn shown(&self) -> u32 { 2 } }
pub fn setup() { register(Box::new(First)); register(Box::new(Wrapped(Second))); }
#[fleche] fn f() -> u32 { ALL.lock().unwrap().iter().map(|p| p.run()).sum() }
"#,
        &[("a blanket impl", "{ 1 }", "{ 11 }", Moves), ("a wrapper's", "{ 2 }", "{ 22 }", Moves)],
    );
    check(
        "in a crate that nobody names",
        r#"
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
near = { path = "near" }
far = { path = "far" }
//- src/lib.rs
pub fn setup() { far::setup() }
#[fleche] fn f() -> u32 { near::all() }
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
//- near/src/lib.rs
use std::sync::{Mutex, atomic::{AtomicU32, Ordering}};
pub trait Plugin: Send { fn run(&self) -> u32; }
static ALL: Mutex<Vec<Box<dyn Plugin>>> = Mutex::new(Vec::new());
pub static COUNT: AtomicU32 = AtomicU32::new(0);
pub fn register(plugin: Box<dyn Plugin>) { ALL.lock().unwrap().push(plugin) }
pub fn all() -> u32 { ALL.lock().unwrap().iter().map(|p| p.run()).sum::<u32>() + COUNT.load(Ordering::Relaxed) }
//- far/Cargo.toml
[package]
name = "far"
version = "0.1.0"
edition = "2024"
[dependencies]
near = { path = "../near" }
//- far/src/lib.rs
struct P; impl near::Plugin for P { fn run(&self) -> u32 { 1 } }
pub fn setup() { near::register(Box::new(P)); }
pub fn count() { near::COUNT.store(2, std::sync::atomic::Ordering::Relaxed) }
pub fn idle() -> u32 { 300 }
"#,
        &[
            ("an implementor", "{ 1 }", "{ 11 }", Moves),
            ("who writes a static", "store(2", "store(22", Moves),
            ("others", "300", "301", Stays),
        ],
    );
    check(
        "an object that a macro writes",
        r#"
//- src/lib.rs
macro_rules! object { ($t:ident) => { Box<dyn $t> }; }
pub trait Plugin { fn run(&self) -> u32; }
struct P; impl Plugin for P { fn run(&self) -> u32 { 1 } }
mod made { pub fn first() -> Vec<object!(Plugin)> { super::list() } use super::Plugin; }
fn list() -> Vec<object!(Plugin)> { Vec::new() }
#[fleche] fn f() -> u32 { made::first().iter().map(|p| p.run()).sum() }
"#,
        &[("an implementor", "{ 1 }", "{ 11 }", Moves)],
    );
}

#[test]
fn names_that_the_standard_library_writes() {
    check(
        "write!",
        r#"
//- src/lib.rs
struct Sink(u32);
impl Sink { fn write_fmt(&mut self, _: std::fmt::Arguments<'_>) { self.0 += 1 } fn write_str(&mut self) { self.0 += 300 } }
#[fleche] fn f() -> u32 { let mut s = Sink(0); write!(s, "x"); s.0 }
"#,
        &[("a method called by write!", "+= 1 }", "+= 11 }", Moves), ("another", "300", "301", Stays)],
    );
}

#[test]
fn expressions_in_attributes() {
    check(
        "attributes",
        r#"
//- src/lib.rs
#[derive(Parser)] struct Options {
    #[arg(default_value_t = port())] port: u16,
    #[arg(default_value_t = Level::usual())] level: u16,
    #[builder(default = "BASE + offset")] sum: u16,
    #[doc(alias = "idle")] #[arg(help = "some idle words", name = "n")] name: u16,
}
struct Level;
impl Level { fn usual() -> u16 { 2 } }
fn port() -> u16 { 1 }
const BASE: u16 = 3;
fn offset() -> u16 { 4 }
fn idle() -> u16 { 500 }
fn words() -> u16 { 600 }
#[fleche] fn f() -> u16 { let o = Options::parse(); o.port }
"#,
        &[
            ("a function that is called", "{ 1 }", "{ 11 }", Moves),
            ("an associated one", "{ 2 }", "{ 22 }", Moves),
            ("a sum in a text", "u16 = 3", "u16 = 33", Moves),
            ("its other part", "{ 4 }", "{ 44 }", Moves),
            ("a word of a help text", "500", "501", Stays),
            ("another", "600", "601", Stays),
        ],
    );
}

#[test]
fn who_registers_by_attribute() {
    check(
        "a slice that others add to",
        r#"
//- src/lib.rs
#[distributed_slice] pub static STEPS: [fn(u32) -> u32];
#[distributed_slice] pub static OTHER: [fn(u32) -> u32];
#[distributed_slice(STEPS)] fn one(x: u32) -> u32 { x + 1 }
#[linkme::distributed_slice(crate::STEPS)] static TWO: fn(u32) -> u32 = two;
fn two(x: u32) -> u32 { x + 2 }
#[distributed_slice(OTHER)] fn three(x: u32) -> u32 { x + 300 }
#[fleche] fn f(x: u32) -> u32 { STEPS.iter().map(|step| step(x)).sum() }
"#,
        &[
            ("a function in it", "x + 1 }", "x + 11 }", Moves),
            ("what a static in it names", "x + 2 }", "x + 22 }", Moves),
            ("one in another", "300", "301", Stays),
        ],
    );
}

#[test]
fn functions_that_the_linker_finds() {
    check(
        "symbols",
        r#"
//- src/lib.rs
unsafe extern "C" { fn plus(x: u32) -> u32; }
mod exported { #[unsafe(no_mangle)] extern "C" fn plus(x: u32) -> u32 { x + inner() } fn inner() -> u32 { 1 } fn idle() -> u32 { 200 } }
#[fleche] fn f(x: u32) -> u32 { unsafe { plus(x) } }
"#,
        &[
            ("the definition", "x + inner()", "x - inner()", Moves),
            ("what it calls", "{ 1 }", "{ 11 }", Moves),
            ("others", "200", "201", Stays),
        ],
    );
}

#[test]
fn names_that_macros_of_other_crates_make_of_ours() {
    check(
        "derives and attributes",
        r#"
//- src/lib.rs
#[derive(Clone, Builder)] struct Options { a: u32 }
impl Options { fn total(&self) -> u32 { self.a + 1 } }
#[both_ways] fn load_all(x: u32) -> u32 { x + 2 }
#[derive(Clone)] struct Opt(u32);
impl Opt { fn total(&self) -> u32 { 300 } }
#[derive(Builder)] struct Unrelated { a: u32 }
impl Unrelated { fn total(&self) -> u32 { 400 } }
#[fleche] fn f(x: u32) -> u32 { load_all_blocking(x) + OptionsBuilder::default().a(1).build().unwrap().total() }
"#,
        &[
            ("a method of the type that a builder makes", "self.a + 1", "self.a + 11", Moves),
            ("a function that has a twin", "x + 2", "x + 22", Moves),
            ("a type that makes no names", "300", "301", Stays),
            ("a type of another name", "400", "401", Stays),
        ],
    );
}

#[test]
fn names_that_change_places() {
    check(
        "renamed imports",
        r#"
//- src/lib.rs
mod a { pub fn one(x: u32) -> u32 { x + 1 } pub fn two(x: u32) -> u32 { x + 2 } }
mod b { pub use crate::a::one as first; pub use crate::a::two as second; }
mod c { pub fn go(x: u32) -> u32 { x + 3 } } mod d { pub fn go(x: u32) -> u32 { x + 4 } }
use a::one as g; use a::two as h;
use c as left; use d as right;
#[fleche] fn f(x: u32) -> u32 { (g(x) - h(x)) + (b::first(x) - b::second(x)) + (left::go(x) - right::go(x)) }
"#,
        &[
            (
                "of a module's imports",
                "use a::one as g; use a::two as h;",
                "use a::two as g; use a::one as h;",
                Moves,
            ),
            (
                "of re-exports",
                "a::one as first; pub use crate::a::two as second",
                "a::two as first; pub use crate::a::one as second",
                Moves,
            ),
            ("of modules", "use c as left; use d as right;", "use d as left; use c as right;", Moves),
        ],
    );
    check(
        "imports of one name in two modules",
        r#"
//- src/lib.rs
mod a { pub fn go(x: u32) -> u32 { x + 1 } pub trait Plus { fn plus(&self) -> u32; } impl Plus for u32 { fn plus(&self) -> u32 { 1 } } }
mod b { pub fn go(x: u32) -> u32 { x + 2 } pub trait Plus { fn plus(&self) -> u32; } impl Plus for u32 { fn plus(&self) -> u32 { 2 } } }
mod c { use crate::a::go; use std::cmp::min as pick; use crate::a::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }
mod d { use crate::b::go; use std::cmp::max as pick; use crate::b::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }
#[fleche] fn f(x: u32) -> u32 { c::f(x) - d::f(1) }
"#,
        &[
            (
                "of a function",
                "{ use crate::a::go; use std::cmp::min as pick; use crate::a::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }\nmod d { use crate::b::go;",
                "{ use crate::b::go; use std::cmp::min as pick; use crate::a::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }\nmod d { use crate::a::go;",
                Moves,
            ),
            (
                "of the standard library",
                "min as pick; use crate::a::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }\nmod d { use crate::b::go; use std::cmp::max",
                "max as pick; use crate::a::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }\nmod d { use crate::b::go; use std::cmp::min",
                Moves,
            ),
            (
                "of a trait",
                "a::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }\nmod d { use crate::b::go; use std::cmp::max as pick; use crate::b::Plus",
                "b::Plus; pub fn f(x: u32) -> u32 { go(x) + pick(x, 1) + x.plus() } }\nmod d { use crate::b::go; use std::cmp::max as pick; use crate::a::Plus",
                Moves,
            ),
        ],
    );
    check(
        "imports under conditions",
        r#"
//- src/lib.rs
mod a { pub fn one(x: u32) -> u32 { x + 1 } pub fn two(x: u32) -> u32 { x + 2 } }
mod b { #[cfg(unix)] pub use crate::a::one as go; #[cfg(windows)] pub use crate::a::two as go; }
mod e { pub fn late(x: u32) -> u32 { x + 1 } } mod g { pub fn late(x: u32) -> u32 { x + 2 } }
#[cfg(target_os = "linux")] use e::*;
#[cfg(target_os = "macos")] use g::*;
#[cfg(unix)] extern crate std as of;
#[cfg(windows)] extern crate core as of;
#[fleche] fn f(x: u32) -> u32 { b::go(x) + late(x) + of::cmp::min(x, 1) }
"#,
        &[
            (
                "of a name",
                "#[cfg(unix)] pub use crate::a::one as go; #[cfg(windows)]",
                "#[cfg(windows)] pub use crate::a::one as go; #[cfg(unix)]",
                Moves,
            ),
            (
                "of a crate",
                "#[cfg(unix)] extern crate std as of;\n#[cfg(windows)]",
                "#[cfg(windows)] extern crate std as of;\n#[cfg(unix)]",
                Moves,
            ),
            (
                "of a glob",
                "\"linux\")] use e::*;\n#[cfg(target_os = \"macos\")]",
                "\"macos\")] use e::*;\n#[cfg(target_os = \"linux\")]",
                Moves,
            ),
        ],
    );
}
