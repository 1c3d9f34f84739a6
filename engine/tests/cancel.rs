//! Calls that are cancelled: only where the host asks for it, only what depends on the change, and without a trace.
#![cfg(target_os = "linux")]

mod common;

use std::cell::{Cell, RefCell};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use common::Project;
use fleche::{Cancelled, Watch, Watcher, cancellable, fleche};
use parking_lot::Mutex;

/// How long a body that is not cancelled waits at most; those that should be wait longer than any test may take.
const MOMENT: Duration = Duration::from_millis(300);
const FOR_EVER: Duration = Duration::from_secs(60);

type Lingering = (Box<dyn FnOnce()>, Duration);

thread_local! {
    /// What the next body that lingers does first, and how long it stays.
    static LINGER: Cell<Option<Lingering>> = const { Cell::new(None) };
}

/// Passes checkpoints for as long as the test has asked for.
fn linger() {
    let Some((act, time)) = LINGER.take() else { return };
    act();
    let start = Instant::now();
    while start.elapsed() < time {
        fleche::checkpoint();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(time < FOR_EVER, "it was not cancelled");
}

fn next_lingers(time: Duration, act: impl FnOnce() + 'static) {
    LINGER.set(Some((Box::new(act), time)));
}

#[fleche]
fn text(path: &Path) -> String {
    fleche::fs::read_to_string(path).unwrap_or_default()
}

#[fleche]
fn slow(path: &Path) -> String {
    let text = fleche::fs::read_to_string(path).unwrap_or_default();
    linger();
    text
}

/// Uses a file through another call.
#[fleche]
fn above(path: &Path) -> String {
    let text = text(path);
    linger();
    text + "!"
}

struct Watching {
    project: Project,
    _watcher: Watcher,
}

impl Watching {
    fn new() -> Self {
        let project = Project::new();
        for name in ["a", "b"] {
            project.write(name, "1");
        }
        let watcher = Watch::new([project.root()]).start(|_| ()).unwrap();
        Self { project, _watcher: watcher }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.project.root().canonicalize().unwrap().join(name)
    }
}

#[test]
fn a_call_whose_input_changes_is_cancelled_and_nothing_of_it_is_kept() {
    let watching = Watching::new();
    let a = watching.path("a");
    let file = a.clone();
    next_lingers(FOR_EVER, move || fs::write(file, "2").unwrap());
    assert_eq!(cancellable(|| slow(&a)), Err(Cancelled));
    let stats = watching.project.cache.stats();
    assert_eq!((stats.cancelled, stats.ran, stats.uncached), (1, 0, 0));
    assert!(!slow::contains(&a));
    fs::write(&a, "1").unwrap();
    assert!(!slow::contains(&a));
    fs::write(&a, "2").unwrap();
    assert_eq!(cancellable(|| slow(&a)), Ok("2".into()));
    assert_eq!(slow(&a), "2");
    assert_eq!(watching.project.cache.stats().ran, 1);
}

/// Or the process would end: a destructor must not unwind while something unwinds.
#[test]
fn a_destructor_that_reads_as_its_body_is_cancelled_does_not_unwind_too() {
    struct Closing(PathBuf);
    impl Drop for Closing {
        fn drop(&mut self) {
            fleche::checkpoint();
            CLOSED.with_borrow_mut(|closed| closed.push(fleche::fs::read_to_string(&self.0).unwrap()));
        }
    }
    thread_local! {
        static CLOSED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }
    #[fleche]
    fn closing(path: &Path) -> String {
        let _closing = Closing(path.to_path_buf());
        let text = fleche::fs::read_to_string(path).unwrap_or_default();
        linger();
        text
    }
    let watching = Watching::new();
    let a = watching.path("a");
    let file = a.clone();
    next_lingers(FOR_EVER, move || fs::write(file, "2").unwrap());
    assert_eq!(cancellable(|| closing(&a)), Err(Cancelled));
    assert!(!closing::contains(&a));
    assert_eq!(cancellable(|| closing(&a)), Ok("2".into()));
    // What a body reads as it unwinds is nobody's result.
    assert_eq!(CLOSED.take().len(), 2);
}

#[test]
fn without_asking_nothing_is_cancelled() {
    let watching = Watching::new();
    let a = watching.path("a");
    let file = a.clone();
    next_lingers(MOMENT, move || fs::write(file, "2").unwrap());
    assert_eq!(slow(&a), "1");
}

#[test]
fn what_is_unrelated_or_only_touched_cancels_nothing() {
    let watching = Watching::new();
    let (a, b) = (watching.path("a"), watching.path("b"));
    assert_eq!((text(&b), text(&b)), ("1".into(), "1".into()));
    let (again, other) = (a.clone(), b.clone());
    next_lingers(MOMENT, move || {
        fs::write(again, "1").unwrap();
        fs::write(other, "2").unwrap();
    });
    assert_eq!(cancellable(|| slow(&a)), Ok("1".into()));
    assert_eq!(watching.project.cache.stats().cancelled, 0);
}

#[test]
fn an_input_that_was_used_without_a_look_counts() {
    let watching = Watching::new();
    let a = watching.path("a");
    // Held by the watcher: the nested call is a hit that looks at nothing.
    assert_eq!((text(&a), text(&a)), ("1".into(), "1".into()));
    let file = a.clone();
    next_lingers(FOR_EVER, move || fs::write(file, "2").unwrap());
    assert_eq!(cancellable(|| above(&a)), Err(Cancelled));
    assert_eq!(cancellable(|| above(&a)), Ok("2!".into()));
    // Written, but with what it held before.
    let b = watching.path("b");
    assert_eq!((text(&b), text(&b)), ("1".into(), "1".into()));
    let file = b.clone();
    next_lingers(MOMENT, move || fs::write(file, "1").unwrap());
    assert_eq!(cancellable(|| above(&b)), Ok("1!".into()));
}

#[test]
fn a_body_cannot_cancel_what_it_does_itself() {
    #[fleche]
    fn within(path: &Path) -> String {
        let text = cancellable(|| {
            let text = fleche::fs::read_to_string(path).unwrap_or_default();
            linger();
            text
        });
        text.unwrap_or_else(|cancelled| cancelled.to_string())
    }
    let watching = Watching::new();
    let a = watching.path("a");
    let file = a.clone();
    next_lingers(MOMENT, move || fs::write(file, "2").unwrap());
    assert_eq!(within(&a), "1");
    assert_eq!(within(&a), "2");
}

#[test]
fn a_call_that_is_run_to_verify_its_caller_is_cancelled_as_well() {
    #[fleche]
    fn outer(path: &Path) -> String {
        slow(path) + "?"
    }
    let watching = Watching::new();
    let a = watching.path("a");
    assert_eq!(outer(&a), "1?");
    fs::write(&a, "2").unwrap();
    let file = a.clone();
    next_lingers(FOR_EVER, move || fs::write(file, "3").unwrap());
    assert_eq!(cancellable(|| outer(&a)), Err(Cancelled));
    let stats = watching.project.cache.stats();
    // Only the nested call had begun: to be cancelled is no answer that would make its caller stale.
    assert_eq!((stats.cancelled, stats.uncached, stats.ran), (1, 0, 2));
    assert_eq!(outer(&a), "3?");
}

#[test]
fn a_body_that_swallows_it_is_not_kept_and_is_cancelled_all_the_same() {
    #[fleche]
    fn stubborn(path: &Path) -> String {
        catch_unwind(AssertUnwindSafe(|| slow(path))).unwrap_or_else(|_| "swallowed".into())
    }
    #[fleche]
    fn at_once(path: &Path) -> String {
        let text = fleche::fs::read_to_string(path).unwrap_or_default();
        catch_unwind(AssertUnwindSafe(linger)).map_or_else(|_| "swallowed".into(), |()| text)
    }
    let watching = Watching::new();
    let a = watching.path("a");
    for (n, call) in [stubborn as fn(&Path) -> String, at_once].into_iter().enumerate() {
        let (file, content) = (a.clone(), format!("new {n}"));
        let written = content.clone();
        next_lingers(FOR_EVER, move || fs::write(file, written).unwrap());
        assert_eq!(cancellable(|| call(&a)), Err(Cancelled));
        assert_eq!(call(&a), content);
    }
}

#[test]
fn whoever_waits_for_a_cancelled_call_makes_it_itself() {
    static OTHER: Mutex<Option<Sender<()>>> = Mutex::new(None);
    static LEFT: AtomicUsize = AtomicUsize::new(1);
    #[fleche]
    fn shared(path: &Path) -> String {
        let text = fleche::fs::read_to_string(path).unwrap_or_default();
        if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            OTHER.lock().take().unwrap().send(()).unwrap();
            std::thread::sleep(MOMENT);
            fs::write(path, "2").unwrap();
            next_lingers(FOR_EVER, || ());
            linger();
        }
        text
    }
    let watching = Watching::new();
    let (a, cache) = (watching.path("a"), watching.project.cache.clone());
    let (send, began) = channel();
    *OTHER.lock() = Some(send);
    let waiter = std::thread::spawn({
        let a = a.clone();
        move || {
            let _scope = fleche::cache(cache).unwrap();
            began.recv().unwrap();
            shared(&a)
        }
    });
    assert_eq!(cancellable(|| shared(&a)), Err(Cancelled));
    // Its picture may be from before the change, but it is one: what it made it made by itself.
    let answer = waiter.join().unwrap();
    assert!(["1", "2"].contains(&&*answer), "{answer}");
    assert_eq!(shared(&a), "2");
}

#[test]
fn branches_are_cancelled_too() {
    #[fleche]
    fn many(paths: Vec<PathBuf>) -> Vec<String> {
        fleche::par_map(paths, |path| {
            let text = fleche::fs::read_to_string(&path).unwrap_or_default();
            if path.ends_with("a") && text == "1" {
                fs::write(&path, "2").unwrap();
                next_lingers(FOR_EVER, || ());
                linger();
            }
            text
        })
    }
    let watching = Watching::new();
    let paths = vec![watching.path("b"), watching.path("a")];
    assert_eq!(cancellable(|| many(paths.clone())), Err(Cancelled));
    assert_eq!(cancellable(|| many(paths.clone())), Ok(vec!["1".to_owned(), "2".into()]));
}

#[test]
fn a_value_that_the_program_sets_cancels_what_uses_it() {
    thread_local! {
        static BUFFER: fleche::Input<u64> = fleche::Input::new("cancel.rs buffer", 1).unwrap();
    }
    #[fleche]
    fn doubled() -> u64 {
        let value = BUFFER.with(|buffer| *buffer.get());
        linger();
        value * 2
    }
    let _project = Project::new();
    assert_eq!(doubled(), 2);
    assert!(BUFFER.with(|buffer| buffer.set(3)).unwrap());
    next_lingers(FOR_EVER, || assert!(BUFFER.with(|buffer| buffer.set(2)).unwrap()));
    assert_eq!(cancellable(doubled), Err(Cancelled));
    assert_eq!(cancellable(doubled), Ok(4));
}

#[test]
fn a_picture_that_is_held_is_not_cancelled() {
    let watching = Watching::new();
    let a = watching.path("a");
    let file = a.clone();
    next_lingers(MOMENT, move || fs::write(file, "2").unwrap());
    assert_eq!(cancellable(|| fleche::frozen(|| slow(&a))), Ok("1".into()));
}

#[test]
fn panics_pass() {
    let panic = catch_unwind(|| cancellable(|| panic!("a panic of the host"))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"a panic of the host"));
    // Also if the call was cancelled before.
    let watching = Watching::new();
    let a = watching.path("a");
    let file = a.clone();
    next_lingers(FOR_EVER, move || fs::write(file, "2").unwrap());
    let panic = catch_unwind(|| {
        cancellable(|| {
            let _cancelled = catch_unwind(|| slow(&a));
            panic!("a panic of the host");
        })
    });
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"a panic of the host"));
}

#[test]
fn a_callback_starts_over_when_its_calls_are_cancelled() {
    let project = Project::new();
    let file = project.root().canonicalize().unwrap().join("x");
    fs::write(&file, "0").unwrap();
    let (send, seen): (_, Receiver<(String, bool)>) = channel();
    let (path, other) = (file.clone(), project.path("y"));
    let turns = AtomicUsize::new(0);
    let _watcher = Watch::new([project.root()])
        .cancel(true)
        .start(move |changes| {
            if turns.fetch_add(1, Ordering::SeqCst) == 0 {
                let path = path.clone();
                next_lingers(FOR_EVER, move || fs::write(path, "2").unwrap());
            }
            let result = slow(&path);
            send.send((result, changes.concern(&other))).unwrap();
        })
        .unwrap();
    project.write("y", "");
    // What it had been told the first time it is told again.
    assert_eq!(seen.recv_timeout(Duration::from_secs(20)).unwrap(), ("2".into(), true));
    assert_eq!(project.cache.stats().cancelled, 1);
}
