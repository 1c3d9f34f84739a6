//! What is asked of a [`Session`](crate::session::Session) and what it answers.

use std::path::{Path, PathBuf};

use crate::CodeDigest;
use crate::report::Report;
use crate::shared::{Shared, Together};

/// A function, as its attribute sees it.
#[derive(Clone, Copy, Debug)]
pub struct Function<'a> {
    /// Its file, if that is known.
    pub file: Option<&'a Path>,
    /// The line of its name.
    pub line: u32,
    /// Its name.
    pub name: &'a str,
    /// Its tokens, as text.
    pub tokens: &'a str,
    /// Whether it has type parameters: then its callers decide what code it runs.
    pub generic: bool,
}

/// A cached function of the crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Its file.
    pub file: PathBuf,
    /// The line of its name.
    pub line: u32,
    /// Its name.
    pub name: String,
    /// Its path, with its crate's name.
    pub path: String,
    /// The level that its attribute asks for.
    pub level: String,
    /// Whether it has type parameters.
    pub generic: bool,
}

/// A digest with what is behind it.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The digest.
    pub digest: CodeDigest,
    /// `cfg` options whose values only the compiler knows, to be counted by whoever uses the digest.
    pub options: Vec<String>,
    /// Variables of the compiler's environment that count.
    pub environment: Vec<String>,
    /// What is covered, and at which level; of items, the function's own.
    pub report: Report,
    /// What is covered and other functions cover too.
    pub(crate) together: Option<Together>,
}

impl Reached {
    /// What stands for itself.
    pub(crate) fn of(digest: CodeDigest, options: Vec<String>, report: Report) -> Self {
        Self { digest, options, environment: Vec::new(), report, together: None }
    }

    /// What is covered as text, and parts of it that it leaves out since other functions' texts have them too.
    /// [`Report::expand`] puts them in again.
    pub fn encode(&self) -> (String, Vec<Shared>) {
        self.report.encode_apart(self.together.as_ref())
    }

    /// All of what is covered.
    pub fn all(&self) -> Report {
        let (text, shared) = self.encode();
        let known = |id: &str| shared.iter().find(|shared| shared.id == id).map(|shared| &*shared.text);
        Report::decode(&Report::expand(&text, known))
    }
}
