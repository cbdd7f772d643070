//! [`StorPort`] over storport.sys.
//!
//! Where the DDI is an export, the export is called; where it is inline in storport.h, StorPortNotification or
//! StorPortExtendedFunction is, with the routine's code. Variadic arguments keep their C types: what is narrower
//! than `int` is widened to it, and nothing else is.

use core::ffi::{CStr, c_void};
use core::panic::Location;
use core::ptr;

use super::imports::{
    Extension, StorPortAllocateRegistryBuffer, StorPortBusy, StorPortCompleteRequest,
    StorPortDeviceBusy, StorPortDeviceReady, StorPortExtendedFunction, StorPortFreeDeviceBase,
    StorPortFreeRegistryBuffer, StorPortGetBusData, StorPortGetDeviceBase,
    StorPortGetPhysicalAddress, StorPortGetScatterGatherList, StorPortGetUncachedExtension,
    StorPortLogError, StorPortNotification, StorPortPause, StorPortPauseDevice,
    StorPortQuerySystemTime, StorPortReadRegisterUlong, StorPortReady, StorPortRegistryRead,
    StorPortResume, StorPortResumeDevice, StorPortSetDeviceQueueDepth, StorPortStallExecution,
    StorPortSynchronizeAccess, StorPortValidateRange, StorPortWriteRegisterUlong,
};
use crate::storport::address::StorAddress;
use crate::storport::code::{FunctionCode, NotificationType};
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
use crate::storport::srb::ScsiRequestBlock;
use crate::storport::{
    Srb, SrbStatus, StorDpc, StorLockHandle, StorPort, StorSpinlock, StorStatus,
};

/// `MINIPORT_REG_DWORD`: the type of a registry value of four bytes.
const MINIPORT_REG_DWORD: u32 = 4;

/// StorPort on Windows, seen from one adapter's miniport: nothing but HwDeviceExtension.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Port {
    extension: Extension,
}

/// StorPortExtendedFunction with the handle's extension.
macro_rules! extended {
    ($port:expr, $code:ident $(, $argument:expr)*) => {
        // SAFETY: the arguments are those of the inline routine of storport.h that this code stands for, and
        // the caller of the method has promised what that routine asks of them.
        unsafe { StorPortExtendedFunction(FunctionCode::$code, $port.extension $(, $argument)*) }
    };
}

/// StorPortNotification with the handle's extension.
macro_rules! notification {
    ($port:expr, $kind:ident $(, $argument:expr)*) => {
        // SAFETY: as for `extended!`.
        unsafe { StorPortNotification(NotificationType::$kind, $port.extension $(, $argument)*) }
    };
}

/// An export with the handle's extension.
macro_rules! export {
    ($port:expr, $routine:ident $(, $argument:expr)*) => {
        // SAFETY: the arguments are the routine's own, and the caller of the method has promised what it asks.
        unsafe { $routine($port.extension $(, $argument)*) }
    };
}

fn srb_or_null(srb: Option<Srb>) -> *mut ScsiRequestBlock {
    srb.map_or(ptr::null_mut(), Srb::as_ptr)
}

impl Port {
    /// StorPort looks the address up and does not follow it.
    #[inline]
    fn physical_address(
        self,
        srb: *mut ScsiRequestBlock,
        virtual_address: *mut c_void,
        bytes: &mut u32,
    ) -> PhysicalAddress {
        export!(self, StorPortGetPhysicalAddress, srb, virtual_address, bytes)
    }

    /// The pointer is the driver's to get right, NULL included: the DDI is safe to the same degree as in C.
    #[inline]
    fn perf_opts(self, query: i32, data: *mut PerfConfigurationData) -> StorStatus {
        extended!(self, INITIALIZE_PERFORMANCE_OPTIMIZATIONS, query, data)
    }
}

// SAFETY: each method is the routine of its name, called with the caller's arguments.
unsafe impl StorPort for Port {
    #[inline]
    unsafe fn from_extension(extension: *mut c_void) -> Self {
        Port { extension }
    }

    #[inline]
    fn on_behalf_of(self, _: &'static Location<'static>) -> Self {
        self
    }

    #[inline]
    unsafe fn acquire_spin_lock(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) {
        notification!(self, ACQUIRE_SPIN_LOCK, lock, context, handle);
    }

    #[inline]
    unsafe fn acquire_spin_lock_ex(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) -> StorStatus {
        extended!(self, ACQUIRE_SPIN_LOCK, lock, context, handle)
    }

    #[inline]
    unsafe fn release_spin_lock(self, handle: *mut StorLockHandle) {
        notification!(self, RELEASE_SPIN_LOCK, handle);
    }

    #[inline]
    fn acquire_msi_spin_lock(self, message: u32, old_irql: &mut u32) -> StorStatus {
        extended!(self, ACQUIRE_MSI_SPIN_LOCK, message, ptr::from_mut(old_irql))
    }

    #[inline]
    fn release_msi_spin_lock(self, message: u32, old_irql: u32) -> StorStatus {
        extended!(self, RELEASE_MSI_SPIN_LOCK, message, old_irql)
    }

    #[inline]
    unsafe fn synchronize_access(
        self,
        routine: HwSynchronizeRoutine,
        context: *mut c_void,
    ) -> bool {
        export!(self, StorPortSynchronizeAccess, routine, context) != 0
    }

    #[inline]
    unsafe fn initialize_dpc(self, dpc: *mut StorDpc, routine: HwDpcRoutine) {
        notification!(self, INITIALIZE_DPC, dpc, routine);
    }

    #[inline]
    unsafe fn issue_dpc(
        self,
        dpc: *mut StorDpc,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        let mut queued = 0_i32;
        notification!(self, ISSUE_DPC, dpc, argument1, argument2, &raw mut queued);
        queued != 0
    }

    #[inline]
    unsafe fn cancel_dpc(self, dpc: *mut StorDpc) -> bool {
        let mut removed = 0_u8;
        let status = extended!(self, CANCEL_DPC, dpc, &raw mut removed);
        status == StorStatus::SUCCESS && removed != 0
    }

    /// No public header has a routine over this notification, so its arguments are unknown: refused.
    #[inline]
    unsafe fn set_target_processor_dpc(self, _: *mut StorDpc, _: ProcessorNumber) -> StorStatus {
        StorStatus::NOT_IMPLEMENTED
    }

    #[inline]
    fn request_complete(self, srb: Srb) {
        notification!(self, REQUEST_COMPLETE, srb.as_ptr());
    }

    #[inline]
    fn notify(self, notification: NotificationType) {
        // BusChangeDetected takes a path; the other types take nothing and do not look.
        // SAFETY: an integer more than a variadic routine reads is legal.
        unsafe { StorPortNotification(notification, self.extension, 0_i32) }
    }

    #[inline]
    fn complete_request(self, path: u8, target: u8, lun: u8, status: SrbStatus) {
        export!(self, StorPortCompleteRequest, path, target, lun, status);
    }

    #[inline]
    fn pause(self, seconds: u32) -> bool {
        export!(self, StorPortPause, seconds) != 0
    }

    #[inline]
    fn resume(self) -> bool {
        export!(self, StorPortResume) != 0
    }

    #[inline]
    fn pause_device(self, path: u8, target: u8, lun: u8, seconds: u32) -> bool {
        export!(self, StorPortPauseDevice, path, target, lun, seconds) != 0
    }

    #[inline]
    fn resume_device(self, path: u8, target: u8, lun: u8) -> bool {
        export!(self, StorPortResumeDevice, path, target, lun) != 0
    }

    #[inline]
    fn busy(self, requests: u32) -> bool {
        export!(self, StorPortBusy, requests) != 0
    }

    #[inline]
    fn ready(self) -> bool {
        export!(self, StorPortReady) != 0
    }

    #[inline]
    fn device_busy(self, path: u8, target: u8, lun: u8, requests: u32) -> bool {
        export!(self, StorPortDeviceBusy, path, target, lun, requests) != 0
    }

    #[inline]
    fn device_ready(self, path: u8, target: u8, lun: u8) -> bool {
        export!(self, StorPortDeviceReady, path, target, lun) != 0
    }

    #[inline]
    fn set_device_queue_depth(self, path: u8, target: u8, lun: u8, depth: u32) -> bool {
        export!(self, StorPortSetDeviceQueueDepth, path, target, lun, depth) != 0
    }

    #[inline]
    unsafe fn state_change_detected(
        self,
        entity: u32,
        address: &StorAddress,
        attributes: u32,
        routine: Option<HwStateChange>,
        context: *mut c_void,
    ) -> StorStatus {
        let mut status = StorStatus::NOT_IMPLEMENTED;
        notification!(
            self,
            STATE_CHANGE_DETECTED_CALL,
            entity,
            ptr::from_ref(address),
            attributes,
            routine,
            context,
            &raw mut status
        );
        status
    }

    #[inline]
    fn get_device_base(
        self,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: bool,
    ) -> *mut c_void {
        export!(self, StorPortGetDeviceBase, bus_type, bus, address, bytes, u8::from(io_space))
    }

    #[inline]
    unsafe fn free_device_base(self, base: *mut c_void) {
        export!(self, StorPortFreeDeviceBase, base);
    }

    #[inline]
    fn get_uncached_extension(
        self,
        config: &mut PortConfigurationInformation,
        bytes: u32,
    ) -> *mut c_void {
        export!(self, StorPortGetUncachedExtension, config, bytes)
    }

    #[inline]
    fn get_physical_address(
        self,
        srb: Option<Srb>,
        virtual_address: *mut c_void,
        bytes: &mut u32,
    ) -> PhysicalAddress {
        self.physical_address(srb_or_null(srb), virtual_address, bytes)
    }

    #[inline]
    fn get_scatter_gather_list(self, srb: Srb) -> *const StorScatterGatherList {
        export!(self, StorPortGetScatterGatherList, srb.as_ptr())
    }

    #[inline]
    fn get_system_address(self, srb: Srb, address: &mut *mut c_void) -> StorStatus {
        extended!(self, GET_SYSTEM_ADDRESS, srb.as_ptr(), ptr::from_mut(address))
    }

    #[inline]
    fn allocate_pool(self, bytes: u32, tag: u32, buffer: &mut *mut c_void) -> StorStatus {
        extended!(self, ALLOCATE_POOL, bytes, tag, ptr::from_mut(buffer))
    }

    #[inline]
    unsafe fn free_pool(self, buffer: *mut c_void) -> StorStatus {
        extended!(self, FREE_POOL, buffer)
    }

    #[inline]
    fn get_bus_data(self, bus_data_type: u32, bus: u32, slot: u32, buffer: &mut [u8]) -> u32 {
        if buffer.is_empty() {
            // A length of zero would ask StorPort to allocate.
            return 0;
        }
        let bytes = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let buffer = buffer.as_mut_ptr().cast();
        export!(self, StorPortGetBusData, bus_data_type, bus, slot, buffer, bytes)
    }

    /// Reads the value below `Parameters\Device`, which holds for every adapter of the driver.
    fn registry_read_dword(self, name: &CStr) -> Option<u32> {
        let mut bytes = size_of::<u32>() as u32;
        let buffer = export!(self, StorPortAllocateRegistryBuffer, &raw mut bytes);
        if buffer.is_null() {
            return None;
        }
        bytes = size_of::<u32>() as u32;
        let found = export!(
            self,
            StorPortRegistryRead,
            name.as_ptr(),
            1,
            MINIPORT_REG_DWORD,
            buffer,
            &raw mut bytes
        );
        let whole = found != 0 && bytes == size_of::<u32>() as u32;
        // SAFETY: StorPort has written that many bytes to a buffer that is as long.
        let value = whole.then(|| unsafe { buffer.cast::<u32>().read_unaligned() });
        export!(self, StorPortFreeRegistryBuffer, buffer);
        value
    }

    #[inline]
    unsafe fn read_register_ulong(self, register: *const u32) -> u32 {
        export!(self, StorPortReadRegisterUlong, register)
    }

    #[inline]
    unsafe fn write_register_ulong(self, register: *mut u32, value: u32) {
        export!(self, StorPortWriteRegisterUlong, register, value);
    }

    #[inline]
    fn initialize_perf_opts(self, query: bool, data: *mut PerfConfigurationData) -> StorStatus {
        self.perf_opts(i32::from(query), data)
    }

    #[inline]
    fn get_start_io_perf_params(
        self,
        srb: Srb,
        parameters: &mut StartIoPerformanceParameters,
    ) -> StorStatus {
        let parameters = ptr::from_mut(parameters);
        extended!(self, GET_START_IO_PERFORMANCE_PARAMETERS, srb.as_ptr(), parameters)
    }

    #[inline]
    fn get_msi_info(
        self,
        message: u32,
        information: &mut MessageInterruptInformation,
    ) -> StorStatus {
        let information = ptr::from_mut(information);
        extended!(self, GET_MESSAGE_INTERRUPT_INFORMATION, message, information)
    }

    #[inline]
    fn enable_passive_initialization(self, routine: HwPassiveInitializeRoutine) -> bool {
        let mut enabled = 0_i32;
        notification!(self, ENABLE_PASSIVE_INITIALIZATION, routine, &raw mut enabled);
        enabled != 0
    }

    #[inline]
    fn request_timer_call(self, routine: Option<HwTimer>, microseconds: u32) {
        notification!(self, REQUEST_TIMER_CALL, routine, microseconds);
    }

    #[inline]
    fn initialize_timer(self, timer: &mut *mut c_void) -> StorStatus {
        extended!(self, INITIALIZE_TIMER, ptr::from_mut(timer))
    }

    #[inline]
    unsafe fn request_timer(
        self,
        timer: *mut c_void,
        routine: HwTimerEx,
        context: *mut c_void,
        microseconds: u64,
        tolerable_delay: u64,
    ) -> StorStatus {
        extended!(self, REQUEST_TIMER, timer, routine, context, microseconds, tolerable_delay)
    }

    #[inline]
    unsafe fn free_timer(self, timer: *mut c_void) -> StorStatus {
        extended!(self, FREE_TIMER, timer)
    }

    #[inline]
    fn initialize_worker(self, worker: &mut *mut c_void) -> StorStatus {
        extended!(self, INITIALIZE_WORKER, ptr::from_mut(worker))
    }

    #[inline]
    unsafe fn queue_work_item(
        self,
        routine: HwWorkItem,
        worker: *mut c_void,
        context: *mut c_void,
    ) -> StorStatus {
        extended!(self, QUEUE_WORK_ITEM, routine, worker, context)
    }

    #[inline]
    unsafe fn free_worker(self, worker: *mut c_void) -> StorStatus {
        extended!(self, FREE_WORKER, worker)
    }

    #[inline]
    fn stall_execution(self, microseconds: u32) {
        // SAFETY: it takes no pointer.
        unsafe { StorPortStallExecution(microseconds) }
    }

    #[inline]
    fn query_system_time(self) -> u64 {
        let mut time = 0;
        // SAFETY: the place is valid for the call.
        unsafe { StorPortQuerySystemTime(&raw mut time) };
        time
    }

    #[inline]
    fn get_current_processor_number(self, processor: &mut ProcessorNumber) -> StorStatus {
        extended!(self, GET_CURRENT_PROCESSOR_NUMBER, ptr::from_mut(processor))
    }

    #[inline]
    fn get_group_affinity(self, group: u16, mask: &mut usize) -> StorStatus {
        extended!(self, GET_GROUP_AFFINITY, i32::from(group), ptr::from_mut(mask))
    }

    #[inline]
    fn log_error(self, srb: Option<Srb>, path: u8, target: u8, lun: u8, code: u32, unique: u32) {
        export!(self, StorPortLogError, srb_or_null(srb), path, target, lun, code, unique);
    }

    #[inline]
    fn validate_range(
        self,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: bool,
    ) -> bool {
        let io_space = u8::from(io_space);
        export!(self, StorPortValidateRange, bus_type, bus, address, bytes, io_space) != 0
    }
}
