use super::*;
use crate::harness::BuiltIn;
use crate::scenario::{codec, text};

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
    assert_eq!(found.0.schedule.len(), 1);
    harness.run(&found.0);
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
    for _ in 0..300 {
        let scenario = codec::decode(&inputs.bytes(700));
        assert_eq!(observed.run(&scenario), plain.run(&scenario));
    }
}

/// What the reductions leave out shows nothing new: the bugs within the bound are the same with and without them.
#[test]
fn equivalent_schedules_show_the_same_bugs() {
    let mut inputs = Inputs(11);
    let mut harness = harness();
    let (mut all, mut fewer) = (0, 0);
    for _ in 0..60 {
        let mut scenario = codec::decode(&inputs.bytes(180));
        scenario.setup.processors = 2 + scenario.setup.processors % 2;
        let mut bugs = |every_point| {
            let found = std::cell::RefCell::new(std::collections::BTreeSet::new());
            let note = |finding: &Finding| {
                found.borrow_mut().insert(finding.id());
                false
            };
            let bound = Bound { departures: 2, schedules: 3_000, every_point };
            let exploration = run(&mut harness, &scenario, bound, &note);
            let complete = matches!(exploration.outcome, Outcome::Complete);
            complete.then(|| (found.into_inner(), exploration.schedules))
        };
        let (Some(every), Some(reduced)) = (bugs(true), bugs(false)) else { continue };
        assert_eq!(every.0, reduced.0, "{}", text::write(&scenario));
        all += every.1;
        fewer += reduced.1;
    }
    assert!(fewer < all, "{fewer} of {all}");
}

/// Random bytes, the same everywhere.
struct Inputs(u64);

impl Inputs {
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
