//! Twelve mistakes, and what fuzzers would leave behind of them.

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::Severity;
use lockstorm::scenario::step::{Answer, Io, IoKind};
use lockstorm::scenario::{At, Decision, Scenario, Step, text};

/// The mistakes, each the script of a driver that makes it.
pub(crate) const MISTAKES: [(&str, &str); 12] = [
    ("lock.cycle", include_str!("../../examples/scenarios/lock-cycle-broken.ron")),
    ("run.deadlock", include_str!("../../examples/scenarios/run-deadlock-broken.ron")),
    (
        "interrupt.self_deadlock",
        include_str!("../../examples/scenarios/interrupt-self-deadlock-broken.ron"),
    ),
    ("dpc.self_deadlock", include_str!("../../examples/scenarios/dpc-self-deadlock-broken.ron")),
    ("lock.order", include_str!("../../examples/scenarios/lock-order-broken.ron")),
    ("lock.recursive", include_str!("../../examples/scenarios/lock-recursive-broken.ron")),
    (
        "lock.held_at_return",
        include_str!("../../examples/scenarios/lock-held-at-return-broken.ron"),
    ),
    (
        "lock.release_unheld",
        include_str!("../../examples/scenarios/lock-release-unheld-broken.ron"),
    ),
    ("lock.port_held", include_str!("../../examples/scenarios/lock-port-held-broken.ron")),
    ("irql.restore", include_str!("../../examples/scenarios/irql-restore-broken.ron")),
    (
        "request.completed_twice",
        include_str!("../../examples/scenarios/request-completed-twice-broken.ron"),
    ),
    ("lock.old_irql", include_str!("../../examples/scenarios/lock-old-irql-broken.ron")),
];

/// The scenario that comes with mistake number `mistake`.
pub(crate) fn plain(mistake: usize) -> Scenario {
    text::read(MISTAKES[mistake].1.as_bytes()).expect("an example")
}

/// Makes artifacts of the mistakes.
pub(crate) struct Fuzzer {
    harness: Harness,
    random: u64,
}

impl Fuzzer {
    pub(crate) fn new(seed: u64) -> Fuzzer {
        Fuzzer { harness: Harness::alone(BuiltIn::Puppet), random: seed }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 20) % bound
    }

    /// A scenario that breaks some rule, whichever: mistake number `mistake` on another machine, under other requests,
    /// on a random schedule.
    pub(crate) fn artifact(&mut self, mistake: usize) -> Scenario {
        loop {
            let mut scenario = plain(mistake);
            self.disturb(&mut scenario);
            scenario.repair();
            self.harness.run(&scenario);
            let findings = self.harness.findings();
            if findings.iter().any(|finding| finding.severity == Severity::Error) {
                return scenario;
            }
        }
    }

    fn disturb(&mut self, scenario: &mut Scenario) {
        scenario.setup.processors = 1 + self.below(4) as u8;
        scenario.setup.messages = scenario.setup.messages.max(1 + self.below(8) as u8);
        scenario.setup.request_slots = 4 + self.below(28) as u8;
        scenario.setup.device.latency = self.below(8) as u8;
        for _ in 0..self.below(12) {
            let step = self.step();
            let place = self.below(scenario.steps.len() as u64 + 1) as usize;
            scenario.steps.insert(place, step);
        }
        if self.below(4) > 0 {
            let departures = self.below(40);
            scenario.schedule.clear();
            for _ in 0..departures {
                let (after, choice) = (self.below(24) as u8, self.below(8) as u8);
                scenario.schedule.push(Decision { after, choice });
            }
        }
    }

    fn step(&mut self) -> Step {
        let at = At { processor: self.below(4) as u8, gap: self.below(6) as u8 };
        let kinds = [IoKind::Read, IoKind::Write, IoKind::Flush];
        let io = Io {
            kind: kinds[self.below(3) as usize],
            block: self.below(200) as u8,
            blocks: 1 + self.below(8) as u8,
            offset: self.below(8) as u8,
            answer: Answer::default(),
        };
        match self.below(6) {
            0 => Step::Interrupt(at, self.below(8) as u8),
            1 => Step::Wait(at),
            _ => Step::Io(at, io),
        }
    }
}
