//! Graphs and images: calls that come from one and are left in one. See `image`.

use std::sync::Arc;

use fleche_store::Digest;

use super::{Graph, Link, Memo, NodeId, Nodes, To};
use crate::files::Files;
use crate::image::{Image, Maker, Target};
use crate::input::InputId;

/// Where the calls and inputs of the cache's image are in the graph.
#[derive(Debug, Default)]
pub(crate) struct Places {
    calls: Vec<Option<NodeId>>,
    /// Calls that were brought, with all below them.
    brought: Vec<bool>,
    inputs: Vec<Option<InputId>>,
}

/// Of the calls in an image so many for each that the graph knows are carried on, at most: what no process asks for any
/// more is not carried on for ever.
const MOST_CARRIED: usize = 4;

/// An image is made once one in so many of the calls in it is news.
const NEWS: usize = 8;

impl Graph {
    /// Brings the call at that place, and all below it, from the image. They are to be verified; what the graph knows of
    /// a call stays.
    pub(crate) fn import(&self, image: &Image, at: usize, files: &Files) {
        self.nodes.write().import(image, at, files);
    }

    /// How many calls came from the image.
    pub(crate) fn imported(&self) -> usize {
        self.nodes.read().places.brought.iter().filter(|brought| **brought).count()
    }

    /// An image of this graph, with what the old one has besides; `None` if there is not enough news in it.
    pub(crate) fn image(&self, old: Option<&Image>, files: &Files, least: usize) -> Option<Maker> {
        let mut nodes = self.nodes.write();
        let known = nodes.all.iter().filter(|node| node.memo.is_some()).count();
        let old = old.filter(|old| old.len() <= MOST_CARRIED.saturating_mul(known));
        if known < least || nodes.news < known.max(old.map_or(0, Image::len)) / NEWS {
            return None;
        }
        if let Some(old) = old {
            (0..old.len()).for_each(|place| nodes.import(old, place, files));
        }
        nodes.image(files).filter(|image| image.len() >= least)
    }
}

impl Nodes {
    fn place(&mut self, image: &Image, place: usize) -> Option<NodeId> {
        if let Some(id) = *self.places.calls.get(place)? {
            return Some(id);
        }
        let id = self.intern(image.call(place)?);
        self.places.calls[place] = Some(id);
        Some(id)
    }

    fn input(&mut self, image: &Image, place: usize, files: &Files) -> Option<(InputId, Digest)> {
        let (kind, name, digest) = image.input(place)?;
        let known = self.places.inputs.get_mut(place)?;
        if known.is_none() {
            *known = files.input(kind, name);
        }
        Some(((*known)?, digest))
    }

    fn import(&mut self, image: &Image, root: usize, files: &Files) {
        if self.places.calls.is_empty() {
            self.places.calls = vec![None; image.len()];
            self.places.brought = vec![false; image.len()];
            self.places.inputs = vec![None; image.inputs()];
        }
        let mut open = vec![root];
        while let Some(place) = open.pop() {
            if self.places.brought.get(place).is_none_or(|brought| *brought) {
                continue;
            }
            self.places.brought[place] = true;
            let Some(id) = self.place(image, place) else { continue };
            let Some(entry) = image.entry(place).filter(|_| self.node(id).memo.is_none()) else { continue };
            let links = entry.links.iter().map(|target| {
                Some(match target {
                    Target::Input(place) => {
                        let (input, observed) = self.input(image, place, files)?;
                        Link { to: To::Input(input), observed }
                    }
                    Target::Call(place) => {
                        open.push(place);
                        Link { to: To::Node(self.place(image, place)?), observed: image.result(place)? }
                    }
                })
            });
            let Some(links) = links.collect::<Option<Arc<[Link]>>>() else { continue };
            self.enter(id, &links, &[]);
            self.node_mut(id).memo = Some(Memo {
                key: entry.key,
                result: entry.result,
                links,
                value: None,
                definition: Some(entry.definition),
            });
        }
    }

    /// Copies what is known of calls. Left out are calls whose function is not found by its name, that know another result
    /// of a callee than the callee does, or that are above such calls or in a circle.
    fn image(&self, files: &Files) -> Option<Maker> {
        let mut maker = Maker::default();
        let mut places: Vec<Option<u32>> = vec![None; self.all.len()];
        for at in self.callees_first() {
            let node = &self.all[at];
            let Some(memo) = &node.memo else { continue };
            let whole = memo.links.iter().all(|link| match link.to {
                To::Input(_) => true,
                To::Node(id) => {
                    let callee = self.node(id).memo.as_ref().filter(|_| places[id.0 as usize].is_some());
                    callee.is_some_and(|callee| callee.result.digest.digest() == link.observed)
                }
            });
            let function = memo.definition.filter(|_| whole).and_then(|definition| {
                let (function, fingerprint) = maker.function(definition)?;
                let own = fingerprint == memo.result.fingerprint
                    && definition.key(node.call, fingerprint) == memo.key;
                own.then_some(function)
            });
            let Some(function) = function else { continue };
            for link in &*memo.links {
                match link.to {
                    To::Input(input) => {
                        maker.input(input, link.observed, || input.input().name(files.root())).ok()?;
                    }
                    To::Node(id) => places[id.0 as usize].into_iter().for_each(|place| maker.link(place)),
                }
            }
            places[at] = Some(maker.call(node.call, memo.key, memo.result.digest.digest(), function).ok()?);
        }
        Some(maker)
    }

    /// The places of all calls, each after those that it depends on, as far as there are no circles.
    fn callees_first(&self) -> Vec<usize> {
        let mut met = vec![false; self.all.len()];
        let mut order = Vec::with_capacity(self.all.len());
        let mut open: Vec<(usize, usize)> = Vec::new();
        for root in 0..self.all.len() {
            if std::mem::replace(&mut met[root], true) {
                continue;
            }
            open.push((root, 0));
            while let Some((at, next)) = open.last_mut() {
                let links = self.all[*at].memo.as_ref().map_or(&[][..], |memo| &memo.links);
                let Some(link) = links.get(*next) else {
                    order.push(*at);
                    open.pop();
                    continue;
                };
                *next += 1;
                if let To::Node(id) = link.to
                    && !std::mem::replace(&mut met[id.0 as usize], true)
                {
                    open.push((id.0 as usize, 0));
                }
            }
        }
        order
    }
}
