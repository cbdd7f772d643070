//! When the driver is interrupted (NVMe 1.4, 7.5).
//!
//! A completion queue with interrupts enabled sends its message for each entry, or one for several when
//! the device coalesces, and asserts the line until the driver has consumed everything. Which of the two
//! is wired is for the machine to know: INTMS masks the line only, since a driver must not touch it when
//! it was given messages.

use super::queue::PAIRS;
use crate::device::Bus;

/// State of the line, and interrupts held back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Interrupts {
    /// Completion queues, by bit, that assert the line: an entry that interrupts is not consumed yet.
    asserting: u32,
    /// An interrupt with nothing behind it is on the line.
    pulse: bool,
    /// INTMS.
    mask: u32,
    line: bool,
    /// Completion queues, by bit, whose interrupt is held back.
    held: u32,
    /// Entries behind it.
    entries: [u16; PAIRS],
}

impl Interrupts {
    pub(super) const fn mask(&self) -> u32 {
        self.mask
    }

    pub(super) fn set_mask(&mut self, bus: &mut dyn Bus, mask: u32) {
        self.mask = mask;
        self.drive(bus);
    }

    /// Interrupts for completion queue `queue`, which has entries; `level` is false while only messages
    /// may be sent.
    pub(super) fn signal(&mut self, bus: &mut dyn Bus, queue: usize, vector: u16, level: bool) {
        self.release(queue);
        bus.send_message(vector);
        if level {
            self.asserting |= 1 << queue;
            self.drive(bus);
        }
    }

    /// Everything in this queue is consumed.
    pub(super) fn quiet(&mut self, bus: &mut dyn Bus, queue: usize) {
        self.release(queue);
        self.asserting &= !(1 << queue);
        self.drive(bus);
    }

    /// Nothing interrupts any more.
    pub(super) fn quiet_all(&mut self, bus: &mut dyn Bus) {
        self.asserting = 0;
        self.held = 0;
        self.pulse = false;
        self.drive(bus);
    }

    /// Holds the interrupt for one more entry back; the entries behind it now.
    pub(super) fn hold(&mut self, queue: usize) -> u16 {
        if self.held & 1 << queue == 0 {
            self.held |= 1 << queue;
            self.entries[queue] = 0;
        }
        self.entries[queue] += 1;
        self.entries[queue]
    }

    fn release(&mut self, queue: usize) {
        self.held &= !(1 << queue);
    }

    /// Completion queues, by bit, whose interrupt is held back.
    pub(super) const fn held(&self) -> u32 {
        self.held
    }

    /// Puts an interrupt with nothing behind it on the line, or takes it back.
    pub(super) fn set_pulse(&mut self, bus: &mut dyn Bus, on: bool) {
        self.pulse = on;
        self.drive(bus);
    }

    fn drive(&mut self, bus: &mut dyn Bus) {
        // The line is vector 0.
        let line = (self.asserting != 0 || self.pulse) && self.mask & 1 == 0;
        if line != self.line {
            self.line = line;
            bus.set_line(line);
        }
    }
}
