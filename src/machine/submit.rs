//! StorPort's way of a request: from a step to HwStorBuildIo and HwStorStartIo, and back through the
//! completion DPC.

use super::deferred::{Deferred, Task};
use super::lock::CHANNELS_MAX;
use super::port::Port;
use super::request::{Place, Purpose};
use super::state::{Phase, State};
use crate::event::{Duplex, Miniport, Routine, Sink};
use crate::scenario::{AdapterAction, At, ResetTier, Step};
use crate::storport::srb::SrbFunction;
use crate::storport::{Irql, SrbStatus};

impl<S: Sink> State<S> {
    /// Issues every step whose time has come; whether there was one.
    pub(super) fn issue_steps(&mut self) -> bool {
        let mut issued = false;
        while self.phase == Phase::Open && self.step_next < self.steps.len() {
            let step = self.steps[self.step_next];
            if self.step_time > self.time {
                break;
            }
            self.step_next += 1;
            let next = self.steps.get(self.step_next).and_then(Step::at);
            self.step_time = self.time + next.map_or(0, gap_ns);
            self.issue(step);
            issued = true;
        }
        issued
    }

    fn issue(&mut self, step: Step) {
        let Some(at) = step.at() else { return };
        let processor = usize::from(at.processor) % self.processor_count;
        self.current = processor;
        match step {
            Step::Io(_, io) => {
                self.with_device(|device, _| device.expect(io.answer));
                self.submit(Purpose::Io(io));
            }
            Step::Query(_, query) => self.submit(Purpose::Query(query)),
            Step::Interrupt(_, message) => self.raise_spurious(message),
            Step::Reset(_, tier) => self.issue_reset(tier),
            Step::Adapter(_, AdapterAction::SurpriseRemoval) => {
                self.add_task(Task::Adapter(AdapterAction::SurpriseRemoval));
            }
            Step::Adapter(_, AdapterAction::TracingEnabled) => {
                self.add_task(Task::Adapter(AdapterAction::TracingEnabled));
            }
            Step::Adapter(_, AdapterAction::QuerySupported) => {
                self.add_task(Task::Adapter(AdapterAction::QuerySupported));
            }
            Step::Adapter(_, action) => self.adapter.ask_for_control(action, processor as u8),
            Step::Unit(_, action) => self.add_task(Task::Unit(action)),
            Step::FailAllocation(_, count) => self.adapter.fail_allocation_from_now(count),
            Step::Wait(_) | Step::Script(_) => {}
        }
    }

    pub(super) fn add_task(&mut self, task: Task) {
        let queued = self.assign(self.current, task);
        debug_assert!(queued, "there are fewer steps than places");
    }

    /// A new request, from a thread on the current processor.
    pub(super) fn submit(&mut self, purpose: Purpose) {
        let processor = self.current as u8;
        if !self.adapter.is_present() {
            return;
        }
        if let Some(slot) = self.create_request(purpose, processor) {
            self.add_task(Task::Submit(slot));
        }
    }

    fn issue_reset(&mut self, tier: ResetTier) {
        match tier {
            ResetTier::LogicalUnit => {
                self.submit(Purpose::Reset(SrbFunction::RESET_LOGICAL_UNIT));
            }
            ResetTier::Target => self.submit(Purpose::Reset(SrbFunction::RESET_DEVICE)),
            ResetTier::Abort => self.submit(Purpose::Reset(SrbFunction::ABORT_COMMAND)),
            ResetTier::Bus => self.add_task(Task::ResetBus),
        }
    }

    /// Whether StorPort may send this request now; if so the miniport has it.
    fn admit(&mut self, slot: usize) -> bool {
        if !self.adapter.is_present() {
            self.fail_in_port(slot);
            return false;
        }
        let is_reset = matches!(self.requests.slots[slot].purpose, Purpose::Reset(_));
        let open =
            self.adapter.is_started() && (is_reset || self.may_send()) && self.may_retry(slot);
        if open {
            self.hand_over(slot);
        } else {
            self.requests.waiting.push(slot as u8);
        }
        open
    }

    /// Whether anything but a reset may be sent.
    fn may_send(&self) -> bool {
        let adapter = &self.adapter;
        self.requests.outstanding < u32::from(self.setup.request_slots.clamp(1, 32))
            && adapter.paused_until <= self.time
            && (adapter.busy_until_finished == 0 || self.requests.outstanding == 0)
            && !self.recovery.is_active()
            && !adapter.control_pending()
    }

    /// A request that will never be sent: the adapter is gone.
    fn fail_in_port(&mut self, slot: usize) {
        self.srb(slot).set_status(SrbStatus::NO_DEVICE);
        self.requests.slots[slot].place = Place::Free;
    }

    /// The next request that waits and may be sent.
    fn next_waiting(&mut self) -> Option<usize> {
        let count = self.requests.waiting.len();
        for _ in 0..count {
            let slot = usize::from(self.requests.waiting.pop()?);
            let is_reset = matches!(self.requests.slots[slot].purpose, Purpose::Reset(_));
            if self.adapter.is_started() && (is_reset || self.may_send()) && self.may_retry(slot) {
                return Some(slot);
            }
            self.requests.waiting.push(slot as u8);
        }
        None
    }

    /// Makes the processor look at the requests that wait, once it can.
    pub(super) fn restart_later(&mut self) {
        if !self.requests.waiting.is_empty() {
            self.defer(self.current, Deferred::Restart);
        }
    }

    /// Lifts what holds requests back: faults have ended.
    pub(super) fn resume_everything(&mut self) {
        self.adapter.paused_until = 0;
        self.adapter.busy_until_finished = 0;
        self.restart_later();
    }

    /// What a finished request lets happen.
    pub(super) fn after_finish(&mut self, slot: usize) {
        let adapter = &mut self.adapter;
        adapter.busy_until_finished = adapter.busy_until_finished.saturating_sub(1);
        self.recovery_saw_finish(slot);
        self.restart_later();
    }

    pub(super) fn is_half_duplex(&self) -> bool {
        self.adapter.facts.duplex == Duplex::Half
            && self.adapter.facts.miniport == Miniport::Physical
    }

    /// Marks that the processor is inside HwStorBuildIo or HwStorStartIo with a request.
    fn begin_starting(&mut self, slot: usize) {
        self.requests.slots[slot].starting |= 1 << self.current;
    }

    fn end_starting(&mut self, slot: usize, number: u16) {
        let request = &mut self.requests.slots[slot];
        if request.number == number {
            request.starting &= !(1 << self.current);
        }
    }

    /// Whether the request of this number is still with the miniport.
    fn miniport_has(&self, slot: usize, number: u16) -> bool {
        let request = &self.requests.slots[slot];
        request.number == number && request.place == Place::Miniport
    }
}

/// Virtual time of a step's gap.
fn gap_ns(at: At) -> u64 {
    match at.gap {
        0 => 0,
        n => 1_000 << n.min(24),
    }
}

impl<S: Sink + 'static> Port<S> {
    /// Does a thread's task.
    pub(super) fn perform(self, task: Task) {
        match task {
            Task::Start => self.start_adapter(),
            Task::Submit(slot) => self.at_dispatch(|| self.send(usize::from(slot))),
            Task::ResetBus => self.at_dispatch(|| self.reset_bus()),
            Task::Adapter(action) => self.control_adapter(action),
            Task::Unit(action) => self.control_unit(action),
            Task::WorkItem(worker) => self.run_work_item(worker),
            Task::Stop => self.stop_adapter_for_good(),
        }
    }

    /// Runs StorPort's code at DISPATCH_LEVEL.
    pub(super) fn at_dispatch(self, code: impl FnOnce()) {
        let irql = self.with(|s| std::mem::replace(&mut s.processor().irql, Irql::DISPATCH));
        code();
        self.with(|s| s.processor().irql = irql);
        self.drain_deferred();
    }

    /// Sends a request to the miniport, at DISPATCH_LEVEL.
    pub(super) fn send(self, slot: usize) {
        if !self.act(|s| s.admit(slot)) {
            return;
        }
        if self.with(|s| s.setup.dump) {
            return self.send_in_dump(slot);
        }
        if self.build_io(slot) {
            self.start_io(slot);
        }
    }

    /// HwStorBuildIo; whether HwStorStartIo follows.
    fn build_io(self, slot: usize) -> bool {
        let Some(routine) = self.driver().data.hw_build_io else { return true };
        let (number, srb, extension) = self.request_arguments(slot);
        self.with(|s| s.begin_starting(slot));
        let built = self.callback(Routine::BuildIo, number, || {
            // SAFETY: the driver's own entry point, extension and request.
            u32::from(unsafe { self.invoke(routine, (extension, srb)) })
        });
        self.with(|s| {
            s.end_starting(slot, number);
            built != 0 && s.miniport_has(slot, number)
        })
    }

    /// HwStorStartIo, under what the lock table says.
    fn start_io(self, slot: usize) {
        let facts = self.with(|s| s.adapter.facts);
        if facts.miniport == Miniport::Virtual {
            self.call_start_io(slot);
        } else if facts.duplex == Duplex::Full && facts.channels > 1 {
            let channel = self.with(|s| s.current) % usize::from(facts.channels).min(CHANNELS_MAX);
            self.take_token(channel);
            self.call_start_io(slot);
            self.give_token(channel);
        } else {
            self.under_start_io(|| self.call_start_io(slot));
        }
    }

    fn call_start_io(self, slot: usize) {
        let Some(routine) = self.driver().data.hw_start_io else { return };
        let (number, srb, extension) = self.request_arguments(slot);
        // While this processor waited for the lock a reset may have completed the request.
        if !self.with(|s| s.miniport_has(slot, number)) {
            return;
        }
        self.with(|s| s.begin_starting(slot));
        let started = self.callback(Routine::StartIo, number, || {
            // SAFETY: as above.
            u32::from(unsafe { self.invoke(routine, (extension, srb)) })
        });
        self.act(|s| {
            s.end_starting(slot, number);
            if started == 0 && s.miniport_has(slot, number) {
                s.defer_request(slot);
            }
        });
    }

    fn request_arguments(
        self,
        slot: usize,
    ) -> (u16, *mut crate::storport::srb::ScsiRequestBlock, *mut std::ffi::c_void) {
        let (number, srb) = self.with(|s| (s.requests.slots[slot].number, s.srb(slot).as_ptr()));
        (number, srb, self.extension())
    }

    /// A crash dump's request: sent and then polled for, at HIGH_LEVEL, with interrupts off.
    fn send_in_dump(self, slot: usize) {
        let number = self.with(|s| s.requests.slots[slot].number);
        let irql = self.with(|s| std::mem::replace(&mut s.processor().irql, Irql::HIGH));
        if self.build_io(slot) {
            self.call_start_io(slot);
        }
        while self.with(|s| s.miniport_has(slot, number)) {
            if !self.with(|s| s.wait_for_device(slot)) {
                self.give_up_in_dump(slot, number);
                break;
            }
            if let Some(routine) = self.driver().data.hw_interrupt {
                let extension = self.extension();
                self.callback(Routine::Interrupt, 0, || {
                    // SAFETY: as above.
                    u32::from(unsafe { self.invoke(routine, (extension,)) })
                });
            }
        }
        self.with(|s| s.processor().irql = irql);
    }

    /// A crash dump's request whose time is over: one bus reset, then it fails. No page says what more the
    /// dump stack does, so nothing is called lost here.
    fn give_up_in_dump(self, slot: usize, number: u16) {
        if let Some(routine) = self.driver().data.hw_reset_bus {
            let extension = self.extension();
            self.callback(Routine::ResetBus, 0, || {
                // SAFETY: as above.
                u32::from(unsafe { self.invoke(routine, (extension, 0)) })
            });
        }
        self.act(|s| {
            if s.miniport_has(slot, number) {
                s.take_back(slot, true);
            }
        });
    }

    /// StorPort's completion DPC: the last of each request, then others that waited.
    pub(super) fn finish_completions(self) {
        while let Some(slot) = self.with(|s| s.processor().completions.pop()) {
            self.act(|s| s.finish_request(usize::from(slot)));
        }
        self.restart_waiting();
    }

    /// Sends what waits and may be sent.
    pub(super) fn restart_waiting(self) {
        while let Some(slot) = self.with(State::next_waiting) {
            self.send(slot);
        }
    }
}

impl<S: Sink> State<S> {
    /// Moves time to the device's next work, within the request's time; `false` past it.
    fn wait_for_device(&mut self, slot: usize) -> bool {
        let deadline = self.requests.slots[slot].deadline;
        if self.time >= deadline {
            return false;
        }
        self.time = self.due.clamp(self.time, deadline);
        self.run_due();
        true
    }
}
