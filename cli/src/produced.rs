//! What a run of a task made, as it is kept in its record: each file with digest and mode, and what the command wrote.

use std::collections::BTreeMap;
use std::path::Path;

use fleche_store::{Digest, ValueDigest};

/// The result of a task.
#[fleche::value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// The project's directory, if its path stands in an output: then the outputs are right only there.
    pub bound_to: Option<String>,
    /// All files, links and directories of its outputs, sorted by path.
    pub entries: Vec<Entry>,
    /// What it wrote to standard output (a blob).
    pub stdout: [u8; 32],
    /// What it wrote to standard error (a blob).
    pub stderr: [u8; 32],
    /// In which order it wrote to both (a blob; see `process::interleave`).
    pub order: [u8; 32],
    /// How long it took.
    pub milliseconds: u64,
}

/// One path of the outputs.
#[fleche::value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the project.
    pub path: String,
    /// What is there.
    pub kind: Kind,
}

/// What is at a path.
#[fleche::value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File(Content),
    /// A symbolic link, and where it points as written.
    Link(String),
    /// A directory, and its permissions.
    Directory(u32),
}

/// A file.
#[fleche::value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// BLAKE3 of its bytes, under which the store has them.
    pub digest: [u8; 32],
    /// Its length.
    pub size: u64,
    /// Its permissions.
    pub mode: u32,
}

impl Produced {
    /// Whether the outputs are right for a project in this directory.
    pub fn holds_in(&self, root: &Path) -> bool {
        self.bound_to.as_ref().is_none_or(|bound| Path::new(bound) == root)
    }

    /// The files among the outputs, with their digests.
    pub fn files(&self) -> BTreeMap<&str, Digest> {
        self.entries
            .iter()
            .filter_map(|entry| match &entry.kind {
                Kind::File(content) => Some((entry.path.as_str(), Digest::from_bytes(content.digest))),
                _ => None,
            })
            .collect()
    }
}

/// A digest of a record as the store's key of a blob.
pub fn blob(digest: [u8; 32]) -> ValueDigest {
    ValueDigest::new(Digest::from_bytes(digest))
}
