//! `rerun` runs a task and all that it reads from, whatever the records say; others follow by what came out.

use crate::project::{Project, redacted};

/// `random` makes something else each time, `same` does not; `mid` reads both and `end` reads `mid`.
fn project() -> Project {
    Project::new(
        r#"
        [task.random]
        run = "date +%N > ${outputs}"
        outputs = ["random"]

        [task.same]
        run = "echo same > ${outputs}"
        outputs = ["same"]

        [task.mid]
        run = "cat ${inputs} > ${outputs}"
        inputs = ["same", "random"]
        outputs = ["mid"]

        [task.end]
        run = "cat ${inputs} > ${outputs}"
        inputs = ["mid"]
        outputs = ["end"]

        [task.side]
        run = "cat ${inputs} > ${outputs}"
        inputs = ["same"]
        outputs = ["side"]

        [task.last]
        run = "echo > ${outputs}"
        outputs = ["last"]
        after = ["same"]
        "#,
    )
}

#[test]
fn it_forces_what_is_above_and_tells_what_is_invalid_below() {
    let project = project();
    project.run();
    assert_eq!(project.outcomes(&["rerun", "mid"]), ["ran random", "ran same", "ran mid"]);
    let ended = project.fleche(&["rerun", "mid", "-j1"]);
    assert_eq!(
        redacted(&ended.out),
        "ran       random  [time]\nran       same  [time], same result\nran       mid  [time]\n3 ran · [time]\n\
         not deterministic  random: another result of the same command and inputs\ninvalid now  end\n"
    );
    assert_eq!(project.run(), ["hit random", "hit same", "hit mid", "ran end", "hit side", "hit last"]);
}

#[test]
fn an_order_without_data_forces_nothing() {
    let project = project();
    project.run();
    assert_eq!(project.outcomes(&["rerun", "last"]), ["hit same", "ran last"]);
}

#[test]
fn dependents_follow_at_once_unless_nothing_changed() {
    let project = project();
    project.run();
    assert_eq!(
        project.outcomes(&["rerun", "--dependents", "same"]),
        ["hit random", "ran same", "cut off mid", "cut off end", "cut off side"]
    );
    assert_eq!(
        project.outcomes(&["rerun", "--dependents", "random"]),
        ["ran random", "hit same", "ran mid", "ran end"]
    );
}

#[test]
fn it_wants_a_name() {
    assert_eq!(project().fleche(&["rerun"]).code, Some(2));
}
