//! The request: both kinds of SRB, and one handle for both.
//!
//! StorPort hands a miniport either a SCSI_REQUEST_BLOCK or a STORAGE_REQUEST_BLOCK, as the
//! miniport asked, behind the same pointer. [`Srb`] is that pointer, with the accessors that the C
//! headers have in srbhelper.h. An extended request is data from outside: its accessors believe no
//! offset that leaves SrbLength.

mod data;
mod extended;
mod legacy;
#[cfg(test)]
mod tests;

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr::{self, NonNull};

pub use data::{
    SrbExData, SrbExDataHead, SrbExDataIoInfo, SrbExDataPnp, SrbExDataPower, SrbExDataScsiCdb,
    SrbExDataScsiCdb16, SrbExDataScsiCdb32, SrbExDataScsiCdbVar, SrbExDataType, SrbExDataWmi,
};
pub use extended::StorageRequestBlock;
pub use legacy::ScsiRequestBlock;

use super::address::StorAddrBtl8;
use super::status::{SrbStatus, named};

named! {
    /// `SRB_FUNCTION_*`: what a request asks for.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_scsi_request_block>.
    SrbFunction(u8) {
        /// A SCSI command.
        EXECUTE_SCSI = 0x00, "SRB_FUNCTION_EXECUTE_SCSI";
        CLAIM_DEVICE = 0x01, "SRB_FUNCTION_CLAIM_DEVICE";
        IO_CONTROL = 0x02, "SRB_FUNCTION_IO_CONTROL";
        RECEIVE_EVENT = 0x03, "SRB_FUNCTION_RECEIVE_EVENT";
        RELEASE_QUEUE = 0x04, "SRB_FUNCTION_RELEASE_QUEUE";
        ATTACH_DEVICE = 0x05, "SRB_FUNCTION_ATTACH_DEVICE";
        RELEASE_DEVICE = 0x06, "SRB_FUNCTION_RELEASE_DEVICE";
        SHUTDOWN = 0x07, "SRB_FUNCTION_SHUTDOWN";
        FLUSH = 0x08, "SRB_FUNCTION_FLUSH";
        PROTOCOL_COMMAND = 0x09, "SRB_FUNCTION_PROTOCOL_COMMAND";
        EXECUTE_NVME = 0x0A, "SRB_FUNCTION_EXECUTE_NVME";
        /// Abort another request.
        ABORT_COMMAND = 0x10, "SRB_FUNCTION_ABORT_COMMAND";
        RELEASE_RECOVERY = 0x11, "SRB_FUNCTION_RELEASE_RECOVERY";
        /// Reset a bus.
        RESET_BUS = 0x12, "SRB_FUNCTION_RESET_BUS";
        /// Reset a target.
        RESET_DEVICE = 0x13, "SRB_FUNCTION_RESET_DEVICE";
        TERMINATE_IO = 0x14, "SRB_FUNCTION_TERMINATE_IO";
        FLUSH_QUEUE = 0x15, "SRB_FUNCTION_FLUSH_QUEUE";
        REMOVE_DEVICE = 0x16, "SRB_FUNCTION_REMOVE_DEVICE";
        WMI = 0x17, "SRB_FUNCTION_WMI";
        LOCK_QUEUE = 0x18, "SRB_FUNCTION_LOCK_QUEUE";
        UNLOCK_QUEUE = 0x19, "SRB_FUNCTION_UNLOCK_QUEUE";
        QUIESCE_DEVICE = 0x1A, "SRB_FUNCTION_QUIESCE_DEVICE";
        /// Reset a logical unit.
        RESET_LOGICAL_UNIT = 0x20, "SRB_FUNCTION_RESET_LOGICAL_UNIT";
        SET_LINK_TIMEOUT = 0x21, "SRB_FUNCTION_SET_LINK_TIMEOUT";
        LINK_TIMEOUT_OCCURRED = 0x22, "SRB_FUNCTION_LINK_TIMEOUT_OCCURRED";
        LINK_TIMEOUT_COMPLETE = 0x23, "SRB_FUNCTION_LINK_TIMEOUT_COMPLETE";
        POWER = 0x24, "SRB_FUNCTION_POWER";
        PNP = 0x25, "SRB_FUNCTION_PNP";
        DUMP_POINTERS = 0x26, "SRB_FUNCTION_DUMP_POINTERS";
        FREE_DUMP_POINTERS = 0x27, "SRB_FUNCTION_FREE_DUMP_POINTERS";
        /// The mark of an extended request, not a function.
        STORAGE_REQUEST_BLOCK = 0x28, "SRB_FUNCTION_STORAGE_REQUEST_BLOCK";
        CRYPTO_OPERATION = 0x29, "SRB_FUNCTION_CRYPTO_OPERATION";
        GET_DUMP_INFO = 0x2A, "SRB_FUNCTION_GET_DUMP_INFO";
        FREE_DUMP_INFO = 0x2B, "SRB_FUNCTION_FREE_DUMP_INFO";
        NVMEOF_OPERATION = 0x2C, "SRB_FUNCTION_NVMEOF_OPERATION";
        MINIPORT_PASSTHROUGH = 0x2D, "SRB_FUNCTION_MINIPORT_PASSTHROUGH";
    }
}

named! {
    /// `SRB_FLAGS_*`: how a request is to be treated.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_scsi_request_block>.
    SrbFlags(u32) {}
    bits {
        QUEUE_ACTION_ENABLE = 0x0000_0002, "SRB_FLAGS_QUEUE_ACTION_ENABLE";
        DISABLE_DISCONNECT = 0x0000_0004, "SRB_FLAGS_DISABLE_DISCONNECT";
        DISABLE_SYNCH_TRANSFER = 0x0000_0008, "SRB_FLAGS_DISABLE_SYNCH_TRANSFER";
        BYPASS_FROZEN_QUEUE = 0x0000_0010, "SRB_FLAGS_BYPASS_FROZEN_QUEUE";
        DISABLE_AUTOSENSE = 0x0000_0020, "SRB_FLAGS_DISABLE_AUTOSENSE";
        /// From the device.
        DATA_IN = 0x0000_0040, "SRB_FLAGS_DATA_IN";
        /// To the device.
        DATA_OUT = 0x0000_0080, "SRB_FLAGS_DATA_OUT";
        NO_QUEUE_FREEZE = 0x0000_0100, "SRB_FLAGS_NO_QUEUE_FREEZE";
        ADAPTER_CACHE_ENABLE = 0x0000_0200, "SRB_FLAGS_ADAPTER_CACHE_ENABLE";
        FREE_SENSE_BUFFER = 0x0000_0400, "SRB_FLAGS_FREE_SENSE_BUFFER";
        D3_PROCESSING = 0x0000_0800, "SRB_FLAGS_D3_PROCESSING";
        SEQUENTIAL_REQUIRED = 0x0000_1000, "SRB_FLAGS_SEQUENTIAL_REQUIRED";
        IS_ACTIVE = 0x0001_0000, "SRB_FLAGS_IS_ACTIVE";
        ALLOCATED_FROM_ZONE = 0x0002_0000, "SRB_FLAGS_ALLOCATED_FROM_ZONE";
        SGLIST_FROM_POOL = 0x0004_0000, "SRB_FLAGS_SGLIST_FROM_POOL";
        BYPASS_LOCKED_QUEUE = 0x0008_0000, "SRB_FLAGS_BYPASS_LOCKED_QUEUE";
        NO_KEEP_AWAKE = 0x0010_0000, "SRB_FLAGS_NO_KEEP_AWAKE";
        PORT_DRIVER_ALLOCSENSE = 0x0020_0000, "SRB_FLAGS_PORT_DRIVER_ALLOCSENSE";
        PORT_DRIVER_SENSEHASPORT = 0x0040_0000, "SRB_FLAGS_PORT_DRIVER_SENSEHASPORT";
        DONT_START_NEXT_PACKET = 0x0080_0000, "SRB_FLAGS_DONT_START_NEXT_PACKET";
    }
}

impl SrbFlags {
    /// `SRB_FLAGS_UNSPECIFIED_DIRECTION`: data moves, nobody said which way. Also the mask of both.
    pub const UNSPECIFIED_DIRECTION: Self = Self(Self::DATA_IN.0 | Self::DATA_OUT.0);
    /// `SRB_FLAGS_PORT_DRIVER_RESERVED`: the mask of StorPort's own bits.
    pub const PORT_DRIVER_RESERVED: Self = Self(0x0F00_0000);
    /// `SRB_FLAGS_CLASS_DRIVER_RESERVED`: the mask of the class driver's own bits.
    pub const CLASS_DRIVER_RESERVED: Self = Self(0xF000_0000);
}

/// A request of either kind, as a miniport gets it.
///
/// Copies name the same request. The methods follow srbhelper.h, and differ from it where the
/// request is malformed: a part that is not wholly inside the request is not there.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Srb(NonNull<ScsiRequestBlock>);

/// Where a request is, by its kind.
enum Block {
    Legacy(*mut ScsiRequestBlock),
    Extended(*mut StorageRequestBlock),
}

/// Where a request keeps what belongs to its SCSI command; none of it need be aligned.
struct Scsi {
    status: *mut u8,
    sense_buffer: *mut *mut c_void,
    sense_buffer_bytes: u8,
    cdb: *mut u8,
    cdb_bytes: usize,
}

impl Srb {
    /// The request at `srb`.
    ///
    /// # Safety
    ///
    /// As long as this handle or a copy of it is used, `srb` points to a request, aligned to 8
    /// bytes, which nobody else writes meanwhile: a [`ScsiRequestBlock`], or, if the third byte is
    /// 0x28, a [`StorageRequestBlock`] of which [`StorageRequestBlock::HEAD_BYTES`] and SrbLength
    /// bytes can be read and written. Its sense buffer, unless NULL, has as many writable bytes as
    /// the request says. Offsets, counts and types inside the request may be anything.
    #[must_use]
    pub const unsafe fn new(srb: *mut ScsiRequestBlock) -> Self {
        // SAFETY: a pointer to a request is not null.
        unsafe { Self(NonNull::new_unchecked(srb)) }
    }

    /// The pointer as StorPort passes it.
    #[must_use]
    pub const fn as_ptr(self) -> *mut ScsiRequestBlock {
        self.0.as_ptr()
    }

    /// Whether it is a STORAGE_REQUEST_BLOCK.
    #[must_use]
    pub fn is_extended(self) -> bool {
        // SAFETY: `new`'s contract; both kinds have this field here.
        unsafe { (*self.as_ptr()).function == SrbFunction::STORAGE_REQUEST_BLOCK }
    }

    fn block(self) -> Block {
        if self.is_extended() {
            Block::Extended(self.as_ptr().cast())
        } else {
            Block::Legacy(self.as_ptr())
        }
    }

    /// What is asked for. A function of an extended request above 0xFF, which no function is, is
    /// 0xFF.
    #[must_use]
    pub fn function(self) -> SrbFunction {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).function,
                Block::Extended(srb) => {
                    SrbFunction(u8::try_from((*srb).srb_function).unwrap_or(u8::MAX))
                }
            }
        }
    }

    /// How it ended, or that it has not.
    #[must_use]
    pub fn status(self) -> SrbStatus {
        // SAFETY: `new`'s contract; both kinds have this field here.
        unsafe { (*self.as_ptr()).srb_status }
    }

    /// Sets how it ended.
    pub fn set_status(self, status: SrbStatus) {
        // SAFETY: `new`'s contract; both kinds have this field here.
        unsafe { (*self.as_ptr()).srb_status = status }
    }

    /// How it is to be treated.
    #[must_use]
    pub fn flags(self) -> SrbFlags {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).srb_flags,
                Block::Extended(srb) => (*srb).srb_flags,
            }
        }
    }

    /// Bytes to move; after completion, bytes moved.
    #[must_use]
    pub fn data_transfer_length(self) -> u32 {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).data_transfer_length,
                Block::Extended(srb) => (*srb).data_transfer_length,
            }
        }
    }

    /// Sets how many bytes were moved.
    pub fn set_data_transfer_length(self, bytes: u32) {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).data_transfer_length = bytes,
                Block::Extended(srb) => (*srb).data_transfer_length = bytes,
            }
        }
    }

    /// The data buffer. Whether a miniport may follow it depends on MapBuffers.
    #[must_use]
    pub fn data_buffer(self) -> *mut c_void {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).data_buffer,
                Block::Extended(srb) => (*srb).data_buffer,
            }
        }
    }

    /// The request that this one is about, for [`SrbFunction::ABORT_COMMAND`]. It may have ended: only
    /// its address means anything.
    #[must_use]
    pub fn next_srb(self) -> Option<Srb> {
        // SAFETY: `new`'s contract.
        let next = unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).next_srb,
                Block::Extended(srb) => (*srb).next_srb.cast(),
            }
        };
        NonNull::new(next).map(Srb)
    }

    /// Seconds until StorPort takes it for lost.
    #[must_use]
    pub fn timeout_seconds(self) -> u32 {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).time_out_value,
                Block::Extended(srb) => (*srb).time_out_value,
            }
        }
    }

    /// The miniport's memory for this request: SrbExtension, MiniportContext.
    #[must_use]
    pub fn miniport_context(self) -> *mut c_void {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).srb_extension,
                Block::Extended(srb) => (*srb).miniport_context,
            }
        }
    }

    /// The IRP that it came with.
    #[must_use]
    pub fn original_request(self) -> *mut c_void {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => (*srb).original_request,
                Block::Extended(srb) => (*srb).original_request,
            }
        }
    }

    /// Which logical unit it is for; `None` if an extended request has no BTL8 address inside it.
    #[must_use]
    pub fn address(self) -> Option<StorAddrBtl8> {
        // SAFETY: `new`'s contract.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => {
                    Some(StorAddrBtl8::new((*srb).path_id, (*srb).target_id, (*srb).lun))
                }
                Block::Extended(srb) => extended::address(srb),
            }
        }
    }

    /// The bus; 0 without a valid [`address`](Self::address).
    #[must_use]
    pub fn path_id(self) -> u8 {
        self.address().map_or(0, |address| address.path)
    }

    /// The target; 0 without a valid [`address`](Self::address).
    #[must_use]
    pub fn target_id(self) -> u8 {
        self.address().map_or(0, |address| address.target)
    }

    /// The logical unit; 0 without a valid [`address`](Self::address).
    #[must_use]
    pub fn lun(self) -> u8 {
        self.address().map_or(0, |address| address.lun)
    }

    /// A copy of the first block of extended data of that type; `None` from a SCSI_REQUEST_BLOCK.
    #[must_use]
    pub fn ex_data<T: SrbExData>(self) -> Option<T> {
        let Block::Extended(srb) = self.block() else { return None };
        // SAFETY: `new`'s contract; any bytes are a `T`.
        unsafe { extended::ex_data::<T>(srb).map(|(data, _)| data.read_unaligned()) }
    }

    /// The parts of the SCSI command, if there is one.
    fn scsi(self) -> Option<Scsi> {
        if self.function() != SrbFunction::EXECUTE_SCSI {
            return None;
        }
        // SAFETY: `new`'s contract; `ex_data` gives blocks that are inside the request.
        unsafe {
            match self.block() {
                Block::Legacy(srb) => Some(Scsi {
                    status: &raw mut (*srb).scsi_status,
                    sense_buffer: &raw mut (*srb).sense_info_buffer,
                    sense_buffer_bytes: (*srb).sense_info_buffer_length,
                    cdb: (&raw mut (*srb).cdb).cast(),
                    cdb_bytes: usize::from((*srb).cdb_length).min(16),
                }),
                Block::Extended(srb) => scsi_of_fixed::<16>(srb)
                    .or_else(|| scsi_of_fixed::<32>(srb))
                    .or_else(|| scsi_of_variable(srb)),
            }
        }
    }

    /// The SCSI command, its first 16 bytes if it is longer, padded with zeros if it is shorter;
    /// `None` if the request carries none.
    #[must_use]
    pub fn cdb(self) -> Option<[u8; 16]> {
        let scsi = self.scsi().filter(|scsi| scsi.cdb_bytes > 0)?;
        let mut cdb = [0; 16];
        // SAFETY: `scsi` says where `cdb_bytes` bytes of the request are.
        unsafe {
            ptr::copy_nonoverlapping(scsi.cdb, cdb.as_mut_ptr(), scsi.cdb_bytes.min(cdb.len()));
        }
        Some(cdb)
    }

    /// The SCSI status byte; 0 if the request carries no SCSI command.
    #[must_use]
    pub fn scsi_status(self) -> u8 {
        // SAFETY: `scsi` points into the request.
        self.scsi().map_or(0, |scsi| unsafe { scsi.status.read() })
    }

    /// Sets the SCSI status byte, if the request carries a SCSI command.
    pub fn set_scsi_status(self, status: u8) {
        if let Some(scsi) = self.scsi() {
            // SAFETY: `scsi` points into the request.
            unsafe { scsi.status.write(status) }
        }
    }

    /// The sense buffer and its size in bytes; `None` if there is none to write to.
    #[must_use]
    pub fn sense_buffer(self) -> Option<(*mut u8, u8)> {
        let scsi = self.scsi()?;
        // SAFETY: `scsi` points into the request.
        let buffer = unsafe { scsi.sense_buffer.read_unaligned() };
        (!buffer.is_null() && scsi.sense_buffer_bytes > 0)
            .then(|| (buffer.cast(), scsi.sense_buffer_bytes))
    }

    /// Copies as much of `sense` as the sense buffer holds, and returns how many bytes that was.
    ///
    /// The status is the caller's to set: [`SrbStatus::AUTOSENSE_VALID`] and a SCSI status.
    pub fn write_sense(self, sense: &[u8]) -> usize {
        let Some((buffer, room)) = self.sense_buffer() else { return 0 };
        let bytes = sense.len().min(usize::from(room));
        // SAFETY: `new`'s contract covers the sense buffer; `copy` allows that `sense` is in it.
        unsafe { ptr::copy(sense.as_ptr(), buffer, bytes) }
        bytes
    }
}

/// The SCSI command in an SRBEX_DATA_SCSI_CDB16 or SRBEX_DATA_SCSI_CDB32.
///
/// # Safety
///
/// As for [`Srb::new`].
unsafe fn scsi_of_fixed<const BYTES: usize>(srb: *mut StorageRequestBlock) -> Option<Scsi>
where
    SrbExDataScsiCdb<BYTES>: SrbExData,
{
    // SAFETY: the contract; the block is inside the request, and only its bytes are reached.
    unsafe {
        let (data, _) = extended::ex_data::<SrbExDataScsiCdb<BYTES>>(srb)?;
        let copy = data.read_unaligned();
        let at = data.cast::<u8>();
        Some(Scsi {
            status: at.add(offset_of!(SrbExDataScsiCdb<BYTES>, scsi_status)),
            sense_buffer: at.add(offset_of!(SrbExDataScsiCdb<BYTES>, sense_info_buffer)).cast(),
            sense_buffer_bytes: copy.sense_info_buffer_length,
            cdb: at.add(offset_of!(SrbExDataScsiCdb<BYTES>, cdb)),
            cdb_bytes: usize::from(copy.cdb_length).min(BYTES),
        })
    }
}

/// The SCSI command in an SRBEX_DATA_SCSI_CDB_VAR, cut where the request ends.
///
/// # Safety
///
/// As for [`Srb::new`].
unsafe fn scsi_of_variable(srb: *mut StorageRequestBlock) -> Option<Scsi> {
    // SAFETY: the contract; the block is inside the request, and only its bytes are reached.
    unsafe {
        let (data, room) = extended::ex_data::<SrbExDataScsiCdbVar>(srb)?;
        let copy = data.read_unaligned();
        let at = data.cast::<u8>();
        let cdb = offset_of!(SrbExDataScsiCdbVar, cdb);
        Some(Scsi {
            status: at.add(offset_of!(SrbExDataScsiCdbVar, scsi_status)),
            sense_buffer: at.add(offset_of!(SrbExDataScsiCdbVar, sense_info_buffer)).cast(),
            sense_buffer_bytes: copy.sense_info_buffer_length,
            cdb: at.add(cdb),
            cdb_bytes: (copy.cdb_length as usize).min(room - cdb),
        })
    }
}
