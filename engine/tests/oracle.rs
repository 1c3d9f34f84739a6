//! Random programs under random edits: the incremental result equals the one from scratch, after every step, and
//! nothing runs whose recorded dependencies are as they were. What is recorded is the trace of one thread, whatever the
//! number of threads.
//!
//! The model beside the engine is an interpreter that knows nothing of caching. `FLECHE_ORACLE_CASES` sets the
//! number of programs. Versions of a program, processes that are killed and cycles that come and go are the other oracle's
//! (`tests/tests/versions.rs`).

use std::collections::HashMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, LazyLock, Mutex};

use fleche::{Cache, Dependency, Fate, Input, fleche};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// One step of a function's body. `acc` is what the body has computed so far.
#[derive(Debug, Clone)]
enum Op {
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
struct Program {
    /// Node `n` calls only nodes below `n`.
    nodes: Vec<(Vec<Op>, u64)>,
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, u8),
    Remove(usize),
    Touch(usize),
    /// Replaced through a rename, as editors do.
    Replace(usize, u8),
    Rename(usize, usize),
    Ask(usize),
    Rerun(usize),
    Restart,
    Evict(usize),
    Collect,
    /// Two threads ask at once.
    AskBoth(usize, usize),
}

/// The last of them is no file but an input that the program sets.
const FILES: usize = 5;
const NAMED: usize = FILES - 1;

type Running = (Arc<Program>, Input<Option<u8>>);

static PROGRAMS: LazyLock<Mutex<HashMap<PathBuf, Running>>> = LazyLock::new(Mutex::default);

fn file(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("f{n}"))
}

/// The number in a file's name.
fn number(name: &std::ffi::OsStr) -> u64 {
    name.to_str().unwrap()[1..].parse().unwrap()
}

/// The file that `acc` chooses.
fn chosen(acc: u64) -> usize {
    usize::try_from(acc % FILES as u64).unwrap()
}

fn mix(acc: u64, value: u64) -> u64 {
    (acc * 31 + value + 1) % 1009
}

fn content(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(500, |bytes| u64::from(bytes[0]))
}

/// The program under test.
#[fleche(hash_code = false)]
fn node(dir: &Path, n: usize) -> Result<u64, String> {
    let (program, input) = PROGRAMS.lock().unwrap()[dir].clone();
    let (ops, modulus) = &program.nodes[n];
    let mut acc = n as u64;
    let read = |n| {
        if n == NAMED {
            return input.get().map(|byte| vec![byte]);
        }
        fleche::fs::read(file(dir, n)).ok()
    };
    for op in ops {
        match op {
            Op::Read(n) => acc = mix(acc, content(read(*n).as_deref())),
            Op::ReadChosen => acc = mix(acc, content(read(chosen(acc)).as_deref())),
            Op::Exists(n) => acc = mix(acc, u64::from(fleche::fs::exists(file(dir, *n)).unwrap())),
            Op::List => {
                let names = fleche::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
                acc = names.fold(acc, |acc, name| mix(acc, number(&name)));
            }
            Op::Contents => {
                let tree = fleche::fs::glob(&format!("{}/f*", dir.display())).unwrap().contents().unwrap();
                for entry in tree.entries() {
                    let bytes = tree.read(entry.path()).unwrap();
                    acc = mix(mix(acc, number(&entry.file_name())), content(Some(&bytes)));
                }
            }
            Op::Call(n) => acc = mix(acc, node(dir, *n)?),
            Op::CallIfEven(n) if acc.is_multiple_of(2) => acc = mix(acc, node(dir, *n)?),
            Op::Swallow(n) => acc = mix(acc, swallow(dir, *n)),
            Op::SwallowEach(nodes) => {
                acc = fleche::par_map(nodes, |n| swallow(dir, *n)).into_iter().fold(acc, mix);
            }
            Op::View(n) => acc = mix(acc, node::view(dir, *n)?.to_native()),
            Op::FailIf(by) if acc.is_multiple_of(*by) => return Err(format!("node {n} fails")),
            Op::PanicIf(by) if acc.is_multiple_of(*by) => {
                std::panic::resume_unwind(Box::new("panic of the program"))
            }
            Op::CallIfEven(_) | Op::FailIf(_) | Op::PanicIf(_) => {}
            Op::FanOut(nodes) => {
                for result in fleche::par_map(nodes, |n| node(dir, *n)) {
                    acc = mix(acc, result?);
                }
            }
        }
    }
    Ok(acc % modulus)
}

fn swallow(dir: &Path, n: usize) -> u64 {
    // Every other one as a view: that is another way through the engine.
    let call =
        || if n.is_multiple_of(2) { node(dir, n) } else { node::view(dir, n).map(|value| value.to_native()) };
    catch_unwind(call).unwrap_or(Ok(701)).unwrap_or(700)
}

/// What a node comes to.
#[derive(Debug, Clone, PartialEq)]
enum Outcome {
    Value(u64),
    Failed(String),
    Panicked,
}

#[derive(Debug, Clone, PartialEq)]
enum Observed {
    File(usize, Option<u8>),
    Exists(usize, bool),
    Names(Vec<usize>),
    Contents([Option<u8>; NAMED]),
    Node(usize, u64),
}

/// A node evaluated from scratch: its outcome, and its trace if it may be kept.
type Evaluated = (Outcome, Option<Vec<Observed>>);

struct Model<'a> {
    program: &'a Program,
    files: [Option<u8>; FILES],
    done: HashMap<usize, Evaluated>,
}

impl Model<'_> {
    fn evaluate(&mut self, n: usize) -> Evaluated {
        if let Some(done) = self.done.get(&n) {
            return done.clone();
        }
        let evaluated = self.body(n);
        self.done.insert(n, evaluated.clone());
        evaluated
    }

    fn body(&mut self, n: usize) -> Evaluated {
        let (ops, modulus) = self.program.nodes[n].clone();
        let mut acc = n as u64;
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
                    acc = mix(acc, content(self.files[n].as_ref().map(std::slice::from_ref)));
                    note(&mut trace, Observed::File(n, self.files[n]));
                    continue;
                }
                Op::Exists(n) => {
                    acc = mix(acc, u64::from(self.files[n].is_some()));
                    note(&mut trace, Observed::Exists(n, self.files[n].is_some()));
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
                            content(self.files[n].as_ref().map(std::slice::from_ref)),
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
        (0..NAMED).filter(|n| self.files[*n].is_some()).collect()
    }

    fn contents(&self) -> [Option<u8>; NAMED] {
        std::array::from_fn(|n| self.files[n])
    }

    /// Whether every dependency is today as it was observed.
    fn holds(&mut self, trace: &[Observed]) -> bool {
        trace.iter().all(|observed| match observed {
            Observed::File(n, content) => self.files[*n] == *content,
            Observed::Exists(n, exists) => self.files[*n].is_some() == *exists,
            Observed::Names(names) => self.names() == *names,
            Observed::Contents(contents) => self.contents() == *contents,
            Observed::Node(n, value) => {
                matches!(self.evaluate(*n), (Outcome::Value(today), Some(_)) if today == *value)
            }
        })
    }
}

struct Bench {
    dir: tempfile::TempDir,
    cache: Cache,
    scope: Option<fleche::Scope>,
    ran: Arc<Mutex<Vec<usize>>>,
    input: Input<Option<u8>>,
    /// Flat forms from walks through so many calls, and images of all graphs: the programs are too small for the usual
    /// ones.
    least_cover: Option<usize>,
}

impl Bench {
    fn new(program: &Program, on_disk: bool, least_cover: Option<usize>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let input = Input::new(format!("{}", dir.path().display()), None).unwrap();
        PROGRAMS.lock().unwrap().insert(dir.path().to_path_buf(), (Arc::new(program.clone()), input.clone()));
        let cache = if on_disk {
            Cache::open(dir.path().join(".fleche")).unwrap()
        } else {
            Cache::with_store(fleche::Store::memory(), dir.path())
        };
        let mut bench = Self { dir, cache, scope: None, ran: Arc::default(), input, least_cover };
        bench.enter();
        bench
    }

    /// What a new process would see: the same store, and nothing remembered in memory.
    fn restart(&mut self) {
        let store = self.cache.store().unwrap();
        self.cache = match store.dir() {
            Some(dir) => Cache::open(dir).unwrap(),
            None => Cache::with_store(store.clone(), self.dir.path()),
        };
        self.enter();
    }

    fn enter(&mut self) {
        self.scope = None;
        self.scope = Some(fleche::cache(&self.cache).unwrap());
        if let Some(calls) = self.least_cover {
            self.cache.set_least_cover(calls);
            self.cache.set_least_image(1);
        }
        let ran = self.ran.clone();
        self.cache.subscribe(move |event| {
            if let Fate::Ran { .. } = event.fate {
                let (_, n) = event.arguments.rsplit_once(", ").unwrap();
                ran.lock().unwrap().push(n.parse().unwrap());
            }
        });
    }

    /// What is recorded of the node's run is this, in this order.
    fn assert_recorded(&self, n: usize, trace: &[Observed]) {
        let record = self.cache.store().unwrap().newest(&node::digest(self.dir.path(), n)).unwrap().unwrap();
        let is = |edge: &fleche::Edge, observed: &Observed| match (&edge.dependency, observed) {
            (Dependency::Call(call), Observed::Node(n, _)) => *call == node::digest(self.dir.path(), *n),
            (Dependency::Input { name, .. }, Observed::File(n, _)) if *n < NAMED => {
                name.ends_with(format!("f{n}").as_bytes())
            }
            (Dependency::Input { .. }, Observed::Node(..)) | (Dependency::Call(_), _) => false,
            (Dependency::Input { .. }, _) => true,
        };
        let same = record.trace.len() == trace.len()
            && record.trace.iter().zip(trace).all(|(edge, own)| is(edge, own));
        assert!(same, "the trace of node {n} is {:?}, and not {trace:?}", record.trace);
    }

    fn outcome(result: std::thread::Result<Result<u64, String>>) -> Outcome {
        match result {
            Ok(Ok(value)) => Outcome::Value(value),
            Ok(Err(error)) => Outcome::Failed(error),
            Err(panic) if panic.is::<&str>() => Outcome::Panicked,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        PROGRAMS.lock().unwrap().remove(self.dir.path());
    }
}

/// How many steps there were, in all programs.
static STEPS: AtomicU64 = AtomicU64::new(0);

fn check(program: &Program, steps: &[Step], on_disk: bool, least_cover: Option<usize>) {
    let mut bench = Bench::new(program, on_disk, least_cover);
    let dir = bench.dir.path().to_path_buf();
    let mut files = [None; FILES];
    let mut recorded: HashMap<usize, Vec<Vec<Observed>>> = HashMap::new();
    for step in steps {
        STEPS.fetch_add(1, Ordering::Relaxed);
        let last = program.nodes.len() - 1;
        let mut beside = None;
        let (asked, forced) = match step {
            Step::Write(NAMED, byte) | Step::Replace(NAMED, byte) => {
                bench.input.set(Some(*byte)).unwrap();
                files[NAMED] = Some(*byte);
                (last, false)
            }
            Step::Remove(NAMED) => {
                bench.input.set(None).unwrap();
                files[NAMED] = None;
                (last, false)
            }
            Step::Write(n, byte) => {
                fs::write(file(&dir, *n), [*byte]).unwrap();
                files[*n] = Some(*byte);
                (last, false)
            }
            Step::Replace(n, byte) => {
                let new = dir.with_extension("new");
                fs::write(&new, [*byte]).unwrap();
                fs::rename(new, file(&dir, *n)).unwrap();
                files[*n] = Some(*byte);
                (last, false)
            }
            Step::Rename(from, to) => {
                if from != to && files[*from].is_some() {
                    fs::rename(file(&dir, *from), file(&dir, *to)).unwrap();
                    files[*to] = files[*from].take();
                }
                (last, false)
            }
            Step::Remove(n) => {
                let _ = fs::remove_file(file(&dir, *n));
                files[*n] = None;
                (last, false)
            }
            Step::Touch(n) => {
                if let Ok(file) = fs::File::options().append(true).open(file(&dir, *n)) {
                    file.set_modified(std::time::SystemTime::now()).unwrap();
                }
                (last, false)
            }
            Step::Ask(n) => (n % program.nodes.len(), false),
            Step::Rerun(n) => (n % program.nodes.len(), true),
            Step::Restart => {
                bench.restart();
                (last, false)
            }
            Step::Collect => {
                bench.cache.store().unwrap().gc(&fleche_store::GcOptions::default()).unwrap();
                (last, false)
            }
            Step::AskBoth(a, b) => {
                beside = Some(b % program.nodes.len());
                (a % program.nodes.len(), false)
            }
            Step::Evict(n) => {
                let n = n % program.nodes.len();
                bench.cache.store().unwrap().evict_call(&node::digest(&dir, n)).unwrap();
                bench.restart();
                recorded.remove(&n);
                // Whoever depends on it cannot be verified without its record, and runs.
                recorded.clear();
                (last, false)
            }
        };
        bench.ran.lock().unwrap().clear();
        let call = || if forced { node::rerun(&dir, asked) } else { node(&dir, asked) };
        let mut model = Model { program, files, done: HashMap::new() };
        let outcome = if let Some(beside) = beside {
            let both = Barrier::new(2);
            let (outcome, other) = std::thread::scope(|threads| {
                let other = threads.spawn(|| {
                    let _scope = fleche::cache(&bench.cache).unwrap();
                    both.wait();
                    Bench::outcome(catch_unwind(AssertUnwindSafe(|| node(&dir, beside))))
                });
                both.wait();
                (Bench::outcome(catch_unwind(AssertUnwindSafe(call))), other.join().unwrap())
            });
            assert_eq!(other, model.evaluate(beside).0, "on another thread after {step:?}");
            outcome
        } else {
            Bench::outcome(catch_unwind(AssertUnwindSafe(call)))
        };
        assert_eq!(outcome, model.evaluate(asked).0, "after {step:?}");
        let mut ran = std::mem::take(&mut *bench.ran.lock().unwrap());
        ran.sort_unstable();
        if !forced {
            let runs = ran.len();
            ran.dedup();
            assert_eq!(ran.len(), runs, "a call ran twice after {step:?}");
        }
        for n in ran {
            let traces = recorded.entry(n).or_default();
            if !forced {
                let held = traces.iter().rev().take(8).find(|trace| model.holds(trace));
                assert!(held.is_none(), "node {n} ran after {step:?} although {held:?} holds");
            }
            let trace = model.evaluate(n).1.expect("what is kept has a trace");
            bench.assert_recorded(n, &trace);
            traces.retain(|other| *other != trace);
            traces.push(trace);
        }
    }
}

fn ops(below: usize) -> impl Strategy<Value = Vec<Op>> {
    let read = prop_oneof![
        5 => (0..FILES).prop_map(Op::Read),
        2 => Just(Op::ReadChosen),
        1 => (0..NAMED).prop_map(Op::Exists),
        1 => Just(Op::List),
        1 => Just(Op::Contents),
    ];
    let rare = prop_oneof![(3..6_u64).prop_map(Op::FailIf), (4..7_u64).prop_map(Op::PanicIf)];
    let op = if below == 0 {
        prop_oneof![4 => read.boxed(), 1 => rare.boxed()].boxed()
    } else {
        let call = prop_oneof![
            4 => (0..below).prop_map(Op::Call),
            2 => (0..below).prop_map(Op::CallIfEven),
            2 => (0..below).prop_map(Op::Swallow),
            1 => prop::collection::vec(0..below, 2..4).prop_map(Op::FanOut),
            1 => prop::collection::vec(0..below, 2..4).prop_map(Op::SwallowEach),
            1 => (0..below).prop_map(Op::View),
        ];
        prop_oneof![3 => read.boxed(), 6 => call.boxed(), 1 => rare.boxed()].boxed()
    };
    prop::collection::vec(op, 1..5)
}

fn program() -> impl Strategy<Value = Program> {
    (2..7_usize)
        .prop_flat_map(|count| (0..count).map(|n| (ops(n), 2..6_u64)).collect::<Vec<_>>())
        .prop_map(|nodes| Program { nodes })
}

fn step() -> impl Strategy<Value = Step> {
    let byte = 0..3_u8;
    prop_oneof![
        6 => (0..FILES, byte.clone()).prop_map(|(n, byte)| Step::Write(n, byte)),
        2 => (0..FILES, byte).prop_map(|(n, byte)| Step::Replace(n, byte)),
        2 => (0..FILES).prop_map(Step::Remove),
        1 => (0..NAMED, 0..NAMED).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (0..FILES).prop_map(Step::Touch),
        4 => (0..8_usize).prop_map(Step::Ask),
        1 => (0..8_usize).prop_map(Step::Rerun),
        2 => Just(Step::Restart),
        1 => (0..8_usize).prop_map(Step::Evict),
        1 => Just(Step::Collect),
        1 => (0..8_usize, 0..8_usize).prop_map(|(a, b)| Step::AskBoth(a, b)),
    ]
}

fn cases() -> u32 {
    std::env::var("FLECHE_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}

#[test]
fn incremental_equals_from_scratch() {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let least_cover = prop_oneof![Just(None), (0..4_usize).prop_map(Some)];
    let run = (program(), prop::collection::vec(step(), 1..40), any::<bool>(), least_cover, 0..4_usize);
    let result = TestRunner::new(config).run(&run, |(program, steps, on_disk, least_cover, threads)| {
        fleche::private::set_spare_threads(threads);
        check(&program, &steps, on_disk, least_cover);
        Ok(())
    });
    println!("{} programs, {} steps", cases(), STEPS.load(Ordering::Relaxed));
    if let Err(found) = result {
        panic!("{found}");
    }
}

/// Found by the programs above. A body reads a file that its callee read once and does not read now, and the file has
/// changed: the callee has to be looked at again, and still holds.
#[test]
fn what_a_callee_has_ceased_to_read_is_nothing_to_its_callers() {
    let program = Program {
        nodes: vec![
            (vec![Op::Read(2), Op::Contents, Op::ReadChosen], 3),
            (vec![Op::Call(0), Op::Contents, Op::Read(0)], 2),
            (vec![Op::Read(0)], 2),
            (vec![Op::Call(1)], 2),
        ],
    };
    let steps = [Step::Write(0, 0), Step::Write(0, 1), Step::Write(0, 0), Step::Write(0, 0)];
    check(&program, &steps, false, None);
    check(&program, &steps, true, None);
}
