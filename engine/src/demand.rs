//! Demand: is there a record of this call whose trace holds in this revision?
//!
//! Traces are checked in the order in which they were recorded, and no further than the first mismatch: every
//! dependency before it held, so today's run would have come to this one too. A stale nested call is brought up
//! to date first, under today's code; if its result is what it was, its callers stay valid (early cutoff).
//! Whatever goes wrong here is a mismatch, never an error.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleche_store::{CallId, CallKey, Dependency, Identity, Record};

use crate::cache::Cache;
use crate::cancel;
use crate::events::{self, Event, Fate, Progress};
use crate::flat;
use crate::flight::{self, Claim, Flight};
use crate::frame::{Frame, Purpose};
use crate::graph::{self, Diverged, Hit, Link, Memo, NodeId, To};
use crate::input;
use crate::named;
use crate::recorded;
use crate::registry::{self, Definition};
use crate::rerun::{self, Found};
use crate::restore::{self, Arguments};
use crate::revision::Apart;
use crate::sweep::{Obstacle, Sweep};
use crate::thread::{self, Active, Activity, Panicked, Place};

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
    Holds(Hit),
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

/// Answers for a call under `key`, at `place`.
pub(crate) fn demand(place: &Place, node: NodeId, call: CallId, key: CallKey, effort: Effort) -> Demand {
    demand_from(place, node, call, key, effort, None, place.top)
}

/// Like [`demand`], for a call whose newest record may be at hand. `top`: it is the one that was asked for at top level.
fn demand_from(
    place: &Place,
    node: NodeId,
    call: CallId,
    key: CallKey,
    effort: Effort,
    newest: Option<&Arc<Record>>,
    top: bool,
) -> Demand {
    loop {
        if let Some(hit) = verified(place, node, call, Some(key)) {
            return Demand::Holds(hit);
        }
        let flight = match claim_once(place, call) {
            Claim::Mine(flight) => Some(flight),
            Claim::Landed => continue,
            Claim::Apart => None,
        };
        let span = tracing::debug_span!(
            target: "fleche",
            "verify",
            function = tracing::field::Empty,
            call = %call.digest().short()
        );
        let found =
            span.in_scope(|| with_stack(|| verify(place, node, call, key, effort, newest.cloned(), top)));
        return match found {
            Some(hit) => Demand::Holds(hit),
            None => Demand::Stale(flight),
        };
    }
}

/// Why a call was found stale. It looks at nothing that was not looked at for that, so that whether somebody listens
/// changes no revision.
pub(crate) fn stale(place: &Place, call: CallId, key: CallKey) -> Option<Progress> {
    let newest = place.cache.ask(|store| store.newest(&call))??;
    let name = recorded::shown(&newest.identity.function, &recorded::shown_arguments(&newest));
    let told = |because: String| Some(Progress::Stale { call, name, because });
    if rerun::invalidated_at(&newest).is_some() {
        return told("it was invalidated".into());
    }
    if newest.key != key {
        return told("its code is different".into());
    }
    let files = place.cache.files();
    for edge in &newest.trace {
        match &edge.dependency {
            Dependency::Input { kind, name } => {
                let Some(input) = files.input(*kind, name) else { continue };
                let now = if input.is_told() {
                    named::digest_in(input, &place.revision)
                } else if place.revision.has(input) {
                    place.revision.observe(input, files)
                } else {
                    continue;
                };
                if now != Some(edge.observed) {
                    return told(format!("{} is different", input::describe(*kind, name)));
                }
            }
            Dependency::Call(callee) => {
                let of = || match place.cache.ask(|store| store.newest(callee)).flatten() {
                    Some(record) => {
                        recorded::shown(&record.identity.function, &recorded::shown_arguments(&record))
                    }
                    None => format!("call {}", callee.digest().short()),
                };
                match verified(place, place.graph.node(*callee), *callee, None) {
                    Some(hit) if hit.result.digest.digest() == edge.observed => {}
                    Some(_) => return told(format!("the result of {} is different", of())),
                    None => return told(format!("{} could not be brought up to date", of())),
                }
            }
        }
    }
    told("no record holds".into())
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

/// The answer, if it is known to hold in this revision already.
fn verified(place: &Place, node: NodeId, call: CallId, key: Option<CallKey>) -> Option<Hit> {
    if let Ok(hit) = place.graph.peek(node, key, &place.revision) {
        return hit;
    }
    // The graph has moved on; this revision keeps its own account.
    let apart = place.revision.apart(place.cache.number(), call)?;
    key.is_none_or(|key| key == apart.key).then_some(Hit {
        result: apart.result,
        value: None,
        ran: apart.ran,
        known: true,
    })
}

/// Brings the call from the image that an earlier process left, for what the graph knows nothing of. What somebody has
/// overruled since that was read may not come from it: the graph would not know.
fn import<T>(place: &Place, call: CallId, then: impl FnOnce() -> Option<T>) -> Option<T> {
    let image = place.cache.image(place.graph.len())?;
    let at = image.find(call)?;
    if !place.cache.is_current(image) {
        return None;
    }
    place.graph.import(image, at, place.cache.files());
    then()
}

fn verify(
    place: &Place,
    node: NodeId,
    call: CallId,
    key: CallKey,
    effort: Effort,
    mut newest: Option<Arc<Record>>,
    top: bool,
) -> Option<Hit> {
    let mut known = place.graph.memo(node);
    let mut nothing_recorded = false;
    // Whoever has a record at hand has looked into the image before.
    if known.is_none() && newest.is_none() {
        if top {
            newest = place.cache.ask(|store| store.newest(&call)).flatten();
            nothing_recorded = newest.is_none();
            let calls = |record: &Arc<Record>| {
                record.trace.iter().any(|edge| matches!(edge.dependency, Dependency::Call(_)))
            };
            // What calls nothing is answered from its record, without a look at the image.
            if newest.as_ref().is_some_and(calls)
                && let Some(result) = flat::answer(place, call, key)
            {
                report(&place.cache, call, Fate::Hit);
                return Some(Hit { result, value: None, ran: false, known: true });
            }
        }
        known = import(place, call, || place.graph.memo(node));
    }
    let known = known.filter(|memo| memo.key == key);
    if let Some(memo) = &known {
        match swept(place, node, call, key, effort, top) {
            Ok(Some(hit)) => return Some(hit),
            Ok(None) => {}
            // The graph has moved on: the same by other means.
            Err(Diverged) => {
                let _active = Active::enter(call, Activity::Verifying);
                if let Some(cut) = holds(place, &memo.links, effort) {
                    return Some(found(place, call, memo, cut));
                }
            }
        }
    }
    let _active = Active::enter(call, Activity::Verifying);
    // What was recorded last comes first; under another key it says nothing.
    let newest = match newest {
        Some(newest) => newest,
        None if nothing_recorded => return None,
        // A call that nobody recorded under any key has no other record either.
        None => place.cache.ask(|store| store.newest(&call))??,
    };
    if events::is_traced() {
        tracing::Span::current().record("function", newest.identity.function.as_str());
    }
    if newest.key == key
        && let Some(hit) = try_record(place, node, call, &newest, known.as_ref(), effort)
    {
        return Some(hit);
    }
    let records = place.cache.ask(|store| store.records(&key)).unwrap_or_default();
    records
        .iter()
        .filter(|record| record.clock != newest.clock)
        .find_map(|record| try_record(place, node, call, record, known.as_ref(), effort))
}

/// What a forced run says of the call's records. If one of them, under this key, holds now although the run has just
/// depended on something else, the run refutes it, and they are forgotten.
pub(crate) fn judge_rerun(place: &Place, call: CallId, ran: &Record, links: &[Link]) -> Found {
    let records = place.cache.ask(|store| store.records(&ran.key)).unwrap_or_default();
    let found = rerun::judge(&records, ran);
    let refuted = records.iter().find(|record| {
        place
            .graph
            .links(&record.trace, place.cache.files())
            .is_some_and(|other| *other != *links && holds(place, &other, Effort::Look).is_some())
    });
    let Some(refuted) = refuted else { return found };
    place.cache.ask(|store| store.evict_call(&call));
    if refuted.result == ran.result {
        found
    } else {
        Found::Nondeterministic { before: refuted.result.digest }
    }
}

/// Brings a call up to date that nobody asks for now.
pub(crate) fn bring(place: &Place, call: CallId) -> Option<Hit> {
    up_to_date(place, place.graph.node(call), Effort::Run)
}

/// A call that holds by a sweep may be marked before it is looked at: an input that somebody else comes upon marks what
/// once depended on it. So often it is swept again before it counts as stale.
const MOST_SWEEPS: u32 = 8;

/// The answer of a call that the graph knows, if it holds.
fn swept(
    place: &Place,
    node: NodeId,
    call: CallId,
    key: CallKey,
    effort: Effort,
    top: bool,
) -> Result<Option<Hit>, Diverged> {
    for _ in 0..MOST_SWEEPS {
        if !sweep(place, node, effort, top)? {
            break;
        }
        place.graph.settle();
        if let Some(hit) = verified(place, node, call, Some(key)) {
            return Ok(Some(hit));
        }
    }
    Ok(None)
}

/// Verifies a call that the graph knows, with all that is dirty below it.
fn sweep(place: &Place, root: NodeId, effort: Effort, top: bool) -> Result<bool, Diverged> {
    let pilot = thread::with(|thread| thread.pilot.clone());
    let Some(mut sweep) = Sweep::new(&place.graph, root, &pilot, top) else { return Ok(false) };
    loop {
        let went = sweep.go(&place.revision);
        for (call, cut) in sweep.found.drain(..) {
            report(&place.cache, call, if cut { Fate::CutOff } else { Fate::Hit });
        }
        match went {
            Err(Diverged) => break Err(Diverged),
            Ok(None) => break Ok(true),
            Ok(Some(Obstacle::Look(input))) => {
                if graph::look(place, input).is_some() {
                    continue;
                }
            }
            Ok(Some(Obstacle::Stale(node))) if Some(node) != sweep.at() => {
                // Nothing is known of this callee; if the store cannot help, its caller is stale.
                if up_to_date(place, node, effort).is_some() {
                    continue;
                }
            }
            Ok(Some(Obstacle::Stale(_))) => {}
        }
        // The node that the sweep stands at does not hold as it is known. If it cannot be brought up to date
        // either, the same is true of the one above it.
        let mut helped = false;
        while let Some(node) = sweep.at().filter(|node| *node != root) {
            sweep.leave();
            helped = up_to_date(place, node, effort).is_some();
            if helped {
                break;
            }
        }
        // The short way says nothing of what today's program makes of a call that fails.
        if !helped && !sweep.walk() {
            break Ok(false);
        }
    }
}

fn try_record(
    place: &Place,
    node: NodeId,
    call: CallId,
    record: &Record,
    known: Option<&Memo>,
    effort: Effort,
) -> Option<Hit> {
    let links = place.graph.links(&record.trace, place.cache.files())?;
    if known.is_some_and(|memo| memo.links == links) {
        return None;
    }
    let cut = holds(place, &links, effort)?;
    let definition = registry::find(&record.identity);
    let memo = Memo { key: record.key, result: record.result, links, value: None, definition };
    let hit = found(place, call, &memo, cut);
    place.graph.install(node, memo, false, &place.revision);
    Some(hit)
}

/// A trace was found to hold: reports it, and notes it for a revision that the graph has left.
fn found(place: &Place, call: CallId, memo: &Memo, cut: bool) -> Hit {
    if place.graph.diverged(&place.revision) {
        let apart = Apart { key: memo.key, result: memo.result, ran: false };
        place.revision.set_apart(place.cache.number(), call, apart);
    }
    report(&place.cache, call, if cut { Fate::CutOff } else { Fate::Hit });
    Hit { result: memo.result, value: memo.value.clone(), ran: false, known: true }
}

/// Reports that a call was answered from its record.
pub(crate) fn report(cache: &Cache, call: CallId, fate: Fate) {
    cache.events().report(fate, || match cache.ask(|store| store.newest(&call)).flatten() {
        Some(record) => event(call, &record.identity, fate),
        None => Event { call, function: "".into(), arguments: String::new(), fate },
    });
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
fn holds(place: &Place, links: &[Link], effort: Effort) -> Option<bool> {
    let mut cut = false;
    for link in links {
        let now = match link.to {
            To::Input(input) => graph::look(place, input)?,
            To::Node(node) => {
                let hit = up_to_date(place, node, effort)?;
                cut |= hit.ran;
                hit.result.digest.digest()
            }
        };
        if now != link.observed {
            return None;
        }
    }
    Some(cut)
}

/// The nested call's answer in this revision; it is run if it must be.
fn up_to_date(place: &Place, node: NodeId, effort: Effort) -> Option<Hit> {
    let call = place.graph.call(node);
    if let Some(hit) = verified(place, node, call, None) {
        return Some(hit);
    }
    // A circle through a stale trace says nothing about today's program.
    if is_active(place, node, call).is_some() || place.revision.has_failed(place.cache.number(), call) {
        return None;
    }
    let mut record = None;
    let key = place.graph.key(node).or_else(|| import(place, call, || place.graph.key(node)));
    let key = if let Some(key) = key {
        key
    } else {
        let newest = place.cache.ask(|store| store.newest(&call))??;
        let definition = registry::find(&newest.identity)?;
        record = Some(newest);
        definition.key(call, (definition.fingerprint?)())
    };
    match demand_from(place, node, call, key, effort, record.as_ref(), false) {
        Demand::Holds(hit) => Some(hit),
        Demand::Stale(flight) => {
            drop(flight);
            if effort == Effort::Look {
                return None;
            }
            let record = match record {
                Some(record) => record,
                None => place.cache.ask(|store| store.newest(&call))??,
            };
            let definition = registry::find(&record.identity)?;
            let hit = recall(place, call, definition, &record.identity).and_then(|()| {
                // Its body may have come upon an input on which something below once depended: that is marked then,
                // and has only to be verified again.
                match demand_from(place, node, call, key, Effort::Look, None, false) {
                    Demand::Holds(hit) => Some(hit),
                    Demand::Stale(_) => None,
                }
            });
            if hit.is_none() {
                place.revision.set_failed(place.cache.number(), call);
            }
            hit
        }
    }
}

/// What the call is doing on this thread, or on those that wait for this branch.
pub(crate) fn is_active(place: &Place, node: NodeId, call: CallId) -> Option<Activity> {
    thread::with(|thread| {
        thread
            .activity(&call)
            .or_else(|| place.graph.is_swept_by(node, thread.pilot.upwards()).then_some(Activity::Verifying))
    })
}

/// How often a call was asked for, by any thread, that was being verified or run on the way to it.
static CYCLES: AtomicU64 = AtomicU64::new(0);

/// A call is asked for that is being verified or run on the way here.
pub(crate) fn met_cycle() {
    CYCLES.fetch_add(1, Ordering::Relaxed);
}

/// Calls a function with arguments that come back from the store, apart from the bodies that are running.
fn recall(place: &Place, of: CallId, definition: &Definition, identity: &Identity) -> Option<()> {
    let call = definition.recall?;
    let mut kept = Vec::with_capacity(identity.arguments.len());
    for argument in &identity.arguments {
        kept.push(match &argument.encoded {
            Some(bytes) => bytes.clone(),
            None => place.cache.ask(|store| store.value(&argument.digest, crate::call::ARGUMENT))??.to_vec(),
        });
    }
    let frame = Frame::new(Purpose::Verify, place.cache.clone(), place.revision.clone());
    let cycles = CYCLES.load(Ordering::Relaxed);
    thread::with(|thread| thread.failures.take_panicked());
    let called = apart(frame, || catch_unwind(AssertUnwindSafe(|| call(Some(&mut Arguments::new(&kept))))));
    // To be cancelled is no failure of the call.
    cancel::point();
    // Restored arguments are not trusted: what failed is that call only if it says so itself. And where a cycle was met
    // the body that asks for the call now meets another one, or none.
    let whole = cycles == CYCLES.load(Ordering::Relaxed);
    let panicked = thread::with(|thread| thread.failures.take_panicked()) == Some(of);
    let (called, panic) = match called {
        Ok(called) => (called, None),
        Err(panic) => (None, Some(panic)),
    };
    let ours = whole
        && match &panic {
            Some(panic) => panicked && !cancel::is_ours(&**panic),
            None => place.revision.has_failed(place.cache.number(), of),
        };
    let _dropped = thread::with(|thread| {
        let last = panic.map(|panic| thread.failures.put(Box::new(Panicked(panic))));
        (last, thread.failures.file(&place.cache, &place.revision, ours.then_some(of)))
    });
    called
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
