//! Inputs that the program sets: what depends on them is marked at once, and nothing mixes old and new.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

use common::Project;
use fleche::{Input, fleche};

#[test]
fn only_what_depends_on_it_runs_again() {
    static LEFT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("named.rs left", 1).unwrap());
    static RIGHT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("named.rs right", 2).unwrap());
    #[fleche]
    fn left(n: u64) -> u64 {
        n + *LEFT.get() % 10
    }
    #[fleche]
    fn right(n: u64) -> u64 {
        n + *RIGHT.get()
    }
    #[fleche]
    fn both(n: u64) -> u64 {
        left(n) * 100 + right(n)
    }
    let mut project = Project::new();
    assert_eq!(both(0), 102);
    project.log();
    assert_eq!(both(0), 102);
    assert!(!RIGHT.set(2).unwrap());
    assert_eq!(both(0), 102);
    assert!(RIGHT.set(3).unwrap());
    assert_eq!(both(0), 103);
    assert_eq!(
        project.log(),
        ["both(0): hit", "both(0): hit", "right(0): ran", "left(0): hit", "both(0): ran"],
        "the body of both asks for left, which needs no verification"
    );
    LEFT.set(11).unwrap();
    assert_eq!(both(0), 103);
    assert_eq!(project.log(), ["left(0): ran, unchanged", "both(0): cut off"]);
    project.restart();
    project.log();
    assert_eq!(both(0), 103);
    RIGHT.set(2).unwrap();
    assert_eq!(both(0), 102);
    assert!(!project.log().iter().any(|event| event.contains("ran")), "a later process hits, old values too");
}

#[test]
fn a_running_call_sees_one_value_throughout() {
    static TEXT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("named.rs text", 1).unwrap());
    static STEPS: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    static RUNS: AtomicU64 = AtomicU64::new(0);
    #[fleche]
    fn seen(n: u64) -> u64 {
        n + *TEXT.get()
    }
    #[fleche]
    fn twice(n: u64) -> (u64, u64) {
        let first = seen(n);
        if RUNS.fetch_add(1, Ordering::SeqCst) == 0 {
            // Another thread of the program sets it while this call runs; it must not have to wait.
            std::thread::spawn(|| TEXT.set(7).unwrap()).join().unwrap();
        }
        let second = *TEXT.get();
        STEPS.lock().unwrap().push(first);
        (first, second)
    }
    let _project = Project::new();
    assert_eq!(seen(0), 1);
    assert_eq!(twice(0), (7, 7));
    assert_eq!(*STEPS.lock().unwrap(), [1, 7], "the spoilt run started over");
    assert!(twice::contains(0));
}
