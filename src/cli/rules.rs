//! `lockstorm rules`: the catalogue.

use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::{Format, Verdict};
use crate::rules::{Rule, RuleId};

/// List the rules, or explain one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm rules
  lockstorm rules lock.order
  lockstorm rules --format json | jq -r '.[] | [.id, .bug_check] | @tsv'")]
pub(super) struct Arguments {
    /// The rule to explain
    id: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let Some(id) = &arguments.id else {
        list(arguments.format, output);
        return Ok(Verdict::Clean);
    };
    let rule = RuleId::from_id(id).map(RuleId::rule).ok_or_else(|| {
        Failure::unknown("rule", id, RuleId::ALL.iter().map(|rule| rule.rule().id), "rules")
    })?;
    match arguments.format {
        Format::Json => output.json(&Row::new(rule)),
        Format::Text => explain(rule, output),
    }
    Ok(Verdict::Clean)
}

/// One rule for programs.
#[derive(Serialize)]
struct Row {
    id: &'static str,
    family: String,
    severity: String,
    sentence: &'static str,
    why: &'static str,
    sdv: Option<&'static str>,
    bug_check: Option<&'static str>,
    page: &'static str,
    example: &'static str,
}

impl Row {
    fn new(rule: &'static Rule) -> Row {
        Row {
            id: rule.id,
            family: rule.family.to_string(),
            severity: rule.severity.to_string(),
            sentence: rule.sentence,
            why: rule.why,
            sdv: rule.sdv,
            bug_check: rule.bug_check,
            page: rule.page,
            example: rule.example,
        }
    }
}

/// All rules: a line each, under their families.
fn list(format: Format, output: &mut Output) {
    let mut rules: Vec<&Rule> = RuleId::ALL.iter().map(|rule| rule.rule()).collect();
    rules.sort_by_key(|rule| rule.family);
    if format == Format::Json {
        return output.json(&rules.into_iter().map(Row::new).collect::<Vec<_>>());
    }
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or_default();
    let mut family = None;
    for rule in rules {
        if family.replace(rule.family) != Some(rule.family) {
            output.line(format_args!("{}:", rule.family));
        }
        let Rule { id, sentence, .. } = rule;
        let severity = rule.severity.to_string();
        output.line(format_args!("  {id:width$}  {severity:7}  {sentence}"));
    }
    output.line("\n'lockstorm rules ID' explains one.");
}

/// One rule in full.
fn explain(rule: &Rule, output: &mut Output) {
    output.line(format_args!("{} ({}, {})", rule.id, rule.severity, rule.family));
    paragraph("", &format!("{}.", rule.sentence), output);
    paragraph("Why: ", rule.why, output);
    output.line("");
    let facts = [
        ("SDV rule", rule.sdv.unwrap_or("none")),
        ("Bug check", rule.bug_check.unwrap_or("none")),
        ("Page", rule.page),
    ];
    for (name, fact) in facts {
        output.line(format_args!("{name:9}  {fact}"));
    }
    output.line("\nExample:");
    for line in rule.example.trim_matches('\n').lines() {
        output.line(format!("    {line}").trim_end());
    }
}

/// Text in lines that fit a terminal, after an empty one.
fn paragraph(title: &str, text: &str, output: &mut Output) {
    const WIDTH: usize = 80;
    let mut line = title.trim_end().to_owned();
    output.line("");
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            output.line(&line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    output.line(line);
}
