//! One edit each that changes what a module's function computes, and so must move its key.

/// A module, a call of its cached function, and an edit.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) call: &'static str,
    pub(crate) code: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

macro_rules! cases {
    ($($name:ident: $call:literal, $from:literal => $to:literal, $code:literal;)*) => {
        pub(crate) const CASES: &[Case] = &[$(Case { name: stringify!($name), call: $call, code: $code, from: $from, to: $to }),*];
    };
}

cases! {
    case_calls: "f(3)", "= 10" => "= 11", "
#[fleche] fn f(x: u32) -> u32 { helper(x) } fn helper(x: u32) -> u32 { x + LIMIT } const LIMIT: u32 = 10;";
    case_own_body: "f(3)", "x + 1" => "x + 2", "#[fleche] fn f(x: u32) -> u32 { x + 1 }";
    case_body_level: "f(3)", "x + 1" => "x + 2", "#[fleche(hash_code = \"body\")] fn f(x: u32) -> u32 { x + 1 }";
    case_method: "f(3)", "* 2" => "* 3", "
struct A(u32); impl A { fn go(&self) -> u32 { self.0 * 2 } } #[fleche] fn f(x: u32) -> u32 { A(x).go() }";
    case_operator: "f(3)", "+ 1 }" => "+ 2 }", "
struct A(u32); impl std::ops::Add for A { type Output = u32; fn add(self, o: A) -> u32 { self.0 + o.0 + 1 } }
#[fleche] fn f(x: u32) -> u32 { A(x) + A(x) }";
    case_question_mark: "f(\"x\")", "E(1)" => "E(2)", "
use std::num::ParseIntError; struct E(u8); impl From<ParseIntError> for E { fn from(_: ParseIntError) -> E { E(1) } }
fn inner(x: &str) -> Result<u32, E> { Ok(x.parse::<u32>()?) }
#[fleche] fn f(x: &str) -> u32 { inner(x).unwrap_or_else(|e| e.0.into()) }";
    case_drop: "f(3)", "store(1," => "store(2,", "
use std::sync::atomic::{AtomicU32, Ordering}; static S: AtomicU32 = AtomicU32::new(0); struct G; impl Drop for G { fn drop(&mut self) { S.store(1, Ordering::Relaxed) } }
#[fleche] fn f(x: u32) -> u32 { { let _g = G; } x + S.load(Ordering::Relaxed) }";
    case_display: "f(3)", "<{}>" => "[{}]", "
use std::fmt; struct A(u32);
impl fmt::Display for A { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, \"<{}>\", self.0) } }
#[fleche] fn f(x: u32) -> String { format!(\"{}\", A(x)) }";
    case_deref: "f(3)", "&self.0" => "&self.1", "
struct A(u32, u32); impl std::ops::Deref for A { type Target = u32; fn deref(&self) -> &u32 { &self.0 } }
#[fleche] fn f(x: u32) -> u32 { *A(x, 1) }";
    case_iterator: "f(3)", "> 3" => "> 4", "
struct It(u32); impl Iterator for It { type Item = u32; fn next(&mut self) -> Option<u32> { self.0 += 1; if self.0 > 3 { None } else { Some(self.0) } } }
#[fleche] fn f(x: u32) -> u32 { let mut n = 0; for i in It(x) { n += i; } n }";
    case_default: "f(3)", "A(5)" => "A(6)", "
struct A(u32); impl Default for A { fn default() -> A { A(5) } } #[fleche] fn f(x: u32) -> u32 { x + A::default().0 }";
    case_from_str: "f(\"x\")", "A(7)" => "A(8)", "
struct A(u32); impl std::str::FromStr for A { type Err = (); fn from_str(_: &str) -> Result<A, ()> { Ok(A(7)) } }
#[fleche] fn f(x: &str) -> u32 { x.parse::<A>().map_or(0, |a| a.0) }";
    case_ord: "f(3)", "other.0.cmp(&self.0)" => "self.0.cmp(&other.0)", "
use std::cmp::Ordering; #[derive(PartialEq, Eq)] struct A(u32);
impl Ord for A { fn cmp(&self, other: &A) -> Ordering { other.0.cmp(&self.0) } }
impl PartialOrd for A { fn partial_cmp(&self, other: &A) -> Option<Ordering> { Some(self.cmp(other)) } }
#[fleche] fn f(x: u32) -> u32 { let mut v = vec![A(x), A(2)]; v.sort(); v[0].0 }";
    case_derived_order: "f(3)", "low: u32, high: u32" => "high: u32, low: u32", "
#[derive(PartialEq, Eq, PartialOrd, Ord)] struct A { low: u32, high: u32 }
#[fleche] fn f(x: u32) -> bool { A { low: x, high: 1 } < A { low: 1, high: x } }";
    case_trait_default: "f(3)", "* 5" => "* 6", "
trait T { fn base(&self) -> u32; fn go(&self) -> u32 { self.base() * 5 } } struct A(u32); impl T for A { fn base(&self) -> u32 { self.0 } }
#[fleche] fn f(x: u32) -> u32 { A(x).go() }";
    case_trait_object: "f(3)", "{ 9 }" => "{ 10 }", "
trait T { fn go(&self) -> u32; } struct A; impl T for A { fn go(&self) -> u32 { 9 } }
fn all() -> Vec<Box<dyn T>> { vec![Box::new(A)] } #[fleche] fn f(x: u32) -> u32 { x + all()[0].go() }";
    case_trait_on_foreign_type: "f(3)", "* 4" => "* 5", "
trait T { fn quad(&self) -> u32; } impl T for u32 { fn quad(&self) -> u32 { *self * 4 } } #[fleche] fn f(x: u32) -> u32 { x.quad() }";
    case_generic: "f(3)", "= 2;" => "= 3;", "
trait N { const N: u32; } struct A; impl N for A { const N: u32 = 2; } fn g<T: N>() -> u32 { T::N } #[fleche] fn f(x: u32) -> u32 { x + g::<A>() }";
    case_const_generic: "f(3)", "= 2;" => "= 3;", "
struct A<const N: usize>; impl<const N: usize> A<N> { fn n(&self) -> usize { N } } const SIZE: usize = 2;
#[fleche] fn f(x: u32) -> usize { x as usize + A::<SIZE>.n() }";
    case_static: "f(3)", "= 2;" => "= 3;", "static S: u32 = 2; #[fleche] fn f(x: u32) -> u32 { x + S }";
    case_atomic: "f(3)", "store(1," => "store(2,", "
use std::sync::atomic::{AtomicU32, Ordering}; static S: AtomicU32 = AtomicU32::new(0); pub fn set() { S.store(1, Ordering::Relaxed) }
#[fleche] fn f(x: u32) -> u32 { x + S.load(Ordering::Relaxed) }";
    case_function_table: "f(3)", "x + 2" => "x + 3", "
fn one(x: u32) -> u32 { x + 1 } fn two(x: u32) -> u32 { x + 2 } const TABLE: [fn(u32) -> u32; 2] = [one, two];
#[fleche] fn f(x: u32) -> u32 { TABLE.iter().map(|g| g(x)).sum() }";
    case_function_value: "f(3)", "x * 2" => "x * 3", "
fn twice(x: u32) -> u32 { x * 2 } #[fleche] fn f(x: u32) -> Option<u32> { Some(x).map(twice) }";
    case_alias: "f(300)", "type A = u8" => "type A = u16", "type A = u8; #[fleche] fn f(x: u32) -> u32 { (x as A).into() }";
    case_renamed_import: "f(5)", "min as pick" => "max as pick", "use std::cmp::min as pick; #[fleche] fn f(x: u32) -> u32 { pick(x, 3) }";
    case_glob: "f(3)", "x + 1" => "x + 2", "mod a { pub fn g(x: u32) -> u32 { x + 1 } } mod b { pub use super::a::*; } use b::*; #[fleche] fn f(x: u32) -> u32 { g(x) }";
    case_reexport: "f(3)", "one as g" => "two as g", "
mod a { pub fn one(x: u32) -> u32 { x + 1 } #[allow(dead_code)] pub fn two(x: u32) -> u32 { x + 2 } } mod b { pub use super::a::one as g; } #[fleche] fn f(x: u32) -> u32 { b::g(x) }";
    case_macro_rules: "f(3)", "$x * 2" => "$x * 3", "macro_rules! m { ($x:expr) => { $x * 2 }; } #[fleche] fn f(x: u32) -> u32 { m!(x) }";
    case_macro_calls_helper: "f(3)", "x + 6" => "x + 7", "
fn help(x: u32) -> u32 { x + 6 } macro_rules! m { ($x:expr) => { help($x) }; } #[fleche] fn f(x: u32) -> u32 { m!(x) }";
    case_macro_names_method: "f(3)", "+ 8" => "+ 9", "
struct A(u32); impl A { fn go(&self) -> u32 { self.0 + 8 } } macro_rules! m { ($x:expr, $m:ident) => { $x.$m() }; }
#[fleche] fn f(x: u32) -> u32 { m!(A(x), go) }";
    case_format_capture: "f(3)", "= 3;" => "= 4;", "const LIMIT: u32 = 3; #[fleche] fn f(x: u32) -> String { format!(\"{x} {LIMIT}\") }";
    case_inner_function: "f(3)", "+ 2" => "+ 3", "#[fleche] fn f(x: u32) -> u32 { fn g(x: u32) -> u32 { x + 2 } g(x) }";
    case_inner_impl: "f(3)", "w.0 + 1" => "w.0 + 2", "
struct W(u32); fn setup() { impl From<W> for u32 { fn from(w: W) -> u32 { w.0 + 1 } } }
#[fleche] fn f(x: u32) -> u32 { setup(); W(x).into() }";
    case_nested_module: "f(3)", "+ 3" => "+ 4", "mod a { pub mod b { pub fn g(x: u32) -> u32 { super::h(x) } } fn h(x: u32) -> u32 { x + 3 } } #[fleche] fn f(x: u32) -> u32 { a::b::g(x) }";
    case_enum_variant: "f(3)", "B = 2" => "B = 3", "#[derive(Clone, Copy)] #[allow(dead_code)] enum E { A = 1, B = 2 } use E::*; #[fleche] fn f(x: u32) -> u32 { x + B as u32 + A as u32 }";
    case_cfg: "f(3)", "= 1;" => "= 9;", "#[cfg(unix)] const C: u32 = 1; #[cfg(not(unix))] const C: u32 = 2; #[fleche] fn f(x: u32) -> u32 { x + C }";
    case_cfg_of_module: "f(3)", "#[cfg(unix)] mod a { pub const C: u32 = 1; } #[cfg(not(unix))]" => "#[cfg(not(unix))] mod a { pub const C: u32 = 1; } #[cfg(unix)]", "
#[cfg(unix)] mod a { pub const C: u32 = 1; } #[cfg(not(unix))] mod a { pub const C: u32 = 2; } #[fleche] fn f(x: u32) -> u32 { x + a::C }";
    case_behind_question_mark: "f(3)", "self.0 + 1" => "self.0 + 2", "
struct A(u32); impl A { fn read(&self) -> Option<u32> { Some(self.0 + 1) } } fn open(x: u32) -> Option<A> { Some(A(x)) }
fn inner(x: u32) -> Option<u32> { open(x)?.read() } #[fleche] fn f(x: u32) -> Option<u32> { inner(x) }";
    case_closure_constant: "f(3)", "|y| y + 1" => "|y| y + 2", "const G: fn(u32) -> u32 = |y| y + 1; #[fleche] fn f(x: u32) -> u32 { G(x) }";
    case_serde_default: "f(\"{}\")", "{ 5 }" => "{ 6 }", "
use serde::{Deserialize, Serialize}; fn five() -> u32 { 5 }
#[derive(Serialize, Deserialize)] struct A { #[serde(default = \"five\")] a: u32 }
#[fleche] fn f(x: &str) -> u32 { serde_json::from_str::<A>(x).map_or(0, |a| a.a) }";
    case_uncached_callee: "f(3)", "x + 1" => "x + 2", "
#[fleche] fn g(x: u32) -> u32 { x + 1 } #[fleche] fn f(x: u32) -> u32 { g::uncached(x) }";
    case_external_derive: "f(3)", "no {0}" => "not {0}", r#"
#[derive(Debug, thiserror::Error)] #[error("no {0}")] struct E(u32); #[fleche] fn f(x: u32) -> String { E(x).to_string() }"#;
    case_derive_attribute: "f(3)", "rename = \"a\"" => "rename = \"b\"", r#"
#[derive(serde::Serialize)] struct A { #[serde(rename = "a")] x: u32 } #[fleche] fn f(x: u32) -> String { serde_json::to_string(&A { x }).unwrap() }"#;
    case_derived_default: "f(3)", "#[default] A, B" => "A, #[default] B", "
#[derive(Default)] enum E { #[default] A, B } #[fleche] fn f(x: u32) -> u32 { x + E::default() as u32 }";
    case_macro_defines: "f(3)", "made, 3" => "made, 4", "
macro_rules! define { ($n:ident, $v:expr) => { fn $n() -> u32 { $v } }; } define!(made, 3); #[fleche] fn f(x: u32) -> u32 { x + made() }";
    case_macro_implements: "f(3)", "* 3" => "* 4", "
macro_rules! all { ($($t:ty),*) => { $(impl Size for $t { fn size(&self) -> u32 { *self as u32 * 3 } })* }; } all!(u8, u32);
trait Size { fn size(&self) -> u32; } #[fleche] fn f(x: u32) -> u32 { x.size() }";
    case_macro_inside: "f(3)", "+ 4" => "+ 5", "#[fleche] fn f(x: u32) -> u32 { macro_rules! m { ($x:expr) => { $x + 4 }; } m!(x) }";
    case_blanket_impl: "f(3)", "* 7" => "* 8", "
trait N { fn n(&self) -> u32; } trait Go { fn go(&self) -> u32; } impl<T: N> Go for T { fn go(&self) -> u32 { self.n() * 7 } }
impl N for u32 { fn n(&self) -> u32 { *self } } #[fleche] fn f(x: u32) -> u32 { x.go() }";
    case_supertrait: "f(3)", "{ 5 }" => "{ 6 }", "
trait Base { fn base(&self) -> u32 { 5 } } trait Upper: Base { fn go(&self) -> u32 { self.base() } } impl Base for u32 {} impl Upper for u32 {}
#[fleche] fn f(x: u32) -> u32 { x + x.go() }";
    case_registered_object: "f(3)", "{ 9 }" => "{ 10 }", "
use std::sync::Mutex; trait T: Send { fn go(&self) -> u32; } struct A; impl T for A { fn go(&self) -> u32 { 9 } }
static ALL: Mutex<Vec<Box<dyn T>>> = Mutex::new(Vec::new()); pub fn setup() { ALL.lock().unwrap().push(Box::new(A)) }
#[fleche] fn f(x: u32) -> u32 { x + ALL.lock().unwrap().iter().map(|t| t.go()).sum::<u32>() }";
    case_associated_type: "f(3)", "type Out = u8" => "type Out = u16", "
trait T { type Out: From<u8>; fn get() -> Self::Out { Self::Out::from(1) } } struct A; impl T for A { type Out = u8; }
#[fleche] fn f(x: u32) -> u32 { x + size_of_val(&A::get()) as u32 }";
    case_index: "f(3)", "+ 1 => &B" => "+ 2 => &B", "
struct A(u32); static B: u32 = 4; static C: u32 = 8;
impl std::ops::Index<u32> for A { type Output = u32; fn index(&self, at: u32) -> &u32 { match at { n if n == self.0 + 1 => &B, _ => &C } } }
#[fleche] fn f(x: u32) -> u32 { A(x)[x + 1] }";
    case_assign_operator: "f(3)", "self.0 += o" => "self.0 -= o", "
struct A(u32); impl std::ops::AddAssign<u32> for A { fn add_assign(&mut self, o: u32) { self.0 += o } }
#[fleche] fn f(x: u32) -> u32 { let mut a = A(x); a += 1; a.0 }";
    case_negation: "f(3)", "self.0 + 1" => "self.0 + 2", "
struct A(u32); impl std::ops::Not for A { type Output = u32; fn not(self) -> u32 { self.0 + 1 } } #[fleche] fn f(x: u32) -> u32 { !A(x) }";
    case_equality: "f(3)", "o.0 % 2" => "o.0 % 3", "
struct A(u32); impl PartialEq for A { fn eq(&self, o: &A) -> bool { self.0 % 2 == o.0 % 2 } } #[fleche] fn f(x: u32) -> bool { A(x) == A(x + 2) }";
    case_hash: "f(3)", "state.write_u32(1)" => "state.write_u32(2)", "
use std::hash::{DefaultHasher, Hash, Hasher}; struct A; impl Hash for A { fn hash<H: Hasher>(&self, state: &mut H) { state.write_u32(1) } }
#[fleche] fn f(x: u32) -> u64 { let mut h = DefaultHasher::new(); (x, A).hash(&mut h); h.finish() }";
    case_collect: "f(3)", ".sum::<u32>() + 1" => ".sum::<u32>() + 2", "
struct A(u32); impl FromIterator<u32> for A { fn from_iter<I: IntoIterator<Item = u32>>(all: I) -> A { A(all.into_iter().sum::<u32>() + 1) } }
#[fleche] fn f(x: u32) -> u32 { (0..x).collect::<A>().0 }";
    case_loop_over_reference: "f(3)", "[..1]" => "[..2]", "
struct A(Vec<u32>); impl<'a> IntoIterator for &'a A { type Item = &'a u32; type IntoIter = std::slice::Iter<'a, u32>; fn into_iter(self) -> Self::IntoIter { self.0[..1].iter() } }
#[fleche] fn f(x: u32) -> u32 { let mut n = 0; for i in &A(vec![x, x]) { n += i; } n }";
    case_sum: "f(3)", "a.0 + 1" => "a.0 + 2", "
struct A(u32); impl std::iter::Sum<A> for u32 { fn sum<I: Iterator<Item = A>>(all: I) -> u32 { all.map(|a| a.0 + 1).sum() } }
#[fleche] fn f(x: u32) -> u32 { [A(x), A(x)].into_iter().sum() }";
    case_conversion: "f(3)", "a.0 + 1" => "a.0 + 2", "
struct A(u32); impl From<A> for u64 { fn from(a: A) -> u64 { u64::from(a.0 + 1) } } #[fleche] fn f(x: u32) -> u64 { A(x).into() }";
    case_clone: "f(3)", "A(self.0 + 1)" => "A(self.0 + 2)", "
struct A(u32); impl Clone for A { fn clone(&self) -> A { A(self.0 + 1) } } #[fleche] fn f(x: u32) -> u32 { vec![A(x); 2][0].0 }";
    case_debug: "f(3)", "\"A\"" => "\"B\"", r#"
struct A; impl std::fmt::Debug for A { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("A") } }
#[fleche] fn f(x: u32) -> String { let a = A; format!("{a:?}{x}") }"#;
    case_boxed_error: "f(\"x\")", "bad {}" => "worse {}", r#"
use std::fmt; #[derive(Debug)] struct E(String); impl std::error::Error for E {}
impl fmt::Display for E { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "bad {}", self.0) } }
fn inner(x: &str) -> Result<(), Box<dyn std::error::Error>> { Err(E(x.to_owned()))? } #[fleche] fn f(x: &str) -> String { inner(x).unwrap_err().to_string() }"#;
    case_const_fn: "f(3)", "n * 2" => "n * 3", "const fn twice(n: u32) -> u32 { n * 2 } const N: u32 = twice(4); #[fleche] fn f(x: u32) -> u32 { x + N }";
    case_constant_in_pattern: "f(3)", "EDGE: u32 = 3" => "EDGE: u32 = 4", "const EDGE: u32 = 3; #[fleche] fn f(x: u32) -> bool { matches!(x, EDGE) }";
    case_lazy_static: "f(3)", "|| 7" => "|| 8", "static L: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| 7); #[fleche] fn f(x: u32) -> u32 { x + *L }";
    case_thread_local: "f(3)", "Cell::new(7)" => "Cell::new(8)", "
use std::cell::Cell; thread_local! { static L: Cell<u32> = const { Cell::new(7) }; } #[fleche] fn f(x: u32) -> u32 { x + L.get() }";
    case_function_in_field: "f(3)", "x + 2" => "x + 3", "
struct Step { run: fn(u32) -> u32 } fn two(x: u32) -> u32 { x + 2 } static STEP: Step = Step { run: two }; #[fleche] fn f(x: u32) -> u32 { (STEP.run)(x) }";
    case_function_pointer_cast: "f(3)", "x + 2" => "x + 3", "
fn two(x: u32) -> u32 { x + 2 } fn pick() -> fn(u32) -> u32 { two as fn(u32) -> u32 } #[fleche] fn f(x: u32) -> u32 { pick()(x) }";
    case_import_in_function: "f(3)", "x + 9" => "x + 10", "
mod a { pub fn late(x: u32) -> u32 { x + 9 } } #[fleche] fn f(x: u32) -> u32 { use a::late as soon; soon(x) }";
    case_renamed_module: "f(3)", "x + 9" => "x + 10", "mod a { pub fn g(x: u32) -> u32 { x + 9 } } use self::a as other; #[fleche] fn f(x: u32) -> u32 { other::g(x) }";
    case_renamed_type: "f(3)", "self.0 + 9" => "self.0 + 10", "
mod a { pub struct A(pub u32); impl A { pub fn go(&self) -> u32 { self.0 + 9 } } } use a::A as B; #[fleche] fn f(x: u32) -> u32 { B(x).go() }";
    case_constant_in_function: "f(3)", "= 9;" => "= 10;", "fn g() -> u32 { const N: u32 = 9; N } #[fleche] fn f(x: u32) -> u32 { x + g() }";
    case_generic_argument: "f(3)", "size_of::<u16>" => "size_of::<u64>", "
fn g<T>(x: T) -> usize { size_of_val(&x) } fn of() -> usize { size_of::<u16>() } #[fleche] fn f(x: u32) -> usize { g(x) + of() }";
    case_literal_text: "f(3)", "a \\\"q\\\" {x}" => "b \\\"q\\\" {x}", r#"#[fleche] fn f(x: u32) -> String { format!("a \"q\" {x}") }"#;
    case_unsafe: "f(3)", "x ^ 1" => "x ^ 2", "unsafe fn raw(x: u32) -> u32 { x ^ 1 } #[fleche] fn f(x: u32) -> u32 { unsafe { raw(x) } }";
    case_linked_symbol: "f(3)", "x ^ 1" => "x ^ 2", "
unsafe extern \"C\" { safe fn fleche_test_flip(x: u32) -> u32; } mod there { #[unsafe(no_mangle)] extern \"C\" fn fleche_test_flip(x: u32) -> u32 { x ^ 1 } }
#[fleche] fn f(x: u32) -> u32 { fleche_test_flip(x) }";
    case_names_of_bindings: "f(3)", "call: u32 = 1" => "call: u32 = 2", "
#[allow(non_upper_case_globals)] mod a { pub static call: u32 = 1; pub static miss: u32 = 2; pub const value: u32 = 3; } use a::*;
#[fleche] fn f(x: u32) -> u32 { x + call + miss + value }";
    case_raw_identifiers: "f(3)", "x + 1" => "x + 2", "
mod r#match { pub fn r#type(x: u32) -> u32 { x + 1 } } #[fleche] fn f(x: u32) -> u32 { r#match::r#type(x) }";
    case_raw_pointer: "f(3)", "u32 = 4" => "u32 = 5", "static mut S: u32 = 4; #[fleche] fn f(x: u32) -> u32 { x + unsafe { *&raw const S } }";
    case_glob_in_function: "f(3)", "* 4" => "* 5", "
mod all { pub trait T { fn quad(&self) -> u32; } impl T for u32 { fn quad(&self) -> u32 { *self * 4 } } } #[fleche] fn f(x: u32) -> u32 { use all::*; x.quad() }";
    case_brace_in_type: "f(3)", "* 6" => "* 7", "
struct M<const A: usize, const B: usize>; impl M<1, { 1 + 1 }> { fn go(&self, x: u32) -> u32 { x * 6 } } #[fleche] fn f(x: u32) -> u32 { M::<1, 2>.go(x) }";
    case_method_behind_deref: "f(3)", "* 8" => "* 9", "
struct A(B); struct B; impl A { #[cfg(windows)] fn m(&self, x: u32) -> u32 { x } fn go(&self, x: u32) -> u32 { self.m(x) } }
impl std::ops::Deref for A { type Target = B; fn deref(&self) -> &B { &self.0 } } impl B { fn m(&self, x: u32) -> u32 { x * 8 } }
#[fleche] fn f(x: u32) -> u32 { A(B).go(x) }";
    case_variants_by_macro: "f(3)", "Red = 1" => "Red = 2", "
macro_rules! make { () => { #[allow(dead_code)] enum E { Red = 1, Blue = 7 } } } make!(); use E::*; #[fleche] fn f(x: u32) -> u32 { x + Red as u32 }";
    case_impl_by_macro_in_constant: "f(3)", "\"one\"" => "\"two\"", r#"
struct Written; macro_rules! written { ($t:ty) => { impl std::fmt::Display for $t { fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { to.write_str("one") } } } }
const _: () = { written!(Written); }; #[fleche] fn f(x: u32) -> String { format!("{Written}{x}") }"#;
    case_twins: "both(3)", "x + 1" => "x + 3", "
pub fn both(x: u32) -> (u32, u32) { (first(x), second(x)) }
fn first(x: u32) -> u32 { #[fleche] fn inner(x: u32) -> u32 { helper(x) } fn helper(x: u32) -> u32 { x + 1 } inner(x) }
fn second(x: u32) -> u32 { #[fleche] fn inner(x: u32) -> u32 { helper(x) } fn helper(x: u32) -> u32 { x + 2 } inner(x) }";
    whole_module: "f(3)", "+ 2" => "+ 3", "#[fleche(hash_code = \"module\")] fn f(x: u32) -> u32 { other(x) } fn other(x: u32) -> u32 { x + 2 }";
    whole_crate: "f(3)", "+ 2" => "+ 3", "#[fleche(hash_code = \"crate\")] fn f(x: u32) -> u32 { other(x) } fn other(x: u32) -> u32 { x + 2 }";
}
