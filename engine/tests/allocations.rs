//! A hit allocates nothing. With an allocator that counts, each thread for itself.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;
use std::sync::LazyLock;

use common::Project;
use fleche::{Input, fleche};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that ends may allocate after its count is gone.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: all is left to the system's allocator; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocated(f: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    f();
    COUNT.get() - before
}

static INPUT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("allocations.rs", 1).unwrap());

#[fleche]
fn sum(a: u64, b: &str) -> u64 {
    a + b.len() as u64 + *INPUT.get()
}

#[fleche]
fn text(n: u64, path: &Path) -> String {
    format!("{n} {}", fleche::fs::read_to_string(path).unwrap_or_default())
}

#[fleche]
fn both(n: u64) -> (u64, u64) {
    let mut taken = (0, 0);
    // Runs them, then meets them again.
    for _ in 0..2 {
        let first = allocated(|| assert_eq!(sum(n, "abc"), n + 4));
        taken = (first, taken.0);
    }
    taken
}

#[test]
fn a_hit_allocates_nothing() {
    let project = Project::quiet();
    let file = project.write("a", "some text");
    assert_eq!(sum(1, "a word"), 8);
    let ran = project.cache.stats().ran;
    assert_eq!(allocated(|| assert_eq!(sum(1, "a word"), 8)), 0, "at top level");
    let (again, first) = both(5);
    assert!(first > 0, "this can count");
    assert_eq!(again, 0, "below a body");
    fleche::frozen(|| {
        assert_eq!(&*text::view(7, &file), "7 some text");
        assert_eq!(
            allocated(|| assert_eq!(&*text::view(7, &file), "7 some text")),
            0,
            "of a picture that is held"
        );
        assert!(allocated(|| assert_eq!(text(7, &file), "7 some text")) <= 1, "the result itself");
    });
    assert_eq!(project.cache.stats().ran, ran + 3);
}
