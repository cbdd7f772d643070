//! Triage as its users meet it: folders of artifacts go in, one bug each comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lockstorm::scenario::{Scenario, codec, text};
use lockstorm::triage::bucket::Triage;

#[path = "support/planted.rs"]
mod planted;

use planted::{Fuzzer, MISTAKES};

/// A folder of its own for a test, gone at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path =
            std::env::temp_dir().join(format!("lockstorm-triage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstorm"));
        command.args(arguments).current_dir(&self.0);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Triages the folder `in`.
    fn triage(&self) -> Triage {
        let output = self.run(&["triage", "puppet", "in", "-o", "out", "--format", "json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let written = fs::read_to_string(self.0.join("out/buckets.json")).unwrap();
        let triage = Triage::from_json(&text).unwrap();
        assert_eq!(triage, Triage::from_json(&written).unwrap());
        triage
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn bytes(scenario: &Scenario) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    bytes
}

/// Writes an artifact in the form that its number chooses, with its mistake's number at the end of its name.
fn write(scratch: &Scratch, number: usize, mistake: usize, scenario: &Scenario) {
    let (bytes, hash) = (bytes(scenario), format!("{number:038x}{mistake:02x}"));
    let (name, content) = match number % 5 {
        0 => (format!("in/libfuzzer/crash-{hash}"), bytes),
        1 => (format!("in/afl/default/crashes/id:{number:06},sig:06,op:{mistake:02x}"), bytes),
        2 => (format!("in/afl/default/hangs/id:{number:06},src:000001,op:{mistake:02x}"), bytes),
        // The name lies about what it is an example of.
        3 => (format!("in/findings/lock.order-{number:014x}{mistake:02x}.bin"), bytes),
        _ => (format!("in/by-hand/{number}-{mistake:02x}.ron"), text::write(scenario).into_bytes()),
    };
    scratch.write(&name, &content);
}

fn mistake_of(file: &Path) -> usize {
    let name = file.file_name().unwrap().to_str().unwrap();
    let stem = name.trim_end_matches(".bin").trim_end_matches(".ron");
    usize::from_str_radix(&stem[stem.len() - 2..], 16).unwrap()
}

#[test]
fn a_thousand_artifacts_of_twelve_mistakes_are_twelve_buckets() {
    let scratch = Scratch::new("thousand");
    let mut fuzzer = Fuzzer::new(0x5EED);
    for number in 0..1_000 {
        let mistake = number % MISTAKES.len();
        let scenario = fuzzer.artifact(mistake);
        write(&scratch, number, mistake, &scenario);
    }
    scratch.write("in/afl/default/fuzzer_stats", b"run_time : 1\n");
    scratch.write("in/afl/default/cmdline", b"target\n");
    let began = Instant::now();
    let triage = scratch.triage();
    let elapsed = began.elapsed();
    let mut kept = BTreeMap::new();
    for bucket in triage.buckets.iter().filter(|bucket| bucket.is_error()) {
        let mistakes: BTreeSet<_> = bucket.members.iter().map(|file| mistake_of(file)).collect();
        println!("{} {:?}: {mistakes:?}, {} files", bucket.folder, bucket.rules, bucket.files);
        for mistake in mistakes {
            kept.entry(mistake).or_insert_with(Vec::new).push(bucket.folder.clone());
        }
    }
    println!("{} files in {elapsed:?}", triage.files);
    assert_eq!(triage.errors(), MISTAKES.len());
    assert!(kept.len() == MISTAKES.len() && kept.values().all(|buckets| buckets.len() == 1));
    assert_eq!(triage.files, 1_000);
    assert!(triage.lost.is_empty() && triage.unusable.is_empty());
    assert!(elapsed < Duration::from_secs(60), "{elapsed:?}");
    for bucket in triage.buckets.iter().filter(|bucket| bucket.is_error()) {
        let size = bucket.size().expect("there was time");
        assert!(size.steps <= 3 && size.departures <= 2, "{}: {size}", bucket.folder);
    }
}
