//! What the arguments of `include_str!` spell: literals, `concat!`, `env!`, `stringify!`, and parts that only a macro's caller
//! knows.

use std::ops::Range;

use crate::lexer::{Kind, Tokens};

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These letters.
    Text(String),
    /// The value of a variable of the compiler's environment.
    Variable(String),
    /// Anything.
    Unknown,
}

/// Reads the arguments of a macro, as far as they are one text.
pub(crate) fn pieces(tokens: &Tokens, range: Range<usize>) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let next = tokens.after(at);
        let group = if tokens.is(at + 1, "!") && matches!(tokens.kind(at + 2), Some(Kind::Open)) {
            at + 3..tokens.after(at + 2).max(at + 4) - 1
        } else {
            0..0
        };
        match (tokens.kind(at), tokens.text(at)) {
            (_, ",") => {}
            (Some(Kind::Text), _) => found.extend(tokens.string(at).map(Piece::Text)),
            (Some(Kind::Number), text) => found.push(Piece::Text(text.to_owned())),
            (Some(Kind::Ident), "concat") if !group.is_empty() => found.extend(pieces(tokens, group.clone())),
            (Some(Kind::Ident), "env") if tokens.string(group.start).is_some() && !group.is_empty() => {
                found.extend(tokens.string(group.start).map(Piece::Variable));
            }
            (Some(Kind::Ident), "stringify") if !group.clone().any(|at| tokens.is(at, "$")) => {
                found.push(Piece::Text(group.clone().map(|at| tokens.text(at)).collect()));
            }
            // The `::` and names in front of a macro's own.
            (_, "::") => {}
            (Some(Kind::Ident), _) if tokens.is(at + 1, "::") => {}
            _ => found.push(Piece::Unknown),
        }
        at = if group.is_empty() { next } else { group.end + 1 };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_macros_are_put_together() {
        let read = |text: &str| {
            let tokens = Tokens::lex(text);
            pieces(&tokens, 0..tokens.len())
        };
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(read(r#""a/b", "#), [text("a/b")]);
        assert_eq!(
            read(r#"core::concat!(env!("X"), "/a", 1, stringify!(b), $c, ".d")"#),
            [
                Piece::Variable("X".into()),
                text("/a"),
                text("1"),
                text("b"),
                Piece::Unknown,
                Piece::Unknown,
                text(".d")
            ]
        );
        assert_eq!(read("stringify!($a)"), [Piece::Unknown]);
        assert!(!read("concat!(").is_empty());
    }
}
