//! Which DDI may be called from where, and which not at all.
//!
//! Areas verified: routines that belong to one phase of the adapter's life; deprecated routines; the types that
//! StorPortNotification documents; a timer without a routine; StorPortFreePool of what is not allocated.
//!
//! Areas not verified: StorPortGetDeviceBase of a range that PnP did not assign (StorPort returns NULL, and a
//! driver that uses it crashes); StorPortAllocatePool into a pointer that still holds an allocation
//! (SDV: StorPortAllocatePool2), because the pointer may have been stored elsewhere before; routines outside
//! StorPort (SDV: HwStorPortProhibitedDDIs, StorPortDDIsPortOnly) are a matter of a driver's imports.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/devtest/ddi-usage-rule-set--storport->

use super::catalogue::{Family, Rule, RuleId, Severity, drivers, storport};
use super::state::Processor;
use super::verdict::Verdict;
use crate::event::Routine;
use crate::storport::code::NotificationType;
use crate::storport::{Ddi, StorStatus};

pub(super) const PASSIVE_PLACE: Rule = Rule {
    id: "init.passive_place",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "StorPortEnablePassiveInitialization is called outside HwStorInitialize",
    why: "It returns FALSE there, and HwStorPassiveInitializeRoutine never runs: no DPC is initialized.",
    sdv: Some("StorPortEnablePassive"),
    bug_check: None,
    page: storport!("nf-storport-storportenablepassiveinitialization"),
    example: "// wrong: in HwStorFindAdapter\nStorPortEnablePassiveInitialization(ext, PassiveInitialize);\n\
              // right: in HwStorInitialize",
};

pub(super) const PASSIVE_FROM_CONTROL: Rule = Rule {
    id: "init.passive_from_control",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "StorPortEnablePassiveInitialization is called while HwStorAdapterControl runs",
    why: "A driver that restarts by calling its own HwStorInitialize gets FALSE for an answer: what \
          HwStorPassiveInitializeRoutine should do is not done.",
    sdv: Some("StorPortPassiveFromHwInit"),
    bug_check: None,
    page: drivers!("devtest/storport-storportpassivefromhwinit"),
    example: "// wrong\ncase ScsiRestartAdapter: return HwStorInitialize(ext);\n\
              // right: one routine for the hardware, called by both\n\
              case ScsiRestartAdapter: return StartController(ext);",
};

pub(super) const UNCACHED_EXTENSION: Rule = Rule {
    id: "init.uncached_extension",
    family: Family::Ddi,
    severity: Severity::Error,
    sentence: "StorPortGetUncachedExtension is called outside HwStorFindAdapter",
    why: "StorPort takes the adapter's DMA properties from ConfigInfo, which is gone by then.",
    sdv: None,
    bug_check: Some("0xF1/0x2002 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/dv-storport-verification"),
    example: "// wrong: in HwStorInitialize\nStorPortGetUncachedExtension(ext, config, 4096);\n\
              // right: in HwStorFindAdapter",
};

pub(super) const FREE_DEVICE_BASE: Rule = Rule {
    id: "init.free_device_base",
    family: Family::Ddi,
    severity: Severity::Error,
    sentence: "StorPortFreeDeviceBase is called outside HwStorFindAdapter",
    why: "The registers are unmapped while other callbacks may use them; StorPort's verifier stops the machine.",
    sdv: None,
    bug_check: Some("0xF1 SCSI_VERIFIER_DETECTED_VIOLATION"),
    page: drivers!("devtest/dv-storport-verification"),
    example: "// wrong: in HwStorAdapterControl\nStorPortFreeDeviceBase(ext, ext->Registers);\n\
              // right: StorPort unmaps them with the adapter",
};

pub(super) const PERF_OPTS_PLACE: Rule = Rule {
    id: "init.perf_opts_place",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "StorPortInitializePerfOpts is called outside the adapter's initialization",
    why: "Only HwStorInitialize and HwStorPassiveInitializeRoutine may call it; elsewhere it has no effect.",
    sdv: None,
    bug_check: None,
    page: storport!("nf-storport-storportinitializeperfopts"),
    example: "// wrong: in HwStorFindAdapter\nStorPortInitializePerfOpts(ext, FALSE, &options);\n\
              // right: in HwStorInitialize",
};

pub(super) const PERF_OPTS_NULL: Rule = Rule {
    id: "init.perf_opts_null",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "StorPortInitializePerfOpts is called without data",
    why: "PerfConfigData must not be NULL; the routine refuses, and no option is set.",
    sdv: Some("StorPortPerfOpts"),
    bug_check: None,
    page: drivers!("devtest/storport-storportperfopts"),
    example: "// wrong\nStorPortInitializePerfOpts(ext, TRUE, NULL);\n\
              // right\nPERF_CONFIGURATION_DATA options = { STOR_PERF_VERSION, sizeof(options) };\n\
              StorPortInitializePerfOpts(ext, TRUE, &options);",
};

pub(super) const DEPRECATED: Rule = Rule {
    id: "ddi.deprecated",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "A deprecated routine is called",
    why: "StorPortValidateRange does nothing, and StorPortLogError gives way to StorPortLogSystemEvent and \
          tracing.",
    sdv: Some("StorPortDeprecated"),
    bug_check: None,
    page: drivers!("devtest/storport-storportdeprecated"),
    example: "// wrong\nStorPortLogError(ext, srb, 0, 0, 0, SP_INTERNAL_ADAPTER_ERROR, 1);\n\
              // right\nStorPortLogSystemEvent(ext, &details, NULL);",
};

pub(super) const COMPLETE_REQUEST: Rule = Rule {
    id: "ddi.complete_request",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "StorPortCompleteRequest is called",
    why: "StorPort completes what it believes to be outstanding, which need not be what the driver has: each \
          request should be completed by itself.",
    sdv: Some("StorPortCompleteRequest"),
    bug_check: None,
    page: storport!("nf-storport-storportcompleterequest"),
    example: "// wrong\nStorPortCompleteRequest(ext, 0, 255, 255, SRB_STATUS_BUS_RESET);\n\
              // right\nfor (each outstanding) StorPortNotification(RequestComplete, ext, srb);",
};

pub(super) const NOTIFICATION: Rule = Rule {
    id: "ddi.notification",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "StorPortNotification is called with a type that is not documented",
    why: "Heritage of SCSI port, or StorPort's own: it is ignored, or its arguments are taken for others.",
    sdv: Some("StorPortNotification2"),
    bug_check: None,
    page: drivers!("devtest/storport-storportnotification2"),
    example: "// wrong\nStorPortNotification(NextRequest, ext);\n\
              // right: StorPort sends the next request by itself",
};

pub(super) const MSI_INFO: Rule = Rule {
    id: "ddi.msi_info",
    family: Family::Ddi,
    severity: Severity::Warning,
    sentence: "StorPortGetMSIInfo is called from HwMSInterruptRoutine",
    why: "The page of the interrupt routine asks not to; what is needed can be kept from the initialization.",
    sdv: None,
    bug_check: None,
    page: storport!("nc-storport-hw_message_signaled_interrupt_routine"),
    example: "// wrong\nBOOLEAN HwMSInterruptRoutine(PVOID ext, ULONG id) {\n    StorPortGetMSIInfo(ext, id, &info);\n\
              // right: in HwStorInitialize\nfor (id = 0; StorPortGetMSIInfo(ext, id, &info) == STOR_STATUS_SUCCESS; id++)",
};

pub(super) const TIMER_ROUTINE: Rule = Rule {
    id: "timer.routine_missing",
    family: Family::Ddi,
    severity: Severity::Error,
    sentence: "RequestTimerCall sets the timer without a routine",
    why: "When the timer expires StorPort calls it.",
    sdv: Some("StorPortTimer"),
    bug_check: Some("0xD1 DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
    page: drivers!("devtest/storport-storporttimer"),
    example: "// wrong\nStorPortNotification(RequestTimerCall, ext, NULL, 1000);\n\
              // right\nStorPortNotification(RequestTimerCall, ext, HwStorTimer, 1000);",
};

pub(super) const FREE_UNKNOWN: Rule = Rule {
    id: "pool.free_unknown",
    family: Family::Ddi,
    severity: Severity::Error,
    sentence: "StorPortFreePool is called for memory that is not allocated",
    why: "Freed twice, or never allocated: the pool is corrupted, and the next owner with it.",
    sdv: Some("StorPortAllocatePool"),
    bug_check: Some("0xC2 BAD_POOL_CALLER"),
    page: drivers!("devtest/storportallocatepool"),
    example: "// wrong\nStorPortFreePool(ext, buffer);\nStorPortFreePool(ext, buffer);\n\
              // right\nStorPortFreePool(ext, buffer);\nbuffer = NULL;",
};

/// The DDIs that this file has something to say of, a bit each: the test that nearly every call passes.
const WATCHED: [u64; 4] = bits(&[
    Ddi::EnablePassiveInitialization,
    Ddi::GetUncachedExtension,
    Ddi::FreeDeviceBase,
    Ddi::InitializePerfOpts,
    Ddi::LogError,
    Ddi::ValidateRange,
    Ddi::CompleteRequest,
    Ddi::Notification,
    Ddi::GetMsiInfo,
    Ddi::RequestTimerCall,
    Ddi::FreePool,
    Ddi::ExFreePool,
    Ddi::AllocatePool,
    Ddi::StallExecution,
]);

const fn bits(ddis: &[Ddi]) -> [u64; 4] {
    let mut bits = [0; 4];
    let mut index = 0;
    while index < ddis.len() {
        bits[ddis[index] as usize / 64] |= 1 << (ddis[index] as u8 % 64);
        index += 1;
    }
    bits
}

/// In the argument of StorPortInitializePerfOpts: there was no PERF_CONFIGURATION_DATA.
const NO_PERF_DATA: u32 = 2;

/// Whether a call needs a closer look, by this family or [`time`](super::time).
#[inline]
pub(super) const fn is_watched(ddi: Ddi) -> bool {
    WATCHED[ddi as usize / 64] >> (ddi as u8 % 64) & 1 != 0
}

/// A call of a watched DDI.
pub(super) fn called(p: &Processor, ddi: Ddi, argument: u32, result: u32) -> Option<Verdict> {
    // Outside any callback StorPort itself acts on the driver's behalf: DriverEntry, which has no event.
    let routine = p.root()?.routine;
    let initializes = matches!(routine, Routine::Initialize | Routine::PassiveInitialize);
    let rule = match ddi {
        Ddi::EnablePassiveInitialization if routine == Routine::AdapterControl => {
            RuleId::InitPassiveFromControl
        }
        Ddi::EnablePassiveInitialization if routine != Routine::Initialize => {
            RuleId::InitPassivePlace
        }
        Ddi::GetUncachedExtension if routine != Routine::FindAdapter => {
            RuleId::InitUncachedExtension
        }
        Ddi::FreeDeviceBase if routine != Routine::FindAdapter => RuleId::InitFreeDeviceBase,
        Ddi::InitializePerfOpts if !initializes => RuleId::InitPerfOptsPlace,
        Ddi::InitializePerfOpts if argument & NO_PERF_DATA != 0 => RuleId::InitPerfOptsNull,
        Ddi::LogError | Ddi::ValidateRange => RuleId::DdiDeprecated,
        Ddi::CompleteRequest => RuleId::DdiCompleteRequest,
        Ddi::Notification if !is_documented(NotificationType(argument)) => RuleId::DdiNotification,
        Ddi::GetMsiInfo if routine == Routine::MessageInterrupt => RuleId::DdiMsiInfo,
        Ddi::RequestTimerCall if result == 0 && argument != 0 => RuleId::TimerRoutineMissing,
        Ddi::FreePool | Ddi::ExFreePool if result == StorStatus::INVALID_PARAMETER.0 => {
            RuleId::PoolFreeUnknown
        }
        _ => return None,
    };
    Some(Verdict::of(rule))
}

/// The ten types that drivers may pass themselves, and those that the header's own routines pass for them.
const fn is_documented(notification: NotificationType) -> bool {
    matches!(
        notification,
        NotificationType::REQUEST_COMPLETE
            | NotificationType::RESET_DETECTED
            | NotificationType::REQUEST_TIMER_CALL
            | NotificationType::BUS_CHANGE_DETECTED
            | NotificationType::WMI_EVENT
            | NotificationType::WMI_REREGISTER
            | NotificationType::LINK_UP
            | NotificationType::LINK_DOWN
            | NotificationType::QUERY_TICK_COUNT
            | NotificationType::BUFFER_OVERRUN_DETECTED
    ) || (NotificationType::ENABLE_PASSIVE_INITIALIZATION.0 <= notification.0
        && notification.0 <= NotificationType::STOR_MQ_CONTROLLER_START_INITIALIZATION.0)
}
