//! Bytes of every version mean what they meant: inputs from when the version was new, and beside each the text of the
//! scenario that it was.
//!
//! When this fails the format has changed: old corpora and reports would replay something else. Then the
//! change needs a new version, with a folder of its own here (`examples/freeze_format.rs` fills it), and the old
//! ones their old decoder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lockstorm::miniport::puppet::Op;
use lockstorm::scenario::{Step, StepKind, codec, text};

/// Every version.
const VERSIONS: [u8; 2] = [codec::VERSION, codec::VERSION_POLICY];

/// Every input of a version with the text beside it, by name.
fn corpus(version: u8) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/v{version}"));
    let mut names: Vec<PathBuf> = fs::read_dir(folder)
        .expect("tests/data/v1 and so on")
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
    for (name, bytes, text) in VERSIONS.into_iter().flat_map(corpus) {
        let meant = text::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(codec::decode(&bytes), meant, "{name}");
    }
}

#[test]
fn canonical_files_are_written_as_they_were() {
    for version in VERSIONS {
        let mut count = 0;
        let corpus = corpus(version);
        for (name, bytes, _) in corpus.iter().filter(|(name, ..)| name.contains("canonical")) {
            let mut again = Vec::new();
            codec::encode(&codec::read(bytes).expect("a whole file"), &mut again);
            assert_eq!(&again, bytes, "{name}");
            assert_eq!(bytes[0], version, "{name}");
            count += 1;
        }
        assert_eq!(count, 4);
    }
}

/// A corpus that says nothing of some op would not notice if its byte changed.
#[test]
fn each_corpus_has_every_kind_of_step_every_op_and_every_policy() {
    for version in VERSIONS {
        let mut kinds = BTreeSet::new();
        let mut ops = BTreeSet::new();
        let mut policies = BTreeSet::new();
        let corpus = corpus(version);
        assert!(corpus.len() >= 10, "{}", corpus.len());
        for (_, bytes, _) in corpus {
            let scenario = codec::decode(&bytes);
            policies.insert(scenario.policy.kind() as u8);
            for step in scenario.steps {
                kinds.insert(step.kind() as u8);
                if let Step::Script(call) = step {
                    ops.insert(call.op as u8);
                }
            }
        }
        assert_eq!(kinds.len(), StepKind::ALL.len());
        assert_eq!(ops.len(), Op::ALL.len());
        assert_eq!(policies.len(), if version == codec::VERSION { 1 } else { 3 });
    }
}
