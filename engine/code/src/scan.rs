//! Walks through a node's tokens and sorts them: paths, methods, macro calls, attributes, texts.
//!
//! What the parts refer to is `references.rs`'s to say.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::impls;
use crate::items::{self, Import, ItemKind, Lexed};
use crate::lexer::{Kind, Tokens};
use crate::names::Name;
use crate::references::References;
use crate::scope::{Meaning, Resolver};
use crate::spelt;
use crate::world::{FileId, ModuleId, NodeId, World};

/// How names are read where one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Plain code, also in the arguments of the standard library's macros.
    Code { text: bool },
    /// Arguments of a macro that may do anything with them.
    Arguments,
    /// The body of a macro.
    Template,
    /// An attribute.
    Attribute,
}

/// Macros of the standard library whose arguments are expressions.
pub(crate) const PLAIN: &str = "assert assert_eq assert_ne dbg debug_assert debug_assert_eq debug_assert_ne eprint eprintln format \
    format_args matches panic print println todo unimplemented unreachable vec write writeln stringify \
    line file column module_path compile_error try thread_local";

/// Attributes that change nothing, or whose contents are read elsewhere.
pub(crate) const INERT: &str = "allow warn deny forbid expect doc must_use deprecated inline cold rustfmt clippy test ignore \
    should_panic non_exhaustive track_caller automatically_derived";

#[expect(clippy::struct_excessive_bools, reason = "each is one thing seen on the way")]
pub(crate) struct Scan<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) resolver: &'a mut Resolver,
    pub(crate) lexed: Lexed,
    pub(crate) module: ModuleId,
    pub(crate) file: FileId,
    /// What is read, if that is a node.
    pub(crate) node: Option<NodeId>,
    pub(crate) range: Range<usize>,
    pub(crate) holes: Vec<Range<usize>>,
    /// The types (or the trait) that `Self` is.
    pub(crate) self_types: Vec<NodeId>,
    /// Whether `self.m()` is a method of `self_types` itself, not of an unknown implementor.
    pub(crate) self_is_known: bool,
    /// Imports inside the node.
    pub(crate) local: HashMap<Name, Vec<Import>>,
    /// Modules of which imports inside the node bring every name.
    pub(crate) globs: Vec<ModuleId>,
    /// Whether there are modules inside the node.
    pub(crate) has_modules: bool,
    pub(crate) base: Reading,
    /// Groups with another reading: where they end.
    pub(crate) readings: Vec<(usize, Reading)>,
    /// Names that stand by themselves.
    pub(crate) mentioned: BTreeSet<Name>,
    pub(crate) calls_methods: bool,
    /// Every name in a path.
    pub(crate) named: BTreeSet<Name>,
    /// Whether a macro is called or written that may name anything.
    pub(crate) calls_macros: bool,
    /// Names of associated items of foreign types, which are ours if a trait in scope has them.
    pub(crate) associated: BTreeSet<Name>,
    /// Whether the files that it names were loaded as items.
    pub(crate) loaded: bool,
    /// Cached functions that are named.
    pub(crate) named_cached: Vec<NodeId>,
    pub(crate) found: References,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(world: &'a mut World, resolver: &'a mut Resolver, node: NodeId) -> Self {
        let file = world.nodes[node].file;
        let lexed = &world.files[file].lexed;
        let lexed = Lexed { tokens: lexed.tokens.clone(), names: lexed.names.clone() };
        let (module, range) = (world.nodes[node].module, world.nodes[node].range.clone());
        let kind = world.nodes[node].kind;
        let container = world.nodes[node]
            .container
            .or((kind == ItemKind::Impl || kind == ItemKind::Trait).then_some(node));
        let mut scan = Self::over(world, resolver, module, file, lexed, range);
        scan.node = Some(node);
        scan.holes = scan.world.nodes[node].holes.clone();
        if !scan.world.nodes[node].noted.is_empty() {
            scan.holes.extend(scan.world.nodes[node].noted.iter().cloned());
            scan.holes.sort_by_key(|hole| hole.start);
        }
        scan.loaded = kind == ItemKind::Call && scan.world.nodes[node].name == Name::INCLUDE;
        scan.base = match kind {
            ItemKind::Macro => Reading::Template,
            _ => Reading::Code { text: false },
        };
        if let Some(container) = container {
            if scan.world.nodes[container].kind == ItemKind::Trait {
                scan.self_types = vec![container];
            } else {
                scan.self_types = impls::self_types(scan.world, scan.resolver, container);
                scan.self_is_known = !scan.self_types.is_empty();
            }
        }
        scan
    }

    pub(crate) fn over(
        world: &'a mut World,
        resolver: &'a mut Resolver,
        module: ModuleId,
        file: FileId,
        lexed: Lexed,
        range: Range<usize>,
    ) -> Self {
        Self {
            world,
            resolver,
            lexed,
            module,
            file,
            node: None,
            range,
            holes: Vec::new(),
            self_types: Vec::new(),
            self_is_known: false,
            local: HashMap::new(),
            globs: Vec::new(),
            has_modules: false,
            base: Reading::Code { text: false },
            readings: Vec::new(),
            mentioned: BTreeSet::new(),
            calls_methods: false,
            named: BTreeSet::new(),
            calls_macros: false,
            associated: BTreeSet::new(),
            loaded: false,
            named_cached: Vec::new(),
            found: References::default(),
        }
    }

    pub(crate) fn run(&mut self) {
        self.local_imports();
        let mut at = self.range.start;
        let mut hole = 0;
        while at < self.range.end {
            if let Some(range) = self.holes.get(hole)
                && range.start <= at
            {
                at = at.max(range.end);
                hole += 1;
                continue;
            }
            while self.readings.last().is_some_and(|(end, _)| *end <= at) {
                self.readings.pop();
            }
            at = self.token(at).max(at + 1);
        }
        self.files();
        self.imports_by_effect();
        self.imports_by_condition();
        self.traits_in_scope();
        // `<f>::uncached`, or the same by another name for `f`.
        let alias = self.node.is_some_and(|node| self.world.nodes[node].kind == ItemKind::Alias);
        if alias || self.found.methods.contains(&Name::UNCACHED) {
            self.found.nodes.extend(self.named_cached.drain(..));
        }
    }

    pub(crate) fn reading(&self) -> Reading {
        self.readings.last().map_or(self.base, |(_, reading)| *reading)
    }

    pub(crate) fn is(&self, at: usize, text: &str) -> bool {
        self.lexed.is(at, text)
    }

    fn before(&self, at: usize, text: &str) -> bool {
        at > self.range.start && self.lexed.is(at - 1, text)
    }

    pub(crate) fn in_macro(&self) -> bool {
        matches!(self.reading(), Reading::Arguments | Reading::Template)
    }

    /// `use` inside bodies.
    fn local_imports(&mut self) {
        let mut all = Vec::new();
        for at in self.range.clone() {
            self.has_modules |= self.lexed.name(at) == Name::MOD && self.is(at + 2, "{");
            if self.lexed.name(at) == Name::USE && !self.is(at + 1, "<") {
                let mut end = at + 1;
                while end < self.range.end && !self.is(end, ";") {
                    end = self.lexed.tokens.after(end);
                }
                all.extend(items::imports(&self.lexed, at + 1..end));
            }
        }
        for import in &all {
            self.local.entry(import.name).or_default().push(import.clone());
        }
        for import in all {
            let meanings = self.meanings(&import.path, import.absolute);
            let glob = import.name.is_none();
            for meaning in &meanings {
                // Names of a glob are looked up in it; what has a name is meant by it.
                match meaning {
                    Meaning::Module(module) if glob => self.globs.push(*module),
                    _ => self.mean(meaning, false, false),
                }
            }
            if meanings.is_empty() {
                self.foreign(&import.path, import.name);
            }
        }
    }

    /// Reads the token at an index; tells where to go on.
    fn token(&mut self, at: usize) -> usize {
        match self.lexed.tokens.kind(at) {
            Some(Kind::Ident) => self.word(at),
            Some(Kind::Text) => {
                self.text(at);
                at + 1
            }
            Some(Kind::Punct) if self.is(at, "#") => self.attribute(at),
            Some(Kind::Punct) if self.is(at, "::") && !self.lexed.name(at + 1).is_none() => {
                // A path from the outside, unless it goes on from something that is no name (`>::new`).
                let goes_on = at > self.range.start
                    && (self.is(at - 1, ">")
                        || self.is(at - 1, ")")
                        || self.is(at - 1, "]")
                        || self.is(at - 1, ">>"));
                if goes_on {
                    let mut next = at;
                    while self.is(next, "::") && !self.lexed.name(next + 1).is_none() {
                        self.found.methods.insert(self.lexed.name(next + 1));
                        next += 2;
                    }
                    if !self.is(at - 1, ">") && !self.is(at - 1, ">>") {
                        return next;
                    }
                    // Or it is a comparison, and the path one from the outside.
                }
                self.path(at + 1, true)
            }
            _ => at + 1,
        }
    }

    fn attribute(&mut self, at: usize) -> usize {
        let open = if self.is(at + 1, "!") { at + 2 } else { at + 1 };
        if !self.is(open, "[") {
            return at + 1;
        }
        let end = self.lexed.tokens.after(open);
        let name = self.lexed.name(open + 1);
        if name == Name::CFG {
            self.predicates(open + 2..end);
            return end;
        }
        if name == Name::CFG_ATTR {
            self.predicates(open + 2..end);
        } else if listed(INERT, self.world.names.text(name)) {
            return end;
        }
        self.readings.push((end, Reading::Attribute));
        open + 1
    }

    fn predicates(&mut self, range: Range<usize>) {
        options_in(&self.lexed.tokens, range, &mut self.found.options);
    }

    fn word(&mut self, at: usize) -> usize {
        let name = self.lexed.name(at);
        if name == Name::USE && !self.is(at + 1, "<") && !self.in_macro() {
            // Read already.
            let mut end = at;
            while end < self.range.end && !self.is(end, ";") {
                end = self.lexed.tokens.after(end);
            }
            return end;
        }
        if name == Name::DYN {
            return self.dynamic(at);
        }
        if self.before(at, ".") {
            return self.after_dot(at, name);
        }
        if name.is_keyword() {
            return at + 1;
        }
        if at > self.range.start && self.is_definition(at) {
            return at + 1;
        }
        self.path(at, false)
    }

    fn is_definition(&self, at: usize) -> bool {
        let before = self.lexed.name(at - 1);
        matches!(
            before,
            Name::FN
                | Name::STRUCT
                | Name::ENUM
                | Name::TRAIT
                | Name::TYPE
                | Name::MOD
                | Name::CONST
                | Name::STATIC
        ) && (before != Name::CONST || !self.is_pointer(at - 1))
            && !self.is(at + 1, "::")
            && !self.in_macro()
    }

    /// Whether the `const` at an index is that of `*const A` or `&raw const A`.
    fn is_pointer(&self, at: usize) -> bool {
        self.before(at, "*") || self.before(at, "raw")
    }

    /// `dyn A + B`: who implements it may have come from anywhere.
    fn dynamic(&mut self, at: usize) -> usize {
        let mut next = at + 1;
        loop {
            // Lifetimes, `for<'a>`, parentheses.
            while self.lexed.tokens.kind(next) == Some(Kind::Lifetime)
                || matches!(self.lexed.tokens.text(next), "+" | "(" | "?")
            {
                next += 1;
            }
            if self.lexed.name(next) == Name::FOR {
                while next < self.range.end && !self.is(next, ">") {
                    next += 1;
                }
                next += 1;
                continue;
            }
            let start = if self.is(next, "::") { next + 1 } else { next };
            let name = self.lexed.name(start);
            if name.is_none() || name.is_keyword() {
                return at + 1;
            }
            let (path, after) = self.segments(start);
            for meaning in self.meanings(&path, start != next) {
                if let Meaning::Node(node) = meaning
                    && self.world.nodes[node].kind == ItemKind::Trait
                {
                    self.found.open_traits.insert(node);
                }
            }
            if self.is(after, "+") {
                next = after + 1;
            } else {
                return at + 1;
            }
        }
    }

    /// `x.name`: a method if it is called, else a field.
    fn after_dot(&mut self, at: usize, name: Name) -> usize {
        let called = self.is(at + 1, "(") || self.is(at + 1, "::") && self.is(at + 2, "<");
        if called || self.in_macro() {
            self.calls_methods = true;
            let on_self = at >= 2 && self.lexed.name(at - 2) == Name::SELF && !self.in_macro();
            let inherent = on_self && self.self_is_known && self.has_inherent(name) && !self.may_deref();
            if inherent {
                for node in self.self_types.clone() {
                    self.found.members.insert((node, name));
                }
            }
            // A trait's method by value goes before one by reference.
            if !inherent || self.world.in_traits(name) {
                self.found.methods.insert(name);
            }
        }
        at + 1
    }

    pub(crate) fn has_inherent(&self, name: Name) -> bool {
        let [node] = self.self_types[..] else { return false };
        impls::inherent(self.world, node, name).next().is_some()
    }

    /// Whether a method of the own type may be one of another type, to which it dereferences: where its own is not compiled, takes
    /// no `self`, or not this one.
    fn may_deref(&self) -> bool {
        self.self_types.iter().any(|node| self.world.dereferences(*node))
    }

    /// The segments of a path from an index, and the index behind them.
    fn segments(&self, start: usize) -> (Vec<Name>, usize) {
        let mut path = vec![self.lexed.name(start)];
        let mut at = start + 1;
        while self.is(at, "::") {
            if !self.lexed.name(at + 1).is_none() {
                path.push(self.lexed.name(at + 1));
                at += 2;
            } else if self.is(at + 1, "<")
                && let Some(after) = self.past_angles(at + 1)
                && self.is(after, "::")
                && !self.lexed.name(after + 1).is_none()
            {
                path.push(self.lexed.name(after + 1));
                at = after + 2;
            } else {
                break;
            }
        }
        (path, at)
    }

    /// Behind the `>` that closes the `<` at an index.
    fn past_angles(&self, start: usize) -> Option<usize> {
        let mut depth = 0_i32;
        let mut at = start;
        while at < self.range.end {
            if self.is(at, ";") {
                return None;
            }
            depth += items::angles(&self.lexed, at);
            at = self.lexed.tokens.after(at);
            if depth <= 0 {
                return Some(at);
            }
        }
        None
    }

    /// Reads the path that starts at an index. Generic arguments inside it are read afterwards, as tokens of their own.
    fn path(&mut self, start: usize, absolute: bool) -> usize {
        let (path, end) = self.segments(start);
        let next = if path.len() == 1 { start + 1 } else { self.resume(start, &path, end) };
        if self.is(end, "!") && !self.is(end + 1, "=") && self.call(&path, absolute, end) {
            return end + 1;
        }
        let alone = path.len() == 1;
        let reading = self.reading();
        if alone && !self.in_macro() {
            // The name of a field, of a parameter, of an option of an attribute.
            let opens = self.is(end, "(") && self.is(start - 1, "[");
            if self.is(end, ":") || reading == Reading::Attribute && (self.is(end, "=") || opens) {
                return next;
            }
        }
        if alone {
            self.mentioned.insert(path[0]);
        }
        self.refer(&path, absolute, start);
        next
    }

    /// Where to go on behind a path, so that generic arguments in it are not passed over.
    fn resume(&self, start: usize, path: &[Name], end: usize) -> usize {
        // Without generic arguments there are exactly the names and the `::` between them.
        if end - start == path.len() * 2 - 1 { end } else { start + 1 + self.plain_prefix(start) }
    }

    /// The number of tokens of `::name` that follow directly.
    fn plain_prefix(&self, start: usize) -> usize {
        let mut at = start + 1;
        while self.is(at, "::") && !self.lexed.name(at + 1).is_none() {
            at += 2;
        }
        at - start - 1
    }

    /// A macro call: refers to the macro and says how its arguments are read.
    fn call(&mut self, path: &[Name], absolute: bool, bang: usize) -> bool {
        let mut open = bang + 1;
        if !self.lexed.name(open).is_none() {
            open += 1;
        }
        if self.lexed.tokens.kind(open) != Some(Kind::Open) {
            return false;
        }
        let end = self.lexed.tokens.after(open);
        let name = path.last().copied().unwrap_or(Name::NONE);
        let mut ours: Vec<NodeId> = self.world.macros.get(&name).cloned().unwrap_or_default();
        // Each definition holds for what stands behind it, and nodes are numbered in that order.
        if let (Some(node), false) = (self.node, ours.is_empty()) {
            let line = format!("{} {}! = ", self.here(), self.world.names.text(name));
            let before = ours.iter().filter(|definition| **definition < node).count();
            self.found.foreign.insert(format!("{line}behind {before}"));
        }
        let meanings = self.meanings(path, absolute);
        for meaning in &meanings {
            match meaning {
                Meaning::Node(node) => ours.push(*node),
                Meaning::Foreign(_) | Meaning::Hidden(..) => self.mean(meaning, true, false),
                _ => {}
            }
        }
        if let [name] = path {
            self.mentioned.insert(*name);
        }
        if ours.is_empty() {
            self.found.unknown.insert(name);
        }
        self.found.nodes.extend(ours.iter().copied());
        let text = self.world.names.text(name).to_owned();
        match text.as_str() {
            "cfg" => {
                self.predicates(open..end);
                self.readings.push((end, Reading::Code { text: false }));
            }
            "env" | "option_env" => {
                let variable = spelt::variable(&self.lexed.tokens, open + 1..end - 1);
                let included =
                    self.readings.iter().any(|(_, reading)| *reading == Reading::Code { text: true });
                // A path counts by what lies there.
                let found = matches!(variable.as_str(), "CARGO_MANIFEST_DIR" | "OUT_DIR")
                    || self.world.modules[self.module].krate == self.world.own
                        && std::env::var_os(&variable).is_some();
                if !(included && found) {
                    self.found.environment.insert(variable);
                }
                self.readings.push((end, Reading::Code { text: false }));
            }
            "include" | "include_str" | "include_bytes" => {
                self.readings.push((end, Reading::Code { text: true }));
            }
            "concat" => {
                let reading = self.reading();
                self.readings.push((end, reading));
            }
            "cfg_select" if ours.is_empty() => {
                self.found.options.insert("*".to_owned());
                self.readings.push((end, Reading::Arguments));
            }
            _ if ours.is_empty() && listed(PLAIN, &text) => {
                let reading = if self.in_macro() { self.reading() } else { Reading::Code { text: false } };
                self.readings.push((end, reading));
                self.captures(open..end);
                if matches!(text.as_str(), "write" | "writeln") {
                    self.found.methods.extend(self.world.names.find("write_fmt"));
                }
            }
            _ => {
                self.calls_macros = true;
                self.readings.push((end, Reading::Arguments));
            }
        }
        true
    }
}

/// Whether a word is in a list of words.
pub(crate) fn listed(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

/// The single options in a `cfg` predicate: `unix`, `feature = "a"`; `*` where only a macro's caller knows them.
pub(crate) fn options_in(tokens: &Tokens, range: Range<usize>, found: &mut BTreeSet<String>) {
    for at in range {
        if tokens.is(at, "$") {
            found.insert("*".to_owned());
        }
        let Some(name) = tokens.ident(at) else { continue };
        if at > 0 && tokens.is(at - 1, "$") {
            continue;
        }
        if tokens.is(at + 1, "(") {
            continue;
        }
        if tokens.is(at + 1, "=") {
            if let Some(value) = tokens.string(at + 2) {
                found.insert(format!("{name} = {value:?}"));
            }
        } else {
            found.insert(name.to_owned());
        }
    }
}

/// The options that a function's own tokens name.
pub(crate) fn named_options(tokens: &str) -> BTreeSet<String> {
    let tokens = Tokens::lex(tokens);
    let mut found = BTreeSet::new();
    for at in 0..tokens.len() {
        if tokens.is(at, "cfg_select") && tokens.is(at + 1, "!") {
            found.insert("*".to_owned());
        }
        if tokens.is(at, "cfg") || tokens.is(at, "cfg_attr") {
            let open = if tokens.is(at + 1, "!") { at + 2 } else { at + 1 };
            options_in(&tokens, open..tokens.after(open), &mut found);
        }
    }
    found
}
