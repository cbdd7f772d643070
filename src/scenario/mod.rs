//! What a run is told to do: the machine's configuration, what happens to the adapter, and the answers
//! to the machine's decisions.
//!
//! A scenario is plain data of fixed-size parts. Bytes become a scenario in [`codec`] (any bytes do), text
//! in [`text`]; both ways are exact inverses. Operands are indices taken modulo what exists when the
//! step runs, so no scenario is illegal.

pub mod codec;
mod line;
pub mod mutate;
pub mod policy;
pub mod setup;
pub mod step;
pub mod text;

pub use policy::{Policy, PolicyKind};
pub use setup::{
    Affinity, DeviceOrder, Failures, InterruptKind, Manner, Perf, PerfOption, Setup, StartIoMessage,
};
pub use step::{
    AdapterAction, Answer, At, Io, IoKind, Outcome, Query, ResetTier, Step, StepKind, UnitAction,
};

use serde::{Deserialize, Serialize};

/// Most steps of a scenario: enough for every pair of step kinds, few enough that a run takes microseconds.
pub const STEPS_MAX: usize = 64;
/// Most decisions of a schedule.
pub const DECISIONS_MAX: usize = 256;

/// One run, told completely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// The machine, the adapter's resources and what fails from the start.
    pub setup: Setup,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// When the machine departs from the calm choice.
    pub schedule: Vec<Decision>,
    /// What else moves the machine to depart from it.
    pub policy: Policy,
}

/// One departure from the calm choice (stay on this processor, deliver nothing); with [`Policy::Pct`] one change of
/// priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Decision points passed calmly before this one.
    pub after: u8,
    /// Which of the departures that exist then, modulo their number.
    pub choice: u8,
}
