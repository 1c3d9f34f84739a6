//! The commands that only show or write something.

use expect_test::expect;

use crate::project::Project;

fn project() -> Project {
    let project = Project::new(
        "[task.clean]\ndescription = 'Drop what is not needed'\nrun = 'cat ${inputs} > ${outputs}'\n\
         inputs = ['raw']\noutputs = ['clean']\n\
         [task.plot]\nmatrix = { s = ['a', 'b'] }\nrun = 'echo ${s} | tee ${outputs}; echo warn >&2'\ninputs = ['clean']\noutputs = ['${s}.svg']\n\
         [task.all]\nafter = ['plot', 'note']\n[task.note]\nrun = 'echo note'\n",
    );
    project.write("raw", "1\n");
    project
}

#[test]
fn list() {
    let project = project();
    expect![[r"
        clean         Drop what is not needed
        plot[s: a b]
        all
        note
    "]]
    .assert_eq(&project.fleche(&["list"]).out);
    let first = project.fleche(&["list", "--format=json"]).out.lines().next().expect("has one").to_owned();
    assert_eq!(
        first,
        r#"{"description":"Drop what is not needed","inputs":["raw"],"outputs":["clean"],"task":"clean"}"#
    );
}

#[test]
fn graph() {
    let project = project();
    expect![[r"
        all
        ├── after plot[a]
        │   └── clean
        ├── after plot[b]
        │   └── clean
        └── after note
    "]]
    .assert_eq(&project.fleche(&["graph"]).out);
    expect![[r#"
        digraph tasks {
          rankdir=LR;
          node [shape=box, style=rounded];
          "clean" [tooltip="Drop what is not needed"];
          "plot[a]" [tooltip=""];
          "clean" -> "plot[a]";
        }
    "#]]
    .assert_eq(&project.fleche(&["graph", "--format=dot", "plot[a]"]).out);
    expect![[r#"
        flowchart LR
          t0["clean"]
          t1["plot[a]"]
          t2["plot[b]"]
          t4["note"]
          t3["all"]
          t0 --> t1
          t0 --> t2
          t1 -.-> t3
          t2 -.-> t3
          t4 -.-> t3
    "#]]
    .assert_eq(&project.fleche(&["graph", "--format=mermaid"]).out);
    let json: serde_json::Value =
        serde_json::from_str(&project.fleche(&["graph", "--format=json"]).out).expect("is JSON");
    assert_eq!(json["tasks"][1]["reads_from"][0], "clean");
}

#[test]
fn graph_as_a_picture_and_as_a_page() {
    let project = project();
    project.replace("fleche.toml", "Drop what is not needed", "</script><b>");
    let svg = project.fleche(&["graph", "--format=svg"]).out;
    assert_eq!(svg.matches("class=\"task\"").count(), 5);
    assert_eq!(svg.matches("class=\"edge\"").count(), 2);
    assert_eq!(svg.matches("class=\"edge after\"").count(), 3);
    let page = project.fleche(&["graph", "--format=html"]).out;
    assert!(page.contains(&svg) && page.contains("echo ${s} | tee ${outputs}"));
    assert_eq!(page.matches("</script>").count(), 1, "a description ends the script");
    for needle in ["src=", "href=", "import ", "url("] {
        assert!(!page.contains(needle), "it needs another file: {needle}");
    }
}

#[test]
fn log_shows_both_streams_of_a_success() {
    let project = project();
    assert_eq!(project.fleche(&["log", "plot[a]"]).code, Some(2));
    project.run();
    assert_eq!(project.fleche(&["log", "plot[a]", "--stdout"]).out, "a\n");
    assert_eq!(project.fleche(&["log", "plot[a]", "--stderr"]).out, "warn\n");
    assert_eq!(project.fleche(&["log", "plot[a]"]).out.len(), "a\nwarn\n".len());
}

#[test]
fn clean_removes_what_was_made_and_only_that() {
    let project = project();
    project.write("b.svg", "by hand");
    project.outcomes(&["run", "plot[a]"]);
    let dry = project.fleche(&["clean", "-n"]);
    assert!(project.exists("clean"));
    let ended = project.fleche(&["clean"]);
    assert_eq!(ended.out, "removed clean\nremoved a.svg\nleft b.svg, which `plot[b]` has never made here\n");
    assert_eq!(dry.out, ended.out.replace("removed", "would remove"));
    assert!(
        !project.exists("clean")
            && !project.exists("a.svg")
            && project.exists("b.svg")
            && project.exists("raw")
    );
    assert_eq!(project.outcomes(&["run", "plot[a]"]), ["restored clean", "restored plot[a]"]);
}

#[test]
fn init_writes_something_that_runs() {
    let project = Project::new("");
    project.remove("fleche.toml");
    assert_eq!(project.fleche(&["init"]).code, Some(0));
    assert_eq!(project.run(), ["ran hello"]);
    assert_eq!(project.read("build/hello.txt"), "Hello, world\n");
    let again = project.fleche(&["init"]);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("exists already"), "{}", again.err);
}

#[test]
fn completions_know_the_commands() {
    let project = Project::new("");
    for shell in ["bash", "zsh", "fish"] {
        let ended = project.fleche(&["completions", shell]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.out.contains("rerun"), "{shell}");
    }
}

#[test]
fn colours_follow_the_usual_variables() {
    let mut project = project();
    assert!(!project.fleche(&["list"]).out.contains('\x1b'), "into a pipe");
    project.set("CLICOLOR_FORCE", "1");
    assert!(project.fleche(&["list"]).out.contains('\x1b'));
    project.set("NO_COLOR", "1");
    assert!(!project.fleche(&["list"]).out.contains('\x1b'));
}

#[test]
fn json_events_tell_the_whole_run() {
    let project = project();
    let ended = project.fleche(&["run", "clean", "--format=json"]);
    let events: Vec<serde_json::Value> =
        ended.out.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().expect("a string")).collect();
    assert_eq!(kinds, ["started", "ended", "summary"]);
    assert_eq!(events[0]["because"][0]["verb"], "new");
    assert_eq!((&events[1]["outcome"], &events[1]["recorded"]), (&"ran".into(), &true.into()));
    assert_eq!(events[2]["ran"], 1);
}
