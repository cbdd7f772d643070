//! Traces for the rules on order: tables, ranks, cycles, deadlocks.

use super::Case;
use crate::event::{Cause, Kind, Lock, LockApi, Routine};
use crate::rules::trace::Trace;
use crate::rules::{RuleId, Severity};
use crate::storport::StorStatus;

/// Nests two locks in a callback.
fn nest(t: &mut Trace, processor: u8, routine: Routine, outer: Lock, inner: Lock) {
    t.on(processor).enter_about(routine, u16::from(processor));
    t.acquire(outer).acquire(inner).release(inner).release(outer).leave();
}

const START_IO_THEN_DPC: fn(&mut Trace) = |t| {
    t.on(0).enter(Routine::StartIo).acquire(Lock::Dpc(0)).release(Lock::Dpc(0)).leave();
};

pub(super) const CASES: &[Case] = &[
    Case::error(
        RuleId::LockOrder,
        |t| {
            t.enter(Routine::BuildIo).acquire(Lock::Interrupt).acquire(Lock::StartIo);
        },
        |t| nest(t, 0, Routine::BuildIo, Lock::StartIo, Lock::Interrupt),
    ),
    // The Interrupt lock is StorPort's here, and so is a message's.
    Case::error(
        RuleId::LockOrder,
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0).acquire(Lock::Dpc(0));
        },
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0).leave();
        },
    ),
    Case::error(
        RuleId::LockOrder,
        |t| {
            t.enter(Routine::Dpc).synchronize().acquire(Lock::Dpc(0));
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Dpc(0)).synchronize().leave();
            t.release(Lock::Interrupt).release(Lock::Dpc(0)).leave();
        },
    ),
    Case::warning(
        RuleId::LockOrder,
        |t| {
            t.configure(|a| a.control_under_interrupt_lock = true);
            t.enter_about(Routine::AdapterControl, 2).acquire(Lock::StartIo);
            t.release(Lock::StartIo).leave();
        },
        |t| {
            t.enter_about(Routine::AdapterControl, 2).acquire(Lock::StartIo);
            t.release(Lock::StartIo).leave();
        },
    ),
    Case::warning(
        RuleId::LockOrder,
        |t| {
            let status = StorStatus::INVALID_IRQL;
            t.enter_about(Routine::MessageInterrupt, 0);
            t.tell(Kind::LockRefused { api: LockApi::SpinEx, status }).leave();
        },
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0).leave();
        },
    ),
    Case::error(
        RuleId::LockForbidden,
        |t| {
            t.enter(Routine::PassiveInitialize).acquire(Lock::StartIo);
        },
        |t| {
            t.enter(Routine::WorkItem).acquire(Lock::StartIo).release(Lock::StartIo).leave();
        },
    ),
    Case::warning(
        RuleId::LockForbidden,
        |t| {
            t.enter(Routine::Timer).acquire(Lock::Dpc(0)).release(Lock::Dpc(0)).leave();
        },
        |t| {
            t.enter(Routine::Timer).acquire(Lock::Interrupt).release(Lock::Interrupt).leave();
        },
    ),
    Case::warning(
        RuleId::LockForbidden,
        |t| {
            t.enter_about(Routine::MessageInterrupt, 0);
            t.acquire(Lock::Message(2)).release(Lock::Message(2)).leave();
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Message(2)).release(Lock::Message(2)).leave();
        },
    ),
    Case::warning(
        RuleId::LockMessageOrder,
        |t| nest(t, 0, Routine::Dpc, Lock::Message(2), Lock::Message(1)),
        |t| nest(t, 0, Routine::Dpc, Lock::Message(1), Lock::Message(2)),
    ),
    Case::error(
        RuleId::LockCycle,
        |t| {
            START_IO_THEN_DPC(t);
            nest(t, 1, Routine::Dpc, Lock::Dpc(0), Lock::StartIo);
        },
        |t| {
            START_IO_THEN_DPC(t);
            nest(t, 1, Routine::Dpc, Lock::StartIo, Lock::Dpc(0));
        },
    ),
    // Three locks, three callbacks.
    Case::error(
        RuleId::LockCycle,
        |t| {
            nest(t, 0, Routine::Dpc, Lock::Dpc(0), Lock::Dpc(1));
            nest(t, 1, Routine::Dpc, Lock::Dpc(1), Lock::Executive(0));
            nest(t, 2, Routine::Dpc, Lock::Executive(0), Lock::Dpc(0));
        },
        |t| {
            nest(t, 0, Routine::Dpc, Lock::Dpc(0), Lock::Dpc(1));
            nest(t, 1, Routine::Dpc, Lock::Dpc(1), Lock::Executive(0));
            nest(t, 2, Routine::Dpc, Lock::Dpc(0), Lock::Executive(0));
        },
    ),
    // A lock held around both keeps them apart.
    Case::error(
        RuleId::LockCycle,
        |t| {
            nest(t, 0, Routine::BuildIo, Lock::Dpc(0), Lock::Dpc(1));
            nest(t, 1, Routine::BuildIo, Lock::Dpc(1), Lock::Dpc(0));
        },
        |t| {
            for (outer, inner) in [(Lock::Dpc(0), Lock::Dpc(1)), (Lock::Dpc(1), Lock::Dpc(0))] {
                t.enter(Routine::BuildIo).acquire(Lock::StartIo).acquire(outer).acquire(inner);
                t.release(inner).release(outer).release(Lock::StartIo).leave();
            }
        },
    ),
    // One DPC's routine does not run beside itself; two do.
    Case::error(
        RuleId::LockCycle,
        |t| {
            nest(t, 0, Routine::Dpc, Lock::Dpc(0), Lock::StartIo);
            nest(t, 1, Routine::Dpc, Lock::StartIo, Lock::Dpc(0));
        },
        |t| {
            nest(t, 1, Routine::Dpc, Lock::Dpc(0), Lock::StartIo);
            nest(t, 1, Routine::Dpc, Lock::StartIo, Lock::Dpc(0));
        },
    ),
    Case::error(
        RuleId::RunDeadlock,
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Dpc(0));
            t.on(1).enter(Routine::BuildIo).acquire(Lock::StartIo);
            t.on(0).wait_for(Lock::StartIo);
            t.on(1).wait_for(Lock::Dpc(0));
            t.on(0).port(Kind::Deadlocked { lock: Lock::StartIo, holder: 1, length: 2 });
            t.on(1).port(Kind::Deadlocked { lock: Lock::Dpc(0), holder: 0, length: 2 });
        },
        |t| {
            t.enter(Routine::Dpc).acquire(Lock::Dpc(0));
            t.on(1).enter(Routine::BuildIo).wait_for(Lock::Dpc(0));
            t.on(0).release(Lock::Dpc(0)).leave();
            t.on(1).acquire(Lock::Dpc(0)).release(Lock::Dpc(0)).leave().port(Kind::Finished);
        },
    ),
    Case::error(
        RuleId::RunHang,
        |t| {
            t.port(Kind::Hung);
        },
        |t| {
            t.port(Kind::Quiescing).port(Kind::Finished);
        },
    ),
    Case::error(
        RuleId::DriverCrashed,
        |t| {
            t.enter(Routine::StartIo).port(Kind::Crashed { cause: Cause::AccessViolation });
        },
        |t| {
            t.enter(Routine::StartIo).leave().port(Kind::Finished);
        },
    ),
];

#[test]
fn all_messages_at_once_against_going_down() {
    let all: fn(&mut Trace) = |t| {
        t.on(0).enter(Routine::BuildIo).acquire(Lock::Interrupt).release(Lock::Interrupt).leave();
    };
    let down: fn(&mut Trace) = |t| nest(t, 1, Routine::BuildIo, Lock::Message(3), Lock::Message(1));
    for order in [[all, down], [down, all]] {
        let mut t = Trace::new();
        order.iter().for_each(|step| step(&mut t));
        let rules: Vec<_> = t.findings().iter().map(|f| (f.rule, f.severity)).collect();
        let warnings = [RuleId::LockMessageOrder, RuleId::LockCycle];
        assert_eq!(rules, warnings.map(|rule| (rule, Severity::Warning)), "which way is assumed");
    }
}

/// Two orders of two messages are a cycle whatever StorPort's own order is.
#[test]
fn a_certain_cycle_is_not_taken_for_a_doubtful_one() {
    let mut t = Trace::new();
    t.enter(Routine::BuildIo).acquire(Lock::Interrupt).release(Lock::Interrupt).leave();
    nest(&mut t, 0, Routine::BuildIo, Lock::Message(1), Lock::Message(3));
    nest(&mut t, 1, Routine::BuildIo, Lock::Message(3), Lock::Message(1));
    let last = t.findings().last().map(|f| (f.rule, f.severity));
    assert_eq!(last, Some((RuleId::LockCycle, Severity::Error)));
}

#[test]
fn two_message_routines_that_take_each_others_locks() {
    let mut t = Trace::new();
    t.enter_about(Routine::MessageInterrupt, 0).acquire(Lock::Message(1));
    t.release(Lock::Message(1)).leave();
    t.on(1).enter_about(Routine::MessageInterrupt, 1).acquire(Lock::Message(0));
    let last = t.findings().last().map(|f| (f.rule, f.severity));
    assert_eq!(last, Some((RuleId::LockCycle, Severity::Error)));
}

#[test]
fn a_cycle_is_the_same_bug_whichever_half_comes_first() {
    let halves: [fn(&mut Trace); 2] = [
        |t| nest(t, 0, Routine::BuildIo, Lock::Dpc(2), Lock::StartIo),
        |t| nest(t, 1, Routine::Dpc, Lock::StartIo, Lock::Dpc(2)),
    ];
    // One function nests both, so make the sites differ.
    let other: fn(&mut Trace) = |t| {
        t.on(1).enter(Routine::Dpc).acquire(Lock::StartIo).acquire(Lock::Dpc(2));
        t.release(Lock::Dpc(2)).release(Lock::StartIo).leave();
    };
    let id = |order: [fn(&mut Trace); 2]| {
        let mut t = Trace::new();
        order.into_iter().for_each(|half| half(&mut t));
        let finding = *t.findings().last().expect("a cycle");
        assert_eq!(finding.rule, RuleId::LockCycle);
        finding.id()
    };
    assert_eq!(id([halves[0], other]), id([other, halves[0]]));
    assert_eq!(id([halves[0], halves[1]]), id([halves[1], halves[0]]), "one site, two routines");
}

/// StorPort still holds message 2's lock when its routine has returned, and then message 1 interrupts.
#[test]
fn an_interrupt_between_the_return_and_the_release() {
    let mut t = Trace::new();
    t.enter_about(Routine::MessageInterrupt, 2).leave_held();
    t.enter_about(Routine::MessageInterrupt, 1).wait_for(Lock::Message(2));
    assert_eq!(t.findings().len(), 1);
    assert_eq!(t.findings()[0].rule, RuleId::InterruptSelfDeadlock);

    let mut t = Trace::new();
    t.on(1).enter_about(Routine::MessageInterrupt, 1).acquire(Lock::Message(2));
    t.release(Lock::Message(2)).leave();
    let warnings = t.findings().len();
    t.on(0).enter_about(Routine::MessageInterrupt, 2).leave_held();
    t.enter_about(Routine::MessageInterrupt, 1).leave();
    assert_eq!(
        t.findings().len(),
        warnings,
        "that StorPort nests them is no order of the driver's"
    );
}

#[test]
fn an_interrupt_over_a_held_lock_is_no_order_of_the_drivers() {
    let mut t = Trace::new();
    t.enter(Routine::BuildIo).acquire(Lock::Executive(0));
    t.enter_about(Routine::MessageInterrupt, 0).leave();
    t.release(Lock::Executive(0)).leave();
    t.on(1).enter(Routine::BuildIo).acquire(Lock::Message(0));
    t.acquire_by(Lock::Executive(0), LockApi::KeDpcLevel);
    assert!(t.findings().iter().all(|f| f.severity == Severity::Warning), "{:?}", t.findings());
}
