//! Random programs, and the Rust that they are written out as.

use std::fmt::Write as _;

use fastrand::Rng;

/// How many files the programs read.
pub(crate) const FILES: usize = 4;
/// How many cached functions a program has at most.
pub(crate) const NODES: usize = 6;

/// One step of a function's body. `acc` is what the body has computed so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Read(usize),
    /// Reads the file that `acc` chooses.
    ReadChosen,
    Call(usize),
    /// Calls only if `acc` is even.
    CallIfEven(usize),
    /// Calls, and goes on with a number of its own if that fails.
    Swallow(usize),
    /// Fails if `acc` is divisible.
    FailIf(u64),
    /// Panics if `acc` is divisible.
    PanicIf(u64),
    FanOut(Vec<usize>),
}

/// A cached function.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) ops: Vec<Op>,
    pub(crate) modulus: u64,
}

impl Node {
    fn random(rng: &mut Rng, callable: &[usize]) -> Self {
        let ops = (0..rng.usize(1..5)).map(|_| op(rng, callable)).collect();
        Self { ops, modulus: rng.u64(2..6) }
    }

    fn callees(&self) -> impl Iterator<Item = usize> {
        self.ops.iter().flat_map(|op| match op {
            Op::Call(n) | Op::CallIfEven(n) | Op::Swallow(n) => vec![*n],
            Op::FanOut(nodes) => nodes.clone(),
            Op::Read(_) | Op::ReadChosen | Op::FailIf(_) | Op::PanicIf(_) => Vec::new(),
        })
    }
}

fn op(rng: &mut Rng, callable: &[usize]) -> Op {
    let callee = |rng: &mut Rng| callable[rng.usize(..callable.len())];
    match rng.u8(..if callable.is_empty() { 5 } else { 14 }) {
        0..=2 => Op::Read(rng.usize(..FILES)),
        3 => Op::ReadChosen,
        4 if rng.bool() => Op::FailIf(rng.u64(3..6)),
        4 => Op::PanicIf(rng.u64(4..7)),
        5..=8 => Op::Call(callee(rng)),
        9 | 10 => Op::CallIfEven(callee(rng)),
        11 | 12 => Op::Swallow(callee(rng)),
        _ => Op::FanOut((0..rng.usize(2..4)).map(|_| callee(rng)).collect()),
    }
}

/// One version of a program: its functions, some of which it may lack.
#[derive(Debug, Clone)]
pub(crate) struct Version(pub(crate) Vec<Option<Node>>);

impl Version {
    /// The first version: each function calls those before it.
    pub(crate) fn first(rng: &mut Rng) -> Self {
        let mut version = Self(vec![None; NODES]);
        let order: Vec<usize> = (0..NODES).collect();
        version.settle(rng, &order, |_| true);
        version
    }

    /// Another version: functions edited, taken out, put back, or calling each other the other way around.
    pub(crate) fn edited(&self, rng: &mut Rng) -> Self {
        let mut version = self.clone();
        let mut order = self.order();
        if rng.u8(..3) == 0 {
            rng.shuffle(&mut order);
        }
        let edited = rng.usize(..NODES);
        let also = if rng.bool() { rng.usize(..NODES) } else { edited };
        if rng.u8(..4) == 0 {
            // Taken out, or put back. The program keeps one at least.
            let present = version.0.iter().flatten().count();
            version.0[edited] = None;
            let keep = present == 1 || self.0[edited].is_none();
            version.settle(rng, &order, |n| n == also || (keep && n == edited));
        } else {
            version.settle(rng, &order, |n| n == edited || n == also);
        }
        if rng.u8(..6) == 0 {
            version.close_a_cycle(rng);
        }
        version
    }

    /// An order in which no function calls a later one, as far as there is one.
    fn order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        while order.len() < NODES {
            let left: Vec<usize> = (0..NODES).filter(|n| !order.contains(n)).collect();
            let calls_left = |n: usize| self.0[n].iter().flat_map(Node::callees).any(|m| left.contains(&m));
            order.push(left.iter().copied().find(|n| !calls_left(*n)).unwrap_or(left[0]));
        }
        order
    }

    /// Writes the functions anew that are to be, and those that call what they may not under `order`.
    fn settle(&mut self, rng: &mut Rng, order: &[usize], anew: impl Fn(usize) -> bool) {
        for at in 0..order.len() {
            let n = order[at];
            let old = self.0[n].take();
            let callable: Vec<usize> = order[..at].iter().copied().filter(|m| self.0[*m].is_some()).collect();
            self.0[n] = match old {
                Some(node) if !anew(n) && node.callees().all(|m| callable.contains(&m)) => Some(node),
                None if !anew(n) => None,
                _ => Some(Node::random(rng, &callable)),
            };
        }
    }

    /// Makes two functions call each other, and takes every fan-out away: which branch meets a cycle first is
    /// no property of a program.
    fn close_a_cycle(&mut self, rng: &mut Rng) {
        let present: Vec<usize> = (0..NODES).filter(|n| self.0[*n].is_some()).collect();
        let from = present[rng.usize(..present.len())];
        let to = present[rng.usize(..present.len())];
        for node in self.0.iter_mut().flatten() {
            for op in &mut node.ops {
                if let Op::FanOut(nodes) = op {
                    *op = Op::Call(nodes[0]);
                }
            }
        }
        let closing = if rng.bool() { Op::Swallow(to) } else { Op::CallIfEven(to) };
        let node = self.0[from].as_mut().expect("present");
        node.ops.push(closing);
    }

    /// The source of its functions.
    pub(crate) fn functions(&self) -> String {
        self.0.iter().enumerate().filter_map(|(n, node)| Some(function(n, node.as_ref()?))).collect()
    }

    /// The program's source.
    pub(crate) fn source(&self) -> String {
        let mut text = HEAD.to_string() + &self.functions();
        let mut ask = String::new();
        let mut call = String::new();
        for (n, node) in self.0.iter().enumerate() {
            if node.is_none() {
                continue;
            }
            write!(ask, "\n        {n} => if rerun {{ n{n}::rerun(dir) }} else {{ n{n}(dir) }},").unwrap();
            write!(call, "\n        {n} => Some(n{n}::digest(dir)),").unwrap();
        }
        write!(
            text,
            "
fn ask(dir: &Path, n: usize, rerun: bool) -> Result<u64, String> {{
    match n {{{ask}
        _ => unreachable!(\"no such function\"),
    }}
}}

fn id(dir: &Path, n: usize) -> Option<fleche::CallId> {{
    match n {{{call}
        _ => None,
    }}
}}
"
        )
        .unwrap();
        text
    }
}

fn function(n: usize, node: &Node) -> String {
    let mut text =
        format!("\n#[fleche]\nfn n{n}(dir: &Path) -> Result<u64, String> {{\n    let mut acc = {n}_u64;\n");
    for op in &node.ops {
        let line = match op {
            Op::Read(file) => format!("acc = mix(acc, read(dir, {file}));"),
            Op::ReadChosen => format!("acc = mix(acc, read(dir, acc % {FILES}));"),
            Op::Call(m) => format!("acc = mix(acc, n{m}(dir)?);"),
            Op::CallIfEven(m) => format!("if acc % 2 == 0 {{ acc = mix(acc, n{m}(dir)?); }}"),
            Op::Swallow(m) => {
                format!("acc = mix(acc, catch_unwind(|| n{m}(dir)).unwrap_or(Ok(701)).unwrap_or(700));")
            }
            Op::FailIf(by) => {
                format!("if acc % {by} == 0 {{ return Err(\"node {n} fails\".to_string()); }}")
            }
            Op::PanicIf(by) => {
                format!("if acc % {by} == 0 {{ resume_unwind(Box::new(\"panic of the program\")); }}")
            }
            Op::FanOut(nodes) => {
                let arms: Vec<String> = nodes.iter().map(|m| format!("{m} => n{m}(dir)")).collect();
                let arms = arms.join(", ");
                format!(
                    "#[allow(unreachable_patterns)]\n    for result in fleche::par_map(&{nodes:?}, |n| match *n {{ {arms}, _ => unreachable!() }}) {{ acc = mix(acc, result?); }}"
                )
            }
        };
        writeln!(text, "    {line}").unwrap();
    }
    writeln!(text, "    Ok(acc % {})\n}}", node.modulus).unwrap();
    text
}

/// What every version has: reads commands and does them.
const HEAD: &str = r#"//! Written by a test.
#![allow(dead_code, unused_imports, unused_mut)]

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use fleche::{Cache, Dependency, Fate, fleche};

fn read(dir: &Path, file: u64) -> u64 {
    fleche::fs::read(dir.join(format!("f{file}"))).map_or(500, |bytes| u64::from(bytes[0]))
}

fn mix(acc: u64, value: u64) -> u64 {
    (acc * 31 + value + 1) % 1009
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let dir = std::path::PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let dir = dir.as_path();
    let cache = Cache::open(dir.join(".fleche")).expect("a cache");
    cache.set_least_image(1);
    let store = cache.store().expect("a store").clone();
    let _scope = fleche::cache(&cache).expect("a scope");
    let ran = Arc::new(Mutex::new(Vec::new()));
    cache.subscribe({
        let ran = ran.clone();
        move |event| if let Fate::Ran { .. } = event.fate { ran.lock().unwrap().push(event.call) }
    });
    let name = |call| (0..16).find(|n| id(dir, *n) == Some(call));
    for line in std::io::stdin().lines() {
        let line = line.expect("a command");
        let (command, n) = line.split_once(' ').expect("a command and a number");
        let n: usize = n.parse().expect("a number");
        match command {
            "ask" | "rerun" => {
                match catch_unwind(AssertUnwindSafe(|| ask(dir, n, command == "rerun"))) {
                    Ok(Ok(value)) => println!("value {value}"),
                    Ok(Err(error)) => println!("failed {error}"),
                    Err(_) => println!("panicked"),
                }
                for call in std::mem::take(&mut *ran.lock().unwrap()) {
                    print!("ran {}", name(call).expect("a function of this program"));
                    // A record that says what the newest of its key says is not written again; so the one in
                    // question is the newest of some key.
                    let mut keys = Vec::new();
                    for record in store.history(&call).expect("a store") {
                        if keys.contains(&record.key) {
                            continue;
                        }
                        keys.push(record.key);
                        print!(" |");
                        for edge in &record.trace {
                            match &edge.dependency {
                                Dependency::Input { name, .. } => print!(" {}", String::from_utf8_lossy(name)),
                                Dependency::Call(call) => match name(*call) {
                                    Some(n) => print!(" n{n}"),
                                    None => print!(" n?"),
                                },
                            }
                        }
                    }
                    println!();
                }
            }
            "gc" => drop(store.gc(&Default::default()).expect("gc")),
            "evict" => drop(store.evict_call(&id(dir, n).expect("a function")).expect("evict")),
            other => panic!("no command {other}"),
        }
        println!(".");
        std::io::stdout().flush().expect("a parent");
    }
}
"#;
