//! What an event touches that other processors can touch.
//!
//! An event that touches nothing is its processor's own affair. What is not told apart here counts as one object, so
//! that too much depends on each other and never too little.

use crate::event::{Event, Kind, Lock, PROCESSORS_MAX, Routine};
use crate::storport::Ddi;

/// A set of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Objects(u128);

impl Objects {
    const NONE: Objects = Objects(0);
    /// StorPort's queues and requests, the device and its interrupts, and whatever has no object of its own.
    const PORT: Objects = Objects(1);
    /// The device's registers.
    const DEVICE: Objects = Objects(1 << 1);
    /// Memory that the driver reaches without any lock.
    pub(super) const MEMORY: Objects = Objects(1 << 2);
    const START_IO: u32 = 3;
    /// Interrupt and the messages' locks, which are one with per-message synchronisation.
    const INTERRUPT: u32 = 4;
    const DPC_LOCKS: u32 = 8;
    /// Each processor's queue of DPCs.
    const QUEUES: u32 = 40;
    const EXECUTIVE_LOCKS: u32 = 64;
    /// STOR_DPC objects.
    const DPCS: u32 = 96;
    /// Everything but locks.
    const ALL: Objects = Objects(0b11 | 0xFF << Objects::QUEUES | 0xFFFF_FFFF << Objects::DPCS);

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

    /// A DPC and the queue that it is, or was, in.
    const fn dpc(dpc: u8, processor: u8) -> Objects {
        let queue = 1 << (Objects::QUEUES + processor as u32 % 8);
        Objects(1 << (Objects::DPCS + dpc as u32 % 32) | queue)
    }

    /// What the event touches.
    pub(super) fn of(event: &Event) -> Objects {
        match event.kind {
            Kind::LockWaited { lock, .. }
            | Kind::LockAcquired { lock, .. }
            | Kind::LockReleased { lock, .. } => Objects::lock(lock),
            Kind::IrqlSet { .. } => Objects::NONE,
            Kind::Entered { routine: Routine::Synchronized, .. }
            | Kind::Left { routine: Routine::Synchronized, .. } => Objects::NONE,
            Kind::Entered { routine: Routine::Dpc, subject } => {
                Objects::dpc(subject as u8, event.processor)
            }
            Kind::DpcIssued { dpc: Some(dpc), target, .. } => Objects::dpc(dpc, target),
            Kind::Called { ddi, .. } => Objects::called(ddi),
            Kind::Accessed(_) => Objects::MEMORY,
            _ => Objects::ALL,
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

/// Who holds a lock. What a driver does without one, from one decision point to the next, may touch any memory that its
/// processors share: counters that are incremented atomically, for one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guards {
    held: [u16; PROCESSORS_MAX],
    /// The processor has run without a lock since its last decision point.
    unguarded: [bool; PROCESSORS_MAX],
}

impl Guards {
    /// An event has happened.
    pub(super) fn event(&mut self, event: &Event) {
        let processor = usize::from(event.processor) % PROCESSORS_MAX;
        let held = &mut self.held[processor];
        match event.kind {
            Kind::LockAcquired { .. } => *held += 1,
            Kind::LockReleased { holder: Some(holder), .. } if holder == event.processor => {
                *held = held.saturating_sub(1);
            }
            _ => {}
        }
        self.unguarded[processor] |= *held == 0;
    }

    /// The processor comes to a decision point; whether it has run without a lock since the one before.
    pub(super) fn point(&mut self, processor: u8) -> bool {
        let processor = usize::from(processor) % PROCESSORS_MAX;
        let is_free = self.held[processor] == 0;
        std::mem::replace(&mut self.unguarded[processor], is_free) | is_free
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
    matches!(event.kind, Kind::LockReleased { .. } | Kind::IrqlSet { .. } | Kind::Left { .. })
}
