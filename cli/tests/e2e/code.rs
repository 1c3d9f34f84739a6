//! What code a cached function's key covers, told from sources alone.

use expect_test::expect;

use crate::project::Project;

const LIBRARY: &str = r#"
mod row;
use row::parse_row;

#[fleche]
pub fn parse(text: &str) -> usize {
    text.lines().map(|line| parse_row(line) + LIMIT).sum::<usize>() + include_str!("words.txt").len()
}

const LIMIT: usize = 10;

#[fleche(hash_code = "body")]
pub fn plain(n: u8) -> u8 {
    n
}

pub fn unrelated() -> [usize; 40] {
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
}
"#;

const ROW: &str = "
pub struct Row<'a>(pub &'a str);

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(self.0)
    }
}

pub fn parse_row(line: &str) -> usize {
    Row(line).to_string().len()
}
";

fn project() -> Project {
    let project = Project::new("");
    project.remove("fleche.toml");
    project.write("Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    project.write("src/lib.rs", LIBRARY);
    project.write("src/row.rs", ROW);
    project.write("src/words.txt", "words\n");
    project.write("src/main.rs", "#[fleche]\nfn plain() {}\nfn main() {}\n");
    project
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_end).collect()
}

#[test]
fn lists_functions_and_what_one_covers() {
    let project = project();
    expect![[r"
        app::parse  src/lib.rs:6   6 items in 2 files, 55.7 % of the crate
        app::plain  src/lib.rs:13  the function's own tokens
        app::plain  src/main.rs:2  1 item in 1 file, 62.5 % of the crate
    "]]
    .assert_eq(&project.fleche(&["code"]).out);
    expect![[r"
        app::parse
        6 items in 2 files, 55.7 % of the crate
        most of them because of `app::row::parse_row`, which alone pulls in 4
          app::parse                                                   src/lib.rs:6
            app::LIMIT                                                 src/lib.rs:10
            app::row::parse_row                                        src/row.rs:10
              app::row::Row                                            src/row.rs:2
                app::row::<impl std::fmt::Display for Row<'_>>         src/row.rs:4
                  app::row::<impl std::fmt::Display for Row<'_>>::fmt  src/row.rs:5
          edition of app 2024
          file src/words.txt
          names from `app`
          names from `std`
          target linux x86_64
    "]]
    .assert_eq(&project.fleche(&["code", "parse"]).out.replace(std::env::consts::ARCH, "x86_64"));
    expect![[r"
        app::parse
          app::row::parse_row
            app::row::Row
              app::row::<impl std::fmt::Display for Row<'_>>  src/row.rs:4

        app::parse
          app::row::parse_row
            app::row::Row
              app::row::<impl std::fmt::Display for Row<'_>>
                app::row::<impl std::fmt::Display for Row<'_>>::fmt  src/row.rs:5
    "]]
    .assert_eq(&project.fleche(&["code", "app::parse", "--why", "fmt"]).out);
    // From a directory inside, by place, and one of two of a name.
    let ended = project.fleche(&["-C", "src", "code", "src/main.rs:2"]);
    assert_eq!((lines(&ended.out)[0], ended.err.as_str()), ("app::plain", ""));
}

#[test]
fn tells_it_to_programs() {
    let project = project();
    let text = project.fleche(&["code", "parse", "--format=json"]).out;
    let about: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(about["function"], "app::parse");
    assert_eq!((&about["file"], &about["line"]), (&"src/lib.rs".into(), &6.into()));
    let row =
        about["items"].as_array().expect("items").iter().find(|item| item["name"] == "app::row::parse_row");
    let row = row.expect("is covered");
    assert_eq!((&row["from"], &row["file"], &row["line"]), (&0.into(), &"src/row.rs".into(), &10.into()));
    let all = project.fleche(&["code", "--format=json"]).out;
    assert_eq!(all.lines().count(), 3);
    assert!(!all.contains("items"), "{all}");
}

#[test]
fn compares_two_versions() {
    let project = project();
    project.write("before.json", &project.fleche(&["code", "parse", "--format=json"]).out);
    let same = project.fleche(&["code", "parse", "--against=before.json"]).out;
    assert_eq!(same, "app::parse covers the same in both\n");
    project.replace("src/row.rs", "Row(line).to_string().len()", "Row(line).to_string().len() + 1");
    project.replace("src/lib.rs", "LIMIT", "MOST");
    project.write("src/words.txt", "other words\n");
    let changed = project.fleche(&["code", "parse", "--against=before.json"]).out;
    expect![[r"
        `app::parse` in src/lib.rs:6 changed
        `app::row::parse_row` in src/row.rs:10 changed
        file src/words.txt changed
        `app::LIMIT` in src/lib.rs:10 counts no more
        `app::MOST` in src/lib.rs:10 counts now
    "]]
    .assert_eq(&changed);
    let json = project.fleche(&["code", "parse", "--against=before.json", "--format=json"]).out;
    expect![[r#"{"file":"src/lib.rs","how":"changed","is":null,"line":6,"name":"app::parse","was":null}"#]]
        .assert_eq(json.lines().next().expect("a line"));
    // Against a directory: the other checkout.
    for (path, text) in
        [("src/lib.rs", LIBRARY), ("src/row.rs", ROW), ("src/words.txt", "words\n"), ("src/main.rs", "")]
    {
        project.write(&format!("old/{path}"), text);
    }
    project.write("old/Cargo.toml", &project.read("Cargo.toml"));
    assert_eq!(project.fleche(&["code", "parse", "--against=old"]).out, changed);
}

#[test]
fn says_what_is_wrong() {
    let project = project();
    let wrong = |arguments: &[&str]| {
        let ended = project.fleche(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{}", ended.err);
        ended.err.replace(&project.root().display().to_string(), "[project]")
    };
    expect![[r"
        error: there is no cached function `prase` in [project]
           = help: did you mean `app::parse`?
    "]]
    .assert_eq(&wrong(&["code", "prase"]));
    expect![[r"
        error: `plain` names 2 functions
           = help: name one: src/lib.rs:13, src/main.rs:2
    "]]
    .assert_eq(&wrong(&["code", "plain"]));
    expect![[r"
        error: app::parse covers nothing called `parse_wor`
           = help: `fleche code parse` lists what it covers
    "]]
    .assert_eq(&wrong(&["code", "parse", "--why", "parse_wor"]));
    expect![[r"
        error: [project]/none cannot be read: No such file or directory (os error 2)
           = help: `--against` takes the directory of another checkout, or a file that `fleche code FUNCTION --format=json` wrote
    "]].assert_eq(&wrong(&["code", "parse", "--against=none"]));
    project.write("other.json", &project.fleche(&["code", "src/main.rs:2", "--format=json"]).out);
    expect![[r#"
        error: [project]/other.json is about "app::plain", not app::parse
           = help: `--against` takes the directory of another checkout, or a file that `fleche code FUNCTION --format=json` wrote
    "#]].assert_eq(&wrong(&["code", "parse", "--against=other.json"]));
    project.remove("Cargo.toml");
    expect![[r"
        error: [project] is in no Rust package: there is no Cargo.toml in it or above
           = help: `-C DIR` starts in another directory
    "]]
    .assert_eq(&wrong(&["code"]));
}
