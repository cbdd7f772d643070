//! A history of lock calls, recorded anywhere, as scenarios in which the puppet makes the same calls.
//!
//! A seed for a driver does not say what that driver does with its locks: it does it again. The puppet does nothing by
//! itself, so for it the record is the script:
//!
//! ```text
//! events -> parts, cut where nothing is under way -> fold: what each callback did, and what led to it
//!        -> compose: lines of a script, and steps -> steer: departures until the calls come in the recorded order
//! ```
//!
//! | of the record | in the scenario |
//! | --- | --- |
//! | each lock call: lock, routine that made it, handle or OldIrql given back | a line, in the callback that made it |
//! | calls of the n-th run of a callback that differ from those of others | [`When`](crate::miniport::puppet::When) |
//! | DPCs, timers and work items that the driver asked for, requests that it kept and completed | lines |
//! | requests, interrupts, resets, controls | steps, on the same processors and with the same gaps |
//! | what the adapter is, messages, channels | setup |
//! | who overtakes whom, nested interrupts | the schedule |
//!
//! Records need not tell of requests and interrupts (those of a driver that watches itself do not): a callback
//! that nothing led to gets a step. What a script cannot say: more than three different runs of one callback in a part
//! (the part ends before), more than eight executive locks or DPCs, the AtDpcLevel forms of queued locks (the plain
//! form stands for them), calls that are not about locks, and DIRQLs, which are the machine's own. How many of a
//! part's lock calls came in the recorded order is counted: [`Played::matched`].

mod calls;
mod compose;
mod fold;
mod marks;
mod slots;
mod steer;

pub use marks::{Mark, marks};

use std::collections::BTreeSet;

use super::choose::{Broken, Chooser, Chosen};
use super::events::Lines;
use super::seeds::Options;
use super::{TraceError, seeds};
use crate::event::{Adapter, Event, Kind, LockApi, PROCESSORS_MAX, Routine};
use crate::harness::Harness;
use crate::scenario::{Scenario, codec};

/// Events of the longest stretch without a quiet moment; a longer one is left out.
const STRETCH_MAX: usize = 1 << 14;
/// Parts that are replayed; of a longer record the first are.
const PARTS_MAX: usize = 512;

/// What was known before a part began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// The adapter, as it was configured last.
    adapter: Option<Adapter>,
    /// Processors of the machine that was recorded.
    processors: u8,
}

/// A part of a record: events between two moments when no callback was under way and no lock held.
#[derive(Clone, Debug, Default)]
struct Part {
    before: Before,
    /// The number of its first event in the record, from 1.
    first: u64,
    events: Vec<Event>,
}

/// A part that was replayed.
#[derive(Clone, Copy, Debug)]
pub struct Played {
    /// The number of its first event in the record, from 1.
    pub first: u64,
    /// Lock calls that it holds.
    pub calls: usize,
    /// Of them those that came in the recorded order, from the first.
    pub matched: usize,
}

/// What a record came to.
#[derive(Debug)]
pub struct Histories {
    /// Seeds; their `window` is an index into `parts`.
    pub seeds: Vec<Chosen>,
    /// Scenarios that break a rule, as the record most likely does.
    pub broken: Vec<Broken>,
    /// The parts.
    pub parts: Vec<Played>,
    /// Stretches that no script can say.
    pub left_out: u64,
    /// Runs made.
    pub executions: u64,
    /// Events read.
    pub events: u64,
    /// Lines skipped.
    pub skipped: u64,
    /// What was wrong with the first of them.
    pub first_skipped: Option<TraceError>,
}

/// Makes scenarios for the puppet of recorded lock calls. `harness` is the puppet's.
///
/// # Errors
///
/// The record cannot be read, or holds no lock call of a driver.
pub fn histories(
    lines: &mut Lines<'_>,
    harness: &mut Harness,
    options: &Options,
) -> Result<Histories, TraceError> {
    let mut cutter = Cutter::new(options.max_steps);
    let (mut skipped, mut first_skipped) = (0, None);
    loop {
        match lines.read_event() {
            Ok(Some(event)) => cutter.take(event),
            Ok(None) => break,
            Err(error) if options.lenient && !error.fatal => {
                skipped += 1;
                first_skipped.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let events = cutter.number;
    let (parts, left_out) = cutter.finish();
    if parts.is_empty() {
        return Err(seeds::nothing("lock call of a driver", skipped, first_skipped));
    }
    let mut played = Vec::new();
    let mut runs = 0;
    let mut scenarios = Vec::new();
    for (scenario, part) in parts {
        let wanted: Vec<Mark> = marks(&part.events).into_iter().map(|(mark, _)| mark).collect();
        let (scenario, matched, tried) = steer::steer(harness, scenario, &wanted);
        runs += tried;
        played.push(Played { first: part.first, calls: wanted.len(), matched });
        scenarios.push(scenario);
    }
    harness.record(false);
    harness.observe(false);
    let mut chooser = Chooser::new(harness);
    for (index, scenario) in scenarios.iter().enumerate() {
        let mut bytes = Vec::new();
        codec::encode(scenario, &mut bytes);
        chooser.replay(index, bytes);
    }
    let executions = runs + chooser.executions;
    let broken = std::mem::take(&mut chooser.broken);
    let seeds = chooser.choose(options.max_files);
    Ok(Histories {
        seeds,
        broken,
        parts: played,
        left_out,
        executions,
        events,
        skipped,
        first_skipped,
    })
}

/// The scenario of one record, whole, with how many of its lock calls come in the recorded order.
#[must_use]
pub fn of_events(harness: &mut Harness, events: &[Event]) -> Option<(Scenario, usize)> {
    let scenario = compose::compose(Before::default(), events, crate::scenario::STEPS_MAX)?;
    let wanted: Vec<Mark> = marks(events).into_iter().map(|(mark, _)| mark).collect();
    let (scenario, matched, _) = steer::steer(harness, scenario, &wanted);
    Some((scenario, matched))
}

/// The scenarios of a record's parts, before the schedule is looked for; what cannot be read is skipped.
pub(super) fn read(lines: &mut Lines<'_>) -> Vec<Scenario> {
    let mut cutter = Cutter::new(crate::scenario::STEPS_MAX);
    loop {
        match lines.read_event() {
            Ok(Some(event)) => cutter.take(event),
            Ok(None) => break,
            Err(error) if error.fatal => break,
            Err(_) => {}
        }
    }
    cutter.finish().0.into_iter().map(|(scenario, _)| scenario).collect()
}

/// A callback that will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owed {
    /// That of a queued DPC.
    Dpc(u16),
    /// HwStorStartIo, after HwStorBuildIo.
    StartIo(u16),
}

/// Cuts events into parts that a script can say.
#[derive(Debug)]
struct Cutter {
    steps_max: usize,
    number: u64,
    /// Known now.
    now: Before,
    /// Callbacks active, on each processor.
    depths: [u8; PROCESSORS_MAX],
    /// Locks that the driver holds.
    held: u32,
    /// What must still happen before it is quiet.
    owed: BTreeSet<Owed>,
    /// Since the last quiet moment.
    stretch: Part,
    /// The stretch is too long.
    overlong: bool,
    /// What the stretch is to be added to, with its scenario.
    part: Option<(Scenario, Part)>,
    done: Vec<(Scenario, Part)>,
    left_out: u64,
}

impl Cutter {
    fn new(steps_max: usize) -> Cutter {
        Cutter {
            steps_max,
            number: 0,
            now: Before::default(),
            depths: [0; PROCESSORS_MAX],
            held: 0,
            owed: BTreeSet::new(),
            stretch: Part::default(),
            overlong: false,
            part: None,
            done: Vec::new(),
            left_out: 0,
        }
    }

    fn take(&mut self, event: Event) {
        self.number += 1;
        if self.stretch.events.is_empty() {
            self.stretch.before = self.now;
            self.stretch.first = self.number;
        }
        if self.stretch.events.len() < STRETCH_MAX {
            self.stretch.events.push(event);
        } else {
            self.overlong = true;
        }
        self.follow(&event);
        if self.is_quiet() && matches!(event.kind, Kind::Left { .. }) {
            self.end_stretch();
        }
    }

    fn is_quiet(&self) -> bool {
        self.held == 0 && self.depths == [0; PROCESSORS_MAX] && self.owed.is_empty()
    }

    /// Keeps account of what is under way.
    fn follow(&mut self, event: &Event) {
        let depth = &mut self.depths[usize::from(event.processor) % PROCESSORS_MAX];
        match event.kind {
            Kind::Started { processors } => {
                self.now.processors = processors;
                // Another run begins: nothing of the one before is under way.
                (self.depths, self.held) = ([0; PROCESSORS_MAX], 0);
                self.owed.clear();
            }
            Kind::Configured(adapter) => self.now.adapter = Some(adapter),
            Kind::Entered { routine, subject } => {
                *depth = depth.saturating_add(1);
                match routine {
                    Routine::Dpc => _ = self.owed.remove(&Owed::Dpc(subject)),
                    Routine::BuildIo => _ = self.owed.insert(Owed::StartIo(subject)),
                    Routine::StartIo => _ = self.owed.remove(&Owed::StartIo(subject)),
                    _ => {}
                }
            }
            Kind::Left { .. } => *depth = depth.saturating_sub(1),
            Kind::LockAcquired { api, .. } if api != LockApi::Port => self.held += 1,
            Kind::LockReleased { api, holder: Some(_), .. } if api != LockApi::Port => {
                self.held = self.held.saturating_sub(1);
            }
            Kind::DpcIssued { dpc: Some(dpc), queued: true, .. } => {
                self.owed.insert(Owed::Dpc(dpc.into()));
            }
            Kind::DpcCancelled { dpc: Some(dpc), .. } => {
                self.owed.remove(&Owed::Dpc(dpc.into()));
            }
            Kind::RequestCompleted { request, .. } | Kind::RequestDeferred { request } => {
                self.owed.remove(&Owed::StartIo(request));
            }
            // Whatever was under way is over.
            Kind::AdapterStopped { .. } => self.owed.clear(),
            _ => {}
        }
    }

    fn end_stretch(&mut self) {
        let stretch = std::mem::take(&mut self.stretch);
        if std::mem::take(&mut self.overlong) {
            self.left_out += 1;
            return;
        }
        if let Some((scenario, part)) = &mut self.part {
            let known = part.events.len();
            part.events.extend_from_slice(&stretch.events);
            if let Some(longer) = compose::compose(part.before, &part.events, self.steps_max) {
                *scenario = longer;
                return;
            }
            part.events.truncate(known);
            self.end_part();
        }
        match compose::compose(stretch.before, &stretch.events, self.steps_max) {
            Some(scenario) => self.part = Some((scenario, stretch)),
            None => self.left_out += 1,
        }
    }

    fn end_part(&mut self) {
        if let Some((scenario, part)) = self.part.take()
            && self.done.len() < PARTS_MAX
            && !marks(&part.events).is_empty()
        {
            self.done.push((scenario, part));
        }
    }

    fn finish(mut self) -> (Vec<(Scenario, Part)>, u64) {
        self.end_stretch();
        self.end_part();
        (self.done, self.left_out)
    }
}
