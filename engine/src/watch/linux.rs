//! Watching on Linux: one inotify watch a directory, set and followed by ourselves.
//!
//! What is covered must be known exactly, so the set of watched directories is kept here, each in it under its real
//! path: the chain of directories from the file system's root down to it holds no symbolic link and is watched too.
//! A directory enters the set after its watch is set and before its content is listed; whatever lies in it is marked
//! after that. It leaves the set before the mark that tells of it.
//!
//! The kernel queues an event before the system call that caused it returns. Whoever drains the queue therefore knows
//! of all that was done before: that is the barrier at the start of a top-level call.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use parking_lot::{Mutex, RwLock};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use super::changes::Pending;
use super::polling::Polling;
use super::{IGNORED, Settings};
use crate::marks;
use crate::paths::{PathMap, of_key};

/// What is known of a path below the roots that is not an ordinary file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// A directory whose every change is reported.
    Watched(WatchDescriptor),
    /// Leads elsewhere.
    Link,
    /// A file with another name, through which it can be changed without a word.
    Shared,
    /// A directory that is not watched, or not to be relied on.
    Unwatched,
}

/// A watcher's eyes.
pub(crate) struct Eyes {
    known: RwLock<PathMap<Known>>,
    state: Mutex<State>,
    /// Readable when there are events; a duplicate, so that it can be waited for without the lock.
    events: OwnedFd,
    wake_read: OwnedFd,
    wake: OwnedFd,
    pending: Arc<Pending>,
    settings: Settings,
}

struct State {
    inotify: Inotify,
    watches: Watches,
    /// A directory can be found under two paths: bound elsewhere, or moved faster than it was told.
    places: HashMap<WatchDescriptor, Vec<PathBuf>>,
    buffer: Vec<u8>,
    /// Directories above the roots, watched for what would put another directory in a root's place.
    above: PathMap<WatchDescriptor>,
    /// Whether the file system on each device tells of all changes.
    devices: HashMap<u64, bool>,
    polling: Polling,
    /// Events were lost, or a root's place was taken: everything has to be set up anew.
    lost: bool,
    used_up: bool,
    setting_up: bool,
    changed: Vec<PathBuf>,
    /// Files that got a name more: under the old ones they can now be changed without a word.
    shared: HashSet<u64>,
}

/// Why a directory was not watched.
enum Refused {
    UsedUp,
    Gone,
    Other,
}

fn inside() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::MODIFY
        // What is written through a map is told when the last of those who could write is gone.
        | WatchMask::CLOSE_WRITE
        | WatchMask::ATTRIB
        | WatchMask::ONLYDIR
        | WatchMask::DONT_FOLLOW
        | WatchMask::EXCL_UNLINK
}

fn outside() -> WatchMask {
    WatchMask::CREATE
        | WatchMask::DELETE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::ATTRIB
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR
        | WatchMask::DONT_FOLLOW
        | WatchMask::EXCL_UNLINK
}

/// An event with its name copied out of the buffer.
struct Told {
    watch: WatchDescriptor,
    mask: EventMask,
    name: Option<OsString>,
}

impl Eyes {
    /// Fails if the system gives no queue of events.
    pub(crate) fn new(settings: Settings, pending: Arc<Pending>, polling: Polling) -> io::Result<Self> {
        let inotify = Inotify::init()?;
        let (wake_read, wake) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self {
            known: RwLock::default(),
            events: inotify.as_fd().try_clone_to_owned()?,
            state: Mutex::new(State {
                watches: inotify.watches(),
                inotify,
                places: HashMap::new(),
                buffer: vec![0; 64 * 1024],
                above: PathMap::default(),
                devices: HashMap::new(),
                polling,
                lost: false,
                used_up: false,
                setting_up: false,
                changed: Vec::new(),
                shared: HashSet::new(),
            }),
            wake_read,
            wake,
            pending,
            settings,
        })
    }

    /// Sets up everything, and marks all below the roots.
    pub(crate) fn open(&self) {
        let mut state = self.state.lock();
        self.set_up(&mut state);
        state.changed.clear();
        state.shared.clear();
        marks::mark(self.settings.roots.iter().map(PathBuf::as_path));
    }

    /// Follows events until [`Eyes::close`].
    pub(crate) fn follow(&self) {
        // Readable with priority when something is mounted or unmounted: another directory may be in a place.
        let mounts = fs::File::open("/proc/self/mountinfo").ok();
        loop {
            let mut wait =
                vec![PollFd::new(&self.events, PollFlags::IN), PollFd::new(&self.wake_read, PollFlags::IN)];
            wait.extend(mounts.as_ref().map(|mounts| PollFd::new(mounts, PollFlags::PRI)));
            match poll(&mut wait, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::warn!(%error, "changes are not followed any more");
                    self.known.write().clear();
                    marks::mark(self.settings.roots.iter().map(PathBuf::as_path));
                    self.pending.push_everything();
                    return;
                }
            }
            if !wait[1].revents().is_empty() {
                return;
            }
            let mounted = wait.get(2).is_some_and(|mounts| mounts.revents().contains(PollFlags::PRI));
            let mut state = self.state.lock();
            state.lost |= mounted;
            self.take_in(&mut state);
        }
    }

    /// Ends [`Eyes::follow`].
    pub(crate) fn close(&self) {
        // The pipe is empty until here.
        let _ = rustix::io::write(&self.wake, b"!");
    }

    /// How many directories are watched.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().places.len()
    }

    /// Those that are polled instead.
    pub(crate) fn polled(&self) -> Vec<PathBuf> {
        self.state.lock().polling.places()
    }

    /// Takes nothing in until the guard is dropped.
    #[cfg(test)]
    pub(crate) fn pause(&self) -> impl Sized {
        self.state.lock()
    }

    /// Reads all there is to read, and acts on it.
    fn take_in(&self, state: &mut State) {
        let mut buffer = std::mem::take(&mut state.buffer);
        loop {
            let told: Vec<Told> = match state.inotify.read_events(&mut buffer) {
                Ok(events) => events
                    .map(|event| Told {
                        watch: event.wd,
                        mask: event.mask,
                        name: event.name.map(OsStr::to_os_string),
                    })
                    .collect(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::debug!(%error, "events could not be read");
                    state.lost = true;
                    break;
                }
            };
            if told.is_empty() {
                break;
            }
            for told in told {
                self.act(state, &told);
            }
            self.find_shared(state);
            // Each buffer for itself: what is long done is not held up by what goes on.
            self.tell(state);
        }
        state.buffer = buffer;
        if std::mem::take(&mut state.lost) {
            self.set_up(state);
            state.changed.clear();
            state.shared.clear();
            marks::mark(self.settings.roots.iter().map(PathBuf::as_path));
            self.pending.push_everything();
        }
    }

    /// Looks for the other names of files that got one more; of those nothing was told.
    fn find_shared(&self, state: &mut State) {
        let shared = std::mem::take(&mut state.shared);
        if shared.is_empty() {
            return;
        }
        for place in state.places.values().flatten() {
            if !matches!(self.known.read().get(place), Some(Known::Watched(_))) {
                continue;
            }
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                if shared.contains(&entry.ino()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    self.known.write().insert(&entry.path(), Known::Shared);
                    state.changed.push(entry.path());
                }
            }
        }
    }

    /// Marks what changed, and passes it on.
    fn tell(&self, state: &mut State) {
        if state.changed.is_empty() {
            return;
        }
        let mut changed = std::mem::take(&mut state.changed);
        changed.sort_unstable();
        changed.dedup();
        marks::mark(changed.iter().map(PathBuf::as_path));
        changed.retain(|path| !self.settings.skips(path));
        self.pending.push(changed);
    }

    fn act(&self, state: &mut State, told: &Told) {
        if told.mask.contains(EventMask::Q_OVERFLOW) {
            state.lost = true;
            return;
        }
        let places = state.places.get(&told.watch).cloned().unwrap_or_default();
        if told.mask.intersects(EventMask::IGNORED | EventMask::UNMOUNT) {
            state.places.remove(&told.watch);
            // A directory that went away was told of by the one above it; this one went in another way.
            let stale = |known: &Known| *known == Known::Watched(told.watch.clone());
            for place in places {
                if self.known.read().get(&place).is_some_and(stale) || state.above.get(&place).is_some() {
                    state.lost = true;
                }
            }
            return;
        }
        for place in places {
            if state.above.get(&place).is_some() {
                let on_the_way = |name: &OsString| {
                    let path = place.join(name);
                    self.settings.roots.iter().any(|root| root.starts_with(&path))
                };
                state.lost |= told.name.as_ref().is_none_or(on_the_way);
                continue;
            }
            let Some(name) = &told.name else {
                state.changed.push(place);
                continue;
            };
            if is_ours(name) {
                continue;
            }
            let path = place.join(name);
            if told.mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
                self.forget(state, &path);
            } else if told.mask.intersects(EventMask::CREATE | EventMask::MOVED_TO) {
                // It may have taken the place of something.
                self.forget(state, &path);
                self.examine(state, &path);
            } else if told.mask.contains(EventMask::ATTRIB) {
                if told.mask.contains(EventMask::ISDIR) {
                    // What could not be entered may be open now.
                    self.examine(state, &path);
                } else {
                    self.note(&path);
                }
            }
            state.changed.push(path);
        }
    }

    /// Lets go of the path and all below it.
    fn forget(&self, state: &mut State, path: &Path) {
        let gone = self.known.write().take(path);
        for (key, known) in gone {
            let Known::Watched(watch) = known else { continue };
            release(state, &watch, of_key(&key));
        }
        state.polling.end(path);
    }

    /// Takes note of whether a file is anything but a file.
    fn note(&self, path: &Path) {
        let known = path.symlink_metadata().ok().and_then(|metadata| odd(&metadata));
        let mut all = self.known.write();
        match known {
            Some(known) => drop(all.insert(path, known)),
            None => drop(all.remove(path)),
        }
    }

    /// Looks at what has appeared at a path; a directory is watched with all below it.
    fn examine(&self, state: &mut State, path: &Path) {
        let mut stack = vec![path.to_path_buf()];
        while let Some(path) = stack.pop() {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if !metadata.is_dir() {
                if let Some(known) = odd(&metadata) {
                    if known == Known::Shared {
                        state.shared.insert(metadata.ino());
                    }
                    self.known.write().insert(&path, known);
                }
                continue;
            }
            if path.file_name().is_some_and(is_ours) || self.settings.skips(&path) {
                self.known.write().insert(&path, Known::Unwatched);
                continue;
            }
            match self.watch(state, &path, &metadata) {
                Ok(()) => {}
                Err(Refused::Gone) => continue,
                Err(refused) => {
                    self.known.write().insert(&path, Known::Unwatched);
                    let used_up = matches!(refused, Refused::UsedUp);
                    if used_up && !std::mem::replace(&mut state.used_up, true) {
                        warn_used_up(&path);
                    }
                    state.polling.begin(&path);
                    continue;
                }
            }
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) => {
                    if !crate::input::is_absence(&error) {
                        self.unwatch(state, &path);
                        self.known.write().insert(&path, Known::Unwatched);
                    }
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    stack.push(path.clone());
                } else if kind.is_symlink() {
                    self.known.write().insert(&path, Known::Link);
                } else if entry.metadata().is_ok_and(|metadata| metadata.nlink() > 1) {
                    self.known.write().insert(&path, Known::Shared);
                }
                // While all is set up, the roots are marked as a whole.
                if !state.setting_up {
                    state.changed.push(path);
                }
            }
        }
    }

    /// Watches one directory.
    fn watch(&self, state: &mut State, path: &Path, metadata: &Metadata) -> Result<(), Refused> {
        if state.places.len() >= self.settings.most_watches {
            return Err(Refused::UsedUp);
        }
        let reliable = *state.devices.entry(metadata.dev()).or_insert_with(|| tells_all(path));
        if !reliable {
            return Err(Refused::Other);
        }
        let watch = match state.watches.add(path, inside()) {
            Ok(watch) => watch,
            Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(Refused::UsedUp),
            Err(error) if crate::input::is_absence(&error) => return Err(Refused::Gone),
            Err(_) => return Err(Refused::Other),
        };
        let places = state.places.entry(watch.clone()).or_default();
        if !places.iter().any(|place| place == path) {
            places.push(path.to_path_buf());
        }
        let before = self.known.write().insert(path, Known::Watched(watch.clone()));
        if let Some(Known::Watched(before)) = before
            && before != watch
        {
            release(state, &before, path);
        }
        Ok(())
    }

    fn unwatch(&self, state: &mut State, path: &Path) {
        if let Some(Known::Watched(watch)) = self.known.write().remove(path) {
            release(state, &watch, path);
        }
    }

    /// Forgets all watches and sets them anew. Nothing is covered until each is.
    fn set_up(&self, state: &mut State) {
        self.known.write().clear();
        state.polling.clear();
        for (watch, _) in std::mem::take(&mut state.places) {
            let _ = state.watches.remove(watch);
        }
        state.above = PathMap::default();
        state.used_up = false;
        state.setting_up = true;
        for root in &self.settings.roots {
            // From the top down, so that a root is not looked for in a directory that has left its place.
            for above in root.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
                if state.above.get(above).is_some() {
                    continue;
                }
                match state.watches.add(above, outside()) {
                    Ok(watch) => {
                        state.places.entry(watch.clone()).or_default().push(above.to_path_buf());
                        state.above.insert(above, watch);
                    }
                    // It can be passed, or not be there.
                    Err(error) => tracing::debug!(path = %above.display(), %error, "not watched"),
                }
            }
            self.examine(state, root);
        }
        state.setting_up = false;
    }
}

impl marks::Source for Eyes {
    fn covers(&self, path: &Path, deep: bool) -> bool {
        let known = self.known.read();
        match known.get(path) {
            Some(Known::Watched(_)) => {}
            Some(_) => return false,
            None => {
                let mut at = path;
                loop {
                    let Some(above) = at.parent() else { return false };
                    match known.get(above) {
                        Some(Known::Watched(_)) => break,
                        Some(_) => return false,
                        // Not there, or a file is in its place: what would alter that is told of further up.
                        None => at = above,
                    }
                }
            }
        }
        !deep || known.below(path).all(|(_, known)| matches!(known, Known::Watched(_)))
    }

    fn drain(&self) {
        self.take_in(&mut self.state.lock());
    }
}

/// Gives a watch back, unless the directory is watched under another path too.
fn release(state: &mut State, watch: &WatchDescriptor, path: &Path) {
    let Some(places) = state.places.get_mut(watch) else { return };
    places.retain(|place| place != path);
    if places.is_empty() {
        state.places.remove(watch);
        // The kernel may have dropped it by itself.
        let _ = state.watches.remove(watch.clone());
    }
}

fn odd(metadata: &Metadata) -> Option<Known> {
    if metadata.is_symlink() {
        Some(Known::Link)
    } else if !metadata.is_dir() && metadata.nlink() > 1 {
        Some(Known::Shared)
    } else {
        None
    }
}

/// A cache's own directory: it changes with every call.
fn is_ours(name: &OsStr) -> bool {
    name == IGNORED
}

/// Whether the file system tells of every change, and knows a name by one spelling. A network's does not tell of what
/// others do there; what is not known here is not relied on.
pub(super) fn tells_all(path: &Path) -> bool {
    const KNOWN: [i64; 9] = [
        0xef53,      // ext2 to ext4
        0x0102_1994, // tmpfs
        0x8584_58f6, // ramfs
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x2fc1_2fc1, // zfs
        0xf2f5_2010, // f2fs
        0xca45_1a4e, // bcachefs
        0x794c_7630, // overlayfs
    ];
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the type differs between targets"
    )]
    rustix::fs::statfs(path).is_ok_and(|found| KNOWN.contains(&(found.f_type as u32 as i64)))
}

fn warn_used_up(path: &Path) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
    let limit: u64 = limit.trim().parse().unwrap_or(8192);
    tracing::warn!(
        "the system's inotify watches are used up at {}: what is left is polled, and changes are noticed later; \
         `sysctl fs.inotify.max_user_watches={}` raises the limit",
        path.display(),
        (limit * 4).max(524_288),
    );
}
