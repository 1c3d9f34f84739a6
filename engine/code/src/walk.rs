//! The walk from a function to everything that it may reach.
//!
//! A method is reached when its name is called and its type or trait is reached, in whatever order that comes about;
//! everything else is reached by being named. What a node leads to depends on nothing but the node and on pairs of a called
//! name and a reached container, so the closures of two nodes joined, with such pairs across, are the closure of both.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

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
///
/// It begins as a copy of the walk of what counts whatever the function, and becomes a copy of the core's when it comes to
/// the core; the lists tell what it has beyond that copy.
pub(crate) struct Walk<'a> {
    analysis: &'a mut Analysis,
    closure: Closure,
    /// In the order in which they were reached, so that the way to each is short.
    pending: VecDeque<NodeId>,
    met: Met,
    own_called: Vec<Name>,
    /// Where it starts; `None` for what counts whatever the function.
    root: Option<NodeId>,
}

/// What a walk met that is no node.
#[derive(Clone, Debug, Default)]
struct Met {
    /// For each name, the first node that calls a method of it.
    called: Vec<Option<NodeId>>,
    /// Traits of which every implementor counts.
    open: HashSet<NodeId>,
    /// For each name, whether a macro may have defined it.
    unknown: Vec<bool>,
    /// Crates of macros that are in with all that they quote.
    macros: HashSet<CrateId>,
}

/// What a walk came to.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) closure: Closure,
    /// Nodes that it did not come to from another one.
    heads: Vec<NodeId>,
    met: Met,
}

impl Walked {
    /// What a walk that goes on from here has so far.
    fn copied(self: &Arc<Self>, world: &World) -> (Closure, Met) {
        blank(world, self.closure.copied(self.clone()), self.met.clone())
    }
}

/// With room for all nodes and names that there are by now, of which nothing is known.
fn blank(world: &World, mut closure: Closure, mut met: Met) -> (Closure, Met) {
    closure.reached.resize(world.nodes.len(), None);
    met.called.resize(world.names.len(), None);
    met.unknown.resize(world.names.len(), false);
    (closure, met)
}

impl<'a> Walk<'a> {
    pub(crate) fn new(analysis: &'a mut Analysis, root: Option<NodeId>) -> Self {
        let (closure, met) = match analysis.base.clone().filter(|_| root.is_some()) {
            Some(base) => base.copied(&analysis.world),
            None => blank(&analysis.world, Closure::default(), Met::default()),
        };
        Self { analysis, closure, pending: VecDeque::new(), met, own_called: Vec::new(), root }
    }

    pub(crate) fn run(mut self) -> Walked {
        if self.closure.start.is_none() {
            self.closure.crates.insert(self.analysis.world.own);
        }
        if let Some(root) = self.root {
            if self.closure.reached[root].is_none() {
                self.closure.own.push(root);
            }
            self.closure.reached[root] = Some(root);
            self.adopt(root);
            self.pending.push_back(root);
            if let Core::Found(core, walked) = &self.analysis.core
                && *core == root
            {
                let walked = walked.clone();
                self.join(root, root, &walked);
            }
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
        let Self { mut closure, met, analysis, root, .. } = self;
        // What stands for calls of the function itself came in with what was copied.
        if let Some(face) = root.and_then(|root| analysis.world.nodes[root].face)
            && closure.reached[face].take().is_some()
        {
            closure.hidden = Some(face);
        }
        let heads =
            closure.own.iter().copied().filter(|node| closure.reached[*node] == Some(*node)).collect();
        Walked { closure, heads, met }
    }

    /// What the walk that was copied came to from nothing counts because the function is there.
    fn adopt(&mut self, from: NodeId) {
        let Some(start) = self.closure.start.clone() else { return };
        for &head in &start.heads {
            if head != from && self.closure.reached[head] == Some(head) {
                self.closure.reached[head] = Some(from);
            }
        }
    }

    /// Goes on as a copy of the core's walk, with what is known beyond that. Which traits are open, which names unknown and
    /// which macros in is forgotten: met again, they lead to what is reached already.
    fn join(&mut self, core: NodeId, from: NodeId, walked: &Arc<Walked>) {
        let (closure, met) = walked.copied(&self.analysis.world);
        let mut old = std::mem::replace(&mut self.closure, closure);
        let old_met = std::mem::replace(&mut self.met, met);
        // What was loaded since that walk is in none of its lists.
        let is_beyond = |node: &NodeId| walked.closure.reached.get(*node).is_none_or(Option::is_none);
        old.own.retain(is_beyond);
        for &node in &old.own {
            self.closure.reached[node] = old.reached[node];
        }
        self.pending.retain(is_beyond);
        if let Some(root) = self.root {
            self.closure.reached[root] = Some(root);
        }
        if Some(core) != self.root {
            self.closure.reached[core] = Some(from);
            self.closure.core = Some((core, walked.closure.count()));
        }
        self.closure.edges = old.edges;
        self.closure.modules.append(&mut old.modules);
        self.closure.crates.append(&mut old.crates);
        merge(&mut self.closure.outside, &old.outside);
        for name in std::mem::take(&mut old.own_names) {
            self.lead(name);
        }
        self.own_called.retain(|name| walked.met.called.get(name.0 as usize).is_none_or(Option::is_none));
        for name in &self.own_called {
            self.met.called[name.0 as usize] = old_met.called[name.0 as usize];
        }
        self.closure.own = old.own;
        // Names that either called meet what the other reached.
        for name in self.own_called.clone() {
            if let Some(caller) = self.met.called[name.0 as usize] {
                self.call_members(name, caller);
            }
        }
        for node in self.closure.own.clone() {
            if !self.analysis.world.nodes[node].members.is_empty() {
                self.members_called(node);
            }
        }
    }

    /// Notes a text about a name.
    fn lead(&mut self, name: Name) {
        let at = name.0 as usize;
        if at >= self.closure.foreign.len() {
            self.closure.foreign.resize(at + 64, false);
        }
        if !std::mem::replace(&mut self.closure.foreign[at], true) {
            self.closure.own_names.push(name);
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
                .flatten()
                .filter_map(|linked| match linked {
                    crate::world::Linked::Local(found) if self.analysis.world.crates[*found].is_macro => {
                        Some(*found)
                    }
                    _ => None,
                })
                .collect();
            for found in linked {
                if !self.met.macros.insert(found) {
                    continue;
                }
                let nodes: Vec<NodeId> = (0..self.analysis.world.nodes.len())
                    .filter(|node| {
                        let module = self.analysis.world.nodes[*node].module;
                        self.analysis.world.modules[module].krate == found
                    })
                    .collect();
                for node in nodes {
                    self.reach(node, self.root.unwrap_or(node));
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
        if let Core::Found(core, walked) = &self.analysis.core
            && *core == node
        {
            let walked = walked.clone();
            self.join(node, from, &walked);
            return;
        }
        self.closure.reached[node] = Some(from);
        self.closure.own.push(node);
        self.pending.push_back(node);
    }

    fn visit(&mut self, node: NodeId) {
        let Node { kind, module } = Node::of(&self.analysis.world, node);
        self.enter(module, node);
        if let Some(container) = self.analysis.world.nodes[node].container {
            self.reach(container, node);
        }
        let Around { carrier, call } = Around::of(&self.analysis.world, node);
        for around in [carrier, call].into_iter().flatten() {
            self.reach(around, node);
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
        for name in self.analysis.calls.statics(node).to_vec() {
            for other in self.analysis.naming(name) {
                self.reach(other, node);
            }
        }
        match kind {
            ItemKind::Type | ItemKind::Alias => {
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
            if let Some(caller) = self.met.called[name.0 as usize] {
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
            if !std::mem::replace(&mut self.met.unknown[name.0 as usize], true) {
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
        for &module in &references.entered {
            self.enter(module, node);
        }
        for &module in &references.modules {
            for target in self.analysis.world.modules[module].nodes.clone() {
                self.reach(target, node);
            }
        }
        for &name in &references.foreign_numbers {
            self.lead(name);
        }
        merge(&mut self.closure.outside, references);
    }

    /// Whatever implements a trait may be called through an object of it; so may what implements the bounds of an impl.
    fn open(&mut self, target: NodeId, node: NodeId) {
        if !self.met.open.insert(target) {
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
        if self.met.called[name.0 as usize].is_some() {
            return;
        }
        self.met.called[name.0 as usize] = Some(node);
        self.own_called.push(name);
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

/// What stands around a node.
struct Around {
    carrier: Option<NodeId>,
    call: Option<NodeId>,
}

impl Around {
    fn of(world: &World, node: NodeId) -> Self {
        Self { carrier: world.nodes[node].carrier, call: world.nodes[node].call }
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
