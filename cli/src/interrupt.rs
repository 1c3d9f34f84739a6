//! One flag for Ctrl-C that whoever waits for a file descriptor can wait for too.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};

/// Whether the person wants an end. Clones share the flag; once set it stays.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    set: AtomicBool,
    /// Becomes readable when the flag is set, and stays so, since nobody reads it.
    readable: OwnedFd,
    write: OwnedFd,
}

impl Interrupt {
    /// A flag that is not set.
    pub fn new() -> std::io::Result<Interrupt> {
        let (readable, write) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Interrupt(Arc::new(Inner { set: AtomicBool::new(false), readable, write })))
    }

    /// Sets it.
    pub fn set(&self) {
        if !self.0.set.swap(true, Ordering::SeqCst) {
            // The pipe is empty until here, so that one byte always has room.
            let _ = rustix::io::write(&self.0.write, b"!");
        }
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::SeqCst)
    }

    /// Readable from the moment it is set.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.0.readable.as_fd()
    }
}
