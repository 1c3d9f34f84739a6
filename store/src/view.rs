//! What this process knows of the store's files: one immutable picture, replaced as a whole when it changes.
//!
//! Looking things up takes a shared lock to get the picture, and none that excludes others.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::error::{Error, Result};
use crate::frame::HEADER;
use crate::layout::{self, Layout};
use crate::segment::{Segment, SegmentId};
use crate::tail::{Class, Tail};

/// The files of a store as they were found last.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) generation: u64,
    pub(crate) segments: HashMap<SegmentId, Arc<Segment>>,
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
        None
    }
}

/// The current view, and how it is brought up to date.
pub(crate) struct Views {
    layout: Layout,
    /// Room for growth in the maps of segments.
    reserve: u64,
    current: RwLock<Arc<View>>,
    /// Held by whoever replaces the view.
    changing: Mutex<Option<fs::File>>,
}

impl Views {
    pub(crate) fn new(layout: Layout, reserve: u64) -> Self {
        Self { layout, reserve, current: RwLock::default(), changing: Mutex::new(None) }
    }

    pub(crate) fn get(&self) -> Arc<View> {
        self.current.read().clone()
    }

    /// Says to other processes that files came or went.
    pub(crate) fn publish(&self) -> Result<()> {
        let path = self.layout.generation();
        let word = layout::random();
        layout::open_or_create(&path)
            .and_then(|file| file.write_all_at(&word[..8], 0))
            .map_err(|e| Error::io(&path, e))
    }

    /// Adds a tail of this process's own.
    pub(crate) fn add_tail(&self, tail: &Arc<Tail>) {
        let _changing = self.changing.lock();
        let mut current = self.current.write();
        let mut segments = current.segments.clone();
        let mut tails = current.tails.clone();
        segments.insert(tail.segment.id, tail.segment.clone());
        tails.retain(|other| other.segment.id != tail.segment.id);
        tails.push(tail.clone());
        *current = Arc::new(View { generation: current.generation, segments, tails });
    }

    /// Looks for what other processes did. Returns whether there was anything, and the largest clock seen in it.
    pub(crate) fn refresh(&self) -> (bool, u64) {
        let mut file = self.changing.lock();
        let mut news = false;
        let mut clock = 0;
        let generation = self.generation(&mut file);
        if generation != self.current.read().generation {
            if self.list(generation).is_err() {
                return (false, 0);
            }
            news = true;
        }
        let view = self.get();
        let pid = std::process::id();
        for tail in view.tails.iter().filter(|tail| !tail.is_owned_by(pid)) {
            if let Some(found) = tail.catch_up() {
                news = true;
                clock = clock.max(found);
            }
        }
        (news, clock)
    }

    /// Lists the files whether or not the generation changed.
    pub(crate) fn reload(&self) -> io::Result<()> {
        let mut file = self.changing.lock();
        let generation = self.generation(&mut file);
        self.list(generation)
    }

    fn generation(&self, file: &mut Option<fs::File>) -> u64 {
        let mut word = [0; 8];
        if file.is_none() {
            *file = layout::open(&self.layout.generation()).ok();
        }
        match file.as_ref().map(|file| file.read_exact_at(&mut word, 0)) {
            Some(Ok(())) => u64::from_le_bytes(word),
            _ => 0,
        }
    }

    /// Replaces the view by one of the files that are there now.
    fn list(&self, generation: u64) -> io::Result<()> {
        let old = self.get();
        let ids = segment_ids(&self.layout)?;
        let mut segments = HashMap::with_capacity(ids.len());
        let mut tails: Vec<_> =
            old.tails.iter().filter(|tail| ids.contains(&tail.segment.id)).cloned().collect();
        let known: HashSet<_> = tails.iter().map(|tail| tail.segment.id).collect();
        for id in ids {
            let segment = old.segments.get(&id).cloned();
            let segment =
                segment.unwrap_or_else(|| Arc::new(Segment::new(&self.layout.segments, id, self.reserve)));
            if !known.contains(&id) && segment.header().is_some() {
                tails.push(Arc::new(Tail::new(segment.clone(), HEADER, 0)));
            }
            segments.insert(id, segment);
        }
        *self.current.write() = Arc::new(View { generation, segments, tails });
        Ok(())
    }
}

/// The segments whose files are there.
pub(crate) fn segment_ids(layout: &Layout) -> io::Result<HashSet<SegmentId>> {
    let entries = match fs::read_dir(&layout.segments) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        entries => entries?,
    };
    let mut ids = HashSet::new();
    for entry in entries {
        ids.extend(entry?.file_name().to_str().and_then(SegmentId::parse_file_name));
    }
    Ok(ids)
}
