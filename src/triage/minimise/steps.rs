//! Fewer steps, and plainer ones.

use super::parts::leave_out;
use super::{Subject, Trial};
use crate::miniport::puppet::{Call, Context, When};
use crate::scenario::{Answer, At, Io, IoKind, Outcome, Query, ResetTier, Scenario, Step};

impl<S: Subject> Trial<'_, S> {
    /// Leaves out steps: runs of them first, then each, under whatever schedule still shows the bug.
    pub(super) fn remove_steps(&mut self) {
        leave_out(self.best.steps.len(), |rest| {
            let candidate = self.with_steps(rest);
            self.take_or_calm(&candidate).then_some(rest.len())
        });
        let mut at = self.best.steps.len();
        while at > 0 {
            at -= 1;
            let rest: Vec<_> = (0..self.best.steps.len()).filter(|&step| step != at).collect();
            let candidate = self.with_steps(&rest);
            if self.take_somehow(&candidate) {
                at = at.min(self.best.steps.len());
            }
        }
        self.remove_pairs();
    }

    /// Leaves out two steps at once: an acquire and its release.
    fn remove_pairs(&mut self) {
        /// With more steps, pairs are too many.
        const STEPS_MAX: usize = 24;
        let mut first = self.best.steps.len().min(STEPS_MAX);
        while first > 0 {
            first -= 1;
            for second in first + 1..self.best.steps.len() {
                let steps = 0..self.best.steps.len();
                let rest: Vec<_> = steps.filter(|&at| at != first && at != second).collect();
                if self.take_or_calm(&self.with_steps(&rest)) {
                    break;
                }
            }
            first = first.min(self.best.steps.len());
        }
    }

    /// The smallest scenario so far with only these of its steps.
    fn with_steps(&self, steps: &[usize]) -> Scenario {
        let steps = steps.iter().map(|&at| self.best.steps[at]).collect();
        Scenario { steps, ..self.best.clone() }
    }

    /// Makes each step as plain as it can be.
    pub(super) fn simplify_steps(&mut self) {
        for at in 0..self.best.steps.len() {
            for plainer in plainer(self.best.steps[at]) {
                let mut candidate = self.best.clone();
                candidate.steps[at] = plainer;
                // The steps before it were made plainer one by one, so the ways to go on are still those of the
                // step as it was, unless this one was taken.
                if is_plainer(plainer, self.best.steps[at]) {
                    self.take_or_calm(&candidate);
                }
            }
        }
    }
}

/// Ways to say less with a step, the plainest first.
fn plainer(step: Step) -> Vec<Step> {
    let mut ways = Vec::new();
    if let Step::Script(call) = step {
        ways.extend(plainer_calls(call).into_iter().map(Step::Script));
        return ways;
    }
    let at = step.at().unwrap_or_default();
    ways.push(Step::Io(At::default(), Io::default()));
    for at in [At::default(), At { processor: 0, ..at }, At { gap: 0, ..at }] {
        ways.push(moved(step, at));
    }
    match step {
        Step::Io(at, io) => {
            let (none, answer) = (Io::default(), io.answer);
            ways.extend(
                [
                    Io { kind: IoKind::Read, ..io },
                    Io { blocks: none.blocks, ..io },
                    Io { block: none.block, ..io },
                    Io { offset: none.offset, ..io },
                    Io { answer: Answer { outcome: Outcome::Success, ..answer }, ..io },
                    Io { answer: Answer { slowness: 0, ..answer }, ..io },
                ]
                .map(|io| Step::Io(at, io)),
            );
        }
        Step::Query(at, _) => ways.push(Step::Query(at, Query::default())),
        Step::Interrupt(at, _) => ways.push(Step::Interrupt(at, 0)),
        Step::Reset(at, _) => ways.push(Step::Reset(at, ResetTier::default())),
        _ => {}
    }
    ways
}

fn plainer_calls(call: Call) -> [Call; 4] {
    [
        Call { when: When::Always, ..call },
        Call { context: Context::Proper, ..call },
        Call { argument: 0, ..call },
        Call { slot: 0, ..call },
    ]
}

/// The step, issued elsewhere or at another time.
fn moved(step: Step, at: At) -> Step {
    match step {
        Step::Io(_, io) => Step::Io(at, io),
        Step::Query(_, query) => Step::Query(at, query),
        Step::Interrupt(_, message) => Step::Interrupt(at, message),
        Step::Reset(_, tier) => Step::Reset(at, tier),
        Step::Adapter(_, action) => Step::Adapter(at, action),
        Step::Unit(_, action) => Step::Unit(at, action),
        Step::FailAllocation(_, nth) => Step::FailAllocation(at, nth),
        Step::Wait(_) => Step::Wait(at),
        Step::Script(call) => Step::Script(call),
    }
}

/// Whether `step` says less than `than`: fewer bytes of it differ from nothing. Keeps two passes from undoing each
/// other's work for ever.
fn is_plainer(step: Step, than: Step) -> bool {
    let weight = |step: Step| {
        let mut bytes = Vec::new();
        let scenario = Scenario { steps: vec![step], ..Scenario::default() };
        crate::scenario::codec::encode(&scenario, &mut bytes);
        let step = &bytes[crate::scenario::codec::HEADER_BYTES..];
        (step.iter().filter(|&&byte| byte != 0).count(), step.to_vec())
    };
    weight(step) < weight(than)
}
