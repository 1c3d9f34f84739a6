//! Tells when something changes that tasks depend on: the manifest, or a path that one of their inputs matches and no task makes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

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
    events: Receiver<notify::Result<notify::Event>>,
    manifest: PathBuf,
    /// Directories in which inputs can lie, as project paths.
    bases: Vec<String>,
    /// Ends the watch when it is dropped.
    _guard: RecommendedWatcher,
}

impl Watcher {
    /// Watches the manifest, and the inputs of `tasks` if there is a plan.
    pub fn new(manifest: &Path, plan: Option<(&Plan, &[TaskId])>) -> notify::Result<Watcher> {
        let (send, events) = channel();
        // Events name a directory by the spelling under which it is watched, so there must be one.
        let manifest =
            match (manifest.parent().and_then(|parent| parent.canonicalize().ok()), manifest.file_name()) {
                (Some(parent), Some(name)) => parent.join(name),
                _ => manifest.to_owned(),
            };
        let mut watcher = notify::recommended_watcher(send)?;
        let mut bases: BTreeMap<String, bool> = BTreeMap::new();
        if let Some((plan, tasks)) = plan {
            for input in tasks.iter().flat_map(|task| &plan.tasks[*task].inputs) {
                let (base, deep) = input.pattern.base(&plan.root);
                *bases.entry(base).or_default() |= deep;
            }
        }
        let root = plan.map_or_else(
            || manifest.parent().unwrap_or(Path::new("/")).to_owned(),
            |(plan, _)| plan.root.clone(),
        );
        let mut places: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for (base, deep) in &bases {
            let place = on_disk(&root, base);
            // What is not there yet is waited for in the nearest directory that is.
            match place.ancestors().find(|above| above.is_dir()) {
                Some(above) if above == place => *places.entry(place).or_default() |= deep,
                Some(above) => {
                    places.entry(above.to_owned()).or_default();
                }
                None => {}
            }
        }
        // The directory, since an editor may replace the file.
        places.entry(manifest.parent().unwrap_or(Path::new("/")).to_owned()).or_default();
        for (place, deep) in places {
            let mode = if deep { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            watcher.watch(&place, mode)?;
        }
        let bases = bases.into_keys().collect();
        Ok(Watcher { events, manifest, bases, _guard: watcher })
    }

    /// Waits until something changes that matters, and then until it is quiet.
    pub fn wait(&self, plan: Option<(&Plan, &[TaskId])>, interrupt: &Interrupt) -> Change {
        let mut found: Option<(Change, Instant)> = None;
        loop {
            if interrupt.is_set() {
                return Change::Interrupted;
            }
            let patience = if found.is_some() { QUIET } else { BEAT };
            match self.events.recv_timeout(patience) {
                Ok(event) => {
                    if let Some(change) = self.matters(event, plan) {
                        let (sum, since) = found.get_or_insert((change, Instant::now()));
                        *sum = change.max(*sum);
                        if since.elapsed() > LONGEST {
                            return *sum;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some((change, _)) = found {
                        return change;
                    }
                }
                // The watcher is gone: a new one has to be made.
                Err(RecvTimeoutError::Disconnected) => return Change::Plan,
            }
        }
    }

    fn matters(
        &self,
        event: notify::Result<notify::Event>,
        plan: Option<(&Plan, &[TaskId])>,
    ) -> Option<Change> {
        // Events were lost: look at everything.
        let Ok(event) = event else { return Some(Change::Plan) };
        if event.need_rescan() {
            return Some(Change::Plan);
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return None,
            _ => {}
        }
        let appeared =
            matches!(event.kind, EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(_));
        event.paths.iter().filter_map(|path| self.path_matters(path, appeared, plan)).max()
    }

    fn path_matters(&self, path: &Path, appeared: bool, plan: Option<(&Plan, &[TaskId])>) -> Option<Change> {
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
        if appeared && self.bases.iter().any(|base| base == path || is_below(base, path)) {
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
