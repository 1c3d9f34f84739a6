//! Covers: what lies below a call, kept flat, so that an edit below it need not be carried up through the graph.
//!
//! When an input changes, the calls that read it are marked, and what is above them waits: they are *pending*. If
//! just one call is pending and it lies below the call that is asked for, today's run would come to it, since all
//! that it comes to before is as it was. So it is brought up to date first; if its result is what it was, nothing
//! above it has to be looked at. Otherwise what is above is marked as ever and verified in order of the traces.
//!
//! A cover must never outlive the links that it was made from, and nobody may believe a node to be clean while
//! calls other than those above it are pending.

use foldhash::{HashMap, HashSet, HashSetExt};

use crate::graph::{NodeId, Nodes, To};
use crate::input::InputId;
use crate::revision::Revision;

/// Names a cover in its graph; 0 for none.
pub(crate) type CoverId = u32;

/// A walk through fewer calls than this is not worth a cover.
pub(crate) const LEAST: usize = 64;

/// The flat form of what is below one call, by its links as they are.
#[derive(Debug)]
struct Cover {
    root: NodeId,
    /// The inputs below that have to be looked at in each revision.
    inputs: Vec<InputId>,
}

/// The covers of a graph, and what waits for them.
#[derive(Debug, Default)]
pub(crate) struct Covers {
    all: HashMap<CoverId, Cover>,
    of_root: HashMap<NodeId, CoverId>,
    last: CoverId,
    /// Calls that read a changed input, above which nothing is marked yet.
    pending: Vec<NodeId>,
}

/// What a cover says of a call that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// The input has to be looked at first.
    Look(InputId),
    /// This call has to be verified; then ask again.
    Into(NodeId),
    /// It holds.
    Holds,
    /// Nothing: walk.
    Walk,
}

impl Covers {
    /// Whether what is known to be clean is clean.
    pub(crate) fn are_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether nothing waits but this call, below which everything is as it is marked.
    pub(crate) fn wait_for(&self, id: NodeId) -> bool {
        self.pending == [id]
    }

    /// The call is no longer pending: it is clean again, or what is above it has been marked.
    pub(crate) fn settle(&mut self, id: NodeId) {
        self.pending.retain(|pending| *pending != id);
    }

    /// The cover is no longer true.
    pub(crate) fn remove(&mut self, id: CoverId) {
        if let Some(cover) = self.all.remove(&id) {
            self.of_root.remove(&cover.root);
        }
    }
}

impl Nodes {
    /// Marks calls that read a changed input. What is above them waits until somebody asks.
    pub(crate) fn suspect(&mut self, above: &[NodeId]) {
        for id in above {
            if std::mem::take(&mut self.node_mut(*id).clean) {
                self.covers.pending.push(*id);
            }
        }
    }

    /// Marks everything above the calls that wait.
    pub(crate) fn flush(&mut self) {
        let pending = std::mem::take(&mut self.covers.pending);
        let above = pending.iter().flat_map(|id| self.dependents(*id).iter().copied()).collect();
        self.push_dirt(above);
    }

    /// What the root's cover says, given that the first `looked` of its inputs were looked at in this revision.
    pub(crate) fn short_way(&self, root: NodeId, looked: &mut usize, revision: &Revision) -> Short {
        let Some((id, cover)) =
            self.covers.of_root.get(&root).and_then(|id| Some((*id, self.covers.all.get(id)?)))
        else {
            return Short::Walk;
        };
        while let Some(input) = cover.inputs.get(*looked) {
            let outside = self.is_outside(*input);
            if outside && self.inputs.get(input).is_none_or(|known| known.looked != revision.stamp()) {
                return Short::Look(*input);
            }
            *looked += 1;
        }
        // If what is above the pending calls is marked already, the traces say what comes first.
        if !self.node(root).clean {
            return Short::Walk;
        }
        match self.covers.pending[..] {
            [] => Short::Holds,
            [only] if self.node(only).cover == id => Short::Into(only),
            _ => Short::Walk,
        }
    }

    /// Whether a watcher covers all that the root's cover would have looked at.
    pub(crate) fn is_watched_over(&self, root: NodeId) -> bool {
        let cover = self.covers.of_root.get(&root).and_then(|id| self.covers.all.get(id));
        cover.is_some_and(|cover| !cover.inputs.iter().any(|input| self.is_outside(*input)))
    }

    /// Makes a cover of a clean root. Calls that another cover has are taken from it, which is its end.
    pub(crate) fn cover(&mut self, root: NodeId) {
        let id = self.covers.last + 1;
        self.covers.last = id;
        let mut inputs = HashSet::new();
        let mut cover = Cover { root, inputs: Vec::new() };
        let mut below = vec![root];
        while let Some(next) = below.pop() {
            let node = self.node_mut(next);
            let before = std::mem::replace(&mut node.cover, id);
            if before == id {
                continue;
            }
            let links = node.memo.as_ref().filter(|_| node.clean).map(|memo| memo.links.clone());
            if before != 0 {
                self.covers.remove(before);
            }
            // Below a clean call all are clean; were one not, there would be nothing to keep flat.
            let Some(links) = links else { return };
            for link in links.iter() {
                match link.to {
                    To::Node(callee) if self.node(callee).cover != id => below.push(callee),
                    To::Input(input) if !input.is_told() && inputs.insert(input) => cover.inputs.push(input),
                    To::Node(_) | To::Input(_) => {}
                }
            }
        }
        self.covers.all.insert(id, cover);
        self.covers.of_root.insert(root, id);
    }

    /// The calls that depend on this one directly and hold.
    pub(crate) fn holding_above(&self, id: NodeId) -> Vec<NodeId> {
        let mut above: Vec<_> = self
            .dependents(id)
            .iter()
            .copied()
            .filter(|above| {
                let node = self.node(*above);
                node.clean
                    && node
                        .memo
                        .as_ref()
                        .is_some_and(|memo| memo.links.iter().any(|link| link.to == To::Node(id)))
            })
            .collect();
        above.sort_unstable();
        above.dedup();
        above
    }
}
