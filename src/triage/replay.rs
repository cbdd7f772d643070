//! Running a scenario and telling what it broke.

use serde::{Deserialize, Serialize};

use crate::harness::Harness;
use crate::machine::End;
use crate::report::breach::Breach;
use crate::scenario::Scenario;

/// What a replay showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// Everything that the run broke, in order: warnings, and the error that ended it.
    pub breaches: Vec<Breach>,
    /// Events told; 0 if the driver killed its process.
    pub events: u64,
    /// Two runs of it were the same.
    pub stable: bool,
    /// The run ended where lockstorm has no model for what the driver called.
    #[serde(default)]
    pub unmodelled: bool,
}

impl Replay {
    /// Runs a scenario twice.
    #[must_use]
    pub fn of(harness: &mut Harness, scenario: &Scenario) -> Replay {
        harness.hash_events(true);
        let first = harness.run(scenario);
        let second = harness.run(scenario);
        harness.hash_events(false);
        Replay {
            breaches: harness.findings().iter().map(Breach::of).collect(),
            events: second.events,
            stable: first.hash == second.hash,
            unmodelled: second.end == End::Unmodelled,
        }
    }
}
