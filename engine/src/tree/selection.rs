//! What of a directory a tree input is about: everything, what a walk comes by, or what a glob matches.
//!
//! It stands in traces, so two selections that may choose differently must never be spelled alike.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use smallvec::SmallVec;

use crate::input::{bytes_path, path_bytes, wants_directory};
use crate::pattern::{self, Part};

/// A directory and what counts in it. The path is absolute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Selection {
    pub(crate) base: PathBuf,
    /// File contents and executable bits count too, not only names and kinds.
    pub(crate) contents: bool,
    pub(crate) rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// All that is there; of links only their texts.
    Everything,
    Walk(Walk),
    /// The pattern, below the base.
    Glob(String),
}

/// What a walk comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Walk {
    pub(crate) depth: Option<u32>,
    /// Names that begin with a dot are passed over.
    pub(crate) hidden: bool,
    /// What `.gitignore` and `.ignore` files exclude is passed over.
    pub(crate) ignored: bool,
    /// Links are followed.
    pub(crate) follow: bool,
}

impl Selection {
    /// All of a directory.
    pub(crate) fn everything(base: PathBuf) -> Self {
        Self { base, contents: true, rule: Rule::Everything }
    }

    /// The names in one directory.
    pub(crate) fn listing(base: PathBuf) -> Self {
        let walk = Walk { depth: Some(1), ..Walk::default() };
        Self { base, contents: false, rule: Rule::Walk(walk) }
    }

    /// Whether a change of something below the base may count.
    pub(crate) fn is_touched_by(&self, path: &Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.base) else { return false };
        match &self.rule {
            Rule::Everything => true,
            Rule::Walk(Walk { depth, .. }) => {
                depth.is_none_or(|depth| below.components().count() <= depth as usize)
            }
            Rule::Glob(pattern) => Pattern::new(pattern).is_ok_and(|pattern| {
                let mut names = below.components();
                let last = names.try_fold(pattern.start(), |states, name| {
                    let states = pattern.step(&states, name.as_os_str());
                    (!states.is_empty()).then_some(states)
                });
                last.is_some()
            }),
        }
    }

    /// Whether something below the base is part of the tree, by its name alone: what ignore files exclude is. A
    /// directory is if anything below it may be.
    pub(crate) fn holds(&self, path: &Path, is_directory: bool) -> bool {
        let Ok(below) = path.strip_prefix(&self.base) else { return false };
        let is_hidden = |name: &OsStr| name.as_encoded_bytes().first() == Some(&b'.');
        match &self.rule {
            Rule::Everything => true,
            Rule::Walk(walk) => {
                walk.depth.is_none_or(|depth| below.components().count() <= depth as usize)
                    && !(walk.hidden && below.components().any(|name| is_hidden(name.as_os_str())))
            }
            Rule::Glob(pattern) => Pattern::new(pattern).is_ok_and(|pattern| {
                let step = |states, name: Component<'_>| pattern.step(&states, name.as_os_str());
                let states = below.components().fold(pattern.start(), step);
                pattern.is_match(&states) || (is_directory && pattern.leads_on(&states))
            }),
        }
    }

    /// Whether ignore files above the base count: who watches the base does not see them change. Where the base is a
    /// repository's root none does, and that it ceases to be one is seen.
    pub(crate) fn reads_above(&self) -> bool {
        self.walk().ignored && !self.base.join(".git").exists()
    }

    pub(crate) fn walk(&self) -> Walk {
        if let Rule::Walk(walk) = self.rule { walk } else { Walk::default() }
    }

    /// As it stands in a trace, with the base as `base`: `c d3 h:src`, or `c glob *.rs\0src`.
    pub(crate) fn name(&self, base: &Path) -> Vec<u8> {
        let mut words = Vec::new();
        if self.contents {
            words.push("c".to_owned());
        }
        let mut pattern = None;
        match &self.rule {
            Rule::Everything => words.push("all".into()),
            Rule::Walk(Walk { depth, hidden, ignored, follow }) => {
                words.extend(depth.map(|depth| format!("d{depth}")));
                words.extend(hidden.then(|| "h".into()));
                words.extend(ignored.then(|| "i".into()));
                words.extend(follow.then(|| "f".into()));
            }
            Rule::Glob(text) => {
                words.push("glob".into());
                pattern = Some(text);
            }
        }
        let mut name = words.join(" ").into_bytes();
        name.push(b':');
        name.extend(path_bytes(base));
        if let Some(pattern) = pattern {
            name.push(0);
            name.extend(pattern.as_bytes());
        }
        name
    }

    /// Back from a trace.
    pub(crate) fn parse(root: &Path, name: &[u8]) -> Option<Self> {
        let colon = name.iter().position(|byte| *byte == b':')?;
        let (words, rest) = (std::str::from_utf8(&name[..colon]).ok()?, &name[colon + 1..]);
        let (mut contents, mut everything, mut glob, mut walk) = (false, false, false, Walk::default());
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            match word {
                "c" => contents = true,
                "all" => everything = true,
                "glob" => glob = true,
                "h" => walk.hidden = true,
                "i" => walk.ignored = true,
                "f" => walk.follow = true,
                _ => walk.depth = Some(word.strip_prefix('d')?.parse().ok()?),
            }
        }
        let (base, rule) = if glob {
            let end = rest.iter().position(|byte| *byte == 0)?;
            (&rest[..end], Rule::Glob(String::from_utf8(rest[end + 1..].to_vec()).ok()?))
        } else {
            (rest, if everything { Rule::Everything } else { Rule::Walk(walk) })
        };
        Some(Self { base: root.join(bytes_path(base)?), contents, rule })
    }
}

/// For people.
pub(crate) fn describe(name: &[u8]) -> String {
    let Some(selection) = Selection::parse(Path::new(""), name) else { return "a tree".into() };
    let base = selection.base.display();
    let what = if selection.contents { "" } else { "names in " };
    match selection.rule {
        Rule::Glob(pattern) if selection.base.as_os_str().is_empty() => format!("{what}{pattern}"),
        Rule::Glob(pattern) => format!("{what}{base}/{pattern}"),
        Rule::Walk(Walk { depth: Some(1), .. }) => format!("{what}{base}/"),
        _ => format!("{what}{base}/**"),
    }
}

/// A compiled pattern: for each way to choose from its braces a list of components. A path is matched name by name,
/// so that directories that cannot hold a match are not entered.
#[derive(Debug)]
pub(crate) struct Pattern(Vec<Vec<Part>>);

/// How far a path has come in a pattern: alternative and part.
pub(crate) type States = SmallVec<[(u16, u16); 4]>;

impl Pattern {
    pub(crate) fn new(pattern: &str) -> io::Result<Self> {
        let refused = |why: String| invalid(format!("the pattern `{pattern}`: {why}"));
        let compile = |text: String| text.split('/').filter(|part| !part.is_empty()).map(Part::new).collect();
        let texts = pattern::alternatives(pattern).map_err(refused)?;
        let mut alternatives: Vec<Vec<Part>> =
            texts.into_iter().map(compile).collect::<Result<_, _>>().map_err(refused)?;
        for parts in &mut alternatives {
            // `a/**` is what lies below `a`, without `a`.
            if let Some(Part::Any) = parts.last() {
                parts.push(Part::new("*").map_err(refused)?);
            }
        }
        if u16::try_from(alternatives.len().max(alternatives.iter().map(Vec::len).max().unwrap_or(0)))
            .is_err()
        {
            return Err(invalid("the pattern has too many parts"));
        }
        Ok(Self(alternatives))
    }

    /// Where the base stands.
    pub(crate) fn start(&self) -> States {
        let mut states = States::new();
        for at in 0..self.0.len() {
            self.enter(&mut states, (number(at), 0));
        }
        states
    }

    /// Past a name; nothing left means that neither it nor anything below it matches.
    pub(crate) fn step(&self, from: &States, name: &OsStr) -> States {
        let mut states = States::new();
        for (alternative, at) in from {
            match self.0[usize::from(*alternative)].get(usize::from(*at)) {
                Some(part) if part.matches(name) => {
                    let next = if matches!(part, Part::Any) { *at } else { at + 1 };
                    self.enter(&mut states, (*alternative, next));
                }
                _ => {}
            }
        }
        states
    }

    fn enter(&self, states: &mut States, state: (u16, u16)) {
        if states.contains(&state) {
            return;
        }
        states.push(state);
        // It may also stand for no name at all.
        if let Some(Part::Any) = self.0[usize::from(state.0)].get(usize::from(state.1)) {
            self.enter(states, (state.0, state.1 + 1));
        }
    }

    /// Whether a path that has come so far matches.
    pub(crate) fn is_match(&self, states: &States) -> bool {
        states.iter().any(|(alternative, at)| usize::from(*at) == self.0[usize::from(*alternative)].len())
    }

    /// Whether something below a directory that has come so far could match.
    pub(crate) fn leads_on(&self, states: &States) -> bool {
        states.iter().any(|(alternative, at)| usize::from(*at) < self.0[usize::from(*alternative)].len())
    }
}

fn number(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.into())
}

/// A pattern's directory, as written, and what is matched below it.
pub(crate) fn split(pattern: &str) -> io::Result<(PathBuf, String)> {
    if pattern.is_empty() || wants_directory(Path::new(pattern)) {
        return Err(invalid(format!("the pattern `{pattern}` ends where a name should be")));
    }
    let is_plain = |text: &str| !text.contains(['*', '?', '[', '{']);
    let mut base = PathBuf::new();
    let mut rest: Vec<&str> = Vec::new();
    // Braces may hold slashes, so that from the first on nothing is split off.
    let head = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    let cut = pattern[..head].rfind('/').map_or(0, |slash| slash + 1);
    for component in Path::new(&pattern[..cut]).components() {
        base.push(component);
    }
    rest.push(&pattern[cut..]);
    let text = rest.concat();
    let last = Path::new(&text).components().next_back();
    if is_plain(&text) && !matches!(last, Some(Component::Normal(_))) {
        return Err(invalid(format!("the pattern `{pattern}` ends where a name should be")));
    }
    Ok((base, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::new(pattern).unwrap();
        let states =
            path.split('/').fold(pattern.start(), |states, name| pattern.step(&states, name.as_ref()));
        pattern.is_match(&states)
    }

    #[test]
    fn matches_as_a_shell_does() {
        for (text, path, expected) in [
            ("raw/*.csv", "raw/a.csv", true),
            ("raw/*.csv", "raw/x/a.csv", false),
            ("raw/*", "raw/.a", false),
            ("raw/.*", "raw/.a", true),
            ("**/*.rs", "a.rs", true),
            ("**/*.rs", "a/b/c.rs", true),
            ("**/*.rs", "a/.hidden/c.rs", false),
            ("src/**", "src/a/b", true),
            ("src/**", "src", false),
            ("**/a/**/b", "x/a/y/z/b", true),
            ("**/a/**/b", "a/b", true),
            ("a/{b/c,d}.x", "a/b/c.x", true),
            ("a/{b/c,d}.x", "a/d.x", true),
            ("a/{b/c,d}.x", "a/b.x", false),
            ("a?[xy].c", "aby.c", true),
        ] {
            assert_eq!(matches(text, path), expected, "{text} {path}");
        }
        for text in ["a{b", "a**b", "a[b"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn directories_that_cannot_hold_a_match_are_known() {
        let pattern = Pattern::new("build/*.csv").unwrap();
        let build = pattern.step(&pattern.start(), "build".as_ref());
        assert!(pattern.leads_on(&build) && !pattern.is_match(&build));
        assert!(pattern.step(&pattern.start(), "raw".as_ref()).is_empty());
        assert!(!pattern.leads_on(&pattern.step(&build, "deep.csv".as_ref())));
    }

    #[test]
    fn a_tree_knows_what_may_touch_it() {
        let touched = |rule: Rule, contents, path: &str| {
            Selection { base: "/t".into(), contents, rule }.is_touched_by(Path::new(path))
        };
        let glob = || Rule::Glob("a/*.c".into());
        for (path, by_glob, by_listing) in [
            ("/t/a/x.c", true, false),
            ("/t/a", true, true),
            ("/t", true, true),
            ("/t/b", false, true),
            ("/t/a/x.h", false, false),
            ("/t/a/b/x.c", false, false),
            ("/other", false, false),
        ] {
            assert_eq!(touched(glob(), true, path), by_glob, "{path}");
            assert_eq!(touched(Selection::listing("/t".into()).rule, false, path), by_listing, "{path}");
            assert_eq!(touched(Rule::Everything, true, path), path.starts_with("/t"), "{path}");
        }
    }

    #[test]
    fn a_tree_knows_what_belongs_to_it() {
        let holds = |rule: &Rule, path: &str, is_directory| {
            let selection = Selection { base: "/t".into(), contents: true, rule: rule.clone() };
            selection.holds(Path::new(path), is_directory)
        };
        let glob = Rule::Glob("**/{a,b}/*.c".into());
        assert!(holds(&glob, "/t/x/a/y.c", false) && holds(&glob, "/t/b/y.c", false));
        assert!(
            !holds(&glob, "/t/x/a/y.h", false)
                && !holds(&glob, "/t/x", false)
                && !holds(&glob, "/u/a/y.c", false)
        );
        assert!(holds(&glob, "/t/x", true), "something below it may match");
        let walk = Rule::Walk(Walk { depth: Some(2), hidden: true, ..Walk::default() });
        assert!(holds(&walk, "/t/x/y", false) && !holds(&walk, "/t/x/y/z", false));
        assert!(!holds(&walk, "/t/.x/y", false));
        assert!(holds(&Rule::Walk(Walk::default()), "/t/.x/y/z", false));
        assert!(holds(&Rule::Everything, "/t/.x", false));
    }

    #[test]
    fn a_pattern_is_split_at_its_first_wildcard() {
        let split = |text: &str| split(text).map(|(base, rest)| (base.display().to_string(), rest)).ok();
        assert_eq!(split("a/b/*.c"), Some(("a/b".into(), "*.c".into())));
        assert_eq!(split("/a/{b/c,d}"), Some(("/a".into(), "{b/c,d}".into())));
        assert_eq!(split("*"), Some((String::new(), "*".into())));
        assert_eq!(split("a/b"), Some(("a".into(), "b".into())));
        assert_eq!(split("../x/*"), Some(("../x".into(), "*".into())));
        assert_eq!(split("a/"), None);
        assert_eq!(split(""), None);
    }

    #[test]
    fn every_selection_comes_back_from_a_trace() {
        let walk = Walk { depth: Some(3), hidden: true, ignored: false, follow: true };
        for rule in
            [Rule::Everything, Rule::Walk(walk), Rule::Walk(Walk::default()), Rule::Glob("a:*".into())]
        {
            for contents in [true, false] {
                let selection = Selection { base: "/p/a b:c".into(), contents, rule: rule.clone() };
                let name = selection.name(Path::new("a b:c"));
                assert_eq!(Selection::parse(Path::new("/p"), &name), Some(selection));
            }
        }
    }
}
