//! What a task sees of the environment: a short fixed list, what it declares, and nothing else. The environment is handed in;
//! nothing here asks the process for it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use fleche_store::Digest;

use crate::plan::Task;

/// Passed to every task where they are set, and never part of a digest: they say where things are, not what comes out.
pub const PASSED: &[&str] = &["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TERM"];

/// Fixed for every task unless it lists them, so that sorting, dates and messages are the same everywhere.
pub const FIXED: &[(&str, &str)] = &[("LC_ALL", "C.UTF-8"), ("LANG", "C.UTF-8"), ("TZ", "UTC")];

/// Set for every task: its name, so that fleche notices when a task starts fleche on its own project.
pub const TASK_VARIABLE: &str = "FLECHE_TASK";

/// Set for every task: the project's directory.
pub const ROOT_VARIABLE: &str = "FLECHE_ROOT";

/// The environment of the person who runs fleche.
pub type Outer = BTreeMap<OsString, OsString>;

/// The whole environment of a task.
pub fn of_task(task: &Task, outer: &Outer) -> BTreeMap<OsString, OsString> {
    let listed: BTreeSet<&str> =
        task.env.iter().chain(&task.pass_env).chain(task.set_env.keys()).map(String::as_str).collect();
    let mut inner = BTreeMap::new();
    for (name, value) in FIXED {
        // LC_ALL would silence any other locale variable that the task asks for.
        let locale_listed = listed.iter().any(|name| *name == "LANG" || name.starts_with("LC_"));
        if !(listed.contains(name) || (*name == "LC_ALL" && locale_listed)) {
            inner.insert(OsString::from(name), OsString::from(value));
        }
    }
    for name in PASSED.iter().copied().chain(task.env.iter().chain(&task.pass_env).map(String::as_str)) {
        if let Some(value) = outer.get(OsStr::new(name)) {
            inner.insert(OsString::from(name), value.clone());
        }
    }
    for (name, value) in &task.set_env {
        inner.insert(OsString::from(name), OsString::from(value));
    }
    inner.insert(OsString::from(TASK_VARIABLE), OsString::from(&task.name));
    inner
}

/// The digests of the variables that count. The values themselves are never kept: a record is read by more people than the
/// environment of the one who made it.
pub fn counted(task: &Task, outer: &Outer) -> BTreeMap<String, Option<Digest>> {
    let digest = |name: &String| outer.get(OsStr::new(name)).map(|value| keyed_digest(name, value));
    task.env.iter().map(|name| (name.clone(), digest(name))).collect()
}

/// Keyed by the variable's name, so that it can be compared with nothing but an earlier value of the same variable.
fn keyed_digest(name: &str, value: &OsStr) -> Digest {
    let key = blake3::derive_key("fleche task environment variable", name.as_bytes());
    Digest::from_bytes(*blake3::keyed_hash(&key, value.as_bytes()).as_bytes())
}

/// Variables that the command's text names and that are set outside, but that the task was not given.
pub fn withheld(command: &str, task: &Task, outer: &Outer) -> Vec<String> {
    let inner = of_task(task, outer);
    let mut names = BTreeSet::new();
    for (at, _) in command.match_indices('$') {
        let rest = &command[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let rest = rest.strip_prefix(['#', '!']).unwrap_or(rest);
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let key = OsStr::new(&name);
        if !name.is_empty() && outer.contains_key(key) && !inner.contains_key(key) {
            names.insert(name);
        }
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::parse::parse;
    use crate::plan::Plan;

    fn task(keys: &str) -> Task {
        let text = format!("[task.t]\nrun='x'\n{keys}\n");
        let manifest = parse(Path::new("f"), text).expect("parses");
        Plan::new(Path::new("/p"), manifest).expect("plans").tasks.remove(0)
    }

    fn outer(pairs: &[(&str, &str)]) -> Outer {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn seen(keys: &str, pairs: &[(&str, &str)]) -> Vec<String> {
        of_task(&task(keys), &outer(pairs))
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect()
    }

    #[test]
    fn only_the_list_and_what_is_declared_gets_in() {
        assert_eq!(
            seen(
                "env=['A']\npass_env=['B','NOT_SET']\nset_env={C='3'}",
                &[("A", "1"), ("B", "2"), ("SECRET", "x"), ("PATH", "/bin")]
            ),
            ["A=1", "B=2", "C=3", "FLECHE_TASK=t", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "PATH=/bin", "TZ=UTC"]
        );
    }

    #[test]
    fn a_listed_locale_is_not_fixed() {
        let locale = [("LC_TIME", "de_DE"), ("TZ", "Europe/Oslo"), ("LC_ALL", "de_DE")];
        assert_eq!(
            seen("env=['LC_TIME','TZ']", &locale),
            ["FLECHE_TASK=t", "LANG=C.UTF-8", "LC_TIME=de_DE", "TZ=Europe/Oslo"]
        );
    }

    #[test]
    fn values_count_by_name_and_absence_is_a_value() {
        let task = task("env=['A','B','C']");
        let counted = counted(&task, &outer(&[("A", "1"), ("B", "1")]));
        assert_ne!(counted["A"], counted["B"]);
        assert_eq!(counted["C"], None);
    }

    #[test]
    fn what_was_withheld_is_named() {
        let task = task("env=['A']");
        let outer = outer(&[("A", "1"), ("TOKEN", "x"), ("OTHER", "x")]);
        assert_eq!(
            withheld("curl $TOKEN ${TOKEN:-} $A ${#OTHER} $UNSET $1", &task, &outer),
            ["OTHER", "TOKEN"]
        );
    }
}
