//! STORAGE_REQUEST_BLOCK: the extended request. Its address and its extended data lie behind a
//! head, at offsets that the head holds; they come from outside, so a part counts only if it is
//! inside.

use core::ffi::c_void;
use core::mem::offset_of;

use super::data::{SrbExData, SrbExDataType};
use super::{SrbFlags, SrbFunction};
use crate::storport::address::{StorAddrBtl8, StorAddressType};
use crate::storport::status::SrbStatus;

/// `STORAGE_REQUEST_BLOCK`: the head of an extended request, with room for one offset.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_storage_request_block>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct StorageRequestBlock {
    /// `Length` of this structure, in bytes.
    pub length: u16,
    /// `Function`: always [`SrbFunction::STORAGE_REQUEST_BLOCK`].
    pub function: SrbFunction,
    /// `SrbStatus`.
    pub srb_status: SrbStatus,
    /// `ReservedUlong1`.
    pub reserved_ulong1: u32,
    /// `Signature`: [`StorageRequestBlock::SIGNATURE`].
    pub signature: u32,
    /// `Version`: [`StorageRequestBlock::VERSION`].
    pub version: u32,
    /// `SrbLength`: bytes of the request, address and extended data included.
    pub srb_length: u32,
    /// `SrbFunction`: an [`SrbFunction`], widened.
    pub srb_function: u32,
    /// `SrbFlags`.
    pub srb_flags: SrbFlags,
    /// `ReservedUlong2`.
    pub reserved_ulong2: u32,
    /// `RequestTag`.
    pub request_tag: u32,
    /// `RequestPriority`.
    pub request_priority: u16,
    /// `RequestAttribute`.
    pub request_attribute: u16,
    /// `TimeOutValue`, in seconds.
    pub time_out_value: u32,
    /// `SystemStatus`; also `RequestTagHigh4Bytes`.
    pub system_status: u32,
    /// `ZeroGuard1`.
    pub zero_guard1: u32,
    /// `AddressOffset`: bytes from the start of the request to its address.
    pub address_offset: u32,
    /// `NumSrbExData`: how many blocks of extended data.
    pub num_srb_ex_data: u32,
    /// `DataTransferLength`, in bytes.
    pub data_transfer_length: u32,
    /// `DataBuffer`.
    pub data_buffer: *mut c_void,
    /// `ZeroGuard2`.
    pub zero_guard2: *mut c_void,
    /// `OriginalRequest`: the IRP.
    pub original_request: *mut c_void,
    /// `ClassContext`.
    pub class_context: *mut c_void,
    /// `PortContext`.
    pub port_context: *mut c_void,
    /// `MiniportContext`: the miniport's memory.
    pub miniport_context: *mut c_void,
    /// `NextSrb`.
    pub next_srb: *mut StorageRequestBlock,
    /// `SrbExDataOffset`: bytes from the start of the request to each block; the first of them.
    pub srb_ex_data_offset: [u32; 1],
}

impl StorageRequestBlock {
    /// `SRB_SIGNATURE`.
    pub const SIGNATURE: u32 = 0x5352_4258;
    /// `STORAGE_REQUEST_BLOCK_VERSION_1`.
    pub const VERSION: u32 = 1;
    /// Bytes of the head without offsets; a request is never shorter.
    pub const HEAD_BYTES: usize = offset_of!(Self, srb_ex_data_offset);
}

impl Default for StorageRequestBlock {
    /// A request without address, extended data or function.
    fn default() -> Self {
        // SAFETY: zero is a value of every field: integers and null pointers.
        let zeroed: Self = unsafe { core::mem::zeroed() };
        Self {
            length: size_of::<Self>() as u16,
            function: SrbFunction::STORAGE_REQUEST_BLOCK,
            signature: Self::SIGNATURE,
            version: Self::VERSION,
            srb_length: size_of::<Self>() as u32,
            ..zeroed
        }
    }
}

/// The bytes from `offset` on, if the head names them and at least `bytes` of them are inside
/// SrbLength: the start, not necessarily aligned, and how many bytes there are.
///
/// # Safety
///
/// `srb` points to [`StorageRequestBlock::HEAD_BYTES`] and to SrbLength readable bytes.
unsafe fn part(
    srb: *mut StorageRequestBlock,
    offset: u32,
    bytes: usize,
) -> Option<(*mut u8, usize)> {
    // SAFETY: the contract covers the head.
    let (length, slots) = unsafe { ((*srb).srb_length as usize, (*srb).num_srb_ex_data as usize) };
    let offset = offset as usize;
    let head = StorageRequestBlock::HEAD_BYTES.checked_add(slots.checked_mul(size_of::<u32>())?)?;
    let room = length.checked_sub(offset)?;
    // SAFETY: `offset` is at most SrbLength, up to which the contract reaches.
    (head <= offset && bytes <= room).then(|| unsafe { (srb.cast::<u8>().add(offset), room) })
}

/// The first block of the type `T` that is inside SrbLength, not necessarily aligned, and how many
/// bytes there are from its start to the end of the request.
///
/// # Safety
///
/// As for [`part`].
pub(super) unsafe fn ex_data<T: SrbExData>(
    srb: *mut StorageRequestBlock,
) -> Option<(*mut T, usize)> {
    // SAFETY: the contract covers the head.
    let (length, slots) = unsafe { ((*srb).srb_length as usize, (*srb).num_srb_ex_data as usize) };
    let slots_inside = length.saturating_sub(StorageRequestBlock::HEAD_BYTES) / size_of::<u32>();
    if slots > slots_inside {
        return None;
    }
    (0..slots).find_map(|slot| {
        let at = StorageRequestBlock::HEAD_BYTES + slot * size_of::<u32>();
        // SAFETY: every slot is inside SrbLength, and so is a part of a head's size.
        unsafe {
            let offset = srb.cast::<u8>().add(at).cast::<u32>().read();
            let (start, room) = part(srb, offset, size_of::<T>())?;
            let kind = start.cast::<SrbExDataType>().read_unaligned();
            (kind == T::TYPE).then(|| (start.cast(), room))
        }
    })
}

/// The address, if it is inside SrbLength and a BTL8 address.
///
/// # Safety
///
/// As for [`part`].
pub(super) unsafe fn address(srb: *mut StorageRequestBlock) -> Option<StorAddrBtl8> {
    // SAFETY: the contract; the part has the size of the address.
    let address = unsafe {
        let (start, _) = part(srb, (*srb).address_offset, size_of::<StorAddrBtl8>())?;
        start.cast::<StorAddrBtl8>().read_unaligned()
    };
    (address.kind == StorAddressType::BTL8).then_some(address)
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<StorageRequestBlock>() == 0x80);
    assert!(offset_of!(StorageRequestBlock, length) == 0x00);
    assert!(offset_of!(StorageRequestBlock, function) == 0x02);
    assert!(offset_of!(StorageRequestBlock, srb_status) == 0x03);
    assert!(offset_of!(StorageRequestBlock, reserved_ulong1) == 0x04);
    assert!(offset_of!(StorageRequestBlock, signature) == 0x08);
    assert!(offset_of!(StorageRequestBlock, version) == 0x0C);
    assert!(offset_of!(StorageRequestBlock, srb_length) == 0x10);
    assert!(offset_of!(StorageRequestBlock, srb_function) == 0x14);
    assert!(offset_of!(StorageRequestBlock, srb_flags) == 0x18);
    assert!(offset_of!(StorageRequestBlock, reserved_ulong2) == 0x1C);
    assert!(offset_of!(StorageRequestBlock, request_tag) == 0x20);
    assert!(offset_of!(StorageRequestBlock, request_priority) == 0x24);
    assert!(offset_of!(StorageRequestBlock, request_attribute) == 0x26);
    assert!(offset_of!(StorageRequestBlock, time_out_value) == 0x28);
    assert!(offset_of!(StorageRequestBlock, system_status) == 0x2C);
    assert!(offset_of!(StorageRequestBlock, zero_guard1) == 0x30);
    assert!(offset_of!(StorageRequestBlock, address_offset) == 0x34);
    assert!(offset_of!(StorageRequestBlock, num_srb_ex_data) == 0x38);
    assert!(offset_of!(StorageRequestBlock, data_transfer_length) == 0x3C);
    assert!(offset_of!(StorageRequestBlock, data_buffer) == 0x40);
    assert!(offset_of!(StorageRequestBlock, zero_guard2) == 0x48);
    assert!(offset_of!(StorageRequestBlock, original_request) == 0x50);
    assert!(offset_of!(StorageRequestBlock, class_context) == 0x58);
    assert!(offset_of!(StorageRequestBlock, port_context) == 0x60);
    assert!(offset_of!(StorageRequestBlock, miniport_context) == 0x68);
    assert!(offset_of!(StorageRequestBlock, next_srb) == 0x70);
    assert!(offset_of!(StorageRequestBlock, srb_ex_data_offset) == 0x78);
};
