//! The puppet on the machine: without a script a driver that behaves, with one exactly what it says.

use std::collections::BTreeSet;

use lockstorm::event::{
    ConfigurationMistake, Event, Handle, Kind, Lock, LockApi, LockMisuse, Owner, Routine,
};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::End;
use lockstorm::miniport::puppet::{Call, Context, LockName, Op, When};
use lockstorm::scenario::{AdapterAction, At, Io, Perf, Scenario, Step, UnitAction, codec};
use lockstorm::storport::{Ddi, Irql, SrbStatus};

/// Random scenarios, by Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn scenario(&mut self) -> Scenario {
        let bytes: Vec<u8> = (0..300)
            .map(|_| {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                (self.0 >> 32) as u8
            })
            .collect();
        codec::decode(&bytes)
    }
}

#[test]
fn without_a_script_no_rule_has_anything_to_say() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let mut random = Random(7);
    for number in 0..20_000 {
        let mut scenario = random.scenario();
        scenario.steps.retain(|step| !matches!(step, Step::Script(_)));
        let end = harness.run(&scenario).end;
        // Half duplex is the scenario's choice and not the puppet's mistake.
        let found: Vec<_> = harness
            .findings()
            .iter()
            .map(ToString::to_string)
            .filter(|finding| !finding.contains("duplex.half"))
            .collect();
        let text = lockstorm::scenario::text::write(&scenario);
        assert!(end == End::Quiet && found.is_empty(), "{number}: {end:?} {found:#?}\n{text}");
    }
}

#[test]
fn any_script_can_be_played() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let mut random = Random(9);
    let mut ends = [0; 5];
    for _ in 0..20_000 {
        ends[harness.run(&random.scenario()).end as usize] += 1;
    }
    assert!(ends[End::Quiet as usize] > 1_000, "{ends:?}");
    assert!(ends[End::Violation as usize] > 1_000, "{ends:?}");
}

/// Plays a script, with one of every request, interrupt and control, and gives the events back.
fn play(calls: &[Call]) -> Vec<Event> {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let at = At { processor: 0, gap: 8 };
    let mut scenario = Scenario::default();
    scenario.steps.extend(calls.iter().copied().map(Step::Script));
    scenario.steps.extend([
        Step::Io(at, Io::default()),
        Step::Interrupt(at, 1),
        Step::Adapter(at, AdapterAction::TracingEnabled),
        Step::Unit(at, UnitAction::Start),
    ]);
    harness.run(&scenario);
    harness.events().to_vec()
}

fn said(events: &[Event], expected: impl Fn(&Kind) -> bool) -> bool {
    events.iter().any(|event| expected(&event.kind))
}

/// A line in HwStorBuildIo, where every lock may be taken.
fn build(op: Op) -> Call {
    Call::new(Routine::BuildIo, op)
}

fn start(op: Op) -> Call {
    Call::new(Routine::StartIo, op)
}

/// The last line of a script, and an event that it must lead to.
type Row = (Vec<Call>, fn(&Kind) -> bool);

fn lock_rows() -> Vec<Row> {
    let start_io = build(Op::Acquire).lock(LockName::StartIo);
    let release = build(Op::Release);
    vec![
        (vec![start_io.lock(LockName::Interrupt)], |kind| {
            matches!(kind, Kind::LockAcquired { lock: Lock::Interrupt, api: LockApi::Spin, .. })
        }),
        (vec![start_io.lock(LockName::Dpc).argument(2)], |kind| {
            matches!(kind, Kind::LockAcquired { lock: Lock::Dpc(2), api: LockApi::Spin, .. })
        }),
        (vec![start_io.lock(LockName::Dpc).context(Context::Null)], |kind| {
            matches!(kind, Kind::LockMisused { misuse: LockMisuse::DpcNull, .. })
        }),
        (vec![start_io.lock(LockName::Dpc).context(Context::Foreign)], |kind| {
            matches!(kind, Kind::LockMisused { misuse: LockMisuse::DpcForeign, .. })
        }),
        (vec![start_io.lock(LockName::Dpc).argument(4)], |kind| {
            matches!(kind, Kind::LockMisused { misuse: LockMisuse::DpcUninitialized, .. })
        }),
        (vec![start_io.context(Context::Dpc)], |kind| matches!(kind, Kind::ContextIgnored { .. })),
        (vec![start_io.lock(LockName::Unknown)], |kind| {
            matches!(kind, Kind::LockMisused { misuse: LockMisuse::UnknownKind, .. })
        }),
        (vec![start_io.lock(LockName::ThreadedDpc)], |kind| {
            matches!(kind, Kind::LockMisused { misuse: LockMisuse::ExOnlyKind, .. })
        }),
        (vec![build(Op::AcquireEx).lock(LockName::ThreadedDpc).argument(1)], |kind| {
            matches!(kind, Kind::LockAcquired { lock: Lock::Dpc(1), api: LockApi::ThreadedDpc, .. })
        }),
        (vec![start_io.slot(1), release.slot(1)], |kind| {
            matches!(kind, Kind::LockReleased { lock: Lock::StartIo, handle: Handle::Same, .. })
        }),
        (vec![release], |kind| {
            matches!(kind, Kind::LockMisused { misuse: LockMisuse::HandleNeverAcquired, .. })
        }),
        (vec![build(Op::AcquireMsi).argument(1)], |kind| {
            matches!(kind, Kind::LockAcquired { lock: Lock::Message(1), api: LockApi::Msi, .. })
        }),
        (vec![build(Op::AcquireMsi).argument(1), build(Op::ReleaseMsi).argument(1)], |kind| {
            matches!(kind, Kind::LockReleased { lock: Lock::Message(1), irql: Irql::DISPATCH, .. })
        }),
        (
            vec![
                Call::new(Routine::MessageInterrupt, Op::AcquireMsi)
                    .context(Context::Own)
                    .argument(1),
            ],
            |kind| {
                matches!(kind, Kind::LockAcquired { lock: Lock::Message(2), api: LockApi::Msi, .. })
            },
        ),
        (vec![build(Op::Synchronize)], |kind| {
            matches!(kind, Kind::Entered { routine: Routine::Synchronized, .. })
        }),
        (vec![start_io, build(Op::CopyHandle).argument(1), release.slot(1)], |kind| {
            matches!(kind, Kind::LockReleased { handle: Handle::Copied, .. })
        }),
        (vec![start_io, build(Op::RelabelHandle).lock(LockName::Interrupt), release], |kind| {
            matches!(kind, Kind::LockReleased { handle: Handle::OtherLock, .. })
        }),
        (vec![start_io, build(Op::SetOldIrql).argument(5), release], |kind| {
            matches!(kind, Kind::LockReleased { irql: Irql(5), saved: Irql::DISPATCH, .. })
        }),
    ]
}

fn executive_rows() -> Vec<Row> {
    vec![
        (vec![build(Op::KeInitialize).argument(5)], |kind| {
            matches!(kind, Kind::ExecutiveInitialized { lock: 4, again: false, .. })
        }),
        (vec![build(Op::KeInitialize).argument(3)], |kind| {
            matches!(kind, Kind::ExecutiveInitialized { lock: 3, again: true, .. })
        }),
        (vec![build(Op::KeAcquire).argument(4)], |kind| {
            matches!(kind, Kind::ExecutiveUninitialized { .. })
        }),
        (vec![build(Op::KeAcquire), build(Op::KeRelease)], |kind| {
            matches!(kind, Kind::LockReleased { api: LockApi::Ke, handle: Handle::Same, .. })
        }),
        (vec![build(Op::KeAcquire)], |kind| {
            matches!(kind, Kind::LockAcquired { lock: Lock::Executive(0), api: LockApi::Ke, .. })
        }),
        (vec![build(Op::KeAcquireAtDpcLevel).argument(2)], |kind| {
            let api = LockApi::KeDpcLevel;
            matches!(kind, Kind::LockAcquired { lock: Lock::Executive(2), api: a, .. } if *a == api)
        }),
        (vec![build(Op::KeAcquireAtDpcLevel), build(Op::KeReleaseFromDpcLevel)], |kind| {
            matches!(
                kind,
                Kind::LockReleased { api: LockApi::KeDpcLevel, handle: Handle::Same, .. }
            )
        }),
        (vec![build(Op::KeAcquire), build(Op::KeReleaseFromDpcLevel)], |kind| {
            matches!(kind, Kind::LockReleased { handle: Handle::OtherApi, .. })
        }),
        (vec![build(Op::KeAcquireQueued)], |kind| {
            matches!(kind, Kind::LockAcquired { api: LockApi::KeQueued, .. })
        }),
        (vec![build(Op::KeAcquireQueued).slot(5), build(Op::KeReleaseQueued).slot(5)], |kind| {
            matches!(kind, Kind::LockReleased { api: LockApi::KeQueued, handle: Handle::Same, .. })
        }),
        (vec![build(Op::RaiseIrql).argument(7)], |kind| {
            matches!(kind, Kind::IrqlSet { irql: Irql(7), raise: true })
        }),
        (vec![build(Op::RaiseIrql).argument(7), build(Op::RestoreIrql)], |kind| {
            matches!(kind, Kind::IrqlSet { irql: Irql::DISPATCH, raise: false })
        }),
        (vec![build(Op::LowerIrql).argument(1)], |kind| {
            matches!(kind, Kind::IrqlSet { irql: Irql::APC, raise: false })
        }),
    ]
}

fn dpc_rows() -> Vec<Row> {
    let issue = build(Op::IssueDpc);
    vec![
        (vec![build(Op::InitializeDpc).argument(5)], |kind| {
            matches!(kind, Kind::DpcInitialized { dpc: 4, again: false, .. })
        }),
        (vec![build(Op::InitializeDpc).argument(1)], |kind| {
            matches!(kind, Kind::DpcInitialized { dpc: 1, again: true, .. })
        }),
        (vec![issue.argument(2)], |kind| {
            matches!(kind, Kind::DpcIssued { dpc: Some(2), queued: true, .. })
        }),
        (vec![issue.argument(2)], |kind| {
            matches!(kind, Kind::Entered { routine: Routine::Dpc, subject: 2 })
        }),
        (vec![issue.context(Context::Null)], |kind| {
            matches!(kind, Kind::DpcIssued { dpc: None, .. })
        }),
        (vec![issue, build(Op::CancelDpc)], |kind| {
            matches!(kind, Kind::DpcCancelled { dpc: Some(0), removed: true })
        }),
        (vec![build(Op::SetTargetDpc).slot(1), issue], |kind| {
            matches!(kind, Kind::DpcIssued { dpc: Some(0), target: 1, .. })
        }),
        (vec![build(Op::CopyDpc), issue.context(Context::Copy)], |kind| {
            matches!(kind, Kind::DpcIssued { dpc: None, .. })
        }),
        (vec![issue, build(Op::ZeroDpc)], |kind| matches!(kind, Kind::DpcCorrupted { dpc: 0 })),
        (
            vec![
                issue.argument(3),
                Call::new(Routine::Dpc, Op::Acquire).lock(LockName::Dpc).context(Context::Own),
            ],
            |kind| matches!(kind, Kind::LockAcquired { lock: Lock::Dpc(3), .. }),
        ),
    ]
}

fn request_rows() -> Vec<Row> {
    fn completed(kind: &Kind, wanted: SrbStatus) -> bool {
        let mine = Owner::Miniport;
        matches!(kind, Kind::RequestCompleted { status, owner, .. }
            if *status == wanted && *owner == mine)
    }
    let keep = start(Op::Keep);
    let oldest = Call::new(Routine::MessageInterrupt, Op::CompleteOldest);
    vec![
        (vec![start(Op::Complete)], |kind| completed(kind, SrbStatus::SUCCESS)),
        (vec![start(Op::CompleteBusy).when(When::First)], |kind| completed(kind, SrbStatus::BUSY)),
        (vec![start(Op::CompletePending)], |kind| completed(kind, SrbStatus::PENDING)),
        (vec![build(Op::CompleteError)], |kind| completed(kind, SrbStatus::ERROR)),
        (vec![start(Op::Complete), start(Op::CompleteAgain)], |kind| {
            matches!(kind, Kind::RequestCompleted { owner: Owner::Port, .. })
        }),
        (vec![start(Op::CompleteUnknown)], |kind| {
            matches!(kind, Kind::RequestCompleted { owner: Owner::Nobody, .. })
        }),
        (vec![keep], |kind| completed(kind, SrbStatus::BUS_RESET)),
        (vec![keep, oldest], |kind| completed(kind, SrbStatus::SUCCESS)),
        (vec![keep, start(Op::Forget)], |kind| matches!(kind, Kind::RequestLost { .. })),
        (vec![start(Op::Complete), start(Op::TouchRequest)], |kind| {
            matches!(kind, Kind::RequestTouched { .. })
        }),
        (vec![start(Op::Complete), start(Op::TouchSrbExtension)], |kind| {
            matches!(kind, Kind::RequestTouched { .. })
        }),
        (vec![keep, start(Op::CompleteByPort)], |kind| {
            matches!(kind, Kind::RequestsCompletedByPort { count: 1, .. })
        }),
        (vec![start(Op::SkipDefault)], |kind| matches!(kind, Kind::RequestTimedOut { .. })),
    ]
}

fn result_rows() -> Vec<Row> {
    let find = |op| Call::new(Routine::FindAdapter, op);
    vec![
        (vec![build(Op::Complete), build(Op::ReturnTrue)], |kind| {
            matches!(kind, Kind::Left { routine: Routine::BuildIo, result: 1, .. })
        }),
        (vec![build(Op::ReturnFalse)], |kind| {
            matches!(kind, Kind::Left { routine: Routine::BuildIo, result: 0, .. })
        }),
        (vec![find(Op::ReturnUnknown)], |kind| {
            wrong(kind, ConfigurationMistake::ReturnValueUnknown)
        }),
        (vec![find(Op::LeaveTransferLimits)], |kind| {
            wrong(kind, ConfigurationMistake::TransferLimitsUnset)
        }),
        (vec![find(Op::FlipVirtualDevice)], |kind| {
            wrong(kind, ConfigurationMistake::VirtualDeviceWrong)
        }),
        (
            vec![
                Call::new(Routine::Initialize, Op::InitializePerfOpts)
                    .argument(Perf::CONCURRENT_CHANNELS),
            ],
            |kind| matches!(kind, Kind::Configured(adapter) if adapter.channels > 1),
        ),
    ]
}

fn wrong(kind: &Kind, wanted: ConfigurationMistake) -> bool {
    matches!(kind, Kind::ConfigurationWrong { mistake } if *mistake == wanted)
}

#[test]
fn each_line_does_what_it_says() {
    let rows = [lock_rows(), executive_rows(), dpc_rows(), request_rows(), result_rows()];
    for (calls, expected) in rows.into_iter().flatten() {
        let events = play(&calls);
        assert!(said(&events, expected), "{calls:#?} {:#?}", kinds(&events));
    }
}

fn kinds(events: &[Event]) -> Vec<Kind> {
    events.iter().map(|event| event.kind).collect()
}

/// Lines that are one call of a DDI without an event kind of its own, and the argument that it must get.
const CALLED: [(Op, Ddi, u32); 38] = [
    (Op::Pause, Ddi::Pause, 3),
    (Op::Resume, Ddi::Resume, 0),
    (Op::PauseDevice, Ddi::PauseDevice, 3),
    (Op::ResumeDevice, Ddi::ResumeDevice, 0),
    (Op::Busy, Ddi::Busy, 3),
    (Op::Ready, Ddi::Ready, 0),
    (Op::DeviceBusy, Ddi::DeviceBusy, 3),
    (Op::DeviceReady, Ddi::DeviceReady, 0),
    (Op::SetQueueDepth, Ddi::SetDeviceQueueDepth, 3),
    (Op::ResetDetected, Ddi::ResetDetected, 3),
    (Op::BusChangeDetected, Ddi::BusChangeDetected, 7),
    (Op::LinkUp, Ddi::Notification, 0xA),
    (Op::LinkDown, Ddi::Notification, 0xB),
    (Op::NotifyUndocumented, Ddi::Notification, 1),
    (Op::StateChange, Ddi::StateChangeDetected, 0),
    (Op::StallMicroseconds, Ddi::StallExecution, 3),
    (Op::StallMilliseconds, Ddi::StallExecution, 3_000),
    (Op::StallSeconds, Ddi::StallExecution, 3_000_000),
    (Op::QuerySystemTime, Ddi::QuerySystemTime, 0),
    (Op::RequestTimerCall, Ddi::RequestTimerCall, 3_000),
    (Op::InitializeTimer, Ddi::InitializeTimer, 0),
    (Op::RequestTimer, Ddi::RequestTimer, 3_000),
    (Op::FreeTimer, Ddi::FreeTimer, 0),
    (Op::InitializeWorker, Ddi::InitializeWorker, 0),
    (Op::QueueWorkItem, Ddi::QueueWorkItem, 0),
    (Op::FreeWorker, Ddi::FreeWorker, 0),
    (Op::AllocatePool, Ddi::AllocatePool, 64),
    (Op::GetUncachedExtension, Ddi::GetUncachedExtension, 4096),
    (Op::GetDeviceBase, Ddi::GetDeviceBase, 256),
    (Op::FreeDeviceBase, Ddi::FreeDeviceBase, 0),
    (Op::GetPhysicalAddress, Ddi::GetPhysicalAddress, 0),
    (Op::GetScatterGatherList, Ddi::GetScatterGatherList, 0),
    (Op::GetSystemAddress, Ddi::GetSystemAddress, 0),
    (Op::GetBusData, Ddi::GetBusData, 4),
    (Op::RegistryRead, Ddi::RegistryRead, 0),
    (Op::QueryPerfOpts, Ddi::InitializePerfOpts, 1),
    (Op::GetStartIoPerfParams, Ddi::GetStartIoPerfParams, 0),
    (Op::GetMsiInfo, Ddi::GetMsiInfo, 3),
];

/// More of them, that need no argument.
const CALLED_TOO: [(Op, Ddi, u32); 7] = [
    (Op::EnablePassiveInitialization, Ddi::EnablePassiveInitialization, 0),
    (Op::GetProcessorNumber, Ddi::GetCurrentProcessorNumber, 0),
    (Op::LogError, Ddi::LogError, 0),
    (Op::ValidateRange, Ddi::ValidateRange, 4096),
    (Op::SendMessage, Ddi::WriteRegister, 0xF0),
    (Op::DeassertLine, Ddi::WriteRegister, 0xF4),
    (Op::ReadRegister, Ddi::ReadRegister, 12),
];

/// Whether `routine` on processor 0 called `wanted` with `argument`.
fn called_in(events: &[Event], routine: Routine, wanted: Ddi, argument: u32) -> bool {
    let mut inside = false;
    events.iter().any(|event| match event.kind {
        Kind::Entered { routine: entered, .. } => {
            inside = entered == routine;
            false
        }
        Kind::Called { ddi, argument: given, .. } => inside && ddi == wanted && given == argument,
        _ => false,
    })
}

#[test]
fn each_call_reaches_its_routine() {
    for (op, ddi, argument) in CALLED.into_iter().chain(CALLED_TOO) {
        let events = play(&[build(op).argument(3)]);
        let called = called_in(&events, Routine::BuildIo, ddi, argument);
        assert!(called, "{op:?} {:#?}", kinds(&events));
    }
    let pool = [build(Op::AllocatePool).slot(2), build(Op::FreePool).slot(2)];
    assert!(called_in(&play(&pool), Routine::BuildIo, Ddi::FreePool, 0));
    let nothing = [build(Op::FreePool).slot(2)];
    assert!(!called_in(&play(&nothing), Routine::BuildIo, Ddi::FreePool, 0));
    let panic = play(&[build(Op::Panic)]);
    assert!(said(&panic, |kind| matches!(kind, Kind::Crashed { .. })));
}

#[test]
fn deferred_routines_come_back_to_the_puppet() {
    for (op, routine) in [
        (Op::RequestTimerCall, Routine::Timer),
        (Op::RequestTimer, Routine::TimerEx),
        (Op::QueueWorkItem, Routine::WorkItem),
        (Op::StateChange, Routine::StateChange),
        (Op::IssueDpc, Routine::Dpc),
        (Op::Synchronize, Routine::Synchronized),
    ] {
        let first = build(op).when(When::First).argument(3);
        let events = play(&[first, Call::new(routine, Op::QuerySystemTime)]);
        assert!(
            called_in(&events, routine, Ddi::QuerySystemTime, 0),
            "{op:?} {:#?}",
            kinds(&events)
        );
    }
}

#[test]
fn every_op_has_a_row() {
    let rows = [lock_rows(), executive_rows(), dpc_rows(), request_rows(), result_rows()];
    let mut tested: BTreeSet<u8> =
        rows.into_iter().flatten().flat_map(|(calls, _)| calls).map(|call| call.op as u8).collect();
    tested.extend(CALLED.iter().chain(&CALLED_TOO).map(|&(op, ..)| op as u8));
    tested.extend([Op::FreePool as u8, Op::Panic as u8]);
    let missing: Vec<_> = Op::ALL.iter().filter(|&&op| !tested.contains(&(op as u8))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn when_says_on_which_invocations() {
    let count = |when| {
        let line = Call::new(Routine::StartIo, Op::QuerySystemTime).when(when);
        let mut harness = Harness::alone(BuiltIn::Puppet);
        harness.record(true);
        let mut scenario = Scenario::default();
        scenario.steps.push(Step::Script(line));
        scenario.steps.extend([Step::Io(At { processor: 0, gap: 8 }, Io::default()); 5]);
        harness.run(&scenario);
        let time =
            |event: &&Event| matches!(event.kind, Kind::Called { ddi: Ddi::QuerySystemTime, .. });
        harness.events().iter().filter(time).count()
    };
    let counts = When::ALL.map(count);
    // Always, First, Second, Third, AfterFirst, EveryOther, of five.
    assert_eq!(counts, [5, 1, 1, 1, 4, 3]);
}

#[test]
fn kept_requests_are_completed_in_the_order_in_which_they_came() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let at = At { processor: 0, gap: 1 };
    let mut scenario = Scenario::default();
    scenario.steps.push(Step::Script(start(Op::Keep)));
    let oldest = Call::new(Routine::MessageInterrupt, Op::CompleteOldest);
    scenario.steps.push(Step::Script(oldest));
    scenario.steps.extend([Step::Io(at, Io::default()); 4]);
    scenario.steps.extend([Step::Interrupt(at, 1); 4]);
    assert_eq!(harness.run(&scenario).end, End::Quiet);
    let completed: Vec<u16> = harness
        .events()
        .iter()
        .filter_map(|event| match event.kind {
            Kind::RequestCompleted { request, .. } => Some(request),
            _ => None,
        })
        .collect();
    assert_eq!(completed, [0, 1, 2, 3]);
    assert!(harness.findings().is_empty());
}
