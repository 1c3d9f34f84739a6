//! Scopes: which cache a thread's calls use, and for how long one picture of the inputs is held.
//!
//! Guards restore what was there before. They must stay on their thread.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::Cache;
use crate::config;
use crate::error::Result;
use crate::revision::Revision;
use crate::thread;

/// What can be put in scope: a [`Cache`], or the name of one in `fleche.toml`.
pub trait IntoCache {
    /// The cache itself.
    ///
    /// # Errors
    ///
    /// If it has to be found or opened and cannot be.
    fn into_cache(self) -> Result<Cache>;
}

impl IntoCache for Cache {
    fn into_cache(self) -> Result<Cache> {
        Ok(self)
    }
}

impl IntoCache for &Cache {
    fn into_cache(self) -> Result<Cache> {
        Ok(self.clone())
    }
}

/// By name: `"memory"`, `"void"`, or a `[cache.NAME]` of the `fleche.toml` found in the working directory or
/// above it.
impl IntoCache for &str {
    fn into_cache(self) -> Result<Cache> {
        config::named(self)
    }
}

/// By place: a directory, as with [`Cache::open`].
impl IntoCache for &Path {
    fn into_cache(self) -> Result<Cache> {
        Cache::open(self)
    }
}

/// By place: a directory, as with [`Cache::open`].
impl IntoCache for PathBuf {
    fn into_cache(self) -> Result<Cache> {
        Cache::open(self)
    }
}

/// Puts a cache in scope for this thread, until the guard drops.
///
/// # Errors
///
/// If the cache is named and no `fleche.toml` has that name, or it cannot be opened.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// let outer = fleche::cache("memory")?;
/// {
///     let _inner = fleche::cache("void")?;
///     assert!(fleche::current_cache().store().is_none());
/// }
/// assert!(fleche::current_cache().store().is_some());
/// # drop(outer);
/// # Ok(())
/// # }
/// ```
pub fn cache(cache: impl IntoCache) -> Result<Scope> {
    let cache = cache.into_cache()?;
    let before = thread::with(|thread| thread.cache.replace(cache));
    Ok(Scope { before, kept: false, here: PhantomData })
}

/// Keeps a cache in scope; see [`cache`].
#[must_use = "the cache goes out of scope when this is dropped; `.keep()` makes it stick"]
#[derive(Debug)]
pub struct Scope {
    before: Option<Cache>,
    kept: bool,
    here: PhantomData<*const ()>,
}

impl Scope {
    /// Leaves the cache in scope for the rest of the thread's life.
    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if !self.kept {
            let before = self.before.take();
            // Dropped outside the borrow: closing a cache may do work.
            let _closed = thread::with(|thread| {
                // A thread that idles keeps no graph in memory.
                let graph = thread.forget_graph();
                (graph, std::mem::replace(&mut thread.cache, before))
            });
        }
    }
}

/// The cache in scope on this thread.
///
/// # Panics
///
/// On a thread other than the main one that has none.
pub fn current_cache() -> Cache {
    thread::place("`current_cache`").cache
}

/// The cache that the main thread starts with: the default of `fleche.toml`, or memory.
pub(crate) fn configured() -> Cache {
    config::default().unwrap_or_else(|error| {
        tracing::warn!(%error, "the configured cache cannot be used; results are kept in memory");
        Cache::memory()
    })
}

/// Holds one picture of the inputs for every call that `f` makes on this thread: each input is looked at once.
///
/// Without it each top-level call looks again. An [`Input`](crate::Input) that is set meanwhile keeps, for these calls, the
/// value that it had.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # let file = dir.path().join("a");
/// # std::fs::write(&file, "1")?;
/// # let _scope = fleche::cache("memory")?;
/// # use fleche::fleche;
/// # use std::path::Path;
/// #[fleche]
/// fn length(path: &Path) -> std::io::Result<u64> {
///     Ok(fleche::fs::read(path)?.len() as u64)
/// }
///
/// fleche::frozen(|| -> std::io::Result<()> {
///     assert_eq!(length(&file)?, 1);
///     std::fs::write(&file, "22")?;
///     assert_eq!(length(&file)?, 1);
///     Ok(())
/// })?;
/// assert_eq!(length(&file)?, 2);
/// # Ok(())
/// # }
/// ```
pub fn frozen<T>(f: impl FnOnce() -> T) -> T {
    // The outer picture, if there is one, covers the inner.
    let revision = thread::with(|thread| thread.held().cloned());
    let revision = revision.unwrap_or_else(|| Arc::new(Revision::pinned()));
    under(revision, f)
}

/// Runs `f` with `revision` as the picture that top-level calls see.
pub(crate) fn under<T>(revision: Arc<Revision>, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<Revision>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            thread::with(|thread| thread.frozen = self.0.take());
        }
    }
    let _restore = Restore(thread::with(|thread| thread.frozen.replace(revision)));
    f()
}
