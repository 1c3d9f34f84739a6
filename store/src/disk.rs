//! The store on disk: lookups over the view, puts through the writer.
//!
//! What it finds damaged it treats as not there. Only what the caller can act on is an error.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use crate::aside;
use crate::backend::{Backend, Prefix};
use crate::blob::{self, LARGE, Pending};
use crate::bytes::{Bytes, process_id};
use crate::digest::{CallId, CallKey, DependencyId, Digest, TypeFingerprint, ValueDigest};
use crate::error::{Error, Result};
use crate::evict::Eviction;
use crate::frame::{HEADER, Kind};
use crate::gc::{GcOptions, GcReport};
use crate::layout::{self, Layout};
use crate::pin::Pins;
use crate::put::Put;
use crate::reader::{large, large_view};
use crate::record::Record;
use crate::store::{Durability, Named, Options, SigningKey, Stats};
use crate::sync::{AtomicBool, AtomicU64, Mutex};
use crate::tail::{Class, Tail};
use crate::touched::{self, Touched};
use crate::upkeep::PATIENCE;
use crate::verify::VerifyReport;
use crate::view::{View, Views};
use crate::worker::Worker;
use crate::writer::{Active, Frame, Writer, now_ms};

/// Segments end at this size.
pub(crate) const ROLL: u64 = 256 << 20;

/// A tail of so many frames gets a table.
const TABLE: u64 = 16 * 1024;

/// So many full tails may wait for the worker; then whoever puts makes the tables.
const BACKLOG: usize = 16;

/// At close a tail of so many frames gets a table, to save the next process the scan.
const CLOSING: u64 = 4 * 1024;

/// How often data is brought to the disk while there are puts.
const INTERVAL: Duration = Duration::from_secs(10);

/// A store in a directory.
pub(crate) struct Disk {
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) views: Views,
    pub(crate) tuning: Tuning,
    writer: Mutex<Writer>,
    /// The largest logical time seen.
    pub(crate) clock: AtomicU64,
    /// Full tails of this process that have no table yet.
    pub(crate) full: Mutex<Vec<Arc<Tail>>>,
    /// When data was brought to the disk last, and whether it is due again.
    synced: Mutex<Instant>,
    pub(crate) sync_due: AtomicBool,
    /// Files of large values that are not on the disk yet.
    pub(crate) unsynced: Mutex<Vec<PathBuf>>,
    touched: Touched,
    pub(crate) pins: Arc<Pins>,
    worker: Worker,
    me: Weak<Self>,
}

/// Sizes that tests make small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    pub(crate) roll: u64,
    pub(crate) table: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { roll: ROLL, table: TABLE }
    }
}

impl Disk {
    pub(crate) fn open(dir: &Path, options: Options) -> Result<Arc<Self>> {
        Self::tuned(dir, options, Tuning::default())
    }

    pub(crate) fn tuned(dir: &Path, options: Options, tuning: Tuning) -> Result<Arc<Self>> {
        let layout = Layout::new(dir);
        if options.read_only {
            layout.check()?;
        } else {
            let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
            if let Some(kind) = layout::network_file_system_of(there) {
                return Err(Error::NetworkFileSystem { path: dir.to_path_buf(), kind });
            }
            layout.create()?;
        }
        let views = Views::new(layout.clone(), tuning.roll, options.keys.clone().into());
        let pins = Pins::of(&layout.root);
        let disk = Arc::new_cyclic(|me| Self {
            layout,
            options,
            views,
            tuning,
            writer: Mutex::default(),
            clock: AtomicU64::new(0),
            full: Mutex::default(),
            synced: Mutex::new(Instant::now()),
            sync_due: AtomicBool::new(false),
            unsynced: Mutex::default(),
            touched: Touched::default(),
            pins,
            worker: Worker::default(),
            me: me.clone(),
        });
        let clock = disk.views.reload().map_err(|e| Error::io(&disk.layout.segments, e))?;
        disk.clock.fetch_max(clock, Ordering::Relaxed);
        disk.refresh();
        Ok(disk)
    }

    /// Looks for what other processes did since the last look.
    pub(crate) fn refresh(&self) -> bool {
        let (news, clock) = self.views.refresh();
        self.clock.fetch_max(clock, Ordering::Relaxed);
        news
    }

    /// Runs a lookup; if it comes back empty, once more after looking for news.
    fn look<T>(&self, lookup: impl Fn(&View) -> Option<T>) -> Option<T> {
        lookup(&self.views.get()).or_else(|| self.refresh().then(|| lookup(&self.views.get()))?)
    }

    pub(crate) fn writable(&self) -> Result<()> {
        if self.options.read_only { Err(Error::ReadOnly { path: self.layout.dir.clone() }) } else { Ok(()) }
    }

    /// The writer, with a segment to append `size` bytes to.
    pub(crate) fn writer(&self, size: u64) -> Result<MutexGuard<'_, Writer>> {
        if size > ROLL - HEADER {
            return Err(Error::TooLarge { what: "an entry", length: size });
        }
        let mut writer = self.writer.lock();
        if writer
            .active()
            .is_some_and(|active| active.end() > HEADER && active.end() + size > self.tuning.roll)
        {
            self.retire(&mut writer);
        }
        if writer.active().is_none() {
            self.refresh();
            let view = self.views.get();
            let pid = process_id();
            let room = self.tuning.roll.saturating_sub(size);
            let mut foreign = view.tails.iter().filter(|tail| !tail.is_owned_by(pid));
            let active = if let Some(active) = foreign.find_map(|tail| Active::adopt(tail, room)) {
                active
            } else {
                let created = Active::create(&self.layout, |id| self.views.segment(id, self.tuning.roll));
                let active = created.map_err(|e| Error::io(&self.layout.segments, e))?;
                if self.options.durability == Durability::Sync {
                    self.sync_names()?;
                }
                self.views.publish()?;
                active
            };
            self.views.add_tail(&active.tail);
            writer.set_active(active);
            self.reserve();
        }
        Ok(writer)
    }

    /// Brings the names of segments to the disk, and those of the directories above.
    fn sync_names(&self) -> Result<()> {
        let dirs = [&self.layout.segments, &self.layout.root, &self.layout.dir];
        dirs.into_iter().try_for_each(|dir| layout::sync_dir(dir).map_err(|e| Error::io(dir, e)))
    }

    /// Ends the active segment for good. Its last frames get a table like those of any full tail.
    pub(crate) fn retire(&self, writer: &mut Writer) {
        if let Some(active) = writer.retire() {
            let _ = layout::seal(&active.file);
            self.full.lock().push(active.tail.clone());
            self.worker.ring(&self.me);
        }
    }

    /// Sets the tail aside for a table once it is full, so that the index in memory stays small.
    pub(crate) fn turn(&self, writer: &mut Writer) {
        let due = self.sync_due();
        let Some(active) = writer.active().filter(|active| due || active.frames >= self.tuning.table) else {
            return;
        };
        let old = active.turn();
        self.views.add_tail(&active.tail);
        let mut full = self.full.lock();
        full.push(old);
        let backlog = full.len() > BACKLOG;
        drop(full);
        self.worker.ring(&self.me);
        if backlog {
            let _ = self.publish_full();
        }
    }

    /// Is it time to bring data to the disk? Says so once an interval.
    fn sync_due(&self) -> bool {
        let Some(mut last) = self.synced.try_lock().filter(|last| last.elapsed() >= INTERVAL) else {
            return false;
        };
        *last = Instant::now();
        self.sync_due.store(true, Ordering::Relaxed);
        true
    }

    /// The writer, whatever it has at the moment.
    pub(crate) fn writer_now(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// The keys found since the last call, as used now.
    pub(crate) fn touched_now(&self) -> Vec<(u64, i64)> {
        let now = now_ms();
        self.touched.take().into_iter().map(|lead| (lead, now)).collect()
    }

    /// The key to sign with.
    pub(crate) fn key(&self) -> Option<&[u8; 32]> {
        self.options.keys.first().map(SigningKey::bytes)
    }

    /// Waits until the worker has nothing left to do.
    pub(crate) fn settle_down(&self) {
        self.worker.wait();
    }

    fn append(&self, frames: &[Frame<'_>]) -> Result<()> {
        let mut writer = self.writer(Writer::size(frames, self.key().is_some()))?;
        writer.append(frames, self.key())?;
        self.turn(&mut writer);
        self.settle(writer)
    }

    /// What the durability asks for after an append.
    pub(crate) fn settle(&self, mut writer: MutexGuard<'_, Writer>) -> Result<()> {
        if self.options.durability == Durability::Sync
            && let Some(active) = writer.active()
        {
            let file = active.file.clone();
            let path = active.tail.segment.path.clone();
            drop(writer);
            layout::sync_data(&file, &path).map_err(|e| Error::io(&path, e))?;
        }
        Ok(())
    }

    pub(crate) fn put_large(
        &self,
        pending: Pending,
        digest: ValueDigest,
        fingerprint: TypeFingerprint,
    ) -> Result<()> {
        let sync = self.options.durability == Durability::Sync;
        let large = pending.name(&self.layout, &digest.digest(), sync)?;
        if !sync {
            self.unsynced.lock().push(large.path(&self.layout, &digest.digest()));
            self.worker.ring(&self.me);
        }
        let payload = large.bytes();
        let kind = Kind::Large;
        self.append(&[Frame { kind, key: digest.digest(), fingerprint, payload: &payload, call: None }])
    }
}

impl Backend for Disk {
    fn put_all(&self, puts: &[Put<'_>]) -> Result<u64> {
        self.put_batch(puts)
    }

    fn value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<Bytes>> {
        Ok(self.look(|view| {
            view.find_value(digest, fingerprint, |segment, offset, header| {
                if header.kind == Kind::Value {
                    return segment.payload(offset, header, false);
                }
                large_view(&self.layout, segment, offset, header)
            })
        }))
    }

    fn value_length(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<u64>> {
        Ok(self.look(|view| {
            view.find_value(digest, fingerprint, |segment, offset, header| match header.kind {
                Kind::Large => large(segment, offset, header).map(|large| large.length),
                _ => Some(header.length),
            })
        }))
    }

    fn has_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<bool> {
        Ok(self.look(|view| view.has(&self.layout, digest, fingerprint).then_some(())).is_some())
    }

    fn put_blob(&self, path: &Path) -> Result<(ValueDigest, u64)> {
        self.writable()?;
        let wrap = |e| Error::io(path, e);
        let mut from = File::open(path).map_err(wrap)?;
        if blob::regular_length(&from).is_some_and(|length| length < LARGE as u64) {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut from, &mut bytes).map_err(wrap)?;
            let digest = ValueDigest::new(Digest::of(&bytes));
            let (fingerprint, bytes) = (TypeFingerprint::BLOB, &bytes[..]);
            self.put_batch(&[Put::Value { digest, fingerprint, bytes }])?;
            return Ok((digest, bytes.len() as u64));
        }
        let pending = Pending::take(&self.layout, path, &mut from)?;
        let digest = blob::blob_digest(pending.large.content);
        let length = pending.large.length;
        if !self.views.get().has(&self.layout, &digest, TypeFingerprint::BLOB) {
            self.put_large(pending, digest, TypeFingerprint::BLOB)?;
        }
        Ok((digest, length))
    }

    fn copy_blob(&self, digest: &ValueDigest, to: &Path) -> Result<bool> {
        let found = self.look(|view| {
            view.find_value(digest, TypeFingerprint::BLOB, |segment, offset, header| {
                if header.kind == Kind::Value {
                    let bytes = segment.payload(offset, header, true)?;
                    let written = File::create_new(to).and_then(|mut file| file.write_all(&bytes));
                    return Some(written.map(|()| true).map_err(|e| Error::io(to, e)));
                }
                let copied = large(segment, offset, header)?.copy(&self.layout, &digest.digest(), to);
                if matches!(copied, Ok(false)) { None } else { Some(copied) }
            })
        });
        found.unwrap_or(Ok(false))
    }

    fn records(&self, key: &CallKey) -> Result<Vec<Arc<Record>>> {
        let look = |view: &View| Some(view.records_of(key)).filter(|records| !records.is_empty());
        let found = self.look(look).unwrap_or_default();
        if !found.is_empty() {
            self.touched.touch(key.digest().leading());
        }
        Ok(found)
    }

    fn newest(&self, call: &CallId) -> Result<Option<Arc<Record>>> {
        self.refresh();
        Ok(self.views.get().newest_of(call))
    }

    fn history(&self, call: &CallId) -> Result<Vec<Arc<Record>>> {
        self.refresh();
        Ok(self.views.get().history_of(call).into_iter().map(|found| found.record).collect())
    }

    fn dependents(&self, dependency: &DependencyId) -> Result<Vec<CallId>> {
        self.refresh();
        Ok(self.views.get().dependents(dependency))
    }

    fn calls_of(&self, function: &str) -> Result<Vec<CallId>> {
        self.refresh();
        Ok(self.views.get().calls_of(function))
    }

    fn for_each_record(&self, f: &mut dyn FnMut(Arc<Record>) -> ControlFlow<()>) -> Result<()> {
        self.refresh();
        self.views.get().each_kept(&mut |found| f(found.record));
        Ok(())
    }

    fn resolve(&self, prefix: Prefix) -> Result<Vec<Named>> {
        self.refresh();
        let view = self.views.get();
        let leads = prefix.leading();
        let mut found = HashSet::new();
        for class in [Class::Value, Class::Record] {
            view.range(class, &leads, &mut |segment, offset| {
                let header =
                    segment.frame(offset).filter(|header| header.live && prefix.matches(&header.key));
                found.extend(header.map(|header| match header.kind {
                    Kind::Record => Named::Key(CallKey::new(header.key)),
                    _ => Named::Value(ValueDigest::new(header.key), header.fingerprint),
                }));
                true
            });
        }
        view.range(Class::Call, &leads, &mut |segment, offset| {
            let call = segment.record_and_call(offset).map(|(_, call)| call);
            found.extend(call.filter(|call| prefix.matches(&call.digest())).map(Named::Call));
            true
        });
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable();
        Ok(found)
    }

    fn note(&self, kind: u16, key: &Digest) -> Result<Option<Vec<u8>>> {
        Ok(self.look(|view| view.note(kind, key)))
    }

    fn overruled(&self) -> Result<u64> {
        aside::overruled(&self.layout).map_err(|e| Error::io(&self.layout.overruled(), e))
    }

    fn overrule(&self) -> Result<u64> {
        self.writable()?;
        aside::overrule(&self.layout).map_err(|e| Error::io(&self.layout.overruled(), e))
    }

    fn put_aside(&self, name: &Digest, overruled: u64, content: &[u8]) -> Result<()> {
        self.writable()?;
        aside::put(&self.layout, name, overruled, content, self.key())
            .map_err(|e| Error::io(&self.layout.asides, e))
    }

    fn aside(&self, name: &Digest) -> Result<Option<Bytes>> {
        Ok(aside::get(&self.layout, name, &self.options.keys))
    }

    fn evict_call(&self, call: &CallId) -> Result<u64> {
        self.writable()?;
        let _lock = self.maintenance(PATIENCE)?;
        self.refresh();
        let view = self.views.get();
        let kept = view.history_of(call).len() as u64;
        let mut evicted = Eviction::default();
        view.find(Class::Call, call.digest().leading(), |segment, offset| {
            if segment.record_and_call(offset).is_some_and(|(_, found)| found == *call) {
                evicted.kill(segment, offset);
            }
            None::<()>
        });
        evicted.finish()?;
        self.overrule()?;
        Ok(kept)
    }

    fn evict_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<u64> {
        self.writable()?;
        let _lock = self.maintenance(PATIENCE)?;
        self.refresh();
        let pins = self.pins.hold();
        if pins.keep(digest, fingerprint) {
            return Ok(0);
        }
        let mut evicted = Eviction::default();
        self.views.get().find_value(digest, fingerprint, |segment, offset, header| {
            let large = large(segment, offset, header);
            evicted.kill(segment, offset);
            if let Some(large) = large {
                let _ = std::fs::remove_file(large.path(&self.layout, &digest.digest()));
            }
            None::<()>
        });
        evicted.finish()
    }

    fn stats(&self) -> Result<Stats> {
        self.refresh();
        let view = self.views.get();
        let (segments, tables) = (view.segments.len() as u64, view.tables.len() as u64);
        let mut stats = Stats { segments, tables, ..Stats::default() };
        view.each_stored(Class::Value, &mut |segment, offset, header| {
            stats.values += 1;
            let length = large(segment, offset, header).map_or(header.length, |large| large.length);
            stats.value_bytes = stats.value_bytes.saturating_add(length);
        });
        view.each_stored(Class::Note, &mut |_, _, _| stats.notes += 1);
        view.each_kept(&mut |_| {
            stats.records += 1;
            ControlFlow::Continue(())
        });
        stats.disk_bytes = disk_bytes(&self.layout.root);
        Ok(stats)
    }

    fn sync(&self) -> Result<()> {
        if self.options.read_only {
            return Ok(());
        }
        // Large values first, those that the worker has begun with among them: a frame names what is there.
        for path in std::mem::take(&mut *self.unsynced.lock()) {
            match blob::sync(&path) {
                // Evicted since.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(|e| Error::io(&path, e))?,
            }
        }
        self.settle_down();
        let view = self.views.get();
        for segment in view.segments.values() {
            let synced = layout::open(&segment.path).and_then(|file| layout::sync_data(&file, &segment.path));
            match synced {
                // Compacted since: what was live in it is on the disk.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(|e| Error::io(&segment.path, e))?,
            }
        }
        self.sync_names()
    }

    fn dir(&self) -> Option<&Path> {
        Some(&self.layout.dir)
    }

    fn gc(&self, options: &GcOptions) -> Result<GcReport> {
        self.collect_garbage(options)
    }

    fn verify(&self, repair: bool) -> Result<VerifyReport> {
        self.verify_all(repair)
    }

    fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    fn merge_all(&self) -> Result<u64> {
        let _lock = self.maintenance(PATIENCE)?;
        let view = self.views.get();
        if view.tables.len() > 1 {
            self.merge(&view, &view.tables).map_err(|e| Error::io(&self.layout.tables, e))?;
        }
        Ok(self.views.get().tables.iter().map(|table| table.header.entries).sum())
    }

    fn settle(&self) {
        self.settle_down();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let pid = process_id();
        let mut writer = std::mem::take(self.writer.get_mut());
        if let Some(active) =
            writer.active().filter(|active| active.frames >= CLOSING && active.tail.is_owned_by(pid))
        {
            self.full.get_mut().push(active.turn());
        }
        if !self.options.read_only {
            if writer.active().is_some() {
                let _ = self.publish_full();
            }
            let _ = touched::write(&self.layout, self.touched_now());
        }
    }
}

pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => crate::os::allocated(&meta),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests;
