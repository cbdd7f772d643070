//! An independent check of the rules: a plain, slow model of the lock contract, to be held against the
//! [checker](crate::rules::Checker).
//!
//! The model was written from Microsoft's reference pages, the lock table of
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock> (as
//! `tests/data/allowed-locks.csv`), the rules' own sentences and the documentation of [`event`](crate::event), and
//! not from the checker, which its author had not read. It keeps vectors and sets, searches them from the
//! start, and asks every rule at every event. No run of `lockstorm fuzz` uses it: `tests/reference` and the fuzz target
//! `locks` do.

mod locks;
mod model;
mod orders;
pub mod race;
mod rest;
mod table;

use std::collections::BTreeSet;
use std::fmt;

use crate::event::{Event, Flow};
use crate::rules::Checker;
use model::Model;
pub use model::{Id, Verdict};

/// An event on which model and checker do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Which, counted from 0.
    pub event: usize,
    /// What the checker found at it, besides what it had found before.
    pub checker: BTreeSet<Id>,
    /// What the model says.
    pub model: Verdict,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Disagreement { event, checker, model: Verdict { errors, warnings } } = self;
        write!(
            f,
            "at event {event} the checker finds {checker:?}, the model errors {errors:?} and warnings {warnings:?}"
        )
    }
}

/// Model and checker side by side; reused from run to run.
#[derive(Debug)]
pub struct Reference {
    model: Model,
    checker: Checker,
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Reference {
    /// Both, before any event.
    #[must_use]
    pub fn new() -> Self {
        Reference { model: Model::new(), checker: Checker::new() }
    }

    /// Reads a run's events with both, and tells every rule on which they agree.
    ///
    /// # Errors
    ///
    /// The first event on which they do not.
    pub fn compare(
        &mut self,
        events: &[Event],
        mut agreed: impl FnMut(Id),
    ) -> Result<(), Disagreement> {
        self.model.reset();
        self.checker.reset();
        let mut known: BTreeSet<Id> = BTreeSet::new();
        for (index, event) in events.iter().enumerate() {
            let verdict = self.model.judge(event);
            let stops = self.checker.record(event) == Flow::Stop;
            let findings = self.checker.findings();
            let found: BTreeSet<Id> = findings.iter().map(|f| f.rule.rule().id).collect();
            let new: BTreeSet<Id> = found.difference(&known).copied().collect();
            let error = findings.last().map(|finding| finding.rule.rule().id).filter(|_| stops);
            if !agrees(&verdict, &new, &found, error) {
                return Err(Disagreement { event: index, checker: new, model: verdict });
            }
            new.iter().copied().chain(error).for_each(&mut agreed);
            if stops {
                break;
            }
            known = found;
        }
        Ok(())
    }
}

/// Whether the checker, which has found `new` at this event and `found` so far, and ended the run with `error`, says
/// the same as the model.
fn agrees(verdict: &Verdict, new: &BTreeSet<Id>, found: &BTreeSet<Id>, error: Option<Id>) -> bool {
    if verdict.errors.contains(locks::CONTRADICTION) {
        return false;
    }
    match error {
        Some(error) => verdict.errors.contains(error),
        None if !verdict.errors.is_empty() => false,
        None if verdict.warnings.is_empty() => new.is_empty(),
        // A warning that has been given before is not given again.
        None => new.is_subset(&verdict.warnings) && !verdict.warnings.is_disjoint(found),
    }
}
