//! A cache: a store, the graph over it, the project it belongs to, and what happens in it.
//!
//! `Cache` is a handle: clones share everything. It must never make a call fail: where storage is faulty the
//! call runs uncached, and the first such fault is told once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use fleche_store::{CallId, Dependency, Options, Store};
use parking_lot::{Mutex, RwLock};

use crate::error::Result;
use crate::events::{Event, Events, Progress, Stats};
use crate::files::Files;
use crate::graph::Graph;
use crate::image::{self, Image};
use crate::input;
use crate::overlay::Overlay;
use crate::recorded::{self, Recorded};
use crate::rerun;

/// The caches of this process, for whoever must tell them all of a change.
static CACHES: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// How many caches there have been.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Calls `f` with every live cache of this process.
pub(crate) fn for_each(f: impl FnMut(&Cache)) {
    let mut live = Vec::new();
    CACHES.lock().retain(|cache| {
        live.extend(cache.upgrade().map(Cache));
        cache.strong_count() > 0
    });
    live.iter().for_each(f);
}

/// Where results are kept and found. Cheap to clone; clones are the same cache.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path().join(".fleche");
/// let cache = fleche::Cache::open(&dir)?;          // files below `dir`, shared with other processes
/// let scope = fleche::cache(&cache)?;              // calls on this thread use it until `scope` drops
/// assert_eq!(cache.stats().ran, 0);
/// # drop(scope);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

const NODE_BUDGET: usize = 4_000_000;

#[derive(Debug)]
struct Inner {
    number: usize,
    store: Option<Store>,
    graph: RwLock<Arc<Graph>>,
    /// How many graphs there have been.
    graphs: AtomicUsize,
    node_budget: AtomicUsize,
    files: Files,
    events: Events,
    warned: AtomicBool,
    /// What an earlier process left of its graph, once somebody asked.
    image: OnceLock<Option<Image>>,
    /// How often records were overruled, as far as the graph reflects it.
    overruled: AtomicU64,
    /// Runs were forced that the store was not told of.
    forced: AtomicBool,
    least_image: AtomicUsize,
}

/// The count of a cache that leaves no image: its graph may hold what others overruled, or there is nowhere to leave one.
const NO_IMAGE: u64 = u64::MAX;

/// Tells the stores of what was forced.
pub(crate) fn tell_forced() {
    for_each(Cache::tell_forced);
}

impl Drop for Inner {
    /// Leaves an image of the graph to the next process, if that is worth it.
    fn drop(&mut self) {
        let overruled = *self.overruled.get_mut();
        let Some(store) = self.store.as_ref().filter(|_| overruled != NO_IMAGE && !*self.forced.get_mut())
        else {
            return;
        };
        let old = self.image.get().and_then(Option::as_ref);
        let graph = self.graph.get_mut();
        if let Some(image) = graph.image(old, &self.files, *self.least_image.get_mut()) {
            // Whoever closes a cache has no use for the news that this failed; the next process goes by the records.
            let _ = image.save(store, overruled);
        }
    }
}

impl Cache {
    /// The cache in a directory, which is made if it is missing. The project's root, to which the paths in
    /// traces are relative, is the directory's parent.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made or is not a store.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = std::path::absolute(dir.as_ref())?;
        let root = dir.parent().unwrap_or(&dir).to_path_buf();
        Self::open_at(&dir, &root)
    }

    /// Like [`Cache::open`] with a root of its own.
    ///
    /// # Errors
    ///
    /// If the directory cannot be made or is not a store.
    pub fn open_at(dir: impl AsRef<Path>, root: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::over(Some(Store::open(dir.as_ref(), Options::default())?), root.as_ref()))
    }

    /// A cache that lives as long as its handles, rooted at the working directory.
    pub fn memory() -> Self {
        Self::over(Some(Store::memory()), &std::env::current_dir().unwrap_or_default())
    }

    /// A cache that keeps nothing: every call runs.
    pub fn void() -> Self {
        Self::over(None, &std::env::current_dir().unwrap_or_default())
    }

    /// A cache over an open store, for a project at `root`.
    pub fn with_store(store: Store, root: impl AsRef<Path>) -> Self {
        Self::over(Some(store), root.as_ref())
    }

    /// A cache that sees its files through a door of the caller's.
    #[cfg(test)]
    pub(crate) fn through(system: crate::system::System, store: Store, root: &Path) -> Self {
        let files = Files::over(system, root.to_path_buf(), Some(store.clone()));
        Self::of(Some(store), files)
    }

    fn over(store: Option<Store>, root: &Path) -> Self {
        // Paths are compared with what the system reports as working directory, which has no links in it.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        Self::of(store.clone(), Files::new(root, store))
    }

    fn of(store: Option<Store>, files: Files) -> Self {
        // Before anything is read. What is in memory leaves nothing to later processes.
        let on_disk = store.as_ref().filter(|store| store.dir().is_some());
        let overruled = on_disk.map_or(Ok(NO_IMAGE), Store::overruled).unwrap_or(NO_IMAGE);
        let cache = Self(Arc::new(Inner {
            number: COUNT.fetch_add(1, Ordering::Relaxed),
            files,
            store,
            graph: RwLock::new(Arc::new(Graph::new())),
            graphs: AtomicUsize::new(0),
            node_budget: AtomicUsize::new(NODE_BUDGET),
            events: Events::default(),
            warned: AtomicBool::new(false),
            image: OnceLock::new(),
            overruled: AtomicU64::new(overruled),
            forced: AtomicBool::new(false),
            least_image: AtomicUsize::new(image::LEAST),
        }));
        CACHES.lock().push(Arc::downgrade(&cache.0));
        cache
    }

    /// The store beneath; `None` for [`Cache::void`].
    pub fn store(&self) -> Option<&Store> {
        self.0.store.as_ref()
    }

    /// The project's root.
    pub fn root(&self) -> PathBuf {
        self.0.files.root().to_path_buf()
    }

    /// What happened in this cache since it was opened in this process.
    pub fn stats(&self) -> Stats {
        self.0.events.stats()
    }

    /// The content in memory that lies over the files for whoever has this cache in scope.
    pub fn overlay(&self) -> Overlay {
        Overlay::of(self.clone())
    }

    /// Calls `listener` at each event, on the thread on which it happens, for as long as the cache lives.
    pub fn subscribe(&self, listener: impl Fn(&Event) + Send + Sync + 'static) {
        self.0.events.subscribe(Arc::new(listener));
    }

    /// The recorded inputs that this path is part of: its content, its metadata, the names in its directory, and each
    /// tree, walk and glob that comes by it; of a directory those of what lies below it, too. For
    /// [`crate::recorded::Recorded::dependents`]; a relative path goes by the working directory.
    ///
    /// It need not exist any more. A walk that follows links is known by the path that it begins at, and one that obeys
    /// ignore files counts even if they exclude this path. Reads all records: what a glob matches is not in its name.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn inputs_at(&self, path: impl AsRef<Path>) -> Result<Vec<Dependency>> {
        self.inputs_at_any([path])
    }

    /// Like [`Cache::inputs_at`], of several paths at once, with one pass over the records.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn inputs_at_any(&self, paths: impl IntoIterator<Item: AsRef<Path>>) -> Result<Vec<Dependency>> {
        let paths = paths.into_iter().map(|path| input::whole(path.as_ref()));
        self.store().map_or(Ok(Vec::new()), |store| recorded::inputs_at(store, self.files().root(), paths))
    }

    /// Makes a call run when it is next asked for, whatever its records say; its callers then go by what it makes.
    /// Runs nothing. False if no record of it is kept.
    ///
    /// Other processes that have the call in memory answer from there until they end.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written.
    pub fn invalidate(&self, call: CallId) -> Result<bool> {
        let invalidated = rerun::invalidate(self, call);
        self.tell_forced();
        invalidated
    }

    /// Like [`Cache::invalidate`] for all calls that depend on this, directly or through others, but not for itself.
    /// Gives those calls.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written.
    pub fn invalidate_dependents(&self, of: &Dependency) -> Result<Vec<CallId>> {
        let Some(store) = self.store() else { return Ok(Vec::new()) };
        let graph = Recorded::of(store).dependents([of.clone()])?;
        let mut calls = Vec::new();
        for call in graph.calls() {
            if *of != Dependency::Call(call.id) && rerun::invalidate(self, call.id)? {
                calls.push(call.id);
            }
        }
        self.tell_forced();
        Ok(calls)
    }

    /// Calls `follower` at each step of each call that is more than a look, on the thread on which it happens, for as
    /// long as the cache lives. The same steps are events of `tracing` (target `fleche`, level debug), within spans
    /// `run` and `verify`.
    ///
    /// ```
    /// # use fleche::fleche;
    /// #[fleche]
    /// fn double(n: u64) -> u64 {
    ///     n * 2
    /// }
    ///
    /// # fn main() -> fleche::Result<()> {
    /// let cache = fleche::Cache::memory();
    /// cache.follow(|progress| println!("{progress}"));
    /// let _scope = fleche::cache(&cache)?;
    /// double(2); // double(2): began, double(2): stored, 8 bytes, double(2): ran
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, follower: impl Fn(&Progress) + Send + Sync + 'static) {
        self.0.events.follow(Arc::new(follower));
    }

    /// The graph that a call starting now is to use.
    pub(crate) fn graph(&self) -> Arc<Graph> {
        self.0.graph.read().clone()
    }

    /// Tells the graph of now from those before it.
    pub(crate) fn graph_number(&self) -> usize {
        self.0.graphs.load(Ordering::Acquire)
    }

    /// Asks the graph that a call starting now is to use.
    pub(crate) fn with_graph<T>(&self, question: impl FnOnce(&Graph) -> T) -> T {
        question(&self.0.graph.read())
    }

    /// The graph for a top-level call. Beyond the node budget it is a fresh one; calls that are under way keep
    /// theirs.
    pub(crate) fn graph_for_top(&self) -> Arc<Graph> {
        let graph = self.graph();
        if graph.len() <= self.0.node_budget.load(Ordering::Relaxed) {
            return graph;
        }
        let fresh = Arc::new(Graph::new());
        *self.0.graph.write() = fresh.clone();
        self.0.graphs.fetch_add(1, Ordering::Release);
        fresh
    }

    /// How many calls are remembered in memory before it is given back and they come from the store again.
    /// By default four million; a call takes about a kilobyte.
    pub fn set_node_budget(&self, calls: usize) {
        self.0.node_budget.store(calls, Ordering::Relaxed);
    }

    /// From walks through how many calls a flat form is made. For tests: by default only large ones are worth it.
    #[doc(hidden)]
    pub fn set_least_cover(&self, calls: usize) {
        self.graph().set_least_cover(calls);
    }

    /// From how many calls on a graph is kept for the next process. For tests: by default only large ones are worth it.
    #[doc(hidden)]
    pub fn set_least_image(&self, calls: usize) {
        self.0.least_image.store(calls, Ordering::Relaxed);
    }

    /// How many calls are remembered in memory. For tests.
    #[doc(hidden)]
    pub fn known(&self) -> usize {
        self.graph().len()
    }

    /// How many calls came from the image that an earlier process left. For tests.
    #[doc(hidden)]
    pub fn imported(&self) -> usize {
        self.graph().imported()
    }

    /// What an earlier process left of its graph, once this graph has so many calls that it is worth a look.
    pub(crate) fn image(&self, calls: usize) -> Option<&Image> {
        if calls < image::WORTH.min(self.0.least_image.load(Ordering::Relaxed)) {
            return None;
        }
        self.0.image.get_or_init(|| Image::load(self.store()?)).as_ref()
    }

    /// Whether no record was overruled since the image was read, by whomever.
    pub(crate) fn is_current(&self, image: &Image) -> bool {
        // Where the count could not be raised there is none.
        let counts = self.0.overruled.load(Ordering::Acquire) != NO_IMAGE;
        counts && self.ask(Store::overruled) == Some(image.overruled)
    }

    /// Notes that a record was put that is to be preferred to others.
    pub(crate) fn count_forced(&self) {
        self.0.forced.store(true, Ordering::Release);
    }

    fn tell_forced(&self) {
        if !self.0.forced.swap(false, Ordering::AcqRel) {
            return;
        }
        let Some(count) = self.ask(Store::overrule) else { return };
        let own = |before: u64| if before.checked_add(1) == Some(count) { count } else { NO_IMAGE };
        let _ =
            self.0.overruled.fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| Some(own(before)));
    }

    /// Tells this cache from all others that this process has had.
    pub(crate) fn number(&self) -> usize {
        self.0.number
    }

    pub(crate) fn files(&self) -> &Files {
        &self.0.files
    }

    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    /// The result of asking the store; a fault counts as nothing found.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Store) -> fleche_store::Result<T>) -> Option<T> {
        question(self.0.store.as_ref()?).map_err(|error| self.warn(&error)).ok()
    }

    /// Tells of a fault of storage, once.
    pub(crate) fn warn(&self, error: &dyn std::fmt::Display) {
        if !self.0.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "the cache is faulty; calls run uncached");
        }
    }
}
