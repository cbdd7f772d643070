//! What looking for data races costs: the nvme core on its corpus, with and without, in one run.
//!
//! `cargo bench --bench races` prints the time of a run and its ratio to one whose memory is not watched; `-- ROUNDS`
//! behind it says how often.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::MemoryWatch;

/// How often each way goes through the corpus, unless it is said; the fastest counts.
const ROUNDS: usize = 40;

const WAYS: [(&str, MemoryWatch); 4] = [
    ("not watched", MemoryWatch { events: false, preempts: false }),
    ("--races", MemoryWatch { events: true, preempts: false }),
    ("--preempt memory", MemoryWatch { events: false, preempts: true }),
    ("--races --preempt memory", MemoryWatch { events: true, preempts: true }),
];

/// The committed corpus: every part of the driver runs.
fn inputs() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut files: Vec<PathBuf> = ["nvme", "merged/nvme"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("the corpus is committed"))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a readable file")).collect()
}

fn main() {
    let inputs = inputs();
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROUNDS);
    let mut best = [Duration::MAX; WAYS.len()];
    let mut events = [0; WAYS.len()];
    let mut harnesses = WAYS.map(|(_, watch)| {
        let mut harness = Harness::alone(BuiltIn::Nvme);
        harness.watch_memory(watch);
        harness
    });
    // Turn by turn, so that what else the host does befalls all alike.
    for _ in 0..rounds {
        for (way, harness) in harnesses.iter_mut().enumerate() {
            let began = Instant::now();
            events[way] = inputs.iter().map(|bytes| harness.run_bytes(bytes).events).sum();
            best[way] = best[way].min(began.elapsed());
        }
    }
    let runs = inputs.len() as f64;
    for (way, (name, _)) in WAYS.iter().enumerate() {
        println!(
            "{name:24} {:7.1} us a run, {:6.0} events, {:.2} times",
            best[way].as_secs_f64() * 1e6 / runs,
            events[way] as f64 / runs,
            best[way].as_secs_f64() / best[0].as_secs_f64()
        );
    }
}
