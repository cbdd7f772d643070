//! From a rule's objection to a finding: which place it points at, which locks and callbacks it names, and
//! that each bug is found once.

use super::{Checker, FINDINGS_MAX};
use crate::event::{Flow, Lock, Site};
use crate::rules::catalogue::{RuleId, Severity};
use crate::rules::finding::{FINDING_LOCKS_MAX, Finding};
use crate::rules::graph::Cycle;
use crate::rules::moment::Moment;
use crate::rules::race::Race;
use crate::rules::verdict::{At, Verdict};

impl Checker {
    /// Makes a finding of what a rule objects to, if it does.
    ///
    /// What is rare gets a copy of the moment, here and elsewhere in the checker: a reference that leaves the hot path
    /// would keep it in memory.
    #[inline(always)]
    pub(super) fn object(&mut self, at: &Moment, verdict: Option<Verdict>) -> Flow {
        match verdict {
            None => Flow::Continue,
            Some(verdict) => self.found(*at, verdict),
        }
    }

    /// A finding without particulars.
    pub(super) fn finding(&self, at: &Moment, rule: RuleId) -> Finding {
        Finding {
            rule,
            severity: rule.rule().severity,
            locks: [None; FINDING_LOCKS_MAX],
            path: self.state.processor(at.processor).path(),
            site: at.site,
            other_site: None,
            processor: at.processor,
            irql: at.irql,
            time: at.time,
            race: None,
        }
    }

    #[cold]
    fn found(&mut self, at: Moment, verdict: Verdict) -> Flow {
        let mut finding = self.finding(&at, verdict.rule);
        if verdict.doubtful {
            finding.severity = Severity::Warning;
        }
        let against = verdict.against.filter(|against| Some(*against) != verdict.lock);
        finding.locks = [verdict.lock, against, None];
        let p = self.state.processor(at.processor);
        let taken = |lock: Option<Lock>| lock.and_then(|lock| self.state.held(lock));
        finding.other_site = taken(verdict.against).map(|held| held.site);
        match verdict.at {
            At::Event => {}
            At::Acquire => {
                finding.other_site = Some(at.site).filter(|site| *site != Site::Port);
                finding.site = taken(verdict.lock).map_or(at.site, |held| held.site);
            }
            At::IrqlSet => finding.site = p.frame().map_or(at.site, |frame| frame.irql_site),
        }
        if verdict.interrupted
            && let Some(held) = taken(verdict.against)
        {
            finding.path = p.path_from(held);
        }
        self.report(finding)
    }

    #[cold]
    pub(super) fn cycle(&mut self, at: Moment, cycle: Cycle) -> Flow {
        let mut finding = self.finding(&at, RuleId::LockCycle);
        if cycle.doubtful {
            finding.severity = Severity::Warning;
        }
        let mut edges = self.graph.edges_of(cycle);
        let mut locks = finding.locks.iter_mut();
        if let (Some(first), Some(slot)) = (edges.next(), locks.next()) {
            *slot = Some(first.held());
            (finding.path, finding.site) = (first.path, first.site);
        }
        for edge in edges {
            finding.other_site = finding.other_site.or(Some(edge.site));
            if let Some(slot) = locks.next() {
                *slot = Some(edge.held());
            }
        }
        self.report(finding)
    }

    /// A data race, found beside the other rules.
    #[cold]
    pub(in crate::rules) fn raced(&mut self, at: &Moment, earlier: Site, race: Race) -> Flow {
        let mut finding = self.finding(at, RuleId::RaceUnsynchronized);
        finding.locks[0] = race.guard;
        finding.other_site = Some(earlier);
        finding.race = Some(race);
        self.report(finding)
    }

    pub(super) fn report(&mut self, finding: Finding) -> Flow {
        if self.muted.contains(finding.rule) {
            return Flow::Continue;
        }
        let id = finding.id();
        let known = self.ids[..self.count].iter().position(|&known| known == id);
        let error = finding.severity == Severity::Error;
        if error && let Some(warning) = known {
            self.forget(warning);
        }
        if error || known.is_none() && self.count < FINDINGS_MAX {
            // An error is the last finding of a run, so it may take the place of a warning.
            let slot = self.count.min(FINDINGS_MAX - 1);
            (self.findings[slot], self.ids[slot]) = (finding, id);
            self.count = slot + 1;
        }
        self.stopped = error;
        if error { Flow::Stop } else { Flow::Continue }
    }

    /// Drops a warning that turns out to be an error.
    fn forget(&mut self, place: usize) {
        self.findings[place..self.count].rotate_left(1);
        self.ids[place..self.count].rotate_left(1);
        self.count -= 1;
    }
}
