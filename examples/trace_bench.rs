//! How fast traces are read, in how much memory, and what their seeds are worth.
//!
//! ```text
//! cargo run --release --example trace_bench              1 GiB of MSR-format CSV, then the samples
//! cargo run --release --example trace_bench -- 64        64 MiB instead
//! ```
//!
//! The trace is made while it is read; the time that takes is measured and left out. Times are of the one thread's
//! processor, so that other work on the machine does not count.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use lockstorm::coverage::{COUNTERS, CoverageMap};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::scenario::codec::SCENARIO_BYTES_MAX;
use lockstorm::trace::{self, Format, Options};

const MIB: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mib = std::env::args().nth(1).map_or(Ok(1024), |word| word.parse::<usize>())?;
    speed(mib)?;
    for sample in [
        "msr.csv",
        "fio-v2.log",
        "fio-v3.log",
        "blkparse.txt",
        "tracerpt.csv.gz",
        "tracerpt.xml",
        "xperf.txt",
        "events.jsonl.gz",
    ] {
        worth(&Path::new("examples/traces").join(sample))?;
    }
    Ok(())
}

/// Reads a long trace and makes seeds of it.
fn speed(mib: usize) -> Result<(), Box<dyn Error>> {
    let made = Box::leak(Box::new(std::sync::atomic::AtomicU64::new(0)));
    let begin = thread_ns();
    let trace = Made {
        left: mib * MIB,
        ticks: 128_166_372_003_061_629,
        state: 1,
        line: Vec::new(),
        given: 0,
        spent: made,
    };
    let mut source = trace::open(Format::Msr, Box::new(trace))?;
    let mut harness = Harness::alone(BuiltIn::Nvme);
    let seeded = trace::seeds(&mut *source, &mut harness, &Options::default())?;
    let all = thread_ns() - begin;
    let making = made.load(std::sync::atomic::Ordering::Relaxed);
    let seconds = (all - making) as f64 / 1e9;
    println!(
        "{mib} MiB of MSR CSV, {} requests: {:.0} MiB/s on one core ({seconds:.2} s, {} seeds of {} windows included), peak memory {}",
        seeded.stats.requests(),
        mib as f64 / seconds,
        seeded.seeds.len(),
        seeded.windows_cut,
        peak()
    );
    Ok(())
}

/// Compares the seeds of a sample with random scenarios, as many as were replayed to choose the seeds.
fn worth(path: &Path) -> Result<(), Box<dyn Error>> {
    let (format, mut source) = trace::open_any(Box::new(File::open(path)?))?;
    let mut harness = Harness::alone(BuiltIn::Nvme);
    let seeded = trace::seeds(&mut *source, &mut harness, &Options::default())?;
    let ours = union(&mut harness, seeded.seeds.iter().map(|seed| seed.bytes.clone()));
    let mut state = 0;
    let random = (0..seeded.executions).map(|_| {
        let mut bytes = vec![0; SCENARIO_BYTES_MAX];
        bytes.fill_with(|| noise(&mut state) as u8);
        bytes.truncate(64 + noise(&mut state) as usize % (SCENARIO_BYTES_MAX - 64));
        bytes
    });
    let theirs = union(&mut harness, random);
    let alone = |one: &[u8], other: &[u8]| {
        one.iter().zip(other).filter(|&(&one, &other)| one > 0 && other == 0).count()
    };
    println!(
        "{:<12} {:>3} seeds of {:>3} runs reach {:>4} features; {:>3} random runs {:>4}; only seeds {:>3}, only random {:>3}",
        format.name(),
        seeded.seeds.len(),
        seeded.executions,
        count(&ours),
        seeded.executions,
        count(&theirs),
        alone(&ours, &theirs),
        alone(&theirs, &ours)
    );
    Ok(())
}

fn union(harness: &mut Harness, inputs: impl Iterator<Item = Vec<u8>>) -> [u8; COUNTERS] {
    let mut all = [0; COUNTERS];
    for bytes in inputs {
        harness.coverage().clear();
        harness.run_bytes(&bytes);
        let CoverageMap(counters) = harness.coverage();
        all.iter_mut().zip(counters).for_each(|(all, one)| *all = (*all).max(*one));
    }
    all
}

fn count(map: &[u8]) -> usize {
    map.iter().filter(|&&count| count > 0).count()
}

/// A trace that is made as it is read: bursts of requests, sequential and random, some of them overlapping.
struct Made {
    left: usize,
    ticks: u64,
    state: u64,
    line: Vec<u8>,
    given: usize,
    spent: &'static std::sync::atomic::AtomicU64,
}

impl Made {
    fn make(&mut self) {
        self.line.clear();
        self.given = 0;
        while self.line.len() < MIB / 4 && self.line.len() < self.left {
            let noise = noise(&mut self.state);
            self.ticks += if noise.is_multiple_of(97) { 90_000 } else { noise >> 20 & 0x3FF };
            let kind = if noise & 3 == 0 { "Read" } else { "Write" };
            let (disk, offset) = (noise >> 8 & 1, (noise >> 30 & 0xF_FFFF) * 4096);
            let size = 512u64 << (noise >> 4 & 7);
            let (ticks, latency) = (self.ticks, 200 + (noise >> 40 & 0xFFF));
            // A vector takes whatever is written.
            let _ = writeln!(self.line, "{ticks},hm,{disk},{kind},{offset},{size},{latency}");
        }
        self.left = self.left.saturating_sub(self.line.len());
    }
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.line.len() {
            let begin = thread_ns();
            self.make();
            self.spent.fetch_add(thread_ns() - begin, std::sync::atomic::Ordering::Relaxed);
        }
        let rest = &self.line[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

/// SplitMix64.
fn noise(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Processor time of this thread.
fn thread_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The most memory that was resident, as Linux counts it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".into(), |value| value.trim().to_owned())
}
