//! A run's events as a table for the author of a driver.

use serde::Serialize;

use super::output::{Output, counted};
use crate::event::{
    Adapter, ConfigurationMistake, Event, Handle, Kind, Lock, LockApi, LockMisuse, Owner,
    PROCESSORS_MAX, Site,
};
use crate::storport::Irql;

/// What stands above the tables.
const LEGEND: &str = "\
time   virtual time since the start, in microseconds
cpu    one column a processor: its number where it happened; elsewhere | inside a callback,
       w waiting for a lock, . neither
irql   of that processor just before: P PASSIVE_LEVEL, A APC_LEVEL, D DISPATCH_LEVEL, d3 to d11 device
       level (DIRQL), H HIGH_LEVEL
event  indented by nested callbacks; > callback entered, < left, + lock acquired, - released, ? waits,
       * issued by StorPort or the device, ! what a rule may object to, = the run itself
site   where in the driver
";

/// Widest event text before the column of sites gives way.
const EVENT_WIDTH: usize = 64;

/// Writes what the columns and signs of a table mean.
pub(super) fn write_legend(output: &mut Output) {
    output.text(LEGEND);
}

/// Writes a table of events.
pub(super) fn write(events: &[Event], processors: usize, output: &mut Output) {
    let mut lanes = Lanes::new(processors);
    output.line(format_args!(
        "\n{:>13} {:lanes$} {:4} {:EVENT_WIDTH$} site",
        "time",
        "cpu",
        "irql",
        "event",
        lanes = lanes.width(),
    ));
    for event in events {
        let picture = lanes.after(event);
        let text = format!("{:indent$}{}", "", what(event), indent = indent(event));
        let site = match event.site {
            Site::Port => String::new(),
            site => site.to_string(),
        };
        let line = format!(
            "{:>13} {picture:lanes$} {:4} {text:EVENT_WIDTH$} {site}",
            microseconds(event.time),
            irql(event.irql),
            lanes = lanes.width(),
        );
        output.line(line.trim_end());
    }
}

fn microseconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}

/// Two columns for each callback that the event is inside of; the callback's own beginning and end stand
/// outside.
fn indent(event: &Event) -> usize {
    let inside = match event.kind {
        Kind::Entered { .. } | Kind::Left { .. } => event.depth.saturating_sub(1),
        _ => event.depth,
    };
    2 * usize::from(inside)
}

fn irql(irql: Irql) -> String {
    match irql {
        Irql::PASSIVE => "P".into(),
        Irql::APC => "A".into(),
        Irql::DISPATCH => "D".into(),
        Irql::HIGH => "H".into(),
        level if level.is_device() => format!("d{}", level.0),
        level => level.0.to_string(),
    }
}

/// What every processor is doing, as one character each.
struct Lanes {
    lanes: [char; PROCESSORS_MAX],
    processors: usize,
}

impl Lanes {
    fn new(processors: usize) -> Lanes {
        Lanes { lanes: ['.'; PROCESSORS_MAX], processors: processors.clamp(1, PROCESSORS_MAX) }
    }

    /// As wide as its heading at least.
    fn width(&self) -> usize {
        self.processors.max("cpu".len())
    }

    /// The picture of this event; remembers what its processor does from now on.
    fn after(&mut self, event: &Event) -> String {
        let at = usize::from(event.processor).min(self.processors - 1);
        self.lanes[at] = match event.kind {
            Kind::LockWaited { .. } => 'w',
            Kind::Left { .. } if event.depth <= 1 => '.',
            Kind::Entered { .. } => '|',
            _ if event.depth == 0 => '.',
            _ => '|',
        };
        let mut picture: Vec<char> = self.lanes[..self.processors].to_vec();
        picture[at] = char::from_digit(u32::from(event.processor), 10).unwrap_or('?');
        picture.into_iter().collect()
    }
}

/// An event for programs.
#[derive(Serialize)]
pub(super) struct Row {
    time_ns: u64,
    processor: u8,
    irql: u8,
    depth: u8,
    what: String,
    site: String,
}

impl Row {
    pub(super) fn new(event: &Event) -> Row {
        Row {
            time_ns: event.time,
            processor: event.processor,
            irql: event.irql.0,
            depth: event.depth,
            what: what(event),
            site: event.site.to_string(),
        }
    }
}

/// What happened, in words.
fn what(event: &Event) -> String {
    let kind = &event.kind;
    match *kind {
        Kind::Started { processors } => {
            format!("= run begins on {}", counted(processors.into(), "processor"))
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
        Kind::Crashed => "! the driver crashed".into(),
        Kind::Entered { routine, subject } => format!("> {routine}({subject})"),
        Kind::Left { routine, result, .. } => format!("< {routine} = {result:#x}"),
        Kind::LockReleased { lock, api, holder, handle, irql, saved, .. } => {
            let own = holder == Some(event.processor);
            let whose = if own { String::new() } else { whose(holder) };
            let by = by(api);
            format!("- {lock}{by}{whose}{}{}", by_handle(handle), old_irql(irql, saved))
        }
        _ => lock_event(kind).or_else(|| dpc_event(kind)).unwrap_or_else(|| request_event(kind)),
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

fn lock_event(kind: &Kind) -> Option<String> {
    Some(match *kind {
        Kind::LockWaited { lock, api, holder } => {
            format!("? {lock}{}: held by cpu {holder}", by(api))
        }
        Kind::LockAcquired { lock, api, irql, contended } => {
            let after = if contended { ", after waiting" } else { "" };
            format!("+ {lock}{} -> {irql}{after}", by(api))
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

/// By which routine, as Windows spells it.
fn by(api: LockApi) -> &'static str {
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

/// Whose lock is released.
fn whose(holder: Option<u8>) -> String {
    match holder {
        None => ", which nobody held".into(),
        Some(holder) => format!(", held by cpu {holder}"),
    }
}

fn by_handle(handle: Handle) -> &'static str {
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
            format!("* request {request}, function {function:#04x}")
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
