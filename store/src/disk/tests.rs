//! Faults that only the inside can inject.

use super::*;
use crate::writer::faults;

const FP: TypeFingerprint = TypeFingerprint(3);

fn digest(i: u64) -> ValueDigest {
    ValueDigest::new(Digest::of(&i.to_le_bytes()))
}

fn bytes(i: u64, length: usize) -> Vec<u8> {
    i.to_le_bytes().iter().copied().cycle().take(length).collect()
}

fn open(dir: &Path) -> Arc<Disk> {
    Disk::open(dir, Options::default()).unwrap()
}

#[test]
fn rule_01_short_writes_are_continued() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    for short in [1, 7, 64, 100] {
        faults::SHORT.set(Some(short));
        for (i, length) in [0, 1, 63, 500, 40_000].into_iter().enumerate() {
            let i = i as u64 + 100 * short as u64;
            disk.put_value(digest(i), FP, &bytes(i, length)).unwrap();
        }
        faults::SHORT.set(None);
        for (i, length) in [0, 1, 63, 500, 40_000].into_iter().enumerate() {
            let i = i as u64 + 100 * short as u64;
            assert_eq!(
                open(dir.path()).value(&digest(i), FP).unwrap().as_deref(),
                Some(&bytes(i, length)[..])
            );
        }
    }
}

#[test]
fn rule_18_a_disk_that_fills_up_at_any_byte_is_an_error_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    disk.put_value(digest(0), FP, &bytes(0, 100)).unwrap();
    for room in 0..200 {
        let i = 1000 + room as u64;
        faults::ROOM.set(Some(room));
        let failed = disk.put_value(digest(i), FP, &bytes(i, 100));
        faults::ROOM.set(None);
        assert_eq!(failed.is_err(), room < 64 + 112, "{room}");
        // The same writer goes on, and other readers find everything that was acknowledged.
        disk.put_value(digest(2000 + i), FP, &bytes(i, 30)).unwrap();
        let other = open(dir.path());
        for disk in [&disk, &other] {
            assert_eq!(disk.value(&digest(0), FP).unwrap().as_deref(), Some(&bytes(0, 100)[..]));
            assert_eq!(disk.value(&digest(2000 + i), FP).unwrap().as_deref(), Some(&bytes(i, 30)[..]));
            assert_eq!(disk.value(&digest(i), FP).unwrap().is_some(), failed.is_ok());
        }
    }
}

#[test]
fn rule_05_network_file_systems_are_known() {
    assert_eq!(layout::network_file_system(0x6969), Some("NFS"));
    assert_eq!(layout::network_file_system(0xff53_4d42), Some("SMB"));
    // As a signed number, the way some platforms give it.
    assert_eq!(layout::network_file_system(0xffff_ffff_ff53_4d42), Some("SMB"));
    assert_eq!(layout::network_file_system(0x6573_5546), Some("FUSE"));
    assert_eq!(layout::network_file_system(0xef53), None, "ext4");
    assert_eq!(layout::network_file_system(0x0102_1994), None, "tmpfs");
    let error = Error::NetworkFileSystem { path: "/net/x".into(), kind: "NFS" };
    assert!(error.to_string().contains("put it on a local disk"));
}

fn record(i: u64, result: u64) -> Record {
    use crate::record::{Dependency, Edge, Identity, Stored};
    let dependency = Dependency::Input { kind: 1, name: b"in".to_vec() };
    Record {
        identity: Identity {
            function: "f".into(),
            package: "p".into(),
            module: format!("m{i}"),
            arguments: Vec::new(),
        },
        key: CallKey::new(Digest::of(&(i + 1_000_000).to_le_bytes())),
        trace: vec![Edge { dependency, observed: Digest::of(b"seen") }],
        result: Stored { digest: digest(result), fingerprint: FP },
        meta: Vec::new(),
        created_ms: 0,
        clock: 0,
    }
}

fn tuned(dir: &Path, roll: u64, table: u64) -> Arc<Disk> {
    Disk::tuned(dir, Options::default(), Tuning { roll, table }).unwrap()
}

/// Every record of `range` is there with its newest result, and so is its value.
fn assert_whole(disk: &Disk, range: std::ops::Range<u64>, when: &str) {
    for i in range.clone() {
        let found = disk.records(&record(i, 0).key).unwrap();
        assert_eq!(
            found.iter().map(|r| r.result.digest).collect::<Vec<_>>(),
            [digest(i)],
            "record {i} {when}"
        );
        let value = disk.value(&digest(i), FP).unwrap();
        assert_eq!(value.as_deref(), Some(&bytes(i, 200)[..]), "value {i} {when}");
    }
    assert_eq!(
        disk.calls_of("f").unwrap().len(),
        usize::try_from(range.end - range.start).unwrap(),
        "{when}"
    );
}

fn fill(disk: &Disk, range: std::ops::Range<u64>) {
    for i in range {
        disk.put_record(&record(i, i + 5000), Some(&bytes(i, 200))).unwrap();
        // A rerun replaces it.
        disk.put_record(&record(i, i), Some(&bytes(i, 200))).unwrap();
    }
}

/// Looks at the store at every place that a piece of upkeep passes, with a reader opened just then, one opened before
/// anything began, and one opened at each earlier place.
fn watched(dir: &Path, range: std::ops::Range<u64>, f: impl FnOnce()) -> Vec<&'static str> {
    let places = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = places.clone();
    let path = dir.to_path_buf();
    let options = || Options { read_only: true, ..Options::default() };
    let mut readers = vec![Disk::open(&path, options()).unwrap()];
    let hook = move |place| {
        seen.borrow_mut().push(place);
        readers.push(Disk::open(&path, options()).unwrap());
        for reader in &readers {
            assert_whole(reader, range.clone(), place);
        }
    };
    crate::pause::with(hook, f);
    std::rc::Rc::try_unwrap(places).unwrap().into_inner()
}

#[test]
fn rule_09_readers_find_everything_at_every_step_of_a_merge() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 1 << 20, 7);
    for start in (0..60).step_by(10) {
        fill(&disk, start..start + 10);
        disk.settle_down();
    }
    let view = disk.views.get();
    assert!(view.tables.len() > 1);
    let places = watched(dir.path(), 0..60, || {
        let _lock = disk.maintenance(PATIENCE).unwrap();
        disk.merge(&view, &view.tables).unwrap();
    });
    for place in ["table written", "tables merged", "merged table removed"] {
        assert!(places.contains(&place), "{place} in {places:?}");
    }
    assert_whole(&disk, 0..60, "at the end");
    assert_eq!(disk.views.get().tables.len(), 1);
}

#[test]
fn rule_22_readers_find_everything_at_every_step_of_a_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 10_000, 20);
    fill(&disk, 0..60);
    fill(&disk, 60..140);
    disk.settle_down();
    // Most of the later ones go, so that segments are mostly dead.
    for i in 60..140 {
        disk.evict_call(&record(i, 0).identity.id()).unwrap();
        disk.evict_value(&digest(i), FP).unwrap();
        disk.evict_value(&digest(i + 5000), FP).unwrap();
    }
    let places = watched(dir.path(), 0..60, || {
        disk.collect_garbage(&GcOptions::default()).unwrap();
    });
    for place in
        ["compacted segment written", "compacted segment named", "compacted table named", "victim removed"]
    {
        assert!(places.contains(&place), "{place} in {places:?}");
    }
    assert_whole(&disk, 0..60, "at the end");
}

/// What a process killed at each place leaves behind: the copy of the directory made there is opened and written to.
#[test]
fn rule_22_an_interrupted_merge_or_compaction_is_finished_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 10_000, 20);
    fill(&disk, 0..100);
    disk.settle_down();
    for i in 40..100 {
        disk.evict_call(&record(i, 0).identity.id()).unwrap();
    }
    let path = dir.path().to_path_buf();
    let copies = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let made = copies.clone();
    let hook = move |place| {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&path, copy.path());
        made.borrow_mut().push((place, copy));
    };
    crate::pause::with(hook, || disk.collect_garbage(&GcOptions::default()).unwrap());
    for (place, copy) in copies.take() {
        assert_whole(&open(copy.path()), 0..40, place);
        let disk = tuned(copy.path(), 10_000, 20);
        disk.collect_garbage(&GcOptions::default()).unwrap();
        assert_whole(&disk, 0..40, place);
        fill(&disk, 100..120);
        disk.settle_down();
        for table in &disk.views.get().tables {
            for id in &table.header.retired {
                assert!(
                    !disk.layout.segments.join(id.file_name()).exists(),
                    "a victim is left after {place}"
                );
            }
        }
        assert_eq!(disk.verify_all(false).unwrap().damage, [], "after {place}");
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
