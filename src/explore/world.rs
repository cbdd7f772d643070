//! Where a run has come to, as far as the explorer knows it: the machine's state as a history, who waits, and who goes
//! on next. It follows the machine's own rules of choice (`machine::drive`, `machine::schedule`).

use super::context::Context;
use super::footprint::Objects;
use super::history::{History, hash_of};
use crate::event::{Event, Kind, PROCESSORS_MAX};

/// Points after which a processor yields; as the machine has it.
pub(super) const QUANTUM: u64 = 512;

/// What a processor does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing is under way.
    #[default]
    Idle,
    /// It is at a decision point.
    Ready,
    /// It waits for this object, a lock.
    Waiting(u8),
}

/// Where a step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At a decision point.
    Point,
    /// Where it waits for this object.
    Waiting(u8),
    /// With nothing left to do.
    Idle,
    /// With the run.
    End,
}

/// How a processor goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// With what it was doing, or with what waits for it.
    Calmly,
    /// With this interrupt of those that it can take.
    Interrupted(u8),
    /// After the device or a timer has done early what it would do next.
    Hastened,
    /// Not a processor: StorPort or the device makes something happen, because no processor can go on.
    Nobody,
}

impl How {
    pub(super) const fn number(self) -> u64 {
        match self {
            How::Calmly => 1,
            How::Hastened => 2,
            How::Nobody => 3,
            How::Interrupted(nth) => 4 + nth as u64,
        }
    }
}

/// A choice at a decision point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This processor goes on so.
    Here(How),
    /// That processor goes on.
    Switch(u8),
}

/// What can be chosen at a decision point, as [`crate::event::Point`] says it of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) interrupts: u8,
    pub(super) processors: u8,
    pub(super) hasten: bool,
}

impl Options {
    pub(super) const fn count(self) -> u8 {
        self.interrupts + self.processors.count_ones() as u8 + self.hasten as u8
    }

    /// What a scenario's choice of this number, modulo their count, stands for.
    pub(super) fn choice(self, number: u8) -> Option<Choice> {
        let number = number.checked_rem(self.count())?;
        let Some(nth) = number.checked_sub(self.interrupts) else {
            return Some(Choice::Here(How::Interrupted(number)));
        };
        let target = (0..8).filter(|p| self.processors & 1 << p != 0).nth(usize::from(nth));
        Some(target.map_or(Choice::Here(How::Hastened), Choice::Switch))
    }
}

/// Where a run has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) history: History,
    pub(super) context: Context,
    pub(super) status: [Status; PROCESSORS_MAX],
    /// The processor that runs; `None` where one is to be picked.
    pub(super) running: Option<u8>,
    pub(super) time: u64,
    pub(super) due: u64,
    /// Decision points passed.
    pub(super) passed: u64,
    pub(super) yield_at: u64,
    /// When each processor was last switched away from, in order.
    preempted: [u64; PROCESSORS_MAX],
    order: u64,
    /// The driver has asked StorPort for something that ends at a time.
    pub(super) is_timed: bool,
}

impl World {
    pub(super) fn new() -> World {
        World { due: u64::MAX, yield_at: QUANTUM, ..World::default() }
    }

    /// What tells this state of the machine from every other that a scenario reaches.
    pub(super) fn machine_state(&self) -> u64 {
        let waiting = self.status.iter().map(|status| match status {
            Status::Idle => 0,
            Status::Ready => 1,
            Status::Waiting(object) => 2 + u64::from(*object),
        });
        let running = self.running.map_or(0, |processor| u64::from(processor) + 1);
        let rest = [self.history.sum(), self.time, self.due, self.passed, running];
        hash_of(rest.into_iter().chain(waiting), &[])
    }

    /// The same with what chooses who goes on.
    pub(super) fn state(&self) -> u64 {
        let mut ranks: [u8; PROCESSORS_MAX] = std::array::from_fn(|processor| processor as u8);
        ranks.sort_unstable_by_key(|&p| (self.preempted[usize::from(p)], p));
        let ranks = ranks.iter().fold(0, |all, &p| all << 4 | u64::from(p));
        hash_of([self.machine_state(), ranks, self.yield_at], &[])
    }

    /// The processor that runs gives way to another.
    pub(super) fn switch_to(&mut self, processor: u8) {
        if let Some(from) = self.running.replace(processor) {
            self.order += 1;
            self.preempted[usize::from(from)] = self.order;
        }
    }

    /// At the end of a quantum: the processor that yields the time to nobody keeps it.
    pub(super) fn quantum_is_over(&mut self) -> bool {
        let over = self.passed >= self.yield_at;
        if over {
            self.yield_at = self.passed + QUANTUM;
        }
        over
    }

    /// Of these processors, the one that was preempted first.
    pub(super) fn first_preempted(&self, processors: u8) -> Option<u8> {
        let among = (0..8).filter(|p| processors & 1 << p != 0);
        among.min_by_key(|&p| self.preempted[usize::from(p)])
    }

    /// Who goes on where nobody decides: of those that have something under way and can, the one preempted last;
    /// otherwise the first that is idle and has something to do.
    pub(super) fn next(&self, movable: u8, working: u8) -> Option<u8> {
        let among = (0..8).filter(|p| movable & 1 << p != 0);
        let last = among.max_by_key(|&p| self.preempted[usize::from(p)]);
        last.or_else(|| (0..8).find(|p| working & 1 << p != 0))
    }

    /// The lock for which a processor waits at the end of a step with these events. It can be the one that it waited for
    /// before, when only an interrupt came; if neither is told it is a token of StorPort's own.
    pub(super) fn lock_waited_for(&self, processor: u8, events: &[Event]) -> u8 {
        match (awaited(events), self.status[usize::from(processor)]) {
            (Some(lock), _) | (None, Status::Waiting(lock)) => lock,
            (None, _) => Objects::PORT.numbers().next().unwrap_or_default(),
        }
    }

    /// A step of the processor that runs has come to its end.
    pub(super) fn stop(&mut self, stop: Stop) {
        let Some(processor) = self.running else { return };
        let status = &mut self.status[usize::from(processor)];
        match stop {
            Stop::Point => {
                *status = Status::Ready;
                self.passed += 1;
                return;
            }
            Stop::Waiting(object) => *status = Status::Waiting(object),
            Stop::Idle | Stop::End => *status = Status::Idle,
        }
        self.running = None;
    }
}

/// The lock that a processor begins to wait for with the last of these events.
pub(super) fn awaited(events: &[Event]) -> Option<u8> {
    match events.last()?.kind {
        Kind::LockWaited { lock, .. } => Objects::lock(lock).numbers().next(),
        _ => None,
    }
}
