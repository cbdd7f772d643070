//! [`Executive`] over the spin-lock and IRQL routines of ntoskrnl.exe.
//!
//! KeAcquireSpinLock and KeRaiseIrql are macros of wdm.h; what they call on x64 is called here.

use super::imports::{
    KeAcquireInStackQueuedSpinLock, KeAcquireInStackQueuedSpinLockAtDpcLevel,
    KeAcquireSpinLockAtDpcLevel, KeAcquireSpinLockRaiseToDpc, KeGetCurrentIrql,
    KeInitializeSpinLock, KeLowerIrql, KeReleaseInStackQueuedSpinLock,
    KeReleaseInStackQueuedSpinLockFromDpcLevel, KeReleaseSpinLock, KeReleaseSpinLockFromDpcLevel,
    KfRaiseIrql,
};
use super::port::Port;
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{Executive, Irql, StorKspinLock};

// SAFETY: each method is the routine of its name, called with the caller's arguments.
unsafe impl Executive for Port {
    #[inline]
    unsafe fn ke_initialize_spin_lock(self, lock: *mut StorKspinLock) {
        // SAFETY: the caller's promise.
        unsafe { KeInitializeSpinLock(lock) }
    }

    #[inline]
    unsafe fn ke_acquire_spin_lock(self, lock: *mut StorKspinLock) -> Irql {
        // SAFETY: the caller's promise.
        unsafe { KeAcquireSpinLockRaiseToDpc(lock) }
    }

    #[inline]
    unsafe fn ke_release_spin_lock(self, lock: *mut StorKspinLock, irql: Irql) {
        // SAFETY: the caller's promise.
        unsafe { KeReleaseSpinLock(lock, irql) }
    }

    #[inline]
    unsafe fn ke_acquire_spin_lock_at_dpc_level(self, lock: *mut StorKspinLock) {
        // SAFETY: the caller's promise.
        unsafe { KeAcquireSpinLockAtDpcLevel(lock) }
    }

    #[inline]
    unsafe fn ke_release_spin_lock_from_dpc_level(self, lock: *mut StorKspinLock) {
        // SAFETY: the caller's promise.
        unsafe { KeReleaseSpinLockFromDpcLevel(lock) }
    }

    #[inline]
    unsafe fn ke_acquire_in_stack_queued_spin_lock(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    ) {
        // SAFETY: the caller's promise.
        unsafe { KeAcquireInStackQueuedSpinLock(lock, handle) }
    }

    #[inline]
    unsafe fn ke_release_in_stack_queued_spin_lock(self, handle: *mut KlockQueueHandle) {
        // SAFETY: the caller's promise.
        unsafe { KeReleaseInStackQueuedSpinLock(handle) }
    }

    #[inline]
    unsafe fn ke_acquire_in_stack_queued_spin_lock_at_dpc_level(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    ) {
        // SAFETY: the caller's promise.
        unsafe { KeAcquireInStackQueuedSpinLockAtDpcLevel(lock, handle) }
    }

    #[inline]
    unsafe fn ke_release_in_stack_queued_spin_lock_from_dpc_level(
        self,
        handle: *mut KlockQueueHandle,
    ) {
        // SAFETY: the caller's promise.
        unsafe { KeReleaseInStackQueuedSpinLockFromDpcLevel(handle) }
    }

    #[inline]
    fn ke_raise_irql(self, irql: Irql) -> Irql {
        // SAFETY: it takes no pointer; that the level is above the current one is the driver's duty.
        unsafe { KfRaiseIrql(irql) }
    }

    #[inline]
    fn ke_lower_irql(self, irql: Irql) {
        // SAFETY: as above.
        unsafe { KeLowerIrql(irql) }
    }

    #[inline]
    fn ke_get_current_irql(self) -> Irql {
        // SAFETY: it only reads.
        unsafe { KeGetCurrentIrql() }
    }
}
