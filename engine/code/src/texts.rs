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
        let writes_code = self.world.crates[self.world.modules[self.module].krate].writes_code;
        if writes_code && at >= 2 && self.is(at - 1, "(") {
            // `env::var("X")`, which the macro reads while it is expanded.
            let reads = matches!(self.lexed.tokens.text(at - 2), "var" | "var_os");
            self.found.environment.extend(self.lexed.tokens.string(at).filter(|_| reads));
        }
        if matches!(reading, Reading::Code { .. }) && !writes_code {
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
        if writes_code {
            for at in 0..words.len() {
                let name = words.ident(at).and_then(|word| self.world.names.find_raw(word));
                if let Some(name) = name.filter(|name| !name.is_keyword()) {
                    self.anything(name);
                }
            }
            return;
        }
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
