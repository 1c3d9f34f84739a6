//! Index tables: made, merged, damaged, foreign; and what a reader finds meanwhile.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{FP, bytes, child, record, role, value};
use fleche_store::{Options, Store};

fn tuned(dir: &Path, table: u64) -> Store {
    Store::open_tuned(dir, Options::default(), 256 << 20, table).unwrap()
}

fn tables(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("v1/tables")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "tab"))
        .collect()
}

fn fill(store: &Store, range: std::ops::Range<u64>) {
    for i in range {
        store.put_value(value(i), FP, &bytes(i, 100)).unwrap();
        store.put_record(&record(i, 0, i, i)).unwrap();
        store.put_note(1, &common::digest("note", i), &bytes(i, 10)).unwrap();
    }
}

fn missing(store: &Store, range: std::ops::Range<u64>) -> u64 {
    let mut missing = 0;
    for i in range {
        match store.value(&value(i), FP).unwrap() {
            Some(found) => assert_eq!(found[..], bytes(i, 100)[..]),
            None => missing += 1,
        }
        let found = store.records(&record(i, 0, i, i).key).unwrap();
        match found.as_slice() {
            [] => missing += 1,
            [found] => assert!(found.says_the_same(&record(i, 0, i, i))),
            more => panic!("{} records", more.len()),
        }
        match store.note(1, &common::digest("note", i)).unwrap() {
            Some(found) => assert_eq!(found, bytes(i, 10)),
            None => missing += 1,
        }
    }
    missing
}

#[test]
fn rule_08_tables_answer_lookups_prefixes_and_misses() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 64);
    fill(&store, 0..500);
    store.settle();
    drop(store);
    assert!(!tables(dir.path()).is_empty());
    let store = tuned(dir.path(), 64);
    assert!(store.stats().unwrap().tables > 0);
    assert_eq!(missing(&store, 0..500), 0);
    assert_eq!(missing(&store, 500..600), 300);
    for i in (0..500).step_by(17) {
        let text = value(i).to_string();
        for length in [8, 15, 16, 17, 40, 64] {
            let found = store.resolve(&text[..length]).unwrap();
            assert_eq!(found.len(), 1, "{length} digits of {text}");
        }
    }
    assert_eq!(store.resolve("").unwrap().len(), 1500);
}

#[test]
fn rule_08_digests_that_are_not_spread_evenly_are_found_too() {
    use fleche_store::{Digest, ValueDigest};
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 300);
    let crowded = |i: u32| {
        let mut digest = [0; 32];
        digest[4..8].copy_from_slice(&i.to_be_bytes());
        digest[31] = 1;
        ValueDigest::new(Digest::from_bytes(digest))
    };
    for i in 0..1500 {
        store.put_value(crowded(i), FP, &i.to_le_bytes()).unwrap();
    }
    store.settle();
    drop(store);
    let store = tuned(dir.path(), 300);
    assert!(store.stats().unwrap().tables > 0);
    for i in 0..1500 {
        assert_eq!(store.value(&crowded(i), FP).unwrap().as_deref(), Some(&i.to_le_bytes()[..]));
    }
    assert!(!store.has_value(&crowded(1501), FP).unwrap());
}

#[test]
fn rule_09_tables_stay_few_however_many_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 8);
    for i in 0..40 {
        fill(&store, i * 20..(i + 1) * 20);
        store.settle();
        assert!(tables(dir.path()).len() <= 12, "{} tables", tables(dir.path()).len());
    }
    assert_eq!(missing(&store, 0..800), 0);
    assert_eq!(missing(&tuned(dir.path(), 8), 0..800), 0);
}

#[test]
fn rule_08_every_damage_to_a_table_is_a_miss_at_most_and_never_a_wrong_value() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 60);
    fill(&store, 0..20);
    store.settle();
    drop(store);
    let [file] = &tables(dir.path())[..] else { panic!("not one table") };
    let clean = fs::read(file).unwrap();
    let read_only = || Store::open(dir.path(), Options { read_only: true, ..Options::default() }).unwrap();
    let write = |bytes: &[u8]| {
        fs::remove_file(file).unwrap();
        fs::write(file, bytes).unwrap();
    };
    for at in 0..clean.len() {
        let mut bytes = clean.clone();
        bytes[at] ^= if at % 2 == 0 { 1 } else { 0x80 };
        write(&bytes);
        let lost = missing(&read_only(), 0..20);
        assert!(lost <= 8, "byte {at}: {lost} missing");
    }
    // Any cut is noticed at once, and the frames are scanned instead.
    for length in (0..clean.len()).step_by(7) {
        write(&clean[..length]);
        assert_eq!(missing(&read_only(), 0..20), 0, "{length} bytes");
    }
    // So is a missing table, and one of another store under this one's name.
    fs::remove_file(file).unwrap();
    assert_eq!(missing(&read_only(), 0..20), 0);
    let other = tempfile::tempdir().unwrap();
    let store = tuned(other.path(), 60);
    fill(&store, 100..120);
    store.settle();
    drop(store);
    fs::copy(&tables(other.path())[0], file).unwrap();
    fs::copy(
        &tables(other.path())[0],
        dir.path().join("v1/tables").join(tables(other.path())[0].file_name().unwrap()),
    )
    .unwrap();
    assert_eq!(missing(&read_only(), 0..20), 0);
    assert_eq!(missing(&read_only(), 100..120), 60);
}

#[test]
fn rule_11_the_newest_record_wins_over_any_table() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 10);
    let call = common::identity(1).id();
    for i in 0..60 {
        // The same key and trace each time: a rerun that gave something else.
        store.put_record(&record(1, 0, 0, i)).unwrap();
        fill(&store, 1000 + i * 5..1000 + i * 5 + 5);
        if i % 7 == 0 {
            store.settle();
        }
        for store in [&store, &tuned(dir.path(), 10)] {
            let found = store.records(&record(1, 0, 0, 0).key).unwrap();
            assert_eq!(found.iter().map(|r| r.result.digest).collect::<Vec<_>>(), [value(i)]);
            assert_eq!(store.newest(&call).unwrap().unwrap().result.digest, value(i));
            assert_eq!(store.history(&call).unwrap().len(), 1);
        }
    }
}

#[test]
fn rule_12_an_identical_record_is_not_written_again_and_eight_traces_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 16);
    let length = || -> u64 {
        let entries = fs::read_dir(dir.path().join("v1/segments")).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let first = store.put_record(&record(1, 0, 0, 0)).unwrap();
    let before = length();
    assert_eq!(store.put_record(&record(1, 0, 0, 0)).unwrap(), first);
    assert_eq!(length(), before);
    for i in 0..200 {
        store.put_record(&record(1, 0, i, i)).unwrap();
    }
    store.settle();
    for store in [&store, &tuned(dir.path(), 16)] {
        let seen: Vec<_> =
            store.records(&record(1, 0, 0, 0).key).unwrap().iter().map(|r| r.result.digest).collect();
        assert_eq!(seen, (192..200).rev().map(value).collect::<Vec<_>>());
    }
    // What was replaced does not come back with a rebuilt index.
    drop(store);
    for table in tables(dir.path()) {
        fs::remove_file(table).unwrap();
    }
    let store = tuned(dir.path(), 16);
    assert_eq!(store.records(&record(1, 0, 0, 0).key).unwrap()[0].result.digest, value(199));
    assert_eq!(store.dependents(&common::input(1).id()).unwrap(), [common::identity(1).id()]);
}

#[test]
fn rule_13_dependents_and_names_come_from_posting_lists() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 100);
    for i in 0..300 {
        store.put_record(&record(i, 0, i, i)).unwrap();
    }
    store.settle();
    drop(store);
    let store = tuned(dir.path(), 100);
    for k in 0..4 {
        let mut expected: Vec<_> =
            (0..300).filter(|i| i % 4 == k).map(|i| common::identity(i).id()).collect();
        expected.sort();
        assert_eq!(store.dependents(&common::input(k).id()).unwrap(), expected);
    }
    let callee = fleche_store::Dependency::Call(common::identity(8).id());
    assert_eq!(store.dependents(&callee.id()).unwrap(), [common::identity(7).id()]);
    assert_eq!(store.calls_of("demo::f1").unwrap().len(), 100);
    assert_eq!(store.calls_of("demo::f9").unwrap(), []);
}

#[test]
fn rule_06_segments_roll_and_tails_stay_short() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_tuned(dir.path(), Options::default(), 20_000, 50).unwrap();
    fill(&store, 0..400);
    store.settle();
    let segments: Vec<_> = fs::read_dir(dir.path().join("v1/segments"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(segments.len() > 5);
    assert!(segments.iter().all(|length| *length <= 20_000));
    assert_eq!(missing(&store, 0..400), 0);
    // One that is too large for a segment gets none at all, or one for itself.
    store.put_value(value(9999), FP, &bytes(1, 30_000)).unwrap();
    assert!(store.has_value(&value(9999), FP).unwrap());
    drop(store);
    assert_eq!(missing(&common::open(dir.path()), 0..400), 0);
}

#[test]
fn busy_child() {
    let Some((_, dir, start)) = role() else { return };
    let store = tuned(&dir, 32);
    fill(&store, start..start + 400);
    store.settle();
}

#[test]
fn rule_09_writers_that_publish_and_merge_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut children: Vec<_> = (0..3).map(|w| child("busy_child", "fill", dir.path(), w * 1000)).collect();
    let store = tuned(dir.path(), 32);
    fill(&store, 5000..5400);
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    store.settle();
    for start in [0, 1000, 2000, 5000] {
        assert_eq!(missing(&store, start..start + 400), 0, "{start}");
        assert_eq!(missing(&common::open(dir.path()), start..start + 400), 0, "{start}");
    }
}
