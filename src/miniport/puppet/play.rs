//! What each [`Op`] does.

use super::frame::Frame;
use super::locks::irql;
use super::op::Op;
use super::script::Call;
use super::state::TRIGGER;
use crate::storport::code::NotificationType;
use crate::storport::config::SP_UNINITIALIZED_VALUE;
use crate::storport::{Executive, SrbStatus, StorPort};

/// All of a part of an address, to StorPortCompleteRequest.
const EVERY: u8 = 0xFF;
/// Path, target and LUN in every call that names a unit.
pub(super) const UNIT: (u8, u8, u8) = (0, 0, 0);

impl<P: StorPort + Executive> Frame<'_, P> {
    /// Performs one call of the script.
    ///
    /// The calls of the DDI break the contracts that their `# Safety` sections state whenever the script
    /// says so. The one port that may be given a puppet, the host's, takes any pointer as a number that it
    /// looks up among what it knows, and so gives every such call a meaning; what the puppet itself
    /// dereferences is its own memory.
    pub(super) fn perform(&self, call: &Call) {
        let port = self.port;
        let (path, target, lun) = UNIT;
        let argument = u32::from(call.argument);
        match call.op {
            Op::Acquire => self.acquire(call),
            Op::AcquireEx => self.acquire_ex(call),
            Op::Release => self.release(call),
            Op::AcquireMsi => self.acquire_msi(call),
            Op::ReleaseMsi => self.release_msi(call),
            Op::Synchronize => self.synchronize(),
            Op::CopyHandle => self.copy_handle(call),
            Op::RelabelHandle => self.relabel_handle(call),
            Op::SetOldIrql => self.set_old_irql(call),

            Op::KeInitialize => self.ke_initialize(call),
            Op::KeAcquire => self.ke_acquire(call),
            Op::KeRelease => self.ke_release(call),
            Op::KeAcquireAtDpcLevel => self.ke_acquire_at_dpc_level(call),
            Op::KeReleaseFromDpcLevel => self.ke_release_from_dpc_level(call),
            Op::KeAcquireQueued => self.ke_acquire_queued(call),
            Op::KeReleaseQueued => self.ke_release_queued(call),
            Op::RaiseIrql => self.raise_irql(call),
            Op::LowerIrql => port.ke_lower_irql(irql(call)),
            Op::RestoreIrql => self.restore_irql(call),

            Op::InitializeDpc => self.initialize_dpc(call),
            Op::IssueDpc => self.issue_dpc(call),
            Op::CancelDpc => self.cancel_dpc(call),
            Op::SetTargetDpc => self.set_target_dpc(call),
            Op::CopyDpc => self.copy_dpc(call),
            Op::ZeroDpc => self.zero_dpc(call),

            Op::Complete => self.complete_current(SrbStatus::SUCCESS),
            Op::CompleteBusy => self.complete_current(SrbStatus::BUSY),
            Op::CompletePending => self.complete_current(SrbStatus::PENDING),
            Op::CompleteError => self.complete_current(SrbStatus::ERROR),
            Op::CompleteAgain => self.complete_again(),
            Op::CompleteUnknown => port.request_complete(self.state.no_request()),
            Op::Keep => self.keep_current(),
            Op::CompleteOldest => self.complete_oldest(SrbStatus::SUCCESS),
            Op::Forget => self.state.forget_kept(),
            Op::TouchRequest => self.touch_request(),
            Op::TouchSrbExtension => self.touch_srb_extension(),
            Op::CompleteByPort => port.complete_request(EVERY, EVERY, EVERY, SrbStatus::BUS_RESET),

            Op::SkipDefault => {}
            Op::ReturnTrue => self.set_result(true),
            Op::ReturnFalse => self.set_result(false),
            Op::ReturnUnknown => self.return_unknown(),
            Op::LeaveTransferLimits => self.reconfigure(|config| {
                config.maximum_transfer_length = SP_UNINITIALIZED_VALUE;
                config.number_of_physical_breaks = SP_UNINITIALIZED_VALUE;
            }),
            Op::FlipVirtualDevice => self.reconfigure(|config| config.virtual_device ^= 1),

            Op::Pause => _ = port.pause(argument),
            Op::Resume => _ = port.resume(),
            Op::PauseDevice => _ = port.pause_device(path, target, lun, argument),
            Op::ResumeDevice => _ = port.resume_device(path, target, lun),
            Op::Busy => _ = port.busy(argument),
            Op::Ready => _ = port.ready(),
            Op::DeviceBusy => _ = port.device_busy(path, target, lun, argument),
            Op::DeviceReady => _ = port.device_ready(path, target, lun),
            Op::SetQueueDepth => _ = port.set_device_queue_depth(path, target, lun, argument),
            Op::ResetDetected => port.notify(NotificationType::RESET_DETECTED),
            Op::BusChangeDetected => port.notify(NotificationType::BUS_CHANGE_DETECTED),
            Op::LinkUp => port.notify(NotificationType::LINK_UP),
            Op::LinkDown => port.notify(NotificationType::LINK_DOWN),
            Op::NotifyUndocumented => port.notify(NotificationType::NEXT_REQUEST),
            Op::StateChange => self.state_change(),

            Op::StallMicroseconds => port.stall_execution(argument),
            Op::StallMilliseconds => port.stall_execution(argument * 1_000),
            Op::StallSeconds => port.stall_execution(argument * 1_000_000),
            Op::QuerySystemTime => _ = port.query_system_time(),
            Op::RequestTimerCall => self.request_timer_call(call),
            Op::InitializeTimer => self.initialize_timer(call),
            Op::RequestTimer => self.request_timer(call),
            Op::FreeTimer => self.free_timer(call),
            Op::InitializeWorker => self.initialize_worker(call),
            Op::QueueWorkItem => self.queue_work_item(call),
            Op::FreeWorker => self.free_worker(call),

            Op::AllocatePool => self.allocate_pool(call),
            Op::FreePool => self.free_pool(call),
            Op::GetUncachedExtension => self.get_uncached_extension(),
            Op::GetDeviceBase => self.get_device_base(),
            Op::FreeDeviceBase => self.free_device_base(),
            Op::GetPhysicalAddress => self.get_physical_address(),
            Op::GetScatterGatherList => self.get_scatter_gather_list(),
            Op::GetSystemAddress => self.get_system_address(),
            Op::GetBusData => self.get_bus_data(),
            Op::RegistryRead => _ = port.registry_read_dword(c"HalfDuplex"),

            Op::InitializePerfOpts => self.initialize_perf_opts(call),
            Op::QueryPerfOpts => self.query_perf_opts(),
            Op::GetStartIoPerfParams => self.get_start_io_perf_params(),
            Op::GetMsiInfo => self.get_msi_info(call),
            Op::EnablePassiveInitialization => {
                _ = port.enable_passive_initialization(self.entries.passive_initialize);
            }
            Op::GetProcessorNumber => self.get_processor_number(),
            Op::LogError => port.log_error(self.request.map(|r| r.srb), path, target, lun, 0, 0),
            Op::ValidateRange => self.validate_range(),

            Op::SendMessage => self.state.write_register(port, TRIGGER, argument),
            Op::DeassertLine => self.state.quiet_line(port),
            Op::ReadRegister => self.read_register(call),

            Op::Panic => panic!("the script says so"),
        }
    }
}
