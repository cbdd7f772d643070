//! Schedules as the exploration grows them: by one departure at the end.

use crate::event::Point;
use crate::scenario::{DECISIONS_MAX, Decision};

/// A schedule, and where the next departure can be.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) schedule: Vec<Decision>,
    /// The first point after its last decision.
    pub(super) next: usize,
    /// Departures are tried until this processor goes on, and none that lets it.
    inside_only: Option<u8>,
}

impl Node {
    /// Without departures.
    pub(super) const fn root() -> Node {
        Node { schedule: Vec::new(), next: 0, inside_only: None }
    }

    /// The same schedule, of which only departures are tried that happen before `processor` goes on and do not let it:
    /// all others come to the same as departures of an equivalent schedule.
    pub(super) fn inside_only(self, processor: u8) -> Node {
        Node { inside_only: Some(processor), ..self }
    }

    /// Where no more departures are tried.
    pub(super) fn end(&self, points: &[(Point, u32)]) -> usize {
        let goes_on = |(point, _): &(Point, u32)| Some(point.processor) == self.inside_only;
        let inside = points.iter().skip(self.next).position(goes_on);
        inside.map_or(points.len(), |inside| self.next + inside)
    }

    /// Whether a choice is not tried.
    pub(super) fn leaves_out(&self, point: &Point, choice: u8) -> bool {
        self.inside_only.is_some_and(|processor| point.target(choice) == Some(processor))
    }

    /// The schedule with one more departure, at point `at` of this one's run. A decision reaches no farther than 256
    /// points; on the way to a farther one it takes decisions at points where there is nothing to choose, which change
    /// nothing. `None` if there are no such points.
    pub(super) fn child(&self, points: &[(Point, u32)], at: usize, choice: u8) -> Option<Node> {
        const REACH: usize = u8::MAX as usize;
        let mut schedule = self.schedule.clone();
        let mut next = self.next;
        while at - next > REACH {
            let idle = (next..=next + REACH).rev().find(|&point| points[point].0.choices() == 0)?;
            schedule.push(Decision { after: (idle - next) as u8, choice: 0 });
            next = idle + 1;
        }
        schedule.push(Decision { after: (at - next) as u8, choice });
        (schedule.len() <= DECISIONS_MAX).then_some(Node {
            schedule,
            next: at + 1,
            inside_only: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(idle: &[usize], count: usize) -> Vec<(Point, u32)> {
        let busy = |at| if idle.contains(&at) { 0 } else { 2 };
        let point = |at| Point { due: u64::MAX, processors: busy(at), ..Point::default() };
        (0..count).map(|at| (point(at), 0)).collect()
    }

    #[test]
    fn far_places_are_reached_over_points_without_a_choice() {
        let child = Node::root().child(&points(&[10, 200, 255], 600), 400, 1).unwrap();
        let places: Vec<_> = child.schedule.iter().map(|d| (d.after, d.choice)).collect();
        assert_eq!(places, [(255, 0), (144, 1)]);
        assert_eq!(child.next, 401);
        assert!(Node::root().child(&points(&[10], 600), 400, 1).is_none());
    }
}
