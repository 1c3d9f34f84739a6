//! Inputs: what can be read from outside, how each is named in a trace, and how its digest is found.
//!
//! A name must mean the same wherever the project lies, so paths inside it are stored relative to its root. A
//! file's digest may be remembered under its stamp, but never under a stamp too young to be trusted.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use fleche_store::{Dependency, Digest, Store};
use foldhash::{HashMap, HashMapExt};
use parking_lot::{Mutex, RwLock};

/// Something that can be read from outside. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Input {
    /// A file's content, its absence, or that a directory is in its place.
    File(PathBuf),
    /// A directory's whole content: names, kinds, link texts, executable bits and file contents.
    Tree(PathBuf),
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
            numbers.inputs.push(input);
        }
        id
    }
}

impl InputId {
    /// Whether graphs are told of its changes.
    pub(crate) fn is_told(self) -> bool {
        self.0 & TOLD != 0
    }

    /// The bare number.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    fn input(self) -> Arc<Input> {
        NUMBERS.read().inputs[(self.0 & !TOLD) as usize].clone()
    }
}

/// The kinds of inputs, as they stand in traces.
const FILE: u16 = 1;
const TREE: u16 = 2;
const WORKING_DIRECTORY: u16 = 3;
const NAMED: u16 = 4;

/// Digests that no file's content can have: derived in a domain of their own.
fn marker(name: &str) -> Digest {
    Digest::from_bytes(blake3::derive_key("fleche 2026 input marker", name.as_bytes()))
}

static ABSENT: LazyLock<Digest> = LazyLock::new(|| marker("absent"));
static DIRECTORY: LazyLock<Digest> = LazyLock::new(|| marker("directory"));

/// The digest of a file that does not exist.
pub(crate) fn absent() -> Digest {
    *ABSENT
}

/// An input of a trace, for people: a path relative to the project's root where it lies below it.
pub(crate) fn describe(kind: u16, name: &[u8]) -> String {
    let path = || String::from_utf8_lossy(name).into_owned();
    match kind {
        FILE => path(),
        TREE => format!("{}/**", path()),
        WORKING_DIRECTORY => "working directory".into(),
        NAMED => format!("input {:?}", String::from_utf8_lossy(name)),
        _ => format!("an input of kind {kind}, which this version does not know"),
    }
}

#[cfg(unix)]
fn path_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not every name is a path")]
fn bytes_path(name: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(name)))
}

#[cfg(not(unix))]
fn path_bytes(path: &Path) -> Vec<u8> {
    path.to_string_lossy().replace('\\', "/").into_bytes()
}

#[cfg(not(unix))]
fn bytes_path(name: &[u8]) -> Option<PathBuf> {
    Some(PathBuf::from(std::str::from_utf8(name).ok()?))
}

/// The project's files: where its root is, and the digests already known under their stamps.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    known: Mutex<HashMap<Stamp, Digest>>,
    store: Option<Store>,
}

/// Notes of this kind in the store map a stamp to the digest of what the file held.
const STAMP_NOTE: u16 = 1;

impl Files {
    /// Files of the project at `root` (absolute); digests are shared through `store` with later processes.
    pub(crate) fn new(root: PathBuf, store: Option<Store>) -> Self {
        Self { root, known: Mutex::new(HashMap::new()), store }
    }

    /// The project's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The working directory, as an input.
    pub(crate) fn working_directory(&self) -> InputId {
        Input::WorkingDirectory(self.root.clone()).id()
    }

    /// An input as it stands in a trace: paths inside the project are relative to its root.
    pub(crate) fn dependency(&self, id: InputId) -> Dependency {
        let (kind, name) = match &*id.input() {
            Input::File(path) => (FILE, self.name(path)),
            Input::Tree(path) => (TREE, self.name(path)),
            Input::WorkingDirectory(_) => (WORKING_DIRECTORY, Vec::new()),
            Input::Named(name) => (NAMED, name.clone().into_bytes()),
        };
        Dependency::Input { kind, name }
    }

    fn name(&self, path: &Path) -> Vec<u8> {
        path_bytes(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// Back from a trace; `None` for a kind that this version does not know, which holds for no trace.
    pub(crate) fn input(&self, kind: u16, name: &[u8]) -> Option<InputId> {
        Some(match kind {
            FILE => Input::File(self.root.join(bytes_path(name)?)).id(),
            TREE => Input::Tree(self.root.join(bytes_path(name)?)).id(),
            WORKING_DIRECTORY => self.working_directory(),
            NAMED => named(String::from_utf8(name.to_vec()).ok()?),
            _ => return None,
        })
    }

    /// Looks at the world. `None` if that cannot be done now, for another reason than absence.
    pub(crate) fn observe(&self, id: InputId) -> Option<Digest> {
        match &*id.input() {
            Input::File(path) => self.digest(path).ok(),
            Input::Tree(path) => self.tree(path).ok(),
            Input::WorkingDirectory(root) => where_we_are(root).ok(),
            // Told, not looked at: see `Revision::observe`.
            Input::Named(_) => None,
        }
    }

    /// The digest of what the file holds now: BLAKE3 of its bytes, or a marker for absence or a directory.
    pub(crate) fn digest(&self, path: &Path) -> io::Result<Digest> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(absent()),
            Err(error) => return Err(error),
        };
        if metadata.is_dir() {
            return Ok(*DIRECTORY);
        }
        self.content(path, &metadata)
    }

    fn content(&self, path: &Path, metadata: &Metadata) -> io::Result<Digest> {
        if !metadata.is_file() {
            return Err(io::Error::other(format!(
                "{} is neither a file nor a directory: its content cannot be tracked",
                path.display()
            )));
        }
        let stamp = Stamp::of(metadata);
        if let Some(known) = self.recall(&stamp) {
            return Ok(known);
        }
        let file = File::open(path)?;
        let before = file.metadata()?;
        let digest = hash(&file)?;
        let after = file.metadata()?;
        // Remembered only if nobody wrote while it was read.
        if Stamp::of(&before) == Stamp::of(&after) {
            self.remember(&after, digest);
        }
        Ok(digest)
    }

    /// Notes the digest of bytes that were just read from a file, if its stamps around the read agree.
    pub(crate) fn learn(&self, before: &Metadata, after: &Metadata, digest: Digest) {
        if after.is_file() && Stamp::of(before) == Stamp::of(after) {
            self.remember(after, digest);
        }
    }

    fn recall(&self, stamp: &Stamp) -> Option<Digest> {
        if let Some(known) = self.known.lock().get(stamp) {
            return Some(*known);
        }
        let note = self.store.as_ref()?.note(STAMP_NOTE, &stamp.digest()).ok()??;
        let digest = Digest::from_bytes(note.try_into().ok()?);
        self.known.lock().insert(*stamp, digest);
        Some(digest)
    }

    fn remember(&self, metadata: &Metadata, digest: Digest) {
        let stamp = Stamp::of(metadata);
        if !stamp.is_settled(SystemTime::now()) {
            return;
        }
        if self.known.lock().insert(stamp, digest) == Some(digest) {
            return;
        }
        if let Some(store) = &self.store
            && let Err(error) = store.put_note(STAMP_NOTE, &stamp.digest(), digest.as_bytes())
        {
            tracing::debug!(%error, "a file's digest could not be kept");
        }
    }

    /// The Merkle digest of a directory: of each entry its name, kind and content, in order of names.
    /// A file in its place gives the file's digest, nothing gives the marker of absence.
    pub(crate) fn tree(&self, path: &Path) -> io::Result<Digest> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_absence(&error) => return Ok(absent()),
            Err(error) => return Err(error),
        };
        if !metadata.is_dir() {
            return self.content(path, &metadata);
        }
        let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let mut hasher = blake3::Hasher::new_derive_key("fleche 2026 directory tree");
        for entry in entries {
            let path = entry.path();
            let metadata = entry.metadata()?;
            let (kind, content) = if metadata.is_symlink() {
                (b'l', Digest::of(&path_bytes(&fs::read_link(&path)?)))
            } else if metadata.is_dir() {
                (b'd', self.tree(&path)?)
            } else {
                (if is_executable(&metadata) { b'x' } else { b'f' }, self.content(&path, &metadata)?)
            };
            let name = path_bytes(Path::new(&entry.file_name()));
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(&name);
            hasher.update(&[kind]);
            hasher.update(content.as_bytes());
        }
        Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
    }
}

/// A file, as an input.
pub(crate) fn file(path: &Path) -> InputId {
    Input::File(whole(path)).id()
}

/// A directory with all that is in it, as an input.
pub(crate) fn tree(path: &Path) -> InputId {
    Input::Tree(whole(path)).id()
}

/// A value that the program sets, as an input.
pub(crate) fn named(name: String) -> InputId {
    Input::Named(name).id()
}

/// The path from the file system's root. Nothing is resolved: `a/../b` may lead elsewhere than `b`.
pub(crate) fn whole(path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_path_buf();
    }
    std::env::current_dir().map_or_else(|_| path.to_path_buf(), |here| here.join(path))
}

fn where_we_are(root: &Path) -> io::Result<Digest> {
    let here = std::env::current_dir()?;
    let mut bytes = b"working directory\0".to_vec();
    bytes.extend(path_bytes(here.strip_prefix(root).unwrap_or(&here)));
    Ok(Digest::from_bytes(blake3::derive_key("fleche 2026 input marker", &bytes)))
}

/// True for the errors that mean "there is nothing": they are an observation like any other.
pub(crate) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn hash(mut file: &File) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest::from_bytes(*hasher.finalize().as_bytes())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
    }
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanos = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Without inode and change time a stamp says too little: it never counts as settled.
    #[cfg(not(unix))]
    fn of(metadata: &Metadata) -> Self {
        Self { device: 0, inode: 0, size: metadata.len(), modified: 0, changed: i128::MAX }
    }

    /// True if the file was last touched long enough ago that a later write must show in the stamp: file
    /// systems stamp in steps (a kernel tick, or up to two seconds where there are no fractions), and a write
    /// within one step of the read would leave no trace.
    fn is_settled(&self, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let youngest = self.modified.max(self.changed);
        let step = if self.changed % 1_000_000_000 == 0 {
            Duration::from_secs(2)
        } else {
            Duration::from_millis(50)
        };
        i128::try_from(now.as_nanos()).is_ok_and(|now| {
            now.checked_sub(youngest)
                .is_some_and(|age| age > i128::try_from(step.as_nanos()).unwrap_or(i128::MAX))
        })
    }

    fn digest(&self) -> Digest {
        let mut bytes = [0; 56];
        bytes[..8].copy_from_slice(&self.device.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.inode.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.size.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.modified.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.changed.to_le_bytes());
        Digest::from_bytes(blake3::derive_key("fleche 2026 file stamp", &bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(changed: i128) -> Stamp {
        Stamp { device: 1, inode: 2, size: 3, modified: 0, changed }
    }

    #[test]
    fn a_young_stamp_and_one_from_the_future_are_not_trusted() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 500);
        let nanos = 1_000_000_000_i128;
        assert!(stamp(999 * nanos + 1).is_settled(now));
        assert!(!stamp(999 * nanos).is_settled(now), "whole seconds: coarse clock");
        assert!(stamp(990 * nanos).is_settled(now));
        assert!(!stamp(1000 * nanos - 7).is_settled(now));
        assert!(!stamp(2000 * nanos + 7).is_settled(now));
    }

    #[test]
    fn a_same_size_edit_right_after_the_first_look_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path().to_path_buf(), Some(Store::memory()));
        let path = dir.path().join("a");
        for round in 0..200_u32 {
            let text = format!("{round:08}");
            fs::write(&path, &text).unwrap();
            assert_eq!(files.digest(&path).unwrap(), Digest::of(text.as_bytes()));
        }
    }

    #[test]
    fn a_tree_reacts_to_names_kinds_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path().to_path_buf(), None);
        let tree = dir.path().join("t");
        assert_eq!(files.tree(&tree).unwrap(), absent());
        fs::create_dir_all(tree.join("sub")).unwrap();
        let empty = files.tree(&tree).unwrap();
        fs::write(tree.join("sub/x"), "1").unwrap();
        let one = files.tree(&tree).unwrap();
        assert_ne!(empty, one);
        fs::write(tree.join("sub/x"), "2").unwrap();
        assert_ne!(files.tree(&tree).unwrap(), one);
        fs::write(tree.join("sub/x"), "1").unwrap();
        assert_eq!(files.tree(&tree).unwrap(), one);
        fs::rename(tree.join("sub/x"), tree.join("sub/y")).unwrap();
        assert_ne!(files.tree(&tree).unwrap(), one);
    }

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
}
