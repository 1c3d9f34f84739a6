//! Tasks that fail, and what becomes of the others.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::project::{Project, outcomes, redacted};

fn failing() -> Project {
    let project = Project::new(
        r#"
        [task.bad]
        run = "echo half > ${outputs}; echo to stdout; echo to stderr >&2; exit $(cat ${inputs})"
        inputs = ["code"]
        outputs = ["bad"]

        [task.below]
        run = "cat ${inputs} > ${outputs}"
        inputs = ["bad"]
        outputs = ["below"]

        [task.other]
        run = "echo > ${outputs}"
        outputs = ["other"]
        "#,
    );
    project.write("code", "3");
    project
}

#[test]
fn a_failing_task_shows_its_output_and_stops_what_depends_on_it() {
    let project = failing();
    let ended = project.fleche(&["run", "-j1"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(
        redacted(&ended.out),
        "FAILED bad exit 3, [time] · fleche log bad\n  | to stdout\n  | to stderr\n1 failed · 2 skipped · [time]\n"
    );
    assert!(!project.exists("other"));
    assert!(!project.exists("bad"), "half-written");
    let log = project.fleche(&["log", "bad"]);
    assert_eq!(
        (log.out.as_str(), log.err.as_str()),
        ("to stdout\nto stderr\n", "of the last run, which failed (exit 3)\n")
    );
    assert_eq!(project.fleche(&["log", "bad", "--stderr"]).out, "to stderr\n");
}

#[test]
fn keep_going_runs_what_does_not_depend_on_it() {
    let project = failing();
    assert_eq!(project.outcomes(&["run", "-k"]), ["failed bad", "skipped below", "ran other"]);
    assert!(project.exists("other"));
}

#[test]
fn a_failure_is_not_remembered() {
    let project = failing();
    project.outcomes(&["run"]);
    assert_eq!(project.outcomes(&["run", "bad"]), ["failed bad"]);
    project.write("code", "0");
    assert_eq!(project.run(), ["ran bad", "ran below", "ran other"]);
    assert_eq!(project.fleche(&["log", "bad"]).err, "", "it has succeeded since");
}

#[test]
fn a_failure_leaves_the_earlier_outputs_in_place() {
    let project = failing();
    project.write("code", "0");
    project.replace("fleche.toml", "echo half", "echo whole");
    project.run();
    project.write("code", "1");
    project.replace("fleche.toml", "echo whole", "echo half");
    assert_eq!(project.outcomes(&["run", "bad"]), ["failed bad"]);
    assert_eq!(project.read("bad"), "whole\n");
}

#[test]
fn a_success_that_did_not_make_everything_is_a_failure() {
    let project = Project::new("[task.a]\nrun = 'echo > one'\noutputs = ['one', 'two', 'three']\n");
    let ended = project.fleche(&["run"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("FAILED a: it succeeded without making two, three\n"), "{}", ended.out);
    assert!(!project.exists("one"));
    assert_eq!(project.outcomes(&["run"]), ["failed a"], "nothing was recorded");
}

#[test]
fn variables_that_were_withheld_are_named() {
    let mut project = Project::new("[task.a]\nrun = 'echo ${SECRET:-} $TOKEN'\n");
    project.set("TOKEN", "x");
    let ended = project.fleche(&["run", "a"]);
    assert!(
        ended.out.contains(
            "note: the command names TOKEN, which this task does not see; list it under `env` or `pass_env`\n"
        ),
        "{}",
        ended.out
    );
}

#[test]
fn an_input_edited_while_its_task_runs_is_not_recorded_under_what_it_was() {
    let project = Project::new(
        "[task.a]\nrun = 'cat in > ${outputs}; touch $LOG; while test -e $LOG; do sleep 0.02; done'\n\
         inputs = ['in']\noutputs = ['a']\npass_env = ['LOG']\n",
    );
    project.write("in", "old\n");
    let child = project.start(&["run", "--format=json"]);
    while !project.outside("log").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    // The same length, and so soon that time stamps alone might not tell.
    project.write("in", "new\n");
    project.log();
    let output = child.wait_with_output().expect("ends");
    assert_eq!(outcomes(&String::from_utf8_lossy(&output.stdout)), ["changed a"]);
    assert_eq!(output.status.code(), Some(1));
    // The old content again: had the run been recorded under it, this would be a hit.
    project.write("in", "old\n");
    assert_eq!(project.fleche(&["status"]).code, Some(1));
    let child = project.start(&["run", "--format=json"]);
    while !project.outside("log").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    project.log();
    let output = child.wait_with_output().expect("ends");
    assert_eq!(outcomes(&String::from_utf8_lossy(&output.stdout)), ["ran a"]);
    assert_eq!(project.read("a"), "old\n");
}

#[test]
fn an_input_that_appears_while_its_task_runs_counts_too() {
    let project = Project::new(
        "[task.a]\nrun = 'cat ${inputs} > ${outputs}; echo > in/new'\ninputs = ['in/*']\noutputs = ['a']\n",
    );
    project.write("in/old", "");
    let ended = project.fleche(&["run"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("CHANGED a: in/new changed while it ran"), "{}", ended.out);
}

#[test]
fn a_task_cannot_run_tasks_of_its_own_project() {
    let project =
        Project::new("[task.a]\nrun = ['EXE', 'run', 'b']\n[task.b]\nrun = 'echo > b'\noutputs = ['b']\n");
    project.replace("fleche.toml", "EXE", env!("CARGO_BIN_EXE_fleche"));
    let ended = project.fleche(&["run", "a"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("a task cannot run tasks of its own project"), "{}", ended.out);
}

#[test]
fn a_directory_or_program_that_is_not_there_is_named() {
    let project =
        Project::new("[task.a]\nrun = 'true'\ncwd = 'nowhere'\n[task.b]\nrun = ['no-such-program']\n");
    let ended = project.fleche(&["run", "-k", "a", "b"]);
    assert!(
        ended.out.contains("FAILED b: the program no-such-program was not found on PATH"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("nowhere does not exist"), "{}", ended.out);
}

#[test]
fn a_broken_store_fails_no_task() {
    let project = Project::new(
        "[cache.c]\npath = 'c'\n[default]\ncache = 'c'\n[task.a]\nrun = 'echo > a'\noutputs = ['a']\n",
    );
    fs::write(project.path("c"), "a file where a directory should be").expect("written");
    let ended = project.fleche(&["run"]);
    assert_eq!(ended.code, Some(2), "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("fleche.toml:2:8"), "{}", ended.err);
}
