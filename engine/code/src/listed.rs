//! The items of closures, listed: what is worked out of an item once serves all functions that reach it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::closure::{Analysis, Closure};
use crate::facts::{Sum, short};
use crate::report::{Covered, MOST, Part, Report};
use crate::shared::{CommonList, Together};
use crate::sources::tidy;
use crate::walk::Walked;
use crate::whole;
use crate::world::{FileId, NodeId, World};

/// What is known of items so far.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    items: Vec<Option<Arc<Item>>>,
    /// The files' places in the order of their paths, and those paths relative to the package.
    files: Vec<(usize, String)>,
    /// The number of tokens of the crate that is compiled.
    total: Option<usize>,
    /// What closures have in common, by the address of the walk that they are copies of.
    common: HashMap<usize, Arc<Common>>,
}

#[derive(Debug)]
struct Item {
    label: String,
    line: u32,
    digest: u32,
    /// Of everything that makes it this item and no other.
    sum: Sum,
    size: usize,
}

/// The nodes of a walk that closures are copies of.
#[derive(Debug)]
struct Common {
    /// Those that are listed, in that order.
    nodes: Vec<NodeId>,
    sum: Sum,
    /// How many tokens of the crate that is compiled they have.
    size: usize,
    /// The list.
    listed: Arc<CommonList>,
}

/// What a closure covers.
pub(crate) struct Items {
    /// A digest of all its items.
    pub(crate) digest: blake3::Hash,
    /// A list of them, as far as it lists them one by one.
    pub(crate) report: Report,
    /// What other functions' lists have too and that one leaves out.
    pub(crate) together: Option<Together>,
}

impl Listed {
    /// Lists a closure's items and hashes all of them. `all`: every one is listed, in the order of their places; else what
    /// it has in common with others is a list apart, and of both there are at most so many.
    pub(crate) fn report(
        &mut self,
        analysis: &mut Analysis,
        root: NodeId,
        closure: &Closure,
        all: bool,
    ) -> Items {
        let world = &analysis.world;
        self.items.resize(world.nodes.len(), None);
        self.order_files(world);
        let common = closure.start.as_ref().map(|start| self.common(world, start));
        let own: Vec<NodeId> = closure.own.iter().copied().filter(|node| *node != root).collect();

        let mut sum = Sum::default();
        let mut size = 0;
        if let Some(common) = &common {
            sum.add(&common.sum);
            size += common.size;
        }
        for &node in &closure.own {
            let item = self.item(world, node);
            sum.add(&item.sum);
            size += if real(world, node) { item.size } else { 0 };
        }
        if let Some(hidden) = closure.hidden {
            sum.remove(&self.item(world, hidden).sum);
        }

        let (mut nodes, mut files) = (vec![root], Vec::new());
        if all {
            let all = closure.nodes().into_iter().filter(|node| *node != root).collect();
            nodes.extend(self.sorted(world, all));
        } else {
            let own = self.sorted(world, own);
            nodes.extend(own.iter().take(MOST - 1));
            files = self.by_files(world, own.get(MOST - 1..).unwrap_or(&[]));
        }
        let common = common.filter(|_| !all);
        let shared = common.as_ref().map_or(&[][..], |common| &common.nodes);
        let mut places: Vec<Option<usize>> = vec![None; world.nodes.len()];
        for (at, node) in nodes.iter().chain(shared).enumerate() {
            places[*node].get_or_insert(at);
        }
        let place = |node: NodeId| closure.from(node).and_then(|from| places[from]);
        let items = nodes.iter().map(|node| self.covered(world, *node, place(*node))).collect();
        let together = common.as_ref().map(|common| {
            // The list has them as they were reached without the function's own items.
            let listed = common.nodes.iter().zip(&common.listed.items).zip(nodes.len()..);
            let otherwise = listed.filter_map(|((node, listed), at)| {
                let known = listed.from.map_or(0, |from| from + nodes.len());
                let from = place(*node).unwrap_or(at);
                (from != known).then_some((at, from))
            });
            Together { list: common.listed.clone(), otherwise: otherwise.collect() }
        });

        let whole =
            || (0..world.nodes.len()).filter(|node| real(world, *node)).map(|node| world.size(node)).sum();
        let total: usize = *self.total.get_or_insert_with(whole);
        let share = size.saturating_mul(1000).checked_div(total).unwrap_or(0);
        let pulls = if share > 500 { analysis.pulls(closure, root) } else { None };
        let report = Report {
            level: "reachable".to_owned(),
            count: closure.count(),
            items,
            files,
            share: u32::try_from(share).unwrap_or(1000),
            pulls: pulls.map(|(node, count)| (analysis.world.label(node), count)),
            ..Report::default()
        };
        Items { digest: sum.digest(), report, together }
    }

    fn common(&mut self, world: &World, walked: &Arc<Walked>) -> Arc<Common> {
        let address = Arc::as_ptr(walked).addr();
        if let Some(known) = self.common.get(&address) {
            return known.clone();
        }
        let mut nodes = self.sorted(world, walked.closure.nodes());
        let (mut sum, mut size) = (Sum::default(), 0);
        for &node in &nodes {
            let item = self.item(world, node);
            sum.add(&item.sum);
            size += if real(world, node) { item.size } else { 0 };
        }
        let files = self.by_files(world, nodes.get(MOST..).unwrap_or(&[]));
        nodes.truncate(MOST);
        let places: HashMap<NodeId, usize> = nodes.iter().copied().zip(0..).collect();
        // Out of sight if the other is not listed.
        let place = |node, at| walked.closure.from(node).map(|from| places.get(&from).copied().unwrap_or(at));
        let items = nodes.iter().zip(0..).map(|(node, at)| self.covered(world, *node, place(*node, at)));
        let items = items.collect();
        let listed = Arc::new(CommonList::new(items, &files));
        let common = Arc::new(Common { nodes, sum, size, listed });
        self.common.insert(address, common.clone());
        common
    }

    fn covered(&mut self, world: &World, node: NodeId, from: Option<usize>) -> Covered {
        let item = self.item(world, node);
        Covered {
            name: item.label.clone(),
            file: self.files[world.nodes[node].file].1.clone(),
            line: item.line,
            digest: item.digest,
            tokens: item.size,
            from,
        }
    }

    /// Nodes in the order of their files' names and their places there.
    fn sorted(&self, world: &World, mut nodes: Vec<NodeId>) -> Vec<NodeId> {
        nodes.sort_by_cached_key(|node| {
            let info = &world.nodes[*node];
            (self.files[info.file].0, info.head.start, info.is_face)
        });
        nodes
    }

    /// Nodes that are not listed one by one, as a digest for each file.
    fn by_files(&mut self, world: &World, nodes: &[NodeId]) -> Vec<Part> {
        let mut sums: BTreeMap<FileId, Sum> = BTreeMap::new();
        for &node in nodes {
            let item = self.item(world, node);
            sums.entry(world.nodes[node].file).or_default().add(&item.sum);
        }
        let part = |(file, sum): (FileId, Sum)| Part {
            name: self.files[file].1.clone(),
            value: short(&sum.digest()),
        };
        sums.into_iter().map(part).collect()
    }

    fn order_files(&mut self, world: &World) {
        if self.files.len() == world.files.len() {
            return;
        }
        let base = tidy(&world.crates[world.own].package.directory);
        let names: Vec<String> = world.files.iter().map(|file| whole::relative(&file.path, &base)).collect();
        let mut order: Vec<FileId> = (0..names.len()).collect();
        order.sort_by(|a, b| names[*a].cmp(&names[*b]));
        self.files = names.into_iter().map(|name| (0, name)).collect();
        for (place, file) in order.into_iter().enumerate() {
            self.files[file].0 = place;
        }
    }

    fn item(&mut self, world: &World, node: NodeId) -> Arc<Item> {
        if let Some(known) = &self.items[node] {
            return known.clone();
        }
        let mut hasher = blake3::Hasher::new();
        world.feed(node, &mut hasher);
        let tokens = hasher.finalize();
        let (label, info) = (world.label(node), &world.nodes[node]);
        let apart = world.apart(info.module);
        let line = format!("item {label} {} {tokens}{apart}", info.ordinal);
        let [a, b, c, d, ..] = *tokens.as_bytes();
        let item = Arc::new(Item {
            label,
            line: world.line(node),
            digest: u32::from_be_bytes([a, b, c, d]),
            sum: Sum::of(&blake3::hash(line.as_bytes())),
            size: world.size(node),
        });
        self.items[node] = Some(item.clone());
        item
    }
}

/// Whether a node's tokens are of the crate that is compiled, and no other node's.
fn real(world: &World, node: NodeId) -> bool {
    let info = &world.nodes[node];
    !info.is_face && world.modules[info.module].krate == world.own
}
