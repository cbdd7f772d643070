//! Every rule has a trace that breaks it and the nearest legal trace, which stays silent.
//!
//! The cases stand family by family in the files of this folder; the tests here run them all, and
//! see that no rule is without.

mod balance;
mod behaviour;
mod kind;
mod life;
mod order;
mod race;
mod race_model;
mod table;
mod time;

use super::trace::Trace;
use super::{RuleId, Severity};

/// One rule's pair of traces.
pub(super) struct Case {
    rule: RuleId,
    /// How grave the broken trace is.
    severity: Severity,
    broken: fn(&mut Trace),
    legal: fn(&mut Trace),
}

impl Case {
    const fn error(rule: RuleId, broken: fn(&mut Trace), legal: fn(&mut Trace)) -> Case {
        Case { rule, severity: Severity::Error, broken, legal }
    }

    const fn warning(rule: RuleId, broken: fn(&mut Trace), legal: fn(&mut Trace)) -> Case {
        Case { rule, severity: Severity::Warning, broken, legal }
    }
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [balance::CASES, kind::CASES, life::CASES, order::CASES, race::CASES, time::CASES]
        .into_iter()
        .flatten()
}

fn play(trace: fn(&mut Trace)) -> Trace {
    let mut played = Trace::new();
    trace(&mut played);
    played
}

#[test]
fn every_broken_trace_gives_its_one_finding() {
    for case in cases() {
        let trace = play(case.broken);
        let found: Vec<_> = trace.findings().iter().map(|f| (f.rule, f.severity)).collect();
        assert_eq!(found, [(case.rule, case.severity)], "{}", case.rule);
        assert_eq!(trace.is_stopped(), case.severity == Severity::Error, "{}", case.rule);
    }
}

#[test]
fn every_legal_trace_is_silent() {
    for case in cases() {
        let trace = play(case.legal);
        assert!(trace.findings().is_empty(), "{}: {:?}", case.rule, trace.findings());
    }
}

#[test]
fn every_rule_has_its_traces() {
    for &rule in RuleId::ALL {
        assert!(cases().any(|case| case.rule == rule), "{rule} has no traces");
    }
}
