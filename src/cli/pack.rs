//! `lockstorm pack`: a scenario as bytes.

use std::path::PathBuf;

use super::failure::{Failure, reason};
use super::{Verdict, input};
use crate::engine::findings::write_whole;
use crate::scenario::codec;

/// Pack a scenario's text into bytes
///
/// The bytes are what a fuzzing engine takes as a seed. The way back is 'lockstorm show'.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm pack order.ron -o corpus/nvme/order.bin
  lockstorm pack order.ron -o order.bin --force    write over order.bin")]
pub(super) struct Arguments {
    /// A scenario as RON text
    file: PathBuf,
    /// Where the bytes go
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write over a file that exists
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Verdict, Failure> {
    let scenario = input::scenario_text(&arguments.file)?;
    let mut bytes = Vec::new();
    codec::encode(&scenario, &mut bytes);
    let path = &arguments.output;
    if !arguments.force && path.symlink_metadata().is_ok() {
        return Err(Failure::at("write", path, "it exists; give --force to write over it"));
    }
    write_whole(path, &bytes).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "no such directory; make it first".into(),
            _ => reason(&error),
        };
        Failure::at("write", path, why)
    })?;
    Ok(Verdict::Clean)
}
