//! What it costs that a driver is compiled: the nvme core in a `.sys` against the same core in this process, on the
//! same scenarios, in one run.
//!
//! `cargo bench --bench compiled`. Needs what `scripts/build-sys` needs.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use lockstorm::device::model::Model;
use lockstorm::harness::{BuiltIn, Compiled, Harness, Target};

/// The committed corpus of the nvme driver: every part of it runs.
fn scenarios() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/nvme");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus is committed")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a readable file")).collect()
}

/// The driver, built now; or why it cannot be.
fn build() -> Result<Target, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/bench-driver");
    let output = Command::new(root.join("scripts/build-sys"))
        .arg("-o")
        .arg(&folder)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(Target::Compiled(Compiled { path: folder.join("nvme.sys"), device: Model::Nvme, pci: None }))
}

/// Runs every scenario once.
fn once(harness: &mut Harness, scenarios: &[Vec<u8>]) {
    for bytes in scenarios {
        harness.coverage().clear();
        black_box(harness.run_bytes(bytes));
    }
}

/// Nanoseconds of the fastest of many rounds.
fn fastest(harness: &mut Harness, scenarios: &[Vec<u8>]) -> f64 {
    let round = |harness: &mut Harness| {
        let began = Instant::now();
        once(harness, scenarios);
        began.elapsed().as_secs_f64() * 1e9
    };
    (0..300).map(|_| round(harness)).fold(f64::INFINITY, f64::min)
}

fn compare(criterion: &mut Criterion) {
    let target = match build() {
        Ok(target) => target,
        Err(why) => return eprintln!("left out: nvme.sys cannot be built here:\n{why}"),
    };
    let scenarios = scenarios();
    let mut core = Harness::alone(BuiltIn::Nvme);
    let mut compiled = Harness::open(&target, Box::leak(Box::default())).expect("nvme.sys loads");
    let mut group = criterion.benchmark_group("nvme corpus");
    group.bench_function("core", |bencher| bencher.iter(|| once(&mut core, &scenarios)));
    group.bench_function("nvme.sys", |bencher| bencher.iter(|| once(&mut compiled, &scenarios)));
    group.finish();
    let (core, compiled) = (fastest(&mut core, &scenarios), fastest(&mut compiled, &scenarios));
    println!(
        "\nnvme corpus, fastest of 300 rounds: core {:.1} us, nvme.sys {:.1} us, ratio {:.2} (asked: at most 3)",
        core / 1e3,
        compiled / 1e3,
        compiled / core
    );
}

criterion_group!(benches, compare);
criterion_main!(benches);
