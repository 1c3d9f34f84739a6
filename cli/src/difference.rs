//! What is different between a task now and its last success.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::UNIX_EPOCH;

use fleche_store::{Digest, Store};

use crate::execute::Prepared;
use crate::lines;
use crate::manifest::quote::quote;
use crate::plan::Task;
use crate::spec::{Spec, Success, text};

/// One difference, in the three columns in which it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `changed`, `added`, `removed`.
    pub verb: &'static str,
    /// `raw/2012.csv`, `var min`.
    pub what: String,
    /// `366 → 367 lines`.
    pub detail: String,
    /// When a file with another content was written, in milliseconds since 1970.
    pub written_ms: Option<i64>,
}

impl Change {
    fn new(verb: &'static str, what: impl Into<String>, detail: impl Into<String>) -> Change {
        Change { verb, what: what.into(), detail: detail.into(), written_ms: None }
    }

    fn of_file(verb: &'static str, path: &str, place: &Path, detail: String) -> Change {
        let written = place.metadata().and_then(|metadata| metadata.modified()).ok();
        let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let written_ms = since.and_then(|since| i64::try_from(since.as_millis()).ok());
        Change { written_ms, ..Change::new(verb, path, detail) }
    }
}

/// All differences, and how many inputs are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What is different.
    pub changes: Vec<Change>,
    /// How many inputs are not.
    pub same_inputs: usize,
    /// Whether the command as written is not.
    pub same_command: bool,
}

/// Compares the task as it is now with a success of it.
pub fn compare(
    root: &Path,
    task: &Task,
    now: &Prepared,
    then: &Success,
    store: Option<&Store>,
) -> Comparison {
    let mut changes = Vec::new();
    let mut same_inputs = 0;
    let mut before: BTreeMap<&str, _> = then.inputs.iter().map(|seen| (seen.path.as_str(), seen)).collect();
    for path in &now.inputs.files {
        let place = root.join(path);
        let entry = fleche::dynamic::entry(&place).ok().flatten();
        let digest = entry.map(|(digest, _)| digest);
        let lines_now = || digest.and_then(|digest| lines::count(&place, &digest, store));
        match before.remove(path.as_str()) {
            None => {
                let detail = lines_now().map(lines_of).unwrap_or_default();
                changes.push(Change::of_file("added", path, &place, detail));
            }
            Some(seen) if Some(&seen.digest) == digest.map(|digest| digest.to_string()).as_ref() => {
                match (seen.executable, entry) {
                    (Some(true), Some((_, false))) => {
                        changes.push(Change::new("changed", path, "was executable, now is not"));
                    }
                    (Some(false), Some((_, true))) => {
                        changes.push(Change::new("changed", path, "was not executable, now is"));
                    }
                    _ => same_inputs += 1,
                }
            }
            Some(seen) => {
                let detail = match (seen.lines, lines_now()) {
                    (Some(then), Some(now)) if then == now => format!("{}, other content", lines_of(now)),
                    (Some(then), Some(now)) => format!("{then} → {}", lines_of(now)),
                    _ => digest.map(|now| arrow(short(&seen.digest), now.short())).unwrap_or_default(),
                };
                changes.push(Change::of_file("changed", path, &place, detail));
            }
        }
    }
    for path in before.keys() {
        changes.push(Change::new("removed", *path, ""));
    }
    maps(&mut changes, "var ", &then.variables, &task.variables, quote);
    environment(&mut changes, &then.spec, &now.spec);
    maps(&mut changes, "set_env ", &then.spec.set_env, &now.spec.set_env, quote);
    maps(&mut changes, "tool ", &then.spec.tools, &now.spec.tools, short);
    let same_command = then.text == text(task);
    if !same_command {
        let (old, new) = first_difference(&then.text, &text(task));
        changes.push(Change::new("changed", "command", arrow(&old, &new)));
    }
    let shell = |spec: &Spec| spec.shell.as_ref().map_or("none".to_owned(), |shell| shell.join(" "));
    scalar(&mut changes, "shell", &shell(&then.spec), &shell(&now.spec));
    scalar(&mut changes, "cwd", &then.spec.cwd, &now.spec.cwd);
    scalar(&mut changes, "outputs", &then.spec.outputs.join(" "), &now.spec.outputs.join(" "));
    scalar(&mut changes, "keep", &then.spec.keep.join(" "), &now.spec.keep.join(" "));
    scalar(&mut changes, "system", &then.spec.os, &now.spec.os);
    scalar(&mut changes, "processor", &then.spec.arch, &now.spec.arch);
    if changes.is_empty() && then.spec.command != now.spec.command {
        // The order of the inputs, say: nothing else that goes into the command is different.
        changes.push(Change::new("changed", "order of inputs", ""));
    }
    Comparison { changes, same_inputs, same_command }
}

fn environment(changes: &mut Vec<Change>, then: &Spec, now: &Spec) {
    for (name, value) in &now.env {
        let what = format!("env {name}");
        match (then.env.get(name), value) {
            (None, _) => changes.push(Change::new("added", what, "")),
            (Some(before), now) if before == now => {}
            (Some(None), Some(_)) => changes.push(Change::new("changed", what, "was not set, now is")),
            (Some(Some(_)), None) => changes.push(Change::new("changed", what, "was set, now is not")),
            _ => changes.push(Change::new("changed", what, "value not kept")),
        }
    }
    for name in then.env.keys().filter(|name| !now.env.contains_key(*name)) {
        changes.push(Change::new("removed", format!("env {name}"), ""));
    }
}

fn maps(
    changes: &mut Vec<Change>,
    kind: &str,
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    show: impl Fn(&str) -> String,
) {
    for (name, value) in now {
        match then.get(name) {
            None => changes.push(Change::new("added", format!("{kind}{name}"), show(value))),
            Some(before) if before == value => {}
            Some(before) => {
                changes.push(Change::new(
                    "changed",
                    format!("{kind}{name}"),
                    arrow(show(before), show(value)),
                ));
            }
        }
    }
    for name in then.keys().filter(|name| !now.contains_key(*name)) {
        changes.push(Change::new("removed", format!("{kind}{name}"), ""));
    }
}

fn scalar(changes: &mut Vec<Change>, what: &str, then: &str, now: &str) {
    if then != now {
        changes.push(Change::new("changed", what, arrow(then, now)));
    }
}

fn arrow(then: impl Display, now: impl Display) -> String {
    format!("{then} → {now}")
}

fn lines_of(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

fn short(digest: &str) -> String {
    digest.parse::<Digest>().map_or_else(|_| digest.to_owned(), |digest| digest.short())
}

/// The first lines that differ, cut to what fits beside each other.
fn first_difference(then: &str, now: &str) -> (String, String) {
    let cut = |line: Option<&str>| {
        let line = line.unwrap_or("").trim();
        let mut text: String = line.chars().take(48).collect();
        if text.len() < line.len() {
            text.push('…');
        }
        text
    };
    let (mut then, mut now) = (then.lines(), now.lines());
    loop {
        match (then.next(), now.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => return (cut(a), cut(b)),
        }
    }
}
