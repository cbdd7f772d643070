//! Events in words: one line each, for tables and for programs.
//!
//! The first character sorts events at a glance; `lockstorm run --trace` prints the legend.

use crate::event::{
    Adapter, ConfigurationMistake, Event, Handle, Kind, Lock, LockApi, LockMisuse, Owner, Routine,
    Site,
};
use crate::storport::control::{
    ScsiAdapterControlStatus, ScsiAdapterControlType, ScsiUnitControlStatus, ScsiUnitControlType,
};
use crate::storport::srb::SrbFunction;
use crate::storport::{Irql, SpReturn};

/// What happened, in words.
#[must_use]
pub fn what(event: &Event) -> String {
    let kind = &event.kind;
    match *kind {
        Kind::Started { processors } => {
            format!("= run begins on {}", super::number::counted(processors.into(), "processor"))
        }
        Kind::Configured(adapter) => format!("= adapter: {}", configuration(&adapter)),
        Kind::Quiescing => "= scenario spent: faults end, everything drains".into(),
        Kind::AdapterStopped { surprise: false } => "= adapter stopped".into(),
        Kind::AdapterStopped { surprise: true } => "= adapter removed by surprise".into(),
        Kind::Finished => "= run ends, all quiet".into(),
        Kind::Deadlocked { lock, holder, length } => {
            format!("! deadlock: waits for {lock}, held by cpu {holder} (cycle of {length})")
        }
        Kind::Hung => "! hang: the step budget is spent".into(),
        Kind::Crashed { cause } => format!("! the driver stops: {cause}"),
        Kind::Entered { routine, subject } => format!("> {}", callback(routine, subject)),
        Kind::Left { routine, result, .. } => left(routine, result),
        Kind::Accessed(access) => format!("~ {access}"),
        Kind::Channel { channel, begins: true } => format!("* channel {channel} begins a call"),
        Kind::Channel { channel, begins: false } => format!("* channel {channel} is free"),
        _ => lock_event(kind, event.processor)
            .or_else(|| dpc_event(kind))
            .unwrap_or_else(|| request_event(kind)),
    }
}

/// A callback and what it is about.
#[must_use]
pub fn callback(routine: Routine, subject: u16) -> String {
    format!("{routine}{}", about(routine, subject))
}

/// Nanoseconds as microseconds: `1,234.567 us`.
#[must_use]
pub fn microseconds(ns: u64) -> String {
    format!("{}.{:03} us", super::number::grouped(ns / 1000), ns % 1000)
}

/// Where in the driver something happened; empty for StorPort itself.
#[must_use]
pub fn place(site: Site) -> String {
    match site {
        Site::Port => String::new(),
        site => site.to_string(),
    }
}

/// What a callback is about.
fn about(routine: Routine, subject: u16) -> String {
    match routine {
        Routine::BuildIo | Routine::StartIo => format!("(request {subject})"),
        Routine::MessageInterrupt => format!("(message {subject})"),
        Routine::Dpc => format!("(dpc {subject})"),
        Routine::TimerEx => format!("(timer {subject})"),
        Routine::WorkItem => format!("(worker {subject})"),
        Routine::ResetBus => format!("(path {subject})"),
        Routine::AdapterControl => format!("({})", ScsiAdapterControlType(subject.into())),
        Routine::UnitControl => format!("({})", ScsiUnitControlType(subject.into())),
        Routine::FindAdapter
        | Routine::Initialize
        | Routine::PassiveInitialize
        | Routine::Interrupt
        | Routine::Timer
        | Routine::StateChange
        | Routine::TracingEnabled
        | Routine::Synchronized => String::new(),
    }
}

/// A callback's end, with what it returned if it returns anything.
fn left(routine: Routine, result: u32) -> String {
    match routine {
        Routine::FindAdapter => format!("< {routine} = {}", SpReturn(result)),
        Routine::Dpc
        | Routine::Timer
        | Routine::TimerEx
        | Routine::WorkItem
        | Routine::StateChange
        | Routine::TracingEnabled => format!("< {routine}"),
        Routine::AdapterControl => format!("< {routine} = {}", ScsiAdapterControlStatus(result)),
        Routine::UnitControl => format!("< {routine} = {}", ScsiUnitControlStatus(result)),
        Routine::Initialize
        | Routine::PassiveInitialize
        | Routine::BuildIo
        | Routine::StartIo
        | Routine::Interrupt
        | Routine::MessageInterrupt
        | Routine::ResetBus
        | Routine::Synchronized => {
            format!("< {routine} = {}", if result == 0 { "FALSE" } else { "TRUE" })
        }
    }
}

fn configuration(adapter: &Adapter) -> String {
    let Adapter { miniport, duplex, interrupts, messages, channels, device_irql, .. } = adapter;
    let mut text = format!(
        "{miniport:?}, {duplex:?} duplex, {interrupts:?}, {messages} messages, {channels} channels, \
         {device_irql}"
    );
    for (flag, name) in [
        (adapter.dump, "crash dump"),
        (adapter.completes_in_start_io, "completion in StartIo"),
        (adapter.control_under_interrupt_lock, "control under the Interrupt lock"),
    ] {
        if flag {
            text.push_str(", ");
            text.push_str(name);
        }
    }
    text
}

/// `processor` is where it happened.
fn lock_event(kind: &Kind, processor: u8) -> Option<String> {
    Some(match *kind {
        Kind::LockWaited { lock, api, holder } => {
            format!("? {lock}{}: held by cpu {holder}", by(api))
        }
        Kind::LockAcquired { lock, api, irql, contended } => {
            let after = if contended { ", after waiting" } else { "" };
            format!("+ {lock}{} -> {irql}{after}", by(api))
        }
        Kind::LockReleased { lock, api, holder, handle, irql, saved, .. } => {
            let holder = match holder {
                None => ", which nobody held".into(),
                Some(holder) if holder == processor => String::new(),
                Some(holder) => format!(", held by cpu {holder}"),
            };
            format!("- {lock}{}{holder}{}{}", by(api), whose(handle), old_irql(irql, saved))
        }
        Kind::LockMisused { api, release, misuse } => {
            let call = if release { "release" } else { "acquire" };
            format!("! {call}{}: {}", by(api), misuse_text(misuse))
        }
        Kind::LockRefused { api, status } => format!("! acquire{} refused: {status}", by(api)),
        Kind::ContextIgnored { api } => {
            format!("! lock context{} given where NULL is required", by(api))
        }
        Kind::ExecutiveInitialized { lock, again, held } => {
            let again = if again { ", again" } else { "" };
            let held = if held { ", while held" } else { "" };
            format!("initialise {}{again}{held}", Lock::Executive(lock))
        }
        Kind::ExecutiveUninitialized { lock } => {
            format!("! {} used but never initialised", Lock::Executive(lock))
        }
        Kind::IrqlSet { irql, raise } => {
            format!("{} -> {irql}", if raise { "KeRaiseIrql" } else { "KeLowerIrql" })
        }
        _ => return None,
    })
}

/// By which routine, as Windows spells it, after a space.
#[must_use]
pub fn by(api: LockApi) -> &'static str {
    match api {
        LockApi::Port => " by StorPort",
        LockApi::Spin => " by StorPort*SpinLock",
        LockApi::SpinEx => " by StorPort*SpinLockEx",
        LockApi::ThreadedDpc => " by StorPort*SpinLockEx(ThreadedDpcLock)",
        LockApi::DpcLevel => " by StorPort*SpinLockEx(DpcLevelLock)",
        LockApi::Msi => " by StorPort*MSISpinLock",
        LockApi::Synchronize => " by StorPortSynchronizeAccess",
        LockApi::Ke => " by Ke*SpinLock",
        LockApi::KeDpcLevel => " by Ke*SpinLock*DpcLevel",
        LockApi::KeQueued => " by Ke*InStackQueuedSpinLock",
        LockApi::KeQueuedDpcLevel => " by Ke*InStackQueuedSpinLock*DpcLevel",
    }
}

fn whose(handle: Handle) -> &'static str {
    match handle {
        Handle::Same => "",
        Handle::Copied => ", by a copy of the handle",
        Handle::Stale => ", by a stale handle",
        Handle::OtherLock => ", by another lock's handle",
        Handle::OtherApi => ", by another routine than the acquire's family",
    }
}

fn old_irql(irql: Irql, saved: Irql) -> String {
    if irql == saved { format!(" -> {irql}") } else { format!(" -> {irql}, but saved was {saved}") }
}

fn misuse_text(misuse: LockMisuse) -> &'static str {
    match misuse {
        LockMisuse::UnknownKind => "no such kind of lock",
        LockMisuse::ExOnlyKind => "a kind of lock that only the Ex routine knows",
        LockMisuse::DpcNull => "DpcLock with a NULL context",
        LockMisuse::DpcUninitialized => "DpcLock with a STOR_DPC that is not initialised",
        LockMisuse::DpcForeign => "DpcLock with a STOR_DPC that is copied or not the driver's",
        LockMisuse::NotPerMessage => "a message lock without per-message synchronisation",
        LockMisuse::MessageOutOfRange => "a message that was not granted",
        LockMisuse::HandleNeverAcquired => "a handle that no acquire filled",
    }
}

fn dpc_event(kind: &Kind) -> Option<String> {
    let uninitialised = "a STOR_DPC that was never initialised";
    Some(match *kind {
        Kind::DpcInitialized { dpc, again, queued } => {
            let again = if again { ", again" } else { "" };
            let queued = if queued { ", while queued" } else { "" };
            format!("initialise dpc {dpc}{again}{queued}")
        }
        Kind::DpcIssued { dpc: None, .. } => format!("! issue {uninitialised}"),
        Kind::DpcIssued { dpc: Some(dpc), queued, target } => {
            let result = if queued { "queued" } else { "was queued already" };
            format!("issue dpc {dpc}: {result} on cpu {target}")
        }
        Kind::DpcCancelled { dpc: None, .. } => format!("! cancel {uninitialised}"),
        Kind::DpcCancelled { dpc: Some(dpc), removed } => {
            let result = if removed { "removed" } else { "was not queued" };
            format!("cancel dpc {dpc}: {result}")
        }
        Kind::DpcCorrupted { dpc } => format!("! dpc {dpc} changed while queued"),
        Kind::InterruptRaised { message, target } => {
            format!("* device asserts message {message} to cpu {target}")
        }
        Kind::TimerExpired { timer } => format!("* timer {timer} expires"),
        _ => return None,
    })
}

fn request_event(kind: &Kind) -> String {
    match *kind {
        Kind::RequestCreated { request, function } => {
            format!("* request {request}: {}", SrbFunction(function))
        }
        Kind::RequestDeferred { request } => format!("* request {request} deferred"),
        Kind::RequestCompleted { request, status, owner, device_owns, starting_elsewhere } => {
            let owner = match owner {
                Owner::Miniport => "",
                Owner::Port => ", completed before",
                Owner::PortAfterReset => ", completed before by a reset",
                Owner::Nobody => ", which is no request",
            };
            let device = if device_owns { ", the device still owns its buffers" } else { "" };
            let elsewhere =
                if starting_elsewhere { ", another cpu is still starting it" } else { "" };
            format!("complete request {request}: {status}{owner}{device}{elsewhere}")
        }
        Kind::RequestsCompletedByPort { count, status } => {
            format!("* StorPort completes {count} requests: {status}")
        }
        Kind::RequestTouched { request } => {
            format!("! request {request} touched after its completion")
        }
        Kind::DataWrong { request } => format!("! request {request} read wrong data"),
        Kind::RequestTimedOut { request } => format!("* request {request} timed out"),
        Kind::RequestLost { request } => format!("! request {request} lost"),
        Kind::Called { ddi, argument, result } => {
            format!("{}({argument:#x}) = {result:#x}", ddi.name())
        }
        Kind::ConfigurationWrong { mistake } => {
            let mistake = match mistake {
                ConfigurationMistake::TransferLimitsUnset => "transfer limits not set",
                ConfigurationMistake::VirtualDeviceWrong => {
                    "VirtualDevice contradicts the kind of miniport"
                }
                ConfigurationMistake::ReturnValueUnknown => "unknown return value",
            };
            format!("! configuration: {mistake}")
        }
        // The others are lines of `what`, `lock_event` and `dpc_event`.
        _ => format!("{kind:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(processor: u8, kind: Kind) -> Event {
        Event { time: 0, site: Site::Port, kind, processor, irql: Irql::DISPATCH, depth: 1 }
    }

    #[test]
    fn a_callback_names_what_it_is_about() {
        let enter = |routine, subject| what(&event(0, Kind::Entered { routine, subject }));
        assert_eq!(enter(Routine::Dpc, 3), "> HwStorDpcRoutine(dpc 3)");
        assert_eq!(enter(Routine::AdapterControl, 1), "> HwStorAdapterControl(ScsiStopAdapter)");
        assert_eq!(enter(Routine::Interrupt, 0), "> HwStorInterrupt");
        let left = Kind::Left { routine: Routine::StartIo, result: 1, busy_ns: 0 };
        assert_eq!(what(&event(0, left)), "< HwStorStartIo = TRUE");
    }

    #[test]
    fn a_release_tells_what_is_wrong_with_it_and_nothing_else() {
        let release = |holder, handle, irql| Kind::LockReleased {
            lock: Lock::Interrupt,
            api: LockApi::Spin,
            holder,
            handle,
            irql,
            saved: Irql::DISPATCH,
            held_ns: 0,
        };
        let proper = release(Some(1), Handle::Same, Irql::DISPATCH);
        let text = what(&event(1, proper));
        assert_eq!(text, "- Interrupt by StorPort*SpinLock -> DISPATCH_LEVEL");
        let wrong = release(Some(0), Handle::Copied, Irql::PASSIVE);
        let text = what(&event(1, wrong));
        assert!(
            text.contains("held by cpu 0, by a copy of the handle -> PASSIVE_LEVEL, but saved")
        );
    }
}
