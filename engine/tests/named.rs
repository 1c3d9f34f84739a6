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

#[test]
fn a_call_whose_inputs_are_set_all_the_time_ends_with_one_picture() {
    static LEFT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("named.rs busy left", 0).unwrap());
    static RIGHT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("named.rs busy right", 0).unwrap());
    static RUNS: AtomicU64 = AtomicU64::new(0);
    fn both_are_set() {
        let n = RUNS.fetch_add(1, Ordering::SeqCst) + 1;
        std::thread::spawn(move || (LEFT.set(n).unwrap(), RIGHT.set(n).unwrap())).join().unwrap();
    }
    #[fleche(hash_code = false)]
    fn right(n: u64) -> u64 {
        n + *RIGHT.get()
    }
    #[fleche(hash_code = false)]
    fn kept(n: u64) -> (u64, u64) {
        let left = *LEFT.get();
        both_are_set();
        (left, right(n))
    }
    #[fleche(hash_code = false)]
    fn failing(n: u64) -> Result<u64, (u64, u64)> {
        let left = *LEFT.get();
        both_are_set();
        Err((left, right(n)))
    }
    #[fleche(hash_code = false)]
    fn panicking(n: u64) -> u64 {
        let left = *LEFT.get();
        both_are_set();
        std::panic::resume_unwind(Box::new((left, right(n))))
    }
    #[fleche(hash_code = false)]
    fn refusing(n: u64) -> Result<u64, String> {
        Err(n.to_string())
    }
    #[fleche(hash_code = false)]
    fn swallowing(n: u64) -> (u64, u64) {
        refusing(n).unwrap_err();
        failing(n).unwrap_err()
    }
    let _project = Project::new();
    let panicked =
        |n| *std::panic::catch_unwind(|| panicking(n)).unwrap_err().downcast::<(u64, u64)>().unwrap();
    // An input that the graph has met, and one that it has not.
    for n in [0, 0, 0] {
        for (what, (left, right)) in [
            ("kept", kept(n)),
            ("a view", {
                let view = kept::view(n);
                (view.0.to_native(), view.1.to_native())
            }),
            ("failing", failing(n).unwrap_err()),
            ("a failing view", failing::view(n).unwrap_err()),
            ("swallowing", swallowing(n)),
            ("panicking", panicked(n)),
        ] {
            assert_eq!(left, right, "{what}");
        }
    }
    // It was kept as what it is, a result of values that are gone.
    let (left, _) = kept(0);
    LEFT.set(left).unwrap();
    RIGHT.set(left).unwrap();
    assert!(kept::contains(0));
}

#[test]
fn a_call_that_cannot_be_made_again_keeps_the_values_that_inputs_had() {
    type Seen = (u64, u64, u64);
    type Asked = (&'static str, fn() -> Seen);

    #[derive(serde::Serialize)]
    struct Opaque(u64);

    static LEFT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("named.rs once left", 0).unwrap());
    static RIGHT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("named.rs once right", 0).unwrap());
    static RUNS: AtomicU64 = AtomicU64::new(0);
    #[fleche(hash_code = false)]
    fn right() -> u64 {
        *RIGHT.get()
    }
    /// What it sees of both, of which one is set before and after it looks.
    fn seen() -> Seen {
        let n = RUNS.fetch_add(1, Ordering::SeqCst) + 1;
        let left = *LEFT.get();
        std::thread::spawn(move || (LEFT.set(n).unwrap(), RIGHT.set(n).unwrap())).join().unwrap();
        (left, right(), *LEFT.get())
    }
    #[fleche(hash_code = false, ignore = ["loud"])]
    fn ignoring(n: u64, loud: bool) -> Seen {
        let _ = (n, loud);
        seen()
    }
    #[fleche(hash_code = false)]
    fn generic<T>(n: u64) -> Seen {
        let _ = n;
        seen()
    }
    #[fleche(hash_code = false)]
    fn opaque(n: Opaque) -> Seen {
        let _ = n.0;
        seen()
    }
    #[fleche(hash_code = false)]
    fn opaque_referent(n: &Opaque) -> Seen {
        let _ = n.0;
        seen()
    }
    let _project = Project::new();
    let calls: [Asked; 4] = [
        ("an argument is not kept", || ignoring(1, true)),
        ("its name is not its own", || generic::<u8>(2)),
        ("an argument cannot be restored", || opaque(Opaque(3))),
        ("nor what one refers to", || opaque_referent(&Opaque(4))),
    ];
    // The inputs are made when they are first asked for, which for a call that began before is a change.
    assert_eq!((*LEFT.get(), *RIGHT.get()), (0, 0));
    for (now, (what, call)) in (0..).zip(calls.iter().cycle().take(12)) {
        assert_eq!(call(), (now, now, now), "{what}");
        assert_eq!(RUNS.load(Ordering::SeqCst), now + 1, "{what}");
        assert_eq!((*LEFT.get(), right()), (now + 1, now + 1), "{what}: it is another one now");
    }
}

#[test]
fn a_held_picture_keeps_the_values_that_inputs_had() {
    let input: Input<u64> = Input::new("named.rs held", 1).unwrap();
    thread_local! {
        static INPUT: std::cell::RefCell<Option<Input<u64>>> = const { std::cell::RefCell::new(None) };
    }
    fn read() -> u64 {
        INPUT.with_borrow(|input| *input.as_ref().unwrap().get())
    }
    #[fleche(hash_code = false)]
    fn inner(n: u64) -> u64 {
        n + read()
    }
    #[fleche(hash_code = false)]
    fn outer(n: u64) -> (u64, u64) {
        (inner(n), read())
    }
    let project = Project::new();
    INPUT.set(Some(input.clone()));
    fleche::frozen(|| {
        // The graph has not met the input, so it is not told.
        input.set(2).unwrap();
        assert_eq!(inner(0), 1);
        assert_eq!(inner(0), 1);
        assert_eq!(project.log(), ["inner(0): ran"], "known in this picture from then on");
    });
    assert_eq!(inner(0), 2, "nothing of an older picture stays in the graph");
    assert_eq!(inner(0), 2);

    let other: Input<u64> = Input::new("named.rs held too", 1).unwrap();
    INPUT.set(Some(other.clone()));
    fleche::frozen(|| {
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _scope = fleche::cache(&project.cache).unwrap();
                other.set(7).unwrap();
                INPUT.set(Some(other.clone()));
                assert_eq!(inner(5), 12, "the graph has the new value from here on");
            });
        });
        assert_eq!(outer(5), (6, 1), "and this picture does not use it");
        assert_eq!(outer(5), (6, 1));
    });
    assert_eq!(outer(5), (12, 7));
}
