//! What `run` runs, and what it does not.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::project::Project;

/// `clean` drops comments from both inputs, `count` reads what it makes, `other` has nothing to do with them.
fn pipeline() -> Project {
    let project = Project::new(
        r#"
        [task.clean]
        run = "echo clean >> $LOG; grep -hv '^#' ${inputs} > ${outputs}"
        inputs = ["raw/*.txt"]
        outputs = ["build/clean.txt"]
        pass_env = ["LOG"]

        [task.count]
        run = "echo count >> $LOG; wc -l < ${inputs} > ${outputs}"
        inputs = ["build/clean.txt"]
        outputs = ["build/count.txt"]
        pass_env = ["LOG"]

        [task.other]
        run = "echo other >> $LOG; echo 1 > ${outputs}"
        outputs = ["build/other.txt"]
        pass_env = ["LOG"]
        "#,
    );
    project.write("raw/a.txt", "# comment\n1\n2\n");
    project.write("raw/b.txt", "3\n");
    project
}

#[test]
fn the_first_run_runs_everything_and_the_second_nothing() {
    let project = pipeline();
    assert_eq!(project.run(), ["ran clean", "ran count", "ran other"]);
    assert_eq!(project.log(), ["clean", "count", "other"]);
    assert_eq!(project.read("build/count.txt").trim(), "3");
    assert_eq!(project.run(), ["hit clean", "hit count", "hit other"]);
    assert!(project.log().is_empty());
}

#[test]
fn a_touch_without_a_change_runs_nothing() {
    let project = pipeline();
    project.run();
    project.log();
    let file = fs::File::options().append(true).open(project.path("raw/a.txt")).expect("opens");
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).expect("touched");
    project.write("raw/b.txt", "3\n");
    assert_eq!(project.run(), ["hit clean", "hit count", "hit other"]);
    assert!(project.log().is_empty());
}

#[test]
fn an_edit_runs_what_reads_it_and_nothing_else() {
    let project = pipeline();
    project.run();
    project.write("raw/b.txt", "3\n4\n");
    assert_eq!(project.run(), ["ran clean", "ran count", "hit other"]);
    assert_eq!(project.read("build/count.txt").trim(), "4");
}

#[test]
fn an_edit_of_the_same_length_within_the_same_tick_is_seen() {
    let project = pipeline();
    for round in 0..5 {
        project.write("raw/b.txt", &format!("{round}\n"));
        project.run();
        assert_eq!(project.read("build/clean.txt"), format!("1\n2\n{round}\n"));
    }
}

#[test]
fn a_comment_edit_is_cut_off_where_it_makes_no_difference() {
    let project = pipeline();
    project.run();
    project.log();
    project.replace("raw/a.txt", "# comment", "# another comment");
    assert_eq!(project.run(), ["ran clean", "cut off count", "hit other"]);
    assert_eq!(project.log(), ["clean"]);
}

#[test]
fn a_revert_is_a_hit_that_restores() {
    let project = pipeline();
    project.run();
    project.write("raw/b.txt", "3\n4\n");
    project.run();
    project.log();
    project.write("raw/b.txt", "3\n");
    assert_eq!(project.run(), ["restored clean", "restored count", "hit other"]);
    assert!(project.log().is_empty());
    assert_eq!(project.read("build/count.txt").trim(), "3");
}

#[test]
fn a_file_that_appears_or_goes_counts() {
    let project = pipeline();
    project.run();
    project.write("raw/c.txt", "5\n");
    assert_eq!(project.run(), ["ran clean", "ran count", "hit other"]);
    project.remove("raw/c.txt");
    assert_eq!(project.run(), ["restored clean", "restored count", "hit other"]);
}

#[test]
fn a_variable_runs_only_the_tasks_that_use_it() {
    let project = Project::new(
        "[vars]\nx = 1\ny = 1\n[task.a]\nrun = 'echo ${x} > ${outputs}'\noutputs = ['a']\n\
         [task.b]\nrun = 'echo ${y} > ${outputs}'\noutputs = ['b']\n",
    );
    project.run();
    project.replace("fleche.toml", "x = 1", "x = 2");
    assert_eq!(project.run(), ["ran a", "hit b"]);
    assert_eq!(project.read("a"), "2\n");
    project.replace("fleche.toml", "x = 2", "x = 1");
    assert_eq!(project.run(), ["restored a", "hit b"]);
}

#[test]
fn a_changed_tool_runs_its_tasks() {
    let mut project = Project::new(
        "[task.a]\nrun = 'mytool > ${outputs}'\noutputs = ['a']\ntools = ['mytool']\n\
         [task.b]\nrun = 'mytool > ${outputs}'\noutputs = ['b']\n",
    );
    let bin = project.outside("bin");
    let write_tool = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir_all(&bin).expect("made");
        fs::write(bin.join("mytool"), format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(bin.join("mytool"), fs::Permissions::from_mode(0o755)).expect("set");
    };
    write_tool("echo one");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("is set"));
    project.set("PATH", &path);
    assert_eq!(project.run(), ["ran a", "ran b"]);
    write_tool("echo two");
    assert_eq!(project.run(), ["ran a", "hit b"], "b does not say that it uses it");
    assert_eq!(project.read("a"), "two\n");
}

#[test]
fn a_matrix_is_one_task_for_each_combination() {
    let project = Project::new(
        "[task.p]\nmatrix = { s = ['oslo', 'rome'] }\ninputs = ['${s}.in']\noutputs = ['${s}.out']\n\
         run = 'cat ${inputs} > ${outputs}'\n\
         [task.all]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['*.out']\noutputs = ['all']\n",
    );
    project.write("oslo.in", "o\n");
    project.write("rome.in", "r\n");
    assert_eq!(project.run(), ["ran p[oslo]", "ran p[rome]", "ran all"]);
    assert_eq!(project.read("all"), "o\nr\n");
    project.write("rome.in", "R\n");
    assert_eq!(project.outcomes(&["run", "p[oslo]"]), ["hit p[oslo]"]);
    assert_eq!(project.outcomes(&["run", "p"]), ["hit p[oslo]", "ran p[rome]"]);
}

#[test]
fn after_orders_without_data() {
    let project = Project::new(
        "[task.late]\nrun = 'cat early > ${outputs}'\noutputs = ['late']\nafter = ['early']\n\
         [task.early]\nrun = 'date +%N > early'\noutputs = ['early']\n",
    );
    assert_eq!(project.outcomes(&["run", "late"]), ["ran early", "ran late"]);
    project.replace("fleche.toml", "date +%N", "date  +%N");
    assert_eq!(project.outcomes(&["run", "late"]), ["ran early", "hit late"]);
}

#[test]
fn a_check_is_remembered_and_an_action_is_not() {
    let project = Project::new(
        "[task.check]\nrun = 'grep -q ok ${inputs}'\ninputs = ['in']\n[task.act]\nrun = 'echo done'\n\
         [task.made]\nrun = 'echo > ${outputs}'\noutputs = ['made']\n",
    );
    project.write("in", "ok\n");
    assert_eq!(project.run(), ["ran made"], "a bare run takes what has outputs");
    assert_eq!(project.outcomes(&["run", "check", "act"]), ["ran check", "ran act"]);
    assert_eq!(project.outcomes(&["run", "check", "act"]), ["hit check", "ran act"]);
    project.write("in", "no\n");
    assert_eq!(project.outcomes(&["run", "check"]), ["failed check"]);
}

#[test]
fn default_tasks_are_what_a_bare_run_brings_up_to_date() {
    let project = Project::new(
        "[default]\ntasks = ['b']\n[task.a]\nrun = 'echo > ${outputs}'\noutputs = ['a']\n\
         [task.b]\nrun = 'echo > ${outputs}'\noutputs = ['b']\n",
    );
    assert_eq!(project.run(), ["ran b"]);
    assert!(!project.exists("a"));
}

#[test]
fn a_task_sees_inputs_as_they_are_when_its_turn_comes() {
    // `first` rewrites, beside its output, the file that `second` reads without a link between them but `after`.
    let project = Project::new(
        "[task.first]\nrun = 'echo new > plain; echo > ${outputs}'\noutputs = ['first']\n\
         [task.second]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['plain']\noutputs = ['second']\nafter = ['first']\n",
    );
    project.write("plain", "old\n");
    assert_eq!(project.run(), ["ran first", "ran second"]);
    assert_eq!(project.read("second"), "new\n");
    assert_eq!(project.run(), ["hit first", "hit second"]);
}

#[test]
fn long_commands_and_long_lists_go_through_files() {
    let padding = "x".repeat(200_000);
    let project = Project::new(&format!(
        "[task.long]\nrun = '''\n# {padding}\necho long > ${{outputs}}\n'''\noutputs = ['long']\n\
         [task.list]\nrun = 'wc -l < ${{inputs.file}} > ${{outputs}}'\ninputs = ['in/*']\noutputs = ['list']\ncwd = 'in'\n"
    ));
    for number in 0..20 {
        project.write(&format!("in/{number}"), "");
    }
    project.replace("fleche.toml", "> ${outputs}'\ninputs", "> ../list'\ninputs");
    assert_eq!(project.run(), ["ran long", "ran list"]);
    assert_eq!(project.read("list").trim(), "20");
}

#[test]
fn a_command_in_another_directory_gets_paths_that_fit() {
    let project = Project::new(
        "[task.a]\nrun = 'pwd > ${outputs}; cat ${inputs} >> ${outputs}'\ncwd = 'sub/deep'\n\
         inputs = ['sub/in', 'top']\noutputs = ['out/a']\n",
    );
    project.write("sub/deep/x", "");
    project.write("sub/in", "in\n");
    project.write("top", "top\n");
    project.run();
    let expected = project.root().join("sub/deep").canonicalize().expect("is there");
    assert_eq!(project.read("out/a"), format!("{}\nin\ntop\n", expected.display()));
}

#[test]
fn a_list_runs_without_a_shell() {
    let project = Project::new(
        "[task.a]\nrun = ['cp', '${inputs}', '${outputs}']\ninputs = ['a $b']\noutputs = ['c;d']\nshell = 'no-such-shell'\n",
    );
    project.write("a $b", "text\n");
    assert_eq!(project.run(), ["ran a"]);
    assert_eq!(project.read("c;d"), "text\n");
}

#[test]
fn values_reach_the_command_whole() {
    let project = Project::new(
        "[vars]\nv = \"it's; $(touch owned) \\\"x\\\"\"\n\
         [task.a]\nrun = '''printf '%s\\n' ${v} \"${v}\" '${v}' > ${outputs}'''\noutputs = ['a']\n",
    );
    project.run();
    let value = "it's; $(touch owned) \"x\"\n";
    assert_eq!(project.read("a"), value.repeat(3));
    assert!(!project.exists("owned"));
}

#[test]
fn independent_tasks_run_at_once() {
    // Each waits for the other: one at a time they would fail.
    let wait = |me: &str, other: &str| {
        format!(
            "[task.{me}]\nrun = 'touch ../{me}; for i in $(seq 100); do test -e ../{other} && exec touch {me}; sleep 0.1; done; exit 1'\n\
             outputs = ['{me}']\n"
        )
    };
    let project = Project::new(&format!("{}{}", wait("a", "b"), wait("b", "a")));
    let ended = project.fleche(&["run", "-j2"]);
    assert_eq!(ended.code, Some(0), "{}", ended.out);
}

#[test]
fn force_runs_the_named_tasks_and_only_those() {
    let project = pipeline();
    project.run();
    assert_eq!(project.outcomes(&["run", "--force", "count"]), ["hit clean", "ran count"]);
}

#[test]
fn a_dry_run_runs_nothing_and_keeps_nothing() {
    let project = pipeline();
    let ended = project.fleche(&["run", "-n"]);
    assert_eq!(
        ended.out,
        "would run  clean  never ran here\nmight run  count  after clean\nwould run  other  never ran here\n"
    );
    assert_eq!(ended.code, Some(0));
    assert!(!project.exists(".fleche") && !project.exists("build"));
    project.run();
    assert_eq!(project.fleche(&["run", "--dry-run"]).out, "everything is up to date\n");
}

#[test]
fn explain_says_why() {
    let project = pipeline();
    project.run();
    project.write("raw/b.txt", "3\n4\n5\n");
    let ended = project.fleche(&["run", "--explain", "-j1"]);
    assert!(ended.out.starts_with("clean runs:\n  changed  raw/b.txt  1 → 3 lines\n"), "{}", ended.out);
}

#[test]
fn a_lost_cache_means_running_again() {
    let project = pipeline();
    project.run();
    project.remove(".fleche");
    assert_eq!(project.run(), ["ran clean", "ran count", "ran other"]);
}

#[test]
fn every_task_can_be_named_from_a_directory_below() {
    let project = pipeline();
    let root = project.root();
    let below = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.current_dir(root.join("raw"));
        crate::project::ended(&mut command)
    };
    assert_eq!(below(&["run", "clean"]).code, Some(0));
    assert!(project.exists("build/clean.txt"));
    assert_eq!(below(&["-C", "..", "status", "clean"]).code, Some(0));
    assert_eq!(below(&["--file", "../fleche.toml", "status", "clean"]).code, Some(0));
}
