//! Makes the frozen corpus of a format version: inputs, and beside each the text of the scenario that it is today.
//! Run it once, when a version is new; it stops at a file that exists. `tests/format.rs` holds every
//! version to its own.
//!
//! `cargo run --example freeze_format`

use std::fs;
use std::path::{Path, PathBuf};

use lockstorm::miniport::puppet::Op;
use lockstorm::scenario::{Policy, Scenario, Step, StepKind, codec, text};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/v{}", codec::VERSION_POLICY))
}

fn main() {
    let mut state = 0x0005_10C5_7082_u64;
    let mut random = |count: usize| -> Vec<u8> {
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..count).map(|_| byte()).collect()
    };
    let canonical = |scenario: &Scenario| {
        let mut bytes = Vec::new();
        codec::encode(scenario, &mut bytes);
        bytes
    };
    let mut inputs = vec![
        ("short".to_owned(), random(codec::HEADER_BYTES + 3)),
        ("zeroes".to_owned(), vec![0; 200]),
        ("ones".to_owned(), vec![0xFF; 400]),
    ];
    for number in 0..6 {
        inputs.push((format!("random_{number}"), random(codec::SCENARIO_BYTES_MAX)));
    }
    for (_, bytes) in &mut inputs {
        bytes[0] = codec::VERSION_POLICY;
    }
    let policies = [Policy::Random { seed: 0x1234, pace: 5 }, Policy::Pct { seed: 0xFEDC }];
    let default = Scenario { policy: policies[0], ..Scenario::default() };
    inputs.push(("canonical_default".to_owned(), canonical(&default)));
    let whole = Scenario { policy: policies[1], ..codec::decode(&random(700)) };
    inputs.push(("canonical_random".to_owned(), canonical(&whole)));
    for (number, ops) in Op::ALL.chunks(64).enumerate() {
        let mut scenario = codec::decode(&random(codec::HEADER_BYTES));
        let mut script = |op: &Op| {
            let mut bytes = vec![0; codec::HEADER_BYTES];
            bytes[codec::HEADER_BYTES - 1] = 1;
            bytes.push(StepKind::Script as u8);
            bytes.extend(random(7));
            match codec::decode(&bytes).steps[0] {
                Step::Script(mut call) => {
                    call.op = *op;
                    Step::Script(call)
                }
                _ => unreachable!("the kind byte says a script line"),
            }
        };
        scenario.steps = ops.iter().map(&mut script).collect();
        scenario.policy = policies[number % 2];
        inputs.push((format!("canonical_ops_{number}"), canonical(&scenario)));
    }
    fs::create_dir_all(folder()).expect("a folder");
    for (name, bytes) in inputs {
        let path = folder().join(name).with_extension("bin");
        assert!(!path.exists(), "{path:?} exists; a frozen file does not change");
        fs::write(&path, &bytes).expect("written");
        let text = text::write(&codec::decode(&bytes));
        fs::write(path.with_extension("ron"), text).expect("written");
    }
}
