//! The way of a command through the controller: fetched on a doorbell, done when it is due, answered with
//! a completion and an interrupt.

use super::Nvme;
use super::admin::{Admin, DoorbellError};
use super::command::{Entry, Work};
use super::flight::{NEVER, Waiting};
use super::identify::ABORTS;
use super::queue::{Completion, ENTRY_BYTES, PAIRS};
use super::status::Status;
use super::timer::Timer;
use crate::device::Bus;
use crate::device::service::Service;
use crate::scenario::Outcome;

/// How an admin command is served: the scenario's answers are for I/O commands.
const ADMIN: Service =
    Service { latency: Some(10_000), ordered: false, outcome: Outcome::Success, spurious: false };
/// How long a coalesced interrupt waits for more entries.
const COALESCING_WINDOW_NS: u64 = 100_000;
/// How long an interrupt with nothing behind it stays on the line.
const PULSE_NS: u64 = 1000;

impl Waiting {
    /// An admin command that is not in flight any more.
    pub(super) const fn admin(cid: u16) -> Self {
        Waiting {
            due: NEVER,
            cid,
            submission: 0,
            completion: 0,
            slot: 0,
            ordered: false,
            ghost: false,
        }
    }
}

impl Nvme {
    /// A write to doorbell `index`: tails and heads in turn.
    pub(super) fn ring(&mut self, bus: &mut dyn Bus, index: usize, value: u32) {
        // While the controller lingers after a reset, heads still make room for what it posts then.
        if !self.executes() {
            return;
        }
        let queue = index / 2;
        let is_head = index % 2 == 1;
        let is_open = match (self.submissions.get(queue), self.completions.get(queue)) {
            (Some(submission), Some(completion)) => {
                if is_head {
                    completion.is_open()
                } else {
                    submission.is_open()
                }
            }
            _ => false,
        };
        if !is_open {
            self.report_doorbell(bus, DoorbellError::Register);
        } else if is_head {
            self.ring_head(bus, queue, value);
        } else if self.submissions[queue].set_tail(value).is_err() {
            self.report_doorbell(bus, DoorbellError::Value);
        } else {
            self.fetch(bus, queue);
        }
    }

    fn ring_head(&mut self, bus: &mut dyn Bus, queue: usize, value: u32) {
        if self.completions[queue].set_head(value).is_err() {
            self.report_doorbell(bus, DoorbellError::Value);
            return;
        }
        if self.completions[queue].is_empty() {
            self.interrupts.quiet(bus, queue);
        }
        if queue == 0 {
            self.deliver_event(bus);
        }
    }

    /// Fetches what the driver has put into a submission queue, as far as there is room.
    fn fetch(&mut self, bus: &mut dyn Bus, queue: usize) {
        while self.submissions[queue].has_entries() && self.fetches() {
            if !self.flight.has_room() {
                self.backlog = true;
                return;
            }
            let mut raw = [0; ENTRY_BYTES as usize];
            if !bus.read(self.submissions[queue].next_entry(), &mut raw) {
                self.fail();
                return;
            }
            self.submissions[queue].consume();
            self.accept(bus, queue, &Entry::parse(&raw));
        }
    }

    /// Fetches what did not find room before.
    fn fetch_backlog(&mut self, bus: &mut dyn Bus) {
        if std::mem::take(&mut self.backlog) {
            for queue in 0..PAIRS {
                self.fetch(bus, queue);
            }
        }
    }

    fn accept(&mut self, bus: &mut dyn Bus, queue: usize, entry: &Entry) {
        let is_admin = queue == 0;
        let completion = self.submissions[queue].completion();
        let service = if is_admin { ADMIN } else { self.answers.serve(&self.manner) };
        let work = self.decode(queue, entry);
        let (slot, command) = self.flight.vacant();
        command.work = work;
        command.outcome = service.outcome;
        let [first, second] = entry.prp;
        if let Err(status) = command.pages.resolve(bus, first, second, work.bytes()) {
            command.work = Work::Refused(status);
        }
        self.flight.insert(Waiting {
            due: service.latency.map_or(NEVER, |latency| bus.now().saturating_add(latency)),
            cid: entry.cid,
            submission: queue as u8,
            completion,
            slot,
            ordered: service.ordered,
            ghost: false,
        });
        if service.spurious {
            self.interrupt_for_nothing(bus, completion.into());
        }
    }

    /// What an entry asks for, where that depends on the other commands in flight.
    fn decode(&self, queue: usize, entry: &Entry) -> Work {
        let in_use = self.flight.find(queue as u8, entry.cid).is_some()
            || queue == 0 && self.events.holds(entry.cid);
        if in_use {
            return Work::Refused(Status::ID_CONFLICT);
        }
        let work = entry.decode(queue == 0);
        if is_abort(&work) {
            let commands = self.flight.list().iter().map(|waiting| self.flight.command(waiting));
            if commands.filter(|command| is_abort(&command.work)).count() >= ABORTS {
                return Work::Refused(Status::ABORT_LIMIT_EXCEEDED);
            }
        }
        work
    }

    /// Does the command at `index` and answers it.
    pub(super) fn execute(&mut self, bus: &mut dyn Bus, index: usize) {
        let waiting = self.flight.list()[index];
        let command = *self.flight.command(&waiting);
        if waiting.ghost {
            self.flight.remove(index);
            if self.flight.find(waiting.submission, waiting.cid).is_none() {
                self.answer(bus, &waiting, Status::SUCCESS);
            }
        } else {
            let done = match command.work {
                Work::Refused(status) => Some(Err(status)),
                Work::Io(io) => Some(match command.outcome {
                    Outcome::MediaError => Err(io.media_error()),
                    Outcome::Retry => Err(Status::NAMESPACE_NOT_READY),
                    _ => self.disk.perform(bus, io, &command.pages).map(|()| 0),
                }),
                Work::Admin(_) => None,
            };
            self.flight.remove(index);
            let done = match command.work {
                Work::Admin(admin) => self.perform_admin(bus, admin, waiting.cid, &command.pages),
                _ => done,
            };
            if let Some(done) = done {
                self.complete(bus, &waiting, command.outcome, done);
            }
        }
        self.fetch_backlog(bus);
    }

    /// Answers a command in the way that its outcome says.
    fn complete(
        &mut self,
        bus: &mut dyn Bus,
        waiting: &Waiting,
        outcome: Outcome,
        done: Result<u32, Status>,
    ) {
        let queue = usize::from(waiting.completion);
        let completion = Completion {
            result: done.unwrap_or(0),
            head: self.submissions[usize::from(waiting.submission)].head(),
            queue: waiting.submission,
            cid: waiting.cid,
            status: done.err().unwrap_or(Status::SUCCESS),
        };
        if outcome == Outcome::Garbage && self.completions[queue].room() >= 2 {
            let cid = self.unused_identifier(waiting);
            self.post(bus, queue, &Completion { cid, ..completion });
        }
        self.post(bus, queue, &completion);
        if outcome == Outcome::Twice {
            self.post(bus, queue, &completion);
        }
        if outcome != Outcome::NoInterrupt {
            self.interrupt(bus, queue);
        }
    }

    /// An identifier that no command of the queue has.
    fn unused_identifier(&self, waiting: &Waiting) -> u16 {
        let mut cid = u16::MAX;
        while cid == waiting.cid || self.flight.find(waiting.submission, cid).is_some() {
            cid -= 1;
        }
        cid
    }

    /// Answers a command that has not been done.
    pub(super) fn answer(&mut self, bus: &mut dyn Bus, waiting: &Waiting, status: Status) {
        let done = if status == Status::SUCCESS { Ok(0) } else { Err(status) };
        self.complete(bus, waiting, Outcome::Success, done);
    }

    /// Posts a completion. Where there is no room it is dropped: an entry that the driver has not consumed
    /// is never overwritten. Memory that is not the driver's ends the controller.
    pub(super) fn post(&mut self, bus: &mut dyn Bus, queue: usize, completion: &Completion) {
        if self.completions[queue].room() == 0 {
            return;
        }
        let (address, phase) = self.completions[queue].produce();
        if !bus.write(address, &completion.bytes(phase)) {
            self.fail();
        }
    }

    /// Interrupts for the entries of a completion queue, or waits for more of them.
    pub(super) fn interrupt(&mut self, bus: &mut dyn Bus, queue: usize) {
        let completions = &self.completions[queue];
        if !completions.interrupts || completions.is_empty() {
            return;
        }
        let (window, entries) = self.coalescing(queue, completions.vector);
        if window == 0 || entries < 2 {
            self.signal(bus, queue);
            return;
        }
        let deadline = self.timers.start(Timer::Coalescing, bus.now().saturating_add(window));
        if self.interrupts.hold(queue) >= entries || !self.flight.any_due(queue as u8, deadline) {
            self.signal(bus, queue);
        }
    }

    fn signal(&mut self, bus: &mut dyn Bus, queue: usize) {
        let vector = self.completions[queue].vector;
        self.interrupts.signal(bus, queue, vector, self.registers.is_enabled());
        if self.interrupts.held() == 0 {
            self.timers.stop(Timer::Coalescing);
        }
    }

    fn coalescing(&self, queue: usize, vector: u16) -> (u64, u16) {
        match queue {
            0 => (0, 1),
            _ if self.manner.coalesces => (COALESCING_WINDOW_NS, u16::MAX),
            _ => self.features.coalescing(vector),
        }
    }

    /// Sends the interrupts that were held back.
    pub(super) fn flush_held(&mut self, bus: &mut dyn Bus) {
        let mut held = self.interrupts.held();
        while held != 0 {
            let queue = held.trailing_zeros() as usize;
            held &= held - 1;
            if self.completions[queue].is_empty() {
                self.interrupts.quiet(bus, queue);
            } else {
                self.signal(bus, queue);
            }
        }
    }

    fn interrupt_for_nothing(&mut self, bus: &mut dyn Bus, queue: usize) {
        let completions = &self.completions[queue];
        if completions.interrupts {
            bus.send_message(completions.vector);
            self.interrupts.set_pulse(bus, true);
            self.timers.start(Timer::Pulse, bus.now().saturating_add(PULSE_NS));
        }
    }
}

const fn is_abort(work: &Work) -> bool {
    matches!(work, Work::Admin(Admin::Abort { .. }))
}
