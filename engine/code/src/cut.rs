//! Cuts source text into tokens; comments, documentation and white space vanish here.
//!
//! It never fails: what no Rust lexer would accept becomes single-character punctuation, so that a file with an error in
//! it still has a digest (the compiler reports the error).

use crate::lexer::{Kind, Token};
use crate::names::STEP;

// What a byte begins.
const PUNCT: u8 = 0;
const SPACE: u8 = 1;
const LINE: u8 = 2;
const WORD: u8 = 3;
const DIGIT: u8 = 4;
const TEXT: u8 = 5;
const QUOTE: u8 = 6;
const OPEN: u8 = 7;
const CLOSE: u8 = 8;
const SLASH: u8 = 9;
/// A part of a character that is not ASCII.
const HIGH: u8 = 10;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut all = [PUNCT; 256];
    let mut at = 0;
    while at < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "there are 256 bytes")]
        let byte = at as u8;
        all[at] = match byte {
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => SPACE,
            b'\n' => LINE,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => WORD,
            b'0'..=b'9' => DIGIT,
            b'"' => TEXT,
            b'\'' => QUOTE,
            b'(' | b'[' | b'{' => OPEN,
            b')' | b']' | b'}' => CLOSE,
            b'/' => SLASH,
            0x80.. => HIGH,
            _ => PUNCT,
        };
        at += 1;
    }
    all
}

/// All tokens of a text, delimiters with their partners.
pub(crate) fn cut(text: &str) -> Vec<Token> {
    let mut cutter = Cutter {
        text,
        bytes: text.as_bytes(),
        at: 0,
        line: 1,
        tokens: Vec::with_capacity(text.len() / 8),
        open: Vec::new(),
    };
    cutter.run();
    cutter.tokens
}

struct Cutter<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    tokens: Vec<Token>,
    /// The delimiters that are open.
    open: Vec<u32>,
}

impl Cutter<'_> {
    fn byte(&self, offset: usize) -> u8 {
        let at = self.at + offset;
        if at < self.bytes.len() { self.bytes[at] } else { 0 }
    }

    fn run(&mut self) {
        if self.text.starts_with('\u{feff}') {
            self.at = 3;
        }
        if self.text[self.at..].starts_with("#!") && !self.text[self.at + 2..].trim_start().starts_with('[') {
            self.skip_line();
        }
        let bytes = self.bytes;
        while self.at < bytes.len() {
            match CLASSES[bytes[self.at] as usize] {
                SPACE => self.at += 1,
                LINE => {
                    self.line += 1;
                    self.at += 1;
                }
                WORD => self.word(),
                OPEN => {
                    self.open.push(index_u32(self.tokens.len()));
                    self.at += 1;
                    self.push(Kind::Open, self.at - 1, self.line, 0);
                }
                CLOSE => self.close(),
                SLASH if self.byte(1) == b'/' => self.skip_line(),
                SLASH if self.byte(1) == b'*' => self.skip_block_comment(),
                DIGIT => {
                    let start = self.at;
                    self.number();
                    self.push(Kind::Number, start, self.line, 0);
                }
                TEXT => {
                    let (start, line) = (self.at, self.line);
                    self.quoted(b'"');
                    self.push(Kind::Text, start, line, 0);
                }
                QUOTE => self.quote(),
                HIGH => self.high(),
                _ => self.punctuation(),
            }
        }
    }

    /// Adds a token that ends at the cursor.
    fn push(&mut self, kind: Kind, start: usize, line: u32, hash: u32) {
        let partner = index_u32(self.tokens.len());
        self.tokens.push(Token {
            kind,
            start: index_u32(start),
            end: index_u32(self.at),
            line,
            partner,
            hash,
        });
    }

    fn skip_line(&mut self) {
        self.at = self.text[self.at..].find('\n').map_or(self.text.len(), |end| self.at + end);
    }

    fn skip_block_comment(&mut self) {
        let bytes = self.bytes;
        let (mut at, mut depth) = (self.at, 0_usize);
        while at < bytes.len() {
            let next = if at + 1 < bytes.len() { bytes[at + 1] } else { 0 };
            match bytes[at] {
                b'/' if next == b'*' => {
                    depth += 1;
                    at += 2;
                }
                b'*' if next == b'/' => {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        break;
                    }
                }
                b'\n' => {
                    self.line += 1;
                    at += 1;
                }
                _ => at += 1,
            }
        }
        self.at = at;
    }

    /// A closing delimiter, which finds its partner; a stray one is its own. `#[doc …]` and `#![doc …]` vanish at their ends:
    /// documentation comments are another spelling of them.
    fn close(&mut self) {
        let start = self.at;
        self.at += 1;
        self.push(Kind::Close, start, self.line, 0);
        let wanted = match self.bytes[start] {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        let Some(&open) = self.open.last() else { return };
        let (open, close) = (open as usize, self.tokens.len() - 1);
        if self.bytes[self.tokens[open].start as usize] != wanted {
            return;
        }
        self.open.pop();
        self.tokens[open].partner = index_u32(close);
        self.tokens[close].partner = index_u32(open);
        if wanted == b'[' && close > open + 2 && self.reads(open + 1, b"doc") {
            let value = self.reads(open + 2, b"=") || self.reads(open + 2, b"(");
            let bang = open > 1 && self.reads(open - 1, b"!");
            let hash = if bang { open - 2 } else { open.wrapping_sub(1) };
            if value && open > 0 && self.reads(hash, b"#") {
                self.tokens.truncate(hash);
            }
        }
    }

    fn reads(&self, token: usize, text: &[u8]) -> bool {
        let Token { start, end, .. } = self.tokens[token];
        self.bytes[start as usize..end as usize] == *text
    }

    /// A character that is not ASCII.
    fn high(&mut self) {
        let start = self.at;
        let Some(c) = self.text[start..].chars().next() else { return };
        if is_space(c) {
            self.at += c.len_utf8();
        } else {
            self.word();
        }
    }

    /// An operator as long as Rust makes it.
    fn punctuation(&mut self) {
        let start = self.at;
        let first = self.byte(0);
        let second = self.byte(1);
        let two = match second {
            b':' | b'&' | b'|' | b'.' => first == second,
            b'>' => matches!(first, b'-' | b'=' | b'>'),
            b'<' | b'-' => first == b'<',
            b'=' => {
                matches!(
                    first,
                    b'=' | b'!' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'&' | b'|'
                )
            }
            _ => false,
        };
        let length = if two {
            match (first, second, self.byte(2)) {
                (b'<', b'<', b'=') | (b'>', b'>', b'=') | (b'.', b'.', b'.' | b'=') => 3,
                _ => 2,
            }
        } else {
            1
        };
        self.at = start + length;
        self.push(Kind::Punct, start, self.line, 0);
    }

    /// A string or character from its opening quote to behind its closing one, escapes respected.
    fn quoted(&mut self, quote: u8) {
        let bytes = self.bytes;
        let mut at = self.at + 1;
        while at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            if byte == quote {
                break;
            }
            if byte == b'\\' {
                if at < bytes.len() && bytes[at] == b'\n' {
                    self.line += 1;
                }
                at += 1;
            } else if byte == b'\n' {
                self.line += 1;
            }
        }
        self.at = at;
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
    fn quote(&mut self) {
        let (start, line) = (self.at, self.line);
        let mut rest = self.text[start + 1..].chars();
        let kind = match (rest.next(), rest.next()) {
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
        };
        self.push(kind, start, line, 0);
    }

    /// Goes behind an identifier, or the rest of one; its hash.
    fn identifier(&mut self) -> u32 {
        let bytes = self.bytes;
        let (mut at, mut hash) = (self.at, 0_u64);
        while at < bytes.len() {
            let byte = bytes[at];
            match CLASSES[byte as usize] {
                WORD | DIGIT => {
                    // Without optimisation a checked product is quicker than a call of the wrapping one.
                    #[expect(clippy::cast_lossless, reason = "the other way is a call for each byte")]
                    let next = hash * STEP + byte as u64;
                    hash = next & 0xffff_ffff;
                    at += 1;
                }
                HIGH => {
                    let c = self.text[at..].chars().next();
                    let Some(c) = c.filter(|c| !is_space(*c)) else { break };
                    for &byte in &bytes[at..at + c.len_utf8()] {
                        hash = (hash * STEP + u64::from(byte)) & 0xffff_ffff;
                    }
                    at += c.len_utf8();
                }
                _ => break,
            }
        }
        self.at = at;
        #[expect(clippy::cast_possible_truncation, reason = "it has so many bits")]
        let hash = hash as u32;
        hash
    }

    /// An identifier, or a literal with a prefix.
    fn word(&mut self) {
        let (start, line) = (self.at, self.line);
        let mut hash = self.identifier();
        let next = self.byte(0);
        let mut kind = Kind::Ident;
        if self.at - start <= 2 && matches!(next, b'"' | b'\'' | b'#') {
            match (&self.bytes[start..self.at], next) {
                (b"b" | b"c", b'"') => {
                    self.quoted(b'"');
                    kind = Kind::Text;
                }
                (b"b", b'\'') => {
                    self.quoted(b'\'');
                    kind = Kind::Number;
                }
                (b"r" | b"br" | b"cr", b'"' | b'#') => {
                    let hashes = self.bytes[self.at..].iter().take_while(|&&b| b == b'#').count();
                    if self.byte(hashes) == b'"' {
                        self.raw(hashes);
                        kind = Kind::Text;
                    } else if self.at == start + 1 && hashes == 1 {
                        self.at += 1;
                        hash = self.identifier();
                    }
                }
                _ => {}
            }
        }
        self.push(kind, start, line, hash);
    }

    /// A raw string from its first `#` (or quote) to behind its last.
    fn raw(&mut self, hashes: usize) {
        let end = format!("\"{}", "#".repeat(hashes));
        let body = self.at + hashes + 1;
        let length = self.text[body..].find(&end).map_or(self.text.len() - body, |found| found + end.len());
        self.line += index_u32(self.text[body..body + length].matches('\n').count());
        self.at = body + length;
    }

    fn number(&mut self) {
        let hexadecimal = self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X' | b'b' | b'o');
        self.identifier();
        // A fraction, unless the dot belongs to a range, a method call or a field.
        if !hexadecimal
            && self.byte(0) == b'.'
            && self.byte(1) != b'.'
            && !matches!(CLASSES[self.byte(1) as usize], WORD | HIGH)
        {
            self.at += 1;
            self.identifier();
        }
        // A signed exponent.
        let last = self.bytes[self.at - 1];
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

/// Whether a character that is not ASCII parts tokens. All others that stand between them belong to names, combining marks too.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200e}' | '\u{200f}')
}

fn index_u32(index: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the compiler takes no file of four gigabytes")]
    let index = index as u32;
    index
}
