//! Which lock was requested while which was held, as a plain list of edges that is searched anew for each.
//!
//! A cycle of edges is a deadlock on some schedule, unless something excludes two of its edges from happening at
//! once: a lock held around both, or that both happen in the routine of one STOR_DPC, which never runs twice at a
//! time. So an edge keeps its guards, and those of a cycle's edges have nothing in common.

use std::collections::BTreeSet;

use crate::event::Lock;
use crate::rules::CYCLE_MAX;

/// What excludes others while an edge happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guard {
    /// A held lock, the one that the edge begins at included.
    Held(Lock),
    /// The routine of a STOR_DPC.
    DpcRoutine(u16),
}

/// Somebody requested `second` while holding `first`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) first: Lock,
    pub(crate) second: Lock,
    pub(crate) guards: BTreeSet<Guard>,
}

/// Every order of a run.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    edges: Vec<Edge>,
    /// Guards under which every message's lock was taken at once.
    all_messages: Vec<BTreeSet<Guard>>,
}

impl Orders {
    /// Notes an edge; whether it closes a cycle.
    pub(crate) fn add(&mut self, edge: Edge) -> bool {
        let closes = self.leads_back(&edge.guards, 1, edge.second, edge.first);
        if !self.edges.contains(&edge) {
            self.edges.push(edge);
        }
        closes
    }

    /// Whether edges lead from `at` to `goal`, none of which `guards` excludes. Cycles of more than [`CYCLE_MAX`]
    /// locks are left out, as the rule says.
    fn leads_back(&self, guards: &BTreeSet<Guard>, length: usize, at: Lock, goal: Lock) -> bool {
        if at == goal {
            return true;
        }
        length < CYCLE_MAX
            && self.edges.iter().any(|edge| {
                edge.first == at && edge.guards.is_disjoint(guards) && {
                    let guards = edge.guards.union(guards).copied().collect();
                    self.leads_back(&guards, length + 1, edge.second, goal)
                }
            })
    }

    /// Notes that every message's lock is taken, lowest first; whether other code nests two of them the other way.
    pub(crate) fn take_all(&mut self, guards: BTreeSet<Guard>) -> bool {
        let meets =
            self.edges.iter().any(|edge| descends(edge) && edge.guards.is_disjoint(&guards));
        self.all_messages.push(guards);
        meets
    }

    /// Whether other code takes every message's lock in the order that `edge` inverts.
    pub(crate) fn meets_all(&self, edge: &Edge) -> bool {
        descends(edge) && self.all_messages.iter().any(|all| all.is_disjoint(&edge.guards))
    }
}

fn descends(edge: &Edge) -> bool {
    matches!((edge.first, edge.second), (Lock::Message(m), Lock::Message(n)) if m > n)
}
