//! What readers find at every step of a merge and of a compaction, and what a crash there leaves behind.

use super::*;

/// Evicts many calls, waiting for the disk once. Nothing reaches their values then.
fn evict_calls(disk: &Disk, range: std::ops::Range<u64>) {
    let mut eviction = Eviction::default();
    for i in range {
        disk.views.get().find(Class::Record, record(i, 0).key.digest().leading(), |segment, offset| {
            eviction.kill(segment, offset);
            None::<()>
        });
    }
    assert!(eviction.finish().unwrap() > 0);
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
        let mut seen = seen.borrow_mut();
        seen.push(place);
        // The first times that it passes a place are as good as all.
        if seen.iter().filter(|other| **other == place).count() > 3 {
            return;
        }
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
    evict_calls(&disk, 60..140);
    let places = watched(dir.path(), 0..60, || {
        disk.collect_garbage(&GcOptions::default()).unwrap();
    });
    for place in
        ["compacted segment written", "compacted segment named", "compacted table named", "victim removed"]
    {
        assert!(places.contains(&place), "{place} in {places:?}");
    }
    assert_whole(&disk, 0..60, "at the end");
    let sealed = |tail: &Arc<Tail>| tail.segment.is_sealed();
    assert!(!disk.views.get().tails.iter().any(sealed), "the new segment came with a table");
}

/// What a process killed at each place leaves behind: the copy of the directory made there is opened and written to.
#[test]
fn rule_22_an_interrupted_merge_or_compaction_is_finished_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 10_000, 20);
    fill(&disk, 0..100);
    disk.settle_down();
    evict_calls(&disk, 40..100);
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

#[test]
fn rule_09_a_listing_that_races_with_a_merge_lists_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 1 << 20, 7);
    for start in (0..30).step_by(10) {
        fill(&disk, start..start + 10);
        disk.settle_down();
    }
    assert!(disk.views.get().tables.len() > 1);
    let mut merged = false;
    let other = disk.clone();
    let hook = move |place| {
        if place == "table listed" && !std::mem::replace(&mut merged, true) {
            // Between the reader's listing and its opening everything it listed goes.
            let view = other.views.get();
            other.merge(&view, &view.tables).unwrap();
        }
    };
    // Without the generation, which would notice a moment later.
    let views = Views::new(disk.layout.clone(), 0, Vec::new().into());
    crate::pause::with(hook, || views.reload().unwrap());
    assert_eq!(views.get().tables.len(), 1, "the merged table, found by listing again");
    assert_whole(&open(dir.path()), 0..30, "after the race");
}
