//! `fleche show`: a record in full, by any prefix of a digest that is unambiguous.

use std::fmt::Write as _;

use fleche_store::{Dependency, Named, Record, Store, TypeFingerprint};

use super::{Result, Session, moment, resolve, store};
use crate::arguments::Show;
use crate::console::{bytes, duration, table};
use crate::diagnostic::Diagnostic;
use crate::host::Exit;
use crate::produced::{Kind, Produced};
use crate::spec::{META, Success};

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Show) -> Result {
    let project = session.project()?;
    let (cache, store) = store(&project, false)?;
    let _scope = super::enter(&cache)?;
    let failed =
        |error: fleche_store::Error| vec![Diagnostic::new(format!("the cache cannot be read: {error}"))];
    let text = match resolve(&store, &arguments.digest)? {
        Named::Value(digest, fingerprint) => {
            let value = store.value(&digest, fingerprint).map_err(failed)?;
            let size = value.map_or_else(|| "gone".to_owned(), |value| bytes(value.len() as u64));
            let kind = if fingerprint == TypeFingerprint::BLOB { "content of a file" } else { "value" };
            format!("{kind} {digest}\n  size  {size}\n")
        }
        Named::Key(key) => {
            let records = store.records(&key).map_err(failed)?;
            records.iter().map(|record| describe(session, &store, record)).collect::<Vec<_>>().join("\n")
        }
        Named::Call(call) => {
            let records = store.history(&call).map_err(failed)?;
            records.iter().map(|record| describe(session, &store, record)).collect::<Vec<_>>().join("\n")
        }
    };
    session.host.console.print(&text);
    Ok(Exit::Done)
}

fn describe(session: &Session<'_>, store: &Store, record: &Record) -> String {
    let identity = &record.identity;
    let mut text = format!(
        "{} of {} ({}), {}\n",
        identity.function,
        identity.package,
        identity.module,
        moment(session, record)
    );
    let mut rows = vec![
        vec!["  call".to_owned(), identity.id().to_string()],
        vec!["  key".to_owned(), record.key.to_string()],
        vec!["  result".to_owned(), record.result.digest.to_string()],
    ];
    for argument in &identity.arguments {
        rows.push(vec![format!("  argument {}", argument.name), argument.digest.digest().short()]);
    }
    let internal = |name: &str| name == META || fleche::recorded::is_internal(name);
    for (name, value) in record.meta.iter().filter(|(name, _)| !internal(name)) {
        rows.push(vec![format!("  {name}"), value.clone()]);
    }
    if let Some(time) = fleche::recorded::time_of(record)
        && Success::of(record).is_none()
    {
        rows.push(vec!["  took".to_owned(), duration(time.took)]);
    }
    if let Some(success) = Success::of(record) {
        let time = std::time::Duration::from_millis(success.milliseconds);
        rows.push(vec!["  took".to_owned(), duration(time)]);
        rows.push(vec![
            "  command".to_owned(),
            success.spec.command.join(" ").replace('\n', "\n            "),
        ]);
        for (name, value) in &success.variables {
            rows.push(vec![format!("  var {name}"), value.clone()]);
        }
        for (name, digest) in &success.spec.tools {
            rows.push(vec![format!("  tool {name}"), digest.chars().take(8).collect()]);
        }
        for name in success.spec.env.keys() {
            rows.push(vec![format!("  env {name}"), "value not kept".to_owned()]);
        }
    }
    text.push_str(&table(&rows));
    let trace: Vec<_> = record
        .trace
        .iter()
        .map(|edge| {
            let name = match &edge.dependency {
                Dependency::Call(call) => store.newest(call).ok().flatten().map_or_else(
                    || format!("call {call}"),
                    |record| format!("call {}", record.identity.function),
                ),
                input @ Dependency::Input { .. } => fleche::dynamic::input_name(input).unwrap_or_default(),
            };
            vec![format!("    {name}"), edge.observed.short()]
        })
        .collect();
    if !trace.is_empty() {
        let _ = writeln!(text, "  read");
        text.push_str(&table(&trace));
    }
    if let Some(produced) = fleche::dynamic::result_of::<Produced>(record) {
        let rows: Vec<_> = produced.entries.iter().map(|entry| made(&entry.path, &entry.kind)).collect();
        if !rows.is_empty() {
            let _ = writeln!(text, "  made");
            text.push_str(&table(&rows));
        }
    }
    text
}

fn made(path: &str, kind: &Kind) -> Vec<String> {
    match kind {
        Kind::File(content) => {
            let digest = crate::produced::blob(content.digest).digest().short();
            vec![format!("    {path}"), digest, bytes(content.size), format!("{:03o}", content.mode)]
        }
        Kind::Link(target) => vec![format!("    {path}"), format!("→ {target}")],
        Kind::Directory(mode) => {
            vec![format!("    {path}/"), String::new(), String::new(), format!("{mode:03o}")]
        }
    }
}
