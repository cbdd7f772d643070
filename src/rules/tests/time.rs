//! Traces for the rules on time.

use super::Case;
use crate::event::{Duplex, Lock, Routine};
use crate::rules::RuleId;
use crate::rules::trace::Trace;
use crate::storport::Ddi;

/// Stalls in a routine.
fn stall(t: &mut Trace, routine: Routine, microseconds: u32) {
    t.enter(routine).call_with(Ddi::StallExecution, microseconds, 0).leave();
}

/// A routine that takes so long.
fn last(t: &mut Trace, routine: Routine, microseconds: u32) {
    t.enter(routine).after_us(microseconds).leave();
}

pub(super) const CASES: &[Case] = &[
    Case::warning(
        RuleId::TimeStall,
        |t| stall(t, Routine::BuildIo, 1000),
        |t| stall(t, Routine::BuildIo, 999),
    ),
    Case::error(
        RuleId::TimeStallVerifier,
        |t| stall(t, Routine::StartIo, 100_001),
        |t| stall(t, Routine::BuildIo, 999),
    ),
    Case::warning(
        RuleId::TimeStallInStartIo,
        |t| stall(t, Routine::StartIo, 1),
        |t| stall(t, Routine::BuildIo, 1),
    ),
    Case::error(
        RuleId::TimeAllocation,
        |t| {
            t.configure(|a| a.duplex = Duplex::Half)
                .enter(Routine::StartIo)
                .call(Ddi::AllocatePool);
        },
        |t| {
            t.enter(Routine::StartIo).call(Ddi::AllocatePool).leave();
        },
    ),
    Case::warning(
        RuleId::TimeLockHeld,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Interrupt).after_us(26).release(Lock::Interrupt);
            t.leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Interrupt).after_us(25).release(Lock::Interrupt);
            t.leave();
        },
    ),
    // StorPortSynchronizeAccess holds Interrupt for as long as the driver's routine takes.
    Case::warning(
        RuleId::TimeLockHeld,
        |t| {
            t.enter(Routine::Dpc).synchronize().leave();
            t.after_us(26).release(Lock::Interrupt).leave();
        },
        |t| {
            t.enter(Routine::Dpc).synchronize().leave();
            t.after_us(25).release(Lock::Interrupt).leave();
        },
    ),
    // What interrupts the holder is not the holder's fault.
    Case::warning(
        RuleId::TimeLockHeld,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo);
            t.enter(Routine::MessageInterrupt).after_us(20).leave();
            t.after_us(46).release(Lock::StartIo).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::StartIo);
            t.enter(Routine::MessageInterrupt).after_us(20).leave();
            t.after_us(45).release(Lock::StartIo).leave();
        },
    ),
    Case::warning(
        RuleId::TimeDpc,
        |t| last(t, Routine::Dpc, 101),
        |t| {
            t.enter(Routine::Dpc).enter(Routine::MessageInterrupt).after_us(40).leave();
            t.after_us(140).leave();
        },
    ),
    // A long stall is said where it is, and not again at the end.
    Case::warning(
        RuleId::TimeDpc,
        |t| {
            t.enter(Routine::Dpc).call_with(Ddi::StallExecution, 101, 0).after_us(150).leave();
        },
        |t| stall(t, Routine::Dpc, 100),
    ),
    Case::warning(
        RuleId::TimeInterrupt,
        |t| last(t, Routine::MessageInterrupt, 51),
        |t| last(t, Routine::MessageInterrupt, 50),
    ),
    Case::warning(
        RuleId::TimeRoutine,
        |t| last(t, Routine::ResetBus, 500_001),
        |t| {
            last(t, Routine::ResetBus, 500_000);
            last(t, Routine::Initialize, 4_000_000);
            last(t, Routine::PassiveInitialize, 4_000_000);
        },
    ),
];
