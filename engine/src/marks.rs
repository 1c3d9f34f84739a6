//! Marks: which inputs a watcher saw change, and which it covers so that they need no look.
//!
//! An input that was looked at in a revision is *held* from then on if a watcher covers its path and nothing about
//! the path was reported since that revision began. A held input has the digest that the graph knows; a mark ends
//! that. Whatever is not known for certain is not held: to look again costs little, to be wrong a wrong hit.
//!
//! Every mark is numbered by the counter of changes, so that "since the revision began" is a comparison. An input
//! that is met for the first time counts as marked just then: what was reported about its path before is not kept.

use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use fleche_store::Digest;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::input::{Input, InputId};
use crate::paths::PathMap;
use crate::{cache, cancel, graph, input};

/// What a watcher is asked.
pub(crate) trait Source: Send + Sync {
    /// Whether every change of what lies at the path (and, if `deep`, below it) will be reported.
    fn covers(&self, path: &Path, deep: bool) -> bool;

    /// Takes in what has been reported up to now. What any thread did before this call counts as reported.
    fn drain(&self);
}

/// The inputs about one path.
type About = SmallVec<[(InputId, Arc<Input>); 2]>;

struct Index {
    /// The inputs about each path: whole, since who holds this lock must not wait for the one of the inputs' numbers,
    /// under which inputs are entered here.
    by_path: PathMap<About>,
    /// The number of each input's last mark, by the input's number.
    marked: Vec<u64>,
    /// The working directory, as it is seen from the root of each cache.
    here: Vec<InputId>,
}

/// Built when the first watcher starts and kept up from then on.
static INDEX: LazyLock<RwLock<Option<Index>>> = LazyLock::new(RwLock::default);

/// A watcher that is trusted.
struct Trusted {
    source: Arc<dyn Source>,
    /// It is drained at the start of each top-level call.
    prompt: bool,
    /// Of no other watcher, before or after.
    number: u64,
}

/// The working directory as [`catch_up`] found it last, if somebody depends on it.
static HERE: RwLock<Option<PathBuf>> = RwLock::new(None);

/// Held while it is found.
static FINDING: Mutex<()> = Mutex::new(());

static SOURCES: RwLock<Vec<Trusted>> = RwLock::new(Vec::new());

/// The number of the watcher that came last.
static LAST: AtomicU64 = AtomicU64::new(0);

/// How many watchers there are, and how many of them are to be drained.
static COUNT: AtomicUsize = AtomicUsize::new(0);
static PROMPT: AtomicUsize = AtomicUsize::new(0);

impl Index {
    /// Before the graphs are told: whoever holds an input after this compares with the new number.
    fn mark(&mut self, ids: &[InputId], number: u64) {
        for id in ids {
            self.marked[id.number() as usize] = number;
        }
    }

    fn enter(&mut self, id: InputId, input: &Arc<Input>) {
        let number = id.number() as usize;
        if self.marked.len() <= number {
            self.marked.resize(number + 1, u64::MAX);
        }
        self.marked[number] = graph::last_change();
        if let Some(path) = input.path() {
            self.by_path.entry(path).or_default().push((id, input.clone()));
        }
        if matches!(**input, Input::WorkingDirectory(_)) {
            self.here.push(id);
        }
    }
}

/// Takes note of a new input. To be called before anybody can look at it.
pub(crate) fn entered(id: InputId, input: &Arc<Input>) {
    if COUNT.load(Ordering::Acquire) > 0
        && let Some(index) = &mut *INDEX.write()
    {
        index.enter(id, input);
    }
}

/// Begins to trust a watcher. `prompt`: it is drained at the start of each top-level call.
pub(crate) fn add(source: Arc<dyn Source>, prompt: bool) {
    COUNT.fetch_add(1, Ordering::AcqRel);
    input::for_all(|all| {
        let mut index = INDEX.write();
        let fresh = index.is_none();
        let index = index.get_or_insert_with(|| Index {
            by_path: PathMap::default(),
            marked: Vec::new(),
            here: Vec::new(),
        });
        // Inputs met while nobody watched were not entered.
        for (id, input) in all {
            if fresh || index.marked.get(id.number() as usize).is_none_or(|marked| *marked == u64::MAX) {
                index.enter(id, input);
            }
        }
    });
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    SOURCES.write().push(Trusted { source, prompt, number });
    if prompt {
        PROMPT.fetch_add(1, Ordering::AcqRel);
    }
}

/// Ceases to trust a watcher. What it covered must be marked after that.
pub(crate) fn remove(source: &Arc<dyn Source>, prompt: bool) {
    if prompt && PROMPT.fetch_sub(1, Ordering::AcqRel) == 1 {
        mark_here();
    }
    SOURCES.write().retain(|other| !std::ptr::addr_eq(Arc::as_ptr(&other.source), Arc::as_ptr(source)));
    COUNT.fetch_sub(1, Ordering::AcqRel);
}

/// At the start of a top-level call: what was changed before is known after.
pub(crate) fn catch_up() {
    if PROMPT.load(Ordering::Relaxed) > 0 {
        // Outside the lock: what is drained may take long.
        let prompt: SmallVec<[Arc<dyn Source>; 2]> =
            SOURCES.read().iter().filter(|known| known.prompt).map(|known| known.source.clone()).collect();
        prompt.iter().for_each(|source| source.drain());
        find_here();
    }
}

/// Nobody tells of a change of the working directory. It is asked for, which is one system call.
fn find_here() {
    if INDEX.read().as_ref().is_none_or(|index| index.here.is_empty()) {
        return;
    }
    // One at a time: who comes while another marks must not go on before that is done.
    let _one = FINDING.lock();
    let here = std::env::current_dir().ok();
    if *HERE.read() != here {
        // Marked before it is known: until then nothing is held by it.
        mark_here();
        *HERE.write() = here;
    }
}

/// Marks the working directory.
fn mark_here() {
    let number = graph::count_change();
    let ids = {
        let mut index = INDEX.write();
        let Some(index) = &mut *index else { return };
        let ids = index.here.clone();
        index.mark(&ids, number);
        ids
    };
    tell(&ids, number);
}

/// Whether [`catch_up`] has anything to do.
pub(crate) fn is_prompt() -> bool {
    PROMPT.load(Ordering::Relaxed) > 0
}

/// Whether a watcher covers what the input is about, of which `digest` was seen.
pub(crate) fn covers(id: InputId, digest: Digest) -> bool {
    if COUNT.load(Ordering::Relaxed) == 0 || id.is_told() {
        return false;
    }
    let input = id.input();
    if let Input::WorkingDirectory(root) = &*input {
        // It may have been another one for a while: what was seen then is not what the next call asks for.
        let is_here = |here: &PathBuf| input::working_directory_digest(here, root) == digest;
        return is_prompt() && HERE.read().as_ref().is_some_and(is_here);
    }
    let Some(path) = input.path() else { return false };
    if matches!(&*input, Input::Tree(selection) if selection.reads_above()) {
        return false;
    }
    // `a/../b` may lead anywhere.
    if path.components().any(|part| part == Component::ParentDir) {
        return false;
    }
    SOURCES.read().iter().any(|known| known.source.covers(path, input.is_deep()))
}

/// The number of a watcher that reports every change of what lies at the path or below it; 0 if there is none. As long
/// as it stays the same, nothing has changed there but what was marked.
pub(crate) fn watch_over(path: &Path) -> u64 {
    if COUNT.load(Ordering::Acquire) == 0 {
        return 0;
    }
    let sources = SOURCES.read();
    sources.iter().find(|known| known.source.covers(path, true)).map_or(0, |known| known.number)
}

/// The number of the input's last mark.
pub(crate) fn marked(id: InputId) -> u64 {
    let index = INDEX.read();
    let marked = index.as_ref().and_then(|index| index.marked.get(id.number() as usize));
    marked.copied().unwrap_or(u64::MAX)
}

/// Marks every input that is about one of these paths, about something below one, or about a directory above one as far
/// as it goes so deep.
pub(crate) fn mark<'a>(paths: impl IntoIterator<Item = &'a Path>) {
    let paths: SmallVec<[&Path; 4]> = paths.into_iter().collect();
    // Trees first: a revision that begins when the mark is counted must find it when it looks.
    cache::for_each(|cache| paths.iter().for_each(|path| cache.files().trees().mark(path)));
    let number = graph::count_change();
    let mut ids: Vec<InputId> = Vec::new();
    {
        let mut index = INDEX.write();
        let Some(index) = &mut *index else { return };
        for path in paths {
            for above in path.ancestors() {
                let about = index.by_path.get(above).into_iter().flatten();
                let about = about.filter(|(_, input)| above == path || input.is_touched_by(path));
                ids.extend(about.map(|(id, _)| *id));
            }
            ids.extend(index.by_path.below(path).flat_map(|(_, inputs)| inputs.iter().map(|(id, _)| *id)));
        }
        ids.sort_unstable_by_key(|id| id.number());
        ids.dedup();
        index.mark(&ids, number);
    }
    tell(&ids, number);
}

/// Tells the graphs, and who may be cancelled, of inputs that were marked.
fn tell(ids: &[InputId], number: u64) {
    if ids.is_empty() {
        return;
    }
    cache::for_each(|cache| cache.with_graph(|graph| graph.doubt(ids, number)));
    if cancel::is_possible() {
        cancel::tell(ids, graph::Graph::digest_of);
    }
}
