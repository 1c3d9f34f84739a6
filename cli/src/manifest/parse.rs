//! From TOML to a [`Manifest`]: every key is known, every value has the type that its key wants, and whatever is not so is
//! reported with its place. All errors are collected, since a person mends a file in one go.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{At, CacheTable, Defaults, Definition, Manifest, Result, Run, vars};
use crate::diagnostic::{Diagnostic, Source, nearest};

const TOP: &[&str] = &["default", "cache", "vars", "task"];
const DEFAULT: &[&str] = &["cache", "tasks", "shell"];
const CACHE: &[&str] = &["path", "read_only"];
const TASK: &[&str] = &[
    "run",
    "inputs",
    "outputs",
    "env",
    "pass_env",
    "set_env",
    "after",
    "shell",
    "cwd",
    "description",
    "matrix",
    "tools",
    "keep",
    "relocatable",
];

/// Words of other tools for keys of ours.
const SYNONYMS: &[(&str, &str)] = &[
    ("cmd", "run"),
    ("command", "run"),
    ("script", "run"),
    ("deps", "inputs"),
    ("sources", "inputs"),
    ("outs", "outputs"),
    ("targets", "outputs"),
    ("dir", "cwd"),
    ("wdir", "cwd"),
    ("needs", "after"),
    ("depends", "after"),
    ("desc", "description"),
    ("environment", "env"),
    ("passenv", "pass_env"),
    ("setenv", "set_env"),
    ("tasks", "task"),
    ("caches", "cache"),
    ("var", "vars"),
    ("variables", "vars"),
    ("defaults", "default"),
];

/// Names that a task's text already gives a meaning to.
pub const RESERVED: &[&str] = &["inputs", "outputs", "inputs.file"];

/// Reads a manifest.
pub fn parse(path: &Path, text: String) -> Result<Manifest> {
    let source = Source::new(path, text);
    let table = match DeTable::parse(source.text()) {
        Ok(table) => table,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().trim().replace('\n', ", ");
            return Err(vec![Diagnostic::new(format!("not valid TOML: {message}")).at(&source, span)]);
        }
    };
    let mut reader = Reader { source: Arc::clone(&source), errors: Vec::new() };
    let manifest = reader.manifest(table.get_ref());
    if reader.errors.is_empty() { Ok(manifest) } else { Err(reader.errors) }
}

struct Reader {
    source: Arc<Source>,
    errors: Vec<Diagnostic>,
}

type Table<'a> = DeTable<'a>;
type Value<'a> = Spanned<DeValue<'a>>;

impl Reader {
    fn error(&mut self, message: impl Into<String>, span: Range<usize>, help: impl Into<String>) {
        self.errors.push(Diagnostic::new(message).at(&self.source, span).help(help));
    }

    fn manifest(&mut self, table: &Table<'_>) -> Manifest {
        self.known(table, TOP, "at the top of the file");
        let mut default = Defaults::default();
        if let Some(table) = self.table(table, "default") {
            self.known(table, DEFAULT, "in [default]");
            default.cache = self.string(table, "cache");
            default.tasks = table.contains_key("tasks").then(|| self.strings(table, "tasks"));
            default.shell = self.shell(table);
        }
        let mut caches = BTreeMap::new();
        if let Some(table) = self.table(table, "cache") {
            for (key, value) in table {
                let Some(cache) = self.as_table(key.get_ref(), value) else { continue };
                self.known(cache, CACHE, &format!("in [cache.{}]", key.get_ref()));
                let read_only = self.flag(cache, "read_only");
                match self.string(cache, "path") {
                    Some(path) => {
                        caches.insert(key.get_ref().to_string(), CacheTable { path, read_only });
                    }
                    None if !cache.contains_key("path") => self.error(
                        format!("cache `{}` has no `path`", key.get_ref()),
                        key.span(),
                        "add `path = \".fleche\"`, relative to this file",
                    ),
                    None => {}
                }
            }
        }
        let vars = self.table(table, "vars").map(|table| self.vars(table)).unwrap_or_default();
        let mut tasks = Vec::new();
        if let Some(table) = self.table(table, "task") {
            for (key, value) in in_order(table) {
                if let Some(table) = self.as_table(key.get_ref(), value) {
                    let task = self.task(At { value: key.get_ref().to_string(), span: key.span() }, table);
                    tasks.push(task);
                }
            }
        }
        self.check_cache(&default, &caches);
        Manifest { source: Arc::clone(&self.source), default, caches, vars, tasks }
    }

    fn check_cache(&mut self, default: &Defaults, caches: &BTreeMap<String, CacheTable>) {
        let Some(cache) = &default.cache else { return };
        if caches.contains_key(&cache.value) || ["memory", "void"].contains(&cache.value.as_str()) {
            return;
        }
        let names = caches.keys().map(String::as_str).chain(["memory", "void"]);
        let help = match nearest(&cache.value, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add a table [cache.{}], or use \"memory\" or \"void\"", cache.value),
        };
        self.error(format!("no cache is named `{}`", cache.value), cache.span.clone(), help);
    }

    fn vars(&mut self, table: &Table<'_>) -> Vec<(String, String)> {
        let mut known: Vec<(String, String)> = Vec::new();
        for (key, value) in in_order(table) {
            if !self.variable_name(key, "variable") {
                continue;
            }
            let Some(text) = self.scalar(key.get_ref(), value) else { continue };
            // A variable sees those above it, so that no order has to be found and no cycle can arise.
            match vars::expand_text(&text, |name| find(&known, name)) {
                Ok(text) => known.push((key.get_ref().to_string(), text)),
                Err(undeclared) => {
                    let span = self.source.narrow(&value.span(), &undeclared.spelling());
                    self.error(
                        undeclared.message(),
                        span,
                        "a variable can use those that stand above it in [vars]",
                    );
                }
            }
        }
        known
    }

    fn variable_name(&mut self, key: &Spanned<Cow<'_, str>>, what: &str) -> bool {
        let name = key.get_ref();
        if RESERVED.contains(&name.as_ref()) {
            self.error(
                format!("`{name}` cannot name a {what}"),
                key.span(),
                format!("${{{name}}} already means the task's {name}"),
            );
        } else if !vars::is_identifier(name) {
            self.error(
                format!("`{name}` cannot name a {what}"),
                key.span(),
                "use letters, digits and _, beginning with a letter or _",
            );
        } else {
            return true;
        }
        false
    }

    fn task(&mut self, name: At<String>, table: &Table<'_>) -> Definition {
        self.known(table, TASK, &format!("in task `{}`", name.value));
        let legal = |c: char| c.is_alphanumeric() || "_-.:/".contains(c);
        if name.value.is_empty() || !name.value.chars().all(legal) || name.value.starts_with('-') {
            self.error(
                format!("`{}` cannot name a task", name.value),
                name.span.clone(),
                "use letters, digits, and any of _ - . : /, not beginning with -",
            );
        }
        let task = Definition {
            run: self.run(table),
            inputs: self.strings(table, "inputs"),
            outputs: self.strings(table, "outputs"),
            env: self.names(table, "env"),
            pass_env: self.names(table, "pass_env"),
            set_env: self.set_env(table),
            after: self.strings(table, "after"),
            shell: self.shell(table),
            cwd: self.string(table, "cwd"),
            description: self.string(table, "description").map(|text| text.value),
            matrix: self.matrix(table),
            tools: self.strings(table, "tools"),
            keep: self.strings(table, "keep"),
            relocatable: self.flag(table, "relocatable"),
            name,
        };
        let only_names_others = !task.after.is_empty() && task.inputs.is_empty() && task.outputs.is_empty();
        if !table.contains_key("run") && !only_names_others {
            self.error(
                format!("task `{}` has no `run`", task.name.value),
                task.name.span.clone(),
                "add `run = \"command\"`; only a task that has nothing but `after` can do without",
            );
        }
        task
    }

    fn run(&mut self, table: &Table<'_>) -> Option<At<Run>> {
        let value = table.get("run")?;
        let run = match value.get_ref() {
            DeValue::String(text) => Run::Shell(text.to_string()),
            DeValue::Array(_) => {
                let words = self.strings(table, "run");
                if words.is_empty() {
                    self.error("`run` is an empty list", value.span(), "begin with the program to start");
                    return None;
                }
                Run::Direct(words)
            }
            other => {
                self.wrong_type(
                    "run",
                    "a string (for the shell) or a list (without one)",
                    other,
                    value.span(),
                );
                return None;
            }
        };
        if matches!(&run, Run::Shell(text) if text.trim().is_empty()) {
            self.error(
                "`run` is empty",
                value.span(),
                "write the command, or leave `run` out of a task with only `after`",
            );
        }
        Some(At { value: run, span: value.span() })
    }

    fn shell(&mut self, table: &Table<'_>) -> Option<At<Vec<String>>> {
        let value = table.get("shell")?;
        let words = match value.get_ref() {
            DeValue::String(word) => vec![word.to_string()],
            _ => self.strings(table, "shell").into_iter().map(|word| word.value).collect(),
        };
        if words.first().is_none_or(String::is_empty) {
            if value.get_ref().is_array() {
                self.error(
                    "`shell` is empty",
                    value.span(),
                    "the default is [\"bash\", \"-euo\", \"pipefail\"]",
                );
            }
            return None;
        }
        Some(At { value: words, span: value.span() })
    }

    /// Names of environment variables.
    fn names(&mut self, table: &Table<'_>, key: &str) -> Vec<At<String>> {
        let names = self.strings(table, key);
        for name in &names {
            if name.value.is_empty() || name.value.contains(['=', '\0', '*']) {
                self.error(
                    format!("`{}` cannot name an environment variable", name.value),
                    name.span.clone(),
                    "list names, one by one; a value belongs into `set_env`",
                );
            }
        }
        names
    }

    fn set_env(&mut self, table: &Table<'_>) -> Vec<(At<String>, At<String>)> {
        let Some(table) = self.table(table, "set_env") else { return Vec::new() };
        in_order(table)
            .into_iter()
            .filter_map(|(key, value)| {
                let text = self.scalar(key.get_ref(), value)?;
                Some((
                    At { value: key.get_ref().to_string(), span: key.span() },
                    At { value: text, span: value.span() },
                ))
            })
            .collect()
    }

    fn matrix(&mut self, table: &Table<'_>) -> Vec<(At<String>, Vec<String>)> {
        let Some(table) = self.table(table, "matrix") else { return Vec::new() };
        let mut matrix = Vec::new();
        for (key, value) in in_order(table) {
            if !self.variable_name(key, "matrix parameter") {
                continue;
            }
            let DeValue::Array(items) = value.get_ref() else {
                self.wrong_type(key.get_ref(), "a list of values", value.get_ref(), value.span());
                continue;
            };
            let mut values: Vec<String> = Vec::new();
            for item in items {
                let Some(text) = self.scalar(key.get_ref(), item) else { continue };
                if text.contains([',', '[', ']']) || text.is_empty() {
                    self.error(
                        format!("`{text}` cannot be a value of a matrix"),
                        item.span(),
                        "it becomes part of the task's name: no comma, no brackets, not empty",
                    );
                } else if values.contains(&text) {
                    self.error(format!("`{text}` stands here twice"), item.span(), "remove one of them");
                } else {
                    values.push(text);
                }
            }
            if items.is_empty() {
                self.error(
                    format!("matrix parameter `{}` has no values", key.get_ref()),
                    value.span(),
                    "a task with an empty matrix would never run; give it a value or remove it",
                );
            }
            matrix.push((At { value: key.get_ref().to_string(), span: key.span() }, values));
        }
        matrix
    }

    fn known(&mut self, table: &Table<'_>, keys: &[&str], place: &str) {
        for (key, _) in in_order(table) {
            let name: &str = key.get_ref();
            if keys.contains(&name) {
                continue;
            }
            let synonym = SYNONYMS.iter().find(|(word, ours)| *word == name && keys.contains(ours));
            let near = synonym.map(|(_, ours)| *ours).or_else(|| nearest(name, keys.iter().copied()));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", keys.join(", ")),
            };
            self.error(format!("unknown key `{name}` {place}"), key.span(), help);
        }
    }

    fn wrong_type(&mut self, key: &str, wanted: &str, found: &DeValue<'_>, span: Range<usize>) {
        let found = match found.type_str() {
            "array" => "a list".to_owned(),
            kind if kind.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {kind}"),
            kind => format!("a {kind}"),
        };
        self.errors.push(
            Diagnostic::new(format!("`{key}` must be {wanted}, and this is {found}")).at(&self.source, span),
        );
    }

    fn table<'t, 'a>(&mut self, table: &'t Table<'a>, key: &str) -> Option<&'t Table<'a>> {
        self.as_table(key, table.get(key)?)
    }

    fn as_table<'t, 'a>(&mut self, key: &str, value: &'t Value<'a>) -> Option<&'t Table<'a>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        self.wrong_type(key, "a table", value.get_ref(), value.span());
        None
    }

    fn string(&mut self, table: &Table<'_>, key: &str) -> Option<At<String>> {
        let value = table.get(key)?;
        self.as_string(key, "a string", value)
    }

    fn flag(&mut self, table: &Table<'_>, key: &str) -> bool {
        match table.get(key).map(|value| (value.get_ref(), value.span())) {
            None => false,
            Some((DeValue::Boolean(flag), _)) => *flag,
            Some((other, span)) => {
                self.wrong_type(key, "true or false", other, span);
                false
            }
        }
    }

    fn as_string(&mut self, key: &str, wanted: &str, value: &Value<'_>) -> Option<At<String>> {
        if let DeValue::String(text) = value.get_ref() {
            return Some(At { value: text.to_string(), span: value.span() });
        }
        self.wrong_type(key, wanted, value.get_ref(), value.span());
        None
    }

    fn strings(&mut self, table: &Table<'_>, key: &str) -> Vec<At<String>> {
        match table.get(key).map(|value| (value.get_ref(), value.span())) {
            None => Vec::new(),
            Some((DeValue::Array(items), _)) => {
                items.iter().filter_map(|item| self.as_string(key, "a list of strings", item)).collect()
            }
            Some((DeValue::String(text), span)) => {
                self.errors.push(
                    Diagnostic::new(format!("`{key}` must be a list of strings, and this is a string"))
                        .at(&self.source, span)
                        .help(format!("write `{key} = [{text:?}]`")),
                );
                Vec::new()
            }
            Some((other, span)) => {
                self.wrong_type(key, "a list of strings", other, span);
                Vec::new()
            }
        }
    }

    /// A string, number or boolean, as text.
    fn scalar(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            other => {
                self.wrong_type(key, "a string, a number or true or false", other, value.span());
                None
            }
        }
    }
}

fn find<'v>(vars: &'v [(String, String)], name: &str) -> Option<&'v str> {
    vars.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The entries of a table in the order in which they are written.
fn in_order<'t, 'a>(table: &'t Table<'a>) -> Vec<(&'t Spanned<Cow<'a, str>>, &'t Value<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn wrong(text: &str, expected: &Expect) {
        let errors = parse(Path::new("fleche.toml"), text.into()).expect_err("must not be accepted");
        expected.assert_eq(&errors.iter().map(|error| error.render(false)).collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn keeps_the_order_of_declaration() {
        let manifest =
            parse(Path::new("f"), "[task.b]\nrun='x'\n[task.a]\nrun=['y','z']\n".into()).expect("is fine");
        let names: Vec<_> = manifest.tasks.iter().map(|task| task.name.value.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn variables_see_those_above() {
        let manifest = parse(Path::new("f"), "[vars]\nb = 3\na = 'x${b}'\n".into()).expect("is fine");
        assert_eq!(manifest.vars, [("b".into(), "3".into()), ("a".into(), "x3".into())]);
        assert!(parse(Path::new("f"), "[vars]\na = 'x${b}'\nb = 3\n".into()).is_err());
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        wrong(
            "[task.a]\nrun = 'x'\ninput = ['a']\ndeps = ['a']\n\n[defualt]\n",
            &expect![[r"
                error: unknown key `defualt` at the top of the file
                 --> fleche.toml:6:2
                  |
                6 | [defualt]
                  |  ^^^^^^^
                  = help: did you mean `default`?

                error: unknown key `input` in task `a`
                 --> fleche.toml:3:1
                  |
                3 | input = ['a']
                  | ^^^^^
                  = help: did you mean `inputs`?

                error: unknown key `deps` in task `a`
                 --> fleche.toml:4:1
                  |
                4 | deps = ['a']
                  | ^^^^
                  = help: did you mean `inputs`?
            "]],
        );
    }

    #[test]
    fn wrong_types_say_what_is_wanted() {
        wrong(
            "[task.a]\nrun = 3\ninputs = 'a.csv'\noutputs = ['x', 1]\n",
            &expect![[r#"
                error: `run` must be a string (for the shell) or a list (without one), and this is an integer
                 --> fleche.toml:2:7
                  |
                2 | run = 3
                  |       ^

                error: `inputs` must be a list of strings, and this is a string
                 --> fleche.toml:3:10
                  |
                3 | inputs = 'a.csv'
                  |          ^^^^^^^
                  = help: write `inputs = ["a.csv"]`

                error: `outputs` must be a list of strings, and this is an integer
                 --> fleche.toml:4:17
                  |
                4 | outputs = ['x', 1]
                  |                 ^
            "#]],
        );
    }

    #[test]
    fn broken_toml_shows_its_line() {
        wrong(
            "[task.a]\nrun = \"x\n",
            &expect![[r#"
                error: not valid TOML: invalid basic string, expected `"`
                 --> fleche.toml:2:9
                  |
                2 | run = "x
                  |         ^
            "#]],
        );
    }

    #[test]
    fn every_key_is_in_the_guide() {
        let guide = include_str!("../../../docs/tasks.md");
        for key in DEFAULT.iter().chain(CACHE).chain(TASK) {
            assert!(guide.contains(&format!("\n| `{key}` |")), "{key}");
        }
        // The example of the guide is right.
        let example = guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        parse(Path::new("fleche.toml"), example.expect("has one").to_owned()).expect("is right");
    }

    #[test]
    fn a_task_needs_something_to_run() {
        wrong(
            "[task.a]\noutputs = ['x']\n",
            &expect![[r#"
                error: task `a` has no `run`
                 --> fleche.toml:1:7
                  |
                1 | [task.a]
                  |       ^
                  = help: add `run = "command"`; only a task that has nothing but `after` can do without
            "#]],
        );
    }

    #[test]
    fn an_unknown_cache_is_an_error() {
        wrong(
            "[default]\ncache = 'porject'\n[cache.project]\npath = '.fleche'\n",
            &expect![[r"
                error: no cache is named `porject`
                 --> fleche.toml:2:9
                  |
                2 | cache = 'porject'
                  |         ^^^^^^^^^
                  = help: did you mean `project`?
            "]],
        );
    }
}
