//! What the ops on requests, timers, memory and options do.
//!
//! Pointers that go to the port here came from it, or are ones that the script chose in order to break the
//! routine's contract; see [`Frame::perform`] for why the host's port may be given those.

use core::ffi::c_void;
use core::ptr;

use super::frame::Frame;
use super::play::UNIT;
use super::script::{Call, Context};
use super::state::{POOLS, TIMERS, fill};
use crate::storport::address::StorAddrBtl8;
use crate::storport::config::InterfaceType;
use crate::storport::memory::PhysicalAddress;
use crate::storport::perf::{
    GroupAffinity, MessageInterruptInformation, PerfConfigurationData, PerfFlags, ProcessorNumber,
    StartIoPerformanceParameters,
};
use crate::storport::{Executive, PortConfigurationInformation, SrbStatus, StorPort};

/// Bytes of a pool allocation.
const POOL_BYTES: u32 = 64;
/// Pool tag.
const TAG: u32 = u32::from_le_bytes(*b"LSpu");
/// Bytes of an uncached extension.
const UNCACHED_BYTES: u32 = 4096;
/// PCIConfiguration, the type of bus data that PCI configuration space is.
const PCI_CONFIGURATION: u32 = 4;
/// Channels that the puppet asks for.
const CHANNELS: u32 = 8;
/// Registers of the bare device that can be read.
const REGISTERS: u8 = 64;

impl<P: StorPort + Executive> Frame<'_, P> {
    pub(super) fn complete_again(&self) {
        if let Some(request) = self.current_or_completed() {
            // Not `Request::complete`: its status stays as it is, so that this is one mistake, not two.
            self.port.request_complete(request.srb);
        }
    }

    pub(super) fn touch_request(&self) {
        if let Some(request) = self.current_or_completed() {
            let status = request.srb.status();
            request.srb.set_status(SrbStatus(!status.0));
        }
    }

    pub(super) fn touch_srb_extension(&self) {
        if let Some(request) = self.current_or_completed()
            && !request.extension.is_null()
        {
            let byte = request.extension.cast::<u8>();
            // SAFETY: an SrbExtension is the miniport's memory, and mapped as long as the adapter lives.
            unsafe { byte.write_volatile(!byte.read_volatile()) };
        }
    }

    /// Changes ConfigInfo, in HwStorFindAdapter.
    pub(super) fn reconfigure(&self, change: impl FnOnce(&mut PortConfigurationInformation)) {
        // SAFETY: `configuring` got it from a reference that outlives the frame and is not used meanwhile.
        if let Some(config) = unsafe { self.config.as_mut() } {
            change(config);
        }
    }

    pub(super) fn state_change(&self) {
        let (path, target, lun) = UNIT;
        let address = StorAddrBtl8::new(path, target, lun).to_address();
        let routine = Some(self.entries.state_change);
        // SAFETY: the routine takes this adapter's extension, and ignores its context.
        _ = unsafe { self.port.state_change_detected(0, &address, 0, routine, ptr::null_mut()) };
    }

    pub(super) fn request_timer_call(&self, call: &Call) {
        let routine = (call.context != Context::Null).then_some(self.entries.timer);
        self.state.timer_requested.set(true);
        self.port.request_timer_call(routine, u32::from(call.argument) * 1000);
    }

    pub(super) fn initialize_timer(&self, call: &Call) {
        let timer = &self.state.timers[usize::from(call.slot) % TIMERS];
        _ = fill(timer, |timer| self.port.initialize_timer(timer));
    }

    pub(super) fn request_timer(&self, call: &Call) {
        let timer = self.state.timers[usize::from(call.slot) % TIMERS].get();
        if !timer.is_null() {
            let microseconds = u64::from(call.argument) * 1000;
            let routine = self.entries.timer_ex;
            let port = self.port;
            // SAFETY: see the module; the routine ignores its context.
            _ = unsafe { port.request_timer(timer, routine, ptr::null_mut(), microseconds, 0) };
        }
    }

    pub(super) fn free_timer(&self, call: &Call) {
        let timer = self.state.timers[usize::from(call.slot) % TIMERS].get();
        if !timer.is_null() {
            // SAFETY: see the module.
            _ = unsafe { self.port.free_timer(timer) };
        }
    }

    pub(super) fn initialize_worker(&self, call: &Call) {
        let worker = &self.state.workers[usize::from(call.slot) % TIMERS];
        _ = fill(worker, |worker| self.port.initialize_worker(worker));
    }

    pub(super) fn queue_work_item(&self, call: &Call) {
        let worker = self.state.workers[usize::from(call.slot) % TIMERS].get();
        if !worker.is_null() {
            let routine = self.entries.work_item;
            // SAFETY: see the module; the routine ignores its context.
            _ = unsafe { self.port.queue_work_item(routine, worker, ptr::null_mut()) };
        }
    }

    pub(super) fn free_worker(&self, call: &Call) {
        let worker = self.state.workers[usize::from(call.slot) % TIMERS].get();
        if !worker.is_null() {
            // SAFETY: see the module.
            _ = unsafe { self.port.free_worker(worker) };
        }
    }

    pub(super) fn allocate_pool(&self, call: &Call) {
        let pool = &self.state.pools[usize::from(call.slot) % POOLS];
        _ = fill(pool, |buffer| self.port.allocate_pool(POOL_BYTES, TAG, buffer));
    }

    pub(super) fn free_pool(&self, call: &Call) {
        let buffer = match call.context {
            Context::Foreign => ptr::from_ref(self.state).cast_mut().cast(),
            _ => self.state.pools[usize::from(call.slot) % POOLS].replace(ptr::null_mut()),
        };
        if !buffer.is_null() {
            // SAFETY: see the module.
            _ = unsafe { self.port.free_pool(buffer) };
        }
    }

    pub(super) fn get_uncached_extension(&self) {
        let mut other = PortConfigurationInformation::default();
        // SAFETY: as in `reconfigure`. Outside HwStorFindAdapter a driver has no ConfigInfo to pass but
        // one of its own.
        let config = unsafe { self.config.as_mut() }.unwrap_or(&mut other);
        _ = self.port.get_uncached_extension(config, UNCACHED_BYTES);
    }

    pub(super) fn get_device_base(&self) {
        let bus = InterfaceType::PCI_BUS;
        let range = self.state.range.get();
        _ = self.port.get_device_base(bus, 0, range.range_start, range.range_length, false);
    }

    pub(super) fn free_device_base(&self) {
        let base = self.state.registers.replace(ptr::null_mut());
        if !base.is_null() {
            // SAFETY: StorPortGetDeviceBase gave it, and nothing else remembers it.
            unsafe { self.port.free_device_base(base) };
        }
    }

    pub(super) fn get_physical_address(&self) {
        let extension = ptr::from_ref(self.state).cast_mut().cast();
        _ = self.port.get_physical_address(None, extension, &mut 0);
    }

    pub(super) fn get_scatter_gather_list(&self) {
        if let Some(request) = self.request {
            _ = self.port.get_scatter_gather_list(request.srb);
        }
    }

    pub(super) fn get_system_address(&self) {
        if let Some(request) = self.request {
            _ = self.port.get_system_address(request.srb, &mut ptr::null_mut::<c_void>());
        }
    }

    pub(super) fn get_bus_data(&self) {
        _ = self.port.get_bus_data(PCI_CONFIGURATION, 0, 0, &mut [0; 64]);
    }

    pub(super) fn initialize_perf_opts(&self, call: &Call) {
        let flags = PerfFlags(u32::from(call.argument));
        let mut targets = [GroupAffinity::default()];
        let mut data = PerfConfigurationData { flags, ..PerfConfigurationData::default() };
        if flags.contains(PerfFlags::CONCURRENT_CHANNELS) {
            data.concurrent_channels = CHANNELS;
        }
        if flags.contains(PerfFlags::ADV_CONFIG_LOCALITY) {
            data.message_targets = targets.as_mut_ptr();
        }
        let is_null = call.context == Context::Null;
        let data = if is_null { ptr::null_mut() } else { &raw mut data };
        _ = self.port.initialize_perf_opts(false, data);
    }

    pub(super) fn query_perf_opts(&self) {
        let mut data = PerfConfigurationData::default();
        _ = self.port.initialize_perf_opts(true, &raw mut data);
    }

    pub(super) fn get_start_io_perf_params(&self) {
        if let Some(request) = self.request {
            let mut parameters = StartIoPerformanceParameters::default();
            _ = self.port.get_start_io_perf_params(request.srb, &mut parameters);
        }
    }

    pub(super) fn get_msi_info(&self, call: &Call) {
        let mut information = MessageInterruptInformation::default();
        _ = self.port.get_msi_info(u32::from(call.argument), &mut information);
    }

    pub(super) fn get_processor_number(&self) {
        _ = self.port.get_current_processor_number(&mut ProcessorNumber::default());
    }

    pub(super) fn validate_range(&self) {
        let address = PhysicalAddress(0);
        _ = self.port.validate_range(InterfaceType::PCI_BUS, 0, address, UNCACHED_BYTES, false);
    }

    pub(super) fn read_register(&self, call: &Call) {
        if let Some(register) = self.state.register(usize::from(call.argument % REGISTERS) * 4) {
            // SAFETY: the bare device has that many registers.
            _ = unsafe { self.port.read_register_ulong(register) };
        }
    }
}
