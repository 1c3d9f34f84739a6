//! Files that code names in string literals and that are read while it is compiled: `include_str!("a.sql")`,
//! `#[grammar = "g.pest"]`, `my_macro!("template.html")`.
//!
//! Only literals inside macro calls and attributes count: others are paths that a program opens when it runs, and these
//! are inputs, not code.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::lexer::{Kind, Tokens};
use crate::sources::{files_below, tidy};
use crate::spelt::{Piece, pieces};

/// Macros of the standard library that read no files, so that `println!("notes.txt")` names none.
const PLAIN: [&str; 32] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "cfg",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprint",
    "eprintln",
    "format",
    "format_args",
    "matches",
    "panic",
    "print",
    "println",
    "thread_local",
    "todo",
    "unimplemented",
    "unreachable",
    "vec",
    "write",
    "writeln",
    "log",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "env",
    "option_env",
    "compile_error",
];

/// Macros that read the file which their argument spells.
const INCLUDES: [&str; 5] = ["include", "include_str", "include_bytes", "concat", "env"];

/// A template that names more than this is none.
const LARGEST: u64 = 1 << 20;

/// A file that code names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asset {
    /// Where it lies.
    pub path: PathBuf,
    /// Whether it is Rust source (`include!`).
    pub rust: bool,
}

/// Where names of files may be relative to.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The file with the code.
    pub file: &'a Path,
    /// The package's directory.
    pub package: &'a Path,
    /// The directory of the package that is compiled: of what a macro of another one says, it may be meant.
    pub own: &'a Path,
    /// The build script's output, if known.
    pub out_dir: Option<&'a Path>,
    /// Whether every literal may name a file, as in a macro that opens it.
    pub all: bool,
}

/// The existing files that literals in a range of tokens name.
pub fn named(tokens: &Tokens, range: Range<usize>, places: Places<'_>) -> Vec<Asset> {
    let mut found = Vec::new();
    // The innermost group around a token that is a macro call or attribute: where it ends, and the macro's name.
    let mut around: Vec<(usize, String)> = Vec::new();
    let mut condition = 0;
    for index in range {
        while around.last().is_some_and(|(end, _)| *end <= index) {
            around.pop();
        }
        match tokens.kind(index) {
            Some(Kind::Open) => {
                condition = condition.max(condition_until(tokens, index));
                if let Some(name) = caller(tokens, index) {
                    let end = tokens.after(index);
                    if INCLUDES[..4].contains(&name.as_str()) {
                        spelt(&pieces(tokens, index + 1..end - 1), name != "concat", places, &mut found);
                    }
                    around.push((end, name));
                }
            }
            Some(Kind::Text) => {
                // `feature = "web"` names no directory.
                if index < condition && index > 1 && tokens.is(index - 1, "=") {
                    let key = tokens.text(index - 2);
                    if key == "feature" || key.starts_with("target_") {
                        continue;
                    }
                }
                let name = around.last().map_or("", |(_, name)| name);
                let includes = INCLUDES.contains(&name);
                if name.is_empty() && !places.all || !includes && PLAIN.contains(&name) {
                    continue;
                }
                if let Some(text) = tokens.string(index) {
                    look(&text, includes, places, &mut found);
                }
            }
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Where the `cfg` predicate ends that begins at an opening bracket; 0 if none does.
fn condition_until(tokens: &Tokens, index: usize) -> usize {
    let name = index.checked_sub(if index > 0 && tokens.is(index - 1, "!") { 2 } else { 1 });
    match name.and_then(|at| tokens.ident(at)) {
        Some("cfg") => tokens.after(index),
        // What stands behind the predicate is an attribute.
        Some("cfg_attr") => {
            let end = tokens.after(index);
            let mut at = index + 1;
            while at < end && !tokens.is(at, ",") {
                at = if tokens.kind(at) == Some(Kind::Open) { tokens.after(at) } else { at + 1 };
            }
            at
        }
        _ => 0,
    }
}

/// The name of the macro whose call opens at `index`; `"#"` for an attribute.
fn caller(tokens: &Tokens, index: usize) -> Option<String> {
    let back = |count: usize| index.checked_sub(count);
    if tokens.is(index, "[") {
        let hash = back(1).is_some_and(|at| tokens.is(at, "#"));
        let inner =
            back(1).is_some_and(|at| tokens.is(at, "!")) && back(2).is_some_and(|at| tokens.is(at, "#"));
        if hash || inner {
            return Some("#".to_owned());
        }
    }
    if back(1).is_some_and(|at| tokens.is(at, "!")) {
        return tokens.ident(back(2)?).map(str::to_owned);
    }
    // `macro_rules! name { … }`
    if back(2).is_some_and(|at| tokens.is(at, "!")) && tokens.ident(back(1)?).is_some() {
        return tokens.ident(back(3)?).map(str::to_owned);
    }
    None
}

fn look(text: &str, includes: bool, places: Places<'_>, found: &mut Vec<Asset>) {
    if text.is_empty() || text.len() > 1024 || text.contains(['\0', '\n']) {
        return;
    }
    let mut name = if includes { text.trim_start_matches('/') } else { text };
    // As macros write it that embed files.
    for variable in ["CARGO_MANIFEST_DIR", "OUT_DIR"] {
        let rest = name.strip_prefix('$').map(|rest| rest.trim_start_matches('{'));
        if let Some(rest) = rest.and_then(|rest| rest.strip_prefix(variable)) {
            name = rest.trim_start_matches('}').trim_start_matches('/');
        }
    }
    let beside = places.file.parent().unwrap_or(Path::new(""));
    let mut bases = vec![beside.to_path_buf(), places.package.to_path_buf()];
    bases.extend(places.out_dir.map(Path::to_path_buf));
    if places.own != places.package {
        bases.push(places.own.to_path_buf());
    }
    bases.extend(["src", "templates"].map(|folder| places.package.join(folder)));
    if Path::new(name).is_absolute() || name.is_empty() {
        return;
    }
    if includes && text.starts_with('/') && Path::new(text).is_file() {
        found.push(asset(Path::new(text)));
    }
    for base in bases {
        let path = tidy(&base.join(name));
        if path.is_file() {
            if !includes {
                named_by_text(&path, places, found);
            }
            found.push(asset(&path));
        } else if !includes
            && path != base
            && path.starts_with(places.package)
            && is_folder_of_assets(&path, places.package)
        {
            found.extend(files_below(&path, &|_| true).iter().map(|path| asset(path)));
        }
    }
}

/// The files that a template names: what it extends or includes.
fn named_by_text(path: &Path, places: Places<'_>, found: &mut Vec<Asset>) {
    let is_small = path.metadata().is_ok_and(|about| about.len() <= LARGEST);
    if !is_small || path.extension().is_some_and(|extension| extension == "rs") {
        return;
    }
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let beside = path.parent().unwrap_or(Path::new(""));
    for name in text.split(['"', '\'', '\n']).map(str::trim) {
        if name.is_empty() || name.len() > 255 || name.contains(char::is_whitespace) {
            continue;
        }
        for base in [beside.to_path_buf(), places.package.join("templates"), places.package.to_path_buf()] {
            let path = tidy(&base.join(name));
            if path.is_file() && !found.iter().any(|asset| asset.path == path) {
                found.push(asset(&path));
                named_by_text(&path, places, found);
            }
        }
    }
}

/// The files that the arguments of `include_str!` may spell. `open`: parts of them may be unknown.
fn spelt(pieces: &[Piece], open: bool, places: Places<'_>, found: &mut Vec<Asset>) {
    let unknown = |piece: &Piece| *piece == Piece::Unknown;
    if pieces.len() < 2 && pieces.iter().all(|piece| matches!(piece, Piece::Text(_) | Piece::Unknown)) {
        // A literal is looked for anyhow, and what a macro's caller gives it as one.
        return;
    }
    let beside = places.file.parent().unwrap_or(Path::new(""));
    for package in [places.package, places.own] {
        let text = |pieces: &[Piece]| -> Option<String> {
            let all = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => Some(text.clone()),
                Piece::Variable(name) if name == "CARGO_MANIFEST_DIR" => package.to_str().map(str::to_owned),
                Piece::Variable(name) if name == "OUT_DIR" => {
                    places.out_dir.and_then(Path::to_str).map(str::to_owned)
                }
                Piece::Variable(name) => std::env::var(name).ok(),
                Piece::Unknown => None,
            });
            all.collect()
        };
        let Some(first) = pieces.iter().position(unknown) else {
            let path = text(pieces).map(|path| tidy(&beside.join(path)));
            found.extend(path.filter(|path| path.is_file()).map(|path| asset(&path)));
            continue;
        };
        let last = pieces.iter().rposition(unknown).unwrap_or(first);
        let (Some(front), Some(back)) = (text(&pieces[..first]), text(&pieces[last + 1..])) else { continue };
        if !open || front.is_empty() && back.is_empty() {
            continue;
        }
        // A macro's paths begin where it is called, which may be any directory with sources.
        let mut bases: Vec<PathBuf> = vec![beside.to_path_buf(), places.package.to_path_buf()];
        for file in files_below(package, &|path| path.extension().is_some_and(|end| end == "rs")) {
            let directory = file.parent().unwrap_or(package).to_path_buf();
            if !bases.contains(&directory) {
                bases.push(directory);
            }
        }
        for base in bases {
            let (folder, start) = front.rsplit_once('/').unwrap_or((".", &front));
            let folder = tidy(&base.join(format!("{folder}/")));
            if package.starts_with(&folder) && folder != package {
                // So much nobody means.
                continue;
            }
            let whole = |path: &Path| {
                let inside = path.strip_prefix(&folder).unwrap_or(path).to_string_lossy();
                inside.starts_with(start) && path.to_string_lossy().ends_with(&back)
            };
            found.extend(files_below(&folder, &whole).iter().map(|path| asset(path)));
        }
    }
}

fn asset(path: &Path) -> Asset {
    Asset { path: path.to_path_buf(), rust: path.extension().is_some_and(|extension| extension == "rs") }
}

/// Whether a directory may be one that a macro embeds (`#[folder = "public"]`); the package and its sources are not.
fn is_folder_of_assets(path: &Path, package: &Path) -> bool {
    path.is_dir()
        && path != package
        && !package.join("src").starts_with(path)
        && !path.starts_with(package.join("target"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, text) in
            [("src/a.sql", "x"), ("data.txt", "x"), ("web/a.css", "x"), ("src/lib.rs", ""), ("out/g.rs", "")]
        {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("created");
            std::fs::write(path, text).expect("written");
        }
        dir
    }

    fn find(text: &str) -> Vec<String> {
        let dir = package();
        let tokens = Tokens::lex(text);
        let (file, out) = (dir.path().join("src/lib.rs"), dir.path().join("out"));
        let places =
            Places { file: &file, package: dir.path(), own: dir.path(), out_dir: Some(&out), all: false };
        let found = named(&tokens, 0..tokens.len(), places);
        found
            .iter()
            .map(|asset| asset.path.strip_prefix(dir.path()).expect("inside").display().to_string())
            .collect()
    }

    #[test]
    fn macro_calls_and_attributes_name_files() {
        assert_eq!(find(r#"const A: &str = include_str!("a.sql");"#), ["src/a.sql"]);
        assert_eq!(find(r#"include!(concat!(env!("OUT_DIR"), "/g.rs"));"#), ["out/g.rs"]);
        assert_eq!(
            find(r#"x(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/data.txt")))"#),
            ["data.txt"]
        );
        assert_eq!(find(r#"#[query(path = "a.sql")] struct Q;"#), ["src/a.sql"]);
        assert_eq!(find(r#"#[folder = "web/"] struct Q;"#), ["web/a.css"]);
        assert_eq!(find(r#"macro_rules! m { () => { include_str!("a.sql") } }"#), ["src/a.sql"]);
        assert_eq!(find(r#"sql!["a.sql", 1]"#), ["src/a.sql"]);
        // Not what a condition asks for.
        for text in [
            r#"#[cfg(feature = "web")] fn f() {}"#,
            r#"#[cfg(all(unix, not(feature = "web")))] fn f() {}"#,
            r#"fn f() { if cfg!(feature = "web") {} }"#,
        ] {
            assert_eq!(find(text), [""; 0], "{text}");
        }
        assert_eq!(find(r#"#[cfg_attr(feature = "data.txt", folder = "web")] struct Q;"#), ["web/a.css"]);
        assert_eq!(find(r#"#[embed(feature = "web")] struct Q;"#), ["web/a.css"]);
    }

    #[test]
    fn a_name_is_looked_for_beside_the_file_and_below_its_package() {
        let dir = package();
        let file = dir.path().join("src/deep/code.rs");
        let of = |text: &str| {
            let tokens = Tokens::lex(text);
            let places =
                Places { file: &file, package: dir.path(), own: dir.path(), out_dir: None, all: false };
            named(&tokens, 0..tokens.len(), places).into_iter().map(|asset| asset.path).collect::<Vec<_>>()
        };
        std::fs::create_dir(dir.path().join("src/deep")).expect("created");
        std::fs::write(dir.path().join("src/deep/near.sql"), "").expect("written");
        assert_eq!(of(r#"x!("near.sql")"#), [dir.path().join("src/deep/near.sql")]);
        assert_eq!(of(r#"x!("a.sql")"#), [dir.path().join("src/a.sql")]);
        // The whole path, an attribute of a file, and the body of a macro whose value another reads.
        let whole = dir.path().join("data.txt");
        for text in [
            &format!("include_str!({whole:?})"),
            r#"#![data = "data.txt"]"#,
            r#"macro_rules! name { () => { "data.txt" } }"#,
        ] {
            assert_eq!(of(text), std::slice::from_ref(&whole), "{text}");
        }
    }

    #[test]
    fn paths_that_a_program_opens_are_inputs() {
        assert!(find(r#"read("data.txt")"#).is_empty());
        assert!(find(r#"println!("data.txt {}", vec!["web"].len())"#).is_empty());
        assert!(find(r#"#[folder = "src"] struct Q; m!("."); m!("/")"#).is_empty());
    }
}
