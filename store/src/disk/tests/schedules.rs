//! Threads that share a handle, or a directory, in orders that `shuttle` chooses: what was acknowledged is found at once.
//!
//! Some seconds in the ordinary run; `FLECHE_SCHEDULES=20000 cargo test -p fleche-store --lib schedules` looks at so many
//! orders of each test. What is not looked at is the order of memory accesses: `shuttle` takes each for sequential.

use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner, thread};

use super::*;
use crate::sync::under_shuttle;
use crate::worker::Work;

/// Runs a test in many orders. Whether it fails in one of them.
fn fails(planted: &'static str, test: impl Fn() + Send + Sync + 'static) -> bool {
    let orders = std::env::var("FLECHE_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(120);
    // A planted race ends it as soon as it is found, which takes some hundred orders at times.
    let orders = if planted.is_empty() { orders } else { 20_000 };
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.failure_persistence = shuttle::FailurePersistence::None;
    let run = || Runner::new(RandomScheduler::new(orders), config).run(test);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| under_shuttle(planted, run))).is_err()
}

/// A directory where bringing to the disk costs nothing, if there is one.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What one puts the other finds, while a third makes tables of it and merges them. `apart`: each has a handle of its own.
fn put_and_look(apart: bool) {
    let dir = directory();
    let open = || tuned(dir.path(), 2_000, 2);
    let disk = open();
    let other = if apart { open() } else { disk.clone() };
    let ours = disk.clone();
    let done = Arc::new(AtomicU64::new(0));
    let writer = {
        let (disk, done) = (disk.clone(), done.clone());
        thread::spawn(move || {
            for i in 0..4 {
                disk.put_record(&record(i, i), Some(&bytes(i, 200))).unwrap();
                done.store(i + 1, Ordering::SeqCst);
            }
        })
    };
    let worker = thread::spawn(move || {
        for _ in 0..2 {
            disk.work();
            let Ok(_lock) = disk.maintenance(Duration::ZERO) else { continue };
            let view = disk.views.get();
            if view.tables.len() > 1 {
                disk.merge(&view, &view.tables).unwrap();
            }
        }
    });
    let reader = {
        let other = other.clone();
        thread::spawn(move || {
            for _ in 0..4 {
                for i in 0..done.load(Ordering::SeqCst) {
                    assert_eq!(other.records(&record(i, 0).key).unwrap().len(), 1, "record {i}");
                    let value = other.value(&digest(i), FP).unwrap();
                    assert_eq!(value.as_deref(), Some(&bytes(i, 200)[..]), "value {i}");
                }
            }
        })
    };
    for thread in [writer, worker, reader] {
        thread.join().unwrap();
    }
    for disk in [ours, other, open()] {
        assert_whole(&disk, 0..4, "at the end");
    }
}

#[test]
fn schedules_of_a_writer_a_reader_and_the_worker() {
    assert!(!fails("", || put_and_look(false)));
}

#[test]
fn schedules_of_two_handles_as_two_processes_have_them() {
    assert!(!fails("", || put_and_look(true)));
}

#[test]
fn schedules_find_a_planted_race() {
    // A listing that forgets what was put while it listed.
    assert!(fails("list forgets", || put_and_look(false)));
}

#[test]
fn schedules_of_writers_that_put_the_same_record() {
    assert!(!fails("", || {
        let dir = directory();
        let disk = tuned(dir.path(), 1 << 20, 3);
        let writers: Vec<_> = (0..2u64)
            .map(|writer| {
                let disk = disk.clone();
                thread::spawn(move || {
                    let mut clocks = Vec::new();
                    for i in 0..3 {
                        let batch = [record(1, writer * 10 + i), record(2, 5)];
                        let puts = batch.each_ref().map(Put::Record);
                        disk.put_batch(&puts).unwrap();
                        let newest = disk.newest(&batch[0].identity.id()).unwrap().unwrap();
                        clocks.push(newest.clock);
                    }
                    assert!(clocks.is_sorted(), "time went back: {clocks:?}");
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        disk.work();
        let mut clocks = HashSet::new();
        for disk in [&disk, &tuned(dir.path(), 1 << 20, 3)] {
            clocks.insert(disk.newest(&record(1, 0).identity.id()).unwrap().unwrap().clock);
            assert_eq!(disk.records(&record(1, 0).key).unwrap().len(), 1);
        }
        assert_eq!(clocks.len(), 1, "everybody agrees on what is newest");
    }));
}

#[test]
fn schedules_of_gc_beside_a_writer() {
    assert!(!fails("", || {
        let dir = directory();
        let disk = tuned(dir.path(), 1_500, 3);
        fill(&disk, 0..2);
        let writer = {
            let disk = disk.clone();
            thread::spawn(move || fill(&disk, 2..4))
        };
        let collector = {
            let disk = disk.clone();
            thread::spawn(move || disk.collect_garbage(&GcOptions::default()).map(|_| ()).unwrap())
        };
        for thread in [writer, collector] {
            thread.join().unwrap();
        }
        assert_whole(&disk, 0..4, "beside gc");
        assert_whole(&tuned(dir.path(), 1_500, 3), 0..4, "for others");
    }));
}
