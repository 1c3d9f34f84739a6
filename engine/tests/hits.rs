//! When a call is answered from a record and when it runs.

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::Project;
use fleche::{fleche, value};

#[value]
#[derive(Debug, PartialEq, Clone)]
struct Counts {
    words: u64,
    lines: u64,
}

#[fleche(version = 1)]
fn count(path: &Path) -> io::Result<Counts> {
    let text = fleche::fs::read_to_string(path)?;
    Ok(Counts { words: text.split_whitespace().count() as u64, lines: text.lines().count() as u64 })
}

#[fleche]
fn total(paths: &[PathBuf]) -> io::Result<u64> {
    let mut words = 0;
    for path in paths {
        words += count(path)?.words;
    }
    Ok(words)
}

#[test]
fn the_second_call_is_a_hit_and_an_edit_runs_it_again() {
    let project = Project::new();
    let book = project.write("book", "one two\nthree");
    assert_eq!(count(&book).unwrap(), Counts { words: 3, lines: 2 });
    assert_eq!(count(&book).unwrap(), Counts { words: 3, lines: 2 });
    assert_eq!(project.log(), [r#"count("book"): ran"#, r#"count("book"): hit"#]);
    project.write("book", "one");
    assert_eq!(count(&book).unwrap().words, 1);
    assert_eq!(project.log(), [r#"count("book"): ran"#]);
}

#[test]
fn a_new_process_hits_and_a_revert_hits() {
    let mut project = Project::new();
    let book = project.write("book", "one");
    count(&book).unwrap();
    project.write("book", "one two");
    count(&book).unwrap();
    project.restart();
    project.write("book", "one");
    project.log();
    assert_eq!(count(&book).unwrap().words, 1);
    project.write("book", "one two");
    assert_eq!(count(&book).unwrap().words, 2);
    assert_eq!(project.log(), [r#"count("book"): hit"#, r#"count("book"): hit"#]);
}

#[test]
fn functions_with_equal_arguments_are_told_apart() {
    #[fleche]
    fn width<T>(n: u64) -> u64 {
        n + size_of::<T>() as u64
    }
    #[fleche]
    fn plus(n: u64) -> u64 {
        n + 200
    }
    mod other {
        #[fleche::fleche]
        pub(super) fn plus(n: u64) -> u64 {
            n + 100
        }
    }
    let _project = Project::new();
    for _ in ["run", "known", "known"] {
        assert_eq!((plus(1), other::plus(1), width::<u8>(1), width::<u32>(1)), (201, 101, 2, 5));
    }
}

#[test]
fn functions_that_share_a_name_are_not_taken_for_each_other() {
    // Functions in two blocks of one function have one name. One gives the first number in a file, one the second; each is
    // asked for where the other one would give what it gave before.
    let first: fn(&Path) -> u64 = {
        #[fleche]
        fn twin(path: &Path) -> u64 {
            fleche::fs::read(path).map_or(0, |bytes| u64::from(bytes[0] - b'0'))
        }
        #[fleche]
        fn of_first(path: &Path) -> u64 {
            twin(path)
        }
        of_first
    };
    let second: fn(&Path) -> u64 = {
        #[fleche]
        fn twin(path: &Path) -> u64 {
            fleche::fs::read(path).map_or(0, |bytes| u64::from(bytes[1] - b'0'))
        }
        #[fleche]
        fn of_second(path: &Path) -> u64 {
            twin(path)
        }
        of_second
    };
    for (asked, text) in [(first, "21"), (second, "12")] {
        let mut project = Project::new();
        let numbers = project.write("numbers", "11");
        assert_eq!(asked(&numbers), 1);
        project.write("numbers", text);
        project.restart();
        assert_eq!(asked(&numbers), 2);
    }
}

#[test]
fn what_one_cache_knows_hides_nothing_from_another() {
    #[fleche]
    fn inner(n: u64) -> u64 {
        n + 1
    }
    #[fleche]
    fn outer(n: u64) -> u64 {
        inner(n) * 2
    }
    let (first, mut second) = (Project::new(), Project::new());
    let under = |cache: &fleche::Cache| {
        let _scope = fleche::cache(cache).unwrap();
        assert_eq!((inner(1), outer(1), outer(1)), (2, 4, 4));
    };
    under(&first.cache);
    under(&second.cache);
    assert_eq!((first.cache.stats().ran, second.cache.stats().ran), (2, 2));
    second.restart();
    under(&second.cache);
    under(&first.cache);
    assert_eq!((first.cache.stats().ran, second.cache.stats().ran), (2, 0), "each was stored in both");
}

#[test]
fn an_unchanged_nested_result_cuts_off() {
    let mut project = Project::new();
    let paths = vec![project.write("a", "one two"), project.write("b", "three")];
    assert_eq!(total(&paths).unwrap(), 3);
    project.log();
    project.write("b", "drei");
    project.restart();
    assert_eq!(total(&paths).unwrap(), 3);
    assert_eq!(
        project.log(),
        [r#"count("a"): hit"#, r#"count("b"): ran, unchanged"#, r#"total(["a","b"]): cut off"#]
    );
    project.write("b", "drei vier");
    assert_eq!(total(&paths).unwrap(), 4);
    assert_eq!(project.log(), [r#"count("a"): hit"#, r#"count("b"): ran"#, r#"total(["a","b"]): ran"#]);
}

#[test]
fn a_missing_file_is_an_input_too() {
    #[fleche]
    fn there(path: &Path) -> bool {
        fleche::fs::read(path).is_ok()
    }
    let project = Project::new();
    let path = project.path("late");
    assert!(!there(&path));
    assert!(!there(&path));
    project.write("late", "");
    assert!(there(&path));
    project.remove("late");
    assert!(!there(&path));
    assert_eq!(
        project.log(),
        [r#"there("late"): ran"#, r#"there("late"): hit"#, r#"there("late"): ran"#, r#"there("late"): hit"#]
    );
}

#[test]
fn a_swallowed_failure_of_a_nested_call_is_not_remembered() {
    static BROKEN: AtomicBool = AtomicBool::new(true);
    #[fleche]
    fn fragile(n: u32) -> Result<u32, String> {
        if BROKEN.load(Ordering::SeqCst) { Err("broken".into()) } else { Ok(n) }
    }
    #[fleche]
    fn careless(n: u32) -> u32 {
        fragile(n).unwrap_or(0)
    }
    #[fleche]
    fn outer(n: u32) -> u32 {
        careless(n) + 1
    }
    let project = Project::new();
    BROKEN.store(true, Ordering::SeqCst);
    assert_eq!(outer(7), 1);
    BROKEN.store(false, Ordering::SeqCst);
    assert_eq!(outer(7), 8);
    assert!(project.log().contains(&"outer(7): ran, not kept".to_string()));
}

#[test]
fn a_swallowed_panic_of_a_nested_call_is_not_remembered() {
    static BROKEN: AtomicBool = AtomicBool::new(true);
    #[fleche]
    fn fragile(n: u32) -> u32 {
        assert!(!BROKEN.load(Ordering::SeqCst), "expected in this test");
        n
    }
    #[fleche]
    fn careless(n: u32) -> u32 {
        std::panic::catch_unwind(|| fragile(n)).unwrap_or(0)
    }
    let _project = Project::new();
    assert_eq!(careless(3), 0);
    BROKEN.store(false, Ordering::SeqCst);
    assert_eq!(careless(3), 3);
}

#[test]
fn a_swallowed_cycle_is_not_remembered() {
    #[fleche]
    fn first(n: u32) -> u32 {
        std::panic::catch_unwind(|| second(n)).unwrap_or(10) + 1
    }
    #[fleche]
    fn second(n: u32) -> u32 {
        std::panic::catch_unwind(|| first(n)).unwrap_or(0)
    }
    #[fleche]
    fn narcissus(n: u32) -> u32 {
        std::panic::catch_unwind(|| narcissus(n)).unwrap_or(n)
    }
    let project = Project::new();
    assert_eq!((first(7), narcissus(3)), (1, 3));
    // Asked for by itself it meets the circle at another place.
    assert_eq!(second(7), 11, "{:?}", project.log());
    assert!(!second::contains(7) && !first::contains(7) && !narcissus::contains(3));
}

#[test]
fn rerun_is_recursive_and_its_result_replaces_the_old_one() {
    static CLOCK: AtomicU64 = AtomicU64::new(1);
    #[fleche]
    fn now(zone: u32) -> u64 {
        u64::from(zone) + CLOCK.load(Ordering::SeqCst)
    }
    #[fleche]
    fn shown(zone: u32) -> String {
        format!("at {}", now(zone))
    }
    let mut project = Project::new();
    assert_eq!(shown(100), "at 101");
    CLOCK.store(2, Ordering::SeqCst);
    assert_eq!(shown(100), "at 101");
    project.log();
    assert_eq!(shown::rerun(100), "at 102");
    assert_eq!(project.log(), ["now(100): ran", "now(100): nondeterministic", "shown(100): ran"]);
    project.restart();
    assert_eq!(shown(100), "at 102");

    // A rerun of what a recorded call depends on makes that call stale, here and in a later process.
    CLOCK.store(3, Ordering::SeqCst);
    assert_eq!(now::rerun(100), 103);
    project.restart();
    assert_eq!(shown(100), "at 103");
}

#[test]
fn a_rerun_inside_a_held_revision_is_seen_there() {
    static CLOCK: AtomicU64 = AtomicU64::new(1);
    #[fleche]
    fn now(zone: u32) -> u64 {
        u64::from(zone) + CLOCK.load(Ordering::SeqCst)
    }
    #[fleche]
    fn shown(zone: u32) -> String {
        format!("at {}", now(zone))
    }
    let _project = Project::new();
    fleche::frozen(|| {
        assert_eq!(shown(0), "at 1");
        CLOCK.store(2, Ordering::SeqCst);
        now::rerun(0);
        assert_eq!(shown(0), "at 2");
    });
}

#[test]
fn helpers_say_what_is_known_without_running() {
    let mut project = Project::new();
    let book = project.write("book", "one two");
    assert!(!count::contains(&book));
    assert!(count::load(&book).unwrap().is_none());
    count(&book).unwrap();
    project.restart();
    project.log();
    assert!(count::contains(&book));
    assert_eq!(count::load(&book).unwrap().unwrap().words, 2);
    assert_eq!(count::view(&book).unwrap().words, 2);
    assert_eq!(count::uncached(&book).unwrap().words, 2);
    assert_eq!(count::call(&book).id(), count::digest(&book));
    assert!(count::call(&book).function().ends_with("count"));
    project.write("book", "one");
    assert!(!count::contains(&book));
    assert!(!project.log().iter().any(|event| event.contains("ran")));
}

#[test]
fn ignored_arguments_do_not_count() {
    #[fleche(ignore = ["verbose"])]
    fn double(n: u32, verbose: bool) -> u32 {
        if verbose {
            println!("doubling");
        }
        2 * n
    }
    let project = Project::new();
    assert_eq!(double(4, false), 8);
    assert_eq!(double(4, true), 8);
    assert_eq!(project.cache.stats().ran, 1);
}

#[test]
fn a_view_outlives_its_cache() {
    let project = Project::new();
    let book = project.write("book", "one two");
    let first = count::view(&book).unwrap();
    let view = count::view(&book).unwrap();
    drop(project);
    assert!(first.words == 2 && view.words == 2);
    assert_eq!(view.to_owned().unwrap(), Counts { words: 2, lines: 1 });
}

#[test]
fn a_cycle_is_an_error_that_names_the_calls() {
    #[fleche]
    fn even(n: u32) -> bool {
        odd(n)
    }
    #[fleche]
    fn odd(n: u32) -> bool {
        even(n)
    }
    let _project = Project::new();
    let panic = std::panic::catch_unwind(|| even(1)).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("cycle") && message.contains("even →") && message.contains("odd →"),
        "{message}"
    );
}

#[test]
fn void_keeps_nothing_and_reads_count_for_the_caller() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    #[fleche]
    fn counted(n: u32) -> u32 {
        RUNS.fetch_add(1, Ordering::SeqCst);
        n
    }
    let _scope = fleche::cache("void").unwrap();
    counted(1);
    counted(1);
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
}

#[test]
fn a_thread_without_a_cache_is_told_what_to_do() {
    let panic = std::thread::spawn(|| count(Path::new("x")).is_ok()).join().unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("fleche::cache") && message.contains("count"), "{message}");
}

#[test]
fn a_relative_path_means_another_file_in_another_directory() {
    // In a process of its own, so that the working directory can be changed.
    if std::env::var_os("FLECHE_TEST_CHILD").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_relative_path_means_another_file_in_another_directory"])
            .env("FLECHE_TEST_CHILD", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let project = Project::new();
    for (dir, text) in [("p", "one"), ("q", "one two")] {
        std::fs::create_dir(project.path(dir)).unwrap();
        project.write(&format!("{dir}/book"), text);
    }
    std::env::set_current_dir(project.path("p")).unwrap();
    assert_eq!(count(Path::new("book")).unwrap().words, 1);
    std::env::set_current_dir(project.path("q")).unwrap();
    assert_eq!(count(Path::new("book")).unwrap().words, 2);
    std::env::set_current_dir(project.path("p")).unwrap();
    assert_eq!(count(Path::new("book")).unwrap().words, 1);
    assert_eq!(project.cache.stats().ran, 2);
}

#[test]
fn a_deep_chain_neither_overflows_when_run_nor_when_verified() {
    #[fleche]
    fn down(n: u32, file: &Path) -> u64 {
        if n == 0 { fleche::fs::read(file).unwrap().len() as u64 } else { down(n - 1, file) + 1 }
    }
    let mut project = Project::new();
    let file = project.write("ground", "x");
    assert_eq!(down(8_000, &file), 8_001);
    project.restart();
    assert_eq!(down(8_000, &file), 8_001);
    assert_eq!(project.cache.stats().ran, 0);
    project.write("ground", "xx");
    assert_eq!(down(8_000, &file), 8_002);
}

#[test]
fn inputs_that_change_under_a_call_make_it_start_over() {
    static EDITS: AtomicU64 = AtomicU64::new(0);
    #[fleche]
    fn first(path: &Path) -> io::Result<String> {
        fleche::fs::read_to_string(path)
    }
    #[fleche]
    fn both(path: &Path) -> io::Result<(String, String)> {
        let one = first(path)?;
        if EDITS.fetch_add(1, Ordering::SeqCst) == 0 {
            std::fs::write(path, "new")?; // somebody else's edit, while the call runs
        }
        let two = fleche::fs::read_to_string(path)?;
        Ok((one, two))
    }
    let project = Project::new();
    let path = project.write("a", "old");
    assert_eq!(both(&path).unwrap(), ("new".to_string(), "new".to_string()));
    assert_eq!(EDITS.load(Ordering::SeqCst), 2);
    assert!(both::contains(&path));
}

#[test]
fn a_stale_nested_call_that_fails_is_run_once() {
    #[fleche]
    fn length(path: &Path) -> io::Result<u64> {
        Ok(fleche::fs::read(path)?.len() as u64)
    }
    #[fleche]
    fn shown(path: &Path) -> String {
        length(path).map_or_else(|error| error.kind().to_string(), |length| length.to_string())
    }
    #[fleche]
    fn twice(path: &Path) -> String {
        format!("{} {}", shown(path), length(path).is_ok())
    }
    let mut project = Project::new();
    let book = project.write("book", "one");
    assert_eq!(twice(&book), "3 true");
    for _ in ["warm", "cold"] {
        project.remove("book");
        project.log();
        assert_eq!(shown(&book), "entity not found");
        assert_eq!(
            project.log(),
            [r#"length("book"): ran, not kept"#, r#"shown("book"): ran, not kept"#],
            "once to verify, and not again for the caller"
        );
        // Each top-level call tries again, and a second call of one body does: a failure is given once.
        assert_eq!(shown(&book), "entity not found");
        assert_eq!(twice(&book), "entity not found false");
        project.write("book", "one");
        project.log();
        assert_eq!(twice(&book), "3 true", "nothing of the failure is kept");
        assert!(project.log().iter().all(|line| line.ends_with("hit")));
        project.restart();
    }
}

#[test]
fn a_stale_nested_call_that_panics_or_is_asked_for_as_a_view_is_run_once() {
    #[fleche]
    fn length(path: &Path) -> u64 {
        let length = fleche::fs::read(path).map_or(0, |bytes| bytes.len() as u64);
        if length == 0 {
            std::panic::resume_unwind(Box::new(String::from("nothing there")));
        }
        length
    }
    #[fleche]
    fn shown(path: &Path) -> String {
        std::panic::catch_unwind(|| length(path)).map_or_else(
            |panic| format!("panicked: {}", panic.downcast::<String>().unwrap()),
            |length| length.to_string(),
        )
    }
    #[fleche]
    fn seen(path: &Path) -> String {
        std::panic::catch_unwind(|| length::view(path).to_native())
            .map_or_else(|_| "panicked".to_string(), |length| length.to_string())
    }
    #[fleche]
    fn counted(path: &Path) -> io::Result<u64> {
        let text = fleche::fs::read_to_string(path)?;
        text.split_whitespace().next().ok_or_else(|| io::Error::other("empty"))?;
        Ok(text.len() as u64)
    }
    #[fleche]
    fn viewed(path: &Path) -> String {
        counted::view(path).map_or_else(|error| error.to_string(), |length| length.to_string())
    }
    let mut project = Project::new();
    let book = project.write("book", "one");
    assert_eq!((shown(&book), seen(&book), viewed(&book)), ("3".into(), "3".into(), "3".into()));
    for _ in ["warm", "cold"] {
        project.write("book", "");
        for (asked, result, callee, caller) in [
            (shown as fn(&Path) -> String, "panicked: nothing there", "length", "shown"),
            (seen, "panicked", "length", "seen"),
            (viewed, "empty", "counted", "viewed"),
        ] {
            project.log();
            assert_eq!(asked(&book), result);
            let once = [callee, caller].map(|name| format!(r#"{name}("book"): ran, not kept"#));
            assert_eq!(project.log(), once, "once to verify, and not again for the caller");
        }
        project.write("book", "one");
        project.log();
        assert_eq!((shown(&book), seen(&book), viewed(&book)), ("3".into(), "3".into(), "3".into()));
        assert!(project.log().iter().all(|line| line.ends_with("hit")), "nothing of the failure is kept");
        project.restart();
    }
}

#[test]
fn a_stale_nested_call_with_a_result_that_borrows_is_run_once() {
    // A text that lives as long as the program goes to the caller as it is, and so does any panic.
    #[fleche]
    fn told(path: &Path) -> Result<u64, &'static str> {
        let length = fleche::fs::read(path).map_or(0, |bytes| bytes.len() as u64);
        if length == 0 { Err("nothing there") } else { Ok(length) }
    }
    #[fleche]
    fn panics<'a>(path: &Path, name: &'a str) -> Result<u64, &'a str> {
        let length = fleche::fs::read(path).map_or(0, |bytes| bytes.len() as u64);
        if length == 0 {
            std::panic::resume_unwind(Box::new(format!("nothing for {name}")));
        }
        if length < 9 { Ok(length) } else { Err(name) }
    }
    // What it returns lives no longer than the arguments that it was run with to verify its caller: it runs again.
    #[fleche]
    fn lent<'a>(path: &Path, name: &'a str) -> Result<u64, &'a str> {
        let length = fleche::fs::read(path).map_or(0, |bytes| bytes.len() as u64);
        if length == 0 { Err(name) } else { Ok(length) }
    }
    #[fleche]
    fn first(path: &Path) -> String {
        told(path).map_or_else(str::to_string, |length| length.to_string())
    }
    #[fleche]
    fn second(path: &Path) -> String {
        std::panic::catch_unwind(|| panics(path, "it").map(drop))
            .map_or_else(|panic| *panic.downcast::<String>().unwrap(), |result| format!("{result:?}"))
    }
    #[fleche]
    fn viewed(path: &Path) -> String {
        std::panic::catch_unwind(|| panics::view(path, "a view").map(drop))
            .map_or_else(|panic| *panic.downcast::<String>().unwrap(), |result| format!("{result:?}"))
    }
    #[fleche]
    fn third(path: &Path) -> String {
        lent(path, "it").map_or_else(str::to_string, |length| length.to_string())
    }
    let project = Project::new();
    let book = project.write("book", "one");
    let all = [first as fn(&Path) -> String, second, viewed, third];
    assert_eq!(all.map(|asked| asked(&book)), ["3", "Ok(())", "Ok(())", "3"]);
    project.write("book", "");
    project.log();
    let told = ["nothing there", "nothing for it", "nothing for a view", "it"];
    for ((asked, result), runs) in all.iter().zip(told).zip([1, 1, 1, 2]) {
        assert_eq!(asked(&book), result);
        let log = project.log();
        assert!(log.len() == runs + 1 && log.iter().all(|line| line.ends_with("ran, not kept")), "{log:?}");
    }
    project.write("book", "one");
    assert_eq!(all.map(|asked| asked(&book)), ["3", "Ok(())", "Ok(())", "3"]);
    assert!(project.log().iter().all(|line| line.ends_with("hit")), "nothing of the failure is kept");
}

#[test]
fn a_circle_through_a_trace_that_is_out_of_date_is_none() {
    // Stands for two versions of the program: in the first `first` calls `second`, in the other it is the other way round.
    static TURNED: AtomicBool = AtomicBool::new(false);
    #[fleche(hash_code = false)]
    fn first(path: &Path) -> io::Result<String> {
        if TURNED.load(Ordering::SeqCst) {
            return Ok(format!("first of {}", fleche::fs::read_to_string(path)?));
        }
        Ok(format!("first, {}", second(path)?))
    }
    #[fleche(hash_code = false)]
    fn second(path: &Path) -> io::Result<String> {
        if TURNED.load(Ordering::SeqCst) {
            return Ok(format!("second, {}", first(path)?));
        }
        Ok(format!("second of {}", fleche::fs::read_to_string(path)?))
    }
    for fresh in [false, true] {
        let mut project = Project::new();
        let path = project.write("a", "x");
        TURNED.store(false, Ordering::SeqCst);
        assert_eq!(first(&path).unwrap(), "first, second of x");
        project.write("a", "y");
        TURNED.store(true, Ordering::SeqCst);
        if fresh {
            project.restart();
        }
        project.log();
        assert_eq!(first(&path).unwrap(), "first of y");
        assert_eq!(second(&path).unwrap(), "second, first of y");
        let log = project.log();
        assert!(log.iter().filter(|line| line.contains("ran")).count() <= 3, "{log:?}");
        project.write("a", "z");
        TURNED.store(false, Ordering::SeqCst);
        if fresh {
            project.restart();
        }
        assert_eq!(second(&path).unwrap(), "second of z");
        assert_eq!(first(&path).unwrap(), "first, second of z");
    }
}

#[test]
fn what_failed_in_a_cycle_that_verifying_closed_is_run_again_for_the_caller() {
    #[fleche(hash_code = false)]
    fn back(path: &Path) -> String {
        std::panic::catch_unwind(|| there(path)).map_or_else(
            |panic| panic.downcast::<String>().map_or_else(|_| "?".into(), |text| *text),
            |there| there.unwrap_or_else(|told| format!("told: {told}")),
        )
    }
    #[fleche(hash_code = false)]
    fn there(path: &Path) -> Result<String, String> {
        match fleche::fs::read_to_string(path).unwrap().as_str() {
            "leaf" => Ok("leaf".into()),
            "error" => Err(back(path)),
            _ => std::panic::resume_unwind(Box::new(back(path))),
        }
    }
    let mut project = Project::new();
    for turn in ["error", "panic"] {
        let path = project.write("a", "leaf");
        project.restart();
        assert_eq!(back(&path), "leaf");
        project.write("a", turn);
        // While the old trace is verified, `there` is the first to run and meets itself; for a body of `back` it is
        // `back` that is met again.
        let incremental = back(&path);
        let scratch = {
            let _scope =
                fleche::cache(fleche::Cache::with_store(fleche::Store::memory(), project.root())).unwrap();
            back(&path)
        };
        assert_eq!(incremental, scratch, "{turn}");
        assert!(scratch.contains("a cycle of cached calls"), "{scratch}");
    }
}

#[test]
fn a_rerun_that_starts_over_and_fails_then_fails() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static EDIT: AtomicBool = AtomicBool::new(false);
    #[fleche]
    fn twice(file: &Path) -> Result<u8, String> {
        let before = fleche::fs::read(file).unwrap()[0];
        if EDIT.swap(false, Ordering::Relaxed) {
            std::fs::write(file, [2]).unwrap();
        }
        let after = fleche::fs::read(file).unwrap()[0];
        if before == 2 { Err("two".into()) } else { Ok(before * 10 + after) }
    }
    let project = Project::new();
    let file = project.path("file");
    std::fs::write(&file, [1]).unwrap();
    assert_eq!(twice(&file), Ok(11));
    EDIT.store(true, Ordering::Relaxed);
    assert_eq!(twice::rerun(&file), Err("two".into()));
}
