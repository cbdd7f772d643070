//! What is remembered of memory: for every eight bytes that were touched, the last accesses that nothing has ordered
//! yet, and which locks were held.
//!
//! The table has a fixed size. Of a piece of memory that finds no place, another that was touched longer ago is
//! forgotten; of a piece with too many accesses at once, the oldest. What is forgotten can hide a race and never
//! invents one: every access that is compared with was really made.
//!
//! Most accesses repeat one of the same context at the same epoch (FastTrack's "same epoch"): they are found by one look
//! at the marks of a piece, and nothing is remembered of them. What a mark does not say, where the access was and under
//! which locks, lies apart and is looked at only for a race.

use super::clock::{Clock, Context};
use crate::event::{Access, Site};

/// Sets of the table, and pieces of memory in each: 32 KiB of a driver's memory at once.
const SETS: usize = 1024;
const WAYS: usize = 4;
/// Accesses that are remembered of each piece.
const ACCESSES: usize = 4;
/// Bytes of a piece.
const PIECE: u32 = 8;
/// Locks that are remembered of each access, and counted for each piece.
pub(super) const LOCKS_TOLD: usize = 4;
/// No lock.
pub(super) const NO_LOCK: u8 = u8::MAX;

/// What comparing two accesses takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// How far its context had come.
    pub(super) epoch: u32,
    pub(super) context: Context,
    /// Which bytes of the piece, a bit each.
    mask: u8,
    pub(super) writes: bool,
}

impl Mark {
    const NONE: Mark = Mark { epoch: 0, context: Context(0), mask: 0, writes: false };

    /// Of an access of which the bytes are yet to be said.
    #[inline]
    pub(super) const fn new(context: Context, epoch: u32, writes: bool) -> Mark {
        Mark { epoch, context, mask: 0, writes }
    }

    /// Whether `now`, later in the same epoch, says nothing more: whatever races with it races with this.
    #[inline]
    fn says(&self, now: Mark) -> bool {
        self.epoch == now.epoch
            && self.context == now.context
            && now.mask & !self.mask == 0
            && self.writes >= now.writes
    }

    /// Whether it is known to come before what has seen `clock`.
    #[inline]
    fn is_before(&self, clock: &Clock) -> bool {
        self.epoch <= clock.at(self.context)
    }

    /// Whether nothing orders it and `now`, and one of them writes what both touch.
    #[inline]
    fn races(&self, now: Mark, clock: &Clock) -> bool {
        self.mask & now.mask != 0
            && (self.writes || now.writes)
            && self.context != now.context
            && !self.is_before(clock)
    }

    /// Whether whatever will race with it will also race with `now`, which comes after it.
    #[inline]
    fn is_covered(&self, now: Mark, clock: &Clock) -> bool {
        self.mask & !now.mask == 0
            && (now.writes || !self.writes)
            && (self.context == now.context || self.is_before(clock))
    }
}

/// What else is told of an access if it is half of a race.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) site: Site,
    pub(super) holder: Holder,
}

/// In which callback an access is made, and under which locks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    /// The locks held, by number, the newest first.
    pub(super) locks: [u8; LOCKS_TOLD],
    /// The callback, as a number; `u8::MAX` for none.
    pub(super) routine: u8,
}

impl Holder {
    /// StorPort, without a lock.
    pub(super) const PORT: Holder = Holder { locks: [NO_LOCK; LOCKS_TOLD], routine: u8::MAX };
}

/// Two accesses that race.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) earlier: (Mark, Told),
    pub(super) later: (Mark, Told),
    /// Where the piece of memory begins that both touch.
    pub(super) offset: u32,
    /// The lock that guards it most often.
    pub(super) guard: Option<u8>,
}

/// What is remembered of eight bytes. In whole lines of the cache, the marks first.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Piece {
    /// The oldest first.
    marks: [Mark; ACCESSES],
    count: u8,
    /// Locks that were held, by number, and how often: the most frequent ones.
    guards: [(u8, u16); LOCKS_TOLD],
    told: [Told; ACCESSES],
}

impl Piece {
    const EMPTY: Piece = Piece {
        marks: [Mark::NONE; ACCESSES],
        count: 0,
        guards: [(NO_LOCK, 0); LOCKS_TOLD],
        told: [Told { site: Site::Port, holder: Holder::PORT }; ACCESSES],
    };

    /// Forgets all accesses, for another piece of memory.
    fn clear(&mut self) {
        self.count = 0;
        self.guards = Piece::EMPTY.guards;
    }

    /// Whether an access of the same epoch has said it all.
    #[inline]
    fn knows(&self, now: Mark) -> bool {
        self.marks[..usize::from(self.count).min(ACCESSES)].iter().any(|mark| mark.says(now))
    }

    /// Compares an access with those before it, and remembers it. The earlier one, if they race.
    #[inline]
    fn touch(&mut self, now: Mark, told: Told, clock: &Clock) -> Option<(Mark, Told)> {
        let count = usize::from(self.count).min(ACCESSES);
        let mut kept = 0;
        let mut found = None;
        for index in 0..count {
            let mark = self.marks[index];
            if found.is_none() && mark.races(now, clock) {
                found = Some((mark, self.told[index]));
            }
            if !mark.is_covered(now, clock) {
                if kept != index {
                    (self.marks[kept], self.told[kept]) = (mark, self.told[index]);
                }
                kept += 1;
            }
        }
        if kept == ACCESSES {
            self.marks.rotate_left(1);
            self.told.rotate_left(1);
            kept -= 1;
        }
        (self.marks[kept], self.told[kept]) = (now, told);
        self.count = kept as u8 + 1;
        for lock in told.holder.locks.into_iter().take_while(|&lock| lock != NO_LOCK) {
            self.count_guard(lock);
        }
        found
    }

    /// Counts a lock that was held. A new one takes from the counts of the others, and the place of one that is spent
    /// (Misra and Gries), so that a lock of most accesses is always among them.
    fn count_guard(&mut self, lock: u8) {
        if let Some(guard) = self.guards.iter_mut().find(|guard| guard.0 == lock) {
            guard.1 = guard.1.saturating_add(1);
        } else if let Some(guard) = self.guards.iter_mut().find(|guard| guard.1 == 0) {
            *guard = (lock, 1);
        } else {
            self.guards.iter_mut().for_each(|guard| guard.1 -= 1);
        }
    }

    /// The lock that was held most often; of two that were always held together, the one that was taken inside the other.
    fn guard(&self) -> Option<u8> {
        let held = self.guards.iter().rev().filter(|guard| guard.1 > 0);
        held.max_by_key(|guard| guard.1).map(|guard| guard.0)
    }
}

/// Which pieces of memory share their places.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Set {
    /// Area and piece of each place, with the run that it is of.
    keys: [u64; WAYS],
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    /// From 1; the keys of an older run are no keys.
    run: u16,
    sets: [Set; SETS],
    pieces: [[Piece; WAYS]; SETS],
    /// Of each set, which piece is forgotten next.
    next: [u8; SETS],
}

impl Shadow {
    pub(super) const NEW: Shadow = Shadow {
        run: 1,
        sets: [Set { keys: [0; WAYS] }; SETS],
        pieces: [[Piece::EMPTY; WAYS]; SETS],
        next: [0; SETS],
    };

    /// Forgets everything, at no cost but once in 65,535 times.
    pub(super) fn reset(&mut self) {
        self.run = self.run.wrapping_add(1);
        if self.run == 0 {
            self.run = 1;
            self.sets = Shadow::NEW.sets;
        }
    }

    /// Remembers an access, unless that says nothing more. If it races with one before it: both. `told` says what is
    /// told of it.
    #[inline]
    pub(super) fn touch(
        &mut self,
        access: &Access,
        now: Mark,
        clock: &Clock,
        mut told: impl FnMut() -> Told,
    ) -> Option<Pair> {
        let (first, end) = (access.offset, access.offset.saturating_add(access.bytes.into()));
        let mut found = None;
        for number in first / PIECE..end.div_ceil(PIECE) {
            let from = first.saturating_sub(number * PIECE);
            let to = (end - number * PIECE).min(PIECE);
            let mask = ((1_u16 << to) - (1 << from)) as u8;
            let now = Mark { mask, ..now };
            let piece = self.piece(access.area.number(), number);
            if piece.knows(now) {
                continue;
            }
            let later = (now, told());
            let raced = piece.touch(now, later.1, clock);
            if let Some(earlier) = raced
                && found.is_none()
            {
                let offset = (number * PIECE).max(first);
                found = Some(Pair { earlier, later, offset, guard: piece.guard() });
            }
        }
        found
    }

    /// The place of a piece of memory; a new one, if need be.
    #[inline]
    fn piece(&mut self, area: u32, number: u32) -> &mut Piece {
        let key = u64::from(self.run) << 48 | u64::from(area) << 29 | u64::from(number);
        // Neighbours go to neighbouring sets; areas begin anywhere.
        let set = number.wrapping_add(area.wrapping_mul(0x9E37_79B1) >> 16) as usize % SETS;
        let known = self.sets[set].keys.iter().position(|&known| known == key);
        let place = known.unwrap_or_else(|| self.take_place(set, key));
        &mut self.pieces[set][place]
    }

    /// A place in a set, emptied for another piece.
    #[cold]
    fn take_place(&mut self, set: usize, key: u64) -> usize {
        let keys = &mut self.sets[set].keys;
        let free = keys.iter().position(|&known| (known >> 48) as u16 != self.run);
        let place = free.unwrap_or_else(|| {
            let next = &mut self.next[set];
            *next = (*next + 1) % WAYS as u8;
            usize::from(*next)
        });
        keys[place] = key;
        self.pieces[set][place].clear();
        place
    }
}
