//! The files that an analysis read, each once, so that the compiler can be told about every one of them.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::lexer::Tokens;

/// A cache of files. What was looked for and not found is remembered too.
#[derive(Debug, Default)]
pub struct Sources {
    lexed: BTreeMap<PathBuf, Option<Arc<Tokens>>>,
    digests: BTreeMap<PathBuf, Option<blake3::Hash>>,
}

impl Sources {
    /// The tokens of a Rust file; `None` if it cannot be read as text.
    pub fn tokens(&mut self, path: &Path) -> Option<Arc<Tokens>> {
        let path = tidy(path);
        if let Some(known) = self.lexed.get(&path) {
            return known.clone();
        }
        let tokens = std::fs::read_to_string(&path).ok().map(|text| Arc::new(Tokens::lex(text)));
        self.lexed.insert(path, tokens.clone());
        tokens
    }

    /// The digest of a file's bytes; `None` if it cannot be read.
    pub fn bytes(&mut self, path: &Path) -> Option<blake3::Hash> {
        let path = tidy(path);
        *self.digests.entry(path).or_insert_with_key(|path| {
            let file = std::fs::File::open(path).ok()?;
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(file).ok()?;
            Some(hasher.finalize())
        })
    }

    /// Every file that was read so far, sorted.
    pub fn read(&self) -> Vec<PathBuf> {
        let lexed = self.lexed.iter().filter(|(_, tokens)| tokens.is_some()).map(|(path, _)| path);
        let hashed = self.digests.iter().filter(|(_, digest)| digest.is_some()).map(|(path, _)| path);
        let mut all: Vec<PathBuf> = lexed.chain(hashed).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

/// A path without `.` and, where that is certain to mean the same, without `..`.
pub fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if out.components().next_back().is_some_and(|last| matches!(last, Component::Normal(_)))
                    && !out.is_symlink() =>
            {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// The files below a directory that `wanted` accepts, sorted; hidden ones, `target` and other packages are passed over.
pub fn files_below(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![(directory.to_path_buf(), 0)];
    while let Some((current, depth)) = pending.pop() {
        for entry in std::fs::read_dir(&current).into_iter().flatten().flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden || depth > 64 {
                continue;
            }
            if path.is_dir() {
                if entry.file_name() != "target" && !path.join("Cargo.toml").is_file() {
                    pending.push((path, depth + 1));
                }
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes a file with the directories above it.
    pub(crate) fn write(directory: &Path, path: &str, text: &str) {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }

    #[test]
    fn tidy_paths_are_equal_when_they_mean_the_same() {
        assert_eq!(tidy(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(tidy(Path::new("../a")), Path::new("../a"));
    }

    #[test]
    fn only_files_that_exist_were_read() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("a.rs"), "fn a() {}").expect("written");
        std::fs::create_dir_all(dir.path().join("other/src")).expect("created");
        std::fs::write(dir.path().join("other/Cargo.toml"), "").expect("written");
        std::fs::write(dir.path().join("other/src/lib.rs"), "").expect("written");
        let mut sources = Sources::default();
        assert_eq!(sources.tokens(&dir.path().join("./a.rs")).expect("read").len(), 6);
        assert!(sources.tokens(&dir.path().join("b.rs")).is_none());
        assert!(sources.bytes(&dir.path().join("c.txt")).is_none());
        assert_eq!(sources.read(), [dir.path().join("a.rs")]);
        assert_eq!(files_below(dir.path(), &|_| true), [dir.path().join("a.rs")]);
    }
}
