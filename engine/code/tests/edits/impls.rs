//! Edits of impls that code comes to by objects, bounds, conversions and symbols.

use crate::common::Key::Moves;
use crate::common::{check, check_moves};

#[test]
fn what_may_stand_behind_an_object() {
    const REST: &str = "pub trait Plugin { fn run(&self) -> u32; } impl<T: far::Step> Plugin for T { fn run(&self) -> u32 { self.step() } }
        struct P; impl far::Step for P { fn step(&self) -> u32 { 1 } }";
    let objects = [
        ("plain", "dyn Plugin"),
        ("behind another trait", "dyn Send + Plugin"),
        ("with a lifetime", "dyn for<'a> Plugin"),
        ("in parentheses", "dyn (Plugin)"),
        ("by a path", "dyn crate::Plugin"),
        ("in a macro", "object!(Plugin)"),
    ];
    for (about, object) in objects {
        let text = format!(
            "macro_rules! object {{ ($t:ident) => {{ dyn $t }}; }} {REST} fn all() -> Vec<Box<{object}>> {{ Vec::new() }} #[fleche] fn f() -> u32 {{ all()[0].run() }}"
        );
        check_moves(&[(about, &text, "{ 1 }", "{ 11 }")]);
    }
    let text = r#"
//- Cargo.toml
[package]
name = "demo"
version = "0.1.0"
edition = "2024"
[dependencies]
near = { path = "near" }
far = "1"
//- near/Cargo.toml
[package]
name = "near"
version = "0.1.0"
edition = "2024"
[dependencies]
far = "1"
//- near/src/lib.rs
pub trait Plugin { fn run(&self) -> u32; } impl<T: far::Step> Plugin for T { fn run(&self) -> u32 { self.step() } }
//- src/lib.rs
struct P; impl far::Step for P { fn step(&self) -> u32 { 1 } } fn all() -> Vec<Box<dyn ::near::Plugin>> { Vec::new() }
#[fleche] fn f() -> u32 { all()[0].run() }
"#;
    check("by the path of a crate", text, &[("what the bound lets in", "{ 1 }", "{ 11 }", Moves)]);
    check_moves(&[
        (
            "a type that derives the bound",
            "trait Plugin { fn run(&self) -> u32; } impl<T: far::Step> Plugin for T { fn run(&self) -> u32 { self.step() } }
             #[derive(far::Step)] struct P { #[step(1)] a: u32 } fn all() -> Vec<Box<dyn Plugin>> { Vec::new() } #[fleche] fn f() -> u32 { all()[0].run() }",
            "#[step(1)]",
            "#[step(11)]",
        ),
        (
            "what the bound of a bound lets in",
            "trait Plugin { fn run(&self) -> u32; } impl<T: Step> Plugin for T { fn run(&self) -> u32 { self.step() } } trait Step { fn step(&self) -> u32; }
             impl<T: far::Deep> Step for T { fn step(&self) -> u32 { self.deep() } } struct P; impl far::Deep for P { fn deep(&self) -> u32 { 1 } }
             fn all() -> Vec<Box<dyn Plugin>> { Vec::new() } #[fleche] fn f() -> u32 { all()[0].run() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a default method of a trait that is reached late",
            "mod m { pub trait T { fn go(&self) -> u32 { 1 } } impl T for u32 {} pub fn late() -> Box<dyn T> { Box::new(1) } } #[fleche] fn f() -> u32 { m::late().go() }",
            "{ 1 }",
            "{ 11 }",
        ),
    ]);
}

#[test]
fn impls_by_what_stands_in_their_heads() {
    check_moves(&[
        (
            "nothing of ours",
            "impl<T: std::fmt::Debug> far::Show for T { fn show(&self) -> u32 { 1 } } #[fleche] fn f() -> u32 { far::run(3) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a type among the arguments, by the crate of the trait",
            "struct B; impl far::Convert<B> for u32 { fn convert(self) -> B { hidden(1) } } #[fleche] fn f() -> u32 { far::run(3) }",
            "hidden(1)",
            "hidden(11)",
        ),
        (
            "a type among the arguments, by the name of a method",
            "struct B; impl AsRef<B> for Vec<u8> { fn as_ref(&self) -> &B { hidden(1) } } #[fleche] fn f(x: Vec<u8>) { drop(x.as_ref()) }",
            "hidden(1)",
            "hidden(11)",
        ),
        (
            "a type in the bounds",
            "struct B; impl<T> far::Show for T where T: Into<B> { fn show(&self) -> u32 { 1 } } #[fleche] fn f() -> u32 { far::run(B) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a trait in the bounds",
            "trait B { fn go(&self) -> u32; } impl<T: B> far::Show for T { fn show(&self) -> u32 { 1 } } #[fleche] fn f(x: impl B) -> u32 { far::run(x) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a trait among the arguments",
            "trait B { fn go(&self) -> u32; } impl far::Show<dyn B> for u32 { fn show(&self) -> u32 { 1 } } #[fleche] fn f(x: &dyn B) -> u32 { far::run(x) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "an associated type, of a foreign trait",
            "trait Outer { type Inner; } struct A; struct B; impl Outer for A { type Inner = B; } impl std::fmt::Display for <A as Outer>::Inner { fn fmt(&self) -> u32 { 1 } }
             #[fleche] fn f() -> String { format!(\"{}\", B) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "an alias of the type",
            "struct B; type A = B; impl std::fmt::Display for A { fn fmt(&self) -> u32 { 1 } } #[fleche] fn f() -> String { format!(\"{}\", B) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "an alias of a type that a macro makes",
            "type A = made::B; impl A { fn go(&self) -> u32 { 1 } } #[fleche] fn f(x: A) -> u32 { x.go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "inside a function that nobody calls",
            "struct W(u32); fn setup() { fn help() -> u32 { 1 } impl From<W> for u32 { fn from(w: W) -> u32 { help() } } } #[fleche] fn f() -> u32 { W(1).into() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "the same, unsafe",
            "struct W(u32); fn setup() { let _ = 0; unsafe impl far::Raw for W { fn raw(&self) -> u32 { 1 } } } #[fleche] fn f() -> u32 { far::run(W(1)) }",
            "{ 1 }",
            "{ 11 }",
        ),
    ]);
}

#[test]
fn methods_and_functions_of_several_types() {
    check_moves(&[
        (
            "of another instance, by a trait",
            "struct A<T>(T); impl A<u8> { fn go(&self) -> u32 { 2 } } trait Go { fn go(&self) -> u32; } impl Go for A<u16> { fn go(&self) -> u32 { 1 } } #[fleche] fn f() -> u32 { A::<u16>::go(&A(1)) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "the same by `Self`",
            "struct A<T>(T); impl A<u8> { fn go(&self) -> u32 { 2 } } trait Go { fn go(&self) -> u32; } impl Go for A<u16> { fn go(&self) -> u32 { 1 } } impl A<u16> { fn run(&self) -> u32 { Self::go(self) } } #[fleche] fn f() -> u32 { A(1_u16).run() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "the same by `self`",
            "struct A<T>(T); impl A<u8> { fn go(&self) -> u32 { 2 } } trait Go { fn go(&self) -> u32; } impl Go for A<u16> { fn go(&self) -> u32 { 1 } } impl A<u16> { fn run(&self) -> u32 { self.go() } } #[fleche] fn f() -> u32 { A(1_u16).run() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "of whoever implements the trait",
            "trait T { fn base() -> u32; fn go() -> u32 { Self::base() } } impl T for u32 { fn base() -> u32 { 1 } } #[fleche] fn f() -> u32 { u32::go() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "with its type arguments",
            "struct A; impl A { fn go<T>(&self) -> u32 { 1 } } #[fleche] fn f() -> u32 { A.go::<u8>() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "of an imported type",
            "use std::collections::HashMap; trait Make { fn make() -> u32; } impl Make for HashMap<u8, u8> { fn make() -> u32 { 1 } } #[fleche] fn f() -> u32 { HashMap::make() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "of a type of the prelude with arguments",
            "trait Make { fn make() -> u32; } impl Make for Vec<u8> { fn make() -> u32 { 1 } } #[fleche] fn f() -> u32 { Vec::<u8>::make() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "of a slice",
            "trait Make { fn make() -> u32; } impl Make for [u8] { fn make() -> u32 { 1 } } #[fleche] fn f() -> u32 { <[u8]>::make() }",
            "{ 1 }",
            "{ 11 }",
        ),
    ]);
}

#[test]
fn symbols_statics_and_registries() {
    check_moves(&[
        (
            "a symbol by a name of its own",
            "unsafe extern \"C\" { #[link_name = \"there\"] fn plus(x: u32) -> u32; } mod exported { #[unsafe(export_name = \"there\")] extern \"C\" fn other(x: u32) -> u32 { x + 1 } }
             #[fleche] fn f() -> u32 { unsafe { plus(1) } }",
            "x + 1 }",
            "x + 11 }",
        ),
        (
            "who writes a `static mut`",
            "static mut S: u32 = 0; fn set() { unsafe { S = 1 } } #[fleche] fn f() -> u32 { unsafe { S } }",
            "S = 1 }",
            "S = 11 }",
        ),
        (
            "who registers with a type",
            "enum Kind { A } #[register(Kind)] fn one() -> u32 { 1 } #[fleche] fn f(x: Kind) -> u32 { 0 }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "who registers with a trait",
            "trait Kind {} #[register(Kind)] fn one() -> u32 { 1 } #[fleche] fn f(x: impl Kind) -> u32 { 0 }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a type of a short name",
            "#[derive(Builder)] struct Cat { a: u32 } impl Cat { fn go(&self) -> u32 { 1 } } #[fleche] fn f() -> u32 { CatBuilder::new().build().go() }",
            "{ 1 }",
            "{ 11 }",
        ),
    ]);
}
