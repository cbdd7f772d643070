//! What the parent asks its workers.

use std::path::Path;
use std::process::Command;

use super::hunt::{Kill, Order, Trail};
use super::worker::{Answer, Request, Surveyed};
use crate::engine::crew::{Asked, CannotAsk, Reply, nonsense};
use crate::engine::recorder::Place;

/// Starts a worker with that file for its flight recorder.
pub type Start<'a> = dyn Fn(&Path) -> Command + Sync + 'a;

/// A worker that can be asked.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Hand<'a> {
    asked: Asked<'a, Request, Answer>,
    recorder: Place,
}

impl<'a> Hand<'a> {
    /// A worker, started when it is first asked; `corpus` is what hunts begin with.
    #[must_use]
    pub fn new(start: &'a Start<'a>, mut recorder: Place, corpus: Option<&'a Request>) -> Hand<'a> {
        // What is wrong with the folder the worker will meet, too, and tell.
        let _ = recorder.prepare();
        let path = recorder.path().to_owned();
        Hand { asked: Asked::new(move || start(&path), corpus), recorder }
    }

    /// Surveys the driver.
    ///
    /// # Errors
    ///
    /// See [`CannotAsk`]; among what is refused is a driver that kills its worker as it is.
    pub fn survey(&mut self, request: &Request) -> Result<Surveyed, CannotAsk> {
        match self.asked.ask(request)? {
            Reply::Answer(Answer::Surveyed(surveyed)) => Ok(*surveyed),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(death) => Err(CannotAsk::Refused(format!(
                "without any mistake put into it {} ({})",
                death.what, death.signal
            ))),
        }
    }

    /// Hunts a mutant. One that kills the worker is killed by that.
    ///
    /// # Errors
    ///
    /// See [`CannotAsk`].
    pub fn hunt(&mut self, order: &Order) -> Result<Trail, CannotAsk> {
        match self.asked.ask(&Request::Hunt(order.clone()))? {
            Reply::Answer(Answer::Hunted(trail)) => Ok(*trail),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(death) => {
                let kill = Kill::by_death(death, self.recorder.remains());
                Ok(Trail { runs: kill.runs, ms: 0, kill: Some(kill) })
            }
        }
    }
}
