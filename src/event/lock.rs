//! The locks of the contract, and how they are asked for and given back.

/// A lock of the StorPort contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Lock {
    /// The adapter's StartIo lock.
    StartIo,
    /// The adapter's Interrupt lock. With per-message synchronisation: every message's lock at once.
    Interrupt,
    /// One message's lock; exists only with per-message synchronisation.
    Message(u8),
    /// The lock inside a STOR_DPC, numbered in order of initialisation.
    Dpc(u8),
    /// An executive spin lock (KSPIN_LOCK), numbered in order of first use.
    Executive(u8),
}

/// How a lock was asked for or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum LockApi {
    /// By StorPort itself, around a callback.
    Port,
    /// StorPortAcquireSpinLock / StorPortReleaseSpinLock.
    Spin,
    /// StorPortAcquireSpinLockEx with DpcLock, StartIoLock or InterruptLock.
    SpinEx,
    /// StorPortAcquireSpinLockEx with ThreadedDpcLock.
    ThreadedDpc,
    /// StorPortAcquireSpinLockEx with DpcLevelLock: the IRQL is not raised.
    DpcLevel,
    /// StorPortAcquireMSISpinLock / StorPortReleaseMSISpinLock.
    Msi,
    /// StorPortSynchronizeAccess.
    Synchronize,
    /// KeAcquireSpinLock / KeReleaseSpinLock.
    Ke,
    /// KeAcquireSpinLockAtDpcLevel / KeReleaseSpinLockFromDpcLevel.
    KeDpcLevel,
    /// KeAcquireInStackQueuedSpinLock / KeReleaseInStackQueuedSpinLock.
    KeQueued,
    /// KeAcquireInStackQueuedSpinLockAtDpcLevel / KeReleaseInStackQueuedSpinLockFromDpcLevel.
    KeQueuedDpcLevel,
}

/// What was wrong with a lock call that named no lock the producer could act on, or that no correct
/// driver makes. The call has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum LockMisuse {
    /// A STOR_SPINLOCK value that does not exist.
    UnknownKind,
    /// ThreadedDpcLock or DpcLevelLock through StorPortAcquireSpinLock, which knows neither.
    ExOnlyKind,
    /// DpcLock with a NULL LockContext.
    DpcNull,
    /// DpcLock with a STOR_DPC that was never initialised (or was zeroed since).
    DpcUninitialized,
    /// DpcLock with a STOR_DPC that lies outside the driver's memory or was copied from another place.
    DpcForeign,
    /// A MSI lock although the adapter does not synchronise per message.
    NotPerMessage,
    /// A MessageId that the adapter was not granted.
    MessageOutOfRange,
    /// A release with a handle that no acquire ever filled.
    HandleNeverAcquired,
}

/// How a released handle (or OldIrql) compares with what the acquire gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Handle {
    /// The handle of the acquire that holds the lock now, unchanged, in its place.
    Same,
    /// The right contents, at another address than the acquire's.
    Copied,
    /// The contents of an acquire that has been released already.
    Stale,
    /// The memory of one acquire's handle, but naming another lock than it acquired.
    OtherLock,
    /// The routine of another family than the acquire's (AtDpcLevel against plain, queued against
    /// ordinary, MSI against handle).
    OtherApi,
}
