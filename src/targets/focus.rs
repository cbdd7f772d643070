//! Scenarios narrowed to one subject: an engine that is given a part of the space sees more of it.
//!
//! A step that the subject has no use for becomes one that it has, at the same time and on the same processor, so
//! that every input is good for something. Narrowing twice is narrowing once: a corpus of narrowed
//! scenarios stays what it is.

use crate::scenario::{
    AdapterAction, At, Failures, Manner, Query, Scenario, Setup, Step, UnitAction,
};

/// What is left of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// All of it.
    Everything,
    /// I/O and interrupts, more of them than the driver asked for, on an adapter that comes up.
    Interrupts,
    /// Resets, controls, failures, and I/O that they come in between.
    Lifecycle,
}

/// With a device that sends none, every so many commands bring an interrupt with nothing behind it.
const SPURIOUS_EVERY: u8 = 2;

impl Focus {
    /// Narrows a scenario.
    pub fn apply(self, scenario: &mut Scenario) {
        match self {
            Focus::Everything => {}
            Focus::Interrupts => {
                comes_up(&mut scenario.setup);
                scenario.steps.iter_mut().for_each(interrupting);
            }
            Focus::Lifecycle => scenario.steps.iter_mut().for_each(living),
        }
    }
}

fn comes_up(setup: &mut Setup) {
    setup.dump = false;
    // Optional features may be refused: drivers then take other paths through their interrupts.
    setup.failures = Failures { perf_opts: setup.failures.perf_opts, ..Failures::default() };
    let device = &mut setup.device;
    let spurious_every = match device.spurious_every {
        0 => SPURIOUS_EVERY,
        every => every,
    };
    *device = Manner {
        spurious_every,
        never_ready: false,
        garbage_identify: false,
        queue_creation_fails: 0,
        ..*device
    };
}

fn interrupting(step: &mut Step) {
    let (at, message) = match *step {
        Step::Io(..) | Step::Interrupt(..) | Step::Wait(_) => return,
        Step::Query(at, query) => (at, query as u8),
        Step::Reset(at, tier) => (at, tier as u8),
        Step::Adapter(at, action) => (at, action as u8),
        Step::Unit(at, action) => (at, action as u8),
        Step::FailAllocation(at, nth) => (at, nth),
        Step::Script(call) => (At::default(), call.argument),
    };
    *step = Step::Interrupt(at, message % 64);
}

fn living(step: &mut Step) {
    *step = match *step {
        Step::Query(at, Query::FunctionShutdown) => Step::Adapter(at, AdapterAction::PowerCycle),
        Step::Query(at, query) => Step::Unit(at, choose(&UnitAction::ALL, query as u8)),
        Step::Interrupt(at, message) => Step::Adapter(at, choose(&AdapterAction::ALL, message)),
        Step::Script(_) => Step::Wait(At::default()),
        step => step,
    };
}

fn choose<T: Copy>(all: &[T], number: u8) -> T {
    all[usize::from(number) % all.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::StepKind;
    use crate::scenario::codec;

    /// Scenarios with every kind of step: of random bytes.
    fn scenarios() -> impl Iterator<Item = Scenario> {
        let mut state = 1_u64;
        let mut byte = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..200).map(move |_| {
            let bytes: Vec<u8> = (0..600).map(|_| byte()).collect();
            codec::decode(&bytes)
        })
    }

    #[test]
    fn narrowing_twice_is_narrowing_once() {
        for scenario in scenarios() {
            for focus in [Focus::Everything, Focus::Interrupts, Focus::Lifecycle] {
                let mut once = scenario.clone();
                focus.apply(&mut once);
                let mut twice = once.clone();
                focus.apply(&mut twice);
                assert_eq!(once, twice);
                // A narrowed scenario is one that bytes can say.
                once.repair();
                assert_eq!(once, twice);
            }
        }
    }

    #[test]
    fn each_focus_leaves_its_kinds_alone() {
        use StepKind as K;
        let left = |focus: Focus| {
            let mut kinds = Vec::new();
            for mut scenario in scenarios() {
                focus.apply(&mut scenario);
                for step in scenario.steps {
                    if !kinds.contains(&step.kind()) {
                        kinds.push(step.kind());
                    }
                }
            }
            kinds.sort_by_key(|&kind| kind as u8);
            kinds
        };
        let io = [K::Read, K::Write, K::Flush, K::Unmap];
        assert_eq!(left(Focus::Everything), StepKind::ALL);
        assert_eq!(left(Focus::Interrupts), [&io[..], &[K::Interrupt, K::Wait]].concat());
        let life = [K::Reset, K::Adapter, K::Unit, K::FailAllocation, K::Wait];
        assert_eq!(left(Focus::Lifecycle), [&io[..], &life].concat());
    }
}
