//! A fuzzer that runs on stable: opens and reads arbitrary bytes as segments and as tables.
//!
//! `FLECHE_FUZZ_SECONDS=600 cargo test -p fleche-store --release fuzz -- --nocapture`; the ordinary test run spends two
//! seconds. Half of the mutations are blind; the others know the format and mend the checks afterwards, to get past
//! them. Nothing may panic, crash or allocate without bound, and after blind ones nothing wrong may be read.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, Prefix};
use crate::digest::{CallKey, Digest, TypeFingerprint, ValueDigest};
use crate::disk::{Disk, Tuning};
use crate::frame::{HEADER, HEADER_SIZE, Header, Kind, Seed};
use crate::gc::GcOptions;
use crate::record::{Dependency, Edge, Identity, Record, Stored};
use crate::segment::SegmentId;
use crate::store::Options;
use crate::table::{SLOTS, TableHeader};

const FP: TypeFingerprint = TypeFingerprint(3);
const ENTRIES: u64 = 30;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    /// A number that hurts.
    fn number(&mut self) -> u64 {
        match self.next() % 6 {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << (self.next() % 64),
            3 => (1 << (self.next() % 64)) - 1,
            4 => self.next() % 200,
            _ => self.next(),
        }
    }
}

fn digest(i: u64) -> ValueDigest {
    ValueDigest::new(Digest::of(&i.to_le_bytes()))
}

fn bytes(i: u64) -> Vec<u8> {
    let length = if i == 7 { 17_000 } else { 50 + usize::try_from(i).unwrap() };
    i.to_le_bytes().into_iter().cycle().take(length).collect()
}

fn record(i: u64) -> Record {
    let dependency = Dependency::Input { kind: 1, name: b"in".to_vec() };
    let identity = Identity {
        function: "f".into(),
        package: "p".into(),
        module: format!("m{i}"),
        arguments: Vec::new(),
    };
    Record {
        identity,
        key: CallKey::new(Digest::of(&(i + 1000).to_le_bytes())),
        trace: vec![Edge { dependency, observed: Digest::of(b"seen") }],
        result: Stored { digest: digest(i), fingerprint: FP },
        meta: vec![("k".into(), "v".into())],
        created_ms: 0,
        clock: 0,
    }
}

/// Reads everything in every way. `exact`: what is found must be right.
fn exercise(disk: &Arc<Disk>, exact: bool) {
    for i in 0..ENTRIES {
        if let Some(found) = disk.value(&digest(i), FP).unwrap().filter(|found| exact && !found.is_mapped()) {
            assert_eq!(found[..], bytes(i)[..]);
        }
        let _ = disk.has_value(&digest(i), FP).unwrap();
        for found in disk.records(&record(i).key).unwrap() {
            assert!(!exact || found.says_the_same(&record(i)));
        }
        let call = record(i).identity.id();
        let _ = disk.newest(&call).unwrap();
        let _ = disk.history(&call).unwrap();
        if let Some(note) = disk.note(1, &digest(i).digest()).unwrap().filter(|_| exact) {
            assert_eq!(note, i.to_le_bytes());
        }
    }
    let _ = disk.dependents(&Dependency::Input { kind: 1, name: b"in".to_vec() }.id()).unwrap();
    let _ = disk.calls_of("f").unwrap();
    let _ = disk.resolve(Prefix::parse("").unwrap()).unwrap();
    let _ = disk.stats().unwrap();
    let _ = disk.verify(false).unwrap();
    disk.for_each_record(&mut |_| ControlFlow::Continue(())).unwrap();
}

fn files(dir: &Path, part: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(dir.join("v1").join(part)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn blind(random: &mut Random, content: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(content.len());
        match random.next() % 7 {
            0 => content.truncate(at),
            1 if !content.is_empty() => content[at] ^= 1 << random.below(8),
            2 => {
                let number = random.number().to_le_bytes();
                let end = content.len().min(at + 8);
                let length = end.saturating_sub(at);
                content[at..end].copy_from_slice(&number[..length]);
            }
            3 => {
                let end = content.len().min(at + random.below(300));
                content[at..end].fill(0);
            }
            4 => {
                let end = content.len().min(at + random.below(300));
                let copy = content[at..end].to_vec();
                let to = random.below(content.len());
                content.splice(to..to, copy);
            }
            5 => {
                let from = random.below(other.len());
                let end = other.len().min(from + random.below(500));
                content.splice(at..at, other[from..end].iter().copied());
            }
            _ => content.extend((0..random.below(200)).map(|i| u8::try_from(i).unwrap_or(7))),
        }
    }
}

/// Changes numbers in a table's header or entries and mends the check.
fn knowing_table(random: &mut Random, content: &mut Vec<u8>) {
    let Some(mut header) = TableHeader::parse(content, content.len() as u64) else { return };
    let old = header.size();
    for _ in 0..=random.below(3) {
        let number = random.number();
        match random.next() % 9 {
            0 => header.homes = number,
            1 => header.buckets = number,
            2 => header.reach = number,
            3 => header.entries = number,
            4 => header.postings[random.below(3)] = number,
            5 if random.next().is_multiple_of(2) => header.filter = number,
            5 => header.clock = number,
            6 => {
                if let Some(covered) = header.covered.first_mut() {
                    match random.next() % 3 {
                        0 => covered.from = number,
                        1 => covered.to = number,
                        _ => covered.segment = SegmentId([7; 16]),
                    }
                }
            }
            7 => header.covered.truncate(random.below(2)),
            _ => {
                // An entry: leading bits or place.
                let at = usize::try_from(old).unwrap() + random.below(content.len()) / 8 * 8;
                if let Some(word) = content.get_mut(at..at + 8) {
                    word.copy_from_slice(&number.to_le_bytes());
                }
            }
        }
    }
    let mut mended = header.bytes();
    mended.extend_from_slice(content.get(usize::try_from(old).unwrap()..).unwrap_or_default());
    // As long as the header says, if that is possible: else nothing looks any further.
    let postings: u64 = header.postings.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    let entries = header.buckets.saturating_mul(SLOTS).saturating_add(postings);
    let filter = header.filter.saturating_mul(8);
    let length = header.size().saturating_add(filter).saturating_add(entries.saturating_mul(16));
    if length < 1 << 20 {
        mended.resize(usize::try_from(length).unwrap(), 0);
    }
    *content = mended;
}

/// Changes a frame's header and mends its check.
fn knowing_segment(random: &mut Random, content: &mut [u8], id: SegmentId) {
    let seed = Seed::of(&id.0);
    let mut at = usize::try_from(HEADER).unwrap();
    let mut frames = Vec::new();
    while let Some(bytes) = content.get(at..).and_then(|rest| rest.first_chunk::<HEADER_SIZE>()) {
        let Some(header) = Header::parse(seed, bytes) else { break };
        frames.push((at, header));
        at += usize::try_from(header.total().unwrap()).unwrap();
    }
    for _ in 0..=random.below(3) {
        let (at, mut header) = frames[random.below(frames.len())];
        match random.next() % 5 {
            0 => header.length = random.number(),
            1 => header.fingerprint = TypeFingerprint(random.number()),
            2 => header.signed = !header.signed,
            3 => header.kind = [Kind::Value, Kind::Record, Kind::Note, Kind::Large][random.below(4)],
            _ => {
                // A payload that is anything, with a check that holds.
                let start = at + HEADER_SIZE;
                let end = start + usize::try_from(header.length).unwrap();
                for _ in 0..3 {
                    content[start + random.below(end - start)] =
                        u8::try_from(random.number() & 0xff).unwrap();
                }
                let payload = content[start..end].to_vec();
                header = Header::new(seed, header.kind, header.key, header.fingerprint, &payload, false);
            }
        }
        content[at..at + HEADER_SIZE].copy_from_slice(&header.bytes(seed));
    }
}

#[test]
fn fuzz_segments_and_tables() {
    let seconds = std::env::var("FLECHE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let seed = std::env::var("FLECHE_FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let mut random = Random(
        seed.unwrap_or_else(|| u64::from_le_bytes(*crate::layout::random().first_chunk().unwrap()) | 1),
    );
    let dir = tempfile::tempdir().unwrap();
    let tuning = Tuning { roll: 1 << 20, table: 25 };
    let disk = Disk::tuned(dir.path(), Options::default(), tuning).unwrap();
    for i in 0..ENTRIES {
        disk.put_record(&record(i), Some(&bytes(i))).unwrap();
        disk.put_note(1, &digest(i).digest(), &i.to_le_bytes()).unwrap();
    }
    disk.settle_down();
    drop(disk);
    let segment = files(dir.path(), "segments").remove(0);
    let tables = files(dir.path(), "tables");
    let id = SegmentId::parse_file_name(segment.file_name().unwrap().to_str().unwrap()).unwrap();
    let clean: Vec<(PathBuf, Vec<u8>)> = std::iter::once(&segment)
        .chain(&tables)
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let restore = |path: &Path, content: &[u8]| {
        let _ = std::fs::remove_file(path);
        std::fs::write(path, content).unwrap();
    };
    let begun = Instant::now();
    let mut rounds = 0u64;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let before = random.0;
        let (path, content) = &clean[random.below(clean.len())];
        let (_, other) = &clean[random.below(clean.len())];
        let mut mutated = content.clone();
        let exact = random.next().is_multiple_of(2);
        if exact {
            blind(&mut random, &mut mutated, other);
        } else if *path == segment {
            knowing_segment(&mut random, &mut mutated, id);
        } else {
            knowing_table(&mut random, &mut mutated);
        }
        restore(path, &mutated);
        let writes = random.next().is_multiple_of(8);
        let outcome = std::panic::catch_unwind(|| {
            let options = Options { read_only: true, ..Options::default() };
            exercise(&Disk::tuned(dir.path(), options, tuning).unwrap(), exact);
            if writes {
                let disk = Disk::tuned(dir.path(), Options::default(), tuning).unwrap();
                for i in 0..ENTRIES {
                    let _ = disk.put_record(&record(i), Some(&bytes(i)));
                }
                disk.settle_down();
                let _ = disk.verify(true);
                let _ = disk.gc(&GcOptions::default());
                exercise(&disk, exact);
            }
        });
        assert!(outcome.is_ok(), "again with FLECHE_FUZZ_SEED={before}, round {rounds}");
        if writes {
            // The worker may hold the store a moment longer, and its end writes a file.
            while std::fs::remove_dir_all(dir.path().join("v1")).is_err() {
                std::thread::yield_now();
            }
            for part in ["segments", "tables", "values", "touched"] {
                std::fs::create_dir_all(dir.path().join("v1").join(part)).unwrap();
            }
            for (path, content) in &clean {
                restore(path, content);
            }
        } else {
            restore(path, content);
        }
        rounds += 1;
    }
    eprintln!("{rounds} rounds");
}
