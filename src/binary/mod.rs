//! Compiled Windows drivers on the machine: an x86-64 PE image, loaded, bound and run as it is.
//!
//! ```text
//! file -> Pe -> Image (mapped, relocated) -> bound to the entry points here -> DriverEntry -> machine::Driver
//! ```
//!
//! A compiled driver runs on the very same machine as a core of this crate: the machine calls its functions in the
//! convention of 64-bit Windows, and each of its imports is bound to an entry point that calls the same routine of
//! [`Port`](crate::machine::Port) that a core calls. So the events are the same, call for call, but that a site is an
//! offset in the image.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `pe`, `image` | the file, checked; the image: mapped, relocated, bound, brought back between runs |
//! | `symbols`, `error` | which line an offset is; why a file cannot be loaded |
//! | `driver` | a loaded driver, ready to run |
//! | `load` | DriverEntry |
//! | `hooks` | what the machine does for an instruction that faults |
//! | `instrument`, `atomic` | accesses that instrumentation tells of; interlocked operations that it has done here |
//! | `frame` | how a call arrives: entry points and arguments |
//! | `imports` | which routine is bound to which entry point |
//! | `storport/` | storport.sys: its exports, StorPortNotification, StorPortExtendedFunction |
//! | `kernel/` | ntoskrnl.exe: locks, IRQLs, memory, strings, time, debugging |
//! | `watch`, `fault`, `trap` | faults of the driver's code: found, and reported or emulated |
//! | `emulate`, `mmio`, `arithmetic`, `register` | what a trapped instruction does |
//! | `shared_data` | the page of clocks and versions that headers read without a call |
//!
//! Nothing here trusts an argument: a pointer that a routine itself follows is checked first, and a wild one is a
//! finding at the place of the call. A handler allocates nothing, formats nothing that nobody reads, and never
//! unwinds into the driver.

mod arithmetic;
mod atomic;
pub mod driver;
mod emulate;
pub mod error;
pub mod fault;
mod frame;
mod hooks;
pub mod image;
mod imports;
mod instrument;
mod kernel;
mod load;
mod mmio;
pub mod pe;
mod ranges;
mod register;
mod shared_data;
mod storport;
pub mod symbols;
mod trap;
pub mod watch;

#[cfg(test)]
mod tests;

pub use driver::{Compiled, DriverCounters, DriverFile};

/// The routines that have a model: of storport.sys, of ntoskrnl.exe, and twice of lockstorm's own module.
#[must_use]
pub fn modelled_routines() -> [&'static [&'static str]; 4] {
    [storport::NAMES, kernel::NAMES, instrument::NAMES, atomic::NAMES]
}
