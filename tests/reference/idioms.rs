//! Scripts of the puppet: mostly lock calls.
//!
//! Calls drawn one by one seldom get far: the first is a mistake already. So a script is made of idioms, most of them
//! legal or nearly so (nested locks, a lock that two callbacks share, a handle passed on, two orders of the same
//! locks), and then one call in a few is changed.

use lockstorm::event::Routine;
use lockstorm::miniport::puppet::{Call, Context, LockName, Op, When};
use lockstorm::scenario::{InterruptKind, Setup};

use crate::scripts::Random;

/// Most calls of a script; the rest of the steps is for what happens.
const CALLS_MAX: usize = 48;
/// Executive locks that the puppet initialises; the first two are used as ordinary locks, the others as queued ones.
const EXECUTIVE_LOCKS: u8 = 4;
/// DPCs that it initialises.
const DPCS: u8 = 4;

/// The next script.
pub(crate) fn script(random: &mut Random, setup: &Setup) -> Vec<Call> {
    let mut writer = Writer { random, setup, calls: Vec::new() };
    for _ in 0..1 + writer.random.below(3) {
        writer.idiom();
    }
    writer.calls.truncate(CALLS_MAX);
    writer.calls.into_iter().map(Call::canonical).collect()
}

fn call(op: Op) -> Call {
    Call::new(Routine::StartIo, op)
}

/// An acquire and its release.
type Pair = (Call, Call);

/// What a stretch of code may still take.
#[derive(Clone, Copy)]
struct Room {
    /// At DISPATCH_LEVEL already.
    at_dispatch: bool,
    /// Nothing but messages' locks from this one up.
    from_message: Option<u8>,
    /// StorPort holds StartIo, or it has been taken.
    start_io_taken: bool,
    /// STOR_DPCs and executive locks from these numbers up.
    dpc: u8,
    executive: u8,
}

/// Writes one script.
struct Writer<'a> {
    random: &'a mut Random,
    setup: &'a Setup,
    calls: Vec<Call>,
}

impl Writer<'_> {
    fn idiom(&mut self) {
        match self.random.below(18) {
            0..5 => self.nest_in_a_routine(),
            5..7 => self.invert(),
            7..9 => self.share_with_an_interruption(),
            9 => self.pass_a_handle(),
            10 => self.copy_a_handle(),
            11 => self.stall(),
            12 => self.complete_under_a_lock(),
            13 => self.use_a_dpc(),
            14 | 15 => self.misplace(),
            _ => self.make_noise(),
        }
    }

    /// Addresses the calls from `begin` on.
    fn address(&mut self, begin: usize, routine: Routine) {
        let when = if self.random.one_in(3) { self.random.of(&When::ALL) } else { When::Always };
        for call in &mut self.calls[begin..] {
            (call.routine, call.when) = (routine, when);
        }
    }

    /// A routine that may take locks, and a call that makes it run.
    fn routine(&mut self) -> Routine {
        let routine = match self.random.one_in(8) {
            true => self.random.of(&Routine::ALL),
            false => self.random.of(&[
                Routine::BuildIo,
                Routine::StartIo,
                Routine::Dpc,
                Routine::Dpc,
                Routine::Timer,
                Routine::TimerEx,
                Routine::WorkItem,
                Routine::ResetBus,
                Routine::StateChange,
                Routine::AdapterControl,
                Routine::UnitControl,
                Routine::TracingEnabled,
                Routine::MessageInterrupt,
                Routine::Synchronized,
            ]),
        };
        if let Some(trigger) = self.trigger(routine) {
            let begin = self.calls.len();
            self.calls.push(trigger);
            let from = self.random.of(&[Routine::BuildIo, Routine::StartIo, Routine::UnitControl]);
            self.address(begin, from);
        }
        routine
    }

    /// A call that makes a routine run.
    fn trigger(&mut self, routine: Routine) -> Option<Call> {
        let slot = self.random.byte(2);
        Some(match routine {
            Routine::Dpc => call(Op::IssueDpc).argument(self.random.byte(DPCS)),
            Routine::Timer => call(Op::RequestTimerCall).argument(1),
            Routine::TimerEx => call(Op::RequestTimer).slot(slot).argument(1),
            Routine::WorkItem => call(Op::QueueWorkItem).slot(slot),
            Routine::StateChange => call(Op::StateChange),
            Routine::Synchronized => call(Op::Synchronize),
            Routine::Interrupt | Routine::MessageInterrupt => {
                call(Op::SendMessage).argument(self.random.byte(self.setup.messages))
            }
            _ => return None,
        })
    }

    fn room(&self, routine: Routine) -> Room {
        let at_device = matches!(
            routine,
            Routine::Initialize
                | Routine::Interrupt
                | Routine::MessageInterrupt
                | Routine::Synchronized
        );
        let under_start_io = matches!(
            routine,
            Routine::StartIo | Routine::Timer | Routine::ResetBus | Routine::StateChange
        );
        Room {
            at_dispatch: under_start_io
                || matches!(routine, Routine::BuildIo | Routine::Dpc | Routine::TimerEx),
            from_message: at_device.then_some(1),
            start_io_taken: under_start_io,
            dpc: 0,
            executive: 0,
        }
    }

    fn has_messages(&self) -> bool {
        let setup = self.setup;
        setup.per_message && setup.interrupts == InterruptKind::Messages && !setup.virtual_miniport
    }

    /// A pair that the documents allow where there is such room.
    fn legal_pair(&mut self, room: &mut Room) -> Option<Pair> {
        let messages = self.setup.messages;
        let first = room.from_message.unwrap_or_else(|| self.random.byte(messages));
        if first < messages
            && self.has_messages()
            && (room.from_message.is_some() || self.random.one_in(6))
        {
            room.from_message = Some(first + 1);
            return Some((
                call(Op::AcquireMsi).argument(first),
                call(Op::ReleaseMsi).argument(first),
            ));
        }
        if room.from_message.is_some() {
            return None;
        }
        let ex = if self.random.one_in(3) { Op::AcquireEx } else { Op::Acquire };
        let context = if self.random.one_in(50) { Context::Dpc } else { Context::Proper };
        let pair = match self.random.below(8) {
            0 | 1 if !room.start_io_taken => {
                room.start_io_taken = true;
                (call(ex).lock(LockName::StartIo).context(context), call(Op::Release))
            }
            2 if !self.setup.virtual_miniport => {
                room.from_message = Some(u8::MAX);
                let acquire = call(ex).lock(LockName::Interrupt).context(context);
                return Some((acquire, call(Op::Release)));
            }
            3 | 4 if room.executive < EXECUTIVE_LOCKS => {
                let number = room.executive + self.random.byte(EXECUTIVE_LOCKS - room.executive);
                room.executive = number + 1;
                executive_pair(number, room.at_dispatch && self.random.one_in(2))
            }
            _ if room.dpc < DPCS => {
                let number = room.dpc + self.random.byte(DPCS - room.dpc);
                room.dpc = number + 1;
                let acquire = match self.random.below(6) {
                    0 => call(Op::AcquireEx).lock(LockName::ThreadedDpc),
                    1 if room.at_dispatch => call(Op::AcquireEx).lock(LockName::DpcLevel),
                    _ => call(ex).lock(LockName::Dpc),
                };
                (acquire.argument(number), call(Op::Release))
            }
            _ => return None,
        };
        room.at_dispatch = true;
        Some(pair)
    }

    /// Any acquire and its release.
    fn any_pair(&mut self) -> Pair {
        let number = self.random.byte(4);
        match self.random.below(8) {
            0..3 => {
                let lock = self.random.of(&LockName::ALL);
                let op = self.random.of(&[Op::Acquire, Op::AcquireEx]);
                (call(op).lock(lock).argument(number), call(Op::Release))
            }
            3 => {
                let context = self.random.of(&[Context::Proper, Context::Own]);
                (
                    call(Op::AcquireMsi).context(context).argument(number),
                    call(Op::ReleaseMsi).context(context).argument(number),
                )
            }
            4 => executive_pair(number, false),
            5 => executive_pair(number, true),
            6 => (call(Op::KeAcquireQueued).argument(number), call(Op::KeReleaseQueued)),
            _ => {
                let level = self.random.of(&[2, 5, 6, 7, 15]);
                (call(Op::RaiseIrql).argument(level), call(Op::RestoreIrql))
            }
        }
    }

    /// Acquires, one inside the other, and the releases in reverse; sometimes with one mistake.
    fn nest(&mut self, routine: Routine) {
        let begin = self.calls.len();
        let mut room = self.room(routine);
        let mut releases = Vec::new();
        for slot in 0..1 + self.random.byte(3) {
            let pair = if self.random.one_in(12) { None } else { self.legal_pair(&mut room) };
            let (acquire, release) = pair.unwrap_or_else(|| self.any_pair());
            self.calls.push(acquire.slot(slot));
            releases.push(release.slot(slot));
            if self.random.one_in(5) {
                let other = self.any();
                self.calls.push(other);
            }
        }
        releases.reverse();
        self.calls.extend(releases);
        self.address(begin, routine);
        if self.random.one_in(4) {
            let place = begin + self.random.below(self.calls.len() - begin);
            self.change(place);
        }
    }

    fn nest_in_a_routine(&mut self) {
        let routine = self.routine();
        self.nest(routine);
    }

    /// The same two locks in one order here and in the other there.
    fn invert(&mut self) {
        let (one, other) = (self.routine(), self.routine());
        let mut room = self.room(Routine::BuildIo);
        let Some(a) = self.legal_pair(&mut room) else { return };
        let Some(b) = self.legal_pair(&mut room) else { return };
        for (routine, [outer, inner]) in [(one, [a, b]), (other, [b, a])] {
            let begin = self.calls.len();
            self.calls.extend([outer.0.slot(0), inner.0.slot(1), inner.1.slot(1), outer.1.slot(0)]);
            let between = match self.random.below(4) {
                0 => vec![self.any()],
                // Time for the other one to take its first lock.
                1 | 2 => vec![call(Op::QuerySystemTime); 3],
                _ => Vec::new(),
            };
            self.calls.splice(begin + 1..begin + 1, between);
            self.address(begin, routine);
        }
    }

    /// A lock that a callback holds while it makes another one come in between.
    fn share_with_an_interruption(&mut self) {
        let inner = self.random.of(&[
            Routine::MessageInterrupt,
            Routine::Interrupt,
            Routine::Dpc,
            Routine::Timer,
            Routine::StateChange,
        ]);
        let outer = self.random.of(&[Routine::BuildIo, Routine::WorkItem, Routine::UnitControl]);
        let number = self.random.byte(2);
        let at_dpc_level = matches!(inner, Routine::MessageInterrupt | Routine::Interrupt);
        let (held, asked) = match self.random.below(3) {
            0 => (
                executive_pair(number, outer == Routine::BuildIo),
                executive_pair(number, at_dpc_level || self.random.one_in(2)),
            ),
            1 => {
                let lock = call(Op::AcquireEx).lock(LockName::DpcLevel).argument(number);
                let same = call(Op::Acquire).lock(LockName::Dpc).argument(number);
                ((lock, call(Op::Release)), (same, call(Op::Release)))
            }
            _ => (self.any_pair(), self.any_pair()),
        };
        let Some(trigger) = self.trigger(inner) else { return };
        let begin = self.calls.len();
        self.calls.extend([held.0.slot(0), trigger, call(Op::QuerySystemTime), held.1.slot(0)]);
        self.address(begin, outer);
        let begin = self.calls.len();
        self.calls.extend([asked.0.slot(1), asked.1.slot(1)]);
        self.address(begin, inner);
        if outer == Routine::WorkItem {
            let begin = self.calls.len();
            self.calls.push(call(Op::QueueWorkItem));
            self.address(begin, Routine::UnitControl);
        }
    }

    /// A handle in the device extension: acquired here, released there.
    fn pass_a_handle(&mut self) {
        let (one, other) = (self.routine(), self.routine());
        let mut room = self.room(one);
        let (acquire, release) = self.legal_pair(&mut room).unwrap_or_else(|| self.any_pair());
        let slot = 4 + self.random.byte(2);
        let begin = self.calls.len();
        self.calls.push(acquire.slot(slot));
        self.calls.extend([call(Op::QuerySystemTime)].repeat(4));
        if !self.random.one_in(3) {
            self.calls.push(release.slot(slot));
        }
        self.address(begin, one);
        let begin = self.calls.len();
        self.calls.push(release.slot(slot));
        self.address(begin, other);
    }

    /// A lock released with a copy of its handle, or with one of another lock.
    fn copy_a_handle(&mut self) {
        let routine = self.routine();
        let mut room = self.room(routine);
        let Some((acquire, release)) = self.legal_pair(&mut room) else { return };
        let begin = self.calls.len();
        self.calls.extend([
            acquire.slot(0),
            call(Op::CopyHandle).slot(0).argument(1),
            release.slot(self.random.byte(2)),
        ]);
        if self.random.one_in(2) {
            self.calls.extend([acquire.slot(2), release.slot(self.random.byte(3))]);
        }
        self.address(begin, routine);
    }

    /// Long waits, under a lock or not.
    fn stall(&mut self) {
        let routine = self.routine();
        let mut room = self.room(routine);
        let (op, argument) = self.random.of(&[
            (Op::StallMicroseconds, 0),
            (Op::StallMicroseconds, 30),
            (Op::StallMicroseconds, 60),
            (Op::StallMicroseconds, 120),
            (Op::StallMilliseconds, 2),
            (Op::StallMilliseconds, 100),
            (Op::StallMilliseconds, 101),
        ]);
        let begin = self.calls.len();
        let pair = if self.random.one_in(2) { self.legal_pair(&mut room) } else { None };
        self.calls.extend(pair.map(|(acquire, _)| acquire));
        let times = if self.random.one_in(3) { 6 } else { 1 };
        self.calls.extend([call(op).argument(argument)].repeat(times));
        self.calls.extend(pair.map(|(_, release)| release));
        self.address(begin, routine);
    }

    /// STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO, and then that.
    fn complete_under_a_lock(&mut self) {
        let begin = self.calls.len();
        self.calls.push(call(Op::InitializePerfOpts).argument(0x7F));
        let place = self.random.of(&[Routine::Initialize, Routine::PassiveInitialize]);
        self.address(begin, place);
        let begin = self.calls.len();
        let mut room = Room { start_io_taken: false, ..self.room(Routine::StartIo) };
        let (acquire, release) = self.legal_pair(&mut room).unwrap_or_else(|| self.any_pair());
        let complete = self.random.of(&[Op::Complete, Op::CompleteOldest, Op::CompleteAgain]);
        self.calls.extend([acquire, call(complete), release]);
        if self.random.one_in(4) {
            self.calls.insert(begin, call(Op::TouchRequest));
        }
        self.address(begin, Routine::StartIo);
    }

    /// The life of a STOR_DPC, not always in order.
    fn use_a_dpc(&mut self) {
        for _ in 0..1 + self.random.below(2) {
            let routine = self.routine();
            let begin = self.calls.len();
            for _ in 0..1 + self.random.below(4) {
                let op = self.random.of(&[
                    Op::InitializeDpc,
                    Op::IssueDpc,
                    Op::IssueDpc,
                    Op::CancelDpc,
                    Op::SetTargetDpc,
                    Op::CopyDpc,
                    Op::ZeroDpc,
                ]);
                let number = self.random.byte(6);
                self.calls.push(call(op).argument(number).slot(self.random.byte(4)));
            }
            self.address(begin, routine);
        }
    }

    /// Calls that belong elsewhere, or nowhere, and configurations that are wrong.
    fn misplace(&mut self) {
        const OPS: [Op; 24] = [
            Op::SkipDefault,
            Op::LeaveTransferLimits,
            Op::FlipVirtualDevice,
            Op::ReturnUnknown,
            Op::InitializePerfOpts,
            Op::EnablePassiveInitialization,
            Op::GetUncachedExtension,
            Op::FreeDeviceBase,
            Op::GetMsiInfo,
            Op::RegistryRead,
            Op::AllocatePool,
            Op::FreePool,
            Op::RequestTimerCall,
            Op::InitializeTimer,
            Op::LogError,
            Op::ValidateRange,
            Op::NotifyUndocumented,
            Op::CompleteByPort,
            Op::CompleteUnknown,
            Op::Keep,
            Op::Forget,
            Op::TouchSrbExtension,
            Op::KeInitialize,
            Op::Panic,
        ];
        let routine = match self.random.below(4) {
            0 => Routine::FindAdapter,
            1 => self.random.of(&[Routine::Initialize, Routine::PassiveInitialize]),
            2 => self.random.of(&[
                Routine::StartIo,
                Routine::AdapterControl,
                Routine::MessageInterrupt,
            ]),
            _ => self.routine(),
        };
        let begin = self.calls.len();
        if routine == Routine::StartIo && self.setup.half_duplex {
            self.calls.push(call(Op::AllocatePool));
        }
        for _ in 0..1 + self.random.below(3) {
            let op = self.random.of(&OPS);
            let context = self.random.of(&[Context::Proper, Context::Null, Context::Foreign]);
            let argument = self.random.byte(6);
            self.calls.push(call(op).context(context).argument(argument));
        }
        self.address(begin, routine);
    }

    fn make_noise(&mut self) {
        let routine = self.routine();
        let begin = self.calls.len();
        for _ in 0..1 + self.random.below(3) {
            let any = self.any();
            self.calls.push(any);
        }
        self.address(begin, routine);
    }

    /// Any call.
    fn any(&mut self) -> Call {
        let op = match self.random.below(4) {
            0 => return self.any_pair().0,
            1 => return self.any_pair().1,
            2 => self.random.of(&[
                Op::Synchronize,
                Op::IssueDpc,
                Op::Complete,
                Op::Keep,
                Op::SendMessage,
            ]),
            _ => Op::ALL[self.random.below(Op::ALL.len())],
        };
        let context = match self.random.one_in(2) {
            true => Context::Proper,
            false => self.random.of(&Context::ALL),
        };
        let argument =
            if self.random.one_in(2) { self.random.byte(4) } else { self.random.byte(128) };
        Call {
            lock: self.random.of(&LockName::ALL),
            context,
            slot: self.random.byte(8),
            argument,
            ..call(op)
        }
    }

    /// Makes one mistake in an idiom.
    fn change(&mut self, place: usize) {
        let Call { routine, when, .. } = self.calls[place];
        let there = |changed: Call| Call { routine, when, ..changed };
        let slot = self.random.byte(3);
        match self.random.below(8) {
            0 => _ = self.calls.remove(place),
            1 => self.calls[place].slot = self.random.byte(8),
            2 => self.calls[place].argument = self.random.byte(4),
            3 if place + 1 < self.calls.len() => self.calls.swap(place, place + 1),
            4 => self.calls.insert(place, self.calls[place]),
            5 => {
                let level = self.random.of(&[0, 2, 6]);
                self.calls.insert(place, there(call(Op::SetOldIrql).slot(slot).argument(level)));
            }
            6 => {
                let lock = self.random.of(&LockName::ALL);
                self.calls.insert(place, there(call(Op::RelabelHandle).slot(slot).lock(lock)));
            }
            _ => {
                let any = self.any();
                self.calls[place] = there(any);
            }
        }
    }
}

fn executive_pair(number: u8, at_dpc_level: bool) -> Pair {
    let (acquire, release) = match (number < EXECUTIVE_LOCKS / 2, at_dpc_level) {
        (true, true) => (Op::KeAcquireAtDpcLevel, Op::KeReleaseFromDpcLevel),
        (true, false) => (Op::KeAcquire, Op::KeRelease),
        (false, _) => (Op::KeAcquireQueued, Op::KeReleaseQueued),
    };
    (call(acquire).argument(number), call(release).argument(number))
}
