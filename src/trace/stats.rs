//! What a trace held, in figures of fixed size.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Operation, Request};

/// Bars of the plots whose range is not known before.
pub const BARS: usize = 96;
/// Powers of two that sizes and latencies are counted by.
pub const POWERS: usize = 48;
/// Completions that are waited for, to count the queue's depth.
const OUTSTANDING_MAX: usize = 4096;
/// Processors and units that are told apart; further ones count as the last.
const NAMES_MAX: usize = 256;

/// Counts over a range that grows: when it is too small, bars become twice as wide.
#[derive(Clone, Debug)]
pub struct Growing {
    /// What the first bar begins at.
    pub origin: u64,
    /// The width of a bar, as a power of two.
    pub shift: u32,
    /// The bars.
    pub bars: [Bar; BARS],
    begun: bool,
}

/// One bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// How many values fell into it.
    pub count: u64,
    /// Their greatest weight.
    pub most: u32,
    /// All their weights.
    pub sum: u64,
}

impl Default for Growing {
    fn default() -> Self {
        Growing { origin: 0, shift: 0, bars: [Bar::default(); BARS], begun: false }
    }
}

impl Growing {
    fn of_time() -> Self {
        Growing { shift: 10, ..Growing::default() }
    }

    fn from_zero() -> Self {
        Growing { begun: true, shift: 9, ..Growing::default() }
    }

    #[inline]
    fn add(&mut self, value: u64, weight: u32) {
        if !self.begun {
            (self.begun, self.origin) = (true, value);
        }
        let offset = value.saturating_sub(self.origin);
        while offset >> self.shift >= BARS as u64 {
            self.widen();
        }
        let bar = &mut self.bars[(offset >> self.shift) as usize];
        bar.count += 1;
        bar.most = bar.most.max(weight);
        bar.sum += u64::from(weight);
    }

    #[cold]
    fn widen(&mut self) {
        for to in 0..BARS {
            let two =
                [2 * to, 2 * to + 1].map(|from| self.bars.get(from).copied().unwrap_or_default());
            self.bars[to] = Bar {
                count: two[0].count + two[1].count,
                most: two[0].most.max(two[1].most),
                sum: two[0].sum + two[1].sum,
            };
        }
        self.shift += 1;
    }

    /// Bars up to the last that holds something.
    #[must_use]
    pub fn filled(&self) -> &[Bar] {
        let end = self.bars.iter().rposition(|bar| bar.count > 0).map_or(0, |last| last + 1);
        &self.bars[..end]
    }
}

/// What a trace held.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Requests, by [`Operation::index`].
    pub operations: [u64; Operation::NAMES.len()],
    /// Bytes read and written.
    pub bytes: [u64; 2],
    /// Requests by size: powers of two.
    pub sizes: [u64; POWERS],
    /// Requests by latency: powers of two nanoseconds.
    pub latencies: [u64; POWERS],
    /// Requests whose completion is known.
    pub completed: u64,
    /// Requests completed before one that was issued earlier.
    pub disorder: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Depth of the queue over time: the weight is how many are outstanding with the one that is issued.
    pub depth: Growing,
    /// Most requests outstanding.
    pub depth_max: u32,
    /// Where requests begin.
    pub addresses: Growing,
    /// Requests by processor.
    pub processors: BTreeMap<u16, u64>,
    /// Requests by unit.
    pub units: BTreeMap<u32, u64>,
    /// Times of the first and of the last issue.
    pub times: (u64, u64),
    outstanding: BinaryHeap<Reverse<u64>>,
    latest: u64,
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            operations: [0; Operation::NAMES.len()],
            bytes: [0; 2],
            sizes: [0; POWERS],
            latencies: [0; POWERS],
            completed: 0,
            disorder: 0,
            failed: 0,
            depth: Growing::of_time(),
            depth_max: 0,
            addresses: Growing::from_zero(),
            processors: BTreeMap::new(),
            units: BTreeMap::new(),
            times: (u64::MAX, 0),
            outstanding: BinaryHeap::new(),
            latest: 0,
        }
    }
}

impl Stats {
    /// Requests in all.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.operations.iter().sum()
    }

    /// From the first issue to the last, in nanoseconds.
    #[must_use]
    pub fn span_ns(&self) -> u64 {
        self.times.1.saturating_sub(self.times.0)
    }

    /// Takes the next request in order of issue.
    #[inline]
    pub fn add(&mut self, request: &Request) {
        self.operations[request.operation.index()] += 1;
        self.failed += u64::from(request.failed);
        self.times = (self.times.0.min(request.time_ns), self.times.1.max(request.time_ns));
        if let Operation::Read | Operation::Write = request.operation {
            self.bytes[request.operation.index()] += u64::from(request.bytes);
        }
        if request.bytes > 0 {
            self.sizes[request.bytes.ilog2() as usize] += 1;
            self.addresses.add(request.address, 1);
        }
        count(&mut self.units, request.unit);
        if let Some(processor) = request.processor.or(request.completed_on) {
            count(&mut self.processors, processor);
        }
        if let (Some(latency), Some(completed)) = (request.latency_ns, request.completed_ns()) {
            self.completed += 1;
            let power = latency.checked_ilog2().unwrap_or(0) as usize;
            self.latencies[power.min(POWERS - 1)] += 1;
            self.disorder += u64::from(completed < self.latest);
            self.latest = self.latest.max(completed);
            self.queue(request.time_ns, completed);
        }
    }

    fn queue(&mut self, issued: u64, completed: u64) {
        while self.outstanding.peek().is_some_and(|&Reverse(time)| time < issued) {
            self.outstanding.pop();
        }
        if self.outstanding.len() < OUTSTANDING_MAX {
            self.outstanding.push(Reverse(completed));
        }
        let depth = self.outstanding.len() as u32;
        self.depth_max = self.depth_max.max(depth);
        self.depth.add(issued, depth);
    }
}

fn count<K: Ord + Copy>(counts: &mut BTreeMap<K, u64>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count += 1;
    } else if counts.len() < NAMES_MAX {
        counts.insert(key, 1);
    } else if let Some((_, count)) = counts.iter_mut().next_back() {
        *count += 1;
    }
}
