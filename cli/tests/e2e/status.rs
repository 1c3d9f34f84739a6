//! `status` and `why` tell what `run` would do, and do nothing.

use crate::project::{Project, redacted};

fn pipeline() -> Project {
    let project = Project::new(
        r#"
        [vars]
        min = 10

        [task.clean]
        run = "awk '$1 >= ${min}' ${inputs} > ${outputs}"
        inputs = ["raw/*.txt"]
        outputs = ["build/clean.txt"]

        [task.plot]
        matrix = { kind = ["a", "b"] }
        run = "echo ${kind}; cp ${inputs} ${outputs}"
        inputs = ["build/clean.txt"]
        outputs = ["build/plot-${kind}.txt"]

        [task.report]
        run = "cat ${inputs} > ${outputs}"
        inputs = ["build/plot-*.txt"]
        outputs = ["build/report.txt"]
        "#,
    );
    project.write("raw/1.txt", "5\n10\n15\n");
    project.write("raw/2.txt", "20\n");
    project
}

#[test]
fn status_knows_stale_pending_restorable_and_fresh() {
    let project = pipeline();
    let ended = project.fleche(&["status"]);
    assert_eq!(
        ended.out,
        "stale    clean    never ran here\npending  plot[a]  after clean\npending  plot[b]  after clean\n\
         pending  report   after plot[a] and 1 more\n1 stale · 3 pending\n"
    );
    assert_eq!(ended.code, Some(1));
    assert!(!project.exists(".fleche"));
    project.run();
    let ended = project.fleche(&["status"]);
    assert_eq!((ended.out.as_str(), ended.code), ("4 fresh\n", Some(0)));
    assert_eq!(project.fleche(&["status", "-v", "clean"]).out, "fresh  clean\n1 fresh\n");
    project.remove("build");
    let ended = project.fleche(&["status"]);
    assert_eq!(
        ended.out,
        "restorable  clean    1 path differs\nrestorable  plot[a]  1 path differs\nrestorable  plot[b]  1 path differs\n\
         restorable  report   1 path differs\n4 restorable\n"
    );
    assert_eq!(ended.code, Some(1));
    assert!(!project.exists("build"));
}

#[test]
fn status_predicts_through_what_is_to_be_restored() {
    let project = pipeline();
    project.run();
    project.write("raw/2.txt", "30\n");
    project.run();
    // All that would make `report` is known although none of it is on disk now.
    project.write("raw/2.txt", "20\n");
    let out = project.fleche(&["status"]).out;
    assert!(out.ends_with("\n4 restorable\n"), "{out}");
    // Only the command of the last one is new.
    project.replace("fleche.toml", "cat ${inputs} > ", "cat  ${inputs} > ");
    let out = project.fleche(&["status"]).out;
    assert!(out.ends_with("1 stale · 3 restorable\n"), "{out}");
    assert_eq!(project.run(), ["restored clean", "restored plot[a]", "restored plot[b]", "ran report"]);
}

#[test]
fn status_records_nothing() {
    let project = pipeline();
    project.run();
    let before = project.cache_bytes();
    project.write("raw/1.txt", "11\n");
    project.fleche(&["run", "-n"]);
    project.fleche(&["why", "clean"]);
    project.fleche(&["status"]);
    // Digests of files may be noted; what tasks made may not.
    let grown = project.cache_bytes().len() - before.len();
    assert!(grown < 4096, "{grown} bytes");
    assert_eq!(project.run()[0], "ran clean");
}

#[test]
fn why_tells_all_that_is_different() {
    let project = pipeline();
    let first = project.fleche(&["why", "clean"]);
    assert_eq!(
        (first.out.as_str(), first.code),
        ("would run; it has never succeeded here\nthen     plot[*]; report only if plot changes\n", Some(0))
    );
    project.run();
    assert_eq!(
        redacted(&project.fleche(&["why", "clean"]).out),
        "up to date; last ran [when]\n  same     2 inputs, command\n"
    );
    project.write("raw/1.txt", "5\n10\n15\n20\n");
    project.write("raw/3.txt", "1\n");
    project.replace("fleche.toml", "min = 10", "min = 12");
    assert_eq!(
        redacted(&project.fleche(&["why", "clean"]).out),
        "would run; against the last success here, [when]\n  changed  raw/1.txt  3 → 4 lines, written [ago]\n  \
         added    raw/3.txt  1 line, written [ago]\n  changed  var min    10 → 12\n  same     1 input, command\nthen     plot[*]; report only if plot changes\n"
    );
    project.remove("raw/2.txt");
    project.replace("fleche.toml", "awk '$1", "awk  '$1");
    let out = project.fleche(&["why", "clean"]).out;
    assert!(out.contains("  removed  raw/2.txt\n"), "{out}");
    assert!(
        out.contains("  changed  command    awk '$1 >= ${min}' ${inputs} > ${outputs} → awk  '$1"),
        "{out}"
    );
    assert!(!out.contains("same"), "{out}");
}

#[test]
fn why_of_what_depends_on_something_stale() {
    let project = pipeline();
    project.run();
    project.write("raw/1.txt", "11\n");
    let clean = "clean: would run; against the last success here, [when]\n  \
                 changed  raw/1.txt  3 → 1 line, written [ago]\n  same     1 input, command\n";
    // Down to what somebody changed, once though two instances wait for it.
    assert_eq!(
        redacted(&project.fleche(&["why", "plot[a]"]).out),
        format!("plot[a]: might run; that depends on what clean will make\nthen     report\n{clean}")
    );
    let out = redacted(&project.fleche(&["why", "plot"]).out);
    assert_eq!((out.matches(clean).count(), out.matches("might run").count()), (1, 2), "{out}");
    let out = redacted(&project.fleche(&["why", "report"]).out);
    assert!(out.ends_with(clean) && !out.contains("[a]: "), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&project.fleche(&["why", "report", "--format=json"]).out).expect("is JSON");
    assert_eq!(
        (&json["above"][0]["task"], &json["above"][0]["standing"]),
        (&"clean".into(), &"stale".into())
    );
    assert_eq!(json["above"][0]["changes"][0]["what"], "raw/1.txt");
    assert!(json["above"][0]["changes"][0]["written_ms"].is_i64());
    project.run();
    project.remove("build/report.txt");
    assert_eq!(
        redacted(&project.fleche(&["why", "report"]).out),
        "would be restored: 1 path is not as recorded; last ran [when]\n  missing  build/report.txt\n  \
         same     2 inputs, command\n"
    );
    let all = project.fleche(&["why", "plot"]).out;
    assert!(all.starts_with("plot[a]: up to date") && all.contains("\nplot[b]: up to date"), "{all}");
}

#[test]
fn why_compares_with_the_success_that_lies_here() {
    let project = pipeline();
    project.run();
    project.replace("fleche.toml", "min = 10", "min = 12");
    project.run();
    project.replace("fleche.toml", "min = 12", "min = 10");
    assert!(project.run().iter().any(|line| line.starts_with("restored clean")), "an older one is back");
    project.write("raw/1.txt", "11\n");
    let out = project.fleche(&["why", "clean"]).out;
    assert!(out.contains("changed  raw/1.txt") && !out.contains("var min"), "{out}");
    let out = project.fleche(&["status", "clean"]).out;
    assert!(out.contains("raw/1.txt changed") && !out.contains("more"), "{out}");
}

#[test]
fn why_of_a_file_is_why_of_the_task_that_makes_it() {
    let project = pipeline();
    project.run();
    let out = project.fleche(&["why", "build/plot-a.txt"]).out;
    assert!(out.starts_with("plot[a]: up to date"), "{out}");
    let of_input = project.fleche(&["why", "raw/1.txt"]);
    assert_eq!(of_input.code, Some(2));
    assert!(of_input.err.contains("fleche query --depends-on raw/1.txt"), "{}", of_input.err);
}
