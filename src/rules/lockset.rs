//! Sets of locks: one bit each, whatever the kind. What the rules ask most often, whether
//! something of the Interrupt rank is held, is two words.

pub(super) use crate::event::number::{LOCKS, lock_of, number};

use crate::event::number::{DPCS, EXECUTIVES, INTERRUPT};
use crate::event::{DPCS_MAX, Lock, MESSAGES_MAX};

/// The first of the pseudo-locks that stand for "only one instance of this DPC's routine runs".
const GATES: usize = LOCKS;
const _: () = assert!(MESSAGES_MAX == 64 && GATES / 64 == 2 && GATES % 64 + DPCS_MAX <= 64);

/// A set of locks: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LockSet([u64; 3]);

impl LockSet {
    /// The set without locks.
    pub const EMPTY: LockSet = LockSet([0; 3]);

    #[inline]
    pub(super) const fn insert_number(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    #[inline]
    pub(super) const fn remove_number(&mut self, number: usize) {
        self.0[number / 64] &= !(1 << (number % 64));
    }

    /// Takes out the lowest number.
    pub(super) fn pop_number(&mut self) -> Option<usize> {
        let word = self.0.iter().position(|bits| *bits != 0)?;
        let bit = self.0[word].trailing_zeros() as usize;
        self.0[word] &= self.0[word] - 1;
        Some(word * 64 + bit)
    }

    /// With the pseudo-locks of DPC routines, a bit each.
    pub(super) const fn with_gates(mut self, gates: u32) -> LockSet {
        self.0[GATES / 64] |= (gates as u64) << (GATES % 64);
        self
    }

    /// Adds every message's lock.
    pub(super) const fn insert_messages(&mut self) {
        self.0[0] = u64::MAX;
    }

    /// Whether a lock is in it.
    #[must_use]
    pub const fn contains(self, lock: Lock) -> bool {
        let number = number(lock);
        self.0[number / 64] >> (number % 64) & 1 != 0
    }

    /// Whether no lock is in it.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0[0] | self.0[1] | self.0[2] == 0
    }

    /// Whether every lock of it is in `other` too.
    #[inline]
    pub(super) const fn is_subset(self, other: LockSet) -> bool {
        (self.0[0] & !other.0[0]) | (self.0[1] & !other.0[1]) | (self.0[2] & !other.0[2]) == 0
    }

    /// Whether no lock is in both.
    pub(super) const fn is_disjoint(self, other: LockSet) -> bool {
        (self.0[0] & other.0[0]) | (self.0[1] & other.0[1]) | (self.0[2] & other.0[2]) == 0
    }

    /// What is in either.
    pub(super) const fn union(self, other: LockSet) -> LockSet {
        LockSet([self.0[0] | other.0[0], self.0[1] | other.0[1], self.0[2] | other.0[2]])
    }

    /// Interrupt or a message's lock is in it: what runs is at device level.
    #[inline]
    pub(super) const fn has_interrupt_rank(self) -> bool {
        self.0[0] | (self.0[1] & 1 << (INTERRUPT % 64)) != 0
    }

    /// Some message's lock is in it.
    pub(super) const fn has_message(self) -> bool {
        self.0[0] != 0
    }

    /// A message's lock above `message` is in it.
    #[inline]
    pub(super) const fn has_message_above(self, message: u8) -> bool {
        self.0[0] & (u64::MAX << (message % 64)) & !(1 << (message % 64)) != 0
    }

    /// Which kinds of locks are in it, a bit each: StartIo, Interrupt, Dpc, Message, Executive from bit 0 up.
    /// Small enough to index a coverage map.
    #[must_use]
    #[inline]
    pub const fn kinds(self) -> u8 {
        let adapter = (self.0[1] & 3) as u8;
        let dpcs = self.0[1] & (((1 << DPCS_MAX) - 1) << (DPCS % 64)) != 0;
        let executives =
            (self.0[1] >> (EXECUTIVES % 64)) | (self.0[2] & ((1 << (GATES - 128)) - 1)) != 0;
        adapter | (dpcs as u8) << 2 | (self.has_message() as u8) << 3 | (executives as u8) << 4
    }

    /// The locks in it.
    pub fn iter(self) -> impl Iterator<Item = Lock> {
        (0..LOCKS).map(lock_of).filter(move |&lock| self.contains(lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EXECUTIVE_LOCKS_MAX;

    #[test]
    fn a_set_tells_kinds_apart() {
        let kinds = |lock| {
            let mut set = LockSet::EMPTY;
            set.insert_number(number(lock));
            assert_eq!(set.iter().collect::<Vec<_>>(), [lock]);
            set.kinds()
        };
        assert_eq!(kinds(Lock::StartIo), 1);
        assert_eq!(kinds(Lock::Interrupt), 2);
        for n in [0, DPCS_MAX as u8 - 1] {
            assert_eq!(kinds(Lock::Dpc(n)), 4);
        }
        for n in [0, MESSAGES_MAX as u8 - 1] {
            assert_eq!(kinds(Lock::Message(n)), 8);
        }
        for n in 0..EXECUTIVE_LOCKS_MAX as u8 {
            assert_eq!(kinds(Lock::Executive(n)), 16);
        }
    }

    #[test]
    fn messages_above() {
        let mut set = LockSet::EMPTY;
        set.insert_number(number(Lock::Message(63)));
        assert!(
            set.has_message_above(62) && set.has_message_above(0) && !set.has_message_above(63)
        );
        set = LockSet::EMPTY;
        set.insert_number(number(Lock::Message(0)));
        assert!(!set.has_message_above(0));
    }
}
