//! Spin locks. In DriverEntry there is nobody to contend with, and they do nothing.

use crate::binary::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::lock::KlockQueueHandle;
use crate::storport::{Executive, Irql, StorKspinLock};

/// The lock at argument 0, and the machine.
fn lock<S: Sink + 'static>(call: &Call<S>) -> Option<(Port<S>, *mut StorKspinLock)> {
    let lock = call.writable(0, size_of::<StorKspinLock>());
    call.machine().map(|port| (port, lock))
}

/// The handle at argument `n`.
fn handle<S: Sink + 'static>(call: &Call<S>, n: usize) -> *mut KlockQueueHandle {
    call.writable(n, size_of::<KlockQueueHandle>())
}

pub(super) fn initialize<S: Sink + 'static>(call: &Call<S>) -> usize {
    let lock = call.writable::<usize>(0, size_of::<usize>());
    call.write_at(lock, 0);
    if let Some(port) = call.machine() {
        // SAFETY: checked; so below.
        unsafe { port.ke_initialize_spin_lock(lock.cast()) };
    }
    0
}

pub(super) fn acquire<S: Sink + 'static>(call: &Call<S>) -> usize {
    let Some((port, lock)) = lock(call) else { return 0 };
    // SAFETY: checked.
    usize::from(unsafe { port.ke_acquire_spin_lock(lock) }.0)
}

/// KeAcquireSpinLock as a routine: the IRQL goes where argument 1 points.
pub(super) fn acquire_to<S: Sink + 'static>(call: &Call<S>) -> usize {
    let old_irql = call.writable::<u8>(1, 1);
    let irql = acquire(call);
    call.write_at(old_irql, irql as u8);
    0
}

pub(super) fn release<S: Sink + 'static>(call: &Call<S>) -> usize {
    if let Some((port, lock)) = lock(call) {
        // SAFETY: checked.
        unsafe { port.ke_release_spin_lock(lock, Irql(call.u8(1))) };
    }
    0
}

pub(super) fn acquire_at_dpc_level<S: Sink + 'static>(call: &Call<S>) -> usize {
    if let Some((port, lock)) = lock(call) {
        // SAFETY: checked.
        unsafe { port.ke_acquire_spin_lock_at_dpc_level(lock) };
    }
    0
}

pub(super) fn release_from_dpc_level<S: Sink + 'static>(call: &Call<S>) -> usize {
    if let Some((port, lock)) = lock(call) {
        // SAFETY: checked.
        unsafe { port.ke_release_spin_lock_from_dpc_level(lock) };
    }
    0
}

pub(super) fn try_to_acquire_at_dpc_level<S: Sink + 'static>(call: &Call<S>) -> usize {
    let Some((port, lock)) = lock(call) else { return 1 };
    // SAFETY: checked.
    unsafe { port.ke_try_to_acquire_spin_lock_at_dpc_level(lock) }.into()
}

pub(super) fn acquire_queued<S: Sink + 'static>(call: &Call<S>) -> usize {
    let handle = handle(call, 1);
    if let Some((port, lock)) = lock(call) {
        // SAFETY: both checked.
        unsafe { port.ke_acquire_in_stack_queued_spin_lock(lock, handle) };
    }
    0
}

pub(super) fn acquire_queued_at_dpc_level<S: Sink + 'static>(call: &Call<S>) -> usize {
    let handle = handle(call, 1);
    if let Some((port, lock)) = lock(call) {
        // SAFETY: both checked.
        unsafe { port.ke_acquire_in_stack_queued_spin_lock_at_dpc_level(lock, handle) };
    }
    0
}

pub(super) fn release_queued<S: Sink + 'static>(call: &Call<S>) -> usize {
    let handle = handle(call, 0);
    if let Some(port) = call.machine() {
        // SAFETY: checked.
        unsafe { port.ke_release_in_stack_queued_spin_lock(handle) };
    }
    0
}

pub(super) fn release_queued_from_dpc_level<S: Sink + 'static>(call: &Call<S>) -> usize {
    let handle = handle(call, 0);
    if let Some(port) = call.machine() {
        // SAFETY: checked.
        unsafe { port.ke_release_in_stack_queued_spin_lock_from_dpc_level(handle) };
    }
    0
}
