//! Overlays: content in memory that shadows files, for an editor's unsaved buffers.
//!
//! To a tracked read what an overlay holds is what the file holds: it is recorded under the digest of the bytes, so a
//! result made from a buffer is found again when the buffer has been saved. An overlay must never be told from the
//! disk by anything that lasts: nothing it holds is remembered under a stamp.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fleche_store::Digest;
use parking_lot::RwLock;

use crate::cache::Cache;
use crate::marks;
use crate::system::{Kind, System};

/// Content in memory that lies over the files of a [`Cache`]: every tracked read in that cache's scope sees it.
///
/// Files can be given content, edited and hidden, whether or not they exist; directories on the way to one appear
/// with it. [`read`](crate::fs::read), [`open`](crate::fs::open), [`exists`](crate::fs::exists),
/// [`read_dir`](crate::fs::read_dir), [`walk`](crate::fs::walk) and [`glob`](crate::fs::glob) agree on what is there.
/// Clones are the same overlay, as are those that [`Cache::overlay`] gives for one cache.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn length(path: &Path) -> std::io::Result<u64> {
///     Ok(fleche::fs::read(path)?.len() as u64)
/// }
///
/// let cache = fleche::Cache::memory();
/// let _scope = fleche::cache(&cache)?;
/// let file = dir.path().join("a.txt");
/// std::fs::write(&file, "saved")?;
/// let overlay = cache.overlay();
/// overlay.set(&file, "not yet saved")?;
/// assert_eq!(length(&file)?, 13);
/// std::fs::write(&file, "not yet saved")?;
/// overlay.reset(&file)?;
/// assert_eq!(length(&file)?, 13); // a hit: the content is the same
/// assert_eq!(cache.stats().ran, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Overlay(Cache);

impl Overlay {
    pub(crate) fn of(cache: Cache) -> Self {
        Self(cache)
    }

    fn change(&self, path: &Path, change: impl FnOnce(&Layer, PathBuf, bool)) -> io::Result<()> {
        let files = self.0.files();
        let path = std::path::absolute(path)?;
        let place = files.layer().resolve(files.system(), &path, true)?;
        change(files.layer(), place.clone(), files.system().folds_case());
        // A watcher of the disk does not tell of it.
        marks::mark([place.as_path(), path.as_path()]);
        Ok(())
    }

    /// Gives the file content that is not the disk's. At the end of a link the file that it leads to is shadowed. A
    /// file that lies where a directory must be gives way to it, and so does a directory to a file.
    ///
    /// # Errors
    ///
    /// If the way to the path cannot be looked at.
    pub fn set(&self, path: impl AsRef<Path>, content: impl Into<Vec<u8>>) -> io::Result<()> {
        let content: Arc<[u8]> = content.into().into();
        let digest = Digest::of(&content);
        self.change(path.as_ref(), |layer, place, fold| layer.set(&place, Some((content, digest)), fold))
    }

    /// Alters the content as it is seen now, be it the disk's or the overlay's; a file that is not there is empty.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn edit(&self, path: impl AsRef<Path>, edit: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let path = path.as_ref();
        let mut content = match self.0.files().read(&std::path::absolute(path)?) {
            Ok((content, _)) => content,
            Err(error) if crate::input::is_absence(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        edit(&mut content);
        self.set(path, content)
    }

    /// Hides what lies at the path and below it: it is as if it were not there.
    ///
    /// # Errors
    ///
    /// If the way to the path cannot be looked at.
    pub fn hide(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.change(path.as_ref(), |layer, place, fold| layer.set(&place, None, fold))
    }

    /// Shows the disk again at the path and below it.
    ///
    /// # Errors
    ///
    /// If the way to the path cannot be looked at.
    pub fn reset(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.change(path.as_ref(), |layer, place, fold| layer.reset(&place, fold))
    }

    /// Shows the disk again everywhere.
    pub fn clear(&self) {
        let files = self.0.files();
        for place in files.layer().clear() {
            marks::mark([place.as_path()]);
        }
    }

    /// The paths that are shadowed or hidden, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.files().layer().paths()
    }
}

/// What an overlay says of a path.
#[derive(Debug, Clone)]
pub(crate) enum Shade {
    /// Nothing.
    Disk,
    Content(Arc<[u8]>, Digest),
    Hidden,
    /// There must be a directory for what the overlay holds below it; what the disk has in it shows through or not.
    Directory {
        through: bool,
    },
}

#[derive(Debug)]
enum Shadow {
    Content(Arc<[u8]>, Digest),
    Hidden,
}

/// What is held over the files of one cache. Paths are absolute, without links in them.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    used: AtomicBool,
    shadows: RwLock<BTreeMap<PathBuf, (PathBuf, Shadow)>>,
}

/// Links in a path may lead on so many times.
const MOST_LINKS: usize = 40;

fn key(path: &Path, fold: bool) -> PathBuf {
    match path.to_str() {
        Some(text) if fold => PathBuf::from(text.to_lowercase()),
        _ => path.to_path_buf(),
    }
}

impl Layer {
    /// Whether it holds anything at all: the quick way past it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.used.load(Ordering::Acquire)
    }

    fn set(&self, path: &Path, content: Option<(Arc<[u8]>, Digest)>, fold: bool) {
        let mut shadows = self.shadows.write();
        remove_below(&mut shadows, &key(path, fold));
        if content.is_some() {
            // What lies on the way must be directories now, in which the disk's file does not show.
            for above in path.ancestors().skip(1) {
                if let Some((_, shadow @ Shadow::Content(..))) = shadows.get_mut(&key(above, fold)) {
                    *shadow = Shadow::Hidden;
                }
            }
        }
        let shadow = content.map_or(Shadow::Hidden, |(bytes, digest)| Shadow::Content(bytes, digest));
        shadows.insert(key(path, fold), (path.to_path_buf(), shadow));
        self.used.store(true, Ordering::Release);
    }

    fn reset(&self, path: &Path, fold: bool) {
        let mut shadows = self.shadows.write();
        remove_below(&mut shadows, &key(path, fold));
        shadows.remove(&key(path, fold));
        self.used.store(!shadows.is_empty(), Ordering::Release);
    }

    fn clear(&self) -> Vec<PathBuf> {
        let shadows = std::mem::take(&mut *self.shadows.write());
        self.used.store(false, Ordering::Release);
        shadows.into_values().map(|(path, _)| path).collect()
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.shadows.read().values().map(|(path, _)| path.clone()).collect()
    }

    /// What it says of a path that has no links in it.
    pub(crate) fn shade(&self, path: &Path, fold: bool) -> Shade {
        if self.is_empty() {
            return Shade::Disk;
        }
        let shadows = self.shadows.read();
        let path = key(path, fold);
        let mut hidden = false;
        for (at, above) in path.ancestors().enumerate() {
            match shadows.get(above) {
                Some((_, Shadow::Content(bytes, digest))) if at == 0 => {
                    return Shade::Content(bytes.clone(), *digest);
                }
                // A file is in the way.
                Some((_, Shadow::Content(..))) => return Shade::Hidden,
                Some((_, Shadow::Hidden)) => hidden = true,
                None => {}
            }
        }
        let below = shadows
            .range::<Path, _>((Bound::Excluded(&*path), Bound::Unbounded))
            .take_while(|(other, _)| other.starts_with(&path))
            .any(|(_, (_, shadow))| matches!(shadow, Shadow::Content(..)));
        match (hidden, below) {
            (hidden, true) => Shade::Directory { through: !hidden },
            (true, false) => Shade::Hidden,
            (false, false) => Shade::Disk,
        }
    }

    /// The names that it adds to a directory without links in its path, or says something about.
    pub(crate) fn names(&self, directory: &Path, fold: bool) -> Vec<OsString> {
        if self.is_empty() {
            return Vec::new();
        }
        let shadows = self.shadows.read();
        let directory = key(directory, fold);
        let depth = directory.components().count();
        let mut names: Vec<OsString> = shadows
            .range::<Path, _>((Bound::Excluded(&*directory), Bound::Unbounded))
            .take_while(|(other, _)| other.starts_with(&directory))
            .filter_map(|(_, (path, _))| Some(path.components().nth(depth)?.as_os_str().to_owned()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether it says anything about the directory or what is below it.
    pub(crate) fn reaches_into(&self, directory: &Path, fold: bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let shadows = self.shadows.read();
        let directory = key(directory, fold);
        shadows.keys().any(|path| path.starts_with(&directory) || directory.starts_with(path))
    }

    /// The path without `.`, `..` and links, except in its last name if `follow` is not set. Names that are not
    /// there stay as they are; the overlay's are no links.
    pub(crate) fn resolve(&self, system: &System, path: &Path, follow: bool) -> io::Result<PathBuf> {
        let fold = system.folds_case();
        let mut ahead: Vec<OsString> = Vec::new();
        let push = |ahead: &mut Vec<OsString>, path: &Path| {
            for component in path.components().rev() {
                match component {
                    Component::Normal(name) => ahead.push(name.to_owned()),
                    Component::ParentDir => ahead.push("..".into()),
                    Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
                }
            }
        };
        let root = |path: &Path| -> PathBuf {
            path.components().take_while(|c| matches!(c, Component::Prefix(_) | Component::RootDir)).collect()
        };
        let mut place = root(path);
        push(&mut ahead, path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == ".." {
                place.pop();
                continue;
            }
            place.push(&name);
            if ahead.is_empty() && !follow || !matches!(self.shade(&place, fold), Shade::Disk) {
                continue;
            }
            let is_link = match system.link_status(&place) {
                Ok(status) => status.kind == Kind::Link,
                Err(error) if crate::input::is_absence(&error) => false,
                Err(error) => return Err(error),
            };
            if is_link {
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::other(format!(
                        "{}: the links on the way lead round in a circle",
                        path.display()
                    )));
                }
                let target = system.link(&place)?;
                place.pop();
                if target.is_absolute() {
                    place = root(&target);
                }
                push(&mut ahead, &target);
            }
        }
        Ok(place)
    }
}

fn remove_below(shadows: &mut BTreeMap<PathBuf, (PathBuf, Shadow)>, path: &Path) {
    let below: Vec<PathBuf> = shadows
        .range::<Path, _>((Bound::Excluded(path), Bound::Unbounded))
        .map(|(other, _)| other)
        .take_while(|other| other.starts_with(path))
        .cloned()
        .collect();
    for path in below {
        shadows.remove(&path);
    }
}
