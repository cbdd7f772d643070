//! `lockstorm drivers`: what can be fuzzed here.

use serde::Serialize;

use super::failure::Failure;
use super::output::Output;
use super::{Format, Verdict};
use crate::device::model::Model;
use crate::harness::BuiltIn;

/// List the drivers that can be fuzzed here, and the devices for compiled ones
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm drivers
  lockstorm drivers --format json | jq -r '.[].name'")]
pub(super) struct Arguments {
    /// How to write the list
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// One thing that can be named: a built-in driver or a device model.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    kind: &'static str,
    summary: &'static str,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let drivers = BuiltIn::ALL.iter().map(|driver| Row {
        name: driver.name(),
        kind: "driver",
        summary: driver.summary(),
    });
    let devices = Model::ALL.iter().map(|model| Row {
        name: model.name(),
        kind: "device",
        summary: model.summary(),
    });
    match arguments.format {
        Format::Json => output.json(&drivers.chain(devices).collect::<Vec<_>>()),
        Format::Text => {
            list("Built-in drivers:", drivers, output);
            output.line("");
            list(
                "Devices for compiled drivers, as in 'DRIVER.sys --device MODEL':",
                devices,
                output,
            );
        }
    }
    Ok(Verdict::Clean)
}

fn list(title: &str, rows: impl Iterator<Item = Row> + Clone, output: &mut Output) {
    let width = rows.clone().map(|row| row.name.len()).max().unwrap_or_default();
    output.line(title);
    for Row { name, summary, .. } in rows {
        output.line(format_args!("  {name:width$}  {summary}"));
    }
}
