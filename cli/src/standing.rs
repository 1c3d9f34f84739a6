//! How each task stands, without running or recording anything: whether a record holds once those above it are up to date,
//! given what those will have made.
//!
//! A task is *fresh* (a record holds and its outputs are there), *restorable* (a record holds, the outputs do not match), *stale*
//! (no record holds: it would run) or *pending* (what it reads is not known before a stale task has run).

use std::collections::HashMap;
use std::path::PathBuf;

use fleche::Digest;
use fleche::dynamic::Assumptions;

use crate::execute::{Context, Prepared, digest_now};
use crate::plan::{Relation, TaskId};
use crate::produced::{Kind, Produced};
use crate::restore;

/// How a task stands.
#[derive(Debug)]
pub enum Standing {
    /// Up to date.
    Fresh(Produced),
    /// Its result is known; so many paths are not as it says.
    Restorable(Produced, usize),
    /// It would run.
    Stale(Box<Prepared>),
    /// Depends on what these tasks will make.
    Pending(Vec<TaskId>),
    /// Without inputs and outputs: it runs whenever it is named.
    Always,
    /// It only names others, which are all up to date or not.
    Group,
    /// It would fail before it starts, for this reason.
    Broken(String),
}

impl Standing {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Standing::Fresh(_) => "fresh",
            Standing::Restorable(..) => "restorable",
            Standing::Stale(_) => "stale",
            Standing::Pending(_) => "pending",
            Standing::Always => "always",
            Standing::Group => "group",
            Standing::Broken(_) => "broken",
        }
    }

    /// Whether `run` would do nothing for it.
    pub fn is_up_to_date(&self) -> bool {
        matches!(self, Standing::Fresh(_) | Standing::Group)
    }

    /// What it has made or will have made, if that is known.
    pub fn produced(&self) -> Option<&Produced> {
        match self {
            Standing::Fresh(produced) | Standing::Restorable(produced, _) => Some(produced),
            _ => None,
        }
    }
}

/// The standing of `tasks`, which come in the plan's order and include all above them.
pub fn all(context: &Context<'_>, tasks: &[TaskId]) -> HashMap<TaskId, Standing> {
    let mut standings = HashMap::with_capacity(tasks.len());
    for task in tasks {
        let standing = one(context, *task, &standings);
        standings.insert(*task, standing);
    }
    standings
}

fn one(context: &Context<'_>, id: TaskId, above: &HashMap<TaskId, Standing>) -> Standing {
    let plan = context.plan;
    let task = &plan.tasks[id];
    if task.run.is_none() {
        return Standing::Group;
    }
    if !task.is_cached() {
        return Standing::Always;
    }
    let sources: Vec<TaskId> = plan
        .above(id)
        .into_iter()
        .filter(|(_, relation)| *relation == Relation::Data)
        .map(|(source, _)| source)
        .collect();
    let unknown: Vec<TaskId> = sources
        .iter()
        .copied()
        .filter(|source| above.get(source).and_then(Standing::produced).is_none())
        .collect();
    if !unknown.is_empty() {
        return Standing::Pending(unknown);
    }
    // Where a task above is to be restored, its record tells what will be on disk.
    let restorable = |source: TaskId| match above.get(&source) {
        Some(Standing::Restorable(produced, _)) => Some(produced),
        _ => None,
    };
    let files_of = |source: TaskId| {
        restorable(source).map(|produced| produced.files().keys().map(|path| (*path).to_owned()).collect())
    };
    let prepared = match context.prepare(id, &files_of) {
        Ok(prepared) => prepared,
        Err(message) => return Standing::Broken(message),
    };
    let mut assumptions = Assumptions::default();
    for produced in sources.iter().filter_map(|source| restorable(*source)) {
        for entry in &produced.entries {
            if let Kind::File(content) = &entry.kind {
                let path: PathBuf = plan.root.join(&entry.path);
                assumptions.entry(path, Digest::from_bytes(content.digest), content.mode & 0o111 != 0);
            }
        }
    }
    let known = assumptions.under(|| prepared.function.lookup::<Produced>());
    match known.filter(|produced| produced.holds_in(&plan.root)) {
        None => Standing::Stale(Box::new(prepared)),
        Some(produced) => {
            match restore::differences(&plan.root, task, &produced, &digest_now).map(|found| found.len()) {
                Ok(0) => Standing::Fresh(produced),
                Ok(count) => Standing::Restorable(produced, count),
                Err(error) => Standing::Broken(format!("its outputs cannot be looked at: {error}")),
            }
        }
    }
}
