//! Sweeps: verifying a call and everything dirty below it inside the graph, without running anything.
//!
//! A sweep walks down in trace order, with a stack of its own, and marks as clean what it finds to hold. Where it
//! cannot go on it stops at an obstacle (an input to be looked at, a call to be brought up to date) and is resumed
//! when that is out of the way. It holds the graph's lock while it walks and must never call anything outside.
//!
//! A sweep of a call that has a cover first tries the short way, straight to the one call that an edit concerns.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fleche_store::CallId;

use crate::cover::Short;
use crate::flight::Pilot;
use crate::graph::{Diverged, Graph, Link, NodeId, Nodes, To};
use crate::input::InputId;
use crate::revision::Revision;

/// What a sweep cannot get past by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The input has not been looked at in this revision.
    Look(InputId),
    /// The call does not hold as it is known.
    Stale(NodeId),
}

/// A walk that can be interrupted. Its nodes are marked as active until it is dropped.
pub(crate) struct Sweep<'a> {
    graph: &'a Graph,
    stack: Vec<Step>,
    /// This thread of control, and those that wait for it.
    pilots: Vec<u64>,
    /// Calls that were found to hold, and whether one below them was recomputed for that.
    pub(crate) found: Vec<(CallId, bool)>,
    root: NodeId,
    /// The short way is still open.
    short: bool,
    /// So many of the cover's inputs were looked at.
    looked: usize,
    /// The call that the short way led to.
    direct: Option<NodeId>,
    /// Called at top level: worth a cover if many calls were walked through.
    top: bool,
    walked: usize,
}

struct Step {
    node: NodeId,
    links: Arc<[Link]>,
    next: usize,
    cut: bool,
    external: bool,
    /// Who had the node marked before.
    active_before: u64,
}

impl<'a> Sweep<'a> {
    /// A sweep of `root`. `None` if nothing is known of it.
    pub(crate) fn new(graph: &'a Graph, root: NodeId, pilot: &Pilot, top: bool) -> Option<Self> {
        let mut sweep = Self {
            graph,
            stack: Vec::new(),
            pilots: pilot.upwards().collect(),
            found: Vec::new(),
            root,
            short: true,
            looked: 0,
            direct: None,
            top,
            walked: 0,
        };
        sweep.push(&mut graph.nodes.write(), root).then_some(sweep)
    }

    fn push(&mut self, nodes: &mut Nodes, id: NodeId) -> bool {
        let node = nodes.node_mut(id);
        let Some(memo) = &node.memo else { return false };
        let links = memo.links.clone();
        let active_before = std::mem::replace(&mut node.active, self.pilots[0]);
        self.walked += 1;
        self.stack.push(Step { node: id, links, next: 0, cut: false, external: false, active_before });
        true
    }

    fn pop(&mut self, nodes: &mut Nodes) {
        if let Some(step) = self.stack.pop() {
            let active = &mut nodes.node_mut(step.node).active;
            // A mark that came later stays. One that was there before is put back only if it is of somebody who waits for
            // this sweep: anybody else may have ended meanwhile, and would find itself in a circle next time.
            if *active == self.pilots[0] {
                *active = Some(step.active_before).filter(|pilot| self.pilots.contains(pilot)).unwrap_or(0);
            }
        }
    }

    /// The node that the sweep stands at.
    pub(crate) fn at(&self) -> Option<NodeId> {
        self.stack.last().map(|step| step.node)
    }

    /// Leaves the node that the sweep stands at: it is being brought up to date by other means.
    pub(crate) fn leave(&mut self) {
        let graph = self.graph;
        self.pop(&mut graph.nodes.write());
    }

    /// Gives the short way up; false if it was not being tried.
    pub(crate) fn walk(&mut self) -> bool {
        self.direct = None;
        std::mem::take(&mut self.short)
    }

    /// Tries the short way from the root. `Some`: what to do about it outside.
    fn try_short(&mut self, nodes: &mut Nodes, revision: &Revision) -> Option<Obstacle> {
        let mut cut = false;
        if let Some(id) = self.direct.take().filter(|id| nodes.node(*id).ran == revision.stamp()) {
            for above in nodes.holding_above(id) {
                if above == self.root {
                    cut = true;
                } else {
                    self.found.push((nodes.node(above).call, true));
                }
            }
        }
        match nodes.short_way(self.root, &mut self.looked, revision) {
            Short::Look(input) => return Some(Obstacle::Look(input)),
            Short::Into(id) if id != self.root && !self.pilots.contains(&nodes.node(id).active) => {
                if self.push(nodes, id) {
                    self.direct = Some(id);
                    return None;
                }
            }
            Short::Holds => {
                let root = nodes.node(self.root);
                root.looked.store(revision.stamp(), Ordering::Release);
                self.found.push((root.call, cut));
                if nodes.is_watched_over(self.root) {
                    nodes.end_external_below(self.root);
                }
                self.pop(nodes);
                return None;
            }
            Short::Into(_) | Short::Walk => {}
        }
        let root = nodes.node(self.root);
        if cut && root.is_current(revision) {
            root.looked.store(revision.stamp(), Ordering::Release);
            self.found.push((root.call, true));
        }
        self.walk();
        None
    }

    /// Walks on; `None` once the root is known to hold.
    pub(crate) fn go(&mut self, revision: &Revision) -> Result<Option<Obstacle>, Diverged> {
        let graph = self.graph;
        let mut nodes = graph.nodes.write();
        if nodes.diverged(revision) {
            return Err(Diverged);
        }
        let at_root = self.stack.len() == 1;
        // What waits may lie below a call that is marked as clean, unless it is where this walk began.
        let harmless = nodes.covers.wait_for(self.root)
            || self.direct.is_some_and(|id| nodes.covers.wait_for(id))
            || (self.short && at_root);
        if !harmless {
            nodes.flush();
        }
        'nodes: while !self.stack.is_empty() {
            if self.short && self.stack.len() == 1 {
                if let Some(obstacle) = self.try_short(&mut nodes, revision) {
                    return Ok(Some(obstacle));
                }
                if !self.short && !nodes.covers.wait_for(self.root) {
                    nodes.flush();
                }
                continue;
            }
            let Some(step) = self.stack.last_mut() else { break };
            let node = nodes.node(step.node);
            if node.is_current(revision) {
                self.pop(&mut nodes);
                continue;
            }
            match &node.memo {
                // Somebody else has run it since this walk came by.
                Some(memo) if !Arc::ptr_eq(&memo.links, &step.links) => {
                    step.links = memo.links.clone();
                    (step.next, step.cut, step.external) = (0, false, false);
                }
                Some(_) => {}
                None => return Ok(Some(Obstacle::Stale(step.node))),
            }
            while let Some(link) = step.links.get(step.next) {
                match link.to {
                    To::Input(id) => {
                        let known = nodes.inputs.get(&id);
                        let outside = nodes.is_outside(id);
                        // What an image brought may depend on inputs that nobody has looked at yet.
                        let unknown = known.is_none_or(|input| {
                            input.digest.is_none() || (outside && input.looked != revision.stamp())
                        });
                        if unknown {
                            return Ok(Some(Obstacle::Look(id)));
                        }
                        if known.is_none_or(|input| input.digest != Some(link.observed)) {
                            return Ok(Some(Obstacle::Stale(step.node)));
                        }
                        step.external |= outside;
                    }
                    To::Node(callee) => {
                        let below = nodes.node(callee);
                        if below.is_current(revision) {
                            let same = below
                                .memo
                                .as_ref()
                                .is_some_and(|memo| memo.result.digest.digest() == link.observed);
                            if !same {
                                return Ok(Some(Obstacle::Stale(step.node)));
                            }
                            step.cut |= below.ran == revision.stamp();
                            step.external |= below.external;
                        } else if self.pilots.contains(&below.active) {
                            // A circle through stale traces says nothing about today's program.
                            return Ok(Some(Obstacle::Stale(step.node)));
                        } else if self.push(&mut nodes, callee) {
                            continue 'nodes;
                        } else {
                            return Ok(Some(Obstacle::Stale(callee)));
                        }
                    }
                }
                step.next += 1;
            }
            let (id, cut, external) = (step.node, step.cut, step.external);
            nodes.covers.settle(id);
            let node = nodes.node_mut(id);
            node.clean = true;
            node.looked.store(revision.stamp(), Ordering::Release);
            self.found.push((node.call, cut));
            if external && !node.external {
                nodes.push_external(id);
            } else if !external {
                // What was passed a while ago may have been marked since: asked anew.
                let links = self.stack.last().map(|step| step.links.clone()).unwrap_or_default();
                nodes.end_external(id, &links);
            }
            self.pop(&mut nodes);
        }
        if self.top && self.walked >= nodes.least_cover && nodes.node(self.root).clean {
            nodes.cover(self.root);
            self.walked = 0;
        }
        Ok(None)
    }
}

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        if !self.stack.is_empty() {
            let graph = self.graph;
            let mut nodes = graph.nodes.write();
            while !self.stack.is_empty() {
                self.pop(&mut nodes);
            }
        }
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod interleavings;

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use fleche_store::{CallKey, Digest, Stored, TypeFingerprint, ValueDigest};

    use super::*;
    use crate::graph::Memo;

    #[test]
    fn a_circle_of_traces_ends_at_the_call_that_closes_it() {
        let (graph, revision) = (Graph::new(), Revision::new());
        let nodes =
            ["a", "b"].map(|name| graph.node(CallId::of(name, "p", "m", std::iter::empty::<ValueDigest>())));
        let digest = Digest::of(b"x");
        let result = Stored { digest: ValueDigest::new(digest), fingerprint: TypeFingerprint(1) };
        for (of, to) in [(0, 1), (1, 0)] {
            let links = Arc::from([Link { to: To::Node(nodes[to]), observed: digest }]);
            let memo = Memo { key: CallKey::new(digest), result, links, value: None, definition: None };
            graph.install(nodes[of], memo, false, &revision);
        }
        let pilot = Pilot::new();
        let mut sweep = Sweep::new(&graph, nodes[0], &pilot, false).unwrap();
        assert_eq!(sweep.go(&revision), Ok(Some(Obstacle::Stale(nodes[1]))));
        // For a branch that this one waits for, it is closed already.
        let mut branch = Sweep::new(&graph, nodes[1], &pilot.branch(), false).unwrap();
        assert_eq!(branch.go(&revision), Ok(Some(Obstacle::Stale(nodes[1]))));
    }

    #[test]
    fn sweeps_of_one_call_on_several_threads_leave_no_mark() {
        let graph = Graph::new();
        let node = graph.node(CallId::of("f", "p", "m", std::iter::empty::<ValueDigest>()));
        let digest = Digest::of(b"x");
        let result = Stored { digest: ValueDigest::new(digest), fingerprint: TypeFingerprint(1) };
        let memo =
            Memo { key: CallKey::new(digest), result, links: Arc::from([]), value: None, definition: None };
        graph.install(node, memo, false, &Revision::new());
        let pilots = [Pilot::new(), Pilot::new()];
        let swept = |pilot: &Pilot| graph.is_swept_by(node, pilot.upwards());
        for first_out in [0, 1] {
            let mut sweeps = pilots.each_ref().map(|pilot| Sweep::new(&graph, node, pilot, false));
            assert!(swept(&pilots[1]));
            sweeps[first_out] = None;
            drop(sweeps);
            assert!(!pilots.iter().any(swept), "{first_out} ended first");
        }
        let outer = Sweep::new(&graph, node, &pilots[0], false);
        drop(Sweep::new(&graph, node, &pilots[0].branch(), false));
        assert!(swept(&pilots[0]), "who waits for a branch is still at it");
        drop(outer);
        assert!(!swept(&pilots[0]));
    }
}
