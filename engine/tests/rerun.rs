//! Rerunning and invalidating: what runs, what is reported, and what that means for dependents.

mod common;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::Project;
use fleche::rerun::{Followed, Found, Report, Standing};
use fleche::{Dependency, fleche};

#[fleche]
fn words(path: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64)
}

#[fleche]
fn even(path: &Path) -> io::Result<bool> {
    Ok(words(path)?.is_multiple_of(2))
}

#[fleche]
fn verdict(path: &Path) -> io::Result<String> {
    Ok(if even(path)? { "even".into() } else { "odd".into() })
}

/// Not tracked: what makes a function nondeterministic.
static CHANCE: AtomicU64 = AtomicU64::new(0);

#[fleche]
fn chance(n: u64) -> u64 {
    CHANCE.load(Ordering::SeqCst) / n
}

#[fleche]
fn half(n: u64) -> u64 {
    chance(n) / 2
}

#[fleche]
fn further(n: u64) -> u64 {
    half(n) + 1
}

fn ran(report: &Report) -> Vec<String> {
    report.ran.iter().map(ToString::to_string).collect()
}

fn dependents(report: &Report, project: &Project) -> Vec<String> {
    let root = format!("{}/", project.root().display());
    report.dependents.iter().map(|dependent| dependent.to_string().replace(&root, "")).collect()
}

#[test]
fn a_rerun_runs_all_below_and_says_what_came_out() {
    let project = Project::new();
    let book = project.write("book", "one two");
    verdict(&book).unwrap();
    project.log();
    assert_eq!(verdict::rerun(&book).unwrap(), "even");
    let unchanged = ["words", "even", "verdict"].map(|name| format!(r#"{name}("book"): ran, unchanged"#));
    assert_eq!(project.log(), unchanged);
    let (result, report) = fleche::rerun(|| verdict(&book));
    assert_eq!(result.unwrap(), "even");
    assert_eq!(project.log(), unchanged);
    assert!(report.ran.iter().all(|ran| ran.found == Found::Same) && report.ran.len() == 3);
    assert!(report.dependents.is_empty());
}

#[test]
fn a_rerun_goes_through_branches() {
    #[fleche]
    fn spread(n: u64) -> u64 {
        fleche::par_map(1..=n, one_of).into_iter().sum()
    }
    #[fleche]
    fn one_of(n: u64) -> u64 {
        n
    }
    let _project = Project::new();
    assert_eq!(spread(4), 10);
    let (sum, report) = fleche::rerun(|| spread(4));
    assert_eq!((sum, report.ran.len()), (10, 5), "{report}");
}

#[test]
fn a_record_that_a_rerun_refutes_does_not_come_back() {
    static SECOND: AtomicBool = AtomicBool::new(false);
    #[fleche(hash_code = false)]
    fn either(first: &Path, second: &Path) -> u64 {
        // Nothing tells of this switch.
        let read = if SECOND.load(Ordering::SeqCst) { second } else { first };
        fleche::fs::read(read).map_or(0, |bytes| bytes.len() as u64)
    }
    for fresh in [false, true] {
        let mut project = Project::new();
        let (first, second) = (project.write("first", "one"), project.write("second", "three"));
        SECOND.store(false, Ordering::SeqCst);
        assert_eq!(either(&first, &second), 3);
        SECOND.store(true, Ordering::SeqCst);
        let (result, report) = fleche::rerun(|| either(&first, &second));
        assert_eq!((result, report.nondeterministic().count()), (5, 1));
        if fresh {
            project.restart();
        }
        // What the rerun observed is different now; what the record before it had observed is not.
        project.write("second", "seven 7");
        assert_eq!(either(&first, &second), 7);
    }
}

#[test]
fn a_dependent_is_valid_if_any_of_its_records_holds() {
    let project = Project::new();
    let book = project.write("book", "one two");
    even(&book).unwrap();
    project.write("book", "one two three");
    even(&book).unwrap();
    // The newest record of `even` observed three words, an older one two.
    project.write("book", "two words");
    let (_, report) = fleche::rerun(|| words(&book).unwrap());
    assert_eq!(dependents(&report, &project), [r#"even("book"): still valid"#]);
    project.log();
    assert!(even(&book).unwrap());
    assert!(project.log().iter().all(|line| line.ends_with("hit")));
}

#[test]
fn a_call_met_twice_in_a_rerun_runs_once() {
    let project = Project::new();
    let book = project.write("book", "one two");
    let (_, report) =
        fleche::rerun(|| (even(&book).unwrap(), words(&book).unwrap(), verdict(&book).unwrap()));
    assert_eq!(report.ran.len(), 3);
    assert!(report.ran.iter().all(|ran| ran.found == Found::First));
    project.log();
    assert_eq!(verdict(&book).unwrap(), "even");
    assert!(project.log().iter().all(|line| line.ends_with("hit")), "the rerun has ended");
}

#[test]
fn dependents_stay_valid_while_what_they_observed_holds() {
    let project = Project::new();
    let book = project.write("book", "one two");
    verdict(&book).unwrap();
    let (_, report) = fleche::rerun(|| words(&book).unwrap());
    assert_eq!(dependents(&report, &project), [r#"even("book"): still valid"#]);
    // The edit comes to another result of `words`: `even` observed the old one, `verdict` might be spared.
    project.write("book", "one two three four");
    let (_, mut report) = fleche::rerun(|| words(&book).unwrap());
    assert!(matches!(report.ran[0].found, Found::Other { .. }));
    assert_eq!(
        dependents(&report, &project),
        [r#"even("book"): invalid"#, r#"verdict("book"): invalid if those below it change"#]
    );
    assert_eq!(report.dependents[0].standing, Standing::Invalid { because: words::digest(&book) });
    project.log();
    report.follow();
    assert_eq!(report.dependents[0].standing, Standing::Followed(Followed::Unchanged));
    assert_eq!(report.dependents[1].standing, Standing::Followed(Followed::CutOff));
    let runs: Vec<_> = project.log().into_iter().filter(|line| line.contains("ran")).collect();
    assert_eq!(runs, [r#"even("book"): ran, unchanged"#]);
    verdict(&book).unwrap();
    assert!(project.log().iter().all(|line| line.ends_with("hit")));
}

#[test]
fn what_depends_on_nothing_tracked_is_found_out_by_a_rerun() {
    let mut project = Project::new();
    CHANCE.store(80, Ordering::SeqCst);
    assert_eq!(further(1), 41);
    project.restart();
    project.log();
    let (_, report) = fleche::rerun(|| further(1));
    assert_eq!(report.nondeterministic().count(), 0);
    CHANCE.store(90, Ordering::SeqCst);
    project.log();
    let (result, report) = fleche::rerun(|| chance(1));
    assert_eq!(result, 90);
    assert_eq!(ran(&report), ["chance(1): ran, other result although all it observed is the same"]);
    assert_eq!(project.log(), ["chance(1): ran", "chance(1): nondeterministic"]);
    assert_eq!(project.cache.stats().nondeterministic, 1);
    assert_eq!(
        dependents(&report, &project),
        ["half(1): invalid", "further(1): invalid if those below it change"]
    );
    // Its callers observed something else than before: that is no fault of theirs.
    CHANCE.store(100, Ordering::SeqCst);
    let (result, report) = fleche::rerun(|| further(1));
    assert_eq!(result, 51);
    assert_eq!(
        ran(&report),
        [
            "chance(1): ran, other result although all it observed is the same",
            "half(1): ran, other result",
            "further(1): ran, other result"
        ]
    );
    // And without a rerun nothing is nondeterministic: the record stands.
    project.log();
    assert_eq!(chance(1), 100);
    assert_eq!(project.log(), ["chance(1): hit"]);
}

#[test]
fn a_rerun_that_fails_says_so_and_ends() {
    let project = Project::new();
    let book = project.write("book", "one two");
    verdict(&book).unwrap();
    project.remove("book");
    let (result, report) = fleche::rerun(|| verdict(&book));
    assert!(result.is_err());
    assert!(report.ran.iter().all(|ran| ran.found == Found::NotKept) && report.ran.len() == 3, "{report}");
    let panicked = std::panic::catch_unwind(|| fleche::rerun(|| panic!("expected in this test")));
    assert!(panicked.is_err());
    project.write("book", "one two");
    project.log();
    verdict(&book).unwrap();
    assert!(project.log().iter().all(|line| line.ends_with("hit")), "no rerun is under way any more");
}

#[test]
fn an_invalidated_call_runs_when_it_is_next_asked_for() {
    let mut project = Project::new();
    let book = project.write("book", "one two");
    for fresh in [false, true] {
        verdict(&book).unwrap();
        assert!(project.cache.invalidate(words::digest(&book)).unwrap());
        if fresh {
            project.restart();
        }
        assert!(!words::contains(&book));
        project.log();
        verdict(&book).unwrap();
        // Its callers go by what it makes.
        assert_eq!(project.log()[0], r#"words("book"): ran, unchanged"#);
        assert_eq!(verdict::load(&book).unwrap().as_deref(), Some("even"));
        project.log();
        verdict(&book).unwrap();
        assert!(project.log().iter().all(|line| line.ends_with("hit")));
    }
    assert!(!project.cache.invalidate(words::digest(&project.path("other"))).unwrap());
}

#[test]
fn dependents_are_invalidated_without_the_call_itself() {
    let mut project = Project::new();
    let (book, other) = (project.write("book", "one two"), project.write("other", "one"));
    verdict(&book).unwrap();
    verdict(&other).unwrap();
    let mut calls = project.cache.invalidate_dependents(&Dependency::Call(words::digest(&book))).unwrap();
    calls.sort();
    let mut expected = vec![even::digest(&book), verdict::digest(&book)];
    expected.sort();
    assert_eq!(calls, expected);
    project.restart();
    project.log();
    verdict(&book).unwrap();
    verdict(&other).unwrap();
    let log = project.log();
    let runs: Vec<_> = log.iter().filter(|line| line.contains("ran")).collect();
    assert_eq!(runs, [r#"even("book"): ran, unchanged"#, r#"verdict("book"): ran, unchanged"#]);

    let inputs = project.cache.inputs_at(&other).unwrap();
    let mut calls = project.cache.invalidate_dependents(&inputs[0]).unwrap();
    calls.sort();
    let mut expected = vec![words::digest(&other), even::digest(&other), verdict::digest(&other)];
    expected.sort();
    assert_eq!(calls, expected);
}
