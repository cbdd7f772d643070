//! What ETW events say of requests, whatever tool exported them.
//!
//! Provider Microsoft-Windows-StorPort, `{C4636A1E-7986-4646-BF10-7BC3B4A76E8E}`; fields in the order of its manifest:
//!
//! | event | says | fields |
//! | --- | --- | --- |
//! | 1, 2 | reset of a unit, of a target | PortNumber, PathID, TargetID, LUN |
//! | 4 | StorPortNotification(ResetDetected) | |
//! | 200, 201 | a request's performance, at its completion | RequestDuration_100ns, Irp, Command, SrbStatus, OriginalIrp, Port, Bus, Target, LUN, ScsiStatus, ByteLengthOfTransfer, ... |
//! | 202, 204, 206 | a read goes down (plain, paging, low memory) | Irp, Command, LengthOfTransferinblocks, LBA, OriginalIrp, ... |
//! | 203, 205, 207 | a write | the same |
//! | 208, 211 | completion of a read or write, of a flush | Irp, NTStatus, SrbStatus, ... |
//! | 210 | a flush goes down | Irp, Bus, Target, LUN |
//! | 212, 213, 221; 214 | I/O control, WMI, pass-through; completion | Irp, ... |
//!
//! Going down and completion are paired by Irp. Blocks count 512 bytes: no event says how large they are. 202 to 208 tell
//! no address on the bus; it comes from 200 and 201, which follow a completion closely.
//!
//! Kernel provider DiskIo, `{3D6FA8D4-FE05-11D0-9DDA-00C04FD7BA7C}`, by opcode
//! (<https://learn.microsoft.com/windows/win32/etw/diskio>):
//!
//! | opcode | says | fields |
//! | --- | --- | --- |
//! | 10, 11 | read, write complete | DiskNumber, IrpFlags, TransferSize, Reserved, ByteOffset, FileObject, Irp, HighResResponseTime, ... |
//! | 12, 13, 15 | read, write, flush begin | Irp, ... |
//! | 14 | flush complete | DiskNumber, IrpFlags, HighResResponseTime, Irp, ... |
//!
//! HighResResponseTime counts ticks of the performance counter, whose rate is not in the export: it is taken as
//! 10 MHz, as on Windows 10 and later; with the beginning in the trace it is not needed.

use super::field::Field;
use super::pending::Pending;
use super::{Operation, Request, TraceError};
use crate::scenario::ResetTier;

const TICK_NS: u64 = 100;
const BLOCK_BYTES: u64 = 512;
const SRB_STATUS_SUCCESS: u64 = 1;
/// SRB_STATUS_AUTOSENSE_VALID, SRB_STATUS_QUEUE_FROZEN.
const SRB_STATUS_FLAGS: u64 = 0xC0;
/// Room before the first event for what was issued before it.
const BEFORE_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// Where an event is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    StorPort,
    DiskIo,
}

impl Provider {
    /// By GUID, with or without braces, or by name.
    pub(super) fn find(name: &[u8]) -> Option<Provider> {
        let name = name.strip_prefix(b"{").unwrap_or(name);
        let name = name.strip_suffix(b"}").unwrap_or(name);
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        if is(b"Microsoft-Windows-StorPort") || is(b"C4636A1E-7986-4646-BF10-7BC3B4A76E8E") {
            Some(Provider::StorPort)
        } else if is(b"DiskIo") || is(b"3D6FA8D4-FE05-11D0-9DDA-00C04FD7BA7C") {
            Some(Provider::DiskIo)
        } else {
            None
        }
    }
}

/// The head of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) provider: Provider,
    /// Event ID; of DiskIo the opcode.
    pub(super) id: u16,
    /// 100 ns since any one moment.
    pub(super) ticks: u64,
    pub(super) processor: u16,
}

/// The data of an event.
pub(super) trait Data {
    /// The field that has this name, or this place in the event's data.
    ///
    /// # Errors
    ///
    /// There is none.
    fn field(&self, place: usize, name: &'static str) -> Result<Field<'_>, TraceError>;
}

fn number(data: &dyn Data, place: usize, name: &'static str) -> Result<u64, TraceError> {
    data.field(place, name)?.number(name)
}

/// Pairs events.
#[derive(Debug)]
pub(super) struct Events {
    pending: Pending<u64>,
    begin: Option<u64>,
    last: u64,
}

impl Events {
    pub(super) const fn new() -> Self {
        Events { pending: Pending::new(), begin: None, last: 0 }
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        self.pending.next()
    }

    pub(super) fn drain(&mut self) -> Option<Request> {
        self.pending.drain()
    }

    /// The time of an event; `None` if it is before the last one's.
    fn time(&mut self, ticks: u64) -> Option<u64> {
        if ticks < self.last {
            return None;
        }
        let begin = *self.begin.get_or_insert(ticks);
        let time = (ticks - begin).checked_mul(TICK_NS)?.checked_add(BEFORE_NS)?;
        self.last = ticks;
        Some(time)
    }

    /// Takes an event. `stamp` is where its time stands.
    pub(super) fn take(
        &mut self,
        head: Head,
        stamp: Field<'_>,
        data: &dyn Data,
    ) -> Result<(), TraceError> {
        let Some(time) = self.time(head.ticks) else {
            return Err(stamp.wrong("a later time: time runs backwards"));
        };
        match head.provider {
            Provider::StorPort => self.storport(head, time, data),
            Provider::DiskIo => self.disk_io(head, time, data),
        }
    }

    fn storport(&mut self, head: Head, time: u64, data: &dyn Data) -> Result<(), TraceError> {
        let new = |operation| Request {
            processor: Some(head.processor),
            ..Request::new(time, operation)
        };
        match head.id {
            1 => self.pending.push(0, new(Operation::Reset(ResetTier::LogicalUnit))),
            2 => self.pending.push(0, new(Operation::Reset(ResetTier::Target))),
            4 => self.pending.push(0, new(Operation::Reset(ResetTier::Bus))),
            202 | 204 | 206 => self.goes_down(new(Operation::Read), data)?,
            203 | 205 | 207 => self.goes_down(new(Operation::Write), data)?,
            208 | 211 => {
                let irp = number(data, 0, "Irp")?;
                let failed = failed(number(data, 2, "SrbStatus")?);
                self.done(irp, time, head.processor, failed);
            }
            210 => {
                let unit = address(data, [1, 2, 3])?;
                let request = Request { unit, ..new(Operation::Flush) };
                self.pending.issue(number(data, 0, "Irp")?, request);
            }
            212 | 213 | 221 => {
                self.pending.issue(number(data, 0, "Irp")?, new(Operation::Other));
            }
            214 => {
                let irp = number(data, 0, "Irp")?;
                let failed = number(data, 1, "Status")? != 0;
                self.done(irp, time, head.processor, failed);
            }
            200 | 201 => self.performance(head, time, data)?,
            _ => {}
        }
        Ok(())
    }

    fn goes_down(&mut self, request: Request, data: &dyn Data) -> Result<(), TraceError> {
        let irp = number(data, 0, "Irp")?;
        let field = data.field(2, "LengthOfTransferinblocks")?;
        let wrong = || field.wrong("LengthOfTransferinblocks, of less than 4 GiB");
        let bytes = field.number("LengthOfTransferinblocks")?.checked_mul(BLOCK_BYTES);
        let bytes = bytes.and_then(|bytes| u32::try_from(bytes).ok()).ok_or_else(wrong)?;
        let field = data.field(3, "LBA")?;
        let address = field.number("LBA")?.checked_mul(BLOCK_BYTES);
        let address = address.ok_or_else(|| field.wrong("LBA"))?;
        self.pending.issue(irp, Request { address, bytes, ..request });
        Ok(())
    }

    fn done(&mut self, irp: u64, time: u64, processor: u16, failed: bool) {
        if let Some(request) = self.pending.complete(irp, time) {
            request.completed_on = Some(processor);
            request.failed = failed;
        }
    }

    /// A request's performance: completes it, or tells more of one that is complete, or is all that is known.
    fn performance(&mut self, head: Head, time: u64, data: &dyn Data) -> Result<(), TraceError> {
        let irp = number(data, 1, "Irp")?;
        let unit = address(data, [6, 7, 8])?;
        let failed = failed(number(data, 3, "SrbStatus")?);
        if self.pending.get_mut(irp).is_some() {
            self.done(irp, time, head.processor, failed);
        }
        if let Some(request) = self.pending.recent(irp)
            && request.completed_ns().is_some_and(|completed| completed <= time)
            && request.unit == 0
        {
            request.unit = unit;
            return Ok(());
        }
        let field = data.field(0, "RequestDuration_100ns")?;
        let latency = field.number("RequestDuration_100ns")?.checked_mul(TICK_NS);
        let latency = latency.ok_or_else(|| field.wrong("RequestDuration_100ns"))?;
        let bytes = data.field(10, "ByteLengthOfTransfer")?;
        let request = Request {
            latency_ns: Some(latency),
            completed_on: Some(head.processor),
            bytes: bytes.narrow(bytes.number("ByteLengthOfTransfer")?, "ByteLengthOfTransfer")?,
            unit,
            failed,
            ..Request::new(time.saturating_sub(latency), command(number(data, 2, "Command")?))
        };
        self.pending.push(irp, request);
        Ok(())
    }

    fn disk_io(&mut self, head: Head, time: u64, data: &dyn Data) -> Result<(), TraceError> {
        let begins = |operation| Request {
            processor: Some(head.processor),
            ..Request::new(time, operation)
        };
        match head.id {
            12 => self.pending.issue(number(data, 0, "Irp")?, begins(Operation::Read)),
            13 => self.pending.issue(number(data, 0, "Irp")?, begins(Operation::Write)),
            15 => self.pending.issue(number(data, 0, "Irp")?, begins(Operation::Flush)),
            10 | 11 => {
                let operation = if head.id == 10 { Operation::Read } else { Operation::Write };
                let (irp, ticks) = (data.field(6, "Irp")?, data.field(7, "HighResResponseTime")?);
                let known = self.ends(head, time, operation, irp, ticks)?;
                known.address = number(data, 4, "ByteOffset")?;
                let bytes = data.field(2, "TransferSize")?;
                known.bytes = bytes.narrow(bytes.number("TransferSize")?, "TransferSize")?;
                known.unit = disk(data)?;
            }
            14 => {
                let (irp, ticks) = (data.field(3, "Irp")?, data.field(2, "HighResResponseTime")?);
                let known = self.ends(head, time, Operation::Flush, irp, ticks)?;
                known.unit = disk(data)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A request of DiskIo has ended; its beginning may be in the trace.
    fn ends(
        &mut self,
        head: Head,
        time: u64,
        operation: Operation,
        irp: Field<'_>,
        ticks: Field<'_>,
    ) -> Result<&mut Request, TraceError> {
        let irp = irp.number("Irp")?;
        let latency = ticks.number("HighResResponseTime")?.checked_mul(TICK_NS);
        let latency = latency.ok_or_else(|| ticks.wrong("HighResResponseTime"))?;
        if self.pending.complete(irp, time).is_none() {
            let request = Request {
                latency_ns: Some(latency),
                ..Request::new(time.saturating_sub(latency), operation)
            };
            self.pending.push(irp, request);
        }
        let request = self.pending.recent(irp);
        let request = request.ok_or_else(|| ticks.wrong("a request that was just added"))?;
        request.completed_on = Some(head.processor);
        Ok(request)
    }
}

fn failed(status: u64) -> bool {
    status & !SRB_STATUS_FLAGS != SRB_STATUS_SUCCESS
}

fn disk(data: &dyn Data) -> Result<u32, TraceError> {
    let field = data.field(0, "DiskNumber")?;
    field.narrow(field.number("DiskNumber")?, "DiskNumber")
}

/// A number for an address on the bus.
fn address(data: &dyn Data, places: [usize; 3]) -> Result<u32, TraceError> {
    let mut unit = 0;
    for (place, name) in places.into_iter().zip(["Bus", "Target", "LUN"]) {
        let field = data.field(place, name)?;
        let part = u8::try_from(field.number(name)?);
        unit = unit << 8 | u32::from(part.map_err(|_| field.wrong("a number up to 255"))?);
    }
    Ok(unit)
}

/// What a SCSI operation code does, as far as scenarios tell.
const fn command(code: u64) -> Operation {
    match code {
        0x08 | 0x28 | 0x88 | 0xA8 => Operation::Read,
        0x0A | 0x2A | 0x8A | 0xAA => Operation::Write,
        0x35 | 0x91 => Operation::Flush,
        0x42 => Operation::Trim,
        _ => Operation::Other,
    }
}
