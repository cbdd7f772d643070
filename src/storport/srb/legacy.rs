//! SCSI_REQUEST_BLOCK: the request as Windows has had it since NT, of fixed size.

use core::ffi::c_void;

use super::{SrbFlags, SrbFunction};
use crate::storport::status::SrbStatus;

/// `SCSI_REQUEST_BLOCK`: a request with its SCSI command inside.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_scsi_request_block>.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ScsiRequestBlock {
    /// `Length` of this structure, in bytes.
    pub length: u16,
    /// `Function`.
    pub function: SrbFunction,
    /// `SrbStatus`.
    pub srb_status: SrbStatus,
    /// `ScsiStatus`.
    pub scsi_status: u8,
    /// `PathId`: the bus.
    pub path_id: u8,
    /// `TargetId`.
    pub target_id: u8,
    /// `Lun`.
    pub lun: u8,
    /// `QueueTag`.
    pub queue_tag: u8,
    /// `QueueAction`.
    pub queue_action: u8,
    /// `CdbLength`, in bytes.
    pub cdb_length: u8,
    /// `SenseInfoBufferLength`, in bytes.
    pub sense_info_buffer_length: u8,
    /// `SrbFlags`.
    pub srb_flags: SrbFlags,
    /// `DataTransferLength`, in bytes.
    pub data_transfer_length: u32,
    /// `TimeOutValue`, in seconds.
    pub time_out_value: u32,
    /// `DataBuffer`.
    pub data_buffer: *mut c_void,
    /// `SenseInfoBuffer`.
    pub sense_info_buffer: *mut c_void,
    /// `NextSrb`.
    pub next_srb: *mut ScsiRequestBlock,
    /// `OriginalRequest`: the IRP.
    pub original_request: *mut c_void,
    /// `SrbExtension`: the miniport's memory.
    pub srb_extension: *mut c_void,
    /// `QueueSortKey`; also `InternalStatus`, `LinkTimeoutValue`.
    pub queue_sort_key: u32,
    /// `Reserved`.
    pub reserved: u32,
    /// `Cdb`.
    pub cdb: [u8; 16],
}

impl Default for ScsiRequestBlock {
    /// All zero but `length`.
    fn default() -> Self {
        // SAFETY: zero is a value of every field: integers and null pointers.
        let zeroed: Self = unsafe { core::mem::zeroed() };
        Self { length: size_of::<Self>() as u16, ..zeroed }
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<ScsiRequestBlock>() == 0x58);
    assert!(offset_of!(ScsiRequestBlock, length) == 0x00);
    assert!(offset_of!(ScsiRequestBlock, function) == 0x02);
    assert!(offset_of!(ScsiRequestBlock, srb_status) == 0x03);
    assert!(offset_of!(ScsiRequestBlock, scsi_status) == 0x04);
    assert!(offset_of!(ScsiRequestBlock, path_id) == 0x05);
    assert!(offset_of!(ScsiRequestBlock, target_id) == 0x06);
    assert!(offset_of!(ScsiRequestBlock, lun) == 0x07);
    assert!(offset_of!(ScsiRequestBlock, queue_tag) == 0x08);
    assert!(offset_of!(ScsiRequestBlock, queue_action) == 0x09);
    assert!(offset_of!(ScsiRequestBlock, cdb_length) == 0x0A);
    assert!(offset_of!(ScsiRequestBlock, sense_info_buffer_length) == 0x0B);
    assert!(offset_of!(ScsiRequestBlock, srb_flags) == 0x0C);
    assert!(offset_of!(ScsiRequestBlock, data_transfer_length) == 0x10);
    assert!(offset_of!(ScsiRequestBlock, time_out_value) == 0x14);
    assert!(offset_of!(ScsiRequestBlock, data_buffer) == 0x18);
    assert!(offset_of!(ScsiRequestBlock, sense_info_buffer) == 0x20);
    assert!(offset_of!(ScsiRequestBlock, next_srb) == 0x28);
    assert!(offset_of!(ScsiRequestBlock, original_request) == 0x30);
    assert!(offset_of!(ScsiRequestBlock, srb_extension) == 0x38);
    assert!(offset_of!(ScsiRequestBlock, queue_sort_key) == 0x40);
    assert!(offset_of!(ScsiRequestBlock, reserved) == 0x44);
    assert!(offset_of!(ScsiRequestBlock, cdb) == 0x48);
};
