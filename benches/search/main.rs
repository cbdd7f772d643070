//! How many executions libFuzzer needs until each planted mistake is found, by the way it mutates inputs and by the
//! policy of schedules: medians over seeds.
//!
//! `cargo bench --bench search` (minutes); `LOCKSTORM_SEARCH_SEEDS` seeds instead of 20, `LOCKSTORM_SEARCH_RUNS` runs
//! at most for each instead of 20,000. For the `nvme` target, mistakes are planted in the NVMe core's calls (see
//! [`faulty`]); for `locks`, they are the rules that scripts of the puppet break, started from its legal seeds
//! and without the systematic neighbours that `lockstorm fuzz` tries first.

mod faulty;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use faulty::{Mistake, Mutant};
use lockstorm::device::model::Model;
use lockstorm::engine::{Mutation, solo};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::Severity;
use lockstorm::scenario::{PolicyKind, Scenario, codec};

const SEEDS: u32 = 20;
const RUNS: u32 = 20_000;

fn setting(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// One way to search.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    mutation: Mutation,
    policy: Option<PolicyKind>,
}

const WAYS: [Way; 6] = [
    Way { name: "bytes", mutation: Mutation::Bytes, policy: None },
    Way { name: "steps", mutation: Mutation::Steps, policy: None },
    Way { name: "mixed", mutation: Mutation::Mixed, policy: None },
    Way { name: "recorded", mutation: Mutation::Mixed, policy: Some(PolicyKind::Recorded) },
    Way { name: "random", mutation: Mutation::Mixed, policy: Some(PolicyKind::Random) },
    Way { name: "pct", mutation: Mutation::Mixed, policy: Some(PolicyKind::Pct) },
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--child") {
        Some(at) => child(&arguments[at + 1..]),
        None => parent(),
    }
}

fn seeds_of(driver: BuiltIn) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(driver.name());
    let entries = std::fs::read_dir(folder).expect("the seeds");
    let mut seeds: Vec<_> = entries.map(|entry| entry.expect("a seed").path()).collect();
    seeds.sort();
    seeds
}

/// Runs one search, and prints each first finding as `WHAT RUNS`.
fn child(arguments: &[String]) {
    let [what, way, seed] = arguments else { panic!("what, way, seed: {arguments:?}") };
    let way = *WAYS.iter().find(|known| known.name == way).expect("a way");
    let seed: u32 = seed.parse().expect("a number");
    let mistake = Mistake::ALL.into_iter().find(|mistake| format!("{mistake:?}") == *what);
    let driver = if mistake.is_some() { BuiltIn::Nvme } else { BuiltIn::Puppet };
    let runs_max = setting("LOCKSTORM_SEARCH_RUNS", RUNS);
    solo::fuzz(seed, &seeds_of(driver), way.mutation, |map| {
        let mut harness = match mistake {
            Some(mistake) => {
                faulty::plant(mistake);
                Harness::of_core::<Mutant>(Model::Nvme, map)
            }
            None => Harness::new(driver, map),
        };
        let (mut scenario, mut runs) = (Scenario::default(), 0);
        let mut found = BTreeSet::new();
        move |bytes: &[u8]| {
            runs += 1;
            codec::decode_into(bytes, &mut scenario);
            if let Some(kind) = way.policy {
                let number = bytes.iter().fold(7, |n: u32, b| n.rotate_left(5) ^ u32::from(*b));
                scenario.policy = scenario.policy.of_kind(kind, number);
            }
            faulty::begin();
            harness.run(&scenario);
            for finding in harness.findings() {
                let rule = finding.rule.rule().id;
                if mistake.is_some() && finding.severity == Severity::Error {
                    println!("{} {runs}", mistake.map_or(String::new(), |m| format!("{m:?}")));
                    solo::end();
                }
                if mistake.is_none() && found.insert(rule) {
                    println!("{rule} {runs}");
                }
            }
            if runs >= runs_max {
                solo::end();
            }
        }
    });
}

/// Executions until each was found, by what and way.
type Results = BTreeMap<(String, &'static str), Vec<u32>>;

fn parent() {
    let seeds = setting("LOCKSTORM_SEARCH_SEEDS", SEEDS);
    let runs = setting("LOCKSTORM_SEARCH_RUNS", RUNS);
    let only = std::env::var("LOCKSTORM_SEARCH_ONLY").ok();
    println!("executions until found, median of {seeds} seeds; - is more than {runs}\n");
    let mistakes: Vec<String> = Mistake::ALL.iter().map(|mistake| format!("{mistake:?}")).collect();
    for (target, whats) in [("nvme", &mistakes[..]), ("locks", &["puppet".to_owned()][..])] {
        if only.as_deref().is_some_and(|only| only != target) {
            continue;
        }
        let mut results = Results::new();
        for what in whats {
            for way in WAYS {
                for seed in 1..=seeds {
                    gather(what, way, seed, &mut results);
                }
            }
        }
        print_table(target, &results, seeds, runs);
    }
}

fn gather(what: &str, way: Way, seed: u32, results: &mut Results) {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--child", what, way.name, &seed.to_string()])
        .output()
        .expect("a child");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((name, runs)) = line.split_once(' ')
            && let Ok(runs) = runs.parse()
        {
            results.entry((name.to_owned(), way.name)).or_default().push(runs);
        }
    }
}

/// The median, if more than half of the searches found it.
fn median(found: Option<&Vec<u32>>, seeds: u32) -> Option<u32> {
    let mut found = found?.clone();
    found.sort_unstable();
    found.get(seeds as usize / 2).copied()
}

fn print_table(target: &str, results: &Results, seeds: u32, runs_max: u32) {
    let names: BTreeSet<&String> = results.keys().map(|(name, _)| name).collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or_default();
    print!("{target:width$}");
    WAYS.iter().for_each(|way| print!("{:>10}", way.name));
    println!();
    let mut logarithms = [0.0; WAYS.len()];
    let mut missed = [0; WAYS.len()];
    for name in &names {
        print!("{name:width$}");
        for (column, way) in WAYS.iter().enumerate() {
            let median = median(results.get(&((*name).clone(), way.name)), seeds);
            // What was not found counts as found at the end: the true number is larger.
            logarithms[column] += f64::from(median.unwrap_or(runs_max)).ln();
            missed[column] += u32::from(median.is_none());
            print!("{:>10}", median.map_or("-".to_owned(), |runs| runs.to_string()));
        }
        println!();
    }
    print!("{:width$}", "geometric mean");
    logarithms.iter().for_each(|sum| print!("{:>10.0}", (sum / names.len() as f64).exp()));
    print!("\n{:width$}", "not found");
    missed.iter().for_each(|count| print!("{count:>10}"));
    println!("\n");
}
