//! When entries were used last, roughly: gathered in memory, written as a small file at close, folded together by gc.
//!
//! All of it may be lost at any time; then gc goes by the time of creation.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::{self, Layout};
use crate::writer::now_ms;

/// Room for so many keys; others are forgotten.
const SLOTS: usize = 1 << 14;

/// The keys that this process found, by their leading bits.
pub(crate) struct Touched {
    slots: Box<[AtomicU64]>,
}

impl Default for Touched {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Touched {
    /// Notes a use. One relaxed store: this is on the path of every hit.
    #[inline]
    pub(crate) fn touch(&self, lead: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
        let slot = &self.slots[lead as usize % SLOTS];
        if slot.load(Ordering::Relaxed) != lead {
            slot.store(lead, Ordering::Relaxed);
        }
    }

    /// What was touched; nothing is any more.
    pub(crate) fn take(&self) -> Vec<u64> {
        self.slots.iter().map(|slot| slot.swap(0, Ordering::Relaxed)).filter(|lead| *lead != 0).collect()
    }
}

/// Writes the times of some keys to a file of their own.
pub(crate) fn write(layout: &Layout, times: impl IntoIterator<Item = (u64, i64)>) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (lead, time) in times {
        bytes.extend_from_slice(&lead.to_le_bytes());
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    if bytes.is_empty() {
        return Ok(());
    }
    let (mut file, temporary) = layout::create_temporary(&layout.touched)?;
    let named = layout.touched.join(layout::hex(&layout::random()));
    io::Write::write_all(&mut file, &bytes).and_then(|()| fs::rename(&temporary, named)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// All times that were written, the latest of each key, none in the future; and the files they came from.
pub(crate) fn read(layout: &Layout) -> (HashMap<u64, i64>, Vec<std::path::PathBuf>) {
    let (mut times, mut files) = (HashMap::new(), Vec::new());
    let now = now_ms();
    for entry in fs::read_dir(&layout.touched).into_iter().flatten().flatten() {
        let named = entry.file_name().to_str().is_some_and(|name| layout::unhex::<16>(name).is_some());
        let Some(bytes) = named.then(|| fs::read(entry.path()).ok()).flatten() else { continue };
        for pair in bytes.chunks_exact(16) {
            let word = |at: usize| pair[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            let time = word(8).cast_signed().min(now);
            let latest = times.entry(word(0)).or_insert(time);
            *latest = time.max(*latest);
        }
        files.push(entry.path());
    }
    (times, files)
}
