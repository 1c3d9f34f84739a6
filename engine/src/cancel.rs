//! Cancellation: where the host asks for it, a call that depends on what has changed meanwhile unwinds.
//!
//! Nothing is ever cancelled from outside: a thread that works for a [`cancellable`] closure finds out by itself, where
//! it comes by a cached call, a tracked read or a [`checkpoint`], and only if the running bodies have seen an input that
//! has another digest now. It unwinds with a payload of its own, which counts as no failure: nothing of what it made is
//! kept, whoever waited for it goes on. Once begun it does not stop: a body that swallows it meets it again. It never
//! begins in a destructor that runs as something unwinds already.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fleche_store::{CallId, Digest};
use foldhash::HashSet;
use parking_lot::{Mutex, RwLock};

use crate::frame::{Dep, Frame, Taint};
use crate::graph::Graph;
use crate::input::InputId;
use crate::{cache, named, thread};

/// Some calls were cancelled, since what they depend on has changed; see [`cancellable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("cancelled, since what the call depends on has changed")
    }
}

impl std::error::Error for Cancelled {}

/// What unwinds.
struct Unwinding;

/// An input that was reported to have changed, and what the graph of that cache had of it before.
#[derive(Debug, Clone, Copy)]
struct News {
    cache: usize,
    input: InputId,
    before: Option<Digest>,
}

/// One closure that may be cancelled, with all threads that work for it.
#[derive(Debug, Default)]
pub(crate) struct Run {
    news: Mutex<Vec<News>>,
    /// How many there are.
    told: AtomicUsize,
    cancelled: AtomicBool,
}

/// Those that are under way.
static RUNS: RwLock<Vec<Arc<Run>>> = RwLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// How many of them have been told of something.
static TOLD: AtomicUsize = AtomicUsize::new(0);

/// A thread's part in a run.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    run: Arc<Run>,
    /// So much of the news has been looked at here.
    read: usize,
}

impl Part {
    /// For a branch, whose frames are others.
    pub(crate) fn branch(&self) -> Self {
        Self { run: self.run.clone(), read: 0 }
    }
}

/// Calls `f`; if something changes meanwhile that a cached call in it has used, the call is cancelled.
///
/// Changes are known where somebody tells of them: a [`watcher`](crate::watch()) of files, [`Input::set`](crate::Input::set),
/// an [`Overlay`](crate::Overlay). A file that is only touched cancels nothing, nor does what the running calls have not
/// used. What was running is not kept; nested calls that had ended are, and are hits when `f` is called again.
///
/// Cancelling unwinds from a nested cached call, a tracked read or a [`checkpoint`], as a panic does, without a
/// message. So a value that `f` leaves half changed must not be used after it. In a cached body, in
/// [`frozen`](crate::frozen) and with `panic = "abort"` nothing is cancelled.
///
/// # Errors
///
/// [`Cancelled`], if a call was cancelled, even if something in `f` caught that.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// use std::path::Path;
/// #[fleche::fleche]
/// fn length(path: &Path) -> std::io::Result<u64> {
///     Ok(fleche::fs::read(path)?.len() as u64)
/// }
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("a");
/// # std::fs::write(&path, "text")?;
/// let length = loop {
///     if let Ok(length) = fleche::cancellable(|| length(&path)) {
///         break length?;
///     }
/// };
/// assert_eq!(length, 4);
/// # Ok(())
/// # }
/// ```
pub fn cancellable<T>(f: impl FnOnce() -> T) -> Result<T, Cancelled> {
    let inside = thread::with(|thread| !thread.frames.is_empty());
    if inside || cfg!(not(panic = "unwind")) {
        return Ok(f());
    }
    let entered = Entered::new();
    let outcome = catch_unwind(AssertUnwindSafe(f));
    let cancelled = entered.run.cancelled.load(Ordering::Acquire);
    drop(entered);
    match outcome {
        Err(panic) if !panic.is::<Unwinding>() => resume_unwind(panic),
        _ if cancelled => Err(Cancelled),
        Ok(result) => Ok(result),
        // Of an outer run.
        Err(panic) => resume_unwind(panic),
    }
}

/// Where a long computation of a cached body lets itself be cancelled; see [`cancellable`]. Otherwise it does nothing.
pub fn checkpoint() {
    point();
}

/// This thread works for a run of its own, until dropped.
struct Entered {
    run: Arc<Run>,
    before: Option<Part>,
}

impl Entered {
    fn new() -> Self {
        let run = Arc::new(Run::default());
        RUNS.write().push(run.clone());
        COUNT.fetch_add(1, Ordering::AcqRel);
        let part = Part { run: run.clone(), read: 0 };
        Self { run, before: thread::with(|thread| thread.part.replace(part)) }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        let _outside_the_borrow = thread::with(|thread| std::mem::replace(&mut thread.part, before));
        COUNT.fetch_sub(1, Ordering::AcqRel);
        RUNS.write().retain(|run| !Arc::ptr_eq(run, &self.run));
        if self.run.told.load(Ordering::Acquire) > 0 {
            TOLD.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Whether anybody may be cancelled.
pub(crate) fn is_possible() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

/// Tells all runs that these inputs were reported to have changed. `before`: what a graph has, or had, of one.
pub(crate) fn tell(inputs: &[InputId], before: impl Fn(&Graph, InputId) -> Option<Digest>) {
    let mut news = Vec::new();
    cache::for_each(|cache| {
        let of = |input: &InputId| {
            let before = cache.with_graph(|graph| before(graph, *input));
            News { cache: cache.number(), input: *input, before }
        };
        news.extend(inputs.iter().map(of));
    });
    for run in RUNS.read().iter() {
        let mut known = run.news.lock();
        known.extend_from_slice(&news);
        if run.told.swap(known.len(), Ordering::AcqRel) == 0 && !known.is_empty() {
            TOLD.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Whether [`point`] has anything to do.
pub(crate) fn is_told() -> bool {
    TOLD.load(Ordering::Relaxed) > 0
}

/// Whether it is a cancellation that unwinds.
pub(crate) fn is_ours(panic: &(dyn std::any::Any + Send)) -> bool {
    panic.is::<Unwinding>()
}

/// Unwinds if this thread works for a run that is cancelled, or has to be.
pub(crate) fn point() {
    // A destructor that runs as something unwinds must not unwind itself: that would end the process.
    if !is_told() || std::thread::panicking() {
        return;
    }
    let part = thread::with(|thread| if thread.frozen.is_some() { None } else { thread.part.clone() });
    let Some(Part { run, read }) = part else { return };
    if !run.cancelled.load(Ordering::Acquire) {
        if run.told.load(Ordering::Acquire) <= read {
            return;
        }
        let news = run.news.lock().clone();
        let depends = news[read..].iter().any(depends_on);
        thread::with(|thread| {
            if let Some(part) = &mut thread.part {
                part.read = news.len();
            }
        });
        if !depends {
            return;
        }
        run.cancelled.store(true, Ordering::Release);
    }
    // Whoever swallows it has seen what nobody can see again.
    thread::taint(Taint::Cancelled);
    resume_unwind(Box::new(Unwinding));
}

/// Whether what runs on this thread has used the input as it was before.
fn depends_on(news: &News) -> bool {
    let found = thread::with(|thread| {
        let frame = thread.frames.last()?;
        let calls: Vec<CallId> = thread
            .frames
            .iter()
            .flat_map(Frame::seen)
            .filter_map(|seen| if let Dep::Call(call) = seen.dep { Some(call) } else { None })
            .collect();
        Some((frame.revision.clone(), frame.cache.clone(), calls))
    });
    // A call that begins now sees what there is.
    let Some((revision, cache, calls)) = found else { return false };
    let now = || {
        if news.input.is_told() { named::digest(news.input) } else { cache.files().observe(news.input) }
    };
    if let Some(differs) = revision.differs(news.input, now) {
        return differs;
    }
    // It was not looked at, since a watcher covers it: whoever used it did so through the graph.
    if news.cache != cache.number() || calls.is_empty() || news.before.is_none() || now() == news.before {
        return false;
    }
    let calls: HashSet<CallId> = calls.into_iter().collect();
    cache.with_graph(|graph| graph.is_below_any(news.input, &calls))
}
