//! StorPortExtendedFunction: the code says which routine of storport.h was called. A code without a model gets the
//! answer of a Windows that is older than the routine.

use super::{dpc, information, lists, memory, registry, status, timers, wait};
use crate::binary::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::code::FunctionCode as Code;
use crate::storport::{Ddi, StorLockHandle, StorPort, StorSpinlock, StorStatus};

/// Where the arguments of a code begin.
pub(super) const FIRST: usize = 2;

pub(super) fn extended_function<S: Sink + 'static>(call: &Call<S>) -> usize {
    let code = Code(call.u32(0));
    if call.word(1) == 0 {
        return status(StorStatus::INVALID_PARAMETER);
    }
    let port = call.adapter(1);
    locks(call, port, code)
        .or_else(|| memory::function(call, port, code))
        .or_else(|| timers::function(call, port, code))
        .or_else(|| lists::function(call, port, code))
        .or_else(|| wait::function(call, port, code))
        .or_else(|| registry::function(call, port, code))
        .or_else(|| information::function(call, port, code))
        .unwrap_or_else(|| {
            let answer = StorStatus::NOT_IMPLEMENTED.0;
            port.called(Ddi::ExtendedFunction, code.0, || answer) as usize
        })
}

/// The codes of locks and DPCs.
fn locks<S: Sink + 'static>(call: &Call<S>, port: Port<S>, code: Code) -> Option<usize> {
    Some(match code {
        Code::ACQUIRE_SPIN_LOCK => acquire_spin_lock_ex(call, port),
        Code::ACQUIRE_MSI_SPIN_LOCK => acquire_msi_spin_lock(call, port),
        Code::RELEASE_MSI_SPIN_LOCK => {
            status(port.release_msi_spin_lock(call.u32(FIRST), call.u32(FIRST + 1)))
        }
        Code::CANCEL_DPC => dpc::cancel(call, port),
        _ => return None,
    })
}

fn acquire_spin_lock_ex<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> usize {
    let handle = call.writable::<StorLockHandle>(FIRST + 2, size_of::<StorLockHandle>());
    let (lock, context) = (StorSpinlock(call.u32(FIRST)), call.pointer(FIRST + 1));
    // SAFETY: the handle is checked; the machine looks at a context only where a STOR_DPC can lie.
    status(unsafe { port.acquire_spin_lock_ex(lock, context, handle) })
}

fn acquire_msi_spin_lock<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> usize {
    let old_irql = call.writable::<u32>(FIRST + 1, size_of::<u32>());
    let mut level = call.read_at(old_irql);
    let result = port.acquire_msi_spin_lock(call.u32(FIRST), &mut level);
    call.write_at(old_irql, level);
    status(result)
}
