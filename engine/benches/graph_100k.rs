//! A layered graph of 100,000 calls: cold, unchanged, one input edited with and without early cutoff, and warm from
//! disk in a new process; on one thread and on two. Against salsa, which keeps it in memory, and on its lowest layers
//! against comemo, whose calls each know all inputs below them.
//!
//! `FLECHE_BENCH_LAYERS` sets the number of layers of 1000 calls (100).

#![allow(missing_docs, reason = "a program, and macros of the peers")]

mod table;

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fleche::{Cache, Input, fleche};
use salsa::Setter as _;

const WIDTH: u32 = 1000;

/// So many layers for comemo: each of its calls keeps what all below it have read.
const COMEMO_LAYERS: u32 = 6;

static INPUTS: LazyLock<Vec<Input<u64>>> = LazyLock::new(|| {
    (0..WIDTH).map(|at| Input::new(format!("bench {at}"), u64::from(at) * 10).expect("a number")).collect()
});

fn callee(at: u32, k: u32) -> u32 {
    (at * 7 + k * 3) % WIDTH
}

#[fleche(hash_code = false)]
fn node(layer: u32, at: u32) -> u64 {
    if layer == 0 {
        return *INPUTS[at as usize].get() / 10;
    }
    (0..3).map(|k| node(layer - 1, callee(at, k))).sum::<u64>() % 1_000_003
}

#[fleche(hash_code = false)]
fn top(layers: u32) -> u64 {
    (0..WIDTH).map(|at| node(layers - 1, at)).sum()
}

/// One half of what `top` asks for.
#[fleche(hash_code = false)]
fn half(layers: u32, second: bool) -> u64 {
    let from = if second { WIDTH / 2 } else { 0 };
    (from..from + WIDTH / 2).map(|at| node(layers - 1, at)).sum()
}

/// Both halves, on one thread or each on its own.
fn halves(cache: &Cache, layers: u32, apart: bool) -> u64 {
    let of = |second| {
        let _scope = fleche::cache(cache).expect("a cache");
        half(layers, second)
    };
    if apart {
        std::thread::scope(|threads| {
            let second = threads.spawn(|| of(true));
            of(false) + second.join().expect("a number")
        })
    } else {
        of(false) + of(true)
    }
}

/// On one thread and on two: cold, in a cache that is opened for it; and verified, in a second cache over the same store,
/// as a new process would.
fn threads(layers: u32, expected: u64) -> [[Duration; 2]; 2] {
    let [one, two] = [false, true].map(|apart| {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Cache::open(dir.path().join(".fleche")).expect("a store");
        [0, 1].map(|_| {
            let cache = open();
            let (sum, took) = time(|| halves(&cache, layers, apart));
            assert_eq!(sum, expected);
            took
        })
    });
    [[one[0], two[0]], [one[1], two[1]]]
}

/// What comemo's calls may read.
struct Table(Vec<u64>);

#[comemo::track]
impl Table {
    fn get(&self, at: u32) -> u64 {
        self.0[at as usize]
    }
}

#[comemo::memoize]
fn comemo_node(table: comemo::Tracked<Table>, layer: u32, at: u32) -> u64 {
    if layer == 0 {
        return table.get(at) / 10;
    }
    (0..3).map(|k| comemo_node(table, layer - 1, callee(at, k))).sum::<u64>() % 1_000_003
}

#[comemo::memoize]
fn comemo_top(table: comemo::Tracked<Table>, layers: u32) -> u64 {
    (0..WIDTH).map(|at| comemo_node(table, layers - 1, at)).sum()
}

/// A small graph: cold, asked again, and with one input set to what makes no difference to those above its reader. In
/// fleche, then in comemo.
fn beside_comemo(layers: u32) -> [[Duration; 2]; 3] {
    use comemo::Track as _;
    let mut table = Table((0..WIDTH).map(|at| u64::from(at) * 10).collect());
    let _scope = fleche::cache(Cache::memory()).expect("a cache");
    let mut ask = |set: Option<u64>| {
        if let Some(set) = set {
            table.0[3] = set;
            INPUTS[3].set(set).expect("a number");
        }
        let (ours, took) = time(|| top(layers));
        let (theirs, comemo) = time(|| comemo_top(table.track(), layers));
        assert_eq!(ours, theirs);
        [took, comemo]
    };
    let (cold, same) = (ask(None), ask(None));
    let edits: Vec<_> = (0..5).map(|round| ask(Some(31 + round))).collect();
    ask(Some(30));
    [cold, same, [0, 1].map(|of| median(edits.iter().map(|edit| edit[of]).collect()))]
}

#[salsa::input]
struct Source {
    value: u64,
}

#[salsa::input]
struct Sources {
    #[returns(ref)]
    all: Vec<Source>,
}

#[salsa::interned]
struct Place<'db> {
    layer: u32,
    at: u32,
}

#[salsa::tracked]
fn salsa_node<'db>(db: &'db dyn salsa::Database, sources: Sources, place: Place<'db>) -> u64 {
    let (layer, at) = (*place.layer(db), *place.at(db));
    if layer == 0 {
        return sources.all(db)[at as usize].value(db) / 10;
    }
    (0..3).map(|k| salsa_node(db, sources, Place::new(db, layer - 1, callee(at, k)))).sum::<u64>() % 1_000_003
}

#[salsa::tracked]
fn salsa_top(db: &dyn salsa::Database, sources: Sources, layers: u32) -> u64 {
    (0..WIDTH).map(|at| salsa_node(db, sources, Place::new(db, layers - 1, at))).sum()
}

fn time<T>(f: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = f();
    (result, start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or_default() * 1024.0
}

/// In a process of its own: opens the cache, asks one call of that layer, then all, then all once more, and closes the
/// cache. Prints the times in nanoseconds.
fn warm(at: &Path, layers: u32, first: u32) {
    LazyLock::force(&INPUTS);
    let (cache, open) = time(|| Cache::open(at).expect("a store"));
    let scope = fleche::cache(&cache).expect("a cache");
    let (_, first) = time(|| node(first, 7));
    let (_, all) = time(|| top(layers));
    let (_, again) = time(|| top(layers));
    assert_eq!(cache.stats().ran, 0, "everything is on disk");
    let ((), close) = time(|| drop((scope, cache)));
    for time in [open, first, all, again, close] {
        println!("{}", time.as_nanos());
    }
}

/// The same from outside: the median of some processes, with how long they took from start to end.
fn warm_processes(at: &Path, first: u32) -> [Duration; 6] {
    let mut runs = Vec::new();
    for _ in 0..5 {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.env(WARM, at).env(FIRST, first.to_string());
        let (output, whole) = time(|| command.output().expect("a process"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("numbers");
        let mut times = text.lines().map(|line| Duration::from_nanos(line.parse().expect("a number")));
        let mut next = || times.next().expect("five times");
        runs.push([next(), next(), next(), next(), next(), whole]);
    }
    std::array::from_fn(|at| median(runs.iter().map(|run| run[at]).collect()))
}

/// Says to this program that it is the new process, and where the cache is.
const WARM: &str = "FLECHE_BENCH_WARM";

/// Says to the new process of which layer the first call is.
const FIRST: &str = "FLECHE_BENCH_FIRST";

fn main() {
    let layers = std::env::var("FLECHE_BENCH_LAYERS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_u32);
    if let Some(at) = std::env::var_os(WARM) {
        let first = std::env::var(FIRST).ok().and_then(|layer| layer.parse().ok()).unwrap_or_default();
        return warm(Path::new(&at), layers, first);
    }
    let nodes = f64::from(layers * WIDTH);
    println!("{nodes} calls, 3 callees each, {WIDTH} inputs");

    let before = resident();
    let mut db = salsa::DatabaseImpl::new();
    let all: Vec<Source> = (0..WIDTH).map(|at| Source::new(&db, u64::from(at) * 10)).collect();
    let sources = Sources::new(&db, all.clone());
    let (expected, salsa_cold) = time(|| *salsa_top(&db, sources, layers));
    let salsa_memory = (resident() - before) / nodes;
    let (_, salsa_same) = time(|| *salsa_top(&db, sources, layers));
    let mut edits = [Vec::new(), Vec::new()];
    for round in 0..9_u64 {
        // Within the same ten: the first call above it says what it said.
        all[3].set_value(&mut db).to(31 + round);
        edits[0].push(time(|| *salsa_top(&db, sources, layers)).1);
    }
    for round in 0..5_u64 {
        all[3].set_value(&mut db).to(5000 + 10 * round);
        edits[1].push(time(|| *salsa_top(&db, sources, layers)).1);
    }
    all[3].set_value(&mut db).to(30);
    assert_eq!(*salsa_top(&db, sources, layers), expected);
    let [salsa_cutoff, salsa_full] = edits.map(median);

    let dir = tempfile::tempdir().expect("a directory");
    let at = dir.path().join(".fleche");
    LazyLock::force(&INPUTS);
    let before = resident();
    let cache = Cache::open(&at).expect("a store");
    let scope = fleche::cache(&cache).expect("a cache");
    let (result, cold) = time(|| top(layers));
    assert_eq!(result, expected);
    let memory = (resident() - before) / nodes;
    let (_, same) = time(|| top(layers));
    let mut edits = [Vec::new(), Vec::new()];
    for round in 0..9_u64 {
        INPUTS[3].set(31 + round).expect("a number");
        edits[0].push(time(|| top(layers)).1);
    }
    for round in 0..5_u64 {
        INPUTS[3].set(5000 + 10 * round).expect("a number");
        edits[1].push(time(|| top(layers)).1);
    }
    INPUTS[3].set(30).expect("a number");
    let (result, revert) = time(|| top(layers));
    assert_eq!(result, expected);
    let [cutoff, full] = edits.map(median);
    let ((), close) = time(|| drop((scope, cache)));

    let [open, first, warm, again, close_again, whole] = warm_processes(&at, 0);
    let [_, middle, ..] = warm_processes(&at, layers / 2);
    // As after a kill: what the records alone give.
    std::fs::remove_dir_all(at.join("v1/asides")).expect("an image");
    let records = {
        let scope = fleche::cache(Cache::open(&at).expect("a store")).expect("a cache");
        let (_, all) = time(|| top(layers));
        drop(scope);
        all
    };

    table::group(
        "cold (fleche also writes every result to disk)",
        &[("fleche", cold), ("salsa", salsa_cold)],
    );
    table::group("asked again, nothing set", &[("fleche", same), ("salsa", salsa_same)]);
    table::group("one input set, early cutoff", &[("fleche", cutoff), ("salsa", salsa_cutoff)]);
    table::group(
        "one input set, everything above it runs",
        &[("fleche", full), ("salsa", salsa_full), ("fleche, set back: answered from records", revert)],
    );
    table::group(
        "new process, from disk",
        &[
            ("open", open),
            ("first answer, a call that calls nothing", first),
            ("first answer, a call of the middle layer", middle),
            ("all verified", warm),
            ("all verified, without an image", records),
            ("asked again", again),
            ("close", close_again),
            ("the whole process, start to end", whole),
            ("salsa: cold again", salsa_cold),
        ],
    );
    table::group("close, an image is made", &[("fleche", close)]);
    let [cold, verified] = threads(layers, expected);
    for (title, [one, two]) in
        [("both halves, cold", cold), ("both halves, verified from an image", verified)]
    {
        table::group(title, &[("on one thread", one), ("on two threads", two)]);
    }
    let few = layers.min(COMEMO_LAYERS);
    let titles = ["cold (fleche in memory too)", "asked again", "one input set, no difference above"];
    for (title, [ours, comemo]) in titles.iter().zip(beside_comemo(few)) {
        let title = format!("{} calls: {title}", few * WIDTH);
        table::group(&title, &[("fleche", ours), ("comemo", comemo)]);
    }
    println!("\nmemory a call: fleche {memory:.0} bytes, salsa {salsa_memory:.0} bytes");
}
