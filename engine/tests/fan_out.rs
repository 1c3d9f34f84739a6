//! Work on several threads loses no edge, makes no false cycle, and neither hangs nor hides a real one.

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use common::Project;
use fleche::fleche;

#[fleche]
fn length(path: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read(path)?.len() as u64)
}

#[fleche]
fn sum(paths: &[PathBuf]) -> u64 {
    fleche::par_map(paths, |path| length(path).unwrap_or(1000)).into_iter().sum()
}

#[test]
fn what_branches_read_belongs_to_the_body() {
    let mut project = Project::new();
    let paths: Vec<PathBuf> = (0..20).map(|n| project.write(&format!("f{n}"), "abc")).collect();
    assert_eq!(sum(&paths), 60);
    for n in [0, 19, 7] {
        project.write(&format!("f{n}"), "abcd");
        project.restart();
        project.log();
        sum(&paths);
        let log = project.log();
        assert_eq!(log.iter().filter(|event| event.ends_with(": ran")).count(), 2, "{log:#?}");
    }
    assert_eq!(sum(&paths), 63);
}

#[test]
fn traces_are_those_of_one_thread() {
    #[fleche]
    fn parallel(paths: &[PathBuf]) -> Vec<u64> {
        fleche::par_map(paths, |path| length(path).unwrap())
    }
    #[fleche]
    fn sequential(paths: &[PathBuf]) -> Vec<u64> {
        paths.iter().map(|path| length(path).unwrap()).collect()
    }
    #[fleche]
    fn scoped(paths: &[PathBuf]) -> Vec<u64> {
        fleche::scope(|scope| {
            let spawned: Vec<_> =
                paths.iter().map(|path| scope.spawn(move || length(path).unwrap())).collect();
            spawned.into_iter().map(fleche::Spawned::join).collect()
        })
    }
    let project = Project::new();
    let paths: Vec<PathBuf> = (0..30).map(|n| project.write(&format!("f{n}"), &"x".repeat(n))).collect();
    let expected = sequential(&paths);
    assert_eq!(parallel(&paths), expected);
    assert_eq!(scoped(&paths), expected);
    let store = project.cache.store().unwrap();
    let trace = |call| store.newest(&call).unwrap().unwrap().trace.clone();
    assert_eq!(trace(parallel::digest(&paths)), trace(sequential::digest(&paths)));
    assert_eq!(trace(scoped::digest(&paths)), trace(sequential::digest(&paths)));
}

#[test]
fn a_failure_swallowed_in_a_branch_is_not_remembered() {
    let project = Project::new();
    let there = project.write("there", "abc");
    let missing = project.path("missing");
    let paths = vec![there, missing];
    assert_eq!(sum(&paths), 1003);
    project.write("missing", "ab");
    assert_eq!(sum(&paths), 5);
}

#[test]
fn nested_fan_out_does_not_starve() {
    #[fleche]
    fn tree(depth: u32, at: u64) -> u64 {
        if depth == 0 { at } else { fleche::par_map(0..4, |n| tree(depth - 1, 4 * at + n)).into_iter().sum() }
    }
    let _project = Project::new();
    assert_eq!(tree(5, 0), (0..1024).sum::<u64>());
}

#[test]
fn one_of_several_threads_runs_a_call_and_the_others_wait() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    #[fleche]
    fn slow(n: u64) -> u64 {
        RUNS.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(50));
        n
    }
    let project = Project::new();
    let barrier = Arc::new(Barrier::new(4));
    std::thread::scope(|threads| {
        for _ in 0..4 {
            let (cache, barrier) = (project.cache.clone(), barrier.clone());
            threads.spawn(move || {
                let _scope = fleche::cache(cache).unwrap();
                barrier.wait();
                assert_eq!(slow(5), 5);
            });
        }
    });
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
}

#[test]
fn waiters_go_on_when_the_running_call_panics() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    #[fleche]
    fn shaky(n: u64) -> u64 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(RUNS.fetch_add(1, Ordering::SeqCst) > 0, "expected in this test");
        n
    }
    let project = Project::new();
    let results: Vec<bool> = std::thread::scope(|threads| {
        let spawned: Vec<_> = (0..3)
            .map(|_| {
                let cache = project.cache.clone();
                threads.spawn(move || {
                    let _scope = fleche::cache(cache).unwrap();
                    std::panic::catch_unwind(|| shaky(5)).is_ok()
                })
            })
            .collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|ok| !**ok).count(), 1);
}

#[test]
fn a_cycle_through_two_fan_outs_is_found() {
    // K fans out to M and M fans out to K; two threads come in from both ends at once.
    #[fleche]
    fn k(n: u64) -> u64 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        fleche::par_map([n, n ^ 1], m).into_iter().sum()
    }
    #[fleche]
    fn m(n: u64) -> u64 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        fleche::par_map([n, n ^ 1], k).into_iter().sum()
    }
    let project = Project::new();
    let messages: Vec<String> = std::thread::scope(|threads| {
        let spawned: Vec<_> = [k as fn(u64) -> u64, m]
            .into_iter()
            .map(|function| {
                let cache = project.cache.clone();
                threads.spawn(move || {
                    let _scope = fleche::cache(cache).unwrap();
                    let panic = std::panic::catch_unwind(|| function(0)).unwrap_err();
                    panic.downcast_ref::<String>().cloned().unwrap_or_default()
                })
            })
            .collect();
        spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for message in messages {
        assert!(message.contains("a cycle of cached calls"), "{message}");
    }
}

#[test]
fn a_panic_in_a_branch_reaches_the_body() {
    let _project = Project::new();
    let panic = std::panic::catch_unwind(|| {
        fleche::par_map(0..8, |n| {
            assert!(n != 3 && n != 5, "item {n}");
            n
        })
    })
    .unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "item 3");
}
