//! Asides: what somebody derived from the records and keeps beside them under a name, to begin sooner next time.
//!
//! An aside is one file, replaced as a whole, and may be lost at any time. It is never the truth: it tells how often
//! records had been overruled (forced runs, evictions) when its maker began, and once that happened again it is not
//! given out. So it never brings back what somebody took away, in whatever order processes come and go.

use std::fs;
use std::io::{self, IoSlice, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use xxhash_rust::xxh3::xxh3_128;

use crate::bytes::{Bytes, Map};
use crate::digest::Digest;
use crate::layout::{self, Layout};
use crate::store::SigningKey;
use crate::writer::write_all;

/// So many are kept, the youngest.
const MOST: usize = 8;

const MAGIC: [u8; 8] = *b"fl aside";

/// The header: magic, count of overrulings, the name's digest, a checksum over the content, and what vouches for all of
/// that: another checksum, or the keyed digest where the store has a key.
const HEADER: usize = 96;

/// Where the last part of the header begins.
const VOUCHER: usize = 64;

/// How often records of this store were overruled.
pub(crate) fn overruled(layout: &Layout) -> io::Result<u64> {
    match fs::symlink_metadata(layout.overruled()) {
        Ok(meta) => Ok(meta.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(e),
    }
}

/// Counts an overruling that was done and of which nobody was told yet. Gives the count with it.
///
/// The count is the length of a file to which each adds a byte, so that two at once count as two. Where there is no room
/// for that, the asides go instead; whoever would write another needs room as well.
pub(crate) fn overrule(layout: &Layout) -> io::Result<u64> {
    let path = layout.overruled();
    // Of several who find it missing each brings its name to the disk.
    let new = fs::symlink_metadata(&path).is_err();
    let counted = layout::open_to_append(&path).and_then(|mut file| {
        file.write_all(&[0])?;
        layout::sync_data(&file, &path)?;
        if new {
            layout::sync_dir(&layout.root)?;
        }
        Ok(file.metadata()?.len())
    });
    match counted {
        Err(e) if e.kind() == io::ErrorKind::StorageFull => {
            remove(layout, |_| true);
            overruled(layout)
        }
        counted => counted,
    }
}

fn path(layout: &Layout, name: &Digest) -> PathBuf {
    layout.asides.join(name.to_string())
}

fn voucher(head: &[u8; VOUCHER], key: Option<&[u8; 32]>) -> [u8; 32] {
    if let Some(key) = key {
        return *blake3::keyed_hash(key, head).as_bytes();
    }
    let mut sum = [0; 32];
    sum[..16].copy_from_slice(&xxh3_128(head).to_le_bytes());
    sum
}

/// What the head says of the content: with a key nobody else may find another content for it.
fn checksum(content: &[u8], key: Option<&[u8; 32]>) -> [u8; 16] {
    match key {
        Some(key) => *blake3::keyed_hash(key, content).as_bytes().first_chunk().unwrap_or(&[0; 16]),
        None => xxh3_128(content).to_le_bytes(),
    }
}

fn head(name: &Digest, overruled: u64, content: &[u8], key: Option<&[u8; 32]>) -> [u8; HEADER] {
    let mut head = [0; VOUCHER];
    head[..8].copy_from_slice(&MAGIC);
    head[8..16].copy_from_slice(&overruled.to_le_bytes());
    head[16..48].copy_from_slice(name.as_bytes());
    head[48..].copy_from_slice(&checksum(content, key));
    let mut whole = [0; HEADER];
    whole[..VOUCHER].copy_from_slice(&head);
    whole[VOUCHER..].copy_from_slice(&voucher(&head, key));
    whole
}

/// Keeps `content` under `name`, in place of what was there. `overruled` is the count when its maker began.
pub(crate) fn put(
    layout: &Layout,
    name: &Digest,
    overruled: u64,
    content: &[u8],
    key: Option<&[u8; 32]>,
) -> io::Result<()> {
    let head = head(name, overruled, content, key);
    let (file, temporary) = layout::create_temporary(&layout.asides)?;
    write_all(&file, &mut [IoSlice::new(&head), IoSlice::new(content)], 0)
        .and_then(|()| layout::seal(&file))
        .and_then(|()| layout::rename(&temporary, &path(layout, name)))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    let mut all = list(layout);
    if all.len() > MOST {
        all.sort_unstable_by_key(|(_, modified)| std::cmp::Reverse(*modified));
        for (old, _) in all.drain(MOST..) {
            let _ = layout::remove(&old);
        }
    }
    Ok(())
}

/// What is kept under `name`, if it is whole, nothing was overruled since, and one of the keys signed it, if there are
/// any.
pub(crate) fn get(layout: &Layout, name: &Digest, keys: &[SigningKey]) -> Option<Bytes> {
    let file = layout::open(&path(layout, name)).ok()?;
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?.checked_sub(HEADER)?;
    let map = Arc::new(Map::new(&file, 0).ok()?);
    let found: [u8; HEADER] = *map.slice(0, HEADER)?.first_chunk()?;
    let made = u64::from_le_bytes(*found[8..].first_chunk()?);
    if made != overruled(layout).ok()? {
        return None;
    }
    let content = map.slice(HEADER, length)?;
    let is = |key: Option<&[u8; 32]>| head(name, made, content, key) == found;
    let whole = if keys.is_empty() { is(None) } else { keys.iter().any(|key| is(Some(key.bytes()))) };
    whole.then(|| Bytes::mapped(map.clone(), HEADER, length))?
}

/// The files, with when they were written.
fn list(layout: &Layout) -> Vec<(PathBuf, SystemTime)> {
    let entries = fs::read_dir(&layout.asides).into_iter().flatten().flatten();
    let named = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| layout::unhex::<32>(name).is_some()));
    named.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.modified().ok()?))).collect()
}

/// How many bytes they have.
pub(crate) fn bytes(layout: &Layout) -> u64 {
    list(layout).iter().filter_map(|(path, _)| fs::symlink_metadata(path).ok()).map(|meta| meta.len()).sum()
}

/// Removes those that were written at such a time.
pub(crate) fn remove(layout: &Layout, which: impl Fn(SystemTime) -> bool) {
    for (path, modified) in list(layout) {
        if which(modified) {
            let _ = layout::remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{CallKey, TypeFingerprint, ValueDigest};
    use crate::gc::GcOptions;
    use crate::record::{Identity, Record, Stored};
    use crate::store::{Options, Store};
    use std::path::Path;
    use std::time::Duration;

    fn open(dir: &Path) -> Store {
        Store::open(dir, Options::default()).unwrap()
    }

    fn name(n: u8) -> Digest {
        Digest::of(&[n])
    }

    fn record(created_ms: i64) -> Record {
        let function = String::from("f");
        let identity = Identity { function, package: "p".into(), module: "m".into(), arguments: Vec::new() };
        let result = Stored { digest: ValueDigest::new(Digest::of(b"r")), fingerprint: TypeFingerprint(1) };
        let key = CallKey::new(Digest::of(b"k"));
        Record { identity, key, trace: Vec::new(), result, meta: Vec::new(), created_ms, clock: 0 }
    }

    #[test]
    fn an_aside_is_replaced_as_a_whole_and_old_views_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.put_aside(&name(1), 0, b"one").unwrap();
        let one = store.aside(&name(1)).unwrap().unwrap();
        store.put_aside(&name(1), 0, b"two").unwrap();
        assert_eq!(&*one, b"one");
        assert_eq!(open(dir.path()).aside(&name(1)).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(store.aside(&name(2)).unwrap(), None);
    }

    #[test]
    fn what_takes_records_away_takes_asides_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let steps: [(&str, &dyn Fn()); 4] = [
            ("told", &|| assert!(store.overrule().unwrap() > 0)),
            ("evicted", &|| assert_eq!(store.evict_call(&record(0).identity.id()).unwrap(), 1)),
            ("too old", &|| {
                let max_age = Some(Duration::from_secs(1000));
                assert_eq!(
                    store.gc(&GcOptions { max_age, ..GcOptions::default() }).unwrap().records_dropped,
                    1
                );
            }),
            ("over budget", &|| {
                let max_bytes = Some(0);
                assert_eq!(
                    store.gc(&GcOptions { max_bytes, ..GcOptions::default() }).unwrap().records_dropped,
                    1
                );
            }),
        ];
        for (what, step) in steps {
            store.put_result(&record(0), b"r").unwrap();
            let before = store.overruled().unwrap();
            store.put_aside(&name(1), before, b"derived").unwrap();
            assert!(store.aside(&name(1)).unwrap().is_some(), "{what}");
            step();
            assert!(store.aside(&name(1)).unwrap().is_none(), "{what}");
            // Somebody who began before that is too late.
            store.put_aside(&name(1), before, b"derived").unwrap();
            assert!(open(dir.path()).aside(&name(1)).unwrap().is_none(), "{what}");
        }
    }

    #[test]
    fn what_takes_no_records_away_leaves_asides() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.put_result(&record(crate::writer::now_ms()), b"r").unwrap();
        store.put_aside(&name(1), 0, b"derived").unwrap();
        store.gc(&GcOptions::default()).unwrap();
        store.gc(&GcOptions { max_bytes: Some(1 << 20), ..GcOptions::default() }).unwrap();
        store.gc(&GcOptions { max_age: Some(Duration::from_secs(1000)), ..GcOptions::default() }).unwrap();
        assert_eq!(store.verify(true).unwrap().repaired, 0);
        assert!(store.aside(&name(1)).unwrap().is_some());
        // A budget that the records alone would keep.
        let kept = store.gc(&GcOptions::default()).unwrap().bytes_kept;
        store.gc(&GcOptions { max_bytes: Some(kept), ..GcOptions::default() }).unwrap();
        assert!(store.aside(&name(1)).unwrap().is_none());
        assert_eq!(store.stats().unwrap().records, 1);
    }

    #[test]
    fn two_who_overrule_at_once_count_as_two() {
        let dir = tempfile::tempdir().unwrap();
        let stores = [open(dir.path()), open(dir.path())];
        std::thread::scope(|scope| {
            for store in &stores {
                scope.spawn(|| (0..20).for_each(|_| assert!(store.overrule().unwrap() > 0)));
            }
        });
        assert_eq!(open(dir.path()).overruled().unwrap(), 40);
    }

    #[test]
    fn no_damaged_byte_and_no_foreign_file_is_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.put_aside(&name(1), 0, &[7; 50]).unwrap();
        let at = path(&Layout::new(dir.path()), &name(1));
        let whole = fs::read(&at).unwrap();
        let replace = |bytes: &[u8]| {
            fs::remove_file(&at).unwrap();
            fs::write(&at, bytes).unwrap();
        };
        for byte in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[byte] ^= 0x10;
            replace(&damaged);
            assert_eq!(store.aside(&name(1)).unwrap(), None, "{byte}");
        }
        for length in 0..whole.len() {
            replace(&whole[..length]);
            assert_eq!(store.aside(&name(1)).unwrap(), None, "{length}");
        }
        replace(&whole);
        assert!(store.aside(&name(1)).unwrap().is_some());
        fs::rename(&at, path(&Layout::new(dir.path()), &name(2))).unwrap();
        assert_eq!(store.aside(&name(2)).unwrap(), None, "another's content");
    }

    #[test]
    fn with_keys_only_what_one_of_them_signed_is_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let with = |keys: &[u8]| {
            let keys = keys.iter().map(|key| SigningKey::new([*key; 32])).collect();
            Store::open(dir.path(), Options { keys, ..Options::default() }).unwrap()
        };
        with(&[]).put_aside(&name(1), 0, b"anybody's").unwrap();
        assert_eq!(with(&[1]).aside(&name(1)).unwrap(), None);
        with(&[1]).put_aside(&name(1), 0, b"ours").unwrap();
        assert_eq!(with(&[2]).aside(&name(1)).unwrap(), None);
        assert_eq!(with(&[]).aside(&name(1)).unwrap(), None);
        assert_eq!(with(&[2, 1]).aside(&name(1)).unwrap().as_deref(), Some(&b"ours"[..]));
    }

    #[test]
    fn a_full_or_read_only_disk_is_an_error_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for room in [0, 50, 120] {
            crate::writer::faults::ROOM.set(Some(room));
            let put = store.put_aside(&name(1), 0, &[7; 50]);
            crate::writer::faults::ROOM.set(None);
            assert!(put.is_err(), "{room}");
            assert_eq!(fs::read_dir(Layout::new(dir.path()).asides).unwrap().count(), 0, "{room}");
        }
        let reader = Store::open(dir.path(), Options { read_only: true, ..Options::default() }).unwrap();
        assert!(reader.put_aside(&name(1), 0, b"x").is_err());
        assert!(reader.overrule().is_err());
        store.put_aside(&name(1), 0, b"x").unwrap();
        assert!(reader.aside(&name(1)).unwrap().is_some());
    }

    #[test]
    fn the_youngest_eight_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for n in 0..10 {
            store.put_aside(&name(n), 0, b"x").unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        let kept: Vec<bool> = (0..10).map(|n| store.aside(&name(n)).unwrap().is_some()).collect();
        assert_eq!(kept, [false, false, true, true, true, true, true, true, true, true]);
    }
}
