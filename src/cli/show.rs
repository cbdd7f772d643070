//! `lockstorm show`: a scenario as text.

use std::path::PathBuf;

use super::failure::Failure;
use super::output::Output;
use super::{Format, Verdict, input};
use crate::scenario::text;

/// Show a scenario as text
///
/// Prints a scenario, given as bytes or as text, as RON text that can be read, edited, and packed again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm show artifacts/nvme/findings/lock.order-*.bin > order.ron
  lockstorm pack order.ron -o order.bin")]
pub(super) struct Arguments {
    /// A scenario, as bytes or as RON text
    file: PathBuf,
    /// How to write it: RON text, or JSON
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let scenario = input::scenario(&arguments.file)?;
    match arguments.format {
        Format::Text => output.text(&text::write(&scenario)),
        Format::Json => output.json(&scenario),
    }
    Ok(Verdict::Clean)
}
