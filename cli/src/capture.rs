//! Takes what a task made into the store. It is only asked after the task succeeded; it changes nothing on disk.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fleche_store::Store;
use memchr::memmem::Finder;

use crate::pattern::{TEMPORARY, is_absence};
use crate::plan::Task;
use crate::produced::{Content, Entry, Kind};

/// Why outputs cannot be captured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The task is at fault: it did not make what it declared, or made something that cannot be kept.
    #[error("{0}")]
    Task(String),
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] fleche_store::Error),
}

/// The declared outputs that are not there.
pub fn not_made(root: &Path, task: &Task) -> Vec<String> {
    let missing =
        |path: &str| matches!(fs::symlink_metadata(root.join(path)), Err(error) if is_absence(&error));
    task.outputs.iter().map(|output| &output.path).filter(|path| missing(path)).cloned().collect()
}

/// Whether the project's own path stands in one of these files or links: what was made here would be wrong elsewhere.
pub fn names_root(root: &Path, entries: &[Entry]) -> io::Result<bool> {
    let needle = root.as_os_str().as_encoded_bytes();
    // Of the root of the file system it would say nothing.
    if needle.len() <= 1 {
        return Ok(false);
    }
    let finder = Finder::new(needle);
    for entry in entries {
        let found = match &entry.kind {
            Kind::File(_) => contains(&finder, File::open(root.join(&entry.path))?)?,
            Kind::Link(target) => finder.find(target.as_bytes()).is_some(),
            Kind::Directory(_) => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains(finder: &Finder<'_>, mut file: File) -> io::Result<bool> {
    let overlap = finder.needle().len() - 1;
    let mut buffer = vec![0; overlap + 256 * 1024];
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        let end = kept + read;
        if finder.find(&buffer[..end]).is_some() {
            return Ok(true);
        }
        // It may stand across two reads.
        let start = end.saturating_sub(overlap);
        buffer.copy_within(start..end, 0);
        kept = end - start;
    }
}

/// All that the task made, with every file's bytes in the store.
pub fn outputs(root: &Path, task: &Task, store: &Store) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for output in &task.outputs {
        entry(root, &output.path, task, store, &mut entries)?;
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn entry(root: &Path, path: &str, task: &Task, store: &Store, entries: &mut Vec<Entry>) -> Result<(), Error> {
    let place = root.join(path);
    let failed = |error: &io::Error| Error::Task(format!("output {path} cannot be read: {error}"));
    let metadata = fs::symlink_metadata(&place).map_err(|error| failed(&error))?;
    let mode = metadata.permissions().mode() & 0o777;
    let kind = if metadata.is_dir() {
        for name in names(&place).map_err(|error| failed(&error))? {
            let path = format!("{path}/{name}");
            if !name.starts_with(TEMPORARY) && !task.keeps(&path) {
                entry(root, &path, task, store, entries)?;
            }
        }
        Kind::Directory(mode)
    } else if metadata.is_symlink() {
        let target = fs::read_link(&place).map_err(|error| failed(&error))?;
        let target = target
            .into_os_string()
            .into_string()
            .map_err(|_| Error::Task(format!("the target of the link {path} is not UTF-8")))?;
        Kind::Link(target)
    } else if metadata.is_file() {
        let (digest, size) = store.put_blob(&place)?;
        Kind::File(Content { digest: *digest.digest().as_bytes(), size, mode })
    } else {
        return Err(Error::Task(format!("output {path} is neither a file, a directory nor a link")));
    };
    entries.push(Entry { path: path.to_owned(), kind });
    Ok(())
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        names.push(
            name.into_string()
                .map_err(|name| io::Error::other(format!("the name {} is not UTF-8", name.display())))?,
        );
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_path_across_two_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        let finder = Finder::new(b"/some/project");
        for before in [0, 1, 262_140, 262_150, 600_000] {
            let mut bytes = vec![b'x'; before];
            bytes.extend(b"/some/project");
            fs::write(&path, &bytes).expect("written");
            assert!(contains(&finder, File::open(&path).expect("opens")).expect("reads"), "{before}");
            fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
            assert!(!contains(&finder, File::open(&path).expect("opens")).expect("reads"), "{before}");
        }
    }
}
