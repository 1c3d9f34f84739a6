//! Calls on several threads while files change: what comes out afterwards is what a fresh start would say.

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::Project;
use fleche::fleche;

#[fleche(hash_code = false)]
fn number(path: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read_to_string(path)?.trim().parse().unwrap_or(0))
}

#[fleche(hash_code = false)]
fn pair(a: &Path, b: &Path) -> io::Result<u64> {
    Ok(number(a)? * 1000 + number(b)?)
}

#[fleche(hash_code = false)]
fn all(paths: &[PathBuf]) -> io::Result<u64> {
    let mut sum = 0;
    for two in paths.windows(2) {
        sum += pair(&two[0], &two[1])?;
    }
    Ok(sum)
}

fn from_scratch(paths: &[PathBuf]) -> u64 {
    let number = |path: &Path| -> u64 { std::fs::read_to_string(path).unwrap().trim().parse().unwrap_or(0) };
    paths.windows(2).map(|two| number(&two[0]) * 1000 + number(&two[1])).sum()
}

#[test]
fn edits_under_running_calls_leave_nothing_wrong_behind() {
    let project = Project::new();
    let paths: Vec<PathBuf> = (0..6).map(|n| project.write(&format!("f{n}"), "1")).collect();
    for round in 0..60_u32 {
        let stop = AtomicBool::new(false);
        std::thread::scope(|threads| {
            for reader in 0..3 {
                let (cache, paths, stop) = (project.cache.clone(), &paths, &stop);
                threads.spawn(move || {
                    let _scope = fleche::cache(cache).unwrap();
                    while !stop.load(Ordering::SeqCst) {
                        // A file can be caught empty between truncation and write; its number is 0 then.
                        if reader == 0 {
                            all(paths).map(drop)
                        } else {
                            pair(&paths[reader], &paths[0]).map(drop)
                        }
                        .unwrap();
                    }
                });
            }
            for edit in 0..20 {
                let n = ((round * 7 + edit * 5) % 6) as usize;
                std::fs::write(&paths[n], format!("{}", (round + edit) % 10)).unwrap();
                if edit % 7 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
            stop.store(true, Ordering::SeqCst);
        });
        assert_eq!(all(&paths).unwrap(), from_scratch(&paths), "round {round}");
        let fresh = fleche::Cache::open(project.path(".fleche")).unwrap();
        let _scope = fleche::cache(fresh).unwrap();
        assert_eq!(all(&paths).unwrap(), from_scratch(&paths), "round {round}, new process");
    }
}

#[test]
fn a_held_revision_stays_what_it_was_while_another_thread_moves_on() {
    let project = Project::new();
    let a = project.write("a", "1");
    let b = project.write("b", "2");
    assert_eq!(pair(&a, &b).unwrap(), 1002);
    fleche::frozen(|| {
        assert_eq!(pair(&a, &b).unwrap(), 1002);
        project.write("a", "7");
        std::thread::scope(|threads| {
            let (cache, a, b) = (project.cache.clone(), &a, &b);
            threads.spawn(move || {
                let _scope = fleche::cache(cache).unwrap();
                assert_eq!(pair(a, b).unwrap(), 7002, "not held back by the other thread's revision");
            });
        });
        assert_eq!(pair(&a, &b).unwrap(), 1002, "as it was when this revision looked");
        assert_eq!(number(&b).unwrap(), 2);
    });
    assert_eq!(pair(&a, &b).unwrap(), 7002);
}

#[test]
fn beyond_the_node_budget_the_store_answers() {
    #[fleche(hash_code = false)]
    fn square(n: u64) -> u64 {
        n * n
    }
    let project = Project::new();
    project.cache.set_node_budget(10);
    for n in 0..100 {
        assert_eq!(square(n), n * n);
    }
    let ran = project.cache.stats().ran;
    for n in 0..100 {
        assert_eq!(square(n), n * n);
    }
    assert_eq!(project.cache.stats().ran, ran);
}

#[test]
fn an_input_that_appears_below_an_inner_call_is_looked_at_from_then_on() {
    // The inner call reads nothing at first. Rerun, it reads a file and says the same as before; its caller stays
    // clean and must nonetheless notice the file's next change.
    static READS: AtomicBool = AtomicBool::new(false);
    #[fleche(hash_code = false)]
    fn inner(path: &Path) -> u64 {
        if READS.load(Ordering::SeqCst) { number(path).unwrap() } else { 1 }
    }
    #[fleche(hash_code = false)]
    fn outer(path: &Path) -> u64 {
        inner(path) + 10
    }
    let project = Project::new();
    let path = project.write("a", "1");
    assert_eq!(outer(&path), 11);
    READS.store(true, Ordering::SeqCst);
    assert_eq!(inner::rerun(&path), 1);
    assert_eq!(outer(&path), 11);
    project.write("a", "2");
    assert_eq!(outer(&path), 12);
}
