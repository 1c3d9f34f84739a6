//! What the compiler's collector finds for a function must be in the function's closure: every function, closure and
//! static that is instantiated for it, every macro that an instruction of those is from, every type of their variables.
//!
//! A crate is compiled once. Whatever can be come to from a function without type parameters in what the compiler wrote is
//! compared with the nodes that the closure of that function has. Where it is from says the debug information, so names are
//! not resolved here, only places looked up.
//!
//! The collector takes every method of an object's trait for called. A closure does so only where the method's name is
//! said, which is compared: a method of a trait of the crate is expected where code that was found says its name.
//!
//! `FLECHE_COLLECTOR="DIRECTORY…"` compares all subjects and whole crates, of this workspace or that cargo has unpacked for
//! it, compiled by cargo into `target/collector`; `DIRECTORY:test` its test build. It looks at `FLECHE_ROOTS` functions of each
//! (300), and prints a row for the table in docs/code-digest.md.

mod compiled;
mod subjects;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use compiled::{Place, Program, Symbol, TOLD};
use fleche_code::closure::Analysis;
use fleche_code::compiler::Invocation;
use fleche_code::items::ItemKind;
use fleche_code::package::Package;
use fleche_code::world::{FileId, NodeId, World};
use subjects::SUBJECTS;
use subjects::opened::Crate;

/// Where the innermost node around a place is first; any of the others covers it as well.
type Asked = Vec<NodeId>;

/// The sources of a world, by places.
struct Sources<'a> {
    world: &'a World,
    files: HashMap<PathBuf, Vec<FileId>>,
    /// The nodes in each file.
    nodes: HashMap<FileId, Vec<NodeId>>,
    /// Where the lines of each file begin.
    lines: HashMap<FileId, Vec<usize>>,
    /// Calls of macros among items, by their module and name.
    calls: HashMap<(String, &'a str), Vec<NodeId>>,
    /// Types by their module and name.
    types: HashMap<(String, &'a str), Vec<NodeId>>,
}

impl<'a> Sources<'a> {
    fn new(world: &'a World) -> Self {
        let mut new = Self {
            world,
            files: HashMap::new(),
            nodes: HashMap::new(),
            lines: HashMap::new(),
            calls: HashMap::new(),
            types: HashMap::new(),
        };
        for (file, info) in world.files.iter().enumerate() {
            new.files.entry(info.path.clone()).or_default().push(file);
            let text = std::fs::read_to_string(&info.path).expect("a source");
            let ends = text.match_indices('\n').map(|(at, _)| at + 1);
            new.lines.insert(file, std::iter::once(0).chain(ends).collect());
        }
        for (id, node) in world.nodes.iter().enumerate().filter(|(_, node)| !node.is_face) {
            new.nodes.entry(node.file).or_default().push(id);
            let by_name = match node.kind {
                ItemKind::Call => &mut new.calls,
                ItemKind::Type => &mut new.types,
                _ => continue,
            };
            by_name.entry((path_of(world, node.module), world.names.text(node.name))).or_default().push(id);
        }
        new
    }

    /// The nodes around a token, the innermost first.
    fn around(&self, file: FileId, at: usize) -> Asked {
        let nodes = self.nodes.get(&file).into_iter().flatten().copied();
        let mut found: Asked =
            nodes.filter(|node| self.own_tokens(*node).any(|own| own.contains(&at))).collect();
        found.sort_by_key(|node| self.world.nodes[*node].range.len());
        found
    }

    /// A node's range without what other nodes have of it.
    fn own_tokens(&self, node: NodeId) -> impl Iterator<Item = std::ops::Range<usize>> {
        let node = &self.world.nodes[node];
        let starts = std::iter::once(node.range.start).chain(node.holes.iter().map(|hole| hole.end));
        let ends = node.holes.iter().map(|hole| hole.start).chain([node.range.end]);
        starts.zip(ends).map(|(start, end)| start..end)
    }

    /// The names in a node that may be those of functions: neither fields nor variables.
    fn calls_in(&self, node: NodeId) -> HashSet<u32> {
        let lexed = &self.world.files[self.world.nodes[node].file].lexed;
        let called = |at: &usize| {
            let before = at.saturating_sub(1);
            (lexed.is(at + 1, "(") || lexed.is(at + 1, "::") || lexed.is(before, "::"))
                && !lexed.is(before, "fn")
        };
        self.own_tokens(node).flatten().filter(called).map(|at| lexed.names[at].0).collect()
    }

    /// The nodes that a place is in, for each of the modules that the file is.
    fn at<'s>(&'s self, place: &'s Place, name: &'s str) -> impl Iterator<Item = Asked> + 's {
        let path = fleche_code::sources::tidy(&place.file);
        let files = self.files.get(&path).into_iter().flatten().copied();
        files.map(move |file| {
            let tokens = &self.world.files[file].lexed.tokens;
            if let Some(column) = place.column {
                let start = self.lines[&file].get(place.line - 1).copied().unwrap_or_default() + column - 1;
                let behind = tokens.all().partition_point(|token| token.start as usize <= start);
                return self.around(file, behind.saturating_sub(1));
            }
            let line = u32::try_from(place.line).expect("a small file");
            let start = tokens.all().partition_point(|token| token.line < line);
            // Its name may stand in a later line than its visibility; what a derive makes has no name there.
            let ends =
                |at: &usize| matches!(tokens.text(*at), "{" | "}" | ";" | "]") && tokens.line(*at + 1) > line;
            let named = (start..tokens.len()).take_while(|at| !ends(at)).find(|at| {
                tokens.ident(*at) == Some(name)
                    && *at > 0
                    && matches!(tokens.text(*at - 1), "fn" | "static" | "mut")
            });
            named.map_or_else(
                || {
                    let line = (start..tokens.len()).take_while(|at| tokens.line(*at) == line);
                    line.flat_map(|at| self.around(file, at)).collect()
                },
                |at| self.around(file, at),
            )
        })
    }

    /// All that a symbol asks for, beginning with where it begins.
    fn asked(&self, symbol: &Symbol) -> Vec<Asked> {
        let begin: Vec<Asked> = symbol.place.iter().flat_map(|place| self.at(place, &symbol.name)).collect();
        let steps = symbol.steps.iter().flat_map(|place| self.at(place, ""));
        let mut seen = HashSet::new();
        let mut all: Vec<Asked> = begin.iter().cloned().chain(steps).collect();
        // What a macro among items has written: its call counts, and which it is where there is one.
        let module: Vec<&str> =
            symbol.scope.iter().map(String::as_str).filter(|name| !name.starts_with('{')).collect();
        for node in begin.iter().filter_map(|asked| asked.first()) {
            let node = &self.world.nodes[*node];
            if node.kind == ItemKind::Macro {
                let call = (module.join("::"), self.world.names.text(node.name));
                all.extend(self.calls.get(&call).cloned());
            }
        }
        if symbol.is_type {
            all.extend(self.types.get(&(module.join("::"), symbol.name.as_str())).cloned());
        }
        all.retain(|asked| !asked.is_empty() && seen.insert(asked.clone()));
        all
    }
}

/// A module's path, its crate first.
fn path_of(world: &World, module: usize) -> String {
    let module = &world.modules[module];
    let krate = world.names.text(world.crates[module.krate].name);
    if module.path.is_empty() { krate.to_owned() } else { format!("{krate}::{}", module.path) }
}

/// What was compared.
#[derive(Default)]
struct Tally {
    functions: usize,
    compared: usize,
    /// What is missing, with a way to it.
    missing: BTreeMap<String, String>,
    /// The tokens of each closure, and of what the compiler found, in thousandths of the crate.
    shares: Vec<usize>,
    least: Vec<usize>,
}

/// Compares the closures of a crate's functions with what the compiler found.
fn compare(directory: &Path, invocation: &Invocation, program: &Program, most: usize) -> Tally {
    let world = World::load(directory, None, invocation).expect("loaded");
    let sources = Sources::new(&world);
    let asked: Vec<Vec<Asked>> = program.symbols.iter().map(|symbol| sources.asked(symbol)).collect();
    let says: Vec<HashSet<u32>> = (0..world.nodes.len()).map(|node| sources.calls_in(node)).collect();
    let of_traits = world.members.keys().filter(|name| world.in_traits(**name));
    let of_traits: HashMap<String, u32> =
        of_traits.map(|name| (world.names.text(*name).to_owned(), name.0)).collect();
    let crates: HashSet<String> =
        world.crates.iter().map(|krate| world.names.text(krate.name).to_owned()).collect();
    let roots: Vec<(usize, NodeId)> = (0..program.symbols.len())
        .filter_map(|at| {
            let symbol = &program.symbols[at];
            let node = *asked[at].first()?.first()?;
            let info = &world.nodes[node];
            let named = info.kind == ItemKind::Function && world.names.text(info.name) == symbol.name;
            (symbol.is_function && !symbol.is_generic && named).then_some((at, node))
        })
        .collect();
    drop(sources);
    // A method in a table of a trait of ours is called by its name.
    let condition = |from: usize, to: usize| {
        let of = program.symbols[from].table_of.as_ref()?.split("::").next()?;
        crates.contains(of).then(|| of_traits.get(&program.symbols[to].name).copied()).flatten()
    };
    let said = |symbol: usize| -> Vec<u32> {
        let nodes = asked[symbol].iter().filter_map(|asked| asked.first());
        nodes.flat_map(|node| says[*node].iter().copied()).collect()
    };
    let mut analysis = Analysis::new(world);
    let total: usize = (0..analysis.world.nodes.len()).map(|node| analysis.world.size(node)).sum();
    let mut tally = Tally::default();
    for &(root, node) in roots.iter().step_by(roots.len().div_ceil(most).max(1)) {
        let covered: BTreeSet<NodeId> = analysis.closure(node).nodes().into_iter().collect();
        let world = &analysis.world;
        let reached = program.reached(root, condition, said);
        let mut least = BTreeSet::new();
        for (&symbol, asked) in
            reached.keys().flat_map(|symbol| asked[*symbol].iter().map(move |asked| (symbol, asked)))
        {
            tally.compared += 1;
            least.insert(asked[0]);
            if !asked.iter().any(|node| covered.contains(node)) {
                let way =
                    std::iter::successors(Some(symbol), |at| Some(reached[at]).filter(|from| from != at));
                let way: Vec<&str> = way.map(|at| program.symbols[at].name.as_str()).collect();
                let way = format!("from {} by {}", world.label(node), way.join(" ← "));
                tally.missing.entry(world.label(asked[0])).or_insert(way);
            }
        }
        let share = |nodes: &BTreeSet<NodeId>| {
            nodes.iter().map(|node| world.size(*node)).sum::<usize>() * 1000 / total.max(1)
        };
        tally.functions += 1;
        tally.shares.push(share(&covered));
        tally.least.push(share(&least));
    }
    tally
}

impl Tally {
    /// Tells of it, and gives back what is missing.
    fn told(mut self, about: &str) -> Vec<String> {
        let median = |shares: &mut Vec<usize>| {
            shares.sort_unstable();
            let share = shares.get(shares.len() / 2).copied().unwrap_or_default();
            format!("{}.{}", share / 10, share % 10)
        };
        let (share, least) = (median(&mut self.shares), median(&mut self.least));
        let Self { functions, compared, missing, .. } = self;
        println!(
            "{about}: {functions} functions, {compared} items compared, {} missing; median share {share} %, of what the compiler found {least} %",
            missing.len()
        );
        missing.iter().map(|(label, way)| format!("{about}: {label}\n    {way}")).collect()
    }
}

fn read(output: &Path) -> Program {
    Program::read(&std::fs::read_to_string(output).expect("what the compiler wrote"))
}

/// Compares a crate of one folder that needs no other one.
fn alone(about: &str, directory: &Path, arguments: Vec<String>) -> Vec<String> {
    let output = directory.join("program.ll");
    let status = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args(&arguments)
        .arg(format!("--crate-name={}", about.replace('-', "_")))
        .args(["--crate-type=lib", "--emit=llvm-ir", "-o"])
        .arg(&output)
        .args(TOLD)
        .current_dir(directory)
        .status()
        .expect("rustc");
    assert!(status.success(), "{about} compiles");
    let invocation = Invocation::parse(arguments, directory);
    let tally = compare(directory, &invocation, &read(&output), usize::MAX);
    assert!(tally.functions > 0 && tally.compared > tally.functions, "{about}");
    tally.told(about)
}

#[test]
fn closures_have_what_the_compiler_instantiates() {
    let mut missing = Vec::new();
    let wanted = std::env::var("FLECHE_COLLECTOR").unwrap_or_default();
    let directory = tempfile::tempdir().expect("a directory");
    let manifest = "[package]\nname = \"everything\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    std::fs::write(directory.path().join("Cargo.toml"), manifest).expect("written");
    std::fs::create_dir(directory.path().join("src")).expect("a directory");
    std::fs::write(directory.path().join("src/lib.rs"), include_str!("compiled/everything.rs"))
        .expect("written");
    let arguments = ["src/lib.rs", "--edition=2024"].map(str::to_owned);
    missing.extend(alone("everything", directory.path(), arguments.into()));
    for subject in
        SUBJECTS.iter().filter(|subject| !wanted.is_empty() || matches!(subject.name, "heck" | "bit-vec"))
    {
        let opened = Crate::new(subject);
        missing.extend(alone(subject.name, opened.directory.path(), opened.arguments()));
    }
    for directory in wanted.split_whitespace() {
        missing.extend(built(directory).unwrap_or_default());
    }
    assert!(missing.is_empty(), "not covered:\n{}", missing.join("\n"));
}

/// Compares a crate that cargo builds. `None`, and a line about it, where it does not.
fn built(wanted: &str) -> Option<Vec<String>> {
    let (directory, test) =
        wanted.strip_suffix(":test").map_or((wanted, false), |directory| (directory, true));
    let directory = Path::new(directory).canonicalize().expect("a directory");
    let package = Package::read(&directory).expect("a package");
    let root = package.library.clone().expect("a library");
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace");
    let target = workspace.join("target/collector");
    let about = format!("{} {}{}", package.name, package.version, if test { " tests" } else { "" });
    let output = target.join(format!("{}.ll", about.replace(' ', "-")));
    let mut command = Command::new(env!("CARGO"));
    command.args(["rustc", "--offline", "--lib", "--quiet"]);
    if directory.starts_with(&workspace) {
        command.current_dir(&directory);
    } else {
        // As a package of its own it would ask for what it needs for tests and options too.
        let host = target.join("hosts").join(&package.name);
        std::fs::create_dir_all(host.join("src")).expect("a directory");
        let manifest = format!(
            "[package]\nname = \"host\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{} = \"={}\"\n",
            package.name, package.version
        );
        std::fs::write(host.join("Cargo.toml"), manifest).expect("written");
        std::fs::write(host.join("src/lib.rs"), "").expect("written");
        command.current_dir(host).args(["-p", &package.name]);
    }
    command.args(if test { &["--profile", "test"][..] } else { &[] });
    command.arg("--").args(TOLD).arg(format!("--emit=llvm-ir={}", output.display()));
    command.env("CARGO_TARGET_DIR", &target).env("CARGO_INCREMENTAL", "0");
    let built = command.output().expect("cargo");
    if !built.status.success() {
        println!("{about}: cargo does not build it\n{}", String::from_utf8_lossy(&built.stderr));
        return None;
    }
    let mut arguments = vec![root.to_string_lossy().into_owned()];
    arguments.extend(test.then(|| "--test".to_owned()));
    let most = std::env::var("FLECHE_ROOTS").ok().and_then(|most| most.parse().ok()).unwrap_or(300);
    let invocation = Invocation::parse(arguments, &directory);
    Some(compare(&directory, &invocation, &read(&output), most).told(&about))
}
