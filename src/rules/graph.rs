//! The lock-order graph: inversions that the tables permit, found although the run did not hang.
//!
//! An edge from A to B says that somebody, holding A, acquired B. A cycle of edges is a deadlock that another
//! schedule reaches, unless something keeps the edges apart: a lock held around both (a gate), or that
//! both happen in one STOR_DPC's routine, which never runs beside itself. So an edge carries what was held
//! besides its two ends, and a cycle counts only if those guards have nothing in common.
//!
//! With per-message synchronisation Interrupt is every message's lock: an edge at either touches the other, and
//! whoever takes Interrupt takes the messages one after the other, which makes a cycle with code that nests them
//! the other way. That they ascend is not documented ("the proper order", the page says), so this cycle is a
//! warning; a deadlock that it leads to is an error all the same.
//!
//! Areas verified: cycles of two to [`CYCLE_MAX`] locks, over the whole run and all processors, among all locks of
//! [`Lock`]; the lock that is held may be StorPort's, the one that is acquired under it is the driver's.
//!
//! Areas not verified: longer cycles; more than [`EDGES_MAX`] edges in one run; edges kept apart by time alone
//! (initialisation against I/O) are not known to be, but the tables allow no locks there; descending chains over
//! a lock that is no message. Where StorPort's holding is doubtful (HwStorAdapterControl under Interrupt), no
//! edge begins there.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/kernel/preventing-errors-and-deadlocks-while-using-spin-locks>

use super::catalogue::{Family, Rule, Severity, drivers};
use super::finding::{Path, site_rank};
use super::lockset::{LOCKS, LockSet, lock_of, number};
use super::order::Kinds;
use super::state::NONE;
use crate::event::{Lock, Site};

pub(super) const CYCLE: Rule = Rule {
    id: "lock.cycle",
    family: Family::Order,
    severity: Severity::Error,
    sentence: "Locks are acquired in orders that together form a cycle",
    why: "Two processors, each holding the lock that the other wants next, wait for ever. The tables put \
          StartIo and all Dpc locks on one level, so a driver can obey them and still do this. It was found from \
          the orders alone: this run did not hang, another will.",
    sdv: None,
    bug_check: Some("0xC4/0x1001 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("kernel/preventing-errors-and-deadlocks-while-using-spin-locks"),
    example: "// wrong\nHwStorStartIo:     StartIo (StorPort), then Dpc\n\
              HwStorDpcRoutine:  Dpc, then StartIo\n\
              // right: the DPC takes StartIo first too\nHwStorDpcRoutine:  StartIo, then Dpc",
};

/// Most locks in a cycle that is looked for.
pub const CYCLE_MAX: usize = 4;
/// Most edges, those that differ only in what else was held counted apart.
pub const EDGES_MAX: usize = 96;

/// Somebody acquired a lock while holding another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    from: u8,
    to: u8,
    /// The next edge with the same ends, by number plus one; 0 for none.
    next: u8,
    /// Everything that was held, `from` included.
    holding: LockSet,
    pub(super) site: Site,
    pub(super) path: Path,
}

impl Edge {
    const EMPTY: Edge = Edge {
        from: NONE,
        to: NONE,
        next: 0,
        holding: LockSet::EMPTY,
        site: Site::Port,
        path: Path::EMPTY,
    };

    /// The lock that was held.
    pub(super) const fn held(&self) -> Lock {
        lock_of(self.from as usize)
    }

    /// No order of two locks: every message's lock was taken, one after the other.
    fn takes_all(&self) -> bool {
        let interrupt = number(Lock::Interrupt) as u8;
        self.from == interrupt && self.to == interrupt
    }
}

/// A cycle of edges, turned so that it begins with the same edge whichever edge closed it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    edges: [u8; CYCLE_MAX],
    length: u8,
    /// It is one only if Interrupt takes the messages' locks in ascending order, which no page says.
    pub(super) doubtful: bool,
}

/// Every order in which the run has nested two locks.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    /// The first edge between two locks, by number plus one; 0 for none.
    first: [[u8; LOCKS]; LOCKS],
    edges: [Edge; EDGES_MAX],
    count: u8,
    /// Locks that an edge begins at: where none leads on, no cycle needs to be looked for.
    begins: LockSet,
    per_message: bool,
}

/// What stands between a held lock and the one acquired, both by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nesting {
    pub(super) held: usize,
    pub(super) acquired: usize,
    /// Everything that the processor holds (every message's lock if Interrupt stands for them), and the gates
    /// of the DPC routines that it is in.
    pub(super) holding: LockSet,
    pub(super) site: Site,
}

impl Graph {
    pub(super) const fn new() -> Self {
        Graph {
            first: [[0; LOCKS]; LOCKS],
            edges: [Edge::EMPTY; EDGES_MAX],
            count: 0,
            begins: LockSet::EMPTY,
            per_message: false,
        }
    }

    pub(super) fn reset(&mut self) {
        for edge in &self.edges[..usize::from(self.count)] {
            self.first[usize::from(edge.from)][usize::from(edge.to)] = 0;
        }
        (self.count, self.begins) = (0, LockSet::EMPTY);
    }

    /// Says whether Interrupt stands for all message locks.
    pub(super) fn set_per_message(&mut self, per_message: bool) {
        self.per_message = per_message;
    }

    fn edges(&self) -> &[Edge] {
        &self.edges[..usize::from(self.count)]
    }

    /// The edges of a cycle in its order.
    pub(super) fn edges_of(&self, cycle: Cycle) -> impl Iterator<Item = &Edge> {
        cycle.edges.into_iter().take(usize::from(cycle.length)).map(|i| &self.edges[usize::from(i)])
    }

    /// Whether the nesting adds nothing: the same two locks were nested before, under no more than now.
    #[inline]
    pub(super) fn knows(&self, (held, acquired): (usize, usize), holding: LockSet) -> bool {
        let mut edge = self.first[held][acquired];
        while let Some(known) = self.edges.get(usize::from(edge).wrapping_sub(1)) {
            if known.holding.is_subset(holding) {
                return true;
            }
            edge = known.next;
        }
        false
    }

    /// Adds an edge that is not known; the cycle that it closes.
    pub(super) fn add(&mut self, nesting: &Nesting, path: Path) -> Option<Cycle> {
        let (from, to) = (nesting.held, nesting.acquired);
        let index = usize::from(self.count);
        let holding = nesting.holding;
        let next = self.first[from][to];
        *self.edges.get_mut(index)? =
            Edge { from: from as u8, to: to as u8, next, holding, site: nesting.site, path };
        self.count += 1;
        self.first[from][to] = self.count;
        self.begins.insert_number(from);
        if !self.per_message && !self.begins.contains(lock_of(to)) {
            return None;
        }
        let mut search = Search { graph: self, edges: [0; CYCLE_MAX], assume_ascending: false };
        search.edges[0] = index as u8;
        let certain = search.close(1, holding);
        search.assume_ascending = true;
        let length = certain.or_else(|| search.close(1, holding))?;
        Some(self.turned(search.edges, length))
    }

    /// Whether waiting for one of the two locks can be waiting for the other.
    fn touches(&self, a: u8, b: u8) -> bool {
        let interrupt = number(Lock::Interrupt) as u8;
        let message = |n: u8| matches!(lock_of(usize::from(n)), Lock::Message(_));
        a == b || self.per_message && (a == interrupt && message(b) || b == interrupt && message(a))
    }

    /// Whether two edges are a deadlock because one takes every message's lock, ascending, and the other
    /// goes down.
    fn descends_into_all(&self, a: &Edge, b: &Edge) -> bool {
        let down = |edge: &Edge| {
            let lock = |n: u8| lock_of(usize::from(n));
            matches!((lock(edge.from), lock(edge.to)), (Lock::Message(m), Lock::Message(n)) if m > n)
        };
        self.per_message && (a.takes_all() && down(b) || b.takes_all() && down(a))
    }

    /// The cycle, beginning with the edge whose site comes first in an order that no schedule changes.
    fn turned(&self, mut edges: [u8; CYCLE_MAX], length: usize) -> Cycle {
        let rank = |i: u8| {
            let edge = &self.edges[usize::from(i)];
            (site_rank(edge.site), Kinds::of(edge.held()).0, edge.path.routines().first().copied())
        };
        let all = |&i: &u8| self.edges[usize::from(i)].takes_all();
        let doubtful = edges[..length].iter().any(all);
        let first = (0..length).min_by_key(|&i| rank(edges[i])).unwrap_or(0);
        edges[..length].rotate_left(first);
        Cycle { edges, length: length as u8, doubtful }
    }
}

/// A depth-first search for the way back to the first edge.
struct Search<'a> {
    graph: &'a Graph,
    edges: [u8; CYCLE_MAX],
    /// Cycles count that are ones only if Interrupt takes the messages' locks in ascending order.
    assume_ascending: bool,
}

impl Search<'_> {
    /// Extends a path of `length` edges, which together hold `holding`, until it is a cycle; its length.
    fn close(&mut self, length: usize, holding: LockSet) -> Option<usize> {
        let graph = self.graph;
        let first = &graph.edges[usize::from(self.edges[0])];
        let last = &graph.edges[usize::from(self.edges[length - 1])];
        if length > 1 && (graph.touches(last.to, first.from)) {
            return Some(length);
        }
        if length == CYCLE_MAX {
            return None;
        }
        for (index, edge) in graph.edges().iter().enumerate() {
            if self.edges[..length].contains(&(index as u8)) || !holding.is_disjoint(edge.holding) {
                continue;
            }
            if self.assume_ascending && length == 1 && graph.descends_into_all(first, edge) {
                self.edges[1] = index as u8;
                return Some(2);
            }
            if edge.from != edge.to && last.from != last.to && graph.touches(last.to, edge.from) {
                self.edges[length] = index as u8;
                if let Some(length) = self.close(length + 1, holding.union(edge.holding)) {
                    return Some(length);
                }
            }
        }
        None
    }
}
