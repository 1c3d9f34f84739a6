//! Makes a plan of a manifest, or says all that is wrong with it: expands instances and variables, finds who makes what,
//! links makers with readers, and puts them in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::ops::Range;
use std::path::Path;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

use super::{DEFAULT_SHELL, Input, Link, Output, Plan, Relation, Task, TaskId, find, words_of};
use crate::diagnostic::{Diagnostic, nearest};
use crate::manifest::vars::{Piece, Undeclared, expand_text, pieces};
use crate::manifest::{At, Definition, Manifest, Result, Run, matrix, quote};
use crate::path::{ancestors, normalise, normalise_inside};
use crate::pattern::Pattern;

/// The plan of a manifest whose directory is `root`.
pub(super) fn plan(root: &Path, manifest: Manifest) -> Result<Plan> {
    let mut builder = Builder { root, manifest: &manifest, errors: Vec::new() };
    let (tasks, instances) = builder.tasks();
    builder.fail_if_wrong()?;
    let makers = builder.makers(&tasks);
    builder.fail_if_wrong()?;
    let graph = builder.graph(&tasks, &instances, &makers);
    builder.fail_if_wrong()?;
    let order = builder.order(&tasks, &graph);
    builder.check_default(&instances, &tasks);
    builder.fail_if_wrong()?;
    let orphans = BTreeSet::new();
    Ok(Plan { root: root.to_owned(), manifest, tasks, graph, order, orphans, instances, makers })
}

struct Builder<'m> {
    root: &'m Path,
    manifest: &'m Manifest,
    errors: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn fail_if_wrong(&mut self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.errors)) }
    }

    fn error(&mut self, message: impl Into<String>, span: Range<usize>, help: impl Into<String>) {
        self.errors.push(Diagnostic::new(message).at(&self.manifest.source, span).help(help));
    }

    fn undeclared(&mut self, undeclared: &Undeclared, within: &Range<usize>, in_command: bool) {
        let span = self.manifest.source.narrow(within, &undeclared.spelling());
        let name = &undeclared.name;
        let help = if in_command {
            format!("for a variable of the shell write `${name}`; for one of ours add `{name} = …` to [vars]")
        } else {
            format!("add `{name} = …` to [vars], or to the task's `matrix`")
        };
        if !self.errors.iter().any(|error| error.message() == undeclared.message()) {
            self.error(undeclared.message(), span, help);
        }
    }

    fn tasks(&mut self) -> (Vec<Task>, HashMap<String, Vec<TaskId>>) {
        let mut tasks = Vec::new();
        let mut instances: HashMap<String, Vec<TaskId>> = HashMap::new();
        for (index, definition) in self.manifest.tasks.iter().enumerate() {
            for instance in matrix::instances(definition) {
                let id = tasks.len();
                if instance.name != definition.name.value {
                    instances.insert(instance.name.clone(), vec![id]);
                }
                instances.entry(definition.name.value.clone()).or_default().push(id);
                tasks.push(self.task(index, definition, instance));
            }
        }
        (tasks, instances)
    }

    fn task(&mut self, index: usize, definition: &Definition, instance: matrix::Instance) -> Task {
        let manifest = self.manifest;
        let value = |name: &str| {
            let own = instance.parameters.iter().find(|(parameter, _)| parameter == name);
            own.or_else(|| manifest.vars.iter().find(|(var, _)| var == name)).map(|(_, value)| value.as_str())
        };
        let mut variables = BTreeMap::new();
        let mut note = |text: &str| {
            for piece in pieces(text) {
                if let Piece::Variable(name) = piece
                    && let Some(value) = value(name)
                {
                    variables.insert(name.to_owned(), value.to_owned());
                }
            }
        };
        let mut text = |builder: &mut Self, at: &At<String>| -> String {
            note(&at.value);
            expand_text(&at.value, value).unwrap_or_else(|undeclared| {
                builder.undeclared(&undeclared, &at.span, false);
                String::new()
            })
        };

        let mut inputs = Vec::new();
        for input in &definition.inputs {
            let path = text(self, input);
            if path.is_empty() {
                if !input.value.contains("${") {
                    self.error("an input is empty", input.span.clone(), "name a file, a directory or a glob");
                }
                continue;
            }
            match Pattern::new(&normalise(self.root, &path)) {
                Ok(pattern) => inputs.push(Input { pattern, span: input.span.clone() }),
                Err(why) => self.error(
                    format!("`{path}` is not a glob: {why}"),
                    input.span.clone(),
                    "see docs/tasks.md",
                ),
            }
        }
        let mut outputs = Vec::new();
        for output in &definition.outputs {
            let path = text(self, output);
            if path.contains(['*', '?', '[', '{']) {
                self.error(
                    format!("output `{path}` looks like a glob"),
                    output.span.clone(),
                    "outputs are files or directories; name the directory to have all that is in it",
                );
            } else if let Ok(inside) = normalise_inside(self.root, &path) {
                outputs.push(Output {
                    path: inside,
                    directory: path.ends_with('/'),
                    span: output.span.clone(),
                });
            } else if !path.is_empty() || output.value.is_empty() {
                self.error(
                    format!("output `{path}` is outside the project"),
                    output.span.clone(),
                    format!("outputs lie below {}", self.root.display()),
                );
            }
        }
        let keep = definition
            .keep
            .iter()
            .filter_map(|keep| {
                let path = text(self, keep);
                let inside = normalise_inside(self.root, &path);
                if inside.is_err() {
                    let help = format!("it must lie below {}", self.root.display());
                    self.error(format!("`keep` of `{path}` is outside the project"), keep.span.clone(), help);
                }
                inside.ok()
            })
            .collect();
        let cwd = definition
            .cwd
            .as_ref()
            .map_or_else(|| ".".to_owned(), |cwd| normalise(self.root, &text(self, cwd)));
        let set_env =
            definition.set_env.iter().map(|(name, set)| (name.value.clone(), text(self, set))).collect();
        let tools = definition
            .tools
            .iter()
            .map(|tool| At { value: text(self, tool), span: tool.span.clone() })
            .collect();
        let run = definition.run.as_ref().map(|run| match &run.value {
            Run::Shell(command) => {
                note(command);
                self.shell_command(command, &run.span, value)
            }
            Run::Direct(words) => {
                for word in words {
                    note(&word.value);
                }
                self.direct_command(words, value)
            }
        });
        let shell = definition.shell.as_ref().or(manifest.default.shell.as_ref());
        Task {
            name: instance.name,
            definition: index,
            run,
            inputs,
            outputs,
            env: definition.env.iter().map(|name| name.value.clone()).collect(),
            pass_env: definition.pass_env.iter().map(|name| name.value.clone()).collect(),
            set_env,
            shell: shell.map_or_else(
                || DEFAULT_SHELL.iter().map(|word| (*word).to_owned()).collect(),
                |shell| shell.value.clone(),
            ),
            cwd,
            tools,
            keep,
            variables,
            parameters: instance.parameters,
        }
    }

    /// Everything but the inputs and outputs is known now; those are checked to be the only ones left.
    fn shell_command<'v>(
        &mut self,
        command: &str,
        span: &Range<usize>,
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Run {
        let check = quote::expand_command(command, |name| words_of(name, &value, &[], &[], ""));
        if let Err(undeclared) = check {
            self.undeclared(&undeclared, span, true);
        }
        Run::Shell(command.to_owned())
    }

    fn direct_command<'v>(&mut self, words: &[At<String>], value: impl Fn(&str) -> Option<&'v str>) -> Run {
        for word in words {
            for piece in pieces(&word.value) {
                if let Piece::Variable(name) = piece
                    && words_of(name, &value, &[], &[], "").is_none()
                {
                    self.undeclared(&Undeclared { name: name.to_owned() }, &word.span, false);
                }
            }
        }
        Run::Direct(words.to_vec())
    }

    fn makers(&mut self, tasks: &[Task]) -> BTreeMap<String, TaskId> {
        let mut makers: BTreeMap<String, (TaskId, Range<usize>)> = BTreeMap::new();
        let place = |span: &Range<usize>| {
            let position = self.manifest.source.position(span.start);
            format!("{}:{}:{}", self.manifest.source.name(), position.line, position.column)
        };
        let mut wrong = Vec::new();
        for (id, task) in tasks.iter().enumerate() {
            for output in &task.outputs {
                if let Some((other, span)) = makers.get(&output.path) {
                    let first = &tasks[*other];
                    let help = if first.definition == task.definition && first.name != task.name {
                        format!(
                            "put a parameter of the matrix into it, as in `${{{}}}`",
                            task.parameters[0].0
                        )
                    } else {
                        "one file is made by one task".to_owned()
                    };
                    wrong.push(
                        Diagnostic::new(format!(
                            "both `{}` and `{}` make `{}`",
                            first.name, task.name, output.path
                        ))
                        .at(&self.manifest.source, output.span.clone())
                        .note(format!("the first is declared at {}", place(span)))
                        .help(help),
                    );
                } else {
                    makers.insert(output.path.clone(), (id, output.span.clone()));
                }
            }
        }
        for (path, (id, span)) in &makers {
            if let Some((above, (other, other_span))) =
                ancestors(path).find_map(|above| makers.get(above).map(|found| (above, found)))
            {
                let message = format!(
                    "`{path}`, which `{}` makes, lies inside `{above}`, which `{}` makes",
                    tasks[*id].name, tasks[*other].name
                );
                wrong.push(
                    Diagnostic::new(message)
                        .at(&self.manifest.source, span.clone())
                        .note(format!("`{above}` is declared at {}", place(other_span)))
                        .help("outputs must not overlap: an output directory belongs to one task as a whole"),
                );
            }
        }
        self.errors.extend(wrong);
        makers.into_iter().map(|(path, (id, _))| (path, id)).collect()
    }

    fn graph(
        &mut self,
        tasks: &[Task],
        instances: &HashMap<String, Vec<TaskId>>,
        makers: &BTreeMap<String, TaskId>,
    ) -> DiGraph<TaskId, Link> {
        let mut graph = DiGraph::with_capacity(tasks.len(), tasks.len());
        for id in 0..tasks.len() {
            graph.add_node(id);
        }
        for (id, task) in tasks.iter().enumerate() {
            let mut linked = BTreeSet::new();
            for input in &task.inputs {
                for maker in makers_for(&input.pattern, tasks, makers) {
                    if maker == id {
                        if input.pattern.is_literal() && task.makes(input.pattern.text()) {
                            self.error(
                                format!(
                                    "task `{}` reads its own output `{}`",
                                    task.name,
                                    input.pattern.text()
                                ),
                                input.span.clone(),
                                "an input is made by another task or by hand",
                            );
                        }
                    } else if linked.insert(maker) {
                        let link = Link { relation: Relation::Data, span: input.span.clone() };
                        graph.add_edge(NodeIndex::new(maker), NodeIndex::new(id), link);
                    }
                }
            }
            for after in &self.manifest.tasks[task.definition].after {
                self.after(id, task, after, instances, &mut graph);
            }
        }
        graph
    }

    fn after(
        &mut self,
        id: TaskId,
        task: &Task,
        after: &At<String>,
        instances: &HashMap<String, Vec<TaskId>>,
        graph: &mut DiGraph<TaskId, Link>,
    ) {
        let parameter =
            |name: &str| task.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let vars = |name: &str| {
            self.manifest.vars.iter().find(|(var, _)| var == name).map(|(_, value)| value.as_str())
        };
        let name = match expand_text(&after.value, |name| parameter(name).or_else(|| vars(name))) {
            Ok(name) => name,
            Err(undeclared) => return self.undeclared(&undeclared, &after.span, false),
        };
        let Some(found) = find(instances, &name) else {
            let help = match nearest(&name, instances.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add a table [task.{name}]"),
            };
            return self.error(format!("no task is named `{name}`"), after.span.clone(), help);
        };
        for other in found {
            let (from, to) = (NodeIndex::new(*other), NodeIndex::new(id));
            if graph.find_edge(from, to).is_none() {
                graph.add_edge(from, to, Link { relation: Relation::After, span: after.span.clone() });
            }
        }
    }

    /// Earlier tasks first, otherwise as declared; a cycle is an error that shows the whole of it.
    fn order(&mut self, tasks: &[Task], graph: &DiGraph<TaskId, Link>) -> Vec<TaskId> {
        let mut waiting: Vec<usize> = graph
            .node_indices()
            .map(|node| graph.neighbors_directed(node, Direction::Incoming).count())
            .collect();
        let mut ready: BinaryHeap<Reverse<TaskId>> =
            (0..tasks.len()).filter(|task| waiting[*task] == 0).map(Reverse).collect();
        let mut order = Vec::with_capacity(tasks.len());
        while let Some(Reverse(task)) = ready.pop() {
            order.push(task);
            for next in graph.neighbors(NodeIndex::new(task)) {
                waiting[next.index()] -= 1;
                if waiting[next.index()] == 0 {
                    ready.push(Reverse(next.index()));
                }
            }
        }
        if order.len() < tasks.len() {
            self.cycles(tasks, graph);
        }
        order
    }

    fn cycles(&mut self, tasks: &[Task], graph: &DiGraph<TaskId, Link>) {
        for component in petgraph::algo::tarjan_scc(graph) {
            let Some(start) = component
                .iter()
                .min()
                .copied()
                .filter(|start| component.len() > 1 || graph.find_edge(*start, *start).is_some())
            else {
                continue;
            };
            let cycle = shortest_cycle(graph, start);
            let names: Vec<_> = cycle.iter().map(|node| tasks[node.index()].name.as_str()).collect();
            let span = graph.find_edge(cycle[0], cycle[1]).map_or(0..0, |edge| graph[edge].span.clone());
            self.error(
                format!("cycle: {}", names.join(" → ")),
                span,
                format!(
                    "`{}` waits for `{}` because of this; one of them must do without the other",
                    names[1], names[0]
                ),
            );
        }
    }

    fn check_default(&mut self, instances: &HashMap<String, Vec<TaskId>>, tasks: &[Task]) {
        for name in self.manifest.default.tasks.iter().flatten() {
            if find(instances, &name.value).is_none() {
                let help = nearest(&name.value, tasks.iter().map(|task| task.name.as_str()))
                    .map_or("`tasks` lists names of tasks".to_owned(), |near| {
                        format!("did you mean `{near}`?")
                    });
                self.error(format!("no task is named `{}`", name.value), name.span.clone(), help);
            }
        }
    }
}

/// The tasks that make something which the pattern matches or could match.
fn makers_for(pattern: &Pattern, tasks: &[Task], makers: &BTreeMap<String, TaskId>) -> BTreeSet<TaskId> {
    let text = pattern.text();
    let prefix = &text[..text.find(['*', '?', '[', '{']).unwrap_or(text.len())];
    let prefix = if text == "." { "" } else { prefix };
    let below = makers.range(prefix.to_owned()..).take_while(|(path, _)| path.starts_with(prefix));
    let above = ancestors(prefix).filter_map(|above| makers.get_key_value(above));
    below
        .chain(above)
        .filter(|(path, id)| {
            let declared = tasks[**id].outputs.iter().find(|output| output.path == **path);
            pattern.matches(path)
                || pattern.begins_in(path)
                || (declared.is_some_and(|output| output.directory) && pattern.reaches_into(path))
        })
        .map(|(_, id)| *id)
        .collect()
}

/// From `start` back to it by the fewest edges; it lies on a cycle.
fn shortest_cycle(graph: &DiGraph<TaskId, Link>, start: NodeIndex) -> Vec<NodeIndex> {
    let mut from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors(node) {
            if next == start {
                let mut cycle = vec![start, node];
                let mut at = node;
                while at != start {
                    at = from[&at];
                    cycle.push(at);
                }
                if node == start {
                    return vec![start, start];
                }
                cycle.reverse();
                return cycle;
            }
            if let std::collections::hash_map::Entry::Vacant(entry) = from.entry(next) {
                entry.insert(node);
                queue.push_back(next);
            }
        }
    }
    vec![start, start]
}
