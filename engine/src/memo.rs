//! Memos: what this process already knows of calls, so that it need not ask the store again.
//!
//! This is the narrow module behind which a graph in process belongs. A memo is an accelerator and never the
//! truth: dropping any or all of them must change no result. Memos belong to one cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleche_store::{Bytes, CallId, Record};
use foldhash::{HashMap, HashMapExt};
use parking_lot::{Mutex, RwLock};

/// What is known of one call under one key.
#[derive(Debug)]
pub(crate) struct Memo {
    pub(crate) record: Arc<Record>,
    /// The stamp of the revision in which the trace was last found to hold; 0 for none.
    verified: AtomicU64,
    /// The stamp of the revision in which the call last ran; 0 for none.
    ran: AtomicU64,
    value: Mutex<Option<Bytes>>,
}

impl Memo {
    pub(crate) fn new(record: Arc<Record>) -> Self {
        Self { record, verified: AtomicU64::new(0), ran: AtomicU64::new(0), value: Mutex::new(None) }
    }

    pub(crate) fn holds_in(&self, stamp: u64) -> bool {
        self.verified.load(Ordering::Acquire) == stamp
    }

    pub(crate) fn set_verified(&self, stamp: u64) {
        self.verified.store(stamp, Ordering::Release);
    }

    pub(crate) fn ran_in(&self, stamp: u64) -> bool {
        self.ran.load(Ordering::Acquire) == stamp
    }

    pub(crate) fn set_ran(&self, stamp: u64) {
        self.ran.store(stamp, Ordering::Release);
    }

    pub(crate) fn value(&self) -> Option<Bytes> {
        self.value.lock().clone()
    }

    pub(crate) fn set_value(&self, bytes: Bytes) {
        *self.value.lock() = Some(bytes);
    }
}

const SHARDS: usize = 16;

/// The memos of one cache.
#[derive(Debug)]
pub(crate) struct Memos {
    shards: [RwLock<HashMap<CallId, Arc<Memo>>>; SHARDS],
}

impl Memos {
    pub(crate) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::new(HashMap::new())) }
    }

    fn shard(&self, call: &CallId) -> &RwLock<HashMap<CallId, Arc<Memo>>> {
        &self.shards[usize::from(call.digest().as_bytes()[0]) % SHARDS]
    }

    pub(crate) fn get(&self, call: &CallId) -> Option<Arc<Memo>> {
        self.shard(call).read().get(call).cloned()
    }

    pub(crate) fn insert(&self, call: CallId, memo: Arc<Memo>) {
        self.shard(&call).write().insert(call, memo);
    }
}
