//! The store on disk: lookups over the view, puts through the writer.
//!
//! What it finds damaged it treats as not there. Only what the caller can act on is an error.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use crate::backend::{Backend, Prefix};
use crate::blob::{self, LARGE, Pending};
use crate::bytes::Bytes;
use crate::digest::{CallId, CallKey, DependencyId, Digest, TypeFingerprint, ValueDigest};
use crate::error::{Error, Result};
use crate::frame::{HEADER, Kind, LIVE};
use crate::layout::{self, Layout};
use crate::reader::large;
use crate::record::Record;
use crate::segment::Segment;
use crate::store::{Durability, Named, Options, Stats};
use crate::tail::Class;
use crate::view::{View, Views};
use crate::writer::{Active, Frame, Writer};

/// Segments end at this size.
const ROLL: u64 = 256 << 20;

/// A store in a directory.
pub(crate) struct Disk {
    layout: Layout,
    options: Options,
    views: Views,
    writer: Mutex<Writer>,
    /// The largest logical time seen.
    clock: AtomicU64,
}

impl Disk {
    pub(crate) fn open(dir: &Path, options: Options) -> Result<Self> {
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
        let views = Views::new(layout.clone(), ROLL);
        let disk = Self { layout, options, views, writer: Mutex::default(), clock: AtomicU64::new(0) };
        disk.views.reload().map_err(|e| Error::io(&disk.layout.segments, e))?;
        disk.refresh();
        Ok(disk)
    }

    /// Looks for what other processes did since the last look.
    fn refresh(&self) -> bool {
        let (news, clock) = self.views.refresh();
        self.clock.fetch_max(clock, Ordering::Relaxed);
        news
    }

    /// Runs a lookup; if it comes back empty, once more after looking for news.
    fn look<T>(&self, lookup: impl Fn(&View) -> Option<T>) -> Option<T> {
        lookup(&self.views.get()).or_else(|| self.refresh().then(|| lookup(&self.views.get()))?)
    }

    fn writable(&self) -> Result<()> {
        if self.options.read_only { Err(Error::ReadOnly { path: self.layout.dir.clone() }) } else { Ok(()) }
    }

    /// The writer, with a segment to append `size` bytes to.
    fn writer(&self, size: u64) -> Result<MutexGuard<'_, Writer>> {
        if size > ROLL - HEADER {
            return Err(Error::TooLarge { what: "an entry", length: size });
        }
        let mut writer = self.writer.lock();
        let full = writer.active().is_some_and(|active| active.end() + size > ROLL);
        if full && let Some(active) = writer.retire() {
            active.tail.set_owner(0);
            let _ = layout::seal(&active.file);
        }
        if writer.active().is_none() {
            self.refresh();
            let view = self.views.get();
            let pid = std::process::id();
            let foreign = view.tails.iter().filter(|tail| !tail.is_owned_by(pid));
            let adopted = foreign.into_iter().find_map(|tail| Active::adopt(tail, ROLL - size));
            let active = if let Some(active) = adopted {
                active
            } else {
                let created = Active::create(&self.layout, ROLL);
                let active = created.map_err(|e| Error::io(&self.layout.segments, e))?;
                self.views.publish()?;
                active
            };
            self.views.add_tail(&active.tail);
            writer.set_active(active);
        }
        Ok(writer)
    }

    fn append(&self, frames: &[Frame<'_>]) -> Result<()> {
        let mut writer = self.writer(Writer::size(frames, false))?;
        writer.append(frames, None)?;
        self.settle(writer)
    }

    /// What the durability asks for after an append.
    fn settle(&self, mut writer: MutexGuard<'_, Writer>) -> Result<()> {
        if self.options.durability == Durability::Sync
            && let Some(active) = writer.active()
        {
            let file = active.file.clone();
            let path = active.tail.segment.path.clone();
            drop(writer);
            file.sync_data().map_err(|e| Error::io(&path, e))?;
        }
        Ok(())
    }

    fn put_large(&self, pending: Pending, digest: ValueDigest, fingerprint: TypeFingerprint) -> Result<()> {
        let sync = self.options.durability == Durability::Sync;
        let large = pending.name(&self.layout, &digest.digest(), sync)?;
        let payload = large.bytes();
        let kind = Kind::Large;
        self.append(&[Frame { kind, key: digest.digest(), fingerprint, payload: &payload, call: None }])
    }
}

impl Backend for Disk {
    fn put_value(&self, digest: ValueDigest, fingerprint: TypeFingerprint, bytes: &[u8]) -> Result<()> {
        self.writable()?;
        if self.views.get().has(&self.layout, &digest, fingerprint) {
            return Ok(());
        }
        if bytes.len() >= LARGE {
            return self.put_large(Pending::write(&self.layout, bytes)?, digest, fingerprint);
        }
        let kind = Kind::Value;
        self.append(&[Frame { kind, key: digest.digest(), fingerprint, payload: bytes, call: None }])
    }

    fn value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<Bytes>> {
        Ok(self.look(|view| {
            view.find_value(digest, fingerprint, |segment, offset, header| {
                if header.kind == Kind::Value {
                    return segment.payload(offset, header, false);
                }
                large(segment, offset, header)?.view(&self.layout, &digest.digest())
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
            self.put_value(digest, TypeFingerprint::BLOB, &bytes)?;
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

    fn put_record(&self, record: &Record, value: Option<&[u8]>) -> Result<u64> {
        self.writable()?;
        // The clock must be later than any that another process gave, or its older record would win.
        self.refresh();
        let view = self.views.get();
        let Record { result, key, .. } = record;
        let value = value.filter(|_| !view.has(&self.layout, &result.digest, result.fingerprint));
        let value = match value {
            Some(bytes) if bytes.len() >= LARGE => {
                self.put_value(result.digest, result.fingerprint, bytes)?;
                None
            }
            other => other,
        };
        let newest = view.records_of(key).into_iter().next();
        if let Some(newest) = newest.filter(|newest| newest.says_the_same(record)) {
            if let Some(bytes) = value {
                self.put_value(result.digest, result.fingerprint, bytes)?;
            }
            return Ok(newest.clock);
        }
        let call = record.identity.id();
        let value = value.map(|payload| Frame {
            kind: Kind::Value,
            key: result.digest.digest(),
            fingerprint: result.fingerprint,
            payload,
            call: None,
        });
        // The clock is given under the writer's lock; its size is the same whatever it is.
        let mut payload = Vec::with_capacity(512);
        record.encode(&call, 0, &mut payload);
        let size = Writer::size(&[record_frame(record, call, &payload)], false)
            + value.as_ref().map_or(0, |value| Writer::size(std::slice::from_ref(value), false));
        let mut writer = self.writer(size)?;
        let clock = self.clock.load(Ordering::Relaxed) + 1;
        payload[..8].copy_from_slice(&clock.to_le_bytes());
        let frames: SmallVec<[Frame<'_>; 2]> =
            value.into_iter().chain([record_frame(record, call, &payload)]).collect();
        writer.append(&frames, None)?;
        self.clock.fetch_max(clock, Ordering::Relaxed);
        self.settle(writer)?;
        Ok(clock)
    }

    fn records(&self, key: &CallKey) -> Result<Vec<Arc<Record>>> {
        let look = |view: &View| Some(view.records_of(key)).filter(|records| !records.is_empty());
        Ok(self.look(look).unwrap_or_default())
    }

    fn newest(&self, call: &CallId) -> Result<Option<Arc<Record>>> {
        Ok(self.history(call)?.into_iter().next())
    }

    fn history(&self, call: &CallId) -> Result<Vec<Arc<Record>>> {
        self.refresh();
        Ok(self.views.get().history_of(call))
    }

    fn dependents(&self, dependency: &DependencyId) -> Result<Vec<CallId>> {
        self.refresh();
        let view = self.views.get();
        let mut calls = Vec::new();
        view.each_record(&mut |record| {
            if record.trace.iter().any(|edge| edge.dependency.id() == *dependency) && view.is_kept(&record) {
                calls.push(record.identity.id());
            }
            ControlFlow::Continue(())
        });
        calls.sort_unstable();
        calls.dedup();
        Ok(calls)
    }

    fn calls_of(&self, function: &str) -> Result<Vec<CallId>> {
        self.refresh();
        let view = self.views.get();
        let mut calls = Vec::new();
        view.each_record(&mut |record| {
            if record.identity.function == function {
                calls.push(record.identity.id());
            }
            ControlFlow::Continue(())
        });
        calls.sort_unstable();
        calls.dedup();
        Ok(calls)
    }

    fn for_each_record(&self, f: &mut dyn FnMut(Arc<Record>) -> ControlFlow<()>) -> Result<()> {
        self.refresh();
        let view = self.views.get();
        view.each_record(&mut |record| {
            if view.is_kept(&record) { f(Arc::new(record)) } else { ControlFlow::Continue(()) }
        });
        Ok(())
    }

    fn resolve(&self, prefix: Prefix) -> Result<Vec<Named>> {
        self.refresh();
        let view = self.views.get();
        let leads = prefix.leading();
        let mut found = HashSet::new();
        for tail in &view.tails {
            let mut entries = Vec::new();
            tail.range(Class::Value, &leads, &mut entries);
            tail.range(Class::Record, &leads, &mut entries);
            for (_, offset) in entries.drain(..) {
                let Some(header) = tail.segment.frame(offset).filter(|header| header.live) else { continue };
                if prefix.matches(&header.key) {
                    found.insert(match header.kind {
                        Kind::Record => Named::Key(CallKey::new(header.key)),
                        _ => Named::Value(ValueDigest::new(header.key), header.fingerprint),
                    });
                }
            }
            tail.range(Class::Call, &leads, &mut entries);
            for (_, offset) in entries {
                let call = tail.segment.record(offset).map(|record| record.identity.id());
                found.extend(call.filter(|call| prefix.matches(&call.digest())).map(Named::Call));
            }
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable();
        Ok(found)
    }

    fn put_note(&self, kind: u16, key: &Digest, bytes: &[u8]) -> Result<()> {
        self.writable()?;
        if self.views.get().note(kind, key).is_some() {
            return Ok(());
        }
        let fingerprint = TypeFingerprint(kind.into());
        self.append(&[Frame { kind: Kind::Note, key: *key, fingerprint, payload: bytes, call: None }])
    }

    fn note(&self, kind: u16, key: &Digest) -> Result<Option<Vec<u8>>> {
        Ok(self.look(|view| view.note(kind, key)))
    }

    fn evict_call(&self, call: &CallId) -> Result<u64> {
        self.writable()?;
        self.refresh();
        let view = self.views.get();
        let kept = view.history_of(call).len() as u64;
        let mut evicted = Ok(0);
        view.find(Class::Call, call.digest().leading(), |segment, offset| {
            if segment.record(offset).is_some_and(|record| record.identity.id() == *call) {
                add_evicted(&mut evicted, kill(segment, offset));
            }
            None::<()>
        });
        evicted.map(|_: u64| kept)
    }

    fn evict_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<u64> {
        self.writable()?;
        self.refresh();
        let view = self.views.get();
        let mut evicted = Ok(0);
        view.find_value(digest, fingerprint, |segment, offset, header| {
            let large = large(segment, offset, header);
            add_evicted(&mut evicted, kill(segment, offset));
            if let Some(large) = large {
                let _ = std::fs::remove_file(large.path(&self.layout, &digest.digest()));
            }
            None::<()>
        });
        evicted
    }

    fn stats(&self) -> Result<Stats> {
        self.refresh();
        let view = self.views.get();
        let mut stats = Stats { segments: view.segments.len() as u64, ..Stats::default() };
        let mut seen = HashSet::new();
        for tail in &view.tails {
            let mut entries = Vec::new();
            tail.range(Class::Value, &(0..=u64::MAX), &mut entries);
            tail.range(Class::Note, &(0..=u64::MAX), &mut entries);
            for (_, offset) in entries {
                let Some(header) = tail.segment.frame(offset).filter(|header| header.live) else { continue };
                if !seen.insert((header.kind == Kind::Note, header.key, header.fingerprint)) {
                    continue;
                }
                if header.kind == Kind::Note {
                    stats.notes += 1;
                    continue;
                }
                stats.values += 1;
                let large = large(&tail.segment, offset, &header);
                stats.value_bytes += large.map_or(header.length, |large| large.length);
            }
        }
        view.each_record(&mut |record| {
            stats.records += u64::from(view.is_kept(&record));
            ControlFlow::Continue(())
        });
        stats.disk_bytes = disk_bytes(&self.layout.root);
        Ok(stats)
    }

    fn sync(&self) -> Result<()> {
        if self.options.read_only {
            return Ok(());
        }
        let view = self.views.get();
        for segment in view.segments.values() {
            let file = layout::open(&segment.path);
            file.and_then(|file| file.sync_data()).map_err(|e| Error::io(&segment.path, e))?;
        }
        layout::sync_dir(&self.layout.segments).map_err(|e| Error::io(&self.layout.segments, e))
    }

    fn dir(&self) -> Option<&Path> {
        Some(&self.layout.dir)
    }
}

fn record_frame<'a>(record: &Record, call: CallId, payload: &'a [u8]) -> Frame<'a> {
    let fingerprint = record.result.fingerprint;
    Frame { kind: Kind::Record, key: record.key.digest(), fingerprint, payload, call: Some(call) }
}

fn add_evicted(sum: &mut Result<u64>, more: Result<()>) {
    match (&mut *sum, more) {
        (Ok(sum), Ok(())) => *sum += 1,
        (Ok(_), Err(e)) => *sum = Err(e),
        (Err(_), _) => {}
    }
}

/// Makes a frame dead, in place.
fn kill(segment: &Segment, offset: u64) -> Result<()> {
    let wrap = |e| Error::io(&segment.path, e);
    let sealed = std::fs::symlink_metadata(&segment.path).map_err(wrap)?.mode() & 0o200 == 0;
    let set_mode = |mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&segment.path, std::fs::Permissions::from_mode(mode)).map_err(wrap)
    };
    if sealed {
        set_mode(0o600)?;
    }
    let file = layout::open_write(&segment.path).map_err(wrap)?;
    let mut marker = [0; 4];
    file.read_exact_at(&mut marker, offset).map_err(wrap)?;
    if marker == LIVE.to_le_bytes() {
        file.write_all_at(&crate::frame::DEAD.to_le_bytes(), offset).map_err(wrap)?;
    }
    if sealed {
        set_mode(0o400)?;
    }
    file.sync_data().map_err(wrap)
}

fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests;
