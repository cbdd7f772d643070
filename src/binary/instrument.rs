//! What instrumentation tells of: every load and store of a driver that was compiled for it, and interlocked operations.
//!
//! Two instrumentations of clang's are understood. That of its thread sanitizer (`-fsanitize=thread`, here without its run
//! time) tells volatile accesses, which on Windows order others, from plain ones, and has interlocked operations done here
//! ([`atomic`](super::atomic)). That of its coverage (`-fsanitize-coverage=trace-loads,trace-stores`) does neither: a driver whose
//! processors share volatile variables without a lock shows races with it that are none on Windows, and of interlocked
//! operations it tells only with the headers in `include/` and `LOCKSTORM_MEMORY`.
//!
//! The routines are imports from a module of lockstorm's own, so that such a driver cannot be loaded elsewhere by
//! mistake. Accesses of the stack come here too and end at once.

use super::frame::{Call, routines};
use crate::event::{Sink, Touch};

/// The module that the routines are imported from.
pub(super) const MODULE: &str = "lockstorm.sys";

routines! {
    "__sanitizer_cov_load1" | "__tsan_read1" | "__tsan_unaligned_read1" => load1;
    "__sanitizer_cov_load2" | "__tsan_read2" | "__tsan_unaligned_read2" => load2;
    "__sanitizer_cov_load4" | "__tsan_read4" | "__tsan_unaligned_read4" => load4;
    "__sanitizer_cov_load8" | "__tsan_read8" | "__tsan_unaligned_read8" => load8;
    "__sanitizer_cov_load16" | "__tsan_read16" | "__tsan_unaligned_read16" => load16;
    "__sanitizer_cov_store1" | "__tsan_write1" | "__tsan_unaligned_write1" => store1;
    "__sanitizer_cov_store2" | "__tsan_write2" | "__tsan_unaligned_write2" => store2;
    "__sanitizer_cov_store4" | "__tsan_write4" | "__tsan_unaligned_write4" => store4;
    "__sanitizer_cov_store8" | "__tsan_write8" | "__tsan_unaligned_write8" => store8;
    "__sanitizer_cov_store16" | "__tsan_write16" | "__tsan_unaligned_write16" => store16;
    "__tsan_volatile_read1" | "__tsan_unaligned_volatile_read1" => volatile_load1;
    "__tsan_volatile_read2" | "__tsan_unaligned_volatile_read2" => volatile_load2;
    "__tsan_volatile_read4" | "__tsan_unaligned_volatile_read4" => volatile_load4;
    "__tsan_volatile_read8" | "__tsan_unaligned_volatile_read8" => volatile_load8;
    "__tsan_volatile_read16" | "__tsan_unaligned_volatile_read16" => volatile_load16;
    "__tsan_volatile_write1" | "__tsan_unaligned_volatile_write1" => volatile_store1;
    "__tsan_volatile_write2" | "__tsan_unaligned_volatile_write2" => volatile_store2;
    "__tsan_volatile_write4" | "__tsan_unaligned_volatile_write4" => volatile_store4;
    "__tsan_volatile_write8" | "__tsan_unaligned_volatile_write8" => volatile_store8;
    "__tsan_volatile_write16" | "__tsan_unaligned_volatile_write16" => volatile_store16;
    "__lockstorm_interlocked" => interlocked;
    "__tsan_init" => nothing;
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
    volatile_load1: 1, Load;
    volatile_load2: 2, Load;
    volatile_load4: 4, Load;
    volatile_load8: 8, Load;
    volatile_load16: 16, Load;
    volatile_store1: 1, Store;
    volatile_store2: 2, Store;
    volatile_store4: 4, Store;
    volatile_store8: 8, Store;
    volatile_store16: 16, Store;
}

/// What a constructor would call that no driver runs.
fn nothing<S: Sink + 'static>(_: &Call<S>) -> usize {
    0
}

/// `__lockstorm_interlocked(target, bytes)`, just before the operation.
fn interlocked<S: Sink + 'static>(call: &Call<S>) -> usize {
    touch(call, call.u32(1) as usize, Touch::Interlocked)
}

/// The driver is about to touch what argument 0 points to. DriverEntry is alone with everything.
pub(super) fn touch<S: Sink + 'static>(call: &Call<S>, bytes: usize, touch: Touch) -> usize {
    if let Some(port) = call.machine() {
        port.image_touches(call.word(0), bytes, touch);
    }
    0
}
