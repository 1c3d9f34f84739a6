//! The command line of fleche as a library, so that a program of one's own can offer the same commands.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     // With cached functions of your own in this binary, they are known to the commands too.
//!     fleche_cli::main()
//! }
//! ```
//!
//! Nothing below [`run`] asks the process for its arguments, environment, directory or terminal: [`Host`] hands them in.

pub mod arguments;
pub mod capture;
pub mod command;
pub mod console;
pub mod diagnostic;
pub mod difference;
pub mod drawing;
pub mod environment;
pub mod execute;
pub mod host;
pub mod interrupt;
pub mod ledger;
pub mod lines;
pub mod manifest;
pub mod observed;
pub mod path;
pub mod pattern;
pub mod plan;
pub mod process;
pub mod produced;
pub mod programs;
pub mod project;
pub mod report;
pub mod restore;
pub mod schedule;
pub mod spec;
pub mod staging;
pub mod stamp;
pub mod standing;
pub mod stash;
pub mod terminal;
pub mod warnings;
pub mod watcher;
pub mod work;

use std::process::ExitCode;

pub use crate::host::{Exit, Host};

/// Runs the command line of this process: its arguments, environment and terminal.
pub fn main() -> ExitCode {
    warnings::show();
    match Host::of_process() {
        Ok(host) => run(&host).into(),
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Usage.into()
        }
    }
}

/// Runs one command line.
pub fn run(host: &Host) -> Exit {
    command::run(host)
}
