//! Fan-out: a body's work on several threads, without losing what it reads.
//!
//! Each piece of work runs in a branch: a frame of its own on whatever thread there is. Branches are merged into
//! the body's frame in the order of the program, so that a trace is the same whatever the number of threads.
//!
//! There is no pool. Extra threads are taken from a budget of the machine's parallelism and given back; where
//! none is left the work is done on the spot. So a waiting parent never runs somebody else's work (which would
//! look like a cycle of calls), and nested fan-out never starves.

use std::any::Any;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::frame::Frame;
use crate::thread::{self, Fork};

type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// Where a branch leaves what it returned and what it recorded.
type Slot<T> = Mutex<Option<(Outcome<T>, Option<Frame>)>>;

/// How many extra threads may run at once in this process.
static BUDGET: LazyLock<AtomicUsize> =
    LazyLock::new(|| AtomicUsize::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get) - 1));

/// Sets how many extra threads there are. For tests, while nothing is spread.
pub fn set_spare_threads(threads: usize) {
    BUDGET.store(threads, Ordering::Release);
}

/// A thread taken from the budget, given back when dropped.
struct Permit;

impl Permit {
    fn take() -> Option<Self> {
        let taken = BUDGET.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        // Made only if one was taken: it gives one back when it is dropped.
        taken.is_ok().then(|| Self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        BUDGET.fetch_add(1, Ordering::AcqRel);
    }
}

/// Applies `f` to every item, on as many threads as there are to spare, and returns the results in the order of
/// the items. Cached calls and tracked reads that `f` makes belong to the calling body, in that order.
///
/// # Panics
///
/// With the panic of the first item, in order, whose `f` panicked; the others have run by then.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// use fleche::fleche;
///
/// #[fleche]
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// #[fleche]
/// fn sum_of_squares(n: u64) -> u64 {
///     fleche::par_map(1..=n, square).into_iter().sum()
/// }
///
/// let _scope = fleche::cache("memory")?;
/// assert_eq!(sum_of_squares(4), 30);
/// # Ok(())
/// # }
/// ```
pub fn par_map<I, R>(items: I, f: impl Fn(I::Item) -> R + Sync) -> Vec<R>
where
    I: IntoIterator<Item: Send>,
    R: Send,
{
    let items: Vec<Mutex<Option<I::Item>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let done: Vec<Slot<R>> = items.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let fork = thread::fork();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at).and_then(|item| item.lock().take()) else { return };
            let finished = fork.run(|| catch_unwind(AssertUnwindSafe(|| f(item))));
            *done[at].lock() = Some(finished);
        }
    };
    std::thread::scope(|threads| {
        for _ in 1..items.len() {
            let Some(permit) = Permit::take() else { break };
            threads.spawn(|| {
                let _permit = permit;
                work();
            });
        }
        work();
    });
    drop(fork);
    let mut results = Vec::with_capacity(done.len());
    let mut panicked = None;
    for done in done {
        let Some((outcome, frame)) = done.into_inner() else { continue };
        thread::merge(frame);
        match outcome {
            Ok(result) => results.push(result),
            Err(panic) => panicked = panicked.or(Some(panic)),
        }
    }
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
    results
}

/// Runs both, on two threads if there is one to spare, and returns both results. What they read belongs to the
/// calling body, `a`'s first.
///
/// # Panics
///
/// With `a`'s panic, else with `b`'s.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// let _scope = fleche::cache("memory")?;
/// assert_eq!(fleche::join(|| 1, || "two"), (1, "two"));
/// # Ok(())
/// # }
/// ```
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    scope(|scope| {
        let b = scope.spawn(b);
        let a = scope.here(a).join();
        (a, b.join())
    })
}

/// A scope in which work can be spawned that borrows from outside; see [`scope`].
#[derive(Debug)]
pub struct FanOut<'scope, 'env> {
    threads: &'scope std::thread::Scope<'scope, 'env>,
    fork: Arc<Fork>,
    unjoined: Arc<Unjoined>,
}

/// What branches recorded that nobody has joined yet, by their place in the order of spawning.
type Unjoined = Mutex<Vec<Option<Finished>>>;

#[derive(Debug)]
struct Finished {
    frame: Option<Frame>,
    panic: Option<Box<dyn Any + Send>>,
}

/// Work that was spawned; see [`FanOut::spawn`].
#[derive(Debug)]
#[must_use = "without `join` the result is lost; what the work reads is recorded all the same"]
pub struct Spawned<'scope, T> {
    state: State<'scope, T>,
    at: usize,
    unjoined: Arc<Unjoined>,
}

#[derive(Debug)]
enum State<'scope, T> {
    Elsewhere(std::thread::ScopedJoinHandle<'scope, Option<T>>),
    Done(Option<T>),
}

/// Calls `f` with a scope in which it can spawn work; returns when all of that has ended.
///
/// What spawned work reads belongs to the calling body: at the place where it is joined, or at the end in the
/// order of spawning.
///
/// # Panics
///
/// With the panic of spawned work that nobody joined.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// let _scope = fleche::cache("memory")?;
/// let words = ["one", "two"];
/// let length = fleche::scope(|scope| {
///     let lengths = words.map(|word| scope.spawn(move || word.len()));
///     lengths.map(|length| length.join()).into_iter().sum::<usize>()
/// });
/// assert_eq!(length, 6);
/// # Ok(())
/// # }
/// ```
pub fn scope<'env, T>(f: impl for<'scope> FnOnce(&FanOut<'scope, 'env>) -> T) -> T {
    let unjoined = Arc::new(Unjoined::default());
    let fork = Arc::new(thread::fork());
    let result = std::thread::scope(|threads| {
        let fan_out = FanOut { threads, fork: fork.clone(), unjoined: unjoined.clone() };
        catch_unwind(AssertUnwindSafe(|| f(&fan_out)))
    });
    drop(fork);
    let mut panicked = None;
    for finished in std::mem::take(&mut *unjoined.lock()).into_iter().flatten() {
        thread::merge(finished.frame);
        panicked = panicked.or(finished.panic);
    }
    let result = result.unwrap_or_else(|panic| resume_unwind(panic));
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
    result
}

impl<'scope> FanOut<'scope, '_> {
    /// Runs `f` on a thread of its own if there is one to spare, else here and now.
    pub fn spawn<T: Send + 'scope>(&self, f: impl FnOnce() -> T + Send + 'scope) -> Spawned<'scope, T> {
        let Some(permit) = Permit::take() else { return self.here(f) };
        let at = self.reserve();
        let (fork, unjoined) = (self.fork.clone(), self.unjoined.clone());
        let handle = self.threads.spawn(move || {
            let _permit = permit;
            let result = branch(&fork, &unjoined, at, f);
            // Before the scope sees this thread end: it drops the last one on its own thread.
            drop(fork);
            result
        });
        Spawned { state: State::Elsewhere(handle), at, unjoined: self.unjoined.clone() }
    }

    fn here<T>(&self, f: impl FnOnce() -> T) -> Spawned<'scope, T> {
        let at = self.reserve();
        let result = branch(&self.fork, &self.unjoined, at, f);
        Spawned { state: State::Done(result), at, unjoined: self.unjoined.clone() }
    }

    fn reserve(&self) -> usize {
        let mut unjoined = self.unjoined.lock();
        unjoined.push(None);
        unjoined.len() - 1
    }
}

fn branch<T>(fork: &Fork, unjoined: &Unjoined, at: usize, f: impl FnOnce() -> T) -> Option<T> {
    let (outcome, frame) = fork.run(|| catch_unwind(AssertUnwindSafe(f)));
    let (result, panic) = match outcome {
        Ok(result) => (Some(result), None),
        Err(panic) => (None, Some(panic)),
    };
    unjoined.lock()[at] = Some(Finished { frame, panic });
    result
}

impl<T> Spawned<'_, T> {
    /// Waits for the work's end, records here what it read, and returns its result.
    ///
    /// # Panics
    ///
    /// With the work's panic.
    pub fn join(self) -> T {
        let result = match self.state {
            State::Elsewhere(handle) => handle.join().unwrap_or_else(|panic| resume_unwind(panic)),
            State::Done(result) => result,
        };
        let finished = self.unjoined.lock()[self.at].take();
        let panic = finished.and_then(|finished| {
            thread::merge(finished.frame);
            finished.panic
        });
        match (result, panic) {
            (Some(result), _) => result,
            (None, Some(panic)) => resume_unwind(panic),
            (None, None) => unreachable!("work without a result has panicked"),
        }
    }
}
