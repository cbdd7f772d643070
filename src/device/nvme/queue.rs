//! Submission and completion queues: rings in driver memory, seen from the controller.
//!
//! The driver moves a submission queue's tail and a completion queue's head by doorbells; the controller
//! moves the other ends. Nothing a driver writes into a doorbell can move an index out of its ring or past
//! the other end.

use super::status::Status;

/// Queue pairs: the admin pair and 16 for I/O.
pub(super) const PAIRS: usize = 17;
/// Bytes of a submission queue entry.
pub(super) const ENTRY_BYTES: u64 = 64;
/// Bytes of a completion queue entry.
pub(super) const COMPLETION_BYTES: u64 = 16;

/// A doorbell value that lies outside the ring or runs over its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadDoorbell;

/// Entries from `from` up to `to` in a ring of `size`.
const fn distance(from: u16, to: u16, size: u16) -> u16 {
    if to >= from { to - from } else { size - from + to }
}

const fn after(index: u16, size: u16) -> u16 {
    if index + 1 == size { 0 } else { index + 1 }
}

/// A submission queue; a size of 0 is one that does not exist.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SubmissionQueue {
    base: u64,
    size: u16,
    head: u16,
    tail: u16,
    completion: u8,
}

impl SubmissionQueue {
    pub(super) const fn open(base: u64, size: u16, completion: u8) -> Self {
        SubmissionQueue { base, size, head: 0, tail: 0, completion }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.size != 0
    }

    /// The completion queue of its commands.
    pub(super) const fn completion(&self) -> u8 {
        self.completion
    }

    /// What a completion reports, so that the driver may use entries again.
    pub(super) const fn head(&self) -> u16 {
        self.head
    }

    /// Entries wait to be fetched.
    pub(super) const fn has_entries(&self) -> bool {
        self.head != self.tail
    }

    /// The doorbell.
    pub(super) fn set_tail(&mut self, value: u32) -> Result<(), BadDoorbell> {
        if value >= u32::from(self.size) {
            return Err(BadDoorbell);
        }
        let value = value as u16;
        let room = self.size - 1 - distance(self.head, self.tail, self.size);
        if distance(self.tail, value, self.size) > room {
            return Err(BadDoorbell);
        }
        self.tail = value;
        Ok(())
    }

    /// Address of the entry to fetch next.
    pub(super) const fn next_entry(&self) -> u64 {
        self.base.wrapping_add(self.head as u64 * ENTRY_BYTES)
    }

    /// The entry has been fetched.
    pub(super) fn consume(&mut self) {
        self.head = after(self.head, self.size);
    }
}

/// A completion queue; a size of 0 is one that does not exist.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CompletionQueue {
    base: u64,
    size: u16,
    head: u16,
    tail: u16,
    /// Phase tag of the entries of this pass through the ring.
    phase: bool,
    /// It interrupts at all.
    pub(super) interrupts: bool,
    /// Message that it sends.
    pub(super) vector: u16,
}

impl CompletionQueue {
    pub(super) const fn open(base: u64, size: u16, vector: u16, interrupts: bool) -> Self {
        CompletionQueue { base, size, head: 0, tail: 0, phase: true, interrupts, vector }
    }

    pub(super) const fn is_open(&self) -> bool {
        self.size != 0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.head == self.tail
    }

    /// Entries that can be posted without overwriting one that the driver has not consumed. One stays
    /// unused, or a full ring would look empty.
    pub(super) const fn room(&self) -> u16 {
        if self.size == 0 {
            return 0;
        }
        self.size - 1 - distance(self.head, self.tail, self.size)
    }

    /// The doorbell.
    pub(super) fn set_head(&mut self, value: u32) -> Result<(), BadDoorbell> {
        if value >= u32::from(self.size) {
            return Err(BadDoorbell);
        }
        let value = value as u16;
        let posted = distance(self.head, self.tail, self.size);
        if distance(self.head, value, self.size) > posted {
            return Err(BadDoorbell);
        }
        self.head = value;
        Ok(())
    }

    /// Takes the next entry: its address and phase tag. Only with [`room`](Self::room).
    pub(super) fn produce(&mut self) -> (u64, bool) {
        let slot = (self.base.wrapping_add(u64::from(self.tail) * COMPLETION_BYTES), self.phase);
        self.tail = after(self.tail, self.size);
        if self.tail == 0 {
            self.phase = !self.phase;
        }
        slot
    }
}

/// A completion queue entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    /// DW0, command specific.
    pub(super) result: u32,
    /// Submission queue head.
    pub(super) head: u16,
    /// Submission queue.
    pub(super) queue: u8,
    /// Command identifier.
    pub(super) cid: u16,
    pub(super) status: Status,
}

impl Completion {
    pub(super) fn bytes(&self, phase: bool) -> [u8; COMPLETION_BYTES as usize] {
        let mut bytes = [0; COMPLETION_BYTES as usize];
        bytes[0..4].copy_from_slice(&self.result.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.head.to_le_bytes());
        bytes[10] = self.queue;
        bytes[12..14].copy_from_slice(&self.cid.to_le_bytes());
        let status = self.status.0 << 1 | u16::from(phase);
        bytes[14..16].copy_from_slice(&status.to_le_bytes());
        bytes
    }
}
