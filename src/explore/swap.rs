//! Switches that come to the same: before and after a piece that does not concern the other processor.
//!
//! Processor p passes two decision points, one after the other, with a *piece* of its code between them. Switching to
//! q at the first lets q run, its *excursion*, before the piece; switching at the second, after it. If the piece does
//! nothing but take or give back locks that the excursion does not touch, holds one all the time, and the excursion gives p nothing to do that
//! the piece would let in, and the device does not act meanwhile, the two runs are equivalent. So are those that depart
//! once more after the excursion, or end it early by going back to p: the earlier switch stands for the later. If it is
//! only a part of the excursion that the piece does not concern, this still holds for those that go back after that part.

use super::footprint::{Guards, Objects, lets_in, wakes};
use crate::event::{Event, Kind, PROCESSORS_MAX, Point};

/// What happens between a switch away from a processor and its going on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Excursion {
    objects: Objects,
    wakes: bool,
    /// The processor goes on at last, and the device has not acted meanwhile.
    returns: bool,
    /// Something else could be chosen inside than to go back.
    pub(super) has_others: bool,
}

impl Excursion {
    /// That of a departure at point `at`.
    pub(super) fn of(events: &[Event], points: &[(Point, u32)], at: usize) -> Excursion {
        let Some((from, first)) = points.get(at) else { return Excursion::default() };
        let away = &points[at + 1..];
        let back = away.iter().position(|(point, _)| point.processor == from.processor);
        let Some(back) = back else { return Excursion::default() };
        let mut excursion = Excursion {
            returns: away[..=back].iter().all(|(point, _)| point.due == from.due),
            has_others: away[..back].iter().any(|(point, _)| {
                let goes_back = |choice| point.target(choice) == Some(from.processor);
                !(0..point.choices()).all(goes_back)
            }),
            ..Excursion::default()
        };
        let last = away[back].1 as usize;
        for event in &events[*first as usize..last] {
            if event.processor == from.processor {
                break;
            }
            excursion.take(event);
        }
        excursion
    }

    fn take(&mut self, event: &Event) {
        self.objects = self.objects.union(Objects::of(event));
        self.wakes |= wakes(event);
    }
}

/// What lies between two points, one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    objects: Objects,
    lets_in: bool,
    /// It can be moved at all.
    is_plain: bool,
}

impl Piece {
    /// The piece before each point: between it and the point before.
    pub(super) fn all(events: &[Event], points: &[(Point, u32)]) -> Vec<Piece> {
        let mut guards = Guards::default();
        let mut told = 0;
        let mut before: Option<&Point> = None;
        let mut pieces = Vec::with_capacity(points.len());
        for (to, last) in points {
            let last = *last as usize;
            let is_plain =
                before.is_some_and(|from| from.processor == to.processor && from.due == to.due);
            let mut piece = Piece { is_plain, ..Piece::default() };
            for event in &events[told..last] {
                guards.event(event);
                piece.take(event, to.processor);
            }
            piece.is_plain &= !guards.point(to.processor);
            pieces.push(piece);
            (told, before) = (last, Some(to));
        }
        pieces
    }

    fn take(&mut self, event: &Event, processor: u8) {
        let is_plain = matches!(
            event.kind,
            Kind::LockAcquired { contended: false, .. } | Kind::LockReleased { .. }
        );
        self.is_plain &= is_plain && event.processor == processor;
        self.objects = self.objects.union(Objects::of(event));
        self.lets_in |= lets_in(event);
    }
}

impl Piece {
    /// Whether it comes to the same before and after an excursion.
    fn commutes(&self, excursion: &Excursion) -> bool {
        self.is_plain
            && excursion.returns
            && !excursion.objects.meets(self.objects)
            && !(excursion.wakes && self.lets_in)
    }
}

/// The way back from the last departure of a schedule, if it was a switch: going back early can come to the same as if
/// the switch had been one point earlier.
#[derive(Debug)]
pub(super) struct Back {
    /// The processor that was left.
    processor: u8,
    /// What it did last before.
    piece: Piece,
    /// The excursion as far as it has come.
    excursion: Excursion,
    due: u64,
    told: usize,
}

impl Back {
    /// For the last departure at point `last`; `None` if it was no switch that could have been one point earlier.
    pub(super) fn of(points: &[(Point, u32)], pieces: &[Piece], last: usize) -> Option<Back> {
        let ((from, told), (next, _)) = (points.get(last)?, points.get(last + 1)?);
        let (before, _) = points.get(last.checked_sub(1)?)?;
        let reaches = |point: &Point| point.processors & 1 << next.processor != 0;
        let is_switch = next.processor != from.processor && reaches(from) && reaches(before);
        let piece = *pieces.get(last)?;
        (is_switch && piece.is_plain).then(|| Back {
            processor: from.processor,
            piece,
            excursion: Excursion { returns: true, ..Excursion::default() },
            due: from.due,
            told: *told as usize,
        })
    }

    /// The excursion comes to this point.
    pub(super) fn comes_to(&mut self, events: &[Event], (point, before): &(Point, u32)) {
        let before = *before as usize;
        for event in &events[self.told..before] {
            self.excursion.take(event);
            self.excursion.returns &= event.processor != self.processor;
        }
        self.excursion.returns &= point.due == self.due && point.processor != self.processor;
        self.told = before;
    }

    /// Whether going back at this point comes to the same as another schedule.
    pub(super) fn is_equivalent(&self, point: &Point, choice: u8) -> bool {
        point.target(choice) == Some(self.processor) && self.piece.commutes(&self.excursion)
    }
}

/// The excursion to each processor, and the last point from which it is known.
#[derive(Debug)]
pub(super) struct Swaps {
    enabled: bool,
    known: [Option<(usize, Excursion)>; PROCESSORS_MAX],
}

impl Swaps {
    pub(super) const fn new(enabled: bool) -> Swaps {
        Swaps { enabled, known: [None; PROCESSORS_MAX] }
    }

    /// The excursion, if the choice at point `at` comes to the same as at the point before, which `piece` lies behind.
    pub(super) fn equivalent(
        &mut self,
        points: &[(Point, u32)],
        at: usize,
        choice: u8,
        piece: &Piece,
    ) -> Option<Excursion> {
        let target = points[at].0.target(choice).filter(|_| self.enabled)?;
        let (place, excursion) = self.known[usize::from(target)].as_mut()?;
        (*place + 1 == at && piece.commutes(excursion)).then(|| {
            *place = at;
            *excursion
        })
    }

    /// Notes what a departure led to.
    pub(super) fn note(
        &mut self,
        points: &[(Point, u32)],
        at: usize,
        choice: u8,
        excursion: Excursion,
    ) {
        if let Some(target) = points[at].0.target(choice) {
            self.known[usize::from(target)] = Some((at, excursion));
        }
    }
}
