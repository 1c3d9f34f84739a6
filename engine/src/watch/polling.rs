//! Polling: for directories that the system does not tell about. Slower, and never relied on to spare a look.
//!
//! Whatever a look at names and stamps can tell is noticed. (That of `notify` compares times by the second, which misses
//! a file saved twice within one.)

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

use parking_lot::{Condvar, Mutex};

use super::Settings;
use super::changes::Pending;
use crate::marks;

/// Directories that are looked through time and again.
pub(crate) struct Polling {
    shared: Arc<Shared>,
    /// Started when there is something to poll.
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    places: Mutex<Places>,
    /// Told when it is to end.
    end: Condvar,
    settings: Settings,
    pending: Arc<Pending>,
}

#[derive(Default)]
struct Places {
    all: BTreeMap<PathBuf, Picture>,
    ended: bool,
}

/// What was found below a directory.
type Picture = BTreeMap<PathBuf, State>;

/// What tells one state of a path from another.
#[derive(PartialEq, Eq)]
struct State {
    is_dir: bool,
    size: u64,
    modified: Option<SystemTime>,
    identity: (u64, i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            is_dir: metadata.is_dir(),
            // That of a directory tells what its names do.
            size: if metadata.is_dir() { 0 } else { metadata.len() },
            modified: if metadata.is_dir() { None } else { metadata.modified().ok() },
            identity: identity(metadata),
        }
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    if metadata.is_dir() {
        return (metadata.ino(), 0, 0);
    }
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}

impl Polling {
    pub(crate) fn new(settings: Settings, pending: Arc<Pending>) -> Self {
        let shared = Shared { places: Mutex::default(), end: Condvar::new(), settings, pending };
        Self { shared: Arc::new(shared), thread: None }
    }

    /// Polls a directory with all below it.
    pub(crate) fn begin(&mut self, path: &Path) {
        let mut places = self.shared.places.lock();
        if places.all.keys().any(|place| path.starts_with(place)) {
            return;
        }
        places.all.insert(path.to_path_buf(), picture(path, &self.shared.settings));
        drop(places);
        if self.thread.is_none() {
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new().name("fleche poll".into()).spawn(move || shared.run());
            match thread {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => tracing::warn!(%error, "changes are not noticed below {}", path.display()),
            }
        }
    }

    /// Stops polling the path and what lies below it.
    pub(crate) fn end(&mut self, path: &Path) {
        self.shared.places.lock().all.retain(|place, _| !place.starts_with(path));
    }

    /// Stops polling.
    pub(crate) fn clear(&mut self) {
        self.shared.places.lock().all.clear();
    }

    pub(crate) fn places(&self) -> Vec<PathBuf> {
        self.shared.places.lock().all.keys().cloned().collect()
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.shared.places.lock().ended = true;
        self.shared.end.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut places = self.places.lock();
        while !places.ended {
            self.end.wait_for(&mut places, self.settings.poll_every);
            let all: Vec<PathBuf> = places.all.keys().cloned().collect();
            for place in all {
                // Looked through without the lock: it can take long.
                let now = parking_lot::MutexGuard::unlocked(&mut places, || picture(&place, &self.settings));
                let Some(before) = places.all.get_mut(&place) else { continue };
                let changed = differences(before, &now);
                *before = now;
                if !changed.is_empty() {
                    marks::mark(changed.iter().map(PathBuf::as_path));
                    self.pending.push(changed);
                }
            }
        }
    }
}

fn picture(place: &Path, settings: &Settings) -> Picture {
    let mut found = Picture::new();
    let mut stack = vec![place.to_path_buf()];
    while let Some(directory) = stack.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if !settings.is_inside(&path) {
                continue;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                stack.push(path.clone());
            }
            found.insert(path, State::of(&metadata));
        }
    }
    found
}

fn differences(before: &Picture, now: &Picture) -> Vec<PathBuf> {
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    let new = now.iter().filter(|(path, state)| before.get(*path) != Some(state)).map(|(path, _)| path);
    gone.chain(new).cloned().collect()
}

/// Marks what `notify` reports and passes it on.
#[cfg(not(target_os = "linux"))]
pub(crate) fn passing_on(
    settings: Settings,
    pending: Arc<Pending>,
) -> impl Fn(notify::Result<notify::Event>) {
    use notify::event::{AccessKind, AccessMode, EventKind};
    move |event| {
        let Ok(mut event) = event else { return pending.push_everything() };
        if event.need_rescan() {
            return pending.push_everything();
        }
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if matches!(event.kind, EventKind::Access(_)) && event.kind != written {
            return;
        }
        event.paths.retain(|path| settings.is_inside(path));
        marks::mark(event.paths.iter().map(PathBuf::as_path));
        pending.push(event.paths);
    }
}
