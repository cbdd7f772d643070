//! Fewer departures from the calm course, and later ones.
//!
//! A decision says how many points pass before it, so leaving one out moves all that follow. Here departures have
//! places, counted from the run's beginning, and keep them.

use super::parts::leave_out;
use super::{Subject, Trial};
use crate::scenario::{Decision, Scenario};

/// A departure at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    /// Decision points passed before it, in the whole run.
    at: u64,
    choice: u8,
}

fn placed(schedule: &[Decision]) -> Vec<Placed> {
    let mut next = 0;
    let place = |decision: &Decision| {
        let at = next + u64::from(decision.after);
        next = at + 1;
        Placed { at, choice: decision.choice }
    };
    schedule.iter().map(place).collect()
}

/// The schedule with these departures; `None` if two are so far apart that no decision can say it.
fn unplaced(departures: &[Placed]) -> Option<Vec<Decision>> {
    let mut next = 0;
    let decision = |placed: &Placed| {
        let after = u8::try_from(placed.at.checked_sub(next)?).ok()?;
        next = placed.at + 1;
        Some(Decision { after, choice: placed.choice })
    };
    departures.iter().map(decision).collect()
}

impl<S: Subject> Trial<'_, S> {
    /// Leaves out departures; then looks for a schedule with fewer still.
    pub(super) fn shorten_schedule(&mut self) {
        if self.take_or_calm(&self.best.clone()) {
            return;
        }
        leave_out(self.best.schedule.len(), |rest| {
            let all = placed(&self.best.schedule);
            let kept: Vec<_> = rest.iter().map(|&at| all[at]).collect();
            let in_place = unplaced(&kept);
            // What cannot keep its place, or does not show the bug there, may do so moved up.
            let moved = rest.iter().map(|&at| self.best.schedule[at]).collect();
            [in_place, Some(moved)].into_iter().flatten().find_map(|schedule| {
                let candidate = Scenario { schedule, ..self.best.clone() };
                self.take(candidate).then_some(rest.len())
            })
        });
        let fewer = self.best.schedule.len().saturating_sub(1).min(self.limits.departures);
        if fewer > 0 {
            self.take_searched(&self.best.clone(), fewer);
        }
        self.plainest_choices();
    }

    /// The first choice of each departure that does.
    fn plainest_choices(&mut self) {
        for at in 0..self.best.schedule.len() {
            for choice in 0..self.best.schedule[at].choice.min(16) {
                let mut candidate = self.best.clone();
                candidate.schedule[at].choice = choice;
                if self.take(candidate) {
                    break;
                }
            }
        }
    }

    /// Moves each departure, the last one first, to the latest place that does: the less has happened differently
    /// before it, the shorter the story.
    pub(super) fn delay_departures(&mut self) {
        for at in (0..self.best.schedule.len()).rev() {
            let all = placed(&self.best.schedule);
            let next = all.get(at + 1).map_or(u64::MAX, |next| next.at);
            let latest = next.saturating_sub(1).min(all[at].at.saturating_add(DELAY_MAX));
            for place in (all[at].at + 1..=latest).rev() {
                let mut departures = all.clone();
                departures[at].at = place;
                if let Some(schedule) = unplaced(&departures)
                    && self.take(Scenario { schedule, ..self.best.clone() })
                {
                    break;
                }
            }
        }
    }
}

/// How much later a departure is tried, in decision points: a callback has fewer.
const DELAY_MAX: u64 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive() {
        let schedule: Vec<_> =
            [(3, 0), (0, 1), (255, 7)].map(|(after, choice)| Decision { after, choice }).into();
        let places = placed(&schedule);
        assert_eq!(places.iter().map(|placed| placed.at).collect::<Vec<_>>(), [3, 4, 260]);
        assert_eq!(unplaced(&places), Some(schedule));
        assert_eq!(unplaced(&places[2..]), None);
    }
}
