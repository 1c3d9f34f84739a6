//! examples/weather does what its README says: the table "What to try next", row by row.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A copy of the example that has never run.
struct Weather {
    folder: tempfile::TempDir,
}

impl Weather {
    fn new() -> Self {
        let weather = Self { folder: tempfile::tempdir().unwrap() };
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/weather");
        for path in ["fleche.toml", "data", "scripts"] {
            copy(&example.join(path), &weather.path(path));
        }
        weather
    }

    /// With its first run behind it.
    fn built() -> Self {
        let weather = Self::new();
        let first = weather.run();
        assert_eq!(first, tasks("ran"));
        weather
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{from} in {path}");
        self.write(path, &text.replacen(from, to, 1));
    }

    fn fleche(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_embedded"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// What became of each task.
    #[track_caller]
    fn run(&self) -> BTreeMap<String, String> {
        let (outcomes, output) = self.attempt();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        outcomes
    }

    fn attempt(&self) -> (BTreeMap<String, String>, Output) {
        let output = self.fleche(&["run", "--format", "json"]);
        let events = String::from_utf8(output.stdout.clone()).unwrap();
        let mut outcomes = BTreeMap::new();
        for line in events.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            if event["event"] == "ended" {
                let text = |key: &str| event[key].as_str().unwrap().to_owned();
                outcomes.insert(text("task"), text("outcome"));
            }
        }
        (outcomes, output)
    }
}

const TASKS: [&str; 10] = [
    "clean",
    "extremes",
    "months",
    "normals",
    "plot",
    "report",
    "year[2012]",
    "year[2013]",
    "year[2014]",
    "year[2015]",
];

/// The same outcome for every task.
fn tasks(outcome: &str) -> BTreeMap<String, String> {
    TASKS.iter().map(|task| ((*task).to_owned(), outcome.to_owned())).collect()
}

/// Hits, but for these tasks.
fn hits_but(others: &[&str], outcome: &str) -> BTreeMap<String, String> {
    let mut all = tasks("hit");
    all.extend(others.iter().map(|task| ((*task).to_owned(), outcome.to_owned())));
    all
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let name = entry.unwrap().file_name();
        copy(&from.join(&name), &to.join(&name));
    }
}

#[test]
fn the_first_run_makes_the_table_and_the_picture() {
    let weather = Weather::built();
    let report = weather.read("build/report.txt");
    // Known from the data by other means: `sort -t, -k3,3 -gr`, `-k4,4 -g` and `-k2,2 -gr` over the file.
    for fact in ["35.6 C     on 2014-08-11", "-7.1 C     on 2013-12-07", "55.9 mm    on 2015-03-15"] {
        assert!(report.contains(fact), "{fact} in\n{report}");
    }
    let shown = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/weather.svg");
    assert!(
        weather.read("build/weather.svg") == fs::read_to_string(&shown).unwrap(),
        "the README shows another picture than the example makes; if the new one is right, copy it to {}",
        shown.display()
    );
}

#[test]
fn nothing_to_do_means_nothing_runs() {
    let weather = Weather::built();
    assert_eq!(weather.run(), tasks("hit"));
    assert_eq!(weather.fleche(&["status"]).status.code(), Some(0));
    let data = weather.path("data/seattle-weather.csv");
    fs::File::options().append(true).open(data).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    assert_eq!(weather.run(), tasks("hit"));
}

#[test]
fn comments_are_cut_off_after_the_task_that_reads_them() {
    let weather = Weather::built();
    let cut_off = {
        let mut all = tasks("cut off");
        all.insert("clean".into(), "ran".into());
        all
    };
    weather.replace("scripts/clean.awk", "# clean:", "# clean (the first task):");
    assert_eq!(weather.fleche(&["status"]).status.code(), Some(1));
    assert_eq!(weather.run(), cut_off);
    let data = weather.read("data/seattle-weather.csv");
    weather.write("data/seattle-weather.csv", &(data + "# checked\n"));
    assert_eq!(weather.run(), cut_off);
    assert_eq!(weather.run(), tasks("hit"));
}

#[test]
fn an_edit_of_one_day_leaves_the_other_years_as_they_were() {
    let weather = Weather::built();
    let before = weather.read("build/report.txt");
    let other_year = weather.read("build/year-2013.tsv");
    weather.replace("data/seattle-weather.csv", "2012/01/02,10.9", "2012/01/02,11.9");
    assert_eq!(weather.run(), tasks("ran"));
    assert_ne!(weather.read("build/report.txt"), before);
    assert_eq!(weather.read("build/year-2013.tsv"), other_year);

    weather.replace("data/seattle-weather.csv", "2012/01/02,11.9", "2012/01/02,10.9");
    let undone = weather.run();
    assert!(!undone.values().any(|outcome| outcome == "ran"), "{undone:?}");
    assert_eq!(weather.read("build/report.txt"), before);
}

#[test]
fn a_variable_runs_the_tasks_that_name_it() {
    let weather = Weather::built();
    let picture = weather.read("build/weather.svg");
    weather.replace("fleche.toml", "highlight = 2015", "highlight = 2013");
    assert_eq!(weather.run(), hits_but(&["plot"], "ran"));
    assert_ne!(weather.read("build/weather.svg"), picture);
    weather.replace("fleche.toml", "highlight = 2013", "highlight = 2015");
    assert_eq!(weather.run(), hits_but(&["plot"], "restored"));
    assert_eq!(weather.read("build/weather.svg"), picture);

    weather.replace("fleche.toml", "wet = 1 ", "wet = 5 ");
    assert_eq!(weather.run(), hits_but(&["months", "extremes", "report"], "ran"));
}

#[test]
fn lost_and_damaged_outputs_are_restored() {
    let weather = Weather::built();
    let report = weather.read("build/report.txt");
    fs::remove_dir_all(weather.path("build")).unwrap();
    assert_eq!(weather.run(), tasks("restored"));
    weather.write("build/report.txt", "nonsense");
    assert_eq!(weather.run(), hits_but(&["report"], "restored"));
    assert_eq!(weather.read("build/report.txt"), report);
}

#[test]
fn a_failing_task_tells_why_and_leaves_the_good_output() {
    let weather = Weather::built();
    let picture = weather.read("build/weather.svg");
    weather.replace("fleche.toml", "highlight = 2015", "highlight = 1999");
    let (outcomes, output) = weather.attempt();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(outcomes, hits_but(&["plot"], "failed"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("no year 1999 to highlight"), "{output:?}");
    assert_eq!(weather.read("build/weather.svg"), picture);
}

#[test]
fn a_line_that_cannot_be_right_is_named() {
    let weather = Weather::built();
    weather.replace(
        "data/seattle-weather.csv",
        "2012/01/03,0.8,11.7,7.2,2.3,rain",
        "2012/01/03,0.8,11.7,7.2,2.3",
    );
    let output = weather.fleche(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(told.contains("data/seattle-weather.csv:4: not six fields: 2012/01/03"), "{told}");
}
