//! The digest of everything that a package is built from: its sources, its path dependencies, its lock file.
//!
//! This is the level `"crate"`, and what every other level falls back to when it cannot see enough. It must never
//! leave out a file that the compiler reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::assets::{self, Places};
use crate::compiler::Invocation;
use crate::facts::short;
use crate::lock::Lock;
use crate::modules;
use crate::package::{DependencyKind, Package};
use crate::report::Part;
use crate::sources::{Sources, files_below, tidy};
use crate::spelt;

/// Computes the digest of a package and all that it is built from on this disk; lists its files.
pub fn digest(
    directory: Option<&Path>,
    out_dir: Option<&Path>,
    invocation: &Invocation,
    sources: &mut Sources,
) -> (blake3::Hash, Vec<Part>) {
    let mut walk = Walk {
        hasher: blake3::Hasher::new(),
        parts: Vec::new(),
        base: tidy(directory.unwrap_or(Path::new(""))),
        seen: BTreeSet::new(),
        packages: BTreeSet::new(),
        sources,
        out_dir,
        variables: BTreeSet::new(),
        literals: BTreeSet::new(),
        // A documentation test is no file: its text lies in comments of any file.
        raw: invocation.root.is_none(),
    };
    walk.line("fleche crate 1");
    for part in invocation.cfgs.iter().chain(&invocation.options).chain([&invocation.target]) {
        walk.line(part);
    }
    // How cargo built what is linked: features, versions, profile.
    for (name, file) in &invocation.externs {
        walk.line(name);
        walk.line(file);
    }
    let package = directory.and_then(Package::read);
    match (&package, directory) {
        (Some(package), _) => walk.own(package, invocation),
        (None, Some(directory)) => walk.scan("", directory),
        (None, None) => {}
    }
    if let Some(root) = &invocation.root {
        let base = directory.or(root.parent()).unwrap_or(root).to_path_buf();
        walk.tree("root", &base, root);
    }
    for name in spelt::resolved(&walk.variables, std::mem::take(&mut walk.literals).into_iter()) {
        walk.line(&name);
        walk.line(&std::env::var(&name).unwrap_or_default());
    }
    walk.parts.sort();
    (walk.hasher.finalize(), walk.parts)
}

struct Walk<'a> {
    hasher: blake3::Hasher,
    /// The files, and the lock.
    parts: Vec<Part>,
    /// What their names are relative to.
    base: PathBuf,
    /// Files that are in already.
    seen: BTreeSet<PathBuf>,
    /// Directories of packages that are in already.
    packages: BTreeSet<PathBuf>,
    sources: &'a mut Sources,
    out_dir: Option<&'a Path>,
    /// Variables of the compiler's environment that code reads, and literals that may name some.
    variables: BTreeSet<String>,
    literals: BTreeSet<String>,
    /// Whether comments and documentation count.
    raw: bool,
}

impl Walk<'_> {
    fn line(&mut self, text: &str) {
        self.hasher.update(&(text.len() as u64).to_le_bytes());
        self.hasher.update(text.as_bytes());
    }

    fn part(&mut self, name: String, digest: &blake3::Hash) {
        self.parts.push(Part { name, value: short(digest) });
    }

    /// The package that is being compiled.
    fn own(&mut self, package: &Package, invocation: &Invocation) {
        let tests =
            self.raw || invocation.test || invocation.root.as_ref().is_some_and(|root| beside(package, root));
        self.package(package, tests);
        for found in package.patches().values().filter_map(|path| Package::read(path)) {
            if found.name != "fleche" {
                self.package(&found, false);
            }
        }
        if let Some(path) = package.lock() {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            self.sources.bytes(&path);
            let lock = Lock::parse(&text).unwrap_or_default();
            let lines = lock.below(&package.name, &package.version).unwrap_or_else(|| lock.all());
            let mut all = blake3::Hasher::new();
            for line in lines {
                self.line(&line);
                all.update(line.as_bytes());
            }
            self.part("Cargo.lock".to_owned(), &all.finalize());
        }
    }

    /// A package's manifest, sources and path dependencies.
    fn package(&mut self, package: &Package, tests: bool) {
        if !self.packages.insert(tidy(&package.directory)) {
            return;
        }
        let manifest = package.manifest.to_string();
        self.line(&manifest);
        self.part(format!("manifest of {}", package.name), &blake3::hash(manifest.as_bytes()));
        self.sources.bytes(&package.directory.join("Cargo.toml"));
        if let Some(workspace) = &package.workspace {
            self.sources.bytes(workspace);
            for key in ["workspace", "patch", "replace", "profile"] {
                let table = package.workspace_manifest.get(key);
                let table = match (key, table.and_then(toml::Value::as_table)) {
                    // Members come and go without meaning anything for this one.
                    ("workspace", Some(table)) => {
                        let mut table = table.clone();
                        table.retain(|key, _| matches!(key, "package" | "dependencies"));
                        Some(toml::Value::Table(table))
                    }
                    _ => table.cloned(),
                };
                self.line(&table.map(|table| table.to_string()).unwrap_or_default());
            }
        }
        let name = package.name.clone();
        if package.build.is_some() && self.packages.len() > 1 {
            // What its build script makes of them is out of sight.
            for path in files_below(&package.directory, &|_| true) {
                if let Some(digest) = self.sources.bytes(&path) {
                    self.line(&relative(&path, &package.directory));
                    self.hasher.update(digest.as_bytes());
                }
            }
        }
        for root in package.library.iter().chain(&package.build) {
            self.tree(&name, &package.directory, root);
        }
        if package.directory.join("src").is_dir() {
            self.scan(&name, &package.directory.join("src"));
        }
        if tests {
            for folder in ["tests", "examples", "benches"] {
                self.scan(&name, &package.directory.join(folder));
            }
        }
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Development && !tests {
                continue;
            }
            if let Some(found) = dependency.path.as_deref().and_then(Package::read) {
                self.package(&found, false);
            }
        }
    }

    /// All Rust files below a directory.
    fn scan(&mut self, package: &str, directory: &Path) {
        let raw = self.raw;
        let wanted = |path: &Path| {
            let extension = path.extension().unwrap_or_default();
            extension == "rs" || raw && extension == "md"
        };
        for path in files_below(directory, &wanted) {
            if path.extension().is_some_and(|extension| extension == "rs") {
                self.tree(package, directory, &path);
            } else if let Some(digest) = self.sources.bytes(&path) {
                self.hasher.update(digest.as_bytes());
            }
        }
    }

    /// A file and, through its modules and includes, all files below it.
    fn tree(&mut self, package: &str, base: &Path, root: &Path) {
        let mut pending = vec![(tidy(root), true)];
        while let Some((path, owns)) = pending.pop() {
            if !self.seen.insert(path.clone()) {
                continue;
            }
            let Some(tokens) = self.sources.tokens(&path) else { continue };
            self.line(package);
            self.line(&relative(&path, base));
            let mut own = blake3::Hasher::new();
            tokens.feed(0..tokens.len(), &mut own);
            let digest = own.finalize();
            self.hasher.update(digest.as_bytes());
            if self.raw
                && let Some(digest) = self.sources.bytes(&path)
            {
                self.hasher.update(digest.as_bytes());
            }
            self.part(relative(&path, &self.base), &digest);
            spelt::variables(&tokens, 0..tokens.len(), &mut self.variables);
            self.literals.extend(
                (0..tokens.len())
                    .filter_map(|at| tokens.string(at))
                    .filter(|text| text.starts_with(|c: char| c.is_ascii_uppercase())),
            );
            let places =
                Places { file: &path, package: base, own: &self.base, out_dir: self.out_dir, all: false };
            for asset in assets::named(&tokens, 0..tokens.len(), places) {
                if asset.rust {
                    pending.push((asset.path, true));
                } else if self.seen.insert(asset.path.clone())
                    && let Some(digest) = self.sources.bytes(&asset.path)
                {
                    self.line(&relative(&asset.path, base));
                    self.hasher.update(digest.as_bytes());
                    self.part(relative(&asset.path, &self.base), &digest);
                }
            }
            for declaration in modules::declarations(&tokens) {
                let owns = owns || modules::owns_directory(&path);
                for (file, owns) in modules::candidates(&path, owns, &declaration) {
                    let file = tidy(&file);
                    if file.is_file() && !self.seen.contains(&file) {
                        pending.push((file, owns));
                    }
                }
            }
        }
    }
}

/// Whether a crate root is one of the package's tests, examples or benches.
fn beside(package: &Package, root: &Path) -> bool {
    let root = tidy(root);
    let directory = tidy(&package.directory);
    !root.starts_with(directory.join("src")) && package.library.as_deref().map(tidy) != Some(root)
}

/// A path as every checkout spells it.
pub(crate) fn relative(path: &Path, base: &Path) -> String {
    let base = tidy(base);
    if let Ok(inside) = path.strip_prefix(&base) {
        return inside.to_string_lossy().into_owned();
    }
    // Outside: only the names below the nearest shared directory.
    let shared = base.ancestors().find(|ancestor| path.starts_with(ancestor)).unwrap_or(&base);
    path.strip_prefix(shared).unwrap_or(path).to_string_lossy().into_owned()
}
