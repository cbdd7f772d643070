//! The hunt still hunts: from the legal seeds of the puppet, mutation alone reaches a violation of every rule that a
//! script can break.
//!
//! A small coverage-guided loop over the library's own mutator, with a fixed seed, so that it is the same hunt on
//! every machine; `lockstorm fuzz puppet` does the same with libFuzzer. A debug build has time for the first
//! 60,000 inputs only; `LOCKSTORM_HUNT_RUNS=1500000 cargo test --release --test rules_reached` hunts on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::RuleId;
use lockstorm::scenario::{codec, mutate};

/// Inputs of the short hunt.
const RUNS: u64 = 120_000;
/// Inputs of the long hunt.
const RUNS_LONG: u64 = 1_500_000;

/// Rules that no script of the puppet breaks: its device is no disk, so it holds no buffers and has no data; and
/// what is held at the end was held at some routine's return, which is an error already; and memory is not watched.
const OUT_OF_REACH: [&str; 5] = [
    "data.wrong",
    "lock.held_at_removal",
    "lock.leaked",
    "race.unsynchronized",
    "request.device_owns",
];

/// Rules that need more lines to agree than even the long hunt tries; `examples/scenarios/` breaks them.
const RARE: [&str; 3] = ["dpc.self_deadlock", "run.deadlock", "time.routine"];

/// Rules that the short hunt may miss.
const UNCOMMON: [&str; 11] = [
    "ddi.msi_info",
    "init.passive_from_control",
    "interrupt.self_deadlock",
    "lock.api_pair",
    "lock.handle_copied",
    "lock.mixed_api",
    "lock.release_foreign",
    "pool.free_unknown",
    "request.completed_under_lock",
    "request.status_invalid",
    "time.allocation",
];

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/puppet");
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("corpus/puppet")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    names.iter().map(|name| fs::read(name).expect("a seed")).collect()
}

struct Hunt {
    harness: Harness,
    pool: Vec<Vec<u8>>,
    /// How many of the pool are seeds.
    seeds: usize,
    covered: BTreeSet<(usize, u8)>,
    broken: BTreeSet<&'static str>,
    random: u64,
}

impl Hunt {
    fn new() -> Self {
        let pool = seeds();
        Hunt {
            harness: Harness::alone(BuiltIn::Puppet),
            seeds: pool.len(),
            pool,
            covered: BTreeSet::new(),
            broken: BTreeSet::new(),
            random: 0x00C0_FFEE,
        }
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// One mutant of one input of the pool, which it joins if it covers something new.
    fn step(&mut self) {
        // Every other time a seed: a legal twin is one change away from a broken one.
        let choice = self.random();
        let among = if choice & 1 == 0 { self.seeds } else { self.pool.len() };
        let parent = (choice >> 8) as usize % among;
        let seed = self.random();
        let mut buffer = vec![0; codec::SCENARIO_BYTES_MAX];
        let size = self.pool[parent].len();
        buffer[..size].copy_from_slice(&self.pool[parent]);
        let size = mutate::mutate(&mut buffer, size, seed);
        buffer.truncate(size);
        self.harness.coverage().clear();
        self.harness.run_bytes(&buffer);
        let rules = self.harness.findings().iter().map(|finding| finding.rule.rule().id);
        self.broken.extend(rules);
        let counters = self.harness.coverage().0.iter().enumerate();
        let mut new = false;
        for (index, &count) in counters.filter(|(_, count)| **count != 0) {
            new |= self.covered.insert((index, count));
        }
        if new {
            self.pool.push(buffer);
        }
    }
}

#[test]
fn every_rule_that_a_script_can_break_is_broken() {
    let runs =
        std::env::var("LOCKSTORM_HUNT_RUNS").map_or(RUNS, |runs| runs.parse().expect("a number"));
    let mut hunt = Hunt::new();
    for _ in 0..runs {
        hunt.step();
    }
    let mut excused = BTreeSet::from(OUT_OF_REACH);
    excused.extend(RARE);
    if runs < RUNS_LONG {
        excused.extend(UNCOMMON);
    }
    let missing: Vec<_> = RuleId::ALL
        .iter()
        .map(|rule| rule.rule().id)
        .filter(|id| !hunt.broken.contains(id) && !excused.contains(id))
        .collect();
    assert!(missing.is_empty(), "not one of {runs} inputs breaks {missing:?}");
    let impossible: Vec<_> = OUT_OF_REACH.iter().filter(|id| hunt.broken.contains(**id)).collect();
    assert!(impossible.is_empty(), "a script does break {impossible:?}");
}

/// `lockstorm fuzz` tries the neighbours of the seeds before anything else; so the first seconds of a campaign on the
/// puppet find every lock rule that a script can break.
#[test]
fn the_neighbours_of_the_seeds_break_every_lock_rule() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let mut broken = BTreeSet::new();
    for seed in seeds() {
        mutate::each_neighbour(&seed, |bytes| {
            harness.run_bytes(bytes);
            broken.extend(harness.findings().iter().map(|finding| finding.rule.rule().id));
        });
    }
    let lock_rules =
        RuleId::ALL.iter().map(|rule| rule.rule().id).filter(|id| id.starts_with("lock."));
    let missing: Vec<_> =
        lock_rules.filter(|id| !broken.contains(id) && !OUT_OF_REACH.contains(id)).collect();
    assert!(missing.is_empty(), "no neighbour breaks {missing:?}");
}
