//! An independent check of the rules: a plain, slow model of the lock contract, held against the checker on
//! random scripts of the puppet.
//!
//! The model was written from Microsoft's reference pages, the lock table of
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock> (as
//! `tests/data/allowed-locks.csv`, read at run time), the rules' own sentences and the documentation of
//! [`lockstorm::event`], and not from the checker, which its author had not read. It keeps vectors and sets, searches
//! them from the start, and asks every rule at every event.
//!
//! Each script runs on the machine, which records its events; then model and checker read them event by event. Where
//! the checker stops with an error, the model must object to the same event with the same rule; where it goes on, the
//! model must see no error, and their warnings must agree. Where several sentences fit one event equally well the
//! model names them all and the checker chooses. The model also holds the events themselves to account: who holds a
//! released lock, what its acquire saved, how deep the callbacks are.
//!
//! Twenty thousand scripts run by default; `LOCKSTORM_REFERENCE_RUNS` says how many, `LOCKSTORM_REFERENCE_SEED` which:
//!
//! ```text
//! LOCKSTORM_REFERENCE_RUNS=1000000 LOCKSTORM_REFERENCE_SEED=2 cargo test --release --test reference
//! ```
//!
//! # What it found
//!
//! Wrong in the rules, and mended:
//! - `lock.old_irql`, a false alarm: KeReleaseSpinLockFromDpcLevel takes no OldIrql, so any level will do.
//! - `irql.lock_level`: Interrupt was measured against the highest level of any device instead of the adapter's own
//!   DIRQL; DpcLevelLock above DISPATCH_LEVEL and a message's lock above DIRQL were errors although no page forbids
//!   them.
//! - `irql.lower` allowed every level between that of the callback and the current one; the page allows only what
//!   KeRaiseIrql returned.
//! - `irql.below_lock`, false alarms: after a release that does not lower the IRQL; for a message's lock that was
//!   requested above DIRQL; for a lock that StorPort holds according to one of two pages that disagree.
//! - `lock.recursive` and `lock.port_held` were missed where Interrupt, which stands for every message, waits for
//!   another processor's message before it comes to its own.
//! - `lock.order` was reported for an Interrupt lock that StorPortAcquireSpinLockEx refused above DIRQL.
//! - `lock.release_message` was reported where StorPort, and not the driver, holds the other message's lock.
//! - `lock.cycle` was an error on the mere assumption that StorPort takes the messages' locks in ascending order; and
//!   since then such a cycle does not hide a certain one.
//! - A warning (`lock.release_order`, a doubtful `lock.forbidden`) hid an error of the IRQL in the same call, and a
//!   bug that had been seen as a warning was not told as the error that ended the run.
//! - `lock.held_at_removal` spoke in crash dumps, where locks are void.
//!
//! Wrong in the machine, and mended:
//! - A queued lock that had been handed to its next waiter still took its last owner's handle for the right one, and
//!   told a hold time from two processors' clocks (a debug build would have panicked).
//! - HwStorStateChange and the timers ran during the first HwStorFindAdapter, before anybody could know which locks to
//!   hold around them.
//! - HwStorAdapterControl of a virtual miniport, which has no interrupt, could be called under the Interrupt lock.
//!
//! Wrong in the model, mostly where it was too literal: it knew no crash dumps (where the rules on locks, IRQL and time
//! do not apply), no second life of an adapter (in which a DPC may be initialised again), no lock that keeps two
//! orders apart, and none of the cells on which two pages disagree (a warning, never an error).

mod idioms;
mod locks;
mod model;
mod orders;
mod reach;
mod rest;
mod scripts;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use lockstorm::event::{Event, Flow};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::Checker;
use lockstorm::scenario::{Scenario, text};

use model::{Id, Model, Verdict};
use scripts::Random;

/// Scripts that run by default: some ten seconds of a debug build.
const RUNS: u64 = 20_000;
/// Events before a disagreement that are worth showing.
const EVENTS_SHOWN: usize = 24;

/// An event on which model and checker do not agree.
struct Disagreement {
    event: usize,
    /// What the checker found at it, besides what it had found before.
    checker: BTreeSet<Id>,
    model: Verdict,
}

/// Reads a run's events with both. Counts the rules on which they agree.
fn compare(
    model: &mut Model,
    events: &[Event],
    agreed: &mut BTreeMap<Id, u64>,
) -> Result<(), Disagreement> {
    model.reset();
    let mut checker = Checker::new();
    let mut known: BTreeSet<Id> = BTreeSet::new();
    for (index, event) in events.iter().enumerate() {
        let verdict = model.judge(event);
        let stops = checker.record(event) == Flow::Stop;
        let found: BTreeSet<Id> = checker.findings().iter().map(|f| f.rule.rule().id).collect();
        let new: BTreeSet<Id> = found.difference(&known).copied().collect();
        let last = checker.findings().last().map(|finding| finding.rule.rule().id);
        if !agrees(&verdict, &new, &found, last.filter(|_| stops)) {
            return Err(Disagreement { event: index, checker: new, model: verdict });
        }
        for id in new.iter().copied().chain(last.filter(|_| stops)) {
            *agreed.entry(id).or_default() += 1;
        }
        if stops {
            break;
        }
        known = found;
    }
    Ok(())
}

/// Whether the checker, which has found `new` at this event and `found` so far, and ended the run with `error`, says
/// the same as the model.
fn agrees(verdict: &Verdict, new: &BTreeSet<Id>, found: &BTreeSet<Id>, error: Option<Id>) -> bool {
    if verdict.errors.contains(locks::CONTRADICTION) {
        return false;
    }
    match error {
        Some(error) => verdict.errors.contains(error),
        None if !verdict.errors.is_empty() => false,
        None if verdict.warnings.is_empty() => new.is_empty(),
        // A warning that has been given before is not given again.
        None => new.is_subset(&verdict.warnings) && !verdict.warnings.is_disjoint(found),
    }
}

/// What somebody needs who wants to know which of the two is right.
fn report(scenario: &Scenario, events: &[Event], found: &Disagreement) -> String {
    use std::fmt::Write;
    let Disagreement { event, checker, model: Verdict { errors, warnings } } = found;
    let mut out = format!(
        "at event {event} the checker finds {checker:?}, the model errors {errors:?} and warnings \
         {warnings:?}\n{}",
        text::write(scenario)
    );
    for event in &events[(event + 1).saturating_sub(EVENTS_SHOWN)..=*event] {
        let Event { time, processor, irql, depth, kind, .. } = event;
        let _ = writeln!(out, "{time:9} processor {processor} depth {depth} {irql} {kind:?}");
    }
    out + "save the scenario and see all of it: lockstorm run puppet FILE.ron --trace"
}

fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value}")),
        Err(_) => otherwise,
    }
}

#[test]
fn rules_agree_with_the_model() {
    let runs = setting("LOCKSTORM_REFERENCE_RUNS", RUNS);
    let mut random = Random::new(setting("LOCKSTORM_REFERENCE_SEED", 1));
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let mut model = Model::new();
    let mut agreed = BTreeMap::new();
    let mut events = 0;
    for run in 0..runs {
        let scenario = scripts::scenario(&mut random);
        harness.run(&scenario);
        events += harness.events().len();
        if let Err(found) = compare(&mut model, harness.events(), &mut agreed) {
            panic!("run {run}: {}", report(&scenario, harness.events(), &found));
        }
    }
    println!("{runs} scripts, {events} events, {} rules: {agreed:#?}", agreed.len());
    // Scripts that break nothing would agree too.
    assert!(runs < RUNS || agreed.len() >= 65, "few rules were broken: {agreed:#?}");
}
