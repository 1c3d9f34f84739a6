//! Watching from outside: a storm of changes, editors, checkouts, and roots that come and go.
//!
//! `FLECHE_STORM=N` sets the number of operations of the storm: 10,000 for a long one.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::Project;
use fleche::{Cache, Changes, Watch, Watcher, fleche};

/// What there is at a path.
#[fleche]
fn state(path: &Path) -> String {
    match fleche::fs::read(path) {
        Ok(bytes) => format!("file {}", String::from_utf8_lossy(&bytes)),
        // To a trace the two are one: there is nothing.
        Err(error) if error.kind() == ErrorKind::NotADirectory => format!("{:?}", ErrorKind::NotFound),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[fleche]
fn tree(path: &Path) -> String {
    fleche::fs::digest(path).map_or_else(|error| error.to_string(), |digest| format!("{digest:?}"))
}

/// The same by a look at all of it, with nothing remembered.
fn cold(root: &Path, paths: &BTreeSet<PathBuf>) -> Vec<String> {
    let _scope = fleche::cache(Cache::memory()).unwrap();
    answers(root, paths)
}

/// The same tree by another selection: names, and contents of what a pattern names.
#[fleche]
fn walked(root: &Path) -> String {
    let names = fleche::fs::walk(root).into_iter().map(|entry| entry.map(|entry| entry.path()).ok());
    let names: Vec<_> = names.collect();
    let contents =
        fleche::fs::glob(&format!("{}/**/[ab]", root.display())).and_then(fleche::fs::Glob::contents);
    format!("{names:?} {:?}", contents.map(|tree| tree.digest().to_string()).map_err(|error| error.kind()))
}

fn answers(root: &Path, paths: &BTreeSet<PathBuf>) -> Vec<String> {
    [tree(root), walked(root)].into_iter().chain(paths.iter().map(|path| state(path))).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % n
    }
}

/// A path of up to four names, out of few, so that operations meet.
fn random_path(root: &Path, random: &mut Random) -> PathBuf {
    let depth = 1 + random.below(4);
    let mut path = root.to_path_buf();
    for _ in 0..depth {
        path.push(["a", "b", "c", "d"][random.below(4)]);
    }
    path
}

/// One operation; most of them can fail, which is as good.
fn operate(root: &Path, random: &mut Random, n: usize) {
    let (one, other) = (random_path(root, random), random_path(root, random));
    let _ = match random.below(14) {
        0..4 => fs::write(&one, n.to_string()),
        4 => OpenOptions::new().append(true).open(&one).and_then(|mut file| file.write_all(b"+")),
        5 => fs::rename(&one, &other),
        6 => {
            let new = root.join(format!("new{n}"));
            fs::write(&new, n.to_string())
                .and_then(|()| fs::rename(&new, &one).or_else(|_| fs::remove_file(new)))
        }
        7 => fs::remove_file(&one),
        8 | 9 => fs::create_dir_all(&one),
        10 => fs::remove_dir_all(&one),
        11 => symlink(["a", "b/c", "/nowhere"][random.below(3)], &one),
        12 => fs::metadata(&one).and_then(|metadata| {
            let mut permissions = metadata.permissions();
            permissions.set_mode(permissions.mode() ^ 0o100);
            // A directory that cannot be entered would only make the rest of the storm a calm.
            if metadata.is_dir() { Ok(()) } else { fs::set_permissions(&one, permissions) }
        }),
        _ => fs::hard_link(&one, &other),
    };
}

fn storm(operations: usize, seed: u64, prompt: bool) {
    let project = Project::new();
    let root = project.root().canonicalize().unwrap().join("storm");
    fs::create_dir(&root).unwrap();
    let (send, told) = channel();
    let watcher = Watch::new([&root])
        .prompt(prompt)
        .quiet(Duration::from_millis(1))
        .start(move |changes| drop(send.send(changes.clone())))
        .unwrap();
    let mut random = Random(seed);
    let mut paths = BTreeSet::new();
    for _ in 0..25 {
        paths.insert(random_path(&root, &mut random));
    }
    let mut done = 0;
    let mut before = answers(&root, &paths);
    while done < operations {
        for _ in 0..=random.below(40) {
            operate(&root, &mut random, done);
            done += 1;
            if random.below(10) == 0 {
                // In the midst of it, so that things are known in every state.
                let path = random_path(&root, &mut random);
                state(&path);
            }
        }
        if !prompt {
            watcher.catch_up();
        }
        let expected = cold(&root, &paths);
        assert_eq!(answers(&root, &paths), expected, "seed {seed}, after {done}");
        // What differs from the last pause was told; it may have been told in several batches.
        let mut missing: Vec<&PathBuf> = paths
            .iter()
            .zip(before[2..].iter().zip(&expected[2..]))
            .filter(|(_, (a, b))| a != b)
            .map(|(p, _)| p)
            .collect();
        while !missing.is_empty() {
            let changes = told
                .recv_timeout(Duration::from_secs(20))
                .unwrap_or_else(|_| panic!("seed {seed}, after {done}: nothing told of {missing:?}"));
            missing.retain(|path| !changes.concern(path) && !is_beyond_a_link(path));
        }
        before = expected;
    }
}

/// What lies behind a link is told under another name.
fn is_beyond_a_link(path: &Path) -> bool {
    path.ancestors().any(Path::is_symlink)
}

#[test]
fn after_a_storm_nothing_is_missed() {
    let operations = std::env::var("FLECHE_STORM").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    storm(operations, 0x9e37_79b9_7f4a_7c15, true);
    storm(operations, 0xd1b5_4a32_d192_ed03, false);
}

struct Watching {
    project: Project,
    _watcher: Watcher,
    told: Receiver<Changes>,
}

impl Watching {
    fn new() -> Self {
        Self::of("src", |watch| watch)
    }

    fn of(root: &str, describe: impl FnOnce(Watch) -> Watch) -> Self {
        let project = Project::new();
        fs::create_dir(project.path("src")).unwrap();
        let root = project.root().canonicalize().unwrap().join(root);
        let (send, told) = channel();
        let watcher =
            describe(Watch::new([root])).start(move |changes| drop(send.send(changes.clone()))).unwrap();
        Self { project, _watcher: watcher, told }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.project.root().canonicalize().unwrap().join(name)
    }

    fn state(&self, name: &str) -> String {
        state(&self.path(name))
    }

    #[track_caller]
    fn told_of(&self, name: &str) {
        loop {
            let changes = self.told.recv_timeout(Duration::from_secs(20)).expect("a change is told");
            if changes.concern(self.path(name)) {
                return;
            }
        }
    }

    /// Saves the file in the way of an editor; whatever the way, its content is seen and told of.
    #[track_caller]
    fn saved_by(&self, save: impl Fn(&Path, &str)) {
        let path = self.path("src/file");
        for round in ["one", "two", "three"] {
            save(&path, round);
            assert_eq!(state(&path), format!("file {round}"));
            assert_eq!(state(&path), format!("file {round}"));
            self.told_of("src/file");
        }
    }
}

#[test]
fn saved_by_vim() {
    let watching = Watching::new();
    fs::write(watching.path("src/file"), "zero").unwrap();
    watching.saved_by(|path, text| {
        // It tries whether it may make files here, moves the old one aside, and writes a new one.
        let probe = path.with_file_name("4913");
        drop(OpenOptions::new().write(true).create_new(true).open(&probe).unwrap());
        fs::remove_file(&probe).unwrap();
        let backup = path.with_file_name("file~");
        fs::rename(path, &backup).unwrap();
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.sync_all().unwrap();
        drop(file);
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(&backup).unwrap();
    });
}

#[test]
fn saved_by_vs_code() {
    let watching = Watching::new();
    watching.saved_by(|path, text| {
        let mut file = File::create(path).unwrap();
        for byte in text.as_bytes() {
            file.write_all(&[*byte]).unwrap();
        }
    });
}

#[test]
fn saved_by_emacs() {
    let watching = Watching::new();
    fs::write(watching.path("src/file"), "zero").unwrap();
    watching.saved_by(|path, text| {
        let lock = path.with_file_name(".#file");
        symlink("somebody@somewhere.1:2", &lock).unwrap();
        fs::rename(path, path.with_file_name("file~")).unwrap();
        let mut file = OpenOptions::new().write(true).create_new(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        drop(file);
        fs::remove_file(&lock).unwrap();
    });
}

#[test]
fn saved_by_sed() {
    let watching = Watching::new();
    fs::write(watching.path("src/file"), "zero").unwrap();
    watching.saved_by(|path, text| {
        let new = path.with_file_name("sedAbCdEf");
        fs::write(&new, text).unwrap();
        fs::rename(&new, path).unwrap();
    });
}

#[test]
fn a_checkout_of_another_branch_is_seen_whole() {
    let watching = Watching::new();
    let dir = watching.path("src");
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=one", "-C"])
            .arg(&dir)
            .args(arguments)
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    };
    git(&["init", "-q"]);
    for (branch, names) in [("one", 0..300), ("two", 150..450)] {
        git(&["checkout", "-q", "-B", branch]);
        for name in 0..450 {
            let file = dir.join(format!("d{}/e{}/{name}", name % 20, name % 7));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            if names.contains(&name) {
                fs::write(&file, format!("{branch} {name}")).unwrap();
            } else if file.exists() {
                fs::remove_file(&file).unwrap();
            }
        }
        git(&["add", "-A"]);
        git(&["commit", "-qm", branch]);
    }
    let paths: BTreeSet<PathBuf> =
        (0..450).step_by(9).map(|name| dir.join(format!("d{}/e{}/{name}", name % 20, name % 7))).collect();
    for branch in ["one", "two", "one"] {
        git(&["checkout", "-q", branch]);
        assert_eq!(answers(&dir, &paths), cold(&dir, &paths), "{branch}");
        let first = paths.iter().find(|path| path.exists()).unwrap();
        assert!(state(first).starts_with("file "));
    }
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_watched_again() {
    let watching = Watching::new();
    for round in 0..20 {
        fs::create_dir_all(watching.path("src/a/b/c")).unwrap();
        fs::write(watching.path("src/a/b/c/x"), format!("{round}")).unwrap();
        assert_eq!(watching.state("src/a/b/c/x"), format!("file {round}"));
        fs::write(watching.path("src/a/b/c/x"), format!("{round}!")).unwrap();
        assert_eq!(watching.state("src/a/b/c/x"), format!("file {round}!"));
        watching.told_of("src/a/b/c/x");
        if round % 2 == 0 {
            fs::remove_dir_all(watching.path("src/a")).unwrap();
        } else {
            fs::rename(watching.path("src/a"), watching.path("src/b")).unwrap();
            assert_eq!(watching.state("src/b/b/c/x"), format!("file {round}!"));
            fs::write(watching.path("src/b/b/c/x"), "moved").unwrap();
            assert_eq!(watching.state("src/b/b/c/x"), "file moved");
            fs::remove_dir_all(watching.path("src/b")).unwrap();
        }
        assert_eq!(watching.state("src/a/b/c/x"), "NotFound");
    }
}

#[test]
fn a_root_may_come_and_go() {
    let watching = Watching::of("late/root", |watch| watch);
    assert_eq!(watching.state("late/root/x"), "NotFound");
    for round in ["one", "two", "three"] {
        fs::create_dir_all(watching.path("late/root")).unwrap();
        fs::write(watching.path("late/root/x"), round).unwrap();
        assert_eq!(watching.state("late/root/x"), format!("file {round}"));
        watching.told_of("late/root/x");
        fs::write(watching.path("late/root/x"), "again").unwrap();
        assert_eq!(watching.state("late/root/x"), "file again");
        watching.told_of("late/root/x");
        // By a directory above it, of which the root itself knows nothing.
        fs::rename(watching.path("late"), watching.path(round)).unwrap();
        assert_eq!(watching.state("late/root/x"), "NotFound");
    }
}

#[test]
fn the_callback_makes_calls_and_what_comes_meanwhile_waits_for_its_next_turn() {
    let project = Project::new();
    let file = project.root().canonicalize().unwrap().join("x");
    fs::write(&file, "0").unwrap();
    let (send, seen) = channel();
    let (path, cache) = (file.clone(), project.cache.clone());
    let watcher = fleche::watch([project.root()], move |changes| {
        if changes.concern(&path) {
            let before = cache.stats();
            let now = state(&path);
            if now == "file 1" {
                fs::write(&path, "2").unwrap();
            }
            send.send((now, (cache.stats() - before).ran)).unwrap();
        }
    })
    .unwrap();
    fs::write(&file, "1").unwrap();
    let next = || seen.recv_timeout(Duration::from_secs(20)).unwrap();
    while next() != ("file 1".into(), 1) {}
    while next() != ("file 2".into(), 1) {}
    drop(watcher);
    fs::write(&file, "3").unwrap();
    assert!(seen.recv_timeout(Duration::from_secs(1)).is_err());
}

#[test]
fn a_cache_does_not_wake_its_own_watcher() {
    let project = Project::new();
    let file = project.write("x", "0");
    let (send, told) = channel();
    let _watcher = fleche::watch([project.root()], move |changes| drop(send.send(changes.clone()))).unwrap();
    assert_eq!(state(&file), "file 0");
    project.write("y", "0");
    let changes = told.recv_timeout(Duration::from_secs(20)).unwrap();
    let paths: Vec<_> = changes.paths().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(paths, ["y"]);
}

#[test]
fn an_ignore_file_above_a_walk_counts_wherever_the_watch_begins() {
    #[fleche]
    fn kept(dir: &Path) -> Vec<String> {
        let walk = fleche::fs::walk(dir).git_ignore(true);
        walk.into_iter().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
    let project = Project::new();
    let root = project.root().canonicalize().unwrap();
    let base = root.join("repository/base");
    fs::create_dir_all(&base).unwrap();
    for name in ["a", "b"] {
        fs::write(base.join(name), name).unwrap();
    }
    for watched in [&base, &root.join("repository")] {
        let _watcher = Watch::new([watched]).start(|_| ()).unwrap();
        fs::write(root.join("repository/.gitignore"), "").unwrap();
        assert_eq!(kept(&base), ["a", "b"]);
        assert_eq!(kept(&base), ["a", "b"]);
        fs::write(root.join("repository/.gitignore"), "b").unwrap();
        assert_eq!(kept(&base), ["a"], "watching {}", watched.display());
    }
}
