//! The recorded graph as text for other programs: Graphviz, Mermaid, JSON. It knows nothing of terminals.

use std::fmt::Write as _;

use fleche_store::Dependency;
use petgraph::visit::{EdgeRef, IntoNodeReferences};
use serde_json::{Value, json};

use super::graph::Graph;
use super::{Node, RecordedCall};

impl Graph {
    /// For Graphviz. Calls are boxes and inputs are notes; what only older records name is dashed.
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph recorded {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
        for (index, node) in self.graph.node_references() {
            let shape = match node {
                Node::Call(_) => "box",
                Node::Input(_) => "note",
            };
            let label = quoted(&node.label());
            let _ = write!(text, "  n{} [shape={shape}, label={label}", index.index());
            if let Node::Call(call) = node {
                let _ = write!(text, ", tooltip={}", quoted(&tooltip(call)));
            }
            text.push_str("];\n");
        }
        for edge in self.graph.edge_references() {
            let style = if edge.weight().newest { "" } else { " [style=dashed]" };
            let _ = writeln!(text, "  n{} -> n{}{style};", edge.source().index(), edge.target().index());
        }
        text.push_str("}\n");
        text
    }

    /// For Mermaid.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (index, node) in self.graph.node_references() {
            let label = entities(&node.label());
            let _ = match node {
                Node::Call(_) => writeln!(text, "  n{}[\"{label}\"]", index.index()),
                Node::Input(_) => writeln!(text, "  n{}[/\"{label}\"/]", index.index()),
            };
        }
        for edge in self.graph.edge_references() {
            let arrow = if edge.weight().newest { "-->" } else { "-.->" };
            let _ = writeln!(text, "  n{} {arrow} n{}", edge.source().index(), edge.target().index());
        }
        text
    }

    /// One object with `nodes` and `links`; a link's `from` and `to` are places among the nodes.
    pub fn to_json(&self) -> Value {
        let nodes: Vec<Value> = self.graph.node_weights().map(node_as_json).collect();
        let links: Vec<Value> = self
            .graph
            .edge_references()
            .map(|edge| {
                json!({
                    "from": edge.source().index(),
                    "to": edge.target().index(),
                    "observed": edge.weight().observed.to_string(),
                    "newest": edge.weight().newest,
                })
            })
            .collect();
        json!({ "nodes": nodes, "links": links })
    }
}

fn node_as_json(node: &Node) -> Value {
    match node {
        Node::Call(call) => {
            let mut value = json!({ "kind": "call", "call": call.id.to_string(), "label": call.label() });
            if let Some(result) = call.result {
                value["function"] = call.function.clone().into();
                value["package"] = call.package.clone().into();
                value["module"] = call.module.clone().into();
                value["result"] = result.to_string().into();
                value["created_ms"] = call.created_ms.into();
            }
            if let Some(time) = call.time {
                value["took_us"] = u64::try_from(time.took.as_micros()).unwrap_or(u64::MAX).into();
                value["own_us"] = u64::try_from(time.own.as_micros()).unwrap_or(u64::MAX).into();
            }
            value
        }
        Node::Input(input) => {
            let kind = match input.dependency {
                Dependency::Input { kind, .. } => kind,
                Dependency::Call(_) => 0,
            };
            json!({ "kind": "input", "sort": kind, "name": input.name, "label": input.name })
        }
    }
}

fn tooltip(call: &RecordedCall) -> String {
    match call.result {
        Some(_) => format!("{} {}", call.function, call.id.digest().short()),
        None => "no record is kept".to_owned(),
    }
}

/// A string of Graphviz.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    format!("\"{text}\"")
}

/// Text for between the quotation marks of Mermaid, which reads some HTML.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("#quot;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '#' => out.push_str("#35;"),
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out() {
        assert_eq!(quoted("a\"b\\\n"), "\"a\\\"b\\\\ \"");
        assert_eq!(entities("a\"<b>#&\n"), "a#quot;#lt;b#gt;#35;#amp; ");
    }
}
