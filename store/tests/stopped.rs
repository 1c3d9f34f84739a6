//! A writer that was stopped in the middle of things, and disks that are full.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use common::{FP, bytes, child, record, role, value};
use fleche_store::{Error, GcOptions, Options, Store};

fn tuned(dir: &Path) -> Store {
    Store::open_tuned(dir, Options::default(), 100_000, 32).unwrap()
}

#[test]
fn endless_child() {
    let Some((role, dir, start)) = role() else { return };
    let store = tuned(&dir);
    for i in start.. {
        store.put_result(&record(i, 0, i, i), &bytes(i, 100)).unwrap();
        if role == "gc" && i % 50 == 49 {
            store.gc(&GcOptions { max_bytes: Some(200_000), ..GcOptions::default() }).unwrap();
        }
        println!("\nstored {i}");
    }
}

/// Stopped wherever it happens to be: under the maintenance lock, in the middle of a merge, of a frame.
#[test]
fn a_stopped_writer_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4u64 {
        let start = round * 1_000_000;
        let mut child = child("endless_child", "put", dir.path(), start);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = None;
        for line in lines.by_ref() {
            last = line.unwrap().strip_prefix("stored ").map(|i| i.parse::<u64>().unwrap()).or(last);
            if last >= Some(start + 40 + round * 97) {
                break;
            }
        }
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let store = tuned(dir.path());
        let begun = Instant::now();
        for i in start + 500_000..start + 500_300 {
            store.put_result(&record(i, 0, i, i), &bytes(i, 100)).unwrap();
        }
        store.settle();
        for i in (start..=last.unwrap()).chain(start + 500_000..start + 500_300) {
            assert_eq!(store.value(&value(i), FP).unwrap().as_deref(), Some(&bytes(i, 100)[..]), "{i}");
            assert_eq!(store.records(&record(i, 0, i, i).key).unwrap().len(), 1, "{i}");
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
        // Compaction goes around it, too: unless it holds the lock, which is an error after a while, not a hang.
        match store.gc(&GcOptions::default()) {
            Ok(_) | Err(Error::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        for i in start + 500_000..start + 500_300 {
            assert_eq!(store.records(&record(i, 0, i, i).key).unwrap().len(), 1, "{i} after gc");
        }
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn rule_23_gc_beside_a_writer_that_dedups_gives_misses_that_heal_and_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child("endless_child", "gc", dir.path(), 0);
    let store = tuned(dir.path());
    let begun = Instant::now();
    let mut misses = 0;
    let mut i = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        // The same few values again and again, found stored, collected by the other, put again.
        let v = 10_000_000 + i % 5;
        store.put_value(value(v), FP, &bytes(v, 100)).unwrap();
        store.put_record(&record(v, 0, i, v)).unwrap();
        match store.value(&value(v), FP).unwrap() {
            Some(found) => assert_eq!(found[..], bytes(v, 100)[..]),
            None => misses += 1,
        }
        for found in store.records(&record(v, 0, 0, 0).key).unwrap() {
            assert_eq!(found.result.digest, value(v));
        }
        i += 1;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(misses < i, "{misses} of {i} were gone at once");
    for v in 10_000_000..10_000_005 {
        store.put_value(value(v), FP, &bytes(v, 100)).unwrap();
        assert!(store.has_value(&value(v), FP).unwrap());
    }
    assert_eq!(
        store.verify(false).unwrap().damage.iter().filter(|d| !d.what.contains("at the end")).count(),
        0
    );
}

/// A real disk that is really full: a small tmpfs.
#[test]
fn rule_24_on_a_full_disk_puts_fail_clearly_the_rest_stays_and_gc_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
        .arg(dir.path())
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a tmpfs is not permitted");
        return;
    }
    let outcome = std::panic::catch_unwind(|| fill_up(&dir.path().join("store")));
    assert!(std::process::Command::new("umount").arg("-l").arg(dir.path()).status().unwrap().success());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn fill_up(dir: &Path) {
    let store = Store::open_tuned(dir, Options::default(), 1 << 20, 256).unwrap();
    let mut stored = Vec::new();
    let mut failed = 0;
    for i in 0.. {
        let size = usize::try_from(200 + i % 3000).unwrap();
        match store.put_result(&record(i, 0, i, i), &bytes(i, size)) {
            Ok(_) => stored.push((i, size)),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("No space left") && text.contains("v1"), "{text}");
                failed += 1;
                if failed > 20 {
                    break;
                }
            }
        }
    }
    assert!(stored.len() > 500);
    store.settle();
    let check = |store: &Store| {
        for (i, size) in &stored {
            assert_eq!(store.value(&value(*i), FP).unwrap().as_deref(), Some(&bytes(*i, *size)[..]), "{i}");
        }
    };
    check(&store);
    check(&Store::open(dir, Options { read_only: true, ..Options::default() }).unwrap());
    assert!(
        store.put_value(value(1 << 40), FP, &bytes(1, 2 << 20)).is_err(),
        "nor is there room for a large one"
    );
    let report = store.gc(&GcOptions { max_bytes: Some(1 << 20), ..GcOptions::default() }).unwrap();
    assert!(report.records_kept > 0 && report.bytes_freed > 1 << 20, "{report:?}");
    for i in 1 << 41..(1 << 41) + 100 {
        store.put_value(value(i), FP, &bytes(i, 1000)).unwrap();
    }
    assert!(fs::metadata(dir.join("v1/reserve")).is_ok());
    assert_eq!(store.verify(false).unwrap().damage, []);
}
