//! A run's history, hashed so that the order of independent events does not show.
//!
//! Each event has a hash of its processor, of what it says, of the event before it on its processor, and of the last
//! event on each object that it touches. The history is the sum of these: the same for two runs with the same
//! happens-before graph. The device acts by virtual time, so an act of it comes after everything and before everything.

use std::hash::{Hash, Hasher};

use super::footprint::{Guards, Objects};
use crate::event::{Event, PROCESSORS_MAX, Point};
use crate::harness::EventHasher;

/// What has happened so far.
#[derive(Clone, Debug)]
pub(super) struct History {
    sum: u64,
    /// The last event of each processor.
    own: [u64; PROCESSORS_MAX],
    /// The last event on each object.
    last: [u64; 128],
    due: u64,
    guards: Guards,
}

impl Default for History {
    fn default() -> Self {
        History {
            sum: 0,
            own: [0; PROCESSORS_MAX],
            last: [0; 128],
            due: u64::MAX,
            guards: Guards::default(),
        }
    }
}

impl History {
    /// An event follows.
    pub(super) fn event(&mut self, event: &Event) {
        let processor = usize::from(event.processor) % PROCESSORS_MAX;
        let mut hash = EventHasher::default();
        hash.write_u64(self.own[processor]);
        hash.write_u64(
            u64::from(event.processor) << 16
                | u64::from(event.irql.0) << 8
                | u64::from(event.depth),
        );
        hash.site(event.site);
        event.kind.hash(&mut hash);
        let objects = Objects::of(event);
        for number in objects.numbers() {
            hash.write_u64(self.last[number]);
        }
        let hash = mixed(hash.finish());
        for number in objects.numbers() {
            self.last[number] = hash;
        }
        self.own[processor] = hash;
        self.sum = self.sum.wrapping_add(hash);
        self.guards.event(event);
    }

    /// A decision point follows: its processor has come one step further. If the device has acted since the last
    /// point, or has been given something to do, that comes after all that was before it.
    pub(super) fn point(&mut self, point: &Point) {
        if point.due != self.due {
            self.due = point.due;
            let mut hash = EventHasher::default();
            self.own.iter().for_each(|&own| hash.write_u64(own));
            let all = mixed(hash.finish());
            for own in &mut self.own {
                *own = mixed(*own ^ all);
            }
            self.sum = self.sum.wrapping_add(all);
        }
        let own = &mut self.own[usize::from(point.processor) % PROCESSORS_MAX];
        *own = mixed(*own ^ 0x9E37_79B9_7F4A_7C15);
        if self.guards.point(point.processor) {
            for number in Objects::MEMORY.numbers() {
                *own = mixed(*own ^ self.last[number].rotate_left(1));
                self.last[number] = *own;
            }
        }
        self.sum = self.sum.wrapping_add(*own);
    }

    /// What tells the state at a point from every other: its history, and what chooses who goes on.
    pub(super) fn state(&self, point: &Point) -> u64 {
        let mut hash = EventHasher::default();
        hash.write_u64(self.sum);
        hash.write_u64(point.time);
        hash.write_u64(point.due);
        hash.write_u64(
            u64::from(point.preempted) << 32
                | u64::from(point.processor) << 16
                | u64::from(point.interrupts) << 8
                | u64::from(point.processors),
        );
        mixed(hash.finish())
    }
}

/// Spreads every bit over all (the finish of SplitMix64).
const fn mixed(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}
