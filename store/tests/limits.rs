//! Where the store may not write, and what it says then.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::{FP, bytes, open, record, value};
use fleche_store::{Error, Options, Store};

fn read_only(dir: &std::path::Path) -> Store {
    Store::open(dir, Options { read_only: true, ..Options::default() }).unwrap()
}

/// Everything below a directory with its size and time of change.
fn listing(dir: &std::path::Path) -> Vec<(std::path::PathBuf, u64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            found.extend(listing(&entry.path()));
        }
        found.push((entry.path(), meta.len(), meta.ctime_nsec()));
    }
    found.sort();
    found
}

#[test]
fn rule_18_reading_only_writes_nothing_and_refuses_puts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.put_value(value(1), FP, &bytes(1, 100)).unwrap();
    store.put_record(&record(1, 0, 0, 1)).unwrap();
    let before = listing(dir.path());
    let reader = read_only(dir.path());
    assert!(reader.has_value(&value(1), FP).unwrap());
    assert!(!reader.has_value(&value(2), FP).unwrap());
    assert!(matches!(reader.put_value(value(2), FP, b"x"), Err(Error::ReadOnly { .. })));
    assert!(matches!(reader.put_record(&record(1, 0, 1, 1)), Err(Error::ReadOnly { .. })));
    assert!(matches!(reader.put_note(1, &common::digest("n", 1), b"x"), Err(Error::ReadOnly { .. })));
    assert!(matches!(reader.evict_value(&value(1), FP), Err(Error::ReadOnly { .. })));
    assert_eq!(listing(dir.path()), before);
    // It sees what others put later.
    store.put_value(value(2), FP, &bytes(2, 100)).unwrap();
    assert!(reader.has_value(&value(2), FP).unwrap());
}

#[test]
fn rule_18_a_store_that_is_not_there_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let reader = read_only(&dir.path().join("nothing"));
    assert!(!reader.has_value(&value(1), FP).unwrap());
    assert_eq!(reader.stats().unwrap().records, 0);
    assert!(!dir.path().join("nothing").exists());
}

#[test]
fn rule_19_directories_and_files_are_for_their_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new");
    let store = open(&dir);
    store.put_value(value(1), FP, &bytes(1, 100)).unwrap();
    store.put_value(value(2), FP, &bytes(2, 2 << 20)).unwrap();
    for (path, ..) in listing(&dir) {
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        let expected: &[u32] = if path.is_dir() { &[0o700] } else { &[0o600, 0o400] };
        assert!(expected.contains(&mode), "{}: {mode:o}", path.display());
    }
}

#[test]
fn rule_19_symbolic_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    for part in ["v1", "v1/segments", "v1/values"] {
        let store = tempfile::tempdir_in(dir.path()).unwrap();
        if part != "v1" {
            fs::create_dir(store.path().join("v1")).unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), store.path().join(part)).unwrap();
        let Err(Error::Foreign { path, .. }) = Store::open(store.path(), Options::default()) else {
            panic!("{part} was followed")
        };
        assert!(path.ends_with(part));
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn rule_19_a_link_in_place_of_a_file_is_a_miss() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let blob = store.put_blob_bytes(&bytes(1, 2 << 20)).unwrap();
    store.put_value(value(2), FP, &bytes(2, 100)).unwrap();
    store.settle();
    drop(store);
    for part in [format!("values/{}", &blob.to_string()[..2]), "segments".into()] {
        let file = fs::read_dir(dir.path().join("v1").join(part)).unwrap().next().unwrap().unwrap().path();
        let moved = outside.path().join(file.file_name().unwrap());
        fs::copy(&file, &moved).unwrap();
        fs::remove_file(&file).unwrap();
        let found = read_only(dir.path()).blob(&blob).unwrap();
        assert!(found.is_none());
        std::os::unix::fs::symlink(&moved, &file).unwrap();
        assert!(read_only(dir.path()).blob(&blob).unwrap().is_none(), "{} was followed", file.display());
        fs::remove_file(&file).unwrap();
        fs::copy(&moved, &file).unwrap();
        assert!(
            read_only(dir.path()).blob(&blob).unwrap().is_some(),
            "the same bytes in a file of the store's own"
        );
    }
}

#[test]
fn rule_18_a_file_in_place_of_a_directory_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("v1"), b"x").unwrap();
    let Err(error) = Store::open(dir.path(), Options::default()) else { panic!("opened") };
    assert!(error.to_string().contains("not a directory"), "{error}");
}

/// Runs `f` in a forked child without privileges, and returns what it exits with.
///
/// The child only makes system calls and allocates; the test binary is single-threaded enough for that, because
/// glibc keeps its allocator usable after fork.
fn unprivileged(f: impl FnOnce() -> bool) -> bool {
    // SAFETY: see above; the child never returns into the test harness.
    match unsafe { libc::fork() } {
        0 => {
            let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // SAFETY: plain system calls.
                unsafe {
                    libc::setgroups(0, std::ptr::null());
                    libc::setgid(65534);
                    libc::setuid(65534);
                }
                f()
            }));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!ok.unwrap_or(false))) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child that was just forked.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
        }
    }
}

#[test]
fn rule_18_without_permission_reading_works_and_writing_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let set =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = dir.path().join("store");
    let store = open(&path);
    store.put_value(value(1), FP, &bytes(1, 100)).unwrap();
    drop(store);
    for (file, ..) in listing(&path) {
        set(&file, if file.is_dir() { 0o755 } else { 0o444 });
    }
    set(dir.path(), 0o755);
    set(&path, 0o555);
    let path = &path;
    let root = rustix::process::geteuid().is_root();
    let run = |f: &dyn Fn() -> bool| if root { unprivileged(f) } else { f() };
    assert!(run(&|| read_only(path).has_value(&value(1), FP).unwrap()));
    // Opened for writing it still reads; a put names the directory.
    assert!(run(&|| match Store::open(path, Options::default()) {
        Ok(store) => {
            store.has_value(&value(1), FP).unwrap()
                && matches!(store.put_value(value(2), FP, b"x"), Err(Error::Io { .. }))
        }
        Err(Error::Io { source, .. }) => source.kind() == std::io::ErrorKind::PermissionDenied,
        Err(_) => false,
    }));
    // Unreadable files are misses.
    set(&path.join("v1/segments"), 0o000);
    assert!(run(&|| Store::open(path, Options { read_only: true, ..Options::default() })
        .map_or(true, |store| !store.has_value(&value(1), FP).unwrap())));
    set(&path.join("v1/segments"), 0o700);
}

#[test]
fn rule_04_after_a_fork_both_sides_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.put_value(value(1), FP, &bytes(1, 100)).unwrap();
    // SAFETY: as in `unprivileged`.
    match unsafe { libc::fork() } {
        0 => {
            let ok = (100..200).all(|i| store.put_value(value(i), FP, &bytes(i, 100)).is_ok())
                && store.has_value(&value(1), FP).unwrap_or(false);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!ok)) }
        }
        child => {
            for i in 200..300 {
                store.put_value(value(i), FP, &bytes(i, 100)).unwrap();
            }
            let mut status = 0;
            // SAFETY: waits for the child that was just forked.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0);
        }
    }
    // Our own lock was not released by the child's end: nobody adopts our segment.
    let other = open(dir.path());
    other.put_value(value(2), FP, &bytes(2, 100)).unwrap();
    store.put_value(value(3), FP, &bytes(3, 100)).unwrap();
    for store in [&store, &other, &open(dir.path())] {
        for i in (1..4).chain(100..300) {
            assert_eq!(store.value(&value(i), FP).unwrap().as_deref(), Some(&bytes(i, 100)[..]), "{i}");
        }
    }
    assert!(store.stats().unwrap().segments >= 2);
}
