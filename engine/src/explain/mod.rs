//! Explaining: why a call is fresh, or all that is different from what its record observed, followed down to what a
//! person changed.
//!
//! It reads records and looks at inputs, and must never run or record anything. It may look further than the engine
//! does when it answers a call, which stops at the first difference.
//!
//! ```
//! use fleche::explain::Standing;
//! use fleche::fleche;
//!
//! #[fleche]
//! fn words(path: &std::path::Path) -> std::io::Result<u64> {
//!     Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64)
//! }
//!
//! #[fleche]
//! fn title(path: &std::path::Path) -> std::io::Result<String> {
//!     Ok(format!("{} words", words(path)?))
//! }
//!
//! # fn main() -> fleche::Result<()> {
//! # let dir = tempfile::tempdir()?;
//! # let book = dir.path().join("book");
//! # std::fs::write(&book, "one two")?;
//! let cache = fleche::Cache::open(dir.path().join(".fleche"))?;
//! let _scope = fleche::cache(&cache)?;
//! title(&book)?;
//! assert!(fleche::explain(title::digest(&book))?.is_fresh());
//!
//! std::fs::write(&book, "one two three")?;
//! let why = fleche::explain(title::digest(&book))?;
//! // `title` itself observed nothing but the result of `words`; what changed is the file.
//! assert_eq!(why.standing(), Standing::Pending);
//! let causes: Vec<_> = why.causes().map(|(step, difference)| (step.call, difference.what())).collect();
//! assert_eq!(causes, [(words::digest(&book), "book".to_string())]);
//! println!("{why}");
//! # Ok(())
//! # }
//! ```

mod lines;
mod text;
mod walk;

use fleche_code::report::Change;
use fleche_store::{CallId, CallKey, Dependency, Digest, Record, ValueDigest};

pub use self::lines::{Lines, compare as compare_lines};
pub use self::text::ago;
use crate::error::Result;
use crate::scope;

/// How a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// No record of it is kept: it would run.
    New,
    /// A record holds: it would be answered from that.
    Fresh,
    /// Something that it observed itself is different, or its code is: it would run.
    Stale,
    /// Only calls that it depends on are stale: it would run if one of them makes something else.
    Pending,
    /// It is fresh, by a later run than the one that its caller observed, and with another result.
    Recomputed,
}

/// The record that a call is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Against {
    /// Its key.
    pub key: CallKey,
    /// Its result.
    pub result: ValueDigest,
    /// When it was made, in milliseconds since 1970: what is different has changed since then.
    pub created_ms: i64,
}

/// In what way an input is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// It has another content.
    Changed,
    /// It was not there.
    Appeared,
    /// It is not there any more.
    Vanished,
    /// It cannot be looked at now: a permission, or a value that this process has not set.
    Hidden,
}

/// An input that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputChange {
    /// As it stands in traces.
    pub dependency: Dependency,
    /// For people: a path relative to the project's root, or a description.
    pub name: String,
    /// In what way.
    pub how: How,
    /// The digest that was observed.
    pub before: Digest,
    /// The digest that it has; `None` if it cannot be looked at.
    pub after: Option<Digest>,
    /// When the file, or the last of those in `within`, was written, in milliseconds since 1970.
    pub modified_ms: Option<i64>,
    /// Of a tree, a walk or a glob: what of it was written after the record had been made, the last first. Files where
    /// contents count; a directory, with a slash at its end, where names came or went.
    pub within: Vec<String>,
    /// For a text, how many lines are different.
    pub lines: Lines,
}

/// A function whose code is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChange {
    /// `version = ..`, before and after, if that is different.
    pub version: Option<(String, String)>,
    /// What is different in what the code digest covers; `None` if one of the two is not known.
    pub items: Option<Vec<Change>>,
}

/// One difference between what a record observed and what is so now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// An input.
    Input(InputChange),
    /// The function's code, its version, or the type of its result.
    Code(CodeChange),
    /// A nested call has another result since. A step of the explanation tells why.
    Result {
        /// The nested call.
        call: CallId,
        /// For people.
        name: String,
        /// What was observed.
        before: Digest,
        /// What it is.
        after: Digest,
    },
    /// A nested call is stale itself, or has no record. A step of the explanation tells why.
    Below {
        /// The nested call.
        call: CallId,
        /// For people.
        name: String,
    },
    /// A nested call cannot be brought up to date for its callers: this program has no such function, or it is
    /// generic and was not called yet.
    Unknown {
        /// The nested call.
        call: CallId,
        /// For people.
        name: String,
    },
    /// It was invalidated by hand.
    Invalidated {
        /// When, in milliseconds since 1970.
        at_ms: i64,
    },
}

/// What is said of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which call.
    pub call: CallId,
    /// For people: `count("a.rs")`.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// What it was compared with; for a fresh call the record that holds.
    pub against: Option<Against>,
    /// All that is different.
    pub differences: Vec<Difference>,
    /// How many inputs and nested calls are not.
    pub same: usize,
    /// False if this program has no such function, so that its code could not be compared.
    pub code_known: bool,
}

/// Why a call is fresh or not: a step for itself, and one for each nested call that another step names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The call itself comes first.
    pub steps: Vec<Step>,
}

impl Explanation {
    /// How the call stands.
    pub fn standing(&self) -> Standing {
        self.steps.first().map_or(Standing::New, |step| step.standing)
    }

    /// Whether a record holds.
    pub fn is_fresh(&self) -> bool {
        self.standing() == Standing::Fresh
    }

    /// The differences at which the chains end: what a person changed, and in which call it was observed.
    pub fn causes(&self) -> impl Iterator<Item = (&Step, &Difference)> {
        self.steps
            .iter()
            .flat_map(|step| step.differences.iter().map(move |difference| (step, difference)))
            .filter(|(_, difference)| {
                !matches!(difference, Difference::Result { .. } | Difference::Below { .. })
            })
    }
}

impl Against {
    fn new(record: &Record) -> Self {
        Self { key: record.key, result: record.result.digest, created_ms: record.created_ms }
    }
}

/// Why the call is fresh in the cache in scope, or all that is different.
///
/// The identity of a call is `count::digest(path)`, or stands in a [`Record`]. A call of another program can be
/// explained too; its code is not compared then. Within [`crate::frozen`] it goes by the picture of the inputs that is
/// held.
///
/// # Errors
///
/// If the store cannot be read.
///
/// # Panics
///
/// On a thread other than the main one that has no cache in scope; see [`crate::cache()`].
pub fn explain(call: CallId) -> Result<Explanation> {
    walk::explain(&scope::current_cache(), call)
}
