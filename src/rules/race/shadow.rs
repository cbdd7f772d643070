//! What is remembered of memory: for every eight bytes that were touched, the last accesses that nothing has ordered
//! yet, and which locks were held.
//!
//! The table has a fixed size. Of a piece of memory that finds no place, another that was touched longer ago is
//! forgotten; of a piece with too many accesses at once, the oldest. What is forgotten can hide a race and never
//! invents one: every access that is compared with was really made.

use super::clock::{Clock, Context};
use crate::event::{Access, Area, Site};

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

/// An access, as it is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    pub(super) site: Site,
    /// How far its context had come.
    pub(super) epoch: u32,
    pub(super) context: Context,
    /// Which bytes of the piece, a bit each.
    mask: u8,
    pub(super) writes: bool,
    /// The callback that made it, as a number; `u8::MAX` for none.
    pub(super) routine: u8,
    /// The locks held, by number.
    pub(super) locks: [u8; LOCKS_TOLD],
}

impl Remembered {
    const NONE: Remembered = Remembered {
        site: Site::Port,
        epoch: 0,
        context: Context(0),
        mask: 0,
        writes: false,
        routine: u8::MAX,
        locks: [NO_LOCK; LOCKS_TOLD],
    };

    /// An access of which the bytes are yet to be said.
    pub(super) const fn new(site: Site, context: Context, epoch: u32, writes: bool) -> Remembered {
        Remembered { site, epoch, context, writes, ..Remembered::NONE }
    }

    /// Whether it is known to come before what has seen `clock`.
    #[inline]
    fn is_before(&self, clock: &Clock) -> bool {
        self.epoch <= clock.at(self.context)
    }

    /// Whether nothing orders it and `now`, and one of them writes what both touch.
    #[inline]
    fn races(&self, now: &Remembered, clock: &Clock) -> bool {
        self.mask & now.mask != 0
            && (self.writes || now.writes)
            && self.context != now.context
            && !self.is_before(clock)
    }

    /// Whether whatever will race with it will also race with `now`, which comes after it.
    #[inline]
    fn is_covered(&self, now: &Remembered, clock: &Clock) -> bool {
        self.mask & !now.mask == 0
            && (now.writes || !self.writes)
            && (self.context == now.context || self.is_before(clock))
    }
}

/// What is remembered of eight bytes.
#[derive(Clone, Copy, Debug)]
struct Piece {
    key: u64,
    /// The oldest first.
    accesses: [Remembered; ACCESSES],
    count: u8,
    /// Locks that were held, by number, and how often: the most frequent ones.
    guards: [(u8, u16); LOCKS_TOLD],
}

impl Piece {
    const EMPTY: Piece = Piece {
        key: u64::MAX,
        accesses: [Remembered::NONE; ACCESSES],
        count: 0,
        guards: [(NO_LOCK, 0); LOCKS_TOLD],
    };

    /// Compares an access with those before it, and remembers it.
    fn touch(&mut self, now: &Remembered, clock: &Clock) -> Option<Remembered> {
        let count = usize::from(self.count);
        let mut kept = 0;
        let mut found = None;
        for index in 0..count {
            let access = self.accesses[index];
            if found.is_none() && access.races(now, clock) {
                found = Some(access);
            }
            if !access.is_covered(now, clock) {
                self.accesses[kept] = access;
                kept += 1;
            }
        }
        if kept == ACCESSES {
            self.accesses.rotate_left(1);
            kept -= 1;
        }
        self.accesses[kept] = *now;
        self.count = kept as u8 + 1;
        for lock in now.locks.into_iter().take_while(|&lock| lock != NO_LOCK) {
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

/// Pieces of memory that share their places.
#[derive(Clone, Copy, Debug)]
struct Set {
    /// The run that it is of.
    run: u32,
    count: u8,
    /// Which piece is forgotten next.
    next: u8,
    pieces: [Piece; WAYS],
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    run: u32,
    sets: [Set; SETS],
}

impl Shadow {
    pub(super) const NEW: Shadow = Shadow {
        run: 1,
        sets: [Set { run: 0, count: 0, next: 0, pieces: [Piece::EMPTY; WAYS] }; SETS],
    };

    /// Forgets everything, at no cost.
    pub(super) fn reset(&mut self) {
        self.run = self.run.wrapping_add(1);
    }

    /// Remembers an access. If it races with one before it: that one, the offset of the piece of memory, and the lock
    /// that guards it most often.
    pub(super) fn touch(
        &mut self,
        access: &Access,
        now: &Remembered,
        clock: &Clock,
    ) -> Option<(Remembered, u32, Option<u8>)> {
        let (first, end) = (access.offset, access.offset.saturating_add(access.bytes.into()));
        let mut found = None;
        for piece in first / PIECE..end.div_ceil(PIECE) {
            let from = first.saturating_sub(piece * PIECE);
            let to = (end - piece * PIECE).min(PIECE);
            let mask = ((1_u16 << to) - (1 << from)) as u8;
            let place = self.piece(key(access.area, piece));
            let raced = place.touch(&Remembered { mask, ..*now }, clock);
            if let Some(other) = raced
                && found.is_none()
            {
                found = Some((other, (piece * PIECE).max(first), place.guard()));
            }
        }
        found
    }

    /// The place of a piece of memory; a new one, if need be.
    fn piece(&mut self, key: u64) -> &mut Piece {
        let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
        let set = &mut self.sets[hash as usize % SETS];
        if set.run != self.run {
            (set.run, set.count, set.next) = (self.run, 0, 0);
        }
        let count = usize::from(set.count);
        if let Some(known) = set.pieces[..count].iter().position(|piece| piece.key == key) {
            return &mut set.pieces[known];
        }
        let place = if count < WAYS {
            set.count += 1;
            count
        } else {
            set.next = (set.next + 1) % WAYS as u8;
            usize::from(set.next)
        };
        set.pieces[place] = Piece { key, ..Piece::EMPTY };
        &mut set.pieces[place]
    }
}

/// A number for eight bytes of an area.
pub(super) const fn key(area: Area, piece: u32) -> u64 {
    let (kind, which) = match area {
        Area::Extension => (0, 0),
        Area::Uncached => (1, 0),
        Area::Pool => (2, 0),
        Area::SrbExtension(request) => (3, request),
        Area::LogicalUnit => (4, 0),
        Area::Image => (5, 0),
    };
    (kind as u64) << 48 | (which as u64) << 32 | piece as u64
}
