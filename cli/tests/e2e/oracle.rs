//! Random pipelines under random edits: after each run everything on disk is what a run from scratch would have made, and no task
//! ran whose command and inputs are what they were when it last succeeded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, SystemTime};

use crate::project::Project;

/// A small generator of numbers, so that a failure can be repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // Xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("is small")
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Work {
    Cat,
    Sort,
    First,
    Count,
}

impl Work {
    fn command(self) -> &'static str {
        match self {
            Work::Cat => "cat ${inputs} > ${outputs}",
            Work::Sort => "cat ${inputs} | sort -u > ${outputs}",
            Work::First => "cat ${inputs} | sed -n 1p > ${outputs}",
            Work::Count => "cat ${inputs} | wc -l > ${outputs}",
        }
    }

    fn apply(self, text: &str) -> String {
        let lines = || text.lines();
        match self {
            Work::Cat => text.to_owned(),
            Work::Sort => {
                let mut all: Vec<_> = lines().collect();
                all.sort_unstable();
                all.dedup();
                all.iter().map(|line| (*line).to_owned() + "\n").collect()
            }
            Work::First => lines().next().map(|line| line.to_owned() + "\n").unwrap_or_default(),
            Work::Count => format!("{}\n", lines().count()),
        }
    }
}

#[derive(Clone, Debug)]
struct Task {
    name: String,
    work: Work,
    inputs: Vec<String>,
    output: String,
    /// Whether it is in the manifest at present.
    present: bool,
}

struct World {
    random: Random,
    project: Project,
    sources: BTreeMap<String, String>,
    tasks: Vec<Task>,
    /// For each task the command and inputs of its last success.
    last: BTreeMap<String, (&'static str, String)>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World {
            random: Random(seed * 2_654_435_761 + 1),
            project: Project::new(""),
            sources: BTreeMap::new(),
            tasks: Vec::new(),
            last: BTreeMap::new(),
        };
        for path in ["src/a.txt", "src/b.txt", "fix/c.txt", "fix/d.txt"] {
            world.write_source(path);
        }
        for number in 0..8 {
            let mut inputs = Vec::new();
            for earlier in 0..number {
                if world.random.chance(30) {
                    inputs.push(world.tasks[earlier].output.clone());
                }
            }
            if world.random.chance(40) {
                inputs.push("src/*.txt".into());
            }
            if inputs.is_empty() || world.random.chance(30) {
                inputs.push(["fix/c.txt", "fix/d.txt"][world.random.below(2)].into());
            }
            // Only the first three make what the glob matches, and only later ones have it, so that there is no cycle.
            let output = if number < 3 { format!("gen/{number}.mid") } else { format!("out/{number}") };
            if number >= 3 && world.random.chance(40) {
                inputs.retain(|input| !input.starts_with("gen/"));
                inputs.push("gen/*.mid".into());
            }
            let work = world.some_work();
            world.tasks.push(Task { name: format!("t{number}"), work, inputs, output, present: true });
        }
        // The third can come and go: nothing names its output but the glob.
        for task in &mut world.tasks {
            task.inputs.retain(|input| input != "gen/2.mid");
            if task.inputs.is_empty() {
                task.inputs.push("fix/c.txt".into());
            }
        }
        world.write_manifest();
        world
    }

    fn some_work(&mut self) -> Work {
        [Work::Cat, Work::Sort, Work::First, Work::Count][self.random.below(4)]
    }

    /// Contents come from a small set, so that earlier ones come back.
    fn write_source(&mut self, path: &str) {
        let lines = self.random.below(4);
        let text: String = (0..lines).map(|_| ["x\n", "y\n", "z\n"][self.random.below(3)]).collect();
        self.project.write(path, &text);
        self.sources.insert(path.to_owned(), text);
    }

    fn write_manifest(&self) {
        let mut text = "[default]\nshell = ['sh', '-e']\n".to_owned();
        for task in self.tasks.iter().filter(|task| task.present) {
            let _ = write!(
                text,
                "[task.{}]\nrun = '{}'\ninputs = {:?}\noutputs = ['{}']\n",
                task.name,
                task.work.command(),
                task.inputs,
                task.output
            );
        }
        self.project.write("fleche.toml", &text);
    }

    fn disturb(&mut self) {
        match self.random.below(10) {
            0 | 1 => self.write_source("fix/c.txt"),
            2 => self.write_source("fix/d.txt"),
            3 => self.write_source("src/a.txt"),
            4 => {
                let path = ["src/b.txt", "src/e.txt"][self.random.below(2)];
                if self.sources.remove(path).is_some() {
                    self.project.remove(path);
                } else {
                    self.write_source(path);
                }
            }
            5 => {
                let task = self.random.below(self.tasks.len());
                self.tasks[task].work = self.some_work();
                self.write_manifest();
            }
            6 => {
                self.tasks[2].present = !self.tasks[2].present;
                self.write_manifest();
            }
            7 => {
                let output = self.some_output();
                if self.project.exists(&output) {
                    self.project.remove(&output);
                }
            }
            8 => {
                let output = self.some_output();
                // Altered, and then made by no task any more, it would be somebody's file.
                if self.project.exists(&output) && output != "gen/2.mid" {
                    self.project.write(&output, "tampered\n");
                }
            }
            _ => {
                let file =
                    fs::File::options().append(true).open(self.project.path("fix/c.txt")).expect("opens");
                file.set_modified(SystemTime::now() - Duration::from_secs(5)).expect("touched");
            }
        }
    }

    fn some_output(&mut self) -> String {
        let present: Vec<_> =
            self.tasks.iter().filter(|task| task.present).map(|task| &task.output).collect();
        present[self.random.below(present.len())].clone()
    }

    /// What a run from scratch makes, and what each task reads for it.
    fn expected(&self) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let mut files = self.sources.clone();
        let mut reads = BTreeMap::new();
        for task in self.tasks.iter().filter(|task| task.present) {
            let mut paths: Vec<String> = Vec::new();
            for input in &task.inputs {
                match input.split_once('*') {
                    None => paths.push(input.clone()),
                    Some((start, end)) => {
                        let found =
                            files.keys().filter(|path| path.starts_with(start) && path.ends_with(end));
                        paths.extend(found.cloned());
                    }
                }
            }
            let text: String = paths.iter().map(|path| files[path].as_str()).collect();
            files.insert(task.output.clone(), task.work.apply(&text));
            let contents: Vec<_> = paths.iter().map(|path| (path, &files[path])).collect();
            reads.insert(task.name.clone(), format!("{contents:?}"));
        }
        (files, reads)
    }

    fn run_and_check(&mut self, seed: u64, round: usize) {
        let outcomes = self.project.run();
        let (files, reads) = self.expected();
        for task in &self.tasks {
            if !task.present {
                assert!(
                    !self.project.exists(&task.output),
                    "seed {seed} round {round}: {} is left",
                    task.output
                );
                continue;
            }
            let text = self.project.read(&task.output);
            assert_eq!(text, files[&task.output], "seed {seed} round {round}: {} {outcomes:?}", task.name);
            let now = (task.work.command(), reads[&task.name].clone());
            let before = self.last.insert(task.name.clone(), now.clone());
            let ran = outcomes.contains(&format!("ran {}", task.name));
            assert!(
                !(ran && before.as_ref() == Some(&now)),
                "seed {seed} round {round}: {} ran for nothing",
                task.name
            );
        }
        let again = self.project.run();
        assert!(again.iter().all(|line| line.starts_with("hit ")), "seed {seed} round {round}: {again:?}");
        assert_eq!(self.project.fleche(&["status"]).code, Some(0), "seed {seed} round {round}");
    }
}

#[test]
fn whatever_happens_the_outputs_are_those_of_a_run_from_scratch() {
    let first: u64 = std::env::var("FLECHE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::var("FLECHE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for seed in first..first + count {
        let mut world = World::new(seed);
        for round in 0..12 {
            world.run_and_check(seed, round);
            for _ in 0..=world.random.below(3) {
                world.disturb();
            }
            match world.random.below(6) {
                0 => drop(world.project.fleche(&["status"])),
                1 => drop(world.project.fleche(&["run", "-n"])),
                2 => assert_eq!(world.project.fleche(&["gc"]).code, Some(0)),
                _ => {}
            }
        }
    }
}
