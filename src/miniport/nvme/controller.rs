//! Bringing the controller up, for the first time and after every reset: a state machine that never
//! waits.
//!
//! `Nvme::step` does what can be done at once and says how to go on. Who calls it decides how the time
//! between two steps passes:
//!
//! | where | between steps |
//! | --- | --- |
//! | HwStorPassiveInitializeRoutine, a crash dump's HwStorInitialize | StorPortStallExecution, for a bounded time |
//! | the recovery DPC | a few short stalls, then the adapter's timer |
//! | HwStorTimer, where there are no DPCs | the adapter's timer |
//!
//! At most one processor steps at a time: it owns `Engine::stepping`. A processor that finds it owned
//! leaves a kick, which the owner sees before it goes.

use core::sync::atomic::Ordering;

use super::completion::Outcome;
use super::guard::Access;
use super::queue::ENTRIES_MAX;
use super::registers::{ABSENT, CC_DISABLE, CC_ENABLE, CSTS_FATAL, CSTS_READY, Register};
use super::spec::{Command, Controller, Namespace, Ring, Status};
use super::stall::Stalls;
use super::state::State;
use super::{ADMIN_ENTRIES, IO_QUEUES_MAX, Nvme, RECOVERY};
use crate::storport::{Interlocked, Shared, SrbStatus, StorPort, StorPortExt};

/// Longest that a command of the driver's own may take, in microseconds.
const COMMAND_TIMEOUT_US: u32 = 5_000_000;
/// How often a bring-up that a command failed is tried.
const ATTEMPTS: u8 = 3;
/// Steps that a DPC or timer makes before it lets others run: more than a whole bring-up has.
const STEPS_PER_TURN: u32 = 64;
/// One stall between steps in the recovery DPC, and how many: half of what a DPC may take.
const DPC_STALL_US: u32 = 10;
const DPC_STALLS: u32 = 5;
/// First and longest interval of the timer between steps.
const TIMER_FIRST_US: u32 = 500;
const TIMER_LONGEST_US: u32 = 64_000;
/// The timer where it stands in for a DPC: as soon as possible.
const KICK_US: u32 = 1;

/// What the next step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Nothing.
    Rest = 0,
    /// Closes the queues and disables the controller.
    Close = 1,
    /// Waits until the controller is disabled, then completes what it will never answer.
    Disable = 2,
    /// Waits until the controller is enabled.
    Enable = 3,
    /// Identifies the controller.
    IdentifyController = 4,
    /// Identifies the namespace.
    IdentifyNamespace = 5,
    /// Asks for I/O queues.
    CountQueues = 6,
    /// Creates the completion ring of a pair.
    CreateCompletion = 7,
    /// Creates its submission ring.
    CreateSubmission = 8,
}

/// How to go on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// With the next step, at once.
    Again,
    /// With the next step, after a while.
    Wait,
    /// Not at all.
    Rest,
}

/// The state of the bring-up. But for what is atomic, only the owner of `stepping` touches it.
#[derive(Debug)]
pub struct Engine {
    /// A [`Phase`]; atomic, because a stop looks at it.
    phase: Interlocked<u8>,
    /// The phase's command is with the controller.
    issued: Shared<bool>,
    /// The I/O queue that is being created, and how many are wanted.
    queue: Shared<u16>,
    wanted: Shared<u16>,
    /// Bring-ups tried since the last that succeeded.
    attempts: Shared<u8>,
    /// Some processor is inside [`Nvme::step`].
    stepping: Interlocked<bool>,
    /// There is a reason to step.
    kicked: Interlocked<bool>,
    /// A reset is wanted: begin with [`Phase::Close`].
    reset: Interlocked<bool>,
    /// Microseconds since the phase began, stalls and timer intervals added up.
    elapsed_us: Interlocked<u32>,
    /// The timer's interval.
    interval_us: Interlocked<u32>,
    /// The end of the driver's own command: [`ANSWERED`], status in bits 47:32, result below. Written
    /// under the admin queue's guard.
    answer: Interlocked<u64>,
}

/// Bit of [`Engine::answer`].
const ANSWERED: u64 = 1 << 63;

impl Engine {
    /// Notes the end of the driver's own command. Called under the admin queue's guard, so that a
    /// command that was given up cannot answer for the next one.
    pub(super) fn note_answer<P: StorPort>(&self, port: P, status: Status, result: u32) {
        let word = ANSWERED | u64::from(status.0) << 32 | u64::from(result);
        self.answer.store(port, word, Ordering::SeqCst);
    }

    /// A driver's own command has ended and nobody has looked at it.
    pub(super) fn is_answered<P: StorPort>(&self, port: P) -> bool {
        self.answer.load(port, Ordering::SeqCst) & ANSWERED != 0
    }

    /// Takes the end of the driver's own command, if it has ended.
    fn take_answer<P: StorPort>(&self, port: P) -> Option<(Status, u32)> {
        let word = self.answer.load(port, Ordering::SeqCst);
        if word & ANSWERED == 0 {
            return None;
        }
        self.answer.store(port, 0, Ordering::SeqCst);
        Some((Status((word >> 32) as u16 & 0x7FFF), word as u32))
    }

    /// Whether it is on its way to disable the controller, or about to be.
    pub(super) fn is_disabling<P: StorPort>(&self, port: P) -> bool {
        matches!(self.phase(port), Phase::Close | Phase::Disable)
            || self.reset.load(port, Ordering::SeqCst)
    }

    /// Asks for a reset; a [`Nvme::kick`] must follow.
    pub(super) fn want_reset<P: StorPort>(&self, port: P) {
        self.reset.store(port, true, Ordering::SeqCst);
    }

    /// Counts the interval of the timer that has just expired.
    pub(super) fn count_interval<P: StorPort>(&self, port: P) {
        let interval = self.interval_us.load(port, Ordering::Relaxed);
        self.elapsed_us.add_relaxed(port, interval);
    }

    fn phase<P: StorPort>(&self, port: P) -> Phase {
        match self.phase.load(port, Ordering::SeqCst) {
            1 => Phase::Close,
            2 => Phase::Disable,
            3 => Phase::Enable,
            4 => Phase::IdentifyController,
            5 => Phase::IdentifyNamespace,
            6 => Phase::CountQueues,
            7 => Phase::CreateCompletion,
            8 => Phase::CreateSubmission,
            _ => Phase::Rest,
        }
    }

    fn enter<P: StorPort>(&self, port: P, phase: Phase) -> Pace {
        self.phase.store(port, phase as u8, Ordering::SeqCst);
        self.issued.set(port, false);
        self.elapsed_us.store(port, 0, Ordering::Relaxed);
        self.interval_us.store(port, 0, Ordering::Relaxed);
        if phase == Phase::Rest { Pace::Rest } else { Pace::Again }
    }

    fn has_waited<P: StorPort>(&self, port: P, microseconds: u32) -> bool {
        self.elapsed_us.load(port, Ordering::Relaxed) >= microseconds
    }
}

impl Nvme {
    /// Steps without anybody else about, stalling in between for at most `budget_us`. Returns whether
    /// there is nothing left to do. HwStorPassiveInitializeRoutine, or anywhere in a crash dump.
    pub(super) fn drive_alone<P: StorPort>(&self, port: P, budget_us: u32) -> bool {
        let engine = &self.engine;
        if engine.stepping.swap(port, true) {
            return false;
        }
        let mut stalls = Stalls::new(budget_us);
        let finished = loop {
            match self.step(port, Access::Have) {
                Pace::Again => stalls.restart(),
                Pace::Rest => break true,
                Pace::Wait => match stalls.stall(port) {
                    Some(stalled_us) => {
                        engine.elapsed_us.add_relaxed(port, stalled_us);
                    }
                    None => break false,
                },
            }
        };
        engine.stepping.store(port, false, Ordering::SeqCst);
        finished
    }

    /// Steps in the recovery DPC (`may_stall`) or in HwStorTimer, which holds a lock and may not.
    pub(super) fn drive<P: StorPort>(&self, port: P, access: Access, may_stall: bool) {
        let engine = &self.engine;
        engine.kicked.store(port, true, Ordering::SeqCst);
        // Whoever finds `stepping` taken has left its kick before; whoever gives it back looks for one
        // after. So no kick is lost, and none waits for a lock.
        while engine.kicked.load(port, Ordering::SeqCst) && !engine.stepping.swap(port, true) {
            engine.kicked.store(port, false, Ordering::SeqCst);
            self.turn(port, access, if may_stall { DPC_STALLS } else { 0 });
            engine.stepping.store(port, false, Ordering::SeqCst);
        }
    }

    fn turn<P: StorPort>(&self, port: P, access: Access, mut stalls: u32) {
        for _ in 0..STEPS_PER_TURN {
            match self.step(port, access) {
                Pace::Again => {}
                Pace::Rest => return,
                Pace::Wait if stalls == 0 => break,
                Pace::Wait => {
                    stalls -= 1;
                    port.stall_execution(DPC_STALL_US);
                    self.engine.elapsed_us.add_relaxed(port, DPC_STALL_US);
                }
            }
        }
        self.arm(port);
    }

    /// Sets the adapter's timer for the next step, each time later, up to a limit.
    fn arm<P: StorPort>(&self, port: P) {
        let last = self.engine.interval_us.load(port, Ordering::Relaxed);
        let next = (2 * last).clamp(TIMER_FIRST_US, TIMER_LONGEST_US);
        self.engine.interval_us.store(port, next, Ordering::Relaxed);
        port.request_timer_of::<Self>(next);
    }

    /// Gives the state machine a reason to step, from any callback at any IRQL.
    #[track_caller]
    pub(super) fn kick<P: StorPort>(&self, port: P) {
        if self.dpcs_ready.load(port, Ordering::SeqCst) {
            port.issue(&self.recovery, RECOVERY, 0);
        } else if !self.is_dump(port) && !self.uses_dpcs(port) {
            self.engine.interval_us.store(port, 0, Ordering::Relaxed);
            port.request_timer_of::<Self>(KICK_US);
        }
    }

    /// One step. Never waits, and touches a queue only under its guard.
    fn step<P: StorPort>(&self, port: P, access: Access) -> Pace {
        let engine = &self.engine;
        if engine.reset.swap(port, false) {
            // A restart may have asked while the bring-up before it was just coming to its end.
            self.state.change(port, State::Running, State::Starting);
            engine.attempts.set(port, 0);
            engine.enter(port, Phase::Close);
        }
        match engine.phase(port) {
            Phase::Rest => Pace::Rest,
            Phase::Close => {
                self.mask_line(port, access);
                self.close_queues(port, access);
                self.registers.write(port, Register::Configuration, CC_DISABLE);
                engine.enter(port, Phase::Disable)
            }
            Phase::Disable => self.step_disable(port, access),
            Phase::Enable => self.step_enable(port, access),
            phase => self.step_command(port, access, phase),
        }
    }

    fn step_disable<P: StorPort>(&self, port: P, access: Access) -> Pace {
        let status = self.registers.read(port, Register::Status);
        if status == ABSENT {
            return self.lose(port, access);
        }
        if status & CSTS_READY != 0 {
            if !self.engine.has_waited(port, self.ready_timeout_us(port)) {
                return Pace::Wait;
            }
            return self.give_up(port, access);
        }
        // From here on the controller reads and writes no memory.
        self.flush(port, access, Outcome::Status(SrbStatus::BUS_RESET));
        self.answer_waiting(port);
        if self.state.get(port) != State::Starting {
            return self.engine.enter(port, Phase::Rest);
        }
        self.enable(port, access);
        // A stop or removal may have come between the look at the state and the enabling; it disabled
        // the controller before we enabled it.
        if self.state.get(port) != State::Starting {
            self.registers.write(port, Register::Configuration, CC_DISABLE);
            return self.engine.enter(port, Phase::Rest);
        }
        self.engine.enter(port, Phase::Enable)
    }

    /// Programs the admin queue and sets CC.EN.
    fn enable<P: StorPort>(&self, port: P, access: Access) {
        let entries = self.queue_entries(port).min(ADMIN_ENTRIES);
        let rings = self.memory.rings(port, 0);
        self.guarded(port, access, 0, |queue| queue.start(port, 0, rings, entries));
        let last = u32::from(entries) - 1;
        let registers = &self.registers;
        registers.write(port, Register::AdminQueueAttributes, last << 16 | last);
        registers.write_pair(port, Register::AdminSubmissionLow, rings.0.physical);
        registers.write_pair(port, Register::AdminCompletionLow, rings.1.physical);
        registers.write(port, Register::Configuration, CC_ENABLE);
    }

    fn step_enable<P: StorPort>(&self, port: P, access: Access) -> Pace {
        let status = self.registers.read(port, Register::Status);
        if status == ABSENT {
            return self.lose(port, access);
        }
        if status & CSTS_FATAL != 0 {
            return self.give_up(port, access);
        }
        if status & CSTS_READY == 0 {
            if !self.engine.has_waited(port, self.ready_timeout_us(port)) {
                return Pace::Wait;
            }
            return self.give_up(port, access);
        }
        self.begin_interrupts(port);
        self.guarded(port, access, 0, |queue| queue.set_open(port, true));
        let next =
            if self.is_identified(port) { Phase::CountQueues } else { Phase::IdentifyController };
        self.engine.enter(port, next)
    }

    /// Submits the phase's command, or sees how it ended.
    fn step_command<P: StorPort>(&self, port: P, access: Access, phase: Phase) -> Pace {
        let engine = &self.engine;
        if self.state.get(port) != State::Starting {
            return self.abandon(port, access);
        }
        if !engine.issued.get(port) {
            let command = self.command_of(port, access, phase);
            engine.answer.store(port, 0, Ordering::SeqCst);
            let sent = self.guarded(port, access, 0, |queue| {
                queue.submit(port, &self.registers, &command, None)
            });
            if sent.is_err() {
                return self.retry(port, access);
            }
            engine.issued.set(port, true);
        }
        self.service(port, access, 0);
        match engine.take_answer(port) {
            Some((status, result)) => self.finish_command(port, access, phase, status, result),
            None if !engine.has_waited(port, COMMAND_TIMEOUT_US) => Pace::Wait,
            None => self.retry(port, access),
        }
    }

    /// The command of a phase.
    fn command_of<P: StorPort>(&self, port: P, access: Access, phase: Phase) -> Command {
        let buffer = self.memory.identify_page(port).physical;
        let id = self.engine.queue.get(port);
        match phase {
            Phase::IdentifyNamespace => Command::identify_namespace(buffer),
            Phase::CountQueues => Command::set_queue_count(self.io_queues_wanted(port)),
            Phase::CreateCompletion => {
                let index = usize::from(id);
                let entries = self.queue_entries(port);
                let rings = self.memory.rings(port, index);
                self.guarded(port, access, index, |queue| queue.start(port, id, rings, entries));
                let vector = self.message_of(port, index) as u16;
                let ring = Ring { id, address: rings.1.physical, entries };
                Command::create_completion_queue(ring, vector)
            }
            Phase::CreateSubmission => {
                let address = self.memory.rings(port, usize::from(id)).0.physical;
                let entries = self.queue_entries(port);
                Command::create_submission_queue(Ring { id, address, entries })
            }
            _ => Command::identify_controller(buffer),
        }
    }

    fn finish_command<P: StorPort>(
        &self,
        port: P,
        access: Access,
        phase: Phase,
        status: Status,
        result: u32,
    ) -> Pace {
        let engine = &self.engine;
        let creates = matches!(phase, Phase::CreateCompletion | Phase::CreateSubmission);
        if !status.is_success() && creates && engine.queue.get(port) > 1 {
            // The pairs that exist will do.
            return self.run(port, access, engine.queue.get(port) - 1);
        }
        if !status.is_success() && phase != Phase::IdentifyNamespace {
            return self.retry(port, access);
        }
        match phase {
            Phase::IdentifyController => {
                let page = self.memory.identify_page(port);
                self.adopt_controller(port, Controller::parse(|at| page.byte(at)));
                engine.enter(port, Phase::IdentifyNamespace)
            }
            Phase::IdentifyNamespace => {
                let page = self.memory.identify_page(port);
                let parsed = Namespace::parse(|at| page.byte(at)).filter(|_| status.is_success());
                self.adopt_namespace(port, parsed);
                engine.enter(port, Phase::CountQueues)
            }
            Phase::CountQueues => {
                // Both counts are zero-based.
                let granted = (result & 0xFFFF).min(result >> 16) + 1;
                let wanted = u32::from(self.io_queues_wanted(port));
                engine.wanted.set(port, granted.min(wanted) as u16);
                engine.queue.set(port, 1);
                engine.enter(port, Phase::CreateCompletion)
            }
            Phase::CreateCompletion => engine.enter(port, Phase::CreateSubmission),
            _ => {
                let created = engine.queue.get(port);
                if created >= engine.wanted.get(port) {
                    return self.run(port, access, created);
                }
                engine.queue.set(port, created + 1);
                engine.enter(port, Phase::CreateCompletion)
            }
        }
    }

    /// Opens the I/O queues and lets requests in.
    fn run<P: StorPort>(&self, port: P, access: Access, io_queues: u16) -> Pace {
        self.io_queues.store(port, u32::from(io_queues), Ordering::SeqCst);
        for index in 1..=usize::from(io_queues) {
            self.guarded(port, access, index, |queue| queue.set_open(port, true));
        }
        if !self.state.change(port, State::Starting, State::Running) {
            return self.abandon(port, access);
        }
        self.engine.attempts.set(port, 0);
        self.engine.enter(port, Phase::Rest);
        self.answer_waiting(port);
        self.wake(port);
        Pace::Rest
    }

    /// Begins anew, if not too often.
    fn retry<P: StorPort>(&self, port: P, access: Access) -> Pace {
        let attempts = self.engine.attempts.get(port) + 1;
        if attempts >= ATTEMPTS {
            return self.give_up(port, access);
        }
        self.engine.attempts.set(port, attempts);
        self.engine.enter(port, Phase::Close)
    }

    /// Ends the bring-up because the adapter was stopped or removed under it.
    fn abandon<P: StorPort>(&self, port: P, access: Access) -> Pace {
        self.registers.write(port, Register::Configuration, CC_DISABLE);
        self.close_queues(port, access);
        self.answer_waiting(port);
        self.engine.enter(port, Phase::Rest)
    }

    /// The controller cannot be brought up: everything that waits for it ends.
    fn give_up<P: StorPort>(&self, port: P, access: Access) -> Pace {
        self.registers.write(port, Register::Configuration, CC_DISABLE);
        self.state.change(port, State::Starting, State::Failed);
        self.close_queues(port, access);
        self.flush(port, access, Outcome::Status(SrbStatus::BUS_RESET));
        self.answer_waiting(port);
        self.engine.enter(port, Phase::Rest)
    }

    /// The controller is gone.
    fn lose<P: StorPort>(&self, port: P, access: Access) -> Pace {
        self.state.leave(port, State::Removed);
        self.close_queues(port, access);
        self.flush(port, access, Outcome::Status(SrbStatus::NO_DEVICE));
        self.answer_waiting(port);
        self.engine.enter(port, Phase::Rest)
    }
}

const _: () = assert!(ADMIN_ENTRIES <= ENTRIES_MAX && IO_QUEUES_MAX < RECOVERY);
