//! What a corpus covers, in the words of the lock contract: a fold over the events of all its runs.
//!
//! Four questions, each a [`Grid`]: which locks each callback takes, and with how many different sets of locks held
//! before; which lock is taken while which is held; which callback was interrupted by which on one processor; which
//! lost its processor's turn to which on another. What is possible at all is known for the latter two.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, Kind, Lock, LockApi, PROCESSORS_MAX, Routine};

/// Kinds of locks, in the order of the grids.
pub const LOCKS: [&str; 5] = ["StartIo", "Interrupt", "Message", "Dpc", "Executive"];

const fn kind_of(lock: Lock) -> u8 {
    match lock {
        Lock::StartIo => 0,
        Lock::Interrupt => 1,
        Lock::Message(_) => 2,
        Lock::Dpc(_) => 3,
        Lock::Executive(_) => 4,
    }
}

/// A set of kinds of locks, a bit each.
type Held = u8;

/// What runs reached so far.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Runs.
    pub runs: u64,
    /// Acquires by the driver: callback, lock, locks held before.
    acquires: BTreeMap<(Routine, u8, Held), u64>,
    /// Lock held, lock acquired.
    edges: BTreeMap<(u8, u8), u64>,
    /// Interrupted, by whom, on one processor.
    nested: BTreeMap<(Routine, Routine), u64>,
    /// Left, for whom, on another processor.
    switched: BTreeMap<(Routine, Routine), u64>,
}

/// What a processor is doing.
#[derive(Clone, Debug, Default)]
struct Processor {
    routines: Vec<Routine>,
    /// How often each kind is held here.
    held: [u8; LOCKS.len()],
}

impl Processor {
    fn held(&self) -> Held {
        (0..LOCKS.len()).filter(|&kind| self.held[kind] > 0).fold(0, |set, kind| set | 1 << kind)
    }
}

impl Survey {
    /// Adds one run.
    pub fn add(&mut self, events: &[Event]) {
        self.runs += 1;
        let mut processors: [Processor; PROCESSORS_MAX] = Default::default();
        let mut last = 0;
        for event in events {
            let now = usize::from(event.processor) % PROCESSORS_MAX;
            if now != last {
                self.switched(&processors[last], &processors[now]);
                last = now;
            }
            self.take(&mut processors[now], event);
        }
    }

    fn switched(&mut self, from: &Processor, to: &Processor) {
        if let (Some(&from), Some(&to)) = (from.routines.last(), to.routines.last()) {
            *self.switched.entry((from, to)).or_default() += 1;
        }
    }

    fn take(&mut self, processor: &mut Processor, event: &Event) {
        match event.kind {
            Kind::Entered { routine, .. } => {
                if let Some(&outer) = processor.routines.last()
                    && can_nest(outer, routine)
                {
                    *self.nested.entry((outer, routine)).or_default() += 1;
                }
                processor.routines.push(routine);
            }
            Kind::Left { .. } => {
                processor.routines.pop();
            }
            Kind::LockAcquired { lock, api, .. } => {
                let (lock, held) = (kind_of(lock), processor.held());
                if let Some(&routine) = processor.routines.last()
                    && !matches!(api, LockApi::Port)
                {
                    *self.acquires.entry((routine, lock, held)).or_default() += 1;
                    for kind in (0..LOCKS.len() as u8).filter(|kind| held & 1 << kind != 0) {
                        *self.edges.entry((kind, lock)).or_default() += 1;
                    }
                }
                processor.held[usize::from(lock)] += 1;
            }
            Kind::LockReleased { lock, .. } => {
                let count = &mut processor.held[usize::from(kind_of(lock))];
                *count = count.saturating_sub(1);
            }
            _ => {}
        }
    }

    /// Acquires by the driver: callback, lock, locks held before, how often.
    pub fn acquires(&self) -> impl Iterator<Item = (Routine, &'static str, String, u64)> + '_ {
        self.acquires.iter().map(|(&(routine, lock, held), &count)| {
            (routine, LOCKS[usize::from(lock)], names(held), count)
        })
    }

    /// The grids.
    #[must_use]
    pub fn grids(&self) -> [Grid; 4] {
        [self.locks_grid(), self.edges_grid(), self.nested_grid(), self.switched_grid()]
    }

    fn locks_grid(&self) -> Grid {
        let mut sets: BTreeMap<(Routine, u8), BTreeSet<Held>> = BTreeMap::new();
        for &(routine, lock, held) in self.acquires.keys() {
            sets.entry((routine, lock)).or_default().insert(held);
        }
        let cell = |row: usize, column: usize| {
            sets.get(&(Routine::ALL[row], column as u8)).map_or(0, |sets| sets.len() as u64)
        };
        Grid::new("Sets of locks held before a callback takes a lock", routines(), locks(), cell)
    }

    fn edges_grid(&self) -> Grid {
        let cell = |row: usize, column: usize| {
            self.edges.get(&(row as u8, column as u8)).copied().unwrap_or_default()
        };
        Grid::new("Acquires of a lock while another is held", locks(), locks(), cell)
    }

    fn nested_grid(&self) -> Grid {
        let grid = pairs("Callbacks interrupted by others on their processor", &self.nested);
        let all = || Routine::ALL.into_iter();
        let possible = all().map(|outer| all().filter(|&inner| can_nest(outer, inner)).count());
        Grid { possible: Some(possible.sum()), ..grid }
    }

    fn switched_grid(&self) -> Grid {
        let grid = pairs("Callbacks left for others on another processor", &self.switched);
        Grid { possible: Some(Routine::ALL.len() * Routine::ALL.len()), ..grid }
    }
}

fn routines() -> Vec<String> {
    Routine::ALL.iter().map(ToString::to_string).collect()
}

fn locks() -> Vec<String> {
    LOCKS.iter().map(ToString::to_string).collect()
}

fn names(held: Held) -> String {
    let names: Vec<&str> =
        (0..LOCKS.len()).filter(|kind| held & 1 << kind != 0).map(|kind| LOCKS[kind]).collect();
    if names.is_empty() { "nothing".into() } else { names.join(" + ") }
}

fn pairs(title: &'static str, pairs: &BTreeMap<(Routine, Routine), u64>) -> Grid {
    let cell = |row: usize, column: usize| {
        pairs.get(&(Routine::ALL[row], Routine::ALL[column])).copied().unwrap_or_default()
    };
    Grid::new(title, routines(), routines(), cell)
}

/// The level at which StorPort calls a routine, as far as it decides what can interrupt it: 0 PASSIVE_LEVEL,
/// 1 DISPATCH_LEVEL, 2 device levels. HwStorResetBus and HwStorUnitControl are called at several, the lowest counts.
const fn level(routine: Routine) -> u8 {
    match routine {
        Routine::FindAdapter
        | Routine::PassiveInitialize
        | Routine::AdapterControl
        | Routine::UnitControl
        | Routine::TracingEnabled
        | Routine::WorkItem => 0,
        Routine::BuildIo
        | Routine::StartIo
        | Routine::Dpc
        | Routine::Timer
        | Routine::TimerEx
        | Routine::ResetBus
        | Routine::StateChange => 1,
        Routine::Initialize
        | Routine::Interrupt
        | Routine::MessageInterrupt
        | Routine::Synchronized => 2,
    }
}

/// Whether one callback can interrupt another; not every routine that runs inside another does, the one of
/// StorPortSynchronizeAccess is called. Messages have levels of their own, so that they interrupt each other.
fn can_nest(outer: Routine, inner: Routine) -> bool {
    match inner {
        Routine::MessageInterrupt => level(outer) < 2 || outer == Routine::MessageInterrupt,
        Routine::Interrupt => level(outer) < 2,
        Routine::Dpc | Routine::Timer | Routine::TimerEx | Routine::StateChange => level(outer) < 1,
        _ => false,
    }
}

/// Numbers in rows and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// What the numbers are.
    pub title: &'static str,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The numbers, row by row.
    pub cells: Vec<Vec<u64>>,
    /// How many of the cells can be other than 0, if that is known.
    pub possible: Option<usize>,
}

impl Grid {
    fn new(
        title: &'static str,
        rows: Vec<String>,
        columns: Vec<String>,
        cell: impl Fn(usize, usize) -> u64,
    ) -> Grid {
        let row = |row| (0..columns.len()).map(|column| cell(row, column)).collect();
        let cells = (0..rows.len()).map(row).collect();
        Grid { title, rows, columns, cells, possible: None }
    }

    /// Cells that are not 0.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.cells.iter().flatten().filter(|&&count| count > 0).count()
    }

    /// The grid without the rows and columns in which there is nothing.
    #[must_use]
    pub fn shown(&self) -> Grid {
        let row = |row: &usize| self.cells[*row].iter().any(|&count| count > 0);
        let column = |column: &usize| self.cells.iter().any(|row| row[*column] > 0);
        let rows: Vec<usize> = (0..self.rows.len()).filter(row).collect();
        let columns: Vec<usize> = (0..self.columns.len()).filter(column).collect();
        Grid {
            title: self.title,
            rows: rows.iter().map(|&row| self.rows[row].clone()).collect(),
            columns: columns.iter().map(|&column| self.columns[column].clone()).collect(),
            cells: rows
                .iter()
                .map(|&row| columns.iter().map(|&column| self.cells[row][column]).collect())
                .collect(),
            possible: self.possible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Site;
    use crate::storport::Irql;

    fn event(processor: u8, kind: Kind) -> Event {
        Event { time: 0, site: Site::Port, kind, processor, irql: Irql::PASSIVE, depth: 0 }
    }

    fn entered(routine: Routine) -> Kind {
        Kind::Entered { routine, subject: 0 }
    }

    fn acquired(lock: Lock, api: LockApi) -> Kind {
        Kind::LockAcquired { lock, api, irql: Irql::DISPATCH, contended: false }
    }

    fn cell(grid: &Grid, row: &str, column: &str) -> u64 {
        let row = grid.rows.iter().position(|name| name == row).unwrap();
        let column = grid.columns.iter().position(|name| name == column).unwrap();
        grid.cells[row][column]
    }

    #[test]
    fn a_run_is_told_in_four_grids() {
        let mut survey = Survey::default();
        survey.add(&[
            event(0, acquired(Lock::StartIo, LockApi::Port)),
            event(0, entered(Routine::StartIo)),
            event(0, acquired(Lock::Dpc(3), LockApi::Spin)),
            event(0, entered(Routine::MessageInterrupt)),
            event(1, entered(Routine::BuildIo)),
        ]);
        let [locks, edges, nested, switched] = survey.grids();
        assert_eq!(cell(&locks, "HwStorStartIo", "Dpc"), 1);
        assert_eq!(cell(&edges, "StartIo", "Dpc"), 1);
        assert_eq!((locks.reached(), edges.reached()), (1, 1), "StorPort's own take no lock");
        assert_eq!(nested.reached(), 1);
        assert!(nested.possible.is_some_and(|possible| possible > 30));
        // Processor 1 was in no callback when it got its turn.
        assert_eq!(switched.reached(), 0);
        let acquires: Vec<_> = survey.acquires().collect();
        assert_eq!(acquires, [(Routine::StartIo, "Dpc", "StartIo".to_owned(), 1)]);
    }

    #[test]
    fn what_is_empty_is_not_shown() {
        let mut survey = Survey::default();
        assert_eq!(survey.grids()[0].shown().rows.len(), 0);
        survey.add(&[
            event(0, entered(Routine::Dpc)),
            event(0, acquired(Lock::Dpc(0), LockApi::Spin)),
        ]);
        let shown = survey.grids()[0].shown();
        assert_eq!(
            (shown.rows, shown.columns),
            (vec!["HwStorDpcRoutine".to_owned()], vec!["Dpc".to_owned()])
        );
    }
}
