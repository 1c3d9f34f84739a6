//! `watch` runs again on what matters, and only on that.

use std::fs::File;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::project::{Project, outcomes};

struct Watching<'p> {
    project: &'p Project,
    child: Child,
}

impl<'p> Watching<'p> {
    fn start(project: &'p Project) -> Watching<'p> {
        Watching::start_with(project, "-j1")
    }

    fn start_with(project: &'p Project, jobs: &str) -> Watching<'p> {
        let out = File::create(project.outside("out")).expect("made");
        let err = File::create(project.outside("err")).expect("made");
        let child = project
            .command(&["watch", jobs, "--format=json"])
            .stdout(out)
            .stderr(err)
            .spawn()
            .expect("starts");
        Watching { project, child }
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.project.outside(name)).expect("is there")
    }

    /// The outcomes of the `n`th run, once it waits again.
    fn run(&self, n: usize) -> Vec<String> {
        let start = Instant::now();
        loop {
            let text = self.text("out");
            if text.matches(r#"{"event":"waiting"}"#).count() >= n {
                return outcomes(text.split("{\"event\":\"waiting\"}\n").nth(n - 1).expect("so many"));
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no run {n}: {text}{}", self.text("err"));
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn stays_at(&self, n: usize) {
        thread::sleep(Duration::from_millis(400));
        let text = self.text("out");
        assert_eq!(text.matches(r#"{"event":"waiting"}"#).count(), n, "{text}");
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn project() -> Project {
    let project = Project::new(
        "[task.a]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['src/*.txt']\noutputs = ['src/a.out']\n\
         [task.b]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['src/a.out', 'other']\noutputs = ['b']\n",
    );
    project.write("src/1.txt", "1\n");
    project.write("other", "o\n");
    project
}

#[test]
fn it_runs_again_on_changes_of_inputs_and_not_on_its_own() {
    let project = project();
    let watching = Watching::start(&project);
    assert_eq!(watching.run(1), ["ran a", "ran b"]);
    watching.stays_at(1);
    // Written again as it was: nothing to do, and nothing to tell.
    project.write("src/1.txt", "1\n");
    watching.stays_at(1);
    project.write("src/1.txt", "2\n");
    assert_eq!(watching.run(2), ["ran a", "ran b"]);
    assert!(watching.text("out").contains(r#"{"event":"noticed","paths":["src/1.txt"]}"#));
    project.write("src/2.txt", "3\n");
    assert_eq!(watching.run(3), ["ran a", "ran b"]);
    project.write("src/unrelated", "");
    project.write("elsewhere", "");
    watching.stays_at(3);
    // As an editor saves: a new file takes the place of the old.
    std::fs::write(project.outside("new"), "O\n").expect("written");
    std::fs::rename(project.outside("new"), project.path("other")).expect("moved");
    assert_eq!(watching.run(4), ["hit a", "ran b"]);
    assert_eq!(project.read("b"), "2\n3\nO\n");
}

#[test]
fn it_follows_the_manifest_and_waits_while_that_is_wrong() {
    let project = project();
    let watching = Watching::start(&project);
    watching.run(1);
    let good = project.read("fleche.toml");
    project.write("fleche.toml", "[task.a\n");
    assert!(watching.run(2).is_empty());
    let err = watching.text("err");
    assert!(err.contains("fleche.toml:1:") && err.matches("fleche.toml").count() == 1, "{err}");
    project
        .write("fleche.toml", &good.replace("cat ${inputs}", "cat -u ${inputs}").replace("src/*", "new/*"));
    // Its input is not there yet.
    assert!(watching.run(3).is_empty());
    assert!(
        watching.text("err").contains("input `new/*.txt` of task `a` matches no file"),
        "{}",
        watching.text("err")
    );
    project.write("new/1.txt", "new\n");
    assert_eq!(watching.run(4), ["ran a", "ran b"]);
    assert_eq!(project.read("b"), "new\no\n");
}

/// Waits until a file that a task makes is there.
fn wait_for(project: &Project, name: &str) {
    let start = Instant::now();
    while !project.outside(name).exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "{name} does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process of that number runs.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn a_running_task_whose_input_changes_is_ended_and_starts_again() {
    // The first run would take a minute, with a child of its own, and leaves half a file behind.
    let project = Project::new(
        "[task.a]\nrun = 'printf half > ${outputs}; test -e $LOG.go || { sleep 60 & echo $! > $LOG; mv $LOG $LOG.pid; wait; }; \
         cat in > ${outputs}'\ninputs = ['in']\noutputs = ['a']\npass_env = ['LOG']\n\
         [task.b]\nrun = 'cat a > ${outputs}'\ninputs = ['a']\noutputs = ['b']\n",
    );
    project.write("in", "1\n");
    let watching = Watching::start(&project);
    wait_for(&project, "log.pid");
    let child = std::fs::read_to_string(project.outside("log.pid")).expect("is there");
    assert!(is_running(&child));
    std::fs::write(project.outside("log.go"), "").expect("written");
    // Touched, it is what the task has read.
    project.write("in", "1\n");
    thread::sleep(Duration::from_millis(300));
    assert!(is_running(&child));
    project.write("in", "2\n");
    assert_eq!(watching.run(1), ["cancelled a", "ran a", "ran b"]);
    assert!(!is_running(&child));
    assert_eq!(project.read("b"), "2\n");
    drop(watching);
    // Of the cancelled run nothing is kept.
    assert_eq!(project.run(), ["hit a", "hit b"]);
    let records = project.fleche(&["query", "--format=json"]).out;
    assert_eq!(records.lines().filter(|line| line.contains(r#""function":"a""#)).count(), 1, "{records}");
    project.write("in", "1\n");
    assert_eq!(project.run(), ["ran a", "ran b"]);
}

#[test]
fn an_input_of_a_hit_that_is_only_touched_cancels_nothing() {
    let project = Project::new(
        "[task.a]\nrun = 'cat in > ${outputs}'\ninputs = ['in']\noutputs = ['a']\n\
         [task.b]\nrun = 'cat a other > ${outputs}; echo > $LOG.b; until test -e $LOG.go; do sleep 0.05; done'\n\
         inputs = ['a', 'other']\noutputs = ['b']\npass_env = ['LOG']\n",
    );
    project.write("in", "1\n");
    project.write("other", "o\n");
    project.fleche(&["run", "a"]);
    let watching = Watching::start(&project);
    wait_for(&project, "log.b");
    project.write("in", "1\n");
    thread::sleep(Duration::from_millis(300));
    assert!(!watching.text("out").contains("cancelled"), "{}", watching.text("out"));
    project.write("in", "2\n");
    wait_for_text(&watching, "cancelled");
    std::fs::write(project.outside("log.go"), "").expect("written");
    assert_eq!(watching.run(1), ["hit a", "cancelled b", "ran a", "ran b"]);
    assert_eq!(project.read("b"), "2\no\n");
}

fn wait_for_text(watching: &Watching<'_>, text: &str) {
    let start = Instant::now();
    while !watching.text("out").contains(text) {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", watching.text("out"));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_unrelated_task_is_left_alone_and_what_reads_from_a_changed_one_is_not() {
    let project = Project::new(
        "[task.a]\nrun = 'cat in > ${outputs}'\ninputs = ['in']\noutputs = ['a']\n\
         [task.b]\nrun = 'cat a > ${outputs}; test -e $LOG.go || { touch $LOG.b; sleep 60; }'\n\
         inputs = ['a']\noutputs = ['b']\npass_env = ['LOG']\n\
         [task.c]\nrun = 'echo $$ > $LOG.c; until test -e $LOG.go; do sleep 0.05; done; sleep 0.3; cp other ${outputs}'\n\
         inputs = ['other']\noutputs = ['c']\npass_env = ['LOG']\n",
    );
    project.write("in", "1\n");
    project.write("other", "o\n");
    let watching = Watching::start_with(&project, "-j2");
    wait_for(&project, "log.b");
    wait_for(&project, "log.c");
    std::fs::write(project.outside("log.go"), "").expect("written");
    project.write("in", "2\n");
    let mut outcomes = watching.run(1);
    outcomes.sort();
    assert_eq!(outcomes, ["cancelled b", "ran a", "ran a", "ran b", "ran c"]);
    assert_eq!(project.read("b"), "2\n");
    let starts = watching.text("out").matches(r#""event":"started","task":"c""#).count();
    assert_eq!(starts, 1, "{}", watching.text("out"));
}

#[test]
fn a_task_that_the_manifest_changes_while_it_runs_is_ended() {
    let manifest = "[task.a]\nrun = 'touch $LOG.a; sleep 60; cp in ${outputs}'\ninputs = ['in']\noutputs = ['a']\npass_env = ['LOG']\n";
    let project = Project::new(manifest);
    project.write("in", "1\n");
    let watching = Watching::start(&project);
    wait_for(&project, "log.a");
    // One that does not change it does not end it.
    project.write("fleche.toml", &format!("# a comment\n{manifest}"));
    thread::sleep(Duration::from_millis(300));
    assert!(!watching.text("out").contains("cancelled"), "{}", watching.text("out"));
    project.write("fleche.toml", &manifest.replace("sleep 60; ", ""));
    assert_eq!(watching.run(1), ["cancelled a", "skipped a", "ran a"]);
}

#[test]
fn when_fleche_is_killed_its_tasks_are_too() {
    let project = Project::new(
        "[task.a]\nrun = 'echo $$ > $LOG; mv $LOG $LOG.pid; while true; do sleep 1; done'\noutputs = ['a']\npass_env = ['LOG']\n",
    );
    let mut child = project.start(&["run"]);
    wait_for(&project, "log.pid");
    let task = std::fs::read_to_string(project.outside("log.pid")).expect("is there");
    assert!(is_running(&task));
    child.kill().expect("killed");
    child.wait().expect("ends");
    let start = Instant::now();
    while is_running(&task) {
        assert!(start.elapsed() < Duration::from_secs(5), "it still runs");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn ctrl_c_ends_it() {
    let project = project();
    let mut watching = Watching::start(&project);
    watching.run(1);
    let status =
        Command::new("kill").args(["-INT", &watching.child.id().to_string()]).status().expect("runs");
    assert!(status.success());
    assert_eq!(watching.child.wait().expect("ends").code(), Some(130));
}
