//! Random operations on a store, compared with a list of what was put; in memory and on disk alike.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use common::{FP, bytes, identity, input, record, value};
use fleche_store::{CallId, GcOptions, Named, Options, Put, Record, Store, TypeFingerprint};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Op {
    PutValue {
        value: u64,
        fingerprint: u64,
        size: usize,
    },
    PutRecord {
        call: u64,
        code: u64,
        seen: u64,
        result: u64,
        with_value: bool,
    },
    PutNote {
        kind: u16,
        key: u64,
        byte: u8,
    },
    /// Many records with their values at once: call, code, what was seen, result.
    PutAll {
        results: Vec<(u64, u64, u64, u64)>,
    },
    EvictCall {
        call: u64,
    },
    EvictValue {
        value: u64,
        fingerprint: u64,
    },
    Reopen,
    Settle,
    Gc,
    Verify,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let sizes = prop::sample::select(vec![0usize, 1, 100, 5_000, 20_000, 70_000]);
    let op = prop_oneof![
        4 => (0..6u64, 0..2u64, sizes).prop_map(|(value, fingerprint, size)| Op::PutValue { value, fingerprint, size }),
        10 => (0..3u64, 0..2u64, 0..12u64, 0..4u64, any::<bool>()).prop_map(
            |(call, code, seen, result, with_value)| Op::PutRecord { call, code, seen, result, with_value }),
        2 => (0..2u16, 0..3u64, any::<u8>()).prop_map(|(kind, key, byte)| Op::PutNote { kind, key, byte }),
        2 => prop::collection::vec((0..3u64, 0..2u64, 0..12u64, 0..4u64), 0..20)
            .prop_map(|results| Op::PutAll { results }),
        1 => (0..3u64).prop_map(|call| Op::EvictCall { call }),
        1 => (0..6u64, 0..2u64).prop_map(|(value, fingerprint)| Op::EvictValue { value, fingerprint }),
        2 => Just(Op::Reopen),
        2 => Just(Op::Settle),
        1 => Just(Op::Gc),
        1 => Just(Op::Verify),
    ];
    prop::collection::vec(op, 1..60)
}

/// What a store should hold.
#[derive(Default)]
struct Model {
    values: BTreeMap<(u64, u64), Vec<u8>>,
    /// In the order they were put, replaced ones removed.
    records: Vec<Record>,
    notes: BTreeMap<(u16, u64), Vec<u8>>,
}

fn fp(i: u64) -> TypeFingerprint {
    TypeFingerprint(FP.0 + i)
}

impl Model {
    /// Newest first.
    fn of_key(&self, record: &Record) -> Vec<&Record> {
        self.records.iter().rev().filter(|other| other.key == record.key).collect()
    }

    fn put_record(&mut self, record: Record) {
        if self.of_key(&record).first().is_some_and(|newest| newest.says_the_same(&record)) {
            return;
        }
        self.records.retain(|other| other.key != record.key || other.trace != record.trace);
        if self.of_key(&record).len() == 8 {
            let oldest = self.records.iter().position(|other| other.key == record.key).unwrap();
            self.records.remove(oldest);
        }
        self.records.push(record);
    }
}

/// Without the clock, which only has to rise.
fn plain(record: &Record) -> Record {
    Record { clock: 0, ..record.clone() }
}

/// `tuning`: where segments roll and tails get tables.
fn run(ops: &[Op], dir: Option<&Path>, (roll, table): (u64, u64)) {
    let on_disk = |dir| Store::open_tuned(dir, Options::default(), roll, table).unwrap();
    let open = || dir.map_or_else(Store::memory, on_disk);
    let mut store = open();
    let mut model = Model::default();
    let mut last_clock = 0;
    for op in ops {
        match op {
            Op::PutValue { value: v, fingerprint, size } => {
                store.put_value(value(*v), fp(*fingerprint), &bytes(*v, *size)).unwrap();
                model.values.entry((*v, *fingerprint)).or_insert_with(|| bytes(*v, *size));
            }
            Op::PutRecord { call, code, seen, result, with_value } => {
                let record = record(*call, *code, *seen, *result);
                let clock = if *with_value {
                    model.values.entry((*result, 0)).or_insert_with(|| bytes(*result, 100));
                    store.put_result(&record, &bytes(*result, 100)).unwrap()
                } else {
                    store.put_record(&record).unwrap()
                };
                let again = model.of_key(&record).first().is_some_and(|newest| newest.says_the_same(&record));
                assert!(again || clock > last_clock);
                last_clock = last_clock.max(clock);
                model.put_record(record);
            }
            Op::PutNote { kind, key, byte } => {
                store.put_note(*kind, &common::digest("note", *key), &[*byte]).unwrap();
                model.notes.entry((*kind, *key)).or_insert_with(|| vec![*byte]);
            }
            Op::PutAll { results } => {
                let made = |(call, code, seen, result): &(u64, u64, u64, u64)| {
                    (record(*call, *code, *seen, *result), bytes(*result, 100))
                };
                let made: Vec<_> = results.iter().map(made).collect();
                let puts: Vec<_> = made.iter().map(|(record, bytes)| Put::Result(record, bytes)).collect();
                store.put_all(&puts).unwrap();
                for ((.., result), (record, bytes)) in results.iter().zip(made) {
                    model.values.entry((*result, 0)).or_insert(bytes);
                    model.put_record(record);
                }
            }
            Op::EvictCall { call } => {
                let id = identity(*call).id();
                let count = model.records.iter().filter(|record| record.identity.id() == id).count();
                model.records.retain(|record| record.identity.id() != id);
                // A number that only an evicted record had may come again.
                last_clock = 0;
                assert_eq!(store.evict_call(&id).unwrap(), count as u64);
            }
            Op::EvictValue { value: v, fingerprint } => {
                let there = model.values.remove(&(*v, *fingerprint)).is_some();
                assert_eq!(store.evict_value(&value(*v), fp(*fingerprint)).unwrap() > 0, there);
            }
            Op::Reopen if dir.is_some() => {
                drop(store);
                store = open();
            }
            Op::Reopen => {}
            Op::Settle => store.settle(),
            Op::Gc => {
                let dry = store.gc(&GcOptions { dry_run: true, ..GcOptions::default() }).unwrap();
                compare(&store, &model);
                let report = store.gc(&GcOptions::default()).unwrap();
                assert_eq!((report.records_kept, report.records_dropped), (model.records.len() as u64, 0));
                assert_eq!(report.values_dropped, dry.values_dropped);
                let before = model.values.len();
                model.values.retain(|(v, _), _| {
                    let argument = |r: &Record| r.identity.arguments[0].digest == value(*v);
                    model.records.iter().any(|r| r.result.digest == value(*v) || argument(r))
                });
                assert_eq!(report.values_dropped, (before - model.values.len()) as u64);
            }
            Op::Verify => {
                let report = store.verify(true).unwrap();
                assert_eq!(report.damage, []);
                assert!(
                    report.sound >= (model.values.len() + model.records.len() + model.notes.len()) as u64
                );
            }
        }
        compare(&store, &model);
    }
}

fn compare(store: &Store, model: &Model) {
    for v in 0..6 {
        for f in 0..2 {
            let expected = model.values.get(&(v, f));
            assert_eq!(store.value(&value(v), fp(f)).unwrap().as_deref(), expected.map(Vec::as_slice));
            assert_eq!(store.has_value(&value(v), fp(f)).unwrap(), expected.is_some());
            let length = store.value_length(&value(v), fp(f)).unwrap();
            assert_eq!(length, expected.map(|bytes| bytes.len() as u64));
        }
    }
    for call in 0..3 {
        let id = identity(call).id();
        for code in 0..2 {
            let sample = record(call, code, 0, 0);
            let found: Vec<_> = store.records(&sample.key).unwrap().iter().map(|r| plain(r)).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), model.of_key(&sample));
        }
        let expected: Vec<_> =
            model.records.iter().rev().filter(|r| r.identity.id() == id).cloned().collect();
        let history: Vec<_> = store.history(&id).unwrap().iter().map(|r| plain(r)).collect();
        assert_eq!(history, expected);
        assert_eq!(store.newest(&id).unwrap().map(|r| plain(&r)), expected.first().cloned());
    }
    let calls = |f: &dyn Fn(&Record) -> bool| -> Vec<CallId> {
        let calls: BTreeSet<_> = model.records.iter().filter(|r| f(r)).map(|r| r.identity.id()).collect();
        calls.into_iter().collect()
    };
    for i in 0..4 {
        let expected = calls(&|record| record.trace.iter().any(|edge| edge.dependency == input(i)));
        assert_eq!(store.dependents(&input(i).id()).unwrap(), expected);
    }
    for function in ["demo::f0", "demo::f1", "demo::f9"] {
        assert_eq!(store.calls_of(function).unwrap(), calls(&|record| record.identity.function == function));
    }
    let mut all = Vec::new();
    store
        .for_each_record(&mut |record| {
            all.push(plain(&record));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(all.len(), model.records.len());
    assert!(model.records.iter().all(|record| all.contains(record)));
    let mut named: BTreeSet<_> = model.values.keys().map(|(v, f)| Named::Value(value(*v), fp(*f))).collect();
    named.extend(model.records.iter().flat_map(|r| [Named::Call(r.identity.id()), Named::Key(r.key)]));
    assert_eq!(store.resolve("").unwrap(), named.iter().copied().collect::<Vec<_>>());
    if let Some(one) = named.first() {
        let text = one.digest().to_string();
        assert!(store.resolve(&text[..9]).unwrap().contains(one));
        assert!(store.resolve(&text).unwrap().contains(one));
    }
    for kind in 0..2 {
        for key in 0..3 {
            let note = store.note(kind, &common::digest("note", key)).unwrap();
            assert_eq!(note.as_ref(), model.notes.get(&(kind, key)));
        }
    }
    let stats = store.stats().unwrap();
    assert_eq!(stats.values, model.values.len() as u64);
    assert_eq!(stats.value_bytes, model.values.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert_eq!(stats.records, model.records.len() as u64);
    assert_eq!(stats.notes, model.notes.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn memory_holds_what_was_put(ops in ops()) {
        run(&ops, None, (0, 0));
    }

    #[test]
    fn disk_holds_what_was_put(ops in ops()) {
        let dir = tempfile::tempdir().unwrap();
        run(&ops, Some(dir.path()), (256 << 20, 16 << 10));
    }

    #[test]
    fn disk_holds_what_was_put_with_many_tables(ops in ops(), table in 1u64..6) {
        let dir = tempfile::tempdir().unwrap();
        run(&ops, Some(dir.path()), (256 << 20, table));
    }

    #[test]
    fn disk_holds_what_was_put_in_many_segments(ops in ops(), roll in 1_000u64..50_000, table in 1u64..30) {
        let dir = tempfile::tempdir().unwrap();
        run(&ops, Some(dir.path()), (roll, table));
    }
}
