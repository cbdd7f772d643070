//! Mistakes that are put into lock calls: each operator does to a call what it says and nothing to others, and is seen
//! by the rule that is there for it.

use lockstorm::event::{Event, Kind, Lock, Routine};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::mutation::{LockKind, Mutation, Operator, Other, Place};
use lockstorm::mutants::plan::plan;
use lockstorm::mutants::survey::Survey;
use lockstorm::rules::RuleId;
use lockstorm::scenario::{AdapterAction, At, Scenario, Step, text};
use lockstorm::storport::Irql;

/// Two locks in a DPC, nested, with a call inside each and a completion behind them, twice.
const NESTED: &str = "(
    version: 1,
    setup: (processors: 1),
    steps: [
        Script(routine: StartIo, op: Keep),
        Script(routine: StartIo, op: IssueDpc),
        Script(routine: Dpc, op: Acquire, lock: StartIo),
        Script(routine: Dpc, op: CancelDpc),
        Script(routine: Dpc, op: Acquire, lock: Interrupt, slot: 1),
        Script(routine: Dpc, op: CancelDpc),
        Script(routine: Dpc, op: Release, slot: 1),
        Script(routine: Dpc, op: Release),
        Script(routine: Dpc, op: CompleteOldest),
        Script(routine: Dpc, op: CancelDpc),
        Read(),
        Read(gap: 12),
    ],
)";

/// What the driver does about locks and in between, as a word each: `+S -S +I -I call done ret`.
fn words(events: &[Event]) -> Vec<String> {
    let name = |lock: &Lock| format!("{lock:?}").chars().next().unwrap_or('?');
    let mut inside = false;
    let mut words = Vec::new();
    for event in events {
        let ours = event.site != lockstorm::event::Site::Port;
        match &event.kind {
            Kind::Entered { routine: Routine::Dpc, .. } => inside = true,
            Kind::Left { routine: Routine::Dpc, .. } => {
                words.push("ret".to_owned());
                inside = false;
            }
            Kind::LockAcquired { lock, .. } if ours => words.push(format!("+{}", name(lock))),
            Kind::LockReleased { lock, .. } if ours => words.push(format!("-{}", name(lock))),
            Kind::DpcCancelled { .. } if inside => words.push("call".to_owned()),
            Kind::RequestCompleted { .. } if inside => words.push("done".to_owned()),
            _ => {}
        }
    }
    words
}

struct Bench {
    harness: Harness,
    scenario: Scenario,
    survey: Survey,
}

impl Bench {
    fn new(scenario: Scenario) -> Bench {
        let mut harness = Harness::alone(BuiltIn::Puppet);
        harness.record(true);
        harness.hash_events(true);
        harness.run(&scenario);
        assert!(harness.findings().is_empty(), "{:?}", harness.findings());
        let mut survey = Survey::default();
        survey.add(harness.events(), 0);
        Bench { harness, scenario, survey }
    }

    fn nested() -> Bench {
        Bench::new(text::read(NESTED.as_bytes()).expect("a scenario"))
    }

    fn place(&self, lock: LockKind, operator: Operator) -> Place {
        let acquires = self.survey.acquires.iter().map(|acquires| &acquires.place);
        let releases = self.survey.releases.iter().map(|releases| &releases.place);
        let mut places: Box<dyn Iterator<Item = &Place>> =
            if operator.is_of_release() { Box::new(releases) } else { Box::new(acquires) };
        places.find(|place| place.lock == lock).expect("a place").clone()
    }

    /// Runs the mutant: what its first request's DPC does, and the rules that it breaks.
    fn mutant(&mut self, lock: LockKind, operator: Operator) -> (String, Vec<RuleId>) {
        let mutation = Mutation { place: self.place(lock, operator), operator };
        self.harness.mutate(Some(mutation));
        self.harness.run(&self.scenario);
        self.harness.mutate(None);
        let words = words(self.harness.events());
        let rules = self.harness.findings().iter().map(|finding| finding.rule).collect();
        let end = words.iter().position(|word| word == "ret").map_or(words.len(), |at| at + 1);
        (words[..end].join(" "), rules)
    }
}

/// Mutates the lock in [`NESTED`]: what is done then, and the rule that says so, if any.
fn does(lock: LockKind, operator: Operator, expected: &str, rule: Option<RuleId>) {
    let (words, rules) = Bench::nested().mutant(lock, operator);
    assert_eq!(words, expected, "{lock} {operator}: {rules:?}");
    match rule {
        Some(rule) => assert!(rules.contains(&rule), "{lock} {operator}: {rules:?}"),
        None => assert!(rules.is_empty(), "{lock} {operator}: {rules:?}"),
    }
}

use LockKind::{Interrupt, StartIo};

#[test]
fn without_a_mutation_nothing_changes() {
    let mut bench = Bench::nested();
    assert_eq!(words(bench.harness.events())[..9].join(" "), "+S call +I call -I -S done call ret");
    let hash = bench.harness.run(&bench.scenario).hash;
    bench.mutant(StartIo, Operator::DropRelease);
    assert_eq!(bench.harness.run(&bench.scenario).hash, hash, "it is taken out again");
    // One that never comes to pass: another callback, and an execution that there is not.
    for operator in [Operator::Skip(Routine::Timer), Operator::DropReleaseOnce(100)] {
        let mutation = Mutation { place: bench.place(StartIo, operator), operator };
        bench.harness.mutate(Some(mutation));
        assert_eq!(bench.harness.run(&bench.scenario).hash, hash, "{operator}");
    }
}

#[test]
fn an_acquire_is_dropped() {
    let rule = Some(RuleId::LockReleaseUnheld);
    does(Interrupt, Operator::DropAcquire, "+S call call", rule);
}

#[test]
fn a_release_is_dropped() {
    let rule = Some(RuleId::LockHeldAtReturn);
    does(StartIo, Operator::DropRelease, "+S call +I call -I done call ret", rule);
    does(StartIo, Operator::DropReleaseOnce(1), "+S call +I call -I done call ret", rule);
}

#[test]
fn a_release_is_dropped_at_the_second_execution_only() {
    let (words, rules) = Bench::nested().mutant(StartIo, Operator::DropReleaseOnce(2));
    assert_eq!(words, "+S call +I call -I -S done call ret");
    assert_eq!(rules, [RuleId::LockHeldAtReturn]);
}

#[test]
fn a_lock_is_skipped_in_one_callback() {
    does(StartIo, Operator::Skip(Routine::Dpc), "call +I call -I done call ret", None);
    does(StartIo, Operator::Skip(Routine::StartIo), "+S call +I call -I -S done call ret", None);
}

#[test]
fn a_release_comes_early() {
    does(Interrupt, Operator::ReleaseEarly(1), "+S call +I -I call -S done call ret", None);
    does(Interrupt, Operator::ReleaseEarly(0), "+S call +I -I call -S done call ret", None);
    // Before its fourth call: the first is inside, then the lock of the inner section is taken, used, given back.
    does(StartIo, Operator::ReleaseEarly(4), "+S call +I call -S", Some(RuleId::IrqlBelowLock));
    // Fewer calls than that: as it should be.
    does(StartIo, Operator::ReleaseEarly(9), "+S call +I call -I -S done call ret", None);
}

#[test]
fn an_acquire_comes_late() {
    does(StartIo, Operator::AcquireLate, "call +S +I call -I -S done call ret", None);
    does(Interrupt, Operator::AcquireLate, "+S call call +I -I -S done call ret", None);
}

#[test]
fn nested_acquires_are_swapped() {
    let rule = Some(RuleId::LockOrder);
    does(StartIo, Operator::Swap, "call +I +S", rule);
}

#[test]
fn another_lock_is_acquired() {
    let dpc = Operator::AcquireOther(Other::Dpc);
    does(StartIo, dpc, "+D call +I call -I -D done call ret", None);
    let interrupt = Operator::AcquireOther(Other::Interrupt);
    does(StartIo, interrupt, "+I call", Some(RuleId::LockRecursive));
}

#[test]
fn a_release_has_another_irql_or_handle() {
    let rule = Some(RuleId::LockOldIrql);
    does(StartIo, Operator::WrongOldIrql, "+S call +I call -I -S", rule);
    let rule = Some(RuleId::LockHandleCopied);
    does(StartIo, Operator::WrongHandle, "+S call +I call -I -S", rule);
}

#[test]
fn a_lock_is_acquired_above_its_level_or_twice() {
    does(StartIo, Operator::AboveLevel, "+S", Some(RuleId::IrqlLockLevel));
    does(Interrupt, Operator::DoubleAcquire, "+S call +I", Some(RuleId::LockRecursive));
}

#[test]
fn a_lock_is_held_too_long() {
    let rule = Some(RuleId::LockHeldAtReturn);
    does(StartIo, Operator::HoldAcrossReturn, "+S call +I call -I done call ret", rule);
    let across = Operator::HoldAcrossCompletion;
    does(StartIo, across, "+S call +I call -I done -S call ret", None);
}

#[test]
fn a_lock_is_acquired_without_raising_the_irql() {
    let mut scenario = text::read(
        b"(version: 1, steps: [
            Script(routine: TracingEnabled, op: Acquire, lock: Dpc),
            Script(routine: TracingEnabled, op: Release),
        ])",
    )
    .expect("a scenario");
    scenario.steps.push(Step::Adapter(At::default(), AdapterAction::TracingEnabled));
    let mut bench = Bench::new(scenario);
    let acquired_at = |bench: &mut Bench| {
        bench.harness.events().iter().find_map(|event| match event.kind {
            Kind::LockAcquired { lock: Lock::Dpc(_), irql, .. } => Some(irql),
            _ => None,
        })
    };
    assert_eq!(acquired_at(&mut bench), Some(Irql::DISPATCH));
    bench.mutant(LockKind::Dpc, Operator::WithoutRaise);
    assert_eq!(acquired_at(&mut bench), Some(Irql::PASSIVE));
}

#[test]
fn a_plan_has_every_operator_that_applies_and_says_why_one_is_no_mistake() {
    let survey = Bench::nested().survey;
    let mutants = plan(&survey);
    let of = |lock| -> Vec<Operator> {
        let here = mutants.iter().filter(|mutant| mutant.mutation.place.lock == lock);
        here.map(|mutant| mutant.mutation.operator).collect()
    };
    let (outer, inner) = (of(StartIo), of(Interrupt));
    assert!(outer.contains(&Operator::Swap) && !inner.contains(&Operator::Swap));
    assert!(
        outer.contains(&Operator::ReleaseEarly(4)) && inner.contains(&Operator::ReleaseEarly(1))
    );
    assert!(outer.contains(&Operator::DropReleaseOnce(2)));
    assert!(outer.contains(&Operator::HoldAcrossCompletion));
    assert!(!outer.contains(&Operator::WithoutRaise), "StartIo has no such form");
    assert!(mutants.iter().all(|mutant| mutant.equivalent.is_none()));
    let mut names: Vec<_> = mutants.iter().map(|mutant| &mutant.id).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), mutants.len(), "every mutant has its own name");
}

#[test]
fn executive_locks_are_mutated_too() {
    let scenario = text::read(
        b"(version: 1, setup: (processors: 1), steps: [
            Script(routine: StartIo, op: KeAcquire),
            Script(routine: StartIo, op: KeRelease),
            Script(routine: StartIo, op: KeAcquireQueued, slot: 1, argument: 1),
            Script(routine: StartIo, op: KeReleaseQueued, slot: 1),
            Read(),
        ])",
    )
    .expect("a scenario");
    let mut bench = Bench::new(scenario);
    let executive: Vec<Mutation> = plan(&bench.survey)
        .into_iter()
        .map(|mutant| mutant.mutation)
        .filter(|mutation| mutation.place.lock == LockKind::Executive)
        .collect();
    // Each of the two forms, by each operator that applies to it.
    assert!(executive.len() > 12, "{executive:?}");
    for mutation in executive {
        let operator = mutation.operator;
        bench.harness.mutate(Some(mutation));
        bench.harness.run(&bench.scenario);
        let broke = !bench.harness.findings().is_empty();
        let silent = matches!(
            operator,
            Operator::Skip(_)
                | Operator::ReleaseEarly(_)
                | Operator::AcquireLate
                | Operator::AcquireOther(_)
                | Operator::WithoutRaise
        );
        // One processor and nothing to guard: moving a lock harms nobody, unbalancing it does.
        assert!(broke || silent, "{operator}");
    }
}
