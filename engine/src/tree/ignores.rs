//! `.gitignore` and `.ignore` files on the way down a walk, by the rules of the `ignore` crate.
//!
//! Only files in the tree and above it, up to the repository's root, count: never a person's own settings, which would
//! make the same walk differ between machines.

use std::path::Path;
use std::sync::Arc;
use std::{io, iter};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::files::Files;
use crate::input;

/// What the files of one directory exclude, and those above it.
#[derive(Debug)]
pub(super) struct Ignores {
    above: Option<Arc<Ignores>>,
    git: Option<Gitignore>,
    own: Option<Gitignore>,
}

pub(super) const NAMES: [&str; 2] = [".gitignore", ".ignore"];

impl Ignores {
    /// Those above a walk's base.
    pub(super) fn above(files: &Files, base: &Path) -> io::Result<Option<Arc<Self>>> {
        let mut directories = Vec::new();
        for directory in base.ancestors() {
            if directory != base {
                directories.push(directory);
            }
            // A repository's root is the last to count.
            if files.find(&directory.join(".git"), true).is_ok() {
                break;
            }
        }
        let mut ignores = None;
        for directory in directories.into_iter().rev() {
            ignores = Self::below(files, ignores, directory, [true, true])?;
        }
        Ok(ignores)
    }

    /// With those of a directory itself, where it has such files.
    pub(super) fn below(
        files: &Files,
        above: Option<Arc<Self>>,
        directory: &Path,
        has: [bool; 2],
    ) -> io::Result<Option<Arc<Self>>> {
        let read = |at: usize| -> io::Result<Option<Gitignore>> {
            if !has[at] {
                return Ok(None);
            }
            let text = match files.read(&directory.join(NAMES[at])) {
                Ok((text, _)) => text,
                Err(error) if input::is_absence(&error) => return Ok(None),
                // Git passes over a directory of that name too.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Ok(None),
                Err(error) => return Err(error),
            };
            let mut builder = GitignoreBuilder::new(directory);
            for line in String::from_utf8_lossy(&text).lines() {
                // A line that is no pattern excludes nothing, as with git.
                let _ = builder.add_line(None, line);
            }
            Ok(builder.build().ok())
        };
        let (git, own) = (read(0)?, read(1)?);
        if git.is_none() && own.is_none() {
            return Ok(above);
        }
        Ok(Some(Arc::new(Self { above, git, own })))
    }

    /// Whether the path is excluded. The deepest file that says something decides, and `.ignore` before `.gitignore`.
    pub(super) fn excludes(self: &Arc<Self>, path: &Path, is_directory: bool) -> bool {
        let levels = || iter::successors(Some(self), |ignores| ignores.above.as_ref());
        let own = levels().filter_map(|level| level.own.as_ref());
        let git = levels().filter_map(|level| level.git.as_ref());
        for rules in own.chain(git) {
            match rules.matched(path, is_directory) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }
}
