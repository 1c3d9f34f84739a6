//! The graph in process: calls that this process knows, what each depends on, and who depends on each.
//!
//! Dirt is pushed, verification is pulled: a change of an input marks everything above it at once, and a later
//! demand walks into what is marked and nowhere else. The graph is an accelerator over the traces in the store;
//! dropping it must change no result.
//!
//! It knows one picture of the inputs, the one that was looked at last. A revision may use it as long as no other
//! revision changed that picture since it was begun; after that it is *diverged*, leaves the graph alone, and is
//! answered from traces. So nobody is cancelled and nobody waits for a newer or older picture.
//!
//! Invariant: a clean node's inputs have the digests it observed, and its callees are clean and have the results
//! it observed; except above calls that are pending (`cover`).

mod images;
mod inputs;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fleche_store::{Bytes, CallId, CallKey, Dependency, Digest, Edge, Stored};
use foldhash::HashMap;

use crate::cover::{self, CoverId, Covers};
use crate::files::Files;
use crate::frame::{Dep, Seen};
use crate::input::InputId;
use crate::registry::Definition;
use crate::revision::Revision;
use crate::sync::RwLock;

use self::images::Places;
pub(crate) use self::inputs::{look, settle};

/// Counts the changes of inputs that any graph of this process was told of.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// The number of the last change.
pub(crate) fn last_change() -> u64 {
    CHANGES.load(Ordering::Acquire)
}

/// Numbers a change.
pub(crate) fn count_change() -> u64 {
    CHANGES.fetch_add(1, Ordering::AcqRel) + 1
}

/// A node's place in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

/// What a node depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Input(InputId),
    Node(NodeId),
}

/// An edge: a dependency, and the digest observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) to: To,
    pub(crate) observed: Digest,
}

/// A call's answer.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) result: Stored,
    /// The result's bytes, if they are at hand.
    pub(crate) value: Option<Bytes>,
    /// The call ran in this revision.
    pub(crate) ran: bool,
    /// It was verified in this revision before, or needs no verification.
    pub(crate) known: bool,
}

/// What the graph knows of a call, whether or not it still holds.
#[derive(Debug, Clone)]
pub(crate) struct Memo {
    pub(crate) key: CallKey,
    pub(crate) result: Stored,
    pub(crate) links: Arc<[Link]>,
    pub(crate) value: Option<Bytes>,
    /// The function, if this program knows it by its name.
    pub(crate) definition: Option<&'static Definition>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) call: CallId,
    pub(crate) memo: Option<Memo>,
    pub(crate) clean: bool,
    /// Something below it can change without the graph being told: a file, say. It must be looked at in each
    /// revision.
    pub(crate) external: bool,
    /// The stamp of the revision in which everything external below it was looked at.
    pub(crate) looked: AtomicU64,
    /// The stamp of the revision in which it ran.
    pub(crate) ran: u64,
    /// The thread of control that verifies it in a sweep; 0 for none. A hint: of two, the last to come is named.
    pub(crate) active: u64,
    /// The cover that it is in.
    pub(crate) cover: CoverId,
    /// May hold nodes that have ceased to depend on this one; that costs a verification, no more.
    dependents: Vec<NodeId>,
}

#[derive(Debug, Default)]
pub(crate) struct InputNode {
    pub(crate) digest: Option<Digest>,
    /// The stamp of the revision that looked at it last.
    pub(crate) looked: u64,
    /// A watcher covers it, and has reported nothing about it since it was looked at.
    pub(crate) held: bool,
    /// The number of the mark that ended that last: earlier revisions may have used the digest without a look.
    relied: u64,
    dependents: Vec<NodeId>,
}

#[derive(Debug, Default)]
pub(crate) struct Nodes {
    all: Vec<Node>,
    by_call: HashMap<CallId, NodeId>,
    /// From a function and the canonical bytes of its arguments straight to the node.
    short_cuts: HashMap<Box<[u8]>, (NodeId, CallKey)>,
    pub(crate) inputs: HashMap<InputId, InputNode>,
    pub(crate) covers: Covers,
    /// A walk through so many calls makes a cover.
    pub(crate) least_cover: usize,
    /// The last change of an input's digest, and the revision that saw it.
    last_change: u64,
    changer: u64,
    /// The weight of the values at hand.
    value_bytes: usize,
    /// Where the calls of the cache's image are here.
    places: Places,
    /// How often something was entered that is not what was known of a call: what an image would have to tell.
    news: usize,
}

/// Values at hand may weigh this much together; beyond it all are let go and come back from the store.
const MOST_VALUE_BYTES: usize = 256 << 20;

/// The graph of one cache.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: RwLock<Nodes>,
}

/// The revision looked at a picture that the graph has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Diverged;

impl Nodes {
    pub(crate) fn diverged(&self, revision: &Revision) -> bool {
        revision.is_hypothetical() || (self.last_change > revision.base() && self.changer != revision.stamp())
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.all[id.0 as usize]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.all[id.0 as usize]
    }

    fn intern(&mut self, call: CallId) -> NodeId {
        if let Some(id) = self.by_call.get(&call) {
            return *id;
        }
        let id = NodeId(u32::try_from(self.all.len()).expect("the node budget is far below"));
        self.all.push(Node {
            call,
            memo: None,
            clean: false,
            external: false,
            looked: AtomicU64::new(0),
            ran: 0,
            active: 0,
            cover: 0,
            dependents: Vec::new(),
        });
        self.by_call.insert(call, id);
        id
    }

    fn peek(&self, id: NodeId, key: Option<CallKey>, revision: &Revision) -> Result<Option<Hit>, Diverged> {
        if self.diverged(revision) {
            return Err(Diverged);
        }
        if !self.covers.are_settled() {
            return Ok(None);
        }
        let node = self.node(id);
        let Some(memo) = &node.memo else { return Ok(None) };
        let known = node.looked.load(Ordering::Acquire) == revision.stamp();
        if !node.clean || (node.external && !known) || key.is_some_and(|key| key != memo.key) {
            return Ok(None);
        }
        if !known {
            node.looked.store(revision.stamp(), Ordering::Release);
        }
        let ran = node.ran == revision.stamp();
        Ok(Some(Hit { result: memo.result, value: memo.value.clone(), ran, known }))
    }

    /// The answer in a revision that begins now.
    fn peek_now(&self, id: NodeId, key: CallKey) -> Option<Hit> {
        let node = self.node(id);
        let memo = node.memo.as_ref().filter(|memo| memo.key == key)?;
        let holds = node.clean && !node.external && self.covers.are_settled();
        holds.then(|| Hit { result: memo.result, value: memo.value.clone(), ran: false, known: false })
    }

    /// Whether the link's end is clean and has the digest observed.
    fn holds(&self, link: &Link) -> bool {
        match link.to {
            To::Input(input) => {
                self.inputs.get(&input).is_some_and(|input| input.digest == Some(link.observed))
            }
            To::Node(id) => {
                let node = self.node(id);
                node.clean
                    && node.memo.as_ref().is_some_and(|memo| memo.result.digest.digest() == link.observed)
            }
        }
    }

    fn is_external(&self, links: &[Link]) -> bool {
        links.iter().any(|link| match link.to {
            To::Input(input) => self.is_outside(input),
            To::Node(id) => self.node(id).external,
        })
    }

    /// Whether the input can change without the graph being told.
    pub(crate) fn is_outside(&self, input: InputId) -> bool {
        !input.is_told() && self.inputs.get(&input).is_none_or(|known| !known.held)
    }

    /// Takes note, for the node and all below it, of what needs no look any more.
    pub(crate) fn end_external_below(&mut self, root: NodeId) {
        let mut met = foldhash::HashSet::default();
        let mut stack: Vec<(NodeId, Arc<[Link]>, usize)> = Vec::new();
        let mut next = Some(root);
        loop {
            if let Some(id) = next.take()
                && self.node(id).external
                && met.insert(id)
                && let Some(memo) = &self.node(id).memo
            {
                let links = memo.links.clone();
                stack.push((id, links, 0));
            }
            let Some((id, links, at)) = stack.last_mut() else { return };
            if let Some(link) = links.get(*at) {
                *at += 1;
                next = match link.to {
                    To::Node(callee) => Some(callee),
                    To::Input(_) => None,
                };
            } else {
                let (id, links) = (*id, links.clone());
                self.end_external(id, &links);
                stack.pop();
            }
        }
    }

    /// Takes note that all below the node need no look any more, if that is so.
    pub(crate) fn end_external(&mut self, id: NodeId, links: &[Link]) {
        if self.node(id).external && !self.is_external(links) {
            self.node_mut(id).external = false;
        }
    }

    /// Who may depend on the node.
    pub(crate) fn dependents(&self, id: NodeId) -> &[NodeId] {
        &self.node(id).dependents
    }

    /// Marks these and everything above as to be verified.
    pub(crate) fn push_dirt(&mut self, mut above: Vec<NodeId>) {
        while let Some(id) = above.pop() {
            let node = self.node_mut(id);
            // What is above a dirty node is dirty already.
            if std::mem::take(&mut node.clean) {
                above.extend_from_slice(&node.dependents);
            }
        }
    }

    /// Tells everything above that there is something external below it.
    pub(crate) fn push_external(&mut self, id: NodeId) {
        let mut above = vec![id];
        while let Some(id) = above.pop() {
            let node = self.node_mut(id);
            if !std::mem::replace(&mut node.external, true) {
                above.extend_from_slice(&node.dependents);
            }
        }
    }

    /// Enters `id` among the dependents of what it links to and did not link to before.
    fn enter(&mut self, id: NodeId, links: &[Link], before: &[Link]) {
        let few = before.len() <= 16;
        let old: foldhash::HashSet<u64> = if few {
            foldhash::HashSet::default()
        } else {
            before.iter().map(|link| link.to.number()).collect()
        };
        for link in links {
            let was = if few {
                before.iter().any(|old| old.to == link.to)
            } else {
                old.contains(&link.to.number())
            };
            if was {
                continue;
            }
            let dependents = match link.to {
                To::Input(input) => &mut self.inputs.entry(input).or_default().dependents,
                To::Node(callee) => &mut self.node_mut(callee).dependents,
            };
            dependents.push(id);
            // Now and then those that ceased to depend are swept out, so that alternating traces stay bounded.
            if dependents.len() >= 64 && dependents.len().is_power_of_two() {
                let mut swept = std::mem::take(dependents);
                swept.sort_unstable_by_key(|id| id.0);
                swept.dedup();
                swept.retain(|dependent| {
                    *dependent == id
                        || self
                            .node(*dependent)
                            .memo
                            .as_ref()
                            .is_some_and(|memo| memo.links.iter().any(|other| other.to == link.to))
                });
                match link.to {
                    To::Input(input) => self.inputs.entry(input).or_default().dependents = swept,
                    To::Node(callee) => self.node_mut(callee).dependents = swept,
                }
            }
        }
    }

    fn keep_value(&mut self, id: NodeId, value: Bytes) {
        self.value_bytes += value.len();
        if self.value_bytes > MOST_VALUE_BYTES {
            for node in &mut self.all {
                if let Some(memo) = &mut node.memo {
                    memo.value = None;
                }
            }
            self.value_bytes = value.len();
        }
        if let Some(memo) = &mut self.node_mut(id).memo {
            memo.value = Some(value);
        }
    }
}

impl Node {
    /// Whether it is known to hold in the revision.
    pub(crate) fn is_current(&self, revision: &Revision) -> bool {
        self.clean && (!self.external || self.looked.load(Ordering::Acquire) == revision.stamp())
    }
}

impl To {
    fn number(self) -> u64 {
        match self {
            Self::Input(input) => 1 << 32 | u64::from(input.number()),
            Self::Node(id) => u64::from(id.0),
        }
    }
}

impl Graph {
    pub(crate) fn new() -> Self {
        let nodes = Nodes { least_cover: cover::LEAST, ..Nodes::default() };
        Self { nodes: RwLock::new(nodes) }
    }

    /// Makes covers of walks through that many calls.
    pub(crate) fn set_least_cover(&self, calls: usize) {
        self.nodes.write().least_cover = calls;
    }

    /// How many calls it knows.
    pub(crate) fn len(&self) -> usize {
        self.nodes.read().all.len()
    }

    /// The call's node.
    pub(crate) fn node(&self, call: CallId) -> NodeId {
        if let Some(id) = self.nodes.read().by_call.get(&call) {
            return *id;
        }
        self.nodes.write().intern(call)
    }

    /// The node's call.
    pub(crate) fn call(&self, id: NodeId) -> CallId {
        self.nodes.read().node(id).call
    }

    /// Whether one of these threads of control is verifying the node in a sweep.
    pub(crate) fn is_swept_by(&self, id: NodeId, mut pilots: impl Iterator<Item = u64>) -> bool {
        let active = self.nodes.read().node(id).active;
        active != 0 && pilots.any(|pilot| pilot == active)
    }

    /// Whether the revision has to be answered from traces alone.
    pub(crate) fn diverged(&self, revision: &Revision) -> bool {
        self.nodes.read().diverged(revision)
    }

    /// The answer to the call that the bytes lead to, if it needs no verification: in that revision, or, without
    /// one, in whichever begins now.
    pub(crate) fn peek_short(&self, bytes: &[u8], revision: Option<&Revision>) -> Option<(CallId, Hit)> {
        let nodes = self.nodes.read();
        let (id, key) = *nodes.short_cuts.get(bytes)?;
        let hit = revision.map_or_else(
            || nodes.peek_now(id, key),
            |revision| nodes.peek(id, Some(key), revision).ok().flatten(),
        )?;
        Some((nodes.node(id).call, hit))
    }

    /// Remembers where the bytes lead.
    pub(crate) fn set_short_cut(&self, bytes: &[u8], id: NodeId, key: CallKey) {
        if self.nodes.read().short_cuts.get(bytes) != Some(&(id, key)) {
            self.nodes.write().short_cuts.insert(bytes.into(), (id, key));
        }
    }

    /// The answer, if it is known to hold in the revision; under `key`, if that is given.
    pub(crate) fn peek(
        &self,
        id: NodeId,
        key: Option<CallKey>,
        revision: &Revision,
    ) -> Result<Option<Hit>, Diverged> {
        self.nodes.read().peek(id, key, revision)
    }

    /// Marks what waits to be marked, so that a look says what is known and not that it is unsettled.
    pub(crate) fn settle(&self) {
        if !self.nodes.read().covers.are_settled() {
            self.nodes.write().flush();
        }
    }

    /// What is known of the call, whether or not it holds.
    pub(crate) fn memo(&self, id: NodeId) -> Option<Memo> {
        self.nodes.read().node(id).memo.clone()
    }

    /// The key under which the call is known.
    pub(crate) fn key(&self, id: NodeId) -> Option<CallKey> {
        self.nodes.read().node(id).memo.as_ref().map(|memo| memo.key)
    }

    /// The key under which a call is known that may have no node.
    pub(crate) fn key_of(&self, call: CallId) -> Option<CallKey> {
        let nodes = self.nodes.read();
        nodes.node(*nodes.by_call.get(&call)?).memo.as_ref().map(|memo| memo.key)
    }

    /// Enters what a run or a record of the call says. `ran`: the body ran in this revision.
    pub(crate) fn install(&self, id: NodeId, memo: Memo, ran: bool, revision: &Revision) {
        let mut nodes = self.nodes.write();
        if nodes.diverged(revision) {
            return;
        }
        if !nodes.covers.wait_for(id) {
            nodes.flush();
        }
        let node = nodes.node_mut(id);
        let before = node.memo.take();
        if ran {
            node.ran = revision.stamp();
        }
        let changed = before.as_ref().is_none_or(|before| before.result.digest != memo.result.digest);
        let links_before = before.as_ref().map_or(&[][..], |before| &before.links);
        if !links_before.iter().map(|link| link.to).eq(memo.links.iter().map(|link| link.to)) {
            let cover = nodes.node(id).cover;
            nodes.covers.remove(cover);
        }
        nodes.news += usize::from(changed || links_before != &*memo.links);
        nodes.enter(id, &memo.links, links_before);
        let (links, value) = (memo.links.clone(), memo.value.clone());
        nodes.node_mut(id).memo = Some(Memo { value: None, ..memo });
        if let Some(value) = value {
            nodes.keep_value(id, value);
        }
        nodes.settle(id, &links, revision);
        if changed || !nodes.node(id).clean {
            let above = nodes.node(id).dependents.clone();
            nodes.push_dirt(above);
        }
        nodes.covers.settle(id);
    }

    /// Forgets what is known of a call; what is above it is to be verified.
    pub(crate) fn forget(&self, call: CallId) {
        let mut nodes = self.nodes.write();
        let Some(id) = nodes.by_call.get(&call).copied() else { return };
        nodes.flush();
        let node = nodes.node_mut(id);
        let cover = node.cover;
        node.memo = None;
        node.clean = false;
        let above = node.dependents.clone();
        nodes.covers.remove(cover);
        nodes.push_dirt(above);
    }

    /// Keeps a result's bytes at hand.
    pub(crate) fn keep_value(&self, id: NodeId, result: &Stored, value: &Bytes) {
        let mut nodes = self.nodes.write();
        if nodes.node(id).memo.as_ref().is_some_and(|memo| memo.result == *result && memo.value.is_none()) {
            nodes.keep_value(id, value.clone());
        }
    }

    /// The links that a trace amounts to; `None` if it names what this version does not know.
    pub(crate) fn links(&self, trace: &[Edge], files: &Files) -> Option<Arc<[Link]>> {
        trace
            .iter()
            .map(|edge| {
                let to = match &edge.dependency {
                    Dependency::Input { kind, name } => To::Input(files.input(*kind, name)?),
                    Dependency::Call(call) => To::Node(self.node(*call)),
                };
                Some(Link { to, observed: edge.observed })
            })
            .collect()
    }

    /// The links that a frame's observations amount to.
    pub(crate) fn links_of(&self, seen: &[Seen]) -> Arc<[Link]> {
        seen.iter()
            .map(|Seen { dep, observed }| {
                let to = match dep {
                    Dep::Input(input) => To::Input(*input),
                    Dep::Call(call) => To::Node(self.node(*call)),
                };
                Link { to, observed: *observed }
            })
            .collect()
    }
}

impl Nodes {
    /// Makes the node clean if its links hold in the graph's picture, which is the revision's.
    fn settle(&mut self, id: NodeId, links: &[Link], revision: &Revision) {
        let clean = links.iter().all(|link| self.holds(link));
        let external = self.is_external(links);
        let node = self.node_mut(id);
        node.clean = clean;
        node.looked.store(revision.stamp(), Ordering::Release);
        if external && !node.external {
            self.push_external(id);
        } else {
            node.external = external;
        }
    }
}
