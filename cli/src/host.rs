//! Everything that a command gets from outside. [`Host::of_process`] is the one place that asks the process for it.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use jiff::tz::TimeZone;

use crate::console::{Console, Stream};
use crate::environment::Outer;
use crate::interrupt::Interrupt;

/// The world of one command line.
#[derive(Debug)]
pub struct Host {
    /// The arguments, beginning with the program's name.
    pub arguments: Vec<OsString>,
    /// The environment, of which tasks see what they declare.
    pub environment: Outer,
    /// The working directory.
    pub directory: PathBuf,
    /// Where text goes.
    pub console: Console,
    /// Set by Ctrl-C.
    pub interrupt: Interrupt,
    /// In which times are shown.
    pub zone: TimeZone,
    /// How many tasks run at once unless told otherwise.
    pub jobs: NonZeroUsize,
}

/// How a command line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is done, or up to date.
    Done,
    /// A task failed, or is not up to date.
    Failed,
    /// The arguments or the manifest are wrong; nothing was run.
    Usage,
    /// Somebody ended it.
    Interrupted,
}

impl Exit {
    /// As a number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl Host {
    /// This process; Ctrl-C and a termination signal set its interrupt from now on.
    pub fn of_process() -> io::Result<Host> {
        let interrupt = Interrupt::new()?;
        let flag = interrupt.clone();
        ctrlc::set_handler(move || flag.set()).map_err(io::Error::other)?;
        let (out, err) = (io::stdout(), io::stderr());
        let colour = |choice| choice != ColorChoice::Never;
        let console = Console::new(
            Stream {
                colour: colour(AutoStream::choice(&out)),
                terminal: out.is_terminal(),
                to: Box::new(out),
            },
            Stream {
                colour: colour(AutoStream::choice(&err)),
                terminal: err.is_terminal(),
                to: Box::new(err),
            },
        );
        Ok(Host {
            arguments: std::env::args_os().collect(),
            environment: std::env::vars_os().collect(),
            directory: std::env::current_dir()?,
            console,
            interrupt,
            zone: TimeZone::system(),
            jobs: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        })
    }
}
