//! `fleche.toml`: what a project declares, with the place of everything, so that later errors can point at it.
//! Nothing here looks at the file system beyond reading the manifest itself.

pub mod matrix;
pub mod parse;
pub mod quote;
pub mod vars;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Source};

/// A value with its place in the manifest.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes of the manifest that spell it.
    pub span: Range<usize>,
}

/// The whole manifest.
#[derive(Debug)]
pub struct Manifest {
    /// Its text.
    pub source: Arc<Source>,
    /// `[default]`.
    pub default: Defaults,
    /// `[cache.NAME]`.
    pub caches: BTreeMap<String, CacheTable>,
    /// `[vars]`, already expanded, in order of declaration.
    pub vars: Vec<(String, String)>,
    /// `[task.NAME]`, in order of declaration.
    pub tasks: Vec<Definition>,
}

/// `[default]`.
#[derive(Debug, Default)]
pub struct Defaults {
    /// Name of the cache to use.
    pub cache: Option<At<String>>,
    /// What a bare `run` brings up to date.
    pub tasks: Option<Vec<At<String>>>,
    /// The shell of tasks that do not name one.
    pub shell: Option<At<Vec<String>>>,
}

/// `[cache.NAME]`.
#[derive(Debug)]
pub struct CacheTable {
    /// Its directory, relative to the manifest.
    pub path: At<String>,
    /// Whether results are only taken from it, never put into it.
    pub read_only: bool,
}

/// `[task.NAME]`, before its matrix and variables are expanded.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: At<String>,
    /// What it runs; a task without is a name for those in `after`.
    pub run: Option<At<Run>>,
    /// Globs over files.
    pub inputs: Vec<At<String>>,
    /// Files and directories that it makes.
    pub outputs: Vec<At<String>>,
    /// Environment variables that it sees and that count.
    pub env: Vec<At<String>>,
    /// Environment variables that it sees and that do not count.
    pub pass_env: Vec<At<String>>,
    /// Environment variables set for it.
    pub set_env: Vec<(At<String>, At<String>)>,
    /// Tasks that come before it without giving it data.
    pub after: Vec<At<String>>,
    /// Its shell.
    pub shell: Option<At<Vec<String>>>,
    /// Where it runs, relative to the manifest.
    pub cwd: Option<At<String>>,
    /// One sentence for `fleche list`.
    pub description: Option<String>,
    /// Its parameters: one instance for each combination.
    pub matrix: Vec<(At<String>, Vec<String>)>,
    /// Executables whose content counts.
    pub tools: Vec<At<String>>,
    /// Whether its outputs are right elsewhere although the project's path stands in them.
    pub relocatable: bool,
    /// Paths inside its outputs that are neither emptied nor captured.
    pub keep: Vec<At<String>>,
}

/// What a task runs.
#[derive(Clone, Debug)]
pub enum Run {
    /// A text for the shell.
    Shell(String),
    /// A program with its arguments, started without a shell.
    Direct(Vec<At<String>>),
}

/// The outcome of reading a manifest: all that is wrong with it, or it.
pub type Result<T> = std::result::Result<T, Vec<Diagnostic>>;
