//! Two processes on one store: putting at once, and how soon one sees what the other put.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use fleche_store::{Digest, ValueDigest};

use crate::peers::{FP, Fleche, key, payload};
use crate::table::{Spent, Table, time};

const COUNT: u64 = 100_000;

fn value(i: u64) -> ValueDigest {
    ValueDigest::new(Digest::from_bytes(key(i)))
}

fn start(what: &str, dir: &Path) -> (Child, impl FnMut(&str) -> String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", what])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap());
    let ask = move |line: &str| {
        writeln!(to, "{line}").unwrap();
        let mut answer = String::new();
        from.read_line(&mut answer).unwrap();
        answer
    };
    (child, ask)
}

/// Puts what each line says: the first entry and how many. Answers with the microseconds that it took.
pub fn child(dir: &Path) {
    let store = Fleche::open(dir).0;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (first, count) = line.split_once(' ').unwrap();
        let (first, count): (u64, u64) = (first.parse().unwrap(), count.parse().unwrap());
        let values: Vec<_> = (first..first + count).map(|i| (value(i), payload(i, 100))).collect();
        let spent = time(|| {
            for (digest, bytes) in &values {
                store.put_value(*digest, FP, bytes).unwrap();
            }
        })
        .0;
        println!("{}", spent.wall.as_secs_f64() * 1e6);
    }
}

pub fn processes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Fleche::open(dir.path()).0;
    let mut table = Table::new("two processes, 100 bytes, each put acknowledged", "µs each", "put, alone");
    let ((mut a, mut ask_a), (mut b, mut ask_b)) = (start("put", dir.path()), start("put", dir.path()));
    let each = |answer: String| answer.trim().parse::<f64>().unwrap() / COUNT as f64;
    table.row("put, alone", each(ask_a(&format!("0 {COUNT}"))));
    let both = std::thread::scope(|scope| {
        let one = scope.spawn(|| ask_a(&format!("{} {COUNT}", 1u64 << 30)));
        let other = each(ask_b(&format!("{} {COUNT}", 1u64 << 31)));
        (each(one.join().unwrap()) + other) / 2.0
    });
    table.row("put, both at once", both);
    // Warm, as a process is that has looked before.
    let mut seeing = Spent::default();
    let rounds = 2000;
    for i in 0..rounds {
        let i = (1 << 40) + i;
        assert!(!store.has_value(&value(i), FP).unwrap());
        ask_a(&format!("{i} 1"));
        let (spent, seen) = time(|| store.has_value(&value(i), FP).unwrap());
        assert!(seen);
        seeing += spent;
    }
    table.each("seeing the other's put: the first look", rounds, seeing);
    let again =
        time(|| (0..rounds).for_each(|i| assert!(store.has_value(&value((1 << 40) + i), FP).unwrap())));
    table.each("a look at it later", rounds, again.0);
    drop((ask_a, ask_b));
    a.wait().unwrap();
    b.wait().unwrap();
    table.print();
}
