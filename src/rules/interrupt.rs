//! Interrupts and DPCs against the code that they interrupt, on one processor.
//!
//! Areas verified: an interrupt routine, or a DPC, that waits for a lock held by code which it interrupted on the
//! same processor, whether the routine asks for the lock or StorPort does on its behalf; an executive spin
//! lock taken by an interrupt routine and elsewhere.
//!
//! Areas not verified: whether the driver had masked its device's interrupt before (the reason why
//! `interrupt.unsafe_lock`, which predicts, is a warning, while the two deadlocks, which happened, are errors).
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/kernel/introduction-to-spin-locks>

use super::catalogue::{Family, Rule, RuleId, Severity, drivers, storport};
use super::state::Frame;
use super::verdict::Verdict;
use crate::event::{EXECUTIVE_LOCKS_MAX, Lock, Routine};
use crate::storport::Irql;

pub(super) const SELF_DEADLOCK: Rule = Rule {
    id: "interrupt.self_deadlock",
    family: Family::Interrupt,
    severity: Severity::Error,
    sentence: "An interrupt routine waits for a lock that the code it interrupted holds",
    why: "The holder cannot go on before the interrupt routine returns, and that waits for the holder: one \
          processor is enough. What an interrupt routine shares with other code belongs under the Interrupt or \
          message lock, which keeps the interrupt away.",
    sdv: Some("StorPortSpinLock3"),
    bug_check: Some("0x101 CLOCK_WATCHDOG_TIMEOUT"),
    page: drivers!("kernel/introduction-to-spin-locks"),
    example: "// wrong: HwStorStartIo holds the Dpc lock when HwStorInterrupt comes\n\
              BOOLEAN HwStorInterrupt(PVOID ext) {\n    StorPortAcquireSpinLock(ext, DpcLock, &dpc, &h);\n\
              // right\nBOOLEAN HwStorInterrupt(PVOID ext) {\n    StorPortIssueDpc(ext, &dpc, NULL, NULL);",
};

pub(super) const DPC_SELF_DEADLOCK: Rule = Rule {
    id: "dpc.self_deadlock",
    family: Family::Interrupt,
    severity: Severity::Error,
    sentence: "A DPC waits for a lock that the code it interrupted holds",
    why: "The holder took the lock below DISPATCH_LEVEL without raising the IRQL, so a DPC came in between on the \
          same processor and waits for it, while it waits for the DPC to end.",
    sdv: None,
    bug_check: Some("0x133 DPC_WATCHDOG_VIOLATION"),
    page: storport!("nf-storport-storportacquirespinlockex"),
    example: "// wrong: at PASSIVE_LEVEL\nStorPortAcquireSpinLockEx(ext, DpcLevelLock, &dpc, &h);\n\
              // right: raises to DISPATCH_LEVEL\nStorPortAcquireSpinLockEx(ext, DpcLock, &dpc, &h);",
};

pub(super) const UNSAFE_LOCK: Rule = Rule {
    id: "interrupt.unsafe_lock",
    family: Family::Interrupt,
    severity: Severity::Warning,
    sentence: "An executive spin lock is taken by an interrupt routine and also where interrupts can come",
    why: "When the interrupt hits the processor that holds the lock, the interrupt routine waits for ever. Only \
          the Interrupt and message locks keep the interrupt away.",
    sdv: None,
    bug_check: Some("0x101 CLOCK_WATCHDOG_TIMEOUT"),
    page: drivers!("kernel/introduction-to-spin-locks"),
    example: "// wrong: both HwStorInterrupt and HwStorDpcRoutine do\nKeAcquireSpinLockAtDpcLevel(&lock);\n\
              // right: both use\nStorPortAcquireSpinLock(ext, InterruptLock, NULL, &h); // the DPC\n\
              // ... and HwStorInterrupt runs under it already",
};

/// Turns a wait for a lock of its own into the deadlock of whoever interrupted the holder: `inner` are the
/// callbacks inside the holder's, `entering` is the lock that StorPort wants for one more.
pub(super) fn between(verdict: Verdict, inner: &[Frame], entering: Option<Lock>) -> Verdict {
    let by_interrupt = inner
        .iter()
        .any(|frame| matches!(frame.routine, Routine::Interrupt | Routine::MessageInterrupt))
        || matches!(entering, Some(Lock::Interrupt | Lock::Message(_)));
    let by_dpc = entering.is_some()
        || inner.iter().any(|frame| {
            matches!(frame.routine, Routine::Dpc | Routine::Timer | Routine::TimerEx | Routine::StateChange)
        });
    if by_interrupt {
        Verdict { rule: RuleId::InterruptSelfDeadlock, ..verdict }.interrupted()
    } else if by_dpc {
        Verdict { rule: RuleId::DpcSelfDeadlock, ..verdict }.interrupted()
    } else {
        // A callback that the holder's own call led to: StorPort came back into the driver.
        verdict
    }
}

/// Where executive spin locks have been taken, a bit a lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Levels {
    above: u32,
    below: u32,
}

const _: () = assert!(EXECUTIVE_LOCKS_MAX <= 32);

impl Levels {
    pub(super) const NEW: Levels = Levels { above: 0, below: 0 };

    /// Notes that `lock` was taken at `irql`; objects if it is now in use on both sides of the device's level.
    #[inline]
    pub(super) fn note(&mut self, lock: u8, irql: Irql) -> Option<Verdict> {
        let bit = 1 << (lock % EXECUTIVE_LOCKS_MAX as u8);
        if irql > Irql::DISPATCH {
            self.above |= bit;
        } else {
            self.below |= bit;
        }
        (self.above & self.below & bit != 0)
            .then(|| Verdict::of(RuleId::InterruptUnsafeLock).lock(Lock::Executive(lock)))
    }
}
