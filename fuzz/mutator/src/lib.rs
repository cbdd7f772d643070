//! lockstorm's mutations as a custom mutator of AFL++: a shared library that `afl-fuzz` loads when
//! `AFL_CUSTOM_MUTATOR_LIBRARY` names it. The interface is that of
//! <https://aflplus.plus/docs/custom_mutators/>.

use std::ffi::{c_uint, c_void};

use lockstorm::scenario::codec::SCENARIO_BYTES_MAX;
use lockstorm::scenario::mutate;

/// One instance of AFL++.
struct Mutator {
    /// State of the random choices: AFL++ gives a seed only once.
    random: u64,
    /// The last mutant, which AFL++ reads before it asks for the next.
    mutant: [u8; SCENARIO_BYTES_MAX],
}

/// Begins.
#[unsafe(no_mangle)]
pub extern "C" fn afl_custom_init(_afl: *mut c_void, seed: c_uint) -> *mut c_void {
    let mutator = Mutator { random: seed.into(), mutant: [0; SCENARIO_BYTES_MAX] };
    Box::into_raw(Box::new(mutator)).cast()
}

/// Makes a mutant: of one input, or one time in four of two.
///
/// # Safety
///
/// As AFL++ calls it: `mutator` is what [`afl_custom_init`] returned, `input` has `size` bytes, `other` is null or
/// has `other_size` bytes, `out` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn afl_custom_fuzz(
    mutator: *mut c_void,
    input: *const u8,
    size: usize,
    out: *mut *const u8,
    other: *const u8,
    other_size: usize,
    max_size: usize,
) -> usize {
    const CROSS_ONE_IN: u64 = 4;
    // SAFETY: the caller passes what `afl_custom_init` made, to nobody else at the same time.
    let mutator = unsafe { &mut *mutator.cast::<Mutator>() };
    // SAFETY: the caller passes `size` readable bytes.
    let input = unsafe { std::slice::from_raw_parts(input, size) };
    // The step of SplitMix64; the mutations mix it.
    mutator.random = mutator.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let seed = mutator.random;
    let most = max_size.min(SCENARIO_BYTES_MAX);
    let buffer = &mut mutator.mutant[..most];
    let size = if !other.is_null() && (seed >> 32).is_multiple_of(CROSS_ONE_IN) {
        // SAFETY: the caller passes `other_size` readable bytes.
        let other = unsafe { std::slice::from_raw_parts(other, other_size) };
        mutate::cross(input, other, buffer, seed)
    } else {
        let size = input.len().min(buffer.len());
        buffer[..size].copy_from_slice(&input[..size]);
        mutate::mutate(buffer, size, seed)
    };
    // SAFETY: the caller passes a place to write to.
    unsafe { out.write(mutator.mutant.as_ptr()) };
    size
}

/// Ends.
///
/// # Safety
///
/// As AFL++ calls it: `mutator` is what [`afl_custom_init`] returned, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn afl_custom_deinit(mutator: *mut c_void) {
    // SAFETY: the caller passes what `Box::into_raw` made, once.
    drop(unsafe { Box::from_raw(mutator.cast::<Mutator>()) });
}
