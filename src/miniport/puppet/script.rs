//! The words of a script: which DDI call the puppet makes, in which of its callbacks, with what.
//!
//! A [`Call`] is plain data of seven small fields. Its operands are numbers of things that the puppet
//! owns (handle slots, DPC objects, executive locks, timers), brought down to how many there are, so every
//! call can be played; whether it is *legal* is for the rules to say.

use crate::event::Routine;

/// Slots for what one lock call leaves behind for another: 0 to 3 lie in the stack frame of the callback
/// that plays, fresh for each, as in most drivers; 4 to 7 lie in the device extension, for all callbacks on
/// all processors.
pub const SLOTS: usize = 8;
/// The first slot that all callbacks share.
pub const FIRST_SHARED_SLOT: usize = 4;
/// STOR_DPC objects of the puppet, and as many places to copy them to. A larger number means one of those
/// that are initialised.
pub const DPCS: usize = 8;
/// How many of them HwStorPassiveInitializeRoutine initialises.
pub const DPCS_INITIALIZED: usize = 4;
/// Executive spin locks of the puppet. A larger number means one of those that are initialised.
pub const EXECUTIVE_LOCKS: usize = 8;
/// How many of them HwStorFindAdapter initialises.
pub const EXECUTIVE_LOCKS_INITIALIZED: usize = 4;
/// Largest [`Call::argument`].
pub const ARGUMENT_MAX: u8 = 127;

/// What the puppet is to do: the HwContext of its HwStorFindAdapter.
///
/// Whoever makes one owns it and the calls behind it, and keeps both in place and unchanged for as long
/// as the adapter lives.
#[repr(C)]
#[derive(Debug)]
pub struct Script {
    /// The calls, in the order in which they are played.
    pub calls: *const Call,
    /// How many.
    pub count: u32,
}

impl Script {
    /// The script of these calls.
    #[must_use]
    pub const fn new(calls: &[Call]) -> Script {
        Script { calls: calls.as_ptr(), count: calls.len() as u32 }
    }
}

/// One line of a script: in callback `routine`, on the invocations that `when` names, do `op`.
///
/// Lines that are addressed to the same routine are played in the order in which they stand. In a
/// scenario's text a line names what its `op` uses and leaves out what has its first value:
/// `Script(routine: Dpc, op: Acquire, lock: Interrupt)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub struct Call {
    /// The callback that plays it.
    pub routine: Routine,
    /// On which invocations of that callback.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub when: When,
    /// What to do.
    pub op: Op,
    /// The kind of lock that [`Op::Acquire`], [`Op::AcquireEx`] and [`Op::RelabelHandle`] name.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub lock: LockName,
    /// Which STOR_DPC, message or other object a pointer argument really names.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub context: Context,
    /// Handle, timer, worker or pool slot, modulo how many there are.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub slot: u8,
    /// The number that the op takes: of a DPC, message or executive lock, or an amount, up to
    /// [`ARGUMENT_MAX`].
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub argument: u8,
}

/// Whether a field has its first value, which text leaves out.
#[cfg(feature = "host")]
fn is_first<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Call {
    /// A call of `op` in every invocation of `routine`, with the first value of every operand.
    #[must_use]
    pub const fn new(routine: Routine, op: Op) -> Call {
        Call {
            routine,
            when: When::Always,
            op,
            lock: LockName::Invalid,
            context: Context::Proper,
            slot: 0,
            argument: 0,
        }
    }

    /// The same call on other invocations.
    #[must_use]
    pub const fn when(self, when: When) -> Call {
        Call { when, ..self }
    }

    /// The same call, naming `lock`.
    #[must_use]
    pub const fn lock(self, lock: LockName) -> Call {
        Call { lock, ..self }
    }

    /// The same call with another context.
    #[must_use]
    pub const fn context(self, context: Context) -> Call {
        Call { context, ..self }
    }

    /// The same call with another slot.
    #[must_use]
    pub const fn slot(self, slot: u8) -> Call {
        Call { slot, ..self }
    }

    /// The same call with another argument.
    #[must_use]
    pub const fn argument(self, argument: u8) -> Call {
        Call { argument, ..self }
    }

    /// The call without the operands that its op ignores, and with the others within their bounds: the one
    /// form of all calls that do the same.
    #[must_use]
    pub const fn canonical(self) -> Call {
        let plain = Call::new(self.routine, self.op).when(self.when);
        let uses = self.op.operands();
        Call {
            lock: if uses.lock { self.lock } else { plain.lock },
            context: if uses.context { self.context } else { plain.context },
            slot: if uses.slot { self.slot % SLOTS as u8 } else { plain.slot },
            argument: if !uses.argument {
                plain.argument
            } else if self.argument > ARGUMENT_MAX {
                ARGUMENT_MAX
            } else {
                self.argument
            },
            ..plain
        }
    }
}

/// Completes each request in HwStorStartIo, as the puppet does by itself.
impl Default for Call {
    fn default() -> Self {
        Call::new(Routine::StartIo, Op::Complete)
    }
}

/// On which invocations of its callback a call is played, counted over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum When {
    /// On every one.
    #[default]
    Always,
    /// On the first.
    First,
    /// On the second.
    Second,
    /// On the third.
    Third,
    /// On all but the first.
    AfterFirst,
    /// On the first, third, fifth ...
    EveryOther,
}

impl When {
    /// Every value.
    pub const ALL: [When; 6] =
        [When::Always, When::First, When::Second, When::Third, When::AfterFirst, When::EveryOther];

    /// Whether the invocation with this number, counted from 0, is one of them.
    #[must_use]
    pub const fn fits(self, invocation: u32) -> bool {
        match self {
            When::Always => true,
            When::First => invocation == 0,
            When::Second => invocation == 1,
            When::Third => invocation == 2,
            When::AfterFirst => invocation > 0,
            When::EveryOther => invocation.is_multiple_of(2),
        }
    }
}

/// A STOR_SPINLOCK value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum LockName {
    /// InvalidLock, 0.
    #[default]
    Invalid,
    /// StartIoLock.
    StartIo,
    /// InterruptLock.
    Interrupt,
    /// DpcLock of DPC number `argument`.
    Dpc,
    /// ThreadedDpcLock of DPC number `argument`.
    ThreadedDpc,
    /// DpcLevelLock of DPC number `argument`.
    DpcLevel,
    /// A value past the last that exists.
    Unknown,
}

impl LockName {
    /// Every value.
    pub const ALL: [LockName; 7] = [
        LockName::Invalid,
        LockName::StartIo,
        LockName::Interrupt,
        LockName::Dpc,
        LockName::ThreadedDpc,
        LockName::DpcLevel,
        LockName::Unknown,
    ];
}

/// Which object a call is really given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Context {
    /// The one that the documentation asks for: NULL with StartIoLock and InterruptLock, else the object
    /// that `argument` numbers.
    #[default]
    Proper,
    /// The one that the callback is about, plus `argument`: in HwStorDpcRoutine the DPC that runs, in
    /// HwMSInterruptRoutine the message that came. Elsewhere as `Proper`.
    Own,
    /// NULL.
    Null,
    /// The STOR_DPC that `argument` numbers, also where NULL is required.
    Dpc,
    /// Where [`Op::CopyDpc`] copied that STOR_DPC to.
    Copy,
    /// A zeroed STOR_DPC outside the device extension.
    Foreign,
}

impl Context {
    /// Every value.
    pub const ALL: [Context; 6] = [
        Context::Proper,
        Context::Own,
        Context::Null,
        Context::Dpc,
        Context::Copy,
        Context::Foreign,
    ];
}

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
