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
        "would run; against the last success here, [when]\n  changed  raw/1.txt  3 → 4 lines\n  added    raw/3.txt  1 line\n  \
         changed  var min    10 → 12\n  same     1 input, command\nthen     plot[*]; report only if plot changes\n"
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
    assert_eq!(
        project.fleche(&["why", "plot[a]"]).out,
        "might run; that depends on what clean will make\nthen     report\n"
    );
    project.run();
    project.remove("build/report.txt");
    assert_eq!(
        redacted(&project.fleche(&["why", "report"]).out),
        "would be restored: 1 path is not as recorded; last ran [when]\n  same     2 inputs, command\n"
    );
    let all = project.fleche(&["why", "plot"]).out;
    assert!(all.starts_with("plot[a]: up to date") && all.contains("\nplot[b]: up to date"), "{all}");
}
