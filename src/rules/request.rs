//! Requests: each completed once, when it is done, with what the device really did.
//!
//! Areas verified: completed twice, after StorPort had completed it, or never; completed while the device has
//! its buffers; its status; its memory after the completion; the data of reads; completing under a
//! lock that a completion may need.
//!
//! Areas not verified: a completion on one processor while another is still inside HwStorStartIo with the request
//! (any device is that fast; it is wrong only if HwStorStartIo touches the request afterwards, which
//! `request.touched` sees); requests outstanding when a bus reset returns (the page lets the miniport finish
//! "if necessary"; what stays shows as lost). What completion re-enters is not documented: StorPort defers it to a
//! DPC of its own, except perhaps with STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO inside HwStorStartIo; only
//! there, and only for locks of DISPATCH_LEVEL that the driver took itself, is a held lock reported, as a warning.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportnotification>

use super::catalogue::{Family, Rule, RuleId, Severity, drivers, storport};
use super::order::Kinds;
use super::state::State;
use super::verdict::Verdict;
use crate::event::{Adapter, Lock, Owner, Routine};
use crate::storport::SrbStatus;

pub(super) const COMPLETED_TWICE: Rule = Rule {
    id: "request.completed_twice",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "A request is completed twice",
    why: "After the first completion the SRB belongs to StorPort, which may have given it to the next request \
          already. Most often an abort or reset completes what the interrupt completes too.",
    sdv: None,
    bug_check: Some("0xF1/0x2004 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/dv-storport-verification"),
    example: "// wrong: the abort leaves the request in the table of the queue\n\
              StorPortNotification(RequestComplete, ext, srb);\n\
              // right: take it out first, under the queue's lock\n\
              srb = Take(queue, id); if (srb) StorPortNotification(RequestComplete, ext, srb);",
};

pub(super) const COMPLETED_AFTER_RESET: Rule = Rule {
    id: "request.completed_after_reset",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "A request is completed that StorPort had completed in a reset",
    why: "StorPort completes everything that is outstanding when the miniport asks it to, or when the adapter is \
          gone. What the miniport still has in its tables is not its own any more.",
    sdv: Some("StorPortCompleteRequest"),
    bug_check: Some("0xF1/0x2004 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nf-storport-storportcompleterequest"),
    example: "// wrong\nStorPortCompleteRequest(ext, 0, 255, 255, SRB_STATUS_BUS_RESET);\n\
              // ... and later, for one of them\nStorPortNotification(RequestComplete, ext, srb);\n\
              // right: complete each outstanding request once, by RequestComplete",
};

pub(super) const UNKNOWN: Rule = Rule {
    id: "request.unknown",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "RequestComplete is called for something that is not a request of StorPort",
    why: "A device that answers with a wrong identifier, or a table with a stale pointer, must not reach \
          StorPort: it takes the address for an SRB.",
    sdv: None,
    bug_check: Some("0xD1 DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
    page: storport!("nf-storport-storportnotification"),
    example: "// wrong\nsrb = queue->Srb[completion->Id];\n\
              // right\nif (completion->Id < queue->Size && queue->Srb[completion->Id] != NULL) ...",
};

pub(super) const DEVICE_OWNS: Rule = Rule {
    id: "request.device_owns",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "A request is completed while the device still has its buffers",
    why: "StorPort frees and reuses the memory, and the device goes on writing to it. An abort or reset must \
          have stopped the device before the request is given back.",
    sdv: None,
    bug_check: Some("0x50 PAGE_FAULT_IN_NONPAGED_AREA"),
    page: storport!("nc-storport-hw_reset_bus"),
    example: "// wrong: in HwStorResetBus\nCompleteAll(ext, SRB_STATUS_BUS_RESET); ResetController(ext);\n\
              // right\nResetController(ext); CompleteAll(ext, SRB_STATUS_BUS_RESET);",
};

pub(super) const PENDING_STATUS: Rule = Rule {
    id: "request.pending_status",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "A request is completed with SRB_STATUS_PENDING",
    why: "PENDING says that it is not complete: whoever waits for it may wait for ever.",
    sdv: Some("StorPortStatusPending"),
    bug_check: None,
    page: drivers!("devtest/storport-storportstatuspending"),
    example: "// wrong: a path that never sets the status\nStorPortNotification(RequestComplete, ext, srb);\n\
              // right\nSrbSetSrbStatus(srb, SRB_STATUS_SUCCESS);\nStorPortNotification(RequestComplete, ext, srb);",
};

pub(super) const STATUS_INVALID: Rule = Rule {
    id: "request.status_invalid",
    family: Family::Request,
    severity: Severity::Warning,
    sentence: "A request is completed with an SRB status that does not exist",
    why: "Class drivers treat what they do not know as a failure, or not at all.",
    sdv: None,
    bug_check: Some("0xF1/0x1004 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nc-storport-hw_startio"),
    example: "// wrong: a status of the device\nSrb->SrbStatus = completion->Status;\n\
              // right\nSrb->SrbStatus = ToSrbStatus(completion->Status);",
};

pub(super) const TOUCHED: Rule = Rule {
    id: "request.touched",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "A request's memory is changed after its completion",
    why: "The SRB and its extension belong to StorPort then, and may serve another request.",
    sdv: None,
    bug_check: Some("0x50 PAGE_FAULT_IN_NONPAGED_AREA"),
    page: storport!("nf-storport-storportnotification"),
    example: "// wrong\nStorPortNotification(RequestComplete, ext, srb);\nextension->State = Free;\n\
              // right\nextension->State = Free;\nStorPortNotification(RequestComplete, ext, srb);",
};

pub(super) const LOST: Rule = Rule {
    id: "request.lost",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "A request is never completed, although StorPort has reset unit, target and bus",
    why: "Whoever issued it waits for ever. After a bus reset nothing may be outstanding.",
    sdv: None,
    bug_check: Some("0xF1/0x1007 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nc-storport-hw_reset_bus"),
    example: "// wrong: requests that wait for a free slot are forgotten\n\
              for (each slot) Complete(slot->Srb);\n\
              // right\nfor (each slot) Complete(slot->Srb);\nfor (each waiting) Complete(waiting->Srb);",
};

pub(super) const COMPLETED_UNDER_LOCK: Rule = Rule {
    id: "request.completed_under_lock",
    family: Family::Request,
    severity: Severity::Warning,
    sentence: "A request is completed inside HwStorStartIo under a lock that a completion may need",
    why: "With STOR_PERF_OPTIMIZE_FOR_COMPLETION_DURING_STARTIO StorPort may finish the request at once, and the \
          next one comes into the driver on the same processor, where the lock is still held.",
    sdv: Some("SpinLockSafe"),
    bug_check: Some("0x0F SPIN_LOCK_ALREADY_OWNED"),
    page: drivers!("storage/performance-tip--completing-requests-during-hwstartio"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);\n\
              StorPortNotification(RequestComplete, ext, done);\nStorPortReleaseSpinLock(ext, &h);\n\
              // right\nStorPortReleaseSpinLock(ext, &h);\nStorPortNotification(RequestComplete, ext, done);",
};

pub(super) const DATA_WRONG: Rule = Rule {
    id: "data.wrong",
    family: Family::Request,
    severity: Severity::Error,
    sentence: "A read returns other data than was last written",
    why: "Data is corrupted: most often a buffer list built for another request, or a completion matched with \
          the wrong one.",
    sdv: None,
    bug_check: None,
    page: storport!("nf-storport-storportgetscattergatherlist"),
    example: "// wrong: one list for all requests\nBuildPrp(ext->PrpList, sgl);\n\
              // right: one in each SrbExtension\nBuildPrp(extension->PrpList, sgl);",
};

/// A completion as the event tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) status: SrbStatus,
    pub(super) owner: Owner,
    pub(super) device_owns: bool,
}

impl Completion {
    /// The most specific objection to it.
    #[inline]
    pub(super) fn judge(&self, state: &State, processor: u8, adapter: &Adapter) -> Option<Verdict> {
        let rule = match self.owner {
            Owner::Port => RuleId::RequestCompletedTwice,
            Owner::PortAfterReset => RuleId::RequestCompletedAfterReset,
            Owner::Nobody => RuleId::RequestUnknown,
            Owner::Miniport if self.device_owns => RuleId::RequestDeviceOwns,
            Owner::Miniport if self.status.code() == SrbStatus::PENDING => {
                RuleId::RequestPendingStatus
            }
            Owner::Miniport if self.status.name().is_none() => RuleId::RequestStatusInvalid,
            Owner::Miniport => return under_lock(state, processor, adapter),
        };
        Some(Verdict::of(rule))
    }
}

fn under_lock(state: &State, processor: u8, adapter: &Adapter) -> Option<Verdict> {
    let needed = Kinds::START_IO.with(Kinds::DPC).with(Kinds::EXECUTIVE);
    let p = state.processor(processor);
    if !adapter.completes_in_start_io || adapter.dump || p.held.kinds() & needed.0 == 0 {
        return None;
    }
    let own = own_lock(state, processor, needed)?;
    p.runs(Routine::StartIo)
        .then(|| Verdict::of(RuleId::RequestCompletedUnderLock).against(Some(own)))
}

/// The newest lock of these kinds that the driver took itself.
fn own_lock(state: &State, processor: u8, kinds: Kinds) -> Option<Lock> {
    state
        .held_by(processor)
        .find(|(lock, held)| !held.by_port() && kinds.has(Kinds::of(*lock)))
        .map(|(lock, _)| lock)
}
