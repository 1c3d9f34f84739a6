//! The attributes `#[fleche]` and `#[value]`.
//!
//! Use them through the crate `fleche`, which holds all that their expansions name. What the expansion of `#[fleche]`
//! looks like is written down in `function.rs`; nothing in here knows what a store is.

use proc_macro::TokenStream;

mod function;
mod key;
mod options;
mod signature;
mod value;

/// Marks a function as cached: each of its calls becomes a node of the dependency graph, answered from the store while
/// everything that it read still has the content that it saw.
///
/// ```ignore
/// #[fleche(version = 1, ignore = [verbose])]
/// fn count(path: &Path, verbose: bool) -> std::io::Result<u64> {
///     Ok(fleche::fs::read(path)?.len() as u64)
/// }
/// ```
///
/// The function keeps its name and signature. Beside it appears an empty enum of the same name whose associated
/// functions help with calls: `count::call(..)` and `count::digest(..)` name one, `count::contains(..)`,
/// `count::load(..)` and `count::view(..)` look at what is stored, `count::rerun(..)` runs whatever is stored, and
/// `count::uncached(..)` is the body alone. `count::code()` says which code its key covers, and why.
///
/// # Options
///
/// | option | meaning |
/// |---|---|
/// | `version = 2` | part of the key; raise it when the function should forget what it knew |
/// | `ignore = [verbose]` | parameters that do not count |
/// | `hash_code = "crate"` | which code is part of the key: `"reachable"`, all that the function can reach in its package and path dependencies (the default); `"body"`, its own tokens; `"module"`, its source file; `"crate"`, all of its package with path dependencies and lock file; `"binary"`, the running executable; `false`, none |
/// | `helpers = other` | the name of the helper enum |
/// | `crate = path` | where the crate `fleche` is found, if not at `::fleche` |
///
/// Functions in an `impl` or `trait` cannot be cached, nor those that are `async`, `unsafe`, `const` or `extern`, that take
/// `&mut` or `impl Trait`, or return a reference or `impl Trait`; the compiler says so, and what to do instead.
#[proc_macro_attribute]
pub fn fleche(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(options.into(), &item.into()).into()
}

/// Makes a struct or enum a value that cached functions take and return: it derives rkyv's and serde's traits and the
/// type fingerprint that keeps old bytes from being read as a new definition.
///
/// Attributes of rkyv and serde on the type, its variants and its fields work as usual and are part of the fingerprint.
/// A field may be a `PathBuf`, or an `Option` or `Vec` of them: it is archived as text, and a value with a path that is no
/// text is handed on but not kept.
///
/// rkyv leaves one thing that it makes without documentation: named fields of an enum's variants. A crate with
/// `#![deny(missing_docs)]` has such an enum in a module with `#![allow(missing_docs)]`, or fields without names.
#[proc_macro_attribute]
pub fn value(options: TokenStream, item: TokenStream) -> TokenStream {
    value::expand(options.into(), &item.into()).into()
}
