//! A tracked file that is read piece by piece.
//!
//! No read may return bytes of another state than the one that was digested when the file was opened.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use crate::files::{self, Opened};
use crate::frame::Taint;
use crate::revision::Revision;
use crate::stamp::Stamp;
use crate::system::Handle;
use crate::thread;

/// A file opened by [`open`](super::open), for reading.
///
/// If the file changes between its opening and a read of a cached call, the read fails and the call is spoilt: a
/// top-level call starts over.
#[derive(Debug)]
pub struct File(Inner);

#[derive(Debug)]
enum Inner {
    Plain(std::fs::File),
    Bytes(Cursor<Arc<[u8]>>),
    Tracked { file: Handle, stamp: Stamp, path: PathBuf, revision: Arc<Revision> },
}

impl File {
    pub(super) fn plain(file: std::fs::File) -> Self {
        Self(Inner::Plain(file))
    }

    pub(super) fn tracked(opened: Opened, path: PathBuf, revision: Arc<Revision>) -> Self {
        Self(match opened {
            Opened::Bytes(bytes) => Inner::Bytes(Cursor::new(bytes)),
            Opened::File { file, stamp } => Inner::Tracked { file, stamp, path, revision },
        })
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Plain(file) => file.read(buffer),
            Inner::Bytes(bytes) => bytes.read(buffer),
            Inner::Tracked { file, stamp, path, revision } => {
                let count = file.read(buffer)?;
                // After the read: a write before it shows now.
                if file.status()?.stamp != *stamp {
                    revision.spoil();
                    thread::taint(Taint::Changed);
                    return Err(files::changed(path));
                }
                Ok(count)
            }
        }
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Inner::Plain(file) => file.seek(to),
            Inner::Bytes(bytes) => bytes.seek(to),
            Inner::Tracked { file, .. } => file.seek(to),
        }
    }
}
