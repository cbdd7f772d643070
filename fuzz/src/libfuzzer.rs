//! The targets under libFuzzer.

use std::cell::RefCell;

use lockstorm::coverage::CoverageMap;
use lockstorm::scenario::mutate as mutation;
use lockstorm::targets::{Runner, Target};

/// libFuzzer finds the counters by the name of their section, clears them before each run and scans them after.
#[cfg_attr(
    any(target_os = "linux", target_os = "freebsd", target_os = "netbsd"),
    unsafe(link_section = "__libfuzzer_extra_counters")
)]
static mut COUNTERS: CoverageMap = CoverageMap::new();

thread_local! {
    /// The target; `None` measures the engine alone.
    static RUNNER: RefCell<Option<Runner>> = const { RefCell::new(None) };
}

/// With this set in the environment a target does nothing: what is left is the engine's own cost, with the same
/// counters. For `scripts/throughput`.
const EMPTY: &str = "LOCKSTORM_FUZZ_EMPTY";

/// Makes the target, before libFuzzer's first input. To be called once.
pub fn begin(target: Target) {
    let counters = &raw mut COUNTERS;
    // SAFETY: this is called once in a process, so that no other reference exists; libFuzzer touches the counters
    // only between runs, when no code that holds the reference runs.
    let counters = unsafe { &mut *counters };
    if std::env::var_os(EMPTY).is_none() {
        RUNNER.set(Some(Runner::new(target, counters)));
    }
}

/// Runs one input.
#[inline]
pub fn step(bytes: &[u8]) {
    RUNNER.with_borrow_mut(|runner| {
        if let Some(runner) = runner {
            runner.run_or_abort(bytes);
        }
    });
}

/// Mutates the first `size` bytes in place, to at most `max_size`: mostly as scenarios, one time in so many as
/// libFuzzer does, which knows the dictionary and the values that the target compared. For the formats every other
/// time, and what comes out need not be a scenario.
pub fn mutate(target: Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let is_format = target == Target::Scenario;
    let own_one_in = if is_format { 2 } else { 16 };
    let data = &mut data[..max_size];
    let size = size.min(max_size);
    if seed.is_multiple_of(own_one_in) {
        let size = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
        if is_format { size } else { mutation::tidy(data, size) }
    } else {
        mutation::mutate(data, size, seed.into())
    }
}

/// Crosses two inputs.
pub fn cross(first: &[u8], second: &[u8], out: &mut [u8], seed: u32) -> usize {
    mutation::cross(first, second, out, seed.into())
}

/// Makes a fuzz target of a [`Target`](crate::Target).
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(
            init: $crate::begin($crate::Target::$target),
            |bytes: &[u8]| $crate::step(bytes)
        );
        $crate::libfuzzer_sys::fuzz_mutator!(
            |data: &mut [u8], size: usize, max_size: usize, seed: u32| {
                $crate::mutate($crate::Target::$target, data, size, max_size, seed)
            }
        );
        $crate::libfuzzer_sys::fuzz_crossover!(
            |first: &[u8], second: &[u8], out: &mut [u8], seed: u32| {
                $crate::cross(first, second, out, seed)
            }
        );
    };
}
