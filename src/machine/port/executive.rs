//! ntoskrnl's routines that concern locks and IRQLs.

use super::super::lock::Request;
use super::super::state::State;
use super::Port;
use super::mutant::{Acquire, Release};
use crate::event::{EXECUTIVE_LOCKS_MAX, Handle, Kind, Lock, LockApi, LockMisuse, Sink, Site};
use crate::machine::Abi;
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{Ddi, Executive, Irql, StorKspinLock};

/// Executive spin locks that the driver has used, by address.
#[derive(Debug)]
pub(in super::super) struct Executives {
    addresses: [usize; EXECUTIVE_LOCKS_MAX],
    initialized: [bool; EXECUTIVE_LOCKS_MAX],
    count: usize,
    /// By some bits of the address, which number it had when it was last looked for.
    hints: [u8; HINTS],
}

/// Enough that the locks of a driver seldom share one.
const HINTS: usize = 64;

impl Executives {
    pub(in super::super) fn new() -> Self {
        Executives {
            addresses: [0; EXECUTIVE_LOCKS_MAX],
            initialized: [false; EXECUTIVE_LOCKS_MAX],
            count: 0,
            hints: [0; HINTS],
        }
    }

    pub(in super::super) fn power_on(&mut self) {
        self.initialized[..self.count].fill(false);
        self.count = 0;
        // They would not change a number, but the branches to it: runs of the same bytes are to be alike.
        self.hints = [0; HINTS];
    }

    /// The lock's number, a new one at first sight; the last one stands for all beyond the limit.
    ///
    /// The hint makes the answer one branch, which goes the same way whichever lock it is: a loop over the locks is
    /// mispredicted after every switch of processors.
    #[inline]
    pub(super) fn number(&mut self, address: usize) -> usize {
        let hint = usize::from(self.hints[address / align_of::<StorKspinLock>() % HINTS]);
        if hint < self.count && self.addresses[hint] == address {
            return hint;
        }
        self.search(address)
    }

    /// Locks that the driver has used in this run.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    #[cold]
    fn search(&mut self, address: usize) -> usize {
        let known = self.addresses[..self.count].iter().position(|&known| known == address);
        let number = known.unwrap_or_else(|| {
            if self.count < EXECUTIVE_LOCKS_MAX {
                self.count += 1;
            }
            self.addresses[self.count - 1] = address;
            self.count - 1
        });
        self.hints[address / align_of::<StorKspinLock>() % HINTS] = number as u8;
        number
    }
}

impl<S: Sink> State<S> {
    /// Whether the routine that releases fits the one that acquired.
    fn pairing(&self, lock: Lock, api: LockApi) -> Handle {
        let record = self.locks.record(lock);
        if record.owner.is_some() && record.api != api { Handle::OtherApi } else { Handle::Same }
    }
}

impl<S: Sink + 'static> Port<S> {
    /// Which lock it is, known to be initialised or reported.
    #[inline(always)]
    fn executive(self, lock: *mut StorKspinLock, site: Site) -> Lock {
        let (number, initialized) = self.with(|s| {
            let number = s.executives.number(lock.addr());
            (number, s.executives.initialized[number])
        });
        if !initialized {
            self.uninitialized(lock, number as u8, site);
        }
        Lock::Executive(number as u8)
    }

    #[cold]
    fn uninitialized(self, lock: *mut StorKspinLock, number: u8, site: Site) {
        self.act(|s| {
            // SAFETY: callers promise a valid lock.
            let cleared = || s.abi != Abi::Host && unsafe { lock.read_unaligned() }.0 == 0;
            // For a compiled driver KeInitializeSpinLock is no call but a store of zero.
            if !cleared() {
                s.emit(site, Kind::ExecutiveUninitialized { lock: number });
            }
        });
    }

    /// KeTryToAcquireSpinLockAtDpcLevel: takes the lock if it is free.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_acquire_spin_lock`].
    pub unsafe fn ke_try_to_acquire_spin_lock_at_dpc_level(self, lock: *mut StorKspinLock) -> bool {
        let site = self.site();
        self.point();
        if self.with(|s| s.lock_calls_differ()) {
            let (api, handle) = (LockApi::KeDpcLevel, std::ptr::null_mut());
            if self.acquire_mutated(Acquire::Ke { lock, api, handle }, site).is_some() {
                return true;
            }
        }
        let lock = self.executive(lock, site);
        if self.with(|s| s.locks.record(lock).owner.is_some()) {
            let ddi = Ddi::KeTryToAcquireSpinLockAtDpcLevel;
            self.act(|s| s.emit(site, Kind::Called { ddi, argument: 0, result: 0 }));
            return false;
        }
        let level = self.with(|s| s.processor().irql);
        self.take_seldom(lock, Request { api: LockApi::KeDpcLevel, level, handle: 0 }, site);
        true
    }

    /// Runs `act` as the interlocked list routines do, which take `lock` with interrupts off: nothing comes
    /// between, so only a lock that somebody holds by other routines is worth an event.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_acquire_spin_lock`].
    pub unsafe fn interlocked<R>(
        self,
        ddi: Ddi,
        lock: *mut StorKspinLock,
        act: impl FnOnce() -> R,
    ) -> R {
        let site = self.site();
        self.point();
        if !self.with(|s| s.adapter.facts.dump) {
            let lock = self.executive(lock, site);
            let (held, irql) =
                self.with(|s| (s.locks.record(lock).owner.is_some(), s.processor().irql));
            if held {
                let level = irql.max(Irql::DISPATCH);
                self.take_seldom(lock, Request { api: LockApi::Ke, level, handle: 0 }, site);
                self.give_seldom(lock, LockApi::Ke, Handle::Same, irql, site);
            }
        }
        self.act(|s| s.emit(site, Kind::Called { ddi, argument: 0, result: 0 }));
        act()
    }

    #[inline(always)]
    fn ke_acquire(
        self,
        lock: *mut StorKspinLock,
        api: LockApi,
        handle: *mut KlockQueueHandle,
        site: Site,
    ) -> (Irql, Option<u32>) {
        self.point();
        if self.with(|s| s.lock_calls_differ())
            && let Some(irql) = self.acquire_mutated(Acquire::Ke { lock, api, handle }, site)
        {
            return (irql, None);
        }
        let (irql, serial) = self.ke_acquire_now(lock, api, handle.addr(), site);
        (irql, Some(serial))
    }

    /// As [`Port::ke_acquire`], after its decision point.
    #[inline(always)]
    pub(super) fn ke_acquire_now(
        self,
        lock: *mut StorKspinLock,
        api: LockApi,
        handle: usize,
        site: Site,
    ) -> (Irql, u32) {
        let lock = self.executive(lock, site);
        let saved = self.with(|s| s.processor().irql);
        let raises = matches!(api, LockApi::Ke | LockApi::KeQueued);
        let level = if raises { Irql::DISPATCH } else { saved };
        (saved, self.take(lock, Request { api, level, handle }, site))
    }

    #[inline(always)]
    fn ke_release(self, lock: *mut StorKspinLock, api: LockApi, irql: Option<Irql>, site: Site) {
        self.point();
        if self.with(|s| s.lock_calls_differ())
            && self.release_mutated(Release::Ke { lock, api, irql }, site)
        {
            return;
        }
        self.ke_release_now(lock, api, irql, site);
    }

    /// As [`Port::ke_release`], after its decision point.
    #[inline(always)]
    pub(super) fn ke_release_now(
        self,
        lock: *mut StorKspinLock,
        api: LockApi,
        irql: Option<Irql>,
        site: Site,
    ) {
        let lock = self.executive(lock, site);
        let (state, irql) =
            self.with(|s| (s.pairing(lock, api), irql.unwrap_or(s.processor().irql)));
        self.give(lock, api, state, irql, site);
    }

    /// # Safety
    ///
    /// `handle` is valid.
    unsafe fn queued_release(self, handle: *mut KlockQueueHandle, api: LockApi, site: Site) {
        self.point();
        if self.with(|s| s.lock_calls_differ())
            && self.release_mutated(Release::Queued { handle, api }, site)
        {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe { self.queued_release_now(handle, api, site) }
    }

    /// As [`Port::queued_release`], after its decision point.
    ///
    /// # Safety
    ///
    /// `handle` is valid.
    #[inline(always)]
    pub(super) unsafe fn queued_release_now(
        self,
        handle: *mut KlockQueueHandle,
        api: LockApi,
        site: Site,
    ) {
        // SAFETY: the caller's promise.
        let KlockQueueHandle { next, lock, old_irql } = unsafe { handle.read_unaligned() };
        let number = lock.checked_sub(1).filter(|&n| n < EXECUTIVE_LOCKS_MAX && next != 0);
        let Some(number) = number else {
            let misuse = LockMisuse::HandleNeverAcquired;
            return self.act(|s| s.emit(site, Kind::LockMisused { api, release: true, misuse }));
        };
        let lock = Lock::Executive(number as u8);
        let state = self.with(|s| {
            let record = s.locks.record(lock);
            if record.owner.is_none() || record.serial as usize != next {
                Handle::Stale
            } else if record.handle != handle.addr() {
                Handle::Copied
            } else {
                s.pairing(lock, api)
            }
        });
        let irql = match api {
            LockApi::KeQueued => old_irql,
            _ => self.with(|s| s.processor().irql),
        };
        self.give(lock, api, state, irql, site);
    }

    /// # Safety
    ///
    /// `handle` is valid.
    unsafe fn queued_acquire(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
        api: LockApi,
        site: Site,
    ) {
        if let (old_irql, Some(serial)) = self.ke_acquire(lock, api, handle, site) {
            // SAFETY: the caller's promise.
            unsafe { self.fill(handle, lock, (old_irql, serial)) }
        }
    }

    /// Writes the handle of an acquire: the IRQL before it, and its number.
    ///
    /// # Safety
    ///
    /// `handle` is valid.
    #[inline(always)]
    pub(super) unsafe fn fill(
        self,
        handle: *mut KlockQueueHandle,
        lock: *mut StorKspinLock,
        (old_irql, serial): (Irql, u32),
    ) {
        let number = self.with(|s| s.executives.number(lock.addr()));
        // SAFETY: the caller's promise.
        unsafe {
            handle.write_unaligned(KlockQueueHandle {
                next: serial as usize,
                lock: number + 1,
                old_irql,
            });
        }
    }
}

// SAFETY: every routine does what the simulated StorPort's contract says, at any IRQL of the machine.
unsafe impl<S: Sink + 'static> Executive for Port<S> {
    unsafe fn ke_initialize_spin_lock(self, lock: *mut StorKspinLock) {
        let site = self.site();
        self.point();
        self.act(|s| {
            let number = s.executives.number(lock.addr());
            let again = std::mem::replace(&mut s.executives.initialized[number], true);
            let held = s.locks.record(Lock::Executive(number as u8)).owner.is_some();
            let lock = number as u8;
            s.emit(site, Kind::ExecutiveInitialized { lock, again, held });
        });
    }

    unsafe fn ke_acquire_spin_lock(self, lock: *mut StorKspinLock) -> Irql {
        let site = self.site();
        self.ke_acquire(lock, LockApi::Ke, std::ptr::null_mut(), site).0
    }

    unsafe fn ke_release_spin_lock(self, lock: *mut StorKspinLock, irql: Irql) {
        let site = self.site();
        self.ke_release(lock, LockApi::Ke, Some(irql), site);
    }

    unsafe fn ke_acquire_spin_lock_at_dpc_level(self, lock: *mut StorKspinLock) {
        let site = self.site();
        self.ke_acquire(lock, LockApi::KeDpcLevel, std::ptr::null_mut(), site);
    }

    unsafe fn ke_release_spin_lock_from_dpc_level(self, lock: *mut StorKspinLock) {
        let site = self.site();
        self.ke_release(lock, LockApi::KeDpcLevel, None, site);
    }

    unsafe fn ke_acquire_in_stack_queued_spin_lock(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    ) {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.queued_acquire(lock, handle, LockApi::KeQueued, site) };
    }

    unsafe fn ke_release_in_stack_queued_spin_lock(self, handle: *mut KlockQueueHandle) {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.queued_release(handle, LockApi::KeQueued, site) };
    }

    unsafe fn ke_acquire_in_stack_queued_spin_lock_at_dpc_level(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    ) {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.queued_acquire(lock, handle, LockApi::KeQueuedDpcLevel, site) };
    }

    unsafe fn ke_release_in_stack_queued_spin_lock_from_dpc_level(
        self,
        handle: *mut KlockQueueHandle,
    ) {
        let site = self.site();
        // SAFETY: the caller's promise.
        unsafe { self.queued_release(handle, LockApi::KeQueuedDpcLevel, site) };
    }

    fn ke_raise_irql(self, irql: Irql) -> Irql {
        let site = self.site();
        self.point();
        self.act(|s| {
            s.emit(site, Kind::IrqlSet { irql, raise: true });
            std::mem::replace(&mut s.processor().irql, irql)
        })
    }

    fn ke_lower_irql(self, irql: Irql) {
        let site = self.site();
        self.point();
        self.act(|s| {
            s.emit(site, Kind::IrqlSet { irql, raise: false });
            s.processor().irql = irql;
        });
        self.drain_deferred();
    }

    fn ke_get_current_irql(self) -> Irql {
        self.with(|s| s.processor().irql)
    }
}
