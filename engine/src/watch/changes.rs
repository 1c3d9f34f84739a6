//! What changed since the last batch, gathered until it is quiet.
//!
//! Memory stays bounded: beyond a number of paths a batch says that anything may have changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A batch of changes, as a watcher's callback gets it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    paths: BTreeSet<PathBuf>,
    everything: bool,
}

impl Changes {
    /// The paths that changed, in order, each once. Of a directory that appeared, what was found in it is listed
    /// too; of one that went away, only the directory.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }

    /// Whether anything below the roots may have changed: too much happened at once to tell what.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether the path, something below it, or a directory that it lies in is among the changes.
    pub fn concern(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        self.everything
            || path.ancestors().any(|above| self.paths.contains(above))
            || self.paths.range(path.to_path_buf()..).next().is_some_and(|next| next.starts_with(path))
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.everything
    }
}

/// Changes on their way to the callback.
#[derive(Debug)]
pub(crate) struct Pending {
    state: Mutex<State>,
    news: Condvar,
    most: usize,
}

#[derive(Debug)]
struct State {
    changes: Changes,
    first: Instant,
    last: Instant,
    stopped: bool,
}

impl Pending {
    /// At most `most` paths are kept by name.
    pub(crate) fn new(most: usize) -> Self {
        let now = Instant::now();
        let state = State { changes: Changes::default(), first: now, last: now, stopped: false };
        Self { state: Mutex::new(state), news: Condvar::new(), most }
    }

    /// Adds paths that changed.
    pub(crate) fn push(&self, paths: impl IntoIterator<Item = PathBuf>) {
        self.change(|changes| {
            if !changes.everything {
                changes.paths.extend(paths);
                if changes.paths.len() > self.most {
                    *changes = Changes { everything: true, ..Changes::default() };
                }
            }
        });
    }

    /// Says that anything may have changed.
    pub(crate) fn push_everything(&self) {
        self.change(|changes| *changes = Changes { everything: true, ..Changes::default() });
    }

    /// Adds what was given out and not dealt with.
    pub(crate) fn put_back(&self, changes: Changes) {
        if changes.everything {
            self.push_everything();
        } else {
            self.push(changes.paths);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Changes)) {
        let mut state = self.state.lock();
        let was_empty = state.changes.is_empty();
        change(&mut state.changes);
        if state.changes.is_empty() {
            return;
        }
        state.last = Instant::now();
        if was_empty {
            state.first = state.last;
        }
        self.news.notify_all();
    }

    /// Ends all waiting.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.news.notify_all();
    }

    /// Waits for changes, and then until nothing has come for `quiet`, but no longer than `longest`. `None` once
    /// stopped.
    pub(crate) fn wait(&self, quiet: Duration, longest: Duration) -> Option<Changes> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if state.changes.is_empty() {
                self.news.wait(&mut state);
                continue;
            }
            let due = (state.last + quiet).min(state.first + longest);
            if Instant::now() >= due {
                return Some(std::mem::take(&mut state.changes));
            }
            self.news.wait_until(&mut state, due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(paths: &[&str]) -> Changes {
        Changes { paths: paths.iter().map(PathBuf::from).collect(), everything: false }
    }

    #[test]
    fn changes_concern_what_lies_above_and_below_them() {
        let changes = changes(&["/r/a/x", "/r/b"]);
        for path in ["/r", "/r/a", "/r/a/x", "/r/b", "/r/b/y", "/r/a/x/y"] {
            assert!(changes.concern(path), "{path}");
        }
        for path in ["/q", "/r/a/y", "/r/bb", "/r/a-b"] {
            assert!(!changes.concern(path), "{path}");
        }
    }

    #[test]
    fn what_comes_shortly_after_is_told_with_it_and_what_does_not_end_is_not_waited_for() {
        let pending = Pending::new(10);
        let push = |path: &str| pending.push([PathBuf::from(path)]);
        std::thread::scope(|threads| {
            push("/a");
            threads.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                push("/b");
            });
            let (quiet, longest) = (Duration::from_millis(500), Duration::from_secs(3600));
            assert_eq!(pending.wait(quiet, longest).unwrap(), changes(&["/a", "/b"]));
            push("/c");
            let (quiet, longest) = (Duration::from_secs(3600), Duration::from_millis(20));
            assert_eq!(pending.wait(quiet, longest).unwrap(), changes(&["/c"]));
        });
    }

    #[test]
    fn more_than_is_kept_is_everything() {
        let pending = Pending::new(3);
        pending.push(["/a", "/b", "/c"].map(PathBuf::from));
        pending.push(["/a".into()]);
        let wait = || pending.wait(Duration::ZERO, Duration::ZERO).unwrap();
        assert_eq!(wait(), changes(&["/a", "/b", "/c"]));
        pending.push(["/a", "/b", "/c", "/d"].map(PathBuf::from));
        pending.push(["/e".into()]);
        let everything = wait();
        assert!(everything.is_everything() && everything.concern("/z"));
    }
}
