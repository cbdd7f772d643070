//! Data races: for every edge of the happens-before order the pair of accesses that it orders, and the nearest pair that
//! nothing orders; what a finding says; and that a full table forgets and never invents.

use super::{Case, play};
use crate::event::{Access, Area, Kind, Lock, Routine, Touch};
use crate::rules::RuleId;
use crate::rules::trace::{DIRQL, Trace};
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::{Ddi, Irql};

pub(super) const CASES: &[Case] = &[Case::error(
    RuleId::RaceUnsynchronized,
    |t| {
        under(t, 0, Routine::StartIo, |t| {
            t.acquire(Lock::Dpc(0)).write(0x40).release(Lock::Dpc(0));
        });
        under(t, 1, Routine::Dpc, |t| {
            t.write(0x40);
        });
    },
    |t| {
        under(t, 0, Routine::StartIo, |t| {
            t.acquire(Lock::Dpc(0)).write(0x40).release(Lock::Dpc(0));
        });
        under(t, 1, Routine::Dpc, |t| {
            t.acquire(Lock::Dpc(0)).write(0x40).release(Lock::Dpc(0));
        });
    },
)];

/// A callback on a processor.
fn under(t: &mut Trace, processor: u8, routine: Routine, body: impl FnOnce(&mut Trace)) {
    about(t, processor, (routine, 0), body);
}

/// As [`under`], with a subject.
fn about(
    t: &mut Trace,
    processor: u8,
    (routine, subject): (Routine, u16),
    body: impl FnOnce(&mut Trace),
) {
    t.on(processor).enter_about(routine, subject);
    body(t);
    t.on(processor).leave();
}

fn write(t: &mut Trace) {
    t.write(0x40);
}

#[track_caller]
fn races(trace: fn(&mut Trace)) {
    assert!(has_race(trace), "it is a race");
}

#[track_caller]
fn is_ordered(trace: fn(&mut Trace)) {
    let played = play(trace);
    assert!(played.findings().is_empty(), "{:?}", played.findings());
}

fn has_race(trace: fn(&mut Trace)) -> bool {
    play(trace).findings().iter().any(|found| found.rule == RuleId::RaceUnsynchronized)
}

#[test]
fn an_interrupt_can_come_between_what_it_interrupts() {
    races(|t| {
        under(t, 0, Routine::Dpc, |t| {
            t.write(0x40);
            under(t, 0, Routine::MessageInterrupt, write);
        });
    });
    is_ordered(|t| {
        under(t, 0, Routine::Dpc, |t| {
            t.acquire(Lock::Interrupt).write(0x40).release(Lock::Interrupt);
            under(t, 0, Routine::MessageInterrupt, write);
        });
    });
}

#[test]
fn what_is_read_after_the_interrupt_is_not_after_it() {
    races(|t| {
        under(t, 0, Routine::Dpc, |t| {
            under(t, 0, Routine::MessageInterrupt, write);
            t.read(0x40);
        });
    });
    is_ordered(|t| {
        under(t, 0, Routine::Dpc, |t| {
            under(t, 0, Routine::MessageInterrupt, write);
            t.synchronize().read(0x40).leave().release(Lock::Interrupt);
        });
    });
}

#[test]
fn a_raised_irql_orders_on_its_own_processor_only() {
    let on = |processor: u8| {
        move |t: &mut Trace| {
            under(t, 0, Routine::WorkItem, |t| {
                t.raise(Irql::DISPATCH).write(0x40).lower(Irql::PASSIVE);
            });
            under(t, processor, Routine::Dpc, write);
        }
    };
    let run = |processor| {
        let mut t = Trace::new();
        on(processor)(&mut t);
        t.findings().len()
    };
    assert_eq!((run(0), run(1)), (0, 1));
}

#[test]
fn a_thread_is_not_kept_from_a_dpc_by_its_processor() {
    races(|t| {
        under(t, 0, Routine::WorkItem, |t| {
            t.write(0x40);
            under(t, 0, Routine::Dpc, write);
        });
    });
    // What raises past DISPATCH_LEVEL holds DPCs off too.
    is_ordered(|t| {
        under(t, 0, Routine::WorkItem, |t| {
            t.raise(DIRQL).write(0x40).lower(Irql::PASSIVE);
            under(t, 0, Routine::Dpc, write);
        });
    });
}

#[test]
fn every_messages_lock_is_part_of_the_interrupt_lock() {
    races(|t| {
        about(t, 0, (Routine::MessageInterrupt, 0), write);
        about(t, 1, (Routine::MessageInterrupt, 1), write);
    });
    is_ordered(|t| {
        about(t, 0, (Routine::MessageInterrupt, 0), write);
        under(t, 1, Routine::Dpc, |t| {
            t.acquire(Lock::Interrupt).write(0x40).release(Lock::Interrupt);
        });
        about(t, 2, (Routine::MessageInterrupt, 3), write);
    });
    is_ordered(|t| {
        about(t, 0, (Routine::MessageInterrupt, 2), write);
        under(t, 1, Routine::Dpc, |t| {
            t.acquire(Lock::Message(2)).write(0x40).release(Lock::Message(2));
        });
    });
}

#[test]
fn storports_own_locks_order_like_the_drivers() {
    is_ordered(|t| {
        under(t, 0, Routine::StartIo, write);
        under(t, 1, Routine::ResetBus, write);
        under(t, 2, Routine::Timer, write);
    });
    races(|t| {
        about(t, 0, (Routine::StartIo, 1), write);
        about(t, 1, (Routine::BuildIo, 2), write);
    });
}

#[test]
fn a_dpc_comes_after_whoever_issued_it_and_after_itself() {
    races(|t| {
        under(t, 0, Routine::MessageInterrupt, write);
        under(t, 1, Routine::Dpc, write);
    });
    is_ordered(|t| {
        under(t, 0, Routine::MessageInterrupt, |t| {
            t.write(0x40).issue(0);
        });
        under(t, 1, Routine::Dpc, write);
        under(t, 2, Routine::Dpc, write);
    });
    races(|t| {
        about(t, 1, (Routine::Dpc, 0), write);
        about(t, 2, (Routine::Dpc, 1), write);
    });
    races(|t| {
        under(t, 0, Routine::MessageInterrupt, |t| {
            t.issue(0).write(0x40);
        });
        under(t, 1, Routine::Dpc, write);
    });
}

#[test]
fn a_request_is_handed_over() {
    let area = Area::SrbExtension(7);
    let build = |t: &mut Trace| {
        t.touch(Area::SrbExtension(7), 0, Touch::Write);
    };
    let mut t = Trace::new();
    about(&mut t, 0, (Routine::BuildIo, 7), build);
    about(&mut t, 1, (Routine::StartIo, 7), build);
    assert!(t.findings().is_empty(), "{:?}", t.findings());
    let mut t = Trace::new();
    about(&mut t, 0, (Routine::BuildIo, 7), build);
    about(&mut t, 1, (Routine::StartIo, 8), build);
    assert_eq!(t.findings()[0].race.map(|race| race.access.area), Some(area));
}

#[test]
fn what_storport_sends_after_a_completion_comes_after_it() {
    races(|t| {
        under(t, 0, Routine::Dpc, write);
        under(t, 1, Routine::BuildIo, write);
    });
    is_ordered(|t| {
        under(t, 0, Routine::Dpc, |t| {
            t.write(0x40).complete_well();
        });
        under(t, 1, Routine::BuildIo, write);
    });
    is_ordered(|t| {
        under(t, 0, Routine::Dpc, |t| {
            t.write(0x40).call(Ddi::Ready);
        });
        under(t, 1, Routine::BuildIo, write);
    });
}

#[test]
fn what_cannot_be_torn_hands_on() {
    let pass = |store, load| {
        let mut t = Trace::new();
        under(&mut t, 0, Routine::Dpc, |t| {
            t.write(0x40).touch(Area::Extension, 0x80, store);
        });
        under(&mut t, 1, Routine::BuildIo, |t| {
            t.touch(Area::Extension, 0x80, load).write(0x40);
        });
        t.findings().len()
    };
    assert_eq!(pass(Touch::Store, Touch::Load), 0);
    assert_eq!(pass(Touch::Interlocked, Touch::Interlocked), 0);
    assert_eq!(pass(Touch::StoreRelaxed, Touch::Load), 1);
    assert_eq!(pass(Touch::Store, Touch::LoadRelaxed), 1);
    assert_eq!(pass(Touch::Load, Touch::Store), 1, "the wrong way round");
}

#[test]
fn what_cannot_be_torn_is_no_half_of_a_race() {
    for touch in [Touch::Interlocked, Touch::Store, Touch::StoreRelaxed, Touch::InterlockedRelaxed]
    {
        let mut t = Trace::new();
        under(&mut t, 0, Routine::Dpc, |t| {
            t.touch(Area::Extension, 0x40, touch);
        });
        under(&mut t, 1, Routine::BuildIo, |t| {
            t.read(0x40);
        });
        assert!(t.findings().is_empty(), "{touch:?}");
    }
}

#[test]
fn the_device_orders_what_registers_are_written_after() {
    races(|t| {
        under(t, 0, Routine::StartIo, |t| {
            t.call(Ddi::WriteRegister).write(0x40);
        });
        under(t, 1, Routine::MessageInterrupt, write);
    });
    is_ordered(|t| {
        under(t, 0, Routine::StartIo, |t| {
            t.write(0x40).call(Ddi::WriteRegister);
        });
        under(t, 1, Routine::MessageInterrupt, write);
    });
    is_ordered(|t| {
        under(t, 0, Routine::StartIo, |t| {
            t.write(0x40).call(Ddi::WriteRegister);
        });
        under(t, 1, Routine::TimerEx, |t| {
            t.touch(Area::Uncached, 0, Touch::Read).write(0x40);
        });
    });
}

#[test]
fn what_is_set_or_queued_comes_later() {
    for (ddi, routine) in [
        (Ddi::RequestTimerCall, Routine::Timer),
        (Ddi::RequestTimer, Routine::TimerEx),
        (Ddi::QueueWorkItem, Routine::WorkItem),
        (Ddi::StateChangeDetected, Routine::StateChange),
    ] {
        let found = |set: bool| {
            let mut t = Trace::new();
            under(&mut t, 0, Routine::MessageInterrupt, |t| {
                t.write(0x40);
                if set {
                    t.call(ddi);
                }
            });
            under(&mut t, 1, routine, write);
            t.findings().iter().any(|found| found.rule == RuleId::RaceUnsynchronized)
        };
        assert!(found(false) && !found(true), "{routine}");
    }
}

#[test]
fn initialisation_comes_before_requests_and_not_before_interrupts() {
    is_ordered(|t| {
        under(t, 0, Routine::FindAdapter, write);
        under(t, 1, Routine::MessageInterrupt, |t| {
            t.read(0x40);
        });
        under(t, 0, Routine::PassiveInitialize, |t| {
            t.write(0x60);
        });
        under(t, 2, Routine::BuildIo, |t| {
            t.write(0x60);
        });
    });
    races(|t| {
        under(t, 0, Routine::PassiveInitialize, write);
        under(t, 1, Routine::MessageInterrupt, write);
    });
}

#[test]
fn a_control_comes_after_all_that_has_returned() {
    is_ordered(|t| {
        under(t, 1, Routine::Dpc, write);
        under(t, 0, Routine::AdapterControl, write);
        under(t, 2, Routine::BuildIo, write);
    });
    races(|t| {
        t.on(1).enter(Routine::Dpc).write(0x40);
        under(t, 0, Routine::AdapterControl, write);
    });
}

#[test]
fn a_surprise_removal_comes_after_nothing() {
    const REMOVAL: u16 = ScsiAdapterControlType::SURPRISE_REMOVAL.0 as u16;
    races(|t| {
        under(t, 1, Routine::Dpc, write);
        about(t, 0, (Routine::AdapterControl, REMOVAL), write);
    });
    is_ordered(|t| {
        under(t, 0, Routine::PassiveInitialize, write);
        about(t, 1, (Routine::AdapterControl, REMOVAL), write);
        under(t, 2, Routine::AdapterControl, write);
    });
}

#[test]
fn a_channel_has_one_call_at_a_time() {
    let call = |t: &mut Trace, processor: u8, channel: u8| {
        t.on(processor).raise(Irql::DISPATCH).port(Kind::Channel { channel, begins: true });
        about(t, processor, (Routine::StartIo, processor.into()), write);
        t.port(Kind::Channel { channel, begins: false });
    };
    let found = |channels: [u8; 2]| {
        let mut t = Trace::new();
        t.configure(|adapter| adapter.channels = 2);
        call(&mut t, 0, channels[0]);
        call(&mut t, 1, channels[1]);
        t.findings().len()
    };
    assert_eq!((found([0, 0]), found([0, 1])), (0, 1));
}

#[test]
fn bytes_are_told_apart() {
    let found = |offset: u32, bytes: u16| {
        let mut t = Trace::new();
        under(&mut t, 0, Routine::Dpc, write);
        under(&mut t, 1, Routine::BuildIo, |t| {
            let touch = Touch::Write;
            t.tell(Kind::Accessed(Access { area: Area::Extension, offset, bytes, touch }));
        });
        t.findings().len()
    };
    assert_eq!((found(0x44, 4), found(0x3C, 4), found(0x3E, 2)), (0, 0, 0));
    assert_eq!((found(0x43, 1), found(0x3E, 3), found(0x20, 0x40)), (1, 1, 1));
}

#[test]
fn two_reads_are_no_race() {
    is_ordered(|t| {
        for processor in 0..6 {
            under(t, processor, Routine::Dpc, |t| {
                t.read(0x40);
            });
        }
    });
}

#[test]
fn a_crash_dump_has_no_races() {
    let mut t = Trace::new();
    t.configure(|adapter| adapter.dump = true);
    under(&mut t, 0, Routine::Dpc, write);
    under(&mut t, 1, Routine::BuildIo, write);
    assert!(t.findings().is_empty());
}

#[test]
fn a_finding_names_both_sides_and_the_lock_that_they_want() {
    let mut t = Trace::new();
    for processor in [2, 3, 2, 3] {
        under(&mut t, processor, Routine::TimerEx, |t| {
            t.acquire(Lock::Dpc(0)).write(0x44).release(Lock::Dpc(0));
        });
    }
    under(&mut t, 0, Routine::StartIo, write);
    under(&mut t, 1, Routine::Dpc, |t| {
        t.acquire(Lock::Dpc(1)).write(0x40);
    });
    let finding = t.findings()[0];
    assert_eq!(finding.locks[0], Some(Lock::Dpc(0)));
    let lines: Vec<_> = finding.race_lines().map(|line| line.to_string()).collect();
    assert_eq!(lines[0], "memory: device extension+0x40");
    assert!(lines[1].starts_with("cpu 0 writes in HwStorStartIo, holding StartIo, at "));
    assert!(lines[2].starts_with("cpu 1 writes in HwStorDpcRoutine, holding Dpc(1), at "));
    assert_eq!(lines[3], "Dpc(0) guards this memory most often; both want it");
    assert_eq!(lines.len(), 4);
}

#[test]
fn locks_of_what_was_interrupted_are_not_the_interrupts() {
    let mut t = Trace::new();
    under(&mut t, 1, Routine::TimerEx, write);
    t.on(0).enter(Routine::Dpc).acquire(Lock::Dpc(0));
    about(&mut t, 0, (Routine::MessageInterrupt, 2), write);
    let race = t.findings()[0].race.expect("a race");
    assert_eq!(race.later.locks, [Some(Lock::Message(2)), None, None, None]);
}

#[test]
fn one_bug_has_one_id_whichever_side_comes_first() {
    let id = |first: u8| {
        let mut t = Trace::new();
        for processor in [first, 1 - first] {
            if processor == 0 {
                under(&mut t, 0, Routine::Dpc, |t| {
                    t.write(0x40);
                });
            } else {
                under(&mut t, 1, Routine::BuildIo, |t| {
                    t.write(0x40);
                });
            }
        }
        (t.findings()[0].id(), t.findings()[0].bug())
    };
    assert_eq!(id(0), id(1));
}

#[test]
fn a_full_table_forgets_and_invents_nothing() {
    let mut t = Trace::new();
    under(&mut t, 0, Routine::Dpc, write);
    // Half a megabyte, eight bytes apart.
    under(&mut t, 0, Routine::Dpc, |t| {
        for piece in 0..0x1_0000 {
            t.touch(Area::Pool, piece * 8, Touch::Write);
        }
    });
    under(&mut t, 0, Routine::Dpc, |t| {
        t.issue(1);
    });
    about(&mut t, 1, (Routine::Dpc, 1), |t| {
        for piece in 0..0x1_0000 {
            t.touch(Area::Pool, piece * 8, Touch::Write);
        }
    });
    assert!(t.findings().is_empty());
}

#[test]
fn of_two_locks_that_are_held_together_the_inner_one_guards() {
    let mut t = Trace::new();
    under(&mut t, 0, Routine::StartIo, |t| {
        t.acquire(Lock::Dpc(3)).write(0x40).release(Lock::Dpc(3));
    });
    under(&mut t, 1, Routine::Dpc, write);
    assert_eq!(t.findings()[0].locks[0], Some(Lock::Dpc(3)));
}
