//! All that decides what a task does apart from the content of its inputs, and the digest of it; and what is remembered of a
//! success, so that `why` can tell later what is different.

use std::collections::BTreeMap;

use fleche_store::{CodeDigest, Digest, Record};
use serde::{Deserialize, Serialize};

use crate::environment::{self, Outer};
use crate::manifest::Run;
use crate::manifest::quote::expand_command;
use crate::manifest::vars::{Piece, pieces};
use crate::path::seen_from;
use crate::plan::{Expanded, Task, words_of};

/// The key under which a record's metadata holds a [`Success`].
pub const META: &str = "task";

/// The file, relative to the project, that `${inputs.file}` names.
pub fn inputs_file(task: &Task) -> String {
    format!(".fleche/work/inputs/{}", Digest::of(task.name.as_bytes()))
}

/// What a task does, fully expanded. Every field is part of the digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// One text for the shell, or a program with its arguments.
    pub command: Vec<String>,
    /// `None`: started without one.
    pub shell: Option<Vec<String>>,
    /// Relative to the project.
    pub cwd: String,
    /// Digests of the listed variables; `None` where one is not set.
    pub env: BTreeMap<String, Option<String>>,
    /// Variables set in the manifest.
    pub set_env: BTreeMap<String, String>,
    /// Digests of the executables.
    pub tools: BTreeMap<String, String>,
    /// Sorted paths.
    pub inputs: Vec<String>,
    /// As declared.
    pub outputs: Vec<String>,
    /// As declared.
    pub keep: Vec<String>,
    /// Operating system.
    pub os: String,
    /// Processor architecture.
    pub arch: String,
}

impl Spec {
    /// The spec of a task with these inputs and tools.
    pub fn new(task: &Task, inputs: &Expanded, tools: BTreeMap<String, Digest>, outer: &Outer) -> Spec {
        let env = environment::counted(task, outer)
            .into_iter()
            .map(|(name, digest)| (name, digest.map(|digest| digest.to_string())))
            .collect();
        let outputs = task
            .outputs
            .iter()
            .map(|output| if output.directory { format!("{}/", output.path) } else { output.path.clone() })
            .collect();
        let (command, shell) = match &task.run {
            None => (Vec::new(), None),
            Some(Run::Shell(text)) => {
                // Undeclared variables were refused when the plan was made.
                let text =
                    expand_command(text, |name| words(task, inputs, name)).unwrap_or_else(|_| text.clone());
                (vec![text], Some(task.shell.clone()))
            }
            Some(Run::Direct(texts)) => {
                let words =
                    texts.iter().flat_map(|text| expand_word(&text.value, |name| words(task, inputs, name)));
                (words.collect(), None)
            }
        };
        Spec {
            command,
            shell,
            cwd: task.cwd.clone(),
            env,
            set_env: task.set_env.clone(),
            tools: tools.into_iter().map(|(name, digest)| (name, digest.to_string())).collect(),
            inputs: inputs.files.clone(),
            outputs,
            keep: task.keep.clone(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        }
    }

    /// The digest that makes the task's call another one when any of this changes.
    pub fn digest(&self) -> CodeDigest {
        let mut text = b"fleche task 1\n".to_vec();
        // Maps are sorted and fields ordered, so the text is one for one spec. It holds only strings: no error is possible.
        text.extend(serde_json::to_vec(self).unwrap_or_default());
        CodeDigest::new(Digest::of(&text))
    }
}

fn words(task: &Task, inputs: &Expanded, name: &str) -> Option<Vec<String>> {
    let outputs: Vec<String> = task.outputs.iter().map(|output| seen_from(&task.cwd, &output.path)).collect();
    let file = seen_from(&task.cwd, &inputs_file(task));
    words_of(name, |name| task.variables.get(name).map(String::as_str), &inputs.words, &outputs, &file)
}

/// A word that is nothing but a variable becomes as many words as it has; within a word they are joined by spaces.
fn expand_word(text: &str, words: impl Fn(&str) -> Option<Vec<String>>) -> Vec<String> {
    let pieces = pieces(text);
    if let [Piece::Variable(name)] = pieces[..] {
        return words(name).unwrap_or_default();
    }
    let expand = |piece: Piece<'_>| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Variable(name) => words(name).unwrap_or_default().join(" "),
    };
    vec![pieces.into_iter().map(expand).collect()]
}

/// An input as a success saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Relative to the project.
    pub path: String,
    /// Of its content.
    pub digest: String,
    /// Of a text.
    pub lines: Option<u64>,
    /// Whether it could be executed; older records do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
}

/// What is remembered of a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    /// What it did.
    pub spec: Spec,
    /// The command before its variables were expanded.
    pub text: String,
    /// The variables it used.
    pub variables: BTreeMap<String, String>,
    /// The inputs it read.
    pub inputs: Vec<Seen>,
    /// How long it took.
    pub milliseconds: u64,
}

impl Success {
    /// What a record remembers, if it is of a task.
    pub fn of(record: &Record) -> Option<Success> {
        let (_, text) = record.meta.iter().find(|(key, _)| key == META)?;
        serde_json::from_str(text).ok()
    }
}

/// The command as it stands in the manifest.
pub fn text(task: &Task) -> String {
    match &task.run {
        None => String::new(),
        Some(Run::Shell(text)) => text.clone(),
        Some(Run::Direct(words)) => {
            words.iter().map(|word| crate::manifest::quote::quote(&word.value)).collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::parse::parse;
    use crate::plan::Plan;

    fn spec(text: &str) -> Spec {
        let manifest = parse(Path::new("f"), text.into()).expect("parses");
        let task = Plan::new(Path::new("/p"), manifest).expect("plans").tasks.remove(0);
        let inputs =
            Expanded { files: vec!["a".into(), "b c".into()], words: vec!["b c".into(), "a".into()] };
        Spec::new(&task, &inputs, BTreeMap::new(), &Outer::new())
    }

    #[test]
    fn a_list_gets_one_argument_for_each_input() {
        let spec = spec(
            "[task.t]\nrun = ['cat', '${inputs}', '--out=${outputs}', 'n=${inputs}']\noutputs = ['o']\n",
        );
        assert_eq!(spec.command, ["cat", "b c", "a", "--out=o", "n=b c a"]);
        assert_eq!(spec.shell, None);
    }

    #[test]
    fn the_digest_sees_the_expanded_command_and_not_the_variables() {
        let a = spec("[vars]\nx = 1\n[task.t]\nrun = 'f ${x} ${inputs}'\n");
        let b = spec("[task.t]\nrun = 'f 1 ${inputs}'\n");
        let c = spec("[vars]\nx = 2\n[task.t]\nrun = 'f ${x} ${inputs}'\n");
        assert_eq!(a.command, ["f 1 'b c' a"]);
        assert_eq!(a.digest(), b.digest());
        assert_ne!(a.digest(), c.digest());
    }
}
