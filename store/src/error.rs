//! The one error type of this crate.
//!
//! Damage to stored data is not an error: it is a miss. Errors are for what the caller can act on.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or directory in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A write to a store that was opened read-only.
    #[error("{path}: this store is open read-only", path = path.display())]
    ReadOnly {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store's directory lies on a network or user-space file system.
    #[error(
        "{path}: a store can't be written on {kind}, whose locks and maps can't be trusted; \
         put it on a local disk (or open it read-only)",
        path = path.display()
    )]
    NetworkFileSystem {
        /// The store's directory.
        path: PathBuf,
        /// The file system's name.
        kind: &'static str,
    },
    /// Something stands where the store wants a file or directory of its own.
    #[error("{path}: {what}", path = path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A prefix that is not made of hex digits, or longer than a digest.
    #[error("{prefix:?} is not the beginning of a digest (up to 64 hex digits)")]
    InvalidPrefix {
        /// What was given.
        prefix: String,
    },
    /// A record, note or value that the format has no room for.
    #[error("{what} of {length} bytes is too large to be stored")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        length: u64,
    },
    /// Another process has been doing upkeep for too long.
    #[error("{path}: another process holds the maintenance lock; try again when it is done", path = path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_path_buf(), source: source.into() }
    }

    /// The system's error, if this is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}
