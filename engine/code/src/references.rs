//! What a node's tokens refer to: items, methods by name, other crates, files, environment, `cfg` predicates.
//!
//! Inside macros a name may become anything, so there it refers to everything that is called so.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::assets::{self, Places};
use crate::items::{Import, ItemKind, Lexed};
use crate::names::Name;
use crate::scan::{Reading, Scan, listed, options_in};
use crate::scope::{Meaning, Resolver};
use crate::world::{FileId, Module, ModuleId, NodeId, World};

/// What a node refers to.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// Nodes named.
    pub nodes: BTreeSet<NodeId>,
    /// Cached functions called.
    pub cached: BTreeSet<NodeId>,
    /// Traits whose implementors may all be meant (`dyn Trait`).
    pub open_traits: BTreeSet<NodeId>,
    /// Names of methods and associated items of types that are not known.
    pub methods: BTreeSet<Name>,
    /// Names of associated items of a type that is.
    pub members: BTreeSet<(NodeId, Name)>,
    /// Names that nothing here is known by: variables, or what a macro has defined.
    pub unknown: BTreeSet<Name>,
    /// Modules in which a name was looked for that none of their items has.
    pub entered: BTreeSet<ModuleId>,
    /// Modules of which everything is meant.
    pub modules: BTreeSet<ModuleId>,
    /// Names from elsewhere with the paths that they stand for, as text.
    pub foreign: BTreeSet<String>,
    /// The same as numbers, once they have some.
    pub(crate) foreign_numbers: Vec<Name>,
    /// The crates they are from.
    pub crates: BTreeSet<Name>,
    /// Files, by path; Rust files among them are read as code.
    pub assets: BTreeSet<assets::Asset>,
    /// Variables of the compiler's environment.
    pub environment: BTreeSet<String>,
    /// `cfg` predicates: single options as text (`unix`, `feature = "a"`).
    pub options: BTreeSet<String>,
}

/// Types and traits of the prelude, whose associated functions are ours only by a trait of ours.
const PRELUDE: &str = "String Vec Option Some None Result Ok Err Box bool char str u8 u16 u32 u64 u128 usize i8 i16 i32 i64 \
    i128 isize f32 f64 Iterator IntoIterator Default From Into TryFrom TryInto AsRef AsMut ToString \
    ToOwned Clone Copy Drop Fn FnMut FnOnce PartialEq Eq PartialOrd Ord FromIterator Extend";

/// Finds out what a node refers to.
pub fn of_node(world: &mut World, resolver: &mut Resolver, node: NodeId) -> References {
    let mut scan = Scan::new(world, resolver, node);
    scan.run();
    scan.found
}

/// What an attribute of a module refers to.
pub fn of_attribute(
    world: &mut World,
    resolver: &mut Resolver,
    module: ModuleId,
    file: FileId,
    range: Range<usize>,
) -> References {
    let lexed = &world.files[file].lexed;
    let shared = Lexed { tokens: lexed.tokens.clone(), names: lexed.names.clone() };
    let mut scan = Scan::over(world, resolver, module, file, shared, range);
    scan.run();
    scan.found
}

impl Scan<'_> {
    /// What a path means here, with imports inside the node.
    pub(crate) fn meanings(&mut self, path: &[Name], absolute: bool) -> Vec<Meaning> {
        let mut found = Vec::new();
        self.means(path, absolute, 0, &mut found);
        found
    }

    /// `depth`: how many imports inside the node led here, since one may begin with what another brought.
    fn means(&mut self, path: &[Name], absolute: bool, depth: usize, found: &mut Vec<Meaning>) {
        let Some(&first) = path.first() else { return };
        if !absolute && depth < 4 && !self.local.is_empty() {
            let mut local = self.local.get(&first).cloned().unwrap_or_default();
            for import in self.local.get(&Name::NONE).cloned().unwrap_or_default() {
                let mut path = import.path.clone();
                path.push(first);
                local.push(Import { path, name: first, absolute: import.absolute });
            }
            for import in local {
                let whole: Vec<Name> = import.path.iter().chain(&path[1..]).copied().collect();
                let mut meanings = Vec::new();
                // Not again by the import that led here (`use a::a`).
                let next = if import.path.first() == Some(&first) { 4 } else { depth + 1 };
                self.means(&whole, import.absolute, next, &mut meanings);
                found.extend(meanings.into_iter().filter(|meaning| !matches!(meaning, Meaning::Hidden(..))));
            }
        }
        found.extend(self.resolver.resolve(self.world, self.module, path, absolute));
        // From a module inside the node `super` leads here.
        if self.has_modules && matches!(first, Name::SUPER | Name::SELF) && path.len() > 1 {
            found.extend(self.resolver.resolve(self.world, self.module, &path[1..], false));
            if path[1] == Name::SUPER {
                self.means(&path[1..], false, 4, found);
            }
        }
    }

    /// Notes all that a path refers to.
    pub(crate) fn refer(&mut self, path: &[Name], absolute: bool, at: usize) {
        let in_macro = self.in_macro();
        if path[0] == Name::SELF_TYPE {
            if let [_, member, ..] = *path {
                let inherent = self.self_is_known && self.has_inherent(member);
                if inherent {
                    let node = self.self_types[0];
                    self.found.members.insert((node, member));
                }
                if !inherent || self.world.in_traits(member) {
                    self.found.methods.insert(member);
                }
            }
            return;
        }
        if path[0] == Name::SELF && path.len() == 1 {
            return;
        }
        let meanings = self.meanings(path, absolute);
        self.named.extend(path.iter().copied());
        for meaning in &meanings {
            self.lead(path, meaning);
        }
        let items = meanings.iter().filter(|found| matches!(found, Meaning::Node(_) | Meaning::Member(..)));
        if items.count() > 1 && !absolute {
            // Which of them is meant depends on what is imported by name, and what by a glob.
            for line in self.resolver.named(self.world, self.module, path) {
                self.found.foreign.insert(line);
            }
        }
        // A trait where no bound is: an object without `dyn`.
        let bound = at >= self.range.end
            || at <= self.range.start
            || matches!(self.lexed.tokens.text(at - 1), ":" | "+" | "?")
            || matches!(self.lexed.name(at - 1), Name::IMPL | Name::AS | Name::FOR | Name::USE)
            || path.len() > 1
            || self.is(at + 1, "::");
        for meaning in &meanings {
            self.mean(
                meaning,
                in_macro,
                !bound && self.world.crates[self.world.modules[self.module].krate].bare_objects,
            );
            if let Meaning::Foreign(full) = meaning {
                let full = full.clone();
                self.foreign(&full, path[path.len() - 1]);
                // A trait of ours may have given it to a foreign type.
                self.associated.extend(path[1..].iter().copied());
            }
        }
        if meanings.is_empty() {
            self.found.unknown.insert(path[0]);
        }
        if meanings.is_empty() && path.len() > 1 {
            // A type parameter, or something that a macro made.
            let first = self.world.names.text(path[0]);
            if listed(PRELUDE, first) {
                self.associated.extend(path[1..].iter().copied());
            } else {
                self.found.methods.extend(path[1..].iter().copied());
            }
        }
        if in_macro {
            for &name in path {
                if !name.is_keyword() {
                    self.anything(name);
                }
            }
        }
    }

    /// Notes where a path leads, unless its name alone says so: two imports that change places reach the same items.
    fn lead(&mut self, path: &[Name], meaning: &Meaning) {
        let (Meaning::Node(node) | Meaning::Member(node, _)) = meaning else { return };
        let found = &self.world.nodes[*node];
        if path.len() == 1 && found.module == self.module && found.name == path[0] {
            return;
        }
        let text: Vec<&str> = path.iter().map(|name| self.world.names.text(*name)).collect();
        let line = format!("{} {} = {}", self.here(), text.join("::"), self.world.label(*node));
        self.found.foreign.insert(line);
    }

    /// The module, as lines about names in it begin.
    pub(crate) fn here(&self) -> String {
        let module = &self.world.modules[self.module];
        format!("{} {}", self.world.names.text(self.world.crates[module.krate].name), module.path)
    }

    /// Imports that hold under conditions only, and those that a macro may use where it is called.
    pub(crate) fn imports_by_condition(&mut self) {
        for (name, module, file, range) in &self.world.conditional {
            if !name.is_none() && *name != Name::UNDERSCORE && !self.named.contains(name) {
                continue;
            }
            let tokens = &self.world.files[*file].lexed.tokens;
            let text: Vec<&str> = range.clone().map(|at| tokens.text(at)).collect();
            let Module { krate, path, .. } = &self.world.modules[*module];
            let krate = self.world.names.text(self.world.crates[*krate].name);
            let line = format!("{krate} {path} use = {krate}::{}", text.join(" "));
            self.found.foreign.insert(line);
            for at in range.clone() {
                if tokens.is(at, "cfg") {
                    options_in(tokens, at + 1..tokens.after(at + 1), &mut self.found.options);
                }
            }
        }
        if self.calls_macros {
            self.variants_in_scope();
            let here = self.here();
            // Of several macros of one name in a file the last one above is meant.
            let above = self.world.macros.values().filter(|all| all.len() > 1).flatten();
            let above = above.filter(|node| {
                let node = &self.world.nodes[**node];
                node.file == self.file && node.range.start < self.range.start
            });
            let above = above.count();
            if above > 0 {
                self.found.foreign.insert(format!("{here} below {above} = macros"));
            }
            for import in &self.world.modules[self.module].imports {
                let path: Vec<&str> = import.path.iter().map(|name| self.world.names.text(*name)).collect();
                let name = self.world.names.text(import.name);
                self.found.foreign.insert(format!("{here} {name} = {}", path.join("::")));
            }
        }
    }

    /// Types whose variants the module's imports bring, by name or by a glob: a macro's body may name them.
    fn variants_in_scope(&mut self) {
        let types = self.resolver.shown_types(self.world, self.module);
        self.found.nodes.extend(types);
        let imports = self.world.modules[self.module].imports.clone();
        for Import { path, absolute, .. } in imports {
            for meaning in self.resolver.resolve(self.world, self.module, &path, absolute) {
                if let Meaning::Member(of, _) = meaning {
                    self.found.nodes.insert(of);
                }
            }
        }
    }

    /// Notes everything that is called so.
    pub(crate) fn anything(&mut self, name: Name) {
        let all = self.world.by_name.get(&name).cloned().unwrap_or_default();
        for node in all {
            self.mean(&Meaning::Node(node), true, false);
        }
        for (module, index) in self.world.aliases.get(&name).cloned().unwrap_or_default() {
            let Import { path, absolute, .. } = self.world.modules[module].imports[index].clone();
            for meaning in self.resolver.resolve(self.world, module, &path, absolute) {
                if matches!(meaning, Meaning::Node(_) | Meaning::Member(..)) {
                    self.mean(&meaning, true, false);
                }
            }
        }
        self.found.methods.insert(name);
    }

    pub(crate) fn mean(&mut self, meaning: &Meaning, in_macro: bool, open: bool) {
        match meaning {
            Meaning::Node(node) => {
                let node = *node;
                if self.world.nodes[node].face.is_some() {
                    self.cached(node);
                    return;
                }
                self.found.nodes.insert(node);
                // Macros may put `dyn` before it.
                if (open || in_macro) && self.world.nodes[node].kind == ItemKind::Trait {
                    self.found.open_traits.insert(node);
                }
            }
            Meaning::Member(node, name) => {
                let node = *node;
                if self.world.nodes[node].face.is_some() {
                    if *name == Name::UNCACHED {
                        self.found.nodes.insert(node);
                    } else {
                        self.cached(node);
                    }
                    return;
                }
                self.found.nodes.insert(node);
                match self.world.nodes[node].kind {
                    ItemKind::Type => {
                        self.found.members.insert((node, *name));
                    }
                    _ => {
                        self.found.methods.insert(*name);
                    }
                }
            }
            Meaning::Module(module) => {
                if in_macro || self.reading() == Reading::Attribute {
                    self.found.modules.insert(*module);
                }
            }
            Meaning::Foreign(path) => {
                let path = path.clone();
                let name = path.last().copied().unwrap_or(Name::NONE);
                self.foreign(&path, name);
            }
            Meaning::Hidden(module, name) => {
                let krate = self.world.modules[*module].krate;
                let all = self.world.by_name.get(name).cloned().unwrap_or_default();
                for node in all {
                    if self.world.modules[self.world.nodes[node].module].krate == krate {
                        self.found.nodes.insert(node);
                    }
                }
                self.found.methods.insert(*name);
                self.found.unknown.insert(*name);
                self.found.entered.insert(*module);
                self.through(*module, false);
            }
        }
    }

    /// A cached function is a dependency by itself; what it is called with and gives back matters here.
    fn cached(&mut self, node: NodeId) {
        // A macro may write `$function::uncached(..)`.
        let opened =
            self.in_macro() && self.world.names.find("uncached").is_some_and(|name| self.world.is_used(name));
        if opened {
            self.found.nodes.insert(node);
        } else if let Some(face) = self.world.nodes[node].face {
            self.found.cached.insert(face);
            self.named_cached.push(node);
        }
    }

    pub(crate) fn foreign(&mut self, path: &[Name], name: Name) {
        let Some(&first) = path.first() else { return };
        let text: Vec<&str> = path.iter().map(|name| self.world.names.text(*name)).collect();
        let line = format!("{} {} = {}", self.here(), self.world.names.text(name), text.join("::"));
        self.found.foreign.insert(line);
        self.found.crates.insert(first);
    }

    /// Files that literals name.
    pub(crate) fn files(&mut self) {
        if self.loaded {
            return;
        }
        let world = &*self.world;
        let krate = world.modules[self.module].krate;
        let path = &world.files[self.file].path;
        let package = &world.crates[krate].package.directory;
        let own = world.crates[world.own].package.directory == *package;
        let compiled = &world.crates[world.own].package.directory;
        let places = Places {
            file: path,
            package,
            own: compiled,
            out_dir: world.out_dir().filter(|_| own),
            all: world.crates[krate].writes_code,
        };
        let assets = assets::named(&self.lexed.tokens, self.range.clone(), places);
        let includes = self.lexed.names[self.range.start..self.range.end].contains(&Name::INCLUDE);
        for asset in assets {
            if asset.rust || includes {
                // Code in the middle of code: whatever it names.
                let tokens = self.world.sources.tokens(&asset.path);
                for at in 0..tokens.as_ref().map_or(0, |tokens| tokens.len()) {
                    let name = tokens.as_ref().and_then(|tokens| self.world.names.find(tokens.ident(at)?));
                    if let Some(name) = name.filter(|name| !name.is_keyword()) {
                        self.anything(name);
                    }
                }
            }
            self.found.assets.insert(asset);
        }
    }

    /// Imports from elsewhere that act without being named: globs, `as _`, traits.
    pub(crate) fn imports_by_effect(&mut self) {
        for index in 0..self.world.modules[self.module].imports.len() {
            let name = self.world.modules[self.module].imports[index].name;
            let hidden = name.is_none() || name == Name::UNDERSCORE;
            if !hidden && (!self.calls_methods || self.mentioned.contains(&name) || !self.may_be_trait(name))
                || hidden && self.mentioned.contains(&name)
            {
                // A name that is mentioned was resolved where it is.
                continue;
            }
            if let Some(path) = self.resolver.from_elsewhere(self.world, self.module, index) {
                self.foreign(&path, name);
            }
        }
        for module in self.globs.iter().chain([&self.module]).copied().collect::<Vec<_>>() {
            self.through(module, true);
        }
    }

    /// What a module shows of other crates: by globs of its own and of the modules that it shows, or else by those modules.
    fn through(&mut self, module: ModuleId, by_others: bool) {
        for (of, index) in self.resolver.shown(self.world, module).iter().copied() {
            let name = self.world.modules[of].imports[index].name;
            let hidden = name.is_none() || name == Name::UNDERSCORE;
            let may_act = hidden || by_others && self.calls_methods && self.may_be_trait(name);
            if of == module && by_others && self.module == module || !may_act {
                continue;
            }
            if let Some(path) = self.resolver.from_elsewhere(self.world, of, index) {
                self.foreign(&path, name);
            }
        }
    }

    fn may_be_trait(&self, name: Name) -> bool {
        self.world.names.text(name).starts_with(char::is_uppercase)
    }

    /// Traits of ours that the methods called here may belong to.
    pub(crate) fn traits_in_scope(&mut self) {
        if self.found.methods.is_empty() && self.associated.is_empty() {
            return;
        }
        let mut traits = self.resolver.traits(self.world, self.module);
        if self.base == Reading::Template {
            // The caller's scope counts.
            traits = (0..self.world.nodes.len())
                .filter(|node| self.world.nodes[*node].kind == ItemKind::Trait)
                .collect();
        }
        // Those that a block imports.
        let named = self.found.nodes.iter().filter(|node| self.world.nodes[**node].kind == ItemKind::Trait);
        traits.extend(named);
        for module in self.globs.clone() {
            traits.extend(self.resolver.traits(self.world, module));
        }
        traits.sort_unstable();
        for name in std::mem::take(&mut self.associated) {
            let owners = self.world.members.get(&name).into_iter().flatten();
            if owners
                .map(|m| self.world.nodes[*m].container.unwrap_or(*m))
                .any(|o| traits.binary_search(&o).is_ok())
            {
                self.found.methods.insert(name);
            }
        }
        let here = self.here();
        for name in &self.found.methods {
            for &member in self.world.members.get(name).into_iter().flatten() {
                let owner = self.world.nodes[member].container.unwrap_or(member);
                if traits.binary_search(&owner).is_ok() {
                    self.found.nodes.insert(owner);
                    if self.world.nodes[owner].module != self.module {
                        self.found.foreign.insert(format!("{here} trait = {}", self.world.label(owner)));
                    }
                }
            }
        }
    }
}
