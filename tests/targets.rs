//! The fuzz targets, on stable Rust and without an engine: each is what `fuzz/` says, and finds nothing in its seeds,
//! in mutants of them and in what is no scenario at all.

use std::fs;
use std::path::{Path, PathBuf};

use lockstorm::scenario::{codec, mutate};
use lockstorm::targets::{Runner, Target};

// What `fuzz/` can be tested in without an engine; the tests are theirs.
#[path = "../fuzz/src/known.rs"]
mod known;
#[path = "../fuzz/src/rows.rs"]
mod rows;

/// Lines of the longest target.
const LINES_MAX: usize = 40;
/// Mutants of each target: some seconds of a debug build.
const MUTANTS: u64 = 2_000;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn runner(target: Target) -> Runner {
    Runner::new(target, Box::leak(Box::default()))
}

/// The target's corpus, by name.
fn corpus(target: Target) -> Vec<(String, Vec<u8>)> {
    let folders = target.corpora().iter().map(|folder| path("corpus").join(folder));
    let entries = folders.flat_map(|folder| {
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"))
    });
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn each_has_a_short_file_that_both_engines_build() {
    let manifests = ["fuzz/Cargo.toml", "fuzz/afl/Cargo.toml"].map(|name| {
        let text = fs::read_to_string(path(name)).unwrap();
        text.lines().filter(|line| line.starts_with("name = ")).map(str::to_owned).collect()
    });
    for target in Target::ALL {
        let name = target.name();
        let source = fs::read_to_string(path(&format!("fuzz/fuzz_targets/{name}.rs"))).unwrap();
        assert!(source.lines().count() <= LINES_MAX, "{name}");
        assert!(source.contains(&format!("lockstorm_fuzz::target!({target:?});")), "{name}");
        for manifest in &manifests {
            let names: &Vec<String> = manifest;
            assert!(names.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
    // Targets that run no scenario are on their own, and for libFuzzer alone.
    const OTHERS: usize = 2;
    let files = fs::read_dir(path("fuzz/fuzz_targets")).unwrap().count();
    assert_eq!(files, Target::ALL.len() + OTHERS);
}

#[test]
fn the_committed_corpus_breaks_nothing() {
    for target in Target::ALL {
        let mut runner = runner(target);
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{target:?}");
        for (name, bytes) in corpus {
            if let Err(violation) = runner.run(&bytes) {
                panic!("{name}: {violation}");
            }
        }
    }
}

#[test]
fn mutants_and_nonsense_break_nothing() {
    for target in Target::ALL {
        let mut runner = runner(target);
        let mut check = |bytes: &[u8]| {
            if let Err(violation) = runner.run(bytes) {
                panic!("{target:?}: {violation}");
            }
        };
        check(&[]);
        check(&[0xFF]);
        check(b"(version: 1)");
        check(&vec![0xA5; 1 << 20]);
        let corpus = corpus(target);
        let mut buffer = vec![0; codec::SCENARIO_BYTES_MAX];
        for (seed, (_, parent)) in (0..MUTANTS).zip(corpus.iter().cycle()) {
            let size = parent.len().min(buffer.len());
            buffer[..size].copy_from_slice(&parent[..size]);
            let size = mutate::mutate(&mut buffer, size, seed);
            check(&buffer[..size]);
        }
    }
}

/// The report has the shape that crash deduplicators read: a line that names the rule, and three frames.
#[test]
fn a_violation_tells_its_rule_and_three_frames() {
    let mut harness = lockstorm::harness::Harness::alone(lockstorm::harness::BuiltIn::Puppet);
    let text = fs::read(path("examples/scenarios/lock-cycle-broken.ron")).unwrap();
    let scenario = lockstorm::scenario::text::read(&text).unwrap();
    harness.run(&scenario);
    let driver = lockstorm::harness::BuiltIn::Puppet;
    let finding = *harness.findings().last().expect("it is broken");
    let report = lockstorm::targets::Violation::of_driver(&finding, driver, &scenario).to_string();
    assert!(report.contains("ThreadSanitizer: lock.cycle (pid="), "{report}");
    for frame in ["#0 0x1 in driver!locks.rs:", "#1 0x2 in driver!HwStor", "#2 0x3 in driver!"] {
        assert!(report.contains(frame), "{report}");
    }
    let start = report.find("\n(\n").expect("the scenario") + 1;
    assert_eq!(lockstorm::scenario::text::read(&report.as_bytes()[start..]), Ok(scenario));
}
