//! What a path means where it stands: imports, renames, globs, re-exports, other crates.
//!
//! A name may have several meanings (namespaces, `cfg` alternatives); all count. What cannot be resolved is said to be
//! so, and never taken for something else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::items::{Import, ItemKind};
use crate::names::Name;
use crate::world::{Entry, Linked, ModuleId, NodeId, World};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// An item.
    Node(NodeId),
    /// A module.
    Module(ModuleId),
    /// Something of an item: an associated function, a variant.
    Member(NodeId, Name),
    /// Something of another crate, by its path there.
    Foreign(Vec<Name>),
    /// A name in a module that does not show it; a macro may have made it.
    Hidden(ModuleId, Name),
}

/// Resolves paths, and remembers what it found.
#[derive(Debug, Default)]
pub struct Resolver {
    known: HashMap<(ModuleId, Name), Vec<Meaning>>,
    traits: HashMap<ModuleId, Vec<NodeId>>,
    /// For imports by their modules and places there, the path of what is from elsewhere.
    elsewhere: HashMap<(ModuleId, usize), Option<Arc<[Name]>>>,
    /// What modules show of other crates.
    shown: HashMap<ModuleId, Arc<[(ModuleId, usize)]>>,
    /// `None` while they are being found out.
    globs: HashMap<ModuleId, Option<Globs>>,
}

/// Where the globs of a module lead.
#[derive(Clone, Debug, Default)]
struct Globs {
    modules: Vec<ModuleId>,
    types: Vec<NodeId>,
    /// Whether one leads to where nothing is known.
    uncertain: bool,
}

impl Resolver {
    /// What a name means in a module, without the names of other crates.
    pub fn lookup(&mut self, world: &mut World, module: ModuleId, name: Name) -> Vec<Meaning> {
        if let Some(known) = self.known.get(&(module, name)) {
            return known.clone();
        }
        let mut looking = HashSet::new();
        // A cycle of globs adds nothing at the place where it was entered, so the answer is whole here.
        let (found, _) = self.look(world, module, name, &mut looking);
        self.known.insert((module, name), found.clone());
        found
    }

    /// The second part of the answer is whether it was found without meeting a name that is being looked up.
    fn look(
        &mut self,
        world: &mut World,
        module: ModuleId,
        name: Name,
        looking: &mut HashSet<(ModuleId, Name)>,
    ) -> (Vec<Meaning>, bool) {
        if let Some(known) = self.known.get(&(module, name)) {
            return (known.clone(), true);
        }
        if !looking.insert((module, name)) {
            return (Vec::new(), false);
        }
        let mut found = Vec::new();
        let (modules, types, mut complete, uncertain) = self.visible(world, module, looking);
        for place in modules {
            for entry in world.modules[place].scope.get(&name).cloned().unwrap_or_default() {
                match entry {
                    Entry::Node(node) => found.push(Meaning::Node(node)),
                    Entry::Module(module) => found.push(Meaning::Module(module)),
                    Entry::Import(index) => {
                        let import = world.modules[place].imports[index].clone();
                        let (meanings, whole) =
                            self.path(world, place, &import.path, import.absolute, true, looking);
                        complete &= whole;
                        if meanings.is_empty() {
                            found.push(Meaning::Foreign(import.path));
                        }
                        found.extend(meanings);
                    }
                }
            }
        }
        for node in types {
            // `use Enum::*`: any name of its may be a variant.
            let World { files, nodes, .. } = &*world;
            let body = nodes[node].head.end..nodes[node].range.end;
            if files[nodes[node].file].lexed.names[body].contains(&name) {
                found.push(Meaning::Node(node));
            }
        }
        if found.is_empty() && uncertain {
            found.push(Meaning::Hidden(module, name));
        }
        found.sort_by_key(order);
        found.dedup();
        looking.remove(&(module, name));
        if complete {
            self.known.insert((module, name), found.clone());
        }
        (found, complete)
    }

    /// The modules whose names a module shows, itself first, and the types whose variants it does; whether all globs
    /// were resolved for good, and whether one leads to where nothing is known.
    fn visible(
        &mut self,
        world: &mut World,
        module: ModuleId,
        looking: &mut HashSet<(ModuleId, Name)>,
    ) -> (Vec<ModuleId>, Vec<NodeId>, bool, bool) {
        let (mut modules, mut types) = (vec![module], Vec::new());
        let (mut complete, mut uncertain) = (true, false);
        let mut at = 0;
        while at < modules.len() {
            let current = modules[at];
            at += 1;
            match self.globs(world, current, looking) {
                None => complete = false,
                Some(globs) => {
                    uncertain |= globs.uncertain;
                    types.extend(&globs.types);
                    for module in globs.modules {
                        if !modules.contains(&module) {
                            modules.push(module);
                        }
                    }
                }
            }
        }
        (modules, types, complete, uncertain)
    }

    /// Where a module's own globs lead; `None` while that is being found out.
    fn globs(
        &mut self,
        world: &mut World,
        module: ModuleId,
        looking: &mut HashSet<(ModuleId, Name)>,
    ) -> Option<Globs> {
        if let Some(known) = self.globs.get(&module) {
            return known.clone();
        }
        self.globs.insert(module, None);
        let mut globs = Globs::default();
        let imports: Vec<_> =
            world.modules[module].imports.iter().filter(|import| import.name.is_none()).cloned().collect();
        for import in imports {
            let (targets, whole) = self.path(world, module, &import.path, import.absolute, true, looking);
            // What was left out because of a cycle may be anything.
            globs.uncertain |=
                targets.is_empty() || !whole && !targets.iter().any(|t| matches!(t, Meaning::Module(_)));
            for target in targets {
                match target {
                    Meaning::Module(target) => globs.modules.push(target),
                    Meaning::Node(node) if world.nodes[node].kind == ItemKind::Type => globs.types.push(node),
                    Meaning::Hidden(..) => globs.uncertain = true,
                    _ => {}
                }
            }
        }
        self.globs.insert(module, Some(globs.clone()));
        Some(globs)
    }

    /// What a path means in a module. Empty if its first name is unknown there.
    pub fn resolve(
        &mut self,
        world: &mut World,
        module: ModuleId,
        path: &[Name],
        absolute: bool,
    ) -> Vec<Meaning> {
        if let [name] = path
            && !absolute
            && !matches!(*name, Name::CRATE | Name::SELF | Name::SUPER)
        {
            let mut found = self.lookup(world, module, *name);
            // Where it may be hidden it may as well be a crate.
            if found.iter().all(|meaning| matches!(meaning, Meaning::Hidden(..))) {
                found.extend(Self::external(world, module, *name));
            }
            return found;
        }
        let mut looking = HashSet::new();
        self.path(world, module, path, absolute, false, &mut looking).0
    }

    fn path(
        &mut self,
        world: &mut World,
        module: ModuleId,
        path: &[Name],
        absolute: bool,
        is_import: bool,
        looking: &mut HashSet<(ModuleId, Name)>,
    ) -> (Vec<Meaning>, bool) {
        let Some((&first, rest)) = path.split_first() else {
            return (vec![Meaning::Module(module)], true);
        };
        let krate = world.modules[module].krate;
        let mut complete = true;
        let mut current = match first {
            Name::CRATE => vec![Meaning::Module(world.load_crate(krate))],
            Name::SELF => vec![Meaning::Module(module)],
            Name::SUPER => vec![Meaning::Module(world.modules[module].parent.unwrap_or(module))],
            _ => {
                let old = world.crates[krate].old_paths && (absolute || is_import);
                let mut found = Vec::new();
                if !absolute || old {
                    let place = if old { world.load_crate(krate) } else { module };
                    let (meanings, whole) = self.look(world, place, first, looking);
                    found = meanings;
                    complete &= whole;
                }
                // A macro or function of a crate's name does not hide the crate in front of `::`.
                let leads_on = found.iter().any(|meaning| match meaning {
                    Meaning::Module(_) | Meaning::Member(..) => true,
                    Meaning::Node(node) => {
                        matches!(world.nodes[*node].kind, ItemKind::Type | ItemKind::Trait | ItemKind::Alias)
                    }
                    Meaning::Foreign(_) | Meaning::Hidden(..) => false,
                });
                if !leads_on {
                    found.extend(Self::external(world, module, first));
                }
                found
            }
        };
        for &name in rest {
            let mut next = Vec::new();
            for meaning in current {
                match meaning {
                    Meaning::Module(inner) if name == Name::SUPER => {
                        next.push(Meaning::Module(world.modules[inner].parent.unwrap_or(inner)));
                    }
                    Meaning::Module(inner) => {
                        let (found, whole) = self.look(world, inner, name, looking);
                        complete &= whole;
                        if found.is_empty() {
                            next.push(Meaning::Hidden(inner, name));
                        }
                        next.extend(found);
                    }
                    Meaning::Node(node) => next.push(Meaning::Member(node, name)),
                    Meaning::Member(node, first) => next.push(Meaning::Member(node, first)),
                    Meaning::Foreign(mut path) => {
                        path.push(name);
                        next.push(Meaning::Foreign(path));
                    }
                    Meaning::Hidden(module, hidden) => {
                        next.push(Meaning::Hidden(module, hidden));
                        next.push(Meaning::Hidden(module, name));
                    }
                }
            }
            current = next;
        }
        current.sort_by_key(order);
        current.dedup();
        (current, complete)
    }

    /// The path in another crate that an import of a module may lead to, if it may: every function in the module asks for it.
    pub fn from_elsewhere(
        &mut self,
        world: &mut World,
        module: ModuleId,
        import: usize,
    ) -> Option<Arc<[Name]>> {
        if let Some(known) = self.elsewhere.get(&(module, import)) {
            return known.clone();
        }
        let Import { path, absolute, .. } = world.modules[module].imports[import].clone();
        let meanings = self.resolve(world, module, &path, absolute);
        // Of a module that a macro makes nothing is known, and where it leads counts all the more.
        let unknown = meanings.iter().all(|meaning| matches!(meaning, Meaning::Hidden(..))).then_some(path);
        let foreign = meanings.into_iter().find_map(|meaning| match meaning {
            Meaning::Foreign(path) => Some(path),
            _ => None,
        });
        let found: Option<Arc<[Name]>> = foreign.or(unknown).map(Into::into);
        self.elsewhere.insert((module, import), found.clone());
        found
    }

    /// The imports by name that a path goes through, as text: such a one hides what a glob brings.
    pub fn named(&mut self, world: &mut World, module: ModuleId, path: &[Name]) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![(module, path.to_vec(), 0)];
        while let Some((module, path, depth)) = pending.pop() {
            let Some((&first, rest)) = path.split_first() else { continue };
            if depth > 8 {
                continue;
            }
            let (places, ..) = self.visible(world, module, &mut HashSet::new());
            for place in places {
                for entry in world.modules[place].scope.get(&first).cloned().unwrap_or_default() {
                    let Entry::Import(index) = entry else { continue };
                    let import = world.modules[place].imports[index].clone();
                    let info = &world.modules[place];
                    let krate = world.names.text(world.crates[info.krate].name);
                    let text: Vec<&str> = import.path.iter().map(|name| world.names.text(*name)).collect();
                    let name = world.names.text(first);
                    found.push(format!("{krate} {} {name} by name = {}", info.path, text.join("::")));
                    pending.push((place, import.path, depth + 1));
                }
            }
            if !rest.is_empty() {
                for meaning in self.resolve(world, module, &[first], false) {
                    if let Meaning::Module(inner) = meaning {
                        pending.push((inner, rest.to_vec(), depth + 1));
                    }
                }
            }
        }
        found
    }

    /// The types whose variants a module shows by its globs.
    pub(crate) fn shown_types(&mut self, world: &mut World, module: ModuleId) -> Vec<NodeId> {
        self.visible(world, module, &mut HashSet::new()).1
    }

    /// The imports from elsewhere that a module shows: its own and those of the modules that its globs lead to, each by its
    /// module and place there.
    pub fn shown(&mut self, world: &mut World, module: ModuleId) -> Arc<[(ModuleId, usize)]> {
        if let Some(known) = self.shown.get(&module) {
            return known.clone();
        }
        let (modules, ..) = self.visible(world, module, &mut HashSet::new());
        let mut found = Vec::new();
        for module in modules {
            for index in 0..world.modules[module].imports.len() {
                if self.from_elsewhere(world, module, index).is_some() {
                    found.push((module, index));
                }
            }
        }
        let found: Arc<[_]> = found.into();
        self.shown.insert(module, found.clone());
        found
    }

    /// The crate of a name, as the code of a module knows it.
    fn external(world: &mut World, module: ModuleId, name: Name) -> Vec<Meaning> {
        let krate = world.modules[module].krate;
        match world.crates[krate].dependencies.get(&name).cloned() {
            Some(all) => {
                let meaning = |linked| match linked {
                    Linked::Local(found) if !world.crates[found].is_macro => {
                        Meaning::Module(world.load_crate(found))
                    }
                    _ => Meaning::Foreign(vec![name]),
                };
                all.into_iter().map(meaning).collect()
            }
            None if matches!(name, Name::STD | Name::CORE | Name::ALLOC) => {
                vec![Meaning::Foreign(vec![name])]
            }
            None => Vec::new(),
        }
    }

    /// The traits whose methods can be called in a module: its own, and those that it imports by whatever name.
    pub fn traits(&mut self, world: &mut World, module: ModuleId) -> Vec<NodeId> {
        if let Some(known) = self.traits.get(&module) {
            return known.clone();
        }
        let mut found = HashSet::new();
        let mut seen = HashSet::new();
        let mut pending = vec![module];
        while let Some(current) = pending.pop() {
            if !seen.insert(current) {
                continue;
            }
            let entries: Vec<Entry> = world.modules[current].scope.values().flatten().copied().collect();
            for entry in entries {
                if let Entry::Node(node) = entry
                    && world.nodes[node].kind == ItemKind::Trait
                {
                    found.insert(node);
                }
            }
            for import in world.modules[current].imports.clone() {
                for meaning in self.resolve(world, current, &import.path, import.absolute) {
                    match meaning {
                        Meaning::Node(node) if world.nodes[node].kind == ItemKind::Trait => {
                            found.insert(node);
                        }
                        Meaning::Module(target) if import.name.is_none() => pending.push(target),
                        _ => {}
                    }
                }
            }
        }
        let mut found: Vec<NodeId> = found.into_iter().collect();
        found.sort_unstable();
        self.traits.insert(module, found.clone());
        found
    }
}

/// An order of meanings that does not depend on how they were found.
fn order(meaning: &Meaning) -> (u8, usize, u32) {
    match meaning {
        Meaning::Node(node) => (0, *node, 0),
        Meaning::Module(module) => (1, *module, 0),
        Meaning::Member(node, name) => (2, *node, name.0),
        Meaning::Foreign(path) => (3, path.len(), path.last().map_or(0, |name| name.0)),
        Meaning::Hidden(module, name) => (4, *module, name.0),
    }
}
