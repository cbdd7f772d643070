//! The scripts break every rule that a script can break, without an engine to guide them; `tests/rules_reached.rs`
//! asks the same of the fuzzer's own mutations.

use std::collections::BTreeMap;

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::RuleId;

use crate::scripts::{self, Random};

/// Scripts within which every rule is broken: several times as many as the rarest needs.
const RUNS: u32 = 60_000;

/// Rules that no script of the puppet breaks, and why.
const OUT_OF_REACH: [(&str, &str); 5] = [
    ("data.wrong", "the bare device moves no data"),
    ("lock.held_at_removal", "lock.held_at_return ends the run when the callback returns"),
    ("lock.leaked", "lock.held_at_return ends the run when the callback returns"),
    ("race.unsynchronized", "memory is not watched, and no script touches any"),
    ("request.device_owns", "the bare device is given no buffers"),
];

#[test]
fn scripts_break_every_rule_that_they_can() {
    let mut random = Random::new(1);
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let mut broken: BTreeMap<&str, u32> = RuleId::ALL.iter().map(|r| (r.rule().id, 0)).collect();
    for _ in 0..RUNS {
        harness.run(&scripts::scenario(&mut random));
        for finding in harness.findings() {
            *broken.entry(finding.rule.rule().id).or_default() += 1;
        }
    }
    println!("{broken:#?}");
    let silent: Vec<&str> = broken.iter().filter(|row| *row.1 == 0).map(|row| *row.0).collect();
    assert_eq!(
        silent,
        OUT_OF_REACH.map(|(id, _)| id),
        "left: never broken; right: {OUT_OF_REACH:#?}"
    );
}
