//! The loop that runs a scenario: picks the next processor, moves virtual time, issues steps, and ends the
//! run.
//!
//! It runs outside every coroutine. A processor that was preempted last goes on first; then idle processors
//! with work, lowest first; when none can move, time jumps to what is due next: a device, a timer, the next
//! step, a request's timeout. When nothing is due any more, faults end and everything must drain; then the
//! adapter is stopped, and the run was quiet.

use super::arena::Stack;
use super::deferred::{Deferred, Task};
use super::port::Port;
use super::processor::{Fiber, Status, fiber};
use super::schedule::numbers;
use super::state::{End, Phase, State};
use crate::event::{Kind, PROCESSORS_MAX, Pick, Sink, Site};

/// How often one run may look for a processor to go on with: as the decision budget, but for work that
/// passes no decision point.
const PICKS_MAX: u32 = 50_000;

/// Runs until the state says that the run has ended.
pub(super) fn drive<S: Sink + 'static>(
    port: Port<S>,
    fibers: &mut [Option<Fiber>; PROCESSORS_MAX],
) {
    port.with(|s| {
        let processors = s.processor_count as u8;
        s.emit(Site::Port, Kind::Started { processors });
        s.assign(0, Task::Start);
    });
    loop {
        let next = port.with(|s| if s.end.is_some() { None } else { s.pick() });
        let Some(next) = next else { break };
        let fiber = fibers[next].get_or_insert_with(|| {
            let (top, guard) = port.with(|s| s.memory.stack(next));
            // SAFETY: each processor has its own range of the arena, with a guard, and one fiber at a time.
            fiber(port, next, unsafe { Stack::new(top, guard) })
        });
        port.with(|s| s.current = next);
        let _ = fiber.resume(());
    }
    let count = port.with(|s| s.processor_count);
    for (index, slot) in fibers.iter_mut().enumerate().take(count) {
        if port.with(|s| s.processors[index].status != Status::Idle) {
            renew(port, index, slot);
        }
    }
}

/// Forgets a processor's frames: a new coroutine on the same stack, if the processor has ever run.
pub(super) fn renew<S: Sink + 'static>(port: Port<S>, index: usize, slot: &mut Option<Fiber>) {
    let Some(mut old) = slot.take() else { return };
    // SAFETY: nothing on the stack needs a drop; see `processor`.
    unsafe { old.force_reset() };
    let stack = old.into_stack();
    *slot = Some(fiber(port, index, stack));
}

impl<S: Sink> State<S> {
    /// The processor to resume; `None` when the run has ended.
    fn pick(&mut self) -> Option<usize> {
        if let Some(chosen) = self.schedule_next.take() {
            self.tell_pick(Some(usize::from(chosen)), true);
            return Some(usize::from(chosen));
        }
        loop {
            self.picks += 1;
            if self.picks > PICKS_MAX {
                self.hang();
                return None;
            }
            let next = self.ranked().or_else(|| self.latest());
            self.tell_pick(next, false);
            if next.is_some() {
                return next;
            }
            if !self.advance() {
                return None;
            }
            if self.end.is_some() {
                return None;
            }
        }
    }

    /// Tells the sink which processor goes on, in a run that is observed.
    fn tell_pick(&mut self, next: Option<usize>, forced: bool) {
        if !self.schedule.observed {
            return;
        }
        let is_waiting = |p: usize| matches!(self.processors[p].status, Status::Waiting(_));
        let is_dpc = |entry| matches!(entry, Deferred::Dpc(_));
        let has_port_work = |p: usize| {
            let processor = &self.processors[p];
            !processor.tasks.is_empty() || !processor.deferred.iter().all(is_dpc)
        };
        let those = |is: &dyn Fn(usize) -> bool| {
            (0..self.processor_count).filter(|&p| is(p)).fold(0, |all, p| all | 1 << p)
        };
        let waiting = those(&is_waiting);
        let pick = Pick {
            time: self.time,
            due: self.due,
            next: next.map(|next| next as u8),
            forced,
            waiting,
            granted: self.locks.movable() & waiting,
            working: self.idle_with_work(),
            port_work: those(&has_port_work),
        };
        self.sink.picks(&pick);
    }

    /// A processor that can move: what was preempted last, else the first idle one with work.
    fn latest(&self) -> Option<usize> {
        let movable = numbers(self.locks.movable());
        let latest = movable.max_by_key(|&p| self.processors[p].preempted);
        latest.or_else(|| numbers(self.idle_with_work()).next())
    }

    /// No processor can move: makes something happen. `false` when nothing is left and the run has ended.
    fn advance(&mut self) -> bool {
        if self.begin_control_when_quiet() || self.issue_steps() {
            return true;
        }
        if let Some(time) = self.next_time() {
            self.time = self.time.max(time);
            self.run_due();
            self.run_deadlines();
            return true;
        }
        if self.any_waiting() {
            self.end_stuck();
            return false;
        }
        self.next_phase()
    }

    /// Processors wait and nothing can move: a circle that a lock's hand-over closed, or a lock that nobody is left
    /// to release.
    fn end_stuck(&mut self) {
        for processor in 0..self.processor_count {
            self.current = processor;
            self.end_if_circular();
            if self.end.is_some() {
                return;
            }
        }
        self.hang();
    }

    /// Ends the run as a hang.
    pub(super) fn hang(&mut self) {
        self.emit(Site::Port, Kind::Hung);
        self.stop(End::Hang);
    }

    fn any_waiting(&self) -> bool {
        self.processors[..self.processor_count]
            .iter()
            .any(|processor| matches!(processor.status, Status::Waiting(_)))
    }

    /// The earliest time at which something is due.
    fn next_time(&self) -> Option<u64> {
        let step = if self.phase == Phase::Open && self.step_next < self.steps.len() {
            self.step_time
        } else {
            u64::MAX
        };
        let next = self.due.min(step).min(self.next_deadline());
        (next != u64::MAX).then_some(next)
    }

    fn next_phase(&mut self) -> bool {
        match self.phase {
            Phase::Starting | Phase::Open => {
                self.current = 0;
                self.emit(Site::Port, Kind::Quiescing);
                self.phase = Phase::Quiescing;
                self.with_device(|device, _| device.behave());
                self.adapter.fail_allocation = 0;
                self.resume_everything();
            }
            Phase::Quiescing => {
                self.phase = Phase::Stopping;
                self.assign(0, Task::Stop);
            }
            Phase::Stopping | Phase::Done => {
                self.check_touched();
                self.current = 0;
                self.emit(Site::Port, Kind::Finished);
                self.phase = Phase::Done;
                self.stop(End::Quiet);
                return false;
            }
        }
        self.end.is_none()
    }
}
