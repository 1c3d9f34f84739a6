//! Values put into a text for a POSIX shell, quoted for the place where they land: bare, in '…', in "…", in a `$(…)` inside
//! those, or in a here-document. A value must arrive at the command as it is, whatever is in it, and never be run.

use std::collections::VecDeque;

use super::vars::{Piece, Undeclared, pieces};

/// The command text with every variable replaced by its words, quoted for where they stand.
pub fn expand_command(text: &str, words: impl Fn(&str) -> Option<Vec<String>>) -> Result<String, Undeclared> {
    let mut out = String::with_capacity(text.len());
    let mut place = Place::default();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => {
                place.read(text);
                out.push_str(text);
            }
            Piece::Variable(name) => {
                let words = words(name).ok_or_else(|| Undeclared { name: name.to_owned() })?;
                out.push_str(&place.quote(&words));
                place.value_stood_here();
            }
        }
    }
    Ok(out)
}

/// One word as a POSIX shell reads it back.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,:=@%+^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What encloses the point that reading has reached, innermost last.
#[derive(Debug)]
enum Within {
    /// `(…)` and `$(…)`: the text in it is bare.
    Parenthesis,
    Backquote,
    Single,
    Double,
    Comment,
    /// The word after `<<`.
    Delimiter(Here),
    /// Lines up to the delimiter of the first waiting here-document; the line read so far.
    Body(String),
}

/// A here-document: `<<WORD`, `<<-WORD`, `<<'WORD'`.
#[derive(Debug, Default)]
struct Here {
    delimiter: String,
    indented: bool,
    quoted: bool,
}

#[derive(Default)]
struct Place {
    within: Vec<Within>,
    waiting: VecDeque<Here>,
    escaped: bool,
    /// The last three characters, oldest first.
    before: [char; 3],
}

impl Place {
    fn read(&mut self, text: &str) {
        for c in text.chars() {
            self.step(c);
            self.before = [self.before[1], self.before[2], c];
        }
    }

    /// A value has just been put in: what follows continues its word.
    fn value_stood_here(&mut self) {
        self.read("x");
    }

    fn step(&mut self, c: char) {
        if let Some(Within::Delimiter(here)) = self.within.last_mut() {
            match c {
                '-' if self.before[2] == '<' => here.indented = true,
                ' ' | '\t' if here.delimiter.is_empty() => {}
                '\'' | '"' | '\\' => here.quoted = true,
                c if c.is_alphanumeric() || "_-.+!%".contains(c) => here.delimiter.push(c),
                _ => {
                    if let Some(Within::Delimiter(here)) = self.within.pop() {
                        self.waiting.push_back(here);
                    }
                    self.step(c);
                }
            }
            return;
        }
        if let Some(Within::Body(line)) = self.within.last_mut() {
            if c != '\n' {
                line.push(c);
                return;
            }
            let line = std::mem::take(line);
            let ended = self.waiting.front().is_some_and(|here| {
                here.delimiter == if here.indented { line.trim_start_matches('\t') } else { &line }
            });
            if ended {
                self.waiting.pop_front();
            }
            if self.waiting.is_empty() {
                self.within.pop();
            }
            return;
        }
        if std::mem::take(&mut self.escaped) {
            return;
        }
        if self.opens_here(c) {
            self.within.push(Within::Delimiter(Here::default()));
            self.step(c);
            return;
        }
        match (self.within.last(), c) {
            (Some(Within::Single), '\'')
            | (Some(Within::Double), '"')
            | (Some(Within::Parenthesis), ')')
            | (Some(Within::Backquote), '`') => {
                self.within.pop();
            }
            (Some(Within::Comment), '\n') => {
                self.within.pop();
                self.step(c);
            }
            (Some(Within::Single | Within::Comment), _) => {}
            (_, '\\') => self.escaped = true,
            (_, '`') => self.within.push(Within::Backquote),
            (Some(Within::Double), '(') if self.before[2] == '$' => self.within.push(Within::Parenthesis),
            (Some(Within::Double), _) => {}
            (_, '\'') => self.within.push(Within::Single),
            (_, '"') => self.within.push(Within::Double),
            (_, '(') => self.within.push(Within::Parenthesis),
            (_, '#') if "\0 \t\n;&|()".contains(self.before[2]) => self.within.push(Within::Comment),
            (_, '\n') if !self.waiting.is_empty() => self.within.push(Within::Body(String::new())),
            _ => {}
        }
    }

    /// Whether `<<` stood just before `c` and begins a here-document: it is neither part of `<<<` nor quoted nor a shift in
    /// `$((1 << 2))`.
    fn opens_here(&self, c: char) -> bool {
        let arithmetic = self.within.len() >= 2
            && self.within.iter().rev().take(2).all(|within| matches!(within, Within::Parenthesis));
        let quoted = matches!(self.within.last(), Some(Within::Single | Within::Double | Within::Comment));
        self.before[1..] == ['<', '<']
            && self.before[0] != '<'
            && !['<', '='].contains(&c)
            && !arithmetic
            && !quoted
    }

    fn quote(&self, words: &[String]) -> String {
        let join = |words: &[String]| words.join(" ");
        match self.within.last() {
            Some(Within::Single) => join(words).replace('\'', r"'\''"),
            Some(Within::Double) => escape(&join(words), "\\\"$`"),
            Some(Within::Comment) => join(words).replace('\n', " "),
            Some(Within::Body(_)) if self.waiting.front().is_some_and(|here| here.quoted) => join(words),
            Some(Within::Body(_)) => escape(&join(words), "\\$`"),
            _ => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
        }
    }
}

fn escape(text: &str, special: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The commands' words as bash sees them after the value has been put in.
    fn through_bash(text: &str, value: &str) -> String {
        let command = expand_command(text, |_| Some(vec![value.to_owned()])).expect("is declared");
        let output =
            Command::new("bash").args(["-euo", "pipefail", "-c", &command]).output().expect("bash runs");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("is UTF-8")
    }

    #[test]
    fn a_value_arrives_whole_wherever_it_stands() {
        for value in
            ["plain", "two words", "it's", "\"", "$(echo no)", "`echo no`", "a\\b", "* ~ # ; &", "$HOME"]
        {
            for text in [
                "printf %s ${x}",
                "printf %s \"${x}\"",
                "printf %s '${x}'",
                "printf %s \"$(printf %s ${x})\"",
                "# don't\nprintf %s ${x}",
                "echo \"a # b\" >/dev/null; printf %s ${x}",
                "true \\' ; printf %s ${x}",
                "x=$((1 << 2)); printf %s ${x}",
                "( : ); printf %s \"${x}\"",
            ] {
                assert_eq!(through_bash(text, value), value, "{text}");
            }
            for text in [
                "cat <<EOF\n${x}\nEOF\n",
                "cat <<'EOF'\n${x}\nEOF\n",
                "cat <<-EOF\n\t${x}\n\tEOF\n",
                "cat <<A >/dev/null; cat <<B\nit's\nA\n${x}\nB\n",
                "cat <<A >/dev/null\nit's\nA\nprintf '%s\\n' ${x}",
                "cat <<< ${x}",
            ] {
                assert_eq!(through_bash(text, value), format!("{value}\n"), "{text}");
            }
        }
    }

    #[test]
    fn many_words_are_many_arguments_only_where_bare() {
        let words = |_: &str| Some(vec!["a b".to_owned(), "c".to_owned()]);
        assert_eq!(expand_command("f ${inputs}", words).unwrap(), "f 'a b' c");
        assert_eq!(expand_command("f \"${inputs}\"", words).unwrap(), "f \"a b c\"");
    }
}
