//! Several processes on one store.

mod common;

use std::io::{BufRead, BufReader, Write};

use common::{FP, bytes, child, open, record, role, value};

#[test]
fn echo_child() {
    let Some((role, dir, start)) = role() else { return };
    let store = open(&dir);
    let stdin = std::io::stdin();
    let say = |text: &str| {
        println!("\nsay {text}");
        std::io::stdout().flush().unwrap();
    };
    match role.as_str() {
        // Puts one entry a line that it reads.
        "put" => {
            for (i, line) in (start..).zip(stdin.lock().lines()) {
                line.unwrap();
                store.put_value(value(i), FP, &bytes(i, 100)).unwrap();
                store.put_record(&record(1, 0, i, i)).unwrap();
                say("done");
            }
        }
        // Puts many, then ends.
        "many" => {
            for i in start..start + 2000 {
                store.put_value(value(i), FP, &bytes(i, 100)).unwrap();
            }
            say("done");
        }
        other => panic!("{other}"),
    }
}

struct Talk {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Talk {
    fn new(mut child: std::process::Child) -> Self {
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn ask(&mut self) {
        writeln!(self.child.stdin.as_mut().unwrap(), "go").unwrap();
        self.hear();
    }

    fn hear(&mut self) {
        for line in self.lines.by_ref() {
            if line.unwrap().starts_with("say ") {
                return;
            }
        }
        panic!("the child ended");
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

#[test]
fn rule_10_a_put_is_seen_by_other_processes_at_their_next_miss() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.value(&value(50), FP).unwrap(), None);
    let mut other = Talk::new(child("echo_child", "put", dir.path(), 50));
    for i in 50..60 {
        assert!(!store.has_value(&value(i), FP).unwrap());
        other.ask();
        assert_eq!(store.value(&value(i), FP).unwrap().as_deref(), Some(&bytes(i, 100)[..]));
    }
    other.end();
}

#[test]
fn rule_11_a_later_record_is_newer_whoever_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut other = Talk::new(child("echo_child", "put", dir.path(), 0));
    let call = common::identity(1).id();
    // We write a lot, so that our clock is far ahead; then the other, then we again, without looking in between.
    for i in 1000..1100 {
        store.put_record(&record(1, 0, i, i)).unwrap();
    }
    other.ask();
    let newest = store.newest(&call).unwrap().unwrap();
    assert_eq!(newest.result.digest, value(0), "the other's record is the newest");
    other.ask();
    other.ask();
    store.put_record(&record(1, 0, 77, 77)).unwrap();
    assert_eq!(store.newest(&call).unwrap().unwrap().result.digest, value(77));
    assert_eq!(open(dir.path()).newest(&call).unwrap().unwrap().result.digest, value(77));
    other.end();
}

#[test]
fn writers_at_the_same_time_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut children: Vec<_> =
        (0..3).map(|w| Talk::new(child("echo_child", "many", dir.path(), w * 10_000))).collect();
    let store = open(dir.path());
    for i in 90_000..92_000 {
        store.put_value(value(i), FP, &bytes(i, 100)).unwrap();
    }
    children.iter_mut().for_each(Talk::hear);
    children.into_iter().for_each(Talk::end);
    for start in [0, 10_000, 20_000, 90_000] {
        for i in start..start + 2000 {
            assert_eq!(store.value(&value(i), FP).unwrap().as_deref(), Some(&bytes(i, 100)[..]), "{i}");
        }
    }
}

#[test]
fn rule_03_a_dead_writers_segment_is_adopted_so_that_segments_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..5 {
        let mut other = Talk::new(child("echo_child", "put", dir.path(), i * 10));
        other.ask();
        other.end();
    }
    let store = open(dir.path());
    assert_eq!(store.stats().unwrap().segments, 1);
    for i in 0..5 {
        assert!(store.has_value(&value(i * 10), FP).unwrap());
    }
}
