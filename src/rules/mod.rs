//! The rules of the StorPort locking contract, and the [`Checker`] that watches a run for them.
//!
//! A rule is a fold over [`Event`](crate::event::Event)s: it never asks the machine, or the driver, anything. So the
//! same rules judge a simulated run, a recorded one, and a core inside the Windows kernel.
//!
//! ```text
//! Event -> Checker { State: who holds what, where; one file a family judges } -> Finding { RuleId, locks, path, site }
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | `catalogue` | [`RuleId`], [`Rule`]: what `lockstorm rules` prints |
//! | `checker` | the fold: `locks` follows callbacks and locks, `report` makes findings |
//! | `state`, `lockset` | what it remembers: who holds what, taken where |
//! | `verdict`, `finding` | what a rule says; what a user gets |
//! | `balance` | acquire and release belong together |
//! | `order`, `graph` | which lock after which: the documented tables; cycles |
//! | `kind` | whether the lock exists |
//! | `irql` | the level at which things happen |
//! | `interrupt` | interrupts and DPCs against what they interrupt |
//! | `dpc`, `request` | the lives of a STOR_DPC and of a request |
//! | `time` | how long things take |
//! | `ddi`, `config` | which DDI from where; what HwStorFindAdapter sets |
//! | `race` | memory touched without an order, in runs whose memory is watched |
//! | `end` | deadlock, hang, crash |
//!
//! Each file of a family begins with what it verifies, what it does not verify and why, and the StorPort page.
//!
//! An error ends the run; a warning does not. Where Microsoft's documents contradict each other, what follows from
//! one of them alone is a warning. One mistake gives one finding: of several rules that an event breaks, the
//! most specific speaks. In a crash dump, where one processor runs at HIGH_LEVEL and StorPort's locks are void,
//! the rules on locks, IRQL and time do not apply.
//!
//! # What has no rule
//!
//! Of Static Driver Verifier's rules for StorPort: `StorPortBuildIo` checks StorPort, not the driver;
//! `StorPortAllocatePool2` needs to know where a pointer was stored before; `HwStorPortProhibitedDDIs` and
//! `StorPortDDIsPortOnly` are matters of a driver's imports; `CancelSpinLock`, `IoFreeIrp`, `DoubleKeSetEvent`,
//! `WithinCriticalRegion`, `ZwRegistryOpen` and their like concern IRPs and the executive, which no event tells of;
//! `PagedCode` is a macro; `SpIrql` is about TDI.
//!
//! Of the kernel's guidance on spin locks: where the storage of a lock or of a handle lies, and touching
//! pageable memory under a lock, would need Windows' view of memory (a wild access under a lock is
//! `driver.crashed`); ExInterlocked routines and threaded DPCs are outside the DDI of
//! [`storport`](crate::storport); waits do not exist in it before Windows 10 2004; a shared place for two OldIrql values
//! shows as `lock.old_irql` or `lock.release_other` when it matters.

mod balance;
mod catalogue;
mod checker;
mod config;
mod ddi;
mod dpc;
mod end;
mod finding;
mod graph;
mod interrupt;
mod irql;
mod kind;
mod lockset;
mod moment;
mod order;
mod race;
mod request;
mod state;
mod time;
mod verdict;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod trace;

pub use catalogue::{Family, Rule, RuleId, RuleSet, Severity};
pub use checker::{Checker, FINDINGS_MAX, NearMiss};
pub use finding::{FINDING_LOCKS_MAX, Finding, Path};
pub use graph::{CYCLE_MAX, EDGES_MAX};
pub use lockset::LockSet;
pub use order::{Cell, Kinds, cell};
pub use race::{Race, RaceLine, Races, Side};
