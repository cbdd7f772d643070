//! Which lock was requested while which was held, as a plain graph that is searched anew for every edge.

use std::collections::{BTreeMap, BTreeSet};

use lockstorm::event::Lock;

/// The orders of a run.
#[derive(Debug, Default)]
pub(crate) struct Orders(BTreeMap<Lock, BTreeSet<Lock>>);

impl Orders {
    /// Notes that `second` was requested while `first` was held.
    pub(crate) fn add(&mut self, first: Lock, second: Lock) {
        self.0.entry(first).or_default().insert(second);
    }

    /// The fewest locks of a cycle through the edge from `first` to `second`.
    pub(crate) fn cycle_through(&self, first: Lock, second: Lock) -> Option<usize> {
        self.shortest_path(second, first).map(|edges| edges + 1)
    }

    /// How many edges lead from `from` to `to`, at least.
    fn shortest_path(&self, from: Lock, to: Lock) -> Option<usize> {
        let mut seen = BTreeSet::from([from]);
        let mut ring = vec![from];
        for edges in 0.. {
            if ring.contains(&to) {
                return Some(edges);
            }
            let next = ring.iter().filter_map(|lock| self.0.get(lock)).flatten().copied();
            ring = next.filter(|lock| seen.insert(*lock)).collect();
            if ring.is_empty() {
                return None;
            }
        }
        None
    }
}
