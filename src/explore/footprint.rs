//! What an event touches that other processors can touch.
//!
//! An event that touches nothing is its processor's own affair. What is not told apart here counts as one object, so
//! that too much depends on each other and never too little.

use crate::event::{Event, Kind, Lock, Routine};
use crate::storport::Ddi;

/// A set of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Objects(u128);

impl Objects {
    /// StorPort's queues and requests, and whatever has no object of its own.
    pub(super) const PORT: Objects = Objects(1);
    /// STOR_DPC objects and the processors' queues of them.
    pub(super) const DPCS: Objects = Objects(1 << 1);
    /// The device, its registers and its interrupts.
    pub(super) const DEVICE: Objects = Objects(1 << 2);

    const NONE: Objects = Objects(0);
    const START_IO: u32 = 3;
    /// Interrupt and the messages' locks, which are one with per-message synchronisation.
    const INTERRUPT: u32 = 4;
    const DPC_LOCKS: u32 = 8;
    const EXECUTIVE_LOCKS: u32 = 64;

    pub(super) const fn union(self, other: Objects) -> Objects {
        Objects(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Objects) -> bool {
        self.0 & other.0 != 0
    }

    /// The numbers of the objects.
    pub(super) fn numbers(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (number < u128::BITS).then_some(number as usize)
        })
    }

    const fn lock(lock: Lock) -> Objects {
        let number = match lock {
            Lock::StartIo => Objects::START_IO,
            Lock::Interrupt | Lock::Message(_) => Objects::INTERRUPT,
            Lock::Dpc(n) => Objects::DPC_LOCKS + n as u32 % 32,
            Lock::Executive(n) => Objects::EXECUTIVE_LOCKS + n as u32 % 32,
        };
        Objects(1 << number)
    }

    /// What the event touches.
    pub(super) fn of(event: &Event) -> Objects {
        match event.kind {
            Kind::LockWaited { lock, .. }
            | Kind::LockAcquired { lock, .. }
            | Kind::LockReleased { lock, .. } => Objects::lock(lock),
            Kind::IrqlSet { .. } => Objects::NONE,
            Kind::Entered { routine: Routine::Synchronized, .. }
            | Kind::Left { routine: Routine::Synchronized | Routine::Dpc, .. } => Objects::NONE,
            Kind::Entered { routine: Routine::Dpc, .. }
            | Kind::DpcInitialized { .. }
            | Kind::DpcIssued { .. }
            | Kind::DpcCancelled { .. } => Objects::DPCS,
            Kind::Called { ddi, .. } => Objects::called(ddi),
            _ => Objects::PORT.union(Objects::DPCS).union(Objects::DEVICE),
        }
    }

    /// Routines that tell of what never changes are nobody else's affair.
    const fn called(ddi: Ddi) -> Objects {
        match ddi {
            Ddi::GetPhysicalAddress
            | Ddi::GetVirtualAddress
            | Ddi::GetSystemAddress
            | Ddi::GetCurrentProcessorNumber
            | Ddi::KeGetCurrentIrql => Objects::NONE,
            Ddi::ReadRegister | Ddi::WriteRegister => Objects::DEVICE,
            _ => Objects::PORT,
        }
    }
}

/// Whether the event can give another processor something to do.
pub(super) const fn wakes(event: &Event) -> bool {
    matches!(
        event.kind,
        Kind::DpcIssued { .. } | Kind::InterruptRaised { .. } | Kind::TimerExpired { .. }
    )
}

/// Whether the event can let something in that its processor had held off, or waits.
pub(super) const fn lets_in(event: &Event) -> bool {
    matches!(event.kind, Kind::LockReleased { .. } | Kind::IrqlSet { .. })
}
