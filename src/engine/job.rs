//! One job of a campaign: the worker that does it now, and what those before it did.

use super::campaign::Plan;
use super::child::{Child, Corpus};
use super::message::Statistics;
use super::recorder::Place;

/// Runs that a worker needs to show that its death was not that of a bad start.
pub(super) const HASTE: u64 = 10_000;

/// One job: the worker that does it now, and what those before it did.
pub(super) struct Worker {
    pub(super) child: Option<Child>,
    pub(super) place: Place,
    /// Workers of this job that died.
    pub(super) deaths: u32,
    /// Of these, in a row, those that died at once.
    pub(super) hasty_deaths: u32,
    /// The living one was told to end, or says that it is done.
    pub(super) ending: bool,
    /// What the dead ones did.
    pub(super) before: Statistics,
    /// What the living one has done.
    pub(super) now: Statistics,
    pub(super) corpus: Corpus,
    pub(super) runs_max: Option<u64>,
}

impl Worker {
    pub(super) fn new(plan: &Plan, index: usize, jobs: usize) -> Worker {
        let share = |runs: u64| {
            let (jobs, index) = (jobs as u64, index as u64);
            runs / jobs + u64::from(index < runs % jobs)
        };
        Worker {
            child: None,
            place: Place::new(&plan.logs, index),
            deaths: 0,
            hasty_deaths: 0,
            ending: false,
            before: Statistics::default(),
            now: Statistics::default(),
            corpus: Corpus::default(),
            runs_max: plan.runs.map(share),
        }
    }

    /// Adds what the worker that has ended did. One that died may have done more than it had time to
    /// tell; the recorder counted `begun` inputs.
    pub(super) fn settle(&mut self, begun: Option<u64>) {
        if let Some(begun) = begun {
            self.now.runs = self.now.runs.max(begun);
        }
        self.hasty_deaths = if self.now.runs < HASTE { self.hasty_deaths + 1 } else { 0 };
        self.before = add(self.before, std::mem::take(&mut self.now));
    }
}

/// Both together.
pub(super) fn add(a: Statistics, b: Statistics) -> Statistics {
    Statistics {
        runs: a.runs + b.runs,
        events: a.events + b.events,
        virtual_ns: a.virtual_ns + b.virtual_ns,
    }
}

/// The seed of a worker: another one for every job and for every worker that takes a dead one's place.
pub(super) fn worker_seed(seed: u64, index: usize, deaths: u32) -> u32 {
    let mut state = seed ^ (index as u64) << 32 ^ u64::from(deaths) << 48;
    loop {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        if z as u32 != 0 {
            return z as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_get_seeds_of_their_own_and_never_zero() {
        let mut seeds: Vec<u32> =
            (0..8).flat_map(|job| (0..8).map(move |deaths| worker_seed(0, job, deaths))).collect();
        assert_eq!(worker_seed(7, 3, 1), worker_seed(7, 3, 1));
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 64);
        assert!(!seeds.contains(&0));
    }
}
