//! A directory in which outputs are prepared or kept aside, on their file system, so that moving them into place is one rename.
//! What lies in it is never seen by a glob, and it is gone when it is dropped.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pattern::TEMPORARY;

/// A directory that is removed with all that is in it when it is dropped.
#[derive(Debug)]
pub struct Staging {
    directory: PathBuf,
    count: u64,
}

impl Staging {
    /// A staging directory for `path`: in `preferred` if that is on the same file system, else in the nearest directory above
    /// `path` that exists, where tasks that look around could see it.
    pub fn near(path: &Path, preferred: &Path) -> io::Result<Staging> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
        let parent = path
            .ancestors()
            .skip(1)
            .find(|above| above.is_dir())
            .ok_or_else(|| io::Error::other(format!("{} lies in no directory", path.display())))?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let same = device(parent).is_some() && device(preferred) == device(parent);
        let directory =
            if same { preferred } else { parent }.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        // Of an earlier process of this number that was killed.
        remove(&directory)?;
        fs::create_dir(&directory)?;
        Ok(Staging { directory, count: 0 })
    }

    /// A place in it that is not taken yet.
    pub fn place(&mut self) -> PathBuf {
        self.count += 1;
        self.directory.join(self.count.to_string())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = remove(&self.directory);
    }
}

/// Removes the staging directories that killed processes left in `directory`; the project is locked, so that none is in use.
pub fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let own = format!("{TEMPORARY}{}-", std::process::id());
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(TEMPORARY) && !name.starts_with(&own) {
            let _ = remove(&entry.path());
        }
    }
}

/// Removes a file, a link or a whole directory, also one in which nobody may write; nothing there is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if crate::pattern::is_absence(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

fn make_writable(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}
