//! Order: what a routine may acquire, and in which order.
//!
//! Areas verified: the two tables of the StorPortAcquireSpinLock page (which locks StorPort holds around each
//! routine, which the routine may take) for physical and virtual miniports, full and half duplex, one and
//! several channels; Dpc and StartIo before Interrupt and message locks, whoever holds the latter; message
//! locks in ascending order.
//!
//! Areas not verified: HW_TIMER_EX and HW_WORKITEM are in neither table, so they may take anything; executive
//! locks have no place in the tables (the order graph watches them); what was taken in a crash dump, where
//! StorPort's locks are void.
//!
//! The documents disagree on three cells, and what follows from one of them is a warning: the table gives
//! HwStorTimer, HwStorResetBus and HwStorStateChange no Dpc lock, the remark above it does; it gives
//! HwMSInterruptRoutine no lock, but that routine's own page tells it to take other messages' locks; it has
//! HwStorAdapterControl called without a lock, but that routine's page has it stop and restart under Interrupt.
//! That message locks ascend is an assumption too ("the proper order", the page says), so going down is a
//! warning; going down while the same run takes all of them at once is a cycle, and the graph's.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>

use super::catalogue::{Family, Rule, RuleId, Severity, storport};
use super::state::{Processor, State};
use super::verdict::Verdict;
use crate::event::{Adapter, Duplex, Interrupts, Lock, LockApi, Miniport, Routine};
use crate::storport::Irql;

pub(super) const ORDER: Rule = Rule {
    id: "lock.order",
    family: Family::Order,
    severity: Severity::Error,
    sentence: "A Dpc or StartIo lock is requested while an Interrupt or message lock is held",
    why: "The order is Dpc or StartIo first, then Interrupt. Another processor that holds the requested lock \
          and waits for Interrupt never gets it, and the holder of Interrupt never gets the other: both spin \
          for ever. It does not matter whether the driver or StorPort took the Interrupt lock.",
    sdv: Some("StorPortSpinLock3"),
    bug_check: Some("0xC4/0x1001 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nf-storport-storportacquirespinlock"),
    example: "// wrong\nStorPortAcquireSpinLock(ext, InterruptLock, NULL, &a);\n\
              StorPortAcquireSpinLock(ext, StartIoLock, NULL, &b);\n\
              // right\nStorPortAcquireSpinLock(ext, StartIoLock, NULL, &b);\n\
              StorPortAcquireSpinLock(ext, InterruptLock, NULL, &a);",
};

pub(super) const FORBIDDEN: Rule = Rule {
    id: "lock.forbidden",
    family: Family::Order,
    severity: Severity::Error,
    sentence: "A lock is requested in a routine that may not acquire it",
    why: "The reference page lists for each routine which locks it may acquire. Outside that list the lock may \
          not exist yet, or StorPort takes locks around the routine that the list was made for.",
    sdv: Some("StorPortSpinLock3"),
    bug_check: None,
    page: storport!("nf-storport-storportacquirespinlock"),
    example: "// wrong: HwStorPassiveInitializeRoutine may take no lock\n\
              BOOLEAN PassiveInitialize(PVOID ext) {\n    StorPortAcquireSpinLock(ext, StartIoLock, NULL, &h);\n\
              // right: nothing runs beside it that needs the lock\n\
              BOOLEAN PassiveInitialize(PVOID ext) {\n    StorPortInitializeDpc(ext, &dpc, DpcRoutine);",
};

pub(super) const MESSAGE_ORDER: Rule = Rule {
    id: "lock.message_order",
    family: Family::Order,
    severity: Severity::Warning,
    sentence: "A message's lock is requested while a higher message's lock is held",
    why: "StorPortAcquireSpinLock(InterruptLock) takes every message's lock in one order, which is not \
          documented but taken to be ascending. Code that nests them the other way can deadlock with it.",
    sdv: None,
    bug_check: Some("0xC4/0x1001 DRIVER_VERIFIER_DETECTED_VIOLATION"),
    page: storport!("nf-storport-storportacquiremsispinlock"),
    example: "// wrong\nStorPortAcquireMSISpinLock(ext, 2, &old2);\nStorPortAcquireMSISpinLock(ext, 1, &old1);\n\
              // right\nStorPortAcquireMSISpinLock(ext, 1, &old1);\nStorPortAcquireMSISpinLock(ext, 2, &old2);",
};

/// Kinds of locks, a bit each, as [`LockSet::kinds`](super::LockSet::kinds) numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(pub u8);

impl Kinds {
    /// None.
    pub const NONE: Kinds = Kinds(0);
    /// The StartIo lock.
    pub const START_IO: Kinds = Kinds(1);
    /// The Interrupt lock.
    pub const INTERRUPT: Kinds = Kinds(2);
    /// The locks of STOR_DPC objects.
    pub const DPC: Kinds = Kinds(4);
    /// The locks of messages.
    pub const MESSAGE: Kinds = Kinds(8);
    /// Executive spin locks.
    pub const EXECUTIVE: Kinds = Kinds(16);
    /// Every kind.
    pub const ALL: Kinds = Kinds(31);

    /// The kind of a lock.
    #[must_use]
    pub const fn of(lock: Lock) -> Kinds {
        match lock {
            Lock::StartIo => Kinds::START_IO,
            Lock::Interrupt => Kinds::INTERRUPT,
            Lock::Dpc(_) => Kinds::DPC,
            Lock::Message(_) => Kinds::MESSAGE,
            Lock::Executive(_) => Kinds::EXECUTIVE,
        }
    }

    /// Whether some kind is in both.
    #[must_use]
    pub const fn has(self, kinds: Kinds) -> bool {
        self.0 & kinds.0 != 0
    }

    /// What is in either.
    #[must_use]
    pub const fn with(self, kinds: Kinds) -> Kinds {
        Kinds(self.0 | kinds.0)
    }
}

/// One row of the tables: what StorPort holds around a routine and what the routine may acquire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What StorPort holds; [`Kinds::MESSAGE`] is the lock of the message that interrupted.
    pub held: Kinds,
    /// What the routine may acquire.
    pub allowed: Kinds,
    /// What the table forbids and another page permits.
    pub doubtful: Kinds,
    /// `held` follows from the routine's own page, against the table.
    pub held_doubtful: bool,
}

impl Cell {
    /// No locks held, all allowed.
    pub const FREE: Cell = Cell {
        held: Kinds::NONE,
        allowed: Kinds::ALL,
        doubtful: Kinds::NONE,
        held_doubtful: false,
    };

    const fn new(held: Kinds, allowed: Kinds) -> Cell {
        // Message locks follow the Interrupt column; executive locks are outside the tables.
        let messages = if allowed.has(Kinds::INTERRUPT) { Kinds::MESSAGE } else { Kinds::NONE };
        Cell { held, allowed: allowed.with(messages).with(Kinds::EXECUTIVE), ..Cell::FREE }
    }

    const fn but_doubtful(self, doubtful: Kinds) -> Cell {
        Cell { doubtful, ..self }
    }
}

/// ScsiStopAdapter and ScsiRestartAdapter of SCSI_ADAPTER_CONTROL_TYPE.
const STOP_AND_RESTART: core::ops::RangeInclusive<u16> = 1..=2;

/// The row for `routine` of this adapter; `subject` is the control type of HwStorAdapterControl.
#[must_use]
pub fn cell(routine: Routine, subject: u16, adapter: &Adapter) -> Cell {
    let physical = matches!(adapter.miniport, Miniport::Physical);
    let half = matches!(adapter.duplex, Duplex::Half);
    let rank_one = Kinds::DPC.with(Kinds::START_IO);
    match routine {
        Routine::FindAdapter | Routine::PassiveInitialize => Cell::new(Kinds::NONE, Kinds::NONE),
        Routine::Initialize if physical => Cell::new(Kinds::INTERRUPT, Kinds::NONE),
        Routine::Initialize => Cell::new(Kinds::NONE, Kinds::NONE),
        Routine::Interrupt => Cell::new(Kinds::INTERRUPT, Kinds::NONE),
        Routine::MessageInterrupt if matches!(adapter.interrupts, Interrupts::PerMessage) => {
            Cell::new(Kinds::MESSAGE, Kinds::NONE).but_doubtful(Kinds::MESSAGE)
        }
        Routine::MessageInterrupt => Cell::new(Kinds::INTERRUPT, Kinds::NONE),
        Routine::StartIo if physical && half => {
            Cell::new(Kinds::START_IO.with(Kinds::INTERRUPT), Kinds::NONE)
        }
        Routine::StartIo if physical && adapter.channels <= 1 => {
            Cell::new(Kinds::START_IO, Kinds::DPC.with(Kinds::INTERRUPT))
        }
        Routine::Timer | Routine::ResetBus | Routine::StateChange if half => {
            Cell::new(Kinds::START_IO.with(Kinds::INTERRUPT), Kinds::NONE)
        }
        Routine::Timer | Routine::ResetBus | Routine::StateChange => {
            Cell::new(Kinds::START_IO, Kinds::INTERRUPT).but_doubtful(Kinds::DPC)
        }
        Routine::AdapterControl
            if adapter.control_under_interrupt_lock && STOP_AND_RESTART.contains(&subject) =>
        {
            let under_lock = Cell::new(Kinds::INTERRUPT, rank_one.with(Kinds::INTERRUPT));
            Cell { held_doubtful: true, ..under_lock }
        }
        _ => Cell::new(Kinds::NONE, rank_one.with(Kinds::INTERRUPT)),
    }
}

/// Whether nothing is wrong with requesting `lock` at `irql`: the test that nearly every request passes. The
/// adapter interrupts at `device`.
#[inline(always)]
pub(super) fn is_plain(
    p: &Processor,
    lock: Lock,
    api: LockApi,
    (irql, device): (Irql, Irql),
) -> bool {
    let allowed = p.allowed;
    match lock {
        Lock::StartIo | Lock::Dpc(_) => {
            !p.held.has_interrupt_rank()
                && irql.0 <= Irql::DISPATCH.0
                && allowed.has(Kinds::of(lock))
                && (irql.0 == Irql::DISPATCH.0 || !matches!(api, LockApi::DpcLevel))
        }
        Lock::Interrupt => irql.0 <= device.0 && allowed.has(Kinds::INTERRUPT),
        Lock::Message(n) => {
            irql.0 <= device.0 && allowed.has(Kinds::MESSAGE) && !p.held.has_message_above(n)
        }
        Lock::Executive(_) => match api {
            LockApi::KeDpcLevel | LockApi::KeQueuedDpcLevel => irql.0 == Irql::DISPATCH.0,
            _ => irql.0 <= Irql::DISPATCH.0,
        },
    }
}

/// The most specific objection of this family to requesting `lock`.
pub(super) fn request(state: &State, processor: u8, lock: Lock) -> Option<Verdict> {
    let p = state.processor(processor);
    let cell = p.cell();
    let rank_one = matches!(lock, Lock::StartIo | Lock::Dpc(_));
    if rank_one && p.held.has_interrupt_rank() {
        return Some(out_of_order(state, processor, lock));
    }
    if let Lock::Message(n) = lock
        && p.held.has_message_above(n)
    {
        let above = state
            .held_by(processor)
            .map(|(held, _)| held)
            .find(|held| matches!(held, Lock::Message(m) if *m > n));
        return Some(Verdict::of(RuleId::LockMessageOrder).lock(lock).against(above));
    }
    if !cell.allowed.has(Kinds::of(lock)) {
        let doubtful = cell.doubtful.has(Kinds::of(lock));
        return Some(Verdict::of(RuleId::LockForbidden).lock(lock).doubtful(doubtful));
    }
    None
}

/// lock.order against the newest lock of the higher rank whose being held is beyond doubt, else against any.
fn out_of_order(state: &State, processor: u8, lock: Lock) -> Verdict {
    let high = Kinds::INTERRUPT.with(Kinds::MESSAGE);
    let mut newest = None;
    for (held_lock, held) in state.held_by(processor).filter(|(l, _)| high.has(Kinds::of(*l))) {
        let doubtful = held_in_doubt(state.processor(processor), held);
        if !doubtful || newest.is_none() {
            newest = Some((held_lock, doubtful));
        }
        if !doubtful {
            break;
        }
    }
    let (against, doubtful) = newest.unzip();
    Verdict::of(RuleId::LockOrder).lock(lock).against(against).doubtful(doubtful.unwrap_or(false))
}

/// Whether StorPort holds the lock only according to a page that the lock tables contradict.
pub(super) fn held_in_doubt(p: &Processor, held: &super::state::Held) -> bool {
    let callback = usize::from(held.callback).wrapping_sub(1);
    held.by_port() && p.frames().get(callback).is_some_and(|frame| frame.cell.held_doubtful)
}
