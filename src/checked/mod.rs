//! Rules inside the kernel: a layer between a core and StorPort that shows the rules everything the core does.
//!
//! ```text
//! StorPort -> CheckedMiniport<M> -> core M over Checked<P> -> P (real StorPort, or the machine)
//!                     \______ events ______/
//!                               Watch { Book, Checker, Ring } -> Hooks::violation, records
//! ```
//!
//! The machine knows everything and tells the rules; here nobody does, so the layer finds out. It sees every call
//! of the core and every call of StorPort's, because it stands on both sides of the core, and makes the same
//! [`Event`](crate::event::Event)s of them for the same [`Checker`](crate::rules::Checker).
//!
//! | file | what it is |
//! | --- | --- |
//! | `watch` | [`Watch`]: the checker, what it needs to know, and the raw lock around both |
//! | `book` | who is inside the core, which locks are held with which handle, which DPCs and requests exist |
//! | `tell` | [`Checked`]: a port that tells its watch what happens |
//! | `port`, `locks`, `executive` | the DDI, told of |
//! | `miniport`, `callback` | [`CheckedMiniport`]: the callbacks, told of |
//! | `ring`, `record` | the ring of violations, its fixed layout, and its reader |
//!
//! # When an event is told
//!
//! An acquire is told when it has returned and a release before it is made, a callback from its first instruction
//! to its last: so whatever one processor says of a lock while it holds it cannot be overtaken by what another
//! says. A lock that, by the book, somebody holds is told of before the acquire too, because that acquire may
//! never return.
//!
//! # The raw lock
//!
//! Rules are a fold: two processors cannot fold at once, and an event that is left out makes later ones look
//! wrong. So there is one test-and-set lock, taken for well under a microsecond at HIGH_LEVEL. It adds no deadlock:
//! nothing inside waits, calls, or can be interrupted by code of the driver. A processor that has waited
//! [`SPINS_MAX`] turns all the same (its holder was stopped by a debugger, or the system is being crashed) gives
//! the watch up for good instead of hanging, and counts.
//!
//! # What it cannot see
//!
//! Rules that need to know what only the machine knows stay silent:
//!
//! * `run.deadlock`, `run.hang`, `driver.crashed`, `lock.leaked`, `request.lost`: they judge the end of a run. A wait
//!   for a lock of one's own is reported before the processor hangs in it, and orders that can deadlock are
//!   `lock.order` and `lock.cycle` here too.
//! * `request.device_owns`, `request.touched`, `data.wrong`: they look into device and memory.
//! * `time.lock_held`, `time.interrupt`, `time.dpc`, `time.routine`: by a clock on the wall a driver also pays for what
//!   interrupts it and for a virtual processor that does not run; stalls are judged by their argument.
//!   `time.dpc` is seen where a stall causes it.
//! * `dpc.corrupted`: the object's queue links are the kernel's. `pool.free_unknown`: what StorPort answers then is not
//!   documented.
//! * `interrupt.self_deadlock` where StorPort itself waits, before it calls the interrupt routine.
//! * What happens between a release being told of and its being made.
//! * On real StorPort a copy of a used-up handle looks like a copy of the present one: `lock.handle_copied` may be said
//!   where `lock.handle_stale` is meant.
//!
//! A crash dump is not watched: one processor, and every lock void. More than
//! [`PROCESSORS_MAX`](crate::event::PROCESSORS_MAX) threads inside the core at once: the rest go unwatched, whole
//! callbacks at a time, and are counted.

mod book;
mod callback;
mod executive;
mod locks;
mod miniport;
mod port;
pub mod record;
mod ring;
mod tell;
mod watch;

pub use miniport::CheckedMiniport;
pub use tell::Checked;
pub use watch::{Counts, SPINS_MAX, Watch};

use core::ffi::c_void;

use crate::rules::Finding;
use crate::storport::Executive;

/// What the layer needs of its surroundings. Every function may be called at any IRQL, but [`Hooks::start`].
pub trait Hooks<P: Executive>: 'static {
    /// Which thread runs: an interrupt or DPC counts as the thread that it interrupted, whose stack it runs on.
    /// Callbacks nest in a thread, and a thread may change processors between two calls; so this, and not the
    /// processor, is what the rules take for one. Not zero.
    fn thread(port: P) -> usize;

    /// A clock, in nanoseconds, for reports.
    fn now(port: P) -> u64;

    /// Keeps every interrupt away from this processor; returns what [`Hooks::unmask`] takes.
    fn mask(port: P) -> u8;

    /// Lets interrupts in again.
    fn unmask(port: P, masked: u8);

    /// HwStorFindAdapter of the adapter whose extension this is: what watches it, or `None` to leave it alone.
    /// PASSIVE_LEVEL, and so the place to read the registry.
    fn start(port: P, extension: *mut c_void) -> Option<&'static Watch>;

    /// A rule is broken. Called where it was broken, without the raw lock, at the IRQL of the driver; before the
    /// call that would hang, where a call would. May end the system.
    fn violation(port: P, finding: &Finding);
}
