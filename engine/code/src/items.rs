//! Tokens to items: functions, types, traits, impls and their members, uses, modules, macros. Bodies are not looked into.
//!
//! It takes what it does not understand as it is (an unknown token is skipped, its neighbours still count), since the
//! compiler will say what is wrong with it.

use std::ops::Range;

use crate::lexer::{Kind, Tokens};
use crate::names::{Name, Names};

/// A file's tokens with the number of each identifier.
#[derive(Debug)]
pub struct Lexed {
    /// The tokens.
    pub tokens: std::sync::Arc<Tokens>,
    /// For each token, its identifier.
    pub names: std::sync::Arc<[Name]>,
}

impl Lexed {
    /// Numbers the identifiers of a file.
    pub fn new(tokens: std::sync::Arc<Tokens>, names: &mut Names) -> Self {
        let mut numbered = Vec::with_capacity(tokens.len());
        let mut index = 0;
        while index < tokens.len() {
            numbered.push(match tokens.word(index) {
                Some((text, hash)) => {
                    let name = names.number_hashed(text, hash);
                    let is_raw = name.is_keyword() && tokens.text(index).len() > text.len();
                    if is_raw { names.number(tokens.text(index)) } else { name }
                }
                None => Name::NONE,
            });
            index += 1;
        }
        Self { tokens, names: numbered.into() }
    }

    /// The identifier at an index, or none.
    pub fn name(&self, index: usize) -> Name {
        if index < self.names.len() { self.names[index] } else { Name::NONE }
    }

    /// Whether the token at an index reads `text`.
    pub fn is(&self, index: usize, text: &str) -> bool {
        self.tokens.is(index, text)
    }
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A function, also as a member of an impl or trait.
    Function,
    /// A struct, enum or union.
    Type,
    /// A trait.
    Trait,
    /// `type A = B;`
    Alias,
    /// A constant.
    Constant,
    /// A static.
    Static,
    /// `use …;`
    Use,
    /// A module, inline or not.
    Module,
    /// An impl block.
    Impl,
    /// `macro_rules!` or `macro`.
    Macro,
    /// A macro call where items stand.
    Call,
    /// `extern crate a as b;`
    ExternCrate,
    /// `extern "C" { … }`
    ExternBlock,
    /// `#![…]`, an attribute of what is around it.
    Attribute,
}

/// One item in its file.
#[derive(Clone, Debug)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Its name; `NONE` for impls, uses and calls. For an extern crate, the name that it is known by.
    pub name: Name,
    /// All its tokens with its attributes.
    pub range: Range<usize>,
    /// Its outer attributes.
    pub attributes: Range<usize>,
    /// From behind its attributes and visibility to its body.
    pub head: Range<usize>,
    /// The tokens between its braces, or of a macro call between its delimiters.
    pub body: Option<Range<usize>>,
}

/// Parses the items in a range of tokens.
pub fn parse(lexed: &Lexed, range: Range<usize>) -> Vec<Item> {
    let mut items = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let (item, next) = one(lexed, at, range.end);
        items.extend(item);
        at = next.max(at + 1);
    }
    items
}

/// Parses one item and tells where the next may start.
fn one(lexed: &Lexed, start: usize, end: usize) -> (Option<Item>, usize) {
    if lexed.is(start, "#") && lexed.is(start + 1, "!") && lexed.is(start + 2, "[") {
        let next = lexed.tokens.after(start + 2);
        let range = start..next;
        let item = Item {
            kind: ItemKind::Attribute,
            name: Name::NONE,
            range: range.clone(),
            attributes: start..start,
            head: range,
            body: None,
        };
        return (Some(item), next);
    }
    let mut at = start;
    while at < end && lexed.is(at, "#") && lexed.is(at + 1, "[") {
        at = lexed.tokens.after(at + 1);
    }
    let attributes = start..at;
    if lexed.name(at) == Name::PUB {
        at += 1;
        if lexed.is(at, "(") {
            at = lexed.tokens.after(at);
        }
    }
    let head = at;
    // Words before the keyword that says what it is.
    loop {
        let next = lexed.name(at + 1);
        match lexed.name(at) {
            Name::UNSAFE | Name::ASYNC => at += 1,
            Name::DEFAULT | Name::SAFE | Name::AUTO if !next.is_none() && !lexed.is(at + 1, "!") => at += 1,
            Name::CONST if matches!(next, Name::FN | Name::UNSAFE | Name::ASYNC | Name::EXTERN) => at += 1,
            Name::EXTERN if next == Name::FN => at += 1,
            Name::EXTERN
                if lexed.tokens.kind(at + 1) == Some(Kind::Text)
                    && matches!(lexed.name(at + 2), Name::FN) =>
            {
                at += 2;
            }
            _ => break,
        }
    }
    let build = |kind, name, next: usize, body: Option<Range<usize>>| {
        let head_end = body.as_ref().map_or(next, |body| body.start);
        let item = Item {
            kind,
            name,
            range: start..next,
            attributes: attributes.clone(),
            head: head..head_end,
            body,
        };
        (Some(item), next)
    };
    let name = lexed.name(at + 1);
    match lexed.name(at) {
        Name::FN => {
            let (next, body) = to_body(lexed, at + 2, end);
            build(ItemKind::Function, name, next, body)
        }
        Name::STRUCT | Name::ENUM => {
            let (next, body) = to_body(lexed, at + 2, end);
            build(ItemKind::Type, name, next, body)
        }
        Name::UNION if !name.is_none() => {
            let (next, body) = to_body(lexed, at + 2, end);
            build(ItemKind::Type, name, next, body)
        }
        Name::TRAIT => {
            let (next, body) = to_body(lexed, at + 2, end);
            build(ItemKind::Trait, name, next, body)
        }
        Name::IMPL => {
            let (next, body) = to_body(lexed, at + 1, end);
            build(ItemKind::Impl, Name::NONE, next, body)
        }
        Name::MOD => {
            let (next, body) = to_body(lexed, at + 2, end);
            build(ItemKind::Module, name, next, body)
        }
        Name::TYPE => build(ItemKind::Alias, name, to_semicolon(lexed, at + 2, end), None),
        Name::CONST => build(ItemKind::Constant, name, to_semicolon(lexed, at + 2, end), None),
        Name::STATIC => {
            let name = if matches!(name, Name::MUT | Name::REF) { lexed.name(at + 2) } else { name };
            build(ItemKind::Static, name, to_semicolon(lexed, at + 2, end), None)
        }
        Name::USE => build(ItemKind::Use, Name::NONE, to_semicolon(lexed, at + 1, end), None),
        Name::EXTERN if name == Name::CRATE => {
            let next = to_semicolon(lexed, at + 2, end);
            let known = if lexed.name(at + 3) == Name::AS { lexed.name(at + 4) } else { lexed.name(at + 2) };
            build(ItemKind::ExternCrate, known, next, None)
        }
        Name::EXTERN => {
            let (next, body) = to_body(lexed, at + 1, end);
            build(ItemKind::ExternBlock, Name::NONE, next, body)
        }
        Name::MACRO_RULES if lexed.is(at + 1, "!") => {
            let group = at + 3;
            let next = past_semicolon(lexed, lexed.tokens.after(group), group);
            build(ItemKind::Macro, lexed.name(at + 2), next, Some(group + 1..lexed.tokens.after(group) - 1))
        }
        Name::MACRO if !name.is_none() => {
            let (next, body) = to_body(lexed, at + 2, end);
            build(ItemKind::Macro, name, next, body)
        }
        _ => call(lexed, at, &build).unwrap_or((None, skip(lexed, at))),
    }
}

fn skip(lexed: &Lexed, at: usize) -> usize {
    lexed.tokens.after(at)
}

type Build<'a> = dyn Fn(ItemKind, Name, usize, Option<Range<usize>>) -> (Option<Item>, usize) + 'a;

/// `path::to::name!(…)`, with a `;` where the delimiters want one.
fn call(lexed: &Lexed, start: usize, build: &Build<'_>) -> Option<(Option<Item>, usize)> {
    let mut at = start;
    if lexed.is(at, "::") {
        at += 1;
    }
    if lexed.is(at, "$") {
        at += 1;
    }
    while !lexed.name(at).is_none() && lexed.is(at + 1, "::") {
        at += 2;
    }
    if lexed.name(at).is_none() || !lexed.is(at + 1, "!") {
        return None;
    }
    let group = at + 2;
    if lexed.tokens.kind(group) != Some(Kind::Open) {
        return None;
    }
    let after = lexed.tokens.after(group);
    Some(build(
        ItemKind::Call,
        lexed.name(at),
        past_semicolon(lexed, after, group),
        Some(group + 1..after.max(group + 2) - 1),
    ))
}

fn past_semicolon(lexed: &Lexed, after: usize, group: usize) -> usize {
    if !lexed.is(group, "{") && lexed.is(after, ";") { after + 1 } else { after }
}

/// To behind the next `{…}` or `;`. A brace between `<` and `>` belongs to a type.
fn to_body(lexed: &Lexed, start: usize, end: usize) -> (usize, Option<Range<usize>>) {
    let mut at = start;
    let mut depth = 0;
    while at < end {
        if lexed.is(at, ";") {
            return (at + 1, None);
        }
        let next = lexed.tokens.after(at);
        match lexed.tokens.kind(at) {
            Some(Kind::Punct) => depth += angles(lexed, at),
            Some(Kind::Open) if depth <= 0 && lexed.is(at, "{") && next > at + 1 => {
                return (next, Some(at + 1..next - 1));
            }
            _ => {}
        }
        at = next;
    }
    (end, None)
}

/// How many angle brackets more are open behind a token of a type or an item's head.
pub(crate) fn angles(lexed: &Lexed, at: usize) -> i32 {
    match lexed.tokens.text(at) {
        "<" | "<-" => 1,
        "<<" => 2,
        ">" => -1,
        ">>" => -2,
        _ => 0,
    }
}

fn to_semicolon(lexed: &Lexed, start: usize, end: usize) -> usize {
    let mut at = start;
    while at < end {
        if lexed.is(at, ";") {
            return at + 1;
        }
        at = lexed.tokens.after(at);
    }
    end
}

impl Name {
    /// Whether there is no identifier.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The segments of its path; a leading `::` is left out.
    pub path: Vec<Name>,
    /// The name that it gets; `NONE` for a glob, `UNDERSCORE` for `as _`.
    pub name: Name,
    /// Whether the path began with `::`.
    pub absolute: bool,
}

/// Reads a `use` tree that starts behind the word `use`.
pub fn imports(lexed: &Lexed, range: Range<usize>) -> Vec<Import> {
    let mut found = Vec::new();
    let absolute = lexed.is(range.start, "::");
    tree(lexed, range, &[], absolute, &mut found);
    found
}

fn tree(lexed: &Lexed, range: Range<usize>, prefix: &[Name], absolute: bool, found: &mut Vec<Import>) {
    let mut path = prefix.to_vec();
    let mut at = range.start;
    while at < range.end {
        if lexed.is(at, "::") && path.is_empty() && at == range.start && !absolute {
            return tree(lexed, at + 1..range.end, prefix, true, found);
        } else if lexed.is(at, "::") || lexed.is(at, "$") {
            at += 1;
        } else if lexed.is(at, "*") {
            found.push(Import { path: path.clone(), name: Name::NONE, absolute });
            return;
        } else if lexed.is(at, "{") {
            let close = lexed.tokens.after(at) - 1;
            let mut start = at + 1;
            let mut inner = start;
            while inner < close {
                if lexed.is(inner, ",") {
                    tree(lexed, start..inner, &path, absolute, found);
                    start = inner + 1;
                }
                inner = lexed.tokens.after(inner);
            }
            if start < close {
                tree(lexed, start..close, &path, absolute, found);
            }
            return;
        } else if lexed.name(at) == Name::AS {
            found.push(Import { path: path.clone(), name: lexed.name(at + 1), absolute });
            return;
        } else if lexed.name(at).is_none() {
            break;
        } else {
            // `use a::{self}` names `a`.
            if lexed.name(at) != Name::SELF || path.is_empty() {
                path.push(lexed.name(at));
            }
            at += 1;
        }
    }
    if let Some(name) = path.last().copied() {
        found.push(Import { path, name, absolute });
    }
}

/// Whether the function whose name is at an index stands itself in an impl or trait.
pub fn is_member(tokens: &Tokens, name: usize) -> bool {
    const KEYWORDS: [&str; 12] =
        ["impl", "trait", "fn", "mod", "struct", "enum", "const", "static", "let", "extern", "type", "match"];
    // Back to the brace around it, and to where the head of what that brace belongs to begins.
    let mut at = name;
    let mut open = None;
    while at > 0 {
        at -= 1;
        match tokens.get(at) {
            Some(token) if token.kind == Kind::Close => {
                if open.is_some() && tokens.is(at, "}") {
                    at += 1;
                    break;
                }
                at = token.partner as usize;
            }
            Some(token) if token.kind == Kind::Open && open.is_none() && tokens.is(at, "{") => {
                open = Some(token.partner);
            }
            Some(token) if token.kind == Kind::Open => {
                at += 1;
                break;
            }
            _ if open.is_some() && tokens.is(at, ";") => break,
            _ => {}
        }
    }
    while open.is_some() && !tokens.is(at, "{") && at < name {
        if let Some(word) = tokens.ident(at)
            && KEYWORDS.contains(&word)
        {
            return matches!(word, "impl" | "trait");
        }
        at = tokens.after(at);
    }
    false
}

/// Whether a group of attributes says that the item exists only in test builds.
pub fn only_for_tests(lexed: &Lexed, attributes: Range<usize>) -> bool {
    let mut at = attributes.start;
    while at < attributes.end {
        // `#[`, or `#![` of a file.
        let open = if lexed.is(at + 1, "!") { at + 2 } else { at + 1 };
        let close = lexed.tokens.after(open) - 1;
        let inside = open + 1;
        match lexed.name(inside) {
            Name::TEST | Name::BENCH if inside + 1 == close => return true,
            Name::CFG => {
                let first = inside + 2;
                if lexed.name(first) == Name::TEST && lexed.is(first + 1, ")") {
                    return true;
                }
                if lexed.name(first) == Name::ALL {
                    // `all(test, …)`: one of its own arguments is `test`.
                    let mut argument = first + 2;
                    let end = lexed.tokens.after(first + 1) - 1;
                    while argument < end {
                        let alone = lexed.is(argument + 1, ",") || argument + 1 == end;
                        if lexed.name(argument) == Name::TEST && alone {
                            return true;
                        }
                        argument = lexed.tokens.after(argument);
                    }
                }
            }
            _ => {}
        }
        at = close + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexed(text: &str) -> (Lexed, Names) {
        let mut names = Names::default();
        (Lexed::new(std::sync::Arc::new(Tokens::lex(text)), &mut names), names)
    }

    fn listed(text: &str) -> Vec<String> {
        let (lexed, names) = lexed(text);
        parse(&lexed, 0..lexed.tokens.len())
            .iter()
            .map(|item| format!("{:?} {}", item.kind, names.text(item.name)).trim_end().to_owned())
            .collect()
    }

    #[test]
    fn every_kind_of_item_is_found() {
        let text = r#"
            #![allow(x)]
            use a::b;
            pub(crate) const fn f<const N: usize>() -> Foo<{ N }> where A: B, { }
            unsafe extern "C" fn g();
            pub struct S { a: u8 } struct T(u8); enum E { A } union U { a: u8 }
            unsafe auto trait Tr { fn x(&self) { } }
            impl<T> Tr for S where T: X { }
            type A = B; const C: [u8; 2] = { [1, 2] }; static mut D: u8 = 1;
            mod m { fn inner() {} } mod n;
            extern crate foo as bar; extern "C" { fn c(); }
            macro_rules! mac { () => {}; } macro_rules! mac2 ( () => {} );
            thread_local! { static X: u8 = 1; }
            crate::call!(a, b);
            default fn h() {}
        "#;
        assert_eq!(
            listed(text),
            [
                "Attribute",
                "Use",
                "Function f",
                "Function g",
                "Type S",
                "Type T",
                "Type E",
                "Type U",
                "Trait Tr",
                "Impl",
                "Alias A",
                "Constant C",
                "Static D",
                "Module m",
                "Module n",
                "ExternCrate bar",
                "ExternBlock",
                "Macro mac",
                "Macro mac2",
                "Call thread_local",
                "Call call",
                "Function h"
            ]
        );
    }

    #[test]
    fn imports_are_read_with_their_names() {
        let (lexed, names) = lexed("use a::{self, b::c as d, e::*, f as _, {g}};");
        let found = imports(&lexed, 1..lexed.tokens.len() - 1);
        let shown: Vec<String> = found
            .iter()
            .map(|import| {
                let path: Vec<_> = import.path.iter().map(|name| names.text(*name)).collect();
                format!("{}={}", names.text(import.name), path.join("::"))
            })
            .collect();
        assert_eq!(shown, ["a=a", "d=a::b::c", "=a::e", "_=a::f", "g=a::g"]);
    }

    #[test]
    fn members_are_told_from_functions_beside_them() {
        for (text, expected) in [
            ("impl A { fn f() {} }", true),
            (
                "fn a() {} #[x(fn)] pub unsafe trait T: U where V: W { fn a() {} const B: u8 = 1; #[x] fn f() {} }",
                true,
            ),
            (
                "use a::{b, c}; impl<T> A<T> for [u8; 2] { type X = (u8,); fn a(&self) {} async fn f(&self) {} }",
                true,
            ),
            ("impl A {} fn f() {}", false),
            ("mod a { fn f() {} }", false),
            ("impl A { fn a() { fn f() {} } }", false),
            ("fn a(x: impl B) -> impl C { fn f() {} }", false),
            ("const A: u8 = { fn f() {} };", false),
            ("trait A {} mod a { impl B {} fn f() {} }", false),
            ("impl A { const B: u8 = { fn f() {} 1 }; }", false),
            ("fn f() {}", false),
            (") fn f() {}", false),
            ("impl A { fn f", true),
        ] {
            let tokens = Tokens::lex(text);
            let name = (1..tokens.len()).find(|at| tokens.is(*at, "f") && tokens.is(at - 1, "fn"));
            assert_eq!(is_member(&tokens, name.expect("it is there")), expected, "{text}");
        }
    }

    #[test]
    fn test_items_are_known_by_their_attributes() {
        for (text, expected) in [
            ("#[cfg(test)] fn f() {}", true),
            ("#[inline] #[test] fn f() {}", true),
            ("#[cfg(all(unix, test))] fn f() {}", true),
            ("#[cfg(not(test))] fn f() {}", false),
            ("#[cfg(any(test, unix))] fn f() {}", false),
            ("#[cfg(all(unix, not(test)))] fn f() {}", false),
        ] {
            let (lexed, _) = lexed(text);
            let item = &parse(&lexed, 0..lexed.tokens.len())[0];
            assert_eq!(only_for_tests(&lexed, item.attributes.clone()), expected, "{text}");
        }
    }

    #[test]
    fn broken_files_do_not_stop_it() {
        for text in [
            "fn",
            "impl",
            "use a::{",
            "mod {",
            "macro_rules! x",
            "struct",
            "} fn f() {}",
            "#[",
            "macro_rules!",
            "a::b!",
        ] {
            let _ = listed(text);
        }
    }
}
