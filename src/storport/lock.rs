//! The locks of the DDI as memory: which lock, and the handles that an acquire fills.

use super::irql::Irql;
use super::status::named;

named! {
    /// `STOR_SPINLOCK`: the kind of lock that an acquire asks for.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ne-storport-_stor_spinlock>.
    StorSpinlock(u32) {
        /// None; what a zeroed handle says.
        INVALID = 0, "InvalidLock";
        /// The lock inside one STOR_DPC.
        DPC = 1, "DpcLock";
        /// The adapter's StartIo lock.
        START_IO = 2, "StartIoLock";
        /// The adapter's Interrupt lock.
        INTERRUPT = 3, "InterruptLock";
        /// The lock of a threaded DPC; only with StorPortAcquireSpinLockEx.
        THREADED_DPC = 4, "ThreadedDpcLock";
        /// A lock taken at DISPATCH_LEVEL, which is left as it is; only with
        /// StorPortAcquireSpinLockEx.
        DPC_LEVEL = 5, "DpcLevelLock";
    }
}

/// `KLOCK_QUEUE_HANDLE`: one processor's place in an in-stack queued spin lock.
///
/// Opaque to drivers, and in use by the kernel from the acquire to the release: it must not move.
/// See <https://learn.microsoft.com/windows-hardware/drivers/kernel/queued-spin-locks>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KlockQueueHandle {
    /// `LockQueue.Next`.
    pub next: usize,
    /// `LockQueue.Lock`: the address of the lock's word.
    pub lock: usize,
    /// `OldIrql`: the level that the release restores.
    pub old_irql: Irql,
}

/// `STOR_LOCK_HANDLE.Context`, laid out as [`KlockQueueHandle`].
pub type StorLockContext = KlockQueueHandle;

/// `STOR_LOCK_HANDLE`: what StorPortAcquireSpinLock fills and StorPortReleaseSpinLock reads.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StorLockHandle {
    /// `Lock`: which lock is held.
    pub lock: StorSpinlock,
    /// `Context`: how to give it back.
    pub context: StorLockContext,
}

/// `STOR_KSPIN_LOCK`, and the executive's `KSPIN_LOCK`: zero when free.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportinitializespinlock>.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StorKspinLock(pub usize);

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<KlockQueueHandle>() == 0x18);
    assert!(offset_of!(KlockQueueHandle, next) == 0x00);
    assert!(offset_of!(KlockQueueHandle, lock) == 0x08);
    assert!(offset_of!(KlockQueueHandle, old_irql) == 0x10);
    assert!(size_of::<StorLockHandle>() == 0x20);
    assert!(offset_of!(StorLockHandle, lock) == 0x00);
    assert!(offset_of!(StorLockHandle, context) == 0x08);
    assert!(offset_of!(StorLockHandle, context.next) == 0x08);
    assert!(offset_of!(StorLockHandle, context.lock) == 0x10);
    assert!(offset_of!(StorLockHandle, context.old_irql) == 0x18);
    assert!(size_of::<StorKspinLock>() == 0x08);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zeroed_handle_holds_no_lock() {
        let handle = StorLockHandle::default();
        assert_eq!(handle.lock, StorSpinlock::INVALID);
        assert_eq!(handle.context.old_irql, Irql::PASSIVE);
    }

    #[test]
    fn names() {
        assert_eq!(format!("{:?}", StorSpinlock::START_IO), "StartIoLock");
        assert_eq!(format!("{}", StorSpinlock(9)), "StorSpinlock(0x9)");
    }
}
