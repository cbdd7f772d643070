//! A driver with one mistake in its lock calls: what a call does in place of what it should.
//!
//! The lock routines ask here only in a run in which lock calls differ from what they should be (which includes crash
//! dumps, where they have no effect), so a run without a mutation pays nothing.

mod call;
mod section;

pub(super) use call::{Acquire, Release};
use call::{Given, Key};
use section::{Due, Section, Until, What, When};

use super::super::interrupt::DIRQL;
use super::super::state::State;
use super::Port;
use crate::event::{Kind, Lock, LockApi, Routine, Sink, Site};
use crate::machine::mutation::{LockKind, Mutation, Operator, Other};
use crate::storport::{Irql, StorSpinlock};

/// The mistake of a run, and what it has led to.
#[derive(Default)]
pub(in super::super) struct Mutant {
    pub(in super::super) mutation: Option<Mutation>,
    /// Calls that it befell in this run.
    pub(in super::super) befell: u32,
    sections: Vec<Section>,
    /// Some section waits for decision points.
    pub(in super::super) waits: bool,
}

impl Mutant {
    pub(in super::super) fn power_on(&mut self) {
        self.befell = 0;
        self.waits = false;
        self.sections.clear();
    }

    /// What befalls a call at `site` for a lock of that kind.
    fn operator(&mut self, site: Site, kind: LockKind, release: bool) -> Option<Operator> {
        let Mutation { place, operator } = self.mutation.as_ref()?;
        let befalls = operator.is_of_release() == release && place.lock == kind;
        if !befalls || !place.spot.is(site) {
            return None;
        }
        self.befell += 1;
        Some(*operator)
    }

    /// Takes the section out that a release names, but for those that the driver has done with.
    fn end(&mut self, processor: u8, key: Key) -> Option<What> {
        let ends = |section: &Section| {
            let live = !matches!(section.what, What::Outlives { .. });
            live && section.processor == processor && section.key == key
        };
        let at = self.sections.iter().rposition(ends)?;
        Some(self.sections.remove(at).what)
    }
}

impl<S: Sink> State<S> {
    /// What a run with a mutation, or one in a crash dump, does about an acquire: `None` if what it should.
    fn befallen(&mut self, site: Site, kind: LockKind, release: bool) -> Option<Operator> {
        self.mutant.operator(site, kind, release)
    }

    fn begin_section(&mut self, key: Key, what: What) {
        let (processor, depth) = (self.current as u8, self.processors[self.current].depth);
        let section = Section { processor, depth, key, what, nested: false };
        // A release that was never made leaves a section behind.
        self.mutant.end(processor, key);
        self.mutant.sections.push(section);
        self.attend();
    }

    /// Lets every decision point look here as long as some section waits for one.
    fn attend(&mut self) {
        self.mutant.waits = self.mutant.sections.iter().any(Section::waits);
        self.schedule.attend(self.mutant.waits);
    }

    /// What the current decision point brings; nearly always nothing, which allocates nothing.
    fn due(&mut self) -> Vec<Due> {
        let (processor, depth) = (self.current as u8, self.processors[self.current].depth);
        let completed = self.requests.slots.iter().map(|slot| slot.completed).max();
        let mut all = Vec::new();
        let completed = completed.unwrap_or_default();
        self.mutant.sections.retain_mut(|section| {
            if section.processor != processor || !section.waits() {
                return true;
            }
            let (stays, due) = section.pass(depth, completed);
            all.extend(due);
            stays
        });
        self.attend();
        all
    }

    /// The acquire that was put off until the next one in this callback, if there is such.
    fn swapped(&mut self) -> Option<(Acquire, Site)> {
        let (processor, depth) = (self.current as u8, self.processors[self.current].depth);
        let sections = &mut self.mutant.sections;
        let is_here = |section: &Section| (section.processor, section.depth) == (processor, depth);
        let (at, begins) =
            sections.iter().enumerate().find_map(|(at, section)| match section.what {
                What::Begins { when: When::NextAcquire, acquire, site } if is_here(section) => {
                    Some((at, (acquire, site)))
                }
                _ => None,
            })?;
        sections.swap_remove(at);
        Some(begins)
    }
}

/// What StorPortSynchronizeAccess does about its lock.
pub(super) enum Synchronized {
    /// It takes none.
    Nothing,
    /// It takes this one.
    Under(Lock),
}

impl<S: Sink + 'static> Port<S> {
    /// Called where lock calls differ from what they should be, after the call's decision point: makes of an acquire
    /// what the mutation says. `Some` is the IRQL before it if the call is done with, `None` if it goes on.
    #[cold]
    pub(super) fn acquire_mutated(self, acquire: Acquire, site: Site) -> Option<Irql> {
        let (irql, void) = self.with(|s| (s.processor().irql, s.adapter.facts.dump));
        if void {
            return Some(irql);
        }
        if let Some((outer, outer_site)) = self.with(State::swapped) {
            self.make_acquire(acquire, site);
            self.make_acquire(outer, outer_site);
            return Some(irql);
        }
        let operator = self.with(|s| s.befallen(site, acquire.kind(), false))?;
        self.befall(acquire, operator, site).then_some(irql)
    }

    /// Makes of an acquire what `operator` says; `false` if that is nothing.
    fn befall(self, acquire: Acquire, operator: Operator, site: Site) -> bool {
        let begin = |what| self.with(|s| s.begin_section(acquire.key(), what));
        match operator {
            Operator::DropAcquire => {}
            Operator::Skip(routine) => {
                if self.routine() != Some(routine) {
                    return false;
                }
                begin(What::Void);
            }
            Operator::ReleaseEarly(calls) => {
                let release = acquire.release(self.with(|s| s.processor().irql));
                self.make_acquire(acquire, site);
                if calls > 0 {
                    begin(What::Ends { calls, release, site });
                } else {
                    self.make_release(release, site);
                    begin(What::Void);
                }
            }
            Operator::AcquireLate => {
                let when = When::Calls(2);
                begin(What::Begins { when, acquire, site });
            }
            Operator::Swap => {
                let when = When::NextAcquire;
                begin(What::Begins { when, acquire, site });
            }
            Operator::AcquireOther(other) => return self.take_other(acquire, other, site),
            Operator::AboveLevel => self.take_above(acquire, site),
            Operator::WithoutRaise => return self.take_unraised(acquire, site),
            Operator::DoubleAcquire => {
                self.make_acquire(acquire, site);
                self.make_acquire(acquire, site);
            }
            _ => return false,
        }
        true
    }

    fn take_other(self, acquire: Acquire, other: Other, site: Site) -> bool {
        let Some(lock) = self.with(|s| s.named(acquire).and_then(|lock| s.other(lock, other)))
        else {
            return false;
        };
        let api = match (lock, acquire) {
            (Lock::Message(_), _) => LockApi::Msi,
            (Lock::Executive(_), Acquire::Ke { api, .. }) => api,
            _ => LockApi::Spin,
        };
        let irql = self.hold_other(lock, api, site);
        let given = Given { lock, api, irql: Some(irql) };
        self.with(|s| s.begin_section(acquire.key(), What::Instead(given)));
        true
    }

    /// KeRaiseIrql, the acquire; KeLowerIrql will follow the release.
    fn take_above(self, acquire: Acquire, site: Site) {
        self.act(|s| {
            let level = match acquire.kind() {
                LockKind::Interrupt | LockKind::Message => Irql::HIGH,
                _ => DIRQL,
            };
            let (before, irql) = (s.processor().irql, level.max(s.processor().irql));
            s.emit(site, Kind::IrqlSet { irql, raise: true });
            s.processor().irql = irql;
            s.begin_section(acquire.key(), What::Raised(before));
        });
        self.make_acquire(acquire, site);
    }

    /// The acquire by its form for callers at DISPATCH_LEVEL; `false` if it has none.
    fn take_unraised(self, acquire: Acquire, site: Site) -> bool {
        match acquire {
            Acquire::Spin { kind: StorSpinlock::DPC, context, handle, .. } => {
                let kind = StorSpinlock::DPC_LEVEL;
                self.make_acquire(Acquire::Spin { kind, context, handle, is_ex: true }, site);
            }
            Acquire::Ke { lock, api: LockApi::Ke | LockApi::KeQueued, handle } => {
                let api = match handle.is_null() {
                    true => LockApi::KeDpcLevel,
                    false => LockApi::KeQueuedDpcLevel,
                };
                let lock = self.with(|s| Lock::Executive(s.executives.number(lock.addr()) as u8));
                self.hold_other(lock, api, site);
                let given = Given { lock, api, irql: None };
                self.with(|s| s.begin_section(acquire.key(), What::Instead(given)));
            }
            _ => return false,
        }
        true
    }

    /// As [`Port::acquire_mutated`], for a release; whether the call is done with.
    #[cold]
    pub(super) fn release_mutated(self, release: Release, site: Site) -> bool {
        if self.with(|s| s.adapter.facts.dump) {
            return true;
        }
        let section = self.with(|s| {
            let ended = s.mutant.end(s.current as u8, release.key());
            s.attend();
            ended
        });
        match section {
            Some(What::Void) => return true,
            Some(What::Instead(given)) => {
                self.give_as(given, site);
                return true;
            }
            Some(What::Raised(before)) => {
                self.make_release(release, site);
                self.act(|s| {
                    s.emit(site, Kind::IrqlSet { irql: before, raise: false });
                    s.processor().irql = before;
                });
                self.drain_deferred();
                return true;
            }
            Some(What::Begins { acquire, site, .. }) => self.make_acquire(acquire, site),
            Some(What::Ends { .. } | What::Outlives { .. }) | None => {}
        }
        self.befall_release(release, site)
    }

    fn befall_release(self, release: Release, site: Site) -> bool {
        let Some(given) = self.with(|s| s.given(release)) else { return false };
        let kind = LockKind::from(given.lock);
        let Some(operator) = self.with(|s| s.befallen(site, kind, true)) else { return false };
        let outlive = |until| {
            let what = What::Outlives { given, site, until };
            self.with(|s| s.begin_section(release.key(), what));
        };
        match operator {
            Operator::DropRelease => {}
            Operator::DropReleaseOnce(nth) => {
                return self.with(|s| s.mutant.befell == nth);
            }
            Operator::WrongOldIrql => return self.release_to_wrong_irql(release, given, site),
            Operator::WrongHandle => return self.release_by_wrong_handle(release, site),
            Operator::HoldAcrossCompletion => outlive(Until::Completion(self.with(|s| s.order))),
            Operator::HoldAcrossReturn => outlive(Until::Return),
            _ => return false,
        }
        true
    }

    fn release_to_wrong_irql(self, release: Release, given: Given, site: Site) -> bool {
        let Some(right) = given.irql else { return false };
        let wrong = if right == Irql::PASSIVE { Irql::DISPATCH } else { Irql::PASSIVE };
        match release {
            Release::Spin { handle } => {
                // SAFETY: the driver's call promises a valid handle, and has not returned.
                unsafe { (&raw mut (*handle).context.old_irql).write_unaligned(wrong) };
                return false;
            }
            Release::Queued { handle, .. } => {
                // SAFETY: as above.
                unsafe { (&raw mut (*handle).old_irql).write_unaligned(wrong) };
                return false;
            }
            Release::Msi { message, .. } => {
                self.make_release(Release::Msi { message, old_irql: u32::from(wrong.0) }, site);
            }
            Release::Ke { lock, api, .. } => {
                self.make_release(Release::Ke { lock, api, irql: Some(wrong) }, site);
            }
        }
        true
    }

    fn release_by_wrong_handle(self, release: Release, site: Site) -> bool {
        match release {
            Release::Spin { handle } => {
                // SAFETY: the driver's call promises a valid handle, and has not returned.
                let mut copy = unsafe { handle.read_unaligned() };
                self.make_release(Release::Spin { handle: &raw mut copy }, site);
            }
            Release::Queued { handle, api } => {
                // SAFETY: as above.
                let mut copy = unsafe { handle.read_unaligned() };
                self.make_release(Release::Queued { handle: &raw mut copy, api }, site);
            }
            Release::Msi { message, old_irql } => {
                let other = self.with(|s| s.other(Lock::Message(message as u8), Other::Next));
                let Some(Lock::Message(other)) = other else { return false };
                self.make_release(Release::Msi { message: u32::from(other), old_irql }, site);
            }
            Release::Ke { .. } => return false,
        }
        true
    }

    /// What the mutation makes of StorPortSynchronizeAccess; `None` if nothing.
    #[cold]
    pub(super) fn synchronize_mutated(self, site: Site) -> Option<Synchronized> {
        if self.with(|s| s.adapter.facts.dump) {
            return Some(Synchronized::Nothing);
        }
        match self.with(|s| s.befallen(site, LockKind::Interrupt, false))? {
            Operator::Skip(routine) if self.routine() == Some(routine) => {
                Some(Synchronized::Nothing)
            }
            Operator::AcquireOther(other) => {
                self.with(|s| s.other(Lock::Interrupt, other)).map(Synchronized::Under)
            }
            _ => None,
        }
    }

    /// Takes and gives a lock around `call`, in StorPortSynchronizeAccess' place.
    pub(super) fn under_other(self, lock: Lock, site: Site, call: impl FnOnce() -> u32) -> u32 {
        let irql = self.hold_other(lock, LockApi::Spin, site);
        let result = self.callback(Routine::Synchronized, 0, call);
        self.give_as(Given { lock, api: LockApi::Spin, irql: Some(irql) }, site);
        result
    }

    /// At a decision point: makes the calls that were put off to here.
    #[cold]
    pub(in super::super) fn settle_mutant(self) {
        for due in self.with(State::due) {
            match due {
                Due::Acquire(acquire, site) => self.make_acquire(acquire, site),
                Due::Release(release, site) => self.make_release(release, site),
                Due::Give(given, site) => self.give_as(given, site),
            }
        }
    }

    /// The callback that runs.
    fn routine(self) -> Option<Routine> {
        self.with(|s| s.processor().frame().map(|frame| frame.routine))
    }
}
