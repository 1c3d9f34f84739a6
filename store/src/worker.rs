//! The worker: makes tables of full tails and merges tables, on a thread of its own, so that puts never wait for it.
//!
//! It starts with the first job and ends with the store. A fork leaves it behind; the child starts its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use crate::bytes::process_id;

/// Whatever does the work: the store that owns the worker.
pub(crate) trait Work: Send + Sync + 'static {
    /// Does everything that is due. Called on the worker's thread.
    fn work(&self);
}

/// The handle that jobs are announced through.
#[derive(Default)]
pub(crate) struct Worker {
    state: Mutex<State>,
    idle: Arc<Idle>,
}

#[derive(Default)]
struct State {
    pid: u32,
    bell: Option<Sender<()>>,
}

#[derive(Default)]
struct Idle {
    pending: Mutex<u64>,
    changed: Condvar,
}

impl Worker {
    /// Says that there is work.
    pub(crate) fn ring<W: Work>(&self, owner: &Weak<W>) {
        #[cfg(test)]
        if crate::sync::is_scheduled() {
            // The test has a thread of its own for this.
            return;
        }
        let mut state = self.state.lock();
        let pid = process_id();
        if state.pid != pid || state.bell.is_none() {
            let (bell, jobs) = channel();
            let (owner, idle) = (owner.clone(), self.idle.clone());
            *idle.pending.lock() = 0;
            let thread = std::thread::Builder::new().name("fleche-store".into());
            if thread.spawn(move || run(&jobs, &owner, &idle)).is_err() {
                return;
            }
            (state.pid, state.bell) = (pid, Some(bell));
        }
        *self.idle.pending.lock() += 1;
        if let Some(bell) = &state.bell {
            let _ = bell.send(());
        }
    }

    /// Waits until everything announced so far is done.
    pub(crate) fn wait(&self) {
        if self.state.lock().pid != process_id() {
            return;
        }
        let mut pending = self.idle.pending.lock();
        while *pending > 0 {
            self.idle.changed.wait(&mut pending);
        }
    }
}

fn run<W: Work>(jobs: &Receiver<()>, owner: &Weak<W>, idle: &Idle) {
    while jobs.recv().is_ok() {
        // Many rings are one job.
        let done = 1 + jobs.try_iter().count() as u64;
        let owner = owner.upgrade();
        if let Some(owner) = &owner {
            owner.work();
        }
        let mut pending = idle.pending.lock();
        *pending = pending.saturating_sub(done);
        idle.changed.notify_all();
        drop(pending);
        if owner.is_none() {
            return;
        }
    }
}
