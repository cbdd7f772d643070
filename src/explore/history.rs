//! What has happened, as a graph: each step with the last step of its processor and the last steps on what it touches.
//!
//! The graph is kept as hashes. A step's hash is made of what it did, of the hash of the step before it on its
//! processor, and of the *version* of every object that it touches; a version is the hash of the step that wrote the
//! object last and, for a step that writes, the sum of those that have read it since. So a hash stands for a step with all that
//! happened before it, and the sum of the hashes is the same for two runs if and only if (collisions apart) one
//! becomes the other by swapping neighbouring steps that do not depend on each other.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::footprint::{Footprint, OBJECTS, Objects};
use crate::event::{Event, PROCESSORS_MAX};
use crate::harness::EventHasher;

/// A map by hashes of this module, which need not be hashed again.
pub(super) type Map<T> = HashMap<u64, T, BuildHasherDefault<Ready>>;

/// A set of such hashes.
pub(super) type Set = HashSet<u64, BuildHasherDefault<Ready>>;

/// Hashes what is a hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = mixed(self.0 ^ hash);
    }
}

/// What has been done to one object.
#[derive(Clone, Copy, Debug, Default)]
struct Object {
    /// The last step that wrote it.
    write: u64,
    /// The sum of the steps that have read it since.
    readers: u64,
}

/// An object, and the version of it that a step found.
pub(super) type Version = (u8, u64);

/// What has happened so far.
#[derive(Clone, Debug)]
pub(super) struct History {
    sum: u64,
    /// The last step of each processor.
    own: [u64; PROCESSORS_MAX],
    /// Objects that were touched since the last barrier; the others were last written by it.
    touched: Objects,
    barrier: u64,
    objects: [Object; OBJECTS],
}

impl Default for History {
    fn default() -> Self {
        History {
            sum: 0,
            own: [0; PROCESSORS_MAX],
            touched: Objects::default(),
            barrier: 0,
            objects: [Object::default(); OBJECTS],
        }
    }
}

impl History {
    /// The same for equivalent histories, and only for these.
    pub(super) const fn sum(&self) -> u64 {
        self.sum
    }

    /// What a processor's next step follows from, beside what it touches.
    pub(super) const fn own(&self, processor: u8) -> u64 {
        self.own[processor as usize]
    }

    /// What a reader sees of an object.
    pub(super) fn seen(&self, object: u8) -> u64 {
        self.object(object).write
    }

    fn object(&self, number: u8) -> Object {
        if self.touched.meets(Objects::one(number.into())) {
            self.objects[usize::from(number)]
        } else {
            Object { write: self.barrier, readers: 0 }
        }
    }

    /// What one sees who asks which interrupts are pending.
    pub(super) fn pending_seen(&self) -> u64 {
        self.all_seen(Objects::PENDING)
    }

    /// What a processor sees in its queue.
    pub(super) fn queue_seen(&self, processor: u8) -> u64 {
        self.all_seen(Objects::queue(processor))
    }

    fn all_seen(&self, objects: Objects) -> u64 {
        objects.numbers().fold(0, |all, number| mixed(all ^ self.seen(number)))
    }

    /// What a step with this footprint finds.
    pub(super) fn versions(&self, footprint: Footprint) -> Vec<Version> {
        let read = footprint.reads.numbers().map(|number| (number, self.seen(number)));
        let written = footprint.writes.numbers().map(|number| (number, self.version(number)));
        read.chain(written).collect()
    }

    /// Whether a step with this footprint would find those versions.
    pub(super) fn has(&self, footprint: Footprint, versions: &[Version]) -> bool {
        let reads = footprint.reads.numbers().count();
        let (read, written) = versions.split_at(reads);
        read.iter().all(|&(number, version)| self.seen(number) == version)
            && written.iter().all(|&(number, version)| self.version(number) == version)
    }

    fn version(&self, number: u8) -> u64 {
        let object = self.object(number);
        mixed(object.write ^ object.readers.rotate_left(17))
    }

    /// A step with that hash happens.
    pub(super) fn add(&mut self, processor: u8, footprint: Footprint, step: u64) {
        for number in footprint.reads.numbers() {
            let Object { write, readers } = self.object(number);
            self.objects[usize::from(number)] =
                Object { write, readers: readers.wrapping_add(step) };
        }
        for number in footprint.writes.numbers() {
            self.objects[usize::from(number)] = Object { write: step, readers: 0 };
        }
        self.touched = self.touched.union(footprint.reads).union(footprint.writes);
        self.own[usize::from(processor)] = step;
        self.sum = self.sum.wrapping_add(step);
    }

    /// Something happens that comes after everything before it and before everything after it.
    pub(super) fn add_barrier(&mut self, step: u64) {
        (self.touched, self.barrier) = (Objects::default(), step);
        for (processor, own) in self.own.iter_mut().enumerate() {
            *own = mixed(step ^ (processor as u64 + 1));
        }
        self.sum = step;
    }
}

/// The hash of what a step does: `from` stands for all that it follows from.
pub(super) fn hash_of(from: impl IntoIterator<Item = u64>, events: &[Event]) -> u64 {
    let mut hash = EventHasher::default();
    from.into_iter().for_each(|number| hash.write_u64(number));
    for event in events {
        let place = u64::from(event.processor) << 16
            | u64::from(event.irql.0) << 8
            | u64::from(event.depth);
        hash.write_u64(place);
        hash.site(event.site);
        event.kind.hash(&mut hash);
    }
    mixed(hash.finish())
}

/// Spreads every bit over all (the finish of SplitMix64).
pub(super) const fn mixed(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}
