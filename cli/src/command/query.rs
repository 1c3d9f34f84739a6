//! `fleche query`: the records in the cache, of tasks and of cached functions alike, newest first.

use std::ops::ControlFlow;
use std::sync::Arc;

use fleche_store::Record;
use serde_json::json;

use super::{Result, Session, moment, recorded};
use crate::arguments::{Format, Query};
use crate::console::{FAINT, NAME, table};
use crate::host::Exit;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Query) -> Result {
    let (cache, store) = recorded::cache(session, arguments.cache.as_deref())?;
    let mut records: Vec<Arc<Record>> = Vec::new();
    let wanted = arguments.name.as_deref().unwrap_or_default();
    let mut take = |record: Arc<Record>| {
        let identity = &record.identity;
        if [&identity.function, &identity.module, &identity.package].iter().any(|name| name.contains(wanted))
        {
            records.push(record);
        }
        ControlFlow::Continue(())
    };
    match &arguments.depends_on {
        Some(file) => {
            for call in recorded::depending_on(session, &cache, &store, file)?.calls() {
                let newest = store.newest(&call.id).map_err(|error| recorded::unreadable(&error))?;
                if let Some(record) = newest {
                    let _ = take(record);
                }
            }
        }
        None => store.for_each_record(&mut take).map_err(|error| recorded::unreadable(&error))?,
    }
    records.sort_by_key(|record| std::cmp::Reverse(record.clock));
    records.truncate(arguments.limit);
    let console = &session.host.console;
    if arguments.format == Format::Json {
        for record in &records {
            console.print(&format!("{}\n", as_json(record)));
        }
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = records
        .iter()
        .map(|record| {
            let arguments: Vec<_> = record
                .identity
                .arguments
                .iter()
                .map(|a| format!("{}={}", a.name, a.digest.digest().short()))
                .collect();
            vec![
                console.styled(FAINT, &moment(session, record)),
                record.key.digest().short(),
                console.styled(NAME, &record.identity.function),
                arguments.join(" "),
            ]
        })
        .collect();
    console.print(&if rows.is_empty() { "no records\n".to_owned() } else { table(&rows) });
    Ok(Exit::Done)
}

/// A record as an object.
pub fn as_json(record: &Record) -> serde_json::Value {
    let arguments: serde_json::Map<_, _> =
        record.identity.arguments.iter().map(|a| (a.name.clone(), json!(a.digest.to_string()))).collect();
    json!({
        "function": record.identity.function,
        "package": record.identity.package,
        "module": record.identity.module,
        "arguments": arguments,
        "call": record.identity.id().to_string(),
        "key": record.key.to_string(),
        "result": record.result.digest.to_string(),
        "dependencies": record.trace.len(),
        "created_ms": record.created_ms,
    })
}
