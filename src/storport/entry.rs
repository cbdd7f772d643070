//! The entry points of a core: a [`Miniport`] as the table of functions that StorPort calls.
//!
//! Each function rebuilds the port's handle and the `&self` from HwDeviceExtension and calls one method.
//! The same functions serve real StorPort and the simulated one; `system-unwind` is Windows' calling
//! convention on Windows and C's elsewhere, and lets the host see a panic of the driver.

use core::ffi::c_void;

use super::address::StorAddress;
use super::config::{
    HwFindAdapter, HwInitializationData, PortConfigurationInformation, VirtualHwFindAdapter,
};
use super::control::{ScsiAdapterControlType, ScsiSupportedControlTypeList, ScsiUnitControlType};
use super::dpc::StorDpc;
use super::miniport::Miniport;
use super::port::StorPort;
use super::srb::{ScsiRequestBlock, Srb};

/// The initialisation data of a core: what its DriverEntry passes to StorPortInitialize.
#[must_use]
pub fn initialization_data<P: StorPort, M: Miniport<P>>() -> HwInitializationData {
    let traits = M::INITIALIZATION;
    let physical = !traits.is_virtual;
    let mut data = HwInitializationData::new();
    data.hw_find_adapter = Some(if physical {
        find_adapter::<P, M>
    } else {
        // SAFETY: VIRTUAL_HW_INITIALIZATION_DATA has the same layout but for the prototype of this
        // one pointer; StorPort tells the two apart by STOR_FEATURE_VIRTUAL_MINIPORT.
        unsafe {
            core::mem::transmute::<VirtualHwFindAdapter, HwFindAdapter>(
                virtual_find_adapter::<P, M>,
            )
        }
    });
    data.hw_initialize = Some(initialize::<P, M>);
    data.hw_start_io = Some(start_io::<P, M>);
    data.hw_reset_bus = Some(reset_bus::<P, M>);
    data.hw_tracing_enabled = Some(tracing_enabled::<P, M>);
    if physical {
        data.hw_build_io = Some(build_io::<P, M>);
        data.hw_interrupt = Some(interrupt::<P, M>);
    } else {
        data.feature_support |= super::config::STOR_FEATURE_VIRTUAL_MINIPORT;
    }
    if traits.adapter_control {
        data.hw_adapter_control = Some(adapter_control::<P, M>);
    }
    if traits.unit_control {
        data.hw_unit_control = Some(unit_control::<P, M>);
    }
    data.device_extension_size = size_of::<M>() as u32;
    data.srb_extension_size = traits.srb_extension_bytes;
    data.number_of_access_ranges = traits.access_ranges;
    data.srb_type_flags = if traits.extended_srb {
        super::config::SRB_TYPE_FLAG_STORAGE_REQUEST_BLOCK
    } else {
        super::config::SRB_TYPE_FLAG_SCSI_REQUEST_BLOCK
    };
    data
}

/// The core and its port, from the extension that StorPort passes.
///
/// # Safety
///
/// `extension` is the HwDeviceExtension of an adapter whose miniport is `M`.
#[inline]
unsafe fn core_of<'a, P: StorPort, M: Miniport<P>>(extension: *mut c_void) -> (&'a M, P) {
    // SAFETY: StorPort allocated `size_of::<M>()` zeroed bytes there, a valid `M` by the contract of
    // `Extension`, which live as long as the adapter; all access is shared.
    unsafe { (&*extension.cast::<M>(), P::from_extension(extension)) }
}

/// HwStorFindAdapter.
///
/// # Safety
///
/// Called by StorPort only, with the adapter's extension and a valid ConfigInfo. The same holds for
/// every entry point of this file.
pub unsafe extern "system-unwind" fn find_adapter<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    context: *mut c_void,
    _bus_information: *mut c_void,
    _argument: *mut u8,
    config: *mut PortConfigurationInformation,
    _again: *mut u8,
) -> u32 {
    // SAFETY: see `find_adapter`'s contract.
    let ((core, port), config) = unsafe { (core_of::<P, M>(extension), &mut *config) };
    core.find_adapter(port, context, config).0
}

/// VirtualHwStorFindAdapter: one parameter more, the lower device object.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn virtual_find_adapter<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    context: *mut c_void,
    bus_information: *mut c_void,
    _lower_device: *mut c_void,
    argument: *mut u8,
    config: *mut PortConfigurationInformation,
    again: *mut u8,
) -> u32 {
    // SAFETY: see `find_adapter`'s contract.
    unsafe { find_adapter::<P, M>(extension, context, bus_information, argument, config, again) }
}

/// HwStorInitialize.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn initialize<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
) -> u8 {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    u8::from(core.initialize(port))
}

/// HwStorPassiveInitializeRoutine.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn passive_initialize<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
) -> u8 {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    u8::from(core.passive_initialize(port))
}

/// HwStorBuildIo.
///
/// # Safety
///
/// See [`find_adapter`]; `srb` is a request of StorPort's.
pub unsafe extern "system-unwind" fn build_io<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    srb: *mut ScsiRequestBlock,
) -> u8 {
    // SAFETY: see the contract.
    let ((core, port), srb) = unsafe { (core_of::<P, M>(extension), Srb::new(srb)) };
    u8::from(core.build_io(port, srb))
}

/// HwStorStartIo.
///
/// # Safety
///
/// See [`build_io`].
pub unsafe extern "system-unwind" fn start_io<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    srb: *mut ScsiRequestBlock,
) -> u8 {
    // SAFETY: see the contract.
    let ((core, port), srb) = unsafe { (core_of::<P, M>(extension), Srb::new(srb)) };
    u8::from(core.start_io(port, srb))
}

/// HwStorInterrupt.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn interrupt<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
) -> u8 {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    u8::from(core.interrupt(port))
}

/// HwMSInterruptRoutine.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn message_interrupt<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    message: u32,
) -> u8 {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    u8::from(core.message_interrupt(port, message))
}

/// HwStorDpcRoutine.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn dpc<P: StorPort, M: Miniport<P>>(
    dpc: *mut StorDpc,
    extension: *mut c_void,
    argument1: *mut c_void,
    argument2: *mut c_void,
) {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    core.dpc(port, dpc, argument1.addr(), argument2.addr());
}

/// HwStorTimer.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn timer<P: StorPort, M: Miniport<P>>(extension: *mut c_void) {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    core.timer(port);
}

/// HW_TIMER_EX.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn timer_ex<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    context: *mut c_void,
) {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    core.timer_ex(port, context.addr());
}

/// HW_WORKITEM.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn work_item<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    context: *mut c_void,
    worker: *mut c_void,
) {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    core.work_item(port, context.addr(), worker);
}

/// HwStorResetBus.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn reset_bus<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    path: u32,
) -> u8 {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    u8::from(core.reset_bus(port, path))
}

/// HwStorStateChange.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn state_change<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    context: *mut c_void,
    _address_type: i16,
    _address: *mut StorAddress,
    status: u32,
) {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    core.state_change(port, context.addr(), status);
}

/// HwStorAdapterControl.
///
/// # Safety
///
/// See [`find_adapter`]; `parameters` is what the control type takes.
pub unsafe extern "system-unwind" fn adapter_control<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    control: ScsiAdapterControlType,
    parameters: *mut c_void,
) -> u32 {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    if control == ScsiAdapterControlType::QUERY_SUPPORTED_CONTROL_TYPES {
        // SAFETY: the parameter of this control type is a list.
        unsafe {
            answer_query(parameters.cast(), |n| {
                core.supports_adapter_control(ScsiAdapterControlType(n))
            });
        }
        return 0;
    }
    u32::from(!core.adapter_control(port, control, parameters))
}

/// HwStorUnitControl.
///
/// # Safety
///
/// See [`adapter_control`].
pub unsafe extern "system-unwind" fn unit_control<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    control: ScsiUnitControlType,
    parameters: *mut c_void,
) -> u32 {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    if control == ScsiUnitControlType::QUERY_SUPPORTED_CONTROL_TYPES {
        // SAFETY: the parameter of this control type is a list.
        unsafe {
            answer_query(parameters.cast(), |n| core.supports_unit_control(ScsiUnitControlType(n)));
        }
        return 0;
    }
    u32::from(!core.unit_control(port, control, parameters))
}

/// Fills SCSI_SUPPORTED_CONTROL_TYPE_LIST: one BOOLEAN a type, as many as StorPort has room for.
///
/// # Safety
///
/// `list` is valid, with `max_control_type` BOOLEANs behind its header.
unsafe fn answer_query(list: *mut ScsiSupportedControlTypeList, supports: impl Fn(u32) -> bool) {
    // SAFETY: the contract; the array begins right behind the header.
    unsafe {
        let count = (*list).max_control_type;
        let types = list.cast::<u8>().add(size_of::<u32>());
        for number in 0..count {
            types.add(number as usize).write(u8::from(number == 0 || supports(number)));
        }
    }
}

/// HwStorTracingEnabled.
///
/// # Safety
///
/// See [`find_adapter`].
pub unsafe extern "system-unwind" fn tracing_enabled<P: StorPort, M: Miniport<P>>(
    extension: *mut c_void,
    enabled: u8,
) {
    // SAFETY: see `find_adapter`'s contract.
    let (core, port) = unsafe { core_of::<P, M>(extension) };
    core.tracing_enabled(port, enabled != 0);
}
