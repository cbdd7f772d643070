//! What a line of a script can do: [`Op`].
//!
//! Their order is part of the scenario format: a new op needs a new version of it.

#[cfg(doc)]
use super::script::{Call, Context};

/// Which operands of a [`Call`] an op reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "one for each operand of a call, not a state")]
pub struct Operands {
    /// [`Call::lock`].
    pub lock: bool,
    /// [`Call::context`].
    pub context: bool,
    /// [`Call::slot`].
    pub slot: bool,
    /// [`Call::argument`].
    pub argument: bool,
}

/// Declares [`Op`] from rows of name and operands.
macro_rules! ops {
    ($($(#[$doc:meta])* $op:ident ($($operand:ident)*);)*) => {
        /// What a line of a script does. Most are one DDI call, named for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
        #[repr(u8)]
        pub enum Op { $($(#[$doc])* $op,)* }

        impl Op {
            /// Every op, in the order of declaration.
            pub const ALL: &'static [Op] = &[$(Op::$op,)*];

            /// Which operands it reads.
            #[must_use]
            #[allow(clippy::needless_update, reason = "some ops read every operand")]
            pub const fn operands(self) -> Operands {
                const NONE: Operands =
                    Operands { lock: false, context: false, slot: false, argument: false };
                match self { $(Op::$op => Operands { $($operand: true,)* ..NONE },)* }
            }
        }
    };
}

ops! {
    // Locks of StorPort.
    /// StorPortAcquireSpinLock, filling the slot's handle.
    Acquire(lock context slot argument);
    /// StorPortAcquireSpinLockEx, filling the slot's handle.
    AcquireEx(lock context slot argument);
    /// StorPortReleaseSpinLock with the slot's handle, filled or not.
    Release(slot);
    /// StorPortAcquireMSISpinLock of message `argument`; the slot keeps OldIrql.
    AcquireMsi(context slot argument);
    /// StorPortReleaseMSISpinLock of message `argument` with the slot's OldIrql.
    ReleaseMsi(context slot argument);
    /// StorPortSynchronizeAccess; the lines of routine Synchronized play inside.
    Synchronize();

    // The puppet's own memory of them.
    /// Copies the slot's handle to slot `argument`, byte for byte.
    CopyHandle(slot argument);
    /// Overwrites STOR_LOCK_HANDLE.Lock in the slot with `lock`.
    RelabelHandle(lock slot);
    /// Overwrites every OldIrql in the slot with `argument`.
    SetOldIrql(slot argument);

    // Executive spin locks.
    /// KeInitializeSpinLock of executive lock `argument`.
    KeInitialize(argument);
    /// KeAcquireSpinLock; the slot keeps OldIrql.
    KeAcquire(slot argument);
    /// KeReleaseSpinLock with the slot's OldIrql.
    KeRelease(slot argument);
    /// KeAcquireSpinLockAtDpcLevel.
    KeAcquireAtDpcLevel(argument);
    /// KeReleaseSpinLockFromDpcLevel.
    KeReleaseFromDpcLevel(argument);
    /// KeAcquireInStackQueuedSpinLock, filling the slot's queue handle.
    KeAcquireQueued(slot argument);
    /// KeReleaseInStackQueuedSpinLock with the slot's queue handle.
    KeReleaseQueued(slot);
    /// KeRaiseIrql to `argument`; the slot keeps OldIrql.
    RaiseIrql(slot argument);
    /// KeLowerIrql to `argument`.
    LowerIrql(argument);
    /// KeLowerIrql to the slot's OldIrql.
    RestoreIrql(slot);

    // DPCs.
    /// StorPortInitializeDpc of DPC `argument`.
    InitializeDpc(context argument);
    /// StorPortIssueDpc.
    IssueDpc(context argument);
    /// StorPortCancelDpc.
    CancelDpc(context argument);
    /// StorPortSetTargetProcessorDpc: DPC `argument` to processor `slot`.
    SetTargetDpc(context slot argument);
    /// Copies the STOR_DPC's bytes to its other place ([`Context::Copy`]).
    CopyDpc(argument);
    /// Fills the STOR_DPC with zeroes.
    ZeroDpc(context argument);

    // Requests. The current request is that of HwStorBuildIo and HwStorStartIo.
    /// RequestComplete of the current request with SRB_STATUS_SUCCESS. Without one: as `CompleteOldest`.
    Complete();
    /// The same with SRB_STATUS_BUSY.
    CompleteBusy();
    /// The same with SRB_STATUS_PENDING, which no completed request may have.
    CompletePending();
    /// The same with SRB_STATUS_ERROR.
    CompleteError();
    /// RequestComplete of the current request, or of the one completed last, although it is complete.
    CompleteAgain();
    /// RequestComplete of an SRB that StorPort never sent.
    CompleteUnknown();
    /// Keeps the current request for later.
    Keep();
    /// RequestComplete of the request kept first; nothing if none is.
    CompleteOldest();
    /// Forgets every kept request, completing none.
    Forget();
    /// Changes SrbStatus of the current request, or of the one completed last.
    TouchRequest();
    /// Changes a byte of its SrbExtension.
    TouchSrbExtension();
    /// StorPortCompleteRequest of all units with SRB_STATUS_BUS_RESET. Deprecated by its page.
    CompleteByPort();

    // What the callback does by itself and what it returns.
    /// The callback leaves out what it does by itself (see [`super::Puppet`]).
    SkipDefault();
    /// It returns TRUE, or success.
    ReturnTrue();
    /// It returns FALSE, or failure.
    ReturnFalse();
    /// HwStorFindAdapter returns a value that is none of SP_RETURN_*.
    ReturnUnknown();
    /// HwStorFindAdapter leaves MaximumTransferLength and NumberOfPhysicalBreaks unset.
    LeaveTransferLimits();
    /// HwStorFindAdapter says in VirtualDevice what it is not.
    FlipVirtualDevice();

    // Queues and notifications.
    /// StorPortPause for `argument` seconds.
    Pause(argument);
    /// StorPortResume.
    Resume();
    /// StorPortPauseDevice for `argument` seconds.
    PauseDevice(argument);
    /// StorPortResumeDevice.
    ResumeDevice();
    /// StorPortBusy until `argument` requests have completed.
    Busy(argument);
    /// StorPortReady.
    Ready();
    /// StorPortDeviceBusy until `argument` requests have completed.
    DeviceBusy(argument);
    /// StorPortDeviceReady.
    DeviceReady();
    /// StorPortSetDeviceQueueDepth to `argument`.
    SetQueueDepth(argument);
    /// StorPortNotification(ResetDetected).
    ResetDetected();
    /// StorPortNotification(BusChangeDetected).
    BusChangeDetected();
    /// StorPortNotification(LinkUp).
    LinkUp();
    /// StorPortNotification(LinkDown).
    LinkDown();
    /// StorPortNotification with NextRequest, a type that no StorPort miniport may use.
    NotifyUndocumented();
    /// StorPortStateChangeDetected.
    StateChange();

    // Time and deferred routines.
    /// StorPortStallExecution for `argument` microseconds.
    StallMicroseconds(argument);
    /// StorPortStallExecution for `argument` milliseconds.
    StallMilliseconds(argument);
    /// StorPortStallExecution for `argument` seconds.
    StallSeconds(argument);
    /// StorPortQuerySystemTime.
    QuerySystemTime();
    /// StorPortNotification(RequestTimerCall) in `argument` milliseconds, 0 cancels; with context Null
    /// without a routine.
    RequestTimerCall(context argument);
    /// StorPortInitializeTimer into timer slot `slot`.
    InitializeTimer(slot);
    /// StorPortRequestTimer of that timer in `argument` milliseconds, 0 cancels; nothing if it was never
    /// initialised.
    RequestTimer(slot argument);
    /// StorPortFreeTimer; nothing if it was never initialised.
    FreeTimer(slot);
    /// StorPortInitializeWorker into worker slot `slot`.
    InitializeWorker(slot);
    /// StorPortQueueWorkItem; nothing if the worker was never initialised.
    QueueWorkItem(slot);
    /// StorPortFreeWorker; nothing if the worker was never initialised.
    FreeWorker(slot);

    // Memory and resources.
    /// StorPortAllocatePool of 64 bytes into pool slot `slot`, freed before or not.
    AllocatePool(slot);
    /// StorPortFreePool of it; nothing if it is not allocated. With context Foreign: of memory that is not
    /// pool.
    FreePool(context slot);
    /// StorPortGetUncachedExtension.
    GetUncachedExtension();
    /// StorPortGetDeviceBase of the first register range.
    GetDeviceBase();
    /// StorPortFreeDeviceBase of what the last StorPortGetDeviceBase gave.
    FreeDeviceBase();
    /// StorPortGetPhysicalAddress of the device extension.
    GetPhysicalAddress();
    /// StorPortGetScatterGatherList of the current request.
    GetScatterGatherList();
    /// StorPortGetSystemAddress of the current request.
    GetSystemAddress();
    /// StorPortGetBusData.
    GetBusData();
    /// StorPortRegistryRead.
    RegistryRead();

    // Options and messages.
    /// StorPortInitializePerfOpts with the STOR_PERF_* flags that `argument` says in the bits of
    /// [`Perf`](crate::scenario::Perf); with context Null without data.
    InitializePerfOpts(context argument);
    /// StorPortInitializePerfOpts, asking what is supported.
    QueryPerfOpts();
    /// StorPortGetStartIoPerfParams of the current request.
    GetStartIoPerfParams();
    /// StorPortGetMSIInfo of message `argument`.
    GetMsiInfo(argument);
    /// StorPortEnablePassiveInitialization.
    EnablePassiveInitialization();
    /// StorPortGetCurrentProcessorNumber.
    GetProcessorNumber();
    /// StorPortLogError. Deprecated.
    LogError();
    /// StorPortValidateRange. Deprecated.
    ValidateRange();

    // The bare device.
    /// A register write that makes the device send message `argument`, or assert its line.
    SendMessage(argument);
    /// A register write that makes the device deassert its line.
    DeassertLine();
    /// A register read at offset 4 * `argument`.
    ReadRegister(argument);

    // The end.
    /// The driver panics.
    Panic();
}

impl Op {
    /// The op that undoes it: the release of an acquire, with the same operands.
    #[must_use]
    pub const fn undone_by(self) -> Option<Op> {
        match self {
            Op::Acquire | Op::AcquireEx => Some(Op::Release),
            Op::AcquireMsi => Some(Op::ReleaseMsi),
            Op::KeAcquire => Some(Op::KeRelease),
            Op::KeAcquireAtDpcLevel => Some(Op::KeReleaseFromDpcLevel),
            Op::KeAcquireQueued => Some(Op::KeReleaseQueued),
            Op::RaiseIrql => Some(Op::RestoreIrql),
            _ => None,
        }
    }
}
