//! `tracerpt -of CSV`.
//!
//! ```text
//!                 Event Name,       Type,   Event ID, Version, Channel, Level, Opcode, Task,            Keyword,        PID,        TID, Processor Number, Instance ID, Parent Instance ID,                            Activity ID,                    Related Activity ID,         Clock-Time, Kernel(ms), User(ms), User Data
//! Microsoft-Windows-StorPort,       Info,        202,       2,       0,     4,      0,    0, 0x8000000000300000, 0x00000004, 0x00000058,                1,            ,                   , {00000000-0000-0000-0000-000000000000},                                       , 130934712000012345,          0,        0, 0xFFFFE00001234560, 0x28, 8, 4096, 0x0, 0
//! ```
//!
//! | column | use |
//! | --- | --- |
//! | Event Name | provider, or class of a kernel event (`DiskIo`) |
//! | Type | of a kernel event: `Read`, `WriteInit`, ... |
//! | Event ID, Opcode | which event |
//! | Processor Number | |
//! | Clock-Time | 100 ns since 1601 |
//! | User Data | the event's data begin here, one column each, in the order of the manifest |
//!
//! Columns are found by their names in the heading. Events of other providers are passed over.

use super::super::etw::{Data, Events, Head, Provider};
use super::super::field::{Field, Fields};
use super::super::input::{Text, shown};
use super::super::{Request, Source, TraceError};

/// Where the columns that matter are.
#[derive(Clone, Copy, Debug)]
struct Columns {
    name: usize,
    kind: usize,
    id: usize,
    processor: usize,
    time: usize,
    data: usize,
}

impl Columns {
    fn find(fields: &Fields) -> Result<Columns, TraceError> {
        let find = |name: &str| {
            let index = (0..fields.count())
                .find(|&index| fields.get(index).text.eq_ignore_ascii_case(name.as_bytes()));
            index.ok_or_else(|| {
                let found = shown(fields.get(0).text).into_owned();
                let message = format!("no column '{name}' in the heading, which begins '{found}'");
                TraceError::at(1, 1, message).fatal()
            })
        };
        Ok(Columns {
            name: find("Event Name")?,
            kind: find("Type")?,
            id: find("Event ID")?,
            processor: find("Processor Number")?,
            time: find("Clock-Time")?,
            data: find("User Data")?,
        })
    }
}

/// The kernel's names of what opcodes of DiskIo mean.
const DISK_IO: [(&[u8], u16); 6] = [
    (b"Read", 10),
    (b"Write", 11),
    (b"ReadInit", 12),
    (b"WriteInit", 13),
    (b"FlushBuffers", 14),
    (b"FlushInit", 15),
];

/// Reads such a file.
#[derive(Debug)]
pub struct Reader<'a> {
    text: Text<'a>,
    fields: Fields,
    columns: Columns,
    events: Events,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Over a text, of which the heading is read.
    ///
    /// # Errors
    ///
    /// The heading lacks a column.
    pub fn new(mut text: Text<'a>) -> Result<Self, TraceError> {
        let mut fields = Fields::new();
        let first = text.line()?.unwrap_or_default();
        fields.split(1, first).map_err(TraceError::fatal)?;
        let columns = Columns::find(&fields)?;
        Ok(Reader { text, fields, columns, events: Events::new(), ended: false })
    }

    fn event(&mut self) -> Result<(), TraceError> {
        let (fields, columns) = (&self.fields, self.columns);
        let name = fields.get(columns.name);
        let Some(provider) = Provider::find(name.text) else { return Ok(()) };
        let id = match provider {
            Provider::StorPort => {
                let id = fields.get(columns.id);
                u16::try_from(id.number("Event ID")?)
                    .map_err(|_| id.wrong("Event ID, at most 65535"))?
            }
            Provider::DiskIo => {
                let kind = fields.get(columns.kind);
                match DISK_IO.iter().find(|(name, _)| kind.text == *name) {
                    Some(&(_, id)) => id,
                    None => return Ok(()),
                }
            }
        };
        let cpu = fields.get(columns.processor);
        let processor = u16::try_from(cpu.number("Processor Number")?)
            .map_err(|_| cpu.wrong("Processor Number, at most 65535"))?;
        let stamp = fields.get(columns.time);
        let head = Head { provider, id, ticks: stamp.decimal("Clock-Time")?, processor };
        self.events.take(head, stamp, &Columned { fields, first: columns.data })
    }
}

/// Data in columns.
struct Columned<'a> {
    fields: &'a Fields,
    first: usize,
}

impl Data for Columned<'_> {
    fn field(&self, place: usize, name: &'static str) -> Result<Field<'_>, TraceError> {
        let field = self.fields.get(self.first + place);
        if field.missing { Err(field.wrong(name)) } else { Ok(field) }
    }
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
            let number = self.text.number() + 1;
            let Some(line) = self.text.line()? else {
                self.ended = true;
                continue;
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            self.fields.split(number, line)?;
            self.event()?;
        }
    }
}
