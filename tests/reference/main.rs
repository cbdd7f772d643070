//! A plain, slow model of the lock contract, held against the rules on random scripts of the puppet.

mod locks;
mod model;
mod orders;
mod rest;
mod scripts;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use lockstorm::event::{Event, Flow};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::Checker;
use lockstorm::scenario::{Scenario, text};

use model::{Id, Model};
use scripts::Random;

const RUNS: u64 = 20_000;

#[derive(Debug)]
struct Disagreement {
    index: usize,
    checker: BTreeSet<Id>,
    model: model::Verdict,
}

fn compare(model: &mut Model, events: &[Event]) -> Option<Disagreement> {
    model.reset();
    let mut checker = Checker::new();
    let mut known: BTreeSet<Id> = BTreeSet::new();
    let mut seen = 0;
    for (index, event) in events.iter().enumerate() {
        let verdict = model.judge(event);
        let stops = checker.record(event) == Flow::Stop;
        let findings = checker.findings();
        let fresh = findings[seen..].iter().map(|f| f.rule.rule().id);
        let new: BTreeSet<Id> = fresh.filter(|id| !known.contains(id)).collect();
        seen = findings.len();
        known.extend(&new);
        let last = checker.findings().last().map(|finding| finding.rule.rule().id);
        let contradiction = verdict.errors.contains(locks::MACHINE);
        let agree = !contradiction
            && match (stops, verdict.errors.is_empty(), verdict.warnings.is_empty()) {
                (true, ..) => last.is_some_and(|last| verdict.errors.contains(last)),
                (false, false, _) => false,
                (false, true, true) => new.is_empty(),
                (false, true, false) => {
                    new.is_subset(&verdict.warnings) && !verdict.warnings.is_disjoint(&known)
                }
            };
        if !agree {
            return Some(Disagreement { index, checker: new, model: verdict });
        }
        if stops {
            return None;
        }
    }
    None
}

#[test]
fn rules_agree_with_the_model() {
    let runs = std::env::var("LOCKSTORM_REFERENCE_RUNS").map_or(RUNS, |n| n.parse().unwrap());
    let seed = std::env::var("LOCKSTORM_REFERENCE_SEED").map_or(1, |n| n.parse().unwrap());
    let mut random = Random::new(seed);
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let mut model = Model::new();
    let mut found: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
    let mut reached: BTreeMap<Id, u64> = BTreeMap::new();
    for run in 0..runs {
        let scenario = scripts::scenario(&mut random);
        harness.run(&scenario);
        for finding in harness.findings() {
            *reached.entry(finding.rule.rule().id).or_default() += 1;
        }
        let events = harness.events();
        if let Some(d) = compare(&mut model, events) {
            let kind = format!("{:?}", events[d.index].kind);
            let kind = kind.split([' ', '(']).next().unwrap_or_default().to_owned();
            let key = format!(
                "{kind}: checker {:?} model {:?} {:?}",
                d.checker, d.model.errors, d.model.warnings
            );
            let entry =
                found.entry(key).or_insert_with(|| (0, run, report(&scenario, events, d.index)));
            entry.0 += 1;
            let size = report(&scenario, events, d.index);
            if size.len() < entry.2.len() {
                entry.2 = size;
            }
        }
    }
    println!("{reached:#?}");
    let mut rows: Vec<_> = found.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.1.0));
    for (key, (count, run, _)) in &rows {
        println!("{count:6} {key} (run {run})");
    }
    for (n, (key, (.., report))) in rows.iter().enumerate() {
        std::fs::write(format!("/tmp/ref_reports/{n:02}.txt"), format!("{key}\n{report}")).unwrap();
    }
    assert!(found.is_empty());
}

fn report(scenario: &Scenario, events: &[Event], index: usize) -> String {
    use std::fmt::Write;
    let mut out = text::write(scenario);
    for (n, event) in events.iter().enumerate().take(index + 1) {
        writeln!(
            out,
            "{n:4} {} p{} d{} {:?} {:?}",
            event.time, event.processor, event.depth, event.irql, event.kind
        )
        .unwrap();
    }
    out
}
