//! Writes a window of a trace as a scenario.
//!
//! | of the trace | in the scenario |
//! | --- | --- |
//! | kinds and sizes of requests | the same; sizes halved together until all fit the disk |
//! | which requests touch the same bytes | the same: addresses are squeezed piece by piece, never folded |
//! | logical units | parts of the one disk that do not overlap |
//! | processors | numbered anew, modulo 8; where unknown, a request outstanding beside n others is on the n-th |
//! | times of issue | gaps of 2^n microseconds that follow them without drifting away; at once on another processor within [`WAY_NS`] |
//! | order and times of completion | the device's order, base latency, and each answer's slowness, in the trace's order where 2^n allows |
//! | processors of completion, completions that come together | interrupt affinity and messages; coalescing |
//! | requests and completions that overlap | with [`Weave::Woven`], departures from the calm schedule there |
//!
//! What no trace tells, a woven scenario draws: message synchronisation, performance options, channels, and the offsets of those
//! departures; of a trace without completions also processors and latencies.

use super::noise::Noise;
use super::window::Window;
use super::{Operation, Request};
use crate::event::PROCESSORS_MAX;
use crate::scenario::{
    Affinity, Answer, At, Decision, DeviceOrder, Io, IoKind, Outcome, Perf, Query, Scenario, Setup,
    StartIoMessage, Step,
};

const BLOCK_BYTES: u64 = 512;
/// Blocks of the simulated disk that addresses are squeezed into.
const DISK_BLOCKS: u64 = 128;
/// Blocks of the largest request.
const BLOCKS_MAX: u64 = 48;
/// Blocks of a page, by which a buffer's offset in it is counted.
const PAGE_BLOCKS: u64 = 8;
const GAP_MAX: u8 = 24;
const LATENCY_MAX: u8 = 15;
const SLOWNESS_MAX: u8 = 7;
/// Completions nearer to each other were told of by one interrupt.
const TOGETHER_NS: u64 = 1_000;
/// StorPort's usual request timeout is ten seconds: what took longer was late.
const LATE_NS: u64 = 10_000_000_000;
/// How long a request is on its way down on a real machine, roughly: another one that comes within that time on
/// another processor overlaps with it.
pub const WAY_NS: u64 = 16_000;
/// Processors drawn at most, where the trace tells of none.
const DRAWN_PROCESSORS: u64 = 4;
/// Slowness drawn at most.
const DRAWN_SLOWNESS: u64 = 3;
/// Departures where something overlaps, at most.
const DENSITY: u64 = 3;
/// Queries of which a trace's other requests become one.
const QUERIES: usize = 14;

/// Whether the schedule is calm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weave {
    /// Calm: device and processors come when they are due, and the configuration is the default.
    Calm,
    /// Departures where the trace's requests overlap.
    Woven(Points),
}

/// Where requests are in a run, in decision points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    /// Points before the first.
    pub start: u64,
    /// Points of each.
    pub each: u64,
}

/// The scenario of a window. `seed` draws what neither trace nor window decides.
#[must_use]
pub fn compose(window: &Window, weave: Weave, seed: u64) -> Scenario {
    let requests = &window.requests[..];
    let noise = &mut Noise::new(seed.rotate_left(32) ^ window.first);
    let is_told = requests.iter().any(|request| request.latency_ns.is_some());
    let (mut processors, mut count) = processors(requests);
    let mut timing = Timing::of(requests, &processors);
    let mut setup = Setup { request_slots: 32, ..Setup::default() };
    if let Weave::Woven(_) = weave {
        draw_setup(&mut setup, noise);
        if !is_told {
            count = (1 + noise.below(DRAWN_PROCESSORS)) as u8;
            processors.fill_with(|| noise.below(count.into()) as u8);
            timing.slowness.fill_with(|| noise.below(DRAWN_SLOWNESS + 1) as u8);
            timing.disorder = noise.below(2) == 0;
        }
    }
    (setup.processors, setup.messages) = (count, count + 1);
    setup.device.latency = timing.base;
    setup.device.order =
        if timing.disorder { DeviceOrder::ByLatency } else { DeviceOrder::InOrder };
    interrupts(requests, &mut setup);
    let extents = extents(requests);
    let steps = (0..requests.len()).map(|index| {
        let at = At { processor: processors[index], gap: timing.gaps[index] };
        step(&requests[index], at, extents[index], timing.slowness[index], noise)
    });
    let mut scenario = Scenario { setup, steps: steps.collect(), ..Scenario::default() };
    if let Weave::Woven(points) = weave {
        scenario.schedule = schedule(requests, &scenario.steps, points, noise);
    }
    scenario.repair();
    scenario
}

/// What no trace tells of an adapter.
fn draw_setup(setup: &mut Setup, noise: &mut Noise) {
    setup.per_message = noise.below(3) > 0;
    setup.perf = Perf(noise.next() as u8 & Perf::ALL.0);
    setup.channels = 1 + noise.below(4) as u8;
    let messages = StartIoMessage::ALL;
    setup.start_io_message = messages[noise.below(messages.len() as u64) as usize];
}

fn step(
    request: &Request,
    at: At,
    (block, blocks): (u8, u8),
    slowness: u8,
    noise: &mut Noise,
) -> Step {
    let kind = match request.operation {
        Operation::Read => IoKind::Read,
        Operation::Write => IoKind::Write,
        Operation::Flush => IoKind::Flush,
        Operation::Trim => IoKind::Unmap,
        Operation::Reset(tier) => return Step::Reset(at, tier),
        Operation::Other => {
            return Step::Query(at, Query::ALL[noise.below(QUERIES as u64) as usize]);
        }
    };
    let outcome = match request.latency_ns {
        _ if request.failed => Outcome::MediaError,
        Some(LATE_NS..) => Outcome::Late,
        _ => Outcome::Success,
    };
    let offset = (request.address / BLOCK_BYTES % PAGE_BLOCKS) as u8;
    let answer = Answer { outcome, slowness };
    Step::Io(at, Io { kind, block, blocks, offset, answer }.canonical())
}

/// The processor of each request, and how many there are.
fn processors(requests: &[Request]) -> (Vec<u8>, u8) {
    let names = if requests.iter().all(|request| request.processor.is_some()) {
        requests.iter().filter_map(|request| request.processor).collect()
    } else if requests.iter().all(|request| request.completed_on.is_some()) {
        // Completion is usually sent back to where the request came from.
        requests.iter().filter_map(|request| request.completed_on).collect()
    } else {
        slots(requests)
    };
    let mut distinct: Vec<u16> = names.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let count = distinct.len().clamp(1, PROCESSORS_MAX);
    let rank = |name| distinct.binary_search(&name).unwrap_or(0) % count;
    (names.into_iter().map(|name| rank(name) as u8).collect(), count as u8)
}

/// For each request the lowest number that none outstanding has, as if each were waited for by a thread.
fn slots(requests: &[Request]) -> Vec<u16> {
    let mut busy: Vec<u64> = Vec::new();
    let slot = |request: &Request| {
        let done = request.completed_ns().unwrap_or(request.time_ns);
        match busy.iter().position(|&until| until <= request.time_ns) {
            Some(free) => {
                busy[free] = done;
                free as u16
            }
            None => {
                busy.push(done);
                busy.len() as u16 - 1
            }
        }
    };
    requests.iter().map(slot).collect()
}

/// Gaps, latencies and order, in powers of two.
struct Timing {
    gaps: Vec<u8>,
    slowness: Vec<u8>,
    base: u8,
    disorder: bool,
}

impl Timing {
    fn of(requests: &[Request], processors: &[u8]) -> Timing {
        let least = requests.iter().filter_map(|request| request.latency_ns).min();
        let least_us = least.map_or(1 << 4, |latency| latency / 1000);
        let base = (least_us.checked_ilog2().unwrap_or(0) as u8).min(LATENCY_MAX);
        let (gaps, issued) = gaps(requests, processors);
        let mut order: Vec<usize> =
            (0..requests.len()).filter(|&index| requests[index].latency_ns.is_some()).collect();
        let mut disorder = false;
        let mut latest = 0;
        for &index in &order {
            let completed = requests[index].completed_ns().unwrap_or(0);
            disorder |= completed < latest;
            latest = latest.max(completed);
        }
        order.sort_by_key(|&index| requests[index].completed_ns());
        let mut slowness = vec![0; requests.len()];
        let mut before = 0;
        for index in order {
            let latency = requests[index].latency_ns.unwrap_or(0);
            let wanted = (latency / 1000).checked_ilog2().unwrap_or(0) as u8;
            let wanted = wanted.saturating_sub(base).min(SLOWNESS_MAX);
            let done = |slow: u8| issued[index] + (1000u64 << (base + slow));
            // The nearest that does not come before what the trace completed earlier.
            let chosen = (0..=SLOWNESS_MAX)
                .filter(|&slow| done(slow) >= before)
                .min_by_key(|&slow| slow.abs_diff(wanted))
                .unwrap_or(wanted);
            before = before.max(done(chosen));
            slowness[index] = chosen;
        }
        Timing { gaps, slowness, base, disorder }
    }
}

/// Each request's gap, and the time of issue that the gaps come to.
fn gaps(requests: &[Request], processors: &[u8]) -> (Vec<u8>, Vec<u64>) {
    let begin = requests.first().map_or(0, |first| first.time_ns);
    let mut time = 0u64;
    let one = |index: usize| {
        let wanted = (requests[index].time_ns - begin).saturating_sub(time);
        // 2^n is nearer than 2^(n+1) up to its one and a half.
        let mut gap = (wanted / 750).checked_ilog2().unwrap_or(0).min(GAP_MAX.into()) as u8;
        if let Some(before) = index.checked_sub(1)
            && processors[before] != processors[index]
            && requests[index].time_ns - requests[before].time_ns < WAY_NS
        {
            gap = 0;
        }
        time += if gap == 0 { 0 } else { 1000 << gap };
        (gap, time)
    };
    (0..requests.len()).map(one).unzip()
}

/// First block and blocks of each request on the simulated disk.
///
/// Every end of a request cuts the trace's address space; a piece between two cuts that some request touches gets as
/// many blocks as it has, or all get fewer by the same power of two, one at least. A window has fewer pieces than the
/// disk has blocks, so what overlaps still does, and nothing else.
fn extents(requests: &[Request]) -> Vec<(u8, u8)> {
    let mut cuts: Vec<(u32, u64)> = requests
        .iter()
        .filter(|request| request.bytes > 0)
        .flat_map(|request| [(request.unit, request.address), (request.unit, request.end())])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut touched = vec![false; cuts.len()];
    let place = |unit: u32, address: u64| cuts.partition_point(|&cut| cut < (unit, address));
    for request in requests.iter().filter(|request| request.bytes > 0) {
        let pieces = place(request.unit, request.address)..place(request.unit, request.end());
        touched[pieces].fill(true);
    }
    let blocks = |index: usize| -> u64 {
        if !touched[index] {
            return 0;
        }
        (cuts[index + 1].1 - cuts[index].1).div_ceil(BLOCK_BYTES).clamp(1, BLOCKS_MAX)
    };
    let shift = (0..8)
        .find(|&shift| {
            let widths = (0..cuts.len()).map(blocks).filter(|&width| width > 0);
            widths.map(|width| (width >> shift).max(1)).sum::<u64>() <= DISK_BLOCKS
        })
        .unwrap_or(8);
    let mut starts = Vec::with_capacity(cuts.len() + 1);
    let mut next = 0;
    for index in 0..cuts.len() {
        starts.push(next);
        let width = blocks(index);
        next += if width == 0 { 0 } else { (width >> shift).max(1) };
    }
    let extent = |request: &Request| {
        if request.bytes == 0 {
            return (0, 1);
        }
        let first = starts[place(request.unit, request.address)];
        let end = starts[place(request.unit, request.end())];
        (first as u8, (end - first).clamp(1, BLOCKS_MAX) as u8)
    };
    requests.iter().map(extent).collect()
}

/// Where completions are told of, and how many at once.
fn interrupts(requests: &[Request], setup: &mut Setup) {
    let mut completions: Vec<(u64, Option<u16>)> = requests
        .iter()
        .filter_map(|request| Some((request.completed_ns()?, request.completed_on)))
        .collect();
    completions.sort_unstable();
    let pairs = completions.windows(2);
    let together =
        pairs.filter(|pair| pair[1].0 - pair[0].0 < TOGETHER_NS && pair[0].1 == pair[1].1);
    setup.device.coalesces = together.count() * 4 >= completions.len().max(8);
    let Some(&(_, Some(first))) = completions.first() else { return };
    let issuers: Vec<u16> = requests.iter().filter_map(|request| request.processor).collect();
    let one = completions.iter().all(|&(_, on)| on == Some(first));
    if one && issuers.iter().any(|&issuer| issuer != first) {
        // One processor takes all interrupts, as with fewer messages than processors.
        let lowest = issuers.iter().all(|&issuer| issuer >= first);
        setup.affinity = if lowest { Affinity::First } else { Affinity::Last };
        setup.messages = 2;
    }
}

/// Departures at each request that overlaps with the one before it on another processor, and for each completion
/// between the two.
fn schedule(
    requests: &[Request],
    steps: &[Step],
    points: Points,
    noise: &mut Noise,
) -> Vec<Decision> {
    let mut completions: Vec<u64> = requests.iter().filter_map(Request::completed_ns).collect();
    completions.sort_unstable();
    let density = 1 + noise.below(DENSITY);
    let mut done = 0;
    let mut places = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let now = completions.partition_point(|&completed| completed <= request.time_ns);
        let before = index.checked_sub(1).and_then(|before| steps[before].at());
        let overlaps = steps[index].at().is_some_and(|at| {
            at.gap == 0 && before.is_some_and(|before| before.processor != at.processor)
        });
        let least = u64::from(completions.is_empty());
        let count = (now - done) as u64 + u64::from(overlaps) * density;
        for _ in 0..count.max(least) {
            let start = points.start + index as u64 * points.each;
            places.push(start + noise.below(2 * points.each.max(1)));
        }
        done = now;
    }
    places.sort_unstable();
    let mut passed = 0;
    let mut decisions = Vec::new();
    for place in places {
        let after = place.saturating_sub(passed).min(u8::MAX.into());
        passed += after + 1;
        decisions.push(Decision { after: after as u8, choice: noise.next() as u8 });
    }
    decisions
}
