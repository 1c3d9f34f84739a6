//! Threads that sweep one graph while another sets an input, in every order that a scheduler comes upon: nobody leaves a
//! mark behind, what holds is found to hold, and no picture has two values of one input.
//!
//! Only the graph's locks and those of named inputs are the scheduler's; a thread's own state is not, so these threads
//! go through the graph and not through whole calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleche_store::{CallId, CallKey, Digest, Stored, TypeFingerprint, ValueDigest};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

use super::{Obstacle, Sweep};
use crate::cache::Cache;
use crate::flight::Pilot;
use crate::graph::{Link, Memo, NodeId, To, look, settle};
use crate::input::{self, InputId};
use crate::named;
use crate::revision::Revision;
use crate::thread::Place;

const ORDERS: usize = 500;

fn try_orders(run: fn()) {
    // A setter tells all caches of the process, and those of another execution have locks of another scheduler.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    Runner::new(RandomScheduler::new(ORDERS), config.clone()).run(run);
    Runner::new(PctScheduler::new(3, ORDERS), config).run(run);
}

fn begin(cache: &Cache) -> Place {
    Place { cache: cache.clone(), graph: cache.graph(), revision: Arc::new(Revision::new()), top: true }
}

/// Enters a call whose result is the digest of its name.
fn enter(place: &Place, name: &str, links: &[Link]) -> NodeId {
    let node = place.graph.node(CallId::of(name, "p", "m", std::iter::empty::<ValueDigest>()));
    let digest = Digest::of(name.as_bytes());
    let result = Stored { digest: ValueDigest::new(digest), fingerprint: TypeFingerprint(1) };
    let memo =
        Memo { key: CallKey::new(digest), result, links: Arc::from(links), value: None, definition: None };
    place.graph.install(node, memo, false, &place.revision);
    node
}

fn on(node: NodeId, name: &str) -> Link {
    Link { to: To::Node(node), observed: Digest::of(name.as_bytes()) }
}

/// Whether the call holds, as a call would find out that must not be run.
fn holds(place: &Place, node: NodeId, pilot: &Pilot) -> bool {
    assert!(!place.graph.is_swept_by(node, pilot.upwards()), "somebody left the mark of this thread");
    // As the engine does: another thread's picture may have been looked at since, which only means to look again.
    for _ in 0..8 {
        if !swept(place, node, pilot) {
            return false;
        }
        if place.graph.peek(node, None, &place.revision).is_ok_and(|hit| hit.is_some()) {
            return true;
        }
    }
    false
}

fn swept(place: &Place, node: NodeId, pilot: &Pilot) -> bool {
    let mut sweep = Sweep::new(&place.graph, node, pilot, true).expect("it is known");
    loop {
        match sweep.go(&place.revision) {
            Ok(None) => return true,
            Ok(Some(Obstacle::Look(input))) if look(place, input).is_some() => {}
            _ => return false,
        }
    }
}

/// A chain of two calls above an absent file, which each revision has to look at.
fn two_threads() {
    let cache = Cache::memory();
    let place = begin(&cache);
    let file = input::file("/there is no such file".as_ref());
    let link = Link { to: To::Input(file), observed: input::absent() };
    let leaf = enter(&place, "leaf", &[link]);
    let root = enter(&place, "root", &[on(leaf, "leaf")]);
    let threads: Vec<_> = [[root, leaf], [leaf, root]]
        .into_iter()
        .map(|asked| {
            let cache = cache.clone();
            shuttle::thread::spawn(move || {
                let pilot = Pilot::new();
                for node in asked.into_iter().chain(asked) {
                    assert!(holds(&begin(&cache), node, &pilot), "nothing has changed");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn sweeps_on_two_threads_leave_no_mark() {
    try_orders(two_threads);
}

/// How often a reader met the old value and the new one.
static MET: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

/// What `Input::get` gives to a running body that has begun under the picture: which of the values, if that fits.
fn read(place: &Place, input: InputId, values: [Digest; 2]) -> Option<usize> {
    let now = named::digest(input)?;
    let change = named::set_at(input, now)?;
    let whole = change <= place.revision.base() || place.revision.has(input);
    (whole && settle(place, input, now)).then(|| usize::from(now == values[1]))
}

/// A thread sets an input that a call has read, while others ask for the call and then read the input in the same picture.
fn a_setter() {
    let cache = Cache::memory();
    let values = [Digest::of(b"old"), Digest::of(b"new")];
    let id = input::named("interleavings".into());
    named::publish(id, values[0], &[]);
    let place = begin(&cache);
    look(&place, id);
    let leaf = enter(&place, "leaf", &[Link { to: To::Input(id), observed: values[0] }]);
    let root = enter(&place, "root", &[on(leaf, "leaf")]);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let cache = cache.clone();
            shuttle::thread::spawn(move || {
                let pilot = Pilot::new();
                for looks_first in [false, true] {
                    let place = begin(&cache);
                    let before = looks_first.then(|| look(&place, id)).flatten();
                    let held = holds(&place, root, &pilot);
                    let seen = before.or_else(|| look(&place, id));
                    assert!(!held || seen != Some(values[1]), "a call that read the old value held");
                    let Some(at) = read(&place, id, values) else { continue };
                    assert!(!held || at == 0, "a call that read the old value held beside the new one");
                    MET[at].fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let setter = shuttle::thread::spawn(move || named::publish(id, values[1], &[]));
    for thread in readers {
        thread.join().unwrap();
    }
    setter.join().unwrap();
    let place = begin(&cache);
    assert!(!holds(&place, root, &Pilot::new()), "what was set before is known");
    assert_eq!(read(&place, id, values), Some(1));
}

#[test]
fn a_setter_and_readers_see_one_value_in_each_picture() {
    try_orders(a_setter);
    assert!(MET.iter().all(|met| met.load(Ordering::Relaxed) > 0), "each value was met: {MET:?}");
}
