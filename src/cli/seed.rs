//! `lockstorm seed`: seeds from traces.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::{Failure, reason};
use super::output::Output;
use super::run::FindingLine;
use super::{Format, Verdict, input};
use crate::engine::findings::write_whole;
use crate::harness::{BuiltIn, Harness, Target};
use crate::report::number::{counted, grouped};
use crate::scenario::STEPS_MAX;
use crate::trace::choose::{Broken, Chosen};
use crate::trace::history::Played;
use crate::trace::{self, page};

/// Make seeds from a trace of a real machine
///
/// Reads a block trace, cuts it into windows of activity, writes each as a scenario with the trace's requests, processors,
/// collisions, completion order and timing, replays them, and keeps those that reach what none before did. Traces may
/// be packed with gzip or zstd. Nothing is written unless the whole trace can be read. Of events (--from events) the puppet gets
/// the lock calls: scripts that make the same calls in the same order. What breaks a rule is told, and is no seed; then the exit
/// status is 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm seed --from msr hm_0.csv.gz -o corpus/nvme
  blkparse -q sda | lockstorm seed --from blkparse - -o corpus/nvme --stats
  lockstorm seed dumpfile.xml -o corpus/nvme --html seeds.html
  lockstorm seed --from events run.jsonl --driver puppet -o corpus/puppet --artifacts broken")]
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
    /// Keep the scenarios that break a rule here
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
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

/// What a trace came to, of either way.
struct Made {
    seeds: Vec<Chosen>,
    broken: Vec<Broken>,
    /// Of what each window or part consists, in a few words.
    windows: Vec<String>,
    /// All of it, in a few words.
    read: String,
    skipped: u64,
    /// What `--stats` prints before the seeds.
    stats: String,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    if arguments.max_files == 0 || !(1..=STEPS_MAX).contains(&arguments.max_steps) {
        let line = format!("--max-files is at least 1, --max-steps from 1 to {STEPS_MAX}");
        return Err(Failure::new(line));
    }
    let driver = input::driver(&arguments.driver, &arguments.device)?;
    let (format, opened) = open(arguments, driver == Target::BuiltIn(BuiltIn::Puppet))?;
    let mut harness = Harness::open(&driver, Box::leak(Box::default()))
        .map_err(|error| input::unusable(&error))?;
    let made = match opened {
        Opened::Requests(source) => requests(arguments, format, source, &mut harness)?,
        Opened::Events(lines) => lock_calls(arguments, lines, &mut harness)?,
    };
    let named = |seed: &Chosen| name(format.name(), &seed.bytes);
    let names: Vec<String> = made.seeds.iter().map(named).collect();
    let broken: Vec<String> = made
        .broken
        .iter()
        .map(|b| name(&format!("{}-{}", format.name(), b.finding.rule.rule().id), &b.bytes))
        .collect();
    if let Some(directory) = &arguments.artifacts {
        let files = broken.iter().zip(&made.broken).map(|(name, b)| (&name[..], &b.bytes[..]));
        write(directory, &files.collect::<Vec<_>>())?;
    }
    let files = names.iter().zip(&made.seeds).map(|(name, seed)| (&name[..], &seed.bytes[..]));
    write(&arguments.output, &files.collect::<Vec<_>>())?;
    tell(arguments, &made, (&names, &broken), output);
    Ok(if made.broken.is_empty() { Verdict::Clean } else { Verdict::Violation })
}

fn options(arguments: &Arguments) -> trace::Options {
    trace::Options {
        max_files: arguments.max_files,
        max_steps: arguments.max_steps,
        seed: arguments.seed,
        lenient: arguments.lenient,
    }
}

/// Seeds of a trace's requests.
fn requests(
    arguments: &Arguments,
    format: trace::Format,
    mut source: Box<dyn trace::Source>,
    harness: &mut Harness,
) -> Result<Made, Failure> {
    let seeded = trace::seeds(&mut *source, harness, &options(arguments))
        .map_err(|error| Failure::at("read", &arguments.trace, error))?;
    // The page first: if it cannot be written there is no seed either.
    if let Some(html) = &arguments.html {
        let names: Vec<String> =
            seeded.seeds.iter().map(|seed| name(format.name(), &seed.bytes)).collect();
        let page = page::write(&arguments.trace.display().to_string(), format, &seeded, &names);
        write_whole(html, page.as_bytes())
            .map_err(|error| Failure::at("write", html, reason(&error)))?;
    }
    let window = |window: &trace::window::Window| {
        format!("{:>2} requests from {:>6}", window.requests.len(), window.first + 1)
    };
    Ok(Made {
        windows: seeded.windows.iter().map(window).collect(),
        read: counted(seeded.stats.requests(), "request"),
        stats: trace::tell(format, &seeded),
        skipped: seeded.skipped,
        seeds: seeded.seeds,
        broken: seeded.broken,
    })
}

/// Scripts for the puppet of a record's lock calls.
fn lock_calls(
    arguments: &Arguments,
    mut lines: trace::events::Lines<'_>,
    harness: &mut Harness,
) -> Result<Made, Failure> {
    if arguments.html.is_some() {
        let line = "--html shows requests; of lock calls there is no page: see 'lockstorm locks'";
        return Err(Failure::new(line));
    }
    let made = trace::history::histories(&mut lines, harness, &options(arguments))
        .map_err(|error| Failure::at("read", &arguments.trace, error))?;
    let part = |part: &trace::history::Played| {
        let Played { first, calls, matched } = part;
        format!("{matched} of {} in order, from event {first}", counted(*calls as u64, "lock call"))
    };
    let calls: usize = made.parts.iter().map(|part| part.calls).sum();
    let matched: usize = made.parts.iter().map(|part| part.matched).sum();
    let stats = format!(
        "format       events by lockstorm run --events\n\
         lock calls   {} of {} come in the recorded order\n\
         parts        {}, {} that no script can say; {}\n",
        grouped(matched as u64),
        grouped(calls as u64),
        grouped(made.parts.len() as u64),
        counted(made.left_out, "stretch").replace("stretchs", "stretches"),
        counted(made.executions, "run"),
    );
    Ok(Made {
        windows: made.parts.iter().map(part).collect(),
        read: counted(made.events, "event"),
        stats,
        skipped: made.skipped,
        seeds: made.seeds,
        broken: made.broken,
    })
}

/// A trace, opened for what is wanted of it.
enum Opened {
    Requests(Box<dyn trace::Source>),
    Events(trace::events::Lines<'static>),
}

/// Of events the puppet gets the lock calls, any other driver the requests.
fn open(arguments: &Arguments, puppet: bool) -> Result<(trace::Format, Opened), Failure> {
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
    let fail = |error: trace::TraceError| Failure::at("read", path, error);
    if puppet && format == Some(trace::Format::Events) {
        let lines = trace::open_events(bytes).map_err(fail)?;
        return Ok((trace::Format::Events, Opened::Events(lines)));
    }
    let opened = match format {
        Some(format) => trace::open(format, bytes).map(|source| (format, source)),
        None => trace::open_any(bytes),
    };
    opened.map(|(format, source)| (format, Opened::Requests(source))).map_err(fail)
}

/// A file's name: the same seed of the same format has the same name, wherever and whenever it is made.
fn name(begins: &str, bytes: &[u8]) -> String {
    // FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/).
    let hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    format!("{begins}-{hash:016x}.bin")
}

/// Writes all files or none: into a directory beside, and from there to their place.
fn write(directory: &Path, files: &[(&str, &[u8])]) -> Result<(), Failure> {
    if files.is_empty() {
        return Ok(());
    }
    let fail = |error: std::io::Error| Failure::at("write", directory, reason(&error));
    let existed = directory.is_dir();
    fs::create_dir_all(directory).map_err(fail)?;
    let stage = directory.join(format!(".seeds.{}.tmp", std::process::id()));
    // A file's name says what is in it: one that is there already stays.
    let mut moved = Vec::new();
    let result = (|| {
        fs::create_dir(&stage)?;
        for (name, bytes) in files {
            fs::write(stage.join(name), bytes)?;
        }
        let names = files.iter().map(|(name, _)| name);
        names.filter(|name| !directory.join(name).exists()).try_for_each(|name| {
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
    of: &'a str,
    bytes: usize,
    coverage_gained: usize,
    coverage: usize,
}

/// A scenario that breaks a rule, on a line of JSON.
#[derive(Serialize)]
struct BrokenLine<'a> {
    /// With `--artifacts`.
    file: Option<&'a str>,
    of: &'a str,
    scenarios: u64,
    finding: FindingLine,
}

fn tell(
    arguments: &Arguments,
    made: &Made,
    (names, broken): (&[String], &[String]),
    output: &mut Output,
) {
    let seeds = names.iter().zip(&made.seeds).map(|(file, seed)| Line {
        file,
        of: made.windows[seed.window].trim_start(),
        bytes: seed.bytes.len(),
        coverage_gained: seed.gained,
        coverage: seed.total,
    });
    let broken = broken.iter().zip(&made.broken).map(|(file, broken)| BrokenLine {
        file: arguments.artifacts.is_some().then_some(file),
        of: made.windows[broken.window].trim_start(),
        scenarios: broken.scenarios,
        finding: FindingLine::new(&broken.finding),
    });
    if arguments.format == Format::Json {
        seeds.for_each(|line| output.json(&line));
        broken.for_each(|line| output.json(&line));
        return;
    }
    if arguments.stats {
        output.text(&made.stats);
        for line in seeds {
            output.line(format_args!(
                "  {}  {}  {:>4} gained, {} in all",
                line.file, line.of, line.coverage_gained, line.coverage
            ));
        }
    }
    for line in broken {
        let BrokenLine { file, of, scenarios, finding } = line;
        let file = file.map_or(String::new(), |file| format!("{file}: "));
        output.line(format_args!("{file}{of}, {}:", counted(scenarios, "scenario")));
        output.line(&finding.line);
    }
    let skipped = match made.skipped {
        0 => String::new(),
        skipped => format!("; {} skipped", counted(skipped, "line")),
    };
    let left_out = match (made.broken.len() as u64, &arguments.artifacts) {
        (0, _) => String::new(),
        (n, Some(directory)) => {
            format!("; {} in {}", counted(n, "violation"), directory.display())
        }
        (n, None) => {
            format!("; {} left out, --artifacts DIR keeps what shows it", counted(n, "violation"))
        }
    };
    output.line(format_args!(
        "{}: {} of {} in {}{left_out}{skipped}",
        arguments.trace.display(),
        counted(names.len() as u64, "seed"),
        made.read,
        arguments.output.display(),
    ));
}
