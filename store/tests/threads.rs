//! Threads of one process on one store: what one put, every other finds at once, whatever upkeep does meanwhile.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{FP, bytes, record, value};
use fleche_store::{Options, Store};

const WRITERS: u64 = 3;
const EACH: u64 = 600;

#[test]
fn a_put_is_visible_to_other_threads_at_once_through_turns_rolls_and_merges() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_tuned(dir.path(), Options::default(), 60_000, 16).unwrap();
    let done: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (writer, done) in done.iter().enumerate() {
            let store = store.clone();
            scope.spawn(move || {
                let start = writer as u64 * 10_000;
                for i in start..start + EACH {
                    store.put_result(&record(i, 0, i, i), &bytes(i, 100)).unwrap();
                    // Every writer also puts the same shared records, so that clocks and traces race.
                    store.put_record(&record(7, 1, i % 3, i)).unwrap();
                    done.store(i - start + 1, Ordering::Release);
                }
            });
        }
        for reader in 0..2u64 {
            let (store, done, ended) = (store.clone(), &done, &ended);
            scope.spawn(move || {
                let mut random = reader + 1;
                let mut looks = 0;
                while !ended.load(Ordering::Acquire) {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let writer = random >> 33 & 0xff;
                    let writer = writer % WRITERS;
                    let count = done[usize::try_from(writer).unwrap()].load(Ordering::Acquire);
                    if count == EACH && looks > 5000 {
                        break;
                    }
                    let Some(back) = (random >> 45).checked_rem(count) else { continue };
                    let i = writer * 10_000 + count - 1 - back;
                    assert_eq!(
                        store.value(&value(i), FP).unwrap().as_deref(),
                        Some(&bytes(i, 100)[..]),
                        "{i}"
                    );
                    assert_eq!(store.records(&record(i, 0, i, i).key).unwrap().len(), 1, "{i}");
                    looks += 1;
                }
            });
        }
        scope.spawn(|| {
            while done.iter().any(|done| done.load(Ordering::Acquire) < EACH) {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            ended.store(true, Ordering::Release);
        });
    });
    store.settle();
    let shared = store.records(&record(7, 1, 0, 0).key).unwrap();
    assert_eq!(shared.len(), 3, "three traces");
    assert!(shared.is_sorted_by(|a, b| a.clock > b.clock));
    let mut clocks = std::collections::HashSet::new();
    store
        .for_each_record(&mut |record| {
            assert!(clocks.insert(record.clock), "two records at one logical time");
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(clocks.len() as u64, WRITERS * EACH + 3);
    assert_eq!(store.verify(false).unwrap().damage, []);
}
