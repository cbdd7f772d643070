//! Lock calls as data: asked for by the driver, and made at another moment, with another lock, or in another way.
//!
//! An acquire and its release are known for a pair by what names the lock to the driver: the handle's address, the
//! message, or the lock's address, on one processor.

use super::super::super::interrupt::DIRQL;
use super::super::super::lock::Request;
use super::super::super::state::State;
use super::super::Port;
use super::super::locks::lock_of;
use crate::event::{EXECUTIVE_LOCKS_MAX, Handle, Interrupts, Lock, LockApi, Sink, Site};
use crate::machine::mutation::{LockKind, Other};
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{Irql, StorDpc, StorKspinLock, StorLockHandle, StorSpinlock};

/// An acquire as the driver asks for it.
#[derive(Clone, Copy)]
pub(in super::super) enum Acquire {
    Spin { kind: StorSpinlock, context: *mut StorDpc, handle: *mut StorLockHandle, is_ex: bool },
    Msi { message: u32 },
    Ke { lock: *mut StorKspinLock, api: LockApi, handle: *mut KlockQueueHandle },
}

/// A release as the driver asks for it.
#[derive(Clone, Copy)]
pub(in super::super) enum Release {
    Spin { handle: *mut StorLockHandle },
    Msi { message: u32, old_irql: u32 },
    Ke { lock: *mut StorKspinLock, api: LockApi, irql: Option<Irql> },
    Queued { handle: *mut KlockQueueHandle, api: LockApi },
}

/// What names a lock to the driver, in acquire and release alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Handle(usize),
    Message(u32),
    Lock(usize),
}

impl Acquire {
    pub(super) fn key(self) -> Key {
        match self {
            Acquire::Spin { handle, .. } => Key::Handle(handle.addr()),
            Acquire::Msi { message } => Key::Message(message),
            Acquire::Ke { lock, handle, .. } if handle.is_null() => Key::Lock(lock.addr()),
            Acquire::Ke { handle, .. } => Key::Handle(handle.addr()),
        }
    }

    pub(super) fn kind(self) -> LockKind {
        match self {
            Acquire::Spin { kind: StorSpinlock::START_IO, .. } => LockKind::StartIo,
            Acquire::Spin { kind: StorSpinlock::INTERRUPT, .. } => LockKind::Interrupt,
            Acquire::Spin { .. } => LockKind::Dpc,
            Acquire::Msi { .. } => LockKind::Message,
            Acquire::Ke { .. } => LockKind::Executive,
        }
    }

    /// The release that belongs to it, made at `irql`.
    pub(super) fn release(self, irql: Irql) -> Release {
        match self {
            Acquire::Spin { handle, .. } => Release::Spin { handle },
            Acquire::Msi { message } => Release::Msi { message, old_irql: u32::from(irql.0) },
            Acquire::Ke { lock, api, handle } if handle.is_null() => {
                let irql = (api == LockApi::Ke).then_some(irql);
                Release::Ke { lock, api, irql }
            }
            Acquire::Ke { api, handle, .. } => Release::Queued { handle, api },
        }
    }
}

impl Release {
    pub(super) fn key(self) -> Key {
        match self {
            Release::Spin { handle } => Key::Handle(handle.addr()),
            Release::Queued { handle, .. } => Key::Handle(handle.addr()),
            Release::Msi { message, .. } => Key::Message(message),
            Release::Ke { lock, .. } => Key::Lock(lock.addr()),
        }
    }
}

/// How a lock is given back without the driver's handle.
#[derive(Clone, Copy)]
pub(super) struct Given {
    pub(super) lock: Lock,
    pub(super) api: LockApi,
    /// The IRQL to restore; `None` leaves it.
    pub(super) irql: Option<Irql>,
}

impl<S: Sink> State<S> {
    /// The lock that stands in for one of kind `kind`, numbered `number`; `None` if there is none.
    pub(super) fn other(&self, lock: Lock, other: Other) -> Option<Lock> {
        let next = |number: u8, count: usize| {
            let count = u8::try_from(count).unwrap_or(u8::MAX);
            (count > 1).then(|| (number + 1) % count)
        };
        match (other, lock) {
            (Other::StartIo, _) => Some(Lock::StartIo),
            (Other::Interrupt, _) => Some(Lock::Interrupt),
            (Other::Dpc, _) => (self.dpcs.count() > 0).then_some(Lock::Dpc(0)),
            (Other::Next, Lock::Dpc(n)) => next(n, self.dpcs.count()).map(Lock::Dpc),
            (Other::Next, Lock::Message(n)) => {
                next(n, usize::from(self.adapter.facts.messages)).map(Lock::Message)
            }
            (Other::Next, Lock::Executive(n)) => {
                next(n, self.executives.count()).map(Lock::Executive)
            }
            (Other::Next, Lock::StartIo | Lock::Interrupt) => None,
        }
    }

    /// The lock that an acquire names, if it is right.
    pub(super) fn named(&mut self, acquire: Acquire) -> Option<Lock> {
        match acquire {
            Acquire::Spin { kind: StorSpinlock::START_IO, .. } => Some(Lock::StartIo),
            Acquire::Spin { kind: StorSpinlock::INTERRUPT, .. } => Some(Lock::Interrupt),
            Acquire::Spin { context, .. } => self.dpc(context).ok().map(Lock::Dpc),
            Acquire::Msi { message } => {
                let per_message = self.adapter.facts.interrupts == Interrupts::PerMessage;
                per_message.then_some(Lock::Message(message as u8))
            }
            Acquire::Ke { lock, .. } => {
                Some(Lock::Executive(self.executives.number(lock.addr()) as u8))
            }
        }
    }

    /// How a release would give its lock back; `None` for a handle that names none.
    pub(super) fn given(&mut self, release: Release) -> Option<Given> {
        match release {
            Release::Spin { handle } => {
                // SAFETY: the driver's call promises a valid handle, and has not returned.
                let context = unsafe { handle.read_unaligned() }.context;
                let lock = lock_of(context.lock)?;
                Some(Given { lock, api: LockApi::Spin, irql: Some(context.old_irql) })
            }
            Release::Msi { message, old_irql } => {
                let (lock, irql) = (Lock::Message(message as u8), Some(Irql(old_irql as u8)));
                Some(Given { lock, api: LockApi::Msi, irql })
            }
            Release::Ke { lock, api, irql } => {
                let lock = Lock::Executive(self.executives.number(lock.addr()) as u8);
                Some(Given { lock, api, irql })
            }
            Release::Queued { handle, api } => {
                // SAFETY: as above.
                let KlockQueueHandle { lock, old_irql, .. } = unsafe { handle.read_unaligned() };
                let number = lock.checked_sub(1).filter(|&n| n < EXECUTIVE_LOCKS_MAX)?;
                let lock = Lock::Executive(number as u8);
                Some(Given { lock, api, irql: (api == LockApi::KeQueued).then_some(old_irql) })
            }
        }
    }
}

impl<S: Sink + 'static> Port<S> {
    /// Takes a lock without a handle; the IRQL before.
    pub(super) fn hold_other(self, lock: Lock, api: LockApi, site: Site) -> Irql {
        let (irql, level) = self.with(|s| {
            let irql = s.processor().irql;
            let level = match lock {
                Lock::Interrupt => DIRQL,
                Lock::Message(n) => s.interrupts.message_irql(n).max(irql),
                _ if matches!(api, LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel) => irql,
                _ => Irql::DISPATCH,
            };
            (irql, level)
        });
        self.take(lock, Request { api, level, handle: 0 }, site);
        irql
    }

    /// Makes an acquire as the driver asked for it.
    pub(super) fn make_acquire(self, acquire: Acquire, site: Site) {
        match acquire {
            // SAFETY: the driver's call promises a valid handle until the release, which has not come yet.
            Acquire::Spin { kind, context, handle, is_ex } => unsafe {
                self.acquire_now(kind, context, handle, (is_ex, site));
            },
            Acquire::Msi { message } => {
                // What the driver got is the IRQL before, which is the same.
                self.acquire_msi_now(message, &mut 0, site);
            }
            Acquire::Ke { lock, api, handle } => {
                let acquired = self.ke_acquire_now(lock, api, handle.addr(), site);
                if !handle.is_null() {
                    // SAFETY: as above.
                    unsafe { self.fill(handle, lock, acquired) };
                }
            }
        }
    }

    /// Makes a release.
    pub(super) fn make_release(self, release: Release, site: Site) {
        match release {
            // SAFETY: the driver's call promises a valid handle from the acquire to the release.
            Release::Spin { handle } => unsafe { self.release_now(handle, site) },
            Release::Msi { message, old_irql } => {
                self.release_msi_now(message, old_irql, site);
            }
            Release::Ke { lock, api, irql } => self.ke_release_now(lock, api, irql, site),
            // SAFETY: as above.
            Release::Queued { handle, api } => unsafe {
                self.queued_release_now(handle, api, site);
            },
        }
    }

    pub(super) fn give_as(self, Given { lock, api, irql }: Given, site: Site) {
        let irql = irql.unwrap_or_else(|| self.with(|s| s.processor().irql));
        self.give(lock, api, Handle::Same, irql, site);
    }
}
