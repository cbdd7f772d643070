//! What a fuzz target prints for each lock rule, on many schedules: the input of `scripts/test_clusterfuzz.py`, which sees
//! that a crash deduplicator makes one bug of them.
//!
//! `cargo run --example crash_reports` prints a JSON object a line, `{"file": .., "rule": .., "report": ..}`: for each
//! scenario in `examples/scenarios` that breaks a lock rule, the report under its own schedule and under others that
//! still break the rule first.

use std::fs;
use std::path::Path;

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::Finding;
use lockstorm::scenario::{Decision, Policy, Scenario, text};
use lockstorm::targets::Violation;

/// Schedules for each scenario, its own included.
const SCHEDULES: u32 = 20;
/// Schedules that are tried for them.
const ATTEMPTS: u64 = 400;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the examples")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with("-broken.ron"))
        .collect();
    files.sort();
    let mut harness = Harness::alone(BuiltIn::Puppet);
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let bytes = fs::read(&file).expect("readable");
        let mut scenario = text::read(&bytes).expect("a scenario");
        harness.run(&scenario);
        let Some(finding) = harness.findings().last().copied() else { continue };
        let rule = finding.rule.rule().id;
        if !rule.starts_with("lock.") {
            continue;
        }
        print(&name, &finding, &scenario);
        let mut printed = 1;
        for attempt in 0..ATTEMPTS {
            vary(&mut scenario, attempt);
            harness.run(&scenario);
            let last = harness.findings().last().copied();
            if let Some(finding) = last.filter(|found| found.rule.rule().id == rule) {
                print(&name, &finding, &scenario);
                printed += 1;
            }
            if printed == SCHEDULES {
                break;
            }
        }
    }
}

/// Another schedule: recorded decisions, at random or by priority.
fn vary(scenario: &mut Scenario, attempt: u64) {
    let mut state = attempt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    scenario.schedule =
        (0..byte() % 24).map(|_| Decision { after: byte() % 32, choice: byte() % 8 }).collect();
    let seed = u16::from(byte());
    scenario.policy = match byte() % 3 {
        0 => Policy::Recorded,
        1 => Policy::Random { seed, pace: byte() % 8 },
        _ => Policy::Pct { seed },
    };
}

fn print(name: &str, finding: &Finding, scenario: &Scenario) {
    let report = Violation::of_driver(finding, BuiltIn::Puppet, scenario).to_string();
    let escaped: String = report.chars().flat_map(char::escape_default).collect();
    // What escape_default escapes is what JSON does, but for apostrophes.
    let escaped = escaped.replace("\\'", "'");
    let rule = finding.rule.rule().id;
    println!("{{\"file\": \"{name}\", \"rule\": \"{rule}\", \"report\": \"{escaped}\"}}");
}
