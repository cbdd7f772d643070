//! Every routine of [`StorPort`], over the machine.

use std::ffi::{CStr, c_void};
use std::panic::Location;
use std::ptr::NonNull;

use super::super::memory::Memory;
use super::{Caller, Port};
use crate::event::{Kind, Routine, Sink};
use crate::storport::address::StorAddress;
use crate::storport::code::NotificationType;
use crate::storport::config::{
    HwPassiveInitializeRoutine, HwStateChange, HwSynchronizeRoutine, HwTimer, HwTimerEx,
    HwWorkItem, InterfaceType, PortConfigurationInformation,
};
use crate::storport::dpc::HwDpcRoutine;
use crate::storport::memory::{PhysicalAddress, StorScatterGatherList};
use crate::storport::perf::{
    MessageInterruptInformation, PerfConfigurationData, ProcessorNumber,
    StartIoPerformanceParameters,
};
use crate::storport::{
    Ddi, Srb, SrbStatus, StorDpc, StorLockHandle, StorPort, StorSpinlock, StorStatus, Touch,
};

/// 100 ns units from 1601 to the start of every run; any fixed time does.
const EPOCH: u64 = 132_537_600_000_000_000;

// SAFETY: every routine does what the simulated StorPort's contract says, at any IRQL of the machine. A machine has one
// thread, and its processors switch at decision points alone, none of which lies inside an access.
unsafe impl<S: Sink + 'static> StorPort for Port<S> {
    const TAKES_TURNS: bool = true;

    unsafe fn from_extension(extension: *mut c_void) -> Self {
        // SAFETY: the extension is this machine's, by the caller's promise.
        let address = unsafe { Memory::machine_of(extension.cast()) };
        let inner = std::ptr::with_exposed_provenance_mut(address);
        Port::of(NonNull::new(inner).expect("a live machine"))
    }

    fn on_behalf_of(self, site: &'static Location<'static>) -> Self {
        Port { caller: Caller::source(site), ..self }
    }

    #[inline(always)]
    fn memory_read(self, address: *const c_void, bytes: usize) {
        self.touches(address, bytes, Touch::Read);
    }

    #[inline(always)]
    fn memory_written(self, address: *const c_void, bytes: usize) {
        self.touches(address, bytes, Touch::Write);
    }

    #[inline(always)]
    fn memory_interlocked(self, address: *const c_void, bytes: usize, touch: Touch) {
        self.touches(address, bytes, touch);
    }

    unsafe fn acquire_spin_lock(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.acquire(lock, context, handle, (false, site)) };
    }

    unsafe fn acquire_spin_lock_ex(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) -> StorStatus {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.acquire(lock, context, handle, (true, site)) }
    }

    unsafe fn release_spin_lock(self, handle: *mut StorLockHandle) {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.release(handle, site) }
    }

    fn acquire_msi_spin_lock(self, message: u32, old_irql: &mut u32) -> StorStatus {
        let site = self.site();
        self.acquire_msi(message, old_irql, site)
    }

    fn release_msi_spin_lock(self, message: u32, old_irql: u32) -> StorStatus {
        let site = self.site();
        self.release_msi(message, old_irql, site)
    }

    unsafe fn synchronize_access(
        self,
        routine: HwSynchronizeRoutine,
        context: *mut c_void,
    ) -> bool {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.synchronize(routine, context, site) }
    }

    unsafe fn initialize_dpc(self, dpc: *mut StorDpc, routine: HwDpcRoutine) {
        let site = self.site();
        self.point();
        self.act(|s| s.initialize_dpc(dpc, routine, site));
    }

    unsafe fn issue_dpc(
        self,
        dpc: *mut StorDpc,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        let site = self.site();
        self.point();
        let queued = self.act(|s| s.issue_dpc(dpc, (argument1.addr(), argument2.addr()), site));
        self.drain_deferred();
        queued
    }

    unsafe fn cancel_dpc(self, dpc: *mut StorDpc) -> bool {
        let site = self.site();
        self.point();
        self.act(|s| s.cancel_dpc(dpc, site))
    }

    unsafe fn set_target_processor_dpc(
        self,
        dpc: *mut StorDpc,
        processor: ProcessorNumber,
    ) -> StorStatus {
        let site = self.site();
        let number = NotificationType::SET_TARGET_PROCESSOR_DPC.0;
        self.status((Ddi::Notification, number, site), |s| match s.dpc(dpc) {
            Ok(dpc)
                if processor.group == 0 && usize::from(processor.number) < s.processor_count =>
            {
                s.dpcs.set_target(dpc, processor.number);
                StorStatus::SUCCESS
            }
            _ => StorStatus::INVALID_PARAMETER,
        })
    }

    fn request_complete(self, srb: Srb) {
        let site = self.site();
        self.point();
        self.act(|s| s.complete_request(srb.as_ptr().addr(), site));
        self.drain_deferred();
    }

    fn notify(self, notification: NotificationType) {
        let site = self.site();
        let ddi = match notification {
            NotificationType::RESET_DETECTED => Ddi::ResetDetected,
            NotificationType::BUS_CHANGE_DETECTED => Ddi::BusChangeDetected,
            _ => Ddi::Notification,
        };
        self.call((ddi, notification.0, site), |_| 0);
    }

    fn complete_request(self, _path: u8, _target: u8, _lun: u8, status: SrbStatus) {
        let site = self.site();
        self.point();
        self.act(|s| {
            let count = s.complete_all(status);
            s.emit(site, Kind::RequestsCompletedByPort { count, status });
        });
        self.drain_deferred();
    }

    fn pause(self, seconds: u32) -> bool {
        let site = self.site();
        self.pauses((Ddi::Pause, seconds, site))
    }

    fn resume(self) -> bool {
        let site = self.site();
        self.resumes((Ddi::Resume, 0, site))
    }

    fn pause_device(self, _path: u8, _target: u8, _lun: u8, seconds: u32) -> bool {
        let site = self.site();
        self.pauses((Ddi::PauseDevice, seconds, site))
    }

    fn resume_device(self, _path: u8, _target: u8, _lun: u8) -> bool {
        let site = self.site();
        self.resumes((Ddi::ResumeDevice, 0, site))
    }

    fn busy(self, requests: u32) -> bool {
        let site = self.site();
        self.is_busy((Ddi::Busy, requests, site))
    }

    fn ready(self) -> bool {
        let site = self.site();
        self.is_ready((Ddi::Ready, 0, site))
    }

    fn device_busy(self, _path: u8, _target: u8, _lun: u8, requests: u32) -> bool {
        let site = self.site();
        self.is_busy((Ddi::DeviceBusy, requests, site))
    }

    fn device_ready(self, _path: u8, _target: u8, _lun: u8) -> bool {
        let site = self.site();
        self.is_ready((Ddi::DeviceReady, 0, site))
    }

    fn set_device_queue_depth(self, _path: u8, _target: u8, _lun: u8, depth: u32) -> bool {
        let site = self.site();
        self.boolean((Ddi::SetDeviceQueueDepth, depth, site), |_| (1..=254).contains(&depth))
    }

    unsafe fn state_change_detected(
        self,
        entity: u32,
        _address: &StorAddress,
        _attributes: u32,
        routine: Option<HwStateChange>,
        context: *mut c_void,
    ) -> StorStatus {
        let site = self.site();
        let status = self.status((Ddi::StateChangeDetected, entity, site), |s| {
            s.queue_state_change(routine, context)
        });
        self.drain_deferred();
        status
    }

    fn get_device_base(
        self,
        _bus_type: InterfaceType,
        _bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        _io_space: bool,
    ) -> *mut c_void {
        let site = self.site();
        self.pointer((Ddi::GetDeviceBase, bytes, site), |s| s.map_registers(address, bytes))
    }

    unsafe fn free_device_base(self, _base: *mut c_void) {
        let site = self.site();
        self.call((Ddi::FreeDeviceBase, 0, site), |_| 0);
    }

    fn get_uncached_extension(
        self,
        _config: &mut PortConfigurationInformation,
        bytes: u32,
    ) -> *mut c_void {
        let site = self.site();
        self.pointer((Ddi::GetUncachedExtension, bytes, site), |s| s.take_uncached(bytes))
    }

    fn get_physical_address(
        self,
        _srb: Option<Srb>,
        virtual_address: *mut c_void,
        bytes: &mut u32,
    ) -> PhysicalAddress {
        let site = self.site();
        let mut physical = PhysicalAddress(0);
        self.call((Ddi::GetPhysicalAddress, 0, site), |s| {
            physical = s.physical_address(virtual_address.addr(), bytes);
            u32::from(physical.0 != 0)
        });
        physical
    }

    fn get_scatter_gather_list(self, srb: Srb) -> *const StorScatterGatherList {
        let site = self.site();
        self.pointer((Ddi::GetScatterGatherList, 0, site), |s| s.next_scatter_gather(srb))
    }

    fn get_system_address(self, srb: Srb, address: &mut *mut c_void) -> StorStatus {
        let site = self.site();
        self.status((Ddi::GetSystemAddress, 0, site), |s| {
            *address = s.system_address(srb);
            match address.is_null() {
                true => StorStatus::INVALID_PARAMETER,
                false => StorStatus::SUCCESS,
            }
        })
    }

    fn allocate_pool(self, bytes: u32, _tag: u32, buffer: &mut *mut c_void) -> StorStatus {
        let site = self.site();
        self.status((Ddi::AllocatePool, bytes, site), |s| s.allocate_pool(bytes, buffer))
    }

    unsafe fn free_pool(self, buffer: *mut c_void) -> StorStatus {
        let site = self.site();
        self.status((Ddi::FreePool, 0, site), |s| match s.memory.give_back_pool(buffer.addr()) {
            true => StorStatus::SUCCESS,
            false => StorStatus::INVALID_PARAMETER,
        })
    }

    fn get_bus_data(self, bus_data_type: u32, _bus: u32, _slot: u32, buffer: &mut [u8]) -> u32 {
        let site = self.site();
        self.call((Ddi::GetBusData, bus_data_type, site), |s| {
            let space = s.device.config_space();
            let bytes = buffer.len().min(space.len());
            buffer[..bytes].copy_from_slice(&space[..bytes]);
            bytes as u32
        })
    }

    fn registry_read_dword(self, name: &CStr) -> Option<u32> {
        let site = self.site();
        let mut value = None;
        self.call((Ddi::RegistryRead, 0, site), |s| {
            value = s.registry_value(name);
            u32::from(value.is_some())
        });
        value
    }

    unsafe fn read_register_ulong(self, register: *const u32) -> u32 {
        let site = self.site();
        self.point();
        self.act(|s| {
            let Some(offset) = s.register_offset(register.addr()) else { return u32::MAX };
            let value = s.with_device(|device, bus| device.read_register(bus, offset));
            s.emit(site, Kind::Called { ddi: Ddi::ReadRegister, argument: offset, result: value });
            value
        })
    }

    unsafe fn write_register_ulong(self, register: *mut u32, value: u32) {
        let site = self.site();
        self.point();
        self.act(|s| {
            let Some(offset) = s.register_offset(register.addr()) else { return };
            s.emit(site, Kind::Called { ddi: Ddi::WriteRegister, argument: offset, result: value });
            s.with_device(|device, bus| device.write_register(bus, offset, value));
        });
    }

    fn initialize_perf_opts(self, query: bool, data: *mut PerfConfigurationData) -> StorStatus {
        let site = self.site();
        // The argument tells a query from a request, and whether there was a structure at all.
        let argument = u32::from(query) | u32::from(data.is_null()) << 1;
        self.status((Ddi::InitializePerfOpts, argument, site), |s| s.perf_opts(query, data))
    }

    fn get_start_io_perf_params(
        self,
        _srb: Srb,
        parameters: &mut StartIoPerformanceParameters,
    ) -> StorStatus {
        let site = self.site();
        self.status((Ddi::GetStartIoPerfParams, 0, site), |s| s.start_io_parameters(parameters))
    }

    fn get_msi_info(
        self,
        message: u32,
        information: &mut MessageInterruptInformation,
    ) -> StorStatus {
        let site = self.site();
        self.status((Ddi::GetMsiInfo, message, site), |s| {
            s.message_information(message, information)
        })
    }

    fn enable_passive_initialization(self, routine: HwPassiveInitializeRoutine) -> bool {
        let site = self.site();
        self.boolean((Ddi::EnablePassiveInitialization, 0, site), |s| {
            let allowed = s.inside(Routine::Initialize)
                && !s.setup.failures.passive_initialization
                && !s.setup.dump;
            if allowed {
                s.adapter.passive_initialize = Some(routine);
            }
            allowed
        })
    }

    fn request_timer_call(self, routine: Option<HwTimer>, microseconds: u32) {
        let site = self.site();
        let result = u32::from(routine.is_some());
        self.call((Ddi::RequestTimerCall, microseconds, site), |s| {
            s.request_timer_call(routine, microseconds);
            result
        });
    }

    fn initialize_timer(self, timer: &mut *mut c_void) -> StorStatus {
        let site = self.site();
        self.status((Ddi::InitializeTimer, 0, site), |s| s.initialize_timer(timer))
    }

    unsafe fn request_timer(
        self,
        timer: *mut c_void,
        routine: HwTimerEx,
        context: *mut c_void,
        microseconds: u64,
        _tolerable_delay: u64,
    ) -> StorStatus {
        let site = self.site();
        let argument = u32::try_from(microseconds).unwrap_or(u32::MAX);
        self.status((Ddi::RequestTimer, argument, site), |s| {
            s.request_timer(timer, (routine, context), microseconds)
        })
    }

    unsafe fn free_timer(self, timer: *mut c_void) -> StorStatus {
        let site = self.site();
        self.status((Ddi::FreeTimer, 0, site), |s| {
            let status = s.timers.free_timer(timer);
            s.refresh_due();
            status
        })
    }

    fn initialize_worker(self, worker: &mut *mut c_void) -> StorStatus {
        let site = self.site();
        self.status((Ddi::InitializeWorker, 0, site), |s| s.initialize_worker(worker))
    }

    unsafe fn queue_work_item(
        self,
        routine: HwWorkItem,
        worker: *mut c_void,
        context: *mut c_void,
    ) -> StorStatus {
        let site = self.site();
        self.status((Ddi::QueueWorkItem, 0, site), |s| s.queue_work(routine, worker, context))
    }

    unsafe fn free_worker(self, worker: *mut c_void) -> StorStatus {
        let site = self.site();
        self.status((Ddi::FreeWorker, 0, site), |s| s.timers.free_worker(worker))
    }

    fn stall_execution(self, microseconds: u32) {
        let site = self.site();
        self.call((Ddi::StallExecution, microseconds, site), |s| {
            let stalled = u64::from(microseconds) * 1_000;
            s.time += stalled;
            s.processor().busy += stalled;
            s.run_due();
            0
        });
    }

    fn query_system_time(self) -> u64 {
        let site = self.site();
        let mut time = 0;
        self.call((Ddi::QuerySystemTime, 0, site), |s| {
            time = EPOCH + s.time / 100;
            0
        });
        time
    }

    fn get_current_processor_number(self, processor: &mut ProcessorNumber) -> StorStatus {
        let site = self.site();
        self.status((Ddi::GetCurrentProcessorNumber, 0, site), |s| {
            *processor = ProcessorNumber { group: 0, number: s.current as u8, reserved: 0 };
            StorStatus::SUCCESS
        })
    }

    fn get_group_affinity(self, group: u16, mask: &mut usize) -> StorStatus {
        let site = self.site();
        self.status((Ddi::GetGroupAffinity, u32::from(group), site), |s| match group {
            0 => {
                *mask = (1 << s.processor_count) - 1;
                StorStatus::SUCCESS
            }
            _ => StorStatus::INVALID_PARAMETER,
        })
    }

    fn log_error(
        self,
        _srb: Option<Srb>,
        _path: u8,
        _target: u8,
        _lun: u8,
        code: u32,
        _unique: u32,
    ) {
        let site = self.site();
        self.call((Ddi::LogError, code, site), |_| 0);
    }

    fn validate_range(
        self,
        _bus_type: InterfaceType,
        _bus: u32,
        _address: PhysicalAddress,
        bytes: u32,
        _io_space: bool,
    ) -> bool {
        let site = self.site();
        self.boolean((Ddi::ValidateRange, bytes, site), |_| true)
    }
}
