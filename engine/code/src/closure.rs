//! The closure of a function: every node that it may reach, and why. How it is found is `walk.rs`'s to say; here is what
//! all closures of one compiler process share.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use petgraph::algo::dominators;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::calls::{self, Calls};
use crate::impls::Impls;
use crate::items::ItemKind;
use crate::names::{Name, Names};
use crate::references::{self, References};
use crate::scan::{INERT, listed};
use crate::scope::Resolver;
use crate::walk::{Walk, Walked, merge};
use crate::world::{CrateId, ModuleId, NodeId, World};

/// The item that pulls most of the crate in, with all that it reaches.
#[derive(Debug)]
pub(crate) enum Core {
    /// No closure was large enough yet to look for it.
    Unknown,
    /// There is none.
    Missing,
    /// There is.
    Found(NodeId, Arc<Walked>),
}

/// A closure of more nodes than this is worth looking for a core.
const LARGE: usize = 500;

/// What all closures of one compiler process share.
#[derive(Debug)]
pub struct Analysis {
    /// The crates.
    pub world: World,
    pub(crate) resolver: Resolver,
    pub(crate) impls: Impls,
    references: Vec<Option<Arc<References>>>,
    /// The texts about names from elsewhere.
    pub(crate) foreign: Names,
    /// What counts whatever the function.
    pub(crate) base: Option<Arc<Walked>>,
    /// Of what counts whatever the function, the items that pull most in, once they were looked for.
    base_pulls: Option<Vec<(NodeId, usize)>>,
    /// What most large closures share.
    pub(crate) core: Core,
    of_modules: HashMap<ModuleId, Arc<References>>,
    naming: HashMap<Name, Vec<NodeId>>,
    pub(crate) calls: Calls,
    /// Calls and impls that always count, looked at so far.
    pub(crate) always: Vec<NodeId>,
    nodes_done: usize,
    /// Functions and statics that the linker finds by name.
    pub(crate) exported: Vec<NodeId>,
    /// Types by the names in their derives.
    pub(crate) deriving: HashMap<Name, Vec<NodeId>>,
    /// Items by the names in their other attributes.
    pub(crate) registering: HashMap<Name, Vec<NodeId>>,
    /// Items of which macros of other crates may make further names, by their own in small letters.
    deriving_names: Vec<(String, NodeId)>,
    /// Such items by the names that may be made of theirs, as far as was asked.
    made_of: HashMap<Name, Vec<NodeId>>,
}

/// What a function reaches.
#[derive(Clone, Debug, Default)]
pub struct Closure {
    /// The walk that it is a copy of, with more.
    pub(crate) start: Option<Arc<Walked>>,
    /// The nodes beyond that, in the order in which they were reached.
    pub(crate) own: Vec<NodeId>,
    /// A node of that walk that is not reached nevertheless: what stands for calls of the function itself.
    pub(crate) hidden: Option<NodeId>,
    /// For each node of the world, whether it is reached and from where first; the root from itself.
    pub(crate) reached: Vec<Option<NodeId>>,
    /// Modules with a node in it.
    pub modules: BTreeSet<ModuleId>,
    /// Crates with a node in it.
    pub crates: BTreeSet<CrateId>,
    /// Everything else that its nodes refer to.
    pub outside: References,
    /// For each text of [`Analysis::foreign`] about where a name leads, whether it counts.
    pub(crate) foreign: Vec<bool>,
    /// Those beyond the walk that it is a copy of.
    pub(crate) own_names: Vec<Name>,
    /// The item that pulls most of the crate in, if it is reached, and how many it reaches.
    pub core: Option<(NodeId, usize)>,
    /// Which node reaches which beyond the walk that it is a copy of, each as often as it was found out.
    pub(crate) edges: Vec<(NodeId, NodeId)>,
}

impl Analysis {
    /// Starts with a loaded world.
    pub fn new(world: World) -> Self {
        Self {
            world,
            resolver: Resolver::default(),
            impls: Impls::default(),
            references: Vec::new(),
            foreign: Names::default(),
            base: None,
            base_pulls: None,
            core: Core::Unknown,
            of_modules: HashMap::new(),
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
        self.catch_up();
        if self.base.is_none() {
            self.base = Some(Arc::new(Walk::new(self, None).run()));
        }
        let found = Walk::new(self, Some(root)).run();
        if matches!(self.core, Core::Unknown) && found.closure.count() > LARGE {
            self.find_core(&found.closure, root);
        }
        found.closure
    }

    /// The same by a walk that goes on from no other, which tests compare with.
    pub fn walked(&mut self, root: NodeId) -> Closure {
        self.catch_up();
        let (base, core) = (self.base.take(), std::mem::replace(&mut self.core, Core::Missing));
        let found = Walk::new(self, Some(root)).run();
        (self.base, self.core) = (base, core);
        found.closure
    }

    /// Most functions of a crate whose items know one another reach the same large part of it. What the item that pulls it
    /// in reaches is found once; a walk that comes to that item need not go through it all.
    fn find_core(&mut self, closure: &Closure, root: NodeId) {
        let always = self.base.as_ref().map(|base| &base.closure);
        let counts_always = |node: NodeId| always.is_some_and(|base| base.reached[node].is_some());
        let small = always.is_none_or(|base| base.count() * 2 < closure.count());
        let pulls = if small { closure.pulls(root) } else { Vec::new() };
        let found = pulls.into_iter().find(|(node, count)| {
            *count * 2 > closure.count() && !counts_always(*node) && {
                let node = &self.world.nodes[*node];
                !node.is_face && node.face.is_none()
            }
        });
        self.core = match found {
            Some((node, _)) => Core::Found(node, Arc::new(Walk::new(self, Some(node)).run())),
            None => Core::Missing,
        };
    }

    /// The item that pulls most of a large closure in, and how many. Where all functions have the most part in common, it
    /// is looked for once.
    pub(crate) fn pulls(&mut self, closure: &Closure, root: NodeId) -> Option<(NodeId, usize)> {
        if closure.core.is_some() {
            return closure.core;
        }
        match &self.base {
            Some(base) if base.closure.count() * 2 > closure.count() => {
                let always = |(node, _): &(NodeId, usize)| base.closure.reached[*node].is_some();
                let found = self
                    .base_pulls
                    .get_or_insert_with(|| closure.pulls(root).into_iter().filter(always).collect());
                found.first().copied()
            }
            _ => closure.pulls(root).into_iter().next(),
        }
    }

    pub(crate) fn references(&mut self, node: NodeId) -> Arc<References> {
        if self.references.len() < self.world.nodes.len() {
            self.references.resize(self.world.nodes.len(), None);
        }
        if let Some(known) = &self.references[node] {
            return known.clone();
        }
        let mut found = references::of_node(&mut self.world, &mut self.resolver, node);
        self.number(&mut found);
        let found = Arc::new(found);
        self.references[node] = Some(found.clone());
        found
    }

    /// Numbers the texts, since every node's are added to those of its closure.
    fn number(&mut self, found: &mut References) {
        let foreign = std::mem::take(&mut found.foreign);
        found.foreign_numbers = foreign.iter().map(|text| self.foreign.number(text)).collect();
    }

    /// Where the names in a closure lead, as text.
    pub fn leads(&self, closure: &Closure) -> BTreeSet<&str> {
        let numbers = (0..).zip(&closure.foreign).filter(|(_, counts)| **counts);
        numbers.map(|(number, _)| self.foreign.text(Name(number))).collect()
    }

    /// What the attributes of a module refer to.
    pub(crate) fn of_module(&mut self, module: ModuleId) -> Arc<References> {
        if let Some(known) = self.of_modules.get(&module) {
            return known.clone();
        }
        let mut all = References::default();
        for (file, range) in self.world.modules[module].attributes.clone() {
            // An attribute in front of a module stands outside of it, and what it writes inside.
            for place in self.world.modules[module].parent.into_iter().chain([module]) {
                let (world, resolver) = (&mut self.world, &mut self.resolver);
                let found = references::of_attribute(world, resolver, place, file, range.clone());
                merge(&mut all, &found);
                all.foreign.extend(found.foreign);
                all.nodes.extend(found.nodes);
            }
        }
        self.number(&mut all);
        let all = Arc::new(all);
        self.of_modules.insert(module, all.clone());
        all
    }

    /// Looks at what was loaded since the last time.
    pub(crate) fn catch_up(&mut self) {
        let fresh = self.impls.update(&mut self.world, &mut self.resolver);
        self.always.extend(fresh);
        if self.nodes_done == self.world.nodes.len() {
            return;
        }
        let writers = calls::writers(&self.world);
        let any_writes = writers.contains(&true);
        for node in self.nodes_done..self.world.nodes.len() {
            let has_body = matches!(
                self.world.nodes[node].kind,
                ItemKind::Function | ItemKind::Constant | ItemKind::Static
            );
            if has_body && any_writes && !self.world.nodes[node].is_face {
                self.calls.add_body(&self.world, node, &writers);
            }
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
    pub(crate) fn made_of(&mut self, name: Name) -> Vec<NodeId> {
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
    pub(crate) fn naming(&mut self, name: Name) -> Vec<NodeId> {
        if let Some(known) = self.naming.get(&name) {
            return known.clone();
        }
        let found = self.world.naming(name);
        self.naming.insert(name, found.clone());
        found
    }
}

/// Derives and attributes that make no names but the item's own.
const QUIET: &str = "derive cfg_attr Debug Clone Copy PartialEq Eq PartialOrd Ord Hash Default Serialize Deserialize serde repr \
    Error error";

/// A name as `ThisName` and `this_name` both are.
fn folded(name: &str) -> String {
    name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect()
}

impl Closure {
    /// A closure that has so far what a walk came to.
    pub(crate) fn copied(&self, start: Arc<Walked>) -> Self {
        Self {
            start: Some(start),
            reached: self.reached.clone(),
            modules: self.modules.clone(),
            crates: self.crates.clone(),
            outside: self.outside.clone(),
            foreign: self.foreign.clone(),
            core: self.core,
            ..Self::default()
        }
    }

    /// Every node reached, by the order of their numbers.
    pub fn nodes(&self) -> Vec<NodeId> {
        (0..self.reached.len()).filter(|node| self.reached[*node].is_some()).collect()
    }

    /// How many nodes are reached.
    pub fn count(&self) -> usize {
        let copied = self.start.as_ref().map_or(0, |start| start.closure.count());
        copied + self.own.len() - usize::from(self.hidden.is_some())
    }

    /// The node that a node was first reached from; `None` for the first and for what is not reached.
    pub fn from(&self, node: NodeId) -> Option<NodeId> {
        self.reached.get(node).copied().flatten().filter(|from| *from != node)
    }

    /// The path from the function to a node.
    pub fn path(&self, node: NodeId) -> Vec<NodeId> {
        let mut path = vec![node];
        let mut current = node;
        while let Some(from) = self.from(current) {
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
        let mut indices: Vec<Option<NodeIndex>> = vec![None; self.reached.len()];
        for node in self.nodes() {
            indices[node] = Some(graph.add_node(node));
        }
        // What comes from nothing in a walk that was copied comes from the function.
        let first = self.nodes().into_iter().filter_map(|node| Some((self.from(node)?, node)));
        let mut all =
            std::iter::successors(Some(self), |closure| closure.start.as_deref().map(|w| &w.closure));
        let mut edges: Vec<(NodeId, NodeId)> = first.collect();
        edges.extend(all.by_ref().flat_map(|closure| closure.edges.iter().copied()));
        edges.sort_unstable();
        edges.dedup();
        for (from, to) in edges {
            if let (Some(from), Some(to)) = (indices[from], indices[to]) {
                graph.add_edge(from, to, ());
            }
        }
        let Some(start) = indices.get(root).copied().flatten() else { return Vec::new() };
        let tree = dominators::simple_fast(&graph, start);
        // Each node counts for its immediate dominator, the deepest first.
        let above: Vec<Option<NodeIndex>> =
            graph.node_indices().map(|index| tree.immediate_dominator(index)).collect();
        let mut waiting = vec![0_usize; above.len()];
        for parent in above.iter().flatten() {
            waiting[parent.index()] += 1;
        }
        let mut counts = vec![1_usize; above.len()];
        let mut ready: Vec<usize> = (0..above.len()).filter(|at| waiting[*at] == 0).collect();
        while let Some(at) = ready.pop() {
            if let Some(parent) = above[at].map(NodeIndex::index) {
                counts[parent] += counts[at];
                waiting[parent] -= 1;
                if waiting[parent] == 0 {
                    ready.push(parent);
                }
            }
        }
        let counts = graph.node_indices().map(|index| (index, counts[index.index()]));
        let mut all: Vec<(NodeId, usize)> =
            counts.map(|(index, count)| (graph[index], count)).filter(|(node, _)| *node != root).collect();
        all.sort_by_key(|(node, count)| (std::cmp::Reverse(*count), *node));
        all
    }
}
