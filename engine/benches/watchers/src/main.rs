//! From a write to the callback that is told of it, and what watching costs: fleche, `notify` by itself, `watchexec`.
//!
//! Each watcher has a process of its own, over a tree of 100 files a directory. `FLECHE_BENCH_FILES` sets the numbers of files
//! (`1000,10000,100000`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const ROUNDS: usize = 31;

/// Who takes part: its name, and how long it gathers changes before it tells, if that can be set.
const WATCHERS: [(&str, &str); 6] = [
    ("fleche", "10 ms of quiet (as it comes)"),
    ("fleche quiet=0", "gathering nothing"),
    ("fleche inputs", "10 ms of quiet, each file an input"),
    ("notify", "gathering nothing"),
    ("watchexec", "50 ms (as it comes)"),
    ("watchexec throttle=0", "gathering nothing"),
];

fn file(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("d{:04}/file{n:06}.txt", n / 100))
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.split_whitespace().next().expect("a number").parse().expect("a number")
}

/// When the callback was called.
type Told = Receiver<Instant>;

fn start(who: &str, dir: &Path) -> (Told, Box<dyn std::any::Any>) {
    let (send, told) = channel();
    let name = who.split(' ').next().expect("a name");
    let keep: Box<dyn std::any::Any> = match name {
        "fleche" => {
            let mut watch = fleche::Watch::new([dir]);
            if who.ends_with("quiet=0") {
                watch = watch.quiet(Duration::ZERO);
            }
            Box::new(watch.start(move |_| _ = send.send(Instant::now())).expect("watched"))
        }
        "notify" => {
            use notify::Watcher as _;
            let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.is_ok_and(|event| event.kind.is_modify()) {
                    let _ = send.send(Instant::now());
                }
            })
            .expect("a watcher");
            watcher.watch(dir, notify::RecursiveMode::Recursive).expect("watched");
            Box::new(watcher)
        }
        _ => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            let inside = runtime.enter();
            let watch = watchexec::Watchexec::new(move |action| {
                let _ = send.send(Instant::now());
                action
            })
            .expect("a watcher");
            watch.config.pathset([dir]);
            if who.ends_with("throttle=0") {
                watch.config.throttle(Duration::ZERO);
            }
            drop(inside);
            let mut ready = watch.config.fs_ready();
            let main = watch.main();
            runtime.spawn(main);
            runtime.block_on(async { ready.changed().await }).expect("it watches");
            Box::new((runtime, watch))
        }
    };
    (told, keep)
}

fn child(who: &str, dir: &Path, count: usize) {
    let cache = fleche::Cache::memory();
    let _scope = fleche::cache(&cache).expect("in scope");
    if who.ends_with("inputs") {
        assert!(each(dir, count) > 0);
    }
    let before = resident();
    let begin = Instant::now();
    let (told, _keep) = start(who, dir);
    let ready = begin.elapsed();
    if who.ends_with("inputs") {
        assert!(each(dir, count) > 0);
    }
    let memory = resident().saturating_sub(before);
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            std::thread::sleep(Duration::from_millis(150));
            while told.try_recv().is_ok() {}
            let path = file(dir, (round * 7919) % count);
            let begin = Instant::now();
            std::fs::write(path, format!("round {round}\n")).expect("written");
            told.recv_timeout(Duration::from_secs(10)).expect("told") - begin
        })
        .collect();
    times.sort_unstable();
    println!(
        "{} {} {} {}",
        ready.as_micros(),
        memory * 1024 / count as u64,
        times[ROUNDS / 2].as_micros(),
        times[ROUNDS - 2].as_micros()
    );
}

#[fleche::fleche(hash_code = false)]
fn each(dir: &Path, count: usize) -> u64 {
    (0..count).map(|n| fleche::fs::read(file(dir, n)).map_or(0, |bytes| bytes.len() as u64)).sum()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, who, dir, count] = &arguments[..]
        && mode == "child"
    {
        return child(who, Path::new(dir), count.parse().expect("a number"));
    }
    let counts = std::env::var("FLECHE_BENCH_FILES").unwrap_or_else(|_| "1000,10000,100000".into());
    for count in counts.split(',').map(|count| count.trim().parse::<usize>().expect("a number")) {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = temporary.path().canonicalize().expect("a directory");
        for n in 0..count {
            let path = file(&dir, n);
            if n % 100 == 0 {
                std::fs::create_dir_all(path.parent().expect("has one")).expect("made");
            }
            std::fs::write(&path, format!("file {n}\n")).expect("written");
        }
        println!(
            "{count} files in {} directories\n  {:44} {:>9} {:>9} {:>10} {:>9}",
            count.div_ceil(100),
            "",
            "told",
            "95 of 100",
            "set up",
            "a file"
        );
        for (who, how) in WATCHERS {
            let output = Command::new(std::env::current_exe().expect("itself"))
                .args(["child", who, &dir.display().to_string(), &count.to_string()])
                .output()
                .expect("runs");
            let text = String::from_utf8(output.stdout).expect("numbers");
            let numbers: Vec<u64> =
                text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
            let [ready, memory, middle, most] = numbers[..] else {
                println!(
                    "  {who}: {}",
                    String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("failed")
                );
                continue;
            };
            let name = format!("{}, {how}", who.split(' ').next().expect("a name"));
            println!("  {name:44} {middle:6} µs {most:6} µs {ready:7} µs {memory:7} B");
        }
    }
}
