//! Reading: what a view gives for a digest, every candidate checked against its own frame.

use std::collections::HashMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::backend::TRACES;
use crate::blob::Large;
use crate::build::function_lead;
use crate::bytes::Bytes;
use crate::digest::{CallId, CallKey, DependencyId, Digest, TypeFingerprint, ValueDigest};
use crate::frame::{Header, Kind};
use crate::layout::Layout;
use crate::record::Record;
use crate::segment::{COPIED, Segment};
use crate::tail::Class;
use crate::view::View;

const ALL: RangeInclusive<u64> = 0..=u64::MAX;

/// A record and where it lies.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) record: Arc<Record>,
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
}

impl Found {
    fn lies_at(&self, segment: &Segment, offset: u64) -> bool {
        self.segment.id == segment.id && self.offset == offset
    }
}

/// Orders records of one key newest first and drops what newer ones replace: one per distinct trace, at most eight.
fn keep_newest(found: &mut Vec<Found>) {
    found.sort_by_key(|found| std::cmp::Reverse(found.record.clock));
    let mut kept: Vec<Found> = Vec::with_capacity(found.len().min(TRACES));
    for found in found.drain(..) {
        if kept.len() < TRACES && kept.iter().all(|newer| newer.record.trace != found.record.trace) {
            kept.push(found);
        }
    }
    *found = kept;
}

impl View {
    /// The live frames of a value.
    pub(crate) fn find_value<T>(
        &self,
        digest: &ValueDigest,
        fingerprint: TypeFingerprint,
        mut accept: impl FnMut(&Arc<Segment>, u64, &Header) -> Option<T>,
    ) -> Option<T> {
        let digest = digest.digest();
        self.find(Class::Value, digest.leading(), |segment, offset| {
            let header = segment.frame(offset)?;
            let right = header.live && header.key == digest && header.fingerprint == fingerprint;
            let right = right && matches!(header.kind, Kind::Value | Kind::Large);
            right.then(|| accept(segment, offset, &header))?
        })
    }

    fn collect(&self, class: Class, lead: u64, accept: impl Fn(&Record, CallId) -> bool) -> Vec<Found> {
        let mut all = Vec::new();
        self.find(class, lead, |segment, offset| {
            let record = segment.record_and_call(offset).filter(|(record, call)| accept(record, *call));
            all.extend(record.map(|(record, _)| Found {
                record: Arc::new(record),
                segment: segment.clone(),
                offset,
            }));
            None::<()>
        });
        all
    }

    /// What is kept of a key.
    pub(crate) fn kept(&self, key: &CallKey) -> Vec<Found> {
        let mut found = self.collect(Class::Record, key.digest().leading(), |record, _| record.key == *key);
        keep_newest(&mut found);
        found
    }

    pub(crate) fn records_of(&self, key: &CallKey) -> Vec<Arc<Record>> {
        self.kept(key).into_iter().map(|found| found.record).collect()
    }

    /// The kept records of a call, newest first.
    pub(crate) fn history_of(&self, call: &CallId) -> Vec<Found> {
        let found = self.collect(Class::Call, call.digest().leading(), |_, found| found == *call);
        let mut by_key: HashMap<CallKey, Vec<Found>> = HashMap::new();
        for found in found {
            by_key.entry(found.record.key).or_default().push(found);
        }
        let mut kept = Vec::new();
        for mut records in by_key.into_values() {
            keep_newest(&mut records);
            kept.append(&mut records);
        }
        kept.sort_by_key(|found| std::cmp::Reverse(found.record.clock));
        kept
    }

    /// The newest record of a call.
    pub(crate) fn newest_of(&self, call: &CallId) -> Option<Arc<Record>> {
        self.newest(Class::Call, call.digest().leading(), |_, found| found == *call).map(Arc::new)
    }

    /// The newest record of a key.
    pub(crate) fn newest_of_key(&self, key: &CallKey) -> Option<Record> {
        self.newest(Class::Record, key.digest().leading(), |found, _| found == *key)
    }

    /// The newest record among those that `is` takes. Which of them that is their heads tell; only what may be it is
    /// read, and checked: a damaged one leaves the place to the one before it. A table whose records are all older than
    /// the best found is not looked at.
    fn newest(&self, class: Class, lead: u64, is: impl Fn(CallKey, CallId) -> bool) -> Option<Record> {
        let head = |segment: &Arc<Segment>, offset: u64| {
            let (key, clock, call) = segment.record_head(offset)?;
            is(key, call).then(|| (clock, segment.clone(), offset))
        };
        let mut best: Option<Record> = None;
        let mut read = |mut heads: SmallVec<[(u64, Arc<Segment>, u64); TRACES]>| {
            heads.sort_unstable_by_key(|(clock, ..)| std::cmp::Reverse(*clock));
            for (clock, segment, offset) in heads {
                if best.as_ref().is_some_and(|best| best.clock >= clock) {
                    break;
                }
                let record = segment.record_and_call(offset).filter(|(record, call)| is(record.key, *call));
                best = record.map(|(record, _)| record).or(best.take());
            }
            best.as_ref().map_or(0, |best| best.clock)
        };
        let in_tails = self.tails.iter().flat_map(|tail| {
            tail.candidates(class, lead).into_iter().filter_map(|offset| head(&tail.segment, offset))
        });
        let mut clock = read(in_tails.collect());
        let mut tables: Vec<_> = self.tables.iter().collect();
        tables.sort_unstable_by_key(|table| std::cmp::Reverse(table.header.clock));
        for table in tables {
            if table.header.clock <= clock {
                break;
            }
            let mut heads = SmallVec::new();
            table.find(class, lead, &mut |segment, offset| {
                heads.extend(head(segment, offset));
                None::<()>
            });
            clock = read(heads);
        }
        best
    }

    /// Visits every kept record once.
    pub(crate) fn each_kept(&self, f: &mut dyn FnMut(Found) -> ControlFlow<()>) {
        self.range(Class::Record, &ALL, &mut |segment, offset| {
            let found = segment.record(offset).and_then(|record| self.kept_at(&record, segment, offset));
            found.is_none_or(|found| f(found).is_continue())
        });
    }

    /// This record, if it is among those that its key keeps, and if of several copies this is the one that counts.
    fn kept_at(&self, record: &Record, segment: &Segment, offset: u64) -> Option<Found> {
        self.kept(&record.key).into_iter().find(|found| found.lies_at(segment, offset))
    }

    /// The calls of kept records that `accept` takes, by a posting list where there is a table, else by looking.
    fn calls(&self, class: Class, lead: u64, accept: impl Fn(&Record) -> bool) -> Vec<CallId> {
        let mut calls = Vec::new();
        let mut consider = |segment: &Arc<Segment>, offset| {
            if let Some((record, call)) = segment.record_and_call(offset).filter(|(record, _)| accept(record))
                && self.kept_at(&record, segment, offset).is_some()
            {
                calls.push(call);
            }
            None::<()>
        };
        for tail in &self.tails {
            for offset in tail.records() {
                consider(&tail.segment, offset);
            }
        }
        for table in &self.tables {
            table.find(class, lead, &mut consider);
        }
        calls.sort_unstable();
        calls.dedup();
        calls
    }

    pub(crate) fn dependents(&self, dependency: &DependencyId) -> Vec<CallId> {
        let named = |record: &Record| record.trace.iter().any(|edge| edge.dependency.id() == *dependency);
        self.calls(Class::Dependency, dependency.digest().leading(), named)
    }

    pub(crate) fn calls_of(&self, function: &str) -> Vec<CallId> {
        self.calls(Class::Function, function_lead(function), |record| record.identity.function == function)
    }

    /// Visits every stored value and note once, by the copy that a lookup would find first.
    pub(crate) fn each_stored(&self, class: Class, f: &mut dyn FnMut(&Arc<Segment>, u64, &Header)) {
        self.range(class, &ALL, &mut |segment, offset| {
            if let Some(header) = segment.frame(offset).filter(|header| header.live) {
                let first = self.find(class, header.key.leading(), |other, at| {
                    let found = other.frame(at)?;
                    let same =
                        found.live && found.key == header.key && found.fingerprint == header.fingerprint;
                    same.then(|| other.id == segment.id && at == offset)
                });
                if first == Some(true) {
                    f(segment, offset, &header);
                }
            }
            true
        });
    }

    /// Is a sound copy stored? Small ones are read and checked, so that a damaged one is put again.
    pub(crate) fn has(&self, layout: &Layout, digest: &ValueDigest, fingerprint: TypeFingerprint) -> bool {
        self.find_value(digest, fingerprint, |segment, offset, header| {
            let there = match large(segment, offset, header) {
                Some(large) => large.is_there(layout, &digest.digest()),
                None if header.kind == Kind::Large => false,
                None if header.length < COPIED => segment.is_whole(offset, header),
                None => segment.payload(offset, header, false).is_some(),
            };
            there.then_some(())
        })
        .is_some()
    }

    pub(crate) fn note(&self, kind: u16, key: &Digest) -> Option<Vec<u8>> {
        self.find(Class::Note, key.leading(), |segment, offset| {
            let header = segment.frame(offset)?;
            let right = header.live && header.kind == Kind::Note && header.key == *key;
            let right = right && header.fingerprint.0 == u64::from(kind);
            right.then(|| Some(segment.payload(offset, &header, true)?.to_vec()))?
        })
    }
}

/// What the frame of a large value says.
pub(crate) fn large(segment: &Segment, offset: u64, header: &Header) -> Option<Large> {
    (header.kind == Kind::Large).then(|| Large::parse(&segment.payload(offset, header, true)?))?
}

/// The bytes of a large value. They are hashed first where nobody vouches for them: where a crash may have damaged them,
/// or a signature is asked for, which covers their digest. Once a process.
pub(crate) fn large_view(layout: &Layout, segment: &Segment, offset: u64, header: &Header) -> Option<Bytes> {
    let large = large(segment, offset, header)?;
    // The file's own mode says whether it is on the disk, so the frame's place in the segment does not matter.
    let synced = large.is_synced(layout, &header.key);
    let trusted = segment.trusts(offset, if synced { 0 } else { u64::MAX });
    if !trusted {
        if !large.is_whole(layout, &header.key) {
            return None;
        }
        segment.set_checked(offset);
    }
    large.view(layout, &header.key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Dependency, Edge, Identity, Stored};
    use crate::store::{Options, Store};
    use std::path::Path;

    /// One call, one key: the trace says which record it is.
    fn record(n: u8) -> Record {
        let function = String::from("f");
        let identity = Identity { function, package: "p".into(), module: "m".into(), arguments: Vec::new() };
        let result = Stored { digest: ValueDigest::new(Digest::of(&[n])), fingerprint: TypeFingerprint(1) };
        let dependency = Dependency::Input { kind: 1, name: vec![n] };
        let trace = vec![Edge { dependency, observed: Digest::of(b"o") }];
        let key = CallKey::new(Digest::of(b"k"));
        Record { identity, key, trace, result, meta: Vec::new(), created_ms: 0, clock: 0 }
    }

    fn open(dir: &Path) -> Store {
        Store::open_tuned(dir, Options::default(), 1 << 20, 2).unwrap()
    }

    fn newest(store: &Store) -> Option<(Digest, Digest)> {
        let by_call = store.newest(&record(0).identity.id()).unwrap()?.result.digest.digest();
        let by_key = store.records(&record(0).key).unwrap().first()?.result.digest.digest();
        Some((by_call, by_key))
    }

    #[test]
    fn a_damaged_newest_record_leaves_its_place_to_the_one_before() {
        // In tails, and with tables beneath.
        for records in [2, 5] {
            let dir = tempfile::tempdir().unwrap();
            let store = open(dir.path());
            for n in 0..records {
                store.put_record(&record(n)).unwrap();
            }
            store.settle();
            drop(store);
            let [segment] = &std::fs::read_dir(dir.path().join("v1/segments"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect::<Vec<_>>()[..]
            else {
                panic!("one segment");
            };
            let whole = std::fs::read(segment).unwrap();
            let last = Digest::of(&[records - 1]);
            let place = whole.windows(32).rposition(|bytes| bytes == last.as_bytes()).unwrap();
            let digest = |n: u8| Digest::of(&[n]);
            // Clock, call, result, fingerprint: the head, where damage decides what is read first, and a little more.
            for at in place - 40..place + 40 {
                for bit in [0, 7] {
                    let mut damaged = whole.clone();
                    damaged[at] ^= 1 << bit;
                    std::fs::write(segment, &damaged).unwrap();
                    let before = digest(records - 2);
                    assert_eq!(newest(&open(dir.path())), Some((before, before)), "{at} {bit}");
                    let view = |store: &Store| store.put_record(&record(records - 2)).unwrap();
                    // What is put is compared with the newest that is sound.
                    let clock = view(&open(dir.path()));
                    assert_eq!(clock, u64::from(records) - 1, "{at} {bit}");
                }
            }
            std::fs::write(segment, &whole).unwrap();
            let last = digest(records - 1);
            assert_eq!(newest(&open(dir.path())), Some((last, last)));
        }
    }
}
