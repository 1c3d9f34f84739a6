//! The arguments of the command line. What they say is checked here, what they mean is the commands' business.

#![expect(
    rustdoc::broken_intra_doc_links,
    reason = "comments here are help texts first: plot[oslo] is no link"
)]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::command::upkeep::{age, size};

/// Brings the outputs of tasks up to date, and runs only what has to run.
#[derive(Debug, Parser)]
#[command(name = "fleche", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    /// Start in this directory instead of the working directory.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Read this manifest instead of the nearest fleche.toml.
    #[arg(long, value_name = "FILE", global = true)]
    pub file: Option<PathBuf>,
    /// Elsewhere it means force, or file: it is refused with advice.
    #[arg(short = 'f', global = true, hide = true, num_args = 0..=1)]
    pub ambiguous: Option<Option<String>>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring tasks up to date.
    Run(Run),
    /// Bring tasks up to date, and again whenever something changes.
    Watch(Watch),
    /// Run tasks again, and those whose results they read, whatever the records say.
    Rerun(Rerun),
    /// Show which tasks are up to date; exits with 1 if one is not.
    Status(Status),
    /// Show what is different from the last success of a task, or from what a recorded call observed.
    Why(Why),
    /// Show which task reads from which, or what a recorded call depends on.
    Graph(Graph),
    /// List the tasks with their descriptions.
    List(List),
    /// Show what a task wrote when it last ran.
    Log(Log),
    /// Remove outputs; they can be restored by `run`.
    Clean(Clean),
    /// List the records in the cache, newest first.
    Query(Query),
    /// Show a record in full.
    Show(Show),
    /// Write a stored value to standard output.
    Cat(Show),
    /// Drop from the cache what is over a budget, and what nothing reaches.
    Gc(Gc),
    /// Check every byte of the cache; exits with 1 if something is damaged.
    Verify(Verify),
    /// Show how large the cache is.
    Stats,
    /// Show which code the key of a cached Rust function covers, and why.
    Code(Code),
    /// Write a commented fleche.toml.
    Init,
    /// Write completions for a shell to standard output.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// How `run` and `rerun` go about it.
#[derive(Debug, Args)]
pub struct Pace {
    /// How many tasks run at once [default: number of processors].
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// After a failure, go on with what does not depend on it.
    #[arg(short, long)]
    pub keep_going: bool,
    /// Say of each task that runs why it does.
    #[arg(long)]
    pub explain: bool,
    /// Also tell of tasks that were up to date.
    #[arg(short, long)]
    pub verbose: bool,
    /// How to tell what happens.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `fleche run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Tasks, or instances such as plot[oslo] [default: what `tasks` lists, or all that have outputs].
    pub tasks: Vec<String>,
    /// Only show what would run; nothing runs and nothing is recorded.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Run the named tasks even if they are up to date.
    #[arg(long)]
    pub force: bool,
    /// How to go about it.
    #[command(flatten)]
    pub pace: Pace,
}

/// `fleche watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Tasks, or instances such as plot[oslo] [default: what `tasks` lists, or all that have outputs].
    pub tasks: Vec<String>,
    /// How to go about it.
    #[command(flatten)]
    pub pace: Pace,
}

/// `fleche rerun`.
#[derive(Debug, Args)]
pub struct Rerun {
    /// Tasks, or instances such as plot[oslo].
    #[arg(required = true)]
    pub tasks: Vec<String>,
    /// Then bring the tasks that read their results up to date.
    #[arg(long)]
    pub dependents: bool,
    /// How to go about it.
    #[command(flatten)]
    pub pace: Pace,
}

/// `fleche status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Tasks, or instances such as plot[oslo] [default: what `tasks` lists, or all that have outputs].
    pub tasks: Vec<String>,
    /// Also list those that are up to date.
    #[arg(short, long)]
    pub verbose: bool,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `fleche why`.
#[derive(Debug, Args)]
pub struct Why {
    /// A task, with all its instances, or one such as plot[oslo]; a file that a task makes; or the digest of a recorded
    /// call, as `query` shows it.
    #[arg(value_name = "TASK|FILE|DIGEST")]
    pub task: String,
    /// The directory of the cache, for calls of a program that has no fleche.toml.
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What a graph is drawn as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// A tree in text: under each task those it waits for.
    #[default]
    Tree,
    /// For Graphviz.
    Dot,
    /// For Mermaid.
    Mermaid,
    /// One object.
    Json,
    /// A picture.
    Svg,
    /// A page to look around in, in one file that needs no other.
    Html,
}

/// `fleche graph`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("recorded").args(["calls", "depends_on"]).conflicts_with("tasks")))]
pub struct Graph {
    /// Only these tasks and those above them [default: all].
    pub tasks: Vec<String>,
    /// Draw what this recorded call depends on, down to the inputs, instead of tasks.
    #[arg(long, value_name = "DIGEST")]
    pub calls: Option<String>,
    /// Draw the recorded calls that depend on this file or directory, directly or through others, instead of tasks.
    #[arg(long, value_name = "FILE")]
    pub depends_on: Option<PathBuf>,
    /// With --calls: draw the calls that depend on it instead.
    #[arg(long, requires = "calls")]
    pub dependents: bool,
    /// With --calls or --depends-on: the directory of the cache, for calls of a program that has no fleche.toml.
    #[arg(long, value_name = "DIR", requires = "recorded")]
    pub cache: Option<PathBuf>,
    /// What to draw.
    #[arg(long, value_enum, default_value_t)]
    pub format: Drawing,
}

/// `fleche list`.
#[derive(Debug, Args)]
pub struct List {
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `fleche log`.
#[derive(Debug, Args)]
pub struct Log {
    /// A task, or an instance such as plot[oslo].
    pub task: String,
    /// Only what it wrote to standard output.
    #[arg(long, conflicts_with = "stderr")]
    pub stdout: bool,
    /// Only what it wrote to standard error.
    #[arg(long)]
    pub stderr: bool,
}

/// `fleche query`.
#[derive(Debug, Args)]
pub struct Query {
    /// Only records with this in the name, the module or the package.
    pub name: Option<String>,
    /// Only calls that depend on this file or directory, directly or through others.
    #[arg(long, value_name = "FILE")]
    pub depends_on: Option<PathBuf>,
    /// The directory of the cache, for calls of a program that has no fleche.toml.
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// How to show them.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `fleche show` and `fleche cat`.
#[derive(Debug, Args)]
pub struct Show {
    /// A digest, or as many of its first digits as name only one thing.
    pub digest: String,
}

/// `fleche code`.
#[derive(Debug, Args)]
pub struct Code {
    /// A function by its path, the end of that, or its file and line [default: list all].
    pub function: Option<String>,
    /// Show only the ways from the function to items with this in their path.
    #[arg(long, value_name = "ITEM", requires = "function")]
    pub why: Option<String>,
    /// Show what is different from another checkout (a directory), or from what --format=json wrote (a file).
    #[arg(long, value_name = "PATH", requires = "function", conflicts_with = "why")]
    pub against: Option<PathBuf>,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// `fleche gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// Keep at most so much, such as 20GiB; what was not used for longest goes first.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_size: Option<u64>,
    /// Keep nothing that was not used for so long, such as 30d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub max_age: Option<Duration>,
    /// Only tell what would go.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// `fleche verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Drop what is damaged; it is made again when it is needed.
    #[arg(long)]
    pub repair: bool,
}

/// `fleche clean`.
#[derive(Debug, Args)]
pub struct Clean {
    /// Tasks, or instances such as plot[oslo] [default: all].
    pub tasks: Vec<String>,
    /// Only show what would be removed.
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}
