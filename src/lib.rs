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
//! | [`checked`] | the rules, watching a core inside the kernel | no |
//! | `real` | StorPort over storport.sys, for a core inside Windows (feature `real`) | no |
//! | [`scenario`] | what a run is told to do | yes |
//! | [`device`] | hardware models | yes |
//! | [`machine`] | the simulated multiprocessor with StorPort on it | yes |
//! | `binary` | a compiled driver on the machine (feature `binary`, x86-64 Linux) | yes |
//! | [`coverage`] | lock-state coverage | yes |
//! | [`harness`] | one scenario against one driver: an [`Outcome`](harness::Outcome) | yes |
//! | [`explore`] | every schedule of a scenario, within a bound | yes |
//! | [`record`] | events that were written down, and the rules over them | yes |
//! | [`trace`] | traces of real machines, and the seeds that they become | yes |
//! | [`mod@reference`] | a slow model of the rules, to test the rules | yes |
//! | [`targets`] | what fuzzing engines call | yes |
//! | [`triage`] | what was found, sorted by bug and made small | yes |
//! | [`mutants`] | mistakes put into a driver's lock calls, and what finds them | yes |
//! | [`report`] | what people read: runs in words, and pages of findings | yes |
//! | [`locks`] | the map of a driver's locks | yes |
//! | [`cli`] | the command line, with libFuzzer embedded in [`engine`] | yes |
#![cfg_attr(not(feature = "host"), no_std)]

pub mod checked;
pub mod event;
pub mod miniport;
#[cfg(feature = "real")]
pub mod real;
pub mod rules;
pub mod storport;

#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
pub mod binary;
#[cfg(feature = "host")]
pub mod coverage;
#[cfg(feature = "host")]
pub mod device;
#[cfg(feature = "host")]
pub mod explore;
#[cfg(feature = "host")]
pub mod harness;
#[cfg(feature = "host")]
pub mod machine;
#[cfg(feature = "trace")]
pub mod record;
#[cfg(feature = "host")]
pub mod reference;
#[cfg(feature = "host")]
pub mod scenario;
#[cfg(feature = "host")]
pub mod targets;
#[cfg(feature = "host")]
pub mod triage;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod engine;
#[cfg(feature = "cli")]
pub mod locks;
#[cfg(feature = "cli")]
pub mod mutants;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "trace")]
pub mod trace;
