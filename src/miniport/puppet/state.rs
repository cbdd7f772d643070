//! The puppet's device extension: the objects that its calls name, and its notes.

use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use core::fmt;
use core::ptr;

use super::frame::{Entries, Frame};
use super::op::Op;
use super::script::{
    Call, DPCS, DPCS_INITIALIZED, EXECUTIVE_LOCKS, EXECUTIVE_LOCKS_INITIALIZED, FIRST_SHARED_SLOT,
    SLOTS, Script,
};
use crate::event::Routine;
use crate::storport::config::AccessRange;
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::dpc::HwDpcRoutine;
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{
    Dpc, Executive, Irql, PortConfigurationInformation, Srb, SrbStatus, StorDpc, StorKspinLock,
    StorLockHandle, StorPort,
};

/// Timers and workers of the puppet.
pub(super) const TIMERS: usize = 4;
/// How many of them HwStorPassiveInitializeRoutine initialises.
const TIMERS_INITIALIZED: usize = 2;
/// Pool buffers of the puppet.
pub(super) const POOLS: usize = 4;
/// Most requests kept: those of StorPort, and resets that come on top.
const KEPT_MAX: usize = 64;
/// Register of the bare device that sends the message written to it, or asserts the line.
pub(super) const TRIGGER: usize = 0xF0;
/// Register of the bare device that takes the line back.
const QUIET: usize = 0xF4;

/// What one lock call leaves behind for another: the handle of each family.
#[derive(Default)]
pub(super) struct Slot {
    pub(super) handle: UnsafeCell<StorLockHandle>,
    pub(super) queue: UnsafeCell<KlockQueueHandle>,
    pub(super) irql: Cell<u32>,
}

/// A request, and where its SrbExtension is: after the completion the request no longer says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) srb: Srb,
    pub(super) extension: *mut c_void,
}

impl Request {
    pub(super) fn new(srb: Srb) -> Self {
        Request { srb, extension: srb.miniport_context() }
    }

    /// RequestComplete with `status`.
    pub(super) fn complete<P: StorPort>(self, port: P, status: SrbStatus) {
        self.srb.set_status(status);
        port.request_complete(self.srb);
    }
}

/// What the registry says of the adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registry {
    pub(super) per_message: bool,
    pub(super) half_duplex: bool,
}

/// The device extension.
pub(super) struct State {
    calls: Cell<*const Call>,
    count: Cell<u32>,
    /// A bit for each routine that some call is addressed to.
    addressed: Cell<u32>,
    /// A bit for each routine that some [`Op::SkipDefault`] is addressed to.
    skipping: Cell<u32>,
    invocations: [Cell<u32>; Routine::ALL.len()],
    registry: Cell<Registry>,
    /// Loaded to write a crash dump.
    pub(super) in_dump: Cell<bool>,

    dpcs: [Dpc; DPCS],
    dpc_copies: [Dpc; DPCS],
    locks: [UnsafeCell<StorKspinLock>; EXECUTIVE_LOCKS],
    shared_slots: [Slot; SLOTS - FIRST_SHARED_SLOT],
    pub(super) timers: [Cell<*mut c_void>; TIMERS],
    pub(super) workers: [Cell<*mut c_void>; TIMERS],
    pub(super) pools: [Cell<*mut c_void>; POOLS],
    /// The first register range, and where it is mapped.
    pub(super) range: Cell<AccessRange>,
    pub(super) registers: Cell<*mut c_void>,
    /// Memory that no request of StorPort's lies in.
    no_request: UnsafeCell<[u64; 32]>,
    locks_initialized: Cell<bool>,
    objects_initialized: Cell<bool>,
    /// RequestTimerCall was used.
    pub(super) timer_requested: Cell<bool>,

    /// Kept requests, the oldest first.
    kept: [Cell<Option<Request>>; KEPT_MAX],
    kept_count: Cell<usize>,
    /// The request completed last.
    pub(super) completed: Cell<Option<Request>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    /// Remembers the script at `script`, or that there is none.
    ///
    /// Whoever passes it as HwContext keeps the promise of [`Script`].
    pub(super) fn take_script(&self, script: *const Script) {
        // SAFETY: the promise: NULL, or a script that is valid for the life of the adapter.
        let script = unsafe { script.as_ref() };
        self.calls.set(script.map_or(ptr::null(), |script| script.calls));
        self.count.set(script.map_or(0, |script| script.count));
        let bits = |filter: fn(&Call) -> bool| {
            let chosen = self.calls().iter().filter(|call| filter(call));
            chosen.fold(0, |bits, call| bits | 1 << call.routine as u32)
        };
        self.addressed.set(bits(|_| true));
        self.skipping.set(bits(|call| call.op == Op::SkipDefault));
    }

    /// Every call of the script.
    pub(super) fn calls(&self) -> &[Call] {
        if self.count.get() == 0 {
            return &[];
        }
        // SAFETY: `take_script` got them from a script, which promises this.
        unsafe { core::slice::from_raw_parts(self.calls.get(), self.count.get() as usize) }
    }

    /// Whether some call is addressed to `routine`.
    pub(super) fn is_addressed(&self, routine: Routine) -> bool {
        self.addressed.get() & 1 << routine as u32 != 0
    }

    /// Whether `routine` leaves out what it does by itself in some invocation.
    pub(super) fn may_skip(&self, routine: Routine) -> bool {
        self.skipping.get() & 1 << routine as u32 != 0
    }

    /// The frame of a new invocation of `routine`.
    pub(super) fn frame<P: StorPort + Executive>(
        &self,
        port: P,
        routine: Routine,
        entries: &'static Entries,
    ) -> Frame<'_, P> {
        let invocations = &self.invocations[routine as usize];
        let invocation = invocations.get();
        invocations.set(invocation.wrapping_add(1));
        Frame::new(self, port, routine, invocation, entries)
    }

    /// Reads the registry, which only PASSIVE_LEVEL may: in a crash dump and when StorPort finds the
    /// adapter anew, HwStorFindAdapter runs above, and what was read first stays.
    pub(super) fn read_registry<P: StorPort + Executive>(&self, port: P) -> Registry {
        if port.ke_get_current_irql() == Irql::PASSIVE {
            let is_set = |value: Option<u32>| value.is_some_and(|value| value != 0);
            self.registry.set(Registry {
                per_message: is_set(port.registry_read_dword(c"InterruptSynchronizePerMessage")),
                half_duplex: is_set(port.registry_read_dword(c"HalfDuplex")),
            });
        }
        self.registry.get()
    }

    /// Maps the first register range.
    pub(super) fn map_registers<P: StorPort>(
        &self,
        port: P,
        config: &PortConfigurationInformation,
    ) -> bool {
        if config.number_of_access_ranges == 0 || config.access_ranges.is_null() {
            return false;
        }
        // SAFETY: StorPort passes that many ranges, at least one.
        let range = unsafe { *config.access_ranges };
        self.range.set(range);
        self.registers.set(port.get_device_base(
            config.adapter_interface_type,
            config.system_io_bus_number,
            range.range_start,
            range.range_length,
            range.range_in_memory == 0,
        ));
        !self.registers.get().is_null()
    }

    /// KeInitializeSpinLock of the first executive locks, once.
    pub(super) fn initialize_executive_locks<P: Executive>(&self, port: P) {
        if self.locks_initialized.replace(true) {
            return;
        }
        for number in 0..EXECUTIVE_LOCKS_INITIALIZED {
            // SAFETY: the lock lies in the device extension.
            unsafe { port.ke_initialize_spin_lock(self.executive_lock(number as u8)) };
        }
    }

    /// Initialises the first DPCs, timers and workers, once.
    pub(super) fn initialize_objects<P: StorPort>(&self, port: P, routine: HwDpcRoutine) {
        if self.objects_initialized.replace(true) {
            return;
        }
        for dpc in &self.dpcs[..DPCS_INITIALIZED] {
            // SAFETY: the DPC lies in the device extension, whose extension the routine takes.
            unsafe { port.initialize_dpc(dpc.as_ptr(), routine) };
        }
        for number in 0..TIMERS_INITIALIZED {
            fill(&self.timers[number], |timer| port.initialize_timer(timer));
            fill(&self.workers[number], |worker| port.initialize_worker(worker));
        }
    }

    pub(super) fn dpc(&self, number: u8) -> *mut StorDpc {
        self.dpcs[object(number, DPCS, DPCS_INITIALIZED)].as_ptr()
    }

    pub(super) fn dpc_copy(&self, number: u8) -> *mut StorDpc {
        self.dpc_copies[object(number, DPCS, DPCS_INITIALIZED)].as_ptr()
    }

    /// The number of a DPC that runs; a copy has its original's.
    pub(super) fn number_of_dpc(&self, dpc: *mut StorDpc) -> u32 {
        let place = |dpcs: &[Dpc; DPCS]| dpcs.iter().position(|known| known.as_ptr() == dpc);
        place(&self.dpcs).or_else(|| place(&self.dpc_copies)).unwrap_or(0) as u32
    }

    pub(super) fn executive_lock(&self, number: u8) -> *mut StorKspinLock {
        self.locks[object(number, EXECUTIVE_LOCKS, EXECUTIVE_LOCKS_INITIALIZED)].get()
    }

    /// A slot that all callbacks share, counted from [`FIRST_SHARED_SLOT`].
    pub(super) fn shared_slot(&self, number: usize) -> &Slot {
        &self.shared_slots[number % self.shared_slots.len()]
    }

    /// A pointer that is no request.
    pub(super) fn no_request(&self) -> Srb {
        // SAFETY: the memory is larger than any request and aligned as one; zeroes make it a
        // SCSI_REQUEST_BLOCK.
        unsafe { Srb::new(self.no_request.get().cast()) }
    }

    /// Makes the device take its line back.
    pub(super) fn quiet_line<P: StorPort>(&self, port: P) {
        self.write_register(port, QUIET, 0);
    }

    pub(super) fn write_register<P: StorPort>(&self, port: P, offset: usize, value: u32) {
        if let Some(register) = self.register(offset) {
            // SAFETY: the bare device's registers are 256 bytes, `offset` is less.
            unsafe { port.write_register_ulong(register, value) };
        }
    }

    /// Where a register lies, if the registers are mapped.
    pub(super) fn register(&self, offset: usize) -> Option<*mut u32> {
        let base = self.registers.get();
        (!base.is_null()).then(|| base.wrapping_byte_add(offset).cast())
    }

    /// Keeps a request; `false` if there is no room.
    pub(super) fn keep(&self, request: Request) -> bool {
        let count = self.kept_count.get();
        let Some(place) = self.kept.get(count) else { return false };
        place.set(Some(request));
        self.kept_count.set(count + 1);
        true
    }

    /// Takes the request kept first.
    pub(super) fn take_oldest(&self) -> Option<Request> {
        (self.kept_count.get() > 0).then(|| self.take_kept(0)).flatten()
    }

    /// Takes this request, if it is kept.
    pub(super) fn take(&self, srb: Srb) {
        let is_it = |place: &Cell<Option<Request>>| place.get().is_some_and(|kept| kept.srb == srb);
        if let Some(place) = self.kept[..self.kept_count.get()].iter().position(is_it) {
            self.take_kept(place);
        }
    }

    fn take_kept(&self, place: usize) -> Option<Request> {
        let last = self.kept_count.get() - 1;
        let request = self.kept[place].get();
        for place in place..last {
            self.kept[place].swap(&self.kept[place + 1]);
        }
        self.kept_count.set(last);
        request
    }

    /// Forgets every kept request.
    pub(super) fn forget_kept(&self) {
        self.kept_count.set(0);
    }

    /// Completes every kept request, the oldest first.
    pub(super) fn complete_kept<P: StorPort>(&self, port: P, status: SrbStatus) {
        while let Some(request) = self.take_oldest() {
            self.completed.set(Some(request));
            request.complete(port, status);
        }
    }

    /// What a driver that behaves does when its adapter is stopped or gone.
    pub(super) fn follow_control<P: StorPort>(&self, port: P, control: ScsiAdapterControlType) {
        let stops = control == ScsiAdapterControlType::STOP_ADAPTER;
        let gone = control == ScsiAdapterControlType::SURPRISE_REMOVAL;
        if gone {
            self.complete_kept(port, SrbStatus::NO_DEVICE);
        }
        if (stops || gone) && self.timer_requested.replace(false) {
            port.request_timer_call(None, 0);
        }
    }
}

/// Lets StorPort fill a handle, which keeps its value if StorPort writes none.
pub(super) fn fill<R>(cell: &Cell<*mut c_void>, by: impl FnOnce(&mut *mut c_void) -> R) -> R {
    let mut handle = cell.get();
    let result = by(&mut handle);
    cell.set(handle);
    result
}

/// The object of that number, of `count` of which the first are initialised.
fn object(number: u8, count: usize, initialized: usize) -> usize {
    let number = usize::from(number);
    if number < count { number } else { number % initialized }
}
