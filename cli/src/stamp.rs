//! What the file system says of a file without reading it: enough to know that nobody wrote to it, once it is old enough.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Device, inode, size and times of a file, and when it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    identity: (u64, u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    looked: SystemTime,
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Stamp) -> bool {
        (self.identity, self.modified, self.changed) == (other.identity, other.modified, other.changed)
    }
}

impl Stamp {
    /// Of the file, or of what a link to it points at.
    pub fn of(path: &Path) -> io::Result<Stamp> {
        let metadata = fs::metadata(path)?;
        Ok(Stamp {
            identity: (metadata.dev(), metadata.ino(), metadata.len()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            looked: SystemTime::now(),
        })
    }

    /// Whether a later write is sure to show: the last one lies further back than one tick of any clock that stamps files
    /// (two seconds where it counts only seconds).
    pub fn is_settled(&self) -> bool {
        let (seconds, nanos) = self.modified.max(self.changed);
        let tick = if nanos == 0 { Duration::from_secs(2) } else { Duration::from_millis(50) };
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(seconds), u32::try_from(nanos)) else { return false };
        let last = UNIX_EPOCH + Duration::new(seconds, nanos);
        self.looked.duration_since(last).is_ok_and(|age| age > tick)
    }
}
