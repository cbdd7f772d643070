//! The way from a trace to seeds.

use std::collections::BTreeSet;

use super::choose::{Broken, Chooser, Chosen};
use super::compose::{Points, Weave, compose};
use super::stats::Stats;
use super::window::{Cutter, Window};
use super::{Source, TraceError};
use crate::harness::Harness;
use crate::scenario::{STEPS_MAX, Scenario, codec};

/// Scenarios of a window that are tried: a calm one, and woven ones.
const VARIANTS: u64 = 8;

/// How seeds are made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most seeds.
    pub max_files: usize,
    /// Most steps of a seed.
    pub max_steps: usize,
    /// Draws what nothing else decides.
    pub seed: u64,
    /// Bad lines are skipped and counted.
    pub lenient: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_files: 64, max_steps: STEPS_MAX, seed: 0, lenient: false }
    }
}

/// What a trace came to.
#[derive(Debug)]
pub struct Seeded {
    /// The seeds, the one that reaches most first.
    pub seeds: Vec<Chosen>,
    /// Windows that were kept, of which the seeds were made.
    pub windows: Vec<Window>,
    /// Windows that the trace was cut into.
    pub windows_cut: u64,
    /// Scenarios replayed.
    pub executions: u64,
    /// What replayed scenarios broke; they are no seeds.
    pub broken: Vec<Broken>,
    /// What the trace held.
    pub stats: Stats,
    /// Lines skipped.
    pub skipped: u64,
    /// What was wrong with the first of them.
    pub first_skipped: Option<TraceError>,
}

/// Makes seeds for a driver of a trace.
///
/// # Errors
///
/// The trace cannot be read, or holds no request.
pub fn seeds(
    source: &mut dyn Source,
    harness: &mut Harness,
    options: &Options,
) -> Result<Seeded, TraceError> {
    let mut cutter = Cutter::new(options.max_steps, options.seed);
    let mut skipped = 0;
    let mut first_skipped = None;
    loop {
        match source.next() {
            Ok(Some(request)) => cutter.push(request),
            Ok(None) => break,
            Err(error) if options.lenient && !error.fatal => {
                skipped += 1;
                first_skipped.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let (windows, windows_cut, stats) = cutter.finish();
    if windows.is_empty() {
        return Err(nothing("request", skipped, first_skipped));
    }
    let mut empty = Vec::new();
    codec::encode(&Scenario::default(), &mut empty);
    // Of a run without requests most is the way to the first.
    let idle = harness.run_bytes(&empty).decisions;
    let mut chooser = Chooser::new(harness);
    let mut known = BTreeSet::new();
    for (index, window) in windows.iter().enumerate() {
        let mut replay = |weave, seed| {
            let mut bytes = Vec::new();
            codec::encode(&compose(window, weave, seed), &mut bytes);
            known.insert(bytes.clone()).then(|| chooser.replay(index, bytes))
        };
        let calm = replay(Weave::Calm, options.seed).unwrap_or(idle);
        let each = calm.saturating_sub(idle) / window.requests.len() as u64;
        let points = Points { start: idle * 3 / 4, each };
        for variant in 1..VARIANTS {
            replay(Weave::Woven(points), options.seed.wrapping_add(variant << 48));
        }
    }
    let (executions, broken) = (chooser.executions, std::mem::take(&mut chooser.broken));
    let seeds = chooser.choose(options.max_files);
    Ok(Seeded { seeds, windows, windows_cut, executions, broken, stats, skipped, first_skipped })
}

/// Why a trace comes to nothing.
pub(super) fn nothing(what: &str, skipped: u64, first: Option<TraceError>) -> TraceError {
    let message = match first {
        None => format!("it holds no {what}"),
        Some(first) => {
            format!("it holds no {what}; {skipped} lines were skipped, the first: {first}")
        }
    };
    TraceError::at(0, 0, message).fatal()
}
