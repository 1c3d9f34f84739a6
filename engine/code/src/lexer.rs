//! The tokens of a source file: names, literals and punctuation, each with its place. How text is cut into them is `cut.rs`'s
//! to say.
//!
//! Macros are compiled without optimisation, where each call costs. What is asked of every token is therefore written with
//! plain loops over bytes here and in `cut.rs`.

use std::ops::Range;

use crate::cut::cut;

/// What kind of token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An identifier or keyword; raw ones keep their `r#` in the text.
    Ident,
    /// `'a`, with its quote.
    Lifetime,
    /// A number, character or byte literal.
    Number,
    /// A string literal of any sort (`"…"`, `r#"…"#`, `b"…"`, `c"…"`).
    Text,
    /// An operator, as long as Rust's lexer would make it (`::`, `->`, `>>=`).
    Punct,
    /// `(`, `[` or `{`; [`Token::partner`] is the index of its closing token.
    Open,
    /// `)`, `]` or `}`; [`Token::partner`] is the index of its opening token.
    Close,
}

/// One token of a file.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where its text starts, in bytes.
    pub start: u32,
    /// Where its text ends, in bytes.
    pub end: u32,
    /// The line that it starts in, from 1.
    pub line: u32,
    /// For delimiters, the index of the other one; where it is missing, the token's own index.
    pub partner: u32,
    /// For identifiers, [`crate::names::hash`] of their text without `r#`.
    pub(crate) hash: u32,
}

/// A file's text with its tokens.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    text: Box<str>,
    tokens: Box<[Token]>,
}

impl Tokens {
    /// Lexes a file (or any run of tokens as text). Documentation comments and `#[doc …]` attributes are left out.
    pub fn lex(text: impl Into<String>) -> Self {
        let text = text.into().into_boxed_str();
        let tokens = cut(&text).into_boxed_slice();
        Self { text, tokens }
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// A token, if there are so many.
    pub fn get(&self, index: usize) -> Option<Token> {
        if index < self.tokens.len() { Some(self.tokens[index]) } else { None }
    }

    /// All tokens, in order.
    pub fn all(&self) -> &[Token] {
        &self.tokens
    }

    /// The text of the token at `index`; empty past the end.
    pub fn text(&self, index: usize) -> &str {
        if index >= self.tokens.len() {
            return "";
        }
        let token = &self.tokens[index];
        &self.text[token.start as usize..token.end as usize]
    }

    /// The kind of the token at `index`.
    pub fn kind(&self, index: usize) -> Option<Kind> {
        if index < self.tokens.len() { Some(self.tokens[index].kind) } else { None }
    }

    /// Whether the token at an index is a lifetime.
    pub fn is_lifetime(&self, index: usize) -> bool {
        matches!(self.kind(index), Some(Kind::Lifetime))
    }

    /// Whether the token at `index` reads `text` and is no literal.
    pub fn is(&self, index: usize, text: &str) -> bool {
        if index >= self.tokens.len() {
            return false;
        }
        let token = &self.tokens[index];
        let (start, end) = (token.start as usize, token.end as usize);
        let (wanted, bytes) = (text.as_bytes(), self.text.as_bytes());
        if end - start != wanted.len() || matches!(token.kind, Kind::Text | Kind::Number) {
            return false;
        }
        let mut at = 0;
        while at < wanted.len() {
            if bytes[start + at] != wanted[at] {
                return false;
            }
            at += 1;
        }
        true
    }

    /// The identifier at `index`, without `r#`.
    pub fn ident(&self, index: usize) -> Option<&str> {
        if index >= self.tokens.len() || !matches!(self.tokens[index].kind, Kind::Ident) {
            return None;
        }
        let text = self.text(index);
        Some(text.strip_prefix("r#").unwrap_or(text))
    }

    /// The bytes of the identifier at `index`, without `r#`, and their hash; nothing for other tokens.
    pub(crate) fn word(&self, index: usize) -> Option<(&[u8], u32)> {
        let token = &self.tokens[index];
        if !matches!(token.kind, Kind::Ident) {
            return None;
        }
        let (mut start, end) = (token.start as usize, token.end as usize);
        let bytes = self.text.as_bytes();
        if bytes[start] == b'r' && end - start > 2 && bytes[start + 1] == b'#' {
            start += 2;
        }
        Some((&bytes[start..end], token.hash))
    }

    /// The contents of the string literal at `index`, with simple escapes resolved; `None` for other tokens.
    pub fn string(&self, index: usize) -> Option<String> {
        matches!(self.kind(index)?, Kind::Text).then(|| unquote(self.text(index)))
    }

    /// The line of the token at `index`, or of the last one.
    pub fn line(&self, index: usize) -> u32 {
        self.tokens.get(index).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    /// The index just behind the delimited group that opens at `index`; for other tokens the next index.
    pub fn after(&self, index: usize) -> usize {
        if index >= self.tokens.len() {
            return index + 1;
        }
        let token = &self.tokens[index];
        let partner = token.partner as usize;
        if matches!(token.kind, Kind::Open) && partner > index { partner + 1 } else { index + 1 }
    }

    /// Feeds the tokens of a range to a hash, so that no two different runs of tokens feed the same bytes: behind each stands a
    /// byte that no text has.
    pub fn feed(&self, range: Range<usize>, hasher: &mut blake3::Hasher) {
        const SIZE: usize = 4096;
        let mut buffer = [0; SIZE];
        let mut used = 0;
        let bytes = self.text.as_bytes();
        let (mut index, end) = (range.start, range.end.min(self.tokens.len()));
        while index < end {
            let (mut at, behind) = (self.tokens[index].start as usize, self.tokens[index].end as usize);
            if used + (behind - at) >= SIZE {
                hasher.update(&buffer[..used]);
                used = 0;
            }
            if behind - at >= SIZE {
                hasher.update(&bytes[at..behind]);
                at = behind;
            }
            while at < behind {
                buffer[used] = bytes[at];
                used += 1;
                at += 1;
            }
            buffer[used] = 0xff;
            used += 1;
            index += 1;
        }
        hasher.update(&buffer[..used]);
    }
}

/// The contents of a string literal.
fn unquote(literal: &str) -> String {
    let unprefixed = literal.trim_start_matches(['b', 'c']);
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let raw = raw.trim_matches('#');
        return raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw).to_owned();
    }
    let Some(start) = unprefixed.find('"') else { return String::new() };
    let inner = &unprefixed[start + 1..];
    let inner = &inner[..inner.rfind('"').unwrap_or(inner.len())];
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('0') => out.push('\0'),
            Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            Some('x') => {
                let code: String = chars.by_ref().take(2).collect();
                out.extend(u8::from_str_radix(&code, 16).ok().map(char::from));
            }
            Some('u') => {
                let code: String =
                    chars.by_ref().skip(1).take_while(|&c| c != '}').filter(|&c| c != '_').collect();
                out.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let tokens = Tokens::lex(text);
        (0..tokens.len()).map(|index| tokens.text(index).to_owned()).collect()
    }

    #[test]
    fn comments_and_layout_vanish() {
        assert_eq!(words("fn f ( ) { 1 }"), words("//! doc\nfn f() /* a /* nested */ b */ {\n  1 // one\n}"));
        assert_eq!(
            words("#![doc(html_root_url = \"x\")]\n#[doc = \"a\"] #[doc(hidden)] struct A;"),
            words("/** d */ struct A;")
        );
    }

    #[test]
    fn literals_hold_together() {
        assert_eq!(words(r##"f("a\"b", 'c', '\'', b'x', r#"q " q"#, br"x", c"z", 'a, '_)"##).len(), 20);
        assert_eq!(
            words("1.0e-5 1..2 1.max(2) t.0.1 0xe+1 1."),
            [
                "1.0e-5", "1", "..", "2", "1", ".", "max", "(", "2", ")", "t", ".", "0.1", "0xe", "+", "1",
                "1."
            ]
        );
        assert_eq!(words("r#type r#\"x\"#"), ["r#type", "r#\"x\"#"]);
        assert_eq!(words("a?.b"), ["a", "?", ".", "b"]);
    }

    #[test]
    fn strings_are_unquoted() {
        let tokens = Tokens::lex(
            r##""a\tb\u{41}\x41" r#"c"d"# b"e" "x\
            y""##,
        );
        let strings: Vec<_> = (0..tokens.len()).filter_map(|index| tokens.string(index)).collect();
        assert_eq!(strings, ["a\tbAA", "c\"d", "e", "xy"]);
    }

    #[test]
    fn delimiters_find_their_partners_even_in_broken_files() {
        let tokens = Tokens::lex("f(a[1], {2}) }");
        assert_eq!(tokens.after(1), tokens.len() - 1);
        assert_eq!(tokens.after(tokens.len() - 1), tokens.len());
        assert_eq!(Tokens::lex("((").after(0), 1);
    }

    #[test]
    fn lines_count_through_strings_and_comments() {
        let tokens = Tokens::lex("a\n\"x\ny\"\n/* \n */ r\"\n\" b");
        assert_eq!((tokens.line(0), tokens.line(1), tokens.line(3)), (1, 2, 6));
    }

    #[test]
    fn a_digest_tells_tokens_apart() {
        let digest = |text: &str| {
            let tokens = Tokens::lex(text);
            let mut hasher = blake3::Hasher::new();
            tokens.feed(0..tokens.len(), &mut hasher);
            hasher.finalize()
        };
        assert_eq!(digest("a + b"), digest("a+b // c"));
        for (left, right) in
            [("ab", "a b"), ("a && b", "a & & b"), ("\"a\"", "a"), ("1", "2"), ("'a'", "'b'")]
        {
            assert_ne!(digest(left), digest(right), "{left} / {right}");
        }
    }

    #[test]
    fn never_panics_on_garbage() {
        for text in [
            "'",
            "\"",
            "r#",
            "r#\"",
            "b'",
            "/*",
            "1e",
            "'\\",
            "\"\\",
            "é'",
            "\u{feff}#!",
            "'é",
            "\\\u{e9}",
            "\"\\é",
        ] {
            let _ = Tokens::lex(text);
        }
    }
}
