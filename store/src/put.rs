//! Puts: what can be put, and how any number of them becomes one write.
//!
//! A put of one thing is a batch of one. Nothing is acknowledged before the write that holds it has returned, and a
//! record is never written before its value.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use smallvec::SmallVec;

use crate::blob::{LARGE, Pending as PendingFile};
use crate::digest::{CallId, CallKey, Digest, TypeFingerprint, ValueDigest};
use crate::disk::Disk;
use crate::error::Result;
use crate::frame::{HEADER, Kind};
use crate::record::Record;
use crate::view::View;
use crate::writer::{Frame, Writer};

/// One of the things that [`crate::Store::put_all`] takes.
#[derive(Debug, Clone, Copy)]
pub enum Put<'a> {
    /// A value, see [`crate::Store::put_value`].
    Value {
        /// Its digest.
        digest: ValueDigest,
        /// The fingerprint of its type.
        fingerprint: TypeFingerprint,
        /// What is stored.
        bytes: &'a [u8],
    },
    /// A record, see [`crate::Store::put_record`].
    Record(&'a Record),
    /// A record with the bytes of its result, see [`crate::Store::put_result`].
    Result(&'a Record, &'a [u8]),
    /// A note, see [`crate::Store::put_note`].
    Note {
        /// What sort of note.
        kind: u16,
        /// What it is about.
        key: Digest,
        /// What it says.
        bytes: &'a [u8],
    },
}

/// So much is gathered before it is written.
const GATHERED: u64 = 4 << 20;

/// A frame that is going to be written.
struct Pending<'a> {
    kind: Kind,
    key: Digest,
    fingerprint: TypeFingerprint,
    call: Option<CallId>,
    payload: Payload<'a>,
}

enum Payload<'a> {
    Given(&'a [u8]),
    /// Of a record: where its bytes are among the encoded ones.
    Encoded(Range<usize>),
}

impl<'a> Pending<'a> {
    fn frame<'b>(&self, encoded: &'b [u8]) -> Frame<'b>
    where
        'a: 'b,
    {
        let payload = match &self.payload {
            Payload::Given(bytes) => bytes,
            Payload::Encoded(range) => &encoded[range.clone()],
        };
        Frame { kind: self.kind, key: self.key, fingerprint: self.fingerprint, payload, call: self.call }
    }
}

/// What is gathered for the next write.
struct Batch<'a> {
    disk: &'a Disk,
    view: Arc<View>,
    frames: SmallVec<[Pending<'a>; 2]>,
    /// The byte forms of records, one after the other.
    encoded: Vec<u8>,
    size: u64,
    /// What this batch has already, which the view does not show. Empty if it is a batch of one.
    entries: HashSet<(Kind, Digest, TypeFingerprint)>,
    newest: HashMap<CallKey, &'a Record>,
    alone: bool,
    /// The logical time of the last record.
    clock: u64,
}

impl Disk {
    /// Puts everything, in order. Returns the logical time of the last record, or that of the one that says the same.
    pub(crate) fn put_batch(&self, puts: &[Put<'_>]) -> Result<u64> {
        self.writable()?;
        if puts.iter().any(|put| matches!(put, Put::Record(_) | Put::Result(..))) {
            // The clock must be later than any that another process gave, or its older record would win.
            self.refresh();
        }
        // A batch of one needs neither set.
        let many = if puts.len() == 1 { 0 } else { puts.len() };
        let mut batch = Batch {
            disk: self,
            view: self.views.get(),
            frames: SmallVec::new(),
            encoded: Vec::new(),
            size: 0,
            entries: HashSet::with_capacity(many),
            newest: HashMap::with_capacity(many),
            alone: puts.len() == 1,
            clock: 0,
        };
        for put in puts {
            match *put {
                Put::Value { digest, fingerprint, bytes } => batch.value(digest, fingerprint, bytes)?,
                Put::Note { kind, key, bytes } => batch.note(kind, key, bytes)?,
                Put::Record(record) => batch.record(record)?,
                Put::Result(record, bytes) => {
                    batch.value(record.result.digest, record.result.fingerprint, bytes)?;
                    batch.record(record)?;
                }
            }
        }
        batch.flush()?;
        Ok(batch.clock)
    }
}

impl<'a> Batch<'a> {
    fn value(&mut self, digest: ValueDigest, fingerprint: TypeFingerprint, bytes: &'a [u8]) -> Result<()> {
        let entry = (Kind::Value, digest.digest(), fingerprint);
        if self.entries.contains(&entry) || self.view.has(&self.disk.layout, &digest, fingerprint) {
            return Ok(());
        }
        if bytes.len() >= LARGE {
            // In a file of its own, and named at once: its record comes later.
            let pending = PendingFile::write(&self.disk.layout, bytes)?;
            self.disk.put_large(pending, digest, fingerprint)?;
            self.note_entry(entry);
            return Ok(());
        }
        self.note_entry(entry);
        let payload = Payload::Given(bytes);
        self.add(Pending { kind: Kind::Value, key: digest.digest(), fingerprint, call: None, payload })
    }

    fn note(&mut self, kind: u16, key: Digest, bytes: &'a [u8]) -> Result<()> {
        let fingerprint = TypeFingerprint(kind.into());
        let entry = (Kind::Note, key, fingerprint);
        if self.entries.contains(&entry) || self.view.note(kind, &key).is_some() {
            return Ok(());
        }
        self.note_entry(entry);
        let payload = Payload::Given(bytes);
        self.add(Pending { kind: Kind::Note, key, fingerprint, call: None, payload })
    }

    fn record(&mut self, record: &'a Record) -> Result<()> {
        if let Some(newest) = self.newest.get(&record.key) {
            if newest.says_the_same(record) {
                return Ok(());
            }
        } else if let Some(newest) = self.view.newest_of_key(&record.key)
            && newest.says_the_same(record)
        {
            self.clock = newest.clock;
            return Ok(());
        }
        if !self.alone {
            self.newest.insert(record.key, record);
        }
        let call = record.identity.id();
        let start = self.encoded.len();
        self.encoded.reserve(512);
        // The clock is given when it is written; the size is the same whatever it is.
        record.encode(&call, 0, &mut self.encoded);
        let payload = Payload::Encoded(start..self.encoded.len());
        let (key, fingerprint) = (record.key.digest(), record.result.fingerprint);
        self.add(Pending { kind: Kind::Record, key, fingerprint, call: Some(call), payload })
    }

    fn note_entry(&mut self, entry: (Kind, Digest, TypeFingerprint)) {
        if !self.alone {
            self.entries.insert(entry);
        }
    }

    fn add(&mut self, mut pending: Pending<'a>) -> Result<()> {
        let size = Writer::size(&[pending.frame(&self.encoded)], self.disk.key().is_some());
        let tuning = self.disk.tuning;
        let most = GATHERED.min(tuning.roll.saturating_sub(HEADER));
        if self.size + size > most || self.frames.len() as u64 >= tuning.table {
            // All but this one.
            let mut own = Vec::new();
            if let Payload::Encoded(range) = &mut pending.payload {
                own = self.encoded.split_off(range.start);
                *range = 0..own.len();
            }
            self.flush()?;
            self.encoded = own;
        }
        self.size += size;
        self.frames.push(pending);
        Ok(())
    }

    /// Writes what is gathered.
    fn flush(&mut self) -> Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let mut writer = self.disk.writer(self.size)?;
        let mut clock = self.disk.clock.load(Ordering::Relaxed);
        for pending in &self.frames {
            if let Payload::Encoded(range) = &pending.payload {
                clock = clock.saturating_add(1);
                self.encoded[range.start..range.start + 8].copy_from_slice(&clock.to_le_bytes());
            }
        }
        {
            let frames = self.frames.iter().map(|pending| pending.frame(&self.encoded));
            let frames: SmallVec<[Frame<'_>; 2]> = frames.collect();
            writer.append(&frames, self.disk.key())?;
        }
        self.disk.clock.fetch_max(clock, Ordering::Relaxed);
        self.disk.turn(&mut writer);
        self.disk.settle(writer)?;
        if self.frames.iter().any(|frame| frame.kind == Kind::Record) {
            self.clock = clock;
        }
        self.frames.clear();
        self.encoded.clear();
        self.size = 0;
        Ok(())
    }
}

/// Puts of one thing, as the tests inside of the crate make them.
#[cfg(test)]
impl Disk {
    pub(crate) fn put_value(
        &self,
        digest: ValueDigest,
        fingerprint: TypeFingerprint,
        bytes: &[u8],
    ) -> Result<()> {
        self.put_batch(&[Put::Value { digest, fingerprint, bytes }]).map(drop)
    }

    pub(crate) fn put_record(&self, record: &Record, value: Option<&[u8]>) -> Result<u64> {
        self.put_batch(&[value.map_or(Put::Record(record), |bytes| Put::Result(record, bytes))])
    }

    pub(crate) fn put_note(&self, kind: u16, key: &Digest, bytes: &[u8]) -> Result<()> {
        self.put_batch(&[Put::Note { kind, key: *key, bytes }]).map(drop)
    }
}
