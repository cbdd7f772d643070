//! STOR_DPC objects, and the work that waits at DISPATCH_LEVEL.
//!
//! An object is known by its address, and its memory repeats its number, so that an object that was
//! zeroed, copied or never initialised is told apart. It has one place in one queue at a time, and its
//! routine never runs twice at once
//! (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportissuedpc>).

use super::deferred::Deferred;
use super::port::Port;
use super::state::State;
use crate::event::{DPCS_MAX, Kind, LockMisuse, Routine, Sink, Site};
use crate::storport::dpc::HwDpcRoutine;
use crate::storport::{Irql, StorDpc};

/// `Type` of an initialised DPC: DpcObject of the kernel's object types.
const DPC_OBJECT: i16 = 0x13;

/// What the port knows of one object.
#[derive(Clone, Copy)]
struct Entry {
    address: usize,
    routine: Option<HwDpcRoutine>,
    /// What the routine gets in place of the device extension.
    context: Option<usize>,
    target: Option<u8>,
    argument1: usize,
    argument2: usize,
    queued: bool,
    running: bool,
}

const EMPTY: Entry = Entry {
    address: 0,
    routine: None,
    context: None,
    target: None,
    argument1: 0,
    argument2: 0,
    queued: false,
    running: false,
};

/// Every object that the driver has initialised, by number.
pub(super) struct Dpcs {
    entries: [Entry; DPCS_MAX],
    count: usize,
}

impl Dpcs {
    pub(super) fn new() -> Self {
        Dpcs { entries: [EMPTY; DPCS_MAX], count: 0 }
    }

    pub(super) fn power_on(&mut self) {
        self.entries[..self.count].fill(EMPTY);
        self.count = 0;
    }

    /// Objects that the driver has initialised in this run.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    fn number_of(&self, address: usize) -> Option<u8> {
        self.entries[..self.count]
            .iter()
            .position(|entry| entry.address == address)
            .map(|number| number as u8)
    }

    fn is_running(&self, number: u8) -> bool {
        self.entries[usize::from(number)].running
    }

    /// StorPortInitializeDpcWithContext: the routine's second argument, if the object is known.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) fn set_context(&mut self, address: usize, context: usize) {
        if let Some(number) = self.number_of(address) {
            self.entries[usize::from(number)].context = Some(context);
        }
    }

    pub(super) fn set_target(&mut self, number: u8, processor: u8) {
        self.entries[usize::from(number)].target = Some(processor);
    }
}

/// Whether the memory is what StorPortInitializeDpc left there for object `number`.
fn is_intact(dpc: &StorDpc, number: u8) -> bool {
    dpc.kind == DPC_OBJECT && dpc.dpc_data == usize::from(number) + 1
}

/// Whether an entry of a queue can run now. StorPort's own callbacks wait until HwStorFindAdapter has said which
/// locks to take around them.
fn can_run(entry: Deferred, dpcs: &Dpcs, configured: bool) -> bool {
    match entry {
        Deferred::Dpc(number) => !dpcs.is_running(number),
        Deferred::Timer | Deferred::TimerEx(_) | Deferred::StateChange => configured,
        _ => true,
    }
}

impl<S: Sink> State<S> {
    /// The number of a driver's object, or what is wrong with it.
    pub(super) fn dpc(&self, dpc: *const StorDpc) -> Result<u8, LockMisuse> {
        if dpc.is_null() {
            return Err(LockMisuse::DpcNull);
        }
        if !self.memory.contains(dpc.addr(), size_of::<StorDpc>()) || !dpc.is_aligned() {
            return Err(LockMisuse::DpcForeign);
        }
        // SAFETY: aligned and inside the driver's memory, which lives as long as the machine.
        let memory = unsafe { dpc.read() };
        match self.dpcs.number_of(dpc.addr()) {
            Some(number) if is_intact(&memory, number) => Ok(number),
            None if memory.kind == DPC_OBJECT && memory.dpc_data != 0 => {
                Err(LockMisuse::DpcForeign)
            }
            _ => Err(LockMisuse::DpcUninitialized),
        }
    }

    /// StorPortInitializeDpc.
    pub(super) fn initialize_dpc(&mut self, dpc: *mut StorDpc, routine: HwDpcRoutine, site: Site) {
        let address = dpc.addr();
        if dpc.is_null()
            || !dpc.is_aligned()
            || !self.memory.contains(address, size_of::<StorDpc>())
        {
            return;
        }
        let known = self.dpcs.number_of(address);
        let number = match known {
            Some(number) => number,
            None if self.dpcs.count < DPCS_MAX => {
                self.dpcs.count += 1;
                (self.dpcs.count - 1) as u8
            }
            None => return,
        };
        let queued = self.dpcs.entries[usize::from(number)].queued;
        let entry = Entry { address, routine: Some(routine), queued, ..EMPTY };
        self.dpcs.entries[usize::from(number)] = entry;
        let memory = StorDpc {
            kind: DPC_OBJECT,
            deferred_routine: routine as usize,
            dpc_data: usize::from(number) + 1,
            ..StorDpc::default()
        };
        // SAFETY: checked above to be aligned and inside the driver's memory.
        unsafe { dpc.write(memory) };
        self.emit(site, Kind::DpcInitialized { dpc: number, again: known.is_some(), queued });
    }

    /// StorPortIssueDpc.
    pub(super) fn issue_dpc(
        &mut self,
        dpc: *const StorDpc,
        arguments: (usize, usize),
        site: Site,
    ) -> bool {
        let number = self.dpc(dpc).ok();
        let own = self.current as u8;
        let Some(number) = number else {
            self.emit(site, Kind::DpcIssued { dpc: None, queued: false, target: own });
            return false;
        };
        let entry = &mut self.dpcs.entries[usize::from(number)];
        let target = entry.target.filter(|&t| usize::from(t) < self.processor_count).unwrap_or(own);
        let queued = !entry.queued;
        if queued {
            entry.queued = true;
            (entry.argument1, entry.argument2) = arguments;
            self.defer(usize::from(target), Deferred::Dpc(number));
        }
        self.emit(site, Kind::DpcIssued { dpc: Some(number), queued, target });
        queued
    }

    /// StorPortCancelDpc.
    pub(super) fn cancel_dpc(&mut self, dpc: *const StorDpc, site: Site) -> bool {
        let number = self.dpc(dpc).ok();
        let removed = number.is_some_and(|number| {
            self.dpcs.entries[usize::from(number)].queued = false;
            let processors = &mut self.processors[..self.processor_count];
            processors.iter_mut().any(|processor| {
                processor.deferred.pop_where(|entry| entry == Deferred::Dpc(number)).is_some()
            })
        });
        self.emit(site, Kind::DpcCancelled { dpc: number, removed });
        removed
    }

    /// Whether a processor's queue holds something that can run now.
    pub(super) fn has_deferred(&self, processor: usize) -> bool {
        let queue = &self.processors[processor].deferred;
        !queue.is_empty() && queue.iter().any(|entry| self.can_run(entry))
    }

    fn can_run(&self, entry: Deferred) -> bool {
        can_run(entry, &self.dpcs, self.adapter.configured)
    }

    /// Takes the next entry that can run, if the processor is below DISPATCH_LEVEL, and raises it there.
    fn begin_deferred(&mut self) -> Option<(Deferred, Irql)> {
        let current = self.current;
        let irql = self.processors[current].irql;
        if irql >= Irql::DISPATCH {
            return None;
        }
        let (dpcs, configured) = (&self.dpcs, self.adapter.configured);
        let entry = self.processors[current]
            .deferred
            .pop_where(|entry| can_run(entry, dpcs, configured))?;
        self.processors[current].irql = Irql::DISPATCH;
        Some((entry, irql))
    }

    /// Takes a DPC off the queue: its routine and arguments, unless its memory was destroyed meanwhile.
    fn begin_dpc(&mut self, number: u8) -> Option<(HwDpcRoutine, *mut StorDpc, usize, usize)> {
        let entry = &mut self.dpcs.entries[usize::from(number)];
        entry.queued = false;
        let dpc = std::ptr::with_exposed_provenance_mut::<StorDpc>(entry.address);
        // SAFETY: the address was inside the driver's memory and aligned when it was initialised.
        let memory = unsafe { dpc.read() };
        if !is_intact(&memory, number) {
            self.emit(Site::Port, Kind::DpcCorrupted { dpc: number });
            return None;
        }
        entry.running = true;
        Some((entry.routine?, dpc, entry.argument1, entry.argument2))
    }
}

impl<S: Sink + 'static> Port<S> {
    /// Runs the processor's deferred work, if it is below DISPATCH_LEVEL.
    #[inline]
    pub(super) fn drain_deferred(self) {
        let nothing_to_do = self.with(|s| {
            let processor = s.processor();
            processor.irql >= Irql::DISPATCH || processor.deferred.is_empty()
        });
        if !nothing_to_do {
            self.drain();
        }
    }

    fn drain(self) {
        while let Some((entry, irql)) = self.with(State::begin_deferred) {
            self.run_deferred(entry);
            self.with(|s| s.processor().irql = irql);
        }
    }

    fn run_deferred(self, entry: Deferred) {
        match entry {
            Deferred::Dpc(number) => self.run_dpc(number),
            Deferred::Completions => self.finish_completions(),
            Deferred::Restart => self.restart_waiting(),
            Deferred::Timer => self.run_timer(),
            Deferred::TimerEx(timer) => self.run_timer_ex(timer),
            Deferred::StateChange => self.run_state_change(),
        }
    }

    fn run_dpc(self, number: u8) {
        let Some((routine, dpc, argument1, argument2)) = self.act(|s| s.begin_dpc(number)) else {
            return;
        };
        let context = self.with(|s| s.dpcs.entries[usize::from(number)].context);
        let extension = context.map_or(self.extension(), std::ptr::with_exposed_provenance_mut);
        self.callback(Routine::Dpc, u16::from(number), || {
            let argument = std::ptr::without_provenance_mut::<std::ffi::c_void>;
            // SAFETY: the routine that the driver gave for this object.
            unsafe {
                self.invoke(routine, (dpc, extension, argument(argument1), argument(argument2)))
            };
            0
        });
        self.with(|s| s.dpcs.entries[usize::from(number)].running = false);
    }
}
