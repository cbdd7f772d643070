//! The worker: a child process that runs libFuzzer's loop on one driver until it is told to end.
//!
//! It reports on standard output (see [`super::message`]), libFuzzer writes its chatter to standard
//! error, and standard input is a leash: when it closes, because the parent wants an end or is gone, the
//! worker ends between two runs. The parent's files are in order then: libFuzzer writes an input to
//! the corpus before it runs the next.

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::io::{self, Stdout};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::exchange;
use super::findings::earlier_examples;
use super::libfuzzer::{self, INPUT_MAX, Mutation};
use super::message::{Found, Message, Statistics, send};
use super::novelty::Novelty;
use super::recorder::Recorder;
use super::signals;
use crate::harness::{Harness, OpenError, Prepared, Target};
use crate::machine::End;
use crate::scenario::{PolicyKind, Scenario, codec, mutate};

/// What a worker is told to do.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The driver.
    pub driver: Target,
    /// Seed of libFuzzer's random choices; not 0, which libFuzzer takes for the time of day.
    pub seed: u32,
    /// End after so many inputs.
    pub runs: Option<u64>,
    /// The policy of every schedule; `None` leaves it to the inputs.
    pub policy: Option<PolicyKind>,
    /// How inputs are mutated.
    pub mutation: Mutation,
    /// Read what other workers add to the corpus.
    pub reload: bool,
    /// Directory that inputs with new coverage go to; its inputs are run first.
    pub corpus: PathBuf,
    /// Directory of more inputs to begin with; their neighbours are tried before libFuzzer begins.
    pub seeds: Option<PathBuf>,
    /// Directory of earlier findings, whose inputs are run before anything else and not counted.
    pub earlier: Option<PathBuf>,
    /// File of the flight recorder.
    pub recorder: PathBuf,
}

/// Between two reports of statistics.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Runs between two looks at the clock. A look costs some 25 ns, and a run at most a few milliseconds.
const LOOK_EVERY: u64 = 32;

/// The parent wants an end.
static STOP: AtomicBool = AtomicBool::new(false);

/// Why a worker cannot start.
#[derive(Debug)]
pub enum CannotStart {
    /// The driver cannot be opened.
    Driver(OpenError),
    /// This file cannot be made.
    Recorder(PathBuf, io::Error),
    /// The driver is untrusted, and the process could not be locked up.
    Cage(String),
}

/// Runs until told to end. Returns only if it cannot start.
///
/// # Errors
///
/// The driver cannot be opened, or the recorder's file cannot be made.
pub fn run(orders: &Orders) -> Result<std::convert::Infallible, CannotStart> {
    signals::ignore_interrupts();
    let unmapped = |error| CannotStart::Recorder(orders.recorder.clone(), error);
    let recorder = Recorder::create(&orders.recorder).map_err(unmapped)?;
    watch_leash();
    signals::watch();
    let driver = Prepared::read(&orders.driver).map_err(CannotStart::Driver)?;
    let earlier = contents(orders.earlier.iter().flat_map(|directory| earlier_examples(directory)));
    let seeds = contents(orders.seeds.iter().flat_map(|directory| files_in(directory)));
    let arguments = arguments(orders).map_err(unmapped)?;
    let caged = orders.driver.is_untrusted();
    if caged {
        // libFuzzer cannot read these any more.
        let corpus = contents(files_in(&orders.corpus));
        corpus.into_iter().chain(seeds.iter().cloned()).for_each(exchange::offer);
        cage()?;
    }
    // SAFETY: this process calls this function once, and so `counters`.
    let harness = driver.start(unsafe { libfuzzer::counters() }).map_err(CannotStart::Driver)?;
    watch_counters(&harness);
    let mut worker = Worker {
        harness,
        recorder,
        out: io::stdout(),
        shortest: HashMap::new(),
        statistics: Statistics::default(),
        runs_max: orders.runs.unwrap_or(u64::MAX),
        reported: Instant::now(),
        novelty: caged.then(Reached::default),
        unmodelled: HashSet::new(),
        policy: orders.policy,
        scenario: Scenario::default(),
    };
    for bytes in earlier {
        worker.run(&bytes);
    }
    worker.statistics = Statistics::default();
    worker.recorder.restart();
    for seed in seeds.iter().filter(|_| orders.mutation != Mutation::Bytes) {
        mutate::each_neighbour(seed, |bytes| worker.step(bytes));
    }
    libfuzzer::fuzz(arguments, orders.mutation, move |bytes| worker.step(bytes))
}

/// Guides libFuzzer by a compiled driver's own coverage too.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn watch_counters(harness: &Harness) {
    if let Some(counters) = harness.driver_counters() {
        // SAFETY: the worker keeps its harness, and so the driver, to the end of the process.
        unsafe { libfuzzer::watch_counters(counters) };
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn watch_counters(_: &Harness) {}

/// The counters of a compiled driver.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) fn counts(harness: &Harness) -> &[u8] {
    // SAFETY: the driver is not running, so nobody writes its counters; they live as long as the harness.
    harness.driver_counters().map_or(&[], |counters| unsafe { counters.counts.as_ref() })
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) fn counts(_: &Harness) -> &[u8] {
    &[]
}

/// Sets them back to zero, where no engine does.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) fn clear_counts(harness: &Harness) {
    if let Some(mut counters) = harness.driver_counters() {
        // SAFETY: as in `counts`.
        unsafe { counters.counts.as_mut().fill(0) }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) fn clear_counts(_: &Harness) {}

/// The contents of files; one that cannot be read is no loss.
fn contents(files: impl IntoIterator<Item = PathBuf>) -> Vec<Vec<u8>> {
    files.into_iter().filter_map(|path| std::fs::read(path).ok()).collect()
}

/// From here on this process has no file, no network and no other process, whatever a driver does to it.
#[cfg(target_os = "linux")]
pub(crate) fn cage() -> Result<(), CannotStart> {
    super::sandbox::enter().map_err(|error| CannotStart::Cage(error.to_string()))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn cage() -> Result<(), CannotStart> {
    Err(CannotStart::Cage("this system has no seccomp".into()))
}

/// The files of a directory, by name.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// libFuzzer's own arguments.
fn arguments(orders: &Orders) -> io::Result<Vec<CString>> {
    let mut arguments: Vec<CString> = [
        format!("-seed={}", orders.seed),
        format!("-max_len={INPUT_MAX}"),
        format!("-reload={}", u8::from(orders.reload && !orders.driver.is_untrusted())),
        // No compiler instrumentation, hence no compared values to copy.
        "-use_cmp=0".into(),
        // Deaths are the parent's to see: the signal tells more than libFuzzer's handlers, which need
        // the stack that a driver may have broken. Runs without end are the watchdog's.
        "-timeout=0".into(),
    ]
    .into_iter()
    .chain(
        ["abrt", "bus", "fpe", "ill", "int", "segv", "term", "trap", "usr1", "usr2", "xfsz"]
            .map(|signal| format!("-handle_{signal}=0")),
    )
    .map(|argument| CString::new(argument).map_err(io::Error::other))
    .collect::<io::Result<_>>()?;
    if orders.driver.is_untrusted() {
        // Inputs come whole from outside, whatever their length; the thread that watches memory could not start.
        arguments.extend([c"-len_control=0".to_owned(), c"-rss_limit_mb=0".to_owned()]);
        return Ok(arguments);
    }
    for directory in [Some(&orders.corpus), orders.seeds.as_ref()].into_iter().flatten() {
        arguments.push(absolute(directory)?);
    }
    Ok(arguments)
}

/// The path from the root, so that libFuzzer cannot take it for a flag.
fn absolute(path: &Path) -> io::Result<CString> {
    let path = std::path::absolute(path)?;
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Takes inputs from standard input, and sets [`STOP`] when it closes.
fn watch_leash() {
    std::thread::spawn(|| {
        exchange::receive(io::stdin().lock());
        STOP.store(true, Ordering::Relaxed);
    });
}

/// What a caged worker's runs reached so far.
#[derive(Default)]
struct Reached {
    /// Lock-state coverage.
    locks: Novelty,
    /// The driver's own code.
    code: Novelty,
}

struct Worker {
    harness: Harness,
    recorder: Recorder,
    out: Stdout,
    /// Size of the shortest example that was reported, by finding.
    shortest: HashMap<u64, usize>,
    statistics: Statistics,
    runs_max: u64,
    reported: Instant,
    /// What was reached so far, if the parent keeps the corpus.
    novelty: Option<Reached>,
    /// Routines without a model that the parent knows of.
    unmodelled: HashSet<&'static str>,
    policy: Option<PolicyKind>,
    /// What the last input said.
    scenario: Scenario,
}

impl Worker {
    /// One input of libFuzzer's.
    fn step(&mut self, bytes: &[u8]) {
        let runs = self.statistics.runs;
        if runs >= self.runs_max || STOP.load(Ordering::Relaxed) {
            self.end();
        }
        if runs.is_multiple_of(LOOK_EVERY) && self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            self.send(&Message::Statistics(self.statistics));
        }
        self.run(bytes);
    }

    /// Runs one input and reports what it broke.
    fn run(&mut self, bytes: &[u8]) {
        self.recorder.begin(bytes);
        signals::run_begins();
        codec::decode_into(bytes, &mut self.scenario);
        if let Some(kind) = self.policy {
            self.scenario.policy = self.scenario.policy.of_kind(kind, seed_of(bytes));
        }
        let outcome = self.harness.run(&self.scenario);
        signals::run_ends();
        self.recorder.end();
        self.statistics.runs += 1;
        self.statistics.events += outcome.events;
        self.statistics.virtual_ns += outcome.virtual_ns;
        if !self.harness.findings().is_empty() {
            self.report();
        }
        if outcome.end == End::Unmodelled && self.unmodelled.insert(self.harness.unmodelled()) {
            let routine = self.harness.unmodelled().to_owned();
            self.send(&Message::Unmodelled { routine });
        }
        let new = match &mut self.novelty {
            Some(novelty) => {
                let locks = novelty.locks.take(&self.harness.coverage().0);
                let code = novelty.code.take(counts(&self.harness));
                locks || code
            }
            None => false,
        };
        if new {
            self.send(&Message::Reached { input: bytes.to_vec() });
        }
    }

    /// Reports those findings of the last run that are new, or shorter than before.
    fn report(&mut self) {
        let size = size(&self.scenario);
        let mut input = Vec::new();
        for at in 0..self.harness.findings().len() {
            let finding = self.harness.findings()[at];
            let shortest = self.shortest.entry(finding.id()).or_insert(usize::MAX);
            if size < *shortest {
                *shortest = size;
                if input.is_empty() {
                    codec::encode(&self.scenario, &mut input);
                }
                let runs = self.statistics.runs;
                let found = Found { runs, ..Found::new(&finding, input.clone()) };
                self.send(&Message::Found(found));
            }
        }
    }

    /// Tells the parent; without one there is nothing left to do.
    fn send(&mut self, message: &Message) {
        if send(&mut self.out, message).is_err() {
            exit_at_once();
        }
    }

    fn end(&mut self) -> ! {
        let statistics = self.statistics;
        self.send(&Message::Statistics(statistics));
        self.send(&Message::Done);
        exit_at_once()
    }
}

/// The seed of a policy that the bytes themselves do not have: FNV-1a of them.
fn seed_of(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// How long a scenario is to its reader: the same order as the length of its bytes, without encoding it.
fn size(scenario: &Scenario) -> usize {
    scenario.steps.len() * codec::STEP_BYTES + scenario.schedule.len() * codec::DECISION_BYTES
}

/// Ends the process from inside libFuzzer's loop. `exit` would run libFuzzer's exit handler, which takes an
/// exit during a run for a bug of the target.
fn exit_at_once() -> ! {
    // SAFETY: no memory is touched any more.
    unsafe { libc::_exit(0) }
}
