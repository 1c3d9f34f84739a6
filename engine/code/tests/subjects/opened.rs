//! A crate of which cargo has the sources, copied, with functions over it in a module of its own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Subject;

/// Where cargo has a crate's sources.
pub(crate) fn directory_of(name: &str) -> PathBuf {
    // What other systems need may never have been downloaded.
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let about = Command::new(rustc).arg("-vV").output().expect("rustc");
    let about = String::from_utf8_lossy(&about.stdout).into_owned();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1", "--filter-platform", host])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .expect("cargo metadata");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found =
        text.split("\"manifest_path\":\"").filter_map(|part| part.split('"').next()).map(PathBuf::from);
    found
        .filter_map(|path| path.parent().map(Path::to_path_buf))
        .find(|directory| {
            let last = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            last.strip_prefix(name).is_some_and(|rest| {
                rest.starts_with('-') && rest[1..].starts_with(|c: char| c.is_ascii_digit())
            })
        })
        .unwrap_or_else(|| panic!("{name} is among this workspace's dependencies"))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            drop(std::fs::copy(entry.path(), target));
        }
    }
}

/// A copy of a crate with the functions of its subject beside it.
pub(crate) struct Crate<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) directory: tempfile::TempDir,
}

impl<'a> Crate<'a> {
    pub(crate) fn new(subject: &'a Subject) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let from = directory_of(subject.name);
        copy(&from.join("src"), &directory.path().join("src"));
        // Documentation that the sources include.
        for file in
            std::fs::read_dir(&from).expect("a directory").flatten().filter(|file| file.path().is_file())
        {
            drop(std::fs::copy(file.path(), directory.path().join(file.file_name())));
        }
        let manifest = format!(
            "[package]\nname = \"{}\"\nversion = \"0.0.0\"\nedition = \"{}\"\n",
            subject.name, subject.edition
        );
        std::fs::write(directory.path().join("Cargo.toml"), manifest).expect("written");
        let mut driver = format!("{}\n", subject.imports);
        let mut main = String::from(
            "pub fn run() { ::std::panic::set_hook(::std::boxed::Box::new(|_| {})); let wanted = ::std::env::args().nth(1);\n",
        );
        for (name, body) in subject.functions {
            let _ = writeln!(driver, "pub fn {name}() -> ::std::string::String {{ {body} }}");
            let _ = writeln!(
                main,
                "if wanted.as_deref() == Some(\"{name}\") {{ ::std::println!(\"{{:?}}\", ::std::panic::catch_unwind(|| {name}()).ok()); }}"
            );
        }
        std::fs::write(directory.path().join("src/fleche_driver.rs"), format!("{driver}{main}}}\n"))
            .expect("written");
        let library = directory.path().join("src/lib.rs");
        let mut text = std::fs::read_to_string(&library).expect("a library").replace("#![no_std]", "");
        text = text.replace("#![cfg_attr(not(test), no_std)]", "");
        text.push_str("\n#[allow(unused_imports, warnings)] pub mod fleche_driver;\npub fn main() { fleche_driver::run() }\n");
        std::fs::write(library, text).expect("written");
        Self { subject, directory }
    }

    /// What the compiler is told, but for what to make of it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut all = vec!["src/lib.rs".to_owned(), format!("--edition={}", self.subject.edition)];
        all.extend(self.subject.arguments.iter().map(|argument| (*argument).to_owned()));
        all
    }
}
