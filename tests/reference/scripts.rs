//! Random scripts for the puppet: mostly lock calls, some of which follow a plan, on a random machine.
//!
//! Calls drawn one by one seldom get far: the first is usually a mistake already. So most of a script is made of
//! idioms (an acquire and its release, nested pairs, a handle passed on) with single changes in between.

use lockstorm::event::Routine;
use lockstorm::miniport::puppet::{Call, Context, LockName, Op, When};
use lockstorm::scenario::{
    AdapterAction, Affinity, At, Decision, Failures, InterruptKind, Io, IoKind, Perf, ResetTier,
    Scenario, Setup, StartIoMessage, Step, UnitAction,
};

/// A deterministic source of numbers.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        for _ in 0..8 {
            random.word();
        }
        random
    }

    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        ((self.word() >> 33) as usize) % limit
    }

    /// True once in `n`.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn byte(&mut self, limit: u8) -> u8 {
        self.below(usize::from(limit)) as u8
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// The next scenario.
pub(crate) fn scenario(random: &mut Random) -> Scenario {
    let mut steps = Vec::new();
    script(random, &mut steps);
    happenings(random, &mut steps);
    let decisions = random.below(12);
    let schedule = (0..decisions).map(|_| decision(random)).collect();
    Scenario { setup: setup(random), steps, schedule }
}

fn decision(random: &mut Random) -> Decision {
    Decision { after: random.byte(12), choice: random.byte(8) }
}

fn setup(random: &mut Random) -> Setup {
    Setup {
        processors: 1 + random.byte(4),
        interrupts: if random.one_in(4) { InterruptKind::Line } else { InterruptKind::Messages },
        messages: 1 + random.byte(4),
        affinity: random.of(&Affinity::ALL),
        per_message: !random.one_in(3),
        half_duplex: random.one_in(5),
        virtual_miniport: random.one_in(8),
        legacy_srb: random.one_in(2),
        perf: if random.one_in(3) { Perf(random.byte(128)) } else { Perf::ALL },
        channels: 1 + random.byte(4),
        start_io_message: random.of(&StartIoMessage::ALL),
        early_interrupts: random.one_in(3),
        dump: random.one_in(16),
        control_under_interrupt_lock: random.one_in(3),
        restart_supported: !random.one_in(3),
        request_slots: 1 + random.byte(8),
        failures: Failures {
            allocation: if random.one_in(8) { 255 } else { 0 },
            passive_initialization: random.one_in(32),
            perf_opts: random.one_in(16),
            timer_and_worker: random.one_in(16),
            ..Failures::default()
        },
        ..Setup::default()
    }
}

/// What happens to the adapter.
fn happenings(random: &mut Random, steps: &mut Vec<Step>) {
    for _ in 0..1 + random.below(8) {
        let gap = if random.one_in(2) { 0 } else { random.byte(14) };
        let at = At { processor: random.byte(4), gap };
        let kind = random.of(&IoKind::ALL);
        steps.push(match random.below(16) {
            0..6 => Step::Io(at, Io { kind, ..Io::default() }),
            6..9 => Step::Interrupt(at, random.byte(4)),
            9 => Step::Reset(at, random.of(&ResetTier::ALL)),
            10 => Step::Adapter(at, random.of(&AdapterAction::ALL)),
            11 => Step::Unit(at, random.of(&UnitAction::ALL)),
            _ => Step::Wait(at),
        });
    }
}

fn script(random: &mut Random, steps: &mut Vec<Step>) {
    let mut calls = Vec::new();
    for _ in 0..1 + random.below(4) {
        let routine = routine(random);
        let when = if random.one_in(3) { random.of(&When::ALL) } else { When::Always };
        let begin = calls.len();
        match random.below(10) {
            0..5 => nest(random, &mut calls),
            5 => queue(random, &mut calls),
            _ => {
                for _ in 0..1 + random.below(4) {
                    calls.push(any(random));
                }
            }
        }
        for call in &mut calls[begin..] {
            call.routine = routine;
            call.when = when;
        }
        if random.one_in(4) {
            let place = begin + random.below(calls.len() - begin);
            change(random, &mut calls, place);
        }
    }
    calls.truncate(40);
    steps.extend(calls.into_iter().map(|call| Step::Script(call.canonical())));
}

/// A callback, those that every run calls more often.
fn routine(random: &mut Random) -> Routine {
    if random.one_in(2) {
        return random.of(&[
            Routine::BuildIo,
            Routine::StartIo,
            Routine::StartIo,
            Routine::MessageInterrupt,
            Routine::Interrupt,
            Routine::Dpc,
            Routine::UnitControl,
            Routine::AdapterControl,
            Routine::Synchronized,
        ]);
    }
    random.of(&Routine::ALL)
}

fn call(op: Op) -> Call {
    Call::new(Routine::StartIo, op)
}

/// Acquires, one inside the other, something, and the releases in reverse.
fn nest(random: &mut Random, calls: &mut Vec<Call>) {
    let mut releases = Vec::new();
    for slot in 0..1 + random.byte(3) {
        let (acquire, release) = pair(random);
        calls.push(acquire.slot(slot));
        releases.push(release.slot(slot));
        if random.one_in(3) {
            calls.push(any(random));
        }
    }
    releases.reverse();
    calls.extend(releases);
}

/// An acquire and its release.
fn pair(random: &mut Random) -> (Call, Call) {
    let number = random.byte(3);
    match random.below(12) {
        0..5 => {
            let lock = random.of(&[LockName::StartIo, LockName::Interrupt, LockName::Dpc]);
            let op = if random.one_in(3) { Op::AcquireEx } else { Op::Acquire };
            (call(op).lock(lock).argument(number), call(Op::Release))
        }
        5 => {
            let lock = random.of(&[LockName::ThreadedDpc, LockName::DpcLevel]);
            (call(Op::AcquireEx).lock(lock).argument(number), call(Op::Release))
        }
        6..8 => {
            let context = random.of(&[Context::Proper, Context::Own]);
            (
                call(Op::AcquireMsi).context(context).argument(number),
                call(Op::ReleaseMsi).context(context).argument(number),
            )
        }
        8 => (call(Op::KeAcquire).argument(number), call(Op::KeRelease).argument(number)),
        9 => (
            call(Op::KeAcquireAtDpcLevel).argument(number),
            call(Op::KeReleaseFromDpcLevel).argument(number),
        ),
        10 => (call(Op::KeAcquireQueued).argument(number), call(Op::KeReleaseQueued)),
        _ => (call(Op::RaiseIrql).argument(random.of(&[2, 5, 6, 15])), call(Op::RestoreIrql)),
    }
}

/// Makes some other callback run.
fn queue(random: &mut Random, calls: &mut Vec<Call>) {
    let slot = random.byte(2);
    calls.push(match random.below(8) {
        0..3 => call(Op::IssueDpc).argument(random.byte(4)),
        3 => call(Op::RequestTimerCall).argument(random.byte(3)),
        4 => call(Op::RequestTimer).slot(slot).argument(1),
        5 => call(Op::QueueWorkItem).slot(slot),
        6 => call(Op::StateChange),
        _ => call(Op::SendMessage).argument(random.byte(4)),
    });
    if random.one_in(2) {
        calls.push(call(Op::Synchronize));
    }
}

/// Any call, locks more often.
fn any(random: &mut Random) -> Call {
    let op = match random.below(4) {
        0 => Op::ALL[random.below(Op::ALL.len())],
        1 => return pair(random).0,
        2 => return pair(random).1,
        _ => random.of(&[Op::Synchronize, Op::IssueDpc, Op::Complete, Op::Keep, Op::SendMessage]),
    };
    Call {
        lock: random.of(&LockName::ALL),
        context: if random.one_in(2) { Context::Proper } else { random.of(&Context::ALL) },
        slot: random.byte(8),
        argument: if random.one_in(2) { random.byte(4) } else { random.byte(128) },
        ..call(op)
    }
}

/// Makes one mistake in an idiom.
fn change(random: &mut Random, calls: &mut Vec<Call>, place: usize) {
    let (routine, when) = (calls[place].routine, calls[place].when);
    let other = |changed: Call| Call { routine, when, ..changed };
    match random.below(8) {
        0 if calls.len() > 1 => _ = calls.remove(place),
        1 => calls[place].slot = random.byte(8),
        2 => calls[place].argument = random.byte(4),
        3 if place + 1 < calls.len() => calls.swap(place, place + 1),
        4 => calls.insert(place, calls[place]),
        5 => calls.insert(place, other(call(Op::CopyHandle).slot(random.byte(3)).argument(3))),
        6 => calls.insert(place, other(call(Op::SetOldIrql).slot(random.byte(3)).argument(2))),
        7 => {
            let lock = random.of(&LockName::ALL);
            calls.insert(place, other(call(Op::RelabelHandle).slot(random.byte(3)).lock(lock)));
        }
        _ => calls[place] = other(any(random)),
    }
}
