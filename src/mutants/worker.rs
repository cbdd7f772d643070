//! The worker: a child process that surveys a driver and hunts its mutants, one request at a time.
//!
//! A mutant breaks its process sooner than most drivers do. So the process that keeps the books runs none: it asks a
//! worker, by a line on the worker's standard input, and reads what it says, a line each, on its standard output. A
//! worker that dies says by its signal what killed the mutant; one that wants too much memory aborts.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::hunt::{Memory, Novelties, Order, Pool, Trail, breach, hunt, next};
use super::survey::Survey;
use crate::engine::message::{from_hex, to_hex};
use crate::engine::serve::CannotServe;
use crate::engine::worker::{cage, clear_counts, counts};
use crate::engine::{ignore_interrupts, run_begins, run_ends, watch};
use crate::harness::{Harness, Prepared, Target};
use crate::scenario::{Scenario, codec};

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Run the inputs and so many mutants of them, and tell what they reach.
    Survey {
        /// The inputs, as hexadecimal digits.
        inputs: Vec<String>,
        /// Mutants of inputs to run as well.
        explore: u64,
        /// What the random choices begin with.
        seed: u64,
        /// Look for data races too.
        races: bool,
    },
    /// What hunts begin with, from now on.
    Corpus {
        /// The inputs, as hexadecimal digits.
        inputs: Vec<String>,
        /// Rules that the driver breaks anyway.
        known: BTreeSet<String>,
    },
    /// Hunt a mutant.
    Hunt(Order),
}

/// Something that a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Survey`].
    Surveyed(Box<Surveyed>),
    /// To [`Request::Corpus`].
    Taken,
    /// A hunt goes on: runs so far.
    Hunting(u64),
    /// To [`Request::Hunt`].
    Hunted(Box<Trail>),
    /// The request makes no sense.
    Refused(String),
}

/// What a survey found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Surveyed {
    /// What is reached.
    pub survey: Survey,
    /// The inputs, and what mutants of them reached more, as hexadecimal digits; in the order in which the survey
    /// numbers them.
    pub inputs: Vec<String>,
    /// Rules that the driver broke.
    pub known: BTreeSet<String>,
}

/// What begins a line of a worker's: a driver may print, too.
pub const MARK: &str = "lockstorm mutants ";

/// Most inputs that a survey adds to the corpus: what reaches new lock-state coverage is rare after that many.
const ADDED_MAX: usize = 2048;

/// Most address space of a worker: a mutant that wants more is stopped by that. A worker needs a tenth of it.
const ADDRESS_SPACE: u64 = 16 << 30;

/// Between two reports of a hunt.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Answers requests on the driver until there are no more.
///
/// # Errors
///
/// See [`CannotServe`].
pub fn serve(target: &Target) -> Result<(), CannotServe> {
    ignore_interrupts();
    limit_memory();
    watch();
    let driver = Prepared::read(target)?;
    if target.is_untrusted() {
        cage().map_err(CannotServe::Cage)?;
    }
    let mut worker = Worker {
        harness: driver.start(Box::leak(Box::default()))?,
        corpus: Vec::new(),
        known: BTreeSet::new(),
    };
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(request) => worker.answer(request)?,
            Err(error) => Answer::Refused(error.to_string()),
        };
        say(&answer)?;
    }
    Ok(())
}

fn say(answer: &Answer) -> io::Result<()> {
    let answer = serde_json::to_string(answer).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{MARK}{answer}")?;
    out.flush()
}

/// Lets an allocation beyond all reason fail, and so end the worker, before it ends the host.
fn limit_memory() {
    let limit = libc::rlimit { rlim_cur: ADDRESS_SPACE, rlim_max: ADDRESS_SPACE };
    // SAFETY: a valid limit. If the host refuses, there is none.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
}

struct Worker {
    harness: Harness,
    corpus: Vec<Vec<u8>>,
    known: BTreeSet<String>,
}

impl Worker {
    fn answer(&mut self, request: Request) -> io::Result<Answer> {
        let bytes = |inputs: &[String]| -> Option<Vec<Vec<u8>>> {
            inputs.iter().map(|input| from_hex(input)).collect()
        };
        let nonsense = || Ok(Answer::Refused("inputs are hexadecimal digits".into()));
        match request {
            Request::Survey { inputs, explore, seed, races } => {
                let Some(inputs) = bytes(&inputs) else { return nonsense() };
                Ok(Answer::Surveyed(Box::new(self.survey(inputs, explore, seed, races))))
            }
            Request::Corpus { inputs, known } => {
                let Some(inputs) = bytes(&inputs) else { return nonsense() };
                (self.corpus, self.known) = (inputs, known);
                Ok(Answer::Taken)
            }
            Request::Hunt(order) => {
                let (mut said, mut gone) = (Instant::now(), Ok(()));
                let trail =
                    hunt(&mut self.harness, &self.corpus, &self.known, &order, &mut |runs| {
                        if said.elapsed() >= REPORT_EVERY && gone.is_ok() {
                            said = Instant::now();
                            gone = say(&Answer::Hunting(runs));
                        }
                    });
                gone.map(|()| Answer::Hunted(Box::new(trail)))
            }
        }
    }

    fn survey(&mut self, inputs: Vec<Vec<u8>>, explore: u64, seed: u64, races: bool) -> Surveyed {
        let mut surveyor = Surveyor {
            harness: &mut self.harness,
            scenario: Scenario::default(),
            survey: Survey::default(),
            novelty: Novelties::default(),
            known: BTreeSet::new(),
        };
        surveyor.harness.record(true);
        for (number, input) in (0..).zip(&inputs) {
            surveyor.run(input, number);
        }
        for input in inputs.iter().filter(|_| races) {
            surveyor.run_watched(input, Memory::Races);
        }
        let added = inputs.len() + ADDED_MAX;
        let mut pool = Pool { reaching: 0, inputs };
        let mut random = seed;
        for _ in 0..explore {
            let child = pool.child(&mut random);
            if surveyor.run(&child, pool.inputs.len() as u32) && pool.inputs.len() < added {
                pool.keep(child.clone(), &mut random);
            }
            // As many runs as hunts have of each kind, so that what a hunt would find in the driver itself is known.
            match next(&mut random) % 8 {
                0 if races => surveyor.run_watched(&child, Memory::Preempted),
                1 | 2 if races => surveyor.run_watched(&child, Memory::Races),
                _ => {}
            }
        }
        let (survey, known) = (surveyor.survey, surveyor.known);
        self.harness.record(false);
        let inputs = pool.inputs.iter().map(|input| to_hex(input)).collect();
        Surveyed { survey, inputs, known }
    }
}

struct Surveyor<'a> {
    harness: &'a mut Harness,
    scenario: Scenario,
    survey: Survey,
    novelty: Novelties,
    known: BTreeSet<String>,
}

impl Surveyor<'_> {
    /// Runs an input to see which rules the driver breaks when its memory is watched.
    fn run_watched(&mut self, input: &[u8], memory: Memory) {
        codec::decode_into(input, &mut self.scenario);
        self.harness.record(false);
        self.harness.watch_memory(memory.watch());
        run_begins();
        self.harness.run(&self.scenario);
        run_ends();
        self.note_broken();
        self.harness.watch_memory(Memory::Unwatched.watch());
        self.harness.record(true);
    }

    fn note_broken(&mut self) {
        self.known.extend(self.harness.findings().iter().map(breach));
    }

    /// Runs an input; whether it reached anything new.
    fn run(&mut self, input: &[u8], number: u32) -> bool {
        codec::decode_into(input, &mut self.scenario);
        self.harness.coverage().clear();
        clear_counts(self.harness);
        run_begins();
        self.harness.run(&self.scenario);
        run_ends();
        self.note_broken();
        let place = self.survey.add(self.harness.events(), number);
        let locks = self.novelty.locks.take(&self.harness.coverage().0);
        let code = self.novelty.code.take(counts(self.harness));
        place || locks || code
    }
}
