//! Making index tables: from tails, and from other tables.
//!
//! A table is written under a temporary name and renamed when it is whole; that is the only commit point. Entries
//! stream through in the order of their leading bits, so that memory does not grow with the tables merged.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::TRACES;
use crate::digest::{CallId, CallKey, Digest};
use crate::evict::kill;
use crate::filter::{self, FilterWriter};
use crate::frame::Kind;
use crate::layout::{self, Layout};
use crate::os::FileExt as _;
use crate::reader::large;
use crate::record::Record;
use crate::segment::{Host, Segment, SegmentId};
use crate::table::{Covered, ENTRY_SIZE, Place, SLOTS, Table, TableHeader, TableId, home};
use crate::tail::{Class, Tail};

/// An entry may lie so many buckets from its home. Beyond, digests are not spread evenly, and a table without gaps
/// that is searched by halving is better.
const REACH: u64 = 32;

/// Entries per 16 slots: how full buckets are on average.
const LOAD: u64 = 14;

/// What goes into a table.
struct Input<'a> {
    /// Sorted: what lives in buckets, then the three posting lists.
    lists: [Box<dyn Iterator<Item = (u64, Place)> + 'a>; 4],
}

/// A table to be made.
pub(crate) struct Plan {
    pub(crate) covered: Vec<Covered>,
    /// In the order of `covered`.
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) replaced: Vec<TableId>,
    pub(crate) retired: Vec<SegmentId>,
    pub(crate) clock: u64,
    /// Bring the segments, the table and its name to the disk, in this order.
    pub(crate) sync: bool,
}

/// Makes a table of the frames of some tails; `None` if there are none.
pub(crate) fn from_tails(
    layout: &Layout,
    tails: &[Arc<Tail>],
    retired: Vec<SegmentId>,
    sync: bool,
) -> io::Result<Option<TableId>> {
    let mut plan =
        Plan { covered: Vec::new(), segments: Vec::new(), replaced: Vec::new(), retired, clock: 0, sync };
    let mut lists: [Vec<(u64, Place)>; 4] = Default::default();
    let mut frames = 0;
    let mut names = HashMap::new();
    for tail in tails {
        // Sealed: whatever lies behind the last frame will never be one. But this may be the first of several tails, and
        // the others get their tables later, or never.
        let (segment, end) = (&tail.segment, tail.end());
        let last = segment.is_sealed() && !segment.has_frames_behind(end);
        let to = if last { segment.length().unwrap_or(end).max(end) } else { end };
        let number = plan.covered.len();
        plan.covered.push(Covered { segment: tail.segment.id, from: tail.from, to, synced: 0 });
        plan.segments.push(tail.segment.clone());
        frames += tail.frames();
        for class in [Class::Value, Class::Record, Class::Note] {
            let mut found = Vec::new();
            tail.range(class, &(0..=u64::MAX), &mut found);
            lists[0].extend(found.iter().map(|(lead, offset)| (*lead, Place::new(class, number, *offset))));
        }
        for offset in tail.records() {
            let Some((record, call)) = tail.segment.record_and_call(offset) else { continue };
            plan.clock = plan.clock.max(record.clock);
            for (list, class, lead) in postings(&record, call, &mut names) {
                lists[list].push((lead, Place::new(class, number, offset)));
            }
        }
    }
    if frames == 0 && plan.covered.iter().all(|covered| covered.from == covered.to) {
        return Ok(None);
    }
    for list in &mut lists {
        list.sort_unstable();
    }
    let count = lists[0].len() as u64;
    let input =
        || vec![Input { lists: lists.each_ref().map(|list| Box::new(list.iter().copied()) as Box<_>) }];
    write(layout, &plan, count, &input).map(Some)
}

/// Where a record is posted: number of the list, class, leading bits.
fn postings(record: &Record, call: CallId, names: &mut HashMap<String, u64>) -> Vec<(usize, Class, u64)> {
    let function = &record.identity.function;
    let name = names.get(function).copied().unwrap_or_else(|| {
        let lead = function_lead(function);
        names.insert(function.clone(), lead);
        lead
    });
    let mut postings = vec![(1, Class::Call, call.digest().leading()), (3, Class::Function, name)];
    let mut dependencies: Vec<_> = record
        .trace
        .iter()
        .map(|edge| (2, Class::Dependency, edge.dependency.id().digest().leading()))
        .collect();
    dependencies.sort_unstable();
    dependencies.dedup();
    postings.append(&mut dependencies);
    postings
}

/// The leading bits that a function's name is posted under.
pub(crate) fn function_lead(function: &str) -> u64 {
    Digest::of(function.as_bytes()).leading()
}

/// Merges tables into one that replaces them. Frames of segments that are gone are left out, and with `dead` set also
/// those that `dead` says are.
pub(crate) fn merge(
    layout: &Layout,
    tables: &[Arc<Table>],
    sync: bool,
    exists: impl Fn(&SegmentId) -> bool,
    dead: &(dyn Fn(&Segment, u64) -> bool + Sync),
) -> io::Result<TableId> {
    let mut plan = Plan {
        covered: Vec::new(),
        segments: Vec::new(),
        replaced: tables.iter().map(|table| table.header.id).collect(),
        retired: Vec::new(),
        clock: tables.iter().map(|table| table.header.clock).max().unwrap_or(0),
        sync,
    };
    // Ranges of a segment that follow each other become one.
    let mut ranges: Vec<_> = tables
        .iter()
        .enumerate()
        .flat_map(|(t, table)| {
            table.header.covered.iter().enumerate().map(move |(c, covered)| (*covered, t, c))
        })
        .filter(|(covered, ..)| exists(&covered.segment))
        .collect();
    ranges.sort_by_key(|(covered, ..)| (covered.segment, covered.from));
    let mut numbers: Vec<Vec<Option<usize>>> =
        tables.iter().map(|table| vec![None; table.header.covered.len()]).collect();
    for (range, t, c) in ranges {
        match plan.covered.last_mut() {
            Some(last) if last.segment == range.segment && range.from <= last.to => {
                last.to = last.to.max(range.to);
                last.synced = last.synced.max(range.synced);
            }
            _ => {
                plan.covered.push(range);
                plan.segments.push(tables[t].segments[c].clone());
            }
        }
        numbers[t][c] = Some(plan.covered.len() - 1);
    }
    if plan.covered.len() > Place::MAX_SEGMENTS {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    for table in tables {
        table.sequential();
        plan.retired.extend(table.header.retired.iter().filter(|id| exists(id)));
    }
    let count = tables.iter().map(|table| table.header.entries).sum();
    let (numbers, segments) = (&numbers, &plan.segments);
    let input = || {
        let sources = tables.iter().zip(numbers);
        let inputs = sources.map(|(table, numbers)| Input {
            lists: [Class::Value, Class::Call, Class::Dependency, Class::Function].map(|class| {
                let mapped = table.entries(class, 0).filter_map(move |(lead, place)| {
                    let number = (*numbers.get(place.segment())?)?;
                    let place = place.in_segment(number);
                    (!dead(&segments[number], place.offset())).then_some((lead, place))
                });
                Box::new(mapped) as Box<dyn Iterator<Item = (u64, Place)>>
            }),
        });
        inputs.collect::<Vec<_>>()
    };
    write(layout, &plan, count, &input)
}

/// Writes the table; if its digests turn out not to be spread, once more without gaps.
fn write<'a>(
    layout: &Layout,
    plan: &Plan,
    count: u64,
    input: &dyn Fn() -> Vec<Input<'a>>,
) -> io::Result<TableId> {
    if plan.sync {
        // Data first, then what leads to it.
        for segment in &plan.segments {
            layout::sync_data(&layout::open(&segment.path)?, &segment.path)?;
        }
        layout::sync_dir(&layout.segments)?;
    }
    let homes = (count * 4).div_ceil(LOAD).max(1);
    match Output::new(layout, plan, count, homes)?.fill(plan, input())? {
        Some(id) => Ok(id),
        None => Output::new(layout, plan, count, 0)?
            .fill(plan, input())?
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// A table that is being written.
struct Output<'l> {
    layout: &'l Layout,
    file: BufWriter<File>,
    temporary: PathBuf,
    header: TableHeader,
    filter: FilterWriter,
    /// The first slot that is still free.
    slot: u64,
    done: bool,
}

impl<'l> Output<'l> {
    fn new(layout: &'l Layout, plan: &Plan, entries: u64, homes: u64) -> io::Result<Self> {
        let this = Host::this();
        let mut covered = plan.covered.clone();
        if plan.sync {
            for covered in &mut covered {
                covered.synced = covered.to;
            }
        }
        let header = TableHeader {
            id: TableId::random(),
            machine: this.machine,
            boot: this.boot,
            synced: plan.sync,
            homes,
            buckets: 0,
            reach: 0,
            entries: 0,
            postings: [0; 3],
            clock: plan.clock,
            filter: filter::words(entries),
            covered,
            replaced: plan.replaced.clone(),
            retired: plan.retired.clone(),
        };
        let (file, temporary) = layout::create_temporary(&layout.tables)?;
        let filter = FilterWriter::new(header.size(), header.filter);
        let mut file = BufWriter::with_capacity(1 << 18, file);
        // Header and filter are written last.
        file.seek(SeekFrom::Start(header.size() + header.filter * 8))?;
        Ok(Self { layout, file, temporary, header, filter, slot: 0, done: false })
    }

    /// Writes everything and gives the table its name. `None`: some entry would lie too far from its home.
    fn fill(mut self, plan: &Plan, inputs: Vec<Input<'_>>) -> io::Result<Option<TableId>> {
        let mut lists: [Vec<_>; 4] = Default::default();
        for input in inputs {
            for (all, list) in lists.iter_mut().zip(input.lists) {
                all.push(list);
            }
        }
        let [entries, postings @ ..] = lists;
        let mut dropped = HashSet::new();
        let mut group: Vec<(u64, Place)> = Vec::new();
        for (lead, place) in Merge::new(entries) {
            if group.first().is_some_and(|(first, _)| *first != lead) {
                settle(self.layout, &mut group, &plan.segments, &mut dropped);
                for (lead, place) in group.drain(..) {
                    if !self.entry(lead, place)? {
                        return Ok(None);
                    }
                }
            }
            group.push((lead, place));
        }
        settle(self.layout, &mut group, &plan.segments, &mut dropped);
        for (lead, place) in group.drain(..) {
            if !self.entry(lead, place)? {
                return Ok(None);
            }
        }
        self.header.buckets = self.slot.max(self.header.homes * SLOTS).div_ceil(SLOTS);
        self.pad_to(self.header.buckets * SLOTS)?;
        for (number, list) in postings.into_iter().enumerate() {
            let mut last = None;
            for (lead, place) in Merge::new(list) {
                if last != Some((lead, place)) && !dropped.contains(&place.spot()) {
                    self.put(lead, place)?;
                    self.header.postings[number] += 1;
                    last = Some((lead, place));
                }
            }
        }
        self.finish().map(Some)
    }

    fn put(&mut self, lead: u64, place: Place) -> io::Result<()> {
        self.file.write_all(&lead.to_le_bytes())?;
        self.file.write_all(&place.0.to_le_bytes())
    }

    fn pad_to(&mut self, slot: u64) -> io::Result<()> {
        for _ in self.slot..slot {
            self.file.write_all(&[0; ENTRY_SIZE])?;
        }
        self.slot = self.slot.max(slot);
        Ok(())
    }

    /// Puts an entry into its home bucket, or the next free slot behind it.
    fn entry(&mut self, lead: u64, place: Place) -> io::Result<bool> {
        if self.header.homes > 0 {
            let first = home(lead, self.header.homes) * SLOTS;
            self.pad_to(first)?;
            let reach = self.slot / SLOTS - first / SLOTS;
            if reach > REACH {
                return Ok(false);
            }
            self.header.reach = self.header.reach.max(reach);
        }
        self.put(lead, place)?;
        self.filter.add(self.file.get_ref(), lead)?;
        self.slot += 1;
        self.header.entries += 1;
        Ok(true)
    }

    fn finish(mut self) -> io::Result<TableId> {
        self.file.flush()?;
        let file = self.file.get_ref();
        self.filter.finish(file)?;
        file.write_all_at(&self.header.bytes(), 0)?;
        layout::seal(file)?;
        if self.header.synced {
            layout::sync_data(file, &self.temporary)?;
        }
        crate::pause::at("table written");
        layout::rename(&self.temporary, &self.header.id.path(&self.layout.tables))?;
        self.done = true;
        if self.header.synced {
            layout::sync_dir(&self.layout.tables)?;
        }
        Ok(self.header.id)
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Entries with the same leading bits: drops copies of a value or note, and records that newer ones replace. Those
/// become dead, so that they do not come back when the index is rebuilt.
fn settle(
    layout: &Layout,
    group: &mut Vec<(u64, Place)>,
    segments: &[Arc<Segment>],
    dropped: &mut HashSet<u64>,
) {
    if group.len() < 2 {
        return;
    }
    group.sort_by_key(|(_, place)| *place);
    group.dedup();
    let mut seen = HashSet::new();
    let mut records: HashMap<CallKey, Vec<(Reverse<u64>, u128, Place)>> = HashMap::new();
    group.retain(|(_, place)| {
        let segment = &segments[place.segment()];
        let Some(header) = segment.frame(place.offset()).filter(|header| header.live) else {
            dropped.insert(place.spot());
            return false;
        };
        if header.kind == Kind::Record {
            if let Some(record) = segment.record(place.offset()) {
                let key = records.entry(record.key).or_default();
                key.push((Reverse(record.clock), record.trace_check(), *place));
            } else {
                dropped.insert(place.spot());
            }
            return false;
        }
        // Of copies one stays: a sound one, for a second was perhaps put because the first is damaged.
        let sound = match large(segment, place.offset(), &header) {
            Some(large) => large.is_there(layout, &header.key),
            None => header.kind != Kind::Large && segment.is_whole(place.offset(), &header),
        };
        let stays = sound && seen.insert((Class::of(header.kind), header.key, header.fingerprint));
        if !stays {
            let _ = kill(segment, place.offset());
        }
        stays
    });
    let Some(lead) = records.keys().next().map(|key| key.digest().leading()) else { return };
    for mut records in records.into_values() {
        records.sort_unstable();
        let mut traces = HashSet::new();
        for (_, trace, place) in records {
            if traces.len() < TRACES && traces.insert(trace) {
                group.push((lead, place));
            } else {
                dropped.insert(place.spot());
                let _ = kill(&segments[place.segment()], place.offset());
            }
        }
    }
    group.sort_unstable();
}

/// Sorted lists as one.
struct Merge<'a> {
    lists: Vec<Box<dyn Iterator<Item = (u64, Place)> + 'a>>,
    next: BinaryHeap<Reverse<(u64, Place, usize)>>,
}

impl<'a> Merge<'a> {
    fn new(mut lists: Vec<Box<dyn Iterator<Item = (u64, Place)> + 'a>>) -> Self {
        let first = |(i, list): (usize, &mut Box<dyn Iterator<Item = (u64, Place)> + 'a>)| {
            list.next().map(|(lead, place)| Reverse((lead, place, i)))
        };
        let next = lists.iter_mut().enumerate().filter_map(first).collect();
        Self { lists, next }
    }
}

impl Iterator for Merge<'_> {
    type Item = (u64, Place);

    fn next(&mut self) -> Option<(u64, Place)> {
        let mut top = self.next.peek_mut()?;
        let Reverse((lead, place, list)) = *top;
        match self.lists[list].next() {
            Some((lead, place)) => *top = Reverse((lead, place, list)),
            None => {
                std::collections::binary_heap::PeekMut::pop(top);
            }
        }
        Some((lead, place))
    }
}
