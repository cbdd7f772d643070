//! MSR Cambridge block traces: CSV, one request a line, without a heading.
//!
//! ```text
//! 128166372003061629,hm,0,Read,9556066304,4096,1331
//! ```
//!
//! | column | name | unit |
//! | --- | --- | --- |
//! | 1 | Timestamp | issue, Windows FILETIME: 100 ns since 1601 |
//! | 2 | Hostname | |
//! | 3 | DiskNumber | |
//! | 4 | Type | `Read` or `Write` |
//! | 5 | Offset | bytes |
//! | 6 | Size | bytes |
//! | 7 | ResponseTime | 100 ns |
//!
//! Source: the traces' README at <http://iotta.snia.org/traces/block-io/388>. They were taken with ETW on Windows
//! servers, which logs a request when it is done: lines may stand in order of issue or of completion. A heading,
//! as some copies have one, is passed over.
//!
//! Time runs backwards if a request was completed before one of an earlier line was issued.

use super::field::Fields;
use super::input::Text;
use super::{Operation, Request, Source, TraceError};

const COLUMNS: usize = 7;
const TICK_NS: u64 = 100;

/// Whether a first line is one of such a trace.
pub(super) fn looks_like(line: &str) -> bool {
    let fields: Vec<_> = line.split(',').collect();
    let first = fields[0].trim();
    let is_time = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    fields.len() == COLUMNS && (is_time || first.eq_ignore_ascii_case("Timestamp"))
}

/// Reads such a trace.
#[derive(Debug)]
pub struct Reader<'a> {
    text: Text<'a>,
    fields: Fields,
    order: Order,
    /// The first line's time: those that follow are told since then.
    begin: Option<u64>,
}

impl<'a> Reader<'a> {
    /// Over a text.
    #[must_use]
    pub fn new(text: Text<'a>) -> Self {
        Reader { text, fields: Fields::new(), order: Order::default(), begin: None }
    }

    #[inline]
    fn request(&mut self) -> Result<Request, TraceError> {
        let fields = &self.fields;
        if fields.count() != COLUMNS {
            let what = format!("{COLUMNS} columns, found {}", fields.count());
            let place = fields.get(fields.count().min(COLUMNS));
            return Err(TraceError::at(place.line, place.column, format!("expected {what}")));
        }
        let field = fields.get(0);
        let ticks = field.decimal("Timestamp")?;
        let begin = self.begin.unwrap_or(ticks);
        let backwards = || field.wrong("a Timestamp that is not before the one of the first line");
        // The second line of a trace in order of completion may have been issued before the first: a day's
        // room makes that representable.
        let since = (ticks.saturating_add(DAY_TICKS)).checked_sub(begin).ok_or_else(backwards)?;
        let time_ns = since
            .checked_mul(TICK_NS)
            .ok_or_else(|| field.wrong("Timestamp, in 100 ns since 1601"))?;
        let unit = fields.get(2);
        let unit = unit.narrow(unit.decimal("DiskNumber")?, "DiskNumber")?;
        let kind = fields.get(3);
        let operation = match kind.text {
            b"Read" => Operation::Read,
            b"Write" => Operation::Write,
            text if text.eq_ignore_ascii_case(b"read") => Operation::Read,
            text if text.eq_ignore_ascii_case(b"write") => Operation::Write,
            _ => return Err(kind.wrong("Type, Read or Write")),
        };
        let address = fields.get(4).decimal("Offset")?;
        let bytes = fields.get(5);
        let bytes = bytes.narrow(bytes.decimal("Size")?, "Size")?;
        let latency = fields.get(6);
        let latency_ns = latency
            .decimal("ResponseTime")?
            .checked_mul(TICK_NS)
            .ok_or_else(|| latency.wrong("ResponseTime, in 100 ns"))?;
        let request = Request {
            latency_ns: Some(latency_ns),
            address,
            bytes,
            unit,
            ..Request::new(time_ns, operation)
        };
        if self.order.admits(&request) {
            self.begin = Some(begin);
            Ok(request)
        } else {
            Err(field.wrong("a Timestamp not so far before the lines above: time runs backwards"))
        }
    }
}

const DAY_TICKS: u64 = 24 * 60 * 60 * 10_000_000;

impl Source for Reader<'_> {
    fn next(&mut self) -> Result<Option<Request>, TraceError> {
        loop {
            let number = self.text.number() + 1;
            let Some(line) = self.text.line()? else { return Ok(None) };
            if line.trim_ascii().is_empty() {
                continue;
            }
            if number == 1 && line.to_ascii_lowercase().starts_with(b"timestamp,") {
                continue;
            }
            self.fields.split(number, line)?;
            return self.request().map(Some);
        }
    }
}

/// Whether requests come in an order of time: of issue, of completion, or both mixed.
#[derive(Debug, Default)]
struct Order {
    issued_ns: u64,
}

impl Order {
    /// In either order a request is completed after all before it were issued.
    fn admits(&mut self, request: &Request) -> bool {
        let admits = request.completed_ns().is_none_or(|completed| completed >= self.issued_ns);
        if admits {
            self.issued_ns = self.issued_ns.max(request.time_ns);
        }
        admits
    }
}
