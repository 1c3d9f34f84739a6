//! Brings outputs back to what a record says: fetch everything, then swap in, touch nothing that is already right.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use fleche_store::{Digest, Store};

use crate::pattern::{TEMPORARY, is_absence};
use crate::plan::Task;
use crate::produced::{Content, Entry, Kind, Produced, blob};
use crate::staging::{Staging, remove};

/// Something on disk that is not what the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference<'p> {
    /// Missing, or with other content, or of another kind.
    Content(&'p Entry),
    /// Right but for its permissions.
    Mode(&'p Entry),
    /// In an output directory, but not made by the task.
    Surplus(String),
}

impl Difference<'_> {
    /// Where it is.
    pub fn path(&self) -> &str {
        match self {
            Self::Content(entry) | Self::Mode(entry) => &entry.path,
            Self::Surplus(path) => path,
        }
    }
}

/// Finds the digest of a file's content.
pub type DigestOf<'d> = &'d dyn Fn(&Path) -> io::Result<Option<Digest>>;

/// All differences between the outputs on disk and the record.
pub fn differences<'p>(
    root: &Path,
    task: &Task,
    produced: &'p Produced,
    digest_of: DigestOf<'_>,
) -> io::Result<Vec<Difference<'p>>> {
    let known: BTreeSet<&str> = produced.entries.iter().map(|entry| entry.path.as_str()).collect();
    let mut differences = Vec::new();
    for entry in &produced.entries {
        let place = root.join(&entry.path);
        let metadata = match fs::symlink_metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => {
                differences.push(Difference::Content(entry));
                continue;
            }
            Err(error) => return Err(error),
        };
        let mode_now = metadata.permissions().mode() & 0o777;
        let (same, mode) = match &entry.kind {
            Kind::File(Content { digest, size, mode }) => {
                let same = metadata.is_file()
                    && metadata.len() == *size
                    && digest_of(&place)? == Some(Digest::from_bytes(*digest));
                (same, Some(*mode))
            }
            Kind::Link(target) => {
                (metadata.is_symlink() && fs::read_link(&place)?.as_os_str() == target.as_str(), None)
            }
            Kind::Directory(mode) => {
                if metadata.is_dir() {
                    surplus(&place, &entry.path, task, &known, &mut differences)?;
                }
                (metadata.is_dir(), Some(*mode))
            }
        };
        if !same {
            differences.push(Difference::Content(entry));
        } else if mode.is_some_and(|mode| mode != mode_now) {
            differences.push(Difference::Mode(entry));
        }
    }
    Ok(differences)
}

fn surplus(
    place: &Path,
    path: &str,
    task: &Task,
    known: &BTreeSet<&str>,
    differences: &mut Vec<Difference<'_>>,
) -> io::Result<()> {
    for child in fs::read_dir(place)? {
        let name = child?.file_name();
        let path = format!("{path}/{}", name.display());
        let kept = task.keeps(&path) || task.keep.iter().any(|keep| crate::path::is_below(keep, &path));
        if !known.contains(path.as_str()) && !kept && !name.to_string_lossy().starts_with(TEMPORARY) {
            differences.push(Difference::Surplus(path));
        }
    }
    Ok(())
}

/// Why outputs could not be restored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store no longer has the bytes of this output.
    #[error("the store no longer has the content of {0}")]
    Gone(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] fleche_store::Error),
    /// The file system failed.
    #[error("{path} cannot be restored: {error}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        error: io::Error,
    },
}

/// Removes the differences. Until everything is fetched nothing in place is touched.
/// Files are prepared in `work` if that is on the file system of the outputs.
pub fn restore(
    root: &Path,
    work: &Path,
    task: &Task,
    differences: &[Difference<'_>],
    store: &Store,
) -> Result<(), Error> {
    let failed = |path: &str| {
        let path = path.to_owned();
        move |error| Error::Io { path, error }
    };
    let Some(first) = task.outputs.first() else { return Ok(()) };
    let mut staging = Staging::near(&root.join(&first.path), work).map_err(failed(&first.path))?;
    let mut fetched = Vec::new();
    for difference in differences {
        let Difference::Content(entry) = difference else { continue };
        let place = staging.place();
        match &entry.kind {
            Kind::File(Content { digest, mode, .. }) => {
                if !store.copy_blob(&blob(*digest), &place)? {
                    return Err(Error::Gone(entry.path.clone()));
                }
                set_mode(&place, *mode).map_err(failed(&entry.path))?;
            }
            Kind::Link(target) => symlink(target, &place).map_err(failed(&entry.path))?,
            Kind::Directory(_) => {}
        }
        fetched.push((*entry, place));
    }
    for difference in differences {
        if let Difference::Surplus(path) = difference {
            remove(&root.join(path)).map_err(failed(path))?;
        }
    }
    // Directories first, so that what goes into them has a place; a path sorts after what is above it.
    fetched.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    for (entry, staged) in &fetched {
        swap_in(root, entry, staged, task, &mut staging).map_err(failed(&entry.path))?;
    }
    for difference in differences {
        let (Difference::Mode(entry) | Difference::Content(entry)) = difference else { continue };
        match entry.kind {
            Kind::File(Content { mode, .. }) if matches!(difference, Difference::Mode(_)) => {
                set_mode(&root.join(&entry.path), mode).map_err(failed(&entry.path))?;
            }
            // Last, since nothing can be put into a directory that may not be written.
            Kind::Directory(mode) => {
                set_mode(&root.join(&entry.path), mode).map_err(failed(&entry.path))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn swap_in(root: &Path, entry: &Entry, staged: &Path, task: &Task, staging: &mut Staging) -> io::Result<()> {
    let place = root.join(&entry.path);
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    let is_directory = fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir());
    if matches!(entry.kind, Kind::Directory(_)) {
        if !is_directory {
            if fs::symlink_metadata(&place).is_ok() {
                fs::rename(&place, staging.place())?;
            }
            fs::create_dir(&place)?;
        }
        return Ok(());
    }
    if is_directory {
        if task.keep.iter().any(|keep| crate::path::is_below(keep, &entry.path)) {
            return Err(io::Error::other("a directory that holds paths of `keep` is in its place"));
        }
        // A rename cannot replace a directory by a file.
        fs::rename(&place, staging.place())?;
    }
    fs::rename(staged, &place)
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
