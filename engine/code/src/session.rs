//! One compiler process: what is known of the crate that is compiled, and the digests of its functions at each level.
//!
//! Whatever cannot be found out makes the answer the whole crate's digest, never a smaller one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

pub use crate::function::{Cached, Function, Reached};

use crate::CodeDigest;
use crate::closure::{Analysis, Closure};
use crate::compiler::Invocation;
use crate::facts::{Facts, Led, short};
use crate::items::{self, ItemKind};
use crate::lexer::Tokens;
use crate::listed::{Items, Listed};
use crate::lock::Lock;
use crate::names::Name;
use crate::package::Package;
use crate::report::{Part, Report};
use crate::scan::named_options;
use crate::shared::Shared;
use crate::sources::{Sources, files_below, tidy};
use crate::spelt;
use crate::whole;
use crate::world::{CrateId, File, Linked, ModuleId, NodeId, World};

/// Everything that is known in one compiler process.
#[derive(Debug)]
pub struct Session {
    directory: Option<PathBuf>,
    out_dir: Option<PathBuf>,
    invocation: Invocation,
    /// `None` if the crate cannot be read, or was not yet.
    analysis: Option<Analysis>,
    /// Whether it was: functions of which no other code counts need none of it.
    loaded: bool,
    whole: Option<(blake3::Hash, Vec<Part>)>,
    sources: Sources,
    locks: BTreeMap<PathBuf, Option<Lock>>,
    told: BTreeSet<PathBuf>,
    told_shared: BTreeSet<String>,
    /// The functions of the same tokens that were seen: their files and lines.
    twins: HashMap<blake3::Hash, Vec<(Option<PathBuf>, u32)>>,
    listing: Listed,
    led: Led,
    /// Whether reports list every item, however many there are.
    all: bool,
}

/// Options that every digest counts.
const ALWAYS: [&str; 2] = ["debug_assertions", "test"];

/// How an option is found out.
enum Source {
    /// By the compiler, where the digest is used.
    Compiler,
    /// From the target and the compiler's arguments, which count anyhow.
    Target,
    /// From `--cfg`.
    Arguments,
}

fn source(option: &str) -> Source {
    let name = option.split(' ').next().unwrap_or("");
    match name {
        "unix"
        | "windows"
        | "debug_assertions"
        | "test"
        | "panic"
        | "target_arch"
        | "target_os"
        | "target_env"
        | "target_family"
        | "target_pointer_width"
        | "target_endian"
        | "target_feature"
        | "target_vendor"
        | "target_has_atomic" => Source::Compiler,
        _ if name.starts_with("target_") => Source::Target,
        "overflow_checks" | "doc" | "doctest" | "proc_macro" | "miri" => Source::Target,
        _ => Source::Arguments,
    }
}

impl Session {
    /// Looks at the crate that is being compiled.
    pub fn new(directory: Option<&Path>, out_dir: Option<&Path>, invocation: Invocation) -> Self {
        Self {
            directory: directory.map(Path::to_path_buf),
            out_dir: out_dir.map(Path::to_path_buf),
            invocation,
            analysis: None,
            loaded: false,
            whole: None,
            sources: Sources::default(),
            locks: BTreeMap::new(),
            told: BTreeSet::new(),
            told_shared: BTreeSet::new(),
            twins: HashMap::new(),
            listing: Listed::default(),
            led: Led::default(),
            all: false,
        }
    }

    /// What is behind a key that counts no code: a digest of zeros, unless the crate is called like the library of its package
    /// and is another one, so that functions of both may have the same full name.
    pub fn nothing(&mut self) -> Reached {
        let package = self.directory.as_deref().and_then(Package::read);
        let other = package.filter(|package| {
            let root = self.invocation.root.as_deref().map(tidy);
            self.invocation.name == package.crate_name()
                && package
                    .library
                    .as_deref()
                    .is_some_and(|library| root.is_some_and(|root| root != tidy(library)))
        });
        let none = CodeDigest([0; 32]);
        let digest = other.map_or(none, |_| none.within(blake3::hash(self.root_name().as_bytes())));
        let report = Report { level: "nothing".to_owned(), ..Report::default() };
        Reached::of(digest, Vec::new(), report)
    }

    /// The root of the crate. Levels that look at files or tokens count it, since a package's library and a binary have the same
    /// of both and may have one name.
    fn root_name(&self) -> String {
        let base = self.directory.as_deref().unwrap_or(Path::new(""));
        self.invocation.root.as_deref().map_or(String::new(), |root| whole::relative(&tidy(root), base))
    }

    /// The digest of a function and everything in its crate.
    pub fn whole(&mut self, function: Function<'_>) -> Reached {
        let (directory, out_dir) = (self.directory.clone(), self.out_dir.clone());
        let (whole, files) = self.whole.get_or_insert_with(|| {
            whole::digest(directory.as_deref(), out_dir.as_deref(), &self.invocation, &mut self.sources)
        });
        let report = Report { level: "crate".to_owned(), files: files.clone(), ..Report::default() };
        let whole = *whole;
        let root = blake3::hash(self.root_name().as_bytes());
        let digest = CodeDigest::of_body(function.tokens).within(whole).within(root);
        Reached::of(digest, self.options(&BTreeSet::new()).0, report)
    }

    /// The digest of a function's own tokens.
    pub fn body(&mut self, function: Function<'_>) -> Reached {
        let (options, set) = self.options(&named_options(function.tokens));
        let mut hasher = blake3::Hasher::new();
        for line in set.into_iter().chain([self.root_name()]) {
            hasher.update(line.as_bytes()).update(&[0]);
        }
        let tokens = Tokens::lex(function.tokens);
        values(&tokens, &mut hasher);
        let digest = CodeDigest::of_body(function.tokens).within(hasher.finalize());
        let report = Report { level: "body".to_owned(), ..Report::default() };
        Reached::of(digest, options, report)
    }

    /// What is known of the crate's items, which are read when this is asked first.
    fn analysis(&mut self) -> Option<&mut Analysis> {
        if !std::mem::replace(&mut self.loaded, true) {
            let (directory, out_dir) = (self.directory.as_deref(), self.out_dir.as_deref());
            let world = directory.and_then(|directory| World::load(directory, out_dir, &self.invocation));
            self.analysis = world.map(Analysis::new);
        }
        self.analysis.as_mut()
    }

    /// Splits `cfg` options into those that the compiler is to be asked for, and lines about the others.
    fn options(&self, options: &BTreeSet<String>) -> (Vec<String>, Vec<String>) {
        let mut asked: Vec<String> = ALWAYS.map(str::to_owned).to_vec();
        let mut known = Vec::new();
        for option in options {
            if option == "*" {
                known.extend(self.invocation.cfgs.iter().map(|cfg| format!("cfg {cfg} true")));
                continue;
            }
            match source(option) {
                Source::Compiler if !asked.contains(option) => asked.push(option.clone()),
                Source::Compiler | Source::Target => {}
                Source::Arguments => {
                    let set = self.invocation.cfgs.iter().any(|cfg| tight(cfg) == tight(option));
                    known.push(format!("cfg {option} {set}"));
                }
            }
        }
        (asked, known)
    }

    /// The digest of a function and its source file.
    pub fn module(&mut self, function: Function<'_>) -> Reached {
        let Some(tokens) = function.file.and_then(|file| self.sources.tokens(file)) else {
            return self.whole(function);
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"fleche module 1");
        tokens.feed(0..tokens.len(), &mut hasher);
        let value = short(&hasher.finalize());
        let base = self.directory.clone().unwrap_or_default();
        let name = function.file.map(|file| whole::relative(&tidy(file), &base)).unwrap_or_default();
        let (target, root) = (&self.invocation.target, &self.root_name());
        for part in self.invocation.cfgs.iter().chain(&self.invocation.options).chain([target, root]) {
            hasher.update(part.as_bytes()).update(&[0]);
        }
        values(&tokens, &mut hasher);
        let digest = CodeDigest::of_body(function.tokens).within(hasher.finalize());
        let files = vec![Part { name, value }];
        let report = Report { level: "module".to_owned(), files, ..Report::default() };
        Reached::of(digest, self.options(&BTreeSet::new()).0, report)
    }

    /// The digest of a function and all that it reaches.
    pub fn reachable(&mut self, function: Function<'_>) -> Reached {
        let found = if function.generic { None } else { self.place(function) };
        match found {
            Some(root) => self.reached(root, function).unwrap_or_else(|| self.whole(function)),
            None => self.whole(function),
        }
    }

    /// How many functions with these tokens were asked for before that the compiler may call by the same full name: blocks of one
    /// item hold several, a macro writes them, a module is called like a function. What they name may differ nevertheless.
    pub fn twins(&mut self, function: Function<'_>) -> u32 {
        let known = self.twins.entry(blake3::hash(function.tokens.as_bytes())).or_default();
        let before = known.clone();
        known.push((function.file.map(Path::to_path_buf), function.line));
        if before.is_empty() {
            return 0;
        }
        // Which of them stand apart is to be seen in what was read.
        let own = self.label(function);
        let same = before.iter().filter(|(file, line)| {
            let other = self.label(Function { file: file.as_deref(), line: *line, ..function });
            own.as_ref()
                .zip(other.as_ref())
                .is_none_or(|(own, other)| within(own, other) || within(other, own))
        });
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// The path of the item that a function is, or stands in.
    fn label(&mut self, function: Function<'_>) -> Option<String> {
        let place = self.place(function)?;
        self.analysis().map(|analysis| analysis.world.label(place))
    }

    /// Whether a function is certainly a member of an impl or trait, where no other items may stand beside it. No more than its
    /// file is looked at.
    pub fn is_member(&mut self, function: Function<'_>) -> bool {
        let Some(tokens) = function.file.and_then(|file| self.sources.tokens(file)) else { return false };
        let name = function.name.strip_prefix("r#").unwrap_or(function.name);
        let mut at = tokens.all().partition_point(|token| token.line < function.line);
        while tokens.get(at).is_some_and(|token| token.line == function.line) {
            if tokens.ident(at) == Some(name) && at > 0 && tokens.is(at - 1, "fn") {
                return items::is_member(&tokens, at);
            }
            at += 1;
        }
        false
    }

    fn place(&mut self, function: Function<'_>) -> Option<NodeId> {
        self.analysis()?.world.find(function.file?, function.line, function.name)
    }

    /// Files that were read and not told of before.
    pub fn fresh_files(&mut self) -> Vec<PathBuf> {
        let mut all = self.sources.read();
        if let Some(analysis) = &self.analysis {
            all.extend(analysis.world.sources.read());
        }
        all.retain(|path| self.told.insert(path.clone()));
        all
    }

    /// Those parts of lists that were not told of before.
    pub fn fresh_parts(&mut self, mut parts: Vec<Shared>) -> Vec<Shared> {
        parts.retain(|part| self.told_shared.insert(part.id.clone()));
        parts
    }

    /// The cached functions of the crate.
    pub fn functions(&mut self) -> Vec<Cached> {
        let Some(analysis) = self.analysis() else { return Vec::new() };
        let world = &analysis.world;
        let all = (0..world.nodes.len()).filter(|node| {
            let node = &world.nodes[*node];
            node.cached && world.modules[node.module].krate == world.own
        });
        all.map(|id| {
            let node = &world.nodes[id];
            let File { path, lexed, .. } = &world.files[node.file];
            let mut head = node.head.clone();
            let at = head.find(|at| lexed.name(*at) == Name::FN).unwrap_or(node.head.start);
            let option =
                node.attributes.clone().find(|at| lexed.tokens.is(*at, "hash_code") && lexed.is(at + 1, "="));
            let level = match option.map(|at| (lexed.tokens.string(at + 2), lexed.name(at + 2))) {
                Some((Some(level), _)) => level,
                Some((None, Name::FALSE)) => "nothing".to_owned(),
                _ => "reachable".to_owned(),
            };
            // `<'a, T>`: a parameter that is no lifetime is a word.
            let generic = lexed.is(at + 2, "<")
                && (at + 3..node.head.end).take_while(|at| !matches!(lexed.tokens.text(*at), ">" | "(")).any(
                    |at| lexed.tokens.ident(at).is_some() && matches!(lexed.tokens.text(at - 1), "<" | ","),
                );
            let name = world.names.text(node.name).to_owned();
            let line = lexed.tokens.line(at + 1);
            Cached { file: path.clone(), line, name, path: world.label(id), level, generic }
        })
        .collect()
    }

    /// What the digest of a cached function covers, every item of it.
    pub fn covered(&mut self, cached: &Cached) -> Report {
        let Cached { file, line, name, level, generic, .. } = cached;
        let function = Function { file: Some(file), line: *line, name, tokens: "", generic: *generic };
        self.all = true;
        let report = match level.as_str() {
            "reachable" => self.reachable(function).report,
            "module" => self.module(function).report,
            "crate" => self.whole(function).report,
            other => Report { level: other.to_owned(), ..Report::default() },
        };
        self.all = false;
        report
    }

    fn lock(&mut self, package: &Package) -> Option<Lock> {
        let path = package.lock()?;
        if let Some(known) = self.locks.get(&path) {
            return known.clone();
        }
        self.sources.bytes(&path);
        let lock = std::fs::read_to_string(&path).ok().and_then(|text| Lock::parse(&text));
        self.locks.insert(path, lock.clone());
        lock
    }

    fn reached(&mut self, root: NodeId, function: Function<'_>) -> Option<Reached> {
        let mut analysis = self.analysis.take()?;
        let closure = analysis.closure(root);
        let result = self.digest(&mut analysis, root, &closure, function);
        self.analysis = Some(analysis);
        Some(result)
    }

    fn digest(
        &mut self,
        analysis: &mut Analysis,
        root: NodeId,
        closure: &Closure,
        function: Function<'_>,
    ) -> Reached {
        let Items { mut report, together, digest: items } =
            self.listing.report(analysis, root, closure, self.all);
        let mut facts = Facts::default();
        for (from, digest) in self.led.digests(&analysis.foreign, closure) {
            let value = short(&digest);
            facts.add(format!("use {from} {digest}"), format!("names from `{from}`"), value);
        }
        let world = &mut analysis.world;
        let (options, set) = self.options(&closure.outside.options);
        for line in set {
            let (name, value) = line.rsplit_once(' ').unwrap_or((&line, ""));
            facts.add(line.clone(), name, value);
        }
        facts.add(format!("target {}", self.invocation.target), "target", &self.invocation.target);
        for option in &self.invocation.options {
            let (name, value) = option.split_once('=').unwrap_or((option, "on"));
            facts.add(format!("option {option}"), format!("compiler option {name}"), value);
        }
        let base = world.crates[world.own].package.directory.clone();
        for asset in &closure.outside.assets {
            if let Some(digest) = world.sources.bytes(&asset.path) {
                let path = whole::relative(&asset.path, &base);
                facts.digested(format!("file {path} {digest}"), format!("file {path}"));
            }
        }
        let variables = &closure.outside.environment;
        let variables = spelt::resolved(variables, literals(world, closure));
        for variable in &variables {
            let value = std::env::var(variable).unwrap_or_default();
            facts.digested(format!("env {variable} {value}"), format!("environment variable {variable}"));
        }
        for &krate in &closure.crates {
            self.packages(world, closure, krate, &mut facts);
        }
        for &module in &closure.modules {
            attributes(world, module, &mut facts);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"fleche reachable 2");
        hasher.update(items.as_bytes());
        facts.feed(&mut hasher);
        let digest = CodeDigest::of_body(function.tokens).within(hasher.finalize());
        let environment = variables.into_iter().collect();
        report.others = facts.parts();
        Reached { digest, options, environment, report, together }
    }

    /// What the package of a reached crate adds: its edition, what the lock says of what it links, how that was built.
    fn packages(&mut self, world: &mut World, closure: &Closure, krate: CrateId, facts: &mut Facts) {
        let package = world.crates[krate].package.clone();
        let edition = package.edition();
        facts.add(
            format!("edition {} {edition}", package.name),
            format!("edition of {}", package.name),
            edition,
        );
        let own = package.directory == world.crates[world.own].package.directory;
        // What the program's own lock says holds for all; without it, what the package brought along does.
        let own_package = world.crates[world.own].package.clone();
        let locks = [self.lock(&own_package), self.lock(&package)];
        let all = world.crates[krate].dependencies.iter();
        let all: Vec<_> = all.flat_map(|(name, all)| all.iter().map(|one| (*name, one.clone()))).collect();
        for (name, linked) in &all {
            let used = match linked {
                // What is reached in one may have come by names that another gives.
                Linked::Local(_) => krate == world.own && closure.crates.len() > 1,
                Linked::Foreign(_) => closure.outside.crates.contains(name),
            };
            if !used {
                continue;
            }
            let dependency = match linked {
                Linked::Foreign(package) => package.clone(),
                Linked::Local(found) => world.crates[*found].package.name.clone(),
            };
            if matches!(linked, Linked::Foreign(_)) {
                let entries = locks
                    .iter()
                    .flatten()
                    .find_map(|lock| lock.dependency(&package.name, &package.version, &dependency));
                for entry in entries.into_iter().flatten() {
                    let mut words = entry.split(' ');
                    let (name, version) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                    facts.add(format!("lock {entry}"), format!("crate {name}"), version);
                    // Without a source it lies on this disk, put in place of another.
                    if words.next() == Some("")
                        && let Some(directory) = world.patches.get(name).cloned()
                    {
                        files(world, &directory, &|_| true, &format!("patched {name}"), facts);
                    }
                }
            }
            if krate == world.own {
                // How cargo built it: its features, those of what is below it, the profile.
                let text = world.names.text(*name);
                let built = self.invocation.externs.iter().filter(|(known, _)| known == text);
                for (name, file) in built {
                    let about = format!("how `{name}` was built (features, profile, compiler)");
                    facts.digested(format!("extern {name} {file}"), about);
                }
            }
        }
        let reads_build = closure.outside.environment.iter().any(|name| !name.starts_with("CARGO_"))
            || !own && names_output(world, krate);
        let calls_out = || {
            world.nodes.iter().zip(&closure.reached).any(|(node, from)| {
                node.kind == ItemKind::ExternBlock
                    && from.is_some()
                    && world.modules[node.module].krate == krate
            })
        };
        if !closure.outside.environment.is_empty() && !own {
            let table = package.manifest.get("package").map(ToString::to_string).unwrap_or_default();
            facts.digested(format!("package {table}"), format!("manifest of {}", package.name));
        }
        if let Some(build) = package.build.as_ref()
            && (reads_build && !own || calls_out())
        {
            // Its output is out of sight; then all that it may read counts.
            let source = |path: &Path| {
                let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
                let foreign = ["c", "h", "cc", "cpp", "cxx", "hpp", "s", "S", "asm", "cu", "m", "mm"];
                !own || extension.is_some_and(|extension| foreign.contains(&extension.as_str()))
            };
            files(world, &package.directory, &source, "build", facts);
            if let Some(digest) = world.sources.bytes(build) {
                let path = whole::relative(build, &package.directory);
                facts.digested(format!("build {path} {digest}"), format!("file {path} of the build"));
            }
        }
    }
}

/// The string literals of what is reached.
fn literals(world: &World, closure: &Closure) -> impl Iterator<Item = String> {
    closure.nodes().into_iter().flat_map(|node| {
        let node = &world.nodes[node];
        let tokens = &world.files[node.file].lexed.tokens;
        node.range.clone().filter_map(|at| tokens.string(at))
    })
}

/// Hashes the variables of the compiler's environment that tokens read, with their values.
fn values(tokens: &Tokens, hasher: &mut blake3::Hasher) {
    let mut variables = BTreeSet::new();
    spelt::variables(tokens, 0..tokens.len(), &mut variables);
    for name in spelt::resolved(&variables, (0..tokens.len()).filter_map(|at| tokens.string(at))) {
        let value = std::env::var(&name).unwrap_or_default();
        hasher.update(name.as_bytes()).update(&[0xff]).update(value.as_bytes()).update(&[0xff]);
    }
}

/// Adds the files of a package that `wanted` accepts.
fn files(world: &mut World, directory: &Path, wanted: &dyn Fn(&Path) -> bool, what: &str, facts: &mut Facts) {
    for file in files_below(directory, wanted) {
        if let Some(digest) = world.sources.bytes(&file) {
            let path = whole::relative(&file, directory);
            facts.digested(format!("{what} {path} {digest}"), format!("file {path} of the build"));
        }
    }
}

/// Whether a crate's code takes something from its build script's output.
fn names_output(world: &World, krate: CrateId) -> bool {
    let of_crate = |file: &&File| world.modules[file.module].krate == krate;
    world
        .files
        .iter()
        .filter(of_crate)
        .any(|File { lexed, .. }| (0..lexed.tokens.len()).any(|at| lexed.tokens.text(at) == "\"OUT_DIR\""))
}

/// Whether something of one path may stand in what has the other.
fn within(path: &str, around: &str) -> bool {
    path.strip_prefix(around).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// An option without the spaces that people put in it.
fn tight(option: &str) -> String {
    option.split_whitespace().collect()
}

/// Adds the attributes of a module that may matter.
fn attributes(world: &World, module: ModuleId, facts: &mut Facts) {
    const SILENT: [&str; 8] = ["allow", "warn", "deny", "forbid", "expect", "rustfmt", "clippy", "path"];
    let (path, apart) = (&world.modules[module].path, world.apart(module));
    for (file, range) in &world.modules[module].attributes {
        let tokens = &world.files[*file].lexed.tokens;
        let mut at = range.start;
        while at < range.end {
            let open = if tokens.is(at + 1, "!") { at + 2 } else { at + 1 };
            let end = tokens.after(open);
            if !SILENT.contains(&tokens.text(open + 1)) {
                let text: Vec<&str> = (at..end).map(|at| tokens.text(at)).collect();
                let about = format!("attributes of module `{path}`");
                facts.digested(format!("attribute {path} {}{apart}", text.join(" ")), about);
            }
            at = end.max(at + 1);
        }
    }
}
