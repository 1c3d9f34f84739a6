//! A tail: the frames of one segment that no index table covers, with an index in memory.
//!
//! The tail of this process's own segment grows with each put; those of others by scanning.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::digest::CallId;
use crate::frame::Kind;
use crate::record::clock_and_call;
use crate::segment::Segment;

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
    index: RwLock<Index>,
}

#[derive(Default)]
struct Index {
    slots: HashMap<(Class, u64), SmallVec<[u64; 1]>, BuildHasherDefault<DigestHasher>>,
    records: Vec<u64>,
    frames: u64,
}

impl Tail {
    pub(crate) fn new(segment: Arc<Segment>, from: u64, owner: u32) -> Self {
        Self {
            segment,
            from,
            end: AtomicU64::new(from),
            owner: AtomicU32::new(owner),
            scanned: Mutex::new(0),
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

    /// Indexes a frame that was just written or found. `end` lies behind it.
    pub(crate) fn add(&self, offset: u64, end: u64, kind: Kind, lead: u64, call: Option<CallId>) {
        let mut index = self.index.write();
        index.frames += 1;
        index.slots.entry((Class::of(kind), lead)).or_default().push(offset);
        if let Some(call) = call {
            index.slots.entry((Class::Call, call.digest().leading())).or_default().push(offset);
            index.records.push(offset);
        }
        drop(index);
        self.end.fetch_max(end, Ordering::AcqRel);
    }

    /// Where frames lie that may be the ones asked for, newest first.
    pub(crate) fn candidates(&self, class: Class, lead: u64) -> Offsets {
        let index = self.index.read();
        index
            .slots
            .get(&(class, lead))
            .map_or_else(Offsets::new, |offsets| offsets.iter().rev().copied().collect())
    }

    /// The offsets of all records.
    pub(crate) fn records(&self) -> Vec<u64> {
        self.index.read().records.clone()
    }

    /// The entries of some classes whose leading bits lie in a range.
    pub(crate) fn range(
        &self,
        class: Class,
        leads: &std::ops::RangeInclusive<u64>,
        out: &mut Vec<(u64, u64)>,
    ) {
        let index = self.index.read();
        for ((found, lead), offsets) in &index.slots {
            if *found == class && leads.contains(lead) {
                out.extend(offsets.iter().map(|offset| (*lead, *offset)));
            }
        }
    }

    /// Indexes what was appended since the last look. Returns the largest clock found, if anything was.
    pub(crate) fn catch_up(&self) -> Option<u64> {
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
                self.add(offset, self.from, header.kind, header.key.leading(), record.map(|(_, call)| call));
            }
        });
        let scan = scan.ok()?;
        self.end.fetch_max(scan.end, Ordering::AcqRel);
        *scanned = scan.length;
        clock
    }
}

/// Digests are their own hash.
#[derive(Default)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.cast_unsigned() as u64);
    }
}
