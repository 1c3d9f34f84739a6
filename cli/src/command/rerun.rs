//! `fleche rerun`: runs tasks whatever the records say, and all whose results they read. What depends on them is then up to
//! date or not by what came out, not by the fact that they ran.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use fleche::{Cache, Fate};
use serde_json::json;

use super::{Result, Session, bring, enter};
use crate::arguments::{Format, Rerun};
use crate::console::NOTABLE;
use crate::host::Exit;
use crate::produced::{Entry, Produced};
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
    let before: BTreeMap<&str, _> = forced
        .iter()
        .map(|task| plan.tasks[*task].name.as_str())
        .map(|name| (name, made(&cache, name)))
        .collect();
    let chancy: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let noted = chancy.clone();
    cache.subscribe(move |event| {
        if event.fate == Fate::Nondeterministic {
            noted.lock().unwrap_or_else(PoisonError::into_inner).insert(event.function.to_string());
        }
    });
    let exit = bring::up_to_date(session, &project, &context, &tasks, &forced, &arguments.pace, None);
    // The engine compares whole results, and those say how long the task took.
    let mut chancy = std::mem::take(&mut *chancy.lock().unwrap_or_else(PoisonError::into_inner));
    chancy.retain(|task| before.get(task.as_str()).is_some_and(|before| *before != made(&cache, task)));
    tell_chancy(session, &chancy, arguments.pace.format);
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

/// What the newest run of a task made.
fn made(cache: &Cache, task: &str) -> Option<Vec<Entry>> {
    let store = cache.store()?;
    let calls = store.calls_of(task).ok()?;
    let records = calls.iter().filter_map(|call| store.newest(call).ok()?);
    let newest = records.max_by_key(|record| record.clock)?;
    Some(fleche::dynamic::result_of::<Produced>(&newest)?.entries)
}

/// Names the tasks that made something else of the same inputs.
fn tell_chancy(session: &Session<'_>, chancy: &BTreeSet<String>, format: Format) {
    let console = &session.host.console;
    if format == Format::Json {
        for task in chancy {
            console.print(&format!("{}\n", json!({ "event": "nondeterministic", "task": task })));
        }
    } else if !chancy.is_empty() {
        let word = console.styled(NOTABLE, "not deterministic");
        let names = chancy.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        console.print(&format!("{word}  {names}: another result of the same command and inputs\n"));
    }
}
