//! HwStorFindAdapter: map the registers, read what the controller can do, and claim memory for the
//! queues.
//!
//! StorPort calls it again, on the same device extension, to power up an adapter whose restart it does
//! not ask for. What was learnt the first time still holds then, and the registers are still mapped; the
//! uncached extension is asked for again, and StorPort gives the same one. That call may come at
//! DISPATCH_LEVEL and a crash dump's at HIGH_LEVEL, so the registry is read in neither.

use super::memory::uncached_bytes;
use super::prp::{LIST_ENTRIES, TRANSFER_BYTES_MAX};
use super::queue::ENTRIES_MAX;
use super::registers::{Capabilities, Register, SMALLEST_RANGE};
use super::request::Request;
use super::{IO_QUEUES_MAX, Nvme};
use crate::storport::config::{
    AccessRange, InterruptSynchronizationMode, PortConfigurationInformation,
    SCSI_DMA64_MINIPORT_FULL64BIT_SUPPORTED, SCSI_DMA64_SYSTEM_SUPPORTED,
    STOR_MAP_NON_READ_WRITE_BUFFERS, StorSynchronizationModel,
};
use crate::storport::{Miniport, SpReturn, StorPort, StorStatus};

/// Buffers begin at a multiple of four bytes: what a PRP entry can say.
const ALIGNMENT_MASK: u32 = 3;

impl Nvme {
    /// HwStorFindAdapter. PASSIVE_LEVEL, no locks; see above for the exceptions.
    pub(super) fn find<P: StorPort>(
        &self,
        port: P,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        let Some(range) = first_range(config) else { return SpReturn::BAD_CONFIG };
        let again = self.memory.is_adopted(port);
        if !again {
            self.read_settings(port, config);
        }
        self.describe::<P>(port, config);
        if !self.map(port, config, range) {
            return SpReturn::ERROR;
        }
        let surveyed = if again { Ok(()) } else { self.survey(port) };
        if let Err(result) = surveyed.and_then(|()| self.claim_memory(port, config)) {
            let base = self.registers.unmap(port);
            // SAFETY: `map` got it from StorPortGetDeviceBase, and `unmap` has forgotten it.
            unsafe { port.free_device_base(base.cast()) };
            return result;
        }
        self.limit_requests(port, config);
        SpReturn::FOUND
    }

    /// What the dump mode and the registry say.
    fn read_settings<P: StorPort>(&self, port: P, config: &PortConfigurationInformation) {
        let mut settings = self.settings.get(port);
        settings.dump = config.dump_mode != 0;
        if !settings.dump {
            let told = |name| port.registry_read_dword(name).is_some_and(|value| value != 0);
            settings.per_message = told(c"InterruptSynchronizePerMessage");
            settings.half_duplex = told(c"HalfDuplex");
        }
        self.settings.set(port, settings);
    }

    /// Fills in ConfigInfo what does not depend on the controller.
    fn describe<P: StorPort>(&self, port: P, config: &mut PortConfigurationInformation) {
        let settings = self.settings.get(port);
        config.maximum_transfer_length = config.maximum_transfer_length.min(TRANSFER_BYTES_MAX);
        config.number_of_physical_breaks =
            config.number_of_physical_breaks.min(LIST_ENTRIES as u32 + 1);
        config.alignment_mask = ALIGNMENT_MASK;
        config.number_of_buses = 1;
        config.maximum_number_of_targets = 1;
        config.maximum_number_of_logical_units = 1;
        config.scatter_gather = 1;
        config.master = 1;
        config.need_physical_addresses = 1;
        config.tagged_queuing = 1;
        config.auto_request_sense = 1;
        config.multiple_request_per_lu = 1;
        config.dma32_bit_addresses = 1;
        if config.dma64_bit_addresses & SCSI_DMA64_SYSTEM_SUPPORTED != 0 {
            config.dma64_bit_addresses = SCSI_DMA64_MINIPORT_FULL64BIT_SUPPORTED;
        }
        // The controller may have a write cache: StorPort sends flushes.
        config.caches_data = 1;
        config.reset_target_supported = 1;
        config.wmi_data_provider = 0;
        config.virtual_device = 0;
        config.srb_extension_size = size_of::<Request>() as u32;
        config.synchronization_model = if settings.half_duplex {
            StorSynchronizationModel::HALF_DUPLEX
        } else {
            StorSynchronizationModel::FULL_DUPLEX
        };
        // A dump driver is polled through HwStorInterrupt.
        config.hw_ms_interrupt_routine =
            if settings.dump { None } else { <Self as Miniport<P>>::message_interrupt_entry() };
        config.interrupt_synchronization_mode = if settings.per_message {
            InterruptSynchronizationMode::PER_MESSAGE
        } else {
            InterruptSynchronizationMode::ALL
        };
        config.map_buffers = STOR_MAP_NON_READ_WRITE_BUFFERS;
    }

    /// Tells StorPort how many requests fit into the queues.
    fn limit_requests<P: StorPort>(&self, port: P, config: &mut PortConfigurationInformation) {
        let settings = self.settings.get(port);
        let depth = u32::from(settings.io_queues_wanted) * u32::from(settings.queue_entries - 1);
        config.max_number_of_io = depth;
        config.max_ios_per_lun = depth;
        config.initial_lun_queue_depth = depth;
    }

    /// Maps the register range, unless it is mapped already.
    fn map<P: StorPort>(
        &self,
        port: P,
        config: &PortConfigurationInformation,
        range: AccessRange,
    ) -> bool {
        if self.registers.is_mapped(port) {
            return true;
        }
        let base = port.get_device_base(
            config.adapter_interface_type,
            config.system_io_bus_number,
            range.range_start,
            range.range_length,
            range.range_in_memory == 0,
        );
        if base.is_null() {
            return false;
        }
        // SAFETY: StorPort mapped the range, for as long as the driver does not free it.
        unsafe { self.registers.map(port, base.cast(), range.range_length) };
        true
    }

    /// Reads the capabilities and settles the sizes of queues.
    fn survey<P: StorPort>(&self, port: P) -> Result<(), SpReturn> {
        let low = self.registers.read(port, Register::CapabilitiesLow);
        let high = self.registers.read(port, Register::CapabilitiesHigh);
        let capabilities = Capabilities::parse(low, high).ok_or(SpReturn::NOT_FOUND)?;
        let pairs = self.registers.set_stride(port, capabilities.doorbell_stride);
        // One pair is the admin queue's; without an I/O queue there is no disk.
        if pairs < 2 || capabilities.queue_entries < 2 {
            return Err(SpReturn::NOT_FOUND);
        }
        let mut settings = self.settings.get(port);
        let processors = if settings.dump { 1 } else { processor_count(port) };
        let wanted = processors.min(IO_QUEUES_MAX as u32).min(pairs - 1);
        settings.io_queues_wanted = wanted as u16;
        settings.queue_entries = capabilities.queue_entries.min(u32::from(ENTRIES_MAX)) as u16;
        settings.ready_timeout_us = capabilities.ready_timeout_us;
        self.settings.set(port, settings);
        Ok(())
    }

    /// Gets the uncached extension. ConfigInfo is filled.
    fn claim_memory<P: StorPort>(
        &self,
        port: P,
        config: &mut PortConfigurationInformation,
    ) -> Result<(), SpReturn> {
        let bytes = uncached_bytes(usize::from(self.io_queues_wanted(port)));
        let base = port.get_uncached_extension(config, bytes);
        if base.is_null() {
            return Err(SpReturn::ERROR);
        }
        let mut contiguous = 0;
        let physical = port.get_physical_address(None, base, &mut contiguous).0;
        if physical == 0 || contiguous < bytes {
            return Err(SpReturn::ERROR);
        }
        // SAFETY: `bytes` of the uncached extension, contiguous, for the life of the adapter.
        unsafe { self.memory.adopt(port, base.cast(), physical) };
        Ok(())
    }
}

/// The register range that PnP assigned.
fn first_range(config: &PortConfigurationInformation) -> Option<AccessRange> {
    if config.number_of_access_ranges == 0 || config.access_ranges.is_null() {
        return None;
    }
    // SAFETY: StorPort's array, of NumberOfAccessRanges elements, valid for the call.
    let range = unsafe { *config.access_ranges };
    (range.range_length >= SMALLEST_RANGE).then_some(range)
}

/// Active processors of the first group; as many as there can be queues, where StorPort does not say.
fn processor_count<P: StorPort>(port: P) -> u32 {
    let mut mask = 0;
    match port.get_group_affinity(0, &mut mask) {
        StorStatus::SUCCESS => mask.count_ones().max(1),
        _ => IO_QUEUES_MAX as u32,
    }
}
