//! Scans: looking at a tree, or at the part of it that may have changed, on several threads.
//!
//! A directory is one job: it is listed, its entries are asked for their stamps, and those that moved are read. Digests
//! are then made from the leaves up; where all entries are what they were, so is the directory's digest.

mod assemble;
mod update;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use fleche_store::Digest;
use parking_lot::{Condvar, Mutex};

use super::ignores::{self, Ignores};
use super::selection::{Pattern, Rule, Selection, States, Walk};
use super::{DIRECTORY, EXECUTABLE, Entry, FILE, LINK, NONE, PASSAGE, SPECIAL, Snapshot};
use crate::files::{Base, Files};
use crate::input::{self, absent, is_absence, path_bytes};
use crate::overlay::Shade;
use crate::stamp::Stamp;
use crate::system::{Folder, Kind, Status};

pub(super) use self::update::update;

/// A tree as it was just seen.
pub(super) struct Scanned {
    pub(super) snapshot: Snapshot,
    /// How many files had to be read.
    pub(super) read: usize,
}

/// A directory to be looked at.
struct Job {
    index: u32,
    parent: u32,
    path: PathBuf,
    /// Its entries in the snapshot before.
    before: Option<u32>,
    depth: u32,
    states: States,
    ignores: Option<Arc<Ignores>>,
    /// Device and inode of the directories above, where links are followed.
    above: Option<Arc<Above>>,
    /// The overlay alone has it.
    only_overlay: bool,
    /// Directories in it that were known are looked at too.
    deep: bool,
}

struct Above {
    identity: (u64, u64),
    above: Option<Arc<Above>>,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    busy: usize,
    next: u32,
    done: Vec<(u32, Listed)>,
    error: Option<io::Error>,
}

/// A directory that was looked at; `None` if it had gone by then.
type Listed = Option<(u32, Vec<Entry>)>;

struct Scan<'a> {
    files: &'a Files,
    selection: &'a Selection,
    walk: Walk,
    pattern: Option<Pattern>,
    before: Option<&'a Snapshot>,
    /// The base without links, if there is something of an overlay in it.
    overlaid: Option<PathBuf>,
    /// The store's directory, which is no part of any tree.
    store: Option<(OsString, u64, u64)>,
    queue: Mutex<Queue>,
    wake: Condvar,
    read: AtomicUsize,
}

/// Looks at everything.
pub(super) fn scan(files: &Files, selection: &Selection, before: Option<&Snapshot>) -> io::Result<Scanned> {
    let nothing = |digest, root| Ok(Scanned { snapshot: Snapshot::nothing(digest, root), read: 0 });
    let only_overlay = match files.base(&selection.base)? {
        Base::Absent => return nothing(absent(), None),
        Base::File if selection.contents => return nothing(files.digest(&selection.base)?, Some(Kind::File)),
        Base::File => return nothing(input::no_directory(), Some(Kind::File)),
        Base::Directory { only_overlay } => only_overlay,
    };
    let scan = Scan::new(files, selection, before)?;
    let root = scan.root(
        only_overlay,
        before.map(|_| 0).filter(|_| before.is_some_and(|b| !b.directories.is_empty())),
    )?;
    scan.queue.lock().next = 1;
    scan.run(vec![root])?;
    Ok(scan.assemble(None))
}

impl<'a> Scan<'a> {
    fn new(files: &'a Files, selection: &'a Selection, before: Option<&'a Snapshot>) -> io::Result<Self> {
        let pattern = match &selection.rule {
            Rule::Glob(pattern) => Some(Pattern::new(pattern)?),
            _ => None,
        };
        let fold = files.system().folds_case();
        let overlaid = if files.layer().is_empty() {
            None
        } else {
            let base = files.layer().resolve(files.system(), &selection.base, true)?;
            files.layer().reaches_into(&base, fold).then_some(base)
        };
        let store = files.store().and_then(|store| {
            let dir = store.dir()?;
            let stamp = files.system().status(dir).ok()?.stamp;
            Some((dir.file_name()?.to_owned(), stamp.device, stamp.inode))
        });
        Ok(Self {
            files,
            selection,
            walk: selection.walk(),
            pattern,
            before,
            overlaid,
            store,
            queue: Mutex::default(),
            wake: Condvar::new(),
            read: AtomicUsize::new(0),
        })
    }

    fn root(&self, only_overlay: bool, before: Option<u32>) -> io::Result<Job> {
        let base = &self.selection.base;
        let above = if self.walk.follow && !only_overlay {
            let stamp = self.files.system().status(base)?.stamp;
            Some(Arc::new(Above { identity: (stamp.device, stamp.inode), above: None }))
        } else {
            None
        };
        Ok(Job {
            index: 0,
            parent: NONE,
            path: base.clone(),
            before,
            depth: 0,
            states: self.pattern.as_ref().map(Pattern::start).unwrap_or_default(),
            ignores: if self.walk.ignored { Ignores::above(self.files, base)? } else { None },
            above,
            only_overlay,
            deep: true,
        })
    }

    /// A directory of the snapshot before, to be looked at again.
    fn known(&self, before: &Snapshot, index: u32, deep: bool) -> io::Result<Option<Job>> {
        let mut names = Vec::new();
        let mut at = index;
        while at != 0 {
            let parent = before.directories[at as usize].parent;
            let Some(entry) = before
                .directories
                .get(parent as usize)
                .and_then(|parent| parent.entries.iter().find(|entry| entry.child == at))
            else {
                return Ok(None);
            };
            names.push(entry.name.clone());
            at = parent;
        }
        let mut job = self.root(false, Some(0))?;
        for name in names.into_iter().rev() {
            if self.walk.ignored {
                job.ignores = Ignores::below(self.files, job.ignores, &job.path, [true, true])?;
            }
            if let Some(pattern) = &self.pattern {
                job.states = pattern.step(&job.states, &name);
            }
            job.path.push(&name);
            job.depth += 1;
        }
        job.only_overlay = match self.files.base(&job.path)? {
            Base::Directory { only_overlay } => only_overlay,
            // It went in the meantime, which its own mark tells of its parent.
            _ => true,
        };
        job.parent = before.directories[index as usize].parent;
        (job.index, job.before, job.deep) = (index, Some(index), deep);
        Ok(Some(job))
    }

    fn run(&self, jobs: Vec<Job>) -> io::Result<()> {
        self.queue.lock().jobs = jobs;
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(8));
        // A small tree is done before a thread is there to help.
        for _ in 0..8 {
            if !self.step() {
                break;
            }
        }
        if !self.queue.lock().jobs.is_empty() {
            std::thread::scope(|scope| {
                for _ in 1..threads {
                    scope.spawn(|| self.work());
                }
                self.work();
            });
        }
        self.queue.lock().error.take().map_or(Ok(()), Err)
    }

    /// One job on this thread alone; false if there is none.
    fn step(&self) -> bool {
        let Some(job) = self.queue.lock().jobs.pop() else { return false };
        self.finish(self.look(&job));
        true
    }

    fn work(&self) {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop() {
                queue.busy += 1;
                drop(queue);
                self.finish(self.look(&job));
                queue = self.queue.lock();
                queue.busy -= 1;
                if queue.busy == 0 && queue.jobs.is_empty() {
                    self.wake.notify_all();
                }
            } else if queue.busy == 0 {
                return;
            } else {
                self.wake.wait(&mut queue);
            }
        }
    }

    fn finish(&self, result: io::Result<(u32, Listed, Vec<Job>)>) {
        let mut queue = self.queue.lock();
        match result {
            Ok((index, listed, jobs)) => {
                queue.done.push((index, listed));
                if queue.error.is_none() && !jobs.is_empty() {
                    queue.jobs.extend(jobs);
                    drop(queue);
                    self.wake.notify_all();
                }
            }
            Err(error) => {
                queue.error.get_or_insert(error);
                queue.jobs.clear();
            }
        }
    }

    /// Looks at one directory; also gives those in it that are to be looked at.
    fn look(&self, job: &Job) -> io::Result<(u32, Listed, Vec<Job>)> {
        let system = self.files.system();
        // Before any stamp is taken: a later write must not be hidden by what it has not moved.
        let now = system.now();
        let folder = if job.only_overlay {
            None
        } else {
            match system.folder(&job.path) {
                Ok(folder) => Some(folder),
                Err(error) if is_absence(&error) && job.index != 0 => {
                    return Ok((job.index, None, Vec::new()));
                }
                Err(error) => return Err(error),
            }
        };
        let mut names = folder.as_ref().map_or(Ok(Vec::new()), Folder::names)?;
        let resolved = self.resolved(&job.path);
        if let Some(resolved) = &resolved {
            let fold = system.folds_case();
            for name in self.files.layer().names(resolved, fold) {
                if let Err(at) = names.binary_search_by(|other| other.0.cmp(&name)) {
                    // Where case does not count, the disk's spelling stays.
                    let same = |other: &OsStr| {
                        fold && other.to_string_lossy().to_lowercase()
                            == name.to_string_lossy().to_lowercase()
                    };
                    if !names.iter().any(|other| same(&other.0)) {
                        names.insert(at, (name, None));
                    }
                }
            }
        }
        let ignores = if self.walk.ignored {
            let has = ignores::NAMES.map(|name| names.iter().any(|other| other.0 == name));
            Ignores::below(self.files, job.ignores.clone(), &job.path, has)?
        } else {
            None
        };
        let here = Here { job, folder: folder.as_ref(), resolved, ignores, now };
        let chunks = if names.len() > 2048 {
            std::thread::available_parallelism().map_or(1, |count| count.get().min(8))
        } else {
            1
        };
        let mut entries = Vec::with_capacity(names.len());
        let mut jobs = Vec::new();
        if chunks == 1 {
            for (name, kind) in names {
                self.entry(&here, name, kind, &mut entries, &mut jobs)?;
            }
        } else {
            let parts: Vec<Vec<_>> = names.chunks(names.len().div_ceil(chunks)).map(<[_]>::to_vec).collect();
            let results: Vec<io::Result<_>> = std::thread::scope(|scope| {
                let handles: Vec<_> = parts
                    .into_iter()
                    .map(|part| {
                        let here = &here;
                        scope.spawn(move || {
                            let (mut entries, mut jobs) = (Vec::with_capacity(part.len()), Vec::new());
                            for (name, kind) in part {
                                self.entry(here, name, kind, &mut entries, &mut jobs)?;
                            }
                            Ok((entries, jobs))
                        })
                    })
                    .collect();
                handles
                    .into_iter()
                    .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    .collect()
            });
            for result in results {
                let (more, below) = result?;
                entries.extend(more);
                jobs.extend(below);
            }
        }
        Ok((job.index, Some((job.parent, entries)), jobs))
    }

    /// The directory without links, where the overlay has a say in it.
    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        let base = self.overlaid.as_ref()?;
        if self.walk.follow {
            return self.files.layer().resolve(self.files.system(), path, true).ok();
        }
        Some(base.join(path.strip_prefix(&self.selection.base).unwrap_or(path)))
    }

    fn entry(
        &self,
        here: &Here<'_>,
        name: OsString,
        hint: Option<Kind>,
        entries: &mut Vec<Entry>,
        jobs: &mut Vec<Job>,
    ) -> io::Result<()> {
        let job = here.job;
        if self.walk.hidden && name.as_encoded_bytes().first() == Some(&b'.') {
            return Ok(());
        }
        if self.walk.ignored && name == ".git" {
            return Ok(());
        }
        let states = self.pattern.as_ref().map(|pattern| pattern.step(&job.states, &name));
        if states.as_ref().is_some_and(States::is_empty) {
            return Ok(());
        }
        let selected = match (&self.pattern, &states) {
            (Some(pattern), Some(states)) => pattern.is_match(states),
            _ => true,
        };
        let leads_on = match (&self.pattern, &states) {
            (Some(pattern), Some(states)) => pattern.leads_on(states),
            _ => self.walk.depth.is_none_or(|depth| job.depth + 1 < depth),
        };
        let shade = here.resolved.as_ref().map_or(Shade::Disk, |resolved| {
            self.files.layer().shade(&resolved.join(&name), self.files.system().folds_case())
        });
        let seen = match shade {
            Shade::Hidden => return Ok(()),
            Shade::Content(_, digest) => Seen::Overlaid(digest),
            Shade::Directory { through: false } => Seen::Directory { only_overlay: true, status: None },
            Shade::Directory { through: true } => {
                let status = here.status(&name, true)?;
                let real = status.filter(|status| status.kind == Kind::Directory);
                Seen::Directory { only_overlay: real.is_none(), status: real }
            }
            Shade::Disk => match self.on_disk(here, &name, hint)? {
                Some(seen) => seen,
                None => return Ok(()),
            },
        };
        if let Seen::Directory { status: Some(status), .. } = &seen
            && self.store.as_ref().is_some_and(|(store, device, inode)| {
                *store == name && (*device, *inode) == (status.stamp.device, status.stamp.inode)
            })
        {
            return Ok(());
        }
        let is_directory = matches!(seen, Seen::Directory { .. });
        if !selected && !is_directory {
            return Ok(());
        }
        let path = job.path.join(&name);
        if here.ignores.as_ref().is_some_and(|ignores| ignores.excludes(&path, is_directory)) {
            return Ok(());
        }
        let known = job.before.and_then(|before| {
            let entries = &self.before?.directories.get(before as usize)?.entries;
            let at = entries.binary_search_by(|entry| entry.name.cmp(&name)).ok()?;
            entries.get(at)
        });
        let zero = Digest::from_bytes([0; 32]);
        let mut entry = Entry { name, kind: FILE, stamp: Stamp::NONE, content: zero, child: NONE };
        match seen {
            Seen::Overlaid(digest) if self.selection.contents => entry.content = digest,
            Seen::Overlaid(_) | Seen::Plain => {}
            Seen::File(status) => {
                if status.is_executable() {
                    entry.kind = EXECUTABLE;
                }
                let same = |known: &&Entry| known.stamp == status.stamp && known.stamp != Stamp::NONE;
                if let Some(known) = known.filter(same) {
                    (entry.content, entry.stamp) = (known.content, known.stamp);
                } else {
                    self.read.fetch_add(1, Ordering::Relaxed);
                    match self.files.read_digest(&path, &status, here.now) {
                        Ok((digest, stamp)) => (entry.content, entry.stamp) = (digest, stamp),
                        Err(error) if is_absence(&error) => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
            }
            Seen::Link(text) => {
                (entry.kind, entry.content) = (LINK, Digest::of(&path_bytes(&text)));
                if self.selection.contents && self.selection.rule != Rule::Everything {
                    // Whoever reads the link reads what it leads to.
                    let target = match self.files.digest(&path) {
                        Ok(digest) => digest,
                        Err(error) if error.kind() == io::ErrorKind::Unsupported => zero,
                        Err(error) => return Err(error),
                    };
                    entry.content =
                        Digest::of(&[entry.content.as_bytes().as_slice(), target.as_bytes()].concat());
                }
            }
            Seen::Special(what) => (entry.kind, entry.content) = (SPECIAL, Digest::of(what.as_bytes())),
            Seen::Directory { only_overlay, status } => {
                entry.kind = if selected { DIRECTORY } else { PASSAGE };
                let above = match (self.walk.follow, status) {
                    (true, Some(status)) => {
                        let identity = (status.stamp.device, status.stamp.inode);
                        Some(Arc::new(Above { identity, above: job.above.clone() }))
                    }
                    _ => None,
                };
                let known_child = known.map(|known| known.child).filter(|child| *child != NONE);
                if !leads_on {
                    if !selected {
                        return Ok(());
                    }
                } else if let (false, Some(child)) = (job.deep, known_child) {
                    entry.child = child;
                } else {
                    entry.child = {
                        let mut queue = self.queue.lock();
                        queue.next += 1;
                        queue.next - 1
                    };
                    jobs.push(Job {
                        index: entry.child,
                        parent: job.index,
                        path,
                        before: known_child,
                        depth: job.depth + 1,
                        states: states.unwrap_or_default(),
                        ignores: here.ignores.clone(),
                        above,
                        only_overlay,
                        deep: true,
                    });
                }
            }
        }
        entries.push(entry);
        Ok(())
    }

    /// What the disk has under a name; `None` if it has gone since the directory was listed.
    fn on_disk(&self, here: &Here<'_>, name: &OsStr, hint: Option<Kind>) -> io::Result<Option<Seen>> {
        let store = self.store.as_ref().is_some_and(|(store, ..)| store == name);
        let kind = match hint {
            Some(kind) if !(store || kind == Kind::File && self.selection.contents || self.walk.follow) => {
                kind
            }
            _ => {
                let Some(mut status) = here.status(name, false)? else { return Ok(None) };
                if status.kind == Kind::Link && self.walk.follow {
                    // A link to itself leads nowhere.
                    let target = here.status(name, true).unwrap_or_default();
                    // A link back to where the walk comes from stays a link.
                    let back = |status: &Status| {
                        std::iter::successors(here.job.above.as_ref(), |above| above.above.as_ref())
                            .any(|above| above.identity == (status.stamp.device, status.stamp.inode))
                    };
                    if let Some(target) = target.filter(|target| !back(target)) {
                        status = target;
                    }
                }
                match status.kind {
                    Kind::File if self.selection.contents => return Ok(Some(Seen::File(status))),
                    Kind::Directory => {
                        return Ok(Some(Seen::Directory { only_overlay: false, status: Some(status) }));
                    }
                    kind => kind,
                }
            }
        };
        Ok(Some(match kind {
            Kind::File => Seen::Plain,
            Kind::Directory => Seen::Directory { only_overlay: false, status: None },
            Kind::Link => match self.files.system().link(&here.job.path.join(name)) {
                Ok(text) => Seen::Link(text),
                Err(error) if is_absence(&error) => return Ok(None),
                Err(error) => return Err(error),
            },
            Kind::Special(what) => Seen::Special(what),
        }))
    }
}

/// A directory that is being looked at.
struct Here<'a> {
    job: &'a Job,
    folder: Option<&'a Folder<'a>>,
    resolved: Option<PathBuf>,
    ignores: Option<Arc<Ignores>>,
    now: SystemTime,
}

impl Here<'_> {
    fn status(&self, name: &OsStr, follow: bool) -> io::Result<Option<Status>> {
        let Some(folder) = self.folder else { return Ok(None) };
        match folder.status(name, follow) {
            Ok(status) => Ok(Some(status)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What was found under a name.
enum Seen {
    Overlaid(Digest),
    /// A file whose content does not count.
    Plain,
    File(Status),
    Link(PathBuf),
    Special(&'static str),
    Directory {
        only_overlay: bool,
        status: Option<Status>,
    },
}
