//! What a process leaves of its graph: the next one answers from it what it would answer from the records, and nothing
//! that was overruled since comes back.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fleche::{Cache, Dependency, fleche};

/// What changes without anybody being told: the calls below depend on chance, so to speak.
static CHANCE: AtomicU64 = AtomicU64::new(0);

#[fleche(hash_code = false)]
fn leaf(dir: &Path, n: u64) -> u64 {
    fleche::fs::read(dir.join(format!("f{n}"))).map_or(0, |bytes| u64::from(bytes[0]))
        + CHANCE.load(Ordering::Relaxed)
}

#[fleche(hash_code = false)]
fn sum(dir: &Path, of: u64) -> u64 {
    (0..of).map(|n| leaf(dir, n)).sum::<u64>() * 10
}

/// One process after the other, so to speak: each has a graph of its own.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        CHANCE.store(0, Ordering::Relaxed);
        Self(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn open(&self) -> Cache {
        let cache = Cache::open(self.dir().join(".fleche")).unwrap();
        cache.set_least_image(1);
        cache
    }

    /// What a process makes of `sum`, and how many calls ran for that.
    fn sum(&self, cache: &Cache) -> (u64, u64) {
        let before = cache.stats().ran;
        let _scope = fleche::cache(cache).unwrap();
        (sum(self.dir(), 3), cache.stats().ran - before)
    }

    /// Forces a run of a `leaf` in that process, which comes to something else by chance.
    fn force(&self, cache: &Cache, n: u64) {
        let _scope = fleche::cache(cache).unwrap();
        CHANCE.store(5, Ordering::Relaxed);
        assert_eq!(leaf::rerun(self.dir(), n), 5);
        CHANCE.store(0, Ordering::Relaxed);
    }

    fn images(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.dir().join(".fleche/v1/asides")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

/// The tests share what changes by chance.
fn alone() -> impl Drop {
    static ALONE: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
    ALONE.lock()
}

#[test]
fn the_next_process_answers_from_it_and_notices_what_changed() {
    let _alone = alone();
    let project = Project::new();
    assert_eq!(project.sum(&project.open()), (0, 4));
    assert_eq!(project.images().len(), 1);
    let second = project.open();
    assert_eq!(project.sum(&second), (0, 0));
    assert_eq!(second.imported(), 0, "where nothing changed the graph has no use for it");
    std::fs::write(project.dir().join("f1"), [7]).unwrap();
    assert_eq!(project.sum(&second), (70, 2));
    assert_eq!(second.imported(), 4);
    assert_eq!(project.sum(&project.open()), (70, 0));
    drop(second);
    assert_eq!(project.sum(&project.open()), (70, 0));
    std::fs::remove_file(project.dir().join("f1")).unwrap();
    assert_eq!(project.sum(&project.open()), (0, 0));
}

#[test]
fn what_is_asked_for_again_and_again_comes_into_the_graph() {
    let _alone = alone();
    let project = Project::new();
    assert_eq!(project.sum(&project.open()), (0, 4));
    let second = project.open();
    let asked = (0..1000).take_while(|_| {
        assert_eq!(project.sum(&second), (0, 0));
        second.imported() == 0
    });
    assert!((5..100).contains(&asked.count()));
    assert_eq!(second.imported(), 4);
}

#[test]
fn a_forced_run_ends_what_the_process_has_from_an_image() {
    let _alone = alone();
    let project = Project::new();
    assert_eq!(project.sum(&project.open()), (0, 4));
    let second = project.open();
    assert_eq!(project.sum(&second), (0, 0));
    project.force(&second, 0);
    assert_eq!(project.sum(&second), (50, 1));
}

#[test]
fn what_was_invalidated_since_it_was_read_does_not_come_back_from_it() {
    let _alone = alone();
    for others in [false, true] {
        let project = Project::new();
        assert_eq!(project.sum(&project.open()), (0, 4));
        let second = project.open();
        assert_eq!(project.sum(&second), (0, 0));
        CHANCE.store(5, Ordering::Relaxed);
        let other = if others { project.open() } else { second.clone() };
        assert!(other.invalidate(leaf::digest(project.dir(), 0)).unwrap());
        assert_eq!(project.sum(&second), (50, 2), "by another process: {others}");
        CHANCE.store(0, Ordering::Relaxed);
    }
}

#[test]
fn what_has_little_news_leaves_the_image_as_it_was() {
    let _alone = alone();
    let project = Project::new();
    let ask = |of| {
        let cache = project.open();
        let _scope = fleche::cache(&cache).unwrap();
        sum(project.dir(), of)
    };
    ask(40);
    let before = project.images();
    ask(40);
    // Two of 43.
    ask(41);
    assert_eq!(project.images(), before);
    // Ten, and what was there is carried on.
    ask(49);
    let after = project.images();
    assert_ne!(after, before);
    assert!(after[0].len() > before[0].len());
}

#[test]
fn a_forced_run_is_not_undone_by_an_older_image() {
    let _alone = alone();
    for older in [false, true] {
        let project = Project::new();
        let mut first = Some(project.open());
        assert_eq!(project.sum(first.as_ref().unwrap()), (0, 4));
        // The first process ends before somebody else forces a run, which comes to something else, or after that.
        if older {
            first = None;
        }
        project.force(&project.open(), 0);
        drop(first);
        assert_eq!(project.sum(&project.open()), (50, 1), "older: {older}");
    }
}

#[test]
fn a_report_of_forced_runs_counts_too() {
    let _alone = alone();
    let project = Project::new();
    assert_eq!(project.sum(&project.open()), (0, 4));
    CHANCE.store(5, Ordering::Relaxed);
    let other = project.open();
    let scope = fleche::cache(&other).unwrap();
    assert_eq!(fleche::rerun(|| leaf(project.dir(), 0)).0, 5);
    drop((scope, other));
    CHANCE.store(0, Ordering::Relaxed);
    assert_eq!(project.sum(&project.open()), (50, 1));
}

#[test]
fn what_the_process_forced_itself_is_in_its_image() {
    let _alone = alone();
    let project = Project::new();
    let cache = project.open();
    assert_eq!(project.sum(&cache), (0, 4));
    CHANCE.store(5, Ordering::Relaxed);
    let scope = fleche::cache(&cache).unwrap();
    assert_eq!(sum::rerun(project.dir(), 3), 150);
    drop((scope, cache));
    assert_eq!(project.images().len(), 1);
    CHANCE.store(0, Ordering::Relaxed);
    assert_eq!(project.sum(&project.open()), (150, 0));
}

#[test]
fn what_the_process_knows_already_goes_before_the_image() {
    let _alone = alone();
    let project = Project::new();
    assert_eq!(project.sum(&project.open()), (0, 4));
    let second = project.open();
    let scope = fleche::cache(&second).unwrap();
    // From the image, which is at hand from here on.
    assert_eq!(leaf(project.dir(), 1), 0);
    assert_eq!(second.imported(), 1);
    project.force(&second, 0);
    assert_eq!(sum(project.dir(), 3), 50);
    drop(scope);
}

#[test]
fn a_process_that_missed_a_forced_run_leaves_no_image_whatever_it_forces_itself() {
    let _alone = alone();
    let project = Project::new();
    let [first, second] = [project.open(), project.open()];
    assert_eq!(project.sum(&first), (0, 4));
    project.force(&second, 0);
    project.force(&first, 1);
    drop(second);
    drop(first);
    assert_eq!(project.sum(&project.open()), (100, 1));
}

type Way = fn(&Cache, fleche::CallId);

#[test]
fn what_was_invalidated_or_evicted_runs_again() {
    let _alone = alone();
    let ways: [(&str, Way); 3] = [
        ("invalidated", |cache, call| assert!(cache.invalidate(call).unwrap())),
        ("evicted", |cache, call| assert_eq!(cache.store().unwrap().evict_call(&call).unwrap(), 1)),
        ("a dependent", |cache, call| {
            // The sum that is above it.
            assert_eq!(cache.invalidate_dependents(&Dependency::Call(call)).unwrap().len(), 1);
        }),
    ];
    for (what, way) in ways {
        let project = Project::new();
        assert_eq!(project.sum(&project.open()), (0, 4));
        let other = project.open();
        let scope = fleche::cache(&other).unwrap();
        let call = leaf::call(project.dir(), 1).id();
        drop(scope);
        way(&other, call);
        drop(other);
        let (result, ran) = project.sum(&project.open());
        assert_eq!(result, 0);
        assert!(ran > 0, "{what}");
    }
}
