//! Bytes of version 1 mean what they meant: inputs from when the version was new, and beside each the
//! text of the scenario that it was.
//!
//! When this fails the format has changed: old corpora and reports would replay something else. Then the
//! change needs a new version, with a folder of its own here (`examples/freeze_format.rs` fills it), and version
//! 1 its old decoder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lockstorm::miniport::puppet::Op;
use lockstorm::scenario::{Step, StepKind, codec, text};

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
