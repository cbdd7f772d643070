//! What is remembered of memory: for every eight bytes that were touched, the last accesses that nothing has ordered
//! yet, and which locks were held.
//!
//! The table has a fixed size. Of a piece of memory that finds no place, another that was touched longer ago is
//! forgotten; of a piece with too many accesses at once, one of them. What is forgotten can hide a race and never
//! invents one: every access that is compared with was really made.
//!
//! Most accesses repeat one of the same context, and nobody has come between: they are found by one look at four words.
//! What comparing takes lies in one line of the cache; what is only told of an access lies behind it.

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

/// What comparing an access with others takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// How far its context had come.
    epoch: u32,
    tag: Tag,
}

/// Who, where and how, in one word: from bit 0 up the context, which bytes of the piece (a bit each), and whether it writes.
/// 0 is of no access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag(u32);

impl Tag {
    const NONE: Tag = Tag(0);

    #[inline]
    const fn context(self) -> Context {
        Context(self.0 as u8)
    }

    #[inline]
    const fn mask(self) -> u8 {
        (self.0 >> 8) as u8
    }

    #[inline]
    const fn writes(self) -> bool {
        self.0 >> 16 != 0
    }
}

impl Mark {
    /// Of an access of which the bytes are yet to be said.
    #[inline]
    pub(super) fn new(context: Context, clock: &Clock, writes: bool) -> Mark {
        let tag = Tag(u32::from(context.0) | u32::from(writes) << 16);
        Mark { epoch: clock.at(context), tag }
    }

    #[inline]
    const fn of_bytes(self, mask: u8) -> Mark {
        Mark { tag: Tag(self.tag.0 | (mask as u32) << 8), ..self }
    }

    /// Whose it is.
    pub(super) const fn context(self) -> Context {
        self.tag.context()
    }

    /// Whether it writes.
    pub(super) const fn writes(self) -> bool {
        self.tag.writes()
    }

    /// Whether it comes before `now`, which has seen `clock`.
    #[inline]
    fn is_before(self, now: Mark, clock: &Clock) -> bool {
        self.context() == now.context() || self.epoch <= clock.at(self.context())
    }

    /// Whether nothing orders it and `now`, and one of them writes what both touch.
    #[inline]
    fn races(self, now: Mark, clock: &Clock) -> bool {
        self.tag.mask() & now.tag.mask() != 0
            && (self.writes() || now.writes())
            && !self.is_before(now, clock)
    }

    /// Whether whatever will race with it will also race with `now`, which comes after it.
    #[inline]
    fn is_covered(self, now: Mark, clock: &Clock) -> bool {
        self.tag.mask() & !now.tag.mask() == 0
            && (now.writes() || !self.writes())
            && self.is_before(now, clock)
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

/// Some of the accesses of a piece, a bit each.
type Places = u8;

/// What is remembered of eight bytes. In whole lines of the cache, the marks first.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Piece {
    tags: [Tag; ACCESSES],
    epochs: [u32; ACCESSES],
    /// Those that are remembered.
    live: Places,
    /// Those that write.
    writers: Places,
    /// Those after which no other came that could race with their like: if the same context does the same again, it has
    /// been compared with all that there is.
    current: Places,
    /// Which is forgotten next.
    next: u8,
    /// Locks that were held, by number, and how often: the most frequent ones.
    guards: [(u8, u16); LOCKS_TOLD],
    told: [Told; ACCESSES],
}

impl Piece {
    const EMPTY: Piece = Piece {
        tags: [Tag::NONE; ACCESSES],
        epochs: [0; ACCESSES],
        live: 0,
        writers: 0,
        current: 0,
        next: 0,
        guards: [(NO_LOCK, 0); LOCKS_TOLD],
        told: [Told { site: Site::Port, holder: Holder::PORT }; ACCESSES],
    };

    /// Forgets all accesses, for another piece of memory.
    fn clear(&mut self) {
        self.tags = Piece::EMPTY.tags;
        (self.live, self.writers, self.current, self.next) = (0, 0, 0, 0);
        self.guards = Piece::EMPTY.guards;
    }

    /// Compares an access with those before it, and remembers it. The earlier one, if they race.
    #[inline(always)]
    fn touch(&mut self, now: Mark, told: impl FnOnce() -> Told, clock: &Clock) -> Option<usize> {
        let mut own = 0;
        for (place, tag) in self.tags.iter().enumerate() {
            own |= Places::from(*tag == now.tag) << place;
        }
        let known = own & self.current;
        if known == 0 {
            return self.compare(now, own, &told(), clock);
        }
        let place = first(known);
        if self.epochs[place] != now.epoch {
            self.epochs[place] = now.epoch;
            self.told[place] = told();
        }
        None
    }

    /// The same for one that does not repeat what is remembered, or not without another in between. `own` is the one of
    /// the same context that does the same, if there is one.
    #[inline(never)]
    fn compare(&mut self, now: Mark, own: Places, told: &Told, clock: &Clock) -> Option<usize> {
        let rivals = if now.writes() { self.live } else { self.writers };
        let found = places(rivals).find(|&place| self.mark(place).races(now, clock));
        // The run ends here: nothing more needs to be remembered.
        if found.is_some() {
            return found;
        }
        let free = if own != 0 { own } else { !self.live & ALL };
        let place =
            if free == 0 || now.writes() { self.make_room(now, clock) } else { first(free) };
        self.tags[place] = now.tag;
        self.epochs[place] = now.epoch;
        self.told[place] = *told;
        self.count_guards(told);
        let this = 1 << place;
        self.live |= this;
        if now.writes() {
            self.writers |= this;
            self.current = this;
        } else {
            self.writers &= !this;
            self.current = self.current & !self.writers | this;
        }
        None
    }

    /// Forgets all that `now` covers, or, if it must, one of the others: each in turn. A place that is free.
    fn make_room(&mut self, now: Mark, clock: &Clock) -> usize {
        for place in places(self.live) {
            if self.mark(place).is_covered(now, clock) {
                self.forget(place);
            }
        }
        if self.live == ALL {
            let place = usize::from(self.next) % ACCESSES;
            self.next = self.next.wrapping_add(1);
            self.forget(place);
        }
        first(!self.live & ALL)
    }

    fn forget(&mut self, place: usize) {
        self.tags[place] = Tag::NONE;
        for places in [&mut self.live, &mut self.writers, &mut self.current] {
            *places &= !(1 << place);
        }
    }

    #[inline]
    fn mark(&self, place: usize) -> Mark {
        Mark { epoch: self.epochs[place], tag: self.tags[place] }
    }

    /// Counts the locks that are held. Not where an access repeats the last one: what one context does for long, as
    /// initialisation does, says nothing of how the memory is shared.
    fn count_guards(&mut self, told: &Told) {
        for lock in told.holder.locks.into_iter().take_while(|&lock| lock != NO_LOCK) {
            self.count_guard(lock);
        }
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

    /// Two accesses that race: that at `place` and the one that is `later`.
    #[cold]
    fn pair(&mut self, place: usize, later: (Mark, Told), offset: u32) -> Pair {
        self.count_guards(&later.1);
        Pair { earlier: (self.mark(place), self.told[place]), later, offset, guard: self.guard() }
    }

    /// The lock that was held most often; of two that were always held together, the one that was taken inside the other.
    fn guard(&self) -> Option<u8> {
        let held = self.guards.iter().rev().filter(|guard| guard.1 > 0);
        held.max_by_key(|guard| guard.1).map(|guard| guard.0)
    }
}

/// Every place of a piece.
const ALL: Places = (1 << ACCESSES) - 1;

/// The first of some places.
#[inline]
fn first(places: Places) -> usize {
    places.trailing_zeros() as usize % ACCESSES
}

/// Each of some places.
#[inline]
fn places(mut left: Places) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let place = (left != 0).then(|| first(left))?;
        left &= left - 1;
        Some(place)
    })
}

/// The bytes of a piece from one to another, a bit each.
#[inline]
const fn bytes_from(from: u32, to: u32) -> u8 {
    ((1_u16 << to) - (1 << from)) as u8
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

    /// Remembers an access. If it races with one before it: both. `told` says what is told of it.
    #[inline(always)]
    pub(super) fn touch(
        &mut self,
        access: &Access,
        now: Mark,
        clock: &Clock,
        mut told: impl FnMut() -> Told,
    ) -> Option<Pair> {
        let Access { area, offset, bytes, .. } = *access;
        let (number, from) = (offset / PIECE, offset % PIECE);
        if from + u32::from(bytes) > PIECE {
            return self.touch_pieces(access, now, clock, &told());
        }
        let now = now.of_bytes(bytes_from(from, from + u32::from(bytes)));
        let piece = self.piece(area.number(), number);
        let place = piece.touch(now, &mut told, clock)?;
        Some(piece.pair(place, (now, told()), offset))
    }

    /// The same for one of more than a piece. Every piece is compared; the first race is told of.
    #[inline(never)]
    fn touch_pieces(
        &mut self,
        access: &Access,
        now: Mark,
        clock: &Clock,
        told: &Told,
    ) -> Option<Pair> {
        let (first, end) = (access.offset, access.offset.saturating_add(access.bytes.into()));
        let mut found = None;
        for number in first / PIECE..end.div_ceil(PIECE) {
            let from = first.saturating_sub(number * PIECE);
            let to = (end - number * PIECE).min(PIECE);
            let now = now.of_bytes(bytes_from(from, to));
            let piece = self.piece(access.area.number(), number);
            if let Some(place) = piece.touch(now, || *told, clock)
                && found.is_none()
            {
                found = Some(piece.pair(place, (now, *told), (number * PIECE).max(first)));
            }
        }
        found
    }

    /// The place of a piece of memory; a new one, if need be.
    #[inline(always)]
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
