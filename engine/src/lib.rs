//! Incremental computation that survives the process.
//!
//! Mark a function with [`#[fleche]`](macro@fleche) and each call of it becomes a node of a dependency graph. Its
//! result is archived in files that every later process shares; what it read through [`fs`] is traced; and when
//! that changes, exactly the calls that depended on it run again.
//!
//! ```
//! use fleche::{fleche, value};
//! use std::path::Path;
//!
//! #[value]
//! struct Counts {
//!     words: u64,
//!     lines: u64,
//! }
//!
//! #[fleche(version = 1)]
//! fn count(path: &Path) -> std::io::Result<Counts> {
//!     let text = fleche::fs::read_to_string(path)?; // tracked: the file becomes an input of this call
//!     Ok(Counts { words: text.split_whitespace().count() as u64, lines: text.lines().count() as u64 })
//! }
//!
//! # fn main() -> fleche::Result<()> {
//! # let dir = tempfile::tempdir()?;
//! # std::env::set_current_dir(&dir)?;
//! # std::fs::write("book.txt", "one two\nthree\n")?;
//! let cache = fleche::Cache::open(".fleche")?;
//! let _scope = fleche::cache(&cache)?; // in scope on this thread until the guard drops
//! let book = Path::new("book.txt");
//! assert_eq!(count(book)?.words, 3); // runs
//! assert_eq!(count(book)?.lines, 2); // hit
//! assert_eq!(count::view(book)?.words, 3); // zero-copy, where the result lies
//! assert_eq!(cache.stats().ran, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What the engine needs of your types
//!
//! Arguments are anything that serde serialises. Results are a [`#[value]`](macro@value), a primitive, a string,
//! or a `Vec`, `Option`, tuple, map or set of such; of a `Result` the `Ok` is kept, and errors and panics never
//! are.

mod buffer;
mod cache;
mod call;
mod cancel;
mod code;
mod config;
mod cover;
mod demand;
pub mod dynamic;
pub mod env;
mod error;
mod events;
pub mod explain;
mod fanout;
mod files;
mod fingerprint;
mod flat;
mod flight;
mod frame;
pub mod fs;
mod graph;
mod image;
mod input;
mod marks;
mod named;
mod overlay;
mod paths;
#[doc(hidden)]
pub mod pattern;
#[doc(hidden)]
pub mod private;
pub mod recorded;
mod registry;
pub mod rerun;
mod restore;
mod revision;
mod scope;
mod stamp;
mod sweep;
mod sync;
mod system;
mod thread;
mod tree;
mod value;
mod watch;

pub use fleche_code::report::{Change, Covered, How, Part, Report as Code};
pub use fleche_macros::{fleche, value};
pub use fleche_store::{
    CallId, CallKey, CodeDigest, Dependency, Digest, Edge, Record, Store, TypeFingerprint, ValueDigest,
};

pub use crate::cache::Cache;
pub use crate::call::Call;
pub use crate::cancel::{Cancelled, cancellable, checkpoint};
pub use crate::code::{code_changes, code_of};
pub use crate::error::{Error, Result};
pub use crate::events::{Event, Fate, Progress, Stats};
pub use crate::explain::explain;
pub use crate::fanout::{FanOut, Spawned, join, par_map, scope};
pub use crate::fingerprint::Fingerprint;
pub use crate::named::Input;
pub use crate::overlay::Overlay;
pub use crate::registry::{Definition, functions};
pub use crate::rerun::rerun;
pub use crate::scope::{IntoCache, Scope, cache, current_cache, frozen};
pub use crate::value::{Value, View};
pub use crate::watch::{Changes, Watch, Watcher, watch};

/// Keeps the running call, and every call above it, from being recorded: what it saw cannot be reproduced.
///
/// Outside a cached call it does nothing.
pub fn taint(reason: impl Into<String>) {
    thread::taint(frame::Taint::Told(reason.into()));
}
