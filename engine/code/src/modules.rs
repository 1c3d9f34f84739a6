//! Which other files a source file brings in: `mod name;`, `#[path]`, `include!`.
//!
//! It looks at tokens, not at items, so that declarations inside macro calls count too; it must rather name a file too
//! many than one too few.

use std::path::{Path, PathBuf};

use crate::lexer::{Kind, Tokens};

/// A `mod name;` somewhere in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Names (or `#[path]`s) of the inline modules around it, outermost first.
    pub inside: Vec<String>,
    /// Its own name; empty where a macro's variable stands there.
    pub name: String,
    /// Each `#[path = "…"]`, also in `cfg_attr`, that stands on it.
    pub paths: Vec<String>,
    /// The index of the name's token.
    pub token: usize,
}

/// Finds the modules that a file declares without a body.
pub fn declarations(tokens: &Tokens) -> Vec<Declaration> {
    let mut found = Vec::new();
    let mut inside: Vec<(String, usize)> = Vec::new();
    for index in 0..tokens.len() {
        while inside.last().is_some_and(|(_, end)| *end <= index) {
            inside.pop();
        }
        if !tokens.is(index, "mod") || index > 0 && tokens.is(index - 1, ".") {
            continue;
        }
        let (name, after) = match tokens.ident(index + 1) {
            Some(name) => (name.to_owned(), index + 2),
            None if tokens.is(index + 1, "$") => (String::new(), index + 3),
            None => continue,
        };
        let paths = paths_before(tokens, index);
        if tokens.is(after, ";") {
            let inside = inside.iter().map(|(name, _)| name.clone()).collect();
            found.push(Declaration { inside, name, paths, token: index + 1 });
        } else if tokens.is(after, "{") {
            inside.push((paths.into_iter().next().unwrap_or(name), tokens.after(after)));
        }
    }
    found
}

/// The `path = "…"` in the attributes directly before an item that starts at `index` (or before its visibility).
pub fn paths_before(tokens: &Tokens, index: usize) -> Vec<String> {
    let mut paths = Vec::new();
    let mut at = index;
    while at > 0 {
        let before = at - 1;
        let Some(token) = tokens.get(before) else { break };
        match token.kind {
            Kind::Close if (token.partner as usize) < before => {
                let open = token.partner as usize;
                if tokens.is(open, "[") {
                    for inner in open..before {
                        if tokens.is(inner, "path") && tokens.is(inner + 1, "=") {
                            paths.extend(tokens.string(inner + 2));
                        }
                    }
                } else if !tokens.is(open, "(") {
                    break;
                }
                at = open;
            }
            Kind::Punct if tokens.is(before, "#") || tokens.is(before, "$") => at = before,
            Kind::Ident if matches!(tokens.text(before), "pub" | "unsafe" | "vis") => at = before,
            _ => break,
        }
    }
    paths
}

/// The files that a declaration in `file` may mean. `owns_directory`: it is a crate root, a `mod.rs`, or was named by `#[path]`.
pub fn candidates(file: &Path, owns_directory: bool, declaration: &Declaration) -> Vec<(PathBuf, bool)> {
    let parent = file.parent().unwrap_or(Path::new(""));
    let mut directory = parent.to_path_buf();
    if !owns_directory && let Some(stem) = file.file_stem() {
        directory.push(stem);
    }
    directory.extend(&declaration.inside);
    let mut found = Vec::new();
    for path in &declaration.paths {
        let base = if declaration.inside.is_empty() { parent } else { &directory };
        found.push((base.join(path), true));
    }
    if !declaration.name.is_empty() {
        found.push((directory.join(format!("{}.rs", declaration.name)), false));
        found.push((directory.join(&declaration.name).join("mod.rs"), true));
    }
    found
}

/// Whether a file by its name alone looks for its modules beside itself.
pub fn owns_directory(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "mod.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(file: &str, owns: bool, text: &str) -> Vec<String> {
        declarations(&Tokens::lex(text))
            .iter()
            .flat_map(|declaration| candidates(Path::new(file), owns, declaration))
            .map(|(path, _)| path.display().to_string())
            .collect()
    }

    #[test]
    fn plain_modules_lie_beside_roots_and_below_others() {
        assert_eq!(files("src/lib.rs", true, "pub mod a;"), ["src/a.rs", "src/a/mod.rs"]);
        assert_eq!(files("src/a.rs", false, "#[cfg(x)] pub(crate) mod b;"), ["src/a/b.rs", "src/a/b/mod.rs"]);
    }

    #[test]
    fn inline_modules_are_directories() {
        let text = "mod a { mod b { } mod c; } mod d;";
        assert_eq!(files("lib.rs", true, text), ["a/c.rs", "a/c/mod.rs", "d.rs", "d/mod.rs"]);
    }

    #[test]
    fn paths_count_beside_the_default() {
        let found = files(
            "src/lib.rs",
            true,
            r#"#[cfg_attr(unix, path = "u.rs")] #[cfg_attr(windows, path = "w.rs")] mod os;"#,
        );
        assert_eq!(found, ["src/w.rs", "src/u.rs", "src/os.rs", "src/os/mod.rs"]);
        assert_eq!(files("src/a.rs", false, r#"#[path = "x.rs"] mod y;"#)[0], "src/x.rs");
        assert_eq!(files("src/a.rs", false, r#"mod i { #[path = "x.rs"] mod y; }"#)[0], "src/a/i/x.rs");
    }

    #[test]
    fn macro_calls_declare_too() {
        assert_eq!(
            files("src/lib.rs", true, "cfg_if! { if #[cfg(unix)] { mod u; } }"),
            ["src/u.rs", "src/u/mod.rs"]
        );
    }
}
