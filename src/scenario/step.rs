//! The steps of a scenario: what happens to the adapter, in order.
//!
//! Each step has a fixed size in bytes (see [`super::codec`]). A step is issued [`At::gap`] after the one
//! before, on the processor that it names; several can be under way at once.

use serde::{Deserialize, Serialize};

use super::line::Line;
use crate::miniport::puppet::Call;

/// Where and when a step is issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// Processor, modulo their number.
    pub processor: u8,
    /// Virtual time after the step before: 0 is at once, n is 2^n microseconds, up to 24 (17 seconds).
    pub gap: u8,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Line", into = "Line")]
pub enum Step {
    /// A read, write, flush or unmap.
    Io(At, Io),
    /// A request for information.
    Query(At, Query),
    /// The device interrupts with nothing behind it: message modulo their number.
    Interrupt(At, u8),
    /// StorPort resets something.
    Reset(At, ResetTier),
    /// HwStorAdapterControl, or something that leads to it.
    Adapter(At, AdapterAction),
    /// HwStorUnitControl.
    Unit(At, UnitAction),
    /// The n-th StorPortAllocatePool from here on fails; 0 none, 255 all.
    FailAllocation(At, u8),
    /// Nothing, for as long as the gap says.
    Wait(At),
    /// One call of the puppet's script. Takes no time; see [`Call`].
    Script(Call),
}

/// The kinds of steps, for swarm weights and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum StepKind {
    /// [`Step::Io`] that reads.
    Read,
    /// [`Step::Io`] that writes.
    Write,
    /// [`Step::Io`] that flushes.
    Flush,
    /// [`Step::Io`] that unmaps.
    Unmap,
    /// [`Step::Query`].
    Query,
    /// [`Step::Interrupt`].
    Interrupt,
    /// [`Step::Reset`].
    Reset,
    /// [`Step::Adapter`].
    Adapter,
    /// [`Step::Unit`].
    Unit,
    /// [`Step::FailAllocation`].
    FailAllocation,
    /// [`Step::Wait`].
    Wait,
    /// [`Step::Script`].
    Script,
}

impl StepKind {
    /// Every kind.
    pub const ALL: [StepKind; 12] = [
        StepKind::Read,
        StepKind::Write,
        StepKind::Flush,
        StepKind::Unmap,
        StepKind::Query,
        StepKind::Interrupt,
        StepKind::Reset,
        StepKind::Adapter,
        StepKind::Unit,
        StepKind::FailAllocation,
        StepKind::Wait,
        StepKind::Script,
    ];
}

impl Step {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> StepKind {
        match self {
            Step::Io(_, io) => match io.kind {
                IoKind::Read => StepKind::Read,
                IoKind::Write => StepKind::Write,
                IoKind::Flush => StepKind::Flush,
                IoKind::Unmap => StepKind::Unmap,
            },
            Step::Query(..) => StepKind::Query,
            Step::Interrupt(..) => StepKind::Interrupt,
            Step::Reset(..) => StepKind::Reset,
            Step::Adapter(..) => StepKind::Adapter,
            Step::Unit(..) => StepKind::Unit,
            Step::FailAllocation(..) => StepKind::FailAllocation,
            Step::Wait(_) => StepKind::Wait,
            Step::Script(_) => StepKind::Script,
        }
    }

    /// Where and when it is issued; a script line has neither.
    #[must_use]
    pub const fn at(&self) -> Option<At> {
        match *self {
            Step::Io(at, _)
            | Step::Query(at, _)
            | Step::Interrupt(at, _)
            | Step::Reset(at, _)
            | Step::Adapter(at, _)
            | Step::Unit(at, _)
            | Step::FailAllocation(at, _)
            | Step::Wait(at) => Some(at),
            Step::Script(_) => None,
        }
    }
}

/// An I/O request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Io {
    /// What.
    pub kind: IoKind,
    /// First block, modulo the disk's size.
    pub block: u8,
    /// Blocks, 1 to 48 (as many as fit the disk and the transfer limit).
    pub blocks: u8,
    /// Offset of the buffer in its page, in units of 512 bytes, 0 to 7.
    pub offset: u8,
    /// How the device answers.
    pub answer: Answer,
}

impl Default for Io {
    fn default() -> Self {
        Io { kind: IoKind::Read, block: 0, blocks: 1, offset: 0, answer: Answer::default() }
    }
}

impl Io {
    /// The request without what its kind ignores: the one form of all that mean the same.
    #[must_use]
    pub const fn canonical(self) -> Io {
        match self.kind {
            IoKind::Read | IoKind::Write => self,
            IoKind::Unmap => Io { offset: 0, ..self },
            IoKind::Flush => Io { block: 0, blocks: 1, offset: 0, ..self },
        }
    }
}

/// Kind of I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoKind {
    /// READ(10) or READ(16).
    #[default]
    Read,
    /// WRITE(10) or WRITE(16).
    Write,
    /// SYNCHRONIZE CACHE.
    Flush,
    /// UNMAP.
    Unmap,
}

impl IoKind {
    /// Every value.
    pub const ALL: [IoKind; 4] = [IoKind::Read, IoKind::Write, IoKind::Flush, IoKind::Unmap];
}

/// How the device answers one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// How it ends.
    pub outcome: Outcome,
    /// Latency: the device's base latency times 2^n, 0 to 7.
    pub slowness: u8,
}

/// How the device ends one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Success.
    #[default]
    Success,
    /// A status that says the medium failed; nothing transferred.
    MediaError,
    /// A status that asks to try again (Namespace Not Ready, no Do Not Retry).
    Retry,
    /// Never, until a reset.
    Silence,
    /// Success, but only after the request's timeout has passed.
    Late,
    /// Success, but the interrupt is lost.
    NoInterrupt,
    /// Success, answered twice.
    Twice,
    /// A completion whose identifier names no command, then the right one.
    Garbage,
}

impl Outcome {
    /// Every value.
    pub const ALL: [Outcome; 8] = [
        Outcome::Success,
        Outcome::MediaError,
        Outcome::Retry,
        Outcome::Silence,
        Outcome::Late,
        Outcome::NoInterrupt,
        Outcome::Twice,
        Outcome::Garbage,
    ];
}

/// A request for information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// INQUIRY.
    #[default]
    Inquiry,
    /// INQUIRY, list of VPD pages.
    VpdPages,
    /// INQUIRY, unit serial number.
    VpdSerial,
    /// INQUIRY, device identification.
    VpdDevice,
    /// INQUIRY, block limits.
    VpdBlockLimits,
    /// INQUIRY, block device characteristics.
    VpdCharacteristics,
    /// INQUIRY, logical block provisioning.
    VpdProvisioning,
    /// READ CAPACITY(10).
    ReadCapacity10,
    /// READ CAPACITY(16).
    ReadCapacity16,
    /// MODE SENSE(6), all pages.
    ModeSense6,
    /// MODE SENSE(10), caching page.
    ModeSense10,
    /// REPORT LUNS.
    ReportLuns,
    /// TEST UNIT READY.
    TestUnitReady,
    /// START STOP UNIT.
    StartStopUnit,
    /// A CDB that no disk knows.
    Unknown,
    /// INQUIRY of a LUN that does not exist.
    AbsentLun,
    /// SRB_FUNCTION_FLUSH.
    FunctionFlush,
    /// SRB_FUNCTION_SHUTDOWN.
    FunctionShutdown,
    /// SRB_FUNCTION_PNP.
    FunctionPnp,
    /// SRB_FUNCTION_POWER.
    FunctionPower,
    /// A function that no miniport knows.
    FunctionUnknown,
}

impl Query {
    /// Every value.
    pub const ALL: [Query; 21] = [
        Query::Inquiry,
        Query::VpdPages,
        Query::VpdSerial,
        Query::VpdDevice,
        Query::VpdBlockLimits,
        Query::VpdCharacteristics,
        Query::VpdProvisioning,
        Query::ReadCapacity10,
        Query::ReadCapacity16,
        Query::ModeSense6,
        Query::ModeSense10,
        Query::ReportLuns,
        Query::TestUnitReady,
        Query::StartStopUnit,
        Query::Unknown,
        Query::AbsentLun,
        Query::FunctionFlush,
        Query::FunctionShutdown,
        Query::FunctionPnp,
        Query::FunctionPower,
        Query::FunctionUnknown,
    ];
}

/// What StorPort resets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResetTier {
    /// SRB_FUNCTION_RESET_LOGICAL_UNIT.
    #[default]
    LogicalUnit,
    /// SRB_FUNCTION_RESET_DEVICE.
    Target,
    /// HwStorResetBus.
    Bus,
    /// SRB_FUNCTION_ABORT_COMMAND for the oldest outstanding request.
    Abort,
}

impl ResetTier {
    /// Every value.
    pub const ALL: [ResetTier; 4] =
        [ResetTier::LogicalUnit, ResetTier::Target, ResetTier::Bus, ResetTier::Abort];
}

/// What happens to the adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdapterAction {
    /// ScsiStopAdapter, then ScsiRestartAdapter, once nothing is outstanding.
    #[default]
    StopAndRestart,
    /// ScsiAdapterPower to D3 and back to D0, with stop and restart in between as StorPort does.
    PowerCycle,
    /// ScsiAdapterSurpriseRemoval; requests may be outstanding.
    SurpriseRemoval,
    /// HwStorTracingEnabled.
    TracingEnabled,
    /// ScsiQuerySupportedControlTypes again.
    QuerySupported,
}

impl AdapterAction {
    /// Every value.
    pub const ALL: [AdapterAction; 5] = [
        AdapterAction::StopAndRestart,
        AdapterAction::PowerCycle,
        AdapterAction::SurpriseRemoval,
        AdapterAction::TracingEnabled,
        AdapterAction::QuerySupported,
    ];
}

/// What happens to the unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnitAction {
    /// ScsiUnitStart.
    #[default]
    Start,
    /// ScsiUnitUsage.
    Usage,
    /// ScsiUnitPower.
    Power,
    /// ScsiUnitRemove.
    Remove,
    /// ScsiUnitSurpriseRemoval.
    SurpriseRemoval,
}

impl UnitAction {
    /// Every value.
    pub const ALL: [UnitAction; 5] = [
        UnitAction::Start,
        UnitAction::Usage,
        UnitAction::Power,
        UnitAction::Remove,
        UnitAction::SurpriseRemoval,
    ];
}
