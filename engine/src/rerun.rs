//! Rerunning: running calls whatever their records say, and what that means for the calls that depend on them.
//!
//! A dependent is valid as long as the digest that it observed still holds, so a rerun that makes what was made before
//! invalidates nothing. The report is told by the records; dependents are found through the store's posting lists.

use std::fmt;

use fleche_store::{CallId, CallKey, Dependency, Digest, Record, ValueDigest};
use foldhash::{HashMap, HashMapExt, HashSet};

use crate::cache::{self, Cache};
use crate::error::Result;
use crate::recorded::{Recorded, shown, shown_arguments};
use crate::{demand, scope, thread};

/// What a rerun found for one call that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// It had no record under its present code.
    First,
    /// It made what its newest record has.
    Same,
    /// It made something else.
    Other {
        /// What its newest record had.
        before: ValueDigest,
    },
    /// It made something else although everything it observed was as it had been: it depends on something that is
    /// not tracked, such as the clock, or chance.
    Nondeterministic {
        /// What the record had.
        before: ValueDigest,
    },
    /// It failed, or cannot be kept; no record of this run is there.
    NotKept,
}

/// A call that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Which call.
    pub call: CallId,
    /// For people: `count("a.rs")`.
    pub name: String,
    /// What it came to.
    pub found: Found,
}

/// A call that depends on what ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependent {
    /// Which call.
    pub call: CallId,
    /// For people: `count("a.rs")`.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
}

/// How a call stands that depends on one that ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// What it observed still holds.
    Valid,
    /// A result that it observed is another one: it runs when it is next asked for.
    Invalid {
        /// The call whose result it is.
        because: CallId,
    },
    /// It depends on an invalid call, and runs only if that makes something else.
    Pending {
        /// The invalid call.
        because: CallId,
    },
    /// It was brought up to date ([`Report::follow`]).
    Followed(Followed),
}

/// How a dependent was brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Followed {
    /// It ran and made something else.
    Changed,
    /// It ran and made what it had made.
    Unchanged,
    /// It did not have to run: what it depends on came out as before.
    CutOff,
    /// It cannot be brought up to date here: it failed, or this program has no such function, or cannot call it from
    /// stored arguments. It is run when it is next asked for.
    Left,
}

/// What ran in a rerun, and what that means for others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What ran, in the order in which it ended.
    pub ran: Vec<Ran>,
    /// What depends on that and did not run itself.
    pub dependents: Vec<Dependent>,
}

/// Runs `f` with every cached call in it, and every cached call below those, running whatever the records say, each
/// once; then tells what came of it.
///
/// `count::rerun(path)` does the same for one call and gives its result alone.
///
/// ```
/// use fleche::fleche;
///
/// #[fleche]
/// fn lines(path: &std::path::Path) -> std::io::Result<u64> {
///     Ok(fleche::fs::read_to_string(path)?.lines().count() as u64)
/// }
///
/// # fn main() -> fleche::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// # let file = dir.path().join("a");
/// # std::fs::write(&file, "one")?;
/// let _scope = fleche::cache("memory")?;
/// lines(&file)?;
/// let (count, report) = fleche::rerun(|| lines(&file));
/// assert_eq!(count?, 1);
/// assert_eq!(report.ran.len(), 1);
/// assert_eq!(report.ran[0].found, fleche::rerun::Found::Same);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// If `f` does, and on a thread other than the main one that has no cache in scope.
pub fn rerun<T>(f: impl FnOnce() -> T) -> (T, Report) {
    /// Puts back what was there before, on every way out.
    struct Restore(Option<thread::Rerun>);
    impl Drop for Restore {
        fn drop(&mut self) {
            thread::with(|thread| thread.rerun = self.0.take());
            cache::tell_forced();
        }
    }
    let reruns = thread::Rerun::default();
    let restore = Restore(thread::with(|thread| thread.rerun.replace(reruns.clone())));
    let result = f();
    drop(restore);
    let ran = std::mem::take(&mut reruns.lock().ran);
    let cache = scope::current_cache();
    let dependents = propagate(&cache, &ran).unwrap_or_else(|error| {
        cache.warn(&error);
        Vec::new()
    });
    (result, Report { ran, dependents })
}

/// The calls that a rerun has already run.
#[derive(Debug, Default)]
pub(crate) struct Reruns {
    done: HashSet<CallId>,
    ran: Vec<Ran>,
}

impl Reruns {
    /// Whether the call ran already.
    pub(crate) fn has(&self, call: &CallId) -> bool {
        self.done.contains(call)
    }

    /// Notes that the call ran. One that failed runs again if it is asked for again, as it does without a rerun.
    pub(crate) fn note(&mut self, ran: Ran) {
        if ran.found != Found::NotKept {
            self.done.insert(ran.call);
        }
        self.ran.push(ran);
    }
}

/// What a run makes of the call's records under its key, newest first: same trace, other result means that it is not
/// determined by what it observes.
pub(crate) fn judge(records: &[std::sync::Arc<Record>], ran: &Record) -> Found {
    let Some(newest) = records.first() else { return Found::First };
    let same = records.iter().find(|record| record.trace == ran.trace);
    match same {
        Some(record) if record.result != ran.result => {
            Found::Nondeterministic { before: record.result.digest }
        }
        _ if newest.result == ran.result => Found::Same,
        _ => Found::Other { before: newest.result.digest },
    }
}

/// How the dependents of what ran stand, those nearest to it first.
fn propagate(cache: &Cache, ran: &[Ran]) -> Result<Vec<Dependent>> {
    let Some(store) = cache.store() else { return Ok(Vec::new()) };
    let results: HashMap<CallId, Option<Digest>> = ran
        .iter()
        .filter_map(|ran| match ran.found {
            Found::NotKept => None,
            _ => Some((ran.call, store.newest(&ran.call).ok()??.result.digest.digest().into())),
        })
        .collect();
    let recorded = Recorded::of(store);
    let mut standings: HashMap<CallId, Standing> = HashMap::new();
    let mut dependents: Vec<Dependent> = Vec::new();
    // Breadth first. A call is looked at again when one that it observed ceases to be valid.
    let mut open: std::collections::VecDeque<CallId> = results.keys().copied().collect();
    open.make_contiguous().sort_unstable();
    while let Some(below) = open.pop_front() {
        for call in recorded.direct_dependents(&Dependency::Call(below))? {
            if results.contains_key(&call) {
                continue;
            }
            let known = standings.get(&call).copied();
            if matches!(known, Some(Standing::Invalid { .. })) {
                continue;
            }
            let records = store.history(&call)?;
            // Any record whose observations hold will do, as when the call is asked for.
            let standing = records
                .iter()
                .map(|record| stands(record, &results, &standings))
                .min_by_key(|standing| match standing {
                    Standing::Valid => 0,
                    Standing::Pending { .. } => 1,
                    _ => 2,
                })
                .unwrap_or(Standing::Invalid { because: below });
            if known == Some(standing) {
                continue;
            }
            if known.is_none() {
                let name = records
                    .first()
                    .map(|record| shown(&record.identity.function, &shown_arguments(record)))
                    .unwrap_or_default();
                dependents.push(Dependent { call, name, standing });
            }
            standings.insert(call, standing);
            if standing != Standing::Valid {
                open.push_back(call);
            }
        }
    }
    for dependent in &mut dependents {
        dependent.standing = standings[&dependent.call];
    }
    Ok(dependents)
}

fn stands(
    record: &Record,
    results: &HashMap<CallId, Option<Digest>>,
    standings: &HashMap<CallId, Standing>,
) -> Standing {
    let mut standing = Standing::Valid;
    for edge in &record.trace {
        let Dependency::Call(callee) = edge.dependency else { continue };
        if let Some(result) = results.get(&callee) {
            if *result != Some(edge.observed) {
                return Standing::Invalid { because: callee };
            }
        } else if matches!(standings.get(&callee), Some(Standing::Invalid { .. } | Standing::Pending { .. }))
        {
            standing = Standing::Pending { because: callee };
        }
    }
    standing
}

impl Report {
    /// The dependents that do not hold any more, or will not if those below them make something else.
    pub fn invalidated(&self) -> impl Iterator<Item = &Dependent> {
        self.dependents.iter().filter(|dependent| {
            matches!(dependent.standing, Standing::Invalid { .. } | Standing::Pending { .. })
        })
    }

    /// The calls that made something else although all they observed was the same.
    pub fn nondeterministic(&self) -> impl Iterator<Item = &Ran> {
        self.ran.iter().filter(|ran| matches!(ran.found, Found::Nondeterministic { .. }))
    }

    /// Brings the invalid dependents up to date now, in the cache in scope, instead of when they are next asked for.
    ///
    /// # Panics
    ///
    /// On a thread other than the main one that has no cache in scope.
    pub fn follow(&mut self) {
        let place = thread::place("`rerun::Report::follow`");
        for dependent in &mut self.dependents {
            if !matches!(dependent.standing, Standing::Invalid { .. } | Standing::Pending { .. }) {
                continue;
            }
            let before = place.cache.ask(|store| store.newest(&dependent.call)).flatten();
            let followed = match demand::bring(&place, dependent.call) {
                None => Followed::Left,
                Some(hit) if !hit.ran => Followed::CutOff,
                Some(hit) if before.is_some_and(|before| before.result == hit.result) => Followed::Unchanged,
                Some(_) => Followed::Changed,
            };
            dependent.standing = Standing::Followed(followed);
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::First => "ran for the first time",
            Self::Same => "ran, same result",
            Self::Other { .. } => "ran, other result",
            Self::Nondeterministic { .. } => "ran, other result although all it observed is the same",
            Self::NotKept => "ran, not kept",
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Valid => "still valid",
            Self::Invalid { .. } => "invalid",
            Self::Pending { .. } => "invalid if those below it change",
            Self::Followed(Followed::Changed) => "followed, other result",
            Self::Followed(Followed::Unchanged) => "followed, same result",
            Self::Followed(Followed::CutOff) => "followed, cut off",
            Self::Followed(Followed::Left) => "left for when it is next asked for",
        })
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.name, self.found)
    }
}

impl fmt::Display for Dependent {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.name, self.standing)
    }
}

/// One line for each call.
impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ran.iter().try_for_each(|ran| writeln!(to, "{ran}"))?;
        self.dependents.iter().try_for_each(|dependent| writeln!(to, "{dependent}"))
    }
}

/// The line of metadata of a record that stands for a call that was invalidated by hand.
const INVALIDATED: &str = "invalidated";

/// When the record was invalidated by hand, in milliseconds since 1970.
pub(crate) fn invalidated_at(record: &Record) -> Option<i64> {
    let (_, text) = record.meta.iter().find(|(name, _)| name == INVALIDATED)?;
    text.parse().ok()
}

/// Makes the call run when it is next asked for. Its arguments stay, so that it can be brought up to date for its
/// callers; so does its trace, so that it stays in the recorded graph.
pub(crate) fn invalidate(cache: &Cache, call: CallId) -> Result<bool> {
    let Some(store) = cache.store() else { return Ok(false) };
    let Some(newest) = store.newest(&call)? else { return Ok(false) };
    let now = crate::call::now_ms();
    let mut record = (*newest).clone();
    store.evict_call(&call)?;
    if invalidated_at(&record).is_none() {
        record.key = CallKey::new(Digest::of(format!("fleche invalidated {}", record.key).as_bytes()));
        record.meta.push((INVALIDATED.to_owned(), now.to_string()));
    }
    store.put_record(&record)?;
    cache.with_graph(|graph| graph.forget(call));
    cache.count_forced();
    Ok(true)
}
