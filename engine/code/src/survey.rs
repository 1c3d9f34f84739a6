//! The cached functions of packages as they lie on disk, and what their digests cover. Nothing is compiled.
//!
//! What only a build knows (features that are on, how dependencies were built) does not count here, so digests are not
//! told; the items are those of a build without features.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::compiler::Invocation;
use crate::package::Package;
use crate::report::Report;
use crate::session::{Cached, Session};
use crate::sources::tidy;

/// The packages of a directory.
#[derive(Debug)]
pub struct Survey {
    /// The directory of the manifest that was found.
    pub root: PathBuf,
    functions: Vec<(usize, Cached)>,
    targets: Vec<(PathBuf, Session)>,
}

impl Survey {
    /// Looks at the package that a directory is in, or at all members of a workspace without a package of its own.
    /// `None` if no directory above holds a manifest.
    pub fn open(directory: &Path) -> Option<Self> {
        let root = directory.ancestors().find(|above| above.join("Cargo.toml").is_file())?.to_path_buf();
        let mut survey = Self { root: root.clone(), functions: Vec::new(), targets: Vec::new() };
        let mut packages = BTreeSet::new();
        if Package::read(&root).is_some() {
            packages.insert(tidy(&root));
        }
        packages.extend(members(&root).iter().map(|member| tidy(member)));
        for directory in packages {
            let Some(package) = Package::read(&directory) else { continue };
            for target in targets(&package) {
                survey.add(&package, &target);
            }
        }
        survey
            .functions
            .sort_by(|(_, a), (_, b)| (&a.path, &a.file, a.line).cmp(&(&b.path, &b.file, b.line)));
        survey.functions.dedup_by(|(_, a), (_, b)| a.file == b.file && a.line == b.line);
        Some(survey)
    }

    fn add(&mut self, package: &Package, target: &Path) {
        let invocation = Invocation::parse([target.to_string_lossy().into_owned()], &package.directory);
        let out_dir = out_dir(package);
        let mut session = Session::new(Some(&package.directory), out_dir.as_deref(), invocation);
        let number = self.targets.len();
        self.functions.extend(session.functions().into_iter().map(|found| (number, found)));
        self.targets.push((package.directory.clone(), session));
    }

    /// Every cached function, sorted by path.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = &Cached> {
        self.functions.iter().map(|(_, found)| found)
    }

    /// The functions that a path or the end of one means, by their places among [`Survey::functions`].
    pub fn find(&self, path: &str) -> Vec<usize> {
        let ends = |found: &Cached| {
            found.path == path
                || found
                    .path
                    .strip_suffix(path)
                    .is_some_and(|before| before.is_empty() || before.ends_with("::"))
        };
        let found: Vec<usize> = self.places(ends);
        let whole: Vec<usize> = self.places(|found| found.path == path);
        if whole.is_empty() { found } else { whole }
    }

    fn places(&self, wanted: impl Fn(&Cached) -> bool) -> Vec<usize> {
        let all = self.functions.iter().enumerate();
        all.filter(|(_, (_, found))| wanted(found)).map(|(place, _)| place).collect()
    }

    /// What the digest of a function covers; files are relative to its package.
    ///
    /// # Panics
    ///
    /// If there is no function of that number.
    pub fn covered(&mut self, function: usize) -> Report {
        let (target, found) = &self.functions[function];
        self.targets[*target].1.covered(found)
    }

    /// A function's file relative to its package.
    ///
    /// # Panics
    ///
    /// If there is no function of that number.
    pub fn file(&self, function: usize) -> String {
        let (target, found) = &self.functions[function];
        crate::whole::relative(&found.file, &self.targets[*target].0)
    }
}

/// The members that a workspace's manifest names, also by `folder/*`.
fn members(root: &Path) -> Vec<PathBuf> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let Ok(manifest) = manifest.parse::<toml::Table>() else { return Vec::new() };
    let list = |key: &str| -> Vec<&str> {
        let list =
            manifest.get("workspace").and_then(|workspace| workspace.get(key)).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let excluded: Vec<PathBuf> = list("exclude").iter().map(|path| tidy(&root.join(path))).collect();
    let mut found = Vec::new();
    for path in list("members") {
        match path.strip_suffix("/*") {
            Some(folder) => {
                let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
                found.extend(entries.map(|entry| entry.path()));
            }
            None => found.push(root.join(path)),
        }
    }
    found.retain(|path| path.join("Cargo.toml").is_file() && !excluded.contains(&tidy(path)));
    found
}

/// The root files of a package: its library and binaries; of its tests, examples and benches those that name `fleche`.
fn targets(package: &Package) -> Vec<PathBuf> {
    let directory = &package.directory;
    let mut found: BTreeSet<PathBuf> = package.library.iter().map(|path| tidy(path)).collect();
    found.insert(tidy(&directory.join("src/main.rs")));
    for (table, folder) in
        [("bin", "src/bin"), ("example", "examples"), ("test", "tests"), ("bench", "benches")]
    {
        let mut all = Vec::new();
        let named = package.manifest.get(table).and_then(Value::as_array).into_iter().flatten();
        all.extend(named.filter_map(|target| target.get("path")?.as_str()).map(|path| directory.join(path)));
        for entry in std::fs::read_dir(directory.join(folder)).into_iter().flatten().flatten() {
            let path = entry.path();
            all.push(if path.is_dir() { path.join("main.rs") } else { path });
        }
        let names_it = |path: &PathBuf| {
            table == "bin" || std::fs::read_to_string(path).is_ok_and(|text| text.contains("fleche"))
        };
        all.retain(|path| path.extension().is_some_and(|extension| extension == "rs") && names_it(path));
        found.extend(all.iter().map(|path| tidy(path)));
    }
    found.retain(|path| path.is_file());
    found.into_iter().collect()
}

/// Where the package's build script wrote to when it last ran, if it did.
fn out_dir(package: &Package) -> Option<PathBuf> {
    package.build.as_ref()?;
    let root = package.workspace.as_deref().and_then(Path::parent).unwrap_or(&package.directory);
    let builds = std::fs::read_dir(root.join("target/debug/build")).ok()?.flatten();
    let ours = builds.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.rsplit_once('-').is_some_and(|(name, _)| name == package.name)
    });
    ours.map(|entry| entry.path().join("out"))
        .filter(|path| path.is_dir())
        .max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::tests::write;

    fn paths(survey: &Survey) -> Vec<&str> {
        survey.functions().map(|found| found.path.as_str()).collect()
    }

    #[test]
    fn finds_functions_in_all_targets_of_all_members() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path();
        let package =
            |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        write(
            root,
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\", \"tool\"]\nexclude = [\"crates/old\"]\n",
        );
        for name in ["a", "old"] {
            write(root, &format!("crates/{name}/Cargo.toml"), &package(name));
        }
        write(root, "crates/old/src/lib.rs", "#[fleche] fn gone() {}");
        write(
            root,
            "crates/a/src/lib.rs",
            "mod m; #[fleche] fn f() { m::g() } #[fleche(hash_code = \"body\")] fn b() {} #[fleche] fn t<'a, T>(x: &'a T) {}",
        );
        write(
            root,
            "crates/a/src/m.rs",
            "#[fleche(hash_code = false)] pub fn g<'a>(x: &'a str) {} fn plain() {}",
        );
        write(root, "crates/a/src/main.rs", "#[fleche] fn in_main() {}");
        write(root, "crates/a/src/bin/other.rs", "#[fleche] fn f() {}");
        write(root, "crates/a/tests/t.rs", "use fleche::fleche; #[fleche] fn in_test() {}");
        write(root, "tool/Cargo.toml", &package("tool"));
        write(root, "tool/src/main.rs", "#[fleche::fleche] fn f() {}");
        let mut survey = Survey::open(&root.join("crates")).expect("a workspace");
        assert_eq!(
            paths(&survey),
            ["a::b", "a::f", "a::f", "a::in_main", "a::in_test", "a::m::g", "a::t", "tool::f"]
        );
        let about: Vec<_> = survey.functions().map(|found| (found.level.as_str(), found.generic)).collect();
        assert_eq!(about[0], ("body", false));
        assert_eq!(about[5], ("nothing", false));
        assert_eq!(about[6], ("reachable", true));
        assert_eq!(survey.find("m::g"), [5]);
        assert_eq!(survey.find("f"), [1, 2, 7]);
        assert_eq!(survey.find("tool::f"), [7]);
        assert!(survey.find("ain").is_empty());
        assert_eq!(survey.covered(6).level, "crate");
        let lib = survey.find("a::f").into_iter().find(|f| survey.file(*f) == "src/lib.rs").expect("there");
        assert_eq!(survey.covered(lib).items.len(), 2);
        // From within a package only that is looked at.
        assert_eq!(paths(&Survey::open(&root.join("tool/src")).expect("a package")), ["tool::f"]);
    }

    #[test]
    fn no_manifest_is_no_survey() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(Survey::open(&dir.path().join("x")).is_none());
    }
}
