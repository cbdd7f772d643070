//! One scenario against one driver: an [`Outcome`] and its findings.
//!
//! The harness ties the machine to what watches it: the rules, which may end a run, and the lock-state
//! coverage, which guides the fuzzer; on demand it records every event, or hashes them, so that two runs
//! can be compared. It is made once for a driver and reused; once warm, a run allocates nothing.

use std::hash::{Hash, Hasher};

use crate::coverage::{Coverage, CoverageMap};
use crate::device::bare::Bare;
use crate::device::nvme::Nvme as Controller;
use crate::event::{Event, Flow, Kind, Sink, Site};
use crate::machine::{Driver, End, Machine, Port};
use crate::miniport::nvme::Nvme;
use crate::miniport::puppet::{Call, Puppet, Script};
use crate::rules::{Checker, Finding, RuleId, RuleSet};
use crate::scenario::{STEPS_MAX, Scenario, Step, codec};
use crate::storport::entry::initialization_data;

/// A driver that comes with lockstorm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// The NVMe miniport, in front of a simulated controller.
    Nvme,
    /// The miniport that plays a scenario's script.
    Puppet,
}

impl BuiltIn {
    /// Every built-in driver.
    pub const ALL: [BuiltIn; 2] = [BuiltIn::Nvme, BuiltIn::Puppet];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BuiltIn::Nvme => "nvme",
            BuiltIn::Puppet => "puppet",
        }
    }

    /// What it is, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            BuiltIn::Nvme => "a real NVMe miniport core on a simulated controller: the main job",
            BuiltIn::Puppet => {
                "plays the lock calls that a scenario scripts: every mistake is possible"
            }
        }
    }

    /// The driver of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<BuiltIn> {
        BuiltIn::ALL.into_iter().find(|driver| driver.name() == name)
    }
}

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

/// What watches the machine.
struct Watch {
    checker: Checker,
    coverage: Coverage,
    events: u64,
    hash: Option<EventHasher>,
    recorded: Option<Vec<Event>>,
}

impl Watch {
    fn reset(&mut self) {
        self.checker.reset();
        self.coverage.reset();
        self.events = 0;
        if let Some(hash) = &mut self.hash {
            *hash = EventHasher::default();
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.clear();
        }
    }
}

impl Sink for Watch {
    #[inline(always)]
    fn record(&mut self, event: &Event) -> Flow {
        self.events += 1;
        self.coverage.record(event);
        if self.hash.is_some() | self.recorded.is_some() {
            self.keep(*event);
        }
        self.checker.record(event)
    }
}

impl Watch {
    #[cold]
    fn keep(&mut self, event: Event) {
        if let Some(hash) = &mut self.hash {
            hash.event(&event);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.push(event);
        }
    }
}

/// A driver on its machine, watched.
pub struct Harness {
    machine: Machine<Watch>,
    driver: BuiltIn,
    scenario: Scenario,
    script: Vec<Call>,
}

impl Harness {
    /// A harness for `driver`. Coverage goes to `map`, which the caller clears between runs.
    #[must_use]
    pub fn new(driver: BuiltIn, map: &'static mut CoverageMap) -> Harness {
        let watch = Watch {
            checker: Checker::new(),
            coverage: Coverage::new(map),
            events: 0,
            hash: None,
            recorded: None,
        };
        let machine = match driver {
            BuiltIn::Nvme => Machine::new(watch, Box::new(Controller::new())),
            BuiltIn::Puppet => Machine::new(watch, Box::new(Bare::new())),
        };
        Harness {
            machine,
            driver,
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
        self.machine.sink().recorded = on.then(Vec::new);
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
        let mut asked_for = RuleSet::NONE;
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
        let script = Script::new(&self.script);
        let driver = self.driver_for(scenario, &script);
        // SAFETY: the entry points are those of this crate's cores over this machine's port; the script
        // outlives the call.
        let run = unsafe { self.machine.run(&driver, scenario) };
        let watch = self.machine.sink();
        Outcome {
            end: run.end,
            events: watch.events,
            hash: watch.hash.as_ref().map_or(0, Hasher::finish),
            virtual_ns: run.virtual_ns,
            decisions: run.decisions,
        }
    }

    fn driver_for(&self, scenario: &Scenario, script: &Script) -> Driver {
        type P = Port<Watch>;
        let setup = &scenario.setup;
        let data = match (self.driver, setup.virtual_miniport, setup.legacy_srb) {
            (BuiltIn::Nvme, ..) => initialization_data::<P, Nvme>(),
            (_, false, false) => initialization_data::<P, Puppet<false, false>>(),
            (_, false, true) => initialization_data::<P, Puppet<false, true>>(),
            (_, true, false) => initialization_data::<P, Puppet<true, false>>(),
            (_, true, true) => initialization_data::<P, Puppet<true, true>>(),
        };
        Driver { data, context: (&raw const *script).cast_mut().cast() }
    }

    /// The driver.
    #[must_use]
    pub fn driver(&self) -> BuiltIn {
        self.driver
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

    /// The coverage map.
    pub fn coverage(&mut self) -> &mut CoverageMap {
        self.machine.sink().coverage.map()
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("driver", &self.driver).finish_non_exhaustive()
    }
}

/// A hash that is the same on every host and in every build: FNV-1a over 64-bit words.
#[derive(Clone, Copy, Debug)]
pub struct EventHasher(u64);

impl Default for EventHasher {
    fn default() -> Self {
        EventHasher(0xCBF2_9CE4_8422_2325)
    }
}

impl EventHasher {
    /// Takes one event. A source location counts by its line and column, which builds agree on.
    pub fn event(&mut self, event: &Event) {
        self.write_u64(event.time);
        self.write_u64(
            u64::from(event.processor) << 16
                | u64::from(event.irql.0) << 8
                | u64::from(event.depth),
        );
        match event.site {
            Site::Port => self.write_u64(0),
            Site::Source(at) => self.write_u64(u64::from(at.line()) << 16 | u64::from(at.column())),
            Site::Image(offset) => self.write_u64(1 << 63 | offset),
        }
        Kind::hash(&event.kind, self);
    }
}

impl Hasher for EventHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}
