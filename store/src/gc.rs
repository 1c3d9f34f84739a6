//! Garbage collection: keeps the records within the budget, least recently used out first, and what they reach.
//!
//! It never blocks readers or writers. A value that a writer found stored just before it went is a miss later, and
//! heals by running again; so there is no protocol between the two.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::aside;
use crate::bytes::Bytes;
use crate::compact::Victim;
use crate::digest::{Digest, TypeFingerprint};
use crate::disk::{Disk, disk_bytes};
use crate::error::Result;
use crate::evict::Eviction;
use crate::frame::{Header, Kind};
use crate::layout::{self, Layout};
use crate::live::Live;
use crate::reader::large;
use crate::segment::{Segment, SegmentId};
use crate::tail::Class;
use crate::touched;
use crate::upkeep::{Maintenance, PATIENCE};
use crate::view::View;
use crate::writer::now_ms;

/// What gc may keep.
#[derive(Debug, Clone, Copy, Default)]
pub struct GcOptions {
    /// So many bytes of records, values and notes at most.
    pub max_bytes: Option<u64>,
    /// Nothing that was not used for so long.
    pub max_age: Option<Duration>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What gc did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcReport {
    /// Records that stay.
    pub records_kept: u64,
    /// Records that go.
    pub records_dropped: u64,
    /// Values that go, because no kept record reaches them.
    pub values_dropped: u64,
    /// Notes that go.
    pub notes_dropped: u64,
    /// Bytes of records, values and notes that stay.
    pub bytes_kept: u64,
    /// Bytes of what goes.
    pub bytes_dropped: u64,
    /// Bytes that the disk got back. More may follow as segments fill with dead frames.
    pub bytes_freed: u64,
}

/// Files nobody names are removed once they are this old: a writer may be about to name a younger one.
const ORPHANED: Duration = Duration::from_secs(3600);

/// A frame that may go or stay.
#[derive(Clone)]
struct Entry {
    segment: Arc<Segment>,
    offset: u64,
    /// The frame and, for a large value, its file.
    bytes: u64,
    frame: u64,
    file: Option<PathBuf>,
}

impl Entry {
    /// What the value's bytes are, wherever they lie.
    fn bytes(&self, layout: &Layout) -> Option<Bytes> {
        let header = self.segment.frame(self.offset)?;
        match large(&self.segment, self.offset, &header) {
            Some(large) => large.view(layout, &header.key),
            None => self.segment.payload(self.offset, &header, false),
        }
    }
}

struct RecordEntry {
    entry: Entry,
    used: i64,
    reaches: Vec<Digest>,
}

/// Everything that is stored.
struct Inventory {
    layout: Layout,
    records: Vec<RecordEntry>,
    values: HashMap<Digest, Vec<(TypeFingerprint, Entry)>>,
    notes: Vec<Entry>,
    /// Keys of records from the future.
    clamped: Vec<(u64, i64)>,
    /// The blobs among the values.
    blobs: HashSet<Digest>,
    /// The first two bytes of their digests, a bit each: one look at this tells most places in a value from a mention.
    beginnings: Vec<u64>,
}

impl Disk {
    fn inventory(&self, view: &View) -> Inventory {
        let mut all = Inventory {
            layout: self.layout.clone(),
            records: Vec::new(),
            values: HashMap::new(),
            notes: Vec::new(),
            clamped: Vec::new(),
            blobs: HashSet::new(),
            beginnings: vec![0; 1 << 10],
        };
        let (times, _) = touched::read(&self.layout);
        let now = now_ms();
        // Values first: one that was put together with its record is not seen without it.
        view.each_stored(Class::Value, &mut |segment, offset, header| {
            let entry = self.entry(segment, offset, header);
            all.values.entry(header.key).or_default().push((header.fingerprint, entry));
            if header.fingerprint == TypeFingerprint::BLOB {
                all.blobs.insert(header.key);
                let [a, b, ..] = *header.key.as_bytes();
                all.beginnings[usize::from(a) << 2 | usize::from(b) >> 6] |= 1 << (b & 63);
            }
        });
        view.each_kept(&mut |found| {
            let record = &found.record;
            let bytes = found.segment.frame(found.offset).and_then(|header| header.total()).unwrap_or(0);
            let lead = record.key.digest().leading();
            let touched = times.get(&lead).copied();
            // A clock that once ran ahead must not keep things for ever: such a record counts as used when gc first
            // sees it, which is written down.
            let used = if record.created_ms <= now {
                touched.unwrap_or(0).max(record.created_ms)
            } else {
                touched.unwrap_or_else(|| {
                    all.clamped.push((lead, now));
                    now
                })
            };
            let arguments = record.identity.arguments.iter().map(|argument| argument.digest.digest());
            let reaches = arguments.chain([record.result.digest.digest()]).collect();
            let (segment, offset) = (found.segment.clone(), found.offset);
            let entry = Entry { segment, offset, bytes, frame: bytes, file: None };
            all.records.push(RecordEntry { entry, used, reaches });
            ControlFlow::Continue(())
        });
        view.each_stored(Class::Note, &mut |segment, offset, header| {
            all.notes.push(self.entry(segment, offset, header));
        });
        all
    }

    fn entry(&self, segment: &Arc<Segment>, offset: u64, header: &Header) -> Entry {
        let large = large(segment, offset, header);
        let frame = header.total().unwrap_or(0);
        let bytes = frame.saturating_add(large.map_or(0, |large| large.length));
        let file = large.map(|large| large.path(&self.layout, &header.key));
        Entry { segment: segment.clone(), offset, bytes, frame, file }
    }

    /// See [`crate::Store::gc`].
    pub(crate) fn collect_garbage(&self, options: &GcOptions) -> Result<GcReport> {
        if options.dry_run {
            self.refresh();
            return Ok(self.plan(&self.views.get(), options).1);
        }
        self.writable()?;
        let lock = self.maintenance(PATIENCE)?;
        // If the disk is full, this is the space to work with.
        self.release_reserve();
        let report = self.collect_locked(&lock, options);
        if !self.reserve() {
            // The worker may look at what was removed, and then it has its bytes.
            self.settle_down();
            self.reserve();
        }
        report
    }

    fn collect_locked(&self, lock: &Maintenance, options: &GcOptions) -> Result<GcReport> {
        let wrap = |e| crate::Error::io(&self.layout.root, e);
        let before = disk_bytes(&self.layout.root);
        self.refresh();
        self.finish_interrupted().map_err(wrap)?;
        let lengths = self.lengths();
        self.refresh();
        let view = self.views.get();
        let (mut plan, mut report) = self.plan(&view, options);
        crate::pause::at("gc planned");
        let mut eviction = Eviction::default();
        for entry in &plan.dropped {
            let pins = self.pins.hold();
            if pins.keep_frame(&entry.segment, entry.offset) {
                // Pinned since.
                plan.live.insert(entry.segment.id, entry.offset, entry.frame);
                continue;
            }
            eviction.kill(&entry.segment, entry.offset);
            if let Some(file) = &entry.file {
                let _ = fs::remove_file(file);
            }
        }
        eviction.finish()?;
        if report.records_dropped > 0 {
            aside::overrule(&self.layout).map_err(wrap)?;
        }
        // What is derived goes before anything else does.
        let over = options.max_bytes.is_some_and(|most| {
            report.records_dropped > 0 || report.bytes_kept.saturating_add(aside::bytes(&self.layout)) > most
        });
        aside::remove(&self.layout, |written| {
            over || options.max_age.is_some_and(|most| written.elapsed().is_ok_and(|age| age > most))
        });
        self.fold_touched(&plan);
        self.remove_orphans(&view);
        let victims = self.victims(&view, &plan.live, &lengths);
        // Nothing of this may keep what is removed now on the disk.
        drop(view);
        plan.dropped.clear();
        self.compact(lock, victims, &plan.live)?;
        match self.clean_tables() {
            // Entries that lead nowhere do no harm.
            Err(e) if e.kind() == std::io::ErrorKind::StorageFull => {}
            other => other.map_err(wrap)?,
        }
        report.bytes_freed = before.saturating_sub(disk_bytes(&self.layout.root));
        Ok(report)
    }

    /// Decides what stays.
    fn plan(&self, view: &View, options: &GcOptions) -> (Plan, GcReport) {
        let mut all = self.inventory(view);
        let mut report = GcReport::default();
        let mut plan = Plan { clamped: std::mem::take(&mut all.clamped), ..Plan::default() };
        let oldest = options
            .max_age
            .map(|age| now_ms().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
        // Another format's directory lives on the same budget.
        let budget = options.max_bytes.map(|bytes| bytes.saturating_sub(self.other_versions()));
        let mut spent = 0u64;
        for note in std::mem::take(&mut all.notes) {
            let made = note.segment.header().map_or(0, |header| header.created_ms);
            let young = oldest.is_none_or(|oldest| made >= oldest);
            if young && budget.is_none_or(|budget| note.bytes.saturating_add(spent) <= budget) {
                spent = note.bytes.saturating_add(spent);
                plan.live.insert(note.segment.id, note.offset, note.frame);
            } else {
                report.notes_dropped += 1;
                plan.drop(note, &mut report);
            }
        }
        let mut records = std::mem::take(&mut all.records);
        records.sort_by_key(|record| std::cmp::Reverse(record.used));
        let size = |digest: &Digest| -> u64 {
            let copies = all.values.get(digest).into_iter().flatten();
            copies.fold(0, |sum: u64, (_, entry)| sum.saturating_add(entry.bytes))
        };
        let mut reached = HashSet::new();
        reached.extend(all.reach(&self.pins.digests(), &reached));
        spent = reached.iter().map(size).fold(spent, u64::saturating_add);
        let mut full = false;
        for record in records {
            let new = all.reach(&record.reaches, &reached);
            let cost = new.iter().map(size).fold(record.entry.bytes, u64::saturating_add);
            full |= budget.is_some_and(|budget| cost.saturating_add(spent) > budget);
            if full || oldest.is_some_and(|oldest| record.used < oldest) {
                report.records_dropped += 1;
                plan.drop(record.entry, &mut report);
                continue;
            }
            spent = cost.saturating_add(spent);
            reached.extend(new);
            report.records_kept += 1;
            plan.keys
                .extend(record.entry.segment.frame(record.entry.offset).map(|header| header.key.leading()));
            plan.live.insert(record.entry.segment.id, record.entry.offset, record.entry.frame);
        }
        for (digest, copies) in all.values {
            for (_, entry) in copies {
                if reached.contains(&digest) {
                    plan.live.insert(entry.segment.id, entry.offset, entry.frame);
                } else {
                    report.values_dropped += 1;
                    plan.drop(entry, &mut report);
                }
            }
        }
        report.bytes_kept = spent;
        (plan, report)
    }

    fn other_versions(&self) -> u64 {
        let own = self.layout.root.file_name();
        let entries = fs::read_dir(&self.layout.dir).into_iter().flatten().flatten();
        entries
            .filter(|entry| {
                let name = entry.file_name();
                let version = name.to_str().and_then(|name| name.strip_prefix('v')).map(str::parse::<u32>);
                Some(name.as_os_str()) != own && matches!(version, Some(Ok(_)))
            })
            .map(|entry| disk_bytes(&entry.path()))
            .sum()
    }

    /// How long the segments are. Everything below that is in any later picture: no put is under way here.
    fn lengths(&self) -> HashMap<SegmentId, u64> {
        let _writer = self.writer_now();
        let view = self.views.get();
        view.segments.values().map(|segment| (segment.id, length(segment))).collect()
    }

    /// Segments that are less than half alive and have no writer; and that did not grow since it was decided what is:
    /// what was appended meanwhile is alive too, and nobody counted it.
    fn victims(&self, view: &View, live: &Live, lengths: &HashMap<SegmentId, u64>) -> Vec<Victim> {
        let dying = |id: SegmentId, length| {
            length > 0 && lengths.get(&id) == Some(&length) && live.bytes(id) < length / 2
        };
        let mut writer = self.writer_now();
        // Our own segment too, if it is mostly dead. The next put finds another.
        if writer.active().is_some_and(|active| dying(active.tail.segment.id, active.end())) {
            self.retire(&mut writer);
        }
        drop(writer);
        let candidates = view.segments.values().filter(|segment| dying(segment.id, length(segment)));
        let locked = candidates.filter_map(Victim::lock);
        locked.filter(|victim| dying(victim.segment.id, length(&victim.segment))).collect()
    }

    /// Writes what is known of the last uses anew, as one file.
    fn fold_touched(&self, plan: &Plan) {
        let keys = &plan.keys;
        let _ =
            touched::write(&self.layout, self.touched_now().into_iter().chain(plan.clamped.iter().copied()));
        let (times, files) = touched::read(&self.layout);
        if files.len() > 1
            && touched::write(&self.layout, times.into_iter().filter(|(key, _)| keys.contains(key))).is_ok()
        {
            for file in files {
                let _ = fs::remove_file(file);
            }
        }
    }

    /// Removes files that nothing names: left by writers that were killed.
    fn remove_orphans(&self, view: &View) {
        let mut named = HashSet::new();
        view.range(Class::Value, &(0..=u64::MAX), &mut |segment, offset| {
            let header = segment.frame(offset).filter(|header| header.live && header.kind == Kind::Large);
            named.extend(header.and_then(|header| self.entry(segment, offset, &header).file));
            true
        });
        let old = |path: &PathBuf| {
            let modified = fs::symlink_metadata(path).and_then(|meta| meta.modified());
            let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
            age.is_some_and(|age| age > ORPHANED)
        };
        let list = |dir: &Path| -> Vec<PathBuf> {
            fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
        };
        for folder in list(&self.layout.values) {
            for file in list(&folder) {
                if !named.contains(&file) && old(&file) {
                    let _ = fs::remove_file(file);
                }
            }
        }
        for dir in self.layout.directories() {
            for file in list(dir) {
                let temporary = file
                    .file_name()
                    .and_then(|name| name.to_str())
                    .is_some_and(|name| name.starts_with(".tmp-"));
                // A segment under its temporary name is locked by whoever makes it.
                let idle = temporary
                    && old(&file)
                    && layout::open(&file).is_ok_and(|f| matches!(layout::try_lock(&f), Ok(true)));
                if idle {
                    let _ = fs::remove_file(file);
                }
            }
        }
    }

    /// Makes one table of all, without entries that lead nowhere.
    fn clean_tables(&self) -> std::io::Result<()> {
        self.refresh();
        let view = self.views.get();
        if view.tables.is_empty() {
            return Ok(());
        }
        let exists = |id: &SegmentId| view.segments.contains_key(id);
        let dead = |segment: &Segment, offset: u64| !segment.is_live(offset);
        crate::build::merge(&self.layout, &view.tables, true, exists, &dead)?;
        self.announce()?;
        for table in &view.tables {
            let _ = fs::remove_file(table.header.id.path(&self.layout.tables));
        }
        Ok(())
    }
}

fn length(segment: &Segment) -> u64 {
    fs::symlink_metadata(&segment.path).map_or(0, |meta| meta.len())
}

/// What gc is going to do.
#[derive(Default)]
struct Plan {
    live: Live,
    dropped: Vec<Entry>,
    /// The keys that stay.
    keys: HashSet<u64>,
    clamped: Vec<(u64, i64)>,
}

impl Plan {
    fn drop(&mut self, entry: Entry, report: &mut GcReport) {
        report.bytes_dropped = report.bytes_dropped.saturating_add(entry.bytes);
        self.dropped.push(entry);
    }
}

impl Inventory {
    /// The stored values that these digests name and that were not reached yet, and the blobs that those mention.
    ///
    /// The store can't read values, but a manifest names its blobs by digest, in binary or hex. So whatever looks like
    /// the digest of a stored blob counts as one, in values of any size: at worst a blob stays too long.
    fn reach(&self, digests: &[Digest], reached: &HashSet<Digest>) -> Vec<Digest> {
        let mut new = Vec::new();
        for digest in digests {
            let Some(copies) = self.values.get(digest).filter(|_| !reached.contains(digest)) else {
                continue;
            };
            if new.contains(digest) {
                continue;
            }
            new.push(*digest);
            for (fingerprint, entry) in copies {
                if *fingerprint == TypeFingerprint::BLOB || self.blobs.is_empty() {
                    continue;
                }
                if let Some(bytes) = entry.bytes(&self.layout) {
                    self.mentioned(&bytes, &mut |blob| {
                        if !reached.contains(&blob) && !new.contains(&blob) {
                            new.push(blob);
                        }
                    });
                }
            }
        }
        new
    }

    /// Can a blob's digest begin with these two bytes?
    fn begins(&self, a: u8, b: u8) -> bool {
        self.beginnings[usize::from(a) << 2 | usize::from(b) >> 6] >> (b & 63) & 1 == 1
    }

    fn mentioned(&self, bytes: &[u8], each: &mut dyn FnMut(Digest)) {
        let mut hit = |candidate: [u8; 32]| {
            let digest = Digest::from_bytes(candidate);
            if self.blobs.contains(&digest) {
                each(digest);
            }
        };
        for window in bytes.windows(32) {
            if self.begins(window[0], window[1])
                && let Some(candidate) = window.first_chunk()
            {
                hit(*candidate);
            }
        }
        for window in bytes.windows(64) {
            if window[..4].iter().all(u8::is_ascii_hexdigit)
                && let Some(candidate) = std::str::from_utf8(window).ok().and_then(layout::unhex)
            {
                hit(candidate);
            }
        }
    }
}
