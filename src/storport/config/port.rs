//! PORT_CONFIGURATION_INFORMATION: what HwStorFindAdapter reads and fills.

use core::ffi::c_void;

use super::{
    Boolean, HwMessageInterrupt, InterfaceType, InterruptSynchronizationMode, KinterruptMode,
    StorSynchronizationModel,
};
use crate::storport::memory::PhysicalAddress;

/// `ACCESS_RANGE`: registers or ports that PnP assigned to the adapter.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_access_range>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessRange {
    /// `RangeStart`: bus address.
    pub range_start: PhysicalAddress,
    /// `RangeLength`, in bytes.
    pub range_length: u32,
    /// `RangeInMemory`: memory, or ports if FALSE.
    pub range_in_memory: Boolean,
}

/// `MEMORY_REGION`: memory by both of its addresses.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_memory_region>.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryRegion {
    /// `VirtualBase`.
    pub virtual_base: *mut c_void,
    /// `PhysicalBase`.
    pub physical_base: PhysicalAddress,
    /// `Length`, in bytes.
    pub length: u32,
}

/// `PORT_CONFIGURATION_INFORMATION`: what PnP knows of an adapter and what the miniport makes of
/// it.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_port_configuration_information>.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PortConfigurationInformation {
    /// `Length`: bytes of this structure.
    pub length: u32,
    /// `SystemIoBusNumber`: the bus number.
    pub system_io_bus_number: u32,
    /// `AdapterInterfaceType`: the bus.
    pub adapter_interface_type: InterfaceType,
    /// `BusInterruptLevel`: the interrupt line.
    pub bus_interrupt_level: u32,
    /// `BusInterruptVector`: its vector.
    pub bus_interrupt_vector: u32,
    /// `InterruptMode`: how the line signals.
    pub interrupt_mode: KinterruptMode,
    /// `MaximumTransferLength`: most bytes of one request.
    pub maximum_transfer_length: u32,
    /// `NumberOfPhysicalBreaks`: most elements of a scatter/gather list.
    pub number_of_physical_breaks: u32,
    /// `DmaChannel`: not used.
    pub dma_channel: u32,
    /// `DmaPort`: not used.
    pub dma_port: u32,
    /// `DmaWidth`: not used.
    pub dma_width: i32,
    /// `DmaSpeed`: not used.
    pub dma_speed: i32,
    /// `AlignmentMask`: alignment of data buffers, in bytes, less one.
    pub alignment_mask: u32,
    /// `NumberOfAccessRanges`: how many `AccessRanges`.
    pub number_of_access_ranges: u32,
    /// `AccessRanges`: the ranges that PnP assigned.
    pub access_ranges: *mut AccessRange,
    /// `MiniportDumpData`: dump data; also `Reserved`.
    pub miniport_dump_data: *mut c_void,
    /// `NumberOfBuses`: how many buses the adapter has.
    pub number_of_buses: u8,
    /// `InitiatorBusId`: the adapter's own address on each bus.
    pub initiator_bus_id: [i8; 8],
    /// `ScatterGather`: must be TRUE.
    pub scatter_gather: u8,
    /// `Master`: must be TRUE: the adapter masters the bus.
    pub master: u8,
    /// `CachesData`: the adapter has a write cache; StorPort sends flushes.
    pub caches_data: u8,
    /// `AdapterScansDown`: the BIOS scans targets downwards.
    pub adapter_scans_down: u8,
    /// `AtdiskPrimaryClaimed`: not used.
    pub atdisk_primary_claimed: u8,
    /// `AtdiskSecondaryClaimed`: not used.
    pub atdisk_secondary_claimed: u8,
    /// `Dma32BitAddresses`: must be TRUE.
    pub dma32_bit_addresses: u8,
    /// `DemandMode`: not used.
    pub demand_mode: u8,
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
    /// `RealModeInitialized`: not used.
    pub real_mode_initialized: u8,
    /// `BufferAccessScsiPortControlled`: not used.
    pub buffer_access_scsi_port_controlled: u8,
    /// `MaximumNumberOfTargets`: targets on each bus.
    pub maximum_number_of_targets: u8,
    /// `SrbType`: `SRB_TYPE_*`: the requests that the adapter gets.
    pub srb_type: u8,
    /// `AddressType`: a StorAddressType.
    pub address_type: u8,
    /// `SlotNumber`: slot on the bus.
    pub slot_number: u32,
    /// `BusInterruptLevel2`: not used.
    pub bus_interrupt_level2: u32,
    /// `BusInterruptVector2`: not used.
    pub bus_interrupt_vector2: u32,
    /// `InterruptMode2`: not used.
    pub interrupt_mode2: KinterruptMode,
    /// `DmaChannel2`: not used.
    pub dma_channel2: u32,
    /// `DmaPort2`: not used.
    pub dma_port2: u32,
    /// `DmaWidth2`: not used.
    pub dma_width2: i32,
    /// `DmaSpeed2`: not used.
    pub dma_speed2: i32,
    /// `DeviceExtensionSize`: bytes for each adapter.
    pub device_extension_size: u32,
    /// `SpecificLuExtensionSize`: bytes for each logical unit.
    pub specific_lu_extension_size: u32,
    /// `SrbExtensionSize`: bytes for each request.
    pub srb_extension_size: u32,
    /// `Dma64BitAddresses`: `SCSI_DMA64_*`.
    pub dma64_bit_addresses: u8,
    /// `ResetTargetSupported`: the miniport takes SRB_FUNCTION_RESET_DEVICE.
    pub reset_target_supported: u8,
    /// `MaximumNumberOfLogicalUnits`: logical units on each target.
    pub maximum_number_of_logical_units: u8,
    /// `WmiDataProvider`: the miniport takes SRB_FUNCTION_WMI.
    pub wmi_data_provider: u8,
    /// `SynchronizationModel`: half or full duplex.
    pub synchronization_model: StorSynchronizationModel,
    /// `HwMSInterruptRoutine`: serves message interrupts; NULL: the line is used.
    pub hw_ms_interrupt_routine: Option<HwMessageInterrupt>,
    /// `InterruptSynchronizationMode`: what excludes message interrupts from each other.
    pub interrupt_synchronization_mode: InterruptSynchronizationMode,
    /// `DumpRegion`: memory for a dump.
    pub dump_region: MemoryRegion,
    /// `RequestedDumpBufferSize`: bytes that the miniport wants for a dump.
    pub requested_dump_buffer_size: u32,
    /// `VirtualDevice`: TRUE for a virtual miniport.
    pub virtual_device: u8,
    /// `DumpMode`: `DUMP_MODE_*`; zero outside dumps.
    pub dump_mode: u8,
    /// `DmaAddressWidth`: bits of address that the adapter drives.
    pub dma_address_width: u8,
    /// `ExtendedFlags1`: reserved.
    pub extended_flags1: u32,
    /// `MaxNumberOfIO`: most requests of the adapter at once.
    pub max_number_of_io: u32,
    /// `MaxIOsPerLun`: most requests of a logical unit at once.
    pub max_ios_per_lun: u32,
    /// `InitialLunQueueDepth`: queue depth of a new logical unit.
    pub initial_lun_queue_depth: u32,
    /// `BusResetHoldTime`: pause after a bus reset, in microseconds.
    pub bus_reset_hold_time: u32,
    /// `FeatureSupport`: `STOR_ADAPTER_FEATURE_*`.
    pub feature_support: u32,
}

impl Default for PortConfigurationInformation {
    /// All zero but `length`.
    fn default() -> Self {
        // SAFETY: zero is a value of every field: integers, null pointers, `None`.
        let zeroed: Self = unsafe { core::mem::zeroed() };
        Self { length: size_of::<Self>() as u32, ..zeroed }
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<AccessRange>() == 0x10);
    assert!(offset_of!(AccessRange, range_start) == 0x00);
    assert!(offset_of!(AccessRange, range_length) == 0x08);
    assert!(offset_of!(AccessRange, range_in_memory) == 0x0C);
    assert!(size_of::<MemoryRegion>() == 0x18);
    assert!(offset_of!(MemoryRegion, virtual_base) == 0x00);
    assert!(offset_of!(MemoryRegion, physical_base) == 0x08);
    assert!(offset_of!(MemoryRegion, length) == 0x10);
    assert!(size_of::<PortConfigurationInformation>() == 0xE0);
    assert!(offset_of!(PortConfigurationInformation, length) == 0x00);
    assert!(offset_of!(PortConfigurationInformation, system_io_bus_number) == 0x04);
    assert!(offset_of!(PortConfigurationInformation, adapter_interface_type) == 0x08);
    assert!(offset_of!(PortConfigurationInformation, bus_interrupt_level) == 0x0C);
    assert!(offset_of!(PortConfigurationInformation, bus_interrupt_vector) == 0x10);
    assert!(offset_of!(PortConfigurationInformation, interrupt_mode) == 0x14);
    assert!(offset_of!(PortConfigurationInformation, maximum_transfer_length) == 0x18);
    assert!(offset_of!(PortConfigurationInformation, number_of_physical_breaks) == 0x1C);
    assert!(offset_of!(PortConfigurationInformation, dma_channel) == 0x20);
    assert!(offset_of!(PortConfigurationInformation, dma_port) == 0x24);
    assert!(offset_of!(PortConfigurationInformation, dma_width) == 0x28);
    assert!(offset_of!(PortConfigurationInformation, dma_speed) == 0x2C);
    assert!(offset_of!(PortConfigurationInformation, alignment_mask) == 0x30);
    assert!(offset_of!(PortConfigurationInformation, number_of_access_ranges) == 0x34);
    assert!(offset_of!(PortConfigurationInformation, access_ranges) == 0x38);
    assert!(offset_of!(PortConfigurationInformation, miniport_dump_data) == 0x40);
    assert!(offset_of!(PortConfigurationInformation, number_of_buses) == 0x48);
    assert!(offset_of!(PortConfigurationInformation, initiator_bus_id) == 0x49);
    assert!(offset_of!(PortConfigurationInformation, scatter_gather) == 0x51);
    assert!(offset_of!(PortConfigurationInformation, master) == 0x52);
    assert!(offset_of!(PortConfigurationInformation, caches_data) == 0x53);
    assert!(offset_of!(PortConfigurationInformation, adapter_scans_down) == 0x54);
    assert!(offset_of!(PortConfigurationInformation, atdisk_primary_claimed) == 0x55);
    assert!(offset_of!(PortConfigurationInformation, atdisk_secondary_claimed) == 0x56);
    assert!(offset_of!(PortConfigurationInformation, dma32_bit_addresses) == 0x57);
    assert!(offset_of!(PortConfigurationInformation, demand_mode) == 0x58);
    assert!(offset_of!(PortConfigurationInformation, map_buffers) == 0x59);
    assert!(offset_of!(PortConfigurationInformation, need_physical_addresses) == 0x5A);
    assert!(offset_of!(PortConfigurationInformation, tagged_queuing) == 0x5B);
    assert!(offset_of!(PortConfigurationInformation, auto_request_sense) == 0x5C);
    assert!(offset_of!(PortConfigurationInformation, multiple_request_per_lu) == 0x5D);
    assert!(offset_of!(PortConfigurationInformation, receive_event) == 0x5E);
    assert!(offset_of!(PortConfigurationInformation, real_mode_initialized) == 0x5F);
    assert!(offset_of!(PortConfigurationInformation, buffer_access_scsi_port_controlled) == 0x60);
    assert!(offset_of!(PortConfigurationInformation, maximum_number_of_targets) == 0x61);
    assert!(offset_of!(PortConfigurationInformation, srb_type) == 0x62);
    assert!(offset_of!(PortConfigurationInformation, address_type) == 0x63);
    assert!(offset_of!(PortConfigurationInformation, slot_number) == 0x64);
    assert!(offset_of!(PortConfigurationInformation, bus_interrupt_level2) == 0x68);
    assert!(offset_of!(PortConfigurationInformation, bus_interrupt_vector2) == 0x6C);
    assert!(offset_of!(PortConfigurationInformation, interrupt_mode2) == 0x70);
    assert!(offset_of!(PortConfigurationInformation, dma_channel2) == 0x74);
    assert!(offset_of!(PortConfigurationInformation, dma_port2) == 0x78);
    assert!(offset_of!(PortConfigurationInformation, dma_width2) == 0x7C);
    assert!(offset_of!(PortConfigurationInformation, dma_speed2) == 0x80);
    assert!(offset_of!(PortConfigurationInformation, device_extension_size) == 0x84);
    assert!(offset_of!(PortConfigurationInformation, specific_lu_extension_size) == 0x88);
    assert!(offset_of!(PortConfigurationInformation, srb_extension_size) == 0x8C);
    assert!(offset_of!(PortConfigurationInformation, dma64_bit_addresses) == 0x90);
    assert!(offset_of!(PortConfigurationInformation, reset_target_supported) == 0x91);
    assert!(offset_of!(PortConfigurationInformation, maximum_number_of_logical_units) == 0x92);
    assert!(offset_of!(PortConfigurationInformation, wmi_data_provider) == 0x93);
    assert!(offset_of!(PortConfigurationInformation, synchronization_model) == 0x94);
    assert!(offset_of!(PortConfigurationInformation, hw_ms_interrupt_routine) == 0x98);
    assert!(offset_of!(PortConfigurationInformation, interrupt_synchronization_mode) == 0xA0);
    assert!(offset_of!(PortConfigurationInformation, dump_region.virtual_base) == 0xA8);
    assert!(offset_of!(PortConfigurationInformation, dump_region.physical_base) == 0xB0);
    assert!(offset_of!(PortConfigurationInformation, dump_region.length) == 0xB8);
    assert!(offset_of!(PortConfigurationInformation, requested_dump_buffer_size) == 0xC0);
    assert!(offset_of!(PortConfigurationInformation, virtual_device) == 0xC4);
    assert!(offset_of!(PortConfigurationInformation, dump_mode) == 0xC5);
    assert!(offset_of!(PortConfigurationInformation, dma_address_width) == 0xC6);
    assert!(offset_of!(PortConfigurationInformation, extended_flags1) == 0xC8);
    assert!(offset_of!(PortConfigurationInformation, max_number_of_io) == 0xCC);
    assert!(offset_of!(PortConfigurationInformation, max_ios_per_lun) == 0xD0);
    assert!(offset_of!(PortConfigurationInformation, initial_lun_queue_depth) == 0xD4);
    assert!(offset_of!(PortConfigurationInformation, bus_reset_hold_time) == 0xD8);
    assert!(offset_of!(PortConfigurationInformation, feature_support) == 0xDC);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_configuration_is_zero_but_its_length() {
        let config = PortConfigurationInformation::default();
        assert_eq!(config.length as usize, size_of::<PortConfigurationInformation>());
        assert!(config.access_ranges.is_null() && config.hw_ms_interrupt_routine.is_none());
        assert_eq!(config.interrupt_synchronization_mode, InterruptSynchronizationMode::NONE);
    }
}
