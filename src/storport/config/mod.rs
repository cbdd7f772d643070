//! What a miniport and StorPort agree on before the first request: the table of entry points, the
//! adapter's configuration, and the values that both hold.

mod initialization;
mod port;
mod routine;

pub use initialization::HwInitializationData;
pub use port::{AccessRange, MemoryRegion, PortConfigurationInformation};
pub use routine::*;

use super::status::named;

/// `BOOLEAN`: zero is FALSE, anything else TRUE, which is why it is no `bool`.
pub type Boolean = u8;

/// `SP_UNINITIALIZED_VALUE`: what StorPort leaves in a configuration field that nobody has set.
pub const SP_UNINITIALIZED_VALUE: u32 = 0xFFFF_FFFF;

/// `STOR_MAP_NO_BUFFERS`: DataBuffer is mapped for SRB_FUNCTION_IO_CONTROL and SRB_FUNCTION_WMI
/// only.
pub const STOR_MAP_NO_BUFFERS: u8 = 0;
/// `STOR_MAP_ALL_BUFFERS`: obsolete; as [`STOR_MAP_NON_READ_WRITE_BUFFERS`].
pub const STOR_MAP_ALL_BUFFERS: u8 = 1;
/// `STOR_MAP_NON_READ_WRITE_BUFFERS`: DataBuffer is mapped unless the request reads or writes.
pub const STOR_MAP_NON_READ_WRITE_BUFFERS: u8 = 2;
/// `STOR_MAP_ALL_BUFFERS_INCLUDING_READ_WRITE`: DataBuffer is always mapped.
pub const STOR_MAP_ALL_BUFFERS_INCLUDING_READ_WRITE: u8 = 3;

/// `SCSI_DMA64_MINIPORT_SUPPORTED`: the adapter takes 64-bit addresses.
pub const SCSI_DMA64_MINIPORT_SUPPORTED: u8 = 0x01;
/// `SCSI_DMA64_MINIPORT_FULL64BIT_SUPPORTED`: any 64-bit address, uncached extension included.
pub const SCSI_DMA64_MINIPORT_FULL64BIT_SUPPORTED: u8 = 0x02;
/// `SCSI_DMA64_MINIPORT_FULL64BIT_NO_BOUNDARY_REQ_SUPPORTED`: and blocks may cross 4 GiB
/// boundaries.
pub const SCSI_DMA64_MINIPORT_FULL64BIT_NO_BOUNDARY_REQ_SUPPORTED: u8 = 0x03;
/// `SCSI_DMA64_SYSTEM_SUPPORTED`: StorPort sets it where the system has 64-bit addresses.
pub const SCSI_DMA64_SYSTEM_SUPPORTED: u8 = 0x80;

/// `DUMP_MODE_CRASH`: the miniport writes a crash dump.
pub const DUMP_MODE_CRASH: u8 = 1;
/// `DUMP_MODE_HIBER`: the miniport writes the hibernation file.
pub const DUMP_MODE_HIBER: u8 = 2;
/// `DUMP_MODE_MARK_MEMORY`: the miniport marks the memory that a dump must hold.
pub const DUMP_MODE_MARK_MEMORY: u8 = 3;
/// `DUMP_MODE_RESUME`: the miniport reads the hibernation file.
pub const DUMP_MODE_RESUME: u8 = 4;

/// `SRB_TYPE_FLAG_SCSI_REQUEST_BLOCK`: the miniport takes SCSI_REQUEST_BLOCK.
pub const SRB_TYPE_FLAG_SCSI_REQUEST_BLOCK: u32 = 1;
/// `SRB_TYPE_FLAG_STORAGE_REQUEST_BLOCK`: the miniport takes STORAGE_REQUEST_BLOCK.
pub const SRB_TYPE_FLAG_STORAGE_REQUEST_BLOCK: u32 = 2;
/// `SRB_TYPE_SCSI_REQUEST_BLOCK`: `SrbType` of an adapter that gets SCSI_REQUEST_BLOCK.
pub const SRB_TYPE_SCSI_REQUEST_BLOCK: u8 = 0;
/// `SRB_TYPE_STORAGE_REQUEST_BLOCK`: `SrbType` of an adapter that gets STORAGE_REQUEST_BLOCK.
pub const SRB_TYPE_STORAGE_REQUEST_BLOCK: u8 = 1;
/// `ADDRESS_TYPE_FLAG_BTL8`: the miniport takes STOR_ADDR_BTL8.
pub const ADDRESS_TYPE_FLAG_BTL8: u32 = 1;

/// `STOR_FEATURE_VIRTUAL_MINIPORT`: no hardware behind it.
pub const STOR_FEATURE_VIRTUAL_MINIPORT: u32 = 0x1;
/// `STOR_FEATURE_ATA_PASS_THROUGH`: takes ATA pass-through requests.
pub const STOR_FEATURE_ATA_PASS_THROUGH: u32 = 0x2;
/// `STOR_FEATURE_FULL_PNP_DEVICE_CAPABILITIES`: reports STOR_DEVICE_CAPABILITIES_EX.
pub const STOR_FEATURE_FULL_PNP_DEVICE_CAPABILITIES: u32 = 0x4;
/// `STOR_FEATURE_DUMP_POINTERS`: a physical miniport that takes the dump pointer requests.
pub const STOR_FEATURE_DUMP_POINTERS: u32 = 0x8;
/// `STOR_FEATURE_DEVICE_NAME_NO_SUFFIX`: device names get no suffix.
pub const STOR_FEATURE_DEVICE_NAME_NO_SUFFIX: u32 = 0x10;
/// `STOR_FEATURE_DUMP_RESUME_CAPABLE`: can read a hibernation file.
pub const STOR_FEATURE_DUMP_RESUME_CAPABLE: u32 = 0x20;
/// `STOR_FEATURE_EXTRA_IO_INFORMATION`: wants SRBEX_DATA_IO_INFO.
pub const STOR_FEATURE_EXTRA_IO_INFORMATION: u32 = 0x80;
/// `STOR_FEATURE_ADAPTER_CONTROL_PRE_FINDADAPTER`: HwStorAdapterControl may precede
/// HwStorFindAdapter.
pub const STOR_FEATURE_ADAPTER_CONTROL_PRE_FINDADAPTER: u32 = 0x100;

/// `STOR_ADAPTER_FEATURE_DEVICE_TELEMETRY`: the miniport reports telemetry.
pub const STOR_ADAPTER_FEATURE_DEVICE_TELEMETRY: u32 = 0x1;
/// `STOR_ADAPTER_FEATURE_STOP_UNIT_DURING_POWER_DOWN`: units want STOP UNIT before power-down.
pub const STOR_ADAPTER_FEATURE_STOP_UNIT_DURING_POWER_DOWN: u32 = 0x2;
/// `STOR_ADAPTER_UNCACHED_EXTENSION_NUMA_NODE_PREFERRED`: the uncached extension goes to the
/// adapter's node.
pub const STOR_ADAPTER_UNCACHED_EXTENSION_NUMA_NODE_PREFERRED: u32 = 0x4;
/// `STOR_ADAPTER_DMA_V3_PREFERRED`: StorPort uses version 3 of the DMA interface.
pub const STOR_ADAPTER_DMA_V3_PREFERRED: u32 = 0x8;
/// `STOR_ADAPTER_FEATURE_ABORT_COMMAND`: the miniport takes SRB_FUNCTION_ABORT_COMMAND.
pub const STOR_ADAPTER_FEATURE_ABORT_COMMAND: u32 = 0x10;

named! {
    /// `INTERFACE_TYPE`: the bus that an adapter sits on.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/ne-wdm-_interface_type>.
    InterfaceType(i32) {
        UNDEFINED = -1, "InterfaceTypeUndefined";
        INTERNAL = 0, "Internal";
        ISA = 1, "Isa";
        EISA = 2, "Eisa";
        MICRO_CHANNEL = 3, "MicroChannel";
        TURBO_CHANNEL = 4, "TurboChannel";
        PCI_BUS = 5, "PCIBus";
        VME_BUS = 6, "VMEBus";
        NU_BUS = 7, "NuBus";
        PCMCIA_BUS = 8, "PCMCIABus";
        C_BUS = 9, "CBus";
        MPI_BUS = 10, "MPIBus";
        MPSA_BUS = 11, "MPSABus";
        PROCESSOR_INTERNAL = 12, "ProcessorInternal";
        INTERNAL_POWER_BUS = 13, "InternalPowerBus";
        PNP_ISA_BUS = 14, "PNPISABus";
        PNP_BUS = 15, "PNPBus";
        VMCS = 16, "Vmcs";
        ACPI_BUS = 17, "ACPIBus";
    }
}

named! {
    /// `STOR_SYNCHRONIZATION_MODEL`: whether StorPort keeps HwStorStartIo and interrupts apart.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_port_configuration_information>.
    StorSynchronizationModel(u32) {
        /// HwStorStartIo runs under the Interrupt lock too.
        HALF_DUPLEX = 0, "StorSynchronizeHalfDuplex";
        /// HwStorStartIo and the interrupt routine may run at the same time.
        FULL_DUPLEX = 1, "StorSynchronizeFullDuplex";
    }
}

named! {
    /// `INTERRUPT_SYNCHRONIZATION_MODE`: how message interrupts exclude each other.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ne-storport-_interrupt_synchronization_mode>.
    InterruptSynchronizationMode(u32) {
        /// No message interrupts.
        NONE = 0, "InterruptSupportNone";
        /// One lock for all messages.
        ALL = 1, "InterruptSynchronizeAll";
        /// A lock for each message.
        PER_MESSAGE = 2, "InterruptSynchronizePerMessage";
    }
}

named! {
    /// `KINTERRUPT_MODE`: how an interrupt is signalled.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/ne-wdm-_kinterrupt_mode>.
    KinterruptMode(u32) {
        /// Asserted until the device is served; may be shared.
        LEVEL_SENSITIVE = 0, "LevelSensitive";
        /// An edge, or a message.
        LATCHED = 1, "Latched";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(format!("{:?}", InterfaceType::PCI_BUS), "PCIBus");
        assert_eq!(format!("{}", InterfaceType(-1)), "InterfaceTypeUndefined");
        assert_eq!(
            format!("{}", InterruptSynchronizationMode(2)),
            "InterruptSynchronizePerMessage"
        );
        assert_eq!(format!("{}", StorSynchronizationModel(1)), "StorSynchronizeFullDuplex");
        assert_eq!(format!("{}", KinterruptMode(2)), "KinterruptMode(0x2)");
    }
}
