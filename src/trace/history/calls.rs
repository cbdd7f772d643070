//! What an event says, as a line of a script.

use crate::event::{Lock, LockApi, LockMisuse, Routine};
use crate::miniport::puppet::{ARGUMENT_MAX, Call, Context, LockName, Op};
use crate::storport::{Ddi, SrbStatus};

/// A DPC that the puppet never initialises.
const NEVER_INITIALIZED: u8 = 7;

/// A call with nothing said of where it is made.
pub(super) const fn of(op: Op) -> Call {
    Call::new(Routine::StartIo, op)
}

/// The acquire, and whether it leaves a handle or an OldIrql behind.
pub(super) const fn acquire(lock: Lock, api: LockApi) -> (Call, bool) {
    let name = match lock {
        Lock::StartIo => LockName::StartIo,
        Lock::Interrupt | Lock::Message(_) | Lock::Executive(_) => LockName::Interrupt,
        Lock::Dpc(_) => LockName::Dpc,
    };
    match api {
        LockApi::Port | LockApi::Spin => (of(Op::Acquire).lock(name), true),
        LockApi::SpinEx => (of(Op::AcquireEx).lock(name), true),
        LockApi::ThreadedDpc => (of(Op::AcquireEx).lock(LockName::ThreadedDpc), true),
        LockApi::DpcLevel => (of(Op::AcquireEx).lock(LockName::DpcLevel), true),
        LockApi::Msi => (of(Op::AcquireMsi), true),
        LockApi::Synchronize => (of(Op::Synchronize), false),
        LockApi::Ke => (of(Op::KeAcquire), true),
        LockApi::KeDpcLevel => (of(Op::KeAcquireAtDpcLevel), false),
        LockApi::KeQueued | LockApi::KeQueuedDpcLevel => (of(Op::KeAcquireQueued), true),
    }
}

/// The release; `None` where StorPort releases.
pub(super) const fn release(api: LockApi) -> Option<Call> {
    let op = match api {
        LockApi::Port | LockApi::Synchronize => return None,
        LockApi::Spin | LockApi::SpinEx | LockApi::ThreadedDpc | LockApi::DpcLevel => Op::Release,
        LockApi::Msi => Op::ReleaseMsi,
        LockApi::Ke => Op::KeRelease,
        LockApi::KeDpcLevel => Op::KeReleaseFromDpcLevel,
        LockApi::KeQueued | LockApi::KeQueuedDpcLevel => Op::KeReleaseQueued,
    };
    Some(of(op))
}

/// A lock call without effect.
pub(super) const fn misused(api: LockApi, release: bool, misuse: LockMisuse) -> Call {
    let is_ex = matches!(api, LockApi::SpinEx | LockApi::ThreadedDpc | LockApi::DpcLevel);
    let acquire = of(if is_ex { Op::AcquireEx } else { Op::Acquire });
    let msi = of(if release { Op::ReleaseMsi } else { Op::AcquireMsi });
    match misuse {
        LockMisuse::UnknownKind => acquire.lock(LockName::Unknown),
        LockMisuse::ExOnlyKind => acquire.lock(LockName::ThreadedDpc),
        LockMisuse::DpcNull => acquire.lock(LockName::Dpc).context(Context::Null),
        LockMisuse::DpcUninitialized => acquire.lock(LockName::Dpc).argument(NEVER_INITIALIZED),
        LockMisuse::DpcForeign => acquire.lock(LockName::Dpc).context(Context::Foreign),
        LockMisuse::NotPerMessage => msi,
        LockMisuse::MessageOutOfRange => msi.argument(ARGUMENT_MAX),
        LockMisuse::HandleNeverAcquired => match api {
            LockApi::KeQueued | LockApi::KeQueuedDpcLevel => of(Op::KeReleaseQueued),
            _ => of(Op::Release),
        },
    }
}

/// What StorPortAcquireSpinLockEx refuses is the lock of a lower level than the caller's.
pub(super) const fn refused(api: LockApi) -> Call {
    match api {
        LockApi::ThreadedDpc => of(Op::AcquireEx).lock(LockName::ThreadedDpc),
        _ => of(Op::AcquireEx).lock(LockName::StartIo),
    }
}

/// A completion of the request that the callback is about, or of another one.
pub(super) fn complete(status: SrbStatus, current: bool) -> Call {
    of(match status {
        SrbStatus::SUCCESS if current => Op::Complete,
        SrbStatus::SUCCESS => Op::CompleteOldest,
        SrbStatus::BUSY => Op::CompleteBusy,
        SrbStatus::PENDING => Op::CompletePending,
        _ => Op::CompleteError,
    })
}

/// Calls that lead to a callback, or that keep a lock for long. Everything else that a driver calls is left out.
pub(super) fn other(ddi: Ddi, argument: u32) -> Option<Call> {
    let upto = |amount: u32| amount.min(ARGUMENT_MAX.into()) as u8;
    // As a timer's argument 0 means that it is cancelled.
    let milliseconds = |us: u32| upto(us.div_ceil(1000));
    Some(match ddi {
        Ddi::StallExecution => match argument {
            0..128 => of(Op::StallMicroseconds).argument(upto(argument)),
            128..128_000 => of(Op::StallMilliseconds).argument(upto(argument / 1000)),
            _ => of(Op::StallSeconds).argument(upto(argument / 1_000_000)),
        },
        Ddi::RequestTimerCall => of(Op::RequestTimerCall).argument(milliseconds(argument)),
        Ddi::RequestTimer => of(Op::RequestTimer).argument(milliseconds(argument)),
        Ddi::QueueWorkItem => of(Op::QueueWorkItem),
        Ddi::StateChangeDetected => of(Op::StateChange),
        _ => return None,
    })
}
