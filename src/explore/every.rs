//! Every schedule within the bound, equivalent ones too: needs no knowledge of what depends on what.

use super::node::Node;
use super::{Ended, Explorer, Subject};

impl<S: Subject> Explorer<'_, S> {
    /// Runs every schedule, those with the fewest departures first.
    pub(super) fn every_point(&mut self) -> Ended<()> {
        let mut level = vec![Node::root()];
        self.departures = 0;
        self.run(&[], |_| ())?;
        for departures in 1..=self.bound.departures {
            self.departures = departures;
            let is_last = departures == self.bound.departures;
            let mut next = Vec::new();
            for node in level {
                self.run_children(&node, is_last, &mut next)?;
            }
            level = next;
        }
        Ok(())
    }

    /// Runs every schedule that has one more departure than `node`.
    fn run_children(&mut self, node: &Node, is_last: bool, next: &mut Vec<Node>) -> Ended<()> {
        self.scenario.schedule.clone_from(&node.schedule);
        let points = self.subject.observe(&self.scenario).points();
        let is_idle = |at: usize| points[at].0.choices() == 0;
        for (at, (point, _)) in points.iter().enumerate().skip(node.next) {
            for choice in 0..point.choices() {
                let Some(child) = node.child(at, choice, is_idle) else {
                    self.tally.out_of_reach += 1;
                    continue;
                };
                self.run(&child.schedule, |_| ())?;
                if !is_last {
                    next.push(child);
                }
            }
        }
        Ok(())
    }
}
