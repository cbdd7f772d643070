//! The miniport's routines that StorPort calls.

/// The routine of the miniport that StorPort called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Routine {
    /// HwStorFindAdapter.
    FindAdapter,
    /// HwStorInitialize.
    Initialize,
    /// HwStorPassiveInitializeRoutine.
    PassiveInitialize,
    /// HwStorBuildIo; the subject is the request.
    BuildIo,
    /// HwStorStartIo; the subject is the request.
    StartIo,
    /// HwStorInterrupt.
    Interrupt,
    /// HwMSInterruptRoutine; the subject is the message.
    MessageInterrupt,
    /// HwStorDpcRoutine; the subject is the DPC.
    Dpc,
    /// HwStorTimer, set by RequestTimerCall.
    Timer,
    /// HW_TIMER_EX, set by StorPortRequestTimer; the subject is the timer.
    TimerEx,
    /// HW_WORKITEM; the subject is the worker.
    WorkItem,
    /// HwStorResetBus; the subject is the path.
    ResetBus,
    /// HwStorStateChange.
    StateChange,
    /// HwStorAdapterControl; the subject is the control type.
    AdapterControl,
    /// HwStorUnitControl; the subject is the control type.
    UnitControl,
    /// HwStorTracingEnabled.
    TracingEnabled,
    /// The routine given to StorPortSynchronizeAccess.
    Synchronized,
}

impl Routine {
    /// Every routine, in the order of declaration.
    pub const ALL: [Routine; 17] = [
        Routine::FindAdapter,
        Routine::Initialize,
        Routine::PassiveInitialize,
        Routine::BuildIo,
        Routine::StartIo,
        Routine::Interrupt,
        Routine::MessageInterrupt,
        Routine::Dpc,
        Routine::Timer,
        Routine::TimerEx,
        Routine::WorkItem,
        Routine::ResetBus,
        Routine::StateChange,
        Routine::AdapterControl,
        Routine::UnitControl,
        Routine::TracingEnabled,
        Routine::Synchronized,
    ];
}
