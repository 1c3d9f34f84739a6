//! What tasks have made in this copy of the project, so that a file which no task makes any more does not go on feeding globs.
//!
//! Such an *orphan* counts as absent, and `run` removes it, but only while it is certainly still ours: the same file, with the
//! time and the bytes that it had. A file that somebody put in its place, a checkout for instance, is theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fleche_store::Digest;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::produced::{Kind, Produced};

/// What was made at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Made {
    File { digest: String, inode: u64, seconds: i64, nanoseconds: i64 },
    Link { target: String },
    Directory,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    task: String,
    made: BTreeMap<String, Made>,
}

/// The ledger of one manifest.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    tasks: BTreeMap<String, BTreeMap<String, Made>>,
    lines: usize,
}

impl Ledger {
    /// Reads the ledger of the manifest called `manifest` in the project at `root`. What cannot be read is not known.
    pub fn read(root: &Path, manifest: &str) -> Ledger {
        // Another manifest in the same directory has other tasks: what they make is no orphan of this one.
        let name = format!("made-{}", Digest::of(manifest.as_bytes()).short());
        Ledger::at(root.join(".fleche/work").join(name))
    }

    fn at(path: PathBuf) -> Ledger {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let mut tasks = BTreeMap::new();
        let mut lines = 0;
        // The last line can be cut off where a process was killed.
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            tasks.insert(line.task, line.made);
            lines += 1;
        }
        Ledger { path, tasks, lines }
    }

    /// Whether that is what the task made here last, or what was restored of it.
    pub fn has_made(&self, task: &str, produced: &Produced) -> bool {
        self.tasks.get(task).is_some_and(|known| same(known, produced))
    }

    /// Notes what a task has made. `untouched`: nothing was written now, so that what is known holds, if it is the same.
    pub fn note(&mut self, root: &Path, task: &str, produced: &Produced, untouched: bool) -> io::Result<()> {
        let known = self.tasks.get(task).filter(|_| untouched);
        if known.is_some_and(|known| same(known, produced)) {
            return Ok(());
        }
        let mut made = BTreeMap::new();
        for entry in &produced.entries {
            let metadata = root.join(&entry.path).symlink_metadata()?;
            let what = match &entry.kind {
                Kind::File(content) => Made::File {
                    digest: Digest::from_bytes(content.digest).to_string(),
                    inode: metadata.ino(),
                    seconds: metadata.mtime(),
                    nanoseconds: metadata.mtime_nsec(),
                },
                Kind::Link(target) => Made::Link { target: target.clone() },
                Kind::Directory(_) => Made::Directory,
            };
            made.insert(entry.path.clone(), what);
        }
        let line = Line { task: task.to_owned(), made };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        // One write, so that a killed process leaves at most its last line incomplete.
        File::options().create(true).append(true).open(&self.path)?.write_all(text.as_bytes())?;
        self.tasks.insert(line.task, line.made);
        self.lines += 1;
        Ok(())
    }

    /// The paths that were made by tasks, that none makes now, and that are still ours.
    pub fn orphans(&self, plan: &Plan) -> BTreeSet<String> {
        let made = self.tasks.values().flatten().filter(|(path, _)| plan.maker(path).is_none());
        made.filter(|(path, made)| is_ours(&plan.root.join(path), made))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// Reads it again, since another process may have written to it before this one had the lock.
    pub fn refresh(&mut self) {
        *self = Ledger::at(std::mem::take(&mut self.path));
    }

    /// Removes orphans, with directories that are empty then, and forgets all that no task makes any more. Tells what it removed.
    pub fn sweep(&mut self, plan: &Plan) -> io::Result<Vec<String>> {
        let mut removed = Vec::new();
        // From below upwards, so that a directory is empty before its turn comes.
        for path in self.orphans(plan).iter().rev() {
            let place = plan.root.join(path);
            if place.symlink_metadata()?.is_dir() {
                // Somebody else may have put something into it.
                let _ = fs::remove_dir(&place);
            } else {
                fs::remove_file(&place)?;
                removed.push(path.clone());
            }
        }
        let stale = self.tasks.values().flatten().any(|(path, _)| plan.maker(path).is_none());
        for made in self.tasks.values_mut() {
            made.retain(|path, _| plan.maker(path).is_some());
        }
        self.tasks.retain(|_, made| !made.is_empty());
        if stale || self.lines > 2 * self.tasks.len() + 100 {
            self.rewrite()?;
        }
        removed.reverse();
        Ok(removed)
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let mut text = String::new();
        for (task, made) in &self.tasks {
            text.push_str(&serde_json::to_string(&Line { task: task.clone(), made: made.clone() })?);
            text.push('\n');
        }
        let new = self.path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, &self.path)?;
        self.lines = self.tasks.len();
        Ok(())
    }
}

fn same(known: &BTreeMap<String, Made>, produced: &Produced) -> bool {
    known.len() == produced.entries.len()
        && produced.entries.iter().all(|entry| match (known.get(&entry.path), &entry.kind) {
            (Some(Made::File { digest, .. }), Kind::File(content)) => {
                *digest == Digest::from_bytes(content.digest).to_string()
            }
            (Some(Made::Link { target }), Kind::Link(now)) => target == now,
            (Some(Made::Directory), Kind::Directory(_)) => true,
            _ => false,
        })
}

fn is_ours(place: &Path, made: &Made) -> bool {
    let Ok(metadata) = place.symlink_metadata() else { return false };
    match made {
        Made::Directory => metadata.is_dir(),
        Made::Link { target } => fs::read_link(place).is_ok_and(|now| now.as_os_str() == target.as_str()),
        Made::File { digest, inode, seconds, nanoseconds } => {
            metadata.is_file()
                && (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
                    == (*inode, *seconds, *nanoseconds)
                && crate::execute::digest_of_bytes(place).is_ok_and(|now| now.to_string() == *digest)
        }
    }
}
