//! A store in memory: the same semantics as on disk, gone with its last handle.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use rkyv::util::AlignedVec;

use crate::backend::{Backend, Prefix, keep_newest};
use crate::bytes::Bytes;
use crate::digest::{CallId, CallKey, DependencyId, Digest, TypeFingerprint, ValueDigest};
use crate::error::{Error, Result};
use crate::gc::{GcOptions, GcReport};
use crate::pin::Pins;
use crate::put::Put;
use crate::record::Record;
use crate::store::{Named, Stats};
use crate::verify::VerifyReport;

/// Everything that was put, in maps.
#[derive(Default)]
pub(crate) struct Memory {
    state: RwLock<State>,
    pins: Arc<Pins>,
}

#[derive(Default)]
struct State {
    values: HashMap<(ValueDigest, TypeFingerprint), Bytes>,
    /// Newest first, one per trace, at most eight.
    records: HashMap<CallKey, Vec<Arc<Record>>>,
    keys: HashMap<CallId, Vec<CallKey>>,
    notes: HashMap<(u16, Digest), Vec<u8>>,
    clock: u64,
}

impl State {
    fn all(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.values().flatten()
    }

    fn of_call(&self, call: &CallId) -> impl Iterator<Item = &Arc<Record>> {
        self.keys.get(call).into_iter().flatten().filter_map(|key| self.records.get(key)).flatten()
    }

    fn value(&mut self, digest: ValueDigest, fingerprint: TypeFingerprint, bytes: &[u8]) {
        self.values.entry((digest, fingerprint)).or_insert_with(|| Bytes::copied(bytes));
    }

    fn record(&mut self, record: &Record) -> u64 {
        let kept = self.records.entry(record.key).or_default();
        if let Some(newest) = kept.first().filter(|newest| newest.says_the_same(record)) {
            return newest.clock;
        }
        self.clock += 1;
        kept.push(Arc::new(Record { clock: self.clock, ..record.clone() }));
        keep_newest(kept);
        let keys = self.keys.entry(record.identity.id()).or_default();
        if !keys.contains(&record.key) {
            keys.push(record.key);
        }
        self.clock
    }
}

impl Backend for Memory {
    fn put_all(&self, puts: &[Put<'_>]) -> Result<u64> {
        let mut state = self.state.write();
        let mut clock = 0;
        for put in puts {
            match *put {
                Put::Value { digest, fingerprint, bytes } => state.value(digest, fingerprint, bytes),
                Put::Note { kind, key, bytes } => {
                    state.notes.entry((kind, key)).or_insert_with(|| bytes.to_vec());
                }
                Put::Record(record) => clock = state.record(record),
                Put::Result(record, bytes) => {
                    state.value(record.result.digest, record.result.fingerprint, bytes);
                    clock = state.record(record);
                }
            }
        }
        Ok(clock)
    }

    fn value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<Bytes>> {
        Ok(self.state.read().values.get(&(*digest, fingerprint)).cloned())
    }

    fn value_length(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<u64>> {
        Ok(self.value(digest, fingerprint)?.map(|bytes| bytes.len() as u64))
    }

    fn has_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<bool> {
        Ok(self.state.read().values.contains_key(&(*digest, fingerprint)))
    }

    fn put_blob(&self, file: &Path) -> Result<(ValueDigest, u64)> {
        let mut bytes = AlignedVec::new();
        let mut from = File::open(file).map_err(|e| Error::io(file, e))?;
        let mut block = [0; 16 * 1024];
        loop {
            match from.read(&mut block).map_err(|e| Error::io(file, e))? {
                0 => break,
                n => bytes.extend_from_slice(&block[..n]),
            }
        }
        let digest = ValueDigest::new(Digest::of(&bytes));
        let length = bytes.len() as u64;
        self.state
            .write()
            .values
            .entry((digest, TypeFingerprint::BLOB))
            .or_insert_with(|| Bytes::owned(bytes));
        Ok((digest, length))
    }

    fn copy_blob(&self, digest: &ValueDigest, to: &Path) -> Result<bool> {
        let Some(bytes) = self.value(digest, TypeFingerprint::BLOB)? else { return Ok(false) };
        let mut file = File::create_new(to).map_err(|e| Error::io(to, e))?;
        std::io::Write::write_all(&mut file, &bytes).map_err(|e| Error::io(to, e))?;
        Ok(true)
    }

    fn records(&self, key: &CallKey) -> Result<Vec<Arc<Record>>> {
        Ok(self.state.read().records.get(key).cloned().unwrap_or_default())
    }

    fn newest(&self, call: &CallId) -> Result<Option<Arc<Record>>> {
        Ok(self.state.read().of_call(call).max_by_key(|record| record.clock).cloned())
    }

    fn history(&self, call: &CallId) -> Result<Vec<Arc<Record>>> {
        let mut records: Vec<_> = self.state.read().of_call(call).cloned().collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.clock));
        Ok(records)
    }

    fn dependents(&self, dependency: &DependencyId) -> Result<Vec<CallId>> {
        let state = self.state.read();
        let mut calls: Vec<_> = state
            .all()
            .filter(|record| record.trace.iter().any(|edge| edge.dependency.id() == *dependency))
            .map(|record| record.identity.id())
            .collect();
        calls.sort_unstable();
        calls.dedup();
        Ok(calls)
    }

    fn calls_of(&self, function: &str) -> Result<Vec<CallId>> {
        let state = self.state.read();
        let mut calls: Vec<_> =
            state.all().filter(|r| r.identity.function == function).map(|r| r.identity.id()).collect();
        calls.sort_unstable();
        calls.dedup();
        Ok(calls)
    }

    fn for_each_record(&self, f: &mut dyn FnMut(Arc<Record>) -> ControlFlow<()>) -> Result<()> {
        let records: Vec<_> = self.state.read().all().cloned().collect();
        for record in records {
            if f(record).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn resolve(&self, prefix: Prefix) -> Result<Vec<Named>> {
        let state = self.state.read();
        let calls = state.all().map(|r| r.identity.id()).map(Named::Call);
        let keys = state.all().map(|r| Named::Key(r.key));
        let values = state.values.keys().map(|(digest, fingerprint)| Named::Value(*digest, *fingerprint));
        let mut found: Vec<_> =
            calls.chain(keys).chain(values).filter(|named| prefix.matches(&named.digest())).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn note(&self, kind: u16, key: &Digest) -> Result<Option<Vec<u8>>> {
        Ok(self.state.read().notes.get(&(kind, *key)).cloned())
    }

    fn overruled(&self) -> Result<u64> {
        Ok(0)
    }

    fn overrule(&self) -> Result<u64> {
        Ok(0)
    }

    /// There is no later process to keep it for.
    fn put_aside(&self, _name: &Digest, _overruled: u64, _content: &[u8]) -> Result<()> {
        Ok(())
    }

    fn aside(&self, _name: &Digest) -> Result<Option<Bytes>> {
        Ok(None)
    }

    fn evict_call(&self, call: &CallId) -> Result<u64> {
        let mut state = self.state.write();
        let keys = state.keys.remove(call).unwrap_or_default();
        Ok(keys.iter().filter_map(|key| state.records.remove(key)).map(|records| records.len() as u64).sum())
    }

    fn evict_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<u64> {
        let pins = self.pins.hold();
        if pins.keep(digest, fingerprint) {
            return Ok(0);
        }
        Ok(u64::from(self.state.write().values.remove(&(*digest, fingerprint)).is_some()))
    }

    fn stats(&self) -> Result<Stats> {
        let state = self.state.read();
        Ok(Stats {
            values: state.values.len() as u64,
            value_bytes: state.values.values().map(|bytes| bytes.len() as u64).sum(),
            records: state.all().count() as u64,
            notes: state.notes.len() as u64,
            ..Stats::default()
        })
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn dir(&self) -> Option<&Path> {
        None
    }

    /// Memory has no times of use: only values that no record reaches go, and blobs stay.
    fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        let pins = self.pins.hold();
        let mut state = self.state.write();
        let mut reached = HashSet::new();
        for record in state.all() {
            reached.insert(record.result.digest);
            reached.extend(record.identity.arguments.iter().map(|argument| argument.digest));
        }
        let mut report = GcReport { records_kept: state.all().count() as u64, ..GcReport::default() };
        let blobs = |fingerprint: &TypeFingerprint| *fingerprint == TypeFingerprint::BLOB;
        let stays = |(digest, fingerprint): &(ValueDigest, TypeFingerprint)| {
            reached.contains(digest) || blobs(fingerprint) || pins.keep(digest, *fingerprint)
        };
        for (key, bytes) in &state.values {
            let length = bytes.len() as u64;
            if stays(key) {
                report.bytes_kept += length;
            } else {
                report.values_dropped += 1;
                report.bytes_dropped += length;
            }
        }
        if !options.dry_run {
            report.bytes_freed = report.bytes_dropped;
            state.values.retain(|key, _| stays(key));
        }
        Ok(report)
    }

    /// Memory does not rot.
    fn verify(&self, _repair: bool) -> Result<VerifyReport> {
        let state = self.state.read();
        let sound = state.values.len() + state.all().count() + state.notes.len();
        Ok(VerifyReport { sound: sound as u64, ..VerifyReport::default() })
    }

    fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    fn merge_all(&self) -> Result<u64> {
        Ok(0)
    }

    fn settle(&self) {}
}
