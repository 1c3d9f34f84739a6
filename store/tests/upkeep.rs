//! Eviction, garbage collection, compaction, verification.

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{FP, bytes, open, record, value};
use fleche_store::{Digest, GcOptions, Options, Record, Store, Stored, TypeFingerprint, ValueDigest};

fn tuned(dir: &Path, roll: u64) -> Store {
    Store::open_tuned(dir, Options::default(), roll, 64).unwrap()
}

fn put(store: &Store, i: u64, created_ms: i64) {
    let record = Record { created_ms, ..record(i, 0, i, i) };
    store.put_result(&record, &bytes(i, 1000)).unwrap();
}

fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn kept(store: &Store, range: std::ops::Range<u64>) -> Vec<u64> {
    range
        .filter(|i| {
            let there = !store.records(&record(*i, 0, *i, *i).key).unwrap().is_empty();
            if there {
                assert_eq!(store.value(&value(*i), FP).unwrap().as_deref(), Some(&bytes(*i, 1000)[..]));
            }
            there
        })
        .collect()
}

fn disk_bytes(dir: &Path) -> u64 {
    fs::read_dir(dir.join("v1/segments")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn remove_tables(dir: &Path) {
    for entry in fs::read_dir(dir.join("v1/tables")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

#[test]
fn rule_21_eviction_survives_an_index_rebuild_and_reaches_every_copy() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 30_000);
    for result in 0..20 {
        store.put_record(&record(1, 0, 0, result)).unwrap();
        put(&store, 100 + result, 0);
    }
    store.settle();
    let call = common::identity(1).id();
    assert_eq!(store.evict_call(&call).unwrap(), 1);
    assert_eq!(store.evict_call(&call).unwrap(), 0);
    assert_eq!(store.evict_value(&value(105), FP).unwrap(), 1);
    let check = |store: &Store| {
        assert!(store.records(&record(1, 0, 0, 0).key).unwrap().is_empty());
        assert!(store.history(&call).unwrap().is_empty());
        assert!(!store.has_value(&value(105), FP).unwrap());
        assert!(store.has_value(&value(106), FP).unwrap());
    };
    check(&store);
    drop(store);
    check(&open(dir.path()));
    remove_tables(dir.path());
    let store = open(dir.path());
    check(&store);
    // It can be put again.
    store.put_value(value(105), FP, &bytes(105, 1000)).unwrap();
    store.put_record(&record(1, 0, 0, 3)).unwrap();
    assert!(store.has_value(&value(105), FP).unwrap());
    assert_eq!(store.newest(&call).unwrap().unwrap().result.digest, value(3));
}

#[test]
fn rule_22_and_23_gc_keeps_the_budget_and_gives_the_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 40_000);
    let start = now() - 1_000_000;
    for i in 0..200 {
        put(&store, i, start + i64::try_from(i).unwrap());
    }
    store.settle();
    let before = disk_bytes(dir.path());
    let options = GcOptions { max_bytes: Some(60_000), ..GcOptions::default() };
    let dry = store.gc(&GcOptions { dry_run: true, ..options }).unwrap();
    assert_eq!(kept(&store, 0..200).len(), 200, "a dry run drops nothing");
    assert_eq!(disk_bytes(dir.path()), before);
    let view = store.value(&value(3), FP).unwrap().unwrap();
    let report = store.gc(&options).unwrap();
    assert_eq!((report.records_dropped, report.values_dropped), (dry.records_dropped, dry.values_dropped));
    assert!(report.bytes_kept <= 60_000);
    let left = kept(&store, 0..200);
    assert_eq!(left.len() as u64, report.records_kept);
    assert!((20..60).contains(&left.len()), "{}", left.len());
    assert_eq!(left, (200 - left.len() as u64..200).collect::<Vec<_>>(), "the youngest stay");
    assert!(disk_bytes(dir.path()) < 150_000, "{} of {before}", disk_bytes(dir.path()));
    assert_eq!(view[..], bytes(3, 1000)[..], "views outlive gc");
    // All of it is so for a new process, with the tables and without.
    assert_eq!(kept(&open(dir.path()), 0..200), left);
    drop(store);
    remove_tables(dir.path());
    let store = open(dir.path());
    assert_eq!(kept(&store, 0..200), left);
    put(&store, 3, now());
    assert_eq!(kept(&store, 3..4), [3], "what is gone is put again");
    assert_eq!(store.verify(false).unwrap().damage, []);
}

#[test]
fn rule_23_gc_goes_by_the_last_use_and_clamps_the_future() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let old = now() - 10_000_000;
    for i in 0..10 {
        put(&store, i, old);
    }
    put(&store, 10, now() + 1_000_000_000_000); // a clock that ran ahead
    put(&store, 11, now());
    assert_eq!(kept(&store, 4..5), [4]); // a use
    drop(store);
    let store = open(dir.path());
    let report =
        store.gc(&GcOptions { max_age: Some(Duration::from_secs(5000)), ..GcOptions::default() }).unwrap();
    assert_eq!((report.records_kept, report.records_dropped), (3, 9));
    assert_eq!(kept(&store, 0..12), [4, 10, 11]);
    // The one from the future counts as used then, not for ever.
    std::thread::sleep(Duration::from_millis(50));
    let report =
        store.gc(&GcOptions { max_age: Some(Duration::from_millis(10)), ..GcOptions::default() }).unwrap();
    assert_eq!(report.records_dropped, 3, "{report:?}");
}

#[test]
fn rule_23_values_that_nothing_reaches_go_and_blobs_that_a_value_names_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let [binary, hex, nobody] = [b"binary".to_vec(), bytes(2, 2 << 20), b"nobody".to_vec()];
    let [binary, hex, nobody] = [&binary, &hex, &nobody].map(|bytes| store.put_blob_bytes(bytes).unwrap());
    let manifest =
        [b"outputs: ".as_slice(), binary.as_bytes(), b" and ", hex.to_string().as_bytes()].concat();
    let put = |call, manifest: &[u8]| {
        let result = Stored { digest: ValueDigest::new(Digest::of(manifest)), fingerprint: FP };
        store.put_result(&Record { result, created_ms: now(), ..record(call, 0, 0, 0) }, manifest).unwrap();
    };
    put(1, &manifest);
    // A manifest that is a file of its own, and names its blob behind much else.
    let far = store.put_blob_bytes(b"far").unwrap();
    put(2, &[&bytes(5, 3 << 20)[..], b"x", far.as_bytes(), b"y"].concat());
    store.put_value(value(77), FP, b"unreached").unwrap();
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!((report.records_dropped, report.values_dropped), (0, 2));
    assert!(store.has_value(&binary, TypeFingerprint::BLOB).unwrap());
    assert!(store.blob(&hex).unwrap().is_some());
    assert!(store.has_value(&far, TypeFingerprint::BLOB).unwrap());
    assert!(!store.has_value(&nobody, TypeFingerprint::BLOB).unwrap());
    assert!(!store.has_value(&value(77), FP).unwrap());
    // With its manifest a large blob's file goes too.
    store.evict_call(&common::identity(1).id()).unwrap();
    let report = store.gc(&GcOptions::default()).unwrap();
    assert_eq!(report.values_dropped, 3);
    assert!(report.bytes_freed > 1 << 20);
}

#[test]
fn rule_20_another_versions_directory_counts_against_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for i in 0..20 {
        put(&store, i, now());
    }
    fs::create_dir(dir.path().join("v0")).unwrap();
    fs::write(dir.path().join("v0/data"), vec![1; 100_000]).unwrap();
    let options = GcOptions { max_bytes: Some(100_000), dry_run: true, ..GcOptions::default() };
    assert_eq!(store.gc(&options).unwrap().records_kept, 0);
    fs::remove_dir_all(dir.path().join("v0")).unwrap();
    assert_eq!(store.gc(&options).unwrap().records_kept, 20);
}

#[test]
fn verify_finds_exactly_what_is_damaged_and_repair_drops_exactly_that() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for i in 0..10 {
        put(&store, i, now());
    }
    store.put_value(value(50), FP, &bytes(50, 100_000)).unwrap();
    let blob = store.put_blob_bytes(&bytes(9, 3 << 20)).unwrap();
    assert_eq!(store.verify(false).unwrap().damage, []);
    drop(store);
    let segment = fs::read_dir(dir.path().join("v1/segments")).unwrap().next().unwrap().unwrap().path();
    let mut content = fs::read(&segment).unwrap();
    for needle in [bytes(4, 1000), bytes(50, 100_000)] {
        let at = content.windows(1000).position(|window| window == &needle[..1000]).unwrap();
        content[at + 500] ^= 1;
    }
    fs::write(&segment, &content).unwrap();
    let name = blob.to_string();
    let file =
        fs::read_dir(dir.path().join("v1/values").join(&name[..2])).unwrap().next().unwrap().unwrap().path();
    let mut content = fs::read(&file).unwrap();
    content[2 << 20] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, &content).unwrap();
    let store = open(dir.path());
    let report = store.verify(false).unwrap();
    assert_eq!(report.damage.len(), 3, "{:?}", report.damage);
    assert_eq!(report.repaired, 0);
    let report = store.verify(true).unwrap();
    assert_eq!((report.damage.len(), report.repaired), (3, 3));
    assert_eq!(store.verify(false).unwrap().damage, []);
    assert!(!store.has_value(&value(4), FP).unwrap());
    assert!(!store.has_value(&value(50), FP).unwrap());
    assert!(store.blob(&blob).unwrap().is_none());
    for i in (0..10).filter(|i| *i != 4) {
        assert!(store.has_value(&value(i), FP).unwrap());
    }
}

#[test]
fn rule_16_views_stay_valid_through_eviction_and_gc() {
    let dir = tempfile::tempdir().unwrap();
    let store = tuned(dir.path(), 200_000);
    let views: Vec<_> = (0..6)
        .map(|i| {
            let length = if i % 2 == 0 { 50_000 } else { 2 << 20 };
            store.put_value(value(i), FP, &bytes(i, length)).unwrap();
            store.value(&value(i), FP).unwrap().unwrap()
        })
        .collect();
    assert!(views.iter().all(fleche_store::Bytes::is_mapped));
    let clones = views.clone();
    store.evict_value(&value(1), FP).unwrap();
    store.gc(&GcOptions::default()).unwrap();
    assert_eq!(store.stats().unwrap().values, 0);
    drop(store);
    let thread = std::thread::spawn(move || views.iter().map(|view| view.len()).sum::<usize>());
    thread.join().unwrap();
    for (i, view) in clones.iter().enumerate() {
        let i = i as u64;
        assert_eq!(view[..], bytes(i, view.len())[..]);
    }
}
