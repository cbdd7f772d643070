//! What an adapter is, as its driver configured it: the part of the vocabulary that other events are judged by.

use crate::storport::Irql;

/// Physical or virtual miniport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Miniport {
    /// Has hardware, interrupts and HwStorBuildIo.
    Physical,
    /// Has neither; StorPort holds no lock around its HwStorStartIo.
    Virtual,
}

/// SynchronizationModel of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Duplex {
    /// StorSynchronizeHalfDuplex: HwStorStartIo runs at DIRQL under StartIo and Interrupt.
    Half,
    /// StorSynchronizeFullDuplex.
    Full,
}

/// How the adapter interrupts and which lock its handler runs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub enum Interrupts {
    /// None: a virtual miniport.
    None,
    /// One line; HwStorInterrupt under the Interrupt lock.
    Line,
    /// Messages, InterruptSynchronizeAll: HwMSInterruptRoutine under the one Interrupt lock.
    MessagesTogether,
    /// Messages, InterruptSynchronizePerMessage: HwMSInterruptRoutine under its message's lock.
    PerMessage,
}

/// What the adapter is, as its driver configured it; fixed when HwStorFindAdapter has returned, but
/// for the channels, which StorPortInitializePerfOpts sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub struct Adapter {
    /// Physical or virtual.
    pub miniport: Miniport,
    /// Half or full duplex.
    pub duplex: Duplex,
    /// How it interrupts.
    pub interrupts: Interrupts,
    /// How many messages it was granted; 0 with a line.
    pub messages: u8,
    /// Calls of HwStorStartIo that may run at once; 0 and 1 are one.
    pub channels: u8,
    /// IRQL of its interrupts.
    pub device_irql: Irql,
    /// Loaded to write a crash dump: one processor, no interrupts, every lock void.
    pub dump: bool,
    /// The driver called StorPortInitializePerfOpts with
    /// STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO and it was granted.
    pub completes_in_start_io: bool,
    /// HwStorAdapterControl stops and restarts at DIRQL under the Interrupt lock, as its own page says,
    /// instead of under no lock, as the lock tables say.
    pub control_under_interrupt_lock: bool,
}
