//! `xperf -a dumper`: events of the kernel's DiskIo provider as text.
//!
//! ```text
//! BeginHeader
//!                DiskRead,  TimeStamp,     Process Name ( PID),   ThreadID, CPU,   IrpPtr,   ByteOffset,     IOSize, ElapsedTime,  DiskNum, IrpFlags, DiskSvcTime, I/O Pri,  VolSnap, FileObject, FileName
//! EndHeader
//!                DiskRead,       1254,           System (   4),         88,   0, 0x86a31a48, 0x00b5c7a000, 0x00001000,         283,        0, 0x060043,         270, Normal, Original, 0x85d3, "C:\$Mft"
//! ```
//!
//! The header names the columns of every kind of event, and they differ between versions, so columns are found by name:
//!
//! | column | unit |
//! | --- | --- |
//! | TimeStamp | completion, microseconds since the trace began |
//! | ElapsedTime | from issue to completion, microseconds |
//! | CPU | processor of the completion; older versions have none |
//! | ByteOffset, IOSize | bytes, hexadecimal |
//! | DiskNum | |
//!
//! DiskRead, DiskWrite and DiskFlush are requests; DiskReadInit and the like say the same earlier, and are passed over. Source:
//! "Disk I/O" actions of the Windows Performance Toolkit
//! (<https://learn.microsoft.com/windows-hardware/test/wpt/>) and published dumps.

use super::field::Fields;
use super::input::{Text, shown};
use super::{Operation, Request, Source, TraceError};

const MICROSECOND_NS: u64 = 1000;
/// Lines of a header, at most: there are some hundred kinds of events.
const HEADER_LINES_MAX: u64 = 10_000;

/// Where the columns of one kind of event are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    operation: Operation,
    time: usize,
    elapsed: usize,
    disk: usize,
    cpu: Option<usize>,
    offset: Option<usize>,
    size: Option<usize>,
}

const KINDS: [(&[u8], Operation); 3] = [
    (b"DiskRead", Operation::Read),
    (b"DiskWrite", Operation::Write),
    (b"DiskFlush", Operation::Flush),
];

impl Columns {
    fn find(fields: &Fields, line: u64, operation: Operation) -> Result<Columns, TraceError> {
        let find = |name: &str| {
            (1..fields.count())
                .find(|&index| fields.get(index).text.eq_ignore_ascii_case(name.as_bytes()))
        };
        let need = |name: &str| {
            find(name).ok_or_else(|| {
                let kind = shown(fields.get(0).text).into_owned();
                TraceError::at(line, 0, format!("{kind} has no column '{name}'")).fatal()
            })
        };
        let moves = operation != Operation::Flush;
        Ok(Columns {
            operation,
            time: need("TimeStamp")?,
            elapsed: need("ElapsedTime")?,
            disk: need("DiskNum")?,
            cpu: find("CPU"),
            offset: if moves { Some(need("ByteOffset")?) } else { None },
            size: if moves { Some(need("IOSize")?) } else { None },
        })
    }

    fn read(&self, fields: &Fields) -> Result<Request, TraceError> {
        let stamp = fields.get(self.time);
        let micros = |index: usize, what: &str| {
            let field = fields.get(index);
            let number = field.decimal(what)?.checked_mul(MICROSECOND_NS);
            number.ok_or_else(|| field.wrong(&format!("{what} in microseconds")))
        };
        let completed = micros(self.time, "TimeStamp")?;
        let latency = micros(self.elapsed, "ElapsedTime")?;
        if latency > completed.saturating_add(DAY_NS) {
            return Err(stamp.wrong("a TimeStamp that is not before its ElapsedTime"));
        }
        // What was issued before the trace began has a negative time of issue: all are a day later.
        let mut request = Request::new(completed.saturating_add(DAY_NS) - latency, self.operation);
        request.latency_ns = Some(latency);
        let disk = fields.get(self.disk);
        request.unit = disk.narrow(disk.decimal("DiskNum")?, "DiskNum")?;
        if let Some(index) = self.cpu {
            let cpu = fields.get(index);
            let number = u16::try_from(cpu.decimal("CPU")?);
            request.completed_on = Some(number.map_err(|_| cpu.wrong("CPU, at most 65535"))?);
        }
        if let (Some(offset), Some(size)) = (self.offset, self.size) {
            request.address = fields.get(offset).number("ByteOffset")?;
            let size = fields.get(size);
            request.bytes = size.narrow(size.number("IOSize")?, "IOSize")?;
        }
        Ok(request)
    }
}

const DAY_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// Reads such text.
#[derive(Debug)]
pub struct Reader<'a> {
    text: Text<'a>,
    fields: Fields,
    kinds: [Option<Columns>; KINDS.len()],
    completed_ns: u64,
}

impl<'a> Reader<'a> {
    /// Over a text, of which the header is read.
    ///
    /// # Errors
    ///
    /// It has no header, or the header lacks a column.
    pub fn new(text: Text<'a>) -> Result<Self, TraceError> {
        let mut reader =
            Reader { text, fields: Fields::new(), kinds: [None; KINDS.len()], completed_ns: 0 };
        reader.header()?;
        Ok(reader)
    }

    fn header(&mut self) -> Result<(), TraceError> {
        let first = self.text.line()?.unwrap_or_default();
        if first.trim_ascii() != b"BeginHeader" {
            let message = format!("expected 'BeginHeader', found '{}'", shown(first));
            return Err(TraceError::at(1, 1, message).fatal());
        }
        loop {
            let number = self.text.number() + 1;
            let line = if number > HEADER_LINES_MAX { None } else { self.text.line()? };
            let Some(line) = line else {
                return Err(TraceError::at(number, 0, "the header has no 'EndHeader'").fatal());
            };
            if line.trim_ascii() == b"EndHeader" {
                break;
            }
            self.fields.split(number, line).map_err(TraceError::fatal)?;
            let name = self.fields.get(0).text;
            if let Some(kind) = KINDS.iter().position(|(kind, _)| *kind == name) {
                self.kinds[kind] = Some(Columns::find(&self.fields, number, KINDS[kind].1)?);
            }
        }
        if self.kinds.iter().all(Option::is_none) {
            let message = "the header has no DiskRead, DiskWrite or DiskFlush; \
                           record with the kernel flag DISK_IO";
            return Err(TraceError::at(self.text.number(), 0, message).fatal());
        }
        Ok(())
    }
}

impl Source for Reader<'_> {
    fn next(&mut self) -> Result<Option<Request>, TraceError> {
        loop {
            let number = self.text.number() + 1;
            let Some(line) = self.text.line()? else { return Ok(None) };
            let name = line.split(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
            let Some(kind) = KINDS.iter().position(|(kind, _)| *kind == name) else { continue };
            let Some(columns) = self.kinds[kind] else {
                let message = format!("the header has no columns of {}", shown(name));
                return Err(TraceError::at(number, 1, message));
            };
            self.fields.split(number, line)?;
            let request = columns.read(&self.fields)?;
            let completed = request.completed_ns().unwrap_or_default();
            if completed < self.completed_ns {
                let stamp = self.fields.get(columns.time);
                return Err(stamp.wrong("a later TimeStamp: time runs backwards"));
            }
            self.completed_ns = completed;
            return Ok(Some(request));
        }
    }
}
