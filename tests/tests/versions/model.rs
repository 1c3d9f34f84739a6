//! The program as it is meant: an interpreter that knows nothing of caching.

use std::collections::HashMap;

use crate::program::{FILES, Op, Version};

/// What a function comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Value(u64),
    Failed(String),
    Panicked,
}

/// What a function's body met, with what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Observed {
    File(usize, Option<u8>),
    Node(usize, u64),
}

impl Observed {
    /// The dependency as the program under test prints it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(n, _) => format!("f{n}"),
            Self::Node(n, _) => format!("n{n}"),
        }
    }
}

/// The outcome, and the trace if the result may be kept.
pub(crate) type Evaluated = (Outcome, Option<Vec<Observed>>);

/// One version over one state of the files.
pub(crate) struct Model<'a> {
    version: &'a Version,
    files: [Option<u8>; FILES],
    done: HashMap<usize, Evaluated>,
    running: Vec<usize>,
}

fn mix(acc: u64, value: u64) -> u64 {
    (acc * 31 + value + 1) % 1009
}

impl<'a> Model<'a> {
    pub(crate) fn new(version: &'a Version, files: [Option<u8>; FILES]) -> Self {
        Self { version, files, done: HashMap::new(), running: Vec::new() }
    }

    pub(crate) fn evaluate(&mut self, n: usize) -> Evaluated {
        if let Some(done) = self.done.get(&n) {
            return done.clone();
        }
        if self.running.contains(&n) {
            return (Outcome::Panicked, None);
        }
        self.running.push(n);
        let evaluated = self.body(n);
        self.running.pop();
        // What may have met a cycle depends on who asked.
        if evaluated.1.is_some() {
            self.done.insert(n, evaluated.clone());
        }
        evaluated
    }

    fn body(&mut self, n: usize) -> Evaluated {
        let node = self.version.0[n].as_ref().expect("only what is there is called");
        let mut acc = n as u64;
        let mut trace = Some(Vec::new());
        let note = |trace: &mut Option<Vec<Observed>>, observed| {
            if let Some(trace) = trace
                && !trace.contains(&observed)
            {
                trace.push(observed);
            }
        };
        for op in &node.ops {
            let calls = match op {
                Op::Read(_) | Op::ReadChosen => {
                    let file = if let Op::Read(file) = op {
                        *file
                    } else {
                        usize::try_from(acc % FILES as u64).expect("small")
                    };
                    acc = mix(acc, self.files[file].map_or(500, u64::from));
                    note(&mut trace, Observed::File(file, self.files[file]));
                    continue;
                }
                Op::FailIf(by) if acc.is_multiple_of(*by) => {
                    return (Outcome::Failed(format!("node {n} fails")), None);
                }
                Op::PanicIf(by) if acc.is_multiple_of(*by) => return (Outcome::Panicked, None),
                Op::FailIf(_) | Op::PanicIf(_) => continue,
                Op::CallIfEven(_) if acc % 2 == 1 => continue,
                Op::Swallow(callee) => {
                    let (outcome, whole) = self.evaluate(*callee);
                    // What swallowed a failure is not kept, and neither is what called it.
                    trace = trace.filter(|_| whole.is_some());
                    match outcome {
                        Outcome::Value(value) => {
                            note(&mut trace, Observed::Node(*callee, value));
                            acc = mix(acc, value);
                        }
                        Outcome::Failed(_) => acc = mix(acc, 700),
                        Outcome::Panicked => acc = mix(acc, 701),
                    }
                    continue;
                }
                Op::Call(callee) | Op::CallIfEven(callee) => vec![*callee],
                Op::FanOut(callees) => callees.clone(),
            };
            let evaluated: Vec<Evaluated> = calls.iter().map(|n| self.evaluate(*n)).collect();
            trace = trace.filter(|_| evaluated.iter().all(|(_, whole)| whole.is_some()));
            let outcomes: Vec<Outcome> = evaluated.into_iter().map(|(outcome, _)| outcome).collect();
            // All branches of a fan-out run; a panic goes before a failure.
            if outcomes.contains(&Outcome::Panicked) {
                return (Outcome::Panicked, None);
            }
            for (callee, outcome) in calls.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Value(value) => {
                        note(&mut trace, Observed::Node(callee, value));
                        acc = mix(acc, value);
                    }
                    failure => return (failure, None),
                }
            }
        }
        (Outcome::Value(acc % node.modulus), trace)
    }

    /// Whether every dependency is today as it was observed.
    pub(crate) fn holds(&mut self, trace: &[Observed]) -> bool {
        trace.iter().all(|observed| match observed {
            Observed::File(n, content) => self.files[*n] == *content,
            Observed::Node(n, value) => {
                self.version.0[*n].is_some()
                    && matches!(self.evaluate(*n), (Outcome::Value(today), Some(_)) if today == *value)
            }
        })
    }
}
