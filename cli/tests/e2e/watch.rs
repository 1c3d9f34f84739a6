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
        let out = File::create(project.outside("out")).expect("made");
        let err = File::create(project.outside("err")).expect("made");
        let child = project
            .command(&["watch", "-j1", "--format=json"])
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
    project.write("src/1.txt", "2\n");
    assert_eq!(watching.run(2), ["ran a", "ran b"]);
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
    assert!(watching.text("err").contains("fleche.toml:1:"), "{}", watching.text("err"));
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

#[test]
fn what_changes_during_a_run_leads_to_another() {
    let project = Project::new(
        "[task.a]\nrun = 'cat in > ${outputs}; test -e $LOG || { touch $LOG; sleep 0.5; }'\ninputs = ['in']\noutputs = ['a']\npass_env = ['LOG']\n",
    );
    project.write("in", "1\n");
    let watching = Watching::start(&project);
    while !project.outside("log").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    project.write("in", "2\n");
    assert_eq!(watching.run(1), ["changed a"]);
    assert_eq!(watching.run(2), ["ran a"]);
    assert_eq!(project.read("a"), "2\n");
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
