//! Trees: a directory, a walk or a glob as one input, and how its digest is found again cheaply.
//!
//! What was seen is kept as a snapshot: of each entry its kind, its stamp if that is settled, and its content's digest.
//! A later look lists every directory and asks for the stamp of every file, on several threads, but reads only
//! files whose stamps have moved. Where a watcher covers the tree, only what was marked since is looked at.
//!
//! Digests are Merkle digests, directory by directory. A scan must never leave out what it could not look at: it
//! fails as a whole.

mod ignores;
mod saved;
mod scan;
pub(crate) mod selection;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{io, iter};

use fleche_store::Digest;
use foldhash::HashMap;
use parking_lot::Mutex;

use self::selection::Selection;
use crate::files::Files;
use crate::input;
use crate::marks;
use crate::stamp::Stamp;
use crate::system::Kind;

/// An entry's child that is no directory that was entered.
const NONE: u32 = u32::MAX;

/// What was seen of a tree.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) digest: Digest,
    /// `None`: there is nothing, or a file.
    pub(crate) root: Option<Kind>,
    /// The base first; children after their parents. Some may be left over from before an update.
    pub(crate) directories: Vec<Arc<Directory>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Directory {
    parent: u32,
    entries: Vec<Entry>,
    digest: Digest,
    /// Something in it or below it is selected.
    holds: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: OsString,
    /// As in digests: file, executable file, directory, link, special, and passage: a directory that only leads to
    /// what is selected.
    pub(crate) kind: u8,
    /// Settled, or none.
    stamp: Stamp,
    pub(crate) content: Digest,
    child: u32,
}

pub(crate) const FILE: u8 = b'f';
pub(crate) const EXECUTABLE: u8 = b'x';
pub(crate) const DIRECTORY: u8 = b'd';
pub(crate) const LINK: u8 = b'l';
pub(crate) const SPECIAL: u8 = b's';
const PASSAGE: u8 = b'p';

/// The trees that a cache's files have been asked for.
#[derive(Debug, Default)]
pub(crate) struct Trees {
    known: Mutex<HashMap<Arc<Selection>, Arc<Tree>>>,
}

#[derive(Debug, Default)]
struct Tree {
    state: Mutex<State>,
    /// What may have changed since the snapshot, where a watcher tells.
    marks: Mutex<Vec<PathBuf>>,
    /// The base without links, by which watchers may call it.
    resolved: Mutex<Option<PathBuf>>,
}

#[derive(Debug, Default)]
struct State {
    snapshot: Option<Arc<Snapshot>>,
    /// Files that were read since the snapshot was saved.
    unsaved: usize,
    /// The watcher under which the snapshot is complete but for the marks.
    watch: u64,
}

/// Beyond this many marks a scan is the quicker way.
const MOST_MARKS: usize = 10_000;

impl Trees {
    /// Takes note that the path, or something below it, may have changed. Every tree that it may belong to looks at it
    /// again.
    pub(crate) fn mark(&self, path: &Path) {
        for (selection, tree) in self.known.lock().iter() {
            let resolved = tree.resolved.lock();
            for base in iter::once(&selection.base).chain(resolved.as_ref()) {
                let mark = match path.strip_prefix(base) {
                    Ok(below) => selection.base.join(below),
                    Err(_) if base.starts_with(path) => selection.base.clone(),
                    Err(_) => continue,
                };
                let mut marks = tree.marks.lock();
                // So many that all has to be looked at anyway.
                if marks.len() < MOST_MARKS {
                    marks.push(mark);
                }
                break;
            }
        }
    }
}

impl Files {
    /// The digest of a tree as it is now.
    pub(crate) fn tree_digest(&self, selection: &Arc<Selection>) -> io::Result<Digest> {
        Ok(self.snapshot(selection)?.digest)
    }

    /// A tree as it is now.
    pub(crate) fn snapshot(&self, selection: &Arc<Selection>) -> io::Result<Arc<Snapshot>> {
        let trees = self.trees();
        let tree = trees.known.lock().entry(selection.clone()).or_default().clone();
        let mut state = tree.state.lock();
        let resolved = self.layer().resolve(self.system(), &selection.base, true).ok();
        // Before the marks are taken, and before anything is looked at: what is missed from here on is marked.
        let watch = resolved.as_deref().filter(|_| !selection.reads_above()).map_or(0, marks::watch_over);
        let same = std::mem::replace(&mut *tree.resolved.lock(), resolved.clone()) == resolved;
        let marks = std::mem::take(&mut *tree.marks.lock());
        let watched = watch != 0 && state.watch == watch && same && marks.len() < MOST_MARKS;
        if watched && let Some(known) = &state.snapshot {
            if marks.is_empty() {
                return Ok(known.clone());
            }
            if let Some(updated) = scan::update(self, selection, known, &marks) {
                match updated {
                    Ok(scanned) => return Ok(self.keep(selection, &mut state, scanned)),
                    Err(error) => {
                        state.watch = 0;
                        return Err(error);
                    }
                }
            }
        }
        state.watch = 0;
        let before = match &state.snapshot {
            Some(known) => Some(known.clone()),
            None => self.saved(selection).map(Arc::new),
        };
        let scanned = scan::scan(self, selection, before.as_deref())?;
        state.watch = watch;
        Ok(self.keep(selection, &mut state, scanned))
    }

    fn keep(&self, selection: &Selection, state: &mut State, scanned: scan::Scanned) -> Arc<Snapshot> {
        let snapshot = Arc::new(scanned.snapshot);
        state.unsaved += scanned.read;
        let entries: usize = snapshot.directories.iter().map(|directory| directory.entries.len()).sum();
        // Written again only when reading what is not in it would cost more than writing it.
        if selection.contents && state.unsaved > (entries / 64).max(16) {
            self.save(selection, &snapshot);
            state.unsaved = 0;
        }
        state.snapshot = Some(snapshot.clone());
        snapshot
    }
}

impl Snapshot {
    fn nothing(digest: Digest, root: Option<Kind>) -> Self {
        Self { digest, root, directories: Vec::new() }
    }

    /// Calls `f` with every selected entry, parents before their children, in order of names.
    pub(crate) fn for_each(&self, base: &Path, f: &mut dyn FnMut(PathBuf, &Entry, usize)) {
        if let Some(root) = self.directories.first() {
            self.visit(root, base, 1, f);
        }
    }

    fn visit(
        &self,
        directory: &Directory,
        base: &Path,
        depth: usize,
        f: &mut dyn FnMut(PathBuf, &Entry, usize),
    ) {
        for entry in &directory.entries {
            let path = base.join(&entry.name);
            let child = self.directories.get(entry.child as usize);
            match (entry.kind, child) {
                (PASSAGE, Some(child)) => self.visit(child, &path, depth + 1, f),
                (PASSAGE, None) => {}
                (_, child) => {
                    f(path.clone(), entry, depth);
                    if let Some(child) = child {
                        self.visit(child, &path, depth + 1, f);
                    }
                }
            }
        }
    }

    /// The entry at a path below the base.
    pub(crate) fn entry(&self, below: &Path) -> Option<&Entry> {
        let mut directory = self.directories.first()?;
        let mut names = below.components().peekable();
        loop {
            let name = names.next()?;
            let at = directory.entries.binary_search_by(|entry| (*entry.name).cmp(name.as_os_str())).ok()?;
            let entry = &directory.entries[at];
            if names.peek().is_none() {
                return (entry.kind != PASSAGE).then_some(entry);
            }
            directory = self.directories.get(entry.child as usize)?;
        }
    }
}

impl Directory {
    /// The digest of its entries; `contents`: of their contents too.
    fn compute(&self, contents: bool) -> Digest {
        let context = if contents { "fleche 2026 directory tree" } else { "fleche 2026 directory names" };
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for entry in &self.entries {
            let name = input::path_bytes(Path::new(&entry.name));
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(&name);
            hasher.update(&[entry.kind]);
            hasher.update(entry.content.as_bytes());
        }
        Digest::from_bytes(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests;
