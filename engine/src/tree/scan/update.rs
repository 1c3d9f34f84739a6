//! A scan of no more than what a watcher has marked.
//!
//! Where the marks alone do not tell what may have changed it must say so; the whole tree is scanned then.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, PathBuf};

use foldhash::{HashMap, HashSet};

use super::{Scan, Scanned};
use crate::files::Files;
use crate::tree::selection::{Rule, Selection};
use crate::tree::{LINK, NONE, Snapshot, ignores};

/// Looks at what the marks may have changed. `None` if that cannot be told from the marks alone.
pub(in crate::tree) fn update(
    files: &Files,
    selection: &Selection,
    before: &Snapshot,
    marks: &[PathBuf],
) -> Option<io::Result<Scanned>> {
    // Links may lead out of what is watched, and then no mark tells of a change.
    if selection.walk().follow || before.directories.is_empty() || before.reaches_out(selection) {
        return None;
    }
    let scan = match Scan::new(files, selection, Some(before)) {
        Ok(scan) => scan,
        Err(error) => return Some(Err(error)),
    };
    // Each directory once, the whole of it if any mark asks for that.
    let mut shallow: HashMap<u32, bool> = HashMap::default();
    for mark in marks {
        let below = mark.strip_prefix(&selection.base).ok()?;
        let names: Vec<&OsStr> = below.components().map(Component::as_os_str).collect();
        let (last, way) = names.split_last()?;
        let mut at = 0_u32;
        for name in way {
            match before.child(at, name) {
                Some(child) => at = child,
                // Below something that was not entered: its own appearance is marked, or it does not count.
                None => break,
            }
        }
        let ignores = ignores::NAMES.iter().any(|name| *last == *name) && selection.walk().ignored;
        *shallow.entry(at).or_default() |= ignores;
        if let Some(child) = before.child(at, last) {
            // A directory of that name may be another one by now.
            *shallow.entry(child).or_default() |= true;
        }
    }
    let mut jobs = Vec::new();
    for (index, deep) in shallow {
        match scan.known(before, index, deep) {
            Ok(Some(job)) => jobs.push(job),
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        }
    }
    // What lies below a directory that is looked at as a whole is looked at with it.
    let deep: HashSet<u32> = jobs.iter().filter(|job| job.deep).map(|job| job.index).collect();
    jobs.retain(|job| {
        let mut above = job.parent;
        while above != NONE {
            if deep.contains(&above) {
                return false;
            }
            above = before.directories[above as usize].parent;
        }
        true
    });
    scan.queue.lock().next = u32::try_from(before.directories.len()).ok()?;
    // Left-overs of earlier updates are swept out by looking at everything.
    if before.directories.len() > 2 * before.reachable() + 1000 {
        return None;
    }
    Some(scan.run(jobs).map(|()| scan.assemble(Some(before))))
}

impl Snapshot {
    pub(super) fn child(&self, directory: u32, name: &OsStr) -> Option<u32> {
        let entries = &self.directories.get(directory as usize)?.entries;
        let at = entries.binary_search_by(|entry| (*entry.name).cmp(name)).ok()?;
        (entries[at].child != NONE).then_some(entries[at].child)
    }

    pub(super) fn reachable(&self) -> usize {
        let mut count = 0;
        let mut ahead = vec![0_u32];
        while let Some(at) = ahead.pop() {
            count += 1;
            let entries = &self.directories[at as usize].entries;
            ahead.extend(entries.iter().map(|entry| entry.child).filter(|child| *child != NONE));
        }
        count
    }

    /// Whether it depends on what links lead to.
    fn reaches_out(&self, selection: &Selection) -> bool {
        let follows = selection.contents && selection.rule != Rule::Everything;
        follows && self.directories.iter().any(|d| d.entries.iter().any(|entry| entry.kind == LINK))
    }
}
