//! Random programs under random edits: the incremental result equals the one from scratch, after every step, and
//! nothing runs whose recorded dependencies are as they were. What is recorded is the trace of one thread, whatever the
//! number of threads.
//!
//! The model beside the engine is an interpreter that knows nothing of caching. `FLECHE_ORACLE_CASES` sets the
//! number of programs. Versions of a program, processes that are killed and cycles that come and go are the other oracle's
//! (`tests/tests/versions.rs`).

#[path = "oracle/model.rs"]
mod model;

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, LazyLock, Mutex};

use fleche::{Cache, Dependency, Fate, Input, Watch, Watcher, fleche};
use model::{
    FILES, MOST_NODES, Model, NAMED, Observed, Op, Outcome, Program, World, chosen, content, mix, start,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[derive(Debug, Clone)]
enum Edit {
    Write(usize, u8),
    /// Replaced through a rename, as editors do.
    Replace(usize, u8),
    Remove(usize),
}

#[derive(Debug, Clone)]
enum Step {
    Edit(Edit),
    Touch(usize),
    Rename(usize, usize),
    Ask(usize),
    Rerun(usize),
    Restart,
    Evict(usize),
    Collect,
    /// Two threads ask at once.
    AskBoth(usize, usize),
    /// Asks, or runs again; another thread makes the edit when the bodies have taken so many steps, or afterwards.
    During(usize, bool, usize, Edit),
    /// What nobody tracks is different, and the node is invalidated by hand.
    Invalidate(usize, u8),
    /// What nobody tracks is different, and the node is run again.
    RerunOther(usize, u8),
}

/// A program under test, as its bodies find it.
struct Running {
    program: Program,
    input: Input<Option<u8>>,
    salts: Mutex<[u8; MOST_NODES]>,
    /// How many steps the bodies take before this edit is made.
    later: Mutex<Option<(usize, Edit)>>,
}

static PROGRAMS: LazyLock<Mutex<HashMap<PathBuf, Arc<Running>>>> = LazyLock::new(Mutex::default);

impl Running {
    fn edit(&self, dir: &Path, edit: &Edit) {
        match *edit {
            Edit::Write(NAMED, byte) | Edit::Replace(NAMED, byte) => {
                self.input.set(Some(byte)).unwrap();
            }
            Edit::Remove(NAMED) => {
                self.input.set(None).unwrap();
            }
            Edit::Write(n, byte) => {
                // Not truncated: nobody sees an empty file.
                let file = fs::File::options().write(true).create(true).truncate(false).open(file(dir, n));
                file.unwrap().write_all(&[byte]).unwrap();
            }
            Edit::Replace(n, byte) => {
                let new = dir.with_extension("new");
                fs::write(&new, [byte]).unwrap();
                fs::rename(new, file(dir, n)).unwrap();
            }
            Edit::Remove(n) => {
                let _ = fs::remove_file(file(dir, n));
            }
        }
    }

    /// A body takes a step.
    fn tick(&self, dir: &Path) {
        let mut later = self.later.lock().unwrap();
        let due = later.as_mut().is_some_and(|(left, _)| {
            *left = left.wrapping_sub(1);
            *left == usize::MAX
        });
        let due = later.take_if(|_| due);
        drop(later);
        if let Some((_, edit)) = due {
            std::thread::scope(|threads| threads.spawn(|| self.edit(dir, &edit)).join().unwrap());
        }
    }
}

impl Edit {
    fn target(&self) -> usize {
        match *self {
            Self::Write(n, _) | Self::Replace(n, _) | Self::Remove(n) => n,
        }
    }

    fn of(&self, world: &mut World) {
        match *self {
            Self::Write(n, byte) | Self::Replace(n, byte) => world.files[n] = Some(byte),
            Self::Remove(n) => world.files[n] = None,
        }
    }
}

fn file(dir: &Path, n: usize) -> PathBuf {
    dir.join(format!("f{n}"))
}

/// The number in a file's name.
fn number(name: &std::ffi::OsStr) -> u64 {
    name.to_str().unwrap()[1..].parse().unwrap()
}

/// The program under test.
#[fleche(hash_code = false)]
fn node(dir: &Path, n: usize) -> Result<u64, String> {
    let running = PROGRAMS.lock().unwrap()[dir].clone();
    let (ops, modulus) = &running.program.nodes[n];
    let mut acc = start(n, running.salts.lock().unwrap()[n]);
    let read = |n| {
        if n == NAMED {
            return running.input.get().map(|byte| vec![byte]);
        }
        fleche::fs::read(file(dir, n)).ok()
    };
    for op in ops {
        running.tick(dir);
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
                    let bytes = tree.read(entry.path()).map_err(|error| error.to_string())?;
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
            Op::PanicIf(by) if acc.is_multiple_of(*by) => resume_unwind(Box::new("panic of the program")),
            Op::CallIfEven(_) | Op::FailIf(_) | Op::PanicIf(_) => {}
            Op::FanOut(nodes) => {
                for result in fleche::par_map(nodes, |n| node(dir, *n)) {
                    acc = mix(acc, result?);
                }
            }
        }
    }
    running.tick(dir);
    Ok(acc % modulus)
}

fn swallow(dir: &Path, n: usize) -> u64 {
    // Every other one as a view: that is another way through the engine.
    let call =
        || if n.is_multiple_of(2) { node(dir, n) } else { node::view(dir, n).map(|value| value.to_native()) };
    catch_unwind(call).unwrap_or(Ok(701)).unwrap_or(700)
}

struct Bench {
    dir: tempfile::TempDir,
    cache: Cache,
    scope: Option<fleche::Scope>,
    ran: Arc<Mutex<Vec<usize>>>,
    running: Arc<Running>,
    watched: bool,
    watcher: Option<Watcher>,
    /// Flat forms from walks through so many calls, and images of all graphs: the programs are too small for the usual
    /// ones.
    least_cover: Option<usize>,
}

impl Bench {
    fn new(program: &Program, on_disk: bool, watched: bool, least_cover: Option<usize>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let input = Input::new(format!("{}", dir.path().display()), None).unwrap();
        let salts = Mutex::default();
        let running = Arc::new(Running { program: program.clone(), input, salts, later: Mutex::default() });
        PROGRAMS.lock().unwrap().insert(dir.path().to_path_buf(), running.clone());
        let cache = if on_disk {
            Cache::open(dir.path().join(".fleche")).unwrap()
        } else {
            Cache::with_store(fleche::Store::memory(), dir.path())
        };
        // Only Linux can be asked at the start of a call what has changed.
        let watched = watched && cfg!(target_os = "linux");
        let (ran, watcher, scope) = (Arc::default(), None, None);
        let mut bench = Self { dir, cache, scope, ran, running, watched, watcher, least_cover };
        bench.enter();
        bench
    }

    /// What a new process would see: the same store, and nothing remembered in memory.
    fn restart(&mut self) {
        self.watcher = None;
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
        self.watcher = self.watched.then(|| Watch::new([self.dir.path()]).start(|_| ()).unwrap());
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

    /// Whether this, in this order, is what is recorded of the node's last run.
    fn has_recorded(&self, n: usize, trace: &[Observed]) -> bool {
        let edges = self.recorded(n);
        let is = |edge: &fleche::Edge, observed: &Observed| match (&edge.dependency, observed) {
            (Dependency::Call(call), Observed::Node(n, _)) => *call == node::digest(self.dir.path(), *n),
            (Dependency::Input { name, .. }, Observed::File(n, _)) if *n < NAMED => {
                name.ends_with(format!("f{n}").as_bytes())
            }
            (Dependency::Input { .. }, Observed::Node(..)) | (Dependency::Call(_), _) => false,
            (Dependency::Input { .. }, _) => true,
        };
        edges.len() == trace.len() && edges.iter().zip(trace).all(|(edge, own)| is(edge, own))
    }

    fn recorded(&self, n: usize) -> Vec<fleche::Edge> {
        let record = self.cache.store().unwrap().newest(&node::digest(self.dir.path(), n)).unwrap();
        record.unwrap().trace.clone()
    }

    fn assert_recorded(&self, n: usize, trace: &[Observed]) {
        let same = self.has_recorded(n, trace);
        assert!(same, "the trace of node {n} is {:?}, and not {trace:?}", self.recorded(n));
    }

    fn outcome(result: std::thread::Result<Result<u64, String>>) -> Outcome {
        match result {
            Ok(Ok(value)) => Outcome::Value(value),
            Ok(Err(error)) => Outcome::Failed(error),
            Err(panic) if panic.is::<&str>() => Outcome::Panicked,
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        PROGRAMS.lock().unwrap().remove(self.dir.path());
    }
}

/// How many programs and steps there were, and which program was the first to go wrong.
static CASES: AtomicU64 = AtomicU64::new(0);
static STEPS: AtomicU64 = AtomicU64::new(0);
static WRONG: AtomicU64 = AtomicU64::new(u64::MAX);

/// What one step has made of the world, and what is asked after it.
struct Asked {
    node: usize,
    forced: bool,
    /// By another thread at once.
    beside: Option<usize>,
    /// What it may be answered from.
    worlds: [World; 2],
}

impl Bench {
    fn take(&mut self, step: &Step, world: &mut World, recorded: &mut Recorded) -> Asked {
        let (program, dir) = (&self.running.program, self.dir.path());
        let nodes = program.nodes.len();
        let (mut node, mut forced, mut beside, mut before) = (nodes - 1, false, None, None);
        match step {
            Step::Edit(edit) => {
                self.running.edit(dir, edit);
                edit.of(world);
            }
            Step::Rename(from, to) => {
                if from != to && world.files[*from].is_some() {
                    fs::rename(file(dir, *from), file(dir, *to)).unwrap();
                    world.files[*to] = world.files[*from].take();
                }
            }
            Step::Touch(n) => {
                if let Ok(file) = fs::File::options().append(true).open(file(dir, *n)) {
                    file.set_modified(std::time::SystemTime::now()).unwrap();
                }
            }
            Step::Ask(n) => node = n % nodes,
            Step::Rerun(n) => (node, forced) = (n % nodes, true),
            Step::Restart => self.restart(),
            Step::Collect => {
                self.cache.store().unwrap().gc(&fleche_store::GcOptions::default()).unwrap();
            }
            Step::AskBoth(a, b) => (node, beside) = (a % nodes, Some(b % nodes)),
            Step::Evict(n) => {
                self.cache.store().unwrap().evict_call(&node::digest(dir, n % nodes)).unwrap();
                self.restart();
                // Whoever depends on it cannot be verified without its record, and runs.
                recorded.clear();
            }
            Step::During(n, again, steps, edit) => {
                (node, forced) = (n % nodes, *again);
                *self.running.later.lock().unwrap() = Some((*steps, edit.clone()));
                before = Some(*world);
                edit.of(world);
            }
            Step::Invalidate(n, salt) => {
                let n = n % nodes;
                self.cache.invalidate(node::digest(dir, n)).unwrap();
                world.salts[n] = *salt;
                recorded.remove(&n);
            }
            Step::RerunOther(n, salt) => {
                let mut other = *world;
                other.salts[n % nodes] = *salt;
                // What was recorded under other inputs would still have the other result, so it goes; and where nothing
                // is kept that the graph could learn of, it would not.
                if Model::new(program, other).evaluate(n % nodes).1.is_some() {
                    (node, forced, *world) = (n % nodes, true, other);
                    self.cache.store().unwrap().evict_call(&node::digest(dir, node)).unwrap();
                    recorded.remove(&node);
                }
            }
        }
        *self.running.salts.lock().unwrap() = world.salts;
        Asked { node, forced, beside, worlds: [before.unwrap_or(*world), *world] }
    }

    /// Asks, on two threads if that is wanted.
    fn ask(&self, asked: &Asked) -> (Outcome, Option<Outcome>) {
        let (dir, cache) = (self.dir.path(), &self.cache);
        let call = || if asked.forced { node::rerun(dir, asked.node) } else { node(dir, asked.node) };
        let Some(beside) = asked.beside else {
            return (Self::outcome(catch_unwind(AssertUnwindSafe(call))), None);
        };
        let both = Barrier::new(2);
        std::thread::scope(|threads| {
            let other = threads.spawn(|| {
                let _scope = fleche::cache(cache).unwrap();
                both.wait();
                Self::outcome(catch_unwind(AssertUnwindSafe(|| node(dir, beside))))
            });
            both.wait();
            (Self::outcome(catch_unwind(AssertUnwindSafe(call))), Some(other.join().unwrap()))
        })
    }
}

/// What is known to be recorded of each node, in the order of the records.
type Recorded = HashMap<usize, Vec<Vec<Observed>>>;

fn check(program: &Program, steps: &[Step], on_disk: bool, watched: bool, least_cover: Option<usize>) {
    let mut bench = Bench::new(program, on_disk, watched, least_cover);
    let (mut world, mut recorded) = (World::default(), Recorded::new());
    for step in steps {
        STEPS.fetch_add(1, Ordering::Relaxed);
        let asked = bench.take(step, &mut world, &mut recorded);
        bench.ran.lock().unwrap().clear();
        let (outcome, other) = bench.ask(&asked);
        let [mut before, mut model] = asked.worlds.map(|world| Model::new(program, world));
        let late = bench.running.later.lock().unwrap().take();
        let during = matches!(step, Step::During(..));
        // A file, whether it is there, and a directory with it in are inputs apart: of these a call may see one as it was
        // and another as it is. Its record holds for neither, which the next steps check.
        let mixed = matches!(step, Step::During(.., edit) if edit.target() < NAMED)
            && program.sees_files_by_other_ways();
        if let Some((_, edit)) = &late {
            bench.running.edit(bench.dir.path(), edit);
            model = Model::new(program, asked.worlds[0]);
        }
        let now = model.evaluate(asked.node).0;
        // Edited while it ran: one picture or the other, and no mixture.
        if outcome != now && !mixed {
            assert!(during, "after {step:?}: {outcome:?}, and not {now:?}");
            let then = before.evaluate(asked.node).0;
            assert_eq!(outcome, then, "after {step:?}, which would now be {now:?}");
        }
        if let (Some(other), Some(beside)) = (other, asked.beside) {
            assert_eq!(other, model.evaluate(beside).0, "on another thread after {step:?}");
        }
        let mut ran = std::mem::take(&mut *bench.ran.lock().unwrap());
        ran.sort_unstable();
        let runs = ran.len();
        ran.dedup();
        if during {
            // Which of the two was recorded last is not known where they look alike.
            for n in ran {
                recorded.remove(&n);
                if mixed {
                    continue;
                }
                let traces = [&mut model, &mut before].map(|model| model.evaluate(n).1);
                let [now, then] = traces.map(|trace| trace.filter(|trace| bench.has_recorded(n, trace)));
                assert!(now.is_some() || then.is_some(), "node {n} has a trace of no picture after {step:?}");
                if now == then || then.is_none() {
                    recorded.insert(n, now.into_iter().collect());
                } else if now.is_none() {
                    recorded.insert(n, then.into_iter().collect());
                }
            }
            continue;
        }
        assert_eq!(ran.len(), runs, "a call ran twice after {step:?}");
        let kept = |n: &usize| model.done.get(n).is_some_and(|(_, trace)| trace.is_some());
        let strange = ran.iter().find(|n| !kept(n));
        assert_eq!(strange, None, "today's program does not come to it, or it cannot be kept: {step:?}");
        if asked.forced {
            let left = model.done.keys().find(|n| kept(n) && !ran.contains(n));
            assert_eq!(left, None, "a forced run left it out: {step:?}");
        }
        for n in ran {
            let traces = recorded.entry(n).or_default();
            if !asked.forced {
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

fn edit() -> impl Strategy<Value = Edit> {
    let byte = 0..3_u8;
    prop_oneof![
        3 => (0..FILES, byte.clone()).prop_map(|(n, byte)| Edit::Write(n, byte)),
        1 => (0..FILES, byte).prop_map(|(n, byte)| Edit::Replace(n, byte)),
        1 => (0..FILES).prop_map(Edit::Remove),
    ]
}

/// Half of the edits are of what the program sets: of a file, programs may see more than its content.
fn during() -> impl Strategy<Value = Step> {
    let set = (0..3_u8).prop_map(|byte| Edit::Write(NAMED, byte));
    let edit = prop_oneof![edit().boxed(), set.boxed()];
    (0..8_usize, any::<bool>(), 0..20_usize, edit)
        .prop_map(|(n, again, steps, edit)| Step::During(n, again, steps, edit))
}

fn step() -> impl Strategy<Value = Step> {
    let salt = 0..3_u8;
    prop_oneof![
        10 => edit().prop_map(Step::Edit),
        1 => (0..NAMED, 0..NAMED).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (0..FILES).prop_map(Step::Touch),
        4 => (0..8_usize).prop_map(Step::Ask),
        1 => (0..8_usize).prop_map(Step::Rerun),
        2 => Just(Step::Restart),
        1 => (0..8_usize).prop_map(Step::Evict),
        1 => Just(Step::Collect),
        1 => (0..8_usize, 0..8_usize).prop_map(|(a, b)| Step::AskBoth(a, b)),
        3 => during(),
        1 => (0..8_usize, salt.clone()).prop_map(|(n, salt)| Step::Invalidate(n, salt)),
        1 => (0..8_usize, salt).prop_map(|(n, salt)| Step::RerunOther(n, salt)),
    ]
}

fn cases() -> u32 {
    std::env::var("FLECHE_ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(150)
}

#[test]
fn incremental_equals_from_scratch() {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let least_cover = prop_oneof![Just(None), (0..4_usize).prop_map(Some)];
    let with = (any::<bool>(), prop::bool::weighted(0.25), least_cover, 0..4_usize);
    let run = (program(), prop::collection::vec(step(), 1..40), with);
    let result = TestRunner::new(config).run(&run, |(program, steps, with)| {
        let (on_disk, watched, least_cover, threads) = with;
        let case = CASES.fetch_add(1, Ordering::Relaxed) + 1;
        fleche::private::set_spare_threads(threads);
        let checked =
            catch_unwind(AssertUnwindSafe(|| check(&program, &steps, on_disk, watched, least_cover)));
        checked.unwrap_or_else(|panic| {
            WRONG.fetch_min(case, Ordering::Relaxed);
            resume_unwind(panic);
        });
        Ok(())
    });
    println!("{} programs, {} steps", CASES.load(Ordering::Relaxed), STEPS.load(Ordering::Relaxed));
    if let Err(found) = result {
        panic!("program {} went wrong: {found}", WRONG.load(Ordering::Relaxed));
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
    let steps = [0, 1, 0, 0].map(|byte| Step::Edit(Edit::Write(0, byte)));
    check(&program, &steps, false, false, None);
    check(&program, &steps, true, false, None);
}
