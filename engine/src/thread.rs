//! A thread's state: the cache in scope, the held revision, and the stack of frames.
//!
//! All access goes through [`with`], which must never run code of the host while the state is borrowed.

use std::cell::RefCell;
use std::sync::Arc;

use fleche_store::{CallId, Dependency, Digest};
use foldhash::{HashMap, HashMapExt, HashSet};
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::frame::{Frame, Purpose, Taint};
use crate::revision::Revision;

/// What a call on this thread's stack is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Verifying,
    Running,
}

/// The calls that a `rerun` has already run.
pub(crate) type Rerun = Arc<Mutex<HashSet<CallId>>>;

#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) cache: Option<Cache>,
    pub(crate) frozen: Option<Arc<Revision>>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) active: HashMap<CallId, Activity>,
    pub(crate) rerun: Option<Rerun>,
    /// How often the top-level call has started over.
    pub(crate) restarts: u32,
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::new(Thread {
        cache: None,
        frozen: None,
        frames: Vec::new(),
        active: HashMap::new(),
        rerun: None,
        restarts: 0,
    });
}

pub(crate) fn with<T>(f: impl FnOnce(&mut Thread) -> T) -> T {
    THREAD.with_borrow_mut(f)
}

/// The cache and revision that a call or read on this thread belongs to.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) cache: Cache,
    pub(crate) revision: Arc<Revision>,
    /// No cached body is running on this thread.
    pub(crate) top: bool,
}

/// Finds the place. The main thread has the configured cache from the start; another thread must have been
/// given one.
pub(crate) fn place(what: &str) -> Place {
    let found = with(|thread| {
        let cache = thread.cache.clone()?;
        let (revision, top) = match thread.frames.last() {
            // A body may put another cache in scope for the calls it makes; the picture stays the same.
            Some(frame) => (frame.revision.clone(), false),
            None => (thread.frozen.clone().unwrap_or_else(|| Arc::new(Revision::new())), true),
        };
        Some(Place { cache, revision, top })
    });
    if let Some(place) = found {
        return place;
    }
    assert!(
        std::thread::current().name() == Some("main"),
        "{what}: this thread has no cache in scope, so what it reads would be lost to the call it works for. \
         Put one in scope with `fleche::cache(..)` on this thread, or hand the work over with `fleche::bind(..)`"
    );
    let cache = crate::scope::configured();
    with(|thread| thread.cache = Some(cache));
    place(what)
}

/// Records a dependency of the running body, if one is running.
pub(crate) fn record(dependency: Dependency, observed: Digest) {
    with(|thread| {
        if let Some(frame) = thread.frames.last_mut() {
            frame.record(dependency, observed);
        }
    });
}

/// Taints the running body, if one is running.
pub(crate) fn taint(reason: Taint) {
    with(|thread| {
        if let Some(frame) = thread.frames.last_mut() {
            frame.taint(reason);
        }
    });
}

/// The call whose body runs innermost, if any.
pub(crate) fn running() -> bool {
    with(|thread| matches!(thread.frames.last(), Some(Frame { purpose: Purpose::Run(_), .. })))
}
