//! All that a run changes, and the one way to reach it.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr::NonNull;

use super::adapter::Adapter;
use super::deferred::Ring;
use super::dpc::Dpcs;
use super::interrupt::Interrupts;
use super::lock::Locks;
use super::memory::Memory;
use super::mutation::Mutation;
use super::port::access::MemoryWatch;
use super::port::{Executives, Mutant, Port};
use super::processor::{Fiber, Processor};
use super::recovery::Recovery;
use super::request::Requests;
use super::schedule::Schedule;
use super::timer::Timers;
use super::{Abi, Driver, Run};
use crate::device::{Bus, Device};
use crate::event::{Area, Cause, Event, Flow, Kind, PROCESSORS_MAX, Sink, Site};
use crate::scenario::{STEPS_MAX, Scenario, Setup, Step};

/// Virtual nanoseconds that a decision point takes: about what a DDI call costs on a current processor.
pub(super) const TICK_NS: u64 = 100;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every step was taken and everything became quiet.
    Quiet,
    /// The sink stopped it.
    Violation,
    /// Processors wait for each other in a circle.
    Deadlock,
    /// Processors can move, but the step budget is spent; or one waits for a lock that nobody will release.
    Hang,
    /// The driver panicked, faulted or stopped the system.
    Crash,
    /// The driver called a routine that the machine has no model for.
    Unmodelled,
}

/// What the adapter's life has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// StorPort finds and initialises the adapter.
    Starting,
    /// Steps are issued.
    Open,
    /// The steps are spent, faults have ended, and everything drains.
    Quiescing,
    /// The adapter is being stopped for good.
    Stopping,
    /// Nothing is left to do.
    Done,
}

/// The state of a run.
pub(super) struct State<S> {
    pub(super) sink: S,
    pub(super) device: Box<dyn Device>,
    pub(super) memory: Memory,
    pub(super) setup: Setup,
    pub(super) driver: Option<Driver>,
    /// How the driver's functions are called.
    pub(super) abi: Abi,
    pub(super) steps: Vec<Step>,
    pub(super) step_next: usize,
    pub(super) step_time: u64,
    pub(super) phase: Phase,
    pub(super) end: Option<End>,
    pub(super) time: u64,
    /// When a device or timer next does something; the decision point's fast path compares with it.
    pub(super) due: u64,
    /// Counts what happens, to order things that have the same time.
    pub(super) order: u64,
    pub(super) current: usize,
    /// How often the drive loop has looked for a processor.
    pub(super) picks: u32,
    pub(super) processor_count: usize,
    pub(super) processors: [Processor; PROCESSORS_MAX],
    /// Processors that are not idle, a bit each.
    pub(super) under_way: u8,
    /// Processors that were given work and have not done all of it, a bit each.
    pub(super) given: u8,
    pub(super) schedule: Schedule,
    /// Whether the driver's accesses to memory are told of.
    pub(super) watch: MemoryWatch,
    /// Where a compiled driver's image lies.
    pub(super) image: Range<usize>,
    /// Where in it the compiler's instrumentation counts.
    pub(super) counters: Range<usize>,
    /// The processor that a decision switches to.
    pub(super) schedule_next: Option<u8>,
    pub(super) locks: Locks,
    pub(super) dpcs: Dpcs,
    pub(super) executives: Executives,
    pub(super) interrupts: Interrupts,
    pub(super) timers: Timers,
    pub(super) requests: Requests,
    pub(super) recovery: Recovery,
    pub(super) adapter: Adapter,
    /// Lock calls do not do what they should: a crash dump, or a mutation.
    pub(super) lock_calls_differ: bool,
    pub(super) mutant: Mutant,
}

impl<S: Sink> State<S> {
    fn new(sink: S, device: Box<dyn Device>) -> Self {
        State {
            sink,
            device,
            memory: Memory::new(),
            setup: Setup::default(),
            driver: None,
            abi: Abi::Host,
            steps: Vec::with_capacity(STEPS_MAX),
            step_next: 0,
            step_time: 0,
            phase: Phase::Done,
            end: None,
            time: 0,
            due: u64::MAX,
            order: 0,
            current: 0,
            picks: 0,
            processor_count: 1,
            processors: std::array::from_fn(|_| Processor::new()),
            under_way: 0,
            given: 0,
            schedule: Schedule::default(),
            watch: MemoryWatch::default(),
            image: 0..0,
            counters: 0..0,
            schedule_next: None,
            locks: Locks::new(),
            dpcs: Dpcs::new(),
            executives: Executives::new(),
            interrupts: Interrupts::new(),
            timers: Timers::NONE,
            requests: Requests::new(),
            recovery: Recovery::default(),
            adapter: Adapter::default(),
            lock_calls_differ: false,
            mutant: Mutant::default(),
        }
    }

    /// Power-on, for a new run: undoes what the last run did, and no more.
    fn power_on(&mut self, machine: usize, driver: &Driver, scenario: &Scenario) {
        self.setup = scenario.setup;
        self.driver = Some(*driver);
        self.abi = driver.abi;
        self.steps.clear();
        let count = scenario.steps.len().min(STEPS_MAX);
        self.steps.extend_from_slice(&scenario.steps[..count]);
        (self.step_next, self.step_time) = (0, 0);
        self.phase = Phase::Starting;
        self.end = None;
        (self.time, self.due, self.order) = (0, u64::MAX, 0);
        (self.current, self.picks) = (0, 0);
        (self.under_way, self.given) = (0, 0);
        for processor in &mut self.processors[..self.processor_count] {
            processor.power_on();
        }
        self.processor_count = usize::from(self.setup.processors).clamp(1, PROCESSORS_MAX);
        if self.setup.dump {
            self.processor_count = 1;
        }
        self.schedule.power_on(&scenario.schedule, scenario.policy, self.watch.preempts);
        self.schedule_next = None;
        self.locks.power_on();
        self.dpcs.power_on();
        self.executives.power_on();
        self.interrupts.power_on();
        self.timers.power_on();
        self.requests.power_on();
        self.recovery = Recovery::default();
        self.adapter = Adapter::default();
        self.adapter.fail_allocation = self.setup.failures.allocation;
        self.adapter.facts.dump = self.setup.dump;
        self.lock_calls_differ = self.setup.dump || self.mutant.mutation.is_some();
        self.mutant.power_on();
        self.memory.power_on(machine, driver.data.device_extension_size as usize);
        self.device.power_on(&self.setup.device);
    }

    /// Tells the sink of something on the current processor.
    #[inline(always)]
    pub(super) fn emit(&mut self, site: Site, kind: Kind) {
        let irql = self.processors[self.current].irql;
        self.emit_at(site, irql, kind);
    }

    /// As [`State::emit`], where the processor's IRQL has changed already.
    ///
    /// Inlined, and so is what the sink does with common kinds: the kind is known here, and the event need not exist
    /// in memory. An event that does is stored in pieces and loaded as a whole, which stalls the processor; that,
    /// and asking again which kind it is, was half of what a watched lock call took.
    #[inline(always)]
    pub(super) fn emit_at(&mut self, site: Site, irql: crate::storport::Irql, kind: Kind) {
        let event = Event {
            time: self.time,
            site,
            kind,
            processor: self.current as u8,
            irql,
            depth: self.processors[self.current].depth as u8,
        };
        self.tell(&event);
    }

    #[inline(always)]
    fn tell(&mut self, event: &Event) {
        if self.sink.record(event) == Flow::Stop {
            self.stop(End::Violation);
        }
    }

    /// Ends the run; the first reason stays.
    pub(super) fn stop(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
        }
    }

    /// Ends the run as a crash of the driver's.
    pub(super) fn crash(&mut self, site: Site, cause: Cause) {
        self.emit(site, Kind::Crashed { cause });
        self.stop(if cause == Cause::Unmodelled { End::Unmodelled } else { End::Crash });
    }

    /// The processor that runs now.
    #[inline]
    pub(super) fn processor(&mut self) -> &mut Processor {
        &mut self.processors[self.current]
    }

    /// Where in shared memory an address lies; `None` for what only one processor reaches.
    pub(super) fn shared_place(&self, address: usize) -> Option<(Area, u32)> {
        let image = &self.image;
        if image.contains(&address) {
            // Counters are the compiler's, which orders nothing around them, and not the driver's.
            if self.counters.contains(&address) {
                return None;
            }
            return Some((Area::Image, (address - image.start) as u32));
        }
        self.memory.shared_place(address, |slot| self.requests.slots[slot].number)
    }

    /// Lets the device do something, and then looks at what it raised.
    pub(super) fn with_device<R>(
        &mut self,
        act: impl FnOnce(&mut dyn Device, &mut dyn Bus) -> R,
    ) -> R {
        let mut bus = DeviceBus {
            memory: &mut self.memory,
            interrupts: &mut self.interrupts,
            time: self.time,
        };
        let result = act(self.device.as_mut(), &mut bus);
        self.refresh_due();
        self.announce_interrupts();
        result
    }

    /// Recomputes when something is next due.
    pub(super) fn refresh_due(&mut self) {
        let device = self.device.due().unwrap_or(u64::MAX);
        self.due = device.min(self.timers.due());
    }
}

/// The device's view of the machine.
struct DeviceBus<'a> {
    memory: &'a mut Memory,
    interrupts: &'a mut Interrupts,
    time: u64,
}

impl Bus for DeviceBus<'_> {
    fn read(&mut self, address: u64, into: &mut [u8]) -> bool {
        self.memory.read_physical(address, into)
    }

    fn write(&mut self, address: u64, from: &[u8]) -> bool {
        self.memory.write_physical(address, from)
    }

    fn send_message(&mut self, message: u16) {
        self.interrupts.send_message(message);
    }

    fn set_line(&mut self, asserted: bool) {
        self.interrupts.set_line(asserted);
    }

    fn now(&self) -> u64 {
        self.time
    }
}

/// A machine's state and its processors' coroutines, at a fixed address.
pub(super) struct Inner<S: Sink + 'static> {
    state: UnsafeCell<State<S>>,
    fibers: UnsafeCell<[Option<Fiber>; PROCESSORS_MAX]>,
}

impl<S: Sink + 'static> Inner<S> {
    pub(super) fn new(sink: S, device: Box<dyn Device>) -> Box<Self> {
        Box::new(Inner {
            state: UnsafeCell::new(State::new(sink, device)),
            fibers: UnsafeCell::new(std::array::from_fn(|_| None)),
        })
    }

    pub(super) fn observe(&mut self, on: bool) {
        self.state.get_mut().schedule.observed = on;
    }

    pub(super) fn mutate(&mut self, mutation: Option<Mutation>) {
        self.state.get_mut().mutant.mutation = mutation;
    }

    pub(super) fn mutated_calls(&mut self) -> u32 {
        self.state.get_mut().mutant.befell
    }

    pub(super) fn watch_memory(&mut self, watch: MemoryWatch) {
        self.state.get_mut().watch = watch;
    }

    pub(super) fn watch_image(&mut self, image: Range<usize>, counters: Range<usize>) {
        let state = self.state.get_mut();
        (state.image, state.counters) = (image, counters);
    }

    pub(super) fn sink(&mut self) -> &mut S {
        &mut self.state.get_mut().sink
    }

    pub(super) fn stacks(&self) -> super::StackLayout {
        // SAFETY: no run is under way, and the reference ends here.
        unsafe { self.state() }.memory.stacks()
    }

    pub(super) fn register_bytes(&self) -> usize {
        // SAFETY: as above.
        unsafe { self.state() }.device.register_bytes() as usize
    }

    pub(super) fn run(&mut self, driver: &Driver, scenario: &Scenario) -> Run {
        let machine = (&raw const *self).expose_provenance();
        self.state.get_mut().power_on(machine, driver, scenario);
        let inner = NonNull::from(&mut *self);
        let port = Port::of(inner);
        // SAFETY: the fibers are used by `drive` alone, which runs outside every fiber.
        let fibers = unsafe { &mut *self.fibers.get() };
        super::port::quietly(inner, || super::drive::drive(port, fibers));
        let state = self.state.get_mut();
        Run {
            end: state.end.unwrap_or(End::Quiet),
            decisions: state.schedule.passed(),
            virtual_ns: state.time,
        }
    }

    pub(super) fn renew_processors(&mut self) {
        let port = Port::of(NonNull::from(&mut *self));
        // SAFETY: no run is under way, and the reference ends here.
        let fibers = unsafe { &mut *self.fibers.get() };
        for (index, slot) in fibers.iter_mut().enumerate() {
            super::drive::renew(port, index, slot);
        }
    }

    /// The state.
    ///
    /// # Safety
    ///
    /// The reference must be gone before the driver is called or the processor is switched, and there
    /// may be only one at a time.
    #[expect(clippy::mut_from_ref, reason = "the cell is the point; see the contract")]
    #[inline]
    pub(super) unsafe fn state(&self) -> &mut State<S> {
        // SAFETY: the contract; the machine lives on one host thread.
        unsafe { &mut *self.state.get() }
    }
}

impl<S: Sink + 'static> Drop for Inner<S> {
    fn drop(&mut self) {
        for fiber in self.fibers.get_mut().iter_mut().flatten() {
            // SAFETY: a fiber's frames are the driver's and StorPort's own; none holds anything that must be
            // dropped (the loop in `processor` says why).
            unsafe { fiber.force_reset() };
        }
    }
}

/// Deferred completions of one processor.
pub(super) type Completions = Ring<u8, 64>;
