//! Traces of real machines, and the scenarios that they become.
//!
//! ```text
//! file -> input (gzip, zstd, UTF-16) -> a reader for its format -> Request
//!      -> windows -> scenarios -> replayed: what adds coverage is a seed
//! ```
//!
//! A reader turns whatever a tool wrote into [`Request`]s, one at a time, in constant memory; what it does not
//! know it leaves `None`. [`window`] cuts the stream by activity and keeps windows that differ,
//! [`compose`] writes one as a [`Scenario`](crate::scenario::Scenario), and [`choose`] replays them and keeps those that reach
//! what none before did. [`stats`] and the page tell what there was and what became of it.
//!
//! | format | what | module |
//! | --- | --- | --- |
//! | `msr` | MSR Cambridge block traces, CSV | [`msr`] |
//! | `fio` | fio's I/O log, version 2 and 3 | [`iolog`] |
//! | `blkparse` | blkparse's default output | [`blkparse`] |
//! | `tracerpt-csv`, `tracerpt-xml` | ETW events as tracerpt writes them | [`tracerpt`] |
//! | `xperf` | `xperf -a dumper` | [`xperf`] |
//! | `events` | `lockstorm run --events` | [`events`] |
//!
//! A raw `.etl` is not read: its layout is not documented, and without a real one at hand a reader of it could not be
//! shown to be right. `tracerpt` makes XML of it.

pub mod blkparse;
pub mod choose;
pub mod compose;
pub mod events;
pub mod history;
pub mod input;
pub mod iolog;
pub mod msr;
#[cfg(feature = "cli")]
pub mod page;
pub mod shape;
pub mod stats;
pub mod tracerpt;
pub mod window;
pub mod xperf;

mod etw;
mod field;
mod fuzz;
mod noise;
mod pending;
mod seeds;
#[cfg(feature = "cli")]
mod told;

pub use fuzz::fuzz;
pub use seeds::{Options, Seeded, seeds};
#[cfg(feature = "cli")]
pub use told::tell;

use std::fmt;
use std::io::Read;

use crate::scenario::ResetTier;
use input::Text;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A read.
    Read,
    /// A write.
    Write,
    /// A flush of caches.
    Flush,
    /// A trim, discard or unmap.
    Trim,
    /// A reset by StorPort.
    Reset(ResetTier),
    /// Anything else: I/O controls, pass-through, queries.
    Other,
}

impl Operation {
    /// The kinds that statistics tell apart, by name.
    pub const NAMES: [&'static str; 6] = ["read", "write", "flush", "trim", "reset", "other"];

    /// Its place in [`NAMES`](Self::NAMES).
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Operation::Read => 0,
            Operation::Write => 1,
            Operation::Flush => 2,
            Operation::Trim => 3,
            Operation::Reset(_) => 4,
            Operation::Other => 5,
        }
    }
}

/// One request of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was issued, in nanoseconds since any one moment.
    pub time_ns: u64,
    /// From issue to completion, if the trace tells.
    pub latency_ns: Option<u64>,
    /// The processor that issued it.
    pub processor: Option<u16>,
    /// The processor on which its completion was seen.
    pub completed_on: Option<u16>,
    /// What it asks for.
    pub operation: Operation,
    /// First byte on the unit; 0 where there is none.
    pub address: u64,
    /// Bytes; 0 where there are none.
    pub bytes: u32,
    /// Which logical unit, disk or file: a number that means nothing but itself.
    pub unit: u32,
    /// It failed.
    pub failed: bool,
}

impl Request {
    /// A request of which only this much is known.
    #[must_use]
    pub const fn new(time_ns: u64, operation: Operation) -> Request {
        Request {
            time_ns,
            latency_ns: None,
            processor: None,
            completed_on: None,
            operation,
            address: 0,
            bytes: 0,
            unit: 0,
            failed: false,
        }
    }

    /// When it was completed, if the trace tells.
    #[must_use]
    pub const fn completed_ns(&self) -> Option<u64> {
        match self.latency_ns {
            Some(latency) => Some(self.time_ns.saturating_add(latency)),
            None => None,
        }
    }

    /// The byte after its last.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes as u64)
    }
}

/// Why a trace cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// The line, from 1; 0 if it is the file as a whole.
    pub line: u64,
    /// The column in bytes, from 1; 0 if it is the line as a whole.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// The reader cannot go on: what follows has no meaning without what is missing.
    pub fatal: bool,
}

impl TraceError {
    /// Something wrong in a line, after which the next line can be read.
    pub fn at(line: u64, column: usize, message: impl Into<String>) -> TraceError {
        TraceError { line, column: column as u64, message: message.into(), fatal: false }
    }

    /// The same, but nothing can be read after it.
    #[must_use]
    pub fn fatal(self) -> TraceError {
        TraceError { fatal: true, ..self }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceError { line, column, message, .. } = self;
        match (line, column) {
            (0, _) => f.write_str(message),
            (_, 0) => write!(f, "line {line}: {message}"),
            _ => write!(f, "line {line}, column {column}: {message}"),
        }
    }
}

impl std::error::Error for TraceError {}

/// A reader of one format. After an error that is not [fatal](TraceError::fatal) it goes on with the next line.
pub trait Source {
    /// The next request, in order of issue or of completion; `None` at the end.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    fn next(&mut self) -> Result<Option<Request>, TraceError>;
}

/// A format of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MSR Cambridge block traces.
    Msr,
    /// fio's I/O log.
    Fio,
    /// blkparse's default output.
    Blkparse,
    /// `tracerpt -of CSV`.
    TracerptCsv,
    /// `tracerpt -of XML`, its default.
    TracerptXml,
    /// `xperf -a dumper`.
    Xperf,
    /// `lockstorm run --events`.
    Events,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 7] = [
        Format::Msr,
        Format::Fio,
        Format::Blkparse,
        Format::TracerptCsv,
        Format::TracerptXml,
        Format::Xperf,
        Format::Events,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Format::Msr => "msr",
            Format::Fio => "fio",
            Format::Blkparse => "blkparse",
            Format::TracerptCsv => "tracerpt-csv",
            Format::TracerptXml => "tracerpt-xml",
            Format::Xperf => "xperf",
            Format::Events => "events",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Format::Msr => "MSR Cambridge block trace (CSV)",
            Format::Fio => "fio I/O log, version 2 or 3",
            Format::Blkparse => "blkparse, default output",
            Format::TracerptCsv => "ETW events by tracerpt -of CSV",
            Format::TracerptXml => "ETW events by tracerpt -of XML",
            Format::Xperf => "ETW events by xperf -a dumper",
            Format::Events => "events by lockstorm run --events",
        }
    }

    /// The format that a trace most likely has, by its first bytes as text.
    #[must_use]
    pub fn guess(start: &str) -> Option<Format> {
        let start = start.trim_start();
        let line = start.lines().next().unwrap_or_default();
        let begins = |word: &str| line.starts_with(word);
        if begins("fio version") {
            Some(Format::Fio)
        } else if begins("<?xml") || begins("<Events") {
            Some(Format::TracerptXml)
        } else if begins("BeginHeader") {
            Some(Format::Xperf)
        } else if begins("Event Name") {
            Some(Format::TracerptCsv)
        } else if begins("{\"lockstorm_events\"") {
            Some(Format::Events)
        } else if msr::looks_like(line) {
            Some(Format::Msr)
        } else if blkparse::looks_like(line) {
            Some(Format::Blkparse)
        } else {
            None
        }
    }
}

/// A reader of `format` over any bytes: compressed or not, UTF-8 or UTF-16.
///
/// # Errors
///
/// The first line says that it is something else, or the bytes cannot be unpacked.
pub fn open<'a>(
    format: Format,
    bytes: Box<dyn Read + Send + 'a>,
) -> Result<Box<dyn Source + 'a>, TraceError> {
    of_text(format, Text::new(bytes)?)
}

/// A reader of whatever format the text seems to have.
///
/// # Errors
///
/// It seems to have none, or as [`open`].
pub fn open_any<'a>(
    bytes: Box<dyn Read + Send + 'a>,
) -> Result<(Format, Box<dyn Source + 'a>), TraceError> {
    let mut text = Text::new(bytes)?;
    let start = String::from_utf8_lossy(text.start()?).into_owned();
    let format = Format::guess(&start).ok_or_else(|| {
        TraceError::at(1, 1, "no known format; say with --from which it is").fatal()
    })?;
    Ok((format, of_text(format, text)?))
}

/// The lock calls of `lockstorm run --events`, or of a record of that form; see [`history`].
///
/// # Errors
///
/// It begins with no heading, or the bytes cannot be unpacked.
pub fn open_events<'a>(bytes: Box<dyn Read + Send + 'a>) -> Result<events::Lines<'a>, TraceError> {
    events::Lines::new(Text::new(bytes)?)
}

fn of_text<'a>(format: Format, text: Text<'a>) -> Result<Box<dyn Source + 'a>, TraceError> {
    Ok(match format {
        Format::Msr => Box::new(msr::Reader::new(text)),
        Format::Fio => Box::new(iolog::Reader::new(text)?),
        Format::Blkparse => Box::new(blkparse::Reader::new(text)),
        Format::TracerptCsv => Box::new(tracerpt::csv::Reader::new(text)?),
        Format::TracerptXml => Box::new(tracerpt::xml::Reader::new(text)),
        Format::Xperf => Box::new(xperf::Reader::new(text)?),
        Format::Events => Box::new(events::Reader::new(text)?),
    })
}
