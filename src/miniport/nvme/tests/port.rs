//! The bench as a StorPort: what the driver calls. Every call is a place where "other processors" may
//! run; see [`Bench::interleave`].

use core::ffi::{CStr, c_void};
use core::panic::Location;

use super::bench::{Bench, Held};
use crate::storport::address::StorAddress;
use crate::storport::code::NotificationType;
use crate::storport::config::{
    HwPassiveInitializeRoutine, HwStateChange, HwSynchronizeRoutine, HwTimer, HwTimerEx,
    HwWorkItem, InterfaceType, PortConfigurationInformation,
};
use crate::storport::dpc::{HwDpcRoutine, StorDpc};
use crate::storport::lock::{StorLockHandle, StorSpinlock};
use crate::storport::memory::{PhysicalAddress, StorScatterGatherList};
use crate::storport::perf::{
    MessageInterruptInformation, PerfConfigurationData, PerfFlags, ProcessorNumber,
    StartIoPerformanceParameters,
};
use crate::storport::{Srb, SrbStatus, StorPort, StorStatus};

/// A handle to the bench.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port(pub(super) *const Bench);

impl Port {
    fn bench<'a>(self) -> &'a Bench {
        // SAFETY: the bench outlives every call that it makes into the driver.
        unsafe { &*self.0 }
    }
}

fn never<T>() -> T {
    unreachable!("the driver does not call this")
}

// SAFETY: the bench allows every call anywhere.
unsafe impl StorPort for Port {
    unsafe fn from_extension(_: *mut c_void) -> Self {
        never()
    }

    fn on_behalf_of(self, _: &'static Location<'static>) -> Self {
        self
    }

    unsafe fn acquire_spin_lock(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) {
        let held = match lock {
            StorSpinlock::DPC => Held::Dpc(context.addr()),
            StorSpinlock::INTERRUPT => Held::Interrupt,
            _ => never(),
        };
        self.bench().acquire(held);
        // SAFETY: the caller's handle.
        unsafe {
            (*handle).lock = lock;
            (*handle).context.lock = context.addr();
        }
    }

    unsafe fn acquire_spin_lock_ex(
        self,
        _: StorSpinlock,
        _: *mut StorDpc,
        _: *mut StorLockHandle,
    ) -> StorStatus {
        never()
    }

    unsafe fn release_spin_lock(self, handle: *mut StorLockHandle) {
        // SAFETY: the caller's handle.
        let handle = unsafe { *handle };
        self.bench().release(match handle.lock {
            StorSpinlock::DPC => Held::Dpc(handle.context.lock),
            _ => Held::Interrupt,
        });
    }

    fn acquire_msi_spin_lock(self, message: u32, _: &mut u32) -> StorStatus {
        self.bench().acquire(Held::Message(message));
        StorStatus::SUCCESS
    }

    fn release_msi_spin_lock(self, message: u32, _: u32) -> StorStatus {
        self.bench().release(Held::Message(message));
        StorStatus::SUCCESS
    }

    unsafe fn synchronize_access(self, _: HwSynchronizeRoutine, _: *mut c_void) -> bool {
        never()
    }

    unsafe fn initialize_dpc(self, dpc: *mut StorDpc, _: HwDpcRoutine) {
        self.bench().initialize_dpc(dpc.addr());
    }

    unsafe fn issue_dpc(self, dpc: *mut StorDpc, argument: *mut c_void, _: *mut c_void) -> bool {
        self.bench().issue_dpc(dpc.addr(), argument.addr())
    }

    unsafe fn cancel_dpc(self, _: *mut StorDpc) -> bool {
        never()
    }

    unsafe fn set_target_processor_dpc(self, _: *mut StorDpc, _: ProcessorNumber) -> StorStatus {
        never()
    }

    fn request_complete(self, srb: Srb) {
        self.bench().complete(srb);
    }

    fn notify(self, _: NotificationType) {
        never()
    }

    fn complete_request(self, _: u8, _: u8, _: u8, _: SrbStatus) {
        never()
    }

    fn pause(self, _: u32) -> bool {
        never()
    }

    fn resume(self) -> bool {
        never()
    }

    fn pause_device(self, _: u8, _: u8, _: u8, _: u32) -> bool {
        never()
    }

    fn resume_device(self, _: u8, _: u8, _: u8) -> bool {
        never()
    }

    fn busy(self, _: u32) -> bool {
        never()
    }

    fn ready(self) -> bool {
        never()
    }

    fn device_busy(self, _: u8, _: u8, _: u8, _: u32) -> bool {
        never()
    }

    fn device_ready(self, _: u8, _: u8, _: u8) -> bool {
        never()
    }

    fn set_device_queue_depth(self, _: u8, _: u8, _: u8, _: u32) -> bool {
        never()
    }

    unsafe fn state_change_detected(
        self,
        _: u32,
        _: &StorAddress,
        _: u32,
        _: Option<HwStateChange>,
        _: *mut c_void,
    ) -> StorStatus {
        never()
    }

    fn get_device_base(
        self,
        _: InterfaceType,
        _: u32,
        address: PhysicalAddress,
        _: u32,
        _: bool,
    ) -> *mut c_void {
        core::ptr::without_provenance_mut(address.0 as usize)
    }

    unsafe fn free_device_base(self, _: *mut c_void) {}

    fn get_uncached_extension(
        self,
        _: &mut PortConfigurationInformation,
        bytes: u32,
    ) -> *mut c_void {
        self.bench().uncached(bytes)
    }

    fn get_physical_address(
        self,
        _: Option<Srb>,
        virtual_address: *mut c_void,
        bytes: &mut u32,
    ) -> PhysicalAddress {
        *bytes = u32::MAX;
        PhysicalAddress(virtual_address.expose_provenance() as u64)
    }

    fn get_scatter_gather_list(self, srb: Srb) -> *const StorScatterGatherList {
        self.bench().scatter_gather_list(srb)
    }

    fn get_system_address(self, _: Srb, _: &mut *mut c_void) -> StorStatus {
        never()
    }

    fn allocate_pool(self, _: u32, _: u32, _: &mut *mut c_void) -> StorStatus {
        never()
    }

    unsafe fn free_pool(self, _: *mut c_void) -> StorStatus {
        never()
    }

    fn get_bus_data(self, _: u32, _: u32, _: u32, _: &mut [u8]) -> u32 {
        never()
    }

    fn registry_read_dword(self, name: &CStr) -> Option<u32> {
        let setup = &self.bench().setup;
        match name.to_bytes() {
            b"HalfDuplex" => Some(setup.half_duplex.into()),
            b"InterruptSynchronizePerMessage" => Some(setup.per_message.into()),
            _ => None,
        }
    }

    unsafe fn read_register_ulong(self, register: *const u32) -> u32 {
        self.bench().read_register(register.addr())
    }

    unsafe fn write_register_ulong(self, register: *mut u32, value: u32) {
        self.bench().write_register(register.addr(), value);
    }

    fn initialize_perf_opts(self, query: bool, data: *mut PerfConfigurationData) -> StorStatus {
        let bench = self.bench();
        // SAFETY: the driver's structure.
        let data = unsafe { &mut *data };
        if query {
            data.flags = PerfFlags(if bench.setup.channels { 0x1F } else { 0x1D });
            data.concurrent_channels = bench.setup.processors;
        } else {
            assert_eq!(data.flags.missing_requirement(), None);
            assert!(data.last_redirection_message_number < bench.setup.messages.max(1));
        }
        StorStatus::SUCCESS
    }

    fn get_start_io_perf_params(
        self,
        _: Srb,
        parameters: &mut StartIoPerformanceParameters,
    ) -> StorStatus {
        parameters.message_number = self.bench().random(self.bench().setup.messages.max(1));
        StorStatus::SUCCESS
    }

    fn get_msi_info(self, message: u32, _: &mut MessageInterruptInformation) -> StorStatus {
        if message < self.bench().setup.messages {
            StorStatus::SUCCESS
        } else {
            StorStatus::UNSUCCESSFUL
        }
    }

    fn enable_passive_initialization(self, _: HwPassiveInitializeRoutine) -> bool {
        self.bench().setup.passive
    }

    fn request_timer_call(self, routine: Option<HwTimer>, _: u32) {
        self.bench().set_timer(routine.is_some());
    }

    fn initialize_timer(self, _: &mut *mut c_void) -> StorStatus {
        never()
    }

    unsafe fn request_timer(
        self,
        _: *mut c_void,
        _: HwTimerEx,
        _: *mut c_void,
        _: u64,
        _: u64,
    ) -> StorStatus {
        never()
    }

    unsafe fn free_timer(self, _: *mut c_void) -> StorStatus {
        never()
    }

    fn initialize_worker(self, _: &mut *mut c_void) -> StorStatus {
        never()
    }

    unsafe fn queue_work_item(self, _: HwWorkItem, _: *mut c_void, _: *mut c_void) -> StorStatus {
        never()
    }

    unsafe fn free_worker(self, _: *mut c_void) -> StorStatus {
        never()
    }

    fn stall_execution(self, microseconds: u32) {
        self.bench().stall(microseconds);
    }

    fn query_system_time(self) -> u64 {
        never()
    }

    fn get_current_processor_number(self, processor: &mut ProcessorNumber) -> StorStatus {
        processor.number = self.bench().random(self.bench().setup.processors) as u8;
        StorStatus::SUCCESS
    }

    fn get_group_affinity(self, _: u16, mask: &mut usize) -> StorStatus {
        *mask = (1 << self.bench().setup.processors) - 1;
        StorStatus::SUCCESS
    }

    fn log_error(self, _: Option<Srb>, _: u8, _: u8, _: u8, _: u32, _: u32) {
        never()
    }

    fn validate_range(self, _: InterfaceType, _: u32, _: PhysicalAddress, _: u32, _: bool) -> bool {
        never()
    }
}
