//! SRBEX_DATA: the blocks of extended data that a STORAGE_REQUEST_BLOCK carries behind its head.

use core::ffi::c_void;

use crate::storport::status::named;

named! {
    /// `SRBEXDATATYPE`: what a block of extended data is.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data>.
    SrbExDataType(u32) {
        UNKNOWN = 0x00, "SrbExDataTypeUnknown";
        BIDIRECTIONAL = 0x01, "SrbExDataTypeBidirectional";
        SCSI_CDB16 = 0x40, "SrbExDataTypeScsiCdb16";
        SCSI_CDB32 = 0x41, "SrbExDataTypeScsiCdb32";
        SCSI_CDB_VAR = 0x42, "SrbExDataTypeScsiCdbVar";
        NVME_COMMAND = 0x43, "SrbExDataTypeNvmeCommand";
        WMI = 0x60, "SrbExDataTypeWmi";
        POWER = 0x61, "SrbExDataTypePower";
        PNP = 0x62, "SrbExDataTypePnp";
        IO_INFO = 0x80, "SrbExDataTypeIoInfo";
    }
}

/// A block of extended data.
///
/// # Safety
///
/// `repr(C)`, begins with an [`SrbExDataHead`]'s fields, and any bytes are a value of it.
pub unsafe trait SrbExData: Copy {
    /// What `Type` says of such a block.
    const TYPE: SrbExDataType;
}

/// `SRBEX_DATA`: the head of every block of extended data.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SrbExDataHead {
    /// `Type`.
    pub kind: SrbExDataType,
    /// `Length`: bytes behind this head.
    pub length: u32,
}

/// `SRBEX_DATA_SCSI_CDB16`: a SCSI command of up to 16 bytes.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data_scsi_cdb16>.
pub type SrbExDataScsiCdb16 = SrbExDataScsiCdb<16>;

/// `SRBEX_DATA_SCSI_CDB32`: a SCSI command of up to 32 bytes.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data_scsi_cdb32>.
pub type SrbExDataScsiCdb32 = SrbExDataScsiCdb<32>;

/// What [`SrbExDataScsiCdb16`] and [`SrbExDataScsiCdb32`] share: all but the room for the command.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct SrbExDataScsiCdb<const BYTES: usize> {
    /// `Type` and `Length`.
    pub head: SrbExDataHead,
    /// `ScsiStatus`.
    pub scsi_status: u8,
    /// `SenseInfoBufferLength`, in bytes.
    pub sense_info_buffer_length: u8,
    /// `CdbLength`, in bytes.
    pub cdb_length: u8,
    /// `Reserved`.
    pub reserved: u8,
    /// `Reserved1`.
    pub reserved1: u32,
    /// `SenseInfoBuffer`.
    pub sense_info_buffer: *mut c_void,
    /// `Cdb`.
    pub cdb: [u8; BYTES],
}

impl Default for SrbExDataScsiCdb16 {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for SrbExDataScsiCdb32 {
    fn default() -> Self {
        Self::new()
    }
}

impl<const BYTES: usize> SrbExDataScsiCdb<BYTES>
where
    Self: SrbExData,
{
    /// A block without command and sense buffer.
    #[must_use]
    pub const fn new() -> Self {
        let length = (size_of::<Self>() - size_of::<SrbExDataHead>()) as u32;
        Self {
            head: SrbExDataHead { kind: Self::TYPE, length },
            scsi_status: 0,
            sense_info_buffer_length: 0,
            cdb_length: 0,
            reserved: 0,
            reserved1: 0,
            sense_info_buffer: core::ptr::null_mut(),
            cdb: [0; BYTES],
        }
    }
}

/// `SRBEX_DATA_SCSI_CDB_VAR`: a SCSI command of any length, which begins at `cdb`.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data_scsi_cdb_var>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct SrbExDataScsiCdbVar {
    /// `Type` and `Length`.
    pub head: SrbExDataHead,
    /// `ScsiStatus`.
    pub scsi_status: u8,
    /// `SenseInfoBufferLength`, in bytes.
    pub sense_info_buffer_length: u8,
    /// `Reserved`.
    pub reserved: [u8; 2],
    /// `CdbLength`, in bytes.
    pub cdb_length: u32,
    /// `Reserved1`.
    pub reserved1: [u32; 2],
    /// `SenseInfoBuffer`.
    pub sense_info_buffer: *mut c_void,
    /// `Cdb`: its first byte.
    pub cdb: [u8; 1],
}

/// `SRBEX_DATA_IO_INFO`: hints about a read or write.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data_io_info>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SrbExDataIoInfo {
    /// `Type` and `Length`.
    pub head: SrbExDataHead,
    /// `Flags`.
    pub flags: u32,
    /// `Key`: which file, in a form that does not reveal it.
    pub key: u32,
    /// `RWLength`, in bytes.
    pub rw_length: u32,
    /// `IsWriteRequest`.
    pub is_write_request: u8,
    /// `CachePriority`.
    pub cache_priority: u8,
    /// `Reserved`.
    pub reserved: [u8; 2],
    /// `Reserved1`.
    pub reserved1: [u32; 2],
}

/// `SRBEX_DATA_WMI`: a WMI request.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data_wmi>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct SrbExDataWmi {
    /// `Type` and `Length`.
    pub head: SrbExDataHead,
    /// `WMISubFunction`.
    pub wmi_sub_function: u8,
    /// `WMIFlags`.
    pub wmi_flags: u8,
    /// `Reserved`.
    pub reserved: [u8; 2],
    /// `Reserved1`.
    pub reserved1: u32,
    /// `DataPath`.
    pub data_path: *mut c_void,
}

/// `SRBEX_DATA_POWER`: a change of a device's power state.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data_power>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SrbExDataPower {
    /// `Type` and `Length`.
    pub head: SrbExDataHead,
    /// `SrbPowerFlags`.
    pub srb_power_flags: u8,
    /// `Reserved`.
    pub reserved: [u8; 3],
    /// `DevicePowerState`: a STOR_DEVICE_POWER_STATE.
    pub device_power_state: u32,
    /// `PowerAction`: a STOR_POWER_ACTION.
    pub power_action: u32,
}

/// `SRBEX_DATA_PNP`: a Plug and Play request.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/srb/ns-srb-_srbex_data_pnp>.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SrbExDataPnp {
    /// `Type` and `Length`.
    pub head: SrbExDataHead,
    /// `PnPSubFunction`.
    pub pnp_sub_function: u8,
    /// `Reserved`.
    pub reserved: [u8; 3],
    /// `PnPAction`: a STOR_PNP_ACTION.
    pub pnp_action: u32,
    /// `SrbPnPFlags`.
    pub srb_pnp_flags: u32,
    /// `Reserved1`.
    pub reserved1: u32,
}

// SAFETY: integers and a raw pointer behind a head.
unsafe impl SrbExData for SrbExDataScsiCdb16 {
    const TYPE: SrbExDataType = SrbExDataType::SCSI_CDB16;
}

// SAFETY: integers and a raw pointer behind a head.
unsafe impl SrbExData for SrbExDataScsiCdb32 {
    const TYPE: SrbExDataType = SrbExDataType::SCSI_CDB32;
}

// SAFETY: integers and a raw pointer behind a head.
unsafe impl SrbExData for SrbExDataScsiCdbVar {
    const TYPE: SrbExDataType = SrbExDataType::SCSI_CDB_VAR;
}

// SAFETY: integers behind a head.
unsafe impl SrbExData for SrbExDataIoInfo {
    const TYPE: SrbExDataType = SrbExDataType::IO_INFO;
}

// SAFETY: integers and a raw pointer behind a head.
unsafe impl SrbExData for SrbExDataWmi {
    const TYPE: SrbExDataType = SrbExDataType::WMI;
}

// SAFETY: integers behind a head.
unsafe impl SrbExData for SrbExDataPower {
    const TYPE: SrbExDataType = SrbExDataType::POWER;
}

// SAFETY: integers behind a head.
unsafe impl SrbExData for SrbExDataPnp {
    const TYPE: SrbExDataType = SrbExDataType::PNP;
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<SrbExDataHead>() == 0x08);
    assert!(offset_of!(SrbExDataHead, kind) == 0x00);
    assert!(offset_of!(SrbExDataHead, length) == 0x04);
    assert!(size_of::<SrbExDataScsiCdb16>() == 0x28);
    assert!(offset_of!(SrbExDataScsiCdb16, scsi_status) == 0x08);
    assert!(offset_of!(SrbExDataScsiCdb16, sense_info_buffer_length) == 0x09);
    assert!(offset_of!(SrbExDataScsiCdb16, cdb_length) == 0x0A);
    assert!(offset_of!(SrbExDataScsiCdb16, reserved) == 0x0B);
    assert!(offset_of!(SrbExDataScsiCdb16, reserved1) == 0x0C);
    assert!(offset_of!(SrbExDataScsiCdb16, sense_info_buffer) == 0x10);
    assert!(offset_of!(SrbExDataScsiCdb16, cdb) == 0x18);
    assert!(size_of::<SrbExDataScsiCdb32>() == 0x38);
    assert!(offset_of!(SrbExDataScsiCdb32, scsi_status) == 0x08);
    assert!(offset_of!(SrbExDataScsiCdb32, sense_info_buffer_length) == 0x09);
    assert!(offset_of!(SrbExDataScsiCdb32, cdb_length) == 0x0A);
    assert!(offset_of!(SrbExDataScsiCdb32, reserved) == 0x0B);
    assert!(offset_of!(SrbExDataScsiCdb32, reserved1) == 0x0C);
    assert!(offset_of!(SrbExDataScsiCdb32, sense_info_buffer) == 0x10);
    assert!(offset_of!(SrbExDataScsiCdb32, cdb) == 0x18);
    assert!(size_of::<SrbExDataScsiCdbVar>() == 0x28);
    assert!(offset_of!(SrbExDataScsiCdbVar, scsi_status) == 0x08);
    assert!(offset_of!(SrbExDataScsiCdbVar, sense_info_buffer_length) == 0x09);
    assert!(offset_of!(SrbExDataScsiCdbVar, cdb_length) == 0x0C);
    assert!(offset_of!(SrbExDataScsiCdbVar, reserved1) == 0x10);
    assert!(offset_of!(SrbExDataScsiCdbVar, sense_info_buffer) == 0x18);
    assert!(offset_of!(SrbExDataScsiCdbVar, cdb) == 0x20);
    assert!(size_of::<SrbExDataIoInfo>() == 0x20);
    assert!(offset_of!(SrbExDataIoInfo, flags) == 0x08);
    assert!(offset_of!(SrbExDataIoInfo, key) == 0x0C);
    assert!(offset_of!(SrbExDataIoInfo, rw_length) == 0x10);
    assert!(offset_of!(SrbExDataIoInfo, is_write_request) == 0x14);
    assert!(offset_of!(SrbExDataIoInfo, cache_priority) == 0x15);
    assert!(offset_of!(SrbExDataIoInfo, reserved1) == 0x18);
    assert!(size_of::<SrbExDataWmi>() == 0x18);
    assert!(offset_of!(SrbExDataWmi, wmi_sub_function) == 0x08);
    assert!(offset_of!(SrbExDataWmi, wmi_flags) == 0x09);
    assert!(offset_of!(SrbExDataWmi, reserved1) == 0x0C);
    assert!(offset_of!(SrbExDataWmi, data_path) == 0x10);
    assert!(size_of::<SrbExDataPower>() == 0x18);
    assert!(offset_of!(SrbExDataPower, srb_power_flags) == 0x08);
    assert!(offset_of!(SrbExDataPower, device_power_state) == 0x0C);
    assert!(offset_of!(SrbExDataPower, power_action) == 0x10);
    assert!(size_of::<SrbExDataPnp>() == 0x18);
    assert!(offset_of!(SrbExDataPnp, pnp_sub_function) == 0x08);
    assert!(offset_of!(SrbExDataPnp, pnp_action) == 0x0C);
    assert!(offset_of!(SrbExDataPnp, srb_pnp_flags) == 0x10);
    assert!(offset_of!(SrbExDataPnp, reserved1) == 0x14);
};
