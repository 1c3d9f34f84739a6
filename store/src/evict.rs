//! Eviction: the live marker of a frame is overwritten in place, and everybody sees it at the next look.
//!
//! A marker only ever goes from live to dead, so it needs no order, survives index rebuilds, and two who do it at once
//! do no harm. It lies outside every checksum.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::frame::{DEAD, LIVE};
use crate::layout;
use crate::os::{self, FileExt as _};
use crate::segment::{Segment, SegmentId};

/// Makes a frame dead, without waiting for the disk. Returns whether it was live.
pub(crate) fn kill(segment: &Segment, offset: u64) -> Result<bool> {
    overwrite(&open(segment)?, segment, offset)
}

/// Opens a segment for overwriting markers.
fn open(segment: &Segment) -> Result<File> {
    let wrap = |e| Error::io(&segment.path, e);
    let meta = fs::symlink_metadata(&segment.path).map_err(wrap)?;
    if !meta.is_file() {
        return Err(Error::Foreign { path: segment.path.clone(), what: "not a file, where a segment was" });
    }
    let sealed = layout::is_sealed(&meta);
    let set_mode = |mode| os::set_mode(&segment.path, mode).map_err(wrap);
    if sealed {
        // Still sealed to everybody else, see `layout::is_sealed`.
        set_mode(0o700)?;
    }
    let file = layout::open_write(&segment.path).map_err(wrap);
    if sealed {
        // The descriptor keeps its right to write.
        set_mode(0o400)?;
    }
    file
}

fn overwrite(file: &File, segment: &Segment, offset: u64) -> Result<bool> {
    let wrap = |e| Error::io(&segment.path, e);
    let mut marker = [0; 4];
    file.read_exact_at(&mut marker, offset).map_err(wrap)?;
    let live = marker == LIVE.to_le_bytes();
    if live {
        layout::note("killed", &segment.path);
        file.write_all_at(&DEAD.to_le_bytes(), offset).map_err(wrap)?;
    }
    Ok(live)
}

/// Frames that are made dead together: acknowledged once all of it is on the disk.
#[derive(Default)]
pub(crate) struct Eviction {
    killed: u64,
    /// Kept open until the end: there may be very many frames in few segments.
    open: HashMap<SegmentId, (File, Arc<Segment>)>,
    failed: Option<Error>,
}

impl Eviction {
    pub(crate) fn kill(&mut self, segment: &Arc<Segment>, offset: u64) {
        match self.try_kill(segment, offset) {
            Ok(live) => self.killed += u64::from(live),
            // A segment that is gone has no live frames.
            Err(e) if e.io_kind() == Some(std::io::ErrorKind::NotFound) => {}
            Err(e) => self.failed = Some(e),
        }
    }

    fn try_kill(&mut self, segment: &Arc<Segment>, offset: u64) -> Result<bool> {
        let (file, segment) = match self.open.entry(segment.id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert((open(segment)?, segment.clone())),
        };
        overwrite(file, segment, offset)
    }

    /// Waits for the disk. How many frames were made dead.
    pub(crate) fn finish(self) -> Result<u64> {
        for (file, segment) in self.open.values() {
            layout::sync_data(file, &segment.path).map_err(|e| Error::io(&segment.path, e))?;
        }
        self.failed.map_or(Ok(self.killed), Err)
    }
}
