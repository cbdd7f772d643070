//! What the simulated StorPort does by itself, seen in its events: timeouts and resets, queues, DPC targets,
//! channels, the adapter's life.

use lockstorm::event::{Event, Kind, Routine};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::End;
use lockstorm::miniport::puppet::{Call, Op};
use lockstorm::scenario::{
    AdapterAction, At, Decision, InterruptKind, Perf, Policy, Query, Scenario, Step, text,
};
use lockstorm::storport::Irql;

const AT: At = At { processor: 0, gap: 0 };

fn on(processor: u8) -> At {
    At { processor, gap: 0 }
}

fn request(at: At) -> Step {
    Step::Query(at, Query::TestUnitReady)
}

fn script(routine: Routine, op: Op) -> Step {
    Step::Script(Call::new(routine, op))
}

/// The events of a run of the puppet, which must end quiet and clean unless it says otherwise.
fn events(scenario: &Scenario) -> Vec<Event> {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let outcome = harness.run(scenario);
    assert!(harness.findings().is_empty(), "{:?}", harness.findings());
    assert_eq!(outcome.end, End::Quiet);
    harness.events().to_vec()
}

fn steps(steps: Vec<Step>) -> Scenario {
    Scenario { steps, ..Scenario::default() }
}

fn position(events: &[Event], what: impl Fn(&Kind) -> bool) -> usize {
    events.iter().position(|event| what(&event.kind)).expect("it happens")
}

fn entered(wanted: Routine) -> impl Fn(&Kind) -> bool {
    move |kind| matches!(kind, Kind::Entered { routine, .. } if *routine == wanted)
}

#[test]
fn a_request_that_never_ends_is_reset_in_three_tiers_and_then_lost() {
    let mut scenario = steps(vec![script(Routine::StartIo, Op::Keep), request(AT)]);
    // It forgets every request, and a reset as well.
    scenario.steps.insert(1, script(Routine::ResetBus, Op::SkipDefault));
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    harness.run(&scenario);
    let rules: Vec<_> = harness.findings().iter().map(|f| f.rule.rule().id).collect();
    assert_eq!(rules, ["request.lost"]);
    let events = harness.events();
    let created = |wanted: u8| {
        position(
            events,
            |kind| matches!(kind, Kind::RequestCreated { function, .. } if *function == wanted),
        )
    };
    let order = [
        position(events, |kind| matches!(kind, Kind::RequestTimedOut { .. })),
        created(0x20),
        created(0x13),
        position(events, entered(Routine::ResetBus)),
        position(events, |kind| matches!(kind, Kind::RequestLost { .. })),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let timeout = events[order[0]].time;
    assert!((10_000_000_000..10_100_000_000).contains(&timeout), "after {timeout} ns");
}

#[test]
fn a_bus_reset_that_completes_what_it_finds_loses_nothing() {
    let scenario = steps(vec![script(Routine::StartIo, Op::Keep), request(AT)]);
    let events = events(&scenario);
    let reset = position(&events, entered(Routine::ResetBus));
    let completed =
        position(&events, |kind| matches!(kind, Kind::RequestCompleted { request: 0, .. }));
    assert!(completed > reset);
}

#[test]
fn a_refused_request_comes_again() {
    let refuse = Call::new(Routine::StartIo, Op::CompleteBusy)
        .when(lockstorm::miniport::puppet::When::First);
    let events = events(&steps(vec![Step::Script(refuse), request(AT)]));
    let deferred = position(&events, |kind| matches!(kind, Kind::RequestDeferred { request: 0 }));
    let starts: Vec<_> =
        (0..events.len()).filter(|&n| entered(Routine::StartIo)(&events[n].kind)).collect();
    assert_eq!(starts.len(), 2);
    assert!(starts[0] < deferred && deferred < starts[1]);
}

#[test]
fn a_dpc_runs_where_it_is_issued_or_where_it_is_sent() {
    let issue = script(Routine::StartIo, Op::IssueDpc);
    let here = events(&steps(vec![issue, request(on(1))]));
    assert_eq!(here[position(&here, entered(Routine::Dpc))].processor, 1);
    let send = Call::new(Routine::PassiveInitialize, Op::SetTargetDpc).slot(0);
    let there = events(&steps(vec![Step::Script(send), issue, request(on(1))]));
    let dpc = there[position(&there, entered(Routine::Dpc))];
    assert_eq!((dpc.processor, dpc.irql), (0, Irql::DISPATCH));
}

#[test]
fn a_dpc_runs_when_the_interrupt_that_issued_it_has_returned() {
    let mut scenario =
        steps(vec![script(Routine::Interrupt, Op::IssueDpc), Step::Interrupt(AT, 0)]);
    scenario.setup.interrupts = InterruptKind::Line;
    let events = events(&scenario);
    let left =
        position(&events, |kind| matches!(kind, Kind::Left { routine: Routine::Interrupt, .. }));
    assert!(position(&events, entered(Routine::Dpc)) > left);
}

/// Two requests on two processors, preempted everywhere; the most callbacks of HwStorStartIo at once.
fn most_in_start_io(channels: bool) -> usize {
    let mut scenario = steps(vec![request(on(0)), request(on(1))]);
    if channels {
        let call = Call::new(Routine::PassiveInitialize, Op::InitializePerfOpts)
            .argument(Perf::CONCURRENT_CHANNELS);
        scenario.steps.insert(0, Step::Script(call));
    }
    scenario.schedule = vec![Decision { after: 0, choice: 0 }; 200];
    let (mut now, mut most) = (0_usize, 0);
    for event in events(&scenario) {
        match event.kind {
            Kind::Entered { routine: Routine::StartIo, .. } => now += 1,
            Kind::Left { routine: Routine::StartIo, .. } => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

#[test]
fn start_io_runs_on_two_processors_at_once_only_with_channels() {
    assert_eq!(most_in_start_io(false), 1);
    assert_eq!(most_in_start_io(true), 2);
}

#[test]
fn the_adapter_is_stopped_only_when_nothing_is_outstanding() {
    let later = Call::new(Routine::Timer, Op::CompleteOldest);
    let timer = Call::new(Routine::StartIo, Op::RequestTimerCall).argument(100);
    let events = events(&steps(vec![
        script(Routine::StartIo, Op::Keep),
        Step::Script(timer),
        Step::Script(later),
        request(AT),
        Step::Adapter(At { processor: 0, gap: 1 }, AdapterAction::StopAndRestart),
    ]));
    let completed = position(&events, |kind| matches!(kind, Kind::RequestCompleted { .. }));
    let stopped = position(&events, |kind| matches!(kind, Kind::AdapterStopped { .. }));
    assert!(completed < stopped);
}

#[test]
fn without_restart_the_adapter_is_found_anew() {
    let mut scenario = steps(vec![Step::Adapter(AT, AdapterAction::StopAndRestart)]);
    let count = |events: &[Event], routine| {
        events.iter().filter(|event| entered(routine)(&event.kind)).count()
    };
    let restarted = events(&scenario);
    assert_eq!(count(&restarted, Routine::FindAdapter), 1);
    scenario.setup.restart_supported = false;
    let found = events(&scenario);
    assert_eq!(count(&found, Routine::FindAdapter), 2);
    assert_eq!(count(&found, Routine::Initialize), 2);
}

const STOPPED_TWICE: &[u8] = b"(
    version: 2,
    setup: (
        processors: 8, interrupts: Line, per_message: false, half_duplex: true, channels: 6, early_interrupts: true,
        control_under_interrupt_lock: true, restart_supported: false, failures: (passive_initialization: true),
        perf: [MessageRanges, Locality, CurrentCpu, NoSgl],
    ),
    steps: [
        Read(block: 90, blocks: 8, slowness: 6, processor: 5, gap: 3),
        Adapter(what: StopAndRestart, processor: 5, gap: 3),
        Adapter(what: StopAndRestart, gap: 3),
        Adapter(what: StopAndRestart, processor: 5, gap: 3),
    ],
)";

#[test]
fn what_a_stop_interrupts_ends_before_the_adapter_is_found_anew() {
    let mut scenario = text::read(STOPPED_TWICE).expect("well formed");
    let mut harness = Harness::alone(BuiltIn::Nvme);
    harness.record(true);
    let mut interrupted = 0;
    for seed in 0..1000 {
        scenario.policy = Policy::Random { seed, pace: 2 };
        harness.run(&scenario);
        assert!(harness.findings().is_empty(), "{:?}", harness.findings());
        let mut rest = harness.events();
        while let Some(stopped) =
            rest.iter().position(|event| matches!(event.kind, Kind::AdapterStopped { .. }))
        {
            rest = &rest[stopped..];
            let is_found = |event: &Event| entered(Routine::FindAdapter)(&event.kind);
            let Some(found) = rest.iter().position(is_found) else { break };
            let ends = |event: &&Event| matches!(event.kind, Kind::Left { .. });
            interrupted += rest[..found].iter().filter(ends).count();
            let done = found
                + 1
                + position(&rest[found + 1..], |kind| {
                    !matches!(kind, Kind::Called { .. } | Kind::Accessed(_))
                });
            let leaves =
                matches!(rest[done].kind, Kind::Left { routine: Routine::FindAdapter, .. });
            assert!(leaves, "{seed}: {:?}", rest[done]);
            rest = &rest[done..];
        }
    }
    assert!(interrupted > 0, "something was under way");
}

#[test]
fn a_crash_dump_has_one_processor_no_interrupts_and_void_locks() {
    let mut scenario = steps(vec![request(on(3))]);
    scenario.setup.processors = 4;
    scenario.setup.dump = true;
    let events = events(&scenario);
    assert!(events.iter().all(|event| event.processor == 0));
    assert!(!events.iter().any(|event| matches!(event.kind, Kind::LockAcquired { .. })));
    assert_eq!(events[position(&events, entered(Routine::StartIo))].irql, Irql::HIGH);
}
