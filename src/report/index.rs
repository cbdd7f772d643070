//! Many findings: what every rendering of them is made of, and the page that lists them.

use std::fmt::Write;

use super::breach::Breach;
use super::html::{document, escape};
use super::number::counted;
use crate::rules::{RuleId, Severity};

/// A bug, ready to be listed.
#[derive(Clone, Debug)]
pub struct Bug<'a> {
    /// What it broke, and where.
    pub breach: &'a Breach,
    /// Files that show it.
    pub files: usize,
    /// Day of the oldest and of the youngest file.
    pub seen: (String, String),
    /// How large its shortest scenario is, in words; empty if that is not known.
    pub size: String,
    /// Its page, relative to the list; empty if it has none.
    pub page: String,
    /// The command that replays it.
    pub replay: String,
    /// Its shortest scenario as RON.
    pub scenario: String,
}

/// All that was found in a driver.
#[derive(Clone, Debug)]
pub struct Findings<'a> {
    /// The driver, as people call it.
    pub driver: &'a str,
    /// Bugs, gravest first.
    pub bugs: Vec<Bug<'a>>,
    /// Files that were looked at.
    pub files: usize,
    /// Files that no longer show anything.
    pub lost: Vec<String>,
    /// Files that could not be used, with the reason.
    pub unusable: Vec<(String, String)>,
}

impl Findings<'_> {
    /// The first line of every list.
    #[must_use]
    pub fn summary(&self) -> String {
        let errors = self.bugs.iter().filter(|bug| bug.breach.severity == Severity::Error).count();
        let warnings = self.bugs.len() - errors;
        format!(
            "{} and {} in {} of {}",
            counted(errors as u64, "error"),
            counted(warnings as u64, "warning"),
            counted(self.files as u64, "file"),
            self.driver
        )
    }
}

/// What the rule of a breach says, in a sentence.
#[must_use]
pub fn sentence(breach: &Breach) -> &'static str {
    RuleId::from_id(&breach.rule).map_or("", |rule| rule.rule().sentence)
}

/// Renders the list.
#[must_use]
pub fn render(findings: &Findings<'_>) -> String {
    let summary = findings.summary();
    let mut body = format!("<header><h1>{}</h1></header>\n<main>\n", escape(&summary));
    if !findings.bugs.is_empty() {
        body.push_str(
            "<div class=\"wide\"><table class=\"bugs\"><thead><tr><th></th><th>rule</th><th>where</th><th>locks</th>\
             <th class=\"number\">files</th><th>seen</th><th>shortest</th></tr>\
             </thead><tbody>\n",
        );
        for bug in &findings.bugs {
            row(&mut body, bug);
        }
        body.push_str("</tbody></table></div>\n");
    }
    let lost = findings.lost.iter().map(|file| (file.as_str(), ""));
    list(&mut body, "No longer reproduce", lost);
    let unusable = findings.unusable.iter().map(|(file, why)| (file.as_str(), why.as_str()));
    list(&mut body, "Unusable", unusable);
    body.push_str("</main>\n");
    document(&summary, body)
}

fn row(body: &mut String, bug: &Bug<'_>) {
    let Bug { breach, files, seen, size, page, .. } = bug;
    let rule = format!("<code>{}</code>", escape(&breach.rule));
    let rule =
        if page.is_empty() { rule } else { format!("<a href=\"{}\">{rule}</a>", escape(page)) };
    let seen = if seen.0 == seen.1 { seen.0.clone() } else { format!("{} to {}", seen.0, seen.1) };
    let _ = writeln!(
        body,
        "<tr><td><span class=\"verdict {severity}\">{severity}</span></td><td>{rule}<br>{}</td><td>{}<br>\
         <code>{}</code></td><td>{}</td><td class=\"number\">{files}</td><td>{}</td><td>{}</td></tr>",
        escape(sentence(breach)),
        escape(&breach.callbacks()),
        escape(&breach.site),
        escape(&breach.locks.join(", ")),
        escape(&seen),
        escape(size),
        severity = breach.severity,
    );
}

fn list<'a>(body: &mut String, title: &str, files: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut files = files.peekable();
    if files.peek().is_none() {
        return;
    }
    let _ = writeln!(body, "<section><h2>{title}</h2><ul>");
    for (file, why) in files {
        let colon = if why.is_empty() { "" } else { ": " };
        let _ = writeln!(body, "<li><code>{}</code>{colon}{}</li>", escape(file), escape(why));
    }
    body.push_str("</ul></section>\n");
}
