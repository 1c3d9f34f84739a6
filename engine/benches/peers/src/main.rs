//! One layered graph in fleche and in engines of its kind, side by side: cold, nothing set, one input set with and without
//! early cutoff, memory, and a new process that starts from what the first left on disk.
//!
//! Each engine has processes of its own, one after the other. `FLECHE_BENCH_LAYERS` sets the number of layers of 1000
//! calls (100); `FLECHE_BENCH_PEERS` which engines take part (`fleche,salsa,picante,qbice`). Results are compared: whoever
//! computes something else ends the run.

mod graph;
mod ours;
mod picantes;
mod qbices;
mod salsas;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use graph::Peer;

/// What is measured in the first process and in the second, by name.
const COLD: [&str; 6] = [
    "cold",
    "asked again, nothing set",
    "one input set, early cutoff",
    "one input set, everything above it runs",
    "set back to what it was",
    "save (fleche has saved already)",
];
const WARM: [&str; 4] =
    ["load", "first answer, a call of the middle layer", "all verified", "then one input set, early cutoff"];

fn time<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = f();
    (result, start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Bytes that this process has in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// The first process.
fn first<P: Peer>(dir: &Path, layers: u32) {
    let before = resident();
    let mut peer = P::cold(dir);
    let (expected, cold) = time(|| peer.all(layers));
    let memory = resident().saturating_sub(before);
    let (_, same) = time(|| peer.all(layers));
    let edit = |peer: &mut P, value: u64| {
        peer.set(3, value);
        time(|| peer.all(layers))
    };
    let mut cut = Vec::new();
    for round in 0..9 {
        // Within the same ten: the first call above it says what it said.
        let (result, took) = edit(&mut peer, 31 + round);
        assert_eq!(result, expected);
        cut.push(took);
    }
    let full = (0..3).map(|round| edit(&mut peer, 5000 + 10 * round).1).collect();
    let (result, back) = edit(&mut peer, graph::first_value(3));
    assert_eq!(result, expected);
    let ((), save) = time(|| peer.save(dir));
    tell(expected, memory, &[cold, same, median(cut), median(full), back, save]);
}

/// A process after that one.
fn second<P: Peer>(dir: &Path, layers: u32) {
    let before = resident();
    let (mut peer, load) = time(|| P::warm(dir));
    let (_, one) = time(|| peer.one(layers / 2, 7));
    let (result, all) = time(|| peer.all(layers));
    let memory = resident().saturating_sub(before);
    peer.set(3, 39);
    let (again, cut) = time(|| peer.all(layers));
    assert_eq!(again, result);
    // What it would still write is no part of this.
    tell(result, memory, &[load, one, all, cut]);
    std::process::exit(0);
}

/// What a process found, for whoever started it.
fn tell(result: u64, memory: u64, times: &[Duration]) {
    print!("{result} {memory}");
    times.iter().for_each(|time| print!(" {}", time.as_nanos()));
    println!();
}

type Child = fn(&Path, u32);

/// The engines, each with its two processes.
const PEERS: [(&str, Child, Child); 4] = [
    ("fleche", first::<ours::Ours>, second::<ours::Ours>),
    ("salsa", first::<salsas::Salsa>, second::<salsas::Salsa>),
    ("picante", first::<picantes::Picante>, second::<picantes::Picante>),
    ("qbice", first::<qbices::Qbice>, second::<qbices::Qbice>),
];

/// Starts a process of this program; what it says, or `None` if it failed, which is told.
fn child(which: &str, peer: &str, dir: &Path, layers: u32) -> Option<Vec<u64>> {
    let program = std::env::current_exe().expect("this program");
    let layers = layers.to_string();
    let output = Command::new(program).args([which, peer]).arg(dir).arg(layers).output().expect("a process");
    if !output.status.success() {
        println!("{peer} failed, {which} process, {}:", output.status);
        println!(
            "{}",
            String::from_utf8_lossy(&output.stderr).lines().take(6).collect::<Vec<_>>().join("\n")
        );
        return None;
    }
    let text = String::from_utf8(output.stdout).expect("numbers");
    Some(text.split_whitespace().map(|number| number.parse().expect("a number")).collect())
}

fn show(nanoseconds: u64) -> String {
    let time = Duration::from_nanos(nanoseconds);
    match nanoseconds {
        0..10_000 => format!("{nanoseconds} ns"),
        10_000..10_000_000 => format!("{:.1} µs", time.as_secs_f64() * 1e6),
        _ => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}

fn table(title: &str, rows: &[&str], columns: &[(&str, Option<Vec<u64>>)], calls: u64) {
    print!("\n{title:44}");
    columns.iter().for_each(|(name, _)| print!("{name:>13}"));
    println!();
    for (row, name) in rows.iter().enumerate() {
        print!("  {name:42}");
        for (_, found) in columns {
            print!("{:>12}", found.as_ref().map_or_else(|| "—".into(), |found| show(found[2 + row])));
            print!(" ");
        }
        println!();
    }
    print!("  {:42}", "bytes of memory a call");
    for (_, found) in columns {
        print!("{:>12} ", found.as_ref().map_or_else(|| "—".into(), |found| (found[1] / calls).to_string()));
    }
    println!();
}

/// Recursion lies on the stack where an engine has no other place for it.
fn on_large_stack(f: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(f).expect("a thread");
    if thread.join().is_err() {
        std::process::exit(1);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, which, name, dir, layers] = &arguments[..] {
        let (_, first, second) = PEERS.iter().find(|(peer, ..)| peer == name).expect("a peer");
        let child = if which == "first" { *first } else { *second };
        let (dir, layers) = (dir.clone(), layers.parse().expect("a number"));
        return on_large_stack(move || child(Path::new(&dir), layers));
    }
    let layers = std::env::var("FLECHE_BENCH_LAYERS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_u32);
    let some = std::env::var("FLECHE_BENCH_PEERS").unwrap_or_else(|_| "fleche,salsa,picante,qbice".into());
    let names: Vec<&str> =
        PEERS.iter().map(|peer| peer.0).filter(|name| some.split(',').any(|one| one == *name)).collect();
    let calls = u64::from(layers * graph::WIDTH);
    println!("{calls} calls, 3 callees each, {} inputs", graph::WIDTH);
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for name in names {
        let dir = tempfile::tempdir().expect("a directory");
        let found = child("first", name, dir.path(), layers);
        warm.push((name, found.is_some().then(|| child("second", name, dir.path(), layers)).flatten()));
        cold.push((name, found));
    }
    let mut results: Vec<u64> =
        cold.iter().chain(&warm).filter_map(|(_, found)| Some(found.as_ref()?[0])).collect();
    results.dedup();
    assert_eq!(results.len(), 1, "all compute the same");
    table("one process", &COLD, &cold, calls);
    table("a new process, from disk", &WARM, &warm, calls);
}
