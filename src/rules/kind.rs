//! Kind: whether the lock that a call names exists, and whether the routine can take it.
//!
//! Areas verified: message locks without per-message synchronisation or beyond the granted messages; values of
//! STOR_SPINLOCK that do not exist or that the plain routine does not know; the LockContext of each kind;
//! executive spin locks that are not initialised, initialised twice, or used as ordinary and as queued locks.
//!
//! Areas not verified: where the memory of a lock lies (resident or pageable): the producer of events would
//! have to know how Windows backs it. The word of a lock that is overwritten shows only when it is used.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlockex>

use super::catalogue::{Family, Rule, RuleId, Severity, drivers, storport};
use super::state::{Held, State};
use super::verdict::Verdict;
use crate::event::{EXECUTIVE_LOCKS_MAX, Lock, LockApi, LockMisuse};

pub(super) const NOT_PER_MESSAGE: Rule = Rule {
    id: "lock.not_per_message",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "A message's lock is used although the adapter does not synchronize per message",
    why: "Only InterruptSynchronizePerMessage gives each message a lock. Otherwise nothing is locked, and what \
          the caller believes to be protected is not. Fewer messages than asked for, or none, are granted on \
          real machines.",
    sdv: Some("StorPortMSILock"),
    bug_check: None,
    page: drivers!("devtest/storport-storportmsilock"),
    example: "// wrong: the mode is InterruptSynchronizeAll, or the adapter got a line\n\
              StorPortAcquireMSISpinLock(ext, message, &old);\n\
              // right\nif (ext->PerMessage) StorPortAcquireMSISpinLock(ext, message, &old);\n\
              else StorPortAcquireSpinLock(ext, InterruptLock, NULL, &h);",
};

pub(super) const MESSAGE_RANGE: Rule = Rule {
    id: "lock.message_range",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "The lock of a message is used that the adapter was not granted",
    why: "Messages are numbered from 0 to the number granted less one, which may be less than the driver asked \
          for and less than it has queues. Nothing is locked.",
    sdv: None,
    bug_check: None,
    page: storport!("nf-storport-storportacquiremsispinlock"),
    example: "// wrong: 8 queues, 4 messages granted\nStorPortAcquireMSISpinLock(ext, queue, &old);\n\
              // right\nStorPortAcquireMSISpinLock(ext, queue % ext->MessageCount, &old);",
};

pub(super) const EX_ONLY: Rule = Rule {
    id: "lock.ex_only",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "ThreadedDpcLock or DpcLevelLock is given to StorPortAcquireSpinLock",
    why: "Only StorPortAcquireSpinLockEx knows these kinds. StorPortAcquireSpinLock returns nothing, so the \
          driver cannot see that it holds no lock.",
    sdv: None,
    bug_check: None,
    page: storport!("ne-storport-_stor_spinlock"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, ThreadedDpcLock, &dpc, &h);\n\
              // right\nstatus = StorPortAcquireSpinLockEx(ext, ThreadedDpcLock, &dpc, &h);",
};

pub(super) const UNKNOWN_KIND: Rule = Rule {
    id: "lock.unknown_kind",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "A lock call names a kind of lock that does not exist",
    why: "STOR_SPINLOCK begins at 1: a zeroed variable or handle names no lock, and nothing is locked.",
    sdv: None,
    bug_check: None,
    page: storport!("ne-storport-_stor_spinlock"),
    example: "// wrong\nSTOR_SPINLOCK kind = 0;\nStorPortAcquireSpinLock(ext, kind, NULL, &h);\n\
              // right\nStorPortAcquireSpinLock(ext, InterruptLock, NULL, &h);",
};

pub(super) const DPC_CONTEXT: Rule = Rule {
    id: "lock.dpc_context",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "A Dpc lock is requested without an initialized STOR_DPC",
    why: "The lock lies inside the STOR_DPC. NULL faults; an object that was never initialized, was cleared, or \
          was copied has another lock than the one that everybody else takes, or garbage.",
    sdv: None,
    bug_check: Some("0xD1 DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
    page: storport!("nf-storport-storportacquirespinlock"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, DpcLock, NULL, &h);\n\
              // right: initialized in HwStorPassiveInitializeRoutine\n\
              StorPortAcquireSpinLock(ext, DpcLock, &ext->Dpc, &h);",
};

pub(super) const CONTEXT_NOT_NULL: Rule = Rule {
    id: "lock.context_not_null",
    family: Family::Kind,
    severity: Severity::Warning,
    sentence: "A LockContext is given with a lock that takes none",
    why: "StartIoLock and InterruptLock want NULL. The context is ignored, so the driver does not hold the lock \
          of the DPC that it names there.",
    sdv: None,
    bug_check: None,
    page: storport!("nf-storport-storportacquirespinlock"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, StartIoLock, &ext->Dpc, &h);\n\
              // right\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);",
};

pub(super) const UNINITIALIZED: Rule = Rule {
    id: "lock.uninitialized",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "An executive spin lock is used before it is initialized",
    why: "Whatever the memory holds is taken for the state of the lock.",
    sdv: None,
    bug_check: Some("0xC4/0x1002 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("kernel/initializing-spin-locks"),
    example: "// wrong\nKSPIN_LOCK lock;\nKeAcquireSpinLock(&lock, &old);\n\
              // right\nKeInitializeSpinLock(&lock);\nKeAcquireSpinLock(&lock, &old);",
};

pub(super) const INITIALIZED_TWICE: Rule = Rule {
    id: "lock.initialized_twice",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "An executive spin lock is initialized again",
    why: "Initializing frees the lock: while it is held, two processors are then inside. A lock that is free \
          survives it, this time.",
    sdv: None,
    bug_check: Some("0xC4/0x1005 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("kernel/initializing-spin-locks"),
    example: "// wrong: on every reset\nKeInitializeSpinLock(&ext->Lock);\n\
              // right: once, in HwStorFindAdapter\nKeInitializeSpinLock(&ext->Lock);",
};

pub(super) const MIXED_API: Rule = Rule {
    id: "lock.mixed_api",
    family: Family::Kind,
    severity: Severity::Error,
    sentence: "An executive spin lock is used both as an ordinary and as a queued lock",
    why: "The two use the lock's word differently: a bit, and the address of the last waiter. When both meet, \
          the word is corrupted.",
    sdv: None,
    bug_check: Some("0xC4/0x1008 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("kernel/queued-spin-locks"),
    example: "// wrong\nKeAcquireSpinLock(&lock, &old);               // here\n\
              KeAcquireInStackQueuedSpinLock(&lock, &h);        // there\n\
              // right: one of the two everywhere",
};

pub(super) const EXECUTIVE_IN_INTERRUPT: Rule = Rule {
    id: "lock.executive_in_interrupt",
    family: Family::Kind,
    severity: Severity::Warning,
    sentence: "An executive spin lock is acquired above DISPATCH_LEVEL",
    why: "Executive spin locks are for code at DISPATCH_LEVEL and below. When an interrupt routine takes one, it \
          waits for ever on the processor whose code holds it: executive locks do not keep the interrupt away.",
    sdv: None,
    bug_check: Some("0x101 CLOCK_WATCHDOG_TIMEOUT"),
    page: drivers!("kernel/introduction-to-spin-locks"),
    example: "// wrong\nBOOLEAN HwStorInterrupt(PVOID ext) {\n    KeAcquireSpinLockAtDpcLevel(&lock);\n\
              // right: HwStorInterrupt runs under the Interrupt lock; others take that\n\
              StorPortAcquireSpinLock(ext, InterruptLock, NULL, &h);",
};

/// A call that names no lock.
pub(super) fn misused(
    state: &State,
    processor: u8,
    api: LockApi,
    release: bool,
    misuse: LockMisuse,
) -> Verdict {
    let own = |(lock, held): &(Lock, &Held)| matches!(lock, Lock::Message(_)) && !held.by_port();
    let message = state.held_by(processor).find(own).map(|(lock, _)| lock);
    let other_message = release && matches!(api, LockApi::Msi) && message.is_some();
    Verdict::of(match misuse {
        LockMisuse::UnknownKind => RuleId::LockUnknownKind,
        LockMisuse::ExOnlyKind => RuleId::LockExOnly,
        LockMisuse::DpcNull | LockMisuse::DpcUninitialized | LockMisuse::DpcForeign => {
            RuleId::LockDpcContext
        }
        LockMisuse::NotPerMessage => RuleId::LockNotPerMessage,
        LockMisuse::MessageOutOfRange if other_message => RuleId::LockReleaseMessage,
        LockMisuse::MessageOutOfRange => RuleId::LockMessageRange,
        LockMisuse::HandleNeverAcquired => RuleId::LockReleaseUnheld,
    })
    .against(message.filter(|_| other_message))
}

/// How executive spin locks have been used, a bit a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Executives {
    initialized: u32,
    ordinary: u32,
    queued: u32,
}

const _: () = assert!(EXECUTIVE_LOCKS_MAX <= 32);

const fn bit(lock: u8) -> u32 {
    1 << (lock as usize % EXECUTIVE_LOCKS_MAX)
}

impl Executives {
    pub(super) const NEW: Executives = Executives { initialized: 0, ordinary: 0, queued: 0 };

    /// A new life of the adapter: everything may be initialised again.
    pub(super) fn forget_initialization(&mut self) {
        self.initialized = 0;
    }

    /// KeInitializeSpinLock. Once in each life of the adapter is right, whatever earlier lives did.
    pub(super) fn initialize(&mut self, lock: u8, held: bool) -> Option<Verdict> {
        let again = self.initialized & bit(lock) != 0;
        self.initialized |= bit(lock);
        (again || held).then(|| {
            Verdict::of(RuleId::LockInitializedTwice).lock(Lock::Executive(lock)).doubtful(!held)
        })
    }

    /// Notes an acquire; whether the lock is now in use in both ways.
    #[inline(always)]
    pub(super) fn mixes(&mut self, lock: u8, api: LockApi) -> bool {
        if matches!(api, LockApi::KeQueued | LockApi::KeQueuedDpcLevel) {
            self.queued |= bit(lock);
        } else {
            self.ordinary |= bit(lock);
        }
        self.queued & self.ordinary & bit(lock) != 0
    }
}
