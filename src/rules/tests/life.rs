//! Traces for the rules on DPCs, requests, DDIs and configuration.

use super::Case;
use crate::event::{Adapter, ConfigurationMistake, Duplex, Kind, Lock, Owner, Routine};
use crate::rules::RuleId;
use crate::rules::trace::{ADAPTER, Trace};
use crate::storport::code::NotificationType;
use crate::storport::{Ddi, SrbStatus, StorStatus};

fn initialize_dpc(t: &mut Trace, queued: bool) {
    t.tell(Kind::DpcInitialized { dpc: 0, again: false, queued });
}

/// A DDI called in a routine.
fn call_in(t: &mut Trace, routine: Routine, ddi: Ddi) {
    t.enter(routine).call(ddi).leave();
}

fn complete(t: &mut Trace, owner: Owner, status: SrbStatus, device_owns: bool) {
    t.enter(Routine::Dpc).complete(owner, status, device_owns).leave();
}

fn complete_well(t: &mut Trace) {
    t.enter(Routine::Dpc).complete_well().leave();
}

pub(super) const CASES: &[Case] = &[
    Case::error(
        RuleId::DpcUninitialized,
        |t| {
            t.enter(Routine::StartIo).tell(Kind::DpcIssued { dpc: None, queued: false, target: 0 });
        },
        |t| {
            t.enter(Routine::StartIo);
            t.tell(Kind::DpcIssued { dpc: Some(0), queued: true, target: 0 });
            t.tell(Kind::DpcIssued { dpc: Some(0), queued: false, target: 0 });
            t.tell(Kind::DpcCancelled { dpc: Some(0), removed: true }).leave();
        },
    ),
    Case::error(
        RuleId::DpcInitializedTwice,
        |t| {
            t.enter(Routine::PassiveInitialize);
            initialize_dpc(t, false);
            initialize_dpc(t, true);
        },
        |t| {
            t.enter(Routine::PassiveInitialize);
            initialize_dpc(t, false);
            t.leave();
        },
    ),
    Case::error(
        RuleId::DpcInitializedTwice,
        |t| {
            t.enter(Routine::WorkItem).acquire(Lock::Dpc(0));
            initialize_dpc(t, false);
        },
        |t| {
            t.enter(Routine::Initialize);
            initialize_dpc(t, false);
            t.leave();
        },
    ),
    Case::warning(
        RuleId::DpcInitializedTwice,
        |t| {
            t.enter(Routine::PassiveInitialize);
            initialize_dpc(t, false);
            initialize_dpc(t, false);
        },
        |t| {
            t.enter(Routine::PassiveInitialize);
            initialize_dpc(t, false);
            t.leave().port(Kind::AdapterStopped { surprise: false });
            t.enter(Routine::PassiveInitialize);
            initialize_dpc(t, false);
            t.leave();
        },
    ),
    Case::error(
        RuleId::DpcCorrupted,
        |t| {
            t.port(Kind::DpcCorrupted { dpc: 3 });
        },
        |t| {
            t.enter_about(Routine::Dpc, 3).leave();
        },
    ),
    Case::warning(
        RuleId::InitDpcPlace,
        |t| {
            t.enter(Routine::StartIo);
            initialize_dpc(t, false);
        },
        |t| {
            t.enter(Routine::PassiveInitialize);
            initialize_dpc(t, false);
            t.leave();
        },
    ),
    Case::error(
        RuleId::RequestCompletedTwice,
        |t| complete(t, Owner::Port, SrbStatus::SUCCESS, false),
        complete_well,
    ),
    Case::error(
        RuleId::RequestCompletedAfterReset,
        |t| complete(t, Owner::PortAfterReset, SrbStatus::BUS_RESET, false),
        |t| complete(t, Owner::Miniport, SrbStatus::BUS_RESET, false),
    ),
    Case::error(
        RuleId::RequestUnknown,
        |t| complete(t, Owner::Nobody, SrbStatus::PENDING, false),
        complete_well,
    ),
    Case::error(
        RuleId::RequestDeviceOwns,
        |t| complete(t, Owner::Miniport, SrbStatus::BUS_RESET, true),
        complete_well,
    ),
    Case::error(
        RuleId::RequestPendingStatus,
        |t| complete(t, Owner::Miniport, SrbStatus::AUTOSENSE_VALID, false),
        |t| complete(t, Owner::Miniport, SrbStatus::ERROR | SrbStatus::AUTOSENSE_VALID, false),
    ),
    Case::warning(
        RuleId::RequestStatusInvalid,
        |t| complete(t, Owner::Miniport, SrbStatus(0x3F), false),
        |t| complete(t, Owner::Miniport, SrbStatus::INTERNAL_ERROR, false),
    ),
    Case::error(
        RuleId::RequestTouched,
        |t| {
            t.port(Kind::RequestTouched { request: 1 });
        },
        complete_well,
    ),
    Case::error(
        RuleId::RequestLost,
        |t| {
            t.port(Kind::RequestTimedOut { request: 1 }).port(Kind::RequestLost { request: 1 });
        },
        |t| {
            t.port(Kind::RequestTimedOut { request: 1 });
            complete_well(t);
        },
    ),
    Case::warning(
        RuleId::RequestCompletedUnderLock,
        |t| {
            t.configure(|a| (a.completes_in_start_io, a.channels) = (true, 4));
            t.enter(Routine::StartIo).acquire(Lock::StartIo).complete_well();
            t.release(Lock::StartIo).leave();
        },
        |t| {
            // StorPort's own StartIo lock, and any lock without the option, are no matter.
            t.configure(|a| a.completes_in_start_io = true);
            t.enter(Routine::StartIo).complete_well();
            t.acquire(Lock::Interrupt).complete_well().release(Lock::Interrupt).leave();
            t.configure(|a| a.completes_in_start_io = false);
            t.enter(Routine::StartIo).acquire(Lock::Dpc(0)).complete_well();
            t.release(Lock::Dpc(0)).leave();
        },
    ),
    Case::error(
        RuleId::DataWrong,
        |t| {
            t.port(Kind::DataWrong { request: 1 });
        },
        complete_well,
    ),
    Case::warning(
        RuleId::InitPassivePlace,
        |t| call_in(t, Routine::FindAdapter, Ddi::EnablePassiveInitialization),
        |t| call_in(t, Routine::Initialize, Ddi::EnablePassiveInitialization),
    ),
    Case::warning(
        RuleId::InitPassiveFromControl,
        |t| call_in(t, Routine::AdapterControl, Ddi::EnablePassiveInitialization),
        |t| call_in(t, Routine::Initialize, Ddi::EnablePassiveInitialization),
    ),
    Case::error(
        RuleId::InitUncachedExtension,
        |t| call_in(t, Routine::Initialize, Ddi::GetUncachedExtension),
        |t| call_in(t, Routine::FindAdapter, Ddi::GetUncachedExtension),
    ),
    Case::error(
        RuleId::InitFreeDeviceBase,
        |t| call_in(t, Routine::AdapterControl, Ddi::FreeDeviceBase),
        |t| call_in(t, Routine::FindAdapter, Ddi::FreeDeviceBase),
    ),
    Case::warning(
        RuleId::InitPerfOptsPlace,
        |t| call_in(t, Routine::FindAdapter, Ddi::InitializePerfOpts),
        |t| {
            call_in(t, Routine::Initialize, Ddi::InitializePerfOpts);
            call_in(t, Routine::PassiveInitialize, Ddi::InitializePerfOpts);
        },
    ),
    Case::warning(
        RuleId::InitPerfOptsNull,
        |t| {
            let refused = StorStatus::INVALID_PARAMETER.0;
            t.enter(Routine::Initialize).call_with(Ddi::InitializePerfOpts, 2, refused).leave();
        },
        |t| {
            // Another mistake in the data is StorPort's to refuse.
            let refused = StorStatus::INVALID_PARAMETER.0;
            t.enter(Routine::Initialize).call_with(Ddi::InitializePerfOpts, 1, refused).leave();
        },
    ),
    Case::warning(
        RuleId::DdiDeprecated,
        |t| call_in(t, Routine::StartIo, Ddi::LogError),
        |t| call_in(t, Routine::StartIo, Ddi::QuerySystemTime),
    ),
    Case::warning(
        RuleId::DdiCompleteRequest,
        |t| {
            let status = SrbStatus::BUS_RESET;
            t.enter(Routine::ResetBus).tell(Kind::RequestsCompletedByPort { count: 1, status });
        },
        |t| {
            t.enter(Routine::ResetBus)
                .complete(Owner::Miniport, SrbStatus::BUS_RESET, false)
                .leave();
        },
    ),
    Case::warning(
        RuleId::DdiNotification,
        |t| {
            let next_request = NotificationType::NEXT_REQUEST.0;
            t.enter(Routine::Dpc).call_with(Ddi::Notification, next_request, 0).leave();
        },
        |t| {
            for allowed in [NotificationType::LINK_UP, NotificationType::SET_TARGET_PROCESSOR_DPC] {
                t.enter(Routine::Dpc).call_with(Ddi::Notification, allowed.0, 0).leave();
            }
        },
    ),
    Case::warning(
        RuleId::DdiMsiInfo,
        |t| call_in(t, Routine::MessageInterrupt, Ddi::GetMsiInfo),
        |t| call_in(t, Routine::Initialize, Ddi::GetMsiInfo),
    ),
    Case::error(
        RuleId::TimerRoutineMissing,
        |t| {
            t.enter(Routine::Dpc).call_with(Ddi::RequestTimerCall, 1000, 0);
        },
        |t| {
            // Without a routine and without a time it cancels.
            t.enter(Routine::Dpc).call_with(Ddi::RequestTimerCall, 1000, 1);
            t.call_with(Ddi::RequestTimerCall, 0, 0).leave();
        },
    ),
    Case::error(
        RuleId::PoolFreeUnknown,
        |t| {
            t.enter(Routine::Dpc);
            t.call_with(Ddi::FreePool, 0, StorStatus::INVALID_PARAMETER.0);
        },
        |t| call_in(t, Routine::Dpc, Ddi::FreePool),
    ),
    Case::warning(
        RuleId::ConfigTransferLimits,
        |t| mistake(t, ConfigurationMistake::TransferLimitsUnset),
        |t| call_in(t, Routine::FindAdapter, Ddi::GetDeviceBase),
    ),
    Case::error(
        RuleId::ConfigVirtualDevice,
        |t| mistake(t, ConfigurationMistake::VirtualDeviceWrong),
        |t| call_in(t, Routine::FindAdapter, Ddi::GetDeviceBase),
    ),
    Case::warning(
        RuleId::ConfigReturnValue,
        |t| mistake(t, ConfigurationMistake::ReturnValueUnknown),
        |t| call_in(t, Routine::FindAdapter, Ddi::GetDeviceBase),
    ),
    Case::warning(
        RuleId::DuplexHalf,
        |t| {
            // Said once, though the channels are granted later.
            let half = Adapter { duplex: Duplex::Half, ..ADAPTER };
            t.port(Kind::Configured(half)).enter(Routine::Initialize);
            t.port(Kind::Configured(Adapter { channels: 4, ..half })).leave();
        },
        |t| {
            t.port(Kind::Configured(Adapter { channels: 4, ..ADAPTER }));
            t.port(Kind::Configured(Adapter { duplex: Duplex::Half, dump: true, ..ADAPTER }));
        },
    ),
];

fn mistake(t: &mut Trace, mistake: ConfigurationMistake) {
    t.enter(Routine::FindAdapter).leave().port(Kind::ConfigurationWrong { mistake });
}
