//! Code digests in real builds: a generated workspace is compiled before and after edits, and prints its keys.
//!
//! Each case is a module with a cached function `f`; one build serves them all. `fleche-code` has the finer cases.

mod code;
mod scratch;

use std::collections::BTreeMap;

use code::CASES;
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

    /// Builds and runs the program, which prints the code digest of each cached function.
    fn keys_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Keys {
        let printed = self.cargo(&[&["run", "-p", "app", "--bin", "app"], arguments].concat(), environment);
        Keys(
            printed
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(a, b)| (a.into(), b.into()))
                .collect(),
        )
    }

    fn keys(&self) -> Keys {
        self.keys_with(&[], &[])
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Keys(BTreeMap<String, String>);

impl Keys {
    /// The functions whose keys differ.
    fn moved(&self, other: &Self) -> Vec<&str> {
        assert_eq!(self.0.keys().collect::<Vec<_>>(), other.0.keys().collect::<Vec<_>>());
        self.0.iter().filter(|(name, key)| other.0[*name] != **key).map(|(name, _)| name.as_str()).collect()
    }
}

#[test]
fn keys_move_with_the_code_and_with_nothing_else() {
    let project = Project::new();
    let base = project.keys();
    assert!(base.0.len() > CASES.len(), "{base:?}");

    // Every case is edited where its function reaches; functions that reach none of it stay.
    for case in CASES {
        project.edit(&format!("app/src/{}.rs", case.name), case.from, case.to);
    }
    let edited = project.keys();
    let moved = edited.moved(&base);
    for case in CASES {
        assert!(
            moved.contains(&format!("app::{}::f", case.name).as_str()),
            "{} kept its key: {moved:?}",
            case.name
        );
    }
    for name in ["app::control::f", "app::files::query", "app::deps::near", "app::deps::from_build"] {
        assert!(!moved.contains(&name), "{name} got another key without reason");
    }

    // The old content has the old keys.
    for case in CASES {
        project.edit(&format!("app/src/{}.rs", case.name), case.to, case.from);
    }
    assert_eq!(project.keys(), base);

    // Comments, layout and unrelated items, in every file.
    for case in CASES {
        let path = format!("app/src/{}.rs", case.name);
        let old = std::fs::read_to_string(project.0.path(&path)).expect("a file");
        project.0.write(
            &path,
            &format!("//! About.\n/* more */\n\n{old}\n/// Idle.\n#[allow(dead_code)]\nfn idle() {{}}\n"),
        );
    }
    let idle = project.keys();
    let moved: Vec<_> =
        idle.moved(&base).into_iter().filter(|name| !name.starts_with("app::whole_")).collect();
    assert_eq!(moved, [""; 0]);
    // The levels that count whole files and crates do count the new item.
    assert_eq!(idle.moved(&base), ["app::whole_crate::f", "app::whole_module::f"]);
}

#[test]
fn what_only_the_macro_reads_is_tracked() {
    let project = Project::new();
    let base = project.keys();
    let only = |path: &str, from: &str, to: &str, expected: &[&str]| {
        project.edit(path, from, to);
        if path.strip_suffix(".sql").is_some() {
            // A check in between must not make the next build believe that nothing changed.
            project.cargo(&["check", "-p", "app"], &[]);
        }
        let keys = project.keys();
        let moved: Vec<_> =
            keys.moved(&base).into_iter().filter(|name| *name != "app::whole_crate::f").collect();
        assert_eq!(moved, expected, "{path}: {from}");
        assert!(keys.moved(&base).contains(&"app::whole_crate::f"), "{path} counts for the whole crate");
        project.edit(path, to, from);
    };
    only("app/query.sql", "select 1", "select 2", &["app::files::query"]);
    only("app/templates/page.html", "<p>", "<b>", &["app::files::page"]);
    only("near/src/lib.rs", "x + 1", "x + 11", &["app::deps::near"]);
    only("near/src/lib.rs", "x + 500", "x + 501", &[]);
    only("far/src/lib.rs", "x + 2", "x + 22", &["app::deps::far"]);
    only("app/build.rs", "fn made() -> u32 { 3 }", "fn made() -> u32 { 33 }", &["app::deps::from_build"]);
    assert_eq!(project.keys(), base);
}

#[test]
fn the_build_itself_counts_where_code_asks_for_it() {
    let project = Project::new();
    let base = project.keys();
    assert_eq!(
        project.keys_with(&[], &[("FLECHE_TEST_VARIABLE", "x")]).moved(&base),
        ["app::deps::variable"]
    );
    let fast = project.keys_with(&["--features", "fast"], &[]);
    assert_eq!(fast.moved(&base), ["app::deps::feature", "app::whole_crate::f", "app::whole_module::f"]);
    // A feature of a dependency is part of how that was built.
    let deep = project.keys_with(&["--features", "near-by/deep"], &[]);
    assert!(deep.moved(&base).contains(&"app::deps::near"), "{:?}", deep.moved(&base));
    assert!(!deep.moved(&base).contains(&"app::control::f"), "{:?}", deep.moved(&base));
}

#[test]
fn another_checkout_has_the_same_keys() {
    assert_eq!(Project::new().keys(), Project::new().keys());
}

#[test]
fn a_program_tells_what_its_keys_cover() {
    let project = Project::new();
    let printed = project.cargo(&["run", "-p", "app", "--bin", "app", "--", "code"], &[]);
    for line in [
        "src/case_calls.rs:3 app::case_calls::f",
        "app::case_calls::f → app::case_calls::helper → app::case_calls::LIMIT",
    ] {
        assert!(printed.lines().any(|printed| printed.trim() == line), "no `{line}` in:\n{printed}");
    }
}
