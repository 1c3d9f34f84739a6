//! What a run leaves behind: its result and record, or the news that neither is kept.
//!
//! A result enters the store only from here, and only after the frame was found untainted by the caller.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use fleche_store::{Argument, Bytes, CallKey, Dependency, Edge, Identity, Record};
use smallvec::SmallVec;

use super::{ARGUMENT, Call, Handed, INLINE, MOST_RESTARTS, Subject};
use crate::cancel;
use crate::demand;
use crate::events::{Event, Fate, Progress};
use crate::frame::{Dep, Seen};
use crate::graph::Memo;
use crate::marks;
use crate::recorded;
use crate::registry::Definition;
use crate::rerun::{Found, Ran};
use crate::restore;
use crate::revision::{Apart, Revision};
use crate::thread::{self, Place};
use crate::value::{Archived, Outcome, View};

/// Reports a run whose result is not kept, and forgets what was known: it does not stand for this run.
pub(super) fn uncached(place: &Place, call: &Call, kept: &[Option<Vec<u8>>], forced: bool) {
    place.revision.set_failed(place.cache.number(), call.id);
    if forced {
        note_rerun(Ran { call: call.id, name: name_of(call, kept), found: Found::NotKept });
    }
    place.cache.events().report(Fate::Uncached, || Event {
        call: call.id,
        function: (*call.function).into(),
        arguments: arguments_of(kept),
        fate: Fate::Uncached,
    });
}

/// Reports a run that was cancelled: no failure, and nothing that is known of the call is different.
pub(super) fn cancelled(place: &Place, call: &Call, kept: &[Option<Vec<u8>>]) {
    place.cache.events().report(Fate::Cancelled, || Event {
        call: call.id,
        function: (*call.function).into(),
        arguments: arguments_of(kept),
        fate: Fate::Cancelled,
    });
}

/// Kept arguments as text for people.
fn arguments_of(kept: &[Option<Vec<u8>>]) -> String {
    let arguments: Vec<String> =
        kept.iter().map(|bytes| bytes.as_deref().map_or_else(|| "…".into(), restore::show)).collect();
    arguments.join(", ")
}

pub(super) fn name_of(call: &Call, kept: &[Option<Vec<u8>>]) -> String {
    recorded::shown(&call.function, &arguments_of(kept))
}

/// Tells the rerun that this thread is in.
fn note_rerun(ran: Ran) {
    thread::with(|thread| {
        if let Some(reruns) = &thread.rerun {
            reruns.lock().note(ran);
        }
    });
}

/// What starting over came to.
pub(super) enum Again<O: Outcome> {
    Kept(View<O::Value>),
    /// Its outcome, kept or not.
    Made(O),
}

/// Calls the function again, from its kept arguments, if inputs changed under a top-level call. Each attempt, and the look
/// at what it made, is of one picture, in which the program's own inputs keep their values.
pub(super) fn start_over<O: Outcome>(
    place: &Place,
    call: &Call,
    key: CallKey,
    definition: Option<&'static Definition>,
    kept: &[Option<Vec<u8>>],
    handed: Handed<O>,
) -> Option<Again<O>> {
    let held = thread::with(|thread| thread.held().is_some());
    if !place.top || held {
        return None;
    }
    let recall = definition?.recall?;
    let arguments = kept.iter().cloned().collect::<Option<Vec<_>>>()?;
    for again in 1..=MOST_RESTARTS {
        marks::catch_up();
        let attempt = Attempt::begin();
        thread::with(|thread| thread.failures.take_panicked());
        let made = catch_unwind(AssertUnwindSafe(|| recall(Some(&mut restore::Arguments::new(&arguments)))));
        let (last, panicked) =
            thread::with(|thread| (thread.failures.take_last(), thread.failures.take_panicked()));
        if attempt.revision.is_broken() && again < MOST_RESTARTS {
            continue;
        }
        match made {
            Ok(made) => made?,
            // Restored arguments are not trusted: it panicked only if it says so itself.
            Err(panic) if panicked == Some(call.id) || cancel::is_ours(&*panic) => resume_unwind(panic),
            Err(_) => return None,
        }
        if let Some(outcome) = last.and_then(handed) {
            return Some(Again::Made(outcome));
        }
        return Subject { call: call.clone(), key, bytes: None }.look::<O::Value>().map(Again::Kept);
    }
    None
}

/// Top-level calls of this thread see one picture, until dropped.
struct Attempt {
    revision: Arc<Revision>,
}

impl Attempt {
    fn begin() -> Self {
        let revision = Arc::new(Revision::pinned());
        thread::with(|thread| thread.attempt = Some(revision.clone()));
        Self { revision }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let _outside_the_borrow = thread::with(|thread| thread.attempt.take());
    }
}

/// Stores a result and its record, answers the caller, and makes the memo.
#[expect(clippy::too_many_arguments, reason = "all that a run leaves behind, each used once")]
pub(super) fn keep(
    place: &Place,
    call: &Call,
    key: CallKey,
    archived: Archived,
    seen: &[Seen],
    kept: SmallVec<[Option<Vec<u8>>; 4]>,
    meta: Vec<(String, String)>,
    definition: Option<&'static Definition>,
    forced: bool,
) -> Bytes {
    let Archived { stored, bytes } = archived;
    let node = place.graph.node(call.id);
    // Only whoever follows the events wants to know; a look into the store is not free.
    let before = if place.cache.events().are_followed() {
        match place.graph.memo(node) {
            Some(memo) => Some(memo.result.digest),
            None => {
                place.cache.ask(|store| store.newest(&call.id)).flatten().map(|record| record.result.digest)
            }
        }
    } else {
        None
    };
    let files = place.cache.files();
    let trace = seen
        .iter()
        .map(|Seen { dep, observed }| {
            let dependency = match dep {
                Dep::Input(input) => files.dependency(*input),
                Dep::Call(call) => Dependency::Call(*call),
            };
            Edge { dependency, observed: *observed }
        })
        .collect();
    let mut kept = kept.into_iter();
    let mut arguments = Vec::with_capacity(call.arguments.len());
    for (name, digest) in &call.arguments {
        let mut encoded = kept.next().flatten();
        if let Some(bytes) = encoded.take_if(|bytes| bytes.len() > INLINE) {
            place.cache.ask(|store| store.put_value(*digest, ARGUMENT, &bytes));
        }
        arguments.push(Argument { name: name.to_string(), digest: *digest, encoded });
    }
    let record = Record {
        identity: Identity {
            function: call.function.to_string(),
            package: call.package.to_string(),
            module: call.module.to_string(),
            arguments,
        },
        key,
        trace,
        result: stored,
        meta,
        created_ms: now_ms(),
        clock: 0,
    };
    let links = place.graph.links_of(seen);
    let found = forced.then(|| demand::judge_rerun(place, call.id, &record, &links));
    if place.cache.ask(|store| store.put_result(&record, &bytes)).is_some() {
        place.cache.events().tell(|| Progress::Stored {
            call: call.id,
            name: recorded::shown(&call.function, &recorded::shown_arguments(&record)),
            bytes: bytes.len(),
        });
    }
    if forced {
        place.cache.count_forced();
    }
    thread::record(Dep::Call(call.id), stored.digest.digest());
    let bytes = Bytes::owned(bytes);
    let memo = Memo { key, result: stored, links, value: Some(bytes.clone()), definition };
    place.graph.install(node, memo, true, &place.revision);
    if place.graph.diverged(&place.revision) {
        place.revision.set_apart(place.cache.number(), call.id, Apart { key, result: stored, ran: true });
    }
    let fate = Fate::Ran { changed: before != Some(stored.digest) };
    place.cache.events().report(fate, || demand::event(call.id, &record.identity, fate));
    if let Some(found) = found {
        let name = recorded::shown(&record.identity.function, &recorded::shown_arguments(&record));
        note_rerun(Ran { call: call.id, name, found });
        if matches!(found, Found::Nondeterministic { .. }) {
            let fate = Fate::Nondeterministic;
            place.cache.events().report(fate, || demand::event(call.id, &record.identity, fate));
        }
    }
    bytes
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
