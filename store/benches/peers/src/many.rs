//! Very many entries: opening, finding, not finding, and what upkeep costs.

use std::time::Duration;

use fleche_store::{GcOptions, Options, Store};

use crate::peers::{Fleche, FlecheResults, Heed, Peer};
use crate::small::{disk_bytes, get_all, put_all};
use crate::table::{Spent, Table, median, time};

/// Lookups and opening in `count` entries.
pub fn lookups(count: u64) {
    let ours = tempfile::tempdir().unwrap();
    let heeds = tempfile::tempdir().unwrap();
    const BASE: &str = "heed, batches of 1000";
    let mut table = Table::new(format!("{count} entries of 16 bytes: filling"), "µs each", BASE);
    let mut fleche = Fleche::open(ours.path());
    table.each("fleche, batches of 1000", count, put_all(&mut fleche, count, 16, 1000));
    fleche.0.settle();
    let mut heed = Heed::open(heeds.path());
    table.each(BASE, count, put_all(&mut heed, count, 16, 1000));
    table.print();
    let mut table = Table::new(format!("bytes on disk, {count} entries of 16 bytes"), "bytes each", "heed");
    table.row("fleche", disk_bytes(ours.path()) as f64 / count as f64);
    table.row("heed", disk_bytes(heeds.path()) as f64 / count as f64);
    table.print();
    drop((fleche, heed));
    let open = || {
        let (spent, store) = time(|| Store::open(ours.path(), Options::default()).unwrap());
        drop(store);
        spent
    };
    let mut table = Table::new(format!("open, {count} entries"), "µs", "heed");
    table.each("fleche", 1, median(21, open));
    table.each("heed", 1, median(21, || time(|| Heed::open(heeds.path())).0));
    table.print();
    let fleche = Fleche::open(ours.path());
    let heed = Heed::open(heeds.path());
    let lookups = count.min(300_000);
    for base in ["heed hit", "heed miss"] {
        let mut table = Table::new(format!("lookups in {count} entries, warm"), "µs each", base);
        for (name, peer) in [("fleche", &fleche as &dyn Peer), ("heed", &heed)] {
            let run = |first: u64| median(5, || get_all(peer, lookups, count, first));
            table.each(format!("{name} hit"), lookups, run(0));
            table.each(format!("{name} miss"), lookups, run(1 << 40));
        }
        table.print();
    }
    let stats = fleche.0.stats().unwrap();
    println!("\n{} segments, {} tables", stats.segments, stats.tables);
}

/// How fast tables are merged and segments compacted.
pub fn upkeep(count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut fleche = FlecheResults(Fleche::open(dir.path()).0);
    put_all(&mut fleche, count, 1000, 1000);
    fleche.0.settle();
    let store = &fleche.0;
    let (spent, merged) = time(|| store.merge_all().unwrap());
    let mut table =
        Table::new(format!("upkeep of {count} records with values of 1000 bytes"), "million a second", "");
    let mut rate = |name: String, number: u64, spent: Spent| {
        let rate = |time: Duration| number as f64 / time.as_secs_f64() / 1e6;
        table.row(&name, rate(spent.wall));
        table.row(format!("{name}, by the processor"), rate(spent.cpu));
    };
    rate(format!("merge of {merged} entries"), merged, spent);
    let before = disk_bytes(dir.path());
    let options = GcOptions { max_bytes: Some(before / 3), ..GcOptions::default() };
    let (spent, report) = time(|| store.gc(&options).unwrap());
    let looked = report.records_kept + report.records_dropped;
    rate("gc that drops two thirds, records".into(), looked, spent);
    rate("the same, bytes that it compacts".into(), before, spent);
    let (spent, report) = time(|| store.gc(&GcOptions::default()).unwrap());
    rate("gc with nothing to do, records".into(), report.records_kept, spent);
    let (spent, report) = time(|| store.verify(false).unwrap());
    assert!(report.damage.is_empty());
    rate("verify, bytes".into(), disk_bytes(dir.path()), spent);
    table.print();
}
