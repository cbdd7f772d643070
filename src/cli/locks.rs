//! `lockstorm locks`: the map of a driver's locks.

use std::path::{Path, PathBuf};

use super::corpus::{gather, read};
use super::failure::{Failure, reason};
use super::output::Output;
use super::{Format, Verdict, input};
use crate::engine::findings::write_whole;
use crate::harness::Harness;
use crate::locks::{self, Fold};
use crate::machine::MemoryWatch;
use crate::rules::Severity;
use crate::scenario::{codec, text};

/// Map a driver's locks
///
/// Runs a corpus and tells which callbacks take which locks at which IRQL and while holding what, how long locks are held
/// and who waits for whom, in which order they nest, and which lock guards which field of the driver's memory. A map to read
/// when there is no bug; it judges nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm locks nvme                                corpus/nvme
  lockstorm locks nvme artifacts/nvme/corpus --html locks.html
  lockstorm locks nvme --dot locks.dot && dot -Tsvg locks.dot -o locks.svg
  lockstorm locks ramdisk.sys --device doorbell seeds --format json | jq '.fields[] | select(.guard == \"nothing\")'

Times are virtual: a call of StorPort costs 100 ns. They compare places of one driver; they measure nothing.")]
pub(super) struct Arguments {
    /// The driver; 'lockstorm drivers' lists them
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// Files, and folders of files, of inputs, besides those in corpus/DRIVER
    inputs: Vec<PathBuf>,
    /// Tell the locks of messages and of DPCs apart, instead of showing each kind as one
    #[arg(long)]
    apart: bool,
    /// Write the map as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the lock-order graph for Graphviz
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// How to write the map
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let driver = input::driver(&arguments.driver, &arguments.device)?;
    let corpus = Path::new("corpus").join(driver.corpus());
    let mut files = Vec::new();
    if corpus.is_dir() {
        gather(&corpus, true, &mut files)?;
    }
    for path in &arguments.inputs {
        gather(path, true, &mut files)?;
    }
    let mut harness = Harness::open(&driver, Box::leak(Box::default()))
        .map_err(|error| input::unusable(&error))?;
    harness.record(true);
    harness.watch_memory(MemoryWatch { events: true, ..arguments.device.watch() });
    let mut fold = Fold::new(arguments.apart);
    for file in &files {
        let Some(bytes) = read(file) else { continue };
        let scenario = if codec::looks_like_text(&bytes) {
            match text::read(&bytes) {
                Ok(scenario) => scenario,
                Err(error) => {
                    eprintln!("lockstorm: {} is skipped: {error}", file.display());
                    continue;
                }
            }
        } else {
            codec::decode(&bytes)
        };
        harness.run(&scenario);
        let broken = harness.findings().iter().any(|found| found.severity == Severity::Error);
        fold.add(&file.display().to_string(), harness.events(), broken);
    }
    let map = fold.map(&arguments.driver);
    if map.runs == 0 {
        return Err(Failure::new(format!(
            "no inputs: {} holds none; name files or folders of them, such as artifacts/{}/corpus \
             after 'lockstorm fuzz'",
            corpus.display(),
            driver.name()
        )));
    }
    let write = |path: &Option<PathBuf>, content: &dyn Fn() -> String| match path {
        None => Ok(()),
        Some(path) => write_whole(path, content().as_bytes())
            .map_err(|error| Failure::at("write", path, reason(&error))),
    };
    write(&arguments.html, &|| locks::page(&map))?;
    write(&arguments.dot, &|| locks::dot(&map))?;
    match arguments.format {
        Format::Json => output.json(&map),
        Format::Text => locks::text(&map, |line| output.line(line)),
    }
    Ok(Verdict::Clean)
}
