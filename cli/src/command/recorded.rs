//! What `why`, `graph` and `query` say of recorded calls, in the cache of any program.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use fleche::recorded::{Graph, Node, Recorded};
use fleche::{Cache, CallId, Dependency, Store};
use fleche_store::{Named, Options};

use super::{Result, Session, enter, resolve, store};
use crate::arguments::{Drawing, Format};
use crate::console::{Console, FAINT};
use crate::diagnostic::Diagnostic;
use crate::host::Exit;
use crate::produced::Produced;
use crate::project::{DEFAULT_CACHE, Project};

/// The cache in this directory; or the project's; or, where there is no manifest, the nearest one.
pub fn cache(
    session: &Session<'_>,
    directory: Option<&Path>,
) -> std::result::Result<(Cache, Store), Vec<Diagnostic>> {
    if let Some(directory) = directory {
        return open(&session.directory.join(directory));
    }
    match Project::locate(&session.directory, session.file.as_deref()) {
        Ok(_) => store(&session.project()?, false),
        Err(errors) => {
            let near = session.directory.ancestors().map(|above| above.join(DEFAULT_CACHE));
            near.into_iter().find(|place| place.is_dir()).map_or(Err(errors), |place| open(&place))
        }
    }
}

fn open(directory: &Path) -> std::result::Result<(Cache, Store), Vec<Diagnostic>> {
    let failed = |reason: &dyn std::fmt::Display| {
        vec![Diagnostic::new(format!("the cache in {} cannot be opened: {reason}", directory.display()))]
    };
    if !directory.is_dir() {
        return Err(failed(&"there is no such directory"));
    }
    let options = Options { read_only: true, ..Options::default() };
    let store = Store::open(directory, options).map_err(|error| failed(&error))?;
    let root = directory.parent().unwrap_or(directory);
    Ok((Cache::with_store(store.clone(), root), store))
}

/// The call that a prefix of its digest, or of a key, names.
pub fn call(store: &Store, prefix: &str) -> std::result::Result<CallId, Vec<Diagnostic>> {
    match resolve(store, prefix)? {
        Named::Call(call) => Ok(call),
        Named::Key(key) => match store.records(&key).map_err(|error| unreadable(&error))?.first() {
            Some(record) => Ok(record.identity.id()),
            None => Err(vec![Diagnostic::new(format!("no record of {prefix} is kept"))]),
        },
        Named::Value(..) => Err(vec![
            Diagnostic::new(format!("{prefix} names a value, not a call"))
                .help("`fleche query` lists recorded calls"),
        ]),
    }
}

/// The error for a cache that cannot be read.
pub fn unreadable(error: &dyn std::fmt::Display) -> Vec<Diagnostic> {
    vec![Diagnostic::new(format!("the cache cannot be read: {error}"))]
}

/// `fleche why DIGEST`.
pub fn why(session: &Session<'_>, prefix: &str, directory: Option<&Path>, format: Format) -> Result {
    let (cache, store) = cache(session, directory)?;
    let _scope = enter(&cache)?;
    let why = fleche::explain(call(&store, prefix)?).map_err(|error| unreadable(&error))?;
    session.host.console.print(&match format {
        Format::Text => why.to_string(),
        Format::Json => format!("{}\n", why.to_json()),
    });
    Ok(Exit::Done)
}

/// What depends on a file, directly, through other calls, or through files that tasks make. A relative path goes by the
/// session's directory.
pub fn depending_on(
    session: &Session<'_>,
    cache: &Cache,
    store: &Store,
    file: &Path,
) -> std::result::Result<Graph, Vec<Diagnostic>> {
    let _scope = enter(cache)?;
    let recorded = Recorded::of(store);
    let (mut inputs, mut met, mut asked) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut paths = vec![session.directory.join(file)];
    loop {
        let at = cache.inputs_at_any(&paths).map_err(|error| unreadable(&error))?;
        inputs.extend(at.into_iter().filter(|input| met.insert(input.id())));
        let graph = recorded.dependents(inputs.clone()).map_err(|error| unreadable(&error))?;
        let calls = graph.calls().map(|call| call.id).filter(|call| asked.insert(*call));
        paths = calls.flat_map(|call| made(store, call)).map(|path| cache.root().join(path)).collect();
        if paths.is_empty() {
            return Ok(graph);
        }
    }
}

/// What the newest run of a task made, if the call is one.
fn made(store: &Store, call: CallId) -> Vec<String> {
    let newest = store.newest(&call).ok().flatten();
    let produced = newest.and_then(|record| fleche::dynamic::result_of::<Produced>(&record));
    produced.into_iter().flat_map(|produced| produced.entries).map(|entry| entry.path).collect()
}

/// `fleche graph --calls DIGEST` and `--depends-on FILE`.
pub fn graph(session: &Session<'_>, arguments: &crate::arguments::Graph) -> Result {
    let (cache, store) = cache(session, arguments.cache.as_deref())?;
    let call = arguments.calls.as_deref().map(|prefix| call(&store, prefix)).transpose()?;
    let graph = match (call, &arguments.depends_on) {
        (Some(call), _) if arguments.dependents => Recorded::of(&store).dependents([Dependency::Call(call)]),
        (Some(call), _) => Recorded::of(&store).dependencies([call]),
        (None, Some(file)) => Ok(depending_on(session, &cache, &store, file)?),
        (None, None) => unreachable!("one of the two asks for recorded calls"),
    };
    let graph = graph.map_err(|error| unreadable(&error))?;
    let console = &session.host.console;
    console.print(&match arguments.format {
        Drawing::Tree => match call {
            Some(call) => tree(&graph, &Dependency::Call(call), arguments.dependents, console),
            None if graph.nodes().next().is_none() => "no record depends on it\n".to_owned(),
            None => {
                graph.inputs().map(|input| tree(&graph, &input.dependency, true, console)).collect::<String>()
            }
        },
        Drawing::Dot => graph.to_dot(),
        Drawing::Mermaid => graph.to_mermaid(),
        Drawing::Json => format!("{:#}\n", graph.to_json()),
        Drawing::Svg | Drawing::Html => {
            return Err(vec![
                Diagnostic::new("recorded calls are drawn as tree, dot, mermaid or json")
                    .help("`--format dot` is for Graphviz, whose `dot -Tsvg` makes a picture"),
            ]);
        }
    });
    Ok(Exit::Done)
}

/// Under each call what it depends on, or what depends on it; what was shown before is not repeated.
fn tree(graph: &Graph, root: &Dependency, up: bool, console: &Console) -> String {
    let mut text = String::new();
    let mut shown = HashSet::from([root.id()]);
    let _ = writeln!(text, "{}", graph.node(root).map_or_else(|| format!("{root:?}"), Node::label));
    let next = |of: &Dependency| -> Vec<Node> {
        match of {
            _ if up => {
                let above = graph.direct_dependents(of);
                above.into_iter().map(|call| Node::Call(Box::new(call.clone()))).collect()
            }
            Dependency::Call(call) => graph.direct_dependencies(*call).into_iter().cloned().collect(),
            Dependency::Input { .. } => Vec::new(),
        }
    };
    // A stack of its own: chains can be very deep.
    let mut stack = vec![(String::new(), next(root), 0)];
    while let Some((indent, nodes, at)) = stack.last_mut() {
        let Some(node) = nodes.get(*at) else {
            stack.pop();
            continue;
        };
        *at += 1;
        let last = *at == nodes.len();
        let (fork, rest) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let deeper = match node {
            Node::Call(call) => {
                let call = Dependency::Call(call.id);
                let below = next(&call);
                Some((shown.insert(call.id()), below)).filter(|(_, below)| !below.is_empty())
            }
            Node::Input(_) => None,
        };
        let again = matches!(deeper, Some((false, _)));
        let _ = writeln!(
            text,
            "{}{}{}",
            console.styled(FAINT, &format!("{indent}{fork}")),
            node.label(),
            if again { console.styled(FAINT, " …") } else { String::new() }
        );
        if let Some((true, below)) = deeper {
            let indent = format!("{indent}{rest}");
            stack.push((indent, below, 0));
        }
    }
    text
}
