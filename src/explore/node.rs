//! Schedules as the exploration grows them: by one departure at the end.

use crate::scenario::{DECISIONS_MAX, Decision};

/// A schedule, and where the next departure can be.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) schedule: Vec<Decision>,
    /// The first point after its last decision.
    pub(super) next: usize,
}

impl Node {
    /// Without departures.
    pub(super) const fn root() -> Node {
        Node { schedule: Vec::new(), next: 0 }
    }

    /// The schedule with one more departure, at point `at` of this one's run. A decision reaches no farther than 256
    /// points; on the way to a farther one it takes decisions at points where there is nothing to choose, which change
    /// nothing: `is_idle` tells them. `None` if there are no such points.
    pub(super) fn child(
        &self,
        at: usize,
        choice: u8,
        is_idle: impl Fn(usize) -> bool,
    ) -> Option<Node> {
        const REACH: usize = u8::MAX as usize;
        let mut schedule = self.schedule.clone();
        let mut next = self.next;
        while at - next > REACH {
            let idle = (next..=next + REACH).rev().find(|&point| is_idle(point))?;
            schedule.push(Decision { after: (idle - next) as u8, choice: 0 });
            next = idle + 1;
        }
        schedule.push(Decision { after: (at - next) as u8, choice });
        (schedule.len() <= DECISIONS_MAX).then_some(Node { schedule, next: at + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_places_are_reached_over_points_without_a_choice() {
        let child = Node::root().child(400, 1, |at| [10, 200, 255].contains(&at)).unwrap();
        let places: Vec<_> = child.schedule.iter().map(|d| (d.after, d.choice)).collect();
        assert_eq!(places, [(255, 0), (144, 1)]);
        assert_eq!(child.next, 401);
        assert!(Node::root().child(400, 1, |at| at == 10).is_none());
    }
}
