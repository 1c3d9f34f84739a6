//! What can only be seen from inside: that looks are spared, and what happens when events come late or are lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Changes, Eyes, Watch, Watcher, linux};
use crate::Cache;
use crate::dynamic::{Function, How};

struct Watched {
    dir: tempfile::TempDir,
    watcher: Watcher,
    changes: Receiver<Changes>,
    _scope: crate::Scope,
}

impl Watched {
    fn new(describe: impl FnOnce(Watch) -> Watch) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("a"), "1").unwrap();
        let scope = crate::cache(Cache::memory()).unwrap();
        let (send, changes) = channel();
        let watcher = describe(Watch::new([&root]))
            .start(move |changes| {
                let _ = send.send(changes.clone());
            })
            .unwrap();
        Self { dir, watcher, changes, _scope: scope }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn eyes(&self) -> &linux::Eyes {
        match &self.watcher.eyes {
            Eyes::Inotify(eyes, _) => eyes,
            Eyes::Polling(_) => panic!("there is no inotify here"),
        }
    }

    /// The file's content as a cached call has it.
    fn read(&self, name: &str) -> String {
        read(&self.path(name))
    }

    /// The first batch that is about the path.
    fn told(&self, name: &str) -> Changes {
        loop {
            let changes = self.changes.recv_timeout(Duration::from_secs(20)).expect("a change is told");
            if changes.concern(self.path(name)) {
                return changes;
            }
        }
    }
}

/// On a thread that permissions hold for, whoever runs the tests.
fn unprivileged(f: impl FnOnce() + Send) {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, sets).unwrap();
            f();
        });
        thread.join().unwrap();
    });
}

fn read(path: &Path) -> String {
    let function = Function::new("read", "", "watch tests", crate::CodeDigest::new(crate::Digest::of(b"")));
    let body = || Ok::<_, ()>(crate::fs::read_to_string(path).unwrap_or_else(|error| error.to_string()));
    let (text, _): (String, How) =
        function.argument("path", path.as_os_str().as_encoded_bytes()).call(body).unwrap();
    text
}

#[test]
fn what_is_covered_is_not_looked_at_and_what_changed_is() {
    let watched = Watched::new(|watch| watch.prompt(false));
    assert_eq!(watched.read("a"), "1");
    assert_eq!(watched.read("a"), "1");
    {
        // While no event is taken in, the change is not known, and the file not looked at.
        let _closed = watched.eyes().pause();
        fs::write(watched.path("a"), "2").unwrap();
        assert_eq!(watched.read("a"), "1");
    }
    watched.watcher.catch_up();
    assert_eq!(watched.read("a"), "2");
}

#[test]
fn a_prompt_watcher_is_never_behind() {
    let watched = Watched::new(|watch| watch);
    for round in 0..300 {
        let text = round.to_string();
        fs::write(watched.path("a"), &text).unwrap();
        assert_eq!(watched.read("a"), text);
    }
}

#[test]
fn links_shared_files_and_skipped_directories_are_looked_at() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x"), "1").unwrap();
    fs::create_dir(outside.path().join("d")).unwrap();
    fs::write(outside.path().join("d/y"), "1").unwrap();
    let watched = Watched::new(|watch| watch.prompt(false).skip(|path| path.ends_with("skipped")));
    std::os::unix::fs::symlink(outside.path().join("x"), watched.path("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("d"), watched.path("dir")).unwrap();
    fs::hard_link(outside.path().join("x"), watched.path("shared")).unwrap();
    fs::create_dir(watched.path("skipped")).unwrap();
    fs::write(watched.path("skipped/z"), "1").unwrap();
    fs::create_dir_all(watched.path("b")).unwrap();
    watched.watcher.catch_up();
    let names = ["link", "dir/y", "shared", "skipped/z", "b/../link"];
    for text in ["1", "2", "3"] {
        fs::write(outside.path().join("x"), text).unwrap();
        fs::write(outside.path().join("d/y"), text).unwrap();
        fs::write(watched.path("skipped/z"), text).unwrap();
        for name in names {
            // Twice, so that it would be held if it could be.
            assert_eq!((watched.read(name), watched.read(name)), (text.into(), text.into()), "{name}");
        }
    }
}

#[test]
fn an_overflowed_queue_loses_nothing() {
    let watched = Watched::new(|watch| watch.prompt(false));
    assert_eq!(watched.read("a"), "1");
    assert_eq!(watched.read("new/b"), "No such file or directory (os error 2)");
    let most: usize =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    {
        let _closed = watched.eyes().pause();
        for _ in 0..=most / 2 {
            fs::write(watched.path("x"), "").unwrap();
            fs::remove_file(watched.path("x")).unwrap();
        }
        // Of these nothing can be told any more.
        fs::write(watched.path("a"), "2").unwrap();
        fs::create_dir(watched.path("new")).unwrap();
        fs::write(watched.path("new/b"), "2").unwrap();
    }
    watched.watcher.catch_up();
    assert_eq!((watched.read("a"), watched.read("new/b")), ("2".into(), "2".into()));
    while !watched.told("a").is_everything() {}
    // It sees again, in what it was never told of too.
    fs::write(watched.path("new/b"), "3").unwrap();
    watched.watcher.catch_up();
    assert_eq!(watched.read("new/b"), "3");
    assert!(watched.told("new/b").concern(watched.path("new/b")));
}

#[test]
fn directories_without_a_watch_are_polled_and_looked_at() {
    let watched =
        Watched::new(|watch| watch.prompt(false).most_watches(30).poll_every(Duration::from_millis(50)));
    let deep = |n: usize| format!("d{n}/e");
    for n in 0..40 {
        fs::create_dir_all(watched.path(&deep(n))).unwrap();
        watched.watcher.catch_up();
    }
    assert!(watched.watcher.watched_directories() <= 30);
    let polled = watched.watcher.polled();
    assert!(!polled.is_empty());
    for (n, text) in [(0, "1"), (39, "1"), (0, "2"), (39, "2")] {
        let name = format!("{}/x", deep(n));
        fs::write(watched.path(&name), text).unwrap();
        watched.watcher.catch_up();
        assert_eq!((watched.read(&name), watched.read(&name)), (text.into(), text.into()));
        watched.told(&name);
    }
}

/// Keeps the text of warnings.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<parking_lot::Mutex<Vec<String>>>);

impl tracing::field::Visit for Warnings {
    fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.lock().push(format!("{value:?}"));
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn whoever_runs_out_of_watches_is_told_once_what_to_type() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..20 {
        fs::create_dir(dir.path().join(n.to_string())).unwrap();
    }
    let (_scope, warnings) = (crate::cache(Cache::memory()).unwrap(), Warnings::default());
    let watcher = tracing::subscriber::with_default(warnings.clone(), || {
        Watch::new([dir.path()]).most_watches(5).start(|_| ()).unwrap()
    });
    assert!(watcher.polled().len() >= 15);
    let told = warnings.0.lock();
    assert!(told.len() == 1 && told[0].contains("`sysctl fs.inotify.max_user_watches="), "{told:?}");
}

#[test]
fn a_directory_that_may_not_be_listed_is_not_covered() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().canonicalize().unwrap().join("d");
    fs::create_dir(&d).unwrap();
    // What lies in it can be reached by its name all the same.
    fs::set_permissions(&d, fs::Permissions::from_mode(0o300)).unwrap();
    unprivileged(|| {
        let _scope = crate::cache(Cache::memory()).unwrap();
        let watcher = Watch::new([dir.path()]).prompt(false).start(|_| ()).unwrap();
        for text in ["1", "2", "3"] {
            fs::write(d.join("x"), text).unwrap();
            watcher.catch_up();
            assert_eq!((read(&d.join("x")), read(&d.join("x"))), (text.into(), text.into()));
        }
        assert_eq!(watcher.polled(), std::slice::from_ref(&d));
    });
    fs::set_permissions(&d, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn only_file_systems_that_are_known_to_tell_all_are_relied_on() {
    assert!(!linux::tells_all(Path::new("/proc/self")));
    assert!(!linux::tells_all(Path::new("/sys")));
    assert!(linux::tells_all(&tempfile::tempdir().unwrap().keep()));
}

#[test]
fn what_is_mounted_over_a_directory_is_seen() {
    const NAME: &str = "watch::tests::what_is_mounted_over_a_directory_is_seen";
    if std::env::var_os("FLECHE_TEST_MOUNTS").is_none() {
        // In a process that sees mounts of its own: every watcher of this one would look at everything again.
        if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: mounting is not permitted");
            return;
        }
        let test = std::env::current_exe().unwrap();
        let mut command = Command::new("unshare");
        command.arg("-m").arg(test).args(["--exact", NAME]).env("FLECHE_TEST_MOUNTS", "1");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let watched = Watched::new(|watch| watch);
    let told_of_everything = || while !watched.told("d/x").is_everything() {};
    fs::create_dir(watched.path("d")).unwrap();
    fs::write(watched.path("d/x"), "below").unwrap();
    assert_eq!((watched.read("d/x"), watched.read("d/x")), ("below".into(), "below".into()));
    let mount = |program: &mut Command| assert!(program.status().unwrap().success());
    mount(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(watched.path("d")));
    told_of_everything();
    assert!(watched.read("d/x").contains("No such file"));
    fs::write(watched.path("d/x"), "over").unwrap();
    assert_eq!((watched.read("d/x"), watched.read("d/x")), ("over".into(), "over".into()));
    mount(Command::new("umount").arg("-l").arg(watched.path("d")));
    told_of_everything();
    assert_eq!(watched.read("d/x"), "below");
}

#[test]
fn of_a_directory_that_appears_all_that_is_in_it_is_told() {
    let (watched, elsewhere) = (Watched::new(|watch| watch), tempfile::tempdir().unwrap());
    fs::create_dir_all(elsewhere.path().join("d/e")).unwrap();
    fs::write(elsewhere.path().join("d/e/x"), "1").unwrap();
    fs::rename(elsewhere.path().join("d"), watched.path("d")).unwrap();
    let changes = watched.told("d");
    let paths: Vec<PathBuf> = changes.paths().map(Path::to_path_buf).collect();
    assert_eq!(paths, ["d", "d/e", "d/e/x"].map(|name| watched.path(name)));
}

#[test]
fn of_what_is_skipped_and_of_caches_nothing_is_told() {
    let watched = Watched::new(|watch| watch.skip(|path| path.ends_with("skipped")));
    fs::create_dir(watched.path(".fleche")).unwrap();
    fs::create_dir(watched.path("skipped")).unwrap();
    watched.watcher.catch_up();
    fs::write(watched.path("skipped/z"), "1").unwrap();
    fs::write(watched.path(".fleche/z"), "1").unwrap();
    fs::write(watched.path("a"), "2").unwrap();
    loop {
        let changes = watched.changes.recv_timeout(Duration::from_secs(20)).expect("a change is told");
        let a = watched.path("a");
        assert!(changes.paths().all(|path| path == a), "{changes:?}");
        if changes.concern(&a) {
            break;
        }
    }
}

#[test]
fn a_file_is_looked_at_again_once_nobody_watches() {
    let watched = Watched::new(|watch| watch.prompt(false));
    let path = watched.path("a");
    assert_eq!((read(&path), read(&path)), ("1".into(), "1".into()));
    let Watched { dir: _dir, watcher, _scope, .. } = watched;
    drop(watcher);
    fs::write(&path, "2").unwrap();
    assert_eq!(read(&path), "2");
}

#[test]
fn a_picture_that_used_an_input_unseen_does_not_take_its_new_content_too() {
    let watched = Watched::new(|watch| watch.prompt(false));
    let path = watched.path("a");
    let both = || {
        let function =
            Function::new("both", "", "watch tests", crate::CodeDigest::new(crate::Digest::of(b"")));
        let mut first = true;
        function
            .rerun::<String, ()>(|| {
                let nested = read(&path);
                if std::mem::take(&mut first) {
                    fs::write(&path, "2").unwrap();
                    watched.watcher.catch_up();
                }
                let own = crate::fs::read_to_string(&path).unwrap();
                Ok(nested + &own)
            })
            .unwrap()
    };
    read(&path);
    assert_eq!(read(&path), "1");
    let (text, how) = both();
    assert_eq!((text.as_str(), how), ("12", How::Ran { recorded: false }));
}

#[test]
fn an_overlay_shows_through_what_is_covered() {
    let watched = Watched::new(|watch| watch.prompt(false));
    assert_eq!((watched.read("a"), watched.read("a")), ("1".into(), "1".into()));
    let overlay = crate::current_cache().overlay();
    overlay.set(watched.path("a"), "2").unwrap();
    assert_eq!((watched.read("a"), watched.read("a")), ("2".into(), "2".into()));
    overlay.set(watched.path("a"), "3").unwrap();
    assert_eq!(watched.read("a"), "3");
    overlay.clear();
    assert_eq!(watched.read("a"), "1");
}

#[test]
fn another_name_for_a_file_is_noticed() {
    let watched = Watched::new(|watch| watch.prompt(false));
    assert_eq!((watched.read("a"), watched.read("a")), ("1".into(), "1".into()));
    fs::hard_link(watched.path("a"), watched.path("b")).unwrap();
    watched.watcher.catch_up();
    assert_eq!((watched.read("a"), watched.read("a")), ("1".into(), "1".into()));
    fs::write(watched.path("b"), "2").unwrap();
    watched.watcher.catch_up();
    assert_eq!(watched.read("a"), "2");
}

#[test]
fn inputs_are_met_while_others_are_marked() {
    let watched = Watched::new(|watch| watch);
    let (root, marked) = (watched.path(""), watched.path("a/inner"));
    // A lock taken in another order on one side than on the other hangs here.
    std::thread::scope(|threads| {
        threads.spawn(|| (0..2000).for_each(|_| crate::marks::mark([marked.as_path()])));
        for n in 0..2000 {
            crate::input::Input::File(root.join(format!("met {n}"))).id();
            crate::input::Input::File(root.join("a")).id();
        }
    });
}

#[test]
fn a_value_that_the_program_sets_is_numbered_like_any_other_input() {
    let _watched = Watched::new(|watch| watch);
    let input = crate::input::Input::Named("numbered".into()).id();
    // The marks are a list with a place for each number.
    assert!(input.is_told() && input.number() < 1 << 24, "{}", input.number());
}
