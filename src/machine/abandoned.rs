//! Stacks that are given up with frames on them, when a run ends in the middle of a driver's code.
//!
//! Nothing on such a stack needs a drop, so that it is used again as it is. AddressSanitizer knows better: it
//! has marked the variables of those frames, which are never left, and would take the next run's frames for
//! overflows. So whoever runs a machine under it asks to be told.

use std::sync::OnceLock;

use corosensei::stack::Stack;

/// Takes a stack's lowest address and its length.
type Listener = fn(*const u8, usize);

static LISTENER: OnceLock<Listener> = OnceLock::new();

/// Asks to be told of every stack that is given up, before it is used again. The first to ask is told.
pub fn on_abandoned_stack(listener: fn(*const u8, usize)) {
    let _ = LISTENER.set(listener);
}

pub(super) fn tell(stack: &impl Stack) {
    if let Some(listener) = LISTENER.get() {
        let (low, high) = (stack.limit().get(), stack.base().get());
        listener(std::ptr::with_exposed_provenance(low), high - low);
    }
}
