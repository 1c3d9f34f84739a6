//! `Cargo.lock`: which versions of which packages a package is built with, directly and through others.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// A parsed lock file.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    packages: BTreeMap<String, Vec<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    version: String,
    source: String,
    /// One line that says all that identifies the package's contents.
    text: String,
    dependencies: Vec<String>,
}

impl Lock {
    /// Parses the text of a lock file; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let table: Table = text.parse().ok()?;
        let mut lock = Self::default();
        for package in table.get("package").and_then(Value::as_array).into_iter().flatten() {
            let read = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
            let (name, version, source) = (read("name"), read("version"), read("source"));
            let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            let entry = Entry {
                text: format!("{name} {version} {source} {}", read("checksum")),
                dependencies: dependencies.filter_map(Value::as_str).map(str::to_owned).collect(),
                version,
                source,
            };
            lock.packages.entry(name).or_default().push(entry);
        }
        Some(lock)
    }

    /// What is locked for a package's dependencies, transitively, itself not counted; sorted lines.
    /// `None` if the lock does not know the package.
    pub fn below(&self, package: &str, version: &str) -> Option<BTreeSet<String>> {
        let own = self
            .packages
            .get(package)?
            .iter()
            .find(|entry| entry.version == version && entry.source.is_empty())?;
        let mut found = BTreeSet::new();
        for dependency in &own.dependencies {
            self.walk(dependency, &mut found);
        }
        Some(found)
    }

    /// What is locked for one dependency of a package, and for all below it; sorted lines.
    pub fn dependency(&self, package: &str, version: &str, dependency: &str) -> Option<BTreeSet<String>> {
        let own = self
            .packages
            .get(package)?
            .iter()
            .find(|entry| entry.version == version && entry.source.is_empty())?;
        let mut found = BTreeSet::new();
        for reference in &own.dependencies {
            if reference.split(' ').next() == Some(dependency) {
                self.walk(reference, &mut found);
            }
        }
        (!found.is_empty()).then_some(found)
    }

    /// Every package of the lock, sorted lines.
    pub fn all(&self) -> BTreeSet<String> {
        self.packages.values().flatten().map(|entry| entry.text.clone()).collect()
    }

    /// Follows one entry of a `dependencies` list: `name`, `name version` or `name version (source)`.
    fn walk(&self, reference: &str, found: &mut BTreeSet<String>) {
        let mut words = reference.split(' ');
        let (name, version) = (words.next().unwrap_or(""), words.next());
        let source = words.next().map(|word| word.trim_matches(['(', ')']));
        for entry in self.packages.get(name).into_iter().flatten() {
            if version.is_some_and(|version| version != entry.version)
                || source.is_some_and(|source| source != entry.source)
            {
                continue;
            }
            if found.insert(entry.text.clone()) {
                for dependency in &entry.dependencies {
                    self.walk(dependency, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "app"
        version = "0.1.0"
        dependencies = ["a 1.0.0", "c"]
        [[package]]
        name = "a"
        version = "1.0.0"
        source = "registry"
        checksum = "aa"
        dependencies = ["b"]
        [[package]]
        name = "a"
        version = "2.0.0"
        source = "registry"
        [[package]]
        name = "b"
        version = "1.0.0"
        dependencies = ["a 1.0.0"]
        [[package]]
        name = "c"
        version = "3.0.0"
    "#;

    #[test]
    fn follows_dependencies_by_version_and_survives_cycles() {
        let lock = Lock::parse(LOCK).expect("a lock");
        let below = lock.below("app", "0.1.0").expect("known");
        let names: Vec<_> =
            below.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(names, ["a 1.0.0", "b 1.0.0", "c 3.0.0"]);
        assert_eq!(lock.dependency("app", "0.1.0", "c").expect("known").len(), 1);
        assert_eq!(lock.all().len(), 5);
        assert!(lock.below("other", "1").is_none());
    }
}
