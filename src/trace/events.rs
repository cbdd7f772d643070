//! lockstorm's own event stream, as `lockstorm run --events` writes it; its form is in [`crate::record::jsonl`].
//!
//! A request is its RequestCreated and its RequestCompleted. The stream tells a request's function but not what its
//! command does, nor where: SRB_FUNCTION_EXECUTE_SCSI counts as a read of nothing in particular. What a driver
//! does with its locks is not in a scenario for that driver: it does it again.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::input::Text;
use super::pending::Pending;
use super::{Operation, Request, Source, TraceError};
use crate::event::Kind;
use crate::record::jsonl::{Heading, VERSION};
use crate::scenario::ResetTier;
use crate::storport::SrbStatus;
use crate::storport::srb::SrbFunction;

/// The only request size that is certain to be possible.
const SIZE_BYTES: u32 = 512;

/// A line after the first, as far as it matters here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    time_ns: u64,
    processor: u8,
    #[serde(rename = "irql")]
    _irql: IgnoredAny,
    #[serde(default, rename = "depth")]
    _depth: IgnoredAny,
    #[serde(default, rename = "site")]
    _site: IgnoredAny,
    event: Kind,
}

/// Reads such a stream.
#[derive(Debug)]
pub struct Reader<'a> {
    text: Text<'a>,
    pending: Pending<u16>,
    time_ns: u64,
    ended: bool,
}

impl<'a> Reader<'a> {
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
        Ok(Reader { text, pending: Pending::new(), time_ns: 0, ended: false })
    }

    fn take(&mut self, line: &Line) {
        let time = line.time_ns;
        match line.event {
            Kind::RequestCreated { request, function } => {
                let operation = operation(SrbFunction(function));
                let bytes = if operation == Operation::Read { SIZE_BYTES } else { 0 };
                let processor = Some(line.processor.into());
                self.pending
                    .issue(request, Request { processor, bytes, ..Request::new(time, operation) });
            }
            Kind::RequestCompleted { request, status, .. } => {
                if let Some(done) = self.pending.complete(request, time) {
                    done.completed_on = Some(line.processor.into());
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
            let number = self.text.number() + 1;
            let Some(line) = self.text.line()? else {
                self.ended = true;
                continue;
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let line: Line = parse(number, line)?;
            if line.time_ns < self.time_ns {
                let message = format!(
                    "time_ns {} is before {}: time runs backwards",
                    line.time_ns, self.time_ns
                );
                return Err(TraceError::at(number, 0, message));
            }
            self.time_ns = line.time_ns;
            self.take(&line);
        }
    }
}
