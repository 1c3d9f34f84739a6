//! `fleche clean`: removes outputs that fleche has made; what it has never made it leaves alone.

use super::{Result, Session, bring, enter};
use crate::arguments::Clean;
use crate::diagnostic::Diagnostic;
use crate::execute::history;
use crate::host::Exit;
use crate::project::Access;
use crate::stash::clear;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Clean) -> Result {
    let project = session.project()?;
    let plan = &project.plan;
    let tasks = if arguments.tasks.is_empty() {
        (0..plan.tasks.len()).collect()
    } else {
        plan.select(&arguments.tasks).map_err(|error| vec![error])?
    };
    let cache = project.cache(Access::Look).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    let Some(_lock) = bring::lock(session, &project)? else { return Ok(Exit::Interrupted) };
    let console = &session.host.console;
    let word = if arguments.dry_run { "would remove" } else { "removed" };
    let mut wrong = Vec::new();
    for id in tasks {
        let task = &plan.tasks[id];
        let known = !history(&task.name).is_empty();
        for output in &task.outputs {
            if plan.root.join(&output.path).symlink_metadata().is_err() {
                continue;
            }
            if !known {
                console.print(&format!("left {}, which `{}` has never made here\n", output.path, task.name));
                continue;
            }
            if !arguments.dry_run
                && let Err(error) = clear(&plan.root, &output.path, task)
            {
                wrong.push(Diagnostic::new(format!("{} cannot be removed: {error}", output.path)));
                continue;
            }
            console.print(&format!("{word} {}\n", output.path));
        }
    }
    if wrong.is_empty() {
        return Ok(Exit::Done);
    }
    console.errors(&wrong);
    Ok(Exit::Failed)
}
