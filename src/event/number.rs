//! Locks as numbers: one for each lock that a run can have, whatever its kind. The machine's lock table, the rules'
//! sets and the order graph all go by it.

use super::{DPCS_MAX, EXECUTIVE_LOCKS_MAX, Lock, MESSAGES_MAX};

/// The StartIo lock; the messages' are below.
pub(crate) const START_IO: usize = MESSAGES_MAX;
/// The Interrupt lock.
pub(crate) const INTERRUPT: usize = START_IO + 1;
/// The first DPC's.
pub(crate) const DPCS: usize = INTERRUPT + 1;
/// The first executive spin lock.
pub(crate) const EXECUTIVES: usize = DPCS + DPCS_MAX;
/// Locks that a run can have; a lock's number is below it.
pub(crate) const LOCKS: usize = EXECUTIVES + EXECUTIVE_LOCKS_MAX;

/// The number of a lock.
#[inline(always)]
pub(crate) const fn number(lock: Lock) -> usize {
    match lock {
        Lock::Message(n) => n as usize % MESSAGES_MAX,
        Lock::StartIo => START_IO,
        Lock::Interrupt => INTERRUPT,
        Lock::Dpc(n) => DPCS + n as usize % DPCS_MAX,
        Lock::Executive(n) => EXECUTIVES + n as usize % EXECUTIVE_LOCKS_MAX,
    }
}

/// The lock of a number.
pub(crate) const fn lock_of(number: usize) -> Lock {
    match number {
        0..START_IO => Lock::Message(number as u8),
        START_IO => Lock::StartIo,
        INTERRUPT => Lock::Interrupt,
        DPCS..EXECUTIVES => Lock::Dpc((number - DPCS) as u8),
        _ => Lock::Executive((number - EXECUTIVES) as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lock_has_its_own_number() {
        for index in 0..LOCKS {
            assert_eq!(number(lock_of(index)), index);
        }
    }
}
