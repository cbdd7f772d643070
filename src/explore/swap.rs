//! Switches that come to the same: before and after a piece that does not concern the other processor.
//!
//! Processor p passes two decision points, one after the other, with a *piece* of its code between them. Switching to
//! q at the first lets q run, its *excursion*, before the piece; switching at the second, after it. If the piece does
//! nothing but take or give back locks that the excursion does not touch, and the excursion gives p nothing to do that
//! the piece would let in, and the device does not act meanwhile, the two runs are equivalent.

use super::footprint::{Objects, lets_in, wakes};
use crate::event::{Event, Kind, PROCESSORS_MAX, Point};

/// What happens between a switch away from a processor and its going on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Excursion {
    objects: Objects,
    wakes: bool,
    /// The processor goes on at last, and the device has not acted meanwhile.
    returns: bool,
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

/// What lies between a point and the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    objects: Objects,
    lets_in: bool,
    /// It can be moved at all.
    is_plain: bool,
}

/// The excursion to each processor, from the earliest point for which it is known.
#[derive(Debug)]
pub(super) struct Swaps {
    enabled: bool,
    known: [Option<(usize, Excursion)>; PROCESSORS_MAX],
}

impl Swaps {
    pub(super) const fn new(enabled: bool) -> Swaps {
        Swaps { enabled, known: [None; PROCESSORS_MAX] }
    }

    /// The piece behind point `at`.
    pub(super) fn piece(&self, events: &[Event], points: &[(Point, u32)], at: usize) -> Piece {
        let (Some((from, first)), Some((to, last))) = (points.get(at), points.get(at + 1)) else {
            return Piece::default();
        };
        if !self.enabled || from.processor != to.processor || from.due != to.due {
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

    /// Whether the choice at point `at` comes to the same as at the next point.
    pub(super) fn is_equivalent(
        &mut self,
        points: &[(Point, u32)],
        at: usize,
        choice: u8,
        piece: &Piece,
    ) -> bool {
        let Some(target) = target(&points[at].0, choice) else { return false };
        let slot = &mut self.known[target];
        let Some((place, excursion)) = slot else { return false };
        let is_next = *place == at + 1 && target_exists(&points[at + 1].0, target);
        let commutes = piece.is_plain
            && excursion.returns
            && !excursion.objects.meets(piece.objects)
            && !(excursion.wakes && piece.lets_in);
        if is_next && commutes {
            *place = at;
        }
        is_next && commutes
    }

    /// Notes what a departure led to.
    pub(super) fn note(
        &mut self,
        points: &[(Point, u32)],
        at: usize,
        choice: u8,
        excursion: Excursion,
    ) {
        if let Some(target) = target(&points[at].0, choice) {
            self.known[target] = Some((at, excursion));
        }
    }
}

/// The processor that a choice switches to.
fn target(point: &Point, choice: u8) -> Option<usize> {
    let nth = choice.checked_sub(point.interrupts)?;
    (0..PROCESSORS_MAX).filter(|&p| point.processors & 1 << p != 0).nth(usize::from(nth))
}

fn target_exists(point: &Point, processor: usize) -> bool {
    point.processors & 1 << processor != 0
}
