//! `fleche watch`: run, then again whenever something changes that the tasks depend on. A manifest that is wrong meanwhile is
//! reported and waited for.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use super::{Session, bring, enter};
use crate::arguments::{Format, Watch};
use crate::console::FAINT;
use crate::diagnostic::Diagnostic;
use crate::host::Exit;
use crate::project::{Access, Project};
use crate::watcher::{Change, Watcher};

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Watch) -> super::Result {
    let manifest = Project::locate(&session.directory, session.file.as_deref())?;
    loop {
        match watch(session, arguments, &manifest) {
            Ok(Change::Interrupted) => return Ok(Exit::Interrupted),
            Ok(_) => {}
            Err(errors) => {
                session.host.console.errors(&errors);
                let watcher = Watcher::new(&manifest, None).map_err(|error| cannot_watch(&error))?;
                waiting(session, arguments);
                if watcher.wait(None, &session.host.interrupt) == Change::Interrupted {
                    return Ok(Exit::Interrupted);
                }
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
    let context = session.context(&project, &cache);
    loop {
        let wrong = bring::check(&context, &tasks);
        if wrong.is_empty() {
            let Some(_lock) = bring::lock(session, &project)? else { return Ok(Change::Interrupted) };
            let exit =
                bring::up_to_date(session, &project, &context, &tasks, &BTreeSet::new(), &arguments.pace);
            if exit == Exit::Interrupted {
                return Ok(Change::Interrupted);
            }
        } else {
            session.host.console.errors(&wrong);
        }
        waiting(session, arguments);
        match watcher.wait(Some((plan, &tasks)), context.interrupt) {
            Change::Inputs => {}
            other => return Ok(other),
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

fn cannot_watch(error: &fleche::Error) -> Vec<Diagnostic> {
    vec![Diagnostic::new(format!("changes cannot be watched: {error}"))]
}
