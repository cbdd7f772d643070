//! The DDI of [`Checked`]: each routine is the real one, told of.

use core::ffi::{CStr, c_void};
use core::panic::Location;

use super::Hooks;
use super::callback::{self, Header};
use super::tell::{Call, Checked};
use crate::event::{Kind, Routine};
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
    Ddi, Executive, Srb, SrbStatus, StorDpc, StorLockHandle, StorPort, StorSpinlock, StorStatus,
    Touch,
};

/// What StorPortSynchronizeAccess calls instead of the core's routine.
struct Synchronized<P> {
    routine: HwSynchronizeRoutine,
    context: *mut c_void,
    call: Call<P>,
}

/// The routine of StorPortSynchronizeAccess: under the Interrupt lock.
///
/// # Safety
///
/// Called by StorPort only, from `synchronize_access`, with its context.
unsafe extern "system-unwind" fn synchronized<P: Executive, H: Hooks<P>>(
    extension: *mut c_void,
    context: *mut c_void,
) -> u8 {
    // SAFETY: the contract.
    let (port, asked) =
        unsafe { (Checked::<P, H>::of(extension), &*context.cast::<Synchronized<P>>()) };
    port.acquired_to_synchronize(&asked.call);
    let result = port.callback(Routine::Synchronized, 0, || {
        // SAFETY: the core's own routine, with the core's extension and context.
        u32::from(unsafe { (asked.routine)(Header::inner(extension), asked.context) })
    });
    port.released_to_synchronize(&asked.call);
    result as u8
}

// SAFETY: each method is the routine of the inner port, whose promise is the same, called with the caller's
// arguments; routines of the core are replaced by ones that call them with its own extension.
unsafe impl<P: Executive, H: Hooks<P>> StorPort for Checked<P, H> {
    unsafe fn from_extension(extension: *mut c_void) -> Self {
        // SAFETY: the core's extension lies inside that of a `CheckedMiniport`.
        unsafe { Self::of(Header::outer(extension)) }
    }

    fn on_behalf_of(self, site: &'static Location<'static>) -> Self {
        self.called_from(site)
    }

    #[inline]
    fn memory_read(self, address: *const c_void, bytes: usize) {
        self.inner.memory_read(address, bytes);
    }

    #[inline]
    fn memory_written(self, address: *const c_void, bytes: usize) {
        self.inner.memory_written(address, bytes);
    }

    #[inline]
    fn memory_interlocked(self, address: *const c_void, bytes: usize, touch: Touch) {
        self.inner.memory_interlocked(address, bytes, touch);
    }

    unsafe fn acquire_spin_lock(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) {
        let call = self.call();
        // SAFETY: the caller's promise.
        unsafe { self.acquire(&call, (lock, false), context, handle) };
    }

    unsafe fn acquire_spin_lock_ex(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) -> StorStatus {
        let call = self.call();
        // SAFETY: the caller's promise.
        unsafe { self.acquire(&call, (lock, true), context, handle) }
    }

    unsafe fn release_spin_lock(self, handle: *mut StorLockHandle) {
        let call = self.call();
        // SAFETY: the caller's promise.
        unsafe { self.release(&call, handle) };
    }

    fn acquire_msi_spin_lock(self, message: u32, old_irql: &mut u32) -> StorStatus {
        let call = self.call();
        self.acquire_msi(&call, message, old_irql)
    }

    fn release_msi_spin_lock(self, message: u32, old_irql: u32) -> StorStatus {
        let call = self.call();
        self.release_msi(&call, message, old_irql)
    }

    unsafe fn synchronize_access(
        self,
        routine: HwSynchronizeRoutine,
        context: *mut c_void,
    ) -> bool {
        let call = self.call();
        self.wait_to_synchronize(&call);
        let mut asked = Synchronized { routine, context, call };
        // SAFETY: `synchronized` takes this context, which lives until the call returns.
        unsafe { call.port.synchronize_access(synchronized::<P, H>, (&raw mut asked).cast()) }
    }

    unsafe fn initialize_dpc(self, dpc: *mut StorDpc, routine: HwDpcRoutine) {
        let call = self.call();
        let number = self.header().set_dpc(dpc, routine);
        let number = number.expect("the checked layer follows DPCS_MAX DPCs");
        // SAFETY: the caller's promise; `callback::dpc` finds the routine by the object.
        unsafe { call.port.initialize_dpc(dpc, callback::dpc::<P, H>) };
        self.tell(&call, |book, _| Some(book.initialize_dpc(number)));
    }

    unsafe fn issue_dpc(
        self,
        dpc: *mut StorDpc,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        let call = self.call();
        // Noted before: the routine may run, on another processor, before the call returns.
        let number = self.usable_dpc(dpc);
        if let Some(number) = number {
            self.look(|book| book.set_queued(number, true));
        }
        // SAFETY: the caller's promise.
        let queued = unsafe { call.port.issue_dpc(dpc, argument1, argument2) };
        self.tell(&call, |_, slot| Some(Kind::DpcIssued { dpc: number, queued, target: slot }));
        queued
    }

    unsafe fn cancel_dpc(self, dpc: *mut StorDpc) -> bool {
        let call = self.call();
        let number = self.usable_dpc(dpc);
        // SAFETY: the caller's promise.
        let removed = unsafe { call.port.cancel_dpc(dpc) };
        self.tell(&call, |book, _| {
            if let (Some(number), true) = (number, removed) {
                book.set_queued(number, false);
            }
            Some(Kind::DpcCancelled { dpc: number, removed })
        });
        removed
    }

    unsafe fn set_target_processor_dpc(
        self,
        dpc: *mut StorDpc,
        processor: ProcessorNumber,
    ) -> StorStatus {
        let call = self.call();
        // SAFETY: the caller's promise.
        let status = unsafe { call.port.set_target_processor_dpc(dpc, processor) };
        let number = NotificationType::SET_TARGET_PROCESSOR_DPC.0;
        self.status(&call, Ddi::Notification, number, status)
    }

    fn request_complete(self, srb: Srb) {
        let call = self.call();
        let (address, status) = (srb.as_ptr().addr(), srb.status());
        let mut told = false;
        self.tell(&call, |book, slot| {
            told = true;
            let (request, owner, starting_elsewhere) = book.close(Some(slot), address);
            let device_owns = false;
            Some(Kind::RequestCompleted { request, status, owner, device_owns, starting_elsewhere })
        });
        if !told {
            // An unwatched callback completes it all the same.
            self.look(|book| book.close(None, address));
        }
        call.port.request_complete(srb);
    }

    fn notify(self, notification: NotificationType) {
        let call = self.call();
        let ddi = match notification {
            NotificationType::RESET_DETECTED => Ddi::ResetDetected,
            NotificationType::BUS_CHANGE_DETECTED => Ddi::BusChangeDetected,
            _ => Ddi::Notification,
        };
        call.port.notify(notification);
        self.called(&call, ddi, notification.0, 0);
    }

    fn complete_request(self, path: u8, target: u8, lun: u8, status: SrbStatus) {
        let call = self.call();
        self.tell(&call, |book, _| {
            let count = book.close_all();
            Some(Kind::RequestsCompletedByPort { count, status })
        });
        call.port.complete_request(path, target, lun, status);
    }

    fn pause(self, seconds: u32) -> bool {
        let call = self.call();
        self.boolean(&call, Ddi::Pause, seconds, call.port.pause(seconds))
    }

    fn resume(self) -> bool {
        let call = self.call();
        self.boolean(&call, Ddi::Resume, 0, call.port.resume())
    }

    fn pause_device(self, path: u8, target: u8, lun: u8, seconds: u32) -> bool {
        let call = self.call();
        let paused = call.port.pause_device(path, target, lun, seconds);
        self.boolean(&call, Ddi::PauseDevice, seconds, paused)
    }

    fn resume_device(self, path: u8, target: u8, lun: u8) -> bool {
        let call = self.call();
        self.boolean(&call, Ddi::ResumeDevice, 0, call.port.resume_device(path, target, lun))
    }

    fn busy(self, requests: u32) -> bool {
        let call = self.call();
        self.boolean(&call, Ddi::Busy, requests, call.port.busy(requests))
    }

    fn ready(self) -> bool {
        let call = self.call();
        self.boolean(&call, Ddi::Ready, 0, call.port.ready())
    }

    fn device_busy(self, path: u8, target: u8, lun: u8, requests: u32) -> bool {
        let call = self.call();
        let busy = call.port.device_busy(path, target, lun, requests);
        self.boolean(&call, Ddi::DeviceBusy, requests, busy)
    }

    fn device_ready(self, path: u8, target: u8, lun: u8) -> bool {
        let call = self.call();
        self.boolean(&call, Ddi::DeviceReady, 0, call.port.device_ready(path, target, lun))
    }

    fn set_device_queue_depth(self, path: u8, target: u8, lun: u8, depth: u32) -> bool {
        let call = self.call();
        let set = call.port.set_device_queue_depth(path, target, lun, depth);
        self.boolean(&call, Ddi::SetDeviceQueueDepth, depth, set)
    }

    unsafe fn state_change_detected(
        self,
        entity: u32,
        address: &StorAddress,
        attributes: u32,
        routine: Option<HwStateChange>,
        context: *mut c_void,
    ) -> StorStatus {
        let call = self.call();
        let Some(routine) = routine else {
            // SAFETY: nothing is called.
            let status = unsafe {
                call.port.state_change_detected(entity, address, attributes, None, context)
            };
            return self.status(&call, Ddi::StateChangeDetected, entity, status);
        };
        let status = self.header().with_state_change((routine, context), |context| {
            let routine = Some(callback::state_change::<P, H> as HwStateChange);
            // SAFETY: `callback::state_change` takes this context.
            let status = unsafe {
                call.port.state_change_detected(entity, address, attributes, routine, context)
            };
            (status == StorStatus::SUCCESS, status)
        });
        let status = status.unwrap_or(StorStatus::INSUFFICIENT_RESOURCES);
        self.status(&call, Ddi::StateChangeDetected, entity, status)
    }

    fn get_device_base(
        self,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: bool,
    ) -> *mut c_void {
        let call = self.call();
        let base = call.port.get_device_base(bus_type, bus, address, bytes, io_space);
        self.called(&call, Ddi::GetDeviceBase, bytes, u32::from(!base.is_null()));
        base
    }

    unsafe fn free_device_base(self, base: *mut c_void) {
        let call = self.call();
        // SAFETY: the caller's promise.
        unsafe { call.port.free_device_base(base) };
        self.called(&call, Ddi::FreeDeviceBase, 0, 0);
    }

    fn get_uncached_extension(
        self,
        config: &mut PortConfigurationInformation,
        bytes: u32,
    ) -> *mut c_void {
        let call = self.call();
        let extension = call.port.get_uncached_extension(config, bytes);
        let result = u32::from(!extension.is_null());
        self.called(&call, Ddi::GetUncachedExtension, bytes, result);
        extension
    }

    fn get_physical_address(
        self,
        srb: Option<Srb>,
        virtual_address: *mut c_void,
        bytes: &mut u32,
    ) -> PhysicalAddress {
        let call = self.call();
        let physical = call.port.get_physical_address(srb, virtual_address, bytes);
        self.called(&call, Ddi::GetPhysicalAddress, 0, u32::from(physical.0 != 0));
        physical
    }

    fn get_scatter_gather_list(self, srb: Srb) -> *const StorScatterGatherList {
        let call = self.call();
        let list = call.port.get_scatter_gather_list(srb);
        self.called(&call, Ddi::GetScatterGatherList, 0, u32::from(!list.is_null()));
        list
    }

    fn get_system_address(self, srb: Srb, address: &mut *mut c_void) -> StorStatus {
        let call = self.call();
        let status = call.port.get_system_address(srb, address);
        self.status(&call, Ddi::GetSystemAddress, 0, status)
    }

    fn allocate_pool(self, bytes: u32, tag: u32, buffer: &mut *mut c_void) -> StorStatus {
        let call = self.call();
        let status = call.port.allocate_pool(bytes, tag, buffer);
        self.status(&call, Ddi::AllocatePool, bytes, status)
    }

    unsafe fn free_pool(self, buffer: *mut c_void) -> StorStatus {
        let call = self.call();
        // SAFETY: the caller's promise.
        let status = unsafe { call.port.free_pool(buffer) };
        self.status(&call, Ddi::FreePool, 0, status)
    }

    fn get_bus_data(self, bus_data_type: u32, bus: u32, slot: u32, buffer: &mut [u8]) -> u32 {
        let call = self.call();
        let bytes = call.port.get_bus_data(bus_data_type, bus, slot, buffer);
        self.called(&call, Ddi::GetBusData, bus_data_type, bytes);
        bytes
    }

    fn registry_read_dword(self, name: &CStr) -> Option<u32> {
        let call = self.call();
        let value = call.port.registry_read_dword(name);
        self.called(&call, Ddi::RegistryRead, 0, u32::from(value.is_some()));
        value
    }

    unsafe fn read_register_ulong(self, register: *const u32) -> u32 {
        // No rule concerns it, and it is the most frequent call of all.
        // SAFETY: the caller's promise.
        unsafe { self.behalf().read_register_ulong(register) }
    }

    unsafe fn write_register_ulong(self, register: *mut u32, value: u32) {
        // SAFETY: as above.
        unsafe { self.behalf().write_register_ulong(register, value) };
    }

    fn initialize_perf_opts(self, query: bool, data: *mut PerfConfigurationData) -> StorStatus {
        let call = self.call();
        let status = call.port.initialize_perf_opts(query, data);
        let argument = u32::from(query) | u32::from(data.is_null()) << 1;
        self.status(&call, Ddi::InitializePerfOpts, argument, status);
        if status == StorStatus::SUCCESS && !query && !data.is_null() {
            self.adopt_perf_opts(data);
        }
        status
    }

    fn get_start_io_perf_params(
        self,
        srb: Srb,
        parameters: &mut StartIoPerformanceParameters,
    ) -> StorStatus {
        let call = self.call();
        let status = call.port.get_start_io_perf_params(srb, parameters);
        self.status(&call, Ddi::GetStartIoPerfParams, 0, status)
    }

    fn get_msi_info(
        self,
        message: u32,
        information: &mut MessageInterruptInformation,
    ) -> StorStatus {
        let call = self.call();
        let status = call.port.get_msi_info(message, information);
        self.status(&call, Ddi::GetMsiInfo, message, status)
    }

    fn enable_passive_initialization(self, routine: HwPassiveInitializeRoutine) -> bool {
        let call = self.call();
        self.header().set_passive_initialize(routine);
        let enabled = call.port.enable_passive_initialization(callback::passive_initialize::<P, H>);
        self.boolean(&call, Ddi::EnablePassiveInitialization, 0, enabled)
    }

    fn request_timer_call(self, routine: Option<HwTimer>, microseconds: u32) {
        let call = self.call();
        self.header().set_timer(routine);
        let timer = routine.map(|_| callback::timer::<P, H> as HwTimer);
        call.port.request_timer_call(timer, microseconds);
        let result = u32::from(routine.is_some());
        self.called(&call, Ddi::RequestTimerCall, microseconds, result);
    }

    fn initialize_timer(self, timer: &mut *mut c_void) -> StorStatus {
        let call = self.call();
        let status = call.port.initialize_timer(timer);
        self.status(&call, Ddi::InitializeTimer, 0, status)
    }

    unsafe fn request_timer(
        self,
        timer: *mut c_void,
        routine: HwTimerEx,
        context: *mut c_void,
        microseconds: u64,
        tolerable_delay: u64,
    ) -> StorStatus {
        let call = self.call();
        let request = |routine, context| {
            // SAFETY: the caller's promise; `callback::timer_ex` takes this context.
            let status = unsafe {
                call.port.request_timer(timer, routine, context, microseconds, tolerable_delay)
            };
            (status == StorStatus::SUCCESS, status)
        };
        let status = match self.header().timer_entry(timer) {
            Some(entry) => self.header().with_timer(entry, (routine, context), |context| {
                request(callback::timer_ex::<P, H>, context)
            }),
            None => StorStatus::INSUFFICIENT_RESOURCES,
        };
        let argument = u32::try_from(microseconds).unwrap_or(u32::MAX);
        self.status(&call, Ddi::RequestTimer, argument, status)
    }

    unsafe fn free_timer(self, timer: *mut c_void) -> StorStatus {
        let call = self.call();
        // SAFETY: the caller's promise.
        let status = unsafe { call.port.free_timer(timer) };
        self.header().forget_timer(timer);
        self.status(&call, Ddi::FreeTimer, 0, status)
    }

    fn initialize_worker(self, worker: &mut *mut c_void) -> StorStatus {
        let call = self.call();
        let status = call.port.initialize_worker(worker);
        self.status(&call, Ddi::InitializeWorker, 0, status)
    }

    unsafe fn queue_work_item(
        self,
        routine: HwWorkItem,
        worker: *mut c_void,
        context: *mut c_void,
    ) -> StorStatus {
        let call = self.call();
        let request = |routine, context| {
            // SAFETY: the caller's promise; `callback::work_item` takes this context.
            let status = unsafe { call.port.queue_work_item(routine, worker, context) };
            (status == StorStatus::SUCCESS, status)
        };
        let status = match self.header().worker_entry(worker) {
            Some(entry) => self.header().with_worker(entry, (routine, context), |context| {
                request(callback::work_item::<P, H>, context)
            }),
            None => StorStatus::INSUFFICIENT_RESOURCES,
        };
        self.status(&call, Ddi::QueueWorkItem, 0, status)
    }

    unsafe fn free_worker(self, worker: *mut c_void) -> StorStatus {
        let call = self.call();
        // SAFETY: the caller's promise.
        let status = unsafe { call.port.free_worker(worker) };
        self.header().forget_worker(worker);
        self.status(&call, Ddi::FreeWorker, 0, status)
    }

    fn stall_execution(self, microseconds: u32) {
        let call = self.call();
        call.port.stall_execution(microseconds);
        self.called(&call, Ddi::StallExecution, microseconds, 0);
    }

    fn query_system_time(self) -> u64 {
        let call = self.call();
        let time = call.port.query_system_time();
        self.called(&call, Ddi::QuerySystemTime, 0, 0);
        time
    }

    fn get_current_processor_number(self, processor: &mut ProcessorNumber) -> StorStatus {
        let call = self.call();
        let status = call.port.get_current_processor_number(processor);
        self.status(&call, Ddi::GetCurrentProcessorNumber, 0, status)
    }

    fn get_group_affinity(self, group: u16, mask: &mut usize) -> StorStatus {
        let call = self.call();
        let status = call.port.get_group_affinity(group, mask);
        self.status(&call, Ddi::GetGroupAffinity, u32::from(group), status)
    }

    fn log_error(self, srb: Option<Srb>, path: u8, target: u8, lun: u8, code: u32, unique: u32) {
        let call = self.call();
        call.port.log_error(srb, path, target, lun, code, unique);
        self.called(&call, Ddi::LogError, code, 0);
    }

    fn validate_range(
        self,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: bool,
    ) -> bool {
        let call = self.call();
        let valid = call.port.validate_range(bus_type, bus, address, bytes, io_space);
        self.boolean(&call, Ddi::ValidateRange, bytes, valid)
    }
}
