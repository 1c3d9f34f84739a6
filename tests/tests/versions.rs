//! Random programs that are really compiled, in several versions, over one store: whichever version is asked, in
//! whichever process, the result is the one from scratch, and nothing runs whose recorded dependencies are as they
//! were. Functions come and go and turn their calls around between versions; processes are killed.
//!
//! `FLECHE_ORACLE_PROGRAMS` sets the number of programs, `FLECHE_ORACLE_SEED` where they begin,
//! `FLECHE_ORACLE_STEPS` how many steps each takes. The oracle in the engine's tests has many more programs, of one
//! version each.

#[path = "versions/model.rs"]
mod model;
#[path = "versions/program.rs"]
mod program;
mod scratch;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use fastrand::Rng;
use model::{Model, Observed, Outcome};
use program::{FILES, NODES, Node, Version};
use scratch::Scratch;

const VERSIONS: usize = 5;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A process that runs one version.
struct Process {
    child: Running,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a version said: what it came to, and which functions ran, each with the newest trace of each of its
/// versions.
#[derive(Debug)]
struct Answer {
    outcome: Option<Outcome>,
    ran: Vec<(usize, Vec<String>)>,
}

impl Process {
    fn start(binary: &Path, data: &Path) -> Self {
        let mut child = Running(
            Command::new(binary)
                .arg(data)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a program"),
        );
        let commands = child.0.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.0.stdout.take().expect("a pipe"));
        Self { child, commands, answers }
    }

    fn say(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("it listens");
        self.commands.flush().expect("it listens");
    }

    fn ask(&mut self, command: &str) -> Answer {
        self.say(command);
        let mut answer = Answer { outcome: None, ran: Vec::new() };
        for line in self.answers.by_ref().lines() {
            let line = line.expect("text");
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "." => return answer,
                "value" => answer.outcome = Some(Outcome::Value(rest.parse().expect("a number"))),
                "failed" => answer.outcome = Some(Outcome::Failed(rest.to_string())),
                "panicked" => answer.outcome = Some(Outcome::Panicked),
                "ran" => {
                    let (n, traces) = rest.split_once(" |").expect("a function and its traces");
                    let traces = traces.split(" |").map(|trace| trace.trim().to_string()).collect();
                    answer.ran.push((n.parse().expect("a number"), traces));
                }
                other => panic!("it said {other}"),
            }
        }
        panic!("the program ended at `{command}`");
    }

    /// Lets it come to its end, where it closes its cache.
    fn end(self) {
        let Self { mut child, commands, .. } = self;
        drop(commands);
        assert!(child.0.wait().expect("it ran").success());
    }

    /// As a crash would, at whatever it is doing.
    fn kill(mut self) {
        self.child.0.kill().expect("it ran");
        self.child.0.wait().expect("it ran");
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Compiles a version.
fn compile(workshop: &Scratch, version: &Version, to: &Path) {
    workshop.write("src/main.rs", &version.source());
    workshop.cargo(&["build", "--quiet"], &[]);
    std::fs::copy(workshop.program("versions"), to).expect("a program");
}

/// Several versions of a program, the files they read and the store they share.
struct Shared {
    seed: u64,
    data: tempfile::TempDir,
    versions: Vec<Version>,
    binaries: Vec<PathBuf>,
    processes: Vec<Option<Process>>,
    files: [Option<u8>; FILES],
    /// What is known to be recorded of a function as it is written, in the order of the records.
    recorded: HashMap<(usize, Node), Vec<Vec<Observed>>>,
    log: Vec<String>,
}

impl Shared {
    fn new(seed: u64, rng: &mut Rng, workshop: &Scratch) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut versions = vec![Version::first(rng)];
        while versions.len() < VERSIONS {
            versions.push(versions[rng.usize(..versions.len())].edited(rng));
        }
        let mut binaries = Vec::new();
        for (v, version) in versions.iter().enumerate() {
            // All of one name, so that each finds the images that the others leave.
            let binary = workshop.path(&format!("version-{seed}-{v}/program"));
            std::fs::create_dir_all(binary.parent().expect("a directory")).expect("a directory");
            compile(workshop, version, &binary);
            binaries.push(binary);
        }
        let processes = binaries.iter().map(|_| None).collect();
        let (files, recorded, log) = ([None; FILES], HashMap::new(), Vec::new());
        Self { seed, data, versions, binaries, processes, files, recorded, log }
    }

    fn file(&self, n: usize) -> PathBuf {
        self.data.path().join(format!("f{n}"))
    }

    fn process(&mut self, v: usize) -> &mut Process {
        self.processes[v].get_or_insert_with(|| Process::start(&self.binaries[v], self.data.path()))
    }

    fn step(&mut self, rng: &mut Rng) {
        let (file, byte, v) = (rng.usize(..FILES), rng.u8(..3), rng.usize(..VERSIONS));
        let present: Vec<usize> = (0..NODES).filter(|n| self.versions[v].0[*n].is_some()).collect();
        let n = present[rng.usize(..present.len())];
        match rng.u8(..40) {
            0..=8 => {
                self.log.push(format!("write f{file} {byte}"));
                std::fs::write(self.file(file), [byte]).expect("a file");
                self.files[file] = Some(byte);
            }
            9..=11 => {
                self.log.push(format!("replace f{file} {byte}"));
                let new = self.data.path().join("new");
                std::fs::write(&new, [byte]).expect("a file");
                std::fs::rename(&new, self.file(file)).expect("a rename");
                self.files[file] = Some(byte);
            }
            12 | 13 => {
                self.log.push(format!("remove f{file}"));
                let _ = std::fs::remove_file(self.file(file));
                self.files[file] = None;
            }
            14 | 15 => {
                self.log.push(format!("end version {v}"));
                if let Some(process) = self.processes[v].take() {
                    process.end();
                }
            }
            16 => {
                self.log.push(format!("kill version {v} at {n}"));
                self.process(v).say(&format!("ask {n}"));
                std::thread::sleep(Duration::from_micros(rng.u64(..3000)));
                self.processes[v].take().expect("it was started").kill();
                // It may have recorded what we do not know of.
                self.recorded.clear();
            }
            17 => {
                self.log.push(format!("version {v} evicts {n}"));
                self.process(v).ask(&format!("evict {n}"));
                // Other processes remember, and who depends on it cannot be verified without its record.
                self.processes.iter_mut().for_each(|process| *process = None);
                self.recorded.clear();
            }
            18 => {
                self.log.push(format!("version {v} collects garbage"));
                self.process(v).ask("gc 0");
            }
            19 | 20 => self.ask(v, n, true),
            _ => self.ask(v, n, false),
        }
    }

    fn ask(&mut self, v: usize, n: usize, forced: bool) {
        let word = if forced { "rerun" } else { "ask" };
        self.log.push(format!("version {v}: {word} {n}"));
        let answer = self.process(v).ask(&format!("{word} {n}"));
        let version = &self.versions[v];
        let mut model = Model::new(version, self.files);
        let context =
            || format!("seed {}:\n{}\n{answer:?}\n{}", self.seed, self.log.join("\n"), version.functions());
        let (outcome, _) = model.evaluate(n);
        assert_eq!(answer.outcome, Some(outcome), "{}", context());
        let mut seen = Vec::new();
        for (n, traces) in &answer.ran {
            let n = *n;
            assert!(forced || !seen.contains(&n), "{n} ran twice: {}", context());
            seen.push(n);
            let node = version.0[n].clone().expect("what ran is there");
            let known = self.recorded.entry((n, node)).or_default();
            if !forced {
                let held = known.iter().rev().take(8).find(|trace| model.holds(trace));
                assert!(held.is_none(), "{n} ran although {held:?} holds: {}", context());
            }
            let whole = model.evaluate(n).1.unwrap_or_else(|| panic!("{n} was kept: {}", context()));
            let names: Vec<String> = whole.iter().map(Observed::name).collect();
            assert!(traces.contains(&names.join(" ")), "no trace of {n} is {names:?}: {}", context());
            known.retain(|other| *other != whole);
            known.push(whole);
        }
    }
}

#[test]
fn versions_of_a_program_share_a_store_and_nothing_else() {
    let seed = setting("FLECHE_ORACLE_SEED", 1);
    let steps = setting("FLECHE_ORACLE_STEPS", 400);
    let workshop = Scratch::package("versions", None);
    for seed in seed..seed + setting("FLECHE_ORACLE_PROGRAMS", 1) {
        let mut rng = Rng::with_seed(seed);
        let mut shared = Shared::new(seed, &mut rng, &workshop);
        for _ in 0..steps {
            shared.step(&mut rng);
        }
    }
}
