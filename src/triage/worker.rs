//! The worker: runs scenarios for `lockstorm triage`, one request at a time ([`crate::engine::serve`]).

use serde::{Deserialize, Serialize};

use super::minimise::{Limits, Minimal, Subject, is_among, minimise};
use super::replay::Replay;
use crate::engine::serve::{self, CannotServe};
use crate::engine::{message, run_begins, run_ends};
use crate::explore::{self, Bound, Outcome, Sight, explore};
use crate::harness::{Harness, Target};
use crate::report::told::{Told, gravest};
use crate::rules::Finding;
use crate::scenario::Decision;
use crate::scenario::{Scenario, codec};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Run it.
    Replay {
        /// The scenario's bytes as hexadecimal digits.
        scenario: String,
    },
    /// Run it and tell what happened, for a report.
    Tell {
        /// The scenario's bytes as hexadecimal digits.
        scenario: String,
        /// What the report is about.
        #[serde(with = "crate::report::hex")]
        bug: u64,
    },
    /// Make it as small as it can be while it shows the bug.
    Minimise {
        /// The scenario's bytes as hexadecimal digits.
        scenario: String,
        /// The bug.
        #[serde(with = "crate::report::hex")]
        bug: u64,
        /// When to stop.
        limits: Limits,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Replay`].
    Replayed(Replay),
    /// To [`Request::Tell`].
    Told(Box<Told>),
    /// To [`Request::Minimise`]; `None` if the scenario does not show the bug.
    Minimised(Option<Minimal>),
}

/// Answers requests on the driver until there are no more.
///
/// # Errors
///
/// See [`CannotServe`].
pub fn serve(target: &Target) -> Result<(), CannotServe> {
    serve::serve(target, |harness, request, _| answer(harness, &request))
}

fn answer(harness: &mut Harness, request: &Request) -> Result<Answer, String> {
    let scenario = match request {
        Request::Replay { scenario }
        | Request::Tell { scenario, .. }
        | Request::Minimise { scenario, .. } => scenario,
    };
    let bytes = message::from_hex(scenario).ok_or("a scenario is hexadecimal digits")?;
    let scenario = codec::decode(&bytes);
    Ok(match *request {
        Request::Replay { .. } => {
            run_begins();
            let replay = Replay::of(harness, &scenario);
            run_ends();
            Answer::Replayed(replay)
        }
        Request::Tell { bug, .. } => {
            harness.record(true);
            run_begins();
            harness.run(&scenario);
            run_ends();
            let findings = harness.findings().to_vec();
            let subject = findings.iter().find(|found| found.bug() == bug);
            let told = Told::of(harness.events(), &findings, subject.or(gravest(&findings)));
            harness.record(false);
            Answer::Told(Box::new(told))
        }
        Request::Minimise { bug, limits, .. } => {
            Answer::Minimised(minimise(&mut Watched(harness), &scenario, bug, limits))
        }
    })
}

/// A harness under the watchdog: a run that never ends kills the worker.
struct Watched<'a>(&'a mut Harness);

impl Subject for Watched<'_> {
    fn shows(&mut self, scenario: &Scenario, bug: u64) -> bool {
        run_begins();
        self.0.run(scenario);
        run_ends();
        is_among(self.0.findings(), bug)
    }

    fn search(
        &mut self,
        scenario: &Scenario,
        bug: u64,
        departures: usize,
        runs: u64,
    ) -> (Option<Vec<Decision>>, u64) {
        explore::prepare(self.0, true);
        let bound = Bound { departures, schedules: runs, every_point: false };
        let wanted = |finding: &Finding| is_among(std::slice::from_ref(finding), bug);
        let exploration = explore(self, scenario, bound, &wanted, &mut |_| {});
        explore::prepare(self.0, false);
        let found = match exploration.outcome {
            Outcome::Found(found) => Some(found.scenario.schedule),
            Outcome::Complete | Outcome::Spent => None,
        };
        (found, exploration.schedules)
    }
}

impl explore::Subject for Watched<'_> {
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_> {
        run_begins();
        self.0.run(scenario);
        run_ends();
        self.0.sight()
    }

    fn memory(&self, scenario: &Scenario) -> explore::Memory {
        explore::Subject::memory(self.0, scenario)
    }
}
