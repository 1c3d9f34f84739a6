//! A double of the system for tests: real files, seen through faults.
//!
//! What it does is decided by the test alone; it must never make what it lets through look better than it is.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::{Op, Status};

type Hook = dyn Fn(Op, &Path) -> io::Result<()> + Send + Sync;

/// Stands in the door of [`super::System`].
#[derive(Default)]
pub(crate) struct Double {
    hook: Mutex<Option<Arc<Hook>>>,
    /// Stamps come in steps of so many nanoseconds; 0 leaves them alone.
    step: AtomicI64,
    /// The change time is that of the content, as on systems that have no other.
    without_change_time: AtomicBool,
    /// A read returns at most so many bytes; 0 for all.
    longest_read: AtomicUsize,
    /// Added to the clock, in nanoseconds.
    ahead: AtomicI64,
    largest: AtomicUsize,
    folds: AtomicBool,
}

impl fmt::Debug for Double {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Double")
    }
}

impl Double {
    /// Calls `hook` before each question; its error is the answer.
    pub(crate) fn before(&self, hook: impl Fn(Op, &Path) -> io::Result<()> + Send + Sync + 'static) {
        *self.hook.lock() = Some(Arc::new(hook));
    }

    pub(crate) fn undisturbed(&self) {
        *self.hook.lock() = None;
    }

    pub(crate) fn stamp_in_steps_of(&self, step: Duration) {
        self.step.store(i64::try_from(step.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn without_change_time(&self) {
        self.without_change_time.store(true, Ordering::Relaxed);
    }

    pub(crate) fn read_at_most(&self, bytes: usize) {
        self.longest_read.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn fold_case(&self) {
        self.folds.store(true, Ordering::Relaxed);
    }

    pub(crate) fn ask(&self, op: Op, path: &Path) -> io::Result<()> {
        let hook = self.hook.lock().clone();
        hook.map_or(Ok(()), |hook| hook(op, path))
    }

    pub(crate) fn coarsen(&self, mut status: Status) -> Status {
        let step = self.step.load(Ordering::Relaxed);
        if step > 0 {
            status.stamp.modified -= status.stamp.modified.rem_euclid(step);
            status.stamp.changed -= status.stamp.changed.rem_euclid(step);
        }
        if self.without_change_time.load(Ordering::Relaxed) {
            status.stamp.changed = status.stamp.modified;
        }
        status
    }

    pub(crate) fn largest_request(&self) -> usize {
        self.largest.load(Ordering::Relaxed)
    }

    pub(crate) fn shorten(&self, length: usize) -> usize {
        self.largest.fetch_max(length, Ordering::Relaxed);
        match self.longest_read.load(Ordering::Relaxed) {
            0 => length,
            longest => longest.min(length),
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_nanos(self.ahead.load(Ordering::Relaxed).unsigned_abs())
    }

    /// Time passes without anybody waiting.
    pub(crate) fn wait(&self, duration: Duration) {
        self.ahead.fetch_add(i64::try_from(duration.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn folds_case(&self) -> bool {
        self.folds.load(Ordering::Relaxed)
    }
}
