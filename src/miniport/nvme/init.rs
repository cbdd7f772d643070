//! HwStorInitialize and HwStorPassiveInitializeRoutine.
//!
//! The first runs at DIRQL under the Interrupt lock, so it only asks StorPort what was granted and
//! leaves the controller to the second, at PASSIVE_LEVEL. If StorPort grants no second, there are no
//! DPCs; then the adapter's timer brings the controller up, requests end with SRB_STATUS_BUSY until it
//! has, and interrupt routines complete them. In a crash dump there is neither, and nobody to disturb.

use core::sync::atomic::Ordering;

use super::guard::Guard;
use super::state::State;
use super::{IO_QUEUES_MAX, MESSAGES_MAX, Nvme, PROCESSORS_MAX, READY_BUDGET_US};
use crate::storport::perf::{MessageInterruptInformation, PerfConfigurationData, PerfFlags};
use crate::storport::{StorPort, StorPortExt, StorStatus};

/// How long the initialisation stalls at PASSIVE_LEVEL before DPCs take over.
const PASSIVE_BUDGET_US: u32 = 20_000;

impl Nvme {
    /// HwStorInitialize. DIRQL, Interrupt held.
    pub(super) fn initialize_adapter<P: StorPort>(&self, port: P) -> bool {
        if self.state.get(port) != State::Down {
            // Powered up by HwStorFindAdapter and HwStorInitialize instead of a restart.
            if !self.is_dump(port) {
                self.choose_perf_options(port);
            }
            self.restart(port);
            return self.state.get(port) != State::Removed;
        }
        let mut settings = self.settings.get(port);
        if settings.dump {
            self.state.change(port, State::Down, State::Starting);
            self.engine.want_reset(port);
            self.drive_alone(port, READY_BUDGET_US);
            return self.state.get(port) == State::Running;
        }
        settings.messages = count_messages(port);
        settings.uses_dpcs = port.enable_passive_initialization_of::<Self>();
        self.settings.set(port, settings);
        let per_message = settings.messages > 0 && settings.per_message;
        self.guard.set(
            port,
            match (settings.uses_dpcs, settings.half_duplex, per_message) {
                (true, false, _) => Guard::Dpc,
                (true, true, _) | (false, _, false) => Guard::Interrupt,
                (false, _, true) => Guard::Message,
            },
        );
        self.choose_perf_options(port);
        self.state.change(port, State::Down, State::Starting);
        self.engine.want_reset(port);
        self.kick(port);
        true
    }

    /// HwStorPassiveInitializeRoutine. PASSIVE_LEVEL, no locks. Nothing else touches the queues yet:
    /// interrupt routines look whether the DPCs are ready, and no request has come.
    pub(super) fn initialize_passively<P: StorPort>(&self, port: P) -> bool {
        if self.dpcs_ready.load(port, Ordering::SeqCst) {
            return true;
        }
        for index in self.queue_indices(port) {
            port.initialize_dpc_of::<Self>(&self.queues[index].dpc);
        }
        port.initialize_dpc_of::<Self>(&self.recovery);
        let finished = self.drive_alone(port, PASSIVE_BUDGET_US);
        self.dpcs_ready.store(port, true, Ordering::SeqCst);
        if finished {
            self.wake(port);
        } else {
            self.kick(port);
        }
        !matches!(self.state.get(port), State::Failed | State::Removed)
    }

    /// Asks StorPort for the performance options that suit the driver, of those that it has.
    fn choose_perf_options<P: StorPort>(&self, port: P) {
        let settings = self.settings.get(port);
        let mut data = PerfConfigurationData::default();
        if port.initialize_perf_opts(true, &raw mut data) != StorStatus::SUCCESS {
            return;
        }
        let (supported, channels) = (data.flags, data.concurrent_channels);
        let io_messages = settings.messages.saturating_sub(1).min(IO_QUEUES_MAX as u32);
        let flags = wanted_flags(supported, io_messages > 0, settings.half_duplex);
        data = PerfConfigurationData { flags, ..PerfConfigurationData::default() };
        if flags.contains(PerfFlags::CONCURRENT_CHANNELS) {
            let most = if channels == 0 { PROCESSORS_MAX as u32 } else { channels };
            data.concurrent_channels = most.min(u32::from(settings.io_queues_wanted).max(1));
        }
        if flags.contains(PerfFlags::INTERRUPT_MESSAGE_RANGES) {
            data.first_redirection_message_number = 1;
            data.last_redirection_message_number = io_messages;
        }
        if flags.contains(PerfFlags::ADV_CONFIG_LOCALITY) {
            data.message_targets = self.message_targets.as_ptr().cast();
        }
        if port.initialize_perf_opts(false, &raw mut data) != StorStatus::SUCCESS {
            return;
        }
        let completes = flags.contains(PerfFlags::OPTIMIZE_FOR_COMPLETION_DURING_STARTIO);
        self.completes_in_start_io.store(port, completes, Ordering::Release);
        self.perf_options.store(port, true, Ordering::Release);
        if flags.contains(PerfFlags::ADV_CONFIG_LOCALITY) {
            self.note_targets(port, io_messages);
        }
    }

    /// Prefers for each processor the I/O queue whose message interrupts it. Message m, from 1 on, is the
    /// one of queue m first.
    fn note_targets<P: StorPort>(&self, port: P, io_messages: u32) {
        let targets = self.message_targets.get(port);
        for (processor, preferred) in self.preferred.iter().enumerate() {
            let hits = |index: &u32| {
                let target = targets[*index as usize];
                target.group == 0 && target.mask & (1 << processor) != 0
            };
            if let Some(index) = (0..io_messages).find(hits) {
                preferred.set(port, index as u8 + 1);
            }
        }
    }
}

/// The options to ask for, each with those that it needs.
fn wanted_flags(supported: PerfFlags, io_messages: bool, half_duplex: bool) -> PerfFlags {
    let mut flags = PerfFlags(0);
    let mut want = |flag, condition: bool| {
        if condition && supported.contains(flag) && flags.contains(needs(flag)) {
            flags = flags | flag;
        }
    };
    want(PerfFlags::DPC_REDIRECTION, true);
    want(PerfFlags::INTERRUPT_MESSAGE_RANGES, io_messages);
    want(PerfFlags::ADV_CONFIG_LOCALITY, io_messages);
    want(PerfFlags::OPTIMIZE_FOR_COMPLETION_DURING_STARTIO, !half_duplex);
    // Half duplex runs one HwStorStartIo at a time, whatever is asked for.
    want(PerfFlags::CONCURRENT_CHANNELS, !half_duplex);
    flags
}

/// What an option is not valid without
/// (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_perf_configuration_data>).
fn needs(flag: PerfFlags) -> PerfFlags {
    match flag {
        PerfFlags::INTERRUPT_MESSAGE_RANGES | PerfFlags::OPTIMIZE_FOR_COMPLETION_DURING_STARTIO => {
            PerfFlags::DPC_REDIRECTION
        }
        PerfFlags::ADV_CONFIG_LOCALITY => {
            PerfFlags::DPC_REDIRECTION | PerfFlags::INTERRUPT_MESSAGE_RANGES
        }
        _ => PerfFlags(0),
    }
}

/// How many messages StorPort granted; 0 with a line.
fn count_messages<P: StorPort>(port: P) -> u32 {
    let granted = |&message: &u32| {
        let mut information = MessageInterruptInformation::default();
        port.get_msi_info(message, &mut information) == StorStatus::SUCCESS
    };
    (0..MESSAGES_MAX).take_while(granted).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_is_asked_for_without_those_that_it_needs() {
        for bits in 0..0x200 {
            for (messages, half) in [(false, false), (true, false), (true, true)] {
                let flags = wanted_flags(PerfFlags(bits), messages, half);
                assert_eq!(flags.missing_requirement(), None, "{bits:#x}");
                assert_eq!(flags.0 & !bits, 0, "not supported");
            }
        }
        let all = wanted_flags(PerfFlags(0x1FF), true, false);
        assert_eq!(all, PerfFlags(0x1F));
    }
}
