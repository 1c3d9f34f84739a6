//! The programs of the oracle, and the model beside the engine: an interpreter that knows nothing of caching.

#![allow(unreachable_pub, reason = "the oracle's own")]

use std::collections::HashMap;

/// One step of a function's body. `acc` is what the body has computed so far.
#[derive(Debug, Clone)]
pub enum Op {
    Read(usize),
    /// Reads the file that `acc` chooses.
    ReadChosen,
    Exists(usize),
    /// Which files there are, as one input.
    List,
    /// What all files hold, as one input.
    Contents,
    Call(usize),
    /// Calls only if `acc` is even.
    CallIfEven(usize),
    /// Calls, and goes on with a number of its own if that fails.
    Swallow(usize),
    /// The same in branches.
    SwallowEach(Vec<usize>),
    /// Calls, and reads the result where it lies.
    View(usize),
    /// Fails if `acc` is divisible.
    FailIf(u64),
    /// Panics if `acc` is divisible.
    PanicIf(u64),
    FanOut(Vec<usize>),
}

#[derive(Debug, Clone)]
pub struct Program {
    /// Node `n` calls only nodes below `n`.
    pub nodes: Vec<(Vec<Op>, u64)>,
}

impl Program {
    /// Whether a file's content is not all that is seen of it.
    pub fn sees_files_by_other_ways(&self) -> bool {
        let other = |op: &Op| matches!(op, Op::Exists(_) | Op::List | Op::Contents);
        self.nodes.iter().any(|(ops, _)| ops.iter().any(other))
    }
}

/// The last of them is no file but an input that the program sets.
pub const FILES: usize = 5;
pub const NAMED: usize = FILES - 1;

pub const MOST_NODES: usize = 6;

/// The file that `acc` chooses.
pub fn chosen(acc: u64) -> usize {
    usize::try_from(acc % FILES as u64).unwrap()
}

/// What a node begins with.
pub fn start(n: usize, salt: u8) -> u64 {
    n as u64 + 40 * u64::from(salt)
}

pub fn mix(acc: u64, value: u64) -> u64 {
    (acc * 31 + value + 1) % 1009
}

pub fn content(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(500, |bytes| u64::from(bytes[0]))
}

/// What a node comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Value(u64),
    Failed(String),
    Panicked,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    File(usize, Option<u8>),
    Exists(usize, bool),
    Names(Vec<usize>),
    Contents([Option<u8>; NAMED]),
    Node(usize, u64),
}

/// A node evaluated from scratch: its outcome, and its trace if it may be kept.
pub type Evaluated = (Outcome, Option<Vec<Observed>>);

/// What programs depend on.
#[derive(Debug, Clone, Copy, Default)]
pub struct World {
    pub files: [Option<u8>; FILES],
    /// Numbers that the nodes begin with and that nobody tracks.
    pub salts: [u8; MOST_NODES],
}

pub struct Model<'a> {
    program: &'a Program,
    world: World,
    /// What was evaluated: all that today's program comes to from what was asked.
    pub done: HashMap<usize, Evaluated>,
}

impl<'a> Model<'a> {
    pub fn new(program: &'a Program, world: World) -> Self {
        Self { program, world, done: HashMap::new() }
    }

    pub fn evaluate(&mut self, n: usize) -> Evaluated {
        if let Some(done) = self.done.get(&n) {
            return done.clone();
        }
        let evaluated = self.body(n);
        self.done.insert(n, evaluated.clone());
        evaluated
    }

    fn body(&mut self, n: usize) -> Evaluated {
        let (ops, modulus) = self.program.nodes[n].clone();
        let mut acc = start(n, self.world.salts[n]);
        let mut trace = Some(Vec::new());
        let note = |trace: &mut Option<Vec<Observed>>, observed| {
            if let Some(trace) = trace
                && !trace.contains(&observed)
            {
                trace.push(observed);
            }
        };
        for op in ops {
            let swallowing = match &op {
                Op::Swallow(n) => vec![*n],
                Op::SwallowEach(nodes) => nodes.clone(),
                _ => Vec::new(),
            };
            for n in swallowing {
                let (outcome, whole) = self.evaluate(n);
                // What swallowed a failure is not kept, and neither is what called it.
                trace = trace.filter(|_| whole.is_some());
                acc = match outcome {
                    Outcome::Value(value) => {
                        note(&mut trace, Observed::Node(n, value));
                        mix(acc, value)
                    }
                    Outcome::Failed(_) => mix(acc, 700),
                    Outcome::Panicked => mix(acc, 701),
                };
            }
            let calls = match op {
                Op::Read(_) | Op::ReadChosen => {
                    let n = if let Op::Read(n) = op { n } else { chosen(acc) };
                    acc = mix(acc, content(self.world.files[n].as_ref().map(std::slice::from_ref)));
                    note(&mut trace, Observed::File(n, self.world.files[n]));
                    continue;
                }
                Op::Exists(n) => {
                    acc = mix(acc, u64::from(self.world.files[n].is_some()));
                    note(&mut trace, Observed::Exists(n, self.world.files[n].is_some()));
                    continue;
                }
                Op::List => {
                    acc = self.names().into_iter().fold(acc, |acc, n| mix(acc, n as u64));
                    note(&mut trace, Observed::Names(self.names()));
                    continue;
                }
                Op::Contents => {
                    for n in self.names() {
                        acc = mix(
                            mix(acc, n as u64),
                            content(self.world.files[n].as_ref().map(std::slice::from_ref)),
                        );
                    }
                    note(&mut trace, Observed::Contents(self.contents()));
                    continue;
                }
                Op::FailIf(by) if acc.is_multiple_of(by) => {
                    return (Outcome::Failed(format!("node {n} fails")), None);
                }
                Op::PanicIf(by) if acc.is_multiple_of(by) => return (Outcome::Panicked, None),
                Op::FailIf(_) | Op::PanicIf(_) | Op::Swallow(_) | Op::SwallowEach(_) => continue,
                Op::CallIfEven(_) if acc % 2 == 1 => continue,
                Op::Call(n) | Op::CallIfEven(n) | Op::View(n) => vec![n],
                Op::FanOut(nodes) => nodes,
            };
            let evaluated: Vec<Evaluated> = calls.iter().map(|n| self.evaluate(*n)).collect();
            trace = trace.filter(|_| evaluated.iter().all(|(_, whole)| whole.is_some()));
            let outcomes: Vec<Outcome> = evaluated.into_iter().map(|(outcome, _)| outcome).collect();
            // All branches of a fan-out run; a panic goes before a failure.
            if outcomes.contains(&Outcome::Panicked) {
                return (Outcome::Panicked, None);
            }
            for (n, outcome) in calls.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Value(value) => {
                        note(&mut trace, Observed::Node(n, value));
                        acc = mix(acc, value);
                    }
                    failure => return (failure, None),
                }
            }
        }
        (Outcome::Value(acc % modulus), trace)
    }

    /// The files that are there.
    fn names(&self) -> Vec<usize> {
        (0..NAMED).filter(|n| self.world.files[*n].is_some()).collect()
    }

    fn contents(&self) -> [Option<u8>; NAMED] {
        std::array::from_fn(|n| self.world.files[n])
    }

    /// Whether every dependency is today as it was observed.
    pub fn holds(&mut self, trace: &[Observed]) -> bool {
        trace.iter().all(|observed| match observed {
            Observed::File(n, content) => self.world.files[*n] == *content,
            Observed::Exists(n, exists) => self.world.files[*n].is_some() == *exists,
            Observed::Names(names) => self.names() == *names,
            Observed::Contents(contents) => self.contents() == *contents,
            Observed::Node(n, value) => {
                matches!(self.evaluate(*n), (Outcome::Value(today), Some(_)) if today == *value)
            }
        })
    }
}
