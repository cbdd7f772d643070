//! AddressSanitizer and the machine's stacks: every virtual processor has one of its own, and a run that ends in the
//! middle of a driver's code leaves frames there.

use std::ffi::{c_char, c_void};

unsafe extern "C" {
    fn __asan_unpoison_memory_region(address: *const c_void, bytes: usize);
}

/// Options that the environment can override. Frames on the heap, for finding their use after a return, are
/// freed by the depth of the stack, which means nothing where stacks change.
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const c_char {
    c"detect_stack_use_after_return=0".as_ptr()
}

/// Lets a stack be used again that was given up with frames on it.
pub(crate) fn begin() {
    lockstorm::machine::on_abandoned_stack(|low, bytes| {
        // SAFETY: the stack is mapped, and no frame on it is alive.
        unsafe { __asan_unpoison_memory_region(low.cast(), bytes) }
    });
}
