//! What people read of a run: events in words, and the page that tells the story of one finding.
//!
//! ```text
//! Story { driver, events, findings, scenario, replay } -> timeline, locks, source -> page (HTML)
//!                                                      -> Markdown, SARIF, JSON, Perfetto trace
//! ```
//!
//! A report is a rendering of data: it judges nothing and runs nothing.

pub mod moment;
pub(crate) mod number;
pub mod page;
pub mod perfetto;
pub mod source;
pub mod timeline;
pub mod words;

mod graph;
mod html;

use crate::event::Event;
use crate::rules::{Finding, Severity};
use timeline::Timeline;

/// A run, ready to be told.
#[derive(Clone, Copy, Debug)]
pub struct Story<'a> {
    /// The driver, as a command line names it.
    pub driver: &'a str,
    /// Every event of the run.
    pub events: &'a [Event],
    /// What the run broke. The page is about the one that ended it: the last error, or the first warning.
    pub findings: &'a [Finding],
    /// The scenario as RON.
    pub scenario: &'a str,
    /// The command that replays it.
    pub replay: &'a str,
}

impl Story<'_> {
    /// What the page is about; `None` for a run that broke nothing.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        let mut errors = self.findings.iter().filter(|found| found.severity == Severity::Error);
        errors.next_back().or(self.findings.first())
    }

    /// The index of the event at which the rule was broken, or of the last.
    #[must_use]
    pub fn moment(&self) -> usize {
        let last = self.events.len().saturating_sub(1);
        self.finding().map_or(last, |finding| moment_of(self.events, finding))
    }
}

/// The picture of a run, its subject marked first.
#[must_use]
pub fn picture(story: &Story<'_>) -> Timeline {
    let subject = story.finding();
    let others = story.findings.iter().filter(|&found| Some(found) != subject);
    timeline::lay_out(story.events, subject.into_iter().chain(others))
}

/// An error ends its run, so it is told of at the last event; a warning at the last one that has its time,
/// processor and site.
fn moment_of(events: &[Event], finding: &Finding) -> usize {
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
