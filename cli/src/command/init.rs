//! `fleche init`: a manifest to begin with.

use std::fs::File;
use std::io::{ErrorKind, Write};

use super::{Result, Session};
use crate::diagnostic::Diagnostic;
use crate::host::Exit;
use crate::project::MANIFEST;

/// What it writes.
pub const TEMPLATE: &str = include_str!("init.toml");

/// Runs the command.
pub fn run(session: &Session<'_>) -> Result {
    let path = session.file.clone().unwrap_or_else(|| session.directory.join(MANIFEST));
    let written = File::create_new(&path).and_then(|mut file| file.write_all(TEMPLATE.as_bytes()));
    match written {
        Ok(()) => {
            session.host.console.print(&format!("wrote {}; `fleche run` runs its example\n", path.display()));
            Ok(Exit::Done)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(vec![Diagnostic::new(format!("{} exists already", path.display()))])
        }
        Err(error) => Err(vec![Diagnostic::new(format!("{} cannot be written: {error}", path.display()))]),
    }
}
