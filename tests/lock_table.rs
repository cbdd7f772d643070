//! Every row of the lock table, on the machine: which locks StorPort holds when it calls a routine, and which
//! the routine may then take.
//!
//! The rows are `tests/data/allowed-locks.csv`, whose facts are those of
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>.
//! Each row becomes scenarios for the puppet: one that calls the routine, where the events must show the
//! locks of the column `held`, and one for each kind of lock, where the rules must object exactly if the
//! column `allowed` leaves it out.

use lockstorm::event::{Event, Kind, Lock, LockApi, Routine};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::miniport::puppet::{Call, LockName, Op};
use lockstorm::scenario::{
    AdapterAction, At, InterruptKind, Perf, Query, ResetTier, Scenario, Step, UnitAction,
};

const TABLE: &str = include_str!("data/allowed-locks.csv");

struct Row<'a> {
    routine: &'a str,
    kind: &'a str,
    duplex: &'a str,
    channels: &'a str,
    held: Vec<&'a str>,
    allowed: Vec<&'a str>,
}

fn rows() -> impl Iterator<Item = Row<'static>> {
    let lines =
        TABLE.lines().filter(|line| !line.starts_with('#') && !line.starts_with("routine,"));
    lines.map(|line| {
        let fields: Vec<_> = line.split(',').collect();
        let [routine, kind, duplex, channels, held, allowed] = fields[..] else {
            panic!("a row of another shape: {line}");
        };
        let locks = |cell: &'static str| cell.split('+').filter(|&lock| lock != "none").collect();
        Row { routine, kind, duplex, channels, held: locks(held), allowed: locks(allowed) }
    })
}

fn routine(name: &str) -> Routine {
    match name {
        "HwStorFindAdapter" => Routine::FindAdapter,
        "HwStorInitialize" => Routine::Initialize,
        "HwStorPassiveInitialize" => Routine::PassiveInitialize,
        "HwStorInterrupt" => Routine::Interrupt,
        "HwMSIInterrupt" => Routine::MessageInterrupt,
        "HwStorBuildIo" => Routine::BuildIo,
        "HwStorStartIo" => Routine::StartIo,
        "HwStorTimer" => Routine::Timer,
        "HwStorResetBus" => Routine::ResetBus,
        "HwStorStateChange" => Routine::StateChange,
        "HwStorAdapterControl" => Routine::AdapterControl,
        "HwStorUnitControl" => Routine::UnitControl,
        "HwStorTracingEnabled" => Routine::TracingEnabled,
        "HwStorDpcRoutine" => Routine::Dpc,
        other => panic!("a routine that the machine does not call: {other}"),
    }
}

/// What makes StorPort call the routine.
fn trigger(routine: Routine) -> Vec<Step> {
    let at = At::default();
    let request = Step::Query(at, Query::TestUnitReady);
    let in_build_io = |call: Call| vec![Step::Script(call), request];
    match routine {
        Routine::Interrupt | Routine::MessageInterrupt => vec![Step::Interrupt(at, 0)],
        Routine::BuildIo | Routine::StartIo => vec![request],
        Routine::Timer => {
            in_build_io(Call::new(Routine::StartIo, Op::RequestTimerCall).argument(50))
        }
        Routine::Dpc => in_build_io(Call::new(Routine::StartIo, Op::IssueDpc)),
        Routine::StateChange => in_build_io(Call::new(Routine::StartIo, Op::StateChange)),
        Routine::ResetBus => vec![Step::Reset(at, ResetTier::Bus)],
        Routine::AdapterControl => vec![Step::Adapter(at, AdapterAction::StopAndRestart)],
        Routine::UnitControl => vec![Step::Unit(at, UnitAction::Start)],
        Routine::TracingEnabled => vec![Step::Adapter(at, AdapterAction::TracingEnabled)],
        _ => vec![],
    }
}

/// The configurations that a row speaks of.
fn scenarios(row: &Row<'_>) -> Vec<Scenario> {
    let routine = routine(row.routine);
    let mut scenarios = Vec::new();
    for is_virtual in [false, true] {
        // Nothing calls these of a virtual miniport.
        let physical_only =
            matches!(routine, Routine::BuildIo | Routine::Interrupt | Routine::MessageInterrupt);
        if is_virtual && (row.kind == "physical" || physical_only)
            || !is_virtual && row.kind == "virtual"
        {
            continue;
        }
        for half_duplex in [false, true] {
            // Duplex means nothing to a virtual miniport.
            if half_duplex && (row.duplex == "full" || is_virtual)
                || !half_duplex && row.duplex == "half"
            {
                continue;
            }
            for many in [false, true] {
                // Concurrent channels come with full duplex.
                if many && (row.channels == "1" || half_duplex || is_virtual)
                    || !many && row.channels == "many"
                {
                    continue;
                }
                scenarios.push(scenario(routine, is_virtual, half_duplex, many));
            }
        }
    }
    scenarios
}

fn scenario(routine: Routine, is_virtual: bool, half_duplex: bool, many: bool) -> Scenario {
    let mut scenario = Scenario::default();
    scenario.setup.processors = 1;
    scenario.setup.virtual_miniport = is_virtual;
    scenario.setup.half_duplex = half_duplex;
    scenario.setup.per_message = true;
    if routine == Routine::Interrupt {
        scenario.setup.interrupts = InterruptKind::Line;
    }
    if many {
        scenario.setup.channels = 4;
        let call = Call::new(Routine::PassiveInitialize, Op::InitializePerfOpts);
        scenario.steps.push(Step::Script(call.argument(Perf::CONCURRENT_CHANNELS)));
    }
    scenario.steps.extend(trigger(routine));
    scenario
}

/// The locks that StorPort holds each time it calls the routine.
fn held_at_entry(events: &[Event], wanted: Routine) -> Vec<Vec<Lock>> {
    let mut held = Vec::new();
    let mut entries = Vec::new();
    for event in events {
        match event.kind {
            Kind::LockAcquired { lock, api: LockApi::Port, .. } => held.push(lock),
            Kind::LockReleased { lock, api: LockApi::Port, .. } => held.retain(|&l| l != lock),
            Kind::Entered { routine, .. } if routine == wanted => entries.push(held.clone()),
            _ => {}
        }
    }
    entries
}

fn names(locks: &[Lock]) -> Vec<&'static str> {
    locks
        .iter()
        .map(|lock| match lock {
            Lock::StartIo => "StartIo",
            // A message's lock follows the table's Interrupt column.
            Lock::Interrupt | Lock::Message(_) => "Interrupt",
            other => panic!("StorPort holds {other:?}"),
        })
        .collect()
}

#[test]
fn storport_holds_what_the_table_says() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let mut checked = 0;
    for row in rows() {
        for scenario in scenarios(&row) {
            harness.run(&scenario);
            assert!(harness.findings().is_empty(), "{}: {:?}", row.routine, harness.findings());
            let entries = held_at_entry(harness.events(), routine(row.routine));
            assert!(!entries.is_empty(), "{} is never called: {scenario:?}", row.routine);
            for held in entries {
                assert_eq!(names(&held), row.held, "{}: {:?}", row.routine, scenario.setup);
                checked += 1;
            }
        }
    }
    assert!(checked >= 40, "only {checked} calls were checked");
}

#[test]
fn a_routine_may_take_what_the_table_says_and_nothing_else() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    for row in rows() {
        for mut scenario in scenarios(&row) {
            for (name, lock) in [
                ("Dpc", LockName::Dpc),
                ("StartIo", LockName::StartIo),
                ("Interrupt", LockName::Interrupt),
            ] {
                let routine = routine(row.routine);
                let before = scenario.steps.len();
                let acquire = Call::new(routine, Op::Acquire).lock(lock);
                scenario.steps.push(Step::Script(acquire));
                scenario.steps.push(Step::Script(Call::new(routine, Op::Release)));
                harness.run(&scenario);
                let found: Vec<_> =
                    harness.findings().iter().map(|finding| finding.rule.rule().id).collect();
                let context =
                    format!("{} takes {name}: {found:?} in {:?}", row.routine, scenario.setup);
                if row.allowed.contains(&name) {
                    assert!(found.is_empty(), "false alarm: {context}");
                } else {
                    let about_locks =
                        |id: &&str| id.starts_with("lock.") || id.starts_with("interrupt.");
                    assert!(found.iter().any(about_locks), "missed: {context}");
                }
                scenario.steps.truncate(before);
            }
        }
    }
}
