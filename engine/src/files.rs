//! A project's files as its cache sees them: the disk with an overlay over it, and digests known under stamps.
//!
//! A digest may be remembered under a stamp only if the stamp was old enough before the bytes were read that every
//! later write shows in it. What cannot be read again later, such as a pipe, is refused.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fleche_store::{Dependency, Digest, Store};
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;

use crate::input::{self, Input, InputId, absent, is_absence};
use crate::overlay::{Layer, Shade};
use crate::stamp::Stamp;
use crate::system::{Handle, Kind, Status, System};
use crate::tree::Trees;
use crate::tree::selection::Selection;

/// The project's files: where its root is, what lies over them, and the digests already known.
#[derive(Debug)]
pub(crate) struct Files {
    root: PathBuf,
    system: System,
    layer: Layer,
    known: Mutex<HashMap<Stamp, Digest>>,
    store: Option<Store>,
    trees: Trees,
}

/// Notes of this kind in the store map a stamp to the digest of what the file held.
const STAMP_NOTE: u16 = 1;

/// What there is at a path, by overlay and disk together.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// The disk's, of the kind that it says.
    Disk(Status),
    Content(Arc<[u8]>),
    /// A directory that only the overlay has.
    Directory,
}

/// Where to look.
enum Place<'a> {
    Disk(Cow<'a, Path>),
    Content(Arc<[u8]>, Digest),
    Absent,
    Directory,
}

impl Found {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Disk(status) => status.kind,
            Self::Content(_) => Kind::File,
            Self::Directory => Kind::Directory,
        }
    }
}

/// The error for what is neither a file nor a directory.
pub(crate) fn special(path: &Path, what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!(
            "{} is a {what}: what it gives cannot be read again, so it cannot be tracked",
            path.display()
        ),
    )
}

fn nothing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Files {
    /// Files of the project at `root` (absolute); digests are shared through `store` with later processes.
    pub(crate) fn new(root: PathBuf, store: Option<Store>) -> Self {
        Self::over(System::default(), root, store)
    }

    /// The same, through a door of the caller's.
    pub(crate) fn over(system: System, root: PathBuf, store: Option<Store>) -> Self {
        Self {
            root,
            system,
            layer: Layer::default(),
            known: Mutex::new(HashMap::new()),
            store,
            trees: Trees::default(),
        }
    }

    /// The project's root.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn system(&self) -> &System {
        &self.system
    }

    pub(crate) fn layer(&self) -> &Layer {
        &self.layer
    }

    /// The working directory, as an input.
    pub(crate) fn working_directory(&self) -> InputId {
        Input::WorkingDirectory(self.root.clone()).id()
    }

    /// An input as it stands in a trace: paths inside the project are relative to its root.
    pub(crate) fn dependency(&self, id: InputId) -> Dependency {
        let (kind, name) = id.input().name(&self.root);
        Dependency::Input { kind, name }
    }

    /// Back from a trace; `None` for a kind that this version does not know, which holds for no trace.
    pub(crate) fn input(&self, kind: u16, name: &[u8]) -> Option<InputId> {
        Input::parse(&self.root, kind, name).map(Input::id)
    }

    /// Looks at the world. `None` if that cannot be done now, for another reason than absence.
    pub(crate) fn observe(&self, id: InputId) -> Option<Digest> {
        match &*id.input() {
            Input::File(path) => self.digest(path).ok(),
            Input::Entry(path) => self.entry(path).ok(),
            Input::Tree(selection) => self.tree_digest(selection).ok(),
            Input::Status(path, follow) => self.status_digest(path, *follow).ok(),
            Input::Exists(path) => self.exists_digest(path).ok(),
            Input::Modified(path, follow) => self.modified_digest(path, *follow).ok(),
            Input::Link(path) => self.link_digest(path).ok(),
            Input::Variable(name) => {
                Some(input::variable_digest(name, self.system.variable(name).as_deref()))
            }
            Input::WorkingDirectory(root) => {
                self.system.here().ok().map(|here| input::working_directory_digest(&here, root))
            }
            // Told, not looked at: see `Revision::observe`.
            Input::Named(_) => None,
        }
    }

    fn place<'a>(&self, path: &'a Path, follow: bool) -> io::Result<Place<'a>> {
        if self.layer.is_empty() {
            return Ok(Place::Disk(Cow::Borrowed(path)));
        }
        let resolved = self.layer.resolve(&self.system, path, follow)?;
        Ok(match self.layer.shade(&resolved, self.system.folds_case()) {
            Shade::Disk => Place::Disk(Cow::Owned(resolved)),
            Shade::Content(bytes, digest) => Place::Content(bytes, digest),
            Shade::Hidden => Place::Absent,
            Shade::Directory { through: false } => Place::Directory,
            Shade::Directory { through: true } => match self.system.status(&resolved) {
                Ok(status) if status.kind == Kind::Directory => Place::Disk(Cow::Owned(resolved)),
                Ok(_) => Place::Directory,
                Err(error) if is_absence(&error) => Place::Directory,
                Err(error) => return Err(error),
            },
        })
    }

    /// What there is at a path.
    pub(crate) fn find(&self, path: &Path, follow: bool) -> io::Result<Found> {
        match self.place(path, follow)? {
            Place::Disk(path) if follow => self.system.status(&path).map(Found::Disk),
            Place::Disk(path) => self.system.link_status(&path).map(Found::Disk),
            Place::Content(bytes, _) => Ok(Found::Content(bytes)),
            Place::Directory => Ok(Found::Directory),
            Place::Absent => Err(nothing()),
        }
    }

    /// The digest of what the file holds now: BLAKE3 of its bytes, or a marker for absence or a directory.
    pub(crate) fn digest(&self, path: &Path) -> io::Result<Digest> {
        match self.place(path, true)? {
            Place::Disk(path) => match self.system.status(&path) {
                Ok(status) if status.kind == Kind::Directory => Ok(input::directory()),
                Ok(status) => self.content(&path, &status),
                Err(error) if is_absence(&error) => Ok(absent()),
                Err(error) => Err(error),
            },
            Place::Content(_, digest) => Ok(digest),
            Place::Absent => Ok(absent()),
            Place::Directory => Ok(input::directory()),
        }
    }

    /// The same with the executable bit, or all that is in a directory.
    fn entry(&self, path: &Path) -> io::Result<Digest> {
        match self.find(path, true) {
            Ok(found) if found.kind() == Kind::Directory => self.tree(path),
            Ok(Found::Disk(status)) if status.is_executable() => self.digest(path).map(input::executable),
            Ok(_) => self.digest(path),
            Err(error) if is_absence(&error) => Ok(absent()),
            Err(error) => Err(error),
        }
    }

    fn status_digest(&self, path: &Path, follow: bool) -> io::Result<Digest> {
        match self.find(path, follow) {
            Ok(found) => Ok(input::status_digest(&found)),
            Err(error) if is_absence(&error) => Ok(absent()),
            Err(error) => Err(error),
        }
    }

    fn modified_digest(&self, path: &Path, follow: bool) -> io::Result<Digest> {
        match self.find(path, follow) {
            Ok(Found::Disk(status)) => Ok(input::modified_digest(status.stamp.modified)),
            Ok(_) => Ok(input::modified_digest(0)),
            Err(error) if is_absence(&error) => Ok(absent()),
            Err(error) => Err(error),
        }
    }

    fn exists_digest(&self, path: &Path) -> io::Result<Digest> {
        match self.find(path, true) {
            Ok(_) => Ok(input::present()),
            Err(error) if is_absence(&error) => Ok(absent()),
            Err(error) => Err(error),
        }
    }

    /// The text of a link; an error if there is none, as the system's.
    pub(crate) fn link(&self, path: &Path) -> io::Result<PathBuf> {
        match self.place(path, false)? {
            Place::Disk(path) => self.system.link(&path),
            Place::Content(..) | Place::Directory => Err(io::ErrorKind::InvalidInput.into()),
            Place::Absent => Err(nothing()),
        }
    }

    fn link_digest(&self, path: &Path) -> io::Result<Digest> {
        match self.link(path) {
            Ok(text) => Ok(input::link_digest(&text)),
            Err(error) if is_absence(&error) => Ok(absent()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(input::no_link()),
            Err(error) => Err(error),
        }
    }

    /// Reads a whole file.
    pub(crate) fn read(&self, path: &Path) -> io::Result<(Vec<u8>, Digest)> {
        match self.place(path, true)? {
            Place::Disk(path) => {
                let now = self.system.now();
                let (mut file, before) = self.open_file(&path)?;
                let mut bytes = Vec::with_capacity(usize::try_from(before.stamp.size).unwrap_or_default());
                file.read_to_end(&mut bytes)?;
                let digest = Digest::of(&bytes);
                self.learn(&before, &file.status()?, digest, now);
                Ok((bytes, digest))
            }
            Place::Content(bytes, digest) => Ok((bytes.to_vec(), digest)),
            Place::Absent => Err(nothing()),
            Place::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// A file to be read piece by piece, with the digest of all of it.
    pub(crate) fn open(&self, path: &Path) -> io::Result<(Opened, Digest)> {
        match self.place(path, true)? {
            Place::Disk(path) => self.open_on_disk(&path),
            Place::Content(bytes, digest) => Ok((Opened::Bytes(bytes), digest)),
            Place::Absent => Err(nothing()),
            Place::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn open_on_disk(&self, path: &Path) -> io::Result<(Opened, Digest)> {
        let (file, mut status) = self.open_file(path)?;
        let mut now = self.system.now();
        if !status.stamp.is_settled(now) && status.stamp.size <= MOST_COPIED {
            let (bytes, digest) = self.read(path)?;
            return Ok((Opened::Bytes(bytes.into()), digest));
        }
        // From a stamp that can be trusted on, a write while the file is read shows in it.
        while !status.stamp.is_settled(now) {
            self.system.wait(status.stamp.unsettled_for(now));
            now = self.system.now();
            status = file.status()?;
            if status.stamp.changed > nanos(now) {
                return Err(io::Error::other(format!(
                    "{} was last changed in the future: its content cannot be tracked piece by piece",
                    path.display()
                )));
            }
        }
        if let Some(known) = self.recall(&status.stamp) {
            return Ok((Opened::File { file, stamp: status.stamp }, known));
        }
        let (mut reader, before) = self.open_file(path)?;
        let digest = hash(&mut reader)?;
        if before.stamp != status.stamp || reader.status()?.stamp != status.stamp {
            return Err(changed(path));
        }
        self.learn(&before, &status, digest, now);
        Ok((Opened::File { file, stamp: status.stamp }, digest))
    }

    /// Opens what must be a file.
    fn open_file(&self, path: &Path) -> io::Result<(Handle, Status)> {
        let refuse = |status: &Status| match status.kind {
            Kind::Special(what) => Err(special(path, what)),
            _ => Ok(()),
        };
        // Looked at before it is opened: to open a device may already do something.
        refuse(&self.system.status(path)?)?;
        let file = self.system.open(path)?;
        let status = file.status()?;
        refuse(&status)?;
        Ok((file, status))
    }

    /// The digest of what is on disk, which is no directory.
    pub(crate) fn content(&self, path: &Path, status: &Status) -> io::Result<Digest> {
        if let Kind::Special(what) = status.kind {
            return Err(special(path, what));
        }
        if let Some(known) = self.recall(&status.stamp) {
            return Ok(known);
        }
        let now = self.system.now();
        let (mut file, before) = self.open_file(path)?;
        let digest = hash(&mut file)?;
        self.learn(&before, &file.status()?, digest, now);
        Ok(digest)
    }

    /// Notes the digest of bytes that were just read from a file, if its stamps around the read agree and were
    /// settled at `now`, before it.
    pub(crate) fn learn(&self, before: &Status, after: &Status, digest: Digest, now: SystemTime) {
        let stamp = before.stamp;
        if after.stamp != stamp || before.kind != Kind::File || !stamp.is_settled(now) {
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

    fn recall(&self, stamp: &Stamp) -> Option<Digest> {
        if let Some(known) = self.known.lock().get(stamp) {
            return Some(*known);
        }
        let note = self.store.as_ref()?.note(STAMP_NOTE, &stamp.digest()).ok()??;
        let digest = Digest::from_bytes(note.try_into().ok()?);
        self.known.lock().insert(*stamp, digest);
        Some(digest)
    }

    /// The digest of a file in a tree, and its stamp if that was settled at `now`, before `status` was taken.
    pub(crate) fn read_digest(
        &self,
        path: &Path,
        status: &Status,
        now: SystemTime,
    ) -> io::Result<(Digest, Stamp)> {
        let keep = |stamp: Stamp| if stamp.is_settled(now) { stamp } else { Stamp::NONE };
        if let Some(known) = self.known.lock().get(&status.stamp) {
            return Ok((*known, keep(status.stamp)));
        }
        let (mut file, before) = self.open_file(path)?;
        let digest = hash(&mut file)?;
        let same = before.stamp == status.stamp && file.status()?.stamp == before.stamp;
        Ok((digest, if same { keep(status.stamp) } else { Stamp::NONE }))
    }

    /// Whether a tree can be there.
    pub(crate) fn base(&self, path: &Path) -> io::Result<Base> {
        let (kind, only_overlay) = match self.place(path, true)? {
            Place::Disk(path) => match self.system.status(&path) {
                Ok(status) => (status.kind, false),
                Err(error) if is_absence(&error) => return Ok(Base::Absent),
                Err(error) => return Err(error),
            },
            Place::Content(..) => (Kind::File, false),
            Place::Absent => return Ok(Base::Absent),
            Place::Directory => (Kind::Directory, true),
        };
        Ok(if kind == Kind::Directory { Base::Directory { only_overlay } } else { Base::File })
    }

    pub(crate) fn trees(&self) -> &Trees {
        &self.trees
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The digest of all that is at a path: see [`Selection::everything`].
    pub(crate) fn tree(&self, path: &Path) -> io::Result<Digest> {
        self.tree_digest(&Arc::new(Selection::everything(input::whole(path))))
    }
}

/// What is where a tree should be.
pub(crate) enum Base {
    Absent,
    /// Or anything else that is no directory.
    File,
    Directory {
        only_overlay: bool,
    },
}

/// An open file, or its bytes.
#[derive(Debug)]
pub(crate) enum Opened {
    Bytes(Arc<[u8]>),
    File { file: Handle, stamp: Stamp },
}

/// A young file up to this size is copied when it is opened; a larger one is waited for.
const MOST_COPIED: u64 = 4 << 20;

fn nanos(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The error for a file that is not what it was a moment ago.
pub(crate) fn changed(path: &Path) -> io::Error {
    io::Error::other(format!("{} changed while it was read", path.display()))
}

fn hash(file: &mut Handle) -> io::Result<Digest> {
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

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
