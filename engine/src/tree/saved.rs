//! Snapshots on disk, so that a later process need not read what has not changed.
//!
//! They lie beside the store and can be deleted at any time. A damaged one is as good as none: it must never be read
//! past its checksum.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use fleche_store::Digest;

use super::selection::Selection;
use super::{Directory, Entry, Snapshot};
use crate::files::Files;
use crate::input::{bytes_path, path_bytes};
use crate::stamp::Stamp;
use crate::system::Kind;

const HEADER: &[u8] = b"fleche tree 1\n";

impl Files {
    fn place_of(&self, selection: &Selection) -> Option<PathBuf> {
        let store = self.store()?;
        let name = Digest::of(&selection.name(&selection.base));
        Some(store.dir()?.join("trees").join(name.to_string()))
    }

    /// The snapshot that an earlier process left.
    pub(super) fn saved(&self, selection: &Selection) -> Option<Snapshot> {
        if !selection.contents {
            return None;
        }
        decode(&fs::read(self.place_of(selection)?).ok()?)
    }

    /// Leaves the snapshot to later processes. Whether that succeeds does not matter.
    pub(super) fn save(&self, selection: &Selection, snapshot: &Snapshot) {
        let Some(place) = self.place_of(selection) else { return };
        let write = || -> std::io::Result<()> {
            let directory = place.parent().unwrap_or(&place);
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            // Private, as the store is.
            builder.recursive(true).create(directory)?;
            let new = place.with_extension(std::process::id().to_string());
            let mut file = fs::File::create(&new)?;
            file.write_all(&encode(snapshot))?;
            drop(file);
            fs::rename(&new, &place)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "a tree's snapshot could not be kept");
        }
    }
}

fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    let number = |bytes: &mut Vec<u8>, number: usize| {
        bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    };
    bytes.extend(snapshot.digest.as_bytes());
    bytes.push(u8::from(snapshot.root == Some(Kind::Directory)));
    number(&mut bytes, snapshot.directories.len());
    for directory in &snapshot.directories {
        bytes.extend(directory.parent.to_le_bytes());
        bytes.extend(directory.digest.as_bytes());
        bytes.push(u8::from(directory.holds));
        number(&mut bytes, directory.entries.len());
        for Entry { name, kind, stamp, content, child } in &directory.entries {
            let name = path_bytes(name.as_ref());
            number(&mut bytes, name.len());
            bytes.extend(name);
            bytes.push(*kind);
            for word in [stamp.device, stamp.inode, stamp.size] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(stamp.modified.to_le_bytes());
            bytes.extend(stamp.changed.to_le_bytes());
            bytes.extend(content.as_bytes());
            bytes.extend(child.to_le_bytes());
        }
    }
    let checksum = Digest::of(&bytes);
    bytes.extend(checksum.as_bytes());
    bytes
}

/// What is left of the bytes.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn digest(&mut self) -> Option<Digest> {
        Some(Digest::from_bytes(self.array()?))
    }
}

fn decode(bytes: &[u8]) -> Option<Snapshot> {
    let (body, checksum) = bytes.split_last_chunk::<32>()?;
    if Digest::of(body).as_bytes() != checksum {
        return None;
    }
    let mut rest = Rest(body.strip_prefix(HEADER)?);
    let digest = rest.digest()?;
    let root = (rest.take(1)? == [1]).then_some(Kind::Directory);
    let mut directories = Vec::new();
    for _ in 0..rest.number()? {
        let (parent, digest, holds) = (rest.number()?, rest.digest()?, rest.take(1)? == [1]);
        let count = rest.number()?;
        let mut entries = Vec::with_capacity((count as usize).min(1 << 20));
        for _ in 0..count {
            let length = rest.number()? as usize;
            entries.push(Entry {
                name: bytes_path(rest.take(length)?)?.into_os_string(),
                kind: rest.array::<1>()?[0],
                stamp: Stamp {
                    device: rest.word()?,
                    inode: rest.word()?,
                    size: rest.word()?,
                    modified: rest.word()?.cast_signed(),
                    changed: rest.word()?.cast_signed(),
                },
                content: rest.digest()?,
                child: rest.number()?,
            });
        }
        directories.push(Arc::new(Directory { parent, entries, digest, holds }));
    }
    Some(Snapshot { digest, root, directories })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_comes_back_and_a_damaged_one_does_not() {
        let entry = |name: &str, child| Entry {
            name: name.into(),
            kind: b'f',
            stamp: Stamp { device: 1, inode: 2, size: 3, modified: -4, changed: 5 },
            content: Digest::of(name.as_bytes()),
            child,
        };
        let directory =
            |parent, entries| Arc::new(Directory { parent, entries, digest: Digest::of(b"d"), holds: true });
        let snapshot = Snapshot {
            digest: Digest::of(b"all"),
            root: Some(Kind::Directory),
            directories: vec![
                directory(u32::MAX, vec![entry("a", u32::MAX), entry("b", 1)]),
                directory(0, Vec::new()),
            ],
        };
        let bytes = encode(&snapshot);
        let back = decode(&bytes).unwrap();
        assert_eq!((back.digest, back.root), (snapshot.digest, snapshot.root));
        assert_eq!(back.directories, snapshot.directories);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(decode(&damaged).is_none(), "byte {at}");
            assert!(decode(&bytes[..at]).is_none(), "length {at}");
        }
    }
}
