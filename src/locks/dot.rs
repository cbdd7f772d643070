//! The lock-order graph for Graphviz: `dot -Tsvg`.

use std::fmt::Write;

use super::LockMap;
use crate::report::number::grouped;

/// The graph in Graphviz' language.
#[must_use]
pub fn dot(map: &LockMap) -> String {
    let mut out = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n  \
         edge [fontname=\"sans-serif\", fontsize=10];\n",
        quoted(&format!("locks of {}", map.driver))
    );
    for lock in &map.locks {
        let waited = if lock.waited == 0 {
            String::new()
        } else {
            format!("\\nwaited for {} times", grouped(lock.waited))
        };
        let name = quoted(&lock.lock);
        // The quotes of the name close after the line break, which is Graphviz' own.
        let label = format!("{}{waited}\"", &name[..name.len() - 1]);
        // A string takes whatever is written.
        let _ = writeln!(out, "  {name} [label={label}];");
    }
    for order in &map.orders {
        let red = if order.in_cycle { ", color=red, penwidth=2" } else { "" };
        let _ = writeln!(
            out,
            "  {} -> {} [label={}, tooltip={}{red}];",
            quoted(&order.held),
            quoted(&order.taken),
            quoted(&grouped(order.times)),
            quoted(&order.callbacks.join(", ")),
        );
    }
    out.push_str("}\n");
    out
}

/// A string of Graphviz' language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_do_not_end_a_string() {
        assert_eq!(super::quoted("a\"b\\"), "\"a\\\"b\\\\\"");
    }
}
