//! Paths of a project: `/`-separated text relative to the directory of its manifest, without `.`, doubled or trailing slashes.
//! They are compared as text, so each file has one spelling.

use std::path::{Path, PathBuf};

/// A path that leaves the project has no place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside;

/// The one spelling of a path: relative to the project where it lies inside, else with leading `..` or absolute.
pub fn normalise(root: &Path, text: &str) -> String {
    let text = match Path::new(text).strip_prefix(root) {
        Ok(inside) => inside.to_str().unwrap_or(text),
        Err(_) => text,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (text.starts_with('/'), joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Like [`normalise`], for what must lie strictly inside the project.
pub fn normalise_inside(root: &Path, text: &str) -> Result<String, Outside> {
    let path = normalise(root, text);
    let outside = path == "." || path == ".." || path.starts_with("../") || path.starts_with('/');
    if outside { Err(Outside) } else { Ok(path) }
}

/// The place on disk.
pub fn on_disk(root: &Path, path: &str) -> PathBuf {
    if path == "." { root.to_owned() } else { root.join(path) }
}

/// Whether `path` lies below `directory`; nothing lies below itself.
pub fn is_below(path: &str, directory: &str) -> bool {
    if directory == "." {
        return path != "." && !path.starts_with("..") && !path.starts_with('/');
    }
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The directories above a path, nearest first, without the project itself.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = &rest[..rest.rfind('/')?];
        (!rest.is_empty()).then_some(rest)
    })
}

/// How a command that runs in `directory` spells `path`; both relative to the project.
pub fn seen_from(directory: &str, path: &str) -> String {
    if directory == "." || path.starts_with('/') {
        return path.to_owned();
    }
    let from: Vec<&str> = directory.split('/').collect();
    let to: Vec<&str> = if path == "." { Vec::new() } else { path.split('/').collect() };
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let mut parts = vec![".."; from.len() - common];
    parts.extend(&to[common..]);
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_one_spelling() {
        let root = Path::new("/p");
        for (written, meant) in [
            ("a/./b//c/", "a/b/c"),
            ("a/../b", "b"),
            ("./", "."),
            ("../x", "../x"),
            ("a/../../x", "../x"),
            ("/p/a", "a"),
            ("/etc/hosts", "/etc/hosts"),
        ] {
            assert_eq!(normalise(root, written), meant);
        }
        assert_eq!(normalise_inside(root, "a/.."), Err(Outside));
        assert_eq!(normalise_inside(root, "../p2"), Err(Outside));
        assert_eq!(normalise_inside(root, "..a"), Ok("..a".into()));
    }

    #[test]
    fn commands_elsewhere_find_the_same_file() {
        assert_eq!(seen_from(".", "raw/a"), "raw/a");
        assert_eq!(seen_from("sub", "raw/a"), "../raw/a");
        assert_eq!(seen_from("sub/deep", "sub/a"), "../a");
        assert_eq!(seen_from("sub", "sub"), ".");
    }

    #[test]
    fn below_means_strictly() {
        assert!(is_below("a/b", "a") && !is_below("a", "a") && !is_below("ab", "a"));
        assert!(is_below("a", ".") && !is_below("../a", "."));
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
    }
}
