//! Frames: what one running body has read so far, and why its result may not be kept.
//!
//! A frame must never lose an edge silently: whatever a body observed is in its trace, in the order observed, or
//! the frame is tainted.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use fleche_store::{CallId, Digest};
use foldhash::{HashMap, HashMapExt};

use crate::cache::Cache;
use crate::input::InputId;
use crate::revision::Revision;

/// What a body depends on, as it is recorded while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dep {
    /// An input.
    Input(InputId),
    /// A nested call, by identity.
    Call(CallId),
}

/// A dependency and the digest it was observed to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) dep: Dep,
    pub(crate) observed: Digest,
}

/// Why a frame's result is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Taint {
    /// A nested cached call failed, and failures are not kept.
    FailedCall(CallId),
    /// A tracked read failed for another reason than absence.
    FailedRead(String),
    /// Inputs changed while the body ran.
    Changed,
    /// The host said so.
    Told(String),
    /// A nested call's result could not be named.
    Unkept,
    /// The call, or one below it, was cancelled.
    Cancelled,
}

/// What a frame on a thread's stack is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The body of a call.
    Run(CallId),
    /// A piece of a body's work, on this thread or another.
    Branch,
    /// Keeps what happens while a trace is verified apart from the bodies further out.
    Verify,
}

/// One entry of a thread's stack.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) purpose: Purpose,
    /// The function's full name, for whoever has to be told of a cycle.
    pub(crate) name: Cow<'static, str>,
    pub(crate) cache: Cache,
    pub(crate) revision: Arc<Revision>,
    edges: Vec<Seen>,
    /// Filled once there are many edges; until then they are searched.
    places: HashMap<Dep, usize>,
    taint: Option<Taint>,
    /// Metadata for the record.
    pub(crate) meta: Vec<(String, String)>,
    /// How long nested calls ran.
    pub(crate) nested: Duration,
}

const FEW: usize = 12;

impl Frame {
    pub(crate) fn new(purpose: Purpose, cache: Cache, revision: Arc<Revision>) -> Self {
        let name = Cow::Borrowed("");
        Self {
            purpose,
            name,
            cache,
            revision,
            edges: Vec::new(),
            places: HashMap::new(),
            taint: None,
            meta: Vec::new(),
            nested: Duration::ZERO,
        }
    }

    /// The frame, under the function's name.
    pub(crate) fn named(mut self, name: Cow<'static, str>) -> Self {
        self.name = name;
        self
    }

    /// Records a dependency. The second observation of one adds nothing if it agrees with the first, and
    /// taints the frame if it does not.
    pub(crate) fn record(&mut self, dep: Dep, observed: Digest) {
        if self.purpose == Purpose::Verify {
            return;
        }
        let before = if self.places.is_empty() {
            self.edges.iter().position(|edge| edge.dep == dep)
        } else {
            self.places.get(&dep).copied()
        };
        match before {
            Some(at) if self.edges[at].observed == observed => {}
            Some(_) => self.taint(Taint::Changed),
            None => {
                if self.edges.len() == FEW {
                    self.places = self.edges.iter().enumerate().map(|(at, edge)| (edge.dep, at)).collect();
                }
                if self.edges.len() >= FEW {
                    self.places.insert(dep, self.edges.len());
                }
                self.edges.push(Seen { dep, observed });
            }
        }
    }

    /// What it has observed up to now.
    pub(crate) fn seen(&self) -> &[Seen] {
        &self.edges
    }

    /// Taints the frame; the first reason is kept.
    pub(crate) fn taint(&mut self, reason: Taint) {
        if self.purpose != Purpose::Verify {
            self.taint.get_or_insert(reason);
        }
    }

    /// Adds what a branch recorded, in its order.
    pub(crate) fn merge(&mut self, branch: Self) {
        self.nested += branch.nested;
        for edge in branch.edges {
            self.record(edge.dep, edge.observed);
        }
        if let Some(reason) = branch.taint {
            self.taint(reason);
        }
    }

    /// The trace, or why there is none.
    pub(crate) fn finish(self) -> Result<Vec<Seen>, Taint> {
        match self.taint {
            // Whatever else happened, happened in no picture that there was.
            _ if self.revision.is_broken() => Err(Taint::Changed),
            Some(taint) => Err(taint),
            None => Ok(self.edges),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let call = CallId::of("f", "p", "m", std::iter::empty::<fleche_store::ValueDigest>());
        Frame::new(Purpose::Run(call), Cache::void(), Arc::new(Revision::new()))
    }

    fn input(name: usize) -> Dep {
        Dep::Input(crate::input::file(format!("/{name}").as_ref()))
    }

    #[test]
    fn edges_keep_their_order_and_are_there_once_however_many() {
        let mut frame = frame();
        for name in (0..40).chain(0..40).chain([3, 7]) {
            frame.record(input(name), Digest::of(b"x"));
        }
        let names: Vec<Dep> = frame.finish().unwrap().into_iter().map(|edge| edge.dep).collect();
        assert_eq!(names, (0..40).map(input).collect::<Vec<_>>());
    }

    #[test]
    fn a_dependency_observed_with_two_digests_taints() {
        let mut frame = frame();
        frame.record(input(1), Digest::of(b"x"));
        frame.record(input(1), Digest::of(b"y"));
        assert_eq!(frame.finish(), Err(Taint::Changed));
    }
}
