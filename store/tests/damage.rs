//! Damaged files: the right value, or a miss, and the healthy entries stay.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{FP, bytes, record, value};
use fleche_store::{Options, Store};

const ENTRIES: u64 = 12;

fn size(i: u64) -> usize {
    if i == 5 { 17_000 } else { 40 + usize::try_from(i).unwrap() * 7 }
}

/// A small store; returns its one segment.
fn small(dir: &Path) -> PathBuf {
    let store = common::open(dir);
    for i in 0..ENTRIES {
        store.put_value(value(i), FP, &bytes(i, size(i))).unwrap();
        store.put_record(&record(i, 0, i, i)).unwrap();
        store.put_note(3, &common::digest("note", i), &bytes(i, 9)).unwrap();
    }
    drop(store);
    segment(dir)
}

fn segment(dir: &Path) -> PathBuf {
    let mut files = fs::read_dir(dir.join("v1/segments")).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

/// How many entries are gone. None may be wrong.
fn missing(store: &Store) -> u64 {
    let mut missing = 0;
    for i in 0..ENTRIES {
        match store.value(&value(i), FP).unwrap() {
            // Mapped views are not hashed at every read; that is what `verify` is for.
            Some(found) if found.is_mapped() => {
                assert!(size(i) >= 16 * 1024, "rule 15: small values are copied");
                assert_eq!(found.len(), size(i));
            }
            Some(found) => assert_eq!(found[..], bytes(i, size(i))[..], "value {i}"),
            None => missing += 1,
        }
        let expected = record(i, 0, i, i);
        let found = store.records(&expected.key).unwrap();
        match found.as_slice() {
            [] => missing += 1,
            [found] => assert!(found.says_the_same(&expected) && found.meta == expected.meta),
            more => panic!("{} records", more.len()),
        }
        match store.note(3, &common::digest("note", i)).unwrap() {
            Some(found) => assert_eq!(found, bytes(i, 9)),
            None => missing += 1,
        }
    }
    missing
}

/// Where the value that gets mapped lies, but for its ends: one place in there is like any other.
fn long_value(segment: &[u8]) -> std::ops::Range<usize> {
    let needle = bytes(5, 1000);
    let start = segment.windows(needle.len()).position(|window| window == needle).unwrap();
    start + 64..start + size(5) - 64
}

fn open(dir: &Path) -> Store {
    let options = Options { read_only: true, ..Options::default() };
    Store::open(dir, options).unwrap()
}

#[test]
fn rule_18_every_flipped_byte_is_a_miss_of_one_entry_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let file = small(dir.path());
    let clean = fs::read(&file).unwrap();
    let inside = long_value(&clean);
    for at in 0..clean.len() {
        // The long value's inside is one and the same case.
        if at % 64 != 0 && inside.contains(&at) {
            continue;
        }
        for flip in if at % 16 == 0 { &[1, 0x80, 0xff][..] } else { &[0x10] } {
            let mut bytes = clean.clone();
            bytes[at] ^= flip;
            fs::write(&file, &bytes).unwrap();
            let missing = missing(&open(dir.path()));
            // The segment's own header is the one place where a flip loses all of it.
            assert!(
                missing <= 1 || (at < 64 && missing == 3 * ENTRIES),
                "byte {at} ^ {flip}: {missing} missing"
            );
        }
    }
    fs::write(&file, &clean).unwrap();
    assert_eq!(missing(&open(dir.path())), 0);
}

#[test]
fn rule_18_every_truncation_keeps_what_is_before_it_and_can_be_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let file = small(dir.path());
    let clean = fs::read(&file).unwrap();
    let inside = long_value(&clean);
    let mut last = 3 * ENTRIES;
    for length in (0..=clean.len()).filter(|length| length % 64 == 0 || !inside.contains(length)) {
        fs::write(&file, &clean[..length]).unwrap();
        let missing = missing(&open(dir.path()));
        assert!(missing <= last, "more bytes, fewer entries");
        last = missing;
        if length % 640 == 0 {
            let store = common::open(dir.path());
            store.put_value(value(99), FP, b"new").unwrap();
            assert_eq!(store.value(&value(99), FP).unwrap().as_deref(), Some(&b"new"[..]));
            drop(store);
            for entry in fs::read_dir(dir.path().join("v1/segments")).unwrap() {
                let other = entry.unwrap().path();
                if other != file {
                    fs::remove_file(other).unwrap();
                }
            }
            fs::remove_file(&file).unwrap();
        }
    }
    assert_eq!(last, 0);
}

#[test]
fn rule_18_things_that_are_no_segments_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = small(dir.path());
    let segments = dir.path().join("v1/segments");
    let name = |i: u8| segments.join(format!("{}.seg", format!("{i:02x}").repeat(16)));
    fs::write(name(1), b"").unwrap();
    fs::write(name(2), b"something else altogether, longer than any header could be, to be sure of it")
        .unwrap();
    fs::create_dir(name(3)).unwrap();
    std::os::unix::fs::symlink(&file, name(4)).unwrap();
    fs::copy(&file, name(5)).unwrap(); // under another name: not its own
    rustix::fs::mknodat(rustix::fs::CWD, name(6), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    fs::write(segments.join("README"), b"x").unwrap();
    let store = common::open(dir.path());
    assert_eq!(missing(&store), 0);
    store.put_value(value(99), FP, b"new").unwrap();
    assert!(store.has_value(&value(99), FP).unwrap());
    assert_eq!(fs::read(name(1)).unwrap(), b"");
}

#[test]
fn rule_18_frames_inside_of_a_damaged_value_are_none_of_ours() {
    let other = tempfile::tempdir().unwrap();
    let foreign = fs::read(small(other.path())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = common::open(dir.path());
    store.put_value(value(700), FP, &foreign).unwrap();
    store.put_value(value(701), FP, b"behind it").unwrap();
    drop(store);
    let file = segment(dir.path());
    let mut content = fs::read(&file).unwrap();
    content[64 + 24] ^= 1; // the length of the frame that holds the other store's segment
    fs::write(&file, &content).unwrap();
    let store = open(dir.path());
    assert_eq!(missing(&store), 3 * ENTRIES);
    assert!(store.has_value(&value(701), FP).unwrap(), "what is behind the damage is found");
}
