//! ExInterlocked lists, on the same steps as StorPort's.

use crate::binary::frame::Call;
use crate::binary::storport::lists::{self, End};
use crate::event::Sink;
use crate::storport::{Ddi, StorKspinLock};

/// Runs `act` under the lock at argument `n`.
fn under<S: Sink + 'static>(call: &Call<S>, n: usize, act: impl FnOnce() -> usize) -> usize {
    let lock = call.writable::<StorKspinLock>(n, size_of::<StorKspinLock>());
    match call.machine() {
        // SAFETY: checked.
        Some(port) => unsafe { port.interlocked(Ddi::ExInterlocked, lock, act) },
        None => act(),
    }
}

pub(super) fn insert_head<S: Sink + 'static>(call: &Call<S>) -> usize {
    under(call, 2, || lists::link(call, call.pointer(0), call.pointer(1), End::Head))
}

pub(super) fn insert_tail<S: Sink + 'static>(call: &Call<S>) -> usize {
    under(call, 2, || lists::link(call, call.pointer(0), call.pointer(1), End::Tail))
}

pub(super) fn remove_head<S: Sink + 'static>(call: &Call<S>) -> usize {
    under(call, 1, || lists::unlink(call, call.pointer(0)))
}

/// ExInterlockedPushEntryList: a singly linked list is its first entry's address.
pub(super) fn push_entry<S: Sink + 'static>(call: &Call<S>) -> usize {
    under(call, 2, || {
        let first = call.read::<usize>(0);
        call.write(1, first);
        call.write(0, call.word(1));
        first
    })
}

pub(super) fn pop_entry<S: Sink + 'static>(call: &Call<S>) -> usize {
    under(call, 1, || {
        let first = call.read::<usize>(0);
        if first != 0 {
            let next = call.read_at(std::ptr::with_exposed_provenance::<usize>(first));
            call.write(0, next);
        }
        first
    })
}

/// A routine without a lock: a decision point, then `act`.
fn atomically<S: Sink + 'static>(call: &Call<S>, act: impl FnOnce() -> usize) -> usize {
    if let Some(port) = call.machine() {
        port.called(Ddi::ExInterlocked, 0, || 0);
    }
    act()
}

pub(super) fn clear<S: Sink + 'static>(call: &Call<S>) -> usize {
    lists::clear(call, call.pointer(0));
    0
}

pub(super) fn depth<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.read::<u16>(0).into()
}

pub(super) fn push<S: Sink + 'static>(call: &Call<S>) -> usize {
    atomically(call, || lists::push(call, call.pointer(0), call.pointer(1)))
}

pub(super) fn pop<S: Sink + 'static>(call: &Call<S>) -> usize {
    atomically(call, || lists::pop(call, call.pointer(0)))
}

pub(super) fn flush<S: Sink + 'static>(call: &Call<S>) -> usize {
    atomically(call, || lists::flush(call, call.pointer(0)))
}
