//! A graph as a picture that stands on its own: no script, no font, no reference to anything outside.

use super::{Graph, Kind, Node};
use std::fmt::Write;

pub const NODE_WIDTH: f64 = 216.0;
pub const NODE_HEIGHT: f64 = 48.0;

/// About as many letters as there is room for on a node's two lines, of a name in capitals and of a detail.
const NAME_LETTERS_MAX: usize = 24;
const DETAIL_LETTERS_MAX: usize = 33;

/// Both schemes; a viewer that knows none shows the light one. Contrasts are those of WCAG AA.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1b2430}.d{font-size:11px;fill:#4a5666}\
rect{fill:#fff;stroke:#5b6b7f;stroke-width:1.2}path{fill:none;stroke:#76869b;stroke-width:1.4}\
marker path{fill:#76869b;stroke:none}\
.topic rect{fill:#eef1f5}.stream rect{fill:#e3f0fb;stroke:#1f6fb2}.table rect{fill:#e5f4e8;stroke:#2b7a3e}\
.query rect{fill:#fff6df;stroke:#94690a}.sink rect{fill:#f5e8f7;stroke:#8a3d97}\
@media(prefers-color-scheme:dark){text{fill:#e8edf3}.d{fill:#aab6c4}rect{fill:#1d242d;stroke:#8b9bb0}\
path{stroke:#8b9bb0}marker path{fill:#8b9bb0}.topic rect{fill:#262f3a}.stream rect{fill:#12304a;stroke:#5aa9e6}\
.table rect{fill:#143320;stroke:#5fbf77}.query rect{fill:#3a2e0e;stroke:#d9a83a}.sink rect{fill:#361c3b;stroke:#cf83dd}}";

/// The picture as an SVG document.
pub fn svg(graph: &Graph) -> String {
    let mut out = String::new();
    let (width, height) = (graph.width.max(1.0), graph.height.max(1.0));
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"flow of {} nodes\">\n<style>{STYLE}</style>\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n",
        graph.nodes.len()
    );
    for edge in &graph.edges {
        let _ = writeln!(out, "<path d=\"{}\" marker-end=\"url(#a)\"/>", curve(&edge.points));
    }
    graph.nodes.iter().for_each(|node| write_node(&mut out, node));
    out.push_str("</svg>\n");
    out
}

fn write_node(out: &mut String, node: &Node) {
    let Node { kind, name, detail, x, y, width, height, .. } = node;
    let detail = if detail.is_empty() { kind.word().into() } else { format!("{} · {detail}", kind.word()) };
    // Ends of different roundness tell the kinds apart without colour.
    let radius = match kind {
        Kind::Query => height / 2.0,
        Kind::Topic | Kind::Sink => 2.0,
        Kind::Stream | Kind::Table => 8.0,
    };
    let _ = writeln!(
        out,
        "<g class=\"{}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" \
         rx=\"{radius}\"/><text x=\"{tx}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text class=\"d\" x=\"{tx}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>",
        kind.word(),
        escaped(&format!("{} {name}", kind.word())),
        y + 20.0,
        escaped(&shortened(name, NAME_LETTERS_MAX)),
        y + 36.0,
        escaped(&shortened(&detail, DETAIL_LETTERS_MAX)),
        tx = x + width / 2.0,
    );
}

/// A line through the points that leaves and arrives level.
pub fn curve(points: &[(f64, f64)]) -> String {
    let Some(((x, y), rest)) = points.split_first() else { return String::new() };
    let mut path = format!("M{x} {y}");
    let mut last = (*x, *y);
    for &(x, y) in rest {
        if y == last.1 {
            let _ = write!(path, "L{x} {y}");
        } else {
            let middle = (last.0 + x) / 2.0;
            let _ = write!(path, "C{middle} {} {middle} {y} {x} {y}", last.1);
        }
        last = (x, y);
    }
    path
}

fn shortened(text: &str, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text.into();
    }
    text.chars().take(letters_max - 1).chain(['…']).collect()
}

/// Text that is no mark-up, whatever is in it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no place for the others.
            c if c < ' ' && !matches!(c, '\t' | '\n' | '\r') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
