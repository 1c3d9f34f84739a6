//! What the compiler puts into a crate, read from the text that it writes for LLVM: every function, static and type that is there,
//! what each mentions, and where in the sources it is from. Which of it a digest must cover is not for here to say.
//!
//! Before optimisation a function mentions what the compiler's collector found in it and nothing else. So what can be come
//! to from a function here is what the collector finds for a program that needs that function only.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How code is compiled so that all that is instantiated for any function without parameters is written down.
pub(crate) const TOLD: [&str; 6] = [
    "-Copt-level=0",
    "-Cdebuginfo=2",
    "-Ccodegen-units=1",
    "-Clink-dead-code=yes",
    "-Cno-prepopulate-passes",
    "--cap-lints=allow",
];

/// A place in a source file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// From 1.
    pub(crate) line: usize,
    /// In bytes from 1; unknown where an item begins.
    pub(crate) column: Option<usize>,
}

/// A function, a static, a type of a variable, or something that the compiler made.
#[derive(Debug, Default)]
pub(crate) struct Symbol {
    /// Its name without type arguments; empty where it is nothing that sources have.
    pub(crate) name: String,
    /// The names of the crate, the modules, and whatever else it is in.
    pub(crate) scope: Vec<String>,
    /// Where it begins.
    pub(crate) place: Option<Place>,
    /// Where its instructions are from.
    pub(crate) steps: BTreeSet<Place>,
    pub(crate) is_function: bool,
    pub(crate) is_type: bool,
    /// Whether it is an instance of something with type parameters.
    pub(crate) is_generic: bool,
    /// For a table of an object's methods, the path of its trait.
    pub(crate) table_of: Option<String>,
}

/// All symbols, and which mentions which.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) symbols: Vec<Symbol>,
    links: Vec<Vec<usize>>,
}

impl Program {
    pub(crate) fn read(text: &str) -> Self {
        let facts = Facts::read(text);
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let variables = facts.variables();
        let mut types = Types { facts: &facts, numbers: HashMap::new(), waiting: Vec::new() };
        let (mut symbols, mut mentions) = (Vec::new(), Vec::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let is_function = line.starts_with("define ");
            if !is_function && !line.starts_with('@') {
                continue;
            }
            let mut names = BTreeSet::new();
            let Some(own) = mentioned(line, &mut names) else { continue };
            let mut symbol = Symbol { is_function, ..Symbol::default() };
            let mut of_variables: Vec<usize> = Vec::new();
            if let Some(number) = debug(line) {
                facts.describe(&mut symbol, number);
                let found = variables.get(number).into_iter().flatten();
                of_variables.extend(found.filter_map(|number| types.number(number)));
            }
            if line.ends_with('{') && is_function {
                for line in lines.by_ref().take_while(|line| *line != "}") {
                    mentioned(line, &mut names);
                    symbol.steps.extend(debug(line).and_then(|number| facts.step(number)));
                }
            }
            numbers.insert(own, symbols.len());
            symbols.push(symbol);
            mentions.push((names, of_variables));
        }
        // Types stand behind all others.
        let count = symbols.len();
        let mut links: Vec<Vec<usize>> = Vec::new();
        for (names, of_variables) in mentions {
            let named = names.iter().filter_map(|name| numbers.get(name).copied());
            links.push(named.chain(of_variables.iter().map(|ty| count + ty)).collect());
        }
        for (symbol, parts) in types.followed() {
            symbols.push(symbol);
            links.push(parts.iter().map(|part| count + part).collect());
        }
        Self { symbols, links }
    }

    /// Everything that can be come to from a symbol, each with what it was come to from. A link with a condition counts
    /// once some symbol says what that asks for.
    pub(crate) fn reached(
        &self,
        from: usize,
        condition: impl Fn(usize, usize) -> Option<u32>,
        says: impl Fn(usize) -> Vec<u32>,
    ) -> HashMap<usize, usize> {
        let mut found = HashMap::from([(from, from)]);
        let mut pending = vec![from];
        let mut said = HashSet::new();
        let mut waiting: HashMap<u32, Vec<(usize, usize)>> = HashMap::new();
        while let Some(symbol) = pending.pop() {
            let mut follow = |from: usize, to: usize| {
                found.entry(to).or_insert_with(|| {
                    pending.push(to);
                    from
                });
            };
            for word in says(symbol) {
                if said.insert(word) {
                    waiting.remove(&word).into_iter().flatten().for_each(|(from, to)| follow(from, to));
                }
            }
            for &next in &self.links[symbol] {
                match condition(symbol, next).filter(|word| !said.contains(word)) {
                    Some(word) => waiting.entry(word).or_default().push((symbol, next)),
                    None => follow(symbol, next),
                }
            }
        }
        found
    }
}

/// The types of variables, and what is in those.
struct Types<'a> {
    facts: &'a Facts<'a>,
    numbers: HashMap<&'a str, usize>,
    /// By their numbers; what is in them was not looked at yet.
    waiting: Vec<&'a str>,
}

impl<'a> Types<'a> {
    fn number(&mut self, fact: &'a str) -> Option<usize> {
        if !self.numbers.contains_key(fact) && self.facts.0.contains_key(fact) {
            self.numbers.insert(fact, self.waiting.len());
            self.waiting.push(fact);
        }
        self.numbers.get(fact).copied()
    }

    /// All that have a number, each with the numbers of its parts.
    fn followed(mut self) -> Vec<(Symbol, Vec<usize>)> {
        let mut found = Vec::new();
        while let Some(&number) = self.waiting.get(found.len()) {
            let fact = self.facts.0[number];
            let mut symbol = Symbol { is_type: fact.contains("!DICompositeType("), ..Symbol::default() };
            if symbol.is_type {
                self.facts.describe(&mut symbol, number);
                symbol.place = None;
            }
            let list = fact.strip_prefix("!{").into_iter();
            let list = list.flat_map(|list| list.trim_end_matches('}').split(", "));
            let words = ["baseType", "elements", "templateParams", "types", "type"];
            let parts = list.chain(words.iter().filter_map(|word| field(fact, word)));
            found.push((symbol, parts.filter_map(|part| self.number(part)).collect()));
        }
        found
    }
}

/// What the lines that begin with `!` say, by their numbers.
struct Facts<'a>(HashMap<&'a str, &'a str>);

impl<'a> Facts<'a> {
    fn read(text: &'a str) -> Self {
        let lines = text.lines().filter(|line| line.starts_with('!'));
        Self(lines.filter_map(|line| line.split_once(" = ")).collect())
    }

    /// What stands behind a word in a fact.
    fn get(&self, number: &str, word: &str) -> Option<&'a str> {
        field(self.0.get(number)?, word)
    }

    fn describe(&self, symbol: &mut Symbol, number: &'a str) {
        let number = self.get(number, "var").unwrap_or(number);
        let name = self.get(number, "name").unwrap_or_default();
        if let Some(table) = name.strip_suffix(">::{vtable}") {
            let of = table.rsplit(" as ").next().unwrap_or_default();
            symbol.table_of = of.split('<').next().map(str::to_owned);
        }
        name.split('<').next().unwrap_or_default().clone_into(&mut symbol.name);
        let parameters = self.get(number, "templateParams").and_then(|list| self.0.get(list));
        symbol.is_generic = name.contains('<') || parameters.is_some_and(|list| *list != "!{}");
        let line = self.get(number, "line").and_then(|line| line.parse().ok());
        symbol.place = self.file(number).zip(line).map(|(file, line)| Place { file, line, column: None });
        let around = std::iter::successors(self.get(number, "scope"), |number| self.get(number, "scope"));
        symbol.scope = around.filter_map(|number| self.get(number, "name").map(str::to_owned)).collect();
        symbol.scope.reverse();
    }

    /// The types of each function's variables.
    fn variables(&self) -> HashMap<&'a str, Vec<&'a str>> {
        let mut found: HashMap<&str, Vec<&str>> = HashMap::new();
        for fact in self.0.values().filter(|fact| fact.starts_with("!DILocalVariable(")) {
            let is_block =
                |number: &str| self.0.get(number).is_some_and(|fact| fact.contains("!DILexicalBlock"));
            let around = std::iter::successors(field(fact, "scope"), |number| {
                self.get(number, "scope").filter(|_| is_block(number))
            });
            if let (Some(function), Some(ty)) = (around.last(), field(fact, "type")) {
                found.entry(function).or_default().push(ty);
            }
        }
        found
    }

    fn file(&self, number: &str) -> Option<PathBuf> {
        let file = self.get(number, "file")?;
        Some(Path::new(self.get(file, "directory")?).join(self.get(file, "filename")?))
    }

    /// The place of an instruction.
    fn step(&self, number: &str) -> Option<Place> {
        let line = self.get(number, "line")?.parse().ok().filter(|line| *line > 0)?;
        let column = self.get(number, "column")?.parse().ok()?;
        Some(Place { file: self.file(self.get(number, "scope")?)?, line, column: Some(column) })
    }
}

/// What stands behind a word in the parentheses of a fact.
fn field<'a>(fact: &'a str, word: &str) -> Option<&'a str> {
    let mut rest = fact;
    loop {
        let at = rest.find(word)?;
        let before = rest[..at].chars().next_back();
        rest = &rest[at + word.len()..];
        if let (Some('(' | ' '), Some(value)) = (before, rest.strip_prefix(": ")) {
            return match value.strip_prefix('"') {
                Some(text) => text.split('"').next(),
                None => value.split([',', ')']).next(),
            };
        }
    }
}

/// The number behind `!dbg`.
fn debug(line: &str) -> Option<&str> {
    line.rsplit_once("!dbg ")?.1.split([' ', ',']).next()
}

/// Adds the names behind `@` in a line, texts left out, and gives the first of them back.
fn mentioned<'a>(line: &'a str, names: &mut BTreeSet<&'a str>) -> Option<&'a str> {
    let mut first = None;
    let mut rest = line;
    while let Some(at) = rest.find(['@', '"']) {
        let is_name = rest[at..].starts_with('@');
        let behind = &rest[at + 1..];
        let quoted = if is_name { behind.strip_prefix('"') } else { Some(behind) };
        let end = || behind.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '$' | '-'));
        let (text, after) = quoted.map_or_else(
            || behind.split_at(end().unwrap_or(behind.len())),
            |text| text.split_once('"').unwrap_or((text, "")),
        );
        if is_name {
            names.insert(text);
            first = first.or(Some(text));
        }
        rest = after;
    }
    first
}
