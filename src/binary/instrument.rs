//! What instrumentation tells of: every load and store of a driver that was compiled with
//! `-fsanitize-coverage=trace-loads,trace-stores`, and interlocked operations, of which clang's instrumentation says
//! nothing and the headers in `include/` do.
//!
//! They are imports from a module of lockstorm's own, so that such a driver cannot be loaded elsewhere by mistake.
//! Accesses of the stack come here too and end at once.

use super::frame::{Call, routines};
use crate::event::{Sink, Touch};

/// The module that the routines are imported from.
pub(super) const MODULE: &str = "lockstorm.sys";

routines! {
    "__sanitizer_cov_load1" => load1;
    "__sanitizer_cov_load2" => load2;
    "__sanitizer_cov_load4" => load4;
    "__sanitizer_cov_load8" => load8;
    "__sanitizer_cov_load16" => load16;
    "__sanitizer_cov_store1" => store1;
    "__sanitizer_cov_store2" => store2;
    "__sanitizer_cov_store4" => store4;
    "__sanitizer_cov_store8" => store8;
    "__sanitizer_cov_store16" => store16;
    "__lockstorm_interlocked" => interlocked;
}

macro_rules! touches {
    ($($name:ident: $bytes:literal, $touch:ident;)*) => {$(
        fn $name<S: Sink + 'static>(call: &Call<S>) -> usize {
            touch(call, $bytes, Touch::$touch)
        }
    )*};
}

touches! {
    load1: 1, Read;
    load2: 2, Read;
    load4: 4, Read;
    load8: 8, Read;
    load16: 16, Read;
    store1: 1, Write;
    store2: 2, Write;
    store4: 4, Write;
    store8: 8, Write;
    store16: 16, Write;
}

/// `__lockstorm_interlocked(target, bytes)`, just before the operation.
fn interlocked<S: Sink + 'static>(call: &Call<S>) -> usize {
    touch(call, call.u32(1) as usize, Touch::Interlocked)
}

/// The driver is about to touch what argument 0 points to. DriverEntry is alone with everything.
fn touch<S: Sink + 'static>(call: &Call<S>, bytes: usize, touch: Touch) -> usize {
    if let Some(port) = call.machine() {
        port.image_touches(call.word(0), bytes, touch);
    }
    0
}
