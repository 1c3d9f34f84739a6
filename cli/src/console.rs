//! Where text for people goes. The only module that writes; what is a terminal and what takes colours is handed in.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use indicatif::ProgressBar;

use crate::diagnostic::Diagnostic;

/// One of the two streams.
pub struct Stream {
    /// Where it goes.
    pub to: Box<dyn Write + Send>,
    /// Whether colours are wanted.
    pub colour: bool,
    /// Whether a person looks at it directly.
    pub terminal: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// Both streams; whole texts are written at once, so that threads do not mix lines.
#[derive(Debug)]
pub struct Console {
    out: Mutex<Stream>,
    err: Mutex<Stream>,
    bar: Mutex<Option<ProgressBar>>,
}

impl Console {
    /// Over these streams.
    pub fn new(out: Stream, err: Stream) -> Console {
        Console { out: Mutex::new(out), err: Mutex::new(err), bar: Mutex::new(None) }
    }

    /// Whether a person looks at the output directly.
    pub fn is_terminal(&self) -> bool {
        locked(&self.out).terminal
    }

    /// Whether a progress line can be drawn, which goes to standard error.
    pub fn can_draw(&self) -> bool {
        locked(&self.err).terminal
    }

    /// While a progress line is drawn, texts appear above it.
    pub fn set_bar(&self, bar: Option<ProgressBar>) {
        *locked(&self.bar) = bar;
    }

    fn write(&self, to: &Mutex<Stream>, bytes: &[u8]) {
        let write = || {
            let to = &mut locked(to).to;
            // Whoever reads may have gone (`fleche list | head`): then there is nobody to tell.
            let _: io::Result<()> = to.write_all(bytes).and_then(|()| to.flush());
        };
        let bar = locked(&self.bar).clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Writes to standard output.
    pub fn print(&self, text: &str) {
        self.write(&self.out, text.as_bytes());
    }

    /// Writes bytes to standard output as they are.
    pub fn print_bytes(&self, bytes: &[u8]) {
        self.write(&self.out, bytes);
    }

    /// Writes a line to standard error.
    pub fn note(&self, text: &str) {
        self.write(&self.err, format!("{text}\n").as_bytes());
    }

    /// Writes what is wrong to standard error.
    pub fn errors(&self, errors: &[Diagnostic]) {
        let colour = locked(&self.err).colour;
        let texts: Vec<_> = errors.iter().map(|error| error.render(colour)).collect();
        self.write(&self.err, texts.join("\n").as_bytes());
    }

    /// The text in a style, where standard output takes styles.
    pub fn styled(&self, style: Style, text: &str) -> String {
        if locked(&self.out).colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Worth a look.
pub const NOTABLE: Style = AnsiColor::Yellow.on_default();
/// Beside the point.
pub const FAINT: Style = Style::new().dimmed();
/// A name.
pub const NAME: Style = Style::new().bold();

/// `0.3s`, `1m52s`, `2h03m`.
pub fn duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// `823 B`, `1.4 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut scaled = count;
    let mut rest = 0;
    while scaled >= 1024 && unit + 1 < UNITS.len() {
        rest = scaled % 1024;
        scaled /= 1024;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{scaled}.{} {}", rest * 10 / 1024, UNITS[unit]) }
}

/// Rows with their columns aligned and two spaces between, without blanks at the end of a line.
pub fn table(rows: &[Vec<String>]) -> String {
    let width = |text: &str| anstream::adapter::strip_str(text).to_string().chars().count();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|text| width(text)).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, text) in row.iter().enumerate() {
            line.push_str(text);
            if column + 1 < row.len() {
                line.push_str(&" ".repeat(widths[column] - width(text) + 2));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn durations_are_short() {
        let texts: Vec<_> =
            [0, 3_249, 59_999, 112_000, 7_380_000].map(|ms| duration(Duration::from_millis(ms))).into();
        assert_eq!(texts, ["0.0s", "3.2s", "60.0s", "1m52s", "2h03m"]);
    }

    #[test]
    fn sizes_are_short() {
        let texts = [0, 1023, 1024, 1_500_000, 5 << 40].map(bytes);
        assert_eq!(texts, ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "5.0 TiB"]);
    }

    #[test]
    fn tables_align_by_what_is_seen() {
        let rows = [vec![format!("{GOOD}ab{GOOD:#}"), "c".into()], vec!["abcd".into(), String::new()]];
        assert_eq!(table(&rows), format!("{GOOD}ab{GOOD:#}    c\nabcd\n"));
    }
}
