//! Bounded exploration: every schedule of a scenario that departs at most so often from the calm course.
//!
//! A *departure* is a context switch, the delivery of an interrupt, or the device doing early what it would do later:
//! what a [`Decision`] says. Schedules are run by their number of departures, none first, so that the first violation
//! has the fewest there can be. What is proved when no violation turns up is
//! stated by [`Outcome::Complete`]: no schedule of this scenario within the bound shows one.
//!
//! # Equivalent schedules
//!
//! Two schedules are equivalent if one becomes the other by swapping neighbouring pieces of different processors that
//! do not depend on each other: then every processor does the same, in the same order, on the same data. Two reductions
//! keep them from being run twice:
//!
//! - A state that was reached before, with no more departures than now, is not branched from again. A state is told by
//!   its history, as in Musuvathi and Qadeer, "Partial-Order Reduction for Context-Bounded State Exploration"
//!   (<https://www.microsoft.com/en-us/research/publication/partial-order-reduction-for-context-bounded-state-exploration/>):
//!   the happens-before graph of its events, hashed so that the order of independent ones does not show
//!   (`history`).
//! - A switch is not moved over a piece that does nothing but take or give back locks which the other processor does
//!   not touch before it returns; only what can happen to the other processor meanwhile is tried again (`swap`).
//!
//! What depends on what (`footprint`) errs on the side of dependence: anything that is not a lock, and every act of the
//! device, depends on everything of its kind; and what a driver does without holding a lock may touch whatever else is done
//! without one. One assumption is left: memory that a driver touches while it holds locks is guarded by one of them. [`Bound::every_point`] makes no use of any of this, and of the assumption neither.

mod draw;
mod footprint;
mod history;
mod node;
mod swap;

use std::collections::HashSet;

use crate::event::{Event, Point};
use crate::harness::Harness;
use crate::rules::Finding;
use crate::scenario::{Decision, Scenario};
pub use draw::{Lot, draw};
use history::History;
use node::Node;
use swap::{Back, Piece, Swaps};

/// What can be explored: something that runs scenarios and can be observed.
pub trait Subject {
    /// Runs a scenario, with its events recorded and its points observed.
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_>;

    /// Told by [`draw`], before the one run of which it wants events and points, and after it. Of other runs it looks
    /// at findings only, and they are faster without.
    fn watch(&mut self, on: bool) {
        let _ = on;
    }
}

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// What it broke.
    pub findings: &'a [Finding],
    /// Its events.
    pub events: &'a [Event],
    /// Its decision points, each with the number of events before it.
    pub points: &'a [(Point, u32)],
}

impl Subject for Harness {
    /// The harness must have been told to record and to observe: see [`prepare`].
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_> {
        self.run(scenario);
        self.sight()
    }

    fn watch(&mut self, on: bool) {
        prepare(self, on);
    }
}

/// Readies a harness for exploration, or for others again.
pub fn prepare(harness: &mut Harness, on: bool) {
    harness.record(on);
    harness.observe(on);
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Departures of a schedule, at most.
    pub departures: usize,
    /// Schedules, at most.
    pub schedules: u64,
    /// Runs equivalent schedules, too; needs no assumption about the driver.
    pub every_point: bool,
}

/// What an exploration has come to.
#[derive(Clone, Debug, Default)]
pub struct Exploration {
    /// How it ended.
    pub outcome: Outcome,
    /// Schedules that were run, each once.
    pub schedules: u64,
    /// Schedules that were not run because they are equivalent to one that was.
    pub equivalent: u64,
    /// States that were not branched from because an equivalent one was.
    pub known_states: u64,
    /// Places of departures that no scenario can say: more than 256 points after the one before, with no point between
    /// them where a decision changes nothing.
    pub out_of_reach: u64,
}

/// How an exploration ended.
#[derive(Clone, Debug, Default)]
pub enum Outcome {
    /// No schedule within the bound shows what was looked for.
    #[default]
    Complete,
    /// This scenario does, with the fewest departures.
    Found(Box<Found>),
    /// There were more schedules than the bound allows; none of those that were run shows it.
    Spent,
}

/// What was looked for.
#[derive(Clone, Debug)]
pub struct Found {
    /// The scenario that shows it.
    pub scenario: Scenario,
    /// What it breaks.
    pub finding: Finding,
    /// Departures of its schedule. It can have more decisions: those at points without a choice change nothing.
    pub departures: usize,
}

/// Explores the schedules of `scenario`, whose own is not looked at, until a run has a finding that is `wanted`.
/// `progress` is told the number of schedules now and then.
pub fn explore<S: Subject>(
    subject: &mut S,
    scenario: &Scenario,
    bound: Bound,
    wanted: &dyn Fn(&Finding) -> bool,
    progress: &mut dyn FnMut(u64),
) -> Exploration {
    let mut explorer = Explorer {
        subject,
        scenario: Scenario { schedule: Vec::new(), ..scenario.clone() },
        bound,
        wanted,
        progress,
        departures: 0,
        states: HashSet::new(),
        tally: Exploration::default(),
    };
    if let Err(end) = explorer.every_level() {
        explorer.tally.outcome = end;
    }
    explorer.tally
}

/// Why an exploration ends before it is complete.
type Ended<T> = Result<T, Outcome>;

struct Explorer<'a, S> {
    subject: &'a mut S,
    scenario: Scenario,
    bound: Bound,
    wanted: &'a dyn Fn(&Finding) -> bool,
    progress: &'a mut dyn FnMut(u64),
    /// Departures of the schedules that are run now.
    departures: usize,
    /// Histories of the states that were branched from.
    states: HashSet<u64>,
    tally: Exploration,
}

impl<S: Subject> Explorer<'_, S> {
    fn every_level(&mut self) -> Ended<()> {
        let mut level = vec![Node::root()];
        self.run(&[])?;
        for departures in 1..=self.bound.departures {
            if level.is_empty() {
                break;
            }
            self.departures = departures;
            let is_last = departures == self.bound.departures;
            let mut next = Vec::new();
            for node in level {
                self.branch(&node, is_last, &mut next)?;
            }
            level = next;
        }
        Ok(())
    }

    /// Runs every schedule that has one more departure than `node`.
    fn branch(&mut self, node: &Node, is_last: bool, next: &mut Vec<Node>) -> Ended<()> {
        let (events, points) = {
            self.scenario.schedule.clone_from(&node.schedule);
            let sight = self.subject.observe(&self.scenario);
            (sight.events.to_vec(), sight.points.to_vec())
        };
        let end = if self.bound.every_point {
            points.len()
        } else {
            node.end(&points).min(self.first_known(node, &events, &points))
        };
        let mut swaps = Swaps::new(!self.bound.every_point);
        let last = node.next.checked_sub(1).filter(|_| !self.bound.every_point);
        let pieces = Piece::all(&events, &points);
        let mut back = last.and_then(|last| Back::of(&points, &pieces, last));
        for at in node.next..end {
            if let Some(back) = &mut back {
                back.comes_to(&events, &points[at]);
            }
            for choice in 0..points[at].0.choices() {
                if node.leaves_out(&points[at].0, choice) {
                    continue;
                }
                if back.as_ref().is_some_and(|back| back.is_equivalent(&points[at].0, choice)) {
                    self.tally.equivalent += 1;
                    continue;
                }
                let Some(child) = node.child(&points, at, choice) else {
                    self.tally.out_of_reach += 1;
                    continue;
                };
                if let Some(excursion) = swaps.equivalent(&points, at, choice, &pieces[at]) {
                    self.tally.equivalent += 1;
                    // The same but for what can happen inside the excursion, other than its end.
                    if !is_last && (excursion.has_others || self.scenario.setup.processors > 2) {
                        next.push(child.inside_only(points[at].0.processor));
                    }
                    continue;
                }
                let excursion = self.run_watched(&child.schedule, at)?;
                swaps.note(&points, at, choice, excursion);
                if !is_last {
                    next.push(child);
                }
            }
        }
        Ok(())
    }

    /// The first point after the node's last departure whose state was branched from before. From there on everything
    /// was, or will be, tried elsewhere.
    fn first_known(&mut self, node: &Node, events: &[Event], points: &[(Point, u32)]) -> usize {
        let mut history = History::default();
        let mut told = 0;
        for (at, (point, before)) in points.iter().enumerate() {
            let before = *before as usize;
            events[told..before].iter().for_each(|event| history.event(event));
            told = before;
            history.point(point);
            if at >= node.next && !self.states.insert(history.state(point)) {
                self.tally.known_states += 1;
                return at;
            }
        }
        points.len()
    }

    fn run(&mut self, schedule: &[Decision]) -> Ended<()> {
        self.run_watched(schedule, usize::MAX).map(|_| ())
    }

    /// Runs a schedule; what happens away from the processor that departs at point `at`, until it goes on.
    fn run_watched(&mut self, schedule: &[Decision], at: usize) -> Ended<swap::Excursion> {
        if self.tally.schedules >= self.bound.schedules {
            return Err(Outcome::Spent);
        }
        self.tally.schedules += 1;
        if self.tally.schedules.is_multiple_of(1024) {
            (self.progress)(self.tally.schedules);
        }
        self.scenario.schedule.clear();
        self.scenario.schedule.extend_from_slice(schedule);
        let sight = self.subject.observe(&self.scenario);
        match sight.findings.iter().find(|finding| (self.wanted)(finding)) {
            Some(finding) => {
                let (scenario, departures) = (self.scenario.clone(), self.departures);
                Err(Outcome::Found(Box::new(Found { scenario, finding: *finding, departures })))
            }
            None => Ok(swap::Excursion::of(sight.events, sight.points, at)),
        }
    }
}

#[cfg(test)]
mod tests;
