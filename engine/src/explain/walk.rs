//! The walk behind an explanation: first which calls have a record that holds, from the bottom up, then what is
//! different, from the call down. Both without recursion: chains of calls can be very deep.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use fleche_store::{CallId, CallKey, Dependency, Digest, Record, Store};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::lines::{self, Lines};
use super::{Against, CodeChange, Difference, Explanation, How, InputChange, Standing, Step};
use crate::cache::Cache;
use crate::error::Result;
use crate::input::{self, Input};
use crate::recorded::{shown, shown_arguments};
use crate::revision::Revision;
use crate::system::Status;
use crate::tree::DIRECTORY;
use crate::tree::selection::Selection;
use crate::{code, registry, rerun, thread};

pub(super) fn explain(cache: &Cache, call: CallId) -> Result<Explanation> {
    let Some(store) = cache.store() else {
        return Ok(Explanation { steps: vec![new(call, call.to_string())] });
    };
    let revision = thread::with(|thread| thread.frozen.clone()).unwrap_or_else(|| Arc::new(Revision::new()));
    let mut walk = Walk { cache, store, revision, lenient: false, found: HashMap::new() };
    // What this program has no code for is told by its inputs alone.
    walk.lenient = walk.candidates(call)?.key.is_none();
    walk.judge(call)?;
    walk.tell(call)
}

struct Walk<'a> {
    cache: &'a Cache,
    store: &'a Store,
    revision: Arc<Revision>,
    /// Calls are compared although their code is not known.
    lenient: bool,
    found: HashMap<CallId, Found>,
}

fn modified_ms(path: &Path) -> Option<i64> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    i64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// What is known of a call.
struct Found {
    /// Its key under today's code.
    key: Option<CallKey>,
    /// Under that key, newest first.
    records: Vec<Arc<Record>>,
    /// Under any key.
    newest: Option<Arc<Record>>,
    /// The record that holds.
    holds: Option<Arc<Record>>,
}

fn new(call: CallId, name: String) -> Step {
    let (against, differences) = (None, Vec::new());
    Step { call, name, standing: Standing::New, against, differences, same: 0, code_known: true }
}

fn name_of(call: CallId, record: Option<&Record>) -> String {
    record.map_or_else(
        || format!("call {}", call.digest().short()),
        |record| shown(&record.identity.function, &shown_arguments(record)),
    )
}

fn callees<'r>(records: impl IntoIterator<Item = &'r Arc<Record>>) -> impl Iterator<Item = CallId> {
    records.into_iter().flat_map(|record| &record.trace).filter_map(|edge| match edge.dependency {
        Dependency::Call(call) => Some(call),
        Dependency::Input { .. } => None,
    })
}

impl Walk<'_> {
    fn candidates(&self, call: CallId) -> Result<Found> {
        let newest = self.store.newest(&call)?;
        let known = self.cache.with_graph(|graph| graph.key_of(call));
        let key = known.or_else(|| {
            let definition = registry::find(&newest.as_ref()?.identity)?;
            Some(definition.key(call, (definition.fingerprint?)()))
        });
        let records = match (key, &newest) {
            (Some(key), Some(_)) => self.store.records(&key)?,
            (None, Some(newest)) if self.lenient => vec![newest.clone()],
            _ => Vec::new(),
        };
        Ok(Found { key, records, newest, holds: None })
    }

    fn now(&self, dependency: &Dependency) -> Option<Digest> {
        match dependency {
            Dependency::Input { kind, name } => {
                let files = self.cache.files();
                self.revision.observe(files.input(*kind, name)?, files)
            }
            Dependency::Call(call) => Some(self.found.get(call)?.holds.as_ref()?.result.digest.digest()),
        }
    }

    fn judge(&mut self, root: CallId) -> Result<()> {
        // A call is on the stack twice: to be entered, and, below its callees, to be left.
        let mut stack = vec![(root, false)];
        while let Some((call, leave)) = stack.pop() {
            if leave {
                let holds = self.found[&call].records.iter().find(|record| {
                    record.trace.iter().all(|edge| self.now(&edge.dependency) == Some(edge.observed))
                });
                let holds = holds.cloned();
                if let Some(found) = self.found.get_mut(&call) {
                    found.holds = holds;
                }
                continue;
            }
            if self.found.contains_key(&call) {
                continue;
            }
            let found = self.candidates(call)?;
            stack.push((call, true));
            let below = callees(found.records.iter().chain(&found.newest));
            stack.extend(below.map(|callee| (callee, false)));
            self.found.insert(call, found);
        }
        Ok(())
    }

    fn tell(&self, root: CallId) -> Result<Explanation> {
        let mut steps = Vec::new();
        // A caller can have observed an earlier result of a call that is fresh now: then that is what is to be told.
        let mut open: VecDeque<(CallId, Option<Digest>)> = VecDeque::from([(root, None)]);
        let mut told: HashSet<(CallId, Option<Digest>)> = HashSet::new();
        while let Some((call, before)) = open.pop_front() {
            if !told.insert((call, before)) {
                continue;
            }
            let Some(found) = self.found.get(&call) else { continue };
            let step = match before {
                Some(before) => self.recomputed(call, found, before)?,
                None => self.step(call, found),
            };
            for difference in &step.differences {
                match difference {
                    Difference::Result { call, before, .. } => open.push_back((*call, Some(*before))),
                    Difference::Below { call, .. } => open.push_back((*call, None)),
                    _ => {}
                }
            }
            steps.push(step);
        }
        Ok(Explanation { steps })
    }

    fn step(&self, call: CallId, found: &Found) -> Step {
        let name = name_of(call, found.newest.as_deref());
        let Some(newest) = &found.newest else { return new(call, name) };
        let code_known = found.key.is_some();
        if let Some(holds) = &found.holds {
            let (against, same) = (Some(Against::new(holds)), holds.trace.len());
            let standing = Standing::Fresh;
            return Step { call, name, standing, against, differences: Vec::new(), same, code_known };
        }
        // Today's code is compared with what it did itself, if it ran.
        let record = found.records.first().unwrap_or(newest);
        let mut differences = Vec::new();
        if let Some(at_ms) = rerun::invalidated_at(record) {
            differences.push(Difference::Invalidated { at_ms });
        } else if found.key.is_some_and(|key| key != record.key) {
            differences.push(Difference::Code(self.code_change(record)));
        }
        let mut same = 0;
        for edge in &record.trace {
            let now = self.now(&edge.dependency);
            if now == Some(edge.observed) {
                same += 1;
                continue;
            }
            differences.push(match (&edge.dependency, now) {
                (Dependency::Input { .. }, now) => {
                    self.input_change(&edge.dependency, edge.observed, now, record.created_ms)
                }
                (Dependency::Call(callee), Some(after)) => {
                    let name = self.name(*callee);
                    Difference::Result { call: *callee, name, before: edge.observed, after }
                }
                (Dependency::Call(callee), None) => {
                    let (call, name) = (*callee, self.name(*callee));
                    let unknown = !self.lenient
                        && self
                            .found
                            .get(callee)
                            .is_some_and(|found| found.key.is_none() && found.newest.is_some());
                    if unknown {
                        Difference::Unknown { call, name }
                    } else {
                        Difference::Below { call, name }
                    }
                }
            });
        }
        let below = |difference: &Difference| matches!(difference, Difference::Below { .. });
        let pending = !differences.is_empty() && differences.iter().all(below);
        let standing = if pending { Standing::Pending } else { Standing::Stale };
        Step { call, name, standing, against: Some(Against::new(record)), differences, same, code_known }
    }

    /// Why a call that holds has another result than `before`.
    fn recomputed(&self, call: CallId, found: &Found, before: Digest) -> Result<Step> {
        let name = name_of(call, found.newest.as_deref());
        let history = self.store.history(&call)?;
        let old = history.iter().find(|record| record.result.digest.digest() == before);
        let mut step = Step { standing: Standing::Recomputed, ..new(call, name) };
        step.code_known = found.key.is_some();
        let (Some(old), Some(now)) = (old, &found.holds) else { return Ok(step) };
        step.against = Some(Against::new(old));
        if old.key != now.key && rerun::invalidated_at(old).is_none() {
            step.differences.push(Difference::Code(self.code_change(old)));
        }
        let observed: HashMap<_, _> =
            now.trace.iter().map(|edge| (&edge.dependency, edge.observed)).collect();
        for edge in &old.trace {
            // What is not observed any more follows from what is different before it.
            let Some(after) = observed.get(&edge.dependency).copied() else { continue };
            if after == edge.observed {
                step.same += 1;
                continue;
            }
            step.differences.push(match edge.dependency {
                Dependency::Input { .. } => {
                    self.input_change(&edge.dependency, edge.observed, Some(after), old.created_ms)
                }
                Dependency::Call(callee) => {
                    let name = self.name(callee);
                    Difference::Result { call: callee, name, before: edge.observed, after }
                }
            });
        }
        Ok(step)
    }

    fn name(&self, call: CallId) -> String {
        name_of(call, self.found.get(&call).and_then(|found| found.newest.as_deref()))
    }

    fn code_change(&self, record: &Record) -> CodeChange {
        let before = code::version_of(record);
        let after = registry::find(&record.identity).map(|definition| definition.version);
        let version =
            after.filter(|after| *after != before).map(|after| (before.to_owned(), after.to_owned()));
        CodeChange { version, items: code::code_changes(self.store, record) }
    }

    fn input_change(
        &self,
        dependency: &Dependency,
        before: Digest,
        after: Option<Digest>,
        since_ms: i64,
    ) -> Difference {
        let Dependency::Input { kind, name } = dependency else { unreachable!("asked of inputs only") };
        let how = match after {
            None => How::Hidden,
            Some(after) if after == input::absent() => How::Vanished,
            Some(_) if before == input::absent() => How::Appeared,
            Some(_) => How::Changed,
        };
        let input = Input::parse(self.cache.files().root(), *kind, name);
        let (modified_ms, within) = match &input {
            Some(Input::Tree(selection)) => self.written_within(selection, since_ms),
            Some(input) => (input.path().and_then(modified_ms), Vec::new()),
            None => (None, Vec::new()),
        };
        let lines = match (how, &input, after) {
            (How::Changed, Some(Input::File(path) | Input::Entry(path)), Some(after)) => {
                self.lines(path, before, after)
            }
            _ => Lines::NotText,
        };
        Difference::Input(InputChange {
            dependency: dependency.clone(),
            name: input::describe(*kind, name),
            how,
            before,
            after,
            modified_ms,
            within,
            lines,
        })
    }

    /// What of a tree was written since then, the last first, and when the last was. The tree as it was is not kept.
    fn written_within(&self, selection: &Arc<Selection>, since_ms: i64) -> (Option<i64>, Vec<String>) {
        let files = self.cache.files();
        let base = &selection.base;
        let mut found = Vec::new();
        let mut look = |path: &Path, is_directory: bool| {
            let Ok(Status { stamp, .. }) = files.system().link_status(path) else { return };
            // A file's other time tells of a rename and of permissions too; on some systems there is none.
            let changed = if cfg!(unix) && !is_directory { stamp.changed } else { stamp.modified };
            let written = stamp.modified.max(changed);
            if written / 1_000_000 >= since_ms {
                let below = path.strip_prefix(base).unwrap_or(path);
                let name =
                    if below.as_os_str().is_empty() { ".".into() } else { below.display().to_string() };
                found.push((written, if is_directory { format!("{name}/") } else { name }));
            }
        };
        look(base, true);
        if let Ok(snapshot) = files.snapshot(selection) {
            snapshot.for_each(base, &mut |path, entry, _| {
                let is_directory = entry.kind == DIRECTORY;
                if is_directory || selection.contents {
                    look(&path, is_directory);
                }
            });
        }
        found.sort_by(|a, b| b.cmp(a));
        (
            found.first().map(|(written, _)| *written / 1_000_000),
            found.into_iter().map(|(_, name)| name).collect(),
        )
    }

    fn lines(&self, path: &Path, before: Digest, after: Digest) -> Lines {
        let short = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= lines::LONGEST);
        // What the file holds may be newer than what is compared.
        match short.then(|| fs::read(path).ok()).flatten().filter(|now| Digest::of(now) == after) {
            Some(now) => lines::compare(self.store, &before, &now),
            None => match self.store.blob(&fleche_store::ValueDigest::new(after)) {
                Ok(Some(now)) => lines::compare(self.store, &before, &now),
                _ => Lines::NotStored,
            },
        }
    }
}
