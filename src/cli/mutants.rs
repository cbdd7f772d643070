//! `lockstorm mutants`: how many lock mistakes would be found?

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::corpus::{gather, read};
use super::failure::{Failure, reason};
use super::fuzz::{self, quoted};
use super::output::{Output, say};
use super::triage::{build, program};
use super::worker::served;
use super::{Format, Verdict, input};
use crate::engine::crew::{CannotAsk, spread};
use crate::engine::findings::write_whole;
use crate::engine::message::{from_hex, to_hex};
use crate::engine::recorder::Place;
use crate::engine::{catch_interrupts, interrupted, release_interrupts};
use crate::harness::Target;
use crate::machine::mutation::Mutation;
use crate::mutants::argued::{self, Argument};
use crate::mutants::crew::{Hand, Start};
use crate::mutants::hunt::{Kill, Order, Trail};
use crate::mutants::journal::{Heading, Journal, Line};
use crate::mutants::plan::{Mutant, plan};
use crate::mutants::report::{Report, Row};
use crate::mutants::spec;
use crate::mutants::worker::{self, Request, Surveyed};
use crate::scenario::{codec, text};

/// Tell how many lock mistakes would be found
///
/// Puts one mistake after another into the driver's lock calls, at every place that the corpus reaches: an acquire or a
/// release left out, moved, made with another lock or at a wrong level. The mistakes are made where the calls arrive;
/// the driver stays as it is. Each mutant is hunted with the corpus and mutants of it, until a rule is broken that
/// the driver itself does not break, or the budget is spent. What survives is a mistake that a fuzzing campaign would
/// miss. A second call with the same folder does only what is new, and an interrupted one goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm mutants nvme                      at most a minute for each mutant
  lockstorm mutants nvme --budget 5 --jobs 2 --min-score 90
  lockstorm mutants ramdisk.sys --device doorbell --format json | jq .score

Exit status: 1 if the score is below --min-score, otherwise 0; 2 if the call is unusable.")]
pub(super) struct Arguments {
    /// The driver; 'lockstorm drivers' lists them
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// Files, and folders of files, of inputs to begin with [default: those in corpus/]
    inputs: Vec<PathBuf>,
    /// Seconds of processor time for each mutant
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    budget: u32,
    /// Processes side by side [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Mutants of inputs that the survey of the driver's lock calls runs, too
    #[arg(long, value_name = "RUNS", default_value_t = 50_000)]
    explore: u64,
    /// Do not look for data races: mutants that leave out or move a lock mostly survive then
    #[arg(long)]
    no_races: bool,
    /// What the random choices begin with
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where the result goes: mutants.json, mutants.html, the scenarios of the kills and a journal [default:
    /// artifacts/DRIVER/mutants]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// A folder to look for source files in; may be given several times [default: this one]
    #[arg(long, value_name = "DIR")]
    source: Vec<PathBuf>,
    /// A file that argues which survivors are no mistakes, as RON; the NVMe core has one built in
    #[arg(long, value_name = "FILE")]
    argued: Option<PathBuf>,
    /// Exit with status 1 if fewer of a hundred mutants are killed
    #[arg(long, value_name = "PERCENT")]
    min_score: Option<f64>,
    /// Only mutants with one of these names, or whose description has one of them in it
    #[arg(long, value_name = "WORDS")]
    only: Vec<String>,
    /// How to write the result: text, or the JSON that mutants.json has
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    // Hunts watch memory themselves.
    let driver = match input::driver_of_workers(&arguments.driver, &arguments.device)? {
        Target::Watched(driver, _) => *driver,
        driver => driver,
    };
    let folder = arguments
        .output
        .clone()
        .unwrap_or_else(|| Path::new("artifacts").join(driver.name().as_ref()).join("mutants"));
    let inputs = inputs(arguments, &driver)?;
    let program = program()?;
    let start = |recorder: &Path| worker_command(&program, &driver, recorder);
    catch_interrupts();
    let result = Campaign { arguments, driver: &driver, folder: &folder }.run(
        inputs,
        &start,
        &build(&program, &driver),
    );
    let was_interrupted = interrupted();
    release_interrupts();
    let report = result?;
    match arguments.format {
        Format::Json => output.json(&report),
        Format::Text => {
            report.lines(|line| output.line(line));
            output.line(format_args!("lockstorm: {}", report.summary()));
        }
    }
    if was_interrupted {
        return Err(Failure::new(format!(
            "interrupted; the same command goes on where it stopped (what is done lies in {})",
            folder.display()
        )));
    }
    let low = arguments.min_score.is_some_and(|least| report.score < least);
    Ok(if low { Verdict::Violation } else { Verdict::Clean })
}

/// The inputs to begin with, as bytes.
fn inputs(arguments: &Arguments, driver: &Target) -> Result<Vec<Vec<u8>>, Failure> {
    let root = Path::new("corpus");
    let committed = [root.join(driver.corpus()), root.join("merged").join(driver.corpus())];
    let given = match arguments.inputs.as_slice() {
        [] => committed.into_iter().filter(|folder| folder.is_dir()).collect(),
        inputs => inputs.to_vec(),
    };
    let mut files = Vec::new();
    for path in &given {
        gather(path, true, &mut files)?;
    }
    let mut inputs = Vec::new();
    for file in files {
        let Some(bytes) = read(&file) else { continue };
        if !codec::looks_like_text(&bytes) {
            inputs.push(bytes);
            continue;
        }
        let scenario = text::read(&bytes).map_err(|error| Failure::at("read", &file, error))?;
        let mut bytes = Vec::new();
        codec::encode(&scenario, &mut bytes);
        inputs.push(bytes);
    }
    if inputs.is_empty() {
        // The empty scenario: what begins and ends every run, and something to make others from.
        inputs.push(Vec::new());
    }
    Ok(inputs)
}

struct Campaign<'a> {
    arguments: &'a Arguments,
    driver: &'a Target,
    folder: &'a Path,
}

impl Campaign<'_> {
    fn run(&self, inputs: Vec<Vec<u8>>, start: &Start<'_>, build: &str) -> Result<Report, Failure> {
        let no_folder = |error| Failure::at("write to", self.folder, reason(&error));
        std::fs::create_dir_all(self.folder.join("kills")).map_err(no_folder)?;
        let arguments = self.arguments()?;
        let (explore, seed) = (self.arguments.explore, self.arguments.seed);
        let races = !self.arguments.no_races;
        let inputs: Vec<String> = inputs.iter().map(|input| to_hex(input)).collect();
        let surveyed = Hand::new(start, Place::new(self.folder, 0), None)
            .survey(&Request::Survey { inputs, explore, seed, races })
            .map_err(|error| Failure::new(format!("cannot survey the driver: {error}")))?;
        let Surveyed { survey, inputs, known } = surveyed;
        say(&survey_line(&survey, inputs.len(), &known));
        let build = format!("{build} {:016x} {seed} {races}", hash(&inputs));
        let heading = Heading::new(&self.driver.name(), build);
        let path = self.journal();
        let mut journal = Journal::open(&path, &heading)
            .map_err(|error| Failure::at("go on with", &path, reason(&error)))?;
        let mut mutants = plan(&survey);
        let only = &self.arguments.only;
        mutants.retain(|mutant| only.is_empty() || only.iter().any(|words| is(mutant, words)));
        self.hunt(&mutants, &mut journal, start, &Request::Corpus { inputs, known })?;
        let budget_ms = self.budget_ms();
        let folders = self.folders();
        let rows = mutants.into_iter().map(|mutant| {
            let trail = journal.trail(&mutant.id, budget_ms).cloned();
            let argued = argued::reason(&arguments, &mutant, &folders);
            let replay =
                trail.as_ref().and_then(|trail| self.keep_kill(&mutant, trail).transpose());
            Ok(Row::new(mutant, trail, argued, replay.transpose()?))
        });
        let rows = rows.collect::<Result<_, Failure>>()?;
        let report = Report::new(&self.driver.name(), budget_ms, rows);
        self.write(&report)?;
        Ok(report)
    }

    /// Writes the scenario that killed a mutant; the command that replays it. Nobody knows the scenario of a mutant that
    /// killed its worker before it ran anything.
    fn keep_kill(&self, mutant: &Mutant, trail: &Trail) -> Result<Option<String>, Failure> {
        let path = self.folder.join("kills").join(format!("{}.bin", mutant.id));
        let kill = trail.kill.as_ref().and_then(|kill| Some((kill, from_hex(&kill.scenario)?)));
        let Some((Kill { memory, .. }, scenario)) = kill.filter(|(_, bytes)| !bytes.is_empty())
        else {
            // Another build's, or another corpus'.
            return Ok(None);
        };
        write_whole(&path, &scenario)
            .map_err(|error| Failure::at("write", &path, reason(&error)))?;
        let driver = self.driver.clone().watched(memory.watch());
        Ok(Some(replay(&driver, Some(&mutant.mutation), &path)))
    }

    /// What is argued to be no mistake.
    fn arguments(&self) -> Result<Vec<Argument>, Failure> {
        let Some(path) = &self.arguments.argued else {
            return Ok(argued::built_in(&self.driver.name()));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::at("read", path, reason(&error)))?;
        argued::read(&text).map_err(|error| Failure::at("read", path, error))
    }

    /// Where source files are looked for.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.arguments.source.clone();
        folders.push(PathBuf::from("."));
        folders
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("journal.jsonl")
    }

    fn budget_ms(&self) -> u64 {
        u64::from(self.arguments.budget) * 1000
    }

    /// Hunts what the journal does not know.
    fn hunt(
        &self,
        mutants: &[Mutant],
        journal: &mut Journal,
        start: &Start<'_>,
        corpus: &Request,
    ) -> Result<(), Failure> {
        let budget_ms = self.budget_ms();
        let due = |mutant: &&Mutant| {
            mutant.equivalent.is_none() && journal.trail(&mutant.id, budget_ms).is_none()
        };
        let order = |mutant: &Mutant| {
            let order = Order {
                mutation: mutant.mutation.clone(),
                first: mutant.inputs.clone(),
                budget_ms,
                seed: self.arguments.seed,
                races: !self.arguments.no_races,
            };
            (mutant.id.clone(), order)
        };
        let orders: Vec<(String, Order)> = mutants.iter().filter(due).map(order).collect();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.arguments.jobs.map_or_else(cores, usize::from);
        let mut progress = Progress::new(orders.len());
        let mut failed = None;
        // Number 0 is the worker of the survey.
        let hand = |job| Hand::new(start, Place::new(self.folder, job + 1), Some(corpus));
        let hunt = |hand: &mut Hand<'_>, (id, order): &(String, Order)| {
            hand.hunt(order).map(|trail| Line { id: id.clone(), budget_ms, trail })
        };
        spread(&orders, jobs, hand, hunt, |line| {
            failed = match line {
                Ok(line) => {
                    progress.take(&line.trail);
                    let path = self.journal();
                    journal.note(line).err().map(|e| Failure::at("write", &path, reason(&e)))
                }
                Err(CannotAsk::Interrupted) => None,
                Err(error) => Some(Failure::new(format!("the hunt ended: {error}"))),
            };
            failed.is_none()
        });
        failed.map_or(Ok(()), Err)
    }

    fn write(&self, report: &Report) -> Result<(), Failure> {
        let json =
            serde_json::to_vec_pretty(report).map_err(|error| Failure::new(error.to_string()))?;
        let page = report.page(&self.folders()).into_bytes();
        for (name, content) in [("mutants.json", json), ("mutants.html", page)] {
            let path = self.folder.join(name);
            write_whole(&path, &content)
                .map_err(|error| Failure::at("write", &path, reason(&error)))?;
        }
        Ok(())
    }
}

/// The command that replays a run of a driver, or of a mutant of it.
pub(super) fn replay(driver: &Target, mutant: Option<&Mutation>, path: &Path) -> String {
    let mutant = mutant.map_or_else(String::new, |mutation| {
        format!(" --mutant {}", quoted(Path::new(&spec::write(mutation))))
    });
    format!("{}{mutant}", fuzz::replay(driver, path))
}

/// Whether a mutant is meant by these words.
fn is(mutant: &Mutant, words: &str) -> bool {
    let Mutant { id, mutation, site, .. } = mutant;
    id == words
        || format!("{} lock at {site}: {}", mutation.place.lock, mutation.operator).contains(words)
}

fn survey_line(
    survey: &crate::mutants::survey::Survey,
    inputs: usize,
    known: &BTreeSet<String>,
) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let known = match known.as_slice() {
        [] => String::new(),
        known => format!("; the driver itself breaks {}", known.join(", ")),
    };
    format!(
        "lockstorm: locks are acquired at {} places and released at {}, in {} runs; hunting with {inputs} inputs{known}",
        survey.acquires.len(),
        survey.releases.len(),
        survey.runs,
    )
}

/// FNV-1a over the inputs.
fn hash(inputs: &[String]) -> u64 {
    let bytes = inputs.iter().flat_map(|input| input.bytes().chain([0]));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)
    })
}

/// A line now and then.
struct Progress {
    of: usize,
    done: usize,
    survived: usize,
    said: Instant,
}

impl Progress {
    fn new(of: usize) -> Progress {
        Progress { of, done: 0, survived: 0, said: Instant::now() }
    }

    fn take(&mut self, trail: &Trail) {
        self.done += 1;
        self.survived += usize::from(trail.kill.is_none());
        if self.said.elapsed() >= Duration::from_secs(2) {
            self.said = Instant::now();
            let Progress { of, done, survived, .. } = self;
            say(&format!("lockstorm: hunted {done} of {of} mutants, {survived} survived"));
        }
    }
}

/// The command that runs a worker; read back in [`work`].
fn worker_command(program: &Path, driver: &Target, recorder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("mutants-worker").args(driver.arguments());
    command.arg("--recorder").arg(recorder);
    command
}

/// Run mutants for 'lockstorm mutants'
#[derive(Debug, clap::Args)]
pub(super) struct WorkerArguments {
    driver: String,
    #[command(flatten)]
    device: input::Device,
    #[arg(long)]
    recorder: PathBuf,
}

pub(super) fn work(arguments: &WorkerArguments) -> Result<Verdict, Failure> {
    if std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "'mutants-worker' is what 'lockstorm mutants' starts; run that instead",
        ));
    }
    let driver = input::driver(&arguments.driver, &arguments.device)?;
    served(worker::serve(&driver, &arguments.recorder))
}
