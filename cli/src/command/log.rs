//! `fleche log`: what a task wrote when it last ran, whether it failed or not.

use std::fs::File;
use std::io::{self, Read};

use super::{Result, Session, enter, only_one};
use crate::arguments::Log;
use crate::diagnostic::Diagnostic;
use crate::execute::history;
use crate::host::Exit;
use crate::process::interleave;
use crate::produced::{Produced, blob};
use crate::project::Access;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Log) -> Result {
    let project = session.project()?;
    let task = only_one(&project.plan, &arguments.task).map_err(|error| vec![error])?;
    let name = &project.plan.tasks[task].name;
    let console = &session.host.console;
    let mut bytes = Vec::new();
    if let Some((streams, how)) = project.work.failure(name) {
        let open = |path| File::open(path).map_err(unreadable);
        let (stdout, stderr, order) = (open(&streams.stdout)?, open(&streams.stderr)?, open(&streams.order)?);
        write(arguments, stdout, stderr, order, &mut bytes).map_err(unreadable)?;
        console.note(&format!("of the last run, which failed ({how})"));
        console.print_bytes(&bytes);
        return Ok(Exit::Done);
    }
    let cache = project.cache(Access::Look).map_err(|error| vec![error])?;
    let _scope = enter(&cache)?;
    let found = history(name).iter().find_map(|record| fleche::dynamic::result_of::<Produced>(record));
    let Some(produced) = found else {
        return Err(vec![Diagnostic::new(format!("nothing is known of a run of `{name}`"))]);
    };
    let read = |digest| match cache.store().map(|store| store.blob(&blob(digest))) {
        Some(Ok(Some(bytes))) => Ok(io::Cursor::new(bytes.to_vec())),
        Some(Err(error)) => Err(unreadable(error)),
        Some(Ok(None)) | None => Err(unreadable("the cache no longer has it")),
    };
    let (stdout, stderr, order) = (read(produced.stdout)?, read(produced.stderr)?, read(produced.order)?);
    write(arguments, stdout, stderr, order, &mut bytes).map_err(unreadable)?;
    console.print_bytes(&bytes);
    Ok(Exit::Done)
}

fn unreadable(error: impl std::fmt::Display) -> Vec<Diagnostic> {
    vec![Diagnostic::new(format!("its output cannot be read: {error}"))]
}

fn write(
    arguments: &Log,
    mut stdout: impl Read,
    mut stderr: impl Read,
    order: impl Read,
    to: &mut Vec<u8>,
) -> io::Result<()> {
    if arguments.stdout {
        io::copy(&mut stdout, to).map(drop)
    } else if arguments.stderr {
        io::copy(&mut stderr, to).map(drop)
    } else {
        interleave(stdout, stderr, order, to)
    }
}
