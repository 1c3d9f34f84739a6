//! SIGKILL at random moments: whatever was acknowledged is there, and the next open works.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use common::{FP, bytes, child, open, record, role, value};
use fleche_store::Put;

/// Sizes that differ from entry to entry, some of them in files of their own.
fn size(i: u64) -> usize {
    match i % 97 {
        96 => (1 << 20) + 5,
        0..10 => 20_000,
        _ => usize::try_from(i % 300).unwrap(),
    }
}

#[test]
fn writer_child() {
    let Some((_, dir, start)) = role() else { return };
    let store = open(&dir);
    let mut out = std::io::stdout().lock();
    let mut i = start;
    loop {
        store.put_value(value(i), FP, &bytes(i, size(i))).unwrap();
        let clock = store.put_record(&record(i, 0, 0, i)).unwrap();
        writeln!(out, "\nstored {i} {clock}").unwrap();
        out.flush().unwrap();
        i += 1;
        if i % 5 == 0 {
            let batch: Vec<_> = (i..i + 40).map(|i| (record(i, 0, 0, i), bytes(i, size(i)))).collect();
            let puts: Vec<_> = batch.iter().map(|(record, bytes)| Put::Result(record, bytes)).collect();
            store.put_all(&puts).unwrap();
            for _ in 0..40 {
                let clock = store.records(&record(i, 0, 0, i).key).unwrap()[0].clock;
                writeln!(out, "\nstored {i} {clock}").unwrap();
                i += 1;
            }
            out.flush().unwrap();
        }
    }
}

fn rounds(rounds: u64, writers: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    let mut random = 0x1234_5678_9abc_def0_u64;
    for round in 0..rounds {
        let children: Vec<_> = (0..writers)
            .map(|w| child("writer_child", "write", dir.path(), (round * writers + w) * 1_000_000))
            .collect();
        let readers: Vec<_> = children
            .into_iter()
            .map(|mut child| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let wait = Duration::from_micros(random >> 49); // up to 33 ms
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
                    // The first acknowledgement starts the clock, or the child would die before it began.
                    let mut stored = Vec::new();
                    let parse = |line: &str| {
                        let mut words = line.strip_prefix("stored ")?.split(' ');
                        Some((words.next()?.parse::<u64>().ok()?, words.next()?.parse::<u64>().ok()?))
                    };
                    for line in lines.by_ref() {
                        stored.extend(parse(&line.unwrap()));
                        if !stored.is_empty() {
                            break;
                        }
                    }
                    let pid = child.id();
                    let killer = std::thread::spawn(move || {
                        std::thread::sleep(wait);
                        child.kill().unwrap(); // SIGKILL
                        child.wait().unwrap();
                    });
                    stored.extend(lines.filter_map(|line| parse(&line.ok()?)));
                    killer.join().unwrap();
                    (pid, stored)
                })
            })
            .collect();
        for reader in readers {
            let (_, stored) = reader.join().unwrap();
            assert!(!stored.is_empty(), "the child of round {round} wrote nothing");
            acknowledged.extend(stored);
        }
        let store = open(dir.path());
        // Each round looks at all that its own children wrote and at samples of the rest.
        for (i, clock) in acknowledged.iter().rev().take(3000).chain(acknowledged.iter().step_by(37)) {
            let found = store.value(&value(*i), FP).unwrap();
            assert_eq!(found.as_deref(), Some(&bytes(*i, size(*i))[..]), "value {i} after round {round}");
            let records = store.records(&record(*i, 0, 0, *i).key).unwrap();
            assert_eq!(records.iter().map(|r| r.clock).collect::<Vec<_>>(), [*clock], "record {i}");
        }
        // And it can be written to.
        store.put_note(1, &common::digest("round", round), b"x").unwrap();
    }
    eprintln!("{} entries acknowledged over {rounds} rounds, none lost", acknowledged.len());
}

#[test]
fn rule_01_nothing_acknowledged_is_lost_to_sigkill() {
    rounds(20, 1);
}

#[test]
fn rule_01_nothing_acknowledged_is_lost_with_several_writers() {
    rounds(6, 3);
}

/// Run with `--ignored`: 200 rounds.
#[test]
#[ignore = "takes a minute or two"]
fn rule_01_two_hundred_rounds() {
    rounds(200, 2);
}
