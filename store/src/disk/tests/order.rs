//! In which order things are brought to the disk: what leads to something only after what it leads to.

use super::*;
use crate::layout::STEPS;
use crate::reader::large as large_of;

/// What is done to the parts of a store on this thread meanwhile.
fn steps(f: impl FnOnce()) -> Vec<String> {
    STEPS.take();
    f();
    STEPS.take()
}

fn sync(dir: &Path) -> Arc<Disk> {
    Disk::open(dir, Options { durability: Durability::Sync, ..Options::default() }).unwrap()
}

#[test]
fn rule_17_durability_process_waits_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    let put = || {
        disk.put_value(digest(1), FP, b"small").unwrap();
        disk.put_record(&record(1, 1), Some(&bytes(1, 100))).unwrap();
    };
    assert_eq!(steps(put), ["named segments", "appended segments", "appended segments"]);
}

#[test]
fn rule_17_durability_sync_waits_for_the_disk_at_each_put() {
    let dir = tempfile::tempdir().unwrap();
    let disk = sync(dir.path());
    let first = steps(|| disk.put_value(digest(1), FP, b"small").unwrap());
    let created = ["named segments", "entries segments", "entries v1", "entries ?"];
    assert_eq!(first, [&created[..], &["appended segments", "content segments"]].concat());
    let puts: [&dyn Fn(); 4] = [
        &|| disk.put_value(digest(2), FP, &bytes(2, 50_000)).unwrap(),
        &|| disk.put_record(&record(1, 1), None).map(|_| ()).unwrap(),
        &|| disk.put_note(1, &digest(1).digest(), b"note").unwrap(),
        &|| {
            let records: Vec<_> = (10..200).map(|i| record(i, i)).collect();
            disk.put_batch(&many(&records)).map(|_| ()).unwrap();
        },
    ];
    for put in puts {
        assert_eq!(steps(put), ["appended segments", "content segments"]);
    }
    // The file, its name, and only then the frame that names it.
    let large = steps(|| disk.put_value(digest(3), FP, &bytes(3, 2 << 20)).unwrap());
    let file = ["content values", "named values", "entries values", "entries values"];
    assert_eq!(large, [&file[..], &["appended segments", "content segments"]].concat());
    let view = disk.views.get();
    let synced = view.find_value(&digest(3), FP, |segment, offset, header| {
        Some(large_of(segment, offset, header)?.is_synced(&disk.layout, &digest(3).digest()))
    });
    assert_eq!(synced, Some(true), "and its mode says so");
}

#[test]
fn rule_17_sync_brings_everything_to_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    disk.put_value(digest(1), FP, b"small").unwrap();
    disk.settle_down();
    // As if the worker had not come to it.
    disk.put_value(digest(2), FP, &bytes(2, 2 << 20)).unwrap();
    disk.settle_down();
    let view = disk.views.get();
    let path = view.find_value(&digest(2), FP, |segment, offset, header| {
        Some(large_of(segment, offset, header)?.path(&disk.layout, &digest(2).digest()))
    });
    disk.unsynced.lock().push(path.unwrap());
    let steps = steps(|| disk.sync().unwrap());
    let file = ["content values", "entries values", "entries values"];
    assert_eq!(
        steps,
        [&file[..], &["content segments", "entries segments", "entries v1", "entries ?"]].concat()
    );
}

const TABLE: [&str; 5] =
    ["content segments", "entries segments", "content tables", "named tables", "entries tables"];

#[test]
fn rule_17_a_table_reaches_the_disk_after_its_segments_and_before_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..5);
    let tails = disk.views.get().tails.clone();
    let mut steps = steps(|| disk.publish_tails(&tails, true).unwrap());
    // Records that newer ones replace.
    steps.retain(|step| step != "killed segments");
    assert_eq!(steps, TABLE);
}

#[test]
fn rule_22_compaction_removes_what_it_moved_only_when_the_move_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..50);
    steps::evict_calls(&disk, 5..50);
    let steps = steps(|| disk.collect_garbage(&GcOptions::default()).map(|_| ()).unwrap());
    let killed = steps.iter().rposition(|step| step.starts_with("killed")).unwrap();
    let rest: Vec<_> = steps[killed + 1..].iter().map(String::as_str).collect();
    let moved = ["content segments", "named segments", "entries segments"];
    let expected = [
        // The evictions of the values that nothing reaches any more.
        &["content segments"][..],
        &moved,
        &TABLE,
        &["removed segments", "entries segments"],
        // One table of all that is left.
        &TABLE,
    ]
    .concat();
    assert_eq!(rest, expected);
}

#[test]
fn rule_21_an_eviction_is_acknowledged_when_it_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..5);
    let evict = || assert_eq!(disk.evict_value(&digest(1), FP).unwrap(), 1);
    assert_eq!(steps(evict), ["killed segments", "content segments"]);
    let evict = || assert_eq!(disk.evict_call(&record(1, 0).identity.id()).unwrap(), 1);
    // That it happened is on the disk before anybody is told, so that nothing derived brings it back.
    let overruled = ["content v1", "entries v1"];
    assert_eq!(
        steps(evict),
        [&["killed segments", "killed segments", "content segments"][..], &overruled].concat()
    );
}

#[test]
fn rule_09_a_merge_removes_tables_only_when_the_merged_one_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    for start in [0, 5] {
        fill(&disk, start..start + 5);
        let mut writer = disk.writer_now();
        let old = writer.active().unwrap().turn();
        disk.views.add_tail(&writer.active().unwrap().tail);
        drop(writer);
        disk.publish_tails(&[old], false).unwrap();
    }
    let view = disk.views.get();
    assert_eq!(view.tables.len(), 2);
    let steps = steps(|| disk.merge(&view, &view.tables).unwrap());
    assert_eq!(steps, [&TABLE[..], &["removed tables", "removed tables"]].concat());
}
