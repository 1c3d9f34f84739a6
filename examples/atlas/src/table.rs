//! The tables that people see, as text.
//!
//! Only layout: every number was made elsewhere.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::atlas::Atlas;
use crate::measure::Measures;

/// The measures of the `rows` largest packages and of all, then the largest files.
pub(crate) fn table(atlas: &Atlas, rows: usize) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let longest =
        atlas.packages.iter().take(rows).map(|package| package.name.len()).max().unwrap_or(0).max(24);
    writeln!(
        text,
        "{:<longest$} {:>6} {:>11} {:>8} {:>10} {:>8} {:>7} {:>11}",
        "package", "files", "tokens", "items", "functions", "public", "unsafe", "documented"
    )?;
    let rule = "-".repeat(longest + 68);
    writeln!(text, "{rule}")?;
    for package in atlas.packages.iter().take(rows) {
        row(&mut text, longest, &package.name, package.files, &package.sums)?;
    }
    let more = atlas.packages.len().saturating_sub(rows);
    if more > 0 {
        let mut rest = Measures::default();
        let mut files = 0;
        for package in &atlas.packages[rows..] {
            rest.add(&package.sums);
            files += package.files;
        }
        row(&mut text, longest, &format!("… and {more} more"), files, &rest)?;
    }
    writeln!(text, "{rule}")?;
    row(&mut text, longest, &format!("{} packages", atlas.packages.len()), atlas.files, &atlas.sums)?;

    writeln!(text)?;
    writeln!(
        text,
        "public: functions marked pub. unsafe: blocks (besides, {} unsafe functions, impls and traits).",
        number(atlas.sums.unsafe_items)
    )?;
    writeln!(text, "documented: share of the public items that have documentation.")?;
    if atlas.unparsed > 0 {
        writeln!(
            text,
            "{} files are not Rust that syn can parse; they are counted in no other column.",
            number(atlas.unparsed)
        )?;
    }

    writeln!(text, "\nlargest files, in tokens")?;
    for file in &atlas.largest {
        writeln!(text, "{:>11}  {}", number(file.tokens), file.path)?;
    }
    Ok(text)
}

fn row(to: &mut String, width: usize, name: &str, files: u64, sums: &Measures) -> fmt::Result {
    let documented = match sums.public {
        0 => "-".into(),
        public => format!("{} %", (sums.documented * 100 + public / 2) / public),
    };
    writeln!(
        to,
        "{name:<width$} {:>6} {:>11} {:>8} {:>10} {:>8} {:>7} {documented:>11}",
        number(files),
        number(sums.tokens),
        number(sums.items),
        number(sums.functions),
        number(sums.public_functions),
        number(sums.unsafe_blocks),
    )
}

/// The last line: what became of the calls.
pub(crate) fn outcome(stats: fleche::Stats, took: Duration) -> String {
    let mut text = format!(
        "{} ran · {} hit · {} cut off",
        number(stats.ran + stats.uncached),
        number(stats.hits),
        number(stats.cut_off)
    );
    if stats.uncached > 0 {
        let _ = write!(text, " · {} not kept", number(stats.uncached));
    }
    let _ = write!(text, " · {:.3} s", took.as_secs_f64());
    text
}

/// 1234567 as 1,234,567.
fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(n), text);
        }
    }
}
