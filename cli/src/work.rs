//! `.fleche/work` in the project: files of running tasks, and what the last failure of each task wrote.
//! Where that cannot be written, a directory beside it takes its place for as long as tasks run.
//! Nothing in it is needed to answer anything; it can be removed at any time while nothing runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fleche_store::Digest;
use rustix::fs::{FlockOperation, flock};

use crate::interrupt::Interrupt;
use crate::process::Capture;

/// Instead of `.fleche/work` where that cannot be written. No walk enters it.
pub const BESIDE: &str = ".fleche-work";

/// The directory.
#[derive(Clone, Debug)]
pub struct Work {
    root: PathBuf,
}

/// Keeps other processes from running tasks of the same project.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
    beside: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.beside);
    }
}

impl Work {
    /// Of the project at `root`; nothing is made yet.
    pub fn new(root: &Path) -> Work {
        Work { root: root.to_owned() }
    }

    fn directory(&self) -> PathBuf {
        let own = self.root.join(".fleche/work");
        // In the project too, so that outputs can be moved into place.
        let beside = self.root.join(BESIDE);
        if beside.exists() { beside } else { own }
    }

    fn make(&self) -> io::Result<()> {
        let directory = self.directory();
        if directory.ends_with(BESIDE) {
            return Ok(());
        }
        let made = fs::create_dir_all(directory.join("run"));
        let refused = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
        };
        let writable = || rustix::fs::access(directory.join("run"), rustix::fs::Access::WRITE_OK).is_ok();
        match made {
            Ok(()) if writable() => {}
            Err(error) if !refused(&error) => return Err(error),
            _ => return fs::create_dir_all(self.root.join(BESIDE)),
        }
        let ignore = self.root.join(".fleche/.gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        Ok(())
    }

    /// The right to run tasks here; `waiting` is called if another process has it. It is a lock on the project's directory itself:
    /// it leaves no file behind, survives an editor that replaces the manifest, and ends with the process however that ends.
    ///
    /// `None` if it was interrupted while it waited.
    pub fn lock(&self, interrupt: &Interrupt, waiting: impl FnOnce()) -> io::Result<Option<Lock>> {
        let directory = File::open(&self.root)?;
        let mut waiting = Some(waiting);
        // A blocking flock(2) would not notice an interruption.
        while let Err(error) = flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            match error {
                rustix::io::Errno::WOULDBLOCK => {
                    if let Some(waiting) = waiting.take() {
                        waiting();
                    }
                    if interrupt.is_set() {
                        return Ok(None);
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                rustix::io::Errno::INTR => {}
                error => return Err(error.into()),
            }
        }
        // Left by a process that was killed.
        let beside = self.root.join(BESIDE);
        let _ = fs::remove_dir_all(&beside);
        let _ = fs::remove_dir_all(self.directory().join("run"));
        Ok(Some(Lock { _directory: directory, beside }))
    }

    /// A directory in which outputs can be prepared or kept aside.
    pub fn staging(&self) -> io::Result<PathBuf> {
        self.make()?;
        let path = self.directory().join("run");
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// A directory for the files of one running task.
    pub fn scratch(&self) -> io::Result<Scratch> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.staging()?.join(number.to_string());
        fs::create_dir_all(&path)?;
        Ok(Scratch { path })
    }

    /// Writes a file, making the directories above it.
    pub fn write(&self, path: &Path, text: &str) -> io::Result<()> {
        self.make()?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)
    }

    fn failure_directory(&self, task: &str) -> PathBuf {
        self.directory().join("failed").join(Digest::of(task.as_bytes()).to_string())
    }

    /// Keeps what a failing task wrote.
    pub fn keep_failure(&self, task: &str, scratch: &Scratch, how: &str) {
        self.forget_failure(task);
        let directory = self.failure_directory(task);
        let kept = directory
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::rename(scratch.path(), &directory))
            .and_then(|()| fs::write(directory.join("how"), how));
        // The failure itself is reported whatever becomes of its log.
        if let Err(error) = kept {
            tracing::warn!(task, %error, "what the task wrote could not be kept");
        }
    }

    /// Forgets the last failure, since it succeeded.
    pub fn forget_failure(&self, task: &str) {
        let _ = fs::remove_dir_all(self.failure_directory(task));
    }

    /// The streams of the last failure, unless it has succeeded since, and how it ended.
    pub fn failure(&self, task: &str) -> Option<(Capture, String)> {
        let directory = self.failure_directory(task);
        let how = fs::read_to_string(directory.join("how")).ok()?;
        Some((Capture::in_directory(&directory), how))
    }
}

/// A directory that is removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
