//! Which mutants there are: every operator at every lock call that the survey reached.
//!
//! An operator that has nothing to act on at a place makes no mutant there: a swap where nothing is nested, a wrong
//! OldIrql where the routine takes none, a DPC's lock where there are no DPCs whenever the place is passed. Nor does one
//! whose effect another operator has there already: a release dropped at one execution only where no run has two, a
//! lock held across a completion where nothing is completed later in the callback.
//!
//! A mutant that no correct observer of the contract could tell from the driver is *equivalent*, and not hunted. Only
//! two kinds are, each for a reason that holds whatever the driver does:
//!
//! - The form of an acquire that does not raise the IRQL, where StorPort calls every callback that makes this acquire
//!   at DISPATCH_LEVEL or under a lock of that level, and the survey never saw a lower IRQL there: raising would not
//!   have changed anything. HwStorBuildIo is among them
//!   (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_buildio>).
//! - Interrupt in place of a message's lock, where no lock of that rank is held: with per-message synchronisation
//!   Interrupt is every message's lock at once
//!   (<https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>), so
//!   whatever was excluded still is. Slower, not wrong.

use serde::{Deserialize, Serialize};

use super::survey::{Acquires, Releases, Survey};
use crate::event::{LockApi, Routine};
use crate::machine::mutation::{LockKind, Mutation, Operator, Other, Place};
use crate::storport::Irql;

/// A mutant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutant {
    /// Its name: the same as long as the place and the operator are.
    pub id: String,
    /// What is wrong in it.
    pub mutation: Mutation,
    /// What people call the place.
    pub site: String,
    /// The callbacks from which the corpus reaches the place.
    pub callbacks: Vec<Routine>,
    /// Why nobody can tell it from the driver, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equivalent: Option<String>,
    /// Inputs that reach the place, by their numbers.
    #[serde(skip)]
    pub inputs: Vec<u32>,
}

/// The execution at which a release is dropped that is dropped once: late, so that not every input has it.
const NTH_MAX: u32 = 8;

/// Every mutant, by place.
#[must_use]
pub fn plan(survey: &Survey) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for acquires in &survey.acquires {
        of_acquire(acquires, &mut mutants);
    }
    for releases in &survey.releases {
        of_release(releases, &mut mutants);
    }
    mutants.sort_by(|a, b| {
        let key = |m: &Mutant| (m.mutation.place.clone(), m.mutation.operator);
        key(a).cmp(&key(b))
    });
    mutants
}

fn of_acquire(acquires: &Acquires, mutants: &mut Vec<Mutant>) {
    let mut add = |operator, equivalent: Option<String>| {
        let mutation = Mutation { place: acquires.place.clone(), operator };
        let callbacks = match operator {
            Operator::Skip(routine) => vec![routine],
            _ => acquires.routines.iter().copied().collect(),
        };
        mutants.push(Mutant {
            id: id(&mutation),
            mutation,
            site: acquires.label.clone(),
            callbacks,
            equivalent,
            inputs: acquires.inputs.iter().copied().collect(),
        });
    };
    for &routine in &acquires.routines {
        add(Operator::Skip(routine), None);
    }
    for other in others(acquires) {
        let same = other == Other::Interrupt && is_stronger(acquires);
        let reason = same.then_some(
            "Interrupt is every message's lock at once, and no lock of its rank is held here",
        );
        add(Operator::AcquireOther(other), reason.map(str::to_owned));
    }
    // StorPortSynchronizeAccess acquires and releases by itself: nothing in between is the driver's to get wrong.
    if acquires.is_by(LockApi::Synchronize) {
        return;
    }
    add(Operator::DropAcquire, None);
    add(Operator::AcquireLate, None);
    add(Operator::ReleaseEarly(acquires.typical_calls()), None);
    add(Operator::DoubleAcquire, None);
    add(Operator::AboveLevel, None);
    if !acquires.inner.is_empty() {
        add(Operator::Swap, None);
    }
    if may_raise(acquires) {
        let reason = is_raised_already(acquires).then_some(
            "StorPort calls every callback that acquires here at DISPATCH_LEVEL, which nothing lowers",
        );
        add(Operator::WithoutRaise, reason.map(str::to_owned));
    }
}

fn of_release(releases: &Releases, mutants: &mut Vec<Mutant>) {
    if releases.is_by(LockApi::Synchronize) {
        return;
    }
    let mut operators = vec![Operator::DropRelease, Operator::HoldAcrossReturn];
    if releases.in_a_run > 1 {
        operators.push(Operator::DropReleaseOnce(releases.in_a_run.min(NTH_MAX)));
    }
    if releases.completes_later {
        operators.push(Operator::HoldAcrossCompletion);
    }
    let keeps_irql = [LockApi::KeDpcLevel, LockApi::KeQueuedDpcLevel];
    if !keeps_irql.into_iter().any(|api| releases.is_by(api)) {
        operators.push(Operator::WrongOldIrql);
    }
    let has_handle = match releases.place.lock {
        LockKind::Message => releases.others.messages > 1,
        LockKind::Executive => releases.is_by(LockApi::KeQueued),
        LockKind::StartIo | LockKind::Interrupt | LockKind::Dpc => true,
    };
    if has_handle {
        operators.push(Operator::WrongHandle);
    }
    mutants.extend(operators.into_iter().map(|operator| {
        let mutation = Mutation { place: releases.place.clone(), operator };
        Mutant {
            id: id(&mutation),
            mutation,
            site: releases.label.clone(),
            callbacks: releases.routines.iter().copied().collect(),
            equivalent: None,
            inputs: releases.inputs.iter().copied().collect(),
        }
    }));
}

/// Locks that could be taken by mistake.
fn others(acquires: &Acquires) -> Vec<Other> {
    let mut others = Vec::new();
    let kind = acquires.place.lock;
    if kind != LockKind::StartIo && kind != LockKind::Executive {
        others.push(Other::StartIo);
    }
    if kind != LockKind::Interrupt && kind != LockKind::Executive {
        others.push(Other::Interrupt);
    }
    if kind != LockKind::Dpc && kind != LockKind::Executive && acquires.others.dpcs > 0 {
        others.push(Other::Dpc);
    }
    let has_next = match kind {
        LockKind::StartIo | LockKind::Interrupt => false,
        LockKind::Message => acquires.others.messages > 1,
        LockKind::Dpc => acquires.others.dpcs > 1,
        LockKind::Executive => acquires.others.executives > 1,
    };
    if has_next {
        others.push(Other::Next);
    }
    others
}

/// Whether Interrupt excludes all that the lock excludes, and may be taken here.
fn is_stronger(acquires: &Acquires) -> bool {
    let rank = 1 << LockKind::Interrupt as u8 | 1 << LockKind::Message as u8;
    let in_interrupt = [Routine::Interrupt, Routine::MessageInterrupt, Routine::Synchronized];
    acquires.place.lock == LockKind::Message
        && acquires.held & rank == 0
        && !in_interrupt.iter().any(|routine| acquires.routines.contains(routine))
}

/// Whether the acquire has a form that does not raise the IRQL.
fn may_raise(acquires: &Acquires) -> bool {
    match acquires.place.lock {
        LockKind::Dpc => acquires.is_by(LockApi::Spin) || acquires.is_by(LockApi::SpinEx),
        LockKind::Executive => acquires.is_by(LockApi::Ke) || acquires.is_by(LockApi::KeQueued),
        LockKind::StartIo | LockKind::Interrupt | LockKind::Message => false,
    }
}

/// Whether StorPort calls all of these callbacks at DISPATCH_LEVEL, and the survey saw nothing lower.
fn is_raised_already(acquires: &Acquires) -> bool {
    let raised = [
        Routine::BuildIo,
        Routine::StartIo,
        Routine::Dpc,
        Routine::Timer,
        Routine::TimerEx,
        Routine::ResetBus,
    ];
    acquires.irql >= Irql::DISPATCH
        && acquires.routines.iter().all(|routine| raised.contains(routine))
}

/// The name of a mutant: FNV-1a over what it is.
fn id(mutation: &Mutation) -> String {
    let Mutation { place: Place { spot, lock }, operator } = mutation;
    let text = format!("{spot} {lock} {operator}");
    let hash = text
        .bytes()
        .fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:08x}")
}
