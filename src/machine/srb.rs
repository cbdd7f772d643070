//! The request blocks that StorPort builds: CDB, flags and layout for each kind of request.

use std::ffi::c_void;

use super::request::{Purpose, TIMEOUT_SECONDS};
use crate::scenario::{IoKind, Query};
use crate::storport::address::StorAddrBtl8;
use crate::storport::srb::{
    ScsiRequestBlock, SrbExDataScsiCdb16, SrbFlags, SrbFunction, StorageRequestBlock,
};

/// Bytes of the sense buffer: what the class driver gives.
const SENSE_BYTES: u8 = 18;
/// A CDB operation code that no disk has.
const UNKNOWN_OPERATION: u8 = 0xC1;
/// A function that no miniport has.
const UNKNOWN_FUNCTION: SrbFunction = SrbFunction(0x3F);

/// Where the parts of an extended request block lie.
const ADDRESS_AT: usize = 0x80;
const CDB_AT: usize = ADDRESS_AT + size_of::<StorAddrBtl8>();
const EXTENDED_BYTES: usize = CDB_AT + size_of::<SrbExDataScsiCdb16>();

/// All that a request block says.
#[derive(Clone, Copy, Debug)]
pub(super) struct SrbPlan {
    pub(super) legacy: bool,
    pub(super) function: SrbFunction,
    pub(super) flags: SrbFlags,
    pub(super) lun: u8,
    pub(super) operation: Operation,
    pub(super) first_block: u32,
    pub(super) blocks: u32,
    pub(super) bytes: u32,
    pub(super) data: *mut u8,
    pub(super) sense: *mut u8,
    pub(super) extension: *mut u8,
    /// The request that an SRB_FUNCTION_ABORT_COMMAND is about.
    pub(super) next: *mut u8,
}

/// The CDB to write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    None,
    /// Operation code of a 10- or 16-byte CDB with block and count.
    Blocks(u8),
    /// Byte 0, 1 and 2, and where the allocation length stands.
    Plain(u8, u8, u8, Length),
}

/// Where a CDB keeps its allocation length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    /// No data.
    Nowhere,
    /// In no byte: the operation has a fixed length.
    Implied,
    Byte4,
    Bytes7To8,
    Bytes6To9,
    Bytes10To13,
}

/// Whether a query moves data.
pub(super) fn has_data(query: Query) -> bool {
    !matches!(operation_of(query), Operation::None | Operation::Plain(_, _, _, Length::Nowhere))
}

/// What the request block of a purpose says, its numbers and addresses aside.
pub(super) fn plan(purpose: &Purpose) -> SrbPlan {
    let mut plan = SrbPlan {
        legacy: false,
        function: SrbFunction::EXECUTE_SCSI,
        flags: SrbFlags(0),
        lun: 0,
        operation: Operation::None,
        first_block: 0,
        blocks: 0,
        bytes: 0,
        data: std::ptr::null_mut(),
        sense: std::ptr::null_mut(),
        extension: std::ptr::null_mut(),
        next: std::ptr::null_mut(),
    };
    match *purpose {
        Purpose::Io(io) => {
            (plan.operation, plan.flags) = match io.kind {
                IoKind::Read => (Operation::Blocks(0x28), SrbFlags::DATA_IN),
                IoKind::Write => (Operation::Blocks(0x2A), SrbFlags::DATA_OUT),
                IoKind::Flush => (Operation::Plain(0x35, 0, 0, Length::Nowhere), SrbFlags(0)),
                IoKind::Unmap => {
                    (Operation::Plain(0x42, 0, 0, Length::Bytes7To8), SrbFlags::DATA_OUT)
                }
            };
        }
        Purpose::Query(query) => {
            plan.operation = operation_of(query);
            plan.function = function_of(query);
            plan.lun = if query == Query::AbsentLun { 7 } else { 0 };
            if has_data(query) {
                plan.flags = SrbFlags::DATA_IN;
            }
        }
        Purpose::Reset(function) => plan.function = function,
    }
    plan
}

fn function_of(query: Query) -> SrbFunction {
    match query {
        Query::FunctionFlush => SrbFunction::FLUSH,
        Query::FunctionShutdown => SrbFunction::SHUTDOWN,
        Query::FunctionPnp => SrbFunction::PNP,
        Query::FunctionPower => SrbFunction::POWER,
        Query::FunctionUnknown => UNKNOWN_FUNCTION,
        _ => SrbFunction::EXECUTE_SCSI,
    }
}

fn operation_of(query: Query) -> Operation {
    let vpd = |page| Operation::Plain(0x12, 1, page, Length::Byte4);
    match query {
        Query::Inquiry | Query::AbsentLun => Operation::Plain(0x12, 0, 0, Length::Byte4),
        Query::VpdPages => vpd(0x00),
        Query::VpdSerial => vpd(0x80),
        Query::VpdDevice => vpd(0x83),
        Query::VpdBlockLimits => vpd(0xB0),
        Query::VpdCharacteristics => vpd(0xB1),
        Query::VpdProvisioning => vpd(0xB2),
        Query::ReadCapacity10 => Operation::Plain(0x25, 0, 0, Length::Implied),
        Query::ReadCapacity16 => Operation::Plain(0x9E, 0x10, 0, Length::Bytes10To13),
        Query::ModeSense6 => Operation::Plain(0x1A, 0, 0x3F, Length::Byte4),
        Query::ModeSense10 => Operation::Plain(0x5A, 0, 0x08, Length::Bytes7To8),
        Query::ReportLuns => Operation::Plain(0xA0, 0, 0, Length::Bytes6To9),
        Query::TestUnitReady => Operation::Plain(0x00, 0, 0, Length::Nowhere),
        Query::StartStopUnit => Operation::Plain(0x1B, 0, 0, Length::Nowhere),
        Query::Unknown => Operation::Plain(UNKNOWN_OPERATION, 0, 0, Length::Nowhere),
        Query::FunctionFlush
        | Query::FunctionShutdown
        | Query::FunctionPnp
        | Query::FunctionPower
        | Query::FunctionUnknown => Operation::None,
    }
}

impl SrbPlan {
    /// The CDB and its length.
    fn cdb(&self) -> ([u8; 16], u8) {
        let mut cdb = [0; 16];
        match self.operation {
            Operation::None => return (cdb, 0),
            Operation::Blocks(code) => {
                cdb[0] = code;
                cdb[2..6].copy_from_slice(&self.first_block.to_be_bytes());
                cdb[7..9].copy_from_slice(&(self.blocks as u16).to_be_bytes());
            }
            Operation::Plain(code, byte1, byte2, length) => {
                (cdb[0], cdb[1], cdb[2]) = (code, byte1, byte2);
                let bytes = self.bytes;
                match length {
                    Length::Nowhere | Length::Implied => {}
                    Length::Byte4 => cdb[4] = bytes as u8,
                    Length::Bytes7To8 => cdb[7..9].copy_from_slice(&(bytes as u16).to_be_bytes()),
                    Length::Bytes6To9 => cdb[6..10].copy_from_slice(&bytes.to_be_bytes()),
                    Length::Bytes10To13 => cdb[10..14].copy_from_slice(&bytes.to_be_bytes()),
                }
            }
        }
        let length = match cdb[0] >> 5 {
            0 => 6,
            1 | 2 => 10,
            5 => 12,
            _ => 16,
        };
        (cdb, length)
    }

    /// DataBuffer: NULL for reads and writes, which go by the scatter/gather list
    /// (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_buildio>).
    fn data_buffer(&self) -> *mut c_void {
        match self.operation {
            Operation::Blocks(_) => std::ptr::null_mut(),
            _ => self.data.cast(),
        }
    }

    /// Writes the block.
    ///
    /// # Safety
    ///
    /// `at` is aligned to 8, with `EXTENDED_BYTES` bytes behind it.
    pub(super) unsafe fn write(&self, at: *mut u8) {
        // SAFETY: the caller's promise; both layouts fit.
        unsafe { if self.legacy { self.write_legacy(at) } else { self.write_extended(at) } }
    }

    unsafe fn write_legacy(&self, at: *mut u8) {
        let (cdb, cdb_length) = self.cdb();
        let block = ScsiRequestBlock {
            function: self.function,
            lun: self.lun,
            cdb_length,
            sense_info_buffer_length: SENSE_BYTES,
            srb_flags: self.flags,
            data_transfer_length: self.bytes,
            time_out_value: TIMEOUT_SECONDS,
            data_buffer: self.data_buffer(),
            sense_info_buffer: self.sense.cast(),
            srb_extension: self.extension.cast(),
            next_srb: self.next.cast(),
            cdb,
            ..ScsiRequestBlock::default()
        };
        // SAFETY: the caller's promise.
        unsafe { at.cast::<ScsiRequestBlock>().write(block) };
    }

    unsafe fn write_extended(&self, at: *mut u8) {
        let (cdb, cdb_length) = self.cdb();
        let has_cdb = self.function == SrbFunction::EXECUTE_SCSI;
        let block = StorageRequestBlock {
            srb_length: EXTENDED_BYTES as u32,
            srb_function: u32::from(self.function.0),
            srb_flags: self.flags,
            time_out_value: TIMEOUT_SECONDS,
            address_offset: ADDRESS_AT as u32,
            num_srb_ex_data: u32::from(has_cdb),
            data_transfer_length: self.bytes,
            data_buffer: self.data_buffer(),
            miniport_context: self.extension.cast(),
            next_srb: self.next.cast(),
            srb_ex_data_offset: [if has_cdb { CDB_AT as u32 } else { 0 }],
            ..StorageRequestBlock::default()
        };
        let data = SrbExDataScsiCdb16 {
            sense_info_buffer_length: SENSE_BYTES,
            cdb_length,
            sense_info_buffer: self.sense.cast(),
            cdb,
            ..SrbExDataScsiCdb16::new()
        };
        // SAFETY: the caller's promise; both offsets are multiples of 8 inside `EXTENDED_BYTES`.
        unsafe {
            at.cast::<StorageRequestBlock>().write(block);
            at.add(ADDRESS_AT).cast::<StorAddrBtl8>().write(StorAddrBtl8::new(0, 0, self.lun));
            at.add(CDB_AT).cast::<SrbExDataScsiCdb16>().write(data);
        }
    }
}
