//! `fleche why`: all that is different between a task now and its last success, or that nothing is; of a task that waits
//! for others, what is different about those.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use fleche_store::Record;
use serde_json::json;

use super::{Result, Session, bring, enter, recorded};
use crate::arguments::{Format, Why};
use crate::console::{NOTABLE, table};
use crate::difference::{Comparison, compare};
use crate::execute::{Context, Prepared, digest_now, reason_without_change};
use crate::host::Exit;
use crate::path::normalise_inside;
use crate::plan::{Plan, Relation, TaskId};
use crate::produced::Produced;
use crate::project::{Access, Project};
use crate::report::{change_as_json, change_as_row};
use crate::restore;
use crate::standing::{self, Standing};

/// So many tasks above are told of in full.
const MOST_CAUSES: usize = 10;

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
        Err(error) => match made(&session.directory, plan, name) {
            Some(Ok(maker)) => vec![maker],
            // A task's name goes before a digest that looks like it.
            _ if name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => return a_call(),
            Some(Err(help)) => return Err(vec![error.help(help)]),
            None => return Err(vec![error]),
        },
    };
    let tasks = plan.with_all_above(&named);
    let cache = project.cache(Access::Look).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    let context = session.context(&project, &cache);
    let wrong = bring::check(&context, &tasks);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let standings = standing::all(&context, &tasks);
    let console = &session.host.console;
    let of = |id: &TaskId| standings.get(id).unwrap_or(&Standing::Group);
    if arguments.format == Format::Json {
        for id in &named {
            let mut object = as_json(&context, *id, of(id));
            let above = causes(&standings, &[*id]);
            object["above"] = above.iter().map(|cause| as_json(&context, *cause, of(cause))).collect();
            console.print(&format!("{object}\n"));
        }
        return Ok(Exit::Done);
    }
    let above = causes(&standings, &named);
    // Of several each has its name above.
    let several = named.len() > 1 || !above.is_empty() || plan.tasks[named[0]].name != *name;
    for id in &named {
        let head = if several { format!("{}: ", plan.tasks[*id].name) } else { String::new() };
        console.print(&format!("{head}{}", one(session, &context, *id, of(id))));
        if matches!(of(id), Standing::Stale(_) | Standing::Pending(_)) {
            console.print(&then(plan, *id));
        }
    }
    for cause in above.iter().take(MOST_CAUSES) {
        console.print(&format!("{}: {}", plan.tasks[*cause].name, one(session, &context, *cause, of(cause))));
    }
    if above.len() > MOST_CAUSES {
        console.print(&format!("and {} more; `fleche status` shows all\n", above.len() - MOST_CAUSES));
    }
    Ok(Exit::Done)
}

/// The task that makes what is at this path; or, for another file of the project, what to ask instead.
fn made(directory: &Path, plan: &Plan, name: &str) -> Option<std::result::Result<TaskId, String>> {
    let place = directory.join(name);
    let path = normalise_inside(&plan.root, place.to_str()?).ok()?;
    match plan.maker(&path) {
        Some(maker) => Some(Ok(maker)),
        None if place.exists() => Some(Err(format!(
            "no task makes this file; `fleche query --depends-on {path}` lists what reads it"
        ))),
        None => None,
    }
}

/// The tasks for whose sake these are pending, from which the chains start; none of these themselves.
fn causes(standings: &HashMap<TaskId, Standing>, of: &[TaskId]) -> Vec<TaskId> {
    let mut open: Vec<TaskId> = of.to_vec();
    let mut seen: HashSet<TaskId> = of.iter().copied().collect();
    let mut causes = BTreeSet::new();
    while let Some(id) = open.pop() {
        match standings.get(&id) {
            Some(Standing::Pending(above)) => open.extend(above.iter().filter(|id| seen.insert(**id))),
            _ if of.contains(&id) => {}
            _ => drop(causes.insert(id)),
        }
    }
    causes.into_iter().collect()
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
    let last = prepared.and_then(|prepared| Some((prepared, context.last_success(id, &prepared.function)?)));
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
    let task = &context.plan.tasks[id];
    let prepared = context.prepare(id, &|_| None).ok();
    let holds = prepared.as_ref().and_then(|prepared| {
        let key = prepared.function.key::<Produced>();
        let history = prepared.function.history().ok()?;
        let mut records = history.into_iter().filter(|record| record.key == key);
        records.find(|record| fleche::dynamic::result_of(record).as_ref() == standing.produced())
    });
    let when = holds.map(|record| format!("; last ran {}", moment(session, &record))).unwrap_or_default();
    if let Standing::Restorable(produced, count) = standing {
        let paths = if *count == 1 { "1 path is".to_owned() } else { format!("{count} paths are") };
        let _ = writeln!(text, "would be restored: {paths} not as recorded{when}");
        let found = restore::differences(&context.plan.root, task, produced, &digest_now).unwrap_or_default();
        let row = |difference: &restore::Difference<'_>| {
            let place = context.plan.root.join(difference.path());
            let verb = match difference {
                restore::Difference::Surplus(_) => "surplus",
                restore::Difference::Mode(_) => "mode",
                restore::Difference::Content(_) if place.symlink_metadata().is_err() => "missing",
                restore::Difference::Content(_) => "differs",
            };
            let verb = session.host.console.styled(NOTABLE, &format!("{verb:<7}"));
            vec![format!("  {verb}"), difference.path().to_owned()]
        };
        let rows: Vec<_> = found.iter().map(row).collect();
        text.push_str(&table(&rows));
    } else {
        let _ = writeln!(text, "up to date{when}");
    }
    if let Some(prepared) = prepared {
        let _ = writeln!(text, "  same     {}, command", inputs(prepared.inputs.files.len()));
    }
}

fn stale(session: &Session<'_>, context: &Context<'_>, id: TaskId, prepared: &Prepared, text: &mut String) {
    let Some((record, then)) = context.last_success(id, &prepared.function) else {
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
    if let Some((record, then)) = context.last_success(id, &prepared.function) {
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
    let rows: Vec<_> = found.changes.iter().map(|change| change_as_row(console, change, true)).collect();
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

/// `14:02 (c41f90aa)`.
fn moment(session: &Session<'_>, record: &Record) -> String {
    format!("{} ({})", super::moment(session, record), record.key.digest().short())
}

/// What its run would lead to: `then     plot[*]; report only if plot changes`.
fn then(plan: &Plan, id: TaskId) -> String {
    let readers = |tasks: &BTreeSet<TaskId>| -> BTreeSet<TaskId> {
        let below = tasks.iter().flat_map(|task| plan.below(*task));
        below.filter(|(_, relation)| *relation == Relation::Data).map(|(task, _)| task).collect()
    };
    let direct = readers(&BTreeSet::from([id]));
    if direct.is_empty() {
        return String::new();
    }
    let further: BTreeSet<_> = readers(&direct).difference(&direct).copied().collect();
    let mut text = format!("then     {}", grouped(plan, &direct, true));
    if !further.is_empty() {
        let (further, direct) = (grouped(plan, &further, true), grouped(plan, &direct, false));
        let _ = write!(text, "; {further} only if {direct} changes");
    }
    text.push('\n');
    text
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
