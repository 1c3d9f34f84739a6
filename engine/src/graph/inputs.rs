//! Inputs in the graph: what was seen of them, what a change of one marks, and which need no look.
//!
//! An input's digest is compared and entered under one lock: between the two nobody may believe a node to be clean.

use fleche_store::{CallId, Digest};
use foldhash::HashSet;

use super::{Graph, InputNode, count_change};
use crate::input::InputId;
use crate::revision::Revision;
use crate::thread::Place;
use crate::{marks, named};

impl Graph {
    /// Takes note that the program has set an input. Revisions under way are diverged if it was known.
    pub(crate) fn set(&self, input: InputId, digest: Digest) {
        let mut nodes = self.nodes.write();
        let Some(known) = nodes.inputs.get_mut(&input) else { return };
        if known.digest.replace(digest).is_none_or(|before| before == digest) {
            return;
        }
        let above = known.dependents.clone();
        nodes.last_change = count_change();
        nodes.changer = 0;
        nodes.suspect(&above);
    }

    /// Takes note of an input's digest in a revision, and pushes dirt if that is news. `first`: the revision has not
    /// met the input before.
    pub(crate) fn saw(&self, input: InputId, digest: Digest, first: bool, revision: &Revision) {
        let stamp = revision.stamp();
        let same = |known: &InputNode| known.digest == Some(digest) && known.looked == stamp;
        if self.nodes.read().inputs.get(&input).is_some_and(same) {
            return;
        }
        let covered = marks::covers(input, digest);
        let mut nodes = self.nodes.write();
        if nodes.diverged(revision) {
            // What the revision used of it without a look is not known any more.
            if first && nodes.inputs.get(&input).is_some_and(|known| known.relied > revision.base()) {
                revision.spoil();
            }
            return;
        }
        if input.is_told() {
            // Of these the graph has the newest value or none: it is told of the next one only where it has one. And a
            // picture in which that is not set yet must not use what the graph has from now on.
            let Some(change) = named::set_at(input, digest).filter(|change| *change <= revision.base())
            else {
                nodes.last_change = count_change();
                nodes.changer = 0;
                return;
            };
            nodes.last_change = nodes.last_change.max(change);
        }
        let known = nodes.inputs.entry(input).or_default();
        known.looked = stamp;
        let before = known.digest.replace(digest);
        let changed = before.is_some_and(|before| before != digest);
        if changed && first && known.relied > revision.base() {
            revision.spoil();
        }
        // Compared under the lock: a mark that comes later finds it held.
        let holds = covered && marks::marked(input) <= revision.base();
        let lost = changed && known.held && !holds;
        known.held = holds || (known.held && !changed);
        if !changed {
            return;
        }
        let above = known.dependents.clone();
        nodes.last_change = count_change();
        nodes.changer = revision.stamp();
        if lost {
            for id in &above {
                nodes.push_external(*id);
            }
        }
        nodes.suspect(&above);
    }

    /// What is known of the input.
    pub(crate) fn digest_of(&self, input: InputId) -> Option<Digest> {
        self.nodes.read().inputs.get(&input)?.digest
    }

    /// Whether one of these calls depends on the input, directly or through others. It may have ceased to.
    pub(crate) fn is_below_any(&self, input: InputId, calls: &HashSet<CallId>) -> bool {
        let nodes = self.nodes.read();
        let mut met = HashSet::default();
        let mut above = nodes.inputs.get(&input).map_or(Vec::new(), |known| known.dependents.clone());
        while let Some(id) = above.pop() {
            if met.insert(id) {
                let node = nodes.node(id);
                if calls.contains(&node.call) {
                    return true;
                }
                above.extend_from_slice(nodes.dependents(id));
            }
        }
        false
    }

    /// Takes note that something about these inputs was reported: each must be looked at again.
    pub(crate) fn doubt(&self, inputs: &[InputId], number: u64) {
        let nodes = self.nodes.read();
        let mut held = inputs.to_vec();
        held.retain(|id| nodes.inputs.get(id).is_some_and(|known| known.held));
        drop(nodes);
        // None is held between the two locks that was not looked at after the mark.
        if held.is_empty() {
            return;
        }
        let mut nodes = self.nodes.write();
        for id in held {
            let Some(known) = nodes.inputs.get_mut(&id) else { continue };
            known.held = false;
            known.relied = number;
            let above = known.dependents.clone();
            for id in above {
                nodes.push_external(id);
            }
        }
    }
}

/// The input's digest at `place`: looked at once a revision, and noted in the graph.
pub(crate) fn look(place: &Place, input: InputId) -> Option<Digest> {
    let first = !place.revision.has(input);
    let digest = place.revision.observe(input, place.cache.files())?;
    place.graph.saw(input, digest, first, &place.revision);
    Some(digest)
}

/// Notes what a tracked read returned; false if the revision has something else.
pub(crate) fn settle(place: &Place, input: InputId, digest: Digest) -> bool {
    let first = !place.revision.has(input);
    let agrees = place.revision.settle(input, digest);
    if agrees {
        place.graph.saw(input, digest, first, &place.revision);
    }
    agrees
}
