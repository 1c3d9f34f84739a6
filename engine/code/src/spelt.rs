//! What the arguments of `include_str!` spell: literals, `concat!`, `env!`, `stringify!`, and parts that only a macro's caller
//! knows.

use std::collections::BTreeSet;
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

/// What `env!` or `option_env!` reads, of which the arguments are given: a variable, or `*` and how the names begin that it may
/// be, where only a macro's caller knows.
pub(crate) fn variable(tokens: &Tokens, arguments: Range<usize>) -> String {
    let mut end = arguments.start;
    while end < arguments.end && !tokens.is(end, ",") {
        end = tokens.after(end);
    }
    let pieces = pieces(tokens, arguments.start..end);
    let known = pieces.iter().map_while(|piece| match piece {
        Piece::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let is_known = !pieces.is_empty() && known.clone().count() == pieces.len();
    let text: String = known.collect();
    if is_known { text } else { format!("*{text}") }
}

/// The variables that a range of tokens reads. The package's directory and the build script's output in front of a path are
/// passed over: they are elsewhere in another checkout.
pub(crate) fn variables(tokens: &Tokens, range: Range<usize>, found: &mut BTreeSet<String>) {
    for at in range {
        if !(tokens.is(at, "env") || tokens.is(at, "option_env"))
            || !tokens.is(at + 1, "!")
            || tokens.kind(at + 2) != Some(Kind::Open)
        {
            continue;
        }
        let name = variable(tokens, at + 3..tokens.after(at + 2).max(at + 4) - 1);
        let in_path = at > 2 && tokens.is(at - 2, "!") && tokens.is(at - 3, "concat");
        if !(in_path && matches!(name.as_str(), "CARGO_MANIFEST_DIR" | "OUT_DIR")) {
            found.insert(name);
        }
    }
}

/// The variables that are meant: where only a macro's caller knows, those that some literal may name, and those that begin so.
pub(crate) fn resolved(
    variables: &BTreeSet<String>,
    literals: impl Iterator<Item = String>,
) -> BTreeSet<String> {
    let (open, mut found): (BTreeSet<String>, BTreeSet<String>) =
        variables.iter().cloned().partition(|name| name.starts_with('*'));
    if open.is_empty() {
        return found;
    }
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    found.extend(literals.filter(|text| text.len() > 1 && text.len() < 128 && text.chars().all(capital)));
    let begins = |name: &String| open.iter().any(|start| start.len() > 1 && name.starts_with(&start[1..]));
    found.extend(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(begins));
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
