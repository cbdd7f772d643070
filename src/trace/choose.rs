//! Which scenarios are worth being seeds: each is replayed, and those that together reach most are kept.

use crate::coverage::COUNTERS;
use crate::harness::Harness;
use crate::rules::{Finding, Severity};

/// What a run left in the coverage map: counters that are not zero.
type Reached = Vec<(u16, u8)>;

/// A scenario that was replayed.
#[derive(Debug)]
struct Run {
    bytes: Vec<u8>,
    window: usize,
    reached: Reached,
}

/// A scenario that is kept.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The scenario's bytes.
    pub bytes: Vec<u8>,
    /// Which window it is of: an index.
    pub window: usize,
    /// Features that it reaches, and none chosen before it.
    pub gained: usize,
    /// Features that it and all before it reach.
    pub total: usize,
}

/// A bug that scenarios of one window show.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The shortest scenario that shows it.
    pub bytes: Vec<u8>,
    /// Which window it is of: an index.
    pub window: usize,
    /// The rule that is broken, and where.
    pub finding: Finding,
    /// Scenarios of the window that show it.
    pub scenarios: u64,
}

/// Replays scenarios and chooses.
#[derive(Debug)]
pub struct Chooser<'a> {
    harness: &'a mut Harness,
    runs: Vec<Run>,
    /// Runs made.
    pub executions: u64,
    /// What scenarios broke that were left out for it, in the order of windows.
    pub broken: Vec<Broken>,
}

impl<'a> Chooser<'a> {
    /// Replays on this harness.
    pub fn new(harness: &'a mut Harness) -> Chooser<'a> {
        Chooser { harness, runs: Vec::new(), executions: 0, broken: Vec::new() }
    }

    /// Replays the scenario of a window. One that breaks a rule is no seed: an engine would stop at it.
    /// Returns how many decision points it passed.
    pub fn replay(&mut self, window: usize, bytes: Vec<u8>) -> u64 {
        self.harness.coverage().clear();
        let decisions = self.harness.run_bytes(&bytes).decisions;
        self.executions += 1;
        let mut findings = self.harness.findings().iter();
        if let Some(error) = findings.rfind(|found| found.severity == Severity::Error) {
            let finding = *error;
            self.note(Broken { bytes, window, finding, scenarios: 1 });
            return decisions;
        }
        let counters = self.harness.coverage().0.iter().zip(0u16..);
        let reached = counters.filter(|&(&count, _)| count > 0).map(|(&count, at)| (at, count));
        let reached = reached.collect();
        self.runs.push(Run { bytes, window, reached });
        decisions
    }

    fn note(&mut self, new: Broken) {
        let same = |b: &&mut Broken| b.window == new.window && b.finding.bug() == new.finding.bug();
        match self.broken.iter_mut().find(same) {
            Some(known) => {
                known.scenarios += 1;
                if new.bytes.len() < known.bytes.len() {
                    (known.bytes, known.finding) = (new.bytes, new.finding);
                }
            }
            None => self.broken.push(new),
        }
    }

    /// The scenarios that add something, the one that adds most first; `most` at most.
    #[must_use]
    pub fn choose(mut self, most: usize) -> Vec<Chosen> {
        let mut best = [0u8; COUNTERS];
        let mut chosen = Vec::new();
        while chosen.len() < most {
            // What adds nothing now adds nothing later.
            self.runs.retain(|run| gain(run, &best) > 0);
            let richest = self.runs.iter().enumerate().max_by_key(|(index, run)| {
                // Of equals the shortest, then the first.
                (gain(run, &best), std::cmp::Reverse((run.bytes.len(), *index)))
            });
            let Some(index) = richest.map(|(index, _)| index) else { break };
            let run = self.runs.swap_remove(index);
            let gained = gain(&run, &best);
            for &(at, count) in &run.reached {
                let level = &mut best[usize::from(at)];
                *level = (*level).max(count);
            }
            let total = best.iter().map(|&count| usize::from(count)).sum();
            chosen.push(Chosen { bytes: run.bytes, window: run.window, gained, total });
        }
        chosen
    }
}

/// Features of a run that were not reached: a counter's first hit and its second are two.
fn gain(run: &Run, best: &[u8; COUNTERS]) -> usize {
    let more = |&(at, count): &(u16, u8)| count.saturating_sub(best[usize::from(at)]);
    run.reached.iter().map(|reached| usize::from(more(reached))).sum()
}
