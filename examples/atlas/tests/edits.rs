//! atlas over copies of real packages: what runs again after which edit, told by the program itself.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Two packages in a folder of their own, with a cache beside them.
struct Sources {
    folder: tempfile::TempDir,
}

/// What a run printed.
#[derive(Debug)]
struct Run {
    table: String,
    ran: u64,
    hit: u64,
    cut_off: u64,
    /// The names of functions and the fate of their calls, for all calls that were no hits.
    calls: BTreeSet<String>,
}

impl Sources {
    fn new() -> Self {
        let sources = Self { folder: tempfile::tempdir().unwrap() };
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        for (package, from) in [("one-1.0.0", "examples/atlas/src"), ("two-2.0.0", "store/src")] {
            copy(&workspace.join(from), &sources.path(package).join("src"));
            fs::write(sources.path(package).join("Cargo.toml"), "").unwrap();
        }
        sources
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("sources").join(path)
    }

    fn files(&self) -> u64 {
        rust_files(&self.path(""))
    }

    fn edit(&self, path: &str, edit: impl FnOnce(String) -> String) {
        let path = self.path(path);
        let text = fs::read_to_string(&path).unwrap();
        let edited = edit(text.clone());
        assert_ne!(edited, text);
        fs::write(&path, edited).unwrap();
    }

    /// Each run is a process of its own: what it knows it has from the store.
    fn run(&self) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_atlas"))
            .arg("--verbose")
            .arg("--cache")
            .arg(self.folder.path().join("cache"))
            .arg(self.path(""))
            .output()
            .unwrap();
        let (text, told) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{text}{told}");
        let (table, outcome) = text.trim_end().rsplit_once('\n').unwrap();
        let mut counts = outcome.split(" · ").map(|part| {
            let digits = part.split(' ').next().unwrap().replace(',', "");
            digits.parse().unwrap_or_default()
        });
        let mut next = || counts.next().unwrap();
        let (ran, hit, cut_off) = (next(), next(), next());
        let calls = told
            .lines()
            .map(|line| {
                format!("{}: {}", line.split('(').next().unwrap(), line.rsplit("): ").next().unwrap())
            })
            .collect();
        Run { table: table.to_owned(), ran, hit, cut_off, calls }
    }
}

impl Run {
    #[track_caller]
    fn expect(&self, ran: u64, calls: &[&str]) {
        let expected: BTreeSet<_> = calls.iter().map(ToString::to_string).collect();
        assert_eq!((self.ran, &self.calls), (ran, &expected), "{}", self.table);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn rust_files(below: &Path) -> u64 {
    let count = |path: PathBuf| {
        if path.is_dir() { rust_files(&path) } else { u64::from(path.extension().is_some_and(|e| e == "rs")) }
    };
    below.read_dir().unwrap().map(|entry| count(entry.unwrap().path())).sum()
}

#[test]
fn the_second_run_only_hits() {
    let sources = Sources::new();
    let first = sources.run();
    first.expect(sources.files() + 3, &["parse: ran", "summarise: ran", "atlas: ran"]);

    let second = sources.run();
    second.expect(0, &[]);
    assert_eq!((second.hit, second.cut_off), (sources.files() + 3, 0));
    assert_eq!(second.table, first.table);
}

#[test]
fn an_edit_runs_its_file_its_package_and_the_total() {
    let sources = Sources::new();
    sources.run();
    sources.edit("one-1.0.0/src/table.rs", |text| text + "\npub fn added() {}\n");
    sources.run().expect(3, &["parse: ran", "summarise: ran", "atlas: ran"]);
    sources.run().expect(0, &[]);
}

#[test]
fn an_edited_comment_stops_at_the_package() {
    let sources = Sources::new();
    let first = sources.run();
    sources
        .edit("one-1.0.0/src/table.rs", |text| text.replace("fn number(", "// why not\nfn /* so */ number("));
    let edited = sources.run();
    edited.expect(1, &["parse: ran, unchanged", "summarise: cut off"]);
    assert_eq!((edited.hit, edited.cut_off), (sources.files() + 1, 1), "the total is a hit again");
    assert_eq!(edited.table, first.table);
    sources.run().expect(0, &[]);
}

#[test]
fn documentation_counts() {
    let sources = Sources::new();
    sources.edit("one-1.0.0/src/table.rs", |text| text + "\npub fn added() {}\n");
    let before = sources.run();
    sources.edit("one-1.0.0/src/table.rs", |text| text.replace("pub fn added", "/// New.\npub fn added"));
    let after = sources.run();
    after.expect(3, &["parse: ran", "summarise: ran", "atlas: ran"]);
    assert_ne!(after.table, before.table);
}

#[test]
fn an_undone_edit_is_a_hit() {
    let sources = Sources::new();
    let first = sources.run();
    let path = "two-2.0.0/src/lib.rs";
    let text = fs::read_to_string(sources.path(path)).unwrap();
    sources.edit(path, |text| text + "\npub fn added() {}\n");
    assert_eq!(sources.run().ran, 3);
    sources.edit(path, |_| text);
    let undone = sources.run();
    undone.expect(0, &[]);
    assert_eq!(undone.table, first.table);
}

#[test]
fn files_come_and_go() {
    let sources = Sources::new();
    sources.run();
    fs::write(sources.path("one-1.0.0/src/new.rs"), "pub fn new() {}\n").unwrap();
    sources.run().expect(3, &["parse: ran", "summarise: ran", "atlas: ran"]);
    fs::remove_file(sources.path("one-1.0.0/src/new.rs")).unwrap();
    sources.run().expect(0, &[]);
}

#[test]
fn what_is_not_rust_is_counted_and_no_failure() {
    let sources = Sources::new();
    fs::write(sources.path("one-1.0.0/src/broken.rs"), "fn (").unwrap();
    fs::write(sources.path("one-1.0.0/src/bytes.rs"), [0xff, 0xfe]).unwrap();
    let run = sources.run();
    assert!(run.table.contains("2 files are not Rust"), "{}", run.table);
    sources.run().expect(0, &[]);
}

#[test]
fn by_default_it_measures_what_cargo_downloaded() {
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_atlas"))
        .args(["--limit", "2", "--rows", "1", "--cache"])
        .arg(cache.path())
        .output()
        .unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(table.contains("\n… and 1 more ") && table.contains("\n2 packages "), "{table}");
}

#[test]
fn a_missing_folder_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_atlas")).arg("no/such/folder").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("atlas: no/such/folder: "), "{told}");
}

#[test]
fn while_it_watches_each_save_is_a_line() {
    let sources = Sources::new();
    let mut atlas = Command::new(env!("CARGO_BIN_EXE_atlas"))
        .arg("--watch")
        .arg("--cache")
        .arg(sources.folder.path().join("cache"))
        .arg(sources.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(atlas.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut next = |about: &str| lines.find(|line| line.starts_with(about)).expect("it goes on");
    next("watching 1 folder;");
    let file = "one-1.0.0/src/table.rs";
    sources.edit(file, |text| text + "\npub fn added() {}\n");
    let line = next(file);
    assert!(line.starts_with(&format!("{file}: parse ran, summarise ran, atlas ran · ")), "{line}");
    assert!(line.ends_with(" ms"), "{line}");
    // As an editor that writes through a rename.
    let new = sources.path("one-1.0.0/src/.new");
    fs::write(&new, fs::read_to_string(sources.path(file)).unwrap() + "// why not\n").unwrap();
    fs::rename(new, sources.path(file)).unwrap();
    let line = next(file);
    assert!(line.contains(": parse ran, unchanged, summarise was cut off · "), "{line}");
    fs::write(sources.path("one-1.0.0/src/new.rs"), "pub fn new() {}\n").unwrap();
    next("one-1.0.0/src/new.rs: parse ran, summarise ran, atlas ran · ");
    atlas.kill().unwrap();
    atlas.wait().unwrap();
}
