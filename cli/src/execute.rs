//! Brings one task up to date: answers it from a record and restores its outputs, or runs it and captures them.
//! Each task sees its inputs as they are when its turn comes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fleche::dynamic::{Function, How};
use fleche_store::{CodeDigest, Digest, Record, Store};

use crate::environment::{self, Outer, ROOT_VARIABLE};
use crate::interrupt::Interrupt;
use crate::ledger::Ledger;
use crate::manifest::At;
use crate::observed::Observed;
use crate::plan::{Expanded, Plan, Task, TaskId};
use crate::process::{Capture, Ended, Job, run};
use crate::produced::Produced;
use crate::spec::{META, Seen, Spec, Success, inputs_file, text};
use crate::stamp::Stamp;
use crate::stash::Stash;
use crate::work::Work;
use crate::{capture, lines, programs, restore};

/// A command longer than this goes through a file: one argument can hold 128 KiB.
const LONGEST_ARGUMENT: usize = 100_000;

/// What the tasks of one run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// All tasks.
    pub plan: &'a Plan,
    /// Where records and outputs are kept.
    pub cache: &'a fleche::Cache,
    /// The environment of whoever runs fleche.
    pub outer: &'a Outer,
    /// Scratch files and the captured streams of failures.
    pub work: &'a Work,
    /// What tasks have made here.
    pub ledger: &'a Mutex<Ledger>,
    /// Ends the tasks.
    pub interrupt: &'a Interrupt,
    /// Where it is noted what each task read, if somebody wants to know.
    pub observed: Option<&'a Observed>,
}

/// What became of a task.
#[derive(Debug)]
pub enum Outcome {
    /// A record holds, and the outputs are as it says.
    Hit(Produced),
    /// A record holds, and this many paths were brought back to what it says.
    Restored(Produced, usize),
    /// It ran and succeeded. Not recorded: the reason.
    Ran {
        /// How long it took.
        duration: Duration,
        /// What it made, if that was kept.
        produced: Option<Produced>,
        /// Whether it made what its last success had made.
        same: bool,
        /// The last lines it wrote.
        tail: Vec<String>,
        /// Why the success could not be recorded, if it should have been.
        not_recorded: Option<String>,
    },
    /// It has nothing to run.
    Nothing,
    /// It failed.
    Failed(Failure),
}

/// Why a task failed.
#[derive(Debug)]
pub enum Failure {
    /// The command did.
    Command {
        /// How it ended.
        status: ExitStatus,
        /// How long it took.
        duration: Duration,
        /// The last lines it wrote.
        tail: Vec<String>,
        /// Variables it names that it was not given.
        withheld: Vec<String>,
    },
    /// It could not be started, or did not make what it should have.
    Message(String),
    /// It succeeded, but these inputs are not what they were when it began.
    Changed(Vec<String>),
    /// It was ended.
    Interrupted,
}

/// All about a task that can be known before it runs.
#[derive(Debug)]
pub struct Prepared {
    /// Its inputs.
    pub inputs: Expanded,
    /// What it does.
    pub spec: Spec,
    /// The call that it is to the engine.
    pub function: Function,
}

impl Context<'_> {
    /// Expands a task; `predicted` as for [`Plan::expand`].
    pub fn prepare(
        &self,
        id: TaskId,
        predicted: &dyn Fn(TaskId) -> Option<Vec<String>>,
    ) -> Result<Prepared, String> {
        let task = &self.plan.tasks[id];
        let inputs = self.plan.expand(id, predicted)?;
        let mut tools = BTreeMap::new();
        for tool in &task.tools {
            tools.insert(tool.value.clone(), self.tool_digest(task, tool)?);
        }
        let spec = Spec::new(task, &inputs, tools, self.outer);
        let function = function(&task.name, spec.digest());
        Ok(Prepared { inputs, spec, function })
    }

    /// Where a task's program is, as the task itself would find it.
    pub fn find_program(&self, task: &Task, name: &str) -> Option<PathBuf> {
        let environment = environment::of_task(task, self.outer);
        let search = environment.get(std::ffi::OsStr::new("PATH")).map(OsString::as_os_str);
        programs::find(name, search, &self.plan.root.join(&task.cwd))
    }

    fn tool_digest(&self, task: &Task, tool: &At<String>) -> Result<Digest, String> {
        let path = self
            .find_program(task, &tool.value)
            .ok_or_else(|| format!("tool `{}` was not found on PATH", tool.value))?;
        match fleche::fs::digest(&path) {
            Ok(Some(digest)) => Ok(digest),
            Ok(None) => Err(format!("tool `{}` disappeared", tool.value)),
            Err(error) => Err(format!("tool `{}` cannot be read: {error}", tool.value)),
        }
    }

    /// The success that a task is compared with: the newest of those whose outputs were put here last, or else the newest.
    /// After a revert that is an older one than the last that ran.
    pub fn last_success(&self, id: TaskId, function: &Function) -> Option<(Arc<Record>, Success)> {
        let history = function.history().ok()?;
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let lies_here = |record: &&Arc<Record>| {
            fleche::dynamic::result_of::<Produced>(record)
                .is_some_and(|produced| ledger.has_made(&self.plan.tasks[id].name, &produced))
        };
        let success = |record: &Arc<Record>| Some((record.clone(), Success::of(record)?));
        history.iter().filter(lies_here).find_map(success).or_else(|| history.iter().find_map(success))
    }

    fn place(&self, path: &str) -> PathBuf {
        self.plan.root.join(path)
    }

    /// Brings a task up to date; with `force` it runs whatever the records say. `cancel` ends it early. `before` is told
    /// when it is going to run, `line` each line that it writes.
    pub fn bring_up_to_date(
        &self,
        id: TaskId,
        force: bool,
        cancel: &Interrupt,
        before: &dyn Fn(&Prepared),
        line: &dyn Fn(&str),
    ) -> Outcome {
        let task = &self.plan.tasks[id];
        if task.run.is_none() {
            return Outcome::Nothing;
        }
        let prepared = match self.prepare(id, &|_| None) {
            Ok(prepared) => prepared,
            Err(message) => return Outcome::Failed(Failure::Message(message)),
        };
        let body = || {
            before(&prepared);
            self.run(id, &prepared, cancel, line)
        };
        if !task.is_cached() {
            return match body() {
                Ok(Run { duration, tail, .. }) => {
                    Outcome::Ran { duration, produced: None, same: false, tail, not_recorded: None }
                }
                Err(failure) => Outcome::Failed(failure),
            };
        }
        let function = &prepared.function;
        let mut ran = None;
        let mut remember = || {
            let before = last_result(function);
            body().map(|run| {
                let same = before.is_some_and(|before| before.entries == run.produced.entries);
                let produced = run.produced.clone();
                ran = Some((run, same));
                produced
            })
        };
        let mut answer = if force { function.rerun(&mut remember) } else { function.call(&mut remember) };
        if let Ok((produced, How::Hit)) = &answer
            && !produced.holds_in(&self.plan.root)
        {
            answer = function.rerun(&mut remember);
        }
        if let Ok((produced, How::Hit)) = &answer {
            match self.restore(task, produced) {
                Ok(0) => return Outcome::Hit(produced.clone()),
                Ok(count) => return Outcome::Restored(produced.clone(), count),
                Err(error) => {
                    // What the record promises cannot be had: it has to be made again.
                    tracing::debug!(task = task.name, %error, "outputs cannot be restored");
                    answer = function.rerun(&mut remember);
                }
            }
        }
        match answer {
            Ok((produced, how)) => {
                let Some((Run { duration, tail, mut not_recorded, .. }, same)) = ran else {
                    // Another process was quicker between the two questions.
                    return Outcome::Hit(produced);
                };
                if how == (How::Ran { recorded: false })
                    && not_recorded.is_none()
                    && self.cache.store().is_some()
                {
                    not_recorded = Some("the cache did not take the result".to_owned());
                }
                let produced = not_recorded.is_none().then_some(produced);
                Outcome::Ran { duration, produced, same, tail, not_recorded }
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }

    fn restore(&self, task: &Task, produced: &Produced) -> Result<usize, restore::Error> {
        let io = |error| restore::Error::Io { path: task.name.clone(), error };
        let differences = restore::differences(&self.plan.root, task, produced, &digest_now).map_err(io)?;
        if !differences.is_empty() {
            let store = self.cache.store().ok_or_else(|| restore::Error::Gone(task.name.clone()))?;
            let staging = self.work.staging().map_err(io)?;
            restore::restore(&self.plan.root, &staging, task, &differences, store)?;
        }
        Ok(differences.len())
    }

    /// The body of the task's call.
    fn run(
        &self,
        id: TaskId,
        prepared: &Prepared,
        cancel: &Interrupt,
        line: &dyn Fn(&str),
    ) -> Result<Run, Failure> {
        let task = &self.plan.tasks[id];
        let root = &self.plan.root;
        let message = |error: io::Error| Failure::Message(error.to_string());
        if let Some(observed) = self.observed {
            observed.begin(id);
        }
        let mut seen = Vec::new();
        for path in &prepared.inputs.files {
            let place = self.place(path);
            let stamp = Stamp::of(&place).ok();
            // Each input becomes an edge of the call's trace.
            match fleche::dynamic::entry(&place) {
                Ok(Some((digest, executable))) => seen.push((path, stamp, digest, executable)),
                Ok(None) => {
                    return Err(Failure::Message(format!("input {path} disappeared before the task began")));
                }
                Err(error) => return Err(Failure::Message(format!("input {path} cannot be read: {error}"))),
            }
        }
        if let Some(observed) = self.observed {
            observed.note(id, seen.iter().map(|(path, _, digest, executable)| (*path, *digest, *executable)));
        }
        let scratch = self.work.scratch().map_err(message)?;
        let streams = Capture::in_directory(scratch.path());
        if text(task).contains("${inputs.file}") {
            let list = prepared.inputs.words.join("\n") + "\n";
            self.work.write(&self.place(&inputs_file(task)), &list).map_err(message)?;
        }
        let stash = self
            .work
            .staging()
            .and_then(|staging| Stash::put_aside(root, &staging, task))
            .map_err(|error| Failure::Message(format!("its outputs cannot be emptied: {error}")))?;
        let undo = |stash: Stash, failure: Failure| match stash.put_back(root, task) {
            Ok(()) => failure,
            Err(error) => Failure::Message(format!("its earlier outputs cannot be put back: {error}")),
        };
        let words = match self.words(task, &prepared.spec, scratch.path()) {
            Ok(words) => words,
            Err(failure) => return Err(undo(stash, failure)),
        };
        let mut environment = environment::of_task(task, self.outer);
        environment.insert(ROOT_VARIABLE.into(), root.into());
        let job = Job {
            words,
            directory: root.join(&task.cwd),
            environment,
            capture: &streams,
            enders: [self.interrupt, cancel],
        };
        let ended = match run(&job, line) {
            Ok(ended) => ended,
            Err(error) => return Err(undo(stash, Failure::Message(Self::explain_start(task, &job, &error)))),
        };
        if ended.interrupted {
            return Err(undo(stash, Failure::Interrupted));
        }
        if !ended.status.success() {
            self.work.keep_failure(&task.name, &scratch, &Ended::describe(ended.status));
            let command = prepared.spec.command.join(" ");
            let withheld = environment::withheld(&command, task, self.outer);
            let Ended { status, duration, tail, .. } = ended;
            return Err(undo(stash, Failure::Command { status, duration, tail, withheld }));
        }
        let missing = capture::not_made(root, task);
        if !missing.is_empty() {
            self.work.keep_failure(&task.name, &scratch, "output not made");
            let message = format!("it succeeded without making {}", missing.join(", "));
            return Err(undo(stash, Failure::Message(message)));
        }
        drop(stash);
        let changed = self.changed(id, prepared, &seen);
        if !changed.is_empty() {
            return Err(Failure::Changed(changed));
        }
        if !task.is_cached() {
            self.work.forget_failure(&task.name);
            return Ok(Run::unkept(ended, None));
        }
        let Some(store) = self.cache.store() else {
            return Ok(Run::unkept(ended, None));
        };
        match self.capture(task, store, &streams, ended.duration) {
            Ok(produced) => {
                self.work.forget_failure(&task.name);
                let success = Success {
                    spec: prepared.spec.clone(),
                    text: text(task),
                    variables: task.variables.clone(),
                    inputs: seen
                        .iter()
                        .map(|(path, _, digest, executable)| Seen {
                            path: (*path).clone(),
                            digest: digest.to_string(),
                            lines: lines::count(&self.place(path), digest, Some(store)),
                            executable: Some(*executable),
                        })
                        .collect(),
                    milliseconds: produced.milliseconds,
                };
                // Holds only strings and numbers: no error is possible.
                fleche::dynamic::note(META, serde_json::to_string(&success).unwrap_or_default());
                Ok(Run { produced, duration: ended.duration, tail: ended.tail, not_recorded: None })
            }
            Err(capture::Error::Task(message)) => Err(Failure::Message(message)),
            Err(capture::Error::Store(error)) => {
                // Storage faults never fail a task: its outputs are good, they are only not kept.
                fleche::taint("its outputs could not be stored");
                Ok(Run::unkept(ended, Some(error.to_string())))
            }
        }
    }

    fn capture(
        &self,
        task: &Task,
        store: &Store,
        streams: &Capture,
        duration: Duration,
    ) -> Result<Produced, capture::Error> {
        let blob = |path: &Path| store.put_blob(path).map(|(digest, _)| *digest.digest().as_bytes());
        let root = &self.plan.root;
        let entries = capture::outputs(root, task, store)?;
        let bound = !self.plan.manifest.tasks[task.definition].relocatable
            && capture::names_root(root, &entries)
                .map_err(|error| capture::Error::Task(format!("its outputs cannot be read: {error}")))?;
        Ok(Produced {
            bound_to: bound.then(|| root.display().to_string()),
            entries,
            stdout: blob(&streams.stdout)?,
            stderr: blob(&streams.stderr)?,
            order: blob(&streams.order)?,
            milliseconds: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Inputs that are not what they were when the task began.
    fn changed(
        &self,
        id: TaskId,
        prepared: &Prepared,
        seen: &[(&String, Option<Stamp>, Digest, bool)],
    ) -> Vec<String> {
        let mut changed = Vec::new();
        match self.plan.expand(id, &|_| None) {
            Ok(now) => {
                let (before, now) = (&prepared.inputs.files, &now.files);
                changed.extend(now.iter().filter(|file| !before.contains(file)).cloned());
                changed.extend(before.iter().filter(|file| !now.contains(file)).cloned());
            }
            Err(message) => changed.push(message),
        }
        for (path, stamp, digest, _) in seen {
            let place = self.place(path);
            let same = match (stamp, Stamp::of(&place)) {
                (Some(before), Ok(now)) if before.is_settled() && *before == now => true,
                // Read past the engine's picture, which still holds what the task saw at its start.
                (_, Ok(_)) => digest_of_bytes(&place).is_ok_and(|now| now == *digest),
                (_, Err(_)) => false,
            };
            if !same && !changed.contains(path) {
                changed.push((*path).clone());
            }
        }
        changed
    }

    fn words(&self, task: &Task, spec: &Spec, scratch: &Path) -> Result<Vec<OsString>, Failure> {
        let Some(shell) = &spec.shell else { return Ok(spec.command.iter().map(OsString::from).collect()) };
        if self.find_program(task, &shell[0]).is_none() {
            return Err(Failure::Message(missing_shell(&shell[0])));
        }
        let mut words: Vec<OsString> = shell.iter().map(OsString::from).collect();
        let command = &spec.command[0];
        if command.len() > LONGEST_ARGUMENT {
            let script = scratch.join("script");
            fs::write(&script, command).map_err(|error| Failure::Message(error.to_string()))?;
            words.push(script.into());
        } else {
            words.extend(["-c".into(), command.into()]);
        }
        Ok(words)
    }

    fn explain_start(task: &Task, job: &Job<'_>, error: &io::Error) -> String {
        let program = job.words[0].display();
        if !job.directory.is_dir() {
            return format!("its directory {} does not exist; `cwd` names it", task.cwd);
        }
        if error.raw_os_error() == Some(rustix::io::Errno::TOOBIG.raw_os_error()) {
            return "its arguments are too long for the system; `${inputs.file}` is a file that lists the inputs".into();
        }
        if error.kind() == io::ErrorKind::NotFound {
            return format!("the program {program} was not found on PATH");
        }
        format!("{program} cannot be started: {error}")
    }
}

/// What to do about a shell that is not installed.
pub fn missing_shell(name: &str) -> String {
    format!(
        "the shell `{name}` was not found on PATH; `shell` names another, for one task or under [default]"
    )
}

/// The digest of a file as it is now.
pub fn digest_now(path: &Path) -> io::Result<Option<Digest>> {
    fleche::fs::digest(path)
}

/// The digest of the bytes that a file holds now, whatever is known about it.
pub fn digest_of_bytes(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(path)?)?;
    Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

/// A task as a function of the engine.
fn function(name: &str, code: CodeDigest) -> Function {
    Function::new(name, "tasks", "fleche.toml", code)
}

/// The recorded successes of a task, newest first, whatever it did then.
pub fn history(name: &str) -> Vec<Arc<Record>> {
    // Which code it had is no part of a call's identity, so that any will do.
    function(name, CodeDigest::new(Digest::of(b""))).history().unwrap_or_default()
}

/// Why a success does not count although nothing is different.
pub fn reason_without_change(function: &Function, root: &Path) -> &'static str {
    match last_result(function) {
        Some(produced) if !produced.holds_in(root) => {
            "its outputs name the directory in which they were made"
        }
        _ => "its outputs are no longer in the cache",
    }
}

/// What the newest success made, whatever has changed since.
fn last_result(function: &Function) -> Option<Produced> {
    let history = function.history().ok()?;
    fleche::dynamic::result_of(history.first()?)
}

/// One success.
#[derive(Debug)]
struct Run {
    produced: Produced,
    duration: Duration,
    tail: Vec<String>,
    not_recorded: Option<String>,
}

impl Run {
    /// One that is not kept.
    fn unkept(ended: Ended, not_recorded: Option<String>) -> Run {
        let none = [0; 32];
        let milliseconds = u64::try_from(ended.duration.as_millis()).unwrap_or(u64::MAX);
        let produced = Produced {
            bound_to: None,
            entries: Vec::new(),
            stdout: none,
            stderr: none,
            order: none,
            milliseconds,
        };
        Run { produced, duration: ended.duration, tail: ended.tail, not_recorded }
    }
}
