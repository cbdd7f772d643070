//! Events as JSON lines: one JSON value a line.
//!
//! The first line is the [`Heading`], each other line an event:
//!
//! ```text
//! {"lockstorm_events":1,"driver":"puppet"}
//! {"time_ns":2800,"processor":0,"irql":2,"depth":0,"site":"Port","event":{"LockAcquired":{"lock":"StartIo","api":"Port","irql":2,"contended":false}}}
//! {"time_ns":3000,"processor":0,"irql":2,"depth":1,"site":{"Source":{"file":"src/io.rs","line":44,"column":9}},"event":{"LockAcquired":{"lock":{"Dpc":0},"api":"Spin","irql":2,"contended":false}}}
//! ```
//!
//! | field | meaning |
//! | --- | --- |
//! | `time_ns` | nanoseconds since the beginning; never less than in the line before |
//! | `processor` | 0 to 7 |
//! | `irql` | the processor's IRQL just before, as a number |
//! | `depth` | how many callbacks are active on it, the one that did it included; may be left out for 0 |
//! | `site` | `"Port"` for StorPort's own doing, `{"Source":{"file","line","column"}}`, or `{"Image":offset}`; may be left out for `"Port"` |
//! | `event` | a [`Kind`] by its name here, with its fields; one without fields is a string: `"Quiescing"` |
//!
//! Version 1 is what this lockstorm reads and writes. Fields and kinds that it does not know are errors: a rule that did
//! not see an event would be silent, or wrong, about what follows. Empty lines are passed over.

use std::collections::HashMap;
use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::{Events, ReadError, limits};
use crate::event::{Event, Kind, Site, SourceLine};
use crate::rules::{RuleId, RuleSet};
use crate::scenario::Scenario;
use crate::storport::Irql;

/// The version that is written.
pub const VERSION: u32 = 1;
/// Bytes of the longest line: many times the longest that is written.
pub const LINE_BYTES_MAX: usize = 1 << 16;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heading {
    /// [`VERSION`].
    pub lockstorm_events: u32,
    /// The driver's name; nothing depends on it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Ids of rules that do not apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub muted: Vec<String>,
}

impl Heading {
    /// The heading of a run of `scenario`.
    #[must_use]
    pub fn of_run(driver: &str, scenario: &Scenario) -> Heading {
        let mut muted = Vec::new();
        // As in the harness: what the scenario itself tells the driver to do is no finding.
        if scenario.setup.half_duplex {
            muted.push(RuleId::DuplexHalf.rule().id.to_owned());
        }
        Heading { lockstorm_events: VERSION, driver: driver.into(), muted }
    }
}

/// A line after the first.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    time_ns: u64,
    processor: u8,
    irql: Irql,
    #[serde(default)]
    depth: u8,
    #[serde(default)]
    site: Place,
    event: Kind,
}

/// [`Site`], with nothing borrowed.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename = "Site", deny_unknown_fields)]
enum Place {
    #[default]
    Port,
    Source {
        file: String,
        line: u32,
        column: u32,
    },
    Image(u32),
}

impl From<Site> for Place {
    fn from(site: Site) -> Place {
        match (site, site.source()) {
            (_, Some(at)) => {
                Place::Source { file: at.file.to_owned(), line: at.line, column: at.column }
            }
            (Site::Image(offset), None) => Place::Image(offset),
            (_, None) => Place::Port,
        }
    }
}

/// Writes a record.
#[must_use]
pub fn write(heading: &Heading, events: &[Event]) -> String {
    let mut text = String::new();
    push(&mut text, heading);
    for event in events {
        let Event { time, site, kind, processor, irql, depth } = *event;
        let line = Line { time_ns: time, processor, irql, depth, site: site.into(), event: kind };
        push(&mut text, &line);
    }
    text
}

fn push(text: &mut String, value: &impl Serialize) {
    text.push_str(
        &serde_json::to_string(value).expect("an event has nothing that JSON cannot say"),
    );
    text.push('\n');
}

/// Reads a record, line by line.
#[derive(Debug)]
pub struct Reader<R> {
    lines: R,
    /// The line that is read next, from 1.
    number: usize,
    heading: Heading,
    muted: RuleSet,
    time: u64,
    /// Sites told so far, so that each lives once.
    sites: HashMap<(String, u32, u32), &'static SourceLine>,
    failed: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the heading.
    ///
    /// # Errors
    ///
    /// It is none, or of another version.
    pub fn new(lines: R) -> Result<Reader<R>, ReadError> {
        let heading =
            Heading { lockstorm_events: VERSION, driver: String::new(), muted: Vec::new() };
        let mut reader = Reader {
            lines,
            number: 0,
            heading,
            muted: RuleSet::NONE,
            time: 0,
            sites: HashMap::new(),
            failed: false,
        };
        let first = reader.line()?.ok_or_else(|| {
            reader.error(0, "the record is empty, expected {\"lockstorm_events\":1}".into())
        })?;
        reader.heading = reader.parse(&first)?;
        let found = reader.heading.lockstorm_events;
        if found != VERSION {
            return Err(reader.error(0, format!("format version {found}, expected {VERSION}")));
        }
        for id in &reader.heading.muted {
            let rule = RuleId::from_id(id);
            let rule = rule.ok_or_else(|| reader.error(0, format!("there is no rule '{id}'")))?;
            reader.muted.insert(rule);
        }
        Ok(reader)
    }

    /// The first line.
    pub fn heading(&self) -> &Heading {
        &self.heading
    }

    /// The next line that is not empty; `None` at the end.
    fn line(&mut self) -> Result<Option<String>, ReadError> {
        loop {
            self.number += 1;
            let mut bytes = Vec::new();
            let mut limited = std::io::Read::take(&mut self.lines, LINE_BYTES_MAX as u64 + 1);
            let read = limited.read_until(b'\n', &mut bytes);
            let read = read.map_err(|error| self.error(0, error.to_string()))?;
            if read == 0 {
                return Ok(None);
            }
            if read > LINE_BYTES_MAX {
                let message = format!("a line has at most {LINE_BYTES_MAX} bytes");
                return Err(self.error(LINE_BYTES_MAX, message));
            }
            let text = String::from_utf8(bytes).map_err(|error| {
                self.error(error.utf8_error().valid_up_to() + 1, "not UTF-8".into())
            })?;
            let text = text.trim_end_matches(['\r', '\n']);
            if !text.trim().is_empty() {
                return Ok(Some(text.to_owned()));
            }
        }
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self, line: &str) -> Result<T, ReadError> {
        serde_json::from_str(line).map_err(|error| {
            let message = error.to_string();
            // The place is told in front.
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            self.error(error.column(), message)
        })
    }

    fn event(&mut self, line: &str) -> Result<Event, ReadError> {
        let Line { time_ns, processor, irql, depth, site, event } = self.parse(line)?;
        let site = self.site(site);
        let event = Event { time: time_ns, site, kind: event, processor, irql, depth };
        limits::check(&event).map_err(|message| self.error(0, message))?;
        if time_ns < self.time {
            let before = self.time;
            return Err(self.error(0, format!("time_ns {time_ns} is before {before}")));
        }
        self.time = time_ns;
        Ok(event)
    }

    /// A site must live as long as the process, as those of a running driver do; each is leaked once.
    fn site(&mut self, place: Place) -> Site {
        match place {
            Place::Port => Site::Port,
            Place::Image(offset) => Site::Image(offset),
            Place::Source { file, line, column } => {
                let key = (file, line, column);
                let told = self.sites.get(&key).copied().unwrap_or_else(|| {
                    let file: &'static str = key.0.clone().leak();
                    Box::leak(Box::new(SourceLine { file, line, column }))
                });
                self.sites.entry(key).or_insert(told);
                Site::Told(told)
            }
        }
    }

    fn error(&self, column: usize, message: String) -> ReadError {
        ReadError { line: self.number, column, message }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let event = match self.line() {
            Ok(line) => self.event(&line?),
            Err(error) => Err(error),
        };
        self.failed = event.is_err();
        Some(event)
    }
}

impl<R: BufRead> Events for Reader<R> {
    fn muted(&self) -> RuleSet {
        self.muted
    }
}

#[cfg(test)]
mod tests;
