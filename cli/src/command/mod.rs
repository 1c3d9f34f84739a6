//! The commands, one file each. Each gets the [`Session`], does its work and says how it ended; errors in what the person wrote
//! are returned, and shown in one place.

pub mod bring;
pub mod cat;
pub mod clean;
pub mod code;
pub mod completions;
pub mod graph;
pub mod init;
pub mod list;
pub mod log;
pub mod query;
pub mod recorded;
pub mod rerun;
pub mod run;
pub mod show;
pub mod status;
pub mod upkeep;
pub mod watch;
pub mod why;

use std::path::PathBuf;

use clap::Parser;
use fleche_store::{Named, Record, Store};
use jiff::Timestamp;

use crate::arguments::{Arguments, Command};
use crate::diagnostic::Diagnostic;
use crate::execute::Context;
use crate::host::{Exit, Host};
use crate::plan::{Plan, TaskId};
use crate::project::{Access, Project};

/// What a command comes to.
pub type Result = std::result::Result<Exit, Vec<Diagnostic>>;

/// The host, and the arguments that hold for every command.
#[derive(Debug)]
pub struct Session<'h> {
    /// The world.
    pub host: &'h Host,
    /// Where to look for the manifest.
    pub directory: PathBuf,
    /// The manifest, if it is named.
    pub file: Option<PathBuf>,
}

impl Session<'_> {
    /// The project that the arguments mean.
    pub fn project(&self) -> crate::manifest::Result<Project> {
        Project::load(&Project::locate(&self.directory, self.file.as_deref())?, &self.directory)
    }

    /// Everything that tasks need, around this cache.
    pub fn context<'a>(&'a self, project: &'a Project, cache: &'a fleche::Cache) -> Context<'a> {
        Context {
            plan: &project.plan,
            cache,
            outer: &self.host.environment,
            work: &project.work,
            ledger: &project.ledger,
            interrupt: &self.host.interrupt,
            observed: None,
        }
    }
}

/// The one task that a name means.
pub fn only_one(plan: &Plan, name: &str) -> std::result::Result<TaskId, Diagnostic> {
    match plan.find(name)? {
        [task] => Ok(*task),
        several => Err(Diagnostic::new(format!("`{name}` has {} instances", several.len()))
            .help(format!("name one, such as `{}`", plan.tasks[several[0]].name))),
    }
}

/// Puts the cache in scope on this thread.
pub fn enter(cache: &fleche::Cache) -> std::result::Result<fleche::Scope, Vec<Diagnostic>> {
    fleche::cache(cache).map_err(|error| vec![Diagnostic::new(error.to_string())])
}

/// The store of the project's cache, with the cache around it. `write`: for something that changes it.
pub fn store(project: &Project, write: bool) -> std::result::Result<(fleche::Cache, Store), Vec<Diagnostic>> {
    let access = if write { Access::Record } else { Access::Look };
    let cache = project.cache(access).map_err(|error| vec![error])?;
    match cache.store().cloned() {
        Some(store) => Ok((cache, store)),
        None => Err(vec![Diagnostic::new("the cache `void` holds nothing")]),
    }
}

/// The one thing that a prefix of a digest names.
pub fn resolve(store: &Store, prefix: &str) -> std::result::Result<Named, Vec<Diagnostic>> {
    let found = store.resolve(prefix).map_err(|error| {
        vec![Diagnostic::new(error.to_string()).help("a digest is written in hex digits")]
    })?;
    match found[..] {
        [only] => Ok(only),
        [] => {
            Err(vec![Diagnostic::new(format!("nothing in the cache has a digest that begins with {prefix}"))])
        }
        [..] => {
            let mut digests: Vec<_> = found.iter().map(|named| named.digest().to_string()).collect();
            digests.dedup();
            digests.truncate(8);
            Err(vec![
                Diagnostic::new(format!("{prefix} names {} things", found.len()))
                    .help(format!("give more digits: {}", digests.join(", "))),
            ])
        }
    }
}

/// When a record was made: `14:02`, with the day if that is not today.
pub fn moment(session: &Session<'_>, record: &Record) -> String {
    let zone = &session.host.zone;
    let when = Timestamp::from_millisecond(record.created_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let when = when.to_zoned_datetime(zone.clone());
    let today = Timestamp::now().to_zoned_datetime(zone.clone()).date();
    let form = if when.date() == today { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    when.strftime(form).to_string()
}

/// Runs one command line.
pub fn run(host: &Host) -> Exit {
    let arguments = match Arguments::try_parse_from(&host.arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let text = error.render();
            if error.use_stderr() {
                host.console.note(text.to_string().trim_end());
                return Exit::Usage;
            }
            host.console.print(&text.to_string());
            return Exit::Done;
        }
    };
    if arguments.ambiguous.is_some() {
        host.console.errors(&[Diagnostic::new("there is no `-f`")
            .help("`--file FILE` names the manifest; `run --force` runs what is up to date")]);
        return Exit::Usage;
    }
    let directory = match &arguments.directory {
        None => host.directory.clone(),
        Some(directory) => host.directory.join(directory),
    };
    // Not looked for further up: a slip of the finger must not run another project's tasks.
    if !directory.is_dir() {
        let place = arguments.directory.unwrap_or_default();
        host.console.errors(&[Diagnostic::new(format!("there is no directory {}", place.display()))
            .help("`-C DIR` starts in a directory that is there")]);
        return Exit::Usage;
    }
    let session = Session { host, directory, file: arguments.file.map(|file| host.directory.join(file)) };
    let result = match &arguments.command {
        Command::Run(arguments) => run::run(&session, arguments),
        Command::Watch(arguments) => watch::run(&session, arguments),
        Command::Rerun(arguments) => rerun::run(&session, arguments),
        Command::Status(arguments) => status::run(&session, arguments),
        Command::Why(arguments) => why::run(&session, arguments),
        Command::Graph(arguments) => graph::run(&session, arguments),
        Command::List(arguments) => list::run(&session, arguments),
        Command::Log(arguments) => log::run(&session, arguments),
        Command::Clean(arguments) => clean::run(&session, arguments),
        Command::Query(arguments) => query::run(&session, arguments),
        Command::Show(arguments) => show::run(&session, arguments),
        Command::Cat(arguments) => cat::run(&session, arguments),
        Command::Gc(arguments) => upkeep::gc(&session, arguments),
        Command::Verify(arguments) => upkeep::verify(&session, arguments),
        Command::Stats => upkeep::stats(&session),
        Command::Code(arguments) => code::run(&session, arguments),
        Command::Init => init::run(&session),
        Command::Completions { shell } => Ok(completions::run(&session, *shell)),
    };
    result.unwrap_or_else(|errors| {
        host.console.errors(&errors);
        Exit::Usage
    })
}
