//! Writes a window of a trace as a scenario.
//!
//! | of the trace | in the scenario |
//! | --- | --- |
//! | kinds and sizes of requests | the same; sizes halved together until all fit the disk |
//! | which requests touch the same bytes | the same: addresses are squeezed piece by piece, never folded |
//! | logical units | parts of the one disk that do not overlap |
//! | processors | numbered anew, modulo 8; where unknown, a request outstanding beside n others is on the n-th |
//! | times of issue | gaps of 2^n microseconds that follow them without drifting away |
//! | order and times of completion | the device's order, base latency, and each answer's slowness, in the trace's order where 2^n allows |
//! | processors of completion, completions that come together | interrupt affinity and messages; coalescing |
//! | completions between two issues | with [`Weave::Woven`], departures from the calm schedule at those places |

use super::noise::Noise;
use super::window::Window;
use super::{Operation, Request};
use crate::event::PROCESSORS_MAX;
use crate::scenario::{
    Affinity, Answer, At, Decision, DeviceOrder, Io, IoKind, Outcome, Query, Scenario, Setup, Step,
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
/// Decision points that a request passes on its way, roughly.
const POINTS_A_REQUEST: u64 = 48;
/// Queries of which a trace's other requests become one.
const QUERIES: usize = 14;

/// Whether the schedule is calm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weave {
    /// Calm: device and processors come when they are due.
    Calm,
    /// Departures where completions came between issues.
    Woven,
}

/// The scenario of a window. `noise` draws what neither trace nor window decides.
#[must_use]
pub fn compose(window: &Window, weave: Weave, seed: u64) -> Scenario {
    let requests = &window.requests[..];
    let noise = &mut Noise::new(seed ^ window.first);
    let (processors, count) = processors(requests);
    let timing = Timing::of(requests);
    let extents = extents(requests);
    let mut setup = Setup { processors: count, messages: count + 1, ..Setup::default() };
    setup.request_slots = 32;
    setup.device.latency = timing.base;
    setup.device.order =
        if timing.disorder { DeviceOrder::ByLatency } else { DeviceOrder::InOrder };
    interrupts(requests, &mut setup);
    let steps = (0..requests.len()).map(|index| {
        let at = At { processor: processors[index], gap: timing.gaps[index] };
        step(&requests[index], at, extents[index], timing.slowness[index], noise)
    });
    let mut scenario = Scenario { setup, steps: steps.collect(), schedule: Vec::new() };
    if weave == Weave::Woven {
        scenario.schedule = schedule(requests, noise);
    }
    scenario.repair();
    scenario
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
    fn of(requests: &[Request]) -> Timing {
        let least = requests.iter().filter_map(|request| request.latency_ns).min();
        let least_us = least.map_or(1 << 4, |latency| latency / 1000);
        let base = (least_us.checked_ilog2().unwrap_or(0) as u8).min(LATENCY_MAX);
        let (gaps, issued) = gaps(requests);
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
fn gaps(requests: &[Request]) -> (Vec<u8>, Vec<u64>) {
    let begin = requests.first().map_or(0, |first| first.time_ns);
    let mut time = 0u64;
    let one = |request: &Request| {
        let wanted = (request.time_ns - begin).saturating_sub(time);
        // 2^n is nearer than 2^(n+1) up to its one and a half.
        let gap = (wanted / 750).checked_ilog2().unwrap_or(0).min(GAP_MAX.into()) as u8;
        time += if gap == 0 { 0 } else { 1000 << gap };
        (gap, time)
    };
    requests.iter().map(one).unzip()
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
    let together = pairs.filter(|pair| pair[1].0 - pair[0].0 < TOGETHER_NS && pair[0].1 == pair[1].1);
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

/// A departure for each issue before which something was completed since the issue before it.
fn schedule(requests: &[Request], noise: &mut Noise) -> Vec<Decision> {
    let mut completions: Vec<u64> = requests.iter().filter_map(Request::completed_ns).collect();
    completions.sort_unstable();
    let mut done = 0;
    let mut calm = 0;
    let mut decisions = Vec::new();
    for request in requests {
        let now = completions.partition_point(|&completed| completed <= request.time_ns);
        for _ in done..now {
            let after = calm + noise.below(POINTS_A_REQUEST);
            let after = after.min(u64::from(u8::MAX)) as u8;
            decisions.push(Decision { after, choice: noise.next() as u8 });
            calm = 0;
        }
        calm += POINTS_A_REQUEST;
        done = now;
    }
    decisions
}
