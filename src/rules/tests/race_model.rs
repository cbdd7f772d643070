//! The detector against the long way of `reference::race`, on random traces: no race that the model does not see, and
//! none missed where no piece of memory had more accesses at once than are remembered.

use crate::event::{Area, Kind, Lock, Routine, Touch};
use crate::reference;
use crate::rules::RuleId;
use crate::rules::trace::Trace;
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::{Ddi, Irql};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % limit
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Where two callbacks can meet, and through which a trace can go wrong.
const LOCKS: [Lock; 6] = [
    Lock::Dpc(0),
    Lock::Dpc(1),
    Lock::Interrupt,
    Lock::Message(0),
    Lock::Message(1),
    Lock::Executive(0),
];

const ROUTINES: [Routine; 10] = [
    Routine::BuildIo,
    Routine::StartIo,
    Routine::Dpc,
    Routine::Dpc,
    Routine::MessageInterrupt,
    Routine::MessageInterrupt,
    Routine::Timer,
    Routine::TimerEx,
    Routine::WorkItem,
    Routine::AdapterControl,
];

const DDIS: [Ddi; 7] = [
    Ddi::WriteRegister,
    Ddi::ReadRegister,
    Ddi::Ready,
    Ddi::RequestTimerCall,
    Ddi::RequestTimer,
    Ddi::QueueWorkItem,
    Ddi::SetEvent,
];

/// The lock is free, and so is what it stands for.
fn is_free(t: &Trace, lock: Lock) -> bool {
    t.held().iter().all(|&(held, ..)| {
        held != lock
            && !matches!(
                (held, lock),
                (Lock::Interrupt, Lock::Message(_)) | (Lock::Message(_), Lock::Interrupt)
            )
    })
}

/// One thing that a processor can do now, or nothing.
fn step(t: &mut Trace, random: &mut Random, processors: usize) {
    let processor = random.below(processors) as u8;
    t.on(processor);
    let (irql, routines) = (t.irql_now(), t.routines());
    match random.below(12) {
        0 | 1 => enter(t, random),
        2 if !routines.is_empty()
            && t.held().iter().all(|&(_, p, port)| p != processor || port) =>
        {
            t.leave();
        }
        3 => {
            let lock = random.of(&LOCKS);
            let fits = match lock {
                Lock::Interrupt | Lock::Message(_) => true,
                _ => irql <= Irql::DISPATCH,
            };
            if !routines.is_empty() && fits && is_free(t, lock) {
                t.acquire(lock);
            }
        }
        4 => {
            let own = t.held().into_iter().find(|&(_, p, port)| p == processor && !port);
            if let Some((lock, ..)) = own {
                t.release(lock);
            }
        }
        5 if !routines.is_empty() => {
            t.call(random.of(&DDIS));
        }
        6 if !routines.is_empty() => {
            t.issue(random.below(2) as u8);
        }
        7 if !routines.is_empty() => {
            let touch =
                random.of(&[Touch::Store, Touch::Load, Touch::Interlocked, Touch::LoadRelaxed]);
            t.touch(Area::Extension, 0x100 + 8 * random.below(2) as u32, touch);
        }
        8 if !routines.is_empty() => {
            t.port(Kind::Channel { channel: random.below(2) as u8, begins: random.below(2) == 0 });
        }
        _ if !routines.is_empty() => {
            let area = random.of(&[
                Area::Extension,
                Area::Extension,
                Area::SrbExtension(3),
                Area::Uncached,
            ]);
            let touch = random.of(&[Touch::Read, Touch::Read, Touch::Write]);
            t.touch(area, 2 * random.below(5) as u32, touch);
        }
        _ => {}
    }
}

/// A callback that can begin here: an interrupt over what it interrupts, others at their level.
fn enter(t: &mut Trace, random: &mut Random) {
    let routine = random.of(&ROUTINES);
    let (irql, routines) = (t.irql_now(), t.routines());
    let subject = match (routine, random.below(2) as u16) {
        (Routine::AdapterControl, 1) => ScsiAdapterControlType::SURPRISE_REMOVAL.0 as u16,
        (_, subject) => subject,
    };
    let fits = match routine {
        Routine::MessageInterrupt => {
            irql <= Irql::DISPATCH && is_free(t, Lock::Message(subject as u8))
        }
        Routine::Dpc | Routine::TimerEx => irql < Irql::DISPATCH,
        Routine::Timer => irql < Irql::DISPATCH && is_free(t, Lock::StartIo),
        Routine::StartIo => routines.is_empty() && is_free(t, Lock::StartIo),
        _ => routines.is_empty(),
    };
    if fits && routines.len() < 4 {
        t.enter_about(routine, subject);
    }
}

#[test]
fn the_detector_agrees_with_the_model() {
    let (mut raced, mut quiet) = (0, 0);
    for seed in 1..=3_000_u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut t = Trace::new();
        let processors = 1 + random.below(3);
        for _ in 0..60 {
            if !t.is_stopped() {
                step(&mut t, &mut random, processors);
            }
        }
        let found = t.findings().iter().any(|found| found.rule == RuleId::RaceUnsynchronized);
        let other = t.is_stopped() && !found;
        let expected = reference::race::races(&t.events);
        let last = t.events.len() - 1;
        if found {
            assert_eq!(expected, [last], "seed {seed}");
            raced += 1;
        } else if !other {
            assert!(expected.is_empty(), "seed {seed}: {expected:?} of {last}");
            quiet += 1;
        }
    }
    assert!(raced > 500 && quiet > 500, "{raced} with a race, {quiet} without");
}
