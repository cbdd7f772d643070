//! Which lock guards a queue, and which is held already.
//!
//! StorPort offers several locks, and which one fits depends on who finishes commands:
//!
//! | who drains the completion ring | full duplex | half duplex |
//! | --- | --- | --- |
//! | a DPC | the DPC's own lock | Interrupt: HwStorStartIo already holds it and may take nothing |
//! | the interrupt routine, a lock for each message | the message's lock | the same |
//! | the interrupt routine, one lock | Interrupt | the same |
//! | nobody but HwStorInterrupt called in a crash dump | none: one processor, no interrupts | the same |
//!
//! The driver never holds two locks of its own at once, so it has no order of them to keep; where it
//! takes one under StorPort's StartIo lock, the order StartIo before it is the documented one
//! (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>).
//! HwStorResetBus and HwStorTimer may not take a DPC's lock; neither touches a queue where that lock is
//! the guard.

use super::Nvme;
use super::queue::Queue;
use crate::storport::StorPort;
use crate::storport::guard::Locked;

/// Which lock guards the queues. Chosen in HwStorInitialize, before any interrupt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Guard {
    /// None: nothing runs at the same time.
    #[default]
    Alone,
    /// The lock of the queue's DPC.
    Dpc,
    /// The lock of the queue's message.
    Message,
    /// The Interrupt lock.
    Interrupt,
}

/// What the calling routine may do about the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Take it: StorPort does not hold it around this routine.
    Take,
    /// Nothing: StorPort holds it around this routine, or nothing else runs.
    Have,
}

impl Nvme {
    /// Runs `body` under the guard of queue `index`.
    #[track_caller]
    pub(super) fn guarded<P: StorPort, R>(
        &self,
        port: P,
        access: Access,
        index: usize,
        body: impl FnOnce(&Queue) -> R,
    ) -> R {
        let queue = &self.queues[index];
        match (access, self.guard.get(port)) {
            (Access::Have, _) | (_, Guard::Alone) => body(queue),
            (_, Guard::Dpc) => port.with_dpc_lock(&queue.dpc, || body(queue)),
            (_, Guard::Message) => {
                port.with_message_lock(self.message_of(port, index), || body(queue))
            }
            (_, Guard::Interrupt) => port.with_interrupt_lock(|| body(queue)),
        }
    }
}
