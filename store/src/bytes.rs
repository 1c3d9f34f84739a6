//! Bytes of a stored value: a view into a mapped file, or an aligned copy.
//!
//! All `unsafe` of this crate lives here. Nothing here knows frames or formats.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use rkyv::util::AlignedVec;

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
        let end = offset.checked_add(length)?;
        (offset.is_multiple_of(16) && end <= map.len()).then_some(Self(Repr::Mapped { map, offset, length }))
    }

    /// Do these bytes lie in a mapped file (rather than in memory of this process)?
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Repr::Mapped { .. })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Owned(bytes) => bytes,
            Repr::Mapped { map, offset, length } => &map[*offset..*offset + *length],
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

/// A file, mapped for reading.
pub(crate) struct Map(memmap2::Mmap);

impl Map {
    /// Maps the first `length` bytes of `file`, which must have that many.
    pub(crate) fn new(file: &File, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        if file.metadata()?.len() < length as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: a mapped file must not shrink or change under the map. Files of a store are only appended to,
        // replaced by rename and unlinked, none of which touches bytes that are mapped here; the one exception, the
        // live marker of a frame header, is never handed out. That other programs keep off is what the
        // documentation asks of the user: no file format can promise it.
        let map = unsafe { memmap2::MmapOptions::new().len(length).map(file)? };
        Ok(Self(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
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
    fn views_are_checked_against_the_map() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64).unwrap();
        assert!(Map::new(&file, 65).is_err());
        let map = Arc::new(Map::new(&file, 64).unwrap());
        assert!(Bytes::mapped(map.clone(), 16, 48).is_some());
        assert!(Bytes::mapped(map.clone(), 16, 49).is_none());
        assert!(Bytes::mapped(map.clone(), 8, 8).is_none());
        assert!(Bytes::mapped(map, usize::MAX - 15, 32).is_none());
    }
}
