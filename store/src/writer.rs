//! The writer: appends frames to a segment of this process's own.
//!
//! One a store handle, behind a mutex. It never touches bytes that another writer acknowledged, and never unlocks:
//! after a fork the lock belongs to the parent too, so a descriptor that is no longer wanted is only closed.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::bytes::process_id;
use crate::digest::{CallId, Digest, TypeFingerprint};
use crate::error::{Error, Result};
use crate::frame::{ALIGN, HEADER, Header, Kind};
use crate::layout::{self, Layout};
use crate::os::FileExt as _;
use crate::segment::{Host, Segment, SegmentHeader, SegmentId};
use crate::tail::Tail;

/// Payloads from this size on are written from where they are, smaller ones are gathered first.
const GATHERED: usize = 32 * 1024;

/// What is appended, and what the index needs of it.
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) key: Digest,
    pub(crate) fingerprint: TypeFingerprint,
    pub(crate) payload: &'a [u8],
    /// For a record, its call.
    pub(crate) call: Option<CallId>,
}

/// The state of appending.
#[derive(Default)]
pub(crate) struct Writer {
    /// The process that opened `active`; another one after a fork.
    pid: u32,
    active: Option<Active>,
    buffer: Vec<u8>,
}

/// The segment that is appended to.
pub(crate) struct Active {
    pub(crate) file: Arc<File>,
    pub(crate) tail: Arc<Tail>,
    /// Behind the last acknowledged frame.
    end: u64,
    /// Frames in the tail.
    pub(crate) frames: u64,
}

impl Active {
    /// Starts a segment: written and locked under a temporary name, then made visible.
    pub(crate) fn create(layout: &Layout, segment: impl Fn(SegmentId) -> Segment) -> io::Result<Self> {
        loop {
            let (file, temporary) = layout::create_temporary(&layout.segments)?;
            let id = SegmentId::random();
            let header = SegmentHeader { id, host: Host::this(), created_ms: now_ms() };
            let segment = segment(id);
            let made = write_all(&file, &mut [IoSlice::new(&header.bytes())], 0)
                .and_then(|()| layout::try_lock(&file))
                .and_then(|locked| {
                    layout::rename(&temporary, &segment.path)?;
                    Ok(locked && layout::still_named(&file, &segment.path))
                });
            match made {
                Ok(true) => {
                    let tail = Arc::new(Tail::new(Arc::new(segment), HEADER, process_id()));
                    return Ok(Self { file: Arc::new(file), tail, end: HEADER, frames: 0 });
                }
                Ok(false) => {}
                Err(e) => {
                    let _ = std::fs::remove_file(&temporary);
                    return Err(e);
                }
            }
        }
    }

    /// Takes the segment of a writer that is gone over, if nothing speaks against appending to it. One that can't be
    /// taken over and has no writer is sealed.
    pub(crate) fn adopt(tail: &Arc<Tail>, room: u64) -> Option<Self> {
        let segment = &tail.segment;
        let file = layout::open_write(&segment.path).ok()?;
        if layout::is_sealed(&file.metadata().ok()?) || !layout::try_lock(&file).ok()? {
            return None;
        }
        // Once more under the lock: it may have been sealed, or moved away, since.
        if !layout::still_named(&file, &segment.path) || layout::is_sealed(&file.metadata().ok()?) {
            return None;
        }
        // Not ours to seal if it is no segment at all.
        let clean = segment.header()?.host == Host::this() && {
            tail.catch_up();
            file.metadata().ok()?.len() == tail.end()
        };
        if !clean || tail.end() >= room {
            let _ = layout::seal(&file);
            return None;
        }
        tail.set_owner(process_id());
        Some(Self { file: Arc::new(file), end: tail.end(), frames: tail.frames(), tail: tail.clone() })
    }
}

impl Writer {
    /// The segment to append to, unless one must be found first.
    pub(crate) fn active(&mut self) -> Option<&mut Active> {
        if self.pid != process_id() {
            // After a fork: the parent goes on with that segment. Close, don't unlock.
            if let Some(active) = self.active.take() {
                active.tail.set_owner(0);
            }
        }
        self.active.as_mut()
    }

    pub(crate) fn set_active(&mut self, active: Active) {
        self.pid = process_id();
        self.active = Some(active);
    }

    /// Gives the segment up, for others to look after.
    pub(crate) fn retire(&mut self) -> Option<Active> {
        self.active.take()
    }

    /// The size that frames would take.
    pub(crate) fn size(frames: &[Frame<'_>], signed: bool) -> u64 {
        let signature = if signed { crate::frame::SIGNATURE } else { 0 };
        frames
            .iter()
            .map(|frame| (frame.payload.len() as u64).next_multiple_of(ALIGN) + HEADER + signature)
            .sum()
    }

    /// Appends frames to the active segment and indexes them. All or nothing; on an error the segment goes on from
    /// its last good end, or is given up.
    pub(crate) fn append(&mut self, frames: &[Frame<'_>], key: Option<&[u8; 32]>) -> Result<()> {
        let Some(active) = self.active.as_mut() else { return Ok(()) };
        let segment = &active.tail.segment;
        let start = active.end;
        let mut offset = start;
        let mut places: SmallVec<[u64; 2]> = SmallVec::new();
        self.buffer.clear();
        let mut result = Ok(());
        for frame in frames {
            let header = Header::new(
                segment.seed,
                frame.kind,
                frame.key,
                frame.fingerprint,
                frame.payload,
                key.is_some(),
            );
            let padding = frame.payload.len().next_multiple_of(16) - frame.payload.len();
            let signature = key.map(|key| header.signature(key, frame.payload));
            let signature = signature.as_ref().map_or(&[][..], |signature| &signature[..]);
            self.buffer.extend_from_slice(&header.bytes(segment.seed));
            let total = HEADER + (frame.payload.len() + padding + signature.len()) as u64;
            if frame.payload.len() < GATHERED {
                self.buffer.extend_from_slice(frame.payload);
                self.buffer.extend_from_slice(&[0; 16][..padding]);
                self.buffer.extend_from_slice(signature);
            } else if result.is_ok() {
                let parts = [&self.buffer[..], frame.payload, &[0; 16][..padding], signature];
                let at = offset + HEADER - self.buffer.len() as u64;
                result = write_all(&active.file, &mut parts.map(IoSlice::new), at);
                self.buffer.clear();
            }
            places.push(offset);
            offset += total;
        }
        if result.is_ok() && !self.buffer.is_empty() {
            let at = offset - self.buffer.len() as u64;
            result = write_all(&active.file, &mut [IoSlice::new(&self.buffer)], at);
        }
        if let Err(e) = result {
            let error = Error::io(&segment.path, e);
            // Nobody indexes what is behind the last good end, but a later frame must not be followed by its rest.
            if active.file.set_len(start).is_err()
                && let Some(active) = self.active.take()
            {
                active.tail.set_owner(0);
            }
            return Err(error);
        }
        layout::note("appended", &segment.path);
        segment.grown(offset);
        active.end = offset;
        active.frames += frames.len() as u64;
        let indexed = frames.iter().zip(places);
        let indexed = indexed.map(|(frame, at)| (at, frame.kind, frame.key.leading(), frame.call));
        active.tail.add(indexed, offset);
        Ok(())
    }
}

impl Active {
    /// Begins a new tail where this one ends, and gives the old one away.
    pub(crate) fn turn(&mut self) -> Arc<Tail> {
        let new = Arc::new(Tail::new(self.tail.segment.clone(), self.end, process_id()));
        new.expect_like(&self.tail);
        self.frames = 0;
        std::mem::replace(&mut self.tail, new)
    }

    /// Behind the last acknowledged frame.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }
}

/// Writes all of it at `offset`, however little the system takes at a time: a disk that fills up takes some and then
/// refuses.
pub(crate) fn write_all(file: &File, parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    let mut parts = parts;
    IoSlice::advance_slices(&mut parts, 0);
    while !parts.is_empty() {
        match write_some(file, parts, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut parts, written);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn write_some(file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    #[cfg(test)]
    if let Some(injected) = faults::write(file, parts, offset) {
        return injected;
    }
    match parts {
        [only] => file.write_at(only, offset),
        parts => crate::os::write_vectored_at(file, parts, offset),
    }
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_millis()).ok()).unwrap_or(0)
}

/// Writes that fail on purpose.
#[cfg(test)]
pub(crate) mod faults {
    use crate::os::FileExt as _;
    use std::cell::Cell;
    use std::fs::File;
    use std::io::{self, IoSlice};

    thread_local! {
        /// So many bytes are still taken on this thread before the disk is full.
        pub(crate) static ROOM: Cell<Option<usize>> = const { Cell::new(None) };
        /// No write on this thread takes more than this.
        pub(crate) static SHORT: Cell<Option<usize>> = const { Cell::new(None) };
        /// So many writes were made on this thread.
        pub(crate) static WRITES: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn write(file: &File, parts: &[IoSlice<'_>], offset: u64) -> Option<io::Result<usize>> {
        WRITES.set(WRITES.get() + 1);
        let room = ROOM.get();
        let limit = room.unwrap_or(usize::MAX).min(SHORT.get().unwrap_or(usize::MAX));
        if limit == usize::MAX {
            return None;
        }
        let first = parts.iter().find(|part| !part.is_empty())?;
        let taken = first.len().min(limit);
        if taken == 0 {
            return Some(Err(io::ErrorKind::StorageFull.into()));
        }
        let written = file.write_at(&first[..taken], offset);
        if let (Ok(written), Some(room)) = (&written, room) {
            ROOM.set(Some(room - written));
        }
        Some(written)
    }
}
