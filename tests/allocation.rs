//! Once warm, a run allocates nothing.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::End;
use support::Inputs;

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_warm_harness_allocates_nothing() {
    for driver in BuiltIn::ALL {
        let mut harness = Harness::alone(driver);
        let mut inputs = Inputs::new(3);
        let inputs: Vec<_> = (0..3_000).map(|_| inputs.bytes(400)).collect();
        for bytes in &inputs {
            harness.run_bytes(bytes);
        }
        for (n, bytes) in inputs.iter().enumerate() {
            let before = ALLOCATIONS.get();
            let outcome = harness.run_bytes(bytes);
            let allocated = ALLOCATIONS.get() - before;
            // A panic of the driver, which a script can ask for, allocates by itself.
            assert!(
                allocated == 0 || outcome.end == End::Crash || panicked(&mut harness),
                "{driver:?}, input {n}: {allocated}"
            );
        }
    }
}

fn panicked(harness: &mut Harness) -> bool {
    harness.findings().iter().any(|finding| finding.rule.rule().id == "driver.crashed")
}
