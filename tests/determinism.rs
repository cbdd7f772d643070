//! The same bytes and the same driver give the same events: run after run, on a used machine or a new
//! one, in every build profile.

mod support;

use std::process::Command;

use lockstorm::harness::{BuiltIn, Harness, Outcome};
use support::Inputs;

const SCENARIOS: usize = 10_000;

fn outcomes(harness: &mut Harness) -> Vec<Outcome> {
    harness.hash_events(true);
    let mut inputs = Inputs::new(7);
    (0..SCENARIOS / 2).map(|_| harness.run_bytes(&inputs.bytes(320))).collect()
}

#[test]
fn a_used_machine_runs_as_a_new_one() {
    for driver in BuiltIn::ALL {
        let mut harness = Harness::alone(driver);
        let first = outcomes(&mut harness);
        let again = outcomes(&mut harness);
        let anew = outcomes(&mut Harness::alone(driver));
        for (n, outcome) in first.iter().enumerate() {
            assert_ne!(outcome.hash, 0);
            assert_eq!((outcome, outcome), (&again[n], &anew[n]), "{driver:?}, scenario {n}");
        }
    }
}

/// The hash that the example prints, built in a profile.
fn hash_in(profile: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--profile", profile, "--example", "event_hashes", "--"])
        .arg(SCENARIOS.to_string())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a hexadecimal number")
}

#[test]
fn debug_and_release_give_the_same_events() {
    let debug = hash_in("dev");
    assert_eq!(debug.trim().len(), 16, "{debug}");
    assert_eq!(debug, hash_in("release"));
}
