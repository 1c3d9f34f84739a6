//! The engine's error: what can be wrong apart from what a cached function itself reports.

use std::path::PathBuf;

/// What the engine reports. A fault of storage never becomes one from a call: the call runs uncached instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not be opened or read.
    #[error(transparent)]
    Store(#[from] fleche_store::Error),
    /// A file could not be read or written; also what `?` makes of a cached function's own `io::Error`.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A value could not be archived or digested.
    #[error("a value of type {what} cannot be stored: {reason}")]
    Archive {
        /// The type's full name.
        what: &'static str,
        /// What its serialisation said.
        reason: String,
    },
    /// `fleche.toml` is not what it should be.
    #[error("{}: {reason}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// `fleche::cache("name")` names a cache that no `fleche.toml` has.
    #[error(
        "there is no cache named {name:?}: {searched}; add a [cache.{name}] with a path to it, or pass a `Cache`"
    )]
    NoSuchCache {
        /// The name asked for.
        name: String,
        /// Where it was looked for.
        searched: String,
    },
}

/// A result with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
