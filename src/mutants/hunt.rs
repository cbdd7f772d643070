//! The hunt for one mutant: a small fuzzer, in the worker.
//!
//! First the corpus is replayed, the inputs first that reach the place of the mistake; then once more, looking for data
//! races, which takes longer and most mutants do not need. Then mutants of those inputs, and of all that reached new
//! lock-state coverage on the way, are run, with races too, every fourth with accesses to memory as decision points,
//! until an error kills the mutant or the budget is spent. The budget is processor time, so that a busy host makes no
//! survivors.
//!
//! A finding kills if its rule is not among those that the driver breaks anyway (of data races: if there is none at its
//! site anyway), and the driver without the mistake does not break it in the same scenario.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Novelty;
use crate::engine::crew::Death;
use crate::engine::message::to_hex;
use crate::engine::recorder::{Recorder, Remains};
use crate::engine::serve::Pulse;
use crate::engine::worker::{clear_counts, counts};
use crate::engine::{run_begins, run_ends};
use crate::harness::Harness;
use crate::machine::MemoryWatch;
use crate::machine::mutation::Mutation;
use crate::rules::{Finding, RuleId, Severity};
use crate::scenario::codec::{self, SCENARIO_BYTES_MAX};
use crate::scenario::{Policy, PolicyKind, Scenario, mutate};

/// What to hunt, with what, and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The mistake.
    pub mutation: Mutation,
    /// Inputs that reach its place, by their numbers in the corpus.
    pub first: Vec<u32>,
    /// Processor time, in milliseconds.
    pub budget_ms: u64,
    /// What the random choices begin with.
    pub seed: u64,
    /// Look for data races too.
    pub races: bool,
}

/// What a mutant broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// The rule's id.
    pub rule: String,
    /// How grave.
    pub severity: Severity,
    /// The line that tells it.
    pub line: String,
    /// Runs until then, that one included.
    pub runs: u64,
    /// Processor time until then, in milliseconds.
    pub ms: u64,
    /// An input of the corpus does it.
    pub by_corpus: bool,
    /// The scenario, as hexadecimal digits.
    pub scenario: String,
    /// How the driver's memory was watched.
    pub memory: Memory,
    /// What the mutant did to the worker's process, if it killed that; then the time is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub death: Option<String>,
}

/// How a run watches the driver's accesses to shared memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// Not at all.
    #[default]
    Unwatched,
    /// For data races.
    Races,
    /// For data races, and other processors come in before accesses.
    Preempted,
}

impl Memory {
    const ALL: [Memory; 3] = [Memory::Unwatched, Memory::Races, Memory::Preempted];

    /// The watch.
    #[must_use]
    pub fn watch(self) -> MemoryWatch {
        let preempts = self == Memory::Preempted;
        MemoryWatch { events: self != Memory::Unwatched, preempts }
    }
}

impl Kill {
    /// The kill by a mutant that killed its worker, which leaves `remains`.
    pub(super) fn by_death(death: Death, remains: Option<Remains>) -> Kill {
        let Remains { runs, input } = remains.unwrap_or(Remains { runs: 1, input: None });
        let input = input.as_deref().and_then(<[u8]>::split_last);
        let (&memory, scenario) = input.unwrap_or((&0, &[]));
        Kill {
            rule: "driver.crashed".into(),
            severity: Severity::Error,
            line: death.line(),
            runs,
            ms: 0,
            by_corpus: false,
            scenario: to_hex(scenario),
            memory: Memory::ALL.get(usize::from(memory)).copied().unwrap_or_default(),
            death: Some(format!("{} ({})", death.what, death.signal)),
        }
    }
}

/// What came of a hunt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// Runs.
    pub runs: u64,
    /// Processor time, in milliseconds.
    pub ms: u64,
    /// The error that killed it, or the first warning if none did.
    pub kill: Option<Kill>,
}

/// Runs between two looks at the clock.
const LOOK_EVERY: u64 = 16;

/// How much longer a mutant is hunted that only broke a warning's rule, as a part of the budget.
const WARNED_SHARE: u64 = 10;

/// Inputs that are kept for new coverage.
const POOL_MAX: usize = 4096;

/// What a worker has for every hunt.
#[derive(Clone, Copy)]
pub(super) struct Game<'a> {
    pub(super) corpus: &'a [Vec<u8>],
    /// Rules that the driver breaks anyway.
    pub(super) known: &'a BTreeSet<String>,
    /// What is told of each run before it begins.
    pub(super) recorder: &'a Recorder,
}

/// Hunts a mutant; `pulse` beats meanwhile.
pub(super) fn hunt(
    harness: &mut Harness,
    game: Game<'_>,
    order: &Order,
    pulse: &mut Pulse,
) -> Trail {
    let mut hunter = Hunter {
        harness,
        game,
        mutation: &order.mutation,
        scenario: Scenario::default(),
        by_corpus: true,
        memory: Memory::Unwatched,
        runs: 0,
        began: processor_time(),
        warned: None,
        bytes: Vec::new(),
    };
    let kill = hunter.search(order, pulse);
    let (runs, ms) = (hunter.runs, hunter.ms());
    let kill = kill.or(hunter.warned.take());
    hunter.harness.mutate(None);
    hunter.watch(Memory::Unwatched);
    Trail { runs, ms, kill }
}

struct Hunter<'a> {
    harness: &'a mut Harness,
    game: Game<'a>,
    mutation: &'a Mutation,
    scenario: Scenario,
    by_corpus: bool,
    memory: Memory,
    runs: u64,
    began: Duration,
    warned: Option<Kill>,
    /// The scenario of the last run as the recorder has it.
    bytes: Vec<u8>,
}

impl Hunter<'_> {
    fn search(&mut self, order: &Order, pulse: &mut Pulse) -> Option<Kill> {
        self.harness.mutate(Some(self.mutation.clone()));
        let mut novelty = Novelties::default();
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for (number, input) in (0..).zip(self.game.corpus) {
            let reaches = order.first.contains(&number);
            if reaches { &mut first } else { &mut rest }.push(input.clone());
        }
        let mut pool = Pool { reaching: first.len(), inputs: first };
        pool.inputs.append(&mut rest);
        for memory in [Memory::Unwatched, Memory::Races] {
            if memory == Memory::Races && !order.races {
                break;
            }
            self.watch(memory);
            for at in 0..pool.inputs.len() {
                codec::decode_into(&pool.inputs[at], &mut self.scenario);
                let kill = self.step(&mut novelty).1;
                pulse.beat();
                if kill.is_some() || self.is_spent(order) {
                    return kill;
                }
            }
        }
        self.by_corpus = false;
        let mut random = order.seed;
        loop {
            if self.runs.is_multiple_of(LOOK_EVERY) {
                if self.is_spent(order) {
                    return None;
                }
                pulse.beat();
            }
            let child = pool.child(&mut random);
            codec::decode_into(&child, &mut self.scenario);
            self.vary_policy(next(&mut random));
            if order.races {
                let preempted = next(&mut random).is_multiple_of(4);
                self.watch(if preempted { Memory::Preempted } else { Memory::Races });
            }
            let (new, kill) = self.step(&mut novelty);
            if kill.is_some() {
                return kill;
            }
            if new {
                let mut bytes = Vec::new();
                codec::encode(&self.scenario, &mut bytes);
                pool.keep(bytes, &mut random);
            }
        }
    }

    fn watch(&mut self, memory: Memory) {
        self.memory = memory;
        self.harness.watch_memory(memory.watch());
    }

    /// Every fourth run has another policy.
    fn vary_policy(&mut self, random: u64) {
        let kind = match random % 8 {
            0 => PolicyKind::Random,
            1 => PolicyKind::Pct,
            _ => return,
        };
        let seed = (random >> 32) as u32;
        self.scenario.policy = Policy::Recorded.of_kind(kind, seed);
    }

    fn is_spent(&self, order: &Order) -> bool {
        let ms = self.ms();
        let warned = self.warned.as_ref().map(|kill| kill.ms + order.budget_ms / WARNED_SHARE);
        ms >= order.budget_ms.min(warned.unwrap_or(u64::MAX))
    }

    fn ms(&self) -> u64 {
        let spent = processor_time().saturating_sub(self.began);
        u64::try_from(spent.as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs the scenario: whether it reached anything new, and the error that kills, if one does.
    fn step(&mut self, novelty: &mut Novelties) -> (bool, Option<Kill>) {
        self.harness.coverage().clear();
        clear_counts(self.harness);
        self.record();
        self.run();
        self.game.recorder.end();
        self.runs += 1;
        let locks = novelty.locks.take(&self.harness.coverage().0);
        let code = novelty.code.take(counts(self.harness));
        (locks || code, self.judge())
    }

    /// Writes down what is about to run, for when it never ends.
    fn record(&mut self) {
        self.bytes.clear();
        codec::encode(&self.scenario, &mut self.bytes);
        self.bytes.push(self.memory as u8);
        self.game.recorder.begin(&self.bytes);
    }

    fn run(&mut self) {
        run_begins();
        self.harness.run(&self.scenario);
        run_ends();
    }

    /// What the last run broke and the driver would not; a warning is noted, an error returned.
    fn judge(&mut self) -> Option<Kill> {
        let wants = |finding: &&Finding| {
            let counts = finding.severity == Severity::Error || self.warned.is_none();
            counts && !self.game.known.contains(&breach(finding))
        };
        let findings: Vec<Finding> =
            self.harness.findings().iter().filter(wants).copied().collect();
        if findings.is_empty() {
            return None;
        }
        self.harness.mutate(None);
        self.run();
        self.harness.mutate(Some(self.mutation.clone()));
        let innocent: Vec<_> = self.harness.findings().iter().map(breach).collect();
        let findings = findings.iter().filter(|&found| !innocent.contains(&breach(found)));
        let gravest = findings.max_by_key(|found| found.severity)?;
        let kill = self.kill(gravest);
        if gravest.severity == Severity::Error {
            return Some(kill);
        }
        self.warned = Some(kill);
        None
    }

    fn kill(&self, finding: &Finding) -> Kill {
        let scenario = self.bytes.split_last().map_or(&[][..], |(_, scenario)| scenario);
        Kill {
            rule: finding.rule.rule().id.to_owned(),
            severity: finding.severity,
            line: finding.to_string(),
            runs: self.runs,
            ms: self.ms(),
            by_corpus: self.by_corpus,
            scenario: to_hex(scenario),
            memory: self.memory,
            death: None,
        }
    }
}

/// What a finding breaks, as it is known of a driver: a rule, or, because any driver may have one that does no harm, one
/// race.
pub(super) fn breach(finding: &Finding) -> String {
    let id = finding.rule.rule().id;
    match finding.rule {
        RuleId::RaceUnsynchronized => format!("{id} at {}", finding.site),
        _ => id.to_owned(),
    }
}

/// What was reached: by locks, and in a compiled driver's code.
#[derive(Default)]
pub(super) struct Novelties {
    pub(super) locks: Novelty,
    pub(super) code: Novelty,
}

/// Inputs to make others from.
pub(super) struct Pool {
    /// How many of them, the first, are chosen more often.
    pub(super) reaching: usize,
    pub(super) inputs: Vec<Vec<u8>>,
}

impl Pool {
    /// A child of one or two inputs.
    pub(super) fn child(&self, random: &mut u64) -> Vec<u8> {
        let mut buffer = [0; SCENARIO_BYTES_MAX];
        let parent = self.choose(next(random));
        let mut size = parent.len().min(buffer.len());
        buffer[..size].copy_from_slice(&parent[..size]);
        if next(random).is_multiple_of(8) {
            let other = self.choose(next(random));
            size = mutate::cross(parent, other, &mut buffer, next(random));
        }
        size = mutate::mutate(&mut buffer, size, next(random));
        buffer[..size].to_vec()
    }

    /// Every other time one that reaches the place, if any does.
    fn choose(&self, random: u64) -> &[u8] {
        let among = match self.reaching {
            0 => self.inputs.len(),
            _ if random.is_multiple_of(2) => self.inputs.len(),
            reaching => reaching,
        };
        let at = (random >> 1).checked_rem(among as u64).unwrap_or(0);
        self.inputs.get(at as usize).map_or(&[], Vec::as_slice)
    }

    /// Keeps an input; when there is no room any more, in another's place.
    pub(super) fn keep(&mut self, input: Vec<u8>, random: &mut u64) {
        if self.inputs.len() < POOL_MAX {
            self.inputs.push(input);
        } else {
            let at = next(random) as usize % self.inputs.len();
            self.inputs[at] = input;
        }
    }
}

/// The next of a row of random numbers (SplitMix64).
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Processor time of this process.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid timespec; the clock exists on every Linux and macOS.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
