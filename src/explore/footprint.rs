//! What a step touches that other processors can touch.
//!
//! A step that touches nothing is its processor's own affair. What is not told apart here counts as one object, so
//! that too much depends on each other and never too little; [`super::model`] notices where it is too little after all.

use crate::event::{Event, Kind, Lock, Routine};
use crate::miniport::puppet::{Call, FIRST_SHARED_SLOT, Op};
use crate::storport::Ddi;

/// A set of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Objects(u128);

/// How many objects there are.
pub(super) const OBJECTS: usize = 128;

impl Objects {
    /// StorPort's queues and requests, and whatever has no object of its own.
    pub(super) const PORT: Objects = Objects(1);
    /// The device's registers.
    const DEVICE: Objects = Objects(1 << 1);
    /// Memory that the driver reaches without any lock.
    pub(super) const MEMORY: Objects = Objects(1 << 2);
    const START_IO: u32 = 3;
    /// Interrupt and the messages' locks, which are one with per-message synchronisation.
    const INTERRUPT: u32 = 4;
    /// Which interrupts are pending.
    pub(super) const PENDING: Objects = Objects(1 << 5);
    /// Which addresses are STOR_DPCs and spin locks, and their numbers.
    const NAMES: Objects = Objects(1 << 6);
    const DPC_LOCKS: u32 = 8;
    /// Each processor's queue of DPCs, and its tasks.
    const QUEUES: u32 = 40;
    const EXECUTIVE_LOCKS: u32 = 64;
    /// STOR_DPC objects.
    const DPCS: u32 = 96;
    /// Everything but locks and the driver's memory.
    const ALL: Objects =
        Objects(0b110_0011 | 0xFF << Objects::QUEUES | 0xFFFF_FFFF << Objects::DPCS);

    /// The object of this number.
    pub(super) const fn one(number: u32) -> Objects {
        Objects(1 << number)
    }

    pub(super) const fn union(self, other: Objects) -> Objects {
        Objects(self.0 | other.0)
    }

    /// Whether they have one in common.
    pub(super) const fn meets(self, other: Objects) -> bool {
        self.0 & other.0 != 0
    }

    const fn without(self, other: Objects) -> Objects {
        Objects(self.0 & !other.0)
    }

    /// The numbers of the objects.
    pub(super) fn numbers(self) -> impl Iterator<Item = u8> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (number < u128::BITS).then_some(number as u8)
        })
    }

    pub(super) const fn lock(lock: Lock) -> Objects {
        let number = match lock {
            Lock::StartIo => Objects::START_IO,
            Lock::Interrupt | Lock::Message(_) => Objects::INTERRUPT,
            Lock::Dpc(n) => Objects::DPC_LOCKS + n as u32 % 32,
            Lock::Executive(n) => Objects::EXECUTIVE_LOCKS + n as u32 % 32,
        };
        Objects::one(number)
    }

    /// A processor's queue of DPCs.
    pub(super) const fn queue(processor: u8) -> Objects {
        Objects::one(Objects::QUEUES + processor as u32 % 8)
    }

    /// A STOR_DPC.
    pub(super) const fn dpc(dpc: u8) -> Objects {
        Objects::one(Objects::DPCS + dpc as u32 % 32)
    }
}

/// What is read, and what is written: two steps depend on each other if one writes what the other touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Footprint {
    /// What is read and not written.
    pub(super) reads: Objects,
    pub(super) writes: Objects,
}

impl Footprint {
    pub(super) const fn writing(writes: Objects) -> Footprint {
        Footprint { reads: Objects(0), writes }
    }

    pub(super) const fn reading(reads: Objects) -> Footprint {
        Footprint { reads, writes: Objects(0) }
    }

    pub(super) const fn and(self, other: Footprint) -> Footprint {
        let writes = self.writes.union(other.writes);
        Footprint { reads: self.reads.union(other.reads).without(writes), writes }
    }

    const fn of_lock(lock: Lock) -> Footprint {
        let lock_itself = Footprint::writing(Objects::lock(lock));
        match lock {
            Lock::Dpc(_) | Lock::Executive(_) => {
                lock_itself.and(Footprint::reading(Objects::NAMES))
            }
            _ => lock_itself,
        }
    }

    pub(super) const fn touches_port(self) -> bool {
        self.reads.union(self.writes).meets(Objects::PORT)
    }

    /// What the event touches.
    pub(super) const fn of(event: &Event) -> Footprint {
        let queue = Objects::queue(event.processor);
        match event.kind {
            Kind::LockWaited { lock, .. } | Kind::LockAcquired { lock, .. } => {
                Footprint::of_lock(lock)
            }
            // A lower IRQL lets in what waits in the queue.
            Kind::LockReleased { lock, .. } => {
                Footprint::of_lock(lock).and(Footprint::reading(queue))
            }
            Kind::IrqlSet { .. } => Footprint::reading(queue),
            Kind::Entered { routine: Routine::Dpc, subject } => {
                Footprint::writing(Objects::dpc(subject as u8).union(queue))
            }
            Kind::Entered { routine, .. } | Kind::Left { routine, .. } => {
                Footprint::of_routine(routine)
            }
            Kind::DpcInitialized { dpc, .. } => {
                Footprint::writing(Objects::dpc(dpc).union(Objects::NAMES))
            }
            Kind::DpcIssued { dpc: Some(dpc), target, .. } => {
                Footprint::writing(Objects::dpc(dpc).union(Objects::queue(target)))
                    .and(Footprint::reading(Objects::NAMES.union(queue)))
            }
            Kind::Called { ddi, .. } => Footprint::called(ddi),
            Kind::Accessed(_) => Footprint::writing(Objects::MEMORY),
            _ => Footprint::writing(Objects::ALL),
        }
    }

    /// That a routine is called or returns. What a DPC's end lets happen comes in the step after it.
    const fn of_routine(routine: Routine) -> Footprint {
        match routine {
            Routine::Synchronized | Routine::Dpc => Footprint::reading(Objects(0)),
            Routine::Interrupt | Routine::MessageInterrupt => {
                Footprint::writing(Objects::PORT.union(Objects::PENDING))
            }
            _ => Footprint::writing(Objects::PORT),
        }
    }

    /// Routines that tell of what never changes are nobody else's affair.
    const fn called(ddi: Ddi) -> Footprint {
        match ddi {
            Ddi::GetPhysicalAddress
            | Ddi::GetVirtualAddress
            | Ddi::GetSystemAddress
            | Ddi::GetCurrentProcessorNumber
            | Ddi::KeGetCurrentIrql => Footprint::reading(Objects(0)),
            Ddi::ReadRegister | Ddi::WriteRegister => {
                Footprint::writing(Objects::DEVICE.union(Objects::PENDING))
            }
            _ => Footprint::writing(Objects::PORT),
        }
    }
}

/// What a driver can do with memory that several processors use, beside what its locks guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    /// Anything, wherever it holds no lock.
    #[default]
    Anything,
    /// It counts the calls of a routine when it is called, and nothing else.
    Counters,
    /// Nothing: it only reads what does not change.
    Nothing,
}

/// Whether the puppet, playing this, touches nothing that processors share but its count of calls, beside what locks and
/// DDIs guard.
pub(super) fn only_counts(call: &Call) -> bool {
    use Op::{
        Acquire, AcquireEx, AcquireMsi, Complete, IssueDpc, KeAcquire, KeAcquireAtDpcLevel,
        KeAcquireQueued, KeInitialize, KeRelease, KeReleaseFromDpcLevel, KeReleaseQueued,
        LowerIrql, RaiseIrql, Release, ReleaseMsi, RestoreIrql, SkipDefault, Synchronize,
    };
    let is_lock_call = matches!(
        call.op,
        Acquire
            | AcquireEx
            | AcquireMsi
            | Complete
            | IssueDpc
            | KeAcquire
            | KeAcquireAtDpcLevel
            | KeAcquireQueued
            | KeInitialize
            | KeRelease
            | KeReleaseFromDpcLevel
            | KeReleaseQueued
            | LowerIrql
            | RaiseIrql
            | Release
            | ReleaseMsi
            | RestoreIrql
            | SkipDefault
            | Synchronize
    );
    is_lock_call && usize::from(call.slot) < FIRST_SHARED_SLOT
}

/// Whether what happens in it depends on the time.
pub(super) const fn looks_at_time(event: &Event) -> bool {
    use Ddi::{Busy, DeviceBusy, Pause, PauseDevice, QuerySystemTime, StallExecution};
    matches!(
        event.kind,
        Kind::Called {
            ddi: Busy | DeviceBusy | Pause | PauseDevice | QuerySystemTime | StallExecution,
            ..
        }
    )
}
