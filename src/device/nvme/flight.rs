//! Commands in flight: fetched, and not yet answered.
//!
//! When they are due and in which order they are served is a short dense list in the order of fetching;
//! what they ask for lies beside it in slots that are used again.

use super::command::Work;
use super::prp::Pages;
pub(super) use crate::device::service::NEVER;
use crate::device::service::next_served;
use crate::scenario::{DeviceOrder, Outcome};

/// Commands in flight at once. Beyond that, entries stay in their queues until a slot is free.
pub(super) const COMMANDS: usize = 256;

/// A command's place in the order of service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Virtual time in nanoseconds, or [`NEVER`].
    pub(super) due: u64,
    pub(super) cid: u16,
    pub(super) submission: u8,
    pub(super) completion: u8,
    pub(super) slot: u8,
    /// It takes part in the device's order; otherwise it is served at its own time.
    pub(super) ordered: bool,
    /// It was aborted and is answered a second time all the same.
    pub(super) ghost: bool,
}

/// What a command asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) work: Work,
    pub(super) outcome: Outcome,
    /// Memory that the device has a claim on.
    pub(super) pages: Pages,
}

/// The commands in flight.
#[derive(Debug)]
pub(super) struct Flight {
    waiting: [Waiting; COMMANDS],
    count: usize,
    /// Slots that are free: the first `COMMANDS - count`.
    free: [u8; COMMANDS],
    commands: Box<[Command]>,
}

impl Flight {
    pub(super) fn new() -> Self {
        let nothing = Waiting {
            due: NEVER,
            cid: 0,
            submission: 0,
            completion: 0,
            slot: 0,
            ordered: false,
            ghost: false,
        };
        let empty = Command {
            work: Work::Refused(super::status::Status::SUCCESS),
            outcome: Outcome::Success,
            pages: Pages::NONE,
        };
        Flight {
            waiting: [nothing; COMMANDS],
            count: 0,
            free: std::array::from_fn(|slot| slot as u8),
            commands: vec![empty; COMMANDS].into_boxed_slice(),
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        while self.count > 0 {
            self.remove(self.count - 1);
        }
    }

    pub(super) const fn has_room(&self) -> bool {
        self.count < COMMANDS
    }

    /// A slot for the next command, which [`insert`](Self::insert) takes. Only with room.
    pub(super) fn vacant(&mut self) -> (u8, &mut Command) {
        let slot = self.free[COMMANDS - 1 - self.count];
        (slot, &mut self.commands[usize::from(slot)])
    }

    /// Adds the command whose slot [`vacant`](Self::vacant) gave.
    pub(super) fn insert(&mut self, waiting: Waiting) {
        self.waiting[self.count] = waiting;
        self.count += 1;
    }

    pub(super) fn remove(&mut self, index: usize) {
        let slot = self.waiting[index].slot;
        self.commands[usize::from(slot)].pages.clear();
        self.waiting.copy_within(index + 1..self.count, index);
        self.count -= 1;
        self.free[COMMANDS - 1 - self.count] = slot;
    }

    pub(super) fn list(&self) -> &[Waiting] {
        &self.waiting[..self.count]
    }

    pub(super) fn list_mut(&mut self) -> &mut [Waiting] {
        &mut self.waiting[..self.count]
    }

    pub(super) fn command(&self, waiting: &Waiting) -> &Command {
        &self.commands[usize::from(waiting.slot)]
    }

    pub(super) fn command_mut(&mut self, index: usize) -> &mut Command {
        &mut self.commands[usize::from(self.waiting[index].slot)]
    }

    /// Finds a command that has not been answered.
    pub(super) fn find(&self, submission: u8, cid: u16) -> Option<usize> {
        self.list().iter().position(|w| w.cid == cid && w.submission == submission && !w.ghost)
    }

    /// What is served next, and when. `room` says whether a completion queue can take an answer; commands
    /// of one that cannot are passed over.
    pub(super) fn next(
        &self,
        order: DeviceOrder,
        room: impl Fn(u8) -> bool,
    ) -> Option<(u64, usize)> {
        let waiting = self.list().iter().enumerate();
        let served = waiting.filter(|(_, waiting)| room(waiting.completion));
        next_served(order, served.map(|(index, waiting)| (index, waiting.due, waiting.ordered)))
    }

    /// A command of this completion queue is due by then.
    pub(super) fn any_due(&self, completion: u8, by: u64) -> bool {
        self.list().iter().any(|waiting| waiting.completion == completion && waiting.due <= by)
    }

    /// A command has a claim on some byte in `[address, address + bytes)`.
    pub(super) fn owns(&self, address: u64, bytes: u64) -> bool {
        self.list().iter().any(|waiting| self.command(waiting).pages.overlaps(address, bytes))
    }
}
