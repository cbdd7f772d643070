//! Who decides where a schedule's recorded decisions do not: nobody, chance, or priorities.
//!
//! Chance continues the schedule with departures of its own. Priorities are probabilistic concurrency testing
//! (<https://doi.org/10.1145/1736020.1736040>) with interrupts taken for threads: of the code on the current processor, the
//! other processors and the interrupts that could be delivered here, the highest goes on, and at each priority
//! change point the one that runs falls below all others. So it falls, too, when its quantum is over: a driver that
//! polls for what another processor does must not wait for ever.

use crate::event::{MESSAGES_MAX, PROCESSORS_MAX};
use crate::scenario::{Decision, Policy};

/// The policy of one run.
#[derive(Debug)]
pub(super) enum Chooser {
    /// Nobody.
    Nobody,
    /// Departures at random.
    Chance {
        random: Random,
        /// A departure comes after fewer points than this.
        pace: u32,
    },
    /// Whatever has the highest priority.
    Priorities(Priorities),
}

impl Chooser {
    pub(super) fn new(policy: Policy) -> Chooser {
        match policy {
            Policy::Recorded => Chooser::Nobody,
            Policy::Random { seed, pace } => {
                Chooser::Chance { random: Random::new(seed), pace: 1 << pace }
            }
            Policy::Pct { seed } => Chooser::Priorities(Priorities::new(seed)),
        }
    }

    /// The next departure when no recorded one is left.
    pub(super) fn departure(&mut self) -> Option<Decision> {
        let Chooser::Chance { random, pace } = self else { return None };
        let number = random.next();
        // Paces are powers of two up to 128.
        Some(Decision { after: (number % *pace) as u8, choice: (number >> 8) as u8 })
    }

    /// The priorities, if they choose.
    #[inline]
    pub(super) fn priorities(&mut self) -> Option<&mut Priorities> {
        match self {
            Chooser::Priorities(priorities) => Some(priorities),
            _ => None,
        }
    }
}

/// Who comes first: the higher number.
#[derive(Debug)]
pub(super) struct Priorities {
    processors: [i16; PROCESSORS_MAX],
    messages: [i16; MESSAGES_MAX],
    /// The lowest that was given; every change point gives one below.
    lowest: i16,
}

impl Priorities {
    fn new(seed: u16) -> Priorities {
        let mut random = Random::new(seed);
        let mut priority = || (random.next() >> 17) as i16;
        Priorities {
            processors: std::array::from_fn(|_| priority()),
            messages: std::array::from_fn(|_| priority()),
            lowest: 0,
        }
    }

    /// The priority of what runs on a processor.
    pub(super) fn processor(&self, processor: usize) -> i16 {
        self.processors[processor]
    }

    /// The priority of a message's interrupt.
    pub(super) fn message(&self, message: u8) -> i16 {
        self.messages[usize::from(message) % MESSAGES_MAX]
    }

    /// A change point: what runs on the processor falls below all others.
    pub(super) fn lower(&mut self, processor: usize) {
        self.lowest -= 1;
        self.processors[processor] = self.lowest;
    }
}

/// Random numbers: the upper half of a linear congruential generator's, mixed.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    fn new(seed: u16) -> Random {
        Random((u64::from(seed) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 ^ self.0 >> 29) >> 32) as u32
    }
}
