//! Code digests in real builds: a generated workspace is compiled before and after edits, and prints its keys and results.
//!
//! Each case is a cached function whose edit changes what it returns; one build serves them all. The programs share a
//! cache, so that a key which stayed shows as a wrong answer too. `fleche-code` has the finer cases.

mod code;
mod scratch;

use std::collections::{BTreeMap, BTreeSet};

use code::{CASES, EDITS, KEPT, TWINS};
use scratch::Scratch;

/// The generated workspace.
struct Project(Scratch);

impl Project {
    fn new() -> Self {
        let scratch = Scratch::new();
        for (path, text) in code::files(&scratch::engine()) {
            scratch.write(&path, &text);
        }
        Self(scratch)
    }

    /// Replaces one text by another in a file, both ways around if asked again with them swapped.
    fn edit(&self, path: &str, from: &str, to: &str) {
        let old = std::fs::read_to_string(self.0.path(path)).expect("a file");
        assert_eq!(old.matches(from).count(), 1, "{path} has `{from}` once");
        self.0.write(path, &old.replacen(from, to, 1));
    }

    fn cargo(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        self.0.cargo(&[&arguments[..1], &["--quiet"], &arguments[1..]].concat(), environment)
    }

    /// Builds and runs the program over a cache.
    fn run_with(&self, cache: &std::path::Path, arguments: &[&str], environment: &[(&str, &str)]) -> Told {
        let cache = ["--", cache.to_str().expect("text")];
        let all = [&["run", "-p", "app", "--bin", "app"], arguments, &cache].concat();
        Told::read(&self.cargo(&all, environment))
    }
}

/// What a program says.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// The digests of the functions of each full name.
    keys: BTreeMap<String, BTreeSet<String>>,
    results: BTreeMap<String, String>,
}

impl Told {
    fn read(printed: &str) -> Self {
        let mut told = Self { keys: BTreeMap::new(), results: BTreeMap::new() };
        for line in printed.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["key", name, key] => {
                    told.keys.entry(name.to_owned()).or_default().insert(key.to_owned());
                }
                ["result", name, truth, cached] => {
                    assert_eq!(truth, cached, "the cache has a wrong answer for {name}");
                    told.results.insert(name.to_owned(), truth.to_owned());
                }
                _ => {}
            }
        }
        told
    }

    /// The functions whose keys differ.
    fn moved(&self, other: &Self) -> BTreeSet<&str> {
        assert_eq!(self.keys.keys().collect::<Vec<_>>(), other.keys.keys().collect::<Vec<_>>());
        let moved = self.keys.iter().filter(|(name, key)| other.keys[*name] != **key);
        moved.map(|(name, _)| name.as_str()).collect()
    }
}

#[test]
fn keys_move_with_what_is_returned_and_with_nothing_else() {
    let project = Project::new();
    let cache = tempfile::tempdir().expect("a directory");
    let cache = cache.path();
    for case in CASES {
        assert_eq!(case.code.matches(case.from).count(), 1, "{} has `{}` once", case.name, case.from);
    }
    let base = project.run_with(cache, &[], &[]);
    assert!(CASES.len() + EDITS.len() > 90, "{} {}", CASES.len(), EDITS.len());
    assert_eq!(base.results.len(), CASES.len() + EDITS.len() + TWINS.len());

    // Every case is edited where its function reaches; functions that reach none of it stay.
    let edits = || {
        let cases = CASES.iter().map(|case| (format!("app/src/{}.rs", case.name), case.from, case.to));
        cases.chain(EDITS.iter().map(|(_, _, path, from, to)| ((*path).to_owned(), *from, *to)))
    };
    for (path, from, to) in edits() {
        project.edit(&path, from, to);
    }
    let edited = project.run_with(cache, &[], &[]);
    let moved = edited.moved(&base);
    for case in CASES {
        let prefix = format!("app::{}::", case.name);
        assert!(moved.iter().any(|name| name.starts_with(&prefix)), "{} kept its key: {moved:?}", case.name);
        assert_ne!(
            edited.results[case.name], base.results[case.name],
            "{}: the edit is of no consequence",
            case.name
        );
    }
    for (name, ..) in EDITS {
        let full = match *name {
            "small" => "small::f".to_owned(),
            "derive_of_workspace" | "attribute_of_workspace" => format!("wide::{name}"),
            name => format!("app::special::{name}"),
        };
        assert!(moved.contains(full.as_str()), "{name} kept its key: {moved:?}");
        assert_ne!(edited.results[*name], base.results[*name], "{name}: the edit is of no consequence");
    }
    for name in KEPT {
        assert!(
            base.keys.contains_key(name) && !moved.contains(name),
            "{name} got another key without reason"
        );
    }

    // The old content has the old keys, in another checkout too; comments, layout and unrelated items count nowhere.
    let project = Project::new();
    for case in CASES {
        let path = format!("app/src/{}.rs", case.name);
        let old = std::fs::read_to_string(project.0.path(&path)).expect("a file");
        let new =
            format!("//! About.\n/* more */\n\n{old}\n/// Idle.\n#[allow(dead_code)]\nfn idle() {{}}\n");
        project.0.write(&path, &new);
    }
    project.edit("near/src/lib.rs", "x + 500", "x + 501");
    project.edit(
        "app/src/special.rs",
        "#[fleche] pub fn control",
        "\n// Words.\n#[fleche]\n/// Words.\npub fn control",
    );
    let idle = project.run_with(cache, &[], &[]);
    assert_eq!(idle.results, base.results);
    let mut expected: Vec<&str> = WHOLE.into();
    expected.sort_unstable();
    assert_eq!(idle.moved(&base).into_iter().collect::<Vec<_>>(), expected);

    what_only_the_macro_reads_is_tracked(&project, cache, &idle);
    the_build_itself_counts_where_code_asks_for_it(&project, cache, &idle);
    a_test_build_has_keys_of_its_own(&project, &idle);
    a_program_tells_what_its_keys_cover(&project);
}

/// Functions whose keys cover everything: of that level, and where a macro wrote them so that their place is unknown.
const WHOLE: [&str; 6] = [
    "app::whole_crate::f",
    "app::whole_module::f",
    "app::special::made_by_macro",
    "app::special::made_by_dependency",
    "app::special::twins::twin",
    "app::special::of_other_tokens::other",
];

fn what_only_the_macro_reads_is_tracked(project: &Project, cache: &std::path::Path, before: &Told) {
    project.edit("app/query.sql", "select 1", "select 2");
    // A check in between must not make the next build believe that nothing changed.
    project.cargo(&["check", "-p", "app"], &[]);
    let told = project.run_with(cache, &[], &[]);
    let moved: BTreeSet<&str> = told.moved(before).into_iter().filter(|name| !WHOLE.contains(name)).collect();
    assert_eq!(moved, ["app::special::included_text"].into());
    project.edit("app/query.sql", "select 2", "select 1");
    // The compiler's own lists name the others.
    let root = project.0.path("");
    let root = root.to_str().expect("text");
    let lists = std::fs::read_dir(project.0.target.join("debug/deps")).expect("a directory").flatten();
    let lists = lists.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "d"));
    let texts =
        lists.filter_map(|path| std::fs::read_to_string(path).ok()).filter(|text| text.contains(root));
    let text: String = texts.filter(|text| text.contains("/app/query.sql")).collect();
    for path in [
        "app/templates/page.html",
        "app/bytes.bin",
        "app/src/taken.in",
        "app/src/number.in",
        "app/Cargo.toml",
        "Cargo.lock",
        "app/build.rs",
        "app/src/lib.rs",
        "near/src/lib.rs",
        "near/Cargo.toml",
        "far/src/lib.rs",
    ] {
        assert!(
            text.contains(&format!("{root}/{path}")) || text.contains(&format!("{root}{path}")),
            "{path} is in no list:\n{text}"
        );
    }
}

fn the_build_itself_counts_where_code_asks_for_it(project: &Project, cache: &std::path::Path, before: &Told) {
    let arguments = ["--features", "fast,near-by/deep"];
    let told = project.run_with(cache, &arguments, &[("FLECHE_TEST_VARIABLE", "x")]);
    let moved = told.moved(before);
    for name in ["variable", "feature", "renamed_dependency", "reexport_of_dependency"] {
        assert!(moved.contains(format!("app::special::{name}").as_str()), "{name}: {moved:?}");
    }
    for name in ["app::special::control", "app::special::included_text", "app::case_calls::f", "small::f"] {
        assert!(!moved.contains(name), "{name}: {moved:?}");
    }
}

fn a_test_build_has_keys_of_its_own(project: &Project, before: &Told) {
    let told = Told::read(&project.cargo(&["test", "-p", "small", "--", "--nocapture"], &[]));
    assert_ne!(told.keys["small::f"], before.keys["small::f"]);
    assert_eq!((told.results["small"].as_str(), before.results["small"].as_str()), ("98", "93"));
    // What only the compiler knows counts by its value.
    // The compiler's arguments name overflow checks only where they differ from assertions.
    let with =
        ["debug-assertions", "overflow-checks"].map(|on| format!("profile.dev.package.small.{on}=false"));
    let arguments = ["test", "-p", "small", "--config", &with[0], "--config", &with[1], "--", "--nocapture"];
    let unchecked = Told::read(&project.cargo(&arguments, &[]));
    assert_ne!(unchecked.keys["small::f"], told.keys["small::f"]);
}

fn a_program_tells_what_its_keys_cover(project: &Project) {
    let printed = project.cargo(&["run", "-p", "app", "--bin", "app", "--", "code"], &[]);
    for line in [
        "src/case_calls.rs:6 app::case_calls::f",
        "app::case_calls::f → app::case_calls::helper → app::case_calls::LIMIT",
    ] {
        assert!(printed.lines().any(|printed| printed.trim() == line), "no `{line}` in:\n{printed}");
    }
}
