//! `lockstorm drivers`: what can be fuzzed here.

use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::{Format, Verdict};
use crate::harness::BuiltIn;

/// List the drivers that can be fuzzed here
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm drivers
  lockstorm drivers --format json | jq -r '.[].name'")]
pub(super) struct Arguments {
    /// How to write the list
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    summary: &'static str,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let rows: Vec<Row> = BuiltIn::ALL
        .iter()
        .map(|driver| Row { name: driver.name(), summary: driver.summary() })
        .collect();
    match arguments.format {
        Format::Json => output.json(&rows),
        Format::Text => {
            let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
            for Row { name, summary } in rows {
                output.line(format_args!("{name:width$}  {summary}"));
            }
        }
    }
    Ok(Verdict::Clean)
}
