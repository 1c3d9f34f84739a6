//! The recorded graph: what the records of a store say about which call depended on what.
//!
//! It is read from records alone, so it works on the cache of any program, a pipeline of tasks as well, and it runs
//! nothing. Going up from an input or a call uses the store's posting lists: only records that are reached are read.
//! It must never be taken for what holds now: records say what was; [`crate::explain()`] compares them with the world.
//!
//! ```
//! use fleche::fleche;
//! use fleche::recorded::Recorded;
//!
//! #[fleche]
//! fn words(path: &std::path::Path) -> std::io::Result<u64> {
//!     Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64)
//! }
//!
//! #[fleche]
//! fn both(a: &std::path::Path, b: &std::path::Path) -> std::io::Result<u64> {
//!     Ok(words(a)? + words(b)?)
//! }
//!
//! # fn main() -> fleche::Result<()> {
//! # let dir = tempfile::tempdir()?;
//! # let (a, b) = (dir.path().join("a"), dir.path().join("b"));
//! # std::fs::write(&a, "one two")?;
//! # std::fs::write(&b, "three")?;
//! let cache = fleche::Cache::open(dir.path().join(".fleche"))?;
//! let _scope = fleche::cache(&cache)?;
//! both(&a, &b)?;
//!
//! // Which results depend on this file?
//! let recorded = Recorded::of(cache.store().expect("on disk"));
//! let up = recorded.dependents(cache.inputs_at(&a)?)?;
//! assert!(up.contains(both::digest(&a, &b)) && up.contains(words::digest(&a)));
//! assert!(!up.contains(words::digest(&b)));
//!
//! // What does this result come from?
//! let down = recorded.dependencies([both::digest(&a, &b)])?;
//! let inputs: Vec<_> = down.inputs().map(|input| input.name.clone()).collect();
//! assert_eq!(inputs, ["a", "b"]);
//! assert!(down.to_dot().starts_with("digraph"));
//! # Ok(())
//! # }
//! ```

mod draw;
mod graph;
mod inputs;

use std::sync::Arc;
use std::time::Duration;

use fleche_store::{CallId, Dependency, DependencyId, Digest, Record, Store, ValueDigest};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

pub use self::graph::{Graph, Path};
pub(crate) use self::inputs::{Paths, inputs_at};
use crate::error::Result;
use crate::{input, restore};

/// The line of a record's metadata that says how long its run took: in all and without nested calls, in
/// microseconds.
const TIME: &str = "time";

/// Runs shorter than this have no such line: nobody waits for them, and a line is not free.
const NOTABLE: Duration = Duration::from_millis(1);

/// The line of metadata for a run that took so long; none for a short one.
pub(crate) fn time_line(took: Duration, nested: Duration) -> Option<(String, String)> {
    let own = took.saturating_sub(nested);
    (took >= NOTABLE).then(|| (TIME.to_owned(), format!("{} {}", took.as_micros(), own.as_micros())))
}

/// How long a recorded run took: in all, and without the calls that ran inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// From its start to its end.
    pub took: Duration,
    /// Without the nested calls that ran.
    pub own: Duration,
}

/// How long the run took that left this record; `None` if less than a millisecond, or made by an older version.
pub fn time_of(record: &Record) -> Option<Time> {
    let (_, text) = record.meta.iter().find(|(name, _)| name == TIME)?;
    let (took, own) = text.split_once(' ')?;
    let micros = |text: &str| text.parse().ok().map(Duration::from_micros);
    Some(Time { took: micros(took)?, own: micros(own)? })
}

/// Whether a line of a record's metadata is there for the engine and not for people.
pub fn is_internal(name: &str) -> bool {
    name == TIME
}

/// A call as its newest record shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    /// Which call.
    pub id: CallId,
    /// The function's full name; empty if no record of the call is kept.
    pub function: String,
    /// The package that it belongs to.
    pub package: String,
    /// The module that it is defined in.
    pub module: String,
    /// The arguments, as text for people.
    pub arguments: String,
    /// The newest result; `None` if no record of the call is kept.
    pub result: Option<ValueDigest>,
    /// When that was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// How long that took, if it was long enough to be noted.
    pub time: Option<Time>,
}

impl RecordedCall {
    fn new(id: CallId, newest: Option<&Record>) -> Self {
        let Some(record) = newest else {
            let none = String::new;
            let (function, package, module, arguments) = (none(), none(), none(), none());
            return Self {
                id,
                function,
                package,
                module,
                arguments,
                result: None,
                created_ms: 0,
                time: None,
            };
        };
        let identity = &record.identity;
        Self {
            id,
            function: identity.function.clone(),
            package: identity.package.clone(),
            module: identity.module.clone(),
            arguments: shown_arguments(record),
            result: Some(record.result.digest),
            created_ms: record.created_ms,
            time: time_of(record),
        }
    }

    /// `count("a.rs")`, or the short digest of a call of which no record is kept.
    pub fn label(&self) -> String {
        if self.function.is_empty() {
            return format!("call {}", self.id.digest().short());
        }
        shown(&self.function, &self.arguments)
    }
}

/// `count("a.rs")`: the last part of the function's name, and arguments that are text already. Without arguments the
/// whole name, which may be a task's.
pub(crate) fn shown(function: &str, arguments: &str) -> String {
    let name = function.rsplit("::").next().unwrap_or(function);
    if arguments.is_empty() { name.to_owned() } else { format!("{name}({arguments})") }
}

/// A record's arguments as text for people.
pub(crate) fn shown_arguments(record: &Record) -> String {
    let arguments: Vec<String> = record
        .identity
        .arguments
        .iter()
        .map(|argument| {
            argument.encoded.as_deref().map_or_else(|| argument.digest.digest().short(), restore::show)
        })
        .collect();
    arguments.join(", ")
}

/// An input that a record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedInput {
    /// As it stands in traces.
    pub dependency: Dependency,
    /// For people: a path relative to the project's root, or a description.
    pub name: String,
}

/// What a graph is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A call.
    Call(Box<RecordedCall>),
    /// Something read from outside.
    Input(RecordedInput),
}

impl Node {
    /// For people.
    pub fn label(&self) -> String {
        match self {
            Self::Call(call) => call.label(),
            Self::Input(input) => input.name.clone(),
        }
    }
}

/// That a call observed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The digest that it had, by the newest record that names it.
    pub observed: Digest,
    /// Whether the call's newest record names it, not only an older one.
    pub newest: bool,
}

/// The records of a store, as a graph of which parts are read when they are asked for.
#[derive(Debug, Clone)]
pub struct Recorded {
    store: Store,
    newest_only: bool,
}

/// What the kept records of a call name, newest first and each once.
struct Traces {
    call: RecordedCall,
    links: Vec<(Dependency, Link)>,
}

/// All calls first: links to what is among them then lead there.
fn graph_of(traces: Vec<Traces>) -> Graph {
    let mut graph = Graph::default();
    for Traces { call, .. } in &traces {
        graph.add_call(call.clone());
    }
    for Traces { call, links } in traces {
        for (dependency, link) in links {
            graph.link(call.id, &dependency, link);
        }
    }
    graph
}

impl Recorded {
    /// The graph of a store. A call depends on whatever any of its kept records names: when a file goes back to an
    /// earlier content, an older record is the one that holds.
    pub fn of(store: &Store) -> Self {
        Self { store: store.clone(), newest_only: false }
    }

    /// Only what the newest record of each call names.
    #[must_use]
    pub fn newest_only(mut self) -> Self {
        self.newest_only = true;
        self
    }

    /// The calls whose records name this themselves. Reads one posting list, and with [`Recorded::newest_only`] the
    /// newest record of each call in it.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn direct_dependents(&self, of: &Dependency) -> Result<Vec<CallId>> {
        let id = of.id();
        let mut calls = self.store.dependents(&id)?;
        if self.newest_only {
            let mut error = None;
            calls.retain(|call| match self.store.newest(call) {
                Ok(record) => {
                    record.is_some_and(|record| record.trace.iter().any(|edge| edge.dependency.id() == id))
                }
                Err(failed) => {
                    error = Some(failed);
                    false
                }
            });
            if let Some(error) = error {
                return Err(error.into());
            }
        }
        Ok(calls)
    }

    /// From inputs or calls up: they themselves, as far as the store knows them, with all that depends on them,
    /// directly or through others.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn dependents(&self, of: impl IntoIterator<Item = Dependency>) -> Result<Graph> {
        let mut graph = Graph::default();
        let mut open: Vec<(DependencyId, Dependency)> =
            of.into_iter().map(|dependency| (dependency.id(), dependency)).collect();
        let mut seen: HashSet<DependencyId> = open.iter().map(|(id, _)| *id).collect();
        let mut traces = Vec::new();
        let mut roots = Vec::new();
        for (_, dependency) in &open {
            match dependency {
                Dependency::Call(call) => traces.push(self.traces(*call)?),
                Dependency::Input { .. } => roots.push(dependency.clone()),
            }
        }
        while let Some((id, dependency)) = open.pop() {
            let above = self.store.dependents(&id)?;
            for call in above {
                let id = DependencyId::new(call.digest());
                if seen.contains(&id) {
                    continue;
                }
                let found = self.traces(call)?;
                // The posting list may go by an older record than those that count here.
                if self.newest_only && !found.links.iter().any(|(other, _)| *other == dependency) {
                    continue;
                }
                seen.insert(id);
                traces.push(found);
                open.push((id, Dependency::Call(call)));
            }
        }
        for Traces { call, .. } in &traces {
            graph.add_call(call.clone());
        }
        for root in roots {
            // An input that nobody depends on is none that this store knows.
            let names = |found: &Traces| found.links.iter().any(|(dependency, _)| *dependency == root);
            if traces.iter().any(names) {
                graph.add_input(&root);
            }
        }
        for Traces { call, links } in traces {
            for (dependency, link) in links {
                if seen.contains(&dependency.id()) {
                    graph.link(call.id, &dependency, link);
                }
            }
        }
        Ok(graph)
    }

    /// From calls down: they themselves with all that they depend on, down to the inputs.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn dependencies(&self, of: impl IntoIterator<Item = CallId>) -> Result<Graph> {
        let mut open: Vec<CallId> = of.into_iter().collect();
        open.reverse();
        let mut seen: HashSet<CallId> = open.iter().copied().collect();
        let mut traces = Vec::new();
        while let Some(call) = open.pop() {
            let found = self.traces(call)?;
            for (dependency, _) in found.links.iter().rev() {
                if let Dependency::Call(callee) = dependency
                    && seen.insert(*callee)
                {
                    open.push(*callee);
                }
            }
            traces.push(found);
        }
        Ok(graph_of(traces))
    }

    /// Everything. Reads all records.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn everything(&self) -> Result<Graph> {
        let mut by_call: HashMap<CallId, Vec<Arc<Record>>> = HashMap::new();
        self.store.for_each_record(&mut |record| {
            by_call.entry(record.identity.id()).or_default().push(record);
            std::ops::ControlFlow::Continue(())
        })?;
        let mut all: Vec<_> = by_call.into_iter().collect();
        all.sort_unstable_by_key(|(call, _)| *call);
        let traces = all.into_iter().map(|(call, mut records)| {
            records.sort_by_key(|record| std::cmp::Reverse(record.clock));
            self.merge(call, &records)
        });
        let traces = traces.collect();
        Ok(graph_of(traces))
    }

    fn traces(&self, call: CallId) -> Result<Traces> {
        let records = if self.newest_only {
            self.store.newest(&call)?.into_iter().collect()
        } else {
            self.store.history(&call)?
        };
        Ok(self.merge(call, &records))
    }

    /// `records`: newest first.
    fn merge(&self, call: CallId, records: &[Arc<Record>]) -> Traces {
        let mut links = Vec::new();
        let mut seen = HashSet::new();
        let count = if self.newest_only { 1 } else { records.len() };
        for (at, record) in records.iter().take(count).enumerate() {
            for edge in &record.trace {
                if seen.insert(edge.dependency.id()) {
                    let link = Link { observed: edge.observed, newest: at == 0 };
                    links.push((edge.dependency.clone(), link));
                }
            }
        }
        Traces { call: RecordedCall::new(call, records.first().map(|record| &**record)), links }
    }
}

fn recorded_input(dependency: &Dependency) -> RecordedInput {
    let name = match dependency {
        Dependency::Input { kind, name } => input::describe(*kind, name),
        Dependency::Call(call) => call.to_string(),
    };
    RecordedInput { dependency: dependency.clone(), name }
}
