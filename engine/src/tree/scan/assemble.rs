//! From the lists of directories, as the threads bring them, to a snapshot with its digests.

use std::sync::Arc;

use foldhash::HashSet;

use super::{Listed, Scan, Scanned};
use crate::input::absent;
use crate::system::Kind;
use crate::tree::{DIRECTORY, Directory, NONE, Snapshot};

impl Scan<'_> {
    /// Makes the snapshot from what was looked at, and from the one before where only a part was.
    pub(super) fn assemble(self, kept: Option<&Snapshot>) -> Scanned {
        let contents = self.selection.contents;
        let queue = self.queue.into_inner();
        let count = queue.next as usize;
        let mut listed: Vec<Option<Listed>> = Vec::new();
        listed.resize_with(count, || None);
        for (index, list) in queue.done {
            listed[index as usize] = Some(list);
        }
        let known = |index: usize| kept.and_then(|kept| kept.directories.get(index));
        // What is above a directory that was looked at gets another digest with it.
        let mut above: HashSet<u32> = HashSet::default();
        for (index, list) in listed.iter().enumerate() {
            let parent = match (list, known(index)) {
                (Some(Some((parent, _))), _) => *parent,
                (Some(None), Some(known)) => known.parent,
                (None, _) | (Some(None), None) => continue,
            };
            let mut at = parent;
            while at != NONE && above.insert(at) {
                at = match &listed[at as usize] {
                    Some(Some((parent, _))) => *parent,
                    _ => known(at as usize).map_or(NONE, |known| known.parent),
                };
            }
        }
        let empty =
            || Arc::new(Directory { parent: NONE, entries: Vec::new(), digest: absent(), holds: false });
        let mut directories: Vec<Arc<Directory>> = vec![empty(); count];
        let mut gone = vec![false; count];
        for index in (0..count).rev() {
            let (parent, mut entries) = match listed[index].take() {
                Some(Some(list)) => list,
                Some(None) => {
                    gone[index] = true;
                    continue;
                }
                None => match known(index) {
                    Some(known) if above.contains(&u32::try_from(index).unwrap_or(NONE)) => {
                        (known.parent, known.entries.clone())
                    }
                    Some(known) => {
                        directories[index] = known.clone();
                        continue;
                    }
                    None => continue,
                },
            };
            entries.retain_mut(|entry| {
                if entry.child == NONE {
                    return true;
                }
                let child = entry.child as usize;
                entry.content = directories[child].digest;
                !gone[child] && (entry.kind == DIRECTORY || directories[child].holds)
            });
            let holds = !entries.is_empty();
            let before = self.before.and_then(|before| before.directories.get(index));
            let same = |before: &&Arc<Directory>| {
                before.entries.len() == entries.len()
                    && before
                        .entries
                        .iter()
                        .zip(&entries)
                        .all(|(a, b)| a.content == b.content && a.kind == b.kind && a.name == b.name)
            };
            let mut directory = Directory { parent, entries: Vec::new(), digest: absent(), holds };
            let digest = before.filter(same).map(|before| before.digest);
            directory.entries = entries;
            directory.digest = digest.unwrap_or_else(|| directory.compute(contents));
            directories[index] = Arc::new(directory);
        }
        let snapshot = Snapshot {
            digest: directories.first().map_or_else(absent, |root| root.digest),
            root: Some(Kind::Directory),
            directories,
        };
        Scanned { snapshot, read: self.read.into_inner() }
    }
}
