//! The items of closures, listed: what is worked out of an item once serves all functions that reach it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::closure::Closure;
use crate::facts::short;
use crate::report::{Covered, Part, Report};
use crate::sources::tidy;
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
}

#[derive(Debug)]
struct Item {
    label: String,
    line: u32,
    digest: u32,
    /// Of everything that makes it this item and no other.
    hash: [u8; 32],
    size: usize,
}

impl Listed {
    /// Lists a closure's items, at most so many one by one, and hashes all of them.
    pub(crate) fn report(
        &mut self,
        world: &World,
        root: NodeId,
        closure: &Closure,
        most: usize,
    ) -> (Report, blake3::Hash) {
        self.items.resize(world.nodes.len(), None);
        self.order_files(world);
        let place = |node: &NodeId| {
            let info = &world.nodes[*node];
            (*node != root, self.files[info.file].0, info.head.start, info.is_face)
        };
        let mut nodes = closure.nodes.clone();
        nodes.sort_by_cached_key(place);
        let items: Vec<Arc<Item>> = nodes.iter().map(|node| self.item(world, *node)).collect();

        // In the order of their digests: where an item stands does not count.
        let mut hashes: Vec<&[u8; 32]> = items.iter().map(|item| &item.hash).collect();
        hashes.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for hash in hashes {
            hasher.update(hash);
        }

        let mut places: Vec<Option<usize>> = vec![None; world.nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            places[*node] = Some(at);
        }
        let listed = nodes.iter().zip(&items).take(most).map(|(node, item)| Covered {
            name: item.label.clone(),
            file: self.files[world.nodes[*node].file].1.clone(),
            line: item.line,
            digest: item.digest,
            tokens: item.size,
            from: closure.from(*node).and_then(|from| places[from]),
        });
        let listed: Vec<Covered> = listed.collect();
        let mut rest: BTreeMap<FileId, blake3::Hasher> = BTreeMap::new();
        for (node, item) in nodes.iter().zip(&items).skip(most) {
            rest.entry(world.nodes[*node].file).or_default().update(&item.hash);
        }
        let rest = rest.into_iter().map(|(file, hasher)| Part {
            name: self.files[file].1.clone(),
            value: short(&hasher.finalize()),
        });

        let real = |node: NodeId| {
            let info = &world.nodes[node];
            !info.is_face && world.modules[info.module].krate == world.own
        };
        let all = || (0..world.nodes.len()).filter(|node| real(*node)).map(|node| world.size(node)).sum();
        let total: usize = *self.total.get_or_insert_with(all);
        let covered = nodes.iter().zip(&items).filter(|(node, _)| real(**node)).map(|(_, item)| item.size);
        let share = covered.sum::<usize>().saturating_mul(1000).checked_div(total).unwrap_or(0);
        let pulls = || closure.core.or_else(|| closure.pulls(root).into_iter().next());
        let pulls = (share > 500).then(pulls).flatten();
        let report = Report {
            level: "reachable".to_owned(),
            count: nodes.len(),
            items: listed,
            files: rest.collect(),
            share: u32::try_from(share).unwrap_or(1000),
            pulls: pulls.map(|(node, count)| (world.label(node), count)),
            ..Report::default()
        };
        (report, hasher.finalize())
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
        let line = format!("item {label} {:?} {} {} {tokens}", info.kind, info.ordinal, info.is_face);
        let [a, b, c, d, ..] = *tokens.as_bytes();
        let item = Arc::new(Item {
            label,
            line: world.line(node),
            digest: u32::from_be_bytes([a, b, c, d]),
            hash: *blake3::hash(line.as_bytes()).as_bytes(),
            size: world.size(node),
        });
        self.items[node] = Some(item.clone());
        item
    }
}
