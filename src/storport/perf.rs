//! Performance options and messages: what a miniport asks of StorPortInitializePerfOpts, and what
//! StorPort tells it about channels, messages and processors.

use super::memory::PhysicalAddress;
use super::status::named;

named! {
    /// `STOR_PERF_*`: the options of [`PerfConfigurationData`].
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_perf_configuration_data>.
    PerfFlags(u32) {}
    bits {
        /// DPCs run on many processors.
        DPC_REDIRECTION = 0x001, "STOR_PERF_DPC_REDIRECTION";
        /// HwStorStartIo runs on several processors at once.
        CONCURRENT_CHANNELS = 0x002, "STOR_PERF_CONCURRENT_CHANNELS";
        /// Interrupts are spread over a range of messages.
        INTERRUPT_MESSAGE_RANGES = 0x004, "STOR_PERF_INTERRUPT_MESSAGE_RANGES";
        /// StorPort reports each message's processors.
        ADV_CONFIG_LOCALITY = 0x008, "STOR_PERF_ADV_CONFIG_LOCALITY";
        /// Requests complete while others start.
        OPTIMIZE_FOR_COMPLETION_DURING_STARTIO = 0x010,
            "STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO";
        /// A DPC runs on the processor that queued it.
        DPC_REDIRECTION_CURRENT_CPU = 0x020, "STOR_PERF_DPC_REDIRECTION_CURRENT_CPU";
        /// StorPort need not build scatter/gather lists.
        NO_SGL = 0x040, "STOR_PERF_NO_SGL";
        SOFT_NUMA = 0x080, "STOR_PERF_SOFT_NUMA";
        HETEROGENEOUS_CPU = 0x100, "STOR_PERF_HETEROGENEOUS_CPU";
    }
}

impl PerfFlags {
    /// Which option is not complete without which others.
    const NEEDS: [(Self, Self); 4] = [
        (Self::INTERRUPT_MESSAGE_RANGES, Self::DPC_REDIRECTION),
        (
            Self::ADV_CONFIG_LOCALITY,
            Self(Self::INTERRUPT_MESSAGE_RANGES.0 | Self::DPC_REDIRECTION.0),
        ),
        (Self::OPTIMIZE_FOR_COMPLETION_DURING_STARTIO, Self::DPC_REDIRECTION),
        (Self::DPC_REDIRECTION_CURRENT_CPU, Self::DPC_REDIRECTION),
    ];

    /// The first option that lacks one it needs, and what it lacks.
    #[must_use]
    pub fn missing_requirement(self) -> Option<(Self, Self)> {
        Self::NEEDS
            .into_iter()
            .find(|&(flag, needs)| self.contains(flag) && !self.contains(needs))
            .map(|(flag, needs)| (flag, Self(needs.0 & !self.0)))
    }
}

/// `PERF_CONFIGURATION_DATA`: the options that a miniport asks for, and those that StorPort grants.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_perf_configuration_data>.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PerfConfigurationData {
    /// `Version`: 2 to 8; options appeared with versions.
    pub version: u32,
    /// `Size` of this structure, in bytes.
    pub size: u32,
    /// `Flags`.
    pub flags: PerfFlags,
    /// `ConcurrentChannels`: how many HwStorStartIo calls at once.
    pub concurrent_channels: u32,
    /// `FirstRedirectionMessageNumber`: first message that takes completions.
    pub first_redirection_message_number: u32,
    /// `LastRedirectionMessageNumber`: last message that takes completions.
    pub last_redirection_message_number: u32,
    /// `DeviceNode`: the adapter's NUMA node; set by StorPort.
    pub device_node: u32,
    /// `Reserved`.
    pub reserved: u32,
    /// `MessageTargets`: the miniport's array, one element a message of the range; filled by
    /// StorPort.
    pub message_targets: *mut GroupAffinity,
}

impl PerfConfigurationData {
    /// `STOR_PERF_VERSION` of the newest header known.
    pub const VERSION: u32 = 8;
}

impl Default for PerfConfigurationData {
    /// No options, in the newest version.
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            size: size_of::<Self>() as u32,
            flags: PerfFlags(0),
            concurrent_channels: 0,
            first_redirection_message_number: 0,
            last_redirection_message_number: 0,
            device_node: 0,
            reserved: 0,
            message_targets: core::ptr::null_mut(),
        }
    }
}

/// `STARTIO_PERFORMANCE_PARAMETERS`: which channel and message suit a request.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_startio_performance_parameters>.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StartIoPerformanceParameters {
    /// `Version`.
    pub version: u32,
    /// `Size` of this structure, in bytes.
    pub size: u32,
    /// `MessageNumber`: the message to interrupt with; 0 also where StorPort knows none.
    pub message_number: u32,
    /// `ChannelNumber`: the concurrent channel; 0 without concurrent channels.
    pub channel_number: u32,
}

impl Default for StartIoPerformanceParameters {
    fn default() -> Self {
        Self { version: 1, size: size_of::<Self>() as u32, message_number: 0, channel_number: 0 }
    }
}

/// `MESSAGE_INTERRUPT_INFORMATION`: one message that the adapter was granted.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_message_interrupt_information>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageInterruptInformation {
    /// `MessageId`.
    pub message_id: u32,
    /// `MessageData`: what the device writes to interrupt.
    pub message_data: u32,
    /// `MessageAddress`: where it writes that.
    pub message_address: PhysicalAddress,
    /// `InterruptVector`.
    pub interrupt_vector: u32,
    /// `InterruptLevel`: the DIRQL.
    pub interrupt_level: u32,
    /// `InterruptMode`: latched for messages.
    pub interrupt_mode: super::config::KinterruptMode,
}

/// `GROUP_AFFINITY`: a set of processors of one group.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/miniport/ns-miniport-_group_affinity>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupAffinity {
    /// `Mask`: a bit a processor.
    pub mask: usize,
    /// `Group`.
    pub group: u16,
    /// `Reserved`.
    pub reserved: [u16; 3],
}

/// `PROCESSOR_NUMBER`: one processor.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/miniport/ns-miniport-_processor_number>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorNumber {
    /// `Group`.
    pub group: u16,
    /// `Number` inside the group.
    pub number: u8,
    /// `Reserved`.
    pub reserved: u8,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<PerfConfigurationData>() == 0x28);
    assert!(offset_of!(PerfConfigurationData, version) == 0x00);
    assert!(offset_of!(PerfConfigurationData, size) == 0x04);
    assert!(offset_of!(PerfConfigurationData, flags) == 0x08);
    assert!(offset_of!(PerfConfigurationData, concurrent_channels) == 0x0C);
    assert!(offset_of!(PerfConfigurationData, first_redirection_message_number) == 0x10);
    assert!(offset_of!(PerfConfigurationData, last_redirection_message_number) == 0x14);
    assert!(offset_of!(PerfConfigurationData, device_node) == 0x18);
    assert!(offset_of!(PerfConfigurationData, reserved) == 0x1C);
    assert!(offset_of!(PerfConfigurationData, message_targets) == 0x20);
    assert!(size_of::<StartIoPerformanceParameters>() == 0x10);
    assert!(offset_of!(StartIoPerformanceParameters, version) == 0x00);
    assert!(offset_of!(StartIoPerformanceParameters, size) == 0x04);
    assert!(offset_of!(StartIoPerformanceParameters, message_number) == 0x08);
    assert!(offset_of!(StartIoPerformanceParameters, channel_number) == 0x0C);
    assert!(size_of::<MessageInterruptInformation>() == 0x20);
    assert!(offset_of!(MessageInterruptInformation, message_id) == 0x00);
    assert!(offset_of!(MessageInterruptInformation, message_data) == 0x04);
    assert!(offset_of!(MessageInterruptInformation, message_address) == 0x08);
    assert!(offset_of!(MessageInterruptInformation, interrupt_vector) == 0x10);
    assert!(offset_of!(MessageInterruptInformation, interrupt_level) == 0x14);
    assert!(offset_of!(MessageInterruptInformation, interrupt_mode) == 0x18);
    assert!(size_of::<GroupAffinity>() == 0x10);
    assert!(offset_of!(GroupAffinity, mask) == 0x00);
    assert!(offset_of!(GroupAffinity, group) == 0x08);
    assert!(offset_of!(GroupAffinity, reserved) == 0x0A);
    assert!(size_of::<ProcessorNumber>() == 0x04);
    assert!(offset_of!(ProcessorNumber, group) == 0x00);
    assert!(offset_of!(ProcessorNumber, number) == 0x02);
    assert!(offset_of!(ProcessorNumber, reserved) == 0x03);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_need_others() {
        let complete = PerfFlags::DPC_REDIRECTION
            | PerfFlags::INTERRUPT_MESSAGE_RANGES
            | PerfFlags::ADV_CONFIG_LOCALITY
            | PerfFlags::CONCURRENT_CHANNELS;
        assert_eq!(complete.missing_requirement(), None);
        assert_eq!(PerfFlags::NO_SGL.missing_requirement(), None);
        assert_eq!(
            (PerfFlags::DPC_REDIRECTION | PerfFlags::ADV_CONFIG_LOCALITY).missing_requirement(),
            Some((PerfFlags::ADV_CONFIG_LOCALITY, PerfFlags::INTERRUPT_MESSAGE_RANGES))
        );
        assert_eq!(
            PerfFlags::DPC_REDIRECTION_CURRENT_CPU.missing_requirement(),
            Some((PerfFlags::DPC_REDIRECTION_CURRENT_CPU, PerfFlags::DPC_REDIRECTION))
        );
    }

    #[test]
    fn names() {
        let flags = PerfFlags::DPC_REDIRECTION | PerfFlags::NO_SGL;
        assert_eq!(format!("{flags}"), "STOR_PERF_DPC_REDIRECTION | STOR_PERF_NO_SGL");
        assert_eq!(format!("{:?}", PerfFlags(0)), "PerfFlags(0x0)");
        assert_eq!(
            format!("{}", PerfFlags(0x8000_0040)),
            "PerfFlags(0x80000000) | STOR_PERF_NO_SGL"
        );
    }
}
