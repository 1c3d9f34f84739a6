//! Large values: written with little memory, read without copying, in a fresh process.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use fleche_store::{Digest, Options, Store, ValueDigest};
use serde::{Deserialize, Serialize};

use crate::Scale;
use crate::peers::FP;
use crate::table::Table;

/// One of many, for the archives that are read whole.
#[derive(Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Row {
    id: u64,
    name: String,
    weights: Vec<f32>,
}

fn rows(count: u64) -> Vec<Row> {
    let row = |id| Row {
        id,
        name: format!("row number {id}"),
        weights: (0..16).map(|i| (id + i) as f32).collect(),
    };
    (0..count).map(row).collect()
}

fn named(name: &str) -> ValueDigest {
    ValueDigest::new(Digest::of(name.as_bytes()))
}

/// Runs this program again; it prints the microseconds to the first element and to the sum of all.
fn fresh(what: &str, dir: &Path) -> (f64, f64, f64) {
    let runs = (0..5).map(|_| {
        let output =
            Command::new(std::env::current_exe().unwrap()).args(["child", what]).arg(dir).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut numbers = text.split_whitespace().map(|word| word.parse::<f64>().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap(), numbers.next().unwrap())
    });
    let mut runs: Vec<_> = runs.collect();
    runs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let middle = runs[2];
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    (runs[2].0, middle.1, middle.2)
}

fn sum(bytes: &[u8]) -> f64 {
    bytes.chunks_exact(4).map(|word| f64::from(f32::from_le_bytes(word.try_into().unwrap()))).sum()
}

fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

pub fn child(arguments: &[String]) {
    let (what, dir) = (arguments[0].as_str(), Path::new(&arguments[1]));
    let open = || Store::open(&dir.join("store"), Options::default()).unwrap();
    match what {
        "mmap" | "view" => {
            let store = (what == "view").then(open);
            let begun = Instant::now();
            let (map, view);
            let bytes: &[u8] = if let Some(store) = &store {
                view = store.value(&named("floats"), FP).unwrap().unwrap();
                &view
            } else {
                let file = File::open(dir.join("floats")).unwrap();
                // SAFETY: nobody changes the file.
                map = unsafe { memmap2::Mmap::map(&file).unwrap() };
                &map
            };
            std::hint::black_box(bytes[0]);
            let first = begun.elapsed();
            std::hint::black_box(sum(bytes));
            println!(
                "{} {} {}",
                first.as_secs_f64() * 1e6,
                begun.elapsed().as_secs_f64() * 1e6,
                peak_memory()
            );
        }
        "rows-view" => {
            let store = open();
            let begun = Instant::now();
            let view = store.value(&named("rows"), FP).unwrap().unwrap();
            let rows = rkyv::access::<rkyv::Archived<Vec<Row>>, rkyv::rancor::Error>(&view).unwrap();
            std::hint::black_box(rows[0].id.to_native());
            let first = begun.elapsed();
            let total: f64 =
                rows.iter().map(|row| f64::from(row.weights[3].to_native()) + row.name.len() as f64).sum();
            std::hint::black_box(total);
            println!(
                "{} {} {}",
                first.as_secs_f64() * 1e6,
                begun.elapsed().as_secs_f64() * 1e6,
                peak_memory()
            );
        }
        "rows-postcard" | "rows-bincode" => {
            let begun = Instant::now();
            let bytes = std::fs::read(dir.join(what)).unwrap();
            let rows: Vec<Row> = if what == "rows-postcard" {
                postcard::from_bytes(&bytes).unwrap()
            } else {
                bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap().0
            };
            std::hint::black_box(rows[0].id);
            let first = begun.elapsed();
            let total: f64 = rows.iter().map(|row| f64::from(row.weights[3]) + row.name.len() as f64).sum();
            std::hint::black_box(total);
            println!(
                "{} {} {}",
                first.as_secs_f64() * 1e6,
                begun.elapsed().as_secs_f64() * 1e6,
                peak_memory()
            );
        }
        "write" => {
            let store = open();
            let before = peak_memory();
            let begun = Instant::now();
            store.put_blob(&dir.join("input")).unwrap();
            println!("0 {} {}", begun.elapsed().as_secs_f64() * 1e6, peak_memory() - before);
            std::process::exit(0);
        }
        "hash-and-write" => {
            let begun = Instant::now();
            let mut from = BufReader::with_capacity(1 << 20, File::open(dir.join("input")).unwrap());
            let mut to = File::create(dir.join("output")).unwrap();
            let mut hasher = blake3::Hasher::new();
            let mut block = vec![0; 1 << 20];
            loop {
                let n = from.read(&mut block).unwrap();
                if n == 0 {
                    break;
                }
                hasher.update(&block[..n]);
                to.write_all(&block[..n]).unwrap();
            }
            std::hint::black_box(hasher.finalize());
            println!("0 {} {}", begun.elapsed().as_secs_f64() * 1e6, peak_memory());
        }
        other => panic!("{other}"),
    }
}

pub fn reading(scale: Scale) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store"), Options::default()).unwrap();
    let floats: Vec<u8> = (0..scale.floats / 4).flat_map(|i| (i as f32).to_le_bytes()).collect();
    store.put_value(named("floats"), FP, &floats).unwrap();
    std::fs::write(dir.path().join("floats"), &floats).unwrap();
    drop(floats);
    let rows = rows(scale.floats / 5 / 120);
    store.put_value(named("rows"), FP, &rkyv::to_bytes::<rkyv::rancor::Error>(&rows).unwrap()).unwrap();
    std::fs::write(dir.path().join("rows-postcard"), postcard::to_stdvec(&rows).unwrap()).unwrap();
    let encoded = bincode::serde::encode_to_vec(&rows, bincode::config::standard()).unwrap();
    std::fs::write(dir.path().join("rows-bincode"), encoded).unwrap();
    store.sync().unwrap();
    store.settle();
    drop((store, rows));
    let plain = fresh("mmap", dir.path());
    let view = fresh("view", dir.path());
    let mut first = Table::new(
        format!("{} MiB of floats, fresh process: first element", scale.floats >> 20),
        "µs",
        "plain mmap",
    );
    first.row("plain mmap", plain.0);
    first.row("fleche view", view.0);
    first.print();
    let mut all = Table::new("all of it summed", "µs", "plain mmap");
    all.row("plain mmap", plain.1);
    all.row("fleche view", view.1);
    all.print();
    let mut records = Table::new("records, fresh process: all of them read", "µs", "fleche view, checked");
    records.row("fleche view, checked", fresh("rows-view", dir.path()).1);
    records.row("postcard", fresh("rows-postcard", dir.path()).1);
    records.row("bincode", fresh("rows-bincode", dir.path()).1);
    records.print();
}

pub fn writing(scale: Scale) {
    let dir = tempfile::tempdir().unwrap();
    let mut input = File::create(dir.path().join("input")).unwrap();
    let block: Vec<u8> = (0..1u32 << 18).flat_map(u32::to_le_bytes).collect();
    for i in 0..scale.large >> 20 {
        input.write_all(&i.to_le_bytes()).unwrap();
        input.write_all(&block[8..]).unwrap();
    }
    drop(input);
    let mut table = Table::new(format!("{} MiB written", scale.large >> 20), "ms", "hash + write");
    let mut memory = Vec::new();
    let mut runs: [Vec<f64>; 2] = Default::default();
    for _ in 0..3 {
        for (i, what) in ["hash-and-write", "write"].into_iter().enumerate() {
            let _ = std::fs::remove_dir_all(dir.path().join("store"));
            let _ = std::fs::remove_file(dir.path().join("output"));
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["child", what])
                .arg(dir.path())
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let numbers: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
            runs[i].push(numbers[1] / 1000.0);
            if what == "write" {
                memory.push(numbers[2]);
            }
        }
    }
    for (name, mut times) in ["hash + write", "fleche put_blob"].into_iter().zip(runs) {
        times.sort_by(f64::total_cmp);
        table.row(name, times[1]);
    }
    table.print();
    println!("\nmemory that put_blob took: {:.1} MiB", memory.iter().copied().fold(0.0, f64::max));
}
