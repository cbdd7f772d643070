//! The machine's processors: one group, one node. In DriverEntry there is one.

use crate::binary::frame::Call;
use crate::binary::hooks::{THREAD_BYTES, THREADS_AT};
use crate::event::Sink;
use crate::storport::perf::{GroupAffinity, ProcessorNumber};

/// STATUS_INVALID_PARAMETER, and what KeGetProcessorIndexFromNumber says of a processor that is not there.
const STATUS_INVALID_PARAMETER: usize = 0xC000_000D;
const INVALID_INDEX: usize = u32::MAX as usize;
/// Bytes of a cache line, between which shared data should lie.
const CACHE_LINE: usize = 64;

fn processors<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.machine().map_or(1, |port| port.processor_count())
}

pub(super) fn current<S: Sink + 'static>(call: &Call<S>) -> usize {
    let number = call.machine().map_or(0, |port| port.current_processor());
    if call.word(0) != 0 {
        call.write(0, ProcessorNumber { group: 0, number: number as u8, reserved: 0 });
    }
    number
}

/// The thread that runs: one for each processor, the same that the processor's own block names.
pub(super) fn thread<S: Sink + 'static>(call: &Call<S>) -> usize {
    let number = call.machine().map_or(0, |port| port.current_processor());
    (THREADS_AT + number as u64 * THREAD_BYTES) as usize
}

pub(super) fn index<S: Sink + 'static>(call: &Call<S>) -> usize {
    let ProcessorNumber { group, number, .. } = call.read(0);
    let number = usize::from(number);
    if group == 0 && number < processors(call) { number } else { INVALID_INDEX }
}

pub(super) fn number<S: Sink + 'static>(call: &Call<S>) -> usize {
    let index = call.u32(0) as usize;
    if index >= processors(call) {
        return STATUS_INVALID_PARAMETER;
    }
    call.write(1, ProcessorNumber { group: 0, number: index as u8, reserved: 0 });
    0
}

pub(super) fn groups<S: Sink + 'static>(_: &Call<S>) -> usize {
    1
}

/// The processors of a group (ALL_PROCESSOR_GROUPS too), where the routine takes one.
pub(super) fn count<S: Sink + 'static>(call: &Call<S>) -> usize {
    processors(call)
}

fn all<S: Sink + 'static>(call: &Call<S>) -> usize {
    (1 << processors(call)) - 1
}

pub(super) fn count_and_mask<S: Sink + 'static>(call: &Call<S>) -> usize {
    if call.word(0) != 0 {
        call.write(0, all(call));
    }
    processors(call)
}

pub(super) fn mask<S: Sink + 'static>(call: &Call<S>) -> usize {
    all(call)
}

/// KeQueryGroupAffinity: the mask of a group.
pub(super) fn group_mask<S: Sink + 'static>(call: &Call<S>) -> usize {
    let affinity = GroupAffinity { mask: all(call), ..GroupAffinity::default() };
    if call.u16(0) == affinity.group { affinity.mask } else { 0 }
}

pub(super) fn shared_data_alignment<S: Sink + 'static>(_: &Call<S>) -> usize {
    CACHE_LINE
}
