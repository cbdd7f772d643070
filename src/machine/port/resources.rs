//! Memory, registers, performance options and queues: the parts of the DDI that are more than one line.

use std::ffi::{CStr, c_void};

use super::super::memory::REGISTERS_AT;
use super::super::state::State;
use crate::device::REGISTERS_PHYSICAL;
use crate::event::{Interrupts, Routine, Sink};
use crate::scenario::{Perf, StartIoMessage};
use crate::storport::memory::{PhysicalAddress, StorScatterGatherList};
use crate::storport::perf::{
    MessageInterruptInformation, PerfConfigurationData, PerfFlags, StartIoPerformanceParameters,
};
use crate::storport::{Srb, SrbStatus, StorStatus};

impl<S: Sink> State<S> {
    pub(super) fn inside(&mut self, routine: Routine) -> bool {
        self.processor().inside(routine)
    }

    /// StorPortGetDeviceBase: the one register range.
    pub(super) fn map_registers(&self, address: PhysicalAddress, bytes: u32) -> *mut c_void {
        let offset = address.0.wrapping_sub(REGISTERS_PHYSICAL);
        let length = u64::from(self.device.register_bytes());
        let fits = offset <= length && u64::from(bytes) <= length - offset;
        if self.setup.failures.device_base || !fits {
            return std::ptr::null_mut();
        }
        std::ptr::without_provenance_mut(REGISTERS_AT + offset as usize)
    }

    /// The offset of a register from its mapped address; `None` outside the range.
    pub(super) fn register_offset(&self, address: usize) -> Option<u32> {
        let offset = u32::try_from(address.checked_sub(REGISTERS_AT)?).ok()?;
        (offset % 4 == 0 && offset + 4 <= self.device.register_bytes()).then_some(offset)
    }

    /// StorPortGetUncachedExtension.
    pub(super) fn take_uncached(&mut self, bytes: u32) -> *mut c_void {
        if self.setup.failures.uncached_extension {
            return std::ptr::null_mut();
        }
        self.memory.take_uncached(bytes as usize).cast()
    }

    /// StorPortGetScatterGatherList: NULL where the scenario lets it fail.
    pub(super) fn next_scatter_gather(&mut self, srb: Srb) -> *mut StorScatterGatherList {
        self.adapter.scatter_gathers = self.adapter.scatter_gathers.saturating_add(1);
        let fail = self.setup.failures.scatter_gather;
        match self.memory.slot_of(srb.as_ptr().addr()) {
            Some(slot) if fail == 0 || fail != self.adapter.scatter_gathers => {
                self.scatter_gather(slot).cast_mut()
            }
            _ => std::ptr::null_mut(),
        }
    }

    /// StorPortAllocatePool.
    pub(super) fn allocate_pool(&mut self, bytes: u32, buffer: &mut *mut c_void) -> StorStatus {
        *buffer = match self.next_allocation_fails() {
            true => std::ptr::null_mut(),
            false => self.memory.take_pool(bytes as usize).cast(),
        };
        if buffer.is_null() { StorStatus::INSUFFICIENT_RESOURCES } else { StorStatus::SUCCESS }
    }

    /// Counts an allocation; whether the scenario lets it fail.
    pub(super) fn next_allocation_fails(&mut self) -> bool {
        self.adapter.allocations = self.adapter.allocations.saturating_add(1);
        let fail = self.adapter.fail_allocation;
        fail == u8::MAX || (fail != 0 && fail == self.adapter.allocations)
    }

    /// StorPortGetPhysicalAddress.
    pub(super) fn physical_address(&self, address: usize, bytes: &mut u32) -> PhysicalAddress {
        match self.memory.physical(address) {
            Some((physical, run)) => {
                *bytes = u32::try_from(run).unwrap_or(u32::MAX);
                PhysicalAddress(physical)
            }
            None => {
                *bytes = 0;
                PhysicalAddress(0)
            }
        }
    }

    /// The buffer of a request, in system space.
    pub(super) fn system_address(&self, srb: Srb) -> *mut c_void {
        let Some(slot) = self.memory.slot_of(srb.as_ptr().addr()) else {
            return std::ptr::null_mut();
        };
        self.requests.buffer_offset(slot).map_or(std::ptr::null_mut(), |offset| {
            self.memory.data(slot).wrapping_add(offset as usize).cast()
        })
    }

    /// StorPortRegistryRead: the values by which a scenario configures a driver.
    pub(super) fn registry_value(&self, name: &CStr) -> Option<u32> {
        match name.to_bytes() {
            b"InterruptSynchronizePerMessage" => Some(u32::from(self.setup.per_message)),
            b"HalfDuplex" => Some(u32::from(self.setup.half_duplex)),
            _ => None,
        }
    }

    /// StorPortInitializePerfOpts: asked, it says what StorPort grants; told, it checks and applies.
    pub(super) fn perf_opts(
        &mut self,
        query: bool,
        data: *mut PerfConfigurationData,
    ) -> StorStatus {
        if data.is_null() {
            return StorStatus::INVALID_PARAMETER;
        }
        if self.setup.failures.perf_opts || self.setup.dump {
            return StorStatus::UNSUCCESSFUL;
        }
        let granted = self.granted_flags();
        // SAFETY: not NULL, and the DDI's contract is that it points to the structure.
        let data = unsafe { &mut *data };
        if query {
            data.flags = granted;
            data.concurrent_channels = self.granted_channels();
            let last = u32::from(self.adapter.facts.messages.saturating_sub(1));
            data.first_redirection_message_number = 0;
            data.last_redirection_message_number = last;
            return StorStatus::SUCCESS;
        }
        if data.flags.0 & !granted.0 != 0 || data.flags.missing_requirement().is_some() {
            return StorStatus::INVALID_PARAMETER;
        }
        self.apply_perf_opts(data)
    }

    /// The flags that StorPort grants: message ranges need messages.
    fn granted_flags(&self) -> PerfFlags {
        let mut flags = u32::from(self.setup.perf.0 & Perf::ALL.0);
        if self.adapter.facts.messages == 0 {
            flags &= !u32::from(Perf::MESSAGE_RANGES | Perf::LOCALITY);
        }
        PerfFlags(flags)
    }

    fn granted_channels(&self) -> u32 {
        u32::from(self.setup.channels.clamp(1, 8))
    }

    fn apply_perf_opts(&mut self, data: &mut PerfConfigurationData) -> StorStatus {
        let has = |flag: u8| data.flags.0 & u32::from(flag) != 0;
        if has(Perf::MESSAGE_RANGES) {
            let (first, last) =
                (data.first_redirection_message_number, data.last_redirection_message_number);
            if first > last || last >= u32::from(self.adapter.facts.messages) {
                return StorStatus::INVALID_PARAMETER;
            }
            self.adapter.message_range = (first, last);
            if has(Perf::LOCALITY) {
                self.fill_message_targets(data, first, last);
            }
        }
        if has(Perf::CONCURRENT_CHANNELS) {
            let channels = data.concurrent_channels.clamp(1, self.granted_channels());
            self.adapter.facts.channels = channels as u8;
        }
        self.adapter.redirects_dpcs = has(Perf::DPC_REDIRECTION) && !has(Perf::CURRENT_CPU);
        self.adapter.facts.completes_in_start_io = has(Perf::COMPLETION_DURING_START_IO);
        // Before HwStorFindAdapter has returned, nobody knows yet what the adapter is.
        if self.adapter.configured {
            let facts = self.adapter.facts;
            self.emit(crate::event::Site::Port, crate::event::Kind::Configured(facts));
        }
        StorStatus::SUCCESS
    }

    /// STOR_PERF_ADV_CONFIG_LOCALITY: which processors each message of the range interrupts.
    fn fill_message_targets(&self, data: &PerfConfigurationData, first: u32, last: u32) {
        if data.message_targets.is_null() {
            return;
        }
        for message in first..=last {
            let target = self.interrupts.target(message as u8);
            // SAFETY: the miniport's array has an element for each message of the range.
            unsafe {
                let affinity = &mut *data.message_targets.add((message - first) as usize);
                (affinity.mask, affinity.group) = (1 << target, 0);
            }
        }
    }

    /// StorPortGetStartIoPerfParams.
    pub(super) fn start_io_parameters(
        &mut self,
        parameters: &mut StartIoPerformanceParameters,
    ) -> StorStatus {
        if self.setup.start_io_message == StartIoMessage::Refused {
            return StorStatus::UNSUCCESSFUL;
        }
        let (first, last) = self.adapter.message_range;
        parameters.message_number = match self.setup.start_io_message {
            StartIoMessage::OfProcessor => {
                let routed = self.interrupts.routed_to(self.current);
                (first..=last).find(|m| routed & (1 << m) != 0).unwrap_or(first)
            }
            StartIoMessage::Zero | StartIoMessage::Refused => 0,
            StartIoMessage::Last => last,
            StartIoMessage::RoundRobin => {
                self.adapter.next_message = self.adapter.next_message.wrapping_add(1);
                first + self.adapter.next_message % (last - first + 1)
            }
        };
        let channels = u32::from(self.adapter.facts.channels.max(1));
        parameters.channel_number = self.current as u32 % channels;
        StorStatus::SUCCESS
    }

    /// StorPortGetMSIInfo.
    pub(super) fn message_information(
        &self,
        message: u32,
        information: &mut MessageInterruptInformation,
    ) -> StorStatus {
        let facts = &self.adapter.facts;
        let by_message =
            matches!(facts.interrupts, Interrupts::MessagesTogether | Interrupts::PerMessage);
        if !by_message || message >= u32::from(facts.messages) {
            return StorStatus::UNSUCCESSFUL;
        }
        *information = MessageInterruptInformation {
            message_id: message,
            message_data: 0x4000 | message,
            message_address: PhysicalAddress(0xFEE0_0000),
            interrupt_vector: 0x50 + message,
            interrupt_level: u32::from(self.interrupts.message_irql(message as u8).0),
            interrupt_mode: crate::storport::config::KinterruptMode::LATCHED,
        };
        StorStatus::SUCCESS
    }

    /// StorPortCompleteRequest: ends what the miniport has, itself.
    pub(super) fn complete_all(&mut self, status: SrbStatus) -> u16 {
        let mut count = 0;
        for slot in self.requests.of_miniport() {
            self.srb(slot).set_status(status);
            self.take_back(slot, true);
            count += 1;
        }
        count
    }
}
