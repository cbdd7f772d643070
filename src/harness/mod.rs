//! One scenario against one driver: an [`Outcome`] and its findings.
//!
//! The harness ties the machine to what watches it: the rules, which may end a run, and the lock-state
//! coverage, which guides the fuzzer; on demand it records every event, or hashes them, so that two runs
//! can be compared. It is made once for a driver and reused; once warm, a run allocates nothing.

mod hash;
mod target;

pub use hash::EventHasher;
pub use target::{BuiltIn, Compiled, OpenError, Target};

use std::hash::Hasher;
use std::ptr;

use crate::coverage::{Coverage, CoverageMap};
use crate::device::Device;
use crate::device::model::Model;
use crate::event::{Access, Event, Flow, Kind, Mark, Pick, Point, Sink};
use crate::machine::mutation::Mutation;
use crate::machine::{Abi, Driver, End, Machine, MemoryWatch, Port, Run};
use crate::miniport::nvme::Nvme;
use crate::miniport::puppet::{Call, Puppet, Script};
use crate::rules::{Checker, Finding, Races, RuleId, RuleSet};
use crate::scenario::{STEPS_MAX, Scenario, Setup, Step, codec};
use crate::storport::entry::initialization_data;
use crate::storport::{HwInitializationData, Miniport};

/// What a run came to; its findings are [`Harness::findings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Events told.
    pub events: u64,
    /// Hash over all of them; 0 unless [`Harness::hash_events`] is on.
    pub hash: u64,
    /// Virtual time, in nanoseconds.
    pub virtual_ns: u64,
    /// Decision points passed.
    pub decisions: u64,
}

/// What a core is generic over when a harness runs it.
pub type HarnessPort = Port<Watch>;

/// Events for which there is room at the beginning of a run when events are recorded: more than nearly every run has.
const RECORDED: usize = 1 << 14;

/// What watches the machine: rules, coverage, and on demand a record.
pub struct Watch {
    checker: Checker,
    coverage: Coverage,
    /// Where the run's memory is watched for races.
    races: Option<Box<Races>>,
    events: u64,
    hash: Option<EventHasher>,
    recorded: Option<Vec<Event>>,
    /// Points passed and processors picked, each with the number of events before it.
    marks: Vec<(Mark, u32)>,
}

impl Watch {
    fn new(map: &'static mut CoverageMap) -> Watch {
        Watch {
            checker: Checker::new(),
            coverage: Coverage::new(map),
            races: None,
            events: 0,
            hash: None,
            recorded: None,
            marks: Vec::new(),
        }
    }

    fn reset(&mut self) {
        self.checker.reset();
        self.coverage.reset();
        if let Some(races) = &mut self.races {
            races.reset();
        }
        self.events = 0;
        if let Some(hash) = &mut self.hash {
            *hash = EventHasher::default();
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.clear();
            recorded.shrink_to(RECORDED);
        }
        self.marks.clear();
    }
}

impl Sink for Watch {
    #[inline(always)]
    fn record(&mut self, event: &Event) -> Flow {
        self.events += 1;
        if let Kind::Accessed(access) = &event.kind {
            return self.accessed(event, access);
        }
        self.coverage.record(event);
        if self.hash.is_some() | self.recorded.is_some() | self.races.is_some() {
            self.keep(*event);
        }
        self.checker.record(event)
    }

    fn passes(&mut self, point: &Point) {
        self.marks.push((Mark::Point(*point), self.events as u32));
    }

    fn picks(&mut self, pick: &Pick) {
        self.marks.push((Mark::Pick(*pick), self.events as u32));
    }
}

impl Watch {
    /// An access, of which only data races are judged: by far the most frequent event of a run whose memory is watched.
    #[inline(always)]
    fn accessed(&mut self, event: &Event, access: &Access) -> Flow {
        if self.hash.is_some() | self.recorded.is_some() {
            self.note(event);
        }
        match &mut self.races {
            Some(races) => races.accessed(event, access, &mut self.checker),
            None => Flow::Continue,
        }
    }

    #[cold]
    fn keep(&mut self, event: Event) {
        self.note(&event);
        if let Some(races) = &mut self.races {
            // No access, so no race.
            let _ = races.record(&event, &mut self.checker);
        }
    }

    #[cold]
    #[inline(never)]
    fn note(&mut self, event: &Event) {
        if let Some(hash) = &mut self.hash {
            hash.event(event);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.push(*event);
        }
    }
}

/// A driver, ready to run.
enum Loaded {
    /// The puppet, whose entry points depend on the scenario's Setup.
    Puppet,
    /// A core of this process, by its DriverEntry's data.
    Core(Box<HwInitializationData>),
    /// A compiled driver.
    #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
    Compiled(Box<crate::binary::Compiled<Watch>>),
}

/// A driver whose files have been read, and of which nothing has run yet.
#[derive(Debug)]
pub struct Prepared(Source, MemoryWatch);

/// What a driver is read from.
#[derive(Debug)]
enum Source {
    BuiltIn(BuiltIn),
    #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
    File(Box<crate::binary::DriverFile>, std::path::PathBuf, Box<dyn Device>),
}

impl Prepared {
    /// Reads a driver's files.
    ///
    /// # Errors
    ///
    /// The file of a compiled driver is missing, is no such driver, or cannot run on this host.
    pub fn read(target: &Target) -> Result<Prepared, OpenError> {
        match target {
            Target::BuiltIn(driver) => {
                Ok(Prepared(Source::BuiltIn(*driver), MemoryWatch::default()))
            }
            Target::Watched(driver, watch) => {
                Prepared::read(driver).map(|prepared| Prepared(prepared.0, *watch))
            }
            #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
            Target::Compiled(driver) => match crate::binary::DriverFile::read(&driver.path) {
                Ok(file) => {
                    name_sites(&file);
                    let device = driver.build_device()?;
                    let source = Source::File(Box::new(file), driver.path.clone(), device);
                    Ok(Prepared(source, MemoryWatch::default()))
                }
                Err(error) => Err(OpenError::new(&driver.path, &error)),
            },
            #[cfg(not(all(feature = "binary", target_arch = "x86_64", target_os = "linux")))]
            Target::Compiled(driver) => {
                Err(OpenError::new(&driver.path, &"compiled drivers do not run on this host"))
            }
        }
    }

    /// Starts it: from here on its code runs, and it touches no file. Coverage goes to `map`.
    ///
    /// # Errors
    ///
    /// DriverEntry of a compiled driver fails.
    pub fn start(self, map: &'static mut CoverageMap) -> Result<Harness, OpenError> {
        let mut harness = match self.0 {
            Source::BuiltIn(driver) => Harness::new(driver, map),
            #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
            Source::File(file, path, device) => {
                // SAFETY: that it runs is what this is called for; every machine of a harness tells a `Watch`.
                let compiled = unsafe { crate::binary::Compiled::start(&file) }
                    .map_err(|error| OpenError::new(&path, &error))?;
                Harness::with(Loaded::Compiled(Box::new(compiled)), device, map)
            }
        };
        harness.watch_memory(self.1);
        Ok(harness)
    }
}

/// Lets sites be called by function and line from now on. Reads the debugging information at once: a process that
/// is locked up cannot do so later.
#[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
fn name_sites(file: &crate::binary::DriverFile) {
    let symbols = file.symbols();
    // Without any, places are called by module and offset, which says enough.
    let _ = symbols.missing();
    crate::event::name_image_sites(move |offset| symbols.describe_call(offset));
}

/// A driver on its machine, watched.
pub struct Harness {
    machine: Machine<Watch>,
    driver: Loaded,
    /// Rules that say nothing in front of this device.
    silent: RuleSet,
    scenario: Scenario,
    script: Vec<Call>,
}

impl Harness {
    /// A harness for a built-in driver. Coverage goes to `map`, which the caller clears between runs.
    #[must_use]
    pub fn new(driver: BuiltIn, map: &'static mut CoverageMap) -> Harness {
        match driver {
            BuiltIn::Nvme => Harness::of_core::<Nvme>(driver.device(), map),
            BuiltIn::Puppet => Harness::with(Loaded::Puppet, driver.device().build(), map),
        }
    }

    /// A harness for a core of one's own, in front of a device.
    #[must_use]
    pub fn of_core<M: Miniport<HarnessPort>>(
        device: Model,
        map: &'static mut CoverageMap,
    ) -> Harness {
        let data = Box::new(initialization_data::<HarnessPort, M>());
        Harness::with(Loaded::Core(data), device.build(), map)
    }

    /// A harness for whatever can be fuzzed.
    ///
    /// # Errors
    ///
    /// See [`Prepared::read`] and [`Prepared::start`].
    pub fn open(target: &Target, map: &'static mut CoverageMap) -> Result<Harness, OpenError> {
        Prepared::read(target)?.start(map)
    }

    fn with(driver: Loaded, device: Box<dyn Device>, map: &'static mut CoverageMap) -> Harness {
        let mut silent = RuleSet::NONE;
        if !device.completes() {
            silent.insert(RuleId::RequestLost);
            silent.insert(RuleId::RunHang);
        }
        Harness {
            machine: Machine::new(Watch::new(map), device),
            driver,
            silent,
            scenario: Scenario::default(),
            script: Vec::with_capacity(STEPS_MAX),
        }
    }

    /// A harness with a coverage map of its own, for tests and replays.
    #[must_use]
    pub fn alone(driver: BuiltIn) -> Harness {
        Harness::new(driver, Box::leak(Box::default()))
    }

    /// Hashes the events of every run from now on.
    pub fn hash_events(&mut self, on: bool) {
        self.machine.sink().hash = on.then(EventHasher::default);
    }

    /// Records the events of every run from now on.
    pub fn record(&mut self, on: bool) {
        self.machine.sink().recorded = on.then(|| Vec::with_capacity(RECORDED));
    }

    /// Makes processors whose last run ended in the middle and others alike: [`Machine::renew_processors`].
    pub fn renew_processors(&mut self) {
        self.machine.renew_processors();
    }

    /// Observes every run from now on: [`Harness::points`]. Changes no run, but slows it down.
    pub fn observe(&mut self, on: bool) {
        self.machine.observe(on);
    }

    /// Puts a mistake into the driver's lock calls, in every run from now on; `None` takes it out.
    pub fn mutate(&mut self, mutation: Option<Mutation>) {
        self.machine.mutate(mutation);
    }

    /// How many lock calls of the last run were at the mistake's place: with none, it was the driver's own run.
    pub fn mutated_calls(&mut self) -> u32 {
        self.machine.mutated_calls()
    }

    /// How the driver's accesses to shared memory are watched in every run from now on. Where they are events, data races
    /// are looked for.
    pub fn watch_memory(&mut self, watch: MemoryWatch) {
        self.machine.watch_memory(watch);
        let races = &mut self.machine.sink().races;
        if watch.events != races.is_some() {
            *races = watch.events.then(Box::default);
        }
    }

    /// The decision points of the last run, if it was observed, each with the number of events before it.
    pub fn points(&mut self) -> Vec<(Point, u32)> {
        crate::explore::points(&self.machine.sink().marks)
    }

    /// Runs the scenario that the bytes say; any bytes say one.
    pub fn run_bytes(&mut self, bytes: &[u8]) -> Outcome {
        let mut scenario = std::mem::take(&mut self.scenario);
        codec::decode_into(bytes, &mut scenario);
        let outcome = self.run(&scenario);
        self.scenario = scenario;
        outcome
    }

    /// Runs a scenario.
    pub fn run(&mut self, scenario: &Scenario) -> Outcome {
        let watch = self.machine.sink();
        watch.reset();
        // What the scenario itself tells the driver to do is no finding.
        let mut asked_for = self.silent;
        if scenario.setup.half_duplex {
            asked_for.insert(RuleId::DuplexHalf);
        }
        watch.checker.mute(asked_for);
        self.script.clear();
        for step in &scenario.steps {
            if let Step::Script(call) = step {
                self.script.push(*call);
            }
        }
        let run = self.run_driver(scenario);
        let watch = self.machine.sink();
        Outcome {
            end: run.end,
            events: watch.events,
            hash: watch.hash.as_ref().map_or(0, Hasher::finish),
            virtual_ns: run.virtual_ns,
            decisions: run.decisions,
        }
    }

    fn run_driver(&mut self, scenario: &Scenario) -> Run {
        let script = Script::new(&self.script);
        let driver = match &mut self.driver {
            Loaded::Core(data) => Driver { data: **data, context: ptr::null_mut(), abi: Abi::Host },
            Loaded::Puppet => puppet(&scenario.setup, &script),
            #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
            Loaded::Compiled(driver) => return driver.run(&mut self.machine, scenario),
        };
        // SAFETY: the entry points are those of this crate's cores over this machine's port; the script
        // outlives the call.
        unsafe { self.machine.run(&driver, scenario) }
    }

    /// The scenario of the last [`Harness::run_bytes`].
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What the last run broke: warnings, and the error that ended it.
    pub fn findings(&mut self) -> &[Finding] {
        self.machine.sink().checker.findings()
    }

    /// The events of the last run, if they were recorded.
    pub fn events(&mut self) -> &[Event] {
        self.machine.sink().recorded.as_deref().unwrap_or_default()
    }

    /// Whether its driver is the puppet.
    pub(crate) const fn plays_scripts(&self) -> bool {
        matches!(self.driver, Loaded::Puppet)
    }

    /// All that is known of the last run.
    pub(crate) fn sight(&mut self) -> crate::explore::Sight<'_> {
        let watch = self.machine.sink();
        crate::explore::Sight {
            findings: watch.checker.findings(),
            events: watch.recorded.as_deref().unwrap_or_default(),
            marks: &watch.marks,
        }
    }

    /// The routine that nobody has modelled, after a run that ended with [`End::Unmodelled`].
    #[must_use]
    pub fn unmodelled(&self) -> &'static str {
        let name = match &self.driver {
            #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
            Loaded::Compiled(driver) => driver.last_unmodelled(),
            _ => None,
        };
        name.unwrap_or("a routine")
    }

    /// What the compiler's instrumentation of a compiled driver counts: for an engine, which clears it between runs.
    #[cfg(all(feature = "binary", target_arch = "x86_64", target_os = "linux"))]
    #[must_use]
    pub fn driver_counters(&self) -> Option<crate::binary::DriverCounters> {
        match &self.driver {
            Loaded::Compiled(driver) => driver.counters(),
            Loaded::Puppet | Loaded::Core(_) => None,
        }
    }

    /// The coverage map.
    pub fn coverage(&mut self) -> &mut CoverageMap {
        self.machine.sink().coverage.map()
    }
}

/// The puppet that a Setup asks for, with its script as HwContext.
fn puppet(setup: &Setup, script: &Script) -> Driver {
    type P = HarnessPort;
    let data = match (setup.virtual_miniport, setup.legacy_srb) {
        (false, false) => initialization_data::<P, Puppet<false, false>>(),
        (false, true) => initialization_data::<P, Puppet<false, true>>(),
        (true, false) => initialization_data::<P, Puppet<true, false>>(),
        (true, true) => initialization_data::<P, Puppet<true, true>>(),
    };
    Driver { data, context: (&raw const *script).cast_mut().cast(), abi: Abi::Host }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch(..)")
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Harness(..)")
    }
}
