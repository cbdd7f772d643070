//! What a rule says of one event, before it becomes a finding.

use super::catalogue::{RuleId, Severity};
use crate::event::Lock;

/// Which place a finding points at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// Where the event happened.
    Event,
    /// Where the lock concerned had been acquired.
    Acquire,
    /// Where the callback last set the IRQL itself.
    IrqlSet,
}

/// A rule's objection to one event. Everything else of the finding follows from the event and the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) rule: RuleId,
    /// A warning, whatever the rule's own severity: this case is harmless, or the documents disagree on it.
    pub(super) doubtful: bool,
    /// The lock that the call is about.
    pub(super) lock: Option<Lock>,
    /// The lock that stands against it.
    pub(super) against: Option<Lock>,
    pub(super) at: At,
    /// The path begins with the callback that holds `against`, because it was interrupted.
    pub(super) interrupted: bool,
}

impl Verdict {
    pub(super) const fn of(rule: RuleId) -> Self {
        Verdict {
            rule,
            doubtful: false,
            lock: None,
            against: None,
            at: At::Event,
            interrupted: false,
        }
    }

    /// Whether the run goes on.
    pub(super) fn is_warning(&self) -> bool {
        self.doubtful || self.rule.rule().severity == Severity::Warning
    }

    /// Whether it is about a cell of the lock tables that another page contradicts.
    pub(super) const fn is_doubtful_cell(&self) -> bool {
        self.doubtful && matches!(self.rule, RuleId::LockForbidden)
    }

    pub(super) const fn lock(self, lock: Lock) -> Self {
        Verdict { lock: Some(lock), ..self }
    }

    pub(super) const fn against(self, against: Option<Lock>) -> Self {
        Verdict { against, ..self }
    }

    pub(super) const fn doubtful(self, doubtful: bool) -> Self {
        Verdict { doubtful, ..self }
    }

    pub(super) const fn at(self, at: At) -> Self {
        Verdict { at, ..self }
    }

    pub(super) const fn interrupted(self) -> Self {
        Verdict { interrupted: true, ..self }
    }
}
