//! Switches that come to the same: before and after a piece that does not concern the other processor.
//!
//! Processor p passes two decision points, one after the other, with a *piece* of its code between them. Switching to
//! q at the first lets q run, its *excursion*, before the piece; switching at the second, after it. If the piece does
//! nothing but take or give back locks that the excursion does not touch, and the excursion gives p nothing to do that
//! the piece would let in, and the device does not act meanwhile, the two runs are equivalent. So are those that depart
//! once more after the excursion, or end it early by going back to p: the earlier switch stands for the later.

use super::footprint::{Objects, lets_in, wakes};
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
            excursion.objects = excursion.objects.union(Objects::of(event));
            excursion.wakes |= wakes(event);
        }
        excursion
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
    /// The piece between the point before `at` and `at`.
    pub(super) fn before(events: &[Event], points: &[(Point, u32)], at: usize) -> Piece {
        let from = at.checked_sub(1).and_then(|before| points.get(before));
        let (Some((from, first)), Some((to, last))) = (from, points.get(at)) else {
            return Piece::default();
        };
        if from.processor != to.processor || from.due != to.due {
            return Piece::default();
        }
        let mut piece = Piece { is_plain: true, ..Piece::default() };
        for event in &events[*first as usize..*last as usize] {
            let is_lock = matches!(
                event.kind,
                Kind::LockAcquired { contended: false, .. } | Kind::LockReleased { .. }
            );
            piece.is_plain &= is_lock && event.processor == from.processor;
            piece.objects = piece.objects.union(Objects::of(event));
            piece.lets_in |= lets_in(event);
        }
        piece
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
        let commutes = *place + 1 == at
            && piece.is_plain
            && excursion.returns
            && !excursion.objects.meets(piece.objects)
            && !(excursion.wakes && piece.lets_in);
        commutes.then(|| {
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
