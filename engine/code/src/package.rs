//! A cargo package as its manifest describes it: name, library, build script, dependencies that lie on this disk.
//!
//! It reads manifests only. It never asks cargo, which holds its locks while the compiler runs us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::sources::tidy;

/// A package's manifest, resolved against its workspace.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name, as `Cargo.toml` says.
    pub name: String,
    /// Its version, also when it is the workspace's.
    pub version: String,
    /// The directory of its manifest.
    pub directory: PathBuf,
    /// The root of its library, if it has one.
    pub library: Option<PathBuf>,
    /// Its build script, if it has one.
    pub build: Option<PathBuf>,
    /// The crate names (as code spells them) of its dependencies.
    pub dependencies: Vec<Dependency>,
    /// The manifest of its workspace, if that is another file.
    pub workspace: Option<PathBuf>,
    /// Its manifest, parsed.
    pub manifest: Table,
    /// The workspace's manifest, parsed; empty where it has none of its own.
    pub workspace_manifest: Table,
}

/// One dependency of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The name that code uses: the key in the manifest with `-` as `_`.
    pub name: String,
    /// The name of the package.
    pub package: String,
    /// Whether the manifest gives it a name of its own.
    pub renamed: bool,
    /// Where it lies, if it is a path dependency (also by a workspace's table or a `[patch]`).
    pub path: Option<PathBuf>,
    /// Which of the manifest's tables it comes from.
    pub kind: DependencyKind,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// `[dependencies]`, also for a target.
    Normal,
    /// `[dev-dependencies]`.
    Development,
    /// `[build-dependencies]`.
    Build,
}

impl Package {
    /// Reads the package whose manifest lies in a directory. `None` if there is no manifest that can be read.
    pub fn read(directory: &Path) -> Option<Self> {
        let manifest = table(&directory.join("Cargo.toml"))?;
        let package = manifest.get("package").and_then(Value::as_table)?;
        let name = package.get("name").and_then(Value::as_str)?.to_owned();
        let (workspace, workspace_manifest) = match workspace_of(directory, &manifest) {
            Some((path, table)) => (Some(path), table),
            None => (None, Table::new()),
        };
        let root = if workspace_manifest.is_empty() { &manifest } else { &workspace_manifest };
        let inherited = root.get("workspace").and_then(|table| table.get("package"));
        let version = match package.get("version") {
            Some(Value::String(version)) => version.clone(),
            Some(_) => inherited
                .and_then(|table| table.get("version"))
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned(),
            None => "0.0.0".to_owned(),
        };
        let library = match manifest.get("lib").and_then(|lib| lib.get("path")).and_then(Value::as_str) {
            Some(path) => Some(directory.join(path)),
            None => Some(directory.join("src/lib.rs")).filter(|path| path.is_file()),
        };
        let build = match package.get("build") {
            Some(Value::String(path)) => Some(directory.join(path)),
            Some(Value::Boolean(false)) => None,
            _ => Some(directory.join("build.rs")).filter(|path| path.is_file()),
        };
        let root_directory = workspace.as_deref().and_then(Path::parent).unwrap_or(directory).to_path_buf();
        let dependencies = dependencies(&manifest, directory, root, &root_directory);
        Some(Self {
            name,
            version,
            directory: directory.to_path_buf(),
            library,
            build,
            dependencies,
            workspace,
            manifest,
            workspace_manifest,
        })
    }

    /// The name that other crates know its library by.
    pub fn crate_name(&self) -> String {
        let lib = self.manifest.get("lib").and_then(|lib| lib.get("name")).and_then(Value::as_str);
        lib.unwrap_or(&self.name).replace('-', "_")
    }

    /// Its edition.
    pub fn edition(&self) -> String {
        let own = self.manifest.get("package").and_then(|package| package.get("edition"));
        let root = if self.workspace_manifest.is_empty() { &self.manifest } else { &self.workspace_manifest };
        let inherited = || root.get("workspace")?.get("package")?.get("edition")?.as_str();
        own.and_then(Value::as_str).or_else(|| own.and_then(|_| inherited())).unwrap_or("2015").to_owned()
    }

    /// The packages on this disk that stand in for others in its build, by name: those of `[patch]` and `[replace]`, in the
    /// workspace's manifest or in cargo's configuration, of `paths` there, and what those depend on by path.
    pub fn patches(&self) -> BTreeMap<String, PathBuf> {
        let root = if self.workspace_manifest.is_empty() { &self.manifest } else { &self.workspace_manifest };
        let directory = self.workspace.as_deref().and_then(Path::parent).unwrap_or(&self.directory);
        let mut found = patches(root, directory);
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let places = self.directory.ancestors().map(|directory| directory.join(".cargo")).chain(home);
        for place in places {
            for file in ["config.toml", "config"] {
                let Some(config) = table(&place.join(file)) else { continue };
                let base = place.parent().unwrap_or(&place);
                found.extend(patches(&config, base));
                let paths = config.get("paths").and_then(Value::as_array).into_iter().flatten();
                for path in paths.filter_map(Value::as_str).map(|path| base.join(path)) {
                    found.extend(Self::read(&path).map(|package| (package.name, path)));
                }
            }
        }
        let mut pending: Vec<PathBuf> = found.values().cloned().collect();
        while let Some(package) = pending.pop().and_then(|path| Self::read(&path)) {
            for dependency in package.dependencies {
                if let Some(path) = dependency.path
                    && !found.contains_key(&dependency.package)
                {
                    found.insert(dependency.package, path.clone());
                    pending.push(path);
                }
            }
        }
        found
    }

    /// Whether its library is a macro that the compiler runs.
    pub fn is_macro(&self) -> bool {
        let lib = self.manifest.get("lib");
        let flag = |key: &str| lib.and_then(|lib| lib.get(key)).and_then(Value::as_bool) == Some(true);
        flag("proc-macro") || flag("proc_macro")
    }

    /// The lock file that holds for it: of its workspace, else the nearest above it.
    pub fn lock(&self) -> Option<PathBuf> {
        let start = self.workspace.as_deref().and_then(Path::parent).unwrap_or(&self.directory);
        start.ancestors().map(|directory| directory.join("Cargo.lock")).find(|path| path.is_file())
    }
}

/// Reads a TOML file.
fn table(path: &Path) -> Option<Table> {
    std::fs::read_to_string(path).ok()?.parse().ok()
}

/// The manifest of the workspace that a package belongs to, if it is not the package's own.
fn workspace_of(directory: &Path, manifest: &Table) -> Option<(PathBuf, Table)> {
    if manifest.contains_key("workspace") {
        return None;
    }
    let named = manifest.get("package").and_then(|package| package.get("workspace")).and_then(Value::as_str);
    let places: Vec<PathBuf> = match named {
        Some(path) => vec![directory.join(path)],
        None => directory.ancestors().skip(1).map(Path::to_path_buf).collect(),
    };
    let (path, table) = places.into_iter().map(|place| place.join("Cargo.toml")).find_map(|path| {
        let table = table(&path)?;
        table.contains_key("workspace").then_some((path, table))
    })?;
    let root = path.parent().unwrap_or(Path::new(""));
    (named.is_some() || !is_excluded(directory, root, &table)).then_some((path, table))
}

/// Whether a workspace says that the package in a directory is none of its.
fn is_excluded(directory: &Path, root: &Path, table: &Table) -> bool {
    let directory = tidy(directory);
    let below = |key: &str| {
        let all = table.get("workspace").and_then(|workspace| workspace.get(key)).and_then(Value::as_array);
        let mut all = all.into_iter().flatten().filter_map(Value::as_str);
        all.any(|path| directory.starts_with(tidy(&root.join(path))))
    };
    below("exclude") && !below("members")
}

fn dependencies(manifest: &Table, directory: &Path, root: &Table, root_directory: &Path) -> Vec<Dependency> {
    let shared = root.get("workspace").and_then(|table| table.get("dependencies")).and_then(Value::as_table);
    let patches = patches(root, root_directory);
    let mut found = Vec::new();
    let mut read = |tables: &Table| {
        for (keys, kind) in [
            (["dependencies", "dependencies"], DependencyKind::Normal),
            (["dev-dependencies", "dev_dependencies"], DependencyKind::Development),
            (["build-dependencies", "build_dependencies"], DependencyKind::Build),
        ] {
            let Some(entries) = keys.iter().find_map(|key| tables.get(*key)).and_then(Value::as_table) else {
                continue;
            };
            for (key, own) in entries {
                let inherits = own.get("workspace").and_then(Value::as_bool) == Some(true);
                let (entry, base) = if inherits {
                    (shared.and_then(|shared| shared.get(key)).unwrap_or(own), root_directory)
                } else {
                    (own, directory)
                };
                let package = entry.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
                let path = entry.get("path").and_then(Value::as_str).map(|path| base.join(path));
                let path = path.or_else(|| patches.get(&package).cloned());
                // The engine is not its user's code, wherever it comes from: its version counts, as with any crate.
                let path = path.filter(|_| package != "fleche");
                let renamed = package != *key;
                found.push(Dependency { name: key.replace('-', "_"), package, renamed, path, kind });
            }
        }
    };
    read(manifest);
    for target in manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values) {
        if let Some(target) = target.as_table() {
            read(target);
        }
    }
    found
}

/// Packages that `[patch]` or `[replace]` of the workspace's manifest put on this disk.
fn patches(root: &Table, directory: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let sources = root.get("patch").and_then(Value::as_table).into_iter().flat_map(Table::values);
    for table in sources.chain(root.get("replace")).filter_map(Value::as_table) {
        for (key, entry) in table {
            if let Some(path) = entry.get("path").and_then(Value::as_str) {
                let name = entry.get("package").and_then(Value::as_str).unwrap_or(key);
                found.insert(name.split(':').next().unwrap_or(name).to_owned(), directory.join(path));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::tests::write;

    #[test]
    fn finds_path_dependencies_however_they_are_written() {
        let dir = tempfile::tempdir().expect("a directory");
        write(
            dir.path(),
            "Cargo.toml",
            r#"
            [workspace]
            members = ["app"]
            package.version = "1.2.3"
            [workspace.dependencies]
            shared = { path = "lib/shared", package = "shared-lib" }
            [patch.crates-io]
            patched = { path = "lib/patched" }
            "#,
        );
        write(
            dir.path(),
            "app/Cargo.toml",
            r#"
            [package]
            name = "my-app"
            version.workspace = true
            [lib]
            path = "code/root.rs"
            [dependencies]
            shared = { workspace = true }
            near-by = { path = "../near" }
            serde = "1"
            patched = "2"
            [target.'cfg(unix)'.build-dependencies]
            maker = { path = "maker" }
            "#,
        );
        write(dir.path(), "Cargo.lock", "");
        write(dir.path(), "app/build.rs", "");
        let package = Package::read(&dir.path().join("app")).expect("a package");
        assert_eq!((package.version.as_str(), package.crate_name().as_str()), ("1.2.3", "my_app"));
        assert_eq!(package.library, Some(dir.path().join("app/code/root.rs")));
        assert_eq!(package.build, Some(dir.path().join("app/build.rs")));
        assert_eq!(package.lock(), Some(dir.path().join("Cargo.lock")));
        let mut found: Vec<_> = package
            .dependencies
            .iter()
            .map(|d| (d.name.as_str(), d.package.as_str(), d.path.clone(), d.kind))
            .collect();
        found.sort_by_key(|(name, ..)| *name);
        let at = |path: &str| Some(dir.path().join(path));
        assert_eq!(
            found,
            [
                ("maker", "maker", at("app/maker"), DependencyKind::Build),
                ("near_by", "near-by", at("app/../near"), DependencyKind::Normal),
                ("patched", "patched", at("lib/patched"), DependencyKind::Normal),
                ("serde", "serde", None, DependencyKind::Normal),
                ("shared", "shared-lib", at("lib/shared"), DependencyKind::Normal),
            ]
        );
    }

    #[test]
    fn an_excluded_package_has_its_own_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path(), "Cargo.toml", "[workspace]\nmembers = [\"fuzz/in\"]\nexclude = [\"fuzz\"]\n");
        for path in ["fuzz", "fuzz/in", "other"] {
            write(dir.path(), &format!("{path}/Cargo.toml"), "[package]\nname = \"a\"\n");
        }
        write(dir.path(), "Cargo.lock", "");
        write(dir.path(), "fuzz/Cargo.lock", "");
        let lock = |path: &str| Package::read(&dir.path().join(path)).and_then(|package| package.lock());
        assert_eq!(lock("fuzz"), Some(dir.path().join("fuzz/Cargo.lock")));
        assert_eq!(lock("fuzz/in"), Some(dir.path().join("Cargo.lock")));
        assert_eq!(lock("other"), Some(dir.path().join("Cargo.lock")));
    }

    #[test]
    fn reads_what_manifests_say_in_other_places() {
        let dir = tempfile::tempdir().expect("a directory");
        write(
            dir.path(),
            "root/Cargo.toml",
            "[workspace]\n[workspace.package]\nversion = \"2.0.0\"\n[replace]\n\"old:1.0.0\" = { path = \"../old\" }\n",
        );
        write(
            dir.path(),
            "app/Cargo.toml",
            "[package]\nname = \"app\"\nversion.workspace = true\nworkspace = \"../root\"\nbuild = \"make.rs\"\n[lib]\nproc-macro = true\n[dependencies]\nold = \"1\"\n",
        );
        let app = Package::read(&dir.path().join("app")).expect("a package");
        assert_eq!(app.workspace, Some(dir.path().join("app/../root/Cargo.toml")));
        assert_eq!((app.version.as_str(), app.is_macro()), ("2.0.0", true));
        assert_eq!(app.build, Some(dir.path().join("app/make.rs")));
        assert_eq!(app.dependencies[0].path, Some(dir.path().join("app/../root/../old")));
        // A lock file above holds for packages that name no workspace.
        write(dir.path(), "Cargo.lock", "");
        write(
            dir.path(),
            "deep/alone/Cargo.toml",
            "[package]\nname = \"alone\"\nversion = \"1.0.0\"\n[lib]\nproc_macro = true\n",
        );
        let alone = Package::read(&dir.path().join("deep/alone")).expect("a package");
        assert_eq!((alone.lock(), alone.is_macro()), (Some(dir.path().join("Cargo.lock")), true));
    }

    #[test]
    fn no_manifest_is_no_package() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(Package::read(dir.path()).is_none());
    }
}
