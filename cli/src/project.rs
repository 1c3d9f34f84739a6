//! Finds a project's manifest, reads it, and opens its cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use fleche::Cache;
use fleche_store::{Options, Store};

use crate::diagnostic::Diagnostic;
use crate::ledger::Ledger;
use crate::manifest::Result;
use crate::manifest::parse::parse;
use crate::plan::Plan;
use crate::work::Work;

/// The name of a manifest.
pub const MANIFEST: &str = "fleche.toml";

/// Where the cache is if the manifest does not say, relative to it.
pub const DEFAULT_CACHE: &str = ".fleche";

/// A manifest that was found and is right.
#[derive(Debug)]
pub struct Project {
    /// Its tasks.
    pub plan: Plan,
    /// Its scratch directory.
    pub work: Work,
    /// What its tasks have made here.
    pub ledger: Mutex<Ledger>,
}

/// What a command is going to do with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look things up; an absent cache is not made.
    Look,
    /// Record results, unless the manifest says that it is only read.
    Record,
}

impl Project {
    /// The manifest of `directory`: `file`, or else found by walking up.
    pub fn locate(directory: &Path, file: Option<&Path>) -> Result<PathBuf> {
        match file {
            Some(file) => Ok(directory.join(file)),
            None => directory
                .ancestors()
                .map(|above| above.join(MANIFEST))
                .find(|path| path.is_file())
                .ok_or_else(|| {
                    vec![
                        Diagnostic::new(format!(
                            "there is no {MANIFEST} in {} or above it",
                            directory.display()
                        ))
                        .help("`fleche init` writes one; `-C DIR` looks elsewhere, `--file FILE` names one"),
                    ]
                }),
        }
    }

    /// Reads a manifest; errors show its path as seen from `directory`.
    pub fn load(path: &Path, directory: &Path) -> Result<Project> {
        let shown = path.strip_prefix(directory).unwrap_or(path);
        let unreadable = |error: &dyn std::fmt::Display| {
            vec![Diagnostic::new(format!("{} cannot be read: {error}", shown.display()))]
        };
        let text = fs::read(path).map_err(|error| unreadable(&error))?;
        let text = String::from_utf8(text).map_err(|_| unreadable(&"it is not UTF-8"))?;
        let root = path.parent().unwrap_or(Path::new("/"));
        let root = root.canonicalize().map_err(|error| unreadable(&error))?;
        let mut plan = Plan::new(&root, parse(shown, text)?)?;
        let ledger = Ledger::read(&root, &path.file_name().unwrap_or_default().to_string_lossy());
        plan.orphans = ledger.orphans(&plan);
        Ok(Project { plan, work: Work::new(&root), ledger: Mutex::new(ledger) })
    }

    /// The directory of the cache, if it is one on disk, and whether it is only read.
    fn cache_directory(&self) -> Option<(PathBuf, bool)> {
        let manifest = &self.plan.manifest;
        match &manifest.default.cache {
            None => Some((self.plan.root.join(DEFAULT_CACHE), false)),
            Some(name) => manifest
                .caches
                .get(&name.value)
                .map(|cache| (self.plan.root.join(&cache.path.value), cache.read_only)),
        }
    }

    /// Opens the cache.
    pub fn cache(&self, access: Access) -> std::result::Result<Cache, Diagnostic> {
        let root = &self.plan.root;
        let Some((directory, read_only)) = self.cache_directory() else {
            let void = self.plan.manifest.default.cache.as_ref().is_some_and(|name| name.value == "void");
            return Ok(if void { Cache::void() } else { Cache::with_store(Store::memory(), root) });
        };
        if !directory.exists() && (access == Access::Look || read_only) {
            return Ok(Cache::with_store(Store::memory(), root));
        }
        let options = Options { read_only, ..Options::default() };
        let opened = match Store::open(&directory, options.clone()) {
            // Nothing that a run has to do depends on a cache.
            Err(error) if is_refusal(&error) => {
                tracing::warn!(%error, "the cache cannot be written; results are not kept");
                return Ok(match Store::open(&directory, Options { read_only: true, ..options }) {
                    Ok(store) => Cache::with_store(store, root),
                    Err(_) if access == Access::Look => Cache::with_store(Store::memory(), root),
                    Err(_) => Cache::void(),
                });
            }
            opened => opened,
        };
        let store = opened.map_err(|error| {
            let diagnostic =
                Diagnostic::new(format!("the cache in {} cannot be opened: {error}", directory.display()));
            let manifest = &self.plan.manifest;
            let named = manifest.default.cache.as_ref().and_then(|name| manifest.caches.get(&name.value));
            match named {
                Some(cache) => diagnostic.at(&manifest.source, cache.path.span.clone()),
                None => diagnostic,
            }
        })?;
        Ok(Cache::with_store(store, root))
    }
}

/// Whether the system does not let us write there.
fn is_refusal(error: &fleche_store::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    let fleche_store::Error::Io { source, .. } = error else { return false };
    matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull)
}
