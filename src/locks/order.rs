//! The lock-order graph of all runs together: an edge from a lock that was held to one that was taken.
//!
//! A cycle is a deadlock only if nothing keeps its edges apart: a lock that is held around all of them, or that they
//! happen in the routine of one STOR_DPC, which never runs beside itself. So an edge keeps what else was held, and a cycle
//! counts if its edges can be chosen so that no two have a guard in common, as in the rule `lock.cycle`; but here the
//! edges may come from different runs, which no rule sees.

use std::collections::{BTreeMap, BTreeSet};

use super::tally::{Node, Place};
use super::{Cycle, Order};
use crate::event::{Lock, Routine};

/// Most locks of a cycle, as in the rule.
const CYCLE_MAX: usize = 4;
/// Most cycles that are told.
const CYCLES_MAX: usize = 64;
/// Most sets of guards that an edge keeps.
const GUARDS_MAX: usize = 16;

/// What keeps two edges apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    /// A lock that is held.
    Lock(Lock),
    /// The routine of this STOR_DPC.
    Dpc(u16),
}

/// One nesting of two locks.
#[derive(Clone, Debug)]
pub(super) struct Nesting {
    pub(super) held: Lock,
    pub(super) taken: Lock,
    pub(super) routine: Option<Routine>,
    /// Where the held one was taken, and where the other.
    pub(super) places: (Place, Place),
    /// What else was held.
    pub(super) gates: BTreeSet<Gate>,
}

/// An edge between two locks.
#[derive(Clone, Debug)]
struct Edge {
    times: u64,
    routines: BTreeSet<Option<Routine>>,
    places: (Place, Place),
    input: usize,
    /// The sets of guards that hold the least.
    gates: Vec<BTreeSet<Gate>>,
}

/// All edges.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders(BTreeMap<(Lock, Lock), Edge>);

impl Orders {
    pub(super) fn add(&mut self, nesting: Nesting, input: usize) {
        let Nesting { held, taken, routine, places, gates } = nesting;
        let edge = self.0.entry((held, taken)).or_insert_with(|| Edge {
            times: 0,
            routines: BTreeSet::new(),
            places,
            input,
            gates: Vec::new(),
        });
        edge.times += 1;
        edge.routines.insert(routine);
        if edge.gates.iter().all(|known| !known.is_subset(&gates)) {
            edge.gates.retain(|known| !gates.is_subset(known));
            if edge.gates.len() < GUARDS_MAX {
                edge.gates.push(gates);
            }
        }
    }

    /// The edges between locks as they are shown, and the cycles.
    pub(super) fn tell(&self, apart: bool, inputs: &[String]) -> (Vec<Order>, Vec<Cycle>) {
        let cycles = self.cycles();
        let on_cycle: BTreeSet<(Lock, Lock)> = cycles.iter().flat_map(|c| steps(c)).collect();
        let mut shown: BTreeMap<(Node, Node), (Edge, bool)> = BTreeMap::new();
        for (&(held, taken), edge) in &self.0 {
            let in_cycle = on_cycle.contains(&(held, taken));
            shown
                .entry((Node::of(held, apart), Node::of(taken, apart)))
                .and_modify(|(known, cyclic)| {
                    known.times += edge.times;
                    known.routines.extend(&edge.routines);
                    *cyclic |= in_cycle;
                })
                .or_insert_with(|| (edge.clone(), in_cycle));
        }
        let order = |((held, taken), (edge, in_cycle)): ((Node, Node), (Edge, bool))| Order {
            held: held.name(),
            taken: taken.name(),
            times: edge.times,
            callbacks: edge
                .routines
                .iter()
                .map(|routine| routine.map_or("StorPort".to_owned(), |r| r.to_string()))
                .collect(),
            sites: (edge.places.0.name(), edge.places.1.name()),
            input: inputs[edge.input].clone(),
            in_cycle,
        };
        let told = cycles.iter().map(|cycle| Cycle {
            locks: cycle.iter().map(ToString::to_string).collect(),
            inputs: steps(cycle).map(|step| inputs[self.0[&step].input].clone()).collect(),
        });
        let told = told.collect();
        (shown.into_iter().map(order).collect(), told)
    }

    /// The cycles, each from its first lock.
    fn cycles(&self) -> Vec<Vec<Lock>> {
        let mut found = Vec::new();
        let locks: BTreeSet<Lock> = self.0.keys().map(|&(held, _)| held).collect();
        for &first in &locks {
            self.walk(&mut vec![first], &mut found);
        }
        found
    }

    fn walk(&self, path: &mut Vec<Lock>, found: &mut Vec<Vec<Lock>>) {
        let (first, last) = (path[0], path[path.len() - 1]);
        let after: Vec<Lock> = self
            .0
            .range((last, Lock::StartIo)..)
            .take_while(|((held, _), _)| *held == last)
            .map(|(&(_, taken), _)| taken)
            .collect();
        for next in after {
            if found.len() == CYCLES_MAX {
                return;
            }
            if next == first && path.len() > 1 && self.can_meet(path) {
                found.push(path.clone());
            } else if next > first && path.len() < CYCLE_MAX && !path.contains(&next) {
                // From its first lock only, so that each cycle is found once.
                path.push(next);
                self.walk(path, found);
                path.pop();
            }
        }
    }

    /// Whether the edges of a cycle can happen at the same time.
    fn can_meet(&self, cycle: &[Lock]) -> bool {
        let edges: Vec<&Edge> = steps(cycle).map(|step| &self.0[&step]).collect();
        choose(&edges, &mut Vec::new())
    }
}

/// The edges of a cycle.
fn steps(cycle: &[Lock]) -> impl Iterator<Item = (Lock, Lock)> + '_ {
    (0..cycle.len()).map(|at| (cycle[at], cycle[(at + 1) % cycle.len()]))
}

/// Whether a set of guards can be chosen for each edge so that no two have one in common.
fn choose<'a>(edges: &[&'a Edge], chosen: &mut Vec<&'a BTreeSet<Gate>>) -> bool {
    let Some((edge, rest)) = edges.split_first() else { return true };
    edge.gates.iter().any(|gates| {
        if chosen.iter().any(|other| !other.is_disjoint(gates)) {
            return false;
        }
        chosen.push(gates);
        let meets = choose(rest, chosen);
        chosen.pop();
        meets
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(nestings: &[(Lock, Lock, &[Gate])]) -> Orders {
        let mut orders = Orders::default();
        for &(held, taken, gates) in nestings {
            let nesting = Nesting {
                held,
                taken,
                routine: None,
                places: (Place::Port, Place::Port),
                gates: gates.iter().copied().collect(),
            };
            orders.add(nesting, 0);
        }
        orders
    }

    const A: Lock = Lock::Dpc(0);
    const B: Lock = Lock::StartIo;
    const C: Lock = Lock::Executive(3);

    #[test]
    fn two_orders_and_three_make_a_cycle_found_once() {
        assert_eq!(orders(&[(A, B, &[]), (B, A, &[])]).cycles(), [[B, A]]);
        assert_eq!(orders(&[(A, B, &[]), (B, C, &[]), (C, A, &[])]).cycles(), [[B, C, A]]);
        assert!(orders(&[(A, B, &[]), (B, C, &[]), (A, C, &[])]).cycles().is_empty());
    }

    #[test]
    fn what_keeps_the_orders_apart_makes_no_cycle() {
        let gate = &[Gate::Lock(C)][..];
        assert!(orders(&[(A, B, gate), (B, A, gate)]).cycles().is_empty());
        let dpc = &[Gate::Dpc(1)][..];
        assert!(orders(&[(A, B, dpc), (B, A, dpc)]).cycles().is_empty());
        // Once without is enough.
        assert_eq!(orders(&[(A, B, gate), (A, B, &[]), (B, A, gate)]).cycles().len(), 1);
        assert_eq!(orders(&[(A, B, gate), (B, A, dpc)]).cycles().len(), 1);
    }
}
