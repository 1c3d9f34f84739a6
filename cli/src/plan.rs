//! The task graph of a manifest: instances with their variables expanded, and who comes before whom. Making it looks at no file;
//! what stands on disk is asked for later, by [`Plan::missing_inputs`] and [`Plan::expand`].

mod build;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::diagnostic::{Diagnostic, nearest};
use crate::manifest::{At, Definition, Manifest, Result, Run};
use crate::path::{ancestors, is_below, seen_from};
use crate::pattern::Pattern;

/// The shell of a task that names none.
pub const DEFAULT_SHELL: &[&str] = &["bash", "-euo", "pipefail"];

/// Number of a task in [`Plan::tasks`], which is also its node in the graph.
pub type TaskId = usize;

/// How one task comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The later one reads what the earlier one makes.
    Data,
    /// The later one only has to wait.
    After,
}

/// An edge of the graph, from the earlier to the later task.
#[derive(Clone, Debug)]
pub struct Link {
    /// What it means.
    pub relation: Relation,
    /// The text of the later task that makes it.
    pub span: Range<usize>,
}

/// One input, expanded.
#[derive(Clone, Debug)]
pub struct Input {
    /// What it matches.
    pub pattern: Pattern,
    /// Its text in the manifest.
    pub span: Range<usize>,
}

/// One output, expanded.
#[derive(Clone, Debug)]
pub struct Output {
    /// Where it is, relative to the project.
    pub path: String,
    /// Declared with a slash at the end: a directory, so that globs of others look into it before it exists.
    pub directory: bool,
    /// Its text in the manifest.
    pub span: Range<usize>,
}

/// A task with its variables expanded: a definition without a matrix is one task, with a matrix one for each combination.
#[derive(Clone, Debug)]
pub struct Task {
    /// `plot[oslo]`.
    pub name: String,
    /// Index of its definition in the manifest.
    pub definition: usize,
    /// Values of the matrix's parameters.
    pub parameters: Vec<(String, String)>,
    /// What it runs, in which `${inputs}` and `${outputs}` are still to be expanded.
    pub run: Option<Run>,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// What it makes.
    pub outputs: Vec<Output>,
    /// Variables of the environment that count.
    pub env: Vec<String>,
    /// Variables of the environment that it only sees.
    pub pass_env: Vec<String>,
    /// Variables that are set for it.
    pub set_env: BTreeMap<String, String>,
    /// Its shell.
    pub shell: Vec<String>,
    /// Where it runs, relative to the project.
    pub cwd: String,
    /// Executables whose content counts, with their place in the manifest.
    pub tools: Vec<At<String>>,
    /// Paths in its outputs that are neither emptied nor captured.
    pub keep: Vec<String>,
    /// The variables that its text uses, with their values.
    pub variables: BTreeMap<String, String>,
}

impl Task {
    /// Whether the task has a result that can be known beforehand.
    pub fn is_cached(&self) -> bool {
        self.run.is_some() && !(self.inputs.is_empty() && self.outputs.is_empty())
    }

    /// Whether `path` is, or lies in, one of its outputs.
    pub fn makes(&self, path: &str) -> bool {
        self.outputs.iter().any(|output| output.path == path || is_below(path, &output.path))
    }

    /// Whether `path` is, or lies in, one of the paths that it keeps for itself.
    pub fn keeps(&self, path: &str) -> bool {
        self.keep.iter().any(|keep| keep == path || is_below(path, keep))
    }
}

/// The files that the inputs of a task stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Every file, sorted.
    pub files: Vec<String>,
    /// What `${inputs}` becomes: in order of declaration, a directory as itself.
    pub words: Vec<String>,
}

/// The task graph.
#[derive(Debug)]
pub struct Plan {
    /// The directory of the manifest.
    pub root: PathBuf,
    /// What it was made from.
    pub manifest: Manifest,
    /// All tasks, in order of declaration.
    pub tasks: Vec<Task>,
    /// Who comes before whom; node `n` is task `n`.
    pub graph: DiGraph<TaskId, Link>,
    /// All tasks, the earlier ones first; otherwise in order of declaration.
    pub order: Vec<TaskId>,
    /// Files that tasks made once and none makes now: they count as absent.
    pub orphans: BTreeSet<String>,
    instances: HashMap<String, Vec<TaskId>>,
    makers: BTreeMap<String, TaskId>,
}

impl Plan {
    /// The plan of a manifest whose directory is `root`.
    pub fn new(root: &Path, manifest: Manifest) -> Result<Plan> {
        build::plan(root, manifest)
    }

    /// The definition of a task.
    pub fn definition(&self, task: TaskId) -> &Definition {
        &self.manifest.tasks[self.tasks[task].definition]
    }

    /// The tasks that must end before this one, each with the way in which it comes before; in order of declaration.
    pub fn above(&self, task: TaskId) -> Vec<(TaskId, Relation)> {
        self.neighbours(task, Direction::Incoming)
    }

    /// The tasks that wait for this one, likewise.
    pub fn below(&self, task: TaskId) -> Vec<(TaskId, Relation)> {
        self.neighbours(task, Direction::Outgoing)
    }

    fn neighbours(&self, task: TaskId, direction: Direction) -> Vec<(TaskId, Relation)> {
        let mut found: Vec<_> = self
            .graph
            .edges_directed(NodeIndex::new(task), direction)
            .map(|edge| {
                let other = if direction == Direction::Incoming { edge.source() } else { edge.target() };
                (other.index(), edge.weight().relation)
            })
            .collect();
        found.sort_unstable_by_key(|(task, relation)| (*task, *relation as u8));
        found
    }

    /// The tasks that a name on the command line means: one instance, or all of a definition.
    pub fn find(&self, name: &str) -> std::result::Result<&[TaskId], Diagnostic> {
        find(&self.instances, name).ok_or_else(|| {
            let names = self.instances.keys().map(String::as_str);
            let diagnostic = Diagnostic::new(format!("no task is named `{name}`"));
            match nearest(name, names) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic
                    .help(format!("`fleche list` shows the tasks of {}", self.manifest.source.name())),
            }
        })
    }

    /// The tasks named, or what a bare `run` brings up to date.
    pub fn select(&self, names: &[String]) -> std::result::Result<Vec<TaskId>, Diagnostic> {
        let mut selected = BTreeSet::new();
        if names.is_empty() {
            match &self.manifest.default.tasks {
                Some(names) => {
                    for name in names {
                        selected.extend(self.find(&name.value)?);
                    }
                }
                None => selected
                    .extend((0..self.tasks.len()).filter(|task| !self.tasks[*task].outputs.is_empty())),
            }
        }
        for name in names {
            selected.extend(self.find(name)?);
        }
        Ok(selected.into_iter().collect())
    }

    /// The tasks and all above them, earlier ones first.
    pub fn with_all_above(&self, tasks: &[TaskId]) -> Vec<TaskId> {
        self.reach(tasks, Direction::Incoming, |_| true)
    }

    /// The tasks and all above them whose results they read, directly or not, earlier ones first.
    pub fn with_sources(&self, tasks: &[TaskId]) -> Vec<TaskId> {
        self.reach(tasks, Direction::Incoming, |relation| relation == Relation::Data)
    }

    /// The tasks and all below them that read their results, directly or not, earlier ones first.
    pub fn with_dependents(&self, tasks: &[TaskId]) -> Vec<TaskId> {
        self.reach(tasks, Direction::Outgoing, |relation| relation == Relation::Data)
    }

    fn reach(&self, from: &[TaskId], direction: Direction, follow: impl Fn(Relation) -> bool) -> Vec<TaskId> {
        let mut seen = vec![false; self.tasks.len()];
        let mut queue: Vec<TaskId> = from.to_vec();
        while let Some(task) = queue.pop() {
            if std::mem::replace(&mut seen[task], true) {
                continue;
            }
            for edge in self.graph.edges_directed(NodeIndex::new(task), direction) {
                if follow(edge.weight().relation) {
                    let other = if direction == Direction::Incoming { edge.source() } else { edge.target() };
                    queue.push(other.index());
                }
            }
        }
        self.order.iter().copied().filter(|task| seen[*task]).collect()
    }

    /// Whose output a path is, or lies in.
    pub fn maker(&self, path: &str) -> Option<TaskId> {
        self.makers.get(path).or_else(|| ancestors(path).find_map(|above| self.makers.get(above))).copied()
    }

    /// Inputs of these tasks for which there is no file and which no task makes.
    pub fn missing_inputs(&self, tasks: &[TaskId]) -> Vec<Diagnostic> {
        let mut wrong = Vec::new();
        for id in tasks {
            let task = &self.tasks[*id];
            for input in &task.inputs {
                let made = self.made_for(*id).iter().any(|maker| feeds(&self.tasks[*maker], &input.pattern));
                if made {
                    continue;
                }
                let present = input.pattern.expand(&self.root, &|_| true).map(|mut files| {
                    files.retain(|file| !self.orphans.contains(file));
                    files
                });
                let message = match present {
                    Ok(files) if files.is_empty() => {
                        // An empty directory is there, though it stands for no file.
                        if input.pattern.is_literal() && self.root.join(input.pattern.text()).exists() {
                            continue;
                        }
                        let kind =
                            if input.pattern.is_literal() { "does not exist" } else { "matches no file" };
                        format!(
                            "input `{}` of task `{}` {kind}, and no task makes it",
                            input.pattern.text(),
                            task.name
                        )
                    }
                    Ok(_) => continue,
                    Err(error) => format!("input `{}` cannot be read: {error}", input.pattern.text()),
                };
                let outputs = self.makers.keys().map(String::as_str);
                let mut diagnostic = Diagnostic::new(message).at(&self.manifest.source, input.span.clone());
                if let Some(near) = nearest(input.pattern.text(), outputs) {
                    diagnostic = diagnostic.help(format!(
                        "did you mean `{near}`, which `{}` makes?",
                        self.tasks[self.makers[near]].name
                    ));
                }
                wrong.push(diagnostic);
            }
        }
        wrong
    }

    fn made_for(&self, task: TaskId) -> Vec<TaskId> {
        self.above(task)
            .into_iter()
            .filter(|(_, relation)| *relation == Relation::Data)
            .map(|(task, _)| task)
            .collect()
    }

    /// The files that a task's inputs stand for now.
    ///
    /// `predicted` tells the files of a task above whose outputs are known but perhaps not on disk; what is on disk in
    /// their place does not count then.
    pub fn expand(
        &self,
        id: TaskId,
        predicted: &dyn Fn(TaskId) -> Option<Vec<String>>,
    ) -> std::result::Result<Expanded, String> {
        let task = &self.tasks[id];
        let makers = self.made_for(id);
        let virtual_files: Vec<String> =
            makers.iter().filter_map(|maker| predicted(*maker)).flatten().collect();
        let mut expanded = Expanded::default();
        for Input { pattern, .. } in &task.inputs {
            let reading = |error: io::Error| format!("input `{}` cannot be read: {error}", pattern.text());
            let mut files = pattern
                .expand(&self.root, &|directory| !task.makes(directory) && !task.keeps(directory))
                .map_err(reading)?;
            // A glob that matches the directory which another task makes takes all that is in it.
            for maker in &makers {
                for output in &self.tasks[*maker].outputs {
                    if !pattern.is_literal() && pattern.matches(&output.path) {
                        let whole = Pattern::new(&output.path)?;
                        files.extend(whole.expand(&self.root, &|_| true).map_err(reading)?);
                    }
                }
            }
            // What a task keeps for itself is nobody's result, hence nobody's input either.
            let kept = |file: &str| self.maker(file).is_some_and(|maker| self.tasks[maker].keeps(file));
            let orphan = |file: &str| self.orphans.contains(file);
            files.retain(|file| !task.makes(file) && !task.keeps(file) && !kept(file) && !orphan(file));
            for file in &files {
                if let Some(maker) = self.maker(file).filter(|maker| !makers.contains(maker) && *maker != id)
                {
                    return Err(format!(
                        "input `{}` matches {file}, which task `{}` makes, without waiting for that task; \
                         declare its output with a slash at the end, or add it to `after`",
                        pattern.text(),
                        self.tasks[maker].name
                    ));
                }
            }
            files.retain(|file| self.maker(file).is_none_or(|maker| predicted(maker).is_none()));
            let takes = |file: &str| {
                pattern.matches(file)
                    || (!pattern.is_literal() && ancestors(file).any(|above| pattern.matches(above)))
            };
            files.extend(virtual_files.iter().filter(|file| takes(file)).cloned());
            files.sort_unstable();
            files.dedup();
            let whole = pattern.is_literal() && (files.len() != 1 || files[0] != pattern.text());
            if whole && !self.root.join(pattern.text()).is_dir() && virtual_files.is_empty() {
                return Err(format!("input `{}` does not exist", pattern.text()));
            }
            let words = if whole { vec![pattern.text().to_owned()] } else { files.clone() };
            for word in words {
                let word = seen_from(&task.cwd, &word);
                if !expanded.words.contains(&word) {
                    expanded.words.push(word);
                }
            }
            expanded.files.extend(files);
        }
        expanded.files.sort_unstable();
        expanded.files.dedup();
        Ok(expanded)
    }
}

fn find<'i>(instances: &'i HashMap<String, Vec<TaskId>>, name: &str) -> Option<&'i [TaskId]> {
    instances.get(name).map(Vec::as_slice)
}

/// Whether something that `task` makes is, or can be, matched by `pattern`.
fn feeds(task: &Task, pattern: &Pattern) -> bool {
    task.outputs.iter().any(|output| {
        pattern.matches(&output.path)
            || pattern.begins_in(&output.path)
            || (output.directory && pattern.reaches_into(&output.path))
    })
}

/// What a variable becomes in a command.
pub fn words_of<'v>(
    name: &str,
    value: impl Fn(&str) -> Option<&'v str>,
    inputs: &[String],
    outputs: &[String],
    inputs_file: &str,
) -> Option<Vec<String>> {
    match name {
        "inputs" => Some(inputs.to_vec()),
        "outputs" => Some(outputs.to_vec()),
        "inputs.file" => Some(vec![inputs_file.to_owned()]),
        name => value(name).map(|value| vec![value.to_owned()]),
    }
}

#[cfg(test)]
mod tests;
