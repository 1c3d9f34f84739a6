//! What the graph holds is bounded.

use std::sync::Arc;

use fleche_store::{Bytes, CallId, CallKey, Digest, Stored, TypeFingerprint, ValueDigest};

use super::{Graph, Link, MOST_VALUE_BYTES, Memo, NodeId, To};
use crate::cache::Cache;
use crate::revision::Revision;
use crate::{scope, thread};

fn call(n: usize) -> CallId {
    CallId::of(&n.to_string(), "p", "m", std::iter::empty::<ValueDigest>())
}

/// A memo with these links.
fn memo(links: &[Link], value: Option<Bytes>) -> Memo {
    let digest = Digest::of(b"x");
    let result = Stored { digest: ValueDigest::new(digest), fingerprint: TypeFingerprint(1) };
    Memo { key: CallKey::new(digest), result, links: Arc::from(links), value, definition: None }
}

#[test]
fn values_at_hand_have_a_bound() {
    let (graph, revision) = (Graph::new(), Revision::new());
    let mut bytes = rkyv::util::AlignedVec::new();
    bytes.resize(16 << 20, 0);
    // One that all share, so that the test has no need of all that memory.
    let value = Bytes::owned(bytes);
    let most = MOST_VALUE_BYTES / (16 << 20);
    let nodes: Vec<NodeId> = (0..most + 10).map(|n| graph.node(call(n))).collect();
    let at_hand =
        || nodes.iter().filter(|id| graph.memo(**id).is_some_and(|memo| memo.value.is_some())).count();
    for (n, id) in nodes.iter().enumerate() {
        graph.install(*id, memo(&[], Some(value.clone())), true, &revision);
        assert!(at_hand() <= most, "{} after {n}", at_hand());
        assert!(graph.memo(*id).is_some_and(|memo| memo.value.is_some()), "the last one is");
    }
    assert!(nodes.iter().all(|id| graph.memo(*id).is_some()), "only values are let go");
}

#[test]
fn traces_that_alternate_leave_few_dependents() {
    let (graph, revision) = (Graph::new(), Revision::new());
    let callees = [graph.node(call(0)), graph.node(call(1))];
    for id in callees {
        graph.install(id, memo(&[], None), true, &revision);
    }
    let link = |callee: NodeId| Link { to: To::Node(callee), observed: Digest::of(b"x") };
    let callers: Vec<NodeId> = (2..12).map(|n| graph.node(call(n))).collect();
    for round in 0..1_000 {
        let now = callees[round % 2];
        for caller in &callers {
            graph.install(*caller, memo(&[link(now)], None), true, &revision);
        }
        let nodes = graph.nodes.read();
        assert!(callers.iter().all(|caller| nodes.dependents(now).contains(caller)), "one is forgotten");
        for callee in callees {
            assert!(nodes.dependents(callee).len() <= 64, "{}", nodes.dependents(callee).len());
        }
    }
}

#[test]
fn a_graph_that_is_given_back_is_dropped_with_the_last_call_that_uses_it() {
    let cache = Cache::memory();
    cache.set_node_budget(1);
    let in_scope = scope::cache(&cache).unwrap();
    assert!(thread::with(|thread| thread.peek_short(b"not known")).is_none());
    let under_way = cache.graph();
    assert_eq!([0, 1].map(|n| under_way.call(under_way.node(call(n)))), [0, 1].map(call));
    let old = Arc::downgrade(&under_way);
    assert!(!Arc::ptr_eq(&cache.graph_for_top(), &under_way));
    drop(under_way);
    // A thread that made a call has it at hand until it makes another or has no cache any more.
    drop(in_scope);
    assert!(old.upgrade().is_none());
}
