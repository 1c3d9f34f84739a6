//! Inputs: what can be read from outside, how each is named in a trace, and what its digest says.
//!
//! A name must mean the same wherever the project lies, so paths inside it are stored relative to its root. Digests
//! of different states of an input must differ, whatever kind of state they are.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use fleche_store::Digest;
use foldhash::HashMap;
use parking_lot::RwLock;

use crate::files::Found;
use crate::recorded::Paths;
use crate::system::Kind;
use crate::tree::selection::{self, Rule, Selection};

use crate::marks;

/// Something that can be read from outside. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// A file's content, its absence, or that a directory is in its place.
    File(PathBuf),
    /// A file's content and whether it may be executed, or all that is in a directory: what a task is given.
    Entry(PathBuf),
    /// A directory, or what a walk or a glob finds in it.
    Tree(Arc<Selection>),
    /// Kind, length and permissions; of what a link leads to, or of the link.
    Status(PathBuf, bool),
    /// Whether there is something at the end of all links.
    Exists(PathBuf),
    /// When the content changed last; of what a link leads to, or of the link.
    Modified(PathBuf, bool),
    /// A link's text.
    Link(PathBuf),
    /// A variable of the environment.
    Variable(OsString),
    /// The working directory as seen from this root, for whoever used a relative path.
    WorkingDirectory(PathBuf),
    /// A value that the program sets.
    Named(String),
}

/// An input's number in this process. The highest bit is set if graphs are told of its changes, so that it need not
/// be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct InputId(u32);

#[derive(Debug, Default)]
struct Numbers {
    ids: HashMap<Arc<Input>, InputId>,
    inputs: Vec<Arc<Input>>,
}

const TOLD: u32 = 1 << 31;

static NUMBERS: LazyLock<RwLock<Numbers>> = LazyLock::new(RwLock::default);

/// The kinds of inputs, as they stand in traces.
const FILE: u16 = 1;
const TREE: u16 = 2;
const WORKING_DIRECTORY: u16 = 3;
const NAMED: u16 = 4;
const STATUS: u16 = 5;
const LINK_STATUS: u16 = 6;
const EXISTS: u16 = 7;
const MODIFIED: u16 = 8;
const LINK_MODIFIED: u16 = 9;
const LINK: u16 = 10;
const VARIABLE: u16 = 11;
const ENTRY: u16 = 12;
const SELECTION: u16 = 13;

impl Input {
    /// Its number: the same for the same input, in whichever cache.
    pub(crate) fn id(self) -> InputId {
        if let Some(id) = NUMBERS.read().ids.get(&self) {
            return *id;
        }
        let mut numbers = NUMBERS.write();
        let number = u32::try_from(numbers.inputs.len()).expect("fewer inputs than there is memory for");
        let next = InputId(if matches!(self, Self::Named(_)) { number | TOLD } else { number });
        let input = Arc::new(self);
        let id = *numbers.ids.entry(input.clone()).or_insert(next);
        if id == next {
            marks::entered(id, &input);
            numbers.inputs.push(input);
        }
        id
    }

    /// Whether a change of what lies at this path itself, which goes by the same links, may change the input. For
    /// watchers; wide rather than narrow.
    pub(crate) fn is_touched_by(&self, path: &Path) -> bool {
        match self {
            Self::Tree(selection) => selection.base.starts_with(path) || selection.is_touched_by(path),
            Self::Entry(entry) => entry.starts_with(path) || path.starts_with(entry),
            _ => self.path().is_some_and(|own| own.starts_with(path)),
        }
    }

    /// Whether one of the paths is part of it, or lies above all of it. Unlike [`Input::is_touched_by`] it asks what there
    /// is.
    pub(crate) fn covers_any(&self, paths: &Paths) -> bool {
        let Some(own) = self.path() else { return false };
        // Paths are in order of their names, so that those below one follow it.
        let mut below = paths.range(own.to_path_buf()..).take_while(|(path, _)| path.starts_with(own));
        own.ancestors().any(|above| paths.contains_key(above))
            || match self {
                Self::Tree(selection) => {
                    below.any(|(path, is_directory)| selection.holds(path, *is_directory))
                }
                Self::Entry(_) => below.next().is_some(),
                _ => false,
            }
    }

    /// The path that it is about.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path)
            | Self::Entry(path)
            | Self::Status(path, _)
            | Self::Exists(path)
            | Self::Modified(path, _)
            | Self::Link(path) => Some(path),
            Self::Tree(selection) => Some(&selection.base),
            Self::Variable(_) | Self::WorkingDirectory(_) | Self::Named(_) => None,
        }
    }

    /// As it stands in a trace: its kind, and a name that is relative to the root where it can be.
    pub(crate) fn name(&self, root: &Path) -> (u16, Vec<u8>) {
        let relative = |path: &Path| path_bytes(path.strip_prefix(root).unwrap_or(path));
        match self {
            Self::File(path) => (FILE, relative(path)),
            Self::Entry(path) => (ENTRY, relative(path)),
            Self::Tree(selection) if selection.rule == Rule::Everything => (TREE, relative(&selection.base)),
            Self::Tree(selection) => {
                let base = selection.base.strip_prefix(root).unwrap_or(&selection.base);
                (SELECTION, selection.name(base))
            }
            Self::Status(path, true) => (STATUS, relative(path)),
            Self::Status(path, false) => (LINK_STATUS, relative(path)),
            Self::Exists(path) => (EXISTS, relative(path)),
            Self::Modified(path, true) => (MODIFIED, relative(path)),
            Self::Modified(path, false) => (LINK_MODIFIED, relative(path)),
            Self::Link(path) => (LINK, relative(path)),
            Self::Variable(name) => (VARIABLE, path_bytes(Path::new(name))),
            Self::WorkingDirectory(_) => (WORKING_DIRECTORY, Vec::new()),
            Self::Named(name) => (NAMED, name.clone().into_bytes()),
        }
    }

    /// Back from a trace; `None` for what this version does not know.
    pub(crate) fn parse(root: &Path, kind: u16, name: &[u8]) -> Option<Self> {
        let path = || Some(root.join(bytes_path(name)?));
        Some(match kind {
            FILE => Self::File(path()?),
            ENTRY => Self::Entry(path()?),
            TREE => Self::Tree(Arc::new(Selection::everything(path()?))),
            SELECTION => Self::Tree(Arc::new(Selection::parse(root, name)?)),
            STATUS => Self::Status(path()?, true),
            LINK_STATUS => Self::Status(path()?, false),
            EXISTS => Self::Exists(path()?),
            MODIFIED => Self::Modified(path()?, true),
            LINK_MODIFIED => Self::Modified(path()?, false),
            LINK => Self::Link(path()?),
            VARIABLE => Self::Variable(bytes_path(name)?.into_os_string()),
            WORKING_DIRECTORY => Self::WorkingDirectory(root.to_path_buf()),
            NAMED => Self::Named(String::from_utf8(name.to_vec()).ok()?),
            _ => return None,
        })
    }

    /// Whether it is also about what lies below its path.
    pub(crate) fn is_deep(&self) -> bool {
        matches!(self, Self::Entry(_) | Self::Tree(_))
    }
}

/// Calls `f` with all inputs; none is added meanwhile.
pub(crate) fn for_all(f: impl FnOnce(&mut dyn Iterator<Item = (InputId, &Arc<Input>)>)) {
    let numbers = NUMBERS.read();
    f(&mut numbers.inputs.iter().map(|input| (numbers.ids[input], input)));
}

impl InputId {
    /// Whether graphs are told of its changes.
    pub(crate) fn is_told(self) -> bool {
        self.0 & TOLD != 0
    }

    /// The bare number. Numbers are given one after the other, so that they may be places in a list.
    pub(crate) fn number(self) -> u32 {
        self.0 & !TOLD
    }

    pub(crate) fn input(self) -> Arc<Input> {
        NUMBERS.read().inputs[(self.0 & !TOLD) as usize].clone()
    }
}

/// An input of a trace, for people: a path relative to the project's root where it lies below it.
pub(crate) fn describe(kind: u16, name: &[u8]) -> String {
    let path = || String::from_utf8_lossy(name).into_owned();
    match kind {
        FILE | ENTRY => path(),
        TREE => format!("{}/**", path()),
        SELECTION => selection::describe(name),
        STATUS | LINK_STATUS => format!("metadata of {}", path()),
        EXISTS => format!("existence of {}", path()),
        MODIFIED | LINK_MODIFIED => format!("time of {}", path()),
        LINK => format!("link {}", path()),
        VARIABLE => format!("variable {}", path()),
        WORKING_DIRECTORY => "working directory".into(),
        NAMED => format!("input {:?}", String::from_utf8_lossy(name)),
        _ => format!("an input of kind {kind}, which this version does not know"),
    }
}

/// Digests that no file's content can have: derived in a domain of their own.
fn marker(name: &[u8]) -> Digest {
    Digest::from_bytes(blake3::derive_key("fleche 2026 input marker", name))
}

static ABSENT: LazyLock<Digest> = LazyLock::new(|| marker(b"absent"));
static DIRECTORY: LazyLock<Digest> = LazyLock::new(|| marker(b"directory"));

/// The digest of a file that does not exist.
pub(crate) fn absent() -> Digest {
    *ABSENT
}

/// The digest of a directory where a file's content was asked for.
pub(crate) fn directory() -> Digest {
    *DIRECTORY
}

/// The digest of there being something.
pub(crate) fn present() -> Digest {
    marker(b"present")
}

/// The digest of something that is no directory.
pub(crate) fn no_directory() -> Digest {
    marker(b"no directory")
}

/// The digest of something that is no link.
pub(crate) fn no_link() -> Digest {
    marker(b"no link")
}

/// The digest of a file with this content that may be executed.
pub(crate) fn executable(content: Digest) -> Digest {
    marker(&[b"executable\0", &content.as_bytes()[..]].concat())
}

pub(crate) fn link_digest(text: &Path) -> Digest {
    marker(&[b"link\0", &path_bytes(text)[..]].concat())
}

pub(crate) fn modified_digest(nanos: i64) -> Digest {
    marker(&[b"modified\0", &nanos.to_le_bytes()[..]].concat())
}

/// Kind, length and permissions. The length of a directory says nothing about it.
pub(crate) fn status_digest(found: &Found) -> Digest {
    let (kind, length, mode) = facts(found);
    let kind = match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Link => "link",
        Kind::Special(what) => what,
    };
    let mut bytes = b"status\0".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(mode.to_le_bytes());
    bytes.extend(kind.as_bytes());
    marker(&bytes)
}

/// Kind, length and permissions of what was found, where they mean something. Content of an overlay looks like a file
/// that everybody may read and its owner may write.
pub(crate) fn facts(found: &Found) -> (Kind, u64, u32) {
    match found {
        Found::Disk(status) => {
            let counts = matches!(status.kind, Kind::File | Kind::Link);
            (status.kind, if counts { status.stamp.size } else { 0 }, status.mode)
        }
        Found::Content(bytes) => (Kind::File, bytes.len() as u64, if cfg!(unix) { 0o644 } else { 0 }),
        Found::Directory => (Kind::Directory, 0, if cfg!(unix) { 0o755 } else { 0 }),
    }
}

/// Keyed by the variable's name, so that it can be compared with nothing but an earlier value of the same variable.
pub(crate) fn variable_digest(name: &OsStr, value: Option<&OsStr>) -> Digest {
    let Some(value) = value else { return absent() };
    let key = blake3::derive_key("fleche 2026 environment variable", &path_bytes(Path::new(name)));
    Digest::from_bytes(*blake3::keyed_hash(&key, &path_bytes(Path::new(value))).as_bytes())
}

pub(crate) fn working_directory_digest(here: &Path, root: &Path) -> Digest {
    marker(&[b"working directory\0", &path_bytes(here.strip_prefix(root).unwrap_or(here))[..]].concat())
}

#[cfg(unix)]
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not every name is a path")]
pub(crate) fn bytes_path(name: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(OsStr::from_bytes(name)))
}

#[cfg(not(unix))]
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    match path.to_str() {
        Some(text) => text.replace('\\', "/").into_bytes(),
        // Not UTF-16 either: spelled out, so that two such names stay two.
        None => path.as_os_str().as_encoded_bytes().to_vec(),
    }
}

#[cfg(not(unix))]
pub(crate) fn bytes_path(name: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(std::str::from_utf8(name).ok()?))
}

/// A file, as an input.
pub(crate) fn file(path: &Path) -> InputId {
    Input::File(whole(path)).id()
}

/// A directory with all that is in it, as an input.
pub(crate) fn tree(path: &Path) -> InputId {
    Input::Tree(Arc::new(Selection::everything(whole(path)))).id()
}

/// A value that the program sets, as an input.
pub(crate) fn named(name: String) -> InputId {
    Input::Named(name).id()
}

/// The path from the file system's root, without what means nothing: `.` and repeated or trailing slashes. Nothing
/// is resolved: `a/../b` may lead elsewhere than `b`.
pub(crate) fn whole(path: &Path) -> PathBuf {
    // Collected anew: two paths that are equal to the standard library must be spelled alike in traces.
    if path.is_absolute() {
        return path.components().collect();
    }
    std::env::current_dir().map_or_else(
        |_| path.to_path_buf(),
        |here| here.components().chain(path.components().filter(|part| part.as_os_str() != ".")).collect(),
    )
}

/// Whether the path is written so that only a directory will do: with a slash or a `.` at its end.
pub(crate) fn wants_directory(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_slash = |byte: &u8| std::path::is_separator(char::from(*byte));
    match bytes {
        [.., last] if is_slash(last) => true,
        [.., slash, b'.'] => is_slash(slash),
        _ => false,
    }
}

/// True for the errors that mean "there is nothing": they are an observation like any other.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use fleche_store::Dependency;

    use super::*;
    use crate::files::Files;

    #[test]
    fn paths_inside_the_project_are_relative_to_its_root() {
        let files = Files::new(PathBuf::from("/p"), None);
        let name = |path: &str| match files.dependency(file(Path::new(path))) {
            Dependency::Input { kind: FILE, name } => String::from_utf8(name).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name("/p/a/b"), "a/b");
        assert_eq!(name("/q/b"), "/q/b");
        assert_eq!(files.input(FILE, b"a/b"), Some(file(Path::new("/p/a/b"))));
        assert_eq!(files.input(FILE, b"/q/b"), Some(file(Path::new("/q/b"))));
        assert_eq!(files.input(99, b""), None);
    }

    #[test]
    fn every_kind_comes_back_from_a_trace() {
        let root = Path::new("/p");
        let path = || PathBuf::from("/p/a b");
        for input in [
            Input::File(path()),
            Input::Entry(path()),
            Input::Tree(Arc::new(Selection::everything(path()))),
            Input::Tree(Arc::new(Selection::listing(path()))),
            Input::Status(path(), true),
            Input::Status(path(), false),
            Input::Exists(path()),
            Input::Modified(path(), true),
            Input::Modified(path(), false),
            Input::Link(path()),
            Input::Variable("HOME".into()),
            Input::WorkingDirectory("/p".into()),
            Input::Named("n".into()),
        ] {
            let (kind, name) = input.name(root);
            assert_eq!(Input::parse(root, kind, &name), Some(input));
        }
    }

    #[test]
    fn spellings_that_mean_the_same_are_one_input() {
        assert_eq!(whole(Path::new("/a//b/./c/")).as_os_str(), "/a/b/c");
        assert_eq!(whole(Path::new("/a/../b")).as_os_str(), "/a/../b");
        assert!(wants_directory(Path::new("a/")) && wants_directory(Path::new("a/.")));
        assert!(!wants_directory(Path::new("a")) && !wants_directory(Path::new("a.")));
    }
}
