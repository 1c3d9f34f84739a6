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

mod kept;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fleche_store::{Bytes, CallId, CallKey, TypeFingerprint, ValueDigest};
use smallvec::SmallVec;

use crate::cache;
use crate::cancel;
use crate::code;
use crate::demand::{self, Demand, Effort};
use crate::events::{Fate, Progress};
use crate::fingerprint;
use crate::flight::Flight;
use crate::frame::{Dep, Frame, Purpose, Taint};
use crate::graph::{Hit, NodeId};
use crate::marks;
use crate::recorded;
use crate::registry::Definition;
use crate::restore;
use crate::revision::Revision;
use crate::thread::{self, Active, Activity, Panicked, Place};
use crate::value::{self, Outcome, Value, View};

pub(crate) use self::kept::now_ms;
use self::kept::{Again, cancelled, keep, name_of, start_over, uncached};

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
    /// What `#[fleche]` says of the function; `None` for one that is named at run time.
    definition: Option<&'static Definition>,
}

#[derive(Debug)]
struct Sealed {
    call: Call,
    key: CallKey,
    place: Place,
    flight: Option<Flight>,
    /// It runs although a record may hold.
    forced: bool,
    rerun: Option<RerunRoot>,
}

/// The outermost `rerun` of a thread, until dropped.
#[derive(Debug)]
struct RerunRoot(PhantomData<*const ()>);

impl Drop for RerunRoot {
    fn drop(&mut self) {
        thread::with(|thread| thread.rerun = None);
        cache::tell_forced();
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
pub(crate) struct Subject<'a> {
    pub(crate) call: Call,
    pub(crate) key: CallKey,
    /// The function and the canonical bytes of the arguments, for the short cut.
    pub(crate) bytes: Option<&'a [u8]>,
}

/// Answers a call that is known to hold, from the function and the canonical bytes of its arguments alone:
/// nothing is hashed with BLAKE3, no lock is taken for writing, nothing is allocated.
pub(crate) fn lookup_short<T: Value>(bytes: &[u8]) -> Option<View<T>> {
    cancel::point();
    if marks::is_prompt() && thread::with(|thread| thread.frames.is_empty() && thread.held().is_none()) {
        marks::catch_up();
    }
    let (hit, told) = thread::with(|thread| {
        if thread.rerun.is_some() {
            return None;
        }
        let fingerprint = thread.fingerprint::<T>();
        let (call, hit) = thread.peek_short(bytes)?;
        // A value that is not at hand takes the long way.
        if hit.value.is_none() || hit.result.fingerprint != fingerprint || thread.activity(&call).is_some() {
            return None;
        }
        if let Some(frame) = thread.frames.last_mut() {
            frame.record(Dep::Call(call), hit.result.digest.digest());
        }
        let cache = thread.cache.as_ref()?;
        if hit.known {
            return Some((hit, None));
        }
        if cache.events().are_followed() {
            return Some((hit, Some((cache.clone(), call))));
        }
        cache.events().count_hit();
        Some((hit, None))
    })?;
    if let Some((cache, call)) = told {
        demand::report(&cache, call, Fate::Hit);
    }
    View::checked(hit.value?)
}

impl Subject<'_> {
    /// Answers from a record whose trace holds, or says that the body must run. `definition`: of the function, unless that
    /// is named at run time.
    pub(crate) fn lookup<T: Value>(
        self,
        mode: Mode,
        definition: Option<&'static Definition>,
    ) -> Lookup<View<T>> {
        // What cannot start over when an input of the program is set meanwhile sees all of them as they are now.
        let again = definition.is_some_and(Definition::can_be_made_again);
        let place =
            thread::place_in(&self.call.function, if again { Revision::new } else { Revision::pinned });
        if place.cache.store().is_none() {
            return Lookup::Miss(Miss::plain());
        }
        let id = self.call.id;
        let node = place.graph.node(id);
        if let Some(bytes) = self.bytes {
            place.graph.set_short_cut(bytes, node, self.key);
        }
        let running = match demand::is_active(&place, node, id) {
            Some(Activity::Running) => {
                demand::met_cycle();
                self.cycle()
            }
            Some(Activity::Verifying) => {
                demand::met_cycle();
                true
            }
            None => false,
        };
        let (mut forced, rerun) = thread::with(|thread| match (&thread.rerun, mode) {
            (Some(reruns), _) => (!reruns.lock().has(&id), None),
            (None, Mode::Rerun) => {
                thread.rerun = Some(Arc::default());
                (true, Some(RerunRoot(PhantomData)))
            }
            (None, Mode::Ask) => (false, None),
        });
        // A call met again while its own old trace is verified must show what today's program makes of it.
        let mut claimed = None;
        if forced || running {
            let flight = demand::claim(&place, id);
            // Another branch of the rerun may have run it while this one waited.
            forced &= !thread::with(|thread| thread.rerun.as_ref().is_some_and(|ran| ran.lock().has(&id)));
            claimed = (forced || running).then_some(flight);
        }
        let flight = if let Some(flight) = claimed {
            flight
        } else {
            match demand::demand(&place, node, id, self.key, Effort::Run) {
                Demand::Stale(flight) => {
                    place.cache.events().tell_some(|| demand::stale(&place, id, self.key));
                    flight
                }
                Demand::Holds(hit) => match view_of::<T>(&place, node, &hit) {
                    Some(view) => {
                        if !hit.known {
                            demand::report(&place.cache, id, Fate::Hit);
                        }
                        thread::record(Dep::Call(id), hit.result.digest.digest());
                        return Lookup::Hit(view);
                    }
                    // The record is there, its value is gone or damaged: it heals by running again.
                    None => demand::claim(&place, id),
                },
            }
        };
        Lookup::Miss(Miss {
            sealed: Some(Sealed { call: self.call, key: self.key, place, flight, forced, rerun }),
            kept: SmallVec::new(),
            meta: Vec::new(),
            definition,
        })
    }

    /// The valid result, if one is recorded. Runs nothing.
    pub(crate) fn look<T: Value>(&self) -> Option<View<T>> {
        let place = thread::place(&self.call.function);
        place.cache.store()?;
        let node = place.graph.node(self.call.id);
        match demand::demand(&place, node, self.call.id, self.key, Effort::Look) {
            Demand::Holds(hit) => view_of::<T>(&place, node, &hit),
            Demand::Stale(_) => None,
        }
    }

    fn cycle(&self) -> ! {
        // Whoever swallows it comes to another result than when it is not asked for by itself.
        thread::taint(Taint::FailedCall(self.call.id));
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
fn view_of<T: Value>(place: &Place, node: NodeId, hit: &Hit) -> Option<View<T>> {
    if hit.result.fingerprint != fingerprint::of::<T>() {
        return None;
    }
    if let Some(bytes) = &hit.value {
        return View::checked(bytes.clone());
    }
    let bytes = place.cache.ask(|store| store.value(&hit.result.digest, hit.result.fingerprint))??;
    let view = View::checked(bytes.clone())?;
    place.graph.keep_value(node, &hit.result, &bytes);
    Some(view)
}

impl Miss {
    pub(crate) fn plain() -> Self {
        Self { sealed: None, kept: SmallVec::new(), meta: Vec::new(), definition: None }
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

    pub(crate) fn set_meta(&mut self, meta: Vec<(String, String)>) {
        self.meta = meta;
    }

    /// Runs the body and keeps its result, unless it failed or is tainted.
    pub fn run<O: Outcome>(self, body: impl FnOnce() -> O) -> O {
        self.evaluate(&mut once(body), |_| None).owned()
    }

    /// Like [`Miss::run`]; but if the body has just failed, when the trace of the caller was verified, gives that failure
    /// instead of running it again for the same.
    pub fn run_or_take<O: Outcome + 'static>(mut self, body: impl FnOnce() -> O) -> O {
        self.take().unwrap_or_else(|| self.evaluate(&mut once(body), handed).owned())
    }

    /// Like [`Miss::run_or_take`], for what cannot outlive the call that made it: a panic can.
    pub fn run_or_unwind<O: Outcome>(mut self, body: impl FnOnce() -> O) -> O {
        drop(self.take_filed());
        self.run(body)
    }

    /// The failure of the body that is filed. If that is a panic, it goes on here.
    fn take<O: 'static>(&mut self) -> Option<O> {
        let (failure, call) = self.take_filed()?;
        let failure = failure.downcast().ok()?;
        thread::taint(Taint::FailedCall(call));
        // The waiters go on before the failure does.
        drop(self.sealed.take());
        Some(*failure)
    }

    /// What is filed of the body. If that is a panic, it goes on here.
    fn take_filed(&mut self) -> Option<(Box<dyn Any>, CallId)> {
        let sealed = self.sealed.as_ref().filter(|sealed| !sealed.forced)?;
        let Place { cache, revision, .. } = &sealed.place;
        let call = sealed.call.id;
        let (failure, _dropped) = thread::with(|thread| thread.failures.take(cache, revision, call));
        match failure?.downcast::<Panicked>() {
            Ok(panicked) => {
                thread::taint(Taint::FailedCall(call));
                // The waiters go on before the panic does.
                drop(self.sealed.take());
                resume_unwind(panicked.0)
            }
            Err(failure) => Some((failure, call)),
        }
    }

    /// Like [`Miss::run`]; also tells whether the result was recorded.
    pub(crate) fn run_told<O: Outcome>(self, body: impl FnOnce() -> O) -> (O, bool) {
        match self.evaluate(&mut once(body), |_| None) {
            Evaluated::Ours(outcome, bytes) => (outcome, bytes.is_some()),
            Evaluated::Anew(view, outcome) => (view.to_owned().map_or(outcome, O::from_value), true),
        }
    }

    /// Like [`Miss::run_view`]; but gives a failure of the body that has just been made, as [`Miss::run_or_take`] does.
    pub fn run_view_or_take<O: Outcome + 'static>(mut self, body: impl FnOnce() -> O) -> O::View {
        match self.take::<O>() {
            Some(failure) => match failure.into_failure() {
                Ok(failure) => failure,
                Err(_) => unreachable!("only failures are filed"),
            },
            None => self.evaluate(&mut once(body), handed).view(),
        }
    }

    /// Like [`Miss::run_view`]; but a panic of the body that has just been made goes on, as with [`Miss::run_or_unwind`].
    pub fn run_view_or_unwind<O: Outcome>(mut self, body: impl FnOnce() -> O) -> O::View {
        drop(self.take_filed());
        self.run_view(body)
    }

    /// Runs the body, keeps its result, and gives it in its archived form.
    ///
    /// # Panics
    ///
    /// If the result cannot be archived at all, because its own serialisation fails.
    pub fn run_view<O: Outcome>(self, body: impl FnOnce() -> O) -> O::View {
        self.evaluate(&mut once(body), |_| None).view()
    }

    /// Compiled once for each type of outcome and not for each function: what users' builds wait for.
    fn evaluate<O: Outcome>(self, body: &mut dyn FnMut() -> O, handed: Handed<O>) -> Evaluated<O> {
        let Some(sealed) = self.sealed else {
            return Evaluated::Ours(demand::with_stack(&mut *body), None);
        };
        let Sealed { call, key, place, flight, forced, rerun } = sealed;
        // What was cancelled while records were verified goes no further.
        cancel::point();
        let frame = Frame::new(Purpose::Run(call.id), place.cache.clone(), place.revision.clone())
            .named(call.function.clone());
        let (depth, active) = (push(frame), Active::enter(call.id, Activity::Running));
        place.cache.events().tell(|| Progress::Began { call: call.id, name: name_of(&call, &self.kept) });
        let span = tracing::debug_span!(
            target: "fleche",
            "run",
            function = %call.function,
            call = %call.id.digest().short()
        );
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| demand::with_stack(&mut *body))));
        drop(active);
        let took = began.elapsed();
        let mut frame = pop(depth, took);
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(panic) => {
                if cancel::is_ours(&*panic) {
                    thread::taint(Taint::Cancelled);
                    cancelled(&place, &call, &self.kept);
                } else {
                    thread::taint(Taint::FailedCall(call.id));
                    uncached(&place, &call, &self.kept, forced);
                    thread::with(|thread| thread.failures.panics(call.id));
                }
                // The waiters go on before the panic does.
                drop(flight);
                drop(rerun);
                if place.revision.is_broken() && !cancel::is_ours(&*panic) {
                    match start_over::<O>(&place, &call, key, self.definition, &self.kept, handed) {
                        Some(Again::Made(outcome)) => return Evaluated::Ours(outcome, None),
                        Some(Again::Kept(view)) => {
                            if let Some(value) = view.to_owned() {
                                return Evaluated::Ours(O::from_value(value), None);
                            }
                        }
                        None => {}
                    }
                }
                resume_unwind(panic);
            }
        };
        let mut notes = std::mem::take(&mut frame.meta);
        notes.extend(recorded::time_line(took, frame.nested));
        let kept = match (outcome.value(), frame.finish()) {
            (Some(value), Ok(trace)) => value::archive(value)
                .map_err(|error| {
                    place.cache.warn(&error);
                    Taint::Unkept
                })
                .map(|archived| (archived, trace)),
            (Some(_), Err(taint)) | (None, Err(taint @ Taint::Changed)) => Err(taint),
            (None, _) => Err(Taint::FailedCall(call.id)),
        };
        let (archived, trace) = match kept {
            Ok(kept) => kept,
            Err(taint) => {
                uncached(&place, &call, &self.kept, forced);
                drop(flight);
                drop(rerun);
                if taint == Taint::Changed {
                    match start_over::<O>(&place, &call, key, self.definition, &self.kept, handed) {
                        Some(Again::Kept(view)) => return Evaluated::Anew(view, outcome),
                        Some(Again::Made(outcome)) => return Evaluated::Ours(outcome, None),
                        None => {}
                    }
                }
                thread::taint(taint);
                return Evaluated::Ours(outcome, None);
            }
        };
        let mut meta = self.meta;
        meta.append(&mut notes);
        if let Some(definition) = self.definition {
            code::record(&place.cache, definition, &mut meta);
        }
        let bytes = keep(&place, &call, key, archived, &trace, self.kept, meta, self.definition, forced);
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

impl<O: Outcome> Evaluated<O> {
    fn owned(self) -> O {
        match self {
            Self::Ours(outcome, _) => outcome,
            Self::Anew(view, outcome) => view.to_owned().map_or(outcome, O::from_value),
        }
    }

    fn view(self) -> O::View {
        match self {
            Self::Anew(view, _) => O::from_view(view),
            Self::Ours(outcome, bytes) => match outcome.into_failure() {
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
}

/// Makes an outcome of what a recalled call has handed over, where the type can do that.
type Handed<O> = fn(Box<dyn Any>) -> Option<O>;

/// A body that runs once, as a closure that can be called through a pointer.
fn once<O>(body: impl FnOnce() -> O) -> impl FnMut() -> O {
    let mut body = Some(body);
    move || match body.take() {
        Some(body) => body(),
        None => unreachable!("a call runs its body once"),
    }
}

fn handed<O: 'static>(outcome: Box<dyn Any>) -> Option<O> {
    outcome.downcast().ok().map(|outcome| *outcome)
}

fn push(frame: Frame) -> usize {
    thread::with(|thread| {
        thread.frames.push(frame);
        thread.frames.len()
    })
}

fn pop(depth: usize, took: Duration) -> Frame {
    thread::with(|thread| {
        debug_assert_eq!(thread.frames.len(), depth, "frames are popped where they were pushed");
        let frame = thread.frames.pop().expect("pushed by the caller");
        if let Some(caller) = thread.frames.last_mut() {
            caller.nested += took;
        }
        frame
    })
}
