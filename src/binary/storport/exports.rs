//! The exports of storport.sys: one handler each, arguments in the order of the C prototype.

use std::ffi::c_void;

use super::{some_srb, srb, unit};
use crate::binary::frame::Call;
use crate::binary::kernel::debug;
use crate::binary::load::{self, Initialized};
use crate::event::{Cause, Sink};
use crate::storport::config::{HwSynchronizeRoutine, InterfaceType};
use crate::storport::memory::PhysicalAddress;
use crate::storport::{
    Ddi, HwInitializationData, PortConfigurationInformation, SrbStatus, StorPort,
};

/// STATUS_UNSUCCESSFUL.
const STATUS_UNSUCCESSFUL: usize = 0xC000_0001;
/// STATUS_REVISION_MISMATCH.
const STATUS_REVISION_MISMATCH: usize = 0xC000_0059;
/// The shortest HW_INITIALIZATION_DATA there ever was ends behind HwBuildIo.
const INITIALIZATION_DATA_BYTES: usize = 0x88;

pub(super) fn initialize<S: Sink + 'static>(call: &Call<S>) -> usize {
    let address = call.pointer::<u8>(2);
    let size = call.read_at::<u32>(address.cast()) as usize;
    if size < INITIALIZATION_DATA_BYTES {
        return STATUS_REVISION_MISMATCH;
    }
    let bytes = size.min(size_of::<HwInitializationData>());
    call.check_read(address, bytes);
    let mut data = HwInitializationData::default();
    // SAFETY: checked; all fields are integers and pointers that may be NULL, so any bytes are a value.
    unsafe { (&raw mut data).cast::<u8>().copy_from(address, bytes) };
    match load::initialize(Initialized { data, context: call.pointer(3) }) {
        true => 0,
        false => STATUS_UNSUCCESSFUL,
    }
}

pub(super) fn busy<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).busy(call.u32(1)).into()
}

pub(super) fn ready<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).ready().into()
}

pub(super) fn pause<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).pause(call.u32(1)).into()
}

pub(super) fn resume<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).resume().into()
}

pub(super) fn device_busy<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (path, target, lun) = unit(call, 1);
    call.adapter(0).device_busy(path, target, lun, call.u32(4)).into()
}

pub(super) fn device_ready<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (path, target, lun) = unit(call, 1);
    call.adapter(0).device_ready(path, target, lun).into()
}

pub(super) fn pause_device<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (path, target, lun) = unit(call, 1);
    call.adapter(0).pause_device(path, target, lun, call.u32(4)).into()
}

pub(super) fn resume_device<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (path, target, lun) = unit(call, 1);
    call.adapter(0).resume_device(path, target, lun).into()
}

pub(super) fn set_device_queue_depth<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (path, target, lun) = unit(call, 1);
    call.adapter(0).set_device_queue_depth(path, target, lun, call.u32(4)).into()
}

pub(super) fn complete_request<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (path, target, lun) = unit(call, 1);
    call.adapter(0).complete_request(path, target, lun, SrbStatus(call.u8(4)));
    0
}

pub(super) fn get_device_base<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (bus_type, address) = (InterfaceType(call.i32(1)), PhysicalAddress(call.u64(3)));
    let port = call.adapter(0);
    port.get_device_base(bus_type, call.u32(2), address, call.u32(4), call.boolean(5)).addr()
}

pub(super) fn free_device_base<S: Sink + 'static>(call: &Call<S>) -> usize {
    // SAFETY: the machine maps nothing, so there is nothing to be used after it.
    unsafe { call.adapter(0).free_device_base(call.pointer(1)) };
    0
}

pub(super) fn get_uncached_extension<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    // The machine's own ConfigInfo lies on a processor's stack, as all that it lends to a callback.
    let config =
        call.writable::<PortConfigurationInformation>(1, size_of::<PortConfigurationInformation>());
    if !config.is_aligned() {
        call.crash(Cause::BadPointer);
    }
    // SAFETY: checked; integers and nullable pointers, of which any bytes are a value.
    port.get_uncached_extension(unsafe { &mut *config }, call.u32(2)).addr()
}

pub(super) fn get_physical_address<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    let length = call.writable::<u32>(3, size_of::<u32>());
    let mut bytes = 0;
    let address = port.get_physical_address(srb(call, 1), call.pointer(2), &mut bytes);
    call.write_at(length, bytes);
    address.0 as usize
}

pub(super) fn get_virtual_address<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).virtual_address(PhysicalAddress(call.u64(1))).addr()
}

pub(super) fn get_scatter_gather_list<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).get_scatter_gather_list(some_srb(call, 1)).addr()
}

pub(super) fn get_logical_unit<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.adapter(0).logical_unit(unit(call, 1)).addr()
}

pub(super) fn get_bus_data<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    let bytes = call.u32(5) as usize;
    let buffer = call.writable::<u8>(4, bytes);
    // A copy, so that no reference is made to memory that a device may write.
    let mut copy = [0; 256];
    let wanted = bytes.min(copy.len());
    let read = port.get_bus_data(call.u32(1), call.u32(2), call.u32(3), &mut copy[..wanted]);
    // SAFETY: checked for at least as many bytes.
    unsafe { buffer.copy_from(copy.as_ptr(), (read as usize).min(wanted)) };
    read as usize
}

pub(super) fn set_bus_data<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    let bytes = call.u32(6);
    let _ = call.readable::<u8>(4, bytes as usize);
    // Configuration space is what the device description says, whatever a driver writes there.
    port.called(Ddi::SetBusDataByOffset, call.u32(5), || bytes) as usize
}

pub(super) fn log_error<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (path, target, lun) = unit(call, 2);
    let port = call.adapter(0);
    port.log_error(srb(call, 1), path, target, lun, call.u32(5), call.u32(6));
    0
}

pub(super) fn validate_range<S: Sink + 'static>(call: &Call<S>) -> usize {
    let (bus_type, address) = (InterfaceType(call.i32(1)), PhysicalAddress(call.u64(3)));
    let port = call.adapter(0);
    port.validate_range(bus_type, call.u32(2), address, call.u32(4), call.boolean(5)).into()
}

pub(super) fn stall_execution<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().stall_execution(call.u32(0));
    0
}

pub(super) fn query_system_time<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.port();
    let time = call.writable::<u64>(0, size_of::<u64>());
    call.write_at(time, port.query_system_time());
    0
}

pub(super) fn synchronize_access<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.adapter(0);
    // SAFETY: the machine calls a compiled driver's functions as win64 functions.
    let routine = unsafe { call.routine::<HwSynchronizeRoutine>(1) };
    let context = call.pointer::<c_void>(2);
    // SAFETY: the driver gives them together.
    unsafe { port.synchronize_access(routine, context) }.into()
}

pub(super) fn move_memory<S: Sink + 'static>(call: &Call<S>) -> usize {
    let bytes = call.u32(2) as usize;
    let (to, from) = (call.writable::<u8>(0, bytes), call.readable::<u8>(1, bytes));
    // SAFETY: both checked; `copy` lets them overlap.
    unsafe { std::ptr::copy(from, to, bytes) };
    0
}

pub(super) fn convert_ulong<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.word(0)
}

pub(super) fn convert_physical<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.u32(0) as usize
}

pub(super) fn debug_print<S: Sink + 'static>(call: &Call<S>) -> usize {
    debug::check_text(call, 1)
}
