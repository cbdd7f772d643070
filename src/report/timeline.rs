//! The picture of a run as data: what lies where in it. The page draws it.
//!
//! The horizontal axis is the order of events, one unit each, not virtual time: a run jumps over seconds in which
//! nothing happens and then has a hundred events in a microsecond. Every processor has a lane; in it lie its IRQL
//! as a step line, callbacks as bars nested by depth, and locks as bars from request through wait to release.

use serde::{Deserialize, Serialize};

use super::words;
use crate::event::{Event, Interrupts, Kind, Lock, LockApi, PROCESSORS_MAX, Routine};
use crate::rules::Finding;

/// A run, laid out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// Number of events: the length of the axis.
    pub length: usize,
    /// Virtual time of each event, in nanoseconds.
    pub times: Vec<u64>,
    /// Lanes, one for each processor that did something.
    pub lanes: Vec<Lane>,
    /// Causes and effects: interrupts, DPCs and timers.
    pub arrows: Vec<Arrow>,
    /// Where rules were broken, first the one that the page is about.
    pub marks: Vec<Mark>,
    /// Every event in words.
    pub rows: Vec<Row>,
}

/// One processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Its number.
    pub processor: u8,
    /// (event, IRQL from there on).
    pub irql: Vec<(usize, u8)>,
    /// Callbacks.
    pub callbacks: Vec<Bar>,
    /// Rows that its callbacks take.
    pub depth: usize,
    /// Locks.
    pub locks: Vec<LockBar>,
    /// Rows that its locks take.
    pub lock_rows: usize,
}

/// A callback under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// Its name and what it is about.
    pub label: String,
    /// Nesting: 0 for the outermost.
    pub row: usize,
    /// The event of its entry.
    pub from: usize,
    /// The event of its return; the end of the run for one that never did.
    pub to: usize,
    /// It returned.
    pub ended: bool,
}

/// A lock, from request to release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockBar {
    /// Which.
    pub label: String,
    /// Its class, for the colour.
    pub class: Class,
    /// By StorPort around a callback, not by the driver.
    pub port: bool,
    /// The row in its lane.
    pub row: usize,
    /// The event of the request.
    pub asked: usize,
    /// The event of the acquire; `None` if it never came.
    pub taken: Option<usize>,
    /// The event of the release, or the end of the run.
    pub to: usize,
    /// It was released.
    pub released: bool,
    /// Where it was asked for.
    pub site: String,
    /// Where it was released.
    pub release_site: String,
}

/// What led to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrow {
    /// Of what kind.
    pub kind: Link,
    /// In words.
    pub label: String,
    /// The lane and event of the cause.
    pub from: (u8, usize),
    /// The lane and event of the effect.
    pub to: (u8, usize),
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The rule.
    pub rule: String,
    /// Only a warning.
    pub warning: bool,
    /// In words.
    pub text: String,
    /// Its lane.
    pub processor: u8,
    /// Its event.
    pub at: usize,
}

/// An event in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its lane.
    pub processor: u8,
    /// IRQL just before.
    pub irql: u8,
    /// Callbacks around it.
    pub depth: u8,
    /// What happened.
    pub what: String,
    /// Where in the driver; empty for StorPort itself.
    pub site: String,
}

/// Lays a run out; `findings` become marks, in their order.
#[must_use]
pub fn lay_out<'a>(events: &[Event], findings: impl IntoIterator<Item = &'a Finding>) -> Timeline {
    let mut layout = Layout::new(events.len());
    for (at, event) in events.iter().enumerate() {
        layout.take(at, event);
    }
    let mut timeline = layout.finish();
    timeline.marks = findings.into_iter().map(|finding| mark(events, finding)).collect();
    timeline.rows = events.iter().map(row).collect();
    timeline.times = events.iter().map(|event| event.time).collect();
    timeline
}

fn mark(events: &[Event], finding: &Finding) -> Mark {
    Mark {
        rule: finding.rule.rule().id.to_owned(),
        warning: finding.severity == crate::rules::Severity::Warning,
        text: finding.to_string(),
        processor: finding.processor,
        at: super::told::moment_of(events, finding),
    }
}

fn row(event: &Event) -> Row {
    Row {
        processor: event.processor,
        irql: event.irql.0,
        depth: event.depth,
        what: words::what(event),
        site: words::place(event.site),
    }
}

/// The class of a lock, by which it is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// StartIo.
    StartIo,
    /// Interrupt.
    Interrupt,
    /// A message's.
    Message,
    /// A STOR_DPC's.
    Dpc,
    /// An executive spin lock.
    Executive,
}

impl Class {
    /// That of a lock.
    #[must_use]
    pub fn of(lock: Lock) -> Class {
        match lock {
            Lock::StartIo => Class::StartIo,
            Lock::Interrupt => Class::Interrupt,
            Lock::Message(_) => Class::Message,
            Lock::Dpc(_) => Class::Dpc,
            Lock::Executive(_) => Class::Executive,
        }
    }

    /// Its name in style sheets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Class::StartIo => "startio",
            Class::Interrupt => "interrupt",
            Class::Message => "message",
            Class::Dpc => "dpc",
            Class::Executive => "executive",
        }
    }
}

/// What an arrow stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// The device interrupts.
    Interrupt,
    /// A DPC is issued.
    Dpc,
    /// A timer expires.
    Timer,
}

/// A cause whose effect has not come yet.
struct Cause {
    kind: Link,
    label: String,
    from: (u8, usize),
    /// The callback that it leads to, and on which processor if that is known.
    routine: Routine,
    subject: u16,
    target: Option<u8>,
}

/// The fold over events.
struct Layout {
    timeline: Timeline,
    /// Of each processor: its callbacks under way, as indices of bars.
    open: [Vec<usize>; PROCESSORS_MAX],
    /// Locks asked for or held: which, and the index of its bar in which lane.
    held: Vec<(Lock, usize, usize)>,
    causes: Vec<Cause>,
    /// The adapter interrupts by a line.
    by_line: bool,
}

impl Layout {
    fn new(length: usize) -> Layout {
        Layout {
            timeline: Timeline { length, ..Timeline::default() },
            open: Default::default(),
            held: Vec::new(),
            causes: Vec::new(),
            by_line: false,
        }
    }

    fn take(&mut self, at: usize, event: &Event) {
        let lane = self.lane(event.processor);
        self.irql(lane, at, event.irql.0);
        match event.kind {
            Kind::Entered { routine, subject } => self.entered(lane, at, event, routine, subject),
            Kind::Left { .. } => self.left(lane, at),
            Kind::LockWaited { lock, api, .. } => self.asked(lane, at, event, lock, api),
            Kind::LockAcquired { lock, api, irql, .. } => {
                self.acquired(lane, at, event, lock, api);
                self.irql(lane, at, irql.0);
            }
            Kind::LockReleased { lock, irql, .. } => {
                self.released(at, event, lock);
                self.irql(lane, at, irql.0);
            }
            Kind::IrqlSet { irql, .. } => self.irql(lane, at, irql.0),
            Kind::Configured(adapter) => self.by_line = adapter.interrupts == Interrupts::Line,
            _ => self.cause(at, event),
        }
    }

    /// The index of a processor's lane.
    fn lane(&mut self, processor: u8) -> usize {
        let lanes = &mut self.timeline.lanes;
        lanes.iter().position(|lane| lane.processor == processor).unwrap_or_else(|| {
            lanes.push(Lane { processor, ..Lane::default() });
            lanes.len() - 1
        })
    }

    fn irql(&mut self, lane: usize, at: usize, level: u8) {
        let steps = &mut self.timeline.lanes[lane].irql;
        if steps.last().is_none_or(|&(_, last)| last != level) {
            steps.push((at, level));
        }
    }

    fn entered(&mut self, lane: usize, at: usize, event: &Event, routine: Routine, subject: u16) {
        let open = &mut self.open[usize::from(event.processor) % PROCESSORS_MAX];
        let row = open.len();
        let lanes = &mut self.timeline.lanes[lane];
        lanes.depth = lanes.depth.max(row + 1);
        open.push(lanes.callbacks.len());
        let label = words::callback(routine, subject);
        let to = self.timeline.length;
        lanes.callbacks.push(Bar { label, row, from: at, to, ended: false });
        let fits = |cause: &Cause| {
            cause.routine == routine
                && (cause.subject == subject || routine == Routine::Interrupt)
                && cause.target.is_none_or(|target| target == event.processor)
        };
        if let Some(found) = self.causes.iter().position(fits) {
            let Cause { kind, label, from, .. } = self.causes.remove(found);
            self.timeline.arrows.push(Arrow { kind, label, from, to: (event.processor, at) });
        }
    }

    fn left(&mut self, lane: usize, at: usize) {
        let processor = self.timeline.lanes[lane].processor;
        if let Some(bar) = self.open[usize::from(processor) % PROCESSORS_MAX].pop() {
            let bar = &mut self.timeline.lanes[lane].callbacks[bar];
            (bar.to, bar.ended) = (at, true);
        }
    }

    fn asked(&mut self, lane: usize, at: usize, event: &Event, lock: Lock, api: LockApi) {
        let row = self.free_row(lane);
        let bar = LockBar {
            label: lock.to_string(),
            class: Class::of(lock),
            port: api == LockApi::Port,
            row,
            asked: at,
            taken: None,
            to: self.timeline.length,
            released: false,
            site: words::place(event.site),
            release_site: String::new(),
        };
        let lanes = &mut self.timeline.lanes[lane];
        lanes.lock_rows = lanes.lock_rows.max(row + 1);
        lanes.locks.push(bar);
        self.held.push((lock, lane, lanes.locks.len() - 1));
    }

    /// The first row of a lane in which no lock is asked for or held.
    fn free_row(&self, lane: usize) -> usize {
        let locks = &self.timeline.lanes[lane].locks;
        let taken: Vec<usize> =
            self.held.iter().filter(|held| held.1 == lane).map(|held| locks[held.2].row).collect();
        (0..).find(|row| !taken.contains(row)).unwrap_or_default()
    }

    fn acquired(&mut self, lane: usize, at: usize, event: &Event, lock: Lock, api: LockApi) {
        let waits = |&&(held, of, bar): &&(Lock, usize, usize)| {
            held == lock && of == lane && self.timeline.lanes[of].locks[bar].taken.is_none()
        };
        if self.held.iter().find(waits).is_none() {
            self.asked(lane, at, event, lock, api);
        }
        let lanes = &mut self.timeline.lanes[lane];
        let bar =
            self.held.iter().rev().find(|held| {
                held.0 == lock && held.1 == lane && lanes.locks[held.2].taken.is_none()
            });
        if let Some(&(_, _, bar)) = bar {
            lanes.locks[bar].taken = Some(at);
        }
    }

    /// The holder's bar ends, whichever processor releases.
    fn released(&mut self, at: usize, event: &Event, lock: Lock) {
        let lanes = &mut self.timeline.lanes;
        let holds = |held: &(Lock, usize, usize)| {
            held.0 == lock && lanes[held.1].locks[held.2].taken.is_some()
        };
        if let Some(found) = self.held.iter().rposition(holds) {
            let (_, lane, bar) = self.held.remove(found);
            let bar = &mut lanes[lane].locks[bar];
            (bar.to, bar.released) = (at, true);
            bar.release_site = words::place(event.site);
        }
    }

    /// Remembers what will lead to a callback.
    fn cause(&mut self, at: usize, event: &Event) {
        let from = (event.processor, at);
        let (kind, routine, subject, target) = match event.kind {
            Kind::InterruptRaised { message, target } => {
                (Link::Interrupt, Routine::MessageInterrupt, u16::from(message), Some(target))
            }
            Kind::DpcIssued { dpc: Some(dpc), queued: true, target } => {
                (Link::Dpc, Routine::Dpc, u16::from(dpc), Some(target))
            }
            Kind::DpcCancelled { dpc: Some(dpc), removed: true } => {
                let dpc = u16::from(dpc);
                self.causes.retain(|cause| (cause.routine, cause.subject) != (Routine::Dpc, dpc));
                return;
            }
            Kind::TimerExpired { timer: 0 } => (Link::Timer, Routine::Timer, 0, None),
            Kind::TimerExpired { timer } => (Link::Timer, Routine::TimerEx, u16::from(timer), None),
            _ => return,
        };
        let label = words::what(event);
        let routine =
            if kind == Link::Interrupt && self.by_line { Routine::Interrupt } else { routine };
        self.causes.push(Cause { kind, label, from, routine, subject, target });
    }

    fn finish(mut self) -> Timeline {
        self.timeline.lanes.sort_by_key(|lane| lane.processor);
        self.timeline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Handle, Site};
    use crate::storport::Irql;

    fn events(kinds: &[(u8, Kind)]) -> Vec<Event> {
        let irql = Irql::DISPATCH;
        kinds
            .iter()
            .zip(0..)
            .map(|(&(processor, kind), time)| Event {
                time,
                site: Site::Port,
                kind,
                processor,
                irql,
                depth: 0,
            })
            .collect()
    }

    const LOCK: Lock = Lock::StartIo;
    const API: LockApi = LockApi::Spin;

    fn acquired(contended: bool) -> Kind {
        Kind::LockAcquired { lock: LOCK, api: API, irql: Irql::DISPATCH, contended }
    }

    fn released(holder: u8) -> Kind {
        let (irql, saved) = (Irql::PASSIVE, Irql::PASSIVE);
        let (handle, holder) = (Handle::Same, Some(holder));
        Kind::LockReleased { lock: LOCK, api: API, holder, handle, irql, saved, held_ns: 0 }
    }

    #[test]
    fn a_lock_is_one_bar_from_request_through_wait_to_release() {
        let wait = Kind::LockWaited { lock: LOCK, api: API, holder: 0 };
        let run = events(&[
            (0, acquired(false)),
            (1, wait),
            (0, released(0)),
            (1, acquired(true)),
            (1, released(1)),
        ]);
        let lanes = lay_out(&run, []).lanes;
        let spans = |lane: usize| {
            let bar = &lanes[lane].locks[0];
            (lanes[lane].locks.len(), bar.asked, bar.taken, bar.to, bar.released)
        };
        assert_eq!(spans(0), (1, 0, Some(0), 2, true));
        assert_eq!(spans(1), (1, 1, Some(3), 4, true));
    }

    #[test]
    fn a_lock_that_another_processor_releases_ends_in_its_holders_lane() {
        let run = events(&[(0, acquired(false)), (1, released(0))]);
        let lanes = lay_out(&run, []).lanes;
        assert_eq!((lanes[0].locks[0].to, lanes[0].locks[0].released), (1, true));
        assert!(lanes[1].locks.is_empty());
    }

    #[test]
    fn nested_callbacks_take_rows_and_what_never_returns_is_open() {
        let enter = |routine| Kind::Entered { routine, subject: 0 };
        let left = Kind::Left { routine: Routine::Interrupt, result: 0, busy_ns: 0 };
        let run =
            events(&[(0, enter(Routine::StartIo)), (0, enter(Routine::Interrupt)), (0, left)]);
        let lane = &lay_out(&run, []).lanes[0];
        let bars: Vec<_> = lane.callbacks.iter().map(|bar| (bar.row, bar.to, bar.ended)).collect();
        assert_eq!(bars, [(0, 3, false), (1, 2, true)]);
        assert_eq!(lane.depth, 2);
    }

    #[test]
    fn a_dpc_points_at_the_callback_that_it_became() {
        let issued = Kind::DpcIssued { dpc: Some(2), queued: true, target: 1 };
        let other = Kind::DpcIssued { dpc: Some(2), queued: false, target: 1 };
        let run = events(&[
            (0, issued),
            (0, other),
            (1, Kind::Entered { routine: Routine::Dpc, subject: 3 }),
            (1, Kind::Entered { routine: Routine::Dpc, subject: 2 }),
        ]);
        let arrows = lay_out(&run, []).arrows;
        assert_eq!(arrows.len(), 1);
        assert_eq!((arrows[0].kind, arrows[0].from, arrows[0].to), (Link::Dpc, (0, 0), (1, 3)));
    }
}
