//! Interrupts and DPCs against the code that they interrupt, on one processor.
//!
//! Areas verified: an interrupt routine, or a DPC, that waits for a lock held by code which it interrupted on the
//! same processor, whether the routine asks for the lock or StorPort does on its behalf.
//!
//! Areas not verified: a lock that interrupt routines and other code share, in a run where they did not meet. The
//! driver may have masked its device's interrupt, which no event tells of; a warning of
//! [`kind`](super::kind) (`lock.executive_in_interrupt`) and of the tables stand for it.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/kernel/introduction-to-spin-locks>

use super::catalogue::{Family, Rule, RuleId, Severity, drivers, storport};
use super::state::Frame;
use super::verdict::Verdict;
use crate::event::{Lock, Routine};

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

/// Turns a wait for a lock of its own into the deadlock of whoever interrupted the holder: `inner` are the
/// callbacks inside the holder's, `entering` is the lock that StorPort wants for one more.
pub(super) fn between(verdict: Verdict, inner: &[Frame], entering: Option<Lock>) -> Verdict {
    let by_interrupt = inner
        .iter()
        .any(|frame| matches!(frame.routine, Routine::Interrupt | Routine::MessageInterrupt))
        || matches!(entering, Some(Lock::Interrupt | Lock::Message(_)));
    let by_dpc = entering.is_some()
        || inner.iter().any(|frame| {
            matches!(
                frame.routine,
                Routine::Dpc | Routine::Timer | Routine::TimerEx | Routine::StateChange
            )
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
