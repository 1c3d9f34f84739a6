//! Where things lie in a store's directory, and the few file operations that are done in one way only.
//!
//! Files are opened without following symbolic links, so that nothing outside the store is ever read or written
//! through it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
pub(crate) use crate::os::try_lock;
use crate::os::{self, options};

/// The directories and files of one format version.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// What the user named.
    pub(crate) dir: PathBuf,
    /// The directory of this format.
    pub(crate) root: PathBuf,
    pub(crate) segments: PathBuf,
    pub(crate) tables: PathBuf,
    pub(crate) values: PathBuf,
    pub(crate) touched: PathBuf,
    pub(crate) asides: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        let root = dir.join("v1");
        Self {
            dir: dir.to_path_buf(),
            segments: root.join("segments"),
            tables: root.join("tables"),
            values: root.join("values"),
            touched: root.join("touched"),
            asides: root.join("asides"),
            root,
        }
    }

    pub(crate) fn generation(&self) -> PathBuf {
        self.root.join("generation")
    }

    pub(crate) fn maintenance(&self) -> PathBuf {
        self.root.join("maintenance.lock")
    }

    pub(crate) fn overruled(&self) -> PathBuf {
        self.root.join("overruled")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// Makes the directories that are missing, for this user alone, and refuses what isn't a directory.
    pub(crate) fn create(&self) -> Result<()> {
        if !self.dir.is_dir() {
            os::directory().recursive(true).create(&self.dir).map_err(|e| Error::io(&self.dir, e))?;
        }
        for dir in self.directories() {
            match os::directory().create(dir) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => other.map_err(|e| Error::io(dir, e))?,
            }
            // Before anything is made inside.
            check_directory(dir)?;
        }
        Ok(())
    }

    /// Refuses directories that are links or something else. What is missing is fine: it is empty.
    pub(crate) fn check(&self) -> Result<()> {
        self.directories().into_iter().try_for_each(check_directory)
    }

    /// Parents first.
    pub(crate) fn directories(&self) -> [&Path; 6] {
        [&self.root, &self.segments, &self.tables, &self.values, &self.touched, &self.asides]
    }
}

fn check_directory(dir: &Path) -> Result<()> {
    let what = match fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_dir() => return Ok(()),
        Ok(meta) if meta.is_symlink() => {
            "a symbolic link where the store wants a directory of its own; remove it"
        }
        Ok(_) => "not a directory, where the store wants one of its own; move it away",
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(dir, e)),
    };
    Err(Error::Foreign { path: dir.to_path_buf(), what })
}

/// Opens a regular file for reading. Anything else is an error, and no FIFO makes us wait.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    regular(options().read(true).open(path)?)
}

/// Opens a regular file for reading and writing.
pub(crate) fn open_write(path: &Path) -> io::Result<File> {
    regular(options().read(true).write(true).open(path)?)
}

/// Opens a file of the store's own for reading and writing, made if missing.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    regular(options().read(true).write(true).create(true).truncate(false).open(path)?)
}

/// Opens a file of the store's own for adding to its end, made if missing.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    regular(options().append(true).create(true).open(path)?)
}

/// A new file under a temporary name beside its future path.
pub(crate) fn create_temporary(directory: &Path) -> io::Result<(File, PathBuf)> {
    let path = directory.join(format!(".tmp-{}", hex(&random())));
    Ok((options().read(true).write(true).create_new(true).open(&path)?, path))
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// Does the path still name this file? A lock on a file that was unlinked or replaced protects nothing.
pub(crate) fn still_named(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) => os::identity(&ours) == os::identity(&theirs),
        _ => false,
    }
}

/// Makes a finished file read-only.
pub(crate) fn seal(file: &File) -> io::Result<()> {
    os::set_file_mode(file, 0o400)
}

/// Is this the state of a sealed file? It stays so while an eviction lends itself the right to write (0700).
pub(crate) fn is_sealed(meta: &fs::Metadata) -> bool {
    os::mode(meta) & 0o300 != 0o200
}

/// Brings a file's content to the disk. Everything that is brought there goes through here or [`sync_dir`], so that tests
/// can tell in which order.
pub(crate) fn sync_data(file: &File, path: &Path) -> io::Result<()> {
    note("content", path);
    file.sync_data()
}

/// Brings a directory's entries to the disk.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    note("entries", path);
    os::sync_directory(path)
}

/// Gives a finished file its name.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    note("named", to);
    fs::rename(from, to)
}

/// Takes a file's name away.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    note("removed", path);
    fs::remove_file(path)
}

/// Tells a test what is done to which part of a store: a thread's steps in order.
#[cfg(not(test))]
#[inline]
pub(crate) fn note(_what: &'static str, _path: &Path) {}

#[cfg(test)]
pub(crate) fn note(what: &'static str, path: &Path) {
    let parts = ["segments", "tables", "values", "v1"];
    let part = path.iter().rev().find_map(|name| parts.into_iter().find(|part| name == *part));
    let steps = |steps: &mut Vec<_>| steps.push(format!("{what} {}", part.unwrap_or("?")));
    STEPS.with_borrow_mut(steps);
}

#[cfg(test)]
thread_local! {
    /// What [`note`] was told on this thread.
    pub(crate) static STEPS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Sixteen random bytes.
pub(crate) fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if os::random(&mut bytes) { bytes } else { fallback_random() }
}

/// Where the system has no randomness to give: unique enough for names.
fn fallback_random() -> [u8; 16] {
    use std::hash::{BuildHasher, RandomState};
    let word =
        |salt: u32| RandomState::new().hash_one((std::time::SystemTime::now(), std::process::id(), salt));
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&word(0).to_le_bytes());
    bytes[8..].copy_from_slice(&word(1).to_le_bytes());
    bytes
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of hex digits; `None` unless it is exactly `N` bytes.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = crate::digest::hex_value(pair[0])? << 4 | crate::digest::hex_value(pair[1])?;
    }
    Some(bytes)
}

/// A file system that locks and maps can't be trusted on, by the number that `statfs` gives.
pub(crate) fn network_file_system(magic: u64) -> Option<&'static str> {
    Some(match magic & 0xffff_ffff {
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        0x786f_4256 => "vboxsf",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        _ => return None,
    })
}

/// The network file system that a directory lies on, if it does.
pub(crate) fn network_file_system_of(path: &Path) -> Option<&'static str> {
    #[cfg(test)]
    if let Some(magic) = PRETENDED.get() {
        return network_file_system(magic);
    }
    network_file_system(os::file_system(path)?)
}

#[cfg(test)]
thread_local! {
    /// What `statfs` seems to say on this thread.
    pub(crate) static PRETENDED: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}
