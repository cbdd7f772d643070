//! Events that were written down, and the rules over them: a run of this machine, or what really happened inside
//! Windows.
//!
//! A rule never asks the machine anything, so it does not matter where events come from. [`jsonl`] is the form that
//! people and scripts can write; whatever else holds events becomes an [`Events`], and [`check`] does the rest.

pub mod jsonl;
pub(crate) mod limits;

use std::fmt;

use crate::event::{Event, Flow};
use crate::rules::{Checker, Finding, Races, RuleSet};

/// Why a record cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The line, from 1; in a record without lines, the number of the event.
    pub line: usize,
    /// The column, from 1; 0 if it is the line as a whole.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadError { line, column, message } = self;
        match column {
            0 => write!(f, "line {line}: {message}"),
            _ => write!(f, "line {line}, column {column}: {message}"),
        }
    }
}

impl std::error::Error for ReadError {}

/// Events that come from a record, in order.
pub trait Events: Iterator<Item = Result<Event, ReadError>> {
    /// Rules that do not apply, because whoever made the record asked for what they forbid.
    fn muted(&self) -> RuleSet;
}

/// What the rules say of a record.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was broken: warnings, and the error after which no more is said.
    pub findings: Vec<Finding>,
    /// Events read.
    pub events: u64,
}

/// Applies the rules to a record.
///
/// # Errors
///
/// The record cannot be read. What follows the first error of a rule is read, but not judged: after it, nothing
/// is as the rules know it.
pub fn check(events: impl Events) -> Result<Checked, ReadError> {
    let mut checker = Box::new(Checker::new());
    let mut races = Box::<Races>::default();
    checker.mute(events.muted());
    let (mut count, mut flow) = (0, Flow::Continue);
    for event in events {
        let event = event?;
        count += 1;
        if flow == Flow::Continue {
            // A race stops the checker, which then says so itself.
            let _ = races.record(&event, &mut checker);
            flow = checker.record(&event);
        }
    }
    Ok(Checked { findings: checker.findings().to_vec(), events: count })
}
