//! A segment: an append-only file of frames with one writer. This module reads them; `writer` writes.
//!
//! Whatever the bytes are, reading gives a frame whose checks hold, or nothing.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, OnceLock};

use rkyv::util::AlignedVec;

use crate::bytes::{Bytes, Map};
use crate::digest::{CallId, CallKey};
use crate::frame::{ALIGN, HEADER, HEADER_SIZE, Header, Kind, LIVE, SIGNATURE_SIZE, Seed, check};
use crate::layout;
use crate::os::FileExt as _;
use crate::record::{HEAD, Record, clock_and_call};
use crate::store::SigningKey;
use crate::sync::{AtomicU64, RwLock};

/// Values below this are copied out and checked; larger ones are mapped.
pub(crate) const COPIED: u64 = 16 * 1024;

/// The random name of a segment, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SegmentId(pub(crate) [u8; 16]);

impl SegmentId {
    pub(crate) fn random() -> Self {
        Self(layout::random())
    }

    pub(crate) fn file_name(&self) -> String {
        format!("{}.seg", layout::hex(&self.0))
    }

    pub(crate) fn parse_file_name(name: &str) -> Option<Self> {
        layout::unhex(name.strip_suffix(".seg")?).map(Self)
    }
}

/// The machine and the boot that this process runs in, as numbers to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) machine: u64,
    pub(crate) boot: u64,
    pub(crate) owner: u32,
}

impl Host {
    pub(crate) fn this() -> Self {
        static THIS: LazyLock<(u64, u64)> = LazyLock::new(|| {
            let read = |path: &str| std::fs::read(path).unwrap_or_default();
            let machine = [read("/etc/machine-id"), read("/proc/sys/kernel/hostname")].concat();
            let mut boot = read("/proc/sys/kernel/random/boot_id");
            if boot.is_empty() {
                // Where boots can't be told apart each process trusts only what it wrote itself, or what is on the disk.
                boot.extend(layout::random());
            }
            (check(&machine), check(&boot))
        });
        Self { machine: THIS.0, boot: THIS.1, owner: crate::os::user() }
    }
}

/// The first 64 bytes of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: SegmentId,
    pub(crate) host: Host,
    pub(crate) created_ms: i64,
}

const MAGIC: &[u8; 8] = b"flechseg";
const VERSION: u32 = 1;

impl SegmentHeader {
    pub(crate) fn bytes(&self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.host.owner.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id.0);
        bytes[32..40].copy_from_slice(&self.host.machine.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.host.boot.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.created_ms.to_le_bytes());
        let check = check(&bytes[..56]);
        bytes[56..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8; HEADER_SIZE]) -> Option<Self> {
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let half = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        if bytes[..8] != *MAGIC || half(8) != VERSION || word(56) != check(&bytes[..56]) {
            return None;
        }
        Some(Self {
            id: SegmentId(*bytes[16..].first_chunk()?),
            host: Host { owner: half(12), machine: word(32), boot: word(40) },
            created_ms: word(48).cast_signed(),
        })
    }
}

/// One segment file, opened at first touch.
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) seed: Seed,
    pub(crate) path: PathBuf,
    /// Room that the map leaves for growth, in bytes.
    reserve: u64,
    opened: OnceLock<Option<Opened>>,
    /// Bytes up to here are on the disk, whatever boot wrote them.
    synced: AtomicU64,
    /// If there are any, only frames signed with one of them count.
    keys: Keys,
    /// Mapped payloads that this process has checked: once is enough.
    checked: RwLock<HashSet<u64>>,
}

/// Keys that frames may be signed with.
pub(crate) type Keys = Arc<[SigningKey]>;

struct Opened {
    header: Option<SegmentHeader>,
    map: Option<Arc<Map>>,
    /// Kept while the file may grow, or if it could not be mapped.
    file: Option<File>,
}

impl Segment {
    pub(crate) fn new(directory: &Path, id: SegmentId, reserve: u64, keys: Keys) -> Self {
        Self {
            id,
            seed: Seed::of(&id.0),
            path: directory.join(id.file_name()),
            reserve,
            opened: OnceLock::new(),
            synced: AtomicU64::new(0),
            keys,
            checked: RwLock::default(),
        }
    }

    /// Was opening tried in vain? A later picture of the store tries again.
    pub(crate) fn failed(&self) -> bool {
        matches!(self.opened.get(), Some(None))
    }

    /// Does this hold on to the file, so that its bytes stay on the disk even if it is removed?
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.opened.get(), Some(Some(_)))
    }

    fn opened(&self) -> Option<&Opened> {
        self.opened.get_or_init(|| self.open().ok()).as_ref()
    }

    fn open(&self) -> io::Result<Opened> {
        let file = layout::open(&self.path)?;
        let mut bytes = [0; HEADER_SIZE];
        file.read_exact_at(&mut bytes, 0)?;
        // With a damaged header the frames can still be told from others: their checks are seeded by the file's name.
        let header = SegmentHeader::parse(&bytes).filter(|header| header.id == self.id);
        let meta = file.metadata()?;
        let sealed = layout::is_sealed(&meta);
        let map = Map::new(&file, if sealed { meta.len() } else { self.reserve }).ok().map(Arc::new);
        let file = (!sealed || map.is_none()).then_some(file);
        Ok(Opened { header, map, file })
    }

    /// The segment's own header; `None` if it is damaged, or the file is foreign or gone.
    pub(crate) fn header(&self) -> Option<&SegmentHeader> {
        self.opened()?.header.as_ref()
    }

    /// Is there a file that can be read?
    pub(crate) fn is_readable(&self) -> bool {
        self.opened().is_some()
    }

    /// The file's length now. The map grows with it.
    pub(crate) fn length(&self) -> Option<u64> {
        let opened = self.opened()?;
        let length = match (&opened.file, &opened.map) {
            (Some(file), _) => file.metadata().ok()?.len(),
            (None, Some(map)) => map.valid() as u64,
            (None, None) => return None,
        };
        self.grown(length);
        Some(length)
    }

    /// Is it certain, without asking the system, that nothing was appended behind `end`, where the file ended once? What
    /// is appended begins with a marker.
    pub(crate) fn is_quiet_behind(&self, end: u64) -> bool {
        let map = self.opened().and_then(|opened| opened.map.as_ref());
        let end = usize::try_from(end).ok();
        map.zip(end).and_then(|(map, end)| map.word_behind(end)) == Some(0)
    }

    /// Says that the file has this length, as a writer knows without asking.
    pub(crate) fn grown(&self, length: u64) {
        if let Some(map) = self.opened().and_then(|opened| opened.map.as_ref()) {
            map.grow(length);
        }
    }

    /// Says that bytes up to here are on the disk.
    pub(crate) fn set_synced(&self, length: u64) {
        self.synced.fetch_max(length, Ordering::Relaxed);
    }

    /// May bytes up to here have been lost in a crash of the machine without anybody noticing?
    pub(crate) fn doubtful(&self, end: u64) -> bool {
        let boot = self.header().map(|header| (header.host.machine, header.host.boot));
        let this = Host::this();
        boot != Some((this.machine, this.boot)) && self.synced.load(Ordering::Relaxed) < end
    }

    /// Some bytes of the file, in the map or read into `buffer`.
    fn bytes<'a>(&'a self, offset: u64, length: usize, buffer: &'a mut AlignedVec<16>) -> Option<&'a [u8]> {
        let opened = self.opened()?;
        if let Some(map) = &opened.map {
            let at = usize::try_from(offset).ok()?;
            if let Some(slice) = map.slice(at, length) {
                return Some(slice);
            }
            // Past what was there when we looked last.
            self.length()?;
            return map.slice(at, length);
        }
        self.read_into(offset, length, buffer)?;
        Some(buffer)
    }

    fn read_into(&self, offset: u64, length: usize, buffer: &mut AlignedVec<16>) -> Option<()> {
        // A damaged length must not make us allocate what the file does not have.
        if offset.checked_add(length as u64)? > self.length()? {
            return None;
        }
        buffer.clear();
        buffer.resize(length, 0);
        self.read_at(offset, buffer).ok()
    }

    /// Fills `buffer` with the file's bytes at `offset`, by `pread`.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self.opened().and_then(|opened| opened.file.as_ref()) {
            Some(file) => file.read_exact_at(buffer, offset),
            None => layout::open(&self.path)?.read_exact_at(buffer, offset),
        }
    }

    /// The header of the frame at `offset`, live or dead.
    pub(crate) fn frame(&self, offset: u64) -> Option<Header> {
        let mut buffer = AlignedVec::new();
        // The marker may change under us; it is read as the atomic word that it is.
        let rest = self.bytes(offset + 4, HEADER_SIZE - 4, &mut buffer)?;
        let mut bytes = [0; HEADER_SIZE];
        bytes[4..].copy_from_slice(rest);
        bytes[..4].copy_from_slice(&self.marker(offset)?.to_le_bytes());
        Header::parse(self.seed, &bytes)
    }

    fn marker(&self, offset: u64) -> Option<u32> {
        if let Some(map) = &self.opened()?.map {
            return map.word(usize::try_from(offset).ok()?);
        }
        let mut bytes = [0; 4];
        self.read_at(offset, &mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    /// Will nobody append to it any more?
    pub(crate) fn is_sealed(&self) -> bool {
        std::fs::symlink_metadata(&self.path).is_ok_and(|meta| layout::is_sealed(&meta))
    }

    /// Are there whole frames behind `end`, where a frame ends? If it can't be told there are.
    pub(crate) fn has_frames_behind(&self, end: u64) -> bool {
        self.frame(end).is_some() || self.scan(end, &mut |_, _, _| {}).map_or(true, |scan| scan.end > end)
    }

    /// Is the frame at `offset` live? Cheaper than [`Segment::frame`] where the header was seen before.
    pub(crate) fn is_live(&self, offset: u64) -> bool {
        self.marker(offset) == Some(LIVE)
    }

    /// The payload, copied and checked if it is small, else a view: checked for length, and for content where a crash
    /// may have damaged it or `checked` asks for it.
    pub(crate) fn payload(&self, offset: u64, header: &Header, checked: bool) -> Option<Bytes> {
        let length = usize::try_from(header.length).ok()?;
        let start = offset.checked_add(HEADER)?;
        let view = match &self.opened()?.map {
            Some(map) if header.length >= COPIED => {
                let at = usize::try_from(start).ok()?;
                if let Some(view) = Bytes::mapped(map.clone(), at, length) {
                    view
                } else {
                    self.length()?;
                    Bytes::mapped(map.clone(), at, length)?
                }
            }
            _ => {
                let mut copy = AlignedVec::with_capacity(length.min(1 << 20));
                let mut buffer = AlignedVec::new();
                copy.extend_from_slice(self.bytes(start, length, &mut buffer)?);
                Bytes::owned(copy)
            }
        };
        if view.is_mapped() && !checked && self.trusts(offset, start + header.length) {
            return Some(view);
        }
        let sound = self.fits(offset, header, &view);
        if sound && view.is_mapped() {
            self.set_checked(offset);
        }
        sound.then_some(view)
    }

    /// May the content of the frame at `offset`, which ends at `end`, be taken for what was written without looking?
    pub(crate) fn trusts(&self, offset: u64, end: u64) -> bool {
        (self.keys.is_empty() && !self.doubtful(end)) || self.checked.read().contains(&offset)
    }

    /// The content of the frame at `offset` was looked at and is sound.
    pub(crate) fn set_checked(&self, offset: u64) {
        self.checked.write().insert(offset);
    }

    /// Is this the payload that was written, by somebody with a key if keys are asked for?
    fn fits(&self, offset: u64, header: &Header, payload: &[u8]) -> bool {
        header.fits(self.seed, payload) && (self.keys.is_empty() || self.is_signed(offset, header, payload))
    }

    fn is_signed(&self, offset: u64, header: &Header, payload: &[u8]) -> bool {
        let mut signature = [0; SIGNATURE_SIZE];
        let at = offset + HEADER + header.length.next_multiple_of(ALIGN);
        header.signed
            && self.read_at(at, &mut signature).is_ok()
            && self.keys.iter().any(|key| {
                // Compared in constant time.
                blake3::Hash::from(header.signature(key.bytes(), payload)) == blake3::Hash::from(signature)
            })
    }

    /// Does the payload's check hold?
    pub(crate) fn is_whole(&self, offset: u64, header: &Header) -> bool {
        let mut buffer = AlignedVec::new();
        usize::try_from(header.length)
            .ok()
            .and_then(|length| self.bytes(offset + HEADER, length, &mut buffer))
            .is_some_and(|payload| self.fits(offset, header, payload))
    }

    /// The live, undamaged record at `offset`.
    pub(crate) fn record(&self, offset: u64) -> Option<Record> {
        self.record_and_call(offset).map(|(record, _)| record)
    }

    /// The same with its call, which costs less to read than to compute.
    pub(crate) fn record_and_call(&self, offset: u64) -> Option<(Record, CallId)> {
        let header = self.frame(offset).filter(|header| header.live && header.kind == Kind::Record)?;
        let mut buffer = AlignedVec::new();
        let payload = self.bytes(offset + HEADER, usize::try_from(header.length).ok()?, &mut buffer)?;
        if !self.fits(offset, &header, payload) {
            return None;
        }
        let (_, call) = clock_and_call(payload)?;
        Some((Record::decode(CallKey::new(header.key), payload)?, call))
    }

    /// Key, logical time and call of a live record, as they stand there: enough to choose which records to read. Only the
    /// key was checked.
    pub(crate) fn record_head(&self, offset: u64) -> Option<(CallKey, u64, CallId)> {
        let header = self.frame(offset).filter(|header| header.live && header.kind == Kind::Record)?;
        let mut buffer = AlignedVec::new();
        let head = usize::try_from(header.length).ok()?.min(HEAD);
        let (clock, call) = clock_and_call(self.bytes(offset + HEADER, head, &mut buffer)?)?;
        Some((CallKey::new(header.key), clock, call))
    }

    /// Visits the frames from `from` on, reading by `pread`: header, offset, and up to [`PREFIX`] bytes of payload.
    ///
    /// Only what lay within the file's length at the start is looked at, and the length is asked before any byte is
    /// read: bytes below it were written whole. Where a header is damaged the next sound one is searched for, so that
    /// the healthy entries behind it stay.
    pub(crate) fn scan(&self, from: u64, each: &mut dyn FnMut(u64, &Header, &[u8])) -> io::Result<Scan> {
        let length = self.length().ok_or(io::ErrorKind::NotFound)?;
        let mut window = Window { segment: self, length, start: 0, bytes: Vec::new() };
        let mut scan = Scan { end: from, length, damaged: 0 };
        let mut at = from;
        while at.checked_add(HEADER).is_some_and(|end| end <= length) {
            let header = window.header(at)?;
            let whole = header.as_ref().and_then(Header::total).and_then(|total| at.checked_add(total));
            match (header, whole) {
                (Some(header), Some(end)) if end <= length => {
                    scan.damaged += at - scan.end;
                    let prefix = usize::try_from(header.length).unwrap_or(PREFIX).min(PREFIX);
                    let payload = window.get(at + HEADER, prefix)?;
                    each(at, &header, payload);
                    at = end;
                    scan.end = end;
                }
                _ => match window.next_header(at + ALIGN)? {
                    Some(next) => at = next,
                    None => break,
                },
            }
        }
        Ok(scan)
    }
}

/// So much of each payload a scan shows: what the index needs of a record.
pub(crate) const PREFIX: usize = 48;

/// How far a scan came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Behind the last whole frame.
    pub(crate) end: u64,
    /// The file's length when the scan began.
    pub(crate) length: u64,
    /// Bytes between frames that are none.
    pub(crate) damaged: u64,
}

/// A moving buffer over the file.
struct Window<'a> {
    segment: &'a Segment,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    const SIZE: u64 = 256 * 1024;

    fn get(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let end = offset.checked_add(length as u64).ok_or_else(short)?;
        if offset < self.start || end > self.start + self.bytes.len() as u64 {
            let rest = self.length.checked_sub(offset).ok_or_else(short)?;
            let size = usize::try_from(Self::SIZE.max(length as u64).min(rest)).map_err(|_| short())?;
            self.bytes.resize(size, 0);
            self.start = offset;
            self.segment.read_at(offset, &mut self.bytes).inspect_err(|_| self.bytes.clear())?;
        }
        let at = usize::try_from(offset - self.start).map_err(|_| short())?;
        self.bytes.get(at..at + length).ok_or_else(short)
    }

    /// The header at `offset`, if there is one.
    fn header(&mut self, offset: u64) -> io::Result<Option<Header>> {
        let seed = self.segment.seed;
        let bytes = self.get(offset, HEADER_SIZE)?;
        Ok(bytes.first_chunk().and_then(|bytes| Header::parse(seed, bytes)))
    }

    /// Where the next sound, marked header of a frame within the file is.
    fn next_header(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        while at + HEADER <= self.length {
            let marker = self.get(at, 4)?.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
            if (marker == LIVE || marker == crate::frame::DEAD)
                && let Some(header) = self.header(at)?
                && header
                    .total()
                    .and_then(|total| at.checked_add(total))
                    .is_some_and(|end| end <= self.length)
            {
                return Ok(Some(at));
            }
            at += ALIGN;
        }
        Ok(None)
    }
}
