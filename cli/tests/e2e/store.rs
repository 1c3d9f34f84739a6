//! Looking into the cache, and keeping it small and sound.

use std::fs;

use crate::project::Project;

fn project() -> Project {
    let project = Project::new(
        "[vars]\nn = 1\n[task.first]\nrun = 'echo ${n}; cat ${inputs} > ${outputs}'\ninputs = ['in']\noutputs = ['first.out']\n\
         [task.second]\nrun = 'cat ${inputs} > ${outputs}'\ninputs = ['first.out']\noutputs = ['second/']\n",
    );
    project.replace(
        "fleche.toml",
        "> ${outputs}'\ninputs = ['first.out']",
        "> second/file; ln -s file second/link'\ninputs = ['first.out']",
    );
    project.write("in", "content of in\n");
    project.run();
    project
}

fn words(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn query_lists_records_and_show_tells_all_of_one() {
    let project = project();
    let all = project.fleche(&["query"]).out;
    let names: Vec<_> = words(&all).iter().map(|row| row[2].to_owned()).collect();
    assert_eq!(names, ["second", "first"], "{all}");
    let one = project.fleche(&["query", "sec", "--format=json"]).out;
    let record: serde_json::Value = serde_json::from_str(&one).expect("one line of JSON");
    assert_eq!(record["function"], "second");
    let shown = project.fleche(&["show", &record["key"].as_str().expect("a string")[..12]]).out;
    for part in [
        "second of tasks (fleche.toml)",
        "first.out",
        "second/file",
        "14 B",
        "644",
        "→ file",
        "cat first.out",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let digest = words(&shown).iter().find(|row| row[0] == "second/file").expect("is shown")[1].to_owned();
    assert_eq!(project.fleche(&["cat", &digest]).out, "content of in\n");
    let first = project.fleche(&["show", words(&all)[1][1]]).out;
    assert!(first.contains("  var n") && first.contains("    in"), "{first}");
    for (prefix, message) in [("zz", "hex digits"), ("0123456789abcdef", "nothing in the cache")] {
        let ended = project.fleche(&["show", prefix]);
        assert_eq!(ended.code, Some(2));
        assert!(ended.err.contains(message), "{}", ended.err);
    }
}

#[test]
fn gc_keeps_what_records_reach_and_drops_the_rest() {
    let project = project();
    let ended = project.fleche(&["gc"]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    project.remove("first.out");
    project.remove("second");
    assert_eq!(
        project.run(),
        ["restored first", "restored second"],
        "what the outputs are made of is still there"
    );
    assert!(project.fleche(&["log", "first"]).out.contains('1'));
    assert!(project.fleche(&["gc", "--max-age=0s", "-n"]).out.starts_with("would drop 2 records"));
    assert_eq!(project.run(), ["hit first", "hit second"]);
    let ended = project.fleche(&["gc", "--max-age=0s"]);
    assert!(ended.out.starts_with("dropped 2 records"), "{}", ended.out);
    assert_eq!(project.run(), ["ran first", "ran second"]);
    assert_eq!(project.fleche(&["gc", "--max-size=many"]).code, Some(2));
}

#[test]
fn verify_finds_damage_and_repairs_it() {
    let project = project();
    assert_eq!(project.fleche(&["verify"]).code, Some(0));
    let damaged = damage(&project.path(".fleche"));
    assert!(damaged > 0);
    let ended = project.fleche(&["verify"]);
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(ended.out.contains("damaged "), "{}", ended.out);
    assert_eq!(project.fleche(&["verify", "--repair"]).code, Some(0));
    assert_eq!(project.fleche(&["verify"]).code, Some(0));
    project.remove("first.out");
    project.remove("second");
    project.run();
    assert_eq!(project.read("second/file"), "content of in\n");
}

/// Alters the stored content in place.
fn damage(directory: &std::path::Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(directory).expect("reads") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            count += damage(&path);
            continue;
        }
        let mut bytes = fs::read(&path).expect("reads");
        let needle = b"content of in";
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[at] = b'C';
            fs::write(&path, bytes).expect("written");
            count += 1;
        }
    }
    count
}

#[test]
fn stats_count() {
    let project = project();
    let stats = project.fleche(&["stats"]).out;
    assert!(words(&stats).contains(&vec!["records", "2"]), "{stats}");
}

#[test]
fn an_executable_bit_of_an_input_counts() {
    let project =
        Project::new("[task.t]\nrun = 'cat tool.sh > out'\ninputs = ['tool.sh']\noutputs = ['out']\n");
    project.write("tool.sh", "#!/bin/sh\n");
    let chmod = |mode| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(project.path("tool.sh"), fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(0o755);
    assert_eq!(project.run(), ["ran t"]);
    assert_eq!(project.run(), ["hit t"]);
    chmod(0o644);
    let why = project.fleche(&["why", "t"]);
    assert!(why.out.contains("was executable, now is not"), "{}", why.out);
    assert_eq!(project.run(), ["ran t"]);
    chmod(0o600);
    assert_eq!(project.run(), ["hit t"], "other permissions do not count");
    chmod(0o755);
    assert_eq!(project.run(), ["hit t"], "the first record holds again");
}

#[test]
fn a_cache_that_may_not_be_written_stops_no_run() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    let project = Project::new(
        "[task.t]\nrun = 'cat in > out; echo ran >> $LOG'\ninputs = ['in']\noutputs = ['out']\npass_env = ['LOG']\n",
    );
    project.write("in", "1");
    fs::create_dir(project.path(".fleche")).unwrap();
    let modes = |cache: u32| {
        let set = |path: &std::path::Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(project.root().parent().unwrap(), 0o777);
        set(&project.root(), 0o777);
        set(&project.path(".fleche"), cache);
    };
    modes(0o555);
    let root = rustix::process::geteuid().is_root();
    let run = || {
        let mut command = project.command(&["run"]);
        if root {
            command.uid(65534).gid(65534);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = run();
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(project.read("out"), "1");
    assert_eq!(err.matches("warning").count(), 1, "{err}");
    assert!(err.contains("the cache cannot be written"), "{err}");
    assert_eq!(project.log(), ["ran"]);
    assert!(!project.exists(".fleche-work"));
    // What somebody else has recorded is found all the same.
    modes(0o755);
    project.remove("out");
    assert_eq!(project.run(), ["ran t"]);
    project.log();
    // A store is its owner's alone until he opens it to others.
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(project.path(".fleche")).status().unwrap();
    assert!(opened.success());
    modes(0o555);
    let (code, err) = run();
    assert_eq!((code, project.log()), (Some(0), Vec::new()), "{err}");
}
