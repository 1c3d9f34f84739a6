//! An index table: immutable, mapped, made once from tails or from other tables.
//!
//! See `docs/store-format.md`. A table never decides anything: what it leads to counts only after the frame there was
//! checked, so a damaged table costs misses and nothing else. Every number read from it is checked before it is used.

use std::fs::File;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::Map;
use crate::filter;
use crate::frame::{ALIGN, check};
use crate::layout;
use crate::os::FileExt as _;
use crate::segment::{Host, Segment, SegmentId};
use crate::tail::Class;

/// The random name of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TableId(pub(crate) [u8; 16]);

impl TableId {
    pub(crate) fn random() -> Self {
        Self(layout::random())
    }

    pub(crate) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.tab", layout::hex(&self.0)))
    }

    pub(crate) fn parse_file_name(name: &str) -> Option<Self> {
        layout::unhex(name.strip_suffix(".tab")?).map(Self)
    }
}

pub(crate) const MAGIC: &[u8; 8] = b"flechtab";
pub(crate) const VERSION: u32 = 1;
/// The fixed part of the header.
pub(crate) const FIXED: usize = 192;
const COVERED: usize = 40;

/// Slots in a bucket, which fills a cache line.
pub(crate) const SLOTS: u64 = 4;
/// Bytes of an entry: leading bits, place.
const ENTRY: u64 = ENTRY_SIZE as u64;
/// The same, for arrays.
pub(crate) const ENTRY_SIZE: usize = 16;
const BUCKET: u64 = SLOTS * ENTRY;

/// The part of a segment that a table indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) segment: SegmentId,
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Up to here the segment was on the disk when the table was made.
    pub(crate) synced: u64,
}

/// Everything in a table but its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableHeader {
    pub(crate) id: TableId,
    pub(crate) machine: u64,
    pub(crate) boot: u64,
    /// The table itself was on the disk before it got its name.
    pub(crate) synced: bool,
    /// Buckets that entries are at home in; 0 if entries lie without gaps.
    pub(crate) homes: u64,
    /// Buckets in the file.
    pub(crate) buckets: u64,
    /// How many buckets from its home an entry lies at most.
    pub(crate) reach: u64,
    pub(crate) entries: u64,
    /// Lengths of the posting lists: by call, by dependency, by function.
    pub(crate) postings: [u64; 3],
    /// The largest logical time of a record in here.
    pub(crate) clock: u64,
    /// Words of the filter; 0 if there is none.
    pub(crate) filter: u64,
    pub(crate) covered: Vec<Covered>,
    /// Tables that this one replaces.
    pub(crate) replaced: Vec<TableId>,
    /// Segments whose live frames were moved into one that this table covers.
    pub(crate) retired: Vec<SegmentId>,
}

impl TableHeader {
    /// The size of the header with its lists, up to the filter.
    pub(crate) fn size(&self) -> u64 {
        let lists = self.covered.len() * COVERED + (self.replaced.len() + self.retired.len()) * 16;
        ((FIXED + lists) as u64).next_multiple_of(BUCKET)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.synced).to_le_bytes());
        bytes.extend_from_slice(&self.id.0);
        let counts = [self.covered.len(), self.replaced.len(), self.retired.len()].map(|count| count as u64);
        let [calls, dependencies, functions] = self.postings;
        for word in [self.machine, self.boot, self.homes, self.buckets, self.reach, self.entries]
            .into_iter()
            .chain([calls, dependencies, functions, self.clock])
            .chain(counts)
            .chain([self.filter])
        {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.resize(FIXED, 0);
        for covered in &self.covered {
            bytes.extend_from_slice(&covered.segment.0);
            for word in [covered.from, covered.to, covered.synced] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        for id in self.replaced.iter().map(|id| id.0).chain(self.retired.iter().map(|id| id.0)) {
            bytes.extend_from_slice(&id);
        }
        let check = check(&bytes).to_le_bytes();
        bytes[FIXED - 8..FIXED].copy_from_slice(&check);
        bytes.resize(usize::try_from(self.size()).unwrap_or(bytes.len()), 0);
        bytes
    }

    /// Reads a header from the beginning of a file of `length` bytes.
    pub(crate) fn parse(bytes: &[u8], length: u64) -> Option<Self> {
        let fixed: &[u8; FIXED] = bytes.first_chunk()?;
        let word = |at: usize| fixed[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        if fixed[..8] != *MAGIC || fixed[8..12] != VERSION.to_le_bytes() {
            return None;
        }
        let count = |at| usize::try_from(word(at)).ok().filter(|count| *count <= bytes.len() / 16);
        let (covered, replaced, retired) = (count(112)?, count(120)?, count(128)?);
        let lists = bytes.get(FIXED..)?.get(..covered * COVERED + (replaced + retired) * 16)?;
        let mut checked = [fixed, lists].concat();
        checked[FIXED - 8..FIXED].fill(0);
        if word(FIXED - 8) != check(&checked) {
            return None;
        }
        let (covered, ids) = lists.split_at(covered * COVERED);
        let covered = covered.chunks_exact(COVERED).filter_map(|part| {
            let word = |at: usize| part[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            let segment = SegmentId(*part.first_chunk()?);
            Some(Covered { segment, from: word(16), to: word(24), synced: word(32) })
        });
        let mut ids = ids.chunks_exact(16).filter_map(|id| id.first_chunk().copied());
        let header = Self {
            synced: fixed[12] == 1,
            id: TableId(*fixed[16..].first_chunk()?),
            machine: word(32),
            boot: word(40),
            homes: word(48),
            buckets: word(56),
            reach: word(64),
            entries: word(72),
            postings: [word(80), word(88), word(96)],
            clock: word(104),
            filter: word(136),
            covered: covered.collect(),
            replaced: ids.by_ref().take(replaced).map(TableId).collect(),
            retired: ids.map(SegmentId).collect(),
        };
        (header.total()? == length && header.homes <= header.buckets && header.reach <= header.buckets)
            .then_some(header)
    }

    /// The size of the whole file.
    fn total(&self) -> Option<u64> {
        let postings = self.postings.iter().try_fold(0u64, |sum, count| sum.checked_add(*count))?;
        let lists = self.buckets.checked_mul(BUCKET)?.checked_add(postings.checked_mul(ENTRY)?)?;
        let filter = self.filter.checked_mul(8).filter(|bytes| bytes.is_multiple_of(BUCKET))?;
        lists
            .checked_add(filter)?
            .checked_add(self.size())
            .filter(|_| self.entries <= self.buckets.saturating_mul(SLOTS))
    }
}

/// Where an entry leads: class, number of the segment in the table's list, offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(pub(crate) u64);

impl Place {
    pub(crate) const MAX_SEGMENTS: usize = 1 << 20;

    pub(crate) fn new(class: Class, segment: usize, offset: u64) -> Self {
        Self((class as u64) << 60 | (segment as u64 & 0xf_ffff) << 40 | (offset / ALIGN) & 0xff_ffff_ffff)
    }

    pub(crate) fn is(self, class: Class) -> bool {
        self.0 >> 60 == class as u64
    }

    pub(crate) fn segment(self) -> usize {
        usize::try_from(self.0 >> 40 & 0xf_ffff).unwrap_or(usize::MAX)
    }

    pub(crate) fn offset(self) -> u64 {
        (self.0 & 0xff_ffff_ffff) * ALIGN
    }

    /// The same in another table, where the segment has another number.
    pub(crate) fn in_segment(self, segment: usize) -> Self {
        Self(self.0 & !(0xf_ffff << 40) | (segment as u64 & 0xf_ffff) << 40)
    }

    /// Segment and offset alone.
    pub(crate) fn spot(self) -> u64 {
        self.0 & !(0xf << 60)
    }
}

/// An open table.
pub(crate) struct Table {
    pub(crate) header: TableHeader,
    /// In the order of `header.covered`.
    pub(crate) segments: Vec<Arc<Segment>>,
    map: Arc<Map>,
    /// Where the filter begins.
    filter: u64,
    /// Where buckets begin.
    start: u64,
}

impl Table {
    /// Opens a table; an error if it is not there, `None` in it if it is no table of this store, or one that a crash
    /// of the machine may have damaged.
    pub(crate) fn open(
        directory: &Path,
        id: TableId,
        mut segment: impl FnMut(SegmentId) -> Arc<Segment>,
    ) -> io::Result<Option<Self>> {
        let file = layout::open(&id.path(directory))?;
        let length = file.metadata()?.len();
        let Some(header) = Self::read_header(&file, length)?.filter(|header| header.id == id) else {
            return Ok(None);
        };
        let this = Host::this();
        if !header.synced && (header.machine, header.boot) != (this.machine, this.boot) {
            return Ok(None);
        }
        let segments: Vec<_> = header.covered.iter().map(|covered| segment(covered.segment)).collect();
        for (segment, covered) in segments.iter().zip(&header.covered) {
            segment.set_synced(covered.synced);
        }
        let filter = header.size();
        let start = filter + header.filter * 8;
        let map = Arc::new(Map::uncapped(&file, length)?);
        Ok(Some(Self { header, segments, map, filter, start }))
    }

    /// The same table without a hold on the files of segments that are gone; `None` if it has none. Entries that lead
    /// there lead nowhere then.
    pub(crate) fn letting_go(
        &self,
        gone: impl Fn(&Segment) -> bool,
        fresh: impl Fn(SegmentId) -> Segment,
    ) -> Option<Self> {
        let held = |segment: &Segment| segment.is_open() && gone(segment);
        if !self.segments.iter().any(|segment| held(segment)) {
            return None;
        }
        let anew = |segment: &Arc<Segment>| {
            if held(segment) { Arc::new(fresh(segment.id)) } else { segment.clone() }
        };
        Some(Self {
            header: self.header.clone(),
            segments: self.segments.iter().map(anew).collect(),
            map: self.map.clone(),
            filter: self.filter,
            start: self.start,
        })
    }

    fn read_header(file: &File, length: u64) -> io::Result<Option<TableHeader>> {
        // Almost always enough; the lists of a huge store may need a second read.
        let mut bytes = vec![0; usize::try_from(length.min(8192)).unwrap_or(8192)];
        file.read_exact_at(&mut bytes, 0)?;
        if let Some(header) = TableHeader::parse(&bytes, length) {
            return Ok(Some(header));
        }
        let longer = usize::try_from(length.min(64 << 20)).unwrap_or(0);
        if longer <= bytes.len() || !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        bytes.resize(longer, 0);
        file.read_exact_at(&mut bytes, 0)?;
        Ok(TableHeader::parse(&bytes, length))
    }

    /// Entry `index` of the array that begins at `base`; `None` past the end of the file.
    #[inline]
    fn entry(&self, base: u64, index: u64) -> Option<(u64, Place)> {
        let at = usize::try_from(base + index * ENTRY).ok()?;
        parse_entry(self.map.slice(at, ENTRY_SIZE)?)
    }

    fn slots(&self) -> u64 {
        self.header.buckets * SLOTS
    }

    /// The slot to start looking for `lead` at.
    fn first_slot(&self, lead: u64) -> u64 {
        if self.header.homes == 0 {
            return self.lower_bound(self.start, self.header.entries, lead);
        }
        home(lead, self.header.homes) * SLOTS
    }

    /// Visits the entries of a class with these leading bits until `f` gives something.
    pub(crate) fn find<T>(
        &self,
        class: Class,
        lead: u64,
        f: &mut impl FnMut(&Arc<Segment>, u64) -> Option<T>,
    ) -> Option<T> {
        let (base, mut at, end) = if let Some((base, count)) = self.posting(class) {
            (base, self.lower_bound(base, count, lead), count)
        } else if !self.may_hold(lead) {
            return None;
        } else {
            let first = self.first_slot(lead);
            let reach = if self.header.homes == 0 { self.slots() } else { (self.header.reach + 1) * SLOTS };
            (self.start, first, first.saturating_add(reach).min(self.slots()))
        };
        while at < end {
            // A bucket at a time: one check of bounds for a cache line.
            let count = (SLOTS - at % SLOTS).min(end - at);
            let start = usize::try_from(base + at * ENTRY).ok()?;
            let bucket = self.map.slice(start, usize::try_from(count * ENTRY).ok()?)?;
            for entry in bucket.chunks_exact(ENTRY_SIZE) {
                let (found, place) = parse_entry(entry)?;
                if place.0 == 0 || found > lead {
                    return None;
                }
                if found == lead
                    && place.is(class)
                    && let Some(segment) = self.segments.get(place.segment())
                    && let Some(value) = f(segment, place.offset())
                {
                    return Some(value);
                }
            }
            at += count;
        }
        None
    }

    /// Can there be an entry with these leading bits in the buckets?
    #[inline]
    pub(crate) fn may_hold(&self, lead: u64) -> bool {
        if self.header.filter == 0 {
            return true;
        }
        let at = usize::try_from(self.filter + home(lead, self.header.filter) * 8).ok();
        let word = at.and_then(|at| self.map.slice(at, 8)).and_then(|word| word.first_chunk());
        word.is_some_and(|word| !u64::from_le_bytes(*word) & filter::bits(lead) == 0)
    }

    /// Where the posting list of a class begins, and how long it is. `None` for classes that live in buckets.
    fn posting(&self, class: Class) -> Option<(u64, u64)> {
        let [calls, dependencies, functions] = self.header.postings;
        let base = self.start + self.header.buckets * BUCKET;
        match class {
            Class::Value | Class::Record | Class::Note => None,
            Class::Call => Some((base, calls)),
            Class::Dependency => Some((base + calls * ENTRY, dependencies)),
            Class::Function => Some((base + (calls + dependencies) * ENTRY, functions)),
        }
    }

    /// The first of `count` sorted entries that is not below `lead`. Leading bits of digests are spread evenly, so the
    /// search starts where it ought to be.
    fn lower_bound(&self, base: u64, count: u64, lead: u64) -> u64 {
        let below = |index: u64| self.entry(base, index).is_some_and(|(found, _)| found < lead);
        let guess = home(lead, count.max(1)).min(count);
        let (mut low, mut high, mut step) = (guess, guess, 8);
        while low > 0 && !below(low - 1) {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 8;
        while high < count && below(high) {
            low = high + 1;
            high = high.saturating_add(step).min(count);
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if below(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Visits the entries of a class in the order of leading bits.
    pub(crate) fn range(
        &self,
        class: Class,
        leads: &RangeInclusive<u64>,
        f: &mut dyn FnMut(u64, &Arc<Segment>, u64) -> bool,
    ) {
        let mut entries = self.entries(class, *leads.start());
        while let Some((lead, place)) = entries.next().filter(|(lead, _)| lead <= leads.end()) {
            if place.is(class)
                && let Some(segment) = self.segments.get(place.segment())
                && !f(lead, segment, place.offset())
            {
                return;
            }
        }
    }

    /// The entries of a posting list, or of all buckets, from some leading bits on.
    pub(crate) fn entries(&self, class: Class, from: u64) -> Entries<'_> {
        let (base, at, end) = match self.posting(class) {
            Some((base, count)) => (base, self.lower_bound(base, count, from), count),
            None => (self.start, self.first_slot(from), self.slots()),
        };
        Entries { table: self, base, at, end, from }
    }

    /// Asks the system to read the file ahead.
    pub(crate) fn sequential(&self) {
        self.map.sequential();
    }
}

#[inline]
fn parse_entry(bytes: &[u8]) -> Option<(u64, Place)> {
    let (lead, place) = bytes.split_at_checked(8)?;
    Some((u64::from_le_bytes(*lead.first_chunk()?), Place(u64::from_le_bytes(*place.first_chunk()?))))
}

/// A walk over entries.
pub(crate) struct Entries<'a> {
    table: &'a Table,
    base: u64,
    at: u64,
    end: u64,
    from: u64,
}

impl Iterator for Entries<'_> {
    type Item = (u64, Place);

    fn next(&mut self) -> Option<(u64, Place)> {
        while self.at < self.end {
            let entry = self.table.entry(self.base, self.at)?;
            self.at += 1;
            if entry.1.0 != 0 && entry.0 >= self.from {
                return Some(entry);
            }
        }
        None
    }
}

/// The home of some leading bits among `count` buckets, in order.
pub(crate) fn home(lead: u64, count: u64) -> u64 {
    ((u128::from(lead) * u128::from(count)) >> 64) as u64
}
