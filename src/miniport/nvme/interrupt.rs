//! Interrupt to DPC to completion.
//!
//! An interrupt routine runs at DIRQL and does one thing: it issues the DPCs of the queues behind the
//! message. The DPC drains the completion ring under the queue's guard, a batch at a time, and completes
//! each batch after it has given the guard back. A DPC that is queued already when an interrupt comes
//! has not yet looked at the ring, so nothing is missed; one that is running is queued again.
//!
//! Where StorPort gave no HwStorPassiveInitializeRoutine there are no DPCs, and in a crash dump there are
//! no interrupts either: there the routine drains the rings itself, under the lock that StorPort holds
//! around it.

use core::sync::atomic::Ordering;

use super::completion::{Outcome, complete};
use super::guard::{Access, Guard};
use super::queue::{Batch, ENTRIES_MAX};
use super::registers::Register;
use super::{Nvme, RECOVERY};
use crate::storport::guard::Locked;
use crate::storport::{StorPort, StorPortExt};

/// Batches that are drained at once: as many as a full ring has, and one to find it empty.
const BATCHES_MAX: usize = ENTRIES_MAX as usize / Batch::ROOM + 1;
/// INTMS, INTMC: every vector.
const ALL_VECTORS: u32 = u32::MAX;

impl Nvme {
    /// HwMSInterruptRoutine.
    pub(super) fn on_message<P: StorPort>(&self, port: P, message: u32) {
        if message == 0 {
            self.on_queue_interrupt(port, 0);
        }
        for index in self.io_queues_of(port, message) {
            self.on_queue_interrupt(port, index);
        }
    }

    /// HwStorInterrupt. Returns whether the interrupt was the controller's.
    pub(super) fn on_line<P: StorPort>(&self, port: P) -> bool {
        // A crash dump polls; its line is always masked.
        let masked = self.line_masked.load(port, Ordering::SeqCst) && !self.is_dump(port);
        if masked || !self.has_news(port) {
            return false;
        }
        if self.uses_dpcs(port) {
            if !self.dpcs_ready.load(port, Ordering::SeqCst) {
                return false;
            }
            // The line stays asserted until the rings are drained, which the DPC does; until then it
            // must not interrupt.
            self.set_line_mask(port, true);
            port.issue(&self.queues[0].dpc, 0, 0);
            return true;
        }
        for index in self.queue_indices(port) {
            self.service(port, Access::Have, index);
        }
        self.kick_if_answered(port);
        true
    }

    /// Some ring has a completion that nobody has looked at.
    fn has_news<P: StorPort>(&self, port: P) -> bool {
        self.queue_indices(port)
            .any(|index| self.queues[index].has_news(port, self.memory.rings(port, index).1))
    }

    fn on_queue_interrupt<P: StorPort>(&self, port: P, index: usize) {
        if !self.uses_dpcs(port) {
            self.service(port, Access::Have, index);
            self.kick_if_answered(port);
        } else if self.dpcs_ready.load(port, Ordering::SeqCst) {
            port.issue(&self.queues[index].dpc, index, 0);
        }
        // Otherwise the passive initialisation polls; it issues the DPCs when it has made them.
    }

    /// HwStorDpcRoutine: of queue `argument`, or of the recovery.
    pub(super) fn on_dpc<P: StorPort>(&self, port: P, argument: usize) {
        if argument == RECOVERY {
            return self.drive(port, Access::Take, true);
        }
        if self.is_line(port) {
            for index in self.queue_indices(port) {
                self.service(port, Access::Take, index);
            }
            self.unmask_line(port);
        } else if self.queue_indices(port).contains(&argument) {
            self.service(port, Access::Take, argument);
        }
        self.kick_if_answered(port);
    }

    /// Drains the completion ring of a queue and completes what it finds.
    pub(super) fn service<P: StorPort>(&self, port: P, access: Access, index: usize) {
        for _ in 0..BATCHES_MAX {
            if !self.service_batch(port, access, index, false) {
                return;
            }
        }
        // More than a full ring: a controller that answers faster than it is asked. Let others run.
        if self.dpcs_ready.load(port, Ordering::SeqCst) {
            let dpc = if self.is_line(port) { 0 } else { index };
            port.issue(&self.queues[dpc].dpc, dpc, 0);
        }
    }

    /// Drains every queue a last time and closes it.
    pub(super) fn close_queues<P: StorPort>(&self, port: P, access: Access) {
        for index in self.queue_indices(port) {
            let more = (0..BATCHES_MAX).all(|_| self.service_batch(port, access, index, true));
            if more {
                self.guarded(port, access, index, |queue| queue.set_open(port, false));
            }
        }
    }

    /// Takes a batch of finished requests from a queue under its guard and completes it without. Returns
    /// whether there may be more; if there is not, and `close`, nothing more can come.
    fn service_batch<P: StorPort>(
        &self,
        port: P,
        access: Access,
        index: usize,
        close: bool,
    ) -> bool {
        let mut batch = Batch::default();
        let more = self.guarded(port, access, index, |queue| {
            let more = queue.drain(port, &self.registers, &mut batch, |status, result| {
                self.engine.note_answer(port, status, result);
            });
            if close && !more {
                queue.set_open(port, false);
            }
            more
        });
        for finished in batch.take() {
            complete(port, finished.srb, Outcome::of_finished(&finished));
        }
        more
    }

    /// Lets the state machine go on if its command has ended.
    fn kick_if_answered<P: StorPort>(&self, port: P) {
        if self.engine.is_answered(port) {
            self.kick(port);
        }
    }

    /// Looks at every ring once: a completion may have come while nobody listened.
    pub(super) fn wake<P: StorPort>(&self, port: P) {
        if !self.dpcs_ready.load(port, Ordering::SeqCst) {
            return;
        }
        let last = if self.is_line(port) { 0 } else { self.io_queues.load(port, Ordering::SeqCst) };
        for index in 0..=last as usize {
            port.issue(&self.queues[index].dpc, index, 0);
        }
    }

    /// Masks the line before the queues are closed: the controller may still assert it, and nobody
    /// would find out why, so the interrupt would never end.
    pub(super) fn mask_line<P: StorPort>(&self, port: P, access: Access) {
        if !self.is_line(port) {
            return;
        }
        let mask = || self.set_line_mask(port, true);
        match (access, self.guard.get(port)) {
            (Access::Have, _) | (_, Guard::Alone) => mask(),
            _ => port.with_interrupt_lock(mask),
        }
    }

    /// Unmasks the line, in the DPC, unless the queues are being closed.
    fn unmask_line<P: StorPort>(&self, port: P) {
        port.with_interrupt_lock(|| {
            // The state machine says that it closes the queues before it masks the line, and masks it
            // under this lock: its mask is not undone.
            if !self.engine.is_disabling(port) {
                self.set_line_mask(port, false);
            }
        });
    }

    /// The controller has just been enabled and has nothing to say yet. The line stays masked where the
    /// rings are polled: until there are DPCs to answer it, and in a crash dump, which does not use it.
    pub(super) fn begin_interrupts<P: StorPort>(&self, port: P) {
        if !self.is_line(port) {
            return;
        }
        let answered = !self.uses_dpcs(port) || self.dpcs_ready.load(port, Ordering::SeqCst);
        self.set_line_mask(port, self.is_dump(port) || !answered);
    }

    /// Masks or unmasks the line, at the controller and for HwStorInterrupt. Under the Interrupt lock
    /// while the queues are open, so that HwStorInterrupt never sees the two disagree.
    fn set_line_mask<P: StorPort>(&self, port: P, masked: bool) {
        self.line_masked.store(port, masked, Ordering::SeqCst);
        let register =
            if masked { Register::InterruptMaskSet } else { Register::InterruptMaskClear };
        self.registers.write(port, register, ALL_VECTORS);
    }
}
