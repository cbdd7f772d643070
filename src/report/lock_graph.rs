//! A graph of locks as a small SVG: an arrow from a lock that was held to the one that was wanted on top of it. Behind an order
//! cycle or a deadlock, and for a whole driver.

use std::f64::consts::TAU;
use std::fmt::Write;

use super::html::escape;
use super::timeline::Class;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 260.0;
/// Locks that the smallest picture has room for.
const NODES_AT_EASE: usize = 5;
const NODE_WIDTH: f64 = 116.0;
const NODE_HEIGHT: f64 = 30.0;

/// An arrow from the lock that was held to the one that was wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrow<'a> {
    /// The lock that was held.
    pub(crate) from: (&'a str, Class),
    /// The one that was wanted.
    pub(crate) to: (&'a str, Class),
    /// It is part of what is wrong.
    pub(crate) alarming: bool,
}

/// Draws the arrows, numbered from 1 in their order.
pub(crate) fn draw(arrows: &[Arrow<'_>]) -> String {
    let mut nodes: Vec<(&str, Class)> = Vec::new();
    for node in arrows.iter().flat_map(|arrow| [arrow.from, arrow.to]) {
        if !nodes.iter().any(|known| known.0 == node.0) {
            nodes.push(node);
        }
    }
    // More locks need a larger round.
    let more = nodes.len().saturating_sub(NODES_AT_EASE) as f64;
    let (width, height) = (WIDTH + 40.0 * more, HEIGHT + 40.0 * more);
    let place = |lock: &str| {
        let at = nodes.iter().position(|node| node.0 == lock).unwrap_or_default();
        let angle = TAU * at as f64 / nodes.len() as f64 - TAU / 2.0;
        let (across, along) = (width / 2.0 - 80.0, height / 2.0 - 38.0);
        (width / 2.0 + across * angle.cos(), height / 2.0 + along * angle.sin())
    };
    let mut svg = format!(
        "<svg class=\"graph\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"which lock was wanted while which was held\">\n\
         <defs>{}{}</defs>\n",
        head("head"),
        head("calm-head"),
    );
    for (number, arrow) in arrows.iter().enumerate() {
        let class = if arrow.alarming { "edge" } else { "edge calm" };
        curve(&mut svg, (number + 1, class), place(arrow.from.0), place(arrow.to.0));
    }
    for &(lock, class) in &nodes {
        let (x, y) = place(lock);
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect class=\"lock {}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{NODE_WIDTH}\" \
             height=\"{NODE_HEIGHT}\" rx=\"6\"/>\n<text class=\"node\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            class.name(),
            x - NODE_WIDTH / 2.0,
            y - NODE_HEIGHT / 2.0,
            y + 5.0,
            escape(lock),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The head of an arrow.
fn head(id: &str) -> String {
    format!(
        "<marker id=\"{id}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path d=\"M0 0 10 5 0 10z\"/></marker>"
    )
}

/// A curved arrow with its number, so that the way back does not lie on the way there.
fn curve(svg: &mut String, (number, class): (usize, &str), from: (f64, f64), to: (f64, f64)) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy);
    let numbered = |svg: &mut String, x: f64, y: f64| {
        let _ = writeln!(
            svg,
            "<circle class=\"badge\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>\
             <text class=\"badge\" x=\"{x:.1}\" y=\"{:.1}\">{number}</text>",
            y + 4.0
        );
    };
    if length < 1.0 {
        let top = from.1 - NODE_HEIGHT / 2.0;
        let _ = writeln!(
            svg,
            "<path class=\"{class}\" d=\"M{:.1} {top:.1}c-20 -48 44 -48 24 -2\"/>",
            from.0 - 12.0
        );
        return numbered(svg, from.0, top - 34.0);
    }
    let bend = 34.0;
    let middle = (
        f64::midpoint(from.0, to.0) - dy / length * bend,
        f64::midpoint(from.1, to.1) + dx / length * bend,
    );
    let (start, end) = (border(from, middle), border(to, middle));
    let _ = writeln!(
        svg,
        "<path class=\"{class}\" d=\"M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}\"/>",
        start.0, start.1, middle.0, middle.1, end.0, end.1
    );
    let on_curve = |a: f64, b: f64, c: f64| 0.25 * a + 0.5 * b + 0.25 * c;
    numbered(svg, on_curve(start.0, middle.0, end.0), on_curve(start.1, middle.1, end.1));
}

/// Where the line from a node's centre towards a point leaves the node's box.
fn border(centre: (f64, f64), towards: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (towards.0 - centre.0, towards.1 - centre.1);
    let across = (NODE_WIDTH / 2.0 + 2.0) / dx.abs().max(1e-6);
    let along = (NODE_HEIGHT / 2.0 + 2.0) / dy.abs().max(1e-6);
    let step = across.min(along).min(1.0);
    (centre.0 + dx * step, centre.1 + dy * step)
}
