//! The page that tells one finding: what rule, why it matters, what happened, who held what, where in the source,
//! and how to see it again. One HTML file that needs neither a network nor any other file.

use std::fmt::Write;
use std::path::PathBuf;

use super::breach::Breach;
use super::html::{document, escape, json};
use super::lock_graph::{self, Arrow};
use super::moment::{Edge, Holding};
use super::source::{self, Excerpt};
use super::told::Told;
use super::words;
use crate::rules::{Rule, RuleId};
use crate::storport::Irql;

/// What a page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The run.
    pub told: &'a Told,
    /// The driver, as people call it.
    pub driver: &'a str,
    /// The scenario as RON.
    pub scenario: &'a str,
    /// The command that replays it.
    pub replay: &'a str,
    /// Where source files are looked for.
    pub folders: &'a [PathBuf],
    /// The page to go back to.
    pub index: Option<&'a str>,
}

/// Renders a page.
#[must_use]
pub fn render(page: &Page<'_>) -> String {
    let told = page.told;
    let mut body = String::new();
    let title = match told.subject() {
        Some(breach) => {
            let rule = RuleId::from_id(&breach.rule).map(RuleId::rule);
            head(&mut body, page, breach, rule);
            body.push_str("<main>\n");
            why(&mut body, rule);
            picture(&mut body, told);
            holdings(&mut body, &told.holdings);
            orders(&mut body, &told.orders);
            sources(&mut body, breach, page.folders);
            format!("{}: {}", breach.rule, rule.map_or("", |rule| rule.sentence))
        }
        None => {
            let title = format!("{}: no rule was broken", page.driver);
            let _ = writeln!(body, "<header><h1>{}</h1></header>\n<main>", escape(&title));
            picture(&mut body, told);
            title
        }
    };
    replay(&mut body, page);
    body.push_str("</main>\n");
    let _ = write!(body, "<script>\n{}</script>\n", include_str!("timeline.js"));
    document(&title, body)
}

/// The title, the verdict, and where it was.
fn head(body: &mut String, page: &Page<'_>, breach: &Breach, rule: Option<&Rule>) {
    let back = page.index.map_or_else(String::new, |page| {
        format!("<a class=\"back\" href=\"{}\">all findings</a>", escape(page))
    });
    let mut facts = vec![
        ("driver", page.driver.to_owned()),
        ("callback path", breach.callbacks()),
        ("site", breach.site.clone()),
    ];
    facts.extend(breach.other_site.clone().map(|site| ("other site", site)));
    if !breach.locks.is_empty() {
        facts.push(("locks", breach.locks.join(", ")));
    }
    facts.extend(breach.race.iter().map(|line| ("race", line.clone())));
    facts.push(("processor", format!("{} at {}", breach.processor, Irql(breach.irql))));
    facts.push(("virtual time", words::microseconds(breach.time_ns)));
    let _ = write!(
        body,
        "<header>{back}<p class=\"verdict {severity}\">{severity}</p>\
         <h1><code>{}</code> {}</h1>\n<dl class=\"facts\">\n",
        escape(&breach.rule),
        escape(rule.map_or("", |rule| rule.sentence)),
        severity = breach.severity,
    );
    for (name, value) in facts {
        let _ = writeln!(body, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    }
    body.push_str("</dl></header>\n");
}

/// What the catalogue says.
fn why(body: &mut String, rule: Option<&Rule>) {
    let Some(rule) = rule else { return };
    let _ = write!(
        body,
        "<section><h2>Why it matters</h2>\n<p>{}</p>\n<dl class=\"facts\">\n",
        escape(rule.why)
    );
    let none = "none known";
    let rows = [
        ("Static Driver Verifier", escape(rule.sdv.unwrap_or(none))),
        ("bug check", escape(rule.bug_check.unwrap_or(none))),
        ("documented in", format!("<a href=\"{0}\">{0}</a>", escape(rule.page))),
    ];
    for (name, value) in rows {
        let _ = writeln!(body, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    let _ = write!(
        body,
        "</dl>\n<details><summary>The wrong and the right way</summary><pre>{}</pre></details></section>\n",
        escape(rule.example)
    );
}

/// The timeline: its data, and the place where the script draws it.
fn picture(body: &mut String, told: &Told) {
    let _ = write!(
        body,
        "<section><h2>What happened</h2>\n\
         <p class=\"hint\">One lane a processor: its IRQL as a line, callbacks as grey bars, locks as coloured bars \
         (hatched while waiting, outlined where StorPort took them), interrupts, DPCs and timers as arrows. Each step \
         to the right is one event. Wheel or <kbd>+</kbd> <kbd>-</kbd> zoom, drag or <kbd>&larr;</kbd> <kbd>&rarr;</kbd> \
         move, <kbd>v</kbd> goes to the violation, <kbd>f</kbd> shows all.</p>\n\
         <div id=\"timeline\" tabindex=\"0\" role=\"application\" aria-label=\"timeline of the run\"></div>\n\
         <div id=\"events\"></div>\n\
         <noscript>The picture needs JavaScript; all else on this page does not.</noscript>\n\
         <script type=\"application/json\" id=\"run\">{}</script></section>\n",
        json(&told.timeline)
    );
}

fn holdings(body: &mut String, holdings: &[Holding]) {
    body.push_str("<section><h2>Locks at that moment</h2>\n");
    if holdings.is_empty() {
        body.push_str("<p>No processor held or wanted any lock.</p></section>\n");
        return;
    }
    body.push_str(
        "<div class=\"wide\"><table><thead><tr><th>processor</th><th>lock</th><th></th><th>by</th><th>in</th>\
         <th>at</th></tr></thead><tbody>\n",
    );
    for holding in holdings {
        let Holding { lock, class, processor, waits, by, site, path, .. } = holding;
        let _ = writeln!(
            body,
            "<tr><td>{processor}</td><td><span class=\"chip {}\">{}</span></td><td>{}</td><td>{}</td>\
             <td>{}</td><td><code>{}</code></td></tr>",
            class.name(),
            escape(lock),
            if *waits { "waits for it" } else { "holds it" },
            escape(by),
            escape(&path.join(" > ")),
            escape(if site.is_empty() { "StorPort" } else { site }),
        );
    }
    body.push_str("</tbody></table></div></section>\n");
}

/// For order cycles and deadlocks: the graph, and how each lock came to be wanted.
fn orders(body: &mut String, edges: &[Edge]) {
    if edges.is_empty() {
        return;
    }
    let arrows = edges.iter().map(|edge| Arrow {
        from: (&edge.first.lock, edge.first.class),
        to: (&edge.second.lock, edge.second.class),
        alarming: true,
    });
    let arrows: Vec<Arrow<'_>> = arrows.collect();
    let _ = write!(
        body,
        "<section><h2>Which lock after which</h2>\n<div class=\"orders\">{}<ol>\n",
        lock_graph::draw(&arrows)
    );
    for edge in edges {
        let (first, second) = (stack("held", &edge.first), stack("wanted", &edge.second));
        let _ = writeln!(body, "<li>{first}{second}</li>");
    }
    body.push_str("</ol></div></section>\n");
}

/// How a lock was taken: its callbacks, innermost first, as debuggers write stacks.
fn stack(verb: &str, holding: &Holding) -> String {
    let site = if holding.site.is_empty() { "StorPort" } else { &holding.site };
    let path: Vec<&str> = holding.path.iter().rev().map(String::as_str).collect();
    format!(
        "<p>{verb} <span class=\"chip {}\">{}</span> on processor {} at <code>{}</code><br>\
         <span class=\"path\">in {}</span></p>",
        holding.class.name(),
        escape(&holding.lock),
        holding.processor,
        escape(site),
        escape(
            if path.is_empty() { "StorPort".into() } else { path.join(", called within ") }
                .as_str()
        ),
    )
}

fn sources(body: &mut String, breach: &Breach, folders: &[PathBuf]) {
    let mut excerpts: Vec<Excerpt> = Vec::new();
    for site in std::iter::once(&breach.site).chain(&breach.other_site) {
        if let Some(excerpt) = source::around(site, folders)
            && !excerpts.contains(&excerpt)
        {
            excerpts.push(excerpt);
        }
    }
    if excerpts.is_empty() {
        return;
    }
    body.push_str("<section><h2>Source</h2>\n");
    for Excerpt { file, first, line, lines } in excerpts {
        let _ =
            write!(body, "<h3><code>{}:{line}</code></h3>\n<pre class=\"source\">", escape(&file));
        for (number, text) in (first..).zip(&lines) {
            let mark = if number == line { " class=\"here\"" } else { "" };
            let _ = write!(body, "<span{mark}><i>{number:>5}</i> {}</span>", escape(text));
        }
        body.push_str("</pre>\n");
    }
    body.push_str("</section>\n");
}

fn replay(body: &mut String, page: &Page<'_>) {
    let _ = write!(
        body,
        "<section><h2>See it again</h2>\n<pre class=\"command\">{}</pre>\n\
         <details><summary>The scenario</summary><pre>{}</pre></details>",
        escape(page.replay),
        escape(page.scenario)
    );
    if let Some(others) = page.told.breaches.get(1..).filter(|others| !others.is_empty()) {
        body.push_str("\n<h3>The same run also broke</h3>\n<ul>\n");
        for other in others {
            let _ = writeln!(
                body,
                "<li><code>{}</code> ({}) in {} at <code>{}</code></li>",
                escape(&other.rule),
                other.severity,
                escape(&other.callbacks()),
                escape(&other.site)
            );
        }
        body.push_str("</ul>\n");
    }
    body.push_str("</section>\n");
}
