//! ntoskrnl's lock and IRQL routines, told of.

use super::Hooks;
use super::book::{Book, Given};
use super::tell::{Call, Checked};
use crate::event::{Handle, Kind, Lock, LockApi, LockMisuse};
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{Executive, Irql, StorKspinLock, StorLockHandle, StorSpinlock};

/// A queued handle in the form in which the book keeps handles.
fn kept(handle: KlockQueueHandle) -> StorLockHandle {
    StorLockHandle { lock: StorSpinlock::INVALID, context: handle }
}

impl<P: Executive, H: Hooks<P>> Checked<P, H> {
    /// The lock at an address is wanted; tells if nobody initialised it, and if it is held.
    fn want(self, call: &Call<P>, lock: *const StorKspinLock, api: LockApi) -> (Lock, bool) {
        let (mut number, mut unknown, mut contended) = (0, false, false);
        self.tell(call, |book, slot| {
            number = book.executive(lock.addr());
            unknown = !book.is_executive_initialized(number);
            if unknown {
                return Some(Kind::ExecutiveUninitialized { lock: number });
            }
            let lock = Lock::Executive(number);
            let holder = book.holder(lock, slot)?;
            contended = true;
            Some(Kind::LockWaited { lock, api, holder })
        });
        let lock = Lock::Executive(number);
        (lock, if unknown { self.wait(call, lock, api) } else { contended })
    }

    /// Releases an ordinary lock in the book.
    fn give_back(self, call: &Call<P>, lock: *const StorKspinLock, (api, irql): (LockApi, Irql)) {
        let release = |book: &mut Book, slot, number| {
            let lock = Lock::Executive(number);
            let held = book.held(lock);
            let other = held.is_taken() && held.api != api;
            let handle = if other { Handle::OtherApi } else { Handle::Same };
            Some(book.release(slot, api, &Given { lock, handle, irql }))
        };
        let mut unknown = None;
        self.tell(call, |book, slot| {
            let number = book.executive(lock.addr());
            if book.is_executive_initialized(number) {
                return release(book, slot, number);
            }
            unknown = Some(number);
            Some(Kind::ExecutiveUninitialized { lock: number })
        });
        if let Some(number) = unknown {
            self.tell(call, |book, slot| release(book, slot, number));
        }
    }

    /// Releases a queued lock in the book.
    fn give_back_queued(self, call: &Call<P>, handle: *const KlockQueueHandle, api: LockApi) {
        // SAFETY: the caller's promise, and StorPort is about to read it.
        let contents = kept(unsafe { handle.read() });
        self.tell(call, |book, slot| {
            let Some(mut given) = book.given(handle.addr(), &contents) else {
                let misuse = LockMisuse::HandleNeverAcquired;
                return Some(Kind::LockMisused { api, release: true, misuse });
            };
            let held = book.held(given.lock);
            if given.handle == Handle::Same && held.api != api {
                given.handle = Handle::OtherApi;
            }
            if api == LockApi::KeQueuedDpcLevel {
                given.irql = call.irql;
            }
            Some(book.release(slot, api, &given))
        });
    }
}

// SAFETY: as for `StorPort`: each method is the routine of the inner port.
unsafe impl<P: Executive, H: Hooks<P>> Executive for Checked<P, H> {
    unsafe fn ke_initialize_spin_lock(self, lock: *mut StorKspinLock) {
        let call = self.call();
        self.tell(&call, |book, _| Some(book.initialize_executive(lock.addr())));
        // SAFETY: the caller's promise.
        unsafe { call.port.ke_initialize_spin_lock(lock) };
    }

    unsafe fn ke_acquire_spin_lock(self, lock: *mut StorKspinLock) -> Irql {
        let call = self.call();
        let api = LockApi::Ke;
        let (name, contended) = self.want(&call, lock, api);
        // SAFETY: the caller's promise.
        let irql = unsafe { call.port.ke_acquire_spin_lock(lock) };
        self.acquired(&call, (name, api, contended), None);
        irql
    }

    unsafe fn ke_release_spin_lock(self, lock: *mut StorKspinLock, irql: Irql) {
        let call = self.call();
        self.give_back(&call, lock, (LockApi::Ke, irql));
        // SAFETY: the caller's promise.
        unsafe { call.port.ke_release_spin_lock(lock, irql) };
    }

    unsafe fn ke_acquire_spin_lock_at_dpc_level(self, lock: *mut StorKspinLock) {
        let call = self.call();
        let api = LockApi::KeDpcLevel;
        let (name, contended) = self.want(&call, lock, api);
        // SAFETY: the caller's promise.
        unsafe { call.port.ke_acquire_spin_lock_at_dpc_level(lock) };
        self.acquired(&call, (name, api, contended), None);
    }

    unsafe fn ke_release_spin_lock_from_dpc_level(self, lock: *mut StorKspinLock) {
        let call = self.call();
        self.give_back(&call, lock, (LockApi::KeDpcLevel, call.irql));
        // SAFETY: the caller's promise.
        unsafe { call.port.ke_release_spin_lock_from_dpc_level(lock) };
    }

    unsafe fn ke_acquire_in_stack_queued_spin_lock(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    ) {
        let call = self.call();
        let api = LockApi::KeQueued;
        let (name, contended) = self.want(&call, lock, api);
        // SAFETY: the caller's promise; the acquire fills the handle.
        let filled = unsafe {
            call.port.ke_acquire_in_stack_queued_spin_lock(lock, handle);
            handle.read()
        };
        self.acquired(&call, (name, api, contended), Some((handle.addr(), kept(filled))));
    }

    unsafe fn ke_release_in_stack_queued_spin_lock(self, handle: *mut KlockQueueHandle) {
        let call = self.call();
        self.give_back_queued(&call, handle, LockApi::KeQueued);
        // SAFETY: the caller's promise.
        unsafe { call.port.ke_release_in_stack_queued_spin_lock(handle) };
    }

    unsafe fn ke_acquire_in_stack_queued_spin_lock_at_dpc_level(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    ) {
        let call = self.call();
        let api = LockApi::KeQueuedDpcLevel;
        let (name, contended) = self.want(&call, lock, api);
        // SAFETY: the caller's promise; the acquire fills the handle.
        let filled = unsafe {
            call.port.ke_acquire_in_stack_queued_spin_lock_at_dpc_level(lock, handle);
            handle.read()
        };
        self.acquired(&call, (name, api, contended), Some((handle.addr(), kept(filled))));
    }

    unsafe fn ke_release_in_stack_queued_spin_lock_from_dpc_level(
        self,
        handle: *mut KlockQueueHandle,
    ) {
        let call = self.call();
        self.give_back_queued(&call, handle, LockApi::KeQueuedDpcLevel);
        // SAFETY: the caller's promise.
        unsafe { call.port.ke_release_in_stack_queued_spin_lock_from_dpc_level(handle) };
    }

    fn ke_raise_irql(self, irql: Irql) -> Irql {
        let call = self.call();
        self.tell(&call, |_, _| Some(Kind::IrqlSet { irql, raise: true }));
        call.port.ke_raise_irql(irql)
    }

    fn ke_lower_irql(self, irql: Irql) {
        let call = self.call();
        self.tell(&call, |_, _| Some(Kind::IrqlSet { irql, raise: false }));
        call.port.ke_lower_irql(irql);
    }

    fn ke_get_current_irql(self) -> Irql {
        self.call().port.ke_get_current_irql()
    }
}
