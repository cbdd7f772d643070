//! The moment at which a rule was broken: who held what, who waited for what, and how it came to be held.

use serde::{Deserialize, Serialize};

use super::timeline::Class;
use super::words;
use crate::event::{Event, Kind, Lock, LockApi, PROCESSORS_MAX, Routine};

/// A lock that a processor holds or waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which.
    pub lock: String,
    /// Its class, for the colour.
    pub class: Class,
    /// Which processor.
    pub processor: u8,
    /// It waits, and does not hold.
    pub waits: bool,
    /// By which routine.
    pub by: String,
    /// Where in the driver; empty for StorPort itself.
    pub site: String,
    /// The callbacks that were under way, outermost first.
    pub path: Vec<String>,
    /// IRQL to which the release goes back.
    pub saved_irql: u8,
    /// The event of the acquire, or of the wait.
    pub since: usize,
}

/// One order in which a run took two locks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Held already.
    pub held: String,
    /// Taken, or waited for, on top of it.
    pub wanted: String,
    /// How the first came to be held.
    pub first: Holding,
    /// How the second was asked for.
    pub second: Holding,
}

/// What a run's locks were like.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// Locks that were held or waited for, in order of processor and time.
    pub holdings: Vec<Holding>,
    /// Orders of locks that the run has shown so far, each once, in order of first occurrence.
    pub edges: Vec<Edge>,
}

/// Follows a run up to and including the event at `moment`.
#[must_use]
pub fn at(events: &[Event], moment: usize) -> Moment {
    let mut follow = Follow::default();
    for (at, event) in events.iter().enumerate().take(moment + 1) {
        // What the last event released was still held when it did.
        let last = at == moment;
        follow.take(at, event, last);
    }
    let Follow { mut moment, .. } = follow;
    moment.holdings.sort_by_key(|holding| (holding.processor, holding.since));
    moment
}

#[derive(Default)]
struct Follow {
    moment: Moment,
    locks: Vec<Lock>,
    paths: [Vec<(Routine, u16)>; PROCESSORS_MAX],
}

impl Follow {
    fn take(&mut self, at: usize, event: &Event, last: bool) {
        let path = &mut self.paths[usize::from(event.processor) % PROCESSORS_MAX];
        match event.kind {
            Kind::Entered { routine, subject } => path.push((routine, subject)),
            Kind::Left { .. } if !last => {
                path.pop();
            }
            Kind::LockWaited { lock, api, .. } => self.hold(at, event, lock, api, true),
            Kind::LockAcquired { lock, api, .. } => {
                self.forget(|holding, held| {
                    holding.waits && holding.processor == event.processor && held == lock
                });
                self.hold(at, event, lock, api, false);
            }
            Kind::LockReleased { lock, .. } if !last => {
                self.forget(|holding, held| !holding.waits && held == lock);
            }
            _ => {}
        }
    }

    fn hold(&mut self, at: usize, event: &Event, lock: Lock, api: LockApi, waits: bool) {
        let path = &self.paths[usize::from(event.processor) % PROCESSORS_MAX];
        let holding = Holding {
            lock: lock.to_string(),
            class: Class::of(lock),
            processor: event.processor,
            waits,
            by: words::by(api).trim_start_matches(" by ").to_owned(),
            site: words::place(event.site),
            path: path
                .iter()
                .map(|&(routine, subject)| words::callback(routine, subject))
                .collect(),
            saved_irql: event.irql.0,
            since: at,
        };
        self.edges(&holding);
        self.moment.holdings.push(holding);
        self.locks.push(lock);
    }

    /// The orders that a new request makes with what its processor holds.
    fn edges(&mut self, second: &Holding) {
        let Moment { holdings, edges } = &mut self.moment;
        let held = holdings.iter().filter(|held| !held.waits && held.processor == second.processor);
        for first in held {
            if !edges.iter().any(|edge| edge.held == first.lock && edge.wanted == second.lock) {
                edges.push(Edge {
                    held: first.lock.clone(),
                    wanted: second.lock.clone(),
                    first: first.clone(),
                    second: second.clone(),
                });
            }
        }
    }

    /// Takes away the youngest holding that fits.
    fn forget(&mut self, fits: impl Fn(&Holding, Lock) -> bool) {
        let mut pairs = self.moment.holdings.iter().zip(&self.locks);
        if let Some(found) = pairs.rposition(|(holding, &lock)| fits(holding, lock)) {
            self.moment.holdings.remove(found);
            self.locks.remove(found);
        }
    }
}
