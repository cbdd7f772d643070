//! The page of a trace: what it held, and what became of it.

use std::fmt::Write;

use super::stats::{POWERS, Stats};
use super::told::{between, duration, percent, requests, size};
use super::{Format, Seeded};
use crate::report::html::{document, escape};
use crate::report::number::{counted, grouped};

const WIDTH: usize = 720;
const HEIGHT: usize = 160;
/// Room under and beside the bars for what the axes say.
const MARGIN: usize = 44;
const STYLE: &str = "<style>\
svg.plot { width: 520px; max-width: 100%; background: var(--panel); border-radius: 6px; margin: 4px 0; }\
.plot rect { fill: var(--startio); } .plot rect.most { fill: var(--bar); }\
.plot text { fill: var(--soft); font-size: 11px; } .plot line { stroke: var(--line); }\
.plots { display: flex; flex-wrap: wrap; gap: 8px 28px; } .plots > section { max-width: 100%; }\
</style>\n";

/// The page. `names` are the files of the seeds, in their order; none if nothing was written.
#[must_use]
pub fn write(trace: &str, format: Format, seeded: &Seeded, names: &[String]) -> String {
    let stats = &seeded.stats;
    let mut body = String::from(STYLE);
    put(&mut body, format_args!("<header><h1>Seeds of <code>{}</code></h1>\n", escape(trace)));
    facts(&mut body, format, seeded);
    body.push_str("</header>\n<main>\n<div class=\"plots\">\n");
    plots(&mut body, stats);
    body.push_str("</div>\n");
    table(&mut body, seeded, names);
    body.push_str("</main>\n");
    document(&format!("Seeds of {trace}"), body)
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes whatever is written");
}

fn facts(body: &mut String, format: Format, seeded: &Seeded) {
    let stats = &seeded.stats;
    let mut facts = vec![
        ("Format", format.summary().to_owned()),
        ("Requests", requests(stats)),
        ("Time", duration(stats.span_ns())),
        (
            "Queue depth",
            if stats.completed > 0 {
                format!("at most {}", stats.depth_max)
            } else {
                "unknown".into()
            },
        ),
        ("Out of order", percent(stats.disorder, stats.completed)),
        ("Windows cut", grouped(seeded.windows_cut)),
        ("Shapes kept", grouped(seeded.windows.len() as u64)),
        ("Scenarios replayed", grouped(seeded.executions)),
        ("Seeds", grouped(seeded.seeds.len() as u64)),
    ];
    if seeded.skipped > 0 {
        facts.push(("Lines skipped", grouped(seeded.skipped)));
    }
    for broken in &seeded.broken {
        let what = format!(
            "{} broke {}",
            counted(broken.scenarios, "scenario"),
            broken.finding.rule.rule().id
        );
        facts.push(("Left out", what));
    }
    body.push_str("<dl class=\"facts\">");
    for (name, fact) in facts {
        put(body, format_args!("<div><dt>{name}</dt><dd>{}</dd></div>", escape(&fact)));
    }
    body.push_str("</dl>\n");
}

fn plots(body: &mut String, stats: &Stats) {
    if stats.completed > 0 {
        let bars = stats.depth.filled();
        let mean: Vec<f64> = bars.iter().map(|bar| ratio(bar.sum, bar.count)).collect();
        let most: Vec<f64> = bars.iter().map(|bar| f64::from(bar.most)).collect();
        let end = duration((bars.len() as u64) << stats.depth.shift);
        plot(
            body,
            "Queue depth over time (mean, and most behind it)",
            &mean,
            Some(&most),
            ("0", &end),
        );
    }
    powers(body, "Requests by size", &stats.sizes, size);
    let bars = stats.addresses.filled();
    let counts: Vec<f64> = bars.iter().map(|bar| bar.count as f64).collect();
    let end = size((bars.len() as u64) << stats.addresses.shift);
    plot(body, "Requests by offset", &counts, None, ("0", &end));
    if stats.completed > 0 {
        powers(body, "Requests by latency", &stats.latencies, duration);
    }
    shares(body, "Requests by processor", &stats.processors);
    if stats.units.len() > 1 {
        shares(body, "Requests by unit", &stats.units);
    }
}

fn shares<K: std::fmt::Display>(
    body: &mut String,
    title: &str,
    counts: &std::collections::BTreeMap<K, u64>,
) {
    let (Some((first, _)), Some((last, _))) = (counts.iter().next(), counts.iter().next_back())
    else {
        return;
    };
    let values: Vec<f64> = counts.values().map(|&count| count as f64).collect();
    plot(body, title, &values, None, (&first.to_string(), &last.to_string()));
}

fn powers(body: &mut String, title: &str, counts: &[u64; POWERS], name: fn(u64) -> String) {
    let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
    let values: Vec<f64> = between(counts).iter().map(|&count| count as f64).collect();
    let last = name(1 << (first + values.len()));
    plot(body, title, &values, None, (&name(1 << first), &last));
}

fn ratio(sum: u64, count: u64) -> f64 {
    sum as f64 / count.max(1) as f64
}

/// A plot of bars, with others behind them.
fn plot(
    body: &mut String,
    title: &str,
    values: &[f64],
    behind: Option<&[f64]>,
    ends: (&str, &str),
) {
    let most = values.iter().chain(behind.unwrap_or_default()).copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return;
    }
    put(
        body,
        format_args!(
            "<section><h3>{title}</h3>\n<svg class=\"plot\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\">\n",
            WIDTH + 2 * MARGIN,
            HEIGHT + MARGIN
        ),
    );
    for (values, class) in [(behind.unwrap_or_default(), " class=\"most\""), (values, "")] {
        let step = WIDTH as f64 / values.len().max(1) as f64;
        for (index, value) in values.iter().enumerate().filter(|&(_, &value)| value > 0.0) {
            let height = (value / most * HEIGHT as f64).max(1.0);
            put(
                body,
                format_args!(
                    "<rect{class} x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{value:.1}</title></rect>",
                    MARGIN as f64 + index as f64 * step,
                    10.0 + HEIGHT as f64 - height,
                    (step - 0.5).max(0.5)
                ),
            );
        }
    }
    let (left, right) = (MARGIN, WIDTH + MARGIN);
    let (base, label) = (HEIGHT + 10, HEIGHT + 26);
    put(
        body,
        format_args!(
            "\n<line x1=\"{left}\" y1=\"{base}\" x2=\"{right}\" y2=\"{base}\"/>\
             <text x=\"{left}\" y=\"{label}\">{}</text>\
             <text x=\"{right}\" y=\"{label}\" text-anchor=\"end\">{}</text>\
             <text x=\"{}\" y=\"20\" text-anchor=\"end\">{most:.0}</text>\n</svg></section>\n",
            escape(ends.0),
            escape(ends.1),
            MARGIN - 6
        ),
    );
}

fn table(body: &mut String, seeded: &Seeded, names: &[String]) {
    body.push_str(
        "<h2>Seeds</h2>\n<div class=\"wide\"><table><thead><tr><th>file</th><th class=\"number\">requests</th>\
         <th class=\"number\">from request</th><th class=\"number\">bytes</th><th class=\"number\">coverage gained</th>\
         <th class=\"number\">coverage</th></tr></thead><tbody>\n",
    );
    for (index, seed) in seeded.seeds.iter().enumerate() {
        let window = &seeded.windows[seed.window];
        let name = names.get(index).map_or("-", String::as_str);
        put(
            body,
            format_args!(
                "<tr><td><code>{}</code></td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
                escape(name),
                window.requests.len(),
                grouped(window.first + 1),
                seed.bytes.len(),
                seed.gained,
                seed.total
            ),
        );
    }
    body.push_str("</tbody></table></div>\n");
}
