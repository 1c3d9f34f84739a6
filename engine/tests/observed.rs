//! The log of what ran: the stream that a display follows.

mod common;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::Project;
use fleche::{Input, fleche};

#[fleche]
fn words(path: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64)
}

#[fleche]
fn sum(a: &Path, b: &Path) -> io::Result<u64> {
    Ok(words(a)? + words(b)?)
}

fn follow(project: &Project) -> impl Fn() -> Vec<String> {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let (to, root) = (lines.clone(), format!("{}/", project.root().display()));
    project.cache.follow(move |progress| to.lock().unwrap().push(progress.to_string().replace(&root, "")));
    move || std::mem::take(&mut *lines.lock().unwrap())
}

#[test]
fn each_step_is_told_as_it_happens() {
    let project = Project::new();
    let steps = follow(&project);
    let (a, b) = (project.write("a", "one two"), project.write("b", "three"));
    sum(&a, &b).unwrap();
    assert_eq!(
        steps(),
        [
            r#"sum("a", "b"): began"#,
            r#"words("a"): began"#,
            r#"words("a"): stored, 8 bytes"#,
            r#"words("a"): ran"#,
            r#"words("b"): began"#,
            r#"words("b"): stored, 8 bytes"#,
            r#"words("b"): ran"#,
            r#"sum("a", "b"): stored, 8 bytes"#,
            r#"sum("a", "b"): ran"#,
        ]
    );
    project.write("b", "three four");
    sum(&a, &b).unwrap();
    assert_eq!(
        steps(),
        [
            r#"words("a"): hit"#,
            r#"words("b"): stale because b is different"#,
            r#"words("b"): began"#,
            r#"words("b"): stored, 8 bytes"#,
            r#"words("b"): ran"#,
            r#"sum("a", "b"): stale because the result of words("b") is different"#,
            r#"sum("a", "b"): began"#,
            r#"sum("a", "b"): stored, 8 bytes"#,
            r#"sum("a", "b"): ran"#,
        ]
    );
    project.write("b", "four five");
    sum(&a, &b).unwrap();
    let told = steps();
    assert_eq!(told.last().unwrap(), r#"sum("a", "b"): cut off"#);
    assert!(!told.iter().any(|line| line.starts_with("sum") && line.contains("stale")), "{told:?}");
}

#[test]
fn why_something_is_stale() {
    thread_local! {
        static NUMBER: Input<u64> = Input::new("observed.rs", 1).unwrap();
    }
    #[fleche]
    fn twice(factor: u64) -> u64 {
        NUMBER.with(|number| *number.get()) * factor
    }
    let project = Project::new();
    let steps = follow(&project);
    twice(2);
    NUMBER.with(|number| number.set(2)).unwrap();
    twice(2);
    project.cache.invalidate(twice::digest(2)).unwrap();
    twice(2);
    let stale: Vec<_> = steps().into_iter().filter(|line| line.contains("stale")).collect();
    assert_eq!(
        stale,
        [
            r#"twice(2): stale because input "observed.rs" is different"#,
            "twice(2): stale because it was invalidated",
        ]
    );
}

#[test]
fn counters_count_whether_or_not_anybody_listens() {
    #[fleche]
    fn double(n: u64) -> u64 {
        2 * n
    }
    let counted = |project: &Project| {
        let (a, b) = (project.write("a", "one two"), project.write("b", "three"));
        for _ in 0..3 {
            assert_eq!((sum(&a, &b).unwrap(), double(4)), (3, 8));
        }
        project.write("b", "four");
        assert_eq!(sum(&a, &b).unwrap(), 3);
        project.remove("a");
        assert!(sum(&a, &b).is_err());
        project.cache.stats()
    };
    let stats = counted(&Project::quiet());
    assert_eq!((stats.ran, stats.cut_off, stats.uncached), (5, 1, 2));
    assert_eq!(stats.hits, 9, "once a picture: two calls below one, and one that nobody looks at again");
    assert_eq!(stats, counted(&Project::new()));
}
