//! Tells when something changes that tasks depend on: the manifest, or a path that one of their inputs matches and no task makes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

enum Told {
    Changes(Changes),
    /// Whoever follows is to stop.
    Stop,
}

/// What changes concern.
#[derive(Debug, Default)]
pub struct Concerned {
    /// The plan has to be made anew.
    pub plan: bool,
    /// The paths that changed and that a task reads, by task.
    pub tasks: BTreeMap<TaskId, Vec<String>>,
    /// Of these paths, those for which the plan has to be made anew.
    for_plan: BTreeSet<String>,
}

impl Concerned {
    /// What changed, each once.
    fn paths(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.tasks.values().flatten().chain(&self.for_plan).collect();
        all.into_iter().cloned().collect()
    }
}

/// Watches the inputs of some tasks.
#[derive(Debug)]
pub struct Watcher {
    told: Mutex<Receiver<Told>>,
    tell: Sender<Told>,
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
        let (tell, told) = channel();
        let send = tell.clone();
        let guard = Watch::new(roots)
            .quiet(QUIET)
            .longest(LONGEST)
            .skip(move |path| !places.iter().any(|place| place.takes_in(path)))
            .start(move |changes| drop(send.send(Told::Changes(changes.clone()))))?;
        let bases = bases.into_keys().collect();
        Ok(Watcher { told: Mutex::new(told), tell, manifest, bases, _guard: guard })
    }

    fn told(&self) -> MutexGuard<'_, Receiver<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changes that matters, and then until it is quiet; also gives the paths. `matters` is asked of
    /// changes of inputs.
    pub fn wait(
        &self,
        plan: Option<(&Plan, &[TaskId])>,
        interrupt: &Interrupt,
        matters: &dyn Fn(&Concerned) -> bool,
    ) -> (Change, Vec<String>) {
        let told = self.told();
        loop {
            if interrupt.is_set() {
                return (Change::Interrupted, Vec::new());
            }
            match told.recv_timeout(BEAT) {
                Ok(Told::Changes(changes)) => {
                    let concerned = self.concerned(&changes, plan);
                    if concerned.plan {
                        return (Change::Plan, concerned.paths());
                    }
                    if !concerned.tasks.is_empty() && matters(&concerned) {
                        return (Change::Inputs, concerned.paths());
                    }
                }
                Ok(Told::Stop) | Err(RecvTimeoutError::Timeout) => {}
                // The watcher is gone: a new one has to be made.
                Err(RecvTimeoutError::Disconnected) => return (Change::Plan, Vec::new()),
            }
        }
    }

    /// Tells of each change that matters, until [`Watcher::stop`].
    pub fn follow(&self, plan: (&Plan, &[TaskId]), mut tell: impl FnMut(Concerned)) {
        let told = self.told();
        while let Ok(Told::Changes(changes)) = told.recv() {
            let concerned = self.concerned(&changes, Some(plan));
            if concerned.plan || !concerned.tasks.is_empty() {
                tell(concerned);
            }
        }
    }

    /// Ends [`Watcher::follow`].
    pub fn stop(&self) {
        // The other end lives as long as this one.
        let _ = self.tell.send(Told::Stop);
    }

    fn concerned(&self, changes: &Changes, plan: Option<(&Plan, &[TaskId])>) -> Concerned {
        let mut concerned = Concerned { plan: changes.is_everything(), ..Concerned::default() };
        for path in changes.paths() {
            if path == self.manifest {
                concerned.plan = true;
                concerned.for_plan.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            } else if let Some((plan, tasks)) = plan {
                self.add(path, plan, tasks, &mut concerned);
            }
        }
        concerned
    }

    fn add(&self, path: &Path, plan: &Plan, tasks: &[TaskId], to: &mut Concerned) {
        let inside = path.strip_prefix(&plan.root).ok();
        let hidden = |name: &OsStr| name.to_str().is_none_or(is_hidden_from_walks);
        if inside.is_some_and(|inside| inside.iter().any(hidden)) {
            return;
        }
        let Some(path) = inside.unwrap_or(path).to_str() else { return };
        if plan.maker(path).is_some() {
            return;
        }
        if self.bases.iter().any(|base| base == path || is_below(base, path)) {
            to.plan = true;
            to.for_plan.insert(path.to_owned());
            return;
        }
        let is_directory = on_disk(&plan.root, path).is_dir();
        for task in tasks {
            let mut inputs = plan.tasks[*task].inputs.iter();
            if inputs.any(|input| {
                input.pattern.matches(path) || (is_directory && input.pattern.reaches_into(path))
            }) {
                to.tasks.entry(*task).or_default().push(path.to_owned());
            }
        }
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
