//! `why`, `graph --calls`, `query --depends-on` and `rerun` on recorded calls: of tasks, and of another program's
//! functions.

use std::io;
use std::path::Path;

use fleche::fleche;

use crate::project::{Ended, Project, redacted};

fn project() -> Project {
    let project = Project::new(
        "[task.clean]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['raw']\noutputs = ['clean']\n\
         [task.plot]\nmatrix = { s = ['a', 'b'] }\nrun = 'cat ${inputs} > ${outputs}'\n\
         inputs = ['clean', '${s}.in']\noutputs = ['${s}.svg']\n",
    );
    project.write("raw", "1\n");
    project.write("a.in", "a\n");
    project.write("b.in", "b\n");
    project.run();
    project
}

#[fleche]
fn words(path: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64)
}

#[fleche]
fn both(a: &Path, b: &Path) -> io::Result<u64> {
    Ok(words(a)? + words(b)?)
}

/// A directory with the cache of a program that knows nothing of tasks.
fn library() -> (Project, String, String) {
    let project = Project::new("");
    project.remove("fleche.toml");
    project.write("one", "x y\n");
    project.write("two", "z\n");
    let cache = fleche::Cache::open(project.path("store")).expect("opened");
    let _scope = fleche::cache(&cache).expect("in scope");
    let (one, two) = (project.path("one"), project.path("two"));
    both(&one, &two).expect("runs");
    (project, words::digest(&one).to_string(), both::digest(&one, &two).to_string())
}

fn shortened(project: &Project, ended: &Ended) -> String {
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    redacted(&ended.out.replace(&format!("{}/", project.root().display()), ""))
}

#[test]
fn why_of_a_matrix_tells_of_each_instance() {
    let project = project();
    project.write("a.in", "a\na\n");
    let out = project.fleche(&["why", "plot"]).out;
    let heads: Vec<_> = out.lines().filter(|line| line.starts_with("plot[")).collect();
    assert!(heads[0].starts_with("plot[a]: would run; against"), "{out}");
    assert!(heads[1].starts_with("plot[b]: up to date"), "{out}");
    assert!(out.contains("changed  a.in  1 → 2 lines"), "{out}");
    let json = project.fleche(&["why", "plot", "--format=json"]).out;
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    assert_eq!((&lines[0]["task"], &lines[0]["standing"]), (&"plot[a]".into(), &"stale".into()));
    assert_eq!(lines[0]["changes"][0]["what"], "a.in");
    assert_eq!((&lines[1]["standing"], &lines[1]["changes"]), (&"fresh".into(), &serde_json::json!([])));
}

#[test]
fn why_of_a_call_of_another_program() {
    let (project, words, both) = library();
    let why = |call: &str| shortened(&project, &project.fleche(&["why", call, "--cache", "store"]));
    assert!(why(&both).starts_with(r#"both("one", "two"): up to date"#), "{}", why(&both));
    project.write("one", "x y\nz\n");
    let text = why(&both);
    assert!(text.contains("would run if a call below it makes something else"), "{text}");
    assert!(text.contains(r#"  stale    words("one")"#) && text.contains("  changed  one"), "{text}");
    assert!(text.contains("the old content is not stored"), "{text}");
    let json = project.fleche(&["why", &words[..12], "--cache", "store", "--format=json"]).out;
    let json: serde_json::Value = serde_json::from_str(&json).expect("is JSON");
    assert_eq!(json["steps"][0]["differences"][0]["what"], "one");
    assert_eq!(project.fleche(&["why", "abcdabcd", "--cache", "store"]).code, Some(2));
    assert_eq!(project.fleche(&["why", &words, "--cache", "nowhere"]).code, Some(2));
}

#[test]
fn which_results_depend_on_this_file() {
    let project = project();
    let query = |file: &str| {
        let out = project.fleche(&["query", "--depends-on", file, "--format=json"]).out;
        let mut names: Vec<String> = out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("is JSON"))
            .map(|line| line["function"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    };
    // Through what a task makes of it, too.
    assert_eq!(query("raw"), ["clean", "plot[a]", "plot[b]"]);
    assert_eq!(query("a.in"), ["plot[a]"]);
    assert_eq!(query("clean"), ["plot[a]", "plot[b]"]);
    assert_eq!(query("nothing"), Vec::<String>::new());

    let (project, ..) = library();
    let out = shortened(&project, &project.fleche(&["query", "--depends-on", "one", "--cache", "store"]));
    assert_eq!((out.matches("words").count(), out.matches("both").count()), (1, 1), "{out}");
}

#[test]
fn recorded_calls_are_drawn_down_to_inputs_and_up_to_results() {
    let (project, words, both) = library();
    let graph = |arguments: &[&str]| {
        let all = [&["graph", "--cache", "store", "--calls"], arguments].concat();
        shortened(&project, &project.fleche(&all))
    };
    assert_eq!(
        graph(&[&both]),
        "both(\"one\", \"two\")\n├── words(\"one\")\n│   └── one\n└── words(\"two\")\n    └── two\n"
    );
    assert_eq!(graph(&[&words, "--dependents"]), "words(\"one\")\n└── both(\"one\", \"two\")\n");
    let of_file = |arguments: &[&str]| {
        let all = [&["graph", "--cache", "store", "--depends-on"], arguments].concat();
        shortened(&project, &project.fleche(&all))
    };
    assert_eq!(of_file(&["one"]), "one\n└── words(\"one\")\n    └── both(\"one\", \"two\")\n");
    assert_eq!(of_file(&["one", "--format=dot"]).matches(" -> ").count(), 2);
    let json: serde_json::Value = serde_json::from_str(&of_file(&["two", "--format=json"])).expect("is JSON");
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(3));
    assert_eq!(of_file(&["none"]), "no record depends on it\n");
    assert_eq!(project.fleche(&["graph", "--depends-on", "one", "--calls", &both]).code, Some(2));
    assert_eq!(graph(&[&both, "--format=dot"]).matches(" -> ").count(), 4);
    assert_eq!(graph(&[&both, "--format=mermaid"]).matches(" --> ").count(), 4);
    let json: serde_json::Value = serde_json::from_str(&graph(&[&both, "--format=json"])).expect("is JSON");
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(5));
    assert_eq!(
        project.fleche(&["graph", "--calls", &both, "--cache", "store", "--format=svg"]).code,
        Some(2)
    );
}
