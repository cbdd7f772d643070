//! When and how well a device serves a command: what the scenario decides about each, whatever the device is.
//!
//! | outcome | what the driver sees |
//! | --- | --- |
//! | Success | the command, done |
//! | MediaError | an error that says the medium failed; no data moved |
//! | Retry | an error that asks to try again; no data moved |
//! | Silence | nothing until the command is aborted or the device reset |
//! | Late | success after [`LATE`], when the request's time is over |
//! | NoInterrupt | success, and no interrupt for it |
//! | Twice | success, and the same answer once more right behind it |
//! | Garbage | an answer for a command that does not exist, then success |
//!
//! A command that is refused for what it asks is refused whatever the outcome says of its answer's quality:
//! a late refusal is late.

use crate::scenario::{Answer, DeviceOrder, Manner, Outcome};

const MICROSECOND: u64 = 1000;
/// Never due: the device swallowed it.
pub(super) const NEVER: u64 = u64::MAX;
/// Latency of a command that is late: more than the usual request timeout of ten seconds.
pub(super) const LATE: u64 = 12_000_000 * MICROSECOND;
/// Largest exponent of a base latency: 2^15 microseconds are 33 ms.
const LATENCY_MAX: u8 = 15;
/// Largest exponent of a slowness: with the largest base latency 4.2 s, which is still in time.
const SLOWNESS_MAX: u8 = 7;
/// Exponent of the base latency once faults have ended.
const PROMPT: u8 = 4;
/// Answers kept for commands to come: more than the steps of a scenario.
const ANSWERS: usize = 128;

/// When a command is served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// After it was fetched, in nanoseconds; `None` is never.
    pub(super) latency: Option<u64>,
    /// In the device's order, or at its own time.
    pub(super) ordered: bool,
    pub(super) outcome: Outcome,
    /// An interrupt with nothing behind it comes with the fetching.
    pub(super) spurious: bool,
}

/// The answers that the scenario has given and no command has taken, and what else depends on counting
/// commands.
#[derive(Debug)]
pub(super) struct Answers {
    queue: [Answer; ANSWERS],
    head: usize,
    count: usize,
    /// I/O commands fetched since power-on.
    fetched: u32,
    /// I/O queues that the driver asked for since power-on.
    queues_created: u32,
    well_behaved: bool,
}

impl Answers {
    pub(super) fn new() -> Self {
        Answers {
            queue: [Answer::default(); ANSWERS],
            head: 0,
            count: 0,
            fetched: 0,
            queues_created: 0,
            well_behaved: false,
        }
    }

    pub(super) fn power_on(&mut self) {
        self.head = 0;
        self.count = 0;
        self.fetched = 0;
        self.queues_created = 0;
        self.well_behaved = false;
    }

    /// Keeps an answer; what is too many is dropped.
    pub(super) fn push(&mut self, answer: Answer) {
        if self.count < ANSWERS && !self.well_behaved {
            self.queue[(self.head + self.count) % ANSWERS] = answer;
            self.count += 1;
        }
    }

    fn take(&mut self) -> Answer {
        if self.count == 0 {
            return Answer::default();
        }
        let answer = self.queue[self.head];
        self.head = (self.head + 1) % ANSWERS;
        self.count -= 1;
        answer
    }

    /// Faults end.
    pub(super) fn behave(&mut self) {
        self.count = 0;
        self.well_behaved = true;
    }

    /// Decides about the I/O command that is being fetched.
    pub(super) fn serve(&mut self, manner: &Manner) -> Service {
        let answer = self.take();
        self.fetched = self.fetched.wrapping_add(1);
        let every = u32::from(manner.spurious_every);
        let latency = match answer.outcome {
            Outcome::Silence => None,
            Outcome::Late => Some(LATE),
            _ => Some(self.latency(manner) << answer.slowness.min(SLOWNESS_MAX)),
        };
        Service {
            latency,
            ordered: !matches!(answer.outcome, Outcome::Silence | Outcome::Late),
            outcome: answer.outcome,
            spurious: !self.well_behaved && every != 0 && self.fetched.is_multiple_of(every),
        }
    }

    /// Latency of a command that is answered promptly.
    pub(super) fn latency(&self, manner: &Manner) -> u64 {
        let exponent = manner.latency.min(if self.well_behaved { PROMPT } else { LATENCY_MAX });
        MICROSECOND << exponent
    }

    /// Decides whether the I/O queue that is being created can be.
    pub(super) fn queue_creation_fails(&mut self, manner: &Manner) -> bool {
        self.queues_created = self.queues_created.saturating_add(1);
        !self.well_behaved && self.queues_created == u32::from(manner.queue_creation_fails)
    }

    /// The device answers what a reset or an abort should have silenced.
    pub(super) fn answers_after_reset(&self, manner: &Manner) -> bool {
        manner.answers_after_reset && !self.well_behaved
    }

    /// Nanoseconds until RDY follows EN.
    pub(super) fn ready_delay(&self, manner: &Manner) -> u64 {
        if manner.slow_ready && !self.well_behaved {
            60_000 * MICROSECOND
        } else {
            20 * MICROSECOND
        }
    }
}

/// Which of the commands that wait is served next, and when: each with its time and whether it takes part in the
/// device's order, in the order in which they were fetched. What is never due is passed over.
pub(super) fn next_served(
    order: DeviceOrder,
    waiting: impl Iterator<Item = (usize, u64, bool)>,
) -> Option<(u64, usize)> {
    let mut best = None;
    let mut head_of_line = None;
    for (index, due, ordered) in waiting {
        if due == NEVER {
            continue;
        }
        if ordered {
            match order {
                DeviceOrder::ByLatency => {}
                DeviceOrder::InOrder if head_of_line.is_some() => continue,
                DeviceOrder::InOrder => head_of_line = Some((due, index)),
                DeviceOrder::Reversed => {
                    head_of_line = Some((due, index));
                    continue;
                }
            }
        }
        best = earlier(best, due, index);
    }
    match head_of_line {
        Some((due, index)) if order == DeviceOrder::Reversed => earlier(best, due, index),
        _ => best,
    }
}

fn earlier(best: Option<(u64, usize)>, due: u64, index: usize) -> Option<(u64, usize)> {
    match best {
        Some((sooner, _)) if sooner <= due => best,
        _ => Some((due, index)),
    }
}
