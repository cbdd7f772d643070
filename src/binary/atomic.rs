//! Interlocked operations, as thread sanitizer's instrumentation has them done: it puts a call in their place, whatever
//! headers they come from, Microsoft's intrinsics (`_InterlockedExchange` ...) among them.
//!
//! Not among them are operations on 16 bytes, which end a run as routines without a model, and those of a single bit
//! (`_interlockedbittestandset` ...), which clang compiles to instructions that nobody is told of. A lock that a driver
//! makes of such a bit orders nothing here.

use super::frame::{Call, Plain, routines};
use super::instrument;
use crate::event::{Sink, Touch};

routines! {
    "__tsan_atomic8_load" => bits8::load;
    "__tsan_atomic8_store" => bits8::store;
    "__tsan_atomic8_exchange" => bits8::exchange;
    "__tsan_atomic8_fetch_add" => bits8::add;
    "__tsan_atomic8_fetch_sub" => bits8::subtract;
    "__tsan_atomic8_fetch_and" => bits8::and;
    "__tsan_atomic8_fetch_or" => bits8::or;
    "__tsan_atomic8_fetch_xor" => bits8::xor;
    "__tsan_atomic8_fetch_nand" => bits8::nand;
    "__tsan_atomic8_compare_exchange_val" => bits8::compare_exchange;
    "__tsan_atomic16_load" => bits16::load;
    "__tsan_atomic16_store" => bits16::store;
    "__tsan_atomic16_exchange" => bits16::exchange;
    "__tsan_atomic16_fetch_add" => bits16::add;
    "__tsan_atomic16_fetch_sub" => bits16::subtract;
    "__tsan_atomic16_fetch_and" => bits16::and;
    "__tsan_atomic16_fetch_or" => bits16::or;
    "__tsan_atomic16_fetch_xor" => bits16::xor;
    "__tsan_atomic16_fetch_nand" => bits16::nand;
    "__tsan_atomic16_compare_exchange_val" => bits16::compare_exchange;
    "__tsan_atomic32_load" => bits32::load;
    "__tsan_atomic32_store" => bits32::store;
    "__tsan_atomic32_exchange" => bits32::exchange;
    "__tsan_atomic32_fetch_add" => bits32::add;
    "__tsan_atomic32_fetch_sub" => bits32::subtract;
    "__tsan_atomic32_fetch_and" => bits32::and;
    "__tsan_atomic32_fetch_or" => bits32::or;
    "__tsan_atomic32_fetch_xor" => bits32::xor;
    "__tsan_atomic32_fetch_nand" => bits32::nand;
    "__tsan_atomic32_compare_exchange_val" => bits32::compare_exchange;
    "__tsan_atomic64_load" => bits64::load;
    "__tsan_atomic64_store" => bits64::store;
    "__tsan_atomic64_exchange" => bits64::exchange;
    "__tsan_atomic64_fetch_add" => bits64::add;
    "__tsan_atomic64_fetch_sub" => bits64::subtract;
    "__tsan_atomic64_fetch_and" => bits64::and;
    "__tsan_atomic64_fetch_or" => bits64::or;
    "__tsan_atomic64_fetch_xor" => bits64::xor;
    "__tsan_atomic64_fetch_nand" => bits64::nand;
    "__tsan_atomic64_compare_exchange_val" => bits64::compare_exchange;
    "__tsan_atomic_thread_fence" | "__tsan_atomic_signal_fence" => fence;
}

/// An integer that an operation is on.
trait Integer: Plain {
    /// Of the low bits.
    fn of(word: u64) -> Self;
    /// With zeroes above it.
    fn word(self) -> u64;
}

/// `__ATOMIC_RELAXED`.
const RELAXED: u32 = 0;

/// Tells of an operation on what argument 0 points to, with the memory order at argument `order`.
fn tell<S: Sink + 'static, T>(call: &Call<S>, order: usize, ordered: Touch, relaxed: Touch) {
    let touch = if call.u32(order) == RELAXED { relaxed } else { ordered };
    instrument::touch(call, size_of::<T>(), touch);
}

/// `load(target, order)`.
fn load<S: Sink + 'static, T: Integer>(call: &Call<S>) -> usize {
    tell::<S, T>(call, 1, Touch::Load, Touch::LoadRelaxed);
    call.read::<T>(0).word() as usize
}

/// `store(target, value, order)`.
fn store<S: Sink + 'static, T: Integer>(call: &Call<S>) -> usize {
    tell::<S, T>(call, 2, Touch::Store, Touch::StoreRelaxed);
    call.write(0, T::of(call.u64(1)));
    0
}

/// `operation(target, operand, order)`: what was there.
fn change<S: Sink + 'static, T: Integer>(call: &Call<S>, with: impl Fn(u64, u64) -> u64) -> usize {
    tell::<S, T>(call, 2, Touch::Interlocked, Touch::InterlockedRelaxed);
    let old = call.read::<T>(0).word();
    call.write(0, T::of(with(old, call.u64(1))));
    old as usize
}

/// `compare_exchange_val(target, comparand, value, order, order of a failure)`: what was there.
fn compare_exchange<S: Sink + 'static, T: Integer>(call: &Call<S>) -> usize {
    tell::<S, T>(call, 3, Touch::Interlocked, Touch::InterlockedRelaxed);
    let old = call.read::<T>(0).word();
    if old == T::of(call.u64(1)).word() {
        call.write(0, T::of(call.u64(2)));
    }
    old as usize
}

/// A fence, which hands nothing on by itself.
fn fence<S: Sink + 'static>(_: &Call<S>) -> usize {
    0
}

/// The handlers for one width.
macro_rules! width {
    ($name:ident: $type:ty { $($operation:ident: $with:expr;)* }) => {
        impl Integer for $type {
            #[inline]
            fn of(word: u64) -> Self {
                word as $type
            }

            #[inline]
            fn word(self) -> u64 {
                self.into()
            }
        }

        mod $name {
            use crate::binary::frame::Call;
            use crate::event::Sink;

            pub(super) fn load<S: Sink + 'static>(call: &Call<S>) -> usize {
                super::load::<S, $type>(call)
            }

            pub(super) fn store<S: Sink + 'static>(call: &Call<S>) -> usize {
                super::store::<S, $type>(call)
            }

            pub(super) fn compare_exchange<S: Sink + 'static>(call: &Call<S>) -> usize {
                super::compare_exchange::<S, $type>(call)
            }

            $(pub(super) fn $operation<S: Sink + 'static>(call: &Call<S>) -> usize {
                super::change::<S, $type>(call, $with)
            })*
        }
    };
}

macro_rules! widths {
    ($($name:ident: $type:ty;)*) => {$(
        width! { $name: $type {
            exchange: |_, new| new;
            add: u64::wrapping_add;
            subtract: u64::wrapping_sub;
            and: |old, mask| old & mask;
            or: |old, mask| old | mask;
            xor: |old, mask| old ^ mask;
            nand: |old, mask| !(old & mask);
        } }
    )*};
}

widths! {
    bits8: u8;
    bits16: u16;
    bits32: u32;
    bits64: u64;
}
