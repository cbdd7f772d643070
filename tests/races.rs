//! Data races in the NVMe core: none as it is, and one for each of its locks that is left out.

#[path = "../benches/search/faulty.rs"]
#[allow(dead_code, reason = "a bench plants the other mistakes")]
mod faulty;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faulty::{Mistake, Mutant};
use lockstorm::device::model::Model;
use lockstorm::event::{Event, Kind, LockApi};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::MemoryWatch;
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

/// The places at which the core takes locks.
fn lock_sites() -> BTreeSet<(&'static str, u32)> {
    let mut harness = Harness::alone(BuiltIn::Nvme);
    harness.record(true);
    let mut sites = BTreeSet::new();
    for bytes in corpus() {
        harness.run_bytes(&bytes);
        for event in harness.events() {
            let Kind::LockAcquired { api, .. } = event.kind else { continue };
            if let (Some(at), false) = (event.site.source(), api == LockApi::Port) {
                sites.insert((at.file.rsplit('/').next().unwrap_or(at.file), at.line));
            }
        }
    }
    sites
}

#[test]
fn each_lock_that_is_left_out_is_a_race() {
    let sites = lock_sites();
    assert!(sites.len() >= 10, "{sites:?}");
    let mut missed = Vec::new();
    for (file, line) in sites {
        faulty::plant(Mistake::Skips(file, line));
        let mut harness = Harness::of_core::<Mutant>(Model::Nvme, Box::leak(Box::default()));
        harness.watch_memory(WATCHED);
        let mut races = |bytes: Vec<u8>| {
            faulty::begin();
            harness.run_bytes(&bytes);
            let found = harness.findings().iter().find(|f| f.rule == RuleId::RaceUnsynchronized);
            found.map(|f| f.race_lines().map(|line| format!("    {line}\n")).collect::<String>())
        };
        let told = corpus()
            .into_iter()
            .chain(random(3_000))
            .enumerate()
            .find_map(|(n, bytes)| Some((n, races(bytes)?)));
        match told {
            Some((number, lines)) => println!("{file}:{line}: input {number}\n{lines}"),
            None => missed.push((file, line)),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
