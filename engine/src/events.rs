//! What happened: counters that are always on, and a stream of events for whoever subscribes.
//!
//! Tests and progress displays read it. It must cost next to nothing while nobody listens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fleche_store::CallId;
use parking_lot::RwLock;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fate {
    /// Answered from a record whose trace holds in this revision; reported once a revision.
    Hit,
    /// Answered from its record although a call it depends on was recomputed: that call's result is what it was.
    CutOff,
    /// The body ran and its result was kept. `changed` is false if the result equals that of the newest record.
    Ran {
        /// Whether the result differs from the newest recorded one (true for a call's first run).
        changed: bool,
    },
    /// The body ran, but nothing was kept: it failed, it is tainted, or storage refused it.
    Uncached,
    /// What the running body had used changed, and it was cancelled; see [`crate::cancellable`].
    Cancelled,
    /// A rerun made another result although everything it observed was as it had been. Told after the
    /// [`Fate::Ran`] of the same run.
    Nondeterministic,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// The call.
    pub call: CallId,
    /// The function's full name.
    pub function: Arc<str>,
    /// The arguments as text, for people; empty where they are not known without the store.
    pub arguments: String,
    /// What became of it.
    pub fate: Fate,
}

impl fmt::Display for Fate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Fate::Hit => "hit",
            Fate::CutOff => "cut off",
            Fate::Ran { changed: true } => "ran",
            Fate::Ran { changed: false } => "ran, unchanged",
            Fate::Uncached => "ran, not kept",
            Fate::Cancelled => "cancelled",
            Fate::Nondeterministic => "nondeterministic",
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.function.rsplit("::").next().unwrap_or(&self.function);
        write!(to, "{name}({}): {}", self.arguments, self.fate)
    }
}

/// A step on a call's way, for whoever shows work while it is done: see [`crate::Cache::follow`].
///
/// A call that is answered from its record comes as `Ended` alone, any other as `Stale` (unless it has no record, or is
/// rerun), `Began`, `Stored` (if it is kept) and `Ended`, with those of the calls below it in between.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Progress {
    /// No record of it holds.
    Stale {
        /// The call.
        call: CallId,
        /// For people: `count("a.rs")`.
        name: String,
        /// The first difference in its newest record, at which the look at that one ended; [`crate::explain()`] gives
        /// all.
        because: String,
    },
    /// Its body begins to run.
    Began {
        /// The call.
        call: CallId,
        /// For people: `count("a.rs")`.
        name: String,
    },
    /// Its result and record are in the store.
    Stored {
        /// The call.
        call: CallId,
        /// For people: `count("a.rs")`.
        name: String,
        /// How long the archived result is.
        bytes: usize,
    },
    /// What became of it.
    Ended(Event),
}

impl Progress {
    /// The call.
    pub fn call(&self) -> CallId {
        match self {
            Self::Stale { call, .. } | Self::Began { call, .. } | Self::Stored { call, .. } => *call,
            Self::Ended(event) => event.call,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "stale",
            Self::Began { .. } => "began",
            Self::Stored { .. } => "stored",
            Self::Ended(event) => match event.fate {
                Fate::Hit => "hit",
                Fate::CutOff => "cut off",
                Fate::Ran { .. } => "ran",
                Fate::Uncached => "not kept",
                Fate::Cancelled => "cancelled",
                Fate::Nondeterministic => "nondeterministic",
            },
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { name, because, .. } => write!(to, "{name}: stale because {because}"),
            Self::Began { name, .. } => write!(to, "{name}: began"),
            Self::Stored { name, bytes, .. } => write!(to, "{name}: stored, {bytes} bytes"),
            Self::Ended(event) => event.fmt(to),
        }
    }
}

/// How many calls met which fate, since the cache was opened in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls answered from a record, each counted once a revision.
    pub hits: u64,
    /// Calls answered from a record although a call below them was recomputed.
    pub cut_off: u64,
    /// Bodies that ran and whose result was kept.
    pub ran: u64,
    /// Bodies that ran without their result being kept.
    pub uncached: u64,
    /// Bodies that were cancelled.
    pub cancelled: u64,
    /// Reruns, counted among `ran` too, that made another result of the same observations.
    pub nondeterministic: u64,
}

impl std::ops::Sub for Stats {
    type Output = Self;

    /// What happened between two readings.
    fn sub(self, earlier: Self) -> Self {
        Self {
            hits: self.hits.saturating_sub(earlier.hits),
            cut_off: self.cut_off.saturating_sub(earlier.cut_off),
            ran: self.ran.saturating_sub(earlier.ran),
            uncached: self.uncached.saturating_sub(earlier.uncached),
            cancelled: self.cancelled.saturating_sub(earlier.cancelled),
            nondeterministic: self.nondeterministic.saturating_sub(earlier.nondeterministic),
        }
    }
}

type Listener = Arc<dyn Fn(&Event) + Send + Sync>;
type Follower = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Whether a subscriber of `tracing` wants to hear of calls. Without one this is a load and a comparison.
pub(crate) fn is_traced() -> bool {
    tracing::enabled!(target: "fleche", tracing::Level::DEBUG)
}

/// The counters and listeners of one cache.
#[derive(Default)]
pub(crate) struct Events {
    hits: AtomicU64,
    cut_off: AtomicU64,
    ran: AtomicU64,
    uncached: AtomicU64,
    cancelled: AtomicU64,
    nondeterministic: AtomicU64,
    listened: AtomicBool,
    listeners: RwLock<Vec<Listener>>,
    followed: AtomicBool,
    followers: RwLock<Vec<Follower>>,
}

impl Events {
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            hits: self.hits.load(Ordering::Relaxed),
            cut_off: self.cut_off.load(Ordering::Relaxed),
            ran: self.ran.load(Ordering::Relaxed),
            uncached: self.uncached.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
            nondeterministic: self.nondeterministic.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn subscribe(&self, listener: Listener) {
        self.listeners.write().push(listener);
        self.listened.store(true, Ordering::Release);
    }

    pub(crate) fn follow(&self, follower: Follower) {
        self.followers.write().push(follower);
        self.followed.store(true, Ordering::Release);
    }

    /// Whether anybody wants more than the counters.
    pub(crate) fn are_followed(&self) -> bool {
        is_traced() || self.listened.load(Ordering::Acquire) || self.followed.load(Ordering::Acquire)
    }

    /// Tells of a step on the way, which is built only if somebody wants it.
    pub(crate) fn tell(&self, progress: impl FnOnce() -> Progress) {
        self.tell_some(|| Some(progress()));
    }

    /// Like [`Events::tell`], for what may come to nothing.
    pub(crate) fn tell_some(&self, progress: impl FnOnce() -> Option<Progress>) {
        if (is_traced() || self.followed.load(Ordering::Acquire))
            && let Some(progress) = progress()
        {
            self.pass_on(&progress);
        }
    }

    fn pass_on(&self, progress: &Progress) {
        tracing::debug!(
            target: "fleche",
            call = %progress.call().digest().short(),
            step = progress.word(),
            "{progress}"
        );
        // The followers are cloned so that one of them may add another.
        let followers = self.followers.read().clone();
        for follower in followers {
            follower(progress);
        }
    }

    /// Counts a hit that nobody follows.
    pub(crate) fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a fate; the event itself is built only if somebody listens.
    pub(crate) fn report(&self, fate: Fate, event: impl FnOnce() -> Event) {
        let counter = match fate {
            Fate::Hit => &self.hits,
            Fate::CutOff => &self.cut_off,
            Fate::Ran { .. } => &self.ran,
            Fate::Uncached => &self.uncached,
            Fate::Cancelled => &self.cancelled,
            Fate::Nondeterministic => &self.nondeterministic,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if !self.are_followed() {
            return;
        }
        let event = event();
        // The listeners are cloned so that one of them may subscribe another.
        let listeners = self.listeners.read().clone();
        for listener in listeners {
            listener(&event);
        }
        self.pass_on(&Progress::Ended(event));
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(to)
    }
}
