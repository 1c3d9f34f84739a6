//! Work on several threads loses no edge, makes no false cycle, and neither hangs nor hides a real one.

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use common::Project;
use fleche::{Dependency, fleche};

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
fn work_that_nobody_joins_belongs_to_the_body_too() {
    #[fleche]
    fn unjoined(paths: &[PathBuf]) -> u64 {
        let sum = AtomicU64::new(0);
        fleche::scope(|scope| {
            for path in paths {
                drop(scope.spawn(|| sum.fetch_add(length(path).unwrap_or(1000), Ordering::SeqCst)));
            }
        });
        sum.into_inner()
    }
    let project = Project::new();
    let paths: Vec<PathBuf> = (0..5).map(|n| project.write(&format!("f{n}"), "abc")).collect();
    assert_eq!(unjoined(&paths), 15);
    project.write("f3", "abcd");
    assert_eq!(unjoined(&paths), 16);
    let trace =
        project.cache.store().unwrap().newest(&unjoined::digest(&paths)).unwrap().unwrap().trace.clone();
    let calls: Vec<_> = trace.into_iter().map(|edge| edge.dependency).collect();
    assert_eq!(calls, paths.iter().map(|path| Dependency::Call(length::digest(path))).collect::<Vec<_>>());
    project.remove("f3");
    assert_eq!(unjoined(&paths), 1012);
    assert!(!unjoined::contains(&paths), "a failure in it is not remembered");
    let panic = std::panic::catch_unwind(|| {
        fleche::scope(|scope| drop(scope.spawn(|| panic!("of work that nobody joined"))));
    });
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"of work that nobody joined"));
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
fn many_items_within_items_are_all_done_and_leave_one_trace() {
    #[fleche]
    fn small(n: u64) -> u64 {
        n + 1
    }
    #[fleche]
    fn spread(items: u64) -> u64 {
        let inner =
            |outer: u64| fleche::par_map(0..100, |n| small((outer * 7 + n * 13) % 50)).into_iter().sum();
        fleche::par_map(0..items / 100, |outer| -> u64 { inner(outer) }).into_iter().sum()
    }
    #[fleche]
    fn in_turn(items: u64) -> u64 {
        (0..items / 100).flat_map(|outer| (0..100).map(move |n| small((outer * 7 + n * 13) % 50))).sum()
    }
    let project = Project::quiet();
    assert_eq!(spread(100_000), in_turn(100_000));
    let store = project.cache.store().unwrap();
    let trace = |call| store.newest(&call).unwrap().unwrap().trace.clone();
    assert_eq!(trace(spread::digest(100_000)).len(), 50);
    assert_eq!(trace(spread::digest(100_000)), trace(in_turn::digest(100_000)));
}

#[test]
fn work_is_spread_as_long_as_there_are_threads_to_spare() {
    // In a process of its own, where nobody else takes a thread.
    const CHILD: &str = "FLECHE_TEST_FAN_OUT";
    if std::env::var_os(CHILD).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "work_is_spread_as_long_as_there_are_threads_to_spare"])
            .env(CHILD, "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let _project = Project::new();
    fleche::private::set_spare_threads(2);
    let threads = |items: u64| {
        let here = || std::thread::current().id();
        // Each waits until all threads are there, but not for ever.
        let met = AtomicU64::new(0);
        let wait = |_| {
            met.fetch_add(1, Ordering::SeqCst);
            let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
            while met.load(Ordering::SeqCst) < items && std::time::Instant::now() < until {
                std::thread::yield_now();
            }
            here()
        };
        fleche::par_map(0..items, wait).into_iter().collect::<std::collections::HashSet<_>>().len()
    };
    assert_eq!(threads(3), 3);
    // They are given back, whatever becomes of the work.
    std::panic::catch_unwind(|| fleche::par_map(0..3, |_| -> u64 { panic!("expected in this test") }))
        .unwrap_err();
    fleche::scope(|scope| drop(scope.spawn(|| ())));
    assert_eq!(fleche::join(|| 1, || 2), (1, 2));
    assert_eq!(threads(3), 3);
    // There are never more, however often somebody asks.
    let (at_work, most) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = |_| {
        most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::yield_now();
        at_work.fetch_sub(1, Ordering::SeqCst);
    };
    for _ in 0..10 {
        fleche::par_map(0..10, |_| drop(fleche::par_map(0..10, work)));
    }
    assert!(most.load(Ordering::SeqCst) <= 3, "{most:?} at once");
    fleche::private::set_spare_threads(0);
    for _ in 0..3 {
        let here = std::thread::current().id();
        assert_eq!(fleche::par_map(0..3, |_| std::thread::current().id()), [here; 3]);
    }
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
        assert!(RUNS.fetch_add(1, Ordering::SeqCst) > 0, "expected in this test {n}");
        n
    }
    let project = Project::new();
    #[fleche]
    fn hopeless(n: u64) -> u64 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        panic!("hopeless {n}")
    }
    let results = |function: fn(u64) -> u64| -> Vec<Result<u64, String>> {
        std::thread::scope(|threads| {
            let spawned: Vec<_> = (0..3)
                .map(|_| {
                    let cache = project.cache.clone();
                    threads.spawn(move || {
                        let _scope = fleche::cache(cache).unwrap();
                        std::panic::catch_unwind(|| function(5)).map_err(|panic| *panic.downcast().unwrap())
                    })
                })
                .collect();
            spawned.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    assert_eq!(results(shaky).iter().filter(|result| result.is_err()).count(), 1);
    // Whoever waited comes to the same panic by itself.
    assert_eq!(results(hopeless), [(); 3].map(|()| Err("hopeless 5".into())));
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
