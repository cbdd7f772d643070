//! The engine: libFuzzer, embedded in the command line, on stable Rust.
//!
//! ```text
//! campaign (parent) --- starts ---> worker (child) --- bytes ---> harness
//!     ^   ^                            |    |                        |
//!     |   +-- statistics, findings ----+    +-- libFuzzer <- lock-state coverage
//!     +------ the input of a dead worker (recorder)
//! ```
//!
//! libFuzzer owns its process: its loop never returns, and what breaks the process breaks the loop. So
//! `lockstorm fuzz` is a parent that never runs a driver, with one child for each job. A child that dies
//! is itself a finding and is replaced.
//!
//! A worker with a compiled driver is caged: the kernel leaves it no file, no network and no other process
//! (`sandbox`). Inputs reach it through its standard input (`exchange`), and what it finds worth keeping
//! (`novelty`) its parent writes to the corpus.
//!
//! No compiler instrumentation is needed: the machine writes lock-state coverage into a
//! [`CoverageMap`](crate::coverage::CoverageMap) that libFuzzer reads as its extra counters.

pub mod campaign;
pub mod crew;
pub mod findings;
pub mod known;
pub mod message;
pub mod minimal;
pub mod recorder;
pub mod serve;
#[doc(hidden)]
pub mod solo;
pub mod worker;

mod child;
mod exchange;
mod job;
mod libfuzzer;
mod novelty;
mod room;
#[cfg(target_os = "linux")]
mod sandbox;
mod signals;

pub(crate) use campaign::death_id;
pub use libfuzzer::{INPUT_MAX, Mutation};
pub(crate) use novelty::Novelty;
pub use signals::{
    catch_interrupts, interrupted, release_interrupts, report_deadly_signals, run_begins, run_ends,
};
pub(crate) use signals::{deadly, death_line, ignore_interrupts, watch};
