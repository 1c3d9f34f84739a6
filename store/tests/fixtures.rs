//! Stores that older versions wrote are read by this one. A format that can't be is another directory.

mod common;

use std::fs;
use std::path::Path;

use common::{FP, bytes, record, value};
use fleche_store::{Options, Store};

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn fill(store: &Store) {
    for i in 0..20 {
        store.put_result(&record(i, 0, i, i), &bytes(i, 100)).unwrap();
        store.put_note(2, &common::digest("note", i), &bytes(i, 10)).unwrap();
    }
    store.put_result(&record(50, 0, 0, 100), &bytes(100, 17_000)).unwrap();
    store.evict_call(&common::identity(3).id()).unwrap();
}

/// `cargo test -p fleche-store --test fixtures -- --ignored` writes the fixture of a new version.
#[test]
#[ignore = "writes the fixture"]
fn write_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_tuned(dir.path(), Options::default(), 1 << 20, 30).unwrap();
    fill(&store);
    store.settle();
    // Makes one table that was brought to the disk, which counts on other machines too.
    store.gc(&fleche_store::GcOptions::default()).unwrap();
    drop(store);
    for part in ["segments", "tables"] {
        copy_tree(&dir.path().join("v1").join(part), &fixture().join("1/v1").join(part));
    }
}

#[test]
fn rule_20_version_1_is_read() {
    let dir = tempfile::tempdir().unwrap();
    copy_tree(&fixture().join("1"), dir.path());
    let check = |store: &Store| {
        assert!(store.stats().unwrap().tables > 0);
        for i in (0..20).filter(|i| *i != 3) {
            assert_eq!(store.value(&value(i), FP).unwrap().as_deref(), Some(&bytes(i, 100)[..]));
            let found = store.records(&record(i, 0, i, i).key).unwrap();
            assert!(found.len() == 1 && found[0].says_the_same(&record(i, 0, i, i)));
            assert_eq!(store.note(2, &common::digest("note", i)).unwrap(), Some(bytes(i, 10)));
        }
        assert!(store.records(&record(3, 0, 3, 3).key).unwrap().is_empty(), "it was evicted");
        assert_eq!(store.value(&value(100), FP).unwrap().as_deref(), Some(&bytes(100, 17_000)[..]));
        assert_eq!(store.stats().unwrap().records, 20);
    };
    check(&Store::open(dir.path(), Options { read_only: true, ..Options::default() }).unwrap());
    let store = common::open(dir.path());
    check(&store);
    store.put_value(value(200), FP, b"new").unwrap();
    check(&store);
    assert_eq!(store.verify(false).unwrap().damage, []);
}
