//! `fleche rerun`: runs tasks whatever the records say, and all whose results they read. What depends on them is then up to
//! date or not by what came out, not by the fact that they ran.

use std::collections::BTreeSet;

use super::{Result, Session, bring, enter};
use crate::arguments::{Format, Rerun};
use crate::console::NOTABLE;
use crate::host::Exit;
use crate::project::Access;
use crate::standing;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Rerun) -> Result {
    let project = session.project()?;
    let plan = &project.plan;
    let named = plan.select(&arguments.tasks).map_err(|error| vec![error])?;
    let forced = plan.with_sources(&named);
    let dependents = plan.with_dependents(&forced);
    let tasks = plan.with_all_above(if arguments.dependents { &dependents } else { &forced });
    let cache = project.cache(Access::Record).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    let context = session.context(&project, &cache);
    let wrong = bring::check(&context, &tasks);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let Some(_lock) = bring::lock(session, &project)? else { return Ok(Exit::Interrupted) };
    let forced: BTreeSet<_> = forced.into_iter().collect();
    let exit = bring::up_to_date(session, &project, &context, &tasks, &forced, &arguments.pace);
    if exit == Exit::Done && !arguments.dependents && arguments.pace.format == Format::Text {
        let others: Vec<_> = dependents.into_iter().filter(|task| !forced.contains(task)).collect();
        let standings = standing::all(&context, &plan.with_all_above(&others));
        let invalid: Vec<_> = others
            .iter()
            .filter(|task| standings.get(task).is_some_and(|standing| standing.produced().is_none()))
            .map(|task| plan.tasks[*task].name.as_str())
            .collect();
        if !invalid.is_empty() {
            let console = &session.host.console;
            let word = console.styled(NOTABLE, "invalid now");
            console.print(&format!("{word}  {}\n", invalid.join(", ")));
        }
    }
    Ok(exit)
}
