//! What triage asks its workers.

use std::process::Command;

use super::minimise::{Limits, Minimal, Subject, minimise};
use super::replay::Replay;
use super::worker::{Answer, Request};
use crate::engine::crew::{Asked, CannotAsk, Reply, nonsense};
use crate::engine::message::to_hex;
use crate::report::breach::Breach;
use crate::report::told::Told;
use crate::scenario::{Scenario, codec};

/// Starts a worker.
pub type Start<'a> = dyn Fn() -> Command + Sync + 'a;

/// A worker that can be asked.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Hand<'a>(Asked<'a, Request, Answer>);

impl<'a> Hand<'a> {
    /// A worker, started when it is first asked.
    #[must_use]
    pub fn new(start: &'a Start<'a>) -> Hand<'a> {
        Hand(Asked::new(start, None))
    }

    /// Runs a scenario.
    ///
    /// # Errors
    ///
    /// See [`CannotAsk`].
    pub fn replay(&mut self, scenario: &Scenario) -> Result<Replay, CannotAsk> {
        let request = Request::Replay { scenario: plain(scenario) };
        match self.0.ask(&request)? {
            Reply::Answer(Answer::Replayed(replay)) => Ok(replay),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(death) => {
                let breach = Breach::death(death.signal, &death.line());
                Ok(Replay { breaches: vec![breach], events: 0, stable: true, unmodelled: false })
            }
        }
    }

    /// Runs a scenario for a report about `bug`; `None` if the driver kills the worker, which then cannot tell.
    ///
    /// # Errors
    ///
    /// See [`CannotAsk`].
    pub fn tell(&mut self, scenario: &Scenario, bug: u64) -> Result<Option<Told>, CannotAsk> {
        match self.0.ask(&Request::Tell { scenario: plain(scenario), bug })? {
            Reply::Answer(Answer::Told(told)) => Ok(Some(*told)),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(_) => Ok(None),
        }
    }

    /// Minimises a scenario. If the driver kills the worker meanwhile, it is done run by run instead.
    ///
    /// # Errors
    ///
    /// See [`CannotAsk`].
    pub fn minimise(
        &mut self,
        scenario: &Scenario,
        bug: u64,
        limits: Limits,
    ) -> Result<Option<Minimal>, CannotAsk> {
        let request = Request::Minimise { scenario: plain(scenario), bug, limits };
        match self.0.ask(&request)? {
            Reply::Answer(Answer::Minimised(minimal)) => Ok(minimal),
            Reply::Answer(other) => Err(nonsense(&other)),
            // A run that dies costs a process, so fewer of them.
            Reply::Died(_) => {
                let limits = Limits { runs: limits.runs.min(2_000), ..limits };
                Ok(minimise(self, scenario, bug, limits))
            }
        }
    }
}

fn plain(scenario: &Scenario) -> String {
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    to_hex(&bytes)
}

impl Subject for Hand<'_> {
    fn shows(&mut self, scenario: &Scenario, bug: u64) -> bool {
        // What cannot be run does not show anything.
        self.replay(scenario).is_ok_and(|replay| replay.breaches.iter().any(|b| b.bug == bug))
    }
}
