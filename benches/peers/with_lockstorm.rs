//! lockstorm: its policies on a program, as `lockstorm explore --random` runs them.

use lockstorm::device::model::Model;
use lockstorm::explore::{Lot, Outcome, draw};
use lockstorm::harness::Harness;
use lockstorm::rules::{Finding, Severity};
use lockstorm::scenario::{At, Io, PolicyKind, ResetTier, Scenario, Setup, Step};

use super::core::Core;
use super::hunt::{self, Hunt};
use super::programs::{Program, Shape};

/// A program on its machine; made once, reused by every hunt.
pub(crate) struct Prey {
    harness: Harness,
    scenario: Scenario,
}

impl Prey {
    pub(crate) fn new<Q: Program>() -> Prey {
        let mut prey = Prey {
            harness: Harness::of_core::<Core<Q>>(Model::Bare, Box::leak(Box::default())),
            scenario: scenario::<Q>(),
        };
        // What a first run makes ready is no part of a hunt, as Shuttle's first execution is not.
        prey.harness.run(&Scenario::default());
        prey
    }

    /// Hunts until the program breaks a rule, for so many executions.
    pub(crate) fn hunt(&mut self, kind: Option<PolicyKind>, seed: u64, executions: u64) -> Hunt {
        hunt::begins();
        let began = hunt::cpu_seconds();
        let wanted = |finding: &Finding| finding.severity == Severity::Error;
        let lot = Lot { policy: kind, seed, schedules: executions };
        let drawn = draw(&mut self.harness, &self.scenario, lot, &wanted, &mut |_| ());
        let seconds = hunt::cpu_seconds() - began;
        Hunt {
            executions: drawn.schedules,
            seconds,
            found: matches!(drawn.outcome, Outcome::Found(_)),
        }
    }

    /// The rule that the last run broke.
    pub(crate) fn rule(&mut self) -> &'static str {
        let findings = self.harness.findings();
        let error = findings.iter().find(|finding| finding.severity == Severity::Error);
        error.map_or("", |finding| finding.rule.rule().id)
    }
}

/// As many processors as the program has threads, and what makes it run.
fn scenario<Q: Program>() -> Scenario {
    let processors = Q::THREADS + usize::from(Q::HAS_DPC);
    let setup = Setup { processors: processors as u8, channels: 1, ..Setup::default() };
    let at = |processor| At { processor, gap: 0 };
    let request = Step::Io(at(0), Io::default());
    let steps = match Q::SHAPE {
        Shape::Dpcs => Vec::new(),
        Shape::Request | Shape::Interrupts | Shape::Messages => vec![request],
        Shape::Reset => vec![request, Step::Reset(at(1), ResetTier::Bus)],
    };
    Scenario { setup, steps, ..Scenario::default() }
}
