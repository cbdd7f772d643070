//! SCSI to NVM Express: what a request asks for becomes a command, or is answered at once.
//!
//! Runs in HwStorBuildIo: without locks, on several processors at once. It reads what the controller and
//! the namespace said at identification, which does not change afterwards, and writes the request only.

use super::buffer::{DataBuffer, answer};
use super::completion::{Outcome, Sense};
use super::inquiry::{self, ModeSense, UNMAP_DESCRIPTORS_MAX};
use super::prp;
use super::request::{Request, Table};
use super::spec::{Command, Controller, Namespace, PAGE_BYTES, deallocate_range};
use super::state::State;
use super::{Nvme, Unit};
use crate::storport::memory::StorScatterGatherList;
use crate::storport::{Srb, SrbStatus, StorPort};

/// Operation codes that the driver knows (SPC-4, SBC-3).
mod operation {
    pub(super) const TEST_UNIT_READY: u8 = 0x00;
    pub(super) const READ_6: u8 = 0x08;
    pub(super) const WRITE_6: u8 = 0x0A;
    pub(super) const INQUIRY: u8 = 0x12;
    pub(super) const MODE_SENSE_6: u8 = 0x1A;
    pub(super) const START_STOP_UNIT: u8 = 0x1B;
    pub(super) const READ_CAPACITY_10: u8 = 0x25;
    pub(super) const READ_10: u8 = 0x28;
    pub(super) const WRITE_10: u8 = 0x2A;
    pub(super) const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    pub(super) const UNMAP: u8 = 0x42;
    pub(super) const MODE_SENSE_10: u8 = 0x5A;
    pub(super) const READ_16: u8 = 0x88;
    pub(super) const WRITE_16: u8 = 0x8A;
    pub(super) const SYNCHRONIZE_CACHE_16: u8 = 0x91;
    pub(super) const SERVICE_ACTION_IN_16: u8 = 0x9E;
    pub(super) const REPORT_LUNS: u8 = 0xA0;
    pub(super) const READ_12: u8 = 0xA8;
    pub(super) const WRITE_12: u8 = 0xAA;
}

/// Service action of [`operation::SERVICE_ACTION_IN_16`].
const READ_CAPACITY_16: u8 = 0x10;

/// A CDB, padded with zeroes to 16 bytes.
type Cdb = [u8; 16];

/// A read or write, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transfer {
    write: bool,
    first: u64,
    blocks: u32,
    force_unit_access: bool,
}

impl Transfer {
    /// Decodes the CDB of any READ or WRITE; `None` for another command.
    fn parse(cdb: &Cdb) -> Option<Self> {
        let (write, first, blocks) = match cdb[0] {
            operation @ (operation::READ_6 | operation::WRITE_6) => {
                let first = u64::from(be32(cdb, 0) & 0x1F_FFFF);
                let blocks = if cdb[4] == 0 { 256 } else { u32::from(cdb[4]) };
                (operation == operation::WRITE_6, first, blocks)
            }
            operation @ (operation::READ_10 | operation::WRITE_10) => {
                (operation == operation::WRITE_10, u64::from(be32(cdb, 2)), be16(cdb, 7))
            }
            operation @ (operation::READ_12 | operation::WRITE_12) => {
                (operation == operation::WRITE_12, u64::from(be32(cdb, 2)), be32(cdb, 6))
            }
            operation @ (operation::READ_16 | operation::WRITE_16) => {
                (operation == operation::WRITE_16, be64(cdb, 2), be32(cdb, 10))
            }
            _ => return None,
        };
        let short = matches!(cdb[0], operation::READ_6 | operation::WRITE_6);
        Some(Transfer { write, first, blocks, force_unit_access: !short && cdb[1] & 0x08 != 0 })
    }
}

impl Nvme {
    /// What becomes of SRB_FUNCTION_EXECUTE_SCSI.
    ///
    /// # Errors
    ///
    /// The outcome of a request that needs no command, good or bad.
    pub(super) fn translate<P: StorPort>(
        &self,
        port: P,
        srb: Srb,
        request: &Request,
    ) -> Result<Command, Outcome> {
        let address = srb.address().ok_or(Outcome::Status(SrbStatus::INVALID_REQUEST))?;
        let absent = match (address.path, address.target, address.lun) {
            (0, 0, 0) => None,
            (0, 0, _) => Some(SrbStatus::INVALID_LUN),
            (0, ..) => Some(SrbStatus::INVALID_TARGET_ID),
            _ => Some(SrbStatus::INVALID_PATH_ID),
        };
        if let Some(status) = absent {
            return Err(Outcome::Status(status));
        }
        let cdb = srb.cdb().ok_or(Outcome::Status(SrbStatus::INVALID_REQUEST))?;
        let unit = self.unit(port)?;
        if let Some(transfer) = Transfer::parse(&cdb) {
            return self.translate_transfer(port, srb, request, &unit, transfer, &cdb);
        }
        match cdb[0] {
            operation::TEST_UNIT_READY | operation::START_STOP_UNIT => Err(Outcome::Success),
            operation::SYNCHRONIZE_CACHE_10 | operation::SYNCHRONIZE_CACHE_16 => {
                Ok(Command::flush())
            }
            operation::UNMAP => self.translate_unmap(port, srb, request, &unit, &cdb),
            operation::INQUIRY => Err(inquire(srb, &self.controller.get(port), &unit, &cdb)),
            operation::READ_CAPACITY_10 => {
                Err(answer(srb, &capacity_10(&unit.namespace), u32::MAX))
            }
            operation::SERVICE_ACTION_IN_16 if cdb[1] & 0x1F == READ_CAPACITY_16 => {
                let reply = capacity_16(&unit.namespace, unit.deallocates);
                Err(answer(srb, &reply, be32(&cdb, 10)))
            }
            operation::MODE_SENSE_6 | operation::MODE_SENSE_10 => {
                Err(sense_mode(srb, &self.controller.get(port), &unit, &cdb))
            }
            operation::REPORT_LUNS => Err(report_units(srb, &cdb)),
            _ => Err(Outcome::Sense(Sense::INVALID_OPERATION_CODE)),
        }
    }

    /// The unit, if there is one that has been identified.
    fn unit<P: StorPort>(&self, port: P) -> Result<Unit, Outcome> {
        let unit = match self.state.get(port) {
            State::Failed | State::Removed => None,
            _ if !self.is_identified(port) => return Err(Outcome::Status(SrbStatus::BUSY)),
            _ => self.identified_unit(port),
        };
        unit.ok_or(Outcome::Status(SrbStatus::NO_DEVICE))
    }

    /// A read or write with its data pointer.
    fn translate_transfer<P: StorPort>(
        &self,
        port: P,
        srb: Srb,
        request: &Request,
        unit: &Unit,
        transfer: Transfer,
        cdb: &Cdb,
    ) -> Result<Command, Outcome> {
        let Transfer { write, first, blocks, force_unit_access } = transfer;
        let protection =
            cdb[1] & 0xE0 != 0 && !matches!(cdb[0], operation::READ_6 | operation::WRITE_6);
        if protection {
            return Err(Outcome::Sense(Sense::INVALID_FIELD_IN_CDB));
        }
        check_range(&unit.namespace, first, blocks)?;
        if blocks == 0 {
            return Err(Outcome::Moved(0));
        }
        let bytes = u64::from(blocks) << unit.namespace.block_log2;
        if bytes > u64::from(unit.transfer_bytes) {
            return Err(Outcome::Sense(Sense::INVALID_FIELD_IN_CDB));
        }
        let bytes = bytes as u32;
        if srb.data_transfer_length() < bytes {
            return Err(Outcome::Status(SrbStatus::INVALID_REQUEST));
        }
        srb.set_data_transfer_length(bytes);
        let command = Command::transfer(write, first, blocks, force_unit_access);
        point_to_data(port, srb, request, command, bytes)
    }

    /// UNMAP as Dataset Management.
    fn translate_unmap<P: StorPort>(
        &self,
        port: P,
        srb: Srb,
        request: &Request,
        unit: &Unit,
        cdb: &Cdb,
    ) -> Result<Command, Outcome> {
        const ANCHOR: u8 = 1;
        let length = be16(cdb, 7) as usize;
        if !unit.deallocates {
            return Err(Outcome::Sense(Sense::INVALID_OPERATION_CODE));
        }
        if cdb[1] & ANCHOR != 0 {
            return Err(Outcome::Sense(Sense::INVALID_FIELD_IN_CDB));
        }
        if length == 0 {
            return Err(Outcome::Success);
        }
        if length < 8 || (srb.data_transfer_length() as usize) < length {
            return Err(Outcome::Sense(Sense::PARAMETER_LIST_LENGTH));
        }
        let trouble = Outcome::Status(SrbStatus::INTERNAL_ERROR);
        let buffer = DataBuffer::of(srb).ok_or(trouble)?;
        let table = request.table(port, srb).ok_or(trouble)?;
        match gather_ranges(port, &buffer, length, &unit.namespace, &table)? {
            0 => Err(Outcome::Success),
            ranges => Ok(Command::deallocate(ranges, table.physical)),
        }
    }
}

/// Points `command` to the request's data.
fn point_to_data<P: StorPort>(
    port: P,
    srb: Srb,
    request: &Request,
    mut command: Command,
    bytes: u32,
) -> Result<Command, Outcome> {
    let trouble = Outcome::Status(SrbStatus::INTERNAL_ERROR);
    let list = port.get_scatter_gather_list(srb);
    if list.is_null() {
        return Err(trouble);
    }
    // SAFETY: StorPort's list, which stays as it is until the request's completion.
    let elements = unsafe { StorScatterGatherList::elements(list) };
    // No more bytes than a page touch no more than two pages, and need no list.
    let table = match bytes as usize {
        ..=PAGE_BYTES => None,
        _ => Some(request.table(port, srb).ok_or(trouble)?),
    };
    let pairs = elements.iter().map(|element| (element.physical_address.0, element.length));
    let pointer = prp::build(pairs, bytes, |index, address| {
        if let Some(table) = &table {
            table.set(port, index, address);
        }
    })
    .map_err(|prp::Malformed| Outcome::Status(SrbStatus::INVALID_REQUEST))?;
    command.prp1 = pointer.first;
    command.prp2 = match &table {
        Some(table) if pointer.listed > 1 => table.physical,
        _ => pointer.second,
    };
    Ok(command)
}

/// Writes the descriptors of an UNMAP parameter list into `table`, and returns how many ranges that
/// made.
fn gather_ranges<P: StorPort>(
    port: P,
    buffer: &DataBuffer,
    length: usize,
    namespace: &Namespace,
    table: &Table<'_>,
) -> Result<u32, Outcome> {
    const HEADER: usize = 8;
    const DESCRIPTOR: usize = 16;
    let invalid = Outcome::Sense(Sense::PARAMETER_LIST_LENGTH);
    let described = usize::from(u16::from_be_bytes(buffer.read(2).ok_or(invalid)?));
    let descriptors = described.min(length - HEADER) / DESCRIPTOR;
    if descriptors > UNMAP_DESCRIPTORS_MAX {
        return Err(Outcome::Sense(Sense::INVALID_FIELD_IN_LIST));
    }
    let mut ranges = 0;
    for index in 0..descriptors {
        let at = HEADER + index * DESCRIPTOR;
        let first = u64::from_be_bytes(buffer.read(at).ok_or(invalid)?);
        let blocks = u32::from_be_bytes(buffer.read(at + 8).ok_or(invalid)?);
        check_range(namespace, first, blocks)?;
        if blocks > 0 {
            let [low, high] = deallocate_range(first, blocks);
            table.set(port, 2 * ranges, low);
            table.set(port, 2 * ranges + 1, high);
            ranges += 1;
        }
    }
    Ok(ranges as u32)
}

/// Whether the blocks are all there.
fn check_range(namespace: &Namespace, first: u64, blocks: u32) -> Result<(), Outcome> {
    match first.checked_add(u64::from(blocks)) {
        Some(end) if end <= namespace.blocks => Ok(()),
        _ => Err(Outcome::Sense(Sense::BLOCK_OUT_OF_RANGE)),
    }
}

/// INQUIRY.
fn inquire(srb: Srb, controller: &Controller, unit: &Unit, cdb: &Cdb) -> Outcome {
    let (wants_page, page) = (cdb[1] & 1 != 0, cdb[2]);
    let reply = match (wants_page, page) {
        (false, 0) => Some(inquiry::standard(controller)),
        (false, _) => None,
        (true, page) => {
            inquiry::vital_product_data(page, controller, &unit.namespace, unit.transfer_bytes)
        }
    };
    match reply {
        Some(reply) => answer(srb, reply.data(), be16(cdb, 3)),
        None => Outcome::Sense(Sense::INVALID_FIELD_IN_CDB),
    }
}

/// MODE SENSE(6) and (10).
fn sense_mode(srb: Srb, controller: &Controller, unit: &Unit, cdb: &Cdb) -> Outcome {
    const SAVED: u8 = 3;
    let long = cdb[0] == operation::MODE_SENSE_10;
    let asked = ModeSense {
        page: cdb[2] & 0x3F,
        control: cdb[2] >> 6,
        no_block_descriptor: cdb[1] & 0x08 != 0,
        long,
    };
    if asked.control == SAVED {
        return Outcome::Sense(Sense::SAVING_NOT_SUPPORTED);
    }
    let allocation = if long { be16(cdb, 7) } else { u32::from(cdb[4]) };
    match inquiry::mode_sense(asked, controller, &unit.namespace) {
        Some(reply) => answer(srb, reply.data(), allocation),
        None => Outcome::Sense(Sense::INVALID_FIELD_IN_CDB),
    }
}

/// REPORT LUNS: logical unit 0 and no other.
fn report_units(srb: Srb, cdb: &Cdb) -> Outcome {
    const SELECT_REPORT_MAX: u8 = 2;
    if cdb[2] > SELECT_REPORT_MAX {
        return Outcome::Sense(Sense::INVALID_FIELD_IN_CDB);
    }
    let mut reply = [0; 16];
    reply[3] = 8;
    answer(srb, &reply, be32(cdb, 6))
}

/// READ CAPACITY(10) data: the last block, or that it has no room for it, and bytes of a block.
fn capacity_10(namespace: &Namespace) -> [u8; 8] {
    let last = u32::try_from(namespace.blocks.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut reply = [0; 8];
    reply[..4].copy_from_slice(&last.to_be_bytes());
    reply[4..].copy_from_slice(&(1_u32 << namespace.block_log2).to_be_bytes());
    reply
}

/// READ CAPACITY(16) data.
fn capacity_16(namespace: &Namespace, deallocates: bool) -> [u8; 32] {
    /// LBPME: logical block provisioning management is enabled.
    const PROVISIONED: u8 = 0x80;
    let mut reply = [0; 32];
    reply[..8].copy_from_slice(&namespace.blocks.saturating_sub(1).to_be_bytes());
    reply[8..12].copy_from_slice(&(1_u32 << namespace.block_log2).to_be_bytes());
    reply[14] = if deallocates { PROVISIONED } else { 0 };
    reply
}

fn be16(cdb: &Cdb, at: usize) -> u32 {
    u32::from(cdb[at]) << 8 | u32::from(cdb[at + 1])
}

fn be32(cdb: &Cdb, at: usize) -> u32 {
    be16(cdb, at) << 16 | be16(cdb, at + 2)
}

fn be64(cdb: &Cdb, at: usize) -> u64 {
    u64::from(be32(cdb, at)) << 32 | u64::from(be32(cdb, at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cdb(bytes: &[u8]) -> Cdb {
        let mut cdb = [0; 16];
        cdb[..bytes.len()].copy_from_slice(bytes);
        cdb
    }

    #[test]
    fn reads_and_writes_of_every_length_are_decoded() {
        let parse = |bytes: &[u8]| Transfer::parse(&cdb(bytes)).unwrap();
        let expected =
            Transfer { write: false, first: 0x1_2345, blocks: 7, force_unit_access: false };
        assert_eq!(parse(&[0x08, 0xE1, 0x23, 0x45, 7]), expected);
        assert_eq!(parse(&[0x28, 0, 0, 1, 0x23, 0x45, 0, 0, 7]), expected);
        assert_eq!(parse(&[0xA8, 0, 0, 1, 0x23, 0x45, 0, 0, 0, 7]), expected);
        assert_eq!(parse(&[0x88, 0, 0, 0, 0, 0, 0, 1, 0x23, 0x45, 0, 0, 0, 7]), expected);
        let write = Transfer { write: true, ..expected };
        assert_eq!(parse(&[0x0A, 1, 0x23, 0x45, 7]), write);
        assert_eq!(parse(&[0x2A, 0, 0, 1, 0x23, 0x45, 0, 0, 7]), write);
        assert_eq!(parse(&[0xAA, 0, 0, 1, 0x23, 0x45, 0, 0, 0, 7]), write);
        let through = Transfer { force_unit_access: true, ..write };
        assert_eq!(parse(&[0x8A, 8, 0, 0, 0, 0, 0, 1, 0x23, 0x45, 0, 0, 0, 7]), through);
        assert_eq!(parse(&[0x08, 0, 0, 0, 0]).blocks, 256, "0 means 256 in the short form only");
        assert_eq!(parse(&[0x28]).blocks, 0);
        assert_eq!(Transfer::parse(&cdb(&[0x25])), None);
    }

    #[test]
    fn a_range_must_lie_on_the_disk() {
        let disk = Namespace { blocks: 128, block_log2: 9, eui64: 0 };
        assert!(check_range(&disk, 127, 1).is_ok() && check_range(&disk, 128, 0).is_ok());
        assert!(check_range(&disk, 127, 2).is_err() && check_range(&disk, u64::MAX, 1).is_err());
    }

    #[test]
    fn capacities() {
        let disk = Namespace { blocks: 128, block_log2: 9, eui64: 0 };
        assert_eq!(capacity_10(&disk), [0, 0, 0, 127, 0, 0, 2, 0]);
        let large = Namespace { blocks: 1 << 33, ..disk };
        assert_eq!(capacity_10(&large)[..4], [0xFF; 4]);
        assert_eq!(
            capacity_16(&large, true)[..15],
            [0, 0, 0, 1, 255, 255, 255, 255, 0, 0, 2, 0, 0, 0, 0x80]
        );
    }
}
