//! Watching: what changes below some directories is marked at once, and a callback is told of it in batches.
//!
//! A watcher spares looks and never answers anything itself: what it does not cover, or lost sight of, is looked at as
//! without one. Where it covers an input, a top-level call looks at it again only after a change was reported.

mod changes;
#[cfg(target_os = "linux")]
mod linux;
mod polling;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

pub use self::changes::Changes;
use self::changes::Pending;
use self::polling::Polling;
use crate::cancel::cancellable;
use crate::error::Result;
use crate::{marks, scope};

/// The name of a cache's directory, in which nothing is watched.
const IGNORED: &str = ".fleche";

/// Watches directories with all below them, and calls `callback` with what changed, on a thread of its own.
///
/// From then on a top-level call on any thread looks only at those of its inputs that a change was reported for, or
/// that the watcher does not cover. The cache in scope here is in scope in the callback, so that it can make calls.
/// Changes that come while it runs are gathered for its next turn. The watch ends when the [`Watcher`] is dropped.
///
/// A root need not exist yet. Directories named `.fleche` are left out. [`Watch`] has what can be chosen.
///
/// ```
/// use std::path::{Path, PathBuf};
/// use std::sync::mpsc;
///
/// #[fleche::fleche]
/// fn length(path: &Path) -> std::io::Result<u64> {
///     Ok(fleche::fs::read(path)?.len() as u64)
/// }
///
/// # fn main() -> fleche::Result<()> {
/// let _scope = fleche::cache("memory")?;
/// let dir = tempfile::tempdir()?;
/// let file: PathBuf = dir.path().join("a");
/// std::fs::write(&file, "one")?;
/// assert_eq!(length(&file)?, 3);
///
/// let (send, lengths) = mpsc::channel();
/// let watched = file.clone();
/// let watcher = fleche::watch([dir.path()], move |changes| {
///     if changes.concern(&watched) {
///         let _ = send.send(length(&watched).unwrap());
///     }
/// })?;
/// std::fs::write(&file, "three")?;
/// assert_eq!(lengths.recv().unwrap(), 5);
/// drop(watcher);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// If a relative root cannot be resolved, or a thread cannot be started. Directories that the system cannot watch are
/// polled, with a warning.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn watch<P: AsRef<Path>>(
    roots: impl IntoIterator<Item = P>,
    callback: impl FnMut(&Changes) + Send + 'static,
) -> Result<Watcher> {
    Watch::new(roots).start(callback)
}

type Skip = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

/// What the parts of a watcher need to know.
#[derive(Clone)]
struct Settings {
    /// Real paths, none below another.
    roots: Vec<PathBuf>,
    quiet: Duration,
    longest: Duration,
    poll_every: Duration,
    most_watches: usize,
    most_pending: usize,
    prompt: bool,
    cancel: bool,
    skip: Option<Skip>,
}

impl Settings {
    fn skips(&self, path: &Path) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(path))
    }

    /// Whether the callback and the marks are concerned with the path.
    fn is_inside(&self, path: &Path) -> bool {
        let in_root = |root: &PathBuf| {
            root.starts_with(path)
                || path.strip_prefix(root).is_ok_and(|below| below.iter().all(|name| name != IGNORED))
        };
        self.roots.iter().any(in_root) && !self.skips(path)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Settings").field("roots", &self.roots).finish_non_exhaustive()
    }
}

/// A watch that is being described; [`watch`] is its short form.
///
/// ```
/// # fn main() -> fleche::Result<()> {
/// # let _scope = fleche::cache("memory")?;
/// # let dir = tempfile::tempdir()?;
/// let watcher = fleche::Watch::new([dir.path()])
///     .skip(|path| path.ends_with("target"))
///     .quiet(std::time::Duration::from_millis(20))
///     .start(|changes| println!("{changes:?}"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is watched before `start`"]
pub struct Watch(Settings);

impl Watch {
    /// Of these directories with all below them.
    pub fn new<P: AsRef<Path>>(roots: impl IntoIterator<Item = P>) -> Self {
        Self(Settings {
            roots: roots.into_iter().map(|root| root.as_ref().to_path_buf()).collect(),
            quiet: Duration::from_millis(10),
            longest: Duration::from_millis(200),
            poll_every: Duration::from_millis(500),
            most_watches: usize::MAX,
            most_pending: 100_000,
            prompt: true,
            cancel: false,
            skip: None,
        })
    }

    /// How long nothing must have happened before the callback is called (10 ms): an editor saves in several steps.
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.0.quiet = quiet;
        self
    }

    /// How long changes that do not end are gathered (200 ms).
    pub fn longest(mut self, longest: Duration) -> Self {
        self.0.longest = longest;
        self
    }

    /// Leaves out directories, with all below them, and files. Of files the callback is not told; inputs in those
    /// directories are looked at by each top-level call, as without a watcher.
    ///
    /// `skip` is called on any thread and must make no cached calls.
    pub fn skip(mut self, skip: impl Fn(&Path) -> bool + Send + Sync + 'static) -> Self {
        self.0.skip = Some(Arc::new(skip));
        self
    }

    /// Whether a top-level call first asks the system what has happened up to now, at the cost of one system call
    /// (yes). Otherwise it knows of a change when the watcher's thread has been told, usually within a
    /// millisecond; [`Watcher::catch_up`] asks once. Only Linux can be asked.
    pub fn prompt(mut self, prompt: bool) -> Self {
        self.0.prompt = prompt;
        self
    }

    /// Whether a change cancels the callback's running calls that depend on it (no). The callback is then called again,
    /// with what it had been told and what has changed since; see [`crate::cancellable`], which this is. Then the callback must
    /// leave nothing half done that it does not do anew, and must write nothing that its calls read.
    pub fn cancel(mut self, cancel: bool) -> Self {
        self.0.cancel = cancel;
        self
    }

    /// How often directories are looked through that the system cannot watch (500 ms).
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.0.poll_every = every;
        self
    }

    /// How many directories are watched at most; what is left is polled. Without it, as many as the system allows.
    pub fn most_watches(mut self, directories: usize) -> Self {
        self.0.most_watches = directories;
        self
    }

    /// How many changed paths are kept by name for the callback (100,000); see [`Changes::is_everything`].
    pub fn most_pending(mut self, paths: usize) -> Self {
        self.0.most_pending = paths;
        self
    }

    /// Begins to watch; see [`watch`].
    ///
    /// # Errors
    ///
    /// Those of [`watch`].
    ///
    /// # Panics
    ///
    /// As [`watch`] does.
    pub fn start(self, mut callback: impl FnMut(&Changes) + Send + 'static) -> Result<Watcher> {
        let cache = scope::current_cache();
        let mut settings = self.0;
        settings.roots = real_roots(&settings.roots)?;
        let pending = Arc::new(Pending::new(settings.most_pending));
        let eyes = open(&settings, &pending)?;
        let (quiet, longest, cancels) = (settings.quiet, settings.longest, settings.cancel);
        let told = pending.clone();
        let caller = std::thread::Builder::new().name("fleche watch".into()).spawn(move || {
            let Ok(_scope) = scope::cache(cache) else { return };
            while let Some(changes) = told.wait(quiet, longest) {
                if !cancels {
                    callback(&changes);
                } else if cancellable(|| callback(&changes)).is_err() {
                    told.put_back(changes);
                }
            }
        })?;
        Ok(Watcher { settings, pending, eyes, caller: Some(caller) })
    }
}

/// The roots as they are spelled without links, each only once.
fn real_roots(roots: &[PathBuf]) -> io::Result<Vec<PathBuf>> {
    let mut real = roots.iter().map(|root| real_path(root)).collect::<io::Result<Vec<_>>>()?;
    real.sort();
    real.dedup();
    let all = real.clone();
    real.retain(|root| !all.iter().any(|other| other != root && root.starts_with(other)));
    Ok(real)
}

/// Without links as far as it exists.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let found = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    Ok(match found {
        Some((above, real)) => match path.strip_prefix(above) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            _ => real,
        },
        None => path,
    })
}

/// How changes are seen.
enum Eyes {
    #[cfg(target_os = "linux")]
    Inotify(Arc<linux::Eyes>, Option<JoinHandle<()>>),
    #[cfg(not(target_os = "linux"))]
    System(notify::RecommendedWatcher),
    Polling(Mutex<Polling>),
}

#[cfg(target_os = "linux")]
fn open(settings: &Settings, pending: &Arc<Pending>) -> Result<Eyes> {
    let polling = Polling::new(settings.clone(), pending.clone());
    let eyes = match linux::Eyes::new(settings.clone(), pending.clone(), polling) {
        Ok(eyes) => Arc::new(eyes),
        Err(error) => {
            tracing::warn!(
                %error,
                "the system gives no inotify queue: changes are polled and noticed later; \
                 `sysctl fs.inotify.max_user_instances=1024` raises the limit"
            );
            return Ok(poll_all(settings, pending));
        }
    };
    // Trusted before it is opened, so that what it marks then is not lost.
    marks::add(eyes.clone(), settings.prompt);
    eyes.open();
    let follower = eyes.clone();
    let thread = std::thread::Builder::new().name("fleche inotify".into()).spawn(move || follower.follow());
    match thread {
        Ok(thread) => Ok(Eyes::Inotify(eyes, Some(thread))),
        Err(error) => {
            distrust(&eyes, settings);
            Err(error.into())
        }
    }
}

#[cfg(target_os = "linux")]
fn distrust(eyes: &Arc<linux::Eyes>, settings: &Settings) {
    let source: Arc<dyn marks::Source> = eyes.clone();
    marks::remove(&source, settings.prompt);
    marks::mark(settings.roots.iter().map(PathBuf::as_path));
}

#[cfg(not(target_os = "linux"))]
fn open(settings: &Settings, pending: &Arc<Pending>) -> Result<Eyes> {
    use notify::{RecursiveMode, Watcher as _};
    let tell = polling::passing_on(settings.clone(), pending.clone());
    let watched = notify::recommended_watcher(tell).and_then(|mut watcher| {
        for root in &settings.roots {
            watcher.watch(existing(root), RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    });
    Ok(match watched {
        Ok(watcher) => Eyes::System(watcher),
        Err(error) => {
            tracing::warn!(%error, "the system cannot watch this: changes are polled and noticed later");
            poll_all(settings, pending)
        }
    })
}

fn poll_all(settings: &Settings, pending: &Arc<Pending>) -> Eyes {
    let mut polling = Polling::new(settings.clone(), pending.clone());
    settings.roots.iter().for_each(|root| polling.begin(existing(root)));
    Eyes::Polling(Mutex::new(polling))
}

/// The path, or the nearest directory above it that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|above| above.exists()).unwrap_or(path)
}

/// A watch that is under way. Dropping it ends the watch, after a callback that is running has returned.
#[must_use = "the watch ends when this is dropped"]
pub struct Watcher {
    settings: Settings,
    pending: Arc<Pending>,
    eyes: Eyes,
    caller: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Takes in all that was changed before, by anybody: top-level calls after it know. It needs calling only with
    /// [`Watch::prompt`] off. It does not wait for the callback.
    pub fn catch_up(&self) {
        #[cfg(target_os = "linux")]
        if let Eyes::Inotify(eyes, _) = &self.eyes {
            marks::Source::drain(&**eyes);
        }
    }

    /// The directories that are polled because the system cannot watch them.
    pub fn polled(&self) -> Vec<PathBuf> {
        match &self.eyes {
            #[cfg(target_os = "linux")]
            Eyes::Inotify(eyes, _) => eyes.polled(),
            #[cfg(not(target_os = "linux"))]
            Eyes::System(_) => Vec::new(),
            Eyes::Polling(polling) => polling.lock().places(),
        }
    }

    /// How many directories the system watches for it, where that is known.
    pub fn watched_directories(&self) -> usize {
        match &self.eyes {
            #[cfg(target_os = "linux")]
            Eyes::Inotify(eyes, _) => eyes.len(),
            _ => 0,
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Watcher").field("roots", &self.settings.roots).finish_non_exhaustive()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        if let Eyes::Inotify(eyes, thread) = &mut self.eyes {
            distrust(eyes, &self.settings);
            eyes.close();
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
        self.pending.stop();
        if let Some(caller) = self.caller.take()
            // Dropped by the callback itself, it cannot wait for it.
            && caller.thread().id() != std::thread::current().id()
        {
            let _ = caller.join();
        }
    }
}
