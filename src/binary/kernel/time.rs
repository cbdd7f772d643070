//! Time, which is the machine's virtual time; in DriverEntry it stands still.

use crate::binary::frame::Call;
use crate::binary::storport::information::COUNTS_PER_SECOND;
use crate::binary::storport::wait::{EPOCH, interval_ns};
use crate::event::Sink;
use crate::storport::{Ddi, StorPort};

/// Units of 100 ns in a tick of the clock.
pub(in crate::binary) const TICK: u64 = 156_250;

/// Virtual time in units of 100 ns.
fn now<S: Sink + 'static>(call: &Call<S>) -> u64 {
    call.machine().map_or(0, |port| port.virtual_ns() / 100)
}

pub(super) fn interrupt<S: Sink + 'static>(call: &Call<S>) -> usize {
    now(call) as usize
}

/// KeQueryInterruptTimePrecise: the performance counter too.
pub(super) fn interrupt_precise<S: Sink + 'static>(call: &Call<S>) -> usize {
    let time = now(call);
    call.write(0, time);
    time as usize
}

pub(super) fn system<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.write(0, EPOCH + now(call));
    0
}

pub(super) fn performance_counter<S: Sink + 'static>(call: &Call<S>) -> usize {
    if call.word(0) != 0 {
        call.write(0, COUNTS_PER_SECOND);
    }
    now(call) as usize
}

pub(super) fn tick<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.write(0, now(call) / TICK);
    0
}

pub(super) fn increment<S: Sink + 'static>(_: &Call<S>) -> usize {
    TICK as usize
}

/// KeStallExecutionProcessor, which StorPortStallExecution is.
pub(super) fn stall<S: Sink + 'static>(call: &Call<S>) -> usize {
    if let Some(port) = call.machine() {
        port.stall_execution(call.u32(0));
    }
    0
}

pub(super) fn delay<S: Sink + 'static>(call: &Call<S>) -> usize {
    let port = call.port();
    let nanoseconds = interval_ns(call.read::<i64>(2), port.virtual_ns());
    let argument = u32::try_from(nanoseconds / 1_000).unwrap_or(u32::MAX);
    port.called(Ddi::KeDelayExecutionThread, argument, || 0);
    port.sleep(nanoseconds);
    0
}
