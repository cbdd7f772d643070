//! The map as a page: one HTML file that needs neither a network nor any other file nor a script.

use std::fmt::Write;

use super::text::{NO_ACCESSES, bytes, either, offsets, title};
use super::{Field, Guard, Hold, LockMap};
use crate::report::html::{document, escape};
use crate::report::lock_graph::{self, Arrow};
use crate::report::number::grouped;
use crate::report::timeline::Class;
use crate::report::words::microseconds;

const STYLE: &str = "<style>\
svg.graph { width: 640px; } .graph circle.badge { stroke: var(--arrow); }\
.wide td code { white-space: nowrap; } .good { color: var(--dpc); } .bad { color: var(--mark); font-weight: 600; }\
</style>\n";

/// The page.
#[must_use]
pub fn page(map: &LockMap) -> String {
    let heading = format!("Locks of {}", map.driver);
    let mut body = String::from(STYLE);
    put(&mut body, format_args!("<header><h1>{}</h1>\n", escape(&heading)));
    put(
        &mut body,
        format_args!(
            "<p class=\"hint\">{}. Times are virtual: a call of StorPort costs 0.1 us; they compare places, they measure nothing.</p></header>\n<main>\n",
            escape(&title(map))
        ),
    );
    orders(&mut body, map);
    callbacks(&mut body, map);
    locks(&mut body, map);
    waits(&mut body, map);
    fields(&mut body, map);
    body.push_str("</main>\n");
    document(&heading, body)
}

fn put(body: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes whatever is written.
    let _ = body.write_fmt(what);
}

fn class(lock: &str) -> Class {
    match lock.split('(').next() {
        Some(name) if name.starts_with("StartIo") => Class::StartIo,
        Some("Interrupt") => Class::Interrupt,
        Some("Message") => Class::Message,
        Some("Dpc" | "one DPC's routine") => Class::Dpc,
        Some(name) if name.starts_with("routine of DPC") => Class::Dpc,
        _ => Class::Executive,
    }
}

fn chip(lock: &str) -> String {
    format!("<span class=\"chip {}\">{}</span>", class(lock).name(), escape(lock))
}

/// A table with these columns; those that end in `#` hold numbers.
fn table(body: &mut String, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    body.push_str("<div class=\"wide\"><table><thead><tr>");
    for column in columns {
        let (name, number) = match column.strip_suffix('#') {
            Some(name) => (name, " class=\"number\""),
            None => (*column, ""),
        };
        put(body, format_args!("<th{number}>{name}</th>"));
    }
    body.push_str("</tr></thead><tbody>\n");
    for row in rows {
        body.push_str("<tr>");
        for (cell, column) in row.iter().zip(columns) {
            let number = if column.ends_with('#') { " class=\"number\"" } else { "" };
            put(body, format_args!("<td{number}>{cell}</td>"));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody></table></div>\n");
}

fn codes(names: &[String]) -> String {
    let codes: Vec<String> =
        names.iter().map(|name| format!("<code>{}</code>", escape(name))).collect();
    codes.join("<br>")
}

fn lines(names: &[String]) -> String {
    names.iter().map(|name| escape(name)).collect::<Vec<_>>().join("<br>")
}

fn orders(body: &mut String, map: &LockMap) {
    body.push_str("<section><h2>Which lock is taken while which is held</h2>\n");
    if map.orders.is_empty() {
        body.push_str("<p>No two locks are nested.</p></section>\n");
        return;
    }
    for cycle in &map.cycles {
        let steps: Vec<String> = cycle.locks.iter().map(|lock| chip(lock)).collect();
        put(
            body,
            format_args!(
                "<p><span class=\"bad\">A cycle:</span> {}, then again {}. Seen in {}.</p>\n",
                steps.join(", then "),
                steps[0],
                escape(&cycle.inputs.join(" and "))
            ),
        );
    }
    let arrows = map.orders.iter().map(|order| Arrow {
        from: (&order.held, class(&order.held)),
        to: (&order.taken, class(&order.taken)),
        alarming: order.in_cycle,
    });
    let arrows: Vec<Arrow<'_>> = arrows.collect();
    put(body, format_args!("{}\n", lock_graph::draw(&arrows)));
    let rows = map.orders.iter().enumerate().map(|(number, order)| {
        vec![
            (number + 1).to_string(),
            chip(&order.held),
            chip(&order.taken),
            grouped(order.times),
            lines(&order.callbacks),
            codes(&[order.sites.0.clone(), order.sites.1.clone()]),
            format!("<code>{}</code>", escape(&order.input)),
        ]
    });
    table(
        body,
        &["#", "held", "taken", "times#", "in", "held one taken at, other at", "first seen in"],
        rows,
    );
    body.push_str("</section>\n");
}

fn callbacks(body: &mut String, map: &LockMap) {
    body.push_str("<section><h2>Which callbacks take which locks</h2>\n");
    let rows = map.callbacks.iter().flat_map(|callback| {
        let heading = vec![
            escape(&callback.callback),
            format!("{} calls", grouped(callback.calls)),
            escape(&callback.irql),
            String::new(),
            format!("StorPort holds {}", escape(&callback.under.join(" or "))),
            String::new(),
            String::new(),
        ];
        let takes = callback.takes.iter().map(|take| {
            vec![
                String::new(),
                chip(&take.lock),
                escape(&format!("{} \u{2192} {}", take.from_irql, take.to_irql)),
                grouped(take.times),
                escape(&take.holding),
                if take.waited == 0 { String::new() } else { grouped(take.waited) },
                codes(&take.sites),
            ]
        });
        std::iter::once(heading).chain(takes)
    });
    let columns = ["callback", "takes", "IRQL", "times#", "while holding", "waited#", "at"];
    table(body, &columns, rows);
    body.push_str("</section>\n");
}

fn locks(body: &mut String, map: &LockMap) {
    body.push_str(
        "<section><h2>How long locks are held</h2>\n<p class=\"hint\">Virtual time of the processor that holds it.</p>\n",
    );
    let row = |lock: &str, of: usize, who: &str, hold: &Hold| {
        let of = if of > 1 { format!(" {of} of them") } else { String::new() };
        vec![
            chip(lock) + &of,
            who.to_owned(),
            grouped(hold.times),
            microseconds(hold.median_ns.into()),
            microseconds(hold.ninth_decile_ns.into()),
            microseconds(hold.longest_ns.into()),
            grouped(hold.longest_events.into()),
            codes(&[hold.longest_at.clone(), hold.longest_input.clone()]),
        ]
    };
    let rows = map.locks.iter().flat_map(|lock| {
        let both = [("driver", &lock.driver), ("StorPort", &lock.storport)];
        both.into_iter().filter_map(move |(who, hold)| {
            hold.as_ref().map(|hold| row(&lock.lock, lock.instances, who, hold))
        })
    });
    let columns = [
        "lock",
        "held by",
        "times#",
        "half up to#",
        "nine of ten up to#",
        "longest#",
        "events#",
        "the longest in",
    ];
    table(body, &columns, rows);
    body.push_str("</section>\n");
}

fn waits(body: &mut String, map: &LockMap) {
    body.push_str("<section><h2>Who waits for whom</h2>\n");
    if map.waits.is_empty() {
        body.push_str("<p>Nobody waited.</p></section>\n");
        return;
    }
    let rows = map.waits.iter().map(|wait| {
        vec![
            chip(&wait.lock),
            escape(&wait.waits),
            escape(&wait.holds),
            grouped(wait.times),
            microseconds(wait.longest_ns),
        ]
    });
    table(body, &["lock", "waits", "holds it", "times#", "longest#"], rows);
    body.push_str("</section>\n");
}

fn fields(body: &mut String, map: &LockMap) {
    body.push_str("<section><h2>Which lock guards which field</h2>\n");
    let Some(fields) = &map.fields else {
        put(body, format_args!("<p>{}</p></section>\n", escape(NO_ACCESSES)));
        return;
    };
    body.push_str(
        "<p class=\"hint\">Held at every plain access after the initialisation. A field without a lock may be in order, \
         handed over with a request for one; <code>lockstorm fuzz --races</code> tells.</p>\n",
    );
    let rows = fields.iter().map(|field| {
        vec![
            escape(&field.area),
            format!("{}<br>{}", escape(&offsets(&field.offsets)), bytes(field.bytes)),
            guard(field),
            grouped(field.reads),
            grouped(field.writes),
            escape(&either(&field.callbacks, "the initialisation")),
            codes(&field.sites),
        ]
    });
    let columns = ["area", "place", "guard", "reads#", "writes#", "in", "at"];
    table(body, &columns, rows);
    body.push_str("</section>\n");
}

fn guard(field: &Field) -> String {
    match &field.guard {
        Guard::Locks(locks) => locks.iter().map(|lock| chip(lock)).collect::<Vec<_>>().join(" "),
        Guard::Mostly { lock, .. } => format!(
            "{} <span class=\"bad\">{}</span><br>without it at {}",
            chip(lock),
            escape(&field.verdict),
            codes(&field.without)
        ),
        Guard::Nothing => format!("<span class=\"bad\">{}</span>", escape(&field.verdict)),
        Guard::Request => escape(&field.verdict),
        Guard::Atomic | Guard::ReadOnly | Guard::Initial => {
            format!("<span class=\"good\">{}</span>", escape(&field.verdict))
        }
    }
}
