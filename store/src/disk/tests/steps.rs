//! What readers find at every step of a merge and of a compaction, and what a crash there leaves behind.

use super::*;

/// Evicts many calls, waiting for the disk once. Nothing reaches their values then.
pub(super) fn evict_calls(disk: &Disk, range: std::ops::Range<u64>) {
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
    let mut end = 60;
    fill(&disk, 0..end);
    disk.settle_down();
    while disk.views.get().tables.len() < 2 {
        fill(&disk, end..end + 5);
        end += 5;
        disk.settle_down();
    }
    let view = disk.views.get();
    let places = watched(dir.path(), 0..end, || {
        let _lock = disk.maintenance(PATIENCE).unwrap();
        disk.merge(&view, &view.tables).unwrap();
    });
    for place in ["table written", "tables merged", "merged table removed"] {
        assert!(places.contains(&place), "{place} in {places:?}");
    }
    assert_whole(&disk, 0..end, "at the end");
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

pub(super) fn copy_tree(from: &Path, to: &Path) {
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
    let mut end = 0;
    while disk.views.get().tables.len() < 2 {
        fill(&disk, end..end + 10);
        end += 10;
        disk.settle_down();
    }
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
    assert_whole(&open(dir.path()), 0..end, "after the race");
}

#[test]
fn rule_23_what_others_put_while_gc_works_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    let other = open(dir.path());
    // The other's segment is mostly dead; then, when it is decided what stays, more is put into it, and its writer ends.
    fill(&other, 0..30);
    evict_calls(&other, 0..30);
    let more = std::cell::RefCell::new(Some(other));
    let hook = move |place| {
        if place == "gc planned"
            && let Some(other) = more.take()
        {
            fill(&other, 100..105);
        }
    };
    crate::pause::with(hook, || disk.collect_garbage(&GcOptions::default()).unwrap());
    assert_whole(&disk, 100..105, "after gc");
    assert_whole(&open(dir.path()), 100..105, "after gc, to others");
    // Now that nobody is at it the dead part goes.
    disk.collect_garbage(&GcOptions::default()).unwrap();
    assert_whole(&open(dir.path()), 100..105, "after another gc");
    assert!(disk.stats().unwrap().disk_bytes < 5 << 20);
}

#[test]
fn pinned_values_stay_even_if_they_are_pinned_while_gc_works() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 100_000, 1000);
    let other = open(dir.path());
    for i in 0..100 {
        disk.put_value(digest(i), FP, &bytes(i, 300)).unwrap();
    }
    disk.put_value(digest(100), FP, &bytes(100, 2 << 20)).unwrap();
    let early = [1, 100].map(|i| other.pins().pin((digest(i), FP)));
    let late = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let (pins, made) = (other.pins().clone(), late.clone());
    let hook = move |place| {
        if place == "gc planned" {
            made.borrow_mut().push(pins.pin((digest(2), FP)));
        }
    };
    let kept = || (0..=100).filter(|i| disk.has_value(&digest(*i), FP).unwrap()).collect::<Vec<_>>();
    let report = crate::pause::with(hook, || disk.collect_garbage(&GcOptions::default()).unwrap());
    assert_eq!(kept(), [1, 2, 100]);
    assert!(report.bytes_kept > 2 << 20, "they count: {report:?}");
    assert_eq!(disk.evict_value(&digest(1), FP).unwrap(), 0);
    assert_eq!(kept(), [1, 2, 100]);
    let again = disk.pins().pin((digest(1), FP));
    drop(early);
    assert_eq!(disk.evict_value(&digest(1), FP).unwrap(), 0, "pinned twice, let go once");
    drop(again);
    assert_eq!(disk.evict_value(&digest(1), FP).unwrap(), 1);
    late.borrow_mut().clear();
    disk.collect_garbage(&GcOptions::default()).unwrap();
    assert!(kept().is_empty());
}

#[test]
fn rule_22_what_a_compaction_that_was_killed_moved_is_removed_by_whoever_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..50);
    evict_calls(&disk, 5..50);
    let copy = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().to_path_buf(), copy.path().to_path_buf());
    let hook = move |place| {
        if place == "compacted table named" {
            copy_tree(&from, &to);
        }
    };
    crate::pause::with(hook, || disk.collect_garbage(&GcOptions::default()).unwrap());
    let disk = open(copy.path());
    let segments = || std::fs::read_dir(&disk.layout.segments).unwrap().count();
    assert_eq!(segments(), 2);
    disk.finish_interrupted().unwrap();
    assert_eq!(segments(), 1);
    assert_whole(&disk, 0..5, "after that");
    assert_whole(&open(copy.path()), 0..5, "after that, to others");
}

/// The files below a directory that this process has open or mapped although they were removed.
#[cfg(target_os = "linux")]
fn removed(dir: &str) -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let open = open.filter_map(|target| target.to_str().map(str::to_owned));
    let all = maps.lines().map(str::to_owned).chain(open);
    all.filter(|name| name.contains(dir) && name.ends_with("(deleted)")).collect()
}

/// Or the disk would not have its bytes back, which may be the room that the next step needs.
#[cfg(target_os = "linux")]
#[test]
fn rule_24_compaction_keeps_nothing_open_or_mapped_that_it_removed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 10_000, 20);
    fill(&disk, 0..140);
    disk.settle_down();
    evict_calls(&disk, 60..140);
    let path = dir.path().to_str().unwrap().to_owned();
    let held = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = held.clone();
    let hook = move |place| {
        if place == "victims closed" {
            // The worker may be at something with the picture of before; what is held here stays held.
            let mut still = removed(&path);
            for _ in 0..500 {
                if still.is_empty() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
                still = removed(&path);
            }
            seen.borrow_mut().push(still);
        }
    };
    crate::pause::with(hook, || disk.collect_garbage(&GcOptions::default()).unwrap());
    let held = std::rc::Rc::try_unwrap(held).unwrap().into_inner();
    assert!(held.len() > 1, "{held:?}");
    assert!(held.iter().all(Vec::is_empty), "{held:?}");
    assert_whole(&disk, 0..60, "at the end");
}
