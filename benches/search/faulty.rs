//! StorPort with one planted mistake: everything is passed on to the port beneath, but for the lock call, completion
//! or timer that the mistake is about. So a driver that is right makes mistakes like those of drivers that are not.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::panic::Location;

use lockstorm::harness::HarnessPort;
use lockstorm::miniport::nvme::Nvme;
use lockstorm::storport::address::StorAddress;
use lockstorm::storport::code::NotificationType;
use lockstorm::storport::config::{
    HwPassiveInitializeRoutine, HwStateChange, HwSynchronizeRoutine, HwTimer, HwTimerEx,
    HwWorkItem, InterfaceType, PortConfigurationInformation,
};
use lockstorm::storport::control::{ScsiAdapterControlType, ScsiUnitControlType};
use lockstorm::storport::dpc::{HwDpcRoutine, StorDpc};
use lockstorm::storport::lock::{StorLockHandle, StorSpinlock};
use lockstorm::storport::memory::{PhysicalAddress, StorScatterGatherList};
use lockstorm::storport::perf::{
    MessageInterruptInformation, PerfConfigurationData, ProcessorNumber,
    StartIoPerformanceParameters,
};
use lockstorm::storport::{
    Extension, Initialization, Miniport, SpReturn, Srb, SrbStatus, StorPort, StorStatus, Touch,
};

/// A planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// The 60th release of a spin lock in a run is forgotten.
    ForgetsLate,
    /// A release on processor 3 is forgotten.
    ForgetsOnThirdProcessor,
    /// A release is forgotten if another processor waits for a lock just then.
    ForgetsWhenWaitedFor,
    /// The same, once two processors have waited at once.
    ForgetsWhenTwoWaited,
    /// The lock of a message above 2 is released as that of the message before.
    ReleasesOtherMessage,
    /// A message's lock is released to a level of its own once ten were.
    RestoresWrongLevel,
    /// The 20th request is completed twice.
    CompletesTwice,
    /// A request is completed twice if the driver's timer was requested in between.
    CompletesTwiceAfterTimer,
    /// The Interrupt lock is forgotten once a DPC was queued that was queued already.
    ForgetsAfterRefusedDpc,
    /// A DPC's lock is taken as the StartIo lock after 30 requests.
    TakesOtherLock,
}

impl Mistake {
    pub(crate) const ALL: [Mistake; 10] = [
        Mistake::ForgetsLate,
        Mistake::ForgetsOnThirdProcessor,
        Mistake::ForgetsWhenWaitedFor,
        Mistake::ForgetsWhenTwoWaited,
        Mistake::ReleasesOtherMessage,
        Mistake::RestoresWrongLevel,
        Mistake::CompletesTwice,
        Mistake::CompletesTwiceAfterTimer,
        Mistake::ForgetsAfterRefusedDpc,
        Mistake::TakesOtherLock,
    ];
}

/// What has happened in this run.
#[derive(Clone, Copy, Default)]
struct Run {
    releases: u32,
    message_releases: u32,
    completions: u32,
    waiting: u32,
    two_waited: bool,
    refused_dpc: bool,
    timer_since_completion: bool,
}

thread_local! {
    static MISTAKE: Cell<Option<Mistake>> = const { Cell::new(None) };
    static RUN: Cell<Run> = const { Cell::new(Run {
        releases: 0,
        message_releases: 0,
        completions: 0,
        waiting: 0,
        two_waited: false,
        refused_dpc: false,
        timer_since_completion: false,
    }) };
}

/// Plants a mistake.
pub(crate) fn plant(mistake: Mistake) {
    MISTAKE.set(Some(mistake));
}

/// Begins a run.
pub(crate) fn begin() {
    RUN.set(Run::default());
}

fn is(mistake: Mistake) -> bool {
    MISTAKE.get() == Some(mistake)
}

/// Notes what happens, and returns what has happened with it.
fn note(change: impl FnOnce(&mut Run)) -> Run {
    let mut run = RUN.get();
    change(&mut run);
    RUN.set(run);
    run
}

/// The port beneath.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faulty(HarnessPort);

impl Faulty {
    fn processor(self) -> u8 {
        let mut number = ProcessorNumber::default();
        self.0.get_current_processor_number(&mut number);
        number.number
    }

    fn forgets(self) -> bool {
        let run = note(|run| run.releases += 1);
        match MISTAKE.get() {
            Some(Mistake::ForgetsLate) => run.releases == 60,
            Some(Mistake::ForgetsOnThirdProcessor) => self.processor() == 3,
            Some(Mistake::ForgetsWhenWaitedFor) => run.waiting > 0,
            Some(Mistake::ForgetsWhenTwoWaited) => run.two_waited,
            Some(Mistake::ForgetsAfterRefusedDpc) => run.refused_dpc,
            _ => false,
        }
    }
}

/// Passes calls on.
macro_rules! pass {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(
            #[inline]
            #[track_caller]
            fn $name(self, $($argument: $type),*) $(-> $result)? {
                self.0.$name($($argument),*)
            }
        )*
    };
}

macro_rules! pass_unsafe {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(
            #[inline]
            #[track_caller]
            unsafe fn $name(self, $($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller's promise.
                unsafe { self.0.$name($($argument),*) }
            }
        )*
    };
}

// SAFETY: the port beneath keeps the promise; a mistake breaks rules, not memory.
unsafe impl StorPort for Faulty {
    unsafe fn from_extension(extension: *mut c_void) -> Self {
        // SAFETY: the caller's promise.
        Faulty(unsafe { HarnessPort::from_extension(extension) })
    }

    fn on_behalf_of(self, site: &'static Location<'static>) -> Self {
        Faulty(self.0.on_behalf_of(site))
    }

    #[track_caller]
    unsafe fn acquire_spin_lock(
        self,
        lock: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) {
        let run = note(|run| run.waiting += 1);
        note(|run| run.two_waited |= run.waiting > 2);
        let other = is(Mistake::TakesOtherLock) && run.completions >= 30;
        let (lock, context) = match lock {
            StorSpinlock::DPC if other => (StorSpinlock::START_IO, std::ptr::null_mut()),
            lock => (lock, context),
        };
        // SAFETY: the caller's promise.
        unsafe { self.0.acquire_spin_lock(lock, context, handle) };
        note(|run| run.waiting = run.waiting.saturating_sub(1));
    }

    #[track_caller]
    unsafe fn release_spin_lock(self, handle: *mut StorLockHandle) {
        if !self.forgets() {
            // SAFETY: the caller's promise.
            unsafe { self.0.release_spin_lock(handle) }
        }
    }

    #[track_caller]
    fn acquire_msi_spin_lock(self, message: u32, old_irql: &mut u32) -> StorStatus {
        note(|run| run.waiting += 1);
        note(|run| run.two_waited |= run.waiting > 2);
        let status = self.0.acquire_msi_spin_lock(message, old_irql);
        note(|run| run.waiting = run.waiting.saturating_sub(1));
        status
    }

    #[track_caller]
    fn release_msi_spin_lock(self, message: u32, old_irql: u32) -> StorStatus {
        let run = note(|run| run.message_releases += 1);
        let late = run.message_releases > 10;
        let message = message - u32::from(is(Mistake::ReleasesOtherMessage) && message > 2);
        let old_irql = old_irql + u32::from(is(Mistake::RestoresWrongLevel) && late);
        if self.forgets() {
            StorStatus::SUCCESS
        } else {
            self.0.release_msi_spin_lock(message, old_irql)
        }
    }

    #[track_caller]
    fn request_complete(self, srb: Srb) {
        let timer = RUN.get().timer_since_completion;
        let run = note(|run| {
            run.completions += 1;
            run.timer_since_completion = false;
        });
        self.0.request_complete(srb);
        let again = (is(Mistake::CompletesTwice) && run.completions == 20)
            || (is(Mistake::CompletesTwiceAfterTimer) && timer && run.completions > 1);
        if again {
            self.0.request_complete(srb);
        }
    }

    #[track_caller]
    fn request_timer_call(self, routine: Option<HwTimer>, microseconds: u32) {
        note(|run| run.timer_since_completion = true);
        self.0.request_timer_call(routine, microseconds);
    }

    #[track_caller]
    unsafe fn issue_dpc(
        self,
        dpc: *mut StorDpc,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) -> bool {
        // SAFETY: the caller's promise.
        let queued = unsafe { self.0.issue_dpc(dpc, argument1, argument2) };
        note(|run| run.refused_dpc |= !queued);
        queued
    }

    pass! {
        fn memory_read(address: *const c_void, bytes: usize);
        fn memory_written(address: *const c_void, bytes: usize);
        fn memory_interlocked(address: *const c_void, bytes: usize, touch: Touch);
        fn notify(notification: NotificationType);
        fn complete_request(path: u8, target: u8, lun: u8, status: SrbStatus);
        fn pause(seconds: u32) -> bool;
        fn resume() -> bool;
        fn pause_device(path: u8, target: u8, lun: u8, seconds: u32) -> bool;
        fn resume_device(path: u8, target: u8, lun: u8) -> bool;
        fn busy(requests: u32) -> bool;
        fn ready() -> bool;
        fn device_busy(path: u8, target: u8, lun: u8, requests: u32) -> bool;
        fn device_ready(path: u8, target: u8, lun: u8) -> bool;
        fn set_device_queue_depth(path: u8, target: u8, lun: u8, depth: u32) -> bool;
        fn get_device_base(bus_type: InterfaceType, bus: u32, address: PhysicalAddress, bytes: u32, io_space: bool) -> *mut c_void;
        fn get_uncached_extension(config: &mut PortConfigurationInformation, bytes: u32) -> *mut c_void;
        fn get_physical_address(srb: Option<Srb>, virtual_address: *mut c_void, bytes: &mut u32) -> PhysicalAddress;
        fn get_scatter_gather_list(srb: Srb) -> *const StorScatterGatherList;
        fn get_system_address(srb: Srb, address: &mut *mut c_void) -> StorStatus;
        fn allocate_pool(bytes: u32, tag: u32, buffer: &mut *mut c_void) -> StorStatus;
        fn get_bus_data(bus_data_type: u32, bus: u32, slot: u32, buffer: &mut [u8]) -> u32;
        fn registry_read_dword(name: &CStr) -> Option<u32>;
        fn initialize_perf_opts(query: bool, data: *mut PerfConfigurationData) -> StorStatus;
        fn get_start_io_perf_params(srb: Srb, parameters: &mut StartIoPerformanceParameters) -> StorStatus;
        fn get_msi_info(message: u32, information: &mut MessageInterruptInformation) -> StorStatus;
        fn enable_passive_initialization(routine: HwPassiveInitializeRoutine) -> bool;
        fn initialize_timer(timer: &mut *mut c_void) -> StorStatus;
        fn initialize_worker(worker: &mut *mut c_void) -> StorStatus;
        fn stall_execution(microseconds: u32);
        fn query_system_time() -> u64;
        fn get_current_processor_number(processor: &mut ProcessorNumber) -> StorStatus;
        fn get_group_affinity(group: u16, mask: &mut usize) -> StorStatus;
        fn log_error(srb: Option<Srb>, path: u8, target: u8, lun: u8, code: u32, unique: u32);
        fn validate_range(bus_type: InterfaceType, bus: u32, address: PhysicalAddress, bytes: u32, io_space: bool) -> bool;
    }

    pass_unsafe! {
        fn acquire_spin_lock_ex(lock: StorSpinlock, context: *mut StorDpc, handle: *mut StorLockHandle) -> StorStatus;
        fn synchronize_access(routine: HwSynchronizeRoutine, context: *mut c_void) -> bool;
        fn initialize_dpc(dpc: *mut StorDpc, routine: HwDpcRoutine);
        fn cancel_dpc(dpc: *mut StorDpc) -> bool;
        fn set_target_processor_dpc(dpc: *mut StorDpc, processor: ProcessorNumber) -> StorStatus;
        fn state_change_detected(entity: u32, address: &StorAddress, attributes: u32, routine: Option<HwStateChange>, context: *mut c_void) -> StorStatus;
        fn free_device_base(base: *mut c_void);
        fn free_pool(buffer: *mut c_void) -> StorStatus;
        fn read_register_ulong(register: *const u32) -> u32;
        fn write_register_ulong(register: *mut u32, value: u32);
        fn request_timer(timer: *mut c_void, routine: HwTimerEx, context: *mut c_void, microseconds: u64, tolerable_delay: u64) -> StorStatus;
        fn free_timer(timer: *mut c_void) -> StorStatus;
        fn queue_work_item(routine: HwWorkItem, worker: *mut c_void, context: *mut c_void) -> StorStatus;
        fn free_worker(worker: *mut c_void) -> StorStatus;
    }
}

/// The NVMe core on a faulty port.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Mutant(Nvme);

// SAFETY: it is an `Nvme`, whose zeroes are a valid one.
unsafe impl Extension for Mutant {}

type Core = Nvme;

impl Miniport<HarnessPort> for Mutant {
    const INITIALIZATION: Initialization = <Core as Miniport<Faulty>>::INITIALIZATION;

    fn find_adapter(
        &self,
        port: HarnessPort,
        context: *const c_void,
        config: &mut PortConfigurationInformation,
    ) -> SpReturn {
        self.0.find_adapter(Faulty(port), context, config)
    }

    fn initialize(&self, port: HarnessPort) -> bool {
        self.0.initialize(Faulty(port))
    }

    fn passive_initialize(&self, port: HarnessPort) -> bool {
        self.0.passive_initialize(Faulty(port))
    }

    fn build_io(&self, port: HarnessPort, srb: Srb) -> bool {
        self.0.build_io(Faulty(port), srb)
    }

    fn start_io(&self, port: HarnessPort, srb: Srb) -> bool {
        self.0.start_io(Faulty(port), srb)
    }

    fn interrupt(&self, port: HarnessPort) -> bool {
        self.0.interrupt(Faulty(port))
    }

    fn message_interrupt(&self, port: HarnessPort, message: u32) -> bool {
        self.0.message_interrupt(Faulty(port), message)
    }

    fn dpc(&self, port: HarnessPort, dpc: *mut StorDpc, argument1: usize, argument2: usize) {
        self.0.dpc(Faulty(port), dpc, argument1, argument2);
    }

    fn timer(&self, port: HarnessPort) {
        self.0.timer(Faulty(port));
    }

    fn reset_bus(&self, port: HarnessPort, path: u32) -> bool {
        self.0.reset_bus(Faulty(port), path)
    }

    fn supports_adapter_control(&self, control: ScsiAdapterControlType) -> bool {
        <Core as Miniport<Faulty>>::supports_adapter_control(&self.0, control)
    }

    fn adapter_control(
        &self,
        port: HarnessPort,
        control: ScsiAdapterControlType,
        parameters: *mut c_void,
    ) -> bool {
        self.0.adapter_control(Faulty(port), control, parameters)
    }

    fn supports_unit_control(&self, control: ScsiUnitControlType) -> bool {
        <Core as Miniport<Faulty>>::supports_unit_control(&self.0, control)
    }

    fn unit_control(
        &self,
        port: HarnessPort,
        control: ScsiUnitControlType,
        parameters: *mut c_void,
    ) -> bool {
        self.0.unit_control(Faulty(port), control, parameters)
    }

    fn tracing_enabled(&self, port: HarnessPort, enabled: bool) {
        self.0.tracing_enabled(Faulty(port), enabled);
    }
}
