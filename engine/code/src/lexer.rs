//! Rust source text to tokens: names, literals and punctuation, each with its place; comments and white space vanish here.
//!
//! It never fails: what no Rust lexer would accept becomes single-character punctuation, so that a file with an error in
//! it still has a digest (the compiler reports the error).

use std::ops::Range;

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
}

/// A file's text with its tokens.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    text: String,
    tokens: Vec<Token>,
}

impl Tokens {
    /// Lexes a file (or any run of tokens as text). Documentation comments and `#[doc …]` attributes are left out.
    pub fn lex(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut lexer = Lexer { text: &text, at: 0, line: 1, tokens: Vec::with_capacity(text.len() / 4) };
        lexer.run();
        let tokens = without_docs(&text, &lexer.tokens);
        let mut tokens = Self { text, tokens };
        tokens.pair();
        tokens
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
        self.tokens.get(index).copied()
    }

    /// All tokens, in order.
    pub fn all(&self) -> &[Token] {
        &self.tokens
    }

    /// The text of the token at `index`; empty past the end.
    pub fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &self.text[token.start as usize..token.end as usize])
    }

    /// The kind of the token at `index`.
    pub fn kind(&self, index: usize) -> Option<Kind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    /// Whether the token at an index is a lifetime.
    pub fn is_lifetime(&self, index: usize) -> bool {
        self.kind(index) == Some(Kind::Lifetime)
    }

    /// Whether the token at `index` reads `text` and is no literal.
    pub fn is(&self, index: usize, text: &str) -> bool {
        self.text(index) == text && !matches!(self.kind(index), None | Some(Kind::Text | Kind::Number))
    }

    /// The identifier at `index`, without `r#`.
    pub fn ident(&self, index: usize) -> Option<&str> {
        (self.kind(index)? == Kind::Ident).then(|| {
            let text = self.text(index);
            text.strip_prefix("r#").unwrap_or(text)
        })
    }

    /// The contents of the string literal at `index`, with simple escapes resolved; `None` for other tokens.
    pub fn string(&self, index: usize) -> Option<String> {
        (self.kind(index)? == Kind::Text).then(|| unquote(self.text(index)))
    }

    /// The line of the token at `index`, or of the last one.
    pub fn line(&self, index: usize) -> u32 {
        self.tokens.get(index).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    /// The index just behind the delimited group that opens at `index`; for other tokens the next index.
    pub fn after(&self, index: usize) -> usize {
        match self.tokens.get(index) {
            Some(token) if token.kind == Kind::Open && token.partner as usize > index => {
                token.partner as usize + 1
            }
            _ => index + 1,
        }
    }

    /// Feeds the tokens of a range to a hash, so that no two different runs of tokens feed the same bytes.
    pub fn feed(&self, range: Range<usize>, hasher: &mut blake3::Hasher) {
        let mut buffer = Vec::with_capacity(4096);
        for index in range {
            let text = self.text(index);
            let tag = match self.kind(index) {
                Some(Kind::Text | Kind::Number) => 1,
                Some(_) => 0,
                None => break,
            };
            buffer.push(tag);
            buffer.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            buffer.extend_from_slice(text.as_bytes());
            if buffer.len() > 4000 {
                hasher.update(&buffer);
                buffer.clear();
            }
        }
        hasher.update(&buffer);
    }

    /// Connects opening and closing delimiters; a stray one is its own partner.
    fn pair(&mut self) {
        let mut open: Vec<usize> = Vec::new();
        for index in 0..self.tokens.len() {
            self.tokens[index].partner = index_u32(index);
            match self.tokens[index].kind {
                Kind::Open => open.push(index),
                Kind::Close => {
                    let wanted = match self.text(index) {
                        ")" => "(",
                        "]" => "[",
                        _ => "{",
                    };
                    if open.last().is_some_and(|&start| self.text(start) == wanted)
                        && let Some(start) = open.pop()
                    {
                        self.tokens[start].partner = index_u32(index);
                        self.tokens[index].partner = index_u32(start);
                    }
                }
                _ => {}
            }
        }
    }
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Drops `#[doc …]` and `#![doc …]`, which documentation comments are another spelling of.
fn without_docs(text: &str, tokens: &[Token]) -> Vec<Token> {
    let read = |index: usize| {
        tokens.get(index).map_or("", |token: &Token| &text[token.start as usize..token.end as usize])
    };
    let is_doc = |index: usize| -> Option<usize> {
        if read(index) != "#" {
            return None;
        }
        let mut at = index + 1;
        if read(at) == "!" {
            at += 1;
        }
        if read(at) != "[" || read(at + 1) != "doc" || !matches!(read(at + 2), "=" | "(") {
            return None;
        }
        let mut depth = 0_i32;
        while let Some(token) = tokens.get(at) {
            match (token.kind, read(at)) {
                (Kind::Open, _) => depth += 1,
                (Kind::Close, _) => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                return Some(at);
            }
        }
        None
    };
    let mut kept = Vec::with_capacity(tokens.len());
    let mut index = 0;
    while index < tokens.len() {
        if let Some(after) = is_doc(index) {
            index = after;
        } else {
            kept.push(tokens[index]);
            index += 1;
        }
    }
    kept
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

/// Operators of two and three characters, longest first.
const OPERATORS: [&str; 25] = [
    "<<=", ">>=", "...", "..=", "::", "->", "=>", "==", "!=", "<=", ">=", "&&", "||", "+=", "-=", "*=", "/=",
    "%=", "^=", "&=", "|=", "<<", ">>", "..", "<-",
];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn byte(&self, offset: usize) -> u8 {
        self.text.as_bytes().get(self.at + offset).copied().unwrap_or(0)
    }

    fn run(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.at = 3;
        }
        if self.text[self.at..].starts_with("#!") && !self.text[self.at + 2..].trim_start().starts_with('[') {
            self.skip_line();
        }
        while self.at < self.text.len() {
            match self.byte(0) {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'/' if self.byte(1) == b'/' => self.skip_line(),
                b'/' if self.byte(1) == b'*' => self.skip_block_comment(),
                _ => self.token(),
            }
        }
    }

    fn skip_line(&mut self) {
        self.at = self.text[self.at..].find('\n').map_or(self.text.len(), |end| self.at + end);
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.text.len() {
            match (self.byte(0), self.byte(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                (b'\n', _) => {
                    self.line += 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Lexes one token and pushes it.
    fn token(&mut self) {
        let (start, line) = (self.at, self.line);
        let kind = self.scan();
        debug_assert!(self.at > start, "the lexer always advances");
        if let Some(kind) = kind {
            self.tokens.push(Token {
                kind,
                start: index_u32(start),
                end: index_u32(self.at),
                line,
                partner: 0,
            });
        }
    }

    fn scan(&mut self) -> Option<Kind> {
        let first = self.text[self.at..].chars().next()?;
        match first {
            '(' | '[' | '{' => {
                self.at += 1;
                Some(Kind::Open)
            }
            ')' | ']' | '}' => {
                self.at += 1;
                Some(Kind::Close)
            }
            '"' => {
                self.quoted(b'"');
                Some(Kind::Text)
            }
            '\'' => Some(self.quote()),
            '0'..='9' => {
                self.number();
                Some(Kind::Number)
            }
            c if c == '_' || c.is_alphabetic() => Some(self.word()),
            c if c.is_whitespace() => {
                self.at += c.len_utf8();
                None
            }
            c => {
                let rest = &self.text.as_bytes()[self.at..];
                let operator = OPERATORS.iter().find(|operator| rest.starts_with(operator.as_bytes()));
                self.at += operator.map_or(c.len_utf8(), |operator| operator.len());
                Some(Kind::Punct)
            }
        }
    }

    /// A string or character from its opening quote to behind its closing one, escapes respected.
    fn quoted(&mut self, quote: u8) {
        self.at += 1;
        while self.at < self.text.len() {
            match self.byte(0) {
                b'\\' => {
                    if self.byte(1) == b'\n' {
                        self.line += 1;
                    }
                    self.at += 2;
                }
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                c if c == quote => {
                    self.at += 1;
                    break;
                }
                _ => self.at += 1,
            }
        }
        self.settle();
    }

    /// Puts the cursor on a character boundary inside the text (after an escape in a broken file it may not be).
    fn settle(&mut self) {
        self.at = self.at.min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    /// `'a` or `'x'`.
    fn quote(&mut self) -> Kind {
        let mut rest = self.text[self.at + 1..].chars();
        match (rest.next(), rest.next()) {
            (Some('\\'), _) | (Some(_), Some('\'')) => {
                self.quoted(b'\'');
                Kind::Number
            }
            (Some(c), _) if c == '_' || c.is_alphabetic() => {
                self.at += 1;
                self.identifier();
                Kind::Lifetime
            }
            _ => {
                self.at += 1;
                Kind::Punct
            }
        }
    }

    fn identifier(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
    }

    /// An identifier, or a literal with a prefix.
    fn word(&mut self) -> Kind {
        let start = self.at;
        self.identifier();
        let word = &self.text[start..self.at];
        let next = self.byte(0);
        match (word, next) {
            ("b" | "c", b'"') => {
                self.quoted(b'"');
                Kind::Text
            }
            ("b", b'\'') => {
                self.quoted(b'\'');
                Kind::Number
            }
            ("r" | "br" | "cr", b'"' | b'#') => {
                let hashes = self.text[self.at..].bytes().take_while(|&b| b == b'#').count();
                if self.byte(hashes) == b'"' {
                    self.raw(hashes);
                    return Kind::Text;
                }
                if word == "r" && hashes == 1 {
                    self.at += 1;
                    self.identifier();
                }
                Kind::Ident
            }
            _ => Kind::Ident,
        }
    }

    /// A raw string from its first `#` (or quote) to behind its last.
    fn raw(&mut self, hashes: usize) {
        let end = format!("\"{}", "#".repeat(hashes));
        let body = self.at + hashes + 1;
        let length = self.text[body..].find(&end).map_or(self.text.len() - body, |found| found + end.len());
        let newlines = self.text[body..body + length].bytes().filter(|&b| b == b'\n').count();
        self.line += index_u32(newlines);
        self.at = body + length;
    }

    fn number(&mut self) {
        let hexadecimal = self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X' | b'b' | b'o');
        self.identifier();
        // A fraction, unless the dot belongs to a range, a method call or a field.
        if !hexadecimal
            && self.byte(0) == b'.'
            && self.byte(1) != b'.'
            && !(self.byte(1) == b'_' || self.byte(1).is_ascii_alphabetic())
            && self.byte(1) < 0x80
        {
            self.at += 1;
            self.identifier();
        }
        // A signed exponent.
        let last = self.text.as_bytes()[self.at - 1];
        if !hexadecimal
            && matches!(last, b'e' | b'E')
            && matches!(self.byte(0), b'+' | b'-')
            && self.byte(1).is_ascii_digit()
        {
            self.at += 1;
            self.identifier();
        }
    }
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
