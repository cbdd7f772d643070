//! The state of a run as its events tell it, and the verdicts on one event.
//!
//! Everything is kept in vectors that are searched from the start, and every rule is asked at every event to which
//! it could apply.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Adapter, Duplex, Event, Kind, Lock, LockApi, Miniport, Routine};
use crate::storport::Irql;

use super::orders::Orders;
use super::table::Table;

/// How long a spin lock may be held, the shortest of all limits on time.
pub(crate) const SHORTEST_LIMIT_NS: u64 = 25_000;

/// A rule's id.
pub type Id = &'static str;

/// What one event breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Rules of which one ends the run; more than one where several sentences fit the event equally well.
    pub errors: BTreeSet<Id>,
    /// Rules that let it go on.
    pub warnings: BTreeSet<Id>,
}

impl Verdict {
    pub(crate) fn error(&mut self, id: Id) {
        self.errors.insert(id);
    }

    pub(crate) fn warning(&mut self, id: Id) {
        self.warnings.insert(id);
    }

    /// An error; where the documents disagree on it, a warning.
    pub(crate) fn judge(&mut self, id: Id, doubtful: bool) {
        if doubtful { self.warning(id) } else { self.error(id) }
    }
}

/// A callback under way.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) routine: Routine,
    pub(crate) subject: u16,
    /// IRQL at which it was called.
    pub(crate) irql: Irql,
    /// Events before the call.
    pub(crate) since: usize,
    /// What KeRaiseIrql returned inside it and KeLowerIrql has not taken back.
    pub(crate) raised: Vec<Irql>,
}

/// A callback that came in between and has returned.
#[derive(Debug)]
pub(crate) struct Interruption {
    pub(crate) processor: u8,
    /// Events before the call and before the return.
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) busy_ns: u32,
}

/// A lock that somebody holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) lock: Lock,
    pub(crate) api: LockApi,
    pub(crate) processor: u8,
    /// Callbacks that were under way on the processor at the acquire.
    pub(crate) depth: usize,
    /// IRQL before the acquire.
    pub(crate) saved: Irql,
    /// Events before the acquire.
    pub(crate) since: usize,
    /// IRQL below which the holder may not fall.
    pub(crate) level: Irql,
    /// For which callback StorPort holds it, by number; none before and after that runs.
    pub(crate) around: Option<usize>,
    /// StorPort holds it according to a page that the lock table contradicts.
    pub(crate) doubtful: bool,
}

impl Held {
    /// Whether StorPort holds it around a callback.
    pub(crate) fn is_ports(&self) -> bool {
        matches!(self.api, LockApi::Port | LockApi::Synchronize)
    }

    /// The callbacks under way up to the one in which, or around which, it is held.
    pub(crate) fn callback(&self) -> usize {
        self.around.unwrap_or(self.depth)
    }
}

/// The model.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) table: Table,
    pub(crate) adapter: Option<Adapter>,
    /// Callbacks under way, by processor, outermost first.
    pub(crate) frames: BTreeMap<u8, Vec<Frame>>,
    /// Every held lock, in the order of the acquires.
    pub(crate) held: Vec<Held>,
    /// Processors that spin, with the callbacks under way on them and the lock.
    pub(crate) spins: BTreeSet<(u8, usize, Lock)>,
    pub(crate) orders: Orders,
    /// By which families of routines (queued or not) each executive lock was used.
    pub(crate) executive_families: BTreeSet<(u8, bool)>,
    /// DPCs and executive locks that were initialised in this life of the adapter.
    pub(crate) initialized: BTreeSet<Lock>,
    /// A processor asked for what it may hold itself: what follows has been said.
    pub(crate) waits_for_itself: bool,
    /// Processors of a circle of waits, so far told.
    circle: u8,
    /// Events so far.
    pub(crate) events: usize,
    interruptions: Vec<Interruption>,
}

impl Model {
    pub(crate) fn new() -> Model {
        Model { table: Table::read(), ..Model::default() }
    }

    /// Forgets the run.
    pub(crate) fn reset(&mut self) {
        let table = std::mem::take(&mut self.table);
        *self = Model { table, ..Model::default() };
    }

    /// Takes the next event of the run and says what it breaks.
    pub(crate) fn judge(&mut self, event: &Event) -> Verdict {
        let mut verdict = Verdict::default();
        let v = &mut verdict;
        self.check_depth(event);
        match event.kind {
            Kind::Configured(adapter) => self.configured(adapter, v),
            Kind::Entered { routine, subject } => {
                self.entered(event, routine, subject);
            }
            Kind::Left { routine, busy_ns, .. } => self.left(event, routine, busy_ns, v),
            Kind::AdapterStopped { .. } => {
                self.initialized.clear();
                self.left_over("lock.held_at_removal", v);
            }
            Kind::Finished => self.left_over("lock.leaked", v),
            // One that waits for itself has been reported when it began to.
            Kind::Deadlocked { length: 1, .. } if self.waits_for_itself => {}
            Kind::Deadlocked { length, .. } => {
                self.circle += 1;
                if self.circle == length {
                    v.error("run.deadlock");
                }
            }
            Kind::Hung if self.waits_for_itself => {}
            Kind::Hung => v.error("run.hang"),
            Kind::Crashed { .. } => v.error("driver.crashed"),
            _ => {
                self.judge_locks(event, v);
                self.judge_rest(event, v);
            }
        }
        self.events += 1;
        verdict
    }

    /// The number of callbacks under way is the event's own.
    fn check_depth(&self, event: &Event) {
        let depth =
            self.depth(event.processor) + usize::from(matches!(event.kind, Kind::Entered { .. }));
        assert_eq!(depth, usize::from(event.depth), "callbacks under way at {event:?}");
    }

    fn configured(&mut self, adapter: Adapter, v: &mut Verdict) {
        self.adapter = Some(adapter);
        let half = adapter.duplex == Duplex::Half && adapter.miniport == Miniport::Physical;
        if half && !adapter.dump {
            v.warning("duplex.half");
        }
    }

    fn entered(&mut self, event: &Event, routine: Routine, subject: u16) {
        let frames = self.frames.entry(event.processor).or_default();
        let since = self.events;
        frames.push(Frame { routine, subject, irql: event.irql, since, raised: Vec::new() });
        let number = frames.len();
        // ScsiStopAdapter and ScsiRestartAdapter: its page has Interrupt held, the table nothing.
        let doubtful = routine == Routine::AdapterControl && matches!(subject, 1 | 2);
        for held in &mut self.held {
            let loose = held.around.is_none() && held.is_ports() && held.depth + 1 == number;
            let taken_for_it = match held.lock {
                _ if routine == Routine::Synchronized => held.api == LockApi::Synchronize,
                Lock::Interrupt if doubtful => true,
                Lock::Message(message) if u16::from(message) != subject => false,
                lock => self.table.holds(routine, self.adapter.as_ref(), lock),
            };
            if held.processor == event.processor && loose && taken_for_it {
                (held.around, held.doubtful) = (Some(number), doubtful);
            }
        }
    }

    /// Locks that nobody is left to release. A processor that is inside a callback may still do so.
    fn left_over(&self, id: Id, v: &mut Verdict) {
        let left = |held: &&Held| {
            !held.is_ports() && self.depth(held.processor) == 0 && !self.is_dump(held.processor)
        };
        if self.held.iter().any(|held| left(&held)) {
            v.error(id);
        }
    }

    fn left(&mut self, event: &Event, routine: Routine, busy_ns: u32, v: &mut Verdict) {
        let depth = self.depth(event.processor);
        let frame = self.frames.entry(event.processor).or_default().pop();
        let frame = frame.expect("a routine that returns was entered");
        assert_eq!(frame.routine, routine, "{event:?}");
        let is_its_own = |held: &&Held| {
            held.processor == event.processor && held.depth == depth && !held.is_ports()
        };
        if !self.is_dump(event.processor) && frame.irql < Irql::HIGH {
            if self.held.iter().any(|held| is_its_own(&held)) {
                v.error("lock.held_at_return");
            } else if event.irql != frame.irql {
                v.error("irql.restore");
            }
            duration(routine, self.own_ns(event.processor, frame.since, busy_ns), v);
        }
        for held in &mut self.held {
            if held.processor == event.processor && held.around == Some(depth) {
                held.around = None;
            }
        }
        if routine != Routine::Synchronized {
            self.interruptions.push(Interruption {
                processor: event.processor,
                from: frame.since,
                to: self.events,
                busy_ns,
            });
        }
    }

    /// What is left of `busy_ns` since an event without the callbacks that came in between.
    pub(crate) fn own_ns(&self, processor: u8, since: usize, busy_ns: u32) -> u64 {
        if u64::from(busy_ns) <= SHORTEST_LIMIT_NS {
            return u64::from(busy_ns);
        }
        let between = |i: &&Interruption| i.processor == processor && i.from > since;
        let all: Vec<&Interruption> = self.interruptions.iter().filter(between).collect();
        let inside = |a: &Interruption, b: &Interruption| b.from < a.from && a.to < b.to;
        let outermost = all.iter().filter(|a| !all.iter().any(|b| inside(a, b)));
        let interrupted: u64 = outermost.map(|i| u64::from(i.busy_ns)).sum();
        u64::from(busy_ns).saturating_sub(interrupted)
    }

    /// Callbacks under way on a processor.
    pub(crate) fn depth(&self, processor: u8) -> usize {
        self.frames.get(&processor).map_or(0, Vec::len)
    }

    /// The callback that runs on a processor; for a routine under StorPortSynchronizeAccess the one that called
    /// for it.
    pub(crate) fn caller(&self, processor: u8) -> Option<&Frame> {
        let frames = self.frames.get(&processor)?;
        frames.iter().rev().find(|frame| frame.routine != Routine::Synchronized)
    }

    /// Whether a crash dump is written, where locks, levels and times mean nothing. Before HwStorFindAdapter has
    /// returned only its IRQL tells.
    pub(crate) fn is_dump(&self, processor: u8) -> bool {
        match self.adapter {
            Some(adapter) => adapter.dump,
            None => self
                .frames
                .get(&processor)
                .is_some_and(|frames| frames.first().is_some_and(|frame| frame.irql == Irql::HIGH)),
        }
    }

    pub(crate) fn is_full_duplex(&self) -> bool {
        self.adapter.is_none_or(|adapter| adapter.duplex == Duplex::Full)
    }

    /// Whether every message has a lock of its own.
    pub(crate) fn is_per_message(&self) -> bool {
        use crate::event::Interrupts;
        self.adapter.is_some_and(|adapter| adapter.interrupts == Interrupts::PerMessage)
    }
}

/// How long a routine may take.
fn duration(routine: Routine, busy_ns: u64, v: &mut Verdict) {
    const MICROSECOND: u64 = 1_000;
    const SECOND: u64 = 1_000_000_000;
    match routine {
        Routine::Dpc if busy_ns > 100 * MICROSECOND => v.warning("time.dpc"),
        Routine::Interrupt | Routine::MessageInterrupt if busy_ns > 50 * MICROSECOND => {
            v.warning("time.interrupt");
        }
        _ => {}
    }
    let limit = match routine {
        // These may take as long as the hardware does.
        Routine::FindAdapter
        | Routine::PassiveInitialize
        | Routine::AdapterControl
        | Routine::UnitControl
        | Routine::TracingEnabled
        | Routine::WorkItem
        | Routine::Synchronized => return,
        Routine::Initialize => 5 * SECOND,
        _ => SECOND / 2,
    };
    if busy_ns > limit {
        v.warning("time.routine");
    }
}
