//! Several processes, other places, and the end of a process.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::project::{Project, ended, outcomes};

#[test]
fn two_runs_at_once_run_each_task_once() {
    let project = Project::new(
        "[task.a]\nrun = 'echo a >> $LOG; sleep 0.5; echo > ${outputs}'\noutputs = ['a']\npass_env = ['LOG']\n\
         [task.b]\nrun = 'echo b >> $LOG; cat ${inputs} > ${outputs}'\ninputs = ['a']\noutputs = ['b']\npass_env = ['LOG']\n",
    );
    let children: Vec<_> = (0..3).map(|_| project.start(&["run", "--format=json"])).collect();
    let mut all = Vec::new();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0));
        all.extend(outcomes(&String::from_utf8_lossy(&output.stdout)));
    }
    all.sort();
    assert_eq!(all, ["hit a", "hit a", "hit b", "hit b", "ran a", "ran b"]);
    assert_eq!(project.log(), ["a", "b"]);
}

#[test]
fn a_project_copied_elsewhere_hits() {
    let project = Project::new(
        "[task.a]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['in/*']\noutputs = ['out/a']\n\
         [task.b]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['out/a']\noutputs = ['out/b']\n",
    );
    project.write("in/x", "1\n");
    project.run();
    let copy = project.outside("somewhere/else");
    fs::create_dir_all(copy.parent().expect("has one")).expect("made");
    assert!(
        Command::new("cp").arg("-r").args([project.root(), copy.clone()]).status().expect("runs").success()
    );
    fs::remove_dir_all(copy.join("out")).expect("removed");
    let mut command = project.command(&["run", "-j1", "--format=json"]);
    command.current_dir(&copy);
    assert_eq!(outcomes(&ended(&mut command).out), ["restored a", "restored b"]);
    assert_eq!(fs::read_to_string(copy.join("out/b")).expect("is there"), "1\n");
}

#[test]
fn a_copy_does_not_take_what_names_the_original_directory() {
    let project = Project::new(
        "[task.bound]\nrun = 'pwd > ${outputs}'\noutputs = ['bound']\n\
         [task.free]\nrun = 'pwd > ${outputs}'\noutputs = ['free']\nrelocatable = true\n",
    );
    project.run();
    assert_eq!(project.run(), ["hit bound", "hit free"]);
    let copy = project.outside("copy");
    assert!(
        Command::new("cp").arg("-r").args([project.root(), copy.clone()]).status().expect("runs").success()
    );
    let run = || {
        let mut command = project.command(&["run", "-j1", "--format=json"]);
        command.current_dir(&copy);
        outcomes(&ended(&mut command).out)
    };
    let mut status = project.command(&["status"]);
    status.current_dir(&copy);
    let status = ended(&mut status).out;
    assert!(
        status.starts_with("stale  bound  its outputs name the directory in which they were made\n"),
        "{status}"
    );
    assert_eq!(run(), ["ran bound", "hit free"]);
    assert_eq!(run(), ["hit bound", "hit free"]);
    let here = copy.canonicalize().expect("is there");
    assert_eq!(fs::read_to_string(copy.join("bound")).expect("is there"), format!("{}\n", here.display()));
}

#[test]
fn a_store_that_is_only_read_gives_and_does_not_take() {
    let project = Project::new(
        "[default]\ncache = 'c'\n[cache.c]\npath = 'store'\n\
         [task.a]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['in']\noutputs = ['a']\n",
    );
    project.write("in", "1\n");
    assert_eq!(project.run(), ["ran a"]);
    project.replace("fleche.toml", "path = 'store'", "path = 'store'\nread_only = true");
    project.remove("a");
    assert_eq!(project.run(), ["restored a"]);
    project.write("in", "2\n");
    let ended = project.fleche(&["run"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("it was not recorded"), "{}", ended.out);
    assert_eq!(project.read("a"), "2\n");
    assert_eq!(project.run(), ["ran a"], "nothing was kept");
    project.write("in", "1\n");
    assert_eq!(project.run(), ["restored a"]);
}

#[test]
fn memory_and_void_caches_keep_nothing_on_disk() {
    for cache in ["memory", "void"] {
        let project = Project::new(&format!(
            "[default]\ncache = '{cache}'\n[task.a]\nrun = 'echo > ${{outputs}}'\noutputs = ['a']\n"
        ));
        assert_eq!(project.run(), ["ran a"]);
        assert_eq!(project.run(), ["ran a"]);
        assert!(!project.exists(".fleche/v1"));
    }
}

/// Sends a signal to one process.
fn signal(child: &std::process::Child, name: &str) {
    let status =
        Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("runs");
    assert!(status.success());
}

fn slow() -> Project {
    Project::new(
        "[task.slow]\nrun = 'echo half > ${outputs}; sleep 60 & echo $! > $LOG; wait; echo whole > ${outputs}'\n\
         outputs = ['slow']\npass_env = ['LOG']\n\
         [task.next]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['slow']\noutputs = ['next']\n",
    )
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ctrl_c_ends_the_children_and_keeps_what_was_good() {
    let project = slow();
    project.write("slow", "good\n");
    let start = Instant::now();
    let child = project.start(&["run"]);
    let log = project.outside("log");
    wait_until("the task did not start", || fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n')));
    let grandchild: u32 = project.log()[0].parse().expect("a number");
    assert_eq!(project.read("slow"), "half\n");
    signal(&child, "INT");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(project.read("slow"), "good\n");
    assert!(!project.exists("next"));
    wait_until("a child was left running", || {
        let stat = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert_eq!(project.fleche(&["status"]).code, Some(1), "nothing was recorded");
}

#[test]
fn ctrl_c_while_waiting_for_another_run() {
    let project = slow();
    let first = project.start(&["run"]);
    let log = project.outside("log");
    wait_until("the task did not start", || log.exists());
    let second = project.start(&["run"]);
    thread::sleep(Duration::from_millis(300));
    signal(&second, "INT");
    let output = second.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stderr).contains("waiting for another fleche"));
    signal(&first, "TERM");
    assert_eq!(first.wait_with_output().expect("ends").status.code(), Some(130));
}

#[test]
fn a_killed_run_is_swept_up_by_the_next() {
    let project = Project::new(
        "[task.a]\nrun = 'echo half > ${outputs}; echo >> $LOG; sleep $(cat ${inputs}); echo whole > ${outputs}'\n\
         inputs = ['seconds']\noutputs = ['a']\npass_env = ['LOG']\n",
    );
    project.write("a", "good\n");
    project.write("seconds", "5");
    let mut child = project.command(&["run"]).stdout(Stdio::null()).spawn().expect("starts");
    let log = project.outside("log");
    wait_until("the task did not start", || log.exists());
    signal(&child, "KILL");
    child.wait().expect("ends");
    project.write("seconds", "0");
    assert_eq!(project.run(), ["ran a"]);
    assert_eq!(project.read("a"), "whole\n");
    let left = fs::read_dir(project.path(".fleche/work/run")).expect("reads").count();
    assert_eq!(left, 0, "what was put aside is still there");
}
