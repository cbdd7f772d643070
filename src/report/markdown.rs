//! Findings as Markdown, for an issue tracker.

use std::fmt::Write;

use super::index::{Bug, Findings, sentence};
use super::number::counted;
use crate::rules::RuleId;

/// Renders findings.
#[must_use]
pub fn render(findings: &Findings<'_>) -> String {
    let mut text = format!("# {}\n", plain(&findings.summary()));
    for bug in &findings.bugs {
        one(&mut text, bug);
    }
    text
}

fn one(text: &mut String, bug: &Bug<'_>) {
    let breach = bug.breach;
    let _ = write!(
        text,
        "\n## `{}`: {}\n\n{} in {} at {}.\n",
        breach.rule,
        plain(sentence(breach)),
        capital(&breach.severity.to_string()),
        code(&breach.callbacks()),
        code(&breach.site),
    );
    if let Some(rule) = RuleId::from_id(&breach.rule).map(RuleId::rule) {
        let _ = write!(text, "\n{}\n", plain(rule.why));
        let _ = write!(text, "\n- documented in <{}>\n", rule.page);
        for (name, value) in [("Static Driver Verifier", rule.sdv), ("bug check", rule.bug_check)] {
            if let Some(value) = value {
                let _ = writeln!(text, "- {name}: {}", plain(value));
            }
        }
    } else {
        text.push('\n');
    }
    if let Some(other) = &breach.other_site {
        let _ = writeln!(text, "- other site: {}", code(other));
    }
    if !breach.locks.is_empty() {
        let locks: Vec<String> = breach.locks.iter().map(|lock| code(lock)).collect();
        let _ = writeln!(text, "- locks: {}", locks.join(", "));
    }
    for line in &breach.race {
        let _ = writeln!(text, "- race: {}", plain(line));
    }
    let _ = writeln!(
        text,
        "- shown by {}, {} to {}",
        counted(bug.files as u64, "file"),
        bug.seen.0,
        bug.seen.1
    );
    let _ = write!(text, "\nTo see it again:\n\n{}", block("sh", &bug.replay));
    let _ = write!(
        text,
        "\n<details><summary>The scenario</summary>\n\n{}\n</details>\n",
        block("ron", &bug.scenario)
    );
}

/// Text in which no character means anything to Markdown or to HTML.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]<>#|~".contains(c) {
            safe.push('\\');
        }
        safe.push(if c.is_control() { ' ' } else { c });
    }
    safe
}

/// An inline code span, with a fence longer than any in the text.
fn code(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code block, likewise.
fn block(language: &str, text: &str) -> String {
    let fence = "`".repeat((longest_run(text) + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(plain("a<b> *c* `d`"), "a\\<b\\> \\*c\\* \\`d\\`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(block("ron", "x```y\n"), "````ron\nx```y\n````\n");
        assert_eq!(capital("error"), "Error");
    }
}
