//! `tracerpt -of XML`, which is its default.
//!
//! ```text
//! <Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event">
//!   <System>
//!     <Provider Name="Microsoft-Windows-StorPort" Guid="{c4636a1e-7986-4646-bf10-7bc3b4a76e8e}" />
//!     <EventID>202</EventID> <Opcode>0</Opcode> ...
//!     <TimeCreated SystemTime="2015-12-01T12:00:00.001234500-08:00" />
//!     <Execution ProcessID="4" ThreadID="88" ProcessorID="1" KernelTime="0" UserTime="0" />
//!   </System>
//!   <EventData> <Data Name="Irp">0xFFFFE00001234560</Data> ... </EventData>
//! </Event>
//! ```
//!
//! | element | use |
//! | --- | --- |
//! | Provider, EventID, Opcode | which event; kernel events have the opcode only |
//! | TimeCreated | ISO 8601 with up to nine decimals; its zone is the same for the whole file and not looked at |
//! | Execution | ProcessorID |
//! | Data | the event's data by name |
//!
//! Source: <https://learn.microsoft.com/windows/win32/wes/eventschema-elements>. Events of other providers are passed
//! over. A part of the file that is not XML ends the reading: nothing tells where the next event begins.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::events::{BytesStart, Event};

use super::super::etw::{Data, Events, Head, Provider};
use super::super::field::{Field, decimal};
use super::super::input::{LINE_BYTES_MAX, Text};
use super::super::{Request, Source, TraceError};

/// Data of one event that are kept; the events that matter have fewer.
const DATA_MAX: usize = 64;

/// Elements inside each other; the real ones are five deep.
const DEPTH_MAX: u32 = 64;

/// Reads such a file.
pub struct Reader<'a> {
    xml: quick_xml::Reader<Counted<BufReader<Box<dyn Read + Send + 'a>>>>,
    buffer: Vec<u8>,
    record: Record,
    /// Which element's text comes next.
    inside: Inside,
    depth: u32,
    events: Events,
    ended: bool,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("record", &self.record).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    EventId,
    Opcode,
    Data,
}

/// Text, and the line and column of where it stands.
#[derive(Clone, Debug, Default)]
struct Value {
    text: Vec<u8>,
    line: u64,
    column: usize,
}

impl Value {
    fn field(&self) -> Field<'_> {
        Field {
            text: self.text.trim_ascii(),
            line: self.line,
            column: self.column,
            missing: self.text.is_empty(),
        }
    }
}

/// One event, as far as it has been read.
#[derive(Debug, Default)]
struct Record {
    provider: Option<Provider>,
    id: Value,
    opcode: Value,
    time: Value,
    processor: Value,
    data: Vec<(Vec<u8>, Value)>,
    line: u64,
}

impl<'a> Reader<'a> {
    /// Over a text.
    #[must_use]
    pub fn new(text: Text<'a>) -> Self {
        let mut xml = quick_xml::Reader::from_reader(Counted::new(text.into_bytes()));
        xml.config_mut().expand_empty_elements = true;
        Reader {
            xml,
            buffer: Vec::new(),
            record: Record::default(),
            inside: Inside::default(),
            depth: 0,
            events: Events::new(),
            ended: false,
        }
    }

    /// Reads the next piece of XML; `false` at the end of the file.
    fn step(&mut self) -> Result<bool, TraceError> {
        self.buffer.clear();
        self.xml.get_mut().renew();
        let place = self.xml.get_ref().place;
        let event = match self.xml.read_event_into(&mut self.buffer) {
            Ok(event) => event,
            Err(error) => {
                let place = self.xml.get_ref().place;
                let message = format!("not XML: {error}");
                return Err(TraceError::at(place.0, place.1, message).fatal());
            }
        };
        match event {
            Event::Start(start) => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    let message = format!("elements more than {DEPTH_MAX} deep");
                    return Err(TraceError::at(place.0, place.1, message).fatal());
                }
                match start.local_name().as_ref() {
                    "Event" => self.record = Record { line: place.0, ..Record::default() },
                    "EventID" => self.inside = Inside::EventId,
                    "Opcode" if self.record.opcode.line == 0 => self.inside = Inside::Opcode,
                    "Provider" => self.record.provider(&start),
                    "TimeCreated" => {
                        self.record.time = attribute(&start, "SystemTime", place);
                    }
                    "Execution" => {
                        self.record.processor = attribute(&start, "ProcessorID", place);
                    }
                    "Data" if self.record.data.len() < DATA_MAX => {
                        self.inside = Inside::Data;
                        let name = attribute(&start, "Name", place).text;
                        self.record.data.push((name, Value::default()));
                    }
                    _ => {}
                }
            }
            Event::Text(text) => {
                let value =
                    Value { text: text.as_bytes().to_vec(), line: place.0, column: place.1 };
                self.record.fill(self.inside, value);
            }
            Event::End(end) => {
                self.depth = self.depth.saturating_sub(1);
                self.inside = Inside::Nothing;
                if end.local_name().as_ref() == "Event" {
                    let record = std::mem::take(&mut self.record);
                    record.tell(&mut self.events)?;
                }
            }
            Event::Eof if self.depth > 0 => {
                let message = "the file ends inside an element".to_owned();
                return Err(TraceError::at(place.0, place.1, message).fatal());
            }
            Event::Eof => return Ok(false),
            _ => {}
        }
        Ok(true)
    }
}

fn attribute(start: &BytesStart<'_>, name: &str, (line, column): (u64, usize)) -> Value {
    let found = start.attributes().flatten().find(|attribute| attribute.key.as_ref() == name);
    let text = found.map(|attribute| attribute.value.into_owned().into_bytes());
    Value { text: text.unwrap_or_default(), line, column }
}

impl Record {
    fn provider(&mut self, start: &BytesStart<'_>) {
        let mut attributes = start.attributes().flatten();
        self.provider = attributes.find_map(|attribute| match attribute.key.as_ref() {
            "Guid" | "Name" => Provider::find(attribute.value.as_bytes()),
            _ => None,
        });
    }

    fn fill(&mut self, inside: Inside, value: Value) {
        match inside {
            Inside::Nothing => {}
            Inside::EventId => self.id = value,
            Inside::Opcode => self.opcode = value,
            Inside::Data => {
                if let Some((_, last)) = self.data.last_mut() {
                    *last = value;
                }
            }
        }
    }

    fn tell(&self, events: &mut Events) -> Result<(), TraceError> {
        let Some(provider) = self.provider else { return Ok(()) };
        let (id, what) = match provider {
            Provider::StorPort => (self.id.field(), "EventID"),
            Provider::DiskIo => (self.opcode.field(), "Opcode"),
        };
        let id = u16::try_from(self.at(id).decimal(what)?)
            .map_err(|_| id.wrong(&format!("{what}, at most 65535")))?;
        let stamp = self.at(self.time.field());
        let ticks = time(stamp.text)
            .ok_or_else(|| stamp.wrong("SystemTime, as 2015-12-01T12:00:00.0012345Z"))?;
        let cpu = self.at(self.processor.field());
        let processor = u16::try_from(cpu.decimal("ProcessorID")?)
            .map_err(|_| cpu.wrong("ProcessorID, at most 65535"))?;
        events.take(Head { provider, id, ticks, processor }, stamp, self)
    }

    /// What is missing is missing in the event.
    fn at<'f>(&self, field: Field<'f>) -> Field<'f> {
        if field.line == 0 { Field { line: self.line, column: 1, ..field } } else { field }
    }
}

impl Data for Record {
    fn field(&self, _: usize, name: &'static str) -> Result<Field<'_>, TraceError> {
        let found = self.data.iter().find(|(other, _)| other == name.as_bytes());
        match found {
            Some((_, value)) => Ok(self.at(value.field())),
            None => Err(TraceError::at(self.line, 0, format!("the event has no data '{name}'"))),
        }
    }
}

/// 100 ns since the year 1, of an ISO 8601 date and time. The zone is not looked at.
fn time(text: &[u8]) -> Option<u64> {
    let digits = |from: usize, to: usize| decimal(text.get(from..to)?);
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && year > 0;
    if !fits || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    if separators.iter().any(|&(at, byte)| text[at] != byte) {
        return None;
    }
    let mut ticks = 0;
    if let Some((b'.', fraction)) = text[19..].split_first() {
        let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count().min(9);
        let nanoseconds = decimal(&fraction[..count])? * 10u64.pow(9 - count as u32);
        ticks = nanoseconds / 100;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 10_000_000 + ticks)
}

/// Days since the year 0, in the Gregorian calendar with years that begin in March
/// (<https://howardhinnant.github.io/date_algorithms.html>).
const fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + in_year
}

impl Source for Reader<'_> {
    fn next(&mut self) -> Result<Option<Request>, TraceError> {
        loop {
            if let Some(request) = self.events.next() {
                return Ok(Some(request));
            }
            if self.ended {
                return Ok(self.events.drain());
            }
            self.ended = !self.step()?;
        }
    }
}

/// Counts lines and columns, and bounds what one piece of XML may take.
#[derive(Debug)]
struct Counted<R> {
    bytes: R,
    /// Line and column, from 1.
    place: (u64, usize),
    /// Bytes that the piece under way may still take.
    left: usize,
}

impl<R> Counted<R> {
    fn new(bytes: R) -> Self {
        Counted { bytes, place: (1, 1), left: LINE_BYTES_MAX }
    }

    /// The next piece begins.
    fn renew(&mut self) {
        self.left = LINE_BYTES_MAX;
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(format!(
                "an element of more than {LINE_BYTES_MAX} bytes"
            )));
        }
        let buffer = self.bytes.fill_buf()?;
        Ok(&buffer[..buffer.len().min(self.left)])
    }

    fn consume(&mut self, count: usize) {
        let taken = self.bytes.fill_buf().unwrap_or_default();
        let taken = &taken[..count.min(taken.len())];
        for part in taken.split_inclusive(|&byte| byte == b'\n') {
            if part.ends_with(b"\n") {
                self.place = (self.place.0 + 1, 1);
            } else {
                self.place.1 += part.len();
            }
        }
        self.left = self.left.saturating_sub(count);
        self.bytes.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_ticks() {
        let second = 10_000_000;
        let ticks = |text: &str| time(text.as_bytes()).unwrap();
        let a = ticks("2015-12-31T23:59:59.999999900-08:00");
        assert_eq!(ticks("2016-01-01T00:00:00.000000000-08:00") - a, 1);
        assert_eq!(
            ticks("2016-03-01T00:00:00Z") - ticks("2016-02-28T00:00:00Z"),
            2 * 86_400 * second
        );
        assert_eq!(ticks("2016-03-01T00:00:00.5Z") - ticks("2016-03-01T00:00:00Z"), second / 2);
        for wrong in
            ["", "2016", "2016-13-01T00:00:00Z", "2016-01-01 00:00:00Z", "x016-01-01T00:00:00Z"]
        {
            assert_eq!(time(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
