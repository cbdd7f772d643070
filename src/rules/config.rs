//! Configuration: what HwStorFindAdapter leaves in PORT_CONFIGURATION_INFORMATION.
//!
//! Areas verified: the members that the documents want set, the return value, half duplex in a physical
//! miniport.
//!
//! Areas not verified: members that StorPort accepts in any state. One page says that HwStorFindAdapter must set
//! MaximumTransferLength, another that the value it has means no limit: leaving it is a warning.
//!
//! Page: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_find_adapter>

use super::catalogue::{Family, Rule, RuleId, Severity, drivers, storport};
use super::verdict::Verdict;
use crate::event::{Adapter, ConfigurationMistake, Duplex, Miniport};

pub(super) const TRANSFER_LIMITS: Rule = Rule {
    id: "config.transfer_limits",
    family: Family::Configuration,
    severity: Severity::Warning,
    sentence: "HwStorFindAdapter leaves MaximumTransferLength or NumberOfPhysicalBreaks unset",
    why: "StorPort then sends requests of any length, in any number of pieces.",
    sdv: Some("StorPortFindAdapter"),
    bug_check: None,
    page: storport!("nc-storport-hw_find_adapter"),
    example: "// right\nconfig->MaximumTransferLength = 128 * 1024;\nconfig->NumberOfPhysicalBreaks = 33;",
};

pub(super) const VIRTUAL_DEVICE: Rule = Rule {
    id: "config.virtual_device",
    family: Family::Configuration,
    severity: Severity::Error,
    sentence: "VirtualDevice does not agree with the kind of miniport",
    why: "StorPort sets up DMA and interrupts for one kind and calls the other.",
    sdv: Some("StorPortVirtualDevice, StorPortVirtualDevice2"),
    bug_check: None,
    page: drivers!("devtest/virtualstorport-rule-set--storport-"),
    example: "// right: TRUE in a virtual miniport's HwStorFindAdapter, FALSE in any other\n\
              config->VirtualDevice = TRUE;",
};

pub(super) const RETURN_VALUE: Rule = Rule {
    id: "config.return_value",
    family: Family::Configuration,
    severity: Severity::Warning,
    sentence: "HwStorFindAdapter returns a value that is none of SP_RETURN_*",
    why: "StorPort takes it for a failure or not, as it happens.",
    sdv: Some("SpReturnValue"),
    bug_check: None,
    page: storport!("nc-storport-hw_find_adapter"),
    example: "// wrong\nreturn STATUS_SUCCESS;\n// right\nreturn SP_RETURN_FOUND;",
};

pub(super) const HALF_DUPLEX: Rule = Rule {
    id: "duplex.half",
    family: Family::Configuration,
    severity: Severity::Warning,
    sentence: "The miniport runs in half duplex mode",
    why: "Half duplex is meant for porting from SCSI port only: HwStorStartIo runs at the device's IRQL and \
          excludes the interrupt. It is the default, so leaving SynchronizationModel alone is enough.",
    sdv: Some("SpDuplex"),
    bug_check: None,
    page: drivers!("storage/half-duplex-mode--not-appropriate-for-shipped-products"),
    example: "// right: in HwStorFindAdapter\nconfig->SynchronizationModel = StorSynchronizeFullDuplex;",
};

/// The adapter as configured; StorPort says it anew when performance options are granted.
pub(super) fn configured(before: &Adapter, now: &Adapter) -> Option<Verdict> {
    let half = |a: &Adapter| matches!((a.miniport, a.duplex), (Miniport::Physical, Duplex::Half));
    (half(now) && !half(before) && !now.dump).then(|| Verdict::of(RuleId::DuplexHalf))
}

/// HwStorFindAdapter returned.
pub(super) const fn mistaken(mistake: ConfigurationMistake) -> Verdict {
    Verdict::of(match mistake {
        ConfigurationMistake::TransferLimitsUnset => RuleId::ConfigTransferLimits,
        ConfigurationMistake::VirtualDeviceWrong => RuleId::ConfigVirtualDevice,
        ConfigurationMistake::ReturnValueUnknown => RuleId::ConfigReturnValue,
    })
}
