//! The closure of a function: every node that it may reach, and why.
//!
//! A method is reached when its name is called and its type or trait is reached, in whatever order that comes about;
//! everything else is reached by being named.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use petgraph::algo::dominators;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::calls::{self, Calls};
use crate::impls::{self, Impls};
use crate::items::ItemKind;
use crate::names::Name;
use crate::references::{self, References};
use crate::scan::{INERT, listed};
use crate::scope::Resolver;
use crate::world::{CrateId, FileId, ModuleId, NodeId, World};

/// What all closures of one compiler process share.
#[derive(Debug)]
pub struct Analysis {
    /// The crates.
    pub world: World,
    resolver: Resolver,
    impls: Impls,
    references: HashMap<NodeId, std::sync::Arc<References>>,
    of_modules: HashMap<ModuleId, std::sync::Arc<References>>,
    of_macros: HashMap<CrateId, std::sync::Arc<References>>,
    naming: HashMap<Name, Vec<NodeId>>,
    calls: Calls,
    /// Calls and impls that always count, looked at so far.
    always: Vec<NodeId>,
    nodes_done: usize,
    /// Functions and statics that the linker finds by name.
    exported: Vec<NodeId>,
    /// Types by the names in their derives.
    deriving: HashMap<Name, Vec<NodeId>>,
    /// Items by the names in their other attributes.
    registering: HashMap<Name, Vec<NodeId>>,
    /// Items of which macros of other crates may make further names, by their own in small letters.
    deriving_names: Vec<(String, NodeId)>,
    /// Such items by the names that may be made of theirs, as far as was asked.
    made_of: HashMap<Name, Vec<NodeId>>,
}

/// What a function reaches.
#[derive(Debug, Default)]
pub struct Closure {
    /// Every node reached, in no order that means anything.
    pub nodes: BTreeSet<NodeId>,
    /// For each but the first, the node that it was first reached from.
    pub from: HashMap<NodeId, NodeId>,
    /// Modules with a node in it.
    pub modules: BTreeSet<ModuleId>,
    /// Crates with a node in it.
    pub crates: BTreeSet<CrateId>,
    /// Everything else that its nodes refer to.
    pub outside: References,
    /// Which node reaches which, each as often as it was found out.
    pub edges: Vec<(NodeId, NodeId)>,
}

impl Analysis {
    /// Starts with a loaded world.
    pub fn new(world: World) -> Self {
        Self {
            world,
            resolver: Resolver::default(),
            impls: Impls::default(),
            references: HashMap::new(),
            of_modules: HashMap::new(),
            of_macros: HashMap::new(),
            naming: HashMap::new(),
            calls: Calls::default(),
            always: Vec::new(),
            nodes_done: 0,
            exported: Vec::new(),
            deriving: HashMap::new(),
            registering: HashMap::new(),
            deriving_names: Vec::new(),
            made_of: HashMap::new(),
        }
    }

    /// Everything that a node reaches.
    pub fn closure(&mut self, root: NodeId) -> Closure {
        let mut walk = Walk::new(self, root);
        walk.run();
        walk.closure
    }

    fn references(&mut self, node: NodeId) -> std::sync::Arc<References> {
        if let Some(known) = self.references.get(&node) {
            return known.clone();
        }
        let found = std::sync::Arc::new(references::of_node(&mut self.world, &mut self.resolver, node));
        self.references.insert(node, found.clone());
        found
    }

    /// What the attributes of a module refer to.
    fn of_module(&mut self, module: ModuleId) -> std::sync::Arc<References> {
        if let Some(known) = self.of_modules.get(&module) {
            return known.clone();
        }
        let mut all = References::default();
        for (file, range) in self.world.modules[module].attributes.clone() {
            let found = references::of_attribute(&mut self.world, &mut self.resolver, module, file, range);
            merge(&mut all, &found);
            all.nodes.extend(found.nodes);
        }
        let all = std::sync::Arc::new(all);
        self.of_modules.insert(module, all.clone());
        all
    }

    /// Looks at what was loaded since the last time.
    fn catch_up(&mut self) {
        let fresh = self.impls.update(&mut self.world, &mut self.resolver);
        self.always.extend(fresh);
        for node in self.nodes_done..self.world.nodes.len() {
            if self.world.nodes[node].kind == ItemKind::Call && !self.calls.add(&self.world, node) {
                self.always.push(node);
            }
            if !self.world.nodes[node].attributes.is_empty() && !self.world.nodes[node].is_face {
                self.by_attributes(node);
            }
        }
        self.nodes_done = self.world.nodes.len();
    }

    /// Notes what an item's attributes say about who reaches it: `#[no_mangle]`, `#[distributed_slice(NAME)]`.
    fn by_attributes(&mut self, node: NodeId) {
        let info = &self.world.nodes[node];
        let lexed = &self.world.files[info.file].lexed;
        let mut at = info.attributes.start;
        let mut makes_names = false;
        while at < info.attributes.end {
            let end = lexed.tokens.after(at + 1);
            let first = lexed.tokens.text(at + 2);
            let names = || (at + 2..end).map(|at| lexed.name(at)).filter(|name| !name.is_none());
            if names().any(|name| matches!(self.world.names.text(name), "no_mangle" | "export_name")) {
                self.exported.push(node);
            }
            if matches!(first, "derive" | "cfg_attr") {
                for name in names() {
                    self.deriving.entry(name).or_default().push(node);
                    makes_names |= !listed(QUIET, self.world.names.text(name));
                }
            } else if !matches!(first, "cfg" | "derive" | "cfg_attr" | "repr" | "fleche")
                && !listed(INERT, first)
            {
                makes_names |= info.kind != ItemKind::Type || !listed(QUIET, first);
                for name in names() {
                    if !name.is_keyword() {
                        self.registering.entry(name).or_default().push(node);
                    }
                }
            }
            at = end.max(at + 1);
        }
        let name = folded(self.world.names.text(self.world.nodes[node].name));
        if makes_names && name.len() >= 3 {
            self.deriving_names.push((name, node));
        }
    }

    /// The items of whose names a macro of another crate may have made a name that nothing here has.
    fn made_of(&mut self, name: Name) -> Vec<NodeId> {
        if self.deriving_names.is_empty() {
            return Vec::new();
        }
        let (world, all) = (&self.world, &self.deriving_names);
        let found = self.made_of.entry(name).or_insert_with(|| {
            let text = world.names.text(name);
            // A name in small letters is a variable more often than a type.
            let (is_type, text) = (text.starts_with(char::is_uppercase), folded(text));
            let parts = all.iter().filter(|(part, node)| {
                (is_type || world.nodes[*node].kind == ItemKind::Function) && text.contains(part.as_str())
            });
            parts.map(|(_, node)| *node).collect()
        });
        found.clone()
    }

    /// The nodes whose tokens hold a name.
    fn naming(&mut self, name: Name) -> Vec<NodeId> {
        if let Some(known) = self.naming.get(&name) {
            return known.clone();
        }
        let found = self.world.naming(name);
        self.naming.insert(name, found.clone());
        found
    }

    /// What the code of a macro crate quotes.
    fn quoted(&mut self, krate: CrateId) -> std::sync::Arc<References> {
        if let Some(known) = self.of_macros.get(&krate) {
            return known.clone();
        }
        let mut all = References::default();
        let files: Vec<FileId> = (0..self.world.files.len())
            .filter(|file| self.world.modules[self.world.files[*file].module].krate == krate)
            .collect();
        for file in files {
            let lexed = &self.world.files[file].lexed;
            let mut at = 0;
            while at < lexed.names.len() {
                let text = lexed.tokens.text(at);
                let quotes =
                    matches!(text, "quote" | "quote_spanned" | "parse_quote" | "parse_quote_spanned")
                        && lexed.is(at + 1, "!");
                if !quotes {
                    at += 1;
                    continue;
                }
                let end = lexed.tokens.after(at + 2);
                for inner in at + 2..end {
                    let name = lexed.name(inner);
                    if !name.is_none() && !name.is_keyword() {
                        all.nodes.extend(self.world.by_name.get(&name).into_iter().flatten().copied());
                        all.methods.insert(name);
                    }
                }
                at = end.max(at + 1);
            }
        }
        let all = std::sync::Arc::new(all);
        self.of_macros.insert(krate, all.clone());
        all
    }
}

/// Derives and attributes that make no names but the item's own.
const QUIET: &str = "derive cfg_attr Debug Clone Copy PartialEq Eq PartialOrd Ord Hash Default Serialize Deserialize serde repr \
    Error error";

/// A name as `ThisName` and `this_name` both are.
fn folded(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

/// What is looked at of a node most.
struct Node {
    kind: ItemKind,
    module: ModuleId,
}

impl Node {
    fn of(world: &World, node: NodeId) -> Self {
        Self { kind: world.nodes[node].kind, module: world.nodes[node].module }
    }
}

struct Walk<'a> {
    analysis: &'a mut Analysis,
    closure: Closure,
    /// In the order in which they were reached, so that the way to each is short.
    pending: VecDeque<NodeId>,
    /// Names of methods that some node calls, with the first that does.
    called: BTreeMap<Name, NodeId>,
    open: HashSet<NodeId>,
    /// Names that a macro may have defined.
    unknown: BTreeSet<Name>,
    root: NodeId,
}

impl<'a> Walk<'a> {
    fn new(analysis: &'a mut Analysis, root: NodeId) -> Self {
        Self {
            analysis,
            closure: Closure::default(),
            pending: VecDeque::new(),
            called: BTreeMap::new(),
            open: HashSet::new(),
            unknown: BTreeSet::new(),
            root,
        }
    }

    fn run(&mut self) {
        self.analysis.catch_up();
        self.reach(self.root, self.root);
        loop {
            while let Some(node) = self.pending.pop_front() {
                self.visit(node);
            }
            self.fresh();
            if self.pending.is_empty() {
                break;
            }
        }
    }

    /// What always counts of the crates that are reached.
    fn fresh(&mut self) {
        let all = self.analysis.always.clone();
        for node in all {
            let krate = self.analysis.world.modules[self.analysis.world.nodes[node].module].krate;
            if self.closure.crates.contains(&krate) {
                self.reach(node, self.root);
            }
        }
        for (krate, inner) in self.analysis.impls.with_crate().to_vec() {
            if self.closure.outside.crates.contains(&krate) {
                self.reach(inner, self.root);
            }
        }
        // Macros of this workspace, with what they quote.
        let reached: Vec<CrateId> = self.closure.crates.iter().copied().collect();
        for krate in reached {
            let linked: Vec<CrateId> = self.analysis.world.crates[krate]
                .dependencies
                .values()
                .filter_map(|linked| match linked {
                    crate::world::Linked::Local(found) if self.analysis.world.crates[*found].is_macro => {
                        Some(*found)
                    }
                    _ => None,
                })
                .collect();
            for found in linked {
                let nodes: Vec<NodeId> = (0..self.analysis.world.nodes.len())
                    .filter(|node| {
                        let module = self.analysis.world.nodes[*node].module;
                        self.analysis.world.modules[module].krate == found
                    })
                    .collect();
                for node in nodes {
                    self.reach(node, self.root);
                }
                let quoted = self.analysis.quoted(found);
                for &node in &quoted.nodes {
                    self.reach(node, self.root);
                }
                for &name in &quoted.methods {
                    self.call(name, self.root);
                }
            }
        }
    }

    fn reach(&mut self, node: NodeId, from: NodeId) {
        if self.analysis.world.nodes[self.root].face == Some(node) {
            return;
        }
        if node != from {
            self.closure.edges.push((from, node));
        }
        if !self.closure.nodes.insert(node) {
            return;
        }
        if node != from {
            self.closure.from.insert(node, from);
        }
        self.pending.push_back(node);
    }

    fn visit(&mut self, node: NodeId) {
        let Node { kind, module } = Node::of(&self.analysis.world, node);
        self.enter(module, node);
        if let Some(container) = self.analysis.world.nodes[node].container {
            self.reach(container, node);
        }
        if let Some(carrier) = self.analysis.world.nodes[node].carrier {
            self.reach(carrier, node);
        }
        if calls::is_subject(kind) {
            let name = self.analysis.world.nodes[node].name;
            for call in self.analysis.calls.implementing(name).to_vec() {
                self.reach(call, node);
            }
        }
        if matches!(kind, ItemKind::Static | ItemKind::Type | ItemKind::Trait) {
            let name = self.analysis.world.nodes[node].name;
            for other in self.analysis.registering.get(&name).cloned().unwrap_or_default() {
                self.reach(other, node);
            }
        }
        match kind {
            ItemKind::Type | ItemKind::Alias | ItemKind::Call => {
                for inner in self.analysis.impls.of_type(node).to_vec() {
                    self.reach(inner, node);
                }
            }
            ItemKind::Trait => {
                for inner in self.analysis.impls.of_trait(node).to_vec() {
                    self.reach(inner, node);
                }
                self.members_called(node);
            }
            ItemKind::Impl => {
                let whole = self.analysis.impls.get(node).is_none_or(|found| found.whole);
                if whole {
                    for member in self.analysis.world.nodes[node].members.clone() {
                        self.reach(member, node);
                    }
                } else {
                    self.members_called(node);
                }
            }
            ItemKind::ExternBlock => {
                // Whatever is linked may define it, and what is called may call back.
                for exported in self.analysis.exported.clone() {
                    self.reach(exported, node);
                }
            }
            ItemKind::Static if self.analysis.world.nodes[node].mutable => {
                let name = self.analysis.world.nodes[node].name;
                for other in self.analysis.naming(name) {
                    self.reach(other, node);
                }
            }
            _ => {}
        }
        let references = self.analysis.references(node);
        self.follow(&references, node);
    }

    /// A module that has a reached node: its attributes count, and those of the modules around it.
    fn enter(&mut self, module: ModuleId, node: NodeId) {
        let mut current = Some(module);
        while let Some(module) = current {
            if !self.closure.modules.insert(module) {
                return;
            }
            let Module { krate, parent } = Module::of(&self.analysis.world, module);
            self.closure.crates.insert(krate);
            let references = self.analysis.of_module(module);
            self.follow(&references, node);
            current = parent;
        }
    }

    /// Members whose names were called before their impl or trait was reached.
    fn members_called(&mut self, container: NodeId) {
        for member in self.analysis.world.nodes[container].members.clone() {
            let name = self.analysis.world.nodes[member].name;
            if let Some(caller) = self.called.get(&name).copied() {
                self.reach(member, caller);
            }
        }
    }

    fn follow(&mut self, references: &References, node: NodeId) {
        for &target in references.nodes.iter().chain(&references.cached) {
            self.reach(target, node);
        }
        let members = references.members.iter().map(|(_, name)| name);
        for &name in references.unknown.iter().chain(&references.methods).chain(members) {
            if self.unknown.insert(name) {
                for call in self.analysis.calls.defining(name).to_vec() {
                    self.reach(call, node);
                }
            }
        }
        for &name in &references.unknown {
            for item in self.analysis.made_of(name) {
                self.reach(item, node);
            }
        }
        for &name in &references.methods {
            self.call(name, node);
        }
        for &(target, name) in &references.members {
            self.reach(target, node);
            let found: Vec<NodeId> = impls::inherent(&self.analysis.world, target, name).collect();
            // Those may be of another instance of the type than the one that is meant.
            if found.is_empty() || self.analysis.world.in_traits(name) {
                self.call(name, node);
            }
            for member in found {
                self.reach(member, node);
            }
        }
        for &target in &references.open_traits {
            self.open(target, node);
        }
        for &module in &references.modules {
            for target in self.analysis.world.modules[module].nodes.clone() {
                self.reach(target, node);
            }
        }
        merge(&mut self.closure.outside, references);
    }

    /// Whatever implements a trait may be called through an object of it; so may what implements the bounds of an impl.
    fn open(&mut self, target: NodeId, node: NodeId) {
        if !self.open.insert(target) {
            return;
        }
        self.reach(target, node);
        for inner in self.analysis.impls.of_trait(target).to_vec() {
            self.reach(inner, target);
            let Some(found) = self.analysis.impls.get(inner).cloned() else { continue };
            for bound in found.bounds {
                self.open(bound, inner);
            }
            for name in found.foreign_bounds {
                for other in self.analysis.impls.of_foreign(name).to_vec() {
                    self.reach(other, inner);
                }
                for ty in self.analysis.deriving.get(&name).cloned().unwrap_or_default() {
                    self.reach(ty, inner);
                }
            }
        }
    }

    /// A method name is called: those of reached types and traits are reached.
    fn call(&mut self, name: Name, node: NodeId) {
        if self.called.contains_key(&name) {
            return;
        }
        self.called.insert(name, node);
        for inner in self.analysis.impls.with_member(name).to_vec() {
            self.reach(inner, node);
        }
        for member in self.analysis.world.members.get(&name).cloned().unwrap_or_default() {
            let container = self.analysis.world.nodes[member].container.unwrap_or(member);
            if self.closure.nodes.contains(&container) {
                self.reach(member, node);
            }
        }
    }
}

struct Module {
    krate: CrateId,
    parent: Option<ModuleId>,
}

impl Module {
    fn of(world: &World, module: ModuleId) -> Self {
        Self { krate: world.modules[module].krate, parent: world.modules[module].parent }
    }
}

/// Adds what is outside of the crates.
fn merge(all: &mut References, found: &References) {
    add(&mut all.foreign, &found.foreign);
    add(&mut all.crates, &found.crates);
    add(&mut all.assets, &found.assets);
    add(&mut all.environment, &found.environment);
    add(&mut all.options, &found.options);
}

fn add<T: Ord + Clone>(all: &mut BTreeSet<T>, found: &BTreeSet<T>) {
    for one in found {
        if !all.contains(one) {
            all.insert(one.clone());
        }
    }
}

impl Closure {
    /// The path from the function to a node.
    pub fn path(&self, node: NodeId) -> Vec<NodeId> {
        let mut path = vec![node];
        let mut current = node;
        while let Some(&from) = self.from.get(&current) {
            if path.contains(&from) {
                break;
            }
            path.push(from);
            current = from;
        }
        path.reverse();
        path
    }

    /// For each node but the first, how many nodes are in only because of it, itself counted.
    pub fn pulls(&self, root: NodeId) -> Vec<(NodeId, usize)> {
        let mut graph: DiGraph<NodeId, ()> = DiGraph::new();
        let mut indices: HashMap<NodeId, NodeIndex> = HashMap::new();
        for &(from, to) in &self.edges {
            let from = *indices.entry(from).or_insert_with(|| graph.add_node(from));
            let to = *indices.entry(to).or_insert_with(|| graph.add_node(to));
            graph.add_edge(from, to, ());
        }
        let Some(&start) = indices.get(&root) else { return Vec::new() };
        let tree = dominators::simple_fast(&graph, start);
        let mut counts: HashMap<NodeIndex, usize> = HashMap::new();
        for index in graph.node_indices() {
            for above in tree.dominators(index).into_iter().flatten() {
                *counts.entry(above).or_default() += 1;
            }
        }
        let mut all: Vec<(NodeId, usize)> = counts
            .into_iter()
            .map(|(index, count)| (graph[index], count))
            .filter(|(node, _)| *node != root)
            .collect();
        all.sort_by_key(|(node, count)| (std::cmp::Reverse(*count), *node));
        all
    }
}
