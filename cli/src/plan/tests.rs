//! The graph that manifests give, and what is wrong with them.

use std::fs;

use expect_test::{Expect, expect};

use super::*;
use crate::manifest::parse::parse;

fn plan_in(root: &Path, text: &str) -> Result<Plan> {
    Plan::new(root, parse(Path::new("fleche.toml"), text.to_owned())?)
}

fn plan(text: &str) -> Plan {
    plan_in(Path::new("/project"), text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn wrong(text: &str, expected: &Expect) {
    let errors = plan_in(Path::new("/project"), text).expect_err("must not be accepted");
    expected.assert_eq(&errors.iter().map(|error| error.render(false)).collect::<Vec<_>>().join("\n"));
}

fn edges(plan: &Plan) -> Vec<String> {
    let name = |node: NodeIndex| plan.tasks[node.index()].name.as_str();
    let mut edges: Vec<_> = plan
        .graph
        .edge_references()
        .map(|edge| {
            let sign = if edge.weight().relation == Relation::Data { ">" } else { "~" };
            format!("{} {sign} {}", name(edge.source()), name(edge.target()))
        })
        .collect();
    edges.sort();
    edges
}

#[test]
fn outputs_that_inputs_match_make_edges() {
    let plan = plan(
        "[task.table]\nrun='x'\ninputs=['build/*.csv', 'deep/a/b', 'made/x.txt', 'tree']\noutputs=['table']\n\
         [task.a]\nrun='x'\noutputs=['build/a.csv']\n\
         [task.not]\nrun='x'\noutputs=['build/a.txt']\n\
         [task.dir]\nrun='x'\noutputs=['deep']\n\
         [task.made]\nrun='x'\noutputs=['made/']\n\
         [task.leaf]\nrun='x'\noutputs=['tree/leaf']\n\
         [task.rust]\nrun='x'\ninputs=['**/*.rs']\nafter=['not']\n\
         [task.generated]\nrun='x'\noutputs=['src/']\n",
    );
    assert_eq!(
        edges(&plan),
        [
            "a > table",
            "dir > table",
            "generated > rust",
            "leaf > table",
            "made > rust",
            "made > table",
            "not ~ rust"
        ]
    );
    let order: Vec<_> = plan.order.iter().map(|task| plan.tasks[*task].name.as_str()).collect();
    assert_eq!(order, ["a", "not", "dir", "made", "leaf", "table", "generated", "rust"]);
}

#[test]
fn instances_expand_everywhere_and_are_found_together() {
    let plan = plan(
        "[vars]\nd = 'build'\n[task.plot]\nrun='p ${station} ${inputs}'\nmatrix={station=['oslo','rome']}\n\
         outputs=['${d}/${station}.svg']\n[task.all]\nrun='x'\ninputs=['build/*.svg']\nafter=['plot[rome]']\n",
    );
    assert_eq!(plan.tasks[0].outputs[0].path, "build/oslo.svg");
    assert_eq!(plan.tasks[0].variables.get("station").map(String::as_str), Some("oslo"));
    assert_eq!(plan.find("plot").unwrap(), [0, 1]);
    assert_eq!(plan.find("plot[rome]").unwrap(), [1]);
    assert_eq!(edges(&plan), ["plot[oslo] > all", "plot[rome] > all"]);
    assert!(plan.find("plto").unwrap_err().render(false).contains("did you mean `plot`?"));
}

#[test]
fn a_bare_run_takes_what_has_outputs_or_what_default_lists() {
    let tasks = "[task.a]\nrun='x'\noutputs=['a']\n[task.check]\nrun='x'\ninputs=['a']\n";
    assert_eq!(plan(tasks).select(&[]).unwrap(), [0]);
    assert_eq!(plan(&format!("[default]\ntasks=['check']\n{tasks}")).select(&[]).unwrap(), [1]);
}

#[test]
fn cycles_are_shown_whole() {
    wrong(
        "[task.a]\nrun='x'\ninputs=['c.out']\noutputs=['a.out']\n\
         [task.b]\nrun='x'\ninputs=['a.out']\noutputs=['b.out']\n\
         [task.c]\nrun='x'\nafter=['b']\noutputs=['c.out']\n",
        &expect![[r"
            error: cycle: a → b → c → a
             --> fleche.toml:7:9
              |
            7 | inputs=['a.out']
              |         ^^^^^^^
              = help: `b` waits for `a` because of this; one of them must do without the other
        "]],
    );
}

#[test]
fn outputs_belong_to_one_task() {
    wrong(
        "[task.a]\nrun='x'\noutputs=['x/y']\n[task.b]\nrun='x'\noutputs=['./x//y', 'ok']\n",
        &expect![[r"
            error: both `a` and `b` make `x/y`
             --> fleche.toml:6:10
              |
            6 | outputs=['./x//y', 'ok']
              |          ^^^^^^^^
              = note: the first is declared at fleche.toml:3:10
              = help: one file is made by one task
        "]],
    );
    wrong(
        "[task.a]\nrun='x'\noutputs=['x']\n[task.b]\nrun='x'\noutputs=['x/y']\n",
        &expect![[r"
            error: `x/y`, which `b` makes, lies inside `x`, which `a` makes
             --> fleche.toml:6:10
              |
            6 | outputs=['x/y']
              |          ^^^^^
              = note: `x` is declared at fleche.toml:3:10
              = help: outputs must not overlap: an output directory belongs to one task as a whole
        "]],
    );
    wrong(
        "[task.a]\nrun='x'\nmatrix={s=['1','2']}\noutputs=['x']\n",
        &expect![[r"
            error: both `a[1]` and `a[2]` make `x`
             --> fleche.toml:4:10
              |
            4 | outputs=['x']
              |          ^^^
              = note: the first is declared at fleche.toml:4:10
              = help: put a parameter of the matrix into it, as in `${s}`
        "]],
    );
}

#[test]
fn outputs_stay_in_the_project() {
    wrong(
        "[task.a]\nrun='x'\noutputs=['../x', 'build/*.o']\n",
        &expect![[r"
            error: output `../x` is outside the project
             --> fleche.toml:3:10
              |
            3 | outputs=['../x', 'build/*.o']
              |          ^^^^^^
              = help: outputs lie below /project

            error: output `build/*.o` looks like a glob
             --> fleche.toml:3:18
              |
            3 | outputs=['../x', 'build/*.o']
              |                  ^^^^^^^^^^^
              = help: outputs are files or directories; name the directory to have all that is in it
        "]],
    );
}

#[test]
fn undeclared_variables_hint_at_the_shell() {
    wrong(
        "[task.a]\nrun='echo ${f%.x} ${HOME}'\noutputs=['${nope}']\n",
        &expect![[r"
            error: `${nope}` is not declared
             --> fleche.toml:3:11
              |
            3 | outputs=['${nope}']
              |           ^^^^^^^
              = help: add `nope = …` to [vars], or to the task's `matrix`

            error: `${HOME}` is not declared
             --> fleche.toml:2:19
              |
            2 | run='echo ${f%.x} ${HOME}'
              |                   ^^^^^^^
              = help: for a variable of the shell write `$HOME`; for one of ours add `HOME = …` to [vars]
        "]],
    );
}

#[test]
fn missing_inputs_are_found_before_anything_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("there"), "").expect("written");
    let plan = plan_in(
        dir.path(),
        "[task.a]\nrun='x'\ninputs=['there','data/clena.csv','*.none']\n[task.b]\nrun='x'\noutputs=['data/clean.csv']\n",
    )
    .expect("is fine");
    let errors: Vec<_> = plan.missing_inputs(&[0, 1]).iter().map(|error| error.render(false)).collect();
    expect![[r"
        error: input `data/clena.csv` of task `a` does not exist, and no task makes it
         --> fleche.toml:3:17
          |
        3 | inputs=['there','data/clena.csv','*.none']
          |                 ^^^^^^^^^^^^^^^^
          = help: did you mean `data/clean.csv`, which `b` makes?

        error: input `*.none` of task `a` matches no file, and no task makes it
         --> fleche.toml:3:34
          |
        3 | inputs=['there','data/clena.csv','*.none']
          |                                  ^^^^^^^^
    "]]
    .assert_eq(&errors.join("\n"));
}

#[test]
fn inputs_expand_in_order_without_the_tasks_own_outputs() {
    let dir = tempfile::tempdir().expect("a directory");
    for path in ["b.txt", "a.txt", "out/own.txt", "dir/z", "dir/sub/y", "made/old.txt"] {
        fs::create_dir_all(dir.path().join(path).parent().expect("has one")).expect("made");
        fs::write(dir.path().join(path), "").expect("written");
    }
    let plan = plan_in(
        dir.path(),
        "[task.a]\nrun='x'\ninputs=['dir','**/*.txt']\noutputs=['out']\ncwd='dir'\n\
         [task.b]\nrun='x'\noutputs=['made/']\n",
    )
    .expect("is fine");
    let now = plan.expand(0, &|_| None).expect("expands");
    assert_eq!(now.files, ["a.txt", "b.txt", "dir/sub/y", "dir/z", "made/old.txt"]);
    assert_eq!(now.words, [".", "../a.txt", "../b.txt", "../made/old.txt"]);
    let predicted =
        plan.expand(0, &|task| (task == 1).then(|| vec!["made/new.txt".to_owned()])).expect("expands");
    assert_eq!(predicted.files, ["a.txt", "b.txt", "dir/sub/y", "dir/z", "made/new.txt"]);
}

#[test]
fn a_glob_that_overlooks_a_maker_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("made")).expect("made");
    fs::write(dir.path().join("made/x.csv"), "").expect("written");
    let plan =
        plan_in(dir.path(), "[task.a]\nrun='x'\ninputs=['**/*.csv']\n[task.b]\nrun='x'\noutputs=['made']\n")
            .expect("is fine");
    let error = plan.expand(0, &|_| None).expect_err("is overlooked");
    assert!(error.contains("made/x.csv, which task `b` makes"), "{error}");
}
