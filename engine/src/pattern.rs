//! What `*`, `?`, `[ab]`, `{a,b}` and `**` mean, for tracked globs and for the command line's inputs alike.
//!
//! Patterns are taken apart name by name, so that directories that cannot hold a match are not entered. As in a shell
//! a wildcard does not match a leading dot. How many names were walked through is no business of this module.

use std::ffi::OsStr;

use globset::{GlobBuilder, GlobMatcher};

/// What a pattern has between two slashes.
#[derive(Debug, Clone)]
pub enum Part {
    /// `**`: any names, or none.
    Any,
    /// A name without wildcards.
    Literal(String),
    /// A name with wildcards.
    Wild {
        /// What it matches, if the dot in front is no matter.
        matcher: GlobMatcher,
        /// It begins with a dot itself.
        dotted: bool,
    },
}

impl Part {
    /// Compiles one part of a pattern that has no braces any more.
    ///
    /// # Errors
    ///
    /// A sentence for people, if it is no pattern.
    pub fn new(text: &str) -> Result<Self, String> {
        if text == "**" {
            return Ok(Self::Any);
        }
        if text.contains("**") {
            return Err("`**` must stand alone between slashes".to_owned());
        }
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Literal(text.to_owned()));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(false)
            .build()
            .map_err(|error| error.kind().to_string())?;
        Ok(Self::Wild { matcher: glob.compile_matcher(), dotted: text.starts_with('.') })
    }

    /// Whether the part, or one step of `**`, matches a name.
    pub fn matches(&self, name: impl AsRef<OsStr>) -> bool {
        let name = name.as_ref();
        let hidden = || name.as_encoded_bytes().starts_with(b".");
        match self {
            Self::Any => !hidden(),
            Self::Literal(literal) => **literal == *name,
            Self::Wild { matcher, dotted } => (*dotted || !hidden()) && matcher.is_match(name),
        }
    }
}

/// All texts that `{a,b}` stands for; braces may nest.
///
/// # Errors
///
/// A sentence for people, if a brace is not closed.
pub fn alternatives(text: &str) -> Result<Vec<String>, String> {
    let Some(open) = text.find('{') else { return Ok(vec![text.to_owned()]) };
    let (mut depth, mut start, mut choices) = (0, open + 1, Vec::new());
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < open) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                choices.push(&text[start..at]);
                start = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(&text[start..at]);
                let (before, after) = (&text[..open], &text[at + 1..]);
                let mut all = Vec::new();
                for choice in choices {
                    all.extend(alternatives(&format!("{before}{choice}{after}"))?);
                }
                return Ok(all);
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    Err("`{` without `}`".to_owned())
}
