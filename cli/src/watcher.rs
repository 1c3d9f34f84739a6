//! Tells when something changes that tasks depend on: the manifest, or a path that one of their inputs matches and no task makes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use fleche::{Changes, Watch};

use crate::interrupt::Interrupt;
use crate::path::{is_below, on_disk};
use crate::pattern::is_hidden_from_walks;
use crate::plan::{Plan, TaskId};

/// How long it has to be quiet before a change counts as over: an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(10);
/// How long a change that does not end is waited for.
const LONGEST: Duration = Duration::from_millis(500);
/// How often an interruption is looked for while nothing happens.
const BEAT: Duration = Duration::from_millis(100);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// An input changed.
    Inputs,
    /// The manifest changed, or which directories there are to watch.
    Plan,
    /// The person wants an end.
    Interrupted,
}

/// Watches the inputs of some tasks.
#[derive(Debug)]
pub struct Watcher {
    changes: Receiver<Changes>,
    manifest: PathBuf,
    /// Directories in which inputs can lie, as project paths.
    bases: Vec<String>,
    /// Ends the watch when it is dropped.
    _guard: fleche::Watcher,
}

/// A directory in which changes matter, and whether they do further down.
struct Place {
    path: PathBuf,
    deep: bool,
}

impl Watcher {
    /// Watches the manifest, and the inputs of `tasks` if there is a plan. Needs a cache in scope, unless this is the main
    /// thread.
    pub fn new(manifest: &Path, plan: Option<(&Plan, &[TaskId])>) -> fleche::Result<Watcher> {
        // Changes name a directory by its real path.
        let manifest =
            match (manifest.parent().and_then(|parent| parent.canonicalize().ok()), manifest.file_name()) {
                (Some(parent), Some(name)) => parent.join(name),
                _ => manifest.to_owned(),
            };
        let mut bases: BTreeMap<String, bool> = BTreeMap::new();
        if let Some((plan, tasks)) = plan {
            for input in tasks.iter().flat_map(|task| &plan.tasks[*task].inputs) {
                let (base, deep) = input.pattern.base(&plan.root);
                *bases.entry(base).or_default() |= deep;
            }
        }
        let above = manifest.parent().unwrap_or(Path::new("/")).to_owned();
        let root = plan.map_or_else(|| above.clone(), |(plan, _)| plan.root.clone());
        let mut places: Vec<Place> =
            bases.iter().map(|(base, deep)| Place { path: on_disk(&root, base), deep: *deep }).collect();
        // The directory, since an editor may replace the file.
        places.push(Place { path: above, deep: false });
        let roots: Vec<PathBuf> = places.iter().map(|place| place.path.clone()).collect();
        let (send, changes) = channel();
        let guard = Watch::new(roots)
            .quiet(QUIET)
            .longest(LONGEST)
            .skip(move |path| !places.iter().any(|place| place.takes_in(path)))
            .start(move |changes| drop(send.send(changes.clone())))?;
        let bases = bases.into_keys().collect();
        Ok(Watcher { changes, manifest, bases, _guard: guard })
    }

    /// Waits until something changes that matters, and then until it is quiet.
    pub fn wait(&self, plan: Option<(&Plan, &[TaskId])>, interrupt: &Interrupt) -> Change {
        loop {
            if interrupt.is_set() {
                return Change::Interrupted;
            }
            match self.changes.recv_timeout(BEAT) {
                Ok(changes) => {
                    if let Some(change) = self.matters(&changes, plan) {
                        return change;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The watcher is gone: a new one has to be made.
                Err(RecvTimeoutError::Disconnected) => return Change::Plan,
            }
        }
    }

    fn matters(&self, changes: &Changes, plan: Option<(&Plan, &[TaskId])>) -> Option<Change> {
        if changes.is_everything() {
            return Some(Change::Plan);
        }
        changes.paths().filter_map(|path| self.path_matters(path, plan)).max()
    }

    fn path_matters(&self, path: &Path, plan: Option<(&Plan, &[TaskId])>) -> Option<Change> {
        if path == self.manifest {
            return Some(Change::Plan);
        }
        let (plan, tasks) = plan?;
        let inside = path.strip_prefix(&plan.root).ok();
        let hidden = |name: &OsStr| name.to_str().is_none_or(is_hidden_from_walks);
        if inside.is_some_and(|inside| inside.iter().any(hidden)) {
            return None;
        }
        let path = inside.unwrap_or(path).to_str()?;
        if plan.maker(path).is_some() {
            return None;
        }
        if self.bases.iter().any(|base| base == path || is_below(base, path)) {
            return Some(Change::Plan);
        }
        let is_directory = on_disk(&plan.root, path).is_dir();
        tasks
            .iter()
            .flat_map(|task| &plan.tasks[*task].inputs)
            .any(|input| input.pattern.matches(path) || (is_directory && input.pattern.reaches_into(path)))
            .then_some(Change::Inputs)
    }
}

impl Place {
    /// Whether a change at the path can matter here.
    fn takes_in(&self, path: &Path) -> bool {
        self.path.starts_with(path)
            || (self.deep && path.starts_with(&self.path))
            || (path.parent() == Some(&self.path) && !path.is_dir())
    }
}
