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

fn open(dir: &Path) -> Disk {
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
