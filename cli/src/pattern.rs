//! Globs over project paths: matched against text (declared outputs of other tasks) and walked on disk, by one set of rules.
//!
//! `*` and `?` stay within a name, `**` crosses directories, `[ab]` and `{a,b}` as in a shell; a wildcard does not match a leading dot,
//! as in a shell. A text without any of these is a file or a directory, and a directory stands for all files below it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fleche::pattern::{Part, alternatives};

use crate::path::{is_below, on_disk};
use crate::work::BESIDE;

/// Names that no walk enters: the store's and git's directories, and files that are being swapped into place.
pub fn is_hidden_from_walks(name: &str) -> bool {
    name == ".git" || name == ".fleche" || name == BESIDE || name.starts_with(TEMPORARY)
}

/// How the names of files begin that are being written or moved aside.
pub const TEMPORARY: &str = ".fleche-tmp-";

/// One input of a task.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// One list of components for each way to choose from the braces.
    alternatives: Vec<Vec<Part>>,
    literal: bool,
}

impl Pattern {
    /// Compiles a normalised path with wildcards in it.
    pub fn new(text: &str) -> Result<Pattern, String> {
        let literal = !text.contains(['*', '?', '[', '{']);
        let alternatives = if literal {
            vec![text.split('/').map(|name| Part::Literal(name.to_owned())).collect()]
        } else {
            let texts = alternatives(text)?;
            texts.iter().map(|text| text.split('/').map(Part::new).collect()).collect::<Result<_, _>>()?
        };
        Ok(Pattern { text: text.to_owned(), alternatives, literal })
    }

    /// As written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has no wildcards, and so names one file or directory.
    pub fn is_literal(&self) -> bool {
        self.literal
    }

    /// Whether it matches this path itself. A literal also matches all that lies below it.
    pub fn matches(&self, path: &str) -> bool {
        if self.literal {
            return self.text == path || is_below(path, &self.text);
        }
        let names: Vec<&str> = path.split('/').collect();
        self.alternatives.iter().any(|components| matches(components, &names))
    }

    /// Whether some path below `directory` could match.
    pub fn reaches_into(&self, directory: &str) -> bool {
        if self.literal {
            return is_below(&self.text, directory) || self.matches(directory);
        }
        let names: Vec<&str> = directory.split('/').collect();
        self.alternatives.iter().any(|components| reaches(components, &names))
    }

    /// Whether the part before the first wildcard already lies in `directory`, or is it: then it must be a directory.
    pub fn begins_in(&self, directory: &str) -> bool {
        let names: Vec<&str> = directory.split('/').collect();
        self.alternatives.iter().any(|components| {
            components.len() > names.len()
                && components.iter().zip(&names).all(|pair| matches!(pair, (Part::Literal(a), b) if a == b))
        })
    }

    /// The directory in which all that it can match lies, and whether that lies deeper than directly in it.
    pub fn base(&self, root: &Path) -> (String, bool) {
        if self.literal && on_disk(root, &self.text).is_dir() {
            return (self.text.clone(), true);
        }
        let fixed = self.text.find(['*', '?', '[', '{']).unwrap_or(self.text.len());
        match self.text[..fixed].rfind('/') {
            Some(0) => ("/".to_owned(), self.text[1..].contains('/')),
            Some(slash) => (self.text[..slash].to_owned(), self.goes_deep(slash + 1)),
            None => (".".to_owned(), self.goes_deep(0)),
        }
    }

    fn goes_deep(&self, from: usize) -> bool {
        self.text[from..].contains('/') || self.text[from..].contains("**")
    }

    /// The files on disk that it matches, sorted; directories that `enter` refuses are not looked into.
    pub fn expand(&self, root: &Path, enter: &dyn Fn(&str) -> bool) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        if self.literal {
            let place = on_disk(root, &self.text);
            match fs::metadata(&place) {
                Ok(metadata) if metadata.is_dir() => {
                    let prefix = if self.text == "." { String::new() } else { self.text.clone() };
                    files_below(&place, &prefix, enter, &mut Vec::new(), &mut found)?;
                }
                Ok(_) => found.push(self.text.clone()),
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(error),
            }
        } else {
            let start = fs::metadata(root).map(|metadata| identity(&metadata))?;
            for components in &self.alternatives {
                walk(root, "", components, enter, &mut vec![start], &mut found)?;
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// Whether an error means that there is no such file.
pub fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn matches(components: &[Part], names: &[&str]) -> bool {
    match (components, names) {
        ([], []) => true,
        ([Part::Any, rest @ ..], _) => {
            matches(rest, names)
                || names
                    .split_first()
                    .is_some_and(|(name, names)| Part::Any.matches(name) && matches(components, names))
        }
        ([component, rest @ ..], [name, names @ ..]) => component.matches(name) && matches(rest, names),
        _ => false,
    }
}

/// Whether something below the directory `names` could match.
fn reaches(components: &[Part], names: &[&str]) -> bool {
    match (components, names) {
        ([], _) => false,
        (_, []) => true,
        ([Part::Any, rest @ ..], [name, names @ ..]) => {
            reaches(rest, &[&[*name], names].concat())
                || (Part::Any.matches(name) && reaches(components, names))
        }
        ([component, rest @ ..], [name, names @ ..]) => component.matches(name) && reaches(rest, names),
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// `ancestors` are the directories being walked, so that a link to one of them does not lead round for ever.
fn walk(
    root: &Path,
    directory: &str,
    components: &[Part],
    enter: &dyn Fn(&str) -> bool,
    ancestors: &mut Vec<(u64, u64)>,
    found: &mut Vec<String>,
) -> io::Result<()> {
    let Some((first, rest)) = components.split_first() else { return Ok(()) };
    if let Part::Literal(name) = first {
        // Also takes in `..` and the root of an absolute path, which no listing shows.
        let path =
            if name.is_empty() && directory.is_empty() { "/".to_owned() } else { join(directory, name) };
        return visit(root, &path, rest, enter, ancestors, found);
    }
    if let Part::Any = first {
        walk(root, directory, rest, enter, ancestors, found)?;
    }
    let place = if directory.is_empty() { root.to_owned() } else { root.join(directory) };
    for name in names(&place)? {
        if is_hidden_from_walks(&name) || !first.matches(&name) {
            continue;
        }
        let path = join(directory.trim_end_matches('/'), &name);
        match first {
            // `**` at the end takes all files; otherwise it stays in force below.
            Part::Any if rest.is_empty() => {
                visit(root, &path, &[], enter, ancestors, found)?;
                visit(root, &path, components, enter, ancestors, found)?;
            }
            Part::Any => visit(root, &path, components, enter, ancestors, found)?,
            _ => visit(root, &path, rest, enter, ancestors, found)?,
        }
    }
    Ok(())
}

fn visit(
    root: &Path,
    path: &str,
    rest: &[Part],
    enter: &dyn Fn(&str) -> bool,
    ancestors: &mut Vec<(u64, u64)>,
    found: &mut Vec<String>,
) -> io::Result<()> {
    let metadata = match fs::metadata(root.join(path)) {
        Ok(metadata) => metadata,
        Err(error) if is_absence(&error) => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.is_dir() {
        if rest.is_empty() {
            found.push(path.to_owned());
        }
        return Ok(());
    }
    let identity = identity(&metadata);
    if rest.is_empty() || ancestors.contains(&identity) || !enter(path) {
        return Ok(());
    }
    ancestors.push(identity);
    let result = walk(root, path, rest, enter, ancestors, found);
    ancestors.pop();
    result
}

fn files_below(
    place: &Path,
    prefix: &str,
    enter: &dyn Fn(&str) -> bool,
    ancestors: &mut Vec<(u64, u64)>,
    found: &mut Vec<String>,
) -> io::Result<()> {
    let identity = identity(&fs::metadata(place)?);
    if ancestors.contains(&identity) {
        return Ok(());
    }
    ancestors.push(identity);
    for name in names(place)? {
        if is_hidden_from_walks(&name) {
            continue;
        }
        let (place, path) = (place.join(&name), join(prefix, &name));
        match fs::metadata(&place) {
            Ok(metadata) if metadata.is_dir() => {
                if enter(&path) {
                    files_below(&place, &path, enter, ancestors, found)?;
                }
            }
            Ok(_) => found.push(path),
            Err(error) if is_absence(&error) => {}
            Err(error) => return Err(error),
        }
    }
    ancestors.pop();
    Ok(())
}

/// The names in a directory, sorted; none where there is no directory.
fn names(place: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        names.push(name.into_string().map_err(|name| {
            // Left out silently, a change of such a file would go unnoticed.
            io::Error::other(format!("the name {} is not UTF-8", place.join(name).display()))
        })?);
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).expect("is a pattern")
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
            ("a/{b/c,d}.x", "a/b/c.x", true),
            ("a/{b/c,d}.x", "a/d.x", true),
            ("a/{b/c,d}.x", "a/b.x", false),
            ("a?[xy].c", "aby.c", true),
            ("dir", "dir/below", true),
            ("dir", "dirty", false),
        ] {
            assert_eq!(pattern(text).matches(path), expected, "{text} {path}");
        }
    }

    #[test]
    fn broken_globs_are_errors() {
        for text in ["a{b", "a**b", "a[b"] {
            assert!(Pattern::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn knows_which_directories_it_can_reach_into() {
        assert!(pattern("**/*.csv").reaches_into("build"));
        assert!(pattern("build/*.csv").reaches_into("build"));
        assert!(!pattern("build/*.csv").reaches_into("build/deep"));
        assert!(!pattern("raw/*.csv").reaches_into("build"));
        assert!(pattern("build/*.csv").begins_in("build"));
        assert!(!pattern("**/*.csv").begins_in("build"));
    }

    #[test]
    fn knows_where_its_matches_lie() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("dir")).expect("made");
        for (text, base, deep) in [
            ("a.txt", ".", false),
            ("raw/*.csv", "raw", false),
            ("raw/*/x", "raw", true),
            ("src/**", "src", true),
            ("s{a/b,c}", ".", true),
            ("dir", "dir", true),
            ("/etc/hosts", "/etc", false),
            ("../x/*", "../x", false),
        ] {
            assert_eq!(pattern(text).base(dir.path()), (base.to_owned(), deep), "{text}");
        }
    }

    #[test]
    fn walks_the_disk_by_the_same_rules() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        for path in ["a/x.csv", "a/y.txt", "a/b/z.csv", "a/.h/w.csv", ".fleche/s.csv", "top.csv"] {
            fs::create_dir_all(root.join(path).parent().expect("has one")).expect("made");
            fs::write(root.join(path), "").expect("written");
        }
        std::os::unix::fs::symlink("..", root.join("a/loop")).expect("linked");
        let expand = |text: &str| pattern(text).expand(root, &|_| true).expect("walks");
        assert_eq!(expand("**/*.csv"), ["a/b/z.csv", "a/x.csv", "top.csv"]);
        assert_eq!(expand("a/*"), ["a/x.csv", "a/y.txt"]);
        assert_eq!(expand("{top,a/x}.csv"), ["a/x.csv", "top.csv"]);
        assert_eq!(expand("a/b"), ["a/b/z.csv"]);
        assert_eq!(expand("a/x.csv"), ["a/x.csv"]);
        assert!(expand("nothing/*").is_empty() && expand("nothing").is_empty());
        assert!(expand("a/**").contains(&"a/b/z.csv".to_owned()));
    }
}
