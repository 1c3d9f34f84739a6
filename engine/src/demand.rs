//! Demand: is there a record of this call whose trace holds in this revision?
//!
//! Traces are checked in the order in which they were recorded, and no further than the first mismatch: every
//! dependency before it held, so today's run would have come to this one too. A stale nested call is brought up
//! to date first, under today's code; if its result is what it was, its callers stay valid (early cutoff).
//! Whatever goes wrong here is a mismatch, never an error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fleche_store::{CallId, CallKey, Dependency, Digest, Edge, Identity, Record};

use crate::events::{Event, Fate};
use crate::flight::{self, Claim, Flight};
use crate::frame::{Frame, Purpose};
use crate::input::Input;
use crate::memo::Memo;
use crate::registry::{self, Definition};
use crate::restore::{self, Arguments};
use crate::thread::{self, Active, Activity, Place};

/// How far to go for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Bring stale nested calls up to date.
    Run,
    /// Run nothing; a stale nested call is a mismatch.
    Look,
}

/// The answer.
pub(crate) enum Demand {
    /// There is one.
    Holds(Arc<Memo>),
    /// There is none; others who ask for the call wait until the flight is dropped.
    Stale(Option<Flight>),
}

/// Room that a call needs on the stack before the engine moves on to a fresh piece of it.
const RED_ZONE: usize = 128 * 1024;
const STACK_PIECE: usize = 2 * 1024 * 1024;

/// Runs `f` with room for another level of calls, however deep the stack is already.
pub(crate) fn with_stack<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(RED_ZONE, STACK_PIECE, f)
}

/// Answers for `call` under `key`, at `place`.
pub(crate) fn demand(place: &Place, call: CallId, key: CallKey, effort: Effort) -> Demand {
    loop {
        if let Some(memo) = verified(place, call, key) {
            return Demand::Holds(memo);
        }
        let flight = match claim_once(place, call) {
            Claim::Mine(flight) => Some(flight),
            Claim::Landed => continue,
            Claim::Apart => None,
        };
        return match with_stack(|| verify(place, call, key, effort)) {
            Some(memo) => Demand::Holds(memo),
            None => Demand::Stale(flight),
        };
    }
}

/// Claims a call that is to run whatever its records say.
pub(crate) fn claim(place: &Place, call: CallId) -> Option<Flight> {
    loop {
        match claim_once(place, call) {
            Claim::Mine(flight) => return Some(flight),
            Claim::Landed => {}
            Claim::Apart => return None,
        }
    }
}

fn claim_once(place: &Place, call: CallId) -> Claim {
    let pilot = thread::with(|thread| thread.pilot.clone());
    flight::claim(&pilot, place.cache.number(), call)
}

fn verified(place: &Place, call: CallId, key: CallKey) -> Option<Arc<Memo>> {
    let memo = place.cache.memos().get(&call)?;
    (memo.record.key == key && memo.holds_in(place.revision.stamp())).then_some(memo)
}

fn verify(place: &Place, call: CallId, key: CallKey, effort: Effort) -> Option<Arc<Memo>> {
    let _active = Active::enter(call, Activity::Verifying);
    let stamp = place.revision.stamp();
    let known = place.cache.memos().get(&call).filter(|memo| memo.record.key == key);
    if let Some(memo) = &known
        && let Some(cut) = holds(place, &memo.record.trace, effort)
    {
        memo.set_verified(stamp);
        report(place, call, &memo.record, cut);
        return known;
    }
    let records = place.cache.ask(|store| store.records(&key)).unwrap_or_default();
    for record in records {
        if known.as_ref().is_some_and(|memo| memo.record.trace == record.trace) {
            continue;
        }
        if let Some(cut) = holds(place, &record.trace, effort) {
            let memo = Arc::new(Memo::new(record));
            memo.set_verified(stamp);
            report(place, call, &memo.record, cut);
            place.cache.memos().insert(call, memo.clone());
            return Some(memo);
        }
    }
    None
}

fn report(place: &Place, call: CallId, record: &Record, cut: bool) {
    let fate = if cut { Fate::CutOff } else { Fate::Hit };
    place.cache.events().report(fate, || event(call, &record.identity, fate));
}

/// An event of a recorded call.
pub(crate) fn event(call: CallId, identity: &Identity, fate: Fate) -> Event {
    let arguments: Vec<String> = identity
        .arguments
        .iter()
        .map(|argument| {
            argument.encoded.as_deref().map_or_else(|| argument.digest.digest().short(), restore::show)
        })
        .collect();
    Event { call, function: identity.function.as_str().into(), arguments: arguments.join(", "), fate }
}

/// Whether every dependency has the digest that the trace observed; `Some(true)` if a nested call was recomputed
/// for that in this revision.
fn holds(place: &Place, trace: &[Edge], effort: Effort) -> Option<bool> {
    let mut cut = false;
    for edge in trace {
        let now = match &edge.dependency {
            Dependency::Input { kind, name } => {
                place.revision.observe(&Input::from_dependency(*kind, name)?, place.cache.files())?
            }
            Dependency::Call(call) => {
                let memo = up_to_date(place, *call, effort)?;
                cut |= memo.ran_in(place.revision.stamp());
                memo.record.result.digest.digest()
            }
        };
        if now != edge.observed {
            return None;
        }
    }
    Some(cut)
}

/// The nested call's memo, valid in this revision; it is run if it must be.
fn up_to_date(place: &Place, call: CallId, effort: Effort) -> Option<Arc<Memo>> {
    // A circle through a stale trace says nothing about today's program.
    if thread::with(|thread| thread.activity(&call).is_some()) {
        return None;
    }
    let known = place.cache.memos().get(&call);
    let record = match &known {
        Some(memo) if memo.holds_in(place.revision.stamp()) => return known,
        Some(memo) => memo.record.clone(),
        None => place.cache.ask(|store| store.newest(&call))??,
    };
    let definition = registry::find(&record.identity)?;
    let key = definition.key(call, (definition.fingerprint?)());
    match demand(place, call, key, effort) {
        Demand::Holds(memo) => Some(memo),
        Demand::Stale(flight) => {
            drop(flight);
            if effort == Effort::Look {
                return None;
            }
            recall(place, definition, &record.identity)?;
            verified(place, call, key)
        }
    }
}

/// Calls a function with arguments that come back from the store, apart from the bodies that are running.
fn recall(place: &Place, definition: &Definition, identity: &Identity) -> Option<()> {
    let call = definition.recall?;
    let mut kept = Vec::with_capacity(identity.arguments.len());
    for argument in &identity.arguments {
        kept.push(match &argument.encoded {
            Some(bytes) => bytes.clone(),
            None => place.cache.ask(|store| store.value(&argument.digest, crate::call::ARGUMENT))??.to_vec(),
        });
    }
    let frame = Frame::new(Purpose::Verify, place.cache.clone(), place.revision.clone());
    apart(frame, || catch_unwind(AssertUnwindSafe(|| call(&mut Arguments::new(&kept)))).ok().flatten())
}

/// Runs `f` under a frame of its own in the frame's cache, whatever the thread is doing.
fn apart<T>(frame: Frame, f: impl FnOnce() -> T) -> T {
    let cache = frame.cache.clone();
    let (before, depth, rerun) = thread::with(|thread| {
        thread.frames.push(frame);
        (thread.cache.replace(cache), thread.frames.len(), thread.rerun.take())
    });
    let result = f();
    let _outside_the_borrow = thread::with(|thread| {
        debug_assert_eq!(thread.frames.len(), depth, "frames are popped where they were pushed");
        thread.rerun = rerun;
        (thread.frames.pop(), std::mem::replace(&mut thread.cache, before))
    });
    result
}

/// The digest that an edge to a call observes.
pub(crate) fn observed(memo: &Memo) -> Digest {
    memo.record.result.digest.digest()
}
