//! Which lock guards which field: accesses to the driver's memory, with the locks that were held.
//!
//! A lock guards a field if it was held at every access after the initialisation that is not interlocked or volatile, those
//! included that touch only some of its bytes, or more than them, as a copy of a whole structure does.
//! That is what the runs did, not what the driver's author meant, and a field may be in order without any lock: handed
//! over from one processor to another with a request, for one. Whether it is, is the question of the rule
//! `race.unsynchronized`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::tally::{Node, Place, names};
use super::{Field, Guard};
use crate::event::{Access, Area, Routine};

/// Places listed at most.
const PLACES_MAX: usize = 4;

/// A piece of memory. SrbExtensions are one, whichever request they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    area: Area,
    offset: u32,
    bytes: u16,
}

impl Piece {
    fn end(&self) -> u32 {
        self.offset.saturating_add(self.bytes.into())
    }
}

/// One access, and what surrounds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The callback that makes it.
    pub(super) routine: Option<Routine>,
    /// Where.
    pub(super) place: Place,
    /// What the processor holds.
    pub(super) held: &'a [Node],
    /// Nothing else of the driver can run: the adapter is being found, started or stopped, or a crash dump written.
    pub(super) alone: bool,
}

/// What one place did with the same locks held.
#[derive(Clone, Debug, Default)]
struct Seen {
    times: u64,
    writes: u64,
    atomic: u64,
}

#[derive(Clone, Debug, Default)]
struct Accesses {
    initial: u64,
    places: BTreeSet<Place>,
    routines: BTreeSet<Routine>,
    seen: BTreeMap<(Place, Vec<Node>), Seen>,
}

/// All accesses.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(BTreeMap<Piece, Accesses>);

impl Fields {
    pub(super) fn add(&mut self, access: Access, context: &Context<'_>) {
        let Access { area, offset, bytes, touch } = access;
        let area = if matches!(area, Area::SrbExtension(_)) { Area::SrbExtension(0) } else { area };
        let piece = self.0.entry(Piece { area, offset, bytes }).or_default();
        piece.places.insert(context.place);
        if context.alone {
            piece.initial += 1;
            return;
        }
        piece.routines.extend(context.routine);
        let mut held = context.held.to_vec();
        held.sort_unstable();
        held.dedup();
        let seen = piece.seen.entry((context.place, held)).or_default();
        seen.times += 1;
        seen.writes += u64::from(touch.writes());
        seen.atomic += u64::from(touch.is_atomic());
    }

    /// What was done to the bytes of a piece, in pieces of whatever size.
    fn around(&self, piece: &Piece) -> Cow<'_, Accesses> {
        let from = Piece {
            offset: piece.offset.saturating_sub(u16::MAX.into()),
            bytes: 0,
            area: piece.area,
        };
        let until = Piece { offset: piece.end(), bytes: 0, area: piece.area };
        let mut overlaps =
            self.0.range(from..until).filter(|(other, _)| other.end() > piece.offset);
        let Some((_, first)) = overlaps.next() else { return Cow::default() };
        let mut all = Cow::Borrowed(first);
        for (_, other) in overlaps {
            all.to_mut().join(other);
        }
        all
    }

    /// The fields; `None` if nothing was told of any access.
    pub(super) fn tell(&self, apart: bool) -> Option<Vec<Field>> {
        if self.0.is_empty() {
            return None;
        }
        // The same code at several offsets: elements of an array.
        let mut alike: BTreeMap<(Area, u16, &BTreeSet<Place>, Guard), Field> = BTreeMap::new();
        for (piece, accesses) in &self.0 {
            let guard = self.around(piece).guard(piece.area, apart);
            let field = accesses.tell(piece, guard.clone());
            alike
                .entry((piece.area, piece.bytes, &accesses.places, guard))
                .and_modify(|known| known.join(&field))
                .or_insert(field);
        }
        let mut fields: Vec<Field> = alike.into_values().collect();
        // Of an area in the order of memory.
        fields.sort_by(|a, b| (&a.area, a.offsets[0]).cmp(&(&b.area, b.offsets[0])));
        Some(fields)
    }
}

impl Field {
    fn join(&mut self, other: &Field) {
        self.offsets.extend(&other.offsets);
        self.reads += other.reads;
        self.writes += other.writes;
        self.initial += other.initial;
        for (known, new) in
            [(&mut self.callbacks, &other.callbacks), (&mut self.without, &other.without)]
        {
            for name in new {
                if !known.contains(name) {
                    known.push(name.clone());
                }
            }
        }
    }
}

impl Accesses {
    /// Adds what was done under which locks.
    fn join(&mut self, other: &Accesses) {
        for (how, seen) in &other.seen {
            let known = self.seen.entry(how.clone()).or_default();
            known.times += seen.times;
            known.writes += seen.writes;
            known.atomic += seen.atomic;
        }
    }

    fn guard(&self, area: Area, apart: bool) -> Guard {
        let (mut plain, mut writes) = (0, 0);
        let mut held: BTreeMap<Node, u64> = BTreeMap::new();
        for ((_, nodes), seen) in &self.seen {
            let here = seen.times - seen.atomic;
            plain += here;
            writes += seen.writes;
            for &node in nodes {
                *held.entry(node).or_default() += here;
            }
        }
        if self.seen.is_empty() {
            return Guard::Initial;
        }
        if writes == 0 {
            return Guard::ReadOnly;
        }
        if plain == 0 {
            return Guard::Atomic;
        }
        // One and the same lock, not one of a kind each time.
        let always = held.iter().filter(|&(_, &times)| times == plain);
        let always: Vec<String> = always.map(|(node, _)| node.shown(apart).name()).collect();
        if !always.is_empty() {
            return Guard::Locks(always);
        }
        if matches!(area, Area::SrbExtension(_)) {
            return Guard::Request;
        }
        // Of equals the first.
        let most = held
            .iter()
            .filter(|&(node, &times)| node.is_lock() && times > 0)
            .max_by_key(|&(node, &times)| (times, std::cmp::Reverse(*node)));
        most.map_or(Guard::Nothing, |(node, &times)| Guard::Mostly {
            lock: node.name(),
            held: times,
            of: plain,
        })
    }

    fn tell(&self, piece: &Piece, guard: Guard) -> Field {
        let Piece { area, offset, bytes } = *piece;
        let sum = |of: fn(&Seen) -> u64| self.seen.values().map(of).sum();
        let without: BTreeSet<Place> = match &guard {
            Guard::Mostly { lock, .. } => {
                let has = |held: &[Node]| held.iter().any(|held| held.name() == *lock);
                let bare =
                    self.seen.iter().filter(|((_, held), s)| s.times > s.atomic && !has(held));
                bare.map(|((place, _), _)| *place).collect()
            }
            _ => BTreeSet::new(),
        };
        Field {
            area: match area {
                Area::SrbExtension(_) => "SrbExtension".into(),
                area => area.to_string(),
            },
            offsets: vec![offset],
            bytes,
            verdict: verdict(&guard),
            guard,
            reads: sum(|seen| seen.times - seen.writes),
            writes: sum(|seen| seen.writes),
            initial: self.initial,
            callbacks: self.routines.iter().map(ToString::to_string).collect(),
            sites: names(self.places.iter().copied()).into_iter().take(PLACES_MAX).collect(),
            without: names(without).into_iter().take(PLACES_MAX).collect(),
        }
    }
}

fn verdict(guard: &Guard) -> String {
    match guard {
        Guard::Locks(locks) => locks.join(" and "),
        Guard::Mostly { lock, held, of } => format!("mostly {lock}: {held} of {of} accesses"),
        Guard::Nothing => "no lock".into(),
        Guard::Request => "no lock: the memory of a request, which has one owner at a time".into(),
        Guard::Atomic => "none needed: interlocked or volatile".into(),
        Guard::ReadOnly => "none needed: only read after the initialisation".into(),
        Guard::Initial => "none needed: only touched in the initialisation".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Lock, Touch};

    fn place(line: u32) -> Place {
        Place::Source("io.rs", line, 1)
    }

    fn told(accesses: &[(u32, Touch, u32, &[Lock])]) -> Vec<Field> {
        let mut fields = Fields::default();
        for &(offset, touch, line, held) in accesses {
            let held: Vec<Node> = held.iter().map(|&lock| lock.into()).collect();
            let context = Context {
                routine: Some(Routine::StartIo),
                place: place(line),
                held: &held,
                alone: false,
            };
            let access = Access { area: Area::Extension, offset, bytes: 4, touch };
            fields.add(access, &context);
        }
        fields.tell(true).unwrap()
    }

    #[test]
    fn the_guard_is_what_is_held_at_every_plain_access() {
        let (a, b) = (Lock::Dpc(1), Lock::StartIo);
        let fields = told(&[
            (8, Touch::Write, 1, &[a, b]),
            (8, Touch::Read, 2, &[a]),
            (8, Touch::Load, 3, &[]),
        ]);
        assert_eq!(fields[0].guard, Guard::Locks(vec!["Dpc(1)".into()]));
        assert_eq!((fields[0].reads, fields[0].writes), (2, 1));
        let fields = told(&[
            (8, Touch::Write, 1, &[a]),
            (8, Touch::Write, 1, &[a]),
            (8, Touch::Read, 2, &[]),
        ]);
        let expected = Guard::Mostly { lock: "Dpc(1)".into(), held: 2, of: 3 };
        assert_eq!(
            (&fields[0].guard, &fields[0].without[..]),
            (&expected, &["io.rs:2".to_owned()][..])
        );
    }

    #[test]
    fn two_locks_of_a_kind_are_no_guard() {
        let all = [Lock::Dpc(0), Lock::Dpc(1)].map(|lock| [lock]);
        let mut fields = Fields::default();
        for held in &all {
            let held: Vec<Node> = held.iter().map(|&lock| lock.into()).collect();
            let context = Context { routine: None, place: place(1), held: &held, alone: false };
            let access = Access { area: Area::Pool, offset: 0, bytes: 1, touch: Touch::Write };
            fields.add(access, &context);
        }
        assert!(matches!(fields.tell(false).unwrap()[0].guard, Guard::Mostly { .. }));
    }

    #[test]
    fn what_needs_no_lock_is_told_apart() {
        let guard = |accesses: &[(u32, Touch, u32, &[Lock])]| told(accesses)[0].guard.clone();
        assert_eq!(guard(&[(0, Touch::Read, 1, &[])]), Guard::ReadOnly);
        assert_eq!(
            guard(&[(0, Touch::Interlocked, 1, &[]), (0, Touch::Load, 2, &[])]),
            Guard::Atomic
        );
        assert_eq!(guard(&[(0, Touch::Write, 1, &[])]), Guard::Nothing);
    }

    #[test]
    fn a_copy_of_a_structure_touches_its_fields() {
        let told = |copy: &[Lock]| {
            let mut fields = Fields::default();
            let accesses = [
                (0, 64, Touch::Read, copy),
                (8, 4, Touch::Write, &[Lock::StartIo][..]),
                (64, 4, Touch::Read, &[]),
            ];
            for (offset, bytes, touch, held) in accesses {
                let held: Vec<Node> = held.iter().map(|&lock| lock.into()).collect();
                let place = place(offset);
                let context = Context { routine: None, place, held: &held, alone: false };
                fields.add(Access { area: Area::Extension, offset, bytes, touch }, &context);
            }
            fields.tell(true).unwrap().into_iter().map(|field| field.guard).collect::<Vec<_>>()
        };
        let guarded = Guard::Locks(vec!["StartIo".into()]);
        assert_eq!(told(&[Lock::StartIo]), [guarded.clone(), guarded, Guard::ReadOnly]);
        let mostly = Guard::Mostly { lock: "StartIo".into(), held: 1, of: 2 };
        assert_eq!(told(&[]), [mostly.clone(), mostly, Guard::ReadOnly]);
    }

    #[test]
    fn elements_of_an_array_are_one_row() {
        let all = [0, 64, 128].map(|offset| (offset, Touch::Write, 7, &[Lock::StartIo][..]));
        let fields = told(&all);
        assert_eq!((fields.len(), &fields[0].offsets[..]), (1, &[0, 64, 128][..]));
        assert_eq!(fields[0].writes, 3);
    }
}
