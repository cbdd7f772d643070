//! Bounded exploration: every schedule of a scenario that departs at most so often from the calm course.
//!
//! A *departure* is a context switch, the delivery of an interrupt, or the device doing early what it would do later:
//! what a [`Decision`] says. Schedules are run by their number of departures, none first, so that the first violation
//! has the fewest there can be. What is proved when no violation turns up is
//! stated by [`Outcome::Complete`]: no schedule of this scenario within the bound shows one.
//!
//! # Equivalent schedules
//!
//! A *step* is what a processor does between two places where it can lose the processor. Two steps *depend* on each other
//! if they are of one processor or if one writes what the other touches (`footprint`, `context`). Two schedules are equivalent
//! (of one Mazurkiewicz class) if one becomes the other by swapping neighbouring steps that do not depend on each other:
//! then every step does the same in both, finds the same, and says the same to the rules.
//!
//! Every schedule within the bound is considered, and one of each class is run:
//!
//! 1. What a step does follows from the step before it on its processor and from the last steps on what it touches. So
//!    what a run has shown is known for every order in which that is the same (`model`), and a schedule whose steps are
//!    all known can be followed to its end without being run (`reduced`). Every run ends where all processors have come to rest, which follows from
//!    everything; so a schedule is followed to its end only if an equivalent one was run. A run brings a class that no run
//!    has shown before, or, in rare cases, only the answer who can go on in a state that no run has been in.
//! 2. A state that was reached before, with no more departures than now, is not branched from again. A state is the
//!    history that leads to it (`history`), the time, and what chooses who goes on.
//!
//! Why not sleep sets or dynamic partial-order reduction: both leave out a schedule because another one of its class
//! will be run, and under a bound that one may have too many departures. What makes up for it (conservative
//! backtracking points: Coons, Musuvathi and McKinley, "Bounded Partial-Order Reduction", 2013,
//! <https://doi.org/10.1145/2509136.2509556>) runs classes several times. Here the bound is met exactly, since no schedule within
//! it is passed over unseen, and the price is that following takes time, too, and memory.
//!
//! # What it rests on
//!
//! - Locks, STOR_DPC objects and each processor's queue of DPCs are objects of their own; everything else of StorPort's is one
//!   object, which every other DDI and every callback but DPCs writes. When something lowers the IRQL it reads the
//!   processor's queue, since it lets in what waits there.
//! - An interrupt is delivered at a point of its processor and belongs to its steps, so it commutes with other
//!   processors' steps alone; to look for interrupts is to read what is pending. What the device and the timers do depends on
//!   the time, so it comes after everything before it and before everything after it. So does what tells the driver the
//!   time, or when the processors come to rest.
//! - What a driver does without holding a lock may touch any memory ([`Memory`] says where that is known better). One
//!   assumption is left: memory that a driver touches while it holds locks is guarded by one of them.
//!   [`Bound::every_point`] makes no use of any of this.
//! - A finding follows from its class. Rules are folds over all events, but over the same steps with the same causes.
//!
//! A footprint that leaves something out does not go unnoticed for long: a step that does something else than before,
//! although nothing has changed that it was known to depend on, ends the reduction, and every schedule is run
//! ([`Reduction::Surprised`]). Tests compare the bugs and the classes that are shown with those of every schedule
//! within the bound, on random programs. Where the reduction finds next to nothing to leave out, it ends as well: then
//! every schedule is run in less time.

mod context;
mod draw;
mod every;
mod footprint;
mod history;
mod model;
mod node;
mod reduced;
mod world;

pub use footprint::Memory;

use crate::event::{Event, Mark, PROCESSORS_MAX, Point};
use crate::harness::Harness;
use crate::rules::Finding;
use crate::scenario::{Decision, Policy, Scenario, Step};
pub use draw::{Lot, draw};
use model::Model;
use reduced::Memo;

/// What can be explored: something that runs scenarios and can be observed.
pub trait Subject {
    /// Runs a scenario, with its events recorded and its points observed.
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_>;

    /// What its driver does in this scenario with memory that processors share.
    fn memory(&self, scenario: &Scenario) -> Memory {
        let _ = scenario;
        Memory::Anything
    }

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
    /// Its decision points and picks, each with the number of events before it.
    pub marks: &'a [(Mark, u32)],
}

impl Sight<'_> {
    /// The decision points, each with the number of events before it.
    #[must_use]
    pub fn points(&self) -> Vec<(Point, u32)> {
        points(self.marks)
    }
}

/// The decision points among marks.
pub(crate) fn points(marks: &[(Mark, u32)]) -> Vec<(Point, u32)> {
    let point = |&(mark, before): &(Mark, u32)| match mark {
        Mark::Point(point) => Some((point, before)),
        Mark::Pick(_) => None,
    };
    marks.iter().filter_map(point).collect()
}

impl Subject for Harness {
    /// The harness must have been told to record and to observe: see [`prepare`].
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_> {
        self.run(scenario);
        self.sight()
    }

    fn memory(&self, scenario: &Scenario) -> Memory {
        let counts = |step: &Step| match step {
            Step::Script(call) => footprint::only_counts(call),
            _ => true,
        };
        let is_known = self.plays_scripts() && scenario.steps.iter().all(counts);
        if is_known { Memory::Counters } else { Memory::Anything }
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
    /// Schedules that were followed and not run, because an equivalent one was.
    pub equivalent: u64,
    /// States that were not branched from because an equivalent one was.
    pub known_states: u64,
    /// Places of departures that no scenario can say: more than 256 points after the one before, with no point between
    /// them where a decision changes nothing.
    pub out_of_reach: u64,
    /// Whether equivalent schedules were left out.
    pub reduction: Reduction,
}

/// Whether of equivalent schedules one was run, and if not, why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// One was.
    #[default]
    Held,
    /// Nobody asked for it: [`Bound::every_point`].
    Unasked,
    /// A step did something else than before although nothing that it was known to depend on had changed, so that
    /// equivalent schedules could not be told and every one was run.
    Surprised,
    /// Hardly any schedules came to the same, and to tell that took longer than to run every one.
    Barren,
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
        scenario: Scenario { schedule: Vec::new(), policy: Policy::Recorded, ..scenario.clone() },
        bound,
        wanted,
        progress,
        departures: 0,
        tally: Exploration::default(),
    };
    if let Err(end) = explorer.explore() {
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
    tally: Exploration,
}

impl<S: Subject> Explorer<'_, S> {
    /// Runs one schedule of each class, or every one if that cannot be told.
    fn explore(&mut self) -> Ended<()> {
        if self.bound.every_point {
            self.tally.reduction = Reduction::Unasked;
            return self.every_point();
        }
        let mut memo = Memo::new(Model::new(self.subject.memory(&self.scenario)));
        let result = self.classes(&mut memo);
        let reduction = match result {
            Err(Outcome::Found(_)) => Reduction::Held,
            _ if memo.is_surprised() => Reduction::Surprised,
            Err(_) if memo.is_barren(&self.tally) => Reduction::Barren,
            _ => Reduction::Held,
        };
        if reduction == Reduction::Held {
            return result;
        }
        drop(memo);
        self.tally = Exploration { reduction, ..Exploration::default() };
        self.every_point()
    }

    /// Runs a schedule, and shows it.
    fn run(&mut self, schedule: &[Decision], show: impl FnOnce(Sight<'_>)) -> Ended<()> {
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
        if let Some(finding) = sight.findings.iter().find(|finding| (self.wanted)(finding)) {
            let (scenario, departures) = (self.scenario.clone(), self.departures);
            return Err(Outcome::Found(Box::new(Found {
                scenario,
                finding: *finding,
                departures,
            })));
        }
        show(sight);
        Ok(())
    }

    /// Processors of the machine.
    fn processors(&self) -> u8 {
        let setup = &self.scenario.setup;
        if setup.dump { 1 } else { setup.processors.clamp(1, PROCESSORS_MAX as u8) }
    }
}

#[cfg(test)]
mod tests;
