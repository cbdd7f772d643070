//! Balance: every acquire has one release, by the same processor, with the same handle, in the same callback.
//!
//! Areas verified: a lock requested by the processor that holds it, told apart by who took it (this callback:
//! `lock.recursive`; StorPort, for this callback: `lock.port_held`; code that this callback interrupted: see
//! [`interrupt`](super::interrupt)); releases of what is not held, by whom, with which handle or OldIrql, through
//! which routine; locks that outlive their callback, the adapter or the run; the order of releases.
//!
//! Areas not verified: whether storage of a handle is shared by two locks that are held at once (no event says
//! where a handle lies; a handle that is overwritten so shows as another lock's or as stale at the release);
//! locks that StorPort itself takes and gives back.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/devtest/storport-storportspinlock>

use super::catalogue::{Family, Rule, RuleId, Severity, ddi, drivers, storport};
use super::order::held_in_doubt;
use super::state::{Held, NONE, State};
use super::verdict::{At, Verdict};
use crate::event::{Handle, Lock, LockApi, PROCESSORS_MAX, Routine};
use crate::storport::Irql;

pub(super) const RECURSIVE: Rule = Rule {
    id: "lock.recursive",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is requested by the callback that holds it already",
    why: "Spin locks do not nest: the processor waits for itself, at raised IRQL, for ever. With per-message \
          synchronisation Interrupt stands for all message locks, so it counts as each of them.",
    sdv: Some("StorPortSpinLock, SpinLock"),
    bug_check: Some("0x0F SPIN_LOCK_ALREADY_OWNED"),
    page: storport!("nf-storport-storportacquirespinlock"),
    example: "// wrong: Complete() takes the lock that its caller holds\n\
              StorPortAcquireSpinLock(ext, DpcLock, &ext->Dpc, &h);\nComplete(ext);\n\
              // right\nStorPortReleaseSpinLock(ext, &h);\nComplete(ext);",
};

pub(super) const PORT_HELD: Rule = Rule {
    id: "lock.port_held",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is requested that StorPort holds around this callback",
    why: "StorPort takes locks before it calls some routines: StartIo around HwStorStartIo with one channel, \
          HwStorTimer and HwStorResetBus, Interrupt around interrupt routines. Requesting one there waits for \
          its own caller.",
    sdv: Some("StorPortSpinLock3"),
    bug_check: Some("0x0F SPIN_LOCK_ALREADY_OWNED"),
    page: storport!("nf-storport-storportacquirespinlock"),
    example: "// wrong: StorPort holds StartIo here\nVOID HwStorTimer(PVOID ext) {\n    \
              StorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);\n\
              // right: the same code from a DPC, where no lock is held\n\
              VOID HwStorDpcRoutine(...) {\n    StorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);",
};

pub(super) const RELEASE_UNHELD: Rule = Rule {
    id: "lock.release_unheld",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released that nobody holds",
    why: "The release gives the lock away a second time: two processors may then be inside, or the queue of \
          waiters is corrupted. Most often an error path releases what the success path released.",
    sdv: Some("StorPortSpinLock4, SpinLockRelease, QueuedSpinLockRelease"),
    bug_check: Some("0x10 SPIN_LOCK_NOT_OWNED"),
    page: drivers!("devtest/storport-storportspinlock4"),
    example: "// wrong\nif (failed) StorPortReleaseSpinLock(ext, &h);\nStorPortReleaseSpinLock(ext, &h);\n\
              // right\nStorPortReleaseSpinLock(ext, &h);\nif (failed) return FALSE;",
};

pub(super) const RELEASE_FOREIGN: Rule = Rule {
    id: "lock.release_foreign",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released by a processor that does not hold it",
    why: "The holder is still inside what the lock protects, and its own release comes later, when the lock is \
          somebody else's. The IRQL that was saved belongs to the other processor.",
    sdv: Some("StorPortSpinLock4"),
    bug_check: Some("0xC4/0x1004 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/storport-storportspinlock4"),
    example: "// wrong: the handle lies in the device extension, the release in another callback\n\
              StorPortReleaseSpinLock(ext, &ext->Handle);\n\
              // right: acquire and release in one callback, handle on its stack\n\
              STOR_LOCK_HANDLE h = {0};",
};

pub(super) const RELEASE_PORT_HELD: Rule = Rule {
    id: "lock.release_port_held",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released that StorPort holds around this callback",
    why: "What StorPort acquired, StorPort releases when the callback returns. Released before, the callback \
          runs unprotected, and StorPort's release hits a lock that is not its own any more.",
    sdv: Some("StorPortSpinLock4"),
    bug_check: Some("0xC4/0x1007 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/storport-storportspinlock4"),
    example: "// wrong: in HwMSInterruptRoutine for message 3\nStorPortReleaseMSISpinLock(ext, 3, DISPATCH_LEVEL);\n\
              // right: leave it to StorPort\nreturn TRUE;",
};

pub(super) const RELEASE_OTHER: Rule = Rule {
    id: "lock.release_other",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released with the handle of another lock",
    why: "The handle says how the lock was taken and which IRQL to restore. With another lock's handle the \
          wrong lock is released, or the right one at the wrong IRQL.",
    sdv: Some("StorPortSpinLock4"),
    bug_check: Some("0xC4/0x1007 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nf-storport-storportreleasespinlock"),
    example: "// wrong: one handle for two locks\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);\n\
              StorPortAcquireSpinLock(ext, InterruptLock, NULL, &h);\n\
              // right\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &startIo);\n\
              StorPortAcquireSpinLock(ext, InterruptLock, NULL, &interrupt);",
};

pub(super) const HANDLE_STALE: Rule = Rule {
    id: "lock.handle_stale",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released with the handle of an earlier acquire",
    why: "A handle is used up by its release. The lock was taken again since, with another handle; the stale \
          one restores an old IRQL and breaks the queue of waiters.",
    sdv: None,
    bug_check: Some("0xC4/0x1007 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nf-storport-storportreleasespinlock"),
    example: "// wrong: h was released already\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &h2);\n\
              StorPortReleaseSpinLock(ext, &h);\n\
              // right\nStorPortReleaseSpinLock(ext, &h2);",
};

pub(super) const HANDLE_COPIED: Rule = Rule {
    id: "lock.handle_copied",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released with a copy of its handle",
    why: "StartIo, Dpc and queued executive locks are in-stack queued locks: the handle itself is the place in \
          the queue, and waiters hold its address. Released through a copy, the processor spins for ever. \
          An Interrupt or message lock has no queue there, so a copy is only against the rules.",
    sdv: None,
    bug_check: None,
    page: drivers!("kernel/queued-spin-locks"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);\next->Saved = h;\n\
              StorPortReleaseSpinLock(ext, &ext->Saved);\n\
              // right\nStorPortReleaseSpinLock(ext, &h);",
};

pub(super) const RELEASE_MESSAGE: Rule = Rule {
    id: "lock.release_message",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "Another message's lock is released than the one that is held",
    why: "StorPortReleaseMSISpinLock has no handle: it releases the message that it is given. The lock that was \
          acquired stays held for ever, and somebody else's may be given away.",
    sdv: Some("StorPortSpinLock4"),
    bug_check: Some("0xC4/0x1007 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nf-storport-storportreleasemsispinlock"),
    example: "// wrong\nStorPortAcquireMSISpinLock(ext, queue->Message, &old);\n\
              StorPortReleaseMSISpinLock(ext, queue->Index, old);\n\
              // right\nStorPortReleaseMSISpinLock(ext, queue->Message, old);",
};

pub(super) const OLD_IRQL: Rule = Rule {
    id: "lock.old_irql",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released with another OldIrql than its acquire returned",
    why: "The release sets that IRQL. Too low, and the caller, who still counts on the old level, is interrupted \
          or rescheduled; too high, and the processor stays deaf.",
    sdv: Some("IrqlKeReleaseSpinLock"),
    bug_check: Some("0xC8 IRQL_UNEXPECTED_VALUE"),
    page: storport!("nf-storport-storportreleasemsispinlock"),
    example: "// wrong\nStorPortReleaseMSISpinLock(ext, message, DISPATCH_LEVEL);\n\
              // right\nStorPortAcquireMSISpinLock(ext, message, &old);\n...\n\
              StorPortReleaseMSISpinLock(ext, message, old);",
};

pub(super) const API_PAIR: Rule = Rule {
    id: "lock.api_pair",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is released by a routine that does not belong to its acquire",
    why: "Each acquire has one release: plain with plain, AtDpcLevel with FromDpcLevel, queued with queued, MSI \
          with MSI. The others restore no IRQL, or one that was never saved, or treat the lock's word as \
          something else.",
    sdv: None,
    bug_check: Some("0xC4/0x1009 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: ddi!("wdm/nf-wdm-kereleasespinlockfromdpclevel"),
    example: "// wrong\nKeAcquireSpinLock(&lock, &old);\nKeReleaseSpinLockFromDpcLevel(&lock);\n\
              // right\nKeAcquireSpinLock(&lock, &old);\nKeReleaseSpinLock(&lock, old);",
};

pub(super) const RELEASE_ORDER: Rule = Rule {
    id: "lock.release_order",
    family: Family::Balance,
    severity: Severity::Warning,
    sentence: "Locks are not released in the reverse order of their acquires",
    why: "Every release restores the IRQL that its own acquire saved. Here that does no harm, because both saved \
          the same; called at another IRQL the same code drops below a lock that it still holds.",
    sdv: None,
    bug_check: Some("0xC4/0x1003 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/deadlock-detection"),
    example: "// wrong\nAcquire(&a); Acquire(&b); Release(&a); Release(&b);\n\
              // right\nAcquire(&a); Acquire(&b); Release(&b); Release(&a);",
};

pub(super) const HELD_AT_RETURN: Rule = Rule {
    id: "lock.held_at_return",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A routine returns with a lock that it acquired",
    why: "No lock may survive the routine that took it: StorPort goes on at the wrong IRQL, the next caller waits \
          for ever. Most often one path out of the routine forgets the release.",
    sdv: Some("StorPortSpinLock, SpinLock, SpinLockDpc, QueuedSpinLock"),
    bug_check: Some("0xC8 IRQL_UNEXPECTED_VALUE"),
    page: drivers!("devtest/storport-storportspinlock"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, InterruptLock, NULL, &h);\nif (full) return FALSE;\n\
              // right\nif (full) { StorPortReleaseSpinLock(ext, &h); return FALSE; }",
};

pub(super) const HELD_AT_REMOVAL: Rule = Rule {
    id: "lock.held_at_removal",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "The adapter is stopped while one of its locks is held",
    why: "The locks live in memory that goes away with the adapter.",
    sdv: None,
    bug_check: Some("0xC4/0x100B DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nc-storport-hw_adapter_control"),
    example: "// wrong: a DPC still holds a lock when ScsiStopAdapter has returned\n\
              // right: wait until every DPC has run before answering ScsiStopAdapter",
};

pub(super) const LEAKED: Rule = Rule {
    id: "lock.leaked",
    family: Family::Balance,
    severity: Severity::Error,
    sentence: "A lock is never released",
    why: "The run has become quiet and nobody is left who would release it; the next request for it hangs.",
    sdv: Some("StorPortSpinLock"),
    bug_check: Some("0xC4/0x100A DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/storport-storportspinlock"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);\nreturn TRUE;\n\
              // right\nStorPortReleaseSpinLock(ext, &h);\nreturn TRUE;",
};

/// A release as the event tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    pub(super) processor: u8,
    pub(super) lock: Lock,
    pub(super) api: LockApi,
    pub(super) holder: Option<u8>,
    pub(super) handle: Handle,
    /// IRQL at the call.
    pub(super) from: Irql,
    /// IRQL after it.
    pub(super) irql: Irql,
    pub(super) saved: Irql,
}

impl Release {
    /// Whether nothing is wrong: the test that nearly every release passes. `number` is the lock's.
    #[inline(always)]
    pub(super) fn is_plain(&self, state: &State, number: usize) -> bool {
        self.holder == Some(self.processor)
            && matches!(self.handle, Handle::Same)
            && self.irql.0 == self.saved.0
            && state.newest_number(self.processor).map(usize::from) == Some(number)
            && state.held_at(number).is_some_and(|held| !held.by_port())
    }

    /// The most specific objection to it.
    pub(super) fn judge(&self, state: &State) -> Option<Verdict> {
        let lock = self.lock;
        let verdict = |rule| Some(Verdict::of(rule).lock(lock));
        let own = self.holder == Some(self.processor);
        if matches!(self.handle, Handle::OtherLock) {
            return verdict(RuleId::LockReleaseOther);
        }
        if !own && let Some(message) = self.message_meant(state) {
            return Some(Verdict::of(RuleId::LockReleaseMessage).lock(lock).against(Some(message)));
        }
        let Some(holder) = self.holder else { return verdict(RuleId::LockReleaseUnheld) };
        if matches!(self.handle, Handle::Stale) {
            return verdict(RuleId::LockHandleStale);
        }
        if holder != self.processor {
            return Some(Verdict::of(RuleId::LockReleaseForeign).lock(lock).against(Some(lock)));
        }
        let held = own_hold(state, holder, lock).and_then(|held| state.held(held));
        if held.is_some_and(|held| held.by_port()) {
            return verdict(RuleId::LockReleasePortHeld);
        }
        match self.handle {
            Handle::OtherApi => verdict(RuleId::LockApiPair),
            Handle::Copied => {
                let queued = !matches!(lock, Lock::Interrupt | Lock::Message(_));
                Some(Verdict::of(RuleId::LockHandleCopied).lock(lock).doubtful(!queued))
            }
            _ if self.restores_irql() && self.irql != self.saved => verdict(RuleId::LockOldIrql),
            _ => self.judge_order(state),
        }
    }

    /// Whether the routine takes an OldIrql: the FromDpcLevel forms leave the IRQL as it is, whatever it is by
    /// then.
    const fn restores_irql(&self) -> bool {
        !matches!(self.api, LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel)
    }

    /// The message whose lock the driver holds while it releases another one's.
    fn message_meant(&self, state: &State) -> Option<Lock> {
        let own =
            |(lock, held): &(Lock, &Held)| matches!(lock, Lock::Message(_)) && !held.by_port();
        let message = state.held_by(self.processor).find(own).map(|(lock, _)| lock);
        message.filter(|_| matches!(self.api, LockApi::Msi))
    }

    /// Out of order: an error where the IRQL falls below what another lock needs.
    fn judge_order(&self, state: &State) -> Option<Verdict> {
        let lock = self.lock;
        let newest = state.newest(self.processor)?;
        if newest == lock {
            return None;
        }
        let falls = self.irql < self.from;
        let needy = super::irql::needy(state, self.processor, self.irql);
        let needy = needy.filter(|other| falls && *other != lock);
        Some(match needy {
            Some(_) => Verdict::of(RuleId::IrqlBelowLock).lock(lock).against(needy),
            None => Verdict::of(RuleId::LockReleaseOrder).lock(lock).against(Some(newest)),
        })
    }
}

/// The processor waits for a lock that it holds itself, wholly or in part: which mistake that is.
pub(super) fn self_wait(
    state: &State,
    processor: u8,
    (lock, against): (Lock, Lock),
    api: LockApi,
) -> Verdict {
    let verdict = Verdict::of(RuleId::LockRecursive).lock(lock).against(Some(against));
    let Some(held) = state.held(against) else { return verdict };
    let p = state.processor(processor);
    let verdict = verdict.doubtful(held_in_doubt(p, held));
    let frames = p.frames();
    // What runs inside the callback that holds it; inside StorPort, while that has no callback for it.
    let outer = if held.callback == NONE { held.depth } else { held.callback };
    let inner = frames.get(usize::from(outer)..).unwrap_or(&[]);
    if matches!(api, LockApi::Port) {
        return super::interrupt::between(verdict, inner, Some(lock));
    }
    let interrupted = inner.iter().any(|frame| frame.routine != Routine::Synchronized);
    if interrupted {
        super::interrupt::between(verdict, inner, None)
    } else if held.by_port() {
        Verdict { rule: RuleId::LockPortHeld, ..verdict }
    } else {
        verdict
    }
}

/// What a processor holds of `lock`: itself, or a part of it (a message of Interrupt), or what it is part of.
pub(super) fn own_hold(state: &State, processor: u8, lock: Lock) -> Option<Lock> {
    let own = |l: Lock| state.held(l).is_some_and(|held| held.owner == processor);
    match lock {
        _ if own(lock) => Some(lock),
        Lock::Message(_) if own(Lock::Interrupt) => Some(Lock::Interrupt),
        Lock::Interrupt => {
            state.held_by(processor).map(|(l, _)| l).find(|l| matches!(l, Lock::Message(_)))
        }
        _ => None,
    }
}

/// A callback is about to end: a lock that it took and has not given back.
#[inline]
pub(super) fn at_return(state: &State, processor: u8) -> Option<Verdict> {
    let lock = state.newest(processor)?;
    let held = state.held(lock)?;
    let depth = state.processor(processor).depth;
    let left = held.depth >= depth && depth > 0 && !held.by_port();
    left.then(|| Verdict::of(RuleId::LockHeldAtReturn).lock(lock).at(At::Acquire))
}

/// A lock of the driver's that is held although the adapter has stopped, or the run has ended.
///
/// Another processor may still be inside a callback, and then the lock has its owner.
pub(super) fn held_at_end(state: &State, rule: RuleId) -> Option<Verdict> {
    (0..PROCESSORS_MAX as u8)
        .filter(|&processor| state.processor(processor).depth == 0)
        .flat_map(|processor| state.held_by(processor))
        .find(|(_, held)| !held.by_port())
        .map(|(lock, _)| Verdict::of(rule).lock(lock).at(At::Acquire))
}
