//! The page that tells one finding: what rule, why it matters, what happened, who held what, where in the source,
//! and how to see it again. One HTML file that needs neither a network nor any other file.

use std::fmt::Write;
use std::path::PathBuf;

use super::html::{document, escape, json};
use super::moment::{self, Edge, Holding, Moment};
use super::source::{self, Excerpt};
use super::{Story, graph, words};
use crate::event::Kind;
use crate::rules::{Family, Finding, Rule, RuleId, Severity};

/// Renders a story. `folders` are where source files are looked for; `index` is the page to go back to.
#[must_use]
pub fn render(story: &Story<'_>, folders: &[PathBuf], index: Option<&str>) -> String {
    let moment = moment::at(story.events, story.moment());
    let mut body = String::new();
    let title = if let Some(finding) = story.finding() {
        let rule = finding.rule.rule();
        head(&mut body, story, finding, index);
        body.push_str("<main>\n");
        why(&mut body, rule);
        picture(&mut body, story);
        holdings(&mut body, &moment.holdings);
        orders(&mut body, story, finding, &moment);
        sources(&mut body, finding, folders);
        format!("{}: {}", rule.id, rule.sentence)
    } else {
        let title = format!("{}: no rule was broken", story.driver);
        let _ = writeln!(body, "<header><h1>{}</h1></header>\n<main>", escape(&title));
        picture(&mut body, story);
        title
    };
    replay(&mut body, story);
    body.push_str("</main>\n");
    let _ = write!(body, "<script>\n{}</script>\n", include_str!("timeline.js"));
    document(&title, body)
}

/// The title, the verdict, and where it was.
fn head(body: &mut String, story: &Story<'_>, finding: &Finding, index: Option<&str>) {
    let rule = finding.rule.rule();
    let back = index.map_or_else(String::new, |page| {
        format!("<a class=\"back\" href=\"{}\">all findings</a>", escape(page))
    });
    let locks: Vec<String> = finding.locks.iter().flatten().map(ToString::to_string).collect();
    let other = finding.other_site.map(words::place).filter(|site| !site.is_empty());
    let mut facts = vec![
        ("driver", story.driver.to_owned()),
        ("callback path", finding.path.to_string()),
        ("site", finding.site.to_string()),
    ];
    facts.extend(other.map(|site| ("other site", site)));
    if !locks.is_empty() {
        facts.push(("locks", locks.join(", ")));
    }
    facts.push(("processor", format!("{} at {}", finding.processor, finding.irql)));
    facts.push(("virtual time", words::microseconds(finding.time)));
    let _ = write!(
        body,
        "<header>{back}<p class=\"verdict {severity}\">{severity}</p>\
         <h1><code>{}</code> {}</h1>\n<dl class=\"facts\">\n",
        escape(rule.id),
        escape(rule.sentence),
        severity = finding.severity,
    );
    for (name, value) in facts {
        let _ = writeln!(body, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    }
    body.push_str("</dl></header>\n");
}

/// What the catalogue says.
fn why(body: &mut String, rule: &Rule) {
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
fn picture(body: &mut String, story: &Story<'_>) {
    let data = super::picture(story);
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
        json(&data)
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
            "<tr><td>{processor}</td><td><span class=\"chip {class}\">{}</span></td><td>{}</td><td>{}</td>\
             <td>{}</td><td><code>{}</code></td></tr>",
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
fn orders(body: &mut String, story: &Story<'_>, finding: &Finding, moment: &Moment) {
    let named: Vec<String> = finding.locks.iter().flatten().map(ToString::to_string).collect();
    let waits: Vec<String> = story
        .events
        .iter()
        .filter_map(|event| match event.kind {
            Kind::Deadlocked { lock, .. } => Some(lock.to_string()),
            _ => None,
        })
        .collect();
    if !is_about_order(finding.rule) && waits.is_empty() {
        return;
    }
    let concerned = |lock: &String| named.contains(lock) || waits.contains(lock);
    let edges: Vec<&Edge> = moment
        .edges
        .iter()
        .filter(|edge| concerned(&edge.held) && concerned(&edge.wanted))
        .collect();
    if edges.is_empty() {
        return;
    }
    let _ = write!(
        body,
        "<section><h2>Which lock after which</h2>\n<div class=\"orders\">{}<ol>\n",
        graph::draw(&edges)
    );
    for edge in edges {
        let _ = write!(
            body,
            "<li>{}{}</li>",
            stack("held", &edge.first),
            stack("wanted", &edge.second)
        );
    }
    body.push_str("</ol></div></section>\n");
}

fn is_about_order(rule: RuleId) -> bool {
    matches!(rule.rule().family, Family::Order | Family::Interrupt)
}

/// How a lock was taken: its callbacks, innermost first, as debuggers write stacks.
fn stack(verb: &str, holding: &Holding) -> String {
    let site = if holding.site.is_empty() { "StorPort" } else { &holding.site };
    let path: Vec<&str> = holding.path.iter().rev().map(String::as_str).collect();
    format!(
        "<p>{verb} <span class=\"chip {}\">{}</span> on processor {} at <code>{}</code><br>\
         <span class=\"path\">in {}</span></p>",
        holding.class,
        escape(&holding.lock),
        holding.processor,
        escape(site),
        escape(
            if path.is_empty() { "StorPort".into() } else { path.join(", called within ") }
                .as_str()
        ),
    )
}

fn sources(body: &mut String, finding: &Finding, folders: &[PathBuf]) {
    let sites = [Some(finding.site), finding.other_site];
    let mut excerpts: Vec<Excerpt> = Vec::new();
    for site in sites.into_iter().flatten() {
        if let Some(excerpt) = source::around(&site.to_string(), folders)
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

fn replay(body: &mut String, story: &Story<'_>) {
    let _ = write!(
        body,
        "<section><h2>See it again</h2>\n<pre class=\"command\">{}</pre>\n\
         <details><summary>The scenario</summary><pre>{}</pre></details>",
        escape(story.replay),
        escape(story.scenario)
    );
    let subject = story.finding();
    let others: Vec<_> = story.findings.iter().filter(|&found| Some(found) != subject).collect();
    if !others.is_empty() {
        body.push_str("\n<h3>The same run also broke</h3>\n<ul>\n");
        for other in others {
            let kind = if other.severity == Severity::Error { "error" } else { "warning" };
            let _ = writeln!(
                body,
                "<li><code>{}</code> ({kind}): {} at <code>{}</code></li>",
                escape(other.rule.rule().id),
                escape(other.rule.rule().sentence),
                escape(&other.site.to_string())
            );
        }
        body.push_str("</ul>\n");
    }
    body.push_str("</section>\n");
}
