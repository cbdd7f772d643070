//! Control requests: what StorPort asks of HwStorAdapterControl and HwStorUnitControl, and the
//! answers.

use super::address::StorAddress;
use super::status::named;

named! {
    /// `SCSI_ADAPTER_CONTROL_TYPE`: what StorPort wants of the adapter.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ne-storport-scsi_adapter_control_type>.
    ScsiAdapterControlType(u32) {
        QUERY_SUPPORTED_CONTROL_TYPES = 0, "ScsiQuerySupportedControlTypes";
        /// Disable interrupts and stop; the adapter was stopped, removed or powered down.
        STOP_ADAPTER = 1, "ScsiStopAdapter";
        /// Initialise the adapter again, as HwStorInitialize did.
        RESTART_ADAPTER = 2, "ScsiRestartAdapter";
        SET_BOOT_CONFIG = 3, "ScsiSetBootConfig";
        SET_RUNNING_CONFIG = 4, "ScsiSetRunningConfig";
        POWER_SETTING_NOTIFICATION = 5, "ScsiPowerSettingNotification";
        /// The adapter is powered up or down.
        POWER = 6, "ScsiAdapterPower";
        POFX_POWER_REQUIRED = 7, "ScsiAdapterPoFxPowerRequired";
        POFX_POWER_ACTIVE = 8, "ScsiAdapterPoFxPowerActive";
        POFX_POWER_SET_FSTATE = 9, "ScsiAdapterPoFxPowerSetFState";
        POFX_POWER_CONTROL = 10, "ScsiAdapterPoFxPowerControl";
        PREPARE_FOR_BUS_RESCAN = 11, "ScsiAdapterPrepareForBusReScan";
        SYSTEM_POWER_HINTS = 12, "ScsiAdapterSystemPowerHints";
        FILTER_RESOURCE_REQUIREMENTS = 13, "ScsiAdapterFilterResourceRequirements";
        POFX_MAX_OPERATIONAL_POWER = 14, "ScsiAdapterPoFxMaxOperationalPower";
        POFX_SET_PERF_STATE = 15, "ScsiAdapterPoFxSetPerfState";
        /// The adapter is gone.
        SURPRISE_REMOVAL = 16, "ScsiAdapterSurpriseRemoval";
        SERIAL_NUMBER = 17, "ScsiAdapterSerialNumber";
        CRYPTO_OPERATION = 18, "ScsiAdapterCryptoOperation";
        QUERY_FRU_ID = 19, "ScsiAdapterQueryFruId";
        SET_EVENT_LOGGING = 20, "ScsiAdapterSetEventLogging";
        REPORT_INTERNAL_DATA = 21, "ScsiAdapterReportInternalData";
        RESET_BUS_SYNCHRONOUS = 22, "ScsiAdapterResetBusSynchronous";
        POST_HW_INITIALIZE = 23, "ScsiAdapterPostHwInitialize";
        PREPARE_EARLY_DUMP_DATA = 24, "ScsiAdapterPrepareEarlyDumpData";
        RESTORE_EARLY_DUMP_DATA = 25, "ScsiAdapterRestoreEarlyDumpData";
        KSR_POWER_DOWN = 26, "ScsiAdapterKsrPowerDown";
        PREPARE_PLDR = 27, "ScsiAdapterPreparePLDR";
        NVMEOF_ADAPTER_OPERATION = 28, "ScsiNvmeofAdapterOperation";
    }
}

named! {
    /// `SCSI_ADAPTER_CONTROL_STATUS`: the result of HwStorAdapterControl.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_adapter_control>.
    ScsiAdapterControlStatus(u32) {
        SUCCESS = 0, "ScsiAdapterControlSuccess";
        UNSUCCESSFUL = 1, "ScsiAdapterControlUnsuccessful";
        RETRY_NEEDED = 2, "ScsiAdapterControlRetryNeeded";
        BUFFER_TOO_SMALL = 3, "ScsiAdapterControlBufferTooSmall";
    }
}

named! {
    /// `SCSI_UNIT_CONTROL_TYPE`: what StorPort wants of a logical unit.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ne-storport-scsi_unit_control_type>.
    ScsiUnitControlType(u32) {
        QUERY_SUPPORTED_CONTROL_TYPES = 0, "ScsiQuerySupportedUnitControlTypes";
        USAGE = 1, "ScsiUnitUsage";
        /// The unit is about to be used.
        START = 2, "ScsiUnitStart";
        /// The unit is powered up or down.
        POWER = 3, "ScsiUnitPower";
        POFX_POWER_INFO = 4, "ScsiUnitPoFxPowerInfo";
        POFX_POWER_REQUIRED = 5, "ScsiUnitPoFxPowerRequired";
        POFX_POWER_ACTIVE = 6, "ScsiUnitPoFxPowerActive";
        POFX_POWER_SET_FSTATE = 7, "ScsiUnitPoFxPowerSetFState";
        POFX_POWER_CONTROL = 8, "ScsiUnitPoFxPowerControl";
        /// The unit is being removed.
        REMOVE = 9, "ScsiUnitRemove";
        /// The unit is gone.
        SURPRISE_REMOVAL = 10, "ScsiUnitSurpriseRemoval";
        RICH_DESCRIPTION = 11, "ScsiUnitRichDescription";
        QUERY_BUS_TYPE = 12, "ScsiUnitQueryBusType";
        QUERY_FRU_ID = 13, "ScsiUnitQueryFruId";
        REPORT_INTERNAL_DATA = 14, "ScsiUnitReportInternalData";
        KSR_POWER_DOWN = 15, "ScsiUnitKsrPowerDown";
    }
}

named! {
    /// `SCSI_UNIT_CONTROL_STATUS`: the result of HwStorUnitControl.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_unit_control>.
    ScsiUnitControlStatus(u32) {
        SUCCESS = 0, "ScsiUnitControlSuccess";
        UNSUCCESSFUL = 1, "ScsiUnitControlUnsuccessful";
    }
}

/// `SCSI_SUPPORTED_CONTROL_TYPE_LIST`: the head of the list that a miniport fills when it is asked
/// which control types it knows; a BOOLEAN for each type follows.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-scsi_supported_control_type_list>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ScsiSupportedControlTypeList {
    /// `MaxControlType`: how many BOOLEANs follow; a miniport writes no more.
    pub max_control_type: u32,
    /// `SupportedTypeList`: where they begin.
    pub supported_type_list: [u8; 0],
}

named! {
    /// `STOR_DEVICE_POWER_STATE`: a device's power state.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ne-storport-_stor_device_power_state>.
    StorDevicePowerState(u32) {
        UNSPECIFIED = 0, "StorPowerDeviceUnspecified";
        /// On.
        D0 = 1, "StorPowerDeviceD0";
        D1 = 2, "StorPowerDeviceD1";
        D2 = 3, "StorPowerDeviceD2";
        /// Off.
        D3 = 4, "StorPowerDeviceD3";
    }
}

/// `STOR_ADAPTER_CONTROL_POWER`: the parameter of [`ScsiAdapterControlType::POWER`].
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-stor_adapter_control_power>.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StorAdapterControlPower {
    /// `Header.Version`: 1.
    pub version: u32,
    /// `Header.Size`: bytes of this structure.
    pub size: u32,
    /// `Header.Address`: NULL for an adapter.
    pub address: *mut StorAddress,
    /// `PowerAction`: a STOR_POWER_ACTION.
    pub power_action: u32,
    /// `PowerState`: [`StorDevicePowerState::D0`] or [`StorDevicePowerState::D3`].
    pub power_state: StorDevicePowerState,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<StorAdapterControlPower>() == 0x18);
    assert!(offset_of!(StorAdapterControlPower, address) == 0x08);
    assert!(offset_of!(StorAdapterControlPower, power_action) == 0x10);
    assert!(offset_of!(StorAdapterControlPower, power_state) == 0x14);
};

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<ScsiSupportedControlTypeList>() == 0x04);
    assert!(offset_of!(ScsiSupportedControlTypeList, max_control_type) == 0x00);
    assert!(offset_of!(ScsiSupportedControlTypeList, supported_type_list) == 0x04);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(format!("{:?}", ScsiAdapterControlType::STOP_ADAPTER), "ScsiStopAdapter");
        assert_eq!(format!("{}", ScsiUnitControlType::POWER), "ScsiUnitPower");
        assert_eq!(format!("{}", ScsiAdapterControlStatus(1)), "ScsiAdapterControlUnsuccessful");
        assert!((0..=28).all(|number| ScsiAdapterControlType(number).name().is_some()));
        assert!((0..=15).all(|number| ScsiUnitControlType(number).name().is_some()));
        assert_eq!(ScsiAdapterControlType(29).name(), None);
        assert_eq!(ScsiUnitControlType(16).name(), None);
    }
}
