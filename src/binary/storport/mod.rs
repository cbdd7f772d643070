//! storport.sys as a compiled miniport sees it: what it exports, with StorPortNotification and
//! StorPortExtendedFunction, in which all the routines of storport.h end that are no exports.
//!
//! Pages: <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/>.

mod dpc;
mod exports;
mod extended;
pub(super) mod information;
pub(super) mod lists;
mod memory;
mod notification;
pub(super) mod registers;
mod registry;
mod timers;
pub(super) mod wait;

use crate::binary::frame::{Call, plain, routines};
use crate::event::{Cause, Sink};
use crate::storport::address::StorAddress;
use crate::storport::memory::PhysicalAddress;
use crate::storport::perf::{GroupAffinity, ProcessorNumber};
use crate::storport::{Srb, StorStatus};

routines! {
    "StorPortAllocateRegistryBuffer" => registry::allocate_buffer;
    "StorPortBusy" => exports::busy;
    "StorPortCompleteRequest" => exports::complete_request;
    "StorPortConvertPhysicalAddressToUlong" => exports::convert_physical;
    "StorPortConvertUlongToPhysicalAddress" => exports::convert_ulong;
    "StorPortDebugPrint" => exports::debug_print;
    "StorPortDeviceBusy" => exports::device_busy;
    "StorPortDeviceReady" => exports::device_ready;
    "StorPortExtendedFunction" => extended::extended_function;
    "StorPortFreeDeviceBase" => exports::free_device_base;
    "StorPortFreeRegistryBuffer" => registry::free_buffer;
    "StorPortGetBusData" => exports::get_bus_data;
    "StorPortGetDeviceBase" => exports::get_device_base;
    "StorPortGetLogicalUnit" => exports::get_logical_unit;
    "StorPortGetPhysicalAddress" => exports::get_physical_address;
    "StorPortGetScatterGatherList" => exports::get_scatter_gather_list;
    "StorPortGetUncachedExtension" => exports::get_uncached_extension;
    "StorPortGetVirtualAddress" => exports::get_virtual_address;
    "StorPortInitialize" => exports::initialize;
    "StorPortLogError" => exports::log_error;
    "StorPortMoveMemory" => exports::move_memory;
    "StorPortNotification" => notification::notification;
    "StorPortPause" => exports::pause;
    "StorPortPauseDevice" => exports::pause_device;
    "StorPortQuerySystemTime" => exports::query_system_time;
    "StorPortReadPortBufferUchar" => registers::read_port_buffer_uchar;
    "StorPortReadPortBufferUlong" => registers::read_port_buffer_ulong;
    "StorPortReadPortBufferUshort" => registers::read_port_buffer_ushort;
    "StorPortReadPortUchar" => registers::read_port_uchar;
    "StorPortReadPortUlong" => registers::read_port_ulong;
    "StorPortReadPortUshort" => registers::read_port_ushort;
    "StorPortReadRegisterBufferUchar" => registers::read_register_buffer_uchar;
    "StorPortReadRegisterBufferUlong" => registers::read_register_buffer_ulong;
    "StorPortReadRegisterBufferUlong64" => registers::read_register_buffer_ulong64;
    "StorPortReadRegisterBufferUshort" => registers::read_register_buffer_ushort;
    "StorPortReadRegisterUchar" => registers::read_register_uchar;
    "StorPortReadRegisterUlong" => registers::read_register_ulong;
    "StorPortReadRegisterUlong64" => registers::read_register_ulong64;
    "StorPortReadRegisterUshort" => registers::read_register_ushort;
    "StorPortReady" => exports::ready;
    "StorPortRegistryRead" => registry::read;
    "StorPortRegistryWrite" => registry::write;
    "StorPortResume" => exports::resume;
    "StorPortResumeDevice" => exports::resume_device;
    "StorPortSetBusDataByOffset" => exports::set_bus_data;
    "StorPortSetDeviceQueueDepth" => exports::set_device_queue_depth;
    "StorPortStallExecution" => exports::stall_execution;
    "StorPortSynchronizeAccess" => exports::synchronize_access;
    "StorPortValidateRange" => exports::validate_range;
    "StorPortWritePortBufferUchar" => registers::write_port_buffer_uchar;
    "StorPortWritePortBufferUlong" => registers::write_port_buffer_ulong;
    "StorPortWritePortBufferUshort" => registers::write_port_buffer_ushort;
    "StorPortWritePortUchar" => registers::write_port_uchar;
    "StorPortWritePortUlong" => registers::write_port_ulong;
    "StorPortWritePortUshort" => registers::write_port_ushort;
    "StorPortWriteRegisterBufferUchar" => registers::write_register_buffer_uchar;
    "StorPortWriteRegisterBufferUlong" => registers::write_register_buffer_ulong;
    "StorPortWriteRegisterBufferUlong64" => registers::write_register_buffer_ulong64;
    "StorPortWriteRegisterBufferUshort" => registers::write_register_buffer_ushort;
    "StorPortWriteRegisterUchar" => registers::write_register_uchar;
    "StorPortWriteRegisterUlong" => registers::write_register_ulong;
    "StorPortWriteRegisterUlong64" => registers::write_register_ulong64;
    "StorPortWriteRegisterUshort" => registers::write_register_ushort;
}

plain!(PhysicalAddress, ProcessorNumber, GroupAffinity, StorAddress, StorStatus);

/// A status as a routine returns it.
const fn status(status: StorStatus) -> usize {
    status.0 as usize
}

/// Argument `n` as an SRB; `None` for NULL. Nothing that it points to is believed, or read without a look at which
/// request it is.
fn srb<S: Sink + 'static>(call: &Call<S>, n: usize) -> Option<Srb> {
    let address = call.pointer(n);
    // SAFETY: the machine knows its requests by their address and looks at no other; a handler here passes the
    // handle on to it.
    (!std::ptr::eq(address, std::ptr::null())).then(|| unsafe { Srb::new(address) })
}

/// As [`srb`], where NULL is a finding.
fn some_srb<S: Sink + 'static>(call: &Call<S>, n: usize) -> Srb {
    match srb(call, n) {
        Some(srb) => srb,
        None => call.crash(Cause::BadPointer),
    }
}

/// The path, target and lun of arguments `n` to `n + 2`.
fn unit<S: Sink + 'static>(call: &Call<S>, n: usize) -> (u8, u8, u8) {
    (call.u8(n), call.u8(n + 1), call.u8(n + 2))
}
