//! Timers, workers, and everything that becomes due as virtual time passes.

use std::ffi::c_void;

use super::deferred::{Deferred, Task};
use super::lock::Request;
use super::port::Port;
use super::state::State;
use crate::event::{Kind, Lock, Routine, Sink, Site};
use crate::storport::config::{HwStateChange, HwTimer, HwTimerEx, HwWorkItem};
use crate::storport::{Irql, StorStatus};

/// Timers of StorPortInitializeTimer, and workers, that a driver may have at once.
pub(super) const HANDLES_MAX: usize = 8;

/// A timer of StorPortRequestTimer.
#[derive(Clone, Copy)]
struct TimerEx {
    allocated: bool,
    due: u64,
    /// Nanoseconds to the next expiry after this one; 0 for none. High-resolution timers only.
    period: u64,
    routine: Option<HwTimerEx>,
    context: *mut c_void,
    processor: u8,
}

const NO_TIMER: TimerEx = TimerEx {
    allocated: false,
    due: u64::MAX,
    period: 0,
    routine: None,
    context: std::ptr::null_mut(),
    processor: 0,
};

/// A worker of StorPortInitializeWorker.
#[derive(Clone, Copy)]
struct Worker {
    allocated: bool,
    queued: bool,
    routine: Option<HwWorkItem>,
    context: *mut c_void,
}

const NO_WORKER: Worker =
    Worker { allocated: false, queued: false, routine: None, context: std::ptr::null_mut() };

/// All timers and workers of the adapter.
pub(super) struct Timers {
    /// RequestTimerCall's: when, on which processor, and what.
    call_due: u64,
    call_processor: u8,
    call_routine: Option<HwTimer>,
    extended: [TimerEx; HANDLES_MAX],
    workers: [Worker; HANDLES_MAX],
    /// The earliest of all dues.
    next: u64,
    state_change: Option<(Option<HwStateChange>, *mut c_void)>,
    /// How often timers have fired while nothing else was left to happen.
    idle: u32,
}

/// How often timers fire after the last request before they are taken for a driver's heartbeat, which would keep a run
/// from ever becoming quiet.
const IDLE_MAX: u32 = 1_000;

/// Handles are small numbers in disguise, so that a wild one is seen.
const HANDLE_BASE: usize = 0x5_0000;

fn handle(index: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(HANDLE_BASE + index)
}

fn index_of(handle: *mut c_void) -> Option<usize> {
    handle.addr().checked_sub(HANDLE_BASE).filter(|&index| index < HANDLES_MAX)
}

impl Timers {
    /// None in use.
    pub(super) const NONE: Timers = Timers {
        call_due: u64::MAX,
        call_processor: 0,
        call_routine: None,
        extended: [NO_TIMER; HANDLES_MAX],
        workers: [NO_WORKER; HANDLES_MAX],
        next: u64::MAX,
        state_change: None,
        idle: 0,
    };

    pub(super) fn power_on(&mut self) {
        *self = Self::NONE;
    }

    /// When the next timer fires.
    #[inline]
    pub(super) fn due(&self) -> u64 {
        self.next
    }

    fn refresh(&mut self) {
        self.next = self.extended.iter().map(|timer| timer.due).fold(self.call_due, u64::min);
    }

    pub(super) fn set_call(&mut self, routine: Option<HwTimer>, due: u64, processor: u8) {
        (self.call_due, self.call_routine, self.call_processor) = (due, routine, processor);
        self.refresh();
    }

    pub(super) fn allocate_timer(&mut self) -> Option<*mut c_void> {
        let index = self.extended.iter().position(|timer| !timer.allocated)?;
        self.extended[index] = TimerEx { allocated: true, ..NO_TIMER };
        Some(handle(index))
    }

    pub(super) fn free_timer(&mut self, timer: *mut c_void) -> StorStatus {
        match index_of(timer) {
            Some(index) if self.extended[index].allocated => {
                self.extended[index] = NO_TIMER;
                self.refresh();
                StorStatus::SUCCESS
            }
            _ => StorStatus::UNSUCCESSFUL,
        }
    }

    /// StorPortRequestTimer; `due` of `u64::MAX` cancels.
    pub(super) fn set_timer(
        &mut self,
        timer: *mut c_void,
        routine: (HwTimerEx, *mut c_void),
        due: u64,
        processor: u8,
    ) -> StorStatus {
        let Some(index) = index_of(timer).filter(|&index| self.extended[index].allocated) else {
            return StorStatus::INVALID_PARAMETER;
        };
        let timer = &mut self.extended[index];
        if timer.due != u64::MAX && due != u64::MAX {
            return StorStatus::BUSY;
        }
        (timer.routine, timer.context) = (Some(routine.0), routine.1);
        (timer.due, timer.processor) = (due, processor);
        self.refresh();
        StorStatus::SUCCESS
    }

    /// StorPortInitializeHighResolutionTimer: its routine is fixed with the timer.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) fn allocate_high_resolution(
        &mut self,
        routine: (HwTimerEx, *mut c_void),
    ) -> Option<*mut c_void> {
        let timer = self.allocate_timer()?;
        let entry = &mut self.extended[index_of(timer)?];
        (entry.routine, entry.context) = (Some(routine.0), routine.1);
        Some(timer)
    }

    /// Sets a high-resolution timer, pending or not, or cancels it with a `due` of `u64::MAX`. Whether it was
    /// pending; `None` for a handle that is none.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) fn reset(
        &mut self,
        timer: *mut c_void,
        (due, period): (u64, u64),
        processor: u8,
    ) -> Option<bool> {
        let index = index_of(timer).filter(|&index| self.extended[index].allocated)?;
        let timer = &mut self.extended[index];
        let pending = timer.due != u64::MAX;
        (timer.due, timer.period, timer.processor) = (due, period, processor);
        self.refresh();
        Some(pending)
    }

    pub(super) fn allocate_worker(&mut self) -> Option<*mut c_void> {
        let index = self.workers.iter().position(|worker| !worker.allocated)?;
        self.workers[index] = Worker { allocated: true, ..NO_WORKER };
        Some(handle(index))
    }

    pub(super) fn free_worker(&mut self, worker: *mut c_void) -> StorStatus {
        match index_of(worker) {
            Some(index) if self.workers[index].allocated && !self.workers[index].queued => {
                self.workers[index] = NO_WORKER;
                StorStatus::SUCCESS
            }
            Some(index) if self.workers[index].queued => StorStatus::BUSY,
            _ => StorStatus::INVALID_PARAMETER,
        }
    }
}

impl<S: Sink> State<S> {
    /// StorPortQueueWorkItem.
    pub(super) fn queue_work(
        &mut self,
        routine: HwWorkItem,
        worker: *mut c_void,
        context: *mut c_void,
    ) -> StorStatus {
        let Some(index) = index_of(worker).filter(|&index| self.timers.workers[index].allocated)
        else {
            return StorStatus::INVALID_PARAMETER;
        };
        let worker = &mut self.timers.workers[index];
        if worker.queued {
            return StorStatus::BUSY;
        }
        *worker = Worker { allocated: true, queued: true, routine: Some(routine), context };
        self.assign(self.current, Task::WorkItem(index as u8));
        StorStatus::SUCCESS
    }

    /// StorPortStateChangeDetected; one may be pending. HwStateChange is optional
    /// (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportstatechangedetected>).
    pub(super) fn queue_state_change(
        &mut self,
        routine: Option<HwStateChange>,
        context: *mut c_void,
    ) -> StorStatus {
        if self.timers.state_change.is_some() {
            return StorStatus::BUSY;
        }
        self.timers.state_change = Some((routine, context));
        self.defer(self.current, Deferred::StateChange);
        StorStatus::SUCCESS
    }

    /// When a time that a driver gives is over; 0 is never.
    fn in_microseconds(&self, microseconds: u64) -> u64 {
        match microseconds {
            0 => u64::MAX,
            n => self.time.saturating_add(n.saturating_mul(1_000)),
        }
    }

    /// RequestTimerCall.
    pub(super) fn request_timer_call(&mut self, routine: Option<HwTimer>, microseconds: u32) {
        let due = self.in_microseconds(microseconds.into());
        self.timers.set_call(routine, due, self.current as u8);
        self.refresh_due();
    }

    /// StorPortInitializeTimer.
    pub(super) fn initialize_timer(&mut self, timer: &mut *mut c_void) -> StorStatus {
        let fails = self.setup.failures.timer_and_worker;
        let handle = if fails { None } else { self.timers.allocate_timer() };
        *timer = handle.unwrap_or(std::ptr::null_mut());
        handle.map_or(StorStatus::INSUFFICIENT_RESOURCES, |_| StorStatus::SUCCESS)
    }

    /// StorPortRequestTimer.
    pub(super) fn request_timer(
        &mut self,
        timer: *mut c_void,
        call: (HwTimerEx, *mut c_void),
        microseconds: u64,
    ) -> StorStatus {
        let due = self.in_microseconds(microseconds);
        let status = self.timers.set_timer(timer, call, due, self.current as u8);
        self.refresh_due();
        status
    }

    /// StorPortInitializeWorker.
    pub(super) fn initialize_worker(&mut self, worker: &mut *mut c_void) -> StorStatus {
        let fails = self.setup.failures.timer_and_worker;
        let handle = if fails { None } else { self.timers.allocate_worker() };
        *worker = handle.unwrap_or(std::ptr::null_mut());
        handle.map_or(StorStatus::INSUFFICIENT_RESOURCES, |_| StorStatus::SUCCESS)
    }

    /// Does what is due now: the device's work, and timers into their processors' queues.
    pub(super) fn run_due(&mut self) {
        while self.time >= self.due {
            if self.device.due().is_some_and(|due| due <= self.time) {
                self.with_device(|device, bus| device.advance(bus));
            }
            if self.timers.due() <= self.time {
                self.expire_timers();
            }
            self.refresh_due();
        }
    }

    /// Puts the timers that are due into their processors' queues.
    fn expire_timers(&mut self) {
        if self.timers.call_due <= self.time {
            self.timers.call_due = u64::MAX;
            self.expire(0, self.timers.call_processor, Deferred::Timer);
        }
        for index in 0..HANDLES_MAX {
            if self.timers.extended[index].due <= self.time {
                let TimerEx { period, processor, .. } = self.timers.extended[index];
                self.timers.extended[index].due = match period {
                    0 => u64::MAX,
                    _ if self.timers.idle >= IDLE_MAX => u64::MAX,
                    period => self.time + period,
                };
                self.expire(index as u8 + 1, processor, Deferred::TimerEx(index as u8));
            }
        }
        self.timers.refresh();
    }

    fn expire(&mut self, timer: u8, processor: u8, work: Deferred) {
        let spent = self.step_next >= self.steps.len();
        if spent && self.requests.outstanding == 0 && self.requests.waiting.is_empty() {
            self.timers.idle += 1;
            if self.timers.idle > IDLE_MAX {
                return;
            }
        }
        self.emit(Site::Port, Kind::TimerExpired { timer });
        self.defer(usize::from(processor), work);
    }

    /// The device does its next work now.
    pub(super) fn hasten(&mut self) {
        self.with_device(|device, bus| device.advance_early(bus));
    }
}

impl<S: Sink + 'static> Port<S> {
    /// HwStorTimer, under StartIo and, in half duplex, Interrupt.
    pub(super) fn run_timer(self) {
        let Some(routine) = self.with(|s| s.timers.call_routine) else { return };
        let extension = self.extension();
        self.under_start_io(|| {
            self.callback(Routine::Timer, 0, || {
                // SAFETY: the routine that the driver gave.
                unsafe { self.invoke(routine, (extension,)) };
                0
            })
        });
    }

    /// HW_TIMER_EX, at DISPATCH_LEVEL without locks.
    pub(super) fn run_timer_ex(self, timer: u8) {
        let TimerEx { routine, context, allocated, .. } =
            self.with(|s| s.timers.extended[usize::from(timer)]);
        let (Some(routine), true) = (routine, allocated) else { return };
        let extension = self.extension();
        self.callback(Routine::TimerEx, u16::from(timer), || {
            // SAFETY: as above.
            unsafe { self.invoke(routine, (extension, context)) };
            0
        });
    }

    /// HwStorStateChange, under StartIo and, in half duplex, Interrupt.
    pub(super) fn run_state_change(self) {
        let pending = self.with(|s| s.timers.state_change.take());
        let Some((Some(routine), context)) = pending else { return };
        let extension = self.extension();
        self.under_start_io(|| {
            self.callback(Routine::StateChange, 0, || {
                // SAFETY: as above; the address is optional, and status 0 is success.
                unsafe { self.invoke(routine, (extension, context, 0, std::ptr::null_mut(), 0)) };
                0
            })
        });
    }

    /// HW_WORKITEM, in a thread.
    pub(super) fn run_work_item(self, worker: u8) {
        let index = usize::from(worker);
        let Worker { routine, context, .. } = self.with(|s| {
            s.timers.workers[index].queued = false;
            s.timers.workers[index]
        });
        let Some(routine) = routine else { return };
        let extension = self.extension();
        self.callback(Routine::WorkItem, u16::from(worker), || {
            // SAFETY: as above.
            unsafe { self.invoke(routine, (extension, context, handle(index))) };
            0
        });
    }

    /// Runs `call` as StorPort runs HwStorTimer, HwStorResetBus and HwStorStateChange: under StartIo and, in
    /// half duplex, Interrupt.
    pub(super) fn under_start_io<R>(self, call: impl FnOnce() -> R) -> R {
        self.take_seldom(Lock::StartIo, Request::of_port(Irql::DISPATCH), Site::Port);
        let result =
            if self.with(|s| s.is_half_duplex()) { self.under_interrupt(call) } else { call() };
        self.give_quietly(Lock::StartIo, Irql::DISPATCH);
        result
    }

    /// Runs `call` at DIRQL under the Interrupt lock.
    pub(super) fn under_interrupt<R>(self, call: impl FnOnce() -> R) -> R {
        let saved = self.with(|s| s.processor().irql);
        self.take_seldom(Lock::Interrupt, Request::of_port(super::interrupt::DIRQL), Site::Port);
        let result = call();
        self.give_quietly(Lock::Interrupt, saved);
        result
    }
}
