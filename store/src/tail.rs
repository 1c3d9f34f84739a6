//! A tail: the frames of one segment that no index table covers, with an index in memory.
//!
//! The tail of this process's own segment grows with each put; those of others by scanning.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use crate::digest::CallId;
use crate::frame::Kind;
use crate::record::clock_and_call;
use crate::segment::Segment;
use crate::sync::{AtomicU32, AtomicU64, Mutex, RwLock};

/// What an index entry leads to, and by which digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Class {
    /// A value, by its digest.
    Value = 0,
    /// A record, by its key.
    Record = 1,
    /// A note, by its key.
    Note = 2,
    /// A record, by its call.
    Call = 3,
    /// A record, by a dependency that its trace names.
    Dependency = 4,
    /// A record, by its function's name.
    Function = 5,
}

impl Class {
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Value | Kind::Large => Self::Value,
            Kind::Record => Self::Record,
            Kind::Note => Self::Note,
        }
    }
}

/// Offsets of frames.
pub(crate) type Offsets = SmallVec<[u64; 4]>;

/// The frames of a segment from some offset on.
pub(crate) struct Tail {
    pub(crate) segment: Arc<Segment>,
    /// Where it begins.
    pub(crate) from: u64,
    /// Behind the last frame that is indexed here.
    end: AtomicU64,
    /// The process that appends here, or 0 if it is another that we must look after.
    owner: AtomicU32,
    /// The file's length at the last scan.
    scanned: Mutex<u64>,
    /// The same if a frame ended there; else 0.
    clean: AtomicU64,
    index: RwLock<Index>,
}

/// Entries in the order in which they came, and the newest of each class and leading bits by hashing.
#[derive(Default)]
struct Index {
    entries: Vec<Entry>,
    /// Half of the hash and one more than the number of an entry; 0 where there is none. The hash spares a look at the
    /// entry, which most likely is in no cache. A power of two, at most half full.
    slots: Vec<u64>,
    frames: u64,
}

struct Entry {
    lead: u64,
    offset: u64,
    class: Class,
    /// One more than the number of the one before with the same class and leading bits.
    before: u32,
}

impl Index {
    /// The slot of a class and leading bits: that of their newest entry, or the free one where it would be. And the
    /// number in it.
    fn slot(&self, class: Class, lead: u64) -> (usize, u32) {
        let mask = self.slots.len() - 1;
        let hash = hash(class, lead);
        let mut slot = (hash >> 32) as usize & mask;
        loop {
            let [tag, number] = halves(self.slots[slot]);
            let same = tag == low(hash)
                && self.entry(number).is_some_and(|entry| (entry.lead, entry.class) == (lead, class));
            if number == 0 || same {
                return (slot, number);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get((number as usize).checked_sub(1)?)
    }

    fn add(&mut self, class: Class, lead: u64, offset: u64) {
        if self.slots.len() < 2 * (self.entries.len() + 1) {
            self.slots = vec![0; (4 * self.entries.len()).next_power_of_two().max(64)];
            for entry in 0..self.entries.len() {
                let Entry { class, lead, .. } = self.entries[entry];
                self.entries[entry].before = self.enter(class, lead, entry);
            }
        }
        let before = self.enter(class, lead, self.entries.len());
        self.entries.push(Entry { lead, offset, class, before });
    }

    /// Puts an entry into its slot; gives the number that was there.
    fn enter(&mut self, class: Class, lead: u64, entry: usize) -> u32 {
        let (slot, before) = self.slot(class, lead);
        // A tail has far fewer entries than this could count: it ends at some thousand frames, or with its segment.
        let number = u32::try_from(entry + 1).unwrap_or(u32::MAX);
        self.slots[slot] = u64::from(low(hash(class, lead))) << 32 | u64::from(number);
        before
    }

    /// The entries of a class with these leading bits, newest first.
    fn find(&self, class: Class, lead: u64) -> impl Iterator<Item = &Entry> {
        let newest = if self.slots.is_empty() { 0 } else { self.slot(class, lead).1 };
        std::iter::successors(self.entry(newest), |entry| self.entry(entry.before))
    }
}

fn hash(class: Class, lead: u64) -> u64 {
    (lead ^ class as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn low(word: u64) -> u32 {
    halves(word)[1]
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
fn halves(word: u64) -> [u32; 2] {
    [(word >> 32) as u32, word as u32]
}

impl Tail {
    pub(crate) fn new(segment: Arc<Segment>, from: u64, owner: u32) -> Self {
        Self {
            segment,
            from,
            end: AtomicU64::new(from),
            owner: AtomicU32::new(owner),
            scanned: Mutex::new(0),
            clean: AtomicU64::new(0),
            index: RwLock::default(),
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn set_owner(&self, owner: u32) {
        self.owner.store(owner, Ordering::Relaxed);
    }

    pub(crate) fn is_owned_by(&self, pid: u32) -> bool {
        self.owner.load(Ordering::Relaxed) == pid
    }

    /// The frames indexed here, by number.
    pub(crate) fn frames(&self) -> u64 {
        self.index.read().frames
    }

    /// Indexes frames that were just written or found: offset, kind, leading bits, call. `end` lies behind the last.
    pub(crate) fn add(&self, frames: impl Iterator<Item = (u64, Kind, u64, Option<CallId>)>, end: u64) {
        let mut index = self.index.write();
        for (offset, kind, lead, call) in frames {
            index.frames += 1;
            index.add(Class::of(kind), lead, offset);
            if let Some(call) = call {
                index.add(Class::Call, call.digest().leading(), offset);
            }
        }
        drop(index);
        self.end.fetch_max(end, Ordering::AcqRel);
    }

    /// Makes room for as many entries as another has: the next tail will be like the last.
    pub(crate) fn expect_like(&self, other: &Self) {
        let (entries, slots) = {
            let index = other.index.read();
            (index.entries.len(), index.slots.len())
        };
        let mut index = self.index.write();
        if index.entries.is_empty() {
            index.entries.reserve(entries);
            index.slots = vec![0; slots];
        }
    }

    /// Where frames lie that may be the ones asked for, newest first.
    pub(crate) fn candidates(&self, class: Class, lead: u64) -> Offsets {
        self.index.read().find(class, lead).map(|entry| entry.offset).collect()
    }

    /// The offsets of all records.
    pub(crate) fn records(&self) -> Vec<u64> {
        let index = self.index.read();
        index.entries.iter().filter(|entry| entry.class == Class::Record).map(|entry| entry.offset).collect()
    }

    /// The entries of a class whose leading bits lie in a range.
    pub(crate) fn range(
        &self,
        class: Class,
        leads: &std::ops::RangeInclusive<u64>,
        out: &mut Vec<(u64, u64)>,
    ) {
        let index = self.index.read();
        let found = index.entries.iter().filter(|entry| entry.class == class && leads.contains(&entry.lead));
        out.extend(found.map(|entry| (entry.lead, entry.offset)));
    }

    /// Indexes what was appended since the last look. Returns the largest clock found, if anything was.
    pub(crate) fn catch_up(&self) -> Option<u64> {
        let clean = self.clean.load(Ordering::Acquire);
        if clean > 0 && self.segment.is_quiet_behind(clean) {
            return None;
        }
        let length = self.segment.length()?;
        let mut scanned = self.scanned.lock();
        if length <= *scanned {
            return None;
        }
        let mut clock = None;
        let scan = self.segment.scan(self.end(), &mut |offset, header, payload| {
            let record = if header.kind == Kind::Record { clock_and_call(payload) } else { None };
            clock = clock.max(Some(record.map_or(0, |(clock, _)| clock)));
            if header.live {
                let frame = (offset, header.kind, header.key.leading(), record.map(|(_, call)| call));
                self.add(std::iter::once(frame), self.from);
            }
        });
        let scan = scan.ok()?;
        self.end.fetch_max(scan.end, Ordering::AcqRel);
        *scanned = scan.length;
        self.clean.store(if scan.end == scan.length { scan.end } else { 0 }, Ordering::Release);
        clock
    }
}
