//! `--watch`: after each save, one line that tells what ran again and how long it took.
//!
//! Which files there are is looked up anew, by names alone; which of them changed, the calls find out by themselves.

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use fleche::{Cache, Changes, Fate, Watch, Watcher};

use crate::sources::Package;
use crate::{Arguments, atlas};

/// A watch over the folders, and what happened in the cache since it was last asked.
pub(crate) struct Watching {
    _watcher: Watcher,
    changes: Receiver<Changes>,
    roots: Vec<PathBuf>,
    happened: Arc<Mutex<Vec<String>>>,
}

/// Begins to watch the folders that were named, or those of the packages.
pub(crate) fn begin(
    arguments: &Arguments,
    packages: &[Package],
    cache: &Cache,
) -> Result<Watching, Box<dyn Error>> {
    let roots = if arguments.folders.is_empty() {
        packages.iter().map(|package| package.root.clone()).collect()
    } else {
        arguments.folders.iter().map(|folder| folder.canonicalize()).collect::<io::Result<Vec<_>>>()?
    };
    let (send, changes) = channel();
    // As the sources are listed: hidden folders and cargo's build folders are not entered.
    let watcher = Watch::new(&roots)
        .skip(|path| is_hidden(path) || path.join("CACHEDIR.TAG").exists())
        .start(move |changes| drop(send.send(changes.clone())))?;
    let happened: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = happened.clone();
    cache.subscribe(move |event| {
        let name = event.function.rsplit("::").next().unwrap_or_default();
        let fate = match event.fate {
            Fate::Hit => return,
            Fate::CutOff => "was cut off",
            Fate::Ran { changed: true } => "ran",
            Fate::Ran { changed: false } => "ran, unchanged",
            _ => "failed",
        };
        log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name} {fate}"));
    });
    Ok(Watching { _watcher: watcher, changes, roots, happened })
}

impl Watching {
    /// Tells of each save, until the person ends it or nobody reads any more.
    pub(crate) fn follow(self, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
        let mut out = io::stdout();
        let plural = if self.roots.len() == 1 { "" } else { "s" };
        writeln!(out, "watching {} folder{plural}; Ctrl-C ends it", self.roots.len())?;
        while let Ok(changes) = self.changes.recv() {
            let mut saved: Vec<&Path> = changes.paths().filter(|path| is_source(path)).collect();
            // Editors write files under other names first.
            saved.sort_by_key(|path| path.extension().is_none());
            if saved.is_empty() && !changes.is_everything() {
                continue;
            }
            self.happened.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let started = Instant::now();
            let result = arguments.packages().and_then(|packages| atlas::atlas(&packages));
            let took = started.elapsed();
            let outcome = match result {
                Ok(_) => summary(&self.happened.lock().unwrap_or_else(PoisonError::into_inner)),
                // A file that went away between: its removal is the next change.
                Err(error) => error.to_string(),
            };
            let what = match saved[..] {
                [] => "much changed".to_owned(),
                [only] => self.short(only),
                [first, ..] => format!("{} and {} more", self.short(first), saved.len() - 1),
            };
            if writeln!(out, "{what}: {outcome} · {:.1} ms", took.as_secs_f64() * 1e3).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn short(&self, path: &Path) -> String {
        let below = self.roots.iter().find_map(|root| path.strip_prefix(root).ok());
        below.unwrap_or(path).display().to_string()
    }
}

/// Equal events once, with how many there were: `3 × parse ran, atlas ran`.
fn summary(happened: &[String]) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for event in happened {
        match counts.iter_mut().find(|(known, _)| known == event) {
            Some((_, count)) => *count += 1,
            None => counts.push((event, 1)),
        }
    }
    if counts.is_empty() {
        return "nothing ran".to_owned();
    }
    let parts: Vec<String> = counts
        .into_iter()
        .map(|(event, count)| if count == 1 { event.to_owned() } else { format!("{count} × {event}") })
        .collect();
    parts.join(", ")
}

/// A Rust file, or what may be a folder of some.
fn is_source(path: &Path) -> bool {
    path.extension().is_none_or(|extension| extension == "rs") && !is_hidden(path)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
