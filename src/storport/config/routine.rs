//! The routines of a miniport as StorPort calls them.
//!
//! `extension` is always HwDeviceExtension. The calling convention is Windows' on Windows and C's
//! elsewhere; it may unwind, so that a host can catch the panic of a driver written in Rust.

use core::ffi::c_void;

use super::{Boolean, PortConfigurationInformation};
use crate::storport::address::StorAddress;
use crate::storport::control::{ScsiAdapterControlType, ScsiUnitControlType};
use crate::storport::srb::ScsiRequestBlock;

/// `HW_INITIALIZE`: makes the adapter ready. FALSE: it cannot be used.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_initialize>.
pub type HwInitialize = unsafe extern "system-unwind" fn(extension: *mut c_void) -> Boolean;

/// `HW_PASSIVE_INITIALIZE_ROUTINE`: the part of the initialisation that needs PASSIVE_LEVEL.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_passive_initialize_routine>.
pub type HwPassiveInitializeRoutine =
    unsafe extern "system-unwind" fn(extension: *mut c_void) -> Boolean;

/// `HW_BUILDIO`: prepares a request without locks. FALSE: do not start it.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_buildio>.
pub type HwBuildIo =
    unsafe extern "system-unwind" fn(extension: *mut c_void, srb: *mut ScsiRequestBlock) -> Boolean;

/// `HW_STARTIO`: starts a request.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_startio>.
pub type HwStartIo =
    unsafe extern "system-unwind" fn(extension: *mut c_void, srb: *mut ScsiRequestBlock) -> Boolean;

/// `HW_INTERRUPT`: serves a line interrupt. FALSE: the adapter did not raise it.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_interrupt>.
pub type HwInterrupt = unsafe extern "system-unwind" fn(extension: *mut c_void) -> Boolean;

/// `HW_MESSAGE_SIGNALED_INTERRUPT_ROUTINE`: serves a message interrupt.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_message_signaled_interrupt_routine>.
pub type HwMessageInterrupt =
    unsafe extern "system-unwind" fn(extension: *mut c_void, message_id: u32) -> Boolean;

/// `HW_FIND_ADAPTER` of a physical miniport: describes the adapter. The result is an
/// [`SpReturn`](crate::storport::status::SpReturn).
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_find_adapter>.
pub type HwFindAdapter = unsafe extern "system-unwind" fn(
    extension: *mut c_void,
    hw_context: *mut c_void,
    bus_information: *mut c_void,
    argument_string: *mut u8,
    config_info: *mut PortConfigurationInformation,
    reserved: *mut Boolean,
) -> u32;

/// `VIRTUAL_HW_FIND_ADAPTER`: as [`HwFindAdapter`], with the device object below.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-virtual_hw_find_adapter>.
pub type VirtualHwFindAdapter = unsafe extern "system-unwind" fn(
    extension: *mut c_void,
    hw_context: *mut c_void,
    bus_information: *mut c_void,
    lower_device: *mut c_void,
    argument_string: *mut u8,
    config_info: *mut PortConfigurationInformation,
    again: *mut Boolean,
) -> u32;

/// `HW_RESET_BUS`: resets a bus and completes what was on it.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_reset_bus>.
pub type HwResetBus =
    unsafe extern "system-unwind" fn(extension: *mut c_void, path_id: u32) -> Boolean;

/// `HW_ADAPTER_CONTROL`: a control request to the adapter. The result is a
/// [`ScsiAdapterControlStatus`](crate::storport::control::ScsiAdapterControlStatus).
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_adapter_control>.
pub type HwAdapterControl = unsafe extern "system-unwind" fn(
    extension: *mut c_void,
    control_type: ScsiAdapterControlType,
    parameters: *mut c_void,
) -> u32;

/// `HW_UNIT_CONTROL`: a control request to a logical unit. The result is a
/// [`ScsiUnitControlStatus`](crate::storport::control::ScsiUnitControlStatus).
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_unit_control>.
pub type HwUnitControl = unsafe extern "system-unwind" fn(
    extension: *mut c_void,
    control_type: ScsiUnitControlType,
    parameters: *mut c_void,
) -> u32;

/// `HW_TRACING_ENABLED`: event tracing was switched on or off.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_tracing_enabled>.
pub type HwTracingEnabled =
    unsafe extern "system-unwind" fn(extension: *mut c_void, enabled: Boolean);

/// `HW_TIMER`: the timer of RequestTimerCall ran out.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_timer>.
pub type HwTimer = unsafe extern "system-unwind" fn(extension: *mut c_void);

/// `HW_TIMER_EX`: a timer of StorPortRequestTimer ran out.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportrequesttimer>.
pub type HwTimerEx = unsafe extern "system-unwind" fn(extension: *mut c_void, context: *mut c_void);

/// `HW_WORKITEM`: a work item runs.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_workitem>.
pub type HwWorkItem = unsafe extern "system-unwind" fn(
    extension: *mut c_void,
    context: *mut c_void,
    worker: *mut c_void,
);

/// `HW_STATE_CHANGE`: StorPort has handled a state change that the miniport reported.
///
/// `address_type` is a [`StorAddressType`](crate::storport::address::StorAddressType), `status` a
/// [`StorStatus`](crate::storport::status::StorStatus).
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nc-storport-hw_state_change>.
pub type HwStateChange = unsafe extern "system-unwind" fn(
    extension: *mut c_void,
    context: *mut c_void,
    address_type: i16,
    address: *mut StorAddress,
    status: u32,
);

/// `STOR_SYNCHRONIZED_ACCESS`: what StorPortSynchronizeAccess runs under the Interrupt lock.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportsynchronizeaccess>.
pub type HwSynchronizeRoutine =
    unsafe extern "system-unwind" fn(extension: *mut c_void, context: *mut c_void) -> Boolean;
