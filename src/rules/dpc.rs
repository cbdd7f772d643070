//! The life of a STOR_DPC: initialised once, in its place, and left alone while it is queued.
//!
//! Areas verified: use of an object that was never initialised; initialising it again, anywhere else than during
//! the adapter's initialisation, or while it is queued or its lock is held; its memory changing while it is
//! queued.
//!
//! Areas not verified: that a DPC is issued while it is queued (StorPort ignores that, and says so; work that gets
//! lost by it shows as a lost request); DPCs still queued when the adapter is removed (StorPort waits for them).
//! The pages disagree on whether HwStorInitialize may initialise a DPC, so that passes.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportinitializedpc>

use super::catalogue::{Family, Rule, RuleId, Severity, storport};
use super::state::State;
use super::verdict::Verdict;
use crate::event::{DPCS_MAX, Lock, Routine};

pub(super) const UNINITIALIZED: Rule = Rule {
    id: "dpc.uninitialized",
    family: Family::Dpc,
    severity: Severity::Error,
    sentence: "A STOR_DPC is issued or cancelled before it is initialized",
    why: "The kernel queues whatever the memory holds and later jumps to it. Interrupts can come as soon as the \
          hardware is enabled, before HwStorPassiveInitializeRoutine has run.",
    sdv: None,
    bug_check: Some("0xC7 TIMER_OR_DPC_INVALID"),
    page: storport!("nf-storport-storportissuedpc"),
    example: "// wrong: the interrupt comes before HwStorPassiveInitializeRoutine\n\
              StorPortIssueDpc(ext, &ext->Dpc, NULL, NULL);\n\
              // right\nif (ext->DpcReady) StorPortIssueDpc(ext, &ext->Dpc, NULL, NULL);",
};

pub(super) const INITIALIZED_TWICE: Rule = Rule {
    id: "dpc.initialized_twice",
    family: Family::Dpc,
    severity: Severity::Error,
    sentence: "A STOR_DPC is initialized again",
    why: "Initializing clears the links of the queue and the lock inside: the queue of the processor is cut, or \
          two processors hold the lock. An object that is idle survives it, this time.",
    sdv: None,
    bug_check: Some("0xC7 TIMER_OR_DPC_INVALID"),
    page: storport!("nf-storport-storportinitializedpc"),
    example: "// wrong: on every bus reset\nStorPortInitializeDpc(ext, &ext->Dpc, DpcRoutine);\n\
              // right: once, in HwStorPassiveInitializeRoutine",
};

pub(super) const CORRUPTED: Rule = Rule {
    id: "dpc.corrupted",
    family: Family::Dpc,
    severity: Severity::Error,
    sentence: "A STOR_DPC is overwritten while it is queued",
    why: "The object is a link of the processor's DPC queue. Cleared, moved or freed, it takes the rest of the \
          queue with it.",
    sdv: None,
    bug_check: Some("0xC7 TIMER_OR_DPC_INVALID"),
    page: storport!("ns-storport-_stor_dpc"),
    example: "// wrong\nRtlZeroMemory(&ext->Dpc, sizeof(STOR_DPC));\n\
              // right\nStorPortCancelDpc(ext, &ext->Dpc, &removed);",
};

pub(super) const PLACE: Rule = Rule {
    id: "init.dpc_place",
    family: Family::Dpc,
    severity: Severity::Warning,
    sentence: "StorPortInitializeDpc is called outside the adapter's initialization",
    why: "The page asks for HwStorPassiveInitializeRoutine; the page of HwStorInitialize lets it share the task. \
          Anywhere else a DPC may already be wanted.",
    sdv: None,
    bug_check: None,
    page: storport!("nf-storport-storportinitializedpc"),
    example: "// wrong: in HwStorStartIo, on first use\nStorPortInitializeDpc(ext, &ext->Dpc, DpcRoutine);\n\
              // right: in HwStorPassiveInitializeRoutine",
};

/// Which DPCs are initialised in this life of the adapter, a bit each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dpcs(u32);

const _: () = assert!(DPCS_MAX <= 32);

impl Dpcs {
    pub(super) const NEW: Dpcs = Dpcs(0);

    /// A new life of the adapter: everything may be initialised again.
    pub(super) fn forget_initialization(&mut self) {
        self.0 = 0;
    }

    /// StorPortInitializeDpc.
    pub(super) fn initialize(
        &mut self,
        state: &State,
        processor: u8,
        dpc: u8,
        queued: bool,
    ) -> Option<Verdict> {
        let bit = 1 << (usize::from(dpc) % DPCS_MAX);
        let again = self.0 & bit != 0;
        self.0 |= bit;
        let lock = Lock::Dpc(dpc);
        let live = queued || state.held(lock).is_some();
        if again || live {
            return Some(Verdict::of(RuleId::DpcInitializedTwice).lock(lock).doubtful(!live));
        }
        let in_place = state
            .processor(processor)
            .root()
            .is_none_or(|f| matches!(f.routine, Routine::PassiveInitialize | Routine::Initialize));
        (!in_place).then(|| Verdict::of(RuleId::InitDpcPlace))
    }
}
