//! Loom: every interleaving of a program, up to a bound of preemptions, but for those that its reduction leaves out.

use std::sync::Arc as StdArc;
use std::sync::atomic::{AtomicU64, Ordering as Order};

use super::hunt::{self, Hunt};

// Loom's own: it must see that two threads depend on each other by it.
super::threads::world!(loom, loom::sync::atomic::AtomicBool);

/// Preemptions of an execution, at most: the bound that Loom's documentation recommends is two or three.
pub(crate) const PREEMPTIONS: usize = 3;

/// Hunts until the program fails, for so many executions. The failure ends the process: while Loom unwinds from a
/// deadlock, a guard that is dropped may panic again.
pub(crate) fn hunt<Q: Program>(executions: u64) -> Hunt {
    let count = StdArc::new(AtomicU64::new(0));
    let counted = StdArc::clone(&count);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.max_branches = 100_000;
    // Where it looks whether it has had enough.
    builder.checkpoint_interval = 1_000;
    builder.max_permutations = Some(executions as usize);
    let began = hunt::cpu_seconds();
    let so_far = move |found| {
        let executions = count.load(Order::Relaxed);
        Hunt { executions, seconds: hunt::cpu_seconds() - began, found }
    };
    let at_failure = so_far.clone();
    std::panic::set_hook(Box::new(move |_| {
        at_failure(true).print("");
        std::process::exit(0);
    }));
    builder.check(move || {
        counted.fetch_add(1, Order::Relaxed);
        run::<Q>();
    });
    so_far(false)
}
