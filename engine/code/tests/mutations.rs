//! Mutations of real crates: a change of one token that changes what a function computes must change its key.
//!
//! The crates are those that cargo has unpacked for this workspace. What a function computes is found out by compiling
//! and running the mutated crate, each function in a process of its own, since a mutation of unsafe code may do anything.
//! Four of five mutations are of tokens that some function reaches, the fifth is anywhere.
//!
//! `FLECHE_MUTATIONS` is the number of mutations for each crate that compile; `FLECHE_SEED` chooses others. With
//! `FLECHE_MUTANTS=FILE` they are written down with what they change, and those written down before are looked at again
//! without a compiler: a changed analysis is checked against all of them in seconds.

mod subjects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleche_code::CodeDigest;
use fleche_code::closure::Analysis;
use fleche_code::compiler::Invocation;
use fleche_code::items::ItemKind;
use fleche_code::lexer::{Kind, Tokens};
use fleche_code::session::{Function, Session};
use fleche_code::world::World;
use subjects::opened::Crate;
use subjects::{SUBJECTS, Subject};

/// A reproducible source of numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap_or(0)
    }
}

impl Crate<'_> {
    /// What each function computes; `None` if it does not compile.
    fn results(&self) -> Option<BTreeMap<String, String>> {
        let program = self.directory.path().join("program");
        let compiled = Command::new("rustc")
            .args(self.arguments())
            .args(["--crate-type", "bin", "--cap-lints", "allow", "-C", "debuginfo=0", "-o"])
            .arg(&program)
            .current_dir(self.directory.path())
            .stderr(Stdio::null())
            .status()
            .expect("rustc");
        if !compiled.success() {
            return None;
        }
        let names = self.subject.functions.iter().map(|(name, _)| *name);
        Some(names.map(|name| (name.to_owned(), self.result(&program, name))).collect())
    }

    /// What one function computes, or how its process ended.
    fn result(&self, program: &Path, name: &str) -> String {
        let printed = self.directory.path().join("printed");
        let file = std::fs::File::create(&printed).expect("a file");
        let mut child =
            Command::new(program).arg(name).stdout(file).stderr(Stdio::null()).spawn().expect("the program");
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("waited") {
                break status.to_string();
            }
            if start.elapsed() > Duration::from_secs(5) {
                drop(child.kill());
                drop(child.wait());
                break "endless".to_owned();
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let text = String::from_utf8_lossy(&std::fs::read(printed).expect("read")).into_owned();
        format!("{status} {text}")
    }

    /// Every token that some function of the subject reaches, by file.
    fn reached(&self) -> BTreeMap<PathBuf, Vec<usize>> {
        let invocation = Invocation::parse(self.arguments(), self.directory.path());
        let world = World::load(self.directory.path(), None, &invocation).expect("loaded");
        let mut analysis = Analysis::new(world);
        let mut found: BTreeMap<PathBuf, BTreeSet<usize>> = BTreeMap::new();
        for (name, _) in self.subject.functions {
            let named = |node: &usize| {
                let node = &analysis.world.nodes[*node];
                analysis.world.names.text(node.name) == *name && node.kind == ItemKind::Function
            };
            let root = (0..analysis.world.nodes.len()).find(named).expect("the driver has it");
            for node in analysis.closure(root).nodes() {
                let node = &analysis.world.nodes[node];
                let path = &analysis.world.files[node.file].path;
                if !path.ends_with("fleche_driver.rs") {
                    found.entry(path.clone()).or_default().extend(node.range.clone());
                }
            }
        }
        found.into_iter().map(|(path, tokens)| (path, tokens.into_iter().collect())).collect()
    }

    fn keys(&self) -> Keys {
        let invocation = Invocation::parse(self.arguments(), self.directory.path());
        let mut session = Session::new(Some(self.directory.path()), None, invocation);
        let driver = self.directory.path().join("src/fleche_driver.rs");
        let text = std::fs::read_to_string(&driver).expect("the driver");
        let mut keys = BTreeMap::new();
        for (name, _) in self.subject.functions {
            let line =
                text.lines().position(|line| line.starts_with(&format!("pub fn {name}("))).expect("a line")
                    + 1;
            let line = u32::try_from(line).expect("a small file");
            let function = Function { file: Some(&driver), line, name, tokens: "", generic: false };
            let reached = session.reachable(function);
            assert_eq!(reached.report.level, "reachable", "{} {name}", self.subject.name);
            keys.insert((*name).to_owned(), (reached.digest, reached.report.share));
        }
        keys
    }

    fn sources(&self) -> Vec<PathBuf> {
        let all = fleche_code::sources::files_below(&self.directory.path().join("src"), &|path| {
            path.extension().is_some_and(|extension| extension == "rs")
        });
        all.into_iter().filter(|path| !path.ends_with("fleche_driver.rs")).collect()
    }
}

/// Another text for a token, if there is one that may compile.
fn mutated(tokens: &Tokens, at: usize, random: &mut Random) -> Option<String> {
    let text = tokens.text(at);
    let other = match (tokens.kind(at)?, text) {
        (Kind::Number, _) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            let number: u64 = digits.parse().ok()?;
            format!("{}{}", number.wrapping_add(1), &text[digits.len()..])
        }
        (Kind::Number, _) if text.starts_with('\'') && text.len() == 3 => "'q'".to_owned(),
        (Kind::Text, _) if text.len() > 2 && text.starts_with('"') => format!("\"q{}", &text[1..]),
        (Kind::Ident, "true") => "false".to_owned(),
        (Kind::Ident, "false") => "true".to_owned(),
        (Kind::Ident, "min") => "max".to_owned(),
        (Kind::Ident, "max") => "min".to_owned(),
        (Kind::Ident, "Some") => "None.or".to_owned(),
        (Kind::Ident, _) if !text.starts_with(char::is_uppercase) => {
            // Another name of the file.
            let other = random.below(tokens.len());
            let name = tokens.ident(other)?;
            (name != text && !name.starts_with(char::is_uppercase)).then(|| name.to_owned())?
        }
        (Kind::Punct, "+" | "*") => "-".to_owned(),
        (Kind::Punct, "-") => "+".to_owned(),
        (Kind::Punct, "<") => "<=".to_owned(),
        (Kind::Punct, ">") => ">=".to_owned(),
        (Kind::Punct, "<=") => "<".to_owned(),
        (Kind::Punct, ">=") => ">".to_owned(),
        (Kind::Punct, "==") => "!=".to_owned(),
        (Kind::Punct, "!=") => "==".to_owned(),
        (Kind::Punct, "&&") => "||".to_owned(),
        (Kind::Punct, "||") => "&&".to_owned(),
        (Kind::Punct, "+=") => "-=".to_owned(),
        (Kind::Punct, "..") => "..=".to_owned(),
        _ => return None,
    };
    Some(other)
}

/// A mutation that compiles.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mutation {
    /// The file, below `src`.
    file: String,
    /// The index of the token.
    at: usize,
    /// What stands there instead.
    other: String,
}

/// Mutations that are known from before: a line for each, with the crate and the functions whose results it changes.
struct Known {
    file: Option<PathBuf>,
    lines: Vec<String>,
}

impl Known {
    fn open() -> Self {
        let file = std::env::var_os("FLECHE_MUTANTS").map(PathBuf::from);
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        Self { file, lines: text.lines().map(str::to_owned).collect() }
    }

    /// Those of a crate, each with the names of the functions that it changes.
    fn of(&self, name: &str) -> Vec<(Mutation, BTreeSet<String>)> {
        let read = |line: &String| {
            let mut parts = line.split('\t');
            let mut next = || parts.next().unwrap_or_default().to_owned();
            let (of, file, at, other, changed) = (next(), next(), next(), next(), next());
            let changed = changed.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            (of == name).then(|| (Mutation { file, at: at.parse().expect("a number"), other }, changed))
        };
        self.lines.iter().filter_map(read).collect()
    }

    fn add(&mut self, name: &str, mutation: &Mutation, changed: &BTreeSet<String>) {
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        let Mutation { file, at, other } = mutation;
        self.lines.push(format!("{name}\t{file}\t{at}\t{other}\t{}", changed.join(" ")));
        if let Some(file) = &self.file {
            std::fs::write(file, self.lines.join("\n")).expect("written");
        }
    }
}

/// What was seen so far.
#[derive(Default)]
struct Tally {
    tried: usize,
    compiled: usize,
    mutants: usize,
    results: usize,
    needless: usize,
    stale: Vec<String>,
}

impl Tally {
    /// Compares the keys of a mutated crate with those of the original, given the functions whose results differ.
    fn judge(
        &mut self,
        subject: &Subject,
        about: &str,
        before: &Keys,
        after: &Keys,
        changed: &BTreeSet<String>,
    ) {
        self.compiled += 1;
        self.mutants += usize::from(!changed.is_empty());
        self.results += changed.len();
        for (name, key) in before {
            let same_key = after[name].0 == key.0;
            if changed.contains(name) && same_key {
                self.stale.push(format!("{} {name}: {about}", subject.name));
            }
            self.needless += usize::from(!changed.contains(name) && !same_key);
        }
    }
}

type Keys = BTreeMap<String, (CodeDigest, u32)>;

impl Crate<'_> {
    /// Does something while the crate is mutated.
    fn mutated<T>(&self, mutation: &Mutation, f: impl FnOnce(&str) -> T) -> T {
        let path = self.directory.path().join("src").join(&mutation.file);
        let text = std::fs::read_to_string(&path).expect("a source");
        let tokens = Tokens::lex(text.clone());
        let token = tokens.get(mutation.at).expect("such a token");
        let (start, end) = (token.start as usize, token.end as usize);
        std::fs::write(&path, format!("{}{}{}", &text[..start], mutation.other, &text[end..]))
            .expect("written");
        let about =
            format!("{}:{} `{}` → `{}`", mutation.file, token.line, tokens.text(mutation.at), mutation.other);
        let result = f(&about);
        std::fs::write(&path, &text).expect("written");
        result
    }

    /// A mutation that may compile, of a token that is reached more often than not.
    fn choose(&self, places: &[(PathBuf, usize)], random: &mut Random) -> Option<Mutation> {
        let near = random.below(5) != 0;
        let sources = self.sources();
        let (path, place) = match places.get(random.below(places.len())) {
            Some((path, at)) if near => (path, Some(*at)),
            _ => (&sources[random.below(sources.len())], None),
        };
        let tokens = Tokens::lex(std::fs::read_to_string(path).expect("a source"));
        // What only tests have changes nothing that is looked at.
        let tests =
            (0..tokens.len()).find(|at| tokens.is(*at, "mod") && tokens.text(at + 1).starts_with("test"));
        let at = place.unwrap_or_else(|| random.below(tests.unwrap_or(tokens.len())));
        // Another name compiles too rarely to be tried often where behaviour is to change.
        if near && tokens.ident(at).is_some() && random.below(8) != 0 {
            return None;
        }
        let other = mutated(&tokens, at, random)?;
        let file = path.strip_prefix(self.directory.path().join("src")).expect("below it");
        Some(Mutation { file: file.to_string_lossy().into_owned(), at, other })
    }
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_change_of_behaviour_keeps_a_key() {
    let wanted = number("FLECHE_MUTATIONS", 1);
    let seed = number("FLECHE_SEED", 0);
    let mut known = Known::open();
    let mut tally = Tally::default();
    for subject in SUBJECTS {
        let original = Crate::new(subject);
        let keys = original.keys();
        let mut seen = BTreeSet::new();
        for (mutation, changed) in known.of(subject.name) {
            original.mutated(&mutation, |about| {
                tally.judge(subject, about, &keys, &original.keys(), &changed);
            });
            seen.insert(mutation);
        }
        let mut here = 0;
        if wanted > 0 {
            let results = original.results().unwrap_or_else(|| panic!("{} compiles", subject.name));
            assert_eq!(results.len(), subject.functions.len(), "{results:?}");
            for (name, result) in &results {
                assert!(result.contains("Some("), "{} {name}: {result}", subject.name);
            }
            let mut random =
                Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * seed + 1) ^ subject.name.len() as u64);
            let reached = original.reached();
            let places: Vec<(PathBuf, usize)> = reached
                .iter()
                .flat_map(|(path, tokens)| tokens.iter().map(move |at| (path.clone(), *at)))
                .collect();
            for _ in 0..wanted * 40 + 400 {
                if here == wanted {
                    break;
                }
                let Some(mutation) = original.choose(&places, &mut random) else { continue };
                if !seen.insert(mutation.clone()) {
                    continue;
                }
                tally.tried += 1;
                original.mutated(&mutation, |about| {
                    let Some(after) = original.results() else { return };
                    here += 1;
                    let names = results.keys().filter(|name| results.get(*name) != after.get(*name));
                    let changed: BTreeSet<String> = names.cloned().collect();
                    tally.judge(subject, about, &keys, &original.keys(), &changed);
                    known.add(subject.name, &mutation, &changed);
                });
            }
            assert!(here > 0, "{}: no mutation compiles", subject.name);
        }
        let shares: Vec<u32> = keys.values().map(|(_, share)| share / 10).collect();
        println!("{}: {here} more mutations compile; shares in percent {shares:?}", subject.name);
        let Tally { tried, compiled, mutants, results, stale, .. } = &tally;
        println!(
            "so far {tried} tried, {compiled} compile, {mutants} change {results} results, {} stale",
            stale.len()
        );
    }
    let Tally { tried, compiled, mutants, results, needless, stale } = tally;
    println!(
        "{tried} mutations tried, {compiled} compile, {mutants} of them change {results} results; {needless} keys moved without that"
    );
    assert!(results > 0, "some mutation changes a result");
    assert!(stale.is_empty(), "keys that did not move:\n{}", stale.join("\n"));
}
