//! Names in the texts of macro calls and attributes: `"{LIMIT}"`, `#[serde(default = "f")]`.

use std::ops::Range;

use crate::lexer::Tokens;
use crate::names::Name;
use crate::scan::{Reading, Scan};

impl Scan<'_> {
    /// `{name}` in the texts of a range.
    pub(crate) fn captures(&mut self, range: Range<usize>) {
        for at in range {
            if let Some(text) = self.lexed.tokens.string(at) {
                self.captured(&text);
            }
        }
    }

    fn captured(&mut self, text: &str) {
        for (at, _) in text.match_indices('{') {
            let word: String =
                text[at + 1..].chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect();
            self.named(&word);
        }
        // `{:width$}`
        for (at, _) in text.match_indices('$') {
            let reversed: String =
                text[..at].chars().rev().take_while(|c| *c == '_' || c.is_alphanumeric()).collect();
            let word: String = reversed.chars().rev().collect();
            self.named(&word);
        }
    }

    fn named(&mut self, word: &str) {
        if let Some(name) = self.world.names.find_raw(word)
            && !name.is_none()
            && !name.is_keyword()
        {
            self.mentioned.insert(name);
            self.refer(&[name], false, self.range.end);
        }
    }

    /// A string literal.
    pub(crate) fn text(&mut self, at: usize) {
        let reading = self.reading();
        if matches!(reading, Reading::Code { .. }) {
            return;
        }
        let Some(text) = self.lexed.tokens.string(at) else { return };
        self.captured(&text);
        // Prose names nothing; code and single names do.
        let code = [" + ", " - ", " * ", " / ", " % ", " | ", " & ", "::"];
        let prose = text.contains(' ')
            && !text.contains(['(', '<', ';', '='])
            && !code.iter().any(|part| text.contains(part));
        if prose || text.len() > 4096 {
            return;
        }
        let words = Tokens::lex(text);
        let mut at = 0;
        while at < words.len() {
            let mut path = Vec::new();
            while let Some(word) = words.ident(at) {
                path.extend(self.world.names.find(word));
                at += 1;
                if words.is(at, "::") && words.ident(at + 1).is_some() {
                    at += 1;
                } else {
                    break;
                }
            }
            let start = path.first().copied().unwrap_or(Name::NONE);
            if !start.is_none() && !start.is_keyword() {
                if path.len() == 1 {
                    self.mentioned.insert(start);
                }
                self.refer(&path, false, self.range.end);
                if reading != Reading::Attribute {
                    continue;
                }
                // A method given by name.
                if let [only] = path[..] {
                    self.found.methods.insert(only);
                }
            }
            at += 1;
        }
    }
}
