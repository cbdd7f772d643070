//! Making a scenario as small as it can be while it shows the same bug: the shortest story.
//!
//! It works on the scenario's parts, never on its bytes, in the order in which parts cost a reader time: steps
//! (`steps`), processors and messages, then every other setting (`setup`), then the schedule (`schedule`). What it
//! keeps is the bug ([`Finding::bug`]), not "some violation". A candidate with fewer steps has its decision points
//! elsewhere, so it gets three chances: the schedule as it is, none at all, and, where the subject can be observed,
//! every schedule with no more departures than there are now ([`crate::explore`]). The passes are repeated until none
//! finds anything.

mod parts;
mod schedule;
mod setup;
mod steps;

use serde::{Deserialize, Serialize};

use super::size::Size;
#[cfg(feature = "cli")]
use crate::rules::Finding;
use crate::scenario::{Decision, Scenario};

/// What can be minimised on: something that runs scenarios.
pub trait Subject {
    /// Whether a run of `scenario` shows the bug.
    fn shows(&mut self, scenario: &Scenario, bug: u64) -> bool;

    /// Looks for the schedule with the fewest departures, at most `departures`, under which `scenario` shows the bug,
    /// in at most `runs` runs. Returns it, and the runs used.
    ///
    /// A subject that cannot be observed finds none.
    fn search(
        &mut self,
        scenario: &Scenario,
        bug: u64,
        departures: usize,
        runs: u64,
    ) -> (Option<Vec<Decision>>, u64) {
        let _ = (scenario, bug, departures, runs);
        (None, 0)
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Runs in all.
    pub runs: u64,
    /// Runs of one search for a schedule.
    pub search_runs: u64,
    /// Departures up to which schedules are searched for.
    pub departures: usize,
}

impl Default for Limits {
    /// A few seconds at most.
    fn default() -> Self {
        Limits { runs: 200_000, search_runs: 4_000, departures: 2 }
    }
}

/// A minimised scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minimal {
    /// The scenario as RON text.
    pub scenario: String,
    /// How much there was of it.
    pub before: Size,
    /// How much there is.
    pub after: Size,
    /// Runs that it took.
    pub runs: u64,
    /// Every pass came to its end; otherwise the runs were spent before.
    pub finished: bool,
}

/// Makes `scenario` smaller while it shows `bug`. `None` if it does not show it.
pub fn minimise<S: Subject>(
    subject: &mut S,
    scenario: &Scenario,
    bug: u64,
    limits: Limits,
) -> Option<Minimal> {
    let (smallest, runs, finished) = smallest(subject, scenario, bug, limits)?;
    Some(Minimal {
        scenario: crate::scenario::text::write(&smallest),
        before: Size::of(scenario),
        after: Size::of(&smallest),
        runs,
        finished,
    })
}

/// As [`minimise`]: the scenario itself, the runs used, and whether every pass came to its end.
pub fn smallest<S: Subject>(
    subject: &mut S,
    scenario: &Scenario,
    bug: u64,
    limits: Limits,
) -> Option<(Scenario, u64, bool)> {
    let mut best = scenario.clone();
    best.repair();
    let mut trial = Trial { subject, bug, limits, runs: 0, best };
    if !trial.is_kept_by(&trial.best.clone()) {
        return None;
    }
    loop {
        let before = trial.best.clone();
        trial.remove_steps();
        trial.lower_machine();
        trial.calm_setup();
        trial.tighten_queues();
        trial.simplify_steps();
        trial.shorten_schedule();
        if trial.best == before || trial.is_spent() {
            break;
        }
    }
    trial.delay_departures();
    let finished = !trial.is_spent();
    Some((trial.best, trial.runs, finished))
}

/// A minimisation under way.
struct Trial<'a, S> {
    subject: &'a mut S,
    bug: u64,
    limits: Limits,
    runs: u64,
    /// The smallest so far that shows the bug.
    best: Scenario,
}

impl<S: Subject> Trial<'_, S> {
    fn is_spent(&self) -> bool {
        self.runs >= self.limits.runs
    }

    fn is_kept_by(&mut self, candidate: &Scenario) -> bool {
        self.runs += 1;
        self.subject.shows(candidate, self.bug)
    }

    /// Takes the candidate if it shows the bug as it is.
    fn take(&mut self, mut candidate: Scenario) -> bool {
        candidate.repair();
        if self.is_spent() || candidate == self.best || !self.is_kept_by(&candidate) {
            return false;
        }
        self.best = candidate;
        true
    }

    /// Takes the candidate if it shows the bug as it is or without any departure.
    fn take_or_calm(&mut self, candidate: &Scenario) -> bool {
        let calm = Scenario { schedule: Vec::new(), ..candidate.clone() };
        (!candidate.schedule.is_empty() && self.take(calm)) || self.take(candidate.clone())
    }

    /// Takes the candidate if it shows the bug under some schedule with no more departures than there are now.
    fn take_somehow(&mut self, candidate: &Scenario) -> bool {
        if self.take_or_calm(candidate) {
            return true;
        }
        let departures = self.best.schedule.len().min(self.limits.departures);
        departures > 0 && self.take_searched(candidate, departures)
    }

    /// Takes the candidate under the schedule with the fewest departures, at most `departures`, that shows the bug.
    fn take_searched(&mut self, candidate: &Scenario, departures: usize) -> bool {
        let mut candidate = candidate.clone();
        candidate.repair();
        let runs = self.limits.search_runs.min(self.limits.runs.saturating_sub(self.runs));
        let (schedule, used) = self.subject.search(&candidate, self.bug, departures, runs);
        self.runs += used;
        schedule.is_some_and(|schedule| self.take(Scenario { schedule, ..candidate }))
    }
}

/// Whether one of the findings is the bug; it is told by [`Finding::bug`], or more narrowly by [`Finding::id`].
#[cfg(feature = "cli")]
pub(crate) fn is_among(findings: &[Finding], bug: u64) -> bool {
    findings.iter().any(|finding| finding.bug() == bug || finding.id() == bug)
}
