//! What happened: the one vocabulary that the machine writes and that rules, coverage and the
//! timeline read.
//!
//! An [`Event`] says when, on which processor, at which IRQL, how deep in nested callbacks, where in
//! the driver, and what. It holds no address and no clock reading: the same scenario and the same driver give the
//! same events on any host and in any build. Facts that only the producer can know (whose handle it was,
//! whether the device still owned a buffer) are in the event as small enums, so that a rule never asks
//! the machine anything, and the same rules can judge events recorded elsewhere.

mod access;
mod adapter;
mod lock;
mod names;
pub(crate) mod number;
mod routine;
mod sink;
mod site;

#[cfg(feature = "host")]
pub use names::name_image_sites;

pub use access::{Access, Area, Touch};
pub use adapter::{Adapter, Duplex, Interrupts, Miniport};
pub use lock::{Handle, Lock, LockApi, LockMisuse};
pub use routine::Routine;
pub use sink::{Deaf, Flow, Mark, Pick, Point, Sink};
pub use site::{Site, SourceLine};

use crate::storport::{Ddi, Irql, SrbStatus, StorStatus};

/// Most virtual processors that a run can have.
pub const PROCESSORS_MAX: usize = 8;
/// Most MSI messages that an adapter can be granted.
pub const MESSAGES_MAX: usize = 64;
/// Most STOR_DPC objects that a driver may initialise in a run.
pub const DPCS_MAX: usize = 32;
/// Most executive spin locks that a driver may use in a run.
pub const EXECUTIVE_LOCKS_MAX: usize = 32;
/// Most callbacks that can be nested on one processor: a thread, a DPC on it, and one interrupt for
/// each device IRQL, each with a synchronised routine inside; rounded up.
pub const DEPTH_MAX: usize = 24;

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Virtual time since the start of the run, in nanoseconds.
    pub time: u64,
    /// Where in the driver.
    pub site: Site,
    /// What.
    pub kind: Kind,
    /// On which virtual processor.
    pub processor: u8,
    /// The processor's IRQL just before what happened took effect.
    pub irql: Irql,
    /// How many callbacks are active on the processor, the one that did it included; 0 is StorPort's own
    /// code outside any callback.
    pub depth: u8,
}

/// Who owned a request when it was completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Owner {
    /// The miniport: the completion is in order.
    Miniport,
    /// StorPort: it had been completed before.
    Port,
    /// StorPort, because a reset or removal had completed it on the miniport's behalf
    /// (StorPortCompleteRequest).
    PortAfterReset,
    /// Nobody: no request of StorPort lies there.
    Nobody,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Kind {
    // The run.
    /// First event of every run.
    Started {
        /// Virtual processors of the machine.
        processors: u8,
    },
    /// The adapter is configured, or configured anew.
    Configured(Adapter),
    /// Faults end here; from now on everything must become quiet.
    Quiescing,
    /// The adapter was stopped, removed or unloaded: no lock may be held, no request outstanding.
    AdapterStopped {
        /// It was removed by surprise; requests may still have been outstanding.
        surprise: bool,
    },
    /// Last event of a run that became quiet.
    Finished,
    /// No processor can move; this processor waits for `lock` in a cycle of waits. One event for each
    /// processor of the cycle, in the order of the cycle, each telling who holds what it waits for.
    Deadlocked {
        /// The lock that the processor waits for.
        lock: Lock,
        /// The processor that holds it.
        holder: u8,
        /// Processors in the cycle; 1 means that it waits for itself.
        length: u8,
    },
    /// The step budget is spent although processors could still move.
    Hung,
    /// The driver did what stops Windows, or what the machine has no model for.
    Crashed {
        /// What it was.
        cause: Cause,
    },

    // Callbacks.
    /// StorPort calls a routine of the miniport. `Event::irql` is the level at which it is called, so the
    /// locks that StorPort takes for it have been told of before.
    Entered {
        /// Which.
        routine: Routine,
        /// About what: see [`Routine`].
        subject: u16,
    },
    /// The routine returned.
    Left {
        /// Which.
        routine: Routine,
        /// What it returned; 0 for none.
        result: u32,
        /// How long the processor itself was busy in it, in virtual nanoseconds.
        busy_ns: u32,
    },

    // Locks.
    /// The lock is held by somebody: the processor begins to wait. [`Kind::LockAcquired`] follows, or nothing.
    /// A lock that is free has only the LockAcquired event.
    LockWaited {
        /// Which lock.
        lock: Lock,
        /// By which routine.
        api: LockApi,
        /// The processor that holds it now.
        holder: u8,
    },
    /// The lock is taken. Where the routine raises the IRQL, it does so with this event: it was
    /// `Event::irql` before and is `irql` from now on.
    LockAcquired {
        /// Which lock.
        lock: Lock,
        /// By which routine.
        api: LockApi,
        /// IRQL after the acquire.
        irql: Irql,
        /// It had to wait.
        contended: bool,
    },
    /// The lock is given back. The IRQL becomes `irql`.
    LockReleased {
        /// Which lock.
        lock: Lock,
        /// By which routine.
        api: LockApi,
        /// The processor that held it, if any.
        holder: Option<u8>,
        /// How the handle compares with the acquire's.
        handle: Handle,
        /// The OldIrql that the driver gives back; the IRQL after the release.
        irql: Irql,
        /// The OldIrql that the acquire saved.
        saved: Irql,
        /// How long the processor itself was busy between the acquire and now, in virtual nanoseconds. Not the
        /// difference of two event times: those grow while other processors run.
        held_ns: u32,
    },
    /// A lock call that no lock answers to.
    LockMisused {
        /// By which routine.
        api: LockApi,
        /// A release, not an acquire.
        release: bool,
        /// What was wrong.
        misuse: LockMisuse,
    },
    /// StorPortAcquireSpinLockEx or the MSI routines refused with a status, without effect.
    LockRefused {
        /// By which routine.
        api: LockApi,
        /// The status that the driver got.
        status: StorStatus,
    },
    /// A LockContext was given with StartIoLock or InterruptLock, where NULL is required. The call went on.
    ContextIgnored {
        /// By which routine.
        api: LockApi,
    },
    /// An executive spin lock was initialised.
    ExecutiveInitialized {
        /// Which.
        lock: u8,
        /// It had been before.
        again: bool,
        /// It was held at that moment.
        held: bool,
    },
    /// An executive spin lock was used that nobody initialised.
    ExecutiveUninitialized {
        /// Which.
        lock: u8,
    },

    // IRQL.
    /// KeRaiseIrql or KeLowerIrql set the IRQL.
    IrqlSet {
        /// The new IRQL.
        irql: Irql,
        /// By KeRaiseIrql.
        raise: bool,
    },

    // Deferred work.
    /// StorPortInitializeDpc.
    DpcInitialized {
        /// The number that it has from now on.
        dpc: u8,
        /// It was initialised before.
        again: bool,
        /// It was queued at that moment.
        queued: bool,
    },
    /// StorPortIssueDpc.
    DpcIssued {
        /// Which; `None` for an object that was never initialised (the call has no effect).
        dpc: Option<u8>,
        /// It went to the queue; `false` if it was there already.
        queued: bool,
        /// The processor on whose queue it is.
        target: u8,
    },
    /// StorPortCancelDpc.
    DpcCancelled {
        /// Which; `None` for an object that was never initialised.
        dpc: Option<u8>,
        /// It was in the queue.
        removed: bool,
    },
    /// A STOR_DPC's memory changed while it was queued: moved, zeroed or freed.
    DpcCorrupted {
        /// Which.
        dpc: u8,
    },
    /// The device asserts an interrupt; `message` is 0 for a line.
    InterruptRaised {
        /// Which message.
        message: u8,
        /// The processor that it goes to.
        target: u8,
    },
    /// A timer fires soon: StorPort queued its routine. `timer` 0 is RequestTimerCall's.
    TimerExpired {
        /// Which timer.
        timer: u8,
    },

    // Requests.
    /// StorPort has a new request for the miniport.
    RequestCreated {
        /// Its number.
        request: u16,
        /// SRB_FUNCTION_*.
        function: u8,
    },
    /// HwStorBuildIo or HwStorStartIo refused it for now, or it was completed with SRB_STATUS_BUSY:
    /// StorPort keeps it and tries again.
    RequestDeferred {
        /// Which.
        request: u16,
    },
    /// The miniport says that it is done.
    RequestCompleted {
        /// Which; `u16::MAX` if `owner` is [`Owner::Nobody`].
        request: u16,
        /// SrbStatus in the SRB.
        status: SrbStatus,
        /// Who owned it until now.
        owner: Owner,
        /// A command for it, with its buffers, is still with the device.
        device_owns: bool,
        /// Some processor is still inside HwStorBuildIo or HwStorStartIo with this request, other than the
        /// one that completes it.
        starting_elsewhere: bool,
    },
    /// StorPortCompleteRequest: StorPort completes all requests of a unit itself.
    RequestsCompletedByPort {
        /// How many.
        count: u16,
        /// With which status.
        status: SrbStatus,
    },
    /// The memory of a request, or of its SrbExtension, changed after its completion.
    RequestTouched {
        /// Which.
        request: u16,
    },
    /// A read's buffer does not hold what was last written.
    DataWrong {
        /// Which.
        request: u16,
    },
    /// Its TimeOutValue has passed; StorPort begins to reset.
    RequestTimedOut {
        /// Which.
        request: u16,
    },
    /// After every reset it is still not complete.
    RequestLost {
        /// Which.
        request: u16,
    },

    // Everything else that a driver calls.
    /// A DDI without an event kind of its own.
    ///
    /// Where neither argument nor result would say what matters: bit 1 of StorPortInitializePerfOpts' argument
    /// says that there was no data; RequestTimerCall's result is 1 with a routine and 0 without;
    /// StorPortFreePool's is STOR_STATUS_INVALID_PARAMETER for memory that is not allocated.
    Called {
        /// Which.
        ddi: Ddi,
        /// Its most telling argument: bytes, offset, microseconds, seconds, notification type.
        argument: u32,
        /// What it returned: STOR_STATUS_*, BOOLEAN, or 0.
        result: u32,
    },
    /// FindAdapter returned and left something in ConfigInfo that the documentation forbids.
    ConfigurationWrong {
        /// What.
        mistake: ConfigurationMistake,
    },

    // Only in a run whose memory is watched; at the end, because event hashes count places.
    /// The driver touches memory that several processors reach: just before it does.
    Accessed(Access),
    /// StorPort begins or ends a call of HwStorStartIo on one of its concurrent channels, each of which has one call at
    /// a time.
    Channel {
        /// Which channel.
        channel: u8,
        /// It begins.
        begins: bool,
    },
}

/// Why a driver cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Cause {
    /// A Rust core panicked.
    Panic,
    /// It touched memory that is not its own.
    AccessViolation,
    /// Its stack is used up.
    StackOverflow,
    /// What it executed is no instruction.
    IllegalInstruction,
    /// A privileged instruction that no miniport has a use for.
    PrivilegedInstruction,
    /// It divided by zero, or the quotient was too large.
    DivisionByZero,
    /// `int 29h`: a check that the compiler put in failed.
    FastFail,
    /// A breakpoint, with no debugger to take it.
    Breakpoint,
    /// It gave StorPort or the kernel a pointer to memory that is not its own.
    BadPointer,
    /// It called KeBugCheck or KeBugCheckEx.
    BugCheck,
    /// It called a routine that the machine has no model for: no mistake of the driver's, and no finding.
    Unmodelled,
}

/// What HwStorFindAdapter may leave wrong in PORT_CONFIGURATION_INFORMATION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum ConfigurationMistake {
    /// MaximumTransferLength or NumberOfPhysicalBreaks still has SP_UNINITIALIZED_VALUE.
    TransferLimitsUnset,
    /// VirtualDevice does not agree with the kind of miniport.
    VirtualDeviceWrong,
    /// The return value is none of SP_RETURN_*.
    ReturnValueUnknown,
}
