//! `fleche watch`: run, then again whenever something changes that the tasks depend on. A change during a run cancels the tasks that
//! it makes pointless, and no others, and starts them again. A manifest that is wrong meanwhile is reported and waited for.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use super::{Session, bring, enter};
use crate::arguments::{Format, Watch};
use crate::console::FAINT;
use crate::diagnostic::Diagnostic;
use crate::execute::Context;
use crate::host::Exit;
use crate::observed::Observed;
use crate::path::on_disk;
use crate::plan::TaskId;
use crate::produced::Produced;
use crate::project::{Access, Project};
use crate::schedule::{Lookout, Steer};
use crate::watcher::{Change, Concerned, Watcher};

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Watch) -> super::Result {
    let manifest = Project::locate(&session.directory, session.file.as_deref())?;
    loop {
        match watch(session, arguments, &manifest) {
            Ok(Change::Interrupted) => {
                // After the `^C` that a terminal shows.
                if session.host.console.is_terminal() {
                    session.host.console.print("\n");
                }
                return Ok(Exit::Interrupted);
            }
            Ok(_) => {}
            Err(errors) => {
                session.host.console.errors(&errors);
                // The manifest, which names the cache, is what is wrong.
                let _scope = enter(&fleche::Cache::memory())?;
                let watcher = Watcher::new(&manifest, None).map_err(|error| cannot_watch(&error))?;
                waiting(session, arguments);
                let (change, paths) = watcher.wait(None, &session.host.interrupt, &|_| true);
                if change == Change::Interrupted {
                    return Ok(Exit::Interrupted);
                }
                tell(session, arguments, &paths);
            }
        }
    }
}

/// Runs and waits until the plan has to be made anew.
fn watch(session: &Session<'_>, arguments: &Watch, manifest: &Path) -> Result<Change, Vec<Diagnostic>> {
    let project = Project::load(manifest, &session.directory)?;
    let plan = &project.plan;
    let selected = plan.select(&arguments.tasks).map_err(|error| vec![error])?;
    let tasks = plan.with_all_above(&selected);
    let cache = project.cache(Access::Record).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    // Before the first run, so that what changes during it is not missed.
    let watcher = Watcher::new(manifest, Some((plan, &tasks))).map_err(|error| cannot_watch(&error))?;
    let observed = Observed::default();
    let context = Context { observed: Some(&observed), ..session.context(&project, &cache) };
    loop {
        let mut good = false;
        let lookout = Eye {
            watcher: &watcher,
            manifest,
            context: &context,
            session,
            tasks: &tasks,
            left: Mutex::default(),
        };
        let wrong = bring::check(&context, &tasks);
        if wrong.is_empty() {
            let Some(_lock) = bring::lock(session, &project)? else { return Ok(Change::Interrupted) };
            let none = BTreeSet::new();
            let exit = bring::up_to_date(
                session,
                &project,
                &context,
                &tasks,
                &none,
                &arguments.pace,
                Some(&lookout),
            );
            if exit == Exit::Interrupted {
                return Ok(Change::Interrupted);
            }
            good = exit == Exit::Done;
        } else {
            session.host.console.errors(&wrong);
        }
        let left = *lookout.left.lock().unwrap_or_else(PoisonError::into_inner);
        let change = left.unwrap_or_else(|| {
            waiting(session, arguments);
            // Somebody may touch a file so that what failed is tried again.
            let matters = |concerned: &Concerned| {
                !good || !concerned.tasks.iter().all(|(task, paths)| lookout.is_only_touched(*task, paths))
            };
            let (change, paths) = watcher.wait(Some((plan, &tasks)), context.interrupt, &matters);
            tell(session, arguments, &paths);
            change
        });
        match change {
            Change::Inputs => {}
            other => return Ok(other),
        }
    }
}

/// Looks out while tasks run.
struct Eye<'a> {
    watcher: &'a Watcher,
    manifest: &'a Path,
    context: &'a Context<'a>,
    session: &'a Session<'a>,
    tasks: &'a [TaskId],
    /// What this run did not take in.
    left: Mutex<Option<Change>>,
}

impl Lookout for Eye<'_> {
    fn follow(&self, run: &dyn Steer) {
        let _scope = fleche::cache(self.context.cache);
        let plan = self.context.plan;
        self.watcher.follow((plan, self.tasks), |concerned| {
            let changed: Vec<TaskId> = concerned
                .tasks
                .iter()
                .filter(|(task, paths)| !self.is_only_touched(**task, paths))
                .map(|(task, _)| *task)
                .collect();
            let left = if concerned.plan {
                let new = Project::load(self.manifest, &self.session.directory).ok();
                run.wind_up(&|task| {
                    changed.contains(&task) || new.as_ref().is_some_and(|new| self.is_pointless(task, new))
                });
                Change::Plan
            } else if !run.again(&changed) {
                Change::Inputs
            } else {
                return;
            };
            let mut kept = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = (*kept).max(Some(left));
        });
    }

    fn end(&self) {
        self.watcher.stop();
    }
}

impl Eye<'_> {
    /// Whether what the task made or was answered with is still right, although these inputs were written to.
    fn is_only_touched(&self, task: TaskId, paths: &[String]) -> bool {
        let (context, root) = (self.context, &self.context.plan.root);
        if let Some(observed) = context.observed.filter(|observed| observed.has_begun(task)) {
            return paths.iter().all(|path| observed.is_as_read(task, path, &on_disk(root, path)));
        }
        // A hit has read nothing. With its inputs as they are now a record must hold whose outputs lie here.
        let Ok(prepared) = context.prepare(task, &|_| None) else { return false };
        let known = prepared.function.lookup::<Produced>().filter(|produced| produced.holds_in(root));
        known.is_some_and(|produced| {
            let ledger = context.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.has_made(&context.plan.tasks[task].name, &produced)
        })
    }

    /// Whether the task is another one, or none, in the new plan.
    fn is_pointless(&self, task: TaskId, new: &Project) -> bool {
        let (old, name) = (self.context, &self.context.plan.tasks[task].name);
        let Ok(&[now]) = new.plan.find(name) else { return true };
        let context = Context { plan: &new.plan, ..*old };
        match (old.prepare(task, &|_| None), context.prepare(now, &|_| None)) {
            (Ok(old), Ok(new)) => old.spec.digest() != new.spec.digest() || old.inputs != new.inputs,
            _ => true,
        }
    }
}

fn waiting(session: &Session<'_>, arguments: &Watch) {
    let console = &session.host.console;
    match arguments.pace.format {
        Format::Json => console.print(&format!("{}\n", json!({ "event": "waiting" }))),
        Format::Text => console.print(&format!("{}\n", console.styled(FAINT, "waiting for changes"))),
    }
}

/// Says what has changed.
fn tell(session: &Session<'_>, arguments: &Watch, paths: &[String]) {
    const MOST: usize = 3;
    let console = &session.host.console;
    match arguments.pace.format {
        _ if paths.is_empty() => {}
        Format::Json => console.print(&format!("{}\n", json!({ "event": "noticed", "paths": paths }))),
        Format::Text => {
            let more = match paths.len().saturating_sub(MOST) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let text = format!("noticed   {}{more}", paths[..paths.len().min(MOST)].join(", "));
            console.print(&format!("{}\n", console.styled(FAINT, &text)));
        }
    }
}

fn cannot_watch(error: &fleche::Error) -> Vec<Diagnostic> {
    vec![Diagnostic::new(format!("changes cannot be watched: {error}"))]
}
