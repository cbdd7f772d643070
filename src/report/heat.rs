//! Grids as pictures: heat maps in SVG, and a page with all of them.

use std::fmt::Write;

use super::html::{document, escape};
use super::number::grouped;
use super::survey::{Grid, Survey};

/// Size of a cell, in pixels.
const CELL: usize = 34;
/// Space for the names of rows, and of columns, which stand on end.
const NAMES: (usize, usize) = (170, 150);
/// Space above the grid.
const TITLE: usize = 26;

/// A grid as SVG. A cell's colour tells the order of magnitude of its number, which is written in it.
#[must_use]
pub fn svg(grid: &Grid) -> String {
    let (left, top) = (NAMES.0, TITLE + NAMES.1);
    let width = left + CELL * grid.columns.len().max(1) + 20;
    let height = top + CELL * grid.rows.len() + 10;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\" role=\"img\">\n\
         <title>{title}</title>\n\
         <text x=\"4\" y=\"16\" font-size=\"13\" font-weight=\"bold\" fill=\"currentColor\">{title}{of}</text>\n",
        title = escape(grid.title),
        of = escape(&of(grid)),
    );
    for (number, name) in grid.columns.iter().enumerate() {
        let (x, y) = (left + CELL * number + CELL / 2 + 4, top - 6);
        let name = escape(name);
        put(
            &mut out,
            format_args!(
                "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-60 {x} {y})\" fill=\"currentColor\">{name}</text>\n"
            ),
        );
    }
    let most = grid.cells.iter().flatten().copied().max().unwrap_or_default();
    for (number, (name, cells)) in grid.rows.iter().zip(&grid.cells).enumerate() {
        let y = top + CELL * number;
        let (x, middle, name) = (left - 6, y + CELL / 2 + 4, escape(name));
        put(
            &mut out,
            format_args!(
                "<text x=\"{x}\" y=\"{middle}\" text-anchor=\"end\" fill=\"currentColor\">{name}</text>\n"
            ),
        );
        for (column, &count) in cells.iter().enumerate() {
            cell(&mut out, (left + CELL * column, y), count, most);
        }
    }
    out.push_str("</svg>\n");
    out
}

fn cell(out: &mut String, (x, y): (usize, usize), count: u64, most: u64) {
    let (fill, ink) = colours(count, most);
    let side = CELL - 1;
    put(
        out,
        format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" fill=\"{fill}\"><title>{}</title></rect>\n",
            grouped(count)
        ),
    );
    if count > 0 {
        let (x, y) = (x + CELL / 2, y + CELL / 2 + 4);
        put(
            out,
            format_args!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" fill=\"{ink}\">{}</text>\n",
                short(count)
            ),
        );
    }
}

/// Colour of a cell, and of the number in it: from pale to dark with the logarithm.
fn colours(count: u64, most: u64) -> (String, &'static str) {
    if count == 0 {
        return ("#8882".into(), "#888");
    }
    let share = if most > 1 { (count as f64).ln() / (most as f64).ln() } else { 1.0 };
    let lightness = 88.0 - 58.0 * share;
    (format!("hsl(212 70% {lightness:.0}%)"), if lightness < 60.0 { "#fff" } else { "#000" })
}

/// A number in at most four characters.
fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

/// How much of what is possible was reached.
#[must_use]
pub fn of(grid: &Grid) -> String {
    match grid.possible {
        Some(possible) => format!(": {} of {possible} pairs", grid.reached()),
        None => format!(": {} reached", grid.reached()),
    }
}

/// All grids of a survey under one another.
#[must_use]
pub fn page(title: &str, survey: &Survey) -> String {
    let mut body = format!("<h1>{}</h1>\n", escape(title));
    for grid in survey.grids() {
        body.push_str(&svg(&grid.shown()));
    }
    body.push_str(
        "<table>\n<tr><th>callback</th><th>takes</th><th>holding</th><th>times</th></tr>\n",
    );
    for (routine, lock, held, count) in survey.acquires() {
        put(
            &mut body,
            format_args!(
                "<tr><td>{}</td><td>{lock}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&routine.to_string()),
                escape(&held),
                grouped(count)
            ),
        );
    }
    body.push_str("</table>\n");
    document(title, body)
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes whatever is written.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_cell_for_each_number() {
        let grid = Grid {
            title: "what & where",
            rows: vec!["a".into(), "b".into()],
            columns: vec!["x".into()],
            cells: vec![vec![0], vec![2_500]],
            possible: Some(2),
        };
        let svg = svg(&grid);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("2k") && svg.contains("what &amp; where: 1 of 2 pairs"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 1 + 1 + 2 + 1);
    }
}
