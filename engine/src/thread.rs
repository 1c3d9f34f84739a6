//! A thread's state: the cache in scope, the held revision, the stack of frames, and how it branches.
//!
//! All access goes through [`with`], which must never run code of the host while the state is borrowed.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use fleche_store::{CallId, Digest, TypeFingerprint};
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::cancel::{self, Part};
use crate::fingerprint;
use crate::flight::Pilot;
use crate::frame::{Dep, Frame, Purpose, Taint};
use crate::graph::{Graph, Hit};
use crate::marks;
use crate::rerun::Reruns;
use crate::revision::Revision;
use crate::value::Value;

/// What a call on this thread's stack is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Verifying,
    Running,
}

/// The calls that a `rerun` has already run.
pub(crate) type Rerun = Arc<Mutex<Reruns>>;

/// Failures of calls that were made while a trace was verified. A failure is not recorded, so the body that comes to such
/// a call would only run it again.
#[derive(Default)]
pub(crate) struct Failures {
    /// The one that failed last on this thread, until it is filed; or what an attempt to start over came to.
    last: Option<Box<dyn Any>>,
    /// The call whose body panicked last on this thread, until something is filed.
    panicked: Option<CallId>,
    /// Under which picture the others were made.
    stamp: u64,
    filed: HashMap<(usize, CallId), Box<dyn Any>>,
}

/// A failure that is a panic of the body, not something that it returned.
pub(crate) struct Panicked(pub(crate) Box<dyn Any + Send>);

/// What is to be dropped while the thread's state is not borrowed: failures are the host's.
type Dropped = (Option<Box<dyn Any>>, HashMap<(usize, CallId), Box<dyn Any>>);

impl Failures {
    pub(crate) fn put(&mut self, failure: Box<dyn Any>) -> Dropped {
        (self.last.replace(failure), HashMap::new())
    }

    /// What was put last.
    pub(crate) fn take_last(&mut self) -> Option<Box<dyn Any>> {
        self.last.take()
    }

    /// Takes note of whose panic it is that unwinds.
    pub(crate) fn panics(&mut self, call: CallId) {
        self.panicked = Some(call);
    }

    /// The call whose body panicked last.
    pub(crate) fn take_panicked(&mut self) -> Option<CallId> {
        self.panicked.take()
    }

    /// Files the failure that was put last under the call that it is of; without one it is dropped.
    pub(crate) fn file(&mut self, cache: &Cache, revision: &Revision, call: Option<CallId>) -> Dropped {
        match (self.last.take(), call) {
            (Some(failure), Some(call)) => {
                let old = self.turn_to(revision);
                (self.filed.insert((cache.number(), call), failure), old)
            }
            (last, _) => (last, HashMap::new()),
        }
    }

    /// The failure of that call under this picture; it is given once.
    pub(crate) fn take(&mut self, cache: &Cache, revision: &Revision, call: CallId) -> Dropped {
        if self.filed.is_empty() {
            return (None, HashMap::new());
        }
        let old = self.turn_to(revision);
        (self.filed.remove(&(cache.number(), call)), old)
    }

    fn turn_to(&mut self, revision: &Revision) -> HashMap<(usize, CallId), Box<dyn Any>> {
        if self.stamp == revision.stamp() {
            return HashMap::new();
        }
        self.stamp = revision.stamp();
        std::mem::take(&mut self.filed)
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Failures").field("filed", &self.filed.len()).finish_non_exhaustive()
    }
}

/// The calls that are active on the way down to a branch.
#[derive(Debug, Default)]
struct Ancestors {
    active: HashMap<CallId, Activity>,
    names: Vec<String>,
    above: Option<Arc<Ancestors>>,
}

/// So many types' fingerprints are searched one after the other.
const MOST_FINGERPRINTS: usize = 8;

#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) cache: Option<Cache>,
    /// The graph found last, with the numbers of its cache and of itself there: a look at it takes no lock.
    graph: Option<(usize, usize, Arc<Graph>)>,
    /// The fingerprints of types asked for lately.
    fingerprints: Vec<(TypeId, TypeFingerprint)>,
    pub(crate) frozen: Option<Arc<Revision>>,
    pub(crate) frames: Vec<Frame>,
    active: HashMap<CallId, Activity>,
    ancestors: Option<Arc<Ancestors>>,
    pub(crate) pilot: Pilot,
    pub(crate) rerun: Option<Rerun>,
    pub(crate) failures: Failures,
    /// The picture in which a top-level call starts over.
    pub(crate) attempt: Option<Arc<Revision>>,
    /// What it works for that may be cancelled.
    pub(crate) part: Option<Part>,
}

impl Thread {
    fn new() -> Self {
        Self {
            cache: None,
            graph: None,
            fingerprints: Vec::new(),
            frozen: None,
            frames: Vec::new(),
            active: HashMap::new(),
            ancestors: None,
            pilot: Pilot::new(),
            rerun: None,
            failures: Failures::default(),
            attempt: None,
            part: None,
        }
    }

    /// The answer to the call that the bytes lead to, from the graph of the cache in scope, if it needs no
    /// verification.
    pub(crate) fn peek_short(&mut self, bytes: &[u8]) -> Option<(CallId, Hit)> {
        let cache = self.cache.as_ref()?;
        let now = (cache.number(), cache.graph_number());
        if self.graph.as_ref().is_none_or(|(of, number, _)| (*of, *number) != now) {
            self.graph = Some((now.0, now.1, cache.graph()));
        }
        let (_, _, graph) = self.graph.as_ref()?;
        let revision = self.frames.last().map(|frame| &frame.revision).or(self.held());
        graph.peek_short(bytes, revision.map(|revision| &**revision))
    }

    /// The graph found last is not held any more; gives it, to be dropped where nothing is borrowed.
    pub(crate) fn forget_graph(&mut self) -> Option<Arc<Graph>> {
        self.graph.take().map(|(_, _, graph)| graph)
    }

    /// The fingerprint of `T`, without asking what all threads share.
    pub(crate) fn fingerprint<T: Value>(&mut self) -> TypeFingerprint {
        let id = TypeId::of::<T>();
        if let Some((_, known)) = self.fingerprints.iter().find(|(of, _)| *of == id) {
            return *known;
        }
        let fingerprint = fingerprint::of::<T>();
        if self.fingerprints.len() == MOST_FINGERPRINTS {
            self.fingerprints.clear();
        }
        self.fingerprints.push((id, fingerprint));
        fingerprint
    }

    /// The picture that a top-level call on this thread has to see.
    pub(crate) fn held(&self) -> Option<&Arc<Revision>> {
        self.frozen.as_ref().or(self.attempt.as_ref())
    }

    /// What the call is doing on this thread, or on those that wait for this branch.
    pub(crate) fn activity(&self, call: &CallId) -> Option<Activity> {
        if let Some(activity) = self.active.get(call) {
            return Some(*activity);
        }
        let above = std::iter::successors(self.ancestors.as_ref(), |ancestors| ancestors.above.as_ref());
        above.into_iter().find_map(|ancestors| ancestors.active.get(call).copied())
    }

    /// The bodies that run, outermost first, by their functions' names.
    pub(crate) fn running_names(&self) -> Vec<String> {
        let mut above: Vec<&Arc<Ancestors>> =
            std::iter::successors(self.ancestors.as_ref(), |ancestors| ancestors.above.as_ref()).collect();
        above.reverse();
        above.into_iter().flat_map(|ancestors| ancestors.names.clone()).chain(names(&self.frames)).collect()
    }
}

fn names(frames: &[Frame]) -> Vec<String> {
    frames
        .iter()
        .filter(|frame| matches!(frame.purpose, Purpose::Run(_)))
        .map(|frame| frame.name.to_string())
        .collect()
}

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::new(Thread::new());
}

pub(crate) fn with<T>(f: impl FnOnce(&mut Thread) -> T) -> T {
    THREAD.with_borrow_mut(f)
}

/// The cache and revision that a call or read on this thread belongs to.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) cache: Cache,
    pub(crate) graph: Arc<Graph>,
    pub(crate) revision: Arc<Revision>,
    /// No cached body is running on this thread.
    pub(crate) top: bool,
}

/// Finds the place. The main thread has the configured cache from the start; another thread must have been
/// given one.
pub(crate) fn place(what: &str) -> Place {
    place_in(what, Revision::new)
}

/// Like [`place`]; at top level in a picture that is begun like that, unless one is held.
pub(crate) fn place_in(what: &str, begin: fn() -> Revision) -> Place {
    cancel::point();
    if marks::is_prompt() && with(|thread| thread.frames.is_empty() && thread.held().is_none()) {
        marks::catch_up();
    }
    let found = with(|thread| {
        let cache = thread.cache.clone()?;
        let (revision, top) = match thread.frames.last() {
            // A body may put another cache in scope for the calls it makes; the picture stays the same.
            Some(frame) => (frame.revision.clone(), false),
            None => (thread.held().cloned().unwrap_or_else(|| Arc::new(begin())), true),
        };
        let graph = if top { cache.graph_for_top() } else { cache.graph() };
        Some(Place { cache, graph, revision, top })
    });
    if let Some(place) = found {
        return place;
    }
    assert!(
        std::thread::current().name() == Some("main"),
        "{what}: this thread has no cache in scope, so what it reads would be lost to the call it works for. \
         Spread work with `fleche::par_map`, `fleche::join` or `fleche::scope`; on a thread that works for no \
         call put one in scope with `fleche::cache(..)`"
    );
    let cache = crate::scope::configured();
    with(|thread| thread.cache = Some(cache));
    place_in(what, begin)
}

/// Records a dependency of the running body, if one is running.
pub(crate) fn record(dep: Dep, observed: Digest) {
    with(|thread| {
        if let Some(frame) = thread.frames.last_mut() {
            frame.record(dep, observed);
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

/// Whether a body, or a branch of one, runs innermost.
pub(crate) fn running() -> bool {
    with(|thread| {
        matches!(thread.frames.last(), Some(Frame { purpose: Purpose::Run(_) | Purpose::Branch, .. }))
    })
}

/// Marks a call as active on this thread, until dropped.
pub(crate) struct Active {
    call: CallId,
    before: Option<Activity>,
}

impl Active {
    pub(crate) fn enter(call: CallId, activity: Activity) -> Self {
        Self { call, before: with(|thread| thread.active.insert(call, activity)) }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        with(|thread| match self.before {
            Some(before) => thread.active.insert(self.call, before),
            None => thread.active.remove(&self.call),
        });
    }
}

/// What a thread hands to its branches, from [`fork`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Fork {
    cache: Option<Cache>,
    frozen: Option<Arc<Revision>>,
    /// The body that the branches work for: its cache and picture.
    body: Option<(Cache, Arc<Revision>, Purpose)>,
    ancestors: Option<Arc<Ancestors>>,
    pilot: Pilot,
    rerun: Option<Rerun>,
    part: Option<Part>,
}

/// Prepares to work on several threads. Until the fork is dropped this thread's active calls are shared with its
/// branches, so it must be dropped on this thread, in the frame in which it was made.
pub(crate) fn fork() -> Fork {
    with(|thread| {
        // Moved, not copied: a fan-out deep down costs no more than one at the top.
        let ancestors = Arc::new(Ancestors {
            active: std::mem::take(&mut thread.active),
            names: names(&thread.frames),
            above: thread.ancestors.take(),
        });
        thread.ancestors = Some(ancestors.clone());
        Fork {
            cache: thread.cache.clone(),
            frozen: thread.frozen.clone(),
            body: thread
                .frames
                .last()
                .map(|frame| (frame.cache.clone(), frame.revision.clone(), frame.purpose)),
            ancestors: Some(ancestors),
            pilot: thread.pilot.clone(),
            rerun: thread.rerun.clone(),
            part: thread.part.as_ref().map(Part::branch),
        }
    })
}

impl Fork {
    /// Runs `f` as a branch, on this thread or another, and gives what it recorded. `f` must not unwind.
    pub(crate) fn run<T>(&self, f: impl FnOnce() -> T) -> (T, Option<Frame>) {
        let frames = self.body.iter().map(|(cache, revision, purpose)| {
            // A branch of a verification stays apart from bodies as the verification does.
            let purpose = if *purpose == Purpose::Verify { Purpose::Verify } else { Purpose::Branch };
            Frame::new(purpose, cache.clone(), revision.clone())
        });
        let branch = Thread {
            cache: self.cache.clone(),
            graph: None,
            fingerprints: Vec::new(),
            frozen: self.frozen.clone(),
            frames: frames.collect(),
            active: HashMap::new(),
            ancestors: self.ancestors.clone(),
            pilot: self.pilot.branch(),
            rerun: self.rerun.clone(),
            failures: Failures::default(),
            attempt: None,
            part: self.part.clone(),
        };
        let outside = with(|thread| std::mem::replace(thread, branch));
        let result = f();
        let mut branch = with(|thread| std::mem::replace(thread, outside));
        (result, branch.frames.pop())
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        self.ancestors = None;
        let _outside_the_borrow = with(|thread| {
            let shared = thread.ancestors.take()?;
            match Arc::try_unwrap(shared) {
                Ok(mut own) => {
                    thread.ancestors = own.above.take();
                    own.active.extend(thread.active.drain());
                    thread.active = own.active;
                    None
                }
                // A branch still runs, which its scope does not let happen: keep the link, which is only slower.
                Err(shared) => thread.ancestors.replace(shared),
            }
        });
    }
}

/// Adds what a branch recorded to the running body's frame.
pub(crate) fn merge(branch: Option<Frame>) {
    let Some(branch) = branch else { return };
    with(|thread| {
        if let Some(frame) = thread.frames.last_mut() {
            frame.merge(branch);
        }
    });
}
