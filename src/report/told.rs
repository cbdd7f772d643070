//! A run as a report needs it: laid out, in words, free of the process that ran it.
//!
//! The process that runs a compiled driver is locked up and writes no file. It makes this, and another renders it.

use serde::{Deserialize, Serialize};

use super::breach::Breach;
use super::moment::{self, Edge, Holding};
use super::timeline::{self, Timeline};
use crate::event::{Event, Kind};
use crate::rules::{Family, Finding, Severity};

/// A run, told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What the run broke, first what the report is about; empty for a run that broke nothing.
    pub breaches: Vec<Breach>,
    /// The picture.
    pub timeline: Timeline,
    /// Locks that were held or wanted at the moment.
    pub holdings: Vec<Holding>,
    /// Where the rule is about the order of locks or about waiting: which of the locks concerned was wanted while
    /// which was held.
    pub orders: Vec<Edge>,
}

impl Told {
    /// Tells a run that broke `findings`, with `subject` as what it is about.
    #[must_use]
    pub fn of(events: &[Event], findings: &[Finding], subject: Option<&Finding>) -> Told {
        let others = findings.iter().filter(|&found| Some(found) != subject);
        let sorted: Vec<&Finding> = subject.into_iter().chain(others).collect();
        let last = events.len().saturating_sub(1);
        let moment = moment::at(events, subject.map_or(last, |found| moment_of(events, found)));
        Told {
            breaches: sorted.iter().map(|found| Breach::of(found)).collect(),
            timeline: timeline::lay_out(events, sorted.iter().copied()),
            orders: subject.map_or_else(Vec::new, |found| orders(events, found, moment.edges)),
            holdings: moment.holdings,
        }
    }

    /// What the report is about.
    #[must_use]
    pub fn subject(&self) -> Option<&Breach> {
        self.breaches.first()
    }
}

/// What a report is about where nobody says so: the error that ended the run, or the first warning.
#[must_use]
pub fn gravest(findings: &[Finding]) -> Option<&Finding> {
    let mut errors = findings.iter().filter(|found| found.severity == Severity::Error);
    errors.next_back().or(findings.first())
}

/// The event at which a rule was broken. An error ends its run, so it is told of at the last event; a warning at
/// the last one that has its time, processor and site.
pub(super) fn moment_of(events: &[Event], finding: &Finding) -> usize {
    let last = events.len().saturating_sub(1);
    if finding.severity == Severity::Error {
        return last;
    }
    let fits = |event: &Event| {
        event.time == finding.time
            && event.processor == finding.processor
            && event.site == finding.site
    };
    events.iter().rposition(fits).unwrap_or(last)
}

/// The orders that concern a finding's locks, or those of a circle of waits.
fn orders(events: &[Event], finding: &Finding, edges: Vec<Edge>) -> Vec<Edge> {
    let waits = events.iter().filter_map(|event| match event.kind {
        Kind::Deadlocked { lock, .. } => Some(lock),
        _ => None,
    });
    let waits: Vec<String> = waits.map(|lock| lock.to_string()).collect();
    let about_order = matches!(finding.rule.rule().family, Family::Order | Family::Interrupt);
    if !about_order && waits.is_empty() {
        return Vec::new();
    }
    let named: Vec<String> = finding.locks.iter().flatten().map(ToString::to_string).collect();
    let concerned = |lock: &String| named.contains(lock) || waits.contains(lock);
    edges.into_iter().filter(|edge| concerned(&edge.held) && concerned(&edge.wanted)).collect()
}
