//! `fleche gc`, `verify` and `stats`: how large the cache is, making it smaller, and whether its bytes are what they were.

use std::time::Duration;

use fleche_store::GcOptions;

use super::{Result, Session, store};
use crate::arguments::{Gc, Verify};
use crate::console::{BAD, bytes, table};
use crate::diagnostic::Diagnostic;
use crate::host::Exit;

fn failed(error: impl std::fmt::Display) -> Vec<Diagnostic> {
    vec![Diagnostic::new(format!("the cache cannot be worked on: {error}"))]
}

/// Makes the cache smaller.
pub fn gc(session: &Session<'_>, arguments: &Gc) -> Result {
    let project = session.project()?;
    let (_cache, store) = store(&project, true)?;
    let options =
        GcOptions { max_bytes: arguments.max_size, max_age: arguments.max_age, dry_run: arguments.dry_run };
    let report = store.gc(&options).map_err(failed)?;
    let would = if arguments.dry_run { "would drop" } else { "dropped" };
    session.host.console.print(&format!(
        "{would} {} records and {} values, {}; {} records stay, {}\n",
        report.records_dropped,
        report.values_dropped,
        bytes(report.bytes_dropped),
        report.records_kept,
        bytes(report.bytes_kept)
    ));
    Ok(Exit::Done)
}

/// Checks every byte of the cache.
pub fn verify(session: &Session<'_>, arguments: &Verify) -> Result {
    let project = session.project()?;
    let (_cache, store) = store(&project, arguments.repair)?;
    let report = store.verify(arguments.repair).map_err(failed)?;
    let console = &session.host.console;
    for damage in &report.damage {
        let place = format!("{} at {}", damage.path.display(), damage.offset);
        console.print(&format!("{} {place}: {}\n", console.styled(BAD, "damaged"), damage.what));
    }
    let mut text = format!("{} entries are sound", report.sound);
    if !report.damage.is_empty() {
        text = format!("{text}, {} damaged", report.damage.len());
    }
    if report.repaired > 0 {
        text = format!("{text}, {} of these dropped", report.repaired);
    }
    console.print(&format!("{text}\n"));
    let good = report.damage.is_empty() || arguments.repair;
    Ok(if good { Exit::Done } else { Exit::Failed })
}

/// Tells how large the cache is.
pub fn stats(session: &Session<'_>) -> Result {
    let project = session.project()?;
    let (_cache, store) = store(&project, false)?;
    let stats = store.stats().map_err(failed)?;
    let place = store.dir().map_or_else(|| "memory".to_owned(), |directory| directory.display().to_string());
    let rows = [
        ("cache", place),
        ("records", stats.records.to_string()),
        ("values", format!("{}, {}", stats.values, bytes(stats.value_bytes))),
        ("notes", stats.notes.to_string()),
        ("on disk", bytes(stats.disk_bytes)),
        ("segments", stats.segments.to_string()),
        ("tables", stats.tables.to_string()),
    ];
    session.host.console.print(&table(&rows.map(|(name, value)| vec![name.to_owned(), value])));
    Ok(Exit::Done)
}

/// `20GiB`, `500 MB`, `1024`.
pub fn size(text: &str) -> std::result::Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("b", 1),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    scaled(text, UNITS).ok_or_else(|| "a size is a number with a unit, such as 20GiB or 500MB".to_owned())
}

/// `30d`, `12h`, `0s`.
pub fn age(text: &str) -> std::result::Result<Duration, String> {
    const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
    let seconds = scaled(text, UNITS);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "an age is a number with a unit: 30d, 12h, 90m, 10s or 2w".to_owned())
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..split].parse::<u64>().ok()?, text[split..].trim().to_lowercase());
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_have_units() {
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("5 mb"), Ok(5_000_000));
        assert_eq!(size("7"), Ok(7));
        assert!(size("many").is_err() && size("1.5GiB").is_err() && size("99999999999TiB").is_err());
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert!(age("30").is_err());
    }
}
