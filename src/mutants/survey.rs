//! Which lock calls a corpus reaches, and how: what mutations are planned from.
//!
//! A fold over the events of runs of the unmutated driver. A critical section begins with an acquire and ends with
//! the release of that lock on that processor; calls are counted in the callback that made the acquire.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::event::{Event, Kind, Lock, LockApi, PROCESSORS_MAX, Routine, Site};
use crate::machine::mutation::{LockKind, Place, Spot};
use crate::storport::Irql;

/// What runs reached.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Survey {
    /// Runs.
    pub runs: u64,
    /// Where locks are acquired.
    pub acquires: Vec<Acquires>,
    /// Where locks are released.
    pub releases: Vec<Releases>,
}

/// How many locks of a kind there are to take by mistake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// DPCs.
    pub dpcs: u8,
    /// Messages.
    pub messages: u8,
    /// Executive spin locks that were used.
    pub executives: u8,
}

impl Others {
    fn max(self, other: Others) -> Others {
        Others {
            dpcs: self.dpcs.max(other.dpcs),
            messages: self.messages.max(other.messages),
            executives: self.executives.max(other.executives),
        }
    }
}

/// The acquires at one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acquires {
    /// Which.
    pub place: Place,
    /// What people call the place.
    pub label: String,
    /// How many.
    pub executions: u64,
    /// The callbacks that made them.
    pub routines: BTreeSet<Routine>,
    /// By which routines, a bit for each [`LockApi`].
    pub apis: u16,
    /// The lowest IRQL at which one was made.
    pub irql: Irql,
    /// The kinds of locks that were held on the processor then, by the driver or StorPort, a bit for each.
    pub held: u8,
    /// How many critical sections had so many calls inside.
    pub calls: BTreeMap<u32, u64>,
    /// The most other locks that there were when one was made.
    pub others: Others,
    /// Where the acquires were that the same callback made inside.
    pub inner: BTreeSet<Place>,
    /// Where it was released.
    pub releases: BTreeSet<Place>,
    /// Which inputs reach it, by number, the first few.
    pub inputs: BTreeSet<u32>,
}

/// The releases at one place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Releases {
    /// Which.
    pub place: Place,
    /// What people call the place.
    pub label: String,
    /// How many.
    pub executions: u64,
    /// Most in one run.
    pub in_a_run: u32,
    /// The callbacks that made them.
    pub routines: BTreeSet<Routine>,
    /// By which routines, a bit for each [`LockApi`].
    pub apis: u16,
    /// The most other locks that there were when one was made.
    pub others: Others,
    /// Whether the same callback ever completed a request later.
    pub completes_later: bool,
    /// Which inputs reach it, by number, the first few.
    pub inputs: BTreeSet<u32>,
}

/// Inputs that are noted for a place: enough to begin a hunt with.
const INPUTS_MAX: usize = 64;

/// A critical section under way.
struct Section {
    acquire: usize,
    lock: Lock,
    depth: u8,
    calls: u32,
}

/// What a processor is doing.
#[derive(Default)]
struct Processor {
    routines: Vec<Routine>,
    sections: Vec<Section>,
    /// How many of each kind are held.
    held: [u8; 5],
    /// Releases of callbacks under way: depth, and which.
    released: Vec<(u8, usize)>,
}

/// The bit of a routine by which locks are taken.
#[must_use]
pub const fn bit(api: LockApi) -> u16 {
    1 << api as u16
}

impl Survey {
    /// Adds a run of input number `input`. Says whether it reached what no run reached before: a place, or one in
    /// another callback.
    pub fn add(&mut self, events: &[Event], input: u32) -> bool {
        self.runs += 1;
        let mut fold = Fold {
            survey: self,
            input,
            processors: Default::default(),
            others: Others::default(),
            new: false,
        };
        let mut run = BTreeMap::new();
        for event in events {
            if let Some(release) = fold.take(event) {
                *run.entry(release).or_insert(0u32) += 1;
            }
        }
        let new = fold.new;
        for (release, count) in run {
            let releases = &mut self.releases[release];
            releases.in_a_run = releases.in_a_run.max(count);
        }
        new
    }

    /// The acquires at a place.
    #[must_use]
    pub fn acquire(&self, place: &Place) -> Option<&Acquires> {
        self.acquires.iter().find(|acquires| acquires.place == *place)
    }
}

struct Fold<'a> {
    survey: &'a mut Survey,
    input: u32,
    processors: [Processor; PROCESSORS_MAX],
    /// What this run has so far.
    others: Others,
    new: bool,
}

impl Fold<'_> {
    /// Takes an event; the number of the release that it is, if it is one of the driver's.
    fn take(&mut self, event: &Event) -> Option<usize> {
        let at = usize::from(event.processor) % PROCESSORS_MAX;
        let depth = event.depth;
        if event.site != Site::Port {
            self.count_call(at, event);
        }
        match event.kind {
            Kind::Configured(adapter) => {
                self.others.messages = adapter.messages;
            }
            Kind::DpcInitialized { dpc, .. } => {
                self.others.dpcs = self.others.dpcs.max(dpc + 1);
            }
            Kind::Entered { routine, .. } => self.processors[at].routines.push(routine),
            Kind::Left { .. } => {
                let processor = &mut self.processors[at];
                processor.routines.pop();
                processor.released.retain(|&(of, _)| of < depth);
            }
            Kind::RequestCompleted { .. } => {
                let released = &mut self.processors[at].released;
                for &(_, release) in released.iter().filter(|&&(of, _)| of == depth) {
                    self.survey.releases[release].completes_later = true;
                }
            }
            Kind::LockAcquired { lock, api, .. } => {
                if let Lock::Executive(number) = lock {
                    self.others.executives = self.others.executives.max(number + 1);
                }
                if let Some(spot) = Spot::of(event.site).filter(|_| api != LockApi::Port) {
                    self.acquired(at, spot, event, (lock, api));
                }
                self.processors[at].held[LockKind::from(lock) as usize] += 1;
            }
            Kind::LockReleased { lock, api, .. } => {
                let held = &mut self.processors[at].held[LockKind::from(lock) as usize];
                *held = held.saturating_sub(1);
                let spot = Spot::of(event.site).filter(|_| api != LockApi::Port)?;
                return Some(self.released(at, spot, event, (lock, api)));
            }
            _ => {}
        }
        None
    }

    /// A call inside the sections of the callback that makes it. Waiting is part of the acquire that follows.
    fn count_call(&mut self, at: usize, event: &Event) {
        if matches!(event.kind, Kind::LockWaited { .. } | Kind::ContextIgnored { .. }) {
            return;
        }
        let ended = match event.kind {
            Kind::LockReleased { lock, .. } => Some(lock),
            _ => None,
        };
        for section in &mut self.processors[at].sections {
            let is_call = section.depth == event.depth && ended != Some(section.lock);
            section.calls += u32::from(is_call);
        }
    }

    fn acquired(&mut self, at: usize, spot: Spot, event: &Event, (lock, api): (Lock, LockApi)) {
        let place = Place { spot, lock: lock.into() };
        let processor = &mut self.processors[at];
        let acquires = &mut self.survey.acquires;
        let number = acquires.iter().position(|known| known.place == place).unwrap_or_else(|| {
            acquires.push(Acquires::new(place.clone(), event));
            acquires.len() - 1
        });
        for outer in processor.sections.iter().filter(|outer| outer.depth == event.depth) {
            acquires[outer.acquire].inner.insert(place.clone());
        }
        let acquire = &mut acquires[number];
        acquire.executions += 1;
        acquire.apis |= bit(api);
        acquire.irql = acquire.irql.min(event.irql);
        acquire.others = acquire.others.max(self.others);
        for kind in (0..processor.held.len()).filter(|&kind| processor.held[kind] > 0) {
            acquire.held |= 1 << kind;
        }
        if let Some(&routine) = processor.routines.last() {
            self.new |= acquire.routines.insert(routine);
        }
        note(&mut acquire.inputs, self.input);
        let (acquire, depth) = (number, event.depth);
        processor.sections.push(Section { acquire, lock, depth, calls: 0 });
    }

    fn released(
        &mut self,
        at: usize,
        spot: Spot,
        event: &Event,
        (lock, api): (Lock, LockApi),
    ) -> usize {
        let place = Place { spot, lock: lock.into() };
        let processor = &mut self.processors[at];
        let releases = &mut self.survey.releases;
        let number = releases.iter().position(|known| known.place == place).unwrap_or_else(|| {
            releases.push(Releases::new(place.clone(), event));
            releases.len() - 1
        });
        let release = &mut releases[number];
        release.executions += 1;
        release.apis |= bit(api);
        release.others = release.others.max(self.others);
        if let Some(&routine) = processor.routines.last() {
            self.new |= release.routines.insert(routine);
        }
        note(&mut release.inputs, self.input);
        processor.released.push((event.depth, number));
        if let Some(ended) = processor.sections.iter().rposition(|section| section.lock == lock) {
            let section = processor.sections.remove(ended);
            let acquire = &mut self.survey.acquires[section.acquire];
            *acquire.calls.entry(section.calls).or_default() += 1;
            acquire.releases.insert(place);
        }
        number
    }
}

fn note(inputs: &mut BTreeSet<u32>, input: u32) {
    if inputs.len() < INPUTS_MAX {
        inputs.insert(input);
    }
}

impl Acquires {
    fn new(place: Place, event: &Event) -> Acquires {
        Acquires {
            place,
            label: event.site.to_string(),
            executions: 0,
            routines: BTreeSet::new(),
            apis: 0,
            irql: Irql::HIGH,
            held: 0,
            calls: BTreeMap::new(),
            others: Others::default(),
            inner: BTreeSet::new(),
            releases: BTreeSet::new(),
            inputs: BTreeSet::new(),
        }
    }

    /// Whether some acquire was made by that routine.
    #[must_use]
    pub const fn is_by(&self, api: LockApi) -> bool {
        self.apis & bit(api) != 0
    }

    /// Calls inside the typical critical section: the number that the most of those have that have any; 0 if none
    /// has.
    #[must_use]
    pub fn typical_calls(&self) -> u32 {
        let some = self.calls.iter().filter(|&(&calls, _)| calls > 0);
        some.max_by_key(|&(&calls, &count)| (count, calls)).map_or(0, |(&calls, _)| calls)
    }
}

impl Releases {
    fn new(place: Place, event: &Event) -> Releases {
        Releases {
            place,
            label: event.site.to_string(),
            executions: 0,
            in_a_run: 0,
            routines: BTreeSet::new(),
            apis: 0,
            others: Others::default(),
            completes_later: false,
            inputs: BTreeSet::new(),
        }
    }

    /// Whether some release was made by that routine.
    #[must_use]
    pub const fn is_by(&self, api: LockApi) -> bool {
        self.apis & bit(api) != 0
    }
}
