//! Upkeep that runs by itself: tables for full tails, merges so that tables stay few, an interrupted compaction
//! finished. Never on the path of a put, and never waiting for another process.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::build;
use crate::bytes::process_id;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::layout;
use crate::table::Table;
use crate::view::View;
use crate::worker::Work;

/// More tables than this are merged.
const TABLES: usize = 8;

/// A tail that nobody will append to gets a table from this many frames on.
const ORPHAN: u64 = 1024;

/// How long an eviction waits for others to end their upkeep.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The size of the file that is given up when the disk is full, so that gc can work.
const RESERVE: u64 = 1 << 20;

/// The right to do upkeep on the store. One process at a time has it.
pub(crate) struct Maintenance {
    _lock: File,
}

impl Disk {
    /// Gets the maintenance lock, waiting so long at most.
    pub(crate) fn maintenance(&self, patience: Duration) -> Result<Maintenance> {
        let path = self.layout.maintenance();
        let begun = Instant::now();
        loop {
            let file = layout::open_or_create(&path).map_err(|e| Error::io(&path, e))?;
            if layout::try_lock(&file).map_err(|e| Error::io(&path, e))? {
                if layout::still_named(&file, &path) {
                    return Ok(Maintenance { _lock: file });
                }
            } else if begun.elapsed() >= patience {
                return Err(Error::Busy { path });
            } else {
                crate::sync::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Makes a table of the full tails of this process.
    pub(crate) fn publish_full(&self) -> io::Result<()> {
        let tails = std::mem::take(&mut *self.full.lock());
        if tails.is_empty() {
            return Ok(());
        }
        let sync = self.sync_due.swap(false, Ordering::Relaxed);
        let published = self.publish_tails(&tails, sync);
        if published.is_err() {
            // For later, when there is room again, perhaps.
            self.full.lock().splice(..0, tails);
        }
        published
    }

    pub(crate) fn publish_tails(&self, tails: &[Arc<crate::tail::Tail>], sync: bool) -> io::Result<()> {
        if build::from_tails(&self.layout, tails, Vec::new(), sync)?.is_some() {
            self.announce()?;
        }
        Ok(())
    }

    /// Tells everybody that files came or went, ourselves first.
    pub(crate) fn announce(&self) -> io::Result<()> {
        self.views.publish().map_err(|e| io::Error::new(e.io_kind().unwrap_or(io::ErrorKind::Other), e))
    }

    /// Makes tables of sealed segments' tails, which nobody else will.
    fn publish_orphans(&self, view: &View) -> io::Result<()> {
        let pid = process_id();
        let orphans = view.tails.iter().filter(|tail| !tail.is_owned_by(pid) && tail.segment.is_sealed());
        let orphans: Vec<_> = orphans.filter(|tail| tail.frames() >= ORPHAN).cloned().collect();
        if orphans.is_empty() { Ok(()) } else { self.publish_tails(&orphans, false) }
    }

    /// Merges the smaller tables if there are too many.
    fn merge_some(&self) -> io::Result<bool> {
        let view = self.views.get();
        let few = to_merge(&view.tables);
        if few.is_empty() {
            return Ok(false);
        }
        self.merge(&view, few)?;
        Ok(true)
    }

    /// Merges some tables into one, and removes them.
    pub(crate) fn merge(&self, view: &View, tables: &[Arc<Table>]) -> io::Result<()> {
        build::merge(&self.layout, tables, true, |id| view.segments.contains_key(id), &|_, _| false)?;
        crate::pause::at("tables merged");
        self.announce()?;
        for table in tables {
            let _ = layout::remove(&table.header.id.path(&self.layout.tables));
            crate::pause::at("merged table removed");
        }
        Ok(())
    }

    /// Ends what an interrupted merge or compaction left: its result is there, so its sources may go.
    pub(crate) fn finish_interrupted(&self) -> io::Result<()> {
        let view = self.views.get();
        let mut removed = false;
        for table in &view.tables {
            for id in &table.header.replaced {
                removed |= fs::remove_file(id.path(&self.layout.tables)).is_ok();
            }
            for id in &table.header.retired {
                removed |= fs::remove_file(self.layout.segments.join(id.file_name())).is_ok();
            }
        }
        if removed { self.announce() } else { Ok(()) }
    }

    /// Keeps some space that gc can fall back on. Best effort; returns whether it is there.
    pub(crate) fn reserve(&self) -> bool {
        let path = self.layout.reserve();
        if fs::symlink_metadata(&path).is_ok() {
            return true;
        }
        let kept = layout::open_or_create(&path).and_then(|file| crate::os::allocate(&file, RESERVE));
        if kept.is_err() {
            let _ = fs::remove_file(&path);
        }
        kept.is_ok()
    }

    /// Gives that space up.
    pub(crate) fn release_reserve(&self) {
        let _ = fs::remove_file(self.layout.reserve());
    }
}

impl Work for Disk {
    fn work(&self) {
        for path in std::mem::take(&mut *self.unsynced.lock()) {
            // Gone again already, or still there and doubted after the next boot.
            let _ = crate::blob::sync(&path);
        }
        let done = self.publish_full().and_then(|()| {
            // Somebody else is at it: they do it for us.
            let Ok(_lock) = self.maintenance(Duration::ZERO) else { return Ok(()) };
            self.refresh();
            self.finish_interrupted()?;
            self.publish_orphans(&self.views.get())?;
            while self.merge_some()? {}
            Ok(())
        });
        if let Err(error) = done {
            tracing::warn!(%error, store = %self.layout.dir.display(), "the store's upkeep failed; it is tried again later");
        }
    }
}

/// The tables to merge: the smallest, as long as the next is not much larger than what there is already, so that each
/// entry is rewritten a logarithmic number of times; and enough of them that few are left.
fn to_merge(tables: &[Arc<Table>]) -> &[Arc<Table>] {
    if tables.len() <= TABLES {
        return &[];
    }
    let mut first = tables.len() - 1;
    let mut sum = tables[first].header.entries;
    while first > 0 && (first + 1 > TABLES || tables[first - 1].header.entries <= 2 * sum) {
        first -= 1;
        sum += tables[first].header.entries;
    }
    &tables[first..]
}
