//! Where the sources are: the packages to measure and their files.
//!
//! Only names are read here, never a file's content: contents belong to the cached functions, which track them.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A package and all the Rust files below its folder, sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    /// The folder's name: with cargo's downloads, name and version.
    pub(crate) name: String,
    /// The folder.
    pub(crate) root: PathBuf,
    /// Relative to the folder.
    pub(crate) files: Vec<PathBuf>,
}

/// The packages that lie in the given folders: each one that holds a `Cargo.toml`, else those of its subfolders that
/// do, else the folder itself.
pub(crate) fn in_folders(folders: &[PathBuf]) -> io::Result<Vec<Package>> {
    let mut roots = Vec::new();
    for folder in folders {
        let folder = &folder
            .canonicalize()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))?;
        let below = if is_package(folder) { Vec::new() } else { packages_below(folder)? };
        if below.is_empty() { roots.push(folder.clone()) } else { roots.extend(below) }
    }
    packages(roots)
}

/// What cargo has downloaded for the workspace around the current folder; without a workspace, whatever it has
/// downloaded at all.
pub(crate) fn downloaded() -> io::Result<Vec<Package>> {
    let roots = match dependencies() {
        Some(roots) if !roots.is_empty() => roots,
        _ => registries()?,
    };
    packages(roots)
}

fn packages(mut roots: Vec<PathBuf>) -> io::Result<Vec<Package>> {
    roots.sort();
    roots.dedup();
    let mut packages = Vec::new();
    for root in roots {
        let mut files = Vec::new();
        rust_files(&root, Path::new(""), &mut files)?;
        files.sort();
        if !files.is_empty() {
            let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy().into_owned();
            packages.push(Package { name, root, files });
        }
    }
    Ok(packages)
}

/// Symbolic links are not followed, hidden folders and cargo's build folders not entered.
fn rust_files(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in root.join(below).read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let path = below.join(&name);
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let skipped =
                name.as_encoded_bytes().starts_with(b".") || root.join(&path).join("CACHEDIR.TAG").exists();
            if !skipped {
                rust_files(root, &path, files)?;
            }
        } else if kind.is_file() && path.extension() == Some(OsStr::new("rs")) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_package(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

fn packages_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if is_package(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Asks cargo, without the network, which downloaded packages this workspace uses on this platform. (All platforms'
/// would name packages that were never downloaded, at which cargo fails.)
fn dependencies() -> Option<Vec<PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = |program: &OsStr, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        output.status.success().then_some(output.stdout)
    };
    let version = run(&cargo, &["-vV"])?;
    let host = std::str::from_utf8(&version).ok()?.lines().find_map(|line| line.strip_prefix("host: "))?;
    let metadata = run(
        &cargo,
        &["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host],
    )?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).ok()?;
    let used: Vec<_> = metadata["resolve"]["nodes"].as_array()?.iter().map(|node| &node["id"]).collect();
    let roots = metadata["packages"]
        .as_array()?
        .iter()
        .filter(|package| package["source"].is_string() && used.contains(&&package["id"]))
        .filter_map(|package| Some(Path::new(package["manifest_path"].as_str()?).parent()?.to_path_buf()))
        .collect();
    Some(roots)
}

/// Every package in the source folders of cargo's registries.
fn registries() -> io::Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")).filter(|folder| folder.is_dir()) else {
        return Ok(Vec::new());
    };
    let mut roots = Vec::new();
    for registry in sources.read_dir()? {
        let registry = registry?.path();
        if registry.is_dir() {
            roots.extend(packages_below(&registry)?);
        }
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn a_folder_of_packages_is_its_packages() {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["b-1.0/Cargo.toml", "b-1.0/src/lib.rs", "a-2.0/Cargo.toml", "a-2.0/src/x/m.rs", "a-2.0/build.rs"]
        {
            write(folder.path(), path);
        }
        write(folder.path(), "a-2.0/notes.txt");
        write(folder.path(), "a-2.0/.hidden/x.rs");
        write(folder.path(), "a-2.0/target/CACHEDIR.TAG");
        write(folder.path(), "a-2.0/target/x.rs");
        write(folder.path(), "empty-1.0/Cargo.toml");
        write(folder.path(), "loose/x.rs");

        let found = in_folders(&[folder.path().to_path_buf()]).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|p| (p.name.as_str(), p.files.iter().map(|f| f.to_str().unwrap()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, [("a-2.0", vec!["build.rs", "src/x/m.rs"]), ("b-1.0", vec!["src/lib.rs"])]);
    }

    #[test]
    fn a_folder_without_packages_is_one() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "x/one.rs");
        let found = in_folders(&[folder.path().join("x")]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), &found[0].files[..]), ("x", &[PathBuf::from("one.rs")][..]));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = in_folders(&["no/such/folder".into()]).unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }
}
