//! Flights: the same call asked for on several threads at once is evaluated by one; the others wait.
//!
//! Waiting must never deadlock: before a thread blocks it follows who waits for whom, and if that leads back to
//! itself it goes on alone. Two evaluations of one call are harmless; a hang is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleche_store::CallId;
use foldhash::{HashMap, HashMapExt};
use parking_lot::{Condvar, Mutex};

/// One thread of control, as the table of flights knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pilot(u64);

thread_local! {
    static PILOT: Pilot = {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Pilot(NEXT.fetch_add(1, Ordering::Relaxed))
    };
}

#[derive(Debug, Default)]
struct Table {
    owners: HashMap<CallId, Pilot>,
    waiting: HashMap<Pilot, CallId>,
}

/// The calls of one cache that are being evaluated now.
#[derive(Debug)]
pub(crate) struct Flights {
    table: Mutex<Table>,
    landed: Condvar,
}

/// What asking for a call's evaluation comes to.
pub(crate) enum Claim {
    /// It is ours; others wait until the guard is dropped.
    Mine(Flight),
    /// Somebody else evaluated it while we waited: look again.
    Landed,
    /// Waiting would close a circle: evaluate apart.
    Apart,
}

/// An evaluation that others may be waiting for.
#[derive(Debug)]
pub(crate) struct Flight {
    flights: Arc<Flights>,
    call: CallId,
}

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            table: Mutex::new(Table { owners: HashMap::new(), waiting: HashMap::new() }),
            landed: Condvar::new(),
        }
    }

    pub(crate) fn claim(self: &Arc<Self>, call: CallId) -> Claim {
        let me = PILOT.with(|pilot| *pilot);
        let mut table = self.table.lock();
        let Some(owner) = table.owners.get(&call).copied() else {
            table.owners.insert(call, me);
            return Claim::Mine(Flight { flights: self.clone(), call });
        };
        // Each thread waits for at most one call and each call has one owner, so this is a walk, not a search.
        let mut at = owner;
        loop {
            if at == me {
                return Claim::Apart;
            }
            match table.waiting.get(&at).and_then(|call| table.owners.get(call)) {
                Some(next) => at = *next,
                None => break,
            }
        }
        table.waiting.insert(me, call);
        while table.owners.get(&call) == Some(&owner) {
            self.landed.wait(&mut table);
        }
        table.waiting.remove(&me);
        Claim::Landed
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.table.lock().owners.remove(&self.call);
        self.flights.landed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use fleche_store::ValueDigest;

    use super::*;

    fn call(name: &str) -> CallId {
        CallId::of(name, "p", "m", std::iter::empty::<ValueDigest>())
    }

    #[test]
    fn a_second_thread_waits_for_the_first() {
        let flights = Arc::new(Flights::new());
        let Claim::Mine(flight) = flights.claim(call("a")) else { panic!("free") };
        let waiter = {
            let flights = flights.clone();
            std::thread::spawn(move || matches!(flights.claim(call("a")), Claim::Landed))
        };
        while flights.table.lock().waiting.is_empty() {
            std::thread::yield_now();
        }
        drop(flight);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn a_circle_of_waiters_is_refused() {
        let flights = Arc::new(Flights::new());
        let both = Arc::new(Barrier::new(2));
        let threads: Vec<_> = [("a", "b"), ("b", "a")]
            .into_iter()
            .map(|(own, other)| {
                let (flights, both) = (flights.clone(), both.clone());
                std::thread::spawn(move || {
                    let Claim::Mine(_flight) = flights.claim(call(own)) else { panic!("free") };
                    both.wait();
                    matches!(flights.claim(call(other)), Claim::Apart)
                })
            })
            .collect();
        let apart: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(apart.contains(&true), "one of the two must not wait");
    }
}
