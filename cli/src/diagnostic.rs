//! What is wrong with a manifest or a command, said so that the reader can mend it: message, place, the line itself, advice.
//! It never prints; whoever owns the terminal does that with [`Diagnostic::render`].

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};

/// The text of a manifest, with the name under which people know it.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
}

/// Line and column of a place, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Source {
    /// Keeps `text` under the name `path`, which is only shown, never opened.
    pub fn new(path: &Path, text: String) -> Arc<Source> {
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Arc::new(Source { name: path.display().to_string(), text, line_starts })
    }

    /// The name under which it is shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset.
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let index = self.line_starts.partition_point(|start| *start <= offset) - 1;
        let column = self.text[self.line_starts[index]..offset].chars().count() + 1;
        Position { line: index + 1, column }
    }

    fn line(&self, number: usize) -> &str {
        let start = self.line_starts[number - 1];
        let end = self.line_starts.get(number).copied().unwrap_or(self.text.len());
        self.text[start..end].trim_end_matches(['\n', '\r'])
    }

    /// The span of `needle` inside `within` where it stands there as written, else `within` itself.
    ///
    /// A string's value differs from its spelling (quotes, escapes), so an offset into the value cannot be used as such.
    pub fn narrow(&self, within: &Range<usize>, needle: &str) -> Range<usize> {
        match self.text.get(within.clone()).and_then(|text| text.find(needle)) {
            Some(at) => within.start + at..within.start + at + needle.len(),
            None => within.clone(),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    message: String,
    place: Option<(Arc<Source>, Range<usize>)>,
    notes: Vec<String>,
    help: Option<String>,
}

impl Diagnostic {
    /// Something wrong that has no place in a file.
    pub fn new(message: impl Into<String>) -> Diagnostic {
        Diagnostic { message: message.into(), place: None, notes: Vec::new(), help: None }
    }

    /// Where it is wrong.
    #[must_use]
    pub fn at(mut self, source: &Arc<Source>, span: Range<usize>) -> Diagnostic {
        self.place = Some((Arc::clone(source), span));
        self
    }

    /// A further fact, such as the place of the first of two duplicates.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// What would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    /// The sentence alone.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// As people read it, with or without colours.
    pub fn render(&self, colour: bool) -> String {
        let style = |style: Style| if colour { style } else { Style::new() };
        let error = style(AnsiColor::Red.on_default().bold());
        let frame = style(AnsiColor::Blue.on_default().bold());
        let bold = style(Style::new().bold());
        let mut out = format!("{error}error{error:#}{bold}: {}{bold:#}\n", self.message);
        let mut margin = 2;
        if let Some((source, span)) = &self.place {
            let Position { line, column } = source.position(span.start);
            margin = line.to_string().len();
            let text = source.line(line);
            let end = source.position(span.end);
            let length = if end.line == line {
                end.column.saturating_sub(column)
            } else {
                text.chars().count() + 1 - column.min(text.chars().count() + 1)
            };
            let pad = " ".repeat(margin);
            let indent: String =
                text.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let marks = "^".repeat(length.max(1));
            let _ = writeln!(out, "{pad}{frame}-->{frame:#} {}:{line}:{column}", source.name());
            let _ = writeln!(out, "{pad} {frame}|{frame:#}");
            let _ = writeln!(out, "{frame}{line} |{frame:#} {text}");
            let _ = writeln!(out, "{pad} {frame}|{frame:#} {indent}{error}{marks}{error:#}");
        }
        let pad = " ".repeat(margin);
        for note in &self.notes {
            let _ = writeln!(out, "{pad} {frame}={frame:#} note: {note}");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{pad} {frame}={frame:#} help: {help}");
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// The candidate that `word` was most likely meant to be, if one is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= (word.len().max(candidate.len())).div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many insertions, removals, replacements or swaps of neighbours turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn shows_place_line_and_advice() {
        let source = Source::new(Path::new("fleche.toml"), "[task.a]\nrun = \"x\"\n\tinptus = []\n".into());
        let at = source.text().find("inptus").unwrap();
        let diagnostic = Diagnostic::new("unknown key `inptus`")
            .at(&source, at..at + 6)
            .note("keys are listed in docs/tasks.md")
            .help("did you mean `inputs`?");
        expect![[r"
            error: unknown key `inptus`
             --> fleche.toml:3:2
              |
            3 | 	inptus = []
              | 	^^^^^^
              = note: keys are listed in docs/tasks.md
              = help: did you mean `inputs`?
        "]]
        .assert_eq(&diagnostic.render(false));
    }

    #[test]
    fn columns_count_characters() {
        let source = Source::new(Path::new("f"), "é = 1\n".into());
        assert_eq!(source.position(3), Position { line: 1, column: 3 });
        assert_eq!(source.position(999), Position { line: 2, column: 1 });
    }

    #[test]
    fn the_nearest_word_must_be_near() {
        let keys = ["inputs", "outputs", "run", "env"];
        assert_eq!(nearest("input", keys), Some("inputs"));
        assert_eq!(nearest("rnu", keys), Some("run"));
        assert_eq!(nearest("frobnicate", keys), None);
    }
}
