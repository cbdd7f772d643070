//! Time: how long the driver stalls, holds a lock, and stays in a callback.
//!
//! Areas verified: StorPortStallExecution against its limits, and inside HwStorStartIo and DPCs; pool allocation where
//! HwStorStartIo may not allocate; how long a lock is held; how long a callback takes. Only the time that the
//! processor itself was busy counts, and not what interrupted it, so a driver is not blamed for the schedule.
//!
//! Areas not verified: crash dumps, which poll; HwStorFindAdapter, the passive callbacks and adapter and unit
//! control, which may take as long as the hardware does; locks that StorPort holds around a callback (the
//! callback's own limit says it). SpNoWait forbids allocation in every HwStorStartIo, but the routine's page
//! allows it in full duplex: only half duplex is reported. Virtual time is a model: nearly everything costs 100 ns.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/kernel/introduction-to-spin-locks>

use super::catalogue::{Family, Rule, RuleId, Severity, drivers, storport};
use super::state::{Frame, Processor};
use super::verdict::{At, Verdict};
use crate::event::{Adapter, Duplex, Lock, Miniport, Routine};

/// The longest that a spin lock may be held.
pub(super) const LOCK_HELD_NS_MAX: u64 = 25_000;
/// The longest that a DPC should take, stalls included.
const DPC_NS_MAX: u64 = 100_000;
/// The longest that an interrupt routine should take.
const INTERRUPT_NS_MAX: u64 = 50_000;
/// The longest that StorPort's verifier lets a routine take, and HwStorInitialize.
const ROUTINE_NS_MAX: u64 = 500_000_000;
const INITIALIZE_NS_MAX: u64 = 5_000_000_000;
/// StorPortStallExecution takes less than a millisecond; the verifier stops the machine above 0.1 s.
const STALL_US_MAX: u32 = 999;
const STALL_VERIFIER_US_MAX: u32 = 100_000;

pub(super) const STALL: Rule = Rule {
    id: "time.stall",
    family: Family::Time,
    severity: Severity::Warning,
    sentence: "StorPortStallExecution is called for a millisecond or more",
    why: "Nothing else runs on the processor meanwhile. Longer waits belong into a timer or a work item.",
    sdv: None,
    bug_check: None,
    page: storport!("nf-storport-storportstallexecution"),
    example: "// wrong\nStorPortStallExecution(5000);\n\
              // right: look again later\nStorPortNotification(RequestTimerCall, ext, Timer, 5000);",
};

pub(super) const STALL_VERIFIER: Rule = Rule {
    id: "time.stall_verifier",
    family: Family::Time,
    severity: Severity::Error,
    sentence: "StorPortStallExecution is called for more than 0.1 seconds",
    why: "StorPort's verifier stops the machine; without it, the processor is deaf for that long.",
    sdv: None,
    bug_check: Some("0xF1/0x2001 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/dv-storport-verification"),
    example: "// wrong\nStorPortStallExecution(500000);\n\
              // right: look again later\nStorPortNotification(RequestTimerCall, ext, Timer, 500000);",
};

pub(super) const STALL_IN_START_IO: Rule = Rule {
    id: "time.stall_in_start_io",
    family: Family::Time,
    severity: Severity::Warning,
    sentence: "HwStorStartIo stalls the processor",
    why: "HwStorStartIo is serialised for the whole adapter: while it waits, no request is sent at all.",
    sdv: Some("SpNoWait, StorPortStartIo"),
    bug_check: None,
    page: drivers!("devtest/storport-storportstartio"),
    example: "// wrong\nBOOLEAN HwStorStartIo(...) {\n    StorPortStallExecution(10);\n\
              // right: say that it is too early\n    SrbSetSrbStatus(srb, SRB_STATUS_BUSY);",
};

pub(super) const ALLOCATION: Rule = Rule {
    id: "time.allocation",
    family: Family::Time,
    severity: Severity::Error,
    sentence: "HwStorStartIo allocates memory in half duplex mode",
    why: "In half duplex it runs at the device's IRQL under the Interrupt lock, where StorPort refuses to \
          allocate: the request fails, or the driver uses a NULL pointer.",
    sdv: Some("SpNoWait"),
    bug_check: Some("0xC4/0x02 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nc-storport-hw_startio"),
    example: "// wrong\nBOOLEAN HwStorStartIo(...) {\n    StorPortAllocatePool(ext, 512, 'xxxx', &buffer);\n\
              // right: in HwStorBuildIo, or once in HwStorFindAdapter",
};

pub(super) const LOCK_HELD: Rule = Rule {
    id: "time.lock_held",
    family: Family::Time,
    severity: Severity::Warning,
    sentence: "A spin lock is held for more than 25 microseconds",
    why: "Everybody who wants it spins, at raised IRQL.",
    sdv: None,
    bug_check: Some("0x133 DPC_WATCHDOG_VIOLATION"),
    page: drivers!("kernel/introduction-to-spin-locks"),
    example: "// wrong: waits for the controller under the lock\n\
              StorPortAcquireSpinLock(ext, InterruptLock, NULL, &h);\nwhile (Busy(ext)) StorPortStallExecution(10);\n\
              // right: lock only what others must not see half done",
};

pub(super) const DPC: Rule = Rule {
    id: "time.dpc",
    family: Family::Time,
    severity: Severity::Warning,
    sentence: "A DPC takes more than 100 microseconds",
    why: "No thread and no other DPC runs on the processor meanwhile; the watchdog counts it.",
    sdv: None,
    bug_check: Some("0x133 DPC_WATCHDOG_VIOLATION"),
    page: drivers!("kernel/guidelines-for-writing-dpc-routines"),
    example: "// wrong: as long as there is work\nwhile (Next(queue)) Complete(queue);\n\
              // right: some, and then the DPC again\nif (--budget == 0) StorPortIssueDpc(ext, dpc, NULL, NULL);",
};

pub(super) const INTERRUPT: Rule = Rule {
    id: "time.interrupt",
    family: Family::Time,
    severity: Severity::Warning,
    sentence: "An interrupt routine takes more than 50 microseconds",
    why: "It masks everything below it on the processor, and whoever wants its lock spins. The work belongs into \
          a DPC.",
    sdv: None,
    bug_check: Some("0x133 DPC_WATCHDOG_VIOLATION"),
    page: storport!("nc-storport-hw_interrupt"),
    example: "// wrong\nBOOLEAN HwStorInterrupt(PVOID ext) {\n    while (Next(ext)) Complete(ext);\n\
              // right\nBOOLEAN HwStorInterrupt(PVOID ext) {\n    StorPortIssueDpc(ext, &dpc, NULL, NULL);",
};

pub(super) const ROUTINE: Rule = Rule {
    id: "time.routine",
    family: Family::Time,
    severity: Severity::Warning,
    sentence: "A routine takes longer than the verifier allows",
    why: "StorPort's verifier lets a miniport's routine take half a second, HwStorInitialize five seconds.",
    sdv: None,
    bug_check: Some("0xF1/0x1002 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/dv-storport-verification"),
    example: "// wrong: in HwStorResetBus\nfor (i = 0; i < 5000; i++) StorPortStallExecution(500);\n\
              // right: start the reset, and finish it from a timer",
};

/// Nothing of this family applies to a crash dump.
const fn applies(adapter: &Adapter) -> bool {
    !adapter.dump
}

/// StorPortStallExecution.
pub(super) fn stalled(p: &mut Processor, adapter: &Adapter, microseconds: u32) -> Option<Verdict> {
    if !applies(adapter) {
        return None;
    }
    if microseconds > STALL_VERIFIER_US_MAX {
        return Some(Verdict::of(RuleId::TimeStallVerifier));
    }
    if p.runs(Routine::StartIo) && microseconds > 0 {
        return Some(Verdict::of(RuleId::TimeStallInStartIo));
    }
    if microseconds > STALL_US_MAX {
        return Some(Verdict::of(RuleId::TimeStall));
    }
    if p.runs(Routine::Dpc) && u64::from(microseconds) * 1000 > DPC_NS_MAX {
        if let Some(frame) = p.frame_mut() {
            frame.overlong = true;
        }
        return Some(Verdict::of(RuleId::TimeDpc));
    }
    None
}

/// StorPortAllocatePool.
pub(super) fn allocated(p: &Processor, adapter: &Adapter) -> Option<Verdict> {
    let forbidden = applies(adapter)
        && matches!((adapter.miniport, adapter.duplex), (Miniport::Physical, Duplex::Half))
        && p.runs(Routine::StartIo);
    forbidden.then(|| Verdict::of(RuleId::TimeAllocation))
}

/// The driver releases a lock that it held for `own_ns`.
#[inline]
pub(super) fn released(lock: Lock, own_ns: u64) -> Option<Verdict> {
    (own_ns > LOCK_HELD_NS_MAX)
        .then(|| Verdict::of(RuleId::TimeLockHeld).lock(lock).at(At::Acquire))
}

/// A callback returns that took `own_ns`.
#[inline]
pub(super) fn left(frame: &Frame, adapter: &Adapter, own_ns: u64) -> Option<Verdict> {
    if own_ns <= INTERRUPT_NS_MAX || frame.overlong || !applies(adapter) {
        return None;
    }
    let (limit, rule) = match frame.routine {
        Routine::Interrupt | Routine::MessageInterrupt => (INTERRUPT_NS_MAX, RuleId::TimeInterrupt),
        Routine::Dpc => (DPC_NS_MAX, RuleId::TimeDpc),
        Routine::Initialize => (INITIALIZE_NS_MAX, RuleId::TimeRoutine),
        Routine::FindAdapter
        | Routine::PassiveInitialize
        | Routine::AdapterControl
        | Routine::UnitControl
        | Routine::TracingEnabled
        | Routine::WorkItem
        | Routine::Synchronized => return None,
        _ => (ROUTINE_NS_MAX, RuleId::TimeRoutine),
    };
    (own_ns > limit).then(|| Verdict::of(rule))
}
