//! A small package made of text, the key of its function `f`, and edits of it.

#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::BTreeMap;
use std::path::Path;

use fleche_code::compiler::Invocation;
use fleche_code::session::{Function, Reached, Session};

/// What an edit does to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Moves,
    Stays,
}

/// A package as text: each file begins with a line `//- path`.
pub(crate) fn files(text: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for part in text.split("//- ").skip(1) {
        let (path, body) = part.split_once('\n').expect("a path line");
        files.insert(path.trim().to_owned(), body.to_owned());
    }
    files.entry("Cargo.toml".to_owned()).or_insert_with(|| {
        "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n".to_owned()
    });
    files
}

pub(crate) fn write(directory: &Path, files: &BTreeMap<String, String>) {
    for (path, text) in files {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }
}

/// What the compiler is told.
#[derive(Clone, Default)]
pub(crate) struct Build {
    pub(crate) root: Option<String>,
    pub(crate) package: Option<String>,
    pub(crate) arguments: Vec<String>,
}

impl Build {
    /// A library that is built with these arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self { arguments: arguments.iter().map(|text| (*text).to_owned()).collect(), ..Self::default() }
    }

    fn root(&self) -> &str {
        self.root.as_deref().unwrap_or("src/lib.rs")
    }

    pub(crate) fn session(&self, directory: &Path) -> Session {
        let package = directory.join(self.package.as_deref().unwrap_or(""));
        let arguments = [self.root().to_owned()].into_iter().chain(self.arguments.iter().cloned());
        let invocation = Invocation::parse(arguments, &package);
        Session::new(Some(&package), Some(&directory.join("out")), invocation)
    }
}

/// The function `f`, which stands in the first line of the crate's root, at a level.
pub(crate) fn at_level(directory: &Path, build: &Build, level: &str, tokens: &str) -> Reached {
    let file = directory.join(build.package.as_deref().unwrap_or("")).join(build.root());
    let function = Function { file: Some(&file), line: 1, name: "f", tokens, generic: false };
    let mut session = build.session(directory);
    match level {
        "nothing" => session.nothing(),
        "body" => session.body(function),
        "module" => session.module(function),
        "crate" => session.whole(function),
        _ => session.reachable(function),
    }
}

/// The function `f` of the crate, at the level "reachable".
pub(crate) fn reach(directory: &Path, build: &Build) -> Reached {
    let mut session = build.session(directory);
    let found = session
        .functions()
        .into_iter()
        .find(|found| found.name == "f")
        .unwrap_or_else(|| panic!("no cached function `f` in {}", build.root()));
    let (file, line) = (Some(found.file.as_path()), found.line);
    session.reachable(Function { file, line, name: "f", tokens: "fn f", generic: false })
}

/// Checks what edits of a package do to the key of `f`. An edit replaces one text by another, in whichever file has it.
pub(crate) fn check(about: &str, text: &str, edits: &[(&str, &str, &str, Key)]) -> usize {
    check_build(about, text, &Build::default(), edits)
}

pub(crate) fn check_build(
    about: &str,
    text: &str,
    build: &Build,
    edits: &[(&str, &str, &str, Key)],
) -> usize {
    check_key(about, text, edits, |directory| {
        let reached = reach(directory, build);
        assert_eq!(reached.report.level, "reachable", "{about}: fell back");
        reached
    })
}

/// The same of any key.
pub(crate) fn check_key(
    about: &str,
    text: &str,
    edits: &[(&str, &str, &str, Key)],
    key: impl Fn(&Path) -> Reached,
) -> usize {
    let base = files(text);
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), &base);
    let before = key(dir.path());
    let report = &before.report;
    for (what, from, to, expected) in edits {
        let mut edited = base.clone();
        let holders: Vec<&String> =
            base.iter().filter(|(_, text)| text.contains(from)).map(|(path, _)| path).collect();
        assert_eq!(holders.len(), 1, "{about}, {what}: `{from}` is in {holders:?}");
        let path = holders[0].clone();
        let times = base[&path].matches(from).count();
        assert_eq!(times, 1, "{about}, {what}: `{from}` is there {times} times");
        edited.insert(path.clone(), base[&path].replacen(from, to, 1));
        write(dir.path(), &edited);
        let after = key(dir.path());
        write(dir.path(), &base);
        let moves = if before.digest == after.digest { Key::Stays } else { Key::Moves };
        assert_eq!(moves, *expected, "{about}, {what}; covered before:\n{report}");
    }
    edits.len()
}

const MANIFEST: &str = "//- Cargo.toml\n[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
    [dependencies]\nfar = \"1\"\none = \"1\"\ntwo = \"1\"\n";

/// Packages of one file, each with an edit that must move the key of `f`: what it is about, the text, what is replaced and by what.
pub(crate) fn check_moves(all: &[(&str, &str, &str, &str)]) {
    let mut stayed = Vec::new();
    for (about, text, from, to) in all {
        assert_eq!(text.matches(from).count(), 1, "{about}: `{from}`");
        let digest = |text: &str| {
            let dir = tempfile::tempdir().expect("a directory");
            write(dir.path(), &files(&format!("{MANIFEST}//- src/lib.rs\n{text}\n")));
            let reached = reach(dir.path(), &Build::default());
            assert_eq!(reached.report.level, "reachable", "{about}: fell back");
            reached.digest
        };
        if digest(text) == digest(&text.replacen(from, to, 1)) {
            stayed.push(*about);
        }
    }
    assert!(stayed.is_empty(), "keys that did not move: {stayed:#?}");
}
