//! Traces for the rules on kinds of locks and on IRQLs.

use super::Case;
use crate::event::{Kind, Lock, LockApi, LockMisuse, Routine};
use crate::rules::RuleId;
use crate::rules::trace::{DIRQL, Trace};
use crate::storport::{Ddi, Irql, StorStatus};

fn misuse(t: &mut Trace, api: LockApi, misuse: LockMisuse) {
    t.enter(Routine::BuildIo).tell(Kind::LockMisused { api, release: false, misuse });
}

fn take(t: &mut Trace, lock: Lock) {
    t.enter(Routine::BuildIo).acquire(lock).release(lock).leave();
}

fn initialize(t: &mut Trace, lock: u8, held: bool) {
    t.tell(Kind::ExecutiveInitialized { lock, again: false, held });
}

pub(super) const CASES: &[Case] = &[
    Case::error(
        RuleId::LockNotPerMessage,
        |t| misuse(t, LockApi::Msi, LockMisuse::NotPerMessage),
        |t| take(t, Lock::Message(0)),
    ),
    Case::error(
        RuleId::LockMessageRange,
        |t| misuse(t, LockApi::Msi, LockMisuse::MessageOutOfRange),
        |t| take(t, Lock::Message(3)),
    ),
    Case::error(
        RuleId::LockExOnly,
        |t| misuse(t, LockApi::Spin, LockMisuse::ExOnlyKind),
        |t| {
            t.enter(Routine::BuildIo).acquire_by(Lock::Dpc(0), LockApi::ThreadedDpc);
            t.release(Lock::Dpc(0)).leave();
        },
    ),
    Case::error(
        RuleId::LockUnknownKind,
        |t| misuse(t, LockApi::SpinEx, LockMisuse::UnknownKind),
        |t| take(t, Lock::Interrupt),
    ),
    Case::error(
        RuleId::LockDpcContext,
        |t| misuse(t, LockApi::Spin, LockMisuse::DpcNull),
        |t| take(t, Lock::Dpc(0)),
    ),
    Case::error(
        RuleId::LockDpcContext,
        |t| misuse(t, LockApi::Spin, LockMisuse::DpcForeign),
        |t| take(t, Lock::Dpc(0)),
    ),
    Case::warning(
        RuleId::LockContextNotNull,
        |t| {
            t.enter(Routine::BuildIo).tell(Kind::ContextIgnored { api: LockApi::Spin });
        },
        |t| take(t, Lock::StartIo),
    ),
    Case::error(
        RuleId::LockUninitialized,
        |t| {
            t.enter(Routine::BuildIo).tell(Kind::ExecutiveUninitialized { lock: 0 });
        },
        |t| {
            initialize(t, 0, false);
            take(t, Lock::Executive(0));
        },
    ),
    Case::error(
        RuleId::LockInitializedTwice,
        |t| {
            t.enter(Routine::BuildIo).acquire(Lock::Executive(0));
            initialize(t, 0, true);
        },
        |t| initialize(t, 0, false),
    ),
    // Idle, it survives; and in the adapter's next life it is right.
    Case::warning(
        RuleId::LockInitializedTwice,
        |t| {
            initialize(t, 0, false);
            initialize(t, 0, false);
        },
        |t| {
            initialize(t, 0, false);
            t.port(Kind::AdapterStopped { surprise: false });
            initialize(t, 0, false);
        },
    ),
    Case::error(
        RuleId::LockMixedApi,
        |t| {
            take(t, Lock::Executive(1));
            t.enter(Routine::Dpc).acquire_by(Lock::Executive(1), LockApi::KeQueued);
        },
        |t| {
            take(t, Lock::Executive(1));
            t.enter(Routine::Dpc).acquire_by(Lock::Executive(1), LockApi::KeDpcLevel);
            t.release(Lock::Executive(1));
            t.acquire_by(Lock::Executive(2), LockApi::KeQueued).release(Lock::Executive(2)).leave();
        },
    ),
    Case::warning(
        RuleId::LockExecutiveInInterrupt,
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0);
            t.acquire_by(Lock::Executive(0), LockApi::KeDpcLevel)
                .release(Lock::Executive(0))
                .leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::Executive(0), LockApi::KeDpcLevel);
            t.release(Lock::Executive(0)).leave();
        },
    ),
    Case::error(
        RuleId::IrqlDdi,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Interrupt).call(Ddi::AllocatePool);
        },
        |t| {
            t.enter(Routine::Dpc).call(Ddi::AllocatePool).acquire(Lock::Interrupt);
            t.call(Ddi::ReadRegister).release(Lock::Interrupt).leave();
        },
    ),
    Case::error(
        RuleId::IrqlDdi,
        |t| {
            t.enter(Routine::BuildIo).call(Ddi::RegistryRead);
        },
        |t| {
            t.enter(Routine::FindAdapter).call(Ddi::RegistryRead).leave();
        },
    ),
    Case::error(
        RuleId::IrqlRestore,
        |t| {
            t.enter(Routine::WorkItem).raise(Irql::DISPATCH).leave();
        },
        |t| {
            t.enter(Routine::WorkItem).raise(Irql::DISPATCH).lower(Irql::PASSIVE).leave();
        },
    ),
    Case::error(
        RuleId::IrqlLockLevel,
        |t| {
            t.enter(Routine::Dpc).raise(DIRQL).acquire(Lock::StartIo);
        },
        |t| {
            t.enter(Routine::WorkItem).raise(Irql::APC).acquire(Lock::StartIo);
            t.release(Lock::StartIo).lower(Irql::PASSIVE).leave();
        },
    ),
    Case::error(
        RuleId::IrqlLockLevel,
        |t| {
            t.enter(Routine::WorkItem).acquire_by(Lock::Executive(0), LockApi::KeDpcLevel);
        },
        |t| {
            t.enter(Routine::BuildIo).acquire_by(Lock::Executive(0), LockApi::KeDpcLevel);
            t.release(Lock::Executive(0)).leave();
        },
    ),
    Case::error(
        RuleId::IrqlLockLevel,
        |t| {
            t.enter(Routine::Dpc).raise(Irql::HIGH).acquire(Lock::Interrupt);
        },
        |t| {
            t.enter(Routine::Dpc).raise(DIRQL).acquire(Lock::Interrupt).release(Lock::Interrupt);
            t.lower(Irql::DISPATCH).leave();
        },
    ),
    // The level of DpcLevelLock is said in passing only; the Ex routine refuses by itself.
    Case::warning(
        RuleId::IrqlLockLevel,
        |t| {
            t.enter(Routine::WorkItem).acquire_by(Lock::Dpc(0), LockApi::DpcLevel);
            t.release(Lock::Dpc(0)).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::Dpc(0), LockApi::DpcLevel);
            t.release(Lock::Dpc(0)).leave();
        },
    ),
    // Interrupt is a lock of the adapter's own DIRQL, above which it would lower the level.
    Case::error(
        RuleId::IrqlLockLevel,
        |t| {
            t.enter(Routine::Dpc).raise(Irql(DIRQL.0 + 1)).acquire(Lock::Interrupt);
        },
        |t| {
            t.enter(Routine::Dpc).raise(DIRQL).acquire(Lock::Interrupt).release(Lock::Interrupt);
            t.lower(Irql::DISPATCH).leave();
        },
    ),
    Case::warning(
        RuleId::IrqlLockLevel,
        |t| {
            // Back at DIRQL the lock has all that it needs.
            t.enter(Routine::Dpc).raise(DIRQL).raise(Irql::HIGH).acquire(Lock::Message(0));
            t.lower(DIRQL).release(Lock::Message(0)).lower(Irql::DISPATCH).leave();
        },
        |t| {
            t.enter(Routine::Dpc).raise(DIRQL).acquire(Lock::Message(0)).release(Lock::Message(0));
            t.lower(Irql::DISPATCH).leave();
        },
    ),
    Case::warning(
        RuleId::IrqlLockLevel,
        |t| {
            t.enter(Routine::Dpc).raise(DIRQL).acquire_by(Lock::Dpc(0), LockApi::DpcLevel);
            t.release(Lock::Dpc(0)).lower(Irql::DISPATCH).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::Dpc(0), LockApi::DpcLevel);
            t.release(Lock::Dpc(0)).leave();
        },
    ),
    Case::warning(
        RuleId::IrqlLockLevel,
        |t| {
            // Interrupt itself, and no order of locks.
            let status = StorStatus::INVALID_IRQL;
            t.enter(Routine::Dpc).acquire(Lock::Message(0)).raise(Irql::HIGH);
            t.tell(Kind::LockRefused { api: LockApi::SpinEx, status });
        },
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::Interrupt, LockApi::SpinEx);
            t.release(Lock::Interrupt).leave();
        },
    ),
    Case::warning(
        RuleId::IrqlLockLevel,
        |t| {
            let status = StorStatus::INVALID_IRQL;
            t.enter(Routine::Dpc).raise(DIRQL);
            t.tell(Kind::LockRefused { api: LockApi::SpinEx, status });
        },
        |t| {
            t.enter(Routine::Dpc).acquire_by(Lock::StartIo, LockApi::SpinEx);
            t.release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::IrqlRaise,
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0).raise(Irql::DISPATCH);
        },
        |t| {
            t.enter(Routine::Dpc).raise(DIRQL).lower(Irql::DISPATCH).leave();
        },
    ),
    Case::error(
        RuleId::IrqlLower,
        |t| {
            t.enter(Routine::BuildIo).lower(Irql::PASSIVE);
        },
        |t| {
            t.enter(Routine::BuildIo).raise(Irql::DISPATCH).lower(Irql::DISPATCH).leave();
        },
    ),
    Case::error(
        RuleId::IrqlLower,
        |t| {
            t.enter(Routine::WorkItem).lower(Irql::DISPATCH);
        },
        |t| {
            t.enter(Routine::WorkItem).lower(Irql::PASSIVE).leave();
        },
    ),
    // The levels that KeRaiseIrql returned, and no other.
    Case::error(
        RuleId::IrqlLower,
        |t| {
            t.enter(Routine::WorkItem).raise(DIRQL).lower(Irql::APC);
        },
        |t| {
            t.enter(Routine::WorkItem).raise(Irql::APC).raise(DIRQL).lower(Irql::APC);
            t.lower(Irql::PASSIVE).leave();
        },
    ),
    Case::error(
        RuleId::IrqlLower,
        |t| {
            t.enter(Routine::WorkItem).raise(DIRQL).lower(Irql::PASSIVE).raise(Irql::APC);
            t.lower(Irql::DISPATCH);
        },
        |t| {
            t.enter(Routine::WorkItem).raise(DIRQL).lower(Irql::PASSIVE).raise(Irql::APC);
            t.lower(Irql::PASSIVE).leave();
        },
    ),
    // Out of order, which is a warning, at a level at which it must not be called.
    Case::error(
        RuleId::IrqlDdi,
        |t| {
            t.enter(Routine::BuildIo).acquire(Lock::Executive(0)).acquire(Lock::Dpc(0));
            t.raise(DIRQL).release(Lock::Executive(0));
        },
        |t| {
            t.enter(Routine::BuildIo).acquire(Lock::Executive(0)).acquire(Lock::Dpc(0));
            t.raise(DIRQL).lower(Irql::DISPATCH);
            t.release(Lock::Dpc(0)).release(Lock::Executive(0)).leave();
        },
    ),
    // A doubtful cell of the tables does not excuse the level.
    Case::error(
        RuleId::IrqlLockLevel,
        |t| {
            t.enter(Routine::Timer).raise(DIRQL).acquire(Lock::Dpc(0));
        },
        |t| {
            t.enter(Routine::BuildIo).acquire(Lock::Dpc(0)).release(Lock::Dpc(0)).leave();
        },
    ),
    Case::error(
        RuleId::IrqlBelowLock,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).acquire(Lock::Interrupt);
            t.release(Lock::StartIo);
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo).acquire(Lock::Interrupt);
            t.release(Lock::Interrupt).release(Lock::StartIo).leave();
        },
    ),
    Case::error(
        RuleId::IrqlBelowLock,
        |t| {
            t.enter(Routine::WorkItem).acquire(Lock::StartIo).lower(Irql::PASSIVE);
        },
        |t| {
            t.enter(Routine::WorkItem).raise(DIRQL).acquire(Lock::Message(0));
            t.release(Lock::Message(0)).lower(Irql::PASSIVE).leave();
        },
    ),
];
