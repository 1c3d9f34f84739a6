//! Relative paths: the working directory is an input, also under a watcher. One test, since a process has one.
#![cfg(target_os = "linux")]

mod common;

use std::env::set_current_dir;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use common::Project;
use fleche::{Watch, fleche};
use parking_lot::Mutex;

#[fleche]
fn text(path: &Path) -> String {
    fleche::fs::read_to_string(path).unwrap_or_else(|error| format!("{:?}", error.kind()))
}

#[fleche]
fn all() -> String {
    (0..20).map(|_| "").chain(["x", "y"]).map(|name| text(name.as_ref())).collect()
}

/// Goes elsewhere, reads there, and comes back.
#[fleche]
fn away(there: &Path, back: &Path) -> String {
    set_current_dir(there).unwrap();
    let text = fleche::fs::read_to_string("x").unwrap_or_default();
    set_current_dir(back).unwrap();
    text
}

/// Where another part of the program goes while the next call of `moved` runs.
static ELSEWHERE: Mutex<Option<PathBuf>> = Mutex::new(None);

#[fleche]
fn moved() -> String {
    let y = fleche::fs::read_to_string("y").unwrap_or_default();
    if let Some(there) = ELSEWHERE.lock().take() {
        set_current_dir(there).unwrap();
    }
    y + &fleche::fs::read_to_string("x").unwrap_or_default()
}

#[test]
fn a_relative_path_means_what_the_working_directory_makes_of_it() {
    let project = Project::quiet();
    let root = project.root().canonicalize().unwrap();
    let (one, two) = (root.join("one"), root.join("two"));
    for dir in [&one, &two] {
        fs::create_dir(dir).unwrap();
        for name in ["x", "y"] {
            fs::write(dir.join(name), format!("{name} in {}.", dir.file_name().unwrap().display())).unwrap();
        }
    }
    let in_one = "x in one.y in one.";
    let expect = |dir: &Path, all_there: &str| {
        set_current_dir(dir).unwrap();
        let nothing = "NotFound".repeat(20);
        assert_eq!(all(), format!("{nothing}{all_there}"));
    };
    let watcher = Watch::new([&root]).start(|_| ()).unwrap();
    for _ in 0..3 {
        expect(&one, in_one);
    }
    // Nothing below needs a look: of the nested calls none is reported.
    let before = project.cache.stats();
    expect(&one, in_one);
    assert_eq!((project.cache.stats() - before).hits, 1);
    expect(&two, "x in two.y in two.");
    expect(&one, in_one);
    fs::write(one.join("x"), "new.").unwrap();
    expect(&one, "new.y in one.");
    // What was seen in another directory for a while is not what holds here.
    assert_eq!(away(&two, &one), "x in two.");
    assert_eq!(text("x".as_ref()), "new.");
    fs::write(two.join("x"), "newer.").unwrap();
    assert_eq!(away(&two, &one), "newer.");
    expect(&one, "new.y in one.");
    // One call, two working directories: what it read is the result of neither, so it starts over.
    *ELSEWHERE.lock() = Some(two.clone());
    assert_eq!(moved(), "y in two.newer.");
    set_current_dir(&one).unwrap();
    assert_eq!(moved(), "y in one.new.");
    // Whoever asks first after a change of directory finds it, and so does who asks at the same time.
    for round in 0..400 {
        let (dir, expected) = if round % 2 == 0 { (&two, "newer.") } else { (&one, "new.") };
        set_current_dir(dir).unwrap();
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _scope = fleche::cache(&project.cache);
                    start.wait();
                    assert_eq!(text("x".as_ref()), expected);
                });
            }
        });
    }
    set_current_dir(&one).unwrap();
    // Nobody watches any more.
    expect(&one, "new.y in one.");
    drop(watcher);
    expect(&two, "newer.y in two.");
    expect(&one, "new.y in one.");
    // A directory that is gone is no directory that files could be missing in.
    let gone = root.join("gone");
    fs::create_dir(&gone).unwrap();
    set_current_dir(&gone).unwrap();
    fs::remove_dir(&gone).unwrap();
    let before = project.cache.stats();
    text("z".as_ref());
    assert_eq!((project.cache.stats() - before).uncached, 1);
    set_current_dir(&one).unwrap();
}
