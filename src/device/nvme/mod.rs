//! An NVMe 1.4 controller with one namespace, a RAM disk of 128 blocks of 512 bytes.
//!
//! A driver writes commands into queues in its memory and rings a doorbell; the controller fetches them at
//! once (`process`), checks them (`command`), and does them when they are due (`flight`), which the
//! scenario decides as it decides how well they end (`device::service`). Data moves at that moment and not
//! before. An identifier in a stale or garbage entry never names a command that is in flight when the entry is posted;
//! a driver that reuses identifiers at once can only tell such an entry apart if part of its identifiers counts up.
//!
//! It believes nothing: wild addresses end in a Data Transfer Error, or, for queues, in a controller that
//! reports a fatal status; wrong doorbells are ignored and reported as asynchronous events; whatever is
//! written, no loop runs longer than a queue is.
//!
//! # Resets
//!
//! Clearing CC.EN stops the controller: nothing is answered any more. Its claim on the memory of commands in
//! flight ends when CSTS.RDY goes to 0, since only then has the driver been told that transfers have
//! ended. With [`Manner::answers_after_reset`] the controller goes on with the commands that it had fetched
//! until that moment, data and messages included (never the line, which the driver could not quiet then),
//! and a command that was aborted is answered a second time, without data, when it would have been. A
//! subsystem reset (NSSR) and a completed shutdown drop everything at once.
//!
//! # Interrupts
//!
//! The controller sends messages and drives the line; the machine listens to what it has wired.

mod admin;
mod command;
mod config;
mod feature;
mod flight;
mod identify;
mod interrupt;
mod namespace;
mod process;
mod prp;
mod queue;
mod registers;
mod status;
mod timer;

#[cfg(test)]
mod tests;

use super::service::Answers;
use super::{Bus, Device};
use crate::scenario::{Answer, Manner, Outcome};

use admin::Events;
use feature::Features;
use flight::{Flight, NEVER};
use identify::Page;
use interrupt::Interrupts;
use namespace::Disk;
use queue::{CompletionQueue, PAIRS, SubmissionQueue};
use registers::{Registers, Shutdown, offset};
use timer::{Timer, Timers};

/// The controller. See the module.
#[derive(Debug)]
pub struct Nvme {
    manner: Manner,
    registers: Registers,
    submissions: [SubmissionQueue; PAIRS],
    completions: [CompletionQueue; PAIRS],
    flight: Flight,
    /// Entries wait in some queue because too many commands are in flight.
    backlog: bool,
    /// CC.EN is clear, CSTS.RDY is not yet, and commands in flight go on.
    lingers: bool,
    interrupts: Interrupts,
    timers: Timers,
    answers: Answers,
    features: Features,
    events: Events,
    disk: Disk,
    /// Where data of admin commands is put together.
    page: Box<Page>,
    /// What happens next, and when; kept by [`settle`](Self::settle).
    coming: Option<(u64, Next)>,
    /// The latest time at which the machine was seen.
    seen: u64,
    removed: bool,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Next {
    Command(usize),
    Timer(Timer),
}

impl Nvme {
    /// A controller at power-on, with the default manner.
    #[must_use]
    pub fn new() -> Self {
        let manner = Manner::default();
        Nvme {
            manner,
            registers: Registers::default(),
            submissions: [SubmissionQueue::default(); PAIRS],
            completions: [CompletionQueue::default(); PAIRS],
            flight: Flight::new(),
            backlog: false,
            lingers: false,
            interrupts: Interrupts::default(),
            timers: Timers::STOPPED,
            answers: Answers::new(),
            features: Features::new(manner.queue_pairs),
            events: Events::default(),
            disk: Disk::new(),
            page: Box::new([0; prp::PAGE_BYTES as usize]),
            coming: None,
            seen: 0,
            removed: false,
        }
    }

    /// Entries are fetched from queues.
    fn fetches(&self) -> bool {
        self.registers.is_enabled()
            && self.registers.ready
            && !self.registers.fatal
            && self.registers.shutdown != Shutdown::Complete
    }

    /// Commands in flight are done and answered.
    fn executes(&self) -> bool {
        self.lingers || self.fetches()
    }

    /// Queue memory is not there: the controller stops until it is reset.
    fn fail(&mut self) {
        self.registers.fatal = true;
        self.lingers = false;
    }

    fn write_configuration(&mut self, bus: &mut dyn Bus, value: u32) {
        let before = self.registers;
        self.registers.set_configuration(value);
        match (before.is_enabled(), self.registers.is_enabled()) {
            (true, false) => self.disable(bus),
            (false, true) => self.enable(bus),
            _ => {}
        }
        if !before.asks_for_shutdown() && self.registers.asks_for_shutdown() {
            self.registers.shutdown = Shutdown::Occurring;
            self.start_timer(bus, Timer::Shutdown);
        }
    }

    fn start_timer(&mut self, bus: &mut dyn Bus, timer: Timer) {
        let due = bus.now().saturating_add(self.answers.ready_delay(&self.manner));
        self.timers.start(timer, due);
    }

    fn enable(&mut self, bus: &mut dyn Bus) {
        // A driver that does not wait for the end of a reset has it now.
        self.finish_reset(bus);
        if !self.registers.asks_for_shutdown() {
            self.registers.shutdown = Shutdown::None;
            self.timers.stop(Timer::Shutdown);
        }
        if !self.registers.is_acceptable() {
            self.fail();
        } else if !self.manner.never_ready {
            self.start_timer(bus, Timer::Ready);
        }
    }

    fn disable(&mut self, bus: &mut dyn Bus) {
        self.lingers = self.registers.ready
            && !self.registers.fatal
            && self.registers.shutdown != Shutdown::Complete
            && self.answers.answers_after_reset(&self.manner);
        self.registers.fatal = false;
        self.registers.shutdown = Shutdown::None;
        self.timers = Timers::STOPPED;
        self.interrupts.quiet_all(bus);
        if self.registers.ready {
            self.start_timer(bus, Timer::Ready);
        } else {
            self.finish_reset(bus);
        }
    }

    /// What a controller reset leaves: no queues, no commands, default features; AQA, ASQ and ACQ stay.
    fn finish_reset(&mut self, bus: &mut dyn Bus) {
        self.registers.ready = false;
        // A shutdown asked for together with the reset goes on.
        for timer in [Timer::Ready, Timer::Pulse, Timer::Coalescing] {
            self.timers.stop(timer);
        }
        self.clear();
        self.interrupts.quiet_all(bus);
        self.interrupts.set_mask(bus, 0);
    }

    /// No queues, no commands, default features.
    fn clear(&mut self) {
        self.drop_commands();
        self.submissions = [SubmissionQueue::default(); PAIRS];
        self.completions = [CompletionQueue::default(); PAIRS];
        self.features = Features::new(self.manner.queue_pairs);
        self.events = Events::default();
    }

    fn drop_commands(&mut self) {
        self.flight.clear();
        self.backlog = false;
        self.lingers = false;
    }

    fn reset_subsystem(&mut self, bus: &mut dyn Bus) {
        self.registers = Registers::after_subsystem_reset();
        self.timers.stop(Timer::Shutdown);
        self.finish_reset(bus);
    }

    /// CSTS.RDY follows CC.EN.
    fn become_ready(&mut self, bus: &mut dyn Bus) {
        if !self.registers.is_enabled() {
            self.finish_reset(bus);
            return;
        }
        let (submission, completion) = self.registers.admin_entries();
        self.submissions[0] = SubmissionQueue::open(self.registers.admin_submission, submission, 0);
        self.completions[0] =
            CompletionQueue::open(self.registers.admin_completion, completion, 0, true);
        self.registers.ready = true;
    }

    /// What happens next, and when.
    fn next(&self) -> Option<(u64, Next)> {
        let timer = self.timers.next().map(|(due, timer)| (due, Next::Timer(timer)));
        if self.flight.list().is_empty() || !self.executes() {
            return timer;
        }
        let room = |queue: u8| self.completions[usize::from(queue)].room() != 0;
        match (self.flight.next(self.manner.order, room), timer) {
            (Some((due, index)), timer) if timer.as_ref().is_none_or(|(at, _)| due <= *at) => {
                Some((due, Next::Command(index)))
            }
            (_, timer) => timer,
        }
    }

    fn happen(&mut self, bus: &mut dyn Bus, next: Next) {
        let timer = match next {
            Next::Command(index) => return self.execute(bus, index),
            Next::Timer(timer) => timer,
        };
        self.timers.stop(timer);
        match timer {
            Timer::Ready => self.become_ready(bus),
            Timer::Shutdown => {
                self.registers.shutdown = Shutdown::Complete;
                self.drop_commands();
            }
            Timer::Pulse => self.interrupts.set_pulse(bus, false),
            Timer::Coalescing => self.flush_held(bus),
        }
    }

    /// Notes what happens next.
    fn settle(&mut self) {
        self.coming = self.next();
    }

    fn write_controller_register(&mut self, bus: &mut dyn Bus, at: u32, value: u32) {
        let registers = &mut self.registers;
        let mask = self.interrupts.mask();
        match at {
            offset::INTMS => self.interrupts.set_mask(bus, mask | value),
            offset::INTMC => self.interrupts.set_mask(bus, mask & !value),
            offset::CC => self.write_configuration(bus, value),
            offset::CSTS if value & registers::CSTS_SUBSYSTEM_RESET != 0 => {
                registers.subsystem_reset = false;
            }
            offset::NSSR if value == registers::RESET_SIGNATURE => self.reset_subsystem(bus),
            // The admin queues cannot move while the controller is enabled.
            _ if registers.is_enabled() => {}
            offset::AQA => registers.set_admin_sizes(value),
            offset::ASQ_LOW | offset::ASQ_HIGH => {
                let upper = at == offset::ASQ_HIGH;
                registers::replace_half(&mut registers.admin_submission, upper, value);
            }
            offset::ACQ_LOW | offset::ACQ_HIGH => {
                let upper = at == offset::ACQ_HIGH;
                registers::replace_half(&mut registers.admin_completion, upper, value);
            }
            _ => {}
        }
    }
}

impl Default for Nvme {
    fn default() -> Self {
        Nvme::new()
    }
}

impl Device for Nvme {
    fn power_on(&mut self, manner: &Manner) {
        self.manner = Manner {
            queue_entries: manner.queue_entries.clamp(2, 64),
            queue_pairs: manner.queue_pairs.clamp(1, PAIRS as u8 - 1),
            ..*manner
        };
        self.registers = Registers::default();
        self.clear();
        self.interrupts = Interrupts::default();
        self.timers = Timers::STOPPED;
        self.answers.power_on();
        self.disk.wipe();
        self.coming = None;
        self.seen = 0;
        self.removed = false;
    }

    fn config_space(&self) -> &[u8; 256] {
        &config::CONFIG
    }

    fn register_bytes(&self) -> u32 {
        registers::BYTES
    }

    fn read_register(&mut self, bus: &mut dyn Bus, at: u32) -> u32 {
        if self.removed {
            return u32::MAX;
        }
        self.seen = bus.now();
        let registers = &self.registers;
        match at {
            offset::CAP_LOW => registers::capabilities_low(self.manner.queue_entries),
            offset::CAP_HIGH => registers::CAPABILITIES_HIGH,
            offset::VS => identify::VERSION,
            offset::INTMS | offset::INTMC => self.interrupts.mask(),
            offset::CC => registers.configuration(),
            offset::CSTS => registers.status(),
            offset::AQA => registers.admin_sizes,
            offset::ASQ_LOW => registers.admin_submission as u32,
            offset::ASQ_HIGH => (registers.admin_submission >> 32) as u32,
            offset::ACQ_LOW => registers.admin_completion as u32,
            offset::ACQ_HIGH => (registers.admin_completion >> 32) as u32,
            _ => 0,
        }
    }

    fn write_register(&mut self, bus: &mut dyn Bus, at: u32, value: u32) {
        if self.removed || !at.is_multiple_of(4) {
            return;
        }
        self.seen = bus.now();
        match at {
            0..offset::DOORBELLS => self.write_controller_register(bus, at, value),
            offset::DOORBELLS..offset::MSIX_TABLE => {
                self.ring(bus, (at - offset::DOORBELLS) as usize / 4, value);
            }
            _ => {}
        }
        self.settle();
    }

    fn due(&self) -> Option<u64> {
        self.coming.map(|(due, _)| due)
    }

    fn advance(&mut self, bus: &mut dyn Bus) {
        self.seen = bus.now();
        while let Some((due, next)) = self.coming
            && due <= self.seen
        {
            self.happen(bus, next);
            self.settle();
        }
    }

    fn advance_early(&mut self, bus: &mut dyn Bus) -> bool {
        self.seen = bus.now();
        if self.removed {
            return false;
        }
        let Some((_, next)) = self.coming else { return false };
        self.happen(bus, next);
        self.settle();
        true
    }

    fn expect(&mut self, answer: Answer) {
        self.answers.push(answer);
    }

    /// Commands that were to be late or to fail are answered promptly and well; what the device says about
    /// itself, its order and whether it can become ready at all do not change.
    fn behave(&mut self) {
        self.answers.behave();
        let prompt = self.seen.saturating_add(self.answers.latency(&self.manner));
        for index in (0..self.flight.list().len()).rev() {
            let waiting = &mut self.flight.list_mut()[index];
            if waiting.ghost {
                self.flight.remove(index);
            } else if waiting.due != NEVER {
                waiting.due = waiting.due.min(prompt);
                self.flight.command_mut(index).outcome = Outcome::Success;
            }
        }
        self.timers.hasten(self.seen.saturating_add(self.answers.ready_delay(&self.manner)));
        self.settle();
    }

    fn owns(&self, address: u64, bytes: u64) -> bool {
        self.flight.owns(address, bytes)
    }

    fn geometry(&self) -> (u32, u32) {
        (namespace::BLOCK_BYTES, namespace::BLOCKS)
    }

    fn remove(&mut self, bus: &mut dyn Bus) {
        self.removed = true;
        self.drop_commands();
        self.interrupts.quiet_all(bus);
        self.timers = Timers::STOPPED;
        self.coming = None;
    }
}
