//! Locks that give themselves back: RAII guards over the raw lock calls.
//!
//! A guard is made in place, by a closure that it outlives, because an in-stack queued lock's handle may
//! not move while the lock is held
//! (<https://learn.microsoft.com/windows-hardware/drivers/kernel/queued-spin-locks>). So the safe form is
//! "run this under that lock", and nothing can be leaked, copied or released twice.

use core::panic::Location;
use core::ptr;

use super::cell::Dpc;
use super::lock::{StorLockHandle, StorSpinlock};
use super::port::StorPort;

/// Runs code under a lock of StorPort.
pub trait Locked: StorPort {
    /// Under the StartIo lock. IRQL up to DISPATCH_LEVEL; DISPATCH_LEVEL inside.
    #[track_caller]
    fn with_start_io_lock<R>(self, body: impl FnOnce() -> R) -> R {
        held(self, StorSpinlock::START_IO, None, Location::caller(), body)
    }

    /// Under the Interrupt lock (with per-message synchronisation: all messages'). DIRQL inside.
    #[track_caller]
    fn with_interrupt_lock<R>(self, body: impl FnOnce() -> R) -> R {
        held(self, StorSpinlock::INTERRUPT, None, Location::caller(), body)
    }

    /// Under a DPC's lock. IRQL up to DISPATCH_LEVEL; DISPATCH_LEVEL inside.
    #[track_caller]
    fn with_dpc_lock<R>(self, dpc: &Dpc, body: impl FnOnce() -> R) -> R {
        held(self, StorSpinlock::DPC, Some(dpc), Location::caller(), body)
    }

    /// Under one message's lock. DIRQL inside. Only with InterruptSynchronizePerMessage.
    #[track_caller]
    fn with_message_lock<R>(self, message: u32, body: impl FnOnce() -> R) -> R {
        let guard = MessageGuard::acquire(self, message, Location::caller());
        let result = body();
        drop(guard);
        result
    }
}

impl<P: StorPort> Locked for P {}

/// Runs `body` under a lock that has a handle.
fn held<P: StorPort, R>(
    port: P,
    lock: StorSpinlock,
    dpc: Option<&Dpc>,
    site: &'static Location<'static>,
    body: impl FnOnce() -> R,
) -> R {
    let mut handle = StorLockHandle::default();
    let guard = Guard { port: port.on_behalf_of(site), handle: &mut handle };
    let context = dpc.map_or(ptr::null_mut(), Dpc::as_ptr);
    // SAFETY: `handle` lives in this frame, below the guard, until the guard's drop has released it; a
    // `Dpc` lives as long as the adapter.
    unsafe { guard.port.acquire_spin_lock(lock, context, guard.handle) };
    let result = body();
    drop(guard);
    result
}

/// Releases on every way out, a panic included.
struct Guard<'a, P: StorPort> {
    port: P,
    handle: &'a mut StorLockHandle,
}

impl<P: StorPort> Drop for Guard<'_, P> {
    fn drop(&mut self) {
        // SAFETY: `held` acquired with this handle on this processor and releases only here.
        unsafe { self.port.release_spin_lock(self.handle) };
    }
}

/// As [`Guard`], for a message's lock, which has no handle.
struct MessageGuard<P: StorPort> {
    port: P,
    message: u32,
    old_irql: u32,
}

impl<P: StorPort> MessageGuard<P> {
    fn acquire(port: P, message: u32, site: &'static Location<'static>) -> Self {
        let mut guard = MessageGuard { port: port.on_behalf_of(site), message, old_irql: 0 };
        let _ = guard.port.acquire_msi_spin_lock(message, &mut guard.old_irql);
        guard
    }
}

impl<P: StorPort> Drop for MessageGuard<P> {
    fn drop(&mut self) {
        let _ = self.port.release_msi_spin_lock(self.message, self.old_irql);
    }
}
