//! Traces for the rules on balance, and on interrupts and DPCs against what they interrupt.

use super::Case;
use crate::event::{Handle, Kind, Lock, LockApi, LockMisuse, Routine};
use crate::rules::RuleId;
use crate::rules::trace::{DIRQL, Trace};
use crate::storport::Irql;

pub(super) const CASES: &[Case] = &[
    Case::error(
        RuleId::LockRecursive,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).wait_for(Lock::StartIo);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).release(Lock::StartIo);
            t.acquire(Lock::StartIo).release(Lock::StartIo).leave();
        },
    ),
    // Interrupt is every message's lock.
    Case::error(
        RuleId::LockRecursive,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Message(2)).wait_for(Lock::Interrupt);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Message(2)).release(Lock::Message(2));
            t.acquire(Lock::Interrupt).release(Lock::Interrupt).leave();
        },
    ),
    Case::error(
        RuleId::LockPortHeld,
        |t| {
            t.enter(Routine::StartIo).wait_for(Lock::StartIo);
        },
        |t| {
            t.configure(|a| a.channels = 4).enter(Routine::StartIo);
            t.acquire(Lock::StartIo).release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::LockPortHeld,
        |t| {
            t.enter_about(Routine::MessageInterrupt, 3).wait_for(Lock::Interrupt);
        },
        |t| {
            t.enter_about(Routine::MessageInterrupt, 3).leave();
        },
    ),
    Case::error(
        RuleId::LockPortHeld,
        |t| {
            t.enter(Routine::Dpc).synchronize().wait_for(Lock::Interrupt);
        },
        |t| {
            t.enter(Routine::Dpc).synchronize().leave().release(Lock::Interrupt).leave();
        },
    ),
    // It waits for another processor's message first, and for its own then.
    Case::error(
        RuleId::LockRecursive,
        |t| {
            t.on(1).enter(Routine::Dpc).acquire(Lock::Message(0));
            t.on(0).enter(Routine::Dpc).acquire(Lock::Message(2));
            t.tell(Kind::LockWaited { lock: Lock::Interrupt, api: LockApi::Spin, holder: 1 });
        },
        |t| {
            t.on(1).enter(Routine::Dpc).acquire(Lock::Message(0));
            t.on(0).enter(Routine::BuildIo);
            t.tell(Kind::LockWaited { lock: Lock::Interrupt, api: LockApi::Spin, holder: 1 });
        },
    ),
    // What the two pages on HwStorAdapterControl disagree on.
    Case::warning(
        RuleId::LockPortHeld,
        |t| {
            t.configure(|a| a.control_under_interrupt_lock = true);
            t.enter_about(Routine::AdapterControl, 1).wait_for(Lock::Interrupt);
            t.port(Kind::Deadlocked { lock: Lock::Interrupt, holder: 0, length: 1 });
        },
        |t| {
            t.configure(|a| a.control_under_interrupt_lock = true);
            t.enter_about(Routine::AdapterControl, 6).acquire(Lock::Interrupt);
            t.release(Lock::Interrupt).leave();
        },
    ),
    Case::error(
        RuleId::LockReleaseUnheld,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Dpc(0)).release(Lock::Dpc(0));
            t.release_as(Lock::Dpc(0), Handle::Stale);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Dpc(0)).release(Lock::Dpc(0)).leave();
        },
    ),
    Case::error(
        RuleId::LockReleaseUnheld,
        |t| {
            let misuse = LockMisuse::HandleNeverAcquired;
            t.enter(Routine::Dpc);
            t.tell(Kind::LockMisused { api: LockApi::Spin, release: true, misuse });
        },
        |t| {
            t.enter(Routine::Dpc).leave();
        },
    ),
    Case::error(
        RuleId::LockReleaseForeign,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo);
            t.on(1).enter(Routine::BuildIo).release(Lock::StartIo);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).on(1).enter(Routine::BuildIo).leave();
            t.on(0).release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::LockReleasePortHeld,
        |t| {
            t.enter_about(Routine::MessageInterrupt, 1).release_to(Lock::Message(1), DIRQL);
        },
        |t| {
            t.enter_about(Routine::MessageInterrupt, 1).leave();
        },
    ),
    Case::error(
        RuleId::LockReleaseOther,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).acquire(Lock::Interrupt);
            t.release_as(Lock::Interrupt, Handle::OtherLock);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).acquire(Lock::Interrupt);
            t.release(Lock::Interrupt).release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::LockHandleStale,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).release(Lock::StartIo);
            t.acquire(Lock::StartIo).release_as(Lock::StartIo, Handle::Stale);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).release(Lock::StartIo);
            t.acquire(Lock::StartIo).release(Lock::StartIo).leave();
        },
    ),
    // Stale is stale, whoever has the lock by now.
    Case::error(
        RuleId::LockHandleStale,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).release(Lock::StartIo);
            t.on(1).enter(Routine::Dpc).acquire(Lock::StartIo);
            t.on(0).release_as(Lock::StartIo, Handle::Stale);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).release(Lock::StartIo);
            t.on(1).enter(Routine::Dpc).acquire(Lock::StartIo).release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::LockHandleCopied,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Dpc(1)).release_as(Lock::Dpc(1), Handle::Copied);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Dpc(1)).release(Lock::Dpc(1)).leave();
        },
    ),
    Case::warning(
        RuleId::LockHandleCopied,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Interrupt);
            t.release_as(Lock::Interrupt, Handle::Copied).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Interrupt).release(Lock::Interrupt).leave();
        },
    ),
    Case::error(
        RuleId::LockReleaseMessage,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Message(1));
            t.release_to(Lock::Message(2), Irql::DISPATCH);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Message(1)).release(Lock::Message(1)).leave();
        },
    ),
    Case::error(
        RuleId::LockReleaseMessage,
        |t| {
            let misuse = LockMisuse::MessageOutOfRange;
            t.enter(Routine::Dpc).acquire(Lock::Message(1));
            t.tell(Kind::LockMisused { api: LockApi::Msi, release: true, misuse });
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Message(1)).release(Lock::Message(1)).leave();
        },
    ),
    Case::error(
        RuleId::LockOldIrql,
        |t| {
            t.enter(Routine::WorkItem).acquire(Lock::Message(0));
            t.release_to(Lock::Message(0), Irql::DISPATCH);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Message(0));
            t.release_to(Lock::Message(0), Irql::DISPATCH).leave();
        },
    ),
    // The FromDpcLevel forms take no OldIrql.
    Case::warning(
        RuleId::LockReleaseOrder,
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::Executive(0), LockApi::KeDpcLevel);
            t.acquire(Lock::Message(0)).release_to(Lock::Executive(0), DIRQL);
            t.release(Lock::Message(0)).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::Executive(0), LockApi::KeDpcLevel).raise(DIRQL);
            t.release_to(Lock::Executive(0), DIRQL).lower(Irql::DISPATCH).leave();
        },
    ),
    Case::error(
        RuleId::LockApiPair,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Executive(0));
            t.release_as(Lock::Executive(0), Handle::OtherApi);
        },
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::Executive(0), LockApi::KeDpcLevel);
            t.release(Lock::Executive(0)).leave();
        },
    ),
    Case::warning(
        RuleId::LockReleaseOrder,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).acquire(Lock::Dpc(0));
            t.release(Lock::StartIo).release(Lock::Dpc(0)).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).acquire(Lock::Dpc(0));
            t.release(Lock::Dpc(0)).release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::LockHeldAtReturn,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Interrupt).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Interrupt).release(Lock::Interrupt).leave();
        },
    ),
    Case::error(
        RuleId::LockHeldAtRemoval,
        |t| {
            t.acquire(Lock::StartIo).port(Kind::AdapterStopped { surprise: false });
        },
        |t| {
            t.on(1).enter(Routine::Dpc).acquire(Lock::StartIo);
            t.on(0).port(Kind::AdapterStopped { surprise: true });
            t.on(1).release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::LockLeaked,
        |t| {
            t.acquire(Lock::StartIo).port(Kind::Finished);
        },
        |t| {
            t.acquire(Lock::StartIo).release(Lock::StartIo).port(Kind::Finished);
        },
    ),
    Case::error(
        RuleId::InterruptSelfDeadlock,
        |t| {
            t.configure(|a| a.interrupts = crate::event::Interrupts::Line);
            t.enter(Routine::Dpc).acquire(Lock::Dpc(0));
            t.enter(Routine::Interrupt).wait_for(Lock::Dpc(0));
        },
        |t| {
            t.configure(|a| a.interrupts = crate::event::Interrupts::Line);
            t.enter(Routine::Dpc).acquire(Lock::Dpc(0)).enter(Routine::Interrupt).leave();
            t.release(Lock::Dpc(0)).leave();
        },
    ),
    // Another message's routine interrupted this one's, and wants its lock.
    Case::error(
        RuleId::InterruptSelfDeadlock,
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0);
            t.enter_about(Routine::MessageInterrupt, 1).wait_for(Lock::Message(0));
        },
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0);
            t.enter_about(Routine::MessageInterrupt, 1).leave().leave();
        },
    ),
    Case::error(
        RuleId::DpcSelfDeadlock,
        |t| {
            t.enter(Routine::WorkItem).acquire_by(Lock::Executive(0), LockApi::Ke);
            t.enter(Routine::Dpc).wait_for(Lock::Executive(0));
        },
        |t| {
            t.enter(Routine::WorkItem).acquire(Lock::Executive(0)).release(Lock::Executive(0));
            t.enter(Routine::Dpc).acquire(Lock::Executive(0)).release(Lock::Executive(0));
            t.leave().leave();
        },
    ),
];

#[test]
fn a_self_deadlock_tells_what_was_interrupted() {
    let mut t = Trace::new();
    t.configure(|a| a.interrupts = crate::event::Interrupts::Line);
    t.enter(Routine::StartIo).acquire(Lock::Dpc(0));
    t.enter(Routine::Interrupt).wait_for(Lock::Dpc(0));
    let finding = t.findings()[0];
    assert_eq!(finding.path.routines(), [Routine::StartIo, Routine::Interrupt]);
    assert_eq!(finding.locks, [Some(Lock::Dpc(0)), None, None]);
    assert!(finding.other_site.is_some(), "where the lock was taken");
}
