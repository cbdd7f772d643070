//! Bytes of version 1 mean what they meant: inputs from when the version was new, and beside each the
//! text of the scenario that it was.
//!
//! When this fails the format has changed: old corpora and reports would replay something else. Then the
//! change needs a new version, with a folder of its own here, and version 1 its old decoder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lockstorm::miniport::puppet::Op;
use lockstorm::scenario::{Scenario, Step, StepKind, codec, text};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1")
}

/// Every input with the text beside it, by name.
fn corpus() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut names: Vec<PathBuf> = fs::read_dir(folder())
        .expect("tests/data/v1")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    names.sort();
    let read = |path: &Path| fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    names
        .into_iter()
        .map(|path| (path.display().to_string(), read(&path), read(&path.with_extension("ron"))))
        .collect()
}

#[test]
fn old_bytes_mean_what_they_meant() {
    for (name, bytes, text) in corpus() {
        let meant = text::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(codec::decode(&bytes), meant, "{name}");
    }
}

#[test]
fn canonical_files_are_written_as_they_were() {
    let mut count = 0;
    for (name, bytes, _) in corpus().iter().filter(|(name, ..)| name.contains("canonical")) {
        let mut again = Vec::new();
        codec::encode(&codec::read(bytes).expect("a whole file"), &mut again);
        assert_eq!(&again, bytes, "{name}");
        count += 1;
    }
    assert_eq!(count, 4);
}

/// A corpus that says nothing of some op would not notice if its byte changed.
#[test]
fn the_corpus_has_every_kind_of_step_and_every_op() {
    let mut kinds = BTreeSet::new();
    let mut ops = BTreeSet::new();
    let mut count = 0;
    for (_, bytes, _) in corpus() {
        count += 1;
        for step in codec::decode(&bytes).steps {
            kinds.insert(step.kind() as u8);
            if let Step::Script(call) = step {
                ops.insert(call.op as u8);
            }
        }
    }
    assert!(count >= 12, "{count}");
    assert_eq!(kinds.len(), StepKind::ALL.len());
    assert_eq!(ops.len(), Op::ALL.len());
}

/// How the corpus was made; for the next version. Overwrites nothing.
#[test]
#[ignore = "writes files: run it once, when a version is new"]
fn write_the_corpus() {
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
        ("empty".to_owned(), vec![]),
        ("zeroes".to_owned(), vec![0; 200]),
        ("ones".to_owned(), vec![0xFF; 400]),
        ("short".to_owned(), random(codec::HEADER_BYTES + 3)),
    ];
    for number in 0..4 {
        inputs.push((format!("random_{number}"), random(codec::SCENARIO_BYTES_MAX)));
    }
    inputs.push(("canonical_default".to_owned(), canonical(&Scenario::default())));
    inputs.push(("canonical_random".to_owned(), canonical(&codec::decode(&random(700)))));
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
