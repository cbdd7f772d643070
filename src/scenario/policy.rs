//! The policy of a schedule: who decides where the recorded decisions do not.
//!
//! A policy is part of the scenario, so that a run under any of them is replayed by its bytes alone.

use serde::{Deserialize, Serialize};

/// How the machine chooses at its decision points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Policy {
    /// The recorded decisions, and calmly when they are spent.
    #[default]
    Recorded,
    /// The recorded decisions, and random ones when they are spent.
    Random {
        /// Where the random numbers begin.
        seed: u16,
        /// Decision points between two departures: fewer than 2^pace, 0 to 7.
        pace: u8,
    },
    /// Probabilistic concurrency testing (<https://doi.org/10.1145/1736020.1736040>): processors and interrupts have
    /// priorities, and at each decision point the highest of those that can go on does. Each recorded decision
    /// is a priority change point: after as many points as it says, whoever runs falls below all others.
    Pct {
        /// Where the random priorities begin.
        seed: u16,
    },
}

/// Highest pace.
pub(crate) const PACE_MAX: u8 = 7;

/// A policy without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// [`Policy::Recorded`].
    Recorded,
    /// [`Policy::Random`].
    Random,
    /// [`Policy::Pct`].
    Pct,
}

impl PolicyKind {
    /// Every kind.
    pub const ALL: [PolicyKind; 3] = [PolicyKind::Recorded, PolicyKind::Random, PolicyKind::Pct];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PolicyKind::Recorded => "recorded",
            PolicyKind::Random => "random",
            PolicyKind::Pct => "pct",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<PolicyKind> {
        PolicyKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Policy {
    /// Which kind it is.
    #[must_use]
    pub const fn kind(self) -> PolicyKind {
        match self {
            Policy::Recorded => PolicyKind::Recorded,
            Policy::Random { .. } => PolicyKind::Random,
            Policy::Pct { .. } => PolicyKind::Pct,
        }
    }

    /// A policy of that kind: this one if it is, otherwise one with numbers from `seed`.
    #[must_use]
    pub const fn of_kind(self, kind: PolicyKind, seed: u32) -> Policy {
        let [low, high, pace, _] = seed.to_le_bytes();
        match (kind, self) {
            (PolicyKind::Recorded, _) => Policy::Recorded,
            (PolicyKind::Random, Policy::Random { .. }) | (PolicyKind::Pct, Policy::Pct { .. }) => {
                self
            }
            (PolicyKind::Random, _) => Policy::Random {
                seed: u16::from_le_bytes([low, high]),
                pace: pace % (PACE_MAX + 1),
            },
            (PolicyKind::Pct, _) => Policy::Pct { seed: u16::from_le_bytes([low, high]) },
        }
    }
}
