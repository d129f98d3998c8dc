//! A graph as a picture: a column for each kind, and in each column who is near what it is connected with.

use super::nodes::{Graph, Kind, Means};

/// Width of a box.
const BOX: usize = 260;
/// Height of a box.
const TALL: usize = 28;
/// From one column to the next.
const COLUMN: usize = 380;
/// From one row to the next.
const ROW: usize = 44;
/// Around all of it.
const EDGE: usize = 20;
/// Letters that a box has room for.
const LETTERS: usize = 36;

/// The graph as an SVG document.
pub(super) fn drawn(graph: &Graph) -> String {
    let places = places(graph);
    let rows = places.iter().map(|(_, row)| row + 1).max().unwrap_or(1);
    let (width, height) = (2 * EDGE + COLUMN * (Kind::ALL.len() - 1) + BOX, 2 * EDGE + ROW * (rows + 1));
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (column, kind) in Kind::ALL.into_iter().enumerate() {
        let (x, y) = (EDGE + COLUMN * column, EDGE + 14);
        text.push_str(&format!("<text x=\"{x}\" y=\"{y}\" font-weight=\"bold\">{}</text>\n", kind.title()));
    }
    for edge in &graph.edges {
        text.push_str(&line(places[edge.from], places[edge.to], edge.means));
    }
    for (node, place) in graph.nodes.iter().zip(&places) {
        let (x, y) = corner(*place);
        let colour = match node.kind {
            Kind::Principal => "#e8f0fe",
            Kind::Capability => "#fff8e1",
            Kind::Stage => "#e6f4ea",
            Kind::Gate => "#fce8e6",
        };
        let name = escaped(&node.name);
        text.push_str(&format!(
            "<g><title>{name}</title><rect x=\"{x}\" y=\"{y}\" width=\"{BOX}\" height=\"{TALL}\" rx=\"5\" fill=\"{colour}\" \
             stroke=\"#5f6368\"/><text x=\"{}\" y=\"{}\">{}</text></g>\n",
            x + 8,
            y + 19,
            escaped(&crate::output::cut(&node.name, LETTERS))
        ));
    }
    text + "</svg>\n"
}

/// Column and row of each node. A row follows the mean of those that a node is connected with, from left to right and back.
fn places(graph: &Graph) -> Vec<(usize, usize)> {
    let column = |kind: Kind| Kind::ALL.iter().position(|known| *known == kind).unwrap_or_default();
    let mut places: Vec<(usize, usize)> = graph.nodes.iter().map(|node| (column(node.kind), 0)).collect();
    let count = Kind::ALL.len();
    let number = |places: &mut Vec<(usize, usize)>, order: &[usize]| {
        order.iter().enumerate().for_each(|(row, node)| places[*node].1 = row);
    };
    for column in 0..count {
        let order: Vec<usize> = (0..places.len()).filter(|node| places[*node].0 == column).collect();
        number(&mut places, &order);
    }
    // Stages stay in their order: that is what people read them for.
    let stages = column(Kind::Stage);
    for column in (0..count).chain((0..count).rev()).filter(|column| *column != stages) {
        let mut order: Vec<usize> = (0..places.len()).filter(|node| places[*node].0 == column).collect();
        let mean = |node: usize| {
            let ends = graph.edges.iter().filter_map(|edge| match (edge.from == node, edge.to == node) {
                (true, _) => Some(places[edge.to]),
                (_, true) => Some(places[edge.from]),
                _ => None,
            });
            let rows: Vec<usize> = ends.filter(|(near, _)| *near != column).map(|(_, row)| row).collect();
            if rows.is_empty() { places[node].1 * 100 } else { rows.iter().sum::<usize>() * 100 / rows.len() }
        };
        order.sort_by_key(|node| (mean(*node), *node));
        number(&mut places, &order);
    }
    places
}

fn corner((column, row): (usize, usize)) -> (usize, usize) {
    (EDGE + COLUMN * column, EDGE + ROW * (row + 1) - TALL / 2)
}

fn line(from: (usize, usize), to: (usize, usize), means: Means) -> String {
    let ((x1, y1), (x2, y2)) = (corner(from), corner(to));
    let (y1, y2) = (y1 + TALL / 2, y2 + TALL / 2);
    let style = match means {
        Means::Does => "stroke=\"#188038\" stroke-width=\"2.5\"",
        Means::Before => "stroke=\"#5f6368\" stroke-dasharray=\"4 3\"",
        Means::Has | Means::ForStage | Means::Gate => "stroke=\"#9aa0a6\"",
    };
    // Between boxes of one column the line goes around on their right.
    let (x1, x2, bend) = if from.0 == to.0 {
        (x1 + BOX, x2 + BOX, x1 + BOX + 40)
    } else {
        (x1 + BOX, x2, usize::midpoint(x1 + BOX, x2))
    };
    format!("<path d=\"M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}\" fill=\"none\" {style}/>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
