//! The targets under libFuzzer.

use std::cell::RefCell;

use lockstorm::coverage::CoverageMap;
#[cfg(coverage_counters)]
use lockstorm::harness::BuiltIn;
use lockstorm::scenario::mutate as mutation;
#[cfg(coverage_counters)]
use lockstorm::scenario::{InterruptKind, Scenario, Setup, codec};
use lockstorm::targets::{Runner, Target};

#[cfg(coverage_counters)]
use crate::subject::Hidden;

/// libFuzzer finds the counters by the name of their section, clears them before each run and scans them after.
#[cfg_attr(
    any(target_os = "linux", target_os = "freebsd", target_os = "netbsd"),
    unsafe(link_section = "__libfuzzer_extra_counters")
)]
static mut COUNTERS: CoverageMap = CoverageMap::new();

thread_local! {
    /// What each input is given to; `None` measures the engine alone.
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

struct State {
    runner: Runner,
    /// With this every mutation comes to one scenario.
    only: Option<Vec<u8>>,
    /// What libFuzzer is not shown; `None` for a target that is not about a driver.
    #[cfg(coverage_counters)]
    hidden: Option<Hidden>,
}

/// What is measured, for `scripts/throughput`: `empty` makes a target that does nothing, so that what is left is the
/// engine's own cost with the same counters; the name of a file puts this file in place of every
/// mutant, so that the engine fuzzes from its corpus as ever and the target's cost is that of one scenario.
const MEASURE: &str = "LOCKSTORM_FUZZ_MEASURE";

/// Makes the target, before libFuzzer's first input. To be called once.
///
/// # Panics
///
/// What is to be measured cannot be read.
pub fn begin(target: Target) {
    let measured = std::env::var_os(MEASURE).filter(|what| !what.is_empty());
    if measured.as_deref() == Some("empty".as_ref()) {
        return;
    }
    let counters = &raw mut COUNTERS;
    // SAFETY: this is called once in a process, so that no other reference exists; libFuzzer touches the counters
    // only between runs, when no code that holds the reference runs.
    #[cfg_attr(not(coverage_counters), expect(unused_mut))]
    let mut runner = Runner::new(target, unsafe { &mut *counters });
    #[cfg(coverage_counters)]
    let hidden = if target.driver() == Some(BuiltIn::Nvme) { learn(&mut runner) } else { None };
    STATE.set(Some(State {
        runner,
        only: measured.map(|path| std::fs::read(path).expect("the file to measure")),
        #[cfg(coverage_counters)]
        hidden,
    }));
}

/// What a run of this target shows beyond itself: what lives without a step do.
#[cfg(coverage_counters)]
fn learn(runner: &mut Runner) -> Option<Hidden> {
    let mut hidden = Hidden::find()?;
    for setup in setups() {
        let mut bytes = Vec::new();
        codec::encode(&Scenario { setup, ..Scenario::default() }, &mut bytes);
        hidden.learn(|| {
            // Should this life break a rule, the first input to lead it will say so.
            let _ = runner.run(&bytes);
            runner.coverage().expect("a driver's run has coverage")
        });
    }
    Some(hidden)
}

/// Setups whose lives differ most: of what a life without a step does in any other, little is in none of these.
#[cfg(coverage_counters)]
fn setups() -> [Setup; 3] {
    let usual = Setup::default();
    [
        usual,
        Setup { dump: true, ..usual },
        Setup { processors: 1, interrupts: InterruptKind::Line, ..usual },
    ]
}

/// Runs one input.
#[inline]
pub fn step(bytes: &[u8]) {
    STATE.with_borrow_mut(|state| {
        let Some(state) = state else { return };
        let State { runner, .. } = state;
        runner.run_or_abort(bytes);
        #[cfg(coverage_counters)]
        if let (Some(hidden), Some(locks)) = (&state.hidden, runner.coverage()) {
            hidden.clear(locks);
        }
    });
}

/// Mutates the first `size` bytes in place, to at most `max_size`: mostly as scenarios, one time in so many as
/// libFuzzer does, which knows the dictionary and, of a format, the values that were compared. For the formats every other
/// time, and what comes out need not be a scenario.
pub fn mutate(target: Target, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let is_format = target == Target::Scenario;
    let own_one_in = if is_format { 2 } else { 16 };
    let data = &mut data[..max_size];
    let size = size.min(max_size);
    let size = if seed.is_multiple_of(own_one_in) {
        let size = libfuzzer_sys::fuzzer_mutate(data, size, max_size);
        if is_format { size } else { mutation::tidy(data, size) }
    } else {
        mutation::mutate(data, size, seed.into())
    };
    measured(data).unwrap_or(size)
}

/// Crosses two inputs.
pub fn cross(first: &[u8], second: &[u8], out: &mut [u8], seed: u32) -> usize {
    let size = mutation::cross(first, second, out, seed.into());
    measured(out).unwrap_or(size)
}

/// Puts the scenario that is measured, if one is, in place of a mutant.
fn measured(mutant: &mut [u8]) -> Option<usize> {
    STATE.with_borrow(|state| {
        let only = state.as_ref()?.only.as_deref()?;
        let size = only.len().min(mutant.len());
        mutant[..size].copy_from_slice(&only[..size]);
        Some(size)
    })
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
