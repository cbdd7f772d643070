//! Lock-state coverage: what a run did to locks, as features that guide the fuzzer.
//!
//! A fold over events, beside the rules. A feature is a small tuple (which callback took which lock, by which
//! routine, holding what, at which IRQL; who interrupted whom holding what; what a DDI returned where),
//! hashed into a map of 4 KiB of counters. libFuzzer clears and scans that map around every run, so its size is
//! paid each time; 4 KiB costs about as much as decoding the scenario.

use crate::event::{Event, Kind, Lock, LockApi, PROCESSORS_MAX, Routine};

/// A counter goes no further. An engine tells one, two and three apart; told of every further doubling it would
/// favour long runs over new ones.
const COUNT_MAX: u8 = 2;

/// Number of counters.
pub const COUNTERS: usize = 4096;

/// The counters, aligned as libFuzzer's word-wise clearing needs it.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct CoverageMap(pub [u8; COUNTERS]);

impl CoverageMap {
    /// All zero.
    #[must_use]
    pub const fn new() -> Self {
        CoverageMap([0; COUNTERS])
    }

    /// All counters back to zero; for hosts without an engine that does it.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// How many counters are not zero.
    #[must_use]
    pub fn covered(&self) -> usize {
        self.0.iter().filter(|&&count| count != 0).count()
    }
}

impl Default for CoverageMap {
    fn default() -> Self {
        Self::new()
    }
}

/// What a processor is in the middle of, as far as features tell.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    /// Callbacks under way, innermost in the lowest byte, outer ones shifted up.
    routines: u64,
    /// Locks held: three bits of count for each class, taken by StorPort or by the driver.
    held: u32,
}

/// The fold.
#[derive(Debug)]
pub struct Coverage {
    map: &'static mut CoverageMap,
    contexts: [Context; PROCESSORS_MAX],
}

/// Kinds of features, so that tuples of different kinds differ.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Feature {
    Acquire = 1,
    Wait,
    Enter,
    Leave,
    Call,
    Complete,
    Defer,
    Other,
}

impl Coverage {
    /// A fold into `map`, which the caller clears between runs.
    pub fn new(map: &'static mut CoverageMap) -> Self {
        Coverage { map, contexts: [Context::default(); PROCESSORS_MAX] }
    }

    /// Forgets the last run's contexts; the map is the engine's to clear.
    pub fn reset(&mut self) {
        self.contexts = [Context::default(); PROCESSORS_MAX];
    }

    /// The map.
    pub fn map(&mut self) -> &mut CoverageMap {
        self.map
    }

    /// Takes one event.
    #[inline(always)]
    pub fn record(&mut self, event: &Event) {
        let processor = usize::from(event.processor) % PROCESSORS_MAX;
        let context = self.contexts[processor];
        let routine = context.routines as u32 & 0xFF;
        let irql = u32::from(event.irql.0);
        match event.kind {
            Kind::LockAcquired { lock, api, contended, .. } => {
                let what = class(lock, api) << 8 | (api as u32) << 4 | u32::from(contended);
                self.hit(Feature::Acquire, what, routine << 8 | irql, context.held);
                self.contexts[processor].held =
                    context.held.saturating_add(1 << (3 * class(lock, api)));
            }
            Kind::LockWaited { lock, api, holder } => {
                let theirs = self.contexts[usize::from(holder) % PROCESSORS_MAX];
                let what = class(lock, api) << 16 | (theirs.routines as u32 & 0xFF) << 8 | routine;
                self.hit(Feature::Wait, what, theirs.held, context.held);
            }
            Kind::LockReleased { lock, api, .. } => {
                // No feature: what the release says, its acquire has said.
                let one = 1 << (3 * class(lock, api));
                self.contexts[processor].held = context.held.saturating_sub(one);
            }
            Kind::Entered { routine: entered, subject } => {
                let subject = match entered {
                    Routine::AdapterControl | Routine::UnitControl => u32::from(subject),
                    _ => 0,
                };
                let what = subject << 16 | (entered as u32) << 8 | irql;
                self.hit(Feature::Enter, what, context.routines as u32 & 0xFFFF, context.held);
                self.contexts[processor].routines = context.routines << 8 | (entered as u64 + 1);
            }
            Kind::Left { routine, result, .. } => {
                let what = (routine as u32) << 8 | u32::from(result != 0);
                self.hit(Feature::Leave, what, irql, context.held);
                self.contexts[processor].routines = context.routines >> 8;
            }
            Kind::Called { ddi, result, .. } => {
                let outcome = u32::from(result == 0);
                self.hit(Feature::Call, (ddi as u32) << 8 | outcome, routine, context.held);
            }
            Kind::RequestCompleted { status, owner, device_owns, starting_elsewhere, .. } => {
                let flags = u32::from(device_owns) << 1 | u32::from(starting_elsewhere);
                let what = u32::from(status.0) << 16 | (owner as u32) << 8 | flags;
                self.hit(Feature::Complete, what, context.routines as u32 & 0xFFFF, context.held);
            }
            Kind::DpcIssued { dpc, queued, target } => {
                let elsewhere = u32::from(target != event.processor);
                let what = u32::from(dpc.is_some()) << 2 | u32::from(queued) << 1 | elsewhere;
                self.hit(Feature::Defer, what, routine << 8 | irql, context.held);
            }
            // What memory a run touches is no matter of locks, and would drown it.
            Kind::Accessed(_) | Kind::Channel { .. } => {}
            _ => self.record_rare(*event),
        }
    }

    /// Takes an event of the rarer kinds. By value, so that the others need not exist in memory.
    #[inline(never)]
    fn record_rare(&mut self, event: Event) {
        let context = self.contexts[usize::from(event.processor) % PROCESSORS_MAX];
        let routine = context.routines as u32 & 0xFF;
        self.hit(Feature::Other, ordinal(&event.kind), routine, context.held);
    }

    /// Counts a feature.
    #[inline(always)]
    fn hit(&mut self, feature: Feature, what: u32, whence: u32, held: u32) {
        let high = u64::from(what) << 32 | u64::from(held);
        let low = u64::from(whence) << 4 | u64::from(feature as u32);
        let mixed =
            (high ^ low.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let index = (mixed >> 52) as usize;
        let counter = &mut self.map.0[index % COUNTERS];
        *counter += u8::from(*counter < COUNT_MAX);
    }
}

/// The class of a lock: five kinds, each taken by StorPort or by the driver.
const fn class(lock: Lock, api: LockApi) -> u32 {
    let kind = match lock {
        Lock::StartIo => 0,
        Lock::Interrupt => 1,
        Lock::Message(_) => 2,
        Lock::Dpc(_) => 3,
        Lock::Executive(_) => 4,
    };
    match api {
        LockApi::Port => kind,
        _ => kind + 5,
    }
}

/// A number for the rarer kinds of events.
const fn ordinal(kind: &Kind) -> u32 {
    match kind {
        Kind::Quiescing => 1,
        Kind::AdapterStopped { surprise } => 2 + *surprise as u32,
        Kind::IrqlSet { irql, raise } => 0x100 | (irql.0 as u32) << 1 | *raise as u32,
        Kind::DpcInitialized { again, queued, .. } => 0x10 | (*again as u32) << 1 | *queued as u32,
        Kind::DpcCancelled { removed, .. } => 0x20 | *removed as u32,
        Kind::TimerExpired { timer } => 0x30 | (*timer != 0) as u32,
        Kind::RequestCreated { function, .. } => 0x200 | *function as u32,
        Kind::RequestDeferred { .. } => 0x40,
        Kind::RequestTimedOut { .. } => 0x41,
        Kind::RequestsCompletedByPort { .. } => 0x42,
        Kind::LockRefused { .. } => 0x43,
        Kind::LockMisused { misuse, release, .. } => {
            0x300 | (*misuse as u32) << 1 | *release as u32
        }
        Kind::InterruptRaised { .. } => 0x44,
        Kind::ExecutiveInitialized { again, .. } => 0x46 | *again as u32,
        _ => 0,
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

    fn acquired(lock: Lock) -> Kind {
        Kind::LockAcquired { lock, api: LockApi::Spin, irql: Irql::DISPATCH, contended: false }
    }

    fn features(events: &[Event]) -> Vec<usize> {
        let mut coverage = Coverage::new(Box::leak(Box::default()));
        for event in events {
            coverage.record(event);
        }
        (0..COUNTERS).filter(|&n| coverage.map().0[n] != 0).collect()
    }

    #[test]
    fn the_order_of_two_locks_is_a_feature() {
        let one = features(&[event(0, acquired(Lock::StartIo)), event(0, acquired(Lock::Dpc(0)))]);
        let two = features(&[event(0, acquired(Lock::Dpc(0))), event(0, acquired(Lock::StartIo))]);
        assert_ne!(one, two);
    }

    #[test]
    fn what_another_processor_holds_is_no_feature_of_this_one() {
        let alone = features(&[event(0, acquired(Lock::StartIo))]);
        let both =
            features(&[event(1, acquired(Lock::StartIo)), event(0, acquired(Lock::StartIo))]);
        assert_eq!(alone, both);
    }
}
