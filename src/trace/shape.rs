//! What a window looks like, coarsely: windows of one shape are likely to lead a driver the same way.

use super::{Operation, Request};

/// A window's features, each in a few steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Reads among reads and writes: 0 none, 4 all.
    pub reads: u8,
    /// What else there is: a bit for each of flush, trim, reset, other, and one for failures.
    pub rest: u8,
    /// Most requests outstanding, as a power of two; 0 if the trace tells of no completions.
    pub depth: u8,
    /// The middle size, as a power of four.
    pub size: u8,
    /// Sizes that differ by a factor of four: 1, 2, or 3 for more.
    pub sizes: u8,
    /// Completions out of order: 0 none, 1 some, 2 more than a quarter.
    pub disorder: u8,
    /// Processors: 0 unknown, then 1, 2, 3 for up to four, 4 for up to eight, 5 for more.
    pub processors: u8,
    /// Overlapping pairs of which one writes: 0 none, 1 some, 2 more than a quarter of the requests.
    pub collisions: u8,
    /// Mean time between requests, as a power of sixteen microseconds; 0 for less than one.
    pub pace: u8,
    /// Requests, as a power of two.
    pub length: u8,
}

/// Memory for finding shapes, used again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    completions: Vec<u64>,
    extents: Vec<(u32, u64, u64, bool)>,
}

impl Scratch {
    /// The shape of requests in order of issue.
    pub fn shape(&mut self, requests: &[Request]) -> Shape {
        let count = requests.len() as u64;
        let (mut reads, mut moves, mut rest, mut processors) = (0, 0, 0, 0u64);
        let mut sizes = 0u32;
        let mut bytes = 0u64;
        for request in requests {
            match request.operation {
                Operation::Read => (reads, moves) = (reads + 1, moves + 1),
                Operation::Write => moves += 1,
                other => rest |= 1 << (other.index() - 2),
            }
            rest |= u8::from(request.failed) << 4;
            bytes += u64::from(request.bytes);
            sizes |= 1 << (request.bytes.checked_ilog2().unwrap_or(0) / 2);
            if let Some(processor) = request.processor.or(request.completed_on) {
                processors |= 1 << (processor % 64);
            }
        }
        let span = requests.last().map_or(0, |last| last.time_ns - requests[0].time_ns);
        let gap_us = span / count.max(1) / 1000;
        let (depth, disorder) = self.order(requests);
        Shape {
            reads: (4 * reads as u64).checked_div(moves).unwrap_or(0) as u8,
            rest,
            depth: depth.checked_ilog2().map_or(0, |log| log as u8 + 1),
            size: ((bytes / count.max(1)).checked_ilog2().unwrap_or(0) / 2) as u8,
            sizes: sizes.count_ones().min(3) as u8,
            disorder: part_of(disorder, count),
            processors: match processors.count_ones() {
                0 => 0,
                1 => 1,
                2 => 2,
                3..=4 => 3,
                5..=8 => 4,
                _ => 5,
            },
            collisions: part_of(self.collisions(requests), count),
            pace: gap_us.checked_ilog2().map_or(0, |log| log as u8 / 4 + 1),
            length: count.checked_ilog2().unwrap_or(0) as u8,
        }
    }

    /// Most requests outstanding, and how many were completed before one that was issued earlier.
    fn order(&mut self, requests: &[Request]) -> (usize, u64) {
        self.completions.clear();
        self.completions.extend(requests.iter().filter_map(Request::completed_ns));
        let (mut latest, mut disorder) = (0, 0);
        for &completed in &self.completions {
            disorder += u64::from(completed < latest);
            latest = latest.max(completed);
        }
        if disorder > 0 {
            self.completions.sort_unstable();
        }
        let (mut done, mut known, mut depth) = (0, 0, 0usize);
        for request in requests.iter().filter(|request| request.latency_ns.is_some()) {
            known += 1;
            while self.completions[done] < request.time_ns {
                done += 1;
            }
            depth = depth.max(known - done);
        }
        (depth, disorder)
    }

    /// How many requests begin inside one that begins before them, with a write among the two.
    fn collisions(&mut self, requests: &[Request]) -> u64 {
        self.extents.clear();
        self.extents.extend(requests.iter().filter(|request| request.bytes > 0).map(|request| {
            let writes = request.operation != Operation::Read;
            (request.unit, request.address, request.end(), writes)
        }));
        self.extents.sort_unstable();
        let mut count = 0;
        let (mut unit, mut end, mut writes) = (u32::MAX, 0, false);
        for &(its_unit, address, its_end, its_writes) in &self.extents {
            if its_unit == unit && address < end {
                count += u64::from(writes | its_writes);
                writes |= its_writes;
                end = end.max(its_end);
            } else {
                (unit, end, writes) = (its_unit, its_end, its_writes);
            }
        }
        count
    }
}

fn part_of(some: u64, all: u64) -> u8 {
    match some {
        0 => 0,
        some if some * 4 <= all => 1,
        _ => 2,
    }
}
