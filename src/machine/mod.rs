//! The host shim: a deterministic simulated multiprocessor with StorPort on it.
//!
//! A [`Machine`] runs one driver through one scenario and tells a [`Sink`] everything that happens. Virtual
//! processors are coroutines on one host thread; exactly one runs at a time, and it can lose the
//! processor only at a *decision point* (every DDI call, callback entry and exit). There the schedule
//! may deliver an interrupt, as a nested call on the same stack, or switch to another processor.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `state` | all that a run changes, and the one way to reach it |
//! | `processor` | IRQL, callback frames, coroutines |
//! | `schedule` | decision points and what can be chosen there |
//! | `policy` | who chooses where no decision is recorded |
//! | `drive` | the loop that picks the next processor, moves virtual time and ends the run |
//! | `lock` | the lock table, waiting, wait-for cycles |
//! | `deferred` | the queues of work for later, at DISPATCH_LEVEL and in threads |
//! | `dpc`, `interrupt`, `timer` | STOR_DPC objects, interrupts, timers and workers |
//! | `request`, `srb`, `data` | requests from creation to completion, their blocks, and the data check |
//! | `adapter`, `control`, `submit`, `recovery` | StorPort's own code: an adapter's life, requests, resets |
//! | `arena` | host memory at an address that is the same in every process |
//! | `memory` | the driver's memory and its physical addresses |
//! | `entry` | calling the driver's functions, in its own convention |
//! | [`mutation`] | one mistake in a driver's lock calls, for mutation testing |
//! | `port/` | the DDI: what a miniport reaches through its [`Port`] |
//!
//! Discipline that makes the `unsafe` of this module sound: state is reached only inside `Port::with`,
//! whose closure neither calls the driver nor switches processors; so no reference to it lives across
//! either. Taking and giving a lock reach it by `Port::state` and keep to the same, because they must be inlined as a
//! whole.

mod adapter;
mod arena;
mod control;
mod data;
mod deferred;
mod dpc;
mod drive;
mod entry;
mod interrupt;
mod lock;
mod memory;
pub mod mutation;
mod policy;
mod port;
mod processor;
mod recovery;
mod request;
mod schedule;
mod srb;
mod state;
mod submit;
mod timer;

pub use entry::Abi;
pub use memory::REGISTERS_AT as REGISTERS;
pub use port::Port;
pub use port::access::MemoryWatch;
#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
pub use port::compiled::{LIMITS, Limits};
pub use state::End;

use std::ffi::c_void;
use std::fmt;
use std::ops::Range;

use crate::device::Device;
use crate::event::Sink;
use crate::scenario::Scenario;
use crate::storport::HwInitializationData;
use mutation::Mutation;
use state::Inner;

/// A driver, as its DriverEntry describes it to StorPortInitialize.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// Entry points and sizes.
    pub data: HwInitializationData,
    /// HwContext, handed to HwStorFindAdapter.
    pub context: *mut c_void,
    /// How its functions are called.
    pub abi: Abi,
}

/// How a run ended, and how much of it there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// Decision points passed.
    pub decisions: u64,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
}

/// The simulated multiprocessor; reused from run to run.
pub struct Machine<S: Sink + 'static> {
    inner: Box<Inner<S>>,
}

impl<S: Sink + 'static> Machine<S> {
    /// A machine whose events go to `sink`, with `device` behind the adapter's registers.
    #[must_use]
    pub fn new(sink: S, device: Box<dyn Device>) -> Self {
        Machine { inner: Inner::new(sink, device) }
    }

    /// Runs `driver` through `scenario`, from power-on to a quiet machine or the first violation.
    ///
    /// # Safety
    ///
    /// The driver's entry points are functions of this process that follow the StorPort ABI, and its
    /// context is valid during the call.
    pub unsafe fn run(&mut self, driver: &Driver, scenario: &Scenario) -> Run {
        self.inner.run(driver, scenario)
    }

    /// Gives every processor a new coroutine, as a run does that ended in the middle of the driver's code. That changes no
    /// run but the branches that the host takes in it: the first turn of a loop need not be compiled as the others
    /// are. For engines that compare the branches of runs.
    pub fn renew_processors(&mut self) {
        self.inner.renew_processors();
    }

    /// Tells the sink of every decision point of every run from now on. That changes no run, but slows it down.
    pub fn observe(&mut self, on: bool) {
        self.inner.observe(on);
    }

    /// Puts a mistake into the lock calls of every run from now on; `None` leaves them as they are.
    pub fn mutate(&mut self, mutation: Option<Mutation>) {
        self.inner.mutate(mutation);
    }

    /// How many lock calls of the last run were at the mistake's place: with none, it was the driver's own run.
    pub fn mutated_calls(&mut self) -> u32 {
        self.inner.mutated_calls()
    }

    /// How the driver's accesses to shared memory are watched in every run from now on.
    pub fn watch_memory(&mut self, watch: MemoryWatch) {
        self.inner.watch_memory(watch);
    }

    /// Where the image of a compiled driver lies, whose variables are shared memory too; and in it the counters of its
    /// instrumentation, which are not.
    pub fn watch_image(&mut self, image: Range<usize>, counters: Range<usize>) {
        self.inner.watch_image(image, counters);
    }

    /// The sink.
    pub fn sink(&mut self) -> &mut S {
        self.inner.sink()
    }

    /// Where the processors' stacks lie.
    #[must_use]
    pub fn stacks(&self) -> StackLayout {
        self.inner.stacks()
    }

    /// Bytes of the device's register range.
    #[must_use]
    pub fn register_bytes(&self) -> usize {
        self.inner.register_bytes()
    }
}

/// The processors' stacks, one behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackLayout {
    /// Address of the first one's guard.
    pub start: usize,
    /// How many there are.
    pub count: usize,
    /// Bytes of each, its guard included.
    pub bytes: usize,
    /// Bytes at the low end of each that fault when they are touched.
    pub guard: usize,
}

impl<S: Sink + 'static> fmt::Debug for Machine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machine(..)")
    }
}
