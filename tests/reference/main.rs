//! An independent check of the rules: a plain, slow model of the lock contract, held against the checker on
//! random scripts of the puppet.
//!
//! The model is [`lockstorm::reference`], where it is told what it was written from; the fuzz target `locks` holds it
//! against the checker too.
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
mod reach;
mod scripts;

use std::collections::BTreeMap;

use lockstorm::event::Event;
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::reference::{Disagreement, Reference};
use lockstorm::scenario::{Scenario, text};

use scripts::Random;

/// Scripts that run by default: some ten seconds of a debug build.
const RUNS: u64 = 20_000;
/// Events before a disagreement that are worth showing.
const EVENTS_SHOWN: usize = 24;

/// What somebody needs who wants to know which of the two is right.
fn report(scenario: &Scenario, events: &[Event], found: &Disagreement) -> String {
    use std::fmt::Write;
    let event = &found.event;
    let mut out = format!("{found}\n{}", text::write(scenario));
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
    let mut reference = Reference::new();
    let mut agreed: BTreeMap<&str, u64> = BTreeMap::new();
    let mut events = 0;
    for run in 0..runs {
        let scenario = scripts::scenario(&mut random);
        harness.run(&scenario);
        events += harness.events().len();
        if let Err(found) =
            reference.compare(harness.events(), |id| *agreed.entry(id).or_default() += 1)
        {
            panic!("run {run}: {}", report(&scenario, harness.events(), &found));
        }
    }
    println!("{runs} scripts, {events} events, {} rules: {agreed:#?}", agreed.len());
    // Scripts that break nothing would agree too.
    assert!(runs < RUNS || agreed.len() >= 65, "few rules were broken: {agreed:#?}");
}
