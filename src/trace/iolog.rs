//! fio's I/O log, as `--write_iolog` makes it and `--read_iolog` replays it.
//!
//! ```text
//! fio version 2 iolog                     fio version 3 iolog
//! /dev/sdb add                            0 /dev/sdb add
//! /dev/sdb open                           12 /dev/sdb open
//! /dev/sdb write 4096 8192                40 /dev/sdb write 4096 8192
//! /dev/sdb wait 1000 0                    95 /dev/sdb sync 0 0
//! /dev/sdb close                          130 /dev/sdb close
//! ```
//!
//! | version | line | time |
//! | --- | --- | --- |
//! | 2 | `file add\|open\|close`, or `file action offset length` | `wait`: the offset is microseconds since the wait before; less than 100 is nothing |
//! | 3 (fio 3.31) | the same after a time stamp, without `wait` | microseconds since the job began |
//!
//! Actions are `read`, `write`, `trim`, `sync`, `datasync` and `wait`; offset and length are bytes. Version 1 has no
//! heading and is not read by fio any more either. Source: "Trace file format" in fio's HOWTO
//! (<https://fio.readthedocs.io/en/latest/fio_doc.html#trace-file-format-v2>) and `iolog.c`.
//!
//! The log knows neither processors nor completions. Each file counts as a unit.

use std::collections::BTreeMap;

use super::field::{Field, words};
use super::input::{Text, shown};
use super::{Operation, Request, Source, TraceError};

const MICROSECOND_NS: u64 = 1000;
/// fio drops shorter waits.
const WAIT_LEAST: u64 = 100;
/// Files told apart; those after them count as one.
const FILES_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Two,
    Three,
}

/// Reads such a log.
#[derive(Debug)]
pub struct Reader<'a> {
    text: Text<'a>,
    version: Version,
    files: BTreeMap<Vec<u8>, u32>,
    time_ns: u64,
}

impl<'a> Reader<'a> {
    /// Over a text.
    ///
    /// # Errors
    ///
    /// Its first line is not that of an I/O log of version 2 or 3.
    pub fn new(mut text: Text<'a>) -> Result<Self, TraceError> {
        let first = text.line()?.unwrap_or_default();
        let version = match first.trim_ascii() {
            b"fio version 2 iolog" => Version::Two,
            b"fio version 3 iolog" => Version::Three,
            other => {
                let found = shown(other);
                let message =
                    format!("expected 'fio version 2 iolog' or version 3, found '{found}'");
                return Err(TraceError::at(1, 1, message).fatal());
            }
        };
        Ok(Reader { text, version, files: BTreeMap::new(), time_ns: 0 })
    }

    fn unit(&mut self, file: &[u8]) -> u32 {
        if let Some(&unit) = self.files.get(file) {
            return unit;
        }
        let unit = self.files.len() as u32;
        if self.files.len() < FILES_MAX {
            self.files.insert(file.to_vec(), unit);
        }
        unit
    }
}

/// The words of a line, of which some may be missing.
struct Line<'a> {
    stamp: Option<u64>,
    file: &'a [u8],
    action: Action,
    offset: u64,
    length: u32,
    first: Field<'a>,
}

#[derive(Clone, Copy)]
enum Action {
    Do(Operation),
    Wait,
    File,
}

fn parse(number: u64, line: &[u8], version: Version) -> Result<Option<Line<'_>>, TraceError> {
    let mut words = words(number, line);
    let end = Field { text: &[], line: number, column: line.len() + 1, missing: true };
    let Some(first) = words.next() else { return Ok(None) };
    let (stamp, file) = match version {
        Version::Two => (None, first),
        Version::Three => {
            let micros = first.decimal("a time stamp in microseconds")?;
            let stamp = micros.checked_mul(MICROSECOND_NS);
            let stamp = stamp.ok_or_else(|| first.wrong("a time stamp in microseconds"))?;
            (Some(stamp), words.next().ok_or_else(|| end.wrong("a file name"))?)
        }
    };
    let word = words.next().unwrap_or(end);
    let action = match word.text {
        b"read" => Action::Do(Operation::Read),
        b"write" => Action::Do(Operation::Write),
        b"trim" => Action::Do(Operation::Trim),
        b"sync" | b"datasync" => Action::Do(Operation::Flush),
        b"wait" => Action::Wait,
        b"add" | b"open" | b"close" => Action::File,
        _ => return Err(word.wrong("an action: read, write, trim, sync, datasync, wait")),
    };
    let (mut offset, mut length) = (0, 0);
    if !matches!(action, Action::File) {
        offset = words.next().unwrap_or(end).decimal("an offset in bytes")?;
        let word = words.next().unwrap_or(end);
        length = word.narrow(word.decimal("a length in bytes")?, "a length in bytes")?;
    }
    if let Some(more) = words.next() {
        return Err(more.wrong("the end of the line"));
    }
    Ok(Some(Line { stamp, file: file.text, action, offset, length, first }))
}

impl Source for Reader<'_> {
    fn next(&mut self) -> Result<Option<Request>, TraceError> {
        loop {
            let number = self.text.number() + 1;
            let Some(line) = self.text.line()? else { return Ok(None) };
            let Some(line) = parse(number, line, self.version)? else { continue };
            if let Some(stamp) = line.stamp {
                if stamp < self.time_ns {
                    return Err(line.first.wrong("a later time: time runs backwards"));
                }
                self.time_ns = stamp;
            }
            match line.action {
                Action::File => {}
                Action::Wait => {
                    if line.offset >= WAIT_LEAST {
                        let wait = line.offset.saturating_mul(MICROSECOND_NS);
                        self.time_ns = self.time_ns.saturating_add(wait);
                    }
                }
                Action::Do(operation) => {
                    let (address, bytes) = (line.offset, line.length);
                    let file = line.file.to_vec();
                    let unit = self.unit(&file);
                    let request = Request::new(self.time_ns, operation);
                    return Ok(Some(Request { address, bytes, unit, ..request }));
                }
            }
        }
    }
}
