//! The machine as a whole: any bytes run, and random bytes still reach everything that there is to reach.

mod support;

use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};

use lockstorm::event::{Handle, Kind, Lock, LockApi, Routine};
use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::machine::End;
use lockstorm::miniport::puppet::{Call, LockName, Op};
use lockstorm::scenario::{At, Decision, Io, Scenario, Step};
use support::Inputs;

#[test]
fn any_bytes_run_and_end_with_a_reason() {
    let mut inputs = Inputs::new(11);
    let mut puppet = Harness::alone(BuiltIn::Puppet);
    let mut nvme = Harness::alone(BuiltIn::Nvme);
    for n in 0..4_000 {
        let bytes = inputs.bytes(700);
        for (name, harness) in [("puppet", &mut puppet), ("nvme", &mut nvme)] {
            let outcome = harness.run_bytes(&bytes);
            let explained = outcome.end == End::Quiet || !harness.findings().is_empty();
            assert!(explained, "{name}, input {n}: {outcome:?}");
        }
    }
}

#[test]
fn the_nvme_core_breaks_no_rule_on_random_bytes() {
    let mut inputs = Inputs::new(13);
    let mut harness = Harness::alone(BuiltIn::Nvme);
    for n in 0..4_000 {
        let outcome = harness.run_bytes(&inputs.bytes(400));
        assert!(harness.findings().is_empty(), "input {n}: {}", harness.findings()[0]);
        assert_eq!(outcome.end, End::Quiet, "input {n}");
    }
}

/// A queued lock belongs to the next waiter as soon as it is released: no handle of its last owner fits it any more.
#[test]
fn a_queued_lock_that_was_handed_over_takes_no_old_handle() {
    let call = |op| Call::new(Routine::BuildIo, op);
    let calls = [
        call(Op::Acquire).lock(LockName::Dpc),
        call(Op::QuerySystemTime),
        call(Op::Release),
        call(Op::Release),
    ];
    let mut steps: Vec<Step> = calls.map(Step::Script).into();
    steps.extend([0, 1].map(|processor| Step::Io(At { processor, gap: 0 }, Io::default())));
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let mut handed_over = 0;
    for (after, back) in (0..50).flat_map(|after| (0..4).map(move |back| (after, back))) {
        let schedule =
            [after, back].map(|after| Decision { after, choice: 0 }).into_iter().collect();
        harness.run(&Scenario { steps: steps.clone(), schedule, ..Scenario::default() });
        for event in harness.events() {
            let Kind::LockReleased { holder: Some(holder), handle, held_ns, .. } = event.kind
            else {
                continue;
            };
            if holder != event.processor {
                assert_eq!(handle, Handle::Stale, "{event:?}");
                assert!(held_ns < 1_000, "no more than its new owner has run: {event:?}");
                handed_over += u32::from(held_ns == 0);
            }
        }
    }
    assert!(handed_over > 0, "no schedule released it twice under a waiter");
}

/// What random inputs reached.
#[derive(Default)]
struct Reached {
    routines: BTreeSet<Routine>,
    locks: BTreeSet<(String, String)>,
    kinds: BTreeSet<String>,
    seen: Vec<Discriminant<Kind>>,
}

impl Reached {
    fn note(&mut self, kind: &Kind) {
        match kind {
            Kind::Entered { routine, .. } => {
                self.routines.insert(*routine);
            }
            Kind::LockAcquired { lock, api, .. } => {
                self.locks.insert((class(*lock).into(), format!("{api:?}")));
            }
            _ => {}
        }
        if !self.seen.contains(&discriminant(kind)) {
            self.seen.push(discriminant(kind));
            let text = format!("{kind:?}");
            let name = text.split([' ', '(']).next().unwrap_or_default();
            self.kinds.insert(name.to_owned());
        }
    }
}

fn class(lock: Lock) -> &'static str {
    match lock {
        Lock::StartIo => "StartIo",
        Lock::Interrupt => "Interrupt",
        Lock::Message(_) => "Message",
        Lock::Dpc(_) => "Dpc",
        Lock::Executive(_) => "Executive",
    }
}

/// Within 20,000 random inputs of up to 600 bytes the puppet is called in every routine, and takes every
/// kind of lock by every routine that takes it.
#[test]
fn random_bytes_reach_every_callback_and_every_way_to_take_a_lock() {
    let mut inputs = Inputs::new(17);
    let mut harness = Harness::alone(BuiltIn::Puppet);
    harness.record(true);
    let mut reached = Reached::default();
    for _ in 0..20_000 {
        harness.run_bytes(&inputs.bytes(600));
        for event in harness.events() {
            reached.note(&event.kind);
        }
    }
    for routine in Routine::ALL {
        assert!(reached.routines.contains(&routine), "{routine:?} is never called");
    }
    for (lock, api) in [
        ("StartIo", LockApi::Port),
        ("StartIo", LockApi::Spin),
        ("StartIo", LockApi::SpinEx),
        ("Interrupt", LockApi::Port),
        ("Interrupt", LockApi::Spin),
        ("Interrupt", LockApi::SpinEx),
        ("Interrupt", LockApi::Synchronize),
        ("Message", LockApi::Port),
        ("Message", LockApi::Msi),
        ("Dpc", LockApi::Spin),
        ("Dpc", LockApi::SpinEx),
        ("Dpc", LockApi::ThreadedDpc),
        ("Dpc", LockApi::DpcLevel),
        ("Executive", LockApi::Ke),
        ("Executive", LockApi::KeDpcLevel),
        ("Executive", LockApi::KeQueued),
    ] {
        let pair = (lock.to_owned(), format!("{api:?}"));
        assert!(reached.locks.contains(&pair), "{lock} is never taken by {api:?}");
    }
    // All but two: the puppet's device is no disk, so no data is wrong, and a queued DPC is destroyed only by a
    // script that says so in so many words.
    let kinds = reached.kinds.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    assert_eq!(
        kinds,
        "AdapterStopped Called ConfigurationWrong Configured ContextIgnored Crashed Deadlocked \
         DpcCancelled DpcInitialized DpcIssued Entered ExecutiveInitialized ExecutiveUninitialized \
         Finished Hung InterruptRaised IrqlSet Left LockAcquired LockMisused LockRefused LockReleased \
         LockWaited Quiescing RequestCompleted RequestCreated RequestDeferred RequestLost \
         RequestTimedOut RequestTouched RequestsCompletedByPort Started TimerExpired"
    );
}
