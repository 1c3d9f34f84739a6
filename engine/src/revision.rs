//! Revisions: one consistent picture of all inputs.
//!
//! A top-level call opens one and everything below it sees the same. An input is looked at once; what was seen
//! holds. A revision must never give two answers for one input: where a read returns other bytes than it
//! promised, it is broken, nothing more is recorded under it, and the top-level call starts over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fleche_store::{CallId, CallKey, Digest, Stored};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use parking_lot::Mutex;

use crate::files::Files;
use crate::graph;
use crate::input::InputId;
use crate::named::{self, Pin};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// One picture of the inputs; see the module's documentation.
#[derive(Debug)]
pub(crate) struct Revision {
    stamp: u64,
    /// The last change that any graph knew of when this picture was begun.
    base: u64,
    seen: Mutex<HashMap<InputId, Option<Digest>>>,
    broken: AtomicBool,
    /// It holds what a plan assumes, not what was seen.
    hypothetical: bool,
    /// It sees the program's own inputs as they were when it was begun.
    pin: Option<Pin>,
    /// What was verified or run under this picture after a graph had left it.
    apart: Mutex<HashMap<(usize, CallId), Apart>>,
    /// Calls that could not be brought up to date under this picture: to try again would only run them again.
    failed: Mutex<HashSet<(usize, CallId)>>,
}

/// A call's answer under a picture that the graph has left.
#[derive(Debug, Clone)]
pub(crate) struct Apart {
    pub(crate) key: CallKey,
    pub(crate) result: Stored,
    pub(crate) ran: bool,
}

impl Revision {
    pub(crate) fn new() -> Self {
        Self {
            stamp: NEXT.fetch_add(1, Ordering::Relaxed),
            base: graph::last_change(),
            seen: Mutex::new(HashMap::new()),
            broken: AtomicBool::new(false),
            hypothetical: false,
            pin: None,
            apart: Mutex::new(HashMap::new()),
            failed: Mutex::new(HashSet::new()),
        }
    }

    /// A picture that no [`Input`](crate::Input) can spoil: it sees each as it is now, however often it is set meanwhile.
    pub(crate) fn pinned() -> Self {
        let (pin, mut revision) = Pin::new(Self::new);
        revision.pin = Some(pin);
        revision
    }

    /// Whether it sees inputs that the program sets as they were when it was begun.
    pub(crate) fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// A picture of what a plan assumes.
    pub(crate) fn hypothetical() -> Self {
        Self { hypothetical: true, ..Self::new() }
    }

    /// Whether it holds what a plan assumes: no graph may take it for the world.
    pub(crate) fn is_hypothetical(&self) -> bool {
        self.hypothetical
    }

    /// What was found apart from the graph for a call in the cache of that number.
    pub(crate) fn apart(&self, cache: usize, call: CallId) -> Option<Apart> {
        self.apart.lock().get(&(cache, call)).cloned()
    }

    /// Notes that a call in the cache of that number failed.
    pub(crate) fn set_failed(&self, cache: usize, call: CallId) {
        self.failed.lock().insert((cache, call));
    }

    /// Whether the call failed.
    pub(crate) fn has_failed(&self, cache: usize, call: CallId) -> bool {
        self.failed.lock().contains(&(cache, call))
    }

    /// Notes what was found apart from the graph.
    pub(crate) fn set_apart(&self, cache: usize, call: CallId, apart: Apart) {
        self.apart.lock().insert((cache, call), apart);
    }

    /// Names this picture.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The last change that any graph knew of when this picture was begun.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The input's digest in this picture; `None` if it cannot be observed (a permission, say), which holds
    /// for no trace.
    pub(crate) fn observe(&self, input: InputId, files: &Files) -> Option<Digest> {
        if let Some(seen) = self.seen.lock().get(&input) {
            return *seen;
        }
        // Looked at outside the lock: hashing a large file must not hold up the others. The first to come
        // back wins, so that there is one answer.
        let now = if input.is_told() { named::digest_in(input, self) } else { files.observe(input) };
        *self.seen.lock().entry(input).or_insert(now)
    }

    /// Notes what a tracked read returned. False, and the revision is broken, if that is not what this picture
    /// already has.
    pub(crate) fn settle(&self, input: InputId, digest: Digest) -> bool {
        let mut seen = self.seen.lock();
        match seen.get(&input) {
            Some(before) if *before == Some(digest) => true,
            Some(_) => {
                self.broken.store(true, Ordering::Release);
                false
            }
            None => {
                seen.insert(input, Some(digest));
                true
            }
        }
    }

    /// Fixes an input's digest before anything looked at it: what a plan says the file will hold.
    pub(crate) fn assume(&self, input: InputId, digest: Option<Digest>) {
        self.seen.lock().insert(input, digest);
    }

    /// Whether the input has been looked at, or assumed.
    pub(crate) fn has(&self, input: InputId) -> bool {
        self.seen.lock().contains_key(&input)
    }

    /// Whether something else was seen of the input; `None` if it has not been looked at.
    pub(crate) fn differs(&self, input: InputId, now: impl FnOnce() -> Option<Digest>) -> Option<bool> {
        let seen = self.seen.lock().get(&input).copied()?;
        Some(now() != seen)
    }

    /// Something that the running call has met does not fit this picture.
    pub(crate) fn spoil(&self) {
        self.broken.store(true, Ordering::Release);
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
        let input = crate::input::file(&path);
        let revision = Revision::new();
        let first = revision.observe(input, &files);
        assert_eq!(first, Some(Digest::of(b"one")));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(revision.observe(input, &files), first);
        assert!(revision.settle(input, Digest::of(b"one")));
        assert!(!revision.is_broken());
        assert!(!revision.settle(input, Digest::of(b"two")));
        assert!(revision.is_broken());
        assert_eq!(Revision::new().observe(input, &files), Some(Digest::of(b"two")));
    }
}
