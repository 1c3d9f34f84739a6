//! Outputs come back as they were made, and what is right already is left alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::project::Project;

/// A directory with a bit of everything.
fn tree() -> Project {
    let project = Project::new(
        r#"
        [task.tree]
        run = """
        echo tree >> $LOG
        mkdir -p tree/sub tree/empty
        cat in > tree/file
        echo tool > tree/sub/tool; chmod 755 tree/sub/tool
        ln -s ../file tree/sub/link
        """
        inputs = ["in"]
        outputs = ["tree"]
        pass_env = ["LOG"]
        "#,
    );
    project.write("in", "one\n");
    project.run();
    assert_eq!(project.log(), ["tree"]);
    project
}

fn assert_whole(project: &Project) {
    assert_eq!(project.read("tree/file"), "one\n");
    assert_eq!(project.read("tree/sub/tool"), "tool\n");
    assert_eq!(project.mode("tree/sub/tool"), 0o755);
    assert_eq!(project.mode("tree/file"), 0o644);
    assert_eq!(fs::read_link(project.path("tree/sub/link")).expect("is a link").as_os_str(), "../file");
    assert!(project.path("tree/empty").is_dir());
    assert_eq!(fs::read_dir(project.path("tree")).expect("reads").count(), 3);
    assert!(project.log().is_empty(), "it ran");
    let left: Vec<_> = fs::read_dir(project.root())
        .expect("reads")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with(".fleche-tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn deleted_outputs_are_restored() {
    let project = tree();
    project.remove("tree");
    assert_eq!(project.run(), ["restored tree"]);
    assert_whole(&project);
}

#[test]
fn tampered_outputs_are_restored() {
    let project = tree();
    project.write("tree/file", "two\n");
    fs::set_permissions(project.path("tree/sub/tool"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("set");
    project.remove("tree/sub/link");
    symlink("elsewhere", project.path("tree/sub/link")).expect("linked");
    project.write("tree/surplus/file", "");
    assert_eq!(project.run(), ["restored tree"]);
    assert_whole(&project);
}

#[test]
fn outputs_of_another_kind_are_replaced() {
    let project = tree();
    project.remove("tree/file");
    project.write("tree/file/inside", "");
    project.remove("tree/sub");
    project.write("tree/sub", "a file");
    assert_eq!(project.run(), ["restored tree"]);
    assert_whole(&project);
    project.remove("tree");
    project.write("tree", "a file");
    assert_eq!(project.run(), ["restored tree"]);
    assert_whole(&project);
}

#[test]
fn what_is_right_is_not_touched_and_what_changes_is_new() {
    let project = tree();
    let old = SystemTime::now() - Duration::from_secs(10_000);
    for path in ["tree/file", "tree/sub/tool"] {
        let file = fs::File::options().append(true).open(project.path(path)).expect("opens");
        file.set_modified(old).expect("set");
    }
    assert_eq!(project.run(), ["hit tree"]);
    project.write("tree/file", "two\n");
    let file = fs::File::options().append(true).open(project.path("tree/file")).expect("opens");
    file.set_modified(old).expect("set");
    assert_eq!(project.run(), ["restored tree"]);
    assert_eq!(project.modified("tree/sub/tool"), old);
    assert!(project.modified("tree/file") > SystemTime::now() - Duration::from_secs(100));
}

#[test]
fn an_edit_in_place_does_not_change_what_is_stored() {
    let project = tree();
    project.remove("tree");
    project.run();
    // If the restored file shared its bytes with the store this would damage them.
    let file = fs::File::options().write(true).open(project.path("tree/file")).expect("opens");
    std::io::Write::write_all(&mut &file, b"BAD").expect("written");
    assert_eq!(project.run(), ["restored tree"]);
    assert_whole(&project);
}

#[test]
fn outputs_are_emptied_before_a_run_except_what_is_kept() {
    let project = Project::new(
        "[task.a]\nrun = 'mkdir -p out/target; ls -A out out/target >> $LOG; cat in > out/made-$(cat in); echo x > out/target/c'\n\
         inputs = ['in']\noutputs = ['out']\nkeep = ['out/target']\npass_env = ['LOG']\n",
    );
    project.write("in", "1");
    project.run();
    project.log();
    project.write("in", "2");
    assert_eq!(project.run(), ["ran a"]);
    assert_eq!(project.log(), ["out:", "target", "", "out/target:", "c"]);
    assert!(!project.exists("out/made-1") && project.exists("out/made-2"));
    // Neither captured, nor removed, nor compared.
    project.write("out/target/c", "other");
    project.write("out/target/d", "");
    assert_eq!(project.run(), ["hit a"]);
    project.write("in", "1");
    assert_eq!(project.run(), ["restored a"]);
    assert!(project.exists("out/made-1") && !project.exists("out/made-2"));
    assert_eq!(project.read("out/target/c"), "other");
    assert!(project.exists("out/target/d"));
}

#[test]
fn parents_of_outputs_are_made() {
    let project = Project::new(
        "[task.a]\nrun = 'echo > deep/er/a; echo > made/inside'\noutputs = ['deep/er/a', 'made/']\n",
    );
    assert_eq!(project.run(), ["ran a"]);
    project.remove("deep");
    assert_eq!(project.run(), ["restored a"]);
    assert!(project.exists("deep/er/a"));
}

#[test]
fn what_the_store_has_lost_is_made_again() {
    let project = tree();
    // Values are in segments; without them only what the records say is left, or nothing.
    project.remove("tree");
    for entry in walk(&project.path(".fleche")) {
        if fs::metadata(&entry).expect("is there").len() > 0 {
            let damaged = vec![0_u8; 64];
            fs::write(&entry, damaged).expect("written");
        }
    }
    assert_eq!(project.run(), ["ran tree"]);
    project.log();
    assert_whole(&project);
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("reads") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

fn stations(names: &str) -> String {
    format!(
        "[task.p]\nmatrix = {{ s = {names} }}\nrun = 'mkdir -p d/${{s}} && echo ${{s}} > d/${{s}}/x && echo ${{s}} > ${{s}}.out'\n\
         outputs = ['d/${{s}}', '${{s}}.out']\n[task.all]\nrun = 'cat ${{inputs}} > ${{outputs}}'\ninputs = ['*.out']\noutputs = ['all']\n"
    )
}

#[test]
fn what_no_task_makes_any_more_leaves_the_globs_and_goes() {
    let project = Project::new(&stations("['a', 'b']"));
    project.run();
    assert_eq!(project.read("all"), "a\nb\n");
    project.write("fleche.toml", &stations("['a']"));
    let status = project.fleche(&["status"]).out;
    assert!(status.contains("stale  all  b.out removed"), "{status}");
    assert!(project.exists("b.out"), "status removed it");
    let ended = project.fleche(&["run", "-j1"]);
    assert!(
        ended.out.starts_with(
            "removed   b.out, which no task makes any more\nremoved   d/b/x, which no task makes any more\nran       all"
        ),
        "{}",
        ended.out
    );
    assert_eq!(project.read("all"), "a\n");
    assert!(!project.exists("b.out") && !project.exists("d/b") && project.exists("d/a/x"));
    // It is still in the cache.
    project.write("fleche.toml", &stations("['a', 'b']"));
    assert_eq!(project.run(), ["hit p[a]", "restored p[b]", "restored all"]);
}

#[test]
fn a_file_that_somebody_put_in_the_place_of_an_output_is_theirs() {
    let project = Project::new(&stations("['a', 'b']"));
    project.run();
    project.write("fleche.toml", &stations("['a']"));
    // The same bytes, but written by somebody else.
    project.remove("b.out");
    project.write("b.out", "b\n");
    assert_eq!(project.run(), ["hit p[a]", "hit all"]);
    assert_eq!(project.read("b.out"), "b\n");
    // Another manifest in the same directory does not take what this one's tasks made for orphans.
    project.write("other.toml", "[task.x]\nrun = 'echo > x'\noutputs = ['x']\n");
    assert_eq!(project.outcomes(&["--file", "other.toml", "run"]), ["ran x"]);
    assert!(project.exists("a.out") && project.exists("all"));
}
