//! lockstorm's own event stream, as `lockstorm run --events` writes it; its form is in [`crate::record::jsonl`].
//!
//! A request is its RequestCreated and its RequestCompleted. The stream tells a request's function but not what its
//! command does, nor where: SRB_FUNCTION_EXECUTE_SCSI counts as a read of nothing in particular. What a driver
//! does with its locks is not in a scenario for that driver: it does it again. For the puppet, which does nothing by
//! itself, it is: see [`super::history`].

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::input::Text;
use super::pending::Pending;
use super::{Operation, Request, Source, TraceError};
use crate::event::{Event, Kind, Site};
use crate::record::jsonl::{Heading, VERSION};
use crate::record::limits;
use crate::scenario::ResetTier;
use crate::storport::srb::SrbFunction;
use crate::storport::{Irql, SrbStatus};

/// The only request size that is certain to be possible.
const SIZE_BYTES: u32 = 512;

/// A line after the first, as far as it matters here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    time_ns: u64,
    processor: u8,
    irql: Irql,
    #[serde(default)]
    depth: u8,
    #[serde(default, rename = "site")]
    _site: IgnoredAny,
    event: Kind,
}

/// The events of such a stream, without their sites.
#[derive(Debug)]
pub struct Lines<'a> {
    text: Text<'a>,
    time_ns: u64,
}

impl<'a> Lines<'a> {
    /// Over a text, of which the heading is read.
    ///
    /// # Errors
    ///
    /// It is no heading, or of another version.
    pub fn new(mut text: Text<'a>) -> Result<Self, TraceError> {
        let first = text.line()?.unwrap_or_default();
        let heading: Heading = parse(1, first).map_err(TraceError::fatal)?;
        let found = heading.lockstorm_events;
        if found != VERSION {
            let message = format!("format version {found}, expected {VERSION}");
            return Err(TraceError::at(1, 0, message).fatal());
        }
        Ok(Lines { text, time_ns: 0 })
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn read_event(&mut self) -> Result<Option<Event>, TraceError> {
        loop {
            let number = self.text.number() + 1;
            let Some(line) = self.text.line()? else { return Ok(None) };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let Line { time_ns, processor, irql, depth, event, .. } = parse(number, line)?;
            let event =
                Event { time: time_ns, site: Site::Port, kind: event, processor, irql, depth };
            limits::check(&event).map_err(|message| TraceError::at(number, 0, message))?;
            if time_ns < self.time_ns {
                let before = self.time_ns;
                let message = format!("time_ns {time_ns} is before {before}: time runs backwards");
                return Err(TraceError::at(number, 0, message));
            }
            self.time_ns = time_ns;
            return Ok(Some(event));
        }
    }
}

/// Reads the requests of such a stream.
#[derive(Debug)]
pub struct Reader<'a> {
    lines: Lines<'a>,
    pending: Pending<u16>,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Over a text, of which the heading is read.
    ///
    /// # Errors
    ///
    /// It is no heading, or of another version.
    pub fn new(text: Text<'a>) -> Result<Self, TraceError> {
        Ok(Reader { lines: Lines::new(text)?, pending: Pending::new(), ended: false })
    }

    fn take(&mut self, event: &Event) {
        let time = event.time;
        match event.kind {
            Kind::RequestCreated { request, function } => {
                let operation = operation(SrbFunction(function));
                let bytes = if operation == Operation::Read { SIZE_BYTES } else { 0 };
                let processor = Some(event.processor.into());
                self.pending
                    .issue(request, Request { processor, bytes, ..Request::new(time, operation) });
            }
            Kind::RequestCompleted { request, status, .. } => {
                if let Some(done) = self.pending.complete(request, time) {
                    done.completed_on = Some(event.processor.into());
                    done.failed = status != SrbStatus::SUCCESS;
                }
            }
            _ => {}
        }
    }
}

fn operation(function: SrbFunction) -> Operation {
    match function {
        SrbFunction::EXECUTE_SCSI => Operation::Read,
        SrbFunction::FLUSH => Operation::Flush,
        SrbFunction::RESET_LOGICAL_UNIT => Operation::Reset(ResetTier::LogicalUnit),
        SrbFunction::RESET_DEVICE => Operation::Reset(ResetTier::Target),
        SrbFunction::ABORT_COMMAND => Operation::Reset(ResetTier::Abort),
        _ => Operation::Other,
    }
}

fn parse<'de, T: Deserialize<'de>>(number: u64, line: &'de [u8]) -> Result<T, TraceError> {
    serde_json::from_slice(line).map_err(|error| {
        let message = error.to_string();
        // The place is told in front.
        let message = message.split(" at line ").next().unwrap_or_default();
        TraceError::at(number, error.column(), message)
    })
}

impl Source for Reader<'_> {
    fn next(&mut self) -> Result<Option<Request>, TraceError> {
        loop {
            if let Some(request) = self.pending.next() {
                return Ok(Some(request));
            }
            if self.ended {
                return Ok(self.pending.drain());
            }
            match self.lines.read_event()? {
                Some(event) => self.take(&event),
                None => self.ended = true,
            }
        }
    }
}
