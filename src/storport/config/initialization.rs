//! HW_INITIALIZATION_DATA: what a miniport's DriverEntry hands to StorPortInitialize.

use super::{
    ADDRESS_TYPE_FLAG_BTL8, HwAdapterControl, HwBuildIo, HwFindAdapter, HwInitialize, HwInterrupt,
    HwResetBus, HwStartIo, HwTracingEnabled, HwUnitControl, InterfaceType,
    STOR_MAP_NON_READ_WRITE_BUFFERS,
};

/// `HW_INITIALIZATION_DATA`: the entry points of a miniport and the memory it wants.
///
/// A miniport built with an older header passes fewer bytes: a field exists only where
/// `hw_initialization_data_size` covers it. A virtual miniport's ends before `hw_tracing_enabled`,
/// and its `hw_find_adapter` is a [`VirtualHwFindAdapter`](super::VirtualHwFindAdapter).
/// Routines that no supported miniport needs are plain words.
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_hw_initialization_data~r1>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct HwInitializationData {
    /// `HwInitializationDataSize`: bytes of it that the caller has; StorPort reads no more.
    pub hw_initialization_data_size: u32,
    /// `AdapterInterfaceType`: the bus.
    pub adapter_interface_type: InterfaceType,
    /// `HwInitialize`.
    pub hw_initialize: Option<HwInitialize>,
    /// `HwStartIo`.
    pub hw_start_io: Option<HwStartIo>,
    /// `HwInterrupt`: NULL with message interrupts only.
    pub hw_interrupt: Option<HwInterrupt>,
    /// `HwFindAdapter`.
    pub hw_find_adapter: Option<HwFindAdapter>,
    /// `HwResetBus`.
    pub hw_reset_bus: Option<HwResetBus>,
    /// `HwDmaStarted`: must be NULL.
    pub hw_dma_started: usize,
    /// `HwAdapterState`: must be NULL.
    pub hw_adapter_state: usize,
    /// `DeviceExtensionSize`: bytes for each adapter.
    pub device_extension_size: u32,
    /// `SpecificLuExtensionSize`: bytes for each logical unit.
    pub specific_lu_extension_size: u32,
    /// `SrbExtensionSize`: bytes for each request.
    pub srb_extension_size: u32,
    /// `NumberOfAccessRanges`: how many ranges the adapter uses.
    pub number_of_access_ranges: u32,
    /// `Reserved`.
    pub reserved: usize,
    /// `MapBuffers`: one of `STOR_MAP_*`.
    pub map_buffers: u8,
    /// `NeedPhysicalAddresses`: must be TRUE.
    pub need_physical_addresses: u8,
    /// `TaggedQueuing`: must be TRUE.
    pub tagged_queuing: u8,
    /// `AutoRequestSense`: must be TRUE.
    pub auto_request_sense: u8,
    /// `MultipleRequestPerLu`: must be TRUE.
    pub multiple_request_per_lu: u8,
    /// `ReceiveEvent`: not used.
    pub receive_event: u8,
    /// `VendorIdLength`: not used.
    pub vendor_id_length: u16,
    /// `VendorId`: not used.
    pub vendor_id: usize,
    /// `ReservedUshort`: also `PortVersionFlags`.
    pub reserved_ushort: u16,
    /// `DeviceIdLength`: not used.
    pub device_id_length: u16,
    /// `DeviceId`: not used.
    pub device_id: usize,
    /// `HwAdapterControl`.
    pub hw_adapter_control: Option<HwAdapterControl>,
    /// `HwBuildIo`: NULL for a virtual miniport.
    pub hw_build_io: Option<HwBuildIo>,
    /// `HwFreeAdapterResources`: virtual miniports only.
    pub hw_free_adapter_resources: usize,
    /// `HwProcessServiceRequest`: virtual miniports only.
    pub hw_process_service_request: usize,
    /// `HwCompleteServiceIrp`: virtual miniports only.
    pub hw_complete_service_irp: usize,
    /// `HwInitializeTracing`.
    pub hw_initialize_tracing: usize,
    /// `HwCleanupTracing`.
    pub hw_cleanup_tracing: usize,
    /// `HwTracingEnabled`.
    pub hw_tracing_enabled: Option<HwTracingEnabled>,
    /// `FeatureSupport`: `STOR_FEATURE_*`.
    pub feature_support: u32,
    /// `SrbTypeFlags`: `SRB_TYPE_FLAG_*`: the requests that the miniport takes.
    pub srb_type_flags: u32,
    /// `AddressTypeFlags`: `ADDRESS_TYPE_FLAG_*`.
    pub address_type_flags: u32,
    /// `Reserved1`.
    pub reserved1: u32,
    /// `HwUnitControl`.
    pub hw_unit_control: Option<HwUnitControl>,
}

impl HwInitializationData {
    /// No routines, and in the other fields what StorPort asks of every PCI miniport.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hw_initialization_data_size: size_of::<Self>() as u32,
            adapter_interface_type: InterfaceType::PCI_BUS,
            map_buffers: STOR_MAP_NON_READ_WRITE_BUFFERS,
            need_physical_addresses: 1,
            tagged_queuing: 1,
            auto_request_sense: 1,
            multiple_request_per_lu: 1,
            address_type_flags: ADDRESS_TYPE_FLAG_BTL8,
            ..Self::default()
        }
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<HwInitializationData>() == 0xD0);
    assert!(offset_of!(HwInitializationData, hw_initialization_data_size) == 0x00);
    assert!(offset_of!(HwInitializationData, adapter_interface_type) == 0x04);
    assert!(offset_of!(HwInitializationData, hw_initialize) == 0x08);
    assert!(offset_of!(HwInitializationData, hw_start_io) == 0x10);
    assert!(offset_of!(HwInitializationData, hw_interrupt) == 0x18);
    assert!(offset_of!(HwInitializationData, hw_find_adapter) == 0x20);
    assert!(offset_of!(HwInitializationData, hw_reset_bus) == 0x28);
    assert!(offset_of!(HwInitializationData, hw_dma_started) == 0x30);
    assert!(offset_of!(HwInitializationData, hw_adapter_state) == 0x38);
    assert!(offset_of!(HwInitializationData, device_extension_size) == 0x40);
    assert!(offset_of!(HwInitializationData, specific_lu_extension_size) == 0x44);
    assert!(offset_of!(HwInitializationData, srb_extension_size) == 0x48);
    assert!(offset_of!(HwInitializationData, number_of_access_ranges) == 0x4C);
    assert!(offset_of!(HwInitializationData, reserved) == 0x50);
    assert!(offset_of!(HwInitializationData, map_buffers) == 0x58);
    assert!(offset_of!(HwInitializationData, need_physical_addresses) == 0x59);
    assert!(offset_of!(HwInitializationData, tagged_queuing) == 0x5A);
    assert!(offset_of!(HwInitializationData, auto_request_sense) == 0x5B);
    assert!(offset_of!(HwInitializationData, multiple_request_per_lu) == 0x5C);
    assert!(offset_of!(HwInitializationData, receive_event) == 0x5D);
    assert!(offset_of!(HwInitializationData, vendor_id_length) == 0x5E);
    assert!(offset_of!(HwInitializationData, vendor_id) == 0x60);
    assert!(offset_of!(HwInitializationData, reserved_ushort) == 0x68);
    assert!(offset_of!(HwInitializationData, device_id_length) == 0x6A);
    assert!(offset_of!(HwInitializationData, device_id) == 0x70);
    assert!(offset_of!(HwInitializationData, hw_adapter_control) == 0x78);
    assert!(offset_of!(HwInitializationData, hw_build_io) == 0x80);
    assert!(offset_of!(HwInitializationData, hw_free_adapter_resources) == 0x88);
    assert!(offset_of!(HwInitializationData, hw_process_service_request) == 0x90);
    assert!(offset_of!(HwInitializationData, hw_complete_service_irp) == 0x98);
    assert!(offset_of!(HwInitializationData, hw_initialize_tracing) == 0xA0);
    assert!(offset_of!(HwInitializationData, hw_cleanup_tracing) == 0xA8);
    assert!(offset_of!(HwInitializationData, hw_tracing_enabled) == 0xB0);
    assert!(offset_of!(HwInitializationData, feature_support) == 0xB8);
    assert!(offset_of!(HwInitializationData, srb_type_flags) == 0xBC);
    assert!(offset_of!(HwInitializationData, address_type_flags) == 0xC0);
    assert!(offset_of!(HwInitializationData, reserved1) == 0xC4);
    assert!(offset_of!(HwInitializationData, hw_unit_control) == 0xC8);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_table_covers_itself_and_has_no_routines() {
        let data = HwInitializationData::new();
        assert_eq!(data.hw_initialization_data_size as usize, size_of::<HwInitializationData>());
        assert_eq!(data.adapter_interface_type, InterfaceType::PCI_BUS);
        assert!(data.hw_find_adapter.is_none() && data.hw_start_io.is_none());
    }
}
