//! What a miniport may call of ntoskrnl.exe: the routines that concern locks and IRQLs.

use super::irql::Irql;
use super::lock::{KlockQueueHandle, StorKspinLock};
use super::port::StorPort;

/// The routines of ntoskrnl.exe that concern locks and that a miniport can reach.
///
/// Pages: <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/>.
///
/// # Safety
///
/// As for [`StorPort`].
pub unsafe trait Executive: StorPort {
    /// KeInitializeSpinLock. Any IRQL.
    ///
    /// # Safety
    ///
    /// `lock` is valid for the life of the lock.
    #[track_caller]
    unsafe fn ke_initialize_spin_lock(self, lock: *mut StorKspinLock);

    /// KeAcquireSpinLock: raises to DISPATCH_LEVEL and returns the IRQL before. IRQL up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `lock` was initialised and is valid.
    #[track_caller]
    unsafe fn ke_acquire_spin_lock(self, lock: *mut StorKspinLock) -> Irql;

    /// KeReleaseSpinLock: restores `irql`. IRQL: DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_acquire_spin_lock`].
    #[track_caller]
    unsafe fn ke_release_spin_lock(self, lock: *mut StorKspinLock, irql: Irql);

    /// KeAcquireSpinLockAtDpcLevel: leaves the IRQL alone. IRQL: DISPATCH_LEVEL or above.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_acquire_spin_lock`].
    #[track_caller]
    unsafe fn ke_acquire_spin_lock_at_dpc_level(self, lock: *mut StorKspinLock);

    /// KeReleaseSpinLockFromDpcLevel. IRQL: DISPATCH_LEVEL or above.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_acquire_spin_lock`].
    #[track_caller]
    unsafe fn ke_release_spin_lock_from_dpc_level(self, lock: *mut StorKspinLock);

    /// KeAcquireInStackQueuedSpinLock. IRQL up to DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_acquire_spin_lock`]; `handle` is valid and stays in place until the release.
    #[track_caller]
    unsafe fn ke_acquire_in_stack_queued_spin_lock(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    );

    /// KeReleaseInStackQueuedSpinLock. IRQL: DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// `handle` was filled by the acquire and not released since.
    #[track_caller]
    unsafe fn ke_release_in_stack_queued_spin_lock(self, handle: *mut KlockQueueHandle);

    /// KeAcquireInStackQueuedSpinLockAtDpcLevel. IRQL: DISPATCH_LEVEL or above.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_acquire_in_stack_queued_spin_lock`].
    #[track_caller]
    unsafe fn ke_acquire_in_stack_queued_spin_lock_at_dpc_level(
        self,
        lock: *mut StorKspinLock,
        handle: *mut KlockQueueHandle,
    );

    /// KeReleaseInStackQueuedSpinLockFromDpcLevel. IRQL: DISPATCH_LEVEL or above.
    ///
    /// # Safety
    ///
    /// As for [`Executive::ke_release_in_stack_queued_spin_lock`].
    #[track_caller]
    unsafe fn ke_release_in_stack_queued_spin_lock_from_dpc_level(
        self,
        handle: *mut KlockQueueHandle,
    );

    /// KeRaiseIrql: returns the IRQL before.
    #[track_caller]
    fn ke_raise_irql(self, irql: Irql) -> Irql;

    /// KeLowerIrql.
    #[track_caller]
    fn ke_lower_irql(self, irql: Irql);

    /// KeGetCurrentIrql.
    fn ke_get_current_irql(self) -> Irql;
}
