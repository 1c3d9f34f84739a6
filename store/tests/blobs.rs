//! Blobs: files in, files out, small and large.

mod common;

use std::fs;

use common::{bytes, open};
use fleche_store::{Digest, Error, Store, ValueDigest};

fn round_trip(store: &Store, length: usize) {
    let dir = tempfile::tempdir().unwrap();
    let content = bytes(7, length);
    let from = dir.path().join("from");
    fs::write(&from, &content).unwrap();
    let (digest, size) = store.put_blob(&from).unwrap();
    assert_eq!(digest, ValueDigest::new(Digest::of(&content)), "the digest is the plain one");
    assert_eq!(size, length as u64);
    assert_eq!(store.value_length(&digest, fleche_store::TypeFingerprint::BLOB).unwrap(), Some(size));
    assert_eq!(store.put_blob_bytes(&content).unwrap(), digest);
    assert_eq!(store.blob(&digest).unwrap().unwrap()[..], content[..]);
    let to = dir.path().join("to");
    assert!(store.copy_blob(&digest, &to).unwrap());
    assert_eq!(fs::read(&to).unwrap(), content);
    assert!(
        matches!(store.copy_blob(&digest, &to), Err(Error::Io { .. })),
        "an existing file is not replaced"
    );
    assert_eq!(store.stats().unwrap().values, 1, "stored once");
}

#[test]
fn blobs_of_every_size_round_trip() {
    for length in [0, 1, 16 * 1024, (1 << 20) - 1, 1 << 20, (5 << 20) + 3] {
        round_trip(&Store::memory(), length);
        let dir = tempfile::tempdir().unwrap();
        round_trip(&open(dir.path()), length);
    }
}

#[test]
fn an_unknown_blob_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    for store in [Store::memory(), open(dir.path())] {
        let digest = ValueDigest::new(Digest::of(b"nothing"));
        assert_eq!(store.blob(&digest).unwrap(), None);
        assert!(!store.copy_blob(&digest, &dir.path().join("to")).unwrap());
        assert!(!dir.path().join("to").exists());
    }
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for store in [Store::memory(), open(dir.path())] {
        let Err(Error::Io { path, .. }) = store.put_blob(&missing) else { panic!("no error") };
        assert_eq!(path, missing);
    }
}

/// Rule 7: large values are files of their own.
#[test]
fn rule_07_a_large_value_is_a_file_of_its_own_and_heals_when_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let content = bytes(3, 2 << 20);
    let digest = store.put_blob_bytes(&content).unwrap();
    let view = store.blob(&digest).unwrap().unwrap();
    assert!(view.is_mapped());
    let name = digest.to_string();
    let folder = dir.path().join("v1/values").join(&name[..2]);
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::metadata(&file).unwrap().len(), content.len() as u64, "the file holds just the bytes");
    let segments: u64 = fs::read_dir(dir.path().join("v1/segments"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(segments < 1000);
    // Gone: a miss, and it can be put again. The old view stays valid.
    fs::remove_file(&file).unwrap();
    assert_eq!(store.blob(&digest).unwrap(), None);
    assert!(!store.has_value(&digest, fleche_store::TypeFingerprint::BLOB).unwrap());
    assert_eq!(store.put_blob_bytes(&content).unwrap(), digest);
    assert_eq!(store.blob(&digest).unwrap().unwrap(), view);
    // Damaged inside: copying out notices.
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bad = content.clone();
    bad[1 << 20] ^= 1;
    fs::remove_file(&file).unwrap();
    fs::write(&file, &bad).unwrap();
    assert!(!store.copy_blob(&digest, &dir.path().join("to")).unwrap());
    assert!(!dir.path().join("to").exists());
}
