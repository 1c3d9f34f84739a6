//! A temporary project that runs the real binary. The environment of the tests does not reach it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use tempfile::TempDir;

/// A directory with a fleche.toml, and beside it (not inside) a file in which tasks log that they ran.
pub(crate) struct Project {
    dir: TempDir,
    variables: BTreeMap<String, String>,
}

/// What one command line came to.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Project {
    pub(crate) fn new(manifest: &str) -> Project {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let project = Project { dir, variables: BTreeMap::new() };
        fs::create_dir(project.root()).expect("made");
        project.write("fleche.toml", manifest);
        project
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// A place outside of the project that lives as long.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let place = self.path(path);
        fs::create_dir_all(place.parent().expect("has a parent")).expect("made");
        fs::write(place, text).expect("written");
    }

    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, &text.replace(from, to));
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub(crate) fn remove(&self, path: &str) {
        let place = self.path(path);
        if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) }.expect("removed");
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        self.path(path).symlink_metadata().expect("is there").permissions().mode() & 0o777
    }

    pub(crate) fn modified(&self, path: &str) -> SystemTime {
        self.path(path).metadata().expect("is there").modified().expect("has a time")
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.into(), value.into());
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.variables.remove(name);
    }

    /// What tasks with `pass_env = ["LOG"]` have written to `$LOG`, a line each; it is empty afterwards.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.outside("log")).unwrap_or_default();
        let _ = fs::remove_file(self.outside("log"));
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleche"));
        command
            .args(arguments)
            .current_dir(self.root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("TZ", "UTC")
            .env("LOG", self.outside("log"))
            .envs(&self.variables);
        command
    }

    pub(crate) fn fleche(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments))
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    }

    /// What became of each task, in order, one at a time: `ran a`, `hit b`.
    pub(crate) fn outcomes(&self, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<_> = arguments.iter().copied().chain(["-j1", "--format=json"]).collect();
        let ended = self.fleche(&arguments);
        assert!(ended.err.is_empty(), "{}", ended.err);
        outcomes(&ended.out)
    }

    /// Outcomes of a run that must come out well.
    pub(crate) fn run(&self) -> Vec<String> {
        let outcomes = self.outcomes(&["run"]);
        let bad = ["failed", "changed", "skipped"];
        assert!(!outcomes.iter().any(|line| bad.iter().any(|bad| line.starts_with(bad))), "{outcomes:?}");
        outcomes
    }

    /// All bytes of all files below the cache.
    pub(crate) fn cache_bytes(&self) -> Vec<u8> {
        fn collect(directory: &Path, bytes: &mut Vec<u8>) {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    collect(&path, bytes);
                } else {
                    bytes.extend(fs::read(&path).expect("readable"));
                }
            }
        }
        let mut bytes = Vec::new();
        collect(&self.path(".fleche"), &mut bytes);
        bytes
    }
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("the binary runs");
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("is UTF-8"),
        err: String::from_utf8(output.stderr).expect("is UTF-8"),
    }
}

pub(crate) fn outcomes(json: &str) -> Vec<String> {
    json.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}")))
        .filter_map(|event| {
            let task = event["task"].as_str()?;
            match event["event"].as_str()? {
                "ended" => Some(format!("{} {task}", event["outcome"].as_str()?)),
                "skipped" => Some(format!("skipped {task}")),
                _ => None,
            }
        })
        .collect()
}

/// The text without what differs from run to run: `[time]` for `1.2s`, `[when]` for `14:02 (c41f90aa)`.
pub(crate) fn redacted(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word: &str = rest.split([' ', '\n', ',']).next().unwrap_or(rest);
        let seconds = word
            .strip_suffix('s')
            .is_some_and(|number| number.contains('.') && number.parse::<f64>().is_ok());
        let clock = word.len() == 5 && word.as_bytes()[2] == b':' && word[..2].parse::<u8>().is_ok();
        if rest.starts_with("written ") {
            out.push_str("written [ago]");
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if seconds && !word.is_empty() {
            out.push_str("[time]");
            rest = &rest[word.len()..];
        } else if clock && rest[5..].starts_with(" (") {
            out.push_str("[when]");
            rest = &rest[rest.find(')').expect("is closed") + 1..];
        } else {
            let length = if word.is_empty() { c.len_utf8() } else { word.len() };
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    out
}
