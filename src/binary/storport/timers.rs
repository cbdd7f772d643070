//! Timers and workers.

use super::extended::FIRST;
use super::memory::refuse;
use super::status;
use crate::binary::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::code::FunctionCode as Code;
use crate::storport::config::{HwTimerEx, HwWorkItem};
use crate::storport::{Ddi, StorPort, StorStatus};

/// The finest period of a high-resolution timer, in nanoseconds: half a millisecond.
const PERIOD_MIN_NS: u64 = 500_000;

pub(super) fn function<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    code: Code,
) -> Option<usize> {
    Some(status(match code {
        Code::INITIALIZE_TIMER => {
            let result = call.writable::<*mut u8>(FIRST, size_of::<*mut u8>());
            let mut handle = std::ptr::null_mut();
            let status = port.initialize_timer(&mut handle);
            call.write_at(result, handle.cast());
            status
        }
        Code::REQUEST_TIMER => request(call, port),
        // SAFETY: the machine knows its handles.
        Code::FREE_TIMER => unsafe { port.free_timer(call.pointer(FIRST)) },
        Code::INITIALIZE_WORKER => {
            let result = call.writable::<*mut u8>(FIRST, size_of::<*mut u8>());
            let mut handle = std::ptr::null_mut();
            let status = port.initialize_worker(&mut handle);
            call.write_at(result, handle.cast());
            status
        }
        Code::QUEUE_WORK_ITEM => queue_work_item(call, port),
        // SAFETY: as above.
        Code::FREE_WORKER => unsafe { port.free_worker(call.pointer(FIRST)) },
        Code::INITIALIZE_HIGH_RESOLUTION_TIMER => initialize_high_resolution(call, port),
        Code::REQUEST_HIGH_RESOLUTION_TIMER => request_high_resolution(call, port),
        Code::CANCEL_HIGH_RESOLUTION_TIMER => {
            let answer = Answer::at(call, FIRST + 2);
            let timer = call.pointer(FIRST);
            answer.give(call, port.reset_timer(Ddi::CancelHighResolutionTimer, timer, None))
        }
        Code::FREE_HIGH_RESOLUTION_TIMER => {
            let answer = Answer::at(call, FIRST + 4);
            let status = port.free_high_resolution_timer(call.pointer(FIRST));
            answer.give(call, (status == StorStatus::SUCCESS).then_some(false));
            status
        }
        _ => return None,
    }))
}

fn request<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let (microseconds, delay) = (call.u64(FIRST + 3), call.u64(FIRST + 4));
    // SAFETY: the machine calls a compiled driver's functions as win64 functions.
    let routine = match unsafe { call.function::<HwTimerEx>(FIRST + 1) } {
        Some(routine) => routine,
        // A cancellation needs none.
        None if microseconds == 0 => never,
        None => return refuse(port, Ddi::RequestTimer),
    };
    let (timer, context) = (call.pointer(FIRST), call.pointer(FIRST + 2));
    // SAFETY: the machine knows its handles; the driver gives routine and context together.
    unsafe { port.request_timer(timer, routine, context, microseconds, delay) }
}

/// The routine of a timer that is not set.
unsafe extern "system-unwind" fn never(_: *mut std::ffi::c_void, _: *mut std::ffi::c_void) {}

fn queue_work_item<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    // SAFETY: as above.
    let routine = unsafe { call.routine::<HwWorkItem>(FIRST) };
    let (worker, context) = (call.pointer(FIRST + 1), call.pointer(FIRST + 2));
    // SAFETY: as above.
    unsafe { port.queue_work_item(routine, worker, context) }
}

fn initialize_high_resolution<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let result = call.writable::<*mut u8>(FIRST + 2, size_of::<*mut u8>());
    // SAFETY: as above.
    let routine = unsafe { call.routine::<HwTimerEx>(FIRST) };
    let timer = port.initialize_high_resolution_timer(routine, call.pointer(FIRST + 1));
    call.write_at(result, timer.cast());
    match timer.is_null() {
        true => StorStatus::INSUFFICIENT_RESOURCES,
        false => StorStatus::SUCCESS,
    }
}

fn request_high_resolution<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let answer = Answer::at(call, FIRST + 4);
    let (due, period) = (call.u64(FIRST + 1) as i64, call.u64(FIRST + 2) as i64);
    let after = super::wait::interval_ns(due, port.virtual_ns());
    let period = match u64::try_from(period) {
        Ok(0) | Err(_) => 0,
        Ok(period) => period.saturating_mul(100).max(PERIOD_MIN_NS),
    };
    let times = Some((after, period));
    let pending = port.reset_timer(Ddi::RequestHighResolutionTimer, call.pointer(FIRST), times);
    answer.give(call, pending)
}

/// The BOOLEAN through which a high-resolution timer's routine says whether the timer was set; may be NULL.
struct Answer(*mut u8);

impl Answer {
    fn at<S: Sink + 'static>(call: &Call<S>, n: usize) -> Self {
        match call.word(n) {
            0 => Answer(std::ptr::null_mut()),
            _ => Answer(call.writable(n, 1)),
        }
    }

    fn give<S: Sink + 'static>(self, call: &Call<S>, pending: Option<bool>) -> StorStatus {
        if !self.0.is_null() {
            call.write_at(self.0, u8::from(pending.unwrap_or(false)));
        }
        pending.map_or(StorStatus::INVALID_PARAMETER, |_| StorStatus::SUCCESS)
    }
}
