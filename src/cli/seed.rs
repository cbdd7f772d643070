//! `lockstorm seed`: seeds from traces.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::{Failure, reason};
use super::output::Output;
use super::{Format, Verdict, input};
use crate::engine::findings::write_whole;
use crate::harness::Harness;
use crate::report::number::counted;
use crate::scenario::STEPS_MAX;
use crate::trace::{self, Seeded, page};

/// Make seeds from a trace of a real machine
///
/// Reads a block trace, cuts it into windows of activity, writes each as a scenario with the trace's requests, processors,
/// collisions, completion order and timing, replays them, and keeps those that reach what none before did. Traces may
/// be packed with gzip or zstd. Nothing is written unless the whole trace can be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm seed --from msr hm_0.csv.gz -o corpus/nvme
  blkparse -q sda | lockstorm seed --from blkparse - -o corpus/nvme --stats
  lockstorm seed dumpfile.xml -o corpus/nvme --html seeds.html")]
pub(super) struct Arguments {
    /// The trace; - is standard input
    #[arg(value_name = "TRACE")]
    trace: PathBuf,
    /// Its format: auto, msr, fio, blkparse, tracerpt-csv, tracerpt-xml, xperf, events
    #[arg(long, default_value = "auto", value_name = "FORMAT")]
    from: String,
    /// Where the seeds go; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The driver that they are for; 'lockstorm drivers' lists them
    #[arg(long, default_value = "nvme")]
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// Write at most so many seeds
    #[arg(long, default_value_t = 64, value_name = "N")]
    max_files: usize,
    /// Most steps of a seed, up to 64
    #[arg(long, default_value_t = STEPS_MAX, value_name = "N")]
    max_steps: usize,
    /// Decides what the trace leaves open
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Skip lines that cannot be read, and count them
    #[arg(long)]
    lenient: bool,
    /// Print what the trace held, and what each seed adds
    #[arg(long)]
    stats: bool,
    /// Write a page with plots of the same
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// How to write what was done: text, or a JSON object a seed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    if arguments.max_files == 0 || !(1..=STEPS_MAX).contains(&arguments.max_steps) {
        let line = format!("--max-files is at least 1, --max-steps from 1 to {STEPS_MAX}");
        return Err(Failure::new(line));
    }
    let driver = input::driver(&arguments.driver, &arguments.device)?;
    let path = &arguments.trace;
    let unusable = |error: trace::TraceError| Failure::at("read", path, error);
    let (format, mut source) = open(arguments)?;
    let mut harness = Harness::open(&driver, Box::leak(Box::default()))
        .map_err(|error| input::unusable(&error))?;
    let options = trace::Options {
        max_files: arguments.max_files,
        max_steps: arguments.max_steps,
        seed: arguments.seed,
        lenient: arguments.lenient,
    };
    let seeded = trace::seeds(&mut *source, &mut harness, &options).map_err(unusable)?;
    let names: Vec<String> = seeded.seeds.iter().map(|seed| name(format, &seed.bytes)).collect();
    // The page first: if it cannot be written there is no seed either.
    if let Some(html) = &arguments.html {
        let page = page::write(&path.display().to_string(), format, &seeded, &names);
        write_whole(html, page.as_bytes())
            .map_err(|error| Failure::at("write", html, reason(&error)))?;
    }
    write(&arguments.output, &names, &seeded)?;
    tell(arguments, format, &seeded, &names, output);
    Ok(Verdict::Clean)
}

fn open(arguments: &Arguments) -> Result<(trace::Format, Box<dyn trace::Source>), Failure> {
    let path = &arguments.trace;
    let format = match &arguments.from[..] {
        "auto" => None,
        name => {
            let formats = trace::Format::ALL;
            let found = formats.into_iter().find(|format| format.name() == name);
            let names = formats.iter().map(|format| format.name());
            Some(found.ok_or_else(|| Failure::unknown("format", name, names, "seed --help"))?)
        }
    };
    let bytes: Box<dyn std::io::Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(path).map_err(|error| Failure::at("read", path, reason(&error)))?;
        Box::new(file)
    };
    let opened = match format {
        Some(format) => trace::open(format, bytes).map(|source| (format, source)),
        None => trace::open_any(bytes),
    };
    opened.map_err(|error| Failure::at("read", path, error))
}

/// A file's name: the same seed of the same format has the same name, wherever and whenever it is made.
fn name(format: trace::Format, bytes: &[u8]) -> String {
    // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/).
    let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    format!("{}-{hash:016x}.bin", format.name())
}

/// Writes all seeds or none: into a directory beside, and from there to their place.
fn write(directory: &Path, names: &[String], seeded: &Seeded) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::at("write", directory, reason(&error));
    let existed = directory.is_dir();
    fs::create_dir_all(directory).map_err(fail)?;
    let stage = directory.join(format!(".seeds.{}.tmp", std::process::id()));
    // A file's name says what is in it: one that is there already stays.
    let mut moved = Vec::new();
    let result = (|| {
        fs::create_dir(&stage)?;
        for (name, seed) in names.iter().zip(&seeded.seeds) {
            fs::write(stage.join(name), &seed.bytes)?;
        }
        names.iter().filter(|name| !directory.join(name).exists()).try_for_each(|name| {
            fs::rename(stage.join(name), directory.join(name))?;
            moved.push(directory.join(name));
            Ok(())
        })
    })();
    // Best effort: the error that matters is the first.
    let _ = fs::remove_dir_all(&stage);
    if result.is_err() {
        moved.iter().for_each(|path| {
            let _ = fs::remove_file(path);
        });
        if !existed {
            let _ = fs::remove_dir(directory);
        }
    }
    result.map_err(fail)
}

/// A seed on a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    requests: usize,
    first_request: u64,
    bytes: usize,
    coverage_gained: usize,
    coverage: usize,
}

fn tell(
    arguments: &Arguments,
    format: trace::Format,
    seeded: &Seeded,
    names: &[String],
    output: &mut Output,
) {
    let lines = names.iter().zip(&seeded.seeds).map(|(file, seed)| {
        let window = &seeded.windows[seed.window];
        Line {
            file,
            requests: window.requests.len(),
            first_request: window.first + 1,
            bytes: seed.bytes.len(),
            coverage_gained: seed.gained,
            coverage: seed.total,
        }
    });
    if arguments.format == Format::Json {
        lines.for_each(|line| output.json(&line));
        return;
    }
    if arguments.stats {
        output.text(&trace::tell(format, seeded));
        for line in lines {
            output.line(format_args!(
                "  {}  {:>2} requests from {:>6}  {:>4} gained, {} in all",
                line.file, line.requests, line.first_request, line.coverage_gained, line.coverage
            ));
        }
    }
    let skipped = match seeded.skipped {
        0 => String::new(),
        skipped => format!("; {} skipped", counted(skipped, "line")),
    };
    output.line(format_args!(
        "{}: {} of {} in {}{skipped}",
        arguments.trace.display(),
        counted(names.len() as u64, "seed"),
        counted(seeded.stats.requests(), "request"),
        arguments.output.display(),
    ));
}
