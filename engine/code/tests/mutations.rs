//! Mutations of real crates: a change of one token that changes what a function computes must change its key.
//!
//! The crates are those that cargo has unpacked for this workspace. What a function computes is found out by compiling
//! and running the mutated crate, each function in a process of its own, since a mutation of unsafe code may do anything.
//! Four of five mutations are of tokens that some function reaches, the fifth is anywhere.
//!
//! `FLECHE_MUTATIONS` is the number of mutations for each crate that compile; `FLECHE_SEED` chooses others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
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

/// A crate, how it is compiled, and functions whose results tell what it does.
struct Subject {
    name: &'static str,
    edition: &'static str,
    arguments: &'static [&'static str],
    imports: &'static str,
    functions: &'static [(&'static str, &'static str)],
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "strsim",
        edition: "2015",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            ("hamming_of", r#"format!("{:?} {:?}", hamming("kathrin", "karolin"), hamming("a", "ab"))"#),
            ("jaro_of", r#"format!("{:?} {:?}", jaro("dixon", "dicksonx"), jaro("", "x"))"#),
            (
                "winkler_of",
                r#"format!("{:?} {:?}", jaro_winkler("martha", "marhta"), jaro_winkler("cheeseburger", "cheese fries"))"#,
            ),
            (
                "levenshtein_of",
                r#"format!("{:?} {:?}", levenshtein("kitten", "sitting"), normalized_levenshtein("kitten", "sitten"))"#,
            ),
            ("osa_of", r#"format!("{:?}", osa_distance("ab", "bca"))"#),
            (
                "damerau_of",
                r#"format!("{:?} {:?}", damerau_levenshtein("ab", "bca"), normalized_damerau_levenshtein("levenshtein", "löwenbräu"))"#,
            ),
            ("dice_of", r#"format!("{:?}", sorensen_dice("french", "quebec fr"))"#),
        ],
    },
    Subject {
        name: "shlex",
        edition: "2018",
        arguments: &["--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "split_of",
                r#"format!("{:?}", [split("a 'b c' \"d\\\"e\" f\\ g # h"), split("'"), split("x\\\ny")])"#,
            ),
            (
                "quote_of",
                r#"format!("{:?}", [try_quote("a b"), try_quote("it's"), try_quote("plain"), try_quote(""), try_quote("x\0y"), try_quote("a^b")])"#,
            ),
            ("join_of", r#"format!("{:?}", try_join(["a", "b c", "$d"]))"#),
            (
                "lines_of",
                r#"{ let mut s = Shlex::new("a\n#c\nb"); format!("{:?} {} {}", s.by_ref().collect::<Vec<_>>(), s.line_no, s.had_error) }"#,
            ),
        ],
    },
    Subject {
        name: "heck",
        edition: "2021",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            ("snake_of", r#""XMLHttpRequest_of fooBar99 éTÉ".to_snake_case()"#),
            ("kebab_of", r#""XMLHttpRequest_of fooBar99".to_kebab_case()"#),
            ("camel_of", r#""xml http_request-of ABCDef".to_lower_camel_case()"#),
            ("upper_of", r#""xml http_request-of ABCDef".to_upper_camel_case()"#),
            (
                "shouty_of",
                r#"format!("{} {}", "aBc dEf".to_shouty_snake_case(), "aBc dEf".to_shouty_kebab_case())"#,
            ),
            ("title_of", r#"format!("{} {}", "aBc dEfΣ".to_title_case(), AsTrainCase("aBc dEfΣ"))"#),
        ],
    },
    Subject {
        name: "fixedbitset",
        edition: "2021",
        arguments: &["--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "ones_of",
                r#"{ let mut b = FixedBitSet::with_capacity(200); b.insert_range(3..140); b.toggle(9); b.set(7, false); format!("{:?} {}", b.ones().collect::<Vec<_>>(), b.count_ones(..)) }"#,
            ),
            (
                "combined_of",
                r#"{ let a: FixedBitSet = [1, 5, 64, 130].into_iter().collect(); let b: FixedBitSet = [5, 64, 65].into_iter().collect(); format!("{:?} {:?} {:?}", (&a & &b).ones().collect::<Vec<_>>(), (&a | &b).ones().collect::<Vec<_>>(), a.difference(&b).collect::<Vec<_>>()) }"#,
            ),
            (
                "bounds_of",
                r#"{ let a: FixedBitSet = [17, 99].into_iter().collect(); format!("{:?} {:?} {} {a:b}", a.minimum(), a.maximum(), a.contains(99)) }"#,
            ),
            (
                "subset_of",
                r#"{ let a: FixedBitSet = [1, 5].into_iter().collect(); let b: FixedBitSet = [1, 5, 70].into_iter().collect(); format!("{} {} {}", a.is_subset(&b), b.is_superset(&a), a.is_disjoint(&b)) }"#,
            ),
        ],
    },
    Subject {
        name: "itoa",
        edition: "2021",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            (
                "small_of",
                r#"[0_i32, 7, 42, -99, 100, 1234, -65535, i32::MIN, i32::MAX].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#,
            ),
            (
                "large_of",
                r#"[0_u64, 99_999_999, 100_000_000, 12_345_678_901_234, u64::MAX].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#,
            ),
            (
                "huge_of",
                r#"[1_u128, u128::from(u64::MAX) + 1, 10_u128.pow(33) + 17, u128::MAX].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#,
            ),
            ("byte_of", r#"[0_u8, 9, 10, 200, 255].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#),
        ],
    },
    Subject {
        name: "glob",
        edition: "2021",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            (
                "matches_of",
                r#"format!("{:?}", ["a?c", "*.rs", "[a-cx]*[!0-9]", "**/b", "a/**/c", "[!a]b"].map(|p| ["abc", "x.rs", "b7", "bz", "a/b", "a/x/y/c", "zb"].map(|t| Pattern::new(p).unwrap().matches(t))))"#,
            ),
            (
                "options_of",
                r#"{ let o = MatchOptions { case_sensitive: false, require_literal_separator: true, require_literal_leading_dot: true }; format!("{:?}", ["A*", "*/[A-C]", "*", "?x"].map(|p| ["abc", "q/b", ".dot", "a/b", ".x"].map(|t| Pattern::new(p).unwrap().matches_with(t, o)))) }"#,
            ),
            (
                "errors_of",
                r#"format!("{:?}", ["a***", "[", "a**b", "[!]", "x/**y"].map(|p| Pattern::new(p).map_err(|e| (e.pos, e.msg))))"#,
            ),
            (
                "escape_of",
                r#"format!("{} {}", Pattern::escape("_[_]_?_*_!_"), Pattern::new("a[!b]").unwrap())"#,
            ),
        ],
    },
    Subject {
        name: "similar",
        edition: "2024",
        arguments: &["--cfg", "feature=\"text\"", "--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "myers_of",
                r#"format!("{:?}", capture_diff_slices(Algorithm::Myers, &[1, 2, 3, 4, 9], &[1, 3, 5, 4, 9, 2]))"#,
            ),
            (
                "patience_of",
                r#"format!("{:?}", capture_diff_slices(Algorithm::Patience, &[1, 2, 3, 4, 9, 7], &[1, 3, 5, 4, 9, 2, 7]))"#,
            ),
            (
                "lcs_of",
                r#"format!("{:?}", capture_diff_slices(Algorithm::Lcs, &[1, 2, 3, 4, 9], &[1, 3, 5, 4, 9, 2]))"#,
            ),
            (
                "unified_of",
                r#"TextDiff::from_lines("a\nb\nc\nd\n", "a\nB\nc\ne\n").unified_diff().context_radius(1).header("x", "y").to_string()"#,
            ),
            ("ratio_of", r#"format!("{:?}", TextDiff::from_words("a b c", "a d c e").ratio())"#),
        ],
    },
];

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

/// Where cargo has a crate's sources.
fn directory_of(name: &str) -> PathBuf {
    // What other systems need may never have been downloaded.
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let about = Command::new(rustc).arg("-vV").output().expect("rustc");
    let about = String::from_utf8_lossy(&about.stdout).into_owned();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", host])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo metadata");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found =
        text.split("\"manifest_path\":\"").filter_map(|part| part.split('"').next()).map(PathBuf::from);
    found
        .filter_map(|path| path.parent().map(Path::to_path_buf))
        .find(|directory| {
            let last = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            last.strip_prefix(name).is_some_and(|rest| {
                rest.starts_with('-') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
            })
        })
        .unwrap_or_else(|| panic!("{name} is among this workspace's dependencies"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            drop(std::fs::copy(entry.path(), target));
        }
    }
}

/// A copy of a crate with the functions of its subject beside it.
struct Crate<'a> {
    subject: &'a Subject,
    directory: tempfile::TempDir,
}

impl<'a> Crate<'a> {
    fn new(subject: &'a Subject) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let from = directory_of(subject.name);
        copy(&from.join("src"), &directory.path().join("src"));
        // Documentation that the sources include.
        for file in
            std::fs::read_dir(&from).expect("a directory").flatten().filter(|file| file.path().is_file())
        {
            drop(std::fs::copy(file.path(), directory.path().join(file.file_name())));
        }
        let manifest = format!(
            "[package]\nname = \"{}\"\nversion = \"0.0.0\"\nedition = \"{}\"\n",
            subject.name, subject.edition
        );
        std::fs::write(directory.path().join("Cargo.toml"), manifest).expect("written");
        let mut driver = format!("{}\n", subject.imports);
        let mut main = String::from(
            "pub fn run() { ::std::panic::set_hook(::std::boxed::Box::new(|_| {})); let wanted = ::std::env::args().nth(1);\n",
        );
        for (name, body) in subject.functions {
            let _ = writeln!(driver, "pub fn {name}() -> ::std::string::String {{ {body} }}");
            let _ = writeln!(
                main,
                "if wanted.as_deref() == Some(\"{name}\") {{ ::std::println!(\"{{:?}}\", ::std::panic::catch_unwind(|| {name}()).ok()); }}"
            );
        }
        std::fs::write(directory.path().join("src/fleche_driver.rs"), format!("{driver}{main}}}\n"))
            .expect("written");
        let library = directory.path().join("src/lib.rs");
        let mut text = std::fs::read_to_string(&library).expect("a library").replace("#![no_std]", "");
        text.push_str("\n#[allow(unused_imports, warnings)] pub mod fleche_driver;\npub fn main() { fleche_driver::run() }\n");
        std::fs::write(library, text).expect("written");
        Self { subject, directory }
    }

    fn arguments(&self) -> Vec<String> {
        let mut all = vec!["src/lib.rs".to_owned(), format!("--edition={}", self.subject.edition)];
        all.extend(self.subject.arguments.iter().map(|argument| (*argument).to_owned()));
        all
    }

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
            for node in analysis.closure(root).nodes {
                let node = &analysis.world.nodes[node];
                let path = &analysis.world.files[node.file].path;
                if !path.ends_with("fleche_driver.rs") {
                    found.entry(path.clone()).or_default().extend(node.range.clone());
                }
            }
        }
        found.into_iter().map(|(path, tokens)| (path, tokens.into_iter().collect())).collect()
    }

    fn keys(&self) -> BTreeMap<String, (CodeDigest, u32)> {
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

#[test]
fn no_change_of_behaviour_keeps_a_key() {
    let wanted: usize =
        std::env::var("FLECHE_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let seed: u64 = std::env::var("FLECHE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (mut tried, mut compiled, mut behaved, mut stale, mut needless) = (0, 0, 0, Vec::new(), 0);
    let mut mutants = 0;
    for subject in SUBJECTS {
        let original = Crate::new(subject);
        let results = original.results().unwrap_or_else(|| panic!("{} compiles", subject.name));
        assert_eq!(results.len(), subject.functions.len(), "{results:?}");
        let keys = original.keys();
        let sources = original.sources();
        let mut random =
            Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * seed + 1) ^ subject.name.len() as u64);
        let reached = original.reached();
        let places: Vec<(&PathBuf, usize)> =
            reached.iter().flat_map(|(path, tokens)| tokens.iter().map(move |at| (path, *at))).collect();
        let mut here = 0;
        let mut seen = BTreeSet::new();
        for _ in 0..wanted * 40 {
            if here == wanted {
                break;
            }
            let near = random.below(5) != 0;
            let (path, place) = match places.get(random.below(places.len())) {
                Some((path, at)) if near => (*path, Some(*at)),
                _ => (&sources[random.below(sources.len())], None),
            };
            let text = std::fs::read_to_string(path).expect("a source");
            let tokens = Tokens::lex(text.clone());
            // What only tests have changes nothing that is looked at.
            let tests =
                (0..tokens.len()).find(|at| tokens.is(*at, "mod") && tokens.text(at + 1).starts_with("test"));
            let at = place.unwrap_or_else(|| random.below(tests.unwrap_or(tokens.len())));
            // Another name compiles too rarely to be tried often where behaviour is to change.
            if near && tokens.ident(at).is_some() && random.below(8) != 0 {
                continue;
            }
            let (Some(token), Some(other)) = (tokens.get(at), mutated(&tokens, at, &mut random)) else {
                continue;
            };
            if !seen.insert((path, at, other.clone())) {
                continue;
            }
            let (start, end) = (token.start as usize, token.end as usize);
            std::fs::write(path, format!("{}{other}{}", &text[..start], &text[end..])).expect("written");
            tried += 1;
            let after = original.results();
            if let Some(after) = after {
                compiled += 1;
                here += 1;
                let new_keys = original.keys();
                mutants += usize::from(after != results);
                for (name, key) in &keys {
                    let same_result = results.get(name) == after.get(name);
                    let same_key = new_keys[name].0 == key.0;
                    behaved += usize::from(!same_result);
                    if !same_result && same_key {
                        let (file, from) = (path.display(), tokens.text(at));
                        stale.push(format!(
                            "{} {name}: {file}:{} `{from}` → `{other}`",
                            subject.name, token.line
                        ));
                    }
                    needless += usize::from(same_result && !same_key);
                }
            }
            std::fs::write(path, &text).expect("written");
        }
        assert!(here > 0, "{}: no mutation compiles", subject.name);
        let shares: Vec<u32> = keys.values().map(|(_, share)| share / 10).collect();
        println!("{}: {here} mutations compile; shares in percent {shares:?}", subject.name);
        println!(
            "so far {tried} tried, {compiled} compile, {mutants} change {behaved} results, {} stale",
            stale.len()
        );
    }
    println!(
        "{tried} mutations tried, {compiled} compile, {mutants} of them change {behaved} results; {needless} keys moved without that"
    );
    assert!(behaved > 0, "some mutation changes a result");
    assert!(stale.is_empty(), "keys that did not move:\n{}", stale.join("\n"));
}
