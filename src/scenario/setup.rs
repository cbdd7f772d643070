//! The configuration of a run: processors, interrupts, options that StorPort grants, failures, and the
//! device's manner.
//!
//! Most lock bugs of shipped drivers need one processor and the right configuration, so every field varies
//! in fuzzing. `Default` is a healthy machine: two processors, a message for each, nothing fails.

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// Serializes of a record only what differs from its default, so that a scenario's text says what is
/// special about it.
macro_rules! serialize_differences {
    ($record:ident { $($field:ident),* $(,)? }) => {
        impl Serialize for $record {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let default = $record::default();
                let differing = [$(self.$field != default.$field),*];
                let count = differing.iter().filter(|&&differs| differs).count();
                let mut record = serializer.serialize_struct(stringify!($record), count)?;
                $(
                    if self.$field == default.$field {
                        record.skip_field(stringify!($field))?;
                    } else {
                        record.serialize_field(stringify!($field), &self.$field)?;
                    }
                )*
                record.end()
            }
        }
    };
}

/// Configuration of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Setup {
    /// Virtual processors, 1 to 8.
    pub processors: u8,
    /// How the adapter interrupts.
    pub interrupts: InterruptKind,
    /// Messages that the platform grants, 1 to 64; ignored with a line.
    pub messages: u8,
    /// Which processor a message (or the line) interrupts.
    pub affinity: Affinity,
    /// The driver is told (registry value `InterruptSynchronizePerMessage`) to synchronise per message
    /// instead of all messages together.
    pub per_message: bool,
    /// The driver is told (registry value `HalfDuplex`) to choose half duplex.
    pub half_duplex: bool,
    /// The puppet registers as a virtual miniport.
    pub virtual_miniport: bool,
    /// The puppet takes SCSI_REQUEST_BLOCK instead of STORAGE_REQUEST_BLOCK.
    pub legacy_srb: bool,
    /// STOR_PERF_* flags that StorPort supports.
    pub perf: Perf,
    /// Concurrent channels that StorPort grants, 1 to 8.
    pub channels: u8,
    /// The message that StorPortGetStartIoPerfParams returns.
    pub start_io_message: StartIoMessage,
    /// Interrupts may be delivered before HwStorPassiveInitializeRoutine has returned.
    pub early_interrupts: bool,
    /// The driver is loaded to write a crash dump.
    pub dump: bool,
    /// HwStorAdapterControl stops and restarts at DIRQL under the Interrupt lock (its own page) instead
    /// of at PASSIVE_LEVEL without (the lock tables).
    pub control_under_interrupt_lock: bool,
    /// StorPort supports ScsiRestartAdapter for this adapter; otherwise it finds the adapter anew.
    pub restart_supported: bool,
    /// Requests that StorPort sends to the adapter at once, 1 to 32.
    pub request_slots: u8,
    /// What fails.
    pub failures: Failures,
    /// How the device behaves.
    pub device: Manner,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            processors: 2,
            interrupts: InterruptKind::Messages,
            messages: 3,
            affinity: Affinity::Spread,
            per_message: true,
            half_duplex: false,
            virtual_miniport: false,
            legacy_srb: false,
            perf: Perf::ALL,
            channels: 2,
            start_io_message: StartIoMessage::OfProcessor,
            early_interrupts: false,
            dump: false,
            control_under_interrupt_lock: false,
            restart_supported: true,
            request_slots: 16,
            failures: Failures::default(),
            device: Manner::default(),
        }
    }
}

serialize_differences!(Setup {
    processors,
    interrupts,
    messages,
    affinity,
    per_message,
    half_duplex,
    virtual_miniport,
    legacy_srb,
    perf,
    channels,
    start_io_message,
    early_interrupts,
    dump,
    control_under_interrupt_lock,
    restart_supported,
    request_slots,
    failures,
    device
});

serialize_differences!(Failures {
    allocation,
    uncached_extension,
    device_base,
    passive_initialization,
    perf_opts,
    timer_and_worker,
    scatter_gather
});

serialize_differences!(Manner {
    order,
    latency,
    queue_entries,
    queue_pairs,
    slow_ready,
    never_ready,
    queue_creation_fails,
    answers_after_reset,
    coalesces,
    spurious_every,
    garbage_identify
});

/// Line or messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InterruptKind {
    /// Message-signaled.
    #[default]
    Messages,
    /// One level-triggered line.
    Line,
}

impl InterruptKind {
    /// Every value.
    pub const ALL: [InterruptKind; 2] = [InterruptKind::Messages, InterruptKind::Line];
}

/// Which processor an interrupt goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Affinity {
    /// Message m to processor m, modulo their number.
    #[default]
    Spread,
    /// Message m to processor m - 1: I/O messages start at 1 on the first processor.
    SpreadFromOne,
    /// All to the first.
    First,
    /// All to the last.
    Last,
}

impl Affinity {
    /// Every value.
    pub const ALL: [Affinity; 4] =
        [Affinity::Spread, Affinity::SpreadFromOne, Affinity::First, Affinity::Last];
}

/// What StorPortGetStartIoPerfParams answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartIoMessage {
    /// The message whose interrupt goes to this processor.
    #[default]
    OfProcessor,
    /// 0, which real StorPort returns where it has nothing better.
    Zero,
    /// The last of the redirection range.
    Last,
    /// Another one on each call.
    RoundRobin,
    /// The routine fails with STOR_STATUS_UNSUCCESSFUL.
    Refused,
}

impl StartIoMessage {
    /// Every value.
    pub const ALL: [StartIoMessage; 5] = [
        StartIoMessage::OfProcessor,
        StartIoMessage::Zero,
        StartIoMessage::Last,
        StartIoMessage::RoundRobin,
        StartIoMessage::Refused,
    ];
}

/// STOR_PERF_* flags as bits, those that a miniport can ask for. In text: a list of [`PerfOption`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<PerfOption>", into = "Vec<PerfOption>")]
pub struct Perf(pub u8);

/// A STOR_PERF_* flag by name; its value is its bit in [`Perf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum PerfOption {
    /// STOR_PERF_DPC_REDIRECTION.
    DpcRedirection = Perf::DPC_REDIRECTION,
    /// STOR_PERF_CONCURRENT_CHANNELS.
    ConcurrentChannels = Perf::CONCURRENT_CHANNELS,
    /// STOR_PERF_INTERRUPT_MESSAGE_RANGES.
    MessageRanges = Perf::MESSAGE_RANGES,
    /// STOR_PERF_ADV_CONFIG_LOCALITY.
    Locality = Perf::LOCALITY,
    /// STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO.
    CompletionDuringStartIo = Perf::COMPLETION_DURING_START_IO,
    /// STOR_PERF_DPC_REDIRECTION_CURRENT_CPU.
    CurrentCpu = Perf::CURRENT_CPU,
    /// STOR_PERF_NO_SGL.
    NoSgl = Perf::NO_SGL,
}

impl PerfOption {
    /// Every option.
    pub const ALL: [PerfOption; 7] = [
        PerfOption::DpcRedirection,
        PerfOption::ConcurrentChannels,
        PerfOption::MessageRanges,
        PerfOption::Locality,
        PerfOption::CompletionDuringStartIo,
        PerfOption::CurrentCpu,
        PerfOption::NoSgl,
    ];
}

impl From<Vec<PerfOption>> for Perf {
    fn from(options: Vec<PerfOption>) -> Perf {
        Perf(options.into_iter().fold(0, |bits, option| bits | option as u8))
    }
}

impl From<Perf> for Vec<PerfOption> {
    fn from(perf: Perf) -> Vec<PerfOption> {
        PerfOption::ALL.into_iter().filter(|&option| perf.has(option as u8)).collect()
    }
}

impl Perf {
    /// STOR_PERF_DPC_REDIRECTION.
    pub const DPC_REDIRECTION: u8 = 0x01;
    /// STOR_PERF_CONCURRENT_CHANNELS.
    pub const CONCURRENT_CHANNELS: u8 = 0x02;
    /// STOR_PERF_INTERRUPT_MESSAGE_RANGES.
    pub const MESSAGE_RANGES: u8 = 0x04;
    /// STOR_PERF_ADV_CONFIG_LOCALITY.
    pub const LOCALITY: u8 = 0x08;
    /// STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO.
    pub const COMPLETION_DURING_START_IO: u8 = 0x10;
    /// STOR_PERF_DPC_REDIRECTION_CURRENT_CPU.
    pub const CURRENT_CPU: u8 = 0x20;
    /// STOR_PERF_NO_SGL.
    pub const NO_SGL: u8 = 0x40;
    /// All of them.
    pub const ALL: Perf = Perf(0x7F);

    /// Whether a flag is set.
    #[must_use]
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// What fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Failures {
    /// The n-th StorPortAllocatePool of the run fails; 0 is none, 255 all.
    pub allocation: u8,
    /// StorPortGetUncachedExtension returns NULL.
    pub uncached_extension: bool,
    /// StorPortGetDeviceBase returns NULL.
    pub device_base: bool,
    /// StorPortEnablePassiveInitialization returns FALSE.
    pub passive_initialization: bool,
    /// StorPortInitializePerfOpts fails.
    pub perf_opts: bool,
    /// StorPortInitializeTimer and StorPortInitializeWorker fail.
    pub timer_and_worker: bool,
    /// StorPortGetScatterGatherList returns NULL on the n-th call, n up to 63; 0 is never.
    pub scatter_gather: u8,
}

/// How the device behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manner {
    /// In which order it answers.
    pub order: DeviceOrder,
    /// Base latency of a command: 2^n microseconds, n from 0 to 15.
    pub latency: u8,
    /// Entries of the largest queue that it supports, 2 to 64 (CAP.MQES).
    pub queue_entries: u8,
    /// I/O queue pairs that it grants, 1 to 16.
    pub queue_pairs: u8,
    /// It takes long to become ready after enable and disable.
    pub slow_ready: bool,
    /// It never becomes ready.
    pub never_ready: bool,
    /// It fails the creation of the n-th I/O queue, n up to 16; 0 is none.
    pub queue_creation_fails: u8,
    /// It answers commands that a reset should have dropped.
    pub answers_after_reset: bool,
    /// It coalesces: one interrupt for several completions.
    pub coalesces: bool,
    /// It sends an interrupt with nothing behind it after every so many commands, up to 15; 0 is never.
    pub spurious_every: u8,
    /// Its identify data is hostile garbage.
    pub garbage_identify: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Manner {
            order: DeviceOrder::InOrder,
            latency: 4,
            queue_entries: 32,
            queue_pairs: 8,
            slow_ready: false,
            never_ready: false,
            queue_creation_fails: 0,
            answers_after_reset: false,
            coalesces: false,
            spurious_every: 0,
            garbage_identify: false,
        }
    }
}

/// In which order a device answers commands that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceOrder {
    /// First come, first served.
    #[default]
    InOrder,
    /// Last come, first served.
    Reversed,
    /// By each command's own latency.
    ByLatency,
}

impl DeviceOrder {
    /// Every value.
    pub const ALL: [DeviceOrder; 3] =
        [DeviceOrder::InOrder, DeviceOrder::Reversed, DeviceOrder::ByLatency];
}
