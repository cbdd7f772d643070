//! What the ops on locks, IRQLs and DPCs do.
//!
//! Every pointer that goes to the port here lies in the device extension or in the frame of the callback,
//! or is one that the script chose in order to break the routine's contract; see [`Frame::perform`] for
//! why the host's port may be given those.

use core::ptr;

use super::frame::Frame;
use super::script::{Call, Context, LockName};
use crate::event::Routine;
use crate::storport::perf::ProcessorNumber;
use crate::storport::{Executive, Irql, StorDpc, StorPort, StorSpinlock};

/// A STOR_SPINLOCK past the last.
const UNKNOWN_LOCK: StorSpinlock = StorSpinlock(99);
/// Levels of x64.
const IRQLS: u8 = 16;

/// The STOR_SPINLOCK that a call names.
const fn spinlock(name: LockName) -> StorSpinlock {
    match name {
        LockName::Invalid => StorSpinlock::INVALID,
        LockName::StartIo => StorSpinlock::START_IO,
        LockName::Interrupt => StorSpinlock::INTERRUPT,
        LockName::Dpc => StorSpinlock::DPC,
        LockName::ThreadedDpc => StorSpinlock::THREADED_DPC,
        LockName::DpcLevel => StorSpinlock::DPC_LEVEL,
        LockName::Unknown => UNKNOWN_LOCK,
    }
}

/// The IRQL that a call names.
pub(super) const fn irql(call: &Call) -> Irql {
    Irql(call.argument % IRQLS)
}

impl<P: StorPort + Executive> Frame<'_, P> {
    pub(super) fn acquire(&self, call: &Call) {
        let mut foreign = StorDpc::default();
        let context = self.lock_context(call, &mut foreign);
        let handle = self.slot(call.slot).handle.get();
        // SAFETY: see the module.
        unsafe { self.port.acquire_spin_lock(spinlock(call.lock), context, handle) };
    }

    pub(super) fn acquire_ex(&self, call: &Call) {
        let mut foreign = StorDpc::default();
        let context = self.lock_context(call, &mut foreign);
        let handle = self.slot(call.slot).handle.get();
        // SAFETY: see the module.
        _ = unsafe { self.port.acquire_spin_lock_ex(spinlock(call.lock), context, handle) };
    }

    pub(super) fn release(&self, call: &Call) {
        // SAFETY: see the module.
        unsafe { self.port.release_spin_lock(self.slot(call.slot).handle.get()) };
    }

    pub(super) fn acquire_msi(&self, call: &Call) {
        let slot = self.slot(call.slot);
        let mut old_irql = slot.irql.get();
        _ = self.port.acquire_msi_spin_lock(self.message(call), &mut old_irql);
        slot.irql.set(old_irql);
    }

    pub(super) fn release_msi(&self, call: &Call) {
        let old_irql = self.slot(call.slot).irql.get();
        _ = self.port.release_msi_spin_lock(self.message(call), old_irql);
    }

    pub(super) fn copy_handle(&self, call: &Call) {
        let (from, to) = (self.slot(call.slot), self.slot(call.argument));
        // SAFETY: both slots are the puppet's own; they may be the same one.
        unsafe {
            ptr::copy(from.handle.get(), to.handle.get(), 1);
            ptr::copy(from.queue.get(), to.queue.get(), 1);
        }
        to.irql.set(from.irql.get());
    }

    pub(super) fn relabel_handle(&self, call: &Call) {
        // SAFETY: the slot is the puppet's own.
        unsafe { (*self.slot(call.slot).handle.get()).lock = spinlock(call.lock) };
    }

    pub(super) fn set_old_irql(&self, call: &Call) {
        let slot = self.slot(call.slot);
        slot.irql.set(u32::from(irql(call).0));
        // SAFETY: the slot is the puppet's own.
        unsafe {
            (*slot.handle.get()).context.old_irql = irql(call);
            (*slot.queue.get()).old_irql = irql(call);
        }
    }

    pub(super) fn ke_initialize(&self, call: &Call) {
        // SAFETY: see the module.
        unsafe { self.port.ke_initialize_spin_lock(self.state.executive_lock(call.argument)) };
    }

    pub(super) fn ke_acquire(&self, call: &Call) {
        // SAFETY: see the module.
        let old =
            unsafe { self.port.ke_acquire_spin_lock(self.state.executive_lock(call.argument)) };
        self.slot(call.slot).irql.set(u32::from(old.0));
    }

    pub(super) fn ke_release(&self, call: &Call) {
        let lock = self.state.executive_lock(call.argument);
        // SAFETY: see the module.
        unsafe { self.port.ke_release_spin_lock(lock, self.old_irql(call)) };
    }

    pub(super) fn ke_acquire_at_dpc_level(&self, call: &Call) {
        let lock = self.state.executive_lock(call.argument);
        // SAFETY: see the module.
        unsafe { self.port.ke_acquire_spin_lock_at_dpc_level(lock) };
    }

    pub(super) fn ke_release_from_dpc_level(&self, call: &Call) {
        let lock = self.state.executive_lock(call.argument);
        // SAFETY: see the module.
        unsafe { self.port.ke_release_spin_lock_from_dpc_level(lock) };
    }

    pub(super) fn ke_acquire_queued(&self, call: &Call) {
        let lock = self.state.executive_lock(call.argument);
        let handle = self.slot(call.slot).queue.get();
        // SAFETY: see the module.
        unsafe { self.port.ke_acquire_in_stack_queued_spin_lock(lock, handle) };
    }

    pub(super) fn ke_release_queued(&self, call: &Call) {
        let handle = self.slot(call.slot).queue.get();
        // SAFETY: see the module.
        unsafe { self.port.ke_release_in_stack_queued_spin_lock(handle) };
    }

    pub(super) fn raise_irql(&self, call: &Call) {
        let old = self.port.ke_raise_irql(irql(call));
        self.slot(call.slot).irql.set(u32::from(old.0));
    }

    pub(super) fn restore_irql(&self, call: &Call) {
        self.port.ke_lower_irql(self.old_irql(call));
    }

    pub(super) fn initialize_dpc(&self, call: &Call) {
        let mut foreign = StorDpc::default();
        let dpc = self.dpc(call, &mut foreign);
        // SAFETY: see the module.
        unsafe { self.port.initialize_dpc(dpc, self.entries.dpc) };
    }

    pub(super) fn issue_dpc(&self, call: &Call) {
        let mut foreign = StorDpc::default();
        let dpc = self.dpc(call, &mut foreign);
        // SAFETY: see the module.
        _ = unsafe { self.port.issue_dpc(dpc, ptr::null_mut(), ptr::null_mut()) };
    }

    pub(super) fn cancel_dpc(&self, call: &Call) {
        let mut foreign = StorDpc::default();
        let dpc = self.dpc(call, &mut foreign);
        // SAFETY: see the module.
        _ = unsafe { self.port.cancel_dpc(dpc) };
    }

    pub(super) fn set_target_dpc(&self, call: &Call) {
        let mut foreign = StorDpc::default();
        let dpc = self.dpc(call, &mut foreign);
        let processor = ProcessorNumber { number: call.slot, ..ProcessorNumber::default() };
        // SAFETY: see the module.
        _ = unsafe { self.port.set_target_processor_dpc(dpc, processor) };
    }

    pub(super) fn copy_dpc(&self, call: &Call) {
        let (from, to) = (self.state.dpc(call.argument), self.state.dpc_copy(call.argument));
        // SAFETY: both are the puppet's own memory, apart from each other.
        unsafe { ptr::copy_nonoverlapping(from, to, 1) };
    }

    pub(super) fn zero_dpc(&self, call: &Call) {
        let mut foreign = StorDpc::default();
        let dpc = self.dpc(call, &mut foreign);
        if !dpc.is_null() {
            // SAFETY: the puppet's own memory, or `foreign`.
            unsafe { dpc.write_bytes(0, 1) };
        }
    }

    /// The LockContext of an acquire; `foreign` for a STOR_DPC outside the device extension.
    fn lock_context(&self, call: &Call, foreign: &mut StorDpc) -> *mut StorDpc {
        let names_dpc =
            matches!(call.lock, LockName::Dpc | LockName::ThreadedDpc | LockName::DpcLevel);
        if !names_dpc && matches!(call.context, Context::Proper | Context::Own) {
            return ptr::null_mut();
        }
        self.dpc(call, foreign)
    }

    /// The STOR_DPC that a call names.
    fn dpc(&self, call: &Call, foreign: &mut StorDpc) -> *mut StorDpc {
        match call.context {
            Context::Proper | Context::Dpc => self.state.dpc(call.argument),
            Context::Own if self.routine == Routine::Dpc => {
                self.state.dpc(call.argument.wrapping_add(self.subject as u8))
            }
            Context::Own => self.state.dpc(call.argument),
            Context::Null => ptr::null_mut(),
            Context::Copy => self.state.dpc_copy(call.argument),
            Context::Foreign => foreign,
        }
    }

    /// The MessageId that a call names.
    fn message(&self, call: &Call) -> u32 {
        let relative = call.context == Context::Own && self.routine == Routine::MessageInterrupt;
        u32::from(call.argument) + if relative { self.subject } else { 0 }
    }

    /// The OldIrql that a slot keeps.
    fn old_irql(&self, call: &Call) -> Irql {
        Irql(self.slot(call.slot).irql.get() as u8)
    }
}
