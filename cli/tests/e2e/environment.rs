//! A task sees what it declares, and what it sees and counts makes it run again.

use crate::project::Project;

#[test]
fn an_undeclared_variable_stays_invisible() {
    let mut project = Project::new(
        "[task.a]\nrun = 'env > ${outputs}'\noutputs = ['a']\nenv = ['LISTED']\npass_env = ['PASSED']\nset_env = { SET = 'set' }\n",
    );
    project.set("LISTED", "1");
    project.set("PASSED", "2");
    project.set("HIDDEN", "3");
    project.set("LC_ALL", "de_DE.UTF-8");
    project.run();
    let seen = project.read("a");
    for line in
        ["LISTED=1", "PASSED=2", "SET=set", "LC_ALL=C.UTF-8", "LANG=C.UTF-8", "TZ=UTC", "FLECHE_TASK=a"]
    {
        assert!(seen.lines().any(|seen| seen == line), "{line} is not in\n{seen}");
    }
    assert!(!seen.contains("HIDDEN") && !seen.contains("LOG="), "{seen}");
    project.set("HIDDEN", "4");
    assert_eq!(project.run(), ["hit a"]);
}

#[test]
fn what_is_listed_counts_and_what_is_passed_does_not() {
    let mut project = Project::new(
        "[task.a]\nrun = 'echo ${LISTED-unset} > ${outputs}'\noutputs = ['a']\nenv = ['LISTED']\npass_env = ['PASSED']\n",
    );
    project.replace("fleche.toml", "${LISTED-unset}", "$${LISTED-unset}");
    assert_eq!(project.run(), ["ran a"]);
    assert_eq!(project.read("a"), "unset\n");
    project.set("LISTED", "1");
    assert_eq!(project.run(), ["ran a"]);
    project.set("PASSED", "1");
    assert_eq!(project.run(), ["hit a"]);
    project.unset("LISTED");
    assert_eq!(project.run(), ["restored a"]);
    assert_eq!(project.read("a"), "unset\n");
}

#[test]
fn a_listed_locale_or_time_zone_is_the_outer_one() {
    let mut project = Project::new(
        "[task.a]\nrun = 'echo $TZ $LC_TIME > ${outputs}'\noutputs = ['a']\nenv = ['TZ', 'LC_TIME']\n",
    );
    project.set("TZ", "Europe/Oslo");
    project.set("LC_TIME", "C");
    project.run();
    assert_eq!(project.read("a"), "Europe/Oslo C\n");
}

#[test]
fn values_of_variables_are_not_kept() {
    let mut project = Project::new(
        "[task.a]\nrun = 'test -n \"$TOKEN\" && test -n \"$OTHER\"; echo > ${outputs}'\noutputs = ['a']\n\
         env = ['TOKEN']\npass_env = ['OTHER']\n",
    );
    project.set("TOKEN", "a-very-secret-value");
    project.set("OTHER", "another-secret-value");
    assert_eq!(project.run(), ["ran a"]);
    let bytes = project.cache_bytes();
    let contains = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(contains("TOKEN"), "the record names it");
    assert!(!contains("a-very-secret-value") && !contains("another-secret-value"));
    project.set("TOKEN", "changed");
    let why = project.fleche(&["why", "a"]).out;
    assert!(why.contains("  changed  env TOKEN  value not kept\n"), "{why}");
}

#[test]
fn files_are_made_with_the_same_permissions_for_everybody() {
    let project = Project::new("[task.a]\nrun = 'echo > ${outputs}'\noutputs = ['a']\n");
    let mut command = std::process::Command::new("sh");
    let run = format!("umask 077; exec {} run", env!("CARGO_BIN_EXE_fleche"));
    command.args(["-c", &run]).current_dir(project.root());
    assert_eq!(crate::project::ended(&mut command).code, Some(0));
    assert_eq!(project.mode("a"), 0o644);
}
