//! The worker: surveys a driver and hunts its mutants, one request at a time ([`crate::engine::serve`]).
//!
//! A mutant breaks its process sooner than most drivers do. What it ran then, the worker has written into its
//! [flight recorder](crate::engine::recorder), so that the kill can be replayed.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hunt::{Game, Memory, Novelties, Order, Pool, Trail, breach, hunt, next};
use super::survey::Survey;
use crate::engine::message::{from_hex, to_hex};
use crate::engine::recorder::Recorder;
use crate::engine::serve::{self, CannotServe, Pulse};
use crate::engine::worker::{clear_counts, counts};
use crate::engine::{run_begins, run_ends};
use crate::harness::{Harness, Target};
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
    /// To [`Request::Hunt`].
    Hunted(Box<Trail>),
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

/// Most inputs that a survey adds to the corpus: what reaches new lock-state coverage is rare after that many.
const ADDED_MAX: usize = 2048;

/// Answers requests on the driver until there are no more. `recorder` is the file of its flight recorder.
///
/// # Errors
///
/// See [`CannotServe`].
pub fn serve(target: &Target, recorder: &Path) -> Result<(), CannotServe> {
    let mut worker = Worker {
        recorder: Recorder::create(recorder)?,
        corpus: Vec::new(),
        known: BTreeSet::new(),
    };
    serve::serve(target, |harness, request, pulse| worker.answer(harness, request, pulse))
}

struct Worker {
    recorder: Recorder,
    corpus: Vec<Vec<u8>>,
    known: BTreeSet<String>,
}

impl Worker {
    fn answer(
        &mut self,
        harness: &mut Harness,
        request: Request,
        pulse: &mut Pulse,
    ) -> Result<Answer, String> {
        match request {
            Request::Survey { inputs, explore, seed, races } => {
                let inputs = bytes(&inputs)?;
                let mut surveyor = Surveyor::new(harness, races);
                surveyor.replay(&inputs, pulse);
                let surveyed = surveyor.explore(inputs, explore, seed, pulse);
                Ok(Answer::Surveyed(Box::new(surveyed)))
            }
            Request::Corpus { inputs, known } => {
                (self.corpus, self.known) = (bytes(&inputs)?, known);
                Ok(Answer::Taken)
            }
            Request::Hunt(order) => {
                self.recorder.restart();
                let game =
                    Game { corpus: &self.corpus, known: &self.known, recorder: &self.recorder };
                Ok(Answer::Hunted(Box::new(hunt(harness, game, &order, pulse))))
            }
        }
    }
}

/// Inputs out of their hexadecimal digits.
fn bytes(inputs: &[String]) -> Result<Vec<Vec<u8>>, String> {
    let bytes: Option<_> = inputs.iter().map(|input| from_hex(input)).collect();
    bytes.ok_or_else(|| "inputs are hexadecimal digits".into())
}

struct Surveyor<'a> {
    harness: &'a mut Harness,
    scenario: Scenario,
    survey: Survey,
    novelty: Novelties,
    known: BTreeSet<String>,
    /// Look for data races too.
    races: bool,
}

impl<'a> Surveyor<'a> {
    fn new(harness: &'a mut Harness, races: bool) -> Surveyor<'a> {
        harness.record(true);
        Surveyor {
            harness,
            scenario: Scenario::default(),
            survey: Survey::default(),
            novelty: Novelties::default(),
            known: BTreeSet::new(),
            races,
        }
    }

    fn replay(&mut self, inputs: &[Vec<u8>], pulse: &mut Pulse) {
        for (number, input) in (0..).zip(inputs) {
            self.run(input, number);
            pulse.beat();
        }
        let watched = if self.races { inputs } else { &[] };
        for input in watched {
            self.run_watched(input, Memory::Races);
            pulse.beat();
        }
    }

    /// Runs mutants of the inputs, and tells all that was reached.
    fn explore(
        mut self,
        inputs: Vec<Vec<u8>>,
        runs: u64,
        seed: u64,
        pulse: &mut Pulse,
    ) -> Surveyed {
        let added = inputs.len() + ADDED_MAX;
        let mut pool = Pool { reaching: 0, inputs };
        let mut random = seed;
        for _ in 0..runs {
            pulse.beat();
            let child = pool.child(&mut random);
            if self.run(&child, pool.inputs.len() as u32) && pool.inputs.len() < added {
                pool.keep(child.clone(), &mut random);
            }
            // As many runs as hunts have of each kind, so that what a hunt would find in the driver itself is known.
            match next(&mut random) % 8 {
                0 if self.races => self.run_watched(&child, Memory::Preempted),
                1 | 2 if self.races => self.run_watched(&child, Memory::Races),
                _ => {}
            }
        }
        self.harness.record(false);
        let inputs = pool.inputs.iter().map(|input| to_hex(input)).collect();
        Surveyed { survey: self.survey, inputs, known: self.known }
    }

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
