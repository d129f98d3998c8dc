//! A graph for graphviz.

use super::nodes::{Graph, Kind, Means};

/// The graph in the language of `dot`.
pub(super) fn written(graph: &Graph) -> String {
    let mut text = String::from("digraph governance {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    for kind in Kind::ALL {
        let shape = match kind {
            Kind::Principal => "ellipse",
            Kind::Capability => "note",
            Kind::Stage => "box",
            Kind::Gate => "hexagon",
        };
        for (at, node) in graph.nodes.iter().enumerate().filter(|(_, node)| node.kind == kind) {
            text.push_str(&format!("  n{at} [shape={shape}, label={}];\n", quoted(&node.name)));
        }
    }
    for edge in &graph.edges {
        let style = match edge.means {
            Means::Does => " [style=bold, color=darkgreen, constraint=false]",
            Means::Before => " [style=dashed, constraint=false]",
            Means::Has | Means::ForStage | Means::Gate => "",
        };
        text.push_str(&format!("  n{} -> n{}{style};\n", edge.from, edge.to));
    }
    text + "}\n"
}

/// A text as `dot` reads it. Names have no backslash and no quote; a picture does not rest on that.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
