use super::*;
use crate::device::model::Model;
use crate::harness::{BuiltIn, Harness};
use crate::rules::Severity;
use crate::scenario::{At, Io, STEPS_MAX, Step, text};

fn lot(schedules: u64) -> Lot {
    Lot { policy: None, seed: 1, schedules }
}

fn is_error(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}

fn scenario(name: &str) -> Scenario {
    let path = format!("{}/examples/scenarios/{name}.ron", env!("CARGO_MANIFEST_DIR"));
    let scenario = text::read(&std::fs::read(path).expect("the example"));
    scenario.expect("a scenario")
}

fn drawn(name: &str, lot: Lot) -> Exploration {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    draw(&mut harness, &scenario(name), lot, &is_error, &mut |_| ())
}

#[test]
fn a_deadlock_is_drawn_and_replayed() {
    let exploration = drawn("run-deadlock-broken", lot(1_000));
    let Outcome::Found(found) = exploration.outcome else { panic!("{:?}", exploration.outcome) };
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.run(&found.scenario);
    assert_eq!(harness.findings().iter().find(|finding| is_error(finding)), Some(&found.finding));
}

#[test]
fn nobody_watches_any_more_after_a_mistake_that_the_calm_course_shows() {
    let mut harness = Harness::alone(BuiltIn::Puppet);
    let scenario = scenario("lock-cycle-broken");
    let exploration = draw(&mut harness, &scenario, lot(10), &is_error, &mut |_| ());
    assert_eq!(exploration.schedules, 1);
    let sight = Subject::observe(&mut harness, &scenario);
    assert!(sight.events.is_empty() && sight.points().is_empty());
}

#[test]
fn the_legal_twin_stays_silent() {
    let exploration = drawn("run-deadlock-legal", lot(1_000));
    assert!(matches!(exploration.outcome, Outcome::Spent), "{:?}", exploration.outcome);
    assert_eq!(exploration.schedules, 1_000);
}

#[test]
fn the_same_seed_draws_the_same_schedules_and_another_one_others() {
    let schedules = |seed| {
        let mut draws = Draws::new(Lot { seed, ..lot(0) });
        let mut harness = Harness::alone(BuiltIn::Puppet);
        let mut scenario = scenario("run-deadlock-legal");
        harness.watch(true);
        draws.course = Course::new(&Subject::observe(&mut harness, &scenario));
        let mut next = || {
            draws.next(&mut scenario);
            (scenario.schedule.clone(), scenario.policy)
        };
        (0..100).map(|_| next()).collect::<Vec<_>>()
    };
    assert_eq!(schedules(1), schedules(1));
    assert_ne!(schedules(1), schedules(2));
}

#[test]
fn one_policy_only_is_drawn_when_told() {
    for policy in PolicyKind::ALL {
        let mut draws = Draws::new(Lot { policy: Some(policy), ..lot(0) });
        let mut scenario = Scenario::default();
        for _ in 0..50 {
            draws.next(&mut scenario);
            assert_eq!(scenario.policy.kind(), policy);
        }
    }
}

/// Where each processor takes locks again that others take, too, in a scenario of the puppet's.
fn returns(sections: usize) -> Vec<usize> {
    let section =
        "Script(routine: BuildIo, op: KeAcquire), Script(routine: BuildIo, op: KeRelease),";
    let steps = section.repeat(sections) + "Read(), Read(processor: 1)";
    let scenario = format!("(version: 1, setup: (processors: 2), steps: [{steps}])");
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.watch(true);
    let scenario = text::read(scenario.as_bytes()).expect("a scenario");
    Course::new(&Subject::observe(&mut harness, &scenario)).returns()
}

#[test]
fn where_a_processor_comes_back_to_a_lock_is_known() {
    assert_eq!(returns(1)[..2], [0, 0]);
    assert_eq!(returns(2)[..2], [1, 1]);
}

#[test]
fn schedules_longer_than_a_decision_reaches_can_be_drawn() {
    let mut harness =
        Harness::of_core::<crate::miniport::nvme::Nvme>(Model::Nvme, Box::leak(Box::default()));
    let mut scenario = scenario("nvme-first-light");
    scenario.steps = vec![Step::Io(At { processor: 1, gap: 8 }, Io::default()); STEPS_MAX];
    harness.watch(true);
    let course = Course::new(&Subject::observe(&mut harness, &scenario));
    harness.watch(false);
    let mut draws = Draws::new(lot(0));
    draws.course = course;
    let mut drawn = scenario.clone();
    let mut farthest = 0;
    for _ in 0..200 {
        draws.next(&mut drawn);
        let places = drawn.schedule.iter().map(|decision| u32::from(decision.after) + 1);
        farthest = farthest.max(places.sum::<u32>());
        assert!(drawn.schedule.len() <= DECISIONS_MAX);
    }
    assert!(farthest > 256, "{farthest}");
}
