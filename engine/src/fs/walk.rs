//! Tracked looks into directories: one level, a walk, or a glob, each one input whatever it finds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fleche_store::Digest;

use super::observed;
use crate::frame::Taint;
use crate::input::{self, Input};
use crate::system::Kind;
use crate::thread;
use crate::tree::selection::{self, Rule, Selection};
use crate::tree::{self, Snapshot};

/// What is in a directory, as [`std::fs::read_dir`] gives it, sorted by name. The input is the names and kinds of its
/// entries and the texts of links, not what is in them.
///
/// ```
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn names(dir: &Path) -> std::io::Result<Vec<String>> {
///     let mut names = Vec::new();
///     for entry in fleche::fs::read_dir(dir)? {
///         names.push(entry?.file_name().to_string_lossy().into_owned());
///     }
///     Ok(names)
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("b"), "")?;
/// std::fs::write(dir.path().join("a"), "")?;
/// assert_eq!(names(dir.path())?, ["a", "b"]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of [`std::fs::read_dir`]. One that is not about absence, or about something else in the directory's place,
/// leaves the running call unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref();
    let shown = path.to_path_buf();
    let entries = entries("`fleche::fs::read_dir`", path, Selection::listing(input::whole(path)), &shown)?;
    Ok(ReadDir(entries.into_iter()))
}

/// Everything below a directory, in order of names, directories before what is in them: one input, of names, kinds and
/// the texts of links. With [`Walk::contents`] what the files hold is part of it too, still as one input.
///
/// ```
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn count(dir: &Path) -> std::io::Result<u64> {
///     let mut count = 0;
///     for entry in fleche::fs::walk(dir).git_ignore(true) {
///         count += u64::from(entry?.file_type().is_file());
///     }
///     Ok(count)
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// std::fs::create_dir(dir.path().join("src"))?;
/// std::fs::write(dir.path().join("src/a.rs"), "")?;
/// std::fs::write(dir.path().join("src/a.o"), "")?;
/// std::fs::write(dir.path().join(".gitignore"), "*.o\n")?;
/// assert_eq!(count(dir.path())?, 2); // a.rs and .gitignore
/// # Ok(())
/// # }
/// ```
pub fn walk(path: impl AsRef<Path>) -> Walk {
    Walk { path: path.as_ref().to_path_buf(), options: selection::Walk::default() }
}

/// The paths that a pattern matches, sorted: one input, of names and kinds. With [`Glob::contents`] what the files
/// hold is part of it too, still as one input.
///
/// `*`, `?`, `[…]` and `{a,b}` are as in [`globset`](https://docs.rs/globset), `**` stands for any number of
/// directories. As in a shell a name that begins with a dot is matched only by a pattern that does. Links to
/// directories are matched and not entered.
///
/// ```
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn lines(dir: &str) -> std::io::Result<u64> {
///     let mut lines = 0;
///     for path in fleche::fs::glob(&format!("{dir}/**/*.txt"))? {
///         lines += fleche::fs::read_to_string(path?)?.lines().count() as u64;
///     }
///     Ok(lines)
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let temporary = tempfile::tempdir()?;
/// # let dir = temporary.path().to_str().unwrap();
/// std::fs::write(format!("{dir}/a.txt"), "one\n")?;
/// assert_eq!(lines(dir)?, 1);
/// std::fs::write(format!("{dir}/b.txt"), "one\ntwo\n")?;
/// assert_eq!(lines(dir)?, 3);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If the pattern is none, or something on the way cannot be looked at; the latter leaves the running call unrecorded.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn glob(pattern: &str) -> io::Result<Glob> {
    let (base, rest) = selection::split(pattern)?;
    // A pattern that is none must be an error even where there is no directory.
    selection::Pattern::new(&rest)?;
    Ok(Glob { base, rest })
}

/// A walk that has not begun; see [`walk`].
#[derive(Debug, Clone)]
pub struct Walk {
    path: PathBuf,
    options: selection::Walk,
}

impl Walk {
    /// Passes over what `.gitignore` and `.ignore` files exclude, in the tree and above it up to the root of the
    /// repository, and over `.git`. A person's own settings do not count: they would make the same walk differ
    /// between machines. By default nothing is passed over.
    #[must_use]
    pub fn git_ignore(mut self, yes: bool) -> Self {
        self.options.ignored = yes;
        self
    }

    /// Passes over names that begin with a dot.
    #[must_use]
    pub fn hidden(mut self, yes: bool) -> Self {
        self.options.hidden = yes;
        self
    }

    /// Goes through links: what they lead to is there in their place. A link back to a directory on the way, or to
    /// nothing, stays a link.
    #[must_use]
    pub fn follow_links(mut self, yes: bool) -> Self {
        self.options.follow = yes;
        self
    }

    /// Goes so many levels down; 1 is the directory's own entries.
    #[must_use]
    pub fn max_depth(mut self, depth: Option<usize>) -> Self {
        self.options.depth = depth.map(|depth| u32::try_from(depth).unwrap_or(u32::MAX));
        self
    }

    /// The tree with what its files hold, as one input: its digest, and files that can be read without becoming
    /// inputs of their own.
    ///
    /// # Errors
    ///
    /// If something cannot be looked at; that leaves the running call unrecorded, unless it is the directory itself
    /// that is missing.
    pub fn contents(self) -> io::Result<Tree> {
        let rule = Rule::Walk(self.options);
        let selection = Selection { base: input::whole(&self.path), contents: true, rule };
        Tree::new("`Walk::contents`", &self.path.clone(), selection, self.path)
    }
}

impl IntoIterator for Walk {
    type Item = io::Result<DirEntry>;
    type IntoIter = Entries;

    fn into_iter(self) -> Entries {
        let rule = Rule::Walk(self.options);
        let selection = Selection { base: input::whole(&self.path), contents: false, rule };
        match entries("`fleche::fs::walk`", &self.path, selection, &self.path) {
            Ok(entries) => Entries(entries.into_iter().map(Ok).collect::<Vec<_>>().into_iter()),
            Err(error) => Entries(vec![Err(error)].into_iter()),
        }
    }
}

/// A pattern that has not been looked for; see [`glob`].
#[derive(Debug, Clone)]
pub struct Glob {
    base: PathBuf,
    rest: String,
}

impl Glob {
    fn selection(&self, contents: bool) -> Selection {
        let base = if self.base.as_os_str().is_empty() { Path::new(".") } else { &self.base };
        Selection { base: input::whole(base), contents, rule: Rule::Glob(self.rest.clone()) }
    }

    /// What matches, with what the files hold, as one input. Of a link both its text and what it leads to count.
    ///
    /// # Errors
    ///
    /// If something cannot be looked at; that leaves the running call unrecorded.
    pub fn contents(self) -> io::Result<Tree> {
        Tree::new("`Glob::contents`", &self.base.clone(), self.selection(true), self.base)
    }

    /// The paths that match, sorted.
    ///
    /// # Errors
    ///
    /// If something cannot be looked at; that leaves the running call unrecorded.
    pub fn paths(&self) -> io::Result<Vec<PathBuf>> {
        match entries("`fleche::fs::glob`", &self.base, self.selection(false), &self.base) {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.path).collect()),
            // Where there is no directory nothing matches.
            Err(error) if input::is_absence(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl IntoIterator for Glob {
    type Item = io::Result<PathBuf>;
    type IntoIter = std::vec::IntoIter<io::Result<PathBuf>>;

    fn into_iter(self) -> Self::IntoIter {
        let paths =
            self.paths().map_or_else(|error| vec![Err(error)], |paths| paths.into_iter().map(Ok).collect());
        paths.into_iter()
    }
}

/// The entries of a directory; see [`read_dir`].
#[derive(Debug)]
pub struct ReadDir(std::vec::IntoIter<DirEntry>);

impl Iterator for ReadDir {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

/// What a walk comes by; see [`walk`].
#[derive(Debug)]
pub struct Entries(std::vec::IntoIter<io::Result<DirEntry>>);

impl Iterator for Entries {
    type Item = io::Result<DirEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// Something in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    path: PathBuf,
    kind: u8,
    depth: usize,
}

impl DirEntry {
    /// Its path: that of the directory as it was given, and its name.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Its name.
    pub fn file_name(&self) -> OsString {
        self.path.file_name().map(OsStr::to_owned).unwrap_or_default()
    }

    /// What it is; links are not followed.
    pub fn file_type(&self) -> FileType {
        FileType(self.kind)
    }

    /// How far down it is; 1 is directly in the directory.
    pub fn depth(&self) -> usize {
        self.depth
    }
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileType(u8);

impl FileType {
    /// Whether it is a file.
    pub fn is_file(self) -> bool {
        matches!(self.0, tree::FILE | tree::EXECUTABLE)
    }

    /// Whether it is a directory.
    pub fn is_dir(self) -> bool {
        self.0 == tree::DIRECTORY
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(self) -> bool {
        self.0 == tree::LINK
    }
}

/// Files with what they hold, as one input; from [`Walk::contents`] or [`Glob::contents`].
///
/// ```
/// # use std::path::Path;
/// #[fleche::fleche]
/// fn words(dir: &Path) -> std::io::Result<u64> {
///     let tree = fleche::fs::walk(dir).contents()?; // one input, however many files
///     let mut words = 0;
///     for entry in tree.entries().filter(|entry| entry.file_type().is_file()) {
///         words += String::from_utf8_lossy(&tree.read(entry.path())?).split_whitespace().count() as u64;
///     }
///     Ok(words)
/// }
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// std::fs::write(dir.path().join("a"), "one two")?;
/// std::fs::write(dir.path().join("b"), "three")?;
/// assert_eq!(words(dir.path())?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tree {
    snapshot: Arc<Snapshot>,
    selection: Arc<Selection>,
    /// The directory as the caller calls it.
    shown: PathBuf,
}

impl Tree {
    fn new(what: &str, path: &Path, selection: Selection, shown: PathBuf) -> io::Result<Self> {
        let selection = Arc::new(selection);
        let snapshot = look(what, path, &selection)?;
        Ok(Self { snapshot, selection, shown })
    }

    /// The digest of all names, kinds, texts of links, executable bits and contents.
    pub fn digest(&self) -> Digest {
        self.snapshot.digest
    }

    /// What was found, sorted.
    pub fn entries(&self) -> impl Iterator<Item = DirEntry> {
        list(&self.snapshot, &self.shown).into_iter()
    }

    /// Reads a file of the tree. It becomes no input of its own: the tree already is one.
    ///
    /// # Errors
    ///
    /// Those of [`std::fs::read`]; if there is no such file in the tree; or if it is not what it was when the tree was
    /// looked at, which leaves the running call unrecorded.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let path = path.as_ref();
        let below = path.strip_prefix(&self.shown).unwrap_or(path);
        let entry = self.snapshot.entry(below).ok_or(io::ErrorKind::NotFound)?;
        if entry.kind == tree::LINK {
            // What it leads to is digested together with its text.
            return super::read(path);
        }
        let place = thread::place("`Tree::read`");
        let whole = self.selection.base.join(below);
        let changed = |error: &io::Error| {
            if thread::running() {
                place.revision.spoil();
                thread::taint(Taint::FailedRead(error.to_string()));
            }
        };
        match place.cache.files().read(&whole) {
            Ok((bytes, digest)) if digest == entry.content => Ok(bytes),
            Ok(_) => {
                let error = crate::files::changed(path);
                if thread::running() {
                    place.revision.spoil();
                    thread::taint(Taint::Changed);
                }
                Err(error)
            }
            Err(error) => {
                changed(&error);
                Err(error)
            }
        }
    }
}

fn list(snapshot: &Snapshot, shown: &Path) -> Vec<DirEntry> {
    let mut entries = Vec::new();
    snapshot.for_each(shown, &mut |path, entry, depth| {
        entries.push(DirEntry { path, kind: entry.kind, depth });
    });
    entries
}

fn entries(what: &str, path: &Path, selection: Selection, shown: &Path) -> io::Result<Vec<DirEntry>> {
    Ok(list(&*look(what, path, &Arc::new(selection))?, shown))
}

/// Looks at a tree and makes it an input.
fn look(what: &str, path: &Path, selection: &Arc<Selection>) -> io::Result<Arc<Snapshot>> {
    let place = thread::place(what);
    let input = || Input::Tree(selection.clone()).id();
    match place.cache.files().snapshot(selection) {
        Ok(snapshot) => {
            observed(&place, path, input(), snapshot.digest);
            match snapshot.root {
                Some(Kind::Directory) => Ok(snapshot),
                None => Err(io::ErrorKind::NotFound.into()),
                Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        // Whatever it is, it is not that there is no directory: that is a snapshot like any other.
        Err(error) => {
            thread::taint(Taint::FailedRead(error.to_string()));
            Err(error)
        }
    }
}
