//! What numbers in an event can be: whoever reads events indexes tables with them.

use crate::event::{
    Access, DEPTH_MAX, DPCS_MAX, EXECUTIVE_LOCKS_MAX, Event, Kind, Lock, MESSAGES_MAX,
    PROCESSORS_MAX,
};

/// Says which number of the event is too large.
pub(crate) fn check(event: &Event) -> Result<(), String> {
    below("processor", event.processor.into(), PROCESSORS_MAX)?;
    below("depth", event.depth.into(), DEPTH_MAX + 1)?;
    match event.kind {
        Kind::Started { processors } => below("processors", processors.into(), PROCESSORS_MAX + 1),
        Kind::Configured(adapter) => below("messages", adapter.messages.into(), MESSAGES_MAX + 1),
        Kind::Deadlocked { lock, holder, .. } | Kind::LockWaited { lock, holder, .. } => {
            below("holder", holder.into(), PROCESSORS_MAX)?;
            check_lock(lock)
        }
        Kind::LockAcquired { lock, .. } => check_lock(lock),
        Kind::LockReleased { lock, holder, .. } => {
            below("holder", holder.unwrap_or(0).into(), PROCESSORS_MAX)?;
            check_lock(lock)
        }
        Kind::ExecutiveInitialized { lock, .. } | Kind::ExecutiveUninitialized { lock } => {
            check_lock(Lock::Executive(lock))
        }
        Kind::DpcInitialized { dpc, .. } | Kind::DpcCorrupted { dpc } => check_lock(Lock::Dpc(dpc)),
        Kind::DpcIssued { dpc, target, .. } => {
            below("target", target.into(), PROCESSORS_MAX)?;
            check_lock(Lock::Dpc(dpc.unwrap_or(0)))
        }
        Kind::DpcCancelled { dpc, .. } => check_lock(Lock::Dpc(dpc.unwrap_or(0))),
        Kind::InterruptRaised { message, target } => {
            below("target", target.into(), PROCESSORS_MAX)?;
            check_lock(Lock::Message(message))
        }
        Kind::Accessed(Access { offset, bytes, .. }) => {
            below("offset", offset as usize + usize::from(bytes), OFFSET_MAX)
        }
        Kind::Channel { channel, .. } => below("channel", channel.into(), PROCESSORS_MAX),
        _ => Ok(()),
    }
}

/// Bytes of the largest image that Windows loads: 2 GiB.
const OFFSET_MAX: usize = 1 << 31;

fn check_lock(lock: Lock) -> Result<(), String> {
    match lock {
        Lock::StartIo | Lock::Interrupt => Ok(()),
        Lock::Message(n) => below("message", n.into(), MESSAGES_MAX),
        Lock::Dpc(n) => below("DPC", n.into(), DPCS_MAX),
        Lock::Executive(n) => below("executive lock", n.into(), EXECUTIVE_LOCKS_MAX),
    }
}

fn below(what: &str, number: usize, limit: usize) -> Result<(), String> {
    if number < limit {
        Ok(())
    } else {
        Err(format!("{what} {number}, the largest is {}", limit - 1))
    }
}
