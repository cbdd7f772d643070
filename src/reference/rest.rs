//! DPCs, requests, times and calls from the wrong place.

use crate::event::{ConfigurationMistake, Duplex, Event, Kind, Lock, Miniport, Owner, Routine};
use crate::storport::{Ddi, Irql, SrbStatus, StorStatus};

use super::model::{Model, Verdict};

impl Model {
    pub(crate) fn judge_rest(&mut self, event: &Event, v: &mut Verdict) {
        match event.kind {
            Kind::DpcInitialized { dpc, queued, .. } => {
                let lock = Lock::Dpc(dpc);
                let again = !self.initialized.insert(lock);
                if queued || self.held.iter().any(|held| held.lock == lock) {
                    v.error("dpc.initialized_twice");
                } else if again {
                    v.warning("dpc.initialized_twice");
                }
                if !self.is_in(event, &[Routine::Initialize, Routine::PassiveInitialize]) {
                    v.warning("init.dpc_place");
                }
            }
            Kind::DpcIssued { dpc: None, .. } | Kind::DpcCancelled { dpc: None, .. } => {
                v.error("dpc.uninitialized");
            }
            Kind::DpcCorrupted { .. } => v.error("dpc.corrupted"),
            Kind::RequestCompleted { .. } => self.completed(event, v),
            Kind::RequestsCompletedByPort { .. } => v.warning("ddi.complete_request"),
            Kind::RequestTouched { .. } => v.error("request.touched"),
            Kind::DataWrong { .. } => v.error("data.wrong"),
            Kind::RequestLost { .. } => v.error("request.lost"),
            Kind::ConfigurationWrong { mistake } => match mistake {
                ConfigurationMistake::TransferLimitsUnset => v.warning("config.transfer_limits"),
                ConfigurationMistake::VirtualDeviceWrong => v.error("config.virtual_device"),
                ConfigurationMistake::ReturnValueUnknown => v.warning("config.return_value"),
            },
            Kind::Called { ddi, argument, result } => {
                self.called(event, (ddi, argument, result), v)
            }
            _ => {}
        }
    }

    fn is_in(&self, event: &Event, routines: &[Routine]) -> bool {
        self.caller(event.processor).is_some_and(|frame| routines.contains(&frame.routine))
    }

    fn completed(&self, event: &Event, v: &mut Verdict) {
        let Kind::RequestCompleted { status, owner, device_owns, .. } = event.kind else { return };
        match owner {
            Owner::Miniport => {}
            Owner::Port => return v.error("request.completed_twice"),
            Owner::PortAfterReset => return v.error("request.completed_after_reset"),
            Owner::Nobody => return v.error("request.unknown"),
        }
        if device_owns {
            v.error("request.device_owns");
        }
        if status.code() == SrbStatus::PENDING {
            v.error("request.pending_status");
        } else if !is_status(status.code().0) {
            v.warning("request.status_invalid");
        }
        let optimised = self.adapter.is_some_and(|adapter| adapter.completes_in_start_io);
        let starting = self.caller(event.processor).is_some_and(|f| f.routine == Routine::StartIo);
        if optimised && starting && self.holds_own_dispatch_lock(event.processor) {
            v.warning("request.completed_under_lock");
        }
    }

    fn called(&self, event: &Event, (ddi, argument, result): (Ddi, u32, u32), v: &mut Verdict) {
        let dump = self.is_dump(event.processor);
        if !dump && self.is_wrong_irql(ddi, event.irql) {
            v.error("irql.ddi");
        }
        let find = self.is_in(event, &[Routine::FindAdapter]);
        let message_interrupt = self.is_in(event, &[Routine::MessageInterrupt]);
        match ddi {
            Ddi::StallExecution if !dump => self.stalled(event, argument, v),
            Ddi::AllocatePool => {
                let half = self.adapter.is_some_and(|adapter| {
                    adapter.duplex == Duplex::Half && adapter.miniport == Miniport::Physical
                });
                if half && !dump && self.is_in(event, &[Routine::StartIo]) {
                    v.error("time.allocation");
                }
            }
            Ddi::FreePool if result != StorStatus::SUCCESS.0 => v.error("pool.free_unknown"),
            Ddi::GetUncachedExtension if !find => v.error("init.uncached_extension"),
            Ddi::FreeDeviceBase if !find => v.error("init.free_device_base"),
            Ddi::InitializePerfOpts => {
                if !self.is_in(event, &[Routine::Initialize, Routine::PassiveInitialize]) {
                    v.warning("init.perf_opts_place");
                }
                if argument & 2 != 0 {
                    v.warning("init.perf_opts_null");
                }
            }
            Ddi::EnablePassiveInitialization => {
                if self.is_in(event, &[Routine::AdapterControl]) {
                    v.warning("init.passive_from_control");
                } else if !self.is_in(event, &[Routine::Initialize]) {
                    v.warning("init.passive_place");
                }
            }
            Ddi::LogError | Ddi::ValidateRange => v.warning("ddi.deprecated"),
            Ddi::Notification if !is_documented(argument) => v.warning("ddi.notification"),
            Ddi::GetMsiInfo if message_interrupt => v.warning("ddi.msi_info"),
            // The event's result says whether there was a routine.
            Ddi::RequestTimerCall if argument != 0 && result == 0 => {
                v.error("timer.routine_missing");
            }
            _ => {}
        }
    }

    fn stalled(&self, event: &Event, microseconds: u32, v: &mut Verdict) {
        if microseconds > 100_000 {
            v.error("time.stall_verifier");
        }
        if microseconds >= 1_000 {
            v.warning("time.stall");
        }
        let caller = self.caller(event.processor);
        if microseconds > 100 && caller.is_some_and(|frame| frame.routine == Routine::Dpc) {
            v.warning("time.dpc");
        }
        if microseconds > 0 && caller.is_some_and(|frame| frame.routine == Routine::StartIo) {
            v.warning("time.stall_in_start_io");
        }
    }

    /// Levels from the reference page of each routine; most pages give none.
    fn is_wrong_irql(&self, ddi: Ddi, irql: Irql) -> bool {
        match ddi {
            Ddi::RegistryRead => irql > Irql::PASSIVE,
            Ddi::AllocatePool
            | Ddi::FreePool
            | Ddi::FreeTimer
            | Ddi::FreeWorker
            | Ddi::GetCurrentProcessorNumber
            | Ddi::GetGroupAffinity
            | Ddi::GetSystemAddress
            | Ddi::InitializeTimer
            | Ddi::InitializeWorker
            | Ddi::QueueWorkItem => irql > Irql::DISPATCH,
            _ => false,
        }
    }
}

/// SRB_STATUS values of srb.h.
fn is_status(code: u8) -> bool {
    matches!(code, 0x00..=0x0B | 0x0D..=0x18 | 0x20..=0x28 | 0x30)
}

/// Types that a miniport may pass to StorPortNotification: the ten of Static Driver Verifier's
/// StorPortNotification2, and those of the header's inline functions.
fn is_documented(kind: u32) -> bool {
    matches!(kind, 0 | 3 | 6..=0xD | 0x1000..)
}
