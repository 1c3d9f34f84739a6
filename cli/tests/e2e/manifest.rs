//! What is wrong is said with its place before anything runs, and the exit code is 2.

use expect_test::{Expect, expect};

use crate::project::Project;

fn wrong(text: &str, expected: &Expect) {
    let project = Project::new(text);
    let ended = project.fleche(&["run"]);
    expected.assert_eq(&ended.err);
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.out, "");
    assert!(!project.exists("good"), "something ran");
    assert!(!project.exists(".fleche/work"), "something ran");
}

const GOOD: &str = "[task.good]\nrun = 'echo > good'\noutputs = ['good']\n";

#[test]
fn malformed() {
    wrong(
        &format!("{GOOD}[task.a]\nrun = 'x\n"),
        &expect![[r"
            error: not valid TOML: invalid literal string, expected `'`
             --> fleche.toml:5:9
              |
            5 | run = 'x
              |         ^
        "]],
    );
}

#[test]
fn unknown_key() {
    wrong(
        &format!("{GOOD}ouputs = ['a']\n"),
        &expect![[r"
            error: unknown key `ouputs` in task `good`
             --> fleche.toml:4:1
              |
            4 | ouputs = ['a']
              | ^^^^^^
              = help: did you mean `outputs`?
        "]],
    );
}

#[test]
fn wrong_type() {
    wrong(
        &format!("{GOOD}inputs = 'a'\n"),
        &expect![[r#"
            error: `inputs` must be a list of strings, and this is a string
             --> fleche.toml:4:10
              |
            4 | inputs = 'a'
              |          ^^^
              = help: write `inputs = ["a"]`
        "#]],
    );
}

#[test]
fn cycle() {
    wrong(
        &format!(
            "{GOOD}[task.a]\nrun = 'x'\ninputs = ['b']\noutputs = ['a']\n[task.b]\nrun = 'x'\ninputs = ['a']\noutputs = ['b']\n"
        ),
        &expect![[r"
            error: cycle: a → b → a
              --> fleche.toml:10:11
               |
            10 | inputs = ['a']
               |           ^^^
               = help: `b` waits for `a` because of this; one of them must do without the other
        "]],
    );
}

#[test]
fn missing_input() {
    wrong(
        &format!("{GOOD}inputs = ['goood']\n[task.b]\nrun = 'x'\ninputs = ['goodd']\noutputs = ['b']\n"),
        &expect![[r"
            error: input `goood` of task `good` does not exist, and no task makes it
             --> fleche.toml:4:11
              |
            4 | inputs = ['goood']
              |           ^^^^^^^
              = help: did you mean `good`, which `good` makes?

            error: input `goodd` of task `b` does not exist, and no task makes it
             --> fleche.toml:7:11
              |
            7 | inputs = ['goodd']
              |           ^^^^^^^
              = help: did you mean `good`, which `good` makes?
        "]],
    );
}

#[test]
fn duplicate_and_outside_outputs() {
    wrong(
        &format!("{GOOD}[task.b]\nrun = 'x'\noutputs = ['good']\n"),
        &expect![[r"
            error: both `good` and `b` make `good`
             --> fleche.toml:6:12
              |
            6 | outputs = ['good']
              |            ^^^^^^
              = note: the first is declared at fleche.toml:3:12
              = help: one file is made by one task
        "]],
    );
    let project = Project::new(&format!("{GOOD}[task.b]\nrun = 'x'\noutputs = ['../b']\n"));
    let ended = project.fleche(&["run"]);
    assert!(
        ended.err.contains("output `../b` is outside the project\n --> fleche.toml:6:12"),
        "{}",
        ended.err
    );
    assert_eq!(ended.code, Some(2));
}

#[test]
fn undeclared_variable() {
    wrong(
        &format!("{GOOD}[task.b]\nrun = 'echo ${{HOME}} ${{x%y}}'\n"),
        &expect![[r"
            error: `${HOME}` is not declared
             --> fleche.toml:5:13
              |
            5 | run = 'echo ${HOME} ${x%y}'
              |             ^^^^^^^
              = help: for a variable of the shell write `$HOME`; for one of ours add `HOME = …` to [vars]
        "]],
    );
}

#[test]
fn missing_shell_and_tool() {
    wrong(
        &format!("[default]\nshell = ['no-such-shell', '-e']\n{GOOD}tools = ['no-such-tool']\n"),
        &expect![[r"
            error: the shell `no-such-shell` was not found on PATH; `shell` names another, for one task or under [default]
             --> fleche.toml:2:9
              |
            2 | shell = ['no-such-shell', '-e']
              |         ^^^^^^^^^^^^^^^^^^^^^^^

            error: tool `no-such-tool` of task `good` was not found on PATH
             --> fleche.toml:6:10
              |
            6 | tools = ['no-such-tool']
              |          ^^^^^^^^^^^^^^
              = help: install it, or remove it from `tools`
        "]],
    );
}

#[test]
fn bad_usage() {
    let project = Project::new(GOOD);
    for (arguments, message) in [
        (&["run", "-f", "x"][..], "`--file FILE` names the manifest"),
        (&["run", "-f"], "`run --force` runs what is up to date"),
        (&["run", "goof"], "did you mean `good`?"),
        (&["run", "--jobs=0"], "--jobs"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["-C", "nope", "run"], "there is no directory nope"),
        (&["-C", "/", "run"], "there is no fleche.toml in / or above it"),
        (&["--file", "none.toml", "run"], "none.toml cannot be read"),
    ] {
        let ended = project.fleche(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.err.contains(message), "{arguments:?}: {}", ended.err);
    }
}
