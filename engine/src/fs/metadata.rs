//! What the system knows of a path, as far as it is an input.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{absolute, failed, observed};
use crate::files::Found;
use crate::input::{self, Input};
use crate::system::Kind;
use crate::thread;

/// Kind, length and permissions of a path; see [`metadata`](super::metadata).
#[derive(Debug, Clone)]
pub struct Metadata {
    path: PathBuf,
    follow: bool,
    kind: Kind,
    length: u64,
    mode: u32,
}

impl Metadata {
    pub(super) fn new(path: PathBuf, follow: bool, found: &Found) -> Self {
        let (kind, length, mode) = input::facts(found);
        Self { path, follow, kind, length, mode }
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// Whether it is a symbolic link; never, from [`metadata`](super::metadata).
    pub fn is_symlink(&self) -> bool {
        self.kind == Kind::Link
    }

    /// How many bytes a file or a link's text has. Of a directory this is 0: its length says nothing.
    #[expect(clippy::len_without_is_empty, reason = "the standard library's shape")]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// The permission bits, such as `0o644`. Without Unix, 1 for a read-only file, else 0.
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// Whether anybody may execute it. Without Unix never.
    pub fn is_executable(&self) -> bool {
        cfg!(unix) && self.mode & 0o111 != 0
    }

    /// When the content was written last. To ask makes it an input: the running call depends on it from now on, and
    /// runs again when a file is touched. What an overlay holds was written in 1970.
    ///
    /// # Errors
    ///
    /// If the path is no longer there or cannot be looked at.
    pub fn modified(&self) -> io::Result<SystemTime> {
        let place = thread::place("`Metadata::modified`");
        let input = Input::Modified(self.path.clone(), self.follow).id();
        match place.cache.files().find(&absolute(&self.path), self.follow) {
            Ok(found) => {
                let nanos = if let Found::Disk(status) = found { status.stamp.modified } else { 0 };
                observed(&place, &self.path, input, input::modified_digest(nanos));
                let since = Duration::from_nanos(nanos.unsigned_abs());
                Ok(if nanos < 0 { SystemTime::UNIX_EPOCH - since } else { SystemTime::UNIX_EPOCH + since })
            }
            Err(error) => Err(failed(&place, &self.path, input, error)),
        }
    }
}
