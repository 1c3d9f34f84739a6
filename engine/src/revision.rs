//! Revisions: one consistent picture of all inputs.
//!
//! A top-level call opens one and everything below it sees the same. An input is looked at once; what was seen
//! holds. A revision must never give two answers for one input: where a read returns other bytes than it
//! promised, it is broken, nothing more is recorded under it, and the top-level call starts over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fleche_store::Digest;
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;

use crate::input::{Files, Input};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// One picture of the inputs; see the module's documentation.
#[derive(Debug)]
pub(crate) struct Revision {
    stamp: AtomicU64,
    seen: Mutex<HashMap<Input, Option<Digest>>>,
    broken: AtomicBool,
}

impl Revision {
    pub(crate) fn new() -> Self {
        Self {
            stamp: AtomicU64::new(NEXT.fetch_add(1, Ordering::Relaxed)),
            seen: Mutex::new(HashMap::new()),
            broken: AtomicBool::new(false),
        }
    }

    /// Names this picture; memos verified under the stamp need no second look.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    /// Takes a new stamp: the inputs are what they were, but a call was rerun, so that what was verified must
    /// be verified again.
    pub(crate) fn renew(&self) {
        self.stamp.store(NEXT.fetch_add(1, Ordering::Relaxed), Ordering::Release);
    }

    /// The input's digest in this picture; `None` if it cannot be observed (a permission, say), which holds
    /// for no trace.
    pub(crate) fn observe(&self, input: &Input, files: &Files) -> Option<Digest> {
        if let Some(seen) = self.seen.lock().get(input) {
            return *seen;
        }
        // Looked at outside the lock: hashing a large file must not hold up the others. The first to come
        // back wins, so that there is one answer.
        let now = input.observe(files);
        *self.seen.lock().entry(input.clone()).or_insert(now)
    }

    /// Notes what a tracked read returned. False, and the revision is broken, if that is not what this picture
    /// already has.
    pub(crate) fn settle(&self, input: &Input, digest: Digest) -> bool {
        let mut seen = self.seen.lock();
        match seen.get(input) {
            Some(before) if *before == Some(digest) => true,
            Some(_) => {
                self.broken.store(true, Ordering::Release);
                false
            }
            None => {
                seen.insert(input.clone(), Some(digest));
                true
            }
        }
    }

    /// Fixes an input's digest before anything looked at it: what a plan says the file will hold.
    pub(crate) fn assume(&self, input: Input, digest: Option<Digest>) {
        self.seen.lock().insert(input, digest);
    }

    /// Whether the input has been looked at, or assumed.
    pub(crate) fn has(&self, input: &Input) -> bool {
        self.seen.lock().contains_key(input)
    }

    /// True once a read disagreed with this picture.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_looked_at_once_and_a_disagreeing_read_breaks_the_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let files = Files::new(dir.path().to_path_buf(), None);
        let input = files.file(&path);
        let revision = Revision::new();
        let first = revision.observe(&input, &files);
        assert_eq!(first, Some(Digest::of(b"one")));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(revision.observe(&input, &files), first);
        assert!(revision.settle(&input, Digest::of(b"one")));
        assert!(!revision.is_broken());
        assert!(!revision.settle(&input, Digest::of(b"two")));
        assert!(revision.is_broken());
        assert_eq!(Revision::new().observe(&input, &files), Some(Digest::of(b"two")));
    }
}
