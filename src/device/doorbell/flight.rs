//! The commands that a doorbell has started and that have not ended.

use super::command::Command;
use super::{CHANNELS, SLOTS};
use crate::device::service::{NEVER, next_served};
use crate::scenario::{DeviceOrder, Outcome};

/// Every slot of every channel, and for each a second answer.
const ROOM: usize = 2 * CHANNELS * SLOTS;

/// A command in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flying {
    /// Virtual time in nanoseconds, or [`NEVER`].
    pub(super) due: u64,
    /// It takes part in the device's order; otherwise it is served at its own time.
    pub(super) ordered: bool,
    /// It has ended, by a reset or by itself, and is answered all the same.
    pub(super) ghost: bool,
    pub(super) channel: u8,
    pub(super) slot: u8,
    pub(super) outcome: Outcome,
    /// Where it lies in the driver's memory.
    pub(super) address: u64,
    pub(super) command: Command,
}

/// The commands in flight, in the order in which they were started.
#[derive(Debug)]
pub(super) struct Flight(Vec<Flying>);

impl Flight {
    pub(super) fn new() -> Self {
        Flight(Vec::with_capacity(ROOM))
    }

    /// Adds a command. There is room for every slot once; what is too much is the oldest ghost.
    pub(super) fn insert(&mut self, flying: Flying) {
        if self.0.len() == ROOM
            && let Some(ghost) = self.0.iter().position(|flying| flying.ghost)
        {
            self.0.remove(ghost);
        }
        self.0.push(flying);
    }

    pub(super) fn remove(&mut self, index: usize) -> Flying {
        self.0.remove(index)
    }

    /// This slot is started and has not ended.
    pub(super) fn is_started(&self, channel: usize, slot: u8) -> bool {
        self.0.iter().any(|flying| {
            !flying.ghost && usize::from(flying.channel) == channel && flying.slot == slot
        })
    }

    /// A reset: nothing is in flight any more; `haunted` if what was is answered later all the same.
    pub(super) fn drop_all(&mut self, haunted: bool) {
        if !haunted {
            return self.0.clear();
        }
        self.0.retain(|flying| flying.due != NEVER);
        for flying in &mut self.0 {
            (flying.ghost, flying.ordered) = (true, false);
        }
    }

    /// What is served next, and when.
    pub(super) fn next(&self, order: DeviceOrder) -> Option<(u64, usize)> {
        let waiting = self.0.iter().enumerate();
        next_served(order, waiting.map(|(index, flying)| (index, flying.due, flying.ordered)))
    }

    /// Faults end: what is to end at all ends well and by then.
    pub(super) fn behave(&mut self, by: u64) {
        self.0.retain(|flying| !flying.ghost);
        for flying in self.0.iter_mut().filter(|flying| flying.due != NEVER) {
            flying.due = flying.due.min(by);
            flying.outcome = Outcome::Success;
        }
    }

    /// A command has a claim on some byte in `[address, address + bytes)`.
    pub(super) fn owns(&self, address: u64, bytes: u64) -> bool {
        self.0.iter().any(|flying| !flying.ghost && flying.command.owns(address, bytes))
    }
}
