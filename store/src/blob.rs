//! Large values in files of their own, so that outputs can be put back by reflink and compaction never moves them.
//!
//! Such a file holds exactly the value's bytes. A small frame in a segment names it; without the frame it is nothing.

use std::fs::{self, File};
use std::io::{self, IoSlice, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rkyv::util::AlignedVec;

use crate::bytes::{Bytes, Map};
use crate::digest::{Digest, ValueDigest};
use crate::error::{Error, Result};
use crate::layout::{self, Layout};
use crate::writer::write_all;

/// Values from this size on.
pub(crate) const LARGE: usize = 1 << 20;

/// Copying and hashing go by blocks of this size.
const BLOCK: usize = 1 << 20;

/// What the frame of a large value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Large {
    pub(crate) length: u64,
    pub(crate) nonce: [u8; 16],
    /// The plain digest of the file's bytes.
    pub(crate) content: Digest,
}

impl Large {
    pub(crate) const SIZE: usize = 56;

    pub(crate) fn bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.nonce);
        bytes[24..].copy_from_slice(self.content.as_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::SIZE] = bytes.try_into().ok()?;
        Some(Self {
            length: u64::from_le_bytes(*bytes.first_chunk()?),
            nonce: *bytes[8..].first_chunk()?,
            content: Digest::from_bytes(*bytes[24..].first_chunk()?),
        })
    }

    /// Where the bytes are.
    pub(crate) fn path(&self, layout: &Layout, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        layout.values.join(&name[..2]).join(format!("{name}-{}", layout::hex(&self.nonce)))
    }

    fn open(&self, layout: &Layout, digest: &Digest) -> Option<File> {
        let file = layout::open(&self.path(layout, digest)).ok()?;
        (file.metadata().ok()?.len() == self.length).then_some(file)
    }

    /// Is the file there, with the right length?
    pub(crate) fn is_there(&self, layout: &Layout, digest: &Digest) -> bool {
        let meta = fs::symlink_metadata(self.path(layout, digest));
        meta.is_ok_and(|meta| meta.is_file() && meta.len() == self.length)
    }

    /// The bytes, mapped if that is possible.
    pub(crate) fn view(&self, layout: &Layout, digest: &Digest) -> Option<Bytes> {
        let mut file = self.open(layout, digest)?;
        let length = usize::try_from(self.length).ok()?;
        if let Ok(map) = Map::new(&file, self.length) {
            return Bytes::mapped(Arc::new(map), 0, length);
        }
        let mut bytes = AlignedVec::with_capacity(length);
        bytes.resize(length, 0);
        file.read_exact(&mut bytes).ok()?;
        Some(Bytes::owned(bytes))
    }

    /// Was the file on the disk before its mode said so?
    pub(crate) fn is_synced(&self, layout: &Layout, digest: &Digest) -> bool {
        fs::symlink_metadata(self.path(layout, digest)).is_ok_and(|meta| layout::is_sealed(&meta))
    }

    /// Do the bytes have the digest that they should have? Reads all of them.
    pub(crate) fn is_whole(&self, layout: &Layout, digest: &Digest) -> bool {
        let Some(mut file) = self.open(layout, digest) else { return false };
        hash(&mut file).is_ok_and(|(content, length)| content == self.content && length == self.length)
    }

    /// Copies the bytes to a new file; `false` if they are gone or damaged.
    pub(crate) fn copy(&self, layout: &Layout, digest: &Digest, to: &Path) -> Result<bool> {
        let Some(mut from) = self.open(layout, digest) else { return Ok(false) };
        let target = File::create_new(to).map_err(|e| Error::io(to, e))?;
        if crate::os::clone_file(&target, &from) {
            return Ok(true);
        }
        match copy(&mut from, &target).map_err(|e| Error::io(to, e)) {
            Ok((content, length)) if content == self.content && length == self.length => Ok(true),
            other => {
                let _ = fs::remove_file(to);
                other.map(|_| false)
            }
        }
    }
}

/// A large value that is written, but not yet named.
pub(crate) struct Pending {
    file: File,
    temporary: PathBuf,
    named: bool,
    pub(crate) large: Large,
}

impl Pending {
    /// Writes bytes that are in memory.
    pub(crate) fn write(layout: &Layout, mut bytes: &[u8]) -> Result<Self> {
        Self::make(layout, |file| copy(&mut bytes, file))
    }

    /// Takes the content of a file: by reflink where that works, else by copying. Hashed once either way.
    pub(crate) fn take(layout: &Layout, path: &Path, from: &mut File) -> Result<Self> {
        let mut failed_to_read = None;
        let made = Self::make(layout, |file| {
            if crate::os::clone_file(file, from) {
                return hash(&mut file.try_clone()?);
            }
            let mut reader = Noting { inner: from, failure: &mut failed_to_read };
            copy(&mut reader, file)
        });
        match failed_to_read {
            Some(e) => Err(Error::io(path, e)),
            None => made,
        }
    }

    fn make(layout: &Layout, fill: impl FnOnce(&File) -> io::Result<(Digest, u64)>) -> Result<Self> {
        let wrap = |e| Error::io(&layout.values, e);
        let (file, temporary) = layout::create_temporary(&layout.values).map_err(wrap)?;
        let large = Large { length: 0, nonce: layout::random(), content: Digest::from_bytes([0; 32]) };
        let mut pending = Self { file, temporary, named: false, large };
        (pending.large.content, pending.large.length) = fill(&pending.file).map_err(wrap)?;
        Ok(pending)
    }

    /// Gives the file its name. From here on a frame may name it. It is made read-only once it is on the disk, so that
    /// the mode tells whether a crash of the machine can have damaged it.
    pub(crate) fn name(mut self, layout: &Layout, digest: &Digest, sync: bool) -> Result<Large> {
        let path = self.large.path(layout, digest);
        let wrap = |e| Error::io(&path, e);
        if sync {
            let synced = layout::sync_data(&self.file, &self.temporary);
            synced.and_then(|()| layout::seal(&self.file)).map_err(wrap)?;
        }
        if let Some(parent) = path.parent() {
            match crate::os::directory().create(parent) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(wrap(e)),
                _ => {}
            }
            layout::rename(&self.temporary, &path).map_err(wrap)?;
            self.named = true;
            if sync {
                sync_names(&path).map_err(wrap)?;
            }
        }
        Ok(self.large)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.named {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Remembers that reading failed, so that the error can name the right file.
struct Noting<'a> {
    inner: &'a mut File,
    failure: &'a mut Option<io::Error>,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|e| {
            let kind = e.kind();
            *self.failure = Some(e);
            kind.into()
        })
    }
}

fn each_block(
    from: &mut impl Read,
    mut each: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; BLOCK];
    let mut length = 0;
    loop {
        match from.read(&mut block) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&block[..n]);
                each(&block[..n], length)?;
                length += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok((Digest::from_bytes(*hasher.finalize().as_bytes()), length))
}

/// The digest and length of what a reader gives.
pub(crate) fn hash(from: &mut impl Read) -> io::Result<(Digest, u64)> {
    each_block(from, |_, _| Ok(()))
}

fn copy(from: &mut impl Read, to: &File) -> io::Result<(Digest, u64)> {
    each_block(from, |block, offset| write_all(to, &mut [IoSlice::new(block)], offset))
}

/// The digest that a blob of these bytes has.
pub(crate) fn blob_digest(content: Digest) -> ValueDigest {
    ValueDigest::new(content)
}

/// The size of a file if it is a regular one.
pub(crate) fn regular_length(file: &File) -> Option<u64> {
    file.metadata().ok().filter(fs::Metadata::is_file).map(|meta| meta.len())
}

/// Brings the file of a large value to the disk, and says so in its mode.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    let file = layout::open(path)?;
    layout::sync_data(&file, path)?;
    sync_names(path)?;
    layout::seal(&file)
}

/// Brings a file's name to the disk: its folder, and the folder's own name.
fn sync_names(path: &Path) -> io::Result<()> {
    path.ancestors().skip(1).take(2).try_for_each(layout::sync_dir)
}
