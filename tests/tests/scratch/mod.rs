//! Packages that a test writes and has compiled, against this workspace's engine and into the directory that the test
//! itself was compiled into.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The profile of the workspace, so that what it has compiled already is not compiled again. Seen from elsewhere our own
/// crates are dependencies too, and the large ones take long to optimise.
pub(crate) const PROFILE: &str = "debug = \"line-tables-only\"\n\n[profile.dev.package.\"*\"]\nopt-level = 1\n\n\
     [profile.dev.package.fleche]\nopt-level = 0\n\n[profile.dev.package.fleche-store]\nopt-level = 0\n";

pub(crate) struct Scratch {
    root: tempfile::TempDir,
    /// Where cargo puts what it makes.
    pub(crate) target: PathBuf,
}

impl Scratch {
    /// A directory with this workspace's lock file and nothing else.
    pub(crate) fn new() -> Self {
        let test = std::env::current_exe().expect("this test");
        let target = test.ancestors().nth(3).expect("target/debug/deps/test").to_path_buf();
        let scratch = Self { root: tempfile::tempdir().expect("a directory"), target };
        std::fs::copy(workspace().join("Cargo.lock"), scratch.path("Cargo.lock")).expect("the lock file");
        scratch
    }

    /// One package of that name that depends on the engine. `profile` stands in place of the workspace's.
    pub(crate) fn package(name: &str, profile: Option<&str>) -> Self {
        let scratch = Self::new();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
             fleche = {{ path = '{}' }}\n\n[profile.dev]\n{}",
            engine().display(),
            profile.unwrap_or(PROFILE),
        );
        scratch.write("Cargo.toml", &manifest);
        scratch
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }

    /// What cargo says, if it succeeds.
    pub(crate) fn cargo(&self, arguments: &[&str], environment: &[(&str, &str)]) -> String {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO"))
            .args(arguments)
            .current_dir(self.root.path())
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("RUSTFLAGS")
            // Digests must hold up with incremental compilation, which is what people have.
            .env_remove("CARGO_INCREMENTAL")
            .envs(environment.iter().copied())
            .output()
            .expect("cargo");
        assert!(status.success(), "cargo {arguments:?}:\n{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("text")
    }

    /// The program that cargo made.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

pub(crate) fn engine() -> PathBuf {
    workspace().join("engine")
}
