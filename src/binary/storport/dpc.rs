//! The DPC routines, which end in notifications.

use super::notification::FIRST;
use super::status;
use crate::binary::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::dpc::HwDpcRoutine;
use crate::storport::perf::ProcessorNumber;
use crate::storport::{StorDpc, StorPort, StorStatus};

pub(super) fn initialize<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    let dpc = call.writable::<StorDpc>(FIRST, size_of::<StorDpc>());
    // SAFETY: the machine calls a compiled driver's functions as win64 functions.
    let routine = unsafe { call.routine::<HwDpcRoutine>(FIRST + 1) };
    // SAFETY: checked; the machine notices an object that does not stay as it was.
    unsafe { port.initialize_dpc(dpc, routine) };
}

/// StorPortInitializeDpcWithContext and StorPortInitializeThreadedDpc. A threaded DPC may run at DISPATCH_LEVEL, and
/// here it always does.
pub(super) fn initialize_with_context<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    let dpc = call.writable::<StorDpc>(FIRST, size_of::<StorDpc>());
    // SAFETY: as above.
    let routine = unsafe { call.routine::<HwDpcRoutine>(FIRST + 1) };
    // SAFETY: as above.
    unsafe { port.initialize_dpc_with(dpc, routine, call.pointer(FIRST + 2)) };
}

pub(super) fn issue<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    let success = call.writable::<i32>(FIRST + 3, size_of::<i32>());
    let (argument1, argument2) = (call.pointer(FIRST + 1), call.pointer(FIRST + 2));
    // SAFETY: the machine looks at an object only where one can lie.
    let queued = unsafe { port.issue_dpc(call.pointer(FIRST), argument1, argument2) };
    call.write_at(success, i32::from(queued));
}

pub(super) fn set_target_processor<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    let processor = call.read::<ProcessorNumber>(FIRST + 1);
    let result = call.writable::<u32>(FIRST + 2, size_of::<u32>());
    // SAFETY: as above.
    let status = unsafe { port.set_target_processor_dpc(call.pointer(FIRST), processor) };
    call.write_at(result, status.0);
}

/// StorPortCancelDpc, an extended function.
pub(super) fn cancel<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> usize {
    let result = call.writable::<u8>(FIRST + 1, size_of::<u8>());
    // SAFETY: as above.
    let removed = unsafe { port.cancel_dpc(call.pointer(FIRST)) };
    call.write_at(result, u8::from(removed));
    status(StorStatus::SUCCESS)
}
