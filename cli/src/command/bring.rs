//! What `run` and `rerun` share: checks before anything runs, the lock, the scheduler and the report.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::{Mutex, Once, PoisonError};

use serde_json::json;

use super::Session;
use crate::arguments::{Format, Pace};
use crate::diagnostic::Diagnostic;
use crate::difference::{Change, compare};
use crate::environment::ROOT_VARIABLE;
use crate::execute::{Context, Outcome, Prepared, missing_shell, reason_without_change};
use crate::host::Exit;
use crate::interrupt::Interrupt;
use crate::plan::{Relation, TaskId};
use crate::project::Project;
use crate::report::Report;
use crate::schedule::{self, Lookout, Options, Step};
use crate::work::Lock;

/// All that can be found wrong with these tasks before any of them runs.
pub fn check(context: &Context<'_>, tasks: &[TaskId]) -> Vec<Diagnostic> {
    let plan = context.plan;
    let source = &plan.manifest.source;
    let mut wrong = plan.missing_inputs(tasks);
    let mut shells = BTreeSet::new();
    for id in tasks {
        let task = &plan.tasks[*id];
        let needs_shell = matches!(task.run, Some(crate::manifest::Run::Shell(_)));
        // Looked for from another directory or on another PATH it can be another one.
        let key = (task.shell[0].clone(), task.cwd.clone(), task.set_env.get("PATH").cloned());
        if needs_shell && shells.insert(key) && context.find_program(task, &task.shell[0]).is_none() {
            let definition = plan.definition(*id);
            let named = definition.shell.as_ref().or(plan.manifest.default.shell.as_ref());
            let span = named.map_or(definition.name.span.clone(), |shell| shell.span.clone());
            wrong.push(Diagnostic::new(missing_shell(&task.shell[0])).at(source, span));
        }
        for tool in &task.tools {
            let made = tool.value.contains('/') && plan.maker(&tool.value).is_some();
            if !made && context.find_program(task, &tool.value).is_none() {
                wrong.push(
                    Diagnostic::new(format!(
                        "tool `{}` of task `{}` was not found on PATH",
                        tool.value, task.name
                    ))
                    .at(source, tool.span.clone())
                    .help("install it, or remove it from `tools`"),
                );
            }
        }
    }
    wrong
}

/// The right to run tasks of the project; `None` if it was interrupted while it waited.
pub fn lock(session: &Session<'_>, project: &Project) -> Result<Option<Lock>, Vec<Diagnostic>> {
    let root = &project.plan.root;
    // Waiting for the run that this very process is part of would last for ever.
    if session.host.environment.get(OsStr::new(ROOT_VARIABLE)).is_some_and(|outer| outer == root.as_os_str())
    {
        return Err(vec![
            Diagnostic::new("a task cannot run tasks of its own project")
                .help("let it wait for them: list what they make under `inputs`, or them under `after`"),
        ]);
    }
    let waiting = || session.host.console.note("waiting for another fleche that runs tasks of this project");
    project
        .work
        .lock(&session.host.interrupt, waiting)
        .map_err(|error| vec![Diagnostic::new(format!("{} cannot be locked: {error}", root.display()))])
}

/// Brings tasks up to date, which come in the plan's order and include all above them; those in `forced` run in any case.
/// `lookout` follows the world meanwhile.
pub fn up_to_date(
    session: &Session<'_>,
    project: &Project,
    context: &Context<'_>,
    tasks: &[TaskId],
    forced: &BTreeSet<TaskId>,
    pace: &Pace,
    lookout: Option<&dyn Lookout>,
) -> Exit {
    let plan = context.plan;
    let name = |task: TaskId| plan.tasks[task].name.as_str();
    sweep(session, project, pace.format);
    let report = Report::new(&session.host.console, pace.format, pace.verbose, tasks.len());
    let options = Options {
        jobs: pace.jobs.unwrap_or(session.host.jobs),
        keep_going: pace.keep_going,
        interrupt: context.interrupt,
    };
    let ran: Mutex<BTreeSet<TaskId>> = Mutex::new(BTreeSet::new());
    let work = |task: TaskId, cancel: &Interrupt| {
        let _scope = fleche::cache(context.cache);
        let before = |prepared: &Prepared| {
            let explain = pace.explain || pace.format == Format::Json;
            let changes = explain.then(|| reasons(context, task, prepared, forced.contains(&task)));
            report.started(name(task), changes.as_deref());
        };
        let line = |line: &str| report.line(name(task), line);
        context.bring_up_to_date(task, forced.contains(&task), cancel, &before, &line)
    };
    let judge = |task: TaskId, step: Step<Outcome>| match step {
        Step::Skipped(because) => {
            report.skipped(name(task), because.map(name));
            false
        }
        Step::Ended(outcome) => {
            let mut ran = ran.lock().unwrap_or_else(PoisonError::into_inner);
            let sources = plan.above(task);
            let below_a_run =
                sources.iter().any(|(above, relation)| *relation == Relation::Data && ran.contains(above));
            let cut_off = below_a_run && matches!(outcome, Outcome::Hit(_));
            if cut_off || matches!(outcome, Outcome::Ran { .. }) {
                ran.insert(task);
            }
            report.ended(name(task), &outcome, cut_off, !plan.tasks[task].is_cached());
            note_made(project, name(task), &outcome);
            !matches!(outcome, Outcome::Failed(_))
        }
        Step::Reopened => {
            report.reopened(name(task));
            false
        }
        Step::Cancelled(outcome) => {
            note_made(project, name(task), &outcome);
            report.cancelled(name(task));
            false
        }
    };
    if let Err(error) = schedule::run(plan, tasks, options, work, judge, lookout) {
        session.host.console.note(&format!("error: no task can be run: {error}"));
        return Exit::Failed;
    }
    let counts = report.finish();
    if context.interrupt.is_set() || counts.is_interrupted() {
        Exit::Interrupted
    } else if counts.is_good() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

/// Removes what tasks made here that are no longer in the manifest.
fn sweep(session: &Session<'_>, project: &Project, format: Format) {
    let mut ledger = project.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    ledger.refresh();
    let console = &session.host.console;
    match ledger.sweep(&project.plan) {
        Ok(removed) => {
            for path in removed {
                console.print(&match format {
                    Format::Text => format!("removed   {path}, which no task makes any more\n"),
                    Format::Json => format!("{}\n", json!({ "event": "removed", "path": path })),
                });
            }
        }
        Err(error) => {
            console.note(&format!("warning: what no task makes any more cannot be removed: {error}"));
        }
    }
}

fn note_made(project: &Project, task: &str, outcome: &Outcome) {
    // Without it a file that loses its task stays where it is. To be told of it once is enough.
    static TOLD: Once = Once::new();
    let (Outcome::Hit(produced)
    | Outcome::Restored(produced, _)
    | Outcome::Ran { produced: Some(produced), .. }) = outcome
    else {
        return;
    };
    let untouched = matches!(outcome, Outcome::Hit(_));
    let mut ledger = project.ledger.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = ledger.note(&project.plan.root, task, produced, untouched) {
        TOLD.call_once(|| tracing::warn!(task, %error, "what the task made could not be noted"));
    }
}

/// Why a task runs.
fn reasons(context: &Context<'_>, id: TaskId, now: &Prepared, forced: bool) -> Vec<Change> {
    let change =
        |verb, what: &str| Change { verb, what: what.to_owned(), detail: String::new(), written_ms: None };
    if forced {
        return vec![change("forced", "")];
    }
    let task = &context.plan.tasks[id];
    if !task.is_cached() {
        return vec![change("always", "it has neither inputs nor outputs")];
    }
    match context.last_success(id, &now.function) {
        None => vec![change("new", "it has never succeeded here")],
        Some((_, then)) => {
            let found = compare(&context.plan.root, task, now, &then, context.cache.store()).changes;
            if found.is_empty() {
                vec![change("lost", reason_without_change(&now.function, &context.plan.root))]
            } else {
                found
            }
        }
    }
}
