//! `fleche run`: brings tasks up to date.

use std::collections::BTreeSet;

use super::{Result, Session, bring, enter, status};
use crate::arguments::Run;
use crate::host::Exit;
use crate::project::Access;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Run) -> Result {
    let project = session.project()?;
    let plan = &project.plan;
    let selected = plan.select(&arguments.tasks).map_err(|error| vec![error])?;
    let tasks = plan.with_all_above(&selected);
    let access = if arguments.dry_run { Access::Look } else { Access::Record };
    let cache = project.cache(access).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    let context = session.context(&project, &cache);
    let forced: BTreeSet<_> = if arguments.force { selected.into_iter().collect() } else { BTreeSet::new() };
    let wrong = bring::check(&context, &tasks);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if arguments.dry_run {
        status::predict(session, &context, &tasks, &forced, arguments.pace.format);
        return Ok(Exit::Done);
    }
    let Some(_lock) = bring::lock(session, &project)? else { return Ok(Exit::Interrupted) };
    Ok(bring::up_to_date(session, &project, &context, &tasks, &forced, &arguments.pace, None))
}
