//! A call's way through the engine: sealed, looked up, run, kept.
//!
//! ```text
//! sealed ──► looked up ──► holds ─────────────────────────► answered (an edge on the caller)
//!                 └──────► stale ──► running ──► kept ────► answered (an edge on the caller)
//!                                       ├──────► tainted ─► answered (the caller is tainted)
//!                                       └──────► failed ──► reported (the caller is tainted)
//! ```
//!
//! A call's identity is sealed before its body runs. A body's frame is popped on every way out, and a result
//! enters the store only from an untainted frame whose revision is whole.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use fleche_store::{
    Argument, Bytes, CallId, CallKey, Dependency, Identity, Record, TypeFingerprint, ValueDigest,
};
use smallvec::SmallVec;

use crate::demand::{self, Demand, Effort};
use crate::events::{Event, Fate};
use crate::fingerprint;
use crate::flight::Flight;
use crate::frame::{Frame, Purpose, Taint};
use crate::memo::Memo;
use crate::restore;
use crate::thread::{self, Active, Activity, Place};
use crate::value::{self, Archived, Outcome, Value, View};

/// Kept arguments too large for a record lie in the store under this fingerprint.
pub(crate) const ARGUMENT: TypeFingerprint = TypeFingerprint(0x666c_6563_6865_4152);

/// Kept arguments up to this size lie in the record itself.
const INLINE: usize = 1024;

/// A top-level call whose inputs change while it runs starts over at most this often.
const MOST_RESTARTS: u32 = 3;

/// A call, named: which function, with which arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub(crate) function: Cow<'static, str>,
    pub(crate) package: Cow<'static, str>,
    pub(crate) module: Cow<'static, str>,
    pub(crate) arguments: SmallVec<[(Cow<'static, str>, ValueDigest); 4]>,
    pub(crate) id: CallId,
}

impl Call {
    /// The call's identity as a digest.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The function's full name, with its path and type arguments.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The package that the function belongs to.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The module that the function is defined in.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The arguments that count: name and digest.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, ValueDigest)> {
        self.arguments.iter().map(|(name, digest)| (&**name, *digest))
    }
}

impl fmt::Display for Call {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}(", self.function)?;
        for (at, (name, digest)) in self.arguments().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(to, "{comma}{name}: {}", digest.digest().short())?;
        }
        write!(to, ")")
    }
}

/// What a look-up came to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once; a box would cost each miss an allocation")]
pub enum Lookup<T> {
    /// Answered.
    Hit(T),
    /// The body must run; whoever else asks for the call waits until this is used or dropped.
    Miss(Miss),
}

/// A call that must run.
#[derive(Debug)]
pub struct Miss {
    /// `None` for a call that the engine does not handle (no storage in scope, arguments that cannot be
    /// digested): it runs as the plain function that it is, and what it reads is its caller's.
    sealed: Option<Sealed>,
    kept: SmallVec<[Option<Vec<u8>>; 4]>,
    meta: Vec<(String, String)>,
    /// Calls the function anew from its kept arguments, for a start-over.
    recall: Option<fn(&mut restore::Arguments<'_>) -> Option<()>>,
}

#[derive(Debug)]
struct Sealed {
    call: Call,
    key: CallKey,
    place: Place,
    flight: Option<Flight>,
    rerun: Option<RerunRoot>,
}

/// The outermost `rerun` of a thread, until dropped.
#[derive(Debug)]
struct RerunRoot(PhantomData<*const ()>);

impl Drop for RerunRoot {
    fn drop(&mut self) {
        thread::with(|thread| thread.rerun = None);
    }
}

/// Whether the records are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Ask,
    /// Run, and every cached call below too.
    Rerun,
}

/// A sealed call, with the key it has for results of the type in question.
pub(crate) struct Subject {
    pub(crate) call: Call,
    pub(crate) key: CallKey,
}

impl Subject {
    /// Answers from a record whose trace holds, or says that the body must run.
    pub(crate) fn lookup<T: Value>(self, mode: Mode) -> Lookup<View<T>> {
        let place = thread::place(&self.call.function);
        if place.cache.store().is_none() {
            return Lookup::Miss(Miss::plain());
        }
        let id = self.call.id;
        let running = match thread::with(|thread| thread.activity(&id)) {
            Some(Activity::Running) => self.cycle(),
            Some(Activity::Verifying) => true,
            None => false,
        };
        let (forced, rerun) = thread::with(|thread| match (&thread.rerun, mode) {
            (Some(done), _) => (!done.lock().contains(&id), None),
            (None, Mode::Rerun) => {
                thread.rerun = Some(Arc::default());
                (true, Some(RerunRoot(PhantomData)))
            }
            (None, Mode::Ask) => (false, None),
        });
        // A call met again while its own old trace is verified must show what today's program makes of it.
        let flight = if forced || running {
            demand::claim(&place, id)
        } else {
            match demand::demand(&place, id, self.key, Effort::Run) {
                Demand::Stale(flight) => flight,
                Demand::Holds(memo) => match view_of::<T>(&place, &memo) {
                    Some(view) => {
                        thread::record(Dependency::Call(id), demand::observed(&memo));
                        return Lookup::Hit(view);
                    }
                    // The record is there, its value is gone or damaged: it heals by running again.
                    None => demand::claim(&place, id),
                },
            }
        };
        Lookup::Miss(Miss {
            sealed: Some(Sealed { call: self.call, key: self.key, place, flight, rerun }),
            kept: SmallVec::new(),
            meta: Vec::new(),
            recall: None,
        })
    }

    /// The valid result, if one is recorded. Runs nothing.
    pub(crate) fn look<T: Value>(&self) -> Option<View<T>> {
        let place = thread::place(&self.call.function);
        place.cache.store()?;
        match demand::demand(&place, self.call.id, self.key, Effort::Look) {
            Demand::Holds(memo) => view_of::<T>(&place, &memo),
            Demand::Stale(_) => None,
        }
    }

    fn cycle(&self) -> ! {
        let (mut names, verifying) = thread::with(|thread| {
            let verifying = thread.frames.iter().any(|frame| frame.purpose == Purpose::Verify);
            (thread.running_names(), verifying)
        });
        let start = names.iter().position(|name| *name == self.call.function).unwrap_or_default();
        names.drain(..start);
        let message = format!("a cycle of cached calls: {} → {}", names.join(" → "), self.call.function);
        if verifying && cfg!(panic = "unwind") {
            // Caught where the trace is verified; nobody needs to read of it.
            resume_unwind(Box::new(message));
        }
        panic!("{message}");
    }
}

/// The result's bytes: from memory, or from the store, checked for `T`.
fn view_of<T: Value>(place: &Place, memo: &Memo) -> Option<View<T>> {
    let stored = memo.record.result;
    if stored.fingerprint != fingerprint::of::<T>() {
        return None;
    }
    if let Some(bytes) = memo.value() {
        return View::checked(bytes);
    }
    let bytes = place.cache.ask(|store| store.value(&stored.digest, stored.fingerprint))??;
    let view = View::checked(bytes.clone())?;
    memo.set_value(bytes);
    Some(view)
}

impl Miss {
    pub(crate) fn plain() -> Self {
        Self { sealed: None, kept: SmallVec::new(), meta: Vec::new(), recall: None }
    }

    /// Keeps an argument's bytes, in the order of the parameters that count.
    pub fn keep<T: serde::Serialize + ?Sized>(&mut self, argument: &T) {
        if self.sealed.is_some() {
            self.kept.push(restore::keep(argument));
        }
    }

    pub(crate) fn keep_bytes(&mut self, bytes: Vec<u8>) {
        self.kept.push(Some(bytes));
    }

    pub(crate) fn set_recall(&mut self, recall: Option<fn(&mut restore::Arguments<'_>) -> Option<()>>) {
        self.recall = recall;
    }

    pub(crate) fn set_meta(&mut self, meta: Vec<(String, String)>) {
        self.meta = meta;
    }

    /// Runs the body and keeps its result, unless it failed or is tainted.
    pub fn run<O: Outcome>(self, body: impl FnOnce() -> O) -> O {
        match self.evaluate(body) {
            Evaluated::Ours(outcome, _) => outcome,
            Evaluated::Anew(view, outcome) => view.to_owned().map_or(outcome, O::from_value),
        }
    }

    /// Like [`Miss::run`]; also tells whether the result was recorded.
    pub(crate) fn run_told<O: Outcome>(self, body: impl FnOnce() -> O) -> (O, bool) {
        match self.evaluate(body) {
            Evaluated::Ours(outcome, bytes) => (outcome, bytes.is_some()),
            Evaluated::Anew(view, outcome) => (view.to_owned().map_or(outcome, O::from_value), true),
        }
    }

    /// Runs the body, keeps its result, and gives it in its archived form.
    ///
    /// # Panics
    ///
    /// If the result cannot be archived at all, because its own serialisation fails.
    pub fn run_view<O: Outcome>(self, body: impl FnOnce() -> O) -> O::View {
        match self.evaluate(body) {
            Evaluated::Anew(view, _) => O::from_view(view),
            Evaluated::Ours(outcome, bytes) => match outcome.into_failure() {
                Ok(failure) => failure,
                Err(value) => {
                    let bytes = bytes.unwrap_or_else(|| match value::archive(&value) {
                        Ok(archived) => Bytes::owned(archived.bytes),
                        Err(error) => panic!("{error}"),
                    });
                    O::from_view(View::checked(bytes).expect("what was just archived is whole"))
                }
            },
        }
    }

    fn evaluate<O: Outcome>(self, body: impl FnOnce() -> O) -> Evaluated<O> {
        let Some(sealed) = self.sealed else {
            return Evaluated::Ours(demand::with_stack(body), None);
        };
        let Sealed { call, key, place, flight, rerun } = sealed;
        let frame = Frame::new(Purpose::Run(call.id), place.cache.clone(), place.revision.clone())
            .named(call.function.clone());
        let (depth, active) = (push(frame), Active::enter(call.id, Activity::Running));
        let result = catch_unwind(AssertUnwindSafe(|| demand::with_stack(body)));
        drop(active);
        let mut frame = pop(depth);
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(panic) => {
                thread::taint(Taint::FailedCall(call.id));
                uncached(&place, &call, &self.kept);
                // The waiters go on before the panic does.
                drop(flight);
                drop(rerun);
                resume_unwind(panic);
            }
        };
        let mut notes = std::mem::take(&mut frame.meta);
        let kept = match (outcome.value(), frame.finish()) {
            (Some(value), Ok(trace)) => value::archive(value)
                .map_err(|error| {
                    place.cache.warn(&error);
                    Taint::Unkept
                })
                .map(|archived| (archived, trace)),
            (Some(_), Err(taint)) => Err(taint),
            (None, _) => Err(Taint::FailedCall(call.id)),
        };
        let (archived, trace) = match kept {
            Ok(kept) => kept,
            Err(taint) => {
                uncached(&place, &call, &self.kept);
                drop(flight);
                drop(rerun);
                if taint == Taint::Changed
                    && let Some(view) = start_over::<O>(&place, &call, key, self.recall, &self.kept)
                {
                    return Evaluated::Anew(view, outcome);
                }
                thread::taint(taint);
                return Evaluated::Ours(outcome, None);
            }
        };
        let mut meta = self.meta;
        meta.append(&mut notes);
        let bytes = keep(&place, &call, key, archived, trace, self.kept, meta);
        thread::with(|thread| {
            if let Some(done) = &thread.rerun {
                done.lock().insert(call.id);
            }
        });
        if rerun.is_some() {
            place.revision.renew();
        }
        drop(flight);
        drop(rerun);
        Evaluated::Ours(outcome, Some(bytes))
    }
}

enum Evaluated<O: Outcome> {
    /// What this run made, and its archive where it was kept.
    Ours(O, Option<Bytes>),
    /// What a start-over made; beside it what the spoilt run had made.
    Anew(View<O::Value>, O),
}

fn push(frame: Frame) -> usize {
    thread::with(|thread| {
        thread.frames.push(frame);
        thread.frames.len()
    })
}

fn pop(depth: usize) -> Frame {
    thread::with(|thread| {
        debug_assert_eq!(thread.frames.len(), depth, "frames are popped where they were pushed");
        thread.frames.pop().expect("pushed by the caller")
    })
}

/// Reports a run whose result is not kept, and forgets what was known: it does not stand for this run.
fn uncached(place: &Place, call: &Call, kept: &[Option<Vec<u8>>]) {
    place.cache.events().report(Fate::Uncached, || {
        let arguments: Vec<String> =
            kept.iter().map(|bytes| bytes.as_deref().map_or_else(|| "…".into(), restore::show)).collect();
        Event {
            call: call.id,
            function: (*call.function).into(),
            arguments: arguments.join(", "),
            fate: Fate::Uncached,
        }
    });
}

/// Calls the function again, from its kept arguments, if inputs changed under a top-level call.
fn start_over<O: Outcome>(
    place: &Place,
    call: &Call,
    key: CallKey,
    recall: Option<fn(&mut restore::Arguments<'_>) -> Option<()>>,
    kept: &[Option<Vec<u8>>],
) -> Option<View<O::Value>> {
    let held = thread::with(|thread| thread.frozen.is_some());
    if !place.top || held {
        return None;
    }
    let arguments = kept.iter().cloned().collect::<Option<Vec<_>>>()?;
    let again = thread::with(|thread| {
        thread.restarts += 1;
        thread.restarts <= MOST_RESTARTS
    });
    let view = again.then(|| {
        catch_unwind(AssertUnwindSafe(|| (recall?)(&mut restore::Arguments::new(&arguments))))
            .ok()
            .flatten()?;
        Subject { call: call.clone(), key }.look::<O::Value>()
    });
    thread::with(|thread| thread.restarts -= 1);
    view.flatten()
}

/// Stores a result and its record, answers the caller, and makes the memo.
fn keep(
    place: &Place,
    call: &Call,
    key: CallKey,
    archived: Archived,
    trace: Vec<fleche_store::Edge>,
    kept: SmallVec<[Option<Vec<u8>>; 4]>,
    meta: Vec<(String, String)>,
) -> Bytes {
    let Archived { stored, bytes } = archived;
    let before = match place.cache.memos().get(&call.id) {
        Some(memo) => Some(memo.record.result.digest),
        None => place.cache.ask(|store| store.newest(&call.id)).flatten().map(|record| record.result.digest),
    };
    let mut kept = kept.into_iter();
    let mut arguments = Vec::with_capacity(call.arguments.len());
    for (name, digest) in &call.arguments {
        let mut encoded = kept.next().flatten();
        if let Some(bytes) = encoded.take_if(|bytes| bytes.len() > INLINE) {
            place.cache.ask(|store| store.put_value(*digest, ARGUMENT, &bytes));
        }
        arguments.push(Argument { name: name.to_string(), digest: *digest, encoded });
    }
    let mut record = Record {
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
    // The value first: a record never names a value that was not stored before it.
    let clock = place.cache.ask(|store| {
        store.put_value(stored.digest, stored.fingerprint, &bytes)?;
        store.put_record(&record)
    });
    record.clock = clock.unwrap_or_default();
    thread::record(Dependency::Call(call.id), stored.digest.digest());
    let memo = Arc::new(Memo::new(Arc::new(record)));
    let stamp = place.revision.stamp();
    memo.set_verified(stamp);
    memo.set_ran(stamp);
    let bytes = Bytes::owned(bytes);
    memo.set_value(bytes.clone());
    let fate = Fate::Ran { changed: before != Some(stored.digest) };
    place.cache.events().report(fate, || demand::event(call.id, &memo.record.identity, fate));
    place.cache.memos().insert(call.id, memo);
    bytes
}

fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
