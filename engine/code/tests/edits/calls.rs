//! Edits of macro calls among items, which may write anything: when one counts.

use crate::common::Key::{Moves, Stays};
use crate::common::{check, check_moves};

#[test]
fn calls_of_unknown_macros_always_count() {
    check(
        "unknown",
        r#"
//- src/lib.rs
register!(3);
macro_rules! outer { () => { far::make!(4); }; }
outer!();
macro_rules! attributed { ($x:expr) => { #[making] struct A; const N: u32 = $x; }; }
attributed!(5);
macro_rules! apply { ($m:ident) => { $m!(); }; }
apply!(other);
macro_rules! other { () => { fn made() -> u32 { 6 } }; }
macro_rules! plain { ($y:expr) => { const M: u32 = $y; }; }
plain!(7);
#[fleche] fn f() -> u32 { made() }
"#,
        &[
            ("one of another crate", "register!(3)", "register!(33)", Moves),
            ("one that calls such a one", "make!(4)", "make!(44)", Moves),
            ("one that writes an attribute of another crate", "attributed!(5)", "attributed!(55)", Moves),
            ("one that calls what it is given", "{ 6 }", "{ 66 }", Moves),
            ("one that is known", "plain!(7)", "plain!(77)", Stays),
        ],
    );
}

#[test]
fn calls_of_our_macros_count_by_what_they_write() {
    check_moves(&[
        (
            "a function",
            "macro_rules! fixed { () => { fn made() -> u32 { 1 } }; } fixed!(); #[fleche] fn f() -> u32 { made() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a macro",
            "macro_rules! define { ($n:ident, $x:expr) => { macro_rules! $n { () => { $x }; } }; } define!(go, 1); #[fleche] fn f() -> u32 { go!() }",
            "define!(go, 1)",
            "define!(go, 11)",
        ),
        (
            "a static that changes",
            "macro_rules! fixed { ($x:expr) => { static mut MADE: u32 = $x; }; } fixed!(1); #[fleche] fn f() -> u32 { unsafe { MADE } }",
            "fixed!(1)",
            "fixed!(11)",
        ),
        (
            "an import",
            "macro_rules! bring { () => { use far::go as made; }; } mod far { pub fn go() -> u32 { 1 } } bring!(); #[fleche] fn f() -> u32 { made() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "what another macro makes of a name",
            "macro_rules! outer { () => { inner!(made); }; } macro_rules! inner { ($n:ident) => { fn $n() -> u32 { 1 } }; } outer!(); #[fleche] fn f() -> u32 { made() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "what another macro writes",
            "macro_rules! outer { () => { inner!(); }; } macro_rules! inner { () => { fn made() -> u32 { 1 } }; } outer!(); #[fleche] fn f() -> u32 { made() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "an impl of a foreign trait",
            "macro_rules! show { ($($t:ty),*) => { $(impl std::fmt::Display for $t { fn fmt(&self) -> u32 { 1 } })* }; } struct A; show!(A); #[fleche] fn f() -> String { format!(\"{}\", A) }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a trait of which only the method is named",
            "macro_rules! ext { () => { trait Ext { fn ext(&self) -> u32; } impl Ext for u32 { fn ext(&self) -> u32 { 1 } } }; } ext!(); #[fleche] fn f() -> u32 { 3_u32.ext() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a trait of which only a function of a type of ours is named",
            "macro_rules! ext { () => { trait Ext { fn ext() -> u32; } impl<T> Ext for T { fn ext() -> u32 { 1 } } }; } ext!(); struct A; #[fleche] fn f() -> u32 { A::ext() }",
            "{ 1 }",
            "{ 11 }",
        ),
        (
            "a cached function by its helpers' name",
            "macro_rules! cached { () => { #[fleche(helpers = tools)] fn made(x: u32) -> u32 { x + 1 } }; } cached!(); #[fleche] fn f() -> u32 { tools::uncached(1) }",
            "x + 1 }",
            "x + 11 }",
        ),
    ]);
}
