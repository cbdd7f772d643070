//! A queue pair: a submission ring, a completion ring, and who waits for which command.
//!
//! Every method but [`Queue::has_news`] is called under the queue's guard (see
//! [`guard`](super::guard)); nothing here takes a lock or completes a request. What is finished goes
//! into a [`Batch`], which the caller completes once the guard is given back.
//!
//! A command identifier is a slot and the slot's generation. A completion counts only if both agree
//! with a command that is outstanding, so a controller that answers twice, late, after a reset, or with
//! an invented identifier completes nothing.

use core::sync::atomic::{Ordering, fence};

use super::memory::Page;
use super::registers::Registers;
use super::spec::{Command, Completion, Status};
use crate::storport::{Dpc, Interlocked, Shared, Srb, StorPort};

/// Entries of a ring, if the controller allows as many.
pub const ENTRIES_MAX: u16 = 32;
/// Bits of a command identifier that name the slot. More than needed, so that no identifier is
/// 0xFFFF, which the specification reserves.
const SLOT_BITS: u32 = 6;
const SLOT_MASK: u16 = (1 << SLOT_BITS) - 1;
/// Bit of [`Queue::cursor`] above the index: the completion ring is in an even round, in which new
/// entries have phase 0.
const EVEN_ROUND: u32 = 1 << 16;

/// A queue pair.
#[derive(Debug)]
pub struct Queue {
    /// Drains the completion ring; its lock is the queue's guard where DPCs run.
    pub dpc: Dpc,
    /// Who waits for the command in a slot, valid where `used` has the slot's bit.
    slots: [Slot; ENTRIES_MAX as usize],
    submission: Shared<Page>,
    completion: Shared<Page>,
    /// Next completion entry to look at, and [`EVEN_ROUND`]. Atomic, because a line interrupt peeks at
    /// it without the guard.
    cursor: Interlocked<u32>,
    /// A bit for each outstanding command.
    used: Shared<u32>,
    /// Queue identifier.
    id: Shared<u16>,
    /// Entries of each ring; 0 before the first start.
    entries: Shared<u16>,
    /// Next submission entry to fill.
    tail: Shared<u16>,
    /// Commands may be submitted and completions believed. Atomic, for the same peek.
    open: Interlocked<bool>,
}

/// One outstanding command.
#[derive(Debug)]
struct Slot {
    /// The request to complete; `None` for a command of the driver's own.
    owner: Shared<Option<Srb>>,
    /// Counts the commands that the slot has had, across resets.
    generation: Shared<u16>,
}

/// Why a command was not submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Every entry is in use; completions will free some.
    Full,
    /// The controller is being reset, or gone.
    Closed,
}

/// A command that the controller has finished with.
#[derive(Clone, Copy, Debug)]
pub struct Finished {
    /// Whose it was.
    pub srb: Srb,
    /// How it ended.
    pub status: Status,
    /// Dword 0 of the completion.
    pub result: u32,
}

/// Requests taken out of a queue, to be completed without its guard.
#[derive(Debug, Default)]
pub struct Batch {
    items: [Option<Finished>; Batch::ROOM],
    count: usize,
}

impl Batch {
    /// Small enough for a kernel stack and for a guard held briefly.
    pub const ROOM: usize = 8;

    /// No more fit.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count == Batch::ROOM
    }

    fn push(&mut self, finished: Finished) {
        if let Some(item) = self.items.get_mut(self.count) {
            *item = Some(finished);
            self.count += 1;
        }
    }

    /// Hands out what is inside and leaves the batch empty.
    pub fn take(&mut self) -> impl Iterator<Item = Finished> + '_ {
        let count = core::mem::take(&mut self.count);
        self.items[..count].iter_mut().filter_map(Option::take)
    }
}

impl Queue {
    /// Empties the rings and takes them into use, closed. Outstanding commands must have been taken.
    pub fn start<P: StorPort>(&self, port: P, id: u16, rings: (Page, Page), entries: u16) {
        self.id.set(port, id);
        self.submission.set(port, rings.0);
        self.completion.set(port, rings.1);
        self.entries.set(port, entries.clamp(2, ENTRIES_MAX));
        self.tail.set(port, 0);
        self.cursor.store(port, 0, Ordering::Relaxed);
        rings.1.clear_completions(self.entries.get(port));
    }

    /// Lets commands in, or not.
    pub fn set_open<P: StorPort>(&self, port: P, open: bool) {
        self.open.store(port, open, Ordering::Release);
    }

    /// Submits a command and rings the doorbell. `owner` is completed with it; without one, the driver
    /// waits for it itself.
    ///
    /// # Errors
    ///
    /// Says why the queue took nothing; then nothing has changed.
    #[track_caller]
    pub fn submit<P: StorPort>(
        &self,
        port: P,
        registers: &Registers,
        command: &Command,
        owner: Option<Srb>,
    ) -> Result<(), Refusal> {
        if !self.open.load(port, Ordering::Acquire) {
            return Err(Refusal::Closed);
        }
        let identifier = self.claim(port, owner).ok_or(Refusal::Full)?;
        let tail = self.tail.get(port);
        self.submission.get(port).put_command(tail, &command.with_identifier(identifier));
        let next = (tail + 1) % self.entries.get(port);
        self.tail.set(port, next);
        // The entry must be in memory before the controller is told of it.
        fence(Ordering::Release);
        registers.ring_submission(port, self.id.get(port), next);
        Ok(())
    }

    /// Takes a free slot for a command of `owner`; `None` if there is none. A ring of n entries holds
    /// n - 1 commands, and no more are ever outstanding, so the ring itself cannot overflow.
    fn claim<P: StorPort>(&self, port: P, owner: Option<Srb>) -> Option<u16> {
        let used = self.used.get(port);
        let index = (!used).trailing_zeros();
        if index + 1 >= u32::from(self.entries.get(port)) {
            return None;
        }
        let slot = self.slots.get(index as usize)?;
        let generation = slot.generation.get(port).wrapping_add(1);
        slot.generation.set(port, generation);
        slot.owner.set(port, owner);
        self.used.set(port, used | (1 << index));
        Some((generation << SLOT_BITS) | index as u16)
    }

    /// Frees the slot that `identifier` names and returns its owner; `None` if no such command is
    /// outstanding.
    fn release<P: StorPort>(&self, port: P, identifier: u16) -> Option<Option<Srb>> {
        let index = identifier & SLOT_MASK;
        let slot = self.slots.get(usize::from(index))?;
        let used = self.used.get(port);
        let same = identifier == (slot.generation.get(port) << SLOT_BITS) | index;
        if !same || used & (1 << index) == 0 {
            return None;
        }
        self.used.set(port, used & !(1 << index));
        Some(slot.owner.get(port))
    }

    /// Collects finished requests until the batch or one round of the ring is full, and tells the
    /// controller how far it has read. The end of a command of the driver's own goes to `internal`.
    /// Returns whether there may be more.
    #[track_caller]
    pub fn drain<P: StorPort>(
        &self,
        port: P,
        registers: &Registers,
        batch: &mut Batch,
        mut internal: impl FnMut(Status, u32),
    ) -> bool {
        if !self.open.load(port, Ordering::Acquire) {
            return false;
        }
        let ring = self.completion.get(port);
        let entries = self.entries.get(port);
        let start = self.cursor.load(port, Ordering::Relaxed);
        let mut cursor = start;
        let mut looked = 0;
        while looked < entries && !batch.is_full() {
            let Some(dword3) = news(ring, cursor) else { break };
            let result = ring.completion_result(cursor as u16);
            let status = Completion::status(dword3);
            match self.release(port, Completion::identifier(dword3)) {
                Some(Some(srb)) => batch.push(Finished { srb, status, result }),
                Some(None) => internal(status, result),
                None => {}
            }
            cursor = after(cursor, entries);
            looked += 1;
        }
        if looked > 0 {
            // The doorbell takes the line back, so it comes first: a line interrupt that comes in
            // between must still find something, or it would be disowned, and come again for ever.
            registers.ring_completion(port, self.id.get(port), cursor as u16);
            self.cursor.store(port, cursor, Ordering::Release);
        }
        looked == entries || batch.is_full()
    }

    /// Takes outstanding requests out of the queue, finished or not, until the batch is full; commands
    /// of the driver's own are forgotten. Returns whether there may be more.
    pub fn take_outstanding<P: StorPort>(&self, port: P, batch: &mut Batch) -> bool {
        while !batch.is_full() {
            let used = self.used.get(port);
            let index = used.trailing_zeros();
            let Some(slot) = self.slots.get(index as usize) else { return false };
            self.used.set(port, used & !(1 << index));
            if let Some(srb) = slot.owner.get(port) {
                batch.push(Finished { srb, status: Status::SUCCESS, result: 0 });
            }
        }
        true
    }

    /// The identifier of the outstanding command of `srb`.
    pub fn find<P: StorPort>(&self, port: P, srb: Srb) -> Option<u16> {
        let used = self.used.get(port);
        (0..ENTRIES_MAX).zip(&self.slots).find_map(|(index, slot)| {
            let here = used & (1 << index) != 0 && slot.owner.get(port) == Some(srb);
            here.then(|| (slot.generation.get(port) << SLOT_BITS) | index)
        })
    }

    /// Whether the controller has written a completion into `ring`, the queue's own, that nobody has looked at. Needs no
    /// guard: the answer is a hint, as it is out of date when it is given.
    pub fn has_news<P: StorPort>(&self, port: P, ring: Page) -> bool {
        self.open.load(port, Ordering::Acquire)
            && news(ring, self.cursor.load(port, Ordering::Relaxed)).is_some()
    }
}

/// Dword 3 of the completion at `cursor`, if the controller has written it in this round.
fn news(ring: Page, cursor: u32) -> Option<u32> {
    let dword3 = ring.completion_dword3(cursor as u16);
    let even_round = cursor & EVEN_ROUND != 0;
    (Completion::phase(dword3) != even_round).then_some(dword3)
}

/// The position after `cursor` in a ring of `entries`.
const fn after(cursor: u32, entries: u16) -> u32 {
    if (cursor as u16) + 1 == entries { (cursor & EVEN_ROUND) ^ EVEN_ROUND } else { cursor + 1 }
}
