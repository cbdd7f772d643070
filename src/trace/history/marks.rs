//! What of a run is compared: the driver's lock calls, in order.

use crate::event::{Event, Kind, Lock, LockApi, PROCESSORS_MAX, Routine};
use crate::storport::Irql;

/// A lock call of a driver, without what differs between two machines on which the same happens: times, and the numbers of DIRQLs,
/// of DPCs and of executive locks, which are numbered here in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// On which processor.
    pub processor: u8,
    /// In which callback; `None` for StorPort's own code.
    pub routine: Option<Routine>,
    /// The IRQL before it.
    pub irql: Irql,
    /// What happened: one of the lock kinds.
    pub kind: Kind,
}

impl Mark {
    /// Whether it is the beginning of a wait.
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self.kind, Kind::LockWaited { .. })
    }
}

/// The lock calls among events, each with the number of events before it.
#[must_use]
pub fn marks(events: &[Event]) -> Vec<(Mark, u32)> {
    let mut frames: [Vec<Routine>; PROCESSORS_MAX] = Default::default();
    let mut names = Names::default();
    let mut marks = Vec::new();
    for (event, number) in events.iter().zip(0..) {
        let frames = &mut frames[usize::from(event.processor) % PROCESSORS_MAX];
        match event.kind {
            Kind::Entered { routine, .. } => frames.push(routine),
            Kind::Left { .. } => _ = frames.pop(),
            _ => {
                if let Some(kind) = names.plain(event.kind) {
                    let (processor, irql) = (event.processor, level(event.irql));
                    let routine = frames.last().copied();
                    marks.push((Mark { processor, routine, irql, kind }, number));
                }
            }
        }
    }
    marks
}

/// Every device level as one.
fn level(irql: Irql) -> Irql {
    if irql > Irql::DISPATCH && irql < Irql::HIGH { Irql(Irql::DISPATCH.0 + 1) } else { irql }
}

/// Numbers of DPCs and executive locks, in the order in which they came.
#[derive(Default)]
struct Names {
    dpcs: Vec<u8>,
    executive: Vec<u8>,
}

impl Names {
    /// What happened, without what does not count; `None` if it is no lock call of the driver.
    fn plain(&mut self, kind: Kind) -> Option<Kind> {
        Some(match kind {
            Kind::LockWaited { lock, api, holder } if api != LockApi::Port => {
                Kind::LockWaited { lock: self.lock(lock), api: plain(api), holder }
            }
            Kind::LockAcquired { lock, api, irql, .. } if api != LockApi::Port => {
                let (lock, irql) = (self.lock(lock), level(irql));
                Kind::LockAcquired { lock, api: plain(api), irql, contended: false }
            }
            Kind::LockReleased { lock, api, holder, handle, irql, saved, .. }
                if api != LockApi::Port =>
            {
                Kind::LockReleased {
                    lock: self.lock(lock),
                    api: plain(api),
                    holder,
                    handle,
                    irql: level(irql),
                    saved: level(saved),
                    held_ns: 0,
                }
            }
            Kind::LockMisused { .. } | Kind::LockRefused { .. } | Kind::ContextIgnored { .. } => {
                kind
            }
            Kind::ExecutiveUninitialized { lock } => {
                Kind::ExecutiveUninitialized { lock: rank(&mut self.executive, lock) }
            }
            _ => return None,
        })
    }

    fn lock(&mut self, lock: Lock) -> Lock {
        match lock {
            Lock::Dpc(number) => Lock::Dpc(rank(&mut self.dpcs, number)),
            Lock::Executive(number) => Lock::Executive(rank(&mut self.executive, number)),
            Lock::StartIo | Lock::Interrupt | Lock::Message(_) => lock,
        }
    }
}

/// The AtDpcLevel forms of queued locks as the plain ones: a script has no other.
fn plain(api: LockApi) -> LockApi {
    if api == LockApi::KeQueuedDpcLevel { LockApi::KeQueued } else { api }
}

fn rank(known: &mut Vec<u8>, number: u8) -> u8 {
    let place = known.iter().position(|&other| other == number);
    place.unwrap_or_else(|| {
        known.push(number);
        known.len() - 1
    }) as u8
}
