//! Nothing has changed: how long is it until that is known? 1,000, 10,000 and 100,000 files as one tree and one by one, in
//! a fresh process and in one that watches, against `git status` and `ninja`, where those are installed.
//!
//! `FLECHE_BENCH_FILES` sets the numbers of files (`1000,10000,100000`). Caches of the system are warm throughout.

#![allow(missing_docs, reason = "a program")]

mod table;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fleche::{Cache, fleche};

const ROUNDS: usize = 7;

#[fleche(hash_code = false)]
fn tree(dir: &Path) -> std::io::Result<String> {
    Ok(fleche::fs::walk(dir).contents()?.digest().to_string())
}

#[fleche(hash_code = false)]
#[allow(clippy::unnecessary_wraps, reason = "as its siblings")]
fn names(dir: &Path) -> std::io::Result<u64> {
    Ok(fleche::fs::walk(dir).into_iter().count() as u64)
}

#[fleche(hash_code = false)]
fn each(dir: &Path, count: usize) -> std::io::Result<u64> {
    (0..count).map(|n| Ok(fleche::fs::read(file(dir, n))?.len() as u64)).sum()
}

fn file(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("d{:04}/file{:06}.txt", n / 100, n))
}

fn call(what: &str, dir: &Path, count: usize) {
    match what {
        "tree" => drop(black_box(tree(dir).expect("readable"))),
        "names" => drop(black_box(names(dir).expect("readable"))),
        _ => drop(black_box(each(dir, count).expect("readable"))),
    }
}

/// One process: opens the cache, asks, and tells how long that took and what memory it needed.
fn child(what: &str, root: &Path, count: usize) {
    let start = Instant::now();
    let cache = Cache::open(root.join(".fleche")).expect("a cache");
    let _scope = fleche::cache(&cache).expect("in scope");
    call(what, &root.join("src"), count);
    let time = start.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    let peak: u64 = peak.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    println!("{} {} {}", time.as_nanos(), cache.stats().ran, peak);
}

fn fresh(what: &str, root: &Path, count: usize) -> (Duration, u64, u64) {
    let output = Command::new(std::env::current_exe().expect("itself"))
        .args(["child", what, &root.display().to_string(), &count.to_string()])
        .output()
        .expect("runs");
    let text = String::from_utf8(output.stdout).expect("numbers");
    let numbers: Vec<u64> = text.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    (Duration::from_nanos(numbers[0]), numbers[1], numbers[2])
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The time of a whole process, if the program is there.
fn program(dir: &Path, name: &str, arguments: &[&str]) -> Option<Duration> {
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        let start = Instant::now();
        let mut command = Command::new(name);
        command.args(arguments).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
        if !command.status().ok()?.success() {
            return None;
        }
        if round > 0 {
            times.push(start.elapsed());
        }
    }
    Some(middle(times))
}

fn measure(count: usize) {
    let temporary = tempfile::tempdir().expect("a directory");
    let root = temporary.path();
    let src = root.join("src");
    let mut ninja = String::from("rule cp\n  command = cp $in $out\n");
    for n in 0..count {
        let path = file(&src, n);
        if n % 100 == 0 {
            fs::create_dir_all(path.parent().expect("has one")).expect("made");
        }
        fs::write(&path, format!("file {n}\n")).expect("written");
    }
    // One output of all files: ninja then looks at each of them and at no more.
    let all: Vec<String> = (0..count).map(|n| file(Path::new("src"), n).display().to_string()).collect();
    ninja.push_str("rule stamp\n  command = touch $out\nbuild out: stamp | ");
    ninja.push_str(&all.join(" "));
    ninja.push('\n');
    fs::write(root.join("build.ninja"), ninja).expect("written");
    for arguments in [&["init", "-q"][..], &["add", "src"]] {
        let _ = Command::new("git").args(arguments).current_dir(root).stdout(Stdio::null()).status();
    }
    let _ = Command::new("ninja").current_dir(root).stdout(Stdio::null()).status();
    // Until the stamps can be trusted.
    std::thread::sleep(Duration::from_millis(100));
    let mut rows: Vec<(String, Duration)> = Vec::new();
    let mut memory = Vec::new();
    let idle = {
        let empty = tempfile::tempdir().expect("a directory");
        fs::create_dir(empty.path().join("src")).expect("made");
        fresh("tree", empty.path(), 0).2
    };
    for what in ["tree", "names", "each"] {
        let (first, ran, _) = fresh(what, root, count);
        assert_eq!(ran, 1);
        let rounds: Vec<_> = (0..ROUNDS).map(|_| fresh(what, root, count)).collect();
        assert!(rounds.iter().all(|(_, ran, _)| *ran == 0), "{what}: nothing has changed");
        rows.push((format!("{what}, fresh process"), middle(rounds.iter().map(|round| round.0).collect())));
        memory.push((what, rounds[0].2.saturating_sub(idle)));
        rows.push((format!("{what}, first look (all is read)"), first));
    }
    {
        let cache = Cache::open(root.join(".fleche")).expect("a cache");
        let _scope = fleche::cache(&cache).expect("in scope");
        for what in ["tree", "names", "each"] {
            call(what, &src, count);
            rows.push((
                format!("{what}, same process"),
                table::median(ROUNDS, 1, || call(what, &src, count)),
            ));
        }
        let _watcher = fleche::Watch::new([&src]).start(|_| ()).expect("watched");
        for what in ["tree", "names"] {
            call(what, &src, count);
            rows.push((
                format!("{what}, watched, nothing has changed"),
                table::median(ROUNDS, 1, || call(what, &src, count)),
            ));
        }
        let mut n = 0;
        let edited = table::median(ROUNDS, 1, || {
            n += 1;
            fs::write(file(&src, n), format!("edited {n}\n")).expect("written");
            call("tree", &src, count);
        });
        rows.push(("tree, watched, one file edited".into(), edited));
    }
    for (name, program_name, arguments) in [
        ("git status", "git", &["status", "--porcelain", "-uno"][..]),
        ("git status, untracked too", "git", &["status", "--porcelain"]),
        ("ninja", "ninja", &[]),
        ("n2", "n2", &[]),
    ] {
        if let Some(time) = program(root, program_name, arguments) {
            rows.push((name.into(), time));
        }
    }
    let rows: Vec<(&str, Duration)> = rows.iter().map(|(name, time)| (name.as_str(), *time)).collect();
    table::group(&format!("{count} files"), &rows);
    for (what, kilobytes) in memory {
        println!("  memory, {what}: {} bytes a file", kilobytes * 1024 / count as u64);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, what, root, count] = &arguments[..]
        && mode == "child"
    {
        return child(what, Path::new(root), count.parse().expect("a number"));
    }
    let counts = std::env::var("FLECHE_BENCH_FILES").unwrap_or_else(|_| "1000,10000,100000".into());
    for count in counts.split(',') {
        measure(count.trim().parse().expect("a number"));
    }
}
