//! Events, waits and delays.
//!
//! A thread that waits lets virtual time pass in small steps, in which everything else goes on. Waiting above
//! APC_LEVEL is an error that ends the run, so the steps below happen only where a wait is allowed.

use super::extended::FIRST;
use super::memory::{refuse, success};
use super::status;
use crate::binary::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::code::FunctionCode as Code;
use crate::storport::{Ddi, Executive, Irql, StorPort, StorStatus};

/// Bytes of STOR_EVENT and KEVENT, which is a DISPATCHER_HEADER.
pub(in crate::binary) const EVENT_BYTES: usize = 0x18;
/// SynchronizationEvent: a wait that it satisfies clears it.
const SYNCHRONIZATION_EVENT: u8 = 1;
/// How long a thread sleeps between two looks, in nanoseconds; grows up to the latter.
const LOOK_NS: u64 = 10_000;
const LOOK_MAX_NS: u64 = 10_000_000;
/// 100 ns units from 1601 to the start of every run, as StorPortQuerySystemTime has it.
pub(in crate::binary) const EPOCH: u64 = 132_537_600_000_000_000;

pub(super) fn function<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    code: Code,
) -> Option<usize> {
    Some(status(match code {
        Code::INITIALIZE_EVENT => {
            if call.word(FIRST) == 0 || call.u32(FIRST + 1) > 1 {
                return Some(status(refuse(port, Ddi::InitializeEvent)));
            }
            initialize_event(call, FIRST);
            success(port, Ddi::InitializeEvent)
        }
        Code::SET_EVENT => set(call, port),
        Code::WAIT_FOR_EVENT => wait_for_event(call, port),
        Code::DELAY_EXECUTION => delay(call, port),
        _ => return None,
    }))
}

/// Makes the event at argument `n`, of the kind and with the state of the two arguments behind it.
pub(in crate::binary) fn initialize_event<S: Sink + 'static>(call: &Call<S>, n: usize) {
    let event = call.writable::<u8>(n, EVENT_BYTES);
    call.write_at(event, call.u8(n + 1));
    call.write_at(event.wrapping_add(2), (EVENT_BYTES / size_of::<u32>()) as u8);
    set_state(call, event, i32::from(call.boolean(n + 2)));
    let list = event.wrapping_add(8).addr();
    call.write_at(event.wrapping_add(8).cast(), list);
    call.write_at(event.wrapping_add(16).cast(), list);
}

fn state<S: Sink + 'static>(call: &Call<S>, event: *mut u8) -> i32 {
    call.read_at(event.wrapping_add(4).cast_const().cast())
}

/// Sets SignalState; what it was.
pub(in crate::binary) fn set_state<S: Sink + 'static>(
    call: &Call<S>,
    event: *mut u8,
    value: i32,
) -> i32 {
    let before = state(call, event);
    call.write_at(event.wrapping_add(4).cast(), value);
    before
}

fn set<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    if call.word(FIRST) == 0 {
        return refuse(port, Ddi::SetEvent);
    }
    let event = call.writable::<u8>(FIRST, EVENT_BYTES);
    let refused = port.ke_get_current_irql() > Irql::DISPATCH;
    let answer = if refused { StorStatus::INVALID_IRQL } else { StorStatus::SUCCESS };
    if !refused {
        set_state(call, event, 1);
    }
    StorStatus(port.called(Ddi::SetEvent, 0, || answer.0))
}

fn wait_for_event<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    if call.word(FIRST) == 0 {
        return refuse(port, Ddi::WaitForSingleObject);
    }
    let event = call.writable::<u8>(FIRST, EVENT_BYTES);
    let timeout = match call.word(FIRST + 2) {
        0 => None,
        _ => Some(interval_ns(call.read::<i64>(FIRST + 2), port.virtual_ns())),
    };
    let waits = timeout != Some(0);
    let ddi = if waits { Ddi::WaitForSingleObjectWaiting } else { Ddi::WaitForSingleObject };
    port.called(ddi, 0, || StorStatus::SUCCESS.0);
    match wait_until_signalled(call, port, event, timeout) {
        true => StorStatus::SUCCESS,
        false => StorStatus::TIMEOUT,
    }
}

/// Waits for an event, at most so many nanoseconds; whether it was signalled.
pub(in crate::binary) fn wait_until_signalled<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    event: *mut u8,
    timeout: Option<u64>,
) -> bool {
    let deadline = timeout.map(|timeout| port.virtual_ns().saturating_add(timeout));
    let mut step = LOOK_NS;
    while state(call, event) == 0 {
        let left = deadline.map_or(u64::MAX, |end| end.saturating_sub(port.virtual_ns()));
        if left == 0 {
            return false;
        }
        port.sleep(step.min(left));
        step = (step * 2).min(LOOK_MAX_NS);
    }
    if call.read_at(event.cast_const()) == SYNCHRONIZATION_EVENT {
        set_state(call, event, 0);
    }
    true
}

/// StorPortDelayExecution: sleeps below DISPATCH_LEVEL and spins at it or above.
fn delay<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let microseconds = call.u32(FIRST);
    if port.ke_get_current_irql() < Irql::DISPATCH {
        port.called(Ddi::DelayExecution, microseconds, || StorStatus::SUCCESS.0);
        port.sleep(u64::from(microseconds) * 1_000);
    } else {
        port.stall_execution(microseconds);
    }
    StorStatus::SUCCESS
}

/// From now to a time of Windows, which is relative if it is negative, in nanoseconds.
pub(in crate::binary) fn interval_ns(time: i64, now_ns: u64) -> u64 {
    match u64::try_from(time) {
        Ok(absolute) => absolute.saturating_sub(EPOCH + now_ns / 100).saturating_mul(100),
        Err(_) => time.unsigned_abs().saturating_mul(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_time_is_an_interval() {
        assert_eq!(interval_ns(-10, 5_000), 1_000);
        assert_eq!(interval_ns(0, 5_000), 0);
        assert_eq!(interval_ns((EPOCH + 60) as i64, 5_000), 1_000);
        assert_eq!(interval_ns(i64::MIN, 0), u64::MAX);
    }
}
