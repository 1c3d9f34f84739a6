//! Faults that only the inside can inject.

use super::*;
use crate::writer::faults;

mod order;
mod schedules;
mod steps;

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
        let tail = disk.views.get().tails[0].clone();
        assert_eq!(tail.segment.length(), Some(tail.end()), "the file ends with its last good frame");
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

fn many(records: &[Record]) -> Vec<Put<'_>> {
    let payload = |record: &Record| -> &'static [u8] {
        bytes(u64::from_le_bytes(*record.result.digest.as_bytes().first_chunk().unwrap()), 300).leak()
    };
    records.iter().map(|record| Put::Result(record, payload(record))).collect()
}

#[test]
fn rule_01_a_batch_is_one_write_and_all_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    disk.put_value(digest(0), FP, &bytes(0, 100)).unwrap();
    let records: Vec<_> = (0..1000).map(|i| record(i, i % 900)).collect();
    let puts = many(&records);
    let clock = disk.clock.load(Ordering::Relaxed);
    for room in [0, 1, 64, 10_000, 300_000] {
        faults::ROOM.set(Some(room));
        let failed = disk.put_batch(&puts);
        faults::ROOM.set(None);
        assert!(failed.is_err());
        let found =
            |disk: &Disk| records.iter().filter(|r| !disk.records(&r.key).unwrap().is_empty()).count();
        assert_eq!((found(&disk), found(&open(dir.path()))), (0, 0), "{room}");
        assert_eq!(disk.clock.load(Ordering::Relaxed), clock);
    }
    faults::WRITES.set(0);
    let last = disk.put_batch(&puts).unwrap();
    assert_eq!(faults::WRITES.get(), 1);
    assert_eq!(last, clock + 1000, "a logical time for each");
    assert_eq!(disk.put_batch(&puts).unwrap(), last);
    assert_eq!(faults::WRITES.get(), 1, "all of it is there");
    for disk in [&disk, &open(dir.path())] {
        let stats = disk.stats().unwrap();
        assert_eq!((stats.values, stats.records), (900, 1000));
        for record in &records {
            assert!(disk.records(&record.key).unwrap()[0].says_the_same(record));
        }
    }
}

#[test]
fn a_batch_of_any_size_turns_and_rolls_as_single_puts_do() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 50_000, 64);
    let records: Vec<_> = (0..500).map(|i| record(i, i)).collect();
    let mut puts = many(&records);
    let large = bytes(7, 2 << 20);
    puts.insert(250, Put::Value { digest: digest(5000), fingerprint: FP, bytes: &large });
    puts.push(Put::Note { kind: 1, key: digest(1).digest(), bytes: b"one" });
    puts.push(Put::Note { kind: 1, key: digest(1).digest(), bytes: b"two" });
    puts.push(Put::Record(&records[499]));
    disk.put_batch(&puts).unwrap();
    disk.settle_down();
    for disk in [&disk, &open(dir.path())] {
        let stats = disk.stats().unwrap();
        assert_eq!((stats.values, stats.records, stats.notes), (501, 500, 1));
        assert!(stats.segments > 3 && stats.tables > 0, "{stats:?}");
        assert_eq!(disk.note(1, &digest(1).digest()).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(disk.value(&digest(5000), FP).unwrap().as_deref(), Some(&large[..]));
    }
    let lengths = std::fs::read_dir(dir.path().join("v1/segments")).unwrap();
    assert!(lengths.into_iter().all(|entry| entry.unwrap().metadata().unwrap().len() <= 50_000));
    assert_eq!(disk.verify_all(false).unwrap().damage, []);
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

/// Makes the only segment look as if it had been written in another boot.
fn age(dir: &Path) {
    let file = std::fs::read_dir(dir.join("v1/segments")).unwrap().next().unwrap().unwrap().path();
    let mut content = std::fs::read(&file).unwrap();
    let mut header = crate::segment::SegmentHeader::parse(content.first_chunk().unwrap()).unwrap();
    header.host.boot ^= 1;
    content[..64].copy_from_slice(&header.bytes());
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, content).unwrap();
}

/// Flips a byte in the middle of the file that holds these bytes.
fn damage(dir: &Path, needle: &[u8]) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path, needle);
            continue;
        }
        let mut content = std::fs::read(&path).unwrap();
        if let Some(at) = content.windows(64).position(|window| window == &needle[..64]) {
            content[at + needle.len() / 2] ^= 1;
            let mode = std::fs::metadata(&path).unwrap().permissions();
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, mode).unwrap();
        }
    }
}

#[test]
fn rule_15_and_17_what_another_boot_left_unsynced_is_checked_at_first_touch() {
    for length in [100, 50_000, 2 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let disk = open(dir.path());
        disk.put_value(digest(1), FP, &bytes(1, length)).unwrap();
        disk.put_value(digest(2), FP, &bytes(2, length)).unwrap();
        disk.settle_down();
        drop(disk);
        // The worker has brought a large value to the disk; take that back.
        for entry in std::fs::read_dir(dir.path().join("v1/values")).unwrap() {
            for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
                use std::os::unix::fs::PermissionsExt;
                let mode = std::fs::Permissions::from_mode(0o600);
                std::fs::set_permissions(file.unwrap().path(), mode).unwrap();
            }
        }
        damage(dir.path(), &bytes(1, length));
        if length > 16 * 1024 {
            assert!(
                open(dir.path()).value(&digest(1), FP).unwrap().is_some(),
                "not looked at in the same boot"
            );
        }
        age(dir.path());
        let disk = open(dir.path());
        assert_eq!(disk.value(&digest(1), FP).unwrap(), None, "{length}");
        let view = disk.value(&digest(2), FP).unwrap().unwrap();
        assert_eq!(view[..], bytes(2, length)[..]);
        // Nobody appends to what another boot began.
        disk.put_value(digest(3), FP, b"x").unwrap();
        assert_eq!(disk.stats().unwrap().segments, 2);
    }
}

#[test]
fn rule_17_a_table_that_was_never_on_the_disk_does_not_count_after_a_reboot() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 1 << 20, 5);
    fill(&disk, 0..20);
    disk.settle_down();
    let before = disk.views.get().tables.len();
    assert!(before > 0);
    drop(disk);
    for (unsynced, counted) in [(true, 0), (false, before)] {
        for entry in std::fs::read_dir(dir.path().join("v1/tables")).unwrap() {
            let path = entry.unwrap().path();
            let content = std::fs::read(&path).unwrap();
            let mut header = crate::table::TableHeader::parse(&content, content.len() as u64).unwrap();
            header.boot = crate::segment::Host::this().boot ^ 1;
            header.synced = !unsynced;
            let head = header.bytes();
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, [&head, &content[head.len()..]].concat()).unwrap();
        }
        let disk = open(dir.path());
        assert_eq!(disk.views.get().tables.len(), counted);
        assert_whole(&disk, 0..20, "after a reboot");
    }
}

#[test]
fn rule_17_sync_is_due_by_time_and_makes_a_synced_table() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..5);
    disk.settle_down();
    assert!(disk.views.get().tables.is_empty());
    *disk.synced.lock() = Instant::now().checked_sub(INTERVAL).unwrap();
    fill(&disk, 5..6);
    disk.settle_down();
    let view = disk.views.get();
    assert!(!view.tables.is_empty() && view.tables.iter().all(|table| table.header.synced));
    assert!(view.tables.iter().flat_map(|table| &table.header.covered).all(|c| c.synced == c.to));
    assert_whole(&disk, 0..6, "after the sync");
}

#[test]
fn rule_19_only_what_was_signed_with_a_known_key_is_found() {
    let keys = |keys: &[u8]| Options {
        keys: keys.iter().map(|key| SigningKey::new([*key; 32])).collect(),
        ..Options::default()
    };
    assert_eq!(format!("{:?}", keys(&[1]).keys), "[SigningKey(..)]");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let put = |disk: &Disk, i: u64| {
        disk.put_value(digest(i), FP, &bytes(i, 200)).unwrap();
        disk.put_value(digest(100 + i), FP, &bytes(i, 40_000)).unwrap();
        disk.put_value(digest(200 + i), FP, &bytes(i, 2 << 20)).unwrap();
        disk.put_record(&record(i, i), None).unwrap();
        disk.put_note(1, &digest(i).digest(), b"note").unwrap();
    };
    let found = |disk: &Disk, i: u64| {
        let all = [
            disk.value(&digest(i), FP).unwrap().is_some(),
            disk.value(&digest(100 + i), FP).unwrap().is_some(),
            disk.value(&digest(200 + i), FP).unwrap().is_some(),
            !disk.records(&record(i, i).key).unwrap().is_empty(),
            disk.note(1, &digest(i).digest()).unwrap().is_some(),
        ];
        assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
        all[0]
    };
    put(&open(path), 0);
    put(&Disk::open(path, keys(&[1])).unwrap(), 1);
    put(&Disk::open(path, keys(&[2, 1])).unwrap(), 2);
    for (with, expected) in [
        (&[][..], [true, true, true]),
        (&[1], [false, true, false]),
        (&[2], [false, false, true]),
        (&[3, 2, 1], [false, true, true]),
        (&[3], [false, false, false]),
    ] {
        let disk = Disk::open(path, keys(with)).unwrap();
        assert_eq!([0, 1, 2].map(|i| found(&disk, i)), expected, "{with:?}");
    }
    // What is there unsigned is put again, signed; and signatures survive compaction.
    let disk = Disk::open(path, keys(&[1])).unwrap();
    put(&disk, 0);
    assert!(found(&disk, 0));
    for i in [0, 1] {
        disk.put_record(&record(500 + i, 100 + i), None).unwrap();
        disk.put_record(&record(600 + i, 200 + i), None).unwrap();
    }
    disk.collect_garbage(&GcOptions::default()).unwrap();
    assert!(found(&disk, 0) && found(&disk, 1));
    // A changed payload is noticed even where it would only be mapped.
    drop(disk);
    damage(path, &bytes(1, 40_000));
    let disk = Disk::open(path, keys(&[1])).unwrap();
    assert_eq!(disk.value(&digest(101), FP).unwrap(), None);
}

#[test]
fn rule_24_a_reserve_is_kept_and_given_up_by_gc() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    assert!(!disk.layout.reserve().exists());
    fill(&disk, 0..1);
    let kept = std::fs::metadata(disk.layout.reserve()).unwrap();
    assert_eq!(kept.len(), 1 << 20);
    assert!(crate::os::allocated(&kept) >= 1 << 20, "real blocks, not a hole");
    disk.collect_garbage(&GcOptions::default()).unwrap();
    assert!(disk.layout.reserve().exists(), "taken back afterwards");
}

#[test]
fn rule_25_descriptors_are_closed_and_maps_are_capped() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 4_000, 8);
    fill(&disk, 0..200);
    disk.settle_down();
    drop(disk);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let disk = tuned(dir.path(), 4_000, 8);
    let before = descriptors();
    assert!(disk.stats().unwrap().segments > 20);
    assert_whole(&disk, 0..200, "mapped");
    // Other tests run beside this one; sealed segments would need dozens.
    assert!(descriptors() < before + 15, "{} before, {} after", before, descriptors());
    drop(disk);
    let _few = crate::bytes::allow_maps(0);
    let disk = tuned(dir.path(), 4_000, 8);
    assert_whole(&disk, 0..200, "without a map");
    disk.put_value(digest(9000), FP, &bytes(9000, 50_000)).unwrap();
    disk.put_value(digest(9001), FP, &bytes(9001, 2 << 20)).unwrap();
    for (i, length) in [(9000, 50_000), (9001, 2 << 20)] {
        let found = disk.value(&digest(i), FP).unwrap().unwrap();
        assert!(!found.is_mapped());
        assert_eq!(found[..], bytes(i, length)[..]);
    }
}

#[test]
fn rule_10_the_generation_changes_with_every_publication() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 1 << 20, 4);
    let word = || std::fs::read(disk.layout.generation()).unwrap_or_default();
    let mut seen = vec![word()];
    for i in 0..5 {
        fill(&disk, i * 5..i * 5 + 5);
        disk.settle_down();
        assert!(!seen.contains(&word()));
        seen.push(word());
    }
}

#[test]
fn rule_02_a_lock_on_a_file_that_lost_its_name_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..3);
    let path = disk.views.get().tails[0].segment.path.clone();
    let file = layout::open(&path).unwrap();
    assert!(layout::still_named(&file, &path));
    assert!(!layout::try_lock(&file).unwrap(), "its writer has it");
    drop(disk);
    let moved = path.with_extension("moved");
    std::fs::rename(&path, &moved).unwrap();
    assert!(!layout::still_named(&file, &path));
    std::fs::copy(&moved, &path).unwrap();
    assert!(!layout::still_named(&file, &path), "another file under the same name");
}

#[test]
fn rule_03_what_is_not_clean_or_not_ours_is_sealed_and_not_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..3);
    let path = disk.views.get().tails[0].segment.path.clone();
    drop(disk);
    // A writer that was killed in the middle of a frame.
    let clean = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&clean[..], &clean[64..150]].concat()).unwrap();
    let torn = std::fs::metadata(&path).unwrap().len();
    let disk = open(dir.path());
    fill(&disk, 3..5);
    assert_whole(&disk, 0..5, "beside a torn segment");
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.len(), torn, "never cut or appended to");
    assert!(layout::is_sealed(&meta));
    assert_eq!(disk.stats().unwrap().segments, 2);
}

#[test]
fn rule_18_a_clock_that_jumps_back_changes_nothing() {
    // Logical time is counted, never read from a clock: a record made "earlier" by the wall clock is newer here.
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    let at = |created_ms, result| Record { created_ms, ..record(1, result) };
    disk.put_record(&at(2_000_000_000_000, 1), None).unwrap();
    disk.put_record(&at(1_000, 2), None).unwrap();
    let newest = disk.newest(&record(1, 0).identity.id()).unwrap().unwrap();
    assert_eq!(newest.result.digest, digest(2));
}

#[test]
fn rule_14_equal_digests_of_two_types_are_two_values() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    disk.put_value(digest(1), TypeFingerprint(1), b"as one type").unwrap();
    assert_eq!(disk.value(&digest(1), TypeFingerprint(2)).unwrap(), None, "bytes of another type are a miss");
    disk.put_value(digest(1), TypeFingerprint(2), b"as another").unwrap();
    assert_eq!(disk.value(&digest(1), TypeFingerprint(1)).unwrap().as_deref(), Some(&b"as one type"[..]));
    assert_eq!(disk.value(&digest(1), TypeFingerprint(2)).unwrap().as_deref(), Some(&b"as another"[..]));
}

#[test]
fn rule_11_a_table_with_a_larger_clock_may_hold_the_older_record() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (tuned(dir.path(), 1 << 20, 60), tuned(dir.path(), 1 << 20, 20));
    a.put_record(&record(1, 1), None).unwrap();
    b.put_record(&record(1, 2), None).unwrap();
    // b's table ends early, a's goes on to later clocks, with the older record of the two.
    for i in 0..60 {
        let disk = if i < 19 { &b } else { &a };
        disk.put_record(&record(100 + i, i), None).unwrap();
    }
    for i in 200..230 {
        a.put_record(&record(i, i), None).unwrap();
    }
    a.settle_down();
    b.settle_down();
    let disk = tuned(dir.path(), 1 << 20, 60);
    let holds = |table: &Arc<crate::table::Table>, result: u64| {
        let mut found = false;
        let lead = record(1, 0).identity.id().digest().leading();
        table.find(Class::Call, lead, &mut |segment, offset| {
            found |= segment.record(offset).is_some_and(|record| record.result.digest == digest(result));
            None::<()>
        });
        found
    };
    let view = disk.views.get();
    let old = view.tables.iter().find(|table| holds(table, 1)).expect("a's table");
    let new = view.tables.iter().find(|table| holds(table, 2)).expect("b's table");
    assert!(old.header.clock > new.header.clock);
    let newest = disk.newest(&record(1, 0).identity.id()).unwrap().unwrap();
    assert_eq!(newest.result.digest, digest(2));
    assert_eq!(disk.records(&record(1, 0).key).unwrap()[0].result.digest, digest(2));
}

#[test]
fn rule_05_a_network_file_system_is_refused_for_writing_and_read_from() {
    let dir = tempfile::tempdir().unwrap();
    fill(&open(dir.path()), 0..3);
    let before = std::fs::read_dir(dir.path().join("v1/segments")).unwrap().count();
    layout::PRETENDED.set(Some(0x6969));
    let refused = Disk::open(dir.path(), Options::default());
    let inside = Disk::open(&dir.path().join("not/yet/there"), Options::default());
    let reader = Disk::open(dir.path(), Options { read_only: true, ..Options::default() });
    layout::PRETENDED.set(None);
    assert!(matches!(refused.err(), Some(Error::NetworkFileSystem { kind: "NFS", .. })));
    assert!(matches!(inside.err(), Some(Error::NetworkFileSystem { .. })));
    assert!(!dir.path().join("not").exists());
    assert_whole(&reader.unwrap(), 0..3, "read-only");
    assert_eq!(std::fs::read_dir(dir.path().join("v1/segments")).unwrap().count(), before);
}

#[test]
fn rule_08_the_filter_of_a_table_knows_what_is_in_it_and_most_of_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 1 << 20, 500);
    for start in 0..6 {
        let values: Vec<_> = (start * 500..start * 500 + 500).collect();
        let puts = values.iter().map(|i| Put::Value { digest: digest(*i), fingerprint: FP, bytes: b"v" });
        disk.put_batch(&puts.collect::<Vec<_>>()).unwrap();
        disk.settle_down();
    }
    disk.merge_all().unwrap();
    let view = disk.views.get();
    let [table] = &view.tables[..] else { panic!("{} tables", view.tables.len()) };
    assert_eq!(table.header.entries, 3000);
    let held =
        |range: std::ops::Range<u64>| range.filter(|i| table.may_hold(digest(*i).digest().leading())).count();
    assert_eq!(held(0..3000), 3000);
    assert!(held(10_000..20_000) < 1000, "{} of 10,000 others pass", held(10_000..20_000));
}

#[test]
fn rule_08_probing_is_capped() {
    let dir = tempfile::tempdir().unwrap();
    let disk = tuned(dir.path(), 1 << 20, 100);
    let entries = |disk: &Disk| {
        let view = disk.views.get();
        view.tables.iter().map(|table| (table.header.homes, table.header.reach)).collect::<Vec<_>>()
    };
    for i in 0..100 {
        disk.put_value(digest(i), FP, b"spread").unwrap();
    }
    disk.settle_down();
    assert!(entries(&disk).iter().all(|(homes, reach)| *homes > 0 && *reach <= 32));
    for i in 0..1000u32 {
        let mut crowded = [0; 32];
        crowded[28..].copy_from_slice(&i.to_be_bytes());
        disk.put_value(ValueDigest::new(Digest::from_bytes(crowded)), FP, b"crowded").unwrap();
    }
    disk.settle_down();
    let after = entries(&disk);
    assert!(after.iter().any(|(homes, _)| *homes == 0), "searched by halving: {after:?}");
    assert!(after.iter().all(|(_, reach)| *reach <= 32));
}

#[test]
fn rule_21_a_scan_indexes_only_what_is_live() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    for i in 0..5 {
        disk.put_value(digest(i), FP, &bytes(i, 100)).unwrap();
    }
    for i in 1..5 {
        disk.evict_value(&digest(i), FP).unwrap();
    }
    let view = open(dir.path()).views.get();
    assert_eq!(view.tails.iter().map(|tail| tail.frames()).collect::<Vec<_>>(), [1]);
}

#[test]
fn rule_18_behind_damage_only_what_carries_a_marker_is_taken_for_a_frame() {
    use crate::frame::Header;
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    disk.put_value(digest(0), FP, b"to begin with").unwrap();
    let segment = disk.views.get().tails[0].segment.clone();
    // Inside of a value something whose check holds by chance, one in 65,536 does; it says that it reaches far.
    let long = vec![0; 1000];
    let mut chance =
        Header::new(segment.seed, Kind::Value, digest(9).digest(), FP, &long, false).bytes(segment.seed);
    chance[..4].fill(0);
    disk.put_value(digest(1), FP, &[&chance[..], &[1; 64]].concat()).unwrap();
    for i in 2..10 {
        disk.put_value(digest(i), FP, &bytes(i, 100)).unwrap();
    }
    drop(disk);
    let mut content = std::fs::read(&segment.path).unwrap();
    let damaged = 64 + 64 + 16 + 24;
    content[damaged] ^= 0x40; // the length of the frame around it
    std::fs::write(&segment.path, &content).unwrap();
    let disk = open(dir.path());
    assert!(!disk.has_value(&digest(1), FP).unwrap());
    for i in 2..10 {
        assert_eq!(disk.value(&digest(i), FP).unwrap().as_deref(), Some(&bytes(i, 100)[..]), "{i}");
    }
}

#[test]
fn rule_01_a_table_of_the_first_part_of_a_sealed_segment_does_not_cover_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    fill(&disk, 0..5);
    // The first tail is full and waits for its table; the second ends with the segment.
    let first = {
        let mut writer = disk.writer_now();
        let active = writer.active().unwrap();
        let first = active.turn();
        disk.views.add_tail(&active.tail);
        first
    };
    fill(&disk, 5..10);
    layout::seal(&disk.writer_now().active().unwrap().file).unwrap();
    disk.publish_tails(&[first], false).unwrap();
    // Killed before the second one has a table, or the disk is full.
    let copy = tempfile::tempdir().unwrap();
    steps::copy_tree(dir.path(), copy.path());
    assert_whole(&open(copy.path()), 0..10, "for others");
    assert_whole(&disk, 0..10, "here");
}
