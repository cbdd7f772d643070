//! Triage: from a folder of crashes to one bug each, with the shortest scenario that shows it.
//!
//! ```text
//! files -> artifact -> crew of workers -> journal -> Triage { buckets } -> store, reports
//!                          |                 ^
//!                          +--- minimise ----+
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `artifact` | which files there are, who wrote them, which scenario each holds |
//! | `replay` | a run and what it broke |
//! | `worker`, `crew` | child processes that run drivers, and the parent that asks them |
//! | `journal`, `store` | what has been done, and what has come of it, on disk |
//! | `bucket` | [`Triage`](bucket::Triage): files by bug |
//! | `minimise` | smaller scenarios that show the same bug |
//! | `regression` | a scenario as a Rust test |
//!
//! A bucket is a bug as its driver's author sees it: the rule, the kinds of locks, the callbacks, the innermost sites
//! ([`Finding::bug`](crate::rules::Finding::bug)). Schedules, names and hashes of files have no part in it.

pub mod minimise;
pub mod size;

#[cfg(feature = "cli")]
pub mod artifact;
#[cfg(feature = "cli")]
pub mod bucket;
#[cfg(feature = "cli")]
pub mod crew;
#[cfg(feature = "cli")]
pub mod journal;
#[cfg(feature = "cli")]
pub mod regression;
#[cfg(feature = "cli")]
pub mod replay;
#[cfg(feature = "cli")]
mod sha1;
#[cfg(feature = "cli")]
pub mod sort;
#[cfg(feature = "cli")]
pub mod store;
#[cfg(feature = "cli")]
pub mod worker;
