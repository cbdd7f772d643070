//! The data check: a read returns what was last written.
//!
//! A write's buffer is marked with the write's number and the block's at both ends of every block; a read must
//! find in each block the mark of some write that no later write had replaced when the read was sent. Writes
//! that overlap a read in time, and writes that failed, leave more than one answer open.

use super::request::{Purpose, Request};
use super::state::State;
use crate::event::{Kind, Sink, Site};
use crate::scenario::{Io, IoKind};

/// A write, for the data check.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    number: u16,
    first: u32,
    blocks: u32,
    began: u64,
    /// `u64::MAX` while it runs, and for one that failed: it may have reached the medium or not, at any time.
    ended: u64,
    /// An unmap: it adds zeroes as a possible value and removes none.
    unmap: bool,
}

impl<S: Sink> State<S> {
    /// Marks the buffer: of a write with what it writes, of a read with what no write ever wrote.
    pub(super) fn stamp(&mut self, slot: usize) {
        let request = self.requests.slots[slot];
        let Purpose::Io(io) = request.purpose else { return };
        match io.kind {
            IoKind::Flush => return,
            IoKind::Unmap => self.write_unmap_list(slot),
            IoKind::Read => self.mark(slot, |_| u64::MAX),
            IoKind::Write => self.mark(slot, |block| stamp_of(request.number, block)),
        }
        if matches!(io.kind, IoKind::Write | IoKind::Unmap)
            && self.requests.writes.len() < self.requests.writes.capacity()
        {
            self.requests.writes.push(Written {
                number: request.number,
                first: request.first_block,
                blocks: request.blocks,
                began: request.sent,
                ended: u64::MAX,
                unmap: io.kind == IoKind::Unmap,
            });
        }
    }

    /// Writes a mark at both ends of every block of the buffer.
    fn mark(&mut self, slot: usize, mark: impl Fn(u32) -> u64) {
        let request = &self.requests.slots[slot];
        for block in 0..request.blocks {
            let (head, tail) = self.block_ends(slot, block);
            let mark = mark(request.first_block + block);
            // SAFETY: both lie inside the slot's buffer.
            unsafe {
                head.write_unaligned(mark);
                tail.write_unaligned(mark);
            }
        }
    }

    /// The first and last eight bytes of a block in the buffer.
    fn block_ends(&self, slot: usize, block: u32) -> (*mut u64, *mut u64) {
        let request = &self.requests.slots[slot];
        let bytes = (request.bytes / request.blocks.max(1)) as usize;
        let start =
            self.memory.data(slot).wrapping_add(request.offset as usize + block as usize * bytes);
        (start.cast(), start.wrapping_add(bytes - 8).cast())
    }

    /// The parameter list of UNMAP: one descriptor.
    fn write_unmap_list(&mut self, slot: usize) {
        let request = &self.requests.slots[slot];
        let mut list = [0_u8; 24];
        list[0..2].copy_from_slice(&22_u16.to_be_bytes());
        list[2..4].copy_from_slice(&16_u16.to_be_bytes());
        list[8..16].copy_from_slice(&u64::from(request.first_block).to_be_bytes());
        list[16..20].copy_from_slice(&request.blocks.to_be_bytes());
        let buffer = self.memory.data(slot).wrapping_add(request.offset as usize);
        // SAFETY: inside the slot's buffer.
        unsafe { buffer.copy_from_nonoverlapping(list.as_ptr(), list.len()) };
    }

    pub(super) fn end_write(&mut self, slot: usize, succeeded: bool) {
        let Request { number, completed, .. } = self.requests.slots[slot];
        if let Some(write) = self.requests.writes.iter_mut().rev().find(|w| w.number == number) {
            write.ended = if succeeded { completed } else { u64::MAX };
        }
    }

    /// Every block of a read must hold what some write left there that no later write had replaced when the
    /// read was sent.
    pub(super) fn check_read(&mut self, slot: usize) {
        let request = self.requests.slots[slot];
        let reads = matches!(request.purpose, Purpose::Io(Io { kind: IoKind::Read, .. }));
        if !reads || self.device.geometry().1 == 0 {
            return;
        }
        for block in 0..request.blocks {
            let (head, tail) = self.block_ends(slot, block);
            // SAFETY: both lie inside the slot's buffer.
            let (head, tail) = unsafe { (head.read_unaligned(), tail.read_unaligned()) };
            let good = head == tail && self.may_hold(&request, request.first_block + block, head);
            if !good {
                self.emit(Site::Port, Kind::DataWrong { request: request.number });
                return;
            }
        }
    }

    fn may_hold(&self, read: &Request, block: u32, mark: u64) -> bool {
        let writes = || {
            self.requests.writes.iter().filter(|w| (w.first..w.first + w.blocks).contains(&block))
        };
        // Replaced: a write that began after `ended` was over before the read was sent.
        let replaced_since =
            |ended: u64| writes().any(|w| !w.unmap && w.began > ended && w.ended < read.sent);
        if mark == 0 {
            let unmapped =
                |w: &Written| w.unmap && w.began < read.completed && !replaced_since(w.ended);
            return !replaced_since(0) || writes().any(unmapped);
        }
        writes().any(|w| {
            !w.unmap
                && stamp_of(w.number, block) == mark
                && w.began < read.completed
                && !replaced_since(w.ended)
        })
    }
}

/// What a write leaves in a block.
fn stamp_of(number: u16, block: u32) -> u64 {
    (u64::from(number) + 1) << 32 | u64::from(block)
}
