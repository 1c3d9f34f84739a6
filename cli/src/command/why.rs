//! `fleche why`: all that is different between a task now and its last success, or that nothing is.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use fleche_store::Record;
use serde_json::json;

use super::{Result, Session, bring, enter, recorded};
use crate::arguments::{Format, Why};
use crate::console::table;
use crate::difference::{Comparison, compare};
use crate::execute::{Context, Prepared, reason_without_change};
use crate::host::Exit;
use crate::plan::{Plan, Relation, TaskId};
use crate::project::{Access, Project};
use crate::report::{change_as_json, change_as_row};
use crate::spec::Success;
use crate::standing::{self, Standing};

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Why) -> Result {
    let name = &arguments.task;
    let a_call = || recorded::why(session, name, arguments.cache.as_deref(), arguments.format);
    if arguments.cache.is_some() || Project::locate(&session.directory, session.file.as_deref()).is_err() {
        return a_call();
    }
    let project = session.project()?;
    let plan = &project.plan;
    let named = match plan.find(name) {
        Ok(named) => named.to_vec(),
        // A task's name goes before a digest that looks like it.
        Err(_) if name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => return a_call(),
        Err(error) => return Err(vec![error]),
    };
    let tasks = plan.with_all_above(&named);
    let cache = project.cache(Access::Look).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    let context = session.context(&project, &cache);
    let wrong = bring::check(&context, &tasks);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let mut standings = standing::all(&context, &tasks);
    for id in &named {
        let standing = standings.remove(id).unwrap_or(Standing::Group);
        let text = match arguments.format {
            Format::Json => format!("{}\n", as_json(&context, *id, &standing)),
            Format::Text => {
                // Of several instances each has its name above.
                let head =
                    if named.len() > 1 { format!("{}: ", plan.tasks[*id].name) } else { String::new() };
                format!("{head}{}", one(session, &context, *id, &standing))
            }
        };
        session.host.console.print(&text);
    }
    Ok(Exit::Done)
}

fn one(session: &Session<'_>, context: &Context<'_>, id: TaskId, standing: &Standing) -> String {
    let mut text = String::new();
    match standing {
        Standing::Group => text.push_str("nothing to run; it only names other tasks\n"),
        Standing::Always => {
            text.push_str(
                "would run; it has neither inputs nor outputs, so nothing can tell that it need not\n",
            );
        }
        Standing::Broken(message) => {
            let _ = writeln!(text, "would fail: {message}");
        }
        Standing::Fresh(_) | Standing::Restorable(..) => settled(session, context, id, standing, &mut text),
        Standing::Stale(prepared) => stale(session, context, id, prepared, &mut text),
        Standing::Pending(above) => pending(session, context, id, above, &mut text),
    }
    if matches!(standing, Standing::Stale(_) | Standing::Pending(_)) {
        then(context.plan, id, &mut text);
    }
    text
}

fn as_json(context: &Context<'_>, id: TaskId, standing: &Standing) -> serde_json::Value {
    let task = &context.plan.tasks[id];
    let now;
    let prepared = if let Standing::Stale(prepared) = standing {
        Some(&**prepared)
    } else {
        now = context.prepare(id, &|_| None).ok();
        now.as_ref()
    };
    let last = prepared.and_then(|prepared| Some((prepared, last_success(prepared)?)));
    let changes = last.as_ref().map(|(prepared, (_, then))| {
        compare(&context.plan.root, task, prepared, then, context.cache.store()).changes
    });
    let changes: Vec<_> = changes.iter().flatten().map(change_as_json).collect();
    json!({
        "task": task.name, "standing": standing.word(), "changes": changes,
        "against": last.as_ref().map(|(_, (record, _))| record.key.to_string()),
        "since_ms": last.as_ref().map(|(_, (record, _))| record.created_ms),
    })
}

fn settled(session: &Session<'_>, context: &Context<'_>, id: TaskId, standing: &Standing, text: &mut String) {
    let prepared = context.prepare(id, &|_| None).ok();
    let last = prepared.as_ref().and_then(last_success);
    let when = last.map(|(record, _)| format!("; last ran {}", moment(session, &record))).unwrap_or_default();
    if let Standing::Restorable(_, count) = standing {
        let paths = if *count == 1 { "1 path is".to_owned() } else { format!("{count} paths are") };
        let _ = writeln!(text, "would be restored: {paths} not as recorded{when}");
    } else {
        let _ = writeln!(text, "up to date{when}");
    }
    if let Some(prepared) = prepared {
        let _ = writeln!(text, "  same     {}, command", inputs(prepared.inputs.files.len()));
    }
}

fn stale(session: &Session<'_>, context: &Context<'_>, id: TaskId, prepared: &Prepared, text: &mut String) {
    let Some((record, then)) = last_success(prepared) else {
        text.push_str("would run; it has never succeeded here\n");
        return;
    };
    let task = &context.plan.tasks[id];
    let found = compare(&context.plan.root, task, prepared, &then, context.cache.store());
    let moment = moment(session, &record);
    if found.changes.is_empty() {
        let _ = writeln!(text, "would run; against the last success here, {moment}");
        let _ = writeln!(text, "  {}", reason_without_change(&prepared.function, &context.plan.root));
    } else {
        let _ = writeln!(text, "would run; against the last success here, {moment}");
    }
    show(session, &found, text);
}

fn pending(session: &Session<'_>, context: &Context<'_>, id: TaskId, above: &[TaskId], text: &mut String) {
    let names: Vec<_> = above.iter().map(|task| context.plan.tasks[*task].name.as_str()).collect();
    let _ = writeln!(text, "might run; that depends on what {} will make", names.join(", "));
    // What is on disk now is at least something to compare with.
    let Ok(prepared) = context.prepare(id, &|_| None) else { return };
    if let Some((record, then)) = last_success(&prepared) {
        let task = &context.plan.tasks[id];
        let found = compare(&context.plan.root, task, &prepared, &then, context.cache.store());
        if !found.changes.is_empty() {
            let _ =
                writeln!(text, "as things are, against the last success here, {}", moment(session, &record));
            show(session, &found, text);
        }
    }
}

fn show(session: &Session<'_>, found: &Comparison, text: &mut String) {
    let console = &session.host.console;
    let rows: Vec<_> = found.changes.iter().map(|change| change_as_row(console, change)).collect();
    text.push_str(&table(&rows));
    let mut same = Vec::new();
    if found.same_inputs > 0 {
        same.push(inputs(found.same_inputs));
    }
    if found.same_command {
        same.push("command".to_owned());
    }
    if !same.is_empty() {
        let _ = writeln!(text, "  same     {}", same.join(", "));
    }
}

fn inputs(count: usize) -> String {
    match count {
        0 => "no inputs".to_owned(),
        1 => "1 input".to_owned(),
        _ => format!("{count} inputs"),
    }
}

fn last_success(prepared: &Prepared) -> Option<(Arc<Record>, Success)> {
    let history = prepared.function.history().ok()?;
    history.into_iter().find_map(|record| Success::of(&record).map(|success| (record, success)))
}

/// `14:02 (c41f90aa)`.
fn moment(session: &Session<'_>, record: &Record) -> String {
    format!("{} ({})", super::moment(session, record), record.key.digest().short())
}

/// What its run would lead to: `then     plot[*]; report only if plot changes`.
fn then(plan: &Plan, id: TaskId, text: &mut String) {
    let readers = |tasks: &BTreeSet<TaskId>| -> BTreeSet<TaskId> {
        let below = tasks.iter().flat_map(|task| plan.below(*task));
        below.filter(|(_, relation)| *relation == Relation::Data).map(|(task, _)| task).collect()
    };
    let direct = readers(&BTreeSet::from([id]));
    if direct.is_empty() {
        return;
    }
    let further: BTreeSet<_> = readers(&direct).difference(&direct).copied().collect();
    let _ = write!(text, "then     {}", grouped(plan, &direct, true));
    if !further.is_empty() {
        let (further, direct) = (grouped(plan, &further, true), grouped(plan, &direct, false));
        let _ = write!(text, "; {further} only if {direct} changes");
    }
    text.push('\n');
}

/// Names, with all instances of a task as one: `plot[*]`, or in short `plot`.
fn grouped(plan: &Plan, tasks: &BTreeSet<TaskId>, star: bool) -> String {
    let mut names: Vec<String> = Vec::new();
    for task in tasks {
        let definition = plan.definition(*task);
        let all =
            plan.find(&definition.name.value).is_ok_and(|all| all.iter().all(|one| tasks.contains(one)));
        let name = match (definition.matrix.is_empty() || !all, star) {
            (true, _) => plan.tasks[*task].name.clone(),
            (false, true) => format!("{}[*]", definition.name.value),
            (false, false) => definition.name.value.clone(),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}
