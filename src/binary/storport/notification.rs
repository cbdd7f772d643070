//! StorPortNotification: the type says which routine of storport.h was called, and what its arguments are.
//!
//! See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportnotification>.

use super::{dpc, some_srb};
use crate::binary::frame::Call;
use crate::binary::imports;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::address::StorAddress;
use crate::storport::code::NotificationType;
use crate::storport::config::{HwPassiveInitializeRoutine, HwStateChange, HwTimer};
use crate::storport::{StorLockHandle, StorPort, StorSpinlock, StorStatus};

/// Where the arguments of a type begin.
pub(super) const FIRST: usize = 2;
/// Virtual nanoseconds of a tick of QueryTickCount: 64 a second.
const TICK_NS: u64 = 15_625_000;

pub(super) fn notification<S: Sink + 'static>(call: &Call<S>) -> usize {
    let kind = NotificationType(call.u32(0));
    let port = call.adapter(1);
    match kind {
        NotificationType::REQUEST_COMPLETE => port.request_complete(some_srb(call, FIRST)),
        NotificationType::ACQUIRE_SPIN_LOCK => acquire_spin_lock(call, port),
        NotificationType::RELEASE_SPIN_LOCK => release_spin_lock(call, port),
        NotificationType::INITIALIZE_DPC => dpc::initialize(call, port),
        NotificationType::ISSUE_DPC => dpc::issue(call, port),
        NotificationType::INITIALIZE_DPC_WITH_CONTEXT
        | NotificationType::INITIALIZE_THREADED_DPC => dpc::initialize_with_context(call, port),
        NotificationType::SET_TARGET_PROCESSOR_DPC => dpc::set_target_processor(call, port),
        NotificationType::REQUEST_TIMER_CALL => request_timer_call(call, port),
        NotificationType::ENABLE_PASSIVE_INITIALIZATION => {
            enable_passive_initialization(call, port);
        }
        NotificationType::STATE_CHANGE_DETECTED_CALL => state_change_detected(call, port),
        NotificationType::QUERY_TICK_COUNT => {
            let count = call.writable::<u64>(FIRST, size_of::<u64>());
            port.notify(kind);
            call.write_at(count, port.virtual_ns() / TICK_NS);
        }
        NotificationType::ASYNC_NOTIFICATION_DETECTED => {
            notify_with_status(call, port, FIRST + 2);
        }
        NotificationType::MARK_DEVICE_FAILED_EX => notify_with_status(call, port, FIRST + 8),
        NotificationType::GET_EXTENDED_FUNCTION_TABLE
        | NotificationType::TERMINATE_SYSTEM_THREAD => {
            imports::unmodelled(call, kind.name().unwrap_or_default())
        }
        _ => port.notify(kind),
    }
    0
}

/// A notification that answers with a status through its last argument.
fn notify_with_status<S: Sink + 'static>(call: &Call<S>, port: Port<S>, n: usize) {
    let status = call.writable::<u32>(n, size_of::<u32>());
    port.notify(NotificationType(call.u32(0)));
    call.write_at(status, StorStatus::SUCCESS.0);
}

fn acquire_spin_lock<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    let handle = call.writable::<StorLockHandle>(FIRST + 2, size_of::<StorLockHandle>());
    // SAFETY: the handle is checked; the machine looks at a context only where a STOR_DPC can lie.
    unsafe {
        port.acquire_spin_lock(StorSpinlock(call.u32(FIRST)), call.pointer(FIRST + 1), handle);
    }
}

fn release_spin_lock<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    let handle = call.writable::<StorLockHandle>(FIRST, size_of::<StorLockHandle>());
    // SAFETY: checked; the machine tells a handle that no acquire filled.
    unsafe { port.release_spin_lock(handle) };
}

fn request_timer_call<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    // SAFETY: the machine calls a compiled driver's functions as win64 functions.
    let routine = unsafe { call.function::<HwTimer>(FIRST) };
    port.request_timer_call(routine, call.u32(FIRST + 1));
}

fn enable_passive_initialization<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    // SAFETY: as above.
    let routine = unsafe { call.routine::<HwPassiveInitializeRoutine>(FIRST) };
    let result = call.writable::<i32>(FIRST + 1, size_of::<i32>());
    call.write_at(result, i32::from(port.enable_passive_initialization(routine)));
}

fn state_change_detected<S: Sink + 'static>(call: &Call<S>, port: Port<S>) {
    let (entity, attributes) = (call.u32(FIRST), call.u32(FIRST + 2));
    let address = call.read::<StorAddress>(FIRST + 1);
    let context = call.pointer(FIRST + 4);
    let status = call.writable::<u32>(FIRST + 5, size_of::<u32>());
    // SAFETY: as above.
    let routine = unsafe { call.function::<HwStateChange>(FIRST + 3) };
    // SAFETY: the driver gives routine and context together.
    let result =
        unsafe { port.state_change_detected(entity, &address, attributes, routine, context) };
    call.write_at(status, result.0);
}
