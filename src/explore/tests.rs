use std::collections::BTreeSet;

use super::*;
use crate::harness::BuiltIn;
use crate::scenario::{codec, text};

const NVME_FIRST_LIGHT: &str = include_str!("../../examples/scenarios/nvme-first-light.ron");
const NVME_MESSAGES: &str = include_str!("../../examples/scenarios/nvme-few-messages.ron");
const TWO_LOCKS: &str = include_str!("../../examples/scenarios/run-deadlock-broken.ron");

fn bound(departures: usize, every_point: bool) -> Bound {
    Bound { departures, schedules: u64::MAX, every_point }
}

fn harness() -> Harness {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    prepare(&mut harness, true);
    harness
}

fn run(
    harness: &mut Harness,
    scenario: &Scenario,
    bound: Bound,
    wanted: &dyn Fn(&Finding) -> bool,
) -> Exploration {
    explore(harness, scenario, bound, wanted, &mut |_| {})
}

#[test]
fn the_violation_with_the_fewest_departures_is_found() {
    let scenario = text::read(TWO_LOCKS.as_bytes()).unwrap();
    let deadlock = |finding: &Finding| finding.rule.rule().id == "run.deadlock";
    let mut harness = harness();
    let none = run(&mut harness, &scenario, bound(0, false), &deadlock);
    assert!(matches!(none.outcome, Outcome::Complete) && none.schedules == 1);
    let found = run(&mut harness, &scenario, bound(2, false), &deadlock);
    let Outcome::Found(found) = found.outcome else { panic!("{found:?}") };
    assert_eq!(found.scenario.schedule.len(), 1);
    harness.run(&found.scenario);
    assert!(harness.findings().iter().any(deadlock));
}

#[test]
fn observing_a_run_does_not_change_it() {
    let mut inputs = Inputs(7);
    let mut observed = harness();
    let mut plain = Harness::alone(BuiltIn::Puppet);
    for harness in [&mut observed, &mut plain] {
        harness.hash_events(true);
    }
    for _ in 0..40 {
        let scenario = codec::decode(&inputs.bytes(700));
        assert_eq!(observed.run(&scenario), plain.run(&scenario));
    }
}

/// What an exploration of every schedule shows: the bugs, and a number for each class of equivalent schedules.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shown {
    bugs: BTreeSet<(u64, String, u8)>,
    classes: BTreeSet<u64>,
}

/// A harness that notes what its runs show.
struct Noted<'a> {
    harness: &'a mut Harness,
    model: Model,
    shown: Shown,
}

impl<'a> Noted<'a> {
    fn new(harness: &'a mut Harness, scenario: &Scenario) -> Noted<'a> {
        let model = Model::new(Subject::memory(harness, scenario));
        Noted { harness, model, shown: Shown::default() }
    }
}

impl Subject for Noted<'_> {
    fn observe(&mut self, scenario: &Scenario) -> Sight<'_> {
        let processors = scenario.setup.processors;
        let sight = Subject::observe(self.harness, scenario);
        let class = self.model.learn(sight, &scenario.schedule, processors);
        self.shown.classes.insert(class);
        for finding in sight.findings {
            let locks = format!("{:?}", finding.locks);
            self.shown.bugs.insert((finding.id(), locks, finding.processor));
        }
        sight
    }

    fn memory(&self, scenario: &Scenario) -> Memory {
        Subject::memory(self.harness, scenario)
    }
}

/// Explorations that were compared.
#[derive(Debug, Default)]
struct Compared {
    scenarios: usize,
    /// Of these, the ones that show several bugs.
    varied: usize,
    /// Schedules within the bound.
    every: u64,
    classes: u64,
    /// Schedules that were run instead.
    run: u64,
}

impl Compared {
    /// The reduced exploration shows what the runs of every schedule show, and runs every class of equivalent schedules
    /// that they do. Nothing is compared if there are too many.
    fn compare(&mut self, harness: &mut Harness, scenario: &Scenario, departures: usize) {
        let mut shown = |every_point| {
            let mut noted = Noted::new(harness, scenario);
            let bound = Bound { departures, schedules: 20_000, every_point };
            let end = explore(&mut noted, scenario, bound, &|_| false, &mut |_| {});
            assert_eq!(noted.model.surprises, 0, "{}", text::write(scenario));
            assert_ne!(end.reduction, Reduction::Surprised, "{}", text::write(scenario));
            let complete = matches!(end.outcome, Outcome::Complete);
            complete.then_some((noted.shown, end.schedules))
        };
        let (Some(every), Some(reduced)) = (shown(true), shown(false)) else { return };
        assert_eq!(every.0, reduced.0, "{}", text::write(scenario));
        self.scenarios += 1;
        self.varied += usize::from(every.0.bugs.len() > 1);
        self.every += every.1;
        self.classes += every.0.classes.len() as u64;
        self.run += reduced.1;
    }

    fn lock_programs(&mut self, seed: u64, departures: usize, processors: u8, count: usize) {
        let (mut inputs, mut harness) = (Inputs(seed), harness());
        for _ in 0..count {
            self.compare(&mut harness, &inputs.lock_program(processors), departures);
        }
        println!("{self:?}");
        assert!(2 * self.scenarios > count && self.varied > 0 && self.run < self.every, "{self:?}");
        assert!(self.run <= self.classes + self.classes / 50, "{self:?}");
    }
}

#[test]
fn each_class_of_schedules_of_two_processors_is_run_once() {
    Compared::default().lock_programs(11, 3, 2, 20);
}

#[test]
fn each_class_of_schedules_of_three_processors_is_run_once() {
    Compared::default().lock_programs(13, 2, 3, 8);
}

/// With interrupts, a device, timers and whatever else there is.
#[test]
fn schedules_of_the_nvme_core_that_come_to_the_same_are_told() {
    let mut compared = Compared::default();
    let mut harness = Harness::alone(BuiltIn::Nvme);
    prepare(&mut harness, true);
    for line in [NVME_FIRST_LIGHT, NVME_MESSAGES] {
        compared.compare(&mut harness, &text::read(line.as_bytes()).unwrap(), 1);
    }
    println!("{compared:?}");
    assert!(compared.scenarios == 2 && compared.run <= compared.classes, "{compared:?}");
}

#[test]
fn it_is_said_that_a_reduction_was_given_up_and_why() {
    let puppet = text::read(TWO_LOCKS.as_bytes()).unwrap();
    let nobody = |_: &Finding| false;
    let reduction = |end: Exploration| end.reduction;
    assert_eq!(
        reduction(run(&mut harness(), &puppet, bound(1, true), &nobody)),
        Reduction::Unasked
    );
    assert_eq!(reduction(run(&mut harness(), &puppet, bound(1, false), &nobody)), Reduction::Held);
    // In front of a busy device nearly every step depends on every other.
    let nvme = text::read(NVME_FIRST_LIGHT.as_bytes()).unwrap();
    let mut harness = Harness::alone(BuiltIn::Nvme);
    prepare(&mut harness, true);
    let bound = Bound { schedules: 3_000, ..bound(2, false) };
    assert_eq!(reduction(run(&mut harness, &nvme, bound, &nobody)), Reduction::Barren);
}

#[test]
fn schedules_of_any_scenario_that_come_to_the_same_are_told() {
    let (mut inputs, mut harness, mut compared) = (Inputs(5), harness(), Compared::default());
    for _ in 0..40 {
        compared.compare(&mut harness, &codec::decode(&inputs.bytes(700)), 2);
    }
    println!("{compared:?}");
    assert!(compared.scenarios > 30 && compared.run <= compared.classes, "{compared:?}");
}

/// Random bytes, the same everywhere.
struct Inputs(u64);

impl Inputs {
    /// A program of lock calls in several callbacks, with requests on every processor that run them.
    fn lock_program(&mut self, processors: u8) -> Scenario {
        use crate::event::Routine;
        use crate::miniport::puppet::{Call, LockName, Op, When};
        use crate::scenario::{At, Io, Step};
        let mut scenario = Scenario::default();
        scenario.setup.processors = processors;
        let routines = [Routine::BuildIo, Routine::StartIo, Routine::Dpc];
        for routine in routines {
            for when in [When::First, When::Second, When::Third] {
                let mut held = Vec::new();
                for slot in 0..1 + self.below(3) as u8 {
                    let lock = [LockName::Dpc, LockName::StartIo][self.below(2)];
                    let argument = self.below(2) as u8;
                    let acquire = match self.below(4) {
                        0 => Call { lock, ..Call::new(routine, Op::Acquire) },
                        _ => Call::new(routine, Op::KeAcquire),
                    };
                    let acquire = Call { when, slot, argument, ..acquire }.canonical();
                    scenario.steps.push(Step::Script(acquire));
                    held.push(acquire);
                    if self.below(3) == 0 {
                        self.release(&mut held, &mut scenario);
                    }
                }
                while !held.is_empty() {
                    self.release(&mut held, &mut scenario);
                }
            }
        }
        let issue = Call::new(Routine::StartIo, Op::IssueDpc).argument(self.below(2) as u8);
        scenario.steps.push(Step::Script(issue));
        for processor in 0..processors {
            scenario.steps.push(Step::Io(At { processor, gap: 0 }, Io::default()));
        }
        scenario.repair();
        scenario
    }

    fn release(&mut self, held: &mut Vec<crate::miniport::puppet::Call>, scenario: &mut Scenario) {
        let Some(acquire) = held.pop() else { return };
        // Now and then one is forgotten.
        if let (Some(op), true) = (acquire.op.undone_by(), self.below(12) > 0) {
            let release = crate::miniport::puppet::Call { op, ..acquire }.canonical();
            scenario.steps.push(crate::scenario::Step::Script(release));
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 24) as usize % bound
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 >> 24
        };
        let length = codec::HEADER_BYTES + next() as usize % most;
        (0..length).map(|_| next() as u8).collect()
    }
}
