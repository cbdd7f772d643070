//! Schedules drawn at random. Where [`explore`](super::explore) proves that there is nothing within a bound, this looks
//! for what may lie beyond it, as fast as it can.
//!
//! A drawn schedule departs from the calm course a few times: most mistakes need only one or two departures, if they
//! come at the right point. Where that is, the calm course tells: it is observed once, and points are drawn by what
//! happens there (`course`), not by how often it happens. As after a departure another processor runs, points
//! are counted for each processor on its own. The other policies are drawn now and then: what needs many departures is
//! theirs to find.

mod course;

use super::{Exploration, Found, Outcome, Subject};
use crate::event::PROCESSORS_MAX;
use crate::rules::Finding;
use crate::scenario::mutate::random::Random;
use crate::scenario::policy::PACE_MAX;
use crate::scenario::{DECISIONS_MAX, Decision, Policy, PolicyKind, Scenario};
use course::Course;

/// Departures of a drawn schedule, at most.
const DEPARTURES_MAX: usize = 8;

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub struct Lot {
    /// Schedules of this policy only.
    pub policy: Option<PolicyKind>,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Schedules, at most.
    pub schedules: u64,
}

/// Runs `scenario` calmly, and then under schedules as they are drawn, until a run has a finding that is `wanted`.
/// `progress` is told the number of schedules now and then.
pub fn draw<S: Subject>(
    subject: &mut S,
    scenario: &Scenario,
    lot: Lot,
    wanted: &dyn Fn(&Finding) -> bool,
    progress: &mut dyn FnMut(u64),
) -> Exploration {
    let policy = Policy::Recorded;
    let mut scenario = Scenario { schedule: Vec::new(), policy, ..scenario.clone() };
    let mut draws = Draws::new(lot);
    let mut tally = Exploration::default();
    let outcome = loop {
        if tally.schedules == lot.schedules {
            break Outcome::Spent;
        }
        match tally.schedules {
            0 => subject.watch(true),
            _ => draws.next(&mut scenario),
        }
        let sight = subject.observe(&scenario);
        tally.schedules += 1;
        let finding = sight.findings.iter().copied().find(|finding| wanted(finding));
        if tally.schedules == 1 {
            if finding.is_none() {
                draws.course = Course::new(&sight);
            }
            subject.watch(false);
        }
        if let Some(finding) = finding {
            let departures = scenario.schedule.len();
            break Outcome::Found(Box::new(Found { scenario, finding, departures }));
        }
        if tally.schedules.is_multiple_of(1024) {
            progress(tally.schedules);
        }
    };
    Exploration { outcome, ..tally }
}

/// Draws schedules for one scenario.
struct Draws {
    random: Random,
    policy: Option<PolicyKind>,
    course: Course,
}

impl Draws {
    fn new(lot: Lot) -> Draws {
        Draws { random: Random(lot.seed), policy: lot.policy, course: Course::default() }
    }

    /// Draws the next schedule into `scenario`.
    fn next(&mut self, scenario: &mut Scenario) {
        let kind = self.policy.unwrap_or_else(|| match self.random.below(8) {
            0 => PolicyKind::Random,
            1 => PolicyKind::Pct,
            _ => PolicyKind::Recorded,
        });
        let seed = self.random.next() as u16;
        scenario.policy = match kind {
            PolicyKind::Recorded => Policy::Recorded,
            PolicyKind::Random => {
                Policy::Random { seed, pace: self.random.below(usize::from(PACE_MAX)) as u8 }
            }
            PolicyKind::Pct => Policy::Pct { seed },
        };
        // The seed of a policy is short: its schedules begin with departures, too.
        scenario.schedule.clear();
        let mut way = Way::new(&self.course, &mut scenario.schedule);
        for _ in 0..DEPARTURES_MAX {
            way.depart(&self.course, &mut self.random);
            if self.random.below(8) == 0 {
                break;
            }
        }
    }
}

/// A run under the schedule that is drawn, as far as the calm course lets it be foreseen.
struct Way<'a> {
    schedule: &'a mut Vec<Decision>,
    /// Number of the next point, and of the first that a decision can name.
    at: u32,
    next: u32,
    processor: u8,
    /// Points that each processor has passed.
    passed: [u32; PROCESSORS_MAX],
    /// Processors that were preempted, the last one last: no more than departures.
    preempted: [u8; DEPARTURES_MAX],
    preemptions: usize,
}

impl Way<'_> {
    fn new<'a>(course: &Course, schedule: &'a mut Vec<Decision>) -> Way<'a> {
        Way {
            schedule,
            at: course.first,
            next: 0,
            processor: course.processor,
            passed: [0; PROCESSORS_MAX],
            preempted: [0; DEPARTURES_MAX],
            preemptions: 0,
        }
    }

    /// One departure more, from the processor that runs or from one that goes on after it.
    fn depart(&mut self, course: &Course, random: &mut Random) {
        // Mostly from the one that the last departure led to.
        while random.below(8) < if self.preemptions == 0 { 1 } else { 2 } {
            self.finish(course);
        }
        let own = usize::from(self.processor);
        let Some(place) = course.draw(self.processor, self.passed[own], random) else { return };
        self.at += place.point - self.passed[own];
        self.passed[own] = place.point + 1;
        // Interrupts come first among the choices. None is foreseen, and neither is a processor that has nothing to do.
        let woken = self.others(course).position(|other| Some(other) == place.woken);
        let choice = match woken {
            Some(woken) if random.below(4) != 0 => woken as u8,
            _ => random.byte(),
        };
        self.decide(choice, random);
        self.at += 1;
        let count = self.others(course).count();
        let nth = usize::from(choice).checked_rem(count);
        if let Some(other) = nth.and_then(|nth| self.others(course).nth(nth)) {
            self.preempted[self.preemptions] = self.processor;
            self.preemptions += 1;
            self.processor = other;
        }
    }

    /// Other processors that have something left to do.
    fn others(&self, course: &Course) -> impl Iterator<Item = u8> {
        (0..PROCESSORS_MAX as u8).filter(|&other| {
            other != self.processor && self.passed[usize::from(other)] < course.count(other)
        })
    }

    /// The processor that runs comes to its end. The one that it preempted goes on, or the next one begins.
    fn finish(&mut self, course: &Course) {
        let other = match self.preemptions {
            0 => self.others(course).next(),
            count => {
                self.preemptions = count - 1;
                Some(self.preempted[count - 1])
            }
        };
        let Some(other) = other else { return };
        let passed = &mut self.passed[usize::from(self.processor)];
        self.at += course.count(self.processor).saturating_sub(*passed);
        *passed = (*passed).max(course.count(self.processor));
        self.processor = other;
    }

    /// Writes a departure down. A decision reaches 256 points far; where there is nothing to choose, one on the way
    /// changes nothing, and elsewhere it is one departure more.
    fn decide(&mut self, choice: u8, random: &mut Random) {
        while self.at - self.next > u32::from(u8::MAX) {
            self.push(Decision { after: u8::MAX, choice: random.byte() });
            self.next += u32::from(u8::MAX) + 1;
        }
        self.push(Decision { after: (self.at - self.next) as u8, choice });
        self.next = self.at + 1;
    }

    fn push(&mut self, decision: Decision) {
        if self.schedule.len() < DECISIONS_MAX {
            self.schedule.push(decision);
        }
    }
}

#[cfg(test)]
mod tests;
