//! The catalogue: every rule as data. The text of a rule stands beside its check, in its family's file.

use core::fmt;

use super::{
    balance, config, ddi as ddis, dpc, end, graph, interrupt, irql, kind, order, race, request,
    time,
};

/// The address of a StorPort reference page.
macro_rules! storport {
    ($page:literal) => {
        concat!("https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/", $page)
    };
}
/// The address of another reference page.
macro_rules! ddi {
    ($page:literal) => {
        concat!("https://learn.microsoft.com/windows-hardware/drivers/ddi/", $page)
    };
}
/// The address of a page of the driver documentation.
macro_rules! drivers {
    ($page:literal) => {
        concat!("https://learn.microsoft.com/windows-hardware/drivers/", $page)
    };
}
pub(super) use {ddi, drivers, storport};

/// How grave a broken rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(rename_all = "lowercase"))]
pub enum Severity {
    /// The documented contract is broken, but this run survives.
    Warning,
    /// The system hangs, bug-checks or corrupts data, in this run or on another schedule of it.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// What a rule is about; one file each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Acquires and releases belong together.
    Balance,
    /// Which lock after which, and where.
    Order,
    /// Whether the lock exists.
    Kind,
    /// The level at which things happen.
    Irql,
    /// Interrupts and DPCs against what they interrupt.
    Interrupt,
    /// The life of a STOR_DPC.
    Dpc,
    /// The life of a request.
    Request,
    /// How long things take.
    Time,
    /// Which DDI from where.
    Ddi,
    /// What HwStorFindAdapter sets.
    Configuration,
    /// Memory that is touched without an order.
    Race,
    /// How a run ends.
    End,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Balance => "balance",
            Family::Order => "order",
            Family::Kind => "kind",
            Family::Irql => "irql",
            Family::Interrupt => "interrupt",
            Family::Dpc => "dpc",
            Family::Request => "request",
            Family::Time => "time",
            Family::Ddi => "ddi",
            Family::Configuration => "configuration",
            Family::Race => "race",
            Family::End => "end",
        })
    }
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name, the same for ever.
    pub id: &'static str,
    /// What it is about.
    pub family: Family,
    /// How grave it is to break it; a finding can be less grave.
    pub severity: Severity,
    /// What a driver that breaks it does, in one sentence without its full stop.
    pub sentence: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// The rules of Static Driver Verifier that correspond to it.
    pub sdv: Option<&'static str>,
    /// The bug check by which Windows, often only with Driver Verifier, stops on it.
    pub bug_check: Option<&'static str>,
    /// The page that documents it.
    pub page: &'static str,
    /// A wrong and a right way, in a few lines of C.
    pub example: &'static str,
}

/// Declares [`RuleId`] from rows of variant, id and text.
macro_rules! rules {
    ($($variant:ident = $id:literal, $rule:path;)*) => {
        /// Every rule of the catalogue.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum RuleId { $(#[doc = concat!("`", $id, "`.")] $variant,)* }

        impl RuleId {
            /// Every rule, in the order of the catalogue.
            pub const ALL: &'static [RuleId] = &[$(RuleId::$variant,)*];

            /// What the catalogue says of it.
            #[must_use]
            pub const fn rule(self) -> &'static Rule {
                match self { $(RuleId::$variant => &$rule,)* }
            }

            /// The rule of that name.
            #[must_use]
            pub fn from_id(id: &str) -> Option<RuleId> {
                match id { $($id => Some(RuleId::$variant),)* _ => None }
            }
        }
    };
}

rules! {
    LockRecursive = "lock.recursive", balance::RECURSIVE;
    LockPortHeld = "lock.port_held", balance::PORT_HELD;
    LockReleaseUnheld = "lock.release_unheld", balance::RELEASE_UNHELD;
    LockReleaseForeign = "lock.release_foreign", balance::RELEASE_FOREIGN;
    LockReleasePortHeld = "lock.release_port_held", balance::RELEASE_PORT_HELD;
    LockReleaseOther = "lock.release_other", balance::RELEASE_OTHER;
    LockHandleStale = "lock.handle_stale", balance::HANDLE_STALE;
    LockHandleCopied = "lock.handle_copied", balance::HANDLE_COPIED;
    LockReleaseMessage = "lock.release_message", balance::RELEASE_MESSAGE;
    LockOldIrql = "lock.old_irql", balance::OLD_IRQL;
    LockApiPair = "lock.api_pair", balance::API_PAIR;
    LockReleaseOrder = "lock.release_order", balance::RELEASE_ORDER;
    LockHeldAtReturn = "lock.held_at_return", balance::HELD_AT_RETURN;
    LockHeldAtRemoval = "lock.held_at_removal", balance::HELD_AT_REMOVAL;
    LockLeaked = "lock.leaked", balance::LEAKED;
    LockOrder = "lock.order", order::ORDER;
    LockForbidden = "lock.forbidden", order::FORBIDDEN;
    LockMessageOrder = "lock.message_order", order::MESSAGE_ORDER;
    LockCycle = "lock.cycle", graph::CYCLE;
    LockNotPerMessage = "lock.not_per_message", kind::NOT_PER_MESSAGE;
    LockMessageRange = "lock.message_range", kind::MESSAGE_RANGE;
    LockExOnly = "lock.ex_only", kind::EX_ONLY;
    LockUnknownKind = "lock.unknown_kind", kind::UNKNOWN_KIND;
    LockDpcContext = "lock.dpc_context", kind::DPC_CONTEXT;
    LockContextNotNull = "lock.context_not_null", kind::CONTEXT_NOT_NULL;
    LockUninitialized = "lock.uninitialized", kind::UNINITIALIZED;
    LockInitializedTwice = "lock.initialized_twice", kind::INITIALIZED_TWICE;
    LockMixedApi = "lock.mixed_api", kind::MIXED_API;
    LockExecutiveInInterrupt = "lock.executive_in_interrupt", kind::EXECUTIVE_IN_INTERRUPT;
    IrqlDdi = "irql.ddi", irql::DDI;
    IrqlRestore = "irql.restore", irql::RESTORE;
    IrqlLockLevel = "irql.lock_level", irql::LOCK_LEVEL;
    IrqlRaise = "irql.raise", irql::RAISE;
    IrqlLower = "irql.lower", irql::LOWER;
    IrqlBelowLock = "irql.below_lock", irql::BELOW_LOCK;
    InterruptSelfDeadlock = "interrupt.self_deadlock", interrupt::SELF_DEADLOCK;
    DpcSelfDeadlock = "dpc.self_deadlock", interrupt::DPC_SELF_DEADLOCK;
    DpcUninitialized = "dpc.uninitialized", dpc::UNINITIALIZED;
    DpcInitializedTwice = "dpc.initialized_twice", dpc::INITIALIZED_TWICE;
    DpcCorrupted = "dpc.corrupted", dpc::CORRUPTED;
    RequestCompletedTwice = "request.completed_twice", request::COMPLETED_TWICE;
    RequestCompletedAfterReset = "request.completed_after_reset", request::COMPLETED_AFTER_RESET;
    RequestUnknown = "request.unknown", request::UNKNOWN;
    RequestDeviceOwns = "request.device_owns", request::DEVICE_OWNS;
    RequestPendingStatus = "request.pending_status", request::PENDING_STATUS;
    RequestStatusInvalid = "request.status_invalid", request::STATUS_INVALID;
    RequestTouched = "request.touched", request::TOUCHED;
    RequestLost = "request.lost", request::LOST;
    RequestCompletedUnderLock = "request.completed_under_lock", request::COMPLETED_UNDER_LOCK;
    DataWrong = "data.wrong", request::DATA_WRONG;
    TimeStall = "time.stall", time::STALL;
    TimeStallVerifier = "time.stall_verifier", time::STALL_VERIFIER;
    TimeStallInStartIo = "time.stall_in_start_io", time::STALL_IN_START_IO;
    TimeAllocation = "time.allocation", time::ALLOCATION;
    TimeLockHeld = "time.lock_held", time::LOCK_HELD;
    TimeDpc = "time.dpc", time::DPC;
    TimeInterrupt = "time.interrupt", time::INTERRUPT;
    TimeRoutine = "time.routine", time::ROUTINE;
    InitDpcPlace = "init.dpc_place", dpc::PLACE;
    InitPassivePlace = "init.passive_place", ddis::PASSIVE_PLACE;
    InitPassiveFromControl = "init.passive_from_control", ddis::PASSIVE_FROM_CONTROL;
    InitUncachedExtension = "init.uncached_extension", ddis::UNCACHED_EXTENSION;
    InitFreeDeviceBase = "init.free_device_base", ddis::FREE_DEVICE_BASE;
    InitPerfOptsPlace = "init.perf_opts_place", ddis::PERF_OPTS_PLACE;
    InitPerfOptsNull = "init.perf_opts_null", ddis::PERF_OPTS_NULL;
    DdiDeprecated = "ddi.deprecated", ddis::DEPRECATED;
    DdiCompleteRequest = "ddi.complete_request", ddis::COMPLETE_REQUEST;
    DdiNotification = "ddi.notification", ddis::NOTIFICATION;
    DdiMsiInfo = "ddi.msi_info", ddis::MSI_INFO;
    TimerRoutineMissing = "timer.routine_missing", ddis::TIMER_ROUTINE;
    PoolFreeUnknown = "pool.free_unknown", ddis::FREE_UNKNOWN;
    ConfigTransferLimits = "config.transfer_limits", config::TRANSFER_LIMITS;
    ConfigVirtualDevice = "config.virtual_device", config::VIRTUAL_DEVICE;
    ConfigReturnValue = "config.return_value", config::RETURN_VALUE;
    DuplexHalf = "duplex.half", config::HALF_DUPLEX;
    RunDeadlock = "run.deadlock", end::DEADLOCK;
    RunHang = "run.hang", end::HANG;
    DriverCrashed = "driver.crashed", end::CRASHED;
    RaceUnsynchronized = "race.unsynchronized", race::UNSYNCHRONIZED;
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule().id)
    }
}

/// A set of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleSet(u128);

const _: () = assert!(RuleId::ALL.len() <= 128);

impl RuleSet {
    /// The set without rules.
    pub const NONE: RuleSet = RuleSet(0);

    /// Adds a rule.
    pub const fn insert(&mut self, rule: RuleId) {
        self.0 |= 1 << rule as u8;
    }

    /// Whether a rule is in it.
    #[must_use]
    #[inline]
    pub const fn contains(self, rule: RuleId) -> bool {
        self.0 >> (rule as u8) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_and_lead_back() {
        let ids: HashSet<_> = RuleId::ALL.iter().map(|rule| rule.rule().id).collect();
        assert_eq!(ids.len(), RuleId::ALL.len());
        for &rule in RuleId::ALL {
            assert_eq!(RuleId::from_id(rule.rule().id), Some(rule));
        }
        assert_eq!(RuleId::from_id("lock.nonsense"), None);
    }

    #[test]
    fn texts_are_fit_to_print() {
        for rule in RuleId::ALL.iter().map(|rule| rule.rule()) {
            let Rule { id, sentence, why, page, example, .. } = *rule;
            let name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
            assert!(id.chars().all(name) && id.matches('.').count() == 1, "{id}");
            assert!(!sentence.ends_with('.') && !sentence.contains('\n'), "{id}: {sentence}");
            assert!(sentence.starts_with(|c: char| c.is_ascii_uppercase()), "{id}: {sentence}");
            assert!(why.ends_with('.') && !why.contains("  "), "{id}: {why}");
            assert!(
                page.starts_with("https://learn.microsoft.com/windows-hardware/drivers/"),
                "{id}"
            );
            assert!(page.is_ascii() && !page.contains(' ') && !page.ends_with(".md"), "{id}");
            assert!(example.contains("// right"), "{id}");
            assert!(
                example.lines().all(|line| line.trim_end() == line && line.len() <= 100),
                "{id}"
            );
        }
    }

    #[test]
    fn what_the_system_does_not_survive_is_an_error() {
        for rule in RuleId::ALL.iter().map(|rule| rule.rule()) {
            let fatal = matches!(rule.family, Family::Balance | Family::End)
                && rule.id != "lock.release_order";
            assert!(!fatal || rule.severity == Severity::Error, "{}", rule.id);
        }
    }
}
