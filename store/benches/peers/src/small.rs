//! Many small entries: putting and getting, each acknowledged and in batches.

use std::path::Path;

use fleche_store::{Digest, Options, Put, Store, ValueDigest};

use crate::Scale;
use crate::peers::{FP, Files, Fjall, Fleche, FlecheResults, Floor, Heed, Peer, Redb, Sqlite, key, payload};
use crate::table::{Spent, Table, time};

pub fn put_all(peer: &mut dyn Peer, count: u64, size: usize, batch: usize) -> Spent {
    let mut spent = Spent::default();
    let mut entries = Vec::with_capacity(batch);
    for i in 0..count {
        entries.push((key(i), payload(i, size)));
        if entries.len() == batch || i + 1 == count {
            spent += time(|| peer.put(&entries)).0;
            entries.clear();
        }
    }
    spent
}

pub fn get_all(peer: &dyn Peer, count: u64, of: u64, first: u64) -> Spent {
    let keys: Vec<_> = (0..count).map(|i| key(first + i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % of)).collect();
    time(|| {
        for key in &keys {
            std::hint::black_box(peer.get(key));
        }
    })
    .0
}

pub fn disk_bytes(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Name, sizes of batches, how much less of it is measured where each is acknowledged, how it is opened.
type Row = (&'static str, &'static [usize], u64, fn(&Path) -> Box<dyn Peer>);

const PEERS: [Row; 8] = [
    ("fleche value + record", &[1, 64, 1000], 1, |dir| Box::new(FlecheResults(Fleche::open(dir).0))),
    ("fleche value", &[1, 64, 1000], 1, |dir| Box::new(Fleche::open(dir))),
    ("heed", &[1, 64, 1000], 10, |dir| Box::new(Heed::open(dir))),
    ("redb", &[1, 64, 1000], 100, |dir| Box::new(Redb::open(dir))),
    ("fjall", &[1, 64, 1000], 1, |dir| Box::new(Fjall::open(dir))),
    ("rusqlite", &[1, 64, 1000], 20, |dir| Box::new(Sqlite::open(dir))),
    ("one file a value", &[1], 20, |dir| Box::new(Files(dir.to_path_buf()))),
    ("floor: append and a hash table", &[1, 64, 1000], 1, |dir| Box::new(Floor::open(dir))),
];

/// `only`: the sizes and peers to measure; empty means all.
pub fn puts_and_gets(scale: Scale, only: &[String]) {
    const BASE: &str = "heed, batches of 1000";
    for (size, count) in [100, 1024, 16 * 1024].into_iter().zip(scale.entries) {
        let title = |what| format!("{what}, {size} bytes, {count} entries");
        let mut puts = Table::new(title("put"), "µs each", BASE);
        let mut gets = Table::new(title("get"), "µs each", BASE);
        let mut room = Table::new(title("on disk"), "bytes each", BASE);
        let asked = |name: &str| only.is_empty() || only.iter().any(|word| name.contains(word.as_str()));
        for (peer, batches, fewer, open) in PEERS.into_iter().filter(|(name, ..)| asked(name)) {
            for batch in batches {
                let name = match batch {
                    1 => format!("{peer}, each acknowledged"),
                    batch => format!("{peer}, batches of {batch}"),
                };
                // What takes long for each entry is measured on fewer.
                let count = count / if *batch == 1 { fewer } else { 1 };
                let dir = tempfile::tempdir().unwrap();
                let mut peer = open(dir.path());
                puts.each(&name, count, put_all(&mut *peer, count, size, *batch));
                if *batch == 1000 || batches.len() == 1 {
                    let lookups = count.min(100_000);
                    gets.each(&name, lookups, get_all(&*peer, lookups, count, 0));
                    drop(peer);
                    room.row(&name, disk_bytes(dir.path()) as f64 / count as f64);
                }
            }
        }
        puts.print();
        gets.print();
        room.print();
    }
}

/// Just ours, for a profiler: `fleche-store-peers profile`, with `puts` behind it just those.
pub fn profile() {
    let count = 300_000;
    let entries: Vec<_> = (0..count).map(|i| payload(i, 100)).collect();
    let records: Vec<_> =
        entries.iter().enumerate().map(|(i, value)| crate::peers::record(i as u64, value)).collect();
    let say = |what: &str, spent: Spent| {
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / count as f64;
        println!("{what}: {:.3} µs, {:.3} µs of processor", each(spent.wall), each(spent.cpu));
    };
    let mut last = None;
    for size in [1000, 64, 1] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let put = || {
            for (records, values) in records.chunks(size).zip(entries.chunks(size)) {
                let puts: Vec<_> =
                    records.iter().zip(values).map(|(record, value)| Put::Result(record, value)).collect();
                store.put_all(&puts).unwrap();
            }
        };
        say(&format!("put value and record, batches of {size}"), time(put).0);
        last = Some((dir, store));
    }
    let (_dir, store) = last.unwrap();
    if std::env::args().any(|argument| argument == "puts") {
        return;
    }
    say("settle", time(|| store.settle()).0);
    let records_of = || records.iter().for_each(|r| assert_eq!(store.records(&r.key).unwrap().len(), 1));
    say("records", time(records_of).0);
    let values = || records.iter().for_each(|r| assert!(store.has_value(&r.result.digest, FP).unwrap()));
    say("value", time(values).0);
    let missing: Vec<_> =
        (0..count).map(|i| ValueDigest::new(Digest::from_bytes(key(i + (1 << 40))))).collect();
    say("miss", time(|| missing.iter().for_each(|d| assert!(store.value(d, FP).unwrap().is_none()))).0);
    println!("{:?}", store.stats().map(|stats| (stats.segments, stats.tables)));
}
