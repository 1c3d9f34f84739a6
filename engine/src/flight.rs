//! Flights: the same call asked for on several threads at once is evaluated by one; the others wait.
//!
//! Waiting must never deadlock: before a thread blocks it works out who cannot go on without it, through calls
//! and through fan-out, and if the one it would wait for is among them it goes on alone. Two evaluations of one
//! call are harmless; a hang is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleche_store::CallId;
use foldhash::{HashMap, HashSet};

use crate::sync::{Condvar, Mutex, global};

/// One thread of control: a thread, or one branch of a fan-out, wherever that runs.
#[derive(Debug, Clone)]
pub(crate) struct Pilot(Arc<Node>);

#[derive(Debug)]
struct Node {
    id: u64,
    /// Who waits for this branch to end.
    parent: Option<Pilot>,
}

impl Pilot {
    /// A thread of control of its own.
    pub(crate) fn new() -> Self {
        Self::below(None)
    }

    /// A branch, for which `self` waits.
    pub(crate) fn branch(&self) -> Self {
        Self::below(Some(self.clone()))
    }

    fn below(parent: Option<Self>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Node { id: NEXT.fetch_add(1, Ordering::Relaxed), parent }))
    }

    /// This one and all that wait for it to end.
    pub(crate) fn upwards(&self) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(self), |pilot| pilot.0.parent.as_ref()).map(|pilot| pilot.0.id)
    }
}

/// A call in one cache.
type Destination = (usize, CallId);

#[derive(Debug, Default)]
struct Table {
    owners: HashMap<Destination, u64>,
    waiting: HashMap<u64, (Pilot, Destination)>,
}

impl Table {
    /// Whether `owner` cannot go on before `me` does.
    fn waits_for(&self, owner: u64, me: &Pilot) -> bool {
        let mut needing: HashSet<u64> = me.upwards().collect();
        loop {
            if needing.contains(&owner) {
                return true;
            }
            let before = needing.len();
            for (pilot, destination) in self.waiting.values() {
                if self.owners.get(destination).is_some_and(|owner| needing.contains(owner)) {
                    needing.extend(pilot.upwards());
                }
            }
            if needing.len() == before {
                return false;
            }
        }
    }
}

/// All calls that are being evaluated in this process: one table for all caches, since a circle of waiters can
/// lead through several.
#[derive(Default)]
struct Flights {
    table: Mutex<Table>,
    landed: Condvar,
}

global! {
    static ref FLIGHTS: Flights = Flights::default();
}

/// What asking for a call's evaluation comes to.
#[derive(Debug)]
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
    destination: Destination,
}

/// Asks to evaluate `call` in the cache of that number; waits if somebody does already.
pub(crate) fn claim(me: &Pilot, cache: usize, call: CallId) -> Claim {
    let destination = (cache, call);
    let mut table = FLIGHTS.table.lock();
    let Some(owner) = table.owners.get(&destination).copied() else {
        table.owners.insert(destination, me.0.id);
        return Claim::Mine(Flight { destination });
    };
    if table.waits_for(owner, me) {
        return Claim::Apart;
    }
    table.waiting.insert(me.0.id, (me.clone(), destination));
    while table.owners.get(&destination) == Some(&owner) {
        FLIGHTS.landed.wait(&mut table);
    }
    table.waiting.remove(&me.0.id);
    Claim::Landed
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut table = FLIGHTS.table.lock();
        table.owners.remove(&self.destination);
        if !table.waiting.is_empty() {
            FLIGHTS.landed.notify_all();
        }
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod interleavings;

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use std::sync::Barrier;

    use fleche_store::ValueDigest;

    use super::*;

    fn call(name: &str) -> CallId {
        CallId::of(name, "p", "m", std::iter::empty::<ValueDigest>())
    }

    #[test]
    fn a_second_thread_waits_for_the_first() {
        let cache = 1;
        let Claim::Mine(flight) = claim(&Pilot::new(), cache, call("a")) else { panic!("free") };
        let waiter =
            std::thread::spawn(move || matches!(claim(&Pilot::new(), cache, call("a")), Claim::Landed));
        while !FLIGHTS.table.lock().waiting.values().any(|(_, (waited, _))| *waited == cache) {
            std::thread::yield_now();
        }
        drop(flight);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn a_circle_of_waiters_is_refused() {
        let both = Arc::new(Barrier::new(2));
        let threads: Vec<_> = [("a", "b"), ("b", "a")]
            .into_iter()
            .map(|(own, other)| {
                let both = both.clone();
                std::thread::spawn(move || {
                    let me = Pilot::new();
                    let Claim::Mine(_flight) = claim(&me, 2, call(own)) else { panic!("free") };
                    both.wait();
                    matches!(claim(&me, 2, call(other)), Claim::Apart)
                })
            })
            .collect();
        let apart: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(apart.contains(&true), "one of the two must not wait");
    }

    #[test]
    fn a_circle_through_two_fan_outs_is_refused() {
        // K runs on p1, which waits for its branch; M runs on p2, which waits for its own. The first branch
        // wants M and the second wants K: neither p1 nor p2 waits for a call, so chains of calls show nothing.
        let both = Arc::new(Barrier::new(2));
        let threads: Vec<_> = [("k", "m"), ("m", "k")]
            .into_iter()
            .map(|(own, other)| {
                let both = both.clone();
                std::thread::spawn(move || {
                    let parent = Pilot::new();
                    let Claim::Mine(_flight) = claim(&parent, 3, call(own)) else { panic!("free") };
                    let branch = parent.branch();
                    both.wait();
                    std::thread::spawn(move || matches!(claim(&branch, 3, call(other)), Claim::Apart))
                        .join()
                        .unwrap()
                })
            })
            .collect();
        let apart: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(apart.contains(&true), "one of the two must not wait");
    }
}
