//! The short way to the one call that an edit concerns: what runs and what is answered is as on the long way.

mod common;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use common::Project;
use fleche::{Input, fleche};

#[fleche]
fn length(path: &Path) -> u64 {
    fleche::fs::read(path).map_or(0, |bytes| bytes.len() as u64)
}

#[fleche]
fn sum(paths: &[PathBuf]) -> u64 {
    paths.iter().map(|path| length(path)).sum()
}

#[fleche]
fn shown(paths: &[PathBuf]) -> String {
    format!("{} bytes", sum(paths))
}

/// What happened, without the arguments.
fn log(project: &Project) -> Vec<String> {
    let short = |event: String| {
        let (name, rest) = event.split_once('(').unwrap();
        format!("{name}{}", rest.rsplit_once(')').unwrap().1)
    };
    project.log().into_iter().map(short).collect()
}

/// A project of some files whose walks are all worth a flat form, and one has been made.
fn project() -> (Project, Vec<PathBuf>) {
    let project = Project::new();
    project.cache.set_least_cover(0);
    let paths: Vec<_> = (0..3).map(|n| project.write(&format!("f{n}"), "one")).collect();
    assert_eq!(shown(&paths), "9 bytes");
    assert_eq!(shown(&paths), "9 bytes");
    project.log();
    (project, paths)
}

#[test]
fn an_edit_that_changes_no_result_looks_at_one_call_and_those_above_it() {
    let (project, paths) = project();
    project.write("f2", "two");
    assert_eq!(shown(&paths), "9 bytes");
    assert_eq!(
        log(&project),
        ["length: ran, unchanged", "sum: cut off", "shown: hit"],
        "the other lengths are not looked at"
    );
    assert_eq!(shown(&paths), "9 bytes");
    assert_eq!(log(&project), ["shown: hit"]);
}

#[test]
fn an_edit_that_changes_a_result_runs_what_is_above_it() {
    let (project, paths) = project();
    for (content, result) in [("three", "11 bytes"), ("two", "9 bytes"), ("four", "10 bytes")] {
        project.write("f0", content);
        assert_eq!(shown(&paths), result);
    }
    project.write("f0", "x");
    project.write("f1", "y");
    assert_eq!(shown(&paths), "5 bytes");
    project.remove("f2");
    assert_eq!(shown(&paths), "2 bytes");
}

#[test]
fn a_call_asked_for_alone_is_not_taken_for_settled() {
    let (project, paths) = project();
    project.write("f1", "three");
    // Looks at the file, which marks its reader and leaves what is above to whoever asks.
    assert_eq!(length(&paths[1]), 5);
    assert_eq!(sum(&paths), 11);
    assert_eq!(shown(&paths), "11 bytes");
}

#[test]
fn a_call_that_is_no_longer_below_is_not_run() {
    static CHOICE: LazyLock<Input<bool>> = LazyLock::new(|| Input::new("covers choice", true).unwrap());
    static VALUE: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("covers value", 1).unwrap());
    #[fleche]
    fn value() -> u64 {
        *VALUE.get() / 10
    }
    #[fleche]
    fn chosen() -> u64 {
        if *CHOICE.get() { value() } else { 1 }
    }
    #[fleche]
    fn root() -> u64 {
        chosen() + 1
    }
    let project = Project::new();
    project.cache.set_least_cover(0);
    VALUE.set(10).unwrap();
    assert_eq!(root(), 2);
    // Cut off: the walk makes the flat form.
    VALUE.set(11).unwrap();
    assert_eq!(root(), 2);
    // The short way, and another trace of the same result.
    CHOICE.set(false).unwrap();
    assert_eq!(root(), 2);
    assert_eq!(
        log(&project).split_off(6),
        ["value: ran, unchanged", "chosen: cut off", "root: hit", "chosen: ran, unchanged", "root: cut off"]
    );
    VALUE.set(20).unwrap();
    assert_eq!(root(), 2);
    let log = project.log();
    assert!(!log.iter().any(|event| event.starts_with("value")), "{log:?}");
    CHOICE.set(true).unwrap();
    assert_eq!(root(), 3);
}

#[test]
fn an_input_that_appears_below_is_looked_at() {
    static READS: LazyLock<Input<bool>> = LazyLock::new(|| Input::new("covers reads", false).unwrap());
    #[fleche]
    fn leaf(path: &Path, n: u64) -> u64 {
        length(path) + n
    }
    #[fleche]
    fn reader(path: &Path) -> u64 {
        let read = || fleche::fs::read(path).map_or(0, |bytes| bytes.len() as u64);
        if *READS.get() { read() / 10 } else { 0 }
    }
    #[fleche]
    fn root(fixed: &Path, path: &Path) -> u64 {
        (0..9).map(|n| leaf(fixed, n)).sum::<u64>() + reader(path)
    }
    let project = Project::new();
    // Worth it are walks through the leaves; not those that an edit of the rest leads to.
    project.cache.set_least_cover(8);
    let (fixed, path) = (project.write("fixed", "one"), project.write("path", "two"));
    READS.set(false).unwrap();
    for _ in ["run", "walk"] {
        assert_eq!(root(&fixed, &path), 63);
    }
    READS.set(true).unwrap();
    assert_eq!(root(&fixed, &path), 63);
    project.write("path", "ten and ten more bytes");
    assert_eq!(root(&fixed, &path), 65);
}

#[test]
fn a_call_below_something_else_is_not_run() {
    static OWN: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("covers own", 1).unwrap());
    static OTHER: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("covers other", 1).unwrap());
    #[fleche]
    fn own() -> u64 {
        *OWN.get() / 10
    }
    #[fleche]
    fn root() -> u64 {
        own() + 1
    }
    #[fleche]
    fn other() -> u64 {
        *OTHER.get()
    }
    let project = Project::new();
    project.cache.set_least_cover(0);
    other();
    root();
    OWN.set(2).unwrap();
    root();
    log(&project);
    OTHER.set(2).unwrap();
    assert_eq!(root(), 1);
    assert_eq!(log(&project), ["root: hit"]);
}

#[test]
fn of_two_edits_the_traces_say_which_comes_first() {
    static FIRST: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("covers first", 0).unwrap());
    static SECOND: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("covers second", 0).unwrap());
    #[fleche]
    fn second() -> u64 {
        *SECOND.get() / 100
    }
    #[fleche]
    fn first() -> u64 {
        if (*FIRST.get()).is_multiple_of(2) { second() } else { 0 }
    }
    #[fleche]
    fn root() -> u64 {
        first() + 1
    }
    let project = Project::new();
    project.cache.set_least_cover(0);
    root();
    SECOND.set(1).unwrap();
    root();
    log(&project);
    SECOND.set(2).unwrap();
    FIRST.set(1).unwrap();
    assert_eq!(root(), 1);
    assert_eq!(
        log(&project),
        ["first: ran, unchanged", "root: cut off"],
        "nobody asks for the second any more"
    );
}

#[cfg(unix)]
#[test]
fn an_input_that_cannot_be_looked_at_counts_only_where_it_is_read() {
    #[fleche]
    fn lines(first: &Path, second: &Path) -> usize {
        let more = fleche::fs::read(first).is_ok_and(|bytes| bytes == b"more");
        if more { fleche::fs::read(second).map_or(0, |bytes| bytes.len()) } else { 3 }
    }
    #[fleche]
    fn root(first: &Path, second: &Path) -> usize {
        lines(first, second) + 1
    }
    let project = Project::new();
    project.cache.set_least_cover(0);
    let (first, second) = (project.write("a", "more"), project.write("b", "one"));
    assert_eq!(root(&first, &second), 4);
    assert_eq!(root(&first, &second), 4);
    project.log();
    project.write("a", "less");
    project.remove("b");
    let _socket = std::os::unix::net::UnixListener::bind(&second).unwrap();
    assert_eq!(root(&first, &second), 4);
    assert_eq!(project.log(), [r#"lines("a", "b"): ran, unchanged"#, r#"root("a", "b"): cut off"#]);
}

#[test]
fn a_call_that_fails_now_leaves_its_caller_to_decide() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    #[fleche]
    fn fragile(path: &Path) -> Result<u64, String> {
        let length = fleche::fs::read(path).map_or(0, |bytes| bytes.len() as u64);
        if FAILS.load(Ordering::SeqCst) { Err("fails".into()) } else { Ok(length) }
    }
    #[fleche]
    fn careful(path: &Path) -> u64 {
        fragile(path).unwrap_or(99)
    }
    #[fleche]
    fn root(path: &Path) -> u64 {
        careful(path) + 1
    }
    let project = Project::new();
    project.cache.set_least_cover(0);
    let path = project.write("f", "one");
    assert_eq!(root(&path), 4);
    assert_eq!(root(&path), 4);
    FAILS.store(true, Ordering::SeqCst);
    project.write("f", "three");
    assert_eq!(root(&path), 100);
    FAILS.store(false, Ordering::SeqCst);
    assert_eq!(root(&path), 6);
}
