//! Bytes of a stored value: a view into a mapped file, or an aligned copy.
//!
//! All `unsafe` of this crate lives here. Nothing here knows frames or formats.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use rkyv::util::AlignedVec;

use crate::sync::AtomicUsize as SharedUsize;

/// Immutable bytes that start at a multiple of 16, cheap to clone, valid whatever happens to the store.
///
/// A mapped view stays valid while files are unlinked, compacted or collected. What can't be survived is somebody
/// truncating the file in place while it is mapped; nothing of fleche does that.
#[derive(Clone)]
pub struct Bytes(Repr);

#[derive(Clone)]
enum Repr {
    Owned(Arc<AlignedVec<16>>),
    Mapped { map: Arc<Map>, offset: usize, length: usize },
}

impl Bytes {
    /// Copies `bytes` into aligned memory.
    pub fn copied(bytes: &[u8]) -> Self {
        let mut owned = AlignedVec::with_capacity(bytes.len());
        owned.extend_from_slice(bytes);
        Self::owned(owned)
    }

    /// Takes aligned memory over.
    pub fn owned(mut bytes: AlignedVec<16>) -> Self {
        // Without memory of its own the vector's address is not aligned.
        bytes.reserve(usize::from(bytes.is_empty()));
        Self(Repr::Owned(Arc::new(bytes)))
    }

    /// A view into a map; `None` if it would reach past the end or is not aligned.
    pub(crate) fn mapped(map: Arc<Map>, offset: usize, length: usize) -> Option<Self> {
        map.slice(offset, length)?;
        offset.is_multiple_of(16).then_some(Self(Repr::Mapped { map, offset, length }))
    }

    /// Do these bytes lie in a mapped file (rather than in memory of this process)?
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Repr::Mapped { .. })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Owned(bytes) => bytes,
            // Checked when this view was made; `valid` never shrinks.
            Repr::Mapped { map, offset, length } => map.slice(*offset, *length).unwrap_or_default(),
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes{})", self.len(), if self.is_mapped() { ", mapped" } else { "" })
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

/// A file, mapped for reading. The map may reach past the file's end; what may be touched grows with the file.
pub(crate) struct Map {
    raw: memmap2::MmapRaw,
    valid: SharedUsize,
}

/// Maps of this process, all stores together.
static MAPS: AtomicUsize = AtomicUsize::new(0);

/// The system allows 65,530 maps a process by default; the host program needs some of them too.
const MAX_MAPS: usize = 4096;

#[cfg(not(test))]
fn max_maps() -> usize {
    MAX_MAPS
}

#[cfg(test)]
thread_local! {
    static ALLOWED: std::cell::Cell<usize> = const { std::cell::Cell::new(MAX_MAPS) };
}

#[cfg(test)]
fn max_maps() -> usize {
    ALLOWED.get()
}

/// Lets this thread make just so many maps until the guard is dropped.
#[cfg(test)]
pub(crate) fn allow_maps(count: usize) -> impl Drop {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            ALLOWED.set(MAX_MAPS);
        }
    }
    ALLOWED.set(count);
    Restore
}

impl Map {
    /// Maps a file, with room for it to grow to `reserve` bytes. An error where there are too many maps already.
    pub(crate) fn new(file: &File, reserve: u64) -> io::Result<Self> {
        if MAPS.load(Ordering::Relaxed) >= max_maps() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Self::uncapped(file, reserve)
    }

    /// Maps one of the few files that nothing works without.
    pub(crate) fn uncapped(file: &File, reserve: u64) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let reserve = usize::try_from(reserve.max(length).max(1));
        let reserve = reserve.map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let raw = memmap2::MmapOptions::new().len(reserve).map_raw_read_only(file)?;
        MAPS.fetch_add(1, Ordering::Relaxed);
        let valid = SharedUsize::new(usize::try_from(length).unwrap_or(reserve).min(reserve));
        Ok(Self { raw, valid })
    }

    /// So many bytes may be read.
    pub(crate) fn valid(&self) -> usize {
        self.valid.load(Ordering::Acquire)
    }

    /// The file has this length now.
    pub(crate) fn grow(&self, length: u64) {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.raw.len());
        self.valid.fetch_max(length, Ordering::AcqRel);
    }

    /// Some of the file's bytes; `None` past the end.
    pub(crate) fn slice(&self, offset: usize, length: usize) -> Option<&[u8]> {
        if offset.checked_add(length)? > self.valid() {
            return None;
        }
        // SAFETY: the range lies in the map, and in the file: `valid` never exceeds what `fstat` said or a write
        // returned. The bytes must not change while the slice lives. Files of a store are only appended to, replaced
        // by rename and unlinked, none of which touches bytes below `valid`; the exceptions, the live markers of
        // frames, are read through `word` and lie in no slice that is handed out. That other programs keep off is
        // what the documentation asks of the user: no file format can promise it.
        Some(unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(offset), length) })
    }

    /// A word that other processes may change at any time; `None` past the end or out of line.
    pub(crate) fn word(&self, offset: usize) -> Option<u32> {
        if offset.checked_add(4)? > self.valid() || !offset.is_multiple_of(4) {
            return None;
        }
        // SAFETY: in bounds as above, aligned (maps begin at a page), and only ever changed as a whole word, which an
        // atomic load of the same size may race with.
        #[expect(clippy::cast_ptr_alignment, reason = "checked above")]
        let word = unsafe { &*self.raw.as_ptr().add(offset).cast::<AtomicU32>() };
        Some(u32::from_le(word.load(Ordering::Relaxed)))
    }

    /// The word that begins right behind the file's end as it was once: 0 until something is written there. `None` where
    /// that can't be told: the map may be touched there only if the page holds bytes of the file, too.
    pub(crate) fn word_behind(&self, end: usize) -> Option<u32> {
        const PAGE: usize = 4096;
        let fits = end.checked_add(4)? <= self.raw.len() && end <= self.valid();
        if !fits || !end.is_multiple_of(4) || end.is_multiple_of(PAGE) {
            return None;
        }
        // SAFETY: in the map and aligned. The byte before `end` is below `valid`, so it is in the file, and it is in the
        // same page (pages are of 4 KiB or a multiple of that), so the page can be touched; what lies in it behind the
        // file's end is zero. It may change at any time, which an atomic load of the same size may race with.
        #[expect(clippy::cast_ptr_alignment, reason = "checked above")]
        let word = unsafe { &*self.raw.as_ptr().add(end).cast::<AtomicU32>() };
        Some(word.load(Ordering::Acquire))
    }

    /// Tells the system how the map will be read.
    pub(crate) fn sequential(&self) {
        #[cfg(unix)]
        let _ = self.raw.advise(memmap2::Advice::Sequential);
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        MAPS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The id of this process, without a system call: remembered in a page that the kernel empties in a forked child.
pub(crate) fn process_id() -> u32 {
    static PAGE: LazyLock<Option<memmap2::MmapRaw>> = LazyLock::new(|| {
        let page = memmap2::MmapOptions::new().len(4096).map_anon().ok()?;
        wipe_on_fork(&page).then(|| page.into())
    });
    let Some(page) = &*PAGE else { return std::process::id() };
    // SAFETY: the page is writable, aligned, lives for ever, and is only ever used as this one atomic word.
    #[expect(clippy::cast_ptr_alignment, reason = "a page is aligned")]
    let word = unsafe { &*page.as_mut_ptr().cast::<AtomicU32>() };
    match word.load(Ordering::Relaxed) {
        0 => {
            let id = std::process::id();
            word.store(id, Ordering::Relaxed);
            id
        }
        id => id,
    }
}

#[cfg(target_os = "linux")]
fn wipe_on_fork(page: &memmap2::MmapMut) -> bool {
    let start = page.as_ptr().cast_mut().cast();
    // SAFETY: it is our own anonymous page, of which nobody has a reference yet, and it stays zero either way.
    unsafe { rustix::mm::madvise(start, page.len(), rustix::mm::Advice::LinuxWipeOnFork).is_ok() }
}

#[cfg(not(target_os = "linux"))]
fn wipe_on_fork(_: &memmap2::MmapMut) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_aligned() {
        for length in [0, 1, 15, 16, 17, 1000] {
            let bytes = Bytes::copied(&vec![7; length]);
            assert_eq!(bytes.len(), length);
            assert_eq!(bytes.as_ptr() as usize % 16, 0);
        }
    }

    #[test]
    fn rule_04_a_forked_child_knows_its_own_id() {
        assert_eq!(process_id(), std::process::id());
        // SAFETY: the child only asks for its id and ends.
        match unsafe { libc::fork() } {
            // SAFETY: ends the child at once.
            0 => unsafe { libc::_exit(i32::from(process_id() != std::process::id())) },
            child => {
                let mut status = -1;
                // SAFETY: waits for the child that was just forked.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                assert_eq!(status, 0);
            }
        }
    }

    #[test]
    fn what_is_appended_shows_in_the_map() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        file.set_len(4080).unwrap();
        let map = Map::new(&file, 1 << 16).unwrap();
        assert_eq!(map.word_behind(4080), Some(0));
        file.write_all_at(b"flch", 4080).unwrap();
        assert_eq!(map.word_behind(4080), Some(u32::from_ne_bytes(*b"flch")));
        assert_eq!(map.word_behind(4084), None, "not known to be in the file");
        file.set_len(4096).unwrap();
        map.grow(4096);
        assert_eq!(map.word_behind(4096), None, "a page that may not be there");
    }

    #[test]
    fn views_are_checked_against_the_map() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64).unwrap();
        let map = Arc::new(Map::new(&file, 4096).unwrap());
        assert!(map.slice(0, 65).is_none());
        file.set_len(80).unwrap();
        map.grow(80);
        assert!(map.slice(16, 64).is_some());
        let map = Arc::new(Map::new(&file, 0).unwrap());
        map.grow(4096);
        assert_eq!(map.valid(), 80, "never more than was mapped");
        assert_eq!(map.word_behind(80), None, "nor anything behind the map");
        file.set_len(64).unwrap();
        let map = Arc::new(Map::new(&file, 64).unwrap());
        assert!(Bytes::mapped(map.clone(), 16, 48).is_some());
        assert!(Bytes::mapped(map.clone(), 16, 49).is_none());
        assert!(Bytes::mapped(map.clone(), 8, 8).is_none());
        assert!(Bytes::mapped(map, usize::MAX - 15, 32).is_none());
    }
}
