//! Chains of calls far deeper than a thread's stack: cold, verified in process, and from disk.
//!
//! `FLECHE_DEEP` sets the depth (4,000). With 1,000,000 build for release and allow some gigabytes of memory: the
//! bodies themselves lie on the stack, one above the other.

mod common;

use std::sync::LazyLock;

use common::Project;
use fleche::{Input, fleche};

static BOTTOM: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("deep bottom", 7).unwrap());

#[fleche(hash_code = false)]
fn chain(depth: u64) -> u64 {
    if depth == 0 { *BOTTOM.get() / 10 } else { chain(depth - 1) + 1 }
}

#[test]
fn a_deep_chain_runs_holds_and_comes_back() {
    let depth = std::env::var("FLECHE_DEEP").ok().and_then(|depth| depth.parse().ok()).unwrap_or(4_000);
    let mut project = Project::quiet();
    assert_eq!(chain(depth), depth);
    assert_eq!(project.cache.stats().ran, depth + 1);
    // Cut off at the bottom: what is above is verified by a walk, then by the short way.
    BOTTOM.set(8).unwrap();
    assert_eq!(chain(depth), depth);
    BOTTOM.set(9).unwrap();
    assert_eq!(chain(depth), depth);
    assert_eq!(project.cache.stats().ran, depth + 3);
    // Everything is stale, and each call is brought up to date for the one above.
    BOTTOM.set(10).unwrap();
    assert_eq!(chain(depth), depth + 1);
    assert_eq!(project.cache.stats().ran, 2 * depth + 4);
    project.restart_quietly();
    assert_eq!(chain(depth), depth + 1);
    assert_eq!(project.cache.stats().ran, 0, "all of it comes from disk");
    project.restart_quietly();
    BOTTOM.set(20).unwrap();
    assert_eq!(chain(depth), depth + 2);
    assert_eq!(project.cache.stats().ran, depth + 1);
}
