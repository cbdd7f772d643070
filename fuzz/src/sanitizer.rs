//! AddressSanitizer's options for targets whose processors each have a stack of their own.

use std::ffi::c_char;

/// Options that the environment can override. Frames on the heap, for finding their use after a return, are
/// freed by the frames' return, and a run that ends in the middle of a driver's code never returns from its own.
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const c_char {
    c"detect_stack_use_after_return=0".as_ptr()
}
