//! Data races in the NVMe core: none as it is, and one for each of its locks that is left out, except those that guard no
//! state, which are named here. `cargo test --test races -- --nocapture left_out` prints the races.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lockstorm::event::{Event, Kind, LockApi, Routine};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::MemoryWatch;
use lockstorm::machine::mutation::{LockKind, Mutation, Operator, Place, Spot};
use lockstorm::reference;
use lockstorm::rules::{RuleId, Severity};
use lockstorm::scenario::{
    AdapterAction, Answer, At, Failures, Io, Outcome, Policy, ResetTier, Scenario, Setup, Step,
    codec,
};

const WATCHED: MemoryWatch = MemoryWatch { events: true, preempts: false };
const PREEMPTED: MemoryWatch = MemoryWatch { events: true, preempts: true };

/// The committed inputs for the core, in order.
fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let files = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder)).expect("a corpus");
        entries.map(|entry| entry.expect("a file").path()).collect::<Vec<PathBuf>>()
    };
    let mut paths = [files("nvme"), files("merged/nvme")].concat();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

fn random(count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut inputs = support::Inputs::new(0xACE5);
    (0..count).map(move |_| inputs.bytes(320))
}

fn watched(watch: MemoryWatch) -> Harness {
    let mut harness = Harness::alone(BuiltIn::Nvme);
    harness.watch_memory(watch);
    harness
}

#[test]
fn the_core_has_no_races() {
    for watch in [WATCHED, PREEMPTED] {
        let mut harness = watched(watch);
        for (number, bytes) in corpus().into_iter().chain(random(600)).enumerate() {
            harness.run_bytes(&bytes);
            let errors = harness.findings().iter().filter(|f| f.severity == Severity::Error);
            let told: Vec<String> = errors
                .map(|f| {
                    format!(
                        "{f}\n{}",
                        f.race_lines().map(|l| format!("  {l}\n")).collect::<String>()
                    )
                })
                .collect();
            assert!(told.is_empty(), "input {number}, {watch:?}: {}", told.join("\n"));
        }
    }
}

#[test]
fn watching_changes_no_event_but_its_own() {
    let (mut plain, mut watching) = (Harness::alone(BuiltIn::Nvme), watched(WATCHED));
    plain.record(true);
    watching.record(true);
    let told = |harness: &mut Harness, bytes: &[u8]| -> Vec<String> {
        harness.run_bytes(bytes);
        let own = |event: &&Event| !matches!(event.kind, Kind::Accessed(_) | Kind::Channel { .. });
        harness.events().iter().filter(own).map(|event| format!("{event:?}")).collect()
    };
    for bytes in corpus().iter().take(60) {
        assert_eq!(told(&mut plain, bytes), told(&mut watching, bytes));
    }
}

#[test]
fn the_same_input_gives_the_same_run() {
    let mut harness = watched(PREEMPTED);
    harness.hash_events(true);
    for bytes in corpus().iter().take(60) {
        let first = harness.run_bytes(bytes);
        assert_eq!(harness.run_bytes(bytes), first);
    }
}

#[test]
fn the_detector_agrees_with_the_model_on_real_runs() {
    let mut harness = watched(PREEMPTED);
    harness.record(true);
    let mut accesses = 0;
    for bytes in corpus().iter().step_by(12) {
        harness.run_bytes(bytes);
        let events = harness.events();
        accesses += events.iter().filter(|event| matches!(event.kind, Kind::Accessed(_))).count();
        assert!(reference::race::races(events).is_empty());
    }
    assert!(accesses > 10_000, "{accesses}");
}

/// Every lock of the core, by where and in which callback it is taken, left out there.
fn left_out() -> BTreeSet<Mutation> {
    let mut harness = Harness::alone(BuiltIn::Nvme);
    harness.record(true);
    let mut mutations = BTreeSet::new();
    for bytes in corpus() {
        harness.run_bytes(&bytes);
        let mut callbacks: [Vec<Routine>; 8] = Default::default();
        for event in harness.events() {
            let callbacks = &mut callbacks[usize::from(event.processor)];
            match event.kind {
                Kind::Entered { routine, .. } => callbacks.push(routine),
                Kind::Left { .. } => drop(callbacks.pop()),
                Kind::LockAcquired { lock, api, .. } if api != LockApi::Port => {
                    let routine = *callbacks.last().expect("a callback");
                    let spot = Spot::of(event.site).expect("a place in the core");
                    let place = Place { spot, lock: LockKind::from(lock) };
                    mutations.insert(Mutation { place, operator: Operator::Skip(routine) });
                }
                _ => {}
            }
        }
    }
    mutations
}

/// Few requests, some to abort others, and what ends all of them, so close together that they meet: random input seldom
/// has the right ones at once. With a setup in which that lock is the guard, and an end that that routine brings. The
/// same for each number.
fn collision(lock: LockKind, routine: Routine, number: u16) -> Scenario {
    let mut inputs = support::Inputs::new(u64::from(number) + 1);
    let mut below = |limit: usize| inputs.bytes(limit - 1).len() as u8;
    // Without passive initialization a timer does what otherwise a DPC does.
    let passive = routine != Routine::Timer && lock != LockKind::Message && below(2) == 0;
    let half_duplex = passive && lock == LockKind::Interrupt;
    let passive = passive || lock == LockKind::Dpc;
    let setup = Setup {
        processors: 2 + below(3),
        per_message: lock == LockKind::Message,
        half_duplex,
        channels: 4,
        failures: Failures { passive_initialization: !passive, ..Failures::default() },
        ..Setup::default()
    };
    // By then the adapter is up.
    let mut steps = vec![Step::Wait(At { processor: 0, gap: 20 })];
    for _ in 0..=below(3) {
        let outcome = if below(2) == 0 { Outcome::Silence } else { Outcome::Success };
        let answer = Answer { outcome, slowness: below(8) };
        let at = At { processor: below(4), gap: below(3) };
        steps.push(Step::Io(at, Io { block: below(64), answer, ..Io::default() }));
    }
    for _ in 0..2 + below(3) {
        let at = At { processor: below(4), gap: below(4) };
        steps.push(match below(5) {
            0 if routine == Routine::AdapterControl => {
                Step::Adapter(at, AdapterAction::SurpriseRemoval)
            }
            0 | 1 => Step::Reset(at, ResetTier::Bus),
            _ => Step::Reset(at, ResetTier::Abort),
        });
    }
    let policy = Policy::Random { seed: number, pace: 1 + below(5) };
    Scenario { setup, steps, schedule: Vec::new(), policy }
}

/// Collisions at most for each lock that is left out. No lock needed more than 750 when they were counted.
const COLLISIONS: u16 = 6_000;

/// What a race is like that shows when a lock is left out, and after how many runs.
fn race_without(harness: &mut Harness, mutation: &Mutation) -> Option<(usize, String)> {
    let Operator::Skip(routine) = mutation.operator else { return None };
    harness.mutate(Some(mutation.clone()));
    let collisions = (0..COLLISIONS).map(|number| collision(mutation.place.lock, routine, number));
    let inputs = corpus().into_iter().map(|bytes| codec::decode(&bytes)).chain(collisions);
    inputs.enumerate().find_map(|(number, scenario)| {
        harness.run(&scenario);
        let found = harness.findings().iter().find(|f| f.rule == RuleId::RaceUnsynchronized)?;
        let lines = found.race_lines().map(|line| format!("    {line}\n"));
        Some((number + 1, lines.collect()))
    })
}

#[test]
fn a_queue_whose_lock_is_left_out_is_a_race() {
    let mut harness = watched(WATCHED);
    let submits = |mutation: &Mutation| {
        let Spot::Source { file, .. } = &mutation.place.spot else { return false };
        let drains = file.ends_with("nvme/interrupt.rs")
            && mutation.operator == Operator::Skip(Routine::Dpc);
        mutation.place.lock == LockKind::Dpc && (file.ends_with("nvme/io.rs") || drains)
    };
    let mutations: Vec<_> = left_out().into_iter().filter(submits).collect();
    assert!(mutations.len() >= 2, "{mutations:?}");
    for mutation in &mutations {
        let (_, told) = race_without(&mut harness, mutation).expect("a race");
        assert!(told.contains("holding no lock"), "{told}");
    }
}

/// Locks that guard no state of which there could be a data race: what stands where they are taken, and why.
const NO_SHARED_STATE: [(&str, &str); 5] = [
    ("queue.set_open(port, true)", "one atomic store, which every reader reads once"),
    (
        "queue.start(port, 0, rings, entries)",
        "the queue is closed: others see that first and go away",
    ),
    (
        "queue.start(port, id, rings, entries)",
        "the queue is closed: others see that first and go away",
    ),
    (
        "_ => port.with_interrupt_lock(mask)",
        "an atomic flag, and a register of the device that agrees",
    ),
    ("port.with_interrupt_lock(|| {", "an atomic flag, and a register of the device that agrees"),
];

/// Which of [`NO_SHARED_STATE`] a place is.
fn known(place: &Place) -> Option<usize> {
    let Spot::Source { file, line, .. } = &place.spot else { return None };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join(file)).expect("a source file");
    let here = text.lines().nth(*line as usize - 1).expect("a line");
    NO_SHARED_STATE.iter().position(|(source, _)| here.contains(source))
}

fn name(Mutation { place, operator }: &Mutation) -> String {
    format!("{operator} of {} at {}", place.lock, place.spot)
}

#[test]
fn each_lock_that_is_left_out_is_a_race() {
    let mutations: Vec<_> =
        left_out().into_iter().filter(|mutation| known(&mutation.place).is_none()).collect();
    assert!(mutations.len() >= 25, "{mutations:?}");
    let mut missed = Vec::new();
    let mut harness = watched(WATCHED);
    for mutation in &mutations {
        match race_without(&mut harness, mutation) {
            Some((runs, lines)) => println!("{}: after {runs} runs\n{lines}", name(mutation)),
            None => missed.push(name(mutation)),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_lock_that_guards_no_state_is_no_race() {
    let mut harness = watched(WATCHED);
    let mut met = BTreeSet::new();
    let every = if cfg!(debug_assertions) { 8 } else { 1 };
    for mutation in left_out() {
        let Some(known) = known(&mutation.place) else { continue };
        met.insert(known);
        harness.mutate(Some(mutation.clone()));
        for bytes in corpus().iter().step_by(every) {
            harness.run_bytes(bytes);
            let raced = harness.findings().iter().find(|f| f.rule == RuleId::RaceUnsynchronized);
            let (_, reason) = NO_SHARED_STATE[known];
            assert!(raced.is_none(), "{}, although {reason}: {raced:?}", name(&mutation));
        }
    }
    assert_eq!(met.len(), NO_SHARED_STATE.len(), "{met:?}");
}
