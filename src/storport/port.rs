//! What a miniport may call: [`StorPort`], and its safe face [`StorPortExt`].
//!
//! Every method is one DDI, its name the snake_case of the Windows name without the prefix, its
//! arguments the C ones without `HwDeviceExtension` (the handle stands for it). Each method is
//! `#[track_caller]`, so that the host can say on which line of the driver it was called.
//!
//! Pages: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/>, one a routine, named
//! `nf-storport-` and the lower-case routine name.

use core::ffi::c_void;
use core::panic::Location;
use core::ptr;

use super::address::StorAddress;
use super::cell::Dpc;
use super::code::NotificationType;
use super::config::{
    HwPassiveInitializeRoutine, HwStateChange, HwSynchronizeRoutine, HwTimer, HwTimerEx,
    HwWorkItem, InterfaceType, PortConfigurationInformation,
};
use super::dpc::{HwDpcRoutine, StorDpc};
use super::entry;
use super::lock::{StorLockHandle, StorSpinlock};
use super::memory::{PhysicalAddress, StorScatterGatherList};
use super::miniport::Miniport;
use super::perf::{
    MessageInterruptInformation, PerfConfigurationData, ProcessorNumber,
    StartIoPerformanceParameters,
};
use super::srb::Srb;
use super::status::{SrbStatus, StorStatus};
use super::touch::Touch;

/// StorPort, seen from a miniport: a handle of at most two words that every callback gets.
///
/// The methods are the DDI as it is: an implementation does what StorPort does with the same arguments,
/// bad ones included. [`StorPortExt`] has the forms that cannot be misused.
///
/// # Safety
///
/// An implementation promises that its methods may be called at the IRQLs and from the callbacks that
/// the documentation of each routine allows, and what [`StorPort::TAKES_TURNS`] says.
pub unsafe trait StorPort: Copy + 'static {
    /// Processors take turns on one thread of the host, and none loses its turn inside an access to memory: so a plain load
    /// and a plain store make an interlocked operation. The operations of real processors, which wait until
    /// all stores before them are seen everywhere, would be a tenth of a simulated driver's time.
    const TAKES_TURNS: bool = false;

    /// The handle for the adapter whose device extension lies at `extension`.
    ///
    /// # Safety
    ///
    /// `extension` is the HwDeviceExtension that StorPort passed to an entry point.
    unsafe fn from_extension(extension: *mut c_void) -> Self;

    /// The same handle, for calls made on behalf of code at `site`.
    #[must_use]
    fn on_behalf_of(self, site: &'static Location<'static>) -> Self;

    /// Tells a checking port of a read of shared memory. Nothing on real StorPort.
    #[inline]
    #[track_caller]
    fn memory_read(self, address: *const c_void, bytes: usize) {
        let _ = (address, bytes);
    }

    /// Tells a checking port of a write of shared memory. Nothing on real StorPort.
    #[inline]
    #[track_caller]
    fn memory_written(self, address: *const c_void, bytes: usize) {
        let _ = (address, bytes);
    }

    /// Tells a checking port of an access to shared memory that cannot be torn. Nothing on real StorPort.
    #[inline]
    #[track_caller]
    fn memory_interlocked(self, address: *const c_void, bytes: usize, touch: Touch) {
        let _ = (address, bytes, touch);
    }

    // Locks.

    /// StorPortAcquireSpinLock: takes StartIoLock or InterruptLock (`context` NULL) or DpcLock (`context`
    /// the STOR_DPC). IRQL: up to DISPATCH_LEVEL for DpcLock and StartIoLock, up to DIRQL for InterruptLock.
    ///
    /// # Safety
    ///
    /// `context` is NULL or points to a STOR_DPC; `handle` is valid and stays in place until the release.
    #[track_caller]
    unsafe fn acquire_spin_lock(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    );

    /// StorPortAcquireSpinLockEx: as `acquire_spin_lock`, with ThreadedDpcLock and DpcLevelLock too.
    ///
    /// # Errors
    ///
    /// INVALID_PARAMETER for an unknown kind or a missing context, INVALID_IRQL above the lock's level.
    ///
    /// # Safety
    ///
    /// As for [`StorPort::acquire_spin_lock`].
    #[track_caller]
    unsafe fn acquire_spin_lock_ex(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) -> StorStatus;

    /// StorPortReleaseSpinLock: gives back the lock of `handle` and restores the IRQL that it saved.
    ///
    /// # Safety
    ///
    /// `handle` was filled by an acquire on this processor and not released since.
    #[track_caller]
    unsafe fn release_spin_lock(self, handle: *mut StorLockHandle);

    /// StorPortAcquireMSISpinLock: takes the lock of one message and writes the IRQL to restore.
    /// Any IRQL up to the message's. Legal only with InterruptSynchronizePerMessage.
    #[track_caller]
    fn acquire_msi_spin_lock(self, message: u32, old_irql: &mut u32) -> StorStatus;

    /// StorPortReleaseMSISpinLock: gives it back. `old_irql` is what the acquire wrote.
    #[track_caller]
    fn release_msi_spin_lock(self, message: u32, old_irql: u32) -> StorStatus;

    /// StorPortSynchronizeAccess: runs `routine` at DIRQL under the Interrupt lock, on this processor.
    ///
    /// # Safety
    ///
    /// `routine` may be called with this adapter's extension and `context`.
    #[track_caller]
    unsafe fn synchronize_access(self, routine: HwSynchronizeRoutine, context: *mut c_void)
    -> bool;

    // DPCs.

    /// StorPortInitializeDpc. From HwStorPassiveInitializeRoutine.
    ///
    /// # Safety
    ///
    /// `dpc` stays in place, untouched, for the life of the adapter.
    #[track_caller]
    unsafe fn initialize_dpc(self, dpc: *mut StorDpc, routine: HwDpcRoutine);

    /// StorPortIssueDpc: queues the DPC on this processor; `false` if it is queued already.
    ///
    /// # Safety
    ///
    /// `dpc` was initialised.
    #[track_caller]
    unsafe fn issue_dpc(
        self,
        dpc: *mut StorDpc,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool;

    /// StorPortCancelDpc: takes the DPC out of the queue; `false` if it was not there.
    ///
    /// # Safety
    ///
    /// `dpc` was initialised.
    #[track_caller]
    unsafe fn cancel_dpc(self, dpc: *mut StorDpc) -> bool;

    /// StorPortSetTargetProcessorDpc (notification 0x100B): the DPC runs on that processor from now on.
    ///
    /// # Safety
    ///
    /// `dpc` was initialised.
    #[track_caller]
    unsafe fn set_target_processor_dpc(
        self,
        dpc: *mut StorDpc,
        processor: ProcessorNumber,
    ) -> StorStatus;

    // Requests and queues.

    /// StorPortNotification(RequestComplete): the request belongs to StorPort again. Any IRQL.
    #[track_caller]
    fn request_complete(self, srb: Srb);

    /// StorPortNotification of a type without arguments (ResetDetected, LinkUp, LinkDown,
    /// BusChangeDetected). Any IRQL.
    #[track_caller]
    fn notify(self, notification: NotificationType);

    /// StorPortCompleteRequest: StorPort itself completes every outstanding request of the unit; 255 for
    /// a part of the address means all. Deprecated: Static Driver Verifier's rule StorPortCompleteRequest forbids it.
    #[track_caller]
    fn complete_request(self, path: u8, target: u8, lun: u8, status: SrbStatus);

    /// StorPortPause: no new requests for so many seconds.
    #[track_caller]
    fn pause(self, seconds: u32) -> bool;

    /// StorPortResume.
    #[track_caller]
    fn resume(self) -> bool;

    /// StorPortPauseDevice.
    #[track_caller]
    fn pause_device(self, path: u8, target: u8, lun: u8, seconds: u32) -> bool;

    /// StorPortResumeDevice.
    #[track_caller]
    fn resume_device(self, path: u8, target: u8, lun: u8) -> bool;

    /// StorPortBusy: no new requests until so many have completed.
    #[track_caller]
    fn busy(self, requests: u32) -> bool;

    /// StorPortReady: the adapter can take requests again.
    #[track_caller]
    fn ready(self) -> bool;

    /// StorPortDeviceBusy.
    #[track_caller]
    fn device_busy(self, path: u8, target: u8, lun: u8, requests: u32) -> bool;

    /// StorPortDeviceReady.
    #[track_caller]
    fn device_ready(self, path: u8, target: u8, lun: u8) -> bool;

    /// StorPortSetDeviceQueueDepth: at most `depth` (1 to 254) requests to the unit at once.
    #[track_caller]
    fn set_device_queue_depth(self, path: u8, target: u8, lun: u8, depth: u32) -> bool;

    /// StorPortStateChangeDetected: calls `routine`, if there is one, later, under the StartIo lock.
    ///
    /// # Safety
    ///
    /// `routine` may be called with `context`.
    #[track_caller]
    unsafe fn state_change_detected(
        self,
        entity: u32,
        address: &StorAddress,
        attributes: u32,
        routine: Option<HwStateChange>,
        context: *mut c_void,
    ) -> StorStatus;

    // Resources.

    /// StorPortGetDeviceBase: maps a range that PnP assigned; NULL on failure. From HwStorFindAdapter.
    #[track_caller]
    fn get_device_base(
        self,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: bool,
    ) -> *mut c_void;

    /// StorPortFreeDeviceBase.
    ///
    /// # Safety
    ///
    /// `base` came from [`StorPort::get_device_base`] and nothing uses it any more.
    #[track_caller]
    unsafe fn free_device_base(self, base: *mut c_void);

    /// StorPortGetUncachedExtension: memory that the adapter reaches by DMA, for its life; NULL on
    /// failure. Only from HwStorFindAdapter, once.
    #[track_caller]
    fn get_uncached_extension(
        self,
        config: &mut PortConfigurationInformation,
        bytes: u32,
    ) -> *mut c_void;

    /// StorPortGetPhysicalAddress: the physical address of `virtual_address` and how many bytes from
    /// there are contiguous.
    #[track_caller]
    fn get_physical_address(
        self,
        srb: Option<Srb>,
        virtual_address: *mut c_void,
        bytes: &mut u32,
    ) -> PhysicalAddress;

    /// StorPortGetScatterGatherList: the request's data as StorPort mapped it; NULL without data.
    #[track_caller]
    fn get_scatter_gather_list(self, srb: Srb) -> *const StorScatterGatherList;

    /// StorPortGetSystemAddress: the request's data in system space. IRQL up to DISPATCH_LEVEL.
    #[track_caller]
    fn get_system_address(self, srb: Srb, address: &mut *mut c_void) -> StorStatus;

    /// StorPortAllocatePool: nonpaged memory. IRQL up to DISPATCH_LEVEL.
    #[track_caller]
    fn allocate_pool(self, bytes: u32, tag: u32, buffer: &mut *mut c_void) -> StorStatus;

    /// StorPortFreePool. IRQL up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `buffer` came from [`StorPort::allocate_pool`] and nothing uses it any more.
    #[track_caller]
    unsafe fn free_pool(self, buffer: *mut c_void) -> StorStatus;

    /// StorPortGetBusData: reads PCI configuration space; returns the bytes read.
    #[track_caller]
    fn get_bus_data(self, bus_data_type: u32, bus: u32, slot: u32, buffer: &mut [u8]) -> u32;

    /// StorPortRegistryRead of a REG_DWORD under the adapter's Parameters key. IRQL: PASSIVE_LEVEL.
    #[track_caller]
    fn registry_read_dword(self, name: &core::ffi::CStr) -> Option<u32>;

    // Registers.

    /// StorPortReadRegisterUlong. Any IRQL.
    ///
    /// # Safety
    ///
    /// `register` lies in a range that [`StorPort::get_device_base`] mapped.
    #[track_caller]
    unsafe fn read_register_ulong(self, register: *const u32) -> u32;

    /// StorPortWriteRegisterUlong. Any IRQL.
    ///
    /// # Safety
    ///
    /// As for [`StorPort::read_register_ulong`].
    #[track_caller]
    unsafe fn write_register_ulong(self, register: *mut u32, value: u32);

    // Performance options and messages.

    /// StorPortInitializePerfOpts: asks (`query`) or sets the options. From HwStorInitialize or
    /// HwStorPassiveInitializeRoutine.
    #[track_caller]
    fn initialize_perf_opts(self, query: bool, data: *mut PerfConfigurationData) -> StorStatus;

    /// StorPortGetStartIoPerfParams: message and channel for the request. From HwStorStartIo.
    #[track_caller]
    fn get_start_io_perf_params(
        self,
        srb: Srb,
        parameters: &mut StartIoPerformanceParameters,
    ) -> StorStatus;

    /// StorPortGetMSIInfo: describes a granted message; fails past the last. Not from an interrupt routine.
    #[track_caller]
    fn get_msi_info(
        self,
        message: u32,
        information: &mut MessageInterruptInformation,
    ) -> StorStatus;

    // Later.

    /// StorPortEnablePassiveInitialization: calls `routine` once HwStorInitialize has returned; `false`
    /// outside HwStorInitialize. IRQL: DIRQL.
    #[track_caller]
    fn enable_passive_initialization(self, routine: HwPassiveInitializeRoutine) -> bool;

    /// StorPortNotification(RequestTimerCall): calls `routine` after so many microseconds; 0 cancels.
    #[track_caller]
    fn request_timer_call(self, routine: Option<HwTimer>, microseconds: u32);

    /// StorPortInitializeTimer. IRQL up to DISPATCH_LEVEL.
    #[track_caller]
    fn initialize_timer(self, timer: &mut *mut c_void) -> StorStatus;

    /// StorPortRequestTimer: BUSY if it is pending; 0 microseconds cancels. Any IRQL.
    ///
    /// # Safety
    ///
    /// `timer` came from [`StorPort::initialize_timer`]; `routine` may be called with `context`.
    #[track_caller]
    unsafe fn request_timer(
        self,
        timer: *mut c_void,
        routine: HwTimerEx,
        context: *mut c_void,
        microseconds: u64,
        tolerable_delay: u64,
    ) -> StorStatus;

    /// StorPortFreeTimer. IRQL up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `timer` came from [`StorPort::initialize_timer`].
    #[track_caller]
    unsafe fn free_timer(self, timer: *mut c_void) -> StorStatus;

    /// StorPortInitializeWorker. IRQL up to DISPATCH_LEVEL.
    #[track_caller]
    fn initialize_worker(self, worker: &mut *mut c_void) -> StorStatus;

    /// StorPortQueueWorkItem: runs `routine` at PASSIVE_LEVEL. IRQL up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `worker` came from [`StorPort::initialize_worker`]; `routine` may be called with `context`.
    #[track_caller]
    unsafe fn queue_work_item(
        self,
        routine: HwWorkItem,
        worker: *mut c_void,
        context: *mut c_void,
    ) -> StorStatus;

    /// StorPortFreeWorker. IRQL up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `worker` came from [`StorPort::initialize_worker`].
    #[track_caller]
    unsafe fn free_worker(self, worker: *mut c_void) -> StorStatus;

    // Time, identity, log.

    /// StorPortStallExecution: spins for so many microseconds, less than a thousand.
    #[track_caller]
    fn stall_execution(self, microseconds: u32);

    /// StorPortQuerySystemTime: 100 ns units since 1601.
    #[track_caller]
    fn query_system_time(self) -> u64;

    /// StorPortGetCurrentProcessorNumber. IRQL up to DISPATCH_LEVEL.
    #[track_caller]
    fn get_current_processor_number(self, processor: &mut ProcessorNumber) -> StorStatus;

    /// StorPortGetGroupAffinity: the active processors of a group. IRQL up to DISPATCH_LEVEL.
    #[track_caller]
    fn get_group_affinity(self, group: u16, mask: &mut usize) -> StorStatus;

    /// StorPortLogError. Deprecated; Static Driver Verifier's rule StorPortDeprecated forbids it.
    #[track_caller]
    fn log_error(self, srb: Option<Srb>, path: u8, target: u8, lun: u8, code: u32, unique: u32);

    /// StorPortValidateRange. Deprecated, as [`StorPort::log_error`].
    #[track_caller]
    fn validate_range(
        self,
        bus_type: InterfaceType,
        bus: u32,
        address: PhysicalAddress,
        bytes: u32,
        io_space: bool,
    ) -> bool;
}

/// Safe forms of the routines that take a callback or an object of the driver's own.
pub trait StorPortExt: StorPort {
    /// StorPortInitializeDpc with [`Miniport::dpc`] as the routine.
    #[track_caller]
    fn initialize_dpc_of<M: Miniport<Self>>(self, dpc: &Dpc) {
        let port = self.on_behalf_of(Location::caller());
        // SAFETY: a `Dpc` lives inside the device extension, which outlives the adapter.
        unsafe { port.initialize_dpc(dpc.as_ptr(), entry::dpc::<Self, M>) }
    }

    /// StorPortIssueDpc with two integers for arguments.
    #[track_caller]
    fn issue(self, dpc: &Dpc, argument1: usize, argument2: usize) -> bool {
        let port = self.on_behalf_of(Location::caller());
        // SAFETY: as in `initialize_dpc_of`; the arguments are never dereferenced by StorPort.
        unsafe {
            port.issue_dpc(
                dpc.as_ptr(),
                ptr::without_provenance_mut(argument1),
                ptr::without_provenance_mut(argument2),
            )
        }
    }

    /// StorPortSynchronizeAccess with a closure.
    #[track_caller]
    fn synchronized<F: FnMut() -> bool>(self, mut routine: F) -> bool {
        unsafe extern "system-unwind" fn call<F: FnMut() -> bool>(
            _: *mut c_void,
            context: *mut c_void,
        ) -> u8 {
            // SAFETY: `synchronized` passes a live `F`, and StorPort calls once, before it returns.
            u8::from(unsafe { (*context.cast::<F>())() })
        }
        let port = self.on_behalf_of(Location::caller());
        // SAFETY: `call::<F>` takes exactly this context.
        unsafe { port.synchronize_access(call::<F>, (&raw mut routine).cast()) }
    }

    /// StorPortEnablePassiveInitialization with [`Miniport::passive_initialize`].
    #[track_caller]
    fn enable_passive_initialization_of<M: Miniport<Self>>(self) -> bool {
        let port = self.on_behalf_of(Location::caller());
        port.enable_passive_initialization(entry::passive_initialize::<Self, M>)
    }

    /// StorPortNotification(RequestTimerCall) with [`Miniport::timer`].
    #[track_caller]
    fn request_timer_of<M: Miniport<Self>>(self, microseconds: u32) {
        let port = self.on_behalf_of(Location::caller());
        port.request_timer_call(Some(entry::timer::<Self, M>), microseconds);
    }

    /// StorPortQueueWorkItem with [`Miniport::work_item`].
    ///
    /// # Safety
    ///
    /// `worker` came from [`StorPort::initialize_worker`].
    #[track_caller]
    unsafe fn queue_work_item_of<M: Miniport<Self>>(
        self,
        worker: *mut c_void,
        context: usize,
    ) -> StorStatus {
        let port = self.on_behalf_of(Location::caller());
        // SAFETY: the caller's promise; the context is an integer that only the miniport reads.
        unsafe {
            port.queue_work_item(
                entry::work_item::<Self, M>,
                worker,
                ptr::without_provenance_mut(context),
            )
        }
    }

    /// StorPortRequestTimer with [`Miniport::timer_ex`].
    ///
    /// # Safety
    ///
    /// `timer` came from [`StorPort::initialize_timer`].
    #[track_caller]
    unsafe fn request_timer_ex_of<M: Miniport<Self>>(
        self,
        timer: *mut c_void,
        context: usize,
        microseconds: u64,
    ) -> StorStatus {
        let port = self.on_behalf_of(Location::caller());
        // SAFETY: the caller's promise; the context is an integer that only the miniport reads.
        unsafe {
            port.request_timer(
                timer,
                entry::timer_ex::<Self, M>,
                ptr::without_provenance_mut(context),
                microseconds,
                0,
            )
        }
    }
}

impl<P: StorPort> StorPortExt for P {}
