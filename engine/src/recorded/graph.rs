//! A part of the recorded graph in memory, and what can be asked of it. It must not recurse: chains of calls can be a
//! million deep.

use std::time::Duration;

use fleche_store::{CallId, Dependency, DependencyId};
use foldhash::HashMap;
use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, EdgeRef, Reversed};

use super::{Link, Node, RecordedCall, RecordedInput, recorded_input};

/// Calls and inputs, each call linked to what it observed.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub(super) graph: DiGraph<Node, Link>,
    by_id: HashMap<DependencyId, NodeIndex>,
}

/// A way down through a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    /// The calls, the one that depends on all others first.
    pub calls: Vec<CallId>,
    /// How long their own parts took together; zero if no record says.
    pub time: Duration,
}

fn id_of(call: CallId) -> DependencyId {
    DependencyId::new(call.digest())
}

impl Graph {
    pub(super) fn add_call(&mut self, call: RecordedCall) -> NodeIndex {
        let graph = &mut self.graph;
        *self.by_id.entry(id_of(call.id)).or_insert_with(|| graph.add_node(Node::Call(Box::new(call))))
    }

    pub(super) fn add_input(&mut self, input: &Dependency) -> NodeIndex {
        let graph = &mut self.graph;
        *self.by_id.entry(input.id()).or_insert_with(|| graph.add_node(Node::Input(recorded_input(input))))
    }

    pub(super) fn link(&mut self, from: CallId, to: &Dependency, link: Link) {
        let to = match to {
            Dependency::Call(call) => self.add_call(RecordedCall::new(*call, None)),
            Dependency::Input { .. } => self.add_input(to),
        };
        if let Some(from) = self.by_id.get(&id_of(from)) {
            self.graph.add_edge(*from, to, link);
        }
    }

    fn index(&self, of: &Dependency) -> Option<NodeIndex> {
        self.by_id.get(&of.id()).copied()
    }

    /// Whether the call is part of it.
    pub fn contains(&self, call: CallId) -> bool {
        self.by_id.contains_key(&id_of(call))
    }

    /// What is known of a call that is part of it.
    pub fn call(&self, call: CallId) -> Option<&RecordedCall> {
        match &self.graph[*self.by_id.get(&id_of(call))?] {
            Node::Call(call) => Some(call),
            Node::Input(_) => None,
        }
    }

    /// A call or an input that is part of it.
    pub fn node(&self, of: &Dependency) -> Option<&Node> {
        self.index(of).map(|index| &self.graph[index])
    }

    /// Calls and inputs, in the order in which they were met.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.graph.node_weights()
    }

    /// The calls, in the order in which they were met.
    pub fn calls(&self) -> impl Iterator<Item = &RecordedCall> {
        self.nodes().filter_map(|node| match node {
            Node::Call(call) => Some(&**call),
            Node::Input(_) => None,
        })
    }

    /// The inputs, in the order in which they were met.
    pub fn inputs(&self) -> impl Iterator<Item = &RecordedInput> {
        self.nodes().filter_map(|node| match node {
            Node::Call(_) => None,
            Node::Input(input) => Some(input),
        })
    }

    /// Each call with what it observed.
    pub fn links(&self) -> impl Iterator<Item = (&Node, &Node, Link)> {
        self.graph.edge_references().map(|edge| {
            let end = |index: NodeIndex| &self.graph[index];
            (end(edge.source()), end(edge.target()), *edge.weight())
        })
    }

    /// What a call observed itself, in the order of its trace.
    pub fn direct_dependencies(&self, of: CallId) -> Vec<&Node> {
        self.neighbours(&Dependency::Call(of), Direction::Outgoing)
    }

    /// The calls that observed this themselves.
    pub fn direct_dependents(&self, of: &Dependency) -> Vec<&RecordedCall> {
        calls_of(self.neighbours(of, Direction::Incoming))
    }

    fn neighbours(&self, of: &Dependency, direction: Direction) -> Vec<&Node> {
        let Some(index) = self.index(of) else { return Vec::new() };
        // The newest edge comes first.
        let mut found: Vec<_> =
            self.graph.neighbors_directed(index, direction).map(|index| &self.graph[index]).collect();
        found.reverse();
        found
    }

    /// Everything that a call depends on, without itself.
    pub fn all_dependencies(&self, of: CallId) -> Vec<&Node> {
        let Some(start) = self.index(&Dependency::Call(of)) else { return Vec::new() };
        let mut walk = Dfs::new(&self.graph, start);
        let mut found = Vec::new();
        while let Some(index) = walk.next(&self.graph) {
            found.push(index);
        }
        found.into_iter().filter(|index| *index != start).map(|index| &self.graph[index]).collect()
    }

    /// Everything that depends on this, without itself.
    pub fn all_dependents(&self, of: &Dependency) -> Vec<&RecordedCall> {
        let Some(start) = self.index(of) else { return Vec::new() };
        let reversed = Reversed(&self.graph);
        let mut walk = Dfs::new(reversed, start);
        let mut found = Vec::new();
        while let Some(index) = walk.next(reversed) {
            found.push(index);
        }
        calls_of(found.into_iter().filter(|index| *index != start).map(|index| &self.graph[index]).collect())
    }

    /// The circles among calls. Records of one program have none; those of several versions can.
    pub fn cycles(&self) -> Vec<Vec<CallId>> {
        let circles = kosaraju_scc(&self.graph);
        circles
            .into_iter()
            .filter(|members| members.len() > 1 || self.graph.contains_edge(members[0], members[0]))
            .map(|members| {
                members.into_iter().filter_map(|member| Some(self.call_at(member)?.id)).collect::<Vec<_>>()
            })
            .collect()
    }

    fn call_at(&self, index: NodeIndex) -> Option<&RecordedCall> {
        match &self.graph[index] {
            Node::Call(call) => Some(call),
            Node::Input(_) => None,
        }
    }

    /// How many calls deep the graph is: 1 for a call that depends on inputs alone. Calls that go round in a circle
    /// count as one.
    pub fn depth(&self) -> usize {
        let (_, ways) = self.longest(|_| Duration::ZERO);
        ways.iter().map(|way| way.length).max().unwrap_or_default()
    }

    /// The chain of calls that took longest, each without its nested calls: what to make faster first. Where no record
    /// says how long it took, the chain with most calls.
    pub fn critical_path(&self) -> Path {
        let own = |call: &RecordedCall| call.time.map(|time| time.own).unwrap_or_default();
        let (components, ways) = self.longest(own);
        let mut at = (0..ways.len()).max_by_key(|at| (ways[*at].time, ways[*at].length));
        let mut path = Path { calls: Vec::new(), time: at.map(|start| ways[start].time).unwrap_or_default() };
        while let Some(component) = at {
            path.calls
                .extend(components[component].iter().filter_map(|index| Some(self.call_at(*index)?.id)));
            at = ways[component].next;
        }
        path
    }

    /// For each component, those that it depends on first, the longest way down.
    fn longest(&self, own: impl Fn(&RecordedCall) -> Duration) -> (Vec<Vec<NodeIndex>>, Vec<Way>) {
        let components = kosaraju_scc(&self.graph);
        let mut component_of = vec![0; self.graph.node_count()];
        for (at, members) in components.iter().enumerate() {
            for member in members {
                component_of[member.index()] = at;
            }
        }
        let mut ways: Vec<Way> = Vec::with_capacity(components.len());
        for (at, members) in components.iter().enumerate() {
            let calls = members.iter().filter_map(|member| self.call_at(*member));
            let (count, time) =
                calls.fold((0, Duration::ZERO), |(count, time), call| (count + 1, time + own(call)));
            let next = members
                .iter()
                .flat_map(|member| self.graph.neighbors(*member))
                .map(|below| component_of[below.index()])
                .filter(|below| *below != at)
                .max_by_key(|below| (ways[*below].time, ways[*below].length));
            let below = next.map_or((Duration::ZERO, 0), |next| (ways[next].time, ways[next].length));
            ways.push(Way { time: time + below.0, length: usize::from(count > 0) + below.1, next });
        }
        (components, ways)
    }
}

struct Way {
    time: Duration,
    length: usize,
    next: Option<usize>,
}

fn calls_of(nodes: Vec<&Node>) -> Vec<&RecordedCall> {
    nodes
        .into_iter()
        .filter_map(|node| match node {
            Node::Call(call) => Some(&**call),
            Node::Input(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use fleche_store::{Digest, ValueDigest};

    use super::*;
    use crate::recorded::Time;

    fn call(name: u32) -> CallId {
        CallId::of(&name.to_string(), "p", "m", std::iter::empty::<ValueDigest>())
    }

    fn graph(times: &[u64], links: &[(u32, u32)]) -> Graph {
        let mut graph = Graph::default();
        for (name, millis) in times.iter().enumerate() {
            let time = Duration::from_millis(*millis);
            graph.add_call(RecordedCall {
                function: name.to_string(),
                time: (*millis > 0).then_some(Time { took: time, own: time }),
                ..RecordedCall::new(call(u32::try_from(name).unwrap()), None)
            });
        }
        for (from, to) in links {
            let link = Link { observed: Digest::of(b"x"), newest: true };
            graph.link(call(*from), &Dependency::Call(call(*to)), link);
        }
        graph
    }

    #[test]
    fn the_critical_path_goes_by_time_where_there_is_any() {
        // 0 → 1 → 2 → 3 is longer, 0 → 4 takes longer.
        let links = [(0, 1), (1, 2), (2, 3), (0, 4)];
        let without = graph(&[0; 5], &links);
        assert_eq!(without.critical_path().calls, [call(0), call(1), call(2), call(3)]);
        let with = graph(&[1, 1, 1, 1, 50], &links);
        assert_eq!(
            with.critical_path(),
            Path { calls: vec![call(0), call(4)], time: Duration::from_millis(51) }
        );
        assert_eq!((without.depth(), with.depth()), (4, 4));
    }

    #[test]
    fn circles_are_found_and_count_as_one() {
        let graph = graph(&[0; 5], &[(0, 1), (1, 2), (2, 1), (2, 3), (4, 4)]);
        let sorted = |mut cycles: Vec<Vec<CallId>>| {
            for cycle in &mut cycles {
                cycle.sort();
            }
            cycles.sort();
            cycles
        };
        assert_eq!(sorted(graph.cycles()), sorted(vec![vec![call(1), call(2)], vec![call(4)]]));
        assert_eq!(graph.depth(), 3);
    }

    #[test]
    fn a_chain_of_any_depth_does_not_overflow_the_stack() {
        let count = 200_000;
        let links: Vec<_> = (1..count).map(|to| (to - 1, to)).collect();
        let graph = graph(&vec![0; count as usize], &links);
        assert_eq!(graph.depth(), count as usize);
        assert_eq!(graph.critical_path().calls.len(), count as usize);
        assert_eq!(graph.all_dependencies(call(0)).len(), count as usize - 1);
        assert_eq!(graph.all_dependents(&Dependency::Call(call(count - 1))).len(), count as usize - 1);
        assert!(graph.cycles().is_empty());
    }
}
