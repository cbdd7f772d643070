//! Finds the schedule on which a script's calls come in the order of a record.
//!
//! The calm schedule gives the beginning. Where the run first does something else than the record, a departure
//! must have been missing before: each that could be chosen since the last call that was right is tried, and the one
//! after which most calls are right stays.

use super::marks::{Mark, marks};
use crate::event::Point;
use crate::harness::Harness;
use crate::scenario::{DECISIONS_MAX, Decision, Scenario};

/// Points before the first wrong call at which departures are tried, the last ones.
const POINTS_TRIED: usize = 48;
/// Runs at most.
const RUNS_MAX: u64 = 4096;
/// Points that one decision can pass calmly.
const REACH: usize = u8::MAX as usize;

/// How far a run is the recorded one.
struct Agreement {
    /// Calls that are right, from the first.
    matched: usize,
    /// Events between the last right call and the first wrong one.
    from: u32,
    to: u32,
}

/// The scenario with the schedule that was found, how many calls are right on it, and the runs that it took.
pub(super) fn steer(
    harness: &mut Harness,
    mut scenario: Scenario,
    wanted: &[Mark],
) -> (Scenario, usize, u64) {
    harness.record(true);
    harness.observe(true);
    let mut runs = 1;
    let mut agreement = run(harness, &scenario, wanted);
    while agreement.matched < wanted.len() && runs < RUNS_MAX {
        let points = harness.points();
        let next = passed(&scenario.schedule);
        let mut best: Option<(Agreement, Vec<Decision>)> = None;
        for at in candidates(&points, next, &agreement) {
            for choice in 0..points[at].0.choices() {
                let Some(schedule) = departs(&scenario.schedule, &points, at, choice) else {
                    continue;
                };
                let tried = Scenario { schedule, ..scenario.clone() };
                runs += 1;
                let reached = run(harness, &tried, wanted);
                if reached.matched > best.as_ref().map_or(agreement.matched, |b| b.0.matched) {
                    best = Some((reached, tried.schedule));
                }
            }
        }
        let Some((reached, schedule)) = best else { break };
        scenario.schedule = schedule;
        agreement = reached;
        // What was tried last is not what is gone on from.
        run(harness, &scenario, wanted);
    }
    (scenario, agreement.matched, runs)
}

fn run(harness: &mut Harness, scenario: &Scenario, wanted: &[Mark]) -> Agreement {
    harness.run(scenario);
    let events = harness.events();
    compare(wanted, &marks(events), events.len() as u32)
}

/// How far what was got is what was wanted. A wait is not a call: records of a real machine may not tell of it.
fn compare(wanted: &[Mark], got: &[(Mark, u32)], end: u32) -> Agreement {
    let mut matched = 0;
    let mut from = 0;
    for &(mark, at) in got {
        match wanted.get(matched) {
            Some(expected) if *expected == mark => {
                matched += 1;
                from = at + 1;
            }
            None => return Agreement { matched, from, to: at },
            Some(_) if mark.waits() => {}
            Some(_) => return Agreement { matched, from, to: at },
        }
    }
    Agreement { matched, from, to: end }
}

/// Points that the schedule's last decision has passed.
fn passed(schedule: &[Decision]) -> usize {
    schedule.iter().map(|decision| usize::from(decision.after) + 1).sum()
}

/// Points between the last right call and the first wrong one, the last first.
fn candidates(points: &[(Point, u32)], next: usize, agreement: &Agreement) -> Vec<usize> {
    let Agreement { from, to, .. } = *agreement;
    let between =
        (next..points.len()).filter(|&at| (from.saturating_sub(1)..=to).contains(&points[at].1));
    between.rev().filter(|&at| points[at].0.choices() > 0).take(POINTS_TRIED).collect()
}

/// The schedule with one more departure, at point `at`; on the way to a far one it takes decisions where there is nothing
/// to choose, which change nothing.
fn departs(
    schedule: &[Decision],
    points: &[(Point, u32)],
    at: usize,
    choice: u8,
) -> Option<Vec<Decision>> {
    let mut schedule = schedule.to_vec();
    let mut next = passed(&schedule);
    while at - next > REACH {
        let idle = (next..=next + REACH).rev().find(|&point| points[point].0.choices() == 0)?;
        schedule.push(Decision { after: (idle - next) as u8, choice: 0 });
        next = idle + 1;
    }
    schedule.push(Decision { after: (at - next) as u8, choice });
    (schedule.len() <= DECISIONS_MAX).then_some(schedule)
}
