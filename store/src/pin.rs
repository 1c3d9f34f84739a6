//! Pins: values that neither gc nor an eviction of this process takes while somebody holds on to them.
//!
//! Nothing of it is written down: other processes do not see pins, and what they drop is a miss that heals.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::MutexGuard;

use crate::digest::{Digest, TypeFingerprint, ValueDigest};
use crate::frame::Kind;
use crate::segment::Segment;
use crate::sync::Mutex;

type Entry = (ValueDigest, TypeFingerprint);

/// By device and inode of the store's directory.
type All = HashMap<(u64, u64), Weak<Pins>>;

/// Keeps a value in its store, see [`crate::Store::pin`].
#[must_use = "the value is pinned until this is dropped"]
pub struct Pin {
    pins: Arc<Pins>,
    entry: Entry,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut counts = self.pins.counts.lock();
        if let Some(count) = counts.get_mut(&self.entry) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.entry);
            }
        }
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pin").field(&self.entry.0).finish()
    }
}

/// What is pinned in one store, by how many.
#[derive(Default)]
pub(crate) struct Pins {
    counts: Mutex<HashMap<Entry, u64>>,
}

/// Nothing is pinned or let go while this is held.
pub(crate) struct Held<'a>(MutexGuard<'a, HashMap<Entry, u64>>);

impl Pins {
    /// The pins of the store in a directory: the same for all of this process's handles.
    pub(crate) fn of(dir: &Path) -> Arc<Self> {
        static ALL: LazyLock<Mutex<All>> = LazyLock::new(Mutex::default);
        let Ok(meta) = fs::metadata(dir) else { return Arc::default() };
        let mut all = ALL.lock();
        all.retain(|_, pins| pins.strong_count() > 0);
        let known = all.get(&crate::os::identity(&meta)).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let pins = Arc::default();
            all.insert(crate::os::identity(&meta), Arc::downgrade(&pins));
            pins
        })
    }

    pub(crate) fn pin(self: &Arc<Self>, entry: Entry) -> Pin {
        *self.counts.lock().entry(entry).or_default() += 1;
        Pin { pins: self.clone(), entry }
    }

    pub(crate) fn hold(&self) -> Held<'_> {
        Held(self.counts.lock())
    }

    /// The digests of what is pinned.
    pub(crate) fn digests(&self) -> Vec<Digest> {
        self.counts.lock().keys().map(|(digest, _)| digest.digest()).collect()
    }
}

impl Held<'_> {
    pub(crate) fn keep(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> bool {
        self.0.contains_key(&(*digest, fingerprint))
    }

    /// Is the frame at this place one of a pinned value?
    pub(crate) fn keep_frame(&self, segment: &Segment, offset: u64) -> bool {
        !self.0.is_empty()
            && segment.frame(offset).is_some_and(|header| {
                matches!(header.kind, Kind::Value | Kind::Large)
                    && self.keep(&ValueDigest::new(header.key), header.fingerprint)
            })
    }
}
