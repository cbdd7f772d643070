//! lockstorm: a fuzzer for the lock paths of Windows StorPort miniport drivers.
//!
//! It runs a miniport on a simulated multiprocessor that behaves like StorPort, lets a fuzzer decide
//! every request, interrupt, DPC, timer, reset and context switch, and reports the first rule of the
//! StorPort locking contract that the miniport breaks, with a schedule that replays it bit for bit.
//!
//! ```text
//! bytes -> Scenario -> Machine + driver -> Event stream -> { rules, coverage, timeline } -> Outcome
//! ```
//!
//! Read it from the bottom up; each module knows only those above it in this list:
//!
//! | module | what it is | std |
//! | --- | --- | --- |
//! | [`storport`] | the DDI: types, what a miniport may call, what StorPort calls | no |
//! | [`event`] | what happened, the one vocabulary | no |
//! | [`rules`] | the catalogue of rules; a rule is a fold over events | no |
//! | [`miniport`] | miniport cores: a real NVMe driver, and a puppet that plays scripts | no |
//! | [`scenario`] | what a run is told to do | yes |
//! | [`device`] | hardware models | yes |
//! | [`machine`] | the simulated multiprocessor with StorPort on it | yes |
//! | [`coverage`] | lock-state coverage | yes |
//! | [`harness`] | one scenario against one driver: an [`Outcome`](harness::Outcome) | yes |
//! | [`report`] | what people read of a run: words, and the page of a finding | yes |
//! | [`cli`] | the command line, with libFuzzer embedded in [`engine`] | yes |
#![cfg_attr(not(feature = "host"), no_std)]

pub mod event;
pub mod miniport;
pub mod rules;
pub mod storport;

#[cfg(feature = "host")]
pub mod coverage;
#[cfg(feature = "host")]
pub mod device;
#[cfg(feature = "host")]
pub mod harness;
#[cfg(feature = "host")]
pub mod machine;
#[cfg(feature = "host")]
pub mod scenario;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod engine;
#[cfg(feature = "cli")]
pub mod report;
