//! What this process knows of the store's files: one immutable picture, replaced as a whole when it changes.
//!
//! Looking things up takes a shared lock to get the picture, and none that excludes others.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::sync::{Arc, OnceLock};

use crate::bytes::{Map, process_id};
use crate::error::{Error, Result};
use crate::frame::HEADER;
use crate::layout::{self, Layout};
use crate::os::FileExt as _;
use crate::segment::{Keys, Segment, SegmentId};
use crate::sync::{Mutex, RwLock};
use crate::table::{Table, TableId};
use crate::tail::{Class, Tail};

/// The files of a store as they were found last.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) generation: u64,
    /// The generation before, while ours is being announced: seeing it is no news either.
    before: u64,
    pub(crate) segments: HashMap<SegmentId, Arc<Segment>>,
    /// Largest first.
    pub(crate) tables: Vec<Arc<Table>>,
    /// What no table covers, newest last.
    pub(crate) tails: Vec<Arc<Tail>>,
}

impl View {
    /// Tries every frame that may be the one asked for, until `f` accepts one.
    pub(crate) fn find<T>(
        &self,
        class: Class,
        lead: u64,
        mut f: impl FnMut(&Arc<Segment>, u64) -> Option<T>,
    ) -> Option<T> {
        for tail in self.tails.iter().rev() {
            for offset in tail.candidates(class, lead) {
                if let Some(found) = f(&tail.segment, offset) {
                    return Some(found);
                }
            }
        }
        self.tables.iter().find_map(|table| table.find(class, lead, &mut f))
    }

    /// Visits the entries of a class whose leading bits lie in a range, in no particular order, until `f` says stop.
    pub(crate) fn range(
        &self,
        class: Class,
        leads: &std::ops::RangeInclusive<u64>,
        f: &mut dyn FnMut(&Arc<Segment>, u64) -> bool,
    ) {
        let mut going = true;
        for tail in &self.tails {
            let mut found = Vec::new();
            tail.range(class, leads, &mut found);
            for (_, offset) in found {
                if !f(&tail.segment, offset) {
                    return;
                }
            }
        }
        for table in &self.tables {
            table.range(class, leads, &mut |_, segment, offset| {
                going = f(segment, offset);
                going
            });
            if !going {
                return;
            }
        }
    }
}

/// The current view, and how it is brought up to date.
pub(crate) struct Views {
    layout: Layout,
    /// Room for growth in the maps of segments.
    reserve: u64,
    keys: Keys,
    current: RwLock<Arc<View>>,
    /// The generation's file, mapped: a miss reads it without a system call.
    word: OnceLock<Map>,
    /// Held while files are listed.
    listing: Mutex<()>,
}

impl Views {
    pub(crate) fn new(layout: Layout, reserve: u64, keys: Keys) -> Self {
        Self {
            layout,
            reserve,
            keys,
            current: RwLock::default(),
            word: OnceLock::new(),
            listing: Mutex::new(()),
        }
    }

    pub(crate) fn get(&self) -> Arc<View> {
        self.current.read().clone()
    }

    /// A segment of this store, with room for growth in its map.
    pub(crate) fn segment(&self, id: SegmentId, reserve: u64) -> Segment {
        Segment::new(&self.layout.segments, id, reserve, self.keys.clone())
    }

    /// Says to other processes that files came or went, after having looked ourselves.
    pub(crate) fn publish(&self) -> Result<()> {
        let path = self.layout.generation();
        let [word, _] = halves(layout::random());
        let listing = self.listing.lock();
        let before = self.generation();
        // While the word is on its way, threads that put see either it or the one before, and need not list.
        let wrap = |e| Error::io(&path, e);
        self.list(word, before).map_err(wrap)?;
        layout::open_or_create(&path)
            .and_then(|file| file.write_all_at(&word.to_le_bytes(), 0))
            .map_err(wrap)?;
        // Another process may have announced something in between, which our word has overwritten.
        self.list(word, word).map_err(wrap)?;
        drop(listing);
        Ok(())
    }

    /// Adds a tail of this process's own, in place of an unowned one of the same range.
    pub(crate) fn add_tail(&self, tail: &Arc<Tail>) {
        let mut current = self.current.write();
        let mut segments = current.segments.clone();
        let mut tails = current.tails.clone();
        segments.insert(tail.segment.id, tail.segment.clone());
        tails.retain(|other| other.segment.id != tail.segment.id || other.from != tail.from);
        tails.push(tail.clone());
        let (generation, before, tables) = (current.generation, current.before, current.tables.clone());
        *current = Arc::new(View { generation, before, segments, tables, tails });
    }

    /// Looks for what other processes did. Returns whether there was anything, and the largest clock seen in it.
    pub(crate) fn refresh(&self) -> (bool, u64) {
        let mut news = false;
        let mut clock = 0;
        let mut view = self.get();
        let known = |view: &View, generation| generation == view.generation || generation == view.before;
        if !known(&view, self.generation()) {
            let _listing = self.listing.lock();
            let generation = self.generation();
            if !known(&self.get(), generation) && self.list(generation, generation).is_err() {
                return (false, 0);
            }
            view = self.get();
            news = true;
            clock = view.tables.iter().map(|table| table.header.clock).max().unwrap_or(0);
        }
        let pid = process_id();
        for tail in view.tails.iter().filter(|tail| !tail.is_owned_by(pid)) {
            if let Some(found) = tail.catch_up() {
                news = true;
                clock = clock.max(found);
            }
        }
        (news, clock)
    }

    /// Lists the files whether or not the generation changed.
    pub(crate) fn reload(&self) -> io::Result<u64> {
        let _listing = self.listing.lock();
        let generation = self.generation();
        self.list(generation, generation)?;
        Ok(self.get().tables.iter().map(|table| table.header.clock).max().unwrap_or(0))
    }

    fn generation(&self) -> u64 {
        let word = self.word.get().or_else(|| {
            let file = layout::open(&self.layout.generation()).ok()?;
            let whole = file.metadata().is_ok_and(|meta| meta.len() >= 8);
            let map = whole.then(|| Map::uncapped(&file, 8).ok())??;
            Some(self.word.get_or_init(|| map))
        });
        let half = |at| word.and_then(|word| word.word(at)).map_or(0, u64::from);
        half(4) << 32 | half(0)
    }

    /// Replaces the view by one of the files that are there now.
    ///
    /// Tables first, then segments: what a table covers was there before it, so nothing can fall between.
    fn list(&self, generation: u64, before: u64) -> io::Result<()> {
        let old = self.get();
        let mut segments = HashMap::new();
        let mut segment = |id| {
            let new = || Arc::new(self.segment(id, self.reserve));
            let known = old.segments.get(&id).filter(|segment| !segment.failed());
            segments.entry(id).or_insert_with(|| known.cloned().unwrap_or_else(new)).clone()
        };
        let mut tables = self.list_tables(&old, &mut segment)?;
        let ids = segment_ids(&self.layout)?;
        for id in &ids {
            segment(*id);
        }
        segments.retain(|id, _| ids.contains(id));
        for table in &mut tables {
            let gone = |segment: &Segment| !ids.contains(&segment.id);
            if let Some(other) = table.letting_go(gone, |id| self.segment(id, 0)) {
                *table = Arc::new(other);
            }
        }
        let starts = uncovered(&tables);
        let pid = process_id();
        let mut tails = Vec::new();
        for (id, segment) in &segments {
            let start = starts.get(id).copied().unwrap_or(HEADER);
            // What we index already and no table does.
            let own = old.tails.iter().filter(|tail| tail.segment.id == *id);
            let kept: Vec<_> = own
                .filter(|tail| tail.from >= start || (tail.is_owned_by(pid) && tail.end() > start))
                .cloned()
                .collect();
            let covered =
                segment.is_sealed() && fs::metadata(&segment.path).is_ok_and(|meta| meta.len() <= start);
            if kept.is_empty() && !covered && segment.is_readable() {
                tails.push(Arc::new(Tail::new(segment.clone(), start, 0)));
            }
            tails.extend(kept);
        }
        // In the order in which they began, as far as we know: older ones first.
        tails.sort_by_key(|tail| (old.tails.iter().position(|other| Arc::ptr_eq(other, tail)), tail.from));
        let mut current = self.current.write();
        // What a put added meanwhile is newer than what was listed.
        for tail in current.tails.iter().filter(|_| !planted("list forgets")) {
            if !old.tails.iter().any(|other| Arc::ptr_eq(other, tail)) {
                segments.insert(tail.segment.id, tail.segment.clone());
                tails.retain(|other| other.segment.id != tail.segment.id || other.from != tail.from);
                tails.push(tail.clone());
            }
        }
        *current = Arc::new(View { generation, before, segments, tables, tails });
        Ok(())
    }

    /// The tables that count, largest first.
    fn list_tables(
        &self,
        old: &View,
        segment: &mut impl FnMut(SegmentId) -> Arc<Segment>,
    ) -> io::Result<Vec<Arc<Table>>> {
        let mut tables = Vec::new();
        // A table may be merged into another between listing and opening: list again, at most three times.
        for _ in 0..3 {
            tables.clear();
            let mut gone = false;
            for id in table_ids(&self.layout)? {
                crate::pause::at("table listed");
                if let Some(table) = old.tables.iter().find(|table| table.header.id == id) {
                    tables.push(table.clone());
                    continue;
                }
                match Table::open(&self.layout.tables, id, &mut *segment) {
                    Ok(table) => tables.extend(table.map(Arc::new)),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => gone = true,
                    // What can't be read is as good as not there: its frames are scanned for.
                    Err(_) => {}
                }
            }
            if !gone {
                break;
            }
        }
        let replaced: HashSet<_> =
            tables.iter().flat_map(|table| table.header.replaced.iter().copied()).collect();
        tables.retain(|table| !replaced.contains(&table.header.id));
        tables.sort_by_key(|table| std::cmp::Reverse(table.header.entries));
        // Segments known from earlier tables must be in the new picture too.
        for table in &tables {
            for known in &table.segments {
                segment(known.id);
            }
        }
        Ok(tables)
    }
}

fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let half = |at: usize| bytes[at..].first_chunk().map_or(0, |half| u64::from_le_bytes(*half));
    [half(0), half(8)]
}

/// How far tables cover each segment without a gap.
fn uncovered(tables: &[Arc<Table>]) -> HashMap<SegmentId, u64> {
    let mut ranges: Vec<_> = tables.iter().flat_map(|table| &table.header.covered).collect();
    ranges.sort_by_key(|covered| (covered.segment, covered.from));
    let mut ends = HashMap::new();
    for covered in ranges {
        let end = ends.entry(covered.segment).or_insert(HEADER);
        if covered.from <= *end {
            *end = (*end).max(covered.to);
        }
    }
    ends
}

fn ids<T: std::hash::Hash + Eq>(
    directory: &std::path::Path,
    parse: impl Fn(&str) -> Option<T>,
) -> io::Result<HashSet<T>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        entries => entries?,
    };
    let mut ids = HashSet::new();
    for entry in entries {
        ids.extend(entry?.file_name().to_str().and_then(&parse));
    }
    Ok(ids)
}

/// The segments whose files are there.
pub(crate) fn segment_ids(layout: &Layout) -> io::Result<HashSet<SegmentId>> {
    ids(&layout.segments, SegmentId::parse_file_name)
}

/// The tables whose files are there.
pub(crate) fn table_ids(layout: &Layout) -> io::Result<HashSet<TableId>> {
    ids(&layout.tables, TableId::parse_file_name)
}

/// Is this race planted by a test?
#[cfg(test)]
fn planted(race: &str) -> bool {
    crate::sync::is_planted(race)
}

#[cfg(not(test))]
#[inline]
fn planted(_race: &str) -> bool {
    false
}
