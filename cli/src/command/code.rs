//! `fleche code`: which code the key of a cached Rust function covers, why, and what is different in another version.
//!
//! It reads sources as they lie on disk and compiles nothing; no manifest of tasks and no cache is needed.

use std::fmt::Write as _;
use std::path::Path;

use fleche::{Change, Code as Report, Covered, How, Part};
use fleche_code::survey::Survey;
use serde_json::{Value, json};

use super::{Result, Session};
use crate::arguments::{Code, Format};
use crate::console::{FAINT, NAME, NOTABLE, table};
use crate::diagnostic::{Diagnostic, nearest};
use crate::host::Exit;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Code) -> Result {
    let mut survey = open(&session.directory)?;
    let Some(name) = &arguments.function else {
        list(session, &mut survey, arguments.format);
        return Ok(Exit::Done);
    };
    let function = only_one(&survey, name)?;
    let report = survey.covered(function);
    let path = survey.functions().nth(function).map(|found| found.path.clone()).unwrap_or_default();
    if let Some(against) = &arguments.against {
        let then = other(&session.host.directory.join(against), &path)?;
        let changes = then.moved(&report);
        session.host.console.print(&match arguments.format {
            Format::Json => lines(changes.iter().map(change_as_json)),
            Format::Text if changes.is_empty() => format!("{path} covers the same in both\n"),
            Format::Text => lines(&changes),
        });
        return Ok(Exit::Done);
    }
    if arguments.format == Format::Json {
        session.host.console.print(&format!("{}\n", as_json(&survey, function, &report, true)));
        return Ok(Exit::Done);
    }
    let console = &session.host.console;
    if let Some(item) = &arguments.why {
        let ways: Vec<String> = report
            .items
            .iter()
            .enumerate()
            .filter(|(_, covered)| covered.name.contains(item.as_str()))
            .map(|(place, covered)| way(&report, place, covered))
            .collect();
        if ways.is_empty() {
            let names = report.items.iter().map(|covered| covered.name.as_str());
            let help = match nearest(item, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("`fleche code {name}` lists what it covers"),
            };
            return Err(vec![Diagnostic::new(format!("{path} covers nothing called `{item}`")).help(help)]);
        }
        console.print(&ways.join("\n"));
        return Ok(Exit::Done);
    }
    let mut text = format!("{}\n{}\n", console.styled(NAME, &path), report.summary());
    if let Some(note) = report.note() {
        let _ = writeln!(text, "{}", console.styled(NOTABLE, &note));
    }
    let mut rows = Vec::new();
    tree(&report, &mut |depth, covered: &Covered| {
        let place = console.styled(FAINT, &format!("{}:{}", covered.file, covered.line));
        rows.push(vec![format!("{}{}", "  ".repeat(depth + 1), covered.name), place]);
    });
    text.push_str(&table(&rows));
    for parts in [&report.files, &report.others] {
        for part in parts {
            let _ = writeln!(text, "  {}{}", part.name, part.shown());
        }
    }
    console.print(&text);
    Ok(Exit::Done)
}

fn open(directory: &Path) -> std::result::Result<Survey, Vec<Diagnostic>> {
    Survey::open(directory).ok_or_else(|| {
        let message =
            format!("{} is in no Rust package: there is no Cargo.toml in it or above", directory.display());
        vec![Diagnostic::new(message).help("`-C DIR` starts in another directory")]
    })
}

/// All cached functions in a line each.
fn list(session: &Session<'_>, survey: &mut Survey, format: Format) {
    let console = &session.host.console;
    let mut rows = Vec::new();
    let count = survey.functions().len();
    for function in 0..count {
        let report = survey.covered(function);
        if format == Format::Json {
            console.print(&format!("{}\n", as_json(survey, function, &report, false)));
            continue;
        }
        let Some(found) = survey.functions().nth(function) else { continue };
        let place = format!("{}:{}", survey.file(function), found.line);
        rows.push(vec![console.styled(NAME, &found.path), console.styled(FAINT, &place), report.summary()]);
    }
    if format == Format::Text {
        let none = format!("no cached functions in {}\n", survey.root.display());
        console.print(&if rows.is_empty() { none } else { table(&rows) });
    }
}

/// Each in a line of its own.
fn lines(all: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    all.into_iter().fold(String::new(), |mut text, one| {
        let _ = writeln!(text, "{one}");
        text
    })
}

/// The function that a path, the end of one, or `file:line` means.
fn only_one(survey: &Survey, name: &str) -> std::result::Result<usize, Vec<Diagnostic>> {
    let mut found = survey.find(name);
    let place = |function: usize| {
        let line = survey.functions().nth(function).map_or(0, |found| found.line);
        format!("{}:{line}", survey.file(function))
    };
    if found.is_empty() {
        found = (0..survey.functions().len()).filter(|function| place(*function) == name).collect();
    }
    match found[..] {
        [function] => return Ok(function),
        [] => {}
        [..] => {
            let all: Vec<_> = survey.functions().map(|found| found.path.as_str()).collect();
            let names: Vec<String> = found
                .iter()
                .map(|one| {
                    let alone = all.iter().filter(|path| **path == all[*one]).count() == 1;
                    if alone { all[*one].to_owned() } else { place(*one) }
                })
                .collect();
            return Err(vec![
                Diagnostic::new(format!("`{name}` names {} functions", found.len()))
                    .help(format!("name one: {}", names.join(", "))),
            ]);
        }
    }
    let error = Diagnostic::new(format!("there is no cached function `{name}` in {}", survey.root.display()));
    let paths: Vec<&str> = survey.functions().map(|found| found.path.as_str()).collect();
    let last = |path: &str| path.rsplit("::").next().unwrap_or_default().to_owned();
    let ends: Vec<String> = paths.iter().map(|path| last(path)).collect();
    let near = nearest(&last(name), ends.iter().map(String::as_str));
    let near = near.and_then(|near| ends.iter().position(|end| end == near));
    Err(vec![match near {
        Some(near) => error.help(format!("did you mean `{}`?", paths[near])),
        None if paths.is_empty() => error.help("`#[fleche]` marks a function as cached"),
        None => error.help("`fleche code` lists them"),
    }])
}

/// What the same function covers in another checkout, or in what `--format=json` wrote.
fn other(place: &Path, path: &str) -> std::result::Result<Report, Vec<Diagnostic>> {
    let wrong = |message: String| {
        vec![Diagnostic::new(message).help(
            "`--against` takes the directory of another checkout, or a file that `fleche code FUNCTION --format=json` wrote",
        )]
    };
    if place.is_dir() {
        let mut survey = open(place)?;
        let function = only_one(&survey, path)?;
        return Ok(survey.covered(function));
    }
    let text = std::fs::read_to_string(place)
        .map_err(|error| wrong(format!("{} cannot be read: {error}", place.display())))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("{} is no JSON: {error}", place.display())))?;
    let report =
        from_json(&value).ok_or_else(|| wrong(format!("{} describes no function", place.display())))?;
    if value["function"] != *path {
        return Err(wrong(format!("{} is about {}, not {path}", place.display(), value["function"])));
    }
    Ok(report)
}

/// The items in the order of a tree of who reached whom.
fn tree(report: &Report, show: &mut dyn FnMut(usize, &Covered)) {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); report.items.len()];
    for (place, item) in report.items.iter().enumerate() {
        if let Some(children) = item.from.and_then(|from| below.get_mut(from)) {
            children.push(place);
        }
    }
    let top = report.items.iter().enumerate().filter(|(_, item)| item.from.is_none());
    let mut pending: Vec<(usize, usize)> = top.map(|(place, _)| (0, place)).collect();
    pending.reverse();
    while let Some((depth, place)) = pending.pop() {
        show(depth, &report.items[place]);
        pending.extend(below[place].iter().rev().map(|child| (depth + 1, *child)));
    }
}

/// The way from the function to an item, a line for each step.
fn way(report: &Report, place: usize, item: &Covered) -> String {
    let steps = report.path(place);
    let mut text = String::new();
    for (depth, name) in steps.iter().enumerate() {
        let end =
            if depth + 1 == steps.len() { format!("  {}:{}", item.file, item.line) } else { String::new() };
        let _ = writeln!(text, "{}{name}{end}", "  ".repeat(depth));
    }
    text
}

fn as_json(survey: &Survey, function: usize, report: &Report, items: bool) -> Value {
    let found = survey.functions().nth(function);
    let mut value = json!({
        "function": found.map(|found| &found.path),
        "file": survey.file(function),
        "line": found.map(|found| found.line),
        "level": report.level,
        "count": report.count,
        "share": f64::from(report.share) / 1000.0,
        "pulls": report.pulls.as_ref().map(|(name, count)| json!({ "item": name, "count": count })),
    });
    if items {
        let parts = |parts: &[Part]| -> Vec<Value> {
            parts.iter().map(|part| json!({ "name": part.name, "value": part.value })).collect()
        };
        let item = |item: &Covered| {
            json!({
                "name": item.name, "file": item.file, "line": item.line, "tokens": item.tokens, "from": item.from,
                "digest": format!("{:08x}", item.digest),
            })
        };
        value["items"] = report.items.iter().map(item).collect();
        value["files"] = parts(&report.files).into();
        value["others"] = parts(&report.others).into();
    }
    value
}

fn from_json(value: &Value) -> Option<Report> {
    let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
    let size = |value: &Value| usize::try_from(value.as_u64()?).ok();
    let parts = |value: &Value| -> Option<Vec<Part>> {
        let part = |part: &Value| {
            Some(Part { name: part["name"].as_str()?.to_owned(), value: part["value"].as_str()?.to_owned() })
        };
        value.as_array()?.iter().map(part).collect()
    };
    let item = |item: &Value| {
        Some(Covered {
            name: item["name"].as_str()?.to_owned(),
            file: item["file"].as_str()?.to_owned(),
            line: number(&item["line"])?,
            digest: u32::from_str_radix(item["digest"].as_str()?, 16).ok()?,
            tokens: size(&item["tokens"])?,
            from: size(&item["from"]),
        })
    };
    Some(Report {
        level: value["level"].as_str()?.to_owned(),
        count: size(&value["count"])?,
        items: value["items"].as_array()?.iter().map(item).collect::<Option<_>>()?,
        files: parts(&value["files"])?,
        others: parts(&value["others"])?,
        ..Report::default()
    })
}

fn change_as_json(change: &Change) -> Value {
    let (how, was, is) = match &change.how {
        How::Changed => ("changed", None, None),
        How::Became(was, is) => ("changed", Some(was), Some(is)),
        How::Added => ("added", None, None),
        How::Removed => ("removed", None, None),
    };
    let (file, line) = change.place.as_ref().map(|(file, line)| (file, line)).unzip();
    json!({ "how": how, "name": change.name, "file": file, "line": line, "was": was, "is": is })
}
