//! KEVENT, as StorPort's events.

use crate::binary::frame::Call;
use crate::binary::storport::wait::{
    EVENT_BYTES, initialize_event, interval_ns, set_state, wait_until_signalled,
};
use crate::event::Sink;
use crate::storport::{Ddi, StorStatus};

/// STATUS_TIMEOUT.
const STATUS_TIMEOUT: usize = 0x102;

/// Sets the state of the event at argument 0; what it was.
fn change<S: Sink + 'static>(call: &Call<S>, value: i32) -> usize {
    set_state(call, call.writable(0, EVENT_BYTES), value) as u32 as usize
}

pub(super) fn initialize<S: Sink + 'static>(call: &Call<S>) -> usize {
    initialize_event(call, 0);
    0
}

pub(super) fn set<S: Sink + 'static>(call: &Call<S>) -> usize {
    if let Some(port) = call.machine() {
        port.called(Ddi::KeSetEvent, 0, || StorStatus::SUCCESS.0);
    }
    change(call, 1)
}

pub(super) fn reset<S: Sink + 'static>(call: &Call<S>) -> usize {
    change(call, 0)
}

pub(super) fn clear<S: Sink + 'static>(call: &Call<S>) -> usize {
    change(call, 0);
    0
}

pub(super) fn read<S: Sink + 'static>(call: &Call<S>) -> usize {
    let event = call.readable::<u8>(0, EVENT_BYTES);
    call.read_at(event.wrapping_add(4).cast::<u32>()) as usize
}

/// KeWaitForSingleObject of an event.
pub(super) fn wait<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.port();
    let event = call.writable::<u8>(0, EVENT_BYTES);
    let timeout = match call.word(4) {
        0 => None,
        _ => Some(interval_ns(call.read::<i64>(4), port.virtual_ns())),
    };
    let waits = timeout != Some(0);
    let ddi = if waits { Ddi::KeWaitForSingleObjectWaiting } else { Ddi::KeWaitForSingleObject };
    port.called(ddi, 0, || 0);
    if wait_until_signalled(call, port, event, timeout) { 0 } else { STATUS_TIMEOUT }
}
