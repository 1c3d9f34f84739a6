//! One edit each of small packages, and whether the key of a cached function may stay.

#![allow(clippy::needless_raw_string_hashes, reason = "all packages are written alike")]

mod build;
mod calls;
#[path = "../common/mod.rs"]
mod common;
mod impls;
mod packages;
mod scopes;
mod whole;

use common::Key::{Moves, Stays};
use common::check;

#[test]
fn what_is_called_counts_and_what_is_not_does_not() {
    let text = r#"
//- src/lib.rs
mod other;
#[fleche] fn f(x: u32) -> u32 { helper(x) + other::deep(x) } // a comment
fn helper(x: u32) -> u32 { x + LIMIT }
const LIMIT: u32 = 10;
fn unrelated() -> u32 { 1000 }
/// Documentation.
struct Unrelated { a: u8 }
impl Unrelated { fn helper(&self) -> u8 { 77 } }
impl std::fmt::Display for Unrelated { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "un") } }
//- src/other.rs
//! Other.
pub fn deep(x: u32) -> u32 { deeper(x) }
fn deeper(x: u32) -> u32 { x * 2 }
pub fn shallow() -> u32 { 5000 }
"#;
    check(
        "calls",
        text,
        &[
            ("the function itself", "helper(x) +", "helper(x) -", Moves),
            ("a callee", "x + LIMIT", "x - LIMIT", Moves),
            ("a constant", "u32 = 10", "u32 = 11", Moves),
            ("a callee's callee in another module", "x * 2", "x * 3", Moves),
            ("a comment", "// a comment", "// another", Stays),
            ("layout", "fn helper(x: u32)", "fn helper(\n    x: u32)", Stays),
            ("documentation", "/// Documentation.", "/// Other words.", Stays),
            ("inner documentation", "//! Other.", "//! Else.", Stays),
            ("an unrelated function", "1000", "1001", Stays),
            ("an unrelated function of a reached module", "5000", "5001", Stays),
            ("a method of an unrelated type", "77", "78", Stays),
            ("a trait impl of an unrelated type", "\"un\"", "\"no\"", Stays),
            ("a new function", "struct Unrelated", "fn new() {} struct Unrelated", Stays),
            (
                "items change places",
                "const LIMIT: u32 = 10;\nfn unrelated() -> u32 { 1000 }",
                "fn unrelated() -> u32 { 1000 }\nconst LIMIT: u32 = 10;",
                Stays,
            ),
        ],
    );
}

#[test]
fn methods_count_with_their_type() {
    let text = r#"
//- src/lib.rs
struct A { field: u32, b: B }
struct B;
struct C { go: u32 }
#[fleche] fn f(x: u32) -> u32 { let a = A::new(x); a.go() + a.b.size() + A::SIZE }
impl A {
    const SIZE: u32 = 1;
    fn new(x: u32) -> Self { Self::make(x) }
    fn make(x: u32) -> Self { A { field: x + 3, b: B } }
    fn go(&self) -> u32 { self.private() }
    fn private(&self) -> u32 { self.field * 4 }
    fn idle(&self) -> u32 { 500 }
}
impl B { fn size(&self) -> u32 { 6 } fn go(&self) -> u32 { 700 } fn new(x: u32) -> u32 { 9300 } }
impl C { fn size(&self) -> u32 { 8000 } fn new() -> u32 { 9000 } }
"#;
    check(
        "methods",
        text,
        &[
            ("an associated function", "x + 3", "x + 33", Moves),
            ("a method through self", "* 4", "* 44", Moves),
            ("an associated constant", "SIZE: u32 = 1;", "SIZE: u32 = 2;", Moves),
            ("a method of a field's type", "{ 6 }", "{ 66 }", Moves),
            ("a method that is not called", "500", "501", Stays),
            ("a method of that name of a type that is not reached", "8000", "8001", Stays),
            ("an associated function of another type", "9000", "9001", Stays),
            ("an associated function of another type that is reached", "9300", "9301", Stays),
            ("a method of that name of a reached type", "700", "701", Moves),
        ],
    );
}

#[test]
fn a_call_counts_whatever_stands_around_it() {
    let text = r#"
//- src/lib.rs
struct A(u32);
impl A {
    fn m1(&self) -> Option<u32> { Some(1) } fn m2(&self) -> u32 { 2 } fn m3(&self) -> u32 { 3 }
    fn m4(&self) -> u32 { 4 } fn m5(&self) -> u32 { 5 } fn m6(&self) -> u32 { 6 } fn m7(&self) -> u32 { 7 }
    fn m8(&self) -> u32 { 8 } fn m9(&self) -> bool { 9 > 8 }
    fn n1() -> u32 { 11 } fn n2() -> u32 { 12 } fn n3() -> u32 { 13 }
}
trait More { fn x1(&self) -> u32 { 21 } fn x2(&self) -> u32 { 22 } }
impl More for u32 {} impl More for str {}
fn a() -> Option<A> { None }
#[fleche] fn f(list: Vec<A>, pair: (A, u32)) -> Option<u32> {
    let mut sum = a()?.m1()?.x1(); sum += "a".x2() + 1.x1() - list[0].m2();
    sum *= pair.0.m3() << (&list[1]).m4(); sum |= { a()? }.m5();
    for _ in 0..a()?.m6() {} for _ in 0..=list[0].m7() {}
    if sum > 0 && !list[0].m9() || sum<-1_i32 as u32 { return Some(vec![a()?][0].m8()) }
    let of: Option<A>=None; sum = if sum>=A::n1() { <A>::n2() } else { sum >>A::n3() };
    Some(sum)
}
"#;
    let all = [
        ("behind ?", "Some(1)", "Some(111)"),
        ("of what ? gave, behind ?", "{ 21 }", "{ 2121 }"),
        ("of a text", "{ 22 }", "{ 2222 }"),
        ("of an element", "{ 2 }", "{ 222 }"),
        ("of a field of a tuple", "{ 3 }", "{ 333 }"),
        ("of what parentheses hold", "{ 4 }", "{ 444 }"),
        ("of a block", "{ 5 }", "{ 555 }"),
        ("behind ? in a range", "{ 6 }", "{ 666 }"),
        ("in a closed range", "{ 7 }", "{ 777 }"),
        ("of an element of a macro's", "{ 8 }", "{ 888 }"),
        ("negated", "{ 9 > 8 }", "{ 9 > 9 }"),
        ("behind an operator", "{ 11 }", "{ 1111 }"),
        ("of a type in angles", "{ 12 }", "{ 1212 }"),
        ("behind a shift", "{ 13 }", "{ 1313 }"),
    ];
    check("around", text, &all.map(|(what, old, new)| (what, old, new, Moves)));
}

#[test]
fn calls_without_a_name() {
    let text = r#"
//- src/lib.rs
use std::fmt; use std::ops::{Add, Deref, Index}; use std::str::FromStr;
struct V(u32); struct W(V); struct E; struct It(u32); struct G;
#[derive(PartialEq, Eq)] struct S(u32);
impl Add for V { type Output = V; fn add(self, o: V) -> V { V(self.0 + o.0 + 1) } }
impl fmt::Display for V { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "v2{}", self.0) } }
impl Deref for W { type Target = V; fn deref(&self) -> &V { seen(3); &self.0 } }
impl From<std::num::ParseIntError> for E { fn from(_: std::num::ParseIntError) -> E { seen(4); E } }
impl Iterator for It { type Item = u32; fn next(&mut self) -> Option<u32> { seen(5); None } }
impl Drop for G { fn drop(&mut self) { seen(6) } }
impl Default for V { fn default() -> V { V(7) } }
impl FromStr for V { type Err = E; fn from_str(_: &str) -> Result<V, E> { Ok(V(8)) } }
impl Ord for S { fn cmp(&self, o: &S) -> std::cmp::Ordering { seen(9); self.0.cmp(&o.0) } }
impl PartialOrd for S { fn partial_cmp(&self, o: &S) -> Option<std::cmp::Ordering> { Some(self.cmp(o)) } }
impl Index<usize> for W { type Output = u32; fn index(&self, _: usize) -> &u32 { &self.0.0 } }
impl std::ops::Neg for Other { type Output = Other; fn neg(self) -> Other { seen(500); self } }
struct Other;
fn seen(_: u32) {}
#[fleche] fn f(x: &str) -> Result<String, E> {
    let n: u32 = x.parse()?; let w = W(V(n) + V::default()); let _g = G;
    let mut list = vec![S(1)]; list.sort(); for _ in It(1) {}
    let v: V = x.parse()?; Ok(format!("{}{}{}", *w, w[0], v))
}
"#;
    check(
        "unnamed",
        text,
        &[
            ("an operator", "o.0 + 1", "o.0 + 11", Moves),
            ("Display in format!", "v2{}", "v22{}", Moves),
            ("Deref", "seen(3)", "seen(33)", Moves),
            ("From behind ?", "seen(4)", "seen(44)", Moves),
            ("an iterator in for", "seen(5)", "seen(55)", Moves),
            ("Drop", "seen(6)", "seen(66)", Moves),
            ("Default", "V(7)", "V(77)", Moves),
            ("FromStr behind parse", "V(8)", "V(88)", Moves),
            ("Ord under sort", "seen(9)", "seen(99)", Moves),
            ("Index", "{ &self.0.0 }", "{ &(self.0).0 }", Moves),
            ("derives", "#[derive(PartialEq, Eq)]", "#[derive(PartialEq, Eq, Debug)]", Moves),
            ("an operator of another type", "seen(500)", "seen(501)", Stays),
        ],
    );
}

#[test]
fn traits() {
    let text = r#"
//- src/lib.rs
mod shapes; mod ext;
use shapes::{Circle, Shape}; use ext::Ext as _;
struct Square(f64);
impl Shape for Square { fn area(&self) -> f64 { self.0 * 400.0 } fn name(&self) -> &str { "sq" } }
#[fleche] fn f(x: f64) -> f64 { Circle(x).area() + Circle(x).twice() + 3_u32.ext() }
//- src/shapes.rs
pub struct Circle(pub f64);
pub trait Shape { fn area(&self) -> f64; fn name(&self) -> &str; fn twice(&self) -> f64 { self.area() * 2.0 } fn idle(&self) -> f64 { 600.0 } }
impl Shape for Circle { fn area(&self) -> f64 { pi() * self.0 } fn name(&self) -> &str { "circle" } }
fn pi() -> f64 { 3.1 }
//- src/ext.rs
pub trait Ext { fn ext(&self) -> f64; }
impl Ext for u32 { fn ext(&self) -> f64 { 7.0 } }
pub trait Silent { fn silent(&self) -> f64; }
impl Silent for u32 { fn silent(&self) -> f64 { 800.0 } }
"#;
    check(
        "traits",
        text,
        &[
            ("a method of an impl", "pi() * self.0", "pi() + self.0", Moves),
            ("what it calls", "3.1", "3.2", Moves),
            ("a default method", "* 2.0", "* 3.0", Moves),
            ("an impl for a foreign type", "7.0", "7.5", Moves),
            ("a default method that is not called", "600.0", "601.0", Stays),
            ("a method of an impl that is not called", "\"circle\"", "\"round\"", Stays),
            ("an impl of a type that is not reached, of a trait that is", "400.0", "401.0", Moves),
            ("a trait that is not used", "800.0", "801.0", Stays),
        ],
    );
    let open = text.replace("#[fleche] fn f(x: f64) -> f64 { ", "fn all() -> Vec<Box<dyn Shape>> { Vec::new() }\n#[fleche] fn f(x: f64) -> f64 { all().len() as f64 + ");
    check("dyn", &open, &[("an impl that may stand behind dyn", "400.0", "401.0", Moves)]);
}

#[test]
fn generics_functions_as_values_and_tables() {
    let text = r#"
//- src/lib.rs
type Step = fn(u32) -> u32;
static TABLE: [Step; 2] = [one, two];
fn one(x: u32) -> u32 { x + 1 } fn two(x: u32) -> u32 { x + 2 } fn three(x: u32) -> u32 { x + 300 }
fn apply<F: Fn(u32) -> u32>(f: F) -> u32 { f(4) }
struct Matrix<const N: usize>([u32; N]);
impl<const N: usize> Matrix<N> { fn sum(&self) -> u32 { self.0.iter().sum::<u32>() + 5 } }
trait Named { const NAME: &'static str; fn make() -> Self; }
struct P; impl Named for P { const NAME: &'static str = "p6"; fn make() -> Self { let _ = 7; P } }
struct Q; impl Named for Q { const NAME: &'static str = "q800"; fn make() -> Self { Q } }
fn build<T: Named>() -> usize { let _ = T::make(); T::NAME.len() }
type Alias = P;
#[fleche] fn f(x: u32) -> u32 {
    TABLE.iter().map(|g| g(x)).sum::<u32>() + apply(one) + Matrix::<SIZE>([1; SIZE]).sum() + build::<Alias>() as u32
}
const SIZE: usize = { 9 };
"#;
    check(
        "generics",
        text,
        &[
            ("a function in a table", "x + 2 }", "x + 22 }", Moves),
            ("the table", "[one, two]", "[two, one]", Moves),
            ("a function as a value", "x + 1 }", "x + 11 }", Moves),
            ("a function that is in none", "x + 300", "x + 301", Stays),
            ("a method with const generics", "+ 5 }", "+ 55 }", Moves),
            ("a const argument", "{ 9 }", "{ 10 }", Moves),
            ("an associated constant through a parameter", "\"p6\"", "\"p66\"", Moves),
            ("an associated function through a parameter", "let _ = 7", "let _ = 77", Moves),
            ("the alias", "type Alias = P", "type Alias = Q", Moves),
            ("the constant of another impl of a reached trait", "q800", "q801", Moves),
        ],
    );
}

#[test]
fn imports_globs_and_reexports() {
    let text = r#"
//- src/lib.rs
mod a; mod b; mod prelude { pub use crate::a::inner::renamed as shown; pub use super::b::*; }
use a::first as one; use prelude::*; use std::cmp::min as pick; use std::cmp::max as other;
#[fleche] fn f(x: u32) -> u32 { one(x) + shown(x) + from_glob(x) + crate::b::nested::full(x) + pick(x, 3) + Colour::Red as u32 + { use a::late; late(x) } }
use Kind::*;
enum Kind { Big = 4, Small = 5 }
pub use b::Colour;
#[fleche] fn g() -> u32 { Big as u32 + other(1, 2) }
//- src/a.rs
pub fn first(x: u32) -> u32 { x + 1 }
pub fn late(x: u32) -> u32 { x + 9 }
pub fn second(x: u32) -> u32 { x + 200 }
pub mod inner { pub fn renamed(x: u32) -> u32 { x + 3 } pub fn shown(x: u32) -> u32 { x + 400 } }
//- src/b/mod.rs
pub fn from_glob(x: u32) -> u32 { x + 5 }
pub enum Colour { Red = 6 }
pub mod nested;
pub fn first(x: u32) -> u32 { x + 700 }
//- src/b/nested.rs
pub fn full(x: u32) -> u32 { super::super::a::first(x) + 8 }
"#;
    check(
        "imports",
        text,
        &[
            ("a renamed import", "x + 1 }", "x + 11 }", Moves),
            ("a renamed re-export", "x + 3 }", "x + 33 }", Moves),
            ("through a glob of a glob", "x + 5 }", "x + 55 }", Moves),
            ("a full path", "(x) + 8", "(x) + 88", Moves),
            ("an import in a block", "x + 9 }", "x + 99 }", Moves),
            ("a variant of a re-exported enum", "Red = 6", "Red = 66", Moves),
            ("what a name is imported from", "min as pick", "max as pick", Moves),
            ("another import", "max as other", "min as other", Stays),
            ("a function of the same name elsewhere", "x + 700", "x + 701", Stays),
            ("one hidden by a rename", "x + 400", "x + 401", Stays),
            ("one that is not imported", "x + 200", "x + 201", Stays),
            ("an enum that only another function uses", "Big = 4", "Big = 44", Stays),
            ("where a re-export leads", "a::inner::renamed as shown", "a::inner::shown as shown", Moves),
        ],
    );
}

#[test]
fn macros() {
    let text = r#"
//- src/lib.rs
macro_rules! double { ($x:expr) => { $crate::twice($x) + local_name() }; }
macro_rules! define { ($name:ident, $value:expr) => { fn $name() -> u32 { $value + inside() } }; }
macro_rules! idle { () => { 900 }; }
macro_rules! method { ($x:expr, $m:ident) => { $x.$m() }; }
macro_rules! types { ($($t:ident),*) => { $(impl Size for $t { fn size(&self) -> u32 { sized() } })* }; }
define!(defined, 3);
define!(idle_defined, 1200);
idle_types!(Elsewhere);
macro_rules! idle_types { ($t:ident) => { struct $t; impl Size for $t { fn size(&self) -> u32 { 1300 } } }; }
types!(A, B);
trait Size { fn size(&self) -> u32; }
struct A; struct B;
impl A { fn by_macro(&self) -> u32 { 5 } fn never(&self) -> u32 { 600 } }
fn twice(x: u32) -> u32 { x * 2 } fn local_name() -> u32 { 1 } fn inside() -> u32 { 4 } fn sized() -> u32 { 7 }
const WIDTH: usize = 8; const LIMIT: u32 = 9; const PRECISE: u32 = 1000;
#[fleche] fn f(x: u32) -> String { let n = double!(x) + defined() + method!(A, by_macro) + A.size(); format!("{n:>WIDTH$}{LIMIT}") }
fn unrelated() -> u32 { 500 }
"#;
    check(
        "macros",
        text,
        &[
            ("the macro", "+ local_name()", "- local_name()", Moves),
            ("a helper by $crate", "x * 2", "x * 3", Moves),
            (
                "a helper of the caller's scope",
                "local_name() -> u32 { 1 }",
                "local_name() -> u32 { 11 }",
                Moves,
            ),
            ("an argument of a call that defines", "define!(defined, 3)", "define!(defined, 33)", Moves),
            ("what a defined function calls", "{ 4 }", "{ 44 }", Moves),
            ("a method named by an argument", "{ 5 }", "{ 55 }", Moves),
            ("a call that defines something else", "1200", "1201", Stays),
            ("impls made by a macro", "{ 7 }", "{ 77 }", Moves),
            ("a constant in a text", "u32 = 9", "u32 = 99", Moves),
            ("a width in a text", "usize = 8", "usize = 88", Moves),
            ("a macro that is not used", "900", "901", Stays),
            ("a method that no macro names", "600", "601", Stays),
            ("an unrelated function", "500", "501", Stays),
            ("an unrelated constant", "1000", "1001", Stays),
        ],
    );
}

#[test]
fn statics_inner_items_and_modules() {
    let text = r#"
//- src/lib.rs
use std::sync::atomic::{AtomicU32, Ordering}; use std::cell::Cell;
static COUNT: AtomicU32 = AtomicU32::new(0);
static PLAIN: u32 = 5;
thread_local! { static LOCAL: Cell<u32> = Cell::new(6); static IDLE: Cell<u32> = Cell::new(700); }
fn set() { COUNT.store(1, Ordering::Relaxed); }
fn set_local() { LOCAL.set(8); }
fn read_plain() -> u32 { PLAIN + 900 }
mod outer { pub mod inner { pub fn deep() -> u32 { super::side() + 2 } } fn side() -> u32 { 3 } pub fn far() -> u32 { 400 } }
#[fleche] fn f() -> u32 {
    fn nested() -> u32 { 10 }
    struct Here; impl Here { fn m(&self) -> u32 { 11 } }
    impl From<Wide> for u32 { fn from(w: Wide) -> u32 { w.0 } }
    COUNT.load(Ordering::Relaxed) + PLAIN + LOCAL.get() + nested() + Here.m() + outer::inner::deep()
}
struct Wide(u32);
"#;
    check(
        "statics",
        text,
        &[
            ("who writes an atomic", "store(1,", "store(12,", Moves),
            ("who writes a thread local", "set(8)", "set(88)", Moves),
            ("a thread local's start", "new(6)", "new(66)", Moves),
            ("another thread local", "700", "701", Stays),
            ("a plain static", "u32 = 5", "u32 = 55", Moves),
            ("who reads a plain static", "900", "901", Stays),
            ("an inner function", "{ 10 }", "{ 110 }", Moves),
            ("an inner type's method", "{ 11 }", "{ 111 }", Moves),
            ("a nested inline module", "side() + 2", "side() + 22", Moves),
            ("its neighbour above", "{ 3 }", "{ 33 }", Moves),
            ("an unrelated one", "400", "401", Stays),
        ],
    );
}

#[test]
fn cached_callees_stand_for_themselves() {
    let text = r#"
//- src/lib.rs
#[fleche(version = 1)] fn callee(x: u32) -> u32 { x + 1 }
#[fleche(version = 2)] fn opened(x: u32) -> u32 { x + 2 }
#[fleche(version = 3, helpers = tools)] fn renamed(x: u32) -> u32 { x + 3 }
#[cfg_attr(feature = "c", fleche)] fn perhaps(x: u32) -> u32 { x + 4 }
#[fleche] fn f(x: u32) -> u32 { callee(x) + opened::uncached(x) + tools::uncached(x) + perhaps(x) }
"#;
    check(
        "cached",
        text,
        &[
            ("the body of a cached callee", "x + 1 }", "x + 11 }", Stays),
            ("its signature", "fn callee(x: u32)", "fn callee(x: u64)", Moves),
            ("the body of one called without the cache", "x + 2 }", "x + 22 }", Moves),
            ("the same by another name for the helpers", "x + 3 }", "x + 33 }", Moves),
            ("one that is perhaps cached", "x + 4 }", "x + 44 }", Moves),
        ],
    );
}

#[test]
fn macros_of_one_name_count_by_their_place() {
    let text = r#"
//- src/lib.rs
macro_rules! m { () => { 1 }; }
fn user() -> u32 { m!() }
macro_rules! m { () => { 2 }; }
macro_rules! idle { () => { 300 }; }
fn plain() -> u32 { 4 }
#[fleche] fn f() -> u32 { user() + plain() }
"#;
    check(
        "of one name",
        text,
        &[
            (
                "who uses one stands below the other",
                "fn user() -> u32 { m!() }\nmacro_rules! m { () => { 2 }; }",
                "macro_rules! m { () => { 2 }; }\nfn user() -> u32 { m!() }",
                Moves,
            ),
            (
                "they change places",
                "{ 1 }; }\nfn user() -> u32 { m!() }\nmacro_rules! m { () => { 2 }; }",
                "{ 2 }; }\nfn user() -> u32 { m!() }\nmacro_rules! m { () => { 1 }; }",
                Moves,
            ),
            (
                "who uses none stands elsewhere",
                "macro_rules! m { () => { 2 }; }\nmacro_rules! idle { () => { 300 }; }\nfn plain() -> u32 { 4 }",
                "fn plain() -> u32 { 4 }\nmacro_rules! m { () => { 2 }; }\nmacro_rules! idle { () => { 300 }; }",
                Stays,
            ),
        ],
    );
}

#[test]
fn wrappers_around_items() {
    let text = r#"
//- src/lib.rs
cfg_if::cfg_if! { if #[cfg(unix)] { mod os; use os::go; } else { fn go() -> u32 { 100 } } }
wrap! { pub fn wrapped() -> u32 { inside() } }
fn inside() -> u32 { 2 }
#[fleche] fn f() -> u32 { go() + wrapped() }
fn unrelated() -> u32 { 300 }
//- src/os.rs
pub fn go() -> u32 { 1 }
pub fn idle() -> u32 { 400 }
"#;
    check(
        "wrappers",
        text,
        &[
            ("an item in cfg_if", "{ 1 }", "{ 11 }", Moves),
            ("the alternative", "{ 100 }", "{ 101 }", Moves),
            ("what a wrapped item calls", "{ 2 }", "{ 22 }", Moves),
            ("an unrelated function", "300", "301", Stays),
            ("an idle function", "400", "401", Stays),
        ],
    );
}
