//! The walk from a function to everything that it may reach.
//!
//! A method is reached when its name is called and its type or trait is reached, in whatever order that comes about;
//! everything else is reached by being named. What a node leads to depends on nothing but the node and on pairs of a called
//! name and a reached container, so the closures of two nodes joined, with such pairs across, are the closure of both.

use std::collections::{BTreeSet, HashSet, VecDeque};

use crate::calls;
use crate::closure::{Analysis, Closure, Core};
use crate::impls;
use crate::items::ItemKind;
use crate::names::Name;
use crate::references::References;
use crate::world::{CrateId, ModuleId, NodeId, World};

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

/// A walk to everything that a node reaches.
pub(crate) struct Walk<'a> {
    analysis: &'a mut Analysis,
    closure: Closure,
    /// In the order in which they were reached, so that the way to each is short.
    pending: VecDeque<NodeId>,
    /// For each name, the first node that calls a method of it.
    called: Vec<Option<NodeId>>,
    open: HashSet<NodeId>,
    /// For each name, whether a macro may have defined it.
    unknown: Vec<bool>,
    /// For each text about names from elsewhere, whether it counts.
    foreign: Vec<bool>,
    /// Where it starts; `None` for what counts whatever the function.
    root: Option<NodeId>,
}

/// What a walk came to.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) closure: Closure,
    called: Vec<Option<NodeId>>,
    open: HashSet<NodeId>,
    unknown: Vec<bool>,
    foreign: Vec<bool>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(analysis: &'a mut Analysis, root: Option<NodeId>) -> Self {
        let (nodes, names) = (analysis.world.nodes.len(), analysis.world.names.len());
        Self {
            analysis,
            closure: Closure { reached: vec![None; nodes], ..Closure::default() },
            pending: VecDeque::new(),
            called: vec![None; names],
            open: HashSet::new(),
            unknown: vec![false; names],
            foreign: Vec::new(),
            root,
        }
    }

    pub(crate) fn run(mut self) -> Walked {
        match self.root {
            Some(root) => {
                self.reach(root, root);
                if let Some(base) = self.analysis.base.clone() {
                    self.join(None, &base);
                }
            }
            None => drop(self.closure.crates.insert(self.analysis.world.own)),
        }
        loop {
            while let Some(node) = self.pending.pop_front() {
                self.visit(node);
            }
            self.fresh();
            if self.pending.is_empty() {
                break;
            }
        }
        let Self { mut closure, called, open, unknown, foreign, analysis, root, .. } = self;
        // What stands for calls of the function itself came in with the core.
        if let Some(face) = root.and_then(|root| analysis.world.nodes[root].face) {
            closure.reached[face] = None;
        }
        closure.nodes = (0..closure.reached.len()).filter(|node| closure.reached[*node].is_some()).collect();
        closure.names =
            (0..).zip(&foreign).filter(|(_, counts)| **counts).map(|(number, _)| Name(number)).collect();
        Walked { closure, called, open, unknown, foreign }
    }

    /// Everything that the core reaches, at once; `None`: what counts whatever the function.
    fn join(&mut self, node: Option<NodeId>, core: &Walked) {
        let before: Vec<(Name, NodeId)> = (0..)
            .zip(&self.called)
            .filter_map(|(name, caller)| caller.map(|caller| (Name(name), caller)))
            .collect();
        for &inner in &core.closure.nodes {
            if self.closure.reached[inner].is_none() {
                // What nothing leads to counts because the function is there.
                let from = core.closure.reached[inner].filter(|from| *from != inner || Some(inner) == node);
                self.closure.reached[inner] = from.or(self.root);
            }
        }
        if node.is_none() || node == self.root {
            self.closure.edges.extend(&core.closure.edges);
        } else if let Some(node) = node {
            self.closure.core = Some((node, core.closure.nodes.len()));
        }
        self.closure.modules.extend(&core.closure.modules);
        self.closure.crates.extend(&core.closure.crates);
        self.open.extend(&core.open);
        for (mine, theirs) in self.unknown.iter_mut().zip(&core.unknown) {
            *mine |= theirs;
        }
        self.foreign.resize(self.foreign.len().max(core.foreign.len()), false);
        for (mine, theirs) in self.foreign.iter_mut().zip(&core.foreign) {
            *mine |= theirs;
        }
        merge(&mut self.closure.outside, &core.closure.outside);
        // Names that either called meet what the other reached.
        for (name, caller) in before {
            if core.called[name.0 as usize].is_none() {
                self.call_members(name, caller);
            }
        }
        for (name, caller) in (0..).zip(&core.called) {
            if let Some(caller) = caller {
                self.call(Name(name), *caller);
            }
        }
    }

    /// What always counts of the crates that are reached.
    fn fresh(&mut self) {
        let all = self.analysis.always.clone();
        for node in all {
            let krate = self.analysis.world.modules[self.analysis.world.nodes[node].module].krate;
            if self.closure.crates.contains(&krate) {
                self.reach(node, self.root.unwrap_or(node));
            }
        }
        for (krate, inner) in self.analysis.impls.with_crate().to_vec() {
            if self.closure.outside.crates.contains(&krate) {
                self.reach(inner, self.root.unwrap_or(inner));
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
                    self.reach(node, self.root.unwrap_or(node));
                }
                let quoted = self.analysis.quoted(found);
                for &node in &quoted.nodes {
                    self.reach(node, self.root.unwrap_or(node));
                }
                for &name in &quoted.methods {
                    self.call(name, self.root.unwrap_or(0));
                }
            }
        }
    }

    fn reach(&mut self, node: NodeId, from: NodeId) {
        if self.root.is_some_and(|root| self.analysis.world.nodes[root].face == Some(node)) {
            return;
        }
        if node != from {
            self.closure.edges.push((from, node));
        }
        if self.closure.reached[node].is_some() {
            return;
        }
        self.closure.reached[node] = Some(from);
        if let Core::Found(core, walked) = &self.analysis.core
            && *core == node
        {
            let walked = walked.clone();
            self.join(Some(node), &walked);
            return;
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
            if let Some(caller) = self.called[name.0 as usize] {
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
            if !std::mem::replace(&mut self.unknown[name.0 as usize], true) {
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
        for name in &references.foreign_numbers {
            let at = name.0 as usize;
            if at >= self.foreign.len() {
                self.foreign.resize(at + 64, false);
            }
            self.foreign[at] = true;
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
        if self.called[name.0 as usize].is_some() {
            return;
        }
        self.called[name.0 as usize] = Some(node);
        for inner in self.analysis.impls.with_member(name).to_vec() {
            self.reach(inner, node);
        }
        self.call_members(name, node);
    }

    fn call_members(&mut self, name: Name, node: NodeId) {
        for member in self.analysis.world.members.get(&name).cloned().unwrap_or_default() {
            let container = self.analysis.world.nodes[member].container.unwrap_or(member);
            if self.closure.reached[container].is_some() {
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
pub(crate) fn merge(all: &mut References, found: &References) {
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
