//! What an item's own tokens say about it: whether it is cached, whether it may change while the program runs.

use std::ops::Range;

use crate::items::Lexed;
use crate::lexer::Kind;
use crate::names::Name;

/// Whether attributes hold `#[fleche]` itself.
pub(crate) fn is_cached(lexed: &Lexed, attributes: &Range<usize>) -> bool {
    let mut at = attributes.start;
    while at < attributes.end {
        let close = lexed.tokens.after(at + 1) - 1;
        let mut inside = at + 2;
        if lexed.name(inside) == Name::FLECHE && lexed.is(inside + 1, "::") {
            inside += 2;
        }
        if lexed.name(inside) == Name::FLECHE && (inside + 1 == close || lexed.is(inside + 1, "(")) {
            return true;
        }
        at = close + 1;
    }
    false
}

/// Whether a static may hold something that changes: its type has more in it than plain data.
pub(crate) fn may_change(lexed: &Lexed, head: &Range<usize>) -> bool {
    const PLAIN: [&str; 24] = [
        "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
        "isize", "f32", "f64", "str", "static", "String", "Vec", "Option", "fn", "Duration", "Result",
    ];
    let mut colon = None;
    for at in head.clone() {
        if lexed.is(at, "=") {
            return false;
        }
        if lexed.name(at) == Name::MUT && colon.is_none() {
            return true;
        }
        if lexed.is(at, ":") && colon.is_none() {
            colon = Some(at);
            continue;
        }
        if colon.is_some()
            && lexed.tokens.kind(at) == Some(Kind::Ident)
            && !PLAIN.contains(&lexed.tokens.text(at))
        {
            return true;
        }
    }
    false
}
