//! What one file of Rust source amounts to: pure functions from text to numbers.
//!
//! Nothing here may depend on comments or white space (documentation comments are code: they are attributes). The
//! size of a file is therefore counted in tokens, so that an edited comment leaves a file's measures as they were
//! and the work above it is cut off.

use fleche::value;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Sums over some Rust source: a file's, a package's, or those of all packages.
#[value]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measures {
    /// Names, literals, punctuation and brackets, without documentation.
    pub(crate) tokens: u64,
    /// Items of every kind but `use` and `extern crate`; functions in `impl` blocks and traits count too.
    pub(crate) items: u64,
    /// Functions, wherever they stand.
    pub(crate) functions: u64,
    /// Functions marked `pub`.
    pub(crate) public_functions: u64,
    /// `unsafe { … }` blocks.
    pub(crate) unsafe_blocks: u64,
    /// `unsafe fn`, `unsafe impl` and `unsafe trait`.
    pub(crate) unsafe_items: u64,
    /// What a reader of the documentation should find: items marked `pub`, and what public traits hold.
    pub(crate) public: u64,
    /// Those of them that have documentation.
    pub(crate) documented: u64,
}

impl Measures {
    /// Adds another's sums to these.
    pub(crate) fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.items += other.items;
        self.functions += other.functions;
        self.public_functions += other.public_functions;
        self.unsafe_blocks += other.unsafe_blocks;
        self.unsafe_items += other.unsafe_items;
        self.public += other.public;
        self.documented += other.documented;
    }
}

/// Measures a file's text. `Err` says why it is not a file of Rust: parsers' test data often is not.
pub(crate) fn measure(text: &str) -> Result<Measures, String> {
    let tokens: TokenStream = without_shebang(text).parse().map_err(|e| format!("{e}"))?;
    let mut counter =
        Counter { sums: Measures { tokens: count(tokens.clone()), ..Measures::default() }, within: None };
    let file: syn::File = syn::parse2(tokens).map_err(|e| e.to_string())?;
    counter.visit_file(&file);
    Ok(counter.sums)
}

/// The text without a byte order mark and a first line for the shell (but `#![…]` is an attribute).
fn without_shebang(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.strip_prefix("#!") {
        Some(rest) if !rest.trim_start().starts_with('[') => rest.find('\n').map_or("", |end| &rest[end..]),
        _ => text,
    }
}

/// Counts tokens, both brackets of a group included, without `#[doc …]`, as which documentation comments arrive here.
fn count(tokens: TokenStream) -> u64 {
    let mut sum = 0;
    let mut marks = 0; // `#`, or `#` and `!`, that may turn out to begin a documentation attribute
    for token in tokens {
        match token {
            TokenTree::Group(group) if marks > 0 && is_doc(&group) => {
                sum -= marks;
                marks = 0;
            }
            TokenTree::Group(group) => {
                sum += count(group.stream()) + if group.delimiter() == Delimiter::None { 0 } else { 2 };
                marks = 0;
            }
            TokenTree::Punct(punct) => {
                sum += 1;
                marks = match (punct.as_char(), marks) {
                    ('#', _) => 1,
                    ('!', 1) => 2,
                    _ => 0,
                };
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {
                sum += 1;
                marks = 0;
            }
        }
    }
    sum
}

fn is_doc(group: &proc_macro2::Group) -> bool {
    group.delimiter() == Delimiter::Bracket
        && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(name)) if name == "doc")
}

/// Walks a syntax tree and adds up.
struct Counter {
    sums: Measures,
    /// Inside a trait: whether it is public, and with it all that it holds.
    within: Option<bool>,
}

impl Counter {
    fn item(&mut self, attributes: &[syn::Attribute], public: bool) {
        self.sums.items += 1;
        if public && !is_hidden(attributes) {
            self.sums.public += 1;
            self.sums.documented += u64::from(attributes.iter().any(is_documentation));
        }
    }

    fn function(&mut self, attributes: &[syn::Attribute], public: bool, signature: &syn::Signature) {
        self.item(attributes, public);
        self.sums.functions += 1;
        self.sums.unsafe_items += u64::from(matches!(signature.safety, syn::Safety::Unsafe(_)));
    }
}

/// `/// …`, `#[doc = …]` or `#[doc(…)]` that is not an instruction to hide.
fn is_documentation(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("doc") && matches!(attribute.meta, syn::Meta::NameValue(_))
}

fn is_hidden(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("doc")
            && list
                .tokens
                .clone()
                .into_iter()
                .any(|t| matches!(t, TokenTree::Ident(name) if name == "hidden"))
    })
}

fn is_public(visibility: &syn::Visibility) -> bool {
    matches!(visibility, syn::Visibility::Public(_))
}

impl<'ast> Visit<'ast> for Counter {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            syn::Item::Fn(i) => {
                self.function(&i.attrs, is_public(&i.vis), &i.sig);
                self.sums.public_functions += u64::from(is_public(&i.vis));
            }
            syn::Item::Const(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Enum(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Mod(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Static(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Struct(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Trait(i) => {
                self.item(&i.attrs, is_public(&i.vis));
                self.sums.unsafe_items += u64::from(i.unsafety.is_some());
                let outer = self.within.replace(is_public(&i.vis));
                visit::visit_item(self, item);
                self.within = outer;
                return;
            }
            syn::Item::TraitAlias(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Type(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Union(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::Item::Macro(i) if i.ident.is_some() => {
                let exported = i.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
                self.item(&i.attrs, exported);
            }
            syn::Item::Impl(i) => {
                self.sums.items += 1;
                self.sums.unsafe_items += u64::from(i.unsafety.is_some());
            }
            // Imports, blocks of foreign items (what they hold is visited), calls of macros.
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        match item {
            syn::ImplItem::Fn(i) => {
                self.function(&i.attrs, is_public(&i.vis), &i.sig);
                self.sums.public_functions += u64::from(is_public(&i.vis));
            }
            syn::ImplItem::Const(i) => self.item(&i.attrs, is_public(&i.vis)),
            syn::ImplItem::Type(i) => self.item(&i.attrs, is_public(&i.vis)),
            _ => {}
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        let public = self.within == Some(true);
        match item {
            syn::TraitItem::Fn(i) => self.function(&i.attrs, public, &i.sig),
            syn::TraitItem::Const(i) => self.item(&i.attrs, public),
            syn::TraitItem::Type(i) => self.item(&i.attrs, public),
            _ => {}
        }
        visit::visit_trait_item(self, item);
    }

    fn visit_foreign_item_fn(&mut self, item: &'ast syn::ForeignItemFn) {
        self.function(&item.attrs, is_public(&item.vis), &item.sig);
        self.sums.public_functions += u64::from(is_public(&item.vis));
        visit::visit_foreign_item_fn(self, item);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.sums.unsafe_blocks += 1;
        visit::visit_expr_unsafe(self, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
        //! A module.
        use std::fmt;

        /// Documented.
        pub struct Shown { pub field: u8 }
        pub enum Bare { A }
        #[doc(hidden)] pub struct Hidden;
        struct Private;

        impl Shown {
            /// Documented.
            pub fn new() -> Self { unsafe { make() } }
            fn inner(&self) {}
        }

        pub trait Walk {
            /// Documented.
            fn step(&mut self);
            fn bare(&mut self) {}
        }
        trait Local { fn step(&mut self); }

        unsafe fn make() -> Shown { Shown { field: 0 } }
        unsafe impl Send for Shown {}
        extern \"C\" { pub fn far(); }
        #[macro_export] macro_rules! m { () => {} }
    ";

    #[test]
    fn counts_what_it_says() {
        let sums = measure(SOURCE).unwrap();
        assert_eq!(
            sums,
            Measures {
                tokens: sums.tokens,
                // Shown Bare Hidden Private impl new inner Walk step bare Local step make impl far m
                items: 16,
                // new inner step bare step make far
                functions: 7,
                public_functions: 2, // new far
                unsafe_blocks: 1,
                unsafe_items: 2, // make, impl Send
                public: 8,       // Shown Bare new Walk step bare far m
                documented: 3,   // Shown new step
            }
        );
    }

    #[test]
    fn comments_and_white_space_do_not_count_documentation_does() {
        let plain = measure("pub fn f() { g(1, 2) }").unwrap();
        assert_eq!(plain.tokens, 13);
        assert_eq!(measure("// one\npub fn f() {\n    /* two */ g(1, 2) // three\n}\n").unwrap(), plain);

        let documented = measure("/// Says it.\n/// All.\npub fn f() { g(1, 2) }").unwrap();
        assert_eq!(documented, Measures { documented: 1, ..plain.clone() });
        assert_eq!(measure("/// Says something else.\npub fn f() { g(1, 2) }").unwrap(), documented);
    }

    #[test]
    fn code_counts() {
        assert_ne!(measure("fn f() { g(1) }").unwrap(), measure("fn f() { g(1); }").unwrap());
    }

    #[test]
    fn a_shebang_and_a_byte_order_mark_are_passed_over() {
        assert_eq!(measure("#!/usr/bin/env run\nfn f() {}").unwrap().functions, 1);
        assert_eq!(measure("#![allow(x)]\nfn f() {}").unwrap().functions, 1);
        assert_eq!(measure("\u{feff}fn f() {}").unwrap().functions, 1);
        assert_eq!(measure("#!alone").unwrap().functions, 0);
    }

    #[test]
    fn what_is_not_rust_is_an_error() {
        assert!(measure("fn f( {").is_err());
        assert!(measure("this is prose.").is_err());
    }
}
