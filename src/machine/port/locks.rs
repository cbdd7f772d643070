//! The lock routines: handles and arguments in, the lock table out.
//!
//! A handle carries which lock it is for and the number of its acquire, where real StorPort keeps the links
//! of a queued lock; so a copy, a stale or a foreign handle is told apart at the release.

use std::ffi::c_void;

use super::super::interrupt::DIRQL;
use super::super::lock::Request;
use super::super::state::State;
use super::Port;
use super::mutant::{Acquire, Release, Synchronized};
use crate::event::{Handle, Interrupts, Kind, Lock, LockApi, LockMisuse, Routine, Sink, Site};
use crate::storport::config::HwSynchronizeRoutine;
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{Irql, StorDpc, StorLockHandle, StorSpinlock, StorStatus};

/// In front of the lock's number in a handle: what no driver's memory holds by chance.
const COOKIE: usize = 0x4C4F_434B_0000_0000;

/// A lock's number in a handle.
fn cookie(lock: Lock) -> usize {
    COOKIE
        | match lock {
            Lock::StartIo => 1,
            Lock::Interrupt => 2,
            Lock::Message(n) => 0x100 | usize::from(n),
            Lock::Dpc(n) => 0x200 | usize::from(n),
            Lock::Executive(n) => 0x300 | usize::from(n),
        }
}

/// The lock that a handle is for.
pub(super) fn lock_of(word: usize) -> Option<Lock> {
    if word & !0xFFF != COOKIE {
        return None;
    }
    let number = word as u8;
    match (word >> 8 & 0xF, number) {
        (0, 1) => Some(Lock::StartIo),
        (0, 2) => Some(Lock::Interrupt),
        (1, n) => Some(Lock::Message(n)),
        (2, n) => Some(Lock::Dpc(n)),
        (3, n) => Some(Lock::Executive(n)),
        _ => None,
    }
}

/// The kind of lock that a lock is, as a handle's `Lock` field says it.
fn kind_of(lock: Lock, api: LockApi) -> StorSpinlock {
    match (lock, api) {
        (Lock::StartIo, _) => StorSpinlock::START_IO,
        (Lock::Dpc(_), LockApi::ThreadedDpc) => StorSpinlock::THREADED_DPC,
        (_, LockApi::DpcLevel) => StorSpinlock::DPC_LEVEL,
        (Lock::Dpc(_), _) => StorSpinlock::DPC,
        _ => StorSpinlock::INTERRUPT,
    }
}

impl<S: Sink> State<S> {
    /// Lock calls do not do what they should. In a crash dump there is one processor and nothing to exclude: they
    /// have no effect. In a run with a mutation one of them is wrong.
    #[inline]
    pub(super) fn lock_calls_differ(&self) -> bool {
        self.lock_calls_differ
    }

    /// What StorPortAcquireSpinLock(Ex) is asked for.
    fn lock_asked(
        &mut self,
        kind: StorSpinlock,
        context: *mut StorDpc,
        (is_ex, site): (bool, Site),
    ) -> Result<(Lock, LockApi, Option<Irql>), LockMisuse> {
        let api = if is_ex { LockApi::SpinEx } else { LockApi::Spin };
        let dispatch = Some(Irql::DISPATCH);
        match kind {
            StorSpinlock::DPC => Ok((Lock::Dpc(self.dpc(context)?), api, dispatch)),
            StorSpinlock::START_IO => {
                self.note_context(context, api, site);
                Ok((Lock::StartIo, api, dispatch))
            }
            StorSpinlock::INTERRUPT => {
                // A virtual miniport has no interrupt, but the table lets it take this lock.
                self.note_context(context, api, site);
                Ok((Lock::Interrupt, api, Some(DIRQL)))
            }
            StorSpinlock::THREADED_DPC | StorSpinlock::DPC_LEVEL if !is_ex => {
                Err(LockMisuse::ExOnlyKind)
            }
            StorSpinlock::THREADED_DPC => {
                Ok((Lock::Dpc(self.dpc(context)?), LockApi::ThreadedDpc, dispatch))
            }
            StorSpinlock::DPC_LEVEL => Ok((Lock::Dpc(self.dpc(context)?), LockApi::DpcLevel, None)),
            _ => Err(LockMisuse::UnknownKind),
        }
    }

    /// StartIoLock and InterruptLock take no context.
    fn note_context(&mut self, context: *mut StorDpc, api: LockApi, site: Site) {
        if !context.is_null() {
            self.emit(site, Kind::ContextIgnored { api });
        }
    }

    /// What is wrong with a message for a MSI lock.
    fn message_misuse(&self, message: u32) -> Option<LockMisuse> {
        let facts = &self.adapter.facts;
        if facts.interrupts != Interrupts::PerMessage {
            Some(LockMisuse::NotPerMessage)
        } else if message >= u32::from(facts.messages) {
            Some(LockMisuse::MessageOutOfRange)
        } else {
            None
        }
    }

    /// How a handle compares with what its acquire left.
    fn compare(&self, lock: Lock, serial: usize, address: usize) -> Handle {
        let record = self.locks.record(lock);
        if record.serial as usize != serial || record.owner.is_none() {
            Handle::Stale
        } else if record.handle != address {
            Handle::Copied
        } else {
            Handle::Same
        }
    }
}

impl<S: Sink + 'static> Port<S> {
    /// StorPortAcquireSpinLock and StorPortAcquireSpinLockEx.
    ///
    /// # Safety
    ///
    /// `handle` is valid.
    #[inline]
    pub(super) unsafe fn acquire(
        self,
        kind: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
        (is_ex, site): (bool, Site),
    ) -> StorStatus {
        self.point();
        if self.with(|s| s.lock_calls_differ()) {
            let acquire = Acquire::Spin { kind, context, handle, is_ex };
            if self.acquire_mutated(acquire, site).is_some() {
                return StorStatus::SUCCESS;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.acquire_now(kind, context, handle, (is_ex, site)) }
    }

    /// As [`Port::acquire`], after its decision point, and whether it is right or not.
    ///
    /// # Safety
    ///
    /// `handle` is valid.
    #[inline(always)]
    pub(super) unsafe fn acquire_now(
        self,
        kind: StorSpinlock,
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
        (is_ex, site): (bool, Site),
    ) -> StorStatus {
        let asked = self.act(|s| {
            let asked = s.lock_asked(kind, context, (is_ex, site));
            if let Err(misuse) = asked {
                let api = if is_ex { LockApi::SpinEx } else { LockApi::Spin };
                s.emit(site, Kind::LockMisused { api, release: false, misuse });
            }
            asked
        });
        let Ok((lock, api, level)) = asked else { return StorStatus::INVALID_PARAMETER };
        if is_ex && self.refuses_ex(level, api, site) {
            return StorStatus::INVALID_IRQL;
        }
        let saved = self.with(|s| s.processor().irql);
        let level = level.unwrap_or(saved);
        let serial = self.take(lock, Request { api, level, handle: handle.addr() }, site);
        // SAFETY: the caller's promise.
        unsafe {
            handle.write_unaligned(StorLockHandle {
                lock: kind,
                context: KlockQueueHandle {
                    next: serial as usize,
                    lock: cookie(lock),
                    old_irql: saved,
                },
            });
        }
        StorStatus::SUCCESS
    }

    /// StorPortAcquireSpinLockEx answers STOR_STATUS_INVALID_IRQL above the lock's level.
    fn refuses_ex(self, level: Option<Irql>, api: LockApi, site: Site) -> bool {
        self.act(|s| {
            let irql = s.processor().irql;
            let refused = level.is_some_and(|level| irql > level);
            if refused {
                s.emit(site, Kind::LockRefused { api, status: StorStatus::INVALID_IRQL });
            }
            refused
        })
    }

    /// StorPortReleaseSpinLock.
    ///
    /// # Safety
    ///
    /// `handle` is valid.
    #[inline]
    pub(super) unsafe fn release(self, handle: *mut StorLockHandle, site: Site) {
        if std::thread::panicking() {
            // A guard's drop while the driver's panic unwinds: the run is over.
            return;
        }
        self.point();
        if self.with(|s| s.lock_calls_differ())
            && self.release_mutated(Release::Spin { handle }, site)
        {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { self.release_now(handle, site) }
    }

    /// As [`Port::release`], after its decision point.
    ///
    /// # Safety
    ///
    /// `handle` is valid.
    #[inline(always)]
    pub(super) unsafe fn release_now(self, handle: *mut StorLockHandle, site: Site) {
        // SAFETY: the caller's promise.
        let StorLockHandle { lock: kind, context } = unsafe { handle.read_unaligned() };
        let Some(acquired) = lock_of(context.lock) else {
            return self.misused(LockApi::Spin, LockMisuse::HandleNeverAcquired, site);
        };
        let (lock, state) = self.with(|s| {
            let api = s.locks.record(acquired).api;
            if kind == kind_of(acquired, api) || s.locks.record(acquired).owner.is_none() {
                return (acquired, s.compare(acquired, context.next, handle.addr()));
            }
            let named = match kind {
                StorSpinlock::START_IO => Lock::StartIo,
                StorSpinlock::INTERRUPT => Lock::Interrupt,
                _ => acquired,
            };
            (named, Handle::OtherLock)
        });
        self.give(lock, LockApi::Spin, state, context.old_irql, site);
    }

    fn misused(self, api: LockApi, misuse: LockMisuse, site: Site) {
        self.act(|s| s.emit(site, Kind::LockMisused { api, release: true, misuse }));
    }

    /// StorPortSynchronizeAccess.
    ///
    /// # Safety
    ///
    /// `context` is what `routine` takes.
    pub(super) unsafe fn synchronize(
        self,
        routine: HwSynchronizeRoutine,
        context: *mut c_void,
        site: Site,
    ) -> bool {
        self.point();
        let extension = self.extension();
        // SAFETY: the caller's promise.
        let call = || u32::from(unsafe { self.invoke(routine, (extension, context)) });
        let api = LockApi::Synchronize;
        let (differs, saved) = self.with(|s| (s.lock_calls_differ(), s.processor().irql));
        if differs {
            match self.synchronize_mutated(site) {
                Some(Synchronized::Nothing) => {
                    return self.callback(Routine::Synchronized, 0, call) != 0;
                }
                Some(Synchronized::Under(lock)) => return self.under_other(lock, site, call) != 0,
                None => {}
            }
        }
        self.take_seldom(Lock::Interrupt, Request { api, level: DIRQL, handle: 0 }, site);
        let result = self.callback(Routine::Synchronized, 0, call);
        self.give_seldom(Lock::Interrupt, api, Handle::Same, saved, site);
        result != 0
    }

    /// StorPortAcquireMSISpinLock.
    pub(super) fn acquire_msi(self, message: u32, old_irql: &mut u32, site: Site) -> StorStatus {
        self.point();
        if self.with(|s| s.lock_calls_differ())
            && let Some(irql) = self.acquire_mutated(Acquire::Msi { message }, site)
        {
            *old_irql = u32::from(irql.0);
            return StorStatus::SUCCESS;
        }
        self.acquire_msi_now(message, old_irql, site)
    }

    /// As [`Port::acquire_msi`], after its decision point.
    #[inline(always)]
    pub(super) fn acquire_msi_now(
        self,
        message: u32,
        old_irql: &mut u32,
        site: Site,
    ) -> StorStatus {
        if let Some(misuse) = self.with(|s| s.message_misuse(message)) {
            let api = LockApi::Msi;
            self.act(|s| s.emit(site, Kind::LockMisused { api, release: false, misuse }));
            return StorStatus::UNSUCCESSFUL;
        }
        let message = message as u8;
        let (saved, level) =
            self.with(|s| (s.processor().irql, s.interrupts.message_irql(message)));
        let level = saved.max(level);
        let lock = Lock::Message(message);
        self.take(lock, Request { api: LockApi::Msi, level, handle: 0 }, site);
        *old_irql = u32::from(saved.0);
        StorStatus::SUCCESS
    }

    /// StorPortReleaseMSISpinLock.
    pub(super) fn release_msi(self, message: u32, old_irql: u32, site: Site) -> StorStatus {
        if std::thread::panicking() {
            return StorStatus::SUCCESS;
        }
        self.point();
        if self.with(|s| s.lock_calls_differ())
            && self.release_mutated(Release::Msi { message, old_irql }, site)
        {
            return StorStatus::SUCCESS;
        }
        self.release_msi_now(message, old_irql, site)
    }

    /// As [`Port::release_msi`], after its decision point.
    #[inline(always)]
    pub(super) fn release_msi_now(self, message: u32, old_irql: u32, site: Site) -> StorStatus {
        if let Some(misuse) = self.with(|s| s.message_misuse(message)) {
            self.misused(LockApi::Msi, misuse, site);
            return StorStatus::UNSUCCESSFUL;
        }
        let lock = Lock::Message(message as u8);
        let state = self.with(|s| {
            let record = s.locks.record(lock);
            match record.owner.is_some() && !matches!(record.api, LockApi::Msi | LockApi::Port) {
                true => Handle::OtherApi,
                false => Handle::Same,
            }
        });
        self.give(lock, LockApi::Msi, state, Irql(old_irql as u8), site);
        StorStatus::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_names_its_lock_and_nothing_else_does() {
        for lock in [
            Lock::StartIo,
            Lock::Interrupt,
            Lock::Message(0),
            Lock::Message(63),
            Lock::Dpc(31),
            Lock::Executive(5),
        ] {
            assert_eq!(lock_of(cookie(lock)), Some(lock));
        }
        assert_eq!(lock_of(0), None);
        assert_eq!(lock_of(COOKIE | 0x405), None);
    }
}
