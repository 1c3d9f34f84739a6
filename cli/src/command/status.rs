//! `fleche status`: which tasks are up to date. It runs nothing and records nothing; `run --dry-run` tells the same as a plan.

use std::collections::{BTreeMap, BTreeSet};

use anstyle::Style;
use serde_json::json;

use super::{Result, Session, bring, enter};
use crate::arguments::{Format, Status};
use crate::console::{BAD, FAINT, GOOD, NOTABLE, table};
use crate::difference::{Change, compare};
use crate::execute::{Context, reason_without_change};
use crate::host::Exit;
use crate::plan::TaskId;
use crate::project::Access;
use crate::report::change_as_json;
use crate::standing::{self, Standing};

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Status) -> Result {
    let project = session.project()?;
    let plan = &project.plan;
    let selected = plan.select(&arguments.tasks).map_err(|error| vec![error])?;
    let tasks = plan.with_all_above(&selected);
    let cache = project.cache(Access::Look).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    let context = session.context(&project, &cache);
    let wrong = bring::check(&context, &tasks);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let standings = standing::all(&context, &tasks);
    let console = &session.host.console;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows = Vec::new();
    for task in &tasks {
        let Some(standing) = standings.get(task) else { continue };
        *counts.entry(standing.word()).or_default() += 1;
        let name = plan.tasks[*task].name.clone();
        match arguments.format {
            Format::Json => {
                let changes: Vec<_> = changes(&context, *task, standing).iter().map(change_as_json).collect();
                let line = json!({
                    "task": name, "standing": standing.word(), "because": changes,
                    "detail": detail(&context, standing),
                });
                console.print(&format!("{line}\n"));
            }
            Format::Text if standing.is_up_to_date() && !arguments.verbose => {}
            Format::Text => rows.push(vec![
                console.styled(style(standing), standing.word()),
                name,
                because(&context, *task, standing),
            ]),
        }
    }
    if arguments.format == Format::Text {
        console.print(&table(&rows));
        let sums: Vec<_> = ["broken", "stale", "pending", "restorable", "always", "fresh"]
            .iter()
            .filter_map(|word| counts.get(word).map(|count| format!("{count} {word}")))
            .collect();
        let sums = if sums.is_empty() { "nothing to do".to_owned() } else { sums.join(" · ") };
        console.print(&format!("{sums}\n"));
    }
    let fresh =
        standings.values().all(|standing| standing.is_up_to_date() || matches!(standing, Standing::Always));
    Ok(if fresh { Exit::Done } else { Exit::Failed })
}

/// What `run` would do.
pub fn predict(
    session: &Session<'_>,
    context: &Context<'_>,
    tasks: &[TaskId],
    forced: &BTreeSet<TaskId>,
    format: Format,
) {
    let console = &session.host.console;
    let standings = standing::all(context, tasks);
    let mut rows = Vec::new();
    for task in tasks {
        let Some(standing) = standings.get(task) else { continue };
        let name = context.plan.tasks[*task].name.clone();
        let (word, style, because) = match standing {
            _ if forced.contains(task) => ("would run", NOTABLE, "forced".to_owned()),
            Standing::Fresh(_) | Standing::Group => continue,
            Standing::Restorable(..) => ("would restore", GOOD, because(context, *task, standing)),
            Standing::Stale(_) => ("would run", NOTABLE, because(context, *task, standing)),
            Standing::Always => ("would run", NOTABLE, "it always does".to_owned()),
            Standing::Pending(_) => ("might run", FAINT, because(context, *task, standing)),
            Standing::Broken(_) => ("would fail", BAD, because(context, *task, standing)),
        };
        match format {
            Format::Json => {
                let line = json!({ "event": "planned", "task": name, "action": word, "because": because });
                console.print(&format!("{line}\n"));
            }
            Format::Text => rows.push(vec![console.styled(style, word), name, because]),
        }
    }
    if format == Format::Text {
        console.print(&if rows.is_empty() { "everything is up to date\n".to_owned() } else { table(&rows) });
    }
}

fn style(standing: &Standing) -> Style {
    match standing {
        Standing::Fresh(_) | Standing::Group => GOOD,
        Standing::Restorable(..) | Standing::Stale(_) => NOTABLE,
        Standing::Pending(_) | Standing::Always => FAINT,
        Standing::Broken(_) => BAD,
    }
}

fn changes(context: &Context<'_>, task: TaskId, standing: &Standing) -> Vec<Change> {
    let Standing::Stale(prepared) = standing else { return Vec::new() };
    let then = context.last_success(task, &prepared.function);
    let task = &context.plan.tasks[task];
    then.map(|(_, then)| compare(&context.plan.root, task, prepared, &then, context.cache.store()).changes)
        .unwrap_or_default()
}

fn because(context: &Context<'_>, task: TaskId, standing: &Standing) -> String {
    let found = changes(context, task, standing);
    match (&found[..], standing) {
        ([], Standing::Stale(prepared)) => {
            let known = prepared.function.history().is_ok_and(|history| !history.is_empty());
            let reason = reason_without_change(&prepared.function, &context.plan.root);
            if known { reason } else { "never ran here" }.to_owned()
        }
        ([], _) => detail(context, standing),
        ([only], _) => describe(only),
        ([first, rest @ ..], _) => format!("{}, and {} more", describe(first), rest.len()),
    }
}

fn describe(change: &Change) -> String {
    let detail = if change.detail.is_empty() { String::new() } else { format!(" ({})", change.detail) };
    format!("{} {}{detail}", change.what, change.verb)
}

fn detail(context: &Context<'_>, standing: &Standing) -> String {
    match standing {
        Standing::Restorable(_, 1) => "1 path differs".to_owned(),
        Standing::Restorable(_, count) => format!("{count} paths differ"),
        Standing::Pending(above) => {
            let names: Vec<_> = above.iter().map(|task| context.plan.tasks[*task].name.as_str()).collect();
            match names[..] {
                [only] => format!("after {only}"),
                [first, ..] => format!("after {first} and {} more", names.len() - 1),
                [] => String::new(),
            }
        }
        Standing::Broken(message) => message.clone(),
        _ => String::new(),
    }
}
