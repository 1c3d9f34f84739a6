//! Compaction: the live frames of segments that are mostly dead move to a new segment.
//!
//! In this order, so that a crash at any point loses nothing: new segment, disk, its name, table, disk, its name,
//! directory; only then the victims go. Their ids are never used again, so an old table that still leads to them leads
//! nowhere.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use crate::build;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::frame::{ALIGN, HEADER, Header};
use crate::layout;
use crate::live::Live;
use crate::segment::{Host, Segment, SegmentHeader, SegmentId};
use crate::tail::Tail;
use crate::upkeep::Maintenance;
use crate::writer::now_ms;

/// A segment that no writer holds, and that none can take over while this exists.
pub(crate) struct Victim {
    pub(crate) segment: Arc<Segment>,
    _lock: File,
}

impl Victim {
    /// Locks a segment, unless it has a writer.
    pub(crate) fn lock(segment: &Arc<Segment>) -> Option<Self> {
        let file = layout::open(&segment.path).ok()?;
        let locked = layout::try_lock(&file).ok()? && layout::still_named(&file, &segment.path);
        locked.then(|| Self { segment: segment.clone(), _lock: file })
    }
}

impl Disk {
    /// Moves what is live in the victims to new segments and removes them. Returns how many bytes that freed.
    ///
    /// The disk has a removed file's bytes back when nobody has it open or mapped any more, and on a full disk they are
    /// the room for the next step: so the caller holds neither the victims' frames nor an older view.
    pub(crate) fn compact(&self, _lock: &Maintenance, victims: Vec<Victim>, live: &Live) -> Result<u64> {
        let mut freed = 0;
        // What is wholly dead needs no space to go, so it goes first.
        let (dead, mut rest): (Vec<_>, Vec<_>) =
            victims.into_iter().partition(|victim| live.bytes(victim.segment.id) == 0);
        freed += self.remove(dead)?;
        // Then what gives most for least. On a full disk one by one: each makes room for the next.
        rest.sort_by_key(|victim| live.bytes(victim.segment.id));
        let mut most = usize::MAX;
        let mut waited = false;
        while !rest.is_empty() {
            let mut room = self.tuning.roll - HEADER;
            let fitting = rest.iter().take(most).take_while(|victim| {
                let bytes = live.bytes(victim.segment.id);
                let fits = bytes <= room;
                room = room.saturating_sub(bytes);
                fits
            });
            let count = fitting.count().max(1);
            match self.move_live(&rest[..count], live) {
                Ok(new) => freed = (freed + self.remove(rest.drain(..count).collect())?).saturating_sub(new),
                Err(e) if e.kind() == io::ErrorKind::StorageFull && !waited => {
                    // The worker may look at what was removed, and then it has its bytes.
                    self.settle_down();
                    waited = true;
                }
                Err(e) if e.kind() == io::ErrorKind::StorageFull && count > 1 => most = 1,
                Err(e) if e.kind() == io::ErrorKind::StorageFull && freed > 0 => break,
                Err(e) => return Err(Error::io(&self.layout.segments, e)),
            }
        }
        Ok(freed)
    }

    /// Writes a segment of the live frames of some others, and a table for it. Returns its size.
    fn move_live(&self, victims: &[Victim], live: &Live) -> io::Result<u64> {
        let id = SegmentId::random();
        let segment = self.views.segment(id, 0);
        let (file, temporary) = layout::create_temporary(&self.layout.segments)?;
        let written = write_live(&file, &segment, victims, live).and_then(|size| {
            layout::sync_data(&file, &temporary)?;
            layout::seal(&file)?;
            crate::pause::at("compacted segment written");
            layout::rename(&temporary, &segment.path)?;
            layout::sync_dir(&self.layout.segments)?;
            Ok(size)
        });
        let size = written.inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
        crate::pause::at("compacted segment named");
        let segment = Arc::new(segment);
        let tail = Arc::new(Tail::new(segment.clone(), HEADER, 0));
        tail.catch_up();
        let retired = victims.iter().map(|victim| victim.segment.id).collect();
        build::from_tails(&self.layout, &[tail], retired, true).inspect_err(|_| {
            // Everything is in the victims still, and a second copy of it would stay for good.
            let _ = layout::remove(&segment.path);
        })?;
        crate::pause::at("compacted table named");
        self.announce()?;
        Ok(size)
    }

    fn remove(&self, victims: Vec<Victim>) -> Result<u64> {
        let mut freed = 0;
        for victim in &victims {
            let path = &victim.segment.path;
            freed += fs::symlink_metadata(path).map_or(0, |meta| meta.len());
            match layout::remove(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(path, e)),
                _ => {}
            }
            crate::pause::at("victim removed");
        }
        if !victims.is_empty() {
            let wrap = |e| Error::io(&self.layout.segments, e);
            layout::sync_dir(&self.layout.segments).map_err(wrap)?;
            self.announce().map_err(wrap)?;
            drop(victims);
            crate::pause::at("victims closed");
        }
        Ok(freed)
    }
}

fn write_live(file: &File, to: &Segment, victims: &[Victim], live: &Live) -> io::Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&SegmentHeader { id: to.id, host: Host::this(), created_ms: now_ms() }.bytes())?;
    let mut size = HEADER;
    for victim in victims {
        let from = &victim.segment;
        let mut failed = None;
        from.scan(HEADER, &mut |offset, header, _| {
            if header.live && live.contains(from.id, offset) && failed.is_none() {
                match copy_frame(&mut out, from, offset, header, to) {
                    Ok(copied) => size += copied,
                    Err(e) => failed = Some(e),
                }
            }
        })?;
        if let Some(e) = failed {
            return Err(e);
        }
    }
    out.flush()?;
    Ok(size)
}

/// Copies one frame, with checks for its new place. A damaged one stays behind.
fn copy_frame(
    out: &mut impl Write,
    from: &Segment,
    offset: u64,
    header: &Header,
    to: &Segment,
) -> io::Result<u64> {
    let Some(payload) = from.payload(offset, header, true) else { return Ok(0) };
    let mut signature = [0; crate::frame::SIGNATURE_SIZE];
    let padded = header.length.next_multiple_of(ALIGN);
    if header.signed {
        from.read_at(offset + HEADER + padded, &mut signature)?;
    }
    let new = Header::new(to.seed, header.kind, header.key, header.fingerprint, &payload, header.signed);
    out.write_all(&new.bytes(to.seed))?;
    out.write_all(&payload)?;
    out.write_all(&[0; 16][..payload.len().next_multiple_of(16) - payload.len()])?;
    if header.signed {
        out.write_all(&signature)?;
    }
    Ok(new.total().unwrap_or(0))
}
