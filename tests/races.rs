//! Data races in the NVMe core: none as it is, and one for each of its locks that is left out.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lockstorm::event::{Event, Kind, LockApi, Routine};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::MemoryWatch;
use lockstorm::machine::mutation::{LockKind, Mutation, Operator, Place, Spot};
use lockstorm::reference;
use lockstorm::rules::{RuleId, Severity};

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

/// What a race is like that shows when a lock is left out, and at which input.
fn race_without(harness: &mut Harness, mutation: &Mutation) -> Option<(usize, String)> {
    harness.mutate(Some(mutation.clone()));
    let random = random(if cfg!(debug_assertions) { 0 } else { 2_000 });
    corpus().into_iter().chain(random).enumerate().find_map(|(number, bytes)| {
        harness.run_bytes(&bytes);
        let found = harness.findings().iter().find(|f| f.rule == RuleId::RaceUnsynchronized)?;
        let lines = found.race_lines().map(|line| format!("    {line}\n"));
        Some((number, lines.collect()))
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

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes: cargo test --release --test races")]
fn each_lock_that_is_left_out_is_a_race() {
    let mutations = left_out();
    assert!(mutations.len() >= 20, "{mutations:?}");
    let mut missed = Vec::new();
    let mut harness = watched(WATCHED);
    for mutation in mutations {
        let Mutation { place, operator } = &mutation;
        let name = format!("{operator} of {} at {}", place.lock, place.spot);
        match race_without(&mut harness, &mutation) {
            Some((number, lines)) => println!("{name}: input {number}\n{lines}"),
            None => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
