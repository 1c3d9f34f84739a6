//! Calls on several threads while files change: what comes out afterwards is what a fresh start would say.

mod common;

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use common::Project;
use fleche::{Input, fleche};

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
fn beyond_the_node_budget_memory_is_given_back_and_the_store_answers() {
    static INPUT: LazyLock<Input<u64>> = LazyLock::new(|| Input::new("concurrency.rs budget", 1).unwrap());
    #[fleche(hash_code = false)]
    fn square(n: u64) -> u64 {
        n * n * *INPUT.get()
    }
    #[fleche(hash_code = false)]
    fn through(n: u64) -> u64 {
        let before = square(n);
        // Others give the memory back that this call began with; it goes on with that.
        let cache = fleche::current_cache();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _scope = fleche::cache(cache).unwrap();
                assert_eq!((200..250).map(square).max(), Some(square(249)));
            });
        });
        before + square(n) + square(n + 1)
    }
    let project = Project::new();
    project.cache.set_node_budget(10);
    for n in 0..100 {
        assert_eq!(square(n), n * n);
        assert!(project.cache.known() <= 11, "{} after {n}", project.cache.known());
    }
    let ran = project.cache.stats().ran;
    for n in 0..100 {
        assert_eq!(square(n), n * n);
    }
    assert_eq!(project.cache.stats().ran, ran);
    assert_eq!(through(10), 321);
    let ran = project.cache.stats().ran;
    assert_eq!(through(10), 321);
    assert_eq!(project.cache.stats().ran, ran, "what it left holds");
    // What the program sets is not part of what is given back.
    INPUT.set(2).unwrap();
    assert_eq!((square(3), through(10)), (18, 642));
    INPUT.set(1).unwrap();
    let ran = project.cache.stats().ran;
    assert_eq!((square(3), through(10)), (9, 321));
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

#[test]
fn processes_that_need_one_call_at_once_all_get_it_and_leave_it_whole() {
    #[fleche(hash_code = false)]
    fn slow(path: &Path) -> io::Result<Vec<u64>> {
        let number = number(path)?;
        std::thread::sleep(std::time::Duration::from_millis(20));
        Ok((0..2_000).map(|n| n * number).collect())
    }
    const CHILD: &str = "FLECHE_TEST_CONCURRENCY";
    let sum = |path: &Path| slow(path).unwrap().iter().sum::<u64>();
    if let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) {
        let cache = fleche::Cache::open(dir.join(".fleche")).unwrap();
        let _scope = fleche::cache(&cache).unwrap();
        // Ready; then all are let go.
        let mut line = String::new();
        println!("\nready");
        io::stdin().read_line(&mut line).unwrap();
        println!("\nsum {}", sum(&dir.join("a")));
        io::stdin().read_line(&mut line).unwrap();
        return;
    }
    let mut project = Project::new();
    project.write("a", "3");
    let expected = 3 * (0..2_000).sum::<u64>();
    let mut children: Vec<Child> = (0..4).map(|_| Child::start(CHILD, project.root())).collect();
    for child in &mut children {
        child.wait_for("ready");
    }
    children.iter_mut().for_each(Child::go_on);
    for child in &mut children {
        assert_eq!(child.wait_for("sum"), expected.to_string());
    }
    // While they live and after they have ended, here and in a process that begins now.
    for _ in ["beside them", "after them"] {
        assert_eq!(sum(&project.path("a")), expected);
        assert_eq!(project.cache.stats().ran, 0, "one that was open before they ran finds what they left");
        project.restart();
        for child in &mut children {
            child.end();
        }
    }
    assert_eq!(sum(&project.path("a")), expected);
    assert_eq!(project.cache.stats().ran, 0);
}

/// This test once more, in a process of its own.
struct Child {
    process: std::process::Child,
    told: io::BufReader<std::process::ChildStdout>,
}

impl Child {
    fn start(variable: &str, dir: &Path) -> Self {
        let test = std::thread::current().name().unwrap().to_string();
        let mut process = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture"])
            .env(variable, dir)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let told = io::BufReader::new(process.stdout.take().unwrap());
        Self { process, told }
    }

    /// Waits for a line that begins with the word, and gives the rest of it.
    fn wait_for(&mut self, word: &str) -> String {
        let line = self.told.by_ref().lines().map(Result::unwrap).find(|line| line.starts_with(word));
        line.unwrap_or_else(|| panic!("it ended before `{word}`"))[word.len()..].trim().to_string()
    }

    fn go_on(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Lets it come to its end.
    fn end(&mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}
