//! What each task read when it last began, so that a change on disk can be told from a file that was only touched.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fleche_store::Digest;

use crate::plan::TaskId;

/// By path: the content, and whether it may be executed.
type Seen = BTreeMap<String, (Digest, bool)>;

/// By task, what it read.
#[derive(Debug, Default)]
pub struct Observed(Mutex<HashMap<TaskId, Seen>>);

impl Observed {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task begins to read: of what it reads until [`Observed::note`] nothing is known.
    pub fn begin(&self, task: TaskId) {
        self.lock().insert(task, Seen::new());
    }

    /// Whether the task has begun at all; one that was a hit has not.
    pub fn has_begun(&self, task: TaskId) -> bool {
        self.lock().contains_key(&task)
    }

    /// The task has read these.
    pub fn note<'a>(&self, task: TaskId, seen: impl Iterator<Item = (&'a String, Digest, bool)>) {
        let seen = seen.map(|(path, digest, executable)| (path.clone(), (digest, executable))).collect();
        self.lock().insert(task, seen);
    }

    /// Whether the task is known to have read from `path` just what is at `place` now.
    pub fn is_as_read(&self, task: TaskId, path: &str, place: &Path) -> bool {
        let read = self.lock().get(&task).and_then(|seen| seen.get(path)).copied();
        read.is_some_and(|read| fleche::dynamic::entry(place).ok().flatten() == Some(read))
    }
}
