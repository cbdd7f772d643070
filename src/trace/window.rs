//! Cuts a trace into windows by activity, and keeps windows that differ.
//!
//! A window ends where everything is idle for long, where the kind or size of requests changes after a steady
//! stretch, or when it is as long as a scenario. Lengths vary, since few requests leave a scenario's disk
//! room for large ones. Of each [`Shape`] a few windows are kept, drawn evenly from the whole
//! trace: memory does not depend on the trace's length.

use std::collections::BTreeMap;

use super::noise::Noise;
use super::shape::{Scratch, Shape};
use super::stats::Stats;
use super::{Operation, Request};
use crate::scenario::STEPS_MAX;

/// Requests put into order of issue at once.
const CHUNK: usize = 8192;
/// Of them those that wait for the next chunk, since it may hold earlier ones.
const OVERLAP: usize = CHUNK / 8;
/// Shapes kept.
const SHAPES_MAX: usize = 512;
/// Windows of each shape.
const WINDOWS_OF_SHAPE: usize = 2;
/// Lengths that windows have at most: the longest, and halves of it.
const HALVINGS: u64 = 4;
/// Idle time that ends a window, in mean gaps between its requests, and at least.
const IDLE_GAPS: u64 = 32;
const IDLE_LEAST_NS: u64 = 100_000;
/// Requests alike that make a stretch steady.
const STEADY: u32 = 8;
/// Requests of the shortest window that a change of kind ends.
const LENGTH_LEAST: usize = 4;

/// A part of a trace: requests in order of issue.
#[derive(Clone, Debug)]
pub struct Window {
    /// The requests.
    pub requests: Vec<Request>,
    /// What they look like.
    pub shape: Shape,
    /// The number of its first request in the trace, in order of issue, from 0.
    pub first: u64,
}

#[derive(Debug, Default)]
struct Kept {
    seen: u64,
    windows: Vec<Window>,
}

/// Cuts requests as they come.
#[derive(Debug)]
pub struct Cutter {
    chunk: Vec<Request>,
    length_max: usize,
    noise: Noise,
    scratch: Scratch,
    kept: BTreeMap<Shape, Kept>,
    /// Windows cut so far, kept or not.
    pub cut: u64,
    issued: u64,
    /// What the trace held.
    pub stats: Stats,
}

impl Cutter {
    /// Windows have at most `length_max` requests; `seed` draws where nothing else decides.
    #[must_use]
    pub fn new(length_max: usize, seed: u64) -> Cutter {
        Cutter {
            chunk: Vec::with_capacity(CHUNK),
            length_max: length_max.clamp(1, STEPS_MAX),
            noise: Noise::new(seed),
            scratch: Scratch::default(),
            kept: BTreeMap::new(),
            cut: 0,
            issued: 0,
            stats: Stats::default(),
        }
    }

    /// Takes the next request.
    #[inline]
    pub fn push(&mut self, request: Request) {
        self.chunk.push(request);
        if self.chunk.len() == CHUNK {
            self.cut_chunk(CHUNK - OVERLAP);
        }
    }

    /// The windows that were kept, by shape.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Window>, u64, Stats) {
        self.cut_chunk(self.chunk.len());
        let windows = self.kept.into_values().flat_map(|kept| kept.windows).collect();
        (windows, self.cut, self.stats)
    }

    fn cut_chunk(&mut self, count: usize) {
        // Stable: requests of one moment stay in the order of the trace.
        self.chunk.sort_by_key(|request| request.time_ns);
        let chunk = std::mem::take(&mut self.chunk);
        for request in &chunk[..count] {
            self.stats.add(request);
        }
        if self.issued == 0 && count < CHUNK - OVERLAP {
            // A short trace is cut in every way.
            (0..HALVINGS).for_each(|halvings| self.cut_windows(&chunk[..count], Some(halvings)));
        } else {
            self.cut_windows(&chunk[..count], None);
        }
        self.issued += count as u64;
        self.chunk = chunk;
        self.chunk.drain(..count);
    }

    fn cut_windows(&mut self, requests: &[Request], halvings: Option<u64>) {
        let mut first = self.issued;
        let mut rest = requests;
        while !rest.is_empty() {
            let halvings = halvings.unwrap_or_else(|| self.noise.below(HALVINGS));
            let most = (self.length_max >> halvings).max(1);
            let (window, after) = rest.split_at(cut(rest, most));
            self.keep(window, first);
            first += window.len() as u64;
            rest = after;
        }
    }

    fn keep(&mut self, requests: &[Request], first: u64) {
        self.cut += 1;
        let shape = self.scratch.shape(requests);
        if self.kept.len() >= SHAPES_MAX && !self.kept.contains_key(&shape) {
            self.drop_commonest();
        }
        let kept = self.kept.entry(shape).or_default();
        kept.seen += 1;
        let window = || Window { requests: requests.to_vec(), shape, first };
        // Reservoir sampling: every window of a shape is as likely to stay as any other.
        if kept.windows.len() < WINDOWS_OF_SHAPE {
            kept.windows.push(window());
        } else if let place = self.noise.below(kept.seen) as usize
            && place < WINDOWS_OF_SHAPE
        {
            kept.windows[place] = window();
        }
    }

    /// Makes room for a new shape: what is seen most is the least loss, since it will be seen again.
    fn drop_commonest(&mut self) {
        let commonest = self.kept.iter().max_by_key(|(_, kept)| kept.seen);
        if let Some(shape) = commonest.map(|(&shape, _)| shape) {
            self.kept.remove(&shape);
        }
    }
}

/// What a stretch is steady in.
fn class(request: &Request) -> (Operation, u32) {
    (request.operation, request.bytes.checked_ilog2().unwrap_or(0))
}

/// How many requests the window at the beginning has, `most` at most.
fn cut(requests: &[Request], most: usize) -> usize {
    let most = most.min(requests.len());
    let (begin, mut steady) = (requests[0].time_ns, 0);
    let mut busy_until = requests[0].completed_ns().unwrap_or(0);
    for index in 1..most {
        let (before, request) = (&requests[index - 1], &requests[index]);
        let gap = request.time_ns - before.time_ns;
        let mean = (before.time_ns - begin) / index as u64;
        let long = gap > IDLE_LEAST_NS && gap > mean.saturating_mul(IDLE_GAPS) && index > 1;
        if long && busy_until < request.time_ns {
            return index;
        }
        if class(before) == class(request) {
            steady += 1;
        } else if steady >= STEADY && index >= LENGTH_LEAST {
            return index;
        } else {
            steady = 0;
        }
        busy_until = busy_until.max(request.completed_ns().unwrap_or(0));
    }
    most
}
