//! `fleche completions`: what a shell needs to complete this command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Session;
use crate::arguments::Arguments;
use crate::host::Exit;

/// Runs the command.
pub fn run(session: &Session<'_>, shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "fleche", &mut script);
    session.host.console.print_bytes(&script);
    Exit::Done
}
