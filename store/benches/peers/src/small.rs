//! Many small entries: putting, getting, opening.

use std::path::Path;
use std::time::{Duration, Instant};

use fleche_store::{Digest, GcOptions, Options, Store, ValueDigest};

use crate::Scale;
use crate::peers::{FP, Files, Fjall, Fleche, FlecheResults, Floor, Heed, Peer, Redb, Sqlite, key, payload};
use crate::table::{Table, median, time};

fn put_all(peer: &mut dyn Peer, count: u64, size: usize, batch: usize) -> Duration {
    let mut spent = Duration::ZERO;
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

fn get_all(peer: &dyn Peer, count: u64, of: u64, first: u64) -> Duration {
    let keys: Vec<_> = (0..count).map(|i| key(first + i.wrapping_mul(0x9e37_79b9_7f4a_7c15) % of)).collect();
    time(|| {
        for key in &keys {
            std::hint::black_box(peer.get(key));
        }
    })
    .0
}

fn disk_bytes(dir: &Path) -> u64 {
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

type Open<'a> = (&'static str, usize, u64, Box<dyn Fn(&Path) -> Box<dyn Peer> + 'a>);

pub fn puts_and_gets(scale: Scale) {
    for (size, count) in [100, 1024, 16 * 1024].into_iter().zip(scale.entries) {
        let peers: Vec<Open<'_>> = vec![
            (
                "fleche value + record, each acknowledged",
                1,
                1,
                Box::new(|dir| Box::new(FlecheResults(Fleche::open(dir).0))),
            ),
            ("fleche value, each acknowledged", 1, 1, Box::new(|dir| Box::new(Fleche::open(dir)))),
            ("heed, batches of 1000", 1000, 1, Box::new(|dir| Box::new(Heed::open(dir)))),
            ("heed, batches of 64", 64, 1, Box::new(|dir| Box::new(Heed::open(dir)))),
            ("heed, each acknowledged", 1, 4, Box::new(|dir| Box::new(Heed::open(dir)))),
            ("redb, batches of 1000", 1000, 4, Box::new(|dir| Box::new(Redb::open(dir)))),
            ("fjall, batches of 1000", 1000, 1, Box::new(|dir| Box::new(Fjall::open(dir)))),
            ("fjall, each acknowledged", 1, 1, Box::new(|dir| Box::new(Fjall::open(dir)))),
            ("rusqlite, batches of 1000", 1000, 2, Box::new(|dir| Box::new(Sqlite::open(dir)))),
            ("one file a value", 1, 10, Box::new(|dir| Box::new(Files(dir.to_path_buf())))),
            ("floor: append and a hash table", 1, 1, Box::new(|dir| Box::new(Floor::open(dir)))),
        ];
        let mut puts =
            Table::new(&format!("put, {size} bytes, {count} entries"), "µs each", "heed, batches of 1000");
        let mut gets = Vec::new();
        for (name, batch, fewer, open) in peers {
            let dir = tempfile::tempdir_in(std::env::temp_dir()).unwrap();
            let count = count / fewer;
            let mut peer = open(dir.path());
            puts.each(name, count, put_all(&mut *peer, count, size, batch));
            if batch != 64 {
                gets.push((name, count.min(100_000), get_all(&*peer, count.min(100_000), count, 0)));
            }
            drop(peer);
            gets.last_mut().map(|_| ());
            let bytes = disk_bytes(dir.path()) as f64 / count as f64;
            eprintln!("    {bytes:.0} bytes on disk an entry");
        }
        puts.print();
        let mut table =
            Table::new(&format!("get, {size} bytes, {count} entries"), "µs each", "heed, batches of 1000");
        for (name, count, spent) in gets {
            table.each(name, count, spent);
        }
        table.print();
    }
}

/// Lookups and opening with very many entries.
pub fn many(scale: Scale) {
    let count = scale.many;
    let ours = tempfile::tempdir().unwrap();
    let heeds = tempfile::tempdir().unwrap();
    let mut table =
        Table::new(&format!("{count} entries of 16 bytes: filling"), "µs each", "heed, batches of 1000");
    let mut fleche = Fleche::open(ours.path());
    table.each("fleche, each acknowledged", count, put_all(&mut fleche, count, 16, 1));
    fleche.0.settle();
    let mut heed = Heed::open(heeds.path());
    table.each("heed, batches of 1000", count, put_all(&mut heed, count, 16, 1000));
    table.print();
    let mut table = Table::new(&format!("bytes on disk, {count} entries of 16 bytes"), "bytes each", "heed");
    table.row("fleche", disk_bytes(ours.path()) as f64 / count as f64);
    table.row("heed", disk_bytes(heeds.path()) as f64 / count as f64);
    table.print();
    drop((fleche, heed));
    let open = || {
        let (spent, store) = time(|| Store::open(ours.path(), Options::default()).unwrap());
        drop(store);
        spent
    };
    let mut table = Table::new(&format!("open, {count} entries"), "µs", "heed");
    table.each("fleche", 1, median(11, open));
    table.each("heed", 1, median(11, || time(|| Heed::open(heeds.path())).0));
    table.print();
    let fleche = Fleche::open(ours.path());
    let heed = Heed::open(heeds.path());
    let lookups = count.min(300_000);
    let mut table = Table::new(&format!("lookups in {count} entries, warm"), "µs each", "heed hit");
    for (name, peer) in [("fleche", &fleche as &dyn Peer), ("heed", &heed)] {
        let run = |first: u64| median(3, || get_all(peer, lookups, count, first));
        table.each(format!("{name} hit"), lookups, run(0));
        table.each(format!("{name} miss"), lookups, run(1 << 40));
    }
    table.print();
    println!("\n{:?}", fleche.0.stats().map(|stats| (stats.segments, stats.tables)));
    // Nothing reaches these values, so gc drops and compacts everything but what it is told to keep.
    if count <= 1_000_000 {
        let (spent, report) = time(|| fleche.0.gc(&GcOptions::default()).unwrap());
        println!(
            "\ngc of {count} unreached values: {:.2} s, {} bytes freed",
            spent.as_secs_f64(),
            report.bytes_freed
        );
    }
}

/// Two handles on one store stand for two processes: neither knows what the other does but through the files.
pub fn processes() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (Fleche::open(dir.path()), Fleche::open(dir.path()));
    let value = |i| ValueDigest::new(Digest::from_bytes(key(i)));
    let mut table = Table::new("two processes", "µs each", "put, alone");
    let count = 20_000;
    let alone = time(|| (0..count).for_each(|i| a.0.put_value(value(i), FP, &payload(i, 100)).unwrap())).0;
    table.each("put, alone", count, alone);
    let mut seeing = Duration::ZERO;
    for i in count..2 * count {
        a.0.put_value(value(i), FP, &payload(i, 100)).unwrap();
        let begun = Instant::now();
        assert!(b.0.has_value(&value(i), FP).unwrap());
        seeing += begun.elapsed();
    }
    table.each("seeing the other's put", count, seeing);
    let both = time(|| {
        std::thread::scope(|scope| {
            for (store, first) in [(&a, 1 << 30), (&b, 1 << 31)] {
                scope.spawn(move || {
                    (first..first + count)
                        .for_each(|i| store.0.put_value(value(i), FP, &payload(i, 100)).unwrap());
                });
            }
        });
    })
    .0;
    table.each("put, both at once", 2 * count, both);
    table.print();
}

/// Just ours, for a profiler: `fleche-store-peers profile`.
pub fn profile() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let count = 300_000;
    let entries: Vec<_> = (0..count).map(|i| payload(i, 100)).collect();
    let records: Vec<_> =
        entries.iter().enumerate().map(|(i, value)| crate::peers::record(i as u64, value)).collect();
    // This thread's own time too: other programs may keep the processors busy.
    let cpu = || {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: fills the struct that it is given.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    };
    let last = std::cell::Cell::new(cpu());
    let say = |what: &str, spent: Duration| {
        let each = |seconds: f64| seconds * 1e6 / count as f64;
        println!(
            "{what}: {:.3} µs, {:.3} µs of processor",
            each(spent.as_secs_f64()),
            each(cpu() - last.get())
        );
        last.set(cpu());
    };
    let put = || {
        records
            .iter()
            .zip(&entries)
            .for_each(|(record, value)| drop(store.put_result(record, value).unwrap()))
    };
    say("put value and record", time(put).0);
    say("settle", time(|| store.settle()).0);
    say(
        "records",
        time(|| records.iter().for_each(|r| assert_eq!(store.records(&r.key).unwrap().len(), 1))).0,
    );
    say(
        "value",
        time(|| records.iter().for_each(|r| assert!(store.value(&r.result.digest, FP).unwrap().is_some()))).0,
    );
    let missing: Vec<_> =
        (0..count).map(|i| ValueDigest::new(Digest::from_bytes(key(i + (1 << 40))))).collect();
    last.set(cpu());
    say("miss", time(|| missing.iter().for_each(|d| assert!(store.value(d, FP).unwrap().is_none()))).0);
    println!("{:?}", store.stats().map(|stats| (stats.segments, stats.tables)));
}
