//! IRQL: every routine at a level at which it works, and every callback's level given back.
//!
//! Areas verified: the documented limits of every DDI of [`Ddi`] that has any; the level at
//! which each kind of lock may be requested; KeRaiseIrql and KeLowerIrql; the level at return; a level that falls
//! below what a held lock needs.
//!
//! Areas not verified: DDIs whose page gives no level (there is nothing to hold the driver to);
//! StorPortEnablePassiveInitialization, whose "DIRQL" only repeats that HwStorInitialize is the place (see
//! `init.passive_place`; a virtual miniport's runs lower); that DpcLevelLock needs DISPATCH_LEVEL is said in passing
//! only, so any other is a warning; so is a message's lock above the device's level, because one page allows any;
//! StorPortAcquireSpinLockEx refuses a wrong level by itself, so that is a warning too; KeLowerIrql past the last
//! KeRaiseIrql to an earlier one's level (its page forbids it, and it does no harm); crash dumps, where everything runs at HIGH_LEVEL; PAGED_CODE, a macro that leaves no
//! call; waits, which StorPort does not offer below Windows 10 2004.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/devtest/storport-storportirql>

use super::catalogue::{Family, Rule, RuleId, Severity, ddi, drivers, storport};
use super::order::held_in_doubt;
use super::state::{Held, Processor, State};
use super::verdict::{At, Verdict};
use crate::event::{Lock, LockApi};
use crate::storport::{Ddi, Irql};

pub(super) const DDI: Rule = Rule {
    id: "irql.ddi",
    family: Family::Irql,
    severity: Severity::Error,
    sentence: "A routine is called at an IRQL at which it must not be called",
    why: "Above its highest level a routine may wait, touch pageable memory or take a lock of a lower level; \
          below its lowest it counts on not being interrupted.",
    sdv: Some("StorPortIrql"),
    bug_check: Some("0x0A IRQL_NOT_LESS_OR_EQUAL"),
    page: drivers!("devtest/storport-storportirql"),
    example: "// wrong: under the Interrupt lock\nStorPortAllocatePool(ext, 512, 'xxxx', &buffer);\n\
              // right: before the lock is taken\nStorPortAllocatePool(ext, 512, 'xxxx', &buffer);\n\
              StorPortAcquireSpinLock(ext, InterruptLock, NULL, &h);",
};

pub(super) const RESTORE: Rule = Rule {
    id: "irql.restore",
    family: Family::Irql,
    severity: Severity::Error,
    sentence: "A routine returns at another IRQL than it was called at",
    why: "StorPort, and the kernel under it, go on at that level: too high, and nothing else runs on the \
          processor; too low, and it is interrupted where it must not be.",
    sdv: Some("SpChangeIrql"),
    bug_check: Some("0xC8 IRQL_UNEXPECTED_VALUE"),
    page: drivers!("devtest/storport-spchangeirql"),
    example: "// wrong\nKeRaiseIrql(DISPATCH_LEVEL, &old);\nif (done) return TRUE;\nKeLowerIrql(old);\n\
              // right\nif (done) { KeLowerIrql(old); return TRUE; }",
};

pub(super) const LOCK_LEVEL: Rule = Rule {
    id: "irql.lock_level",
    family: Family::Irql,
    severity: Severity::Error,
    sentence: "A lock is requested at an IRQL that is wrong for it",
    why: "StartIo, Dpc and executive locks are locks of DISPATCH_LEVEL, Interrupt and message locks of the \
          device's level. Requested from above, the level would fall; AtDpcLevel forms requested from below \
          leave the holder open to the DPC that wants the same lock.",
    sdv: Some("IrqlDispatch"),
    bug_check: Some("0xC4/0x42 or 0xC4/0x40 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nf-storport-storportacquirespinlockex"),
    example: "// wrong: at PASSIVE_LEVEL\nKeAcquireSpinLockAtDpcLevel(&lock);\n\
              // right\nKeAcquireSpinLock(&lock, &old);",
};

pub(super) const RAISE: Rule = Rule {
    id: "irql.raise",
    family: Family::Irql,
    severity: Severity::Error,
    sentence: "KeRaiseIrql is called with an IRQL below the current one",
    why: "It lowers the level instead, below what the code around counts on.",
    sdv: None,
    bug_check: Some("0xC4/0x30 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: ddi!("wdm/nf-wdm-keraiseirql"),
    example: "// wrong: in HwStorInterrupt\nKeRaiseIrql(DISPATCH_LEVEL, &old);\n\
              // right: an interrupt routine is above that already",
};

pub(super) const LOWER: Rule = Rule {
    id: "irql.lower",
    family: Family::Irql,
    severity: Severity::Error,
    sentence: "KeLowerIrql is called with an IRQL that KeRaiseIrql did not return",
    why: "Above the current level it does not lower at all; below the level of the callback it opens the \
          processor to what StorPort keeps away during the callback.",
    sdv: Some("SpChangeIrql"),
    bug_check: Some("0xC4/0x31 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: ddi!("wdm/nf-wdm-kelowerirql"),
    example: "// wrong: in HwStorBuildIo, which runs at DISPATCH_LEVEL\nKeLowerIrql(PASSIVE_LEVEL);\n\
              // right\nKeRaiseIrql(level, &old);\nKeLowerIrql(old);",
};

pub(super) const BELOW_LOCK: Rule = Rule {
    id: "irql.below_lock",
    family: Family::Irql,
    severity: Severity::Error,
    sentence: "The IRQL falls below the level of a lock that is still held",
    why: "The holder can now be interrupted by what wants the same lock, and one processor waits for itself. The \
          usual way here is to release the outer lock first: that restores the level from before both.",
    sdv: None,
    bug_check: Some("0x0F SPIN_LOCK_ALREADY_OWNED"),
    page: drivers!("debugger/bug-check-0xf--spin-lock-already-owned"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &a);\n\
              StorPortAcquireSpinLock(ext, InterruptLock, NULL, &b);\nStorPortReleaseSpinLock(ext, &a);\n\
              // right\nStorPortReleaseSpinLock(ext, &b);\nStorPortReleaseSpinLock(ext, &a);",
};

/// A lock requested at a level that is wrong for it; only for requests that
/// [`is_plain`](super::order::is_plain) did not let pass.
pub(super) fn request(lock: Lock, api: LockApi, (irql, device): (Irql, Irql)) -> Option<Verdict> {
    let verdict = Verdict::of(RuleId::IrqlLockLevel).lock(lock);
    let at_dpc_level = matches!(api, LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel);
    match lock {
        Lock::Interrupt => (irql > device).then_some(verdict),
        Lock::Message(_) => (irql > device).then_some(verdict.doubtful(true)),
        _ if matches!(api, LockApi::DpcLevel) => {
            (irql != Irql::DISPATCH).then_some(verdict.doubtful(true))
        }
        _ if at_dpc_level && irql < Irql::DISPATCH => Some(verdict),
        Lock::Executive(_) if at_dpc_level && irql > Irql::DISPATCH => {
            Some(Verdict::of(RuleId::LockExecutiveInInterrupt).lock(lock))
        }
        _ => (irql > Irql::DISPATCH).then_some(verdict),
    }
}

/// StorPortAcquireSpinLockEx refused the level `irql` to a driver whose device interrupts at `device`. The event
/// does not name the lock, but up to there Interrupt is not refused.
pub(super) fn refused(p: &Processor, irql: Irql, device: Irql) -> Verdict {
    let inverted = p.held.has_interrupt_rank() && irql <= device;
    Verdict::of(if inverted { RuleId::LockOrder } else { RuleId::IrqlLockLevel }).doubtful(true)
}

/// The level at which the executive's release routines must be called.
pub(super) fn release(lock: Lock, api: LockApi, irql: Irql) -> Option<Verdict> {
    (!may_release(api, irql)).then(|| Verdict::of(RuleId::IrqlDdi).lock(lock))
}

/// Whether a release by that routine may be called at `irql`.
#[inline(always)]
pub(super) fn may_release(api: LockApi, irql: Irql) -> bool {
    match api {
        LockApi::Ke => may_call(Ddi::KeReleaseSpinLock, irql),
        LockApi::KeDpcLevel => may_call(Ddi::KeReleaseSpinLockFromDpcLevel, irql),
        LockApi::KeQueued => may_call(Ddi::KeReleaseInStackQueuedSpinLock, irql),
        LockApi::KeQueuedDpcLevel => {
            may_call(Ddi::KeReleaseInStackQueuedSpinLockFromDpcLevel, irql)
        }
        _ => true,
    }
}

/// A routine called outside its limits.
#[inline]
pub(super) fn called(ddi: Ddi, irql: Irql) -> Option<Verdict> {
    (!may_call(ddi, irql) && !matches!(ddi, Ddi::EnablePassiveInitialization))
        .then(|| Verdict::of(RuleId::IrqlDdi))
}

/// Whether `irql` is within a routine's limits.
#[inline(always)]
fn may_call(ddi: Ddi, irql: Irql) -> bool {
    let (low, high) = ddi.irql_limits();
    low.0 <= irql.0 && irql.0 <= high.0
}

/// KeRaiseIrql or KeLowerIrql.
pub(super) fn set(
    state: &State,
    processor: u8,
    from: Irql,
    to: Irql,
    raise: bool,
) -> Option<Verdict> {
    if raise {
        return (to < from).then(|| Verdict::of(RuleId::IrqlRaise));
    }
    if to < from
        && let needy @ Some(_) = needy(state, processor, to)
    {
        return Some(Verdict::of(RuleId::IrqlBelowLock).against(needy));
    }
    let returned = state.processor(processor).frame().map_or(0, |frame| frame.raised_from);
    (to != from && returned & level_bit(to) == 0).then(|| Verdict::of(RuleId::IrqlLower))
}

/// The newest lock of a processor that needs more than `irql`, and is held beyond doubt.
pub(super) fn needy(state: &State, processor: u8, irql: Irql) -> Option<Lock> {
    let p = state.processor(processor);
    let needs = |(_, held): &(Lock, &Held)| held.level > irql && !held_in_doubt(p, held);
    state.held_by(processor).find(needs).map(|(lock, _)| lock)
}

/// Follows KeRaiseIrql and KeLowerIrql in the levels that a callback may lower to.
pub(super) fn follow(raised_from: u16, from: Irql, to: Irql, raise: bool) -> u16 {
    if raise { raised_from | level_bit(from) } else { raised_from & (level_bit(to) - 1) }
}

/// The bit of a level; x64 has 16.
const fn level_bit(irql: Irql) -> u16 {
    1 << (irql.0 % 16)
}

/// A callback returns at `irql`.
#[inline]
pub(super) fn left(p: &Processor, irql: Irql) -> Option<Verdict> {
    let frame = p.frame()?;
    (frame.irql.0 != irql.0).then(|| Verdict::of(RuleId::IrqlRestore).at(At::IrqlSet))
}
